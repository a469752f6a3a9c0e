"""A user's function of one number, compiled into a block function for the kernels.

``math`` and ``numpy`` functions that have a twin in :mod:`.kernels.elementary` are exchanged for
it, wherever the function (or a Python function that it calls) looks them up, so that the loop over
positions becomes vector code. Derivatives are central differences with a relative step of 2^-17:
their error is about 1e-10 of the function's scale, far below what any simulation can see.
"""

from __future__ import annotations

import math
import types as python
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba.core.errors import NumbaError
from numba.extending import is_jitted

from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo.kernels import elementary
from resetsgd.montecarlo.kernels.compiling import BLOCK, address_of, helper, inlined, settings
from resetsgd.montecarlo.kernels.drifts import evaluate

__all__ = ["Block", "builtin", "compiled", "of_arrays", "seen_by", "vectorised"]

NO_NUMBERS: Array = np.zeros(1)

carray: Any = vars(numba)["carray"]

_FULL = {name: getattr(elementary, name) for name in ("exp", "expm1", "log", "sin", "cos", "tanh")}
_SINGLE = _FULL | {
    name: getattr(elementary, f"{name}_single") for name in ("exp", "sin", "cos", "tanh")
}
_SPACING = 2.0**-17


@dataclass(frozen=True, eq=False)
class Block:
    """A block function, the numbers it gets, what keeps it alive and what it was made of."""

    address: Any
    parameters: Array
    owner: Any = None
    source: tuple[Any, ...] = ()

    def __call__(self, x: Array, rows: int = 1) -> Array:
        """Its values at positions; of shape (rows, len(x)) for more than one row."""
        x = np.ascontiguousarray(x, dtype=np.float64)
        out = np.empty(rows * x.size)
        evaluate(self.address, x, out, x.size, self.parameters)
        return out if rows == 1 else out.reshape(rows, x.size)


def builtin(function: Any, *parameters: float) -> Block:
    """A block function of :mod:`.kernels.drifts` with its parameters."""
    return Block(address_of(function), np.array(parameters or (0.0,)), function)


def vectorised(
    function: Callable[..., Any], single: bool = False, _seen: dict[int, Any] | None = None
) -> Any:
    """A compiled twin of a Python function, with our elementary functions in it.

    Parameters
    ----------
    function : callable
        A Python function; one that numba has compiled already is taken as it is.
    single : bool
        Take those with the accuracy of float32.
    """
    if is_jitted(function) or not isinstance(function, python.FunctionType):
        return function
    seen = {} if _seen is None else _seen
    if id(function) in seen:
        return seen[id(function)]

    def exchanged(value: Any) -> Any:
        if value is math or value is np:
            return _module(value, single)
        for name, twin in (_SINGLE if single else _FULL).items():
            if value is getattr(math, name) or value is getattr(np, name):
                return twin
        if isinstance(value, python.FunctionType) and value is not function:
            return vectorised(value, single, seen)
        return value

    names = _names(function.__code__)
    scope = {key: exchanged(value) if key in names else value
             for key, value in function.__globals__.items()}  # fmt: skip
    cells = tuple(python.CellType(exchanged(cell.cell_contents))
                  for cell in function.__closure__ or ())  # fmt: skip
    twin = python.FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, cells
    )
    made = numba.njit(error_model="numpy", forceinline=True)(twin)
    seen[id(function)] = made
    return made


def _names(code: python.CodeType) -> set[str]:
    inner = (item for item in code.co_consts if isinstance(item, python.CodeType))
    return set(code.co_names).union(*(_names(item) for item in inner))


