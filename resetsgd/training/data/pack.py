"""CIFAR-10 in eighteen megabytes: JPEG images with one common header, decoded once and cached."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resetsgd.errors import CorruptData, MissingExtra
from resetsgd.files import cache_folder, write_whole
from resetsgd.training.data.base import Dataset, parts
from resetsgd.training.data.files import FILES, content, locate, read_arrays

__all__ = ["cifar10_pack"]

_ARRAYS = ("header", "scan", "length", "label", "n_train")
_TAIL = b"\xff\xd9"
_SIDE = 32
_DIGEST = 64


def cifar10_pack(
    folder: str | Path | None = None,
    *,
    train: int | None = None,
    validation: int = 5000,
    test: int | None = None,
    seed: int = 0,
    verify: bool = True,
    cache: str | Path | None = None,
) -> Dataset:
    """CIFAR-10 at JPEG quality 75: all images and labels, in their order, with lossy pixels.

    Accuracies are those of *CIFAR-10 at JPEG quality 75*, not comparable to published ones to the
    last point.

    Parameters
    ----------
    folder : path, optional
        Folder that holds ``cifar10_jpeg_q75.npz``, itself or in ``cifar10``; by default the one
        that the variable ``RESETSGD_DATA`` names.
    train, validation : int
        Sizes of the two parts cut from the training images; ``train`` None takes the rest.
    test : int, optional
        Number of test images; None takes all.
    seed : int
        Seed of the split.
    verify : bool
        Whether the file must be the known one, by SHA-256. False takes any of the same form.
    cache : path, optional
        Folder for the decoded images, 176 MiB; by default that of the variable ``RESETSGD_CACHE``,
        else ``resetsgd`` in the user's cache folder. A damaged cache is made again. A folder that
        cannot be written to costs only time: ten seconds a call.

    Returns
    -------
    Dataset
        With uint8 images of shape (n, 3, 32, 32).

    Raises
    ------
    DomainError
        If the folder or the file is absent, or a size is above what there is.
    CorruptData
        If the file is damaged or not the known one; the text names it.
    MissingExtra
        If Pillow is not installed and no cache holds the images.

    Examples
    --------
    >>> from resetsgd.training.data import cifar10_pack
    >>> cifar10_pack("/nowhere")
    Traceback (most recent call last):
    resetsgd.errors.DomainError: folder = '/nowhere': must be a folder that exists
    """
    known = FILES["cifar10-pack"][0]
    path = locate(folder, (known.name,), ("cifar10",))
    data = content(path, known if verify else None)
    header, scans, lengths, labels, first = read_arrays(path, data, _ARRAYS)
    scan = scans.tobytes()
    if first.size != 1 or any(a.dtype.kind not in "iu" for a in (lengths, labels, first)):
        raise CorruptData(f"{path}: damaged: lengths, labels or their number are no whole numbers")
    lengths, trained = lengths.astype(np.int64), int(first.item())
    if lengths.shape != labels.shape or lengths.sum() != len(scan) or labels.max(initial=0) > 9:
        raise CorruptData(f"{path}: lengths or labels do not belong to its images")
    if not 0 < trained < len(labels):
        raise CorruptData(f"{path}: {trained} training images of {len(labels)}")
    kept = cache_folder() if cache is None else Path(cache)
    place = kept / f"{known.name}-{hashlib.sha256(data).hexdigest()[:24]}.pixels"
    images = _cached(place, len(labels))
    if images is None:
        images = _decode(path, header.tobytes(), scan, lengths)
        _keep(place, images)
    return parts(
        (images[:trained], labels[:trained]),
        (images[trained:], labels[trained:]),
        classes=10,
        train=train,
        validation=validation,
        test=test,
        seed=seed,
        sources=("krizhevsky2009",),
    )


def _decode(
    path: Path, header: bytes, scan: bytes, lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """All images, channels first."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingExtra("Pillow", "data") from None
    images = np.empty((len(lengths), _SIDE, _SIDE, 3), np.uint8)
    ends = np.cumsum(lengths).tolist()
    start = 0
    for row, end in enumerate(ends):
        try:
            with Image.open(
                io.BytesIO(header + scan[start:end] + _TAIL), formats=["JPEG"]
            ) as image:
                if image.size != (_SIDE, _SIDE) or image.mode != "RGB":
                    raise CorruptData(f"{path}: image {row} is {image.size} {image.mode}")
                images[row] = np.asarray(image)
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
            raise CorruptData(f"{path}: image {row} is damaged: {error}") from None
        start = end
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _cached(place: Path, count: int) -> npt.NDArray[np.uint8] | None:
    """The decoded images if they are there, whole and unchanged."""
    try:
        data = place.read_bytes()
    except OSError:
        return None
    pixels = memoryview(data)[_DIGEST:]
    if len(pixels) != count * 3 * _SIDE**2:
        return None
    if hashlib.sha256(pixels).hexdigest().encode() != data[:_DIGEST]:
        return None
    return np.frombuffer(pixels, np.uint8).reshape(count, 3, _SIDE, _SIDE)


def _keep(place: Path, images: npt.NDArray[np.uint8]) -> None:
    """Leave the decoded images for the next time, if there is a place for them."""
    pixels = images.tobytes()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, hashlib.sha256(pixels).hexdigest().encode() + pixels)
    except OSError:
        return  # a cache is a convenience
