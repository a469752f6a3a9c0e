"""Intervals and walls of processes whose closed forms end at one open half line.

In units of its own length and time each of them is a landscape without parameters (or with the
dimension alone), which :mod:`resetsgd.passage.landscape` solves; here positions and times are
converted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, RealLike
from resetsgd.errors import NotConverged
from resetsgd.passage.landscape import Columns, LandscapePassage
from resetsgd.passage.landscape_exit import LandscapeExit
from resetsgd.passage.panels import Places
from resetsgd.processes import Bessel, Landscape, LinearTrap, OrnsteinUhlenbeck, Process

__all__ = ["EquivalentExit", "EquivalentPassage", "equivalent"]

_SIDES = ("lower", "upper")
_LONGEST = 600.0
"""Largest logarithm of a time unit that is converted."""


class Units(NamedTuple):
    """A process as a landscape: where its origin is, its units, and the landscape in these."""

    origin: Array
    length: Array
    log_time: Array
    kind: Array
    landscape: Callable[[float], Landscape]


def _bowl(_: float) -> Landscape:
    return Landscape(drift=lambda y: -y)


def _kink(sign: float) -> Landscape:
    # the potential: the drift has no value at the kink
    return Landscape(lambda y: sign * np.abs(y), breaks=(0.0,))


def _radial(dimension: float) -> Landscape:
    return Landscape(drift=lambda y: (dimension - 1.0) / y, domain=(0.0, np.inf))


@np.errstate(all="ignore")
def _units(process: Any, radius: Array) -> Units:
    D = np.asarray(process.diffusivity)
    nothing = np.zeros(())
    if isinstance(process, OrnsteinUhlenbeck):
        k = np.asarray(process.stiffness)
        spread = np.sqrt(D) / np.sqrt(k)
        return Units(np.asarray(process.center), spread, -np.log(k), nothing, _bowl)
    if isinstance(process, LinearTrap):
        slope = np.abs(np.asarray(process.slope))
        time = np.log(D) - 2.0 * np.log(slope)
        return Units(nothing, D / slope, time, np.sign(np.asarray(process.slope)), _kink)
    time = 2.0 * np.log(radius) - np.log(D)
    return Units(nothing, radius, time, np.asarray(process.dimension), _radial)


def equivalent(
    process: Process, start: RealLike, target: Any, wall: Any
) -> EquivalentExit | EquivalentPassage:
    """The passage time to two ends, or to one off a wall, by the landscape it is equivalent to."""
    if isinstance(process, Bessel):
        named = [("start", start)]
        if wall is not None:
            named += [("wall", wall), ("target", target)]
        else:
            named += [("target", end) for end in target]
        for name, value in named:
            domain.positive(name, value)
    if isinstance(target, tuple):
        return EquivalentExit(process, start, target)
    return EquivalentPassage(process, start, target, wall)


def _groups(
    process: Process, shape: tuple[int, ...], start: Array, others: tuple[Array, ...]
) -> Iterator[tuple[Places, Landscape, float, float, list[float], Array]]:
    """Elements that share a landscape, its time unit and the other positions.

    Yields their places, the landscape, the time unit and its logarithm, the other positions and the
    starts, all in units of the landscape.
    """
    units = _units(process, np.maximum(*others))
    with np.errstate(all="ignore"):
        reduced = [(value - units.origin) / units.length for value in (start, *others)]
    parts = [*reduced, units.log_time, units.kind]
    flat = [np.broadcast_to(part, shape).ravel() for part in parts]
    starts, keys = flat[0], np.stack(flat[1:], axis=-1)
    if not (np.isfinite(starts).all() and np.isfinite(keys).all()):
        raise NotConverged("first_passage: lengths or times beyond float64; change the units")
    if np.any(np.abs(keys[:, -2]) > _LONGEST):
        raise NotConverged("first_passage: times outside 1e-260 to 1e260; change the unit")
    distinct, which = np.unique(keys, axis=0, return_inverse=True)
    for i, key in enumerate(distinct):
        places = np.flatnonzero(which.ravel() == i)
        log_time, kind = float(key[-2]), float(key[-1])
        ends = [float(value) for value in key[:-2]]
        yield places, units.landscape(kind), float(np.exp(log_time)), log_time, ends, starts[places]


def _scaled(function: Callable[[Any], Any], time: float) -> Callable[[Any], Any]:
    return lambda s: function(s * time)


class EquivalentExit(LandscapeExit):
    r"""Exit of a process from an interval, or an annulus, through the equivalent landscape.

    :class:`~resetsgd.OrnsteinUhlenbeck` in units of the stationary spread :math:`\sqrt{D/k}` and
    the relaxation time 1/k is the landscape of drift -y; :class:`~resetsgd.LinearTrap` in units of
    :math:`D/|\lambda|` and :math:`D/\lambda^2` that of drift :math:`\mp\mathrm{sign}(y)`;
    :class:`~resetsgd.Bessel` in units of the outer radius that of drift (d-1)/y.

    Parameters
    ----------
    process : OrnsteinUhlenbeck, LinearTrap or Bessel
        What moves; arrays broadcast.
    start : float or array
        Positions strictly between the ends, length.
    target : tuple of two
        The ends, length; arrays broadcast. Radii must be positive.

    Raises
    ------
    DomainError
        If a radius is not positive.
    NotConverged
        If a relative error of 1e-10 is out of reach, or a unit is beyond 1e±260.

    Notes
    -----
    Relative error at most 1e-10, estimated in ``error``; about 1e-13 in ordinary units. Each
    distinct interval, and each element of an array of processes, is solved for itself: some
    milliseconds each.

    **Source**: C. W. Gardiner, *Handbook of Stochastic Methods* (2004), section 5.2. Derived in
    ``theory/10_landscapes.py``; tested against parabolic cylinder and Bessel functions.

    Examples
    --------
    A quadratic bowl left at one spread below or two above its bottom:

    >>> import resetsgd as rs
    >>> bowl = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=1.0)
    >>> T = rs.first_passage(bowl, start=0.5, target=(-1.0, 2.0))
    >>> round(T.mean(), 6), round(T.splitting().upper, 6)
    (1.597186, 0.289776)
    """

    def __init__(self, process: Process, start: RealLike, target: tuple[Any, Any]) -> None:
        x0 = np.asarray(domain.finite("start", start))
        low, high = (np.asarray(domain.finite("target", end)) for end in target)
        self._shape = _shape(process, start=x0, low=low, high=high)
        self.process = process  # type: ignore[assignment]
        self.start, self.target = domain.plain(x0), target
        self._pieces: list[tuple[Places, LandscapeExit, float]] = []
        self._error = np.zeros(self._shape)
        self._moments = {side: np.empty((4, *self._shape)) for side in _SIDES}
        for found in _groups(process, self._shape, x0, (low, high)):
            places, landscape, time, log_time, (lower, upper), starts = found
            if not (np.all(lower < starts) and np.all(starts < upper)):
                raise NotConverged("first_passage: positions too close to tell apart in float64")
            piece = LandscapeExit(landscape, starts, (lower, upper))
            self._pieces.append((places, piece, time))
            self._error.reshape(-1)[places] = piece.error
            for side, values in self._moments.items():
                own = np.array(piece._moments[side])
                own[1] += log_time
                values.reshape(4, -1)[:, places] = own

    def __repr__(self) -> str:
        return f"first_passage({self.process}, start={self.start}, target={self.target})"

    def _columns(self) -> Columns:
        return [
            (places, _scaled(piece._columns()[0][1], time)) for places, piece, time in self._pieces
        ]

    def _side_columns(self, side: str) -> Columns:
        return [
            (places, _scaled(piece._side_columns(side)[0][1], time))
            for places, piece, time in self._pieces
        ]


class EquivalentPassage(LandscapePassage):
    r"""First passage to a point off a reflecting wall, through the equivalent landscape.

    As :class:`EquivalentExit`.

    Parameters
    ----------
    process : OrnsteinUhlenbeck, LinearTrap or Bessel
        What moves; arrays broadcast.
    start, target, wall : float or array
        Positions, length: the wall behind the start. Radii must be positive.

    Raises
    ------
    DomainError
        If the start is at the target, or a radius is not positive.
    NotConverged
        If a relative error of 1e-10 is out of reach, or a unit is beyond 1e±260.

    Notes
    -----
    Accuracy and source as of :class:`EquivalentExit`. T always arrives, with finite moments.

    Examples
    --------
    A wall at the bottom keeps the search from going astray behind it:

    >>> import resetsgd as rs
    >>> bowl = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=1.0)
    >>> T = rs.first_passage(bowl, start=0.0, target=1.0, wall=0.0)
    >>> round(T.mean(), 6), round(rs.first_passage(bowl, start=0.0, target=1.0).mean(), 6)
    (0.595749, 2.093407)
    """

    def __init__(self, process: Process, start: RealLike, target: RealLike, wall: RealLike) -> None:
        names = ("start", "target", "wall")
        x0, end, back = (
            np.asarray(domain.finite(name, value))
            for name, value in zip(names, (start, target, wall), strict=True)
        )
        self._shape = _shape(process, start=x0, target=end, wall=back)
        domain.gap(x0, end)
        self.process = process  # type: ignore[assignment]
        self.start, self.target, self.wall = domain.plain(x0), domain.plain(end), wall
        self._pieces: list[tuple[Places, LandscapePassage, float]] = []
        self._error = np.zeros(self._shape)
        self._moments = np.empty((4, *self._shape))
        for found in _groups(process, self._shape, x0, (end, back)):
            places, landscape, time, log_time, (goal, fence), starts = found
            piece = LandscapePassage(landscape, starts, goal, fence)
            self._pieces.append((places, piece, time))
            self._error.reshape(-1)[places] = piece.error
            own = np.array(piece._moments)
            if np.isnan(own[:3]).any():
                raise NotConverged(
                    "first_passage: the way is too short for float64; change the unit"
                )
            own[1] += log_time
            self._moments.reshape(4, -1)[:, places] = own

    def __repr__(self) -> str:
        return (
            f"first_passage({self.process}, start={self.start}, target={self.target},"
            f" wall={self.wall})"
        )

    def _columns(self) -> Columns:
        return [
            (places, _scaled(piece._columns()[0][1], time)) for places, piece, time in self._pieces
        ]


def _shape(process: Any, **positions: Array) -> tuple[int, ...]:
    """Common shape of the parameters of the process and the positions."""
    own = {
        name: value
        for name, value in vars(process).items()
        if isinstance(value, (float, np.ndarray))
    }
    return domain.broadcast(**own, **positions)
