"""Training: resets, snapshots, label noise, data, and ensembles of networks.

Everything that needs PyTorch is loaded when it is first asked for; label noise and data need NumPy
only (and scikit-learn for the digits).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from resetsgd.errors import MissingExtra

if TYPE_CHECKING:
    from resetsgd.training.data import (
        Augmentation,
        Dataset,
        OnDevice,
        Split,
        cifar10,
        cifar10_pack,
        cifar10n,
        cifar100,
        cifar100n,
        digits,
        fashion_mnist,
        mnist,
    )
    from resetsgd.training.diagnostics import (
        Diagnostics,
        Instrument,
        Probe,
        diffusion_along,
        read_records,
    )
    from resetsgd.training.ensemble import Ensemble, Evaluation, FirstPassages, stack
    from resetsgd.training.evaluation import EvaluationProtocol, EvaluationReport
    from resetsgd.training.labels import (
        NoiseEstimate,
        NoiseManifest,
        asymmetric_matrix,
        asymmetric_noise,
        confident_joint,
        estimate_noise,
        human_noise,
        instance_noise,
        matrix_noise,
        pair_matrix,
        pair_noise,
        symmetric_matrix,
        symmetric_noise,
        transition_matrix,
    )
    from resetsgd.training.loop import History, Look, fit
    from resetsgd.training.network import MLP, State
    from resetsgd.training.resetter import ResetEvent, Resetter
    from resetsgd.training.snapshot import Snapshot
    from resetsgd.training.streams import coins

_HOME = {
    "Dataset": "data",
    "Split": "data",
    "digits": "data",
    "Augmentation": "data",
    "OnDevice": "data",
    "cifar10": "data",
    "cifar10_pack": "data",
    "cifar10n": "data",
    "cifar100": "data",
    "cifar100n": "data",
    "fashion_mnist": "data",
    "mnist": "data",
    "NoiseEstimate": "labels",
    "asymmetric_matrix": "labels",
    "pair_matrix": "labels",
    "symmetric_matrix": "labels",
    "asymmetric_noise": "labels",
    "confident_joint": "labels",
    "estimate_noise": "labels",
    "human_noise": "labels",
    "instance_noise": "labels",
    "matrix_noise": "labels",
    "pair_noise": "labels",
    "transition_matrix": "labels",
    "Diagnostics": "diagnostics",
    "Instrument": "diagnostics",
    "Probe": "diagnostics",
    "diffusion_along": "diagnostics",
    "read_records": "diagnostics",
    "EvaluationProtocol": "evaluation",
    "EvaluationReport": "evaluation",
    "Ensemble": "ensemble",
    "Evaluation": "ensemble",
    "FirstPassages": "ensemble",
    "stack": "ensemble",
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
    "Augmentation",
    "Dataset",
    "Diagnostics",
    "Ensemble",
    "Evaluation",
    "EvaluationProtocol",
    "EvaluationReport",
    "FirstPassages",
    "History",
    "Instrument",
    "Look",
    "NoiseEstimate",
    "NoiseManifest",
    "OnDevice",
    "Probe",
    "ResetEvent",
    "Resetter",
    "Snapshot",
    "Split",
    "State",
    "asymmetric_matrix",
    "asymmetric_noise",
    "cifar10",
    "cifar10_pack",
    "cifar10n",
    "cifar100",
    "cifar100n",
    "coins",
    "confident_joint",
    "diffusion_along",
    "digits",
    "estimate_noise",
    "fashion_mnist",
    "fit",
    "human_noise",
    "instance_noise",
    "matrix_noise",
    "mnist",
    "pair_matrix",
    "pair_noise",
    "read_records",
    "stack",
    "symmetric_matrix",
    "symmetric_noise",
    "transition_matrix",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME and name != "resets":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_HOME.get(name, name)}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("torch", "safetensors"):
            raise MissingExtra(package, "torch") from None
        raise
    return module if name == "resets" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
