"""Momentum: mini-batch SGD with momentum is the dictionary's particle with inertia, also reset.

Claim
-----
Mini-batch SGD with momentum beta on corrupted labels, at fixed learning rate: its passage times
from a checkpoint to a level of the projection on the teacher, without resets and under a coin at
each step, are those of a particle of one coordinate with the same momentum. For beta = 0 that is
the exact theory of the walk with normal steps of the V and D of ``resetsgd.sgd``; else there is no
exact theory, and it is a walk in plain NumPy whose pushes are drawn from means of batches of the
gradients of the single samples. No score lies beyond the family-wise 99 % bar (Holm), and a
chi-square test of all. A particle in which momentum enters the diffusivity once, by 1/(1 - beta),
must be rejected by the same judgement. (With normal pushes the way against a strong drift, Péclet
number -5 without momentum, is a tenth too short: there the tails of the gradients count.)

Momentum turns the verdict on resets: it multiplies the Péclet number by 1 - beta, and where resets
cost without it (Péclet number 2) they pay with beta = 0.8 (five standard errors each).

Whether a reset drops the velocity or leaves it alone matters as much as there are resets in a
memory, p/(1 - beta): y = x + beta v/(1 - beta) moves as without momentum, and begins anew where the
kept velocity puts it, on average downstream and spread. With drift to the target, keeping it helps;
with strong drift away it costs, with weak drift away and frequent resets it helps (four standard
errors each).

Cost: two minutes of processor time in full (40,000 replicas a point), ten seconds in quick mode,
which sees deviations of 20 % and asks for three standard errors.

Reference: Y. Bae, Y. Song and H. Jeong, MLST 6, 015062 (2025); momentum: S. Mandt, M. D. Hoffman,
D. M. Blei, JMLR 18, 134 (2017); the shift of the target: ``13_momentum.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import optimize, stats

import resetsgd as rs
from resetsgd.campaign.study import Status, Study, Verdict
from resetsgd.plots import ACCENT, INK, MEASURED, PREDICTED, REFERENCE, figure, style
from resetsgd.sgd import BARRIER_SHIFT, drift_diffusion
from resetsgd.statistics import family_verdict

LEVEL = 0.99
CLEAR, SIGN = 5.0, 4.0
SLOW, BATCH, LENGTH = 1e-9, 10, 30.0
"""A learning rate that leaves gradients as they are; L in standard deviations of a step."""
TASK = rs.LinearTask.drawn(200, 20, noise_rate=0.4, seed=1)
UNIT = TASK.teacher / np.linalg.norm(TASK.teacher)


@dataclass(frozen=True)
class Point:
    """SGD at one momentum from one checkpoint, under one coin."""

    peclet: float
    """Without momentum, at the checkpoint."""
    momentum: float
    strength: float
    """Of the coin, p L^2 / D; zero for no resets."""
    keep: bool = False

    @property
    def velocity(self) -> float:
        """V without momentum, in standard deviations of a step."""
        return self.peclet / LENGTH

    @property
    def spare(self) -> float:
        """1 - momentum."""
        return 1.0 - self.momentum

    @property
    def coin(self) -> float:
        """Its probability."""
        return self.strength * 0.5 / self.spare**2 / LENGTH**2

    def particle(self, shift: float) -> float:
        """Mean steps of the particle without inertia, the target moved away."""
        walk = rs.DriftDiffusion(self.velocity / self.spare, 0.5 / self.spare**2)
        law = rs.first_passage(walk, 0.0, LENGTH + shift)
        return float(
            law.mean() if self.strength == 0 else law.under(rs.Geometric(self.coin)).mean()
        )

    @property
    def advantage(self) -> float:
        """The logarithm by which a kept velocity shortens the mean, to leading order.

        y = x + momentum v/(1 - momentum) begins anew where the velocity puts it, which is normal.
        """
        v, d = self.velocity / self.spare, 0.5 / self.spare**2
        rate = -np.log1p(-self.coin)
        slope = (-v + np.sqrt(v * v + 4.0 * d * rate)) / (2.0 * d)
        lever = self.momentum / self.spare
        spread = lever**2 / (1.0 - self.momentum**2)
        return float(slope * lever * v + 0.5 * slope**2 * spread)


KEPT = ((2.0, 0.5), (2.0, 0.8), (-5.0, 0.8), (-2.5, 0.8))
"""Péclet numbers without momentum, and momenta, with which a kept velocity is tried."""
GRID, STRONG, WEAK = (1.0, 2.5, 6.25), (1.0, 0.5, 2.0), (8.0, 4.0, 2.0)


def points(quick: bool) -> list[Point]:
    """With drift toward the target, and strong and weak drift away; a selection in quick mode."""
    grid, few = (GRID[::2], 1) if quick else (GRID, 3)
    betas = (0.8,) if quick else (0.5, 0.8)
    return [
        *(Point(2.0, beta, strength) for beta in (0.0, *betas) for strength in (0.0, *grid)),
        *(Point(2.0, beta, strength, keep=True) for beta in betas for strength in grid),
        *(Point(-5.0, 0.8, s, keep=keep) for keep in (False, True) for s in STRONG[:few]),
        *(Point(-2.5, 0.8, s, keep=keep) for keep in (False, True) for s in WEAK[:few]),
    ]  # fmt: skip


@cache
def checkpoint(peclet: float) -> tuple[Any, float]:
    """A weight on the way to the teacher where the dictionary has this drift; step there."""

    def along(share: float) -> Any:
        return drift_diffusion(
            **TASK.gradient_statistics(share * TASK.teacher), direction=UNIT, learning_rate=SLOW,
            batch_size=BATCH,
        )  # fmt: skip

    def off(share: float) -> float:
        here = along(share)
        return float(here.velocity) / float(here.step) - peclet / LENGTH

    share = float(optimize.brentq(off, -1.0, 2.0))
    return share * TASK.teacher, float(along(share).step)


def trained(point: Point, replicas: int, seed: int) -> tuple[float, float]:
    """Mean steps of mini-batch SGD, and standard error."""
    start, step = checkpoint(point.peclet)
    S = rs.simulate_sgd(
        TASK, rs.Reaches("projection", above=LENGTH * step), start, learning_rate=SLOW,
        batch_size=BATCH, momentum=point.momentum, keep_velocity=point.keep, direction=UNIT,
        protocol=rs.Geometric(point.coin) if point.strength else None, replicas=replicas,
        horizon=10**9, seed=seed,
    )  # fmt: skip
    return float(S.mean()), float(S.stderr())


@cache
def pushes(peclet: float, normal: bool) -> np.ndarray:
    """Many batches' pushes along the direction, of mean zero and variance one."""
    generator = np.random.default_rng(1)
    if normal:
        found = generator.standard_normal(2**18)
    else:
        single = -TASK.sample_gradients(checkpoint(peclet)[0]) @ UNIT
        found = single[generator.integers(single.size, size=(2**18, BATCH))].mean(axis=1)
    return np.asarray((found - found.mean()) / found.std())


