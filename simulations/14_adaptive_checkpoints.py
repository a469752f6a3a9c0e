"""Adaptive checkpoints: resets to the best so far help as much as the best can be known.

Claim
-----
A walker that is reset to its own record, not to a fixed place, never loses ground. For a walk with
normal steps in one dimension the mean number of steps to a target has an exact theory: between
records it is the walk's first ladder step under a coin, and the record grows by ladder heights, of
which Spitzer's identity gives all moments. (In continuous time: 2L/(v + sqrt(v^2 + 4 D r)), which
falls for ever as the rate grows; at a fixed place it would be the exponential of the distance.)
Mini-batch SGD on a task of one weight, its labels normal, is such a walk; with fixed and with
record-updating checkpoints, without drift and with drift away, at all reset probabilities, its mean
is that of theory: no score beyond the family-wise 99 % bar (Holm), and a chi-square test of all.
Each of the two theories must be refused for the other checkpoint, and the one in continuous time.

In label noise the record is that of a noisy validation loss. For regression with 20 weights, 40 %
of the labels replaced, and a clean test loss that SGD sees in three of a thousand looks, there is
no theory; the simulator is checked, in the same family of scores, against a second one in plain
NumPy. Over tasks drawn anew, all replicas starting at the parameters after 300 steps: resets to the
best of 400 noisy validation samples shorten the mean (restricted to the horizon) against no resets,
and against resets to the start at the probability that serves those best; at frequent resets the
best of 25 samples, the minimum of a wrong loss, serves worse than that of 400 (each by 3.5 standard
errors of the mean over tasks of the logarithm of the ratio).

Cost: two minutes of processor time in full, ten seconds in quick mode (fewer tasks, replicas and
probabilities, and without the last claim).

Reference: S. N. Majumdar, S. Sabhapandit and G. Schehr, Phys. Rev. E 92, 052126 (2015), for the
lattice walk reset to its maximum; F. Spitzer, Trans. Am. Math. Soc. 82, 323 (1956); checkpoints by
validation loss: Y. Bae, Y. Song and H. Jeong, MLST 6, 015062 (2025).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import special, stats

import resetsgd as rs
from resetsgd.campaign.study import Status, Study, Verdict
from resetsgd.plots import ACCENT, INK, MEASURED, PREDICTED, REFERENCE, figure, style
from resetsgd.statistics import family_verdict

LEVEL = 0.99
CLEAR = 3.5

# One weight: exact ------------------------------------------------------------------------------

SLOW, LENGTH = 1e-8, 20.0
"""A learning rate that leaves gradients as they are; L in standard deviations of a step."""
DRIFTS = (0.0, -0.05)
COINS = (0.003, 0.01, 0.03, 0.1, 0.3, 0.6)


def walk_task(drift: float, samples: int = 4096) -> rs.LinearTask:
    """One weight, inputs 1: at weight zero a batch of one moves it by a label, drift + normal."""
    normal = stats.norm.ppf((np.arange(samples) + 0.5) / samples)
    labels = drift + normal / normal.std()
    return rs.LinearTask(np.ones((samples, 1)), labels, clean_labels=labels, teacher=[1.0])


@cache
def by_records(drift: float, coin: float) -> float:
    """Exact mean of the walk that is reset to its record.

    With A(l) the sum of q^n/n E[exp(-l S_n); S_n > 0], q = 1 - coin, the first ladder step N and
    height H have E[q^N exp(-l H)] = 1 - exp(-A(l)) (Spitzer). Each record takes (1 - f)/(coin f)
    steps, f = E[q^N]; how many it takes to pass L is L/m + m2/(2 m^2) with the moments of H under
    the weight q^N, up to a term that is exponentially small in L.
    """
    n = np.arange(1, int(60.0 / coin) + 10)
    mean, width, weight = drift * n, np.sqrt(n), (1.0 - coin) ** n / n
    density = np.exp(-0.5 * (mean / width) ** 2) / np.sqrt(2.0 * np.pi)
    above = special.ndtr(mean / width)
    zeroth = float((weight * above).sum())
    first = float((weight * (mean * above + width * density)).sum())
    second = float((weight * ((mean**2 + n) * above + mean * width * density)).sum())
    none = np.exp(-zeroth)
    arrives = -np.expm1(-zeroth)
    m, m2 = none * first / arrives, none * (second - first**2) / arrives
    return float((LENGTH / m + 0.5 * m2 / m**2) * none / (coin * arrives))


def continuous(drift: float, coin: float) -> float:
    """The mean of the diffusion that is reset to its record; wrong for large steps."""
    return float(2.0 * LENGTH / (drift + np.sqrt(drift**2 - 2.0 * np.log1p(-coin))))


@cache
def by_start(drift: float, coin: float) -> float:
    """Exact mean of the walk that is reset to its start."""
    walk = rs.RandomWalk(stats.norm(-drift, 1.0))
    return float(rs.first_passage(walk, LENGTH, 0.0).under(rs.Geometric(coin)).mean())


def walked(
    drift: float, coin: float, record: bool, replicas: int, seed: int
) -> tuple[float, float]:
    """Mean steps of SGD and standard error."""
    S = rs.simulate_sgd(
        walk_task(drift), rs.Reaches("projection", above=LENGTH * SLOW), learning_rate=SLOW,
        batch_size=1, protocol=rs.Geometric(coin), replicas=replicas, horizon=10**9, seed=seed,
        checkpoint=rs.BestSoFar(1, "distance") if record else None,
    )  # fmt: skip
    return float(S.mean()), float(S.stderr())


@dataclass(frozen=True)
class Line:
    """Means and errors of the walk, shape (2, drifts, coins): start and record."""

    mean: np.ndarray
    stderr: np.ndarray

    @classmethod
    def done(cls, replicas: int, quick: bool) -> Line:
        """Simulate all; where resets to the start take too long, NaN."""
        found = np.full((2, len(DRIFTS), len(COINS), 2), np.nan)
        for (k, i, j), _ in np.ndenumerate(found[..., 0]):
            if k == 1 or j < (2 - 2 * i if quick else 3):
                found[k, i, j] = walked(DRIFTS[i], COINS[j], k == 1, replicas, 100 * k + 10 * i + j)
        return cls(found[..., 0], found[..., 1])

    def scores(self, theory: Callable[[float, float], float], record: int) -> np.ndarray:
        """Differences from a theory in standard errors, of those simulated."""
        return np.array([
            (mean - theory(DRIFTS[i], COINS[j])) / self.stderr[record, i, j]
            for (i, j), mean in np.ndenumerate(self.mean[record]) if np.isfinite(mean)
        ])  # fmt: skip


# Twenty weights: label noise --------------------------------------------------------------------

ETA, BATCH, WARM, RARE = 0.05, 10, 300, 3e-3
LOOK, VALIDATE, HORIZON = 5, 10, 10_000
FIRST = 2000
"""Number of the first task; pilots on others said how many it takes."""
SETS = (25, 100, 400)
"""Sizes of the validation set."""
CHANCES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


def squared_loss(inputs: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The mean loss of many weights, shape (replicas, d), by the moments of the data."""
    second, first = inputs.T @ inputs / len(labels), inputs.T @ labels / len(labels)
    zeroth = float(labels @ labels) / len(labels)

    def loss(theta: np.ndarray) -> np.ndarray:
        form = ((theta @ second) * theta).sum(axis=1)
        return np.asarray(0.5 * (form + zeroth) - theta @ first)

    return loss


