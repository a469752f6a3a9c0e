"""Passage of a diffusion with constant drift to a point, with resets at exact real-valued times.

Everything happens in the distance to the target, which falls at ``velocity`` on average and is
absorbed at zero. A kernel works through a run of consecutive paths until its budget of steps is
used up; what it needs to go on is kept in two small arrays, so that it can be called again. All
random numbers are keyed by the path, so neither the budget nor the cut of the paths into runs
shows in the results.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from resetsgd.montecarlo.kernels.clocks import next_reset
from resetsgd.montecarlo.kernels.compiling import kernel
from resetsgd.montecarlo.kernels.hitting import (
    bridge_crosses,
    inverse_of_inverse_gaussian,
    within_bridge,
)
from resetsgd.montecarlo.kernels.tape import MOTION, MOTION_LANES, Words, motion_block, refill
from resetsgd.montecarlo.kernels.variates import normal_and_uniform

__all__ = ["ARRIVED", "BROKEN", "CENSORED", "COUNTS", "REALS", "stepwise", "stretchwise"]

RUNNING, ARRIVED, CENSORED, BROKEN = 0, 1, 2, 3
"""Outcome of a path. BROKEN: a number left the range of floats; the path was stopped there."""

COUNTS, REALS = 3, 4
"""Lengths of the two arrays that hold the state of a kernel between calls, zero at first."""

Reals = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]


@kernel
def stepwise(
    k0: int,
    k1: int,
    distance: float,
    back: float,
    velocity: float,
    diffusivity: float,
    clock: int,
    a: float,
    b: float,
    horizon: float,
    step: float,
    bridge: bool,
    times: Reals,
    outcomes: Codes,
    resets: Counts,
    counts: Counts,
    reals: Reals,
    tape: Words,
    first: int,
    budget: int,
) -> int:
    """Euler steps, cut short at resets and at the horizon; returns how many steps were made.

    With ``bridge`` the passage within a step is exact, whatever the step. Without it a path
    arrives at the end of the first step that ends on or beyond the target.

    Parameters
    ----------
    k0, k1 : int
        The two 32-bit words of the seed.
    distance, back : float
        Distance from the target at the start and after a reset.
    velocity, diffusivity : float
        Mean velocity toward the target, and D.
    clock, a, b : int, float, float
        See :mod:`resetsgd.montecarlo.kernels.clocks`.
    horizon, step : float
        Paths are stopped at the horizon (may be infinite); no step is longer than ``step``.
    bridge : bool
        See above.
    times, outcomes, resets : arrays of length n
        Results of the paths ``first`` ... ``first + n - 1``, written here.
    counts, reals : arrays
        State between calls: (position, blocks used, resets) and (distance, time, time of the next
        reset, ticks). Position n means finished; blocks used 0 means that a path begins.
    first : int
        Number of the first path.
    budget : int
        Bound of the number of steps in this call.
    """
    position, used_blocks, reset_count = int(counts[0]), int(counts[1]), int(counts[2])
    y, t, due, ticks = float(reals[0]), float(reals[1]), float(reals[2]), float(reals[3])
    paths = len(times)
    base, resets_base = -MOTION_LANES, 0  # nothing is on the tape yet
    full_spread = math.sqrt(2.0 * diffusivity * step)
    used = 0
    while used < budget and position < paths:
        used += 1
        path = first + position
        begins = used_blocks == 0
        if begins:
            y, t, reset_count = distance, 0.0, 0
        if begins or used_blocks - base > MOTION_LANES - 2:  # a step takes up to two blocks
            base, resets_base = used_blocks, reset_count >> 1
            refill(tape, k0, k1, path, base, resets_base)
        if begins:
            due, ticks = next_reset(tape, resets_base, clock, a, b, k0, k1, path, 0, 0.0, 0.0)
        end = min(due, horizon)
        h = end - t
        last = h <= step
        if last:
            spread = math.sqrt(2.0 * diffusivity * h)
        else:
            h, spread = step, full_spread
        w0, w1, w2, w3 = motion_block(tape, base, k0, k1, path, used_blocks)
        z, u, used_blocks = normal_and_uniform(w0, w1, w2, w3, k0, k1, path, MOTION, used_blocks)
        moved = y - velocity * h + spread * z
        outcome = RUNNING
        if moved - moved != 0.0:  # infinite or NaN
            outcome = BROKEN
        elif bridge:
            if bridge_crosses(y, moved, diffusivity * h, u):
                w0, w1, w2, w3 = motion_block(tape, base, k0, k1, path, used_blocks)
                z, u, used_blocks = normal_and_uniform(
                    w0, w1, w2, w3, k0, k1, path, MOTION, used_blocks
                )
                # The sum may exceed the end of the stretch in its last digit.
                t = min(t + within_bridge(y, moved, h, diffusivity, z, u), end)
                outcome = ARRIVED
        elif moved <= 0.0:
            t = end if last else t + h
            outcome = ARRIVED
        if outcome == RUNNING:
            y = moved
            t += h
            if last:
                t = end
                if end == horizon:
                    outcome = CENSORED
                else:
                    reset_count += 1
                    y = back
                    due, ticks = next_reset(
                        tape, resets_base, clock, a, b, k0, k1, path, reset_count, t, ticks
                    )
        if outcome != RUNNING:
            times[position], outcomes[position], resets[position] = t, outcome, reset_count
            position += 1
            used_blocks = 0
    counts[0], counts[1], counts[2] = position, used_blocks, reset_count
    reals[0], reals[1], reals[2], reals[3] = y, t, due, ticks
    return used


@kernel
def stretchwise(
    k0: int,
    k1: int,
    distance: float,
    back: float,
    velocity: float,
    diffusivity: float,
    clock: int,
    a: float,
    b: float,
    horizon: float,
    times: Reals,
    outcomes: Codes,
    resets: Counts,
    counts: Counts,
    reals: Reals,
    tape: Words,
    first: int,
    budget: int,
) -> int:
    """One draw of the reset-free passage time for each stretch between resets; no steps at all.

    Parameters and state as in :func:`stepwise`; one stretch counts as one step of the budget.
    """
    position, used_blocks, reset_count = int(counts[0]), int(counts[1]), int(counts[2])
    y, t, due, ticks = float(reals[0]), float(reals[1]), float(reals[2]), float(reals[3])
    paths = len(times)
    base, resets_base = -MOTION_LANES, 0  # nothing is on the tape yet
    used = 0
    while used < budget and position < paths:
        used += 1
        path = first + position
        begins = used_blocks == 0
        if begins:
            y, t, reset_count = distance, 0.0, 0
        if begins or used_blocks - base > MOTION_LANES - 2:  # a step takes up to two blocks
            base, resets_base = used_blocks, reset_count >> 1
            refill(tape, k0, k1, path, base, resets_base)
        if begins:
            due, ticks = next_reset(tape, resets_base, clock, a, b, k0, k1, path, 0, 0.0, 0.0)
        end = min(due, horizon)
        w0, w1, w2, w3 = motion_block(tape, base, k0, k1, path, used_blocks)
        z, u, used_blocks = normal_and_uniform(w0, w1, w2, w3, k0, k1, path, MOTION, used_blocks)
        arrives = True
        if velocity < 0.0:
            # Drift away: the target is reached with this probability, and then at the times at
            # which the opposite drift would reach it.
            arrives = u < math.exp(velocity * y / diffusivity)
            if arrives:
                w0, w1, w2, w3 = motion_block(tape, base, k0, k1, path, used_blocks)
                z, u, used_blocks = normal_and_uniform(
                    w0, w1, w2, w3, k0, k1, path, MOTION, used_blocks
                )
        outcome = RUNNING
        if arrives:
            m = abs(velocity) / y
            q = inverse_of_inverse_gaussian(m, diffusivity / (y * y), z, u)
            # Compared as rates: q = 0 (an infinite time) needs no special case.
            if q * (end - t) >= 1.0:
                t = min(t + 1.0 / q, end)
                outcome = ARRIVED
        if outcome == RUNNING:
            t = end
            if end == horizon:
                outcome = CENSORED
            else:
                reset_count += 1
                y = back
                due, ticks = next_reset(
                    tape, resets_base, clock, a, b, k0, k1, path, reset_count, t, ticks
                )
        if outcome != RUNNING:
            times[position], outcomes[position], resets[position] = t, outcome, reset_count
            position += 1
            used_blocks = 0
    counts[0], counts[1], counts[2] = position, used_blocks, reset_count
    reals[0], reals[1], reals[2], reals[3] = y, t, due, ticks
    return used
