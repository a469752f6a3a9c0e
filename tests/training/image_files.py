"""Small files in the formats of the published data sets, made on the spot."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

Bytes = Any


def idx(array: Any) -> bytes:
    """An array of bytes as an idx file."""
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def idx_folder(folder: Path, *, packed: bool = True, train: int = 60, test: int = 20) -> None:
    """The four files of an MNIST-like set."""
    rng = np.random.default_rng(1)
    for name, size in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (size, 28, 28))
        labels = np.arange(size) % 10
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            data = idx(array)
            path = folder / f"{name}-{kind}-ubyte"
            if packed:
                path = path.with_name(path.name + ".gz")
                data = gzip.compress(data)
            path.write_bytes(data)


def cifar_files(classes: int = 10) -> dict[str, bytes]:
    """The files of the binary version, forty training and eight test images."""
    rng = np.random.default_rng(2)
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if classes == 10 else ["train.bin"]
    sizes = [40 // len(names)] * len(names) + [8]
    found = {}
    names.append("test_batch.bin" if classes == 10 else "test.bin")
    for name, size in zip(names, sizes, strict=True):
        fine = rng.integers(0, classes, (size, 1))
        labels = fine if classes == 10 else np.hstack([fine // 5, fine])
        rows = np.hstack([labels, rng.integers(0, 256, (size, 3072))])
        found[name] = rows.astype(np.uint8).tobytes()
    return found


def archive(inner: str, files: dict[str, bytes]) -> bytes:
    """A ``.tar.gz`` archive of files in one folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{inner}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def jpeg_pack(path: Path, images: Any, labels: Any, trained: int) -> None:
    """Images as JPEG with one common header, as the compact CIFAR-10 is."""
    from PIL import Image

    scans, header = [], b""
    for image in images:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=75)
        data = stream.getvalue()
        start = data.index(b"\xff\xda") + 14  # the scan begins after its own header
        header = data[:start]
        assert data.endswith(b"\xff\xd9")
        scans.append(data[start:-2])
    np.savez(
        path,
        header=np.frombuffer(header, np.uint8),
        scan=np.frombuffer(b"".join(scans), np.uint8),
        length=np.array([len(scan) for scan in scans], np.uint16),
        label=np.asarray(labels, np.uint8),
        n_train=np.array(trained),
    )
