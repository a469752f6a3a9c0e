"""Resets at a rate that changes with time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.domain import Array, Real
from resetsgd.errors import DomainError, NotConverged
from resetsgd.protocols.base import Clocked
from resetsgd.protocols.waiting import WaitingTime, area_below

__all__ = ["Hazard", "Schedule"]

_ORDER = 16
_LOW, _HIGH, _WIDTH = np.log(1e-60), np.log(1e60), 0.5
_ENOUGH = 800.0
"""Cumulative hazard after which nothing is left in float64."""
_MOST = 40_000


class Hazard:
    """A rate as a function of time and its integral from 0, on panels in log time.

    Parameters
    ----------
    function : callable
        Time to rate; of arrays, or of numbers.
    least : float
        Smallest factor on the rate: the panels end where nothing is left even with it.

    Raises
    ------
    DomainError
        If a rate is negative or NaN.
    NotConverged
        If the rate changes too often to be resolved before a reset is certain.
    """

    def __init__(self, function: Callable[[Any], Any], least: float) -> None:
        self.function = function
        nodes, weights = special.roots_legendre(_ORDER)
        self._to_coefficients = np.linalg.inv(np.polynomial.legendre.legvander(nodes, _ORDER - 1))
        self._integral = np.stack(
            [np.polynomial.legendre.legint(row, lbnd=-1.0) for row in np.eye(_ORDER)]
        )
        edges = np.arange(_LOW, _HIGH + _WIDTH, _WIDTH)
        for pieces in (1, 32, 32):
            edges = np.concatenate([edges[:-2], np.linspace(edges[-2], edges[-1], pieces + 1)])
            sums = 0.5 * np.diff(edges) * (weights @ self._values(edges[:-1], edges[1:], nodes))
            ended = np.flatnonzero(~(np.cumsum(sums) * least < _ENOUGH))
            if ended.size:
                edges = edges[: ended[0] + 2]
            if np.isfinite(sums[: len(edges) - 1]).all():
                break
        low, high = edges[:-1], edges[1:]
        found = self._to_coefficients @ self._values(low, high, nodes)
        signs = (-1.0) ** np.arange(_ORDER)
        for _ in range(60):
            last = np.max(np.abs(found[-2:]), axis=0)
            top = np.max(np.abs(found), axis=0)
            # a jump may hide between the last node and the end of a panel
            gap = np.abs(found.sum(axis=0)[:-1] - (signs @ found)[1:])
            jumps = gap > 1e-9 * np.maximum(top[:-1], top[1:])
            bad = last > 1e-13 * top
            bad[:-1] |= jumps
            bad[1:] |= jumps
            step = np.where(jumps, np.maximum(top[:-1], top[1:]), 0.0)
            worst = np.maximum(last, np.maximum(np.append(step, 0.0), np.append(0.0, step)))
            bad &= ((high - low) * worst * least > 1e-12) & (high - low > 4e-15)
            if not bad.any():
                break
            if low.size > _MOST:
                raise NotConverged(
                    "the rate changes too often to be resolved before a reset is certain: give it"
                    " a larger factor"
                )
            middle = 0.5 * (low[bad] + high[bad])
            left = np.concatenate([low[bad], middle])
            right = np.concatenate([middle, high[bad]])
            new = self._to_coefficients @ self._values(left, right, nodes)
            low = np.concatenate([low[~bad], left])
            order = np.argsort(low)
            low, high = low[order], np.concatenate([high[~bad], right])[order]
            found = np.concatenate([found[:, ~bad], new], axis=1)[:, order]
        self._coefficients = np.ascontiguousarray(found.T)
        self.edges = np.append(low, high[-1])
        half = 0.5 * np.diff(self.edges)
        first = float(np.exp(_LOW) * self._rates(np.exp(np.array([_LOW])))[0])
        self._rise = half[:, None] * (self._coefficients @ self._integral)
        self._sums = np.append(first, first + np.cumsum(self._rise.sum(axis=1)))

    def _rates(self, t: Array) -> Array:
        """The rate at times, checked."""
        try:
            with np.errstate(all="ignore"):
                value = np.asarray(self.function(t), dtype=np.float64)
            if value.shape != t.shape:
                value = np.broadcast_to(value, t.shape)
        except (TypeError, ValueError, OverflowError):
            value = np.array([self._rate(x) for x in t.ravel()]).reshape(t.shape)
        if np.isnan(value).any() or (value < 0).any():
            wrong = np.isnan(value) | (value < 0)
            raise DomainError("rate_function", float(value[wrong][0]), "zero or positive")
        return value

    def _rate(self, t: float) -> float:
        try:
            return float(self.function(t))
        except OverflowError:
            return np.inf

    def _values(self, low: Array, high: Array, nodes: Array) -> Array:
        """Rate times time at the nodes of panels."""
        x = 0.5 * (low + high) + 0.5 * (high - low) * nodes[:, None]
        t = np.exp(x)
        return t * self._rates(t)

    def _series(self, table: Array, t: Array) -> tuple[Any, Any]:
        x = np.clip(np.log(np.maximum(t, 1e-300)), self.edges[0], self.edges[-1])
        place = np.clip(np.searchsorted(self.edges, x) - 1, 0, len(self.edges) - 2)
        low, high = self.edges[place], self.edges[place + 1]
        u = (2.0 * x - low - high) / (high - low)
        later: Any = np.zeros_like(u)
        last: Any = np.zeros_like(u)
        for k in range(table.shape[1] - 1, 0, -1):  # Clenshaw
            later, last = (
                table[place, k] + (2 * k + 1) / (k + 1) * u * later - (k + 1) / (k + 2) * last,
                later,
            )
        return place, table[place, 0] + u * later - 0.5 * last

    def rate(self, t: Any) -> Any:
        """The rate at times."""
        t = np.asarray(t, dtype=np.float64)
        t = np.maximum(t, np.exp(self.edges[0]))
        return np.maximum(self._series(self._coefficients, t)[1], 0.0) / t

    def total(self, t: Any) -> Any:
        """Integral of the rate from 0."""
        t = np.asarray(t, dtype=np.float64)
        place, inner = self._series(self._rise, t)
        return np.where(t > np.exp(self.edges[0]), self._sums[place] + inner, self._sums[0])

    def inverse(self, total: Any) -> Any:
        """Time at which the integral of the rate has reached a value; ``inf`` if it never does."""
        total = np.asarray(total, dtype=np.float64)
        place = np.clip(np.searchsorted(self._sums, total) - 1, 0, len(self.edges) - 2)
        low, high = self.edges[place], self.edges[place + 1]
        x = 0.5 * (low + high)
        for step in range(12):  # Newton's method in log time, kept within the bracket
            t = np.exp(x)
            gap = self.total(t) - total
            low, high = np.where(gap < 0, x, low), np.where(gap < 0, high, x)
            rise = t * self.rate(t)
            x = x - gap / np.where(rise > 0, rise, np.inf)
            outside = ~((x >= low) & (x <= high)) | (step < 2)
            x = np.where(outside, 0.5 * (low + high), x)
        return np.where(total > self._sums[-1], np.inf, np.exp(x))

    def kinks(self) -> Array:
        """Times at which the rate jumps or bends: where the panels have become tiny."""
        kinks = np.exp(self.edges[1:][np.diff(self.edges) < 1e-12])
        return np.asarray(kinks[np.append(True, np.diff(kinks) > 1e-9 * kinks[1:])[: kinks.size]])


@lru_cache(maxsize=32)
def _hazard(function: Callable[[Any], Any], power: int) -> Hazard:
    return Hazard(function, 2.0**power)


@dataclass(frozen=True, eq=False, repr=False)
class Schedule(WaitingTime):
    """Resets at a rate that changes with time: ``factor`` times ``rate_function``.

    Parameters
    ----------
    rate_function : callable
        Time to resets per unit time, 1/time; of an array of times, or of one. Zero or positive.
    clock : {"age", "run"}
        What time is: that since the last reset, a waiting time with this hazard; or that since the
        run began, resets of an inhomogeneous Poisson process.
    factor : float or array, default 1
        Factor on the rate, which ``best`` optimises. Zero or positive; zero never resets.
    overhead : float, array or frozen distribution of ``scipy.stats``, default 0
        Time lost at each reset, keyword only; for the clock "age".

    Raises
    ------
    DomainError
        If an argument is outside its range, or the rate is negative or NaN somewhere.
    NotConverged
        If the rate changes too often to be resolved before a reset is certain.

    Notes
    -----
    Rates are resolved to 1e-13 between the times 1e-60 and 1e60, also next to jumps. For the clock
    "run" the survival Q solves, with S that of T and L the integral of the rate,

        Q(t) = S(t) exp(-L(t)) + integral of r(u) Q(u) S(t - u) exp(L(u) - L(t)) over 0 < u < t.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> ageing = rs.Schedule(lambda t: 4.0 * t)  # waiting times of Weibull's law, exponent 2
    >>> round(T.under(ageing).mean() / T.under(rs.Weibull(scale=0.5**0.5, exponent=2.0)).mean(), 9)
    1.0
    >>> cooling = rs.Schedule(lambda t: 2.0 / (1.0 + 0.1 * t), clock="run")
    >>> round(T.under(cooling).mean(), 6)
    1.591726
    """

    rate_function: Callable[[Any], Any]
    clock: str = "age"
    factor: Real = 1.0
    parameter: ClassVar[str] = "factor"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.rate_function):
            raise DomainError("rate_function", self.rate_function, "a function of time")
        domain.choice("clock", self.clock, ("age", "run"))
        object.__setattr__(self, "factor", domain.nonnegative("factor", self.factor))
        if self.running and not self.lost.none:
            raise DomainError("overhead", self.overhead, "0 for a rate of the clock 'run'")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the factor and the overhead."""
        return np.broadcast_shapes(np.shape(self.factor), np.shape(self.overhead))

    @property
    def running(self) -> bool:
        """Whether the rate is one of the time since the run began."""
        return self.clock == "run"

    @property
    def hazard(self) -> Hazard:
        """The rate without the factor, and its integral."""
        factors = np.asarray(self.factor)
        least = float(np.min(factors[factors > 0])) if (factors > 0).any() else 1.0
        power = int(np.floor(np.log2(least)))
        if not self.running:
            return _hazard(self.rate_function, power)
        try:  # a run lives through many resets, a waiting time through one
            return _hazard(self.rate_function, power - 6)
        except NotConverged:
            return _hazard(self.rate_function, power - 2)

    @classmethod
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Make the schedule with this factor."""
        return cls(factor=frequency, **fixed)

    @property
    def never(self) -> Any:
        """Where the factor is zero."""
        return np.broadcast_to(np.asarray(self.factor) == 0, self.shape)

    @np.errstate(all="ignore")
    def waiting_survival(self, t: Any) -> Any:
        """P(R > t) for a reset at time 0."""
        return np.exp(-np.asarray(self.factor) * self.hazard.total(t))

    @np.errstate(all="ignore")
    def waiting_density(self, t: Any) -> Any:
        """Density of R at t."""
        return np.asarray(self.factor) * self.hazard.rate(t) * self.waiting_survival(t)

    @np.errstate(all="ignore")
    def waiting_tilt(self, t: Any) -> Any:
        """-d P(R > t) / d log(factor)."""
        total = np.asarray(self.factor) * self.hazard.total(t)
        return total * np.exp(-total)

    def waiting_mean(self) -> Any:
        """E[R]."""
        value = np.empty(self.shape)
        for place in np.ndindex(self.shape):
            law = self._at(place) if self.shape else self
            end = (
                float(law.hazard.inverse(45.0 / float(np.asarray(law.factor))))
                if not np.any(law.never)
                else np.inf
            )
            marks = law.waiting_marks()
            value[place] = (
                area_below(law.waiting_survival, np.asarray(end), marks)
                if np.isfinite(end)
                else np.inf
            )
        return value

    @np.errstate(all="ignore")
    def waiting_marks(self) -> Array:
        """Times at which the expected number of resets has reached some values, and the kinks."""
        levels = np.array([1e-9, 1e-3, 0.03, 0.2, 0.5, 1.0, 2.0, 5.0, 12.0, 40.0])
        spread = levels.reshape(-1, *(1,) * len(self.shape)) / np.asarray(self.factor)
        marks = np.broadcast_to(self.hazard.inverse(spread), (levels.size, *self.shape))
        return np.concatenate([marks, self.waiting_kinks()])

    def waiting_kinks(self) -> Array:
        """Times at which the rate jumps or bends."""
        kinks = self.hazard.kinks()[:64]
        return np.broadcast_to(
            kinks.reshape(-1, *(1,) * len(self.shape)), (kinks.size, *self.shape)
        )

    def resets(self, free: Clocked) -> Any:
        """Mean number of resets before arrival."""
        if self.running:
            return free.moments_waiting(self).resets
        return super().resets(free)

    def _slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(factor), for the clock "age"."""
        return None if self.running else super()._slope(free)

    def failed(self, free: Clocked) -> Any:
        """E[R; R < T], for the clock "age"."""
        if self.running:
            raise DomainError("clock", self.clock, "'age': a run is no sequence of trials")
        return super().failed(free)

    def age_weights(self, times: Array) -> tuple[Array, Array]:
        """Ages of stationary density P(R > age)/E[R], for the clock "age"."""
        if self.running:
            raise DomainError("clock", self.clock, "'age': else there is no long-run age")
        return super().age_weights(times)

    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Independent waiting times, from time 0 on."""
        return self.waits_after(np.zeros((n, *self.shape)), generator)

    @np.errstate(all="ignore")
    def waits_after(self, elapsed: Array, generator: np.random.Generator) -> Array:
        """Waiting times from the times that the run has lasted."""
        draws = generator.standard_exponential(elapsed.shape) / np.asarray(self.factor)
        if not self.running:
            return np.asarray(self.hazard.inverse(draws))
        finite = np.where(np.isfinite(elapsed), elapsed, 0.0)
        due = self.hazard.inverse(self.hazard.total(finite) + draws)
        return np.asarray(np.maximum(due - finite, 0.0))
