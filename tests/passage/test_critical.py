"""Where resetting starts to pay: places, orders, windows, expansions, maps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

import resetsgd as rs
from resetsgd.passage.critical import landau


def toward(speed):
    return rs.first_passage(rs.DriftDiffusion(-speed, 1.0), start=1.0, target=0.0)


def interval(place, drift):
    return rs.first_passage(rs.DriftDiffusion(drift, 1.0), place, (0.0, 1.0))


def test_peclet_number_one_for_a_rate_and_two_for_a_period():
    (rate,) = rs.critical(toward, 0.1, 5.0, points=17)
    assert (rate.order, rate.pays, rate.jump) == ("continuous", "below", 0.0)
    assert rate.at == pytest.approx(2.0, rel=1e-14)
    assert abs(rate.landau.first) < 1e-15 and rate.landau.second == pytest.approx(1 / 48, rel=1e-11)
    (period,) = rs.critical(toward, 0.3, 5.1, protocol=rs.Sharp, points=5)
    assert period.at == pytest.approx(4.0, rel=1e-9)
    assert (period.order, period.jump) == ("continuous", np.inf)


def test_rarer_early_resets_begin_to_pay_at_a_larger_spread():
    # inverse Gaussian, c = CV^2 = 2/v: E[T^3] = 3 E[T] E[T^2] is 3 c^2 = 2
    (gamma,) = rs.critical(toward, 0.3, 5.1, protocol=rs.Gamma)
    (weibull,) = rs.critical(toward, 0.3, 5.1, protocol=rs.Weibull)
    (uniform,) = rs.critical(toward, 0.3, 5.1, protocol=rs.Uniform)
    assert gamma.at == pytest.approx(np.sqrt(6.0), rel=1e-11)
    assert weibull.at == pytest.approx(np.sqrt(6.0), rel=1e-11)
    assert uniform.at == pytest.approx(2.0, rel=1e-11)
    best = [
        rs.first_passage(rs.DriftDiffusion(-v, 1.0), 1.0, 0.0).best(rs.Gamma) for v in (2.4, 2.5)
    ]
    assert [one.pays for one in best] == [True, False]


def test_overhead_moves_it():
    (one,) = rs.critical(toward, 0.1, 5.0, points=17, overhead=0.1)
    # CV² = 2/v = 1 + 2 c v
    assert one.at == pytest.approx((-1 + np.sqrt(1 + 16 * 0.1)) / 0.4, rel=1e-13)
    assert abs(one.landau.first) < 1e-12


def test_first_order_line_of_the_interval():
    (one,) = rs.critical(lambda mu: interval(0.2, mu), 0.3, 8.0, points=9)
    assert (one.order, one.pays) == ("first-order", "below")
    assert one.at == pytest.approx(3.27909, rel=1e-5)
    assert one.jump == pytest.approx(58.8759, rel=1e-5)
    law = interval(0.2, one.at)
    assert law.under(rs.Poisson(one.jump)).mean() == pytest.approx(law.mean(), rel=1e-12)
    assert law.cv() < 1.0  # where the criterion CV > 1 has given up long before
    assert one.landau.first > 0 > one.landau.second


def test_a_window_has_two_ends():
    found = rs.critical(lambda mu: interval(0.7, mu), 0.0, 9.0, points=7)
    assert [one.pays for one in found] == ["above", "below"]
    assert [one.order for one in found] == ["continuous", "continuous"]
    assert [one.at for one in found] == pytest.approx([1.14518, 4.65207], rel=5e-6)
    # coarser than the window: the crossings of CV = 1 still find it
    narrow = rs.critical(lambda mu: interval(0.7, mu), -20.0, 25.0, points=4)
    assert [one.at for one in narrow] == pytest.approx([one.at for one in found], rel=1e-12)


def test_start_on_the_interval_without_drift():
    found = rs.critical(lambda place: interval(place, 0.0), 0.05, 0.95, points=7)
    assert [one.at for one in found] == pytest.approx(
        [(5 - 5**0.5) / 10, (5 + 5**0.5) / 10], rel=1e-12
    )
    for one in found:
        law = interval(one.at, 0.0)
        ratio = law.moment(3) / (6 * law.mean() ** 3)
        assert ratio == pytest.approx(1.0111111, rel=1e-6)


def test_tricritical_point():
    def second(place):
        (one,) = rs.critical(lambda mu: interval(place, mu), 0.5, 1.4, points=3)
        return one.landau.second, one.at

    place = brentq(lambda x: second(x)[0], 0.2515, 0.2522, xtol=1e-12)
    assert place == pytest.approx(0.2518626713, abs=2e-9)
    assert second(place)[1] == pytest.approx(0.8752819012, abs=2e-8)


def test_expansion_is_that_of_the_mean():
    T = toward(1.3)
    found = landau(T)
    r = np.array([1e-4, 2e-4])
    left = (T.under(rs.Poisson(r)).mean() - found.zeroth - found.first * r) / r**2
    assert 2 * left[0] - left[1] == pytest.approx(found.second, rel=1e-5)
    assert found.rate == pytest.approx(-found.first / (2 * found.second))
    with pytest.raises(rs.DomainError, match="passage"):
        landau(toward(-1.0))


def test_nothing_changes_where_it_always_or_never_pays():
    assert rs.critical(toward, 0.1, 1.9, points=5) == []
    assert rs.critical(toward, 2.1, 9.0, points=5) == []


def test_wrong_arguments():
    with pytest.raises(rs.DomainError, match="high"):
        rs.critical(toward, 2.0, 1.0)
    with pytest.raises(rs.DomainError, match="protocol"):
        rs.critical(toward, 1.0, 2.0, protocol=rs.Poisson(1.0))
    with pytest.raises(rs.DomainError, match="build"):
        rs.critical(lambda x: x, 1.0, 2.0)


def test_map_over_two_parameters_and_its_drawing():
    places, drifts = np.linspace(0.05, 0.95, 19), np.linspace(0.0, 6.0, 13)
    diagram = rs.phase_diagram(interval, places, drifts)
    assert diagram.phase.shape == diagram.speedup.shape == (13, 19)
    place, drift = 3, 6  # x0 = 0.2, mu = 3: between CV = 1 and the line of first order
    assert diagram.phase[drift, place] == "first-order"
    single = interval(places[place], drifts[drift]).best(rs.Poisson)
    assert diagram.parameter[drift, place] == pytest.approx(single.rate, rel=1e-9)
    assert diagram.speedup[drift, place] == pytest.approx(single.speedup, rel=1e-12)
    assert set(diagram.phase[0]) == {"yes", "no"}  # without drift: second order only
    assert (diagram.phase[0] == "yes").tolist() == (np.abs(places - 0.5) > 0.2236).tolist()
    figure = diagram.plot("start", "drift")
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("start", "drift")
    one_by_one = rs.phase_diagram(
        lambda x, y: interval(float(x), float(y)), places[2:4], drifts[5:7]
    )
    assert (one_by_one.phase == diagram.phase[5:7, 2:4]).all()
