"""Drift-diffusion with a reflecting wall: its law, and when resetting it pays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_bvp

import resetsgd as rs
from resetsgd.errors import DomainError


def walled(drift, start, diffusivity=1.0, wall=1.0):
    """Target at 0, wall above."""
    return rs.first_passage(rs.DriftDiffusion(drift, diffusivity), start, 0.0, wall=wall)


def backward(drift, start, s):
    """E[exp(-sT)] from D u'' + mu u' = s u, u(0) = 1, u'(1) = 0, by collocation."""
    solution = solve_bvp(
        lambda x, y: np.vstack([y[1], s * y[0] - drift * y[1]]),
        lambda a, b: np.array([a[0] - 1.0, b[1]]),
        np.linspace(0, 1, 101),
        np.ones((2, 101)),
        tol=1e-10,
        max_nodes=20_000,
    )
    return solution.sol(start)[0]


@pytest.mark.parametrize("drift", [-6.0, 0.0, 1.0, 4.0])
def test_transform_solves_the_backward_equation(drift):
    for start, s in ((0.3, 2.0), (1.0, 0.5), (0.8, 15.0)):
        value = backward(drift, start, s)
        assert walled(drift, start).laplace(s) == pytest.approx(value, rel=1e-8)
        # the sign of g sinh in the boundary condition, invisible without drift
        g, k = drift / 2, np.sqrt(drift**2 + 4 * s) / 2

        def wrong(z, g=g, k=k):
            return k * np.cosh(k * z) + g * np.sinh(k * z)

        twin = np.exp(-g * start) * wrong(1 - start) / wrong(1.0)
        assert (abs(twin - value) < 1e-6) == (drift == 0.0)


def test_without_drift_it_is_half_of_an_interval_of_twice_the_length():
    T = walled(0.0, 0.3)
    twice = rs.first_passage(rs.DriftDiffusion(0.0, 1.0), 0.3, (0.0, 2.0))
    t = np.array([1e-3, 0.02, 0.05, 0.15, 0.3, 0.9, 4.0, 30.0])
    assert T.mean() == pytest.approx(twice.mean(), rel=1e-14)
    assert T.var() == pytest.approx(twice.var(), rel=1e-14)
    assert T.survival(t) == pytest.approx(twice.survival(t), rel=1e-10)
    assert T.density(t) == pytest.approx(twice.density(t), rel=1e-9, abs=1e-11)
    assert T.restricted_mean(t) == pytest.approx(twice.restricted_mean(t), rel=1e-11)


def test_a_far_wall_is_none():
    free = rs.first_passage(rs.DriftDiffusion(-2.0, 1.0), 0.5, 0.0)
    T = walled(-2.0, 0.5, wall=40.0)
    assert T.mean() == pytest.approx(free.mean(), rel=1e-14)
    assert T.var() == pytest.approx(free.var(), rel=1e-13)
    assert T.survival(0.3) == pytest.approx(free.survival(0.3), rel=1e-13)
    # drift away: nearly all are held by the wall for an exponentially long time
    slow = walled(20.0, 0.5, wall=40.0)
    assert slow.mean() == np.inf
    assert slow.log_mean() == pytest.approx(800 - np.log(400) + np.log1p(-np.exp(-10)), rel=1e-14)
    assert slow.under(rs.Poisson(3.0)).mean() == pytest.approx(
        rs.first_passage(rs.DriftDiffusion(20.0, 1.0), 0.5, 0.0).under(rs.Poisson(3.0)).mean(),
        rel=1e-12,
    )


@pytest.mark.parametrize(
    "drift, start", [(-30.0, 0.5), (-3.0, 1.0), (0.0, 1e-3), (2.0, 0.4), (8.0, 0.1)]
)
def test_density_survival_moments_and_transform_are_of_one_law(drift, start):
    T = walled(drift, start)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    first, end = T.quantile(1e-10), max(T.quantile(1 - 1e-12), 12.0)
    edges = np.linspace(np.log(first), np.log(end), 161)
    half = 0.5 * np.diff(edges)[:, None]
    t = np.exp(edges[:-1, None] + half * (nodes + 1))
    measure = half * weights * t
    density = T.density(t)
    assert np.sum(measure * density) == pytest.approx(1.0, abs=1e-8)
    assert np.sum(measure * t * density) == pytest.approx(T.mean(), rel=1e-7)
    second = np.sum(measure * t**2 * density)
    assert second - T.mean() ** 2 == pytest.approx(T.var(), rel=1e-6)
    whole = first + np.sum(measure * T.survival(t))
    assert whole == pytest.approx(T.restricted_mean(end), rel=1e-8)
    s = 1.0 / T.mean()
    assert np.sum(measure * np.exp(-s * t) * density) == pytest.approx(T.laplace(s), rel=1e-8)


@pytest.mark.parametrize(
    "drift, start", [(-3.0, 0.7), (0.0, 1.0), (2.0, 0.5), (2.6, 0.2), (-40.0, 0.9)]
)
def test_the_three_pieces_of_the_law_meet(drift, start):
    T = walled(drift, start)
    for end in T._ends:
        t = float(end) * np.array([1 - 1e-9, 1 + 1e-9])
        assert T.survival(t)[1] == pytest.approx(T.survival(t)[0], abs=1e-8)
        step = np.diff(T.survival(t))[0] + T.density(t[0]) * np.diff(t)[0]
        assert step == pytest.approx(0.0, abs=1e-11)
        assert T.density(t)[1] == pytest.approx(T.density(t)[0], rel=1e-7, abs=1e-8)


def test_resetting_pays_exactly_close_to_the_target():
    """Zero drift: x/L < 1 - 1/sqrt 5; at the wall never, whatever the drift."""
    critical = 1 - 5**-0.5
    assert walled(0.0, critical).cv() == pytest.approx(1.0, rel=1e-14)
    for step in (1e-3, 1e-6):
        assert walled(0.0, critical - step).best(rs.Poisson).pays
        assert not walled(0.0, critical + step).best(rs.Poisson).pays
    for drift in (-20.0, -1.0, 0.0, 1.0, 20.0):
        T = walled(drift, 1.0)
        assert T.cv() <= 1.0
        assert not T.best(rs.Poisson).pays
    # it is a sum of independent exponentials: drift to the wall makes it nearly one of them
    assert walled(20.0, 1.0).cv() == pytest.approx(1.0, abs=1e-6)


def test_either_side_and_scaling():
    T = walled(1.5, 0.4)
    M = rs.first_passage(rs.DriftDiffusion(-1.5, 1.0), -0.4, 0.0, wall=-1.0)
    S = rs.first_passage(rs.DriftDiffusion(3.0, 4.0), 0.8, 0.0, wall=2.0)
    for law in (M, S):
        assert law.mean() == pytest.approx(T.mean(), rel=1e-14)
        assert law.survival(0.2) == pytest.approx(T.survival(0.2), rel=1e-12)
        assert law.under(rs.Poisson(2.0)).var() == pytest.approx(
            T.under(rs.Poisson(2.0)).var(), rel=1e-13
        )


@pytest.mark.parametrize("drift", [1e90, 1e98, 1e99, 1e101, 1e300])
def test_a_climb_that_leaves_the_powers_of_float64(drift):
    """Against a drift nu: log mean nu L/D, and transform exp(-nu x/D), to the digits of float64."""
    law = rs.first_passage(rs.DriftDiffusion(-drift, 0.25), start=0.0, target=1.0, wall=-0.25)
    assert law.log_mean() == pytest.approx(5.0 * drift, rel=1e-14)
    assert law.log_laplace(2.0) == pytest.approx(-4.0 * drift, rel=1e-14)
    assert law.log_laplace(0.0) == 0.0
    assert law.under(rs.Poisson(2.0)).log_mean() == pytest.approx(4.0 * drift, rel=1e-14)
    assert law.under(rs.Poisson(0.0)).log_mean() == pytest.approx(5.0 * drift, rel=1e-14)
    toward = rs.first_passage(rs.DriftDiffusion(drift, 0.25), start=0.0, target=1.0, wall=-0.25)
    assert toward.log_mean() == pytest.approx(-np.log(drift), rel=1e-14)


def test_the_ends_of_float64():
    for drift in (0.0, 1e-300, -1.0, 1e12, -1e300, 1e300):
        for D in (1e-308, 1e-12, 1.0, 1e160):
            for x, wall in ((1e-150, 1.0), (1.0, 1.0), (1e-12, 1e150)):
                law = walled(drift, x, D, wall)
                found = [law.mean(), law.log_mean(), law.var(), law.survival(1.0), law.density(1.0)]
                for rate in (0.0, 1e-300, 1.0, 1e300):
                    R = law.under(rs.Poisson(rate))
                    found += [law.log_laplace(rate), R.mean(), R.log_mean(), R.var()]
                assert not np.isnan(found).any(), (drift, D, x, wall, found)


@pytest.mark.parametrize(
    "start, wall", [(0.5, 0.2), (0.5, -1.0), (-0.5, 1.0), (0.0, 1.0), (0.5, np.inf)]
)
def test_wrong_places_are_named(start, wall):
    with pytest.raises(DomainError, match=r"wall|start"):
        walled(0.0, start, wall=wall)


@pytest.mark.statistical(alpha=2e-9)
def test_draws_follow_the_law():
    """Kolmogorov distance of 1e5 draws; a law wrong by 0.011 somewhere is seen."""
    T = walled(1.0, 0.3)
    times = np.sort(T.sample(100_000, seed=5))
    steps = np.arange(1, times.size + 1) / times.size
    bound = np.sqrt(-0.5 * np.log(1e-9) / times.size)
    assert np.max(np.abs(1 - T.survival(times[::50]) - steps[::50])) < bound
    twin = walled(1.2, 0.3)
    assert np.max(np.abs(1 - twin.survival(times[::50]) - steps[::50])) > bound
