"""Motion in many dimensions between places and a target, ready for the driver."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo.clock import Clock
from resetsgd.montecarlo.kernels.space import travel
from resetsgd.montecarlo.kernels.space_state import (
    LOOK_AT_STEPS,
    Looks,
    Outcome,
    State,
    new_state,
)
from resetsgd.montecarlo.space import aim_of, default_step, distances, mover_of, no_looks, points
from resetsgd.montecarlo.targets import Target
from resetsgd.montecarlo.tasks import Paths, Task, Track
from resetsgd.processes.langevin import Langevin

__all__ = ["InSpace", "SpacePlaces", "Written", "in_space", "langevin"]

_NEARED = ("point", "half_space", "ball")
"""Targets to which there is one shortest way."""


@dataclass(frozen=True)
class SpacePlaces:
    """Where paths start, end and are put back in many dimensions.

    ``starts`` and ``backs`` have the shape (n, d + 1): places, and rising sums of their weights.
    """

    starts: Array
    backs: Array
    target: Target | None
    dtype: Any = np.float64

    @property
    def interval(self) -> bool:
        """Whether the target has two ends."""
        return self.target is not None and self.target.kind == "interval"

    @property
    def origins(self) -> Array:
        """All places where a stretch begins."""
        return np.vstack([self.starts[:, :-1], self.backs[:, :-1]])

    def told(self) -> dict[str, Any]:
        """What a simulation says about its places."""
        start, back = (x[0, :-1].tolist() if len(x) == 1 else x[:, :-1].tolist()
                       for x in (self.starts, self.backs))  # fmt: skip
        return {"start": start, "target": repr(self.target), "reset_to": back}


@dataclass(frozen=True)
class InSpace:
    """A Langevin process from some places to a target; with a budget it always ends."""

    process: Langevin
    places: SpacePlaces
    looks: Looks | None = None
    bins: int = 0
    rows: int = 0
    arrives: bool = True

    @property
    def schemes(self) -> tuple[str, ...]:
        """Names of its schemes, the default first."""
        if self.process.friction is not None:
            return ("baoab",)
        if self.process.correlation_time is not None:
            return ("heun",)
        if callable(self.process.diffusivity):
            return ("bridge", "euler")
        return ("heun", "bridge", "euler")

    def step(self, scheme: str, step: float | None, clock: Clock, horizon: float) -> float:
        """The step to use: the given one, or the default."""
        if step is not None:
            return step
        places = self.places
        length = default_step(self.process, places.target, places.origins, scheme == "heun")
        if not length > 0.0:
            raise DomainError("step", step, "given: the default underflows to 0 here")
        return min(length, horizon)

    def coarser(self, scheme: str, step: float) -> tuple[float, float] | None:
        """A longer step that shows the bias of this one, and the weak order.

        It is two at flat targets without inertia and with the same noise everywhere, else one.
        Plain Euler steps are a negative control, of which nobody expects anything.
        """
        if scheme == "euler":
            return None
        target = self.places.target
        flat = target is not None and target.kind in ("point", "half_space", "interval")
        even = self.process.friction is None and not callable(self.process.diffusivity)
        return 8.0 * step, 2.0 if flat and even else 1.0

    def task(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, seed: int
    ) -> Task:
        """Bind the kernel ``travel``; ``keep`` is what its looks wrote: :class:`Written`."""
        assert step is not None
        target = self.places.target
        if clock.partial is not None and (target is None or target.kind not in _NEARED):
            allowed = "None but for targets of the kinds " + ", ".join(_NEARED)
            raise DomainError("partial", clock.partial, allowed)
        d = self.process.dimension
        places, dtype = self.places.origins, self.places.dtype
        mover, code = mover_of(self.process, scheme, dtype, places[0])
        aim, more = aim_of(self.process, self.places.target, scheme, dtype, places)
        looks = no_looks() if self.looks is None else self.looks
        looked = np.full((self.rows, looks.most, 1 + len(looks.coordinates)), np.nan)
        written = Written(looked, [], [*code, *more])
        lost = clock.lost[1]

        def state() -> State:
            made = new_state(d, dtype, len(looks.coordinates), self.bins)
            written.states.append(made)
            return made

        def advance(paths: Paths, made: State, budget: int, looks: Looks = looks,
                    looked: Array = looked) -> int:  # fmt: skip
            out = Outcome(paths.times, paths.outcomes, paths.sides, paths.resets, looked)
            return int(
                travel(
                    mover, aim, clock.numbers, clock.table, lost, looks, self.places.starts,
                    self.places.backs, out, made, paths.counter, paths.first, np.uint64(seed),
                    float(step), float(horizon), budget,
                )
            )  # fmt: skip

        def where(paths: Paths, position: int) -> str:
            """The last finite position of a path, which is run again for it."""
            every = np.arange(d, dtype=np.int64)
            last = Looks(LOOK_AT_STEPS, 0.0, 1.0, 0.0, 1, every, np.zeros(d), np.ones(d))
            seen = np.full((1, 1, 1 + d), np.nan)
            again, made = Paths.of(paths.first + position, 1), new_state(d, dtype, d)
            for _ in range(1000):
                if advance(again, made, 1_000_000, last, seen) == 0 or made.report[0]:
                    break
            place = places[0] if np.isnan(seen).any() else seen[0, 0, 1:]
            return "position " + np.array2string(place, precision=6, threshold=10)

        names = ("drift", "gradient", "potential")
        blame = next(name for name in names if getattr(self.process, name) is not None)
        return Task(advance, state, blame, keep=written, where=where)  # type: ignore[arg-type]

    def track(self, scheme: str) -> Track:
        """Straight from step to step."""
        return Track("straight", self.places.starts[:, :-1], self.places.backs[:, :-1])


@dataclass
class Written:
    """What the looks of a task wrote, and the compiled functions that must stay alive."""

    looked: Array
    states: list[State]
    code: list[Any]


def in_space(
    process: Langevin,
    start: Any,
    target: Target | None,
    reset_to: Any = None,
    weights: Any = None,
    *,
    single: bool = False,
) -> SpacePlaces:
    """Check where paths start, end and are put back.

    Parameters
    ----------
    process : Langevin
    start, reset_to : array of shape (d,) or (n, d)
        A place, or a cloud of places.
    target : Target or None
    weights : array of shape (n,), optional
        Weights of the places of ``reset_to``.
    single : bool
        Keep positions in float32.

    Raises
    ------
    DomainError
        If a place is not finite, of another dimension, or on the target.
    """
    d = process.dimension
    if target is not None and not isinstance(target, Target):
        raise DomainError("target", target, "one of resetsgd.targets, for example ball(...)")
    begins = points("start", start, d)
    returns = begins if reset_to is None else points("reset_to", reset_to, d)
    for name, places in (("start", begins), ("reset_to", returns)):
        if target is not None:
            gaps = distances(process, target, places)
            if not (gaps > 0.0).all():
                raise DomainError(name, places[np.argmin(gaps)], "off the target")
    if target is not None and target.kind == "point":
        sides = np.sign(np.vstack([begins, returns])[:, 0] - target.low)
        if abs(sides.sum()) != len(sides):
            raise DomainError("reset_to", reset_to, "on the same side of the target as the start")
    dtype = np.float32 if single else np.float64
    return SpacePlaces(_summed(begins, None), _summed(returns, weights), target, dtype)


def langevin(process: Langevin, places: SpacePlaces) -> InSpace:
    """The row of :class:`~resetsgd.Langevin`."""
    return InSpace(process, places)


def _summed(places: Array, weights: Any) -> Array:
    """Places with rising sums of their weights in a further column."""
    count = len(places)
    if weights is None:
        sums = np.arange(1, count + 1) / count
    else:
        value: Any = np.atleast_1d(np.asarray(domain.nonnegative("reset_weights", weights)))
        if value.shape != (count,) or not 0 < value.sum() < math.inf:
            raise DomainError("reset_weights", weights, f"{count} weights of a positive sum")
        sums = np.cumsum(value / value.sum())
        sums[-1] = 1.0
    return np.ascontiguousarray(np.hstack([places, sums[:, None]]))
