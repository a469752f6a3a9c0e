"""The global optimum: every kind of it, bounds, arrays, and places where values are flat."""

from __future__ import annotations

import math

import numpy as np
import pytest

import resetsgd as rs
from resetsgd.passage import search
from resetsgd.passage.base import PassageTime
from resetsgd.passage.drift_diffusion import DriftDiffusionPassage


def walk(peclet, length=1.0, diffusivity=1.0):
    process = rs.DriftDiffusion(2 * peclet * diffusivity / length, diffusivity)
    return rs.first_passage(process, start=-length, target=0.0)


def interval(place, drift):
    return rs.first_passage(rs.DriftDiffusion(drift, 1.0), place, (0.0, 1.0))


class Generic(DriftDiffusionPassage):
    """The same law, known by its transform alone where resetting is concerned."""

    slope_exponential = PassageTime.slope_exponential


class Mixed(PassageTime):
    """Exponential with one of two rates: closed moments, and nothing else overridden."""

    def __init__(self, weight, fast, slow):
        self.weight, self.fast, self.slow = weight, fast, slow

    @property
    def shape(self):
        return ()

    def _log_laplace(self, s):
        ways = ((self.weight, 1, 1 / self.fast), (1 - self.weight, 1, 1 / self.slow))
        return self.of(ways, s)

    @staticmethod
    def of(ways, s):
        """Of gamma laws (weight, shape, mean); relative accuracy at small and at large s."""
        exponents = [-k * np.log1p(s * m / k) for _, k, m in ways]
        missing = sum(-w * np.expm1(e) for (w, _, _), e in zip(ways, exponents, strict=True))
        left = sum(w * np.exp(e) for (w, _, _), e in zip(ways, exponents, strict=True))
        return np.where(np.abs(missing) < 0.5, np.log1p(-missing), np.log(left))

    def _moment(self, n):
        return math.factorial(n) * (self.weight / self.fast**n + (1 - self.weight) / self.slow**n)

    def log_mean(self):
        return float(np.log(self._moment(1)))

    def var(self):
        return self._moment(2) - self._moment(1) ** 2

    def _sample(self, n, generator):
        rate = np.where(generator.random(n) < self.weight, self.fast, self.slow)
        return generator.standard_exponential(n) / rate


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9, 1e-12])
def test_rate_next_to_the_transition_also_from_the_transform_alone(gap):
    peclet = 1.0 - gap
    expected = 3 * gap - 9 / 16 * gap**2
    for law in (walk(peclet), Generic(rs.DriftDiffusion(2 * peclet, 1.0), -1.0, 0.0)):
        best = law.best(rs.Poisson)
        assert best.pays and best.kind == "interior" and not best.first_order
        # the next term of the expansion, and the rounding of 1 - Péclet number and of moments
        assert best.rate == pytest.approx(expected, rel=0.1 * gap**2 + 1e-3 * gap + 4e-16 / gap)


@pytest.mark.parametrize("excess", [0.0, 1e-12, 1e-6, 0.3])
def test_no_rate_from_peclet_number_one_on_also_from_the_transform_alone(excess):
    law = Generic(rs.DriftDiffusion(2 * (1.0 + excess), 1.0), -1.0, 0.0)
    best = law.best(rs.Poisson)
    assert (best.pays, best.kind, best.rate, best.speedup) == (False, "none", 0.0, 1.0)
    assert best.mean == law.mean()


@pytest.mark.parametrize("gap", [0.5, 0.1, 1e-2, 1e-4, 1e-8])
def test_fixed_periods_pay_up_to_peclet_number_two(gap):
    peclet = 2.0 - gap
    best = walk(peclet).best(rs.Sharp)
    assert best.pays and best.kind == "interior"
    T = walk(peclet)
    # hazard times mean is 1 there, and it is a minimum: hazard falls
    assert T.hazard(best.period) * best.mean == pytest.approx(1.0, rel=1e-12)
    assert T.hazard(0.9 * best.period) > T.hazard(1.1 * best.period)
    if gap < 0.1:
        assert best.period == pytest.approx(1.5 / (peclet * gap), rel=3 * gap + 1e-6)
    assert not walk(2.0 + gap).best(rs.Sharp).pays


