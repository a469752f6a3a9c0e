"""Functions of time as Legendre series on panels: nodes, values, adaptive panels in log time."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from scipy import special

from resetsgd.domain import Array
from resetsgd.errors import NotConverged

__all__ = ["ORDER", "Table", "even", "resolve", "series", "tools"]

ORDER = 16
_MOST_PANELS = 6000


@lru_cache(maxsize=1)
def tools() -> tuple[Array, Array, Array]:
    """Points on (-1, 1), their values to Legendre coefficients, and to those of the integral."""
    nodes, _ = special.roots_legendre(ORDER)
    to_coefficients = np.linalg.inv(legendre.legvander(nodes, ORDER - 1))
    integral = np.stack([legendre.legint(row, lbnd=-1.0) for row in np.eye(ORDER)], axis=1)
    return nodes, np.asarray(to_coefficients, np.float64), np.asarray(integral, np.float64)


def series(coefficients: Array, place: Any, x: Array) -> Any:
    """Legendre series of the panels ``place`` at their local coordinates x in [-1, 1]."""
    count = coefficients.shape[1]
    later: Any = np.zeros_like(x)
    last: Any = np.zeros_like(x)
    for k in range(count - 1, 0, -1):  # Clenshaw
        later, last = (
            coefficients[place, k] + (2 * k + 1) / (k + 1) * x * later - (k + 1) / (k + 2) * last,
            later,
        )
    return coefficients[place, 0] + x * later - 0.5 * last


def resolve(function: Callable[[Array], Any], edges: Array, tolerance: float) -> Array:
    """Panel edges, in log time, on which a function of time is a polynomial to a tolerance."""
    nodes, to_coefficients, _ = tools()
    low, high = edges[:-1], edges[1:]
    done = [edges]
    for _ in range(50):
        half = 0.5 * (high - low)
        values = function(np.exp(0.5 * (low + high) + half * nodes[:, None]))
        last = np.max(np.abs(to_coefficients[-2:] @ values), axis=0)
        bad = (last > tolerance) & (half > 1e-9)
        if not bad.any():
            return np.unique(np.concatenate(done))
        low, high = low[bad], high[bad]
        middle = 0.5 * (low + high)
        done.append(middle)
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        if low.size > _MOST_PANELS:
            break
    raise NotConverged("the law is too steep or too rough for the renewal equation")


def even(low: float, high: float) -> Array:
    """Panels of about half a unit of log time."""
    return np.linspace(low, high, max(int(2.0 * (high - low)), 1) + 1)


class Table:
    """A function of time, in polynomials in log time; constant outside of its range."""

    def __init__(self, function: Callable[[Array], Any], edges: Array, tolerance: float) -> None:
        nodes, to_coefficients, _ = tools()
        self.edges = resolve(function, edges, tolerance)
        low, high = self.edges[:-1], self.edges[1:]
        times = np.exp(0.5 * (low + high) + 0.5 * (high - low) * nodes[:, None])
        self.coefficients = np.ascontiguousarray((to_coefficients @ function(times)).T)

    def __call__(self, t: Array) -> Any:
        """Values at times t > 0."""
        x = np.clip(np.log(np.maximum(t, 1e-300)), self.edges[0], self.edges[-1])
        place = np.clip(np.searchsorted(self.edges, x) - 1, 0, len(self.edges) - 2)
        low, high = self.edges[place], self.edges[place + 1]
        return series(self.coefficients, place, (2.0 * x - low - high) / (high - low))
