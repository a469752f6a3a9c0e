"""Discrete time: x' = c + phi (x - c) + beta (last displacement) + jump, looked at after each jump.

Random walks with any jump law, and SGD with momentum in a quadratic bowl. The order in one step is:
move, maybe reset, look; with ``look_first``, an arrival in the step of a reset counts. A reset that
falls due between two jumps is made at its own time, and the jumps go on from there.

Jumps that are not normal come from a table (2, n): for hazards E = -log(2 q) on a uniform grid from
0 on, the lower and the upper quantile of probability q.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.clocks import next_reset, overhead, placed
from resetsgd.montecarlo.kernels.compiling import inlined, kernel
from resetsgd.montecarlo.kernels.lanes import (
    EVENTS,
    MOTION,
    exponential,
    next_word,
    seed_lane,
    word_lanes,
)
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, BROKEN, CENSORED, RUNNING
from resetsgd.montecarlo.kernels.variates import normal
from resetsgd.montecarlo.kernels.vectors import fetch_add

__all__ = ["HAZARD", "INTS", "REALS", "WORDS", "walk"]

INTS, REALS, WORDS = 2, 6, 8
"""Rows of the state: (position, resets), (time, lost, x, due, ticks, displacement), words."""

HAZARD = 37.0
"""End of the table of quantiles: no exponential from 52 bits is larger."""

TIE = 1e-9
"""Times that differ by less, in units of a step, are the same."""


@inlined
def _jump(words: Any, mean: float, width: float, quantiles: Any) -> Any:
    """One jump: normal where there is a width, else from the table."""
    if width >= 0.0:
        return mean + width * normal(words, 0)
    row = 0 if next_word(words, 0) & np.uint32(1) else 1
    u = exponential(words, 0) * ((quantiles.shape[1] - 1) / HAZARD)
    i = min(int(u), quantiles.shape[1] - 2)
    below = quantiles[row, i]
    return below + (u - float(i)) * (quantiles[row, i + 1] - below)


@kernel
def walk(
    seed: Any,
    numbers: Any,
    look_first: bool,
    quantiles: Any,
    clock: Any,
    table: Any,
    lost_table: Any,
    places: Any,
    horizon: float,
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
    """Jump until the budget is used up or no path is left; returns the jumps made.

    ``numbers``: start, low, high (infinite where the target has no such end), contraction phi,
    center, momentum beta, mean and width of normal jumps (a negative width: from the table), time
    of a jump. Resets end the momentum. The other arguments are those of
    :func:`resetsgd.montecarlo.kernels.line.line`.
    """
    words = word_lanes()
    for i in range(4):
        words[i, 0], words[i, 1] = kept[i, 0], kept[i + 4, 0]
    start, low, high, phi, center = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    beta, mean, width, step = numbers[5], numbers[6], numbers[7], numbers[8]
    position, count = int(ints[0, 0]), int(ints[1, 0])
    t, lost, x, due = float(reals[0, 0]), float(reals[1, 0]), float(reals[2, 0]), float(reals[3, 0])
    ticks, shift = float(reals[4, 0]), float(reals[5, 0])
    paths = len(times)
    used = 0
    while used < budget:
        if position < 0:
            position = fetch_add(counter, 1)
            if position >= paths:
                position = -1
                break
            path = np.uint64(first + position)
            seed_lane(words, 0, seed, path, MOTION)
            seed_lane(words, 1, seed, path, EVENTS)
            x, t, lost, count, shift = start, 0.0, 0.0, 0, 0.0
            due, ticks = next_reset(words, 1, clock, table, 0, 0.0, 0.0, 0.0)
        used += 1
        end = t + step
        outcome, exit_side = RUNNING, 0
        tie = abs(due - end) <= TIE * step
        ends = due < end or tie
        if not (ends and not (look_first and tie)) and end + lost <= horizon + TIE * step:
            moved = (
                center + phi * (x - center) + beta * shift + _jump(words, mean, width, quantiles)
            )
            x, shift, t = moved, moved - x, end
            if x <= low or x >= high:
                outcome, exit_side = ARRIVED, -1 if x <= low else 1
            elif not abs(x) < math.inf:
                outcome = BROKEN
                report[0], report[1], report[2], report[3] = 1.0, float(position), t + lost, x
        elif not ends or due + lost > horizon:
            t, outcome = horizon - lost, CENSORED
        if outcome == RUNNING and ends:
            t = due
            count += 1
            x, shift = placed(words, 1, clock, places, x, low if low > -math.inf else high), 0.0
            lost += overhead(words, 1, clock, lost_table)
            if t + lost >= horizon:
                outcome = CENSORED
            else:
                due, ticks = next_reset(words, 1, clock, table, count, t, lost, ticks)
        if outcome != RUNNING:
            times[position] = horizon if outcome == CENSORED else min(t + lost, horizon)
            outcomes[position], resets[position], sides[position] = outcome, count, exit_side
            position = -1
            if outcome == BROKEN:
                break
    ints[0, 0], ints[1, 0] = position, count
    for i in range(4):
        kept[i, 0], kept[i + 4, 0] = words[i, 0], words[i, 1]
    reals[0, 0], reals[1, 0], reals[2, 0], reals[3, 0] = t, lost, x, due
    reals[4, 0], reals[5, 0] = ticks, shift
    return used
