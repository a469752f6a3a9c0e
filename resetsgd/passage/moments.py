"""Moments from cumulants, and a coefficient of variation that outlives the variance."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from resetsgd.errors import NotConverged

__all__ = ["coefficient_of_variation", "raw_moments", "relative_variance"]

_POINTS, _CIRCLES = 48, 24


def raw_moments(mean: Any, var: Any, cumulants: list[Any]) -> list[Any]:
    """Moments E[T^k], k from 0 to the number of cumulants less one; ``inf`` where infinite.

    The first two cumulants are not used: mean and variance are at hand.
    """
    ones = np.ones_like(mean * var)
    raw = [ones, mean * ones, np.where(np.isinf(mean), np.inf, var + mean * mean)]
    for m in range(3, len(cumulants)):
        terms = (math.comb(m - 1, k - 1) * cumulants[k] * raw[m - k] for k in range(1, m + 1))
        value = sum(terms)
        raw.append(np.where(np.isinf(raw[m - 1]) | np.isnan(value), np.inf, value))
    return raw


def relative_variance(log_laplace: Callable[[Any], Any], mean: Any) -> Any:
    """Variance over squared mean, also where the two leave float64; NaN where it is not resolved.

    The second Cauchy integral of log_laplace over circles of falling radius around 0, in units of
    the mean, until two agree to 1e-9.
    """
    angle = (np.arange(_POINTS) + 0.5) / _POINTS
    turn = np.exp(2j * np.pi * angle).reshape(-1, *(1,) * np.ndim(mean))
    result, last = np.full(np.shape(mean), np.nan), np.full(np.shape(mean), np.nan)
    for step in range(1, _CIRCLES):
        radius = 0.5**step
        values = log_laplace(radius / mean * turn)
        found = 2.0 * np.mean(values * turn**-2, axis=0).real / radius**2
        agree = np.isnan(result) & (np.abs(found - last) <= 1e-9 * np.abs(found))
        result, last = np.where(agree, found, result), found
        if not np.isnan(result).any():
            break
    return result


def coefficient_of_variation(mean: Any, std: Any, log_laplace: Callable[[Any], Any]) -> Any:
    """std/mean, from the transform where the variance has left float64; ``inf`` as the mean is.

    Raises
    ------
    NotConverged
        If the mean is zero in float64, or the ratio below what float64 tells from zero.
    """
    if np.any(mean < np.finfo(np.float64).tiny):
        raise NotConverged("cv: the mean is zero in float64, or too small to be divided by")
    infinite = np.isinf(mean)
    value = np.where(infinite, np.inf, std / np.where(infinite, 1.0, mean))
    lost = ~infinite & (((std == 0) & (mean < 1e-140)) | (np.isinf(std) & (mean > 1e140)))
    if not np.any(lost):
        return value
    try:
        square = relative_variance(log_laplace, np.where(lost, mean, 1.0))
    except NotConverged:  # the ratio may overflow as the variance does
        square = np.full(np.shape(mean), np.nan)
    if np.any(lost & (std == 0) & np.isnan(square)):
        raise NotConverged("cv: the variance is below float64")
    return np.where(lost & (square >= 0), np.sqrt(np.maximum(square, 0.0)), value)
