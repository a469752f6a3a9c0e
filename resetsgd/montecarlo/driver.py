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
from resetsgd.montecarlo.tasks import Paths, State, Task

__all__ = ["Progress", "run"]

Progress = Callable[[int, int], object]
"""Called as progress(paths done, paths in all), in the caller's thread."""

SLICE = 2000 if settings.DISABLE_JIT else 4_000_000
"""Steps in one kernel call: some tens of milliseconds, compiled or not."""


@dataclass
class _Work:
    """What the threads share."""

    task: Task
    budget: int
    paths: Paths
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    states: list[State] = field(default_factory=list)

    def work(self, tick: Callable[[], None]) -> None:
        """Call the kernel until no path is left, the budget is spent or somebody says stop."""
        try:
            state = self.task.state()
            with self.lock:
                self.states.append(state)
            while not self.stop.is_set():
                # The step beyond the budget shows that it did not suffice.
                slice_ = max(1, min(SLICE, self.budget - self.paths.steps + 1))
                used = self.task.advance(self.paths, state, slice_)
                with self.lock:
                    self.paths.steps += used
                    spent = self.paths.steps > self.budget
                if state.report[0]:
                    raise self._broken(state)
                if spent:
                    raise NotConverged(
                        f"{self.budget} steps did not bring all {len(self.paths.times)} paths to"
                        " the target: give a horizon, fewer paths, a longer step or a larger budget"
                    )
                tick()
                if used < slice_:
                    return
        except BaseException as error:
            with self.lock:
                if self.error is None:
                    self.error = error
            self.stop.set()

    def _broken(self, state: State) -> Exception:
        """A path left the finite numbers: say where."""
        _, position, at, place = (float(value) for value in state.report)
        said = f"position {place:.6g}"
        if self.task.where is not None:
            said = self.task.where(self.paths, int(position))
        where = f"path {self.paths.first + int(position)}, time {at:.6g}, {said}"
        if self.task.blame:
            allowed = "finite wherever a path goes (or the step shorter, if it blew up)"
            return DomainError(self.task.blame, f"not finite at {where}", allowed)
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
        If it comes before any path has arrived.
    """
    paths = Paths.of(first, count)
    work = _Work(task, budget, paths)
    told = time.monotonic()

    def tick(last: bool = False) -> None:
        nonlocal told
        now = time.monotonic()
        if progress is not None and (now - told > 0.05 or last):
            told = now
            progress(count if last else int(np.count_nonzero(paths.outcomes)), count)

    interrupted = False
    if threads == 1:
        work.work(tick)
        if isinstance(work.error, KeyboardInterrupt):
            interrupted, work.error = True, None
    else:
        workers = [
            threading.Thread(target=work.work, args=(lambda: None,), daemon=True)
            for _ in range(min(threads, count))
        ]
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
            work.stop.set()
            for worker in workers:
                if worker.ident is not None:
                    worker.join()
    if work.error is not None:
        raise work.error
    if interrupted:
        for state in work.states:
            _censor(paths, state)
        if not (paths.outcomes == ARRIVED).any():
            raise KeyboardInterrupt
    else:
        tick(last=True)
    return paths, interrupted


def _censor(paths: Paths, state: State) -> None:
    """Give up the paths that are under way, at the time they have reached."""
    for column in range(state.ints.shape[1]):
        position = int(state.ints[POSITION, column])
        elapsed = float(state.reals[TIME, column] + state.reals[LOST, column])
        if 0 <= position < len(paths.times) and paths.outcomes[position] == RUNNING and elapsed > 0:
            paths.times[position], paths.outcomes[position] = elapsed, CENSORED
            paths.resets[position] = state.ints[RESETS, column]
