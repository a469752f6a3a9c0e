"""The handwritten digits that come with scikit-learn: the smallest real data, with no download."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError, MissingExtra
from resetsgd.training.data.base import Dataset, Split
from resetsgd.training.streams import Purpose, permutation

__all__ = ["digits"]

_DIGITS_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
_DIGITS = 1797


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
    >>> print(data.cite())
    @misc{alpaydin1998,
      ...
    }
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
    found: dict[str, Split] = {}
    start = 0
    for name in ("test", "validation", "train"):
        chosen = order[start : start + sizes[name]]
        found[name] = Split(images[chosen], labels[chosen], chosen)
        start += sizes[name]
    three = found["train"], found["validation"], found["test"]
    return Dataset(*three, classes=10, sources=("alpaydin1998",))


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
