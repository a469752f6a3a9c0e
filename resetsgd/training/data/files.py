"""Published files: where they are looked for, what they must contain, and what is said if not."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd.errors import CorruptData, DomainError

__all__ = [
    "FILES",
    "Published",
    "another",
    "content",
    "data_root",
    "locate",
    "read_arrays",
    "read_bytes",
]

_LARGEST = 2**30
"""Bytes beyond which an unknown file is not unpacked."""


@dataclass(frozen=True)
class Published:
    """One file of a data set as it was published.

    Parameters
    ----------
    name : str
        Name of the file.
    sha256 : str
        SHA-256 of the file.
    size : int or None
        Bytes of the file, where known.
    urls : tuple of str
        Where it can be had; empty if nowhere any more.
    inside : str or None
        SHA-256 of what a ``.gz`` file holds: a copy that was packed anew is as good.
    """

    name: str
    sha256: str
    size: int | None = None
    urls: tuple[str, ...] = ()
    inside: str | None = None


def _idx(folder: str, rows: tuple[tuple[str, int, str, str], ...]) -> tuple[Published, ...]:
    return tuple(
        Published(f"{name}.gz", packed, size, (f"{folder}/{name}.gz",), inside)
        for name, size, packed, inside in rows
    )


_CIFAR = "https://www.cs.toronto.edu/~kriz"
_CIFAR_N = "https://raw.githubusercontent.com/UCSC-REAL/cifar-10-100n/main/data"

FILES: dict[str, tuple[Published, ...]] = {
    "mnist": _idx(
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        (
            (
                "train-images-idx3-ubyte",
                9912422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            (
                "train-labels-idx1-ubyte",
                28881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            (
                "t10k-images-idx3-ubyte",
                1648877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            (
                "t10k-labels-idx1-ubyte",
                4542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
    ),
    "fashion-mnist": _idx(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        (
            (
                "train-images-idx3-ubyte",
                26421880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            (
                "train-labels-idx1-ubyte",
                29515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            (
                "t10k-images-idx3-ubyte",
                4422102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            (
                "t10k-labels-idx1-ubyte",
                5148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ),
    ),
    "cifar10": (
        Published(
            "cifar-10-binary.tar.gz",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            170052171,
            (f"{_CIFAR}/cifar-10-binary.tar.gz",),
        ),
    ),
    "cifar100": (
        Published(
            "cifar-100-binary.tar.gz",
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            168513733,
            (f"{_CIFAR}/cifar-100-binary.tar.gz",),
        ),
    ),
    "cifar10n": (
        Published(
            "CIFAR-10_human.pt",
            "873e69c39cb9b5e97fb6bae2d60bb59b38a5cbc31d2b868f7903dcb2b9dd2310",
            2401007,
            (f"{_CIFAR_N}/CIFAR-10_human.pt",),
        ),
    ),
    "cifar100n": (
        Published(
            "CIFAR-100_human.pt",
            "bd2d80409754d420292d622e15e25248ba21e37d27429efac49c8da723f44394",
            1000959,
            (f"{_CIFAR_N}/CIFAR-100_human.pt",),
        ),
    ),
    # CIFAR-10 as JPEG images of quality 75 with one common header; the human labels without pickle
    "cifar10-pack": (
        Published(
            "cifar10_jpeg_q75.npz",
            "5b5c7e9618187bfb5e3848c9e7061c38008170c5c5e7a22d03411900754391ab",
            17932782,
        ),
    ),
    "cifar10n-pack": (
        Published(
            "cifar10n_human.npz",
            "badd33f4115d67452144868551abedaa82f40d5bce5f09ab3c684f975c3766de",
            149448,
        ),
    ),
}
"""The files of each data set."""


def data_root(folder: str | Path | None) -> Path:
    """The folder with data: the given one, else that of the variable ``RESETSGD_DATA``.

    Raises
    ------
    DomainError
        If neither names a folder.
    """
    named = os.environ.get("RESETSGD_DATA") if folder is None else folder
    if not named:
        raise DomainError("folder", folder, "a folder, or RESETSGD_DATA must name one")
    root = Path(named)
    if not root.is_dir():
        raise DomainError("folder", str(root), "a folder that exists")
    return root


def locate(folder: str | Path | None, names: tuple[str, ...], inside: tuple[str, ...]) -> Path:
    """The first of some files in the data folder or in the usual folders inside it.

    Raises
    ------
    DomainError
        If none is there; the text names them.
    """
    root = data_root(folder)
    for name in names:
        for place in (root, *(root / part for part in inside)):
            if (place / name).is_file():
                return place / name
    raise DomainError("folder", str(root), "one that holds " + " or ".join(names))


def read_bytes(path: Path) -> bytes:
    """All of a file; ``CorruptData`` naming it if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorruptData(f"{path}: cannot be read: {error.strerror or error}") from None


def content(path: Path, known: Published | None, *, largest: int = _LARGEST) -> bytes:
    """What a file holds, a ``.gz`` file unpacked, verified where it is known.

    Parameters
    ----------
    path : Path
        The file.
    known : Published, optional
        What it must be; None takes any.
    largest : int
        Bytes beyond which it is refused.

    Raises
    ------
    CorruptData
        If it is truncated, damaged or another file; the text names it.
    """
    packed = read_bytes(path)
    found = packed
    if path.suffix == ".gz":
        try:
            with gzip.open(path) as file:
                found = file.read(largest + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise CorruptData(f"{path}: damaged or truncated: {error}") from None
    if len(found) > largest:
        raise CorruptData(f"{path}: holds more than {largest} bytes")
    if known is not None:
        digest = hashlib.sha256(packed).hexdigest()
        inside = hashlib.sha256(found).hexdigest()
        if digest != known.sha256 and inside != known.inside:
            raise another(path, digest, known.sha256, hint=" (verify=False takes any)")
    return found


def another(shown: str | Path, found: str, published: str, *, hint: str = "") -> CorruptData:
    """The error that says of a file that its SHA-256 is not the published one."""
    return CorruptData(
        f"{shown}: SHA-256 {found[:12]}... is not that of the published file, "
        f"{published[:12]}...: damaged, or another file{hint}"
    )


def read_arrays(path: Path, data: bytes, names: tuple[str, ...]) -> list[npt.NDArray[Any]]:
    """Some arrays of an ``.npz`` file of this content, never unpickled.

    Raises
    ------
    CorruptData
        If it is damaged or lacks one; the text names the file.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CorruptData(f"{path}: damaged: {error}") from None
