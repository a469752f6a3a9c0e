"""Walks that leave an interval at either end: splitting probabilities and conditional laws.

With K the kernel between positions inside and c the chance to leave in one step at an end, the
chance h to leave there solves h = c + K h, and the walk on condition of it is the Markov chain with
the kernel h(y) K(x, y)/h(x) and the chance c(x)/h(x) to leave: Doob's transform. The conditional
law is therefore the first passage of another chain, solved by the same transfer operator.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array
from resetsgd.passage.base import PassageTime
from resetsgd.passage.lattice_time import LatticeTime
from resetsgd.passage.operator_passage import OperatorPassage
from resetsgd.passage.quadratic_sgd import QuadraticSGDPassage
from resetsgd.passage.random_walk import RandomWalkPassage
from resetsgd.passage.sided import Sided
from resetsgd.passage.transfer import Transfer

__all__ = ["LatticeGiven", "LatticeOneSide", "QuadraticSGDExit", "RandomWalkExit"]

_SIDES = ("lower", "upper")


class LatticeGiven(OperatorPassage):
    """A walk out of an interval on condition that it leaves at one end; made by ``T.given``.

    Parameters
    ----------
    whole : RandomWalkExit or QuadraticSGDExit
        The passage time to either end.
    name : {"lower", "upper"}
        Which end.
    operators : tuple of two
        The transfer operators of the conditional chain.

    Examples
    --------
    >>> import resetsgd as rs
    >>> from scipy import stats
    >>> walk = rs.RandomWalk(jump=stats.laplace(0.0, 1.0))
    >>> T = rs.first_passage(walk, start=1.0, target=(0.0, 4.0))
    >>> round(T.given("lower").mean(), 6), round(T.given("upper").mean(), 6)
    (3.861111, 5.777778)
    """

    sources: ClassVar[tuple[str, ...]] = ()

    def __init__(self, whole: Any, name: str, operators: tuple[Transfer, Transfer]) -> None:
        super().__init__(whole.step)
        self.whole, self.name, self._both = whole, name, operators

    def __repr__(self) -> str:
        return f"{self.whole!r}.given({self.name!r})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the starts."""
        shape: tuple[int, ...] = self.whole.shape
        return shape

    def _operator(self, order: int) -> Transfer:
        return self._both[0] if order == 18 else self._both[1]


class LatticeOneSide(LatticeTime):
    """Arrival of a walk at one of two ends, never if it leaves at the other; made by ``T.side``.

    Parameters
    ----------
    given : LatticeGiven
        The passage time on condition of this end.

    Examples
    --------
    >>> import resetsgd as rs
    >>> from scipy import stats
    >>> walk = rs.RandomWalk(jump=stats.laplace(0.0, 1.0))
    >>> T = rs.first_passage(walk, start=1.0, target=(0.0, 4.0)).side("upper")
    >>> round(T.laplace(0.0), 9), T.mean()
    (0.333333333, inf)
    """

    sources: ClassVar[tuple[str, ...]] = ()

    def __init__(self, given: LatticeGiven) -> None:
        super().__init__(given.step)
        self._law = given
        whole, name = given.whole, given.name
        self._log_chance, self._error = whole._chances[name]
        other = whole._chances[_SIDES[name == "lower"]][0]
        self._missing = np.exp(other)
        self._surely = bool(np.all(self._log_chance == 0))

    def __repr__(self) -> str:
        return f"{self._law.whole!r}.side({self._law.name!r})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the starts."""
        return self._law.shape

    def _certain(self) -> tuple[bool, bool]:
        return self._surely, self._surely

    @QUIET
    def _generate(self, u: Array) -> tuple[Array, Array, Array]:
        log_given, minus, error = self._law._generate(u)
        if self._surely:
            return log_given, minus, error
        value = self._missing + np.exp(self._log_chance) * minus
        return log_given + self._log_chance, value, error + self._error


