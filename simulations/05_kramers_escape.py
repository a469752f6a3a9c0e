"""Escape from a noisy minimum: resets slow it down from the bottom, and speed it up from the slope.

Claim
-----
In the double well U = (x^2 - 1)^2, from the bottom of the left well to that of the right one, the
simulated mean escape time is the exact one (``rs.first_passage``) for noise D from 0.5 to 0.15, and
in the well with D = 0.25 also under Poisson resets to eight checkpoints, from the bottom to the
saddle: no score beyond the family-wise 99 % bar (Holm), and a chi-square test of all scores.
Kramers' formula, 2 pi / sqrt(U''(-1) abs(U''(0))) exp(1/D), the leading order for small D, is the
wrong-model twin: it must be rejected by the same judgement, at D = 0.5 to 0.25. It is approached
as D falls.

Escape from the bottom is a matter of rare luck that does not age: its coefficient of variation is a
little below one, and resets only cost. From a checkpoint beyond x = -0.63, where theory puts CV at
1, the walker either goes straight over or falls back, and calling it back pays: at the best rate
the simulated mean is below the reset-free one for every checkpoint from -0.5 on, and above it, at
rate 0.25, for those at -1 and -0.8 (five standard errors each).

Cost: one minute of processor time in full (2 * 10^4 paths a point), seven seconds in quick mode.

Reference: H. A. Kramers, Physica 7, 284 (1940); P. Hänggi, P. Talkner, M. Borkovec, Rev. Mod. Phys.
62, 251 (1990); resets of barrier crossing: S. Ray, S. Reuveni, J. Chem. Phys. 152, 234110 (2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

import resetsgd as rs
from resetsgd.campaign.study import Status, Study, Verdict
from resetsgd.plots import ACCENT, INK, MEASURED, PREDICTED, REFERENCE, figure, style
from resetsgd.statistics import family_verdict

LEVEL, RELEVANT = 0.99, 0.10
NOISES = (0.5, 0.35, 0.25, 0.2, 0.15)
NOISE = 0.25
CHECKPOINTS = (-1.0, -0.8, -0.6, -0.5, -0.4, -0.3, -0.15, 0.0)
HARMFUL = 0.25
CLEAR = 5.0


def height(x: Any) -> Any:
    """The potential: minima at -1 and 1, a barrier of height 1 at 0."""
    return (x * x - 1.0) ** 2


def well(noise: float) -> rs.Landscape:
    """The motion in it."""
    return rs.Landscape(height, diffusivity=noise)


def kramers(noise: np.ndarray) -> np.ndarray:
    """Leading order of the mean escape time for small noise."""
    return np.asarray(2.0 * np.pi / np.sqrt(8.0 * 4.0) * np.exp(1.0 / noise))


@dataclass(frozen=True)
class Points:
    """Simulated and exact means."""

    mean: np.ndarray
    stderr: np.ndarray
    exact: np.ndarray

    @property
    def z(self) -> np.ndarray:
        """Scores."""
        return np.asarray((self.mean - self.exact) / self.stderr)


def ladder(noises: tuple[float, ...], paths: int) -> Points:
    """Escape from the bottom, without resets, at several noises."""
    rows = []
    for k, noise in enumerate(noises):
        exact = float(rs.first_passage(well(noise), -1.0, 1.0).mean())
        # The tail is exponential: nobody is left at fifty times the mean.
        S = rs.simulate(
            well(noise), -1.0, 1.0, paths=paths, seed=k, horizon=50.0 * exact, budget=10**12
        )
        rows.append((S.mean(), S.stderr(), exact))
    return Points(*np.array(rows).T)


def slope(paths: int) -> tuple[Points, np.ndarray, np.ndarray]:
    """Resets to checkpoints on the way up: means, reset-free means and rates."""
    rows, free, rates = [], [], []
    for k, place in enumerate(CHECKPOINTS):
        law = rs.first_passage(well(NOISE), place, 1.0)
        best = law.best(rs.Poisson)
        rate = float(best.rate) if best.pays else HARMFUL
        protocol = rs.Poisson(rate)
        S = rs.simulate(well(NOISE), place, 1.0, protocol, paths=paths, seed=100 + k, budget=10**12)
        rows.append((S.mean(), S.stderr(), law.under(protocol).mean()))
        free.append(law.mean())
        rates.append(rate)
    return Points(*np.array(rows).T), np.array(free), np.array(rates)


@style()
def picture(
    noises: tuple[float, ...], up: Points, hill: Points, free: np.ndarray, at: float, paths: int
) -> Figure:
    """Arrhenius plot; and the effect of resets against the checkpoint, over the landscape."""
    drawing, (left, right) = figure(9.6, 4.4, 2)
    fine = np.linspace(min(noises), max(noises), 60)
    exact = np.array([rs.first_passage(well(D), -1.0, 1.0).mean() for D in fine])
    left.plot(1.0 / fine, exact, color=PREDICTED, label="exact")
    left.plot(1.0 / fine, kramers(fine), color=REFERENCE, ls=(0, (5, 3)), lw=1.5, label="Kramers")
    left.errorbar(1.0 / np.array(noises), up.mean, 3 * up.stderr, fmt="o", color=MEASURED,
                  mfc="white", capsize=2, label="simulated ± 3 standard errors")  # fmt: skip
    left.set(
        yscale="log",
        xlabel="barrier over noise  $\\Delta U/D$",
        ylabel="mean escape time  (dimensionless)",
    )
    left.set_title("From the bottom, no resets")
    left.legend(loc="upper left")

    x = np.linspace(-1.12, 0.06, 119)
    gain = []
    for place in x:
        law = rs.first_passage(well(NOISE), float(place), 1.0)
        gain.append(law.mean() / law.best(rs.Poisson).mean)
    right.fill_between(x, 0.55 * (1 + 0.6 * height(x)), 0.55, color="0.93", lw=0, zorder=0)
    right.plot(x, gain, color=PREDICTED, label="best Poisson rate, theory")
    ratio = free / hill.mean
    right.errorbar(CHECKPOINTS, ratio, 3 * ratio * hill.stderr / hill.mean, fmt="o", mfc="white",
                   color=MEASURED, capsize=2, label="simulated (0.25 if none pays)")  # fmt: skip
    right.axvline(at, color=ACCENT, lw=1.2)
    right.text(at - 0.02, 2.2, f"CV = 1 at {at:.2f}", color=INK, size=9, rotation=90, ha="right")
    right.axhline(1.0, color=INK, lw=0.8)
    right.set(yscale="log", xlabel="checkpoint  $x$  (grey: the landscape)",
              ylabel="reset-free mean over mean with resets")  # fmt: skip
    right.set_ylim(0.55, 25.0)
    ticks = [0.6, 1.0, 2.0, 5.0, 10.0, 20.0]
    right.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    right.set_yticks([], minor=True)
    right.set_title(f"Resets to a checkpoint, D = {NOISE:g}, {paths:,} paths")
    right.legend(loc="upper left")
    return drawing


def main(quick: bool) -> Verdict:
    """Simulate the ladder of noises and the checkpoints, and judge them."""
    paths = 4000 if quick else 20_000
    noises = NOISES[:3] if quick else NOISES
    up = ladder(noises, paths)
    hill, free, rates = slope(paths)
    z = np.concatenate([up.z, hill.z])
    exact = np.concatenate([up.exact, hill.exact])
    bar = float(stats.norm.isf((1.0 - LEVEL) / (2 * z.size)))
    seen = (bar + stats.norm.isf(0.1)) * np.concatenate([up.stderr, hill.stderr]) / exact
    chi = float(stats.chi2.sf((z**2).sum(), z.size))
    status: Status = family_verdict(z, seen, level=LEVEL, relevant=RELEVANT)

    formula = kramers(np.array(noises))
    wrong_z = (up.mean - formula) / up.stderr
    off = formula / up.exact - 1.0
    twin = family_verdict(wrong_z[:3], seen[:3], level=LEVEL) == "fails"
    closer = bool((np.diff(np.abs(off)) < 0).all())

    (found,) = rs.critical(
        lambda x: rs.first_passage(well(NOISE), float(x), 1.0), -1.0, -0.2, points=9
    )
    effect = (hill.mean - free) / hill.stderr
    places = np.array(CHECKPOINTS)
    harm, help_ = effect[places <= -0.8], effect[places >= -0.5]
    signs = bool(harm.min() > CLEAR and help_.max() < -CLEAR)
    if status == "holds" and not twin:
        status = "underpowered"
    if chi < 1.0 - LEVEL or not closer:
        status = "fails"
    elif not signs:
        status = "underpowered" if quick else "fails"
    speedup = (free / hill.mean)[places >= -0.5]
    sentence = (
        f"largest of {z.size} scores {np.abs(z).max():.2f} standard errors, chi-square p ="
        f" {chi:.2f} (n = {paths:,} a point), a deviation of {seen.max():.1%} would have been seen;"
        f" Kramers' formula, off by {off[0]:+.0%} at D = {noises[0]:g} and {off[-1]:+.0%} at"
        f" {noises[-1]:g}, is {'rejected' if twin else 'NOT rejected'} (largest score"
        f" {np.abs(wrong_z[:3]).max():.0f}); resets to the bottom cost (least score"
        f" {harm.min():.0f}), to checkpoints from -0.5 on they pay (least {-help_.max():.0f},"
        f" speedups {speedup.min():.2f} to {speedup.max():.1f});"
        f" theory puts the border at {found.at:.3f}"
    )
    numbers = {
        "paths": paths,
        "level": LEVEL,
        "relevant": RELEVANT,
        "noises": list(noises),
        "escape": {"mean": up.mean.tolist(), "stderr": up.stderr.tolist(),
                   "exact": up.exact.tolist(), "z": up.z.tolist()},
        "checkpoints": {"place": list(CHECKPOINTS), "rate": rates.tolist(), "free": free.tolist(),
                        "mean": hill.mean.tolist(), "stderr": hill.stderr.tolist(),
                        "exact": hill.exact.tolist(), "z": hill.z.tolist(),
                        "effect_z": effect.tolist()},
        "largest_score": float(np.abs(z).max()),
        "chi_square_p": chi,
        "seen_with_power_0.9": float(seen.max()),
        "border": found.at,
        "twin": {"kramers": formula.tolist(), "relative_error": off.tolist(),
                 "z": wrong_z.tolist(), "rejected": twin},
    }  # fmt: skip
    return Verdict(status, sentence, numbers, picture(noises, up, hill, free, found.at, paths))


if __name__ == "__main__":
    Study(__file__, main).command()
