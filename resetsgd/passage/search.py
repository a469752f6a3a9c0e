"""Local minima of the mean against the frequency of a protocol family, all of them.

A grid over thirty decades brackets them, by the sign of the slope where the family knows it and by
values elsewhere; each is then solved for. Several passage times are searched at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import chebyshev
from scipy.optimize import minimize_scalar

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.passage.crossing import solve
from resetsgd.protocols import Protocol

if TYPE_CHECKING:
    from resetsgd.passage.base import PassageTime
    from resetsgd.passage.optimum import Optimum

__all__ = ["Curve", "Local", "local_minima", "log_mean_of", "outer"]

# Frequencies searched, in units of 1/timescale: dense where minima are, and far to both sides, for
# a rate may vanish at a transition or belong to a rare, fast part of the law. A transform is
# analytic for |arg s| < pi/2, so that in the logarithm of a rate its slope has no features much
# narrower than a quarter of a decade; where it comes near zero on the way it is looked at again.
_GRID = 10.0 ** np.concatenate(
    [np.arange(-17.0, -4.0, 1.0), np.arange(-4.0, 4.5, 1 / 4), np.arange(5.0, 13.5, 1.0)]
)
_DENSE = 10.0 ** np.concatenate(
    [np.arange(-17.0, -4.0, 1 / 2), np.arange(-4.0, 4.5, 1 / 8), np.arange(4.5, 13.5, 1 / 2)]
)
"""For several passage times at once, where nothing is looked at again."""
_BETWEEN = np.array([-0.75, -0.5, -0.25, 0.25, 0.5, 0.75])
"""Where between a point and its neighbours."""
_COARSE = 10.0 ** np.concatenate([np.arange(-8.0, -3.0, 1 / 4), np.arange(-3.0, 5.0, 1 / 16)])
"""For families that know values only."""
_LOWEST, _HIGHEST = 1e-306, 1e306
_MOST = 2**21
"""Entries of the largest table held at once."""
_NODES = np.cos(np.pi * (np.arange(17) + 0.5) / 17)
"""Chebyshev nodes on which a minimum known by values is resolved."""
_WINDOW = 0.25
"""Half width, in log frequency, of what they span."""


@dataclass(frozen=True)
class Local:
    """A local minimum, for each passage time: where it is, its mean, whether it exists."""

    frequency: Any
    log_mean: Any
    exists: Any
    kind: str
    edge: Protocol | None = None


@dataclass
class Curve:
    """The mean of a passage time against the frequency of a protocol family."""

    free: PassageTime
    family: type[Protocol]
    fixed: dict[str, Any]
    then: PassageTime | None = None
    own: tuple[float, float] | None = None

    def at(self, frequency: Any) -> Protocol:
        """The member of the family with this frequency."""
        return self.family.at_frequency(frequency, **self.fixed)

    def under(self, protocol: Protocol) -> PassageTime:
        """The passage time under it."""
        if self.then is None:
            return self.free.under(protocol)
        return self.free.under(protocol, then=self.then)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Common shape of the passage times, the fixed parameters and the reset points."""
        other = () if self.then is None else self.then.shape
        return np.broadcast_shapes(self.free.shape, self.at(0.0).shape, other)

    @property
    def noise(self) -> float:
        """Relative rounding noise of the mean."""
        return max(self.family.slope_noise, 1e-15) if self.then is None else 1e-12

    def log_mean(self, frequency: Any) -> Array:
        """Logarithm of the mean."""
        return log_mean_of(self.under(self.at(frequency)))

    def tilt(self, frequency: Any) -> Any:
        """The slope up to a positive factor, or None where the family knows values only."""
        return None if self.then is not None else self.at(frequency).tilt(self.free)

    @cached_property
    def limits(self) -> tuple[float, float, list[Protocol]]:
        """Lowest and highest frequency searched, and the members that are ends of the range."""
        most = float(self.family.most_frequent(**self.fixed))
        low, high = _LOWEST, min(_HIGHEST, 0.999 * most)
        if self.own is None:
            edge = self.family.edge(**self.fixed)
            return low, high, [] if edge is None else [edge]
        ends = []
        frequencies = [self._frequency_of(value) for value in self.own]
        for value, frequency in zip(self.own, frequencies, strict=True):
            if frequency > 0 and np.isfinite(value) and value > 0:
                ends.append(self.family(**{self.family.parameter: value, **self.fixed}))
        low, high = max(low, min(frequencies)), min(high, max(frequencies))
        if not low < high:
            allowed = f"a range that members of {self.family.__name__} reach"
            raise DomainError(self.family.parameter, self.own, allowed)
        return low, high, ends

    def _frequency_of(self, value: float) -> float:
        """The frequency at which the family's parameter has a value; it is monotone."""
        rising = float(np.max(self.at(2.0).value)) > float(np.max(self.at(1.0).value))
        low, high = -960.0, 960.0

        def beyond(power: float) -> bool:
            found = float(np.max(np.asarray(self.at(2.0**power).value)))
            return found > value if rising else found < value

        if beyond(low):
            return 0.0
        for _ in range(64):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if beyond(middle) else (middle, high)
        return float(2.0 ** (0.5 * (low + high)))


