"""Against kramers 0.1.0, a handbook of first-passage formulas written by others."""

from __future__ import annotations

import numpy as np
import pytest

import resetsgd as rs

kramers = pytest.importorskip("kramers", reason="kramers is in the test extra")
from kramers import formulas  # noqa: E402

DRAW = np.random.default_rng(2026)
POINTS = 10.0 ** DRAW.uniform(-3, 3, (60, 3))


def spread(low, high, n=60, seed=3):
    return 10.0 ** np.random.default_rng(seed).uniform(low, high, n)


def test_interval_mean_splitting_and_conditional_means():
    """K0012, both signs of the drift."""
    draw = np.random.default_rng(1)
    for L, D, share in zip(
        spread(-3, 3), spread(-3, 3, seed=4), draw.uniform(0.02, 0.98, 60), strict=True
    ):
        for peclet in (-30.0, -1.0, -1e-6, 0.0, 0.3, 8.0):
            x, v = share * L, peclet * D / L
            theirs = formulas.drift_diffusion_interval(x, L, v, D)
            T = rs.first_passage(rs.DriftDiffusion(v, D), x, (0.0, L))
            assert T.mean() == pytest.approx(theirs.mean_time, rel=2e-11)
            assert T.splitting().upper == pytest.approx(theirs.p_right, rel=1e-11, abs=1e-300)
            assert T.given("upper").mean() == pytest.approx(theirs.mean_time_right, rel=2e-11)
            assert T.given("lower").mean() == pytest.approx(theirs.mean_time_left, rel=2e-11)
            away = formulas.conditional_time_to_origin(x, L, abs(v), D)
            assert T.given("lower").mean() == pytest.approx(away, rel=2e-11)


@pytest.mark.parametrize("dimension", [1, 2, 3, 10])
def test_exit_from_a_ball(dimension):
    """K0014."""
    for a, D, share in zip(
        spread(-3, 3), spread(-3, 3, seed=5), np.linspace(0.0, 0.95, 60), strict=True
    ):
        theirs = formulas.ball_exit_time(share * a, a, D, dimension)
        T = rs.first_passage(rs.Bessel(float(dimension), D), share * a, a)
        assert T.mean() == pytest.approx(theirs.mean, rel=1e-13)
        assert T.var() + T.mean() ** 2 == pytest.approx(theirs.second_moment, rel=1e-12)


def test_free_diffusion_under_resetting():
    """K0015 and K0016."""
    for x, r, D in POINTS:
        T = rs.first_passage(rs.DriftDiffusion(0.0, D), x, 0.0)
        with np.errstate(over="ignore"):
            theirs = formulas.resetting_mean_time(x, r, D)
        mine = T.under(rs.Poisson(r)).mean()
        assert mine == theirs or mine == pytest.approx(theirs, rel=1e-13 * (1 + x * np.sqrt(r / D)))
        best = formulas.resetting_optimal_rate(x, D)
        assert T.best(rs.Poisson).rate == pytest.approx(best, rel=1e-12)


CASES = {
    "drift": lambda: rs.first_passage(rs.DriftDiffusion(-1.0, 1.0), 1.0, 0.0),
    "interval": lambda: rs.first_passage(rs.DriftDiffusion(1.0, 1.0), 0.2, (0.0, 1.0)),
    "bowl": lambda: rs.first_passage(rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), 0.2, 1.3),
    "trap": lambda: rs.first_passage(rs.LinearTrap(1.0, 1.0), -0.5, 0.7),
    "ball": lambda: rs.first_passage(rs.Bessel(3.0, 1.0), 0.5, 1.6),
}


@pytest.mark.parametrize("name", CASES)
def test_poisson_and_sharp_restart_of_any_law(name):
    """K0017, K0018, K0019."""
    T = CASES[name]()
    for r in (0.1, 1.0, 10.0):
        theirs = formulas.restart_moments(T.laplace, r)
        R = T.under(rs.Poisson(r))
        assert R.mean() == pytest.approx(theirs.mean, rel=1e-12)
        assert R.var() + R.mean() ** 2 == pytest.approx(theirs.second_moment, rel=1e-5)
    slope = formulas.restart_initial_slope(T.mean(), T.var() + T.mean() ** 2)
    assert T.response().slope == pytest.approx(slope, rel=1e-11)
    for period in (0.3, 1.0, 4.0):
        theirs = formulas.sharp_restart_mean_time(T.survival, period)
        assert T.under(rs.Sharp(period)).mean() == pytest.approx(theirs, rel=1e-7)


def test_a_symmetric_walk_from_the_edge():
    """K0020: Sparre Andersen, whatever the jumps; started next to the target."""
    from scipy import stats

    n = np.arange(1, 30)
    for jump in (stats.norm(0.0, 1.0), stats.laplace(0.0, 1.0)):
        T = rs.first_passage(rs.RandomWalk(jump), 1e-12, 0.0)
        np.testing.assert_allclose(
            T.survival(n.astype(float)), formulas.sparre_andersen_survival(n), rtol=1e-8
        )


def test_run_and_tumble_exit():
    """K0023: a wall at 0 is an interval twice as long, its tumble rate twice our flip rate."""
    for L, v, rate in POINTS:
        theirs = formulas.run_and_tumble_exit_time(L, v, rate)
        T = rs.first_passage(rs.Telegraph(v, rate / 2), 0.0, (-L, L))
        assert T.mean() == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("diffusivity", [0.3, 1.0])
def test_mean_and_splitting_in_a_double_well(diffusivity):
    """K0002, K0003: quadrature."""

    def reduced(x):
        return (x * x - 1.0) ** 2 / diffusivity

    well = rs.Landscape(lambda x: (x * x - 1.0) ** 2, diffusivity)
    T = rs.first_passage(well, -1.0, (-1.8, 0.4))
    args = (-1.0, -1.8, 0.4)
    theirs = formulas.mean_first_passage_time(
        reduced, *args, D=diffusivity, left="absorbing", right="absorbing"
    )
    assert T.mean() == pytest.approx(theirs, rel=1e-8)
    theirs = formulas.splitting_probability(reduced, *args, D=diffusivity)
    assert T.splitting().upper == pytest.approx(theirs, rel=1e-8)


def test_a_wrong_formula_is_seen():
    """The drift with the wrong sign, the tumble rate without its half."""
    theirs = formulas.drift_diffusion_interval(0.3, 1.0, 1.0, 1.0)
    T = rs.first_passage(rs.DriftDiffusion(-1.0, 1.0), 0.3, (0.0, 1.0))
    assert abs(T.mean() / theirs.mean_time - 1) > 1e-3
    wrong = rs.first_passage(rs.Telegraph(1.0, 1.0), 0.0, (-1.0, 1.0)).mean()
    assert abs(wrong / formulas.run_and_tumble_exit_time(1.0, 1.0, 1.0) - 1) > 1e-3
