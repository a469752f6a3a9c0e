"""Where the closed forms are tabulated: log-uniform points, both sides of every branch.

Every point is a row of float64 inputs as the library sees them: dimension, diffusivity, start,
target, then s (a rate) or a time t.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["POINTS"]

Rows = tuple[tuple[str, ...], np.ndarray]

PLACE = ("dimension", "diffusivity", "start", "target")


def loguniform(draw: np.random.Generator, low: float, high: float, n: int) -> np.ndarray:
    """Log-uniform numbers."""
    return np.exp(draw.uniform(np.log(low), np.log(high), n))


def apart(draw: np.random.Generator, n: int) -> np.ndarray:
    """Ratios of the radii above 1: of order one, large, and close to 1."""
    kind = draw.integers(0, 3, n)
    close = 1 + loguniform(draw, 1e-8, 1.0, n)
    return np.choose(kind, [loguniform(draw, 1.01, 10, n), loguniform(draw, 1.5, 1e4, n), close])


def orders(draw: np.random.Generator, n: int) -> np.ndarray:
    """Orders of Bessel functions: next to whole and half ones, small, and beyond Debye's edge."""
    kind = draw.integers(0, 5, n)
    whole = draw.integers(1, 8, n) + draw.choice([-1.0, 1.0], n) * loguniform(draw, 1e-12, 0.1, n)
    half = draw.integers(0, 6, n) + 0.5
    large = np.where(draw.random(n) < 0.5, draw.uniform(25, 35, n), loguniform(draw, 30, 300, n))
    return np.choose(
        kind, [whole, half, loguniform(draw, 1e-6, 1, n), draw.uniform(0, 12, n), large]
    )


def free() -> Rows:
    """Without resetting: inside, and outside where the mean is finite or not."""
    draw = np.random.default_rng(51)
    n = 5000
    D, a = loguniform(draw, 1e-12, 1e12, n), loguniform(draw, 1e-12, 1e12, n)
    d = np.where(draw.random(n) < 0.7, draw.integers(1, 30, n) / 2, loguniform(draw, 1e-6, 1e6, n))
    inward = draw.random(n) < 0.5
    ratio = apart(draw, n)
    origin = draw.random(n) < 0.15
    d = np.where(inward & (draw.random(n) < 0.9), -d, d)
    d = np.where(inward & origin, np.minimum(d, 1.9), d)
    far, near = a * ratio, np.where(origin, 0.0, a)
    return PLACE, np.column_stack([d, D, np.where(inward, far, near), np.where(inward, near, far)])


def arguments(draw: np.random.Generator, order: np.ndarray, n: int) -> np.ndarray:
    """Arguments k r of the outer radius: tiny, at the branches, and large."""
    kind = draw.integers(0, 3, n)
    branch = np.sqrt(np.maximum(order, 0.25)) * draw.uniform(0.5, 3, n)
    large = loguniform(draw, 1.0, 50.0, n) * np.sqrt(1 + order)
    return np.choose(kind, [loguniform(draw, 1e-7, 1, n), branch, large])


def inside() -> Rows:
    """From inside: any positive dimension."""
    draw = np.random.default_rng(52)
    n = 3000
    order = orders(draw, n)
    d = 2 * np.where(draw.random(n) < 0.1, loguniform(draw, 1e-3, 1, n), order)
    D, a = loguniform(draw, 1e-12, 1e12, n), loguniform(draw, 1e-12, 1e12, n)
    start = np.where(draw.random(n) < 0.15, 0.0, a / apart(draw, n))
    s = D * (arguments(draw, order, n) / a) ** 2
    return (*PLACE, "s"), np.column_stack([d, D, start, a, s])


def outside() -> Rows:
    """From outside to a positive radius: orders of both signs."""
    draw = np.random.default_rng(53)
    n = 1100
    order = orders(draw, n)
    order[:40] = np.arange(40) % 3  # two dimensions and their neighbours in steps of two
    d = 2 - 2 * draw.choice([-1.0, 1.0], n) * order
    D, a = loguniform(draw, 1e-12, 1e12, n), loguniform(draw, 1e-12, 1e12, n)
    s = D * (arguments(draw, order, n) / a) ** 2
    start = a * np.minimum(apart(draw, n), 1e3)
    s = np.where(
        (d == 2) | (order == np.rint(order)), D / start**2 * loguniform(draw, 0.01, 9, n), s
    )
    return (*PLACE, "s"), np.column_stack([d, D, start, a, s])


def origin() -> Rows:
    """From outside to the origin: dimension below 2."""
    draw = np.random.default_rng(54)
    n = 900
    order = orders(draw, n)
    d = 2 - 2 * order
    order = 1 - d / 2  # as float64 has it
    D, r = loguniform(draw, 1e-12, 1e12, n), loguniform(draw, 1e-12, 1e12, n)
    s = D * (arguments(draw, order, n) / r) ** 2
    return (*PLACE, "s"), np.column_stack([d, D, r, np.zeros(n), s])


def law() -> Rows:
    """Functions of a time, to the origin."""
    draw = np.random.default_rng(55)
    n = 800
    d = 2 - 2 * np.minimum(np.maximum(orders(draw, n), 1e-3), 60.0)
    D, r = loguniform(draw, 1e-12, 1e12, n), loguniform(draw, 1e-9, 1e9, n)
    t = r**2 / D / loguniform(draw, 1e-2, 300.0, n)
    return (*PLACE, "t"), np.column_stack([d, D, r, np.zeros(n), t])


POINTS: dict[str, Callable[[], Rows]] = {
    "free": free,
    "inside": inside,
    "outside": outside,
    "origin": origin,
    "law": law,
}