@dataclass(frozen=True)
class Noisy:
    """A task, the place where replicas start, and the clean loss they search."""

    seed: int

    def task(self, validation: int = SETS[0]) -> rs.LinearTask:
        """The task with so many validation samples; all else is the same."""
        return rs.LinearTask.drawn(
            200, 20, noise_rate=0.4, test=200, validation=validation, seed=self.seed
        )

    def begin(self) -> tuple[Any, float]:
        """Parameters after some steps, and a clean loss seen in three of a thousand later looks."""
        options: dict[str, Any] = {"learning_rate": ETA, "batch_size": BATCH}
        start = rs.train_sgd(
            self.task(), steps=WARM, replicas=1, seed=10_000 + self.seed, **options
        ).parameters[0]
        later = rs.train_sgd(
            self.task(), start, steps=2000, replicas=100, seed=20_000 + self.seed,
            record=["clean_loss"], record_every=LOOK, **options,
        ).traces["clean_loss"]  # fmt: skip
        return start, float(np.quantile(later[:, 100:], RARE))

    def searched(
        self, start: Any, level: float, chance: float, best: int | None, replicas: int, seed: int,
        horizon: int = HORIZON,
    ) -> tuple[float, float]:  # fmt: skip
        """Restricted mean and standard error; ``best``: validation samples, None for the start."""
        try:
            return rs.simulate_sgd(
                self.task(best or SETS[0]), rs.Reaches("clean_loss", below=level), start,
                learning_rate=ETA, batch_size=BATCH, horizon=horizon, look_every=LOOK,
                protocol=rs.Geometric(chance) if chance else None, replicas=replicas, seed=seed,
                checkpoint=None if best is None else rs.BestSoFar(VALIDATE),
            ).mean_and_stderr(horizon)  # fmt: skip
        except rs.DomainError as error:
            if error.argument != "horizon":
                raise
            return float(horizon), 0.0  # none has arrived

    def by_hand(
        self, start: Any, level: float, chance: float, best: int | None, replicas: int, seed: int,
        horizon: int,
    ) -> tuple[float, float]:  # fmt: skip
        """The same in plain NumPy: restricted mean and standard error."""
        task, generator = self.task(best or SETS[0]), np.random.default_rng(seed)
        clean = squared_loss(task.test_inputs, task.test_labels)
        noisy = squared_loss(task.validation_inputs, task.validation_labels)
        theta = np.tile(start, (replicas, 1))
        home, times = theta.copy(), []
        lowest = np.full(replicas, task.loss(start, of="validation"))
        for step in range(1, horizon + 1):
            rows = generator.integers(task.samples, size=(len(theta), BATCH))
            x, y = task.inputs[rows], task.labels[rows]
            slope = np.einsum("rbd,rd->rb", x, theta) - y
            theta -= ETA / BATCH * np.einsum("rb,rbd->rd", slope, x)
            again = generator.random(len(theta)) < chance
            theta[again] = home[again]
            if step % LOOK == 0:
                there = clean(theta) <= level
                times.append(np.full(np.count_nonzero(there), step))
                theta, home, lowest = theta[~there], home[~there], lowest[~there]
            if best is not None and step % VALIDATE == 0:
                value = noisy(theta)
                better = value < lowest
                home[better], lowest[better] = theta[better], value[better]
            if not len(theta):
                break
        times.append(np.full(len(theta), horizon))
        time = np.concatenate(times).astype(np.float64)
        return float(time.mean()), float(time.std() / np.sqrt(time.size))


