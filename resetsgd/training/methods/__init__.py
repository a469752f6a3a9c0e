"""Methods for training on noisy labels: small step objects that fit any loop, and resetting.

A method is made of models, optimizers and a per-sample loss, and called as
``method.step(images, labels, index)``; ``get`` and ``make`` know it by name, installed plug-ins
(entry points of the group ``resetsgd.methods``) included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from resetsgd.training.methods.joint import JoCoR
from resetsgd.training.methods.keeping import EarlyStopping, WeightAverage, ema, swa, warm_restarts
from resetsgd.training.methods.layerwise import Blocks, LayerwiseReinit
from resetsgd.training.methods.pairs import CoTeaching, CoTeachingPlus, Decoupling
from resetsgd.training.methods.quiet import advance, quieted
from resetsgd.training.methods.report import StepReport
from resetsgd.training.methods.sam import SAM
from resetsgd.training.methods.selection import KeptShare
from resetsgd.training.methods.single import (
    FreshFlips,
    Mixup,
    RHOLoss,
    Supervised,
    irreducible_losses,
)
from resetsgd.training.registry import Registry

__all__ = [
    "SAM",
    "Blocks",
    "CoTeaching",
    "CoTeachingPlus",
    "Decoupling",
    "EarlyStopping",
    "FreshFlips",
    "JoCoR",
    "KeptShare",
    "LayerwiseReinit",
    "Mixup",
    "RHOLoss",
    "StepReport",
    "Supervised",
    "WeightAverage",
    "add",
    "advance",
    "ema",
    "get",
    "irreducible_losses",
    "make",
    "names",
    "quieted",
    "swa",
    "warm_restarts",
]

_REGISTRY = Registry("resetsgd.methods", "method")
_BUILT_IN: dict[str, Callable[..., Any]] = {
    "supervised": Supervised,
    "mixup": Mixup,
    "label_noise": FreshFlips,
    "sam": SAM,
    "co_teaching": CoTeaching,
    "co_teaching_plus": CoTeachingPlus,
    "decoupling": Decoupling,
    "jocor": JoCoR,
    "rho_loss": RHOLoss,
    "early_stopping": EarlyStopping,
    "ema": ema,
    "swa": swa,
    "warm_restarts": warm_restarts,
    "layerwise": LayerwiseReinit,
}
for _name, _factory in _BUILT_IN.items():
    _REGISTRY.add(_name, _factory)

add, get, make, names = _REGISTRY.add, _REGISTRY.get, _REGISTRY.make, _REGISTRY.names