def test_hazard_is_density_over_survival():
    for peclet in (-1.0, 0.0, 0.7, 3.0):
        T = walk(peclet)
        t = np.array([0.01, 0.1, 0.3, 1.0, 3.0])
        assert T.hazard(t) == pytest.approx(T.density(t) / T.survival(t), rel=1e-11)
    late = walk(1.5).hazard([1e3, 1e9, np.inf])  # nothing of survival is left in float64
    assert late[2] == pytest.approx(2.25, rel=1e-14)
    assert late[:2] == pytest.approx(2.25 + 1.5 / np.array([1e3, 1e9]), rel=1e-4)
    assert PassageTime.hazard(walk(1.5), 1e3) == np.inf  # what the arrangement is for


def test_first_order_where_cv_is_below_one():
    best = interval(0.05, 25.0).best(rs.Poisson)
    assert best.pays and best.first_order and best.kind == "interior"
    assert "first-order" in best.reason and "0.674" in best.reason
    assert best.rate == pytest.approx(1529.449239, rel=1e-8)
    assert best.mean == pytest.approx(0.00886199, rel=1e-6)
    assert best.speedup == pytest.approx(2.9948, rel=1e-4)
    assert best.others == []


def test_a_minimum_that_loses_is_told():
    law = interval(0.05, 47.0)
    best = law.best(rs.Poisson)
    assert (best.pays, best.kind, best.rate) == (False, "none", 0.0)
    ((rate, mean),) = best.others
    assert mean > law.mean()
    around = law.under(rs.Poisson(rate * np.array([0.98, 1.0, 1.02]))).mean()
    assert around[1] == pytest.approx(mean, rel=1e-13)
    assert around[1] < min(around[0], around[2])


def test_two_local_minima_and_the_better_of_them():
    # a fast and rare, a middle and a slow way, the first two with little spread
    class Three(Mixed):
        ways = ((1e-3, 8, 1e-4), (0.5, 8, 1.0), (0.499, 1, 1e4))

        def _log_laplace(self, s):
            return self.of(self.ways, s)

        def _moment(self, n):
            return sum(w * math.prod((k + i) * m / k for i in range(n)) for w, k, m in self.ways)

    law = Three(0, 1, 1)
    best = law.best(rs.Poisson)
    assert len(best.others) == 1
    grid = np.geomspace(1e-8, 1e6, 4000)
    means = law.under(rs.Poisson(grid)).mean()
    turns = np.flatnonzero((np.diff(means[:-1]) < 0) & (np.diff(means[1:]) > 0)) + 1
    assert len(turns) == 2
    by_mean = sorted((means[i], grid[i]) for i in turns)
    assert best.rate == pytest.approx(by_mean[0][1], rel=0.01)
    assert best.others[0][0] == pytest.approx(by_mean[1][1], rel=0.01)
    assert best.mean <= by_mean[0][0] * (1 + 1e-12) and best.others[0][1] > best.mean


def test_where_the_hazard_falls_the_more_often_the_better():
    law = Mixed(0.3, 2.0, 0.5)  # a mixture of exponentials, best restarted at once
    best = law.best(rs.Poisson)
    assert best.pays and best.kind == "boundary"
    assert "end of its range" in best.reason
    density = 0.3 * 2.0 + 0.7 * 0.5  # at time 0
    assert best.mean == pytest.approx(1 / density, rel=1e-6)
    assert best.mean < law.under(rs.Poisson(1e3)).mean()


@pytest.mark.parametrize("cost", [0.05, 0.3])
def test_overhead_moves_the_optimum_and_the_threshold(cost):
    T = walk(0.3)
    best = T.best(rs.Poisson, overhead=cost)
    rates = best.rate * np.array([1 - 1e-3, 1.0, 1 + 1e-3])
    low, middle, high = T.under(rs.Poisson(rates, overhead=cost)).mean()
    assert min(low, high) > middle
    assert abs((high - low) / (high + low - 2 * middle)) < 2e-2
    plain = T.best(rs.Poisson)
    assert best.rate < plain.rate and best.mean > plain.mean
    assert T.under(best.protocol).cv() != pytest.approx(1.0, abs=1e-3)  # no longer the mark
    # CV² = 1/Pe = 1 + 2 c/T1 where it ceases to pay, T1 = 1/(2 Pe): Pe (1 + 4 c Pe) = 1
    edge = (-1 + math.sqrt(1 + 16 * cost)) / (8 * cost)
    assert walk(edge - 1e-7).best(rs.Poisson, overhead=cost).pays
    refused = walk(edge + 1e-7).best(rs.Poisson, overhead=cost)
    assert not refused.pays and f"overhead {cost:g}" in refused.reason


