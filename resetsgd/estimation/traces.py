"""From training curves to passage times."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.passage.observed import Observed

__all__ = ["from_traces"]


def from_traces(
    traces: npt.ArrayLike,
    *,
    threshold: float,
    direction: str = "above",
    first: int = 1,
) -> Observed:
    """Passage times, in steps, of recorded curves to a threshold.

    Parameters
    ----------
    traces : array-like, shape (runs, steps)
        One curve a run: column k is the look after step ``first + k``.
    threshold : float
        The level to reach; a look exactly on it has arrived.
    direction : {"above", "below"}
        Whether the level is reached from below (accuracy) or from above (loss).
    first : int, default 1
        Number of the step after which the first column was looked at; 0 if it shows the start.

    Returns
    -------
    Observed
        Times in steps; runs that never arrive are censored at the last look.

    Raises
    ------
    DomainError
        If the traces are not a finite table of (runs, steps), or no run arrives.

    Examples
    --------
    >>> import resetsgd as rs
    >>> E = rs.from_traces([[0.1, 0.5, 0.9], [0.1, 0.2, 0.3]], threshold=0.5, direction="above")
    >>> E.times, E.censored
    (array([2., 3.]), array([False,  True]))
    """
    table = np.asarray(domain.finite("traces", traces))
    if table.ndim != 2 or 0 in table.shape:
        raise DomainError("traces", f"array of shape {table.shape}", "of shape (runs, steps)")
    level = float(np.asarray(domain.finite("threshold", threshold)))
    domain.choice("direction", direction, ("above", "below"))
    first = domain.integer("first", first, 0)
    there = table >= level if direction == "above" else table <= level
    arrived = there.any(axis=1)
    if not arrived.any():
        best = table.max() if direction == "above" else table.min()
        raise DomainError("threshold", level, f"reached by some run (the closest gets to {best:g})")
    last = table.shape[1] - 1
    return Observed(np.where(arrived, there.argmax(axis=1), last) + float(first), ~arrived)
