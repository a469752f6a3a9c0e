"""What happens to single replicas of SGD: beginnings, resets, looks, records."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.clocks import next_reset
from resetsgd.montecarlo.kernels.compiling import helper, inlined
from resetsgd.montecarlo.kernels.lanes import EVENTS, seed_lane, uniform
from resetsgd.montecarlo.kernels.outcomes import RESETS
from resetsgd.montecarlo.kernels.sgd_batches import BLOCK, STREAMS, seed_streams
from resetsgd.montecarlo.kernels.sgd_models import Model, Problem, observed
from resetsgd.montecarlo.kernels.sgd_moves import seen
from resetsgd.montecarlo.kernels.sgd_state import (
    AT,
    BEST,
    BEST_LOSS,
    CLOUD,
    DUE,
    LOOK,
    MADE,
    MISSED,
    STEP,
    TICKS,
    WATCHED,
    Outcome,
    Plan,
    Start,
    Workspace,
)

__all__ = ["begin", "keep", "record", "settle", "steps_until"]

_FAR, _NEVER = 1e15, 1 << 60
_TOSSED = 1024
"""Coins are tossed ahead to the next look at the loss, but not beyond multiples of this."""


@helper
def next_due(
    events: Any, lane: int, clock: Any, table: Any, resets: int, step: int, ticks: float
) -> tuple[int, float]:
    """The step of the next reset: the first at or after its time, but after this step; ticks."""
    when, ticks = next_reset(events, lane, clock, table, resets, float(step), 0.0, ticks)
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


@inlined
def coins_end(plan: Plan, step: int) -> int:
    """The last step, from this one on, whose coin does not wait for a further look at the loss."""
    look = step + (-step) % plan.watch_every
    return min(look, step + (-step) % _TOSSED, plan.horizon)


@helper
def toss(lane: int, step: int, plan: Plan, start: Start, work: Workspace) -> None:
    """Toss the coins of the steps from this one to ``coins_end``: the step of the next reset."""
    watched = float(work.reals[WATCHED, lane])
    probability = chance(start.levels, start.chances, watched)
    work.counts[DUE, lane] = _NEVER
    for coin in range(step, coins_end(plan, step) + 1):
        if uniform(work.events, lane) < probability:
            work.counts[DUE, lane] = coin
            break


@helper
def begin(
    lane: int, path: int, seed: Any, plan: Plan, model: Model, start: Start, work: Workspace
) -> None:
    """Put a replica that has made no step into a column."""
    size, counts, starts = model.size, work.counts, start.starts
    base, own = lane * size, (path % (len(starts) // size)) * size
    for k in range(size):
        work.theta[base + k] = starts[own + k]
        work.home[base + k] = starts[own + k]
        work.velocity[base + k] = 0.0
        work.home_velocity[base + k] = 0.0
    seed_streams(work.streams, lane * STREAMS, seed, np.uint64(path))
    seed_lane(work.events, lane, seed, np.uint64(path), EVENTS)
    counts[AT, lane], counts[MADE, lane], counts[LOOK, lane] = 0, 0, MISSED
    if plan.replace == 0:
        counts[AT, lane] = BLOCK  # no word left
        for k in range(model.train):
            work.order[k] = k
    counts[STEP, lane], counts[RESETS, lane] = 0, 0
    counts[DUE, lane], work.reals[TICKS, lane] = next_due(
        work.events, lane, start.clock, start.table, int(counts[RESETS, lane]),
        int(counts[STEP, lane]), 0.0,
    )  # fmt: skip


@helper
def reset(lane: int, plan: Plan, model: Model, start: Start, work: Workspace) -> None:
    """Take a replica to its checkpoint, or part of the way."""
    size, counts, events = model.size, work.counts, work.events
    base, homes = lane * size, start.homes
    theta, home, velocity, kept = work.theta, work.home, work.velocity, work.home_velocity
    counts[RESETS, lane] += 1
    if plan.checkpoint == CLOUD:
        pick = int(uniform(events, lane) * (len(homes) // size)) * size
        for k in range(size):
            home[base + k] = homes[pick + k]
    for k in range(base, base + size):
        theta[k] = home[k] + plan.partial * (theta[k] - home[k])
    if plan.keep_velocity == 0:
        for k in range(base, base + size):
            velocity[k] = kept[k] + plan.partial * (velocity[k] - kept[k])
    step = int(counts[STEP, lane])
    if plan.by_loss:
        counts[DUE, lane] = _NEVER
        if step < coins_end(plan, step):
            toss(lane, step + 1, plan, start, work)
        return
    counts[DUE, lane], work.reals[TICKS, lane] = next_due(
        events, lane, start.clock, start.table, int(counts[RESETS, lane]), step,
        float(work.reals[TICKS, lane]),
    )  # fmt: skip


@helper
def settle(
    lane: int, fresh: bool, plan: Plan, model: Model, problem: Problem, start: Start,
    work: Workspace,
) -> int:  # fmt: skip
    """What follows a move: maybe a reset, then the looks that are due; returns what they cost.

    Where another replica ended the steps nothing is due, and the target is only looked at again.
    """
    counts, reals, theta, scratch = work.counts, work.reals, work.theta, work.scratch
    size, step, target = model.size, int(counts[STEP, lane]), plan.target
    base, cost = lane * size, 0
    for turn in range(2):
        if counts[LOOK, lane] != MISSED:
            break
        if turn == plan.look_first:
            if counts[DUE, lane] == step:
                reset(lane, plan, model, start, work)
            continue
        if target >= 0 and step % plan.look_every == 0 and not fresh:
            cost += plan.look_cost if plan.slow else 0
            value = observed(target, model, theta, base, problem, scratch)
            counts[LOOK, lane] = seen(value, plan.above, plan.level)
        if plan.checkpoint == BEST and step % plan.best_every == 0:
            cost += plan.look_cost
            value = observed(plan.best, model, theta, base, problem, scratch)
            if fresh or value < reals[BEST_LOSS, lane]:
                reals[BEST_LOSS, lane] = value
                for k in range(base, base + size):
                    work.home[k] = theta[k]
                    work.home_velocity[k] = work.velocity[k]
        if plan.by_loss and coins_end(plan, step) == step:
            if step % plan.watch_every == 0:
                cost += plan.look_cost
                reals[WATCHED, lane] = observed(plan.watched, model, theta, base, problem, scratch)
            toss(lane, step + 1, plan, start, work)
    return cost


@helper
def steps_until(lane: int, plan: Plan, counts: Any) -> int:
    """Steps that a replica can make before something besides a quick look is due."""
    step = int(counts[STEP, lane])
    limit = min(int(counts[DUE, lane]), plan.horizon) - step
    if plan.target >= 0 and plan.slow:
        limit = min(limit, plan.look_every - step % plan.look_every)
    if plan.checkpoint == BEST:
        limit = min(limit, plan.best_every - step % plan.best_every)
    if plan.record_every > 0:
        limit = min(limit, plan.record_every - step % plan.record_every)
    if plan.by_loss:
        limit = min(limit, coins_end(plan, step + 1) - step)
    return limit


@helper
def record(
    lane: int, position: int, step: int, plan: Plan, model: Model, problem: Problem, start: Start,
    work: Workspace, out: Outcome,
) -> None:  # fmt: skip
    """Write what is recorded of a replica."""
    at, base = step // plan.record_every, lane * model.size
    for j in range(len(start.recorded)):
        out.traces[position, at, j] = observed(
            start.recorded[j], model, work.theta, base, problem, work.scratch
        )


@helper
def keep(lane: int, position: int, plan: Plan, size: int, work: Workspace, out: Outcome) -> None:
    """Write where a replica is."""
    if plan.keep_final:
        for k in range(size):
            out.finals[position, k] = work.theta[lane * size + k]
