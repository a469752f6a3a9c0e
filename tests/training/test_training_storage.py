"""Checkpoint files: what comes back is what went in, or an error; never anything else."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resetsgd.errors import CorruptData, DomainError, OutputError
from resetsgd.training import storage

TREE = {
    "weights": [torch.randn(3, 4), torch.zeros(0), torch.tensor(2.5)],
    "types": {
        "half": torch.ones(2, dtype=torch.bfloat16),
        "bytes": torch.get_rng_state(),
        "flags": torch.tensor([True, False]),
    },
    0: (1, 2.5, None, True, "µ", float("inf"), float("-inf"), 0.1 + 0.2, -0.0, 2**80),
    "strided": torch.arange(12.0).view(3, 4).t(),
    "nested": {"a": {"b": [[], {}, ()]}},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.safetensors"
    storage.write(path, TREE)
    return path


def test_a_tree_comes_back_bit_for_bit(file: Path) -> None:
    found = storage.read(file)
    assert storage.digest(found) == storage.digest(TREE)
    assert found[0] == TREE[0]
    assert [type(item) for item in found[0]] == [type(item) for item in TREE[0]]
    assert found["types"]["half"].dtype == torch.bfloat16
    assert found["nested"] == TREE["nested"]
    first = file.read_bytes()
    storage.write(file, TREE)
    assert file.read_bytes() == first
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_nan_and_signed_zero_keep_their_bits(tmp_path: Path) -> None:
    strange = torch.tensor([0x7FC00001, -0x80000000, 1], dtype=torch.int32).view(torch.float32)
    storage.write(tmp_path / "x", {"t": strange, "nan": float("nan")})
    found = storage.read(tmp_path / "x")
    assert torch.equal(found["t"].view(torch.int32), strange.view(torch.int32))
    assert np.isnan(found["nan"])


def test_any_flipped_bit_and_any_truncation_is_found(file: Path) -> None:
    """A bit of every byte of the header, all of the digest's, 500 others; lengths at both ends."""
    content = bytearray(file.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    choose = random.Random(0)
    bits = [8 * byte + choose.randrange(8) for byte in range(header)]
    bits += [*range(64), *(choose.randrange(8 * len(content)) for _ in range(500))]
    start = content.index(b"resetsgd-1")
    bits += range(8 * start, 8 * (start + 80))
    for bit in bits:
        content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(content)
        with pytest.raises(CorruptData, match=r"run\.safetensors"):
            storage.read(file)
        content[bit // 8] ^= 1 << bit % 8
    lengths = [0, 1, 7, 8, 9, header, len(content) - 1]
    for length in [*lengths, *(choose.randrange(len(content)) for _ in range(100))]:
        file.write_bytes(content[:length])
        with pytest.raises(CorruptData):
            storage.read(file)
    file.write_bytes(content + b"\0")
    with pytest.raises(CorruptData):
        storage.read(file)
    file.write_bytes(content)
    assert storage.digest(storage.read(file)) == storage.digest(TREE)


def test_a_valid_safetensors_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "other")
    with pytest.raises(CorruptData):
        storage.read(tmp_path / "other")
    (tmp_path / "list").write_bytes((2).to_bytes(8, "little") + b"[]")
    with pytest.raises(CorruptData):
        storage.read(tmp_path / "list")


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_cut_short_leaves_the_old_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[call], die)
        with pytest.raises(Killed):
            storage.write(file, {"new": 1})
    assert storage.digest(storage.read(file)) == storage.digest(TREE)
    storage.write(file, {"new": 1})
    assert storage.read(file) == {"new": 1}


def test_places_that_cannot_be_written_or_read(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        storage.write(tmp_path / "nowhere" / "x", TREE)
    with pytest.raises(OutputError):
        storage.write(tmp_path, TREE)
    with pytest.raises(FileNotFoundError):
        storage.read(tmp_path / "nothing")
    with pytest.raises(CorruptData, match="cannot be read"):
        storage.read(tmp_path)


@pytest.mark.parametrize(
    "leaf", [object(), {1.5: 1}, {None: 1}, b"bytes", {1, 2}, np.zeros(2), lambda: 0, 1j], ids=type
)
def test_what_is_not_data_is_refused(leaf: object) -> None:
    with pytest.raises(DomainError, match=r"^state = "):
        storage.flatten({"leaf": leaf})


CHANGES: dict[str, Callable[[], Any]] = {
    "dtype": lambda: torch.zeros(4, dtype=torch.int32),
    "shape": lambda: torch.zeros(2, 2),
    "bits": lambda: torch.tensor([0.0, 0.0, 0.0, -0.0]),
    "kind": lambda: [0.0, 0.0, 0.0, 0.0],
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_sees_every_difference(change: str) -> None:
    assert storage.digest({"t": torch.zeros(4)}) != storage.digest({"t": CHANGES[change]()})
    assert storage.digest({"t": torch.zeros(4)}) == storage.digest({"t": torch.zeros(8)[::2]})
