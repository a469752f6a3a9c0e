"""Readers of published image files: what they return, and that damage is told with the file."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import archive, cifar_files, idx, idx_folder, jpeg_pack

from resetsgd.errors import CorruptData, DomainError, MissingExtra
from resetsgd.training.data import (
    Dataset,
    Split,
    cifar10,
    cifar10_pack,
    cifar10n,
    cifar100,
    fashion_mnist,
    mnist,
    parts,
    read_cifar,
    read_idx,
)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


# --- idx ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
def test_idx_sets_are_read_from_a_folder(
    packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mnist").mkdir()
    idx_folder(tmp_path / "mnist", packed=packed)
    data = mnist(tmp_path, validation=10, verify=False)
    assert data.train.images.shape == (50, 1, 28, 28)
    assert data.train.images.dtype == np.uint8
    assert [len(data.validation), len(data.test), data.classes] == [10, 20, 10]
    name = "train-images-idx3-ubyte" + (".gz" if packed else "")
    pixels = read_idx(tmp_path / "mnist" / name)
    for part in (data.train, data.validation):
        assert (part.images[:, 0] == pixels[part.indices]).all()
        assert (part.labels == part.indices % 10).all()
    assert data.test.indices.tolist() == list(range(60, 80))
    monkeypatch.setenv("RESETSGD_DATA", str(tmp_path))
    assert mnist(validation=10, verify=False).sha256 == data.sha256
    smaller = mnist(validation=10, train=20, test=5, verify=False)
    assert smaller.validation.sha256 == data.validation.sha256
    assert (smaller.train.indices == data.train.indices[:20]).all()


def test_other_files_than_the_published_are_refused_unless_asked_for(tmp_path: Path) -> None:
    idx_folder(tmp_path)
    for read in (mnist, fashion_mnist):
        with pytest.raises(CorruptData, match=r"train-images-idx3-ubyte\.gz: SHA-256 .*verify"):
            read(tmp_path)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("keep", [0, 3, 9, 1000, -1])
def test_a_truncated_idx_file_is_named(packed: bool, keep: int, tmp_path: Path) -> None:
    idx_folder(tmp_path, packed=packed)
    path = next(tmp_path.glob("t10k-images*"))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CorruptData, match=path.name):
        mnist(tmp_path, verify=False)


def test_a_flipped_bit_in_a_packed_file_is_named(tmp_path: Path) -> None:
    idx_folder(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    whole = path.read_bytes()
    for place in range(10, len(whole)):  # the header before holds a time and the like
        path.write_bytes(flipped(whole, place))
        with pytest.raises(CorruptData, match=path.name):
            mnist(tmp_path, verify=False)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00\x0d\x01" + bytes(12),  # floats
        b"\x00\x00\x08\x00",  # no axis
        b"\x00\x00\x08\x01" + b"\xff" * 4,  # four billion bytes that are not there
        idx(np.zeros((2, 2), int)) + b"\x00",  # one byte too many
        b"\x80\x04K\x01.",  # a pickle
    ],
)
def test_what_is_no_idx_file_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "some-idx").write_bytes(data)
    with pytest.raises(CorruptData, match="some-idx"):
        read_idx(tmp_path / "some-idx")


def test_labels_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    idx_folder(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    for labels in (np.arange(59) % 10, np.full(60, 10), np.zeros((60, 1), int)):
        path.write_bytes(gzip.compress(idx(labels)))
        with pytest.raises(CorruptData, match=path.name):
            mnist(tmp_path, verify=False)


# --- CIFAR ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["folder", "inside", "archive"])
@pytest.mark.parametrize("classes", [10, 100])
def test_cifar_from_folder_and_archive(where: str, classes: int, tmp_path: Path) -> None:
    files = cifar_files(classes)
    inner = {10: "cifar-10-batches-bin", 100: "cifar-100-binary"}[classes]
    if where == "archive":
        name = {10: "cifar-10-binary", 100: "cifar-100-binary"}[classes]
        (tmp_path / f"{name}.tar.gz").write_bytes(archive(inner, files))
    else:
        place = tmp_path / inner if where == "inside" else tmp_path
        place.mkdir(exist_ok=True)
        for name, data in files.items():
            (place / name).write_bytes(data)
    read: Any = cifar10 if classes == 10 else cifar100
    data = read(tmp_path, validation=10, verify=False)
    assert data.train.images.shape == (30, 3, 32, 32)
    assert data.classes == classes
    skip = 1 if classes == 10 else 2
    training = b"".join(data for name, data in files.items() if not name.startswith("test"))
    rows = np.frombuffer(training, np.uint8).reshape(40, skip + 3072)
    for part in (data.train, data.validation):
        assert (part.labels == rows[part.indices, skip - 1]).all()
        assert (part.images.reshape(len(part), -1) == rows[part.indices, skip:]).all()
    if classes == 100:
        coarse = cifar100(tmp_path, labels="coarse", validation=10, verify=False)
        assert coarse.classes == 20
        assert (coarse.train.labels == data.train.labels // 5).all()
    with pytest.raises(CorruptData, match=r"\.bin: SHA-256"):
        read(tmp_path, validation=10)


def test_damaged_cifar_files_are_named(tmp_path: Path) -> None:
    files = cifar_files()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for wrong in (b"", files["data_batch_3.bin"][:-1], b"\x0a" + files["data_batch_3.bin"][1:]):
        (tmp_path / "data_batch_3.bin").write_bytes(wrong)
        with pytest.raises(CorruptData, match=r"data_batch_3\.bin"):
            cifar10(tmp_path, validation=10, verify=False)


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    files, path = cifar_files(), tmp_path / "cifar-10-binary.tar.gz"
    whole = archive("cifar-10-batches-bin", files)
    for wrong in (whole[: len(whole) // 2], whole[:-4], flipped(whole, len(whole) // 2), b"no"):
        path.write_bytes(wrong)
        with pytest.raises(CorruptData, match=path.name):
            cifar10(tmp_path, validation=10, verify=False)
    del files["test_batch.bin"]
    path.write_bytes(archive("cifar-10-batches-bin", files))
    with pytest.raises(CorruptData, match=r"tar\.gz: holds no .*test_batch"):
        cifar10(tmp_path, validation=10, verify=False)


def test_label_bytes_are_one_or_two(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(cifar_files(100)["test.bin"])
    images, labels = read_cifar(tmp_path / "x.bin", labels=2)
    assert images.shape == (8, 3, 32, 32)
    assert labels.shape == (8, 2)
    with pytest.raises(CorruptData, match=r"x\.bin"):
        read_cifar(tmp_path / "x.bin")
    with pytest.raises(DomainError, match="labels = 3"):
        read_cifar(tmp_path / "x.bin", labels=3)


# --- pack -----------------------------------------------------------------------------------------


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    ramp = np.linspace(0, 255, 32)
    images = np.empty((12, 32, 32, 3), np.uint8)
    for i in range(12):
        across, down = np.meshgrid(ramp, ramp)
        images[i] = np.stack([across, down, np.full((32, 32), 20 * i)], axis=-1)
    jpeg_pack(tmp_path / "cifar10_jpeg_q75.npz", images, np.arange(12) % 10, 9)
    np.save(tmp_path / "truth.npy", images)
    return tmp_path


def test_the_pack_is_decoded_once_and_then_cached(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = pack / "cache"
    first = cifar10_pack(pack, validation=2, verify=False, cache=cache)
    truth = np.load(pack / "truth.npy").transpose(0, 3, 1, 2).astype(int)
    for part in (first.train, first.validation, first.test):
        assert abs(part.images - truth[part.indices]).mean() < 4  # JPEG loses a little
        assert (part.labels == part.indices % 10).all()
    (kept,) = cache.iterdir()
    monkeypatch.setitem(sys.modules, "PIL", None)
    again = cifar10_pack(pack, validation=2, verify=False, cache=cache)
    assert again.sha256 == first.sha256
    monkeypatch.setenv("RESETSGD_CACHE", str(cache))
    assert cifar10_pack(pack, validation=2, verify=False).sha256 == first.sha256
    whole = kept.read_bytes()
    for wrong in (whole[:-1], flipped(whole, 500), b""):
        kept.write_bytes(wrong)
        with pytest.raises(MissingExtra, match=r"resetsgd\[data\]"):  # it would decode again
            cifar10_pack(pack, validation=2, verify=False)
    monkeypatch.undo()
    assert cifar10_pack(pack, validation=2, verify=False, cache=cache).sha256 == first.sha256
    assert kept.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_only_time(pack: Path) -> None:
    (pack / "file").write_text("")
    assert len(cifar10_pack(pack, validation=2, verify=False, cache=pack / "file").train) == 7


def test_a_damaged_pack_is_named(pack: Path) -> None:
    path = pack / "cifar10_jpeg_q75.npz"
    with pytest.raises(CorruptData, match=r"q75\.npz: SHA-256"):
        cifar10_pack(pack)
    whole = path.read_bytes()
    with np.load(path) as file:
        arrays = dict(file)
    for data in (whole[:-10], whole[: len(whole) // 2], flipped(whole, 700), b""):
        path.write_bytes(data)
        with pytest.raises(CorruptData, match=r"q75\.npz"):
            cifar10_pack(pack, validation=2, verify=False, cache=pack / "none")
    for change in (
        {"length": arrays["length"][:-1]},
        {"length": arrays["length"] + 1},
        {"label": arrays["label"] + 5},
        {"n_train": np.array(12)},
        {"header": arrays["header"][:100]},
    ):
        np.savez(path, **(arrays | change))
        with pytest.raises(CorruptData, match=r"q75\.npz"):
            cifar10_pack(pack, validation=2, verify=False, cache=pack / "none")


# --- labels by people -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CIFAR-10_human.pt", "cifar10n_human.npz"])
def test_only_the_published_labels_of_people_are_read(name: str, tmp_path: Path) -> None:
    """A file that would run code when unpickled is refused before anything looks into it."""
    with pytest.raises(DomainError, match=r"CIFAR-10_human\.pt or cifar10n_human\.npz"):
        cifar10n("worst", tmp_path)
    stream = io.BytesIO()
    np.savez(stream, worst=np.zeros(50_000, np.uint8))
    for data in (stream.getvalue(), b"cposix\nsystem\n(S'exit 1'\ntR."):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CorruptData, match=name):
            cifar10n("worst", tmp_path)
    with pytest.raises(DomainError, match="which = 'worse'"):
        cifar10n("worse", tmp_path)


# --- splits and sets ------------------------------------------------------------------------------


def test_stored_images_keep_their_bytes_and_flat_ones_are_their_floats() -> None:
    images = np.arange(2 * 3 * 2 * 2, dtype=np.uint8).reshape(2, 3, 2, 2)
    split = Split(images, np.array([0, 1]), np.arange(2))
    images[:] = 0
    assert split.images.max() == 23
    assert not split.images.flags.writeable
    assert (split.flat() == (np.arange(24) / 255).astype(np.float32).reshape(2, 12)).all()
    assert split.sha256 != Split(split.flat(), split.labels, split.indices).sha256
    with pytest.raises(DomainError, match="images"):
        Split(np.zeros((2, 3), np.uint8), split.labels, split.indices)


def test_normalisation_is_that_of_the_training_pixels() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 200, (40, 3, 5, 5), dtype=np.uint8)
    images[:, 2] = 7
    labels = np.arange(40) % 2
    held = np.full((5, 3, 5, 5), 255, np.uint8)
    data = parts(
        (images, labels), (held, labels[:5]), classes=2, train=None, validation=4, test=None, seed=0
    )
    mean, deviation = data.normalisation
    pixels = data.train.images / 255.0
    assert np.allclose(mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    assert np.allclose(deviation[:2], pixels.std(axis=(0, 2, 3))[:2], rtol=1e-10)
    assert deviation[2] == 1.0  # one grey everywhere
    assert data.flat().normalisation == ((0.0,), (1.0,))
    assert data.flat().train.images.shape == (36, 75)


def test_parts_that_share_images_are_refused() -> None:
    split = Split(np.zeros((3, 2), np.float32), np.zeros(3, int), np.arange(3))
    other = Split(np.zeros((3, 2), np.float32), np.zeros(3, int), np.arange(2, 5))
    third = Split(np.zeros((1, 2), np.float32), np.zeros(1, int), np.array([9]))
    with pytest.raises(DomainError, match=r"train\.indices"):
        Dataset(split, other, third, 2)
    with pytest.raises(DomainError, match=r"train\.indices"):
        Dataset(split, third, other, 2)
    with pytest.raises(DomainError, match=r"validation\.indices"):
        Dataset(third, split, other, 2)
    assert Dataset(third, split, other, 2, published="bae2025").published == "bae2025"
    with pytest.raises(DomainError, match=r"train\.labels"):
        Dataset(split.with_labels([0, 1, 2]), third, third, 2, published="bae2025")


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("validation", {"validation": 0}),
        ("validation", {"validation": 60}),
        ("train", {"validation": 10, "train": 51}),
        ("test", {"validation": 10, "test": 21}),
        ("seed", {"validation": 10, "seed": -1}),
    ],
)
def test_sizes_above_what_there_is_are_named(
    name: str, sizes: dict[str, int], tmp_path: Path
) -> None:
    idx_folder(tmp_path)
    with pytest.raises(DomainError, match=rf"^{name} = "):
        mnist(tmp_path, verify=False, **sizes)  # type: ignore[arg-type]


def test_without_a_folder_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESETSGD_DATA", raising=False)
    with pytest.raises(DomainError, match="RESETSGD_DATA"):
        cifar10()
