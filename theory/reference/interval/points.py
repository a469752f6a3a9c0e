"""Where the closed forms are tabulated: grids over twenty-four decades, random points, edges.

Every point is a row of float64 inputs as the library sees them: drift, diffusivity, the lower end,
the start, the upper end, then a rate. The Péclet number here is mu L/2D, L the whole interval.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

__all__ = ["POINTS"]

Rows = tuple[tuple[str, ...], np.ndarray]

PLACE = ("drift", "diffusivity", "low", "start", "high")
PECLETS = np.array([1e-12, 1e-5, 1e-2, 0.3, 0.5, 1.0, 1.5, 3.0, 30.0, 1e4])
SIGNED = np.concatenate([-PECLETS[::-1], [0.0], PECLETS])
SHARES = np.array([1e-12, 1e-6, 1e-2, 0.2763932, 0.5])


def loguniform(draw: np.random.Generator, low: float, high: float, n: int) -> np.ndarray:
    """Log-uniform numbers."""
    return np.exp(draw.uniform(np.log(low), np.log(high), n))


def random_peclet(draw: np.random.Generator, n: int) -> np.ndarray:
    """Mostly of order one, some over sixteen decades, some 0; both signs."""
    value = draw.choice([-1.0, 1.0], size=n) * np.where(
        draw.random(n) < 0.6, loguniform(draw, 1e-2, 50, n), loguniform(draw, 1e-12, 1e4, n)
    )
    return np.where(draw.random(n) < 0.05, 0.0, value)


def random_share(draw: np.random.Generator, n: int) -> np.ndarray:
    """Distance to the near end over the length: half uniform, half over twelve decades."""
    uniform = draw.random(n) < 0.5
    return np.where(uniform, draw.uniform(0.01, 0.5, n), loguniform(draw, 1e-12, 0.1, n))


def place(
    peclet: np.ndarray, D: np.ndarray, L: np.ndarray, share: np.ndarray, seed: int
) -> np.ndarray:
    """Rows with these values, the near end above or below, most starts at 0."""
    draw = np.random.default_rng(seed)
    n = len(L)
    near, far = share * L, (1.0 - share) * L
    down = draw.random(n) < 0.5
    below, above = np.where(down, near, far), np.where(down, far, near)
    # a quarter of the starts lie elsewhere, so that the distances are rounded differences
    start = np.where(draw.random(n) < 0.75, 0.0, near * draw.normal(size=n))
    return np.column_stack([2.0 * D * (peclet / L), D, start - below, start, start + above])


def free() -> Rows:
    """Without resetting."""
    grid = np.array(list(product(SIGNED, (1e-12, 1.0, 1e12), (1e-12, 1.0, 1e12), SHARES)))
    # both sides of every branch: exponents 2 k x next to 0.5, 1, 2, 3, 5, 6
    edges = [
        (sign * e * (1 + side * 1e-9) / 2 / share, 1.0, 1.0, share)
        for sign, e, side, share in product(
            (-1, 1), (0.5, 1.0, 2.0, 3.0, 5.0, 6.0), (-1, 0, 1), (1e-6, 0.1, 0.3, 0.5)
        )
        if e / share < 1e5
    ]
    edges += [
        (e * (1 + side * 1e-9) / 2, 2.0, 3.0, s)
        for e in (0.5, 1.0, 2.0, 6.0)
        for side in (-1, 1)
        for s in SHARES
    ]
    draw = np.random.default_rng(1)
    n = 4300
    random = np.column_stack(
        [
            random_peclet(draw, n),
            loguniform(draw, 1e-12, 1e12, n),
            loguniform(draw, 1e-12, 1e12, n),
            random_share(draw, n),
        ]
    )
    return PLACE, place(*np.concatenate([grid, np.array(edges), random]).T, seed=2)


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
    n = 1000
    wild = np.column_stack(
        [
            random_peclet(draw, n),
            *(loguniform(draw, 1e-12, 1e12, n) for _ in range(2)),
            random_share(draw, n),
            loguniform(draw, 1e-12, 1e12, n),
        ]
    )
    n = 3200
    D, L, share = (
        loguniform(draw, 1e-12, 1e12, n),
        loguniform(draw, 1e-9, 1e9, n),
        random_share(draw, n),
    )
    # the exponent of the near end, or of the whole, anywhere from tiny to overflowing
    scale = np.where(draw.random(n) < 0.5, share * L, L)
    tame = np.column_stack(
        [random_peclet(draw, n), D, L, share, D / scale**2 * loguniform(draw, 1e-8, 750, n) ** 2]
    )
    edges = [
        (pe, 1.0, 1.0, share, (e * (1 + side * 1e-9)) ** 2)
        for pe, share, e, side in product(
            (-3.0, 0.0, 2.0), (1e-3, 0.4), (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5), (-1, 1)
        )
    ]
    rows = np.concatenate([grid, wild, tame, np.array(edges)])
    rows = rows[(rows[:, 4] == 0) | ((rows[:, 4] >= 1e-30) & (rows[:, 4] <= 1e30))]
    return (*PLACE, "rate"), np.column_stack([place(*rows.T[:4], seed=4), rows[:, 4]])


POINTS: dict[str, Callable[[], Rows]] = {"free": free, "poisson": poisson}
