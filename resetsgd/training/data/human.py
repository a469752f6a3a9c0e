"""Labels that people gave to CIFAR images: CIFAR-10N and CIFAR-100N."""

from __future__ import annotations

import io
import pickletools
import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.errors import CorruptData
from resetsgd.training.data.files import FILES, content, locate, read_arrays

__all__ = ["cifar10n", "cifar100n"]

_IMAGES = 50_000

_TEN = {
    "clean": "clean_label",
    "aggregate": "aggre_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
    "worst": "worse_label",
}
_HUNDRED = {"clean": "clean_label", "noisy": "noisy_label"}


def cifar10n(which: str = "worst", folder: str | Path | None = None) -> npt.NDArray[np.int64]:
    """Labels of the 50,000 training images of CIFAR-10 by people.

    Parameters
    ----------
    which : {"worst", "aggregate", "random1", "random2", "random3", "clean"}
        A wrong label if any of three people gave one; the majority of the three; the labels of each
        of the three; or the official labels, to compare with.
    folder : path, optional
        Folder that holds ``CIFAR-10_human.pt``, the published file, or ``cifar10n_human.npz``, the
        same labels as plain arrays, itself or in ``cifar10n``; by default the one that the variable
        ``RESETSGD_DATA`` names.

    Returns
    -------
    ndarray of int64, shape (50000,)
        Entry i belongs to training image i. Of a split take ``cifar10n()[split.indices]``.

    Raises
    ------
    DomainError
        For an unknown word, or if the file is absent.
    CorruptData
        If the file is damaged or not the published one; the text names it.

    Notes
    -----
    The published file holds a pickle. It is not unpickled: only the file with the known SHA-256 is
    taken, and only the bytes of its arrays are read. The labels are CC BY-NC 4.0.
    **Source**: Wei, Zhu, Cheng, Liu, Niu and Liu (2022).

    Examples
    --------
    >>> from resetsgd.training.data import cifar10n
    >>> cifar10n("worst", "/nowhere")
    Traceback (most recent call last):
    resetsgd.errors.DomainError: folder = '/nowhere': must be a folder that exists
    """
    word = domain.choice("which", which, tuple(_TEN))
    names = (FILES["cifar10n"][0].name, FILES["cifar10n-pack"][0].name)
    path = locate(folder, names, ("cifar10n",))
    if path.suffix == ".pt":
        return _published(path, content(path, FILES["cifar10n"][0]), _TEN[word], 10)
    data = content(path, FILES["cifar10n-pack"][0])
    (found,) = read_arrays(path, data, ("aggre" if word == "aggregate" else word,))
    return _checked(path, found, 10)


def cifar100n(which: str = "noisy", folder: str | Path | None = None) -> npt.NDArray[np.int64]:
    """Labels of the 50,000 training images of CIFAR-100 by people.

    Parameters
    ----------
    which : {"noisy", "clean"}
        The labels of people, or the official ones to compare with.
    folder : path, optional
        Folder that holds ``CIFAR-100_human.pt``, the published file, itself or in ``cifar100n``; by
        default the one that the variable ``RESETSGD_DATA`` names.

    Returns
    -------
    ndarray of int64, shape (50000,)
        Entry i belongs to training image i.

    Raises
    ------
    DomainError
        For an unknown word, or if the file is absent.
    CorruptData
        If the file is damaged or not the published one; the text names it.

    Notes
    -----
    As :func:`cifar10n`.

    Examples
    --------
    >>> from resetsgd.training.data import cifar100n
    >>> cifar100n("noisy", "/nowhere")
    Traceback (most recent call last):
    resetsgd.errors.DomainError: folder = '/nowhere': must be a folder that exists
    """
    word = domain.choice("which", which, tuple(_HUNDRED))
    known = FILES["cifar100n"][0]
    path = locate(folder, (known.name,), ("cifar100n",))
    return _published(path, content(path, known), _HUNDRED[word], 100)


def _published(path: Path, data: bytes, name: str, classes: int) -> npt.NDArray[np.int64]:
    """One array of the published file, whose bytes stand behind its name as text.

    The opcodes are only listed, none is carried out.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            (member,) = (m for m in archive.namelist() if m.endswith("/data.pkl"))
            listing = pickletools.genops(archive.read(member))
            wanted = False
            for opcode, text, _ in listing:
                if opcode.name != "BINUNICODE" or not isinstance(text, str):
                    continue
                if wanted and len(text) == 8 * _IMAGES:
                    return _checked(path, np.frombuffer(text.encode("latin1"), "<i8"), classes)
                wanted = wanted or text == name
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CorruptData(f"{path}: damaged: {error}") from None
    raise CorruptData(f"{path}: holds no array {name}")


def _checked(path: Path, labels: npt.NDArray[np.integer], classes: int) -> npt.NDArray[np.int64]:
    """Labels of the right number and range."""
    if labels.shape != (_IMAGES,) or labels.min() < 0 or labels.max() >= classes:
        raise CorruptData(f"{path}: labels of another number or range")
    return labels.astype(np.int64)
