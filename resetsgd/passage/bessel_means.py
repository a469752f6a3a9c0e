"""Means of a Bessel process under resets at a constant rate, not by way of its transform."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from resetsgd.passage.elementary import ordinary

__all__ = ["level_outside", "log_mean_inside", "mean_inside", "mean_outside", "steep"]

_STEPS = np.arange(1.0, 1025.0)


def steep(half: Any, z: Any, scaled: Any, full: Any, curl: Any) -> Any:
    """z I_h(z)/I_(h-1)(z), by its expansion beyond z."""
    value = z * special.ive(half, z) / scaled
    return np.where(full > z, full - (half - 0.5) + curl / full, value)


def mean_inside(half: Any, D: Any, r: Any, a: Any, rate: Any) -> Any:
    """Mean under exponential waiting times from inside, or NaN where k a is above 40.

    (a² - r²)/4D times the divided difference of 0F1(h; q) between q = k² a²/4 and k² r²/4, over its
    value at the latter: sums of positive terms, term by term from the last.
    """
    k = rate / D
    inner, outer = 0.25 * r * (k * r), 0.25 * a * (k * a)
    usual = outer.real < 400.0
    ordinary(usual)
    most = outer if type(outer) is float else np.max(outer.real, where=usual, initial=0.0)
    value, slope = 0.0 * outer + 1.0, 0.0 * outer
    for j in range(int(3.0 * math.sqrt(most)) + 24, 0, -1):
        weight = 1.0 / ((half + (j - 1)) * j)
        slope = weight * (outer * slope + value)
        value = 1.0 + weight * inner * value
    mean = 0.25 * (a - r) * ((a + r) / D) * (slope / value)
    # where the distance leaves float64 the transform knows better
    usual = usual & (mean.real > 1e-290) & (mean.real < 1e290)
    return mean if ordinary(usual) else np.where(usual, mean, np.nan)


def log_mean_inside(*parts: Any) -> Any:
    """Its logarithm, for complex rates."""
    return np.log(mean_inside(*parts))


def mean_outside(nu: float, D: float, gap: float, a: float, log_ratio: float, rate: float) -> float:
    """Mean under exponential waiting times from outside, or NaN where the level is not known."""
    level = level_outside(nu, D, gap, a, log_ratio, rate)
    return math.expm1(level) / rate if 0.5 < level < 600.0 else math.nan


def level_outside(
    nu: float, D: float, gap: float, a: float, log_ratio: float, rate: float
) -> float:
    """-log f of f = (r0/a)^nu K(k r0)/K(k a), for one number, or NaN where the K's are extreme.

    Accurate where f is not next to 1.
    """
    order = abs(nu)
    if not (rate > 0.0 and a > 0.0 and order < 30.0):
        return math.nan
    k = math.sqrt(rate / D)
    low, high = k * a, k * (a + gap)
    if not 1e-2 < low < high < 1e4 or high > 100.0 * low:
        return math.nan
    return k * gap - nu * log_ratio - math.log(_ratio_of_scaled(order, high, low))


def _ratio_of_scaled(order: float, high: float, low: float) -> float:
    """exp(high) K(high) over exp(low) K(low) for 1e-2 < low < high < 1e4 and orders below 30.

    Trapezoidal rules of positive terms for the integrals of exp(-2 x sinh²(t/2)) cosh(order t).
    """
    h = min(0.2, 0.6 / math.sqrt(math.hypot(high, order)))
    end = 0.0
    for _ in range(3):  # where the integrand has fallen by exp(-45)
        end = 2.0 * math.asinh(math.sqrt((45.0 + order * end) / (2.0 * low)))
    t = h * _STEPS[: int(end / h) + 2]
    rise = np.sinh(0.5 * t)
    rise *= rise
    t *= order
    both = np.exp(t)
    both += 1.0 / both
    return float(
        (1.0 + np.exp(-2.0 * high * rise) @ both) / (1.0 + np.exp(-2.0 * low * rise) @ both)
    )