def log_mean_of(law: PassageTime) -> Array:
    """Logarithm of a mean: of one law not through its logarithm, which knows more but is slow."""
    if not law.shape:
        mean = float(np.asarray(law.mean()))
        if 1e-290 < mean < 1e290:
            return np.asarray(math.log(mean))
    return np.real(np.asarray(law.log_mean()))


def local_minima(curve: Curve) -> tuple[list[Local], Any]:
    """Every local minimum, and whether the mean falls from rare resets on."""
    low, high, ends = curve.limits
    shape = curve.shape
    scale = np.broadcast_to(np.asarray(curve.free.timescale(), dtype=np.float64), shape)

    def grid(points: Array) -> Array:
        return np.clip(points.reshape(-1, *(1,) * len(shape)) / scale, low, high)

    found = _by_slope(curve, grid(_DENSE if shape else _GRID), bool(ends))
    minima, falls = _by_values(curve, grid(_COARSE)) if found is None else found
    for edge in ends:
        value = np.broadcast_to(np.real(np.asarray(curve.under(edge).log_mean())), shape)
        minima.append(Local(np.full(shape, high), value, np.ones(shape, bool), "boundary", edge))
    return minima, falls | np.broadcast_to(np.isinf(np.asarray(curve.free.mean())), shape)


