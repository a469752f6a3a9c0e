"""Running a kernel on the device: in batches of paths, in launches of bounded length.

A thread takes a path from a counter, moves it to its end and takes the next; what it needs to go on
stays on the device between launches. Results come back by position, once a batch is done.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import DomainError, NoDevice
from resetsgd.montecarlo.cuda.device import Device, found
from resetsgd.montecarlo.cuda.jobs import Job, job_of
from resetsgd.montecarlo.driver import Progress, broken, censor, spent, too_often
from resetsgd.montecarlo.kernels.outcomes import ARRIVED
from resetsgd.montecarlo.tasks import MOST_RESETS, Paths, fresh

__all__ = ["job_of", "run"]

BATCH = 2**24
"""Paths whose results are on the device at once: 14 bytes each."""

STEPS = 2**13
"""Steps of a thread in one launch: some milliseconds, up to half a second on a slow device."""

BLOCK = 128
"""Threads in a block."""


def run(
    job: Job,
    *,
    first: int,
    count: int,
    budget: int,
    progress: Progress | None = None,
    device: Device | None = None,
) -> tuple[Paths, bool]:
    """Run paths ``first`` ... ``first + count - 1`` on the device.

    Parameters
    ----------
    job : Job
        A kernel with everything fixed but the paths.
    first, count, budget, progress
        As in :func:`resetsgd.montecarlo.driver.run`; the budget is looked at between launches.
    device : Device, optional
        Default: the current one.

    Returns
    -------
    Paths, bool
        The results, and whether Ctrl-C ended the run early, as in the driver.

    Raises
    ------
    NoDevice
        If there is none, or it cannot be compiled for.
    DomainError
        If a user's function cannot be compiled for CUDA, or gave something that is not finite.
    NotConverged
        If the budget is spent before the last path is done, or numbers overflow.
    KeyboardInterrupt
        If it comes before any path has arrived.
    """
    device = device or found()
    paths = Paths.of(first, count, job.sides)
    given = tuple(
        device.cuda.to_device(value) if isinstance(value, np.ndarray) else value
        for value in job.given
    )
    interrupted, told = False, time.monotonic()
    with _asked() as asked:
        for begin in range(0, count, BATCH):
            part = _part(paths, begin, min(begin + BATCH, count))
            batch = _Batch(device, job, given, part)
            try:
                while batch.running and not asked:
                    batch.launch(budget - paths.steps)
                    paths.steps += batch.made
                    if paths.steps > budget:
                        raise spent(budget, count)
                    if progress is not None and time.monotonic() - told > 0.05:
                        told = time.monotonic()
                        progress(begin + batch.done(), count)
            except KeyboardInterrupt:  # from the progress report, or from another thread's handler
                asked.append(True)
            batch.collect()
            if asked:
                interrupted = True
                censor(part, batch.state)
                break
    if interrupted and not (paths.outcomes == ARRIVED).any():
        raise KeyboardInterrupt
    if progress is not None and not interrupted:
        progress(count, count)
    return paths, interrupted


def _part(paths: Paths, begin: int, end: int) -> Paths:
    """Views of some of the paths, with a counter of their own."""
    return Paths(
        paths.times[begin:end], paths.outcomes[begin:end], paths.resets[begin:end],
        paths.sides[begin:end], np.zeros(1, np.int64), paths.first + begin,
    )  # fmt: skip


class _Batch:
    """Paths whose results and states are on the device."""

    def __init__(self, device: Device, job: Job, given: tuple[Any, ...], paths: Paths) -> None:
        self.device, self.job, self.given, self.paths = device, job, given, paths
        count = len(paths.times)
        self.threads = min(device.threads, count)
        self.state = fresh(*job.rows, self.threads)
        self.state.report = np.zeros((4, self.threads))
        up = device.cuda.to_device
        # Kernels that write the side write it for one end too.
        sides = paths.sides if job.sides else np.zeros(count, np.int8)
        self.results = [up(part) for part in (paths.times, paths.outcomes, paths.resets, sides,
                                              paths.counter)]  # fmt: skip
        self.states = [up(part) for part in self._rows()]
        self.running, self.made = True, 0
        block = min(BLOCK, self.threads)
        with warnings.catch_warnings():  # a few paths do not fill a device: that is known
            warnings.filterwarnings("ignore", message="Grid size")
            self.kernel = job.kernel[-(-self.threads // block), block]

    def _rows(self) -> tuple[Any, ...]:
        return self.state.ints, self.state.reals, self.state.words, self.state.report

    def launch(self, budget: int) -> None:
        """Let each thread make some steps; the step beyond the budget shows it did not suffice."""
        each = max(1, min(STEPS, budget // self.threads + 1))
        tally = self.device.cuda.to_device(np.zeros(4, np.int64))
        try:
            self.kernel(*self.given, *self.results, self.paths.first, *self.states, tally, each)
        except Exception as error:
            raise self._refused(error) from None
        self.made, wrong, under_way, most = (int(value) for value in tally.copy_to_host())
        if wrong:
            raise self._broken()
        if most > MOST_RESETS - 2 * STEPS:
            raise too_often()
        begun = int(self.results[4].copy_to_host()[0])
        self.running = under_way > 0 or begun < len(self.paths.times)

    def done(self) -> int:
        """Paths that have come to an end."""
        return int(np.count_nonzero(self.results[1].copy_to_host()))

    def _refused(self, error: Exception) -> Exception:
        """The first launch compiles: is it the user's function, or the machine?"""
        words = " ".join(str(error).split()) or type(error).__name__
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if self.job.function is not None and kinds & {"NumbaError", "TypeError"}:
            return DomainError(
                self.job.blame, self.job.function,
                "a function that numba can compile for CUDA (the package numba-cuda takes more than"
                f" numba does alone): {words[:200]}",
            )  # fmt: skip
        return NoDevice(f"{type(error).__name__}: {words[:300]}")

    def _broken(self) -> Exception:
        """Some path left the finite numbers; of several, that of the lowest number is told."""
        reports: Array = self.states[3].copy_to_host()
        reports = reports[:, reports[0] != 0.0]
        report = reports[:, int(np.argmin(reports[1]))]
        said = f"position {self.job.place(float(report[3])):.6g}"
        return broken(self.paths.first, report, self.job.blame, said)

    def collect(self) -> None:
        """Fetch results and states."""
        into = [self.paths.times, self.paths.outcomes, self.paths.resets]
        into += [self.paths.sides] if self.job.sides else []
        for there, here in zip(self.results, into, strict=False):
            there.copy_to_host(here)
        for there, here in zip(self.states, self._rows(), strict=True):
            there.copy_to_host(here)


@contextlib.contextmanager
def _asked() -> Iterator[list[bool]]:
    """A list that holds something once Ctrl-C was pressed: between launches, not within one."""
    asked: list[bool] = []
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield asked
        return
    signal.signal(signal.SIGINT, lambda *_: asked.append(True))
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
