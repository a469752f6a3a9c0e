"""Where a function turns from negative to positive, from as few evaluations as it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import brentq

__all__ = ["solve"]


def solve(
    function: Callable[[Any], Any],
    low: Any,
    high: Any,
    known: tuple[list[float], list[float]] | None = None,
) -> Any:
    """Where a function turns from negative to positive between two positive numbers.

    One pair of numbers by inverse interpolation on a few points at a time, which cost as much as
    one, the first of them ``known`` if they are; arrays by bisection with regula falsi (Illinois).
    """
    if np.ndim(low) == 0:
        return _solve_one(function, float(low), float(high), known)
    a, b = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
    fa, fb = np.asarray(function(a), np.float64), np.asarray(function(b), np.float64)
    fa, fb = fa.copy(), fb.copy()
    open_ = (fa < 0) & (fb > 0)
    best = np.where(open_, a, np.where(np.abs(fa) <= np.abs(fb), a, b))
    last = np.zeros(a.shape, dtype=np.int8)
    for step in range(80):
        share = np.where(open_, fa / (fa - fb), 0.5)
        share = np.where(np.isfinite(share) & (share > 0) & (share < 1), share, 0.5)
        if step % 8 == 7:
            share = np.full(a.shape, 0.5)
        x = np.where(open_, a + share * (b - a), best)
        fx = np.asarray(function(x), np.float64)
        under, over = open_ & (fx < 0), open_ & (fx > 0)
        best = np.where(open_, x, best)
        closed = open_ & ((fx == 0) | ~np.isfinite(fx))
        # Illinois: the end that stays twice counts half
        fb = np.where(under & (last < 0), 0.5 * fb, fb)
        fa = np.where(over & (last > 0), 0.5 * fa, fa)
        moved = np.where(under, x - a, np.where(over, b - x, 0.0))
        a, fa = np.where(under, x, a), np.where(under, fx, fa)
        b, fb = np.where(over, x, b), np.where(over, fx, fb)
        last = np.where(under, -1, np.where(over, 1, last)).astype(np.int8)
        narrow = (b - a <= 4e-16 * b) | (np.abs(moved) <= 1e-16 * x)
        open_ = open_ & ~closed & ~narrow
        if not open_.any():
            break
    return best


_PARTS = np.linspace(0.0, 1.0, 10)
"""Where a bracket is looked at first, in its logarithm."""
_AROUND = np.array([-30.0, -10.0, -3.0, -1.0, -0.3, 0.3, 1.0, 3.0, 10.0, 30.0])
"""Where around a guess, in units of its error."""


def _solve_one(
    function: Callable[[Any], Any],
    low: float,
    high: float,
    known: tuple[list[float], list[float]] | None,
) -> float:
    """:func:`solve` for one pair of numbers: a guess, and points around it, once or twice."""
    if low == high:
        return low
    if known is None:
        x = low * (high / low) ** _PARTS
        x[-1] = high
        known = x.tolist(), np.asarray(function(x), dtype=np.float64).tolist()
    xs, ys = known
    place = next((i for i, y in enumerate(ys) if y >= 0 and xs[i] > low), 0) - 1
    if place < 0 or not ys[place] < 0:
        return low if abs(ys[0]) < abs(ys[-1]) else high
    low, high = xs[place], xs[place + 1]
    guess = low * math.exp(_crossing([math.log(x / low) for x in xs], ys, place))
    for _ in range(4):
        inner = [z for z in (guess * (1.0 + 1e-4 * _AROUND)).tolist() if low < z < high]
        if len(inner) < 6:
            break
        values = np.asarray(function(np.array(inner)), dtype=np.float64).tolist()
        above = next((i for i, y in enumerate(values) if y >= 0), len(values))
        if 0 < above < len(values):
            found = _inverted(inner, values, above - 1)
            # in the middle of the points interpolation does not amplify their rounding
            if abs(found - guess) <= 1e-4 * guess:
                return found
            guess = found
            continue
        low, high = (inner[-1], high) if above else (low, inner[0])
        steep = (values[-1] - values[0]) / (inner[-1] - inner[0])
        if steep == 0:  # flat in float64
            break
        guess = (inner[-1] - values[-1] / steep) if above else (inner[0] - values[0] / steep)
        if not low < guess < high:
            break
    ends = float(function(low)), float(function(high))
    if not ends[0] < 0 < ends[1]:
        return guess
    return float(brentq(function, low, high, xtol=5e-324, rtol=1e-15))


def _inverted(x: list[float], y: list[float], place: int) -> float:
    """The zero between two points, by inverse interpolation on six; else on a line."""
    first = min(max(place - 2, 0), max(len(x) - 6, 0))
    base, ys = x[place], y[first : first + 6]
    width = x[place + 1] - base
    if all(one < other for one, other in pairwise(ys)):
        total = 0.0
        for i, own in enumerate(ys):
            weight = x[first + i] - base
            for j, other in enumerate(ys):
                if j != i:
                    weight *= other / (other - own)
            total += weight
        if 0.0 <= total <= width:
            return base + total
    return base - y[place] / (y[place + 1] - y[place]) * width


def _crossing(x: list[float], y: list[float], place: int) -> float:
    """The zero between two points, of the polynomial through eight."""
    first = min(max(place - 3, 0), max(len(x) - 8, 0))
    xs, newton = x[first : first + 8], y[first : first + 8]
    for order in range(1, len(xs)):
        for i in range(len(xs) - 1, order - 1, -1):
            newton[i] = (newton[i] - newton[i - 1]) / (xs[i] - xs[i - order])

    def polynomial(z: float) -> float:
        value = newton[-1]
        for c, node in zip(newton[-2::-1], xs[-2::-1], strict=True):
            value = value * (z - node) + c
        return value

    low, high = x[place], x[place + 1]
    if not (math.isfinite(newton[-1]) and polynomial(low) < 0.0 < polynomial(high)):
        return low - y[place] / (y[place + 1] - y[place]) * (high - low)
    return float(brentq(polynomial, low, high, xtol=1e-7 * (high - low)))
