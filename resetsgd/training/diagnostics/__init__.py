"""Instruments that look at a training run on a schedule and at every reset, and leave no trace.

:class:`Diagnostics` drives them in any loop; :func:`measuring` hands a context to one by hand. An
instrument is a frozen value with ``measure(context)``; ``get`` and ``make`` know it by name,
installed plug-ins (entry points of the group ``resetsgd.diagnostics``) included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from resetsgd.training.diagnostics.base import MOMENTS, Context, Instrument, measuring
from resetsgd.training.diagnostics.critical import CriticalSampleRatio, critical_samples
from resetsgd.training.diagnostics.difficulty import (
    ComplexityGap,
    VarianceOfGradients,
    complexity_gap,
)
from resetsgd.training.diagnostics.gradients import (
    CleanPriority,
    GradientDecomposition,
    GradientNoise,
)
from resetsgd.training.diagnostics.influence import (
    TurnOverDropout,
    TurnOverInfluence,
    instance_masks,
    turn_over_influence,
)
from resetsgd.training.diagnostics.predictions import LabelFractions
from resetsgd.training.diagnostics.probe import Probe
from resetsgd.training.diagnostics.recorder import Diagnostics
from resetsgd.training.diagnostics.records import read_records
from resetsgd.training.diagnostics.susceptibility import Susceptibility
from resetsgd.training.diagnostics.theory import DiffusionAlong, diffusion_along, toward
from resetsgd.training.diagnostics.weights import (
    CheckpointDistance,
    LastLayerNorm,
    Slingshot,
    slingshots,
)
from resetsgd.training.registry import Registry

__all__ = [
    "MOMENTS",
    "CheckpointDistance",
    "CleanPriority",
    "ComplexityGap",
    "Context",
    "CriticalSampleRatio",
    "Diagnostics",
    "DiffusionAlong",
    "GradientDecomposition",
    "GradientNoise",
    "Instrument",
    "LabelFractions",
    "LastLayerNorm",
    "Probe",
    "Slingshot",
    "Susceptibility",
    "TurnOverDropout",
    "TurnOverInfluence",
    "VarianceOfGradients",
    "add",
    "complexity_gap",
    "critical_samples",
    "diffusion_along",
    "get",
    "instance_masks",
    "make",
    "measuring",
    "names",
    "read_records",
    "slingshots",
    "toward",
    "turn_over_influence",
]

_REGISTRY = Registry("resetsgd.diagnostics", "instrument")
_BUILT_IN: tuple[Callable[..., Any], ...] = (
    CheckpointDistance,
    CleanPriority,
    ComplexityGap,
    CriticalSampleRatio,
    DiffusionAlong,
    GradientDecomposition,
    GradientNoise,
    LabelFractions,
    LastLayerNorm,
    Susceptibility,
    TurnOverInfluence,
    VarianceOfGradients,
)
for _factory in _BUILT_IN:
    _REGISTRY.add(_factory.name, _factory)  # type: ignore[attr-defined]

add, get, make, names = _REGISTRY.add, _REGISTRY.get, _REGISTRY.make, _REGISTRY.names
