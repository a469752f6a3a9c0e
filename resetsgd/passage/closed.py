"""What laws with a transform in closed form share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.domain import QUIET, Array
from resetsgd.passage.base import PassageTime

__all__ = ["Closed", "mean_of_level", "scale_of_means"]


class Closed(PassageTime):
    """A passage time whose ``_log_laplace`` is accurate to rounding at every real s."""

    @QUIET
    def mean_exponential(self, rate: Any) -> Any:
        """Mean (exp(L) - 1)/r, also where exp(L) overflows before its ratio to the rate does."""
        rate = np.asarray(rate, dtype=np.float64)
        positive = np.where(rate > 0, rate, 1.0)
        value = mean_of_level(-np.asarray(self._log_laplace(positive)), positive)
        return np.where(rate > 0, value, self.mean())


def mean_of_level(level: Any, rate: Any) -> Any:
    """(exp(level) - 1)/rate, also where exp(level) overflows."""
    half = np.exp(0.5 * level)
    return np.where(level > 700.0, half / rate * half, np.expm1(level) / rate)


def scale_of_means(law: PassageTime) -> Array | None:
    """The scale of :meth:`PassageTime.timescale` from a few means under exponential resets.

    For one law that is sure to arrive and whose means are fast; else None. The transform is
    exp(-E) with E(s) = log(1 + s M(s)) concave from 0, so that at 2^j s it is at most
    2^j E(s): steps of that size do not pass the first power of two at which E is 1.
    """
    if law.shape:
        return None
    mean = float(np.asarray(law.mean()))
    if not 1e-280 < mean < 1e280:
        return None
    power = math.floor(-math.log2(mean)) - 1
    for _ in range(60):
        level = math.log1p(2.0**power * float(law.mean_exponential(2.0**power)))
        if level >= 1.0:
            return np.asarray(2.0**-power)
        power += max(1, math.floor(-math.log2(level)))
    return None
