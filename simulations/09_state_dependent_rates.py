"""Rates that depend on the place: resets where they hurt nobody beat the best constant rate.

Claim
-----
Diffusion in ``rs.Landscape(..., rate=r)``, reset at the rate r(x), from 1 to the target at 0: the
simulated mean is that of the backward equation with the same rate (``rs.first_passage``), for free
diffusion with a rate that grows as the square of the distance and one that begins beyond the start,
for drift away with the latter, and for a walker uphill in a parabola, each at eight strengths: no
score beyond the family-wise 99 % bar (Holm), and a chi-square test of all scores. The wrong-model
twin, a constant rate equal to r at the start or, where that is zero, just beyond the border, must
be rejected by the same judgement.

Free diffusion that is called back only beyond 1.2, at a high rate, arrives sooner than with the
best constant rate, and than with the best fixed period, which bounds every protocol that does not
look at the place (five standard errors).

Cost: one minute of processor time in full (4 * 10^4 paths a point), seven seconds in quick mode
(two strengths, without the parabola), most of it for compiling each rate.

Reference: M. R. Evans, S. N. Majumdar, J. Phys. A 44, 435001 (2011); E. Roldan, S. Gupta, Phys.
Rev. E 96, 022130 (2017); B. De Bruyne, J. Randon-Furling, S. Redner, Phys. Rev. Lett. 125, 050602
(2020).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

import resetsgd as rs
from resetsgd.campaign.study import Status, Study, Verdict
from resetsgd.plots import ACCENT, INK, MEASURED, PREDICTED, REFERENCE, style
from resetsgd.statistics import family_verdict

LEVEL, RELEVANT = 0.99, 0.05
STRENGTHS = np.geomspace(0.2, 60.0, 8)
BORDER = 1.2
CLEAR = 5.0


Rate = Callable[[Any], Any]


def parabola(strength: float) -> Rate:
    """As the square of the distance."""
    return lambda x: strength * x * x


def beyond(strength: float) -> Rate:
    """Constant beyond the border, zero before it."""
    return lambda x: strength * (x > BORDER)


def none(x: Any) -> Any:
    """No drift."""
    return 0.0 * x


def away(x: Any) -> Any:
    """Drift away from the target."""
    return 0.5 + 0.0 * x


def uphill(x: Any) -> Any:
    """A parabola around 1.5."""
    return 1.5 - x


@dataclass(frozen=True)
class Case:
    """A drift and the shape of a rate."""

    drift: Callable[[Any], Any]
    shape: Callable[[float], Rate]
    typical: float
    colour: str
    diffusivity: float = 1.0

    def process(self, strength: float) -> rs.Landscape:
        """The motion with its resets."""
        breaks = (BORDER,) if self.shape is beyond else ()
        return rs.Landscape(
            drift=self.drift, diffusivity=self.diffusivity, rate=self.shape(strength), reset_to=1.0,
            breaks=breaks,
        )  # fmt: skip

    def theory(self, strength: float) -> float:
        """The exact mean."""
        return float(rs.first_passage(self.process(strength), 1.0, 0.0).mean())

    def constant(self, strength: float) -> float:
        """The wrong model: one rate everywhere."""
        free = rs.Landscape(drift=self.drift, diffusivity=self.diffusivity)
        protocol = rs.Poisson(strength * self.typical)
        return float(rs.first_passage(free, 1.0, 0.0).under(protocol).mean())


CASES = {
    "free, $r \\propto x^2$": Case(none, parabola, 1.0, PREDICTED),
    f"free, $r$ beyond {BORDER:g}": Case(none, beyond, 1.0, MEASURED),
    f"drift away, $r$ beyond {BORDER:g}": Case(away, beyond, 1.0, ACCENT),
    "uphill in a parabola, $r \\propto x^2$": Case(uphill, parabola, 1.0, INK, 0.5),
}


def simulated(case: Case, strength: float, paths: int, seed: int) -> tuple[float, float]:
    """Mean and standard error."""
    S = rs.simulate(
        case.process(strength), 1.0, 0.0, paths=paths, seed=seed, horizon=1e4, budget=10**12
    )
    return float(S.mean()), float(S.stderr())


@style()
def picture(
    mean: np.ndarray, stderr: np.ndarray, z: np.ndarray, bar: float, limits: tuple[float, float],
    strengths: np.ndarray, paths: int, points: int,
) -> Figure:  # fmt: skip
    """Means against the strength of the rate; scores."""
    drawing = Figure(figsize=(6.8, 7.2), layout="constrained")
    top, low = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    fine = np.geomspace(STRENGTHS[0], STRENGTHS[-1], points)
    for k, (word, case) in enumerate(list(CASES.items())[: len(mean)]):
        top.plot(fine, [case.theory(float(s)) for s in fine], color=case.colour, lw=1.4)
        top.errorbar(strengths, mean[k], 3 * stderr[k], fmt="o", ms=5, mfc="white", capsize=2,
                     color=case.colour, label=word)  # fmt: skip
        low.plot(strengths, z[k], "o", ms=5, mfc="white", color=case.colour)
    for value, word in zip(limits, ("best constant rate", "best fixed period"), strict=True):
        top.axhline(value, color=REFERENCE, lw=1.2, ls=(0, (5, 3)))
        top.text(7.0, value * 1.015, f"free, {word}", size=8, color=INK, va="bottom")
    top.set(xscale="log", yscale="log", ylabel="mean passage time  $D\\langle T\\rangle/L^2$")
    ticks = [0.5, 0.7, 1.0, 2.0, 5.0, 10.0, 20.0]
    top.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    top.set_yticks([], minor=True)
    top.set_title(f"Rates r(x): lines are theory, points {paths:,} paths")
    top.legend(loc="upper left")
    low.axhspan(-bar, bar, color="0.93", zorder=0)
    low.axhline(0.0, color=INK, lw=0.8)
    low.set(xlabel="strength of the rate", ylabel="simulated − theory\n(standard errors)",
            ylim=(-bar - 0.8, bar + 0.8))  # fmt: skip
    return drawing


def main(quick: bool) -> Verdict:
    """Simulate all rates and judge them."""
    paths = 5000 if quick else 40_000
    strengths = STRENGTHS[3::4] if quick else STRENGTHS
    cases = list(CASES.values())[: 3 if quick else 4]
    rows = [
        [simulated(case, float(s), paths, 100 * i + j) for j, s in enumerate(strengths)]
        for i, case in enumerate(cases)
    ]
    mean, stderr = np.array(rows).transpose(2, 0, 1)
    exact = np.array([[case.theory(float(s)) for s in strengths] for case in cases])
    wrong = np.array([[case.constant(float(s)) for s in strengths] for case in cases])
    z = (mean - exact) / stderr
    bar = float(stats.norm.isf((1.0 - LEVEL) / (2 * z.size)))
    seen = (bar + stats.norm.isf(0.1)) * stderr / exact
    chi = float(stats.chi2.sf((z**2).sum(), z.size))
    relevant = 2 * RELEVANT if quick else RELEVANT
    status: Status = family_verdict(z.ravel(), seen.ravel(), level=LEVEL, relevant=relevant)
    wrong_z = (mean - wrong) / stderr
    rejected = [
        family_verdict(scores, np.zeros(scores.size), level=LEVEL) == "fails" for scores in wrong_z
    ]
    free = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), 1.0, 0.0)
    limits = float(free.best(rs.Poisson).mean), float(free.best(rs.Sharp).mean)
    least = int(mean[1].argmin())
    gain = (limits[1] - mean[1, least]) / stderr[1, least]
    if status == "holds" and not all(rejected):
        status = "underpowered"
    if chi < 1.0 - LEVEL or gain < 0:
        status = "fails"
    elif gain < CLEAR:
        status = "underpowered" if quick else "fails"
    sentence = (
        f"largest of {z.size} scores {np.abs(z).max():.2f} standard errors, chi-square p ="
        f" {chi:.2f} (n = {paths:,} a point), a deviation of {seen.max():.1%} would have been seen;"
        f" a constant rate is rejected for {sum(rejected)} of {len(rejected)} (largest score"
        f" {np.abs(wrong_z).max():.0f}); called back beyond {BORDER:g} at rate"
        f" {strengths[least]:.0f} free diffusion needs {mean[1, least]:.3f} ±"
        f" {stderr[1, least]:.3f}, against {limits[0]:.3f} at the best constant rate and"
        f" {limits[1]:.3f} with the best fixed period ({gain:.0f} standard errors)"
    )
    numbers = {
        "paths": paths,
        "level": LEVEL,
        "relevant": relevant,
        "cases": list(CASES)[: len(cases)],
        "strengths": strengths.tolist(),
        "mean": mean.tolist(),
        "stderr": stderr.tolist(),
        "exact": exact.tolist(),
        "z": z.tolist(),
        "largest_score": float(np.abs(z).max()),
        "chi_square_p": chi,
        "seen_with_power_0.9": float(seen.max()),
        "best_constant_rate": limits[0],
        "best_fixed_period": limits[1],
        "below_fixed_period_z": float(gain),
        "twin": {"constant_rate": wrong.tolist(), "z": wrong_z.tolist(), "rejected": rejected},
    }
    drawing = picture(mean, stderr, z, bar, limits, strengths, paths, 8 if quick else 29)
    return Verdict(status, sentence, numbers, drawing)


if __name__ == "__main__":
    Study(__file__, main).command()
