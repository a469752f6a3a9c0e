"""Writing files so that a killed process leaves the old content or the new, never half of it."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder", "write_whole"]


def cache_folder() -> Path:
    """Where what can be made again is kept: ``RESETSGD_CACHE``, else the user's cache folder."""
    if named := os.environ.get("RESETSGD_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "resetsgd"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: beside it first, to the disk, then under its name.

    Parameters
    ----------
    path : Path
        Where to write; its folder must exist.
    content : bytes
        All of the file.

    Raises
    ------
    OSError
        If it cannot be written; callers say which argument named the path.
    """
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
