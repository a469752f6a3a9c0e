"""Drift-diffusion out of an interval: its law, its ends of float64, and when resetting it pays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

import resetsgd as rs
from resetsgd.errors import DomainError


def interval(drift, start, diffusivity=1.0, length=1.0):
    return rs.first_passage(rs.DriftDiffusion(drift, diffusivity), start, (0.0, length))


def grid_survival(drift, start, t, n=801):
    """The backward equation on a grid (n odd), Crank-Nicolson after two implicit Euler steps."""
    from scipy.linalg import solve_banded

    x = np.linspace(0, 1, n)
    h = x[1] - x[0]
    up, down = 1 / h**2 + drift / (2 * h), 1 / h**2 - drift / (2 * h)
    steps = 2000
    dt, u = t / steps, np.ones(n - 2)

    def march(u, dt, implicit):
        full = np.concatenate([[0.0], u, [0.0]])
        flow = up * full[2:] + down * full[:-2] - (up + down) * full[1:-1]
        band = np.zeros((3, n - 2))
        band[0, 1:], band[2, :-1] = -implicit * dt * up, -implicit * dt * down
        band[1] = 1 + implicit * dt * (up + down)
        return solve_banded((1, 1), band, u + (1 - implicit) * dt * flow)

    for _ in range(4):
        u = march(u, dt / 4, 1.0)
    for _ in range(steps - 1):
        u = march(u, dt, 0.5)
    return np.interp(start, x[1:-1], u)


@pytest.mark.parametrize("drift, start, t", [(0.0, 0.5, 0.15), (6.0, 0.25, 0.1), (-4.0, 0.75, 0.4)])
def test_survival_solves_the_backward_equation(drift, start, t):
    assert interval(drift, start).survival(t) == pytest.approx(
        grid_survival(drift, start, t), rel=3e-5
    )
    # twin: the drift reversed is another law
    assert interval(-drift - 1.0, start).survival(t) != pytest.approx(
        grid_survival(drift, start, t), rel=1e-2
    )


@pytest.mark.parametrize(
    "drift, start", [(0, 0.5), (0, 1e-6), (25, 0.05), (-300, 0.9), (40, 0.9999)]
)
def test_images_meet_modes(drift, start):
    """The two series are different sums; where one hands over to the other they agree."""
    T = interval(float(drift), start)
    t = np.array([0.2 * (1 - 1e-12), 0.2 * (1 + 1e-12)])
    for value in (T.density(t), T.survival(t), T.given("upper").survival(t)):
        if value[0] > 1e-290:
            assert value[1] == pytest.approx(value[0], rel=2e-11 * (1 + drift**2 / 100))
    assert np.diff(T.restricted_mean(t))[0] == pytest.approx(0.0, abs=1e-11 * T.mean())


def integral(function, first, last, panels=160):
    """Integral over log time, Gauss points in panels: for smooth functions of log t."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    edges = np.linspace(np.log(first), np.log(last), panels + 1)
    half = 0.5 * np.diff(edges)
    t = np.exp(edges[:-1, None] + half[:, None] * (nodes + 1))
    return float(np.sum(half[:, None] * weights * t * function(t)))


@pytest.mark.parametrize("drift, start", [(0.0, 0.5), (0.0, 1e-4), (25.0, 0.05), (-60.0, 0.8)])
def test_density_survival_moments_and_transform_are_of_one_law(drift, start):
    T = interval(drift, start)
    first, last = T.quantile(1e-12), 5.0
    assert integral(T.density, first, last) == pytest.approx(1.0, abs=1e-9)
    assert integral(lambda t: t * T.density(t), first, last) == pytest.approx(T.mean(), rel=1e-8)
    t = T.quantile(0.8)
    part = first + integral(T.survival, first, t)
    assert part == pytest.approx(T.restricted_mean(t), rel=1e-8)
    s = 1.0 / T.mean()
    value = integral(lambda u: np.exp(-s * u) * T.density(u), first, last)
    assert value == pytest.approx(T.laplace(s), rel=1e-9)


