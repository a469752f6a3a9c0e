"""First passage where resets happen at a rate that depends on the position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real
from resetsgd.errors import DomainError
from resetsgd.passage.approach import Approach
from resetsgd.passage.arrangements import log1p
from resetsgd.passage.landscape import Columns, Landscaped, approach_of, inside, spread
from resetsgd.passage.panels import Places
from resetsgd.processes import Landscape

__all__ = ["ResettingPassage"]

_STEP = 1e-30
"""Relative complex step of the derivative: far below rounding, far above underflow."""


class ResettingPassage(Landscaped):
    r"""First passage of a :class:`~resetsgd.Landscape` that is reset at a rate r(x).

    With :math:`\psi` the transform of arrival before a reset and :math:`\tau` the exposure
    :math:`E \int e^{-st} dt` up to arrival or reset, both from the reset rate as killing, the
    transform from the reset point is :math:`\psi/(\psi + s \tau)`, and elsewhere follows by one
    more trial. Nothing cancels for :math:`s \to 0`.

    Parameters
    ----------
    process : Landscape
        What moves, with ``rate``.
    start, target : float or array
        Positions, length. Arrays broadcast.
    wall : float or array, optional
        Reflecting wall behind the start.

    Raises
    ------
    DomainError
        If a position lies outside the domain, the reset point not on the start's side of the
        target, or the other end absorbs.
    NotConverged
        If the landscape is too rough for a relative error of 1e-10.

    Notes
    -----
    **Source**: M. R. Evans and S. N. Majumdar, J. Phys. A 44, 435001 (2011), section on resetting
    rates that depend on the position. Derived in ``theory/10_landscapes.py``.

    Examples
    --------
    A constant rate is Poisson resetting; resets only beyond the start are better:

    >>> import resetsgd as rs
    >>> free = rs.Landscape(lambda x: 0.0 * x, rate=1.0)
    >>> round(rs.first_passage(free, start=1.0, target=0.0).mean(), 6)
    1.718282
    >>> far = rs.Landscape(lambda x: 0.0 * x, rate=lambda x: 1.0 * (x > 1.0), breaks=[1.0])
    >>> round(rs.first_passage(far, start=1.0, target=0.0).mean(), 6)
    1.5
    """

    sources: ClassVar[tuple[str, ...]] = ("evans2011", "gardiner2004", "weideman2007")

    def __init__(self, process: Landscape, start: Any, target: Any, wall: Any = None) -> None:
        x0, end = inside(process, "start", start), inside(process, "target", target)
        back = np.asarray(np.nan) if wall is None else inside(process, "wall", wall)
        self._shape = domain.broadcast(start=x0, target=end, wall=back)
        home = x0 if process.reset_to is None else np.asarray(process.reset_to)
        self.process = process
        self.start, self.target, self.wall = domain.plain(x0), domain.plain(end), wall
        x0, goal, walls, homes = (
            np.broadcast_to(value, self._shape).ravel() for value in (x0, end, back, home)
        )
        domain.gap(x0, goal)
        if np.any(np.sign(homes - goal) != np.sign(x0 - goal)):
            raise DomainError("reset_to", process.reset_to, "on the start's side of the target")
        if wall is not None and np.any(np.sign(homes - walls) * np.sign(goal - walls) < 0):
            raise DomainError("reset_to", process.reset_to, "between the wall and the target")
        kinds: dict[tuple[Any, ...], list[int]] = {}
        for i, (place, aim, fence) in enumerate(zip(x0, goal, walls, strict=True)):
            side = 1.0 if place < aim else -1.0
            fenced = None if np.isnan(fence) else float(fence)
            kinds.setdefault((float(aim), fenced, side), []).append(i)
        self._parts: list[tuple[Places, Approach, Places, Places]] = []
        self._error = np.zeros(self._shape)
        for (aim, fenced, side), found in kinds.items():
            places = np.asarray(found)
            both = side * np.stack([x0[places], homes[places]])
            starts, columns = np.unique(both, return_inverse=True)
            columns = columns.reshape(both.shape)
            approach = approach_of(process, side * starts, aim, fenced, side)
            if approach.absorbing:
                raise DomainError("ends", process.ends, '"reflecting" with rate=')
            self._parts.append((places, approach, columns[0], columns[1]))
            self._error.reshape(-1)[places] = 2.0 * approach.error
        self._log_mean, self._square = self._first_moments()

    def __repr__(self) -> str:
        return f"first_passage(Landscape with rate, start={self.start}, target={self.target})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the positions."""
        return self._shape

    def _columns(self) -> Columns:
        def of(approach: Approach, own: Places, home: Places) -> Callable[[Any], Any]:
            return lambda s: self._row(approach, s, own, home)

        return [(places, of(part, own, home)) for places, part, own, home in self._parts]

    def _log_laplace(self, s: Any) -> Any:
        return spread(s, self._shape, self._columns())

    @staticmethod
    @QUIET
    def _row(approach: Approach, s: Array, own: Places, home: Places) -> Array:
        """log E[exp(-sT)], shape (len(s), starts)."""
        s = np.ascontiguousarray(s)
        log_psi = approach.log_laplace(s)
        near = np.abs(s) <= approach.reachable
        spent = np.empty_like(log_psi)  # s times the exposure
        if near.any():
            spent[near] = s[near, None] * approach.exposure(s[near])
        if not near.all():  # so fast that the rate is what it is where the particle starts
            rate = approach.killing()
            far = s[~near, None]
            spent[~near] = far / (far + rate) * -np.expm1(log_psi[~near])
        psi = np.exp(log_psi)
        ratio = spent / psi
        plain = np.isfinite(ratio) & (np.abs(ratio) < 1e200)
        back = np.where(plain, -log1p(np.where(plain, ratio, 0.0)), log_psi - np.log(psi + spent))
        if np.array_equal(own, home):
            return np.asarray(back[:, own])
        missing = -np.expm1(log_psi[:, own]) * -np.expm1(back[:, home])
        missing = missing + np.exp(back[:, home]) * spent[:, own]
        rest = -np.expm1(log_psi[:, own]) - spent[:, own]
        plain = np.abs(missing) < 0.5
        value = np.log(psi[:, own] + np.exp(back[:, home]) * rest)
        return np.where(plain, log1p(np.where(plain, -missing, 0.0)), value)

    @QUIET
    def _first_moments(self) -> tuple[Array, Array]:
        """log of the mean and var/mean², from the exposure next to s = 0."""
        log_means = np.empty(int(np.prod(self._shape, dtype=int)))
        squares = np.empty(log_means.shape)
        for places, approach, own, home in self._parts:
            zero = np.zeros(1)
            log_psi, exposure = approach.log_laplace(zero)[0], approach.exposure(zero)[0]
            back = np.log(exposure) - log_psi
            first = np.log(-np.expm1(log_psi[own])) + back[home]
            log_mean = np.where(own == home, back[own], np.logaddexp(np.log(exposure[own]), first))
            log_means[places] = log_mean
            # (1 - u)/(s u) = K(s) has K(0) = mean and var = mean² - 2 K'(0)
            for i, (a, b) in enumerate(zip(own, home, strict=True)):
                scale = float(np.exp(-log_mean[i])) if np.isfinite(log_mean[i]) else 1.0
                s = np.array([1j * _STEP * scale])
                log_psi, exposure = approach.log_laplace(s)[0], approach.exposure(s)[0]
                again = exposure[b] * np.exp(-log_psi[b]) * scale  # in units of the mean
                if a == b:
                    slope = again.imag / _STEP
                else:
                    trial = -np.expm1(log_psi[a]) * again + exposure[a] * scale
                    slope = trial.imag / _STEP + (1.0 - again.real)
                squares[places[i]] = max(1.0 - 2.0 * slope, 0.0)
        squares = np.where(np.isfinite(squares) & np.isfinite(log_means), squares, np.inf)
        return log_means.reshape(self._shape), squares.reshape(self._shape)

    def log_mean(self) -> Real:
        """Logarithm of the mean, finite where the mean overflows."""
        return domain.plain(self._log_mean)

    @QUIET
    def var(self) -> Real:
        """Variance, time²."""
        return domain.plain(np.exp(2.0 * self._log_mean + np.log(self._square)))

    @QUIET
    def cv(self) -> Real:
        """Coefficient of variation, also where mean and variance overflow."""
        return domain.plain(np.sqrt(self._square))
