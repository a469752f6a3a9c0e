"""All local minima of a function of one positive parameter whose derivative is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import optimize

from resetsgd.domain import Array

__all__ = ["Minimum", "minima"]

_PER_DECADE = 40


class Minimum(NamedTuple):
    """A local minimum: where it is, and how deep."""

    at: float
    loss: float


def minima(
    function: Callable[[Array], Array],
    slope: Callable[[Array], Array],
    low: float,
    high: float,
    end: float,
) -> list[Minimum]:
    """Local minima of a function on [0, end], the lowest first.

    Parameters
    ----------
    function, slope : callable
        The function and its derivative at an array of points; infinite where it diverges.
    low, high : float
        Between them lie all places at which the slope can change its sign.
    end : float
        Right end of the domain, at which the function is defined; may be ``inf``.

    Returns
    -------
    list of Minimum
        At least one.
    """
    low, high = max(low, 1e-300), min(high, 1e300)
    count = int(np.clip(_PER_DECADE * np.log10(high / low), 50, 24000))
    grid = np.geomspace(low, high, count)
    if end == high:  # a bounded domain: look closely at both ends
        grid = np.unique(np.concatenate([grid, end * (1.0 - np.geomspace(1e-12, 0.5, 200))]))
    values, rise = function(grid), slope(grid)
    # a slope of exactly zero is an underflow, or a root that its neighbours enclose
    usable = np.isfinite(values) & np.isfinite(rise) & (rise != 0)
    points = grid[usable]
    found: list[Minimum] = []
    rise = rise[usable]

    def add(x: float) -> None:
        found.append(Minimum(x, float(function(np.array([x]))[0])))

    for k in np.flatnonzero((rise[:-1] < 0) & (rise[1:] >= 0)):
        left, right = float(points[k]), float(points[k + 1])
        root = optimize.brentq(lambda x: float(slope(np.array([x]))[0]), left, right, xtol=1e-300)
        add(float(root))
    first = rise[0] if rise.size else 1.0
    if first >= 0 or not rise.size:
        add(0.0)
    if not rise.size or rise[-1] < 0 or not found:
        add(end)
    return sorted(found, key=lambda minimum: (minimum.loss, minimum.at))
