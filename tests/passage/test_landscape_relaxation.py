"""How states in landscapes are reached, against closed forms and series that know no contour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import resetsgd as rs
from resetsgd.errors import DomainError, NotConverged

X = np.linspace(-2.0, 3.0, 23)


@pytest.mark.parametrize("t", [1e-3, 0.1, 1.0, 7.0, 300.0])
@pytest.mark.parametrize("start", [None, -0.5])
@pytest.mark.parametrize("rate", [0.0, 0.8])
def test_bowl_against_its_closed_form(t: float, start: float | None, rate: float) -> None:
    k, c, D = 1.3, 0.2, 0.7
    closed = rs.stationary(rs.OrnsteinUhlenbeck(k, c, D), rs.Poisson(rate), 1.0)
    bowl = rs.Landscape(lambda x: 0.5 * k * (x - c) ** 2, D)
    A = closed.relaxation(t, start)
    B = rs.stationary(bowl, rs.Poisson(rate), 1.0).relaxation(t, start)
    assert B.mean() == pytest.approx(A.mean(), abs=1e-12)
    assert B.var() == pytest.approx(A.var(), rel=1e-11)
    width = A.std()
    assert B.density(X) * width == pytest.approx(A.density(X) * width, abs=1e-10)
    assert B.cdf(X) == pytest.approx(A.cdf(X), abs=1e-11)
    assert B.survival(X) == pytest.approx(A.survival(X), abs=1e-11)
    assert B.average(np.square) == pytest.approx(A.var() + A.mean() ** 2, rel=1e-11)
    assert B.error < 1e-11


@pytest.mark.parametrize("t", [0.02, 0.5, 20.0])
def test_drift_against_its_closed_form(t: float) -> None:
    """Nothing holds the particle but resets: the panels end where it cannot have come."""
    closed = rs.stationary(rs.DriftDiffusion(0.4, 0.7), rs.Poisson(0.8), 1.0).relaxation(t, -0.5)
    slope = rs.Landscape(lambda x: -0.4 * x, 0.7)
    state = rs.stationary(slope, rs.Poisson(0.8), 1.0).relaxation(t, -0.5)
    assert state.mean() == pytest.approx(closed.mean(), abs=1e-12)
    assert state.var() == pytest.approx(closed.var(), rel=1e-11)
    assert state.density(X) == pytest.approx(closed.density(X), abs=1e-10)
    assert state.quantile(0.3) == pytest.approx(closed.quantile(0.3), abs=1e-10)


def between_walls(x: Any, t: float, start: float, home: float, rate: float) -> Any:
    """Free diffusion in (0, 1) under resets: each cosine relaxes for itself."""
    total = np.ones_like(x)
    for n in range(1, 200):
        decay = rate + (np.pi * n) ** 2
        kept = np.cos(np.pi * n * start) * np.exp(-decay * t)
        kept += np.cos(np.pi * n * home) * rate / decay * -np.expm1(-decay * t)
        total += 2.0 * kept * np.cos(np.pi * n * x)
    return total


@pytest.mark.parametrize("t", [0.01, 0.2, 3.0])
def test_between_walls_against_a_series(t: float) -> None:
    box = rs.Landscape(lambda x: 0.0 * x, 1.0, domain=(0.0, 1.0))
    state = rs.stationary(box, rs.Poisson(3.0), 0.8).relaxation(t, start=0.25)
    x = np.linspace(0.0, 1.0, 17)
    series = between_walls(x, t, 0.25, 0.8, 3.0)
    kink = np.abs(x - 0.8) < 0.1  # where the series converges like 1/n
    assert state.density(x)[~kink] == pytest.approx(series[~kink], abs=5e-5)
    assert np.abs(state.density(x) - series)[kink].max() < 5e-3
    assert state.cdf(1.0) == pytest.approx(1.0, abs=1e-12)
    wrong = between_walls(x, t, 0.25, 0.8, 3.3)
    assert not np.abs(state.density(x) - wrong)[~kink].max() < 5e-5  # another rate is told
    # the mean: the cosines integrated against x, which converge like 1/n⁴
    mean = 0.5
    for n in range(1, 4001, 2):
        decay = 3.0 + (np.pi * n) ** 2
        kept = np.cos(np.pi * n * 0.25) * np.exp(-decay * t)
        kept += np.cos(np.pi * n * 0.8) * 3.0 / decay * -np.expm1(-decay * t)
        mean -= 4.0 * kept / (np.pi * n) ** 2
    assert state.mean() == pytest.approx(mean, abs=1e-10)


def test_position_dependent_noise_by_a_change_of_variable() -> None:
    """In the sense of Stratonovich, x = sinh(y) with D = 1 + x² is free diffusion of y."""
    land = rs.Landscape(
        lambda x: 0.0 * x, lambda x: 1.0 + x * x, noise="stratonovich", domain=(-400.0, 400.0)
    )
    state = rs.stationary(land, rs.Poisson(25.0), 0.3).relaxation(0.04, start=-0.2)
    home, start = np.arcsinh([0.3, -0.2])
    free = rs.stationary(rs.DriftDiffusion(0.0, 1.0), rs.Poisson(25.0), home).relaxation(
        0.04, start
    )
    x = np.linspace(-1.5, 2.0, 15)
    exact = free.density(np.arcsinh(x)) / np.sqrt(1.0 + x * x)
    assert state.density(x) == pytest.approx(exact, abs=1e-9)
    assert state.cdf(x) == pytest.approx(free.cdf(np.arcsinh(x)), abs=1e-10)


def test_it_ends_in_the_stationary_state() -> None:
    well = rs.Landscape(lambda x: (x * x - 1.0) ** 2, 0.3)
    rest = rs.stationary(well, rs.Poisson(0.05), -1.0)
    late = rest.relaxation(2000.0, start=1.0)
    assert late.density(X) == pytest.approx(rest.density(X), abs=1e-10)
    assert late.mean() == pytest.approx(rest.mean(), abs=1e-11)
    soon = rest.relaxation(2.0, start=1.0)
    assert soon.mean() > 0.5 > rest.mean()  # it has not left its well yet
    # without resets the mean relaxes at the rate of escape, about twice that of a passage
    still = rs.stationary(well, rs.Poisson(0.0), -1.0)
    ratio = still.relaxation(60.0).mean() / still.relaxation(40.0).mean()
    to_top = rs.first_passage(well, -1.0, 0.0).mean()
    assert -np.log(ratio) / 20.0 == pytest.approx(1.0 / to_top, rel=0.1)


def test_draws_and_arguments() -> None:
    well = rs.Landscape(lambda x: (x * x - 1.0) ** 2, 0.3)
    rest = rs.stationary(well, rs.Poisson(0.05), -1.0)
    state = rest.relaxation(3.0, start=1.0)
    draws = state.sample(4000, seed=2)
    assert abs(draws.mean() - state.mean()) < 7.0 * state.std() / 4000**0.5
    for bad in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(DomainError, match="t ="):
            rest.relaxation(bad)
    with pytest.raises(DomainError, match="start"):
        rest.relaxation(1.0, start=np.inf)
    with pytest.raises(DomainError, match="rate"):
        killed = rs.Landscape(lambda x: 0.5 * x * x, 1.0, rate=lambda x: x * x)
        rs.stationary(killed, rs.Poisson(0.3), 0.0).relaxation(1.0)
    early = rest.relaxation(1e-16, start=0.5)  # it has not gone far
    assert early.mean() == pytest.approx(0.5, abs=1e-9)
    for extreme in (1e-300, 1e-30):
        with pytest.raises(NotConverged):
            rest.relaxation(extreme, start=0.5)
