"""A diffusing particle in a quadratic bowl."""

from __future__ import annotations

from dataclasses import dataclass

from resetsgd import domain
from resetsgd.domain import Real
from resetsgd.processes.base import Process

__all__ = ["OrnsteinUhlenbeck"]


@dataclass(frozen=True, eq=False)
class OrnsteinUhlenbeck(Process):
    r"""Ornstein–Uhlenbeck process, :math:`dx = -k (x - c)\,dt + \sqrt{2D}\,dW` (Ito).

    Stochastic gradient descent in a quadratic bowl, in the limit of a small learning rate.

    Parameters
    ----------
    stiffness : float or array
        Stiffness :math:`k`, 1/time: curvature of the loss. Positive and finite.
    center : float or array
        Center :math:`c` of the bowl, length. Finite.
    diffusivity : float or array
        Diffusivity :math:`D`, length²/time. Positive and finite. Arrays broadcast.

    Raises
    ------
    DomainError
        If a parameter is not finite, or stiffness or diffusivity is not positive.

    Examples
    --------
    >>> OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=0.5)
    OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=0.5)
    """

    stiffness: Real
    center: Real
    diffusivity: Real

    def __post_init__(self) -> None:
        object.__setattr__(self, "stiffness", domain.positive("stiffness", self.stiffness))
        object.__setattr__(self, "center", domain.finite("center", self.center))
        object.__setattr__(self, "diffusivity", domain.positive("diffusivity", self.diffusivity))
        domain.broadcast(stiffness=self.stiffness, center=self.center, diffusivity=self.diffusivity)
