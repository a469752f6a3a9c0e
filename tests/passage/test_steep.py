"""Laplace inversion of steep laws, against the closed forms of drift-diffusion."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs
from resetsgd.passage import inversion, moments, steep
from resetsgd.passage.base import PassageTime

WIDTHS = [2.0, 0.5, 0.25, 0.15, 0.1, 0.03, 0.003]


def _law(cv):
    return rs.first_passage(rs.DriftDiffusion(1.0, 0.5 * cv * cv), start=0.0, target=1.0)


def _times(T):
    return np.maximum(T.mean() + T.std() * np.linspace(-8.0, 8.0, 17), 0.02)


@pytest.mark.parametrize("cv", WIDTHS)
def test_law_against_the_closed_form(cv):
    T = _law(cv)
    t = _times(T)
    assert np.abs(PassageTime._survival(T, t) - T.survival(t)).max() < 1e-10
    assert T.std() * np.abs(PassageTime._density(T, t) - T.density(t)).max() < 1e-10
    late = steep.lasting(T._inverting, t, 0.0)
    np.testing.assert_allclose(late, T.restricted_mean(t), rtol=1e-10)


def test_the_bent_contour_alone_is_rejected():
    T = _law(0.1)
    t = _times(T)
    plain = inversion.invert(lambda s: -np.expm1(T._log_laplace(s)) / s, t)
    assert not np.abs(plain - T.survival(t)).max() < 1e-10


def test_arrays_of_laws_and_a_law_without_width():
    cv = np.array([0.5, 0.1, 0.03])
    T = _law(cv)
    t = T.mean() + 0.5 * T.std()
    assert np.abs(PassageTime._survival(T, t) - T.survival(t)).max() < 1e-10
    bowl = rs.first_passage(rs.OrnsteinUhlenbeck(0.7, 0.0, 1e-308), 2.5, 0.3)
    assert bowl.survival([1.0, 3.0, 3.1]).tolist() == [1.0, 1.0, 0.0]
    assert bowl.under(rs.Sharp(1.0)).mean() == np.inf
    assert bowl.under(rs.Sharp(4.0)).mean() == pytest.approx(np.log(2.5 / 0.3) / 0.7, rel=1e-12)


def test_an_array_of_laws_is_its_members():
    """Ordinary Ornstein-Uhlenbeck processes, some steep, at times of their own and together."""
    rng = np.random.default_rng(5)
    k, low, D = rng.uniform(0.2, 3.0, 6), rng.uniform(1.0, 3.0, 6), np.logspace(-3.0, 0.0, 6)
    times = np.array([0.2, 0.7, 1.3, 4.0])
    T = rs.first_passage(rs.OrnsteinUhlenbeck(k, 0.3, D), low, 0.5)
    assert (T.cv() < 0.25).any() and (T.cv() > 0.5).any()
    for name in ("survival", "density"):
        together = getattr(T, name)(times[:, None])
        assert together.shape == (4, 6)
        for i in range(6):
            one = rs.first_passage(rs.OrnsteinUhlenbeck(k[i], 0.3, D[i]), low[i], 0.5)
            np.testing.assert_allclose(together[:, i], getattr(one, name)(times), atol=1e-10)
            assert getattr(one, name)(0.7) == pytest.approx(together[1, i], abs=1e-10)
    short = rs.first_passage(rs.OrnsteinUhlenbeck(k[:, None], 0.3, D[:, None]), 2.0, 0.5)
    assert short.survival(times).shape == (6, 4)
    again = pickle.loads(pickle.dumps(short))
    assert np.array_equal(again.survival(times), short.survival(times))


@pytest.mark.parametrize("cv", [0.1, 0.03, 0.003])
def test_early_arrivals_keep_their_digits(cv):
    """Standard deviations before the mean, by the shift to the saddle."""
    T = _law(cv)
    t = T.mean() - T.std() * np.array([6.0, 8.0, 9.0])
    come = T._inverting.along_line(lambda s, shift: shift / s, t, np.zeros(3, dtype=int))
    np.testing.assert_allclose(come, T._cdf(t), rtol=1e-10 + 1e-12 / cv)
    assert not np.allclose(1.0 - PassageTime._survival(T, t), come, rtol=1e-6, atol=0)


@pytest.mark.parametrize("cv", [0.5, 0.17, 0.03, 0.001])
def test_quantiles_of_steep_laws(cv):
    T, q = _law(cv), np.array([1e-6, 0.01, 0.3, 0.5, 0.9, 0.999])
    bowl = rs.first_passage(rs.OrnsteinUhlenbeck(0.7, 0.0, cv * cv), 2.5, 0.3)
    found = PassageTime.quantile(bowl, q)
    np.testing.assert_allclose(1.0 - bowl.survival(found), q, atol=1e-10)
    np.testing.assert_allclose(T.quantile(q), PassageTime.quantile(T, q), rtol=1e-7)


def _with_fixed_overhead(T, rate, lost, grid):
    """Survival on a grid by the renewal equation S(t) = e^(-rt) S0(t) + ..., trapezoidal rule."""
    step, late = grid[1], np.ones(grid.size)
    first, delay = np.exp(-rate * grid) * np.asarray(T.survival(grid)), round(lost / step)
    for n in range(1, grid.size):
        after = np.ones(n + 1)  # a time after a reset: not yet over, or restarted
        after[delay:] = late[: max(n - delay + 1, 0)]
        held = first[: n + 1] @ after[::-1] - 0.5 * (first[0] * after[n] + first[n])
        late[n] = first[n] + rate * step * held
    return late


def test_a_steep_law_behind_resets_that_cost_time():
    T, rate, lost = rs.first_passage(rs.DriftDiffusion(-1.0, 0.0008), 1.0, 0.0), 0.9, 0.25
    grid = np.linspace(0.0, 4.0, 4001)
    late = _with_fixed_overhead(T, rate, lost, grid)
    at = [800, 1000, 1050, 1250, 2000, 2500, 3500]
    R = T.under(rs.Poisson(rate, overhead=lost))
    np.testing.assert_allclose(R.survival(grid[at]), late[at], atol=1e-6)
    slope = (late[2001] - late[1999]) / 0.002
    assert R.density(2.0) == pytest.approx(-slope, abs=1e-5)
    wrong = _with_fixed_overhead(T, rate, 0.26, grid)
    assert not np.allclose(R.survival(grid[at]), wrong[at], atol=1e-3)


def test_steep_laws_from_right_of_zero():
    """Partial resets at rate 0 are none; so is an overhead of no resets."""
    for D in (0.02, 0.001):
        T = rs.first_passage(rs.DriftDiffusion(-1.0, D), 1.0, 0.0)
        t = T.mean() + T.std() * np.linspace(-3.0, 6.0, 10)
        none = T.under(rs.Poisson(0.0, partial=0.5))
        np.testing.assert_allclose(none.survival(t), T.survival(t), atol=1e-9)
        np.testing.assert_allclose(none.density(t), T.density(t), atol=1e-8)
        random = T.under(rs.Poisson(1e-12, overhead=stats.gamma(2.0, scale=0.15)))
        np.testing.assert_allclose(random.survival(t), T.survival(t), atol=1e-9)
    nodes, weights = inversion.euler(18, 18)
    s = nodes[:, None] / t
    plain = (weights @ (-np.expm1(T._log_laplace(s)) / s)).real / t
    assert not np.abs(plain - T.survival(t)).max() < 1e-4


def test_arrivals_of_a_steep_bessel_process():
    T = rs.first_passage(rs.Bessel(400.0, 1.0), 0.5, 1.0)
    t = T.mean() + T.std() * np.linspace(-5.0, 6.0, 12)
    assert T.cv() < 0.1
    assert np.abs(T._cdf(t) + T.survival(t) - 1.0).max() < 1e-11
    x, w = np.polynomial.legendre.leggauss(80)
    low, high = t[0], t[7]
    mass = 0.5 * (high - low) * (w @ T.density(low + 0.5 * (high - low) * (1.0 + x)))
    assert T._cdf(high) - T._cdf(low) == pytest.approx(mass, abs=1e-9)


def test_a_steep_part_behind_resets():
    """Restarts of a steep law, against the renewal sum over the number of resets by quadrature."""
    T = rs.first_passage(rs.DriftDiffusion(-0.7, 0.01), 2.5, 0.1)
    R, rate, grid = T.under(rs.Poisson(0.1)), 0.1, np.linspace(0.0, 6.0, 6001)
    # S(t) = exp(-rt) S0(t) + r * integral of exp(-ru) S0(u) S(t - u): marched by the trapezoid
    first = np.exp(-rate * grid) * np.asarray(T.survival(grid))
    step, late = grid[1], np.empty(grid.size)
    late[0] = 1.0
    for n in range(1, grid.size):
        known = first[1 : n + 1] @ late[n - 1 :: -1] - 0.5 * first[n] * late[0]
        late[n] = (first[n] + rate * step * known) / (1.0 - 0.5 * rate * step)
    np.testing.assert_allclose(R.survival(grid[2000::1000]), late[2000::1000], atol=1e-6)


def test_too_steep_a_law_is_refused():
    T = _law(1e-7)
    with pytest.raises(rs.NotConverged):
        PassageTime._survival(T, np.asarray(T.mean()))


@pytest.mark.parametrize("length", [1e-100, 1e-80, 1.0, 1e80, 1e120])
def test_the_ratio_of_std_to_mean_outlives_the_variance(length):
    """Bessel(3) from half the radius: mean a²/8D, variance a⁴/96 D²."""
    T = rs.first_passage(rs.Bessel(3.0, 1.0), 0.5 * length, length)
    assert T.cv() == pytest.approx(np.sqrt(2.0 / 3.0), rel=1e-10)
    square = moments.relative_variance(T._log_laplace, np.asarray(T.mean()))
    assert square == pytest.approx(2.0 / 3.0, rel=1e-9)


def test_a_ratio_that_is_undefined_is_refused():
    with pytest.raises(rs.NotConverged, match="cv"):
        rs.first_passage(rs.Bessel(3.0, 1.0), 0.5e-170, 1e-170).cv()
    with pytest.raises(rs.NotConverged, match="cv"):
        rs.observed([0.0, 0.0]).cv()
    assert rs.observed([1e200, 2e200]).cv() == pytest.approx(np.sqrt(2.0) / 3.0)


@pytest.mark.parametrize("turns", [0.5, 30.0, 300.0, 3000.0])
def test_transform_within_a_period_that_turns_often(turns):
    """E[exp(-sT); T < tau] for imaginary s: a tilt of the law, exact with complex speed."""
    mpmath = pytest.importorskip("mpmath")
    T, tau = rs.first_passage(rs.DriftDiffusion(0.7, 1.0), 0.0, 1.0), 0.3
    s = 1j * turns / tau
    speed = mpmath.sqrt(mpmath.mpf(0.7) ** 2 + 4 * mpmath.mpc(s))
    width = 2 * mpmath.sqrt(mpmath.mpf(tau))
    come = mpmath.erfc((1 - speed * tau) / width) / 2
    come += mpmath.exp(speed) * mpmath.erfc((1 + speed * tau) / width) / 2
    expected = complex(mpmath.exp((mpmath.mpf(0.7) - speed) / 2) * come)
    found = np.exp(T.trial_fixed(tau, s).log_success)
    assert abs(found - expected) < 1e-12 * max(1.0, turns)
    with pytest.raises(rs.NotConverged, match="turns"):
        T.trial_fixed(1.0, 1e6j)
