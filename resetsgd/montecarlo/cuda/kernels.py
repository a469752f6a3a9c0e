"""The kernels that run on the device: a thread moves the path in its column.

Each is a shell around a function of ``resetsgd/montecarlo/kernels``, which numba compiles for CUDA
as it does for the CPU. They end after a budget of steps for each thread, for a display would
freeze otherwise, and go on where they stopped. ``tally`` counts: steps, paths that broke, paths
that are under way; and has the most resets of one of these.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numba import cuda as _cuda

from resetsgd.montecarlo.kernels.alone import line_alone, stretches_alone
from resetsgd.montecarlo.kernels.drift_diffusion import stepwise
from resetsgd.montecarlo.kernels.spheres import from_sphere_to_sphere
from resetsgd.montecarlo.kernels.trapped import exact_steps

__all__ = ["bowl_kernel", "line_kernel", "spheres_kernel", "steps_kernel", "stretches_kernel"]

cuda: Any = _cuda  # without annotations; the simulator exchanges it in each kernel, by its value


def _counted(tally: Any, used: int, ints: Any, report: Any, column: int) -> None:
    """Add what a thread has done to the tally."""
    cuda.atomic.add(tally, 0, used)
    if report[0, column] != 0.0:
        cuda.atomic.add(tally, 1, 1)
    if ints[0, column] >= 0:
        cuda.atomic.add(tally, 2, 1)
        cuda.atomic.max(tally, 3, ints[1, column])


_count = cuda.jit(device=True)(_counted)


@lru_cache(maxsize=32)
def line_kernel(drift: Any, rate: Any) -> Any:
    """``line_alone`` with these coefficients, of compiled functions f(x, out, n, p)."""
    body = line_alone(drift, rate)

    def line(
        seed: Any, codes: Any, numbers: Any, parameters: Any, clock: Any, table: Any,
        lost_table: Any, places: Any, times: Any, outcomes: Any, resets: Any, sides: Any,
        counter: Any, first: int, ints: Any, reals: Any, kept: Any, report: Any, tally: Any,
        budget: int,
    ) -> None:  # fmt: skip
        column = cuda.grid(1)
        if column < ints.shape[1]:
            used = body(
                seed, codes, numbers, parameters, clock, table, lost_table, places, times,
                outcomes, resets, sides, counter, first, ints, reals, kept, report, column, budget,
            )  # fmt: skip
            _count(tally, used, ints, report, column)

    return cuda.jit(line)


@lru_cache(maxsize=1)
def steps_kernel() -> Any:
    """``stepwise``, the kernel of constant drift."""

    def steps(
        seed: Any, distance: float, velocity: float, diffusivity: float, clock: Any, table: Any,
        lost_table: Any, places: Any, horizon: float, step: float, times: Any, outcomes: Any,
        resets: Any, sides: Any, counter: Any, first: int, ints: Any, reals: Any, kept: Any,
        report: Any, tally: Any, budget: int,
    ) -> None:  # fmt: skip
        column = cuda.grid(1)
        if column < ints.shape[1]:
            one = column + 1
            used = stepwise(
                seed, distance, velocity, diffusivity, clock, table, lost_table, places, horizon,
                step, times, outcomes, resets, counter, first, ints[:, column:one],
                reals[:, column:one], kept[:, column:one], report[:, column], budget,
            )  # fmt: skip
            _count(tally, used, ints, report, column)

    return cuda.jit(steps)


@lru_cache(maxsize=1)
def stretches_kernel() -> Any:
    """``stretches_alone``: whole stretches of constant drift."""

    def stretches(
        seed: Any, distance: float, velocity: float, diffusivity: float, clock: Any, table: Any,
        lost_table: Any, places: Any, horizon: float, times: Any, outcomes: Any, resets: Any,
        sides: Any, counter: Any, first: int, ints: Any, reals: Any, kept: Any, report: Any,
        tally: Any, budget: int,
    ) -> None:  # fmt: skip
        column = cuda.grid(1)
        if column < ints.shape[1]:
            used = stretches_alone(
                seed, distance, velocity, diffusivity, clock, table, lost_table, places, horizon,
                times, outcomes, resets, counter, first, ints, reals, kept, column, budget,
            )  # fmt: skip
            _count(tally, used, ints, report, column)

    return cuda.jit(stretches)


@lru_cache(maxsize=1)
def bowl_kernel() -> Any:
    """``exact_steps`` in a quadratic bowl."""

    def bowl(
        seed: Any, start: float, low: float, high: float, stiffness: float, center: float,
        diffusivity: float, clock: Any, table: Any, lost_table: Any, places: Any, horizon: float,
        step: float, times: Any, outcomes: Any, resets: Any, sides: Any, counter: Any, first: int,
        ints: Any, reals: Any, kept: Any, report: Any, tally: Any, budget: int,
    ) -> None:  # fmt: skip
        column = cuda.grid(1)
        if column < ints.shape[1]:
            one = column + 1
            used = exact_steps(
                seed, start, low, high, stiffness, center, diffusivity, clock, table, lost_table,
                places, horizon, step, times, outcomes, resets, sides, counter, first,
                ints[:, column:one], reals[:, column:one], kept[:, column:one],
                report[:, column], budget,
            )  # fmt: skip
            _count(tally, used, ints, report, column)

    return cuda.jit(bowl)


@lru_cache(maxsize=1)
def spheres_kernel() -> Any:
    """``from_sphere_to_sphere``."""

    def spheres(
        seed: Any, start: float, target: float, dimension: float, diffusivity: float, clock: Any,
        table: Any, lost_table: Any, places: Any, horizon: float, times: Any, outcomes: Any,
        resets: Any, sides: Any, counter: Any, first: int, ints: Any, reals: Any, kept: Any,
        report: Any, tally: Any, budget: int,
    ) -> None:  # fmt: skip
        column = cuda.grid(1)
        if column < ints.shape[1]:
            one = column + 1
            used = from_sphere_to_sphere(
                seed, start, target, dimension, diffusivity, clock, table, lost_table, places,
                horizon, times, outcomes, resets, sides, counter, first, ints[:, column:one],
                reals[:, column:one], kept[:, column:one], report[:, column], budget,
            )  # fmt: skip
            _count(tally, used, ints, report, column)

    return cuda.jit(spheres)
