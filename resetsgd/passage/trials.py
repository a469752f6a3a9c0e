"""Trials of a passage time against a waiting time: what protocols ask, by default.

From the transform and the survival function; a passage time that knows better overrides the method
of :class:`~resetsgd.PassageTime` that calls these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd.domain import QUIET, Array
from resetsgd.errors import NotConverged
from resetsgd.passage import inversion, steep
from resetsgd.passage.arrangements import exp_excess, log_expm1
from resetsgd.protocols.base import WIDE_STEP, Trial, imaginary_slope

if TYPE_CHECKING:
    from resetsgd.passage.base import PassageTime

__all__ = [
    "exponential",
    "fixed",
    "lasting",
    "lattice",
    "mean_exponential",
    "slope_exponential",
    "truncated_var",
    "unless_endless",
    "var_exponential",
]

_STEP = 1e-30
"""Relative complex step of derivatives: far below rounding, far above underflow."""
_UNSEEN = 40.0
"""exp(-x) from here on is nothing next to 1."""


@QUIET
def exponential(free: PassageTime, rate: Any, s: Any = 0.0) -> Trial:
    """Trial against an exponential waiting time: everything is the transform at rate + s."""
    x = np.asarray(rate + s)
    zero = x == 0
    if zero.all():  # never reset: the reset-free mean itself
        shape = np.broadcast_shapes(x.shape, free.shape)
        log_mean = np.broadcast_to(np.asarray(free.log_mean()), shape)
        return Trial(np.broadcast_to(free._log_laplace(np.zeros(free.shape)), shape), log_mean)
    where = np.where(zero, 1.0, x)
    log_success = np.asarray(free._log_laplace(where))
    log_mean = log_expm1(-log_success) - np.log(where)
    if zero.any():
        log_success = np.where(zero, free._log_laplace(np.zeros(free.shape)), log_success)
        log_mean = np.where(zero, free.log_mean(), log_mean)
    return Trial(log_success, log_mean)


def mean_exponential(free: PassageTime, rate: Any) -> Any:
    """Mean under exponential waiting times, (exp(L) - 1)/r with L = -log_laplace(r)."""
    rate = np.asarray(rate, dtype=np.float64)
    positive = np.where(rate > 0, rate, 1.0)
    with np.errstate(over="ignore"):
        value = np.expm1(-np.asarray(free._log_laplace(positive))) / positive
    return np.where(rate > 0, value, free.mean())


def slope_exponential(free: PassageTime, rate: Any) -> Any:
    """d log(mean) / d log(rate) = r L'/(1 - exp(-L)) - 1 with L = -log_laplace(r)."""
    rate = np.asarray(rate, dtype=np.float64)
    level, rise = turned(free, rate)
    slope = rise / -np.expm1(-level) - 1.0
    slope = np.where(np.abs(slope) < 2e-15, 0.0, slope)  # rounding of a difference from 1
    mean, var = np.asarray(free.mean()), np.asarray(free.var())
    small = np.isfinite(mean) & np.isfinite(var) & (rate * mean < 1e-2)
    if not small.any():
        return slope
    # At small rates the two terms nearly cancel, next to CV = 1 altogether: there the slope is
    # (exp(-L) - 1 + L) - (L - r L'), the last bracket from the cumulants.
    try:
        _, _, _, third, fourth, fifth = free._cumulants(5)
    except NotConverged:
        unresolved = small & (np.abs(slope) < 1e-15)
        return np.where(unresolved, 0.5 * rate * (mean - var / mean), slope)
    bend = rate * rate * (var / 2 - rate * (third / 3 - rate * (fourth / 8 - rate * fifth / 30)))
    small &= np.abs(rate**3 * fifth) < 1e-12 * np.maximum(var, mean * mean)
    rise = exp_excess(np.where(small, level, 1.0)) - bend
    return np.where(small, rise / -np.expm1(-level), slope)


def turned(free: PassageTime, rate: Any) -> tuple[Any, Any]:
    """L = -log_laplace(rate) and rate dL/d(rate), by imaginary steps."""
    if free.tiny_steps:
        value = -free._log_laplace(rate * (1.0 + _STEP * 1j))
        return value.real, value.imag / _STEP
    rise = imaginary_slope(lambda x: -free._log_laplace(rate * (1.0 + x)), WIDE_STEP)
    return -np.real(free._log_laplace(rate)), rise


def var_exponential(free: PassageTime, rate: Any) -> Any:
    """Variance 2 exp(L) (sinh L - r L') / r², L = -log_laplace(r)."""
    rate = np.asarray(rate, dtype=np.float64)
    positive = np.where(rate > 0, rate, 1.0)
    rise, slope = turned(free, positive)
    with np.errstate(over="ignore", invalid="ignore"):
        value = 2.0 * np.exp(rise) * (np.sinh(rise) - slope) / positive**2
        value = np.where(np.isnan(value), np.inf, value)
    return np.where(rate > 0, value, free.var())


def lasting(free: PassageTime, period: Array, s: Any) -> Any:
    """Integral of exp(-st) P(T > t) over (0, period)."""
    period = np.broadcast_to(period, np.broadcast_shapes(np.shape(period), free.shape))
    if free.inverted and free.smooth and not np.iscomplexobj(s) and not np.ndim(s):
        # a transform itself: one inversion, not one at each node of a quadrature
        return steep.lasting(free._inverting, period, s)
    return inversion.integrate_damped(free.survival, s, period, free._marks())


