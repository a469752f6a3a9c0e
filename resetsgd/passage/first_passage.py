"""From a process, a start and a target to a passage time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from resetsgd.domain import RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.closed import DriftDiffusionPassage
from resetsgd.processes import DriftDiffusion, Process

__all__ = ["first_passage"]

# One row a process: a new one is a new class in this folder and a row here.
_PASSAGES: dict[type[Process], Callable[[Any, RealLike, RealLike], DriftDiffusionPassage]] = {
    DriftDiffusion: DriftDiffusionPassage,
}


def first_passage(process: Process, start: RealLike, target: RealLike) -> DriftDiffusionPassage:
    """The reset-free first-passage time of a process from a start to a target.

    Parameters
    ----------
    process : Process
        What moves, for example ``DriftDiffusion(drift=-0.5, diffusivity=1.0)``.
    start, target : float or array
        Positions, length; finite and different from each other. Arrays broadcast.

    Returns
    -------
    PassageTime
        Exact law, with ``mean``, ``cv``, ``survival``, ``under``, ``best`` and so on.

    Raises
    ------
    DomainError
        If the process is unknown, a position is not finite, or the start is at the target.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=-0.5, diffusivity=1.0), start=1.0, target=0.0)
    >>> T.mean()
    2.0
    """
    try:
        passage = _PASSAGES[type(process)]
    except KeyError:
        known = ", ".join(kind.__name__ for kind in _PASSAGES)
        raise DomainError("process", process, f"one of {known}") from None
    return passage(process, start, target)
