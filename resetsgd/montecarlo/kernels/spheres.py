"""From the inside of a sphere to its surface in any dimension, without time steps.

A path goes from moving sphere to moving sphere. Around where it is, of radius 0 at first, the
sphere of radius rho(t), rho² = 2 d D t log(t_max / t), stays within the target until it shrinks to
nothing at t_max. The path meets it at t_max exp(-2 G / d), with G a gamma variate of shape
1 + d/2, at the radius sqrt(4 D t G), in a direction of which nothing is known. So much of a
direction as counts is the cosine of its angle with the line from the centre, one half of one plus
which has the beta law with both parameters (d - 1) / 2; that makes sense for any real d > 1.

Nothing is approximated until the surface is nearer than a millionth of its radius: then the mean of
the time that is left is added.

**Source**: M. Deaconu, S. Herrmann, Ann. Appl. Probab. 23 (2013) 2259, theorem 2.1 (written for
unit noise, from the origin); for real d, J. F. C. Kingman, Acta Math. 109 (1963) 11.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.clocks import next_reset, overhead, placed
from resetsgd.montecarlo.kernels.compiling import helper, kernel
from resetsgd.montecarlo.kernels.lanes import EVENTS, MOTION, seed_lane, uniform, word_lanes
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, CENSORED, RUNNING
from resetsgd.montecarlo.kernels.variates import gamma
from resetsgd.montecarlo.kernels.vectors import fetch_add

__all__ = ["CLOSE", "INTS", "REALS", "WORDS", "from_sphere_to_sphere"]

INTS, REALS, WORDS = 2, 5, 8
"""Rows of the state: (position, resets), (time, lost, radius, due, ticks), two streams."""

CLOSE = 1e-6
"""Distance from the surface, over its radius, from where on the mean time is taken."""


@helper
def _cosine(words: Any, dimension: float) -> Any:
    """Cosine of the angle between a uniform direction and a given one."""
    if dimension == 1.0:
        return 1.0 if uniform(words, 0) < 0.5 else -1.0
    if dimension == 3.0:
        return 2.0 * uniform(words, 0) - 1.0
    a = gamma(words, 0, 0.5 * (dimension - 1.0))
    b = gamma(words, 0, 0.5 * (dimension - 1.0))
    return (a - b) / (a + b) if a + b > 0.0 else 0.0


@kernel
def from_sphere_to_sphere(
    seed: Any,
    start: float,
    target: float,
    dimension: float,
    diffusivity: float,
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
    """Move from sphere to sphere; returns how many there were.

    The arguments are those of :func:`resetsgd.montecarlo.kernels.line.line`.
    """
    words = word_lanes()
    for i in range(4):
        words[i, 0], words[i, 1] = kept[i, 0], kept[i + 4, 0]
    position, count = int(ints[0, 0]), int(ints[1, 0])
    t, lost, x, due = float(reals[0, 0]), float(reals[1, 0]), float(reals[2, 0]), float(reals[3, 0])
    ticks = float(reals[4, 0])
    paths = len(times)
    d = dimension
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
            x, t, lost, count = start, 0.0, 0.0, 0
            due, ticks = next_reset(words, 1, clock, table, 0, 0.0, 0.0, 0.0)
        used += 1
        stop = horizon - lost
        end = due if due < stop else stop
        room = target - x
        close = room <= CLOSE * target
        lasts, reach = room * (target + x) / (2.0 * d * diffusivity), 0.0
        if not close:
            g = gamma(words, 0, 1.0 + 0.5 * d)
            lasts = room / (2.0 * d) * (room / diffusivity) * math.exp(1.0 - 2.0 * g / d)
            reach = math.sqrt(4.0 * diffusivity * lasts * g)
        outcome, exit_side = RUNNING, 0
        if t + lasts < end:
            t += lasts
            if close:
                outcome, exit_side = ARRIVED, 1
            else:
                square = x * x + reach * reach + 2.0 * x * reach * _cosine(words, d)
                x = math.sqrt(square) if square > 0.0 else 0.0
        else:
            t = end
            if end == stop:
                outcome = CENSORED
            else:
                count += 1
                x = placed(words, 1, clock, places, x, target)
                lost += overhead(words, 1, clock, lost_table)
                if lost + t >= horizon:
                    outcome = CENSORED
                else:
                    due, ticks = next_reset(words, 1, clock, table, count, t, lost, ticks)
        if outcome != RUNNING:
            whole = t + lost
            times[position] = whole if outcome != CENSORED and whole < horizon else horizon
            outcomes[position], resets[position], sides[position] = outcome, count, exit_side
            position = -1
    ints[0, 0], ints[1, 0] = position, count
    for i in range(4):
        kept[i, 0], kept[i + 4, 0] = words[i, 0], words[i, 1]
    reals[0, 0], reals[1, 0], reals[2, 0], reals[3, 0], reals[4, 0] = t, lost, x, due, ticks
    return used
