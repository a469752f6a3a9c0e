"""Bessel processes: closed forms, limits, when resetting helps, draws."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy import special, stats

import resetsgd as rs


def passage(dimension, start, target, diffusivity=1.0):
    return rs.first_passage(rs.Bessel(dimension, diffusivity), start=start, target=target)


def direct(d, D, r0, a, s):
    """log f from mpmath's own Bessel functions."""
    with mp.workdps(60):
        d, D, r0, a, s = map(mp.mpf, (d, D, r0, a, s))
        nu, k = 1 - d / 2, mp.sqrt(s / D)
        if a == 0:
            return mp.log(2 ** (1 - nu) / mp.gamma(nu) * (k * r0) ** nu * mp.besselk(nu, k * r0))
        if r0 > a:
            return mp.log((r0 / a) ** nu * mp.besselk(nu, k * r0) / mp.besselk(nu, k * a))
        x, y = (mp.hyp0f1(d / 2, (k * r) ** 2 / 4) for r in (r0, a))
        return mp.log(x / y)


CASES = [
    (3.0, 2.0, 1.0, 1.0, 0.7), (2.0, 2.0, 1.0, 0.5, 1e-9), (2.0, 1.0 + 1e-9, 1.0, 1.0, 3.0),
    (2.0, 1e6, 1.0, 1.0, 1e-14), (1.999, 5.0, 0.0, 2.0, 1e-3), (-3.0, 2.0, 0.0, 1.0, 1e-8),
    (0.0, 3.0, 1.0, 1.0, 1e-7), (-7.3, 4.0, 1.0, 1.0, 40.0), (-200.0, 3.0, 1.0, 1.0, 1e-4),
    (12.0, 2.0, 1.0, 1.0, 90.0), (250.0, 1.1, 1.0, 1.0, 5.0), (1.0, 0.0, 2.0, 1.0, 1e-10),
    (0.3, 0.5, 2.0, 1.0, 2.0), (2.0, 0.999999, 1.0, 1.0, 1e-5), (90.0, 0.5, 1.0, 1.0, 900.0),
    (5.0, 0.2, 1.0, 3.0, 1e5),
]  # fmt: skip


@pytest.mark.parametrize("d, r0, a, D, s", CASES)
def test_transform_and_its_slope_against_mpmath(d, r0, a, D, s):
    law = passage(d, r0, a, D)
    exact = direct(d, D, r0, a, s)
    assert law.log_laplace(s) == pytest.approx(
        float(exact), rel=1e-13 if r0 / (a or 1) > 1.01 else 1e-9
    )
    if abs(r0 - a) > 1e-3:
        slope = mp.diff(lambda q: direct(d, D, r0, a, q), s, h=mp.mpf(s) * mp.mpf(10) ** -20)
        computed = law.log_laplace(complex(s, s * 1e-30)).imag / (s * 1e-30)
        assert computed == pytest.approx(float(slope), rel=1e-9)


@pytest.mark.parametrize("d, r0, a, D, s", CASES)
def test_complex_arguments_against_mpmath(d, r0, a, D, s):
    for turn in (1j, -0.5 + 0.8j):
        z = s * turn
        with mp.workdps(60):
            nu, k = 1 - mp.mpf(d) / 2, mp.sqrt(mp.mpc(z) / mp.mpf(D))
            if a == 0:
                exact = 2 ** (1 - nu) / mp.gamma(nu) * (k * r0) ** nu * mp.besselk(nu, k * r0)
            elif r0 > a:
                exact = (mp.mpf(r0) / a) ** nu * mp.besselk(nu, k * r0) / mp.besselk(nu, k * a)
            else:
                exact = mp.hyp0f1(mp.mpf(d) / 2, (k * r0) ** 2 / 4)
                exact /= mp.hyp0f1(mp.mpf(d) / 2, (k * a) ** 2 / 4)
            exact = complex(exact)
        assert abs(passage(d, r0, a, D).laplace(complex(z)) / exact - 1) < 1e-11


def test_a_neighbouring_order_or_the_wrong_function_is_seen():
    """Wrong-model twin of the two tests above."""
    assert passage(3.0, 2.0, 1.0).log_laplace(0.7) != pytest.approx(
        float(direct(3.0 + 1e-9, 1.0, 2.0, 1.0, 0.7)), rel=1e-13
    )
    inside = special.iv(0.5, 0.3) / special.iv(0.5, 0.6) * 2**0.5
    assert passage(3.0, 0.6, 0.3).laplace(1.0) != pytest.approx(inside, rel=0.1)


