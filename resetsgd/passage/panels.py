"""A landscape on panels: adaptive polynomials for it, and what the backward equation makes of them.

On each panel phi (phi' = -mu/D, the potential in units of the local diffusivity) and D are
polynomials through twenty Chebyshev points; panels are bisected until exp(phi) and exp(-phi)/D are
resolved to rounding and phi varies by at most 4. The solutions of the backward equation on a panel
are then power series in s that are integrated once, for every s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from resetsgd.domain import Array
from resetsgd.errors import DomainError, NotConverged

__all__ = [
    "LEVELS",
    "Field",
    "Flags",
    "Mesh",
    "Places",
    "apply",
    "mesh_of",
    "refined",
    "series_of",
    "slow_of",
    "spectral",
]

POINTS = 20
POWERS = 16
SLOW = 8
LEVELS = 6
_MOST_PANELS = 2000
_VARIATION = 4.0
_TOLERANCE = 1e-14

Function = Callable[[Array], Array]
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Spectral(NamedTuple):
    """Chebyshev tools on [0, 1]: nodes, integral from 0, derivative, coefficients, halves."""

    nodes: Array
    integral: Array
    derivative: Array
    coefficients: Array
    halves: tuple[Array, Array]


@lru_cache(maxsize=1)
def spectral() -> Spectral:
    """The tools for ``POINTS`` nodes, made once."""
    n = POINTS
    x = -np.cos(np.pi * np.arange(n) / (n - 1))
    chebyshev = np.polynomial.chebyshev
    values = chebyshev.chebvander(x, n - 1)
    coefficients = np.asarray(np.linalg.inv(values), dtype=np.float64)
    rise = np.zeros((n, n))
    slope = np.zeros((n, n))
    for k in range(n):
        unit = np.eye(n)[k]
        integral = chebyshev.chebint(unit, lbnd=-1.0)
        rise[:, k] = 0.5 * chebyshev.chebval(x, integral)
        slope[:, k] = 2.0 * chebyshev.chebval(x, chebyshev.chebder(unit)) if k else 0.0
    halves = tuple(
        chebyshev.chebvander(0.5 * (x + shift), n - 1) @ coefficients for shift in (-1.0, 1.0)
    )
    integral = rise @ coefficients
    integral[0] = 0.0
    for half, (row, node) in zip(halves, ((0, 0), (-1, -1)), strict=True):
        half[row] = np.eye(n)[node]
    return Spectral(
        0.5 * (x + 1.0),
        integral,
        np.asarray(slope @ coefficients),
        coefficients,
        (halves[0], halves[1]),
    )


def apply(values: Array, matrix: Array) -> Array:
    """The matrix on each row: without BLAS, whose threads cost more than such products do."""
    return np.asarray(np.einsum("nj,ij->ni", values, matrix))


@dataclass
class Field:
    """What is sampled: potential or drift, diffusivity, killing rate, along a direction.

    ``sign`` is -1 where the axis is mirrored, so that targets always lie to the right.
    """

    potential: Function | None
    drift: Function | None
    diffusivity: Function | float
    alpha: float
    rate: Function | None
    sign: float = 1.0

    def D(self, x: Array) -> Array:  # noqa: N802
        """Diffusivity at the points."""
        if callable(self.diffusivity):
            value = self.diffusivity(self.sign * x)
            wrong = value <= 0
            if wrong.any():
                raise DomainError("diffusivity", float(value[wrong][0]), "positive everywhere")
            return value
        return np.full(x.shape, self.diffusivity)

    def kill(self, x: Array) -> Array | None:
        """Killing rate at the points."""
        if self.rate is None:
            return None
        value = self.rate(self.sign * x)
        if np.any(value < 0):
            raise DomainError("rate", float(value[value < 0][0]), "zero or positive everywhere")
        return value

    def phi(self, x: Array, width: Array, D: Array) -> tuple[Array, Array]:
        """phi from the left end of each panel, and its magnitude (for the rounding of its input).

        x has shape (panels, POINTS).
        """
        tools = spectral()
        if self.potential is not None:
            U = self.potential(self.sign * x)
            gap = U - U[:, :1]
            size = np.max(np.abs(U) / D, axis=1)
            if not callable(self.diffusivity):
                return gap / D, size
            value = apply(apply(gap, tools.derivative) / D, tools.integral)
        else:
            assert self.drift is not None
            slope = -self.sign * self.drift(self.sign * x) / D
            value = apply(slope, tools.integral) * width[:, None]
            size = np.max(np.abs(value), axis=1)
        return value - self.alpha * np.log(D / D[:, :1]), size

    @property
    def plain(self) -> bool:
        """Whether phi is the potential itself but for a factor."""
        return self.potential is not None and not callable(self.diffusivity)

    def rough_phi(self, x: Array) -> Array:
        """phi at a row of points relative to the first one, by a midpoint rule between them."""
        with np.errstate(all="ignore"):
            if self.plain:
                U = self.potential(self.sign * x)  # type: ignore[misc]
                value = (U - U[0]) / self.diffusivity
            else:
                pieces = 8
                shares = np.linspace(0.0, 1.0, 2 * pieces + 1)
                y = x[:-1, None] + np.diff(x)[:, None] * shares
                D = self.D(y)
                if self.potential is not None:
                    steps = np.diff(self.potential(self.sign * y[:, ::2])) / D[:, 1::2]
                else:
                    slope = -self.sign * self.drift(self.sign * y[:, 1::2])  # type: ignore[misc]
                    steps = slope / D[:, 1::2] * (np.diff(x) / pieces)[:, None]
                value = np.concatenate([[0.0], np.cumsum(steps.sum(axis=1))])
                value = value - self.alpha * np.log(np.append(D[:, 0], D[-1, -1]) / D[0, 0])
        broken = np.flatnonzero(~np.isfinite(value))
        if broken.size:  # beyond float64, or not defined: a wall unless it falls
            value[broken[0] :] = -np.inf if value[broken[0]] == -np.inf else np.inf
        return np.asarray(value, dtype=np.float64)


@dataclass
class Mesh:
    """Panels from left to right, or some of them."""

    left: Array
    h: Array
    """Widths."""
    phi: Array
    D: Array
    kill: Array | None
    least: Array
    """Diffusivity that a panel's unit of time is made of; halves keep that of the whole."""
    size: float
    """Largest |phi| of the samples: their rounding."""

    @property
    def edges(self) -> Array:
        """Ends of the panels where they are in a row."""
        return np.append(self.left, self.left[-1] + self.h[-1])

    @property
    def tau(self) -> Array:
        """Diffusion time across each panel."""
        return self.h**2 / self.least

    def weights(self) -> tuple[Array, Array, Array | None]:
        """exp(phi), exp(-phi) Dmin/D and the killing per diffusion time, at the nodes."""
        kill = None if self.kill is None else self.kill * self.tau[:, None]
        return np.exp(self.phi), np.exp(-self.phi) * (self.least[:, None] / self.D), kill

    def only(self, which: Places) -> Mesh:
        """Some of the panels."""
        kill = None if self.kill is None else self.kill[which]
        phi, D, least = self.phi[which], self.D[which], self.least[which]
        return Mesh(self.left[which], self.h[which], phi, D, kill, least, self.size)

    def halved(self) -> Mesh:
        """Each panel bisected, from the same polynomials."""
        both = spectral().halves

        def cut(values: Array) -> Array:
            return np.stack([apply(values, half) for half in both], axis=1).reshape(-1, POINTS)

        phi, half = cut(self.phi), np.repeat(0.5 * self.h, 2)
        left = np.repeat(self.left, 2)
        left[1::2] += half[1::2]
        flat = np.all(np.ptp(self.D, axis=1) == 0)
        D = np.repeat(self.D, 2, axis=0) if flat else np.exp(cut(np.log(self.D)))
        kill = None if self.kill is None else np.maximum(cut(self.kill), 0.0)
        return Mesh(left, half, phi - phi[:, :1], D, kill, np.repeat(self.least, 2), self.size)


