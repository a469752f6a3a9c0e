"""Resets to a cloud: the spread of the places to begin again decides whether a best rate exists.

Claim
-----
Free diffusion from distance L = 1 of the target, Poisson resets to a place drawn anew each time
from a normal law around the start with spread s. The simulated mean is that of the theory,
``T.under(rs.Poisson(r), then=rs.cloud(...))``, at ten rates for s = 0, 0.2 and 0.6, and for drift
away with three checkpoints of unequal weights: no score beyond the family-wise 99 % bar (Holm), and
a chi-square test of all scores. The wrong-model twin, resets to the mean of the cloud, must be
rejected by the same judgement.

A spread helps: at the rate that is best for s = 0 the mean is lower for s = 0.2 (five standard
errors). A narrow cloud keeps a best finite rate: for s = 0.2 the mean rises again beyond it. A wide
one has none: for s = 0.6 the mean falls from each rate to the next, for some resets end beside the
target. In theory the minimum disappears between them (at L/s = 2.53 if also the first start is
drawn from the cloud).

The cloud is 400 places at equal steps of probability, those beyond the target reflected to the
start's side, which for free diffusion changes nothing; theory and simulation take the same places.

Cost: one minute of processor time in full (4 * 10^5 paths a point), three seconds in quick mode.

Reference: B. Besga, A. Bovon, A. Petrosyan, S. N. Majumdar, S. Ciliberto, Phys. Rev. Research 2,
032029 (2020); A. Faisant, B. Besga, A. Petrosyan, S. Ciliberto, S. N. Majumdar, J. Stat. Mech.
(2021) 113203.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from scipy import optimize, stats

import resetsgd as rs
from resetsgd.campaign.study import Status, Study, Verdict
from resetsgd.plots import ACCENT, INK, MEASURED, PREDICTED, REFERENCE, style
from resetsgd.statistics import family_verdict

LEVEL, RELEVANT = 0.99, 0.05
RATES = np.geomspace(0.3, 20.0, 10)
FREE = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
AWAY = rs.DriftDiffusion(drift=0.5, diffusivity=1.0)


@dataclass(frozen=True)
class Cloud:
    """Places to begin again, and their weights."""

    process: rs.DriftDiffusion
    places: np.ndarray
    weights: np.ndarray
    colour: str

    def theory(self, rates: np.ndarray) -> np.ndarray:
        """Exact means at Poisson rates."""
        begin = rs.first_passage(self.process, 1.0, 0.0)
        again = rs.cloud(self.process, self.places, 0.0, weights=self.weights)
        return np.array([begin.under(rs.Poisson(r), then=again).mean() for r in rates])

    def centred(self, rates: np.ndarray) -> np.ndarray:
        """The wrong model: resets to the mean of the cloud."""
        begin = rs.first_passage(self.process, 1.0, 0.0)
        centre = float(np.average(self.places, weights=self.weights))
        again = rs.first_passage(self.process, centre, 0.0)
        return np.array([begin.under(rs.Poisson(r), then=again).mean() for r in rates])

    def simulated(self, paths: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard errors."""
        runs = [
            rs.simulate(
                self.process, 1.0, 0.0, rs.Poisson(r), paths=paths, seed=seed + k,
                reset_to=self.places, reset_weights=self.weights, budget=10**12,
            )
            for k, r in enumerate(RATES)
        ]  # fmt: skip
        return np.array([S.mean() for S in runs]), np.array([S.stderr() for S in runs])


def normal(spread: float, colour: str) -> Cloud:
    """A normal law around the start, reflected at the target."""
    q = (np.arange(400) + 0.5) / 400
    places = np.abs(stats.norm.ppf(q, loc=1.0, scale=spread)) if spread > 0 else np.ones(1)
    return Cloud(FREE, places, np.ones(places.size), colour)


CLOUDS = {
    "s = 0": normal(0.0, INK),
    "s = 0.2": normal(0.2, PREDICTED),
    "s = 0.6": normal(0.6, MEASURED),
    "three checkpoints, drift away": Cloud(
        AWAY, np.array([0.4, 1.0, 2.5]), np.array([0.2, 0.5, 0.3]), ACCENT
    ),
}


def minimum_is_lost() -> float:
    """L/s at which the mean of the whole normal cloud no longer has a minimum, from theory."""

    def rises(ratio: float) -> float:
        """Steepest rise of the logarithm of the mean with that of the rate."""
        again = rs.cloud(FREE, stats.norm(1.0, 1.0 / ratio), 0.0)
        rates = np.geomspace(0.5, 50.0, 120)
        means = np.array([again.under(rs.Poisson(r)).mean() for r in rates])
        return float(np.diff(np.log(means)).max())

    return float(optimize.brentq(rises, 2.0, 3.5, xtol=1e-3))