def walked(
    point: Point, walkers: int, seed: int, *, noise: float = 1.0, normal: bool = False
) -> tuple[float, float, float]:
    """The particle in plain NumPy: mean steps, standard error, shift of the target.

    ``noise`` is the standard deviation of a step without momentum, 1 but for the twin.
    """
    generator = np.random.default_rng(seed)
    made = pushes(point.peclet, normal)
    x, v = np.zeros(walkers), np.zeros(walkers)
    times, beyond = [], []
    for step in range(1, 10**6):
        push = made[generator.integers(made.size, size=x.size)]
        v = point.momentum * v + point.velocity + noise * push
        x = x + v
        if point.strength:
            again = generator.random(x.size) < point.coin
            x[again] = 0.0
            if not point.keep:
                v[again] = 0.0
        there = x >= LENGTH
        if there.any():
            times.append(np.full(np.count_nonzero(there), step))
            beyond.append((x + point.momentum / point.spare * v)[there] - LENGTH)
            x, v = x[~there], v[~there]
            if not x.size:
                break
    if x.size:
        raise RuntimeError(f"{x.size} walkers have not arrived")
    time = np.concatenate(times).astype(np.float64)
    return (
        float(time.mean()),
        float(time.std() / np.sqrt(time.size)),
        float(np.concatenate(beyond).mean()),
    )


def said(point: Point, walkers: int, seed: int) -> tuple[float, float, float]:
    """What the particle does: exactly without momentum, else by its walk; the shift."""
    if point.momentum == 0:
        walk = rs.RandomWalk(stats.norm(-point.velocity, 1.0))
        law = rs.first_passage(walk, LENGTH, 0.0)
        mean = law.mean() if point.strength == 0 else law.under(rs.Geometric(point.coin)).mean()
        return float(mean), 0.0, BARRIER_SHIFT
    return walked(point, walkers, seed)


