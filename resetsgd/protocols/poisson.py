"""Resets at a constant rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, Real
from resetsgd.protocols.base import Clocked, Protocol, Trial, hat_weights
from resetsgd.protocols.geometric import Geometric

__all__ = ["Poisson"]


@dataclass(frozen=True, eq=False)
class Poisson(Protocol):
    """Resets at a constant rate: exponential waiting times.

    Parameters
    ----------
    rate : float or array
        Resets per unit time, 1/time. Zero (never) or positive, finite.

    Raises
    ------
    DomainError
        If the rate is negative, infinite or NaN.

    Examples
    --------
    >>> Poisson(rate=0.7)
    Poisson(rate=0.7)
    """

    rate: Real
    parameter: ClassVar[str] = "rate"
    keeps_smooth: ClassVar[bool] = True
    slope_noise: ClassVar[float] = 0.0  # arranged to be exact next to the transition

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", domain.nonnegative("rate", self.rate))

    @classmethod
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Make the protocol with this rate."""
        return cls(rate=frequency, **fixed)

    def trial(self, free: Clocked, s: Any = 0.0) -> Trial:
        """Trial between two resets: the Laplace transform of T at rate + s."""
        return free.trial_exponential(self.rate, s)

    def mean(self, free: Clocked) -> Any:
        """Mean of the restarted passage time, not through its logarithm."""
        return free.mean_exponential(self.rate)

    def var(self, free: Clocked) -> Any:
        """Variance of the restarted passage time."""
        return free.var_exponential(self.rate)

    def slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(rate)."""
        return free.slope_exponential(self.rate)

    def survival(self, free: Clocked, t: Array) -> Any:
        """By Laplace inversion if T is smooth (None), else from a fine lattice of coins."""
        return None if free.smooth else self._coins(t).survival(free, t)

    def density(self, free: Clocked, t: Array) -> Any:
        """By Laplace inversion if T is smooth (None), else from a fine lattice of coins."""
        return None if free.smooth else self._coins(t).density(free, t)

    def _coins(self, t: Array) -> Geometric:
        """The same rate on 2^13 coins: relative error of survival about rate t / 2^14."""
        step = float(np.max(t, initial=0.0)) / 2**13 or 1.0
        return Geometric.at_frequency(self.rate, step=step)

    def age_weights(self, times: Array) -> tuple[Array, Array]:
        """Exponential ages."""
        rate = np.asarray(self.rate)[..., None]
        older = np.exp(-rate * times)
        gap = np.diff(times)
        x = rate * gap
        # integral of P(age > t) over each gap, (1 - exp(-x))/rate
        areas = np.where(x > 0, -np.expm1(-x) / np.where(x > 0, rate, 1.0), gap) * older[..., :-1]
        return hat_weights(areas, gap, older[..., -1])

    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Independent waiting times between resets."""
        with np.errstate(divide="ignore"):
            scale = np.divide(1.0, self.rate)
        # An infinite scale (rate 0) must give inf, also for the rare variate that is exactly 0.
        draws = generator.standard_exponential((n, *np.shape(self.rate)))
        return np.where(np.isinf(scale), np.inf, draws * np.where(np.isinf(scale), 1.0, scale))