@style()
def picture(
    means: np.ndarray, stderr: np.ndarray, z: np.ndarray, bar: float, paths: int, lost: float
) -> Figure:
    """Means against the rate with theory, and their scores."""
    drawing = Figure(figsize=(6.8, 7.0), layout="constrained")
    top, low = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    fine = np.geomspace(RATES[0], RATES[-1], 150)
    for k, (word, cloud) in enumerate(CLOUDS.items()):
        top.plot(fine, cloud.theory(fine), color=cloud.colour, lw=1.4)
        top.plot(fine, cloud.centred(fine), color=cloud.colour, lw=0.9, ls=(0, (2, 3)))
        top.errorbar(RATES, means[k], 3 * stderr[k], fmt="o", ms=4.5, mfc="white", capsize=2,
                     color=cloud.colour, label=word)  # fmt: skip
        low.plot(RATES, z[k], "o", ms=4.5, mfc="white", color=cloud.colour)
    top.plot([], [], color=REFERENCE, lw=1.4, label="theory")
    top.plot([], [], color=REFERENCE, lw=0.9, ls=(0, (2, 3)), label="resets to its mean (wrong)")
    top.set(xscale="log", yscale="log", ylabel="mean passage time  $D\\langle T\\rangle/L^2$")
    ticks = [1.0, 1.5, 2.0, 3.0, 5.0, 8.0]
    top.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    top.set_yticks([], minor=True)
    top.set_title(f"Resets to a cloud of spread s: a best rate exists for L/s > {lost:.2f}")
    top.legend(loc="upper left", title=f"{paths:,} paths a point ± 3 standard errors",
               alignment="left", ncols=2)  # fmt: skip
    top.set_ylim(0.9 * means.min(), 2.2 * means.max())
    low.axhspan(-bar, bar, color="0.93", zorder=0)
    low.axhline(0.0, color=INK, lw=0.8)
    low.set(xlabel="reset rate  $rL^2/D$", ylabel="simulated − theory\n(standard errors)")
    low.set_ylim(-bar - 0.8, bar + 0.8)
    return drawing


def main(quick: bool) -> Verdict:
    """Simulate all clouds at all rates and judge them."""
    paths = 40_000 if quick else 400_000
    means, stderr = np.array(
        [cloud.simulated(paths, 1000 * k) for k, cloud in enumerate(CLOUDS.values())]
    ).transpose(1, 0, 2)
    exact = np.array([cloud.theory(RATES) for cloud in CLOUDS.values()])
    wrong = np.array([cloud.centred(RATES) for cloud in CLOUDS.values()])
    z = (means - exact) / stderr
    bar = float(stats.norm.isf((1.0 - LEVEL) / (2 * z.size)))
    seen = (bar + stats.norm.isf(0.1)) * stderr / exact
    chi = float(stats.chi2.sf((z**2).sum(), z.size))
    status: Status = family_verdict(z.ravel(), seen.ravel(), level=LEVEL, relevant=RELEVANT)
    # A cloud of one place is its own mean: not part of the twin.
    wrong_z = ((means - wrong) / stderr)[1:]
    twin = family_verdict(wrong_z.ravel(), seen[1:].ravel(), level=LEVEL) == "fails"

    single, narrow, wide = range(3)

    def difference(k: int, i: int, m: int, j: int) -> float:
        return float((means[k, i] - means[m, j]) / np.hypot(stderr[k, i], stderr[m, j]))

    best = int(exact[single].argmin())
    helped = difference(single, best, narrow, best)
    inner = int(exact[narrow].argmin())
    again = difference(narrow, -1, narrow, inner)
    falls = [difference(wide, i, wide, i + 1) for i in range(RATES.size - 1)]
    shape = helped > 5.0 and again > 5.0 and min(falls) > 3.0
    lost = minimum_is_lost()
    if status == "holds" and not twin:
        status = "underpowered"
    if chi < 1.0 - LEVEL or (not shape and not quick):
        status = "fails"
    elif not shape:
        status = "underpowered"
    sentence = (
        f"largest of {z.size} scores {np.abs(z).max():.2f} standard errors, chi-square p ="
        f" {chi:.2f} (n = {paths:,} a point), a deviation of {seen.max():.1%} would have been seen;"
        f" resets to the mean of the cloud are {'rejected' if twin else 'NOT rejected'} (largest"
        f" score {np.abs(wrong_z).max():.0f}); a spread of 0.2 helps by {helped:.0f} standard"
        f" errors and keeps a minimum ({again:.0f}), with 0.6 the mean falls throughout (least"
        f" {min(falls):.1f}); in theory the minimum is lost at L/s = {lost:.2f}"
    )
    numbers = {
        "paths": paths,
        "rates": RATES.tolist(),
        "clouds": list(CLOUDS),
        "mean": means.tolist(),
        "stderr": stderr.tolist(),
        "exact": exact.tolist(),
        "z": z.tolist(),
        "largest_score": float(np.abs(z).max()),
        "chi_square_p": chi,
        "level": LEVEL,
        "relevant": RELEVANT,
        "seen_with_power_0.9": float(seen.max()),
        "twin": {"mean": wrong[1:].tolist(), "z": wrong_z.tolist(), "rejected": twin},
        "helped_z": helped,
        "rises_again_z": again,
        "falls_z": falls,
        "minimum_lost_at": lost,
    }
    return Verdict(status, sentence, numbers, picture(means, stderr, z, bar, paths, lost))


if __name__ == "__main__":
    Study(__file__, main).command()
