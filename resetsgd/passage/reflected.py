"""What drift-diffusion does between a target and a reflecting wall, at one transform variable.

With x and y the distances from the start to target and wall, L = x + y, g = nu/2D, nu the drift
toward the wall, and k = sqrt(nu² + 4 D s)/2D, the transform is exp(-g x) N(y)/N(L),
N(z) = k cosh k z - g sinh k z. Everything here is in units in which nothing overflows, and a sum of
positive terms.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from resetsgd.passage.arrangements import exp_excess, log1p, log_sum
from resetsgd.passage.elementary import choose, exp, hypot, ordinary, pick, sqrt
from resetsgd.passage.hyperbolic import (
    NODES,
    WEIGHTS,
    cosh,
    fall_moment,
    product_over,
    ramp,
    rise,
    rise_even,
    scale,
    sinhc,
)

__all__ = [
    "Reach",
    "Wave",
    "exponent_parts",
    "finite",
    "log_mean_ratio",
    "log_transform",
    "mean_ratio",
    "mean_slope",
    "nearly_real",
]

_PANELS = np.linspace(0.0, 20.0, 11)
"""Edges of the quadrature panels at either end, in units of 1/k."""


class Reach(NamedTuple):
    """Distances to target and wall and between them, drift toward the wall, diffusivity."""

    x: Any
    y: Any
    L: Any
    nu: Any
    D: Any


class Wave:
    """Exponents at one s; x from start to target, y from start to wall, L = x + y.

    The transform is exp(-g x) N(y)/N(L), N(z) = k cosh k z - g sinh k z, with g > 0 for drift
    toward the wall; ``norm(z)`` is 2 exp(-k z) N(z)/k, a sum of positive terms.
    """

    def __init__(self, at: Reach, s: Any) -> None:
        speed, D = abs(at.nu), at.D
        if type(s) is not float and np.iscomplexobj(s):
            root = np.sqrt(at.nu**2 + 4.0 * D * s)
        else:
            root = hypot(speed, 2.0 * sqrt(D) * sqrt(s))
        still = root == 0
        full = pick(still, 1.0, root)
        slow = 2.0 * (s / (full + speed))  # k - |g|
        away = at.nu >= 0
        large = pick(still, 1.0, (full + speed) / full)  # (k + |g|)/k
        small = pick(still, 1.0, 2.0 * D * (slow / full))
        fast, rest = product_over(at.x, 0.5 * root + 0.5 * speed, D), at.x * slow
        self.at, self.root = at, root
        self.a, self.b = pick(away, large, small), pick(away, small, large)
        self.drop = pick(away, fast, rest)  # (k + g) x
        self.back = pick(away, rest, fast)  # (k - g) x
        self.near, self.behind, self.whole = (product_over(z, root, D) for z in (at.x, at.y, at.L))

    def norm(self, twice: Any) -> Any:
        """(k - g)/k + (k + g)/k exp(-2 k z), from 2 k z."""
        return self.b + self.a * exp(-twice)

    def log_norm(self, twice: Any) -> Any:
        """Its logarithm, also where it underflows."""
        return log_sum(np.log(self.b), np.log(self.a) - twice)

    def numerator(self) -> Any:
        """W norm(2 k L), W the transform of the survival function."""
        at = self.at
        first = self.norm(self.behind) * at.x * rise(self.drop, self.back)
        second = 2.0 * at.y * ramp(self.near) * ramp(self.behind)
        return product_over(first + second, at.x, at.D)

    def late(self) -> Any:
        """Transform of the survival, (1 - f)/s; at s = 0 the mean."""
        return self.over(self.numerator())

    def over(self, factor: Any) -> Any:
        """factor/norm(2 k L), also where the norm underflows."""
        norm = self.norm(self.whole)
        if (type(norm) is not float and np.iscomplexobj(norm)) or ordinary(norm > 1e-290):
            return factor / norm
        deep = norm < 1e-290
        half = np.exp(np.where(deep, 0.5 * self.whole, 0.0))
        rest = self.a + np.exp(np.where(deep, np.log(self.b) + self.whole, 0.0))
        return np.where(deep, factor * half / rest * half, factor / np.where(deep, 1.0, norm))

    def log_late(self) -> Any:
        """Its logarithm, finite where it overflows."""
        return np.log(self.numerator()) - self.log_norm(self.whole)

    def log_far(self) -> Any:
        """log of the transform where it is not next to 1."""
        if np.iscomplexobj(self.root):
            return self.log_norm(self.behind) - self.log_norm(self.whole) - self.drop
        ratio = np.log(self.b) - np.log(self.a)
        zero = np.zeros(())
        outward = np.logaddexp(zero, ratio + self.whole) - np.logaddexp(zero, ratio + self.behind)
        inward = np.logaddexp(zero, -ratio - self.behind) - np.logaddexp(zero, -ratio - self.whole)
        return np.where(ratio + self.behind < 0, self.back - outward, inward - self.drop)

    def bend(self) -> Any:
        """(E - s E')/s² norm(2 k L)² for E = -log f, with s² = over(s)² norm².

        The integral of 8 z³ m(2kz)/(D norm(2kz))² over y < z < L, m being ``fall_moment``. In
        panels of 2/k at either end; in between the integrand is flat or negligible. For E below
        about 2; half the variance at s = 0.
        """
        at = self.at
        unit = np.where(self.root > 0, 2.0 * at.D / np.where(self.root > 0, self.root, 1.0), np.inf)
        half, unit = np.broadcast_arrays(0.5 * at.x, unit)
        edges = np.minimum(_PANELS.reshape(-1, *(1,) * half.ndim) * np.minimum(unit, 1e300), half)
        edges = np.where(np.isinf(unit) & (edges > 0), half, edges)
        edges = np.concatenate([edges, (2.0 * half - edges)[::-1]])
        full = self.norm(self.whole)
        deep = full < 1e-290
        lift = np.where(deep, self.whole, 0.0)
        bottom = self.b * np.exp(np.where(deep, lift, 0.0))
        full = np.where(deep, bottom + self.a, full)
        total: Any = 0.0
        for low, high in pairwise(edges):
            if not np.any(high > low):
                continue
            node = NODES.reshape(-1, *(1,) * half.ndim)
            place = at.y + (low + (high - low) * node)
            twice = product_over(place, self.root, at.D)
            scaled = 2.0 * place * (full / (bottom + self.a * np.exp(lift - twice)))
            value = fall_moment(twice) * product_over(scaled, scaled * place, at.D)
            total = total + (high - low) * np.tensordot(WEIGHTS, value, axes=1)
        return total * 2.0 / at.D

    def delay(self) -> Any:
        """E'(s) where E is not small."""
        at = self.at
        over = np.exp(-self.behind) * self.a / self.norm(self.behind)
        far = np.exp(-self.whole) * self.a / self.norm(self.whole)
        g = 0.5 * at.nu / at.D
        # 1/(k - g) - 1/(k + g) = 2 g/(k² - g²) = 2 g D/s
        apart = (over - far) * (2.0 * g * at.D / self._s_of_root())
        return (at.x - 2.0 * (at.L * far - at.y * over) + apart) / self.root

    def _s_of_root(self) -> Any:
        return self.drop / self.at.x * (self.back / self.at.x) * self.at.D


def finite(value: Any) -> Any:
    """What overflows on the way has overflowed."""
    return np.where(np.isnan(value), np.inf, value)


def log_transform(at: Reach, s: Any) -> Any:
    """log of the transform; in scaled units."""
    wave = Wave(at, s)
    with np.errstate(all="ignore"):
        missing, far = wave.over(wave.numerator() * s), wave.log_far()
    small = np.abs(missing) < 0.5
    value = np.where(small, log1p(-np.where(small, missing, 0.0)), far)
    value = np.where(np.asarray(s) == 0, 0.0, value)
    if not np.iscomplexobj(s):
        return value
    near, real, tilt = nearly_real(at, s)
    if not np.any(near):
        return value
    exponent, _, gain = exponent_parts(at, real)
    slope = np.where(real > 0, gain / np.where(real > 0, real, 1.0), Wave(at, real).late())
    return np.where(near, -exponent - 1j * tilt * slope, value)


def nearly_real(at: Reach, s: Any) -> tuple[Any, Any, Any]:
    """Where one derivative is enough, the real and the imaginary part; see ``Stretch``."""
    real, imaginary = np.real(s), np.imag(s)
    # the slowest mode, that of drift to the wall, is exponentially slow
    slow = np.exp(-np.maximum(at.nu / at.D * at.L, 0.0))
    reach = np.abs(real) + at.D / at.L / at.L * slow
    near = (real >= 0) & (np.abs(imaginary) < 1e-9 * reach)
    return near, np.where(near, real, 1.0), np.where(near, imaginary, 0.0)


def mean_ratio(at: Reach, s: Any, time: Any) -> Any:
    """W/f, in which N(L) drops out; by halves where 1/f overflows before the product does."""
    wave = Wave(at, s)
    norm, numerator = wave.norm(wave.behind), scale(wave.numerator(), time)
    usual = (norm > 1e-200) & (wave.drop < 200.0)
    if ordinary(usual):
        return numerator / norm * exp(wave.drop)
    half = np.exp(-0.5 * log_transform(at, s))
    far = finite(half * scale(wave.late(), time) * half)
    return np.where(usual, numerator / norm * np.exp(wave.drop), far)


def log_mean_ratio(at: Reach, s: Any) -> Any:
    """log(W/f) for complex s: where k L is small by functions that are even in k."""
    root = np.hypot(at.nu, 2.0 * np.sqrt(at.D) * np.sqrt(s.real))
    near = product_over(at.L, root, at.D) < 1.5
    return choose(near, _log_close, _log_wide, at.x, at.y, at.L, at.nu, at.D, s)


def _log_close(x: Any, y: Any, L: Any, nu: Any, D: Any, s: Any) -> Any:
    g, square = 0.5 * nu / D, s / D
    wave = 0.25 * (nu / D) ** 2 + square
    of_y = sinhc(wave * y * y)
    behind = cosh(wave * y * y) - g * y * of_y
    ahead = np.exp(g * x) * y * of_y * sinhc(wave * x * x) / behind
    return np.log(x / D * (x * rise_even(2.0 * g * x, square * x * x) + ahead))


def _log_wide(*parts: Any) -> Any:
    wave = Wave(Reach(*parts[:5]), parts[5])
    return np.log(wave.numerator()) + wave.drop - wave.log_norm(wave.behind)


def exponent_parts(at: Reach, rate: Any) -> tuple[Any, Any, Any]:
    """E, E - r E' and r E'."""
    exponent = -log_transform(at, rate)
    wave = Wave(at, rate)
    with np.errstate(all="ignore"):
        over = wave.over(rate)
        bend, direct = wave.bend() * over * over, rate * wave.delay()
        small = exponent < 2.0
        gain = np.where(small, exponent - bend, direct)
        return exponent, np.where(small, bend, exponent - direct), gain


def mean_slope(at: Reach, rate: Any) -> Any:
    """d log M/d log r, exact also where it changes sign."""
    exponent, bend, gain = exponent_parts(at, rate)
    small = exponent < 1.0
    near = exp_excess(np.where(small, exponent, 0.0)) - bend
    return np.where(small, near, gain + np.expm1(-exponent)) / -np.expm1(-exponent)
