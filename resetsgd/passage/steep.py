"""Laplace inversion that notices a steep law, and follows its transform along a vertical line.

The contour of :func:`resetsgd.passage.inversion.invert` bends to the left, where the transform of a
narrow law grows: a coefficient of variation below about 0.25, or a narrow part, is beyond it, and
two sizes of the contour then differ. On a vertical line the same transform fades over 1/std.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import NotConverged
from resetsgd.passage.inversion import contour
from resetsgd.protocols.overhead import spent

__all__ = ["density", "lasting", "survival"]

Transform = Callable[[Any], Any]
Kernel = Callable[[Any, Array], Any]
Law = tuple[tuple[int, ...], Callable[[], tuple[Any, Any]]]
"""Shape of the parameters; mean and standard deviation, asked for only where the law is steep."""

_COPY = 2.0 * np.pi / 36.0
"""Step over shift of the line: the copies that the rule adds are down by exp(-36)."""
_BLOCK, _MOST, _AT_ONCE = 64, 2**18, 16
_FADED, _DOUBT, _SHARPEST = 1e-15, 1e-10, 1e-5
_SURELY = 1e6
"""Standard deviations from the mean beyond which, by Chebyshev, less than 1e-12 is left."""


def _along_line(log_laplace: Transform, kernel: Kernel, t: Array, shift: Array) -> Array:
    """Inverse transform of exp(log_laplace) kernel at t > 0, by the trapezoidal rule on a line."""
    total: Any = 0.0
    start: Any = None
    step = _COPY * shift
    for first in range(0, max(_MOST // t.size, _BLOCK), _BLOCK):
        k = np.arange(first, first + _BLOCK).reshape(-1, *(1,) * t.ndim)
        s = shift + 1j * step * k
        terms = np.exp(log_laplace(s) + s * t) * kernel(s, t)
        size = np.abs(terms)
        if not np.isfinite(size).all():
            break
        start = size[0] if start is None else start
        total = total + np.sum((np.where(k == 0, 0.5, 1.0) * terms).real, axis=0)
        if np.all(size[-_BLOCK // 4 :] <= _FADED * start):
            return np.asarray(step / np.pi * total)
    raise NotConverged(
        "survival: the law is too steep, or has jumps, for its transform to be inverted to 1e-10"
    )


def _shift(t: Array, mean: Any, std: Any) -> Array:
    """A line right of 0 on which exp(st) grows to some exp(5) at most while the law is passing."""
    known = np.isfinite(mean) & (std > _SHARPEST * mean)
    near = 4.0 / np.maximum(np.abs(t - np.where(known, mean, 0.0)), 4.0 * std)
    return np.where(known, np.maximum(near, 2.0 / t), 2.0 / t)


@np.errstate(all="ignore")
def _inverted(
    log_laplace: Transform,
    bent: Kernel,
    kernel: Kernel,
    finish: Callable[[Any, Array], Any],
    certain: Callable[[Array, Any], Any],
    t: Array,
    unit: Any,
    law: Law,
) -> Any:
    """Inverse of ``bent``, by the contour, or along a line where that is in doubt.

    What is inverted along the line is exp(``log_laplace``) ``kernel``; the kernels take s and the
    time they are for. ``finish(inverse, t)`` makes the one from the other, ``certain(t, mean)`` is
    the answer of a law without a width, and ``unit`` the size against which errors count.
    """
    usable = (t > 0) & np.isfinite(t)
    time = np.where(usable, np.maximum(t, 1e-280), 1.0)  # 1/time must not overflow
    sizes = [contour(28), contour(22)]
    nodes = np.concatenate([points for points, _ in sizes]).reshape(-1, *(1,) * t.ndim)
    terms = bent(nodes / time, time)
    cut = len(sizes[0][0])
    value, check = (
        np.tensordot(weights, part, axes=1).real / time
        for (_, weights), part in zip(sizes, (terms[:cut], terms[cut:]), strict=True)
    )
    doubt = usable & ~(np.abs(value - check) <= _DOUBT * np.maximum(np.abs(value), unit))
    value = np.asarray(np.where(usable, value, 0.0))
    if not doubt.any():
        return value
    mean, std = (np.broadcast_to(part, t.shape) for part in law[1]())
    narrow = doubt & np.isfinite(mean) & (np.abs(t - mean) > _SURELY * std)
    value = np.where(narrow, certain(time, mean), value)
    doubt &= ~narrow
    if not doubt.any():
        return value
    if np.any(doubt & np.isfinite(mean) & (std <= _SHARPEST * mean)):
        raise NotConverged("survival: the law is too steep for the digits of float64")
    shift = _shift(time, mean, std)
    if law[0]:  # all of them, for the parameters cannot be picked apart
        safe = np.where(doubt, time, np.where(np.isfinite(mean) & (mean > 0), mean, 1.0))
        line = _along_line(log_laplace, kernel, safe, _shift(safe, mean, std))
        return np.where(doubt, finish(line, safe), value)
    for group in np.array_split(np.flatnonzero(doubt), doubt.sum() // _AT_ONCE + 1):
        at = time.ravel()[group]
        if at.size:
            line = _along_line(log_laplace, kernel, at, shift.ravel()[group])
            value.ravel()[group] = finish(line, at)
    return value


def survival(log_laplace: Transform, t: Array, law: Law) -> Any:
    """P(T > t) for positive finite t, absolute error about 1e-11."""
    return _inverted(
        log_laplace,
        lambda s, _: -np.expm1(log_laplace(s)) / s,
        lambda s, _: 1.0 / s,
        lambda come, _: 1.0 - come,
        lambda at, mean: np.where(at < mean, 1.0, 0.0),
        t, 1.0, law,
    )  # fmt: skip


def density(log_laplace: Transform, t: Array, law: Law) -> Any:
    """Density at positive finite t, absolute error about 1e-11 over the time scale."""
    return _inverted(
        log_laplace,
        lambda s, _: np.exp(log_laplace(s)),
        lambda s, _: 1.0,
        lambda value, _: value,
        lambda at, _: 0.0 * at,
        t, 1.0 / np.where(t > 0, t, 1.0), law,
    )  # fmt: skip


def lasting(log_laplace: Transform, t: Array, s: Any, law: Law) -> Any:
    """Integral of exp(-su) P(T > u) over (0, t) for positive finite t and real s."""
    return t * _inverted(
        lambda p: log_laplace(p + s),
        lambda p, at: -np.expm1(log_laplace(p + s)) / (p + s) / (p * at),
        lambda p, at: 1.0 / (p + s) / (p * at),
        lambda come, at: spent(at, s) / at - come,
        lambda at, mean: spent(np.minimum(at, mean), s) / at,
        t, 0.0, law,
    )  # fmt: skip
