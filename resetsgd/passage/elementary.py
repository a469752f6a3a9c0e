"""Elementary functions of one float or of arrays, so that a formula is written once for both.

NumPy takes a microsecond for each operation on a single number, and moves arrays that do not fit
into the cache once for each operation. A formula written with the functions here, and evaluated by
:func:`each`, is plain arithmetic for floats, and goes through large arrays in blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "choose",
    "each",
    "everywhere",
    "exp",
    "expm1",
    "hypot",
    "log",
    "log1p",
    "ordinary",
    "pick",
    "slope",
    "sqrt",
]

_BLOCK = 2**13
"""Numbers in a block: a few dozen arrays of them fit into the cache."""


def exp(x: Any) -> Any:
    """exp(x)."""
    return math.exp(x) if type(x) is float else np.exp(x)


def expm1(x: Any) -> Any:
    """exp(x) - 1."""
    return math.expm1(x) if type(x) is float else np.expm1(x)


def log(x: Any) -> Any:
    """Natural logarithm."""
    return math.log(x) if type(x) is float else np.log(x)


def log1p(x: Any) -> Any:
    """log(1 + x) of real x."""
    return math.log1p(x) if type(x) is float else np.log1p(x)


def sqrt(x: Any) -> Any:
    """Square root."""
    return math.sqrt(x) if type(x) is float else np.sqrt(x)


def hypot(x: Any, y: Any) -> Any:
    """sqrt(x² + y²) of two floats or two arrays."""
    return math.hypot(x, y) if type(x) is float and type(y) is float else np.hypot(x, y)


def everywhere(mask: Any) -> bool:
    """Whether a condition holds, for all of an array."""
    return mask if type(mask) is bool else bool(mask.all())


def ordinary(mask: Any) -> bool:
    """Whether a condition holds everywhere; a float for which it does not goes on as an array."""
    if type(mask) is bool:
        if mask:
            return True
        raise ArithmeticError("beyond the ordinary range of floats")
    return bool(mask.all())


def pick(mask: Any, yes: Any, no: Any) -> Any:
    """``yes`` where a condition holds, else ``no``."""
    return (yes if mask else no) if type(mask) is bool else np.where(mask, yes, no)


def choose(mask: Any, near: Callable[..., Any], far: Callable[..., Any], *arguments: Any) -> Any:
    """One function of the arguments where a condition holds, another elsewhere, each only there.

    Arrays among the arguments are of the shape of the mask, or broadcast to it.
    """
    if type(mask) is bool:
        return (near if mask else far)(*arguments)
    count = int(np.count_nonzero(mask))
    if count in (0, mask.size):
        value = (near if count else far)(*arguments)
        return np.broadcast_to(value, mask.shape) if np.ndim(value) < mask.ndim else value

    def at(part: Any, place: Any) -> Any:
        if not isinstance(part, np.ndarray) or not part.ndim:
            return part
        return (part if part.shape == mask.shape else np.broadcast_to(part, mask.shape))[place]

    rest = ~mask
    first = near(*(at(part, mask) for part in arguments))
    last = far(*(at(part, rest) for part in arguments))
    value = np.empty(mask.shape, np.result_type(first, last))
    value[mask], value[rest] = first, last
    return value


def each(kernel: Callable[..., Any], *arguments: Any) -> Any:
    """A kernel of floats, or of arrays that broadcast, elementwise.

    Floats go through as they are; where that ends in an arithmetic exception (a division by zero,
    an overflow, :func:`ordinary`), and for anything else, the kernel sees arrays, whose ends of
    float64 are values. Large arrays come in blocks.
    """
    for argument in arguments:
        if type(argument) is not float:
            break
    else:
        try:
            return kernel(*arguments)
        except (ArithmeticError, ValueError):
            pass
    arrays = [np.asarray(argument) for argument in arguments]
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    size = math.prod(shape)
    flat = [array if array.size == 1 else np.broadcast_to(array, shape) for array in arrays]
    flat = [array.reshape(()) if array.size == 1 else array.reshape(-1) for array in flat]
    if size == 1:
        flat = [array.reshape(1) for array in flat]
    with np.errstate(all="ignore"):
        if size <= _BLOCK:
            return np.broadcast_to(kernel(*flat), (size,)).reshape(shape)[()]
        parts = []
        for first in range(0, size, _BLOCK):
            now = slice(first, first + _BLOCK)
            part = kernel(*(array[now] if array.ndim else array for array in flat))
            parts.append(np.broadcast_to(part, (min(_BLOCK, size - first),)))
        return np.concatenate(parts).reshape(shape)


_STEP = 1e-30
"""Relative complex step of a derivative: far below rounding, far above underflow."""


def slope(log_kernel: Callable[..., Any], *arguments: Any) -> Any:
    """d log f/d log x for the last of the arguments of a kernel of arrays, log f analytic in it.

    By a complex step: where log f is a sum of terms that do not cancel, neither do their slopes.
    """
    *rest, x = arguments
    with np.errstate(all="ignore"):
        x = np.asarray(x, dtype=np.float64) * complex(1.0, _STEP)
        return each(lambda *parts: np.imag(log_kernel(*parts)) / _STEP, *rest, x)
