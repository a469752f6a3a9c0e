"""Diffusion in a potential with a kink, mu = -slope sign(x)."""

from __future__ import annotations

from dataclasses import dataclass

from resetsgd import domain
from resetsgd.domain import Real
from resetsgd.processes.base import Process

__all__ = ["LinearTrap"]


@dataclass(frozen=True, eq=False)
class LinearTrap(Process):
    r"""Diffusion pulled to a kink at 0 by a constant force.

    :math:`dx = -\lambda\,\mathrm{sign}(x)\,dt + \sqrt{2D}\,dW` (Ito), the potential
    :math:`\lambda |x|`.

    Parameters
    ----------
    slope : float or array
        Slope :math:`\lambda` of the potential, length/time: the drift velocity toward the kink.
        Finite; zero is free diffusion, negative repels from the kink.
    diffusivity : float or array
        Diffusivity :math:`D`, length²/time. Positive and finite. Arrays broadcast.

    Raises
    ------
    DomainError
        If a parameter is not finite or the diffusivity is not positive.

    Examples
    --------
    >>> LinearTrap(slope=1.0, diffusivity=0.5)
    LinearTrap(slope=1.0, diffusivity=0.5)
    """

    slope: Real
    diffusivity: Real

    def __post_init__(self) -> None:
        object.__setattr__(self, "slope", domain.finite("slope", self.slope))
        object.__setattr__(self, "diffusivity", domain.positive("diffusivity", self.diffusivity))
        domain.broadcast(slope=self.slope, diffusivity=self.diffusivity)
