"""Mini-batch SGD with resets, one replica after the other; the order of a step is move, coin, look.

A kernel call works through a run of consecutive replicas until its budget of steps is used up;
what it needs to go on is kept in its ``Workspace``. All random numbers are keyed by the replica.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from resetsgd.montecarlo.kernels.clocks import next_reset
from resetsgd.montecarlo.kernels.compiling import helper, inlined, kernel
from resetsgd.montecarlo.kernels.lanes import EVENTS, seed_lane, uniform
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, CENSORED, POSITION, RESETS, TIME
from resetsgd.montecarlo.kernels.sgd_batches import BLOCK, seed_streams
from resetsgd.montecarlo.kernels.sgd_models import (
    OVERLAP,
    PROJECTION,
    SQUARED,
    Model,
    Problem,
    Scratch,
    fast_value,
    observed,
)
from resetsgd.montecarlo.kernels.sgd_moves import (
    AT,
    MADE,
    MISSED,
    REACHED,
    WRECKED,
    general_moves,
    regression_moves,
    seen,
)
from resetsgd.montecarlo.kernels.vectors import fetch_add

__all__ = [
    "BEST",
    "CLOUD",
    "COUNTS",
    "OWN",
    "REALS",
    "Outcome",
    "Plan",
    "Start",
    "Workspace",
    "advance",
]

OWN, CLOUD, BEST = 0, 1, 2
"""Where resets lead: the replica's start, a member of a cloud, its best parameters so far."""

STEP, DUE = 2, 3
BEST_LOSS, WATCHED, TICKS = 2, 3, 4
COUNTS, REALS = 6, 5
"""Lengths of the arrays that hold the state between calls: see ``outcomes``; AT and MADE too."""

_FAR, _NEVER = 1e15, 1 << 60


class Plan(NamedTuple):
    """What is done, in numbers; the codes are those above and of ``sgd_models``."""

    batch: int
    replace: int
    learning_rate: float
    momentum: float
    decay: float
    target: int
    """Code of the observable, -1 for none."""
    above: int
    level: float
    look_every: int
    record_every: int
    """0: no traces."""
    look_cost: int
    """Steps that take as long as a look that goes through all data."""
    by_loss: int
    """Whether a coin is tossed at each step, with a chance that depends on a loss."""
    watched: int
    watch_every: int
    look_first: int
    partial: float
    keep_velocity: int
    checkpoint: int
    best: int
    best_every: int
    horizon: int
    keep_final: int


class Start(NamedTuple):
    """Where replicas start and are reset to, and when; flat matrices of parameters."""

    starts: Any
    homes: Any
    schedule: Any
    """Factors of the learning rate, the last of them for ever."""
    clock: Any
    table: Any
    """When resets fall due: see ``clocks``. A waiting time is rounded up to whole steps."""
    levels: Any
    chances: Any
    """Reset probabilities at levels of a loss."""
    recorded: Any
    """Codes of the observables that are recorded."""


class Workspace(NamedTuple):
    """The memory of one thread."""

    theta: Any
    velocity: Any
    home: Any
    home_velocity: Any
    streams: Any
    words: Any
    rows: Any
    order: Any
    counts: Any
    reals: Any
    events: Any
    scratch: Scratch


class Outcome(NamedTuple):
    """Results of a run of replicas."""

    times: Any
    codes: Any
    resets: Any
    counter: Any
    """Of the replicas that have been begun."""
    report: Any
    """(1, position, step, 0) when a replica left the range of floats."""
    traces: Any
    finals: Any


@helper
def next_due(
    events: Any, clock: Any, table: Any, resets: int, step: int, ticks: float
) -> tuple[int, float]:
    """The step of the next reset: the first at or after its time, but after this step; ticks."""
    when, ticks = next_reset(events, 0, clock, table, resets, float(step), 0.0, ticks)
    return (max(math.ceil(when), step + 1) if when < _FAR else _NEVER), ticks


@inlined
def chance(levels: Any, chances: Any, value: float) -> float:
    """Reset probability at a loss, linear between the levels, constant beyond them."""
    last = len(levels) - 1
    if value <= levels[0]:
        return float(chances[0])
    if value >= levels[last]:
        return float(chances[last])
    low, high = 0, last
    for _ in range(64):
        if high - low > 1:
            middle = (low + high) >> 1
            if levels[middle] <= value:
                low = middle
            else:
                high = middle
    share = (value - levels[low]) / (levels[high] - levels[low])
    return float(chances[low] + share * (chances[high] - chances[low]))


