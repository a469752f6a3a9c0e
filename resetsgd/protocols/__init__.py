"""When it resets: protocols as frozen, validated values.

A protocol is the law of the waiting time R between resets. It never knows a process: all it asks
of a passage time is the :class:`Clocked` interface, and all it gives back is the :class:`Trial`
between two resets, from which :mod:`resetsgd.passage.restart` builds the restarted passage time.

With T the reset-free passage time, a trial ends at min(T, R), and

    success(s)  = E[exp(-s T); T < R],
    duration(s) = E[integral of exp(-s t) over 0 < t < min(T, R)].

Renewal theory then gives the Laplace transform of the restarted passage time as
1 / (1 + s M(s)) with M(s) = duration(s) / success(s), and its mean as M(0). M is a ratio of
positive quantities: nothing here subtracts nearly equal numbers.
"""

from __future__ import annotations

from resetsgd.protocols.any_law import Waiting
from resetsgd.protocols.base import Clocked, Protocol, Trial
from resetsgd.protocols.families import Gamma, Pareto, Uniform, Weibull
from resetsgd.protocols.geometric import Geometric
from resetsgd.protocols.poisson import Poisson
from resetsgd.protocols.schedule import Schedule
from resetsgd.protocols.sharp import Sharp
from resetsgd.protocols.waiting import WaitingMoments, WaitingTime

__all__ = [
    "Clocked",
    "Gamma",
    "Geometric",
    "Pareto",
    "Poisson",
    "Protocol",
    "Schedule",
    "Sharp",
    "Trial",
    "Uniform",
    "Waiting",
    "WaitingMoments",
    "WaitingTime",
    "Weibull",
]
