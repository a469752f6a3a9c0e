"""What every passage time must satisfy, checked with quadrature that the package does not use."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import resetsgd as rs

LEVY_RATE = 2.5396382821881653
SHARP_PERIOD, SHARP_MEAN = 0.4585027694695919, 1.3358856695493054
few = settings(max_examples=12, derandomize=True, deadline=None, database=None)


def walk(peclet: float, length: float = 1.0, diffusivity: float = 1.0) -> rs.PassageTime:
    drift = -2 * peclet * diffusivity / length
    process = rs.DriftDiffusion(drift=drift, diffusivity=diffusivity)
    return rs.first_passage(process, start=length, target=0.0)


def quad(function, low, high, breaks=()):
    """Gauss-Legendre piece by piece: between the breaks, geometrically toward zero."""
    edges = [low, high, *np.geomspace(1e-4, high, 50), *breaks]
    edges = np.unique(np.round([e for e in edges if low <= e <= high], 12))
    x, weights = np.polynomial.legendre.leggauss(24)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    values = function((middle[:, None] + half[:, None] * x).ravel()).reshape(half.size, x.size)
    return float(half @ values @ weights)


LAWS = {
    "toward": walk(1.5),
    "none": walk(0.0),
    "away": walk(-0.5),
    "poisson": walk(0.3).under(rs.Poisson(0.7)),
    "poisson away": walk(-0.5).under(rs.Poisson(2.0)),
    "sharp": walk(0.3).under(rs.Sharp(0.8)),
    "geometric": walk(0.3).under(rs.Geometric(0.3, step=0.25)),
    "twice": walk(0.2).under(rs.Poisson(0.5)).under(rs.Poisson(0.7)),
}
NEWS = [k * x for x in (0.8, 0.25, 3.0) for k in range(1, 60)]


@pytest.mark.parametrize("name", LAWS)
def test_survival_falls_from_one_to_the_chance_of_no_arrival(name):
    T = LAWS[name]
    survival = T.survival(np.concatenate([[0.0], np.geomspace(1e-6, 1e3, 200)]))
    assert survival[0] == 1.0
    assert np.all(np.diff(survival) <= 1e-10)
    assert T.survival(np.inf) == pytest.approx(1 - T.laplace(0.0), abs=1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_transform_and_survival_are_integrals_of_the_density(name):
    T = LAWS[name]
    for s in (0.4, 3.0):
        value = quad(lambda t, s=s: np.exp(-s * t) * T.density(t), 0.0, 60.0, NEWS)
        assert T.laplace(s) == pytest.approx(value, rel=1e-8)
    assert 1 - T.survival(2.3) == pytest.approx(quad(T.density, 0.0, 2.3, NEWS), abs=1e-9)


@pytest.mark.parametrize("name", ["toward", "poisson", "sharp", "geometric", "twice"])
def test_moments_are_integrals_of_the_survival(name):
    T = LAWS[name]
    first = quad(T.survival, 0.0, 80.0, NEWS)
    second = quad(lambda t: 2 * t * T.survival(t), 0.0, 80.0, NEWS)
    assert T.mean() == pytest.approx(first, rel=1e-7)
    assert T.var() == pytest.approx(second - first**2, rel=1e-5)
    assert T.std() ** 2 == pytest.approx(T.var())
    assert T.restricted_mean(1.7) == pytest.approx(quad(T.survival, 0.0, 1.7, NEWS), rel=1e-9)


@pytest.mark.parametrize("name", LAWS)
def test_quantile_inverts_survival(name):
    T = LAWS[name]
    q = np.array([0.01, 0.2, 0.5, 0.6]) * T.laplace(0.0)
    assert T.survival(T.quantile(q)) == pytest.approx(1 - q, abs=1e-10)
    assert T.quantile(0.0) == 0.0
    if T.laplace(0.0) < 0.99:
        assert T.quantile(0.99) == np.inf


def test_kinks_of_fixed_periods_are_not_smoothed_over():
    T = walk(0.3).under(rs.Sharp(0.8)).under(rs.Sharp(3.0))
    kinks = [3.0 * k + 0.8 * j + x for k in range(20) for j in range(4) for x in (0, 0.1, 0.3)]
    assert T.mean() == pytest.approx(quad(T.survival, 0.0, 60.0, kinks), rel=1e-9)
    value = quad(lambda t: np.exp(-0.4 * t) * T.density(t), 0.0, 60.0, kinks)
    assert T.laplace(0.4) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("peclet", [-1.0, 0.0, 0.7])
@pytest.mark.parametrize("step", [0.05, 0.5, 2.0])
def test_best_coin_is_where_the_mean_is_least(peclet, step):
    T = walk(peclet)
    best = T.best(rs.Geometric, step=step)
    assert (best.kind == "interior") == (step < 0.1)  # rarer coins had better all reset
    if best.kind == "boundary":
        assert best.probability == 1.0
        return
    p = best.probability * np.array([1 - 1e-3, 1.0, 1 + 1e-3])
    low, middle, high = T.under(rs.Geometric(p, step=step)).mean()
    assert min(low, high) > middle
    tilt, bend = (high - low) / 2, high + low - 2 * middle
    assert abs(tilt / bend) < 1e-2  # the least mean lies within 1e-5 of it, relatively


@few
@given(st.floats(-2, 4), st.floats(0.05, 5.0), st.floats(0.05, 5.0))
def test_nested_rates_add(peclet, first, second):
    T = walk(peclet)
    nested, once = T.under(rs.Poisson(first)).under(rs.Poisson(second)), rs.Poisson(first + second)
    assert nested.mean() == pytest.approx(T.under(once).mean(), rel=1e-11)
    assert nested.log_laplace(0.3) == pytest.approx(T.under(once).log_laplace(0.3), rel=1e-11)


@few
@given(st.floats(-3, 3), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_only_the_peclet_number_matters_once_units_are_scaled(peclet, length, diffusivity):
    T, S = walk(peclet), walk(peclet, length, diffusivity)
    time = length**2 / diffusivity
    for protocol in (rs.Poisson, rs.Sharp):
        a, b = T.best(protocol), S.best(protocol)
        if a.pays:
            assert b.mean == pytest.approx(a.mean * time, rel=1e-9)
    mine = S.under(rs.Geometric(0.2, step=0.3 * time)).mean()
    assert mine == pytest.approx(T.under(rs.Geometric(0.2, step=0.3)).mean() * time, rel=1e-10)


@pytest.mark.parametrize("peclet", [-100.0, -3.0, -0.1, 0.0, 0.4, 0.9, 0.999])
def test_at_an_interior_optimum_cv_is_one(peclet):
    best = walk(peclet).best(rs.Poisson)
    assert best.pays and best.kind == "interior"
    assert walk(peclet).under(best.protocol).cv() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("peclet", [-2.0, 0.0, 0.7, 1.5, 3.0])
def test_no_protocol_beats_the_best_period(peclet):
    T = walk(peclet)
    sharp = T.best(rs.Sharp).mean
    assert sharp <= T.best(rs.Poisson).mean * (1 + 1e-12)
    assert sharp <= T.best(rs.Geometric, step=0.2).mean * (1 + 1e-12)


def test_known_constants():
    assert walk(0.0).best(rs.Poisson).rate == pytest.approx(LEVY_RATE, rel=1e-14)
    sharp = walk(0.0).best(rs.Sharp)
    assert sharp.period == pytest.approx(SHARP_PERIOD, rel=1e-9)
    assert sharp.mean == pytest.approx(SHARP_MEAN, rel=1e-12)


@pytest.mark.parametrize(("peclet", "poisson", "sharp"), [
    (0.999, True, True), (1.0, False, True), (1.5, False, True),
    (1.7, False, True), (2.0, False, False), (2.5, False, False),
])  # fmt: skip
def test_where_resetting_pays(peclet, poisson, sharp):
    assert walk(peclet).best(rs.Poisson).pays == poisson
    assert walk(peclet).best(rs.Sharp).pays == sharp


@pytest.mark.parametrize("peclet", [-1.0, 0.0, 1.5])
@pytest.mark.parametrize("never", [rs.Poisson(0.0), rs.Sharp(np.inf), rs.Geometric(0.0, step=0.5)])
def test_never_resetting_is_the_identity(peclet, never):
    T = walk(peclet)
    R = T.under(never)
    assert R.mean() == pytest.approx(T.mean(), rel=1e-14)
    assert R.var() == pytest.approx(T.var(), rel=1e-14)
    t = np.array([0.0, 0.3, 1.0, 7.0])
    assert R.survival(t) == pytest.approx(T.survival(t), abs=1e-11)
    assert R.laplace(0.7) == pytest.approx(T.laplace(0.7), rel=1e-11)
    assert R.laplace(0.0) == pytest.approx(T.laplace(0.0), rel=1e-12)


@pytest.mark.parametrize("peclet", [-0.5, 0.0, 1.5])
def test_dense_coins_approach_the_rate(peclet):
    T, rate = walk(peclet), 1.3
    exact = T.under(rs.Poisson(rate)).mean()
    errors = [abs(T.under(rs.Geometric(-math.expm1(-rate * h), step=h)).mean() / exact - 1)
              for h in (0.02, 0.01, 0.005)]  # fmt: skip
    assert errors[-1] < 5e-3
    assert errors[1] == pytest.approx(4 * errors[2], rel=0.02)  # second order in the step


@few
@given(st.floats(-2, 3), st.floats(0.01, 1.0), st.floats(0.05, 3.0))
def test_coins_over_a_continuous_law_are_a_plain_sum(peclet, p, step):
    T = walk(peclet)
    k = np.arange(1, 4000)
    keep = (1 - p) ** (k - 1)
    late = T.survival(np.arange(4000) * step)
    success = np.sum(keep * -np.diff(late))
    spent = np.sum(keep[:200] * np.diff(T.restricted_mean(np.arange(201) * step)))
    if keep[199] < 1e-14:
        mean = T.under(rs.Geometric(p, step=step)).mean()
        assert mean == pytest.approx(spent / success, rel=1e-9)
        other = rs.Geometric(p, step=step, order="move-look-coin")
        assert T.under(other).mean() == mean


def test_the_free_law_is_the_textbook_one():
    t = np.array([0.1, 0.5, 2.0, 9.0])
    for peclet in (-0.5, 0.0, 1.5):
        v = 2 * peclet
        width = np.sqrt(2 * t)
        direct = special.ndtr((1 - v * t) / width) - np.exp(v) * special.ndtr(-(1 + v * t) / width)
        assert walk(peclet).survival(t) == pytest.approx(direct, abs=1e-14)


@pytest.mark.parametrize("family", [rs.Poisson, rs.Sharp, rs.Geometric])
def test_best_never_crashes(family):
    random = np.random.default_rng(5)
    for _ in range(25):
        length, diffusivity = 10 ** random.uniform(-12, 12, 2)
        peclet = random.choice([-1e4, 0.0, 1.0, 2.0, 1e4, 10 ** random.uniform(-3, 3)])
        T = walk(peclet, length, diffusivity)
        fixed = {"step": float(T.timescale())} if family is rs.Geometric else {}
        best = T.best(family, **fixed)
        assert not math.isnan(best.mean) and not math.isnan(best.speedup)
        assert best.speedup >= 1.0


@pytest.mark.parametrize("peclet", [-1e4, -1.0, 0.0, 1.0, 1e4])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_extreme_times_give_numbers(peclet, scale):
    T = walk(peclet, scale, 1 / scale)
    t = np.array([0.0, 5e-324, 1e-300, 1e-12, 1.0, 1e12, 1e300, 1.7e308, np.inf])
    unit = float(T.timescale())
    for R in (T, *map(T.under, (rs.Poisson(1 / unit), rs.Poisson(1e300), rs.Poisson(1e-300),
              rs.Sharp(unit), rs.Sharp(1e300), rs.Sharp(1e-12)))):  # fmt: skip
        for value in (R.survival(t), R.density(t), R.laplace([0.0, 1e-12, 1e12])):
            assert not np.isnan(value).any()
        assert not np.isnan([R.mean(), R.var(), R.cv(), R.log_mean()]).any()
    assert not np.isnan(T.quantile([0.0, 1e-300, 0.5, 1 - 1e-12])).any()
    assert not np.isnan(T.restricted_mean(t)).any()


def test_arrays_are_element_by_element():
    drifts, rates = np.array([-1.0, 0.0, 0.5]), np.array([0.0, 0.3, 2.0])
    T = rs.first_passage(rs.DriftDiffusion(drifts, 1.0), start=np.array([[1.0], [2.0]]), target=0.0)
    assert T.shape == (2, 3)
    for protocol in (rs.Poisson, lambda r: rs.Sharp(1 / (r + 0.1)),
                     lambda r: rs.Geometric(-np.expm1(-r), step=0.5)):  # fmt: skip
        R = T.under(protocol(rates))
        assert R.sample(4, seed=0).shape == (4, 2, 3)
        for i, j in np.ndindex(2, 3):
            one = rs.first_passage(rs.DriftDiffusion(drifts[j], 1.0), start=i + 1.0, target=0.0)
            single = one.under(protocol(rates[j]))
            assert R.mean()[i, j] == pytest.approx(single.mean(), rel=1e-12)
            assert R.laplace(0.4)[i, j] == pytest.approx(single.laplace(0.4), rel=1e-11)
            if not isinstance(single.protocol, rs.Geometric):
                assert R.survival(1.3)[i, j] == pytest.approx(single.survival(1.3), abs=1e-10)
    with pytest.raises(rs.DomainError, match="scalar parameters"):
        T.under(rs.Geometric(0.1)).survival(1.0)
