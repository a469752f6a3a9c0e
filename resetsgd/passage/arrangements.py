"""Differences of nearly equal functions and logarithms of sums, arranged to keep their digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from resetsgd.domain import QUIET, Array

__all__ = [
    "ENDLESS",
    "difference_ratio",
    "erfcx_difference_ratio",
    "exp_excess",
    "horner",
    "log1p",
    "log_expm1",
    "log_ratio_expm1",
    "log_sum",
    "log_total",
    "sinh_excess",
    "softplus",
    "tilted_difference",
]

_EXP_SERIES = [(-1.0) ** k / float(special.factorial(k)) for k in range(2, 18)]
_SINH_SERIES = [1.0 / float(special.factorial(2 * k + 3)) for k in range(12)]
ENDLESS = 1e100
"""Arguments of erfc beyond which nothing changes; their products stay finite."""
_GAUSS_NODES, _GAUSS_WEIGHTS = (np.asarray(a) for a in special.roots_legendre(24))


def log1p(z: Any) -> Any:
    """log(1 + z) for real or complex z: small z keep the digits of both parts."""
    if not np.iscomplexobj(z):
        return np.log1p(z)
    a, b = np.real(z), np.imag(z)
    with np.errstate(all="ignore"):
        near = np.abs(z) < 0.5
        small = 0.5 * np.log1p(np.where(near, a * (2.0 + a) + b * b, 0.0))
        modulus = np.where(near, small, np.log(np.hypot(1.0 + a, b)))
    return modulus + 1j * np.arctan2(b, 1.0 + a)


def softplus(w: Any) -> Any:
    """log(1 + exp(w)) for real or complex w, without overflow."""
    large = np.real(w) > 40.0  # exp(-40) is below rounding of 40
    return np.where(large, w, log1p(np.exp(np.where(large, 0.0, w))))


@QUIET
def log_sum(a: Any, b: Any) -> Any:
    """log(exp(a) + exp(b)) for real or complex a, b."""
    swap = np.real(a) < np.real(b)
    high, low = np.where(swap, b, a), np.where(swap, a, b)
    gap = np.where(np.isneginf(np.real(low)), -np.inf, low - high)
    return high + log1p(np.exp(gap))


@QUIET
def log_total(log_terms: Any, weights: Any = 1.0, axis: int = 0) -> Any:
    """log of the weighted sum of exp(log_terms) along an axis, relative to the largest of them."""
    top = np.max(np.real(log_terms), axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    total = np.sum(np.exp(log_terms - top) * weights, axis=axis)
    return np.squeeze(top, axis=axis) + np.log(total)


def log_expm1(x: Any) -> Any:
    """log(exp(x) - 1) for x with real part >= 0, without overflow or cancellation."""
    x = np.asarray(x)
    with np.errstate(divide="ignore", over="ignore"):
        # Above 0.7 the identity x + log(1 - exp(-x)) keeps full relative accuracy.
        small = np.log(np.expm1(np.where(np.real(x) < 0.7, x, 0.7)))
        return np.where(np.real(x) < 0.7, small, x + np.log1p(-np.exp(-x)))


def log_ratio_expm1(exponent: Any, rate: Any) -> Any:
    """log((exp(E) - 1)/r): from the ratio itself where it is representable."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        ratio = np.expm1(exponent) / rate
        size = np.abs(ratio)
        usable = (size > 1e-290) & (size < 1e300)
        return np.where(
            usable,
            np.log(np.where(usable, ratio, 1.0)),
            log_expm1(exponent) - np.log(rate),
        )


def exp_excess(x: Any) -> Any:
    """exp(-x) - 1 + x for x >= 0."""
    small = x < 0.5
    if np.ndim(x) == 0 and not small:
        return np.expm1(-x) + x
    y = np.where(small, x, 0.0)
    series = horner(y, _EXP_SERIES) * y * y
    return np.where(small, series, np.expm1(-x) + x)


def sinh_excess(x: Any) -> Any:
    """sinh(x) - x for x >= 0."""
    small = x < 1.5
    y = np.where(small, x, 0.0) ** 2
    series = horner(y, _SINH_SERIES)
    return np.where(small, series * y * np.where(small, x, 0.0), np.sinh(x) - x)


