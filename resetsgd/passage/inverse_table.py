"""Random draws from a law that is known, by a table of its inverse."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.interpolate import PchipInterpolator

from resetsgd.domain import QUIET, Array
from resetsgd.passage import distribution

if TYPE_CHECKING:
    from resetsgd.passage.base import PassageTime

__all__ = ["InverseTable"]

_TABLE = 1025
"""Points of the table."""


class InverseTable:
    """Times at which a law, taken as certain to arrive, has given probabilities.

    Monotone cubic interpolation of log t against log odds in a table of 1025 points; the
    interpolation error of the probability is about 1e-9, far below what 10^12 draws resolve.

    Parameters
    ----------
    shape : tuple of int
        Shape of the parameters.
    quantile, cdf, survival : callable
        Of a law that arrives for certain.
    """

    @QUIET
    def __init__(
        self,
        shape: tuple[int, ...],
        quantile: Callable[[Any], Any],
        cdf: Callable[[Any], Any],
        survival: Callable[[Any], Any],
    ) -> None:
        chances = np.array([1e-10, 1.0 - 1e-10]).reshape(2, *(1,) * len(shape))
        ends = np.log(np.broadcast_to(quantile(chances), (2, *shape)))
        fractions = np.linspace(0.0, 1.0, _TABLE).reshape(-1, *(1,) * len(shape))
        log_t = ends[0] * (1.0 - fractions) + ends[1] * fractions
        times = np.exp(log_t)
        odds = np.log(np.asarray(cdf(times))) - np.log(np.asarray(survival(times)))
        odds, log_t = odds.reshape(_TABLE, -1), log_t.reshape(_TABLE, -1)
        self._curves: list[tuple[Any, float, float]] = []
        for i in range(odds.shape[1]):
            rise = np.maximum.accumulate(odds[:, i])
            kept = np.isfinite(rise) & (np.diff(rise, prepend=-np.inf) > 0)
            known, place = rise[kept], log_t[kept, i]
            if known.size < 2:  # narrower than float64 resolves
                known = np.array([0.0, 1.0])
                place = np.full(2, log_t[_TABLE // 2, i])
            self._curves.append((PchipInterpolator(known, place), known[0], known[-1]))

    @classmethod
    def of(cls, law: PassageTime) -> Self:
        """The table of a passage time."""
        return cls(law.shape, law.quantile, law._cdf, law.survival)

    @classmethod
    def searched(
        cls,
        shape: tuple[int, ...],
        cdf: Callable[[Any], Any],
        survival: Callable[[Any], Any],
        scale: Any,
        arrive: Any = 1.0,
    ) -> Self:
        """The table of a law whose quantiles are searched from a typical time on."""

        def quantile(q: Any) -> Array:
            return distribution.quantile(q, shape, cdf, survival, arrive, scale)

        return cls(shape, quantile, cdf, survival)

    @QUIET
    def __call__(self, uniforms: Array) -> Array:
        """Times for uniform numbers, shape (n,) + shape of the law."""
        wanted = np.log(uniforms) - np.log1p(-uniforms)
        wanted = wanted.reshape(len(uniforms), len(self._curves))
        result = np.empty(wanted.shape)
        for i, (curve, first, last) in enumerate(self._curves):
            result[:, i] = np.exp(curve(np.clip(wanted[:, i], first, last)))
        return result.reshape(uniforms.shape)
