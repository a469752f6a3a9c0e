"""From a protocol to the law of the age."""

from __future__ import annotations

from resetsgd.errors import DomainError
from resetsgd.protocols import Geometric, Poisson, Protocol, Schedule, Sharp, WaitingTime
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
    if not protocol.lost.none:
        raise DomainError("protocol", protocol, "without overhead: it does not say where time goes")
    if isinstance(protocol, Poisson):
        return PoissonAges(protocol.working_rate)
    if isinstance(protocol, Sharp):
        return UniformAges(protocol.period)
    if isinstance(protocol, Geometric):
        return LatticeAges(protocol.working_probability, protocol.step, int(protocol.look_first))
    if isinstance(protocol, Schedule) and protocol.running:
        raise DomainError("protocol", protocol, "of clock 'age': else there is no long-run age")
    if isinstance(protocol, WaitingTime):
        return WaitingAges(protocol)
    raise DomainError("protocol", protocol, "Poisson, Sharp, Geometric or a law of waiting times")
