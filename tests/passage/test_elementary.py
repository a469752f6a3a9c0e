"""One formula for floats and arrays, and what rests on it: fast means and their slopes."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import resetsgd as rs
from resetsgd.passage import elementary
from resetsgd.passage.base import PassageTime
from resetsgd.passage.closed import scale_of_means
from resetsgd.passage.crossing import solve
from resetsgd.passage.elementary import choose, each, ordinary, pick
from resetsgd.passage.parabolic_series import mean_series


def walk(drift, start, target, wall=None):
    return rs.first_passage(rs.DriftDiffusion(drift, 1.0), start, target, wall=wall)


LAWS = {
    "interval": walk(1.2, 0.6, (0.0, 2.0)),
    "interval near an end": walk(0.0, 0.05, (0.0, 1.0)),
    "interval at its transition": walk(0.0, 0.5 - np.sqrt(0.05), (0.0, 1.0)),
    "interval, swift": walk(-60.0, 0.9, (0.0, 1.0)),
    "wall": walk(-1.2, 0.8, 0.0, wall=1.5),
    "wall, uphill": walk(1.2, 0.8, 0.0, wall=1.5),
    "wall, still": walk(0.0, 0.5, 0.0, wall=4.0),
    "trap": rs.first_passage(rs.LinearTrap(1.2, 1.0), -0.5, 0.7),
    "trap from the kink": rs.first_passage(rs.LinearTrap(5.0, 1.0), 0.0, 1.0),
    "bowl": rs.first_passage(rs.OrnsteinUhlenbeck(1.2, 0.0, 1.0), 0.2, 1.3),
    "bowl from below": rs.first_passage(rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), -2.0, 1.0),
    "bowl to the center": rs.first_passage(rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), 1.0, 0.0),
    "ball": rs.first_passage(rs.Bessel(3.0, 1.2), 0.5, 1.6),
    "line": rs.first_passage(rs.Bessel(1.0, 1.0), 1e-3, 1.0),
}


def test_a_kernel_sees_floats_and_arrays_in_blocks(monkeypatch):
    seen = []

    def kernel(x, y):
        seen.append(np.shape(x))
        return x / y

    assert each(kernel, 3.0, 2.0) == 1.5 and seen == [()]
    assert each(kernel, 3.0, 0.0) == np.inf  # on as an array
    monkeypatch.setattr(elementary, "_BLOCK", 10)
    x = np.arange(1.0, 25.0).reshape(4, 6)
    seen.clear()
    assert np.array_equal(each(kernel, x, np.float64(2.0)), x / 2.0)
    assert seen == [(10,), (10,), (4,)]
    column = np.array([[1.0], [2.0], [3.0], [4.0]])
    assert np.array_equal(each(kernel, x, column), x / column)


def test_each_part_of_a_choice_sees_only_its_own():
    x = np.array([-4.0, 9.0, -1.0, 16.0])
    with np.errstate(invalid="raise"):  # a square root of what is below zero
        assert choose(x > 0, np.sqrt, np.abs, x).tolist() == [4.0, 3.0, 1.0, 4.0]
        assert choose(np.array([True, True]), np.sqrt, np.abs, np.array([4.0, 9.0])).sum() == 5.0
    assert choose(True, abs, lambda x: x / 0.0, -2.0) == 2.0
    assert (pick(True, 1, 2), pick(False, 1, 2), pick(x > 0, 1, 2).tolist()) == (1, 2, [2, 1, 2, 1])
    assert ordinary(True) and ordinary(np.array([True])) and not ordinary(np.array([True, False]))
    with pytest.raises(ArithmeticError):
        ordinary(False)


@pytest.mark.parametrize("name", LAWS)
def test_one_number_gives_what_an_array_gives(name):
    law = LAWS[name]
    rates = np.geomspace(1e-12, 1e4, 33)
    means = law.under(rs.Poisson(rates)).mean()
    alone = [law.under(rs.Poisson(float(rate))).mean() for rate in rates]
    spread = np.maximum(1.0, -np.asarray(law.log_laplace(rates)))  # its condition number
    assert (np.abs(np.array(alone) / means - 1.0) <= 4e-15 * spread).all()
    assert law.under(rs.Poisson(0.0)).mean() == pytest.approx(law.mean(), rel=1e-14)


@pytest.mark.parametrize("name", LAWS)
def test_slope_at_vanishing_rate_is_that_of_the_moments(name):
    law = LAWS[name]
    mean = law.mean()
    for small in (1e-9, 1e-13, 1e-17):
        slope = law.slope_exponential(small / mean)
        expected = 0.5 * small * (1.0 - law.cv() ** 2)
        # the next order, and the rounding of 1 - CV²
        wide = law.cv() ** 4 + 1.0
        assert slope == pytest.approx(expected, rel=1e-12, abs=small * (10 * small * wide + 4e-14))


@pytest.mark.parametrize("name", LAWS)
def test_slope_is_that_of_the_mean(name):
    law = LAWS[name]
    for rate in np.geomspace(1e-2, 1e2, 5) / law.timescale():
        step = 1e-3
        logs = [np.log(law.mean_exponential(rate * np.exp(k * step))) for k in (-2, -1, 1, 2)]
        found = (8.0 * (logs[2] - logs[1]) - (logs[3] - logs[0])) / (12.0 * step)
        assert law.slope_exponential(rate) == pytest.approx(found, rel=1e-9, abs=1e-10)
        assert law.slope_exponential(rate) != pytest.approx(found + 1e-6, rel=1e-9, abs=1e-10)


def test_a_start_at_the_transition_is_told_from_its_neighbours():
    # between two ends without drift resetting pays outside abs(x - 1/2) < sqrt(1/20)
    place = 0.5 - np.sqrt(0.05)
    for gap in (1e-2, 1e-4, 1e-6):
        assert walk(0.0, place - gap, (0.0, 1.0)).best(rs.Poisson).pays
        assert not walk(0.0, place + gap, (0.0, 1.0)).best(rs.Poisson).pays


@pytest.mark.parametrize("name", LAWS)
def test_scale_from_a_few_means_is_the_one_from_the_transform(name):
    law = LAWS[name]
    assert scale_of_means(law) == PassageTime.timescale(law)


def test_no_scale_from_means_without_a_mean():
    assert scale_of_means(walk(1.0, 1.0, 0.0)) is None  # away from the target
    assert scale_of_means(walk([1.0, 2.0], 0.5, (0.0, 1.0))) is None


@pytest.mark.parametrize("p", [0.0, 1e-9, 0.3, 2.5, 29.0])
@pytest.mark.parametrize(
    "low, gap", [(0.0, 1.0), (0.4, 1e-6), (0.1, 1.3), (-0.3, 1.1), (-20.0, 3.0)]
)
def test_series_of_the_bowl_against_its_integrals(p, low, gap):
    with mp.workdps(40):
        # for p = 0 the limit, by a difference that 40 digits allow
        order, start = mp.mpf(p) or mp.mpf(10) ** -20, mp.mpf(low)

        def integral(y):
            return mp.gamma(order) * mp.exp(y * y / 4) * mp.pcfd(-order, -y)

        exact = float((integral(start + mp.mpf(gap)) / integral(start) - 1) / order)
    assert mean_series(p, low, low + gap, gap) == pytest.approx(exact, rel=3e-15)
    found = each(mean_series, np.array([p, 31.0]), low, low + gap, gap)
    assert found[0] == pytest.approx(exact, rel=3e-15) and np.isnan(found[1])


def test_a_zero_is_found_from_few_points():
    calls = []

    def function(x):
        calls.append(np.size(x))
        return np.tanh(np.log(x) - 0.3) + 1e-3 * np.log(x)

    x = np.geomspace(0.1, 10.0, 9)
    found = solve(function, x[4], x[5], (x.tolist(), function(x).tolist()))
    assert len(calls) <= 3
    again = solve(function, 0.1, 10.0)
    assert again == pytest.approx(found, rel=1e-14)
    assert abs(function(found)) < 1e-14 < abs(function(found * (1 + 1e-12)))


def test_words_of_an_optimum_are_said_when_asked_for():
    best = LAWS["trap"].best(rs.Poisson)
    assert callable(best.__dict__["_reason"])
    assert best.reason.startswith("CV 1.08") and best.__dict__["_reason"] == best.reason
    assert "reason='CV 1.08" in repr(best)


@pytest.mark.parametrize("dimension, start", [(3.0, 2.0), (2.0, 5.0), (-1.3, 1.5), (7.7, 1.1)])
def test_one_number_from_outside_a_ball(dimension, start):
    law = rs.first_passage(rs.Bessel(dimension, 1.0), start, 1.0)
    rates = np.geomspace(1e-6, 1e3, 40) / (start - 1.0) ** 2
    means = law.under(rs.Poisson(rates)).mean()
    alone = np.array([law.under(rs.Poisson(float(rate))).mean() for rate in rates])
    spread = 4.0 - np.asarray(law.log_laplace(rates))
    assert (np.abs(alone / means - 1.0) <= 4e-15 * spread).all()