def test_three_dimensions_under_poisson():
    law, D, r0, a = passage(3.0, 2.5, 1.5, 0.7), 0.7, 2.5, 1.5
    rate = np.geomspace(1e-6, 1e3, 30)
    exact = (r0 / a * np.exp(np.sqrt(rate / D) * (r0 - a)) - 1) / rate
    np.testing.assert_allclose(law.under(rs.Poisson(rate)).mean(), exact, rtol=1e-13)
    assert law.laplace(0.0) == pytest.approx(a / r0, rel=1e-15)
    assert law.mean() == law.var() == np.inf
    t = np.array([0.1, 1.0, 30.0])
    exact = 1 - a / r0 * special.erfc((r0 - a) / np.sqrt(4 * D * t))
    np.testing.assert_allclose(law.survival(t), exact, atol=1e-11)


def test_one_dimension_is_free_diffusion_from_either_side():
    walk = rs.first_passage(rs.DriftDiffusion(0.0, 0.3), start=1.7, target=0.0)
    for law in (passage(1.0, 1.7, 0.0, 0.3), passage(1.0, 3.7, 2.0, 0.3)):
        for s in (1e-8, 0.1, 30.0):
            assert law.log_laplace(s) == pytest.approx(walk.log_laplace(s), rel=1e-13)
        for t in (0.1, 3.0, 1e4):
            assert law.survival(t) == pytest.approx(walk.survival(t), abs=1e-11)
            assert law.density(t) == pytest.approx(walk.density(t), abs=1e-11)


def test_to_the_origin_it_is_inverse_gamma():
    t = np.geomspace(1e-2, 1e4, 40)
    for d, r0, D in ((1.0, 1.0, 1.0), (-3.0, 2.0, 0.4), (1.9, 1.0, 2.0), (-20.0, 3.0, 1.0)):
        law, exact = passage(d, r0, 0.0, D), stats.invgamma(1 - d / 2, scale=r0**2 / 4 / D)
        np.testing.assert_allclose(law.survival(t), exact.sf(t), rtol=1e-12)
        np.testing.assert_allclose(law.density(t), exact.pdf(t), rtol=1e-11, atol=1e-300)
        if d < -2:
            assert law.mean() == pytest.approx(exact.mean(), rel=1e-14)
            assert law.var() == pytest.approx(exact.var(), rel=1e-13)


def test_moments_are_those_of_the_transform():
    for d, r0, a in ((2.0, 0.3, 1.0), (5.5, 0.0, 2.0), (-3.0, 2.0, 1.0), (-9.0, 1.0, 0.0)):
        law = passage(d, r0, a, 0.8)
        one, two = (
            -mp.diff(lambda s, p=(d, r0, a): direct(p[0], 0.8, p[1], p[2], s), 1e-8, n)
            for n in (1, 2)
        )
        assert law.mean() == pytest.approx(float(one), rel=1e-5)
        assert law.var() == pytest.approx(-float(two), rel=1e-3)
    assert passage(-1.0, 2.0, 1.0).var() == np.inf
    assert np.isfinite(passage(-1.0, 2.0, 1.0).mean())
    assert passage(0.0, 2.0, 1.0).mean() == np.inf


@pytest.mark.parametrize("d", [0.5, 1, 2, 3, 10, 100])
def test_inside_resetting_helps_beyond_a_radius(d):
    edge = np.sqrt(d / (d + 4))
    assert passage(d, edge, 1.0).cv() == pytest.approx(1.0, rel=1e-13)
    assert passage(d, edge * (1 + 1e-4), 1.0).best(rs.Poisson).pays
    assert not passage(d, edge * (1 - 1e-4), 1.0).best(rs.Poisson).pays


def test_in_a_logarithmic_potential_resetting_helps_up_to_five():
    for b, pays in (
        (-0.9, True),
        (1.0, True),
        (3.0, True),
        (4.99, True),
        (5.01, False),
        (9.0, False),
    ):
        best = passage(1.0 - b, 1.0, 0.0).best(rs.Poisson)
        assert best.pays is pays
        if pays:
            assert passage(1.0 - b, 1.0, 0.0).under(rs.Poisson(best.rate)).cv() == pytest.approx(
                1, rel=1e-6
            )