CHECKS = ((0.0, None), (0.03, None), (0.03, 25), (0.03, 400), (0.1, 400))
"""Reset probability and validation samples of the runs that are repeated in plain NumPy."""


def checked(runs: int, replicas: int, by_hand: int, horizon: int) -> list[dict[str, Any]]:
    """Simulator against NumPy on one task."""
    noisy = Noisy(0)
    start, level = noisy.begin()
    rows: list[dict[str, Any]] = []
    for k, (chance, best) in enumerate(CHECKS[-runs:]):
        mean, error = noisy.searched(start, level, chance, best, replicas, 700 + k, horizon)
        other, other_error = noisy.by_hand(start, level, chance, best, by_hand, 800 + k, horizon)
        rows.append({
            "chance": chance, "validation": best, "mean": mean, "stderr": error, "numpy": other,
            "numpy_stderr": other_error, "z": (mean - other) / np.hypot(error, other_error),
        })  # fmt: skip
    return rows


@dataclass(frozen=True)
class Search:
    """Log ratios of restricted means to those without resets: (tasks, 1 + sets, chances)."""

    ratio: np.ndarray
    chances: tuple[float, ...]
    free: np.ndarray
    """Restricted means without resets."""

    @classmethod
    def done(cls, tasks: int, replicas: int, chances: tuple[float, ...]) -> Search:
        """Simulate all tasks; the first row is of resets to the start."""
        ratio = np.empty((tasks, 1 + len(SETS), len(chances)))
        free = np.empty(tasks)
        for seed in range(tasks):
            noisy = Noisy(FIRST + seed)
            start, level = noisy.begin()
            free[seed], _ = noisy.searched(start, level, 0.0, None, replicas, 1)
            for i, best in enumerate((None, *SETS)):
                for j, p in enumerate(chances):
                    mean, _ = noisy.searched(start, level, p, best, replicas, 2 + 10 * i + j)
                    ratio[seed, i, j] = np.log(mean / free[seed])
        return cls(ratio, chances, free)

    def mean(self, values: np.ndarray) -> tuple[float, float]:
        """Mean over tasks of a log ratio, and its standard error."""
        return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))

    def row(self, best: int | None) -> np.ndarray:
        """Of one checkpoint, shape (tasks, chances)."""
        return np.asarray(self.ratio[:, (None, *SETS).index(best)])


