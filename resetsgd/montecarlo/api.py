"""``simulate``: passage times under resetting, path by path."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.montecarlo import driver
from resetsgd.montecarlo.clock import NEVER, clock_of
from resetsgd.montecarlo.driver import Progress
from resetsgd.montecarlo.halving import (
    ENOUGH,
    bias_by_coarsening,
    bias_by_halving,
    warn_of_bias,
)
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, CENSORED, RUNNING
from resetsgd.montecarlo.motions.langevin import SpacePlaces, in_space
from resetsgd.montecarlo.motions.line import Diffusion
from resetsgd.montecarlo.motions.places import Places, places_of
from resetsgd.montecarlo.result import Simulated
from resetsgd.montecarlo.streams import STREAM_VERSION, seed_of
from resetsgd.montecarlo.table import motion_of
from resetsgd.montecarlo.tasks import Motion, Paths
from resetsgd.processes import ColouredNoise, Landscape, Process, StableNoise
from resetsgd.processes.langevin import Langevin
from resetsgd.protocols import Poisson, Protocol

__all__ = ["Simulated", "simulate"]

MOST_PATHS = 2**40
"""Bound of the number of paths and of their numbers: far beyond any memory, safe in every sum."""


def simulate(
    process: Process,
    start: Any,
    target: Any,
    protocol: Protocol | None = None,
    *,
    paths: int | range,
    reset_to: Any = None,
    reset_weights: Any = None,
    wall: float | None = None,
    horizon: float | None = None,
    step: float | None = None,
    seed: int = 0,
    scheme: str | None = None,
    bias: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    budget: int = 10**11,
    progress: Progress | None = None,
) -> Simulated:
    r"""Simulate first-passage times of a process under a reset protocol.

    Parameters
    ----------
    process : Process
        What moves; its parameters must be single numbers. Functions of a
        :class:`~resetsgd.Landscape` are plain Python functions of one number; numba compiles them.
    start : float or array
        Position, length; for a :class:`~resetsgd.Langevin` process of shape (d,), or (n, d) for a
        cloud of which each path takes one.
    target : float, tuple of two or Target
        A position, or the two ends ``(low, high)`` of an interval around the start; for a
        :class:`~resetsgd.Langevin` process one of ``rs.targets``.
    protocol : Protocol, optional
        When it resets; left out, never. Reset times are exact real numbers, not rounded to steps.
    paths : int or range
        How many paths, at least 1; or a range of path numbers, such as ``range(500, 1000)``, to
        make just that part of a larger simulation.
    reset_to : float or sequence, optional
        Where a reset puts the path: a position on the start's side of the target, or several, one
        of which is drawn anew at each reset. Default: start.
    reset_weights : sequence, optional
        Weights of several positions. Default: all equal.
    wall : float, optional
        A reflecting wall on the other side of the start than the target.
    horizon : float, optional
        Positive time at which paths that have not arrived are given up (*censored*). Needed where
        the mean passage time is infinite.
    step : float, optional
        Longest time step. The default is given below.
    seed : int
        From 0 to 2**64 - 1.
    scheme : {"bridge", "exact", "heun", "euler"}, optional
        Given below; the default is the first that the process has.
    bias : {"halving", "ignored"}, optional
        What to do about the error that the time step makes: "halving" simulates once more with
        half the step and the same number of paths, to give the result a ``bias_bound``. Left out
        it is estimated where it could matter, see the notes; "ignored" saves the time for this.
    precision : {"double", "single"}, optional
        How the positions of a :class:`~resetsgd.Langevin` process are kept; "single" takes two
        thirds of the time.
    threads : int, optional
        At least 1; default: as many as there are processors for this process.
    budget : int
        Bound of the number of steps of all paths together.
    progress : callable, optional
        Called now and then as ``progress(done, paths)`` in the calling thread.

    Returns
    -------
    Simulated
        Passage times in the order of the paths, which were censored, their resets, at which end
        they arrived, and how all this was made. After Ctrl-C: the paths that were begun, those
        under way censored.

    Raises
    ------
    DomainError
        If an argument is outside its range, a function cannot be compiled or gives something that
        is not finite (the message says for which path, at which time and place), a horizon is
        needed and missing, or no path at all arrived before it.
    NotConverged
        If the budget is spent before all paths have arrived.

    Warns
    -----
    ResetSGDWarning
        If the default step shifts the mean by more than a quarter of its standard error.

    Notes
    -----
    Schemes, L being the distance to the target, v the velocity toward it and D the diffusivity:

    ``"bridge"``
        Euler steps. Whether a step met the target is decided by the crossing probability of the
        Brownian bridge between its ends, and when, by a draw from the law of that time. With
        constant drift and a point as target this has no discretisation error at any step, so the
        default step is then the longest that makes sense: the horizon if there is one, else 64
        times the longest among L²/D, L/v (drift toward the target) and the mean time between
        resets; steps end at resets anyway.
    ``"heun"``
        The same with the drift averaged over both ends of the step: weak order two. Default for
        drifts that depend on the position. Default step: 0.03 over the rms slope of the drift where
        paths spend their time, at most 0.018 over the mean slope there, L²/50 D, a quarter of the
        mean time between resets and a hundredth of 1/r(x). Noise that depends on the position is
        made constant first, by the coordinate (:mod:`resetsgd.montecarlo.lamperti`); plain Euler
        steps are then as good as Milstein's.
    ``"exact"``
        For :class:`~resetsgd.DriftDiffusion` to a point. No steps: each stretch between resets
        takes one draw of the reset-free passage time (inverse Gaussian).
    ``"euler"``
        Plain Euler steps, where a path arrives at the end of the first step that ends on or beyond
        the target. **Biased**: for L = D = 1, v = 0 and rate 2.5 the mean is 17 % too long at a
        step of 0.01. A negative control, and what most programs do. Default step: a hundredth of
        the shortest of L²/D and L/abs(v).

    An interval is left within one step through either end with the sum of both probabilities; the
    default step keeps the chance that both ends matter below 1e-6.

    **Bias of the default step**: where the drift depends on the position, from 10^5 paths on, in
    one dimension, the simulation is repeated with eight times the step (an eighth of the work). The
    difference of the means over 8² - 1, for weak order two, is the expected bias, ``info["bias"]``
    (its standard error is ``info["bias_stderr"]``). A drift with kinks has a lower order, and then
    a larger bias than that.

    **Reproducibility**: the result is a function of the arguments other than ``threads``,
    ``budget`` and ``progress``, bit for bit, and path k has the same result in every simulation
    that contains it; see :mod:`resetsgd.montecarlo.streams`.

    **Accuracy**: for constant drift to a point ``"bridge"`` and ``"exact"`` sample the exact law up
    to rounding and the resolution of 52-bit uniforms. Elsewhere the noise is float32 (6e-8, to 6.6
    deviations), positions are float64; ``tests/montecarlo`` states what a test would have detected.

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
    >>> well = rs.Landscape(drift=lambda x: 4 * x * (1 - x**2), diffusivity=0.5)
    >>> S = simulate(well, start=-1.0, target=1.0, protocol=rs.Poisson(rate=0.2), paths=2000)
    >>> abs(S.mean() - 11.693816) < 4 * S.stderr()
    True
    """
    began = time.perf_counter()
    places = _places(process, start, target, reset_to, reset_weights, wall, precision)
    motion = motion_of(process, places)
    clock = clock_of(protocol)
    if clock.partial is not None and places.interval:
        raise DomainError("partial", clock.partial, "None for a target with two ends")
    if clock.partial is not None and callable(getattr(process, "diffusivity", None)):
        raise DomainError("partial", clock.partial, "None where the diffusivity is a function")
    if isinstance(process, Landscape) and process.rate is not None:
        clock = _with_rate(process, protocol, clock)
    chosen = motion.schemes[0]
    if scheme is not None:
        chosen = domain.choice("scheme", scheme, motion.schemes)
    limit = math.inf if horizon is None else domain.single("horizon", horizon, domain.positive)
    never = clock is NEVER and getattr(motion, "rate", None) is None
    if math.isinf(limit) and never and not motion.arrives:
        raise DomainError(
            "horizon", horizon, "a positive time: without resets the mean passage time is infinite"
        )
    given = None if step is None else domain.single("step", step, domain.positive)
    length = motion.step(chosen, given, clock, limit)
    first, count = _paths(paths)
    workers = _processors() if threads is None else domain.integer("threads", threads, 1, 1024)
    most = domain.integer("budget", budget, 1)
    if bias is not None:
        domain.choice("bias", bias, ("halving", "ignored"))

    def run(with_step: float | None, told: Progress | None) -> tuple[Paths, bool]:
        task = motion.task(chosen, with_step, clock, limit, seed_of(seed))
        return driver.run(
            task, first=first, count=count, threads=workers, budget=most, progress=told
        )

    done, interrupted = run(length, progress)
    kept = done.outcomes != RUNNING
    arrived = done.outcomes == ARRIVED
    if not arrived.any():
        raise DomainError(
            "horizon", horizon, f"long enough for an arrival: none of {count} paths had arrived"
        )
    if not kept.all():
        done.times, done.outcomes = done.times[kept], done.outcomes[kept]
        done.resets, done.sides = done.resets[kept], done.sides[kept]
    bound = None
    if bias == "halving" and not interrupted:
        bound = bias_by_halving(done, length, limit, lambda half: run(half, None)[0])
    shift: tuple[float | None, float | None] = None, None
    if bias is None and step is None and count >= ENOUGH and not interrupted:
        shift = _expected_bias(motion, chosen, length, done, lambda coarse: run(coarse, None)[0])
    info: dict[str, Any] = {
        "process": repr(process),
        "protocol": repr(protocol),
        **places.told(),
        "scheme": chosen,
        "step": length,
        "steps": done.steps,
        "bias": shift[0],
        "bias_stderr": shift[1],
        "first": first,
        "paths": int(kept.sum()),
        "horizon": None if math.isinf(limit) else limit,
        "seed": int(seed),
        "stream_version": STREAM_VERSION,
        "threads": workers,
        "interrupted": interrupted,
        "deterministic": _deterministic(process, protocol, places),
        "seconds": time.perf_counter() - began,
    }
    sides = done.sides if places.interval else None
    return Simulated(done.times, done.outcomes == CENSORED, done.resets, info, sides, bound)


def _expected_bias(
    motion: Motion, scheme: str, step: float | None, done: Paths, again: Callable[[float], Paths]
) -> tuple[float | None, float | None]:
    """Error of the mean by the time step, known how well; with a warning where it matters."""
    if step is None or not isinstance(motion, Diffusion):
        return None, None
    coarser = motion.coarser(scheme, step)
    found = None if coarser is None else bias_by_coarsening(done, step, *coarser, again)
    if found is None:
        return None, None
    warn_of_bias(*found, float(np.std(done.times)) / math.sqrt(done.times.size), step)
    return found


def _places(
    process: Process, start: Any, target: Any, reset_to: Any, weights: Any, wall: Any,
    precision: str | None,
) -> Places | SpacePlaces:  # fmt: skip
    """Where paths start, end and are put back."""
    if isinstance(process, Langevin):
        if wall is not None:
            raise DomainError("wall", wall, "None in many dimensions")
        single = domain.choice("precision", precision or "double", ("double", "single"))
        return in_space(process, start, target, reset_to, weights, single=single == "single")
    if precision is not None:
        raise DomainError("precision", precision, "None: it is for Langevin processes")
    if reset_to is None and isinstance(process, Landscape):
        reset_to = process.reset_to
    return places_of(start, target, reset_to, weights, wall)


def _with_rate(process: Landscape, protocol: Protocol | None, clock: Any) -> Any:
    """A landscape's own resets beside a protocol: a constant rate adds to a Poisson one."""
    if clock is not NEVER and not isinstance(protocol, Poisson):
        raise DomainError("protocol", protocol, "None or Poisson for a landscape with a rate")
    if callable(process.rate) or not process.rate:
        return clock
    total = float(process.rate) + (0.0 if clock is NEVER else 1.0 / clock.mean)
    return clock_of(Poisson(total))


def _deterministic(
    process: Process, protocol: Protocol | None, places: Places | SpacePlaces
) -> str | None:
    """What gives the answer without simulation; None for resets to a cloud, as no call is short."""
    if isinstance(places, SpacePlaces) or places.back.shape[1] > 1:
        return None
    if isinstance(process, (ColouredNoise, StableNoise)):
        return None
    under = "" if protocol is None else ".under(protocol)"
    return f"resetsgd.first_passage(process, start, target){under}"


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
