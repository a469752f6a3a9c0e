"""Coins against a tabulated passage time: chances of arrival between coins, found once for all.

Whatever the coin, a trial is a power series in the chance q that it does not reset, whose terms
depend on the passage time and the spacing alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.passage.law_table import LawTable
from resetsgd.passage.legendre_panels import tools

__all__ = ["CoinSums", "coin_sums"]

_MOST = 2**14
"""Coins that are summed one by one; more of them are rare terms of a Fourier series."""
_EXACT = 64
"""Intervals whose chances are integrals of the density, not differences of the survival."""
_CHUNK = 2**21


def coin_sums(table: Any, step: float) -> CoinSums | None:
    """The sums for one spacing, if few enough coins are tossed before all has arrived."""
    if not isinstance(table, LawTable) or not 0.0 < step < np.inf:
        return None
    if table.rest > 0 or not np.exp(table.over - np.log(step)) <= _MOST:
        return None
    known: dict[float, CoinSums] = table.__dict__.setdefault("_coins", {})
    if step not in known:
        if len(known) >= 8:
            known.clear()
        known[step] = CoinSums(table, step)
    return known[step]


class CoinSums:
    """Chance to arrive, and mean time spent, between neighbouring coins.

    Parameters
    ----------
    table : LawTable
        The passage time; its survival ends within float64.
    step : float
        Time between coins.
    """

    def __init__(self, table: LawTable, step: float) -> None:
        nodes, to_coefficients, _ = tools()
        weights = to_coefficients[0]  # of Gauss' rule, for an average
        count = max(int(np.ceil(np.exp(table.over) / step)), 2)
        ends = step * np.arange(count + 1.0)
        late = np.append(1.0, np.asarray(table._survival(ends[1:])))
        self.arrive = np.maximum(-np.diff(late), 0.0)
        # early on relative accuracy counts, and the density is steep
        first = min(_EXACT, count)
        marks = np.exp(table.edges)
        cuts = np.unique(np.append(ends[1 : first + 1], marks[marks < ends[first]]))
        cuts = np.append(min(0.5 * cuts[0], marks[0]), cuts)
        logs = np.log(cuts)
        x = 0.5 * (logs[1:] + logs[:-1])[:, None] + 0.5 * np.diff(logs)[:, None] * nodes
        t = np.exp(x)
        width = np.diff(logs)
        area = width * ((t * np.asarray(table._density(t))) @ weights)
        lived = width * ((t * np.asarray(table._survival(t))) @ weights)
        home = np.clip(np.searchsorted(ends, cuts[1:] * (1.0 - 1e-15)) - 1, 0, first - 1)
        self.arrive[:first] = np.bincount(home, area, first)
        self.lasting = np.empty(count)
        self.lasting[:first] = np.bincount(home, lived, first)
        self.lasting[0] += cuts[0]
        middle = ends[first:-1, None] + step * 0.5 * (nodes + 1.0)
        self.lasting[first:] = step * (np.asarray(table._survival(middle)) @ weights)
        # beyond the last coin none is left but what never comes
        self.never = table.never
        self.end = step

    def trial(self, log_keep: Array) -> tuple[Any, Any]:
        """Logarithms of success and duration, for the log-chance that a coin does not reset."""
        keep = np.asarray(log_keep)
        flat = keep.ravel()
        success, duration = np.empty(flat.shape, flat.dtype), np.empty(flat.shape, flat.dtype)
        k = np.arange(len(self.arrive))
        for first in range(0, flat.size, max(1, _CHUNK // k.size)):
            part = slice(first, first + max(1, _CHUNK // k.size))
            certain = np.isneginf(np.real(flat[part]))[:, None]
            powers = np.exp(np.where(certain, 0.0, flat[part, None]) * k)
            powers = np.where(certain, k == 0, powers)
            success[part], duration[part] = powers @ self.arrive, powers @ self.lasting
        if self.never > 0:
            left = np.where(np.isneginf(np.real(flat)), 0.0, np.exp(flat * k.size))
            duration = duration + self.never * self.end * left / -np.expm1(flat)
        return np.log(success).reshape(keep.shape), np.log(duration).reshape(keep.shape)
