"""Targets in many dimensions: what a simulated path is to reach.

Between two time steps a path may touch a target and leave it again. For planes, slabs and spheres
that is accounted for by the crossing probability of a Brownian bridge to the tangent plane at the
nearest point: exact for planes and constant coefficients, with an error of the order of the step
(instead of its square root) for curved targets. Levels and predicates are looked at after each step
only: passage times are too long by a share of the order of the root of the step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, RealLike
from resetsgd.errors import DomainError

__all__ = ["Target", "ball", "half_space", "interval", "level", "outside", "point", "predicate"]


@dataclass(frozen=True, eq=False)
class Target:
    """Something to reach; made by the functions of this module.

    Attributes
    ----------
    kind : str
        Name of the function that made it.
    vector : ndarray or None
        Unit normal or centre, shape (d,).
    axis : int or None
        Number of the coordinate that is the normal instead, counted with ``sign``.
    sign : float
        1 or -1.
    low, high : float
        Distances from the origin along the normal, radius (``low``), or level.
    function : callable or None
        The predicate.
    """

    kind: str
    vector: Array | None = None
    axis: int | None = None
    sign: float = 1.0
    low: float = 0.0
    high: float = np.inf
    function: Callable[..., Any] | None = None

    def __repr__(self) -> str:
        parts = [] if self.function is None else [getattr(self.function, "__name__", "function")]
        if self.kind in ("interval", "half_space"):
            parts.append(f"axis={self.axis}" if self.vector is None else str(self.vector.tolist()))
            parts.append("below" if self.sign > 0 else "above")
        elif self.kind in ("ball", "outside"):
            parts.append(str(np.asarray(self.vector).tolist()))
        if self.kind != "predicate":
            parts.append(f"{self.low:g}" if self.high == np.inf else f"{self.low:g}, {self.high:g}")
        return f"{self.kind}({', '.join(parts)})"

    def direction(self, dimension: int) -> Array:
        """Unit normal or centre in so many dimensions.

        Raises
        ------
        DomainError
            If the target belongs to another number of dimensions.
        """
        if self.axis is not None:
            if self.axis >= dimension:
                raise DomainError("target", f"coordinate {self.axis}", f"below {dimension}")
            unit = np.zeros(dimension)
            unit[self.axis] = self.sign
            return unit
        if self.vector is None:
            return np.zeros(dimension)
        if len(self.vector) != dimension:
            raise DomainError("target", f"{len(self.vector)} dimensions", f"of {dimension}")
        return self.sign * self.vector


def point(position: RealLike) -> Target:
    """One dimension: a point, reached from either side.

    Parameters
    ----------
    position : float
        Length.

    Raises
    ------
    DomainError
        If it is not a finite number.

    Examples
    --------
    >>> point(0.0).kind
    'point'
    """
    return Target("point", np.ones(1), low=domain.single("position", position))


def interval(low: RealLike, high: RealLike, axis: int | RealLike = 0) -> Target:
    """Leaving the interval (low, high) of one coordinate; ``exit_side`` says through which end.

    Parameters
    ----------
    low, high : float
        Ends, length, low < high.
    axis : int or array of shape (d,), default 0
        Number of the coordinate, or a direction.

    Raises
    ------
    DomainError
        If the ends are not finite and rising, or the direction is zero.

    Examples
    --------
    >>> interval(-1.0, 1.0).high
    1.0
    """
    left, right = domain.single("low", low), domain.single("high", high)
    if not left < right:
        raise DomainError("high", high, f"above low = {left:g}")
    vector, number = _direction("axis", axis)
    return Target("interval", vector, number, low=left, high=right)


def half_space(normal: int | RealLike, offset: RealLike, *, above: bool = True) -> Target:
    """The points x with normal . x >= offset.

    Parameters
    ----------
    normal : int or array of shape (d,)
        Number of a coordinate, or a direction.
    offset : float
        Length; length² with a normal that is one.
    above : bool, default True
        False for normal . x <= offset.

    Raises
    ------
    DomainError
        If the normal is zero or a number is not finite.

    Examples
    --------
    >>> half_space([0.0, 2.0], 1.0).low  # -y <= -1/2
    -0.5
    """
    vector, axis = _direction("normal", normal)
    sign = -1.0 if above else 1.0  # the kernel looks for n.x <= low
    low = sign * domain.single("offset", offset) / _length(normal)
    return Target("half_space", vector, axis, sign, low)


def ball(centre: RealLike, radius: RealLike) -> Target:
    """The points within a distance of a centre.

    Parameters
    ----------
    centre : array of shape (d,)
        Length.
    radius : float
        Length, positive.

    Raises
    ------
    DomainError
        If a number is not finite or the radius not positive.

    Examples
    --------
    >>> ball([0.0, 0.0], 0.5).low
    0.5
    """
    return Target(
        "ball", _vector("centre", centre), low=domain.single("radius", radius, domain.positive)
    )


def outside(centre: RealLike, radius: RealLike) -> Target:
    """The points at least a distance from a centre: leaving a ball.

    Parameters
    ----------
    centre : array of shape (d,)
        Length.
    radius : float
        Length, positive.

    Raises
    ------
    DomainError
        If a number is not finite or the radius not positive.

    Examples
    --------
    >>> outside([0.0, 0.0], 2.0).kind
    'outside'
    """
    return Target(
        "outside", _vector("centre", centre), low=domain.single("radius", radius, domain.positive)
    )


def level(value: RealLike, function: Callable[..., Any] | None = None) -> Target:
    """The points where the potential, or another function of x, is at most a value.

    Parameters
    ----------
    value : float
        In the units of the function.
    function : callable, optional
        A plain Python function of an array of shape (d,) that returns a number; by default the
        process's potential.

    Raises
    ------
    DomainError
        If the value is not finite.

    Examples
    --------
    >>> level(0.1).low
    0.1
    """
    if function is not None and not callable(function):
        raise DomainError("function", function, "a function of a vector")
    return Target("level", low=domain.single("value", value), function=function)


def predicate(function: Callable[..., Any]) -> Target:
    """The points where a function is true.

    Parameters
    ----------
    function : callable
        A plain Python function of an array of shape (d,) that returns a truth value.

    Raises
    ------
    DomainError
        If it cannot be called.

    Examples
    --------
    >>> predicate(lambda x: x[0] > 0 and x[1] > 0).kind
    'predicate'
    """
    if not callable(function):
        raise DomainError("function", function, "a function of a vector")
    return Target("predicate", function=function)


def _vector(name: str, value: RealLike) -> Array:
    array = np.atleast_1d(np.array(domain.finite(name, value)))
    if array.ndim != 1:
        raise DomainError(name, value, "an array of shape (d,)")
    array.setflags(write=False)
    return array


def _direction(name: str, axis: int | RealLike) -> tuple[Array | None, int | None]:
    """A unit vector, or the number of a coordinate."""
    if np.ndim(axis) == 0:
        return None, domain.integer(name, axis, 0)
    array = np.array(domain.finite(name, axis))
    if array.ndim != 1 or not 0.0 < _length(axis) < np.inf:
        raise DomainError(name, axis, "a direction: an array of shape (d,), not zero")
    array = array / _length(axis)
    array.setflags(write=False)
    return array, None


def _length(axis: int | RealLike) -> float:
    return 1.0 if np.ndim(axis) == 0 else float(np.linalg.norm(np.asarray(axis, dtype=np.float64)))