def _by_slope(curve: Curve, grid: Array, flat_ends: bool) -> tuple[list[Local], Any] | None:
    shape, rows = curve.shape, max(1, _MOST // max(1, grid[0].size))
    slopes = []
    for start in range(0, len(grid), rows):
        block = grid[start : start + rows]
        tilt = curve.tilt(block)
        if tilt is None:
            return None
        slopes.append(np.broadcast_to(np.asarray(tilt), block.shape))
    slope = np.concatenate(slopes)
    if not shape:
        grid, slope = _looked_again(curve, grid, slope)
    sign = np.where(np.abs(slope) > curve.family.slope_noise, np.sign(slope), 0.0)
    signs = np.where(np.isfinite(sign), sign, 1).astype(np.int8)
    if not shape:
        known = np.flatnonzero(signs)
        sure = signs[known]
        falls = np.asarray(bool(known.size) and sure[0] < 0)
        turns = np.flatnonzero((sure[:-1] < 0) & (sure[1:] > 0))
        brackets = [(known[i], known[i + 1], np.asarray(True)) for i in turns]
        last, never_rises = known[-1] if known.size else 0, known.size > 0 and sure[-1] < 0
    else:
        brackets, falls = _brackets(signs)
        last = len(signs) - 1 - np.argmax(signs[::-1] != 0, axis=0)
        never_rises = np.take_along_axis(signs, last[None], 0)[0] < 0
    minima = []
    if not flat_ends and np.any(never_rises):
        # falls to the last of the grid, or is flat from there on: the more often the better
        most = np.minimum(last + 1, len(grid) - 1)
        often = np.take_along_axis(grid, np.asarray(most)[None], 0)[0] if shape else grid[most]
        value = np.broadcast_to(curve.log_mean(often), shape)
        minima.append(Local(often, value, np.asarray(never_rises), "boundary"))
    for left, right, exists in brackets:
        low = np.take_along_axis(grid, np.asarray(left)[None], 0)[0] if shape else grid[left]
        high = np.take_along_axis(grid, np.asarray(right)[None], 0)[0] if shape else grid[right]
        near = slice(max(left - 3, 0), right + 4) if not shape and right == left + 1 else None
        seen = None if near is None else _apart(grid[near], slope[near])
        found = solve(curve.tilt, low, high, seen)
        value = np.broadcast_to(curve.log_mean(found), shape)
        minima.append(Local(found, value, exists, "interior"))
    return minima, falls


def _apart(grid: Array, slope: Array) -> tuple[list[float], list[float]]:
    """Points of a grid that bounds have not made equal."""
    new = np.concatenate([[True], np.diff(grid) > 0])
    return grid[new].tolist(), slope[new].tolist()


def _looked_again(curve: Curve, grid: Array, slope: Array) -> tuple[Array, Array]:
    """The grid with points added where the slope comes nearest to zero without a change of sign."""
    size = np.abs(slope)
    left, here, right = size[:-2], size[1:-1], size[2:]
    same = (np.sign(slope[:-2]) == np.sign(slope[1:-1])) & (
        np.sign(slope[2:]) == np.sign(slope[1:-1])
    )
    near = same & (here <= left) & (here <= right) & (here < 0.9 * np.maximum(left, right))
    places = np.flatnonzero(near & (here > 0)) + 1
    if not places.size:
        return grid, slope
    logs = np.log(grid)
    gaps = np.where(_BETWEEN < 0, (logs[places] - logs[places - 1])[:, None],
                    (logs[places + 1] - logs[places])[:, None])  # fmt: skip
    more = np.exp(logs[places, None] + gaps * _BETWEEN).ravel()
    added = np.broadcast_to(np.asarray(curve.tilt(more)), more.shape)
    order = np.argsort(np.concatenate([grid, more]), kind="stable")
    return np.concatenate([grid, more])[order], np.concatenate([slope, added])[order]


def _brackets(signs: Any) -> tuple[list[tuple[Any, Any, Any]], Any]:
    """Places of the k-th change from falling to rising of each column, k = 1, 2, ..."""
    rows = np.arange(len(signs)).reshape(-1, *(1,) * (signs.ndim - 1))
    # the last row before each one at which the sign was seen, and that sign
    last = np.maximum.accumulate(np.where(signs != 0, rows, -1), axis=0)
    before = np.where(last >= 0, np.take_along_axis(signs, np.maximum(last, 0), 0), 0)
    turn = np.zeros(signs.shape, dtype=bool)
    turn[1:] = (before[:-1] < 0) & (signs[1:] > 0)
    count = np.cumsum(turn, axis=0)
    found = []
    for k in range(1, int(count[-1].max(initial=0)) + 1):
        right = np.argmax(turn & (count == k), axis=0)
        exists = count[-1] >= k
        left = np.take_along_axis(last, np.maximum(right - 1, 0)[None], 0)[0]
        found.append((np.where(exists, left, 0), np.where(exists, right, 0), exists))
    seen = np.argmax(signs != 0, axis=0)
    return found, np.take_along_axis(signs, seen[None], 0)[0] < 0


def _by_values(curve: Curve, grid: Array) -> tuple[list[Local], Any]:
    """Local minima of values; each is then resolved on Chebyshev nodes around it."""
    shape = curve.shape
    values = np.stack([np.broadcast_to(curve.log_mean(row), shape) for row in grid])
    values = np.where(np.isnan(values), np.inf, values)
    never = np.broadcast_to(np.asarray(curve.free.log_mean()), shape)
    gap = values - np.where(np.isfinite(never), never, 0.0)
    seen = np.argmax(np.abs(gap) > 10 * curve.noise, axis=0)
    falls = np.take_along_axis(gap, seen[None], 0)[0] < -10 * curve.noise
    low = np.zeros(values.shape, dtype=bool)
    low[1:-1] = (values[1:-1] < values[:-2] - curve.noise) & (values[1:-1] <= values[2:])
    # a flat bottom counts once, and only if the curve rises again after it
    low[1:-1] &= np.minimum.accumulate(values[::-1], 0)[::-1][2:] >= values[1:-1] - curve.noise
    count = np.cumsum(low, axis=0)
    minima = []
    for k in range(1, int(count[-1].max(initial=0)) + 1):
        place = np.argmax(low & (count == k), axis=0)
        exists = count[-1] >= k
        start = np.take_along_axis(grid, place[None], 0)[0]
        found = _polish(curve, start)
        value = np.broadcast_to(curve.log_mean(found), shape)
        minima.append(Local(domain.plain(found), value, exists, "interior"))
    return minima, falls


def _polish(curve: Curve, start: Any) -> Any:
    """The zero of the slope of an interpolant in log frequency: not limited by a flat bottom."""
    low, high, _ = curve.limits
    centre, window = np.log(np.asarray(start, dtype=np.float64)), _WINDOW
    for _ in range(3):
        nodes = centre + window * _NODES.reshape(-1, *(1,) * np.ndim(centre))
        values = np.stack([curve.log_mean(np.clip(np.exp(row), low, high)) for row in nodes])
        shifts = np.zeros(np.shape(centre))
        for place in np.ndindex(np.shape(centre)):
            column = values[(slice(None), *place)]
            if not np.isfinite(column).all():
                continue
            series = chebyshev.chebfit(_NODES, column - column[len(column) // 2], len(_NODES) - 1)
            roots = chebyshev.chebroots(chebyshev.chebder(series))
            real = roots[(np.abs(roots.imag) < 1e-9) & (np.abs(roots.real) <= 1.0)].real
            bends = chebyshev.chebval(real, chebyshev.chebder(series, 2))
            real = real[bends > 0]
            if real.size:
                shifts[place] = real[np.argmin(np.abs(real))]
        centre = centre + window * shifts
        if np.all(np.abs(shifts) < 0.5):
            break
    return np.clip(np.exp(centre), low, high)


def outer(inner: Callable[[float], Optimum], name: str, low: float, high: float) -> Optimum:
    """The best of the inner optima over a second parameter, by a scan and a bounded search.

    The mean is flat there: its error is far smaller than the parameter's, about 1e-3.
    """
    if not np.isfinite(high):
        raise DomainError(name, (low, high), "a finite range")
    logarithmic = low > 0 and high / low > 4

    def place(u: float) -> float:
        return float(low * (high / low) ** u if logarithmic else low + u * (high - low))

    scan = np.linspace(0.0, 1.0, 7)
    found = [inner(place(u)) for u in scan]
    i = int(np.argmin([one.mean for one in found]))
    least = found[i]
    if i in (0, len(scan) - 1):
        probe = inner(place(float(np.clip(scan[i], 0.02, 0.98))))
        if least.mean <= probe.mean:  # it still falls toward the end
            if not least.pays:
                return least
            text = f"{least.reason}; the best {name} is at the end of its range"
            return replace(least, kind="boundary", reason=text)
    refined = minimize_scalar(
        lambda u: float(inner(place(u)).mean),
        bounds=(scan[max(i - 1, 0)], scan[min(i + 1, len(scan) - 1)]),
        method="bounded",
        options={"xatol": 1e-4, "maxiter": 12},
    )
    inside = inner(place(float(refined.x)))
    return inside if inside.mean <= least.mean else least
