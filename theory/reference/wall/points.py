"""Where the closed forms are tabulated: grids over twenty-four decades, random points, edges.

Every point is a row of float64 inputs as the library sees them: drift, diffusivity, start, target,
wall, then a rate. The Péclet number here is nu L/2D, nu the drift toward the wall and L the
distance between target and wall: above about 350 the mean overflows.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

__all__ = ["POINTS"]

Rows = tuple[tuple[str, ...], np.ndarray]

PLACE = ("drift", "diffusivity", "start", "target", "wall")
PECLETS = np.array(
    [-1e4, -30, -3, -1, -0.3, -1e-2, -1e-5, -1e-12, 0, 1e-12, 1e-5, 1e-2, 0.3, 1, 3, 30, 300]
)
SHARES = np.array([1e-12, 1e-6, 1e-2, 0.3, 0.5527864, 0.9, 1.0])


def loguniform(draw: np.random.Generator, low: float, high: float, n: int) -> np.ndarray:
    """Log-uniform numbers."""
    return np.exp(draw.uniform(np.log(low), np.log(high), n))


def random_peclet(draw: np.random.Generator, n: int) -> np.ndarray:
    """Mostly of order one, some over sixteen decades, some 0; away at most 400."""
    value = draw.choice([-1.0, 1.0], size=n) * np.where(
        draw.random(n) < 0.6, loguniform(draw, 1e-2, 50, n), loguniform(draw, 1e-12, 1e4, n)
    )
    return np.where(draw.random(n) < 0.05, 0.0, np.minimum(value, 400.0))


def random_share(draw: np.random.Generator, n: int) -> np.ndarray:
    """x/L: uniform, over twelve decades, or 1 (start at the wall)."""
    pick = draw.random(n)
    value = np.where(pick < 0.5, draw.uniform(0.01, 1.0, n), loguniform(draw, 1e-12, 0.1, n))
    return np.where(pick > 0.9, 1.0, value)


def place(
    peclet: np.ndarray, D: np.ndarray, L: np.ndarray, share: np.ndarray, seed: int
) -> np.ndarray:
    """Rows with these values, the target below or above, most starts at 0."""
    draw = np.random.default_rng(seed)
    n = len(L)
    side = draw.choice([-1.0, 1.0], size=n)
    x, y = share * L, (1.0 - share) * L
    start = np.where(draw.random(n) < 0.75, 0.0, x * draw.normal(size=n))
    drift = side * 2.0 * D * (peclet / L)
    return np.column_stack([drift, D, start, start - side * x, start + side * y])


def free() -> Rows:
    """Without resetting."""
    grid = np.array(list(product(PECLETS, (1e-12, 1e12), (1e-12, 1.0, 1e12), SHARES)))
    edges = np.array(
        list(
            product(
                (-20.0, -2.0, -0.75, 0.75, 2.0, 20.0, 350.0, 354.0, 360.0),
                (1.0,),
                (1.0, 3.0),
                SHARES,
            )
        )
    )
    draw = np.random.default_rng(1)
    n = 4800
    random = np.column_stack(
        [
            random_peclet(draw, n),
            loguniform(draw, 1e-12, 1e12, n),
            loguniform(draw, 1e-12, 1e12, n),
            random_share(draw, n),
        ]
    )
    return PLACE, place(*np.concatenate([grid, edges, random]).T, seed=2)


def poisson() -> Rows:
    """Functions of a rate or of s: rate 0, all decades, exponents of order one, edges."""
    draw = np.random.default_rng(3)
    grid = np.array(
        list(
            product(
                (-30.0, -1.0, 0.0, 1e-6, 0.5, 10.0),
                (1e-12, 1e12),
                (1e-12, 1.0, 1e12),
                SHARES,
                (0.0, 1e-12, 1.0, 1e12),
            )
        )
    )
    n = 800
    wild = np.column_stack(
        [
            random_peclet(draw, n),
            *(loguniform(draw, 1e-12, 1e12, n) for _ in range(2)),
            random_share(draw, n),
            loguniform(draw, 1e-12, 1e12, n),
        ]
    )
    n = 3300
    pe, D, L, share = (
        random_peclet(draw, n),
        loguniform(draw, 1e-12, 1e12, n),
        loguniform(draw, 1e-9, 1e9, n),
        random_share(draw, n),
    )
    scale = np.where(draw.random(n) < 0.5, share * L, L)
    rate = D / scale**2 * loguniform(draw, 1e-8, 750, n) ** 2
    # drift away: the mean, and with it the interesting rate, is exponentially large or small
    slow = np.exp(-2.0 * np.clip(pe, 0.0, 300.0))
    rate = np.where(draw.random(n) < 0.3, rate * slow, rate)
    tame = np.column_stack([pe, D, L, share, rate])
    edges = [
        (pe, 1.0, 1.0, share, (e * (1 + side * 1e-9)) ** 2)
        for pe, share, e, side in product(
            (-3.0, 0.0, 2.0), (1e-3, 0.4, 1.0), (0.25, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5), (-1, 1)
        )
    ]
    rows = np.concatenate([grid, wild, tame, np.array(edges)])
    rows = rows[(rows[:, 4] == 0) | ((rows[:, 4] >= 1e-280) & (rows[:, 4] <= 1e30))]
    return (*PLACE, "rate"), np.column_stack([place(*rows.T[:4], seed=4), rows[:, 4]])


POINTS: dict[str, Callable[[], Rows]] = {"free": free, "poisson": poisson}
