"""A crash-safe store of finished work: one SQLite file, every cell with its SHA-256.

A cell is a named set of arrays and a small JSON record, committed in one transaction when its work
is finished. Killing the process at any moment loses at most the cell being computed; running the
same plan again computes only what is missing.
"""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd.errors import CorruptData, OutputError, StreamMismatch
from resetsgd.files import write_whole

__all__ = ["Cell", "Store", "write_text"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS plan (id INTEGER PRIMARY KEY CHECK (id = 0), text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (
    name TEXT PRIMARY KEY, record TEXT NOT NULL, arrays BLOB NOT NULL, sha256 TEXT NOT NULL
);
"""


@dataclass(frozen=True)
class Cell:
    """One finished piece of work.

    Attributes
    ----------
    arrays : dict of ndarray
        Its numbers.
    record : dict
        JSON-compatible remarks.
    sha256 : str
        Digest of both.
    """

    arrays: dict[str, npt.NDArray[Any]]
    record: dict[str, Any]
    sha256: str


class Store:
    """Cells of one plan in one folder.

    Parameters
    ----------
    folder : Path
        Where ``store.sqlite`` lives; made if absent.
    plan : str
        Canonical text of everything the results depend on. A folder that holds another plan is
        refused.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    StreamMismatch
        If it holds the results of another plan.
    CorruptData
        If the file is damaged.
    """

    def __init__(self, folder: Path, plan: str) -> None:
        self.path = folder / "store.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, isolation_level=None)
            self._database.execute("PRAGMA synchronous = FULL")
            (sound,) = self._database.execute("PRAGMA integrity_check(1)").fetchone()
            if sound != "ok":
                raise sqlite3.DatabaseError(sound)
            self._database.executescript(_SCHEMA)
            self._database.execute("INSERT OR IGNORE INTO plan VALUES (0, ?)", (plan,))
            kept = _plan(self._database.execute("SELECT text FROM plan").fetchone())
        except (sqlite3.OperationalError, OSError) as error:
            raise OutputError(f"out = {folder}: must be a writable folder ({error})") from None
        except (sqlite3.DatabaseError, ValueError) as error:  # ValueError: text that is none
            raise CorruptData(f"{self.path} is damaged: {_line(error)}") from None
        if kept != plan:
            self.close()
            raise StreamMismatch(
                f"out = {folder}: must be empty or hold a run of the same settings and versions;"
                f" it holds another one ({_difference(json.loads(kept), json.loads(plan))})"
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, name: str) -> Cell | None:
        """The cell of this name, or None if it is not finished.

        Raises
        ------
        CorruptData
            If what is stored is not what was written.
        """
        try:
            row = self._database.execute(
                "SELECT record, arrays, sha256 FROM cells WHERE name = ?", (name,)
            ).fetchone()
        except (sqlite3.DatabaseError, ValueError) as error:
            if getattr(error, "sqlite_errorcode", None) in (
                sqlite3.SQLITE_BUSY,
                sqlite3.SQLITE_LOCKED,
            ):
                raise OutputError(f"out = {self.path}: is used by another process") from None
            raise CorruptData(f"{self.path}, cell {name!r}, is damaged: {_line(error)}") from None
        if row is None:
            return None
        record, blob, sha256 = row
        if [type(part) for part in row] != [str, bytes, str]:
            raise CorruptData(f"{self.path}, cell {name!r}, is damaged: not what was written")
        found = _digest(record, blob)
        if found != sha256:
            raise CorruptData(
                f"{self.path}, cell {name!r}, is damaged: SHA-256 {found}, expected {sha256!r}"
            )
        with np.load(io.BytesIO(blob)) as archive:  # arrays of objects are refused by default
            arrays = {key: archive[key] for key in archive.files}
        return Cell(arrays, json.loads(record), sha256)

    def put(self, name: str, arrays: Mapping[str, Any], record: Mapping[str, Any]) -> Cell:
        """Commit a finished cell and return it."""
        buffer = io.BytesIO()
        named: dict[str, Any] = {key: np.asarray(value) for key, value in arrays.items()}
        np.savez(buffer, **named)
        blob, text = buffer.getvalue(), json.dumps(dict(record), sort_keys=True, allow_nan=False)
        sha256 = _digest(text, blob)
        try:
            self._database.execute(
                "INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?)", (name, text, blob, sha256)
            )
        except sqlite3.OperationalError as error:
            raise OutputError(f"out = {self.path}: could not be written ({error})") from None
        return Cell(named, json.loads(text), sha256)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise OutputError(f"out = {path}: could not be written ({error})") from None


def _digest(record: str, blob: bytes) -> str:
    return hashlib.sha256(record.encode() + b"\0" + blob).hexdigest()


def _plan(row: Any) -> str:
    """The text of the plan that a file holds."""
    if not row or not isinstance(row[0], str) or not isinstance(json.loads(row[0]), dict):
        raise sqlite3.DatabaseError("it names no plan")
    return str(row[0])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _difference(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> str:
    """The first setting in which two plans differ."""
    for key in sorted({*old, *new}):
        there, asked = old.get(key), new.get(key)
        if isinstance(there, dict) and isinstance(asked, dict) and there != asked:
            return _difference(there, asked, f"{path}{key}.")
        if there != asked:
            return f"{path}{key}: {there} there, {asked} asked for"
    return "differently written"
