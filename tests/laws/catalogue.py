"""Passage times of every kind, and protocols of every kind: a new one gets a row here.

Scales are of order one, so that the same times and rates are telling for all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy import stats

import resetsgd as rs
from resetsgd.passage.base import PassageTime


def _walk(drift: float, start: float, target: object, **more: float) -> PassageTime:
    return rs.first_passage(rs.DriftDiffusion(drift, 1.0), start, target, **more)


def _double_well(x: np.ndarray) -> np.ndarray:
    return (x * x - 1.0) ** 2


def _bowl(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * x


FREE: dict[str, Callable[[], PassageTime]] = {
    "drift toward": lambda: _walk(-1.0, 1.0, 0.0),
    "drift away": lambda: _walk(0.5, 1.0, 0.0),
    "no drift": lambda: _walk(0.0, 1.0, 0.0),
    "interval": lambda: _walk(1.0, 0.6, (0.0, 2.0)),
    "one side": lambda: _walk(1.0, 0.6, (0.0, 2.0)).side("lower"),
    "given the side": lambda: _walk(1.0, 0.6, (0.0, 2.0)).given("upper"),
    "wall": lambda: _walk(0.7, 0.8, 0.0, wall=1.5),
    "bowl up": lambda: rs.first_passage(rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), 0.2, 1.3),
    "bowl down": lambda: rs.first_passage(rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), 2.0, 0.5),
    "bowl center": lambda: rs.first_passage(rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), -1.2, 0.0),
    "bowl interval": lambda: rs.first_passage(rs.Landscape(_bowl, 1.0), 0.4, (-1.0, 1.5)),
    "bowl two ends": lambda: rs.first_passage(
        rs.OrnsteinUhlenbeck(1.0, 0.3, 1.0), 0.4, (-1.0, 1.5)
    ),
    "bowl wall": lambda: rs.first_passage(rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), 0.2, 1.3, wall=-0.5),
    "annulus": lambda: rs.first_passage(rs.Bessel(2.0, 1.0), 1.3, (1.0, 2.5)),
    "trap two ends": lambda: rs.first_passage(rs.LinearTrap(1.0, 1.0), 0.3, (-1.0, 0.9)),
    "ball from inside": lambda: rs.first_passage(rs.Bessel(3.0, 1.0), 0.5, 1.6),
    "ball from outside": lambda: rs.first_passage(rs.Bessel(3.0, 1.0), 1.5, 1.0),
    "logarithmic": lambda: rs.first_passage(rs.Bessel(-3.0, 1.0), 2.0, 0.0),
    "trap": lambda: rs.first_passage(rs.LinearTrap(1.0, 1.0), -0.5, 0.7),
    "telegraph": lambda: rs.first_passage(rs.Telegraph(1.5, 1.0), 1.0, 0.0),
    "telegraph interval": lambda: rs.first_passage(rs.Telegraph(1.5, 1.0), 0.8, (0.0, 2.0)),
    "landscape": lambda: rs.first_passage(rs.Landscape(_double_well, 0.7), -0.7, 0.6),
    "multiplicative noise": lambda: rs.first_passage(
        rs.Landscape(_double_well, lambda x: 0.5 + 0.2 * np.tanh(x), noise="stratonovich"), -1, 0.3
    ),
    "mixture": lambda: rs.mixture(_walk(-1.0, [0.5, 1.0, 2.0], 0.0), [1, 2, 1]),
    "walk": lambda: rs.first_passage(
        rs.RandomWalk(stats.norm(-0.4, 1.0), contraction=0.9), 1.5, 0.0
    ),
    "walk two ends": lambda: rs.first_passage(
        rs.RandomWalk(stats.laplace(0.1, 0.5)), 1.0, (0.0, 3.0)
    ),
    "walk given the side": lambda: rs.first_passage(
        rs.RandomWalk(stats.norm(0.0, 0.8)), 1.0, (0.0, 3.0)
    ).given("upper"),
    "flight": lambda: rs.first_passage(rs.RandomWalk(stats.levy_stable(0.5, 0.0)), 1.0, 0.0),
    "discrete sgd": lambda: rs.first_passage(rs.QuadraticSGD(1.0, 1.0, 0.3), 1.2, 0.5),
    "observed": lambda: rs.observed(np.random.default_rng(4).gamma(0.7, 2.0, 300)),
}
"""Reset-free passage times."""

PROTOCOLS: dict[str, Callable[[], rs.Protocol]] = {
    "Poisson": lambda: rs.Poisson(0.6),
    "Sharp": lambda: rs.Sharp(1.3),
    "Geometric": lambda: rs.Geometric(0.4, step=0.5),
    "Gamma": lambda: rs.Gamma(0.8, stages=2.5),
    "Weibull": lambda: rs.Weibull(1.5, exponent=1.7),
    "Uniform": lambda: rs.Uniform(0.3, 2.5),
    "Pareto": lambda: rs.Pareto(0.7, exponent=2.2),
    "any": lambda: rs.Waiting(stats.lognorm(0.6, scale=1.2)),
}
"""One member of each family."""

DISCRETE = {"walk", "walk two ends", "walk given the side", "flight", "discrete sgd"}
"""In whole steps."""
ATOMS = DISCRETE | {"observed", "telegraph", "telegraph interval"}
"""Laws with times of positive probability."""
INFINITE = {"drift away", "no drift", "one side", "ball from outside", "telegraph", "flight"}
"""Of infinite mean."""


@cache
def free(name: str) -> PassageTime:
    """The passage time of a row, made once."""
    return FREE[name]()


def protocol(name: str) -> rs.Protocol:
    """The protocol of a row."""
    return PROTOCOLS[name]()
