"""``simulate``: passage times under resetting, path by path."""

from __future__ import annotations

import functools
import time
from typing import Any

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.montecarlo.driver import Progress
from resetsgd.montecarlo.halving import (
    ENOUGH,
    bias_by_coarsening,
    bias_by_halving,
    mean_and_error,
    warn_of_bias,
)
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, CENSORED, RUNNING
from resetsgd.montecarlo.plan import Plan, planned
from resetsgd.montecarlo.recording import Record, recorded, shown_of
from resetsgd.montecarlo.result import Simulated
from resetsgd.montecarlo.streaming import moments
from resetsgd.montecarlo.tasks import Paths
from resetsgd.processes import Process
from resetsgd.protocols import Protocol

__all__ = ["Simulated", "simulate"]


def simulate(
    process: Process,
    start: Any,
    target: Any,
    protocol: Protocol | None = None,
    *,
    paths: int | range,
    reset_to: Any = None,
    reset_weights: Any = None,
    partial: float | None = None,
    wall: float | None = None,
    horizon: float | None = None,
    step: float | None = None,
    seed: int = 0,
    scheme: str | None = None,
    bias: str | None = None,
    precision: str | None = None,
    record: Record | None = None,
    threads: int | None = None,
    device: str = "cpu",
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
    partial : float, optional
        Partial resets: each leads from x to reset_to + partial (x - reset_to), and multiplies the
        velocity, where there is one. In [0, 1). (``Poisson(rate, partial=...)`` leads toward the
        target instead.)
    wall : float, optional
        A reflecting wall on the other side of the start than the target.
    horizon : float, optional
        Positive time at which paths that have not arrived are given up (*censored*). Needed where
        the mean passage time is infinite.
    step : float, optional
        Longest time step. The default is given below.
    seed : int
        From 0 to 2**64 - 1.
    scheme : {"bridge", "exact", "heun", "milstein", "euler"}, optional
        Given below; the default is the first that the process has.
    bias : {"halving", "ignored"}, optional
        What to do about the error that the time step makes: "halving" simulates once more with
        half the step and the same number of paths, to give the result a ``bias_bound``. Left out
        it is estimated where it could matter, see the notes; "ignored" saves the time for this.
    precision : {"double", "single"}, optional
        How the positions of a :class:`~resetsgd.Langevin` process are kept; "single" takes two
        thirds of the time.
    record : Record, optional
        Which paths to record, and when: ``rs.Record(0.1, paths=3)``. They come back as the result's
        ``record``, with ``times`` and ``positions``; nothing else changes by it.
    threads : int, optional
        At least 1; default: as many as there are processors for this process.
    device : {"cpu", "cuda"}
        Where paths are moved. "cuda" needs a CUDA device, its driver and numba's compiler for it
        (the package numba-cuda), and takes the one-dimensional diffusions; see the notes.
    budget : int
        Bound of the number of steps of all paths together.
    progress : callable, optional
        Called now and then as ``progress(done, paths)`` in the calling thread;
        :class:`~resetsgd.ProgressBar` shows the time left.

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
    NoDevice
        If there is no CUDA device to use.

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
        mean time between resets and 0.03 of 1/r(x). Noise that depends on the position is
        made constant first, by the coordinate (:mod:`resetsgd.montecarlo.lamperti`); plain Euler
        steps are then as good as Milstein's.
    ``"exact"``
        For :class:`~resetsgd.DriftDiffusion` to a point. No steps: each stretch between resets
        takes one draw of the reset-free passage time (inverse Gaussian). For
        :class:`~resetsgd.OrnsteinUhlenbeck`: steps of any length with the exact law of their ends;
        the crossing probability is exact too for a target at the center, and of higher than second
        order in stiffness times step elsewhere (default there: 0.1). For
        :class:`~resetsgd.Bessel` from inside a target, in one dimension or more: from sphere to
        sphere without steps, exact to a millionth of the radius.
    ``"milstein"``
        For a :class:`~resetsgd.Landscape` with D(x), in its own coordinate: strong order one, weak
        order one. (The default scheme, in the coordinate of unit noise, has weak order two.)
    ``"euler"``
        Plain Euler steps, where a path arrives at the end of the first step that ends on or beyond
        the target. **Biased**: for L = D = 1, v = 0 and rate 2.5 the mean is 17 % too long at a
        step of 0.01. A negative control, and what most programs do. Default step: a hundredth of
        the shortest of L²/D and L/abs(v).

    An interval is left within one step through either end with the sum of both probabilities; the
    default step keeps the chance that both ends matter below 1e-6.

    **Bias of the default step**: where the drift depends on the position, from 10^5 paths on, the
    simulation is repeated with eight times the step (an eighth of the work). The difference of the
    means over 8^p - 1 is the expected bias, ``info["bias"]`` (its standard error is
    ``info["bias_stderr"]``). The weak order p is taken as 2 for "heun" in one dimension and smooth
    drifts, 1.5 for drifts with kinks or jumps and for coloured noise, 1 for "bridge" and in many
    dimensions, 1/exponent for stable noise; a lower order than that has a larger bias.

    **Reproducibility**: the result is a function of the arguments other than ``threads``,
    ``budget`` and ``progress``, bit for bit, and path k has the same result in every simulation
    that contains it; see :mod:`resetsgd.montecarlo.streams`.

    **On a CUDA device** each path has the random numbers it has on the CPU and does the same with
    them, one path to a thread. Products are fused and logarithms rounded otherwise there: times
    agree to the digits of float32 noise and resets are the same, but for the rare path that
    rounding sends another way. The processes are :class:`~resetsgd.DriftDiffusion`,
    :class:`~resetsgd.OrnsteinUhlenbeck`, :class:`~resetsgd.LinearTrap`, :class:`~resetsgd.Bessel`
    and :class:`~resetsgd.Landscape`, with all protocols, targets and schemes but "milstein"; a
    user's function is compiled once more. Some 10^5 threads move at once, each slower than a
    processor's, and compiling takes seconds in each process: it is for many paths. The budget is
    looked at, and Ctrl-C heard, between launches of 8192 steps a thread.

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
    plan = planned(
        process, start, target, protocol, paths=paths, reset_to=reset_to,
        reset_weights=reset_weights, partial=partial, wall=wall, horizon=horizon, step=step,
        seed=seed, scheme=scheme, precision=precision, threads=threads, device=device,
        budget=budget,
    )  # fmt: skip
    if bias is not None:
        domain.choice("bias", bias, ("halving", "ignored"))

    shown = None if record is None else shown_of(plan, record)

    length, limit = plan.step, plan.horizon
    done, interrupted = plan.run(length, plan.first, plan.count, progress)
    if not (done.outcomes == ARRIVED).any():
        allowed = f"long enough for an arrival: none of {plan.count} paths had arrived"
        raise DomainError("horizon", horizon, allowed)
    if interrupted:
        kept = done.outcomes != RUNNING
        done.times, done.outcomes, done.resets = (
            done.times[kept], done.outcomes[kept], done.resets[kept]
        )  # fmt: skip
        done.sides = done.sides[kept] if done.sides.size else done.sides
    bound = None
    if bias == "halving" and not interrupted:
        bound = bias_by_halving(done, length, limit, functools.partial(moments, plan, plan.count))
    shift: tuple[float | None, float | None] = None, None
    if bias is None and step is None and plan.count >= ENOUGH and not interrupted:
        shift = _expected_bias(plan, done)
    info = {
        **plan.told(),
        "steps": done.steps,
        "bias": shift[0],
        "bias_stderr": shift[1],
        "paths": done.times.size,
        "interrupted": interrupted,
        "seconds": time.perf_counter() - began,
    }
    sides = done.sides if plan.places.interval else None
    seen = None
    if record is not None and shown is not None and not interrupted:
        ends = done.times[shown.start - plan.first : shown.stop - plan.first]
        seen = recorded(plan, record, shown, ends)
    return Simulated(done.times, done.outcomes == CENSORED, done.resets, info, sides, bound, seen)


def _expected_bias(plan: Plan, done: Paths) -> tuple[float | None, float | None]:
    """Error of the mean by the time step, known how well; with a warning where it matters."""
    coarser = plan.coarser()
    if coarser is None:
        return None, None
    coarse, order = coarser
    assert plan.step is not None
    here = mean_and_error(done.times)
    again = functools.partial(moments, plan, plan.count)
    found = bias_by_coarsening(here, plan.step, coarse, order, again)
    if found is None:
        return None, None
    warn_of_bias(*found, here[1], plan.step)
    return found
