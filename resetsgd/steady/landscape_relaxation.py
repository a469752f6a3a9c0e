"""How a state in a landscape is reached: the resolvent of the forward equation on a contour.

Under resets at rate r to x_r the density at time t after a start x_0 has the transform

    p(x, s) = g(x, r + s | x_0) + (r/s) g(x, r + s | x_r),

with the resolvent g(x, q | y) = p_q(x | y)/q, p_q the stationary density under resets to y at rate
q: the same sweeps as those of the stationary state, here at complex rates on a parabola around the
spectrum, which is real and not positive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from resetsgd.domain import QUIET, Array, Real
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage.panels import POINTS, Field, Mesh, mesh_of, spectral
from resetsgd.steady.landscape import cut_of
from resetsgd.steady.state import State

__all__ = ["LandscapeRelaxation"]

_NODES = 28
"""Of the parabola on one side of the axis: 2.85^-28 = 2e-13."""
_DEEP = 46.0
_NARROWEST = 1e-9
"""Least width over position: the variance then keeps ten digits."""
_MARKS = 513
"""Points of the table that draws are interpolated in."""


class _Side(NamedTuple):
    """One side of a source: the mesh, and the transform of the density at its nodes."""

    sign: float
    mesh: Mesh
    density: Array
    """Shape (nodes of the parabola, panels, POINTS)."""


def _sweeps(mesh: Mesh, rates: Array) -> Array:
    """u exp(-phi)/D at the nodes for each complex rate, over its value at the right end.

    u solves (exp(-phi) u')' = q exp(-phi) u/D without flux at the left end, as in
    :mod:`resetsgd.steady.landscape`.
    """
    J = spectral().integral.T
    E = np.exp(mesh.phi)
    plain = mesh.h[:, None] ** 2 * np.exp(-mesh.phi) / mesh.D
    inner = np.einsum("ij,nj,jk,nk->nik", J.T, E, J.T, plain)
    starts = np.stack([np.ones(E.shape), E @ J], axis=-1).astype(complex)
    ends = np.exp(mesh.phi[:, -1])
    wide = np.append(mesh.h[1:] / mesh.h[:-1], 1.0)
    phi = mesh.phi + np.concatenate([[0.0], np.cumsum(mesh.phi[:-1, -1])])[:, None]
    log_p = np.empty((len(rates), *E.shape), dtype=complex)
    for i, rate in enumerate(rates):
        u = np.linalg.solve(np.eye(POINTS) - rate * inner, starts)
        q = np.einsum("nk,nkm,k->nm", rate * plain, u, J[:, -1])
        rho, level = 0.0 + 0.0j, 0.0 + 0.0j
        for n in range(len(E)):
            values = u[n, :, 0] + rho * u[n, :, 1]
            log_p[i, n] = level + np.log(values)
            level = log_p[i, n, -1]
            rho = (q[n, 0] + (1.0 + q[n, 1]) * rho) / values[-1] * ends[n] * wide[n]
    log_p = log_p - phi - np.log(mesh.D)
    return np.asarray(log_p - log_p[:, -1:, -1:])


class LandscapeRelaxation(State):
    """The state in a landscape at a time after a start; made by ``relaxation``.

    Attributes
    ----------
    shape : tuple of int
        ``()``.
    reset_to : float
        Where resets lead, length.
    atom : float
        Zero.
    error : float
        How far the total probability is from one.

    Notes
    -----
    Absolute error of the distribution about 1e-11, of the density that over the width of the state;
    ``NotConverged`` if the total probability is off by more than 1e-9.

    **Source**: J. A. C. Weideman and L. N. Trefethen, Math. Comp. 76, 1341 (2007) for the parabola;
    the renewal equation in M. R. Evans, S. N. Majumdar and G. Schehr, J. Phys. A 53, 193001 (2020).
    """

    @QUIET
    def __init__(
        self, field: Callable[[float], Field], domain: tuple[float, float], breaks: Array,
        rate: float, home: float, start: float, t: float,
    ) -> None:  # fmt: skip
        self.shape, self.reset_to = (), home
        spread = float(np.sqrt(field(1.0).D(np.array([start]))[0] * t))
        if not spread > _NARROWEST * max(abs(start), abs(home)) or spread < 1e-130:
            raise NotConverged("relaxation: so early that positions in float64 do not resolve it")
        mu = np.pi * _NODES / (12.0 * t)
        step = 3.0 / _NODES
        theta = step * (np.arange(_NODES) + 0.5)
        turn = 1.0 + 1j * theta
        s = mu * turn**2
        self._weights = 2.0 * mu * step / np.pi * turn * np.exp(s * t)
        self._field, self._domain, self._breaks = field, domain, breaks
        total = rate + s
        shares: dict[float, Any] = {home: rate / (s * total)}
        shares[start] = shares.get(start, 0.0) + 1.0 / total
        self._slow, self._fast = rate + mu, float(np.max(np.abs(total)))
        self._sides: list[_Side] = []
        for place, share in shares.items():
            if np.any(share != 0):
                self._sides += self._source(place, total, share)
        self._normalise()

    def _source(self, place: float, rates: Any, share: Any) -> list[_Side]:
        """The transform of the density that starts at a place, times a share, on both sides."""
        found = []
        for sign in (1.0, -1.0):
            far = sign * self._domain[0 if sign > 0 else 1]
            if sign * place == far:
                continue
            found.append((sign, self._mesh(sign, sign * place, far)))
        logs = [_sweeps(mesh, rates) for _, mesh in found]
        # relative to the largest along the slowest sweep: wells may hold more than the source
        top = max(float(np.max(np.real(part))) for part in logs)
        values = [np.exp(part - top) for part in logs]
        total = sum(
            np.einsum("qnk,n,k->q", part, mesh.h, spectral().integral[-1])
            for part, (_, mesh) in zip(values, found, strict=True)
        )
        scale = (share / total)[:, None, None]
        return [
            _Side(sign, mesh, part * scale)
            for part, (sign, mesh) in zip(values, found, strict=True)
        ]

    def _mesh(self, sign: float, home: float, far: float) -> Mesh:
        """Panels that resolve the fastest rate, as far as the slowest one reaches."""
        field = self._field(sign)

        def at(rate: float) -> None:
            field.rate = lambda x: np.full(x.shape, rate)

        at(self._slow)
        here = np.array([home])
        scale = float(min(np.sqrt(field.D(here)[0] / self._slow), home - far))
        low = cut_of(field, home, far, scale, _DEEP)
        at(self._fast)
        steps = home - scale * np.exp2(np.arange(-3.0, 200.0))
        cuts = np.unique(np.concatenate([[low, home], steps, sign * self._breaks]))
        return mesh_of(field, cuts[(cuts >= low) & (cuts <= home)], "relaxation")

    def _inverse(self, transform: Array) -> Any:
        """Real values from transforms along the first axis."""
        return np.real(np.tensordot(self._weights, transform, axes=(0, 0)))

    def _normalise(self) -> None:
        """Masses at the nodes, sums up to each panel, moments."""
        tools = spectral()
        points, masses = [], []
        self._areas: list[Array] = []
        self._parts: list[Array] = []
        for side in self._sides:
            p = self._inverse(side.density)
            self._parts.append(p)
            mass = side.mesh.h[:, None] * tools.integral[-1] * p
            points.append(
                side.sign * (side.mesh.left[:, None] + side.mesh.h[:, None] * tools.nodes)
            )
            masses.append(mass)
            self._areas.append(np.concatenate([[0.0], np.cumsum(mass.sum(axis=1))]))
        self._x = np.concatenate([x.ravel() for x in points])
        self._mass = np.concatenate([m.ravel() for m in masses])
        whole = float(self._mass.sum())
        self.error = abs(whole - 1.0)
        if not self.error <= 1e-9:
            raise NotConverged(f"relaxation: total probability off by {self.error:.1e}")
        centre = float(np.asarray(self.reset_to))
        self._mean = centre + float(np.sum(self._mass * (self._x - centre)))
        self._var = max(float(np.sum(self._mass * (self._x - self._mean) ** 2)), 0.0)

    def mean(self) -> Real:
        """Mean position, length."""
        return self._mean

    def var(self) -> Real:
        """Variance, length²."""
        return self._var

    def average(self, observable: Callable[[Array], Any]) -> float:
        """Mean of an observable over the state, by quadrature on the panels of the solution.

        Parameters
        ----------
        observable : callable
            Takes an array of positions, gives an array of values of the same shape.

        Raises
        ------
        DomainError
            If values are not finite real numbers of the right shape.
        """
        values = np.asarray(observable(self._x), dtype=np.float64)
        if values.shape != self._x.shape or not np.isfinite(values).all():
            raise DomainError("observable", observable, "a function with finite values at all x")
        return float(np.sum(values * self._mass))

    def _interpolated(self, number: int, x: Array, integrated: bool) -> Array:
        """Density of a side at mirrored places x within it, or its integral from the far end."""
        tools, mesh = spectral(), self._sides[number].mesh
        panel = np.clip(np.searchsorted(mesh.edges, x, side="right") - 1, 0, len(mesh.h) - 1)
        local = np.clip((x - mesh.left[panel]) / mesh.h[panel], 0.0, 1.0)
        rows = np.polynomial.chebyshev.chebvander(2.0 * local - 1.0, POINTS - 1)
        rows = rows.reshape(*np.shape(x), POINTS) @ tools.coefficients
        values = self._parts[number]
        if not integrated:
            return np.asarray(np.sum(rows * values[panel], axis=-1))
        parts = (values @ tools.integral.T) * mesh.h[:, None]
        return np.asarray(self._areas[number][panel] + np.sum(rows * parts[panel], axis=-1))

    def _density(self, x: Array) -> Any:
        value = np.zeros(x.shape)
        for number, side in enumerate(self._sides):
            edges = side.mesh.edges
            mirrored = side.sign * x
            # a source itself belongs to the side below it only
            last = mirrored <= edges[-1] if side.sign > 0 else mirrored < edges[-1]
            mine = last & (mirrored >= edges[0])
            value[mine] += self._interpolated(number, mirrored[mine], False)
        return value

    def _beyond(self, x: Array, sign: float) -> Any:
        """Probability below x (sign +1) or above it."""
        value = np.zeros(x.shape)
        for number, side in enumerate(self._sides):
            edges, whole = side.mesh.edges, self._areas[number][-1]
            mirrored = side.sign * x
            inside = self._interpolated(number, np.clip(mirrored, edges[0], edges[-1]), True)
            inside = np.where(mirrored >= edges[0], inside, 0.0)
            value += inside if side.sign == sign else whole - inside
        return value

    def _cdf(self, x: Array) -> Any:
        return self._beyond(np.asarray(x), 1.0)

    def _survival(self, x: Array) -> Any:
        return self._beyond(np.asarray(x), -1.0)

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """By interpolation between quantiles of the distribution."""
        if "_table" not in self.__dict__:
            levels = 0.5 * (1.0 - np.cos(np.pi * np.linspace(0.0, 1.0, _MARKS)))
            levels = np.clip(levels, 1e-10, 1.0 - 1e-10)
            self._table = levels, np.asarray(self._quantile(levels))
        return np.asarray(np.interp(generator.random(n), *self._table))
