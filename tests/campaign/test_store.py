"""The store: what comes out is what went in, or an error that says what is wrong."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from resetsgd.campaign.store import Store, write_text
from resetsgd.errors import CorruptData, OutputError, ResetSGDError, StreamMismatch

PLAN = json.dumps(
    {"settings": {"hidden": 32, "seed": 1}, "versions": {"numpy": "2.0"}}, sort_keys=True
)
ARRAYS = {"times": np.arange(20.0), "censored": np.arange(20) % 3 == 0, "resets": np.int64(7)}
RECORD = {"best": 0.25, "at": 3, "name": "größer"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Store(tmp_path / "out", PLAN) as store:
        store.put("first", ARRAYS, RECORD)
        store.put("second", {"x": np.ones(3, dtype=np.float32)}, {})
    return tmp_path / "out"


def one_line(error: pytest.ExceptionInfo[ResetSGDError]) -> str:
    text = str(error.value)
    assert text and "\n" not in text
    return text


def test_round_trip(folder: Path) -> None:
    with Store(folder, PLAN) as store:
        cell = store.get("first")
        assert cell is not None and cell.record == RECORD
        assert set(cell.arrays) == set(ARRAYS)
        for name, value in ARRAYS.items():
            kept = cell.arrays[name]
            assert kept.dtype == value.dtype and kept.shape == value.shape
            np.testing.assert_array_equal(kept, value)
        second = store.get("second")
        assert second is not None and second.arrays["x"].dtype == np.float32
        assert store.get("third") is None
        made = store.put("first", ARRAYS, RECORD)
        assert made.sha256 == cell.sha256 != second.sha256


def test_what_put_returns_is_what_get_returns(tmp_path: Path) -> None:
    with Store(tmp_path, PLAN) as store:
        made = store.put("one", {"x": [1, 2]}, {"t": (1, 2)})
        found = store.get("one")
    assert found is not None
    assert (found.sha256, found.record) == (made.sha256, made.record)
    np.testing.assert_array_equal(found.arrays["x"], made.arrays["x"])


def test_records_hold_no_nan(tmp_path: Path) -> None:
    with Store(tmp_path, PLAN) as store, pytest.raises(ValueError, match="not JSON"):
        store.put("one", {}, {"x": float("nan")})


@pytest.mark.parametrize("column", ["record", "arrays", "sha256"])
def test_any_flipped_bit_of_a_payload_is_found(folder: Path, column: str) -> None:
    database = sqlite3.connect(folder / "store.sqlite", isolation_level=None)
    database.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY")
    query = f"SELECT CAST({column} AS BLOB) FROM cells WHERE name = 'first'"
    (blob,) = database.execute(query).fetchone()
    kind = "BLOB" if column == "arrays" else "TEXT"
    bits = range(8 * len(blob))
    with Store(folder, PLAN) as store:
        for bit in bits if len(bits) < 600 else bits[:: len(bits) // 400]:
            bad = bytearray(blob)
            bad[bit // 8] ^= 1 << bit % 8
            database.execute(
                f"UPDATE cells SET {column} = CAST(? AS {kind}) WHERE name = 'first'", (bytes(bad),)
            )
            with pytest.raises(CorruptData) as error:
                store.get("first")
            assert "store.sqlite" in one_line(error) and "'first'" in str(error.value)
            assert store.get("second") is not None
    database.close()


def test_any_flipped_bit_of_the_file_gives_the_same_cell_or_one_line(
    folder: Path, tmp_path: Path
) -> None:
    raw = (folder / "store.sqlite").read_bytes()
    used = [i for i, byte in enumerate(raw) if byte]
    generator = np.random.default_rng(1)
    refused = 0
    for i in generator.choice(used, 200, replace=False):
        bad = bytearray(raw)
        bad[i] ^= 1 << int(generator.integers(8))
        other = tmp_path / "damaged"
        shutil.rmtree(other, ignore_errors=True)
        other.mkdir()
        (other / "store.sqlite").write_bytes(bad)
        try:
            with Store(other, PLAN) as store:
                first, second = store.get("first"), store.get("second")
        except (CorruptData, OutputError, StreamMismatch) as error:
            assert "\n" not in str(error) and str(other) in str(error)
            refused += 1
        else:
            assert first is not None and first.record == RECORD and second is not None
            np.testing.assert_array_equal(first.arrays["times"], ARRAYS["times"])
    assert refused > 150


@pytest.mark.parametrize("part", [50, 100, 2000, 4096, 9000, 16000])
def test_a_truncated_file_is_refused(folder: Path, part: int) -> None:
    path = folder / "store.sqlite"
    path.write_bytes(path.read_bytes()[:part])
    with pytest.raises((CorruptData, OutputError)) as error, Store(folder, PLAN) as store:
        store.get("first")
        store.get("second")
    assert "store.sqlite" in one_line(error) or "out = " in str(error.value)


@pytest.mark.parametrize("content", [b"not a database\n" * 100, bytes(range(256)) * 64, b"{}"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "store.sqlite").write_bytes(content)
    with pytest.raises((CorruptData, OutputError)) as error:
        Store(tmp_path, PLAN)
    one_line(error)
    assert (tmp_path / "store.sqlite").read_bytes() == content


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "{\x00}", b"\xff\xfe", None])
def test_a_damaged_plan_is_refused(folder: Path, text: str | bytes | None) -> None:
    database = sqlite3.connect(folder / "store.sqlite", isolation_level=None)
    if text is None:  # a table of another shape
        database.executescript("DROP TABLE plan; CREATE TABLE plan (x)")
    else:
        database.execute("UPDATE plan SET text = ?", (text,))
    database.close()
    with pytest.raises((CorruptData, OutputError)) as error:
        Store(folder, PLAN)
    one_line(error)


@pytest.mark.parametrize("column", ["record", "arrays", "sha256"])
def test_a_payload_of_another_type_is_refused(folder: Path, column: str) -> None:
    database = sqlite3.connect(folder / "store.sqlite", isolation_level=None)
    kind = "TEXT" if column == "arrays" else "BLOB"
    database.execute(f"UPDATE cells SET {column} = CAST('{{}}' AS {kind})")
    database.close()
    with Store(folder, PLAN) as store, pytest.raises(CorruptData, match="'first'") as error:
        store.get("first")
    one_line(error)


@pytest.mark.parametrize(
    ("section", "name", "value", "said"),
    [
        ("settings", "seed", 2, r"settings\.seed: 1 there, 2 asked for"),
        ("versions", "numpy", "3.1", r"versions\.numpy: 2\.0 there, 3\.1 asked for"),
        ("settings", "momentum", 0.5, r"settings\.momentum: None there, 0\.5 asked for"),
    ],
)
def test_another_plan_is_refused_and_the_setting_named(
    folder: Path, section: str, name: str, value: object, said: str
) -> None:
    plan = json.loads(PLAN)
    plan[section][name] = value
    with pytest.raises(StreamMismatch, match=said) as error:
        Store(folder, json.dumps(plan, sort_keys=True))
    assert str(folder) in one_line(error)
    with Store(folder, PLAN) as store:  # and nothing was changed
        assert store.get("first") is not None


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("here first")
    for folder in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(OutputError, match="writable folder") as error:
            Store(folder, PLAN)
        assert f"out = {folder}" in one_line(error)
    assert (tmp_path / "out").read_text() == "here first"


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").mkdir()
    with pytest.raises(OutputError) as error:
        Store(tmp_path, PLAN)
    one_line(error)


def test_write_text_replaces_whole_files_or_says_why_not(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_text(path, "one")
    write_text(path, "zwei ü")
    assert path.read_text(encoding="utf-8") == "zwei ü"
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
    with pytest.raises(OutputError) as error:
        write_text(path / "below", "three")
    one_line(error)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").write_text("")
    with pytest.raises(OutputError):
        write_text(tmp_path / "folder", "three")
