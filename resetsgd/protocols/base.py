"""What a protocol is, and what it asks of a passage time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self
from typing import Protocol as Interface

import numpy as np

from resetsgd.domain import Array, Real
from resetsgd.protocols.overhead import NO_OVERHEAD, Overhead, spent

__all__ = ["WIDE_STEP", "Clocked", "Protocol", "Trial", "hat_weights", "imaginary_slope", "spent"]

WIDE_STEP = 1e-3
"""Relative step of :func:`imaginary_slope`."""


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

    def trial_waiting(self, law: Any, s: Any = 0.0) -> Trial:
        """Trial against a waiting time of any law, a ``WaitingTime``."""

    def moments_waiting(self, law: Any) -> Any:
        """Moments of a trial against a waiting time of any law, as ``WaitingMoments``."""

    def survival_waiting(self, law: Any, t: Any) -> Any:
        """P(restarted passage time > t) under a waiting time of any law."""

    def density_waiting(self, law: Any, t: Any) -> Any:
        """Density of the restarted passage time under a waiting time of any law."""

    def lasting_waiting(self, law: Any, t: Any, s: Any) -> Any:
        """Integral of exp(-su) survival(u) over (0, t) under a waiting time of any law, or None."""

    def mean_exponential(self, rate: Any) -> Any:
        """Mean under exponential waiting times."""

    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean) / d log(rate) under exponential waiting times."""

    def var_exponential(self, rate: Any) -> Any:
        """Variance under exponential waiting times."""

    @property
    def smooth(self) -> bool:
        """Whether T has a smooth density."""

    @property
    def fronted(self) -> bool:
        """Whether T has a density and atoms at known times."""

    def survival(self, t: Any) -> Any:
        """P(T > t)."""

    def density(self, t: Any) -> Any:
        """Density of T at t."""

    def hazard(self, t: Any) -> Any:
        """Density over survival at t."""

    @property
    def tail_resolved(self) -> float:
        """Survival probability down to which the hazard has digits."""

    def restricted_mean(self, tau: Any) -> Any:
        """E[min(T, tau)]."""

    def lasting(self, period: Any, s: Any) -> Any:
        """Integral of exp(-st) P(T > t) over (0, period)."""

    def truncated_var(self, tau: Any) -> Any:
        """Variance of T given T < tau."""


