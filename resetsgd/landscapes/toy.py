"""What a toy landscape is, and what they are made with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, RealLike
from resetsgd.errors import DomainError
from resetsgd.processes.landscape import Landscape
from resetsgd.processes.langevin import Langevin

__all__ = ["Rows", "Toy", "along", "points", "scalar", "settled", "transverse", "vector"]


@dataclass(frozen=True, eq=False)
class Toy:
    """A potential with what is known about it; made by the functions of this module.

    Attributes
    ----------
    name : str
    dimension : int
    potential, gradient : callable
        U(x), length²/time, and its gradient, of an array of shape (d,).
    minima, saddles : tuple of ndarray
        Known stationary points, each of shape (d,); empty where there are too many to list.
    parts : dict
        Functions of the first coordinate that it is made of, by name, where there are some.
    line : callable or None
        The potential as a function of a number; one dimension.
    """

    name: str
    dimension: int
    potential: Callable[..., Any]
    gradient: Callable[..., Any]
    minima: tuple[Array, ...] = ()
    saddles: tuple[Array, ...] = ()
    parts: dict[str, Callable[..., Any]] = field(default_factory=dict)
    line: Callable[..., Any] | None = None

    def langevin(self, diffusivity: Any = 1.0, friction: float | None = None) -> Langevin:
        """The motion in it, see :class:`~resetsgd.Langevin`."""
        return Langevin(
            gradient=self.gradient,
            potential=self.potential,
            dimension=self.dimension,
            diffusivity=diffusivity,
            friction=friction,
        )

    def landscape(self, diffusivity: Any = 1.0) -> Landscape:
        """The motion in it as a :class:`~resetsgd.Landscape`; one dimension only.

        Raises
        ------
        DomainError
            In more dimensions.
        """
        if self.dimension != 1 or self.line is None:
            raise DomainError("dimension", self.dimension, "1: use langevin() in more")
        return Landscape(self.line, diffusivity)


class Rows:
    """A gradient in two forms: of one vector, and of the rows of many (see ``row_functions``)."""

    def __init__(self, function: Any, rows: Any, numbers: Array) -> None:
        self.function, self.rows, self.numbers = function, rows, numbers

    def __call__(self, x: Any) -> Any:
        """The gradient at one place."""
        return self.function(x)

    def __repr__(self) -> str:
        return f"gradient of {len(self.numbers)} curvatures"


def vector(name: str, value: RealLike, *, positive: bool = False) -> Array:
    """Numbers as an array of shape (n,); one number is one."""
    check = domain.positive if positive else domain.finite
    array = np.array(check(name, value))
    array = array.reshape(1) if array.ndim == 0 else array
    if array.ndim != 1:
        raise DomainError(name, value, "numbers, shape (n,)")
    return array


def scalar(name: str, value: RealLike, *, positive: bool = True) -> float:
    """A single number."""
    return domain.single(name, value, domain.positive if positive else domain.finite)


def transverse(curvatures: Sequence[float] | RealLike) -> Array:
    """Curvatures of the further coordinates, perhaps none."""
    if np.size(curvatures) == 0:
        return np.zeros(0)
    return vector("transverse", curvatures, positive=True)


def points(places: Sequence[Any], dimension: int) -> tuple[Array, ...]:
    """Points on the first axis, or anywhere."""
    made = []
    for place in places:
        point = np.zeros(dimension)
        point[: np.size(place)] = place
        point.setflags(write=False)
        made.append(point)
    return tuple(made)


def along(
    name: str, line: Any, slope: Any, curvatures: Array, minima: Sequence[float],
    saddles: Sequence[float] = (), parts: dict[str, Any] | None = None,
) -> Toy:  # fmt: skip
    """A one-dimensional potential with parabolas in the further coordinates."""
    d, k = 1 + len(curvatures), curvatures

    def potential(x: Any) -> Any:
        total = line(x[0])
        for j in range(1, d):
            total += 0.5 * k[j - 1] * x[j] * x[j]
        return total

    def gradient(x: Any, out: Any) -> None:
        out[0] = slope(x[0])
        for j in range(1, d):
            out[j] = k[j - 1] * x[j]

    return Toy(
        name, d, potential, gradient, points(minima, d), points(saddles, d), parts or {}, line
    )


def settled(toy: Toy, guess: Array) -> Array:
    """The stationary point near a guess, by Newton's method with differences of the gradient."""
    place = np.array(guess, dtype=np.float64)
    d = len(place)
    for _ in range(30):
        base = _gradient(toy, place)
        hessian = np.empty((d, d))
        for j in range(d):
            step = np.zeros(d)
            step[j] = 1e-6
            hessian[:, j] = (_gradient(toy, place + step) - _gradient(toy, place - step)) / 2e-6
        move = np.linalg.solve(hessian, base)
        place -= move
        if np.abs(move).max() < 1e-14:
            break
    place.setflags(write=False)
    return place


def _gradient(toy: Toy, place: Array) -> Array:
    out = np.empty(toy.dimension)
    try:
        toy.gradient(place, out)
    except TypeError:
        out[:] = toy.gradient(place)
    return out
