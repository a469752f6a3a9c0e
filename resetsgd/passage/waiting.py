"""A passage time against a waiting time of any law: quadrature in the logarithm of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import NotConverged
from resetsgd.passage.arrangements import log_total
from resetsgd.passage.fronts import Fronted
from resetsgd.passage.lattice_time import LatticeTime
from resetsgd.passage.law_table import Inversions, LawTable, tabulated
from resetsgd.passage.log_time import PROMISE, REACH, Grid
from resetsgd.passage.waits import Waits
from resetsgd.protocols.base import Trial
from resetsgd.protocols.schedule import Schedule
from resetsgd.protocols.sharp import Sharp
from resetsgd.protocols.waiting import WaitingMoments, WaitingTime, around

if TYPE_CHECKING:
    from resetsgd.passage.base import PassageTime

__all__ = ["has_density", "is_inverted", "knots_of", "marks_of", "moments", "sums_of", "trial"]

_NOISE = 1e-13
"""Density times time, late, below which an inverted transform gives noise."""
_CHUNK = 48
"""Parameters that are integrated at once."""
_LEFT = np.array([1.5, 4.0, 8.0, 16.0, 32.0, 64.0, 120.0])
_RIGHT = np.array([1.5, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, REACH])


def marks_of(free: PassageTime) -> Array:
    """Times at which a passage time is steep, along the first axis."""
    marks = free._marks()
    if marks is not None:
        return np.asarray(marks)
    mean = np.asarray(free.mean(), dtype=np.float64)
    if np.all(np.isfinite(mean) & (mean > 0)):
        cv = np.asarray(free.cv(), dtype=np.float64)
        return around(mean, np.where(np.isfinite(cv), cv / np.hypot(1.0, cv), 1.0))
    return around(free.timescale(), np.ones(free.shape))


def _edges(free: PassageTime, law: WaitingTime, s: Any, shape: tuple[int, ...]) -> Array:
    """Panels in log time: at the marks, evenly between the outer ones, and ever wider outside."""

    def spread(marks: Any) -> Any:
        marks = np.asarray(marks, dtype=np.float64)
        extra = (1,) * (len(shape) + 1 - marks.ndim)
        marks = marks.reshape(marks.shape[:1] + extra + marks.shape[1:])
        return np.broadcast_to(marks, marks.shape[:1] + shape)

    own = spread(marks_of(free))
    other = spread(law.waiting_marks())
    usable = np.isfinite(other) & (other > 0)
    other = np.where(usable, other, own[:1])
    found = [own, other, spread(knots_of(free))]
    if np.any(np.asarray(s) != 0):
        size = np.abs(np.asarray(s))
        found.append(spread(np.where(size > 0, 1.0 / np.where(size > 0, size, 1.0), 1.0)[None]))
    marks = np.log(np.clip(np.concatenate(found), 1e-290, 1e290))
    low, high = marks.min(axis=0), marks.max(axis=0)
    step = np.linspace(0.0, 1.0, 14).reshape(-1, *(1,) * len(shape))
    outer = np.concatenate(
        [marks, low + (high - low) * step]
        + [(low - gap)[None] for gap in _LEFT]
        + [(high + gap)[None] for gap in _RIGHT]
    )
    return np.asarray(np.sort(np.clip(outer, -740.0, 705.0), axis=0))


def _longest(law: WaitingTime) -> float:
    """A time by which a reset has come, within float64."""
    t = np.exp(np.arange(-740.0, 705.0)).reshape(-1, *(1,) * len(law.shape))
    left = np.asarray(law.waiting_survival(t)) > 0
    later = np.flatnonzero(left.reshape(len(t), -1).any(axis=1))
    return float(t.ravel()[min(later[-1] + 1, len(t) - 1)]) if later.size else 0.0


def has_density(free: PassageTime) -> bool:
    """Whether ``_density`` is all of the law, up to jumps at known times."""
    from resetsgd.passage.restart import Restarted

    if isinstance(free, Restarted) and free.protocol.lost.none and not free.smooth:
        exact = isinstance(free.protocol, Sharp | WaitingTime)
        return exact and has_density(free.free)
    return free.smooth


def knots_of(free: PassageTime) -> Array:
    """Times at which a density jumps or bends, along the first axis; not more than 2^10."""
    from resetsgd.passage.restart import Restarted

    if not isinstance(free, Restarted) or free.smooth or free.shape:
        return np.empty((0, *free.shape))
    protocol = free.protocol
    inner = knots_of(free.free)
    spacing = getattr(protocol, "period", None)
    if isinstance(protocol, WaitingTime):
        return np.concatenate([inner, sums_of(np.ravel(protocol.waiting_kinks()), 4)])
    if spacing is None:
        return inner
    count = min(float(np.asarray(40.0 * free.timescale() / spacing)), 2.0**10)
    return np.concatenate([inner, np.arange(1.0, count + 1.0) * float(np.asarray(spacing))])


def sums_of(points: Array, most: int) -> Array:
    """Sums of up to so many of a few points, with repetition."""
    points = points[np.isfinite(points) & (points > 0)]
    if not points.size or points.size > 64:
        return points
    found = level = points
    for _ in range(most - 1):
        level = np.unique(np.add.outer(level, points).ravel())
        found = np.unique(np.concatenate([found, level]))
        if found.size > 400:
            break
    close = np.append(False, np.diff(found) < 1e-9 * found[1:])
    return np.asarray(found[~close])


def is_inverted(free: PassageTime) -> bool:
    """Whether the density comes from an inversion: late it is rounding noise."""
    from resetsgd.passage.restart import Restarted

    if isinstance(free, Restarted):
        return free.smooth or is_inverted(free.free)
    return free.tail_resolved > 0 and not isinstance(free, Fronted)


class _Pair:
    """T against R on a grid: by the law of T alone where that of R is known by parts.

    T is a density and perhaps atoms (ballistic arrivals, whole steps).
    """

    def __init__(self, free: PassageTime, law: WaitingTime, s: Any) -> None:
        self.free, self.law, self.s = free, law, np.asarray(s)
        self.shape = np.broadcast_shapes(free.shape, law.shape, np.shape(s))
        self.plain = not np.any(self.s != 0)
        self.known = tabulated(free)
        if isinstance(self.known, Inversions):
            self.known.within_reach(_longest(law))
        inverted = is_inverted(free) and not isinstance(self.known, LawTable)
        # by the survival where it, but not the density, has digits in the tail
        self.closed = self.plain and not inverted and law.waiting_early(np.ones(1), 1) is not None
        self.noise = np.where(inverted, _NOISE, 0.0)
        self.middle = free.timescale() if inverted else np.inf
        log_arrive = np.real(free._log_laplace(np.zeros(free.shape)))
        self.missing = -np.expm1(log_arrive)
        self.atoms, self.weights = _atoms_of(free, self.shape)
        edges = _edges(free, law, s, self.shape)
        self.grid = Grid(self._closed if self.closed else self._open, edges, edges[-1])
        t = self.grid.t
        self.density = self._mass(t)
        if self.closed:
            self._check(self.expect(np.ones_like) - np.exp(log_arrive))
        else:
            self.late = self._late(t)
            self.ended = law.waiting_density(t) * self._decay(t)
            area = np.where(self.s == 0, 0.0, self.s * self.duration())
            stays = np.where(law.never & (self.s == 0), self.missing, 0.0)
            at_once = 1.0 - law.waiting_survival(np.exp(edges[0]))  # before the first panel
            self._check(self.success() + self.failed(0) + at_once + area + stays - 1.0)

    def _check(self, gap: Any) -> None:
        gap = float(np.max(np.where(self.law.never, 0.0, np.abs(gap)), initial=0.0))
        if not gap < PROMISE:
            raise NotConverged(
                f"the parts of a trial add up to 1 only within {gap:.1g}: the density of this"
                " passage time is not known well enough for this waiting time"
            )

    def _mass(self, t: Array) -> Any:
        value = np.maximum(np.asarray(self.known._density(t)), 0.0)
        return np.where((t > self.middle) & (t * value < self.noise), 0.0, value)

    def _late(self, t: Array) -> Any:
        return np.clip(np.asarray(self.known._survival(t)), 0.0, 1.0)

    def _decay(self, t: Array) -> Any:
        return 1.0 if self.plain else np.exp(-self.s * t)

    def _keep(self, t: Array) -> Any:
        """P(R > t) exp(-st)."""
        return self.law.waiting_survival(t) * self._decay(t)

    def _spent(self, t: Array) -> Any:
        """E[min(R, t)], in closed form."""
        return self.law.waiting_early(t, 1) + t * self.law.waiting_survival(t)

    def _closed(self, t: Array) -> Any:
        mass = t * self._mass(t)
        spent = np.where(mass > 0, mass * self._spent(t), 0.0)
        return np.stack(np.broadcast_arrays(mass * self._keep(t), spent, mass))

    def _open(self, t: Array) -> Any:
        mass, late = t * self._mass(t), t * self._late(t)
        ended = self.law.waiting_density(t) * self._decay(t)
        keep = self._keep(t)
        return np.stack(np.broadcast_arrays(mass * keep, late * keep, late * ended))

    def expect(self, function: Callable[[Any], Any]) -> Any:
        """E[g(T); T < inf]."""
        value = self.grid.sum(np.where(self.density > 0, self.density * function(self.grid.t), 0.0))
        if self.atoms.shape[0]:
            value = value + np.sum(self.weights * function(self.atoms), axis=0)
        return value

    def success(self) -> Any:
        """E[exp(-sT); T < R]."""
        return self.expect(self._keep)

    def duration(self) -> Any:
        """Integral of exp(-st) P(T > t) P(R > t)."""
        if not self.closed:
            return self.grid.sum(self.late * self._keep(self.grid.t))
        return self.expect(self._spent) + self._stuck(self.law.waiting_mean())

    def _stuck(self, value: Any) -> Any:
        """What is spent where T never comes."""
        return np.where(self.missing > 0, self.missing * value, 0.0)

    def failed(self, power: int) -> Any:
        """E[R^power exp(-sR); R < T]."""
        if not self.closed:
            return self.grid.sum(self.late * self.ended * self.grid.t**power)
        huge = np.full(self.law.shape, 1e300)
        limit = self.law.waiting_early(huge, power) if power > 1 else self.law.waiting_mean()
        return self.expect(lambda t: self.law.waiting_early(t, power)) + self._stuck(limit)

    def tilts(self) -> tuple[Any, Any]:
        """-d/d log(frequency) of success and duration."""
        law, t = self.law, self.grid.t
        if not self.closed:
            return self.expect(law.waiting_tilt), self.grid.sum(self.late * law.waiting_tilt(t))
        limit = law.waiting_tilt_area(np.full(law.shape, 1e300))
        return self.expect(law.waiting_tilt), self.expect(law.waiting_tilt_area) + self._stuck(
            limit
        )


def _atoms_of(free: PassageTime, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Atoms of T and their weights, along the first axis."""
    if not isinstance(free, Fronted):
        return np.empty((0, *shape)), np.empty((0, *shape))
    times, weights = (np.asarray(value, dtype=np.float64) for value in free._atoms())
    wide = (len(times), *(1,) * (len(shape) - len(free.shape)), *free.shape)
    return times.reshape(wide), weights.reshape(wide)


