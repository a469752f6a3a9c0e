"""Transfer operators: the generating function of a Markov chain's first passage, by collocation.

With z = exp(-u), K the kernel between positions before the target and c the chance to leave in one
step, the generating function G = E[z^N] and v = 1 - G solve equations of the second kind,

    G = z (c + K G),        v = (1 - z) + z K v.

Both are solved, the first accurate in relative terms where G is small, the second where v is. The
solution is a polynomial on each of a few panels; the kernel is integrated against it exactly, so
that a panel may be wider than a jump.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.polynomial.legendre import leggauss, legvander
from scipy import linalg

from resetsgd.domain import Array
from resetsgd.passage.one_thread import one_thread

__all__ = ["Kernel", "Panels", "Transfer", "assemble"]

_INNER = 20
"""Nodes of a piece on which the kernel is integrated."""
_FEW_STEPS, _MOST_STEPS = 0.7, 60
"""From this u on as many steps are summed: 2^-60 is left."""
_TINY = 1e-3
"""Generating functions below are solved one by one: their small parts stay accurate."""


class Kernel(Protocol):
    """One step of a Markov chain on the line, the target at or below the lowest position."""

    def centre(self, x: Any) -> Any:
        """Where the step from x starts from: y = centre(x) + v."""

    def density(self, x: Array, v: Array) -> Array:
        """Density of v from x, 1/length; arrays of one shape."""

    def pieces(self, x: float) -> Array:
        """Ends of pieces of v on each of which the density from x is a short polynomial."""

    def leaves(self, x: Array) -> Array:
        """Chance to be at the target after one step from x."""


class Panels:
    """A piecewise polynomial over panels, in the position or in its logarithm.

    Parameters
    ----------
    edges : ndarray
        Ends of the panels, rising.
    order : int
        Nodes of a panel.
    logarithmic : ndarray of bool, optional
        Panels that are polynomial in log(position).
    tail : float
        If positive, one more panel from the last edge X to infinity, polynomial in (X/y)^tail.
    """

    def __init__(
        self, edges: Array, order: int, logarithmic: Any = False, tail: float = 0.0
    ) -> None:
        self.edges, self.order, self.tail = edges, order, tail
        self.logarithmic = np.broadcast_to(logarithmic, len(edges) - 1)
        nodes, weights = leggauss(order)
        self.local = nodes
        degrees = np.arange(order)
        self.basis = (degrees[:, None] + 0.5) * (legvander(nodes, order - 1) * weights[:, None]).T
        self.count = len(edges) - 1 + (tail > 0)
        self.end = float(edges[-1])
        self.nodes = np.concatenate([self._positions(j) for j in range(self.count)])

    def _positions(self, j: int) -> Array:
        if j == len(self.edges) - 1:
            return np.asarray(self.end * (0.5 * (1.0 + self.local)) ** (-1.0 / self.tail))
        low, high = self.edges[j], self.edges[j + 1]
        if self.logarithmic[j]:
            return np.asarray(low * np.exp(0.5 * (1.0 + self.local) * np.log(high / low)))
        return np.asarray(0.5 * (low + high) + 0.5 * (high - low) * self.local)

    def coordinates(self, panel: Any, y: Array) -> Array:
        """Local coordinate in (-1, 1) of positions y in the panels given."""
        inner = np.minimum(panel, len(self.edges) - 2)
        low, high = self.edges[inner], self.edges[inner + 1]
        value = (2.0 * y - low - high) / (high - low)
        logs = self.logarithmic[inner]
        if logs.any():
            ratio = np.log(np.where(logs, high / np.where(low > 0, low, 1.0), np.e))
            above = np.log(np.where(logs & (y > 0), y / np.where(low > 0, low, 1.0), 1.0))
            value = np.where(logs, 2.0 * above / ratio - 1.0, value)
        if self.tail > 0:
            far = panel == len(self.edges) - 1
            value = np.where(
                far, 2.0 * (self.end / np.maximum(y, self.end)) ** self.tail - 1, value
            )
        return np.asarray(value)

    def values(self, panel: Any, y: Array) -> Array:
        """Lagrange polynomials of the panel at y, last axis of length ``order``."""
        return np.asarray(legvander(self.coordinates(panel, y), self.order - 1) @ self.basis)


def _cut(panels: Panels, kernel: Kernel, x: Array) -> tuple[Array, Array, Array, Array]:
    """Pieces of v on which kernel and polynomials are smooth: row, panel, low, high.

    In v, not in y: far out the sum of a position and a jump would lose the jump.
    """
    rows, lows, highs = [], [], []
    for i, place in enumerate(x):
        pieces = kernel.pieces(float(place))
        edges = panels.edges - kernel.centre(place)
        ceiling = np.inf if panels.tail > 0 else edges[-1]
        cuts = np.union1d(pieces, edges)
        cuts = cuts[(cuts >= max(pieces[0], edges[0])) & (cuts <= min(pieces[-1], ceiling))]
        if len(cuts) > 1:
            rows.append(np.full(len(cuts) - 1, i))
            lows.append(cuts[:-1])
            highs.append(cuts[1:])
    row = np.concatenate([np.empty(0, int), *rows])
    low = np.concatenate([np.empty(0), *lows])
    high = np.concatenate([np.empty(0), *highs])
    middle = kernel.centre(x)[row] + 0.5 * (low + high)
    panel = np.searchsorted(panels.edges, middle, side="right") - 1
    return row, np.clip(panel, 0, panels.count - 1), low, high


def assemble(panels: Panels, kernel: Kernel, x: Array) -> Array:
    """Matrix of K: values at the nodes to the expectation after a step from each x."""
    matrix = np.zeros((len(x), panels.count, panels.order))
    row, panel, low, high = _cut(panels, kernel, x)
    nodes, weights = leggauss(_INNER)
    for first in range(0, len(row), 4096):
        part = slice(first, first + 4096)
        half = 0.5 * (high[part] - low[part])[:, None]
        v = 0.5 * (high[part] + low[part])[:, None] + half * nodes
        place = np.broadcast_to(x[row[part], None], v.shape)
        chance = half * weights * kernel.density(place, v)
        wide = np.broadcast_to(panel[part, None], v.shape)
        ends = np.append(panels.edges, np.inf)
        y = np.clip(kernel.centre(place) + v, ends[wide], ends[wide + 1])
        parts = np.einsum("mg,mgp->mp", chance, panels.values(wide, y))
        np.add.at(matrix, (row[part].astype(int), panel[part].astype(int)), parts)
    return matrix.reshape(len(x), -1)


class Transfer:
    """The generating function of the first passage of a chain, from given starts.

    Parameters
    ----------
    kernel : Kernel
        One step.
    panels : Panels
        Positions before the target.
    starts : ndarray, shape (k,)
        Where the chain starts.
    decay : callable, optional
        u -> kappa: beyond the last panel G falls as exp(-kappa y). Without it, nothing is there.
    """

    def __init__(
        self,
        kernel: Kernel,
        panels: Panels,
        starts: Array,
        decay: Callable[[Array], Array] | None = None,
    ) -> None:
        self.kernel, self.panels, self.decay = kernel, panels, decay
        self.compact = decay is None and panels.tail == 0
        x = panels.nodes
        self.matrix = assemble(panels, kernel, x)
        self.leaves = kernel.leaves(x)
        self.starts = starts
        self.far = starts > panels.end if panels.tail == 0 else np.zeros(starts.shape, bool)
        near = np.where(self.far, panels.end, starts)
        self.rows = assemble(panels, kernel, near)
        self.row_leaves = kernel.leaves(near)
        self.last = np.zeros(len(x))
        inner = len(panels.edges) - 2
        order = panels.order
        self.last[inner * order : (inner + 1) * order] = panels.values(inner, np.array(panels.end))
        total = self.matrix.sum(axis=1) + self.leaves
        if decay is not None:
            self._beyond(kernel, np.concatenate([x, near]))
            total = total + self.beyond.sum(axis=1)
        # Chances add to one: rounding in them would count once for each step of a long passage.
        self.matrix[np.diag_indices(len(x))] += 1.0 - total

    def _beyond(self, kernel: Kernel, x: Array) -> None:
        """Nodes beyond the last panel, and the kernel's weights on them from each x."""
        end = self.panels.end
        top = max(
            float(kernel.centre(place) + kernel.pieces(float(place))[-1])
            for place in (end, x.max())
        )
        step = float(np.min(np.diff(np.unique(kernel.pieces(end)))))
        count = int(np.clip(np.ceil((top - end) / step), 1, 80))
        edges = end + (top - end) * np.linspace(0.0, 1.0, count + 1)
        shelf = Panels(edges, 12)
        beyond = assemble(shelf, kernel, x)
        self.gap = shelf.nodes - end
        self.beyond, self.row_beyond = np.split(beyond, [len(self.panels.nodes)])

    @cached_property
    def longest(self) -> float:
        """Mean number of steps before the target from where it is largest."""
        if self.decay is not None:
            return 1e3  # beyond the last panel nothing is computed step by step
        return float(np.max(np.abs(self._series[0])))

    @cached_property
    def _series(self) -> Array:
        """w, w' and w''/2 at z = 1 of w = (1 - z K)^-1 1, one elimination."""
        one, zero = np.ones((len(self.matrix), 1)), np.zeros(1)
        first = self._positively(zero, one)
        second = self._positively(zero, self.matrix @ first)
        third = self._positively(zero, self.matrix @ second)
        return np.stack([first[:, 0], second[:, 0], third[:, 0]])

    def _positively(self, u: Array, right: Array) -> Array:
        """(1 - z K)^-1 right for one u, by sums of positive terms.

        Grassmann, Taksar and Heyman's elimination: pivots are sums of chances, never differences,
        so that nothing is lost where the chance to arrive in a step is tiny.
        """
        z = np.exp(-u[0])
        chance, stop = z * self.matrix, z * self.leaves - np.expm1(-u[0])
        x = right + 0.0 * stop[:, None]
        pivots = np.empty_like(stop)
        for k in range(len(x) - 1, -1, -1):
            pivots[k] = stop[k] + chance[k, :k].sum()
            share = chance[:k, k] / pivots[k]
            chance[:k, :k] += np.multiply.outer(share, chance[k, :k])
            stop[:k] += share * stop[k]
            x[:k] += np.multiply.outer(share, x[k])
        for k in range(len(x)):
            x[k] = (x[k] + chance[k, :k] @ x[:k]) / pivots[k]
        return np.asarray(x)

    def patient(self, u: Array) -> tuple[Array, Array]:
        """log G and 1 - G for u so small that rounding would count for each of many steps."""
        out = np.empty((len(u), len(self.starts)), dtype=u.dtype)
        log_value = np.empty_like(out)
        both = np.stack([np.ones(len(self.matrix)), self.leaves], axis=-1)
        for i, point in enumerate(u):
            z, rise = np.exp(-point), np.expm1(-point)
            if np.abs(point) * self.longest < 1e-5:
                first, second, third = self._series
                solved = first + rise * (second + rise * third)
                out[i] = -rise * (1.0 + z * (self.rows @ solved))
                log_value[i] = np.log1p(-out[i])
            else:
                solved = self.rows @ self._positively(u[i : i + 1], both)
                out[i] = -rise * (1.0 + z * solved[:, 0])
                log_value[i] = np.log(self.row_leaves + z * solved[:, 1]) - point
        return log_value, out

    @cached_property
    def _schur(self) -> tuple[Any, Any]:
        # the real form, made triangular, takes half the time of the complex one
        triangle, unitary = linalg.rsf2csf(*linalg.schur(self.matrix, output="real"))
        return triangle, unitary

    def solve(self, u: Array) -> tuple[Array, Array]:
        """G and v = 1 - G at the starts for u = -log z.

        Parameters
        ----------
        u : ndarray, shape (m,)
            Real or complex.

        Returns
        -------
        log_generating, one_minus : ndarray, shape (m, starts)
        """
        with one_thread():
            return self._directly(u) if len(u) < 4 else self._all(u)

    def _all(self, u: Array) -> tuple[Array, Array]:
        """The same, each part in the way that is accurate and quick there."""
        value = np.empty((len(u), len(self.starts)), dtype=np.result_type(u, np.float64))
        one_minus = np.empty_like(value)
        late = np.real(u) > _FEW_STEPS
        steps = np.abs(np.imag(u)) < 1e-12 * np.abs(u)
        for way, which in (
            (self._by_steps, late),
            (self._batched, ~late & steps),
            (self._batched, ~late & ~steps),
        ):
            part = np.flatnonzero(which)
            if part.size:
                value[part], one_minus[part] = way(u[part])
        near = np.real(value + u[:, None]) < np.log(_TINY)
        small = np.flatnonzero(~late & near.any(axis=1))
        for first in range(0, len(small), 48):
            part = small[first : first + 48]
            value[part], one_minus[part] = self._directly(u[part], shift=False)
        return self._shifted(u, value, one_minus)

    def _waves(self, u: Any) -> tuple[Any, Any, Any]:
        """Beyond the last panel: its decay, the fall of G and the rise of 1 - G over 1 - z."""
        kappa = self.decay(u)  # type: ignore[misc]
        drop = np.multiply.outer(kappa, self.gap)
        return kappa, np.exp(-drop), -np.expm1(-drop) / -np.expm1(-u)[:, None]

    def _shifted(self, u: Array, log_value: Array, one_minus: Array) -> tuple[Array, Array]:
        """The same from the starts beyond the last panel, where the end stands in for them."""
        if self.decay is None or not self.far.any():
            return log_value, one_minus
        gap = np.where(self.far, self.starts - self.panels.end, 0.0)
        drop = np.multiply.outer(self.decay(u), gap)
        one_minus = np.where(self.far, one_minus * np.exp(-drop) - np.expm1(-drop), one_minus)
        return np.where(self.far, log_value - drop, log_value), one_minus

    @cached_property
    def _chances(self) -> tuple[Array, Array]:
        """Chances to leave, and to step on each place beyond, after k steps within the panels.

        From the starts and, last, from the end of the panels: shapes (k, rows) and (k, rows, gaps).
        """
        row = np.vstack([self.rows, self.last])
        leave, beyond = [], []
        for _ in range(_MOST_STEPS):
            leave.append(row @ self.leaves)
            beyond.append(row @ self.beyond if self.decay is not None else np.empty((len(row), 0)))
            row = row @ self.matrix
        return np.array(leave), np.array(beyond)

    def _by_steps(self, u: Array) -> tuple[Array, Array]:
        """Step by step, where few steps count: sums of positive terms, whatever their size."""
        z = np.exp(-u)
        powers = z[:, None] ** np.arange(_MOST_STEPS)
        leave, beyond = self._chances
        inside = powers @ leave
        value = self.row_leaves + z[:, None] * inside[:, :-1]
        if self.decay is not None:
            _, fall, _ = self._waves(u)
            paths = np.tensordot(powers, beyond, axes=(1, 0))
            back = np.einsum("mkg,mg->mk", paths, fall)
            end = inside[:, -1:] / (1.0 - z[:, None] * back[:, -1:])
            value = value + z[:, None] * end * (
                fall @ self.row_beyond.T + z[:, None] * back[:, :-1]
            )
        log_value = np.log(value) - u[:, None]
        return log_value, -np.expm1(log_value)

    def _batched(self, u: Array) -> tuple[Array, Array]:
        """By back substitution in the Schur form, all u at once.

        A tiny imaginary part, of a complex step, is taken through the derivative: the Schur form is
        complex itself, and would drown it in rounding. What lies beyond the last panel is a change
        of the matrix of rank one.
        """
        steps = bool(np.all(np.abs(np.imag(u)) < 1e-12 * np.abs(u)))
        step = np.imag(u)[:, None] if np.iscomplexobj(u) and steps else None
        point = np.real(u) if steps else u
        triangle, unitary = self._schur
        z = np.exp(-point)
        kinds = 2 if self.decay is None else 3
        right = np.zeros((len(triangle), kinds, len(u)), dtype=complex)
        right[:, 0] = (unitary.conj().T @ self.leaves)[:, None]
        right[:, 1] = unitary.conj().T.sum(axis=1)[:, None]
        rows = np.vstack([self.rows, self.last]) @ unitary
        fall: Any = None
        rise: Any = None
        turn: Any = None
        if self.decay is not None:
            _, fall, rise = self._waves(point)
            project = unitary.conj().T @ self.beyond
            right[:, 1] += project @ (z[:, None] * rise).T
            right[:, 2] = project @ fall.T
        x, pushed = self._substituted(z, right)
        found = self._put_together(point, np.einsum("kj,jcm->mkc", rows, x), fall, rise, steps)
        if step is None:
            return found[0], found[1]
        # d/du of (1 - z M) x = right
        push = -z * pushed
        if self.decay is not None:
            h = 1e-30
            _, turn_fall, turn_rise = self._waves(point * (1.0 + h * 1j))
            turn = tuple(part.imag / (h * point[:, None]) for part in (turn_fall, turn_rise))
            push[:, 1] += project @ (z[:, None] * (turn[1] - rise)).T
            push[:, 2] += project @ turn[0].T
        slope, _ = self._substituted(z, push)
        slopes = np.einsum("kj,jcm->mkc", rows, slope).real
        change, change_minus = self._put_together(
            point, np.einsum("kj,jcm->mkc", rows, x), fall, rise, steps, slopes, turn
        )
        return found[0] + 1j * step * change, found[1] + 1j * step * change_minus

    def _put_together(
        self,
        u: Array,
        solved: Array,
        fall: Any,
        rise: Any,
        real: bool,
        slopes: Any = None,
        turn: Any = None,
    ) -> tuple[Array, Array]:
        """log G and 1 - G from solutions seen from the starts and the end; or their slopes in u."""
        solved = solved.real if real else solved
        z, rest = np.exp(-u)[:, None], -np.expm1(-u)[:, None]
        far = 0.0 if fall is None else fall @ self.row_beyond.T
        risen = 0.0 if rise is None else rise @ self.row_beyond.T
        seen, end = solved[:, :-1], solved[:, -1:]
        parts, ends = [seen[..., 0], seen[..., 1]], []
        if fall is not None:
            closed = 1.0 / (1.0 - z * end[..., 2])
            ends = [end[..., c] * closed for c in (0, 1)]
            parts = [parts[c] + z * ends[c] * seen[..., 2] for c in (0, 1)]
        shelf = [ends[c] * far if ends else 0.0 for c in (0, 1)]
        inside = self.row_leaves + z * (parts[0] + shelf[0])
        tail = 1.0 + z * (parts[1] + shelf[1] + risen)
        if slopes is None:
            return np.log(inside) - u[:, None], rest * tail
        seen_slope, end_slope = slopes[:, :-1], slopes[:, -1:]
        changes = []
        for c in (0, 1):
            part_slope, shelf_slope = seen_slope[..., c], 0.0
            if fall is not None:
                bent = z * (end_slope[..., 2] - end[..., 2])  # of z times what comes back
                turned_end = (end_slope[..., c] + ends[c] * bent) * closed
                part_slope = part_slope + z * (
                    (turned_end - ends[c]) * seen[..., 2] + ends[c] * seen_slope[..., 2]
                )
                shelf_slope = turned_end * far + ends[c] * (turn[0] @ self.row_beyond.T)
                if c == 1:
                    shelf_slope = shelf_slope + turn[1] @ self.row_beyond.T
            total = parts[c] + shelf[c] + (risen if c == 1 else 0.0)
            changes.append(z * (part_slope + shelf_slope - total))
        return changes[0] / inside - 1.0, z * tail + rest * changes[1]

    def _substituted(self, z: Array, right: Any) -> tuple[Any, Any]:
        """x = (1 - z T)^-1 right for each z, and T x; ``right`` has the shape (n, 2, m)."""
        triangle = self._schur[0]
        n = len(triangle)
        x = np.zeros((n, right.shape[1] * len(z)), dtype=complex)
        pushed = np.zeros_like(x)
        right = right.reshape(n, -1)
        kinds = x.shape[1] // len(z)
        z = np.tile(z, kinds)
        block = 32  # rows above a block see it in one product of matrices
        for last in range(n, 0, -block):
            first = max(0, last - block)
            for i in range(last - 1, first - 1, -1):
                tail = pushed[i] + triangle[i, i + 1 : last] @ x[i + 1 : last]
                x[i] = (right[i] + z * tail) / (1.0 - z * triangle[i, i])
                pushed[i] = tail + triangle[i, i] * x[i]
            pushed[:first] += triangle[:first, first:last] @ x[first:last]
        return x.reshape(n, kinds, -1), pushed.reshape(n, kinds, -1)

    def _directly(self, u: Array, shift: bool = True) -> tuple[Array, Array]:
        """One elimination for each u."""
        z, rest = np.exp(-u), -np.expm1(-u)
        n = len(self.matrix)
        system = np.eye(n) - z[:, None, None] * self.matrix
        right = np.empty((len(u), n, 2), dtype=system.dtype)
        right[..., 0] = self.leaves
        right[..., 1] = 1.0
        if self.decay is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                _, fall, rise = self._waves(u)
            system = system - (z[:, None] * (fall @ self.beyond.T))[..., None] * self.last
            right[..., 1] += z[:, None] * (rise @ self.beyond.T)
        x = np.linalg.solve(system, right)
        inside = self.row_leaves + z[:, None] * (x[..., 0] @ self.rows.T)
        tail = 1.0 + z[:, None] * (x[..., 1] @ self.rows.T)
        if self.decay is not None:
            end = np.einsum("j,mjc->mc", self.last, x)
            inside = inside + z[:, None] * end[:, :1] * (fall @ self.row_beyond.T)
            tail = tail + z[:, None] * (
                end[:, 1:] * (fall @ self.row_beyond.T) + rise @ self.row_beyond.T
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            log_value = -u[:, None] + np.log(inside)
        one_minus = rest[:, None] * tail
        return self._shifted(u, log_value, one_minus) if shift else (log_value, one_minus)
