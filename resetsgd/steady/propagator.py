"""Gaussian propagators: where a reset-free process sits at a given age."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.domain import Array, RealLike
from resetsgd.errors import DomainError
from resetsgd.processes import Process
from resetsgd.steady.ages import Ages

__all__ = ["Drifting", "Propagator", "Trapped", "propagator"]

_ROOT = np.sqrt(2.0 * np.pi)
_REACH = np.array([-12.0, -4.0, -1.0, 1.0, 4.0, 12.0])
"""Marks around the age at which a narrow cloud passes a place, in units of its width in age."""


_TURNS = np.array([0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.5, 9.0, 11.0, 13.0, 16.0, 20.0, 26.0])


class Propagator(ABC):
    """A Gaussian cloud that starts as a point: mean and variance at each age."""

    start: Array

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""

    @abstractmethod
    def mean(self, u: Any) -> Any:
        """Mean at age u, length."""

    @abstractmethod
    def var(self, u: Any) -> Any:
        """Variance at age u, length²."""

    @abstractmethod
    def passing(self, x: Any) -> tuple[Any, Any]:
        """Age at which the mean passes x, and the speed there; NaN where it never does."""

    @abstractmethod
    def long_run(self) -> tuple[Any, Any]:
        """Mean and variance without resets, after a long time."""

    @abstractmethod
    def mixed_mean(self, ages: Ages) -> Any:
        """Mean over random ages."""

    @abstractmethod
    def mixed_var(self, ages: Ages) -> Any:
        """Variance over random ages."""

    @np.errstate(all="ignore")
    def density(self, x: Any, u: Any) -> Any:
        """Density at x at age u > 0; 0 at age 0."""
        var = self.var(u)
        gap = x - self.mean(u)
        value = np.exp(-0.5 * gap * (gap / var)) / (_ROOT * np.sqrt(var))
        return np.where((var > 0) & ~np.isnan(value), value, 0.0)

    @np.errstate(all="ignore")
    def _standard(self, x: Any, u: Any) -> Any:
        """How many standard deviations x lies above the mean; 0 in an endlessly wide cloud."""
        gap, var = x - self.mean(u), self.var(u)
        value = np.where(var > 0, gap / np.sqrt(var), np.where(gap >= 0, np.inf, -np.inf))
        return np.where(np.isnan(value), 0.0, value)

    def cdf(self, x: Any, u: Any) -> Any:
        """P(X <= x) at age u."""
        return special.ndtr(self._standard(x, u))

    def survival(self, x: Any, u: Any) -> Any:
        """P(X > x) at age u."""
        return special.ndtr(-self._standard(x, u))

    @np.errstate(all="ignore")
    def marks(self, x: Any) -> Any:
        """Ages around the passage of the cloud at x, along the first axis."""
        age, speed = self.passing(x)
        width = np.sqrt(self.var(age)) / np.abs(speed)
        usable = np.isfinite(age) & np.isfinite(width) & (age > 0)
        shape = (-1, *(1,) * np.ndim(age))
        marks = np.where(usable, age, 0.0) + np.where(usable, width, 0.0) * _REACH.reshape(shape)
        return np.clip(np.concatenate([marks, *self._turns(np.shape(age))]), 0.0, None)

    def _turns(self, shape: tuple[int, ...]) -> list[Any]:
        """Ages at which the cloud changes its ways, if any, along the first axis."""
        del shape
        return []


class Drifting(Propagator):
    """Free diffusion with drift: mean x0 + mu u, variance 2 D u."""

    def __init__(self, drift: Any, diffusivity: Any, start: Any) -> None:
        self._mu, self._D, self.start = np.broadcast_arrays(
            *(np.asarray(a, np.float64) for a in (drift, diffusivity, start))
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return self.start.shape

    def mean(self, u: Any) -> Any:
        """x0 + mu u."""
        return self.start + self._mu * u

    def var(self, u: Any) -> Any:
        """2 D u."""
        return 2.0 * self._D * u

    @np.errstate(all="ignore")
    def passing(self, x: Any) -> tuple[Any, Any]:
        """Distance over speed: behind the start the same age dominates, of small terms."""
        return np.abs((x - self.start) / self._mu), self._mu

    def long_run(self) -> tuple[Any, Any]:
        """No long run: infinite variance."""
        infinite = np.full(self.shape, np.inf)
        mean = np.where(self._mu == 0, self.start, np.copysign(infinite, self._mu))
        return mean, infinite

    @np.errstate(all="ignore")
    def mixed_mean(self, ages: Ages) -> Any:
        """x0 + mu E[A]."""
        return self.start + np.where(self._mu == 0, 0.0, self._mu * ages.mean())

    @np.errstate(all="ignore")
    def mixed_var(self, ages: Ages) -> Any:
        """2 D E[A] + mu² Var[A]."""
        square = np.where(self._mu == 0, 0.0, self._mu * (self._mu * ages.var()))
        return 2.0 * self._D * ages.mean() + square


class Trapped(Propagator):
    """Ornstein–Uhlenbeck: mean c + d exp(-k u), variance (D/k) (1 - exp(-2 k u))."""

    def __init__(self, stiffness: Any, center: Any, diffusivity: Any, start: Any) -> None:
        arrays = (np.asarray(a, np.float64) for a in (stiffness, center, diffusivity, start))
        self._k, self._c, self._D, self.start = np.broadcast_arrays(*arrays)
        self._d = self.start - self._c

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return self.start.shape

    def mean(self, u: Any) -> Any:
        """x0 - d (1 - exp(-k u)): exact next to the start, where the cloud is narrow."""
        return self.start + self._d * np.expm1(-self._k * u)

    @np.errstate(all="ignore")
    def var(self, u: Any) -> Any:
        """(D/k) (1 - exp(-2 k u)), from 2 D u where that is young."""
        turns = 2.0 * self._k * u
        young = 2.0 * self._D * u * np.where(turns > 0, -np.expm1(-turns) / turns, 1.0)
        return np.where(turns < 1.0, young, -(self._D / self._k) * np.expm1(-turns))

    @np.errstate(all="ignore")
    def passing(self, x: Any) -> tuple[Any, Any]:
        """log(d / (x - c))/k."""
        left = x - self._c
        age, back = np.log(self._d / left) / self._k, x - self.start
        behind = back * self._d > 0
        return np.where(behind, np.abs(back / (self._k * self._d)), age), self._k * left

    @np.errstate(all="ignore")
    def _turns(self, shape: tuple[int, ...]) -> list[Any]:
        """Relaxation times: next to the centre a narrow cloud settles within one of them."""
        turns = np.minimum(_TURNS.reshape(-1, *(1,) * len(shape)) / self._k, 1e300)
        return [np.broadcast_to(turns, (_TURNS.size, *shape))]

    def long_run(self) -> tuple[Any, Any]:
        """The equilibrium: mean c, variance D/k."""
        return self._c, self._D / self._k

    def mixed_mean(self, ages: Ages) -> Any:
        """x0 - d (1 - E[exp(-k A)])."""
        return self.start - self._d * ages.fall(self._k)

    def mixed_var(self, ages: Ages) -> Any:
        """(D/k) (1 - E[exp(-2kA)]) + d² Var[exp(-kA)]."""
        with np.errstate(all="ignore"):
            warm = self._D * (2.0 * ages.exposure(np.minimum(2.0 * self._k, 1.79e308)))
            pulled = self._d * (self._d * ages.spread(self._k))
        return warm + np.where(np.isnan(pulled), 0.0, pulled)


def propagator(process: Process, start: RealLike, name: str = "reset_to") -> Propagator:
    """The Gaussian propagator of a process from a start.

    Parameters
    ----------
    process : Process
        ``DriftDiffusion`` or ``OrnsteinUhlenbeck``.
    start : float or array
        Position, length.
    name : str
        What the start is called where it is wrong.
    """
    place = np.asarray(domain.finite(name, start))
    known: dict[str, tuple[str, ...]] = {
        "DriftDiffusion": ("drift", "diffusivity"),
        "OrnsteinUhlenbeck": ("stiffness", "center", "diffusivity"),
    }
    for kind in type(process).__mro__:
        if kind.__name__ in known:
            values: dict[str, Any] = {n: getattr(process, n) for n in known[kind.__name__]}
            domain.broadcast(**{name: place}, **values)
            if kind.__name__ == "DriftDiffusion":
                return Drifting(values["drift"], values["diffusivity"], place)
            return Trapped(values["stiffness"], values["center"], values["diffusivity"], place)
    raise DomainError("process", process, "DriftDiffusion, OrnsteinUhlenbeck or Landscape")
