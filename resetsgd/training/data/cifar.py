"""CIFAR-10 and CIFAR-100 from the binary version: bytes, never pickles."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError
from resetsgd.training.data.base import Dataset, parts
from resetsgd.training.data.download import download as fetch_files
from resetsgd.training.data.files import FILES, another, data_root, read_bytes

__all__ = ["cifar10", "cifar100", "read_cifar"]

Bytes = npt.NDArray[np.uint8]

_PIXELS = 3 * 32 * 32
_LARGEST = 2**28

_SHA256 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    "train.bin": "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
    "test.bin": "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
}


def read_cifar(path: str | Path, *, labels: int = 1) -> tuple[Bytes, Bytes]:
    """Images and labels of one file of the binary version.

    Parameters
    ----------
    path : path
        The file.
    labels : {1, 2}
        Label bytes before each image: one (CIFAR-10), or the coarse and the fine one (CIFAR-100).

    Returns
    -------
    images : ndarray of uint8, shape (n, 3, 32, 32)
        Red, green and blue planes.
    labels : ndarray of uint8, shape (n, labels)
        The label bytes.

    Raises
    ------
    CorruptData
        If the file is no whole number of records, or a label is out of range; the text names it.

    Notes
    -----
    **Source**: Krizhevsky (2009), the binary version: records of label bytes and 3,072 pixels.
    """
    path = Path(path)
    return _records(str(path), read_bytes(path), domain.integer("labels", labels, 1, 2))


def cifar10(
    folder: str | Path | None = None,
    *,
    train: int | None = None,
    validation: int = 5000,
    test: int | None = None,
    seed: int = 0,
    verify: bool = True,
    download: bool = False,
) -> Dataset:
    """CIFAR-10: 50,000 training and 10,000 test images of ten classes, 32 x 32 pixels in colour.

    Parameters
    ----------
    folder : path, optional
        Folder that holds ``cifar-10-batches-bin`` or ``cifar-10-binary.tar.gz``, itself or in
        ``cifar10``; by default the one that the variable ``RESETSGD_DATA`` names.
    train, validation : int
        Sizes of the two parts cut from the training images; ``train`` None takes the rest.
    test : int, optional
        Number of test images; None takes all.
    seed : int
        Seed of the split.
    verify : bool
        Whether the files must be the published ones, by SHA-256. False takes any of the same form.
    download : bool
        Whether the archive is fetched into the folder if it is absent.

    Returns
    -------
    Dataset
        With uint8 images of shape (n, 3, 32, 32).

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
    **Source**: Krizhevsky (2009).

    Examples
    --------
    >>> from resetsgd.training.data import cifar10
    >>> cifar10("/nowhere")
    Traceback (most recent call last):
    resetsgd.errors.DomainError: folder = '/nowhere': must be a folder that exists
    """
    if download:
        fetch_files("cifar10", folder)
    names = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
    found = _read("cifar10", "cifar-10-batches-bin", folder, (*names, "test_batch.bin"), 1, verify)
    images = np.concatenate([found[name][0] for name in names])
    labels = np.concatenate([found[name][1][:, 0] for name in names])
    held_images, held_labels = found["test_batch.bin"]
    return parts(
        (images, labels),
        (held_images, held_labels[:, 0]),
        classes=10,
        train=train,
        validation=validation,
        test=test,
        seed=seed,
        sources=("krizhevsky2009",),
    )


def cifar100(
    folder: str | Path | None = None,
    *,
    labels: str = "fine",
    train: int | None = None,
    validation: int = 5000,
    test: int | None = None,
    seed: int = 0,
    verify: bool = True,
    download: bool = False,
) -> Dataset:
    """CIFAR-100: 50,000 training and 10,000 test images of a hundred classes in twenty groups.

    Parameters
    ----------
    folder : path, optional
        Folder that holds ``cifar-100-binary`` or ``cifar-100-binary.tar.gz``, itself or in
        ``cifar100``; by default the one that the variable ``RESETSGD_DATA`` names.
    labels : {"fine", "coarse"}
        The hundred classes, or the twenty superclasses.
    train, validation : int
        Sizes of the two parts cut from the training images; ``train`` None takes the rest.
    test : int, optional
        Number of test images; None takes all.
    seed : int
        Seed of the split.
    verify : bool
        Whether the files must be the published ones, by SHA-256. False takes any of the same form.
    download : bool
        Whether the archive is fetched into the folder if it is absent.

    Returns
    -------
    Dataset
        With uint8 images of shape (n, 3, 32, 32).

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
    **Source**: Krizhevsky (2009).

    Examples
    --------
    >>> from resetsgd.training.data import cifar100
    >>> cifar100("/nowhere")
    Traceback (most recent call last):
    resetsgd.errors.DomainError: folder = '/nowhere': must be a folder that exists
    """
    column = ("coarse", "fine").index(domain.choice("labels", labels, ("fine", "coarse")))
    if download:
        fetch_files("cifar100", folder)
    found = _read("cifar100", "cifar-100-binary", folder, ("train.bin", "test.bin"), 2, verify)
    (images, marks), (held_images, held_marks) = found["train.bin"], found["test.bin"]
    return parts(
        (images, marks[:, column]),
        (held_images, held_marks[:, column]),
        classes=(20, 100)[column],
        train=train,
        validation=validation,
        test=test,
        seed=seed,
        sources=("krizhevsky2009",),
    )


def _read(
    name: str,
    inner: str,
    folder: str | Path | None,
    names: tuple[str, ...],
    labels: int,
    verify: bool,
) -> dict[str, tuple[Bytes, Bytes]]:
    """The files of a set, from its folder or straight out of its archive."""
    root = data_root(folder)
    for place in (root / inner, root / name / inner, root / name, root):
        if all((place / file).is_file() for file in names):
            raw = {str(place / file): read_bytes(place / file) for file in names}
            break
    else:
        archive = FILES[name][0].name
        for place in (root, root / name):
            if (place / archive).is_file():
                raw = _unpack(place / archive, inner, names)
                break
        else:
            raise DomainError("folder", str(root), f"one that holds {inner} or {archive}")
    found = {}
    for file, (shown, data) in zip(names, raw.items(), strict=True):
        if verify and (digest := hashlib.sha256(data).hexdigest()) != _SHA256[file]:
            raise another(shown, digest, _SHA256[file], hint=" (verify=False takes any)")
        found[file] = _records(shown, data, labels)
    return found


def _unpack(archive: Path, inner: str, names: tuple[str, ...]) -> dict[str, bytes]:
    """Members of a ``.tar.gz`` archive, read without unpacking anything to the disk."""
    found: dict[str, bytes] = {}
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                file = member.name.removeprefix("./").removeprefix(f"{inner}/")
                if file in names and member.isreg() and member.size <= _LARGEST:
                    content = tar.extractfile(member)
                    found[file] = b"" if content is None else content.read()
            while stream.read(2**20):
                pass  # to the end: the checksum of the archive stands there
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise CorruptData(f"{archive}: damaged or truncated: {error}") from None
    for name in names:
        if name not in found:
            raise CorruptData(f"{archive}: holds no {inner}/{name}")
    return {f"{archive}:{name}": found[name] for name in names}


def _records(shown: str, data: bytes, labels: int) -> tuple[Bytes, Bytes]:
    """Images and label bytes of a file's content."""
    record = labels + _PIXELS
    if not data or len(data) % record:
        raise CorruptData(
            f"{shown}: {len(data)} bytes are no whole number of {record}-byte records"
        )
    rows = np.frombuffer(data, np.uint8).reshape(-1, record)
    marks = rows[:, :labels]
    highest = (10,) if labels == 1 else (20, 100)
    if (marks >= np.array(highest)).any():
        raise CorruptData(f"{shown}: a label is out of range")
    return rows[:, labels:].reshape(-1, 3, 32, 32), marks
