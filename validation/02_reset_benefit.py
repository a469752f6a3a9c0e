"""What resetting gains over early stopping, averaging and warm restarts at equal compute.

Claim: on small tasks with 40 % wrong labels (digits, Fashion-MNIST, CIFAR-10), a run that is reset
at random to its best noisy-validation state beats, after as many optimizer steps, plain training,
early stopping, a moving average of the weights, and warm restarts of the learning rate: both in the
test accuracy at its best noisy-validation loss and in that at its end.
Each set has at least five seeds, which draw images, noise, initial weights and batches, and which
all ways share. The one hyper-parameter of each way (reset probability, memory of the average,
length of a cycle) is the one of three with the lowest noisy-validation loss on other seeds. No test
image chooses anything. A gain counts if it is positive at the family-wise 95 % level (Holm). The
claim fails if one of the others is better at that level, or if the 95 % interval of a gain ends
below one point.

Early stopping is given the whole run to find its state, the best of plain training; at the end it
still has that state, with which the end of the run under resetting is compared.

Cost: about 20 minutes on one core, ten seconds with --quick (digits only). Finished runs are kept
in the cache folder: the same command goes on where it was stopped. Fashion-MNIST and CIFAR-10 are
read from the folder that RESETSGD_DATA names; without them they are skipped, and the claim is not
settled.

Reference: Bae, Song, Jeong, Mach. Learn.: Sci. Technol. 6, 015062 (2025), for resetting; Izmailov
et al., UAI (2018), for averaging; Loshchilov and Hutter, ICLR (2017), for warm restarts.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from resetsgd.campaign.figures import gains as drawn
from resetsgd.campaign.progress import Progress
from resetsgd.campaign.study import Study, Verdict
from resetsgd.campaign.tasks import TASKS, Task
from resetsgd.campaign.trials import WEIGHTS, Gain, Recipe, Trials, gain, judged
from resetsgd.errors import DomainError

SEEDS = {"digits": 12, "fashion-mnist": 8, "cifar10": 8}
TUNING = {"digits": (1000, 1001), "fashion-mnist": (1000, 1001), "cifar10": (1000,)}
"""Seeds that hyper-parameters are chosen on, and nothing else."""
QUICK = msgspec.structs.replace(TASKS["digits"], steps=600)

RESETS = (200, 50, 12)
"""Expected numbers of resets, were there resets all along; published: 50."""
MEMORIES = (50, 20, 8)
"""Moving averages remember one part in so many of the run."""
CYCLES = (8, 4, 2)
"""Cycles of the learning rate."""


def resetting(task: Task, resets: int) -> Recipe:
    """Reset at random, so often if it began at once."""
    return Recipe(reset=resets / task.steps)


def decay(task: Task, memory: int) -> float:
    """Of a moving average that remembers one part in so many of the run."""
    return 1.0 - memory / task.steps


def restarting(task: Task, cycles: int) -> Recipe:
    """Anneal and restart the learning rate so many times."""
    return Recipe(restart=task.steps // cycles)


def chosen(trials: Trials, progress: Progress) -> tuple[int, int, int]:
    """Of each hyper-parameter the one with the lowest noisy-validation loss on other seeds."""
    task = trials.task
    resets, cycles = [resetting(task, n) for n in RESETS], [restarting(task, n) for n in CYCLES]
    plain = Recipe(averages=tuple(decay(task, n) for n in MEMORIES))
    found = trials.run([*resets, plain, *cycles], TUNING[task.name], progress)

    def lowest(looked_at: list[tuple[Recipe, str]]) -> int:
        losses = [
            np.mean([reports[part].best.validation_loss for reports in found[recipe]])
            for recipe, part in looked_at
        ]
        return int(np.argmin(losses))

    return (
        RESETS[lowest([(recipe, WEIGHTS) for recipe in resets])],
        MEMORIES[lowest([(plain, part) for part in plain.parts[1:]])],
        CYCLES[lowest([(recipe, WEIGHTS) for recipe in cycles])],
    )


def compared(
    trials: Trials, seeds: int, values: tuple[int, int, int], progress: Progress
) -> tuple[dict[str, Gain], dict[str, Any]]:
    """Gains of resetting over the others, and the accuracies they come from."""
    reset, restart = resetting(trials.task, values[0]), restarting(trials.task, values[2])
    plain = Recipe(averages=(decay(trials.task, values[1]),))
    found = trials.run([reset, plain, restart], range(seeds), progress)
    looks = {
        "resetting": (reset, WEIGHTS),
        "plain training": (plain, WEIGHTS),
        "moving average": (plain, plain.parts[1]),
        "warm restarts": (restart, WEIGHTS),
    }
    best = {
        name: [reports[key].best.test_accuracy for reports in found[recipe]]
        for name, (recipe, key) in looks.items()
    }
    last = {
        name: [reports[key].last.test_accuracy for reports in found[recipe]]
        for name, (recipe, key) in looks.items()
    }
    ours, end = best["resetting"], last["resetting"]
    table = {
        "plain training, end": gain(end, last["plain training"]),
        "early stopping, best": gain(ours, best["plain training"]),
        "early stopping, end": gain(end, best["plain training"]),
        "moving average, best": gain(ours, best["moving average"]),
        "moving average, end": gain(end, last["moving average"]),
        "warm restarts, best": gain(ours, best["warm restarts"]),
        "warm restarts, end": gain(end, last["warm restarts"]),
    }
    numbers = {
        "task": msgspec.to_builtins(trials.task),
        "seeds": seeds,
        "reset_probability": reset.reset,
        "resets": float(np.mean([trials.resets(reset, seed) for seed in range(seeds)])),
        "average_decay": plain.averages[0],
        "cycle_steps": restart.restart,
        "best": best,
        "last": last,
        "mean_best": {name: float(np.mean(values)) for name, values in best.items()},
        "mean_last": {name: float(np.mean(values)) for name, values in last.items()},
    }
    return table, numbers


def sentence(gains: dict[str, dict[str, Gain]], words: dict[str, str], absent: list[str]) -> str:
    """Where resetting helps, where it does not, and by how much."""
    rivals = list(dict.fromkeys(rival for table in gains.values() for rival in table))
    helped = {r: [n for n in gains if words[f"{n}: {r}"] == "better"] for r in rivals}
    nowhere = [rival for rival, names in helped.items() if not names]
    shown = [
        f"{rival} ({'everywhere' if len(names) == len(gains) else ', '.join(names)})"
        for rival, names in helped.items()
        if names
    ]
    text = f"Resetting is better than: {'; '.join(shown) or 'nothing'}."
    if nowhere:
        text += f" Nowhere is it shown to be better than: {'; '.join(nowhere)}."
    text += " Gains in points of test accuracy [95 % interval]:"
    for name, table in gains.items():
        told = [f"{r} {g} {words[f'{name}: {r}']}" for r, g in table.items()]
        text += f" {name}: {', '.join(told)}."
    return text + (f" Skipped, not found: {', '.join(absent)}." if absent else "")


def main(quick: bool = False) -> Verdict:
    """Choose, run, compare."""
    gains: dict[str, dict[str, Gain]] = {}
    numbers: dict[str, Any] = {}
    absent: list[str] = []
    with Progress() as progress, tempfile.TemporaryDirectory() as folder:
        for task in [QUICK] if quick else TASKS.values():
            try:
                trials = Trials(task, Path(folder) if quick else None)
            except DomainError as error:
                progress.say(f"{task.name} skipped: {error}")
                absent.append(task.name)
                continue
            with trials:
                values = (RESETS[1], MEMORIES[1], CYCLES[1])
                if not quick:
                    values = chosen(trials, progress)
                seeds = 5 if quick else SEEDS[task.name]
                gains[task.name], numbers[task.name] = compared(trials, seeds, values, progress)
    family = {f"{n}: {rival}": g for n, table in gains.items() for rival, g in table.items()}
    status, words = judged(family)
    if len(gains) < len(TASKS) and "worse" not in words.values():
        status = "underpowered"  # not all that is claimed was looked at
    for name, table in gains.items():
        numbers[name]["gains"] = {
            rival: {**msgspec.to_builtins(found), "word": words[f"{name}: {rival}"]}
            for rival, found in table.items()
        }
    numbers["does_not_help"] = [name for name, word in words.items() if word != "better"]
    numbers["skipped"] = absent
    figure = drawn(gains, "gain of resetting (points)")
    return Verdict(status, sentence(gains, words, absent), numbers, figure)


if __name__ == "__main__":
    Study(__file__, main).command()
