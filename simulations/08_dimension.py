"""Dimension: resets always help a free search, and in a bowl only from inside its typical shell.

Claim
-----
Passage to a ball around the origin, simulated in d dimensions with ``rs.Langevin``, has the mean of
the radial theory in one: free diffusion (D = 1) from radius 2 to the ball of radius 1 in d = 2, 3,
5 and 10 under Poisson resets at half, once and twice the best rate (Bessel process); and the bowl
U = x.x/2 with D = 1/d, where a walker lives near radius 1, to the ball of radius 0.8 in d = 2, 10,
and 100, without and with resets, from radius 0.9 and from 1.5. No score lies beyond the family-wise
99 % bar (Holm), and a chi-square test of all scores. The wrong-model twin, the theory of one
dimension less, must be rejected by the same judgement for either.

Free diffusion loses its way for ever in more than two dimensions, and resets always help; the best
mean grows by a factor of two or more for each dimension. In the bowl it is not the dimension that
decides but the place: from 0.9, below the shell on which entropy keeps the walker, the best resets
shorten the mean in every dimension; from 1.5, downhill, resets at rate 1 lengthen it (five standard
errors each).

Cost: two minutes of processor time in full, eight seconds in quick mode, which leaves out the free
search in d = 5 and 10 and the bowl in d = 100, sees deviations of 20 %, and asks for three standard
errors in place of five.

Reference: M. R. Evans, S. N. Majumdar, J. Phys. A 47, 285001 (2014); potentials: A. Pal, Phys. Rev.
E 91, 012113 (2015); S. Ahmad, I. Nayak, A. Bansal, A. Nandi, D. Das, Phys. Rev. E 99, 022130
(2019).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

import resetsgd as rs
from resetsgd import targets
from resetsgd.campaign.study import Status, Study, Verdict
from resetsgd.plots import INK, MEASURED, PREDICTED, REFERENCE, figure, style
from resetsgd.statistics import family_verdict

LEVEL, RELEVANT = 0.99, 0.15
INSIDE, OUTSIDE, GOAL = 0.9, 1.5, 0.8
CLEAR = 5.0


def nothing(x: Any, out: Any) -> None:
    """No drift."""
    for j in range(out.size):
        out[j] = 0.0


def pull(x: Any, out: Any) -> None:
    """The gradient of the bowl."""
    for j in range(out.size):
        out[j] = x[j]


def free_law(d: float) -> rs.PassageTime:
    """Radius of free diffusion, from 2 to 1."""
    return rs.first_passage(rs.Bessel(dimension=d, diffusivity=1.0), 2.0, 1.0)


def bowl_law(d: float, start: float, noise: float) -> rs.PassageTime:
    """Radius in the bowl, to the ball."""

    def drift(r: Any) -> Any:
        return (d - 1.0) * noise / r - r

    radius = rs.Landscape(drift=drift, diffusivity=noise, domain=(1e-3, np.inf))
    return rs.first_passage(radius, start, GOAL)


def played(
    process: rs.Langevin, start: float, radius: float, rate: float, **options: Any
) -> tuple[float, float]:
    """Mean and standard error in all dimensions."""
    place = np.zeros(process.dimension)
    place[0] = start
    goal = targets.ball(np.zeros(process.dimension), radius)
    protocol = rs.Poisson(rate) if rate > 0 else None
    S = rs.simulate(process, place, goal, protocol, budget=10**12, **options)
    return float(S.mean()), float(S.stderr())


def free_rows(dimensions: tuple[int, ...], paths: int) -> list[dict[str, float]]:
    """Free diffusion at three rates."""
    rows = []
    for d in dimensions:
        law = free_law(d)
        best = float(law.best(rs.Poisson).rate)
        free = rs.Langevin(drift=nothing, dimension=d, diffusivity=1.0)
        for k, factor in enumerate((0.5, 1.0, 2.0)):
            rate = factor * best
            mean, error = played(
                free, 2.0, 1.0, rate, paths=paths // (4 if d == 10 else 1), seed=10 * d + k,
                step=0.004,
            )  # fmt: skip
            rows.append({
                "d": d, "rate": rate, "mean": mean, "stderr": error, "factor": factor,
                "exact": float(law.under(rs.Poisson(rate)).mean()),
                "one_less": float(free_law(d - 1.0).under(rs.Poisson(rate)).mean()),
            })  # fmt: skip
    return rows


def bowl_rows(dimensions: tuple[int, ...], paths: int) -> list[dict[str, float]]:
    """The bowl, from inside and outside, with and without resets."""
    rows = []
    for d in dimensions:
        noise = 1.0 / d
        process = rs.Langevin(gradient=pull, dimension=d, diffusivity=noise)
        step = min(0.002, 0.04 * (INSIDE - GOAL) ** 2 / noise)
        for start in (INSIDE, OUTSIDE):
            law, less = bowl_law(d, start, noise), bowl_law(d - 1.0, start, noise)
            often = float(law.best(rs.Poisson).rate) if start == INSIDE else 1.0
            for k, rate in enumerate((0.0, often)):
                mean, error = played(
                    process, start, GOAL, rate, paths=max(paths // (10 if d == 100 else 1), 1),
                    seed=1000 * d + k + int(10 * start), step=step, horizon=80.0 * law.mean(),
                )  # fmt: skip
                reset = rs.Poisson(rate)
                rows.append({
                    "d": d, "start": start, "rate": rate, "mean": mean, "stderr": error,
                    "exact": float(law.under(reset).mean()),
                    "one_less": float(less.under(reset).mean()),
                })  # fmt: skip
    return rows


def column(rows: list[dict[str, float]], name: str) -> np.ndarray:
    """One number of every row."""
    return np.array([row[name] for row in rows])


def scores(rows: list[dict[str, float]], against: str) -> np.ndarray:
    """Differences in standard errors."""
    return np.asarray((column(rows, "mean") - column(rows, against)) / column(rows, "stderr"))


def effects(rows: list[dict[str, float]], start: float) -> tuple[np.ndarray, np.ndarray]:
    """Ratios of the mean without resets to that with, and scores of the difference."""
    own = [row for row in rows if row["start"] == start]
    mean, error = column(own, "mean"), column(own, "stderr")
    ratio = mean[::2] / mean[1::2]
    return ratio, (mean[1::2] - mean[::2]) / np.hypot(error[::2], error[1::2])


@style()
def picture(free: list[dict[str, float]], bowl: list[dict[str, float]], fine: int) -> Figure:
    """Best mean of the free search, and the effect of resets in the bowl, against d."""
    drawing, (left, right) = figure(9.6, 4.5, 2)
    d = np.geomspace(1.0, 20.0, 2 * fine)
    left.plot(d, [free_law(float(x)).best(rs.Poisson).mean for x in d], color=PREDICTED,
              label="best Poisson rate, theory")  # fmt: skip
    at_best = [row for row in free if row["factor"] == 1.0]
    best_mean, error = column(at_best, "mean"), column(at_best, "stderr")
    left.errorbar(column(at_best, "d"), best_mean, 3 * error, fmt="o",
                  color=MEASURED, mfc="white", capsize=2, label="simulated")  # fmt: skip
    left.set(xscale="log", yscale="log", xlabel="dimension  $d$",
             ylabel="mean passage time  $D\\langle T\\rangle/a^2$")  # fmt: skip
    marks = [1, 2, 3, 5, 10, 20]
    left.set_xticks(marks, [str(mark) for mark in marks])
    left.set_xticks([], minor=True)
    left.set_title("Free, from radius 2a to a")
    left.legend(loc="upper left")

    dimension = np.geomspace(2.0, 150.0, fine)
    for start, colour, word in (
        (INSIDE, PREDICTED, "from 0.9, best rate"),
        (OUTSIDE, REFERENCE, "from 1.5, rate 1"),
    ):
        ratio = []
        for x in dimension:
            law = bowl_law(float(x), start, 1.0 / float(x))
            best, slow = law.best(rs.Poisson).mean, law.under(rs.Poisson(1.0)).mean()
            ratio.append(float(law.mean() / (best if start == INSIDE else slow)))
        right.plot(dimension, ratio, color=colour, label=word)
        own = [row for row in bowl if row["start"] == start]
        found = effects(bowl, start)[0]
        error = column(own, "stderr") / column(own, "mean")
        right.errorbar(column(own, "d")[::2], found, 3 * found * np.hypot(error[::2], error[1::2]),
                       fmt="o", color=MEASURED, mfc="white", capsize=2)  # fmt: skip
    right.axhline(1.0, color=INK, lw=0.8)
    right.set(xscale="log", yscale="log", xlabel="dimension  $d$",
              ylabel="reset-free mean over mean with resets")  # fmt: skip
    ticks = [0.2, 0.3, 0.5, 0.7, 1.0, 2.0, 3.0, 5.0]
    right.set_xticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    right.set_xticks([], minor=True)
    right.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    right.set_yticks([], minor=True)
    right.set_title("Bowl of typical radius 1, to radius 0.8")
    right.legend(loc="lower left")
    return drawing


def main(quick: bool) -> Verdict:
    """Simulate both searches in all dimensions and judge them."""
    paths, relevant = (5000, 0.20) if quick else (24_000, RELEVANT)
    free = free_rows((2, 3) if quick else (2, 3, 5, 10), paths)
    bowl = bowl_rows((2, 10) if quick else (2, 10, 100), paths)
    rows = free + bowl
    z = scores(rows, "exact")
    bar = float(stats.norm.isf((1.0 - LEVEL) / (2 * z.size)))
    seen = (bar + stats.norm.isf(0.1)) * column(rows, "stderr") / column(rows, "exact")
    chi = float(stats.chi2.sf((z**2).sum(), z.size))
    status: Status = family_verdict(z, seen, level=LEVEL, relevant=relevant)
    wrong_free, wrong_bowl = scores(free, "one_less"), scores(bowl, "one_less")
    twins = [
        family_verdict(wrong, np.zeros(wrong.size), level=LEVEL) == "fails"
        for wrong in (wrong_free, wrong_bowl)
    ]
    (gain, helped), (loss, harmed) = effects(bowl, INSIDE), effects(bowl, OUTSIDE)
    clear = 3.0 if quick else CLEAR
    shape = helped.max() < -clear and harmed.min() > clear
    if status == "holds" and not all(twins):
        status = "underpowered"
    if chi < 1.0 - LEVEL:
        status = "fails"
    elif not shape:
        status = "underpowered" if quick else "fails"
    sentence = (
        f"largest of {z.size} scores {np.abs(z).max():.2f} standard errors, chi-square p ="
        f" {chi:.2f}, a deviation of {seen.max():.1%} would have been seen everywhere; one"
        f" dimension less is rejected for {sum(twins)} of 2 (largest scores"
        f" {np.abs(wrong_free).max():.0f} and {np.abs(wrong_bowl).max():.0f}); in the bowl resets"
        f" shorten the way up from 0.9 by factors {', '.join(f'{x:.2f}' for x in gain)} in d ="
        f" {', '.join(str(int(x)) for x in column(bowl, 'd')[::4])} (least score"
        f" {-helped.max():.0f}) and lengthen the way down from 1.5 by"
        f" {', '.join(f'{1 / x:.2f}' for x in loss)} (least {harmed.min():.0f})"
    )
    numbers = {
        "level": LEVEL,
        "relevant": relevant,
        "paths": paths,
        "free": free,
        "bowl": bowl,
        "z": z.tolist(),
        "largest_score": float(np.abs(z).max()),
        "chi_square_p": chi,
        "seen_with_power_0.9": float(seen.max()),
        "effect": {"inside": gain.tolist(), "inside_z": helped.tolist(),
                   "outside": loss.tolist(), "outside_z": harmed.tolist()},
        "twin": {"one_dimension_less_rejected": twins, "z_free": wrong_free.tolist(),
                 "z_bowl": wrong_bowl.tolist()},
    }  # fmt: skip
    return Verdict(status, sentence, numbers, picture(free, bowl, 6 if quick else 24))


if __name__ == "__main__":
    Study(__file__, main).command()
