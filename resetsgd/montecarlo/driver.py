"""Running a kernel over many paths: in slices, on threads, stoppable, with a bound.

Each thread calls the kernel again and again with a slice of bounded length, after which it looks
whether it should stop. The kernels take paths from one atomic counter and write results by
position, so that nothing a path gets depends on any of this.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import DomainError, NotConverged
from resetsgd.montecarlo.kernels.compiling import settings
from resetsgd.montecarlo.kernels.outcomes import (
    ARRIVED,
    CENSORED,
    LOST,
    POSITION,
    RESETS,
    RUNNING,
    TIME,
)
from resetsgd.montecarlo.tasks import MOST_RESETS, Paths, State, Task

__all__ = ["Progress", "broken", "censor", "run", "spent", "stream", "too_often"]

Progress = Callable[[int, int], object]
"""Called as progress(paths done, paths in all), in the caller's thread."""

SLICE = 2000 if settings.DISABLE_JIT else 4_000_000
"""Steps in one kernel call: some tens of milliseconds, compiled or not."""

AHEAD = 8
"""Chunks that each thread may be ahead of the slowest."""


@dataclass
class _Work:
    """What the threads share."""

    task: Task
    budget: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    states: list[State] = field(default_factory=list)
    steps: int = 0

    def state(self) -> State:
        """The state of one more thread."""
        state = self.task.state()
        with self.lock:
            self.states.append(state)
        return state

    def finish(self, paths: Paths, state: State, tick: Callable[[], None]) -> bool:
        """Call the kernel until no path is left, the budget is spent or somebody says stop."""
        while not self.stop.is_set():
            # The step beyond the budget shows that it did not suffice.
            slice_ = max(1, min(SLICE, self.budget - self.steps + 1))
            used = self.task.advance(paths, state, slice_)
            with self.lock:
                self.steps += used
                over = self.steps > self.budget
            if state.report[0]:
                raise self._broken(paths, state.report)
            if over:
                raise spent(self.budget, len(paths.times))
            if state.ints[RESETS].max() > MOST_RESETS - 2 * SLICE:
                raise too_often()
            tick()
            if used < slice_:
                return True
        return False

    def guarded(self, work: Callable[[], None]) -> None:
        """Do a thread's part; its error stops the others."""
        try:
            work()
        except BaseException as error:
            with self.lock:
                if self.error is None:
                    self.error = error
            self.stop.set()

    def wait(self, parts: list[Callable[[], None]], tick: Callable[[], None]) -> bool:
        """Do all parts, a thread for each; whether Ctrl-C ended it early."""
        workers = [
            threading.Thread(target=self.guarded, args=(part,), daemon=True) for part in parts
        ]
        interrupted = False
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                while worker.is_alive():
                    worker.join(0.05)  # short, so that Ctrl-C and progress get their turn
                    if worker.is_alive():
                        tick()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            self.stop.set()
            for worker in workers:
                if worker.ident is not None:
                    worker.join()
        return interrupted

    def _broken(self, paths: Paths, report: Array) -> Exception:
        """A path left the finite numbers: say where."""
        said = f"position {self.task.place(float(report[3])):.6g}"
        if self.task.where is not None:
            said = self.task.where(paths, int(report[1]))
        return broken(paths.first, report, self.task.blame, said)


def spent(budget: int, paths: int) -> NotConverged:
    """What is raised when a budget of steps did not suffice for so many paths."""
    return NotConverged(
        f"{budget} steps did not bring all {paths} paths to the target:"
        " give a horizon, fewer paths, a longer step or a larger budget"
    )


def too_often() -> NotConverged:
    """What is raised when the resets of one path can no longer be counted."""
    return NotConverged(
        f"a path was reset more than {MOST_RESETS - 2 * SLICE} times without arriving:"
        " give a horizon or fewer resets"
    )


def broken(first: int, report: Array, blame: str, said: str) -> Exception:
    """What is raised when a path left the finite numbers, as a kernel reported it.

    ``first`` is the number of the first path, ``said`` the place in words.
    """
    where = f"path {first + int(report[1])}, time {report[2]:.6g}, {said}"
    if blame:
        allowed = "finite wherever a path goes (or the step shorter, if it blew up)"
        return DomainError(blame, f"not finite at {where}", allowed)
    return NotConverged(
        f"{where}: left the range of floating-point numbers; use a smaller step or horizon"
    )