def test_small_survival_keeps_relative_accuracy():
    """Late enough only the slowest mode is left: its known amplitude and rate."""
    drift, x, t = 3.0, 0.3, 60.0
    rate = drift**2 / 4 + np.pi**2
    ends = np.exp(-drift * x / 2) + np.exp(drift * (1 - x) / 2)
    amplitude = 2 * np.pi * np.sin(np.pi * x) * ends / (np.pi**2 + drift**2 / 4)
    T = interval(drift, x)
    assert 0 < T.survival(t) < 1e-280
    assert T.survival(t) == pytest.approx(amplitude * np.exp(-rate * t), rel=1e-12)
    assert T.density(t) == pytest.approx(rate * amplitude * np.exp(-rate * t), rel=1e-12)
    # early: the reflection principle, two images, one from each end
    early = 0.3**2 / 4 / 300
    assert 0 < T._cdf(np.asarray(early)) < 1e-120


def test_near_an_end_the_other_end_does_not_matter():
    """The half line is the limit of a long interval."""
    free = rs.first_passage(rs.DriftDiffusion(-2.0, 1.0), 0.5, 0.0)
    T = interval(-2.0, 0.5, length=60.0)
    assert T.mean() == pytest.approx(free.mean(), rel=1e-13)
    assert T.var() == pytest.approx(free.var(), rel=1e-12)
    t = np.array([0.01, 0.1, 1.0, 3.0])
    assert T.survival(t) == pytest.approx(free.survival(t), rel=1e-12)
    assert T.under(rs.Poisson(3.0)).mean() == pytest.approx(
        free.under(rs.Poisson(3.0)).mean(), rel=1e-13
    )


def test_fair_game_pays_exactly_outside_the_middle():
    """Zero drift: it helps iff x/L lies outside (5 -+ sqrt 5)/10; CV² = 2/3 at the centre."""
    assert interval(0.0, 0.5).cv() ** 2 == pytest.approx(2 / 3, rel=1e-14)
    for critical, inside in (((5 - 5**0.5) / 10, 1), ((5 + 5**0.5) / 10, -1)):
        assert interval(0.0, critical).cv() == pytest.approx(1.0, rel=1e-14)
        for step in (1e-3, 1e-6):
            assert not interval(0.0, critical + inside * step).best(rs.Poisson).pays
            assert interval(0.0, critical - inside * step).best(rs.Poisson).pays


def test_first_order_transition_with_drift_away_from_the_near_end():
    """CV < 1 and yet a finite rate is three times faster: CV > 1 is not necessary."""
    T = interval(25.0, 0.05)
    assert T.cv() ** 2 == pytest.approx(0.4548, abs=5e-5)
    best = T.best(rs.Poisson)
    assert best.pays
    assert best.rate == pytest.approx(1529.45, rel=1e-5)
    assert best.mean == pytest.approx(0.008862, rel=1e-5)
    assert T.mean() == pytest.approx(0.026540, rel=1e-5)
    assert T.under(rs.Poisson(best.rate)).cv() == pytest.approx(1.0, abs=1e-8)
    # slow resetting hurts: the optimum is not reached from rate 0
    assert T.under(rs.Poisson(1.0)).mean() > T.mean()
    # it jumps from 1921 to 0 at mu = 45.4626
    assert interval(45.46, 0.05).best(rs.Poisson).rate == pytest.approx(1921, rel=2e-3)
    assert not interval(45.465, 0.05).best(rs.Poisson).pays
    # CV = 1 was passed long before
    assert brentq(lambda mu: interval(mu, 0.05).cv() - 1, 5, 30) == pytest.approx(14.5137, rel=1e-5)


def test_resetting_pays_in_a_window_of_drifts_only():
    """x/L = 0.7: 1.14518 < mu < 4.65207; neither without drift nor with much of it."""
    for drift, pays in ((0.0, False), (1.1451, False), (1.1453, True), (3.0, True)):
        assert interval(drift, 0.7).best(rs.Poisson).pays == pays
    for drift, pays in ((4.652, True), (4.6522, False), (10.0, False)):
        assert interval(drift, 0.7).best(rs.Poisson).pays == pays


