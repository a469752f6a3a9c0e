"""Training: resets, snapshots, label noise, data, and ensembles of networks.

Everything that needs PyTorch is loaded when it is first asked for; label noise and data need NumPy
only (and scikit-learn for the digits).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from resetsgd.errors import MissingExtra

if TYPE_CHECKING:
    from resetsgd.training.data import Dataset, Split, digits
    from resetsgd.training.ensemble import Ensemble, Evaluation
    from resetsgd.training.labels import NoiseManifest, symmetric_noise
    from resetsgd.training.loop import History, Look, fit
    from resetsgd.training.network import MLP, State
    from resetsgd.training.resetter import ResetEvent, Resetter
    from resetsgd.training.snapshot import Snapshot
    from resetsgd.training.streams import coins

_HOME = {
    "Dataset": "data",
    "Split": "data",
    "digits": "data",
    "Ensemble": "ensemble",
    "Evaluation": "ensemble",
    "NoiseManifest": "labels",
    "symmetric_noise": "labels",
    "MLP": "network",
    "State": "network",
    "History": "loop",
    "Look": "loop",
    "fit": "loop",
    "ResetEvent": "resetter",
    "Resetter": "resetter",
    "Snapshot": "snapshot",
    "coins": "streams",
}

__all__ = [
    "MLP",
    "Dataset",
    "Ensemble",
    "Evaluation",
    "History",
    "Look",
    "NoiseManifest",
    "ResetEvent",
    "Resetter",
    "Snapshot",
    "Split",
    "State",
    "coins",
    "digits",
    "fit",
    "symmetric_noise",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_HOME[name]}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("torch", "safetensors"):
            raise MissingExtra(package, "torch") from None
        raise
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