def horner(x: Any, coefficients: Sequence[float] | Array) -> Any:
    """A polynomial from its coefficients in rising order."""
    if type(x) is float:
        total = 0.0
        for coefficient in reversed(coefficients):
            total = total * x + coefficient
        return total
    value = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value *= x
        value += coefficient
    return value


def _erfcx_fall(x: Any) -> Any:
    """-erfcx'(x) = 2/sqrt(pi) - 2 x erfcx(x) > 0, without cancellation for large x."""
    large = x > 3.0
    near = 2.0 / np.sqrt(np.pi) - 2.0 * x * special.erfcx(np.where(large, 0.0, x))
    # Continued fraction x + (1/2)/(x + 1/(x + (3/2)/(x + ...))): with K the part after the first
    # x, sqrt(pi) erfcx = 1/(x + K), so 1/sqrt(pi) - x erfcx = K/(sqrt(pi) (x + K)).
    y = np.where(large, x, 3.0)
    tail = np.zeros_like(y)
    for k in range(60, 0, -1):
        tail = (k / 2.0) / (y + tail)
    far = 2.0 / np.sqrt(np.pi) * tail / (y + tail)
    return np.where(large, far, near)


def difference_ratio(x: Any, gap: Any) -> Any:
    """exp(-x²) [erfcx(x) - erfcx(x + gap)] / (2 gap), gap >= 0, finite as gap -> 0.

    Where the two terms are close the difference is the integral of -erfcx' between them (24 Gauss
    points); elsewhere it is taken as it stands.
    """
    x, gap = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(gap, np.float64))
    x = np.clip(x, -ENDLESS, ENDLESS)
    close = gap * (1.0 + np.maximum(-x, 0.0)) < 0.6 * (1.0 + np.maximum(x, 0.0))
    with np.errstate(over="ignore", under="ignore"):
        shift = np.where(close, gap, 0.0) * (0.5 * (_GAUSS_NODES + 1.0)).reshape(-1, *(1,) * x.ndim)
        point = x + shift
        gauss = np.exp(-x * x)
        # For points below zero exp(-x²) joins the exponent, since erfcx alone overflows.
        left = (2.0 / np.sqrt(np.pi)) * gauss - 2.0 * point * np.exp(
            np.minimum(shift * (point + x), 0.0)
        ) * special.erfc(point)
        fall = np.where(point < 0, left, gauss * _erfcx_fall(np.maximum(point, 0.0)))
        near = np.tensordot(0.5 * _GAUSS_WEIGHTS, fall, axes=1) / 2.0
        wide = np.where(close, 1.0, gap)
        end = x + wide
        second = np.where(
            end > 0,
            gauss * special.erfcx(np.maximum(end, 0.0)),
            np.exp(np.minimum(wide * (x + end), 0.0)) * special.erfc(end),
        )
        first = np.where(x > 0, gauss * special.erfcx(np.maximum(x, 0.0)), special.erfc(x))
        return np.where(close, near, (first - second) / (2.0 * wide))


def erfcx_difference_ratio(x: Any, gap: Any) -> Any:
    """[erfcx(x) - erfcx(x + gap)] / (2 gap) for x > 0, gap > 0: nothing underflows."""
    x, gap = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(gap, np.float64))
    close = gap < 0.6 * (1.0 + x)
    shift = np.where(close, gap, 0.0) * (0.5 * (_GAUSS_NODES + 1.0)).reshape(-1, *(1,) * x.ndim)
    near = np.tensordot(0.5 * _GAUSS_WEIGHTS, _erfcx_fall(x + shift), axes=1) / 2.0
    wide = np.where(close, 1.0, gap)
    return np.where(close, near, (special.erfcx(x) - special.erfcx(x + wide)) / (2.0 * wide))


def tilted_difference(x: Any, gap: Any) -> Any:
    """exp(-x²) [erfcx(x) - erfcx(x + gap)] / 2 for gap >= 0, which may be infinite."""
    gap = np.minimum(gap, ENDLESS)
    return difference_ratio(x, gap) * gap
