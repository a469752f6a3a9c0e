"""Sums over a measured sample: moments, the Kaplan–Meier masses, a trial against coins."""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.protocols.base import spent

__all__ = ["ROUND", "Coins", "Period", "average", "kaplan_meier", "spent", "squares"]

ROUND = 4.0 * np.finfo(np.float64).eps
"""Relative distance to a coin at which a time is at the coin."""
_ENDLESS = 1e18
"""More steps than any trial lasts."""
_AT_ONCE = 2**16
"""Entries of the longest intermediate array."""


def kaplan_meier(arrivals: Array, losses: Array) -> tuple[Array, Array]:
    """Mass at each time and what is left after it, from counts along the last axis.

    Until the first loss the masses are arrivals/runs, exact to one rounding.

    **Source**: E. L. Kaplan and P. Meier, J. Am. Stat. Assoc. 53, 457 (1958).
    """
    at_risk = np.cumsum((arrivals + losses)[..., ::-1], axis=-1)[..., ::-1]
    runs = at_risk[..., :1]
    hazard = arrivals / np.maximum(at_risk, 1.0)
    complete = np.cumsum(losses, axis=-1) - losses == 0
    left = (runs - np.cumsum(np.where(complete, arrivals, 0.0), axis=-1)) / runs
    stay = left * np.cumprod(np.where(complete, 1.0, 1.0 - hazard), axis=-1)
    before = np.concatenate([np.ones_like(left[..., :1]), stay[..., :-1]], axis=-1)
    return np.where(complete, arrivals / runs, before * hazard), stay


def average(x: Array) -> float:
    """The mean, also where the sum overflows."""
    with np.errstate(over="ignore"):
        mean = float(x.mean())
    return mean if np.isfinite(mean) else float((x / x.size).sum())


def squares(x: Array) -> float:
    """Sum of the squared deviations from the mean, without an array as long as x."""
    mean = average(x)
    with np.errstate(over="ignore"):
        parts = (x[at : at + _AT_ONCE] - mean for at in range(0, x.size, _AT_ONCE))
        return sum(float(np.square(part).sum()) for part in parts)


class Period:
    """Success and duration of a trial of known length within a fixed period; see :class:`Coins`."""

    def __init__(self, period: Array, s: Array) -> None:
        self.period, self.s = period, s

    def success(self, at: Any, i: Any) -> Any:
        """E[exp(-s T); T < period] for T = at."""
        return np.where(at < self.period[i], np.exp(-self.s[i] * at), 0.0)

    def duration(self, at: Any, i: Any) -> Any:
        """Integral of exp(-s t) over the trial for T = at."""
        return spent(np.minimum(at, self.period[i]), self.s[i])


class Coins:
    """Success and duration of a trial of known length against coins at multiples of a step.

    Parameters
    ----------
    keep : ndarray, shape (parameters,)
        Logarithm of the probability that a coin does not reset; -inf if it always does.
    step, s : ndarray, shape (parameters,)
        Time between coins; transform variable.
    look_first : bool
        Whether an arrival at the time of a coin comes before the coin.

    Notes
    -----
    Methods take the times and the indices of the parameters; the two broadcast.
    """

    def __init__(self, keep: Array, step: Array, s: Array, look_first: bool) -> None:
        self.keep, self.step, self.s, self.look_first = keep, step, s, look_first

    def _power(self, exponent: Any, i: Any) -> Any:
        """keep^exponent with 0^0 = 1."""
        never = np.isneginf(np.real(self.keep[i]))
        value = np.exp(np.where(never, -1.0, self.keep[i]) * exponent)
        return np.where(never, np.where(exponent == 0, 1.0, 0.0), value)

    def _tossed(self, at: Any, i: Any, counted: bool) -> Any:
        """Coins tossed by a time; one at the time itself counts if ``counted``."""
        ratio = at / self.step[i]
        if counted:
            return np.floor(ratio * (1.0 + ROUND))
        return np.maximum(np.ceil(ratio * (1.0 - ROUND)) - 1.0, 0.0)

    def success(self, at: Any, i: Any) -> Any:
        """E[exp(-s T); no reset before T] for T = at."""
        return self._power(self._tossed(at, i, not self.look_first), i) * np.exp(-self.s[i] * at)

    def _whole(self, k: Any, i: Any) -> Any:
        """Duration of k whole steps, each lived through if no coin before it reset."""
        w = self.s[i] * self.step[i]
        safe = np.where(w == 0, 1.0, w)
        one = np.where(w == 0, 1.0, -np.expm1(-safe) / safe)
        x = self.keep[i] - w
        stays, never = x == 0, np.isneginf(np.real(self.keep[i]))
        x = np.where(stays | never, -1.0, x)
        ratio = np.where(never, np.where(k > 0, 1.0, 0.0), np.expm1(x * k) / np.expm1(x))
        return self.step[i] * one * np.where(stays, k, ratio)

    def duration(self, at: Any, i: Any) -> Any:
        """E[integral of exp(-s t) over the trial] for T = at."""
        k, s = self._tossed(at, i, True), self.s[i]
        part = spent(np.maximum(at - k * self.step[i], 0.0), s)
        return self._whole(k, i) + self._power(k, i) * np.exp(-s * k * self.step[i]) * part

    def endless(self, i: Any) -> Any:
        """The same for T that never comes."""
        return self._whole(np.float64(_ENDLESS), i)
