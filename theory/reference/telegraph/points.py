"""Where the closed forms are tabulated: log-uniform points over twenty-four decades.

Every point is a row of float64 inputs as the library sees them: heading, speed, flip rate, start,
then the target and a rate, or the two ends of an interval and perhaps a rate.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["POINTS"]

Rows = tuple[tuple[str, ...], np.ndarray]


def loguniform(draw: np.random.Generator, low: float, high: float, n: int) -> np.ndarray:
    """Log-uniform numbers."""
    return np.exp(draw.uniform(np.log(low), np.log(high), n))


def walk(draw: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    """Heading, speed, flips per length, length: runs much longer and much shorter than it."""
    L, v = loguniform(draw, 1e-12, 1e12, n), loguniform(draw, 1e-12, 1e12, n)
    flips = np.where(
        draw.random(n) < 0.5, loguniform(draw, 1e-2, 1e2, n), loguniform(draw, 1e-8, 1e8, n)
    )
    return draw.choice([-1.0, 0.0, 1.0], n), v, flips * v / L, L


def rates(draw: np.random.Generator, v: np.ndarray, g: np.ndarray, L: np.ndarray) -> np.ndarray:
    """Rates in units of ballistic and of diffusive times, over thirty decades; some 0."""
    n = len(L)
    diffusive = np.minimum(v / L, v * v / (2 * g * L * L))
    unit = np.where(draw.random(n) < 0.5, v / L, diffusive)
    rate = unit * np.where(
        draw.random(n) < 0.6, loguniform(draw, 1e-4, 3e2, n), loguniform(draw, 1e-26, 1.0, n)
    )
    return np.where(draw.random(n) < 0.02, 0.0, rate)


def half_line() -> Rows:
    """To a point above or below the start."""
    draw = np.random.default_rng(71)
    n = 5000
    heading, v, g, L = walk(draw, n)
    rate = rates(draw, v, g, L)
    side = draw.choice([-1.0, 1.0], n)
    target = np.where(draw.random(n) < 0.75, 0.0, L * draw.normal(size=n))
    names = ("heading", "speed", "flip_rate", "start", "target", "rate")
    return names, np.column_stack([heading, v, g, target + side * L, target, rate])


def ends(draw: np.random.Generator, L: np.ndarray) -> tuple[np.ndarray, ...]:
    """Start, low and high of an interval of length about L, starts up to 1e-12 L from an end."""
    n = len(L)
    uniform = draw.random(n) < 0.5
    share = np.where(uniform, draw.uniform(0.01, 0.99, n), loguniform(draw, 1e-12, 0.1, n))
    down = draw.random(n) < 0.5
    below, above = np.where(down, share, 1 - share) * L, np.where(down, 1 - share, share) * L
    start = np.where(draw.random(n) < 0.75, 0.0, np.minimum(below, above) * draw.normal(size=n))
    return start, start - below, start + above


def leave() -> Rows:
    """Out of an interval, without resetting."""
    draw = np.random.default_rng(72)
    heading, v, g, L = walk(draw, 3000)
    names = ("heading", "speed", "flip_rate", "start", "low", "high")
    # a column of zeros tells these rows from those of the half line
    rows = np.column_stack([heading, v, g, *ends(draw, L), np.zeros(len(L))])
    return (*names, "none"), rows


def poisson() -> Rows:
    """Out of an interval, at a rate."""
    draw = np.random.default_rng(73)
    heading, v, g, L = walk(draw, 3500)
    rate = rates(draw, v, g, L)
    rows = np.column_stack([heading, v, g, *ends(draw, L), rate])
    return ("heading", "speed", "flip_rate", "start", "low", "high", "rate"), rows


POINTS: dict[str, Callable[[], Rows]] = {"half_line": half_line, "exit": leave, "poisson": poisson}
