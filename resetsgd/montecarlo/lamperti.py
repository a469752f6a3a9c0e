"""Multiplicative noise made constant: the coordinate in which a diffusion has unit noise.

With s = sqrt(2 D) the coordinate y = integral dx/s(x) obeys dy = A dt + dW with the drift
A = (a - D'/2)/s, a in the sense of Ito. Targets are where they were, so that every scheme for
constant noise serves, at its own weak order; a plain Euler step in y is Milstein's in x up to terms
of its error.

**Source**: L. Lamperti, J. Math. Pures Appl. 43 (1964) 195; P. E. Kloeden, E. Platen, *Numerical
Solution of Stochastic Differential Equations* (1992), section 4.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo.functions import Block, builtin
from resetsgd.montecarlo.kernels import drifts
from resetsgd.montecarlo.motions.places import Places

__all__ = ["UnitNoise", "unit_noise"]

_ENTRIES = 2**14
_NEVER = 60.0
"""Height of the potential, in units of the noise, where no path ever comes (exp(-60))."""
_FAR = 50.0
"""How many times as far as its ends the table reaches where nothing keeps a path from leaving."""


@dataclass(frozen=True)
class UnitNoise:
    """A diffusion in the coordinate of unit noise: its places, drift and rate, and the way back."""

    places: Places
    drift: Block
    rate: Block | None
    x: Array
    y: Array

    def back(self, y: float) -> float:
        """The position that a coordinate stands for."""
        return float(np.interp(y, self.y, self.x))


def unit_noise(
    places: Places, drift: Block, spread: Block, alpha: float, rate: Block | None,
    domain: tuple[float, float],
) -> UnitNoise:  # fmt: skip
    """Tabulate the drift in the coordinate of unit noise: 2^14 places, linear in between.

    The coordinate is 0 at the start. The table ends at the target, at a wall or end of the domain,
    where the potential is so high that no path comes there, or else fifty times as far away as all
    places of interest; beyond it is continued straight on.

    Raises
    ------
    DomainError
        If the diffusivity is not positive, or a coefficient not finite, on the way.
    """

    def coefficients(x: Array) -> tuple[Array, Array]:
        s, bend = spread(x, rows=2)
        a = drift(x) + alpha * bend
        for name, values in (("diffusivity", s), ("drift", a)):
            wrong = ~np.isfinite(values) | ((values <= 0.0) & (name == "diffusivity"))
            if wrong.any():
                allowed = "finite where paths go" + (", and positive" if values is s else "")
                raise DomainError(name, f"{values[wrong][0]:g} at {x[wrong][0]:g}", allowed)
        return s, (a - 0.5 * bend) / s

    def flow(_: float, state: Array) -> list[float]:
        s, A = coefficients(np.array([state[0]]))
        return [float(s[0]), -2.0 * float(A[0])]

    origins = places.origins
    walls = [] if places.wall is None else [places.wall]
    marks = [*origins, places.low, places.high, *walls]
    span = (max(marks) - min(marks)) or 1.0
    parts = []
    for way in (-1.0, 1.0):
        ends = [end for end in (places.low, places.high, *walls) if way * (end - places.start) >= 0]
        outer = domain[0] if way < 0 else domain[1]
        if ends:
            stop = max(ends) if way > 0 else min(ends)
        else:
            stop = places.start + way * _FAR * span
            if math.isfinite(outer):
                stop = max(stop, outer) if way < 0 else min(stop, outer)
        if stop == places.start:
            continue
        reach = min(origins) if way < 0 else max(origins)

        def leaves(_: float, state: Array, stop: float = stop) -> float:
            return float(state[0] - stop)

        def high(_: float, state: Array, reach: float = reach, way: float = way) -> float:
            return float(state[1] - _NEVER) if way * (state[0] - reach) > 0 else -1.0

        events: Any = (leaves, high) if not ends else (leaves,)
        for event in events:
            event.terminal = True
        rough = coefficients(np.linspace(places.start, stop, 65)[:-1])[0].min()
        long = 4.0 * abs(stop - places.start) / float(rough)
        found = solve_ivp(flow, (0.0, way * long), [places.start, 0.0], method="DOP853",
                          rtol=1e-9, atol=[1e-11 * span, 1e-3], dense_output=True,
                          events=events)  # fmt: skip
        parts.append((float(found.t[-1]), found.sol))
    below = next((part for part in parts if part[0] < 0), (0.0, None))
    above = next((part for part in parts if part[0] > 0), (0.0, None))
    y = np.linspace(below[0], above[0], _ENTRIES)
    x = np.full(y.shape, places.start)
    for end, solution in (below, above):
        if solution is not None:
            on = y < 0 if end < 0 else y > 0
            x[on] = solution(y[on])[0]
    _, A = coefficients(x)
    columns = [A] if rate is None else [A, rate(x)]
    table = np.concatenate([[y[0], 1.0 / (y[1] - y[0]), float(_ENTRIES)], *columns])

    def to(place: Any) -> Any:
        return np.interp(place, x, y)

    low = to(places.low) if places.interval or places.side > 0 else to(places.high)
    mapped = Places(
        0.0, float(low), float(to(places.high)) if places.interval else float(low),
        np.ascontiguousarray(np.stack([to(places.back[0]), places.back[1]])),
        None if places.wall is None else float(to(places.wall)),
    )  # fmt: skip
    made = builtin(drifts.tabulated, *table)
    rated = None if rate is None else builtin(drifts.tabulated_rate, *table)
    return UnitNoise(mapped, made, rated, x, y)
