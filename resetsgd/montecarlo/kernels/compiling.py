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
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np

__all__ = [
    "BLOCK",
    "address_of",
    "block",
    "cache_folder",
    "helper",
    "inlined",
    "kernel",
    "spliced",
]

settings: Any = numba.config
types: Any = numba.types
_POINTER = types.CPointer(types.float64)
BLOCK = types.void(_POINTER, _POINTER, types.int64, _POINTER)
"""Signature of a block function: x, out, n, parameters."""

Function = TypeVar("Function", bound=Callable[..., object])


def helper(function: Function) -> Function:
    """Compile a function that is only called from kernels."""
    # error_model "numpy": division by zero gives inf or NaN as in C; the "python" model would put
    # a branch that raises at each division. The callers never divide by zero.
    return cast(Function, numba.njit(error_model="numpy")(function))


def inlined(function: Function) -> Function:
    """Compile as :func:`helper` does, and have LLVM put the code into each caller.

    For arithmetic of scalars inside loops that must be vectorised. Unlike :func:`spliced` the
    source is typed once, so that chains of such helpers stay quick to compile.
    """
    return cast(Function, numba.njit(error_model="numpy", forceinline=True)(function))


def spliced(function: Function) -> Function:
    """Compile as :func:`helper` does, but into the source of each caller.

    For helpers that take arrays (a call would count references) and for loops that must be
    vectorised (a call inside prevents it).
    """
    return cast(Function, numba.njit(error_model="numpy", inline="always")(function))


def block(function: Callable[..., None]) -> Any:
    """Compile ``f(x, out, n, p)`` of float64 arrays as a C function, cached; see ``address_of``.

    The arguments are pointers for the caller and arrays in the source: x[n], out[n] (or longer, as
    the function has it) and p.
    """
    if settings.DISABLE_JIT:
        return _quiet(function)
    return _cached(lambda **options: numba.cfunc(BLOCK, error_model="numpy", **options)(function))


def address_of(compiled: Any) -> Any:
    """What ``call_block`` takes: an address, or the Python function where nothing is compiled."""
    return compiled.address if hasattr(compiled, "address") else compiled


def kernel(function: Function) -> Function:
    """Compile an entry point: without the interpreter lock, cached on disk where that is possible.

    Compilation happens at the first call. Where no folder can be written (a read-only
    installation without a home), the kernel is compiled anew in each process.
    """
    if settings.DISABLE_JIT:
        return _quiet(function)
    options: dict[str, Any] = {"error_model": "numpy", "nogil": True}
    return cast(Function, _cached(lambda **cache: numba.njit(**options, **cache)(function)))


def _cached(compile_: Callable[..., Any]) -> Any:
    """Compile with a cache in our folder; without where there is none."""
    folder = cache_folder()
    if folder is None:
        return compile_()
    # numba reads this setting while it decorates, and only then.
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(folder)
    try:
        return compile_(cache=True)
    except (RuntimeError, OSError):  # the folder vanished or filled up in between
        return compile_()
    finally:
        settings.CACHE_DIR = before


def _quiet(function: Function) -> Function:
    """Interpreted kernels meet overflowing words and divisions by zero as compiled ones do."""

    @wraps(function)
    def run(*arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arguments)

    return cast(Function, run)


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
