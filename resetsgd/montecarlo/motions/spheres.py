"""The radius of diffusion in any dimension: outward from sphere to sphere, inward like any line."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from resetsgd.errors import DomainError
from resetsgd.montecarlo.clock import Clock, one
from resetsgd.montecarlo.kernels import spheres as kernel
from resetsgd.montecarlo.motions import line
from resetsgd.montecarlo.motions.places import Places
from resetsgd.montecarlo.tasks import Motion, Paths, State, Task, fresh
from resetsgd.processes import Bessel

__all__ = ["Outward", "bessel"]


@dataclass(frozen=True)
class Outward:
    """From inside a sphere to its surface, in one dimension or more."""

    places: Places
    dimension: float
    diffusivity: float
    schemes: tuple[str, ...] = ("exact",)
    arrives: bool = True

    def step(self, scheme: str, step: float | None, clock: Clock, horizon: float) -> None:
        """There is none."""
        if step is not None:
            raise DomainError("step", step, "left out: outward there are no time steps")
        if not clock.full:
            raise DomainError("partial", step, "None: where a reset finds the path is not known")

    def task(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, seed: int
    ) -> Task:
        """Bind the kernel ``from_sphere_to_sphere``."""
        fixed = self.given(clock, horizon, seed)
        state = partial(fresh, kernel.INTS, kernel.REALS, kernel.WORDS, 1)
        return Task(partial(_advance, fixed), state)

    def given(self, clock: Clock, horizon: float, seed: int) -> tuple[Any, ...]:
        """What the kernel is given but paths and state."""
        return (
            np.uint64(seed), self.places.start, self.places.low, self.dimension, self.diffusivity,
            clock.numbers, clock.table, clock.lost[1], self.places.back, horizon,
        )  # fmt: skip

    def track(self, scheme: str) -> None:
        """Between two spheres nothing is known."""


def _advance(fixed: tuple[Any, ...], paths: Paths, state: State, budget: int) -> int:
    run: Any = kernel.from_sphere_to_sphere
    return int(run(
        *fixed, paths.times, paths.outcomes, paths.resets, paths.sides, paths.counter, paths.first,
        state.ints, state.reals, state.words, state.report, budget,
    ))  # fmt: skip


def bessel(process: Bessel, places: Places) -> Motion:
    """Outward without steps; inward to a positive radius, or between two, as a line."""
    if places.interval or places.side > 0:
        return line.bessel(process, places)
    d, D = one("dimension", process.dimension), one("diffusivity", process.diffusivity)
    if d < 1.0:
        raise DomainError("dimension", d, "at least 1 for a target outside the start")
    if places.wall is not None:
        raise DomainError("wall", places.wall, "None for a target outside the start")
    for radius in places.origins:
        if radius < 0.0:
            raise DomainError("start", float(radius), "a radius, at least 0")
    return Outward(places, d, D)
