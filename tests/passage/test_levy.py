"""Lévy flights of exponent below one: against laws that know nothing of the cut, and the
first-order transition of the best flight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import resetsgd as rs
from resetsgd.errors import DomainError
from resetsgd.passage.levy import LevyPassage
from resetsgd.passage.random_walk import RandomWalkPassage

U = np.array([1e-12, 1e-3, 0.1, 1.0, 3.0, 40.0])


def flight(alpha: float, start: Any, scale: float = 1.0) -> Any:
    jump = stats.levy_stable(alpha, 0.0, scale=scale)
    return rs.first_passage(rs.RandomWalk(jump), start, 0.0)


@pytest.mark.parametrize("alpha", [0.4, 0.6, 0.8, 0.94])
def test_sparre_andersen(alpha: float) -> None:
    """From the edge of the target P(N > n) = C(2n, n)/4^n whatever the symmetric law."""
    T = flight(alpha, 1e-12)
    assert isinstance(T, LevyPassage)
    root = np.sqrt(-np.expm1(-U))
    assert T.log_laplace(U[1:5]) == pytest.approx(np.log1p(-root[1:5]), rel=1e-7)
    n = np.array([1.0, 2.0, 5.0, 32.0, 33.0, 1200.0])
    late = np.exp(special.gammaln(2 * n + 1) - 2 * special.gammaln(n + 1) - 2 * n * np.log(2.0))
    assert T.survival(n) == pytest.approx(late, abs=1e-8)
    assert abs(flight(alpha, 0.5).survival(5.0) - late[2]) > 0.02  # elsewhere it is another law


def test_both_ways_agree_where_they_meet() -> None:
    """The transfer operator on panels, and the integral over the cut, at the same exponent."""
    walk, x = rs.RandomWalk(stats.levy_stable(0.97, 0.0)), [0.01, 1.0, 300.0]
    cut, panels = LevyPassage(walk, x, 0.0), RandomWalkPassage(walk, x, 0.0)
    for u in (1e-3, 1.0):
        assert cut.log_laplace(u) == pytest.approx(panels.log_laplace(u), rel=2e-10)


def test_the_first_step_and_large_u() -> None:
    """P(N = 1) is a tail of the law, which is an elementary function of erfc at alpha = 1/2."""
    x = np.array([0.05, 1.0, 40.0])
    once = np.exp(flight(0.5, x).log_laplace(40.0) + 40.0)
    late = flight(0.5, x).pmf(1)
    assert late == pytest.approx(once, rel=1e-10)
    scipy = stats.levy_stable.sf(x, 0.5, 0.0)
    assert late == pytest.approx(scipy, rel=1e-5)  # what SciPy's quadrature gives


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_space_scales_with_the_jumps(alpha: float) -> None:
    A, B = flight(alpha, [0.3, 70.0]), flight(alpha, [3.0, 700.0], scale=10.0)
    assert A.log_laplace(0.3) == pytest.approx(B.log_laplace(0.3), rel=1e-12)
    assert flight(alpha, -0.3).log_laplace(0.3) == pytest.approx(A.log_laplace(0.3)[0], rel=1e-12)


def played(alpha: float, n: int, steps: int, seed: int) -> Any:
    """Fraction of flights from 2 that have arrived at each of the first steps."""
    generator = np.random.default_rng(seed)
    # Chambers, Mallows and Stuck
    phase = np.pi * (generator.random((steps, n)) - 0.5)
    wait = generator.standard_exponential((steps, n))
    jumps = np.sin(alpha * phase) / np.cos(phase) ** (1.0 / alpha)
    jumps *= (np.cos((1.0 - alpha) * phase) / wait) ** ((1.0 - alpha) / alpha)
    lowest = np.minimum.accumulate(2.0 + np.cumsum(jumps, axis=0), axis=0)
    return np.mean(lowest > 0.0, axis=1)


@pytest.mark.statistical(alpha=1e-9)
@pytest.mark.parametrize("alpha", [0.3, 0.7])
def test_flights_played(alpha: float) -> None:
    """Survival after 1, 4 and 12 steps; an exponent off by 0.02 is seen with 99 %."""
    late = played(alpha, 200_000, 12, 23)[[0, 3, 11]]
    n = np.array([1.0, 4.0, 12.0])

    def deviation(T: Any) -> float:
        expected = T.survival(n)
        return float(np.max(np.abs(late - expected) / np.sqrt(expected * (1 - expected) / 2e5)))

    assert deviation(flight(alpha, 2.0)) < 6.4
    assert not deviation(flight(alpha + 0.05, 2.0)) < 6.4  # another exponent is rejected


PROBABILITIES = np.linspace(0.17, 0.29, 25)


def lowest(alpha: float, x: float) -> tuple[float, float]:
    """Smallest mean over the reset probability, and where: a polynomial through a scan."""
    R = flight(alpha, x).under(rs.Geometric(PROBABILITIES))
    fit = np.polynomial.Polynomial.fit(PROBABILITIES, R.mean(), 8)
    p = fit.deriv().roots()
    p = p[np.isreal(p)].real
    p = p[(p > 0.17) & (p < 0.29)]
    assert p.size == 1
    return float(fit(p[0])), float(p[0])


def test_best_finds_the_lowest_mean() -> None:
    optimum = flight(0.3, 0.579).best(rs.Geometric)
    mean, p = lowest(0.3, 0.579)
    assert optimum.mean == pytest.approx(mean, rel=1e-8)
    assert optimum.protocol.probability == pytest.approx(p, rel=1e-4)


def test_flights_of_vanishing_exponent() -> None:
    """A jump then is nothing with chance 1/e and beyond all bounds else: 1 - G = (1 - z)/Q.

    With Q² = (1-z)(1-z/e) the mean is 1/(sqrt(p (1 - (1-p)/e)) - p), smallest at a p of 0.22146.
    """
    a = -np.expm1(-1.0)
    p = (np.sqrt(a) - a) * np.e / 2.0
    mean = 1.0 / (np.sqrt(p * (a + p / np.e)) - p)
    assert p == pytest.approx(0.22145, abs=2e-5)
    for x in (0.5, 2.0):
        near, far, farther = (np.array(lowest(alpha, x)) for alpha in (0.02, 0.04, 0.08))
        limit = (8.0 * near - 6.0 * far + farther) / 3.0  # a parabola through the three
        assert limit == pytest.approx([mean, p], rel=1e-3)
        assert abs(near[0] / mean - 1.0) > 1e-3 or x < 1.0


def test_the_best_flight_changes_at_once() -> None:
    """Near x = 0.58 the best exponent jumps from about 0.95 to 0, over a barrier between."""
    vanishing = 5.679486523732895  # the mean of the test above
    alphas = (0.02, 0.1, 0.4, 0.7, 0.94)
    for x in (0.56, 0.60):
        means = [lowest(alpha, x)[0] for alpha in alphas]
        assert (means[-1] < vanishing) == (x < 0.58)
        assert means[0] == pytest.approx(vanishing, rel=1e-3)
    # at the transition both ends are minima, and what lies between is slower than either
    found = [lowest(alpha, 0.5787) for alpha in alphas]
    assert found[-1][0] == pytest.approx(vanishing, rel=1e-4)
    assert max(mean for mean, _ in found) > vanishing + 0.005
    # the best probability jumps with it, from 0.2337 to 0.2215
    assert found[-1][1] - found[0][1] == pytest.approx(0.0122, abs=5e-4)


def test_arguments() -> None:
    for law in (stats.levy_stable(0.5, 0.3), stats.levy_stable(0.5, 0.0, loc=1.0)):
        with pytest.raises(DomainError, match="jump"):
            rs.first_passage(rs.RandomWalk(law), 1.0, 0.0)
    with pytest.raises(DomainError, match="alpha"):
        flight(0.01, 1.0)
    with pytest.raises(DomainError, match="start"):
        flight(0.5, [1.0, -1.0])
    with pytest.raises(DomainError, match="contraction"):
        rs.first_passage(rs.RandomWalk(stats.levy_stable(0.5, 0.0), contraction=0.5), 1.0, 0.0)
    with pytest.raises(DomainError, match="alpha"):
        rs.first_passage(rs.RandomWalk(stats.levy_stable(0.5, 0.0)), 1.0, (0.0, 2.0)).splitting()
