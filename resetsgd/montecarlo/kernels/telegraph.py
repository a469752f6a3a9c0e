"""Run and tumble, from event to event: flips, resets, walls and arrivals, exact in time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.clocks import next_reset, overhead, placed
from resetsgd.montecarlo.kernels.compiling import kernel
from resetsgd.montecarlo.kernels.lanes import (
    EVENTS,
    MOTION,
    exponential,
    seed_lane,
    uniform,
    word_lanes,
)
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, CENSORED, RUNNING
from resetsgd.montecarlo.kernels.vectors import fetch_add

__all__ = ["INTS", "REALS", "WORDS", "tumble"]

INTS, REALS, WORDS = 2, 7, 8
"""Rows of the state: (position, resets), (time, lost, x, due, ticks, heading, time of the next
flip), and the words of two streams."""

TIE = 1e-14
"""Times closer than this, relative to them, are the same."""


@kernel
def tumble(
    seed: Any,
    start: float,
    low: float,
    high: float,
    wall: float,
    speed: float,
    flip_rate: float,
    heading: float,
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
    """Move from event to event; returns how many events there were.

    ``low`` and ``high`` are the ends of the target, infinite where there is none, ``wall`` where it
    is reflected (NaN for none), ``heading`` the first direction (0: either). The other arguments
    are those of :func:`resetsgd.montecarlo.kernels.line.line`.
    """
    words = word_lanes()
    for i in range(4):
        words[i, 0], words[i, 1] = kept[i, 0], kept[i + 4, 0]
    position, count = int(ints[0, 0]), int(ints[1, 0])
    t, lost, x, due = float(reals[0, 0]), float(reals[1, 0]), float(reals[2, 0]), float(reals[3, 0])
    ticks, way, flip = float(reals[4, 0]), float(reals[5, 0]), float(reals[6, 0])
    paths = len(times)
    # The heading of those who meet the wall, which is behind them all.
    toward = 0.0 if wall != wall else 1.0 if low > -math.inf else -1.0
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
            x, t, lost, count, flip = start, 0.0, 0.0, 0, -1.0
            due, ticks = next_reset(words, 1, clock, table, 0, 0.0, 0.0, 0.0)
        if flip < 0.0:  # a new run: at the start and after a reset
            way = heading
            if way == 0.0:
                way = 1.0 if uniform(words, 0) < 0.5 else -1.0
            flip = t + exponential(words, 0) / flip_rate
        used += 1
        stop = horizon - lost
        end = min(due, stop)
        ahead = high if way > 0.0 else low
        arrival = t + abs(ahead - x) / speed
        bounce = math.inf
        if way == toward:
            bounce = t + abs(wall - x) / speed
        outcome, exit_side = RUNNING, 0
        # A run without a turn may last exactly as long as a reset takes to come. Such a tie is lost
        # to the reset, also where rounding hides it.
        if arrival < due * (1.0 - TIE) and arrival <= min(flip, stop, bounce):
            t, outcome, exit_side = arrival, ARRIVED, int(way)
        elif bounce <= min(flip, end):
            x, t, way = wall, bounce, -way
        elif flip < end:
            x += way * speed * (flip - t)
            t, way = flip, -way
            flip = t + exponential(words, 0) / flip_rate
        else:
            x += way * speed * (end - t)
            t = end
            if end == stop:
                outcome = CENSORED
            else:
                count += 1
                x = placed(words, 1, clock, places, x, low if low > -math.inf else high)
                lost += overhead(words, 1, clock, lost_table)
                flip = -1.0
                if t + lost >= horizon:
                    outcome = CENSORED
                else:
                    due, ticks = next_reset(words, 1, clock, table, count, t, lost, ticks)
        if outcome != RUNNING:
            times[position] = horizon if outcome == CENSORED else min(t + lost, horizon)
            outcomes[position], resets[position], sides[position] = outcome, count, exit_side
            position = -1
    ints[0, 0], ints[1, 0] = position, count
    for i in range(4):
        kept[i, 0], kept[i + 4, 0] = words[i, 0], words[i, 1]
    reals[0, 0], reals[1, 0], reals[2, 0], reals[3, 0] = t, lost, x, due
    reals[4, 0], reals[5, 0], reals[6, 0] = ticks, way, flip
    return used
