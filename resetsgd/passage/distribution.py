"""The distribution of a time that is known by its Laplace transform: inversion and root finding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import NotConverged
from resetsgd.passage import steep
from resetsgd.passage.steep import Law, Transform

__all__ = ["cdf", "density", "quantile", "survival", "timescale"]

_EPS = float(np.finfo(np.float64).eps)
_MOST_STEPS = 200


def survival(law: Law, t: Array, *, right: bool = False) -> Any:
    """P(T > t) by Laplace inversion, absolute error about 1e-11, or 1e-9 from ``right`` of 0."""
    t = np.broadcast_to(t, np.broadcast_shapes(t.shape, law.shape))
    never = -np.expm1(np.real(law.log_laplace(np.zeros(law.shape))))
    late = steep.survival(law, t, right=right)
    return np.where(t == 0, 1.0, np.where(np.isinf(t), never, late))


def cdf(law: Law, t: Array) -> Any:
    """P(T <= t) by Laplace inversion, absolute error about 1e-11, less where it is small."""
    come = steep.cdf(law, t)
    arrive = np.exp(np.real(law.log_laplace(np.zeros(law.shape))))
    return np.where(t == 0, 0.0, np.where(np.isinf(t), arrive, come))


def density(law: Law, t: Array, *, right: bool = False) -> Any:
    """Density at t by Laplace inversion, with such an error over the time scale."""
    t = np.broadcast_to(t, np.broadcast_shapes(t.shape, law.shape))
    values = steep.density(law, t, right=right)
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

    early = q < 0.5

    def excess(log_t: Array) -> Any:
        t = np.exp(log_t)
        if early.all():
            return np.asarray(cdf(t)) - q
        left = 1.0 - q - np.asarray(survival(t))
        return np.where(early, np.asarray(cdf(t)) - q, left) if early.any() else left

    # Bracket in log t by growing steps to the ends of float64, then close the bracket.
    centre = np.broadcast_to(np.log(scale), shape)
    low, high = centre - 1.0, centre + 1.0
    for power in range(12):
        over, under = reached & (excess(low) >= 0), reached & (excess(high) < 0)
        if not (over.any() or under.any()):
            break
        low = np.maximum(np.where(over, low - 2.0**power, low), -740.0)
        high = np.minimum(np.where(under, high + 2.0**power, high), 709.0)
    reached = reached & (excess(high) >= 0)  # what is still late there lies beyond float64
    value = np.where(reached, np.exp(_crossing(excess, low, high, reached)), np.inf)
    return np.asarray(np.where(q == 0, 0.0, value))


def _crossing(excess: Callable[[Array], Any], low: Array, high: Array, wanted: Any) -> Array:
    """Where a function changes from negative to not negative, to the last bits of float64.

    By inverse quadratic interpolation where it is safe, else by bisection.

    Source: T. R. Chandrupatla, Adv. Eng. Softw. 28 (1997) 145.
    """
    # the newest point, the other end of the bracket, and the one that was dropped last
    new, other = low, high
    at_new, at_other = excess(low), excess(high)
    last, at_last = other, at_other
    share = np.full(low.shape, 0.5)
    for _ in range(_MOST_STEPS):
        least = 2.0 * _EPS * np.maximum(np.abs(new), 1.0) / np.maximum(np.abs(other - new), 1e-300)
        open_ = wanted & (least < 0.5)
        if not open_.any():
            break
        share = np.clip(share, least, 1.0 - least)
        trial = np.where(open_, new + share * (other - new), new)
        at_trial = np.where(open_, excess(trial), at_new)
        same = (at_trial < 0) == (at_new < 0)
        last, at_last = np.where(same, new, other), np.where(same, at_new, at_other)
        other, at_other = np.where(same, other, new), np.where(same, at_other, at_new)
        new, at_new = trial, at_trial
        x = (new - other) / (last - other)
        y = (at_new - at_other) / (at_last - at_other)
        safe = (y * y < x) & ((1.0 - y) ** 2 < 1.0 - x)
        inverse = at_new / (at_other - at_new) * at_last / (at_other - at_last)
        slope = at_new / (at_last - at_new) * at_other / (at_last - at_other)
        inverse = inverse + (last - new) / (other - new) * slope
        share = np.where(safe & np.isfinite(inverse), inverse, 0.5)
    return np.where(np.abs(at_new) < np.abs(at_other), new, other)


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
