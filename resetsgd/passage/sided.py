"""Passage times that end at one of two ends: splitting probabilities and conditional laws.

An interval is left at its lower or at its upper end. What is asked of such a passage time beyond
the time itself is at which end it comes (:meth:`Sided.splitting`), and how long it takes if it
comes there (:meth:`Sided.given`). Resetting changes both, and gives back a two-ended passage time.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array
from resetsgd.errors import NotConverged
from resetsgd.passage import steep
from resetsgd.passage.base import PassageTime
from resetsgd.passage.inverse_table import InverseTable
from resetsgd.passage.one_end import Given, OneSide
from resetsgd.passage.restart import Restarted
from resetsgd.passage.splitting import Splitting
from resetsgd.passage.steep import Law

__all__ = ["Given", "InverseTable", "OneSide", "Sided", "SidedRestarted", "Splitting"]

_SIDES = ("lower", "upper")
_STEP = 1e-30
"""Relative complex step of derivatives: far below rounding, far above underflow."""


@lru_cache(maxsize=1)
def _chebyshev() -> tuple[Array, Array]:
    """Nodes on [0, 1] and the weights of the derivative at 0 of the polynomial through them."""
    n = 16
    k = np.arange(n)
    nodes = 0.5 * (1.0 - np.cos(np.pi * k / (n - 1)))
    sign = np.where(k % 2 == 0, 1.0, -1.0) * np.where((k == 0) | (k == n - 1), 0.5, 1.0)
    weights = np.zeros(n)
    weights[1:] = sign[1:] / sign[0] / (nodes[0] - nodes[1:])
    weights[0] = -weights[1:].sum()
    return nodes, weights


_GAUSS_NODES, _GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(16)


class Sided(PassageTime):
    """A passage time that ends at the lower or at the upper of two ends.

    A subclass supplies, beyond what every :class:`PassageTime` does, ``_log_laplace_side``; what it
    knows in closed form it overrides: ``_log_laplace_given``, ``_log_mean_side``, ``_var_side``,
    ``_survival_given``, ``_density_given``, ``_cdf_given`` and ``_sample_given``.

    Notes
    -----
    **Source**: S. Redner, *A Guide to First-Passage Processes* (2001), section 2.2; under
    resetting A. Pal and V. V. Prasad, PRE 99, 032123 (2019). Derived in ``theory/02_interval.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
    >>> T = rs.first_passage(walk, start=0.25, target=(0.0, 1.0))
    >>> T.splitting()
    Splitting(lower=0.75, upper=0.25)
    >>> round(T.given("upper").mean(), 6), round(T.given("lower").mean(), 6)
    (0.15625, 0.072917)
    """

    @abstractmethod
    def _log_laplace_side(self, side: str, s: Any) -> Any:
        """log E[exp(-sT); exit at the side], for s as in ``_log_laplace``."""

    # Public ----------------------------------------------------------------------------------

    @QUIET
    def splitting(self) -> Splitting:
        """Probabilities to leave at either end.

        Returns
        -------
        Splitting
            ``lower`` and ``upper``, each with the shape of the parameters; their sum is the
            probability to arrive.
        """
        return Splitting(*(domain.plain(np.exp(self._log_chance(side))) for side in _SIDES))

    def side(self, name: str) -> PassageTime:
        """The time at which it arrives at one end; never, if it arrives at the other.

        Parameters
        ----------
        name : {"lower", "upper"}
            Which end.

        Returns
        -------
        PassageTime
            Defective: it arrives with the splitting probability, so that its mean is infinite.
            Resetting *it* means that a walker lost at the other end is brought back at its next
            reset; resetting first and asking for the side then ends at either end.

        Raises
        ------
        DomainError
            If ``name`` is neither.
        """
        return OneSide(self, domain.choice("name", name, _SIDES))

    def given(self, name: str) -> PassageTime:
        """The passage time on condition that it ends at one end.

        Parameters
        ----------
        name : {"lower", "upper"}
            Which end.

        Returns
        -------
        PassageTime
            With proper moments.

        Raises
        ------
        DomainError
            If ``name`` is neither.
        """
        return Given(self, domain.choice("name", name, _SIDES))

    # What a subclass may know better ---------------------------------------------------------

    @QUIET
    def _log_chance(self, side: str) -> Any:
        """Logarithm of the probability to leave at a side."""
        return np.real(self._log_laplace_side(side, np.zeros(self.shape)))

    def _delay(self, side: str, s: Any) -> Any:
        """-d/ds log E[exp(-sT); side] at real s, by a complex step: accurate to rounding."""
        step = _STEP / self.timescale()
        return -np.imag(self._log_laplace_side(side, s + 1j * step)) / step

    @QUIET
    def _log_laplace_given(self, side: str, s: Any) -> Any:
        """log E[exp(-sT) | side]: a difference, or where it is small the integral of its slope."""
        s = np.asarray(s)
        value = np.asarray(self._log_laplace_side(side, s) - self._log_chance(side))
        small = (np.abs(np.imag(s)) <= 1e-8 * np.abs(np.real(s))) & (np.abs(value.real) < 0.3)
        if not small.any():
            return value
        at = np.where(small, np.real(s), 0.0)
        shape = (-1, *(1,) * value.ndim)
        nodes, weights = 0.5 * (_GAUSS_NODES + 1.0).reshape(shape), 0.5 * _GAUSS_WEIGHTS
        near = -at * np.tensordot(weights, self._delay(side, at * nodes), axes=1)
        near = np.where(s == 0, 0.0, near)
        if np.iscomplexobj(value):
            return np.where(small, near + 1j * value.imag, value)
        return np.where(small, near, value)

    @QUIET
    def _log_mean_side(self, side: str) -> Any:
        """log E[T | side]."""
        return np.log(self._delay(side, np.zeros(self.shape)))

    @QUIET
    def _mean_side(self, side: str) -> Any:
        """E[T | side]."""
        return np.exp(self._log_mean_side(side))

    @QUIET
    def _var_side(self, side: str) -> Any:
        """Var[T | side], from the slope of the mean in s: about 1e-13 mean²/var relative."""
        nodes, weights = _chebyshev()
        mean = np.exp(np.asarray(self._log_mean_side(side)))
        reach = 0.5 / mean
        shape = (-1, *(1,) * np.ndim(mean))
        value = mean**2
        for _ in range(2):  # the second time within the radius of convergence of wide laws too
            delays = self._delay(side, reach * nodes.reshape(shape))
            value = -np.tensordot(weights, delays, axes=1) / reach
            reach = np.minimum(reach, 0.5 * mean / value)
        return value

    def _smoothly(self) -> None:
        if not self.smooth:
            raise NotConverged(
                "survival: the law at one end under fixed reset times has kinks that its transform"
                " does not resolve; its moments, transform and splitting are available"
            )

    def _given_law(self, side: str) -> Law:
        """What a Laplace inversion may ask of the law on condition of a side."""
        laws: dict[str, Law] = self.__dict__.setdefault("_given_laws", {})
        if side not in laws:
            laws[side] = self.given(side)._inverting
        return laws[side]

    @QUIET
    def _survival_given(self, side: str, t: Array) -> Any:
        """P(T > t | side), by Laplace inversion, absolute error about 1e-11."""
        self._smoothly()
        t = np.broadcast_to(t, np.broadcast_shapes(t.shape, self.shape))
        late = steep.survival(self._given_law(side), t)
        value = np.clip(late, 0.0, 1.0)
        return np.where(t == 0, 1.0, np.where(np.isinf(t), 0.0, value))

    def _cdf_given(self, side: str, t: Array) -> Any:
        """P(T <= t | side)."""
        return 1.0 - self._survival_given(side, t)

    @QUIET
    def _density_given(self, side: str, t: Array) -> Any:
        """Density of T at t on condition of the side, by Laplace inversion."""
        self._smoothly()
        t = np.broadcast_to(t, np.broadcast_shapes(t.shape, self.shape))
        values = steep.density(self._given_law(side), t)
        return np.where((t == 0) | np.isinf(t), 0.0, values)

    def _sample_given(self, side: str, n: int, generator: np.random.Generator) -> Array:
        """Draws on condition of the side, by inversion of a table of the law."""
        tables: dict[str, InverseTable] = self.__dict__.setdefault("_tables", {})
        if side not in tables:
            tables[side] = InverseTable.of(self.given(side))
        return tables[side](generator.random((n, *self.shape)))

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Choose the end, then draw the time to it."""
        lower, upper = (np.asarray(chance) for chance in self.splitting())
        pick = generator.random((n, *self.shape))
        first = self._sample_given("lower", n, generator)
        second = self._sample_given("upper", n, generator)
        late = np.where(pick < lower + upper, second, np.inf)
        certain = lower + upper > 1.0 - 1e-12  # rounding of the sum does not lose walkers
        late = np.where(certain, second, late)
        return np.where(pick < lower, first, late)


