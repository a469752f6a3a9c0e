"""Many replicas of one network trained together, each with its own mini-batch noise.

A module becomes a *stack*: its layers act on K replicas at once, with parameters, momentum and
statistics in one block of memory. An *ensemble* divides replicas into shards, draws their batches
and coins, and trains, resets and evaluates them; *first passages* runs them until they reach a
level.
"""

from resetsgd.training.ensemble.ensemble import Ensemble, Evaluation
from resetsgd.training.ensemble.passages import FirstPassages
from resetsgd.training.ensemble.stacked import Stack, stack

__all__ = ["Ensemble", "Evaluation", "FirstPassages", "Stack", "stack"]