@kernel
def advance(
    seed: Any, plan: Plan, model: Model, problem: Problem, start: Start, work: Workspace,
    out: Outcome, first: int, budget: int,
) -> int:  # fmt: skip
    """Go on with the replicas; returns the steps made, fewer than the budget if none is left.

    Parameters
    ----------
    seed : uint64
        Of all streams.
    plan, model, problem, start : Plan, Model, Problem, Start
        What is simulated.
    work : Workspace
        State between calls.
    out : Outcome
        Results, written here.
    first : int
        Number of the first replica.
    budget : int
        Bound of the number of steps in this call.
    """
    units, size, train = model.units, model.size, model.train
    batch, horizon, every, target = plan.batch, plan.horizon, plan.look_every, plan.target
    quick = 0 <= target <= PROJECTION and not (target == OVERLAP and units > 0)
    aim = target if quick else -1
    simple = plan.momentum == 0.0 and plan.decay == 0.0
    lean = units == 0 and model.link == SQUARED and simple and plan.replace == 1
    inputs, labels = problem.inputs, problem.labels
    teacher, direction = problem.teacher, problem.direction
    theta, velocity, home, home_velocity = (
        work.theta, work.velocity, work.home, work.home_velocity
    )  # fmt: skip
    streams, events, words, rows, order = (
        work.streams, work.events, work.words, work.rows, work.order
    )  # fmt: skip
    score, weight, hidden = work.scratch.score, work.scratch.weight, work.scratch.hidden
    counts, reals, scratch = work.counts, work.reals, work.scratch
    starts, homes, schedule = start.starts, start.homes, start.schedule
    table, chances, recorded = start.table, start.chances, start.recorded
    times, codes, reset_counts = out.times, out.codes, out.resets
    traces, finals, replicas = out.traces, out.finals, len(out.times)
    clock, levels, report, counter = start.clock, start.levels, out.report, out.counter
    position, resets = int(counts[POSITION]), int(counts[RESETS])
    step, due = int(counts[STEP]), int(counts[DUE])
    best, watched, ticks = float(reals[BEST_LOSS]), float(reals[WATCHED]), float(reals[TICKS])
    used = 0
    while used < budget:
        fresh = position < 0
        look = MISSED
        if fresh:
            position = fetch_add(counter, 1)
            if position >= replicas:
                position = -1
                break
            step, resets, ticks = 0, 0, 0.0
            counts[AT], counts[MADE] = 0, 0
            path = first + position
            own = (path % (len(starts) // size)) * size
            for k in range(size):
                theta[k] = starts[own + k]
                home[k] = theta[k]
                velocity[k] = 0.0
                home_velocity[k] = 0.0
            seed_streams(streams, seed, np.uint64(path))
            seed_lane(events, 0, seed, np.uint64(path), EVENTS)
            if plan.replace == 0:
                counts[AT] = BLOCK  # no word left
                for k in range(train):
                    order[k] = k
            due, ticks = next_due(events, clock, table, 0, 0, ticks)
        else:
            limit = min(due, horizon) - step
            if limit > budget - used:
                limit = budget - used
            if target >= 0 and not quick:
                limit = min(limit, every - step % every)
            if plan.checkpoint == BEST:
                limit = min(limit, plan.best_every - step % plan.best_every)
            if plan.by_loss:
                limit = 1
            if plan.record_every > 0:
                limit = min(limit, plan.record_every - step % plan.record_every)
            if lean:
                done = regression_moves(
                    limit, step, batch, plan.learning_rate, schedule, aim, plan.above, plan.level,
                    every, model, inputs, labels, teacher, direction, theta, streams, words, rows,
                    counts, score,
                )  # fmt: skip
            else:
                done = general_moves(
                    limit, step, batch, plan.learning_rate, schedule, aim, plan.above, plan.level,
                    every, model, inputs, labels, teacher, direction, theta, streams, words, rows,
                    counts, score, velocity, weight, hidden, order, plan.momentum, plan.decay,
                    plan.replace,
                )  # fmt: skip
            step += done >> 2
            used += done >> 2
            look = done & 3
        # Of the last step only the move is made: now maybe a reset, then all looks that are due.
        for turn in range(2):
            if turn == plan.look_first:
                falls = due == step
                if plan.by_loss and not fresh:
                    falls = uniform(events, 0) < chance(levels, chances, watched)
                if falls and look == MISSED:
                    resets += 1
                    if plan.checkpoint == CLOUD:
                        pick = int(uniform(events, 0) * (len(homes) // size)) * size
                        for k in range(size):
                            home[k] = homes[pick + k]
                    for k in range(size):
                        theta[k] = home[k] + plan.partial * (theta[k] - home[k])
                    if not simple and plan.keep_velocity == 0:
                        for k in range(size):
                            gap = velocity[k] - home_velocity[k]
                            velocity[k] = home_velocity[k] + plan.partial * gap
                    due, ticks = next_due(events, clock, table, resets, step, ticks)
                continue
            if look != MISSED:
                continue
            if target >= 0 and step % every == 0 and not fresh:
                if quick:
                    value = fast_value(
                        target, model.even, size, theta, teacher, direction, model.shift
                    )
                else:
                    used += plan.look_cost
                    value = observed(target, model, theta, problem, scratch)
                look = seen(value, plan.above, plan.level)
            if plan.checkpoint == BEST and step % plan.best_every == 0:
                used += plan.look_cost
                value = observed(plan.best, model, theta, problem, scratch)
                if fresh or value < best:
                    best = value
                    for k in range(size):
                        home[k] = theta[k]
                        home_velocity[k] = velocity[k]
            if plan.by_loss and step % plan.watch_every == 0:
                used += plan.look_cost
                watched = observed(plan.watched, model, theta, problem, scratch)
        if plan.record_every > 0 and step % plan.record_every == 0:
            for j in range(len(recorded)):
                used += plan.look_cost
                at = step // plan.record_every
                traces[position, at, j] = observed(recorded[j], model, theta, problem, scratch)
        if look != MISSED or step >= horizon:
            if look == WRECKED:
                report[0], report[1], report[2] = 1.0, position, step
                break
            times[position], reset_counts[position] = step, resets
            codes[position] = ARRIVED if look == REACHED else CENSORED
            if plan.keep_final:
                for k in range(size):
                    finals[position, k] = theta[k]
            position = -1
    counts[POSITION], counts[RESETS], counts[STEP], counts[DUE] = position, resets, step, due
    reals[TIME], reals[BEST_LOSS], reals[WATCHED], reals[TICKS] = step, best, watched, ticks
    return used
