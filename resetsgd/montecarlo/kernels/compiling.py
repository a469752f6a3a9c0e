"""How kernels are compiled and where the compiled code is kept.

numba's own cache notices an edit of the file that defines a kernel, but not of the files whose
helpers were compiled into it. The cache therefore lives in a folder named after a digest of *all*
kernel sources, so that code from an older version can never be loaded.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

__all__ = ["cache_folder", "helper", "kernel", "spliced"]

settings: Any = numba.config
Function = TypeVar("Function", bound=Callable[..., object])


def helper(function: Function) -> Function:
    """Compile a function that is only called from kernels."""
    # error_model "numpy": division by zero gives inf or NaN as in C; the "python" model would put
    # a branch that raises at each division. The callers never divide by zero.
    return cast(Function, numba.njit(error_model="numpy")(function))


def spliced(function: Function) -> Function:
    """Compile as :func:`helper` does, but into the source of each caller.

    For helpers that take arrays (a call would count references) and for loops that must be
    vectorised (a call inside prevents it).
    """
    return cast(Function, numba.njit(error_model="numpy", inline="always")(function))


def kernel(function: Function) -> Function:
    """Compile an entry point: without the interpreter lock, cached on disk where that is possible.

    Compilation happens at the first call. Where no folder can be written (a read-only
    installation without a home), the kernel is compiled anew in each process.
    """
    folder = cache_folder()
    if folder is None:
        return cast(Function, numba.njit(error_model="numpy", nogil=True)(function))
    # numba reads this setting while it decorates, and only then.
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(folder)
    try:
        compiled = numba.njit(error_model="numpy", nogil=True, cache=True)(function)
    except (RuntimeError, OSError):  # the folder vanished or filled up in between
        compiled = numba.njit(error_model="numpy", nogil=True)(function)
    finally:
        settings.CACHE_DIR = before
    return cast(Function, compiled)


@lru_cache(maxsize=1)
def cache_folder() -> Path | None:
    """The first writable place: ``NUMBA_CACHE_DIR``, beside the kernels, the user's cache folder.

    Returns
    -------
    Path or None
        A folder that exists and can be written to, or None if there is none.
    """
    if settings.DISABLE_JIT:
        return None
    here = Path(__file__).resolve().parent
    name = f"resetsgd-{_digest(here)}"
    if settings.CACHE_DIR:
        places = [Path(settings.CACHE_DIR)]
    else:
        places = [here / "__pycache__"]
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
        if Path(home).is_absolute():  # no home known: the tilde stays
            places.append(Path(home))
    for place in places:
        folder = place / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return None


def _digest(folder: Path) -> str:
    """Twelve hexadecimal digits that change with any kernel source."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