def test_mirror_and_scaling():
    T, M = interval(3.0, 0.2), interval(-3.0, 0.8)
    assert T.mean() == pytest.approx(M.mean(), rel=1e-15)
    assert T.splitting() == pytest.approx(M.splitting()[::-1], rel=1e-14)
    assert T.given("lower").var() == pytest.approx(M.given("upper").var(), rel=1e-14)
    # length by 2, diffusivity by 4, drift by 2 at the same time
    S = rs.first_passage(rs.DriftDiffusion(6.0, 4.0), 0.4, (0.0, 2.0))
    assert S.survival(0.07) == pytest.approx(T.survival(0.07), rel=1e-14)
    assert S.under(rs.Poisson(9.0)).var() == pytest.approx(
        T.under(rs.Poisson(9.0)).var(), rel=1e-14
    )


def test_the_ends_of_float64():
    T = interval(0.0, 0.5)
    assert T.log_laplace(1e300) == pytest.approx(-0.5 * 1e150, rel=1e-14)
    assert T.under(rs.Poisson(1e300)).log_mean() == pytest.approx(0.5e150, rel=1e-14)
    assert T.under(rs.Poisson(1e7)).mean() == np.inf
    assert T.log_laplace(1e-300) == pytest.approx(-0.125e-300, rel=1e-14)
    steep = interval(1e300, 0.25)
    assert steep.mean() == pytest.approx(0.75e-300, rel=1e-14)
    assert steep.splitting() == (0.0, 1.0)
    tiny = rs.first_passage(rs.DriftDiffusion(0.0, 1.0), 5e-324, (0.0, 1.0))
    assert tiny.splitting().upper == 5e-324
    values = [1e-308, 1e-160, 1e-12, 1.0, 1e12, 1e160, 1e300]
    for drift in (0.0, 1e-300, 1.0, -1e12, 1e300):
        for D in values:
            for length in (1e-150, 1.0, 1e150):
                law = rs.first_passage(rs.DriftDiffusion(drift, D), 0.25 * length, (0.0, length))
                found = [law.mean(), law.log_mean(), law.var(), law.cv(), *law.splitting()]
                found += [law.given("lower").mean(), law.survival(1.0), law.density(1.0)]
                for rate in (0.0, 1e-300, 1.0, 1e300):
                    R = law.under(rs.Poisson(rate))
                    found += [law.log_laplace(rate), R.mean(), R.log_mean(), R.var()]
                assert not np.isnan(found).any(), (drift, D, length, found)


@pytest.mark.parametrize(
    "start, target",
    [
        (0.0, (0.0, 1.0)),
        (1.0, (0.0, 1.0)),
        (2.0, (0.0, 1.0)),
        (0.5, (1.0, 0.0)),
        (0.5, (0.0, np.inf)),
    ],
)
def test_wrong_places_are_named(start, target):
    with pytest.raises(DomainError, match=r"start|target"):
        rs.first_passage(rs.DriftDiffusion(1.0, 1.0), start, target)


@pytest.mark.statistical(alpha=2e-9)
def test_draws_follow_the_law():
    """Kolmogorov distance of 1e5 draws; a law wrong by 0.011 somewhere is seen."""
    for T in (interval(2.0, 0.3), interval(2.0, 0.3).given("lower")):
        times = np.sort(T.sample(100_000, seed=5))
        steps = np.arange(1, times.size + 1) / times.size
        bound = np.sqrt(-0.5 * np.log(0.5e-9) / times.size)
        thin = slice(0, None, 50)
        assert np.max(np.abs(T._cdf(times[thin]) - steps[thin])) < bound
        twin = interval(2.4, 0.3)
        assert np.max(np.abs(twin._cdf(times[thin]) - steps[thin])) > bound