def series_of(mesh: Mesh, powers: int = POWERS) -> Array:
    """Power series in z = s tau of the six entries, shape (panels, 6, powers + 1).

    Rows: u and h q (q = exp(-phi) u') at the right end from u = 1 (less one), from h q = 1, and of
    the response to a unit source in units of tau.
    """
    from resetsgd.passage.riccati import power_series

    J = spectral().integral
    rising = np.ascontiguousarray(J.T)
    E, m, kill = mesh.weights()
    table = np.zeros((len(E), 6, powers + 1))
    if kill is None:
        nothing = np.empty((0, 0, 0))
        power_series(rising, E, m, m, nothing, False, table)
        # the response to a source: u is one less s times it
        table[:, 4:, :-1] = table[:, :2, 1:]
    else:
        # (1 - J E J m kill)^-1 on the right, once a panel: all entries positive
        heavy = m * kill
        twice = np.einsum("ij,nj,jk->nik", J, E, J)
        solve = np.linalg.inv(np.eye(POINTS) - twice * heavy[:, None, :])
        solve = np.ascontiguousarray(solve.transpose(0, 2, 1))
        power_series(rising, E, m, heavy, solve, True, table)
    return np.maximum(table, 0.0)


def slow_of(mesh: Mesh) -> Array:
    """Slow solutions h w = sum_j a_j z^(-j/2), j = -1.., at both ends and integrated.

    Coefficient by coefficient from w² + w' - phi' w = (s + r)/D.
    """
    tools = spectral()
    slope = apply(mesh.phi, tools.derivative)
    inverse = mesh.least[:, None] / mesh.D
    terms = [np.sqrt(inverse)]  # terms[j + 1] is a_j
    for n in range(-1, SLOW):
        last = terms[n + 1]
        known = slope * last - apply(last, tools.derivative)
        for i in range(n + 1):
            known = known - terms[i + 1] * terms[n - i + 1]
        if n == 0 and mesh.kill is not None:
            known = known + mesh.kill * mesh.tau[:, None] * inverse
        terms.append(known / (2.0 * terms[0]))
    full = np.stack(terms, axis=1)
    over = np.einsum("nkj,j->nk", full, tools.integral[-1])
    return np.stack([full[:, :, 0], full[:, :, -1], over], axis=1)


