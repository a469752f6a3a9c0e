"""Running a kernel over many paths: in slices, on threads, stoppable, with a bound.

Threads take runs of consecutive paths and write into disjoint parts of common arrays. A kernel
call is a slice of bounded length, after which the thread looks whether it should stop. Nothing a
path gets depends on any of this.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from resetsgd.domain import Array
from resetsgd.errors import NotConverged
from resetsgd.montecarlo.kernels.compiling import settings
from resetsgd.montecarlo.kernels.drift_diffusion import BROKEN, COUNTS, REALS
from resetsgd.montecarlo.kernels.tape import TAPE
from resetsgd.montecarlo.table import Advance

__all__ = ["Paths", "Progress", "run"]

Progress = Callable[[int, int], object]
"""Called as progress(paths done, paths in all), in the caller's thread."""

SLICE = 1000 if settings.DISABLE_JIT else 1_000_000
"""Steps in one kernel call: some tens of milliseconds, compiled or not."""


@dataclass
class Paths:
    """What the kernels wrote, in the order of the paths."""

    times: Array
    outcomes: npt.NDArray[np.int8]
    resets: npt.NDArray[np.int64]
    steps: int = 0


@dataclass
class _Work:
    """What the threads share."""

    advance: Advance
    first: int
    chunk: int
    budget: int
    paths: Paths
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    begun: int = 0
    done: int = 0
    error: BaseException | None = None

    def work(self, tick: Callable[[], None]) -> None:
        """Take chunks until none is left, the budget is spent or somebody says stop."""
        try:
            while not self.stop.is_set():
                with self.lock:
                    begin, self.begun = self.begun, self.begun + self.chunk
                if begin >= len(self.paths.times):
                    return
                self._chunk(slice(begin, begin + self.chunk), tick)
        except BaseException as error:
            self.error = error
            self.stop.set()

    def _chunk(self, part: slice, tick: Callable[[], None]) -> None:
        times, outcomes = self.paths.times[part], self.paths.outcomes[part]
        resets = self.paths.resets[part]
        counts, reals = np.zeros(COUNTS, np.int64), np.zeros(REALS)
        tape = np.empty(TAPE, np.int64)
        while counts[0] < len(times) and not self.stop.is_set():
            before = int(counts[0])
            used = self.advance(
                times, outcomes, resets, counts, reals, tape, self.first + part.start, SLICE
            )
            finished = slice(before, int(counts[0]))
            if (outcomes[finished] == BROKEN).any():
                raise NotConverged(
                    "a path left the range of floating-point numbers: use a smaller step or horizon"
                )
            with self.lock:
                self.paths.steps += used
                self.done += finished.stop - finished.start
                spent = self.paths.steps > self.budget
            if spent:
                raise NotConverged(
                    f"{self.budget} steps did not bring all {len(self.paths.times)} paths to the"
                    " target: give a horizon, fewer paths, a longer step or a larger budget"
                )
            tick()


def run(
    advance: Advance,
    *,
    first: int,
    count: int,
    threads: int,
    chunk: int,
    budget: int,
    progress: Progress | None = None,
) -> Paths:
    """Run paths ``first`` ... ``first + count - 1``.

    Parameters
    ----------
    advance : callable
        A kernel with everything fixed but the paths, see :mod:`resetsgd.montecarlo.table`.
    first, count : int
        Which paths.
    threads, chunk : int
        How many threads, and how many paths a thread takes at a time.
    budget : int
        Bound of the number of steps of all paths together.
    progress : callable, optional
        See :data:`Progress`.

    Returns
    -------
    Paths

    Raises
    ------
    NotConverged
        If the budget is spent before the last path is done, or numbers overflow.
    """
    paths = Paths(np.empty(count), np.zeros(count, np.int8), np.zeros(count, np.int64))
    work = _Work(advance, first, chunk, budget, paths)

    told = time.monotonic()

    def tick() -> None:
        nonlocal told
        now = time.monotonic()
        if progress is not None and (now - told > 0.05 or work.done == count):
            told = now
            progress(work.done, count)

    if threads == 1:
        work.work(tick)
    else:
        workers = [
            threading.Thread(target=work.work, args=(lambda: None,), daemon=True)
            for _ in range(min(threads, -(-count // chunk)))
        ]
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                while worker.is_alive():
                    worker.join(0.05)  # short, so that Ctrl-C and progress get their turn
                    tick()
        finally:
            work.stop.set()
            for worker in workers:
                if worker.ident is not None:
                    worker.join()
    if work.error is not None:
        raise work.error
    return paths
