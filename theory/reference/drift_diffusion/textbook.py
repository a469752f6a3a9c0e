"""The formulas as the papers have them, in mpmath; nothing of the package is imported."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

from drift_diffusion.cross_checks import cross_check
from drift_diffusion.points import POINTS

__all__ = ["POINTS", "TABLES", "cross_check", "exact"]

Number = mp.mpf


# v toward the target, D, L, then rate, s or t


def transform(v: Number, D: Number, L: Number, s: Number) -> Number:
    """E[exp(-sT)]; at s = 0 the probability to arrive."""
    if s == 0:
        return mp.exp(v * L / D) if v < 0 else mp.mpf(1)
    return mp.exp(-L * (mp.sqrt(v**2 + 4 * D * s) - v) / (2 * D))


def log_transform(v: Number, D: Number, L: Number, s: Number) -> Number:
    """Its logarithm."""
    if s == 0:
        return v * L / D if v < 0 else mp.mpf(0)
    return -L * (mp.sqrt(v**2 + 4 * D * s) - v) / (2 * D)


def mean(v: Number, D: Number, L: Number) -> Number:
    """Mean without resetting."""
    return L / v if v > 0 else mp.inf


def variance(v: Number, D: Number, L: Number) -> Number:
    """Variance without resetting."""
    return 2 * D * L / v**3 if v > 0 else mp.inf


def deviation(v: Number, D: Number, L: Number) -> Number:
    """Standard deviation without resetting."""
    return mp.sqrt(variance(v, D, L))


def cv(v: Number, D: Number, L: Number) -> Number:
    """Coefficient of variation without resetting."""
    return mp.sqrt(2 * D / (v * L)) if v > 0 else mp.inf


def log_mean(v: Number, D: Number, L: Number) -> Number:
    """Logarithm of the mean without resetting."""
    return mp.log(L / v) if v > 0 else mp.inf


def peclet(v: Number, D: Number, L: Number) -> Number:
    """Péclet number."""
    return v * L / (2 * D)


def poisson_mean(v: Number, D: Number, L: Number, r: Number) -> Number:
    """(1 - f)/(r f)."""
    if r == 0:
        return mean(v, D, L)
    f = transform(v, D, L, r)
    return (1 - f) / (r * f)


def poisson_log_mean(v: Number, D: Number, L: Number, r: Number) -> Number:
    """Its logarithm."""
    return mp.log(poisson_mean(v, D, L, r))


def poisson_var(v: Number, D: Number, L: Number, r: Number) -> Number:
    """(1 - f² + 2 r f')/(r f)², f' = -L f / sqrt(v² + 4 D r)."""
    if r == 0:
        return variance(v, D, L)
    f = transform(v, D, L, r)
    slope = -L / mp.sqrt(v**2 + 4 * D * r) * f
    return (1 - f**2 + 2 * r * slope) / (r * f) ** 2


def poisson_log_laplace(v: Number, D: Number, L: Number, r: Number, s: Number) -> Number:
    """log of (r + s) f(r + s)/(s + r f(r + s))."""
    f = transform(v, D, L, r + s)
    return mp.log((r + s) * f / (s + r * f))


def optimal_rate(v: Number, D: Number, L: Number) -> Number:
    """Root of z (z + 2 Pe)/(2 (z + Pe)) = 1 - exp(-z) by bisection and Newton, as a rate."""
    pe = v * L / (2 * D)
    if pe >= 1:
        return mp.mpf(0)

    def excess(z: Number) -> Number:
        return 2 * (z + pe) * (1 - mp.exp(-z)) - z * (z + 2 * pe)

    low, high = 1 - pe, 1 - pe + mp.sqrt(1 + pe**2)
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    z = high
    for _ in range(200):
        step = excess(z) / (2 * (1 - mp.exp(-z)) * (1 - pe - z))
        z -= step
        if abs(step) < abs(z) * mp.mpf(10) ** (-mp.mp.dps * 0.7):
            break
    return z * (z + 2 * pe) * D / L**2


def survival(v: Number, D: Number, L: Number, t: Number) -> Number:
    """P(T > t)."""
    width = mp.sqrt(4 * D * t)
    return (mp.erfc((v * t - L) / width) - mp.exp(v * L / D) * mp.erfc((v * t + L) / width)) / 2


def density(v: Number, D: Number, L: Number, t: Number) -> Number:
    """Inverse-Gaussian density."""
    return L / mp.sqrt(4 * mp.pi * D * t**3) * mp.exp(-((L - v * t) ** 2) / (4 * D * t))


def restricted_mean(v: Number, D: Number, L: Number, t: Number) -> Number:
    """E[min(T, t)]."""
    if v == 0:
        a = L / mp.sqrt(4 * D * t)
        tail = mp.exp(-(a**2)) / (a * mp.sqrt(mp.pi)) - mp.erfc(a)
        return t * mp.erf(a) + L**2 / (2 * D) * tail
    width = mp.sqrt(4 * D * t)
    arrived = mp.erfc((L - v * t) / width) - mp.exp(v * L / D) * mp.erfc((L + v * t) / width)
    return t * survival(v, D, L, t) + L / v * arrived / 2


TABLES: dict[str, dict[str, Callable[..., Number]]] = {
    "free": {
        "peclet": peclet,
        "mean": mean,
        "log_mean": log_mean,
        "var": variance,
        "std": deviation,
        "cv": cv,
    },
    "poisson": {
        "log_laplace": log_transform,
        "laplace": transform,
        "poisson_mean": poisson_mean,
        "poisson_log_mean": poisson_log_mean,
        "poisson_var": poisson_var,
    },
    "restarted": {"poisson_log_laplace": poisson_log_laplace},
    "optimum": {"optimal_rate": optimal_rate},
    "law": {"survival": survival, "density": density, "restricted_mean": restricted_mean},
}


def exact(row: tuple[float, ...]) -> tuple[Number, ...]:
    """(v, D, L, rest) of (drift, diffusivity, start, target, rest), without rounding."""
    with mp.workdps(700):
        drift, diffusivity, start, target, *rest = (mp.mpf(x) for x in row)
        gap = start - target
        return (-mp.sign(gap) * drift, diffusivity, abs(gap), *rest)
