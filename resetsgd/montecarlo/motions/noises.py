"""Coloured and heavy-tailed noise on a line, ready for the driver."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from resetsgd.errors import DomainError
from resetsgd.montecarlo.clock import Clock
from resetsgd.montecarlo.functions import Block, builtin, compiled
from resetsgd.montecarlo.kernels import drifts
from resetsgd.montecarlo.kernels import noises as kernel
from resetsgd.montecarlo.kernels.lanes import LANES
from resetsgd.montecarlo.motions.line import NONE
from resetsgd.montecarlo.motions.places import Places
from resetsgd.montecarlo.tasks import Paths, State, Task, Track, fresh
from resetsgd.processes import ColouredNoise, StableNoise

__all__ = ["DrivenMotion", "driven"]


@dataclass(frozen=True)
class DrivenMotion:
    """Motion under one of these noises between its places."""

    process: ColouredNoise | StableNoise
    places: Places
    drift: Block
    blame: str

    @property
    def schemes(self) -> tuple[str, ...]:
        """Names of its schemes, the default first."""
        return ("heun",) if isinstance(self.process, ColouredNoise) else ("euler",)

    @property
    def arrives(self) -> bool:
        """Whether the mean passage time is known to be finite without resets."""
        return self.places.interval

    def step(self, scheme: str, step: float | None, clock: Clock, horizon: float) -> float:
        """The step to use: the given one, or the default."""
        if step is not None:
            return step
        places, process = self.places, self.process
        ends = [*places.origins, places.low, places.high]
        span, near = max(ends) - min(ends), float(places.distances.min())
        x = np.linspace(min(ends) - 0.25 * span, max(ends) + 0.25 * span, 501)
        a = self.drift(x)
        if not np.isfinite(a).all():
            wrong = ~np.isfinite(a)
            where = f"{a[wrong][0]:g} at {x[wrong][0]:g}"
            raise DomainError(self.blame or "drift", where, "finite wherever a path goes")
        limits = [horizon, 0.25 * clock.mean]
        turn, speed = float(np.abs(np.gradient(a, x)).max()), float(np.abs(a).max())
        if turn > 0:
            limits.append(0.05 / turn)
        if speed > 0:
            limits.append(0.05 * near / speed)
        if isinstance(process, ColouredNoise):
            tau = process.correlation_time
            limits += [0.05 * tau, 0.05 * near / math.sqrt(process.diffusivity / tau)]
        else:
            limits.append(0.01 * (near / process.scale) ** process.exponent)
        return min(limits)

    def coarser(self, scheme: str, step: float) -> tuple[float, float]:
        """A longer step that shows the bias of this one, and the weak order of what it misses.

        A path of stable noise is seen at the ends of steps only: it moves by step^(1 / exponent).
        """
        if isinstance(self.process, ColouredNoise):
            return 8.0 * step, 1.5
        return 8.0 * step, min(1.0, 1.0 / self.process.exponent)

    def task(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, seed: int
    ) -> Task:
        """Bind the kernel ``driven``."""
        assert step is not None
        places, process = self.places, self.process
        if isinstance(process, ColouredNoise):
            kind, three = kernel.COLOURED, (process.diffusivity, process.correlation_time, 0.0)
        else:
            kind, three = kernel.STABLE, (process.exponent, process.skewness, process.scale)
        numbers = np.array([
            places.start, places.low, places.high, places.side, step, horizon, *three,
        ])  # fmt: skip
        fixed = (
            np.uint64(seed), kind, 2 if places.interval else 1, numbers, self.drift.address,
            self.drift.parameters, NONE.address, NONE.parameters, clock.numbers, clock.table,
            clock.lost[1], places.back,
        )  # fmt: skip
        state = partial(fresh, kernel.INTS, kernel.REALS, kernel.WORDS, LANES)
        return Task(partial(_advance, fixed), state, self.blame, keep=self.drift)

    def track(self, scheme: str) -> Track:
        """Smooth under coloured noise; with jumps under stable noise."""
        kind = "straight" if isinstance(self.process, ColouredNoise) else "jump"
        low, high = self.places.ends
        return Track(kind, np.array([self.places.start]), self.places.back[0], low=low, high=high)


def _advance(fixed: tuple[Any, ...], paths: Paths, state: State, budget: int) -> int:
    run: Any = kernel.driven
    return int(run(
        *fixed, paths.times, paths.outcomes, paths.resets, paths.sides, paths.counter, paths.first,
        state.ints, state.reals, state.words, state.report, budget,
    ))  # fmt: skip


def driven(process: ColouredNoise | StableNoise, places: Places) -> DrivenMotion:
    """Coloured or stable noise, with a user's drift or none."""
    if places.wall is not None:
        raise DomainError("wall", places.wall, "None for noise that is not white and Gaussian")
    ends = [*places.origins, places.low, places.high]
    at, scale = places.start, (max(ends) - min(ends)) / 2.0
    if process.drift is not None:
        return DrivenMotion(process, places, compiled("drift", process.drift, at=at, scale=scale),
                            "drift")  # fmt: skip
    if process.potential is not None:
        made = compiled("potential", process.potential, kind="downhill", at=at, scale=scale)
        return DrivenMotion(process, places, made, "potential")
    return DrivenMotion(process, places, builtin(drifts.linear, 0.0, 0.0), "")
