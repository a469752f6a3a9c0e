"""The formulas as the papers have them, in mpmath; nothing of the package is imported."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

from interval.cross_checks import cross_check
from interval.points import POINTS

__all__ = ["POINTS", "TABLES", "cross_check", "exact"]

Number = mp.mpf


# mu (positive: up), D, below and above the distances to the lower and the upper end, then rate or s


def sides(mu: Number, D: Number, below: Number, above: Number, s: Number) -> tuple[Number, Number]:
    """E[exp(-sT); lower] and E[exp(-sT); upper]."""
    L, g, k = below + above, mu / (2 * D), mp.sqrt(mu**2 + 4 * D * s) / (2 * D)
    if k == 0:
        return above / L, below / L
    whole = mp.sinh(k * L)
    return mp.exp(-g * below) * mp.sinh(k * above) / whole, mp.exp(g * above) * mp.sinh(
        k * below
    ) / whole


def slopes(mu: Number, D: Number, below: Number, above: Number, s: Number) -> tuple[Number, Number]:
    """-d log/ds of both: L coth kL - above coth kh and L coth kL - below coth kl, over 2 D k."""
    L, k = below + above, mp.sqrt(mu**2 + 4 * D * s) / (2 * D)
    if k == 0:
        return (L**2 - above**2) / (6 * D), (L**2 - below**2) / (6 * D)
    whole = L * mp.coth(k * L)
    return tuple((whole - x * mp.coth(k * x)) / (2 * D * k) for x in (above, below))


def lower(mu: Number, D: Number, below: Number, above: Number) -> Number:
    """Probability to leave at the lower end."""
    return sides(mu, D, below, above, mp.mpf(0))[0]


def upper(mu: Number, D: Number, below: Number, above: Number) -> Number:
    """Probability to leave at the upper end."""
    return sides(mu, D, below, above, mp.mpf(0))[1]


def mean(mu: Number, D: Number, below: Number, above: Number) -> Number:
    """Mean: by Wald's identity (above P_upper - below P_lower)/mu."""
    if mu == 0:
        return below * above / (2 * D)
    down, up = sides(mu, D, below, above, mp.mpf(0))
    return (above * up - below * down) / mu


def log_mean(mu: Number, D: Number, below: Number, above: Number) -> Number:
    """Logarithm of the mean."""
    return mp.log(mean(mu, D, below, above))


def spreads(mu: Number, D: Number, below: Number, above: Number) -> tuple[Number, Number]:
    """Variances of the exit time given the end."""
    L, g = below + above, mu / (2 * D)
    if mu == 0:
        return tuple((L**4 - x**4) / (90 * D**2) for x in (above, below))

    def part(x: Number) -> Number:
        return g * x * mp.coth(g * x) + (g * x / mp.sinh(g * x)) ** 2

    return tuple((part(L) - part(x)) / (4 * D**2 * g**4) for x in (above, below))


def variance(mu: Number, D: Number, below: Number, above: Number) -> Number:
    """Second moment less the square of the mean."""
    chances, times = sides(mu, D, below, above, mp.mpf(0)), slopes(mu, D, below, above, mp.mpf(0))
    parts = zip(chances, times, spreads(mu, D, below, above), strict=True)
    return mp.fsum(p * (v + t**2) for p, t, v in parts) - mean(mu, D, below, above) ** 2


def lower_mean(mu: Number, D: Number, below: Number, above: Number) -> Number:
    """Mean given that it leaves at the lower end."""
    return slopes(mu, D, below, above, mp.mpf(0))[0]


def lower_var(mu: Number, D: Number, below: Number, above: Number) -> Number:
    """Variance given that it leaves at the lower end."""
    return spreads(mu, D, below, above)[0]


def laplace(mu: Number, D: Number, below: Number, above: Number, s: Number) -> Number:
    """E[exp(-sT)]."""
    return mp.fsum(sides(mu, D, below, above, s)) if s else mp.mpf(1)


def log_laplace(mu: Number, D: Number, below: Number, above: Number, s: Number) -> Number:
    """Its logarithm."""
    return mp.log(laplace(mu, D, below, above, s))


def poisson_mean(mu: Number, D: Number, below: Number, above: Number, r: Number) -> Number:
    """(1 - f)/(r f)."""
    if r == 0:
        return mean(mu, D, below, above)
    f = laplace(mu, D, below, above, r)
    return (1 - f) / (r * f)


def poisson_log_mean(mu: Number, D: Number, below: Number, above: Number, r: Number) -> Number:
    """Its logarithm."""
    return mp.log(poisson_mean(mu, D, below, above, r))


def poisson_var(mu: Number, D: Number, below: Number, above: Number, r: Number) -> Number:
    """(1 - f² + 2 r f')/(r f)²."""
    if r == 0:
        return variance(mu, D, below, above)
    both = zip(sides(mu, D, below, above, r), slopes(mu, D, below, above, r), strict=True)
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
    """(mu, D, below, above, rest) of a row, without rounding."""
    with mp.workdps(700):
        drift, diffusivity, low, start, high, *rest = (mp.mpf(x) for x in row)
        return (drift, diffusivity, start - low, high - start, *rest)
