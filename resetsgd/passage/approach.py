"""The approach to one target from one side: panels, their series, and all that is asked of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import NotConverged
from resetsgd.passage.arrangements import log1p
from resetsgd.passage.panels import (
    LEVELS,
    Field,
    Flags,
    Mesh,
    Places,
    apply,
    mesh_of,
    refined,
    series_of,
    slow_of,
    spectral,
)

__all__ = ["Approach", "Moments"]

_DEEP = 46.0
"""exp(-46) = 1e-20: what lies behind this many units of phi no longer matters."""
_REACH = 45.0
"""As many decay lengths of exp(-sT): the sweep starts there, not at the far end."""
_KILLED_LEVELS = 7
"""With killing that depends on the place, more bisections stand in for slow solutions."""
_PROMISE = 1e-10
_OCTAVES = 100
"""How far an open end is followed: 2^100 times the distance to the target."""


class Moments(NamedTuple):
    """For each start: log of the chance to arrive and of the mean, var/mean², third/mean³."""

    log_chance: Array
    log_mean: Array
    square: Array
    cube: Array


class Approach:
    """First passage from starts on the left to a target on their right.

    Parameters
    ----------
    field : Field
        The landscape, mirrored where the target is on the left.
    starts : ndarray
        Rising positions, all below the target.
    target : float
        Where it arrives.
    far : float
        The other end; ``-inf`` if there is none.
    absorbing : bool
        Whether the far end absorbs; it reflects otherwise.
    breaks : sequence of float
        Points to cut panels at.
    """

    def __init__(
        self,
        field: Field,
        starts: Array,
        target: float,
        far: float,
        absorbing: bool,
        breaks: Array,
    ) -> None:
        self.field = field
        self.starts = starts
        self.target = target
        self.absorbing = absorbing
        self.scale = target - float(starts[0])
        self.open = False
        self.escapes = False
        left = self._far_end(far)
        if left > far:
            self.absorbing = False
        cuts = self._cuts(left, breaks)
        self.mesh = mesh_of(field, cuts, "first_passage")
        with np.errstate(all="ignore"):
            tau = self.mesh.tau
        if not (tau.min() > 1e-280 and tau.max() < 1e280):
            raise NotConverged("first_passage: diffusion times beyond 1e±280; change the units")
        self.error = self._settle()
        self.marks = np.searchsorted(self.mesh.edges, starts).astype(np.int64)
        mesh = self.mesh
        self._tau, self._h = mesh.tau, mesh.h
        # decay lengths from each panel's left end to the first start, per sqrt(s)
        lengths = self._h / np.sqrt(mesh.D.max(axis=1))
        before = np.where(np.arange(len(lengths)) < self.marks[0], lengths, 0.0)
        self._reach = np.cumsum(before[::-1])[::-1]
        slope = apply(mesh.phi, spectral().derivative[:1])[:, 0] / self._h
        self._slope, self._D = slope, mesh.D[:, 0]
        self._kill = np.zeros(len(slope)) if mesh.kill is None else mesh.kill[:, 0]
        self._distance = float(starts[0] - mesh.left[0])
        # an open end that does not level off: drift like 1/x, or diffusivity that grows
        self._power_law = self.open and (
            abs(self._distance * slope[0]) > 1e-3 or mesh.D[0, 0] > 1.5 * mesh.D[0, -1]
        )
        self._slow = slow_of(mesh)
        self._tables = series_of(mesh)
        self._steps = np.stack([self._h, np.exp(mesh.phi[:, -1])], axis=1)
        # rows of the series of each level and panel, -1 where not made yet
        self._depth = LEVELS if mesh.kill is None else _KILLED_LEVELS
        self._places = np.full((self._depth, len(self._h)), -1, dtype=np.int64)
        self._places[0] = np.arange(len(self._h))

    # Where it ends ---------------------------------------------------------------------------

    def _far_end(self, far: float) -> float:
        """Where the far end can be cut: behind deep walls, beyond no return, or far out."""
        near = float(self.starts[0])
        if near <= far or (np.isfinite(far) and not self.field.plain):
            return far  # trimming a finite end only saves panels
        steps = self.scale * np.exp2(np.arange(-24.0, 4.0 * _OCTAVES + 1.0) / 4.0)
        x = near - np.concatenate([[0.0], steps])
        x = x[np.isfinite(x) & (x > far)]
        if np.isfinite(far):
            x = np.append(x, far)
        for escapes in (False,) if np.isfinite(far) else (False, True):
            last = np.flatnonzero(~self._closed(x, escapes))[-1] + 1
            if last >= len(x):
                continue
            self.escapes = escapes
            inner, outer = x[last - 1], x[last]
            for _ in range(12):  # no farther out than needed: steep walls cost panels
                middle = 0.5 * (inner + outer)
                closed = self._closed(np.append(x[:last], middle), escapes)[-1]
                inner, outer = (inner, middle) if closed else (middle, outer)
            return float(outer)
        self.open = not np.isfinite(far)
        return float(x[-1])

    def _closed(self, x: Array, escapes: bool) -> Flags:
        """Where what lies beyond does not matter: deep walls, or descents of no return."""
        phi = self.field.rough_phi(x)
        with np.errstate(all="ignore"):
            distance = np.log1p((x[0] - x) / self.scale)
            if escapes:
                gone = phi <= np.maximum.accumulate(phi) - _DEEP - distance
                kill = self.field.kill(x)
                if kill is not None:  # reset before it gets there
                    rate = np.sqrt(kill / self.field.D(x))
                    lengths = 0.5 * (rate[1:] + rate[:-1]) * np.abs(np.diff(x))
                    gone |= np.append(0.0, np.cumsum(lengths)) >= _REACH
                return np.asarray(gone)
            # the mass behind, and its second and third moments, no longer matter
            D = self.field.D(x) if callable(self.field.diffusivity) else np.ones(x.shape)
            return np.asarray(phi + np.log(D / D[0]) - 4.0 * distance >= _DEEP)

    def _cuts(self, left: float, breaks: Array) -> Array:
        """First cuts of the panels: starts, breaks, a few between, octaves behind."""
        near = float(self.starts[0])
        behind = near - self.scale * np.exp2(np.arange(-3.0, 2.0 * _OCTAVES))
        ahead = np.linspace(near, self.target, 9)
        kept = behind[(behind > left) & np.isfinite(behind)]
        cuts = np.concatenate([[left], kept, ahead, self.starts, breaks])
        cuts = np.unique(cuts[(cuts >= left) & (cuts <= self.target)])
        return np.asarray(cuts)

    # Error -----------------------------------------------------------------------------------

    def _settle(self) -> float:
        """Estimate the relative error, by a mesh sampled anew in between; refine if it is large."""
        coarse = self._probe(self.mesh)
        for _ in range(3):
            finer = refined(self.field, self.mesh)
            fine = self._probe(finer)
            worst = max(_gap(c, f) for c, f in zip(coarse, fine, strict=True))
            # rounding of positions moves phi, but not where it jumps
            wide = finer.h > 1e-6 * self.scale
            place = np.abs(finer.edges[:-1]) * np.where(wide, _steep(finer), 0.0)
            rounding = np.finfo(float).eps * (
                16.0 + 2.0 * np.sqrt(len(self.mesh.h)) + 4.0 * finer.size + 2.0 * place.max()
            )
            error = 2.0 * worst + float(rounding)
            if error <= _PROMISE:
                return error
            if 2 * len(finer.h) > 8000:
                break
            self.mesh, coarse = finer, fine
        raise NotConverged(
            f"first_passage: relative error about {error:.1e} instead of {_PROMISE:g}; the"
            " landscape is rough, is known with too few digits, or has kinks or jumps at places not"
            " named in breaks="
        )

    def _probe(self, mesh: Mesh) -> tuple[Array, Array]:
        """What is compared between meshes: the first moments."""
        marks = np.searchsorted(mesh.edges, self.starts).astype(np.int64)
        tables = series_of(mesh, 3)
        # an open end is as good as walled here: moments that diverge say nothing of the mesh
        first = self._jets(mesh, tables, marks, 1, walled=self.open)
        second = self._jets(mesh, tables, marks, 3, walled=self.open)
        return first[:, :3], second[:, [0, 3]]

    # Series ----------------------------------------------------------------------------------

    def _need(self, size: Array, first: Array, top: int) -> None:
        """Make the series of bisected panels that these |s| need, at most ``top`` times bisected.

        Whatever needs more than that is left to the slow solutions.
        """
        if size.size == 0 or size.max() * self._tau.max() <= 16.0:
            return
        z = size[:, None] * self._tau
        z[np.arange(len(self._tau)) < first[:, None]] = 0.0
        level = np.zeros(z.shape, dtype=np.int64)
        for k in range(self._depth):
            level += z > 16.0 * 4.0**k
        for k in range(1, self._depth):
            wanted = np.any(level == k, axis=0)
            if k == top:
                wanted |= np.any(level > k, axis=0)
            which = np.flatnonzero(wanted & (self._places[k] < 0))
            if which.size == 0:
                continue
            mesh = self.mesh.only(which)
            for _ in range(k):
                mesh = mesh.halved()
            self._places[k, which] = len(self._tables) + np.arange(which.size) * 2**k
            self._tables = np.concatenate([self._tables, series_of(mesh)])
            steps = np.stack([mesh.h, np.exp(mesh.phi[:, -1])], axis=1)
            self._steps = np.concatenate([self._steps, steps])

    def _entry(self, s: Array) -> tuple[Array, Array]:
        """Panel from which to sweep, and w there."""
        decay = np.real(np.sqrt(s))
        with np.errstate(divide="ignore"):
            need = np.where(decay > 0, _REACH / np.where(decay > 0, decay, 1.0), np.inf)
        # reach falls along the panels: the last one that is far enough
        first = np.maximum(len(self._reach) - 1 - np.searchsorted(self._reach[::-1], need), 0)
        first = np.where(self._reach[first] >= need, first, 0).astype(np.int64)
        half = 0.5 * self._slope[first]
        over = (s + self._kill[first]) / self._D[first]
        root = np.sqrt(half * half + over)
        down = root - np.minimum(half, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            w = np.where(half >= 0, half + root, np.where(down == 0, 0.0, over / down))
        if self.open and self._power_law:
            # out there D/x² and mu/x are constant: v = x w has v² + v (1 - x phi') = s x²/D
            x, d = self._distance, 0.5 * (1.0 - self._distance * self._slope[0])
            wide = (s + self._kill[0]) * (x * x / self._D[0])
            root = np.sqrt(d * d + wide)
            down = root + max(d, 0.0)
            with np.errstate(divide="ignore", invalid="ignore"):
                last = np.where(d > 0, np.where(down == 0, 0.0, wide / down), root - d) / x
            w = np.where(first > 0, w, last)
        if not (self.open or self.escapes):
            w = np.where(first > 0, w, 0.0)
        return first, np.ascontiguousarray(w.astype(s.dtype))

    # Answers ---------------------------------------------------------------------------------

    def log_laplace(self, s: Array) -> Array:
        """log E[exp(-sT)] for a row of s; shape (len(s), starts)."""
        from resetsgd.passage.riccati import sweep

        s = np.ascontiguousarray(s)
        # log f is proportional to sqrt(s) before s tau overflows
        cap = 1e280 / max(1.0, self._tau.max(), float(np.max(1.0 / self._D)))
        beyond = np.abs(s) > cap
        if beyond.any():
            rest = np.where(beyond, s / cap, 1.0)
            return self.log_laplace(np.where(beyond, cap, s)) * np.sqrt(rest)[:, None]
        size = np.abs(s)
        first, w0 = self._entry(s)
        self._need(size, first, self._depth)
        whole = np.empty((len(s), len(self.marks)), dtype=s.dtype)
        part = np.empty_like(whole)
        sweep(
            s,
            size,
            first,
            w0,
            self.absorbing,
            self._tau,
            self._h,
            self._tables,
            self._places,
            self._steps,
            self._slow,
            self.marks,
            whole,
            part,
        )
        return np.asarray(-(whole + log1p(part)))

    def exposure(self, s: Array) -> Array:
        """E of the integral of exp(-st - killing) up to T; shape (len(s), starts).

        With killing only up to s of ``reachable``.
        """
        from resetsgd.passage.riccati import sourced

        s, size = np.ascontiguousarray(s), np.abs(s)
        first, w0 = self._entry(s)
        top = self._depth if self.mesh.kill is None else self._depth - 1
        self._need(size, first, top)
        out = np.empty((len(s), len(self.marks)), dtype=s.dtype)
        leave = s + self._kill[first]
        with np.errstate(all="ignore"):
            sigma0 = np.where(w0 == 0, 0.0, w0 / np.where(leave == 0, 1.0, leave)).astype(s.dtype)
        sourced(
            s,
            size,
            first,
            w0,
            sigma0,
            self.absorbing,
            self._tau,
            self._h,
            self._tables,
            self._places,
            self._steps,
            self._slow,
            top,
            self.marks,
            out,
        )
        out[(leave == 0) & (w0 != 0)] = np.inf
        return out

    def killing(self) -> Array:
        """Killing rate at the starts."""
        rate = self.field.kill(self.starts)
        return np.zeros(self.starts.shape) if rate is None else rate

    @property
    def reachable(self) -> float:
        """Largest |s| at which ``exposure`` is known with killing."""
        return float(16.0 * 4.0 ** (self._depth - 1) / self._tau.max())

    def _jets(
        self,
        mesh: Mesh,
        tables: Array,
        marks: Places,
        order: int,
        first: int = 0,
        walled: bool = False,
    ) -> Array:
        from resetsgd.passage.riccati import jets

        steps = np.stack([mesh.h, np.exp(mesh.phi[:, -1])], axis=1)
        slope = float(mesh.phi[first] @ spectral().derivative[0] / mesh.h[first])
        w0 = max(slope, 0.0) if (self.open or self.escapes) else 0.0
        if walled:
            w0 = 0.0
        distance = float(self.starts[0]) - float(mesh.left[first])
        if self.open and w0 > 0.0 and distance > 0.0:
            w0 = max(slope - 1.0 / distance, 0.0)  # a power law: what rises by less comes back
        out = np.empty((len(marks), 5))
        jets(order, first, w0, self.absorbing, mesh.tau, tables, steps, marks, out)
        return out

    def _cumulants(self, first: int = 0) -> Array:
        """log of the chance and of the first three cumulants, from a panel on."""
        tables = self._tables[: len(self._tau)]
        low = self._jets(self.mesh, tables, self.marks, 1, first)
        high = self._jets(self.mesh, tables, self.marks, 3, first)
        with np.errstate(all="ignore"):
            mean = low[:, 0] + np.log(low[:, 2])
            square = 2.0 * high[:, 0] + np.log(-2.0 * high[:, 3])
            cube = 3.0 * high[:, 0] + np.log(6.0 * high[:, 4])
        return np.stack([-low[:, 1], mean, square, cube])

    def moments(self) -> Moments:
        """First moments of the passage time; infinite ones as ``inf``."""
        chance, mean, square, cube = rows = self._cumulants()
        if self.open:
            half = int(np.searchsorted(-self._reach, -np.sqrt(self._reach[0] * self.scale)))
            other = self._cumulants(min(half, int(self.marks[0])))
            with np.errstate(all="ignore"):
                settled = np.abs(rows - other) < 1e-6
            mean[~settled[1]] = np.inf
            square[~settled[2]] = np.inf
            cube[~settled[3]] = np.inf
            cube[np.isinf(square)] = np.inf
        with np.errstate(all="ignore"):
            square = np.where(np.isinf(mean), np.inf, np.exp(square - 2.0 * mean))
            cube = np.where(np.isinf(mean), np.inf, np.exp(cube - 3.0 * mean))
        return Moments(chance, mean, square, cube)


def _gap(coarse: Array, fine: Array) -> float:
    """Largest relative difference of moments whose first column is the log of their scale."""
    orders = np.arange(coarse.shape[1]) if coarse.shape[1] > 2 else np.array([0.0, 2.0])
    with np.errstate(all="ignore"):
        orders = np.maximum(orders - 1.0, 0.0) if coarse.shape[1] > 2 else orders
        shift = np.exp((coarse[:, :1] - fine[:, :1]) * orders)
        gap = np.abs(coarse * shift / fine - 1.0)[:, 1:]
    return float(np.max(np.where(fine[:, 1:] == coarse[:, 1:], 0.0, gap)))


def _steep(mesh: Mesh) -> Array:
    """Largest |phi'| on each panel."""
    return np.asarray(np.max(np.abs(apply(mesh.phi, spectral().derivative)), axis=1) / mesh.h)
