"""Resets after a fixed period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, Real
from resetsgd.protocols.base import Clocked, Protocol, Trial, hat_weights

__all__ = ["Sharp"]


@dataclass(frozen=True, eq=False)
class Sharp(Protocol):
    """Resets after every fixed period; an arrival before the end of the period counts.

    Parameters
    ----------
    period : float or array
        Time between resets. Positive; ``inf`` never resets.

    Raises
    ------
    DomainError
        If the period is not positive or NaN.

    Examples
    --------
    >>> Sharp(period=1.5)
    Sharp(period=1.5)
    """

    period: Real
    parameter: ClassVar[str] = "period"
    slope_of_samples: ClassVar[bool] = False  # it jumps at every time

    def __post_init__(self) -> None:
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

    def var(self, free: Clocked) -> Any:
        """Variance: a geometric number of failed periods plus the last, successful stretch."""
        late = free.survival(self.period)
        arrive = np.exp(free.trial_fixed(self.period).log_success)
        with np.errstate(all="ignore"):
            failed = np.where(late > 0, self.period * np.sqrt(late) / arrive, 0.0) ** 2
        return failed + free.truncated_var(self.period)

    def slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(1/period), from survival and density at the period."""
        trial = free.trial_fixed(self.period)
        success = np.exp(trial.log_success)
        duration = np.exp(trial.log_mean) * success
        late, rate = free.survival(self.period), free.density(self.period)
        return self.period * (rate / success - late / duration)

    def _split(self, t: Array) -> tuple[Array, Array]:
        """Number of whole periods in t and what is left of it."""
        whole = np.where(np.isinf(self.period), 0.0, np.floor(t / self.period))
        left = np.where(whole > 0, t - whole * np.asarray(self.period), t)
        return whole, np.where(np.isinf(whole), 0.0, np.maximum(left, 0.0))

    def _failed(self, free: Clocked, whole: Array) -> Any:
        """S(period)^whole, from the chance to arrive: it may be too small to be seen in S."""
        arrive = np.exp(free.trial_fixed(self.period).log_success)
        return np.where((whole == 0) | (arrive == 0), 1.0, np.exp(whole * np.log1p(-arrive)))

    @np.errstate(all="ignore")
    def survival(self, free: Clocked, t: Array) -> Any:
        """S(period)^k S(t - k period), k the whole periods in t."""
        whole, left = self._split(t)
        return self._failed(free, whole) * free.survival(left)

    @np.errstate(all="ignore")
    def density(self, free: Clocked, t: Array) -> Any:
        """S(period)^k f(t - k period), k the whole periods in t."""
        whole, left = self._split(t)
        return self._failed(free, whole) * free.density(left)

    @np.errstate(all="ignore")
    def lasting(self, free: Clocked, t: Array, s: Any) -> Any:
        """A geometric series of whole periods, and what is left."""
        whole, left = self._split(t)
        period = np.where(np.isinf(self.period), 1.0, self.period)
        log_stay = np.log1p(-np.exp(free.trial_fixed(period).log_success)) - s * period
        stays = log_stay == 0
        series = np.expm1(whole * log_stay) / np.expm1(np.where(stays, -1.0, log_stay))
        value = np.where(whole > 0, np.where(stays, whole, series) * free.lasting(period, s), 0.0)
        rest = free.lasting(np.where(left > 0, left, 1.0), s)
        kept = np.where(whole > 0, np.exp(whole * log_stay), 1.0)
        return value + np.where(left > 0, kept * rest, 0.0)

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
