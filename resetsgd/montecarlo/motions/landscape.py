"""Any drift or potential on a line, any diffusivity, resets at a rate that depends on the place."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from resetsgd.errors import DomainError
from resetsgd.montecarlo.clock import Clock
from resetsgd.montecarlo.functions import Block, compiled
from resetsgd.montecarlo.kernels import noises as kernel
from resetsgd.montecarlo.kernels.lanes import LANES
from resetsgd.montecarlo.lamperti import unit_noise
from resetsgd.montecarlo.motions.line import NONE, Diffusion
from resetsgd.montecarlo.motions.places import Places
from resetsgd.montecarlo.tasks import Paths, State, Task, Track, fresh
from resetsgd.processes import Landscape

__all__ = ["Multiplicative", "landscape"]


@dataclass(frozen=True)
class Multiplicative(Diffusion):
    """A diffusion in its coordinate of unit noise, and what Milstein's scheme reads besides.

    ``plain`` has the places in the user's coordinate, ``force`` and ``spread`` the drift there and
    sqrt(2 D) with D', ``alpha`` the weight of D' in the drift in the sense of Ito.
    """

    plain: Places | None = None
    force: Block = NONE
    spread: Block = NONE
    alpha: float = 0.0

    @property
    def schemes(self) -> tuple[str, ...]:
        """Names of its schemes, the default first."""
        fits = self.rate is None and self.places.wall is None
        return (*super().schemes, "milstein") if fits else super().schemes

    def step(self, scheme: str, step: float | None, clock: Clock, horizon: float) -> float:
        """The step to use; Milstein's is of weak order one, as the scheme "bridge"."""
        return super().step("bridge" if scheme == "milstein" else scheme, step, clock, horizon)

    def coarser(self, scheme: str, step: float) -> tuple[float, float] | None:
        """A longer step that shows the bias of this one."""
        return super().coarser("bridge" if scheme == "milstein" else scheme, step)

    def task(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, seed: int
    ) -> Task:
        """Bind the kernel ``line``, or ``driven``."""
        if scheme != "milstein":
            return super().task(scheme, step, clock, horizon, seed)
        assert step is not None and self.plain is not None
        places = self.plain
        numbers = np.array([
            places.start, places.low, places.high, places.side, step, horizon, self.alpha, 0.0, 0.0,
        ])  # fmt: skip
        fixed = (
            np.uint64(seed), kernel.MILSTEIN, 2 if places.interval else 1, numbers,
            self.force.address, self.force.parameters, self.spread.address, self.spread.parameters,
            clock.numbers, clock.table, clock.lost[1], places.back,
        )  # fmt: skip
        state = partial(fresh, kernel.INTS, kernel.REALS, kernel.WORDS, LANES)
        return Task(
            partial(_advance, fixed), state, self.blame, keep=(self.force, self.spread)
        )  # fmt: skip

    def track(self, scheme: str) -> Track | None:
        """A diffusion; in the user's coordinate, where its noise changes, straight."""
        if scheme != "milstein":
            return super().track(scheme)
        assert self.plain is not None
        low, high = self.plain.ends
        starts, backs = np.array([self.plain.start]), self.plain.back[0]
        return Track("straight", starts, backs, low=low, high=high)


def _advance(fixed: tuple[Any, ...], paths: Paths, state: State, budget: int) -> int:
    run: Any = kernel.driven
    return int(run(
        *fixed, paths.times, paths.outcomes, paths.resets, paths.sides, paths.counter, paths.first,
        state.ints, state.reals, state.words, state.report, budget,
    ))  # fmt: skip


def landscape(process: Landscape, places: Places) -> Diffusion:
    """Any drift or potential, any diffusivity, resets at a rate that depends on where it is."""
    low, high = process.domain
    for place in (*places.origins, places.low, places.high):
        if not low <= place <= high:
            raise DomainError("target", place, f"within the domain {process.domain}")
    if not places.interval:
        end, kind = (high, process.ends[1]) if places.side > 0 else (low, process.ends[0])
        if math.isfinite(end):
            if kind == "absorbing":
                raise DomainError("ends", process.ends, "reflecting behind the start: give both"
                                  " ends of an interval as the target instead")  # fmt: skip
            places = replace(places, wall=end if places.wall is None else places.wall)
    ends = [*places.origins, places.low, places.high]
    scale, at = (max(ends) - min(ends)) / 2.0, places.start
    if process.drift is not None:
        # A table is made from the drift where the noise is multiplicative: to all digits then.
        single = not callable(process.diffusivity)
        blame, drift = "drift", compiled("drift", process.drift, at=at, single=single)
    else:
        assert process.potential is not None
        blame = "potential"
        drift = compiled("potential", process.potential, kind="downhill", at=at, scale=scale)
    rate = None
    if callable(process.rate):
        rate = compiled("rate", process.rate, at=at, scale=scale)
    arrives = places.interval or places.wall is not None
    if not callable(process.diffusivity):
        return Diffusion(places, arrives, drift=drift, rate=rate, blame=blame,
                         diffusivity=float(process.diffusivity), domain=process.domain)  # fmt: skip
    spread = compiled("diffusivity", process.diffusivity, kind="spread", at=at, scale=scale)
    unit = unit_noise(places, drift, spread, process.alpha, rate, process.domain)
    return Multiplicative(
        unit.places, arrives, drift=unit.drift, rate=unit.rate, blame=blame,
        diffusivity=0.5, place=unit.back, plain=places, force=drift, spread=spread,
        alpha=process.alpha,
    )  # fmt: skip
