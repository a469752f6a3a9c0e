"""Tabulated laws, coins summed over them, and overheads in the renewal equation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import resetsgd as rs
from resetsgd.errors import NotConverged
from resetsgd.passage import inversion
from resetsgd.passage.base import PassageTime
from resetsgd.passage.coin_sums import CoinSums
from resetsgd.passage.law_table import LawTable, tabulated
from resetsgd.passage.random_walk import RandomWalkPassage

FREE: dict[str, Callable[[], PassageTime]] = {
    "driftless": lambda: rs.first_passage(rs.DriftDiffusion(0.0, 1.0), 1.0, 0.0),
    "drift": lambda: rs.first_passage(rs.DriftDiffusion(-1.0, 1.0), 2.0, 0.0),
    "away": lambda: rs.first_passage(rs.DriftDiffusion(0.4, 1.0), 1.0, 0.0),
}


@pytest.mark.parametrize("name", FREE)
def test_table_of_a_law_known_in_closed_form(name: str) -> None:
    """Density with relative accuracy, also where it is below 1e-200; survival, the missing mass."""
    free = FREE[name]()
    table = LawTable(free)
    rng = np.random.default_rng(1)
    high = min(table.high, float(np.log(free.timescale())) + 3.0)
    t = np.exp(rng.uniform(table.low, high, 500))
    density = np.asarray(free.density(t))
    assert float(np.min(density * t)) < 1e-200
    np.testing.assert_allclose(table._density(t), density, rtol=3e-12)
    np.testing.assert_allclose(table._survival(t), free.survival(t), atol=1e-13)
    assert abs(table.never - (1.0 - float(free.laplace(0.0)))) < 1e-14
    assert table.error < 3e-12


def test_a_power_of_time_is_continued() -> None:
    """Beyond the panels the density of a heavy tail falls as its power."""
    free = FREE["driftless"]()
    table = LawTable(free)
    t = np.exp(table.high + np.array([1.0, 20.0, 60.0]))
    np.testing.assert_allclose(table._density(t), free.density(t), rtol=1e-8)
    np.testing.assert_allclose(table._survival(t), free.survival(t), rtol=1e-8)


def test_a_wrong_mean_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: a density that does not add up to the mean the law claims is not tabulated."""
    free = FREE["drift"]()
    right = float(np.asarray(free.mean()))
    monkeypatch.setattr(type(free), "mean", lambda self: right * (1.0 + 1e-9))
    with pytest.raises(NotConverged, match="adds up"):
        LawTable(free)


@pytest.mark.parametrize(
    "law", [rs.Gamma(0.7, stages=2.5), rs.Weibull(1.3, exponent=2.0), rs.Uniform(0.0, 2.0)]
)
def test_mean_by_a_table_and_by_the_closed_density(law: rs.Gamma) -> None:
    """A landscape without force has the law of driftless diffusion: two routes, one mean."""
    flat = rs.first_passage(rs.Landscape(lambda x: 0.0 * x, 1.0), 1.0, 0.0)
    assert isinstance(tabulated(flat), LawTable)
    closed = FREE["driftless"]()
    assert flat.under(law).mean() == pytest.approx(closed.under(law).mean(), rel=1e-10)
    assert flat.under(law).var() == pytest.approx(closed.under(law).var(), rel=1e-9)


@pytest.mark.parametrize("step", [0.3, 2.0, 15.0])
def test_coins_one_by_one_and_over_the_transform(step: float) -> None:
    """Sums of chances between coins against the Fourier series of the transform."""
    free = rs.first_passage(rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), 0.0, 1.0)
    rise = np.array([3.5, 1.0, 0.1, 1e-2])
    coins = CoinSums(tabulated(free), step)
    series = inversion.lattice(free._log_laplace, rise, step, 0.0)
    for one, other in zip(coins.trial(-rise), series, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)
    shifted = CoinSums(tabulated(free), step * (1.0 + 1e-6)).trial(-rise)[0]
    assert not np.allclose(shifted, series[0], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("overhead", [0.3, 2.0])
def test_overhead_under_a_gamma_law_of_one_stage(overhead: float) -> None:
    """It is Poisson with the same overhead, which is inverted reset by reset."""
    free = FREE["driftless"]()
    t = np.array([0.05, 0.3, 1.0, 3.0, 8.0])
    exact = free.under(rs.Poisson(1.3, overhead=overhead))
    solved = free.under(rs.Gamma(1.3, stages=1.0, overhead=overhead))
    np.testing.assert_allclose(solved.survival(t), exact.survival(t), atol=1e-9)
    np.testing.assert_allclose(solved.density(t), exact.density(t), atol=1e-9)
    other = free.under(rs.Poisson(1.3, overhead=overhead * 1.001))
    assert not np.allclose(solved.survival(t), other.survival(t), atol=1e-9)


def test_overhead_under_a_general_law_from_right_of_zero() -> None:
    """The renewal equation with a delay against Euler's summation of the transform."""
    law = FREE["drift"]().under(rs.Gamma(1.3, stages=2.5, overhead=0.7))
    half = 14
    binomial = np.cumsum([special.comb(half, k) for k in range(half + 1)]) * 2.0**-half
    weight = np.concatenate([[0.5], np.ones(half), 1.0 - binomial[:-1]])
    k = np.arange(2 * half + 1)
    for t in (0.5, 1.0, 3.0, 8.0):
        s = (half * np.log(10.0) / 3.0 + 1j * np.pi * k) / t
        terms = np.real(-np.expm1(law.log_laplace(s)) / s) * weight * (-1.0) ** k
        late = 10.0 ** (half / 3.0) / t * float(np.sum(terms))
        assert law.survival(t) == pytest.approx(late, abs=1e-6)
        assert law.survival(t * 1.001) != pytest.approx(late, abs=1e-6)


def test_the_schur_form_and_single_eliminations_agree() -> None:
    """Generating functions of a walk with a tail beyond its panels, all points at once."""
    free = rs.first_passage(rs.RandomWalk(stats.norm(-0.1, 1.0)), [0.5, 3.0, 80.0], 0.0)
    assert isinstance(free, RandomWalkPassage)
    transfer = free._pair[0]
    rng = np.random.default_rng(2)
    size = 10.0 ** rng.uniform(-6.0, 1.5, 40)
    points: list[Any] = [
        size,
        size * np.exp(1j * rng.uniform(-1.2, 1.2, 40)),
        size * (1.0 + 1e-30j),
    ]
    for u in points:
        log_value, minus = transfer.solve(u)
        for i in range(len(u)):
            one, other = transfer._directly(u[i : i + 1])
            np.testing.assert_allclose(np.exp(log_value[i] - one[0]), 1.0, rtol=1e-10)
            np.testing.assert_allclose(minus[i].real, other[0].real, rtol=1e-10, atol=1e-14)
            if np.real(u[i]) < 0.7 and np.iscomplexobj(u):
                scale = abs(u[i].imag)
                np.testing.assert_allclose(minus[i].imag, other[0].imag, 1e-9, 1e-9 * scale)
