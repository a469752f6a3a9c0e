"""What the device is asked to do: a kernel with everything fixed but the paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from resetsgd.errors import DomainError
from resetsgd.montecarlo.clock import Clock
from resetsgd.montecarlo.cuda import kernels
from resetsgd.montecarlo.functions import Block, of_arrays
from resetsgd.montecarlo.kernels import drift_diffusion, spheres, stretches, trapped
from resetsgd.montecarlo.kernels import line as lanes
from resetsgd.montecarlo.kernels.compiling import helper
from resetsgd.montecarlo.motions import line
from resetsgd.montecarlo.motions.drift_diffusion import ConstantDrift
from resetsgd.montecarlo.motions.spheres import Outward
from resetsgd.montecarlo.tasks import Motion

__all__ = ["Job", "job_of"]


@dataclass(frozen=True)
class Job:
    """A kernel of :mod:`.kernels`, its first arguments, and the rows of its state.

    ``blame`` is what a path that leaves the finite numbers is blamed on, ``function`` the user's
    function, if there is one, and ``place`` leads from the kernel's coordinate to the user's;
    ``sides`` says whether anybody asks at which end each path arrived.
    """

    kernel: Any
    given: tuple[Any, ...]
    rows: tuple[int, int, int]
    blame: str = ""
    function: Any = None
    place: Callable[[float], float] = float
    sides: bool = False


def job_of(
    motion: Motion, scheme: str, step: float | None, clock: Clock, horizon: float, seed: int
) -> Job:
    """The job of a motion, with the arguments of its ``task``.

    Raises
    ------
    DomainError
        If the device has no kernel for this motion.
    """
    if isinstance(motion, ConstantDrift) and scheme == "euler":
        motion = line.constant(motion.process, motion.places)
    if isinstance(motion, ConstantDrift):
        made = motion.given(step, clock, horizon, seed)
        if step is None:
            return Job(kernels.stretches_kernel(), made, (2, stretches.REALS, stretches.WORDS))
        return Job(kernels.steps_kernel(), made, _rows(drift_diffusion))
    if isinstance(motion, Outward):
        return Job(kernels.spheres_kernel(), motion.given(clock, horizon, seed), _rows(spheres))
    if not isinstance(motion, line.Diffusion) or scheme == "milstein":
        raise DomainError(
            "device", "cuda",
            "'cpu' for this: the device moves DriftDiffusion, OrnsteinUhlenbeck, LinearTrap, Bessel"
            " and Landscape, by all schemes but 'milstein'",
        )  # fmt: skip
    given = motion.given(scheme, step, clock, horizon, seed)
    if scheme == "exact":
        return Job(kernels.bowl_kernel(), given, _rows(trapped), sides=motion.places.interval)
    kernel = kernels.line_kernel(_function(motion.drift), _function(motion.rate))
    source = next((block.source[0] for block in (motion.drift, motion.rate)
                   if block is not None and block.source), None)  # fmt: skip
    two = motion.places.interval
    return Job(kernel, given, _rows(lanes), motion.blame, source, motion.place, two)


def _rows(kernel: Any) -> tuple[int, int, int]:
    return kernel.INTS, kernel.REALS, kernel.WORDS


def _function(block: Block | None) -> Any:
    return _nothing if block is None else of_arrays(block)


@helper
def _nothing(x: Any, out: Any, n: int, p: Any) -> None:
    """Stands where no function is called."""
