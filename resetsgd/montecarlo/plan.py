"""What a simulation was asked for: arguments checked, and made into a task for the driver."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.errors import CensoredMean, DomainError, NotConverged
from resetsgd.montecarlo import driver
from resetsgd.montecarlo.clock import NEVER, Clock, clock_of
from resetsgd.montecarlo.driver import Progress
from resetsgd.montecarlo.motions.langevin import SpacePlaces, in_space
from resetsgd.montecarlo.motions.places import Places, places_of
from resetsgd.montecarlo.streams import STREAM_VERSION, seed_of
from resetsgd.montecarlo.table import motion_of
from resetsgd.montecarlo.tasks import Motion, Paths, Task
from resetsgd.processes import ColouredNoise, Landscape, Process, StableNoise
from resetsgd.processes.langevin import Langevin
from resetsgd.protocols import Poisson, Protocol

__all__ = ["MOST_PATHS", "Plan", "path_numbers", "planned", "processors"]

MOST_PATHS = 2**40
"""Bound of the number of paths and of their numbers: far beyond any memory, safe in every sum."""


@dataclass(frozen=True)
class Plan:
    """A simulation that can be run: what moves from where to where, how, and which paths.

    ``horizon`` is infinite where there is none, ``step`` None where there are no steps.
    """

    process: Process
    protocol: Protocol | None
    places: Places | SpacePlaces
    motion: Motion
    clock: Clock
    scheme: str
    step: float | None
    horizon: float
    seed: int
    first: int
    count: int
    threads: int
    device: str
    budget: int
    partial: float | None = None

    def run(
        self, step: float | None, first: int, count: int, progress: Progress | None = None
    ) -> tuple[Paths, bool]:
        """Run some of the paths with this step; see :func:`resetsgd.montecarlo.driver.run`."""
        if self.on_device:
            from resetsgd.montecarlo.cuda import launch

            job = launch.job_of(
                self.motion, self.scheme, step, self.clock, self.horizon, seed_of(self.seed)
            )
            return launch.run(job, first=first, count=count, budget=self.budget, progress=progress)
        return driver.run(
            self.task(step), first=first, count=count, threads=self.threads, budget=self.budget,
            progress=progress,
        )  # fmt: skip

    @property
    def on_device(self) -> bool:
        """Whether paths are moved elsewhere than on the processor."""
        return self.device != "cpu"

    def task(self, step: float | None) -> Task:
        """The kernel, with this step."""
        return self.motion.task(self.scheme, step, self.clock, self.horizon, seed_of(self.seed))

    def coarser(self) -> tuple[float, float] | None:
        """A longer step that shows the bias of the step, and the weak order; None for neither."""
        find = getattr(self.motion, "coarser", None)
        if self.step is None or find is None:
            return None
        found: tuple[float, float] | None = find(self.scheme, self.step)
        return found

    def told(self) -> dict[str, Any]:
        """What a result says about how it was made."""
        return {
            "process": repr(self.process),
            "protocol": repr(self.protocol),
            "partial": self.partial,
            **self.places.told(),
            "scheme": self.scheme,
            "step": self.step,
            "first": self.first,
            "horizon": None if math.isinf(self.horizon) else self.horizon,
            "seed": int(self.seed),
            "stream_version": STREAM_VERSION,
            "threads": self.threads,
            "device": self.device,
            "deterministic": None if self.clock.kept else (
                _deterministic(self.process, self.protocol, self.places)
            ),
        }  # fmt: skip


def planned(
    process: Process,
    start: Any,
    target: Any,
    protocol: Protocol | None = None,
    *,
    paths: int | range,
    budget: int,
    reset_to: Any = None,
    reset_weights: Any = None,
    partial: float | None = None,
    wall: float | None = None,
    horizon: float | None = None,
    step: float | None = None,
    seed: int = 0,
    scheme: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> Plan:
    """Check the arguments of :func:`~resetsgd.simulate`.

    Raises
    ------
    DomainError
        As told there.
    """
    places = _places(process, start, target, reset_to, reset_weights, wall, precision)
    motion = motion_of(process, places)
    clock = clock_of(protocol)
    if clock.partial is not None and places.interval:
        raise DomainError("partial", clock.partial, "None for a target with two ends")
    bent = isinstance(process, Landscape) and callable(process.diffusivity)
    if bent and not clock.keeping(partial).full:
        asked = clock.partial if partial is None else partial
        raise DomainError("partial", asked, "None where the diffusivity is a function")
    if isinstance(process, Landscape) and process.rate is not None:
        clock = _with_rate(process, protocol, clock)
    chosen = motion.schemes[0]
    if scheme is not None:
        chosen = domain.choice("scheme", scheme, motion.schemes)
    limit = math.inf if horizon is None else domain.single("horizon", horizon, domain.positive)
    never = clock is NEVER and getattr(motion, "rate", None) is None
    if math.isinf(limit) and never and not motion.arrives and not _arrives(process, places):
        raise DomainError(
            "horizon", horizon, "a positive time: without resets the mean passage time is infinite"
        )
    clock = clock.keeping(partial)
    given = None if step is None else domain.single("step", step, domain.positive)
    length = motion.step(chosen, given, clock, limit)
    first, count = path_numbers(paths)
    workers = processors() if threads is None else domain.integer("threads", threads, 1, 1024)
    most = domain.integer("budget", budget, 1)
    where = "cpu"
    if domain.choice("device", device, ("cpu", "cuda")) == "cuda":
        from resetsgd.montecarlo.cuda import device as cuda

        if threads is not None:
            raise DomainError("threads", threads, "None with device='cuda'")
        where, workers = f"cuda: {cuda.found().name}", 1
    return Plan(
        process, protocol, places, motion, clock, chosen, length, limit, seed, first, count,
        workers, where, most, partial,
    )  # fmt: skip


def _arrives(process: Process, places: Places | SpacePlaces) -> bool:
    """Whether theory knows that the mean passage time is finite without resets."""
    if isinstance(places, SpacePlaces):
        return False
    target = (places.low, places.high) if places.interval else places.low
    arguments = process, places.start, target, places.wall
    try:
        return _finite(*arguments)
    except TypeError:  # a process with arrays cannot be remembered
        return bool(_finite.__wrapped__(*arguments))


@lru_cache(maxsize=64)
def _finite(process: Process, start: float, target: Any, wall: float | None) -> bool:
    from resetsgd.passage.first_passage import first_passage

    try:
        mean = first_passage(process, start, target, wall=wall).mean()
    except (CensoredMean, DomainError, NotConverged):
        return False
    return math.isfinite(float(np.asarray(mean)))


def _places(
    process: Process, start: Any, target: Any, reset_to: Any, weights: Any, wall: Any,
    precision: str | None,
) -> Places | SpacePlaces:  # fmt: skip
    """Where paths start, end and are put back."""
    if isinstance(process, Langevin):
        if wall is not None:
            raise DomainError("wall", wall, "None in many dimensions")
        single = domain.choice("precision", precision or "double", ("double", "single"))
        return in_space(process, start, target, reset_to, weights, single=single == "single")
    if precision is not None:
        raise DomainError("precision", precision, "None: it is for Langevin processes")
    if reset_to is None and isinstance(process, Landscape):
        reset_to = process.reset_to
    return places_of(start, target, reset_to, weights, wall)


def _with_rate(process: Landscape, protocol: Protocol | None, clock: Any) -> Any:
    """A landscape's own resets beside a protocol: a constant rate adds to a Poisson one."""
    if clock is not NEVER and not isinstance(protocol, Poisson):
        raise DomainError("protocol", protocol, "None or Poisson for a landscape with a rate")
    if callable(process.rate) or not process.rate:
        return clock
    total = float(process.rate) + (0.0 if clock is NEVER else 1.0 / clock.mean)
    return clock_of(Poisson(total))


def _deterministic(
    process: Process, protocol: Protocol | None, places: Places | SpacePlaces
) -> str | None:
    """What gives the answer without simulation; None for resets to a cloud, as no call is short."""
    if isinstance(places, SpacePlaces) or places.back.shape[1] > 1:
        return None
    if isinstance(process, (ColouredNoise, StableNoise)):
        return None
    under = "" if protocol is None else ".under(protocol)"
    return f"resetsgd.first_passage(process, start, target){under}"


def path_numbers(paths: int | range) -> tuple[int, int]:
    """First path number and how many."""
    if not isinstance(paths, range):
        return 0, domain.integer("paths", paths, 1, MOST_PATHS)
    if paths.step != 1 or len(paths) == 0 or paths.start < 0 or paths.stop > MOST_PATHS:
        raise DomainError("paths", paths, f"a nonempty range of step 1 within 0 ... {MOST_PATHS}")
    return paths.start, len(paths)


def processors() -> int:
    """Processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
