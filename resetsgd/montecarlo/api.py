"""``simulate``: passage times under resetting, path by path."""

from __future__ import annotations

import math
import os
import time
from typing import Any

from resetsgd import domain
from resetsgd.domain import RealLike
from resetsgd.errors import DomainError
from resetsgd.montecarlo import driver
from resetsgd.montecarlo.driver import Progress
from resetsgd.montecarlo.kernels.drift_diffusion import CENSORED
from resetsgd.montecarlo.result import Simulated
from resetsgd.montecarlo.streams import STREAM_VERSION, split_seed
from resetsgd.montecarlo.table import PROCESSES, clock_of
from resetsgd.processes import Process
from resetsgd.protocols import Protocol

__all__ = ["Simulated", "simulate"]

MOST_PATHS = 2**40
"""Bound of the number of paths and of their numbers: far beyond any memory, safe in every sum."""


def simulate(
    process: Process,
    start: float,
    target: float,
    protocol: Protocol | None = None,
    *,
    paths: int | range,
    reset_to: float | None = None,
    horizon: float | None = None,
    step: float | None = None,
    seed: int = 0,
    scheme: str | None = None,
    threads: int | None = None,
    chunk: int | None = None,
    budget: int = 10**10,
    progress: Progress | None = None,
) -> Simulated:
    r"""Simulate first-passage times of a process under a reset protocol.

    Parameters
    ----------
    process : Process
        What moves; its parameters must be single numbers.
    start, target : float
        Positions, length; different from each other.
    protocol : Protocol, optional
        When it resets; left out, never. Reset times are exact real numbers, not rounded to steps.
    paths : int or range
        How many paths, at least 1; or a range of path numbers, such as ``range(500, 1000)``, to
        make just that part of a larger simulation.
    reset_to : float, optional
        Where a reset puts the path: a position on the start's side of the target. Default: start.
    horizon : float, optional
        Positive time at which paths that have not arrived are given up (*censored*). Needed where
        the mean passage time is infinite.
    step : float, optional
        Longest time step. The default is given below.
    seed : int
        From 0 to 2**64 - 1.
    scheme : {"bridge", "exact", "euler"}, optional
        Given below; default "bridge".
    threads : int, optional
        At least 1; default: as many as there are processors for this process.
    chunk : int, optional
        Paths that a thread takes at a time. Like ``threads``, it does not change the result.
    budget : int
        Bound of the number of steps of all paths together.
    progress : callable, optional
        Called now and then as ``progress(done, paths)`` in the calling thread.

    Returns
    -------
    Simulated
        Passage times in the order of the paths, which were censored, their resets, and how all
        this was made.

    Raises
    ------
    DomainError
        If an argument is outside its range, or a horizon is needed and missing, or no path at all
        arrived before it.
    NotConverged
        If the budget is spent before all paths have arrived.

    Notes
    -----
    Schemes for :class:`~resetsgd.processes.DriftDiffusion`, L being the distance to the target, v
    the velocity toward it and D the diffusivity:

    ``"bridge"``
        Euler steps. Whether a step met the target is decided by the exact crossing probability of
        the Brownian bridge between its ends, and when, by a draw from the exact law of that time.
        With constant drift this has no discretisation error at any step, so the default step is
        the longest that makes sense: the horizon if there is one, else 64 times the longest among
        L²/D, L/v (drift toward the target) and the mean time between resets; steps end at resets
        anyway.
    ``"exact"``
        No steps: each stretch between resets takes one draw of the reset-free passage time
        (inverse Gaussian). An independent check of the first, and a little faster.
    ``"euler"``
        Plain Euler steps, where a path arrives at the end of the first step that ends on or beyond
        the target. **Biased**: for L = D = 1, v = 0 and rate 2.5 the mean is 17 % too long at a
        step of 0.01. A negative control, and what most programs do. Default step: a hundredth of
        the shortest of L²/D and L/abs(v).

    **Reproducibility**: the result is a function of the arguments other than ``threads``,
    ``chunk``, ``budget`` and ``progress``, bit for bit, and path k has the same result in every
    simulation that contains it; see :mod:`resetsgd.montecarlo.streams`.

    **Accuracy**: ``"bridge"`` and ``"exact"`` sample the exact law up to rounding and the
    resolution of 52-bit uniforms; ``tests/montecarlo`` states what a test with 10⁶ paths would have
    detected.

    **Source**: the crossing probability of a Brownian bridge is classical (A. N. Borodin, P.
    Salminen, Handbook of Brownian Motion, 2002, 1.2.0.8 after conditioning); reset protocols as in
    A. Pal, S. Reuveni, PRL 118, 030603 (2017).

    Examples
    --------
    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
    >>> S = simulate(walk, start=1.0, target=0.0, protocol=rs.Poisson(rate=1.0), paths=10_000)
    >>> abs(S.mean() - 1.18317) < 4 * S.stderr()
    True
    """
    began = time.perf_counter()
    row = PROCESSES.get(type(process))
    if row is None:
        known = ", ".join(kind.__name__ for kind in PROCESSES)
        raise DomainError("process", process, f"one of {known}")
    begin, end = _number("start", start), _number("target", target)
    if begin == end:
        raise DomainError("start", start, f"different from the target {end:g}")
    back = begin if reset_to is None else _number("reset_to", reset_to)
    if not min(begin, back) > end and not max(begin, back) < end:
        raise DomainError(
            "reset_to", reset_to, f"on the same side of the target {end:g} as the start {begin:g}"
        )
    motion = row(process, begin, end, back)
    clock = clock_of(protocol)
    chosen = motion.schemes[0]
    if scheme is not None:
        chosen = domain.choice("scheme", scheme, motion.schemes)
    limit = math.inf if horizon is None else _positive("horizon", horizon)
    if math.isinf(limit) and math.isinf(clock.mean) and not motion.arrives:
        raise DomainError(
            "horizon", horizon, "a positive time: without resets the mean passage time is infinite"
        )
    length = motion.step(chosen, None if step is None else _positive("step", step), clock, limit)
    first, count = _paths(paths)
    workers = _processors() if threads is None else domain.integer("threads", threads, 1, 1024)
    if chunk is None:
        run_length = max(1, min(16384, -(-count // (4 * workers))))
    else:
        run_length = domain.integer("chunk", chunk, 1)
    done = driver.run(
        motion.advance(chosen, length, clock, limit, split_seed(seed)),
        first=first,
        count=count,
        threads=workers,
        chunk=run_length,
        budget=domain.integer("budget", budget, 1),
        progress=progress,
    )
    censored = done.outcomes == CENSORED
    if censored.all():
        raise DomainError(
            "horizon", horizon, f"long enough for an arrival: none of {count} paths had arrived"
        )
    info: dict[str, Any] = {
        "process": repr(process),
        "protocol": repr(protocol),
        "start": begin,
        "target": end,
        "reset_to": back,
        "scheme": chosen,
        "step": length,
        "steps": done.steps,
        "first": first,
        "paths": count,
        "horizon": None if math.isinf(limit) else limit,
        "seed": int(seed),
        "stream_version": STREAM_VERSION,
        "threads": workers,
        "seconds": time.perf_counter() - began,
    }
    return Simulated(done.times, censored, done.resets, info)


def _number(name: str, value: RealLike) -> float:
    number = domain.finite(name, value)
    if not isinstance(number, float):
        raise DomainError(name, value, "a single number")
    return number


def _positive(name: str, value: RealLike) -> float:
    number = domain.positive(name, value)
    if not isinstance(number, float):
        raise DomainError(name, value, "a single number")
    return number


def _paths(paths: int | range) -> tuple[int, int]:
    """First path number and how many."""
    if not isinstance(paths, range):
        return 0, domain.integer("paths", paths, 1, MOST_PATHS)
    if paths.step != 1 or len(paths) == 0 or paths.start < 0 or paths.stop > MOST_PATHS:
        raise DomainError("paths", paths, f"a nonempty range of step 1 within 0 ... {MOST_PATHS}")
    return paths.start, len(paths)


def _processors() -> int:
    """Processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
