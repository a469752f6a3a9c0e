"""Laplace inversion of steep laws, against the closed forms of drift-diffusion."""

from __future__ import annotations

import numpy as np
import pytest

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
    late = steep.lasting(T._log_laplace, t, 0.0, T._inverting)
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
