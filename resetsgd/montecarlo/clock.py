"""When resets fall due, as numbers that every kernel reads: protocols turned into clocks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, RealLike
from resetsgd.errors import DomainError
from resetsgd.montecarlo.kernels import clocks
from resetsgd.protocols import (
    Gamma,
    Geometric,
    Pareto,
    Poisson,
    Protocol,
    Schedule,
    Sharp,
    Uniform,
    Waiting,
    WaitingTime,
    Weibull,
)

__all__ = ["NEVER", "NO_TABLE", "PROTOCOLS", "Clock", "clock_of", "one", "table_of"]

NO_TABLE: Array = np.zeros((2, 1))

_MOST_NODES = 2**15


@dataclass(frozen=True)
class Clock:
    """When resets fall due, as the kernels read it.

    Parameters
    ----------
    code : int
        See ``kernels/clocks.py``.
    a, b : float
        Its two numbers.
    mean : float
        Mean time between resets (a typical one where the mean is infinite); ``inf`` if never.
    table : ndarray, shape (2, n)
        For laws without a closed form.
    lost : tuple of (float, ndarray)
        The time a reset takes: a number, or NaN and a table.
    partial : float or None
        Factor of a partial reset toward the target.
    kept : float
        Share of the way from the reset position that a reset leaves.
    look_first : bool
        Whether an arrival at the very time of a reset counts, in discrete time.
    """

    code: int
    a: float = 0.0
    b: float = 0.0
    mean: float = math.inf
    table: Array = field(default_factory=lambda: NO_TABLE)
    lost: tuple[float, Array] = (0.0, NO_TABLE)
    partial: float | None = None
    kept: float = 0.0
    look_first: bool = False

    @property
    def numbers(self) -> Array:
        """The array that kernels take."""
        numbers = np.zeros(clocks.CLOCK)
        fixed = self.lost[0]
        kind = 2.0 if math.isnan(fixed) else float(fixed > 0.0)
        factor = -1.0 if self.partial is None else self.partial
        overhead = 0.0 if math.isnan(fixed) else fixed
        numbers[:7] = self.code, self.a, self.b, kind, overhead, factor, self.kept
        return numbers

    @property
    def full(self) -> bool:
        """Whether a reset forgets where the path was."""
        return self.partial is None and self.kept == 0.0

    def keeping(self, partial: RealLike | None) -> Clock:
        """The same with resets that leave a share of the way from the reset position."""
        if partial is None:
            return self
        if self.partial is not None:
            raise DomainError("partial", partial, "None: the protocol has its own")
        kept = domain.single("partial", partial, _below_one)
        return replace(self, kept=kept)


NEVER = Clock(clocks.NEVER)


def _below_one(name: str, value: RealLike) -> Any:
    return domain.within(name, value, 0.0, 1.0, open_high=True)


def _poisson(protocol: Poisson) -> Clock:
    rate = one("rate", protocol.working_rate)
    mean = 1.0 / rate if rate > 0 else math.inf
    return Clock(clocks.POISSON, mean, 0.0, mean, partial=protocol.partial)


def _sharp(protocol: Sharp) -> Clock:
    period = one("period", protocol.period)
    return Clock(clocks.SHARP, period, 0.0, period)


def _geometric(protocol: Geometric) -> Clock:
    # In continuous time an arrival before the coin counts and none coincides with it, so that the
    # order of coin and look makes no difference.
    probability = one("probability", domain.plain(protocol.working_probability))
    step = one("step", protocol.step)
    if probability == 0.0:
        return NEVER
    keep = -math.log1p(-probability) if probability < 1.0 else math.inf
    return Clock(clocks.GEOMETRIC, keep, step, step / probability)


def _gamma(protocol: Gamma) -> Clock:
    rate, stages = one("rate", protocol.rate), one("stages", protocol.stages)
    if rate == 0.0 or math.isinf(1.0 / rate):
        return NEVER
    return Clock(clocks.GAMMA, stages, 1.0 / rate, stages / rate)


def _weibull(protocol: Weibull) -> Clock:
    scale, exponent = one("scale", protocol.scale), one("exponent", protocol.exponent)
    return Clock(clocks.WEIBULL, exponent, scale, _typical(protocol))


def _uniform(protocol: Uniform) -> Clock:
    low, high = one("low", protocol.low), one("high", protocol.high)
    return Clock(clocks.UNIFORM, low, high, 0.5 * (low + high))


def _pareto(protocol: Pareto) -> Clock:
    scale, exponent = one("scale", protocol.scale), one("exponent", protocol.exponent)
    return Clock(clocks.PARETO, exponent, scale, _typical(protocol))


def _schedule(protocol: Schedule) -> Clock:
    if one("factor", protocol.factor) == 0.0:
        return NEVER
    code = clocks.RUNNING if protocol.running else clocks.TABLE
    table = table_of(protocol.waiting_survival, protocol.waiting_kinks())
    typical = float(table[1, np.searchsorted(table[0], 0.7).clip(0, table.shape[1] - 1)])
    return Clock(code, mean=typical, table=table)


def _waiting(protocol: Waiting) -> Clock:
    one("scale", protocol.scale)
    atoms = protocol.waiting_atoms()
    if atoms is None:
        table = table_of(protocol.waiting_survival, protocol.waiting_kinks())
    else:
        table = _steps(*atoms)
    return Clock(clocks.TABLE, mean=_typical(protocol), table=table)


def _typical(protocol: WaitingTime) -> float:
    """Mean waiting time; the first mark that is later than nine in ten where it is infinite."""
    if np.all(protocol.never):
        return math.inf
    mean = float(np.asarray(protocol.waiting_mean()))
    if math.isfinite(mean):
        return mean
    marks = np.sort(np.ravel(protocol.waiting_marks()))
    late = marks[np.asarray(protocol.waiting_survival(marks)) < 0.5]
    return float(late[0]) if late.size else float(marks[-1])


def _steps(times: Array, masses: Array) -> Array:
    """The table of a discrete law: a step up in hazard at each time."""
    left = np.cumsum(masses[::-1])[::-1]  # P(R >= time)
    hazards = -np.log(np.clip(np.append(left[1:], 0.0) / left[0], 1e-300, 1.0))
    hazards[-1] = 1e3
    before = np.append(0.0, hazards[:-1])
    return np.ascontiguousarray(
        np.stack([np.stack([before, hazards], axis=1).ravel(), np.repeat(times, 2)])
    )


def table_of(survival: Callable[[Array], Any], kinks: Any = ()) -> Array:
    """Cumulative hazards -log P(R > t) and the times where they are reached.

    Parameters
    ----------
    survival : callable
        Times to P(R > t), of arrays.
    kinks : array-like
        Times where it has a kink, such as the ends of its support.

    Returns
    -------
    ndarray, shape (2, n)
        Refined until log-log interpolation errs by less than 1e-6 in the hazard (relative), down to
        hazards of 1e-12.

    Raises
    ------
    DomainError
        If the survival never falls below one.
    """

    def hazard(t: Array) -> Array:
        with np.errstate(all="ignore"):
            value = -np.log(np.asarray(survival(t), dtype=np.float64))
        return np.where(np.isnan(value), np.inf, value)

    coarse = np.exp2(np.arange(-200.0, 201.0, 1.0))
    at = hazard(coarse)
    if not (at > 1e-12).any():
        raise DomainError("protocol", survival, "a law that resets within a finite time")
    low = max(int(np.argmax(at > 1e-12)) - 1, 0)
    high = min(int(np.argmax(at >= 40.0)) if (at >= 40.0).any() else 400, 400)
    ends = np.ravel(np.asarray(kinks, dtype=np.float64))
    ends = ends[np.isfinite(ends) & (ends > 0)]
    beside = np.concatenate([ends, np.nextafter(ends, 0.0), np.nextafter(ends, np.inf)])
    fine = np.exp2(np.linspace(np.log2(coarse[low]), np.log2(coarse[high]), 16 * (high - low) + 1))
    t = np.unique(np.concatenate([fine, beside]))
    t = t[(t >= coarse[low]) & (t <= coarse[high])]
    h = hazard(t)
    for _ in range(40):
        middle = np.sqrt(t[:-1]) * np.sqrt(t[1:])
        with np.errstate(all="ignore"):
            guess = np.sqrt(h[:-1] * h[1:])
            exact = hazard(middle)
            off = np.abs(guess - exact) > 1e-6 * exact
        off |= np.isinf(h[1:]) & np.isfinite(h[:-1])
        off &= (exact > 1e-12) & (h[:-1] < 40.0) & (h[1:] > h[:-1])
        off &= (middle > t[:-1] * (1 + 1e-14)) & (middle < t[1:])
        if not off.any() or t.size > _MOST_NODES:
            break
        t, h = np.append(t, middle[off]), np.append(h, exact[off])
        order = np.argsort(t)
        t, h = t[order], h[order]
    h = np.maximum.accumulate(np.where(np.isinf(h), 1e3, np.minimum(h, 1e3)))
    return np.ascontiguousarray(np.stack([h, t]))


PROTOCOLS: dict[type, Callable[[Any], Clock]] = {
    Poisson: _poisson,
    Sharp: _sharp,
    Geometric: _geometric,
    Gamma: _gamma,
    Weibull: _weibull,
    Uniform: _uniform,
    Pareto: _pareto,
    Schedule: _schedule,
    Waiting: _waiting,
}
"""Protocol -> its clock, without the overhead."""


def clock_of(protocol: object | None) -> Clock:
    """The clock of a protocol; one that never resets, whatever its kind, is ``NEVER``."""
    if protocol is None:
        return NEVER
    row = PROTOCOLS.get(type(protocol))
    if row is None or not isinstance(protocol, Protocol):
        known = ", ".join(kind.__name__ for kind in PROTOCOLS)
        raise DomainError("protocol", protocol, f"None or one of {known}")
    clock = row(protocol)
    if not math.isfinite(clock.mean):
        return NEVER
    clock = replace(clock, look_first=bool(np.all(protocol.wins(np.ones(1), np.ones(1)))))
    lost = protocol.lost
    if lost.none:
        return clock
    if lost.fixed:
        given: tuple[float, Array] = (one("overhead", lost.mean), NO_TABLE)
    else:
        law = lost.law
        discrete = not hasattr(law, "pdf")
        if discrete:
            raise DomainError("overhead", law, "a number or a continuous distribution")
        given = (math.nan, table_of(law.sf, law.support()))
    return replace(clock, lost=given)


def one(name: str, value: Any) -> float:
    """A single number out of a parameter that may be an array elsewhere."""
    if not isinstance(value, float):
        raise DomainError(name, value, "a single number: simulate once for each element")
    return value
