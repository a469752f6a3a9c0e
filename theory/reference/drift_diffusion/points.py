"""Where the closed forms are tabulated: grids over twenty-four decades, random points, edges.

Every point is a row of float64 inputs as the library sees them: drift, diffusivity, start, target,
then rate, s or t. The drift is chosen so that the Péclet number is (nearly) a wanted one; half of
the points start above the target, half below.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

__all__ = ["POINTS"]

Rows = tuple[tuple[str, ...], np.ndarray]

PLACE = ("drift", "diffusivity", "start", "target")
PECLETS = np.array([1e-12, 1e-6, 1e-2, 0.3, 0.9, 0.999, 1.0, 1.001, 1.5, 2.0, 30.0, 1e3, 1e4])
SIGNED = np.concatenate([-PECLETS[::-1], [0.0], PECLETS])
NEAR_ONE = np.concatenate([1 - 2.0 ** -np.arange(1, 50, 3), 1 + 2.0 ** -np.arange(1, 50, 3)])


def decades(count: int) -> np.ndarray:
    """Powers of ten over [1e-12, 1e12]."""
    return np.logspace(-12, 12, count)


def place(peclet: np.ndarray, D: np.ndarray, L: np.ndarray, seed: int) -> np.ndarray:
    """Rows (drift, diffusivity, start, target) with these values, drift and positions rounded."""
    draw = np.random.default_rng(seed)
    side = draw.choice([-1.0, 1.0], size=len(L))  # start above (+) or below (-) the target
    # three quarters of the targets at 0; the others a few L away, so that L itself is rounded
    target = np.where(draw.random(len(L)) < 0.75, 0.0, L * draw.normal(size=len(L)))
    velocity = 2.0 * D * (peclet / L)
    return np.column_stack([-side * velocity, D, target + side * L, target])


def loguniform(draw: np.random.Generator, low: float, high: float, n: int) -> np.ndarray:
    """Log-uniform numbers."""
    return np.exp(draw.uniform(np.log(low), np.log(high), n))


def random_peclet(draw: np.random.Generator, n: int) -> np.ndarray:
    """Mostly of order one, some over sixteen decades, some next to 1, some 0; both signs."""
    value = draw.choice([-1.0, 1.0], size=n) * np.where(
        draw.random(n) < 0.5, loguniform(draw, 1e-2, 30, n), loguniform(draw, 1e-12, 1e4, n)
    )
    pick = draw.random(n)
    value = np.where(pick < 0.05, 0.0, value)
    close = 1 + draw.choice([-1.0, 1.0], size=n) * loguniform(draw, 1e-15, 1e-2, n)
    return np.where(pick > 0.92, close, value)


def free() -> Rows:
    """Without resetting."""
    grid = np.array(list(product(SIGNED, decades(13), decades(9))))
    edge = np.array(list(product(NEAR_ONE, (1.0, 0.1), (1.0, 3.0))))
    draw = np.random.default_rng(1)
    n = 6000
    random = np.column_stack(
        [random_peclet(draw, n), loguniform(draw, 1e-12, 1e12, n), loguniform(draw, 1e-12, 1e12, n)]
    )
    return PLACE, place(*np.concatenate([grid, edge, random]).T, seed=2)


def poisson() -> Rows:
    """Functions of a rate or of s: rate 0, all decades, exponents of order one, edges."""
    rates = np.concatenate([[0.0], decades(9)])
    grid = np.array(list(product(SIGNED, decades(7), (1e-12, 1e-3, 1.0, 1e12), rates)))
    draw = np.random.default_rng(3)
    # full range at random, and points whose exponent L sqrt(r/D) is neither tiny nor overflowing
    n = 2000
    wild = np.column_stack(
        [random_peclet(draw, n), *(loguniform(draw, 1e-12, 1e12, n) for _ in range(3))]
    )
    n = 4500
    D, L = loguniform(draw, 1e-12, 1e12, n), loguniform(draw, 1e-9, 1e9, n)
    tame = np.column_stack(
        [random_peclet(draw, n), D, L, D / L**2 * loguniform(draw, 1e-8, 750, n) ** 2]
    )
    rows = np.concatenate([grid, wild, tame, poisson_edges()])
    rows = rows[(rows[:, 3] == 0) | ((rows[:, 3] >= 1e-30) & (rows[:, 3] <= 1e30))]
    return (*PLACE, "rate"), np.column_stack([place(*rows.T[:3], seed=4), rows[:, 3]])


def poisson_edges() -> np.ndarray:
    """Where branches, overflow or total cancellation sit: (peclet, D, L, rate)."""
    rows: list[tuple[float, float, float, float]] = []
    jumps = 1 + np.array([-1e-9, -4, -1, 0, 1, 4, 1e-9 * 2**52]) * 2.0**-52
    # exponents E at which arrangements usually switch, and where exp, exp² and their ratio to the
    # rate leave float64
    exponents = [0.25, 0.5, np.log(2), 0.7, 1.0, 1.5, 2.0, 3.0, 18.0, 37.0, 340.0, 354.5, 372.0]
    exponents += [700.0, 709.7, 709.9, 720.0, 736.0, 740.0]
    for pe, e, jump in product((-2.0, 0.0, 0.5, 1.0, 5.0), exponents, jumps):
        if e > -2 * pe:
            e *= jump
            rows.append((pe, 1.0, 1.0, e * (e + 2 * pe)))
            # the same exponent at a rate near 1e12: the mean stays finite longer than exp(E)
            scale = np.sqrt(e * (e + 2 * pe) / 1e12)
            rows.append((pe, 1.0, scale, 1e12))
    # 4 D r against v²: the root is v to half an ulp, to an ulp, not at all
    for pe, power in product((-1e4, -3.0, 0.7, 3.0, 1e4), range(-60, 8, 3)):
        rows.append((pe, 1.0, 1.0, pe**2 * 2.0**power))
    for pe, rate in product(NEAR_ONE, (0.0, 1e-12, 1e-6, 1e-3, 1.0)):
        rows.append((pe, 1.0, 1.0, rate))
    # mean close to 1, where its logarithm vanishes
    for e in 10.0 ** np.arange(-6, 2.9, 0.25):
        rows.append((0.0, e**2 / np.expm1(e), e**2 / np.expm1(e) * e, e**2 * np.expm1(e) / e**2))
    return np.array(rows)


def restarted() -> Rows:
    """Laplace transform under resetting: rate and s."""
    draw = np.random.default_rng(5)
    n = 2500
    D, L = loguniform(draw, 1e-12, 1e12, n), loguniform(draw, 1e-9, 1e9, n)
    unit = D / L**2
    rate, s = (unit * loguniform(draw, 1e-12, 750, n) ** 2 for _ in range(2))
    return (*PLACE, "rate", "s"), np.column_stack(
        [place(random_peclet(draw, n), D, L, seed=6), rate, s]
    )


def optimum() -> Rows:
    """The optimal rate; only below Péclet number 1 is it positive."""
    draw = np.random.default_rng(7)
    grid = np.array(list(product(np.concatenate([SIGNED, NEAR_ONE]), (1e-12, 1.0, 1e12), (1.0,))))
    n = 400
    random = np.column_stack(
        [random_peclet(draw, n), loguniform(draw, 1e-12, 1e12, n), loguniform(draw, 1e-12, 1e12, n)]
    )
    rows = np.concatenate([grid, random])
    return PLACE, place(*rows.T, seed=8)


def law() -> Rows:
    """Functions of a time t, in units of L²/D and of L/v."""
    draw = np.random.default_rng(9)
    peclets = np.array([-100, -10, -1, -0.1, -1e-3, 0, 1e-3, 0.1, 0.5, 1, 2, 10, 100, 1e3])
    times = np.logspace(-2.5, 4, 53)
    grid = np.array([(pe, 1.0, 1.0, t) for pe, t in product(peclets, times)])
    n = 4000
    pe, D, L = (
        random_peclet(draw, n),
        loguniform(draw, 1e-12, 1e12, n),
        loguniform(draw, 1e-9, 1e9, n),
    )
    unit = L**2 / D
    drifting = unit / (2 * np.maximum(np.abs(pe), 1e-3)) * loguniform(draw, 0.05, 20, n)
    t = np.where(draw.random(n) < 0.5, unit * loguniform(draw, 3e-3, 1e4, n), drifting)
    # so early that the density leaves float64, sooner or later as its unit D/L² is small or large
    early = draw.random(n) < 0.1
    t = np.where(early, unit / (4 * draw.uniform(500, 900, n)), t)
    rows = np.concatenate([grid, np.column_stack([pe, D, L, t])])
    return (*PLACE, "t"), np.column_stack([place(*rows.T[:3], seed=10), rows[:, 3]])


POINTS: dict[str, Callable[[], Rows]] = {
    "free": free,
    "poisson": poisson,
    "restarted": restarted,
    "optimum": optimum,
    "law": law,
}
