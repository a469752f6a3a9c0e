"""Survival and density under any waiting times: the renewal equation solved in time.

With R of a heavy tail the transform of the restarted time is not analytic to the left of 0, so that
no contour inverts it. In time, with f the density of T, S_T and S_R the survivals and f_R the
density of R, the density g of the restarted time obeys

    g(t) = f(t) S_R(t) + integral over 0 < u < t - c of f_R(u) S_T(u) g(t - c - u) du,

c the time lost at each reset, which is solved by collocation, panel after panel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage.law_table import tabulated
from resetsgd.passage.legendre_panels import Table, even, resolve
from resetsgd.passage.volterra import RESOLVED, March, gauss
from resetsgd.passage.waiting import has_density, knots_of, marks_of, sums_of
from resetsgd.protocols.geometric import inverse_series
from resetsgd.protocols.schedule import Schedule
from resetsgd.protocols.waiting import WaitingTime

if TYPE_CHECKING:
    from resetsgd.passage.base import PassageTime

__all__ = ["density", "lasting", "survival"]

_NEGLIGIBLE = 1e-14
_COARSE = 2**13
_ROUNDING = 4e-15
"""Rounding error, in units of the chance to arrive in a trial, below which nothing is resolved."""


class Renewal:
    """The density under a protocol of one passage time and one set of parameters."""

    def __init__(self, free: PassageTime, law: WaitingTime) -> None:
        self.free, self.law = tabulated(free), law
        self.lost = float(np.asarray(law.lost.mean))
        own = np.sort(np.ravel(marks_of(free)))
        other = np.ravel(law.waiting_marks())
        other = other[np.isfinite(other) & (other > 0)]
        self.moments = free.moments_waiting(law)
        with np.errstate(all="ignore"):
            failed = max(1.0 - float(self.moments.success), 0.0)
            spent = float(self.moments.duration) + failed * self.lost
            self.mean = spent / float(self.moments.success)
        middle = float(np.exp(np.mean(np.log(own))))
        self.scale = self.mean if 0 < self.mean < 1e290 else middle
        # the first time at which anything has arrived
        grid = np.exp(np.linspace(np.log(own[0]) - 80.0, np.log(own[-1]) + 80.0, 1500))
        arriving = grid * self._source(grid)
        seen = np.flatnonzero(arriving > _NEGLIGIBLE * float(self.moments.success))
        self.start = float(grid[max(seen[0] - 1, 0)]) if seen.size else np.inf
        if not seen.size:
            return  # it never arrives in float64
        # and the last at which either it or a reset may still come
        x = np.linspace(min(np.log(own[0]), np.log(other.min())) - 80.0, 700.0, 4000)
        with np.errstate(all="ignore"):
            left = np.asarray(self.free._survival(np.exp(x))) * law.waiting_survival(np.exp(x))
        gone = np.flatnonzero(left > 0.01 * _NEGLIGIBLE)
        self.last = float(np.exp(x[min(gone[-1] + 1, len(x) - 1)]))
        bottom = min(self.start, float(other.min())) * 1e-3
        self.late = Table(
            lambda t: np.asarray(self.free._survival(t)),
            even(np.log(self.start) - 1.0, np.log(min(self.last, 1e3 * own[-1])) + 60.0),
            1e-14,
        )
        marks = np.log(other)
        edges = np.append(even(np.log(bottom), np.log(self.last)), marks[marks > np.log(bottom)])
        edges = np.unique(edges[edges <= np.log(self.last)])

        def mass(t: Array) -> Any:
            return t * law.waiting_density(t) * self.late(t)

        self.cuts = np.exp(resolve(mass, edges, 1e-13))
        if self.cuts.size < 2:
            self.cuts = np.array([bottom, self.last])
        jumps = np.ravel(law.waiting_kinks())
        jumps = np.concatenate([jumps[np.isfinite(jumps) & (jumps > 0)], np.ravel(knots_of(free))])
        self.march = March(
            self._source,
            self._kernel,
            start=self.start,
            cuts=np.unique(np.concatenate([self.cuts, jumps[jumps < self.last]])),
            kinks=sums_of(np.concatenate([jumps, jumps + self.lost]) if self.lost else jumps, 5),
            delay=self.lost,
            # what is missed early on is missed in every trial
            tolerance=0.1 * RESOLVED * float(self.moments.success),
            resolved=max(RESOLVED, _ROUNDING / float(self.moments.success)),
            memory=float(self.moments.failed / max(failed, 1e-3)) + self.lost,
        )

    def _source(self, t: Array) -> Any:
        density = np.maximum(np.asarray(self.free._density(t)), 0.0)
        return density * self.law.waiting_survival(t)

    def _kernel(self, t: Array, u: Array) -> Any:
        return self.law.waiting_density(u) * self.late(u)

    def density(self, t: Array) -> Any:
        """Density at finite times."""
        return self._at(t)[0]

    def survival(self, t: Array) -> Any:
        """Survival at finite times."""
        return self._at(t)[1]

    def _at(self, t: Array) -> tuple[Any, Any]:
        if not self.start < np.inf:
            return np.zeros(t.shape), np.ones(t.shape)
        march, early = self.march, t <= self.start
        if not len(march.edges):
            raise NotConverged("the law is over before its first reset within float64")
        # Once T and R are both over in every trial that began before, only the exponential is left.
        over = self.last + self.lost
        simple = 3.0 * over if self.mean > 10.0 * over else np.inf
        top = min(float(np.max(t, initial=0.0, where=~early)), simple)
        while march.edges[-1] < top and 1.0 - march.areas[-1] > RESOLVED:
            march.reach(min(top, march.edges[-1] * (1.0 + 1e-9)))
        last = march.edges[-1]
        reached = np.clip(t, self.start, last)
        value, left = march.value(reached), 1.0 - march.area(reached)
        end = np.array([min(simple, last)])
        fall = march.value(end) / (1.0 - march.area(end))
        decay = np.exp(-fall * np.maximum(t - end, 0.0)) if end[0] == simple else 0.0
        over = t > end
        value = np.where(over, march.value(end) * decay, value)
        left = np.where(over, (1.0 - march.area(end)) * decay, left)
        return np.where(early, 0.0, value), np.where(early, 1.0, left)


def _weighed(renewal: Renewal, t: Array, s: Any) -> Any:
    """Integral of exp(-su) survival(u) over (0, t), panel by panel, for one s."""
    renewal.survival(np.atleast_1d(t))  # marches there
    points, weights = gauss()
    edges = np.append(0.0, np.array(renewal.march.edges))
    last = edges[-1]
    far = np.max(t, initial=0.0)
    if far > last:  # what is left falls exponentially, or is nothing
        edges = np.append(edges, last + (far - last) * np.linspace(0.0, 1.0, 65)[1:])

    def piece(low: Array, width: Array) -> Any:
        u = low[:, None] + width[:, None] * points
        return width * ((np.exp(-s * u) * renewal.survival(u)) @ weights)

    whole = np.append(0.0, np.cumsum(piece(edges[:-1], np.diff(edges))))
    flat = np.ravel(t)
    place = np.clip(np.searchsorted(edges, flat, side="right") - 1, 0, len(edges) - 2)
    value = whole[place] + piece(edges[place], flat - edges[place])
    return value.reshape(np.shape(t))


@np.errstate(all="ignore")
def lasting(free: PassageTime, law: WaitingTime, t: Array, s: Any) -> Any:
    """Integral of exp(-su) survival(u) over (0, t); None where there are no panels."""
    smooth = has_density(free) and law.waiting_atoms() is None and not free.shape
    if not smooth or np.any(law.never) or (isinstance(law, Schedule) and law.running):
        return None
    s = np.asarray(s)
    shape = np.broadcast_shapes(np.shape(t), s.shape, law.shape)
    times, rates = np.broadcast_to(t, shape), np.broadcast_to(s, shape)
    value = np.empty(shape, dtype=np.result_type(s, np.float64))
    for place in np.ndindex(law.shape):
        where = (..., *place)
        renewal = _renewal(free, law._at(place) if law.shape else law)
        some, at = np.asarray(times[where]), np.asarray(rates[where])
        out = np.empty(some.shape, dtype=value.dtype)
        for rate in np.unique(at):
            out[at == rate] = _weighed(renewal, some[at == rate], rate)
        value[where] = out
    return value


class Coins:
    """The same on a lattice of reset times: exact for discrete waits, else for rough laws."""

    def __init__(self, free: PassageTime, law: WaitingTime, longest: float) -> None:
        self.free, self.law = free, law
        atoms = law.waiting_atoms()
        if atoms is None:
            self.step = longest / _COARSE or 1.0
            count = _COARSE
            middle = self.step * np.arange(count + 1)
            ends = np.maximum(np.append(middle - 0.5 * self.step, middle[-1] + 0.5 * self.step), 0)
            later = np.asarray(law.waiting_survival(np.maximum(ends, 1e-300)))
            chance = np.where(np.arange(count + 1) > 0, -np.diff(later), 0.0)
            chance[1] += 1.0 - later[1]
        else:
            times, masses = atoms[0], atoms[1]
            self.step = float(np.asarray(law.scale))  # type: ignore[attr-defined]
            count = int(longest / self.step * (1.0 + 1e-12))
            if count > 2**20:
                raise NotConverged(f"t = {longest:g} is more than 2^20 steps of the reset times")
            place = np.rint(times / self.step).astype(np.int64)
            inside = place <= count
            chance = np.zeros(count + 1)
            chance[place[inside]] = masses[inside]
            middle = self.step * np.arange(count + 1)
        # an arrival at the very time of a reset is lost
        before = middle * (1.0 - 4.0 * np.finfo(np.float64).eps)
        failed = chance * np.asarray(self.free.survival(before))
        failed[0] = 0.0
        self.resets = inverse_series(np.append(1.0, -failed[1:]))

    def at(self, t: Array, quantity: Callable[[Array], Any]) -> Any:
        """Sum over the last reset of a quantity of the age."""
        value = np.empty(t.shape)
        for i, time in enumerate(t):
            count = min(int(time / self.step * (1.0 + 1e-12)), len(self.resets) - 1)
            age = np.maximum(time - self.step * np.arange(count + 1), 0.0)
            keep = np.asarray(self.law.waiting_survival(np.maximum(age, 1e-300)))
            value[i] = self.resets[: count + 1] @ (keep * np.asarray(quantity(age)))
        return value


@lru_cache(maxsize=16)
def _renewal(free: PassageTime, law: WaitingTime) -> Renewal:
    return Renewal(free, law)


def _law(free: PassageTime, law: WaitingTime, t: Array, name: str) -> Any:
    """Entry by entry of the parameters of the protocol."""
    if free.shape:
        raise DomainError("free", free, "of scalar parameters for a law under this protocol")
    t = np.asarray(t, dtype=np.float64)
    shape = np.broadcast_shapes(t.shape, law.shape)
    times = np.broadcast_to(t, shape)
    value = np.empty(shape)
    smooth = has_density(free) and law.waiting_atoms() is None
    for place in np.ndindex(law.shape):
        where = (..., *place)
        one = law._at(place) if law.shape else law
        some = np.asarray(times[where], dtype=np.float64)
        if np.all(one.never):
            found = getattr(free, name)(some)
        elif smooth:
            found = getattr(_renewal(free, one), name)(some)
        else:
            coins = Coins(free, one, float(np.max(some, initial=0.0)))
            found = coins.at(some.ravel(), getattr(free, name)).reshape(some.shape)
        value[where] = found
    return value


@np.errstate(all="ignore")
def survival(free: PassageTime, law: WaitingTime, t: Array) -> Any:
    """P(restarted passage time > t); what ``PassageTime.survival_waiting`` calls.

    Absolute error at most 1e-9 for passage times with a density and a chance to arrive between two
    resets above 1e-6 (1e-8 below that); exact renewal sums for discrete waiting times; for samples
    and times on a lattice the reset times are rounded to t/2^13.

    Raises
    ------
    NotConverged
        If the law is too rough or too far away.
    """
    if isinstance(law, Schedule) and law.running:
        from resetsgd.passage import running

        return np.where(t == 0, 1.0, np.clip(running.survival(free, law, t), 0.0, 1.0) + 0.0)
    return np.where(t == 0, 1.0, np.clip(_law(free, law, t, "survival"), 0.0, 1.0) + 0.0)


@np.errstate(all="ignore")
def density(free: PassageTime, law: WaitingTime, t: Array) -> Any:
    """Density of the restarted passage time; what ``PassageTime.density_waiting`` calls.

    Absolute error at most 1e-9 over the time scale, on the same terms as :func:`survival`.
    """
    if isinstance(law, Schedule) and law.running:
        from resetsgd.passage import running

        return np.where(t == 0, 0.0, np.maximum(running.density(free, law, t), 0.0))
    return np.where(t == 0, 0.0, np.maximum(_law(free, law, t, "density"), 0.0))
