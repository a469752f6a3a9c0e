"""The formulas as derived by hand, in mpmath; nothing of the package is imported."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

from linear_trap.cross_checks import cross_check
from linear_trap.points import POINTS

__all__ = ["POINTS", "TABLES", "cross_check", "exact"]

Number = mp.mpf

# slope, D, start, target (the kink is at 0, the target above it and above the start), then rate


def u(slope: Number, D: Number, x: Number, s: Number) -> Number:
    """Solution of the backward equation that is bounded from below and 1 at the kink."""
    root = mp.sqrt(slope**2 + 4 * D * s)
    up, down = (root + slope) / (2 * D), (root - slope) / (2 * D)
    if x < 0:
        return mp.exp(down * x)
    return ((root - slope) * mp.exp(up * x) + slope * mp.exp(-down * x)) / root


def log_transform(slope: Number, D: Number, start: Number, target: Number, s: Number) -> Number:
    """log E[exp(-sT)]; at s = 0 of the probability to arrive."""
    if s == 0 and slope >= 0:
        return mp.mpf(0)
    return mp.log(u(slope, D, start, s) / u(slope, D, target, s))


def poisson_mean(slope: Number, D: Number, start: Number, target: Number, r: Number) -> Number:
    """(1 - f)/(r f)."""
    if r == 0:
        return mean(slope, D, start, target)
    return (u(slope, D, target, r) / u(slope, D, start, r) - 1) / r


def mean(slope: Number, D: Number, start: Number, target: Number) -> Number:
    """Mean without resetting."""
    if slope <= 0:
        return mp.inf

    def climb(x: Number) -> Number:
        return 2 * D / slope**2 * (mp.exp(slope * x / D) - 1) - x / slope

    if start < 0:
        return climb(target) - start / slope
    return climb(target) - climb(start)


def log_mean(slope: Number, D: Number, start: Number, target: Number) -> Number:
    """Its logarithm."""
    value = mean(slope, D, start, target)
    return value if mp.isinf(value) else mp.log(value)


def variance(slope: Number, D: Number, start: Number, target: Number) -> Number:
    """Variance without resetting."""
    if slope <= 0:
        return mp.inf

    def climb(x: Number) -> Number:
        y = slope * x / D
        e = mp.exp(y)
        return (D / slope**2) ** 2 * (4 * e**2 - 8 * y * e + 4 * e - 2 * y - 8)

    if start < 0:
        return climb(target) - 2 * D * start / slope**3
    return climb(target) - climb(start)


TABLES: dict[str, dict[str, Callable[..., Number]]] = {
    "free": {"mean": mean, "log_mean": log_mean, "var": variance},
    "poisson": {"log_laplace": log_transform, "poisson_mean": poisson_mean},
}


def exact(row: tuple[float, ...]) -> tuple[Number, ...]:
    """(slope, D, start, target, rest) as the target sees them, from below, without rounding."""
    slope, D, start, target, *rest = (mp.mpf(x) for x in row)
    return (slope, D, mp.sign(target) * start, abs(target), *rest)