@dataclass(frozen=True)
class Training:
    """What SGD did and what the particle does, one entry a point."""

    points: list[Point]
    mean: np.ndarray
    stderr: np.ndarray
    said: np.ndarray
    said_stderr: np.ndarray
    shift: np.ndarray

    @classmethod
    def done(cls, made: list[Point], replicas: int, walkers: int) -> Training:
        """Train and walk."""
        runs = np.array([trained(p, replicas, k) for k, p in enumerate(made)])
        words = np.array([said(p, walkers, 500 + k) for k, p in enumerate(made)])
        return cls(made, runs[:, 0], runs[:, 1], words[:, 0], words[:, 1], words[:, 2])

    def row(self, **wanted: Any) -> list[int]:
        """Numbers of the points that have these attributes."""
        return [
            k for k, point in enumerate(self.points)
            if all(getattr(point, name) == value for name, value in wanted.items())
        ]  # fmt: skip

    @property
    def z(self) -> np.ndarray:
        """Scores."""
        return np.asarray((self.mean - self.said) / np.hypot(self.stderr, self.said_stderr))

    def effect(self, momentum: float) -> tuple[float, float]:
        """Change of the mean by the best coin of the grid, relative, and its score."""
        free = self.row(peclet=2.0, momentum=momentum, strength=0.0)[0]
        others = [k for k in self.row(peclet=2.0, momentum=momentum, keep=False) if k != free]
        best = others[int(self.mean[others].argmin())]
        gap = self.mean[best] - self.mean[free]
        error = np.hypot(self.stderr[best], self.stderr[free])
        return float(gap / self.mean[free]), float(gap / error)

    def kept(self, peclet: float, momentum: float) -> Kept:
        """What leaving the velocity alone changes."""
        keep = self.row(peclet=peclet, momentum=momentum, keep=True)
        strengths = np.array([self.points[k].strength for k in keep])
        drop = [
            self.row(peclet=peclet, momentum=momentum, keep=False, strength=s)[0] for s in strengths
        ]
        ratio = np.log(self.mean[drop] / self.mean[keep])
        error = np.hypot(self.stderr[drop] / self.mean[drop], self.stderr[keep] / self.mean[keep])
        return Kept(strengths, ratio, error)


@dataclass(frozen=True)
class Kept:
    """Log ratios of means, velocity dropped over kept, and their errors."""

    strength: np.ndarray
    ratio: np.ndarray
    error: np.ndarray

    def at(self, strength: float) -> tuple[float, float]:
        """Share of the time saved by keeping it, and its score."""
        k = int(np.flatnonzero(self.strength == strength)[0])
        return float(-np.expm1(-self.ratio[k])), float(self.ratio[k] / self.error[k])


@style()
def picture(training: Training, replicas: int) -> Figure:
    """Means against the coin; what a kept velocity saves."""
    drawing, (left, right) = figure(9.8, 4.6, 2)
    fine = np.geomspace(0.5, 12.0, 60)
    for beta, colour in zip((0.0, 0.5, 0.8), (PREDICTED, ACCENT, MEASURED), strict=True):
        own = training.row(peclet=2.0, momentum=beta, keep=False)
        if not own:
            continue
        scale = 0.5 / ((1.0 - beta) * LENGTH) ** 2
        shift = float(training.shift[own[0]])
        left.plot(fine, [Point(2.0, beta, s).particle(shift) * scale for s in fine], color=colour,
                  lw=1.3)  # fmt: skip
        left.errorbar(
            [training.points[k].strength for k in own[1:]], training.mean[own[1:]] * scale,
            3.0 * training.stderr[own[1:]] * scale, fmt="o", color=colour, mfc="white", ms=5,
            capsize=2, label=f"$\\beta$ = {beta:g}, Pe = {2.0 * (1.0 - beta):g}",
        )  # fmt: skip
        left.axhline(training.mean[own[0]] * scale, color=colour, lw=1, ls=(0, (5, 3)))
    left.set(xscale="log", yscale="log", xlabel="coin  $pL^2/D$",
             ylabel="mean passage time  $D\\langle T\\rangle/L^2$")  # fmt: skip
    left.set_xticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    left.set_xticks([], minor=True)
    marks = [0.2, 0.3, 0.5, 0.7, 1.0, 2.0, 3.0]
    left.set_yticks(marks, [f"{mark:g}" for mark in marks])
    left.set_yticks([], minor=True)
    left.legend(loc="upper left", fontsize=8)
    left.set_title("Lines: target moved; dashed: no resets")

    fine = np.geomspace(0.4, 10.0, 60)
    for (peclet, beta), colour in zip(KEPT, (ACCENT, MEASURED, PREDICTED, REFERENCE), strict=True):
        found = training.kept(peclet, beta)
        if not found.strength.size:
            continue
        curve = [-100.0 * np.expm1(-Point(peclet, beta, s).advantage) for s in fine]
        right.plot(fine, curve, color=colour, lw=1.3)
        right.errorbar(
            found.strength, -100.0 * np.expm1(-found.ratio),
            300.0 * found.error * np.exp(-found.ratio), fmt="o", color=colour, mfc="white", ms=5,
            capsize=2, label=f"$\\beta$ = {beta:g}, Pe = {peclet * (1.0 - beta):g}",
        )  # fmt: skip
    right.axhline(0.0, color=INK, lw=0.8)
    right.set(xscale="log", xlabel="coin  $pL^2/D$",
              ylabel="time saved by keeping the velocity (%)")  # fmt: skip
    right.set_xticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    right.set_xticks([], minor=True)
    right.legend(loc="best", fontsize=8)
    right.set_title(f"{replicas:,} replicas; lines: leading order")
    return drawing


