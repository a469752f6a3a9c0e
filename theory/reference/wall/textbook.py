"""The formulas as the papers have them, in mpmath; nothing of the package is imported."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

from wall.cross_checks import cross_check
from wall.points import POINTS

__all__ = ["POINTS", "TABLES", "cross_check", "exact"]

Number = mp.mpf


# nu drift toward the wall, D, x from start to target, y from start to wall, then rate or s


def transform(nu: Number, D: Number, x: Number, y: Number, s: Number) -> Number:
    """E[exp(-sT)]."""
    if s == 0:
        return mp.mpf(1)
    L, g, k = x + y, nu / (2 * D), mp.sqrt(nu**2 + 4 * D * s) / (2 * D)

    def solution(z: Number) -> Number:
        return k * mp.cosh(k * z) - g * mp.sinh(k * z)

    whole = solution(L)
    if whole == 0:  # the digits do not reach: settled with more of them
        return mp.nan
    return mp.exp(-g * x) * solution(y) / whole


def log_transform(nu: Number, D: Number, x: Number, y: Number, s: Number) -> Number:
    """Its logarithm."""
    return mp.log(transform(nu, D, x, y, s))


def delay(nu: Number, D: Number, x: Number, y: Number, s: Number) -> Number:
    """-d log f/ds."""
    g, k = nu / (2 * D), mp.sqrt(nu**2 + 4 * D * s) / (2 * D)

    def part(z: Number) -> Number:
        c, h = mp.cosh(k * z), mp.sinh(k * z)
        whole = k * c - g * h
        return (c + k * z * h - g * z * c) / whole if whole else mp.nan

    return (part(x + y) - part(y)) / (2 * D * k)


def mean(nu: Number, D: Number, x: Number, y: Number) -> Number:
    """Integral of (exp(2 g z) - 1)/(2 g D) over y < z < x + y."""
    if nu == 0:
        return x * (x + 2 * y) / (2 * D)
    g = nu / (2 * D)
    return (mp.exp(2 * g * (x + y)) - mp.exp(2 * g * y) - 2 * g * x) / (4 * g**2 * D)


def log_mean(nu: Number, D: Number, x: Number, y: Number) -> Number:
    """Logarithm of the mean."""
    return mp.log(mean(nu, D, x, y))


def variance(nu: Number, D: Number, x: Number, y: Number) -> Number:
    """Integral of exp(2 g z) (sinh 2 g z - 2 g z)/(2 g³ D²) over y < z < x + y."""
    if nu == 0:
        return ((x + y) ** 4 - y**4) / (6 * D**2)
    g = nu / (2 * D)

    def part(w: Number) -> Number:
        return mp.exp(2 * w) / 4 - w / 2 - (w - 1) * mp.exp(w)

    return (part(2 * g * (x + y)) - part(2 * g * y)) / (4 * g**4 * D**2)


def poisson_mean(nu: Number, D: Number, x: Number, y: Number, r: Number) -> Number:
    """(1 - f)/(r f)."""
    if r == 0:
        return mean(nu, D, x, y)
    f = transform(nu, D, x, y, r)
    return (1 - f) / (r * f)


def poisson_log_mean(nu: Number, D: Number, x: Number, y: Number, r: Number) -> Number:
    """Its logarithm."""
    return mp.log(poisson_mean(nu, D, x, y, r))


def poisson_var(nu: Number, D: Number, x: Number, y: Number, r: Number) -> Number:
    """(1 - f² + 2 r f')/(r f)²."""
    if r == 0:
        return variance(nu, D, x, y)
    f = transform(nu, D, x, y, r)
    return (1 - f**2 - 2 * r * f * delay(nu, D, x, y, r)) / (r * f) ** 2


TABLES: dict[str, dict[str, Callable[..., Number]]] = {
    "free": {"mean": mean, "log_mean": log_mean, "var": variance},
    "poisson": {
        "log_laplace": log_transform,
        "laplace": transform,
        "poisson_mean": poisson_mean,
        "poisson_log_mean": poisson_log_mean,
        "poisson_var": poisson_var,
    },
}


def exact(row: tuple[float, ...]) -> tuple[Number, ...]:
    """(nu, D, x, y, rest) of (drift, diffusivity, start, target, wall, rest), without rounding."""
    with mp.workdps(700):
        drift, diffusivity, start, target, wall, *rest = (mp.mpf(x) for x in row)
        side = mp.sign(start - target)
        return (side * drift, diffusivity, abs(start - target), abs(wall - start), *rest)