def test_from_elsewhere_the_residual_time_decides():
    T = walk(3.0)  # CV below 1: a reset to its own start never pays
    assert not T.best(rs.Poisson).pays
    near, far = walk(3.0, 0.3), walk(3.0, 0.9)
    # same drift: v = 6; slow resets pay where x_r < x0/2 + D/v = 2/3
    near, far = (rs.first_passage(rs.DriftDiffusion(6.0, 1.0), -x, 0.0) for x in (0.66, 0.67))
    assert T.best(rs.Poisson, then=near).pays
    refused = T.best(rs.Poisson, then=far)
    assert not refused.pays and "mean residual time" in refused.reason
    best = T.best(rs.Poisson, then=rs.first_passage(rs.DriftDiffusion(6.0, 1.0), -0.3, 0.0))
    rates = best.rate * np.array([1 - 1e-3, 1.0, 1 + 1e-3])
    then = rs.first_passage(rs.DriftDiffusion(6.0, 1.0), -0.3, 0.0)
    low, middle, high = T.under(rs.Poisson(rates), then=then).mean()
    assert abs((high - low) / (high + low - 2 * middle)) < 1e-3


def test_bounds_hold_and_an_end_is_said():
    T = walk(0.0)
    free = T.best(rs.Poisson)
    assert T.best(rs.Poisson, rate=(0.1, 5.0)).rate == free.rate
    low, high = T.best(rs.Poisson, rate=(0.1, 1.5)), T.best(rs.Poisson, rate=(4.0, 9.0))
    assert (low.rate, low.kind, high.rate, high.kind) == (1.5, "boundary", 4.0, "boundary")
    assert "end of its range" in low.reason
    assert T.best(rs.Sharp, period=(0.6, 3.0)).period == 0.6
    coins = T.best(rs.Geometric, step=0.1, probability=(0.01, 0.05))
    assert (coins.probability, coins.kind) == (0.05, "boundary")
    # within the bounds nothing pays: never resetting is better
    none = walk(0.9).best(rs.Poisson, rate=(5.0, 9.0))
    assert (none.pays, none.rate) == (False, 0.0)
    assert "[5, 9]" in none.reason


@pytest.mark.parametrize("wrong", [
    {"rate": 1.0}, {"rate": (2.0, 1.0)}, {"rate": (1.0, 2.0, 3.0)}, {"speed": 1.0},
    {"rate": (-1.0, 1.0)},
])  # fmt: skip
def test_wrong_settings_are_refused_by_name(wrong):
    with pytest.raises(rs.DomainError, match=next(iter(wrong))):
        walk(0.0).best(rs.Poisson, **wrong)


def test_arrays_are_searched_element_by_element():
    peclets = np.array([[-2.0, 0.0, 0.4], [0.99, 1.0, 1.7]])
    T = walk(peclets)
    for family in (rs.Poisson, rs.Sharp):
        best = T.best(family)
        assert best.rate.shape == (2, 3) if family is rs.Poisson else best.period.shape == (2, 3)
        for place in np.ndindex(2, 3):
            one = walk(float(peclets[place])).best(family)
            assert best.protocol.value[place] == pytest.approx(one.protocol.value, rel=1e-12)
            assert best.mean[place] == pytest.approx(one.mean, rel=1e-13)
            assert bool(best.pays[place]) == one.pays and best.kind[place] == one.kind
            assert best.reason[place] == one.reason
            assert best.speedup[place] == pytest.approx(one.speedup, rel=1e-12)


def test_arrays_with_bounds_and_several_minima():
    drifts = np.array([10.0, 25.0, 47.0])
    T = interval(0.05, drifts)
    best = T.best(rs.Poisson)
    assert list(best.pays) == [True, True, False]
    assert list(best.first_order) == [False, True, False]
    assert [len(one) for one in best.others] == [0, 0, 1]
    clipped = T.best(rs.Poisson, rate=(1.0, 1600.0))
    single = [interval(0.05, d).best(rs.Poisson, rate=(1.0, 1600.0)) for d in drifts]
    assert clipped.rate == pytest.approx([one.rate for one in single], rel=1e-10)
    assert list(clipped.kind) == [one.kind for one in single]


