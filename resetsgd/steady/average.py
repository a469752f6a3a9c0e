"""Long-run averages of a reset-free curve over the age of the process."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Real
from resetsgd.errors import DomainError
from resetsgd.protocols import Protocol

__all__ = ["age_average"]


def age_average(
    values: npt.ArrayLike,
    protocol: Protocol,
    *,
    times: npt.ArrayLike | None = None,
    tail: str = "refuse",
) -> Any:
    """Long-run mean of an observable under resetting, from its reset-free curve against age.

    Under resetting, what an observable averages to in the long run is the reset-free curve averaged
    over the age of the process, the time since the last reset.

    Parameters
    ----------
    values : array-like, shape (..., ages)
        The mean of the observable at each age, or one curve a run.
    protocol : Protocol
        When it resets; its parameter may be an array.
    times : array-like, shape (ages,), optional
        The ages, rising from 0. Default: 0, 1, 2, ... Values between them are interpolated.
    tail : {"refuse", "hold"}
        What to do if more than 1 % of the ages lie beyond the last time: refuse, or hold the last
        value there. A tail below 1 % is always held.

    Returns
    -------
    float or ndarray
        Shape of the protocol's parameter, followed by the leading shape of ``values``.

    Raises
    ------
    DomainError
        If shapes do not fit, times do not rise from 0, or too much weight lies beyond them.

    Notes
    -----
    The age is exponential (Poisson), uniform (Sharp) or geometric (Geometric: a look after the coin
    finds age k with probability p (1-p)^k); for any other law of waiting times R its density is
    P(R > age)/E[R].

    **Source**: M. R. Evans, S. N. Majumdar, G. Schehr, J. Phys. A 53, 193001 (2020), section 2.

    Examples
    --------
    >>> import resetsgd as rs
    >>> age_average([1.0, 0.0, 0.0, 0.0], rs.Geometric(probability=0.75), tail="hold")
    0.75
    """
    curve = np.atleast_1d(np.asarray(domain.finite("values", values)))
    count = curve.shape[-1]
    ages = np.arange(count, dtype=np.float64) if times is None else np.asarray(times, np.float64)
    ages = np.asarray(domain.finite("times", ages))
    if ages.shape != (count,):
        raise DomainError("times", ages.shape, f"of shape ({count},), as the last axis of values")
    if count < 2 or ages[0] != 0 or not np.all(np.diff(ages) > 0):
        raise DomainError("times", ages, "at least two ages rising from 0")
    domain.choice("tail", tail, ("refuse", "hold"))
    weights, rest = protocol.age_weights(ages)
    worst = float(np.max(rest))
    if worst > 0.01 and tail == "refuse":
        raise DomainError(
            "times",
            f"up to {ages[-1]:g}",
            f"longer: {worst:.1%} of the ages lie beyond (or say tail='hold')",
        )
    value = np.tensordot(weights, curve, axes=([-1], [-1]))
    value = value + np.multiply.outer(rest, curve[..., -1])
    result: Real = domain.plain(value)
    return result
