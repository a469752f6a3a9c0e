"""Linear response against finite differences, quadrature, and samples."""

from __future__ import annotations

import numpy as np
import pytest

import resetsgd as rs


def walk(peclet, length=1.0):
    return rs.first_passage(rs.DriftDiffusion(2 * peclet / length, 1.0), -length, 0.0)


def slope_by_differences(mean):
    h = 1e-5
    free = mean(0.0)
    first, second, third = ((mean(k * h) - free) / (k * h) for k in (1, 2, 3))
    return 3 * first - 3 * second + third


@pytest.mark.parametrize("peclet", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("overhead", [0.0, 0.3])
def test_a_restart(peclet, overhead):
    T = walk(peclet)
    found = T.response(overhead=overhead)
    direct = slope_by_differences(lambda r: T.under(rs.Poisson(r, overhead=overhead)).mean())
    assert found.slope == pytest.approx(direct, abs=1e-8)
    assert found.stderr == 0.0 and found.mean == T.mean()
    # CV² = 1/Pe against 1 + 2 c/T1
    assert found.pays == (1 / peclet > 1 + 4 * overhead * peclet)
    assert found.at(1e-4) == pytest.approx(T.mean() + 1e-4 * found.slope, rel=1e-15)


@pytest.mark.parametrize("length", [0.3, 2.0])
def test_a_perturbation_to_another_place(length):
    T, after = walk(0.8), walk(0.8, length)
    found = T.response(then=after)
    direct = slope_by_differences(lambda r: T.under(rs.Poisson(r), then=after).mean())
    assert found.slope == pytest.approx(direct, rel=1e-7)
    assert T.response(then=lambda t: after.mean() + 0 * t).slope == pytest.approx(found.slope)


def test_a_perturbation_whose_effect_depends_on_the_age():
    T = walk(0.8)
    # M(t) = exp(-k t): the integral of P(T > t) exp(-k t) is (1 - f(k))/k
    found = T.response(then=lambda t: np.exp(-1.7 * t))
    second = T.var() + T.mean() ** 2
    assert found.slope == pytest.approx(-np.expm1(T.log_laplace(1.7)) / 1.7 - second / 2, rel=1e-11)
    # doing nothing, M(t) the mean residual time, changes nothing: of exponential times a constant
    T = rs.observed(np.random.default_rng(2).exponential(1.0, 50_000))
    assert abs(T.response(then=lambda t: 1.0 + 0 * t).slope) < 0.05


def test_infinite_moments():
    for peclet in (0.0, -1.0):
        found = walk(peclet).response()
        assert (found.slope, found.mean, found.pays) == (-np.inf, np.inf, True)
    assert walk(0.8).response(then=walk(-1.0)).slope == np.inf


@pytest.mark.statistical(alpha=1e-10)
def test_samples_give_the_slope_within_their_standard_errors():
    """6.5 standard errors, two-sided; a slope wrong by 10 % would be seen 6 standard errors off."""
    T, after = walk(1.6), walk(1.6, 0.4)
    runs = rs.observed(T.sample(200_000, seed=4))
    exact = T.response(), T.response(then=after), T.response(then=lambda t: after.mean() + 0.1 * t)
    found = (
        runs.response(),
        runs.response(then=after),
        runs.response(then=lambda t: after.mean() + 0.1 * t),
    )
    for one, other in zip(exact, found, strict=True):
        assert 0 < other.stderr < 0.02 * abs(other.mean) + 0.02
        assert abs(one.slope - other.slope) < 6.5 * other.stderr
    # the wrong model: a restart taken to leave the mean residual time of an exponential law
    wrong = T.mean() ** 2 - T.mean() ** 2
    assert abs(wrong - found[0].slope) > 20 * found[0].stderr


def test_standard_errors_are_those_of_repeated_samples():
    T = walk(1.6)
    found = [rs.observed(T.sample(1000, seed=seed)).response() for seed in range(300)]
    spread = np.std([one.slope for one in found], ddof=1)
    claimed = np.sqrt(np.mean([one.stderr**2 for one in found]))
    assert claimed == pytest.approx(spread, rel=0.15)


def test_censored_runs():
    times, late = np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, True, False, True])
    with pytest.raises(rs.CensoredMean, match="response"):
        rs.observed(times, late).response()
    ended = rs.observed([1.0, 2.0, 3.0, 4.0], [False, True, False, False])
    found = ended.response()
    # Kaplan-Meier masses 1/4, 3/8, 3/8 at 1, 3, 4
    mean, second = 0.25 + 9 / 8 + 12 / 8, 0.25 + 27 / 8 + 48 / 8
    assert found.slope == pytest.approx(mean**2 - second / 2, rel=1e-14)
    assert found.stderr > 0


def test_wrong_arguments():
    with pytest.raises(rs.DomainError, match="then"):
        walk(1.0).response(then=3.0)
    with pytest.raises(rs.DomainError, match="then"):
        walk(1.0).response(then=lambda t: -t)
    with pytest.raises(rs.DomainError, match="overhead"):
        walk(1.0).response(overhead=-1.0)
