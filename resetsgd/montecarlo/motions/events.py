"""Motions from event to event: run and tumble, and walks in discrete time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo.clock import NO_TABLE, Clock, one
from resetsgd.montecarlo.kernels import telegraph as tumbling
from resetsgd.montecarlo.kernels import walk as walking
from resetsgd.montecarlo.motions.places import Places
from resetsgd.montecarlo.tasks import Paths, State, Task, Track, fresh
from resetsgd.processes import QuadraticSGD, RandomWalk, Telegraph

__all__ = ["Tumbling", "Walking", "quadratic_sgd", "random_walk", "telegraph"]

_GRID = 2**13 + 1
_SCHEMES = ("exact",)


def _no_step(step: float | None) -> None:
    if step is not None:
        raise DomainError("step", step, "left out: this process has no time step to choose")


@dataclass(frozen=True)
class Tumbling:
    """Run and tumble between its places."""

    places: Places
    speed: float
    flip_rate: float
    heading: float
    schemes: tuple[str, ...] = _SCHEMES

    @property
    def arrives(self) -> bool:
        """Whether it cannot get lost."""
        return self.places.interval or self.places.wall is not None

    def step(self, scheme: str, step: float | None, clock: Clock, horizon: float) -> None:
        """There is none."""
        _no_step(step)

    def task(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, seed: int
    ) -> Task:
        """Bind the kernel ``tumble``."""
        low, high = self.places.ends
        wall = math.nan if self.places.wall is None else self.places.wall
        fixed = (
            np.uint64(seed), self.places.start, low, high, wall, self.speed, self.flip_rate,
            self.heading, clock.numbers, clock.table, clock.lost[1], self.places.back, horizon,
        )  # fmt: skip
        state = partial(fresh, tumbling.INTS, tumbling.REALS, tumbling.WORDS, 1)
        return Task(partial(_advance, tumbling.tumble, fixed), state)

    def track(self, scheme: str) -> Track:
        """Straight from event to event."""
        low, high = self.places.ends
        return Track("straight", np.array([self.places.start]), self.places.back[0], low=low,
                     high=high, speed=self.speed)  # fmt: skip


@dataclass(frozen=True)
class Walking:
    """A walk in discrete time between its places."""

    places: Places
    contraction: float
    center: float
    momentum: float
    jump: tuple[float, float]
    time: float
    quantiles: Array = field(default_factory=lambda: NO_TABLE)
    schemes: tuple[str, ...] = _SCHEMES

    @property
    def arrives(self) -> bool:
        """Whether it cannot get lost: what contracts comes back."""
        return self.places.interval or abs(self.contraction) < 1.0

    def step(self, scheme: str, step: float | None, clock: Clock, horizon: float) -> None:
        """There is none."""
        _no_step(step)

    def task(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, seed: int
    ) -> Task:
        """Bind the kernel ``walk``."""
        low, high = self.places.ends
        numbers = np.array([
            self.places.start, low, high, self.contraction, self.center, self.momentum, *self.jump,
            self.time,
        ])  # fmt: skip
        fixed = (
            np.uint64(seed), numbers, clock.look_first, self.quantiles, clock.numbers, clock.table,
            clock.lost[1], self.places.back, horizon,
        )  # fmt: skip
        state = partial(fresh, walking.INTS, walking.REALS, walking.WORDS, 1)
        return Task(partial(_advance, walking.walk, fixed), state)

    def track(self, scheme: str) -> Track:
        """At rest until the next jump."""
        low, high = self.places.ends
        return Track("jump", np.array([self.places.start]), self.places.back[0], low=low, high=high)


def _advance(kernel: Any, fixed: tuple[Any, ...], paths: Paths, state: State, budget: int) -> int:
    return int(kernel(
        *fixed, paths.times, paths.outcomes, paths.resets, paths.sides, paths.counter, paths.first,
        state.ints, state.reals, state.words, state.report, budget,
    ))  # fmt: skip


def telegraph(process: Telegraph, places: Places) -> Tumbling:
    """Run and tumble."""
    return Tumbling(
        places, one("speed", process.speed), one("flip_rate", process.flip_rate),
        one("heading", process.heading),
    )  # fmt: skip


def random_walk(process: RandomWalk, places: Places) -> Walking:
    """A walk with any jump law."""
    _no_wall(places)
    law = process.jump
    jump, quantiles = (0.0, -1.0), NO_TABLE
    if law.dist.name == "norm":
        jump = (float(law.mean()), float(law.std()))
    else:
        q = 0.5 * np.exp(-np.linspace(0.0, walking.HAZARD, _GRID))
        try:
            quantiles = np.ascontiguousarray(np.stack([law.ppf(q), law.isf(q)]), dtype=np.float64)
        except RuntimeError as error:  # SciPy's search does not end, as for levy_stable
            allowed = f"a law whose quantiles SciPy finds ({error}); of stable laws use StableNoise"
            raise DomainError("jump", law, allowed) from None
        if not np.isfinite(quantiles).all():
            raise DomainError("jump", law, "a law with finite quantiles down to 1e-17")
    return Walking(places, process.contraction, process.center, 0.0, jump, process.step, quantiles)


def quadratic_sgd(process: QuadraticSGD, places: Places) -> Walking:
    """SGD in a bowl of one dimension, with momentum; resets set it to zero."""
    _no_wall(places)
    if process.dimension != 1:
        raise DomainError("hessian", process.hessian, "a number: one dimension")
    eta = process.learning_rate
    curvature = float(np.ravel(process.hessian)[0])
    width = eta * math.sqrt(float(np.ravel(process.noise_covariance)[0]))
    return Walking(places, 1.0 - eta * curvature, 0.0, process.momentum, (0.0, width), 1.0)


def _no_wall(places: Places) -> None:
    if places.wall is not None:
        raise DomainError("wall", places.wall, "None in discrete time")