@QUIET
def fixed(free: PassageTime, period: Any, s: Any = 0.0) -> Trial:
    """Trial against a fixed waiting time, by quadrature of the survival function."""
    shape = np.broadcast_shapes(np.shape(period), np.shape(s), free.shape)
    period = np.broadcast_to(np.asarray(period, dtype=np.float64), shape)
    infinite = np.isinf(period)
    if np.any(np.real(s) * period > _UNSEEN):
        # what arrives after the period counts at most exp(-s period), perhaps nothing to f(s)
        reach = np.where(infinite, 0.0, np.real(s) * np.where(infinite, 0.0, period))
        infinite = infinite | (reach + np.real(free._log_laplace(s)) > _UNSEEN)
    if free.inverted and np.iscomplexobj(s):
        infinite = infinite | _all_come(free, period, s)
    if infinite.all():
        return free.trial_exponential(np.zeros(period.shape), s)
    duration = free.lasting(np.where(infinite, 1.0, period), s)
    late = np.asarray(free.survival(period))
    # success = 1 - exp(-s tau) S(tau) - s duration, with the small parts kept apart
    success = -np.expm1(np.log(np.maximum(late, 1e-300)) - s * period) - s * duration
    success = np.where(np.asarray(s) == 0, 1.0 - late, success)
    if not np.iscomplexobj(success):
        success = np.maximum(success, 0.0)
    log_success = np.log(success)
    log_mean = np.log(duration) - log_success
    return unless_endless(free, Trial(log_success, log_mean), infinite, s)


def _all_come(free: PassageTime, period: Array, s: Any) -> Any:
    """Whether what arrives after a period is nothing, by Chebyshev, next to the transform."""
    mean, std = np.asarray(free.mean()), np.asarray(free.std())
    if not np.any(period > mean):
        return False
    apart = np.where(np.isfinite(std), std, np.inf) / (period - mean)  # 1/standard deviations
    near = (period > mean) & (np.maximum(apart, std / mean) * apart < 1e-17)
    return near & (np.real(free._log_laplace(s)) > -1.0)


@QUIET
def truncated_var(free: PassageTime, tau: Any) -> Any:
    """Variance of T given T < tau, by quadrature of the survival function."""
    tau = np.asarray(tau, dtype=np.float64)
    infinite = np.isinf(tau)
    finite = np.where(infinite, 1.0, tau)
    late = np.asarray(free.survival(finite))
    arrive = 1.0 - late
    marks = free._marks()
    first = inversion.integrate(lambda t: free.survival(t) - late, finite, marks) / arrive
    centred = inversion.integrate(
        lambda t: 2.0 * (t - first) * (free.survival(t) - late), finite, marks
    )
    value = np.where(arrive > 0, np.maximum(centred / arrive + first**2, 0.0), 0.0)
    return np.where(infinite, free.var(), value)


@QUIET
def lattice(free: PassageTime, log_keep: Any, step: Any, s: Any = 0.0) -> Trial:
    """Trial against a coin at multiples of ``step``; T continuous, so the order is moot.

    Over the transform (:func:`resetsgd.passage.inversion.lattice`), or coin by coin where
    coins that do not reset are rare.
    """
    shape = np.broadcast_shapes(np.shape(log_keep), np.shape(step), np.shape(s), free.shape)
    log_keep = np.broadcast_to(log_keep, shape)
    never, rare = log_keep == 0, np.real(log_keep) < -4.0
    if never.all():
        return free.trial_exponential(np.zeros(never.shape), s)
    rise, step = np.where(never, 1.0, -log_keep), np.asarray(step)
    summed = None if np.any(s) or np.ndim(step) else _summed_coins(free, log_keep, never, step)
    if summed is not None:
        return unless_endless(free, Trial(summed[0], summed[1] - summed[0]), never, s)
    log_success: Any = 0.0
    log_duration: Any = 0.0
    if rare.any():
        sharp = np.where(np.isinf(rise), 1e3, np.where(rare, rise, 5.0))
        log_success, log_duration = inversion.few_coins(free.trial_fixed, sharp, step, s)
    if not rare.all():
        summed = inversion.lattice(free._log_laplace, np.where(rare, 1.0, rise), step, s)
        log_success = np.where(rare, log_success, summed[0])
        log_duration = np.where(rare, log_duration, summed[1])
    return unless_endless(free, Trial(log_success, log_duration - log_success), never, s)


def _summed_coins(free: PassageTime, log_keep: Any, never: Any, step: Any) -> Any:
    """Coin by coin from a table of the law, if it has one that ends; else None."""
    from resetsgd.passage.coin_sums import coin_sums
    from resetsgd.passage.law_table import tabulated

    sums = coin_sums(tabulated(free), float(step))
    return None if sums is None else sums.trial(np.where(never, -1.0, log_keep))


def unless_endless(free: PassageTime, trial: Trial, endless: Any, s: Any) -> Trial:
    """The trial, and the reset-free passage time where the waiting time never ends."""
    if not endless.any():
        return trial
    unreset = free.trial_exponential(np.zeros(endless.shape), s)
    return Trial(
        np.where(endless, unreset.log_success, trial.log_success),
        np.where(endless, unreset.log_mean, trial.log_mean),
    )
