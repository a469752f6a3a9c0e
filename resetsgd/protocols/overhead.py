"""Time lost at each reset: a fixed time, or a random one with a distribution."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, Real
from resetsgd.errors import DomainError

__all__ = ["NO_OVERHEAD", "Overhead", "spent"]

_FADED = 745.0
"""exp(-x) is 0 in float64 from here on."""


@np.errstate(all="ignore")
def spent(end: Any, s: Any) -> Any:
    """Integral of exp(-s t) over 0 < t < end, for real or complex s of real part >= 0."""
    turns = np.asarray(s * end)
    short = np.abs(turns) < 1e-290
    if not np.iscomplexobj(turns):
        return np.where(short, end, -np.expm1(-turns) / np.where(short, 1.0, s))
    faded = turns.real > _FADED  # the phase may be beyond float64, and no longer counts
    turns = np.where(short | faded, 0.0, turns)
    value = np.where(faded, 1.0, -np.expm1(-turns)) / np.where(short, 1.0, s)
    return np.where(short, end, value)


class Overhead:
    """The law of the time lost at a reset that works.

    Parameters
    ----------
    value : float, array or frozen distribution of ``scipy.stats``
        A time >= 0, or a distribution on [0, inf) with a finite mean.

    Raises
    ------
    DomainError
        If a time is negative, infinite or NaN, or a distribution reaches below zero or has no
        finite mean.
    """

    def __init__(self, value: Any) -> None:
        self.fixed = not (hasattr(value, "ppf") and hasattr(value, "rvs"))
        self.law = value
        self.none = False
        """Whether no time is lost."""
        if self.fixed:
            self.mean: Real = domain.nonnegative("overhead", value)
            self.var: Real = domain.plain(np.zeros(np.shape(self.mean)))
            self.none = not np.any(self.mean)
            return
        self.mean, self.var = float(value.mean()), float(value.var())
        if value.support()[0] < 0 or not np.isfinite(self.mean):
            raise DomainError("overhead", value, "a time >= 0 or a law of such, of finite mean")

    def lasting(self, s: Any) -> Any:
        """(1 - E[exp(-sC)])/s for real or complex s; the mean at s = 0.

        By 257 quantiles for a distribution: relative error below 1e-10 where its quantile function
        is smooth.
        """
        s = np.asarray(s)
        if self.fixed:
            return spent(self.mean, s)
        times, weights = self._quantiles
        shape = (-1, *(1,) * s.ndim)
        at, weight = times.reshape(shape), weights.reshape(shape)
        value = np.sum(spent(at, s) * weight, axis=0)
        return np.where(s == 0, self.mean, value)

    @property
    def _quantiles(self) -> tuple[Array, Array]:
        left, right, weights = _halves()
        times = np.where(left < 0.5, self.law.ppf(left), self.law.isf(right))
        usable = np.isfinite(times)
        return np.where(usable, times, 0.0), np.where(usable, weights, 0.0)

    def draws(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        """Independent overheads."""
        if self.fixed:
            return np.broadcast_to(self.mean, shape)
        return np.asarray(self.law.rvs(size=shape, random_state=generator), dtype=np.float64)


NO_OVERHEAD = Overhead(0.0)
"""The default."""


@lru_cache(maxsize=1)
def _halves() -> tuple[Array, Array, Array]:
    """Double-exponential nodes u on (0, 1), 1 - u without cancellation, and weights."""
    x = np.linspace(-4.5, 4.5, 257)
    g = np.pi * np.sinh(x)
    left, right = 1.0 / (1.0 + np.exp(-g)), 1.0 / (1.0 + np.exp(g))
    return left, right, (x[1] - x[0]) * np.pi * np.cosh(x) * left * right
