"""Passage in many dimensions: all lanes one step at a time, then what happens to single paths.

Each lane has its own step: as long as the user's, or shorter where a reset, a look or the horizon
comes before, so that these fall on exact times. After a step, lanes that have arrived, broken or
come to such a time are dealt with one by one; a lane whose path has ended takes the next path. All
random numbers belong to the path, so lanes, threads and slices do not show in the results.

Whether a path met the target between the ends of a step is decided by the crossing probability of a
Brownian bridge to the tangent plane at the nearest point of the target, exact for a half-space and
constant coefficients, and with an error of the order of the step for a ball. One uniform number
serves a whole path: it arrives when the product of the probabilities not to have crossed falls
below it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.clocks import overhead
from resetsgd.montecarlo.kernels.compiling import kernel, spliced
from resetsgd.montecarlo.kernels.elementary import exp
from resetsgd.montecarlo.kernels.hitting import within_bridge
from resetsgd.montecarlo.kernels.lanes import LANES, uniform
from resetsgd.montecarlo.kernels.outcomes import (
    ARRIVED,
    BROKEN,
    CENSORED,
    LOST,
    POSITION,
    RESETS,
    RUNNING,
    TIME,
)
from resetsgd.montecarlo.kernels.rows import call_rows, rows
from resetsgd.montecarlo.kernels.space_events import (
    ALIVE,
    DUE,
    END,
    FINAL,
    LEFT,
    LIMIT,
    LOOK,
    LOOKED,
    begin,
    coming,
    look,
    place,
    pull,
    wait,
    which_side,
)
from resetsgd.montecarlo.kernels.space_moves import measure, measure_lane, move
from resetsgd.montecarlo.kernels.space_state import (
    DIAGONAL_HERE,
    FULL,
    FUNCTION,
    LOOK_AT_STEPS,
    NOTHING,
    SLAB,
)
from resetsgd.montecarlo.kernels.variates import normal

__all__ = ["travel"]


@spliced
def set_pace(
    lane: int, real: Any, whole: Any, mover: Any, step: float, length: Any, pace: Any
) -> None:
    """The next step of a lane, and what the moves need to know of it."""
    h = 0.0
    if whole[POSITION, lane] >= 0:
        left = max(real[END, lane] - real[TIME, lane], 0.0)
        h = min(step, left)
        whole[FINAL, lane] = 1 if left <= step else 0
    length[0, lane] = h
    pace[0, lane] = mover.sense * h
    pace[3, lane] = 0.5 * mover.sense * h
    pace[1, lane] = math.sqrt(2.0 * h)
    if mover.friction > 0.0:
        kept = math.exp(-mover.friction * h)
        pace[1, lane] = math.sqrt(mover.friction * -math.expm1(-2.0 * mover.friction * h))
        pace[2, lane] = kept
        pace[3, lane] = 0.5 * h
        pace[4, lane] = 0.5 * mover.sense * mover.friction * h
    elif mover.memory > 0.0:
        pace[1, lane] = math.sqrt(-math.expm1(-2.0 * h / mover.memory) / mover.memory)
        pace[2, lane] = math.exp(-h / mover.memory)
        pace[4, lane] = 0.5 * h


@kernel
def travel(
    mover: Any,
    aim: Any,
    clock: Any,
    table: Any,
    lost: Any,
    looks: Any,
    starts: Any,
    backs: Any,
    out: Any,
    state: Any,
    counter: Any,
    first: int,
    seed: Any,
    step: float,
    horizon: float,
    budget: int,
) -> int:
    """Move the lanes until no path is left or the budget of steps is spent; returns steps made.

    Parameters
    ----------
    mover, aim, looks, out, state : named tuples
        See :mod:`resetsgd.montecarlo.kernels.space_state`.
    clock, table, lost : arrays
        See :mod:`resetsgd.montecarlo.kernels.clocks`; the tables of waiting times and overheads.
    starts, backs : arrays of shape (n, d + 1)
        Where paths begin, and where a reset puts them: one of the rows. The last column holds
        rising sums of their probabilities, 1 at last.
    counter : int64 array of shape (1,)
        Number of the next path that nobody has begun, less ``first``; shared by the threads.
    first : int
        Number of the first path.
    seed : uint64
    step, horizon : float
        Longest step; time at which paths are given up, may be infinite.
    budget : int
        Bound of the number of steps of all lanes together in this call.
    """
    d = starts.shape[1] - 1
    rare = mover.noise == FULL
    smooth = mover.friction > 0.0 or mover.memory > 0.0
    x, g = rows(state.x, d), rows(state.x, d)
    e = rows(state.x, d if mover.heun or mover.noise == DIAGONAL_HERE else 1)
    v = rows(state.x, d if smooth else 1)
    z = rows(np.zeros(1, np.float32), 2 * ((d + 1) // 2) if rare else 2)
    w, pace = rows(state.x, 3), rows(state.x, 5)
    real, whole = rows(state.reals, len(state.reals)), rows(state.ints, len(state.ints))
    words, events = rows(state.words, 4), rows(state.words, 4)
    before, gap, across = rows(state.reals, 2), rows(state.reals, 2), rows(state.reals, 1)
    length, mark = rows(state.reals, 1), rows(state.ints, 1)
    looking = looks.mode == LOOK_AT_STEPS

    # The state comes in -----------------------------------------------------------------------
    for lane in range(LANES):
        for j in range(d):
            x[j, lane] = state.x[j, lane]
            if smooth:
                v[j, lane] = state.x[d + j, lane]
        for j in range(len(real)):
            real[j, lane] = state.reals[j, lane]
        for j in range(len(whole)):
            whole[j, lane] = state.ints[j, lane]
        for j in range(4):
            words[j, lane] = state.words[j, lane]
            events[j, lane] = state.words[4 + j, lane]
    for lane in range(LANES):  # before the first call, and after the last path of a chunk, all
        if whole[POSITION, lane] < 0:
            begin(lane, x, v, real, whole, words, events, mover, clock, table, looks, starts, out,
                  counter, first, seed, horizon)  # fmt: skip
    active = 0
    if aim.code != FUNCTION:
        for lane in range(LANES):
            measure_lane(aim, x, lane, gap)
    for lane in range(LANES):
        gap[1, lane] = gap[1, lane] if aim.code == SLAB else math.inf
    for lane in range(LANES):
        active += 1 if whole[POSITION, lane] >= 0 else 0
        set_pace(lane, real, whole, mover, step, length, pace)
    stale = True

    used = 0
    for _ in range(budget):
        if active == 0 or used >= budget or state.report[0] != 0.0:
            break
        if stale and aim.code == FUNCTION:
            call_rows(aim.function, x, e, aim.numbers)
            for lane in range(LANES):
                gap[0, lane] = e[0, lane]
        for lane in range(LANES):
            before[0, lane] = gap[0, lane]
            before[1, lane] = gap[1, lane]
        used += active
        move(mover, words, pace, x, v, g, e, z, w, stale)
        stale = False
        measure(mover, aim, x, e, w, gap, across)

        # Who needs attention? ---------------------------------------------------------------------
        if aim.bridge:
            for lane in range(LANES):
                # Far away the exponent may overflow, on the target it is positive: both are right.
                spread = across[0, lane] * length[0, lane]
                real[ALIVE, lane] *= 1.0 - exp(-before[0, lane] * gap[0, lane] / spread)
            if aim.code == SLAB:
                for lane in range(LANES):
                    spread = across[0, lane] * length[0, lane]
                    real[ALIVE, lane] *= 1.0 - exp(-before[1, lane] * gap[1, lane] / spread)
        if looking:
            for lane in range(LANES):
                whole[LEFT, lane] -= 1
        total = 0
        for lane in range(LANES):
            now = real[TIME, lane] + length[0, lane]
            real[TIME, lane] = now
            near = gap[0, lane] if gap[0, lane] < gap[1, lane] else gap[1, lane]
            odd = not (near > 0.0) or not (gap[0, lane] < math.inf)
            odd = odd or real[ALIVE, lane] <= real[LIMIT, lane]
            odd = odd or now + step >= real[END, lane] or whole[LEFT, lane] <= 0
            mark[0, lane] = 1 if odd else 0
            total += mark[0, lane]
        if total == 0:
            continue

        # One by one -------------------------------------------------------------------------------
        for lane in range(LANES):
            at = whole[POSITION, lane]
            if mark[0, lane] == 0 or at < 0:
                continue
            h, end = length[0, lane], real[END, lane]
            if whole[FINAL, lane] == 1:
                real[TIME, lane] = max(end, real[TIME, lane])
            outcome, side = RUNNING, 0
            distance, low, high = gap[0, lane], gap[0, lane], gap[1, lane]
            if not (abs(distance) < math.inf):
                outcome = BROKEN
            elif low <= 0.0 or high <= 0.0 or real[ALIVE, lane] <= real[LIMIT, lane]:
                outcome = ARRIVED
            if outcome == ARRIVED:
                side = which_side(lane, before, gap, across, h, events, aim)
                row = 1 if side > 0 else 0
                back = 0.0
                if aim.bridge:
                    first_half = normal(events, lane)
                    back = h - within_bridge(
                        before[row, lane], gap[row, lane], h, across[0, lane],
                        first_half, uniform(events, lane),
                    )  # fmt: skip
                elif smooth and before[row, lane] > 0.0:
                    # A path with a velocity is nearly straight within a step.
                    back = h * (gap[row, lane] / (gap[row, lane] - before[row, lane]))
                real[TIME, lane] -= max(back, 0.0)
            if outcome == BROKEN:
                state.report[0], state.report[1] = 1.0, float(at)
                state.report[2] = real[TIME, lane] + real[LOST, lane] - h
            if looking and whole[LEFT, lane] <= 0 and outcome == RUNNING:
                look(lane, at, x, real, whole, looks, out, state)
            # Whatever is due now; a reset goes first.
            if outcome == RUNNING and real[TIME, lane] >= end:
                seen = end >= real[LOOK, lane] - real[LOST, lane]
                given_up = end >= horizon - real[LOST, lane]
                if end == real[DUE, lane] and not given_up:
                    whole[RESETS, lane] += 1
                    if clock[5] >= 0.0:
                        pull(lane, x, v, events, mover, aim, distance, clock[5])
                    else:
                        place(lane, x, v, events, mover, backs, clock[6])
                    measure_lane(aim, x, lane, gap)
                    stale = True
                    real[LOST, lane] += overhead(events, lane, clock, lost)
                    given_up = real[TIME, lane] + real[LOST, lane] >= horizon
                    wait(lane, real, whole, clock, table, events)
                if seen:
                    look(lane, at, x, real, whole, looks, out, state)
                    if whole[LOOKED, lane] >= looks.most and aim.code == NOTHING:
                        outcome = CENSORED
                if given_up:
                    real[TIME, lane], real[LOST, lane] = horizon, 0.0
                    outcome = CENSORED
                coming(lane, real, horizon)
            if outcome != RUNNING:
                out.times[at], out.outcomes[at] = real[TIME, lane] + real[LOST, lane], outcome
                out.sides[at], out.resets[at] = side, whole[RESETS, lane]
                begin(lane, x, v, real, whole, words, events, mover, clock, table, looks, starts,
                      out, counter, first, seed, horizon)  # fmt: skip
                measure_lane(aim, x, lane, gap)
                stale = True
                if whole[POSITION, lane] < 0:
                    active -= 1
            set_pace(lane, real, whole, mover, step, length, pace)

    # The state goes out -----------------------------------------------------------------------
    for lane in range(LANES):
        for j in range(d):
            state.x[j, lane] = x[j, lane]
            if smooth:
                state.x[d + j, lane] = v[j, lane]
        for j in range(len(real)):
            state.reals[j, lane] = real[j, lane]
        for j in range(len(whole)):
            state.ints[j, lane] = whole[j, lane]
        for j in range(4):
            state.words[j, lane] = words[j, lane]
            state.words[4 + j, lane] = events[j, lane]
    return used
