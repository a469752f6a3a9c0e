"""What moves: stochastic processes as frozen, validated values, one file each.

A process knows its parameters and nothing else: passage times, simulations and formulas are made
*from* it elsewhere.
"""

from resetsgd.processes.base import Process
from resetsgd.processes.bessel import Bessel
from resetsgd.processes.drift_diffusion import DriftDiffusion
from resetsgd.processes.landscape import Landscape
from resetsgd.processes.langevin import Langevin
from resetsgd.processes.linear_trap import LinearTrap
from resetsgd.processes.noises import ColouredNoise, StableNoise
from resetsgd.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from resetsgd.processes.quadratic_sgd import QuadraticSGD
from resetsgd.processes.random_walk import RandomWalk
from resetsgd.processes.telegraph import Telegraph

__all__ = [
    "Bessel",
    "ColouredNoise",
    "DriftDiffusion",
    "Landscape",
    "Langevin",
    "LinearTrap",
    "OrnsteinUhlenbeck",
    "Process",
    "QuadraticSGD",
    "RandomWalk",
    "StableNoise",
    "Telegraph",
]
