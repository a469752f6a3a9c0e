"""Motion in many dimensions: from a Langevin process and a target to what the kernel reads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo.kernels import space_state as codes
from resetsgd.montecarlo.kernels.space_state import Aim, Looks, Mover
from resetsgd.montecarlo.row_functions import RowFunction, compiled
from resetsgd.montecarlo.targets import Target
from resetsgd.processes.langevin import Langevin

__all__ = ["aim_of", "default_step", "distances", "drift_at", "mover_of", "no_looks", "points"]

_CODES = {
    "point": codes.HALF_SPACE, "half_space": codes.HALF_SPACE, "interval": codes.SLAB,
    "ball": codes.BALL, "outside": codes.OUTSIDE, "level": codes.FUNCTION,
    "predicate": codes.FUNCTION,
}  # fmt: skip


LARGEST = 1e100
"""Bound of coordinates: their squares are summed."""


def points(name: str, value: Any, dimension: int) -> Array:
    """A point of shape (d,) or a cloud of shape (n, d), as an array of shape (n, d)."""
    array = np.array(domain.finite(name, value))
    if array.ndim == 0 and dimension == 1:
        array = array.reshape(1, 1)
    elif array.ndim == 1:
        array = array.reshape(1, -1)
    if array.ndim != 2 or array.shape[1] != dimension or len(array) == 0:
        allowed = f"an array of shape ({dimension},), or (n, {dimension}) for a cloud"
        raise DomainError(name, np.shape(value), allowed)
    if np.abs(array).max() > LARGEST:
        raise DomainError(name, float(np.abs(array).max()), f"at most {LARGEST:g}")
    return np.ascontiguousarray(array)


def mover_of(
    process: Langevin, scheme: str, dtype: Any, at: Array
) -> tuple[Mover, list[RowFunction]]:
    """Compile the drift and the diffusivity; the list keeps the code alive."""
    d = process.dimension
    noise, scale, factor, covariance = codes.DIAGONAL, np.zeros(1), np.zeros((1, 1)), None
    drift = _compiled_drift(process, dtype, at)
    owners, spread = [drift], drift
    if callable(process.diffusivity):
        count = np.asarray(process.diffusivity(np.array(at))).size
        noise = codes.ISOTROPIC_HERE if count == 1 else codes.DIAGONAL_HERE
        spread = compiled(
            "diffusivity", process.diffusivity, d, dtype, at=at, outputs=1 if count == 1 else d
        )
        owners.append(spread)
    elif np.ndim(process.diffusivity) == 2:
        noise, covariance = codes.FULL, process.covariance
        values, vectors = np.linalg.eigh(covariance)
        # Also for a singular matrix, which has no Cholesky factor by the usual way.
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        triangle = np.asarray(np.linalg.qr(root.T, mode="r")).T
        factor = triangle * np.where(np.diag(triangle) < 0, -1.0, 1.0)
    else:
        scale = np.sqrt(np.broadcast_to(np.asarray(process.diffusivity), d))
    # Copies: numba compiles anew for arrays that are read-only.
    mover = Mover(
        drift.address,
        drift.numbers,
        spread.address,
        spread.numbers,
        noise,
        np.array(scale, dtype),
        np.array(factor, dtype, order="C"),
        np.zeros((1, 1), dtype) if covariance is None else np.array(covariance, dtype, order="C"),
        0.0 if process.friction is None else process.friction,
        scheme == "heun" and process.friction is None,
        1.0 if process.drift is not None else -1.0,
        0.0 if process.correlation_time is None else process.correlation_time,
    )
    return mover, owners


def _compiled_drift(process: Langevin, dtype: Any, at: Array) -> RowFunction:
    d = process.dimension
    if process.drift is not None:
        return compiled("drift", process.drift, d, dtype, at=at, outputs=d)
    if process.gradient is not None:
        return compiled("gradient", process.gradient, d, dtype, at=at, outputs=d)
    assert process.potential is not None
    return compiled("potential", process.potential, d, dtype, at=at, outputs=d, differences=True)


def aim_of(
    process: Langevin, target: Target | None, scheme: str, dtype: Any, starts: Array
) -> tuple[Aim, list[RowFunction]]:
    """The target as the kernel reads it; refuses places to start from that are on it."""
    d = process.dimension
    none, bridge = np.zeros(1), scheme != "euler" and process.kind == "overdamped"
    if target is None:
        empty = np.zeros(d, dtype)
        return Aim(codes.NOTHING, _nowhere(), none, empty, 0.0, 0.0, 1.0, False), []
    code = _CODES[target.kind]
    vector = target.direction(d)
    low, high, owners = target.low, target.high, []
    address, numbers = _nowhere(), none
    if code == codes.FUNCTION:
        function = target.function or process.potential
        assert function is not None  # distances() has seen to it
        sign, shift = (1.0, -target.low) if target.kind == "level" else (-1.0, 0.5)
        made = compiled(
            "target", function, d, dtype, at=starts[0], outputs=1, sign=sign, shift=shift
        )
        owners, bridge, address, numbers = [made], False, made.address, made.numbers
    if target.kind == "point":
        side = np.sign(starts[:, 0] - target.low)
        if abs(side.sum()) != len(side):
            raise DomainError("start", starts[:, 0], f"all on one side of the target {low:g}")
        vector, low = side[:1].astype(np.float64), float(side[0] * low)
    across = 1.0
    if not callable(process.diffusivity) and code in (codes.HALF_SPACE, codes.SLAB):
        across = float(vector @ process.covariance @ vector)
    aim = Aim(code, address, numbers, np.array(vector, dtype), low, high, across, bridge)
    return aim, owners


def _nowhere() -> Any:
    """Stands for a function that is never called."""
    from resetsgd.montecarlo.kernels.compiling import settings

    return None if settings.DISABLE_JIT else 0


def distances(process: Langevin, target: Target, places: Array) -> Array:
    """Distance of each place from the target, zero or less on it; levels in their own units."""
    d = process.dimension
    if target.kind in ("level", "predicate"):
        function = target.function or process.potential
        if function is None:
            raise DomainError("target", target.kind, "a level of a function, or give potential=")
        try:
            values = np.array([float(function(np.array(place))) for place in places])
        except Exception as error:
            allowed = f"made of a function of a vector that gives one number; it raises {error!r}"
            raise DomainError("target", target.kind, allowed) from None
        return values - target.low if target.kind == "level" else 0.5 - values
    vector = target.direction(d)
    if target.kind in ("ball", "outside"):
        radius = np.linalg.norm(places - vector, axis=1)
        gaps: Array = radius - target.low if target.kind == "ball" else target.low - radius
        return gaps
    along = places @ vector
    if target.kind == "point":
        return np.abs(along - target.low)
    return np.minimum(along - target.low, target.high - along)


def drift_at(process: Langevin, place: Array) -> Array:
    """The drift at a place, by the plain Python function."""
    d = process.dimension
    function = process.drift or process.gradient
    sign = 1.0 if process.drift is not None else -1.0
    if function is None:
        assert process.potential is not None
        found = np.empty(d)
        for j in range(d):
            h = 6e-6 * (1.0 + abs(place[j]))
            up, down = np.array(place), np.array(place)
            up[j] += h
            down[j] -= h
            found[j] = (float(process.potential(up)) - float(process.potential(down))) / (2.0 * h)
        return -found
    try:
        return sign * np.asarray(function(np.array(place)), dtype=np.float64).reshape(d)
    except TypeError:
        found = np.empty(d)
        function(np.array(place), found)
        return sign * found


def default_step(process: Langevin, target: Target | None, places: Array, heun: bool) -> float:
    """A step short against the stiffness of the drift and the way to the target.

    The stiffness is the norm of the drift's Jacobian, by power iteration of its differences, at up
    to four of the places where paths begin and at the points on the way to the target's centre.
    """
    d = process.dimension
    sites = list(places[:4])
    if target is not None and target.vector is not None and target.kind in ("ball", "point"):
        centre = target.direction(d) if target.kind == "ball" else np.array([target.low])
        sites += [place + share * (centre - place) for place in places[:2] for share in (0.5, 1.0)]
    generator = np.random.default_rng(0)
    stiffness = 0.0
    for site in sites:
        base = drift_at(process, site)
        direction = generator.standard_normal(d)
        direction /= np.linalg.norm(direction)
        for _ in range(8):
            h = 1e-5 * (1.0 + float(np.linalg.norm(site)))
            change = (drift_at(process, site + h * direction) - base) / h
            size = float(np.linalg.norm(change))
            if not 0.0 < size < math.inf:
                break
            stiffness, direction = max(stiffness, size), change / size
    share = 0.05 if heun else 0.004 if callable(process.diffusivity) else 0.01
    limits = [share / stiffness] if stiffness > 0.0 else []
    if process.friction is not None:
        limits.append(0.1 / process.friction)
    if process.correlation_time is not None:
        limits.append(0.05 * process.correlation_time)
    widest = _largest_diffusivity(process, places)
    if target is not None and target.kind not in ("level", "predicate"):
        gap = float(np.min(distances(process, target, places)))
        size = min(gap, target.low) if target.kind in ("ball", "outside") else gap
        dimension = d if target.kind in ("ball", "outside") else 1
        limits.append(0.01 * size * size / (2.0 * widest * math.sqrt(dimension)))
    if not limits and target is not None:
        raise DomainError("step", None, "given: nothing sets a scale of time")
    return min(limits, default=math.inf)  # constant drift and no target: any step is exact


def _largest_diffusivity(process: Langevin, places: Array) -> float:
    if callable(process.diffusivity):
        return max(float(np.max(process.diffusivity(np.array(place)))) for place in places[:4])
    value: Any = np.asarray(process.diffusivity)
    return float(np.linalg.eigvalsh(value).max() if value.ndim == 2 else value.max())


def no_looks() -> Looks:
    """Positions are not looked at."""
    empty = np.zeros(0)
    return Looks(codes.LOOK_NEVER, 0.0, 1.0, 0.0, 1, np.zeros(0, np.int64), empty, empty)
