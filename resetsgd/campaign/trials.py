"""Trials: ways to train, run on a task over seeds, and what one gains over another.

A finished run is a cell of a :class:`~resetsgd.campaign.store.Store` in the cache folder: a study
that was killed goes on where it was, and two studies share the runs that they have in common.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from resetsgd import __version__
from resetsgd.campaign.progress import Progress
from resetsgd.campaign.store import Store
from resetsgd.campaign.tasks import Task
from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.files import cache_folder
from resetsgd.statistics import Status, holm

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from resetsgd.training import Dataset, EvaluationReport

__all__ = ["WEIGHTS", "Gain", "Recipe", "Trials", "gain", "judged"]

RELEVANT = 0.01
"""A gain in accuracy that matters: one point."""

WEIGHTS = "weights"
"""Name of the looks at the weights themselves, beside those at their averages."""


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A way to train, as plain values; the default is plain training with cross-entropy.

    Parameters
    ----------
    loss : str
        Name of a loss of ``resetsgd.training.losses``, with its defaults.
    reset : float
        Probability of a reset after each step, to the state of the lowest noisy-validation loss,
        once that has not been beaten for a tenth of the run; 0 for none.
    restart : int
        Steps of a cycle of the learning rate (cosine, warm restarts); 0 for a constant rate.
    averages : tuple of float
        Decays of moving averages of the weights, which are looked at as well as the weights.
    """

    loss: str = "ce"
    reset: float = 0.0
    restart: int = 0
    averages: tuple[float, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """What is looked at: the weights, and each average by its decay."""
        return (WEIGHTS, *map(str, self.averages))


def train(task: Task, recipe: Recipe, data: Dataset, seed: int) -> tuple[dict[str, Array], int]:
    """One run: its looks, those at its averages, and the number of its resets.

    Returns
    -------
    looks : dict of ndarray, shape (looks, 4)
        ``"weights"`` and one entry for each average: step, noisy-validation loss and accuracy, test
        accuracy.
    resets : int
    """
    import torch

    from resetsgd.protocols import Geometric
    from resetsgd.training import Resetter, fit, losses, methods, resets

    model = task.network(seed)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=task.learning_rate,
        momentum=task.momentum,
        weight_decay=task.weight_decay,
    )
    resetter = None
    if recipe.reset:
        patience = resets.AfterPatience(task.steps // 10)
        protocol = Geometric(probability=recipe.reset)
        resetter = Resetter(model, optimizer, protocol, when=patience, seed=seed)
    if recipe.restart:
        schedule = methods.warm_restarts(optimizer, period=recipe.restart)
        optimizer.register_step_post_hook(lambda *_: schedule.step())
    memory = {"samples": task.train, "classes": data.classes} if recipe.loss == "elr" else {}
    found: dict[str, list[tuple[float, ...]]] = {str(decay): [] for decay in recipe.averages}
    _follow(model, optimizer, data, task.every, found)
    history = fit(
        model,
        optimizer,
        data,
        steps=task.steps,
        batch_size=task.batch_size,
        loss=losses.make(recipe.loss, **memory),
        resetter=resetter,
        seed=seed,
        evaluate_every=task.every,
    )
    rows = {WEIGHTS: [astuple(look) for look in history.looks], **found}
    return {name: np.array(looks) for name, looks in rows.items()}, len(history.resets)


def _follow(
    model: nn.Module,
    optimizer: Optimizer,
    data: Dataset,
    every: int,
    looks: dict[str, list[tuple[float, ...]]],
) -> None:
    """Keep moving averages of the weights beside the model, and look at them now and then."""
    import torch
    from torch.nn.functional import cross_entropy

    from resetsgd.training import OnDevice, methods
    from resetsgd.training.methods.quiet import evaluating

    averages = {name: methods.ema(model, decay=float(name)) for name in looks}
    parts = [OnDevice(p, normalisation=data.normalisation) for p in (data.validation, data.test)]

    @torch.no_grad()
    def after(*_: Any) -> None:
        for name, average in averages.items():
            average.step()
            if average.steps % every:
                continue
            with evaluating(average.module):
                logits = [average.module(part.normalised(part.images)) for part in parts]
            pairs = zip(logits, parts, strict=True)
            held, tested = (float((z.argmax(1) == p.labels).double().mean()) for z, p in pairs)
            loss = float(cross_entropy(logits[0], parts[0].labels))
            looks[name].append((average.steps, loss, held, tested))

    if averages:
        optimizer.register_step_post_hook(after)


class Trials:
    """Runs of recipes on one task over seeds, each kept when it is finished.

    Parameters
    ----------
    task : Task
        The task.
    folder : Path, optional
        Where the runs are kept; by default a folder of this task and these versions in the cache
        folder (``RESETSGD_CACHE``, else that of the user).

    Raises
    ------
    DomainError
        If the images of the task are nowhere.
    OutputError
        If the folder cannot be written.
    """

    def __init__(self, task: Task, folder: Path | None = None) -> None:
        self.task = task
        self._seed, self._data = 0, task.data(0)
        versions = {name: importlib.metadata.version(name) for name in ("torch", "numpy")}
        plan = json.dumps(
            {
                "task": msgspec.to_builtins(task),
                "data_sha256": self._data.sha256,
                "versions": {**versions, "resetsgd": __version__},
            },
            sort_keys=True,
        )
        if folder is None:
            key = hashlib.sha256(plan.encode()).hexdigest()[:12]
            folder = cache_folder() / "studies" / f"{task.name}-{key}"
        self._store = Store(folder, plan)

    def __enter__(self) -> Trials:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def run(
        self, recipes: Sequence[Recipe], seeds: Iterable[int], progress: Progress
    ) -> dict[Recipe, list[dict[str, EvaluationReport]]]:
        """Run each recipe with each seed, on one thread, or take the run from the store.

        Returns
        -------
        dict of Recipe to list
            For each seed the reports of the weights (``"weights"``) and of each average; test
            images choose nothing.
        """
        import torch

        todo = [(seed, recipe) for seed in seeds for recipe in recipes]
        found: dict[Recipe, list[dict[str, EvaluationReport]]] = {recipe: [] for recipe in recipes}
        title = f"{self.task.name}: {len(todo)} runs of {self.task.steps} steps"
        with progress.stage(title, len(todo)) as advance, one_thread(torch):
            for seed, recipe in todo:
                found[recipe].append(self._one(recipe, seed))
                advance(1)
        return found

    def resets(self, recipe: Recipe, seed: int) -> int:
        """Number of resets of a finished run."""
        cell = self._store.get(_name(recipe, seed, WEIGHTS))
        if cell is None:
            raise DomainError("seed", seed, "one that was run")
        return int(cell.record["resets"])

    def _one(self, recipe: Recipe, seed: int) -> dict[str, EvaluationReport]:
        names = {part: _name(recipe, seed, part) for part in recipe.parts}
        cells = {part: self._store.get(name) for part, name in names.items()}
        if None in cells.values():
            if seed != self._seed:
                self._seed, self._data = seed, self.task.data(seed)
            looks, resets = train(self.task, recipe, self._data, seed)
            cells = {
                part: self._store.put(name, {"looks": looks[part]}, {"resets": resets})
                for part, name in names.items()
            }
        return {part: _report(cell.arrays["looks"]) for part, cell in cells.items() if cell}


def _name(recipe: Recipe, seed: int, part: str) -> str:
    """Averages change nothing in the run that they are taken of: each is a cell beside it."""
    bare = msgspec.to_builtins(msgspec.structs.replace(recipe, averages=()))
    return f"seed {seed}: {json.dumps(bare, sort_keys=True)}: {part}"


def _report(looks: Array) -> EvaluationReport:
    """Best by the lowest noisy-validation loss, last, and mean of the last ten."""
    from resetsgd.training import EvaluationProtocol, Look

    seen = [Look(int(step), loss, held, tested) for step, loss, held, tested in looks.tolist()]
    return EvaluationProtocol().report(seen, validation_labels="noisy")


@contextlib.contextmanager
def one_thread(torch: Any) -> Iterator[None]:
    """Within this, torch computes on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Gain:
    """What one way gains over another in accuracy, over the seeds they share.

    Parameters
    ----------
    mean, low, high : float
        Mean of the paired differences and its 95 % interval (Student's t).
    p : float
        Two-sided probability of so large a mean if there is no difference.
    seeds : int
        Number of pairs.
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: int

    def __str__(self) -> str:
        return f"{100 * self.mean:+.1f} [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"


def gain(one: Sequence[float], other: Sequence[float], level: float = 0.95) -> Gain:
    """Paired differences, one minus other.

    Parameters
    ----------
    one, other : sequence of float
        Accuracies by seed, two seeds or more.
    level : float
        Confidence of the interval.

    Raises
    ------
    DomainError
        For fewer than two pairs.

    Examples
    --------
    >>> print(gain([0.8, 0.82, 0.84], [0.7, 0.73, 0.73]))
    +10.0 [+7.5, +12.5]
    """
    from scipy import stats

    if len(one) != len(other) or len(one) < 2:
        raise DomainError("one, other", (len(one), len(other)), "two pairs or more")
    differences = np.subtract(one, other)
    mean, seeds = float(differences.mean()), len(differences)
    error = float(differences.std(ddof=1)) / seeds**0.5
    if error == 0.0:
        return Gain(mean, mean, mean, float(mean == 0.0), seeds)
    half = error * float(stats.t.ppf(0.5 + level / 2.0, seeds - 1))
    p = 2.0 * float(stats.t.sf(abs(mean) / error, seeds - 1))
    return Gain(mean, mean - half, mean + half, p, seeds)


def judged(gains: Mapping[str, Gain], level: float = 0.95) -> tuple[Status, dict[str, str]]:
    """Whether everything gains, and what is to be said of each.

    Parameters
    ----------
    gains : mapping of str to Gain
        A family of comparisons.
    level : float
        Family-wise confidence (Holm) of the words ``better`` and ``worse``.

    Returns
    -------
    status : {"holds", "fails", "underpowered"}
        ``holds`` if all are better; ``fails`` if one is worse, or surely gains less than a point.
    words : dict of str
        ``better``, ``worse``, ``no gain`` (the 95 % interval ends below one point) or ``open``.

    Examples
    --------
    >>> judged({"a": gain([0.8, 0.82, 0.84], [0.7, 0.73, 0.73])})
    ('holds', {'a': 'better'})
    """
    names = list(gains)
    corrected = holm([gains[name].p for name in names])
    words = {}
    for name, p in zip(names, corrected, strict=True):
        found = gains[name]
        if p < 1.0 - level:
            words[name] = "better" if found.mean > 0 else "worse"
        else:
            words[name] = "no gain" if found.high < RELEVANT else "open"
    said = set(words.values())
    if said & {"worse", "no gain"}:
        return "fails", words
    return ("holds" if said == {"better"} else "underpowered"), words
