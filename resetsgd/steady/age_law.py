"""From a protocol to the law of the age."""

from __future__ import annotations

import numpy as np

from resetsgd.errors import DomainError
from resetsgd.protocols import Geometric, Poisson, Protocol, Sharp, WaitingTime
from resetsgd.steady.ages import Ages, LatticeAges, PoissonAges, UniformAges
from resetsgd.steady.waiting_ages import WaitingAges

__all__ = ["ages_of"]


def ages_of(protocol: Protocol) -> Ages:
    """The law of the age in the long run.

    Parameters
    ----------
    protocol : Protocol
        Without overhead.
    """
    overhead = getattr(protocol, "overhead", 0.0)
    if not isinstance(overhead, (int, float, np.ndarray)) or np.any(np.asarray(overhead) != 0):
        raise DomainError("protocol", protocol, "without overhead: it does not say where time goes")
    if isinstance(protocol, Poisson):
        return PoissonAges(protocol.rate)
    if isinstance(protocol, Sharp):
        return UniformAges(protocol.period)
    if isinstance(protocol, Geometric):
        return LatticeAges(protocol.probability, protocol.step, int(protocol.look_first))
    if isinstance(protocol, WaitingTime):
        return WaitingAges(protocol)
    raise DomainError("protocol", protocol, "Poisson, Sharp, Geometric or a law of waiting times")
