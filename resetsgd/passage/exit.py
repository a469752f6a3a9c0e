"""What drift-diffusion does between two ends, at one transform variable.

With l and h the distances to the ends, L = l + h, g = mu/2D and k = sqrt(mu² + 4 D s)/2D, the
transforms at the two ends are exp(-g l) sinh(k h)/sinh(k L) and exp(g h) sinh(k l)/sinh(k L).
Everything here is a sum of positive terms: the transform of the survival instead of one minus that
of the density, averages of positive derivatives instead of differences, and variances as what they
are at either end plus what the choice between the ends adds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from resetsgd.passage.arrangements import log1p, log_sum
from resetsgd.passage.elementary import choose, exp, expm1, hypot, pick, sqrt
from resetsgd.passage.hyperbolic import (
    NODES,
    WEIGHTS,
    average,
    end_excess,
    mean_density,
    mean_rest,
    product_over,
    ramp,
    rise,
    rise_even,
    sinhc,
    start_excess,
    var_density,
    var_rest,
)

__all__ = ["Stretch", "Wave", "close_mean"]

_CLOSE = 3.0
"""Below this width, in units of 1/k, a difference is the average of its derivative."""
_THIN = 1e20
"""Width, in units of 1/k, up to which shares are ratios of ramps, which would underflow beyond."""
_CAPS = (3.0, 6.0, 12.0, 24.0, 48.0)
"""Edges of the panels of an integral over s, in (k - |g|) L."""
_CHUNK = 4096


class Stretch:
    """An interval around a start.

    Parameters
    ----------
    below, above : float or ndarray
        Distances to the lower and to the upper end.
    drift, diffusivity : float or ndarray
        Of the process; positive drift points up.
    """

    def __init__(self, below: Any, above: Any, drift: Any, diffusivity: Any) -> None:
        self.below, self.above = below, above
        self.drift, self.D = drift, diffusivity
        self.whole = below + above
        self.speed = abs(drift)

    def wave(self, s: Any) -> Wave:
        """Solutions at s; k - |g| = (s/D)/(k + |g|) is not taken as a difference."""
        if type(s) is not float and np.iscomplexobj(s):
            root = np.sqrt(self.drift**2 + 4.0 * self.D * s)
        else:
            root = hypot(self.speed, 2.0 * sqrt(self.D) * sqrt(s))
        total = root + self.speed
        return Wave(self, root, 2.0 * (s / pick(total == 0, 1.0, total)))

    def mean(self) -> Any:
        """Mean exit time: the transform of the survival at s = 0, where k = |g|."""
        up = self.drift >= 0
        towards, ahead = pick(up, self.below, self.above), pick(up, self.above, self.below)
        twice = self.speed / self.D
        p, q = twice * towards, twice * ahead
        ends = ramp(q) * towards * start_excess(p) + ramp(p) * ahead * end_excess(q)
        return (towards / self.whole) * product_over(ends, ahead, self.D) / ramp(p + q)

    def nearly_real(self, s: Any) -> tuple[Any, Any, Any]:
        """Where complex s is so close to the real axis that one derivative is enough; both parts.

        There the root of s would hide that everything is even in it.
        """
        real, imaginary = np.real(s), np.imag(s)
        reach = np.abs(real) + self.D / self.whole / self.whole + 0.25 * self.speed**2 / self.D
        near = (real >= 0) & (np.abs(imaginary) < 1e-9 * reach)
        return near, np.where(near, real, 1.0), np.where(near, imaginary, 0.0)

    def first_slope(self) -> Any:
        """d log M/ds at s = 0: mean minus half the second moment over the mean."""
        mean = self.mean()
        return 0.5 * mean - 0.5 * self.wave(np.zeros(())).spread() / mean

    def narrow(self, s: Any) -> Any:
        """Where an integral over the wave number from s = 0 to s is over a smooth function."""
        root = np.hypot(self.speed, 2.0 * np.sqrt(self.D) * np.sqrt(s))
        return (root <= 2.0 * self.speed) | (product_over(self.whole, root, self.D) < 2.0 * _CLOSE)

    def _over(self, function: Callable[[Wave], Any], power: int, s: Any) -> Any:
        """s^-power times the integral of u^(power-1) function(u) du over (0, s), for s > 0.

        Over the root from |mu| to sqrt(mu² + 4 D s), in which the integrand is smooth.
        """
        s, below, above, drift, D = np.broadcast_arrays(
            s, self.below, self.above, self.drift, self.D
        )
        flat = [np.ravel(part) for part in (s, below, above, drift, D)]
        value = np.zeros(s.size)
        for first in range(0, s.size, _CHUNK):
            now = slice(first, first + _CHUNK)
            x, *rest = (part[now] for part in flat)
            stretch = Stretch(*rest)
            whole = stretch.wave(x)
            total = whole.root + stretch.speed
            total = np.where(total > 0, total, 1.0)
            # panels in which the weight exp(-(k - |g|) L) of the far end is smooth
            reach = whole.slow * stretch.whole
            edges = [np.zeros(x.shape), *(np.minimum(cap / reach, 1.0) for cap in _CAPS)]
            edges.append(np.ones(x.shape))
            for low, high in pairwise(edges):
                if not np.any(high > low):
                    continue
                node = low + (high - low) * NODES[:, None]
                slow = whole.slow * node
                root = stretch.speed + 2.0 * stretch.D * slow
                # u/s and (du/dnode)/s
                part = node * (root + stretch.speed) / total
                step = (high - low) * (2.0 * root / total)
                values = function(Wave(stretch, root, slow)) * step * part ** (power - 1)
                value[now] += np.tensordot(WEIGHTS, values, axes=1)
        return value.reshape(s.shape)

    def delay_integral(self, side: str, s: Any) -> Any:
        """Integral of the conditional mean over (0, s), for narrow s."""
        return s * self._over(lambda wave: wave.delay_side(side), 1, s)

    def bend(self, s: Any, exponent: Any, needed: float) -> Any:
        """(E - s E')/s² for E = -log f: the integral of u V(u) over s², V the tilted variance.

        Only where E is below ``needed``; elsewhere 0.
        """
        s, exponent = np.broadcast_arrays(s, exponent)
        shape = np.broadcast_shapes(s.shape, np.shape(self.whole), np.shape(self.drift))
        parts = np.broadcast_arrays(
            s, exponent, self.below, self.above, self.drift, self.D, self.narrow(s), np.empty(shape)
        )[:-1]
        s, exponent, *rest, narrow = (np.ravel(part) for part in parts)
        value = np.zeros(s.size)
        wanted = (exponent < needed) & (s > 0)
        near, far = wanted & narrow, wanted & ~narrow
        if near.any():
            stretch = Stretch(*(part[near] for part in rest))
            value[near] = stretch._over(lambda wave: wave.spread(), 2, s[near])
        if far.any():
            delay = Stretch(*(part[far] for part in rest)).wave(s[far]).delay()
            value[far] = (exponent[far] / s[far] - delay) / s[far]
        return value.reshape(parts[0].shape)


def close_mean(below: Any, above: Any, drift: Any, D: Any, s: Any) -> Any:
    """Transform of the survival over that of the density for 2 k L < 3/2: even in k.

    With S(z) = sinh(z)/z the transform of the density is
    [exp(-g l) h S(k h) + exp(g h) l S(k l)]/(L S(k L)), and S(k L) drops out.
    """
    g, square = 0.5 * drift / D, s / D
    wave = 0.25 * (drift / D) ** 2 + square
    of_low, of_high = sinhc(wave * below * below), sinhc(wave * above * above)
    down, up = exp(-g * below) * of_high, exp(g * above) * of_low
    inner = down * below * rise_even(2.0 * g * below, square * below * below)
    inner = inner + up * above * rise_even(-2.0 * g * above, square * above * above)
    return below / D * above * (inner / (down * above + up * below))


class Wave:
    """Exponents of the two solutions at one s, and what follows from them.

    Parameters
    ----------
    stretch : Stretch
        Where.
    root : ndarray
        sqrt(mu² + 4 D s), real or complex.
    slow : ndarray
        k - |g|, rounded once.
    """

    def __init__(self, stretch: Stretch, root: Any, slow: Any) -> None:
        self.stretch, self.root, self.slow = stretch, root, slow
        self.low = product_over(stretch.below, root, stretch.D)  # 2 k l
        self.high = product_over(stretch.above, root, stretch.D)
        self.both = product_over(stretch.whole, root, stretch.D)
        self.thin = abs(self.both) < _THIN
        self.drop, self.back = self._exponents(stretch.below)  # (k + g) l, (k - g) l
        self.forth, self.climb = self._exponents(stretch.above)  # (k + g) h, (k - g) h

    def _exponents(self, distance: Any) -> tuple[Any, Any]:
        """Distance times k + g and k - g."""
        at = self.stretch
        fast = product_over(distance, 0.5 * self.root + 0.5 * at.speed, at.D)
        rest = distance * self.slow
        up = at.drift >= 0
        return pick(up, fast, rest), pick(up, rest, fast)

    @cached_property
    def ramps(self) -> tuple[Any, Any, Any]:
        """(1 - exp(-z))/z of 2 k l, 2 k h and 2 k L."""
        return ramp(self.low), ramp(self.high), ramp(self.both)

    @cached_property
    def shares(self) -> tuple[Any, Any]:
        """(1 - exp(-2 k h))/(1 - exp(-2 k L)) and the same of l, in this order."""
        whole = self.stretch.whole
        of_low, of_high, of_both = self.ramps

        def share(x: Any, twice: Any, ratio: Any) -> Any:
            return choose(
                self.thin,
                lambda x, whole, ratio, twice, both: (x / whole) * ratio,
                lambda x, whole, ratio, twice, both: expm1(-twice) / expm1(-both),
                x, whole, ratio, twice, self.both,
            )  # fmt: skip

        return (
            share(self.stretch.above, self.high, of_high / of_both),
            share(self.stretch.below, self.low, of_low / of_both),
        )

    def log_side(self, side: str) -> Any:
        """log of the transform at a side: a sum of negative terms."""
        of_high, of_low = self.shares
        if side == "lower":
            exponent, part, rest = self.drop, of_high, np.exp(-self.high) * of_low
        else:
            exponent, part, rest = self.climb, of_low, np.exp(-self.low) * of_high
        small = np.abs(rest) < 0.5
        return np.where(small, log1p(-np.where(small, rest, 0.0)), np.log(part)) - exponent

    def at(self, side: str) -> Any:
        """The transform at a side."""
        of_high, of_low = self.shares
        lower = side == "lower"
        return exp(-self.drop) * of_high if lower else exp(-self.climb) * of_low

    def total(self) -> Any:
        """The transform."""
        return self.at("lower") + self.at("upper")

    def log_total(self) -> Any:
        """log of the transform, as a sum over the sides: for f not next to 1."""
        return log_sum(self.log_side("lower"), self.log_side("upper"))

    def late(self) -> Any:
        """Transform of the survival function, (1 - f)/s; at s = 0 the mean."""
        at = self.stretch
        down, up = rise(self.drop, self.back), rise(self.climb, self.forth)
        of_low, of_high, of_both = self.ramps
        ends = of_high * at.below * down + of_low * at.above * up

        def thin(below: Any, above: Any, whole: Any, D: Any, ends: Any, *rest: Any) -> Any:
            return (below / whole) * product_over(ends, above, D) / rest[0]

        def wide(below: Any, above: Any, *rest: Any) -> Any:
            high_share, low_share, root, low, high, down, up = rest[4:]
            value = high_share * (below / root) * (low * down)
            return value + low_share * (above / root) * (high * up)

        more = (*self.shares, self.root, self.low, self.high, down, up)
        return choose(
            self.thin, thin, wide, at.below, at.above, at.whole, at.D, ends, of_both, *more
        )

    # Moments at real s -----------------------------------------------------------------------

    def _ends(self, side: str) -> tuple[Any, ...]:
        """Distance to the side and to the other end, the same times k, the root, D."""
        at = self.stretch
        ends = (at.below, at.above, 0.5 * self.low, 0.5 * self.high)
        if side == "upper":
            ends = (at.above, at.below, 0.5 * self.high, 0.5 * self.low)
        return (*ends, self.root, at.D)

    def delay_side(self, side: str) -> Any:
        """Mean of the law at a side, tilted by exp(-sT): -d log f_side/ds."""
        ends = self._ends(side)

        def near(x: Any, y: Any, kx: Any, ky: Any, root: Any, D: Any) -> Any:
            mean = average(lambda u: (y + u * x) * mean_density(ky + u * kx), kx)
            return product_over(0.5 * x, mean, D)

        def far(x: Any, y: Any, kx: Any, ky: Any, root: Any, D: Any) -> Any:
            return (x - (mean_rest(ky) - mean_rest(ky + kx)) * (2.0 * D / root)) / root

        return choose(ends[2] < _CLOSE, near, far, *ends)

    def spread_side(self, side: str) -> Any:
        """Variance of the law at a side, tilted by exp(-sT)."""
        ends = self._ends(side)

        def near(x: Any, y: Any, kx: Any, ky: Any, root: Any, D: Any) -> Any:
            full = x + y
            mean = average(lambda u: ((y + u * x) / full) ** 3 * var_density(ky + u * kx), kx)
            unit = product_over(full, full, D)
            return 0.25 * (x / full) * unit * (unit * mean)

        def far(x: Any, y: Any, kx: Any, ky: Any, root: Any, D: Any) -> Any:
            length = 2.0 * D / root
            rest = x - (var_rest(ky) - var_rest(ky + kx)) * length
            return rest / root * (length / root)

        return choose(ends[2] < _CLOSE, near, far, *ends)

    @cached_property
    def tilted(self) -> tuple[Any, Any]:
        """Probabilities of the sides under the weight exp(-sT)."""
        of_high, of_low = self.shares
        tilt = self.drop - self.climb
        ratio = of_low / of_high
        return 1.0 / (1.0 + ratio * np.exp(tilt)), 1.0 / (1.0 + np.exp(-tilt) / ratio)

    def delay(self) -> Any:
        """Mean of the law tilted by exp(-sT): -d log f/ds."""
        lower, upper = self.tilted
        return lower * self.delay_side("lower") + upper * self.delay_side("upper")

    def spread(self) -> Any:
        """Variance of the law tilted by exp(-sT)."""
        lower, upper = self.tilted
        apart = self.delay_side("lower") - self.delay_side("upper")
        within = lower * self.spread_side("lower") + upper * self.spread_side("upper")
        return within + lower * apart * (upper * apart)
