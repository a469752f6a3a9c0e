"""Passage times known by a transfer operator, in two discretisations."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np

from resetsgd.domain import QUIET, Array
from resetsgd.passage.lattice_time import LatticeTime
from resetsgd.passage.transfer import Transfer

__all__ = ["OperatorPassage"]


class OperatorPassage(LatticeTime):
    """A passage time known by two discretisations of one transfer operator.

    The finer one gives the values, the distance between them the error: what differs by more than
    1e-10 raises ``NotConverged``. A subclass supplies ``_operator(order)``, the discretisation with
    so many nodes a panel.
    """

    @abstractmethod
    def _operator(self, order: int) -> Transfer:
        """The discretisation with so many nodes a panel."""

    @cached_property
    def _pair(self) -> tuple[Transfer, Transfer]:
        return self._operator(18), self._operator(14)

    @QUIET
    def _generate(self, u: Array) -> tuple[Array, Array, Array]:
        fine, coarse = self._pair
        log_value, minus = fine.solve(u)
        other, other_minus = coarse.solve(u)
        # rounding, which both share, counts once for each step spent before the target
        floor = (
            8.0 * np.finfo(np.float64).eps * np.minimum(1.0 / np.abs(np.expm1(-u)), fine.longest)
        )
        if fine.compact:
            long = np.flatnonzero((floor > 1e-12) & (np.real(u) >= 0))
            log_value[long], minus[long] = fine.patient(u[long])
            other[long], other_minus[long] = coarse.patient(u[long])
            floor[long] = 1e-14
        near = np.abs(minus) < 0.5
        error = np.where(
            near, np.abs(other_minus / minus - 1.0), np.abs(np.expm1(other - log_value))
        )
        nothing = np.isneginf(np.real(log_value)) & np.isneginf(np.real(other))
        error = np.where(nothing, 0.0, error)
        error = np.maximum(error, floor[:, None])
        return log_value, minus, error
