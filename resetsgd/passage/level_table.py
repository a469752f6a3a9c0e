"""-log E[exp(-sT)] of one law at very many s, from Chebyshev panels in log s.

For laws whose transform costs microseconds a point. The level is analytic in u = log s within
abs(Im u) < pi where the transform has no zeros off the negative axis; on a panel from 2^(n-1)
to 2^n a polynomial of degree 13 is then within rounding of it, and the level changes so little over
a panel that no digits are lost. Its square-root growth at large s, where it is large, is divided
out, so that a correctly rounded constant is left there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resetsgd.domain import Array

__all__ = ["LevelTable"]

_NODES = 14
_BLOCK = 16384
_ANGLES = (np.arange(_NODES) + 0.5) * (np.pi / _NODES)
_TO_COEFFICIENTS = np.cos(np.outer(np.arange(_NODES), _ANGLES)) * (2.0 / _NODES)
_TO_COEFFICIENTS[0] *= 0.5


class LevelTable:
    """Level of one law, in panels that are made when they are first asked for.

    Parameters
    ----------
    level : callable
        ``level(s)``, positive at positive arrays s.
    """

    def __init__(self, level: Callable[[Array], Any]) -> None:
        self._level = level
        self._row: dict[int, int] = {}
        self._panels: Array = np.empty((_NODES, 0))

    def pays(self, s: Array) -> bool:
        """Whether the panels that hold these positive, finite s are less work than the s are."""
        _, ends = np.frexp([s.min(), s.max()])
        return bool(3 * _NODES * (int(ends[1] - ends[0]) + 1) < s.size)

    def __call__(self, s: Array) -> Array:
        """The level at positive, finite s."""
        flat = s.reshape(-1)
        value = np.empty_like(flat)
        for first in range(0, flat.size, _BLOCK):
            now = slice(first, first + _BLOCK)
            value[now] = self._block(flat[now])
        return value.reshape(s.shape)

    def _block(self, s: Array) -> Array:
        mantissa, panel = np.frexp(s)
        x = 4.0 * np.log2(mantissa) + 2.0  # twice the place on [-1, 1)
        low = int(panel.min())
        panel = panel - low
        rows = np.zeros(int(panel.max()) + 1, dtype=np.intp)
        for offset in np.flatnonzero(np.bincount(panel)):
            rows[offset] = self._find(low + int(offset))
        row = rows[panel]
        after, now = np.zeros_like(s), np.zeros_like(s)
        for k in range(_NODES - 1, 0, -1):  # Clenshaw
            after, now = now, self._panels[k, row] + x * now - after
        return np.asarray((self._panels[0, row] + 0.5 * x * now - after) * np.sqrt(s))

    def _find(self, panel: int) -> int:
        """Row of a panel."""
        if panel not in self._row:
            s = np.ldexp(np.exp2(0.5 * np.cos(_ANGLES) - 0.5), panel)
            value = np.asarray(self._level(s)) / np.sqrt(s)
            made = _TO_COEFFICIENTS @ (value - value[0])  # what is constant is not summed
            made[0] += value[0]
            self._row[panel] = len(self._row)
            self._panels = np.column_stack([self._panels, made])
        return self._row[panel]
