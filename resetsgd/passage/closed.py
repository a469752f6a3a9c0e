"""What laws with a transform in closed form share."""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd.passage.base import QUIET, PassageTime

__all__ = ["Closed"]


class Closed(PassageTime):
    """A passage time whose ``_log_laplace`` is accurate to rounding at every real s."""

    @QUIET
    def mean_exponential(self, rate: Any) -> Any:
        """Mean (exp(L) - 1)/r, also where exp(L) overflows before its ratio to the rate does."""
        rate = np.asarray(rate, dtype=np.float64)
        positive = np.where(rate > 0, rate, 1.0)
        rise = -np.asarray(self._log_laplace(positive))
        half = np.exp(0.5 * rise)
        value = np.where(rise > 700.0, half / positive * half, np.expm1(rise) / positive)
        return np.where(rate > 0, value, self.mean())
