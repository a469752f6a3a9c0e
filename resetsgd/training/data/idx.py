"""MNIST and Fashion-MNIST from idx files, packed with gzip or not."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resetsgd.errors import CorruptData
from resetsgd.training.data.base import Dataset, parts
from resetsgd.training.data.download import download as fetch_files
from resetsgd.training.data.files import FILES, Published, content, locate

__all__ = ["fashion_mnist", "mnist", "read_idx"]

_UNSIGNED_BYTE = 8


def read_idx(path: str | Path, *, known: Published | None = None) -> npt.NDArray[np.uint8]:
    """The array in an idx file of unsigned bytes.

    Parameters
    ----------
    path : path
        The file; a name that ends in ``.gz`` is unpacked.
    known : Published, optional
        What the file must be, by its SHA-256.

    Returns
    -------
    ndarray of uint8
        Of the shape the file states.

    Raises
    ------
    CorruptData
        If the file is truncated, too long, no idx file of unsigned bytes, or not the known one; the
        text names it.

    Notes
    -----
    **Source**: LeCun, Cortes and Burges, the MNIST database: the idx file format.
    """
    path = Path(path)
    data = content(path, known)
    if len(data) < 4 or data[:3] != bytes((0, 0, _UNSIGNED_BYTE)) or not 1 <= data[3] <= 4:
        raise CorruptData(f"{path}: not an idx file of unsigned bytes")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise CorruptData(f"{path}: truncated inside its header")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", data[3], offset=4))
    total = math.prod(shape)  # of plain integers: no header overflows them
    if len(data) != start + total:
        raise CorruptData(
            f"{path}: holds {len(data) - start} bytes of data, its header says {total}"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def mnist(
    folder: str | Path | None = None,
    *,
    train: int | None = None,
    validation: int = 5000,
    test: int | None = None,
    seed: int = 0,
    verify: bool = True,
    download: bool = False,
) -> Dataset:
    """MNIST: 60,000 training and 10,000 test images of handwritten digits, 28 x 28 pixels.

    Parameters
    ----------
    folder : path, optional
        Folder that holds the four idx files, packed or not, itself or in ``mnist`` or
        ``MNIST/raw``; by default the one that the variable ``RESETSGD_DATA`` names.
    train, validation : int
        Sizes of the two parts cut from the training images; ``train`` None takes the rest.
    test : int, optional
        Number of test images; None takes all.
    seed : int
        Seed of the split.
    verify : bool
        Whether the files must be the published ones, by SHA-256. False takes any of the same form
        (KMNIST, EMNIST digits).
    download : bool
        Whether files that are absent are fetched into the folder.

    Returns
    -------
    Dataset
        With uint8 images of shape (n, 1, 28, 28).

    Raises
    ------
    DomainError
        If the folder or a file is absent, or a size is above what there is.
    CorruptData
        If a file is damaged or not the published one; the text names it.
    OutputError
        If a download cannot be written.

    Examples
    --------
    >>> from resetsgd.training.data import mnist
    >>> mnist("/nowhere")
    Traceback (most recent call last):
    resetsgd.errors.DomainError: folder = '/nowhere': must be a folder that exists
    """
    return _idx_set("mnist", folder, train, validation, test, seed, verify, download)


def fashion_mnist(
    folder: str | Path | None = None,
    *,
    train: int | None = None,
    validation: int = 5000,
    test: int | None = None,
    seed: int = 0,
    verify: bool = True,
    download: bool = False,
) -> Dataset:
    """Fashion-MNIST: 60,000 training and 10,000 test images of clothes, 28 x 28 pixels.

    Parameters
    ----------
    folder : path, optional
        Folder that holds the four idx files, packed or not, itself or in ``fashion-mnist`` or
        ``FashionMNIST/raw``; by default the one that the variable ``RESETSGD_DATA`` names.
    train, validation : int
        Sizes of the two parts cut from the training images; ``train`` None takes the rest.
    test : int, optional
        Number of test images; None takes all.
    seed : int
        Seed of the split.
    verify : bool
        Whether the files must be the published ones, by SHA-256.
    download : bool
        Whether files that are absent are fetched into the folder.

    Returns
    -------
    Dataset
        With uint8 images of shape (n, 1, 28, 28).

    Raises
    ------
    DomainError
        If the folder or a file is absent, or a size is above what there is.
    CorruptData
        If a file is damaged or not the published one; the text names it.
    OutputError
        If a download cannot be written.

    Notes
    -----
    **Source**: Xiao, Rasul and Vollgraf (2017).

    Examples
    --------
    >>> from resetsgd.training.data import fashion_mnist
    >>> fashion_mnist("/nowhere")
    Traceback (most recent call last):
    resetsgd.errors.DomainError: folder = '/nowhere': must be a folder that exists
    """
    return _idx_set("fashion-mnist", folder, train, validation, test, seed, verify, download)


_PLACES = {
    "mnist": ("mnist", "MNIST/raw", "MNIST"),
    "fashion-mnist": ("fashion-mnist", "FashionMNIST/raw", "FashionMNIST"),
}


_SOURCES = {"mnist": ("lecun1998",), "fashion-mnist": ("xiao2017",)}


def _idx_set(
    name: str,
    folder: str | Path | None,
    train: int | None,
    validation: int,
    test: int | None,
    seed: int,
    verify: bool,
    download: bool,
) -> Dataset:
    if download:
        fetch_files(name, folder)
    found: list[npt.NDArray[np.uint8]] = []
    for known in FILES[name]:
        plain = known.name.removesuffix(".gz")
        path = locate(folder, (known.name, plain), _PLACES[name])
        array = read_idx(path, known=known if verify else None)
        if array.ndim != (3 if "images" in plain else 1):
            raise CorruptData(f"{path}: holds an array of shape {array.shape}")
        if found and "labels" in plain and len(array) != len(found[-1]):
            raise CorruptData(f"{path}: {len(array)} labels for {len(found[-1])} images")
        if array.size == 0 or ("labels" in plain and array.max() > 9):
            raise CorruptData(f"{path}: labels above 9, or no image at all")
        found.append(array)
    images, labels, held_images, held_labels = found
    return parts(
        (images[:, None], labels),
        (held_images[:, None], held_labels),
        classes=10,
        train=train,
        validation=validation,
        test=test,
        seed=seed,
        sources=_SOURCES[name],
    )
