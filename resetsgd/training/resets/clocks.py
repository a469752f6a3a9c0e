"""The protocols of :mod:`resetsgd.protocols`, in optimizer steps.

A clock is a function of (seed, start, step): nothing is consumed, nothing need be stored, and every
rank and every resumed run finds the same steps.
"""

from __future__ import annotations

import bisect
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd.errors import DomainError
from resetsgd.protocols import Geometric, Poisson, Protocol, Schedule, Sharp
from resetsgd.training.resets.when import Decider, Now
from resetsgd.training.resets.where import NEVER
from resetsgd.training.streams import Purpose, uniforms

__all__ = ["Coins", "clock"]

_AHEAD = 1024
"""Coins tossed at once, for one costs as much as a thousand; they do not depend on it."""
_WAITS = 256
"""Waiting times drawn at once; they are keyed by the block, so this number is part of the law."""


class Coins:
    """The uniform number of each step, a function of (seed, step).

    It is that of :func:`resetsgd.training.coins`.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._block = -1
        self._drawn: npt.NDArray[np.float64] = np.empty(0)

    def block(self, step: int) -> tuple[int, npt.NDArray[np.float64]]:
        """The first step of the block that holds this step, and the numbers of the block."""
        index = step // _AHEAD
        if index != self._block:
            steps = np.arange(index * _AHEAD, (index + 1) * _AHEAD)
            self._drawn = uniforms(self.seed, Purpose.COIN, 1, step=steps)[:, 0]
            self._block = index
        return index * _AHEAD, self._drawn

    def at(self, step: int) -> float:
        """The number of one step, in [0, 1)."""
        first, drawn = self.block(step)
        return float(drawn[step - first])


class _Chance(Decider):
    """A coin at every step, of a probability that may change with the time since the start."""

    reason = "coin"

    def __init__(self, probability: float, schedule: Schedule | None = None) -> None:
        self.probability = probability
        # found once: to resolve the rate takes far longer than to read it
        self.hazard = None if schedule is None else schedule.hazard
        self.factor = 1.0 if schedule is None else float(np.asarray(schedule.factor))
        self._known: tuple[int, int] | None = None
        self._chances: Any = probability

    def _block(self, now: Now, step: int) -> tuple[int, npt.NDArray[Any]]:
        """The first step of a block, and at which of its steps it resets."""
        first, drawn = now.coins.block(step)
        if self.hazard is not None and self._known != (first, now.start):
            self._known = first, now.start
            elapsed = np.arange(first - 1, first + len(drawn), dtype=float) - now.start
            with np.errstate(all="ignore"):
                total = np.where(elapsed > 0, self.hazard.total(np.maximum(elapsed, 1e-300)), 0.0)
            # of a Poisson process with this rate, at least one event in the step
            self._chances = -np.expm1(-self.factor * np.diff(total))
        return first, drawn < self._chances

    def due(self, now: Now, memory: dict[str, Any]) -> bool:
        first, resets = self._block(now, now.step)
        return bool(resets[now.step - first])

    def wake(self, now: Now, memory: dict[str, Any]) -> int:
        if self.hazard is None and self.probability == 0.0:
            return NEVER
        first, resets = self._block(now, now.step + 1)
        found = np.flatnonzero(resets[now.step + 1 - first :])
        return now.step + 1 + int(found[0]) if found.size else first + len(resets)


class _Period(Decider):
    """Every so many steps after the start."""

    reason = "period"

    def __init__(self, period: int) -> None:
        self.period = period

    def due(self, now: Now, memory: dict[str, Any]) -> bool:
        return now.step > now.start and (now.step - now.start) % self.period == 0

    def wake(self, now: Now, memory: dict[str, Any]) -> int:
        passed = max(now.step - now.start, 0) // self.period
        return now.start + (passed + 1) * self.period


class _Waits(Decider):
    """Independent waiting times, each rounded up to whole steps."""

    reason = "wait"

    def __init__(self, law: Protocol) -> None:
        self.law = law
        self._times: list[int] = []
        self._blocks = 0
        self._seed = -1

    def _reach(self, seed: int, elapsed: int) -> None:
        """Draw until a time beyond ``elapsed`` is known."""
        if seed != self._seed:
            self._times, self._blocks, self._seed = [], 0, seed
        while not self._times or self._times[-1] <= elapsed:
            key = (Purpose.WAIT << 32) | self._blocks
            generator = np.random.Generator(np.random.Philox(key=np.array([seed, key], np.uint64)))
            waits = np.ceil(self.law.waits(_WAITS, generator)).reshape(_WAITS)
            self._blocks += 1
            last = self._times[-1] if self._times else 0
            for wait in waits.tolist():
                last = min(last + max(int(min(wait, float(NEVER))), 1), NEVER)
                self._times.append(last)

    def due(self, now: Now, memory: dict[str, Any]) -> bool:
        elapsed = now.step - now.start
        self._reach(now.coins.seed, elapsed)
        place = bisect.bisect_left(self._times, elapsed)
        return elapsed > 0 and self._times[place] == elapsed

    def wake(self, now: Now, memory: dict[str, Any]) -> int:
        elapsed = max(now.step - now.start, 0)
        self._reach(now.coins.seed, elapsed)
        return now.start + self._times[bisect.bisect_right(self._times, elapsed)]


def clock(protocol: Any) -> Decider:
    """The protocol as a decider in steps: a step is one unit of its time.

    Raises
    ------
    DomainError
        If it has arrays of parameters, an overhead, partial resets, or looks before its coin.
    """
    problem = None
    if not isinstance(protocol, Protocol):
        problem = "one of resetsgd's protocols (Geometric, Sharp, any waiting time) or of resets"
    elif protocol.shape:
        problem = "of scalar parameters: one model is trained"
    elif not protocol.lost.none:
        problem = "without overhead: a reset takes no steps"
    elif getattr(protocol, "partial", None) is not None:
        problem = "without partial: say how=Partial(factor) instead"
    elif getattr(protocol, "order", "move-coin-look") != "move-coin-look":
        problem = "in the order move, coin, look"
    if problem is not None:
        raise DomainError("protocol", protocol, problem)
    if isinstance(protocol, Geometric):
        return _Chance(float(protocol.working_probability))
    if isinstance(protocol, Poisson):
        return _Chance(-math.expm1(-float(protocol.working_rate)))
    if isinstance(protocol, Sharp):
        period = float(protocol.period)
        return _Period(math.ceil(period) if period < NEVER else NEVER)
    if isinstance(protocol, Schedule) and protocol.running:
        return _Chance(0.0, protocol)
    return _Waits(protocol)
