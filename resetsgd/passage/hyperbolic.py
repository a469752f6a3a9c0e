"""Hyperbolic functions of a bounded stretch, scaled so that nothing overflows or cancels.

All are arranged as sums of positive terms: what would be a difference of nearly equal numbers is a
Gauss quadrature of its positive derivative. Real arguments are >= 0 unless said otherwise; the
functions that a transform needs also take complex ones with real part >= 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from resetsgd.domain import Array
from resetsgd.passage.arrangements import horner, sinh_excess
from resetsgd.passage.elementary import everywhere, exp, expm1, ordinary, pick

__all__ = [
    "NODES",
    "WEIGHTS",
    "along_nodes",
    "average",
    "cosh",
    "end_excess",
    "fall_moment",
    "log_scaled",
    "mean_density",
    "mean_rest",
    "product_over",
    "ramp",
    "rise",
    "rise_even",
    "scale",
    "sinhc",
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
_END_SERIES = [float((-1.0) ** k / _FACTORIAL[k]) for k in range(15, 1, -1)]
_START_SERIES = [float(1.0 / _FACTORIAL[k]) for k in range(18, 1, -1)]
_RISE_SERIES = [float(1.0 / special.factorial(k)) for k in range(20, 1, -1)]
_RAMP_FALL = [k * (-1.0) ** (k + 1) / math.factorial(k + 1) for k in range(1, 13)]
_SINHC = [1.0 / math.factorial(2 * k + 1) for k in range(10)]
_COSH = [1.0 / math.factorial(2 * k) for k in range(10)]
_TAME = 1e20
"""Up to this factor from one nothing leaves float64 in units as they are."""
_DROP = [
    ((9.0**n - 1) / 4 + 2 * n - 4 * n * (2 * n - 1)) / special.factorial(2 * n)
    for n in range(3, 25)
]


def _tame(x: Any) -> bool:
    """Whether what is not zero is of a size that needs no other units."""
    if type(x) is float:
        return 1.0 / _TAME < x < _TAME or x == 0.0
    return everywhere(((x > 1.0 / _TAME) & (x < _TAME)) | (x == 0.0))


def units(length: Any, D: Any, drift: Any, s: Any) -> tuple[Any, Any]:
    """Exponents of two of a length and a time unit in which nothing leaves float64.

    Zeros where all are of a moderate size; other floats are not scaled but go on as arrays. Else
    the time is L²/D, or less where drift or s are so large that they would not fit. Scaling by
    powers of two is exact.
    """
    size = s if type(s) is float else np.maximum(np.abs(np.real(s)), np.abs(np.imag(s)))
    tame = _tame(length) and _tame(D) and _tame(abs(drift)) and _tame(size)
    if tame or (type(length) is float and ordinary(tame)):
        return 0, 0
    of_length, of_D, of_drift, of_s = (
        np.frexp(part)[1].astype(np.int64) for part in map(np.asarray, (length, D, drift, size))
    )
    of_length = of_length - 1  # lengths in [1, 2): a tiny distance is not made smaller
    time = 2 * of_length - of_D
    time = np.where(drift != 0, np.minimum(time, of_length - of_drift + 300), time)
    return of_length, np.where(size != 0, np.minimum(time, 900 - of_s), time)


def scale(x: Any, power: Any) -> Any:
    """x times a power of two, for real or complex x."""
    if type(power) is int and power == 0:
        return x
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


def product_over(x: Any, y: Any, divisor: Any) -> Any:
    """x y / divisor without leaving float64 before the result does."""
    ratio = y / divisor
    size = abs(ratio)
    if type(ratio) is float:
        if 1e-290 < size < 1e300 or y == 0.0:
            return x * ratio
        return (x / math.sqrt(divisor)) * (y / math.sqrt(divisor))
    safe = (size < 1e300) & ((size > 1e-290) | (y == 0))
    if safe.all():
        return x * ratio
    split = (x / np.sqrt(divisor)) * (y / np.sqrt(divisor))
    return np.where(safe, x * np.where(safe, ratio, 1.0), split)


def ramp(y: Any) -> Any:
    """(1 - exp(-y))/y, which is 1 at 0."""
    if type(y) is float:
        return -math.expm1(-y) / y if y else 1.0
    zero = y == 0
    if np.iscomplexobj(y) and (np.abs(y.imag) <= 1e-9 * y.real).all():
        # a step for a derivative, which would be lost against the quotient
        real = np.where(zero, 1.0, y.real)
        value = -np.expm1(-real) / real
        fall = (value - np.exp(-real)) / real
        fall = np.where(real < 0.25, horner(np.minimum(real, 0.25), _RAMP_FALL), fall)
        return np.where(zero, 1.0, value - 1j * (y.imag * fall))
    if not zero.any():
        return -np.expm1(-y) / y
    safe = np.where(zero, 1.0, y)
    return np.where(zero, 1.0, -np.expm1(-safe) / safe)


def rise(p: Any, q: Any) -> Any:
    """[ramp(p) - exp(-p) ramp(q)]/(p + q): integral of (1-u) exp(-p u) ramp((p+q)(1-u)).

    With p = (k + g) x and q = (k - g) x it is exp(-k x)/(k x²) times the integral of
    exp(-g z) sinh(k (x - z)) over (0, x). Where p + q is small it is exp(-p) times the divided
    difference of (exp(z) - 1)/z between -q and p, summed as a series.
    """
    both = p + q
    if type(both) is float:
        if both < 1.5:
            return math.exp(-p) * _divided(p, -q)
        return (ramp(p) - math.exp(-p) * ramp(q)) / both
    p, q = np.broadcast_arrays(p, q)
    near = np.abs(both) < 1.5
    value = np.asarray((ramp(p) - np.exp(-p) * ramp(q)) / np.where(near, 1.0, both))
    if near.any():
        start, end = p[near], q[near]
        if np.iscomplexobj(start) and np.any(np.abs(start - end) > np.abs(start + end)):
            width = both[near]  # left of zero they may be far apart
            value[near] = average(
                lambda u: (1.0 - u) * np.exp(-start * u) * ramp(width * (1.0 - u)), start
            )
        else:
            value[near] = np.exp(-start) * _divided(start, -end)
    return value


def rise_even(total: Any, product: Any) -> Any:
    """exp(p) times :func:`rise` from p - q and p q, for abs(p) + abs(q) < 2: even in k."""
    before, now, value = 0.0 * total, 1.0 + 0.0 * total, 0.0 * total
    for c in reversed(_RISE_SERIES):
        value = value + c * now
        before, now = now, total * now + product * before
    return value


def sinhc(square: Any) -> Any:
    """sinh(z)/z from z² below 1."""
    return horner(square, _SINHC)


def cosh(square: Any) -> Any:
    """cosh(z) from z² below 1."""
    return horner(square, _COSH)


def _divided(a: Any, b: Any) -> Any:
    """Divided difference of (exp(z) - 1)/z between a and b, for a - b < 2."""
    value, slope = 0.0 * a, 0.0 * a
    for c in _RISE_SERIES:
        value = value * a + c
        slope = slope * b + value
    return slope


def end_excess(q: Any) -> Any:
    """(exp(-q) - 1 + q)/q², which is 1/2 at 0."""
    small = q < 0.5
    near = pick(small, q, 0.0)
    far = pick(small, 1.0, q)
    series = 0.0 * near
    for c in _END_SERIES:
        series = series * near + c
    return pick(small, series, (expm1(-far) / far + 1.0) / far)


def start_excess(p: Any) -> Any:
    """(1 - exp(-p) - p exp(-p))/p², which is 1/2 at 0."""
    small = p < 1.0
    near = pick(small, p, 0.0)
    far = pick(small, 1.0, p)
    series = 0.0 * near
    for c in _START_SERIES:
        series = series * near + c
    wide = (-expm1(-far) / far - exp(-far)) / far
    return pick(small, exp(-near) * series, wide)


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
