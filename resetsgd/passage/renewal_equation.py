"""Survival and density under any waiting times: the renewal equation solved in time.

With R of a heavy tail the transform of the restarted time is not analytic to the left of 0, so that
no contour inverts it. In time, with f the density of T, S_T and S_R the survivals and f_R the
density of R, the density g of the restarted time obeys

    g(t) = f(t) S_R(t) + integral over 0 < u < t - c of f_R(u) S_T(u) g(t - c - u) du,

c the time lost at each reset, which is solved by collocation, panel after panel. An atom w of T at
tau is one of the restarted time as well, w S_R(tau), as no reset has come; after one reset its
walkers arrive with the density w S_R(tau) k(t - tau - c), k(u) = f_R(u) S_T(u), which may be
infinite at its beginning, and is put in as it is. The rest of g is solved for, with the source
w S_R(tau) times the convolution of k with itself, at t - tau - 2 c.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage.fronts import Fronted
from resetsgd.passage.law_table import tabulated
from resetsgd.passage.legendre_panels import Table, even, resolve
from resetsgd.passage.volterra import GRADING, RESOLVED, March, gauss
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


_SHARP_FRONTS = 4
"""Fronts inside an interval at which the density jumps or bends; it is smoother at later ones."""


def _solved(free: PassageTime, law: WaitingTime) -> bool:
    """Whether the law is a density, and perhaps atoms, that the equation is solved for."""
    return (has_density(free) or isinstance(free, Fronted)) and law.waiting_atoms() is None


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
            success = float(self.moments.success)
            self.mean = spent / success if success > 0 else np.inf
        middle = float(np.exp(np.mean(np.log(own))))
        self.scale = self.mean if 0 < self.mean < 1e290 else middle
        fronts, self.atoms, self.weights = _fronts_of(free)
        self.weights = self.weights * law.waiting_survival(self.atoms)
        # the first time at which anything has arrived
        grid = np.exp(np.linspace(np.log(own[0]) - 80.0, np.log(own[-1]) + 80.0, 1500))
        arriving = grid * self._first(grid)
        seen = np.flatnonzero(arriving > _NEGLIGIBLE * float(self.moments.success))
        self.start = float(grid[max(seen[0] - 1, 0)]) if seen.size else np.inf
        if fronts.size and (seen.size or self.weights.sum() > 0):
            self.start = float(fronts[0])
        if not success > 0:
            self.start = np.inf
        if not self.start < np.inf:
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
            _with(
                even(np.log(self.start) - 1.0, np.log(min(self.last, 1e3 * own[-1])) + 60.0),
                np.log(fronts),
            ),
            1e-14,
        )
        marks = np.log(np.append(other, fronts))
        edges = even(np.log(bottom), np.log(self.last))
        if fronts.size:  # few, as the kernel is convolved with itself; they are halved as needed
            edges = edges[:: 3 if len(edges) > 6 else 1]
            edges = np.append(edges, np.log(self.last))
        edges = np.append(edges, marks[marks > np.log(bottom)])
        edges = np.unique(edges[edges <= np.log(self.last)])

        def mass(t: Array) -> Any:
            return t * law.waiting_density(t) * self.late(t)

        self.cuts = np.exp(resolve(mass, edges, 1e-13))
        if self.cuts.size < 2:
            self.cuts = np.array([bottom, self.last])
        jumps = np.ravel(law.waiting_kinks())
        jumps = np.concatenate([jumps[np.isfinite(jumps) & (jumps > 0)], np.ravel(knots_of(free))])
        jumps = np.append(jumps, fronts[:_SHARP_FRONTS])
        self.march = March(
            self._source,
            self._kernel,
            start=self.start,
            cuts=np.unique(np.concatenate([self.cuts, jumps[jumps < self.last]])),
            kinks=np.union1d(
                sums_of(np.concatenate([jumps, jumps + self.lost]) if self.lost else jumps, 5),
                fronts,
            ),
            delay=self.lost,
            # what is missed early on is missed in every trial
            tolerance=0.1 * RESOLVED * float(self.moments.success),
            resolved=max(RESOLVED, _ROUNDING / float(self.moments.success)),
            memory=float(self.moments.failed / max(failed, 1e-3)) + self.lost,
        )

    def _first(self, t: Array) -> Any:
        """Arrivals before the first reset, but for atoms."""
        density = np.maximum(np.asarray(self.free._density(t)), 0.0)
        return density * self.law.waiting_survival(t)

    def _source(self, t: Array) -> Any:
        value = self._first(t)
        for time, weight in zip(self.atoms, self.weights, strict=True):
            value = value + weight * self._twice(t - time - 2.0 * self.lost)
        return value

    def _twice(self, ages: Array) -> Array:
        """Convolution of the kernel with itself: both resets early in turn, the halves alike."""
        late = np.flatnonzero(ages > 0)
        age = ages[late, None]
        cuts = np.concatenate([0.0 * age, age + 0.0 * self.cuts - self.cuts, 0.5 * age], axis=1)
        cuts = np.concatenate([cuts, np.broadcast_to(self.cuts, (len(late), self.cuts.size))], 1)
        cuts = np.sort(np.clip(cuts, 0.0, 0.5 * age), axis=1)
        row, piece = np.nonzero(np.diff(cuts, axis=1) > 0)
        u, weights = _graded(cuts[row, piece], cuts[row, piece + 1])
        both = self._kernel(u, u) * self._kernel(u, age[row] - u)
        value = np.bincount(late[row], 2.0 * np.sum(weights * both, axis=1), len(ages))
        return np.asarray(value, dtype=np.float64)

    @cached_property
    def _ended(self) -> Array:
        """Integral of the kernel up to each cut of the ages."""
        u, weights = _graded(np.append(0.0, self.cuts[:-1]), self.cuts)
        return np.append(0.0, np.cumsum(np.sum(weights * self._kernel(u, u), axis=-1)))

    def _after_atoms(self, t: Array) -> tuple[Any, Any]:
        """Walkers of the atoms that were reset once: density, and how many have come by t."""
        density, come = np.zeros(t.shape), np.zeros(t.shape)
        for time, weight in zip(self.atoms, self.weights, strict=True):
            age = t - time - self.lost
            late = age > 0
            age = np.where(late, np.minimum(age, self.cuts[-1]), self.cuts[0])
            cuts = np.append(0.0, self.cuts)
            place = np.clip(np.searchsorted(cuts, age, side="left") - 1, 0, len(cuts) - 2)
            u, weights = _graded(cuts[place], age)
            whole = self._ended[place] + np.sum(weights * self._kernel(u, u), axis=-1)
            density += weight * np.where(late, self._kernel(age, age), 0.0)
            come += weight * np.where(late, whole, 0.0)
        return density, come

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
        march = self.march
        early = t < self.start if self.atoms.size else t <= self.start
        come = np.sum(self.weights * (t[..., None] >= self.atoms), axis=-1)
        total = 0.0
        known: Any = 0.0
        if self.atoms.size:
            known, reset = self._after_atoms(t)
            come = come + reset
            total = float(self.weights.sum()) * (1.0 + float(self._ended[-1]))
        if not len(march.edges):
            raise NotConverged("the law is over before its first reset within float64")
        # Once T and R are both over in every trial that began before, only the exponential is left.
        longest = self.last + self.lost
        simple = 3.0 * longest if self.mean > 10.0 * longest else np.inf
        top = min(float(np.max(t, initial=0.0, where=~early)), simple)
        while march.edges[-1] < top and 1.0 - total - march.areas[-1] > RESOLVED:
            march.reach(min(top, march.edges[-1] * (1.0 + 1e-9)))
        last = march.edges[-1]
        reached = np.clip(t, self.start, last)
        value, left = known + march.value(reached), 1.0 - come - march.area(reached)
        end = np.array([min(simple, last)])
        rest = 1.0 - total - march.area(end)
        fall = march.value(end) / rest
        decay = np.exp(-fall * np.maximum(t - end, 0.0)) if end[0] == simple else 0.0
        over = t > end
        value = np.where(over, march.value(end) * decay, value)
        left = np.where(over, rest * decay, left)
        return np.where(early, 0.0, value), np.where(early, 1.0, left)


def _graded(low: Array, high: Array) -> tuple[Array, Array]:
    """Gauss points and weights between ends, graded toward ends at 0; a last axis of points."""
    points, weights = gauss()
    first = np.asarray(low)[..., None] == 0
    share = np.where(first, points**GRADING, points)
    measure = np.where(first, GRADING * points ** (GRADING - 1.0), 1.0) * weights
    width = np.asarray(high - low)[..., None]
    return np.asarray(low)[..., None] + width * share, width * measure


def _with(edges: Array, more: Array) -> Array:
    """Panel edges and those of some points that lie between them."""
    return np.union1d(edges, more[(more > edges[0]) & (more < edges[-1])])


def _fronts_of(free: PassageTime) -> tuple[Array, Array, Array]:
    """Times at which a law is not smooth, its atoms, and their weights."""
    if not isinstance(free, Fronted):
        return np.empty(0), np.empty(0), np.empty(0)
    times, weights = (np.ravel(np.asarray(part, dtype=np.float64)) for part in free._atoms())
    return np.unique(np.ravel(free._fronts())), times[weights > 0], weights[weights > 0]


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
    if (
        not _solved(free, law)
        or free.shape
        or np.any(law.never)
        or (isinstance(law, Schedule) and law.running)
    ):
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
    smooth = _solved(free, law)
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
