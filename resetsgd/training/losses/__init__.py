"""Losses for noisy labels behind one protocol: ``loss(logits, labels, index) -> (batch,)``.

A loss is an ``nn.Module``: it moves to a device with ``.to``, what it remembers of each sample is
in its ``state_dict``, and a :class:`resetsgd.training.Snapshot` takes it along in ``also=``.
``get`` and ``make`` know them by name, installed plug-ins (entry points of the group
``resetsgd.losses``) included.
"""

from __future__ import annotations

from resetsgd.training.losses.base import SampleLoss, per_sample
from resetsgd.training.losses.bootstrapping import ForwardCorrection, HardBootstrap, SoftBootstrap
from resetsgd.training.losses.memory import EarlyLearning, TruncatedGCE
from resetsgd.training.losses.robust import (
    CrossEntropy,
    GeneralizedCrossEntropy,
    LabelSmoothing,
    MeanAbsoluteError,
    SymmetricCrossEntropy,
)
from resetsgd.training.registry import Registry

__all__ = [
    "CrossEntropy",
    "EarlyLearning",
    "ForwardCorrection",
    "GeneralizedCrossEntropy",
    "HardBootstrap",
    "LabelSmoothing",
    "MeanAbsoluteError",
    "SampleLoss",
    "SoftBootstrap",
    "SymmetricCrossEntropy",
    "TruncatedGCE",
    "add",
    "get",
    "make",
    "names",
    "per_sample",
]

_REGISTRY = Registry("resetsgd.losses", "loss")
for _name, _factory in {
    "ce": CrossEntropy,
    "mae": MeanAbsoluteError,
    "label_smoothing": LabelSmoothing,
    "gce": GeneralizedCrossEntropy,
    "truncated_gce": TruncatedGCE,
    "sce": SymmetricCrossEntropy,
    "elr": EarlyLearning,
    "soft_bootstrap": SoftBootstrap,
    "hard_bootstrap": HardBootstrap,
    "forward": ForwardCorrection,
}.items():
    _REGISTRY.add(_name, _factory)

add, get, make, names = _REGISTRY.add, _REGISTRY.get, _REGISTRY.make, _REGISTRY.names
