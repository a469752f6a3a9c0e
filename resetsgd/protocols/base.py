"""What a protocol is, and what it asks of a passage time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Self
from typing import Protocol as Interface

import numpy as np

from resetsgd.domain import Array, Real

__all__ = ["Clocked", "Protocol", "Trial", "hat_weights"]


class Trial(NamedTuple):
    """What happens between two resets, in logarithms (real or complex, as s is).

    ``log_success`` is log E[exp(-sT); T < R]; ``log_mean`` is log M(s), the duration over it.
    ``mean`` is M(s) itself, infinite where it overflows, if it is known without the logarithm.
    """

    log_success: Any
    log_mean: Any
    mean: Any = None


class Clocked(Interface):
    """What a protocol asks of a passage time."""

    def trial_exponential(self, rate: Any, s: Any = 0.0) -> Trial:
        """Trial against an exponential waiting time."""

    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time."""

    def trial_lattice(self, log_keep: Any, step: Any, s: Any, look_first: bool) -> Trial:
        """Trial against a coin at every multiple of ``step``, kept with log-probability given."""

    def mean_exponential(self, rate: Any) -> Any:
        """Mean under exponential waiting times."""

    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean) / d log(rate) under exponential waiting times."""

    def var_exponential(self, rate: Any) -> Any:
        """Variance under exponential waiting times."""

    @property
    def smooth(self) -> bool:
        """Whether T has a smooth density."""

    def survival(self, t: Any) -> Any:
        """P(T > t)."""

    def density(self, t: Any) -> Any:
        """Density of T at t."""

    def restricted_mean(self, tau: Any) -> Any:
        """E[min(T, tau)]."""

    def lasting(self, period: Any, s: Any) -> Any:
        """Integral of exp(-st) P(T > t) over (0, period)."""

    def truncated_var(self, tau: Any) -> Any:
        """Variance of T given T < tau."""


@dataclass(frozen=True, eq=False)
class Protocol(ABC):
    """Base of all protocols; compares and hashes by parameter values."""

    parameter: ClassVar[str]
    """Name of the parameter that ``best`` optimises."""
    slope_noise: ClassVar[float] = 1e-12
    """Rounding noise of ``slope``: smaller slopes are not told from zero."""
    keeps_smooth: ClassVar[bool] = False
    """Whether a smooth law stays smooth: no time is a reset time with positive probability."""
    slope_of_samples: ClassVar[bool] = True
    """Whether the mean of a sample of times is smooth in the parameter."""

    def _key(self) -> tuple[object, ...]:
        values = (np.asarray(getattr(self, field.name)) for field in fields(self))
        return (type(self), *((value.shape, value.tobytes()) for value in values))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Protocol) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    @property
    def shape(self) -> tuple[int, ...]:
        """Common shape of the parameters."""
        return np.broadcast_shapes(*(np.shape(getattr(self, field.name)) for field in fields(self)))

    @property
    def value(self) -> Real:
        """The parameter that ``best`` optimises."""
        value: Real = getattr(self, self.parameter)
        return value

    @classmethod
    @abstractmethod
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Make the member of the family that resets about ``frequency`` times per unit time."""

    @classmethod
    def most_frequent(cls, **fixed: Any) -> float:
        """The frequency from which on members of the family no longer differ in float64."""
        return float(np.inf)

    @classmethod
    def edge(cls, **fixed: Any) -> Self | None:
        """The most frequent member of the family, if there is one."""
        return None

    @abstractmethod
    def age_weights(self, times: Array) -> tuple[Array, Array]:
        """Weights of values known at ``times`` (rising from 0) in a long-run average, and the rest.

        The age is the time since the last reset, seen in the long run; values between the times are
        interpolated linearly. Returns weights of shape parameters + (len(times),), summing to one
        minus the second array, the probability to be older than ``times[-1]``.
        """

    @abstractmethod
    def trial(self, free: Clocked, s: Any = 0.0) -> Trial:
        """What happens between two resets of the reset-free passage time ``free``."""

    def mean(self, free: Clocked) -> Any:
        """Mean of the restarted passage time."""
        with np.errstate(over="ignore"):
            return np.exp(self.trial(free).log_mean)

    @abstractmethod
    def var(self, free: Clocked) -> Any:
        """Variance of the restarted passage time."""

    def slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(frequency), or None where only values can be compared."""
        return None

    def survival(self, free: Clocked, t: Array) -> Any:
        """P(restarted passage time > t) where a finite formula exists, else None."""
        return None

    def density(self, free: Clocked, t: Array) -> Any:
        """Density of the restarted passage time where a finite formula exists, else None."""
        return None

    def lasting(self, free: Clocked, t: Array, s: Any) -> Any:
        """Integral of exp(-su) survival(u) over (0, t) where a finite formula exists, else None."""
        return None

    @abstractmethod
    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Independent waiting times between resets, shape (n,) + shape of the parameters."""

    def wins(self, times: Array, waits: Array) -> Any:
        """Where an arrival counts against a reset due at ``waits``: strictly before it."""
        return times < waits


def hat_weights(areas: Array, gap: Array, rest: Array) -> tuple[Array, Array]:
    """Weights of the nodes of a piecewise linear function from the areas under P(age > t)."""
    rise = areas / gap
    weights = np.zeros((*areas.shape[:-1], areas.shape[-1] + 1))
    weights[..., 0] = 1.0
    weights[..., :-1] -= rise
    weights[..., 1:] += rise
    weights[..., -1] -= rest
    return weights, rest
