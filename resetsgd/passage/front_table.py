"""The law of a passage time with atoms, kept as polynomials of log time between its fronts.

Out of an interval the density of a ballistic walker is a sum of images, and late an inversion: dear
at each of the thousands of times that a quadrature asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import NotConverged
from resetsgd.passage.legendre_panels import Table, even, series, tools

if TYPE_CHECKING:
    from resetsgd.passage.fronts import Fronted

__all__ = ["FrontTable", "front_table"]

_TOLERANCE = 1e-13
"""Error of time times density that is allowed."""
_PROMISE = 3e-11
"""Error of the mass, and of the mean over itself, that is allowed."""


def front_table(free: Fronted) -> Any:
    """A passage time's table, or itself where its law has a heavy tail or is not resolved."""
    if free.shape or not free._over() < np.inf:
        return free
    if "_front_table" not in free.__dict__:
        try:
            free.__dict__["_front_table"] = FrontTable(free)
        except NotConverged:
            free.__dict__["_front_table"] = None
    known = free.__dict__["_front_table"]
    return free if known is None else known


class FrontTable:
    """Density and survival of one passage time with atoms, all of which has come by some time.

    Parameters
    ----------
    free : Fronted
        Of scalar parameters.

    Raises
    ------
    NotConverged
        If the panels do not resolve the density, or it does not add up to one and to the mean.
    """

    def __init__(self, free: Fronted) -> None:
        nodes, to_coefficients, integral = tools()
        fronts = np.unique(np.ravel(free._fronts()))
        if not 1e-280 < fronts[0] <= free._over() < 1e280:
            raise NotConverged("a law at an end of float64; change the unit of time")
        edges = even(float(np.log(fronts[0])), float(np.log(free._over())))
        edges = np.union1d(edges, np.log(fronts[fronts < free._over()]))

        def mass(t: Array) -> Any:
            return t * np.maximum(np.asarray(free._density(t)), 0.0)

        with np.errstate(all="ignore"):
            self._mass = Table(mass, edges, _TOLERANCE)
        self.edges = self._mass.edges
        times, weights = (np.ravel(np.asarray(part, np.float64)) for part in free._atoms())
        self._times, self._weights = times, weights
        half = 0.5 * np.diff(self.edges)
        self._partial = half[:, None] * (self._mass.coefficients @ integral.T)
        areas = self._partial.sum(axis=1)
        self._come = np.append(0.0, np.cumsum(areas))
        middle = 0.5 * (self.edges[1:] + self.edges[:-1])
        t = np.exp(middle[:, None] + half[:, None] * nodes)
        mean = float(np.sum(2.0 * half * ((t * self._mass(t)) @ to_coefficients[0])))
        mean += float(np.sum(times * weights))
        self.error = abs(self._come[-1] + float(weights.sum()) - 1.0)
        self.error = max(self.error, abs(mean / float(np.asarray(free.mean())) - 1.0))
        if not self.error < _PROMISE:
            raise NotConverged(f"the law adds up to one only within {self.error:.1g}")

    def _density(self, t: Any) -> Any:
        """Density between the atoms at positive times."""
        t = np.asarray(t)
        x = np.log(t)
        inside = (x >= self.edges[0]) & (x < self.edges[-1])
        return np.where(inside, np.maximum(self._mass(t), 0.0), 0.0) / t

    def _survival(self, t: Any) -> Any:
        """P(T > t) at positive times."""
        t = np.asarray(t)
        x = np.clip(np.log(t), self.edges[0], self.edges[-1])
        place = np.clip(np.searchsorted(self.edges, x) - 1, 0, len(self.edges) - 2)
        low, high = self.edges[place], self.edges[place + 1]
        come = self._come[place] + series(
            self._partial, place, (2.0 * x - low - high) / (high - low)
        )
        come = come + np.sum(self._weights * (t[..., None] >= self._times), axis=-1)
        return np.where(x >= self.edges[-1], 0.0, np.maximum(1.0 - come, 0.0))
