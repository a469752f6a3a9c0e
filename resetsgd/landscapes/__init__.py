"""Toy landscapes by name: potentials with known minima, for passage times and simulations.

Each function returns a :class:`Toy`, which knows its potential, its gradient and its minima and
saddles, and makes a process of itself: ``toy.langevin(diffusivity=0.1)`` in any number of
dimensions, ``toy.landscape(diffusivity=0.1)`` in one, where passage times need no simulation.
Where a landscape has ``transverse`` curvatures it has that many further coordinates, each in a
parabola of its own.
"""

from resetsgd.landscapes.labels import noisy_labels
from resetsgd.landscapes.surfaces import mueller_brown, rastrigin, sharp_and_flat
from resetsgd.landscapes.toy import Toy
from resetsgd.landscapes.wells import (
    asymmetric_valley,
    double_well,
    quadratic,
    rugged_well,
    tilted_well,
)

__all__ = [
    "Toy",
    "asymmetric_valley",
    "double_well",
    "mueller_brown",
    "noisy_labels",
    "quadratic",
    "rastrigin",
    "rugged_well",
    "sharp_and_flat",
    "tilted_well",
]