class _TwoEnded(OperatorPassage, Sided):
    """The ends of a walk in an interval, by two discretisations."""

    def _at_side(self, transfer: Transfer, side: str) -> tuple[Array, Array]:
        """Chances to leave at a side in one step, from the nodes and from the starts."""
        kernel: Any = transfer.kernel
        leaves = kernel.below if side == "lower" else kernel.above
        return leaves(transfer.panels.nodes), leaves(transfer.starts)

    @cached_property
    @QUIET
    def _ways(self) -> dict[str, list[tuple[Transfer, Array]]]:
        """For each side and discretisation: the conditional chain, and the chance of it."""
        return {
            side: [conditioned(one, *self._at_side(one, side)) for one in self._pair]
            for side in _SIDES
        }

    @cached_property
    @QUIET
    def _chances(self) -> dict[str, tuple[Array, Array]]:
        """log of the splitting probabilities, which sum to one, and their relative errors."""
        values = {side: [chance for _, chance in pair] for side, pair in self._ways.items()}
        error = {side: np.abs(fine / coarse - 1.0) for side, (fine, coarse) in values.items()}
        lower, upper = values["lower"][0], values["upper"][0]
        down = np.where(lower < upper, np.log(lower), np.log1p(-upper))
        up = np.where(lower < upper, np.log1p(-lower), np.log(upper))
        # the larger chance is one minus the smaller, and as good as that
        wrong = np.where(lower < upper, error["lower"] * lower, error["upper"] * upper)
        return {"lower": (down, wrong / np.exp(down)), "upper": (up, wrong / np.exp(up))}

    def given(self, name: str) -> PassageTime:
        """The passage time on condition that it ends at one end, in whole steps.

        Parameters
        ----------
        name : {"lower", "upper"}
            Which end.

        Returns
        -------
        LatticeGiven
            With proper moments, ``pmf`` and so on.

        Raises
        ------
        DomainError
            If ``name`` is neither.
        """
        return self._given(domain.choice("name", name, _SIDES))

    def _given(self, side: str) -> LatticeGiven:
        made: dict[str, LatticeGiven] = self.__dict__.setdefault("_made_given", {})
        if side not in made:
            fine, coarse = (chain for chain, _ in self._ways[side])
            made[side] = LatticeGiven(self, side, (fine, coarse))
        return made[side]

    def side(self, name: str) -> PassageTime:
        """The step at which it arrives at one end; never, if it arrives at the other.

        Parameters
        ----------
        name : {"lower", "upper"}
            Which end.

        Returns
        -------
        LatticeOneSide
            Defective: it arrives with the splitting probability.

        Raises
        ------
        DomainError
            If ``name`` is neither.
        """
        name = domain.choice("name", name, _SIDES)
        made: dict[str, LatticeOneSide] = self.__dict__.setdefault("_made_side", {})
        if name not in made:
            made[name] = LatticeOneSide(self._given(name))
        return made[name]

    def _log_chance(self, side: str) -> Any:
        # at 0, so that what did not converge is said
        return np.real(self.side(side)._log_laplace(np.zeros(self.shape)))

    def _log_laplace_side(self, side: str, s: Any) -> Any:
        return self.side(side)._log_laplace(s)

    def _log_laplace_given(self, side: str, s: Any) -> Any:
        return self._given(side)._log_laplace(s)

    def _log_mean_side(self, side: str) -> Any:
        return self._given(side).log_mean()

    def _var_side(self, side: str) -> Any:
        return self._given(side).var()

    def _survival_given(self, side: str, t: Array) -> Any:
        return self._given(side)._survival(t)

    def _sample_given(self, side: str, n: int, generator: np.random.Generator) -> Array:
        return self._given(side)._sample(n, generator)


class RandomWalkExit(RandomWalkPassage, _TwoEnded):
    """Exit of a :class:`~resetsgd.RandomWalk` from an interval, at either end.

    It leaves at the first step after which it is at or beyond an end.

    Parameters
    ----------
    process : RandomWalk
        What moves.
    start : float or array
        Positions strictly inside, length.
    target : tuple of two floats
        The ends of the interval.

    Raises
    ------
    NotConverged
        If two discretisations differ by more than 1e-10.

    Notes
    -----
    Accuracy: 1e-10 relative of the splitting probabilities, conditional means, variances and
    transforms, or ``NotConverged``.

    **Source**: W. Feller, *An Introduction to Probability Theory*, volume II (1971), chapter XII,
    for walks that leave an interval; the conditional walk is Doob's transform, derived in the
    docstring of this module and tested against exponential jumps and played walks.

    Examples
    --------
    A fair game with exponential jumps: the walk overshoots the ends by one jump on average.

    >>> import resetsgd as rs
    >>> from scipy import stats
    >>> walk = rs.RandomWalk(jump=stats.laplace(0.0, 1.0))
    >>> T = rs.first_passage(walk, start=1.0, target=(0.0, 4.0))
    >>> round(T.splitting().upper, 9), round((1.0 + 1.0) / (4.0 + 2.0), 9)
    (0.333333333, 0.333333333)
    """


class QuadraticSGDExit(QuadraticSGDPassage, _TwoEnded):
    """Exit of one-dimensional :class:`~resetsgd.QuadraticSGD` from an interval, at either end.

    As :class:`RandomWalkExit`, for the walk that SGD in a quadratic bowl is.

    Parameters
    ----------
    process : QuadraticSGD
        Of one dimension, without momentum, stable.
    start : float or array
        Positions strictly inside, length.
    target : tuple of two floats
        The ends of the interval.

    Examples
    --------
    >>> import resetsgd as rs
    >>> sgd = rs.QuadraticSGD(hessian=1.0, noise_covariance=1.0, learning_rate=0.3)
    >>> T = rs.first_passage(sgd, start=0.0, target=(-1.0, 1.0))
    >>> round(T.splitting().upper, 9)
    0.5
    """


def conditioned(transfer: Transfer, leaves: Array, row_leaves: Array) -> tuple[Transfer, Array]:
    """The chain on condition that it leaves in one way, and the chance of that from the starts.

    Parameters
    ----------
    transfer : Transfer
        The chain, in a bounded region.
    leaves, row_leaves : ndarray
        Chance to leave in this way in one step, from the nodes and from the starts.
    """
    inside = transfer._positively(np.zeros(1), leaves[:, None])[:, 0]
    chance = row_leaves + transfer.rows @ inside
    one = copy(transfer)
    for cached in ("_schur", "_series", "_chances", "longest"):
        one.__dict__.pop(cached, None)
    one.matrix = transfer.matrix * inside / inside[:, None]
    one.leaves = leaves / inside
    one.rows = transfer.rows * inside / chance[:, None]
    one.row_leaves = row_leaves / chance
    total = one.matrix.sum(axis=1) + one.leaves
    one.matrix[np.diag_indices(len(inside))] += 1.0 - total
    return one, chance
