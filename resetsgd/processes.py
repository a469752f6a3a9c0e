"""What moves: stochastic processes as frozen, validated values.

A process knows its parameters and nothing else: passage times, simulations and formulas are made
*from* it elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from resetsgd import domain
from resetsgd.domain import Real

__all__ = ["DriftDiffusion", "Process"]


@dataclass(frozen=True, eq=False)
class Process:
    """Base of all processes; compares and hashes by parameter values, arrays included."""

    def _key(self) -> tuple[object, ...]:
        values = (np.asarray(getattr(self, field.name)) for field in fields(self))
        return (type(self), *((value.shape, value.tobytes()) for value in values))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Process) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


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
