"""Run and tumble: a constant speed whose sign flips at random times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resetsgd import domain
from resetsgd.domain import Real
from resetsgd.errors import DomainError
from resetsgd.processes.base import Process

__all__ = ["Telegraph"]


@dataclass(frozen=True, eq=False)
class Telegraph(Process):
    r"""A particle of constant speed whose direction flips at a constant rate.

    :math:`dx = \sigma(t)\,v\,dt`, where :math:`\sigma = \pm 1` changes sign at the times of a
    Poisson process of rate :math:`\gamma`: run and tumble, or noise with the correlation time
    :math:`1/2\gamma`. On long times it diffuses with :math:`D = v^2/2\gamma`.

    Parameters
    ----------
    speed : float or array
        Speed v, length/time. Positive and finite.
    flip_rate : float or array
        Rate :math:`\gamma` of changes of direction, 1/time. Positive and finite. Arrays broadcast.
    heading : {0, 1, -1} or array, default 0
        Direction of the first run: +1 toward larger x, -1 toward smaller x, 0 either with
        probability 1/2. Every reset renews it in the same way.

    Raises
    ------
    DomainError
        If a parameter is outside its range.

    Examples
    --------
    >>> Telegraph(speed=1.0, flip_rate=2.0)
    Telegraph(speed=1.0, flip_rate=2.0, heading=0.0)
    """

    speed: Real
    flip_rate: Real
    heading: Real = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "speed", domain.positive("speed", self.speed))
        object.__setattr__(self, "flip_rate", domain.positive("flip_rate", self.flip_rate))
        heading = domain.finite("heading", self.heading)
        if not np.isin(heading, (-1.0, 0.0, 1.0)).all():
            raise DomainError("heading", self.heading, "-1, 0 or 1")
        object.__setattr__(self, "heading", heading)
        domain.broadcast(speed=self.speed, flip_rate=self.flip_rate, heading=self.heading)
