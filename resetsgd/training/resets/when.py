"""When a reset happens: what decides it, and from when on.

The deciders here look at the run (its age, a metric, the loss); those of
:mod:`resetsgd.training.resets.clocks` do not. They are frozen values; what they remember lies in a
dictionary of plain values that the resetter keeps and stores.
"""

from __future__ import annotations

import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.resets.where import NEVER

if TYPE_CHECKING:
    from resetsgd.training.resets.clocks import Coins

__all__ = ["AfterPatience", "ByAge", "ByMetric", "Decider", "Now", "OnPlateau", "OnSpike"]


class Now(NamedTuple):
    """What a decider sees.

    ``step`` counts optimizer steps from 1; ``start`` is the step after which the protocol runs,
    ``since`` that of the last reset (or the start); ``metric`` the last observed one.
    """

    coins: Coins
    step: int
    start: int
    since: int
    metric: float | None
    better_is_less: bool


class Decider(ABC):
    """Base of what decides, step by step, whether to reset."""

    reason: ClassVar[str]
    """The word that events carry."""
    watches: ClassVar[bool] = False
    """Whether it needs the loss of every step."""

    def begin(self) -> dict[str, Any]:
        """What it remembers, at the beginning."""
        return {}

    def looked(self, now: Now, memory: dict[str, Any]) -> None:  # noqa: B027
        """Take note of an observed metric; most need not."""

    def watched(self, loss: float, memory: dict[str, Any]) -> bool:
        """Take note of a loss; whether it says reset."""
        return False

    def happened(self, memory: dict[str, Any], *, mine: bool) -> None:  # noqa: B027
        """Take note of a reset, and whether it was this one that decided it."""

    @abstractmethod
    def due(self, now: Now, memory: dict[str, Any]) -> bool:
        """Whether to reset at this step."""

    @abstractmethod
    def wake(self, now: Now, memory: dict[str, Any]) -> int:
        """A step after this one before which it is certainly not due."""


@dataclass(frozen=True)
class ByAge(Decider):
    """A coin whose probability depends on the number of steps since the last reset.

    Parameters
    ----------
    function : callable
        Age in steps (1, 2, ...) to probability of a reset. With a constant one the resets are those
        of ``Geometric``, coin by coin.

    Examples
    --------
    >>> protocol = ByAge(lambda age: 0.0 if age < 1000 else 0.01)
    """

    function: Callable[[int], float]
    reason: ClassVar[str] = "age"

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise DomainError("function", self.function, "a function of the age in steps")

    def due(self, now: Now, memory: dict[str, Any]) -> bool:
        """The coin of this step, at the probability of this age."""
        chance = domain.probability("function(age)", self.function(now.step - now.since))
        return now.coins.at(now.step) < float(chance)

    def wake(self, now: Now, memory: dict[str, Any]) -> int:
        """Every step."""
        return now.step + 1


@dataclass(frozen=True)
class ByMetric(Decider):
    """A coin whose probability depends on the metric observed last; before the first, none.

    Parameters
    ----------
    function : callable
        Metric to probability of a reset, at each step until the next observation.

    Examples
    --------
    >>> protocol = ByMetric(lambda loss: 0.01 if loss > 1.5 else 0.0)
    """

    function: Callable[[float], float]
    reason: ClassVar[str] = "metric"

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise DomainError("function", self.function, "a function of the metric")

    def due(self, now: Now, memory: dict[str, Any]) -> bool:
        """The coin of this step, at the probability of the last metric."""
        if now.metric is None:
            return False
        chance = domain.probability("function(metric)", self.function(now.metric))
        return now.coins.at(now.step) < float(chance)

    def wake(self, now: Now, memory: dict[str, Any]) -> int:
        """Every step."""
        return NEVER if now.metric is None else now.step + 1