class _Same:
    """An object compared by identity; kept alive, so that no other takes its place in memory."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


def seen_by(function: Any, depth: int = 4) -> Any:
    """What a function reads from around it: numba compiles it in, so a change means a new one.

    Parameters
    ----------
    function : callable
        A Python function, plain or compiled by numba.
    depth : int
        How far functions that it calls, and modules that it names, are followed.

    Returns
    -------
    hashable
        Equal for the same function as long as no number, array or function among its globals,
        closure and defaults has changed.
    """
    function = getattr(function, "py_func", function)
    code = getattr(function, "__code__", None)
    if code is None or depth == 0:
        return _Same(function)
    names = sorted(_names(code))

    def key(value: Any) -> Any:
        if isinstance(value, (bool, int, float, complex, str, bytes, np.generic)):
            return type(value), repr(value)  # 1 and 1.0, 0.0 and -0.0 are told apart
        if isinstance(value, np.ndarray):
            return value.shape, value.dtype.str, value.tobytes()
        if isinstance(value, (tuple, list)):
            return tuple(key(item) for item in value)
        if isinstance(value, python.ModuleType) and value not in (math, np):
            inside = vars(value)
            return _Same(value), tuple(
                key(inside[name])
                for name in names
                if name in inside and not isinstance(inside[name], python.ModuleType)
            )
        return seen_by(value, depth - 1)

    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    scope = function.__globals__
    around = [scope[name] for name in names if name in scope]
    around += [*cells, *(function.__defaults__ or ())]
    return code, tuple(key(value) for value in around if value is not function)


@lru_cache(maxsize=4)
def _module(module: Any, single: bool) -> Any:
    """A stand-in for ``math`` or ``numpy`` with our elementary functions."""
    twin = python.ModuleType(module.__name__)
    twin.__dict__.update(module.__dict__)
    twin.__dict__.update(_SINGLE if single else _FULL)
    return twin


def compiled(
    name: str,
    function: Callable[[Any], Any],
    *,
    kind: str = "value",
    single: bool = False,
    scale: float = 1.0,
    at: float = 0.0,
) -> Block:
    """Compile a function of the position.

    Parameters
    ----------
    name : str
        The argument it came as, for messages.
    function : callable
        Position to number.
    kind : {"value", "downhill", "spread"}
        What the block writes: the function; minus its derivative; or, for a diffusivity D, first
        sqrt(2 D) for all positions and then D'.
    single : bool
        Compute elementary functions to 3e-7 only, at half the cost: for values, no differences.
    scale : float
        Smallest length over which it changes, for differences.
    at : float
        A position where it must give a finite number.

    Raises
    ------
    DomainError
        If numba cannot compile it, or it does not give a finite number at ``at``.

    Examples
    --------
    >>> import math
    >>> block = compiled("drift", lambda x: -math.sin(x))
    >>> block(np.array([0.0, 1.0])).round(12).tolist()
    [-0.0, -0.841470984808]
    """
    try:
        with np.errstate(all="ignore"):
            value = function(at)
            number = float(value)
    except Exception as error:
        raise DomainError(
            name, function, f"a function of one number; at {at:g} it raises {error!r}"
        ) from None
    if not math.isfinite(number):
        raise DomainError(name, f"{number} at {at:g}", "finite there")
    parameters = np.array([_SPACING * scale])
    if settings.DISABLE_JIT:
        return Block(_interpreted(function, kind), parameters, function)
    try:
        source = function, seen_by(function), kind, single
        made = _compile(*source)
    except NumbaError as error:
        raise DomainError(name, function, f"a function that numba can compile: {_reason(error)}") \
            from None  # fmt: skip
    return Block(made.address, parameters, made, source)


@lru_cache(maxsize=64)
def _compile(function: Any, seen: Any, kind: str, single: bool) -> Any:
    """The C function; remembered for as long as what the function sees around it is the same."""
    write = _written(vectorised(function, single), kind, carray)
    return numba.cfunc(BLOCK, error_model="numpy")(write)


def of_arrays(block: Block) -> Any:
    """A block function as a compiled function f(x, out, n, p) of arrays, for other processors.

    The same object for the same function, as long as what it sees around it is the same.
    """
    if settings.DISABLE_JIT:
        return block.address
    return _of_arrays(*(block.source or (block.owner.__wrapped__, None, "", False)))


@lru_cache(maxsize=64)
def _of_arrays(function: Any, seen: Any, kind: str, single: bool) -> Any:
    if kind:
        function = _written(vectorised(function, single), kind, _as_given)
    return helper(function)


@inlined
def _as_given(array: Any, shape: Any) -> Any:
    return array


def _written(f: Any, kind: str, view: Any) -> Any:
    """The source of a block function; ``view`` makes an array of the given shape of an argument."""
    if kind == "value":

        def write(x: Any, out: Any, n: int, p: Any) -> None:
            xs, values = view(x, (n,)), view(out, (n,))
            for i in range(n):
                values[i] = f(xs[i])
    elif kind == "downhill":

        def write(x: Any, out: Any, n: int, p: Any) -> None:
            xs, values = view(x, (n,)), view(out, (n,))
            least = p[0]
            for i in range(n):
                size = abs(xs[i]) * _SPACING
                h = size if size > least else least
                right, left = xs[i] + h, xs[i] - h
                values[i] = (f(left) - f(right)) / (right - left)
    else:

        def write(x: Any, out: Any, n: int, p: Any) -> None:
            xs, values = view(x, (n,)), view(out, (2 * n,))
            least = p[0]
            for i in range(n):
                size = abs(xs[i]) * _SPACING
                h = size if size > least else least
                right, left = xs[i] + h, xs[i] - h
                values[i] = math.sqrt(2.0 * f(xs[i]))
                values[n + i] = (f(right) - f(left)) / (right - left)

    return write


def _interpreted(f: Any, kind: str) -> Any:
    """The same without numba."""

    def write(x: Any, out: Any, n: int, p: Any) -> None:
        for i in range(n):
            h = max(abs(float(x[i])) * _SPACING, float(p[0]))
            right, left = float(x[i]) + h, float(x[i]) - h
            if kind == "value":
                out[i] = f(float(x[i]))
            elif kind == "downhill":
                out[i] = (f(left) - f(right)) / (right - left)
            else:
                out[i] = np.sqrt(2.0 * np.float64(f(float(x[i]))))
                out[n + i] = (f(right) - f(left)) / (right - left)

    return write


def _reason(error: NumbaError) -> str:
    """The line of numba's message that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    skip = ("Failed in", "During:", "File ", "- Resolution", "<source", "^", "def ", "There are")
    useful = [line for line in lines if not line.startswith(skip)]
    return (useful or lines or ["unknown reason"])[0][:200]
