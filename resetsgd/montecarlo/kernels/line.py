"""Passage of any one-dimensional diffusion to a point or out of an interval, in lanes of 64 paths.

dx = a(x) dt + sqrt(2 D) dW. A block is ``block`` steps of all lanes *without a branch*: vector
code. Lanes that may have met a target, or are due for a reset or the horizon within the block, are
flagged, and only these are replayed afterwards, one by one, from the stored start of the block and
the same noise: the replay finds the step, does the resets (steps are cut short at their exact
times) and begins the next path in a lane that has finished. An event comes once in some hundred
steps, so the replay is a few per cent of the work.

Whether a step met a target is decided by the crossing probability of the Brownian bridge between
its ends. One uniform U serves a whole path: the product S of the probabilities of *not* having
crossed falls from one, and the path arrives in the step in which it falls below U. The time within
that step is drawn from its exact law.

Schemes: EULER looks at the ends of steps only (biased: a negative control), BRIDGE is Euler with
the bridge, HEUN averages the drift over the ends of the step, of weak order two, with the bridge.
Noise that depends on x is made constant before, by the coordinate (``montecarlo/lamperti.py``).

The drift and a rate r(x) of resets are block functions, called by address, see
:func:`resetsgd.montecarlo.kernels.vectors.call_block`.

**Source**: bridge test as in E. Gobet, Stoch. Proc. Appl. 87 (2000) 167; wall: D. Lepingle, Math.
Comput. Simul. 38 (1995) 119.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.clocks import next_reset, overhead, placed
from resetsgd.montecarlo.kernels.compiling import kernel, spliced
from resetsgd.montecarlo.kernels.elementary import exp32
from resetsgd.montecarlo.kernels.hitting import bridge_probability, within_bridge
from resetsgd.montecarlo.kernels.lanes import (
    EVENTS,
    LANES,
    MOTION,
    exponential,
    normal_block,
    seed_lane,
    uniform,
    word_lanes,
)
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, BROKEN, CENSORED, RUNNING
from resetsgd.montecarlo.kernels.variates import normal
from resetsgd.montecarlo.kernels.vectors import call_block, fetch_add, stack

__all__ = ["BRIDGE", "CODES", "EULER", "HEUN", "INTS", "MOST_STEPS", "NUMBERS", "REALS", "WORDS"]
__all__ += ["line"]

EULER, BRIDGE, HEUN = 0, 1, 2

MOST_STEPS = 16
"""Longest block."""

INTS, REALS, WORDS = 2, 9, 8
"""Rows of the state; reals are time, lost, x, due, ticks, S, U, hazard, threshold of the hazard."""

CODES = ("scheme", "ends", "drifts", "rates", "walls", "block")
"""Whole numbers: ``ends`` is 1 for a point and 2 for an interval, the three in the middle say
whether there is a drift function, a rate r(x), and a wall."""

NUMBERS = ("start", "low", "high", "side", "drift", "diffusivity", "step", "horizon", "wall",
           "wall_side")  # fmt: skip
"""Numbers: with one end it is ``low`` = ``high`` and ``side`` +1 if the start is above it;
``drift`` where it is constant; the wall reflects paths to the ``wall_side`` (+1 above it)."""

NEAR = 4.0
"""A path that is this many deviations of a step away from the wall does not meet it (2e-14)."""

_noise = stack(np.float32, MOST_STEPS, LANES)
_lanes = stack(np.float64, LANES)
_whole = stack(np.int64, LANES)
_state = stack(np.float64, REALS, LANES)
_one = stack(np.float64, 1)
_F32 = np.float32


@spliced
def _euler(x: Any, a: Any, z: Any, alive: Any, low: float, high: float, side: float, ends: int,
           dt: float, noise: float, k: int) -> None:  # fmt: skip
    """One Euler step of all lanes; ``alive`` becomes 0 where it ends outside."""
    if ends == 1:
        for lane in range(LANES):
            moved = x[lane] + (a[lane] * dt + noise * float(z[k, lane]))
            alive[lane] = alive[lane] if side * (moved - low) > 0.0 else 0.0
            x[lane] = moved
    else:
        for lane in range(LANES):
            moved = x[lane] + (a[lane] * dt + noise * float(z[k, lane]))
            inside = min(moved - low, high - moved)
            alive[lane] = alive[lane] if inside > 0.0 else 0.0
            x[lane] = moved


@spliced
def _heun(x: Any, a: Any, b: Any, z: Any, alive: Any, low: float, high: float, side: float,
          ends: int, half: float, noise: float, inverse: float, k: int) -> None:  # fmt: skip
    """One step of all lanes with the mean of two drifts, and the bridge of constant D."""
    if ends == 1:
        for lane in range(LANES):
            moved = x[lane] + ((a[lane] + b[lane]) * half + noise * float(z[k, lane]))
            near = max(side * (x[lane] - low), 0.0) * inverse
            far = max(side * (moved - low), 0.0)
            alive[lane] *= 1.0 - float(exp32(_F32(-near * far)))
            x[lane] = moved
    else:
        for lane in range(LANES):
            moved = x[lane] + ((a[lane] + b[lane]) * half + noise * float(z[k, lane]))
            near, far = max(x[lane] - low, 0.0) * inverse, max(moved - low, 0.0)
            miss = 1.0 - float(exp32(_F32(-near * far)))
            near, far = max(high - x[lane], 0.0) * inverse, max(high - moved, 0.0)
            alive[lane] *= miss * (1.0 - float(exp32(_F32(-near * far))))
            x[lane] = moved


@kernel
def line(
    seed: Any,
    codes: Any,
    numbers: Any,
    drift: int,
    rate: int,
    parameters: Any,
    clock: Any,
    table: Any,
    lost_table: Any,
    places: Any,
    times: Any,
    outcomes: Any,
    resets: Any,
    sides: Any,
    counter: Any,
    first: int,
    ints: Any,
    reals: Any,
    kept: Any,
    report: Any,
    budget: int,
) -> int:
    """Move paths until the budget of steps is used up or none is left; returns the steps made.

    Parameters
    ----------
    seed : uint64
        Of the streams.
    codes, numbers : arrays
        See :data:`CODES` and :data:`NUMBERS`.
    drift, rate : int
        Addresses of block functions, 0 where there is none.
    parameters : array
        Handed to them.
    clock, table, lost_table, places : arrays
        See :mod:`resetsgd.montecarlo.kernels.clocks`.
    times, outcomes, resets, sides : arrays of length n
        Results; the side is -1 or +1 for the lower and upper end.
    counter, first, ints, reals, kept, report, budget
        See :mod:`resetsgd.montecarlo.kernels.outcomes`.
    """
    scheme, ends, block = int(codes[0]), int(codes[1]), int(codes[5])
    drifts, rates, walls = codes[2] != 0, codes[3] != 0, codes[4] != 0
    two = drifts and scheme == HEUN
    start, low, high, side = numbers[0], numbers[1], numbers[2], numbers[3]
    constant, diffusivity, dt, horizon = numbers[4], numbers[5], numbers[6], numbers[7]
    wall, wall_side = numbers[8], numbers[9]
    root = math.sqrt(dt)
    spread = math.sqrt(2.0 * diffusivity)
    inverse = 1.0 / (diffusivity * dt)
    noise = spread * root
    paths = len(times)

    words, events, z = word_lanes(), word_lanes(), _noise()
    x, x0, a, b, guess = _lanes(), _lanes(), _lanes(), _lanes(), _lanes()
    alive, alive0, hazard, hazard0, rate_now = _lanes(), _lanes(), _lanes(), _lanes(), _lanes()
    limit, until, nearest = _lanes(), _lanes(), _lanes()
    flag, position, count = _whole(), _whole(), _whole()
    state = _state()
    here, value = _one(), _one()
    for lane in range(LANES):
        position[lane], count[lane] = ints[0, lane], ints[1, lane]
        for row in range(4):
            words[row, lane], events[row, lane] = kept[row, lane], kept[row + 4, lane]
        for row in range(REALS):
            state[row, lane] = reals[row, lane]
        x[lane], alive[lane], limit[lane] = reals[2, lane], reals[5, lane], reals[6, lane]
        hazard[lane] = reals[7, lane]
        until[lane] = min(state[3, lane], horizon - state[1, lane])
        a[lane] = constant
        nearest[lane] = math.inf
    used, running, refill = 0, 0, True
    while used < budget:
        if refill:
            refill, running = False, 0
            for lane in range(LANES):
                if position[lane] < 0 and counter[0] < paths:
                    taken = fetch_add(counter, 1)
                    if taken < paths:
                        path = np.uint64(first + taken)
                        seed_lane(words, lane, seed, path, MOTION)
                        seed_lane(events, lane, seed, path, EVENTS)
                        position[lane], count[lane] = taken, 0
                        x[lane], alive[lane], hazard[lane] = start, 1.0, 0.0
                        limit[lane] = uniform(events, lane)
                        state[0, lane], state[1, lane] = 0.0, 0.0
                        state[3, lane], state[4, lane] = next_reset(
                            events, lane, clock, table, 0, 0.0, 0.0, 0.0
                        )
                        state[8, lane] = exponential(events, lane) if rates else math.inf
                        until[lane] = min(state[3, lane], horizon)
                if position[lane] >= 0:
                    running += 1
                else:  # a free lane moves with the others, and nobody looks
                    x[lane], alive[lane], limit[lane] = start, 1.0, 0.0
                    until[lane], hazard[lane], state[8, lane] = math.inf, 0.0, math.inf
            if running == 0:
                break
        used += running * block

        normal_block(words, z, block)
        for lane in range(LANES):
            x0[lane], alive0[lane], hazard0[lane] = x[lane], alive[lane], hazard[lane]
        for k in range(block):
            if rates:
                call_block(rate, x, rate_now, LANES, parameters)
                weight = dt if k > 0 else 0.5 * dt
                for lane in range(LANES):
                    hazard[lane] += weight * rate_now[lane]
            if drifts:
                call_block(drift, x, a, LANES, parameters)
            if scheme == EULER:
                _euler(x, a, z, alive, low, high, side, ends, dt, noise, k)
            else:
                if two:
                    for lane in range(LANES):
                        guess[lane] = x[lane] + (a[lane] * dt + noise * float(z[k, lane]))
                    call_block(drift, guess, b, LANES, parameters)
                else:
                    for lane in range(LANES):
                        b[lane] = a[lane]
                _heun(x, a, b, z, alive, low, high, side, ends, 0.5 * dt, noise, inverse, k)
            if walls:
                for lane in range(LANES):
                    gap = wall_side * (x[lane] - wall)
                    nearest[lane] = gap if gap < nearest[lane] else nearest[lane]
        if rates:
            call_block(rate, x, rate_now, LANES, parameters)
            for lane in range(LANES):
                hazard[lane] += 0.5 * dt * rate_now[lane]
        span = dt * block
        close = NEAR * noise
        for lane in range(LANES):
            # Written so that NaN raises the flag, and without a branch.
            fine = 1 if alive[lane] >= limit[lane] else 0
            fine &= 1 if abs(x[lane]) < math.inf else 0
            fine &= 1 if state[0, lane] + span < until[lane] else 0
            flag[lane] = 1 - fine
        if rates:
            for lane in range(LANES):
                flag[lane] |= 0 if hazard[lane] < state[8, lane] else 1
        if walls:
            for lane in range(LANES):
                nearest[lane] = min(nearest[lane], wall_side * (x0[lane] - wall))
                flag[lane] |= 0 if nearest[lane] > close else 1
                nearest[lane] = math.inf
        for lane in range(LANES):
            state[0, lane] += span

        for group in range(0, LANES, 8):
            any_flag = 0
            for lane in range(group, group + 8):
                any_flag |= flag[lane]
            if any_flag == 0:
                continue
            for lane in range(group, group + 8):
                if flag[lane] == 0 or position[lane] < 0:
                    continue
                xx, survived, passed, u = x0[lane], alive0[lane], hazard0[lane], limit[lane]
                t = state[0, lane] - span
                t = t if t > 0.0 else 0.0
                lost = state[1, lane]
                outcome, exit_side, whole = RUNNING, 0, 0.0
                for k in range(block):
                    # The sum of the steps may exceed the time of the reset in its last digit.
                    h, last, by_rate = max(until[lane] - t, 0.0), True, False
                    if h > dt:
                        h, last = dt, False
                    slope, rate_here, moved, added = constant, 0.0, xx, 0.0
                    here[0] = xx
                    if drifts:
                        call_block(drift, here, value, 1, parameters)
                        slope = value[0]
                    if rates:
                        call_block(rate, here, value, 1, parameters)
                        rate_here = value[0]
                    w = noise if h == dt else spread * math.sqrt(h)
                    w *= float(z[k, lane])
                    moved = xx + slope * h + w
                    if two:
                        here[0] = moved
                        call_block(drift, here, value, 1, parameters)
                        moved = xx + 0.5 * (slope + value[0]) * h + w
                    if walls:
                        gap, gap_end = wall_side * (xx - wall), wall_side * (moved - wall)
                        reach = NEAR * spread * math.sqrt(h)
                        if gap < reach or gap_end < reach:
                            drop = gap_end - gap
                            far = -4.0 * diffusivity * h * math.log(uniform(events, lane))
                            lowest = gap + 0.5 * (drop - math.sqrt(drop * drop + far))
                            if lowest < 0.0:
                                moved -= wall_side * lowest
                    if rates:
                        here[0] = moved
                        call_block(rate, here, value, 1, parameters)
                        added = 0.5 * (rate_here + value[0]) * h
                        if passed + added >= state[8, lane]:
                            # The reset comes within the step: where the path is then follows from
                            # the Brownian bridge between the ends of the step.
                            share = (state[8, lane] - passed) / added
                            w = spread * math.sqrt(h * share * (1.0 - share))
                            moved = xx + share * (moved - xx) + w * normal(events, lane)
                            h *= share
                            last, by_rate = True, True
                    if not abs(moved) < math.inf or not passed + added < math.inf:
                        outcome, whole = BROKEN, t + lost
                        break
                    at_low, to_low = side * (xx - low), side * (moved - low)
                    at_high, to_high = high - xx, high - moved
                    hit_low, hit_high = 1.0 if to_low <= 0.0 else 0.0, 0.0
                    if ends == 2:
                        hit_high = 1.0 if to_high <= 0.0 else 0.0
                    if scheme != EULER:
                        hit_low = bridge_probability(at_low, to_low, diffusivity * h)
                        if ends == 2:
                            hit_high = bridge_probability(at_high, to_high, diffusivity * h)
                    survived *= (1.0 - hit_low) * (1.0 - hit_high)
                    if survived < u or hit_low == 1.0 or hit_high == 1.0:
                        upper = hit_high == 1.0
                        if ends == 2 and hit_low < 1.0 and hit_high < 1.0:
                            upper = uniform(events, lane) * (hit_low + hit_high) >= hit_low
                        near, far = (at_high, to_high) if upper else (at_low, to_low)
                        tau = h
                        if scheme != EULER:
                            tau = within_bridge(
                                near, far, h, diffusivity, normal(events, lane),
                                uniform(events, lane),
                            )  # fmt: skip
                        whole = min(t + tau + lost, horizon)
                        outcome, exit_side = ARRIVED, -1
                        if upper or (ends == 1 and side < 0.0):
                            exit_side = 1
                        break
                    xx = moved
                    passed += added
                    t += h
                    if last:
                        if not by_rate:
                            t = until[lane]
                        outcome = RUNNING
                        if not by_rate and state[3, lane] > horizon - lost:
                            outcome = CENSORED
                        else:
                            count[lane] += 1
                            passed = 0.0
                            xx = placed(events, lane, clock, places, xx, low)
                            lost += overhead(events, lane, clock, lost_table)
                            state[3, lane], state[4, lane] = next_reset(
                                events, lane, clock, table, count[lane], t, lost, state[4, lane]
                            )
                            if rates:
                                state[8, lane] = exponential(events, lane)
                            until[lane] = min(state[3, lane], horizon - lost)
                            if t + lost >= horizon:
                                outcome = CENSORED
                        if outcome == CENSORED:
                            whole = horizon
                            break
                if outcome == RUNNING:
                    x[lane], alive[lane], hazard[lane] = xx, survived, passed
                    state[0, lane], state[1, lane] = t, lost
                    continue
                times[position[lane]], outcomes[position[lane]] = whole, outcome
                resets[position[lane]], sides[position[lane]] = count[lane], exit_side
                if outcome == BROKEN and report[0] == 0.0:
                    report[0], report[1] = 1.0, float(position[lane])
                    report[2], report[3] = whole, xx
                position[lane] = -1
                refill = True
        if report[0] != 0.0:
            break

    for lane in range(LANES):
        ints[0, lane], ints[1, lane] = position[lane], count[lane]
        state[2, lane], state[5, lane], state[6, lane] = x[lane], alive[lane], limit[lane]
        state[7, lane] = hazard[lane]
        for row in range(REALS):
            reals[row, lane] = state[row, lane]
        for row in range(4):
            kept[row, lane], kept[row + 4, lane] = words[row, lane], events[row, lane]
    return used