@dataclass(frozen=True)
class OnPlateau(Decider):
    """One reset whenever the metric has not improved for so many looks.

    Looks are counted from the last improvement or reset. The reset comes with the next step.

    Parameters
    ----------
    looks : int
        Observations without improvement.
    least : float
        By how much a metric must be better to count as an improvement.

    Examples
    --------
    >>> OnPlateau(looks=10)
    OnPlateau(looks=10, least=0.0)
    """

    looks: int
    least: float = 0.0
    reason: ClassVar[str] = "plateau"

    def __post_init__(self) -> None:
        domain.integer("looks", self.looks, 1)
        domain.nonnegative("least", self.least)

    def begin(self) -> dict[str, Any]:
        """Nothing seen."""
        return {"stale": 0, "reference": None}

    def looked(self, now: Now, memory: dict[str, Any]) -> None:
        """Count looks without improvement."""
        value = math.nan if now.metric is None else now.metric
        reference = memory["reference"]
        gain = math.inf
        if reference is not None:
            gain = reference - value if now.better_is_less else value - reference
        if reference is None or gain > self.least:
            memory |= {"stale": 0, "reference": value}
        else:
            memory["stale"] += 1

    def happened(self, memory: dict[str, Any], *, mine: bool) -> None:
        """Count anew."""
        memory["stale"] = 0

    def due(self, now: Now, memory: dict[str, Any]) -> bool:
        """Whether there were enough."""
        return bool(memory["stale"] >= self.looks)

    def wake(self, now: Now, memory: dict[str, Any]) -> int:
        """The next step, if there were enough."""
        return now.step + 1 if self.due(now, memory) else NEVER


@dataclass(frozen=True)
class OnSpike(Decider):
    """A rollback when the training loss jumps up or is no longer finite.

    The loss of each step goes to ``resetter.step(loss=loss)``. It spikes if it is not finite, or
    above ``factor`` times the median of the last ``window`` losses that did not (once there are so
    many, and if the median is positive).

    Parameters
    ----------
    factor : float
        Above 1.
    window : int
        Losses to compare with.
    most : int
        Rollbacks in all: after so many the run goes on as it is, for what spikes again and again
        does so for a reason.

    Notes
    -----
    On an accelerator reading the loss waits for the step to end; no other decider does that.

    Examples
    --------
    >>> OnSpike(factor=4.0)
    OnSpike(factor=4.0, window=50, most=3)
    """

    factor: float = 3.0
    window: int = 50
    most: int = 3
    reason: ClassVar[str] = "spike"
    watches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        domain.within("factor", self.factor, 1.0, math.inf, open_low=True, open_high=True)
        domain.integer("window", self.window, 2)
        domain.integer("most", self.most, 1)

    def begin(self) -> dict[str, Any]:
        """No losses, no rollbacks."""
        return {"losses": [], "spiking": False, "rollbacks": 0}

    def watched(self, loss: float, memory: dict[str, Any]) -> bool:
        """Compare with the losses before."""
        losses = memory["losses"]
        spiking = not math.isfinite(loss)
        if not spiking and len(losses) == self.window:
            middle = statistics.median(losses)
            spiking = middle > 0 and loss > self.factor * middle
        if not spiking:
            losses.append(loss)
            del losses[: -self.window]
        memory["spiking"] = spiking
        return spiking

    def due(self, now: Now, memory: dict[str, Any]) -> bool:
        """Whether the loss of this step spiked and rollbacks are left."""
        return bool(memory["spiking"] and memory["rollbacks"] < self.most)

    def happened(self, memory: dict[str, Any], *, mine: bool) -> None:
        """Count rollbacks."""
        memory["rollbacks"] += mine

    def wake(self, now: Now, memory: dict[str, Any]) -> int:
        """Only a loss wakes it."""
        return NEVER


@dataclass(frozen=True)
class AfterPatience:
    """Resetting begins once the best metric has not been beaten for so many steps.

    Parameters
    ----------
    steps : int
        Patience, in optimizer steps; it is looked at when a metric is observed.
    not_before : int
        Steps before which it does not begin.

    Examples
    --------
    >>> AfterPatience(5000)
    AfterPatience(steps=5000, not_before=0)
    """

    steps: int
    not_before: int = 0

    def __post_init__(self) -> None:
        domain.integer("steps", self.steps, 0)
        domain.integer("not_before", self.not_before, 0)

    def begins(self, step: int, best_step: int) -> bool:
        """Whether resetting begins at this look."""
        return step - best_step >= self.steps and step > self.not_before
