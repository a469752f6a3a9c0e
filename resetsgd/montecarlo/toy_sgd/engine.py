"""From tasks and options to what the kernels read: aligned, padded arrays and plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo.kernels import sgd_state
from resetsgd.montecarlo.kernels.outcomes import POSITION
from resetsgd.montecarlo.kernels.sgd import advance as go_on
from resetsgd.montecarlo.kernels.sgd_batches import BLOCK, STREAMS
from resetsgd.montecarlo.kernels.sgd_models import CHUNK, LINKS, Model, Problem, Scratch
from resetsgd.montecarlo.kernels.sgd_vectors import GROUP, padded
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
    """Where the kernels keep the numbers of a task: rows filled up with zeros, of one type."""

    task: SGDTask
    dtype: Any = np.float64

    @property
    def width(self) -> int:
        """Length of a row of inputs."""
        return padded(self.task.dimension, self.dtype)

    @property
    def size(self) -> int:
        """Length of the parameters."""
        units = self.task.units
        return units * self.width + padded(units, self.dtype) if units else self.width

    def packed(self, points: Array) -> Array:
        """Parameters (m, parameters) as one flat array."""
        points = np.atleast_2d(points)
        d, units = self.task.dimension, self.task.units
        out: Array = aligned(len(points), self.size, dtype=self.dtype)
        if units == 0:
            out[:, :d] = points
        else:
            rows = out[:, : units * self.width].reshape(len(points), units, self.width)
            rows[:, :, :d] = points[:, : units * d].reshape(len(points), units, d)
            out[:, units * self.width : units * self.width + units] = points[:, units * d :]
        return out.reshape(-1)

    def unpacked(self, flat: Array) -> Array:
        """The parameters (m, parameters) again, as float64."""
        flat = flat.astype(np.float64)
        d, units = self.task.dimension, self.task.units
        if units == 0:
            return np.ascontiguousarray(flat[:, :d])
        rows = flat[:, : units * self.width].reshape(len(flat), units, self.width)[:, :, :d]
        last = flat[:, units * self.width : units * self.width + units]
        return np.concatenate([rows.reshape(len(flat), -1), last], axis=1)

    def matrix(self, inputs: Any) -> Array:
        """Inputs as a flat matrix with rows of zeros at its end."""
        if inputs is None:
            return np.zeros(GROUP * self.width, self.dtype)
        out: Array = aligned(len(inputs) + GROUP, self.width, dtype=self.dtype)
        out[: len(inputs), : self.task.dimension] = inputs
        return out.reshape(-1)

    def problem(self, direction: Array) -> Problem:
        """Everything a kernel reads about the task; ``direction`` a unit vector."""
        task = self.task
        sets = (task.inputs, task.test_inputs, task.validation_inputs)
        most = max(len(x) for x in sets if x is not None)
        return Problem(
            inputs=self.matrix(task.inputs),
            labels=self.labels(task.labels),
            wrong=self.labels(task.corrupted),
            test_inputs=self.matrix(task.test_inputs),
            test_labels=self.labels(task.test_labels),
            validation_inputs=self.matrix(task.validation_inputs),
            validation_labels=self.labels(task.validation_labels),
            numbers=np.arange(most + GROUP, dtype=np.int32),
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

    def labels(self, labels: Any) -> Array:
        """One number for each row of a matrix."""
        out: Array = aligned((0 if labels is None else len(labels)) + GROUP, dtype=self.dtype)
        if labels is not None:
            out[: len(labels)] = labels
        return out

    def workspace(self, plan: sgd_state.Plan) -> sgd_state.Workspace:
        """The memory of a thread."""
        columns = sgd_state.TOGETHER if plan.together else 1
        stretch = padded(plan.batch + GROUP, self.dtype)
        rows = padded(max(stretch, CHUNK + GROUP), self.dtype)
        size = self.size

        def reals(count: int) -> Any:
            return aligned(count, dtype=self.dtype)

        counts = np.zeros((sgd_state.COUNTS, columns), np.int64)
        counts[POSITION] = -1
        scratch = Scratch(
            score=reals(rows), weight=reals(rows), hidden=reals(max(1, self.task.units) * rows),
            clean=reals(size), noisy=reals(size),
        )  # fmt: skip
        return sgd_state.Workspace(
            theta=reals(columns * size), velocity=reals(columns * size),
            home=reals(columns * size), home_velocity=reals(columns * size),
            streams=aligned(4, columns * STREAMS, dtype=np.uint32),
            words=aligned(BLOCK, dtype=np.uint32),
            rows=np.zeros(columns * (BLOCK + plan.batch + GROUP), np.int32),
            order=np.zeros(self.task.samples, np.int64), residuals=reals(columns * stretch),
            live=np.zeros(columns, np.int64), firsts=np.zeros(columns, np.int64),
            ends=np.zeros(columns, np.int64), scales=np.zeros(columns), counts=counts,
            reals=np.zeros((sgd_state.REALS, columns)), events=np.zeros((4, columns), np.uint32),
            scratch=scratch,
        )  # fmt: skip


def _or_zero(point: Any, task: SGDTask) -> Array:
    return np.zeros(task.parameters) if point is None else np.asarray(point)


@dataclass
class TrainingState(State):
    """The state of a thread, which the driver sees, and all the memory behind it."""

    work: Any


def task_of(
    layout: Layout,
    plan: sgd_state.Plan,
    problem: Problem,
    model: Model,
    start: sgd_state.Start,
    seed: int,
    traces: Array,
    finals: Array,
) -> Task:
    """The kernel with everything fixed but the replicas."""
    key = np.uint64(seed)

    def state() -> TrainingState:
        work = layout.workspace(plan)
        return TrainingState(work.counts, work.reals, work.events, np.zeros(4), work)

    def advance(paths: Paths, state: Any, budget: int) -> int:
        out = sgd_state.Outcome(
            paths.times, paths.outcomes, paths.resets, paths.counter, state.report, traces, finals
        )
        used = int(go_on(key, plan, model, problem, start, state.work, out, paths.first, budget))
        if state.report[0]:
            replica, step = paths.first + int(state.report[1]), int(state.report[2])
            raise DomainError(
                "learning_rate",
                plan.learning_rate,
                f"smaller: replica {replica} left the range of floats at step {step}",
            )
        return used

    return Task(advance, state, sides=False)