def _sample(field: Field, left: Array, right: Array) -> tuple[Array, Array, Array | None, Array]:
    x = left[:, None] + (right - left)[:, None] * spectral().nodes
    x[:, -1] = right
    with np.errstate(all="ignore"):
        D = field.D(x)
        phi, size = field.phi(x, right - left, D)
        return phi, D, field.kill(x), size


def _resolved(
    phi: Array, D: Array, kill: Array | None, size: Array, width: Array, span: float
) -> Flags:
    """Which panels need no further bisection."""
    tools = spectral()
    with np.errstate(all="ignore"):
        varies = np.sum(np.abs(np.diff(phi, axis=1)), axis=1)
        noise = _TOLERANCE + 4e-16 * size
        fine = np.isfinite(phi).all(axis=1) & (varies <= _VARIATION)
        sides = [np.exp(phi), np.exp(-phi) / D]
        if kill is not None:
            fine &= width * np.sqrt(np.max(kill / D, axis=1)) <= 3.0
            sides.append(np.exp(-phi) / D * (kill + np.max(kill, axis=1, keepdims=True) * 1e-3))
        bad = np.zeros(fine.shape)
        for values in sides:
            spectrum = np.abs(apply(values, tools.coefficients))
            top = np.maximum(spectrum.max(axis=1), 1e-300)
            bad = np.maximum(bad, spectrum[:, -3:].max(axis=1) / top)
        # at a kink the error is confined to panels that shrink with it
        fine &= bad <= noise * np.maximum(1.0, (1e-4 * span / width) ** 1.5)
    return np.asarray(fine)


def mesh_of(field: Field, cuts: Array, what: str, most: int = _MOST_PANELS) -> Mesh:
    """Bisect the panels between the cuts until each is resolved."""
    left, right = cuts[:-1].copy(), cuts[1:].copy()
    span = float(cuts[-1] - cuts[0])
    done: list[tuple[Array, ...]] = []
    count = 0
    while left.size:
        if count + left.size > most:
            raise NotConverged(
                f"{what}: more than {most} panels; the landscape is too rough, too steep (in units"
                " of the diffusivity) or has jumps at places not named in breaks="
            )
        phi, D, kill, size = _sample(field, left, right)
        fine = _resolved(phi, D, kill, size, right - left, span)
        place = np.maximum(np.abs(left), np.abs(right))
        tiny = right - left <= 64 * np.finfo(float).eps * place
        with np.errstate(all="ignore"):
            cliff = tiny & ~(np.ptp(phi, axis=1) < 60.0)
        if cliff.any():
            raise NotConverged(
                f"{what}: not finite, or steeper than float64 resolves, near x ="
                f" {float(field.sign * left[cliff][0]):g}"
            )
        fine |= tiny
        extra = np.zeros(phi.shape) if kill is None else kill
        done.append((left[fine], right[fine], phi[fine], D[fine], extra[fine], size[fine]))
        count += int(fine.sum())
        left, right = left[~fine], right[~fine]
        middle = left + 0.5 * (right - left)
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
    columns = [np.concatenate(parts) for parts in zip(*done, strict=True)]
    order = np.argsort(columns[0])
    left, right, phi, D, kill_all, size = (column[order] for column in columns)
    kills = None if field.rate is None else kill_all
    return Mesh(left, right - left, phi, D, kills, D.min(axis=1), float(size.max()))


def refined(field: Field, mesh: Mesh) -> Mesh:
    """Each panel bisected and sampled anew: the mesh that measures the error of the other."""
    half = np.repeat(0.5 * mesh.h, 2)
    left = np.repeat(mesh.left, 2)
    left[1::2] += half[1::2]
    right = np.append(left[1:], mesh.edges[-1])
    phi, D, kill, size = _sample(field, left, right)
    return Mesh(left, half, phi, D, kill, D.min(axis=1), float(size.max()))
