"""Survival and density under any waiting times: the renewal equation solved in time.

With R of a heavy tail the transform of the restarted time is not analytic to the left of 0, so that
no contour inverts it. In time, with f the density of T, S_T and S_R the survivals and f_R the
density of R, the density g of the restarted time obeys

    g(t) = f(t) S_R(t) + integral over 0 < u < t of f_R(u) S_T(u) g(t - u) du,

which is solved by collocation, panel after panel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import legendre
from scipy import special

from resetsgd.domain import Array
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage.waiting import has_density, knots_of, marks_of, sums_of
from resetsgd.protocols.geometric import _inverse_series
from resetsgd.protocols.schedule import Schedule
from resetsgd.protocols.waiting import WaitingTime

if TYPE_CHECKING:
    from resetsgd.passage.base import PassageTime

__all__ = ["March", "Table", "density", "even", "resolve", "survival"]

_ORDER = 16
_QUADRATURE = 16
_GRADING = 8.0
"""Power that clusters the nodes where the density of the waiting time may be singular, at 0."""
_RESOLVED = 1e-12
_NEGLIGIBLE = 1e-14
_MOST_PANELS = 1500
_COARSE = 2**13
_ROUNDING = 4e-15
"""Rounding error, in units of the chance to arrive in a trial, below which nothing is resolved."""


@lru_cache(maxsize=1)
def _tools() -> tuple[Array, Array, Array]:
    """Points on (-1, 1), their values to Legendre coefficients, and to those of the integral."""
    nodes, _ = special.roots_legendre(_ORDER)
    to_coefficients = np.linalg.inv(legendre.legvander(nodes, _ORDER - 1))
    integral = np.stack([legendre.legint(row, lbnd=-1.0) for row in np.eye(_ORDER)], axis=1)
    return nodes, np.asarray(to_coefficients, np.float64), np.asarray(integral, np.float64)


@lru_cache(maxsize=1)
def _gauss() -> tuple[Array, Array]:
    """Gauss points and weights on (0, 1)."""
    nodes, weights = special.roots_legendre(_QUADRATURE)
    return 0.5 * (nodes + 1.0), 0.5 * weights


def _series(coefficients: Array, place: Any, x: Array) -> Any:
    """Legendre series of the panels ``place`` at their local coordinates x in [-1, 1]."""
    count = coefficients.shape[1]
    later: Any = np.zeros_like(x)
    last: Any = np.zeros_like(x)
    for k in range(count - 1, 0, -1):  # Clenshaw
        later, last = (
            coefficients[place, k] + (2 * k + 1) / (k + 1) * x * later - (k + 1) / (k + 2) * last,
            later,
        )
    return coefficients[place, 0] + x * later - 0.5 * last


def resolve(function: Callable[[Array], Any], edges: Array, tolerance: float) -> Array:
    """Panel edges, in log time, on which a function of time is a polynomial to a tolerance."""
    nodes, to_coefficients, _ = _tools()
    low, high = edges[:-1], edges[1:]
    done = [edges]
    for _ in range(50):
        half = 0.5 * (high - low)
        values = function(np.exp(0.5 * (low + high) + half * nodes[:, None]))
        last = np.max(np.abs(to_coefficients[-2:] @ values), axis=0)
        bad = (last > tolerance) & (half > 1e-9)
        if not bad.any():
            return np.unique(np.concatenate(done))
        low, high = low[bad], high[bad]
        middle = 0.5 * (low + high)
        done.append(middle)
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        if low.size > 4 * _MOST_PANELS:
            break
    raise NotConverged("the law is too steep or too rough for the renewal equation")


class Table:
    """A function of time, in polynomials in log time; constant outside of its range."""

    def __init__(self, function: Callable[[Array], Any], edges: Array, tolerance: float) -> None:
        nodes, to_coefficients, _ = _tools()
        self.edges = resolve(function, edges, tolerance)
        low, high = self.edges[:-1], self.edges[1:]
        times = np.exp(0.5 * (low + high) + 0.5 * (high - low) * nodes[:, None])
        self.coefficients = np.ascontiguousarray((to_coefficients @ function(times)).T)

    def __call__(self, t: Array) -> Any:
        """Values at times t > 0."""
        x = np.clip(np.log(np.maximum(t, 1e-300)), self.edges[0], self.edges[-1])
        place = np.clip(np.searchsorted(self.edges, x) - 1, 0, len(self.edges) - 2)
        low, high = self.edges[place], self.edges[place + 1]
        return _series(self.coefficients, place, (2.0 * x - low - high) / (high - low))


class March:
    """Solution of y(t) = source(t) + integral over 0 < u < t of kernel(t, u) y(t - u) du.

    Parameters
    ----------
    source : callable
        Of times.
    kernel : callable
        Of t, shape (points, 1, 1), and u; may be singular at u = 0 as a power above -1.
    start : float
        Up to here the solution is zero.
    cuts : ndarray
        Ages u between which the kernel is a polynomial, rising from above 0.
    kinks : ndarray
        Times at which the solution has a kink.
    tolerance : float
        Error of the integral over a panel that is allowed in any case.
    memory : float
        How far back the kernel typically reaches.
    resolved : float
        Error on a panel, relative to the solution there, that is allowed in any case.
    most : int
        Panels after which it gives up.
    prepare : callable, optional
        Called with the ends of each panel that is tried, before ``kernel`` is.
    """

    def __init__(
        self,
        source: Callable[[Array], Any],
        kernel: Callable[[Array, Array], Any],
        *,
        start: float,
        cuts: Array,
        kinks: Array,
        tolerance: float,
        memory: float,
        resolved: float = _RESOLVED,
        most: int = _MOST_PANELS,
        prepare: Callable[[float, float], Array] | None = None,
    ) -> None:
        self.source, self.kernel = source, kernel
        self.cuts, self.kinks = cuts, np.sort(kinks[kinks > start * (1 + 1e-9)])
        self.tolerance, self.memory, self.prepare = tolerance, memory, prepare
        self.resolved, self.most = resolved, most
        self.edges = [start]
        self.coefficients: list[Array] = []
        self.areas = [0.0]
        self._step = 0.25 * start
        self._table = np.empty((0, _ORDER))

    def reach(self, t: float) -> None:
        """March on until the solution is known up to t."""
        while self.edges[-1] < t:
            if len(self.coefficients) >= self.most:
                raise NotConverged(
                    f"t = {t:g}: the law under this protocol needs more than {self.most} panels"
                )
            self._advance()

    def _advance(self) -> None:
        nodes, to_coefficients, integral = _tools()
        low = self.edges[-1]
        step = self._step
        ahead = self.kinks[self.kinks > low * (1.0 + 1e-12)]
        room = float(ahead[0]) - low if ahead.size else np.inf
        while True:
            # a short last piece before a kink is shared out
            wide = room if step > 0.7 * room else min(step, 0.5 * room)
            high = low + wide
            times = low + wide * 0.5 * (nodes + 1.0)
            values = self._solve(low, high, times)
            found = to_coefficients @ values
            last, top = np.max(np.abs(found[-2:])), np.max(np.abs(values))
            if last <= max(self.resolved * top, self.tolerance / wide) or wide < 1e-10 * low:
                break
            step = 0.5 * wide
        easy = last <= 1e-2 * max(self.resolved * top, self.tolerance / wide)
        self._step = 2.5 * wide if easy else max(wide, step if wide == room else wide)
        self.edges.append(float(ahead[0]) if wide == room else high)
        self.coefficients.append(found)
        self._table = np.array(self.coefficients)
        self.areas.append(self.areas[-1] + 0.5 * wide * float(np.sum(integral @ found)))

    def _solve(self, low: float, high: float, times: Array) -> Array:
        to_coefficients = _tools()[1]
        points, weights = _gauss()
        extra = np.empty(0) if self.prepare is None else self.prepare(low, high)
        furthest = self.cuts[-1]
        known = np.array(self.edges)
        known = known[known > low - furthest * (1.0 + 1e-12)]
        cuts = np.unique(np.concatenate([self.cuts, extra])) if extra.size else self.cuts
        limits = np.minimum(furthest, times)[:, None]
        ages = np.concatenate(
            [
                np.minimum(np.broadcast_to(cuts, (len(times), cuts.size)), limits),
                np.minimum(times[:, None] - known[None], limits),
            ],
            axis=1,
        )
        ages = np.concatenate([np.zeros((len(times), 1)), np.sort(ages, axis=1)], axis=1)
        lower, width = ages[:, :-1, None], np.diff(ages, axis=1)[..., None]
        share = np.broadcast_to(points, (*width.shape[:2], points.size)).copy()
        measure = width * weights
        # next to age 0 the nodes are graded
        first = np.argmax(width[..., 0] > 0, axis=1)
        rows = np.arange(len(times))
        share[rows, first] = points**_GRADING
        measure[rows, first] *= _GRADING * points ** (_GRADING - 1.0)
        u = lower + width * share
        used = np.flatnonzero((measure > 0).ravel())
        place = used // (u.shape[1] * u.shape[2])
        u, measure = u.ravel()[used], measure.ravel()[used]
        weight = measure * self.kernel(times[place], u)
        back = times[place] - u
        own = back > low
        known_part = np.bincount(place[~own], weight[~own] * self.value(back[~own]), len(times))
        local = 2.0 * (back[own] - low) / (high - low) - 1.0
        basis = legendre.legvander(local, _ORDER - 1)
        matrix = np.zeros((len(times), _ORDER))
        np.add.at(matrix, place[own], weight[own][:, None] * basis)
        system, right = (
            np.eye(len(times)) - matrix @ to_coefficients,
            self.source(times) + known_part,
        )
        if times[0] - low > 0.02 * self.memory and self.coefficients:
            # A panel far longer than the kernel sees nothing of what came before: it continues it.
            ends = (-1.0) ** np.arange(_ORDER) @ to_coefficients
            system = np.vstack([system, ends])
            right = np.append(right, self.coefficients[-1].sum())
            return np.asarray(np.linalg.lstsq(system, right, rcond=None)[0])
        return np.asarray(np.linalg.solve(system, right))

    def _locate(self, t: Array) -> tuple[Any, Any]:
        edges = np.array(self.edges)
        place = np.clip(np.searchsorted(edges, t) - 1, 0, max(len(edges) - 2, 0))
        low, high = edges[place], edges[np.minimum(place + 1, len(edges) - 1)]
        return place, np.clip((2.0 * t - low - high) / np.where(high > low, high - low, 1.0), -1, 1)

    def value(self, t: Array) -> Any:
        """The solution at times that have been reached."""
        if not self.coefficients:
            return np.zeros(np.shape(t))
        place, x = self._locate(t)
        return np.where(t < self.edges[0], 0.0, _series(self._table, place, x))

    def slope(self, t: Array) -> Any:
        """Derivative of the solution at times that have been reached."""
        if not self.coefficients:
            return np.zeros(np.shape(t))
        place, x = self._locate(t)
        edges = np.array(self.edges)
        rows = 2.0 / np.diff(edges)[:, None] * legendre.legder(self._table, axis=1)
        return np.where(t < self.edges[0], 0.0, _series(rows, place, x))

    def area(self, t: Array) -> Any:
        """Integral of the solution from 0 to times that have been reached."""
        if not self.coefficients:
            return np.zeros(np.shape(t))
        _, _, integral = _tools()
        place, x = self._locate(t)
        edges = np.array(self.edges)
        wide = edges[place + 1] - edges[place]
        inner = _series(self._table @ integral.T, place, x)
        value = np.array(self.areas)[place] + 0.5 * wide * inner
        return np.where(t < self.edges[0], 0.0, value)


class Renewal:
    """The density under a protocol of one passage time and one set of parameters."""

    def __init__(self, free: PassageTime, law: WaitingTime) -> None:
        self.free, self.law = free, law
        own = np.sort(np.ravel(marks_of(free)))
        other = np.ravel(law.waiting_marks())
        other = other[np.isfinite(other) & (other > 0)]
        self.moments = free.moments_waiting(law)
        with np.errstate(all="ignore"):
            self.mean = float(self.moments.duration / self.moments.success)
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
            left = np.asarray(free._survival(np.exp(x))) * law.waiting_survival(np.exp(x))
        gone = np.flatnonzero(left > 0.01 * _NEGLIGIBLE)
        self.last = float(np.exp(x[min(gone[-1] + 1, len(x) - 1)]))
        bottom = min(self.start, float(other.min())) * 1e-3
        self.late = Table(
            lambda t: np.asarray(free._survival(t)),
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
            kinks=sums_of(jumps, 5),
            # what is missed early on is missed in every trial
            tolerance=0.1 * _RESOLVED * float(self.moments.success),
            resolved=max(_RESOLVED, _ROUNDING / float(self.moments.success)),
            memory=float(self.moments.failed / max(1.0 - self.moments.success, 1e-3)),
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
        # Once T and R are both over in every trial that began before, only the exponential is left.
        simple = 3.0 * self.last if self.mean > 10.0 * self.last else np.inf
        top = min(float(np.max(t, initial=0.0, where=~early)), simple)
        while march.edges[-1] < top and 1.0 - march.areas[-1] > _RESOLVED:
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
    points, weights = _gauss()
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


def even(low: float, high: float) -> Array:
    """Panels of about half a unit of log time."""
    return np.linspace(low, high, max(int(2.0 * (high - low)), 1) + 1)


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
        self.resets = _inverse_series(np.append(1.0, -failed[1:]))

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
