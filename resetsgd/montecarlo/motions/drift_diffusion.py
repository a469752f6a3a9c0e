"""Diffusion with constant drift to a point: exact, in a few long steps or in whole stretches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from resetsgd.errors import DomainError
from resetsgd.montecarlo.clock import Clock, one
from resetsgd.montecarlo.kernels import drift_diffusion as kernel
from resetsgd.montecarlo.kernels import stretches
from resetsgd.montecarlo.kernels.lanes import LANES
from resetsgd.montecarlo.motions import line
from resetsgd.montecarlo.motions.places import Places
from resetsgd.montecarlo.tasks import Motion, Paths, State, Task, Track, fresh
from resetsgd.processes import DriftDiffusion

__all__ = ["ConstantDrift", "drift_diffusion"]


@dataclass(frozen=True)
class ConstantDrift:
    """Constant drift to a point: places, velocity toward the target, D."""

    places: Places
    velocity: float
    diffusivity: float
    process: DriftDiffusion
    schemes: tuple[str, ...] = ("bridge", "exact", "euler")

    @property
    def arrives(self) -> bool:
        """Whether the drift points to the target."""
        return self.velocity > 0.0

    def step(self, scheme: str, step: float | None, clock: Clock, horizon: float) -> float | None:
        """The step to use; the rule is documented at :func:`resetsgd.montecarlo.api.simulate`."""
        lengths, speed = [float(d) for d in self.places.distances], abs(self.velocity)
        diffusive = [length * length / self.diffusivity for length in lengths]
        ballistic = [length / speed if speed > 0.0 else math.inf for length in lengths]
        # Beyond this the ratio of step and distance would overflow inside the bridge.
        longest = 1e100 * min(diffusive + ballistic)
        if scheme == "exact":
            if step is not None:
                raise DomainError("step", step, "left out: the scheme 'exact' makes no steps")
            if not clock.full:
                allowed = "'bridge' for partial resets: 'exact' does not know where a path is"
                raise DomainError("scheme", scheme, allowed)
            return None
        if step is not None:
            if step > longest:
                raise DomainError("step", step, f"at most {longest:.3g}")
            return step
        if scheme == "euler":
            return 0.01 * min(diffusive + ballistic)
        if math.isfinite(horizon):
            return min(horizon, longest)
        scales: list[float] = [*diffusive, clock.mean, *(ballistic if self.velocity > 0 else ())]
        slowest = max(scale for scale in scales if math.isfinite(scale))
        return min(64.0 * slowest, longest)

    def task(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, seed: int
    ) -> Task:
        """Bind the kernel ``stepwise``; plain Euler steps go in lanes."""
        if scheme == "euler":
            return line.constant(self.process, self.places).task(scheme, step, clock, horizon, seed)
        fixed = self.given(step, clock, horizon, seed)
        if step is None:
            rows = (stretches.INTS, stretches.REALS, stretches.WORDS, LANES)
            return Task(partial(_stretches, fixed), partial(fresh, *rows), sides=False)
        rows = (kernel.INTS, kernel.REALS, kernel.WORDS, 1)
        return Task(partial(_steps, fixed), partial(fresh, *rows), sides=False)

    def given(self, step: float | None, clock: Clock, horizon: float, seed: int) -> tuple[Any, ...]:
        """What the kernels are given but paths and state; without a step for ``stretchwise``."""
        distance = abs(self.places.start - self.places.low)
        return (
            np.uint64(seed), distance, self.velocity, self.diffusivity, clock.numbers, clock.table,
            clock.lost[1], self.places.away(), horizon, *(() if step is None else (step,)),
        )  # fmt: skip

    def track(self, scheme: str) -> Track | None:
        """A diffusion, in its distance from the target."""
        if scheme == "euler":
            return line.constant(self.process, self.places).track(scheme)
        places = self.places
        low, side = places.low, places.side
        return Track(
            "diffusion", np.array([abs(places.start - low)]), places.away()[0],
            diffusivity=self.diffusivity, low=0.0, drift=lambda _: -self.velocity,
            place=lambda y: low + side * y,
        )  # fmt: skip


def _steps(fixed: tuple[Any, ...], paths: Paths, state: State, budget: int) -> int:
    run: Any = kernel.stepwise
    return int(run(
        *fixed, paths.times, paths.outcomes, paths.resets, paths.counter, paths.first,
        state.ints, state.reals, state.words, state.report, budget,
    ))  # fmt: skip


def _stretches(fixed: tuple[Any, ...], paths: Paths, state: State, budget: int) -> int:
    run: Any = stretches.stretchwise
    return int(run(
        *fixed, paths.times, paths.outcomes, paths.resets, paths.counter, paths.first,
        state.ints, state.reals, state.words, budget,
    ))  # fmt: skip


def drift_diffusion(process: DriftDiffusion, places: Places) -> Motion:
    """To a point exactly; out of an interval or with a wall in lanes."""
    drift = one("drift", process.drift)
    diffusivity = one("diffusivity", process.diffusivity)
    if places.interval or places.wall is not None:
        return line.constant(process, places)
    for name, values in (("start", [places.start]), ("reset_to", places.back[0])):
        for value in values:
            if not 1e-100 <= abs(value - places.low) <= 1e100:
                raise DomainError(name, value, f"between 1e-100 and 1e100 from {places.low:g}")
    return ConstantDrift(places, -places.side * drift, diffusivity, process)
