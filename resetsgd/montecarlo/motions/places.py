"""Where a path starts, ends and is put back: checked once for all motions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, RealLike
from resetsgd.errors import DomainError

__all__ = ["Places", "places_of"]


@dataclass(frozen=True)
class Places:
    """Start, ends of the target, reset positions (with rising sums of their weights), wall.

    ``low`` and ``high`` are the same for a point, and ``side`` is +1 if the start lies above it.
    """

    start: float
    low: float
    high: float
    back: Array
    wall: float | None = None

    @property
    def interval(self) -> bool:
        """Whether the target has two ends."""
        return self.low < self.high

    @property
    def ends(self) -> tuple[float, float]:
        """Lower and upper end, infinite where there is none."""
        if self.interval:
            return self.low, self.high
        return (self.low, math.inf) if self.side > 0 else (-math.inf, self.low)

    @property
    def side(self) -> float:
        """Where the start is: +1 above a point or in an interval, -1 below."""
        return 1.0 if self.interval or self.start > self.low else -1.0

    @property
    def origins(self) -> Array:
        """All positions where a stretch begins."""
        return np.append(self.back[0], self.start)

    @property
    def distances(self) -> Array:
        """Their distances to the target."""
        from_low = np.abs(self.origins - self.low)
        return np.minimum(from_low, np.abs(self.high - self.origins))

    def told(self) -> dict[str, Any]:
        """What a simulation says about its places."""
        back = self.back[0]
        return {
            "start": self.start,
            "target": (self.low, self.high) if self.interval else self.low,
            "reset_to": back[0] if back.size == 1 else back.tolist(),
        }

    def away(self) -> Array:
        """The reset positions as distances from a point, for kernels that know nothing else."""
        return np.ascontiguousarray(np.stack([np.abs(self.back[0] - self.low), self.back[1]]))


def places_of(
    start: RealLike,
    target: RealLike | tuple[RealLike, RealLike],
    reset_to: Any = None,
    weights: Any = None,
    wall: RealLike | None = None,
) -> Places:
    """Check where a path starts, ends and is put back.

    Raises
    ------
    DomainError
        If a position is not finite or not on the start's side of the target.
    """
    begin = domain.single("start", start)
    if isinstance(target, tuple):
        if len(target) != 2:
            raise DomainError("target", target, "a position or a tuple (low, high)")
        low, high = (domain.single("target", end) for end in target)
        if not low < high:
            raise DomainError("target", target, "a tuple (low, high) with low < high")
        if not low < begin < high:
            raise DomainError("start", start, f"strictly between the ends of {target!r}")
    else:
        low = high = domain.single("target", target)
        if begin == low:
            raise DomainError("start", start, f"different from the target {low:g}")
    positions = np.array([begin]) if reset_to is None else _positions(reset_to)
    sums = _sums(weights, positions.size)
    back = np.ascontiguousarray(np.stack([positions, sums]))
    made = Places(begin, low, high, back, None if wall is None else domain.single("wall", wall))
    inside = (positions > low) & (positions < high)
    inside = inside if made.interval else made.side * (positions - low) > 0
    if not inside.all():
        where = f"between {low:g} and {high:g}" if made.interval else (
            f"on the same side of the target {low:g} as the start {begin:g}"
        )  # fmt: skip
        raise DomainError("reset_to", reset_to, where)
    if made.wall is not None:
        if made.interval:
            raise DomainError("wall", wall, "None for a target with two ends")
        if not (made.side * (made.origins - made.wall) <= 0).all():
            raise DomainError("wall", wall, "behind the start and the reset positions")
    return made


def _positions(reset_to: Any) -> Array:
    value: Any = np.atleast_1d(np.asarray(domain.finite("reset_to", reset_to)))
    if value.ndim != 1 or value.size == 0:
        raise DomainError("reset_to", reset_to, "a position or a sequence of positions")
    return np.asarray(value, dtype=np.float64)


def _sums(weights: Any, count: int) -> Array:
    """Rising sums of probabilities, 1 at last."""
    if weights is None:
        return np.arange(1, count + 1) / count
    value: Any = np.atleast_1d(np.asarray(domain.nonnegative("reset_weights", weights)))
    if value.shape != (count,) or not 0 < value.sum() < math.inf:
        raise DomainError("reset_weights", weights, f"{count} weights of a positive sum")
    sums = np.cumsum(value / value.sum())
    sums[-1] = 1.0
    return np.asarray(sums, dtype=np.float64)
