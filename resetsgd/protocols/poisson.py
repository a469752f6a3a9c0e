"""Resets at a constant rate."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, Real
from resetsgd.errors import DomainError
from resetsgd.protocols.base import Clocked, Protocol, Trial, hat_weights
from resetsgd.protocols.families import Gamma
from resetsgd.protocols.geometric import Geometric

__all__ = ["Poisson"]


@dataclass(frozen=True, eq=False, repr=False)
class Poisson(Protocol):
    """Resets at a constant rate: exponential waiting times.

    Parameters
    ----------
    rate : float or array
        Resets per unit time, 1/time. Zero (never) or positive, finite.
    overhead : float, array or frozen distribution of ``scipy.stats``, default 0
        Time lost at each reset that works.
    success : float or array, default 1
        Probability that a reset works; otherwise nothing happens, and no time is lost.
    partial : float, optional
        Each reset multiplies the distance to the target by this factor, in [0, 1), instead of going
        back to the start. For drift-diffusion to a point only.

    Raises
    ------
    DomainError
        If the rate is negative, infinite or NaN, or another argument is outside its range.

    Examples
    --------
    >>> Poisson(rate=0.7)
    Poisson(rate=0.7)
    """

    rate: Real
    success: Real = field(default=1.0, kw_only=True)
    partial: float | None = field(default=None, kw_only=True)
    parameter: ClassVar[str] = "rate"
    keeps_smooth: ClassVar[bool] = True
    slope_noise: ClassVar[float] = 0.0  # arranged to be exact next to the transition

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rate", domain.nonnegative("rate", self.rate))
        object.__setattr__(self, "success", domain.probability("success", self.success))
        if self.partial is not None:
            factor = domain.within("partial", self.partial, 0.0, 1.0, open_high=True)
            object.__setattr__(self, "partial", factor)

    @property
    def working_rate(self) -> Real:
        """Rate of the resets that work."""
        return self.rate * self.success

    @property
    def most_resets_a_time(self) -> Any:
        """The rate."""
        return self.working_rate

    @classmethod
    def rare_order(cls, **fixed: Any) -> float | None:
        """One: E[T^2] > 2 E[T]^2 is CV > 1."""
        return 1.0

    @classmethod
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Make the protocol with this rate, of whole resets."""
        if fixed.get("partial") is not None:
            raise DomainError("partial", fixed["partial"], "None: partial resets are not searched")
        return cls(rate=frequency, **fixed)

    def trial(self, free: Clocked, s: Any = 0.0) -> Trial:
        """Trial between two resets: the Laplace transform of T at rate + s."""
        return free.trial_exponential(self.working_rate, s)

    def resets(self, free: Clocked) -> Any:
        """Mean number of resets before arrival, rate times mean."""
        rate = np.asarray(self.working_rate)
        return np.where(rate > 0, rate * np.where(rate > 0, self._mean(free), 0.0), 0.0)

    def failed(self, free: Clocked) -> Any:
        """E[R; R < T] = r E[min(T, R)²]/2."""
        return 0.5 * self.working_rate * self.squared(free)

    def squared(self, free: Clocked) -> Any:
        """E[min(T, R)²]: its variance is that of the restarted time times the success squared."""
        trial = self.trial(free)
        success = np.exp(trial.log_success)
        stretch = np.exp(trial.log_success + trial.log_mean)
        return success * success * self._var(free) + stretch * stretch

    def _mean(self, free: Clocked) -> Any:
        """Mean of the restarted passage time, not through its logarithm."""
        return free.mean_exponential(self.working_rate)

    def _var(self, free: Clocked) -> Any:
        """Variance of the restarted passage time."""
        return free.var_exponential(self.working_rate)

    def _slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(rate)."""
        return free.slope_exponential(self.working_rate)

    def _resets_slope(self, free: Clocked) -> Any:
        """As the resets are rate times mean."""
        return 1.0 + self._slope(free)

    @cached_property
    def _waits(self) -> Gamma:
        """The same protocol, as waiting times of one stage."""
        return Gamma(self.working_rate, stages=1.0, overhead=self.overhead)

    def _lawful(self, free: Clocked, t: Array) -> Protocol | None:
        """The protocol that a law is found by; None where its transform is inverted."""
        if free.smooth:
            return None
        return self._waits if free.fronted else self._coins(t)

    def survival(self, free: Clocked, t: Array) -> Any:
        """By Laplace inversion if T is smooth (None), else by the renewal equation in time.

        Where T is no density between atoms either, from a fine lattice of coins.
        """
        law = self._lawful(free, t)
        return None if law is None else law.survival(free, t)

    def density(self, free: Clocked, t: Array) -> Any:
        """In the same ways."""
        law = self._lawful(free, t)
        return None if law is None else law.density(free, t)

    def lasting(self, free: Clocked, t: Array, s: Any) -> Any:
        """By the panels of the renewal equation, where it is solved."""
        return self._waits.lasting(free, t, s) if free.fronted else None

    def _coins(self, t: Array) -> Geometric:
        """The same rate on 2^13 coins: relative error of survival about rate t / 2^14."""
        step = float(np.max(t, initial=0.0)) / 2**13 or 1.0
        return Geometric.at_frequency(self.working_rate, step=step, overhead=self.overhead)

    def age_weights(self, times: Array) -> tuple[Array, Array]:
        """Exponential ages."""
        rate = np.asarray(self.working_rate)[..., None]
        older = np.exp(-rate * times)
        gap = np.diff(times)
        x = rate * gap
        # integral of P(age > t) over each gap, (1 - exp(-x))/rate
        areas = np.where(x > 0, -np.expm1(-x) / np.where(x > 0, rate, 1.0), gap) * older[..., :-1]
        return hat_weights(areas, gap, older[..., -1])

    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Independent waiting times between resets."""
        rate = np.asarray(self.working_rate)
        with np.errstate(divide="ignore"):
            scale = np.divide(1.0, rate)
        # An infinite scale (rate 0) must give inf, also for the rare variate that is exactly 0.
        draws = generator.standard_exponential((n, *rate.shape))
        return np.where(np.isinf(scale), np.inf, draws * np.where(np.isinf(scale), 1.0, scale))