@dataclass(frozen=True, eq=False, repr=False)
class Protocol(ABC):
    """Base of all protocols; compares and hashes by parameter values.

    A subclass is the law of the waiting time between resets: it supplies ``trial``, ``_var``,
    ``waits``, ``at_frequency`` and ``age_weights``, and whatever else it knows in closed form. The
    methods that begin with an underscore leave the overhead out; it is put in here.

    Parameters
    ----------
    overhead : float, array or frozen distribution of ``scipy.stats``, default 0
        Time lost at each reset, keyword only.
    """

    overhead: Any = field(default=0.0, kw_only=True)
    sources: ClassVar[tuple[str, ...]] = ()
    """Keys of ``resetsgd.citations``."""
    parameter: ClassVar[str]
    """Name of the parameter that ``best`` optimises."""
    slope_noise: ClassVar[float] = 1e-12
    """Rounding noise of ``slope``: smaller slopes are not told from zero."""
    keeps_smooth: ClassVar[bool] = False
    """Whether a smooth law stays smooth: no time is a reset time with positive probability."""
    tiny_steps: ClassVar[bool] = True
    """Whether a trial keeps imaginary parts of s far below rounding of the real ones."""
    slope_of_samples: ClassVar[bool] = True
    """Whether the mean of a sample of times is smooth in the parameter."""

    def __post_init__(self) -> None:
        if isinstance(self.overhead, float) and self.overhead == 0.0:  # the usual case, quickly
            object.__setattr__(self, "_lost", NO_OVERHEAD)
            return
        lost = Overhead(self.overhead)
        if lost.fixed:
            object.__setattr__(self, "overhead", lost.mean)
        object.__setattr__(self, "_lost", lost)

    def __repr__(self) -> str:
        ordered = sorted(fields(self), key=lambda item: bool(item.kw_only))
        values = ((item, getattr(self, item.name)) for item in ordered)
        shown = (
            f"{item.name}={value!r}"
            for item, value in values
            if item.default is MISSING or np.any(value != item.default)
        )
        return f"{type(self).__name__}({', '.join(shown)})"

    def _key(self) -> tuple[object, ...]:
        values = (np.asarray(getattr(self, item.name)) for item in fields(self))
        return (type(self), *((value.shape, value.tobytes()) for value in values))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Protocol) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Common shape of the parameters."""
        return np.broadcast_shapes(*(np.shape(getattr(self, item.name)) for item in fields(self)))

    @property
    def lost(self) -> Overhead:
        """The law of the time lost at each reset."""
        lost: Overhead = self.__dict__["_lost"]
        return lost

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
    def rare_order(cls, **fixed: Any) -> float | None:
        """Power k with which the chance of a reset before t falls at small frequency, as t^k.

        Rare resets then pay exactly if E[T^(k+1)] > (k + 1) E[T^k] (E[T] + overhead). None where
        it falls in another way.
        """
        return None

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
        mean = self._mean(free)
        if self.lost.none:
            return mean
        with np.errstate(all="ignore"):
            # no reset costs nothing, also where the mean without resets is infinite
            resets = np.asarray(self.resets(free))
            return mean + np.where(resets > 0, self.lost.mean * resets, 0.0)

    def var(self, free: Clocked) -> Any:
        """Variance of the restarted passage time."""
        var, lost = self._var(free), self.lost
        if lost.none:
            return var
        with np.errstate(all="ignore"):
            # A geometric number n of failed trials, each R | R < T and the time lost after it.
            resets = np.asarray(self.resets(free))
            failed = self.failed(free) / -np.expm1(self.trial(free).log_success)
            twice = 2.0 * failed + lost.mean
            extra = resets * lost.var + resets * (1.0 + resets) * lost.mean * twice
            total = var + np.where(resets > 0, extra, 0.0)
            return np.where(np.isnan(total), np.inf, total)  # beyond float64

    def resets(self, free: Clocked) -> Any:
        """Mean number of resets before arrival; ``inf`` if it never arrives between two resets."""
        with np.errstate(all="ignore"):
            return np.expm1(-np.real(self.trial(free).log_success))

    def slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(frequency), or None where only values can be compared."""
        slope = self._slope(free)
        if slope is None or self.lost.none:
            return slope
        tilt = self._resets_slope(free)
        if tilt is None:
            return None
        with np.errstate(all="ignore"):
            mean, lost = self._mean(free), self.lost.mean * np.asarray(self.resets(free))
            return (slope * mean + tilt * lost) / (mean + lost)

    def tilt(self, free: Clocked) -> Any:
        """The slope up to a positive factor, resolved also where the slope is below rounding."""
        return self.slope(free)

    def failed(self, free: Clocked) -> Any:
        """E[R; R < T], the mean time spent in a trial that ends by a reset, counted as 0 else."""
        trial = self.trial(free)
        with np.errstate(all="ignore"):
            h = WIDE_STEP * np.exp(-trial.log_mean)
            # E[min(T, R)] less E[T; T < R], minus the slope of the success in s
            won = -imaginary_slope(lambda s: np.exp(self.trial(free, s).log_success), h)
            return np.maximum(np.exp(trial.log_mean + trial.log_success) - won, 0.0)

    def squared(self, free: Clocked) -> Any:
        """E[min(T, R)²], from the variance of the restarted time."""
        trial = self.trial(free)
        with np.errstate(all="ignore"):
            success, mean = np.exp(trial.log_success), np.exp(trial.log_mean)
            return success * (self._var(free) + mean**2) - 2.0 * self.failed(free) * mean

    @property
    def most_resets_a_time(self) -> Any:
        """A bound on the mean number of resets per unit time; ``inf`` where none is known."""
        return np.inf

    def _mean(self, free: Clocked) -> Any:
        with np.errstate(over="ignore"):
            return np.exp(self.trial(free).log_mean)

    @abstractmethod
    def _var(self, free: Clocked) -> Any:
        """Variance of the restarted passage time."""

    def _slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(frequency), or None where only values can be compared."""
        return None

    def _resets_slope(self, free: Clocked) -> Any:
        """d log(resets) / d log(frequency), or None."""
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

    def continued(self, free: Clocked, t: Array, first: Any, later: Any) -> Any:
        """A function of t for a trial that goes on, after a reset, as something else; or None.

        ``first(t)`` is the function without resets (survival or density of ``free``), ``later(u)``
        the one from a reset on, a time u after it; sums or integrals over the first reset.
        """
        return None

    @abstractmethod
    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Independent waiting times between resets, shape (n,) + shape of the parameters."""

    def waits_after(self, elapsed: Array, generator: np.random.Generator) -> Array:
        """Waiting times for runs that have lasted so long: independent of it, for most."""
        return self.waits(len(elapsed), generator)

    def wins(self, times: Array, waits: Array) -> Any:
        """Where an arrival counts against a reset due at ``waits``: strictly before it."""
        return times < waits


def imaginary_slope(function: Callable[[Any], Any], h: Any) -> Any:
    """f'(0) from f(ih) and f(2ih), error of order h^4.

    For functions that lose tiny imaginary parts to rounding, where the usual complex step fails:
    a sum over coins takes its transform at complex points.
    """
    return (8.0 * np.imag(function(1j * h)) - np.imag(function(2j * h))) / (6.0 * h)


def hat_weights(areas: Array, gap: Array, rest: Array) -> tuple[Array, Array]:
    """Weights of the nodes of a piecewise linear function from the areas under P(age > t)."""
    rise = areas / gap
    weights = np.zeros((*areas.shape[:-1], areas.shape[-1] + 1))
    weights[..., 0] = 1.0
    weights[..., :-1] -= rise
    weights[..., 1:] += rise
    weights[..., -1] -= rest
    return weights, rest
