"""One-dimensional diffusions: what the kernel ``line`` reads, and the step that suits them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo.clock import Clock, one
from resetsgd.montecarlo.functions import NO_NUMBERS, Block, builtin
from resetsgd.montecarlo.kernels import drifts
from resetsgd.montecarlo.kernels import line as kernel
from resetsgd.montecarlo.kernels.lanes import LANES
from resetsgd.montecarlo.motions.places import Places
from resetsgd.montecarlo.tasks import Paths, State, Task, Track, fresh
from resetsgd.processes import (
    Bessel,
    DriftDiffusion,
    LinearTrap,
)

__all__ = ["Diffusion", "bessel", "constant", "linear_trap"]

_CODES = {"euler": kernel.EULER, "bridge": kernel.BRIDGE, "heun": kernel.HEUN}
NONE = Block(0, NO_NUMBERS)


@dataclass(frozen=True)
class Diffusion:
    """A diffusion of constant noise between two points: places, coefficients, schemes that fit.

    ``constant`` is the drift where ``drift`` is not a block; ``longest`` bounds the default step
    where a kink sets it, which no slope shows; ``place`` leads from its coordinate to the user's.
    """

    places: Places
    arrives: bool
    constant: float = 0.0
    drift: Block | None = None
    diffusivity: float = 1.0
    rate: Block | None = None
    longest: float | None = None
    domain: tuple[float, float] = (-math.inf, math.inf)
    blame: str = ""
    place: Callable[[float], float] = float

    @property
    def schemes(self) -> tuple[str, ...]:
        """Names of its schemes, the default first."""
        return ("bridge", "euler") if self.drift is None else ("heun", "bridge", "euler")

    def step(self, scheme: str, step: float | None, clock: Clock, horizon: float) -> float:
        """The step to use; the rule is documented at :func:`resetsgd.montecarlo.api.simulate`."""
        if step is not None:
            return step
        found = min(self._scale(scheme), horizon, 0.25 * clock.mean)
        if not 0 < found < math.inf:
            raise DomainError("step", None, f"given: the default, {found:g}, is no positive number")
        return found

    def coarser(self, scheme: str, step: float) -> tuple[float, float] | None:
        """A longer step that shows the bias of this one, and the weak order; None if there is none.

        There is none where the drift is constant, and where a step that is much longer could meet
        both ends of an interval, or a wall and the target: that error is of another kind.
        """
        if self.drift is None or scheme == "euler":
            return None
        coarse = min([8.0 * step, *(1.6 * longest for longest in self._apart())])
        if not coarse > 3.9 * step:
            return None
        return coarse, 1.0 if scheme != "heun" else 2.0 if self._smooth() else 1.5

    def _apart(self) -> list[float]:
        """Steps that do not meet two boundaries: both ends, or the wall and the target."""
        places, D = self.places, self.diffusivity
        ends = [places.high] if places.interval else []
        ends += [] if places.wall is None else [places.wall]
        return [_spreading(end - places.low, D) / 64.0 for end in ends]

    def _scale(self, scheme: str) -> float:
        """The longest step that is short against everything that happens on the way."""
        places, D = self.places, self.diffusivity
        x = self._grid()
        a = np.full(x.shape, self.constant) if self.drift is None else self.drift(x)
        rate = np.zeros(x.shape) if self.rate is None else self.rate(x)
        for name, values in ((self.blame or "drift", a), ("rate", rate)):
            wrong = ~np.isfinite(values) | ((values < 0) & (name == "rate"))
            if wrong.any():
                where = f"{values[wrong][0]:g} at {self.place(float(x[wrong][0])):g}"
                raise DomainError(name, where, "finite wherever a path goes" + (
                    ", not negative" if name == "rate" else ""))  # fmt: skip
        diffusive = _spreading(float(places.distances.min()), D)
        speed = float(np.abs(a).max())
        ballistic = float(places.distances.min()) / speed if speed > 0 else math.inf
        if scheme == "euler":
            return 0.01 * min(diffusive, ballistic)
        steps = [0.1 * min(diffusive, ballistic) if self.drift is None else 0.02 * diffusive]
        steps += self._apart()
        weight = self._weight(x, a)
        slope = np.gradient(a, x)
        turn = _rms(slope, weight)
        if self.longest is not None:
            steps.append(self.longest)
        elif _jumps(x, a, weight):
            # As for the kink of a trap, whose drift jumps by twice its slope; elsewhere a path sees
            # the slope over the length by which a step spreads.
            steps.append(0.02 * D / float(np.abs(np.diff(a)).max()) ** 2)
            found = min(steps)
            for _ in range(8):
                length = math.sqrt(2.0 * D * found)
                right, left = np.minimum(x + length, x[-1]), np.maximum(x - length, x[0])
                rise = np.interp(right, x, a) - np.interp(left, x, a)
                turn = _rms(rise / (right - left), weight)
                found = min([0.03 / turn, *steps]) if turn > 0 else min(steps)
            steps.append(found)
        elif turn > 0:
            steps.append((0.03 if scheme == "heun" else 0.002) / turn)
            # Where the slope keeps its sign the errors of all steps add up: a spring is the worst.
            pull = float(abs((weight * slope).sum()) / weight.sum())
            steps.append(0.018 / pull if scheme == "heun" and pull > 0 else math.inf)
        often = float((weight * rate).sum() / weight.sum())
        if often > 0:
            steps.append(0.03 / often)
        return min(steps)

    def _weight(self, x: Array, a: Array) -> Array:
        """Where a path spends its time, roughly: the Boltzmann weight, but at least a per cent."""
        with np.errstate(over="ignore"):
            fall = np.clip(-a / self.diffusivity, -1e290, 1e290)
        rise = np.concatenate([[0.0], np.cumsum(0.5 * (fall[1:] + fall[:-1]) * np.diff(x))])
        weight: Array = np.maximum(np.exp(np.clip(rise.min() - rise, -700.0, 0.0)), 0.01)
        return weight

    def _smooth(self) -> bool:
        """Whether the drift has neither kinks nor jumps."""
        if self.longest is not None or self.drift is None:
            return self.longest is None
        x = self._grid()
        a = self.drift(x)
        return not _jumps(x, a, self._weight(x, a))

    def _grid(self) -> Array:
        """Positions that a path may see: between its ends and half as far beyond."""
        places = self.places
        ends = [*places.origins, places.low, places.high]
        low, high = min(ends), max(ends)
        span = high - low
        low, high = low - 0.5 * span, high + 0.5 * span
        if places.interval:
            low, high = places.low, places.high
        elif places.side > 0:
            low = places.low
            high = high if places.wall is None else min(high, places.wall)
        else:
            high = places.low
            low = low if places.wall is None else max(low, places.wall)
        low, high = max(low, self.domain[0]), min(high, self.domain[1])
        inner = np.linspace(low, high, 1003)[1:-1]
        return np.asarray(inner, dtype=np.float64)

    def given(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, seed: int
    ) -> tuple[Any, ...]:
        """What the kernel ``line`` is given but functions, paths and state."""
        assert step is not None
        domain.choice("scheme", scheme, tuple(_CODES))  # others have kernels of their own
        places, wall = self.places, self.places.wall
        often = min(clock.mean, _spreading(float(places.distances.min()), self.diffusivity))
        # Steps between looks: few where events are frequent.
        block = 16 if step < 0.0005 * often else 8 if step < 0.0015 * often else 4
        codes = np.array([
            _CODES[scheme], 2 if places.interval else 1, self.drift is not None,
            self.rate is not None, wall is not None, block,
        ], dtype=np.int64)  # fmt: skip
        numbers = np.array([
            places.start, places.low, places.high, places.side, self.constant, self.diffusivity,
            step, horizon, 0.0 if wall is None else wall, -places.side,
        ])  # fmt: skip
        function = self.drift or self.rate or NONE
        return (
            np.uint64(seed), codes, numbers, function.parameters, clock.numbers, clock.table,
            clock.lost[1], places.back,
        )  # fmt: skip

    def task(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, seed: int
    ) -> Task:
        """Bind the kernel ``line``."""
        given = self.given(scheme, step, clock, horizon, seed)
        drift, rate = self.drift or NONE, self.rate or NONE
        fixed = (*given[:3], drift.address, rate.address, *given[3:])
        state = partial(fresh, kernel.INTS, kernel.REALS, kernel.WORDS, LANES)
        keep = (self.drift, self.rate)
        two = self.places.interval
        return Task(partial(_advance, fixed), state, self.blame, self.place, keep, sides=two)

    def track(self, scheme: str) -> Track | None:
        """A diffusion, known after each block of steps."""
        places, drift = self.places, self.drift
        low, high = places.ends
        return Track(
            "diffusion", np.array([places.start]), places.back[0], single=False,
            diffusivity=self.diffusivity, low=low, high=high,
            wall=math.nan if places.wall is None else places.wall,
            drift=lambda x: self.constant if drift is None else float(drift(np.array([x]))[0]),
            place=np.vectorize(self.place, otypes=[np.float64]),
        )  # fmt: skip


def _spreading(length: float, diffusivity: float) -> float:
    """L² / D, without overflow on the way; infinite beyond the largest number."""
    root = length / math.sqrt(diffusivity)
    return root * root


def _rms(slope: Array, weight: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt((weight * slope**2).sum() / weight.sum()))


def _jumps(x: Array, a: Array, weight: Array) -> bool:
    """Whether the slope of a drift grows with the number of places where it is looked at."""
    if float(np.ptp(a)) <= 1e-9 * float(np.abs(a).max()):  # constant: its slope is rounding
        return False
    fine = _rms(np.gradient(a, x), weight)
    noticed = fine * (x[-1] - x[0]) > 1e-6 * float(np.abs(a).max())  # more than rounding
    return noticed and fine > 1.4 * _rms(np.gradient(a[::4], x[::4]), weight[::4])


def _advance(fixed: tuple[Any, ...], paths: Paths, state: State, budget: int) -> int:
    run: Any = kernel.line
    return int(run(
        *fixed, paths.times, paths.outcomes, paths.resets, paths.sides, paths.counter, paths.first,
        state.ints, state.reals, state.words, state.report, budget,
    ))  # fmt: skip


def constant(process: DriftDiffusion, places: Places) -> Diffusion:
    """Constant drift, to an interval or against a wall, or by plain Euler steps."""
    drift, D = one("drift", process.drift), one("diffusivity", process.diffusivity)
    arrives = places.interval or places.wall is not None or -places.side * drift > 0
    return Diffusion(places, arrives, constant=drift, diffusivity=D)


def linear_trap(process: LinearTrap, places: Places) -> Diffusion:
    """A kink in the potential."""
    slope, D = one("slope", process.slope), one("diffusivity", process.diffusivity)
    arrives = places.interval or slope > 0 or places.wall is not None
    kink = math.sqrt(D) / abs(slope) if slope else math.inf
    longest = 0.005 * kink * kink  # the time in which drift and spread are alike
    drift = builtin(drifts.trap, slope)
    return Diffusion(places, arrives, drift=drift, diffusivity=D, longest=longest)


def bessel(process: Bessel, places: Places) -> Diffusion:
    """The radius of diffusion, on the far side of a positive target or in a shell."""
    d, D = one("dimension", process.dimension), one("diffusivity", process.diffusivity)
    if not places.low > 0:
        raise DomainError(
            "target", places.low,
            "a positive radius below the start, or two around it: the drift is singular at 0",
        )  # fmt: skip
    arrives = places.interval or places.wall is not None or d < 0
    drift = builtin(drifts.radial, (d - 1.0) * D)
    return Diffusion(places, arrives, drift=drift, diffusivity=D, domain=(0.0, math.inf))
