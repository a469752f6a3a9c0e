"""``simulate_streaming``: any number of paths in bounded memory, by sums instead of an array."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import CensoredMean, DomainError
from resetsgd.montecarlo.api import Simulated, simulate
from resetsgd.montecarlo.driver import Progress
from resetsgd.montecarlo.halving import warn_of_bias
from resetsgd.processes import Process
from resetsgd.protocols import Protocol

__all__ = ["Streamed", "simulate_streaming"]

CHUNK = 2**18
"""Paths at a time: fixed, for sums are added in the order of the chunks."""

LOOKED_AT = 4
"""Chunks of which the bias of the time step is estimated."""

PER_OCTAVE = 64
"""Bins of the histogram for each doubling of the time: 1.1 % wide."""

OCTAVES = 1074
"""Below one: down to the smallest float64."""

BINS = PER_OCTAVE * (OCTAVES + 1024)


@dataclass(frozen=True)
class Streamed:
    """What is known of passage times that were counted and summed, not kept.

    It has the mean, its standard error, quantiles and survival to the width of a bin (1.1 %) and
    the Laplace transform at the rates that were asked for. It has no single times: no resampling,
    no survival between bins, no other protocols. For these use :func:`~resetsgd.simulate`.

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
        Arrivals in bins of the time, 64 for each doubling, from 2^-1074.
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
        """Middle (in the logarithm) of the bin by which a share q has arrived, to 0.6 %.

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
        return float(_edge(place + 0.5)) if place < BINS else math.inf

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
        Called as ``progress(done, paths)``.
    **options
        Others of :func:`~resetsgd.simulate`, but not ``bias="halving"``.

    Returns
    -------
    Streamed
        After Ctrl-C: of the chunks of 262,144 paths that were complete.

    Raises
    ------
    DomainError, NotConverged
        As :func:`~resetsgd.simulate`; an arrival is needed in each chunk of 262,144 paths.

    Notes
    -----
    Paths are those of :func:`~resetsgd.simulate` with the same seed. Chunks are added in their
    order, by the update of mean and squared deviations, so that the result is the same bit for bit
    for any number of threads. A thread needs less than 32 kB, the chunk under way some 20 MB.

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
    whole = paths if isinstance(paths, range) else range(domain.integer("paths", paths, 1, 2**40))
    sums = _Sums(asked)
    first: Mapping[str, Any] = {}
    shifts: list[tuple[float, float]] = []
    seconds, interrupted = 0.0, False
    for number, begin in enumerate(range(whole.start, whole.stop, CHUNK) or [0]):
        part = range(begin, min(begin + CHUNK, whole.stop)) if len(whole) else whole
        offset = begin - whole.start
        S = simulate(
            process, start, target, protocol, paths=part,
            bias="ignored" if ignored or number >= LOOKED_AT else None,
            budget=max(1, budget - sums.steps),
            progress=None if progress is None else _moved(progress, offset, len(whole)),
            **options,
        )  # fmt: skip
        if S.info["interrupted"]:
            interrupted = True
            break
        sums.add(S)
        first = first or S.info
        seconds += S.info["seconds"]
        if S.info["bias"] is not None:
            shifts.append((S.info["bias"], S.info["bias_stderr"]))
    if not first:
        raise KeyboardInterrupt
    told = {**first, "paths": sums.count, "steps": sums.steps, "seconds": seconds,
            "interrupted": interrupted, "bias": None, "bias_stderr": None}  # fmt: skip
    done = sums.result(told)
    if shifts:
        bias = float(np.mean([shift for shift, _ in shifts]))
        known = math.sqrt(sum(error**2 for _, error in shifts)) / len(shifts)
        told["bias"], told["bias_stderr"] = bias, known
        warn_of_bias(bias, known, done.restricted_stderr, told["step"])
    return done


class _Sums:
    """Counts, means and squared deviations of all chunks so far."""

    def __init__(self, rates: Array) -> None:
        self.rates = rates
        self.count = self.arrived = self.steps = self.resets = 0
        self.sides = [0, 0]
        self.mean, self.square = np.zeros(1 + rates.size), np.zeros(1 + rates.size)
        self.bins = np.zeros(BINS, np.int64)

    def add(self, S: Simulated) -> None:
        """One chunk more."""
        n, there = S.times.size, ~S.censored
        means, squares = np.empty(self.mean.size), np.empty(self.mean.size)
        for row in range(means.size):
            x = S.times if row == 0 else np.exp(-self.rates[row - 1] * S.times) * there
            means[row] = x.mean()
            squares[row] = np.square(x - means[row]).sum()
        total = self.count + n
        gap = means - self.mean
        self.mean += gap * (n / total)
        self.square += squares + gap**2 * (self.count * n / total)
        self.count = total
        self.arrived += int(np.count_nonzero(there))
        self.resets += int(S.resets.sum())
        self.steps += S.info["steps"]
        self.bins += np.bincount(_bins(S.times[there]), minlength=BINS)
        if S.exit_side is not None:
            for place, side in enumerate((-1, 1)):
                self.sides[place] += int(np.count_nonzero(S.exit_side == side))

    def result(self, info: Mapping[str, Any]) -> Streamed:
        """Means with their errors."""
        n = self.count
        errors = np.sqrt(self.square / max(n - 1, 1) / n)
        return Streamed(
            n, self.arrived, float(self.mean[0]), float(errors[0]), self.resets / n,
            (self.sides[0], self.sides[1]), self.rates, self.mean[1:], errors[1:], self.bins, info,
        )  # fmt: skip


def _bins(times: Array) -> npt.NDArray[np.int64]:
    """Numbers of the bins of times; zero goes to the first."""
    at = np.floor((np.log2(np.maximum(times, 5e-324)) + OCTAVES) * PER_OCTAVE)
    return np.asarray(np.clip(at, 0, BINS - 1), dtype=np.int64)


def _edge(number: float) -> float:
    """Time at which a bin begins."""
    return math.exp2(number / PER_OCTAVE - OCTAVES)


def _moved(progress: Progress, offset: int, total: int) -> Progress:
    def told(done: int, _: int) -> object:
        return progress(offset + done, total)

    return told
