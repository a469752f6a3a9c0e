"""A quadratic bowl: in lanes like any diffusion, or by exact steps of any length."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from resetsgd.errors import DomainError
from resetsgd.montecarlo.clock import Clock, one
from resetsgd.montecarlo.functions import builtin
from resetsgd.montecarlo.kernels import drifts
from resetsgd.montecarlo.kernels import trapped as kernel
from resetsgd.montecarlo.motions.line import Diffusion
from resetsgd.montecarlo.motions.places import Places
from resetsgd.montecarlo.tasks import Paths, State, Task, Track, fresh
from resetsgd.processes import OrnsteinUhlenbeck

__all__ = ["Trapped", "ornstein_uhlenbeck"]

CAREFUL = 0.1
"""Default of the exact step in units of 1/k where an end is not at the centre."""
CARELESS = 32.0
"""And where there is one end, at the centre: the start is forgotten by then."""


@dataclass(frozen=True)
class Trapped(Diffusion):
    """The bowl's stiffness and center, besides what a diffusion is."""

    stiffness: float = 1.0
    center: float = 0.0

    @property
    def schemes(self) -> tuple[str, ...]:
        """Names of its schemes, the default first; there are no exact steps to a wall."""
        return super().schemes if self.places.wall is not None else (*super().schemes, "exact")

    def step(self, scheme: str, step: float | None, clock: Clock, horizon: float) -> float:
        """The step to use; the rule is documented at :func:`resetsgd.montecarlo.api.simulate`."""
        if scheme != "exact":
            return super().step(scheme, step, clock, horizon)
        longest = kernel.LONGEST / self.stiffness
        if step is not None:
            if step > longest:
                raise DomainError("step", step, f"at most {longest:.3g}")
            return step
        central = not self.places.interval and self.places.low == self.center
        limits = [(CARELESS if central else CAREFUL) / self.stiffness, *self._apart(), horizon]
        return min(limits)

    def coarser(self, scheme: str, step: float) -> tuple[float, float] | None:
        """As for any diffusion; there is none for exact steps."""
        return None if scheme == "exact" else super().coarser(scheme, step)

    def given(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, seed: int
    ) -> tuple[Any, ...]:
        """What the kernel ``line``, or ``exact_steps``, is given but paths and state."""
        if scheme != "exact":
            return super().given(scheme, step, clock, horizon, seed)
        low, high = self.places.ends
        return (
            np.uint64(seed), self.places.start, low, high, self.stiffness, self.center,
            self.diffusivity, clock.numbers, clock.table, clock.lost[1], self.places.back, horizon,
            step,
        )  # fmt: skip

    def task(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, seed: int
    ) -> Task:
        """Bind the kernel ``line``, or ``exact_steps``."""
        if scheme != "exact":
            return super().task(scheme, step, clock, horizon, seed)
        fixed = self.given(scheme, step, clock, horizon, seed)
        state = partial(fresh, kernel.INTS, kernel.REALS, kernel.WORDS, 1)
        return Task(partial(_advance, fixed), state)

    def track(self, scheme: str) -> Track | None:
        """As of any diffusion; exact steps are too long to say anything in between."""
        return None if scheme == "exact" else super().track(scheme)


def _advance(fixed: tuple[Any, ...], paths: Paths, state: State, budget: int) -> int:
    run: Any = kernel.exact_steps
    return int(run(
        *fixed, paths.times, paths.outcomes, paths.resets, paths.sides, paths.counter, paths.first,
        state.ints, state.reals, state.words, state.report, budget,
    ))  # fmt: skip


def ornstein_uhlenbeck(process: OrnsteinUhlenbeck, places: Places) -> Trapped:
    """A linear drift."""
    k, c = one("stiffness", process.stiffness), one("center", process.center)
    D = one("diffusivity", process.diffusivity)
    drift = builtin(drifts.linear, k, c)
    return Trapped(places, True, drift=drift, diffusivity=D, stiffness=k, center=c)
