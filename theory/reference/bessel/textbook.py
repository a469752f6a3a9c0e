"""The formulas of the textbooks, in mpmath; nothing of the package is imported."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

from bessel.cross_checks import cross_check
from bessel.points import POINTS

__all__ = ["POINTS", "TABLES", "cross_check", "exact"]

Number = mp.mpf

# d, D, start, target, then s (or rate) or t


def besselk(nu: Number, x: Number) -> Number:
    """K_nu(x): both series, mpmath's own function for large x, an integral for whole orders."""
    nu = abs(nu)
    if x > 60:
        return mp.besselk(nu, x)
    if nu != mp.nint(nu):
        with mp.extradps(int(x) + 10):
            q = x * x / 4
            first = mp.gamma(nu) * (x / 2) ** -nu * mp.hyp0f1(1 - nu, q)
            return (first + mp.gamma(-nu) * (x / 2) ** nu * mp.hyp0f1(1 + nu, q)) / 2
    # the trapezoidal rule for exp(-x cosh t) cosh(nu t), error exp(-pi²/h)
    h = mp.pi**2 / ((mp.mp.dps + 10) * mp.log(10))
    total, t, tiny = mp.exp(-x) / 2, h, mp.mpf(10) ** -(mp.mp.dps + 10)
    while True:
        term = mp.exp(-x * mp.cosh(t)) * mp.cosh(nu * t)
        total, t = total + term, t + h
        if term < tiny * total and x * mp.sinh(t) > nu:
            return h * total


def log_transform(d: Number, D: Number, r: Number, a: Number, s: Number) -> Number:
    """log E[exp(-sT)]; at s = 0 of the probability to arrive."""
    nu = 1 - d / 2
    if s == 0:
        return 2 * nu * mp.log(r / a) if r > a and nu < 0 else mp.mpf(0)
    k = mp.sqrt(s / D)
    if r < a:
        return mp.log(mp.hyp0f1(d / 2, (k * r) ** 2 / 4) / mp.hyp0f1(d / 2, (k * a) ** 2 / 4))
    if a == 0:
        return mp.log(2 ** (1 - nu) / mp.gamma(nu) * (k * r) ** nu * besselk(nu, k * r))
    return mp.log((r / a) ** nu * besselk(nu, k * r) / besselk(nu, k * a))


def poisson_mean(d: Number, D: Number, r: Number, a: Number, rate: Number) -> Number:
    """(1/f - 1)/r."""
    return mean(d, D, r, a) if rate == 0 else mp.expm1(-log_transform(d, D, r, a, rate)) / rate


def mean(d: Number, D: Number, r: Number, a: Number) -> Number:
    """Mean without resetting."""
    if r > a and d >= 0:
        return mp.inf
    return (a**2 - r**2) / (2 * d * D)


def log_mean(d: Number, D: Number, r: Number, a: Number) -> Number:
    """Its logarithm."""
    value = mean(d, D, r, a)
    return value if mp.isinf(value) else mp.log(value)


def variance(d: Number, D: Number, r: Number, a: Number) -> Number:
    """Variance without resetting."""
    if r > a and d >= -2:
        return mp.inf
    return (a**4 - r**4) / (2 * d**2 * (d + 2) * D**2)


def deviation(d: Number, D: Number, r: Number, a: Number) -> Number:
    """Standard deviation without resetting."""
    return mp.sqrt(variance(d, D, r, a))


def survival(d: Number, D: Number, r: Number, a: Number, t: Number) -> Number:
    """P(T > t) to the origin."""
    return mp.gammainc(1 - d / 2, 0, r**2 / (4 * D * t), regularized=True)


def density(d: Number, D: Number, r: Number, a: Number, t: Number) -> Number:
    """Density of T to the origin."""
    nu, z = 1 - d / 2, r**2 / (4 * D * t)
    return z**nu * mp.exp(-z) / (t * mp.gamma(nu))


TABLES: dict[str, dict[str, Callable[..., Number]]] = {
    "free": {"mean": mean, "log_mean": log_mean, "std": deviation},
    "inside": {"log_laplace_inside": log_transform, "poisson_mean": poisson_mean},
    "outside": {"log_laplace_outside": log_transform},
    "origin": {"log_laplace_origin": log_transform},
    "law": {"survival": survival, "density": density},
}


def exact(row: tuple[float, ...]) -> tuple[Number, ...]:
    """The numbers themselves."""
    return tuple(mp.mpf(x) for x in row)
