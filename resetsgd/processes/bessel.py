"""The distance of a diffusing particle from a point, in any number of dimensions."""

from __future__ import annotations

from dataclasses import dataclass

from resetsgd import domain
from resetsgd.domain import Real
from resetsgd.processes.base import Process

__all__ = ["Bessel"]


@dataclass(frozen=True, eq=False)
class Bessel(Process):
    r"""Radius of Brownian motion in d dimensions, :math:`dr = (d-1) D/r\,dt + \sqrt{2D}\,dW`.

    For any real d it is also diffusion in the logarithmic potential :math:`U_0 \ln r` at
    temperature 1/beta, with :math:`d = 1 - \beta U_0`.

    Parameters
    ----------
    dimension : float or array
        Dimension d. Finite; need not be whole. At or below zero the origin is reached and never
        left, so that only targets approached from outside (or the origin itself) are admitted; from
        2 on the origin is never reached.
    diffusivity : float or array
        Diffusivity :math:`D` of each coordinate, length²/time. Positive and finite. Arrays
        broadcast.

    Raises
    ------
    DomainError
        If a parameter is not finite or the diffusivity is not positive.

    Examples
    --------
    >>> Bessel(dimension=3, diffusivity=1.0)
    Bessel(dimension=3.0, diffusivity=1.0)
    """

    dimension: Real
    diffusivity: Real

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", domain.finite("dimension", self.dimension))
        object.__setattr__(self, "diffusivity", domain.positive("diffusivity", self.diffusivity))
        domain.broadcast(dimension=self.dimension, diffusivity=self.diffusivity)
