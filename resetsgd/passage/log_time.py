"""Adaptive quadrature in the logarithm of time, over as many decades as float64 has."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

from resetsgd.domain import Array
from resetsgd.errors import NotConverged

__all__ = ["PROMISE", "REACH", "Grid"]

_NODES = 16
_SMALL = 1e-14
"""Error of one panel, relative to the integral, below which it is not halved."""
PROMISE = 1e-10
"""Relative error that is promised."""
_ROUNDS = 60
_MOST_PANELS = 2**13
REACH = 250.0
"""Width, in log time, of the panels beyond the last mark."""
_FAR = (245.0, 235.0, 225.0)
"""How far beyond the marks, in log time, the tail is looked at."""


@lru_cache(maxsize=1)
def _rule() -> tuple[Array, Array, Array]:
    """Gauss-Legendre nodes and weights, and the rows that give the last two coefficients."""
    nodes, weights = special.roots_legendre(_NODES)
    degrees = (_NODES - 2, _NODES - 1)
    rows = [(k + 0.5) * weights * special.eval_legendre(k, nodes) for k in degrees]
    return nodes, weights, np.array(rows)


class Grid:
    """Nodes in time adapted to some integrands, and the quadrature weights that belong to them.

    Parameters
    ----------
    values : callable
        Times to the integrands times t, shape (integrands,) + shape of the times.
    edges : ndarray, shape (panels + 1,) + shape
        First panels, in log time, rising along the first axis.

    Notes
    -----
    Panels of 16 Gauss points are halved until the last Legendre coefficients say that the error of
    each is below 1e-14 of the integral. Beyond the last edge an integrand that still counts is
    continued as the power of time that it is there.
    """

    def __init__(self, values: Callable[[Array], Any], edges: Array, end: Array) -> None:
        nodes, weights, rows = _rule()
        rank = edges.ndim - 1
        x = nodes.reshape(-1, 1, *(1,) * rank)
        low, high = edges[:-1], edges[1:]
        done: Any = 0.0
        times, measure, panels = [], [], 0
        for _ in range(_ROUNDS):
            half = 0.5 * (high - low)
            t = np.exp(0.5 * (high + low) + half * x)
            value = values(t)
            weight = half * weights.reshape(x.shape)
            sums = np.sum(value * weight, axis=1)
            last = np.max(np.abs(np.tensordot(rows, value, axes=(1, 1))), axis=0)
            top = np.max(np.abs(value), axis=1)
            ratio = last / np.where(top > 0, top, 1.0)
            error = np.minimum(ratio, 30.0 * ratio**2) * top * 2.0 * half
            total = np.abs(done + sums.sum(axis=1))
            bad = np.any(error > _SMALL * total[:, None], axis=0) & (half > 1e-13)
            times.append(t.reshape(-1, *t.shape[2:]))
            measure.append((weight * np.where(bad, 0.0, 1.0)).reshape(times[-1].shape))
            done = done + np.sum(np.where(bad, 0.0, sums), axis=1)
            count = int(bad.sum(axis=0).max(initial=0))
            if count == 0:
                break
            panels += 2 * count
            if panels > _MOST_PANELS:
                break
            place = np.argsort(~bad, axis=0, kind="stable")[:count]
            keep = np.take_along_axis(bad, place, axis=0)
            left = np.take_along_axis(low, place, axis=0)
            right = np.where(keep, np.take_along_axis(high, place, axis=0), left)
            middle = 0.5 * (left + right)
            low = np.concatenate([left, middle])
            high = np.concatenate([middle, right])
        else:
            count = 1
        if count:
            raise NotConverged(
                "the passage time against this waiting time could not be integrated to 1e-10: its"
                " law is too steep or too rough"
            )
        far = [np.exp(end - (REACH - distance))[None] for distance in _FAR]
        self.t = np.concatenate([*times, *far])
        self.weight = np.concatenate([*measure, *(np.zeros_like(at) for at in far)]) * self.t

    def sum(self, values: Any) -> Any:
        """Integral over time of a function given at the nodes ``t``; ``inf`` where it diverges."""
        total = np.sum(np.where(self.weight > 0, self.weight * values, 0.0), axis=0)
        late, middle, early = (np.abs(values[i] * self.t[i]) for i in (-3, -2, -1))
        counts = late > 1e-13 * np.abs(total)
        if not np.any(counts):
            return total
        fall = np.log(np.where(counts, middle / late, np.e)) / 10.0
        before = np.log(np.where(counts, early / middle, np.e)) / 10.0
        # The panels reach 5 beyond the last point; from there the power law is summed.
        rest = late * np.exp(-5.0 * fall) / np.where(fall > 0, fall, 1.0)
        steady = np.abs(fall - before) < 1e-11 + 1e-4 * PROMISE * np.abs(total) / rest * fall
        if not np.all(steady | ~counts):
            raise NotConverged(
                "the mean under this waiting time converges too slowly: neither the passage time"
                " nor the waiting time ends or falls as a power of time"
            )
        return np.where(counts, np.where(fall > 1e-12, total + rest, np.inf), total)
