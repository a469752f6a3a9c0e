"""Brownian motion with constant drift."""

from __future__ import annotations

from dataclasses import dataclass

from resetsgd import domain
from resetsgd.domain import Real
from resetsgd.processes.base import Process

__all__ = ["DriftDiffusion"]


@dataclass(frozen=True, eq=False)
class DriftDiffusion(Process):
    r"""Brownian motion with constant drift, :math:`dx = \mu\,dt + \sqrt{2D}\,dW` (Ito).

    Parameters
    ----------
    drift : float or array
        Drift velocity :math:`\mu`, length/time, signed: positive moves toward larger x. Finite.
    diffusivity : float or array
        Diffusivity :math:`D`, length²/time. Positive and finite. Arrays broadcast.

    Raises
    ------
    DomainError
        If a parameter is not finite or the diffusivity is not positive.

    Examples
    --------
    >>> DriftDiffusion(drift=-0.5, diffusivity=1.0)
    DriftDiffusion(drift=-0.5, diffusivity=1.0)
    """

    drift: Real
    diffusivity: Real

    def __post_init__(self) -> None:
        object.__setattr__(self, "drift", domain.finite("drift", self.drift))
        object.__setattr__(self, "diffusivity", domain.positive("diffusivity", self.diffusivity))
        domain.broadcast(drift=self.drift, diffusivity=self.diffusivity)
