"""The law of the passage with a reflecting wall: first reflection early, eigenmodes late.

With z = x + 2 y the way by the wall and a = -g sqrt(D), the early survival is the one without the
wall less exp(-g x - g² D t) H, H the inverse transform of exp(-z sqrt(p/D))/(sqrt(p) + a)²; what is
neglected has been twice over the stretch. The modes are the roots of theta = G tan(theta),
G = g L, one of them imaginary for G > 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.passage.base import PassageTime
from resetsgd.passage.drift_diffusion import DriftDiffusionPassage
from resetsgd.passage.hyperbolic import NODES, WEIGHTS
from resetsgd.passage.inverse_table import InverseTable
from resetsgd.protocols import Trial

__all__ = ["WallLaw"]

_LATE = 0.2
"""Time, in L²/D, from which eight modes are used."""
_FAR = 40.0
"""Square of the neglected way over 4 D t, up to which the first reflection is enough."""
_SQRT_PI = np.sqrt(np.pi)


def _modes(G: Array) -> tuple[Array, Array]:
    """Squares of the first eight roots of theta = G tan(theta), and the factor of each mode.

    The factor is [theta/sin theta]/[sin theta/theta + cos theta (theta cot theta - 1)/theta²],
    from which the way x/L enters by sin(theta x/L)/theta.
    """
    n = np.arange(8.0).reshape(-1, *(1,) * G.ndim)
    low, high = n * np.pi + 0.0 * G, (n + 1.0) * np.pi + 0.0 * G
    for _ in range(64):
        middle = 0.5 * (low + high)
        value = (middle * np.cos(middle) - G * np.sin(middle)) * np.where(n % 2 == 0, 1.0, -1.0)
        low, high = np.where(value > 0, middle, low), np.where(value > 0, high, middle)
    theta = 0.5 * (low + high)
    bottom, top = np.zeros_like(G), np.maximum(G, 1.0)
    for _ in range(64):  # theta = i phi, phi = G tanh(phi)
        middle = 0.5 * (bottom + top)
        inside = G * np.tanh(middle) > middle
        bottom, top = np.where(inside, middle, bottom), np.where(inside, top, middle)
    phi = 0.5 * (bottom + top)
    hidden = (n == 0) & (G > 1.0)
    square = np.where(hidden, -(phi**2), theta**2)
    tiny = np.abs(square) < 1e-3
    y = np.where(tiny, square, 0.0)
    cot = -(1.0 / 3 + y * (1.0 / 45 + y * (2.0 / 945 + y * (1.0 / 4725 + y * 2.0 / 93555))))
    safe = np.where(tiny, 1.0, theta)
    sin, cos = np.sin(safe), np.cos(safe)
    slope = np.where(tiny, cot, (safe * cos / sin - 1.0) / safe**2)
    sinc = np.where(tiny, 1.0 - y / 6 * (1 - y / 20 * (1 - y / 42 * (1 - y / 72))), sin / safe)
    cosine = np.where(tiny, 1.0 - y / 2 * (1 - y / 12 * (1 - y / 30 * (1 - y / 56))), cos)
    factor = 1.0 / sinc / (sinc + cosine * slope)
    # for theta = i phi the same is phi² G sech²(phi)/(1 - G sech²(phi))
    sech = 1.0 / np.cosh(np.minimum(phi, 350.0)) ** 2
    deep = G * sech / (1.0 - G * sech)
    return square, np.where(hidden & ~tiny, deep * phi * phi, factor)


class WallLaw(PassageTime):
    """Survival, density and restricted means; a part of ``WallPassage``."""

    _free: DriftDiffusionPassage
    _x: Array
    _y: Array
    _L: Array
    _nu: Array
    _D: Array

    @property
    def _ends(self) -> tuple[Array, Array]:
        """Times up to which the first reflection is enough and from which the modes are."""
        way = self._x + 2.0 * self._L
        first = way / self._D * (way / (4.0 * _FAR))
        return first, np.maximum(first, _LATE * (self._L / self._D) * self._L)

    def _reflected(self, t: Array, density: bool) -> Any:
        """What the wall adds to the density, or takes from the survival, at early times."""
        z, g = self._x + 2.0 * self._y, 0.5 * self._nu / self._D
        width = 2.0 * np.sqrt(self._D) * np.sqrt(t)
        lead = (self._x + self._nu * t) / width
        gauss = np.exp(-lead * lead - ((z - self._x) / width) * ((z + self._x) / width))
        root = (z - self._nu * t) / width
        a = -0.5 * self._nu * (np.sqrt(t) / np.sqrt(self._D))  # a sqrt(t)
        direct = np.exp(-g * (self._x + z)) * special.erfc(np.minimum(root, 0.0))
        tail = np.where(root > 0, gauss * special.erfcx(np.maximum(root, 0.0)), direct)
        if density:
            drifted = 2.0 * g * self._D * (2.0 / _SQRT_PI * gauss / width) + self._nu * g * tail
            return np.nan_to_num(z / width / t / _SQRT_PI * gauss + drifted)
        # 0 times inf: out of reach
        return np.nan_to_num(tail * (1.0 + 2.0 * a * root) - (2.0 / _SQRT_PI) * a * gauss)

    def _late(self, t: Array, power: int, until: Array | None = None) -> Any:
        """Sum over the modes of the density over the power of their rate, or how much it falls."""
        G = np.clip(0.5 * self._nu / self._D * self._L, -1e15, 1e15)
        G = np.broadcast_to(G, self.shape)
        G = G.reshape((1,) * (np.ndim(t) - G.ndim) + G.shape)
        square, factor = _modes(G)
        unit = self._D / self._L / self._L
        share = self._x / self._L
        size = np.sqrt(np.abs(square))
        hidden = square < 0
        phi = np.where(hidden, size, 0.0)
        sech = 1.0 / np.cosh(np.minimum(phi, 350.0))
        rate = np.where(hidden & (phi > 0.03), (G * sech) ** 2, square + G * G)
        tilt = -G * share
        open_ = np.where(size > 0, np.sin(size * share) / np.where(size > 0, size, 1.0), share)
        wave = np.where(hidden, 0.0, open_) * np.exp(np.where(hidden, 0.0, tilt))
        shut = np.exp(tilt + phi * share) * -np.expm1(-2.0 * phi * share) / 2.0
        shut = np.where(phi > 0, shut / np.where(phi > 0, phi, 1.0), share)
        wave = np.where(hidden, shut, wave)
        terms = 2.0 * wave * factor * np.exp(-rate * (unit * t)) / rate**power
        if until is not None:
            terms = terms * -np.expm1(-rate * (unit * (until - t)))
        return np.sum(np.nan_to_num(terms), axis=0) * unit ** (1 - power)

    def _pieces(self, t: Array, early: Any, middle: Any, late: Any) -> Any:
        """Choose by time; only what is needed is evaluated."""
        first, last = self._ends
        value = np.zeros(np.broadcast_shapes(np.shape(t), self.shape))
        for mask, function in (
            (t <= first, early),
            ((t > first) & (t < last), middle),
            ((t >= last) & (t > first), late),
        ):
            if np.any(mask):
                value = np.where(mask, function(t), value)
        return value

    def _survival(self, t: Array) -> Any:
        usable = (t > 0) & np.isfinite(t)
        time = np.where(usable, np.maximum(t, 1e-290), 1.0)
        value = self._pieces(
            time,
            lambda u: self._free._survival(u) - self._reflected(u, density=False),
            lambda u: PassageTime._survival(self, u),
            lambda u: self._late(u, 1),
        )
        ballistic = np.where(time < np.asarray(self.mean()), 1.0, 0.0)
        value = np.where(np.isnan(value), ballistic, value)
        return np.where(usable, value, np.where(np.asarray(t) > 0, 0.0, 1.0))

    def _density(self, t: Array) -> Any:
        usable = (t > 0) & np.isfinite(t)
        time = np.where(usable, np.maximum(t, 1e-290), 1.0)
        value = self._pieces(
            time,
            lambda u: self._free._density(u) + self._reflected(u, density=True),
            lambda u: PassageTime._density(self, u),
            lambda u: self._late(u, 0),
        )
        return np.where(usable & ~np.isnan(value), value, 0.0)

    def _marks(self) -> Any:
        return np.broadcast_to(self._free._marks(), (14, *self.shape))

    def _early_duration(self, t: Array) -> Any:
        """E[min(T, t)] before the first reflection is not enough: without the wall, less a part."""
        z = self._x + 2.0 * self._y
        start = np.minimum(t, z / self._D * (z / 3000.0))  # nothing is back before
        ratio = np.log(t / start)
        lost: Any = 0.0
        node = NODES.reshape(-1, *(1,) * np.ndim(ratio))
        for k in range(8):
            times = start * np.exp(ratio * (k + node) / 8.0)
            part = np.tensordot(WEIGHTS, times * self._reflected(times, density=False), axes=1)
            lost = lost + part * ratio / 8.0
        return np.asarray(self._free.restricted_mean(t)) - lost

    def _duration(self, period: Array) -> Any:
        """E[min(T, period)]."""
        first, last = self._ends
        value = self._early_duration(np.minimum(period, first))
        if np.any(period > first):
            gap = np.maximum(np.minimum(period, last) - first, 0.0)
            node = NODES.reshape(-1, *(1,) * np.ndim(gap))
            for k in range(2):
                times = first + gap * (k + node) / 2.0
                part = np.tensordot(WEIGHTS, np.asarray(self.survival(times)), axes=1)
                value = value + 0.5 * gap * part
        if np.any(period > last):
            more = self._late(last * np.ones_like(period), 2, np.maximum(period, last))
            value = np.where(period > last, value + more, value)
        # the wall takes from the law without it: next to the target they cancel to rounding
        return np.fmin(np.maximum(value, 0.0), np.minimum(period, np.asarray(self.mean())))

    @QUIET
    def restricted_mean(self, tau: RealLike) -> Real:
        """Restricted mean E[min(T, tau)]."""
        tau = np.asarray(domain.nonnegative("tau", tau, infinite=True))
        usable = (tau > 0) & np.isfinite(tau)
        value = self._duration(np.where(usable, tau, 1.0))
        return domain.plain(np.where(usable, value, np.where(tau > 0, self.mean(), 0.0)))

    @QUIET
    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time: from the law at s = 0, quadrature elsewhere."""
        period = np.asarray(period, dtype=np.float64)
        if np.any(np.asarray(s) != 0) or not np.all(np.isfinite(period) & (period > 0)):
            return super().trial_fixed(period, s)
        log_success = np.log1p(-np.asarray(self.survival(period)))
        return Trial(log_success, np.log(self._duration(period)) - log_success)

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """By inversion of a table of the law."""
        if "_table" not in self.__dict__:
            self._table = InverseTable.of(self)
        return self._table(generator.random((n, *self.shape)))
