"""First passage in any one-dimensional landscape, by sweeps of a Riccati equation over panels.

The panels are made in :mod:`resetsgd.passage.panels`, swept in :mod:`resetsgd.passage.riccati`;
here starts and targets are sorted into approaches from one side and the answers put together.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from scipy.interpolate import PchipInterpolator

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage.approach import Approach
from resetsgd.passage.base import PassageTime
from resetsgd.passage.contour import invert_windows
from resetsgd.passage.panels import Field, Places
from resetsgd.processes import Landscape

__all__ = ["LandscapePassage", "Landscaped", "field_of", "passage"]

_TABLE = 1025


def passage(process: Landscape, start: RealLike, target: Any, wall: Any) -> PassageTime:
    """The passage time for a kind of target; what ``first_passage`` calls."""
    if isinstance(target, tuple):
        from resetsgd.passage.landscape_exit import LandscapeExit

        if process.rate is not None:
            raise DomainError("target", target, "one position, with resets at rate=")
        return LandscapeExit(process, start, target)
    if process.rate is not None:
        from resetsgd.passage.landscape_resets import ResettingPassage

        return ResettingPassage(process, start, target, wall)
    return LandscapePassage(process, start, target, wall)


def _vectorised(function: Callable[[Any], Any], low: float, high: float, name: str) -> Any:
    """The function for arrays, whatever it takes; errors of its own come through."""
    probe = np.linspace(low, high, 5)[1:4]

    def single(x: float) -> float:
        try:
            return float(np.asarray(function(float(x))).reshape(()))
        except (OverflowError, ZeroDivisionError):  # far out, or on a pole: like a wall
            return np.inf

    def one_by_one(x: Array) -> Array:
        return np.array([single(value) for value in x.ravel()], dtype=np.float64).reshape(x.shape)

    def whole(x: Array) -> Array:
        with np.errstate(all="ignore"):
            values = np.asarray(function(x), dtype=np.float64)
        return values if values.shape == x.shape else np.broadcast_to(values, x.shape).copy()

    try:
        values = np.asarray(function(probe), dtype=np.float64)
    except Exception:  # it takes numbers only; if it takes neither, the next call says so
        values = np.empty(7)
    try:
        with np.errstate(all="ignore"):
            apart = one_by_one(probe)
    except (TypeError, ValueError) as error:
        raise DomainError(name, function, f"a function of a number: {error}") from error
    if not np.isfinite(apart).all():
        raise DomainError(name, function, f"finite between {low:g} and {high:g}")
    if values.shape in ((), probe.shape) and np.allclose(values, apart, rtol=1e-9, atol=0.0):
        return whole
    return one_by_one


def field_of(process: Landscape, low: float, high: float) -> Field:
    """What is sampled of a landscape, checked between two positions."""

    def taken(name: str) -> Any:
        function = getattr(process, name)
        if function is None or not callable(function):
            return function
        return _vectorised(function, low, high, name)

    rate = taken("rate")
    if rate is not None and not callable(rate):
        constant = float(rate)

        def rate(x: Array) -> Array:
            return np.full(x.shape, constant)

    return Field(taken("potential"), taken("drift"), taken("diffusivity"), process.alpha, rate)


def inside(process: Landscape, name: str, value: Any) -> Array:
    """Finite positions within the domain."""
    low, high = process.domain
    return np.asarray(domain.within(name, domain.finite(name, value), low, high))


def approach_of(
    process: Landscape,
    starts: Array,
    target: float,
    wall: float | None,
    sign: float,
    end: str = "reflecting",
) -> Approach:
    """The approach from starts on one side (sign +1: below the target), perhaps off a wall."""
    low, high = process.domain
    ends = process.ends
    far = wall
    if far is None:
        far, end = (low, ends[0]) if sign > 0 else (high, ends[1])
    reach = starts.min() if sign > 0 else starts.max()
    if not 1e-140 < abs(target - reach) < 1e140:
        raise NotConverged("first_passage: distances outside 1e-140 to 1e140; change the unit")
    field = field_of(process, *sorted((float(reach), target)))
    field.sign = sign
    breaks = sign * np.asarray(process.breaks, dtype=np.float64)
    return Approach(
        field, np.sort(sign * starts), sign * target, sign * far, end == "absorbing", breaks
    )


Columns = list[tuple[Places, Callable[[Any], Any]]]
"""Flat places in a shape, and a function of a row of s at these places."""


class Landscaped(PassageTime):
    """What all passage times in landscapes share: windows of times, samples, the error."""

    sources: ClassVar[tuple[str, ...]] = ("gardiner2004", "weideman2007")
    derivation = "theory/10_landscapes.py"
    _error: Array

    @property
    def error(self) -> Real:
        """Estimated relative error of the mean and of the logarithm of the transform.

        From a second mesh, sampled at other points, and from the rounding of the potential; never
        above 1e-10, or ``NotConverged`` was raised.
        """
        return domain.plain(self._error)

    @abstractmethod
    def _columns(self) -> Columns:
        """Parts: flat places in ``shape``, and log E[exp(-sT)] for a row of s at these places."""

    def _inverted(
        self,
        columns: Columns,
        t: Array,
        transform: Callable[[Any, Any], Any],
        outside: Any,
    ) -> Any:
        shape = np.broadcast_shapes(t.shape, self.shape)
        t = np.broadcast_to(t, shape)
        place = np.arange(int(np.prod(self.shape, dtype=int))).reshape(self.shape)
        place = np.broadcast_to(place, shape)
        usable = (t > 0) & np.isfinite(t)
        value = np.array(np.broadcast_to(outside, shape), dtype=np.float64)
        for places, log_laplace in columns:
            mine = usable & np.isin(place, places)
            column = np.searchsorted(places, place[mine])
            times = np.maximum(t[mine], 1e-280)

            def chosen(s: Any, log_laplace: Any = log_laplace) -> Any:
                return transform(s[:, None], log_laplace(s))

            value[mine] = invert_windows(chosen, times, column)
        return value

    @property
    def inverted(self) -> bool:
        """True: the survival function comes from the transform."""
        return True

    def _survival(self, t: Array) -> Any:
        """By Laplace inversion, absolute error about 1e-12."""
        never = -np.expm1(np.real(self._log_laplace(np.zeros(self.shape))))
        outside = np.where(t == 0, 1.0, never)
        return self._inverted(self._columns(), t, lambda s, log_f: -np.expm1(log_f) / s, outside)

    def _density(self, t: Array) -> Any:
        """By Laplace inversion, absolute error about 1e-12 over the time scale."""
        return self._inverted(self._columns(), t, lambda s, log_f: np.exp(log_f), 0.0)

    @QUIET
    def _cdf(self, t: Array) -> Any:
        """P(T <= t): its own inversion, so that nothing is subtracted from one."""
        t = np.asarray(t, dtype=np.float64)
        arrive = np.exp(np.real(self._log_laplace(np.zeros(self.shape))))
        outside = np.where(t == 0, 0.0, arrive)
        value = self._inverted(self._columns(), t, lambda s, log_f: np.exp(log_f) / s, outside)
        return np.clip(value, 0.0, 1.0)

    def timescale(self) -> Array:
        """The mean where it is finite, else 1/s where the transform has fallen by a factor e."""
        mean = np.asarray(self.mean())
        if np.all(np.isfinite(mean) & (mean > 0)):
            return mean
        low, high = np.full(self.shape, -900.0), np.full(self.shape, 900.0)
        never = np.real(self._log_laplace(np.zeros(self.shape)))
        for _ in range(12):
            middle = 0.5 * (low + high)
            falls = never - np.real(self._log_laplace(np.exp2(middle))) >= 1.0
            low, high = np.where(falls, low, middle), np.where(falls, middle, high)
        return np.asarray(np.exp2(-high))

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """By inversion of a table of 1025 points of the law, monotone cubic in log time.

        The probability is off by about 1e-8, which 10^14 draws would resolve.
        """
        shape = self.shape
        row = (-1, *(1,) * len(shape))
        arrive = np.exp(np.real(self._log_laplace(np.zeros(shape))))
        ends = [self.quantile(arrive * q) for q in (1e-9, 1.0 - 1e-9)]
        low, high = (np.log(np.asarray(end)) for end in ends)
        fractions = np.linspace(0.0, 1.0, _TABLE).reshape(row)
        log_t = low * (1.0 - fractions) + high * fractions
        with np.errstate(all="ignore"):
            come = np.asarray(self._cdf(np.exp(log_t))) / arrive
            late = (np.asarray(self.survival(np.exp(log_t))) - (1.0 - arrive)) / arrive
            odds = np.log(come) - np.log(late)
        draws = generator.random((n, *shape))
        pick = generator.random((n, *shape)) < arrive
        wanted = np.log(draws) - np.log1p(-draws)
        times = np.empty((n, *shape))
        for at in np.ndindex(shape):
            rise = np.maximum.accumulate(odds[(slice(None), *at)])
            kept = np.isfinite(rise) & (np.diff(rise, prepend=-np.inf) > 0)
            known, place = rise[kept], log_t[(slice(None), *at)][kept]
            draw = np.clip(wanted[(slice(None), *at)], known[0], known[-1])
            times[(slice(None), *at)] = np.exp(PchipInterpolator(known, place)(draw))
        return np.where(pick, times, np.inf)


def spread(s: Any, shape: tuple[int, ...], parts: Columns) -> Array:
    """Values for s that broadcasts against the shape, from parts that take rows of s."""
    s = np.asarray(s)
    s = s.astype(np.complex128 if np.iscomplexobj(s) else np.float64)
    full = np.broadcast_shapes(s.shape, shape)
    s = np.broadcast_to(s, full)
    value = np.empty(full, dtype=s.dtype)
    if shape == ():
        value[...] = parts[0][1](s.ravel())[:, 0].reshape(full)
        return value
    place = np.broadcast_to(np.arange(int(np.prod(shape, dtype=int))).reshape(shape), full)
    for places, function in parts:
        mine = np.isin(place, places)
        rows, back = np.unique(s[mine], return_inverse=True)
        value[mine] = function(rows)[back, np.searchsorted(places, place[mine])]
    return value


class LandscapePassage(Landscaped):
    r"""First passage in a :class:`~resetsgd.Landscape` to a point.

    The backward equation :math:`D u'' + \mu u' = s u` becomes a Riccati equation for
    :math:`w = u'/u`, swept from the far end to the target over panels on which the solutions are
    power series in s; :math:`\log E[e^{-sT}] = -\int w\,dx` keeps its relative accuracy for
    :math:`s \to 0` and over any barrier. Moments come from the same sweep, expanded in s, whose
    terms have one sign.

    Parameters
    ----------
    process : Landscape
        What moves.
    start, target : float or array
        Positions in the domain, length; the start not at the target. Arrays broadcast; starts with
        the same target and side share one solution.
    wall : float or array, optional
        Reflecting wall behind the start.

    Raises
    ------
    DomainError
        If a position lies outside the domain, or the landscape is not defined between them.
    NotConverged
        If the landscape is too rough for a relative error of 1e-10.

    Notes
    -----
    Relative error at most 1e-10, estimated in ``error``; in smooth landscapes about 1e-14. Infinite
    ends are cut where what lies behind no longer matters (by 1e-20): deep walls, descents of no
    return, or, in landscapes that level off, 2^100 times the distance. A well that is hidden
    between two samples of the landscape is not seen: name it in ``breaks``.

    **Source**: C. W. Gardiner, *Handbook of Stochastic Methods* (2004), section 5.2. Derived in
    ``theory/10_landscapes.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> bowl = rs.Landscape(lambda x: x**2 / 2, diffusivity=1.0)
    >>> T = rs.first_passage(bowl, start=[-1.0, 0.0], target=1.0)
    >>> T.mean().round(6)
    array([2.995315, 2.093407])
    >>> bool(T.error.max() < 1e-12)
    True
    """

    def __init__(self, process: Landscape, start: Any, target: Any, wall: Any = None) -> None:
        x0, end = inside(process, "start", start), inside(process, "target", target)
        back = None if wall is None else inside(process, "wall", wall)
        self._shape = domain.broadcast(
            start=x0, target=end, **({} if back is None else {"wall": back})
        )
        self.process = process
        self.start, self.target, self.wall = domain.plain(x0), domain.plain(end), wall
        flat = [np.broadcast_to(value, self._shape).ravel() for value in (x0, end)]
        domain.gap(x0, end)
        walls = np.full(flat[0].shape, np.nan)
        if back is not None:
            walls = np.broadcast_to(back, self._shape).ravel()
        kinds: dict[tuple[Any, ...], list[int]] = {}
        for i, (place, goal, fence) in enumerate(zip(*flat, walls, strict=True)):
            side = 1.0 if place < goal else -1.0
            fenced = None if np.isnan(fence) else float(fence)
            kinds.setdefault((float(goal), fenced, side), []).append(i)
        self._parts: list[tuple[Places, Approach, Places]] = []
        self._error = np.zeros(self._shape)
        for (goal, fenced, side), found in kinds.items():
            places = np.asarray(found)
            starts, column = np.unique(side * flat[0][places], return_inverse=True)
            approach = approach_of(process, side * starts, goal, fenced, side)
            self._parts.append((places, approach, column))
            self._error.reshape(-1)[places] = approach.error
        self._moments = self._gather()

    def __repr__(self) -> str:
        walled = "" if self.wall is None else f", wall={self.wall}"
        return f"first_passage(Landscape, start={self.start}, target={self.target}{walled})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the positions."""
        return self._shape

    def _gather(self) -> Array:
        """log chance, log mean, var/mean² and third cumulant/mean³, along the first axis."""
        values = np.empty((4, int(np.prod(self._shape, dtype=int))))
        for places, approach, column in self._parts:
            values[:, places] = np.stack(approach.moments())[:, column]
        return values.reshape(4, *self._shape)

    def _columns(self) -> Columns:
        def of(approach: Approach, column: Places) -> Callable[[Any], Any]:
            return lambda s: approach.log_laplace(s)[:, column]

        return [(places, of(approach, column)) for places, approach, column in self._parts]

    def _log_laplace(self, s: Any) -> Any:
        return spread(s, self._shape, self._columns())

    # Moments ---------------------------------------------------------------------------------

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean, finite where the mean overflows; ``inf`` if it is infinite."""
        return domain.plain(np.where(self._moments[0] < 0, np.inf, self._moments[1]))

    @QUIET
    def var(self) -> Real:
        """Variance, time², a sum of positive terms; ``inf`` where it is infinite."""
        certain = (self._moments[0] == 0) & np.isfinite(self._moments[1])
        value = np.exp(2.0 * self._moments[1] + np.log(self._moments[2]))
        return domain.plain(np.where(certain, value, np.inf))

    @QUIET
    def cv(self) -> Real:
        """Coefficient of variation, also where mean and variance overflow."""
        certain = (self._moments[0] == 0) & np.isfinite(self._moments[1])
        return domain.plain(np.where(certain, np.sqrt(self._moments[2]), np.inf))

    @QUIET
    def third_cumulant(self) -> Real:
        """Third cumulant E[(T - mean)³], time³; ``inf`` where it is infinite."""
        certain = (self._moments[0] == 0) & np.isfinite(self._moments[1])
        value = np.exp(3.0 * self._moments[1] + np.log(self._moments[3]))
        return domain.plain(np.where(certain, value, np.inf))
