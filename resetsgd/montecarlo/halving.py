"""How far the time step is off: the same simulation with half of it, or with a coarser one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

from resetsgd.domain import Array
from resetsgd.errors import DomainError, NotConverged, ResetSGDWarning
from resetsgd.montecarlo.tasks import Paths
from resetsgd.passage.sums import squares

__all__ = ["ENOUGH", "bias_by_coarsening", "bias_by_halving", "mean_and_error", "warn_of_bias"]

ENOUGH = 100_000
"""Paths from which the bias of the default step is looked at: before, chance hides it."""

TOLERATED = 0.25
"""Of the standard error."""

CERTAIN = 4.0
"""Standard errors of the bias beyond which it is told from chance."""


def mean_and_error(times: Array) -> tuple[float, float]:
    """Mean of the times and its standard error, without arrays as long as theirs."""
    return float(times.mean()), math.sqrt(squares(times)) / times.size


def bias_by_halving(
    done: Paths, step: float | None, horizon: float, again: Callable[[float], tuple[float, float]]
) -> float:
    """Bound on the error of the (restricted) mean that the time step makes.

    Parameters
    ----------
    done : Paths
        The simulation with the step.
    step : float or None
        None for schemes without steps, whose bound is 0.
    horizon : float
        Of both, may be infinite.
    again : callable
        Mean and standard error of the same simulation with the step that it is given.

    Returns
    -------
    float
        Twice the difference of the two means, which for an error of order one is the error itself
        (and more than it for higher orders), plus three standard errors of that. The two use the
        same streams but are not the same paths: halving the step pairs the noise otherwise.
    """
    if step is None:
        return 0.0
    mean, error = mean_and_error(done.times)
    other, more = again(0.5 * step)
    return 2.0 * (abs(mean - other) + 3.0 * math.hypot(error, more))


def bias_by_coarsening(
    done: tuple[float, float],
    step: float,
    coarse: float,
    order: float,
    again: Callable[[float], tuple[float, float]],
) -> tuple[float, float] | None:
    """Estimate of the error of the (restricted) mean that the time step makes.

    Parameters
    ----------
    done : tuple of float
        Mean and standard error of the simulation with the step.
    step, coarse : float
        The step, and the longer one to compare with.
    order : float
        Weak order of the scheme.
    again : callable
        Mean and standard error of the same simulation with the step that it is given.

    Returns
    -------
    bias : float
        Mean minus what it would be with infinitely short steps, if the error falls with the step
        as the order says.
    stderr : float
        Its standard error. ``None`` instead of both if paths leave the finite numbers with the
        coarser step.

    Notes
    -----
    With eight times the step and order two, the difference of the means is 63 times the bias, so
    that it is known to 0.02 standard errors of the mean for an eighth of the steps.
    """
    try:
        other = again(coarse)
    except (DomainError, NotConverged):
        return None
    larger = (coarse / step) ** order - 1.0
    return (other[0] - done[0]) / larger, math.hypot(done[1], other[1]) / larger


def warn_of_bias(bias: float, stderr: float, error: float, step: float) -> None:
    """Say so if the bias, known to ``stderr``, is beyond a quarter of the mean's ``error``."""
    if abs(bias) <= TOLERATED * error or abs(bias) <= CERTAIN * stderr:
        return
    warnings.warn(
        f"the time step {step:.3g} shifts the mean by about {bias:.2g}, which is"
        f" {abs(bias) / error:.2g} of its standard error {error:.2g}: give a shorter step=,"
        ' or bias="halving" for a bound of the shift',
        ResetSGDWarning,
        stacklevel=4,
    )