class _Steps:
    """T in whole steps against R: sums over the steps."""

    def __init__(self, free: LatticeTime, law: WaitingTime, s: Any) -> None:
        self.shape = np.broadcast_shapes(free.shape, law.shape, np.shape(s))
        self.s = np.broadcast_to(np.asarray(s), self.shape)
        self.law, self.plain = law, not np.any(self.s != 0)
        self.trials = Waits(law, self.s)
        self.index = np.arange(self.s.size)[:, None]
        # as far as a reset may still not have come, or all has arrived
        powers = free.step * np.exp2(np.arange(0.0, 21.0)).reshape(-1, *(1,) * len(self.shape))
        late = np.asarray(free._survival(np.broadcast_to(powers, (21, *self.shape))))
        keep = law.waiting_survival(powers) * np.exp(-np.real(self.s) * powers)
        over = np.flatnonzero(np.all((late * keep).reshape(21, -1) < 1e-16, axis=1))
        if not over.size:
            raise NotConverged("this waiting time spans more than 2^20 steps of the passage time")
        table = free._table.all_until(int(2 ** over[0]))
        which = np.broadcast_to(np.arange(free._size).reshape(free.shape), self.shape).ravel()
        self.weights = np.maximum(-np.diff(table, axis=0), 0.0).T[which]
        self.left = table[-1][which]
        self.at = free.step * np.arange(1.0, len(table))

    def sum(self, function: Callable[[Any, Any], Any], left: bool = True) -> Any:
        """Expectation of a function of T, which also spends time where T is beyond the sum."""
        value = np.sum(self.weights * function(self.at, self.index), axis=1)
        if left:
            end = function(np.inf, self.index)[:, 0]
            value = value + np.where(self.left > 0, self.left * end, 0.0)
        return value.reshape(self.shape)

    def success(self) -> Any:
        """E[exp(-sT); T < R]."""
        return self.sum(self.trials.success, left=False)

    def duration(self) -> Any:
        """Integral of exp(-st) P(T > t) P(R > t)."""
        return self.sum(self.trials.duration)

    def expect(self, function: Callable[[Any], Any]) -> Any:
        """E[g(T)] for g that vanishes where T is beyond the sum."""
        value = np.broadcast_to(
            function(self.at.reshape(-1, *(1,) * len(self.shape))), (self.at.size, *self.shape)
        )
        return np.sum(self.weights * value.reshape(self.at.size, -1).T, axis=1).reshape(self.shape)

    def failed(self, power: int) -> Any:
        """E[R^power; R < T]."""
        return self.sum(self.trials.failed if power == 1 else self.trials.failed_square)

    def tilts(self) -> tuple[Any, Any]:
        """-d/d log(frequency) of success and duration, the latter where frequency scales time."""
        return self.expect(self.law.waiting_tilt), self.failed(1)


