"""The Laplace transform of a sample at many rates, by moments in cells of time.

Sum over runs of w exp(-r t), for n times and any K rates, at a cost of n + K instead of n K: times
are gathered into cells, narrow where the fastest rate decays and wider by an eighth each further
on, and in each cell with centre c and half width h the exponential is its Taylor series,

    exp(-r t) = exp(-r c) sum over m of (-r h)^m / m!  ((t - c) / h)^m.

Where exp(-r c) is not negligible r h is at most 2.4, so that 18 moments leave an error below
3e-15 of the sum. Times are counted from the shortest one, which keeps the *relative* accuracy where
all exponentials are tiny.
"""

from __future__ import annotations

import math
from typing import Any

from resetsgd.montecarlo.kernels.compiling import kernel

__all__ = ["GROWTH", "LINEAR", "MOMENTS", "gathered", "transforms"]

MOMENTS = 18
LINEAR = 8
"""Cells of half width one, in units of the shortest time scale; then each is wider."""
GROWTH = 1.125
"""Ratio of the edges of the cells beyond."""
NEGLIGIBLE = 60.0
"""Decays beyond this exponent do not count (1e-26)."""


@kernel
def gathered(
    times: Any, weights: Any, begin: float, fastest: float, cells: int, centres: Any, halves: Any,
    moments: Any,
) -> None:  # fmt: skip
    """Moments of the cells, over factorials.

    Parameters
    ----------
    times : array of length n
        At least ``begin``.
    weights : array of length n, or 0
        None given: all one.
    begin, fastest : float
        Shortest time, and the fastest rate.
    cells : int
        How many.
    centres, halves : arrays of length cells
        Written: centres from ``begin`` on, and half widths, in units of time.
    moments : array of shape (cells, MOMENTS)
        Added to.
    """
    unit = 1.0 / fastest
    edge = 2.0 * LINEAR
    for cell in range(cells):
        if cell < LINEAR:
            centres[cell], halves[cell] = (2.0 * cell + 1.0) * unit, unit
        else:
            low = edge * GROWTH ** (cell - LINEAR)
            centres[cell] = 0.5 * (1.0 + GROWTH) * low * unit
            halves[cell] = 0.5 * (GROWTH - 1.0) * low * unit
    scale = 1.0 / math.log(GROWTH)
    weighted = len(weights) > 0
    for i in range(len(times)):
        since = times[i] - begin
        x = since * fastest
        if x < edge:
            cell = int(0.5 * x)
        else:
            cell = min(LINEAR + int(math.log(x / edge) * scale), cells - 1)
        u = (since - centres[cell]) / halves[cell]
        value = weights[i] if weighted else 1.0
        square = u * u
        first, second = value, value * u
        for m in range(0, MOMENTS, 2):
            moments[cell, m] += first
            moments[cell, m + 1] += second
            first *= square
            second *= square
    factorial = 1.0
    for m in range(MOMENTS):
        factorial *= m if m > 0 else 1
        for cell in range(cells):
            moments[cell, m] /= factorial


@kernel
def transforms(
    rates: Any, begin: float, centres: Any, halves: Any, moments: Any, decayed: Any, spent: Any
) -> None:
    """Both transforms at each rate.

    ``decayed[k]`` = sum of w exp(-r (t - begin)), and ``spent[k]`` = sum of w (1 - exp(-r t)) / r,
    which for r = 0 is that of w t.
    """
    for k in range(len(rates)):
        r = rates[k]
        total, lasted = 0.0, 0.0
        for cell in range(len(centres)):
            count = moments[cell, 0]
            middle = begin + centres[cell]
            if r == 0.0:
                total += count
                lasted += count * middle + moments[cell, 1] * halves[cell]
                continue
            if count == 0.0:
                continue
            if r * (centres[cell] - halves[cell]) > NEGLIGIBLE:
                lasted += count / r
                continue
            x = -r * halves[cell]
            series = moments[cell, MOMENTS - 1]
            for m in range(MOMENTS - 2, 0, -1):
                series = series * x + moments[cell, m]
            series *= x
            total += math.exp(-r * centres[cell]) * (count + series)
            lasted += (-math.expm1(-r * middle) * count - math.exp(-r * middle) * series) / r
        decayed[k], spent[k] = total, lasted
