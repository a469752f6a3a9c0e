"""From a process, a start and a target to a passage time."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.base import PassageTime
from resetsgd.processes import Process

__all__ = ["first_passage"]

# One row a process: the module of this folder whose ``passage(process, start, target, wall)``
# makes its passage times. A new process is a new module and a row here.
_HOMES = {
    "Bessel": "bessel",
    "DriftDiffusion": "drift_diffusion",
    "Landscape": "landscape",
    "LinearTrap": "linear_trap",
    "OrnsteinUhlenbeck": "ornstein_uhlenbeck",
    "QuadraticSGD": "quadratic_sgd",
    "RandomWalk": "random_walk",
    "Telegraph": "telegraph",
}


def first_passage(
    process: Process,
    start: RealLike,
    target: RealLike | tuple[RealLike, RealLike],
    wall: RealLike | None = None,
) -> PassageTime:
    """The reset-free first-passage time of a process from a start to a target.

    Parameters
    ----------
    process : Process
        What moves, for example ``DriftDiffusion(drift=-0.5, diffusivity=1.0)``.
    start : float or array
        Position, length; finite and not at the target. Arrays broadcast.
    target : float, array or tuple of two
        A position (arrays broadcast), or the two ends ``(low, high)`` of an interval around the
        start that is left at either end: a *tuple* is an interval, a list or array is many targets.
    wall : float or array, optional
        A reflecting wall on the other side of the start than the target; none by default.

    Returns
    -------
    PassageTime
        Exact law, with ``mean``, ``cv``, ``survival``, ``under``, ``best`` and so on; for an
        interval also with ``splitting``, ``side`` and ``given``.

    Raises
    ------
    DomainError
        If the process is unknown or does not support this kind of target, a position is not
        finite, or the start is not where it can be.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=-0.5, diffusivity=1.0), start=1.0, target=0.0)
    >>> T.mean()
    2.0
    """
    home = next((_HOMES[k.__name__] for k in type(process).__mro__ if k.__name__ in _HOMES), None)
    if home is None:
        raise DomainError("process", process, f"one of {', '.join(_HOMES)}")
    if isinstance(target, tuple):
        target = _interval(target, start)
        if wall is not None:
            raise DomainError("wall", wall, "None for a target with two ends")
    elif wall is not None:
        _behind(wall, start, target)
    module: Any = importlib.import_module(f"resetsgd.passage.{home}")
    passage: PassageTime = module.passage(process, start, target, wall)
    return passage


def _interval(target: tuple[Any, ...], start: RealLike) -> tuple[RealLike, RealLike]:
    """The two ends, low before high, with the start strictly between them."""
    if len(target) != 2:
        raise DomainError("target", target, "a position or a tuple (low, high)")
    low, high = (np.asarray(domain.finite("target", end)) for end in target)
    place = np.asarray(domain.finite("start", start))
    domain.broadcast(start=place, low=low, high=high)
    if not np.all(low < high):
        raise DomainError("target", target, "a tuple (low, high) with low < high")
    if not np.all((low < place) & (place < high)):
        raise DomainError("start", start, f"strictly between the ends of the target {target!r}")
    return domain.plain(low), domain.plain(high)


def _behind(wall: RealLike, start: RealLike, target: Any) -> None:
    """A wall on the other side of the start than the target, or at the start."""
    place, end = np.asarray(domain.finite("start", start)), domain.finite("target", target)
    back = np.asarray(domain.finite("wall", wall))
    domain.broadcast(start=place, target=end, wall=back)
    if not np.all(np.sign(place - back) * np.sign(place - end) <= 0):
        raise DomainError("wall", wall, f"on the other side of the start {start!r} than the target")