def _pair(free: PassageTime, law: WaitingTime, s: Any) -> _Pair | _Steps:
    if isinstance(free, LatticeTime):
        return _Steps(free, law, s)
    if not (has_density(free) or isinstance(free, Fronted)):
        raise NotConverged(
            f"{free!r} is neither a density nor a sum of atoms that are known: under this waiting"
            " time it can only be sampled"
        )
    return _Pair(free, law, s)


def _pieces(free: PassageTime, law: WaitingTime, s: Any) -> list[WaitingTime] | None:
    """The law in pieces that fit in memory, or None if it need not, or cannot, be cut."""
    shape = law.shape
    if len(shape) <= max(len(free.shape), np.ndim(s)) or np.prod(shape) <= _CHUNK:
        return None
    return list(law.parts(max(1, int(_CHUNK * shape[0] // np.prod(shape)))))


@np.errstate(all="ignore")
def trial(free: PassageTime, law: WaitingTime, s: Any = 0.0) -> Trial:
    """What ``PassageTime.trial_waiting`` calls.

    Raises
    ------
    NotConverged
        If the relative error would exceed 1e-10, or Re s < 0.
    """
    if np.any(np.real(s) < 0):
        raise NotConverged("the transform under this protocol is known for Re s >= 0 only")
    if isinstance(law, Schedule) and law.running:
        from resetsgd.passage import running

        return running.trial(free, law, s)
    pieces = _pieces(free, law, s)
    if pieces is not None:
        done = [trial(free, piece, s) for piece in pieces]
        return Trial(*(np.concatenate([part[i] for part in done]) for i in (0, 1)))
    atoms = law.waiting_atoms()
    if atoms is not None:
        return _atomic(free, atoms, s)
    never = law.never
    if np.all(never):
        return free.trial_exponential(np.zeros(law.shape), s)
    pair = _pair(free, law, s)
    success, duration = pair.success(), pair.duration()
    log_success = np.log(success)
    endless = (success == 0) | np.isposinf(np.real(duration))
    log_mean = np.where(endless, np.inf, np.log(duration) - log_success)
    if np.any(np.isnan(log_mean) & ~never):
        raise NotConverged("this waiting time lies at an end of float64")
    if np.any(never):
        unhurried = free.trial_exponential(np.zeros(pair.shape), s)
        log_success = np.where(never, unhurried.log_success, log_success)
        log_mean = np.where(never, unhurried.log_mean, log_mean)
    shape = pair.shape
    return Trial(np.broadcast_to(log_success, shape), np.broadcast_to(log_mean, shape))


def _atomic(free: PassageTime, atoms: tuple[Array, Array], s: Any) -> Trial:
    """Against a discrete law: fixed periods, weighed."""
    times, masses = atoms
    extra = max(len(free.shape), np.ndim(s)) - (times.ndim - 1)
    times = times.reshape(times.shape[:1] + (1,) * extra + times.shape[1:])
    masses = masses.reshape(masses.shape[:1] + (1,) * extra + masses.shape[1:])
    fixed = free.trial_fixed(times, s)
    spent = np.where(np.isneginf(np.real(fixed.log_success)), np.log(times), 0.0)
    spent = np.where(spent == 0.0, fixed.log_success + fixed.log_mean, spent)
    log_success = log_total(np.log(masses) + fixed.log_success)
    log_mean = log_total(np.log(masses) + spent) - log_success
    return Trial(log_success, np.where(np.isnan(log_mean), np.inf, log_mean))


@np.errstate(all="ignore")
def moments(free: PassageTime, law: WaitingTime) -> WaitingMoments:
    """What ``PassageTime.moments_waiting`` calls."""
    if isinstance(law, Schedule) and law.running:
        from resetsgd.passage import running

        return running.moments(free, law)
    pieces = _pieces(free, law, 0.0)
    if pieces is not None:
        done = [moments(free, piece) for piece in pieces]
        columns = zip(*done, strict=True)
        return WaitingMoments._make(
            None if part[0] is None else np.concatenate(part) for part in columns
        )
    atoms = law.waiting_atoms()
    if atoms is not None:
        return _atomic_moments(free, *atoms)
    pair = _pair(free, law, 0.0)
    success, keep = pair.success(), law.waiting_survival
    safe = np.where(success > 0, success, 1.0)
    centre = pair.expect(lambda t: t * keep(t)) / safe
    centre = np.where(np.isfinite(centre), centre, 0.0)
    spread = pair.expect(lambda t: (t - centre) ** 2 * keep(t)) / safe
    slopes = pair.tilts()
    return WaitingMoments(success, pair.duration(), spread, pair.failed(1), pair.failed(2), *slopes)


def _atomic_moments(free: PassageTime, times: Array, masses: Array) -> WaitingMoments:
    """Against a discrete law: fixed periods, weighed."""
    fixed = free.trial_fixed(times)
    won = np.exp(fixed.log_success)
    late = np.asarray(free.survival(times))
    duration = np.where(won > 0, np.exp(fixed.log_mean) * won, times)
    mean = np.where(won > 0, (duration - times * late) / np.where(won > 0, won, 1.0), 0.0)
    success = np.sum(masses * won, axis=0)
    centre = np.sum(masses * won * mean, axis=0) / success
    inner = np.where(won > 0, np.asarray(free.truncated_var(times)), 0.0)
    spread = np.sum(masses * won * (inner + (mean - centre) ** 2), axis=0) / success
    first, second = (np.sum(masses * late * times**power, axis=0) for power in (1, 2))
    total = np.sum(masses * duration, axis=0)
    if not has_density(free):
        return WaitingMoments(success, total, spread, first, second)
    tilt = np.sum(masses * times * np.asarray(free.density(times)), axis=0)
    return WaitingMoments(success, total, spread, first, second, tilt, first)
