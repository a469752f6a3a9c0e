"""One step of all lanes in many dimensions, and how far they are from the target.

Everything here is spliced into the kernel ``space``: loops over lanes without a branch, which
become vector code, inside loops over dimensions. ``pace`` holds, of type T and for each lane, what
drifts are multiplied with (the length of its step, negative where they are gradients), the same for
the noise, (with friction) the share of the velocity that is kept, half the first (with friction:
half the step) and (with friction) what drifts are multiplied with in half a step. Noise with a
memory takes the place of the velocity; the last is then half the step.
"""

from __future__ import annotations

import math
from typing import Any

from resetsgd.montecarlo.kernels.compiling import helper, spliced
from resetsgd.montecarlo.kernels.lanes import LANES, normal_block
from resetsgd.montecarlo.kernels.rows import call_rows
from resetsgd.montecarlo.kernels.space_state import (
    BALL,
    DIAGONAL,
    DIAGONAL_HERE,
    FULL,
    FUNCTION,
    HALF_SPACE,
    ISOTROPIC_HERE,
    OUTSIDE,
    SLAB,
)

__all__ = ["measure", "measure_lane", "move"]


@spliced
def noise_row(mover: Any, j: int, z: Any, row: int, spread: Any, w: Any) -> None:
    """Component j of the noise of a unit time, over sqrt(2), in ``w[0]``; normals in ``z``."""
    if mover.noise == DIAGONAL:
        s = mover.scale[j]
        for lane in range(LANES):
            w[0, lane] = s * z[row, lane]
    elif mover.noise == FULL:
        for lane in range(LANES):
            w[0, lane] = mover.factor[j, 0] * z[0, lane]
        for k in range(1, j + 1):
            s = mover.factor[j, k]
            for lane in range(LANES):
                w[0, lane] += s * z[k, lane]
    else:
        at = j if mover.noise == DIAGONAL_HERE else 0
        for lane in range(LANES):
            w[0, lane] = math.sqrt(spread[at, lane]) * z[row, lane]


