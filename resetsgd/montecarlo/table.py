"""What can be simulated: one row for each process.

A row turns the user's objects into a :class:`~resetsgd.montecarlo.tasks.Motion`: the schemes it
offers, the step it takes, and a kernel ready to run. Protocols have their rows in
:mod:`resetsgd.montecarlo.clock`. Any process runs under any protocol, so a new one of either is one
new row and its motion or clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from resetsgd.errors import DomainError
from resetsgd.montecarlo.motions import events, line
from resetsgd.montecarlo.motions.drift_diffusion import drift_diffusion
from resetsgd.montecarlo.motions.landscape import landscape
from resetsgd.montecarlo.motions.langevin import SpacePlaces, langevin
from resetsgd.montecarlo.motions.noises import driven
from resetsgd.montecarlo.motions.places import Places
from resetsgd.montecarlo.motions.spheres import bessel
from resetsgd.montecarlo.motions.trapped import ornstein_uhlenbeck
from resetsgd.montecarlo.tasks import Motion
from resetsgd.processes import (
    Bessel,
    ColouredNoise,
    DriftDiffusion,
    Landscape,
    LinearTrap,
    OrnsteinUhlenbeck,
    QuadraticSGD,
    RandomWalk,
    StableNoise,
    Telegraph,
)
from resetsgd.processes.langevin import Langevin

__all__ = ["PROCESSES", "motion_of"]

PROCESSES: dict[type, Callable[[Any, Any], Motion]] = {
    DriftDiffusion: drift_diffusion,
    Landscape: landscape,
    OrnsteinUhlenbeck: ornstein_uhlenbeck,
    LinearTrap: line.linear_trap,
    Bessel: bessel,
    Telegraph: events.telegraph,
    RandomWalk: events.random_walk,
    QuadraticSGD: events.quadratic_sgd,
    Langevin: langevin,
    ColouredNoise: driven,
    StableNoise: driven,
}
"""Process -> the motion it makes between its places."""


def motion_of(process: object, places: Places | SpacePlaces) -> Motion:
    """The motion of a process, ready between a start and a target."""
    row = PROCESSES.get(type(process))
    if row is None:
        known = ", ".join(kind.__name__ for kind in PROCESSES)
        raise DomainError("process", process, f"one of {known}")
    return row(process, places)
