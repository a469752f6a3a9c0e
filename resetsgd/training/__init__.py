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
    from resetsgd.training.network import MLP, State
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
    "coins": "streams",
}

__all__ = [
    "MLP",
    "Dataset",
    "Ensemble",
    "Evaluation",
    "NoiseManifest",
    "Split",
    "State",
    "coins",
    "digits",
    "symmetric_noise",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_HOME[name]}")
    except ModuleNotFoundError as error:
        if error.name in ("torch", "safetensors"):
            raise MissingExtra(error.name, "torch") from None
        raise
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
