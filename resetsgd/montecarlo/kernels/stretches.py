"""Constant drift to a point without steps: one draw for each stretch between two resets.

Sixty-four paths at once make one stretch each: the time at which it would meet the target is drawn
from its inverse Gaussian law, in vector code, and compared with the time of the next reset; then
each lane is looked at alone, for it has either arrived or been reset. Everything is float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.clocks import POISSON, next_reset, overhead, placed
from resetsgd.montecarlo.kernels.compiling import kernel
from resetsgd.montecarlo.kernels.elementary import cos, exp, log
from resetsgd.montecarlo.kernels.hitting import inverse_of_inverse_gaussian
from resetsgd.montecarlo.kernels.lanes import EVENTS, LANES, MOTION, seed_lane, uniform, word_lanes
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, CENSORED, RUNNING
from resetsgd.montecarlo.kernels.vectors import fetch_add, stack

__all__ = ["INTS", "REALS", "WORDS", "stretchwise"]

INTS, REALS, WORDS = 3, 5, 8
"""Rows of the state: (position, resets, in its first two columns the next path and the end of the
batch that the thread has taken), (time, lost, distance, due, ticks), words of two streams."""

BATCH = 256
"""Paths that a thread takes from the counter at a time."""

_lanes = stack(np.float64, LANES)
_whole = stack(np.int64, LANES)


@kernel
def stretchwise(
    seed: Any,
    distance: float,
    velocity: float,
    diffusivity: float,
    clock: Any,
    table: Any,
    lost_table: Any,
    places: Any,
    horizon: float,
    times: Any,
    outcomes: Any,
    resets: Any,
    counter: Any,
    first: int,
    ints: Any,
    reals: Any,
    kept: Any,
    budget: int,
) -> int:
    """Make stretches until the budget is used up or no path is left; returns how many.

    Arguments as in :func:`resetsgd.montecarlo.kernels.drift_diffusion.stepwise`.
    """
    words, events = word_lanes(), word_lanes()
    t, lost, y, due, ticks = _lanes(), _lanes(), _lanes(), _lanes(), _lanes()
    square, choice, hit, arrival, wait = _lanes(), _lanes(), _lanes(), _lanes(), _lanes()
    position, count = _whole(), _whole()
    paths = len(times)
    speed, away, poisson = abs(velocity), velocity < 0.0, clock[0] == POISSON
    ahead, last = int(ints[2, 0]), int(ints[2, 1])
    running = 0
    for lane in range(LANES):
        position[lane], count[lane] = ints[0, lane], ints[1, lane]
        t[lane], lost[lane], y[lane] = reals[0, lane], reals[1, lane], reals[2, lane]
        due[lane], ticks[lane] = reals[3, lane], reals[4, lane]
        for row in range(4):
            words[row, lane], events[row, lane] = kept[row, lane], kept[row + 4, lane]
        if position[lane] < 0:
            y[lane], due[lane] = distance, math.inf
        else:
            running += 1
    refill = True
    used = 0
    while used < budget:
        if refill:
            refill = False
            for lane in range(LANES):
                if position[lane] >= 0:
                    continue
                if ahead >= last and counter[0] < paths:
                    ahead = fetch_add(counter, BATCH)
                    last = min(ahead + BATCH, paths)
                if ahead < last:
                    path = np.uint64(first + ahead)
                    seed_lane(words, lane, seed, path, MOTION)
                    seed_lane(events, lane, seed, path, EVENTS)
                    position[lane], count[lane] = ahead, 0
                    ahead += 1
                    running += 1
                    t[lane], lost[lane], y[lane], ticks[lane] = 0.0, 0.0, distance, 0.0
                    if not poisson:
                        due[lane], ticks[lane] = next_reset(
                            events, lane, clock, table, 0, 0.0, 0.0, 0.0
                        )
            if running == 0:
                break
        used += running
        for lane in range(LANES):
            square[lane] = uniform(words, lane)
            wait[lane] = uniform(words, lane)
            choice[lane] = uniform(words, lane)
        for lane in range(LANES):
            c = cos(2.0 * math.pi * wait[lane])
            square[lane] = -2.0 * log(square[lane]) * (c * c)
        for lane in range(LANES):
            q = inverse_of_inverse_gaussian(
                speed / y[lane], diffusivity / (y[lane] * y[lane]), square[lane], choice[lane]
            )
            arrival[lane] = q
        if away:
            # The target is reached with a probability, and then as by the opposite drift.
            for lane in range(LANES):
                meets = uniform(words, lane) < exp(velocity * y[lane] / diffusivity)
                arrival[lane] = arrival[lane] if meets else 0.0
        if poisson:
            for lane in range(LANES):
                due[lane] = t[lane] - clock[1] * log(uniform(events, lane))
        for lane in range(LANES):
            end = horizon - lost[lane]
            end = due[lane] if due[lane] < end else end
            # Compared as rates: q = 0 (an infinite time) needs no special case.
            hit[lane] = 1.0 if arrival[lane] * (end - t[lane]) >= 1.0 else 0.0
            tau = t[lane] + 1.0 / arrival[lane]
            # The sum may exceed the end of the stretch in its last digit.
            t[lane] = (tau if tau < end else end) if hit[lane] > 0.0 else end
        for lane in range(LANES):
            at = position[lane]
            if at < 0:
                t[lane] = 0.0
                continue
            outcome = RUNNING
            if hit[lane] > 0.0:
                outcome = ARRIVED
            elif t[lane] >= horizon - lost[lane]:
                outcome = CENSORED
            else:
                count[lane] += 1
                y[lane] = placed(events, lane, clock, places, y[lane], 0.0)
                lost[lane] += overhead(events, lane, clock, lost_table)
                if t[lane] + lost[lane] >= horizon:
                    outcome = CENSORED
                elif not poisson:
                    due[lane], ticks[lane] = next_reset(
                        events, lane, clock, table, count[lane], t[lane], lost[lane], ticks[lane]
                    )
            if outcome != RUNNING:
                whole = t[lane] + lost[lane]
                times[at] = whole if outcome == ARRIVED and whole < horizon else horizon
                outcomes[at], resets[at] = outcome, count[lane]
                position[lane], y[lane], due[lane] = -1, distance, math.inf
                running -= 1
                refill = True
    ints[2, 0], ints[2, 1] = ahead, last
    for lane in range(LANES):
        ints[0, lane], ints[1, lane] = position[lane], count[lane]
        reals[0, lane], reals[1, lane], reals[2, lane] = t[lane], lost[lane], y[lane]
        reals[3, lane], reals[4, lane] = due[lane], ticks[lane]
        for row in range(4):
            kept[row, lane], kept[row + 4, lane] = words[row, lane], events[row, lane]
    return used
