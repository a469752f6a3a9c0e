"""Exit from an interval of a landscape, at either end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real
from resetsgd.passage.approach import Moments
from resetsgd.passage.arrangements import log1p, log_sum
from resetsgd.passage.landscape import Columns, Landscaped, approach_of, inside, spread
from resetsgd.passage.panels import Places
from resetsgd.passage.sided import Sided
from resetsgd.processes import Landscape

__all__ = ["LandscapeExit"]

_SIDES = ("lower", "upper")


class _Interval:
    """Both approaches to the ends of one interval, the other end absorbing."""

    def __init__(self, process: Landscape, starts: Array, low: float, high: float) -> None:
        self.upper = approach_of(process, starts, high, low, 1.0, "absorbing")
        self.lower = approach_of(process, starts, low, high, -1.0, "absorbing")
        self.error = max(self.upper.error, self.lower.error)

    def side(self, name: str, s: Array) -> Array:
        """log E[exp(-sT); side], shape (len(s), starts)."""
        if name == "upper":
            return self.upper.log_laplace(s)
        return self.lower.log_laplace(s)[:, ::-1]

    def moments(self, name: str) -> Moments:
        """Moments on condition of a side."""
        if name == "upper":
            return self.upper.moments()
        return Moments(*(value[::-1] for value in self.lower.moments()))

    @QUIET
    def either(self, s: Array) -> Array:
        """log E[exp(-sT)]: the sum of both, or where that is close to one, what is left of it."""
        down, up = self.side("lower", s), self.side("upper", s)
        value = np.asarray(log_sum(down, up))
        close = np.abs(np.exp(value) - 1.0) < 0.3
        near = np.flatnonzero(close.any(axis=1))
        if near.size:
            spent = s[near, None] * self.upper.exposure(s[near])
            value[near] = np.where(close[near], log1p(-spent), value[near])
        return value


class LandscapeExit(Landscaped, Sided):
    r"""First exit of a :class:`~resetsgd.Landscape` from an interval.

    Each end has its own sweep, which starts at the other, absorbing end. Where both transforms sum
    to nearly one, the total comes from the exposure
    :math:`\tau(s) = E \int_0^T e^{-st} dt`, as :math:`\log(1 - s \tau)`.

    Parameters
    ----------
    process : Landscape
        What moves.
    start : float or array
        Positions strictly between the ends, length.
    target : tuple of two
        The ends of the interval, length, within the domain; arrays broadcast.

    Raises
    ------
    DomainError
        If a position lies outside the domain.
    NotConverged
        If the landscape is too rough for a relative error of 1e-10.

    Notes
    -----
    Relative error at most 1e-10, estimated in ``error``.

    **Source**: C. W. Gardiner, *Handbook of Stochastic Methods* (2004), section 5.2. Derived in
    ``theory/10_landscapes.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> hill = rs.Landscape(lambda x: -x**2 / 2, diffusivity=1.0)
    >>> T = rs.first_passage(hill, start=0.5, target=(-1.0, 1.0))
    >>> round(T.mean(), 6), round(T.splitting().upper, 6)
    (0.306725, 0.780453)
    """

    def __init__(self, process: Landscape, start: Any, target: tuple[Any, Any]) -> None:
        x0 = inside(process, "start", start)
        low, high = (inside(process, "target", end) for end in target)
        self._shape = domain.broadcast(start=x0, low=low, high=high)
        self.process = process
        self.start, self.target = domain.plain(x0), target
        flat = [np.broadcast_to(value, self._shape).ravel() for value in (x0, low, high)]
        kinds: dict[tuple[float, float], list[int]] = {}
        for i, (_, lower, upper) in enumerate(zip(*flat, strict=True)):
            kinds.setdefault((float(lower), float(upper)), []).append(i)
        self._parts: list[tuple[Places, _Interval, Places]] = []
        self._error = np.zeros(self._shape)
        self._moments = {side: np.empty((4, *self._shape)) for side in _SIDES}
        for (lower, upper), found in kinds.items():
            places = np.asarray(found)
            starts, column = np.unique(flat[0][places], return_inverse=True)
            interval = _Interval(process, starts, lower, upper)
            self._parts.append((places, interval, column))
            self._error.reshape(-1)[places] = interval.error
            for side, values in self._moments.items():
                stacked = np.stack(interval.moments(side))[:, column]
                values.reshape(4, -1)[:, places] = stacked

    def __repr__(self) -> str:
        return f"first_passage(Landscape, start={self.start}, target={self.target})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the positions."""
        return self._shape

    def _columns(self) -> Columns:
        def of(interval: _Interval, column: Places) -> Callable[[Any], Any]:
            return lambda s: interval.either(s)[:, column]

        return [(places, of(interval, column)) for places, interval, column in self._parts]

    def _side_columns(self, side: str) -> Columns:
        def of(interval: _Interval, column: Places) -> Callable[[Any], Any]:
            return lambda s: interval.side(side, s)[:, column]

        return [(places, of(interval, column)) for places, interval, column in self._parts]

    def _log_laplace(self, s: Any) -> Any:
        return spread(s, self._shape, self._columns())

    def _log_laplace_side(self, side: str, s: Any) -> Any:
        return spread(s, self._shape, self._side_columns(side))

    # Moments: sums of positive terms -----------------------------------------------------------

    def _log_chance(self, side: str) -> Any:
        return self._moments[side][0]

    def _log_mean_side(self, side: str) -> Any:
        return self._moments[side][1]

    @QUIET
    def _var_side(self, side: str) -> Any:
        return np.exp(2.0 * self._moments[side][1] + np.log(self._moments[side][2]))

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean, finite where the mean overflows."""
        parts = [self._moments[side][0] + self._moments[side][1] for side in _SIDES]
        return domain.plain(np.logaddexp(*parts))

    @QUIET
    def _square(self) -> Array:
        """var/mean²: the conditional variances, and that of the conditional means."""
        log_mean = np.asarray(self.log_mean())
        weights = [np.exp(self._moments[side][0]) for side in _SIDES]
        means = [np.exp(self._moments[side][1] - log_mean) for side in _SIDES]
        within = [
            np.exp(2.0 * (self._moments[side][1] - log_mean) + self._moments[side][0])
            * self._moments[side][2]
            for side in _SIDES
        ]
        between = weights[0] * weights[1] * (means[0] - means[1]) ** 2
        return np.asarray(within[0] + within[1] + between)

    @QUIET
    def var(self) -> Real:
        """Variance, time², a sum of positive terms."""
        value = np.exp(2.0 * np.asarray(self.log_mean()) + np.log(self._square()))
        return domain.plain(value)

    @QUIET
    def cv(self) -> Real:
        """Coefficient of variation, also where mean and variance overflow."""
        return domain.plain(np.sqrt(self._square()))

    # Laws at one end: windows of times here too --------------------------------------------------

    def _given_columns(self, side: str) -> Columns:
        """Columns of the law on condition of a side."""
        chance = np.asarray(self._log_chance(side)).ravel()

        def of(log_laplace: Callable[[Any], Any], places: Places) -> Callable[[Any], Any]:
            return lambda s: log_laplace(s) - chance[places]

        return [(places, of(column, places)) for places, column in self._side_columns(side)]

    @QUIET
    def _survival_given(self, side: str, t: Array) -> Any:
        """P(T > t | side), by Laplace inversion, absolute error about 1e-12."""
        t = np.asarray(t, dtype=np.float64)
        outside = np.where(t == 0, 1.0, 0.0)
        value = self._inverted(self._given_columns(side), t, lambda s, f: -np.expm1(f) / s, outside)
        return np.clip(value, 0.0, 1.0)

    @QUIET
    def _cdf_given(self, side: str, t: Array) -> Any:
        """P(T <= t | side)."""
        t = np.asarray(t, dtype=np.float64)
        outside = np.where(t == 0, 0.0, 1.0)
        value = self._inverted(self._given_columns(side), t, lambda s, f: np.exp(f) / s, outside)
        return np.clip(value, 0.0, 1.0)

    @QUIET
    def _density_given(self, side: str, t: Array) -> Any:
        """Density of T at t on condition of the side, by Laplace inversion."""
        t = np.asarray(t, dtype=np.float64)
        return self._inverted(self._given_columns(side), t, lambda s, f: np.exp(f), 0.0)

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Choose the end, then draw the time to it."""
        return Sided._sample(self, n, generator)
