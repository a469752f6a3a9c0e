"""The distribution of a time that is known by its Laplace transform: inversion and root finding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import NotConverged
from resetsgd.passage import steep
from resetsgd.passage.steep import Law, Transform

__all__ = ["density", "quantile", "survival", "timescale"]


def survival(log_laplace: Transform, t: Array, law: Law) -> Any:
    """P(T > t) by Laplace inversion, absolute error about 1e-11."""
    t = np.broadcast_to(t, np.broadcast_shapes(t.shape, law[0]))
    never = -np.expm1(np.real(log_laplace(np.zeros(law[0]))))
    late = steep.survival(log_laplace, t, law)
    return np.where(t == 0, 1.0, np.where(np.isinf(t), never, late))


def density(log_laplace: Transform, t: Array, law: Law) -> Any:
    """Density at t by Laplace inversion, absolute error about 1e-11 over the time scale."""
    t = np.broadcast_to(t, np.broadcast_shapes(t.shape, law[0]))
    values = steep.density(log_laplace, t, law)
    return np.where((t == 0) | np.isinf(t), 0.0, values)


def quantile(
    q: Array,
    shape: tuple[int, ...],
    cdf: Callable[[Any], Any],
    survival: Callable[[Any], Any],
    arrive: Any,
    scale: Any,
) -> Array:
    """Time by which a fraction q has arrived, from both distribution functions.

    ``arrive`` is the chance to arrive at all, ``scale`` a typical time to start from.
    """
    shape = np.broadcast_shapes(q.shape, shape)
    reached = np.broadcast_to((q > 0) & (q < arrive), shape)

    def late(log_t: Array) -> Any:
        t = np.exp(log_t)
        return np.where(q < 0.5, cdf(t) < q, np.asarray(survival(t)) > 1.0 - q)

    # Bracket in log t by growing steps to the ends of float64, then bisect to its last bits.
    centre = np.broadcast_to(np.log(scale), shape)
    low, high = centre - 1.0, centre + 1.0
    for power in range(12):
        early, tardy = reached & ~late(low), reached & late(high)
        if not (early.any() or tardy.any()):
            break
        low = np.maximum(np.where(early, low - 2.0**power, low), -740.0)
        high = np.minimum(np.where(tardy, high + 2.0**power, high), 709.0)
    reached = reached & ~late(high)  # what is still late there lies beyond float64
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = late(middle)
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    value = np.where(reached, np.exp(0.5 * (low + high)), np.where(q == 0, 0.0, np.inf))
    return np.asarray(value)


def timescale(log_laplace: Transform, shape: tuple[int, ...]) -> Array:
    """A typical time of arrival: 1/s where the transform has fallen by a factor e."""
    arrive = log_laplace(np.zeros(shape))
    low = np.full(shape, -1001.0)  # the first power of two that falls so far, above this
    for width in (169.0, 13.0, 1.0):
        powers = low + width * np.arange(1.0, 14.0).reshape(-1, *(1,) * len(shape))
        fallen = arrive - log_laplace(np.exp2(np.minimum(powers, 1000.0))) >= 1.0
        if width == 169.0 and not np.all(fallen[-1]):
            raise NotConverged("timescale: the passage time has no scale within float64")
        low = low + width * np.argmax(fallen, axis=0)
    return np.asarray(np.exp2(-np.minimum(low + 1.0, 1000.0)))
