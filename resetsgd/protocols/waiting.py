"""What a law of independent waiting times supplies, and what follows from it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy import special

from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.protocols.base import Clocked, Protocol, Trial, hat_weights

__all__ = ["WaitingMoments", "WaitingTime", "area_below", "around"]

_STEPS = np.outer([-1.0, 1.0], [0.0, 1.5, 3.0, 6.0, 12.0, 40.0]).ravel()


class WaitingMoments(NamedTuple):
    """What a trial between two resets leaves, without transform: T against the waiting time R."""

    success: Any
    """P(T < R)."""
    duration: Any
    """E[min(T, R)]."""
    won_var: Any
    """Variance of T given T < R."""
    failed: Any
    """E[R; R < T]."""
    failed_square: Any
    """E[R²; R < T]."""
    success_slope: Any = None
    """-d P(T < R) / d log(frequency), or None where it is not known."""
    duration_slope: Any = None
    """-d E[min(T, R)] / d log(frequency), or None where it is not known."""
    resets: Any = None
    """Mean number of resets before arrival, where a run is no sequence of trials."""


@dataclass(frozen=True, eq=False, repr=False)
class WaitingTime(Protocol):
    """Base of the protocols whose waiting times are independent and of one law.

    A subclass supplies the law (the methods named ``waiting_...``), ``waits`` and ``at_frequency``;
    mean, variance, slope, survival and density under it follow by quadrature, with a relative error
    of at most 1e-10 or :class:`~resetsgd.NotConverged`.
    """

    slope_noise: ClassVar[float] = 1e-11

    # The law -----------------------------------------------------------------------------------

    @abstractmethod
    def waiting_survival(self, t: Any) -> Any:
        """P(R > t), for t > 0 whose last axes broadcast with the parameters."""

    @abstractmethod
    def waiting_density(self, t: Any) -> Any:
        """Density of R at t, 1/time."""

    @abstractmethod
    def waiting_mean(self) -> Any:
        """E[R], time; ``inf`` if infinite."""

    @abstractmethod
    def waiting_marks(self) -> Array:
        """Times at which the law is steep or has a kink, along the first axis."""

    def waiting_early(self, t: Any, power: int) -> Any:
        """E[R^power; R <= t] for power 1 and 2, or None where no closed form exists."""
        return None

    def waiting_atoms(self) -> tuple[Array, Array] | None:
        """Times and masses of a discrete law, along the first axis; None for a density."""
        return None

    def waiting_kinks(self) -> Array:
        """Times at which the survival has a kink, along the first axis."""
        return np.empty((0, *self.shape))

    def waiting_tilt(self, t: Any) -> Any:
        """-d P(R > t) / d log(frequency): t times the density where frequency scales time."""
        return t * self.waiting_density(t)

    def waiting_tilt_area(self, t: Any) -> Any:
        """Integral of ``waiting_tilt`` over (0, t), or None where no closed form exists."""
        return self.waiting_early(t, 1)

    @property
    def never(self) -> Any:
        """Where it never resets."""
        return np.zeros(self.shape, dtype=bool)

    def parts(self, most: int) -> Iterator[Self]:
        """The same protocol in pieces of at most ``most`` entries of its first axis."""
        rank = len(self.shape)
        for first in range(0, self.shape[0], most):
            cut = {
                item.name: value[first : first + most]
                for item in fields(self)
                if np.ndim(value := getattr(self, item.name)) == rank and len(value) > 1
            }
            yield replace(self, **cut)

    # What follows from it ------------------------------------------------------------------------

    def trial(self, free: Clocked, s: Any = 0.0) -> Trial:
        """Trial between two resets: T against an independent waiting time."""
        return free.trial_waiting(self, s)

    def failed(self, free: Clocked) -> Any:
        """E[R; R < T], the mean time spent in a trial that ends by a reset, counted as 0 else."""
        return free.moments_waiting(self).failed

    @np.errstate(all="ignore")
    def _var(self, free: Clocked) -> Any:
        """Variance: a geometric number of failed trials and the last, successful one."""
        law = free.moments_waiting(self)
        lost = np.maximum(1.0 - law.success, 0.0)
        failed = np.where(lost > 0, law.failed / np.where(lost > 0, lost, 1.0), 0.0)
        spread = np.maximum(law.failed_square - failed * law.failed, 0.0)
        number = np.where(lost > 0, spread / law.success + lost * (failed / law.success) ** 2, 0.0)
        value = number + law.won_var
        return np.where(np.isnan(value), np.inf, value)

    @np.errstate(all="ignore")
    def _slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(frequency)."""
        law = free.moments_waiting(self)
        if law.success_slope is None:
            return None
        value = law.success_slope / law.success - law.duration_slope / law.duration
        return np.where(self.never, 0.0, value)

    @np.errstate(all="ignore")
    def _resets_slope(self, free: Clocked) -> Any:
        """d log(resets) / d log(frequency), resets = (1 - success)/success."""
        law = free.moments_waiting(self)
        if law.success_slope is None:
            return None
        return law.success_slope / law.success / (1.0 - law.success)

    def _solved(self, free: Clocked) -> bool:
        """Whether the renewal equation holds: with a fixed overhead only between densities."""
        dense = free.smooth or free.fronted
        dense = dense and self.waiting_atoms() is None and not getattr(self, "running", False)
        return self.lost.none or (self.lost.fixed and dense)

    def survival(self, free: Clocked, t: Array) -> Any:
        """By the renewal equation in time, absolute error about 1e-10."""
        return free.survival_waiting(self, t) if self._solved(free) else None

    def density(self, free: Clocked, t: Array) -> Any:
        """By the renewal equation in time, absolute error about 1e-10 over the time scale."""
        return free.density_waiting(self, t) if self._solved(free) else None

    def lasting(self, free: Clocked, t: Array, s: Any) -> Any:
        """By the panels of the renewal equation, where it has them: quadrature misses the kinks."""
        return free.lasting_waiting(self, t, s) if self._solved(free) else None

    @np.errstate(all="ignore")
    def continued(self, free: Clocked, t: Array, first: Any, later: Any) -> Any:
        """Integral over the time of the first reset; absolute error about 1e-8.

        Gauss points on panels that shrink toward both ends and break at the kinks of both laws.
        """
        if self.shape or np.shape(free.survival(1.0)):
            raise DomainError("free", free, "of scalar parameters for a law under this protocol")
        t = np.asarray(t, np.float64)
        flat = t.ravel()
        atoms = self.waiting_atoms()
        if atoms is not None:
            times, masses = atoms
            after = flat[:, None] - times
            there = after >= 0
            rest = np.where(there, later(np.maximum(after, 0.0)), 0.0)
            late = free.survival(np.maximum(times * (1.0 - 4e-16), 0.0))
            value = rest @ (masses * late) + first(flat) * self.waiting_survival(flat)
            return value.reshape(t.shape)
        x, w = np.polynomial.legendre.leggauss(12)
        shrink = np.exp2(-np.arange(1.0, 24.0))
        values = []
        for time in flat:
            inner = [self.waiting_kinks(), time - self.waiting_kinks(), self.waiting_marks()]
            edges = np.concatenate([[0.0, time], time * shrink, time * (1.0 - shrink), *inner])
            edges = np.unique(edges[(edges >= 0) & (edges <= time)])
            half, middle = np.diff(edges) / 2.0, (edges[1:] + edges[:-1]) / 2.0
            u = (middle[:, None] + half[:, None] * x).ravel()
            weight = (half[:, None] * w).ravel() * self.waiting_density(u) * free.survival(u)
            lived = weight @ np.asarray(later(time - u)) if time > 0 else 0.0
            values.append(lived + first(time) * self.waiting_survival(time))
        return np.asarray(values).reshape(t.shape)

    def age_weights(self, times: Array) -> tuple[Array, Array]:
        """Ages of stationary density P(R > age)/E[R].

        Raises
        ------
        DomainError
            If the waiting time has an infinite mean: the age then grows without bound.
        """
        mean = np.asarray(self.waiting_mean(), dtype=np.float64)
        if np.isinf(mean).any():
            raise DomainError(
                "protocol", self, "of finite mean waiting time: else there is no long-run age"
            )
        gap = np.diff(times)
        inner = self._older(times, mean)
        nodes, weights = special.roots_legendre(16)
        kinks = np.asarray(self.waiting_marks())
        areas = np.zeros((*self.shape, len(gap)))
        for place in np.ndindex(self.shape):
            cuts = np.unique(np.concatenate([times, kinks[(slice(None), *place)]]))
            cuts = cuts[(cuts >= 0) & (cuts <= times[-1])]
            low, wide = cuts[:-1], np.diff(cuts)
            at = low + wide * (0.5 * (nodes[:, None] + 1.0))
            law = self if not self.shape else self._at(place)
            values = 0.5 * wide * (weights @ law._older(at.ravel(), mean[place]).reshape(at.shape))
            home = np.clip(np.searchsorted(times, low, side="right") - 1, 0, len(gap) - 1)
            areas[place] = np.bincount(home, values, len(gap))
        return hat_weights(areas, gap, inner[..., -1])

    def _at(self, place: tuple[int, ...]) -> Self:
        """The protocol of one entry of the parameters."""
        values = {
            item.name: np.broadcast_to(value, self.shape)[place]
            for item in fields(self)
            if np.ndim(value := getattr(self, item.name)) > 0
        }
        return replace(self, **values)

    def _older(self, times: Array, mean: Any) -> Array:
        """P(age > t) for times along the last axis: E[(R - t)+]/E[R]."""
        t = times.reshape(-1, *(1,) * len(self.shape))
        area = self.waiting_area(t)
        value = np.moveaxis(np.clip(1.0 - area / mean, 0.0, 1.0), 0, -1)
        return np.asarray(np.where(times == 0, 1.0, value))

    def waiting_area(self, t: Any) -> Any:
        """E[min(R, t)], by quadrature where it is not known in closed form."""
        atoms = self.waiting_atoms()
        if atoms is not None:
            shape = (-1, *(1,) * np.ndim(t))
            return np.sum(np.minimum(atoms[0].reshape(shape), t) * atoms[1].reshape(shape), axis=0)
        early = self.waiting_early(t, 1)
        if early is not None:
            return early + t * self.waiting_survival(t)
        return area_below(self.waiting_survival, t, self.waiting_marks())


