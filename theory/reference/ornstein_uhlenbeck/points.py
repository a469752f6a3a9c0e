"""Where the passage of the Ornstein–Uhlenbeck process is tabulated.

Every point is a row of float64 inputs as the library sees them: stiffness, center, diffusivity,
start, target, then the rate. Heights of the target above the start are wanted in spreads sqrt(D/k);
half of the points are mirrored.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

__all__ = ["POINTS"]

Rows = tuple[tuple[str, ...], np.ndarray]

PLACE = ("stiffness", "center", "diffusivity", "start", "target")
HEIGHTS = np.array([-40, -12, -6, -3, -1, -0.1, 0, 0.1, 1, 3, 6, 7.999, 8.001, 10.0])
GAPS = np.array([1e-12, 1e-6, 1e-3, 0.1, 1.0, 3.0, 10.0])


def loguniform(draw: np.random.Generator, low: float, high: float, n: int) -> np.ndarray:
    """Log-uniform numbers."""
    return np.exp(draw.uniform(np.log(low), np.log(high), n))


def place(height: np.ndarray, gap: np.ndarray, seed: int) -> np.ndarray:
    """Rows with targets at about these heights and starts so far below, mirrored for one half."""
    draw = np.random.default_rng(seed)
    n = len(height)
    k, D = loguniform(draw, 1e-12, 1e12, n), loguniform(draw, 1e-12, 1e12, n)
    spread = np.sqrt(D / k)
    side = draw.choice([-1.0, 1.0], size=n)
    # three quarters of the centers at 0; the others so that differences are rounded once
    center = np.where(draw.random(n) < 0.75, 0.0, spread * draw.normal(size=n))
    target = center + side * height * spread
    start = target - side * gap * spread
    # where rounding swallowed the gap the next float64 has to do
    start = np.where(start == target, np.nextafter(target, -side * np.inf), start)
    return np.column_stack([k, center, D, start, target])


def random_places(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Heights and gaps: of order one, deep on either side, at the center, far starts."""
    draw = np.random.default_rng(seed)
    height = np.where(draw.random(n) < 0.7, draw.uniform(-6, 6, n), draw.uniform(-40, 12, n))
    height = np.where(draw.random(n) < 0.05, 0.0, height)
    gap = np.where(
        draw.random(n) < 0.6, loguniform(draw, 1e-2, 8, n), loguniform(draw, 1e-12, 12, n)
    )
    return height, gap


def free() -> Rows:
    """Without resetting."""
    grid = np.array(list(product(HEIGHTS, GAPS)))
    height, gap = random_places(2700, 1)
    return PLACE, place(np.append(grid[:, 0], height), np.append(grid[:, 1], gap), seed=2)


def spread() -> Rows:
    """Fewer points, for the variance."""
    grid = np.array(list(product(HEIGHTS, GAPS)))
    height, gap = random_places(502, 8)
    return PLACE, place(np.append(grid[:, 0], height), np.append(grid[:, 1], gap), seed=9)


def far() -> Rows:
    """Targets up to a thousand spreads up, where the mean overflows, and starts far down."""
    draw = np.random.default_rng(3)
    height = np.concatenate([loguniform(draw, 8, 1e3, 300), -loguniform(draw, 8, 1e3, 300)])
    gap = np.where(
        draw.random(600) < 0.5, loguniform(draw, 1e-9, 2, 600), loguniform(draw, 1, 2e3, 600)
    )
    return PLACE, place(height, gap, seed=4)


def poisson() -> Rows:
    """Functions of a rate or of s: rates over all decades, both sides of every branch."""
    orders = np.array([1e-12, 1e-6, 1e-2, 0.3, 1.0, 5.0, 29.999, 30.001, 60.0, 1e3, 1e12])
    grid = np.array(list(product(HEIGHTS[:-1], (1e-6, 0.1, 1.0, 4.0), orders)))
    n = 2000
    height, gap = random_places(n, 5)
    draw = np.random.default_rng(6)
    order = np.where(
        draw.random(n) < 0.8, loguniform(draw, 1e-3, 60, n), loguniform(draw, 1e-12, 1e12, n)
    )
    rows = place(np.append(grid[:, 0], height), np.append(grid[:, 1], gap), seed=7)
    return (*PLACE, "rate"), np.column_stack([rows, rows[:, 0] * np.append(grid[:, 2], order)])


POINTS: dict[str, Callable[[], Rows]] = {
    "free": free,
    "far": far,
    "spread": spread,
    "poisson": poisson,
}
