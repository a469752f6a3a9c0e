"""Hyperbolic functions of a bounded stretch, scaled so that nothing overflows or cancels.

All are arranged as sums of positive terms: what would be a difference of nearly equal numbers is a
Gauss quadrature of its positive derivative. Real arguments are >= 0 unless said otherwise; the
functions that a transform needs also take complex ones with real part >= 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from resetsgd.domain import Array
from resetsgd.passage.arrangements import sinh_excess

__all__ = [
    "NODES",
    "WEIGHTS",
    "along_nodes",
    "average",
    "end_excess",
    "fall_moment",
    "log1p",
    "log_scaled",
    "log_sum",
    "masked",
    "mean_density",
    "mean_rest",
    "product_over",
    "ramp",
    "rise",
    "scale",
    "start_excess",
    "units",
    "var_density",
    "var_rest",
]

NODES, WEIGHTS = (
    np.asarray(a) * 0.5 + shift
    for a, shift in zip(special.roots_legendre(16), (0.5, 0.0), strict=True)
)
"""Gauss points and weights on (0, 1)."""

_FACTORIAL = special.factorial(np.arange(20))
_DROP = [
    ((9.0**n - 1) / 4 + 2 * n - 4 * n * (2 * n - 1)) / special.factorial(2 * n)
    for n in range(3, 25)
]


def units(length: Any, D: Any, drift: Any, s: Any) -> tuple[Any, Any]:
    """Exponents of two of a length and a time unit in which nothing leaves float64.

    The time is L²/D, or less where drift or s are so large that they would not fit. Scaling by
    powers of two is exact.
    """
    size = np.maximum(np.abs(np.real(s)), np.abs(np.imag(s)))
    of_length, of_D, of_drift, of_s = (
        np.frexp(part)[1].astype(np.int64) for part in (length, D, np.abs(drift), size)
    )
    of_length = of_length - 1  # lengths in [1, 2): a tiny distance is not made smaller
    time = 2 * of_length - of_D
    time = np.where(drift != 0, np.minimum(time, of_length - of_drift + 300), time)
    return of_length, np.where(size != 0, np.minimum(time, 900 - of_s), time)


def scale(x: Any, power: Any) -> Any:
    """x times a power of two, for real or complex x."""
    power = np.clip(power, -5000, 5000).astype(np.int32)
    if np.iscomplexobj(x):
        return np.ldexp(np.real(x), power) + 1j * np.ldexp(np.imag(x), power)
    return np.ldexp(np.asarray(x, dtype=np.float64), power)


def log_scaled(x: Any, power: Any) -> Any:
    """log(x 2^power) for x > 0, from the product where that is in range."""
    value = scale(x, power)
    usable = (value > 1e-290) & (value < 1e300)
    apart = np.log(x) + power * np.log(2.0)
    return np.where(usable, np.log(np.where(usable, value, 1.0)), apart)


def along_nodes(array: Any) -> Any:
    """Gauss points along a new first axis, to broadcast against an array."""
    return NODES.reshape(-1, *(1,) * np.ndim(array))


def average(function: Callable[[Any], Any], like: Any) -> Any:
    """Integral of a function over (0, 1) for each element of an array it broadcasts against."""
    return np.tensordot(WEIGHTS, function(along_nodes(like)), axes=1)


def masked(mask: Any, near: Callable[..., Any], far: Callable[..., Any], *arrays: Any) -> Array:
    """One function of the arrays where the mask holds, another elsewhere, each only there."""
    mask, *parts = np.broadcast_arrays(mask, *arrays)
    value = np.empty(mask.shape)
    for place, function in ((mask, near), (~mask, far)):
        if place.any():
            value[place] = function(*(part[place] for part in parts))
    return value


def product_over(x: Any, y: Any, divisor: Any) -> Any:
    """x y / divisor without leaving float64 before the result does."""
    ratio = y / divisor
    size = np.abs(ratio)
    safe = (size < 1e300) & ((size > 1e-290) | (y == 0))
    split = (x / np.sqrt(divisor)) * (y / np.sqrt(divisor))
    return np.where(safe, x * np.where(safe, ratio, 1.0), split)


def log1p(z: Any) -> Any:
    """log(1 + z), with the digits of the real part also for small complex z."""
    if not np.iscomplexobj(z):
        return np.log1p(z)
    x, y = np.real(z), np.imag(z)
    real = 0.5 * np.log1p(2.0 * x + x * x + y * y)
    return real + 1j * np.arctan2(y, 1.0 + x)


def log_sum(a: Any, b: Any) -> Any:
    """log(exp(a) + exp(b)) for real or complex a, b."""
    swap = np.real(a) < np.real(b)
    high, low = np.where(swap, b, a), np.where(swap, a, b)
    gap = np.where(np.isneginf(np.real(low)), -np.inf, low - high)
    return high + log1p(np.exp(gap))


def ramp(y: Any) -> Any:
    """(1 - exp(-y))/y, which is 1 at 0."""
    safe = np.where(y == 0, 1.0, y)
    return np.where(y == 0, 1.0, -np.expm1(-safe) / safe)


def rise(p: Any, q: Any) -> Any:
    """[ramp(p) - exp(-p) ramp(q)]/(p + q): integral of (1-u) exp(-p u) ramp((p+q)(1-u)).

    With p = (k + g) x and q = (k - g) x it is exp(-k x)/(k x²) times the integral of
    exp(-g z) sinh(k (x - z)) over (0, x).
    """
    p, q = np.broadcast_arrays(p, q)
    both = p + q
    near = np.abs(both) < 2.0
    value = (ramp(p) - np.exp(-p) * ramp(q)) / np.where(near, 1.0, both)
    if near.any():
        start, width = p[near], both[near]
        value = np.asarray(value)
        value[near] = average(
            lambda u: (1.0 - u) * np.exp(-start * u) * ramp(width * (1.0 - u)), start
        )
    return value


def end_excess(q: Any) -> Any:
    """(exp(-q) - 1 + q)/q², which is 1/2 at 0."""
    small = q < 0.5
    near = np.where(small, q, 0.0)
    series = np.zeros_like(near)
    for k in range(15, 1, -1):
        series = series * -near + 1.0 / _FACTORIAL[k]
    far = np.where(small, 1.0, q)
    return np.where(small, series, (np.expm1(-far) / far + 1.0) / far)


def start_excess(p: Any) -> Any:
    """(1 - exp(-p) - p exp(-p))/p², which is 1/2 at 0."""
    small = p < 1.0
    near = np.where(small, p, 0.0)
    series = np.zeros_like(near)
    for k in range(18, 1, -1):
        series = series * near + 1.0 / _FACTORIAL[k]
    far = np.where(small, 1.0, np.minimum(p, 1e300))
    wide = (-np.expm1(-far) / far - np.exp(-far)) / far
    return np.where(small, np.exp(-near) * series, wide)


def fall_moment(z: Any) -> Any:
    """exp(-z) (sinh z - z)/z³, which is 1/6 at 0."""
    small = z < 1.5
    near = np.where(small & (z > 0), z, 1.0)
    close = np.exp(-near) * sinh_excess(near) / near**3
    far = np.where(small, 1.5, np.minimum(z, 1e300))
    wide = (-np.expm1(-2.0 * far) - 2.0 * far * np.exp(-far)) / 2.0 / far / far / far
    return np.where(small, np.where(z > 1e-9, close, (1.0 - z) / 6.0), wide)


def mean_density(x: Any) -> Any:
    """(coth x - x/sinh² x)/x, the derivative of x coth x over x; 2/3 at 0."""
    near = np.minimum(2.0 * x, 100.0)
    return np.where(x > 50.0, 1.0 / np.maximum(x, 1.0), 4.0 * fall_moment(near) / ramp(near) ** 2)


def mean_rest(x: Any) -> Array:
    """x coth x - x = 2x/(exp(2x) - 1), falling from 1 to 0."""
    y = np.minimum(2.0 * x, 800.0)
    return np.where(y == 0, 1.0, y / np.expm1(np.where(y == 0, 1.0, y)))


def var_density(x: Any) -> Any:
    """Derivative of x coth x + x²/sinh² x, over x³; 8/45 at 0."""
    small = x < 2.5
    near = np.where(small, x, 1.0)
    square = near * near
    series = np.zeros_like(near)
    for coefficient in reversed(_DROP):
        series = series * square + coefficient
    sinhc = ramp(2.0 * near) * np.exp(near)
    far = np.where(small, 3.0, x)
    e = np.exp(-2.0 * far)
    top = (1.0 + e) * (1.0 - e) ** 2 + 4.0 * far * e * (1.0 - e - 2.0 * far * (1.0 + e))
    return np.where(small, series / sinhc**3, top / (1.0 - e) ** 3 / far / far / far)


def var_rest(x: Any) -> Array:
    """x coth x + x²/sinh² x - x, falling from 2 to 0."""
    y = np.minimum(x, 300.0)
    sinhc = np.where(y == 0, 1.0, np.sinh(y) / np.where(y == 0, 1.0, y))
    return mean_rest(x) + 1.0 / sinhc**2