def run(
    task: Task,
    *,
    first: int,
    count: int,
    threads: int,
    budget: int,
    progress: Progress | None = None,
    needed: int = ARRIVED,
) -> tuple[Paths, bool]:
    """Run paths ``first`` ... ``first + count - 1``.

    Parameters
    ----------
    task : Task
        A kernel with everything fixed but the paths.
    first, count : int
        Which paths.
    threads : int
        How many threads.
    budget : int
        Bound of the number of steps of all paths together.
    progress : callable, optional
        See :data:`Progress`.
    needed : int
        An outcome; Ctrl-C ends the run with what is there only if a path already has it.

    Returns
    -------
    Paths, bool
        The results, and whether Ctrl-C ended the run early: what was under way is then censored at
        its time, and what had not begun has the outcome ``RUNNING``.

    Raises
    ------
    NotConverged
        If the budget is spent before the last path is done, or numbers overflow.
    DomainError
        If a user's function gave something that is not finite.
    KeyboardInterrupt
        If it comes before any path has arrived (or has the outcome ``needed``).
    """
    paths = Paths.of(first, count, task.sides)
    work = _Work(task, budget)
    told = time.monotonic()

    def tick(last: bool = False) -> None:
        nonlocal told
        now = time.monotonic()
        if progress is not None and (now - told > 0.05 or last):
            told = now
            progress(count if last else int(np.count_nonzero(paths.outcomes)), count)

    def part(tick: Callable[[], None] = lambda: None) -> None:
        work.finish(paths, work.state(), tick)

    if threads == 1:
        work.guarded(lambda: part(tick))
        interrupted = isinstance(work.error, KeyboardInterrupt)
        if interrupted:
            work.error = None
    else:
        interrupted = work.wait([part] * min(threads, count), tick)
    paths.steps = work.steps
    if work.error is not None:
        raise work.error
    if interrupted:
        if not (paths.outcomes == needed).any():
            raise KeyboardInterrupt
        for state in work.states:
            censor(paths, state)
    else:
        tick(last=True)
    return paths, interrupted


def stream(
    task: Task,
    take: Callable[[Paths], Callable[[], None]],
    *,
    first: int,
    count: int,
    chunk: int,
    threads: int,
    budget: int,
    progress: Progress | None = None,
) -> tuple[int, bool]:
    """Run paths ``first`` ... ``first + count - 1`` in chunks that are looked at and forgotten.

    A thread runs chunks alone, in memory for ``chunk`` paths that it uses again and again.

    Parameters
    ----------
    task, first, count, threads, budget, progress
        As in :func:`run`.
    take : callable
        ``take(paths)`` looks at a chunk, in the thread that ran it, and gives back what is to be
        done with what it found: this is called for one chunk after the other in their order.
    chunk : int
        Paths in a chunk.

    Returns
    -------
    int, bool
        Steps made, and whether Ctrl-C ended the run early: then the chunks that were passed on are
        all chunks up to some number.

    Raises
    ------
    NotConverged, DomainError
        As :func:`run`.
    """
    work = _Work(task, budget)
    chunks = -(-count // chunk)
    threads = min(threads, chunks)
    turn = threading.Condition(work.lock)
    begun = passed = 0
    waiting: dict[int, Callable[[], None]] = {}

    def part() -> None:
        nonlocal begun, passed
        state, memory = work.state(), Paths.of(first, min(chunk, count), task.sides)
        while True:
            with turn:
                # One slow chunk must not let the others heap up what they found.
                while begun - passed > AHEAD * threads and not work.stop.is_set():
                    turn.wait(0.05)
                number, begun = begun, begun + 1
            if number >= chunks or work.stop.is_set():
                return
            offset = number * chunk
            paths = memory.again(first + offset, min(chunk, count - offset))
            if not work.finish(paths, state, lambda: None):
                return
            found = take(paths)
            with turn:
                waiting[number] = found
                while passed in waiting:
                    waiting.pop(passed)()
                    passed += 1
                turn.notify_all()

    def tick() -> None:
        if progress is not None:
            progress(min(passed * chunk, count), count)

    interrupted = work.wait([part] * threads, tick)
    if work.error is not None:
        raise work.error
    if not interrupted:
        tick()
    return work.steps, interrupted


def censor(paths: Paths, state: State) -> None:
    """Give up the paths that are under way, at the time they have reached."""
    for column in range(state.ints.shape[1]):
        position = int(state.ints[POSITION, column])
        elapsed = float(state.reals[TIME, column] + state.reals[LOST, column])
        if 0 <= position < len(paths.times) and paths.outcomes[position] == RUNNING and elapsed > 0:
            paths.times[position], paths.outcomes[position] = elapsed, CENSORED
            paths.resets[position] = state.ints[RESETS, column]
