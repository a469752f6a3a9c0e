"""Passage in a quadratic bowl by exact steps, with resets at exact real-valued times.

dx = -k x dt + sqrt(2 D) dW, x counted from the centre. A step of any length h draws its end from
the exact Gaussian law. In the clock theta = (exp(2 k t) - 1) / 2k the path exp(k t) x is Brownian
motion of diffusivity D, and an end of the target at b becomes the curve b sqrt(1 + 2 k theta). With
its chord over the step the probability to have met it is that of a Brownian bridge,

    exp(-(x - b) (x' - b) k / (D sinh(k h))),

and when, follows from the bridge's law. For b at the centre the curve is straight and both are
exact for any h. Elsewhere it bulges over its chord by b (k h)² / 12 on average, so far as the chord
is moved: what is left is of higher order in k h.

See :mod:`~resetsgd.montecarlo.kernels.outcomes` for what is kept between calls.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.clocks import next_reset, overhead, placed
from resetsgd.montecarlo.kernels.compiling import helper, kernel
from resetsgd.montecarlo.kernels.hitting import bridge_probability, within_bridge
from resetsgd.montecarlo.kernels.lanes import EVENTS, MOTION, seed_lane, uniform, word_lanes
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, BROKEN, CENSORED, RUNNING
from resetsgd.montecarlo.kernels.variates import normal
from resetsgd.montecarlo.kernels.vectors import fetch_add

__all__ = ["INTS", "LONGEST", "REALS", "WORDS", "exact_steps"]

INTS, REALS, WORDS = 2, 5, 8
"""Rows of the state: (position, resets), (time, lost, x, due, ticks), words of two streams."""

LONGEST = 300.0
"""Longest step in units of 1/k: beyond, the exponentials overflow."""


@helper
def _met(x: float, moved: float, end: float, side: float, bulge: float, spread: float) -> float:
    """Probability to have met an end of the target."""
    near, far = side * (x - end) - bulge, side * (moved - end)
    if far <= 0.0 or near <= 0.0:
        return 1.0
    gap = far - bulge
    return bridge_probability(near, gap if gap > 0.0 else 0.0, spread)


@helper
def _when(
    x: float, moved: float, end: float, side: float, bulge: float, k: float, diffusivity: float,
    h: float, z: float, u: float,
) -> float:  # fmt: skip
    """Time within a step at which an end was met that is known to have been."""
    near, far = side * (x - end) - bulge, side * (moved - end) - bulge
    if near <= 0.0:
        return 0.0
    whole = math.expm1(2.0 * k * h) / (2.0 * k)
    theta = within_bridge(near, far * math.exp(k * h), whole, diffusivity, z, u)
    return math.log1p(2.0 * k * theta) / (2.0 * k)


@kernel
def exact_steps(
    seed: Any,
    start: float,
    low: float,
    high: float,
    stiffness: float,
    center: float,
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
    sides: Any,
    counter: Any,
    first: int,
    ints: Any,
    reals: Any,
    kept: Any,
    report: Any,
    budget: int,
) -> int:
    """Steps of at most ``step``, cut short at resets and at the horizon; returns how many.

    ``low`` and ``high`` are the ends of the target, infinite where there is none. The other
    arguments are those of :func:`resetsgd.montecarlo.kernels.line.line`.
    """
    words = word_lanes()
    for i in range(4):
        words[i, 0], words[i, 1] = kept[i, 0], kept[i + 4, 0]
    position, count = int(ints[0, 0]), int(ints[1, 0])
    t, lost, x, due = float(reals[0, 0]), float(reals[1, 0]), float(reals[2, 0]), float(reals[3, 0])
    ticks = float(reals[4, 0])
    paths = len(times)
    k, below, above = stiffness, low > -math.inf, high < math.inf
    bottom, top = low - center if below else 0.0, high - center if above else 0.0
    full = k * step
    full_left = math.exp(-full)
    full_width = math.sqrt(diffusivity / k * -math.expm1(-2.0 * full))
    full_spread = diffusivity * math.sinh(full) / k
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
        h = end - t
        h = h if h > 0.0 else 0.0  # the sum of the steps may exceed the end in its last digit
        last = h <= step
        left, width, spread = full_left, full_width, full_spread
        if last:
            left = math.exp(-k * h)
            width = math.sqrt(diffusivity / k * -math.expm1(-2.0 * k * h))
            spread = diffusivity * math.sinh(k * h) / k
        else:
            h = step
        y = x - center
        moved = y * left + width * normal(words, 0)
        u = uniform(words, 0)
        outcome, exit_side = RUNNING, 0
        if not abs(moved) < math.inf:
            outcome = BROKEN
            report[0], report[1], report[2], report[3] = 1.0, float(position), t + lost, x
        else:
            square = (k * h) ** 2 / 12.0
            met_low, met_high = 0.0, 0.0
            if below:
                met_low = _met(y, moved, bottom, 1.0, bottom * square, spread)
            if above:
                met_high = _met(y, moved, top, -1.0, -top * square, spread)
            if u < met_low + met_high - met_low * met_high:
                outcome, exit_side = ARRIVED, -1
                if met_high == 1.0 or met_low == 0.0:
                    exit_side = 1
                elif met_high > 0.0 and met_low < 1.0:
                    exit_side = -1 if uniform(words, 0) * (met_low + met_high) < met_low else 1
                z = normal(words, 0)
                u = uniform(words, 0)
                edge = bottom if exit_side < 0 else top
                bulge = -exit_side * edge * square
                tau = _when(
                    y, moved, edge, -float(exit_side), bulge, k, diffusivity, h, z, u
                )  # fmt: skip
                t += tau
                t = t if t < end else end
            else:
                t += h
                x = center + moved
        if outcome == RUNNING and last:
            t = end
            if end == stop:
                outcome = CENSORED
            else:
                count += 1
                x = placed(words, 1, clock, places, x, low if below else high)
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
            if outcome == BROKEN:
                break
    ints[0, 0], ints[1, 0] = position, count
    for i in range(4):
        kept[i, 0], kept[i + 4, 0] = words[i, 0], words[i, 1]
    reals[0, 0], reals[1, 0], reals[2, 0], reals[3, 0], reals[4, 0] = t, lost, x, due, ticks
    return used