def around(centre: Any, width: Any) -> Array:
    """Marks up to forty relative widths about a time, along the first axis."""
    centre, width = np.broadcast_arrays(centre, width)
    with np.errstate(over="ignore"):
        return np.asarray(centre * np.exp(_STEPS.reshape(-1, *(1,) * centre.ndim) * width))


def area_below(function: Any, t: Any, marks: Array) -> Any:
    """Integral of a function that is 1 at 0 over (0, t), in log time between its marks."""
    t = np.asarray(t, dtype=np.float64)
    nodes, weights = special.roots_legendre(20)
    marks = np.sort(marks[np.isfinite(marks) & (marks > 0)].ravel())
    low = np.log(max(marks[0], 1e-290)) if marks.size else 0.0
    top = float(np.log(max(t.max(initial=1e-300), 1e-300)))
    outer = np.append(np.arange(low - 40.0, low, 4.0), np.arange(low, max(top, low) + 0.5, 0.5))
    edges = np.exp(np.unique(np.append(outer, np.log(marks) if marks.size else [])))

    def piece(a: Any, b: Any) -> Any:
        at = a + (b - a) * (0.5 * (nodes.reshape(-1, *(1,) * np.ndim(a)) + 1.0))
        return 0.5 * (b - a) * np.tensordot(weights, function(at), axes=1)

    total = np.concatenate([[edges[0]], edges[0] + np.cumsum(piece(edges[:-1], edges[1:]))])
    place = np.clip(np.searchsorted(edges, t, side="right") - 1, 0, len(edges) - 1)
    inside = t > edges[0]
    start = np.where(inside, edges[place], t)
    return np.where(inside, total[place] + piece(start, np.where(inside, t, start)), t)
