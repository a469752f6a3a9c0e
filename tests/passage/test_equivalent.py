"""Bowls, traps and spheres between two ends or off a wall, against their special functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import resetsgd as rs
from resetsgd.errors import DomainError, NotConverged

Pair = tuple[Callable[[Any], Any], Callable[[Any], Any]]


def two_ends(pair: Pair, x: float, low: float, high: float) -> tuple[Any, Any]:
    """Transforms at either end, from two independent solutions of the backward equation."""
    f, g = pair
    whole = f(low) * g(high) - f(high) * g(low)
    return (
        (f(x) * g(high) - f(high) * g(x)) / whole,
        (f(low) * g(x) - f(x) * g(low)) / whole,
    )


def off_wall(pair: Pair, x: float, target: float, wall: float) -> Any:
    """Transform to a target with a reflecting wall."""
    f, g = pair
    df, dg = mp.diff(f, wall), mp.diff(g, wall)
    return (f(x) * dg - g(x) * df) / (f(target) * dg - g(target) * df)


def bowl_pair(s: Any, k: float, c: float, D: float) -> Pair:
    scale = mp.sqrt(mp.mpf(k) / D)

    def solution(sign: int) -> Callable[[Any], Any]:
        def u(x: Any) -> Any:
            y = (mp.mpf(x) - c) * scale
            return mp.exp(y * y / 4) * mp.pcfd(-s / mp.mpf(k), sign * y)

        return u

    return solution(-1), solution(1)


def radial_pair(s: Any, d: float, D: float) -> Pair:
    nu, k = 1 - mp.mpf(d) / 2, mp.sqrt(s / mp.mpf(D))
    return (
        lambda r: mp.mpf(r) ** nu * mp.besseli(abs(nu), k * r),
        lambda r: mp.mpf(r) ** nu * mp.besselk(nu, k * r),
    )


def trap_pair(s: Any, slope: float, D: float) -> Pair:
    """exp(n x) and exp(-m x) above the kink and their smooth continuations below it."""
    root = mp.sqrt(mp.mpf(slope) ** 2 + 4 * mp.mpf(D) * s)
    up, down = (root + slope) / (2 * mp.mpf(D)), -(root - slope) / (2 * mp.mpf(D))

    def solution(k: Any) -> Callable[[Any], Any]:
        # below: a exp(-up x) + b exp(-down x), value 1 and slope k at 0
        a = (k + down) / (down - up)

        def u(x: Any) -> Any:
            x = mp.mpf(x)
            return mp.exp(k * x) if x >= 0 else a * mp.exp(-up * x) + (1 - a) * mp.exp(-down * x)

        return u

    return solution(up), solution(down)


CASES = {
    "bowl": (rs.OrnsteinUhlenbeck(2.0, 0.3, 0.7), lambda s: bowl_pair(s, 2.0, 0.3, 0.7), 0.5),
    "bowl to one side": (
        rs.OrnsteinUhlenbeck(0.5, 3.0, 1.3), lambda s: bowl_pair(s, 0.5, 3.0, 1.3), 0.2
    ),
    "plane": (rs.Bessel(2.0, 1.3), lambda s: radial_pair(s, 2.0, 1.3), 1.1),
    "logarithmic": (rs.Bessel(-2.5, 0.4), lambda s: radial_pair(s, -2.5, 0.4), 1.4),
    "space": (rs.Bessel(7.0, 0.4), lambda s: radial_pair(s, 7.0, 0.4), 1.4),
    "trap": (rs.LinearTrap(1.2, 0.8), lambda s: trap_pair(s, 1.2, 0.8), 0.3),
    "ridge": (rs.LinearTrap(-1.2, 0.8), lambda s: trap_pair(s, -1.2, 0.8), -0.2),
}  # fmt: skip
RATES = (1e-3, 0.4, 7.0, 300.0)


def ends(name: str) -> tuple[float, float]:
    """Two ends around the start; of positive radius for spheres."""
    radial = name in ("plane", "logarithmic", "space")
    return (0.8, 2.1) if radial else (-1.1, 1.5)


@pytest.mark.parametrize("name", CASES)
def test_two_ends_against_special_functions(name: str) -> None:
    process, pair, x = CASES[name]
    low, high = ends(name)
    T = rs.first_passage(process, x, (low, high))
    assert T.error < 1e-12
    with mp.workdps(40):
        for s in RATES:
            lower, upper = two_ends(pair(mp.mpf(s)), x, low, high)
            assert T.side("lower").log_laplace(s) == pytest.approx(float(mp.log(lower)), rel=1e-12)
            assert T.side("upper").log_laplace(s) == pytest.approx(float(mp.log(upper)), rel=1e-12)
            assert T.log_laplace(s) == pytest.approx(float(mp.log(lower + upper)), rel=1e-12)
            mean = (1 - lower - upper) / (mp.mpf(s) * (lower + upper))
            assert T.under(rs.Poisson(s)).mean() == pytest.approx(float(mean), rel=1e-12)
            chance = T.under(rs.Poisson(s)).splitting().upper
            assert chance == pytest.approx(float(upper / (lower + upper)), rel=1e-11)
        tiny = mp.mpf("1e-15")
        lower, upper = two_ends(pair(tiny), x, low, high)
        assert T.splitting().upper == pytest.approx(float(upper), rel=1e-12)
        assert T.mean() == pytest.approx(float((1 - lower - upper) / tiny), rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_off_a_wall_against_special_functions(name: str) -> None:
    process, pair, x = CASES[name]
    low, high = ends(name)
    for target, wall in ((low, high), (high, low)):
        T = rs.first_passage(process, x, target, wall=wall)
        with mp.workdps(40):
            for s in RATES:
                value = off_wall(pair(mp.mpf(s)), x, target, wall)
                assert T.log_laplace(s) == pytest.approx(float(mp.log(value)), rel=1e-12)
            tiny = mp.mpf("1e-15")
            value = off_wall(pair(tiny), x, target, wall)
            assert T.mean() == pytest.approx(float((1 - value) / tiny), rel=1e-12)


def test_far_ends_and_walls_do_not_matter() -> None:
    bowl = rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0)
    alone = rs.first_passage(bowl, 0.2, 1.3)
    for other in (
        rs.first_passage(bowl, 0.2, 1.3, wall=-15.0),
        rs.first_passage(bowl, 0.2, (-15.0, 1.3)),
    ):
        assert other.mean() == pytest.approx(alone.mean(), rel=1e-12)
        assert other.cv() == pytest.approx(alone.cv(), rel=1e-12)
    assert other.splitting().lower < 1e-40
    near = rs.first_passage(bowl, 0.2, 1.3, wall=-1.0)  # where it does matter, it is seen
    assert near.mean() < 0.9 * alone.mean()


def test_arrays_of_processes_and_positions() -> None:
    k, c, D = np.array([0.5, 2.0, 2.0]), np.array([0.3, -0.2, -0.2]), 0.7
    x = np.array([[0.1], [0.4]])
    T = rs.first_passage(rs.OrnsteinUhlenbeck(k, c, D), x, (-1.0, [1.0, 1.0, 2.0]))
    W = rs.first_passage(rs.LinearTrap(k, D), x, 1.0, wall=-c - 1.0)
    B = rs.first_passage(rs.Bessel(k, D), x + 1.0, (1.0, [2.0, 2.0, 3.0]))
    assert T.shape == W.shape == B.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        start, high = float(x[i, 0]), (1.0, 1.0, 2.0)[j]
        bowl = rs.OrnsteinUhlenbeck(float(k[j]), float(c[j]), D)
        one = rs.first_passage(bowl, start, (-1.0, high))
        for whole, single in (
            (T.mean(), one.mean()),
            (T.survival(0.7), one.survival(0.7)),
            (T.splitting().upper, one.splitting().upper),
            (T.given("upper").density(0.4), one.given("upper").density(0.4)),
            (T.side("lower").laplace(0.4), one.side("lower").laplace(0.4)),
            (T.under(rs.Poisson(0.8)).mean(), one.under(rs.Poisson(0.8)).mean()),
        ):
            assert np.asarray(whole)[i, j] == pytest.approx(single, rel=1e-10)
        trap = rs.LinearTrap(float(k[j]), D)
        single = rs.first_passage(trap, start, 1.0, wall=float(-c[j]) - 1.0)
        assert W.var()[i, j] == pytest.approx(single.var(), rel=1e-11)
        ball = rs.first_passage(rs.Bessel(float(k[j]), D), start + 1.0, (1.0, 1.0 + high))
        assert B.mean()[i, j] == pytest.approx(ball.mean(), rel=1e-11)


def test_a_trap_left_on_one_side_of_its_kink_is_a_drift() -> None:
    for sign in (1.0, -1.0):
        low, high = sorted((sign * 0.2, sign * 1.5))
        T = rs.first_passage(rs.LinearTrap(1.3, 0.6), sign * 0.7, (low, high))
        drift = rs.DriftDiffusion(-sign * 1.3, 0.6)
        assert T.splitting() == rs.first_passage(drift, sign * 0.7, (low, high)).splitting()
        W = rs.first_passage(rs.LinearTrap(1.3, 0.6), sign * 0.7, sign * 1.5, wall=sign * 0.2)
        wall = rs.first_passage(drift, sign * 0.7, sign * 1.5, wall=sign * 0.2)
        assert W.mean() == wall.mean()
    # across the kink, an interval next to it hardly notices the other side's drift
    across = rs.first_passage(rs.LinearTrap(1.3, 0.6), 0.7, (-1e-9, 1.5))
    beside = rs.first_passage(rs.DriftDiffusion(-1.3, 0.6), 0.7, (0.0, 1.5))
    assert across.mean() == pytest.approx(beside.mean(), rel=1e-7)


def test_arguments() -> None:
    ball = rs.Bessel(3.0, 1.0)
    with pytest.raises(DomainError, match="target"):
        rs.first_passage(ball, 0.5, (0.0, 1.0))
    with pytest.raises(DomainError, match="wall"):
        rs.first_passage(ball, 0.5, 1.0, wall=0.0)
    with pytest.raises(DomainError):
        rs.first_passage(rs.OrnsteinUhlenbeck([1.0, 2.0], 0.0, 1.0), [0.1, 0.2, 0.3], (-1.0, 1.0))
    with pytest.raises(NotConverged):
        rs.first_passage(rs.OrnsteinUhlenbeck(1e-300, 0.0, 1.0), 0.0, (-1.0, 1.0))
    with pytest.raises(NotConverged):
        rs.first_passage(rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), 0.0, (-1e200, 1.0))