class SidedRestarted(Restarted, Sided):
    """A two-ended passage time under resetting to its own start.

    Parameters
    ----------
    free : Sided
        The reset-free passage time.
    protocol : Protocol
        When it resets. Its parameters broadcast against those of ``free``.

    Notes
    -----
    A trial between two resets succeeds at end e with P(T < R, e); trials repeat until one does, so
    that e is the end with probability P(T < R, e)/P(T < R), the transforms at s likewise.

    **Source**: A. Pal and V. V. Prasad, PRE 99, 032123 (2019). Derived in
    ``theory/02_interval.py``.

    Examples
    --------
    Frequent resets to a start near the lower end make the upper one unreachable:

    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
    >>> T = rs.first_passage(walk, start=0.25, target=(0.0, 1.0))
    >>> round(T.splitting().upper, 6), round(T.under(rs.Poisson(100.0)).splitting().upper, 6)
    (0.25, 0.006648)
    """

    free: Sided

    def __init__(self, free: Sided, protocol: Any) -> None:
        super().__init__(free, protocol)

    def _log_laplace_side(self, side: str, s: Any) -> Any:
        at_side = self.protocol.trial(self.free.side(side), s).log_success
        at_all = self.protocol.trial(self.free, s).log_success
        return self._log_laplace(s) + np.asarray(at_side) - np.asarray(at_all)

    @QUIET
    def _log_chance(self, side: str) -> Any:
        at_side = self.protocol.trial(self.free.side(side)).log_success
        at_all = self.protocol.trial(self.free).log_success
        never = np.real(self._log_laplace(np.zeros(self.shape)))
        return np.real(np.asarray(at_side) - np.asarray(at_all)) + never

    def _sample_given(self, side: str, n: int, generator: np.random.Generator) -> Array:
        """By the table where the law is smooth."""
        self._smoothly()
        return super()._sample_given(side, n, generator)
