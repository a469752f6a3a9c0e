"""What moves: stochastic processes as frozen, validated values, one file each.

A process knows its parameters and nothing else: passage times, simulations and formulas are made
*from* it elsewhere.
"""

from resetsgd.processes.base import Process
from resetsgd.processes.drift_diffusion import DriftDiffusion

__all__ = ["DriftDiffusion", "Process"]
