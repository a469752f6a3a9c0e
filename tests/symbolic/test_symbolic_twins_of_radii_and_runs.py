"""The symbolic twins of Bessel, trap and telegraph say what the library computes."""

from __future__ import annotations

import pytest

import resetsgd as rs
from resetsgd.symbolic import bessel, linear_trap, symbols, telegraph

D, L, s, t = symbols.diffusivity, symbols.distance, symbols.laplace_variable, symbols.time


def number(expression, point):
    return float(expression.subs(point).evalf(25))


@pytest.mark.parametrize("d, b, a", [(2.5, 2.0, 1.2), (-1.5, 2.0, 1.2), (3.5, 0.4, 1.2)])
def test_bessel(d, b, a):
    law = rs.first_passage(rs.Bessel(d, 0.7), start=b, target=a)
    point = {bessel.dimension: d, bessel.start: b, bessel.target: a, D: 0.7, s: 0.9}
    f = bessel.outside() if b > a else bessel.inside()
    assert law.laplace(0.9) == pytest.approx(number(f, point), rel=1e-12)
    assert law.laplace(0.9) != pytest.approx(number(f, {**point, D: 0.71}), rel=1e-4)
    if d < 0 or b < a:
        assert law.mean() == pytest.approx(number(bessel.mean(), point), rel=1e-13)
    if b < a:
        assert law.var() == pytest.approx(number(bessel.variance(), point), rel=1e-13)
    if b > a:
        chance = number(bessel.arrival_probability(), point)
        assert law.laplace(0.0) == pytest.approx(chance, rel=1e-13)


def test_bessel_to_the_origin():
    law = rs.first_passage(rs.Bessel(-0.5, 0.7), start=1.3, target=0.0)
    point = {bessel.dimension: -0.5, bessel.start: 1.3, D: 0.7, s: 0.9, t: 0.8}
    assert law.laplace(0.9) == pytest.approx(number(bessel.to_origin(), point), rel=1e-12)
    assert law.density(0.8) == pytest.approx(number(bessel.density_to_origin(), point), rel=1e-13)


@pytest.mark.parametrize("start", [-0.6, 0.5])
def test_linear_trap(start):
    law = rs.first_passage(rs.LinearTrap(1.3, 0.7), start=start, target=0.9)
    point = {
        linear_trap.slope: 1.3,
        D: 0.7,
        linear_trap.start: start,
        linear_trap.target: 0.9,
        s: 2,
    }
    above = start > 0
    f = linear_trap.laplace_transform(above)
    assert law.laplace(2.0) == pytest.approx(number(f, point), rel=1e-13)
    assert law.laplace(2.0) != pytest.approx(number(f, {**point, D: 0.71}), rel=1e-4)
    assert law.mean() == pytest.approx(number(linear_trap.mean(above), point), rel=1e-13)
    assert law.var() == pytest.approx(number(linear_trap.variance(above), point), rel=1e-12)


@pytest.mark.parametrize("heading, way", [("toward", -1), ("away", 1), ("either", 0)])
def test_telegraph(heading, way):
    run = rs.Telegraph(1.3, 0.8, way)
    law = rs.first_passage(run, start=0.9, target=0.0)
    exit_ = rs.first_passage(run, start=0.9, target=(0.0, 3.0))
    point = {telegraph.speed: 1.3, telegraph.flip_rate: 0.8, L: 0.9, s: 0.7, t: 1.9}
    point |= {telegraph.x: 0.9, telegraph.y: 2.1}
    f = telegraph.laplace_transform(heading)
    assert law.laplace(0.7) == pytest.approx(number(f, point), rel=1e-13)
    assert law.laplace(0.7) != pytest.approx(number(f, {**point, telegraph.speed: 1.31}), rel=1e-4)
    assert law.density(1.9) == pytest.approx(number(telegraph.density(heading), point), rel=1e-12)
    lower = number(telegraph.lower_exit(heading), point)
    assert exit_.side("lower").laplace(0.7) == pytest.approx(lower, rel=1e-12)
    assert exit_.mean() == pytest.approx(number(telegraph.exit_mean(heading), point), rel=1e-13)
    assert exit_.var() == pytest.approx(number(telegraph.exit_variance(heading), point), rel=1e-13)
