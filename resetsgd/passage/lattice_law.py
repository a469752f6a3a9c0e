"""The law of a passage time in whole steps, from its generating function."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import DomainError, NotConverged
from resetsgd.protocols import Sharp

if TYPE_CHECKING:
    from resetsgd.passage.lattice_time import LatticeTime
    from resetsgd.passage.optimum import Optimum

__all__ = ["TOLERANCE", "Law", "best_period"]

TOLERANCE = 1e-10
"""Largest estimated relative error of a generating function that is returned."""
_FIRST = 32
"""Steps known from a circle in the z plane; later ones from parabolas in the u plane."""
_CIRCLE, _RADIUS = 128, 0.78
_NODES, _SPAN = 28, 4.0
_FEW = 1e-3
"""Chance to have arrived below which it is computed for itself, with relative accuracy."""

Generate = Callable[[Array], tuple[Array, Array, Array]]


class Law:
    """P(N > n) and its sums, for several passage times side by side.

    Parameters
    ----------
    generate : callable
        u -> log G, 1 - G, relative error; see ``LatticeTime``.
    size : int
        Number of passage times.
    """

    def __init__(self, generate: Generate, size: int) -> None:
        self._generate, self._size = generate, size
        self._windows: dict[int, tuple[Array, Array, Array]] = {}
        self._early: dict[tuple[int, int], float] = {}
        self._all = np.empty((0, size))

    @cached_property
    def _start(self) -> Array:
        """P(N > n) for n <= 32, by a discrete Fourier transform over a circle."""
        angles = 2 * np.pi * np.arange(_CIRCLE // 2 + 1) / _CIRCLE
        u = -np.log(_RADIUS) - 1j * angles
        minus = self._generate(u)[1]
        tail = minus / -np.expm1(-u)[:, None]
        # z = radius exp(i angle): the coefficient of z^n is the mean of Q z^-n over the circle
        series = np.fft.irfft(np.conj(tail), _CIRCLE, axis=0)[: _FIRST + 1]
        series = series / _RADIUS ** np.arange(_FIRST + 1)[:, None]
        series[0] = 1.0
        return np.clip(series, 0.0, 1.0)

    def _window(self, index: int) -> tuple[Array, Array, Array]:
        """Nodes u, their weights and (1 - G)/(1 - z) there, for times from 32 * 4^index on.

        Parabola of Weideman and Trefethen, Math. Comp. 76, 1341 (2007), for a ratio of times of 4.
        """
        if index not in self._windows:
            root = np.sqrt(8.0 * _SPAN + 1.0)
            last = _FIRST * _SPAN ** (index + 1)
            mu = np.pi * _NODES / (4.0 * root) / last
            theta = (np.arange(_NODES) + 0.5) * root / _NODES
            nodes = mu * (1j * theta + 1.0) ** 2
            weights = 2.0 * mu * (1j * theta + 1.0) * (root / _NODES) / np.pi
            _, minus, error = self._generate(nodes)
            tail = minus / -np.expm1(-nodes)[:, None]
            size = np.abs(weights * np.exp(nodes * last / _SPAN))[:, None] * np.abs(tail)
            worst = np.sum(np.where(size <= 1e-13, 0.0, size * np.clip(error, 1e-15, 1.0)), axis=0)
            if not np.all(worst <= 1e-8):
                raise NotConverged(f"law of whole steps: estimated error {np.max(worst):.1e}")
            self._windows[index] = nodes, weights, tail
        return self._windows[index]

    def _inverted(self, n: Array, which: Array, divided: bool) -> Array:
        """P(N > n), or its sum from 0 to n, for n > 32, from the windows."""
        out = np.empty(n.shape)
        ratio = np.log(n / _FIRST) / np.log(_SPAN)
        index = np.clip(np.ceil(ratio * (1 - 1e-12)) - 1, 0, None).astype(int)
        for window in np.unique(index):
            nodes, weights, tail = self._window(int(window))
            here = np.flatnonzero(index == window)
            factor = 1.0 / -np.expm1(-nodes) if divided else 1.0
            for first in range(0, here.size, 2**14):
                part = here[first : first + 2**14]
                waves = np.exp(np.multiply.outer(n[part], nodes)) * (weights * factor)
                out[part] = np.einsum("ij,ji->i", waves, tail[:, which[part]]).real
        return out

    def survival(self, n: Array, which: Any) -> Array:
        """P(N > n); absolute error about 1e-12."""
        n = np.asarray(n, dtype=np.float64)
        first = n <= _FIRST
        out = self._start[np.where(first, n, 0).astype(int), which]
        if not first.all():
            out[~first] = np.clip(self._inverted(n[~first], which[~first], False), 0.0, 1.0)
        return np.asarray(out)

    def partial_sum(self, n: Array, which: Any) -> Array:
        """Sum of P(N > m) over 0 <= m < n."""
        n = np.asarray(n, dtype=np.float64) - 1.0
        first = n <= _FIRST
        sums = np.cumsum(self._start, axis=0)
        out = sums[np.where(first, np.maximum(n, 0), 0).astype(int), which]
        out = np.where(n < 0, 0.0, out)
        if not first.all():
            out[~first] = self._inverted(n[~first], which[~first], True)
        return out

    def all_until(self, last: int) -> Array:
        """P(N > n) for every n <= last, shape (last + 1, size)."""
        if len(self._all) <= last:
            size = max(last + 1, 2 * len(self._all), 64)
            n = np.repeat(np.arange(size, dtype=np.float64), self._size)
            which = np.tile(np.arange(self._size), size)
            table = self.survival(n, which).reshape(size, self._size)
            self._all = np.minimum.accumulate(table, axis=0)
        return self._all[: last + 1]

    def log_arrived(self, n: Array, which: Any) -> Array:
        """log P(N <= n), accurate in relative terms."""
        with np.errstate(divide="ignore"):
            out = np.log1p(-self.survival(n, which))
        for i in np.flatnonzero((out < np.log(_FEW)) & (np.asarray(n) > 0)):
            key = (int(n[i]), int(which[i]))
            if key not in self._early:
                self._early[key] = self._few(*key)
            out[i] = self._early[key]
        return np.where(np.asarray(n) == 0, -np.inf, out)

    @cached_property
    def _saddles(self) -> tuple[Array, Array]:
        """log G on a grid of real u, to find saddle points on."""
        grid = np.geomspace(1e-10, 300.0, 80)
        return grid, np.real(self._generate(grid)[0])

    def _few(self, n: int, which: int) -> float:
        """log P(N <= n) where it is small: through the saddle point of exp(u n) G/(1 - z)."""
        grid, log_value = self._saddles
        exponent = grid * n + log_value[:, which] - np.log(-np.expm1(-grid))
        exponent = np.where(np.isfinite(exponent), exponent, np.inf)
        saddle = float(grid[int(np.argmin(exponent))])
        saddle = max(saddle, 4.0 / n)
        root = np.sqrt(saddle)
        if 2.0 * root * 6.3 / np.sqrt(n) < 3.0:  # a parabola, the steepest path of diffusion
            y = np.arange(0.0, 6.4, 0.3) / np.sqrt(n)
            nodes = (root + 1j * y) ** 2
            weights = 2.0 * (root + 1j * y) * (y[1] - y[0]) / np.pi
            weights[0] *= 0.5
        else:  # the whole circle
            count = int(max(64, 2 * np.ceil(3.0 * n)))
            angles = 2 * np.pi * (np.arange(count // 2) + 0.5) / count
            nodes = saddle + 1j * angles
            weights = np.full(nodes.shape, 2.0 / count, dtype=complex)
        log_g, _, error = self._generate(nodes)
        log_terms = nodes * n + log_g[:, which] - np.log(-np.expm1(-nodes))
        top = float(np.max(np.real(log_terms)))
        terms = weights * np.exp(log_terms - top)
        total = float(np.sum(terms).real)
        worst = float(np.sum(np.abs(terms) * np.minimum(error[:, which], 1.0)))
        if not worst <= TOLERANCE * total:
            raise NotConverged(f"chance to arrive within {n} steps: estimated error {worst:.1e}")
        return float(np.log(total) + top)


def best_period(free: LatticeTime) -> Optimum:
    """The best fixed period, searched over whole steps.

    All up to 4096 steps, then a grid of 40 a decade over eight decades beyond the median, refined
    around its smallest value.
    """
    from resetsgd.passage.optimum import Optimum

    if free.shape:
        raise DomainError("best", free, "asked of one passage time at a time (scalar parameters)")
    never = float(free.mean())
    scale = float(free.timescale()) / free.step
    highest = max(4096.0, 1e8 * scale)
    steps = np.unique(np.concatenate([
        np.arange(1.0, 4097.0),
        np.floor(np.geomspace(4096.0, highest, int(40 * np.log10(highest / 4096.0)) + 2)),
    ]))  # fmt: skip

    def mean(n: Any) -> Any:
        which = np.zeros(n.shape, dtype=int)
        arrived = 1.0 - free._table.survival(n, which)
        with np.errstate(divide="ignore"):
            value = free.step * free._table.partial_sum(n, which) / arrived
        return np.where(arrived > 1e-9, value, np.inf)

    values = mean(steps)
    for _ in range(60):
        place = int(np.argmin(values))
        low, high = steps[max(place - 1, 0)], steps[min(place + 1, steps.size - 1)]
        new = np.unique(np.floor(np.linspace(low, high, 16)))
        new = new[~np.isin(new, steps)]
        if not new.size:
            break
        steps, order = np.unique(np.concatenate([steps, new]), return_index=True)
        values = np.concatenate([values, mean(new)])[order]
    place = int(np.argmin(values))
    value, period = float(values[place]), float(steps[place] * free.step * (1 + 4e-15))
    pays = value < never * (1.0 - 1e-11)
    if np.isinf(never):
        reason = "reset-free mean is infinite"
    else:
        cv = float(free.cv())
        reason = f"CV {cv:.6g} {'>' if cv > 1 else '<='} 1"
        if not pays:
            reason += f" and every period is slower than the reset-free mean {never:.6g}"
    return Optimum(
        Sharp(period=period if pays else np.inf),
        value if pays else never,
        never,
        pays,
        "interior" if pays else "none",
        reason,
    )
