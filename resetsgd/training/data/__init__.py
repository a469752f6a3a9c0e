"""Image data sets without torchvision: read from a folder or a pinned download, and verified.

NumPy only, until tensors are asked for; the digits need scikit-learn, the CIFAR-10 pack Pillow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from resetsgd.training.data.base import Dataset, Split, parts
from resetsgd.training.data.cifar import cifar10, cifar100, read_cifar
from resetsgd.training.data.download import download, fetch
from resetsgd.training.data.handwritten import digits
from resetsgd.training.data.human import cifar10n, cifar100n
from resetsgd.training.data.idx import fashion_mnist, mnist, read_idx
from resetsgd.training.data.pack import cifar10_pack

if TYPE_CHECKING:
    from resetsgd.training.data.device import Augmentation, OnDevice

__all__ = [
    "Augmentation",
    "Dataset",
    "OnDevice",
    "Split",
    "cifar10",
    "cifar10_pack",
    "cifar10n",
    "cifar100",
    "cifar100n",
    "digits",
    "download",
    "fashion_mnist",
    "fetch",
    "mnist",
    "parts",
    "read_cifar",
    "read_idx",
]


def __getattr__(name: str) -> Any:
    if name not in ("Augmentation", "OnDevice"):  # these need torch
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.device"), name)
