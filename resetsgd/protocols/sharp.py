"""Resets after a fixed period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, Real
from resetsgd.protocols.base import Clocked, Protocol, Trial, hat_weights, spent

__all__ = ["Sharp"]


@dataclass(frozen=True, eq=False, repr=False)
class Sharp(Protocol):
    """Resets after every fixed period; an arrival before the end of the period counts.

    Parameters
    ----------
    period : float or array
        Time between resets. Positive; ``inf`` never resets.
    overhead : float, array or frozen distribution of ``scipy.stats``, default 0
        Time lost at each reset; the next period begins after it.

    Raises
    ------
    DomainError
        If the period is not positive or NaN.

    Examples
    --------
    >>> Sharp(period=1.5)
    Sharp(period=1.5)

    A reset that works with probability q only is ``Geometric(probability=q, step=period,
    order="move-look-coin")``.
    """

    period: Real
    parameter: ClassVar[str] = "period"
    slope_of_samples: ClassVar[bool] = False  # it jumps at every time

    def __post_init__(self) -> None:
        super().__post_init__()
        value = domain.within("period", self.period, 0.0, np.inf, open_low=True)
        object.__setattr__(self, "period", value)

    @classmethod
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Make the protocol with period 1/frequency."""
        with np.errstate(divide="ignore", over="ignore"):
            return cls(period=np.divide(1.0, frequency), **fixed)

    def trial(self, free: Clocked, s: Any = 0.0) -> Trial:
        """Trial between two resets: T truncated at the period."""
        return free.trial_fixed(self.period, s)

    def _var(self, free: Clocked) -> Any:
        """Variance: a geometric number of failed periods plus the last, successful stretch."""
        late = free.survival(self.period)
        arrive = np.exp(free.trial_fixed(self.period).log_success)
        with np.errstate(all="ignore"):
            failed = np.where(late > 0, self.period * np.sqrt(late) / arrive, 0.0) ** 2
        return failed + free.truncated_var(self.period)

    def _slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(1/period), from survival and density at the period."""
        trial = free.trial_fixed(self.period)
        success = np.exp(trial.log_success)
        duration = np.exp(trial.log_mean) * success
        late, rate = free.survival(self.period), free.density(self.period)
        return self.period * (rate / success - late / duration)

    def _resets_slope(self, free: Clocked) -> Any:
        """d log(resets) / d log(1/period), resets S/(1 - S)."""
        success = np.exp(free.trial_fixed(self.period).log_success)
        late, rate = free.survival(self.period), free.density(self.period)
        return self.period * rate / (success * late)

    def failed(self, free: Clocked) -> Any:
        """E[R; R < T], the period times the chance that T is longer."""
        late = np.asarray(free.survival(self.period))
        return np.where(late > 0, self.period, 0.0) * late

    def tilt(self, free: Clocked) -> Any:
        """Hazard times mean less 1: has digits where the slope is a hazard times nothing left."""
        if not self.lost.none:
            return self.slope(free)
        with np.errstate(all="ignore"):
            tilt = free.hazard(self.period) * np.asarray(self._mean(free)) - 1.0
            known = np.asarray(free.survival(self.period)) >= free.tail_resolved
            return np.where(known, tilt, 0.0)

    def squared(self, free: Clocked) -> Any:
        """E[min(T, R)²]: the spread of the arrivals, their mean, and the period of the others."""
        trial = free.trial_fixed(self.period)
        success = np.exp(trial.log_success)
        late = self.failed(free)
        first = np.where(success > 0, np.exp(trial.log_mean) - late / success, 0.0)
        spread = success * (free.truncated_var(self.period) + first**2)
        return spread + np.where(late > 0, self.period * late, 0.0)

    def _split(self, t: Array) -> tuple[Array, Array, Array]:
        """Whole cycles in t (a period and its overhead), the time into the period, and after it."""
        period, lost = np.asarray(self.period), np.asarray(self.lost.mean)
        cycle = period + lost
        whole = np.where(np.isinf(period), 0.0, np.floor(t / cycle))
        left = np.where(whole > 0, t - whole * cycle, t)
        left = np.where(np.isinf(whole), 0.0, np.maximum(left, 0.0))
        return whole, np.minimum(left, period), np.where(left > period, left - period, 0.0)

    def _failed(self, free: Clocked, whole: Array) -> Any:
        """S(period)^whole, from the chance to arrive: it may be too small to be seen in S."""
        arrive = np.exp(free.trial_fixed(self.period).log_success)
        return np.where((whole == 0) | (arrive == 0), 1.0, np.exp(whole * np.log1p(-arrive)))

    @np.errstate(all="ignore")
    def survival(self, free: Clocked, t: Array) -> Any:
        """S(period)^k S(t - k cycle), k the whole cycles in t; None if the overhead is random."""
        if not self.lost.fixed:
            return None
        whole, left, _ = self._split(t)
        return self._failed(free, whole) * free.survival(left)

    @np.errstate(all="ignore")
    def density(self, free: Clocked, t: Array) -> Any:
        """S(period)^k f(t - k cycle), k the whole cycles in t; None if the overhead is random."""
        if not self.lost.fixed:
            return None
        whole, left, after = self._split(t)
        return np.where(after > 0, 0.0, self._failed(free, whole) * free.density(left))

    @np.errstate(all="ignore")
    def lasting(self, free: Clocked, t: Array, s: Any) -> Any:
        """A geometric series of whole cycles, and what is left."""
        if not self.lost.fixed:
            return None
        whole, left, after = self._split(t)
        period = np.where(np.isinf(self.period), 1.0, self.period)
        lost = np.asarray(self.lost.mean)
        log_late = np.log1p(-np.exp(free.trial_fixed(period).log_success)) - s * period
        log_stay = log_late - s * lost
        stays = log_stay == 0
        series = np.expm1(whole * log_stay) / np.expm1(np.where(stays, -1.0, log_stay))
        cycle = free.lasting(period, s) + np.exp(log_late) * spent(lost, s)
        value = np.where(whole > 0, np.where(stays, whole, series) * cycle, 0.0)
        rest = np.where(left > 0, free.lasting(np.where(left > 0, left, 1.0), s), 0.0)
        rest = rest + np.where(after > 0, np.exp(log_late) * spent(after, s), 0.0)
        kept = np.where(whole > 0, np.exp(whole * log_stay), 1.0)
        return value + kept * rest

    @np.errstate(all="ignore")
    def continued(self, free: Clocked, t: Array, first: Any, later: Any) -> Any:
        """What the first period gives, and after a reset what ``later`` gives."""
        period = np.asarray(self.period)
        reset = t >= period
        rest = np.where(reset, t - np.where(reset, period, 0.0), 0.0)
        late = free.survival(period)
        return np.where(reset, late * later(rest), first(np.minimum(t, period)))

    def age_weights(self, times: Array) -> tuple[Array, Array]:
        """Ages uniform on (0, period)."""
        period = np.asarray(self.period)[..., None]
        left = np.clip(1.0 - times / period, 0.0, None)
        areas = 0.5 * period * (left[..., :-1] ** 2 - left[..., 1:] ** 2)
        if np.isinf(period).any():
            areas = np.where(np.isinf(period), np.diff(times), areas)
        return hat_weights(areas, np.diff(times), left[..., -1])

    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """The period, n times."""
        return np.broadcast_to(np.asarray(self.period), (n, *np.shape(self.period)))
