"""Where the closed forms are tabulated: grids over twenty-four decades, random points, edges.

Every point is a row of float64 inputs as the library sees them: slope, diffusivity, start, target,
then a rate. y = slope target/D is the height of the climb from the kink to the target.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

__all__ = ["POINTS"]

Rows = tuple[tuple[str, ...], np.ndarray]

PLACE = ("slope", "diffusivity", "start", "target")
HEIGHTS = np.array([1e-12, 1e-6, 1e-2, 0.4, 1.0, 1.99, 2.01, 5.0, 30.0, 299.0, 302.0, 599.0, 602.0])
SHARES = np.array([-1e6, -3.0, -1.0, -1e-6, 0.0, 1e-9, 0.1, 0.5, 0.9, 1 - 1e-6, 1 - 1e-12])


def loguniform(draw: np.random.Generator, low: float, high: float, n: int) -> np.ndarray:
    """Log-uniform numbers."""
    return np.exp(draw.uniform(np.log(low), np.log(high), n))


def place(
    height: np.ndarray, D: np.ndarray, L: np.ndarray, share: np.ndarray, seed: int
) -> np.ndarray:
    """Rows of these values; start = share target, half of them mirrored."""
    draw = np.random.default_rng(seed)
    side = draw.choice([-1.0, 1.0], size=len(L))
    return np.column_stack([D * (height / L), D, side * share * L, side * L])


def random_share(draw: np.random.Generator, n: int) -> np.ndarray:
    """Starts across the kink, between kink and target, and next to either."""
    kind = draw.integers(0, 4, n)
    near = loguniform(draw, 1e-12, 1.0, n)
    return np.choose(
        kind, [-loguniform(draw, 1e-6, 1e3, n), draw.random(n), near, 1.0 - near * 0.5]
    )


def random_height(draw: np.random.Generator, n: int) -> np.ndarray:
    """Mostly of order one, some over sixteen decades."""
    wide = loguniform(draw, 1e-12, 1e3, n)
    return np.where(draw.random(n) < 0.5, loguniform(draw, 1e-2, 50, n), wide)


def free() -> Rows:
    """Without resetting."""
    grid = np.array(list(product(HEIGHTS, (1e-12, 1.0, 1e12), (1e-12, 1.0, 1e12), SHARES)))
    draw = np.random.default_rng(61)
    n = 4500
    random = np.column_stack(
        [
            random_height(draw, n),
            loguniform(draw, 1e-12, 1e12, n),
            loguniform(draw, 1e-12, 1e12, n),
            random_share(draw, n),
        ]
    )
    return PLACE, place(*np.concatenate([grid, random]).T, seed=62)


def poisson() -> Rows:
    """Functions of a rate; slopes of both signs, rate 0 among them."""
    draw = np.random.default_rng(63)
    n = 5500
    sign = draw.choice([-1.0, 1.0, 1.0], n)
    height = sign * random_height(draw, n)
    D, L = loguniform(draw, 1e-12, 1e12, n), loguniform(draw, 1e-9, 1e9, n)
    unit = D / L**2
    fast = unit * loguniform(draw, 1e-8, 600, n) ** 2
    slow = unit * loguniform(draw, 1e-30, 1.0, n)
    rate = np.where(draw.random(n) < 0.6, fast, slow)
    rate = np.where(draw.random(n) < 0.03, 0.0, rate)
    rows = np.column_stack([place(height, D, L, random_share(draw, n), seed=64), rate])
    keep = (rows[:, 4] == 0) | ((rows[:, 4] > 1e-200) & (np.abs(rows[:, 0]) < 1e30))
    return (*PLACE, "rate"), rows[keep]


POINTS: dict[str, Callable[[], Rows]] = {"free": free, "poisson": poisson}
