"""What :mod:`~resetsgd.montecarlo.kernels.line` does in blocks: loops over lanes without a branch.

Row k of the positions ``x[steps + 1, LANES]`` is where the lanes are before step k of the block;
the noise ``z`` and the crossing probabilities ``met`` have a row for each step.

Whether a step crossed an edge is only asked where some lane came near one. The probability of the
Brownian bridge, exp(-d d' / (D dt)) for distances d and d' at its ends, is then a product of two
scaled distances in an exponential, all in float32: its error is 3e-7 of itself where it matters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.compiling import spliced
from resetsgd.montecarlo.kernels.elementary import fading32
from resetsgd.montecarlo.kernels.lanes import LANES
from resetsgd.montecarlo.kernels.vectors import muladd

__all__ = [
    "crossings",
    "drifting",
    "euler_step",
    "extremes",
    "first_event",
    "gaps_to",
    "heun_step",
    "survive",
]

_F32 = np.float32
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
_FAR = np.float32(1e15)
"""Scaled distance whose square, too, is a number in float32: its product with 0 is 0."""


@spliced
def euler_step(x: Any, a: Any, z: Any, dt: float, noise: float, k: int) -> None:
    """Row k + 1 of the positions from row k: one Euler step of all lanes."""
    for lane in range(LANES):
        x[k + 1, lane] = muladd(noise, float(z[k, lane]), muladd(dt, a[lane], x[k, lane]))


@spliced
def heun_step(x: Any, a: Any, b: Any, z: Any, half: float, noise: float, k: int) -> None:
    """The same with the mean of two drifts."""
    for lane in range(LANES):
        drift = a[lane] + b[lane]
        x[k + 1, lane] = muladd(noise, float(z[k, lane]), muladd(half, drift, x[k, lane]))


@spliced
def drifting(x: Any, z: Any, drift: float, dt: float, noise: float, block: int) -> None:
    """All rows from row 0, for a constant drift: four steps at once stay in registers."""
    for k in range(0, block, 4):
        for lane in range(LANES):
            one = muladd(noise, float(z[k, lane]), muladd(dt, drift, x[k, lane]))
            two = muladd(noise, float(z[k + 1, lane]), muladd(dt, drift, one))
            three = muladd(noise, float(z[k + 2, lane]), muladd(dt, drift, two))
            four = muladd(noise, float(z[k + 3, lane]), muladd(dt, drift, three))
            x[k + 1, lane], x[k + 2, lane] = one, two
            x[k + 3, lane], x[k + 4, lane] = three, four


@spliced
def extremes(x: Any, lowest: Any, highest: Any, block: int) -> None:
    """The least and the greatest of each lane's positions in a block."""
    for lane in range(LANES):
        lowest[lane] = highest[lane] = x[0, lane]
    for k in range(0, block, 4):
        for lane in range(LANES):
            one, two, three, four = x[k + 1, lane], x[k + 2, lane], x[k + 3, lane], x[k + 4, lane]
            least, most = (one if one < two else two), (one if one > two else two)
            other, more = (three if three < four else four), (three if three > four else four)
            least, most = (least if least < other else other), (most if most > more else more)
            lowest[lane] = least if least < lowest[lane] else lowest[lane]
            highest[lane] = most if most > highest[lane] else highest[lane]


@spliced
def gaps_to(x: Any, gaps: Any, edge: float, scale: float, block: int) -> None:
    """Scaled distances from an edge, 0 beyond it; a negative scale is for the upper edge."""
    for k in range(block + 1):
        for lane in range(LANES):
            gap = _F32(scale * (x[k, lane] - edge))
            gap = gap if gap > _ZERO else _ZERO
            gaps[k, lane] = gap if gap < _FAR else _FAR


@spliced
def crossings(gaps: Any, met: Any, keep: Any, block: int) -> None:
    """Probabilities ``met`` that the steps crossed an edge; with ``keep`` = 1 that, or another."""
    for k in range(block):
        for lane in range(LANES):
            crossed = fading32(gaps[k, lane] * gaps[k + 1, lane])
            met[k, lane] = muladd(keep * met[k, lane], _ONE - crossed, crossed)


@spliced
def survive(met: Any, alive: Any, block: int) -> None:
    """Multiply what is left of each path by the probabilities that its steps met nothing."""
    for k in range(0, block, 4):
        for lane in range(LANES):
            one, two = 1.0 - float(met[k, lane]), 1.0 - float(met[k + 1, lane])
            three, four = 1.0 - float(met[k + 2, lane]), 1.0 - float(met[k + 3, lane])
            alive[lane] *= (one * two) * (three * four)


@spliced
def first_event(
    x: Any, met: Any, lane: int, block: int, dt: float, longest: float, begun: float, until: float,
    alive: float, limit: float, euler: bool, bridged: bool, low: float, high: float, side: float,
    ends: int,
) -> Any:  # fmt: skip
    """The first step of a lane in which something happens, and what is left of the path before it.

    That is a reset or the horizon (both at ``until``), an arrival, or a number that is not finite;
    the length of the block if there is none.
    """
    begin, rest = block, alive
    for k in range(block):
        happens = until - (begun + dt * k) <= longest
        if not abs(x[k + 1, lane]) < math.inf:
            happens = True
        if euler:
            gap = side * (x[k + 1, lane] - low)
            if ends == 2:
                gap = min(x[k + 1, lane] - low, high - x[k + 1, lane])
            if gap <= 0.0:
                happens = True
        elif bridged:
            rest = alive * (1.0 - float(met[k, lane]))
            if not rest >= limit:
                happens = True
        if happens:
            begin = k
            break
        alive = rest
    return begin, alive
