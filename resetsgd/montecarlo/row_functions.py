"""A user's function of a vector, compiled for the kernel of motion in many dimensions.

The kernel holds the positions of many paths as rows, one row a component. A function that returns a
number or a tuple, or that fills its second argument, is called on strided columns in a loop over
the paths, which LLVM turns into vector code where the function has no branch. One that returns an
array allocates memory at each call (some 50 ns) and is called path by path.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba.core import types as numba_types
from numba.core.errors import NumbaError
from numba.extending import is_jitted

from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo.functions import _reason as reason
from resetsgd.montecarlo.functions import seen_by, vectorised
from resetsgd.montecarlo.kernels.compiling import settings
from resetsgd.montecarlo.kernels.lanes import LANES
from resetsgd.montecarlo.kernels.rows import put

__all__ = ["RowFunction", "compiled"]

types: Any = numba_types
carray: Any = numba.carray  # type: ignore[attr-defined]

NO_NUMBERS = np.zeros(1)


@dataclass(frozen=True)
class RowFunction:
    """What the kernel calls: an address, the numbers it gets, and what keeps it alive."""

    address: Any
    numbers: Array
    owner: Any = None


def compiled(
    name: str,
    function: Callable[..., Any],
    dimension: int,
    dtype: Any,
    *,
    at: Array,
    outputs: int,
    sign: float = 1.0,
    shift: float = 0.0,
    differences: bool = False,
) -> RowFunction:
    """Compile ``sign * function(x) + shift`` for rows of paths.

    Parameters
    ----------
    name : str
        The argument it came as, for messages.
    function : callable
        ``f(x)`` of an array of shape (dimension,), or ``f(x, out)``; its attribute ``rows``, if
        there is one, is a function ``rows(x, out, numbers)`` of arrays of shape (dimension, LANES)
        that does the same for all paths at once, and ``numbers`` what it gets.
    dimension : int
    dtype : numpy type
        Of the state.
    at : ndarray, shape (dimension,)
        A place where it must give ``outputs`` finite numbers.
    outputs : int
        How many numbers it gives; 1 also stands for a plain number or a truth value.
    sign, shift : float
    differences : bool
        Take the gradient of the function by central differences instead; ``outputs`` is then the
        dimension.

    Raises
    ------
    DomainError
        If it cannot be compiled, or gives something else.
    """
    if not callable(function):
        raise DomainError(name, function, "a function of a vector")
    inplace = _arguments(name, function) == 2
    _try(name, function, at, 1 if differences else outputs, inplace)
    rows = getattr(function, "rows", None)
    if rows is not None:
        plain = rows
        numbers = np.array(function.numbers, dtype=np.float64)  # type: ignore[attr-defined]
    else:
        plain, numbers = function, NO_NUMBERS
    if settings.DISABLE_JIT:
        return RowFunction(
            _interpreted(plain, rows is not None, inplace, sign, shift, differences), numbers
        )
    kind = "rows" if rows is not None else "differences" if differences else "call"
    try:
        made = _made(
            plain, seen_by(plain), kind, inplace, dimension, np.dtype(dtype).name, outputs,
            len(numbers), sign, shift,
        )  # fmt: skip
    except NumbaError as error:
        allowed = f"a function that numba can compile: {reason(error)}"
        raise DomainError(name, function, allowed) from None
    return RowFunction(made.address, numbers, made)


@lru_cache(maxsize=64)
def _made(
    function: Any, seen: Any, kind: str, inplace: bool, dimension: int, dtype: str, outputs: int,
    count: int, sign: float, shift: float,
) -> Any:  # fmt: skip
    """The C function; remembered for as long as what the function sees around it is the same."""
    jitted = vectorised(function)
    if not is_jitted(jitted):  # an object that can be called

        def call(x: Any) -> Any:
            return function(x)

        jitted = numba.njit(error_model="numpy")(call)
    pointer = types.CPointer(numba.from_dtype(np.dtype(dtype)))
    if kind == "rows":
        block = _by_rows(jitted, dimension, outputs, count)
    elif kind == "differences":
        block = _by_differences(jitted, dimension)
    elif inplace:
        block = _in_place(jitted, dimension, outputs)
    else:
        given = _returned(jitted, types.Array(types.float64, 1, "C"))
        single = isinstance(given, (types.BaseTuple, types.Number, types.Boolean))
        block = (_by_columns if single else _by_paths)(jitted, dimension, outputs)
    if sign != 1.0 or shift != 0.0:
        block = _changed(block, outputs, sign, shift)
    signature = types.void(pointer, pointer, types.CPointer(types.float64))
    return numba.cfunc(signature, error_model="numpy")(block)


def _arguments(name: str, function: Any) -> int:
    """Number of arguments: one, or two with ``out``."""
    python = getattr(function, "py_func", function)
    try:
        count = len(inspect.signature(python).parameters)
    except (TypeError, ValueError):
        count = 1
    if count not in (1, 2):
        raise DomainError(name, function, "a function f(x) or f(x, out)")
    return count


def _try(name: str, function: Any, at: Array, outputs: int, inplace: bool) -> None:
    """Call it once."""
    x, found = np.array(at), np.full(outputs, np.nan)
    try:
        with np.errstate(all="ignore"):
            if inplace:
                function(x, found)
            else:
                found = np.asarray(function(x), dtype=np.float64).reshape(-1)
    except Exception as error:
        allowed = f"a function of a vector; at {at} it raises {error!r}"
        raise DomainError(name, function, allowed) from None
    if found.shape != (outputs,):
        raise DomainError(name, f"{found.size} numbers at {at}", f"{outputs} at each place")
    if not np.isfinite(found).all():
        raise DomainError(name, f"{found} at {at}", "finite there")


def _returned(jitted: Any, argument: Any) -> Any:
    """The type a function returns."""
    jitted.compile((argument,))
    return jitted.overloads[(argument,)].signature.return_type


# What is compiled -----------------------------------------------------------------------------


def _by_rows(rows: Any, dimension: int, outputs: int, count: int) -> Any:
    def block(px: Any, pout: Any, p: Any) -> None:
        x = carray(px, (dimension, LANES))
        out = carray(pout, (outputs, LANES))
        rows(x, out, carray(p, (count,)))

    return block


def _by_columns(function: Any, dimension: int, outputs: int) -> Any:
    def block(px: Any, pout: Any, p: Any) -> None:
        x = carray(px, (dimension, LANES))
        out = carray(pout, (outputs, LANES))
        for lane in range(LANES):
            put(out, lane, function(x[:, lane]))

    return block


def _in_place(function: Any, dimension: int, outputs: int) -> Any:
    def block(px: Any, pout: Any, p: Any) -> None:
        x = carray(px, (dimension, LANES))
        out = carray(pout, (outputs, LANES))
        for lane in range(LANES):
            function(x[:, lane], out[:, lane])

    return block


def _by_paths(function: Any, dimension: int, outputs: int) -> Any:
    def block(px: Any, pout: Any, p: Any) -> None:
        x = carray(px, (dimension, LANES))
        out = carray(pout, (outputs, LANES))
        here = np.empty(dimension)
        for lane in range(LANES):
            for j in range(dimension):
                here[j] = x[j, lane]
            found = function(here)
            for j in range(outputs):
                out[j, lane] = found[j]

    return block


def _by_differences(function: Any, dimension: int) -> Any:
    def block(px: Any, pout: Any, p: Any) -> None:
        x = carray(px, (dimension, LANES))
        out = carray(pout, (dimension, LANES))
        here = np.empty(dimension)
        for lane in range(LANES):
            for j in range(dimension):
                here[j] = x[j, lane]
            for j in range(dimension):
                # A third of the digits balances truncation and rounding: 1e-10 relative.
                middle = here[j]
                h = 6e-6 * (1.0 + abs(middle))
                here[j] = middle + h
                up = function(here)
                here[j] = middle - h
                down = function(here)
                here[j] = middle
                out[j, lane] = (up - down) / (2.0 * h)

    return block


def _changed(block: Any, outputs: int, sign: float, shift: float) -> Any:
    inner = numba.njit(error_model="numpy")(block)

    def changed(px: Any, pout: Any, p: Any) -> None:
        inner(px, pout, p)
        out = carray(pout, (outputs, LANES))
        factor, term = out.dtype.type(sign), out.dtype.type(shift)  # float32 stays float32
        for j in range(outputs):
            for lane in range(LANES):
                out[j, lane] = factor * out[j, lane] + term

    return changed


def _interpreted(
    function: Any, rows: bool, inplace: bool, sign: float, shift: float, differences: bool
) -> Any:
    """The same for ``NUMBA_DISABLE_JIT=1``."""

    def gradient(x: Array) -> Array:
        found = np.empty(len(x))
        for j in range(len(x)):
            h = 6e-6 * (1.0 + abs(x[j]))
            sides = []
            for move in (h, -h):
                moved = x.astype(np.float64)
                moved[j] += move
                sides.append(float(function(moved)))
            found[j] = (sides[0] - sides[1]) / (2.0 * h)
        return found

    def block(x: Any, out: Any, numbers: Any) -> None:
        if rows:
            function(x, out, numbers)
        else:
            for lane in range(LANES):
                if differences:
                    out[:, lane] = gradient(x[:, lane])
                elif inplace:
                    function(x[:, lane], out[:, lane])
                else:
                    out[:, lane] = function(x[:, lane])
        out *= sign
        out += shift

    return block
