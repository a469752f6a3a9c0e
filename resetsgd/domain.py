"""What an argument may be: each check returns the argument as float64 or raises a ``DomainError``.

Every public function passes its input through one of these, so that a wrong value is always
answered by its name, itself and what is allowed, and never by NaN.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd.errors import DomainError

Array = npt.NDArray[np.float64]
Real = float | Array
RealLike = float | int | npt.ArrayLike

QUIET = np.errstate(all="ignore")
"""The ends of float64 are taken by value: what over- or underflows is put right after."""

_EXACT = 2**53
"""Whole numbers below are exact as float64."""

__all__ = [
    "QUIET",
    "Array",
    "Real",
    "RealLike",
    "broadcast",
    "choice",
    "finite",
    "gap",
    "integer",
    "nonnegative",
    "plain",
    "positive",
    "probability",
    "single",
    "transform_variable",
    "within",
]


def _real(name: str, value: RealLike) -> Array:
    """The value as a float64 array of real numbers, NaN refused."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise DomainError(name, value, "a real number or an array of real numbers") from None
    if np.isnan(array).any():
        raise DomainError(name, value, "a real number (NaN is not)")
    return array


def _scalar(value: RealLike) -> float:
    """The value of a plain number, NaN for anything else: the short way for one number."""
    if isinstance(value, float) or (type(value) is int and -_EXACT < value < _EXACT):
        return float(value)
    return math.nan


def within(
    name: str,
    value: RealLike,
    low: float,
    high: float,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> Real:
    """Real number(s) between two bounds, closed unless said otherwise."""
    number = _scalar(value)
    if (
        low < number < high
        or (number == low and not open_low)
        or (number == high and not open_high)
    ):
        return number
    array = _real(name, value)
    below = array <= low if open_low else array < low
    above = array >= high if open_high else array > high
    wrong = below | above
    if wrong.any():
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        shown = value if array.ndim == 0 else float(array[wrong].flat[0])
        raise DomainError(name, shown, f"in {left}{low:g}, {high:g}{right}")
    return plain(array)


def finite(name: str, value: RealLike) -> Real:
    """Finite real number(s)."""
    if -math.inf < (number := _scalar(value)) < math.inf:
        return number
    array = _real(name, value)
    if not np.isfinite(array).all():
        raise DomainError(name, value, "finite")
    return plain(array)


def positive(name: str, value: RealLike) -> Real:
    """Finite real number(s) above zero."""
    if 0.0 < (number := _scalar(value)) < math.inf:
        return number
    array = np.asarray(finite(name, value))
    if (array <= 0).any():
        shown = value if array.ndim == 0 else float(array[array <= 0].flat[0])
        raise DomainError(name, shown, "positive and finite")
    return plain(array)


def nonnegative(name: str, value: RealLike, *, infinite: bool = False) -> Real:
    """Real number(s) from zero on; ``infinite`` admits ``inf``."""
    if 0.0 <= (number := _scalar(value)) < math.inf:
        return number + 0.0  # no -0
    array = _real(name, value)
    wrong = (array < 0) | (np.isinf(array) & (not infinite))
    if wrong.any():
        shown = value if array.ndim == 0 else float(array[wrong].flat[0])
        raise DomainError(name, shown, "zero or positive" + ("" if infinite else " and finite"))
    return plain(array)


def transform_variable(s: Any) -> Any:
    """Validated transform variable: real and >= 0, or complex and finite."""
    array = np.asarray(s)
    if array.dtype.kind == "c":
        if not np.isfinite(array).all():
            raise DomainError("s", s, "finite")
        return array
    return np.asarray(nonnegative("s", s))


def probability(name: str, value: RealLike, *, zero: bool = True, one: bool = True) -> Real:
    """Probability or probabilities; the ends can be excluded."""
    return within(name, value, 0.0, 1.0, open_low=not zero, open_high=not one)


def single(name: str, value: Any, check: Callable[[str, Any], Real] = finite) -> float:
    """A single real number: finite, or whatever else the check asks; arrays are refused."""
    number = check(name, value)
    if not isinstance(number, float):
        raise DomainError(name, value, "a single number")
    return number


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Whole number between two bounds; accepts anything that is an index, refuses booleans."""
    allowed = f"a whole number >= {low}" + ("" if high is None else f" and <= {high}")
    if isinstance(value, (bool, np.bool_)):
        raise DomainError(name, value, allowed)
    try:
        number = operator.index(value)
    except TypeError:
        raise DomainError(name, value, allowed) from None
    if number < low or (high is not None and number > high):
        raise DomainError(name, value, allowed)
    return number


def choice(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """One of a few words."""
    if value not in allowed:
        raise DomainError(name, value, "one of " + ", ".join(repr(word) for word in allowed))
    return value


def broadcast(**arguments: Any) -> tuple[int, ...]:
    """The common shape of named arguments, or a ``DomainError`` that names their shapes."""
    if all(isinstance(value, float) for value in arguments.values()):
        return ()
    shapes = {name: np.shape(value) for name, value in arguments.items()}
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        raise DomainError(
            ", ".join(shapes), tuple(shapes.values()), "of shapes that broadcast together"
        ) from None


def gap(start: Any, target: Any) -> Any:
    """start - target of two positions that are checked and broadcast: none of them 0 or infinite.

    A NumPy number or array.
    """
    if isinstance(start, float) and isinstance(target, float):  # the usual case, quickly
        difference: Any = np.float64(start - target)
    else:
        with np.errstate(over="ignore"):
            difference = np.subtract(start, target)
    size = np.abs(difference)
    if not size.all():
        raise DomainError("start", plain(start), f"different from the target {plain(target)!r}")
    if size.max(initial=0.0) == np.inf:
        raise DomainError("start", plain(start), "within the float64 range of the target")
    return difference


def plain(value: Any) -> Real:
    """A 0-d result as a Python float, anything else as it is: scalars in, float out."""
    array: Any = np.asarray(value)
    return array.item() if array.ndim == 0 else array  # type: ignore[no-any-return]
