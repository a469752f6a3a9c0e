"""Trajectories on demand: where chosen paths of a simulation were, without changing any of them.

A recorded path is run a second time, one step of its kernel after the other, and looked at in
between. Its passage time therefore has the same bits whether it is recorded or not, and kernels
know nothing of recording.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo.clock import Clock
from resetsgd.montecarlo.kernels.between import HOLD, MOVE, PIECE, fill_in
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, LOST, RESETS, RUNNING, TIME
from resetsgd.montecarlo.plan import Plan
from resetsgd.montecarlo.streams import seed_of
from resetsgd.montecarlo.tasks import Paths, Task, Track

__all__ = ["MOST_NUMBERS", "Record", "Trajectories", "components", "recorded", "shown_of"]

MOST_NUMBERS = 2**28
"""Bound of the numbers that are kept: 2 GiB."""

_MAPPED, _SAME = math.nan, math.inf
"""Where a piece begins that no number says: where a reset leads; where the piece before ended."""


@dataclass(frozen=True, eq=False)
class Record:
    """What to record of a simulation: ``simulate(..., record=Record(0.1, paths=3))``.

    Parameters
    ----------
    times : float or sequence of float
        The time between two records, the first of which is at 0; or the times themselves, rising,
        not negative. Records end where the path ends.
    paths : int or range, default 10
        How many paths from the first on; or their numbers, among those that are simulated.
    coordinates : sequence of int, optional
        For a :class:`~resetsgd.Langevin` process: which components. All by default.

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Notes
    -----
    Recorded paths are those of the simulation, with the same passage times to the last bit. What is
    between two of its steps, or blocks of up to sixteen of them, is filled in at the times that are
    asked for: for diffusions on a line by the law of a Brownian bridge that does not meet the
    target, exact where the drift is constant, and with an error of the order of the block
    elsewhere; by straight lines in many dimensions and under coloured noise; walks and stable noise
    rest until they jump. While a reset takes time the path is where it leads.

    Examples
    --------
    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
    >>> S = rs.simulate(walk, 1.0, 0.0, rs.Poisson(1.0), paths=1000, record=rs.Record(0.01, 2))
    >>> S.record.positions.shape[0], bool(S.record.end_times[1] == S.times[1])
    (2, True)
    """

    times: Any
    paths: int | range = 10
    coordinates: Sequence[int] | None = None
    grid: Array | None = field(init=False, repr=False, default=None)
    every: float = field(init=False, repr=False, default=math.nan)

    def __post_init__(self) -> None:
        if np.ndim(self.times) == 0:
            object.__setattr__(self, "every", domain.single("times", self.times, domain.positive))
        else:
            grid = np.array(domain.nonnegative("times", self.times), dtype=np.float64)
            if grid.ndim != 1 or grid.size == 0 or (np.diff(grid) <= 0).any():
                raise DomainError("times", self.times, "an interval, or rising times in a row")
            object.__setattr__(self, "grid", grid)
        if not isinstance(self.paths, range):
            domain.integer("paths", self.paths, 1)

    def numbers(self, first: int, count: int) -> range:
        """Numbers of the recorded paths, of those that are simulated.

        Raises
        ------
        DomainError
            If there are others among them.
        """
        if not isinstance(self.paths, range):
            return range(first, first + min(self.paths, count))
        inside = first <= self.paths.start and self.paths.stop <= first + count
        if self.paths.step != 1 or len(self.paths) == 0 or not inside:
            allowed = f"a nonempty range of step 1 within {first} ... {first + count}"
            raise DomainError("record", self.paths, allowed)
        return self.paths

    def upto(self, end: float) -> Array:
        """The times of records from 0 to the end of a path."""
        if self.grid is not None:
            return self.grid[self.grid <= end]
        many = math.floor(end / self.every) + 2
        if many > MOST_NUMBERS:
            raise DomainError("record", self.times, f"at most {MOST_NUMBERS} numbers are kept")
        times: Array = np.arange(many, dtype=np.float64) * self.every
        return times[times <= end]

    def before(self, times: Array) -> npt.NDArray[np.int64]:
        """How many records come before each of these times."""
        if self.grid is not None:
            return np.asarray(np.searchsorted(self.grid, times, side="left"), dtype=np.int64)
        number = np.ceil(times / self.every).astype(np.int64)
        number += number * self.every < times
        return np.asarray(number - ((number - 1) * self.every >= times), dtype=np.int64)


@dataclass(frozen=True)
class Trajectories:
    """Recorded paths; made by :func:`resetsgd.simulate` and :func:`resetsgd.trajectories`.

    Attributes
    ----------
    times : ndarray, shape (paths, records)
        NaN after a path's last record.
    positions : ndarray, shape (paths, records, coordinates)
    end_times, arrived : ndarray, shape (paths,)
        When each path ended, and whether it had arrived.
    paths : range
        Their numbers.
    """

    times: Array
    positions: Array
    end_times: Array
    arrived: npt.NDArray[np.bool_]
    paths: range


def components(coordinates: Any, dimension: int) -> npt.NDArray[np.int64]:
    """Which components: those that are asked for, or all."""
    if coordinates is None:
        return np.arange(dimension, dtype=np.int64)
    which = [domain.integer("coordinates", i, 0, dimension - 1) for i in np.atleast_1d(coordinates)]
    return np.array(which, dtype=np.int64)


class _Look(NamedTuple):
    """What is seen of the paths after a call of their kernel."""

    time: Array
    lost: Array
    due: Array
    resets: npt.NDArray[np.int64]
    place: Array
    """Shape (paths,) or (paths, d)."""
    heading: Array


class _Leg(NamedTuple):
    """A part of a path: times, and where it begins and ends (None: unknown; or it rests)."""

    begin: float
    stop: float
    place: Any
    end: Any
    rests: bool = False


def shown_of(plan: Plan, record: Record) -> range:
    """Numbers of the paths to record.

    Raises
    ------
    DomainError
        If they are not simulated, or recording is not possible.
    """
    if not isinstance(record, Record):
        raise DomainError("record", record, "None or a resetsgd.Record")
    track = plan.motion.track(plan.scheme)
    if plan.on_device or track is None:
        where = "with device='cuda'" if plan.on_device else f"for the scheme {plan.scheme!r} here"
        raise DomainError("record", record, f"None {where}")
    components(record.coordinates, track.dimension)
    return record.numbers(plan.first, plan.count)


def recorded(plan: Plan, record: Record, numbers: range, ends: Array) -> Trajectories:
    """Run some paths of a simulation again and record them.

    Parameters
    ----------
    plan : Plan
        Of the simulation.
    record : Record
    numbers : range
        Numbers of the paths.
    ends : ndarray, shape (paths,)
        When they end.
    """
    task, track, clock = plan.task(plan.step), plan.motion.track(plan.scheme), plan.clock
    assert track is not None
    coordinates = components(record.coordinates, track.dimension)
    wanted = [record.upto(float(end)) for end in ends]
    most = max(times.size for times in wanted)
    if len(numbers) * most * (1 + coordinates.size) > MOST_NUMBERS:
        raise DomainError("record", record.times, f"at most {MOST_NUMBERS} numbers are kept")
    times = np.full((len(numbers), most), np.nan)
    positions = np.full((len(numbers), most, coordinates.size), np.nan)
    ended, arrived = np.empty(len(numbers)), np.zeros(len(numbers), dtype=bool)
    lanes = task.state().ints.shape[1]
    for begin in range(0, len(numbers), lanes):
        part = numbers[begin : begin + lanes]
        followed = _Followed(task, track, clock, record, part)
        followed.run()
        for k, number in enumerate(part):
            row, at = begin + k, wanted[begin + k]
            times[row, : at.size] = at
            ended[row] = followed.paths.times[k]
            arrived[row] = followed.paths.outcomes[k] == ARRIVED
            if at.size:
                filled = followed.filled(k, at, seed_of(plan.seed), number)
                positions[row, : at.size] = filled[:, coordinates]
    return Trajectories(times, positions, ended, arrived, numbers)


class _Followed:
    """Some paths, followed from look to look."""

    def __init__(
        self, task: Task, track: Track, clock: Clock, record: Record, numbers: range
    ) -> None:
        self.task, self.track, self.clock, self.record = task, track, clock, record
        self.n = len(numbers)
        self.paths = Paths.of(numbers.start, self.n)
        self.state: Any = task.state()
        self.legs: list[list[_Leg]] = [[] for _ in numbers]
        self.many = track.starts.ndim == 2

    def run(self) -> None:
        """Until all have ended; the simulation has shown that they do."""
        if self.many:
            self.task.advance(self.paths, self.state, 0)  # puts them on their starts
        was = self._look()
        if not self.many:
            was = was._replace(
                place=np.full(self.n, self.track.starts[0]), due=np.full(self.n, np.inf),
                time=np.zeros(self.n), lost=np.zeros(self.n), resets=np.zeros(self.n, np.int64),
            )  # fmt: skip
        counted = np.zeros(self.n, np.int64)
        over = np.zeros(self.n, dtype=bool)
        while not over.all():
            if self.task.advance(self.paths, self.state, 1) == 0:
                break
            now = self._look()
            ended = (self.paths.outcomes != RUNNING) & ~over
            total = np.where(ended, self.paths.times, now.time + now.lost)
            # A record at the very end belongs to the path.
            number = self.record.before(np.where(ended, np.nextafter(total, np.inf), total))
            for k in np.flatnonzero(~over & (number > counted)):
                self.legs[k] += self._legs(int(k), was, now, bool(ended[k]))
            counted, was = np.where(over, counted, number), now
            over |= ended

    def _look(self) -> _Look:
        state, n = self.state, self.n
        if self.many:
            d = self.track.starts.shape[1]
            place, due, heading = state.x[:d, :n].T.astype(np.float64), state.reals[2, :n], None
        else:
            place, due = state.reals[2, :n].copy(), state.reals[3, :n]
            heading = state.reals[5, :n] if len(state.reals) > 5 else None
        return _Look(
            state.reals[TIME, :n].copy(), state.reals[LOST, :n].copy(), due.copy(),
            state.ints[RESETS, :n].copy(), place,
            np.zeros(n) if heading is None else heading.copy(),
        )  # fmt: skip

    def _legs(self, k: int, was: _Look, now: _Look, ended: bool) -> Iterator[_Leg]:
        """The parts of a path between two looks: up to a reset, while it lasts, after it."""
        track, clock = self.track, self.clock
        begin, place = was.time[k] + was.lost[k], was.place[k]
        stop = float(self.paths.times[k]) if ended else now.time[k] + now.lost[k]
        resets = (self.paths.resets[k] if ended else now.resets[k]) - was.resets[k]
        speed = track.speed * now.heading[k]
        end: Any = now.place[k]
        if ended:
            end = self._target(k) if self.paths.outcomes[k] == ARRIVED else None
            if end is None and speed != 0.0 and not resets:
                end = place + speed * (stop - begin)
        if not resets:
            yield _Leg(begin, stop, place, end)
            return
        at_reset = track.single and not ended
        due = now.time[k] if at_reset else was.due[k]
        if not was.time[k] <= due <= stop - was.lost[k]:  # by r(x), or more than one
            due = 0.5 * (was.time[k] + stop - was.lost[k])
        back = now.place[k] if at_reset else self._back(now.place[k])
        before = None
        if speed != 0.0:
            before = place + speed * (due - was.time[k])
        elif at_reset and track.kind == "diffusion":
            before = self._undone(float(back))
        yield _Leg(begin, due + was.lost[k], place, before)
        fixed = 0.0 if math.isnan(clock.lost[0]) else clock.lost[0]
        lost = was.lost[k] + resets * fixed if ended else now.lost[k]
        goes_on = min(due + lost, stop)
        yield _Leg(due + was.lost[k], goes_on, back, back, rests=True)
        if stop > goes_on:
            again = _SAME if isinstance(back, float) and math.isnan(back) else back
            yield _Leg(goes_on, stop, again, end)

    def _target(self, k: int) -> Any:
        """Where a path arrived; unknown in many dimensions."""
        low, high = self.track.low, self.track.high
        if not math.isfinite(low) or (self.paths.sides[k] > 0 and math.isfinite(high)):
            return high if math.isfinite(high) else None
        return low

    def _back(self, seen: Any) -> Any:
        """Where a reset led that was followed by more: the reset position, or the nearest of them.

        NaN stands for what follows from where the path was.
        """
        backs = self.track.backs
        if not self.clock.full and not self.many:
            return _MAPPED
        gaps = np.abs(backs - seen) if not self.many else np.linalg.norm(backs - seen, axis=1)
        return backs[int(np.argmin(gaps))]

    def _undone(self, back: float) -> float | None:
        """Where a path was before a partial reset that led to a place."""
        clock, track = self.clock, self.track
        if clock.partial:
            target = track.low if math.isfinite(track.low) else track.high
            return target + (back - target) / clock.partial
        if clock.kept and len(track.backs) == 1:
            home = float(track.backs[0])
            return home + (back - home) / clock.kept
        return None

    def filled(self, k: int, times: Array, seed: int, number: int) -> Array:
        """Positions at rising times, shape (times, d)."""
        track = self.track
        if track.kind != "diffusion":
            return self._straight(k, times)
        pieces = np.zeros((len(self.legs[k]), PIECE))
        for i, leg in enumerate(self.legs[k]):
            unknown = leg.end is None
            slope = 0.0
            if unknown and track.drift is not None and math.isfinite(leg.place):
                slope = track.drift(leg.place)
            pieces[i] = (
                leg.begin, leg.stop, leg.place, math.nan if unknown else leg.end,
                HOLD if leg.rests else MOVE, slope,
            )  # fmt: skip
        out = np.full(times.size, np.nan)
        factor = -1.0 if self.clock.partial is None else self.clock.partial
        fill_in(
            np.uint64(seed), np.uint64(number), pieces, track.diffusivity, track.low, track.high,
            track.wall, factor, self.clock.kept, float(track.backs[0]), times, out,
        )  # fmt: skip
        return np.asarray(track.place(out), dtype=np.float64)[:, None]

    def _straight(self, k: int, times: Array) -> Array:
        """Straight lines, or rest until the end of each leg."""
        out = np.empty((times.size, *np.shape(self.track.starts)[1:]))
        legs = self.legs[k]
        for i, leg in enumerate(legs):
            last = i == len(legs) - 1
            low = np.searchsorted(times, leg.begin, side="left")
            high = np.searchsorted(times, leg.stop, side="right" if last else "left")
            here = times[low:high]
            rests = leg.end is None or leg.rests or self.track.kind == "jump"
            share = np.zeros(here.size) if rests else (here - leg.begin) / (leg.stop - leg.begin)
            if self.track.kind == "jump" and leg.end is not None:
                share[here >= leg.stop] = 1.0
            if self.many:
                share = share[:, None]
            out[low:high] = leg.place if leg.end is None else (
                leg.place + share * (leg.end - leg.place)
            )  # fmt: skip
        return out if self.many else out[:, None]
