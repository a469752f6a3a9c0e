"""``simulate_streaming``: any number of paths in bounded memory, by sums instead of an array."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import CensoredMean, DomainError
from resetsgd.montecarlo import driver
from resetsgd.montecarlo.driver import Progress
from resetsgd.montecarlo.halving import ENOUGH, bias_by_coarsening, warn_of_bias
from resetsgd.montecarlo.kernels.outcomes import ARRIVED
from resetsgd.montecarlo.plan import Plan, planned
from resetsgd.montecarlo.tasks import Paths
from resetsgd.processes import Process
from resetsgd.protocols import Protocol

__all__ = ["Streamed", "moments", "simulate_streaming"]

CHUNK = 2**13
"""Paths at a time: fixed, for sums are added in the order of the chunks."""

LOOKED_AT = 2**20
"""Paths of which the bias of the time step is estimated, in whole chunks."""

ON_DEVICE = 2**22
"""Paths that a device gets at once, in whole chunks."""

DIGITS = 6
"""Binary digits of a time, after the first, that name its bin: 64 bins for each doubling."""

BINS = 2047 << DIGITS
"""From zero to the largest float64."""

Take = Callable[[Paths], Callable[[], None]]
"""Looks at a chunk, in any thread; what it gives back is called for the chunks in their order."""


@dataclass(frozen=True)
class Streamed:
    """What is known of passage times that were counted and summed, not kept.

    It has the mean, its standard error, quantiles and survival to the width of a bin (0.8 to 1.6 %)
    and the Laplace transform at the rates that were asked for. It has no single times: no
    resampling, no survival between bins, no other protocols. For these use
    :func:`~resetsgd.simulate`.

    Attributes
    ----------
    paths, arrived : int
        Number of paths, and of those that arrived.
    restricted_mean, restricted_stderr : float
        Mean of the time, cut at the horizon, and its standard error, time.
    resets : float
        Mean number of resets of a path.
    sides : tuple of int
        For a target with two ends, arrivals at the lower and the upper one; else (0, 0).
    rates, laplace, laplace_stderr : ndarray, shape (rates,)
        Mean of exp(-rate T), where a path that did not arrive counts as zero (for it could only add
        up to exp(-rate horizon)), and its standard error.
    counts : ndarray of int64
        Arrivals in bins of the time: 64 of equal width between neighbouring powers of two, the
        number of a bin being exponent and first six digits of the float64.
    info : mapping
        As that of :class:`~resetsgd.Simulated`.
    """

    paths: int
    arrived: int
    restricted_mean: float
    restricted_stderr: float
    resets: float
    sides: tuple[int, int]
    rates: Array
    laplace: Array
    laplace_stderr: Array
    counts: npt.NDArray[np.int64] = field(repr=False)
    info: Mapping[str, Any] = field(repr=False)

    def mean(self) -> float:
        """Mean passage time; raises :class:`~resetsgd.CensoredMean` if paths did not arrive."""
        self._all_arrived("the mean")
        return self.restricted_mean

    def stderr(self) -> float:
        """Standard error of the mean; raises as ``mean`` does."""
        self._all_arrived("the standard error of the mean")
        return self.restricted_stderr

    def std(self) -> float:
        """Standard deviation of the passage time; raises as ``mean`` does."""
        self._all_arrived("the standard deviation")
        return self.restricted_stderr * math.sqrt(self.paths)

    def quantile(self, q: float) -> float:
        """Middle (in the logarithm) of the bin by which a share q has arrived, to 0.8 %.

        Parameters
        ----------
        q : float
            Between 0 and 1, neither included.

        Returns
        -------
        float
            ``inf`` beyond the share that arrived.
        """
        share = float(np.asarray(domain.probability("q", q, zero=False, one=False)))
        reached = np.cumsum(self.counts)
        place = int(np.searchsorted(reached, share * self.paths))
        return math.sqrt(_edge(place)) * math.sqrt(_edge(place + 1)) if place < BINS else math.inf

    def survival(self, t: float) -> float:
        """Share of paths that had not arrived at the end of the bin that contains t >= 0."""
        at = float(np.asarray(domain.nonnegative("t", t)))
        return 1.0 - float(self.counts[: int(_bins(np.array([at]))[0]) + 1].sum()) / self.paths

    def _all_arrived(self, what: str) -> None:
        if self.arrived < self.paths:
            raise CensoredMean(
                f"{what} is not determined: {self.paths - self.arrived} of {self.paths} paths had"
                " not arrived by the horizon; use restricted_mean"
            )


def simulate_streaming(
    process: Process,
    start: Any,
    target: Any,
    protocol: Protocol | None = None,
    *,
    paths: int | range,
    rates: Sequence[float] = (),
    budget: int = 10**14,
    progress: Progress | None = None,
    **options: Any,
) -> Streamed:
    """Simulate passage times without keeping them: memory does not grow with the paths.

    Parameters
    ----------
    process, start, target, protocol
        As in :func:`~resetsgd.simulate`.
    paths : int or range
        How many; 10^9 need no more memory than 10^6.
    rates : sequence of float
        Positive rates at which the Laplace transform is wanted, 1 / time.
    budget : int
        Bound of the number of steps of all paths together.
    progress : callable, optional
        Called as ``progress(done, paths)``; :class:`~resetsgd.ProgressBar` shows the time left.
    **options
        Others of :func:`~resetsgd.simulate`, but not ``bias="halving"``.

    Returns
    -------
    Streamed
        After Ctrl-C: of the first so many chunks of 8,192 paths.

    Raises
    ------
    DomainError, NotConverged
        As :func:`~resetsgd.simulate`.

    Notes
    -----
    Paths are those of :func:`~resetsgd.simulate` with the same seed. Each thread runs chunks of
    8,192 paths alone; their sums are added in the order of the chunks, by the update of mean and
    squared deviations, so that the result is the same bit for bit for any number of threads.
    Memory: 30 kB of the kernel, 13 bytes for each path of a chunk and 24 while it is summed, that
    is 0.3 MB a thread; and the histogram, 1 MB. A device gets 4,194,304 paths at a time.

    **Source**: T. F. Chan, G. H. Golub, R. J. LeVeque, Am. Stat. 37, 242 (1983), eq. 2.1.

    Examples
    --------
    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
    >>> S = simulate_streaming(walk, 1.0, 0.0, rs.Poisson(1.0), paths=10_000, rates=[1.0])
    >>> abs(S.mean() - 1.18317) < 4 * S.stderr()
    True
    >>> bool(abs(S.laplace[0] - 0.468) < 0.02)
    True
    """
    asked = np.atleast_1d(np.asarray(domain.positive("rates", rates if len(rates) else 1.0)))
    asked = asked if len(rates) else np.empty(0)
    if asked.ndim != 1:
        raise DomainError("rates", asked.shape, "numbers in a row")
    if options.get("bias") not in (None, "ignored"):
        raise DomainError("bias", options["bias"], "None or 'ignored'")
    ignored = options.pop("bias", None) == "ignored" or options.get("step") is not None
    began = time.perf_counter()
    plan = planned(process, start, target, protocol, paths=paths, budget=budget, **options)
    sums = _Sums(asked)
    looked: list[tuple[float, float]] = []
    enough = LOOKED_AT // CHUNK * CHUNK or CHUNK

    def take(part: Paths) -> Callable[[], None]:
        found = _Part(part, asked)

        def passed() -> None:
            sums.add(found)
            if sums.count == min(enough, plan.count):
                looked.append(sums.mean_and_error())

        return passed

    steps, interrupted = _run(plan, plan.step, plan.count, take, progress)
    if interrupted and sums.count == 0:
        raise KeyboardInterrupt
    if sums.arrived == 0:
        allowed = f"long enough for an arrival: none of {sums.count} paths had arrived"
        raise DomainError("horizon", options.get("horizon"), allowed)
    told: dict[str, Any] = {
        **plan.told(), "paths": sums.count, "steps": steps, "interrupted": interrupted,
        "bias": None, "bias_stderr": None,
    }  # fmt: skip
    done = sums.result(told, plan.places.interval)
    coarser = None if ignored or plan.count < ENOUGH or not looked else plan.coarser()
    if coarser is not None:
        assert plan.step is not None
        again = partial(moments, plan, min(enough, plan.count))
        found = bias_by_coarsening(looked[0], plan.step, *coarser, again)
        if found is not None:
            told["bias"], told["bias_stderr"] = found
            warn_of_bias(*found, done.restricted_stderr, plan.step)
    told["seconds"] = time.perf_counter() - began
    return done


def moments(plan: Plan, count: int, step: float) -> tuple[float, float]:
    """Mean time of the first paths of a plan, with another step, and its standard error."""
    sums = _Sums(np.empty(0))
    _run(plan, step, count, lambda part: partial(sums.add, _Part(part, sums.rates)))
    return sums.mean_and_error()


def _run(
    plan: Plan, step: float | None, count: int, take: Take, progress: Progress | None = None
) -> tuple[int, bool]:
    """Show the first paths of a plan to ``take`` in chunks; steps, and whether Ctrl-C came."""
    if not plan.on_device:
        return driver.stream(
            plan.task(step), take, first=plan.first, count=count, chunk=CHUNK,
            threads=plan.threads, budget=plan.budget, progress=progress,
        )  # fmt: skip
    steps = 0
    most = max(ON_DEVICE // CHUNK, 1) * CHUNK
    for begin in range(0, count, most):
        told = None if progress is None else _moved(progress, begin, count)
        paths, interrupted = plan.run(step, plan.first + begin, min(most, count - begin), told)
        if interrupted:
            return steps, True
        steps += paths.steps
        for at in range(0, len(paths.times), CHUNK):
            part = slice(at, at + CHUNK)
            take(replace(paths, times=paths.times[part], outcomes=paths.outcomes[part],
                         resets=paths.resets[part], sides=paths.sides[part]))()  # fmt: skip
    return steps, False


def _moved(progress: Progress, offset: int, total: int) -> Progress:
    def told(done: int, _: int) -> object:
        return progress(offset + done, total)

    return told


class _Part:
    """Counts, means and squared deviations of one chunk."""

    def __init__(self, paths: Paths, rates: Array) -> None:
        times, there = paths.times, paths.outcomes == ARRIVED
        self.count = times.size
        self.mean, self.square = np.empty(1 + rates.size), np.empty(1 + rates.size)
        for row in range(self.mean.size):
            x = times if row == 0 else np.exp(-rates[row - 1] * times) * there
            self.mean[row] = x.mean()
            gap = x - self.mean[row]
            self.square[row] = np.square(gap).sum()
        self.arrived = int(np.count_nonzero(there))
        self.resets = int(paths.resets.sum(dtype=np.int64))
        self.sides = tuple(int(np.count_nonzero(paths.sides == side)) for side in (-1, 1))
        bins = _bins(times if self.arrived == self.count else times[there])
        self.low = int(bins.min()) if bins.size else 0
        self.bins = np.bincount(bins - self.low)


class _Sums:
    """Counts, means and squared deviations of all chunks so far."""

    def __init__(self, rates: Array) -> None:
        self.rates = rates
        self.count = self.arrived = self.resets = 0
        self.sides = [0, 0]
        self.mean, self.square = np.zeros(1 + rates.size), np.zeros(1 + rates.size)
        self.bins = np.zeros(BINS, np.int64)

    def add(self, part: _Part) -> None:
        """One chunk more."""
        total = self.count + part.count
        gap = part.mean - self.mean
        self.mean += gap * (part.count / total)
        self.square += part.square + gap**2 * (self.count * part.count / total)
        self.count = total
        self.arrived += part.arrived
        self.resets += part.resets
        self.bins[part.low : part.low + part.bins.size] += part.bins
        for place, many in enumerate(part.sides):
            self.sides[place] += many

    def errors(self) -> Array:
        """Standard errors of the means."""
        return np.sqrt(self.square / max(self.count - 1, 1) / self.count)

    def mean_and_error(self) -> tuple[float, float]:
        """Of the time."""
        return float(self.mean[0]), float(self.errors()[0])

    def result(self, info: Mapping[str, Any], sided: bool) -> Streamed:
        """Means with their errors."""
        errors = self.errors()
        low, high = self.sides if sided else (0, 0)
        return Streamed(
            self.count, self.arrived, float(self.mean[0]), float(errors[0]),
            self.resets / self.count, (low, high), self.rates, self.mean[1:], errors[1:],
            self.bins, info,
        )  # fmt: skip


def _bins(times: Array) -> npt.NDArray[np.int64]:
    """Numbers of the bins of times, which are exponent and first digits."""
    return (np.ascontiguousarray(times).view(np.int64) >> (52 - DIGITS)).astype(np.int64)


def _edge(number: int) -> float:
    """Time at which a bin begins."""
    return float(np.array([number << (52 - DIGITS)]).view(np.float64)[0])