@pytest.mark.parametrize(("drift", "diffusivity"), [
    (-0.5, 1e300), (1e-300, 1e-300), (0.0, 1e-290), (-1e150, 1e300), (0.3, 1e250),
])  # fmt: skip
def test_ends_of_float64_scale_like_everything_else(drift, diffusivity):
    T = rs.first_passage(rs.DriftDiffusion(drift, diffusivity), 1.0, 0.0)
    scaled = rs.first_passage(rs.DriftDiffusion(drift / diffusivity, 1.0), 1.0, 0.0)
    best, twin = T.best(rs.Poisson), scaled.best(rs.Poisson)
    assert best.pays == twin.pays and best.kind == twin.kind
    assert best.rate / diffusivity == pytest.approx(twin.rate, rel=1e-9)
    assert best.mean * diffusivity == pytest.approx(twin.mean, rel=1e-9)


def test_a_second_parameter_is_searched_too():
    T = walk(0.2)
    best = T.best(rs.Weibull, exponent=(0.5, 4.0))
    # the narrower the waiting times, the better: sharp is the limit
    assert best.kind == "boundary" and best.exponent == 4.0
    assert "exponent" in best.reason
    assert T.best(rs.Sharp).mean < best.mean < T.best(rs.Poisson).mean


def test_families_are_ranked_and_fixed_periods_come_first():
    ranking = rs.best_protocol(walk(0.3))
    assert isinstance(ranking.best.protocol, rs.Sharp) and len(ranking) == 5
    means = [one.mean for one in ranking]
    assert means == sorted(means)
    assert isinstance(ranking[4].protocol, rs.Poisson)
    assert "Sharp" in str(ranking).splitlines()[0]
    chosen = rs.best_protocol(walk(0.3), [rs.Poisson, (rs.Geometric, {"step": 0.01})])
    assert {type(one.protocol) for one in chosen} == {rs.Poisson, rs.Geometric}
    with pytest.raises(rs.DomainError, match="families"):
        rs.best_protocol(walk(0.3), [])


def test_values_alone_find_what_slopes_find():
    T = walk(0.3)
    curve = search.Curve(T, rs.Poisson, {})
    curve.tilt = lambda frequency: None
    (local,), falls = search.local_minima(curve)
    assert bool(falls)
    assert local.frequency == pytest.approx(T.best(rs.Poisson).rate, rel=1e-10)


def test_the_curve_of_a_family():
    T = walk(0.3)
    family = T.under(rs.Poisson, overhead=0.1)
    assert family(0.7).mean() == T.under(rs.Poisson(0.7, overhead=0.1)).mean()
    assert family.mean([0.5, 0.7])[1] == pytest.approx(family(0.7).mean(), rel=1e-14)
    assert family.best().rate == T.best(rs.Poisson, overhead=0.1).rate
    assert "pal2017" in family.cite() or "Pal" in family.cite()
    with pytest.raises(rs.DomainError, match="stages"):
        T.under(rs.Poisson, stages=2.0)


@pytest.mark.parametrize("law", [Mixed(0.3, 2.0, 0.5), Mixed(0.01, 30.0, 0.02)])
def test_moments_from_the_transform(law):
    for n in range(1, 7):
        assert law.moment(n) == pytest.approx(law._moment(n), rel=1e-10)


def test_moments_of_the_inverse_gaussian_law_and_infinite_ones():
    for peclet in (1e-3, 0.3, 1.0, 30.0, 1e4):
        T, c = walk(peclet), 1 / peclet
        assert T.moment(3) == pytest.approx(T.mean() ** 3 * (1 + 3 * c + 3 * c**2), rel=1e-12)
        fourth = 1 + 6 * c + 15 * c**2 + 15 * c**3
        assert T.moment(4) == pytest.approx(T.mean() ** 4 * fourth, rel=1e-12)
    assert walk(0.0).moment(1) == walk(-1.0).moment(3) == math.inf
    many = walk(np.array([-1.0, 0.5, 2.0])).moment(3)
    assert many[0] == math.inf and many[2] == pytest.approx(walk(2.0).moment(3), rel=1e-14)
    for order in (0, 9, 1.5):
        with pytest.raises(rs.DomainError, match="order"):
            walk(1.0).moment(order)