@style()
def picture(line: Line, search: Search, replicas: int, every: int) -> Figure:
    """Means of the walk; ratios on tasks with label noise."""
    drawing, (left, right) = figure(9.8, 4.7, 2)
    fine = np.geomspace(0.0025, 0.75, 41)
    for i, (drift, mark) in enumerate(zip(DRIFTS, ("o", "s"), strict=True)):
        word = "no drift" if drift == 0 else "drift away"
        for k, (theory, colour, place) in enumerate(
            ((by_start, REFERENCE, "start"), (by_records, PREDICTED, "record"))
        ):
            shown = fine if k else fine[fine < 0.2][::every]
            left.plot(shown, [theory(drift, p) for p in shown], color=colour, lw=1.3,
                      ls="-" if drift == 0 else (0, (5, 2)))  # fmt: skip
            left.errorbar(COINS, line.mean[k, i], 3.0 * line.stderr[k, i], fmt=mark, mfc="white",
                          color=colour, ms=5, capsize=2,
                          label=f"to the {place}, {word}")  # fmt: skip
    left.plot(fine, [continuous(0.0, p) for p in fine], color=ACCENT, lw=1.3, ls=(0, (1, 2)),
              label="record, continuous time")  # fmt: skip
    left.set(xscale="log", yscale="log", ylim=(20.0, 2e4), xlabel="reset probability per step",
             ylabel="mean number of steps")  # fmt: skip
    left.legend(loc="lower left", fontsize=8)
    left.set_title(f"One weight: lines are exact ({replicas:,} runs)")

    names = {None: "start", 25: "best, 25 samples", 100: "best, 100", 400: "best, 400"}
    colours = (REFERENCE, MEASURED, ACCENT, PREDICTED)
    tasks = len(search.ratio)
    bar = float(stats.t.isf(0.025, tasks - 1))
    for k, (best, colour) in enumerate(zip(names, colours, strict=True)):
        found = np.array([search.mean(values) for values in search.row(best).T])
        middle = np.exp(found[:, 0])
        low = middle - np.exp(found[:, 0] - bar * found[:, 1])
        high = np.exp(found[:, 0] + bar * found[:, 1]) - middle
        right.errorbar(np.array(search.chances) * 1.04 ** (k - 1.5), middle, [low, high],
                       fmt="o-", color=colour, mfc="white", ms=5, lw=1.3, capsize=2,
                       label=names[best])  # fmt: skip
    right.axhline(1.0, color=INK, lw=0.8)
    right.set(xscale="log", yscale="log", xlabel="reset probability per step",
              ylabel="mean passage time over that without resets")  # fmt: skip
    marks = [0.1, 0.2, 0.5, 1.0, 2.0, 4.0]
    right.set_yticks(marks, [f"{mark:g}" for mark in marks])
    right.set_yticks([], minor=True)
    right.legend(loc="lower left", fontsize=8, title="resets to the", title_fontsize=8,
                 alignment="left")  # fmt: skip
    right.set_title(f"20 weights: {tasks} tasks, 95 % intervals")
    return drawing