def main(quick: bool) -> Verdict:
    """Train, walk, and judge."""
    replicas, walkers = (5000, 1500) if quick else (40_000, 40_000)
    clear, sign, relevant = (3.0, 3.0, 0.20) if quick else (CLEAR, SIGN, 0.05)
    training = Training.done(points(quick), replicas, walkers)
    z = training.z
    bar = float(stats.norm.isf((1.0 - LEVEL) / (2 * z.size)))
    seen = (bar + stats.norm.isf(0.1)) * np.hypot(training.stderr, training.said_stderr)
    seen = seen / training.said
    chi = float(stats.chi2.sf((z**2).sum(), z.size))
    status: Status = family_verdict(z, seen, level=LEVEL, relevant=relevant)
    once = training.row(momentum=0.8, peclet=2.0, keep=False)
    wrong_z = []
    for k in once:
        point = training.points[k]
        mean, error, _ = walked(point, walkers, 900 + k, noise=float(np.sqrt(point.spare)))
        wrong_z.append((training.mean[k] - mean) / np.hypot(training.stderr[k], error))
    twin = family_verdict(wrong_z, np.zeros(len(wrong_z)), level=LEVEL) == "fails"

    without, with_it = training.effect(0.0), training.effect(0.8)
    toward = training.kept(2.0, 0.8).at(GRID[-1])
    strong, weak = training.kept(-5.0, 0.8).at(STRONG[0]), training.kept(-2.5, 0.8).at(WEAK[0])
    pays = min(without[1], -with_it[1]) > clear
    signs = min(toward[1], -strong[1], weak[1]) > sign
    tail = training.row(peclet=-5.0, keep=False, strength=STRONG[0])[0]
    plain = walked(training.points[tail], walkers, 990, normal=True)
    off = (
        float(plain[0] / training.said[tail] - 1.0),
        float(np.hypot(plain[1], training.said_stderr[tail]) / training.said[tail]),
    )
    if status == "holds" and not twin:
        status = "underpowered"
    if chi < 1.0 - LEVEL:
        status = "fails"
    elif status == "holds" and not (pays and signs):
        status = "underpowered" if quick else "fails"
    sentence = (
        f"largest of {z.size} scores {np.abs(z).max():.2f} standard errors, chi-square p ="
        f" {chi:.2f} (n = {replicas:,} a point), a deviation of {seen.max():.1%} would have been"
        f" seen; momentum once in D is {'rejected' if twin else 'NOT rejected'} (largest score"
        f" {np.abs(wrong_z).max():.0f}), normal pushes against the strong drift are off by"
        f" {off[0]:+.1%} ± {off[1]:.1%}; the best coin changes the mean by {without[0]:+.0%}"
        f" ({without[1]:+.0f} errors) without momentum and by {with_it[0]:+.0%}"
        f" ({with_it[1]:+.0f}) with 0.8; keeping the velocity saves {toward[0]:+.0%} there at"
        f" frequent resets ({toward[1]:+.0f}), with strong drift away {strong[0]:+.0%}"
        f" ({strong[1]:+.0f}), with weak {weak[0]:+.0%} at frequent resets ({weak[1]:+.0f})"
    )
    numbers = {
        "replicas": replicas,
        "walkers": walkers,
        "level": LEVEL,
        "relevant": relevant,
        "points": [repr(p) for p in training.points],
        "coins": [p.coin for p in training.points],
        "mean": training.mean.tolist(),
        "stderr": training.stderr.tolist(),
        "said": training.said.tolist(),
        "said_stderr": training.said_stderr.tolist(),
        "shift": training.shift.tolist(),
        "z": z.tolist(),
        "largest_score": float(np.abs(z).max()),
        "chi_square_p": chi,
        "seen_with_power_0.9": float(seen.max()),
        "best_coin": {"momentum 0": without, "momentum 0.8": with_it},
        "kept_velocity": {"toward": toward, "strong": strong, "weak": weak},
        "normal_pushes_off_by": off,
        "twin": {"momentum_once_z": [float(x) for x in wrong_z], "rejected": twin},
    }
    return Verdict(status, sentence, numbers, picture(training, replicas))


if __name__ == "__main__":
    Study(__file__, main).command()
