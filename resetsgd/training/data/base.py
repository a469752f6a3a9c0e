"""What a data set is: images, labels, where they stand, and three parts that do not meet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.citations import bibtex
from resetsgd.errors import DomainError
from resetsgd.training.streams import Purpose, permutation

if TYPE_CHECKING:
    import torch

__all__ = ["Dataset", "Images", "Split", "parts"]

Images = npt.NDArray[np.float32] | npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels; the arrays are read-only.

    Parameters
    ----------
    images : ndarray of float32, shape (n, features), or of uint8
        Flat images with pixels in [0, 1]; or images as they are stored, shape (n, channels, height,
        width), pixels in [0, 255].
    labels : ndarray of int64, shape (n,)
        Class of each image.
    indices : ndarray of int64, shape (n,)
        Where each image stands in the whole data set: training images first, then test images.
    """

    images: Images
    labels: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        stored = np.asarray(self.images).dtype == np.uint8
        layouts = (("images", "u1", 4) if stored else ("images", "f4", 2),)
        for name, dtype, axes in (*layouts, ("labels", "i8", 1), ("indices", "i8", 1)):
            array = np.asarray(getattr(self, name))
            if array.flags.writeable or not array.flags.owndata or array.dtype != dtype:
                array = np.array(array, dtype=dtype)  # a copy: nobody else can write to it
            if array.ndim != axes or len(array) != len(self.images):
                raise DomainError(name, array.shape, f"{axes}-dimensional, a row for each image")
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.labels)

    def with_labels(self, labels: npt.ArrayLike) -> Split:
        """The same images with other labels, noisy ones say."""
        return replace(self, labels=np.asarray(labels))

    def flat(self) -> npt.NDArray[np.float32]:
        """The images as float32 in [0, 1], shape (n, features)."""
        if self.images.dtype == np.float32:
            return self.images  # type: ignore[return-value]
        return np.divide(self.images.reshape(len(self), -1), 255.0, dtype=np.float32)

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and labels as tensors of their own."""
        import torch

        return torch.tensor(self.images), torch.tensor(self.labels)

    @property
    def sha256(self) -> str:
        """SHA-256 of shape, images, labels and indices."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        pixels = "<f4" if self.images.dtype == np.float32 else "u1"
        for array, dtype in ((self.images, pixels), (self.labels, "<i8"), (self.indices, "<i8")):
            digest.update(array.astype(dtype, copy=False).data)
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
    published : str or None
        Name of the published protocol under which the validation images are test images; see
        :class:`resetsgd.training.evaluation.EvaluationProtocol`. None, as it should be: they are
        not.
    validation_labels : {"noisy", "clean"} or None
        What the validation labels are, for reports; None if nobody said.
    sources : tuple of str
        Keys of the works that describe the images; :meth:`cite` prints them.

    Raises
    ------
    DomainError
        If parts share images, unless ``published`` says why; if a label is not a class.
    """

    train: Split
    validation: Split
    test: Split
    classes: int
    published: str | None = None
    validation_labels: str | None = None
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.validation_labels is not None:
            domain.choice("validation_labels", self.validation_labels, ("noisy", "clean"))
        for name in ("train", "validation", "test"):
            labels = getattr(self, name).labels
            if labels.size and (labels.min() < 0 or labels.max() >= self.classes):
                raise DomainError(f"{name}.labels", labels, f"classes in [0, {self.classes - 1}]")
        pairs = [(self.train, "train", self.validation), (self.train, "train", self.test)]
        if self.published is None:
            pairs.append((self.validation, "validation", self.test))
        for one, name, other in pairs:
            shared = np.intersect1d(one.indices, other.indices)
            if shared.size:
                raise DomainError(
                    f"{name}.indices",
                    shared[:3].tolist(),
                    "disjoint from the other parts: images that choose or train must not report",
                )

    @property
    def sha256(self) -> str:
        """SHA-256 of the three parts."""
        whole = self.train.sha256 + self.validation.sha256 + self.test.sha256
        return hashlib.sha256(f"{self.classes}:{whole}".encode()).hexdigest()

    def flat(self) -> Dataset:
        """The same parts with flat float32 images in [0, 1], as a multilayer perceptron takes."""
        train, validation, test = (
            replace(part, images=part.flat()) for part in (self.train, self.validation, self.test)
        )
        return replace(self, train=train, validation=validation, test=test)

    def cite(self) -> str:
        """BibTeX of the works that describe the images; empty where there is none to cite."""
        return bibtex(self.sources)

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel of the training images, pixels in [0, 1].

        Flat images have one channel of mean 0 and standard deviation 1: they are taken as they are.
        """
        images = self.train.images
        if images.dtype != np.uint8:
            return (0.0,), (1.0,)
        means, deviations = [], []
        for channel in range(images.shape[1]):
            counts = np.bincount(images[:, channel].ravel(), minlength=256)
            levels = np.arange(256) / 255.0
            mean = float(counts @ levels / counts.sum())
            variance = float(counts @ (levels - mean) ** 2 / counts.sum())
            means.append(mean)
            deviations.append(variance**0.5 or 1.0)  # one grey everywhere: only centred
        return tuple(means), tuple(deviations)