def main(quick: bool) -> Verdict:
    """Simulate the walk, check the simulator by hand, search on many tasks, and judge."""
    replicas = 1500 if quick else 5000
    line = Line.done(replicas, quick)
    rows = checked(2, 2000, 300, 600) if quick else checked(5, 10_000, 2400, 3000)
    z = np.concatenate([
        line.scores(by_start, 0), line.scores(by_records, 1), [row["z"] for row in rows]
    ])  # fmt: skip
    bar = float(stats.norm.isf((1.0 - LEVEL) / (2 * z.size))) + float(stats.norm.isf(0.1))
    walk_seen = float(np.nanmax(bar * line.stderr / line.mean))
    hand_seen = max(bar * np.hypot(r["stderr"], r["numpy_stderr"]) / r["numpy"] for r in rows)
    relevant = 0.25 if quick else 0.10
    status: Status = family_verdict(
        z, np.array([walk_seen, hand_seen]), level=LEVEL, relevant=relevant
    )
    chi = float(stats.chi2.sf((z**2).sum(), z.size))
    wrong = {
        "records for the start": line.scores(by_records, 0),
        "the start for records": line.scores(by_start, 1),
        "continuous time": line.scores(continuous, 1),
    }
    rejected = {
        name: family_verdict(found, np.zeros(found.size), level=LEVEL) == "fails"
        for name, found in wrong.items()
    }

    chances = (0.03,) if quick else CHANCES
    search = Search.done(*((12, 40) if quick else (48, 16)), chances)
    at = chances.index(0.03)
    good = search.mean(search.row(400)[:, at])
    # One probability for all tasks: the least of a task's few noisy means would be too low.
    best = int(search.row(None).mean(axis=0).argmin())
    against = search.mean(search.row(400)[:, at] - search.row(None)[:, best])
    bad = search.mean(search.row(25)[:, -1])
    few = search.mean(search.row(25)[:, -1] - search.row(400)[:, -1])
    clear = [-good[0] / good[1], -against[0] / against[1], few[0] / few[1]]
    if quick:
        clear = clear[:2]
    if status == "holds" and not all(rejected.values()):
        status = "underpowered"
    if chi < 1.0 - LEVEL or min(clear) < 0:
        status = "fails"
    elif status == "holds" and min(clear) < CLEAR:
        status = "underpowered"
    sentence = (
        f"one weight: largest of {z.size} scores (NumPy's {len(rows)} with them)"
        f" {np.abs(z).max():.2f} standard errors, chi-square p = {chi:.2f} (n = {replicas:,} a"
        f" point), a deviation of {walk_seen:.1%} from theory and of {hand_seen:.1%} from NumPy"
        f" would have been seen; wrong theories rejected: {sum(rejected.values())} of"
        f" {len(rejected)}; label noise, {len(search.ratio)} tasks: resets at 0.03 to the best of"
        f" 400 samples change the mean by {np.expm1(good[0]):+.0%} ({-clear[0]:+.1f} errors), and"
        f" by {np.expm1(against[0]):+.0%} against resets to the start at {chances[best]:g}"
        f" ({-clear[1]:+.1f}); at {chances[-1]:g} to the best of 25 samples by"
        f" {np.expm1(bad[0]):+.0%} ({bad[0] / bad[1]:+.1f}), {np.exp(few[0]):.1f} times as long as"
        f" with 400 ({few[0] / few[1]:+.1f})"
    )
    numbers = {
        "replicas": replicas, "level": LEVEL, "relevant": relevant, "drifts": list(DRIFTS),
        "coins": list(COINS),
        "exact_record": [[by_records(b, p) for p in COINS] for b in DRIFTS],
        "mean": np.where(np.isnan(line.mean), -1.0, line.mean).tolist(),
        "stderr": np.where(np.isnan(line.stderr), -1.0, line.stderr).tolist(),
        "z": z.tolist(), "largest_score": float(np.abs(z).max()), "chi_square_p": chi,
        "seen_with_power_0.9": {"theory": walk_seen, "numpy": hand_seen},
        "twins": {name: {"largest_score": float(np.abs(found).max()), "rejected": rejected[name]}
                  for name, found in wrong.items()},
        "numpy": rows,
        "chances": list(chances), "validation_sets": list(SETS),
        "log_ratio_to_no_resets": {
            str(best): {"mean": search.row(best).mean(axis=0).tolist(),
                        "stderr": [search.mean(v)[1] for v in search.row(best).T]}
            for best in (None, *SETS)
        },
        "restricted_mean_without_resets": search.free.tolist(), "horizon": HORIZON,
        "log_ratio": {"400 at 0.03 to none": good, "400 at 0.03 to the best start": against,
                      "25 to none at the last": bad, "25 to 400 at the last": few},
    }  # fmt: skip
    return Verdict(status, sentence, numbers, picture(line, search, replicas, 5 if quick else 2))


if __name__ == "__main__":
    Study(__file__, main).command()
