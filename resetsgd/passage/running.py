"""Resets at a rate that depends on the time since the run began: no renewal, but an equation."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from resetsgd.domain import Array
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage.legendre_panels import Table, even
from resetsgd.passage.volterra import March
from resetsgd.passage.waiting import has_density, marks_of
from resetsgd.protocols.base import Trial
from resetsgd.protocols.schedule import Schedule
from resetsgd.protocols.waiting import WaitingMoments

if TYPE_CHECKING:
    from resetsgd.passage.base import PassageTime

__all__ = ["density", "moments", "survival", "trial"]

_END = 1e-15
_SPREAD = np.array([0.02, 0.1, 0.4, 1.0, 2.5, 6.0, 14.0, 40.0])


class Run:
    """The survival of one passage time under one schedule, marched on as far as it is asked for."""

    def __init__(self, free: PassageTime, law: Schedule) -> None:
        if not has_density(free):
            raise NotConverged(f"{free!r} has no density: under this schedule it can be sampled")
        self.free, self.factor = free, float(np.asarray(law.factor))
        self.hazard = law.hazard
        own = np.sort(np.ravel(marks_of(free)))
        grid = np.exp(np.linspace(np.log(own[0]) - 60.0, np.log(own[-1]) + 60.0, 1500))
        arriving = np.flatnonzero(grid * np.asarray(free._density(grid)) > 1e-16)
        self.start = float(grid[max(arriving[0] - 1, 0)]) if arriving.size else np.inf
        if not np.isfinite(self.start):
            raise NotConverged("the density of this passage time vanishes in float64")
        top = min(np.log(own[-1]) + 90.0, 690.0)
        self.late = Table(
            lambda t: np.asarray(free._survival(t)), even(np.log(self.start) - 1.0, top), 1e-14
        )
        # up to the start nothing has arrived, and the rate may diverge there
        nodes, weights = special.roots_legendre(16)
        edges = np.log(self.start) + np.arange(-60.0, 0.1, 1.0)
        x = 0.5 * (edges[1:] + edges[:-1]) + 0.5 * nodes[:, None]
        self.early = np.exp(x).ravel()
        self.early_weights = (0.5 * weights[:, None] * np.exp(x)).ravel()
        kinks = np.exp(self.hazard.edges)
        self.march = March(
            self._source,
            self._kernel,
            start=self.start,
            cuts=np.exp(self.late.edges),
            kinks=kinks,
            tolerance=1e-14 * self.start,
            memory=np.inf,
            resolved=1e-11,
            most=400,
            prepare=self._prepare,
        )

    def _prepare(self, low: float, high: float) -> Array:
        fastest = self.factor * float(np.max(self.hazard.rate(np.linspace(low, high, 9))))
        self.march.memory = 1.0 / fastest if fastest > 0 else np.inf
        return np.asarray(_SPREAD / fastest) if fastest > 0 else np.empty(0)

    def _source(self, t: Array) -> Any:
        """No reset so far, or the last of them before the start."""
        t = t[:, None]
        kernel = self._kernel(t, t - self.early, self.early)
        gone = np.exp(-self.factor * self.hazard.total(t[:, 0]))
        return self.late(t[:, 0]) * gone + kernel @ self.early_weights

    def _kernel(self, t: Array, u: Array, at: Any = None) -> Any:
        at = t - u if at is None else at
        gone = self.hazard.total(t) - self.hazard.total(at)
        return self.factor * self.hazard.rate(at) * self.late(u) * np.exp(-self.factor * gone)

    def survival(self, t: Array) -> Any:
        """Survival at finite times."""
        top = float(np.max(t, initial=0.0))
        self._reach(top)
        end = self.march.edges[-1]
        return np.where(t <= self.start, 1.0, self.march.value(np.minimum(t, end)) * (t <= end))

    def density(self, t: Array) -> Any:
        """Density at finite times."""
        self._reach(float(np.max(t, initial=0.0)))
        end = self.march.edges[-1]
        return -self.march.slope(np.minimum(t, end)) * (t <= end)

    def _reach(self, top: float) -> None:
        march = self.march
        if min(top, march.edges[-1] * 1.1) > np.exp(self.hazard.edges[-1]):
            raise NotConverged("a run under this schedule goes through too many resets")
        while march.edges[-1] < top and self._last() > 1e-17:
            march.reach(min(top, march.edges[-1] * (1.0 + 1e-9)))

    def _last(self) -> float:
        return float(self.march.coefficients[-1].sum()) if self.march.coefficients else 1.0

    def integrals(self, s: Any, powers: tuple[int, ...]) -> list[Any]:
        """Integrals of t^k exp(-st) Q(t), k in ``powers``, and of r(t) Q(t) for k = -1."""
        march = self.march
        falls: list[float] = []
        ends: list[float] = []
        decay = float(np.real(s))
        while True:
            self._reach(2.0 * march.edges[-1])
            end, left = march.edges[-1], self._last()
            size = left * end ** (1 + max(powers)) * np.exp(-decay * end)
            body = self._sum(0.0, max(powers))
            if size < _END * body or left <= 1e-17:
                return [self._sum(s, power) for power in powers]
            ends.append(np.log(end))
            falls.append(np.log(left))
            if len(falls) > 40 and decay == 0:
                break
            if len(falls) > 400:
                raise NotConverged("the survival under this schedule does not end within float64")
        slopes = -np.diff(falls)[-9:] / np.diff(ends)[-9:]
        if np.ptp(slopes) > 1e-6 * np.abs(slopes).max():
            raise NotConverged(
                "the survival under this schedule falls neither exponentially nor as a power of"
                " time: its mean cannot be told from an infinite one"
            )
        fall = float(slopes[-1])
        found = []
        for power in powers:
            if power < 0:
                found.append(np.nan)
            elif fall <= power + 1 + 1e-9:
                found.append(np.inf)
            else:
                rest = left * end ** (power + 1) / (fall - power - 1)
                found.append(self._sum(s, power) + rest)
        return found

    def _sum(self, s: Any, power: int) -> Any:
        nodes, weights = special.roots_legendre(24)
        early = np.exp(np.linspace(np.log(self.start) - 60.0, np.log(self.start), 121)[:-1])
        edges = np.concatenate([[0.0], early, self.march.edges])
        low, high = edges[:-1], edges[1:]
        t = 0.5 * (low + high) + 0.5 * (high - low) * nodes[:, None]
        weight = self.factor * self.hazard.rate(t) if power < 0 else t**power * np.exp(-s * t)
        value = weight * np.where(t < self.start, 1.0, self.march.value(t))
        return np.sum(0.5 * (high - low) * (weights @ value))


@lru_cache(maxsize=16)
def _run(free: PassageTime, law: Schedule) -> Run:
    return Run(free, law)


def _each(free: PassageTime, law: Schedule, shape: tuple[int, ...]) -> Any:
    if free.shape:
        raise DomainError("free", free, "of scalar parameters for a schedule of the clock 'run'")
    for place in np.ndindex(shape):
        one = np.broadcast_to(np.arange(int(np.prod(law.shape))).reshape(law.shape), shape)[place]
        at = np.unravel_index(int(one), law.shape) if law.shape else ()
        yield place, (law._at(tuple(int(i) for i in at)) if law.shape else law)


@np.errstate(all="ignore")
def trial(free: PassageTime, law: Schedule, s: Any) -> Trial:
    """The whole run as one trial that no reset ends."""
    s = np.asarray(s)
    shape = np.broadcast_shapes(law.shape, s.shape)
    log_success = np.zeros(shape, dtype=np.result_type(s, np.float64))
    log_mean = np.zeros_like(log_success)
    for place, one in _each(free, law, shape):
        here = np.broadcast_to(s, shape)[place]
        if np.all(one.never):
            unhurried = free.trial_exponential(np.zeros(()), here)
            log_success[place], log_mean[place] = unhurried.log_success, unhurried.log_mean
            continue
        area = _run(free, one).integrals(here, (0,))[0]
        success = 1.0 - here * area if here != 0 else 1.0
        log_success[place] = np.log(success)
        log_mean[place] = np.log(area) - log_success[place]
    return Trial(log_success, log_mean)


@np.errstate(all="ignore")
def moments(free: PassageTime, law: Schedule) -> WaitingMoments:
    """Mean and variance of the run, and its mean number of resets."""
    found = np.zeros((3, *law.shape))
    for place, one in _each(free, law, law.shape):
        if np.all(one.never):
            found[(slice(None), *place)] = free.mean(), free.var(), 0.0
            continue
        mean, half, resets = _run(free, one).integrals(0.0, (0, 1, -1))
        found[(slice(None), *place)] = mean, 2.0 * half - mean * mean, resets
    zero = np.zeros(law.shape)
    mean, var, resets = found
    return WaitingMoments(zero + 1.0, mean, var, zero, zero, resets=resets)


@np.errstate(all="ignore")
def survival(free: PassageTime, law: Schedule, t: Array) -> Any:
    """P(restarted passage time > t)."""
    return _law(free, law, t, "survival")


@np.errstate(all="ignore")
def density(free: PassageTime, law: Schedule, t: Array) -> Any:
    """-d survival / dt, of the collocation polynomials: two digits less."""
    return _law(free, law, t, "density")


def _law(free: PassageTime, law: Schedule, t: Array, name: str) -> Any:
    t = np.asarray(t, dtype=np.float64)
    shape = np.broadcast_shapes(t.shape, law.shape)
    value = np.empty(shape)
    times = np.broadcast_to(t, shape)
    for place, one in _each(free, law, law.shape):
        where = (..., *place)
        if np.all(one.never):
            value[where] = getattr(free, name)(times[where])
        else:
            value[where] = getattr(_run(free, one), name)(times[where])
    return value
