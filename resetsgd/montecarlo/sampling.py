"""Positions: where paths were on their way, and where they are in the long run under resetting."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Array, RealLike
from resetsgd.errors import DomainError
from resetsgd.montecarlo import driver
from resetsgd.montecarlo.clock import clock_of
from resetsgd.montecarlo.kernels.outcomes import ARRIVED
from resetsgd.montecarlo.kernels.space_state import LOOK_AT_STEPS, LOOK_AT_TIMES, Looks
from resetsgd.montecarlo.motions.langevin import InSpace, Written, in_space
from resetsgd.montecarlo.plan import path_numbers, processors
from resetsgd.montecarlo.recording import MOST_NUMBERS, Trajectories, components
from resetsgd.montecarlo.space import points
from resetsgd.montecarlo.streams import seed_of
from resetsgd.montecarlo.targets import Target
from resetsgd.processes import DriftDiffusion, Landscape, OrnsteinUhlenbeck, Process
from resetsgd.processes.langevin import Langevin
from resetsgd.protocols import Protocol

__all__ = ["StationarySample", "Trajectories", "sample_stationary", "trajectories"]


def trajectories(
    process: Langevin,
    start: Any,
    target: Target | None,
    protocol: Protocol | None = None,
    *,
    paths: int | range,
    every: int = 1,
    records: int = 1000,
    coordinates: Any = None,
    reset_to: Any = None,
    reset_weights: Any = None,
    horizon: float | None = None,
    step: float | None = None,
    seed: int = 0,
    scheme: str | None = None,
    precision: str = "double",
    threads: int | None = None,
    budget: int = 10**10,
) -> Trajectories:
    """Record positions of chosen paths of a simulation.

    Path k is, to the last bit, path k of :func:`resetsgd.simulate` with the same arguments:
    recording it changes nothing. For other processes, and at given times instead of steps, give
    ``record=`` to ``simulate``.

    Parameters
    ----------
    process, start, target, protocol
        As in :func:`resetsgd.simulate`; without a target a horizon is needed.
    paths : int or range
        Which paths; a range such as ``range(7, 8)`` chooses.
    every : int, default 1
        Record the position after each so many steps of a path (a reset cuts a step in two).
    records : int, default 1000
        At most so many records a path; later ones replace the last.
    coordinates : sequence of int, optional
        Which components; all by default.
    reset_to, reset_weights, horizon, step, seed, scheme, precision, threads, budget
        As in :func:`resetsgd.simulate`.

    Returns
    -------
    Trajectories

    Raises
    ------
    DomainError
        As :func:`resetsgd.simulate`, or if more than 2**28 numbers were to be kept.

    Examples
    --------
    >>> import resetsgd as rs
    >>> well = rs.landscapes.double_well(barrier=1.0).langevin(diffusivity=0.5)
    >>> seen = trajectories(well, [-1.0], rs.targets.point(1.0), paths=2, every=10)
    >>> seen.positions.shape, bool(seen.arrived.all())
    ((2, 1000, 1), True)
    """
    single = domain.choice("precision", precision, ("double", "single")) == "single"
    _langevin_only(process)
    places = in_space(process, start, target, reset_to, reset_weights, single=single)
    if target is None and horizon is None:
        raise DomainError("horizon", horizon, "a positive time: there is no target")
    first, count = path_numbers(paths)
    which = components(coordinates, process.dimension)
    most = domain.integer("records", records, 1)
    _check_size(count * most * (1 + len(which)))
    looks = Looks(
        LOOK_AT_STEPS, 0.0, float(domain.integer("every", every, 1)), 0.0, most, which,
        np.zeros(len(which)), np.ones(len(which)),
    )  # fmt: skip
    motion = InSpace(process, places, looks, 0, count)
    chosen = motion.schemes[0]
    if scheme is not None:
        chosen = domain.choice("scheme", scheme, motion.schemes)
    limit = math.inf if horizon is None else domain.single("horizon", horizon, domain.positive)
    clock = clock_of(protocol)
    given = None if step is None else domain.single("step", step, domain.positive)
    length = motion.step(chosen, given, clock, limit)
    task = motion.task(chosen, length, clock, limit, seed_of(seed))
    written: Written = task.keep
    done, _ = driver.run(
        task, first=first, count=count, threads=_workers(threads),
        budget=domain.integer("budget", budget, 1),
    )  # fmt: skip
    looked = written.looked
    return Trajectories(
        looked[:, :, 0], looked[:, :, 1:], done.times, done.outcomes == ARRIVED,
        range(first, first + count),
    )  # fmt: skip


@dataclass(frozen=True)
class StationarySample:
    """Positions at random late times; made by :func:`sample_stationary`.

    Attributes
    ----------
    positions : ndarray, shape (paths, samples, coordinates), or None
        None where only histograms were kept.
    counts : ndarray of int64, shape (coordinates, bins + 2), or None
        How many positions fell below the histogram, into each bin, above.
    edges : ndarray, shape (coordinates, bins + 1), or None
    step : float
        The time step.
    """

    positions: Array | None
    counts: npt.NDArray[np.int64] | None
    edges: Array | None
    step: float

    def mean(self) -> Array:
        """Mean of each coordinate, shape (coordinates,).

        Raises
        ------
        DomainError
            If the positions were not kept.
        """
        return np.asarray(self._kept().mean(axis=(0, 1)))

    def var(self) -> Array:
        """Variance of each coordinate, shape (coordinates,)."""
        kept = self._kept()
        return np.asarray(kept.reshape(-1, kept.shape[2]).var(axis=0))

    def covariance(self) -> Array:
        """Covariance matrix of the coordinates."""
        kept = self._kept()
        return np.atleast_2d(np.cov(kept.reshape(-1, kept.shape[2]).T, bias=True))

    def stderr(self, values: Any = None) -> Any:
        """Standard error of the mean of an observable, from the differences between paths.

        Parameters
        ----------
        values : ndarray, shape (paths, samples, ...), optional
            The observable at the positions; the positions themselves by default.
        """
        given = self._kept() if values is None else np.asarray(values)
        if len(given) < 2:
            raise DomainError("paths", len(given), "at least 2 for a standard error")
        return given.mean(axis=1).std(axis=0, ddof=1) / math.sqrt(len(given))

    def density(self) -> tuple[Array, Array]:
        """Edges and densities, shapes (coordinates, bins + 1) and (coordinates, bins).

        Raises
        ------
        DomainError
            If no histogram was made.
        """
        if self.counts is None or self.edges is None:
            raise DomainError("bins", 0, "at least 1 when the sample is made")
        total = self.counts.sum(axis=1, keepdims=True)
        return self.edges, self.counts[:, 1:-1] / (total * np.diff(self.edges, axis=1))

    def _kept(self) -> Array:
        if self.positions is None:
            raise DomainError("keep", False, "True: the positions were not kept")
        return self.positions


def sample_stationary(
    process: Process,
    protocol: Protocol | None,
    reset_to: Any,
    *,
    after: float,
    every: float | None = None,
    samples: int = 1,
    paths: int | range = 1000,
    start: Any = None,
    coordinates: Any = None,
    bins: int = 0,
    bounds: Any = None,
    keep: bool = True,
    partial: float | None = None,
    reset_weights: Any = None,
    step: float | None = None,
    seed: int = 0,
    scheme: str | None = None,
    precision: str = "double",
    threads: int | None = None,
    budget: int = 10**10,
) -> StationarySample:
    """Positions of paths at random late times, under resetting or without.

    Each path runs for the time ``after`` plus a uniformly random share of ``every``, is looked at,
    and then again each ``every``, at exactly these times. The random share makes the first look
    fair to protocols that repeat themselves (``every`` a multiple of their period).

    Parameters
    ----------
    process : Langevin, DriftDiffusion, OrnsteinUhlenbeck or Landscape
        A landscape on the whole line.
    protocol : Protocol or None
    reset_to : array of shape (d,) or (n, d)
        Where resets lead; several places are drawn from with ``reset_weights``.
    after : float
        Time to forget the start, positive.
    every : float, optional
        Time between looks; default ``after``.
    samples : int, default 1
        Looks at each path.
    paths : int or range
    start : array, optional
        Where paths begin; default ``reset_to``.
    coordinates : sequence of int, optional
        Which components are looked at; all by default.
    bins : int, default 0
        Cells of a histogram of each coordinate, accumulated while it runs; needs ``bounds``.
    bounds : array of shape (2,) or (coordinates, 2), optional
        Ends of the histograms.
    keep : bool, default True
        Keep the positions; without them memory does not grow with the number of paths times
        samples.
    partial : float, optional
        Partial resets, as in :func:`resetsgd.stationary`: each leads from x to
        reset_to + partial (x - reset_to). In [0, 1).
    reset_weights, step, seed, scheme, precision, threads, budget
        As in :func:`resetsgd.simulate`.

    Returns
    -------
    StationarySample

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Notes
    -----
    Looks at one path are correlated: ``stderr`` takes its error from the differences between paths.
    The discretisation error of the stationary law is of the order of the square of the step with
    the scheme "heun", of the step otherwise; there is none for constant drift and diffusivity.

    Examples
    --------
    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
    >>> seen = sample_stationary(walk, rs.Poisson(2.0), 1.0, after=10.0, paths=20_000)
    >>> exact = rs.stationary(walk, rs.Poisson(2.0), reset_to=1.0)
    >>> bool(abs(seen.mean()[0] - exact.mean()) < 5 * seen.stderr()[0])
    True
    """
    moving = _as_langevin(process)
    single = domain.choice("precision", precision, ("double", "single")) == "single"
    points("reset_to", reset_to, moving.dimension)
    begin = reset_to if start is None else start
    places = in_space(moving, begin, None, reset_to, reset_weights, single=single)
    late = domain.single("after", after, domain.positive)
    gap = late if every is None else domain.single("every", every, domain.positive)
    count_looks = domain.integer("samples", samples, 1)
    first, count = path_numbers(paths)
    which = components(coordinates, moving.dimension)
    cells = domain.integer("bins", bins, 0, 2**20)
    low, width, edges = _cells(cells, bounds, len(which))
    if not keep and not cells:
        raise DomainError("bins", bins, "at least 1 where positions are not kept")
    rows = count if keep else 0
    _check_size(rows * count_looks * (1 + len(which)))
    looks = Looks(LOOK_AT_TIMES, late, gap, gap, count_looks, which, low, width)
    motion = InSpace(moving, places, looks, cells, rows)
    chosen = motion.schemes[0]
    if scheme is not None:
        chosen = domain.choice("scheme", scheme, motion.schemes)
    clock = clock_of(protocol)
    if clock.partial is not None and partial is None:  # there is no other place to go to
        clock, partial = replace(clock, partial=None), clock.partial
    clock = clock.keeping(partial)
    given = None if step is None else domain.single("step", step, domain.positive)
    length = motion.step(chosen, given, clock, math.inf)
    task = motion.task(chosen, length, clock, math.inf, seed_of(seed))
    written: Written = task.keep
    driver.run(
        task, first=first, count=count, threads=_workers(threads),
        budget=domain.integer("budget", budget, 1),
    )  # fmt: skip
    counts = np.sum([state.counts for state in written.states], axis=0) if cells else None
    positions = written.looked[:, :, 1:] if keep else None
    return StationarySample(positions, counts, edges, length)


def _as_langevin(process: Process) -> Langevin:
    """One-dimensional processes as what the kernel moves."""
    if isinstance(process, Langevin):
        return process
    if isinstance(process, DriftDiffusion):
        drift = domain.single("drift", process.drift)
        constant = Langevin(drift=lambda x: (drift,))
        return replace(constant, diffusivity=domain.single("diffusivity", process.diffusivity))
    if isinstance(process, OrnsteinUhlenbeck):
        stiffness, center = (
            domain.single("stiffness", process.stiffness),
            domain.single("center", process.center),
        )
        D = domain.single("diffusivity", process.diffusivity)
        return Langevin(drift=lambda x: (-stiffness * (x[0] - center),), diffusivity=D)
    if isinstance(process, Landscape):
        whole = process.domain == (-math.inf, math.inf) and process.rate is None
        if not whole or (callable(process.diffusivity) and process.alpha != 0.0):
            allowed = "on the whole line, without a rate, with noise in the sense of Ito"
            raise DomainError("process", process, allowed)
        inner: Any = process.diffusivity
        spread: Any = (lambda x: inner(x[0])) if callable(inner) else inner
        function = process.drift or process.potential
        assert function is not None
        if process.drift is not None:
            return Langevin(drift=lambda x: (function(x[0]),), diffusivity=spread)
        return Langevin(potential=lambda x: function(x[0]), diffusivity=spread)
    known = "a Langevin, DriftDiffusion, OrnsteinUhlenbeck or Landscape process"
    raise DomainError("process", process, known)


def _langevin_only(process: Any) -> None:
    if not isinstance(process, Langevin):
        raise DomainError("process", process, "a Langevin process")


def _cells(bins: int, bounds: Any, count: int) -> tuple[Array, Array, Array | None]:
    """Left ends and widths of the histograms' cells, and their edges."""
    if not bins:
        return np.zeros(count), np.ones(count), None
    if bounds is None:
        raise DomainError("bounds", bounds, "the ends of the histograms")
    ends = np.asarray(domain.finite("bounds", bounds))
    if ends.shape not in ((2,), (count, 2)) or not (ends[..., 0] < ends[..., 1]).all():
        raise DomainError("bounds", bounds, f"(low, high), or {count} of them, rising")
    ends = np.broadcast_to(ends, (count, 2))
    edges = np.linspace(ends[:, 0], ends[:, 1], bins + 1, axis=1)
    return np.array(ends[:, 0]), (ends[:, 1] - ends[:, 0]) / bins, edges


def _check_size(numbers: int) -> None:
    if numbers > MOST_NUMBERS:
        raise DomainError("paths", numbers, f"so few that at most {MOST_NUMBERS} numbers are kept")


def _workers(threads: RealLike | None) -> int:
    return processors() if threads is None else domain.integer("threads", threads, 1, 1024)
