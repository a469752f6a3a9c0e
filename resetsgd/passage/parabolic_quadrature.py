r"""Integrals of t^p exp(y t - t²/2), all of positive functions, by the trapezoidal rule.

With t = S exp(x - exp(-x)) the integrand falls doubly exponentially on both sides of its peak in x,
so that the trapezoidal rule converges exponentially; a window per integral says where it has
fallen far enough. Differences of two such integrals are integrals of positive functions too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from resetsgd.domain import Array
from resetsgd.passage.arrangements import softplus

__all__ = [
    "HIGH",
    "REMOTE",
    "Floats",
    "apart",
    "joint",
    "log_denominator",
    "log_numerator",
    "log_remote",
    "nodes",
    "total",
    "window_of",
]

HIGH = 12.5
"""Targets up to here share their nodes with the start."""
REMOTE = 1e7
"""Targets from here on are so far up that the first term of their asymptotics is exact."""
_BUDGET = 39.0
"""Integrands are cut where they have fallen by exp(-39)."""


class Floats:
    """What :func:`window_of` needs of NumPy, for floats: much faster than arrays of one element."""

    sqrt, log, exp, hypot = math.sqrt, math.log, math.exp, math.hypot
    minimum, maximum = min, max


def _saddle(xp: Any, P: Any, y: Any) -> Any:
    """The maximum t of P log t + y t - t²/2, without cancellation on either side."""
    root = xp.hypot(0.5 * y, xp.sqrt(P))
    return 0.5 * xp.maximum(y, 0.0) + (root if xp is Floats and y >= 0 else _lower(xp, P, y, root))


def _lower(xp: Any, P: Any, y: Any, root: Any) -> Any:
    """root + min(y, 0)/2."""
    if xp is Floats:
        return P / (root - 0.5 * y)
    return np.where(y < 0, P / (root - 0.5 * np.minimum(y, 0.0)), root)


def window_of(
    xp: Any, p: Any, high: Any, most: Any, whole: bool = False
) -> tuple[Any, Any, Any, Any, Any]:
    """Where t^p exp(high t - t²/2) min(t, 1/gap) has not yet decayed, in a good variable.

    In x of t = S exp(x - exp(-x)) the algebraic rise at small t is a doubly exponential one.
    ``most`` is the largest S wanted, where the integrand has a scale of its own at smaller t;
    ``whole`` keeps small t although the integrand may have no weight there.
    Returns S, both ends in x, a step that resolves the integrand, and the place of its peak.
    """
    P = p + 1.0
    peak = _saddle(xp, P, high)
    scale = xp.minimum(peak, most)
    last = _saddle(xp, P + 1.0, high)
    # P (z - log(1 + z)) + last² z²/2 = budget has its root z below both of these
    c = 4.0 / 3.0 * _BUDGET
    tail = (c + xp.sqrt(c * c + 8.0 * _BUDGET * (P + 1.0))) / (2.0 * (P + 1.0))
    width = math.sqrt(2.0 * _BUDGET)
    top = xp.log(last * (1.0 + xp.minimum(tail, width / last))) - xp.log(scale)
    left = -xp.log(1.0 + _BUDGET / P)
    if not whole:  # a Gaussian peak far from zero has fallen before the algebraic rise begins
        left = xp.maximum(left, xp.log(xp.maximum(peak - width - 1.0, 1e-300)) - xp.log(scale))
    slope = xp.minimum(1.0 + scale / last, 1.567)
    step = xp.minimum(0.075, 0.5 / (xp.hypot(last, xp.sqrt(P)) * slope))
    return scale, left, top + xp.exp(-top), step, peak


def nodes(window: tuple[Any, ...]) -> tuple[Array, Array, Array]:
    """Trapezoidal nodes t of a window, log(t/S), and the weights of dt/t."""
    scale, left, right, step = window[:4]
    ratio = (right - left) / step
    n = int(ratio if isinstance(ratio, float) else ratio.max()) + 2
    step = (right - left) / (n - 1)
    x = left + step * np.arange(float(n)).reshape(-1, *(1,) * np.ndim(step))
    shrink = np.exp(-x)
    log_r = x - shrink
    return scale * np.exp(log_r), log_r, step * (1.0 + shrink)


def joint(p: Any, low: Any, high: Any, gap: Any, q: Any = None) -> Any:
    """N/J for targets that are not far, numerator and denominator on the same nodes.

    p is real; q, if given, is p with its imaginary part.
    """
    scalar = isinstance(gap, float)
    xp: Any = Floats if scalar else np
    own = _saddle(xp, p + 1.0, xp.minimum(low, 0.0))
    window = window_of(xp, p, high, xp.minimum(own, 1.0 / gap), whole=True)
    # the peak of the denominator has to be resolved too
    slope = xp.minimum(1.0 + window[0] / own, 1.567)
    step = xp.minimum(window[3], 0.5 / (xp.hypot(own, xp.sqrt(p + 1.0)) * slope))
    t, log_r, weight = nodes((*window[:3], step))
    # one exponential for both, so that its rounding drops out of the ratio
    exponent = p * log_r + t * (low - 0.5 * t)
    shift = -exponent.max(axis=0)
    if q is not None:
        shift = shift + 1j * (q.imag * log_r)
    g = np.exp(exponent + shift) * weight
    order = p if q is None else q
    up = low > 0
    if up if scalar else up.any():  # J(p, low) = J(p, 0) + p N(p, 0, low)
        fall = xp.maximum(low, 0.0) * t
        inner = t * t * np.exp(-fall) - order * np.expm1(-fall)
        inner = inner if scalar else np.where(up, inner, t * (t - low))
    else:
        inner = t * (t - low)
    climb = gap * t
    wide = climb > 300.0
    if wide.any():  # apart, where exp(gap t) overflows before g makes it small
        far = p * log_r + t * (high - 0.5 * t) + shift
        grown = np.where(wide, -np.exp(far) * weight * np.expm1(-climb), 0.0)
        numerator = total(np.where(wide, grown, g * np.expm1(np.where(wide, 0.0, climb))))
    else:
        numerator = total(g * np.expm1(climb))
    return numerator / total(g * inner)


def apart(p: Any, low: Any, high: Any, gap: Any, q: Any = None) -> Any:
    """N/J for two places so far up that J is p times a Gaussian integral around t = low."""
    peak = _saddle(np, p, low)
    reach = math.sqrt(2.0 * _BUDGET) + 1.0
    n = int(((high - low) + 2.0 * reach).max() / 0.4) + 2
    shift = -reach + ((high - low) + 2.0 * reach) * np.linspace(0.0, 1.0, n).reshape(-1, 1)
    z = shift / peak
    exponent = p * (np.log1p(z) - z) - 0.5 * shift * shift
    if q is not None:
        exponent = exponent + 1j * (q.imag * np.log1p(z))
    g = np.exp(exponent) / (1.0 + z)
    order = p if q is None else q
    return total(g * np.expm1(gap * (peak + shift))) / total(g) / order


def total(terms: Any) -> Any:
    """Sum over the first axis, in pairs: NumPy does so along contiguous axes only."""
    if terms.ndim == 1:
        return terms.sum()
    while len(terms) > 8:
        half = len(terms) // 2
        rest = terms[2 * half :]
        terms = terms[:half] + terms[half : 2 * half]
        if len(rest):
            terms[0] += rest[0]
    return terms.sum(axis=0)


def log_numerator(p: Any, high: Any, gap: Any, q: Any = None) -> Any:
    """log N, N = integral of t^(p-1) (1 - exp(-gap t)) exp(high t - t²/2), for any target."""
    order = p if q is None else q
    remote = high > REMOTE
    if remote.any():
        value = log_remote(high, gap, 1.0) + (order - 1.0) * np.log(np.where(remote, high, 1.0))
        return np.where(remote, value, log_numerator(p, np.where(remote, 0.0, high), gap, q))
    window = window_of(np, p, high, 1.0 / gap)
    t, log_r, weight = nodes(window)
    peak, P = window[4], p + 1.0
    z = (t - peak) / peak
    log_t = log_r + np.log(window[0])
    exponent = P * (log_t - np.log(peak) - z) - 0.5 * (peak * z) ** 2
    if q is not None:
        exponent = exponent + 1j * (q.imag * log_t)
    value = total(np.exp(exponent) * weight * (-np.expm1(-gap * t) / t))
    return P * np.log(peak) + peak * (high - 0.5 * peak) + np.log(value)


def log_remote(high: Any, gap: Any, power: float) -> Any:
    """log of sqrt(2 pi) exp(high²/2) to a power, less the same at the start: Laplace's method."""
    fall = np.where(gap < high, gap * (high - 0.5 * gap), np.inf)
    return power * (0.5 * math.log(2.0 * math.pi) + 0.5 * high * high) + np.log(
        -np.expm1(-power * fall)
    )


def log_denominator(p: Any, low: Any, q: Any = None) -> Any:
    """log J, J = p I(p, low)."""
    order = p if q is None else q
    under = np.minimum(low, 0.0)
    window = window_of(np, p, under, np.inf)
    t, log_r, weight = nodes(window)
    exponent = p * log_r + t * (under - 0.5 * t)
    top = exponent.max(axis=0)
    exponent = exponent - top
    if q is not None:
        exponent = exponent + 1j * (q.imag * log_r)
    value = total(np.exp(exponent) * weight * t * (t - under))
    value = np.log(value) + top + order * np.log(window[0])
    above = low > 0
    if above.any():  # J(p, 0) + p times the numerator between 0 and there: both positive
        far = np.where(above, low, 1.0)
        zero = 0.5 * order * math.log(2.0) + special.loggamma(1.0 + 0.5 * order)
        more = log_numerator(p, far, far, q) + np.log(order) - zero
        value = np.where(above, zero + softplus(more), value)
    return value
