"""From tasks and options to what the kernels read: aligned, padded arrays and plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo.kernels import sgd
from resetsgd.montecarlo.kernels.outcomes import POSITION
from resetsgd.montecarlo.kernels.sgd_batches import BLOCK
from resetsgd.montecarlo.kernels.sgd_models import CHUNK, LINKS, Model, Problem, Scratch
from resetsgd.montecarlo.kernels.sgd_vectors import LANE, STREAMS, padded
from resetsgd.montecarlo.tasks import Paths, State, Task
from resetsgd.montecarlo.toy_sgd.task import SGDTask

__all__ = ["Layout", "TrainingState", "task_of"]


def aligned(*shape: int, dtype: Any = np.float64) -> Any:
    """Zeros that begin at a cache line: a row then touches as few of them as it can."""
    count, width = math.prod(shape), np.dtype(dtype).itemsize
    memory = np.zeros(count * width + 64, np.uint8)
    skip = -memory.ctypes.data % 64
    return memory[skip : skip + count * width].view(dtype).reshape(shape)


@dataclass(frozen=True)
class Layout:
    """Where the kernels keep the numbers of a task: rows filled up with zeros."""

    task: SGDTask

    @property
    def width(self) -> int:
        """Length of a row of inputs."""
        return padded(self.task.dimension)

    @property
    def size(self) -> int:
        """Length of the parameters."""
        units = self.task.units
        return units * self.width + padded(units) if units else self.width

    def packed(self, points: Array) -> Array:
        """Parameters (m, parameters) as one flat array."""
        points = np.atleast_2d(points)
        d, units = self.task.dimension, self.task.units
        out: Array = aligned(len(points), self.size)
        if units == 0:
            out[:, :d] = points
        else:
            rows = out[:, : units * self.width].reshape(len(points), units, self.width)
            rows[:, :, :d] = points[:, : units * d].reshape(len(points), units, d)
            out[:, units * self.width : units * self.width + units] = points[:, units * d :]
        return out.reshape(-1)

    def unpacked(self, flat: Array) -> Array:
        """The parameters (m, parameters) again."""
        d, units = self.task.dimension, self.task.units
        if units == 0:
            return np.ascontiguousarray(flat[:, :d])
        rows = flat[:, : units * self.width].reshape(len(flat), units, self.width)[:, :, :d]
        last = flat[:, units * self.width : units * self.width + units]
        return np.concatenate([rows.reshape(len(flat), -1), last], axis=1)

    def matrix(self, inputs: Any) -> Array:
        """Inputs as a flat matrix with rows of zeros at its end."""
        if inputs is None:
            return np.zeros(LANE * self.width)
        out: Array = aligned(len(inputs) + LANE, self.width)
        out[: len(inputs), : self.task.dimension] = inputs
        return out.reshape(-1)

    def problem(self, direction: Array) -> Problem:
        """Everything a kernel reads about the task; ``direction`` a unit vector."""
        task = self.task
        sets = (task.inputs, task.test_inputs, task.validation_inputs)
        most = max(len(x) for x in sets if x is not None)
        return Problem(
            inputs=self.matrix(task.inputs),
            labels=_labels(task.labels),
            wrong=_labels(task.corrupted),
            test_inputs=self.matrix(task.test_inputs),
            test_labels=_labels(task.test_labels),
            validation_inputs=self.matrix(task.validation_inputs),
            validation_labels=_labels(task.validation_labels),
            numbers=np.arange(most + LANE),
            teacher=self.packed(_or_zero(task.teacher, task)),
            direction=self.packed(direction),
        )

    def model(self, shift: float) -> Model:
        """Its shape."""
        task = self.task
        found = task.validation_inputs
        return Model(
            link=LINKS[task.link], width=self.width, units=task.units, size=self.size,
            even=int(task.even), train=task.samples, test=len(task.test_inputs),
            validation=0 if found is None else len(found), shift=shift,
        )  # fmt: skip

    def workspace(self, batch: int) -> sgd.Workspace:
        """The memory of a thread."""
        rows = padded(max(batch, CHUNK)) + LANE
        size = self.size
        counts = np.zeros(sgd.COUNTS, np.int64)
        counts[POSITION] = -1
        scratch = Scratch(
            score=aligned(rows), weight=aligned(rows),
            hidden=aligned(max(1, self.task.units) * rows), clean=aligned(size),
            noisy=aligned(size),
        )  # fmt: skip
        return sgd.Workspace(
            theta=aligned(size), velocity=aligned(size), home=aligned(size),
            home_velocity=aligned(size), streams=aligned(4, STREAMS, dtype=np.uint32),
            words=aligned(BLOCK, dtype=np.uint32), rows=np.zeros(BLOCK + batch + LANE, np.int64),
            order=np.zeros(self.task.samples, np.int64), counts=counts, reals=np.zeros(sgd.REALS),
            events=np.zeros((4, 1), np.uint32), scratch=scratch,
        )  # fmt: skip


def _labels(labels: Any) -> Array:
    if labels is None:
        return np.zeros(LANE)
    out: Array = aligned(len(labels) + LANE)
    out[: len(labels)] = labels
    return out


def _or_zero(point: Any, task: SGDTask) -> Array:
    return np.zeros(task.parameters) if point is None else np.asarray(point)


@dataclass
class TrainingState(State):
    """The state of a thread, which the driver sees, and all the memory behind it."""

    work: Any


def task_of(
    layout: Layout,
    plan: sgd.Plan,
    problem: Problem,
    model: Model,
    start: sgd.Start,
    seed: int,
    traces: Array,
    finals: Array,
) -> Task:
    """The kernel with everything fixed but the replicas."""
    key = np.uint64(seed)

    def state() -> TrainingState:
        work = layout.workspace(plan.batch)
        return TrainingState(
            work.counts.reshape(-1, 1), work.reals.reshape(-1, 1), work.events, np.zeros(4), work
        )

    def advance(paths: Paths, state: Any, budget: int) -> int:
        out = sgd.Outcome(
            paths.times, paths.outcomes, paths.resets, paths.counter, state.report, traces, finals
        )
        used = int(
            sgd.advance(key, plan, model, problem, start, state.work, out, paths.first, budget)
        )
        if state.report[0]:
            replica, step = paths.first + int(state.report[1]), int(state.report[2])
            raise DomainError(
                "learning_rate",
                plan.learning_rate,
                f"smaller: replica {replica} left the range of floats at step {step}",
            )
        return used

    return Task(advance, state)