@spliced
def move(
    mover: Any, words: Any, pace: Any, x: Any, v: Any, g: Any, e: Any, z: Any, w: Any, stale: bool
) -> None:
    """One step of all lanes.

    Without friction Euler, or Heun's average of the drifts at both ends, and of the noise where it
    has a memory. With friction: kick, drift, friction and noise, drift, kick; ``g`` then is the
    drift at ``x`` unless ``stale``.
    """
    d = len(x)
    if stale or mover.friction == 0.0:
        call_rows(mover.drift, x, g, mover.drift_numbers)
    if mover.noise >= ISOTROPIC_HERE:
        call_rows(mover.spread, x, e, mover.spread_numbers)
    for pair in range((d + 1) // 2):
        if pair == 0 or mover.noise != FULL:
            normal_block(words, z, len(z))
        for half in range(2):
            j = 2 * pair + half
            if j >= d:
                continue
            if mover.noise == DIAGONAL and mover.friction == 0.0 and mover.memory == 0.0:
                # The usual case, in one go.
                s = mover.scale[j]
                for lane in range(LANES):
                    x[j, lane] += g[j, lane] * pace[0, lane] + s * z[half, lane] * pace[1, lane]
                continue
            noise_row(mover, j, z, half, e, w)
            if mover.memory > 0.0:
                for lane in range(LANES):
                    later = pace[2, lane] * v[j, lane] + pace[1, lane] * w[0, lane]
                    x[j, lane] += g[j, lane] * pace[0, lane] + pace[4, lane] * (v[j, lane] + later)
                    v[j, lane] = later
            elif mover.friction == 0.0:
                for lane in range(LANES):
                    x[j, lane] += g[j, lane] * pace[0, lane] + w[0, lane] * pace[1, lane]
            else:
                for lane in range(LANES):
                    fast = v[j, lane] + pace[4, lane] * g[j, lane]
                    middle = x[j, lane] + pace[3, lane] * fast
                    fast = pace[2, lane] * fast + pace[1, lane] * w[0, lane]
                    x[j, lane] = middle + pace[3, lane] * fast
                    v[j, lane] = fast
    if mover.heun:
        call_rows(mover.drift, x, e, mover.drift_numbers)
        for j in range(d):
            for lane in range(LANES):
                x[j, lane] += (e[j, lane] - g[j, lane]) * pace[3, lane]
    elif mover.friction > 0.0:
        call_rows(mover.drift, x, g, mover.drift_numbers)
        for j in range(d):
            for lane in range(LANES):
                v[j, lane] += pace[4, lane] * g[j, lane]


@helper
def measure_lane(aim: Any, x: Any, lane: int, gap: Any) -> None:
    """Rows 0 and 1 of ``gap`` as by :func:`measure`, for one lane; not for FUNCTION."""
    d = len(x)
    total = x[0, lane] - x[0, lane]
    flat = aim.code == HALF_SPACE or aim.code == SLAB
    for j in range(d):
        if flat:
            total += aim.vector[j] * x[j, lane]
        elif aim.code == BALL or aim.code == OUTSIDE:
            u = x[j, lane] - aim.vector[j]
            total += u * u
        else:
            total += x[j, lane] * x[j, lane]
    gap[1, lane] = math.inf
    if flat:
        gap[0, lane] = total - aim.low
        if aim.code == SLAB:
            gap[1, lane] = aim.high - total
    elif aim.code == BALL:
        gap[0, lane] = math.sqrt(total) - aim.low
    elif aim.code == OUTSIDE:
        gap[0, lane] = aim.low - math.sqrt(total)
    else:
        gap[0, lane] = total + 1.0


@spliced
def measure(mover: Any, aim: Any, x: Any, e: Any, w: Any, gap: Any, across: Any) -> None:
    """Distance to the target, zero or less on it: rows 0 and 1 of ``gap``.

    Row 1 is the distance to the second side of a slab, infinite for other targets. ``across`` gets
    the diffusivity along the normal at the nearest point of the target. A position that is not
    finite has a distance that is not finite in row 0.
    """
    d = len(x)
    for lane in range(LANES):
        w[0, lane] = 0
        w[1, lane] = 0
        gap[1, lane] = math.inf
        across[0, lane] = aim.across
    if aim.code == HALF_SPACE or aim.code == SLAB:
        for j in range(d):
            n = aim.vector[j]
            for lane in range(LANES):
                w[0, lane] += n * x[j, lane]
        for lane in range(LANES):
            gap[0, lane] = w[0, lane] - aim.low
        if aim.code == SLAB:
            for lane in range(LANES):
                gap[1, lane] = aim.high - w[0, lane]
    elif aim.code == BALL or aim.code == OUTSIDE:
        for j in range(d):
            c = aim.vector[j]
            for lane in range(LANES):
                u = x[j, lane] - c
                w[0, lane] += u * u
        if aim.code == BALL:
            for lane in range(LANES):
                gap[0, lane] = math.sqrt(w[0, lane]) - aim.low
        else:
            for lane in range(LANES):
                gap[0, lane] = aim.low - math.sqrt(w[0, lane])
    else:
        for j in range(d):
            for lane in range(LANES):
                w[0, lane] += x[j, lane] * x[j, lane]
        for lane in range(LANES):
            gap[0, lane] = w[0, lane] + 1.0
        if aim.code == FUNCTION:
            call_rows(aim.function, x, e, aim.numbers)
            for lane in range(LANES):
                # The sum of squares only passes on that it is not finite.
                unseen = w[0, lane] - w[0, lane]
                gap[0, lane] = e[0, lane] + unseen
    if aim.bridge:
        _measure_across(mover, aim, x, e, w, across)


@spliced
def _measure_across(mover: Any, aim: Any, x: Any, e: Any, w: Any, across: Any) -> None:
    """The diffusivity along the normal, where it depends on the place; |x - c|² is in w[0].

    For noise that depends on the place ``e`` still holds it, at the beginning of the step.
    """
    d = len(x)
    flat = aim.code == HALF_SPACE or aim.code == SLAB
    if mover.noise == ISOTROPIC_HERE:
        for lane in range(LANES):
            across[0, lane] = e[0, lane]
    elif mover.noise == DIAGONAL_HERE or (mover.noise == DIAGONAL and not flat):
        for j in range(d):
            c = aim.vector[j]
            for lane in range(LANES):
                u = c if flat else x[j, lane] - c
                if mover.noise == DIAGONAL:
                    w[1, lane] += u * u * (mover.scale[j] * mover.scale[j])
                else:
                    w[1, lane] += u * u * e[j, lane]
        for lane in range(LANES):
            across[0, lane] = w[1, lane] if flat else w[1, lane] / w[0, lane]
    elif mover.noise == FULL and not flat:
        for j in range(d):
            for lane in range(LANES):
                w[2, lane] = 0
            for k in range(d):
                c, s = aim.vector[k], mover.covariance[j, k]
                for lane in range(LANES):
                    w[2, lane] += s * (x[k, lane] - c)
            c = aim.vector[j]
            for lane in range(LANES):
                w[1, lane] += w[2, lane] * (x[j, lane] - c)
        for lane in range(LANES):
            across[0, lane] = w[1, lane] / w[0, lane]
