"""The formulas as the papers have them, in mpmath; nothing of the package is imported."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

from interval.cross_checks import cross_check
from interval.points import POINTS

__all__ = ["POINTS", "TABLES", "cross_check", "exact"]

Number = mp.mpf


# mu (positive: up), D, l and h the distances to the lower and the upper end, then rate or s


def sides(mu: Number, D: Number, l: Number, h: Number, s: Number) -> tuple[Number, Number]:
    """E[exp(-sT); lower] and E[exp(-sT); upper]."""
    L, g, k = l + h, mu / (2 * D), mp.sqrt(mu**2 + 4 * D * s) / (2 * D)
    if k == 0:
        return h / L, l / L
    whole = mp.sinh(k * L)
    return mp.exp(-g * l) * mp.sinh(k * h) / whole, mp.exp(g * h) * mp.sinh(k * l) / whole


def slopes(mu: Number, D: Number, l: Number, h: Number, s: Number) -> tuple[Number, Number]:
    """-d log/ds of both: L coth kL - h coth kh and L coth kL - l coth kl, over 2 D k."""
    L, k = l + h, mp.sqrt(mu**2 + 4 * D * s) / (2 * D)
    if k == 0:
        return (L**2 - h**2) / (6 * D), (L**2 - l**2) / (6 * D)
    whole = L * mp.coth(k * L)
    return tuple((whole - x * mp.coth(k * x)) / (2 * D * k) for x in (h, l))


def lower(mu: Number, D: Number, l: Number, h: Number) -> Number:
    """Probability to leave at the lower end."""
    return sides(mu, D, l, h, mp.mpf(0))[0]


def upper(mu: Number, D: Number, l: Number, h: Number) -> Number:
    """Probability to leave at the upper end."""
    return sides(mu, D, l, h, mp.mpf(0))[1]


def mean(mu: Number, D: Number, l: Number, h: Number) -> Number:
    """Mean: by Wald's identity (h P_upper - l P_lower)/mu."""
    if mu == 0:
        return l * h / (2 * D)
    down, up = sides(mu, D, l, h, mp.mpf(0))
    return (h * up - l * down) / mu


def log_mean(mu: Number, D: Number, l: Number, h: Number) -> Number:
    """Logarithm of the mean."""
    return mp.log(mean(mu, D, l, h))


def spreads(mu: Number, D: Number, l: Number, h: Number) -> tuple[Number, Number]:
    """Variances of the exit time given the end."""
    L, g = l + h, mu / (2 * D)
    if mu == 0:
        return tuple((L**4 - x**4) / (90 * D**2) for x in (h, l))

    def part(x: Number) -> Number:
        return g * x * mp.coth(g * x) + (g * x / mp.sinh(g * x)) ** 2

    return tuple((part(L) - part(x)) / (4 * D**2 * g**4) for x in (h, l))


def variance(mu: Number, D: Number, l: Number, h: Number) -> Number:
    """Second moment less the square of the mean."""
    chances, times = sides(mu, D, l, h, mp.mpf(0)), slopes(mu, D, l, h, mp.mpf(0))
    parts = zip(chances, times, spreads(mu, D, l, h), strict=True)
    return mp.fsum(p * (v + t**2) for p, t, v in parts) - mean(mu, D, l, h) ** 2


def lower_mean(mu: Number, D: Number, l: Number, h: Number) -> Number:
    """Mean given that it leaves at the lower end."""
    return slopes(mu, D, l, h, mp.mpf(0))[0]


def lower_var(mu: Number, D: Number, l: Number, h: Number) -> Number:
    """Variance given that it leaves at the lower end."""
    return spreads(mu, D, l, h)[0]


def laplace(mu: Number, D: Number, l: Number, h: Number, s: Number) -> Number:
    """E[exp(-sT)]."""
    return mp.fsum(sides(mu, D, l, h, s)) if s else mp.mpf(1)


def log_laplace(mu: Number, D: Number, l: Number, h: Number, s: Number) -> Number:
    """Its logarithm."""
    return mp.log(laplace(mu, D, l, h, s))


def poisson_mean(mu: Number, D: Number, l: Number, h: Number, r: Number) -> Number:
    """(1 - f)/(r f)."""
    if r == 0:
        return mean(mu, D, l, h)
    f = laplace(mu, D, l, h, r)
    return (1 - f) / (r * f)


def poisson_log_mean(mu: Number, D: Number, l: Number, h: Number, r: Number) -> Number:
    """Its logarithm."""
    return mp.log(poisson_mean(mu, D, l, h, r))


def poisson_var(mu: Number, D: Number, l: Number, h: Number, r: Number) -> Number:
    """(1 - f² + 2 r f')/(r f)²."""
    if r == 0:
        return variance(mu, D, l, h)
    both = zip(sides(mu, D, l, h, r), slopes(mu, D, l, h, r), strict=True)
    f, slope = mp.mpf(0), mp.mpf(0)
    for value, delay in both:
        f, slope = f + value, slope - value * delay
    return (1 - f**2 + 2 * r * slope) / (r * f) ** 2


TABLES: dict[str, dict[str, Callable[..., Number]]] = {
    "free": {
        "lower": lower,
        "upper": upper,
        "mean": mean,
        "log_mean": log_mean,
        "var": variance,
        "lower_mean": lower_mean,
        "lower_var": lower_var,
    },
    "poisson": {
        "log_laplace": log_laplace,
        "laplace": laplace,
        "poisson_mean": poisson_mean,
        "poisson_log_mean": poisson_log_mean,
        "poisson_var": poisson_var,
    },
}


def exact(row: tuple[float, ...]) -> tuple[Number, ...]:
    """(mu, D, l, h, rest) of (drift, diffusivity, low, start, high, rest), without rounding."""
    with mp.workdps(700):
        drift, diffusivity, low, start, high, *rest = (mp.mpf(x) for x in row)
        return (drift, diffusivity, start - low, high - start, *rest)
