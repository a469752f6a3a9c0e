"""How far the time step is off: the same simulation with half of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from resetsgd.montecarlo.tasks import Paths

__all__ = ["bias_by_halving"]


def bias_by_halving(
    done: Paths, step: float | None, horizon: float, again: Callable[[float], Paths]
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
        The same simulation with the step that it is given.

    Returns
    -------
    float
        Twice the difference of the two means, which for an error of order one is the error itself
        (and more than it for higher orders), plus three standard errors of that. The two use the
        same streams but are not the same paths: halving the step pairs the noise otherwise.
    """
    if step is None:
        return 0.0
    half = again(0.5 * step)
    gap = abs(float(done.times.mean()) - float(half.times.mean()))
    spread = math.hypot(
        float(np.std(done.times)) / math.sqrt(done.times.size),
        float(np.std(half.times)) / math.sqrt(half.times.size),
    )
    return 2.0 * (gap + 3.0 * spread)
