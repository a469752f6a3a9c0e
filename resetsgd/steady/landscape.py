"""Stationary states in any landscape: the forward equation solved panel by panel.

With phi' = -mu/D the stationary density is p = exp(-phi) u/D, where u solves the backward equation
(exp(-phi) u')' = r exp(-phi) u/D on either side of the reset point, without flux at the far ends:
the panels of :mod:`resetsgd.passage.panels` resolve it, a Riccati sweep joins them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, Real, RealLike
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage.landscape import field_of
from resetsgd.passage.panels import POINTS, Field, Mesh, mesh_of, refined, spectral
from resetsgd.processes import Process
from resetsgd.protocols import Poisson, Protocol
from resetsgd.steady.state import State

__all__ = ["LandscapeState", "cut_of"]

_DEEP = 740.0
"""exp(-740) underflows: what lies beyond this many units of log density is cut off."""
_LEFT = 40.0
"""Where the density falls as a power, it is cut off where so many units are left of no moment."""
_PROMISE = 1e-10


@dataclass
class Side:
    """One side of the reset point: log density at the nodes of panels, rising toward it."""

    mesh: Mesh
    log_p: Array


@np.errstate(all="ignore")
def cut_of(field: Field, home: float, far: float, scale: float, deepest: float = _DEEP) -> float:
    """Where an infinite end can be cut: the density, followed outward by its slow slope, is 0."""
    if np.isfinite(far):
        return far
    steps = scale * np.concatenate([[0.0], np.exp2(np.arange(-24.0, 401.0) / 4.0)])
    x = home - steps

    def depth(points: Array) -> Any:
        # log p falls by (dphi + sqrt(dphi² + 4 r dx²/D))/2
        rise = np.diff(field.rough_phi(points))
        kill = field.kill(points)
        rate = np.zeros(points.size) if kill is None else kill
        slow = np.diff(points) ** 2 * (rate / field.D(points))[1:]
        fall = np.where(np.isposinf(rise), np.inf, 0.5 * (rise + np.sqrt(rise**2 + 4.0 * slow)))
        return np.cumsum(fall)

    def moments(points: Array) -> Any:
        # for power tails: the logarithm of what is left of the second moment
        far_out = np.log1p((home - points[1:]) / scale)
        D = field.D(points)
        return depth(points) + np.log(D[1:] / D[0]) - 3.0 * far_out

    for measure, enough in ((depth, deepest), (moments, _LEFT)):
        deep = np.flatnonzero(measure(x) >= enough)
        if deep.size:
            break
    else:
        raise NotConverged("stationary: the landscape does not hold the particle; no state found")
    last = int(deep[0]) + 1
    inner, outer = x[last - 1], x[last]
    for _ in range(10):  # no farther out than needed: steep walls cost panels
        middle = 0.5 * (inner + outer)
        closed = measure(np.append(x[:last], middle))[-1] >= enough
        inner, outer = (inner, middle) if closed else (middle, outer)
    return float(outer)


def _sweep(mesh: Mesh) -> Array:
    """log of p over its value at the right end, at the nodes; no flux at the left end."""
    J = spectral().integral.T
    E = np.exp(mesh.phi)
    kill = np.zeros(mesh.D.shape) if mesh.kill is None else mesh.kill
    heavy = mesh.h[:, None] ** 2 * kill * np.exp(-mesh.phi) / mesh.D
    # u = start + J E J (heavy u) from (u, q) = (1, 0) and (0, 1) at the left end of each panel
    inner = np.einsum("ij,nj,jk,nk->nik", J.T, E, J.T, heavy)
    starts = np.stack([np.ones(E.shape), E @ J], axis=-1)
    u = np.linalg.solve(np.eye(POINTS) - inner, starts)
    q = np.einsum("nk,nkm,kj->njm", heavy, u, J)[:, -1, :]
    ends = np.exp(mesh.phi[:, -1])
    rho = 0.0
    log_u = np.empty(E.shape)
    level = 0.0
    for n in range(len(E)):
        values = u[n, :, 0] + rho * u[n, :, 1]
        log_u[n] = level + np.log(values)
        level = log_u[n, -1]
        wide = mesh.h[n + 1] / mesh.h[n] if n + 1 < len(E) else 1.0
        rho = (q[n, 0] + (1.0 + q[n, 1]) * rho) / values[-1] * ends[n] * wide
    phi = mesh.phi + np.concatenate([[0.0], np.cumsum(mesh.phi[:-1, -1])])[:, None]
    log_p = log_u - phi - np.log(mesh.D)
    return np.asarray(log_p - (log_u[-1, -1] - phi[-1, -1]))


class LandscapeState(State):
    """Stationary state in a landscape under Poisson resetting; made by :func:`stationary`.

    Attributes
    ----------
    shape : tuple of int
        ``()``.
    reset_to : float
        Where resets lead, length.
    atom : float
        Zero.
    error : float
        Estimated relative error of the moments, from a mesh sampled anew; at most 1e-10.
    """

    def __init__(self, process: Process, protocol: Protocol, reset_to: RealLike) -> None:
        if not isinstance(protocol, Poisson) or np.ndim(protocol.working_rate):
            raise DomainError("protocol", protocol, "Poisson of one rate, in a landscape")
        landscape: Any = process
        home = np.asarray(domain.within("reset_to", reset_to, *landscape.domain))
        if home.ndim:
            raise DomainError("reset_to", reset_to, "a single number")
        if "absorbing" in landscape.ends and np.isfinite(landscape.domain).any():
            raise DomainError("process", process, "without absorbing ends")
        if landscape.reset_to is not None and landscape.reset_to != float(home):
            raise DomainError("reset_to", reset_to, f"that of the landscape, {landscape.reset_to}")
        self.shape, self.reset_to = (), float(home)
        self._landscape = landscape
        self._rate = float(np.asarray(protocol.working_rate))
        self._sides = [self._side(landscape, sign) for sign in (1.0, -1.0)]
        self._normalise()
        fine = [
            self._refined(landscape, sign, side)
            for sign, side in zip((1.0, -1.0), self._sides, strict=True)
        ]
        first = np.array([self._mean, self._var, self._share])
        scale = max(float(np.sqrt(self._var)), abs(self._mean))
        self._sides = fine
        self._normalise()
        second = np.array([self._mean, self._var, self._share])
        gap = np.abs(first - second) / [scale, self._var, 1.0]
        self.error = float(2.0 * gap.max() + 1e-14)
        if not self.error <= _PROMISE:
            raise NotConverged(
                f"stationary: relative error about {self.error:.1e}; name jumps and"
                " kinks of the landscape in breaks="
            )

    def _field(self, landscape: Any, sign: float) -> Field:
        home = float(np.asarray(self.reset_to))
        field = field_of(landscape, home, home + max(abs(home), 1.0) * 1e-3)
        own, base = field.rate, self._rate

        def rate(x: Array) -> Array:
            return np.full(x.shape, base) if own is None else base + own(x)

        field.rate, field.sign = rate, sign
        return field

    def _side(self, landscape: Any, sign: float) -> Side | None:
        """The side below (sign +1) or, mirrored, above the reset point; None if there is none."""
        field, home = self._field(landscape, sign), sign * float(np.asarray(self.reset_to))
        far = sign * landscape.domain[0 if sign > 0 else 1]
        if home == far:
            return None
        here = np.array([home])
        kill = field.kill(here)
        width = np.sqrt(field.D(here) / (kill if kill is not None and kill > 0 else 1.0))
        scale = float(min(width[0], home - far))
        low = cut_of(field, home, far, scale)
        steps = home - scale * np.exp2(np.arange(-3.0, 200.0))
        breaks = sign * np.asarray(landscape.breaks, dtype=np.float64)
        cuts = np.unique(np.concatenate([[low, home], steps, breaks]))
        mesh = mesh_of(field, cuts[(cuts >= low) & (cuts <= home)], "stationary")
        return Side(mesh, _sweep(mesh))

    def _refined(self, landscape: Any, sign: float, side: Side | None) -> Side | None:
        if side is None:
            return None
        mesh = refined(self._field(landscape, sign), side.mesh)
        return Side(mesh, _sweep(mesh))

    @np.errstate(under="ignore")
    def _normalise(self) -> None:
        """Areas, and the moments about the reset point."""
        tools = spectral()
        kept = [side for side in self._sides if side is not None]
        self._top = max(float(np.max(side.log_p)) for side in kept)
        self._areas: list[Array] = []
        moments = np.zeros(3)
        shares = []
        home = float(np.asarray(self.reset_to))
        for sign, side in zip((1.0, -1.0), self._sides, strict=True):
            if side is None:
                self._areas.append(np.zeros(1))
                shares.append(0.0)
                continue
            mesh = side.mesh
            p = np.exp(side.log_p - self._top)
            gap = sign * (mesh.left[:, None] + mesh.h[:, None] * tools.nodes) - home
            weight = mesh.h[:, None] * tools.integral[-1] * p
            self._areas.append(np.concatenate([[0.0], np.cumsum(np.sum(weight, axis=1))]))
            shares.append(float(self._areas[-1][-1]))
            moments += [np.sum(weight * gap**k) for k in range(3)]
        self._total = float(moments[0])
        first = moments[1] / moments[0]
        self._share = shares[0] / self._total
        self._mean, self._var = home + first, 0.0
        for sign, side in zip((1.0, -1.0), self._sides, strict=True):
            if side is not None:
                x = sign * (side.mesh.left[:, None] + side.mesh.h[:, None] * tools.nodes)
                weight = side.mesh.h[:, None] * tools.integral[-1]
                square = weight * np.exp(side.log_p - self._top) * (x - self._mean) ** 2
                self._var += float(np.sum(square)) / self._total

    def relaxation(self, t: RealLike, start: RealLike | None = None) -> State:
        """The state at time t after a start.

        Parameters
        ----------
        t : float
            Time since the start, > 0.
        start : float, optional
            Where it starts, length; default the reset point.

        Returns
        -------
        State
            With the same methods; the absolute error of its distribution is about 1e-11.

        Raises
        ------
        DomainError
            If an argument is outside its range, or the landscape has resets of its own.
        NotConverged
            If the landscape does not hold the particle, or is not resolved.

        Examples
        --------
        From one well of two to the other, and the long run:

        >>> import resetsgd as rs
        >>> well = rs.Landscape(lambda x: (x**2 - 1) ** 2, diffusivity=0.4)
        >>> state = rs.stationary(well, rs.Poisson(0.1), reset_to=-1.0)
        >>> [round(state.relaxation(t, start=1.0).mean(), 4) for t in (0.1, 2.0, 20.0, 200.0)]
        [0.9579, 0.4451, -0.3968, -0.4094]
        >>> round(state.mean(), 4)
        -0.4094
        """
        from resetsgd.steady.landscape_relaxation import LandscapeRelaxation

        landscape: Any = self._landscape
        if landscape.rate is not None:
            raise DomainError("process", landscape, "without rate= for a relaxation")
        time = np.asarray(domain.positive("t", t))
        place = self.reset_to if start is None else start
        place = np.asarray(domain.within("start", domain.finite("start", place), *landscape.domain))
        for name, value in (("t", time), ("start", place)):
            if value.ndim:
                raise DomainError(name, value, "a single number")
        home = float(np.asarray(self.reset_to))

        def field(sign: float) -> Field:
            made = self._field(landscape, sign)
            made.sign = sign
            return made

        breaks = np.asarray(landscape.breaks, dtype=np.float64)
        state = LandscapeRelaxation(
            field, landscape.domain, breaks, self._rate, home, float(place), float(time)
        )
        state.made_by = f"{self!r}.relaxation({float(time)!r}, start={float(place)!r})"
        return state

    def mean(self) -> Real:
        """Mean position, length."""
        return float(self._mean)

    def var(self) -> Real:
        """Variance, length²."""
        return float(self._var)

    def _inside(self, side: Side, x: Array) -> tuple[Any, Array]:
        """Panel of each point, and the row that interpolates between its nodes."""
        edges = side.mesh.edges
        panel = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
        place = np.clip((x - side.mesh.left[panel]) / side.mesh.h[panel], 0.0, 1.0)
        rows = np.polynomial.chebyshev.chebvander(2.0 * place - 1.0, POINTS - 1)
        rows = rows.reshape(*np.shape(place), POINTS)  # it makes a row of a number
        return panel, rows @ spectral().coefficients

    def _density(self, x: Array) -> Any:
        home = float(np.asarray(self.reset_to))
        value = np.zeros(x.shape)
        for sign, side in zip((1.0, -1.0), self._sides, strict=True):
            if side is None:
                continue
            mirrored = sign * x
            edges = side.mesh.edges
            mine = (mirrored <= sign * home) & (mirrored >= edges[0])
            panel, rows = self._inside(side, mirrored[mine])
            log_p = np.sum(rows * side.log_p[panel], axis=-1)
            value[mine] = np.exp(log_p - self._top) / self._total
        return value

    def _outer(self, number: int, x: Array) -> Array:
        """Probability on a side beyond x, seen from the reset point."""
        side = self._sides[number]
        if side is None:
            return np.zeros(x.shape)
        panel, rows = self._inside(side, x)
        p = np.exp(side.log_p - self._top) @ spectral().integral.T * side.mesh.h[:, None]
        part = np.sum(rows * p[panel], axis=-1)
        value = (self._areas[number][panel] + np.maximum(part, 0.0)) / self._total
        return np.asarray(np.where(x <= side.mesh.left[0], 0.0, value))

    def _quantile(self, q: Array) -> Any:
        """The panel by its area, the place in it by bisection."""
        home, tools = float(np.asarray(self.reset_to)), spectral()
        value = np.full(q.shape, home)
        for number, sign in enumerate((1.0, -1.0)):
            side = self._sides[number]
            mine = (q < self._share) if sign > 0 else (q >= self._share)
            if side is None or not mine.any():
                continue
            area = (q[mine] if sign > 0 else 1.0 - q[mine]) * self._total
            panel = np.searchsorted(self._areas[number], area, side="right") - 1
            panel = np.clip(panel, 0, len(side.mesh.h) - 1)
            p = np.exp(side.log_p[panel] - self._top) * side.mesh.h[panel, None]
            wanted = area - self._areas[number][panel]
            curve = (p @ tools.integral.T) @ tools.coefficients.T
            low, high = np.zeros(wanted.shape), np.ones(wanted.shape)
            for _ in range(52):
                middle = 0.5 * (low + high)
                polynomial = np.polynomial.chebyshev.chebval(2.0 * middle - 1.0, curve.T, False)
                below = polynomial < wanted
                low, high = np.where(below, middle, low), np.where(below, high, middle)
            value[mine] = sign * (side.mesh.left[panel] + side.mesh.h[panel] * 0.5 * (low + high))
        return value

    def _cdf(self, x: Array) -> Any:
        home = float(np.asarray(self.reset_to))
        below = self._outer(0, np.minimum(x, home))
        return np.where(x <= home, below, 1.0 - self._outer(1, -np.maximum(x, home)))

    def _survival(self, x: Array) -> Any:
        home = float(np.asarray(self.reset_to))
        above = self._outer(1, -np.maximum(x, home))
        return np.where(x >= home, above, 1.0 - self._outer(0, np.minimum(x, home)))

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """By inversion of the distribution."""
        u = generator.random(n)
        return np.asarray(self._quantile(np.clip(u, 1e-300, 1.0 - 2.0**-53)))
