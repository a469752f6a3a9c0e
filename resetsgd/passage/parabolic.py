r"""Ratios of parabolic cylinder functions, arranged for float64.

Everything about the first passage of an Ornstein–Uhlenbeck process is made of

.. math:: I(p, y) = \int_0^\infty t^{p-1} e^{y t - t^2/2}\,dt
          = \Gamma(p)\,e^{y^2/4} D_{-p}(-y),

the solution of u'' - y u' - p u = 0 that stays bounded as y -> -inf. Its ratio at two places is
never taken as a ratio. :func:`rise` returns E = log I(p, high) - log I(p, low) by whichever of
these is exact to rounding:

- up to p = 30 as log(1 + p N/J), where p N = p [I(p, high) - I(p, low)] and J = p I(p, low) are
  integrals of positive functions, taken by the trapezoidal rule in a doubly exponential variable;
- for larger p by the Liouville–Green series in closed form;
- for complex p in between by Taylor steps of the differential equation.

The mean and the variance are the same kind of integral, with other weights.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from resetsgd.passage.arrangements import log1p, log_ratio_expm1, softplus
from resetsgd.passage.liouville_green import liouville_green, logarithmic_slope
from resetsgd.passage.parabolic_quadrature import (
    HIGH,
    REMOTE,
    Floats,
    apart,
    joint,
    log_denominator,
    log_numerator,
    log_remote,
    nodes,
    total,
    window_of,
)

__all__ = ["excess_ratio", "first_moment", "ratio", "rise", "second_cumulant"]

_REACH = 30.0
"""Largest real p of the quadrature: from there on ten terms of the Liouville–Green series do."""
_FAR = 60.0
"""The same for complex p, where turning points come near the real axis."""
_NEAR = 0.4
"""Largest complex p of the quadrature: beyond, t^p oscillates."""
_EDGE = 12.0
"""Ends of the Taylor steps: beyond, the series holds for all p that are not small."""
_BLOCK = 2**11
"""Points in one block of a quadrature."""
_TINY = 1e-290
"""Distance below which everything is proportional to it."""
_STEP = 1e-30
"""Relative complex step of derivatives."""
_GAUSS = tuple(np.asarray(a) for a in special.roots_legendre(32))


def _ratio(p: Any, low: Any, high: Any, gap: Any, q: Any = None) -> tuple[Any, Any]:
    """log and value of N/J by quadrature, arrays of one axis."""
    value = np.zeros(np.shape(p), dtype=np.float64 if q is None else np.complex128)
    log = np.zeros_like(value)
    # from far down the ratio, a power of the heights, may leave float64
    near = (high <= HIGH) & ((p + 1.0) * np.log1p(gap / np.maximum(-high, 1.0)) < 500.0)
    clear = (
        (high > HIGH) & (low > 12.0) & (np.log(p) + 0.5 * low * low > 60.0) & (gap * high < 300.0)
    )
    for where, function in ((near, joint), (clear, apart)):
        if where.any():
            imaginary = None if q is None else q[where]
            value[where] = function(p[where], low[where], high[where], gap[where], imaginary)
            log[where] = np.log(value[where])
    far = ~near & ~clear
    if far.any():
        imaginary = None if q is None else q[far]
        log[far] = log_numerator(p[far], high[far], gap[far], imaginary)
        log[far] -= log_denominator(p[far], low[far], imaginary)
        value[far] = np.exp(log[far])
    return log, value


def _by_quadrature(p: Any, low: Any, high: Any, gap: Any, q: Any = None) -> Any:
    """E = log(1 + p N/J), arrays of one axis."""
    order = p if q is None else q
    log, value = _ratio(p, low, high, gap, q)
    product = order * value
    usable = np.abs(product) < 1e250
    grown = softplus(np.log(order) + log)
    return np.where(usable, log1p(np.where(usable, product, 0.0)), grown)


# Complex p that is neither small nor large ------------------------------------------------------


def _slope_below(p: Any, y: Any) -> Any:
    """w(p, y) at y <= 0, by the continued fraction w(p) = p/(w(p+1) - y) from p + 40 on."""
    w = logarithmic_slope(p + 40.0, y)
    for k in range(39, -1, -1):
        w = (p + k) / (w - y)
    return w


def _advance(p: Any, y: Any, w: Any, span: Any) -> tuple[Any, Any]:
    """From w at y the rise to y + span and w there, by Taylor steps of the linear equation."""
    pace = np.maximum(1.0 / 0.3, 0.5 * np.sqrt(np.abs(p)))
    steps = int(np.max(span * pace)) + 1
    h = span / steps
    total: Any = 0.0
    for i in range(steps):
        place = (y + i * h) * h
        before, term = w, 0.5 * h * ((y + i * h) * w + p)
        value, slope = before + term, before + 2.0 * term
        for n in range(1, 33):
            before, term = (
                term,
                (place * ((n + 1) * term) + (h * h * (p + n)) * before) / ((n + 1) * (n + 2)),
            )
            value, slope = value + term, slope + (n + 2) * term
        total = total + log1p(h * value)
        w = slope / (1.0 + h * value)
    return total, w


def _by_steps(p: Any, low: Any, high: Any, gap: Any) -> Any:
    """E for complex p: series below -12 and above 12, Taylor steps between; arrays of one axis."""
    start, stop = np.clip(low, -_EDGE, _EDGE), np.clip(high, -_EDGE, _EDGE)
    inside = (low >= -_EDGE) & (high <= _EDGE)
    base = np.minimum(start, 0.0)
    w = _slope_below(p, base)
    if (start > 0).any():
        w = _advance(p, base, w, start - base)[1]
    value = _advance(p, start, w, np.where(inside, gap, stop - start))[0]
    for mirrored, there in ((False, low < -_EDGE), (True, high > _EDGE)):
        if there.any():
            lo, hi = low[there], high[there]
            begin = np.maximum(lo, _EDGE) if mirrored else lo
            end = hi if mirrored else np.minimum(hi, -_EDGE)
            span = np.where((begin == lo) & (end == hi), gap[there], end - begin)
            value[there] += liouville_green(p[there], begin, end, span, mirrored)
    return value


# What is asked for --------------------------------------------------------------------------------


@np.errstate(all="ignore")
def rise(p: Any, low: Any, high: Any, gap: Any) -> Any:
    """log I(p, high) - log I(p, low).

    Parameters
    ----------
    p : float or array
        Order, zero or positive; or complex off the negative axis.
    low, high : float or array
        Places, low < high.
    gap : float or array
        high - low > 0, which may be known better than the difference.

    Returns
    -------
    float or array
        Relative error of a few eps for real p, also in the imaginary part for p (1 + 1e-30 i);
        about 1e-13 for other complex p.
    """
    plain = isinstance(p, float) and isinstance(gap, float)
    if plain and 0 < p <= _REACH and high <= HIGH and gap > _TINY:
        value = p * float(joint(p, low, high, gap))
        if value < 1e290:
            return math.log1p(value)
    shape = np.broadcast_shapes(np.shape(p), np.shape(low), np.shape(gap))
    order, a, b, d = (np.broadcast_to(x, shape).ravel() for x in (p, low, high, gap))
    result = np.zeros(order.shape, dtype=np.result_type(order, np.float64))
    size = np.abs(order)
    tiny = np.where(d < _TINY, d / _TINY, 1.0)
    d = np.maximum(d, _TINY)
    if np.iscomplexobj(order):
        real = (np.abs(order.imag) <= 1e-8 * size) & (order.real > 0)
        quadrature = np.where(real, size <= _REACH, size <= _NEAR) & (size > 0)
        series = np.where(real, size > _REACH, size >= _FAR)
    else:
        quadrature, series = (size <= _REACH) & (size > 0), size > _REACH
    for where in _blocks(quadrature):
        q = order[where]
        imaginary = q if np.iscomplexobj(q) else None
        result[where] = _by_quadrature(np.real(q), a[where], b[where], d[where], imaginary)
    for where in _blocks(series):
        result[where] = liouville_green(order[where], a[where], b[where], d[where])
    for where in _blocks(~quadrature & ~series & (size > 0)):
        result[where] = _by_steps(order[where], a[where], b[where], d[where])
    return (result * tiny).reshape(shape)


def ratio(p: float, low: float, high: float, gap: float) -> float:
    """R of :func:`excess_ratio` for floats, p <= 30 and high <= 12.5, fast."""
    if gap < _TINY:
        return float(joint(p, low, high, _TINY)) * (gap / _TINY)
    return float(joint(p, low, high, gap))


@np.errstate(all="ignore")
def excess_ratio(p: Any, low: Any, high: Any, gap: Any) -> tuple[Any, Any, Any]:
    """R = [I(p, high)/I(p, low) - 1]/p: its logarithm, itself, and d log R/d log p.

    Parameters
    ----------
    p : float or array
        Order, positive.
    low, high, gap : float or array
        As for :func:`rise`.

    Returns
    -------
    tuple of three arrays
        The slope has an absolute error of a few eps, and vanishes like p for p -> 0.
    """
    shape = np.broadcast_shapes(np.shape(p), np.shape(low), np.shape(gap))
    order, a, b, d = (np.broadcast_to(x, shape).ravel() for x in (p, low, high, gap))
    scale = np.where(d < _TINY, d / _TINY, 1.0)
    d = np.maximum(d, _TINY)
    log, value, slope = np.zeros((3, *order.shape))
    for where in _blocks(order <= _REACH):
        q = order[where] * (1.0 + _STEP * 1j)
        logs, values = _ratio(order[where], a[where], b[where], d[where], q)
        log[where], value[where] = logs.real, values.real
        slope[where] = np.nan_to_num(logs.imag / _STEP)
    for where in _blocks(~(order <= _REACH)):
        q = order[where]
        climb = liouville_green(q * (1.0 + _STEP * 1j), a[where], b[where], d[where])
        height, tilt = climb.real, climb.imag / _STEP
        log[where] = log_ratio_expm1(height, q)
        # by halves where exp(E) overflows before its ratio to p does
        half = np.exp(0.5 * height)
        value[where] = np.where(height > 700.0, half / q * half, np.expm1(height) / q)
        tilt = tilt / -np.expm1(-height) - 1.0
        slope[where] = np.where(np.isnan(tilt), np.where(height > 1.0, np.inf, -0.5), tilt)
    result = (log + np.log(scale), value * scale, slope)
    return tuple(part.reshape(shape) for part in result)  # type: ignore[return-value]


def _blocks(mask: Any) -> list[Any]:
    """Places where a mask holds, a block at a time."""
    places = np.flatnonzero(mask)
    return [places[i : i + _BLOCK] for i in range(0, len(places), _BLOCK)]


def _in_blocks(function: Any, *arguments: Any, rows: int = 1) -> Any:
    """A function of arrays of one axis, over broadcast arguments in blocks."""
    arrays = np.broadcast_arrays(*arguments)
    flat = [np.asarray(a, dtype=np.float64).ravel() for a in arrays]
    result = np.empty((rows, flat[0].size))
    for i in range(0, flat[0].size, _BLOCK):
        result[:, i : i + _BLOCK] = function(*(a[i : i + _BLOCK] for a in flat))
    shape = arrays[0].shape
    return result.reshape(shape if rows == 1 else (rows, *shape))


@np.errstate(all="ignore")
def first_moment(low: Any, high: Any, gap: Any) -> tuple[Any, Any]:
    """log and value of the integral of sqrt(2 pi) exp(u²/2) Phi(u) from ``low`` to ``high``.

    Equal to the integral of (exp(high t) - exp(low t)) exp(-t²/2)/t over t > 0.
    """
    if isinstance(gap, float) and gap > _TINY and high <= HIGH:
        value = float(_moment(low, high, gap))
        return math.log(value) if value > 0 else -math.inf, value
    tiny = np.minimum(gap / _TINY, 1.0)
    gap = np.maximum(gap, _TINY)
    near = np.asarray(high) <= HIGH
    value = _in_blocks(_moment, np.where(near, low, -1.0), np.where(near, high, 1.0), gap)
    value = value * tiny
    log = np.log(value)
    if not near.all():
        far = _in_blocks(
            lambda y, d: log_numerator(np.zeros_like(y), y, d), np.where(near, 9.0, high), gap
        )
        log = np.where(near, log, far + np.log(tiny))
        value = np.where(near, value, np.exp(far) * tiny)
    return log, value


def _moment(low: Any, high: Any, gap: Any) -> Any:
    """Targets that are not far, without a logarithm."""
    xp: Any = Floats if isinstance(gap, float) else np
    t, _, weight = nodes(window_of(xp, 0.0 * gap, high, 1.0 / gap))
    return total(np.exp(t * (high - 0.5 * t)) * weight * -np.expm1(-gap * t))


@np.errstate(all="ignore")
def second_cumulant(low: Any, high: Any, gap: Any) -> tuple[Any, Any]:
    r"""log and value of the variance in units of the relaxation time.

    With :math:`\kappa(t) = 2\sqrt{\pi} \int_0^{t/2} e^{x^2} \mathrm{erf}(x)\,dx` the variance is
    the integral of 2 kappa(t) (exp(high t) - exp(low t)) exp(-t²/2)/t over t > 0, all positive.
    """
    tiny = np.minimum(gap / _TINY, 1.0)
    scale, rest = _in_blocks(_cumulant, low, high, np.maximum(gap, _TINY), rows=2)
    return scale + np.log(rest) + np.log(tiny), np.exp(scale) * rest * tiny


def _cumulant(low: Any, high: Any, gap: Any) -> Any:
    """The logarithm of a scale, and the variance over it."""
    remote = high > REMOTE
    if remote.any():
        scale = log_remote(high, gap, 2.0) - 2.0 * np.log(np.where(remote, high, 1.0))
        near = _cumulant(low, np.where(remote, 0.0, high), gap)
        return np.where(remote, np.stack([scale, np.ones_like(scale)]), near)
    # kappa rises like t² and, with t = sqrt(2) x, kappa exp(-t²/2) falls like exp(-x²/2)
    root = math.sqrt(2.0)
    window = window_of(np, np.full_like(gap, 2.0), root * high, 1.0 / (root * gap))
    x, _, weight = nodes(window)
    peak = window[4]
    z = (x - peak) / peak
    t = root * x
    exponent = -0.5 * (peak * z) ** 2 - 3.0 * z
    weight = weight * -np.expm1(-gap * t) * 4.0 * math.sqrt(math.pi) * _excess(0.5 * t)
    return np.stack([peak * (root * high - 0.5 * peak), total(np.exp(exponent) * weight)])


def _excess(z: Any) -> Any:
    """exp(-z²) times the integral of exp(x²) erf(x) over (0, z), all positive."""
    nodes, weights = 0.5 * (_GAUSS[0] + 1.0), 0.5 * _GAUSS[1]
    small, large = z < 3.0, z > 6.2
    near, wide = np.where(small, z, 0.0), np.where(small | large, 0.0, z)
    first: Any = 0.0
    second: Any = 0.0
    for x, weight in zip(nodes, weights, strict=True):
        first = first + weight * np.exp(-near * near * (1.0 - x * x)) * special.erf(near * x)
        second = second + weight * special.erfcx(wide * x)
    beyond = special.dawsn(z) - np.exp(-z * z) * z * second
    return np.where(small, near * first, np.where(large, special.dawsn(z), beyond))
