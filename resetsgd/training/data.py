"""Small real data for demonstrations: images, labels, and a split fixed by its seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError, MissingExtra
from resetsgd.training.streams import Purpose, permutation

if TYPE_CHECKING:
    import torch

__all__ = ["Dataset", "Split", "digits"]

_DIGITS_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
_DIGITS = 1797


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels; the arrays are read-only.

    Parameters
    ----------
    images : ndarray of float32, shape (n, features)
        One image a row, pixels in [0, 1].
    labels : ndarray of int64, shape (n,)
        Class of each image.
    indices : ndarray of int64, shape (n,)
        Where each image stands in the whole data set.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, dtype, axes in (("images", "f4", 2), ("labels", "i8", 1), ("indices", "i8", 1)):
            array = np.array(getattr(self, name), dtype=dtype)
            if array.ndim != axes or len(array) != len(self.images):
                raise DomainError(name, array.shape, f"{axes}-dimensional, a row for each image")
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.labels)

    def with_labels(self, labels: npt.ArrayLike) -> Split:
        """The same images with other labels, noisy ones say."""
        return replace(self, labels=np.asarray(labels))

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and labels as tensors of their own."""
        import torch

        return torch.tensor(self.images), torch.tensor(self.labels)

    @property
    def sha256(self) -> str:
        """SHA-256 of shape, images, labels and indices."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        for array, dtype in ((self.images, "<f4"), (self.labels, "<i8"), (self.indices, "<i8")):
            digest.update(array.astype(dtype).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in three disjoint parts.

    Parameters
    ----------
    train, validation, test : Split
        To learn from; held out to choose by; held out to report on, never to choose by.
    classes : int
        Number of classes.
    """

    train: Split
    validation: Split
    test: Split
    classes: int

    @property
    def sha256(self) -> str:
        """SHA-256 of the three parts."""
        parts = self.train.sha256 + self.validation.sha256 + self.test.sha256
        return hashlib.sha256(f"{self.classes}:{parts}".encode()).hexdigest()


def digits(train: int = 1000, validation: int = 300, test: int = 497, *, seed: int = 0) -> Dataset:
    """The UCI handwritten digits of scikit-learn: 1,797 images of 8 x 8 pixels, ten classes.

    Parameters
    ----------
    train, validation, test : int
        Sizes of the parts; together at most 1,797. Images left over belong to no part.
    seed : int
        Seed of the split, in [0, 2**64). The split is one random order of all images, cut in the
        order test, validation, train: a larger training set keeps the other two parts.

    Returns
    -------
    Dataset
        With flat images, float32 in [0, 1] (grey levels 0..16 over 16, exact).

    Raises
    ------
    DomainError
        For a size below one or too large a sum.
    MissingExtra
        If scikit-learn is not installed.
    CorruptData
        If scikit-learn's copy is not the one known here.

    Examples
    --------
    >>> data = digits(train=1000, validation=300, test=400, seed=1)
    >>> data.train.images.shape, data.validation.labels.shape, data.classes
    ((1000, 64), (300,), 10)
    """
    sizes = {"train": train, "validation": validation, "test": test}
    sizes = {name: domain.integer(name, size, 1, _DIGITS) for name, size in sizes.items()}
    if sum(sizes.values()) > _DIGITS:
        raise DomainError(
            "train + validation + test",
            sum(sizes.values()),
            f"at most {_DIGITS}, all digits there are",
        )
    domain.integer("seed", seed, 0, 2**64 - 1)
    images, labels = _read_digits()
    order = permutation(seed, Purpose.SPLIT, _DIGITS)
    parts, start = {}, 0
    for name in ("test", "validation", "train"):
        chosen = order[start : start + sizes[name]]
        parts[name] = Split(images[chosen], labels[chosen], chosen)
        start += sizes[name]
    return Dataset(classes=10, **parts)


def _read_digits() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """All images and labels in the order of scikit-learn, verified."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtra("scikit-learn", "data") from None
    levels, labels = load_digits(return_X_y=True)
    content = levels.astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes()
    found = hashlib.sha256(content).hexdigest()
    if found != _DIGITS_SHA256:
        raise CorruptData(f"the digits of scikit-learn have SHA-256 {found[:12]}..., not the known")
    return (levels / 16).astype(np.float32), labels.astype(np.int64)
