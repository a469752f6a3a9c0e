"""Ages under independent waiting times of any law: density P(R > age)/E[R]."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import special

from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.protocols import WaitingTime
from resetsgd.steady.ages import Ages

__all__ = ["WaitingAges"]

_NODES, _WEIGHTS = (np.asarray(a) for a in special.roots_legendre(24))
_DEPTH = 80.0
"""Logarithm of the ratio of the shortest time of the law to the youngest age that is resolved."""
_MOST_EDGES = 4000


class WaitingAges(Ages):
    """Stationary ages of a renewal process, by quadrature in the logarithm of the age."""

    def __init__(self, protocol: WaitingTime) -> None:
        if protocol.shape:
            raise DomainError("protocol", protocol, "of scalar parameters")
        self._law = protocol
        self._never = bool(np.any(getattr(protocol, "never", False)))
        if self._never:
            return
        self._mean = float(np.asarray(protocol.waiting_mean()))
        if not np.isfinite(self._mean) or self._mean <= 0:
            raise DomainError("protocol", protocol, "of finite mean waiting time")
        self._edges = self._panels()
        self._power = self._tail()

    @property
    def shape(self) -> tuple[int, ...]:
        """Scalar."""
        return ()

    @property
    def never(self) -> Any:
        """Whether there is no reset at all."""
        return np.asarray(self._never)

    def _survival(self, u: Any) -> Any:
        return np.asarray(self._law.waiting_survival(u), dtype=np.float64)

    def _panels(self) -> Array:
        """Ages between which the law is smooth."""
        marks = np.append(np.ravel(self._law.waiting_marks()), np.ravel(self._law.waiting_kinks()))
        atoms = self._law.waiting_atoms()
        if atoms is not None:
            marks = np.append(marks, np.ravel(atoms[0]))
        marks = np.unique(np.append(marks[np.isfinite(marks) & (marks > 0)], self._mean))
        if marks.size > _MOST_EDGES:
            raise DomainError("protocol", self._law, f"of at most {_MOST_EDGES} atoms")
        top = last = float(marks[-1])
        # far enough for the second moment of the age, if there is one
        while top < 1e90 * last and (top / self._mean) ** 3 * float(self._survival(top)) > 1e-17:
            top *= 2.0
        low, middle, high = np.log(float(marks[0])), np.log(last), np.log(top)
        panels = [np.arange(low - _DEPTH, low, 4.0), np.arange(low, middle, 0.5)]
        logs = np.concatenate([*panels, np.arange(middle, high, 1.0), np.log(marks)])
        return np.asarray(np.exp(np.unique(np.append(logs[logs < high], high))))

    def _tail(self) -> float:
        """Exponent of a power tail of the survival; ``inf`` where it falls faster."""
        far = self._mean * np.array([1e12, 1e13])
        late = self._survival(far)
        if late[1] <= 0:
            return np.inf
        return float(np.log10(late[0] / late[1]))

    @np.errstate(all="ignore")
    def expect(self, function: Callable[[Any], Any], marks: Any = None) -> Any:
        """Average over P(R > u)/E[R]; arbitrary where there is no reset."""
        if self._never:
            return function(np.ones(()))
        shape = np.shape(function(np.ones(())))
        edges = self._edges.reshape(-1, *(1,) * len(shape)) * np.ones(shape)
        if marks is not None:
            extra = np.clip(np.broadcast_to(marks, (len(marks), *shape)), edges[0], edges[-1])
            edges = np.sort(np.concatenate([edges, extra]), axis=0)
        nodes, weights = (a.reshape(-1, *(1,) * len(shape)) for a in (_NODES, _WEIGHTS))
        total: Any = edges[0] / self._mean * np.asarray(function(edges[0]))
        for low, high in pairwise(np.log(edges)):
            if np.all(high <= low):
                continue
            half = 0.5 * (high - low)
            u = np.exp(low + half * (1.0 + nodes))
            terms = function(u) * (self._survival(u) * (u / self._mean))
            total = total + half * np.sum(weights * terms, axis=0)
        return total

    def mean(self) -> Any:
        """E[R²]/2 E[R]; infinite for a tail as heavy as the inverse square."""
        return np.asarray(np.inf) if self._power <= 2.001 else super().mean()

    def var(self) -> Any:
        """Variance; infinite for a tail as heavy as the inverse cube."""
        return np.asarray(np.inf) if self._power <= 3.001 else super().var()

    def sample(self, n: int, generator: np.random.Generator) -> Array:
        """By inversion of the distribution of ages, resolved on the panels of the quadrature."""
        if self._never:
            return np.full(n, np.inf)
        # area under the survival up to each edge, then bisection within a panel
        u = generator.random(n) * self._mean
        area = np.asarray(self._law.waiting_area(self._edges), dtype=np.float64)
        place = np.clip(np.searchsorted(area, u) - 1, 0, self._edges.size - 2)
        low, high = self._edges[place], self._edges[place + 1]
        for _ in range(50):
            middle = 0.5 * (low + high)
            below = np.asarray(self._law.waiting_area(middle)) < u
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray(0.5 * (low + high))
