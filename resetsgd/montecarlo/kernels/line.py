"""Passage of any one-dimensional diffusion to a point or out of an interval, in lanes of 64 paths.

dx = a(x) dt + sqrt(2 D) dW. A block is ``block`` steps of all lanes *without a branch*: vector
code. Lanes that may have met a target, or are due for a reset or the horizon within the block, are
flagged, and only these are looked at afterwards, one by one: the step of the event is sought among
the positions of the block, and from there the lane is replayed with the same noise: the replay
does the resets (steps are cut short at their exact times) and frees the lane of a path that has
finished for the next one. An event comes once in some hundred steps.

The noise of a path is drawn in pairs of steps, whatever the block, and a replay goes on to the end
of its block: results do not depend on the length of the blocks.

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
from resetsgd.montecarlo.kernels.compiling import kernel
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
from resetsgd.montecarlo.kernels.line_steps import (
    crossings,
    drifting,
    euler_step,
    extremes,
    first_event,
    gaps_to,
    heun_step,
    survive,
)
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, BROKEN, CENSORED, RUNNING
from resetsgd.montecarlo.kernels.variates import normal
from resetsgd.montecarlo.kernels.vectors import (
    call_block,
    call_block_from,
    fetch_add,
    muladd,
    stack,
)

__all__ = ["BRIDGE", "CODES", "EULER", "HEUN", "INTS", "MOST_STEPS", "NUMBERS", "REALS", "WORDS"]
__all__ += ["NEAR", "SLACK", "line"]

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

FAR = 4.4
"""Deviations of a step: with both ends farther off than that it did not meet a target (1e-17)."""

SLACK = 1e-6
"""A step may be longer by this share. Where a reset or the horizon falls due after a whole number
of steps, the rounding of their sum would decide otherwise whether one of no length follows."""

NEAR = 4.0
"""A path that is this many deviations of a step away from the wall does not meet it (2e-14)."""

_F32 = np.float32
_noise = stack(np.float32, MOST_STEPS, LANES)
_rows = stack(np.float64, MOST_STEPS + 1, LANES)
_gap_rows = stack(np.float32, MOST_STEPS + 1, LANES)
_lanes = stack(np.float64, LANES)
_whole = stack(np.int64, LANES)
_state = stack(np.float64, REALS, LANES)
_one = stack(np.float64, 1)


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
        Results; the side is -1 or +1 for the lower and upper end of an interval, and not written
        where there is one end.
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
    inverse = 1.0 / math.sqrt(diffusivity * dt)
    noise = spread * root
    longest = dt * (1.0 + SLACK)
    paths = len(times)

    # A step whose ends are both that far off meets a target with a probability below 2**-54, which
    # is none at all; plain Euler steps look at their ends only.
    far_off = 0.0 if scheme == EULER else FAR * noise
    close = NEAR * noise
    span, ahead = dt * block, dt * (block + SLACK)

    words, events, z = word_lanes(), word_lanes(), _noise()
    x, met, gaps = _rows(), _noise(), _gap_rows()
    a, b, guess, begun = _lanes(), _lanes(), _lanes(), _lanes()
    alive, alive0, hazard, hazard0, rate_now = _lanes(), _lanes(), _lanes(), _lanes(), _lanes()
    limit, until, bottom, top = _lanes(), _lanes(), _lanes(), _lanes()
    flag, within, position, count, freed = _whole(), _whole(), _whole(), _whole(), _whole()
    state = _state()
    here, value = _one(), _one()
    free, running, used = 0, 0, 0
    for k in range(MOST_STEPS):
        for lane in range(LANES):
            met[k, lane] = 0.0
    for lane in range(LANES):
        position[lane], count[lane] = ints[0, lane], ints[1, lane]
        for row in range(4):
            words[row, lane], events[row, lane] = kept[row, lane], kept[row + 4, lane]
        for row in range(REALS):
            state[row, lane] = reals[row, lane]
        x[0, lane], alive[lane], limit[lane] = reals[2, lane], reals[5, lane], reals[6, lane]
        hazard[lane] = reals[7, lane]
        until[lane] = min(state[3, lane], horizon - state[1, lane])
        a[lane] = b[lane] = constant
        if position[lane] < 0:
            freed[free] = lane
            free += 1
        else:
            running += 1
    while used < budget:
        for i in range(free):
            lane = freed[i]
            taken = paths
            if counter[0] < paths:
                taken = fetch_add(counter, 1)
            x[0, lane], alive[lane], hazard[lane] = start, 1.0, 0.0
            if taken < paths:
                path = np.uint64(first + taken)
                seed_lane(words, lane, seed, path, MOTION)
                seed_lane(events, lane, seed, path, EVENTS)
                position[lane], count[lane] = taken, 0
                limit[lane] = uniform(events, lane)
                state[0, lane], state[1, lane] = 0.0, 0.0
                state[3, lane], state[4, lane] = next_reset(
                    events, lane, clock, table, 0, 0.0, 0.0, 0.0
                )
                state[8, lane] = exponential(events, lane) if rates else math.inf
                until[lane] = min(state[3, lane], horizon)
                running += 1
            else:  # a free lane moves with the others, and nobody looks
                limit[lane], until[lane], state[8, lane] = 1.0, math.inf, math.inf
        free = 0
        if running == 0:
            break
        used += running * block

        normal_block(words, z, block)
        for lane in range(LANES):
            alive0[lane], hazard0[lane] = alive[lane], hazard[lane]
        if not drifts and not rates:
            drifting(x, z, constant, dt, noise, block)
        for k in range(block if drifts or rates else 0):
            if rates:
                call_block_from(rate, x, k * LANES, rate_now, LANES, parameters)
                weight = dt if k > 0 else 0.5 * dt
                for lane in range(LANES):
                    hazard[lane] += weight * rate_now[lane]
            if drifts:
                call_block_from(drift, x, k * LANES, a, LANES, parameters)
            if two:
                for lane in range(LANES):
                    guess[lane] = muladd(noise, float(z[k, lane]), muladd(dt, a[lane], x[k, lane]))
                call_block(drift, guess, b, LANES, parameters)
                heun_step(x, a, b, z, 0.5 * dt, noise, k)
            else:
                euler_step(x, a, z, dt, noise, k)
        if rates:
            call_block_from(rate, x, block * LANES, rate_now, LANES, parameters)
            for lane in range(LANES):
                hazard[lane] += 0.5 * dt * rate_now[lane]
        extremes(x, bottom, top, block)
        some = 0
        for lane in range(LANES):
            if ends == 1:
                gap = bottom[lane] - low if side > 0.0 else low - top[lane]
            else:
                gap = min(bottom[lane] - low, high - top[lane])
            within[lane] = 0 if gap > far_off else 1
        for lane in range(LANES):
            some |= within[lane]
        bridged = some != 0 and scheme != EULER
        if bridged:
            for edge in range(ends):
                place, scale = (low, side * inverse) if edge == 0 else (high, -inverse)
                gaps_to(x, gaps, place, scale, block)
                crossings(gaps, met, _F32(edge), block)
            survive(met, alive, block)
        for lane in range(LANES):
            # Written so that NaN raises the flag, and without a branch.
            fine = 1 if alive[lane] >= limit[lane] else 0
            fine &= 1 if abs(x[block, lane]) < math.inf else 0
            fine &= 1 if state[0, lane] + ahead < until[lane] else 0
            flag[lane] = 1 - fine
            begun[lane] = state[0, lane]
            state[0, lane] += span
        if scheme == EULER:
            for lane in range(LANES):
                flag[lane] |= within[lane]
        if rates:
            for lane in range(LANES):
                flag[lane] |= 0 if hazard[lane] < state[8, lane] else 1
        if walls:
            for lane in range(LANES):
                gap = bottom[lane] - wall if wall_side > 0.0 else wall - top[lane]
                flag[lane] |= 0 if gap > close else 1

        for group in range(0, LANES, 8):
            any_flag = 0
            for lane in range(group, group + 8):
                any_flag |= flag[lane]
            if any_flag == 0:
                continue
            for lane in range(group, group + 8):
                if flag[lane] == 0 or position[lane] < 0:
                    continue
                passed, u, lost = hazard0[lane], limit[lane], state[1, lane]
                begin, survived = 0, alive0[lane]
                if not rates and not walls:  # these meet more than can be seen from here
                    begin, survived = first_event(
                        x, met, lane, block, dt, longest, begun[lane], until[lane], survived, u,
                        scheme == EULER, bridged, low, high, side, ends,
                    )  # fmt: skip
                xx, t = x[begin, lane], begun[lane] + dt * begin
                outcome, exit_side, whole = RUNNING, 0, 0.0
                for k in range(begin, block):
                    # The sum of the steps may exceed the time of the reset in its last digit.
                    h, last, by_rate = max(until[lane] - t, 0.0), True, False
                    if h > longest:
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
                    moved = muladd(w, float(z[k, lane]), muladd(h, slope, xx))
                    if two:
                        here[0] = moved
                        call_block(drift, here, value, 1, parameters)
                        mean = muladd(0.5 * h, slope + value[0], xx)
                        moved = muladd(w, float(z[k, lane]), mean)
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
                    x[block, lane], alive[lane], hazard[lane] = xx, survived, passed
                    state[0, lane], state[1, lane] = t, lost
                    continue
                times[position[lane]], outcomes[position[lane]] = whole, outcome
                resets[position[lane]] = count[lane]
                if ends == 2:
                    sides[position[lane]] = exit_side
                if outcome == BROKEN and report[0] == 0.0:
                    report[0], report[1] = 1.0, float(position[lane])
                    report[2], report[3] = whole, xx
                position[lane] = -1
                freed[free] = lane
                free += 1
                running -= 1
        for lane in range(LANES):
            x[0, lane] = x[block, lane]
        if report[0] != 0.0:
            break

    for lane in range(LANES):
        ints[0, lane], ints[1, lane] = position[lane], count[lane]
        state[2, lane], state[5, lane], state[6, lane] = x[0, lane], alive[lane], limit[lane]
        state[7, lane] = hazard[lane]
        for row in range(REALS):
            reals[row, lane] = state[row, lane]
        for row in range(4):
            kept[row, lane], kept[row + 4, lane] = words[row, lane], events[row, lane]
    return used
