"""Trials of known length against a waiting time of any law, for sums over arrivals."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from resetsgd.errors import NotConverged
from resetsgd.protocols.waiting import WaitingTime, area_below

__all__ = ["Waits"]


class Waits:
    """A trial of known length against a waiting time, for sums over a sample.

    Parameters
    ----------
    law : WaitingTime
        The waiting time.
    s : ndarray
        Transform variable, of the shape of the parameters.

    Notes
    -----
    Methods take the times and the indices of the parameters; the two broadcast.
    """

    def __init__(self, law: WaitingTime, s: Any) -> None:
        self.law, self.s = law, np.asarray(s)
        self.plain = not np.any(self.s != 0)

    def _part(self, i: Any) -> WaitingTime:
        if not self.law.shape:
            return self.law
        cut = {
            item.name: np.broadcast_to(value, self.s.shape).ravel()[i]
            for item in fields(self.law)
            if np.ndim(value := getattr(self.law, item.name)) > 0
        }
        return replace(self.law, **cut)

    def _spread(self, value: Any, at: Any, i: Any) -> Any:
        return np.broadcast_to(value, np.broadcast_shapes(np.shape(at), np.shape(i)))

    @np.errstate(all="ignore")
    def success(self, at: Any, i: Any) -> Any:
        """E[exp(-s T); T < R] for T = at."""
        decay = 1.0 if self.plain else np.exp(-self.s.ravel()[i] * at)
        keep = np.where(at > 0, self._part(i).waiting_survival(np.where(at > 0, at, 1.0)), 1.0)
        return self._spread(keep * decay, at, i)

    @np.errstate(all="ignore")
    def duration(self, at: Any, i: Any) -> Any:
        """E[integral of exp(-s t) over the trial] for T = at, which may be infinite."""
        law = self._part(i)
        if not (self.plain and law.waiting_early(np.ones(1), 1) is not None):
            return self._integral(at, i, 0)
        value = law.waiting_early(at, 1) + at * law.waiting_survival(at)
        value = np.where(np.isinf(at), law.waiting_mean(), value)
        return self._spread(np.where(at > 0, value, 0.0), at, i)

    def endless(self, i: Any) -> Any:
        """The same for T that never comes."""
        return self.duration(np.inf, i)

    def failed(self, at: Any, i: Any) -> Any:
        """E[R; R <= at]."""
        return self._early(at, i, 1)

    def failed_square(self, at: Any, i: Any) -> Any:
        """E[R²; R <= at]."""
        return self._early(at, i, 2)

    @np.errstate(all="ignore")
    def _early(self, at: Any, i: Any, power: int) -> Any:
        law = self._part(i)
        known = law.waiting_early(np.minimum(np.where(at > 0, at, 1.0), 1e300), power)
        if known is not None:
            return self._spread(np.where(at > 0, known, 0.0), at, i)
        late = np.where(at < np.inf, at**power * law.waiting_survival(np.minimum(at, 1e300)), 0.0)
        return np.maximum(self._integral(at, i, power - 1) - late, 0.0)

    @np.errstate(all="ignore")
    def _integral(self, at: Any, i: Any, power: int) -> Any:
        """Integral of (power + 1) t^power exp(-st) P(R > t) over (0, at), by quadrature."""
        at, i = np.broadcast_arrays(np.asarray(at, dtype=np.float64), i)
        s_at = self.s.ravel()[i]
        value = np.zeros(at.shape, dtype=np.result_type(s_at, np.float64))
        for k in np.unique(i):
            law, s, here = self._part(int(k)), self.s.ravel()[k], i == k
            marks = np.asarray(law.waiting_marks())
            marks = marks[np.isfinite(marks) & (marks > 0)]
            if not marks.size:
                raise NotConverged(f"{law!r} has no scale within float64; change the unit of time")
            grid = np.exp(np.arange(np.log(marks.min()) - 1.0, 690.0 / (power + 1), 0.5))
            size = grid ** (power + 1) * law.waiting_survival(grid) * np.exp(-np.real(s) * grid)
            ended = np.flatnonzero(size > 1e-17 * size.max())[-1]
            if ended == len(grid) - 1 and np.any(np.isinf(at[here])):
                value[here] = np.inf
                continue
            end = grid[min(ended + 1, len(grid) - 1)]
            if np.abs(np.imag(s)) * min(end, float(np.max(at[here]))) > 30.0:
                raise NotConverged(f"s = {s}: too many turns of exp(-st) within a trial")

            def tilted(t: Any, s: Any = s, law: Any = law) -> Any:
                return (power + 1) * t**power * np.exp(-s * t) * law.waiting_survival(t)

            extra = np.append(marks, 1.0 / np.real(s)) if np.real(s) > 0 else marks
            value[here] = area_below(tilted, np.minimum(at[here], end), extra)
        return value
