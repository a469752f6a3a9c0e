"""One path at a time, for machines whose threads are many and simple: the kernels ``line`` and
``stretches`` written for a single path.

What a path does here is what it does in a lane: it draws the same numbers from the same streams in
the same order, so that its passage time is the same up to rounding. There is no block, no flag and
no replay: each step is made once, as the replay makes it, and the rare events are branches. Steps
go in pairs, for normals come in pairs; a new path begins with a pair, so that threads which run in
step agree on when to draw.

State lies in the columns of the arrays of :mod:`~resetsgd.montecarlo.kernels.outcomes`, one a
thread, with the rows of ``line`` and ``stretches``. Nothing here takes the smallest or largest of
two numbers by ``min`` or ``max``: the compiler for CUDA that comes with numba 0.68 refuses them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.clocks import POISSON, next_reset, overhead, placed
from resetsgd.montecarlo.kernels.compiling import helper
from resetsgd.montecarlo.kernels.elementary import cos, exp, log
from resetsgd.montecarlo.kernels.hitting import (
    bridge_probability,
    inverse_of_inverse_gaussian,
    within_bridge,
)
from resetsgd.montecarlo.kernels.lanes import (
    EVENTS,
    MOTION,
    box_muller,
    exponential,
    next_word,
    seed_lane,
    uniform,
)
from resetsgd.montecarlo.kernels.line import EULER, HEUN, NEAR, SLACK
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, BROKEN, CENSORED, RUNNING
from resetsgd.montecarlo.kernels.variates import normal
from resetsgd.montecarlo.kernels.vectors import fetch_add, muladd, stack

__all__ = ["line_alone", "stretches_alone"]

_words = stack(np.uint32, 4, 2)
_one = stack(np.float64, 1)


def line_alone(drift: Any, rate: Any) -> Any:
    """The kernel ``line`` for a single path, with these coefficients compiled in.

    Parameters
    ----------
    drift, rate : compiled functions
        Block functions f(x, out, n, p) of arrays; whether they are called is in the codes.

    Returns
    -------
    compiled function
        Its arguments are those of :func:`resetsgd.montecarlo.kernels.line.line`, but the column of
        the thread before the budget, and no addresses; ``report`` has a column for each thread.
    """

    def advance(
        seed: Any, codes: Any, numbers: Any, parameters: Any, clock: Any, table: Any,
        lost_table: Any, places: Any, times: Any, outcomes: Any, resets: Any, sides: Any,
        counter: Any, first: int, ints: Any, reals: Any, kept: Any, report: Any, column: int,
        budget: int,
    ) -> int:  # fmt: skip
        scheme, ends = codes[0], codes[1]
        drifts, rates, walls = codes[2] != 0, codes[3] != 0, codes[4] != 0
        two = drifts and scheme == HEUN
        start, low, high, side = numbers[0], numbers[1], numbers[2], numbers[3]
        constant, diffusivity, dt, horizon = numbers[4], numbers[5], numbers[6], numbers[7]
        wall, wall_side = numbers[8], numbers[9]
        spread = math.sqrt(2.0 * diffusivity)
        noise, longest = spread * math.sqrt(dt), dt * (1.0 + SLACK)
        paths = len(times)

        words, here, value = _words(), _one(), _one()
        for row in range(4):
            words[row, 0], words[row, 1] = kept[row, column], kept[row + 4, column]
        position, count = ints[0, column], ints[1, column]
        t, lost, x = reals[0, column], reals[1, column], reals[2, column]
        due, ticks = reals[3, column], reals[4, column]
        survived, u = reals[5, column], reals[6, column]
        passed, threshold = reals[7, column], reals[8, column]
        left = horizon - lost
        until = due if due < left else left
        used = 0
        while used < budget:
            if position < 0:
                if counter[0] < paths:
                    position = fetch_add(counter, 1)
                if position < 0 or position >= paths:
                    position = -1
                    break
                path = np.uint64(first + position)
                seed_lane(words, 0, seed, path, MOTION)
                seed_lane(words, 1, seed, path, EVENTS)
                count, x, survived, passed, t, lost = 0, start, 1.0, 0.0, 0.0, 0.0
                u = uniform(words, 1)
                due, ticks = next_reset(words, 1, clock, table, 0, 0.0, 0.0, 0.0)
                threshold = exponential(words, 1) if rates else math.inf
                until = due if due < horizon else horizon
            word = next_word(words, 0)
            even, odd = box_muller(word, next_word(words, 0))
            outcome, exit_side, whole = RUNNING, 0, 0.0
            for k in range(2):
                used += 1
                z = float(even) if k == 0 else float(odd)
                # The sum of the steps may exceed the time of the reset in its last digit.
                h, last, by_rate = until - t, True, False
                h = h if h > 0.0 else 0.0
                if h > longest:
                    h, last = dt, False
                slope, rate_here, added = constant, 0.0, 0.0
                here[0] = x
                if drifts:
                    drift(here, value, 1, parameters)
                    slope = value[0]
                if rates:
                    rate(here, value, 1, parameters)
                    rate_here = value[0]
                w = noise if h == dt else spread * math.sqrt(h)
                moved = muladd(w, z, muladd(h, slope, x))
                if two:
                    here[0] = moved
                    drift(here, value, 1, parameters)
                    moved = muladd(w, z, muladd(0.5 * h, slope + value[0], x))
                if walls:
                    gap, gap_end = wall_side * (x - wall), wall_side * (moved - wall)
                    reach = NEAR * spread * math.sqrt(h)
                    if gap < reach or gap_end < reach:
                        drop = gap_end - gap
                        far = -4.0 * diffusivity * h * math.log(uniform(words, 1))
                        lowest = gap + 0.5 * (drop - math.sqrt(drop * drop + far))
                        if lowest < 0.0:
                            moved -= wall_side * lowest
                if rates:
                    here[0] = moved
                    rate(here, value, 1, parameters)
                    added = 0.5 * (rate_here + value[0]) * h
                    if passed + added >= threshold:
                        # The reset comes within the step: where the path is then follows from the
                        # Brownian bridge between the ends of the step.
                        share = (threshold - passed) / added
                        w = spread * math.sqrt(h * share * (1.0 - share))
                        moved = x + share * (moved - x) + w * normal(words, 1)
                        h *= share
                        last, by_rate = True, True
                if not abs(moved) < math.inf or not passed + added < math.inf:
                    outcome, whole = BROKEN, t + lost
                    break
                at_low, to_low = side * (x - low), side * (moved - low)
                at_high, to_high = high - x, high - moved
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
                        upper = uniform(words, 1) * (hit_low + hit_high) >= hit_low
                    near, far = (at_high, to_high) if upper else (at_low, to_low)
                    tau = h
                    if scheme != EULER:
                        deviate = normal(words, 1)
                        tau = within_bridge(near, far, h, diffusivity, deviate, uniform(words, 1))
                    whole = t + tau + lost
                    whole = whole if whole < horizon else horizon
                    outcome, exit_side = ARRIVED, -1
                    if upper or (ends == 1 and side < 0.0):
                        exit_side = 1
                    break
                x = moved
                passed += added
                t += h
                if last:
                    if not by_rate:
                        t = until
                    if not by_rate and due > horizon - lost:
                        outcome = CENSORED
                    else:
                        count += 1
                        passed = 0.0
                        x = placed(words, 1, clock, places, x, low)
                        lost += overhead(words, 1, clock, lost_table)
                        due, ticks = next_reset(words, 1, clock, table, count, t, lost, ticks)
                        if rates:
                            threshold = exponential(words, 1)
                        left = horizon - lost
                        until = due if due < left else left
                        if t + lost >= horizon:
                            outcome = CENSORED
                    if outcome == CENSORED:
                        whole = horizon
                        break
            if outcome != RUNNING:
                times[position], outcomes[position] = whole, outcome
                resets[position] = count
                if ends == 2:
                    sides[position] = exit_side
                if outcome == BROKEN:
                    report[0, column], report[1, column] = 1.0, float(position)
                    report[2, column], report[3, column] = whole, x
                position = -1
                if outcome == BROKEN:
                    break
        ints[0, column], ints[1, column] = position, count
        reals[0, column], reals[1, column], reals[2, column] = t, lost, x
        reals[3, column], reals[4, column] = due, ticks
        reals[5, column], reals[6, column] = survived, u
        reals[7, column], reals[8, column] = passed, threshold
        for row in range(4):
            kept[row, column], kept[row + 4, column] = words[row, 0], words[row, 1]
        return used

    return helper(advance)


@helper
def stretches_alone(
    seed: Any, distance: float, velocity: float, diffusivity: float, clock: Any, table: Any,
    lost_table: Any, places: Any, horizon: float, times: Any, outcomes: Any, resets: Any,
    counter: Any, first: int, ints: Any, reals: Any, kept: Any, column: int, budget: int,
) -> int:  # fmt: skip
    """The kernel ``stretchwise`` for a single path; returns how many stretches it made.

    Arguments as there, but the column of the thread before the budget.
    """
    words = _words()
    for row in range(4):
        words[row, 0], words[row, 1] = kept[row, column], kept[row + 4, column]
    position, count = ints[0, column], ints[1, column]
    t, lost, y = reals[0, column], reals[1, column], reals[2, column]
    due, ticks = reals[3, column], reals[4, column]
    paths = len(times)
    speed, poisson = abs(velocity), clock[0] == POISSON
    used = 0
    while used < budget:
        if position < 0:
            if counter[0] < paths:
                position = fetch_add(counter, 1)
            if position < 0 or position >= paths:
                position = -1
                break
            path = np.uint64(first + position)
            seed_lane(words, 0, seed, path, MOTION)
            seed_lane(words, 1, seed, path, EVENTS)
            count, t, lost, y, ticks = 0, 0.0, 0.0, distance, 0.0
            if not poisson:
                due, ticks = next_reset(words, 1, clock, table, 0, 0.0, 0.0, 0.0)
        used += 1
        length, angle = uniform(words, 0), uniform(words, 0)
        c = cos(2.0 * math.pi * angle)
        square = -2.0 * log(length) * (c * c)
        arrival = inverse_of_inverse_gaussian(
            speed / y, diffusivity / (y * y), square, uniform(words, 0)
        )
        if velocity < 0.0 and not uniform(words, 0) < exp(velocity * y / diffusivity):
            arrival = 0.0
        if poisson:
            due = t - clock[1] * log(uniform(words, 1))
        end = horizon - lost
        end = due if due < end else end
        outcome = RUNNING
        # Compared as rates: 0 (an infinite time) needs no special case.
        if arrival * (end - t) >= 1.0:
            tau = t + 1.0 / arrival
            t = tau if tau < end else end
            outcome = ARRIVED
        else:
            t = end
            if t >= horizon - lost:
                outcome = CENSORED
            else:
                count += 1
                y = placed(words, 1, clock, places, y, 0.0)
                lost += overhead(words, 1, clock, lost_table)
                if t + lost >= horizon:
                    outcome = CENSORED
                elif not poisson:
                    due, ticks = next_reset(words, 1, clock, table, count, t, lost, ticks)
        if outcome != RUNNING:
            whole = t + lost
            times[position] = whole if outcome == ARRIVED and whole < horizon else horizon
            outcomes[position], resets[position] = outcome, count
            position = -1
    ints[0, column], ints[1, column] = position, count
    reals[0, column], reals[1, column], reals[2, column] = t, lost, y
    reals[3, column], reals[4, column] = due, ticks
    for row in range(4):
        kept[row, column], kept[row + 4, column] = words[row, 0], words[row, 1]
    return used
