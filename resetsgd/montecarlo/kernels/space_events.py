"""What happens to single paths in many dimensions: beginnings, resets, looks, arrivals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.clocks import next_reset
from resetsgd.montecarlo.kernels.compiling import helper
from resetsgd.montecarlo.kernels.lanes import EVENTS, MOTION, seed_lane, uniform
from resetsgd.montecarlo.kernels.outcomes import LOST, POSITION, RESETS, TIME
from resetsgd.montecarlo.kernels.space_state import BALL, FULL, LOOK_AT_STEPS, LOOK_AT_TIMES, SLAB
from resetsgd.montecarlo.kernels.variates import normal
from resetsgd.montecarlo.kernels.vectors import fetch_add

__all__ = [
    "ALIVE",
    "DUE",
    "END",
    "FINAL",
    "LEFT",
    "LIMIT",
    "LOOK",
    "LOOKED",
    "TICKS",
    "begin",
    "coming",
    "look",
    "place",
    "pull",
    "renew",
    "wait",
    "which_side",
]

DUE, TICKS, ALIVE, LIMIT, LOOK, END = range(2, 8)
"""Further rows of real numbers: time of the next reset, ticks of its clock, probability not to have
crossed, the uniform it is compared with, time of the next look (overheads included), the first of
the coming times."""

LOOKED, LEFT, FINAL = range(2, 5)
"""Further rows of whole numbers: looks, steps until the next look, whether the step ends at END."""

NEVER_LEFT = 2**62


@helper
def begin(
    lane: int, x: Any, v: Any, real: Any, whole: Any, words: Any, events: Any, mover: Any,
    clock: Any, table: Any, looks: Any, starts: Any, out: Any, counter: Any, first: int, seed: Any,
    horizon: float,
) -> None:  # fmt: skip
    """Put the next path into a lane, or leave it idle."""
    at = fetch_add(counter, 1)
    more = at < len(out.times)
    whole[POSITION, lane] = at if more else -1
    whole[RESETS, lane], whole[LOOKED, lane], whole[LEFT, lane] = 0, 0, NEVER_LEFT
    whole[FINAL, lane] = 0
    real[TIME, lane], real[LOST, lane] = 0.0, 0.0
    real[TICKS, lane], real[ALIVE, lane], real[LIMIT, lane] = 0.0, 1.0, 0.0
    real[DUE, lane], real[LOOK, lane], real[END, lane] = math.inf, math.inf, math.inf
    for j in range(len(x)):
        x[j, lane] = starts[0, j]
        if mover.friction > 0.0 or mover.memory > 0.0:
            v[j, lane] = 0
    if not more:
        return
    path = np.uint64(first + at)
    seed_lane(words, lane, seed, path, MOTION)
    seed_lane(events, lane, seed, path, EVENTS)
    # Drawn whether needed or not, so that looking at a path does not change it.
    real[LIMIT, lane] = uniform(events, lane)
    shift = uniform(events, lane)
    place(lane, x, v, events, mover, starts, 0.0)
    wait(lane, real, whole, clock, table, events)
    if looks.mode == LOOK_AT_TIMES:
        real[LOOK, lane] = looks.first + looks.jitter * shift
    elif looks.mode == LOOK_AT_STEPS and at < len(out.looked):
        whole[LEFT, lane] = int(looks.every)
    coming(lane, real, horizon)


@helper
def place(
    lane: int, x: Any, v: Any, events: Any, mover: Any, points: Any, kept: float
) -> None:  # fmt: skip
    """Put a path on one of the points, at rest, but for a share of where and how fast it was."""
    d = len(x)
    low, high = 0, len(points) - 1
    if high > 0:
        u = uniform(events, lane)
        for _ in range(64):
            if low >= high:
                break
            middle = (low + high) >> 1
            if points[middle, d] > u:
                high = middle
            else:
                low = middle + 1
    for j in range(d):
        x[j, lane] = points[low, j] + kept * (x[j, lane] - points[low, j])
        if mover.friction > 0.0:
            v[j, lane] *= kept
    if mover.memory > 0.0:
        renew(lane, v, events, mover)


@helper
def pull(
    lane: int, x: Any, v: Any, events: Any, mover: Any, aim: Any, distance: float, factor: float
) -> None:  # fmt: skip
    """Multiply the distance to the target, and the velocity, by a factor."""
    ball = aim.code == BALL
    # What the vector from the centre is multiplied by, or how far to go along the normal.
    radius = aim.low + distance
    share = (aim.low + factor * distance) / radius if ball else (factor - 1.0) * distance
    for j in range(len(x)):
        if ball:
            x[j, lane] = aim.vector[j] + share * (x[j, lane] - aim.vector[j])
        else:
            x[j, lane] += share * aim.vector[j]
        if mover.friction > 0.0:
            v[j, lane] *= factor
    if mover.memory > 0.0:
        renew(lane, v, events, mover)


@helper
def renew(lane: int, v: Any, events: Any, mover: Any) -> None:
    """Draw noise that has a memory from its stationary law."""
    width = 1.0 / math.sqrt(mover.memory)
    for j in range(len(v)):
        v[j, lane] = 0
    for k in range(len(v)):
        z = width * normal(events, lane)
        if mover.noise == FULL:
            for j in range(k, len(v)):
                v[j, lane] += mover.factor[j, k] * z
        else:
            v[k, lane] = mover.scale[k] * z


@helper
def wait(lane: int, real: Any, whole: Any, clock: Any, table: Any, events: Any) -> None:
    """Draw the time of the next reset."""
    real[DUE, lane], real[TICKS, lane] = next_reset(
        events, lane, clock, table, whole[RESETS, lane], real[TIME, lane], real[LOST, lane],
        real[TICKS, lane],
    )  # fmt: skip


@helper
def coming(lane: int, real: Any, horizon: float) -> None:
    """The first of reset, look and horizon, in time of the motion."""
    lost = real[LOST, lane]
    real[END, lane] = min(real[DUE, lane], real[LOOK, lane] - lost, horizon - lost)


@helper
def look(
    lane: int, at: int, x: Any, real: Any, whole: Any, looks: Any, out: Any, state: Any
) -> None:  # fmt: skip
    """Look at the position: store it, count it, and say when to look next."""
    number = min(whole[LOOKED, lane], looks.most - 1)
    store = at < len(out.looked)
    if store:
        out.looked[at, number, 0] = real[TIME, lane] + real[LOST, lane]
    for i in range(len(looks.coordinates)):
        place_now = float(x[looks.coordinates[i], lane])
        if store:
            out.looked[at, number, 1 + i] = place_now
        bins = state.counts.shape[1] - 2
        if bins > 0:
            cell = (place_now - looks.low[i]) / looks.width[i]
            cell = min(max(cell, -1.0), float(bins))
            state.counts[i, 1 + math.floor(cell)] += 1
    whole[LOOKED, lane] += 1
    if looks.mode == LOOK_AT_STEPS:
        whole[LEFT, lane] = int(looks.every)
    elif whole[LOOKED, lane] < looks.most:
        real[LOOK, lane] += looks.every
    else:
        real[LOOK, lane] = math.inf


@helper
def which_side(
    lane: int, before: Any, gap: Any, across: Any, h: float, events: Any, aim: Any
) -> int:
    """Through which side of a slab it left: -1 or 1; 0 for other targets."""
    if aim.code != SLAB:
        return 0
    if gap[0, lane] <= 0.0:
        return -1
    if gap[1, lane] <= 0.0:
        return 1
    spread = across[0, lane] * h
    low = math.exp(-before[0, lane] * gap[0, lane] / spread)
    high = math.exp(-before[1, lane] * gap[1, lane] / spread)
    return -1 if uniform(events, lane) * (low + high) < low else 1