def test_arrays_broadcast():
    d, r0 = np.array([[1.0], [3.0]]), np.array([0.5, 2.0, 3.0])
    law = passage(d, r0, 1.0)
    assert law.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        one = passage(d[i, 0], r0[j], 1.0)
        assert law.log_laplace(0.3)[i, j] == pytest.approx(one.log_laplace(0.3), rel=1e-14)
        assert law.mean()[i, j] == one.mean()
        assert law.survival(0.4)[i, j] == pytest.approx(one.survival(0.4), abs=1e-12)


def test_extreme_arguments_give_numbers():
    draw = np.random.default_rng(8)
    for _ in range(300):
        d = draw.choice([1.0, 2.0, 3.0, draw.uniform(-40, 40), draw.choice([-1, 1]) * 1e5])
        D, r0, a, s = 10.0 ** draw.uniform(-300, 300, 4)
        if r0 < a and d <= 0:
            continue
        law = passage(d, r0, a, D)
        values = [law.log_laplace(s), law.log_mean(), law.mean(), law.var(), law.log_laplace(0.0)]
        values += [law.under(rs.Poisson(s)).log_mean()]
        assert not np.isnan(values).any(), (d, D, r0, a, s, values)


@pytest.mark.parametrize(
    "d, r0, a, name",
    [(2.0, 1.0, 0.0, "target"), (-1.0, 0.5, 1.0, "target"), (0.0, 0.5, 1.0, "target"),
     (3.0, -1.0, 1.0, "start"), (3.0, 1.0, 1.0, "start"), (3.0, 1.0, -1.0, "target")],
)  # fmt: skip
def test_wrong_arguments_are_named(d, r0, a, name):
    with pytest.raises(rs.DomainError, match=name):
        passage(d, r0, a)
    with pytest.raises(rs.DomainError, match="target"):
        rs.first_passage(rs.Bessel(3.0, 1.0), start=1.0, target=(0.0, 2.0))


@pytest.mark.statistical(alpha=2e-9)
def test_draws_follow_the_law():
    """Sees distances above 0.03 with 20000 draws; the twin law is 30 % slower."""
    for k, (d, r0, a) in enumerate(
        [(1.0, 1.0, 0.0), (3.0, 2.0, 1.0), (2.5, 0.3, 1.0), (-2.0, 2.0, 1.0)]
    ):
        law, slower = passage(d, r0, a), passage(d, r0, a, 0.7)
        times = law.sample(20_000, seed=k)
        come = np.sort(times[np.isfinite(times)])
        arrive = law.laplace(0.0)
        assert stats.binomtest(come.size, times.size, arrive).pvalue > 1e-10
        for model, right in ((law, True), (slower, False)):
            chance = (1 - model.survival(come)) / arrive
            assert bool(stats.kstest(chance, "uniform").pvalue > 2.5e-10) is right


@pytest.mark.parametrize("dimension", [-1.3, 0.5, 1.0, 2.0, 2.7, 3.0, 5.0])
@pytest.mark.parametrize("start", [0.51, 1.6, 80.0])
def test_a_million_rates_from_outside_have_the_digits_of_one(dimension, start):
    T = rs.first_passage(rs.Bessel(dimension, 0.7), start, 0.5)
    rates = np.geomspace(1e-4, 1e4, 4000) / start**2
    many = T.under(rs.Poisson(rates)).mean()
    picked = slice(3, None, 401)
    exact = [_poisson_outside(dimension, 0.7, start, 0.5, rate) for rate in rates[picked]]
    condition = np.sqrt(rates[picked] / 0.7) * start
    error = np.abs(many[picked] / np.array(exact) - 1.0)
    assert np.all(error <= (16 + 4 * condition) * np.finfo(float).eps)


def _poisson_outside(dimension, D, start, target, rate):
    """(1/f - 1)/r in forty digits."""
    with mp.workdps(40):
        nu, k = 1 - mp.mpf(dimension) / 2, mp.sqrt(mp.mpf(rate) / mp.mpf(D))
        r, a = mp.mpf(start), mp.mpf(target)
        f = (r / a) ** nu * mp.besselk(nu, k * r) / mp.besselk(nu, k * a)
        return float((1 / f - 1) / mp.mpf(rate))
