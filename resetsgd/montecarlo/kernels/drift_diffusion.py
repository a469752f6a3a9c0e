"""Passage of a diffusion with constant drift to a point, with resets at exact real-valued times.

Everything happens in the distance to the target, which falls at ``velocity`` on average and is
absorbed at zero. A path takes few and long steps here, so it is moved alone, not in lanes. See
:mod:`~resetsgd.montecarlo.kernels.outcomes` for what is kept between calls.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.clocks import next_reset, overhead, placed
from resetsgd.montecarlo.kernels.compiling import kernel
from resetsgd.montecarlo.kernels.hitting import bridge_crosses, within_bridge
from resetsgd.montecarlo.kernels.lanes import EVENTS, MOTION, seed_lane, uniform, word_lanes
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, BROKEN, CENSORED, RUNNING
from resetsgd.montecarlo.kernels.variates import normal
from resetsgd.montecarlo.kernels.vectors import fetch_add

__all__ = ["INTS", "REALS", "WORDS", "stepwise"]

INTS, REALS, WORDS = 4, 5, 8
"""Rows of the state: (position, resets, end of the batch, whether under way), (time, lost,
distance, due, ticks), and the words of two streams."""

BATCH = 16
"""Paths that a thread takes from the counter at a time."""


@kernel
def stepwise(
    seed: Any,
    distance: float,
    velocity: float,
    diffusivity: float,
    clock: Any,
    table: Any,
    lost_table: Any,
    places: Any,
    horizon: float,
    step: float,
    times: Any,
    outcomes: Any,
    resets: Any,
    counter: Any,
    first: int,
    ints: Any,
    reals: Any,
    kept: Any,
    report: Any,
    budget: int,
) -> int:
    """Steps of at most ``step``, cut short at resets and at the horizon; returns how many.

    A step is made first and then asked whether it met the target: exact at any step.

    Parameters
    ----------
    seed : uint64
        Of the streams.
    distance : float
        From the target, at the start.
    velocity, diffusivity : float
        Mean velocity toward the target, and D.
    clock, table, lost_table, places : arrays
        See :mod:`resetsgd.montecarlo.kernels.clocks`; places are distances.
    horizon, step : float
        Paths are stopped at the horizon (may be infinite).
    times, outcomes, resets : arrays of length n
        Results of the paths ``first`` ... ``first + n - 1``, written here.
    counter : int64 array of length 1
        Paths handed out so far.
    first : int
        Number of the first path.
    ints, reals, kept, report : arrays
        State between calls, of one column.
    budget : int
        Bound of the number of steps in this call.
    """
    words = word_lanes()
    for i in range(4):
        words[i, 0], words[i, 1] = kept[i, 0], kept[i + 4, 0]
    position, reset_count, last_position = int(ints[0, 0]), int(ints[1, 0]), int(ints[2, 0])
    t, lost, y = float(reals[0, 0]), float(reals[1, 0]), float(reals[2, 0])
    due, ticks = float(reals[3, 0]), float(reals[4, 0])
    paths = len(times)
    full_spread = math.sqrt(2.0 * diffusivity * step)
    begins = ints[3, 0] == 0
    used = 0
    while used < budget:
        if begins:
            position += 1
            if position >= last_position:
                position = fetch_add(counter, BATCH)
                last_position = position + BATCH
                last_position = last_position if last_position < paths else paths
                if position >= paths:
                    position, last_position = -1, 0
                    break
            path = np.uint64(first + position)
            seed_lane(words, 0, seed, path, MOTION)
            seed_lane(words, 1, seed, path, EVENTS)
            y, t, lost, reset_count = distance, 0.0, 0.0, 0
            due, ticks = next_reset(words, 1, clock, table, 0, 0.0, 0.0, 0.0)
            begins = False
        used += 1
        stop = horizon - lost
        end = due if due < stop else stop
        h = end - t
        h = h if h > 0.0 else 0.0  # the sum of the steps may exceed the end in its last digit
        outcome = RUNNING
        last = h <= step
        if last:
            spread = math.sqrt(2.0 * diffusivity * h)
        else:
            h, spread = step, full_spread
        z = normal(words, 0)
        u = uniform(words, 0)
        moved = y - velocity * h + spread * z
        if moved - moved != 0.0:  # infinite or NaN
            outcome = BROKEN
        elif bridge_crosses(y, moved, diffusivity * h, u):
            z = normal(words, 0)
            u = uniform(words, 0)
            # The sum may exceed the end of the stretch in its last digit.
            t += within_bridge(y, moved, h, diffusivity, z, u)
            t = t if t < end else end
            outcome = ARRIVED
        else:
            t += h
            y = moved
        if outcome == RUNNING and last:
            t = end
            if end == stop:
                outcome = CENSORED
            else:
                reset_count += 1
                y = placed(words, 1, clock, places, y, 0.0)
                lost += overhead(words, 1, clock, lost_table)
                if lost + t >= horizon:
                    outcome = CENSORED
                else:
                    due, ticks = next_reset(words, 1, clock, table, reset_count, t, lost, ticks)
        if outcome != RUNNING:
            whole = t + lost
            whole = whole if outcome != CENSORED and whole < horizon else horizon
            times[position], outcomes[position], resets[position] = whole, outcome, reset_count
            begins = True
            if outcome == BROKEN:
                report[0], report[1], report[2], report[3] = 1.0, float(position), whole, moved
                break
    ints[0, 0], ints[1, 0], ints[2, 0] = position, reset_count, last_position
    ints[3, 0] = 0 if begins else 1
    for i in range(4):
        kept[i, 0], kept[i + 4, 0] = words[i, 0], words[i, 1]
    reals[0, 0], reals[1, 0], reals[2, 0] = t, lost, y
    reals[3, 0], reals[4, 0] = due, ticks
    return used