def parts(
    training: tuple[Images, npt.NDArray[Any]],
    testing: tuple[Images, npt.NDArray[Any]],
    *,
    classes: int,
    train: int | None,
    validation: int,
    test: int | None,
    seed: int,
    sources: tuple[str, ...] = (),
) -> Dataset:
    """A data set out of published training and test images.

    Parameters
    ----------
    training, testing : tuple of ndarray
        Images and labels.
    classes : int
        Number of classes.
    train, validation : int
        Sizes of the two parts cut from the training images; ``train`` None takes the rest.
    test : int, optional
        Number of test images; None takes all, in their order.
    seed : int
        Seed of the split. One random order of the training images is cut into validation, then
        train: a larger training set keeps the validation set.
    sources : tuple of str
        Keys of the works that describe the images, in ``resetsgd.citations``.

    Returns
    -------
    Dataset
        With test indices that follow on those of the training images.

    Raises
    ------
    DomainError
        For a size below one or above what there is.

    Examples
    --------
    >>> images, labels = np.zeros((6, 1, 2, 2), np.uint8), np.arange(6) % 2
    >>> whole = parts((images, labels), (images, labels), classes=2,
    ...               train=None, validation=2, test=None, seed=0)
    >>> len(whole.train), len(whole.validation), whole.test.indices.tolist()
    (4, 2, [6, 7, 8, 9, 10, 11])
    """
    images, labels = training
    held_images, held_labels = testing
    validation = domain.integer("validation", validation, 1, len(labels) - 1)
    rest = len(labels) - validation
    train = rest if train is None else domain.integer("train", train, 1, rest)
    domain.integer("seed", seed, 0, 2**64 - 1)
    order = permutation(seed, Purpose.SPLIT, len(labels))
    chosen, kept = order[validation : validation + train], order[:validation]
    if test is None:
        held = np.arange(len(held_labels))
    else:
        test = domain.integer("test", test, 1, len(held_labels))
        held = permutation(seed, Purpose.SPLIT, len(held_labels))[:test]
    return Dataset(
        train=_split(images, labels, chosen, 0),
        validation=_split(images, labels, kept, 0),
        test=_split(held_images, held_labels, held, len(labels)),
        classes=classes,
        sources=sources,
    )


def _split(
    images: Images, labels: npt.NDArray[Any], rows: npt.NDArray[np.int64], offset: int
) -> Split:
    """Some rows, in arrays nobody else holds."""
    taken = images[rows]
    taken.setflags(write=False)
    return Split(taken, labels[rows].astype(np.int64), rows + offset)
