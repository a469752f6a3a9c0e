"""Volterra equations of the second kind in time, solved by collocation, panel after panel."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from scipy import special

from resetsgd.domain import Array
from resetsgd.errors import NotConverged
from resetsgd.passage.legendre_panels import ORDER, series, tools

__all__ = ["GRADING", "RESOLVED", "March", "gauss"]

RESOLVED = 1e-12
"""Error on a panel, relative to the solution there, that is allowed in any case."""
_QUADRATURE = 16
GRADING = 8.0
"""Power that clusters the nodes where the kernel may be singular, at age 0."""
_MOST_PANELS = 1500


@lru_cache(maxsize=1)
def gauss() -> tuple[Array, Array]:
    """Gauss points and weights on (0, 1)."""
    nodes, weights = special.roots_legendre(_QUADRATURE)
    return 0.5 * (nodes + 1.0), 0.5 * weights


class March:
    """Solution of y(t) = source(t) + integral over 0 < u < t - c of kernel(t, u) y(t - c - u) du.

    Parameters
    ----------
    source : callable
        Of times.
    kernel : callable
        Of t, shape (points, 1, 1), and u; may be singular at u = 0 as a power above -1.
    start : float
        Up to here the solution is zero.
    cuts : ndarray
        Ages u between which the kernel is a polynomial, rising from above 0.
    kinks : ndarray
        Times at which the solution has a kink.
    tolerance : float
        Error of the integral over a panel that is allowed in any case.
    memory : float
        How far back the kernel typically reaches.
    resolved : float
        Error on a panel, relative to the solution there, that is allowed in any case.
    most : int
        Panels after which it gives up.
    delay : float, default 0
        c, the time between the end of an age and the next start.
    prepare : callable, optional
        Called with the ends of each panel that is tried, before ``kernel`` is.
    """

    def __init__(
        self,
        source: Callable[[Array], Any],
        kernel: Callable[[Array, Array], Any],
        *,
        start: float,
        cuts: Array,
        kinks: Array,
        tolerance: float,
        memory: float,
        resolved: float = RESOLVED,
        most: int = _MOST_PANELS,
        delay: float = 0.0,
        prepare: Callable[[float, float], Array] | None = None,
    ) -> None:
        self.source, self.kernel = source, kernel
        self.cuts, self.kinks = cuts, np.sort(kinks[kinks > start * (1 + 1e-9)])
        self.tolerance, self.memory, self.prepare = tolerance, memory, prepare
        self.resolved, self.most, self.delay = resolved, most, delay
        self.edges = [start]
        self.coefficients: list[Array] = []
        self.areas = [0.0]
        self._step = 0.25 * start
        self._table = np.empty((0, ORDER))

    def reach(self, t: float) -> None:
        """March on until the solution is known up to t."""
        while self.edges[-1] < t:
            if len(self.coefficients) >= self.most:
                raise NotConverged(
                    f"t = {t:g}: the law under this protocol needs more than {self.most} panels"
                )
            self._advance()

    def _advance(self) -> None:
        nodes, to_coefficients, integral = tools()
        low = self.edges[-1]
        step = self._step
        ahead = self.kinks[self.kinks > low * (1.0 + 1e-12)]
        room = float(ahead[0]) - low if ahead.size else np.inf
        while True:
            # a short last piece before a kink is shared out
            wide = room if step > 0.7 * room else min(step, 0.5 * room)
            high = low + wide
            times = low + wide * 0.5 * (nodes + 1.0)
            values = self._solve(low, high, times)
            found = to_coefficients @ values
            last, top = np.max(np.abs(found[-2:])), np.max(np.abs(values))
            if last <= max(self.resolved * top, self.tolerance / wide) or wide < 1e-10 * low:
                break
            step = 0.5 * wide
        easy = last <= 1e-2 * max(self.resolved * top, self.tolerance / wide)
        self._step = 2.5 * wide if easy else max(wide, step if wide == room else wide)
        self.edges.append(float(ahead[0]) if wide == room else high)
        self.coefficients.append(found)
        self._table = np.array(self.coefficients)
        self.areas.append(self.areas[-1] + 0.5 * wide * float(np.sum(integral @ found)))

    def _solve(self, low: float, high: float, times: Array) -> Array:
        to_coefficients = tools()[1]
        points, weights = gauss()
        extra = np.empty(0) if self.prepare is None else self.prepare(low, high)
        furthest = self.cuts[-1]
        known = np.array(self.edges)
        known = known[known > low - self.delay - furthest * (1.0 + 1e-12)]
        elapsed = np.maximum(times - self.delay, 0.0)
        cuts = np.unique(np.concatenate([self.cuts, extra])) if extra.size else self.cuts
        limits = np.minimum(furthest, elapsed)[:, None]
        ages = np.concatenate(
            [
                np.minimum(np.broadcast_to(cuts, (len(times), cuts.size)), limits),
                np.clip(elapsed[:, None] - known[None], 0.0, limits),
            ],
            axis=1,
        )
        ages = np.concatenate([np.zeros((len(times), 1)), np.sort(ages, axis=1)], axis=1)
        lower, width = ages[:, :-1, None], np.diff(ages, axis=1)[..., None]
        share = np.broadcast_to(points, (*width.shape[:2], points.size)).copy()
        measure = width * weights
        # next to age 0 the nodes are graded
        first = np.argmax(width[..., 0] > 0, axis=1)
        rows = np.arange(len(times))
        share[rows, first] = points**GRADING
        measure[rows, first] *= GRADING * points ** (GRADING - 1.0)
        u = lower + width * share
        used = np.flatnonzero((measure > 0).ravel())
        place = used // (u.shape[1] * u.shape[2])
        u, measure = u.ravel()[used], measure.ravel()[used]
        weight = measure * self.kernel(times[place], u)
        back = elapsed[place] - u
        own = back > low
        known_part = np.bincount(place[~own], weight[~own] * self.value(back[~own]), len(times))
        local = 2.0 * (back[own] - low) / (high - low) - 1.0
        basis = legendre.legvander(local, ORDER - 1)
        matrix = np.zeros((len(times), ORDER))
        np.add.at(matrix, place[own], weight[own][:, None] * basis)
        system, right = (
            np.eye(len(times)) - matrix @ to_coefficients,
            self.source(times) + known_part,
        )
        if times[0] - low > 0.02 * self.memory and self.coefficients:
            # A panel far longer than the kernel sees nothing of what came before: it continues it.
            ends = (-1.0) ** np.arange(ORDER) @ to_coefficients
            system = np.vstack([system, ends])
            right = np.append(right, self.coefficients[-1].sum())
            return np.asarray(np.linalg.lstsq(system, right, rcond=None)[0])
        return np.asarray(np.linalg.solve(system, right))

    def _locate(self, t: Array) -> tuple[Any, Any]:
        edges = np.array(self.edges)
        place = np.clip(np.searchsorted(edges, t) - 1, 0, max(len(edges) - 2, 0))
        low, high = edges[place], edges[np.minimum(place + 1, len(edges) - 1)]
        return place, np.clip((2.0 * t - low - high) / np.where(high > low, high - low, 1.0), -1, 1)

    def value(self, t: Array) -> Any:
        """The solution at times that have been reached."""
        if not self.coefficients:
            return np.zeros(np.shape(t))
        place, x = self._locate(t)
        return np.where(t < self.edges[0], 0.0, series(self._table, place, x))

    def slope(self, t: Array) -> Any:
        """Derivative of the solution at times that have been reached."""
        if not self.coefficients:
            return np.zeros(np.shape(t))
        place, x = self._locate(t)
        edges = np.array(self.edges)
        rows = 2.0 / np.diff(edges)[:, None] * legendre.legder(self._table, axis=1)
        return np.where(t < self.edges[0], 0.0, series(rows, place, x))

    def area(self, t: Array) -> Any:
        """Integral of the solution from 0 to times that have been reached."""
        if not self.coefficients:
            return np.zeros(np.shape(t))
        _, _, integral = tools()
        place, x = self._locate(t)
        edges = np.array(self.edges)
        wide = edges[place + 1] - edges[place]
        inner = series(self._table @ integral.T, place, x)
        value = np.array(self.areas)[place] + 0.5 * wide * inner
        return np.where(t < self.edges[0], 0.0, value)
