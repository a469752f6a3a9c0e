"""One request for toy SGD: its arguments checked, turned into a plan, and run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo import driver
from resetsgd.montecarlo.clock import NEVER, Clock, clock_of
from resetsgd.montecarlo.driver import Progress
from resetsgd.montecarlo.kernels import sgd_state
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, CENSORED, RUNNING
from resetsgd.montecarlo.kernels.sgd_models import CODES
from resetsgd.montecarlo.streams import STREAM_VERSION
from resetsgd.montecarlo.toy_sgd.engine import Layout, aligned, task_of
from resetsgd.montecarlo.toy_sgd.options import BestSoFar, LossResets, Reaches
from resetsgd.montecarlo.toy_sgd.task import OBSERVABLES, SGDTask, unit_vector
from resetsgd.protocols import Geometric

__all__ = ["Done", "Schedule", "Training"]

Schedule = npt.ArrayLike | Callable[[int], float]
_MOST_ENTRIES = 2**28
_MOST_STEPS = 2**50
_MOST_PATHS = 2**40


@dataclass(frozen=True)
class Done:
    """What the kernels wrote: about replicas that were begun; without a target, that are done."""

    times: Array
    outcomes: npt.NDArray[np.int8]
    resets: npt.NDArray[np.int64]
    traces: dict[str, Array]
    trace_steps: npt.NDArray[np.int64]
    parameters: Array | None
    replicas: npt.NDArray[np.int64]
    """Their numbers."""
    info: dict[str, Any]


@dataclass(frozen=True)
class Training:
    """The arguments of :func:`~resetsgd.montecarlo.toy_sgd.api.simulate_sgd`; no target: none."""

    task: SGDTask
    target: Reaches | None
    start: Any
    learning_rate: float
    batch_size: int
    horizon: int
    replicas: int | range
    momentum: float
    weight_decay: float
    schedule: Any
    replace: bool
    protocol: Any
    checkpoint: Any
    partial: float
    keep_velocity: bool
    look_every: int
    direction: Any
    origin: Any
    record: Iterable[str]
    record_every: int | None
    parameters: bool
    seed: int
    threads: int | None
    budget: int
    progress: Progress | None
    precision: str = "double"

    def run(self) -> Done:
        """Check everything, then let the driver work."""
        began = time.perf_counter()
        task = self.task
        if not isinstance(task, SGDTask):
            raise DomainError("task", task, "a learning problem such as LinearTask")
        single = domain.choice("precision", self.precision, ("double", "single")) == "single"
        layout = Layout(task, np.float32 if single else np.float64)
        first, count = _paths(self.replicas)
        horizon = domain.integer("horizon", self.horizon, 1, _MOST_STEPS)
        batch = domain.integer("batch_size", self.batch_size, 1, 2**24)
        _flag("replace", self.replace)
        _flag("keep_velocity", self.keep_velocity)
        if not self.replace and batch > task.samples:
            raise DomainError("batch_size", batch, f"at most {task.samples}, the number of samples")
        starts, homes = self._starts(), self._homes()
        recorded = self._recorded()
        direction, origin = self._line(starts[0], recorded)
        self._not_there(starts, direction, origin)
        every, looks = self._looks(recorded, horizon)
        if (
            count * max(looks * len(recorded), layout.size if self.parameters else 0)
            > _MOST_ENTRIES
        ):
            raise DomainError("record", recorded, f"less: at most {_MOST_ENTRIES} numbers are kept")
        clock = self._clock()
        seed = domain.integer("seed", self.seed, 0, 2**64 - 1)
        workers = _processors()
        if self.threads is not None:
            workers = domain.integer("threads", self.threads, 1, 1024)
        plan = self._plan(batch, horizon, every, homes)
        levels, chances = np.zeros(1), np.zeros(1)
        if isinstance(self.protocol, LossResets):
            levels, chances = self.protocol.levels, self.protocol.probabilities  # type: ignore[assignment]
        begin = sgd_state.Start(
            starts=layout.packed(starts),
            homes=layout.packed(starts[:1] if homes is None else homes),
            schedule=self._schedule(horizon),
            clock=clock.numbers,
            table=np.ascontiguousarray(clock.table),
            levels=levels,
            chances=chances,
            recorded=np.array([CODES[name] for name in recorded], np.int64),
        )
        traces = np.full((count, looks, len(recorded)), np.nan)
        finals = aligned(count if self.parameters else 0, layout.size, dtype=layout.dtype)
        shift = float(direction @ origin)
        job = task_of(
            layout,
            plan,
            layout.problem(direction),
            layout.model(shift),
            begin,
            seed,
            traces,
            finals,
        )
        paths, interrupted = driver.run(
            job,
            first=first,
            count=count,
            threads=workers,
            budget=domain.integer("budget", self.budget, 1),
            progress=self.progress,
            needed=ARRIVED if self.target else CENSORED,
        )
        begun = paths.outcomes != RUNNING
        if self.target is None:
            begun &= paths.times == horizon  # Ctrl-C may have cut others short
        info = {
            "task": repr(task),
            "protocol": repr(self.protocol),
            "target": repr(self.target),
            "learning_rate": plan.learning_rate,
            "batch_size": batch,
            "steps": int(paths.times[begun].sum()),
            "first": first,
            "paths": count,
            "horizon": horizon,
            "seed": seed,
            "stream_version": STREAM_VERSION,
            "precision": self.precision,
            "threads": workers,
            "interrupted": interrupted,
            "seconds": time.perf_counter() - began,
        }
        return Done(
            times=paths.times[begun],
            outcomes=paths.outcomes[begun],
            resets=paths.resets[begun].astype(np.int64),
            traces={name: traces[begun, :, j] for j, name in enumerate(recorded)},
            trace_steps=every * np.arange(looks),
            parameters=layout.unpacked(finals[begun]) if self.parameters else None,
            replicas=first + np.flatnonzero(begun),
            info=info,
        )

    # Arguments, one by one -----------------------------------------------------------------------

    def _starts(self) -> Array:
        if self.start is None:
            if self.task.units or self.task.even:
                raise DomainError("start", None, "given: zeros are a saddle; see random_start")
            return np.zeros((1, self.task.parameters))
        return self._points("start", self.start)

    def _homes(self) -> Array | None:
        if self.checkpoint is None or isinstance(self.checkpoint, BestSoFar):
            return None
        return self._points("checkpoint", self.checkpoint)

    def _points(self, name: str, value: Any) -> Array:
        points = np.atleast_2d(np.asarray(domain.finite(name, value)))
        p = self.task.parameters
        if points.ndim != 2 or points.shape[1] != p or len(points) == 0:
            raise DomainError(name, np.shape(value), f"of shape ({p},) or (m, {p})")
        return points

    def _recorded(self) -> tuple[str, ...]:
        if isinstance(self.record, str):
            raise DomainError("record", self.record, "a sequence of names")
        names = tuple(self.record)
        watching: Sequence[Any] = (self.target, self.checkpoint, self.protocol)
        others = [w.observable for w in watching if isinstance(w, (Reaches, BestSoFar, LossResets))]
        for name in (*names, *others):
            self.task.needs(domain.choice("record", name, OBSERVABLES))
        return names

    def _line(self, start: Array, recorded: tuple[str, ...]) -> tuple[Array, Array]:
        """Unit direction and origin."""
        task, names = self.task, [*recorded]
        watching: Sequence[Any] = (self.target, self.checkpoint, self.protocol)
        names += [w.observable for w in watching if isinstance(w, (Reaches, BestSoFar, LossResets))]
        origin = start if self.origin is None else task.check("origin", self.origin)
        if self.direction is not None:
            return unit_vector(task.check("direction", self.direction)), origin
        if not {"projection", "clean_pull", "wrong_pull"} & set(names):
            return np.zeros(task.parameters), origin
        if task.teacher is None or not np.any(task.teacher != start):
            raise DomainError("direction", None, "given, for there is none from start to teacher")
        return unit_vector(task.teacher - start), origin

    def _not_there(self, starts: Array, direction: Array, origin: Array) -> None:
        """No replica may start on its target."""
        if self.target is None:
            return
        for point in starts[:1000]:
            value = self.task.observe(
                self.target.observable,
                point,
                direction=direction if direction.any() else None,
                origin=origin,
            )
            if self.target.met(value):
                raise DomainError("start", value, f"short of the target, {self.target}")

    def _looks(self, recorded: tuple[str, ...], horizon: int) -> tuple[int, int]:
        """Steps between records and their number."""
        if not recorded:
            if self.record_every is not None:
                raise DomainError("record_every", self.record_every, "left out: nothing to record")
            return 1, 0
        every = max(1, horizon // 100)
        if self.record_every is not None:
            every = domain.integer("record_every", self.record_every, 1, _MOST_STEPS)
        return every, horizon // every + 1

    def _clock(self) -> Clock:
        if isinstance(self.protocol, LossResets):
            return NEVER
        clock = clock_of(self.protocol)
        if self.protocol is not None and not self.protocol.lost.none:
            raise DomainError("overhead", self.protocol.overhead, "0: steps take no time here")
        if clock.partial is not None:
            allowed = "left out: give partial to simulate_sgd, for the way to the checkpoint"
            raise DomainError("partial", clock.partial, allowed)
        return clock

    def _schedule(self, horizon: int) -> Array:
        if self.schedule is None:
            return np.ones(1)
        given = self.schedule
        if callable(given):
            if horizon > 2**22:
                raise DomainError("schedule", given, f"an array, for a horizon beyond {2**22}")
            given = [float(given(step)) for step in range(horizon)]
        factors = np.atleast_1d(np.array(domain.nonnegative("schedule", given)))
        if factors.ndim != 1 or factors.size == 0:
            raise DomainError("schedule", factors.shape, "of shape (k,)")
        return factors

    def _plan(self, batch: int, horizon: int, every: int, homes: Array | None) -> sgd_state.Plan:
        task, target, protocol = self.task, self.target, self.protocol
        best = self.checkpoint if isinstance(self.checkpoint, BestSoFar) else None
        losses = protocol if isinstance(protocol, LossResets) else None
        sets = [task.inputs, task.test_inputs, task.validation_inputs]
        rows = max(len(x) for x in sets if x is not None)
        checkpoint = sgd_state.OWN if homes is None else sgd_state.CLOUD
        momentum = domain.single("momentum", self.momentum, _below_one)
        decay = domain.single("weight_decay", self.weight_decay, domain.nonnegative)
        plain = momentum == 0.0 and decay == 0.0 and self.replace
        quick = target is not None and (
            target.observable in ("distance", "projection")
            or (target.observable == "overlap" and not task.units)
        )
        return sgd_state.Plan(
            together=int(plain and not task.units and task.link == "squared"),
            batch=batch,
            replace=int(self.replace),
            learning_rate=domain.single("learning_rate", self.learning_rate, domain.positive),
            momentum=momentum,
            decay=decay,
            target=-1 if target is None else CODES[target.observable],
            slow=int(not quick),
            above=int(target is not None and target.above is not None),
            level=0.0 if target is None else target.level,
            look_every=domain.integer("look_every", self.look_every, 1, horizon),
            record_every=every if tuple(self.record) else 0,
            look_cost=max(1, rows // batch),
            by_loss=int(losses is not None),
            watched=0 if losses is None else CODES[losses.observable],
            watch_every=1 if losses is None else losses.every,
            look_first=int(isinstance(protocol, Geometric) and protocol.order == "move-look-coin"),
            partial=domain.single("partial", self.partial, _below_one),
            keep_velocity=int(self.keep_velocity),
            checkpoint=checkpoint if best is None else sgd_state.BEST,
            best=0 if best is None else CODES[best.observable],
            best_every=1 if best is None else best.every,
            horizon=horizon,
            keep_final=int(self.parameters),
        )


def _below_one(name: str, value: Any) -> Any:
    return domain.within(name, value, 0.0, 1.0, open_high=True)


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, (bool, np.bool_)):
        raise DomainError(name, value, "True or False")


def _paths(replicas: int | range) -> tuple[int, int]:
    """First replica and how many."""
    if not isinstance(replicas, range):
        return 0, domain.integer("replicas", replicas, 1, _MOST_PATHS)
    fits = replicas.step == 1 and len(replicas) > 0 and replicas.start >= 0
    if not fits or replicas.stop > _MOST_PATHS:
        allowed = f"a nonempty range of step 1 within 0 ... {_MOST_PATHS}"
        raise DomainError("replicas", replicas, allowed)
    return replicas.start, len(replicas)


def _processors() -> int:
    """Processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
