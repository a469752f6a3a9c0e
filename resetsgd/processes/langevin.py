"""Motion in any potential or drift in any number of dimensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.processes.base import Process

__all__ = ["Langevin"]

Function = Callable[..., Any]

MOST_DIMENSIONS = 1024


@dataclass(frozen=True, eq=False)
class Langevin(Process):
    r"""A particle in d dimensions, :math:`dx = b(x)\,dt + \sqrt{2 D}\,dW`, or with inertia.

    With friction :math:`\gamma` it has a velocity,
    :math:`dx = v\,dt,\ dv = \gamma (b(x) - v)\,dt + \gamma \sqrt{2 D}\,dW`, which for large
    friction is the same motion, and for small friction keeps going for a time :math:`1/\gamma`:
    SGD with momentum :math:`\beta` has :math:`\gamma = (1 - \beta)` per step.

    Parameters
    ----------
    gradient : callable, optional
        :math:`\nabla U(x)`, length/time; the drift is its negative. A plain Python function of an
        array of shape (d,) that returns a tuple of d numbers (fastest), or an array; or a function
        ``f(x, out)`` that fills ``out``. Compiled by numba when it is simulated.
    drift : callable, optional
        :math:`b(x)`, length/time, in place of ``gradient``; need not be the gradient of anything.
    potential : callable, optional
        :math:`U(x)`, length²/time, a number. Alone it is differentiated numerically (relative error
        1e-9, 2 d calls a step); with ``gradient`` it serves targets at a level of U.
    dimension : int
        d, from 1 to 1024.
    diffusivity : float, array of shape (d,) or (d, d), or callable
        D, length²/time: the same in all directions, along each axis, or a covariance matrix
        (positive semidefinite); or a function D(x) that returns a number or a tuple of d of them,
        in the sense of Ito.
    friction : float, optional
        :math:`\gamma`, 1/time, positive. Left out: overdamped.
    correlation_time : float, optional
        :math:`\tau`, positive: the noise lasts, as that of :class:`~resetsgd.ColouredNoise`, with
        :math:`\langle \eta_i(t) \eta_j(s) \rangle = (D_{ij}/\tau) e^{-|t - s|/\tau}`. For constant
        D, without friction. A reset draws it anew.

    Raises
    ------
    DomainError
        If an argument is not of these kinds, or the function is missing or given twice.

    Notes
    -----
    **Source**: H. Risken, *The Fokker-Planck Equation* (1989), chapters 3 and 10.

    Examples
    --------
    >>> bowl = Langevin(gradient=lambda x: (x[0], 4.0 * x[1]), dimension=2, diffusivity=0.5)
    >>> bowl.kind, bowl.covariance.tolist()
    ('overdamped', [[0.5, 0.0], [0.0, 0.5]])

    In noise that lasts for a time 2 a stiffness k sees only a share 1/(1 + 2 k) of it:

    >>> import resetsgd as rs
    >>> bowl = Langevin(gradient=lambda x: (x[0],), diffusivity=1.0, correlation_time=2.0)
    >>> seen = rs.sample_stationary(bowl, None, [0.0], after=20.0, paths=4000)
    >>> bool(abs(seen.var()[0] - 1 / 3) < 0.05)
    True
    """

    gradient: Function | None = None
    drift: Function | None = None
    potential: Function | None = None
    dimension: int = 1
    diffusivity: Any = 1.0
    friction: float | None = None
    correlation_time: float | None = None

    def __post_init__(self) -> None:
        for name in ("gradient", "drift", "potential"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise DomainError(name, getattr(self, name), "a function of a vector")
        given = [name for name in ("gradient", "drift") if getattr(self, name) is not None]
        if len(given) == 2 or not (given or self.potential is not None):
            raise DomainError("gradient", self.gradient, "given, or drift= or potential=, one way")
        dimension = domain.integer("dimension", self.dimension, 1, MOST_DIMENSIONS)
        object.__setattr__(self, "dimension", dimension)
        if not callable(self.diffusivity):
            object.__setattr__(self, "diffusivity", _checked(self.diffusivity, dimension))
        if self.friction is not None:
            friction = domain.single("friction", self.friction, domain.positive)
            object.__setattr__(self, "friction", friction)
        if self.correlation_time is not None:
            lasts = domain.single("correlation_time", self.correlation_time, domain.positive)
            object.__setattr__(self, "correlation_time", lasts)
            if self.friction is not None:
                raise DomainError("friction", self.friction, "None where the noise is correlated")
            if callable(self.diffusivity):
                allowed = "constant where the noise is correlated"
                raise DomainError("diffusivity", self.diffusivity, allowed)

    def _key(self) -> tuple[object, ...]:
        values = (getattr(self, field.name) for field in fields(self))
        return (
            type(self),
            *(
                (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
                for value in values
            ),
        )

    @property
    def kind(self) -> str:
        """``"overdamped"``, ``"underdamped"`` or, with a correlation time, ``"coloured"``."""
        if self.correlation_time is not None:
            return "coloured"
        return "overdamped" if self.friction is None else "underdamped"

    @property
    def covariance(self) -> Array:
        """The constant diffusivity as a matrix, shape (d, d).

        Raises
        ------
        DomainError
            If the diffusivity is a function.
        """
        if callable(self.diffusivity):
            raise DomainError("diffusivity", self.diffusivity, "constant")
        value: Any = np.asarray(self.diffusivity)
        return value if value.ndim == 2 else np.diag(np.broadcast_to(value, self.dimension))


def _checked(value: Any, dimension: int) -> float | Array:
    """A diffusivity: a positive number, a vector or a symmetric matrix."""
    array = np.array(domain.finite("diffusivity", value))
    if array.ndim == 0:
        return float(np.asarray(domain.positive("diffusivity", value)))
    if array.shape == (dimension,):
        domain.nonnegative("diffusivity", array)
        lowest = array
    elif array.shape == (dimension, dimension) and np.allclose(array, array.T, rtol=1e-12, atol=0):
        lowest = np.linalg.eigvalsh(array)
    else:
        allowed = f"a number, {dimension} numbers, or a symmetric matrix of {dimension} rows"
        raise DomainError("diffusivity", value, allowed)
    if lowest.min() < -1e-12 * np.abs(lowest).max() or lowest.max() <= 0.0:
        raise DomainError("diffusivity", value, "positive semidefinite and not zero")
    array.setflags(write=False)
    return array
