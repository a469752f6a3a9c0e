"""Uniform, normal and exponential variates have the distributions they claim, tails included.

Each statistical test names what it would have detected with probability 0.99 at these sizes and
refuses a twin that is wrong by about that much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from scipy import special, stats

from resetsgd.montecarlo import streams
from resetsgd.montecarlo.kernels import variates
from resetsgd.montecarlo.kernels.lanes import FREE, seed_lane, uniform, word_lanes

LOTS = 4_000_000


@pytest.fixture(scope="module")
def normals() -> np.ndarray:
    return streams.normals(2 * LOTS, seed=2024)


def chi_square(values: np.ndarray, inner: np.ndarray, cdf: Callable[[Any], Any]) -> float:
    """p-value of the counts between edges, both tails taken as cells of their own."""
    counts = np.bincount(np.searchsorted(inner, values), minlength=len(inner) + 1)
    share = np.diff(cdf(inner), prepend=0.0, append=1.0)
    expected = len(values) * share
    assert expected.min() > 10, "cells too small for the chi-square approximation"
    return float(stats.chi2.sf(((counts - expected) ** 2 / expected).sum(), len(inner)))


@pytest.mark.statistical(alpha=4.9e-9)
def test_uniforms_fill_a_thousand_cells(budget) -> None:
    """Detects a density that is wrong by 1 % (root mean square). Twin: u^1.01."""
    values = streams.uniforms(LOTS, seed=1)
    edges = np.linspace(0, 1, 1001)[1:-1]
    assert budget.plausible(chi_square(values, edges, lambda u: u))
    assert not budget.plausible(chi_square(values**1.01, edges, lambda u: u))


@pytest.mark.statistical(alpha=4.9e-9)
def test_successive_uniforms_are_independent(budget) -> None:
    """Disjoint pairs fill 64 x 64 cells; detects a joint density wrong by 1.9 %.

    Twin: one value in twenty repeats the one before it.
    """
    values = streams.uniforms(LOTS, seed=2)

    def p_value(u: np.ndarray) -> float:
        cell = (64 * u[0::2]).astype(int) * 64 + (64 * u[1::2]).astype(int)
        return float(stats.chisquare(np.bincount(cell, minlength=4096)).pvalue)

    repeating = values.copy()
    repeating[1::20] = repeating[0::20]
    assert budget.plausible(p_value(values))
    assert not budget.plausible(p_value(repeating))


def test_the_layers_close() -> None:
    """256 layers of equal area end at the summit: V / x + f(x) = 1 for the innermost edge."""
    innermost = variates.X[255]
    closed = variates.AREA / innermost + np.exp(-0.5 * innermost**2)
    assert abs(closed - 1.0) < 1e-12
    edge, tail = variates.EDGE, np.sqrt(np.pi / 2) * special.erfc(variates.EDGE / np.sqrt(2))
    assert abs(edge * np.exp(-0.5 * edge**2) + tail - variates.AREA) < 1e-15
    assert (np.diff(variates.X[:-1]) < 0).all()


@pytest.mark.statistical(alpha=4.9e-9)
def test_normals_fill_their_cells(budget, normals: np.ndarray) -> None:
    """100 cells from -4 to 4 and the two tails; detects a width wrong by 0.3 %.

    Twin: normals 0.3 % too wide.
    """
    edges = np.linspace(-4.0, 4.0, 101)
    assert budget.plausible(chi_square(normals, edges, special.ndtr))
    assert not budget.plausible(chi_square(1.003 * normals, edges, special.ndtr))


@pytest.mark.statistical(alpha=4 * 4.9e-9)
def test_moments_of_normals(budget, normals: np.ndarray) -> None:
    """Mean, variance, third and fourth moment; each detects a shift of 8.2 standard errors.

    Twins: shifted by 0.004; 0.3 % too wide; slightly skewed; cut at 3.6541 (no tail).
    """
    moments = ((0.0, 1.0), (1.0, 2.0), (0.0, 15.0), (3.0, 96.0))

    def scores(z: np.ndarray) -> list[float]:
        powers = (z, z * z, z * z * z, z * z * z * z)
        return [
            float((power.mean() - mean) / np.sqrt(var / len(z)))
            for power, (mean, var) in zip(powers, moments, strict=True)
        ]

    assert all(budget.accepts(score) for score in scores(normals))
    clipped = normals[np.abs(normals) < variates.EDGE]
    twins = (normals + 0.004, 1.003 * normals, normals + 0.002 * (normals**2 - 1), clipped)
    for k, twin in enumerate(twins):
        assert not budget.accepts(scores(twin)[k])


@numba.njit
def _tails(out: np.ndarray) -> None:
    words = word_lanes()
    seed_lane(words, 0, np.uint64(11), np.uint64(12), FREE)
    for i in range(len(out)):
        out[i] = variates._rejected(words, 0, 0, 0.0)


@pytest.mark.statistical(alpha=2 * 4.9e-9)
def test_the_tail_is_exact_beyond_six_deviations(budget) -> None:
    """10^7 draws of the tail routine alone: the law beyond 3.654, and the count beyond 6.

    Detects an excess over 3.654 that is 0.3 % too long (by its mean rank), and beyond 6, where 76
    are expected, a factor 2. Twins: excess stretched by 0.4 %; ended at 6.
    """
    draws = np.empty(10_000_000)
    _tails(draws)

    def ranks(z: np.ndarray) -> float:
        return budget.score(special.ndtr(-z) / special.ndtr(-variates.EDGE), 0.5)

    def far(z: np.ndarray) -> float:
        expected = len(z) * special.ndtr(-6.0) / special.ndtr(-variates.EDGE)
        count = int((z > 6.0).sum())
        below, above = stats.poisson.cdf(count, expected), stats.poisson.sf(count - 1, expected)
        return float(min(1.0, 2 * min(below, above)))

    assert budget.accepts(ranks(draws))
    assert budget.plausible(far(draws))
    assert not budget.accepts(ranks(variates.EDGE + 1.004 * (draws - variates.EDGE)))
    assert not budget.plausible(far(np.minimum(draws, 6.0)))


@numba.njit
def _pairs(z: np.ndarray, u: np.ndarray) -> None:
    words = word_lanes()
    seed_lane(words, 0, np.uint64(7), np.uint64(3), FREE)
    for i in range(len(z)):
        z[i] = variates.normal(words, 0)
        u[i] = uniform(words, 0)


@pytest.mark.statistical(alpha=4.9e-9)
def test_a_normal_and_the_uniform_after_it_are_independent(budget) -> None:
    """40 x 40 cells of equal probability; detects a joint density wrong by 1.1 %.

    Twin: the uniform leans on the normal by 1 %.
    """
    z, u = np.empty(LOTS), np.empty(LOTS)
    _pairs(z, u)

    def p_value(u: np.ndarray) -> float:
        cell = (40 * special.ndtr(z)).astype(int) * 40 + (40 * u).astype(int)
        return float(stats.chisquare(np.bincount(cell, minlength=1600)).pvalue)

    assert budget.plausible(p_value(u))
    assert not budget.plausible(p_value((0.99 * u + 0.01 * special.ndtr(z)) % 1.0))


@pytest.mark.statistical(alpha=2 * 4.9e-9)
def test_exponentials(budget) -> None:
    """Kolmogorov-Smirnov and mean; detects a mean wrong by 0.4 %. Twin: a mean wrong by 0.5 %."""
    values = streams.exponentials(LOTS, seed=5)

    def p_value(x: np.ndarray) -> float:
        return float(stats.kstest(x, "expon", mode="asymp").pvalue)

    assert values.min() > 0
    assert budget.plausible(p_value(values))
    assert not budget.plausible(p_value(1.005 * values))
    assert budget.accepts(budget.score(values, 1.0))
    assert not budget.accepts(budget.score(1.005 * values, 1.0))


@pytest.mark.statistical(alpha=4.9e-9)
def test_purposes_are_independent(budget) -> None:
    """Motion normals against reset exponentials of the same path, position by position.

    Detects a correlation of 0.004. Twin: one of 0.01.
    """
    z = streams.normals(LOTS, seed=6, path=4, purpose="motion")
    e = streams.exponentials(LOTS, seed=6, path=4, purpose="events")
    assert budget.accepts(budget.score(z * (e - 1), 0.0))
    assert not budget.accepts(budget.score(z * (e - 1 + 0.01 * z), 0.0))
