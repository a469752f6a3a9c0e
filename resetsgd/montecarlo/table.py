"""What can be simulated: one row for each process and one for each protocol.

A process row turns the user's objects into a :class:`Motion`: the numbers a kernel needs and the
calls that run it. A protocol row gives a :class:`Clock`. Any process runs under any protocol, so a
new one of either is one new row here and its kernel or clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo.kernels import clocks
from resetsgd.montecarlo.kernels import drift_diffusion as kernels
from resetsgd.processes import DriftDiffusion
from resetsgd.protocols import Geometric, Poisson, Sharp
from resetsgd.protocols import Protocol as Law

__all__ = ["PROCESSES", "PROTOCOLS", "Advance", "Clock", "ConstantDrift", "Motion", "clock_of"]

Advance = Callable[[Array, Any, Any, Any, Any, Any, int, int], int]
"""(times, outcomes, resets, counts, reals, tape, first path, budget) -> steps made."""


@dataclass(frozen=True)
class Clock:
    """When resets fall due, as the kernels read it; ``mean`` is the mean time between resets."""

    code: int
    a: float
    b: float
    mean: float


NEVER = Clock(clocks.NEVER, 0.0, 0.0, math.inf)


class Motion(Protocol):
    """What the driver asks of a process, made ready between two points."""

    @property
    def schemes(self) -> tuple[str, ...]:
        """Names of its schemes, the default first."""

    @property
    def arrives(self) -> bool:
        """Whether the mean passage time is finite without resets."""

    def step(self, scheme: str, step: float | None, clock: Clock, horizon: float) -> float | None:
        """The step to use: the given one, checked, or the default; None if there are no steps."""

    def advance(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, key: tuple[int, int]
    ) -> Advance:
        """The kernel call with everything fixed but the paths."""


@dataclass(frozen=True)
class ConstantDrift:
    """Diffusion with constant drift to a point: distances, velocity toward the target, D."""

    distance: float
    back: float
    velocity: float
    diffusivity: float
    schemes: tuple[str, ...] = ("bridge", "exact", "euler")

    @classmethod
    def of(
        cls, process: DriftDiffusion, start: float, target: float, reset_to: float
    ) -> ConstantDrift:
        """Measure everything from the target."""
        drift = one("drift", process.drift)
        diffusivity = one("diffusivity", process.diffusivity)
        distance, back = abs(start - target), abs(reset_to - target)
        for name, value, length in (("start", start, distance), ("reset_to", reset_to, back)):
            if not 1e-100 <= length <= 1e100:
                raise DomainError(name, value, f"between 1e-100 and 1e100 from {target:g}")
        return cls(distance, back, -drift if start > target else drift, diffusivity)

    @property
    def arrives(self) -> bool:
        """Whether the drift points to the target."""
        return self.velocity > 0.0

    def step(self, scheme: str, step: float | None, clock: Clock, horizon: float) -> float | None:
        """The step to use; the rule is documented at :func:`resetsgd.montecarlo.api.simulate`."""
        lengths, speed = (self.distance, self.back), abs(self.velocity)
        diffusive = [length * length / self.diffusivity for length in lengths]
        ballistic = [length / speed if speed > 0.0 else math.inf for length in lengths]
        # Beyond this the ratio of step and distance would overflow inside the bridge.
        longest = 1e100 * min(diffusive + ballistic)
        if scheme == "exact":
            if step is not None:
                raise DomainError("step", step, "left out: the scheme 'exact' makes no steps")
            return None
        if step is not None:
            if step > longest:
                raise DomainError("step", step, f"at most {longest:.3g}")
            return step
        if scheme == "euler":
            return 0.01 * min(diffusive + ballistic)
        if math.isfinite(horizon):
            return min(horizon, longest)
        scales: list[float] = [*diffusive, clock.mean, *(ballistic if self.velocity > 0 else ())]
        slowest = max(scale for scale in scales if math.isfinite(scale))
        return min(64.0 * slowest, longest)

    def advance(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, key: tuple[int, int]
    ) -> Advance:
        """Bind the kernel ``stepwise`` or, for the scheme "exact", ``stretchwise``."""
        moving = (*key, self.distance, self.back, self.velocity, self.diffusivity)
        fixed = (*moving, clock.code, clock.a, clock.b, horizon)
        if step is None:
            return partial(kernels.stretchwise, *fixed)
        return partial(kernels.stepwise, *fixed, step, scheme == "bridge")


def _poisson(protocol: Poisson) -> Clock:
    if protocol.partial is not None:
        raise DomainError("partial", protocol.partial, "None: partial resets are not simulated")
    rate = one("rate", protocol.working_rate)
    mean = 1.0 / rate if rate > 0 else math.inf
    return Clock(clocks.POISSON, mean, 0.0, mean)


def _sharp(protocol: Sharp) -> Clock:
    period = one("period", protocol.period)
    return Clock(clocks.SHARP, period, 0.0, period)


def _geometric(protocol: Geometric) -> Clock:
    # In continuous time an arrival before the coin counts and none coincides with it, so that the
    # order of coin and look makes no difference.
    probability = one("probability", domain.plain(protocol.working_probability))
    step = one("step", protocol.step)
    if probability == 0.0:
        return NEVER
    keep = -math.log1p(-probability) if probability < 1.0 else math.inf
    return Clock(clocks.GEOMETRIC, keep, step, step / probability)


PROCESSES: dict[type, Callable[[Any, float, float, float], Motion]] = {
    DriftDiffusion: ConstantDrift.of,
}
"""Process -> the motion it makes between two points."""

PROTOCOLS: dict[type, Callable[[Any], Clock]] = {
    Poisson: _poisson,
    Sharp: _sharp,
    Geometric: _geometric,
}
"""Protocol -> its clock."""


def clock_of(protocol: object | None) -> Clock:
    """The clock of a protocol; one that never resets, whatever its kind, is ``NEVER``."""
    if protocol is None:
        return NEVER
    row = PROTOCOLS.get(type(protocol))
    if row is None or not isinstance(protocol, Law):
        known = ", ".join(kind.__name__ for kind in PROTOCOLS)
        raise DomainError("protocol", protocol, f"None or one of {known}")
    if not protocol.lost.none:
        raise DomainError("overhead", protocol.overhead, "0: an overhead is not simulated")
    clock = row(protocol)
    return clock if math.isfinite(clock.mean) else NEVER


def one(name: str, value: Any) -> float:
    """A single number out of a parameter that may be an array elsewhere."""
    if not isinstance(value, float):
        raise DomainError(name, value, "a single number: simulate once for each element")
    return value
