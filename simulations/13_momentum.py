"""Inertia: a particle with friction sees its target 1.46 mean free paths farther away.

Claim
-----
A particle with friction gamma and diffusivity D keeps its velocity for a time 1/gamma. With it, y =
x + v/gamma moves exactly as the particle without inertia does, so that all that inertia changes is
where y is at the arrival: beyond the target by v/gamma. Starting at rest and put back at rest, it
arrives as if there were no inertia and the target were moved away by c = 1.4603 = -zeta(1/2) mean
free paths sqrt(D/gamma), up to terms of relative order 1/gamma; without the shift the mean passage
time is short by a relative error of order gamma^(-1/2). Simulated for free diffusion and for drift
away, at six frictions, under Poisson resets: the shift that makes the theory without inertia exact,
fitted as c plus a parabola in 1/sqrt(gamma), has the c of theory within three standard errors, and
scatters around the fit as its errors allow. Two wrong models must be rejected: no shift, and the
shift of an equilibrium at the target, sqrt(pi/2) = 1.2533 (which the quick mode cannot tell apart).

Cost: two minutes of processor time in full, six seconds in quick mode.

Reference: T. W. Marshall and E. J. Watson, J. Phys. A 18, 3531 (1985) and 20, 1345 (1987); P. S.
Hagan, C. R. Doering and C. D. Levermore, SIAM J. Appl. Math. 49, 1480 (1989). The derivation: y is
a Brownian motion with drift, so exp(a y - s t) with D a^2 + b a = s is a martingale; at the arrival
it says E[exp(-s T)] E[exp(a v/gamma)] = exp(-a L) to leading order, where v at the arrival is drawn
from the flux through an absorbing wall, whose mean is -zeta(1/2) thermal velocities.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from matplotlib.figure import Figure
from scipy import optimize, stats

import resetsgd as rs
from resetsgd import targets
from resetsgd.campaign.study import Status, Study, Verdict
from resetsgd.plots import ACCENT, INK, MEASURED, PREDICTED, REFERENCE, figure, style
from resetsgd.sgd import BARRIER_SHIFT

LEVEL = 0.99
MILNE = BARRIER_SHIFT * float(np.sqrt(2.0 * np.pi))
"""-zeta(1/2), as for a walk that is seen at its steps only."""
EQUILIBRIUM = float(np.sqrt(np.pi / 2.0))
FRICTIONS = np.array([12.5, 25.0, 50.0, 100.0, 200.0, 400.0])
DRIFTS, RATE = (0.0, 1.0), 2.5
"""Away from the target, which is at distance 1; D = 1."""
SHARE = 0.02
"""Time step over the memory of the velocity."""


def shifted(drift: float, shift: float) -> float:
    """Mean passage time without inertia, the target moved away."""
    walk = rs.DriftDiffusion(drift=drift, diffusivity=1.0)
    return float(rs.first_passage(walk, 1.0 + shift, 0.0).under(rs.Poisson(RATE)).mean())


def with_friction(drift: float, friction: float, paths: int, seed: int) -> tuple[float, float]:
    """Simulated mean with inertia, and its standard error."""
    process = rs.Langevin(drift=lambda x: (drift,), dimension=1, diffusivity=1.0, friction=friction)
    S = rs.simulate(
        process, [1.0], targets.half_space(0, 0.0, above=False), rs.Poisson(RATE), paths=paths,
        seed=seed, step=SHARE / friction, budget=10**13,
    )  # fmt: skip
    return float(S.mean()), float(S.stderr())


@dataclass(frozen=True)
class Layer:
    """Simulated means at all frictions, rows for drifts."""

    mean: np.ndarray
    stderr: np.ndarray

    @cached_property
    def shift(self) -> tuple[np.ndarray, np.ndarray]:
        """Shifts of the target, in mean free paths, that give these means; standard errors."""
        found, error = np.empty(self.mean.shape), np.empty(self.mean.shape)
        for (i, j), mean in np.ndenumerate(self.mean):
            drift, path = DRIFTS[i], FRICTIONS[j] ** -0.5
            place = float(optimize.brentq(lambda d, m=mean, b=drift: shifted(b, d) - m, -0.9, 9.0))
            slope = (shifted(drift, place + 1e-4) - shifted(drift, place - 1e-4)) / 2e-4
            found[i, j], error[i, j] = place / path, self.stderr[i, j] / slope / path
        return found, error

    @cached_property
    def fit(self) -> tuple[float, float, np.ndarray, float]:
        """The common limit and its error, the coefficients of the parabolas, chi-square p."""
        found, error = self.shift
        path = FRICTIONS**-0.5
        zero = np.zeros(path.size)
        rows = [
            np.column_stack([
                np.ones(path.size),
                *(term if k == i else zero for k in range(len(DRIFTS)) for term in (path, path**2)),
            ])
            for i in range(len(DRIFTS))
        ]  # fmt: skip
        design, weight = np.vstack(rows), 1.0 / error.ravel()
        spread = np.linalg.inv((design * weight[:, None] ** 2).T @ design)
        best = spread @ (design.T @ (weight**2 * found.ravel()))
        left = (found.ravel() - design @ best) * weight
        chi = float(stats.chi2.sf(left @ left, left.size - best.size))
        return float(best[0]), float(np.sqrt(spread[0, 0])), best[1:].reshape(-1, 2), chi

    def order(self, shift: float) -> tuple[float, float]:
        """Power of gamma with which the error of the theory with this shift falls, and its s.e."""
        theory = np.array([[shifted(b, shift * g**-0.5) for g in FRICTIONS] for b in DRIFTS])
        off, error = self.mean / theory - 1.0, self.stderr / theory
        size = np.abs(off)
        x = np.log(FRICTIONS)
        weight = size / error
        # One power, a factor for each drift.
        design = np.vstack([
            np.column_stack([x, *(np.full(x.size, float(k == i)) for k in range(len(DRIFTS)))])
            for i in range(len(DRIFTS))
        ])  # fmt: skip
        w = weight.ravel()
        spread = np.linalg.inv((design * w[:, None] ** 2).T @ design)
        best = spread @ (design.T @ (w**2 * np.log(size).ravel()))
        return float(-best[0]), float(np.sqrt(spread[0, 0]))


@style()
def picture(layer: Layer, paths: int) -> Figure:
    """Errors of the theory with and without the shift against friction; the shift."""
    drawing, (left, right) = figure(9.8, 4.6, 2)
    for k, (word, mark) in enumerate((("no drift", "o"), ("drift away", "s"))):
        for shift, colour in ((0.0, REFERENCE), (MILNE, MEASURED)):
            theory = np.array([shifted(DRIFTS[k], shift * g**-0.5) for g in FRICTIONS])
            off, error = layer.mean[k] / theory - 1.0, 3.0 * layer.stderr[k] / theory
            left.errorbar(
                FRICTIONS * 1.03 ** (2 * k - 1), np.abs(off), error, fmt=mark, color=colour,
                mfc="white", ms=5, capsize=2, lw=1,
                label=f"{word}, target {'moved' if shift else 'as it is'}",
            )  # fmt: skip
    fine = np.geomspace(9.0, 550.0, 50)
    left.plot(fine, 3.6 * fine**-0.5, color=INK, lw=1, ls=(0, (5, 3)))
    left.text(150.0, 0.34, "$\\gamma^{-1/2}$", color=INK)
    left.plot(fine, 1.1 / fine, color=INK, lw=1, ls=(0, (1, 2)))
    left.text(150.0, 0.011, "$\\gamma^{-1}$", color=INK)
    left.set(xscale="log", yscale="log", ylim=(3e-4, 4.0), xlabel="friction  $\\gamma L^2/D$",
             ylabel="relative error of the theory without inertia")  # fmt: skip
    left.legend(loc="lower left", fontsize=8)
    left.set_title(f"Simulated: {paths:,} paths a point")

    found, error = layer.shift
    limit, spread, coefficients, _ = layer.fit
    path = np.linspace(0.0, 0.3, 60)
    for k, (word, colour) in enumerate((("no drift", PREDICTED), ("drift away", ACCENT))):
        right.errorbar(FRICTIONS**-0.5 + 0.002 * (2 * k - 1), found[k], 3.0 * error[k], fmt="o",
                       color=colour, mfc="white", ms=5, capsize=2, label=word)  # fmt: skip
        curve = limit + coefficients[k, 0] * path + coefficients[k, 1] * path**2
        right.plot(path, curve, color=colour, lw=1.2)
    right.errorbar(0.0, limit, 3.0 * spread, fmt="D", color=INK, ms=5, capsize=3,
                   label="limit of the fit")  # fmt: skip
    for value, text in ((MILNE, "$-\\zeta(1/2)$"), (EQUILIBRIUM, "equilibrium, $\\sqrt{\\pi/2}$")):
        right.axhline(value, color=MEASURED if value == MILNE else REFERENCE, lw=1, ls=(0, (5, 3)))
        right.text(0.3, value, text, ha="right", va="bottom", size=9, color=INK)
    right.set(xlabel="mean free path  $\\ell/L$,  $\\ell = \\sqrt{D/\\gamma}$",
              ylabel="shift of the target  $/\\,\\ell$")  # fmt: skip
    right.legend(loc="center right", bbox_to_anchor=(1.0, 0.33), fontsize=8)
    right.set_title("What inertia adds to the distance")
    return drawing


def main(quick: bool) -> Verdict:
    """Simulate all frictions and judge the shift."""
    paths = 3000 if quick else 100_000
    rows = [
        [with_friction(b, g, paths, 10 * i + j) for j, g in enumerate(FRICTIONS)]
        for i, b in enumerate(DRIFTS)
    ]
    layer = Layer(*np.array(rows).transpose(2, 0, 1))
    limit, spread, coefficients, chi = layer.fit
    off = {"-zeta(1/2)": (limit - MILNE) / spread, "none": limit / spread,
           "equilibrium": (limit - EQUILIBRIUM) / spread}  # fmt: skip
    plain, mended = layer.order(0.0), layer.order(MILNE)
    rejected = {name: abs(off[name]) > 3.0 for name in ("none", "equilibrium")}
    needed = rejected["none"] and (quick or rejected["equilibrium"])
    status: Status = "holds" if needed else "underpowered"
    if chi < 1.0 - LEVEL or abs(off["-zeta(1/2)"]) > 3.0:
        status = "fails"
    sentence = (
        f"the target moves away by {limit:.3f} ± {spread:.3f} mean free paths, theory {MILNE:.4f},"
        f" score {off['-zeta(1/2)']:+.1f} (n = {paths:,} at each of {layer.mean.size} points,"
        f" chi-square of the fit p = {chi:.2f}; a shift off by {4.3 * spread:.2f} would have been"
        f" seen); no shift at all is off by {off['none']:.0f} standard errors, that of an"
        f" equilibrium by {off['equilibrium']:.1f}; without the shift the error falls with the"
        f" power {-plain[0]:.2f} ± {plain[1]:.2f} of friction, with it as {-mended[0]:.2f} ±"
        f" {mended[1]:.2f}"
    )
    numbers = {
        "paths": paths,
        "level": LEVEL,
        "frictions": FRICTIONS.tolist(),
        "drifts": list(DRIFTS),
        "rate": RATE,
        "step_over_memory": SHARE,
        "mean": layer.mean.tolist(),
        "stderr": layer.stderr.tolist(),
        "shift": layer.shift[0].tolist(),
        "shift_stderr": layer.shift[1].tolist(),
        "limit": limit,
        "limit_stderr": spread,
        "milne": MILNE,
        "limit_z": {name: float(value) for name, value in off.items()},
        "rejected": rejected,
        "coefficients": coefficients.tolist(),
        "chi_square_p": chi,
        "powers_of_friction": {"target as it is": plain, "target moved": mended},
    }
    return Verdict(status, sentence, numbers, picture(layer, paths))


if __name__ == "__main__":
    Study(__file__, main).command()
