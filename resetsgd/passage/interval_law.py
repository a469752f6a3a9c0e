"""The law of the exit time of drift-diffusion from an interval: images early, eigenmodes late.

At the end at distance x, with y the distance to the other one and L = x + y, the density is

    exp(-g x - g² D t) sum over k of F(x + 2 k L),    F(z) = z/sqrt(4 pi D t³) exp(-z²/4 D t),

or the sum over n of (2 pi D/L²) n sin(n pi x/L) exp(-g x - (n² pi²/L² + g²) D t), g positive for
drift away from that end. Images are taken in pairs, so that what is proportional to a small
distance is a quadrature and not a difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.passage.arrangements import difference_ratio
from resetsgd.passage.base import PassageTime
from resetsgd.passage.exit import Stretch
from resetsgd.passage.hyperbolic import NODES, WEIGHTS, product_over
from resetsgd.protocols import Trial

__all__ = ["IntervalLaw"]

_EARLY = 0.2
"""Time, in L²/D, up to which three pairs of images are used, and from which eight modes are."""
_SQRT_PI = np.sqrt(np.pi)
_CHUNK = 4096
_STEP = 0.1
"""Step of the quadrature over what is still to come, in exp(w - exp(-w)): algebraic and exponential
decay alike, over any number of decades."""


class _End:
    """One end at given times: distance x to it, y to the other, g > 0 for drift away from it."""

    def __init__(self, x: Array, y: Array, drift: Array, D: Array, t: Array) -> None:
        self.x, self.y, self.D, self.t = x, y, D, t
        self.whole = x + y
        self.speed = np.abs(drift)
        self.tilt = -drift / (2.0 * D) * x  # log of the factor that the drift gives
        self.width = 2.0 * np.sqrt(D) * np.sqrt(t)
        self.shift = drift * t  # (x + shift)/width is the leading exponent's root

    def subset(self, mask: Any) -> _End:
        """The same at some of the times; all fields are one-dimensional."""
        parts = (self.x, self.y, self.shift / self.t, self.D, self.t)
        return _End(*(part[mask] for part in parts))

    # Early: images ---------------------------------------------------------------------------

    def _exponent(self, z: Any) -> Any:
        """-g x - g² D t - z²/4 D t."""
        lead = (self.x + self.shift) / self.width
        return -lead * lead - ((z - self.x) / self.width) * ((z + self.x) / self.width)

    def _faded(self, factor: Any, z: Any) -> Any:
        """A factor times the Gaussian, which may be 0 where the factor overflows."""
        fade = np.exp(self._exponent(z))
        return np.where(fade > 0, factor * fade, 0.0)

    def _roots(self, z: Any) -> tuple[Any, Any]:
        reach = self.speed * self.t
        return (z - reach) / self.width, (z + reach) / self.width

    def flux(self, z: Any) -> Any:
        """Density that one image gives."""
        return self._faded(z / self.width / self.t / _SQRT_PI, z)

    def flux_slope(self, z: Any) -> Any:
        """d flux/dz."""
        bend = 1.0 - 2.0 * (z / self.width) ** 2
        return self._faded(bend / self.width / self.t / _SQRT_PI, z)

    def _erfc_pair(self, z: Any) -> tuple[Any, Any]:
        """exp(-g x) times exp(-+|g| z) erfc(root) for both roots."""
        early, late = self._roots(z)
        exponent = self._exponent(z)
        direct = np.exp(self.tilt - 0.5 * self.speed / self.D * z)
        first = np.where(
            early > 0,
            np.exp(exponent) * special.erfcx(np.maximum(early, 0.0)),
            direct * special.erfc(np.minimum(early, 0.0)),
        )
        return first, np.exp(exponent) * special.erfcx(late)

    def come(self, z: Any) -> Any:
        """Integral of the flux over (0, t)."""
        first, second = self._erfc_pair(z)
        return 0.5 * (first + second)

    def come_slope(self, z: Any) -> Any:
        """d come/dz."""
        first, second = self._erfc_pair(z)
        drifted = 0.25 * self.speed / self.D * (first - second)
        return -(drifted + np.exp(self._exponent(z)) / self.width * (2.0 / _SQRT_PI))

    def _occupied(self, z: Any) -> Any:
        """Integral over (0, t) of exp(-g x - g² D u - z²/4Du)/sqrt(4 pi D u) du."""
        early, _ = self._roots(z)
        ratio = difference_ratio(early, 2.0 * self.speed * self.t / self.width)
        direct = np.exp(self.tilt - 0.5 * self.speed / self.D * z)
        return direct * ratio * (2.0 * self.t / self.width)

    def spent(self, z: Any) -> Any:
        """Integral of time times flux over (0, t)."""
        return z * self._occupied(z)

    def spent_slope(self, z: Any) -> Any:
        """d spent/dz."""
        return self._occupied(z) - 0.5 * z / self.D * self.come(z)

    def images(self, term: Callable[[Any], Any], slope: Callable[[Any], Any]) -> Any:
        """Sum over all images of an odd term."""
        near_end = self.x <= self.y
        half = np.minimum(self.x, self.y)
        total = np.where(near_end, term(self.x), 0.0)
        for k in range(3):
            centre = np.where(near_end, 2.0 * k + 2.0, 2.0 * k + 1.0) * self.whole
            left = np.where(near_end | (k > 0), centre - half, self.x)
            direct = term(left) - term(centre + half)
            close = centre / self.width * (half / self.width) < 0.5
            if np.any(close):
                node = (2.0 * NODES - 1.0).reshape(-1, *(1,) * np.ndim(half))
                smooth = np.tensordot(WEIGHTS, slope(centre + half * node), axes=1)
                direct = np.where(close, -2.0 * half * smooth, direct)
            total = total + np.where(near_end, -direct, direct)
        return total

    # Late: eigenmodes ------------------------------------------------------------------------

    def modes(self, power: int) -> Any:
        """Sum over the modes of the density over the power of their rate."""
        n = np.arange(1.0, 9.0).reshape(-1, *(1,) * np.ndim(self.x))
        near_end = self.x <= self.y
        half = np.minimum(self.x, self.y)
        sign = np.where(near_end, 1.0, np.where(n % 2 == 1, 1.0, -1.0))
        unit = self.D / self.whole / self.whole
        drift = (0.5 * self.speed / self.D * self.whole) ** 2
        rate = n * n * np.pi**2 + drift
        exponent = self.tilt - drift * (unit * self.t) - n * n * np.pi**2 * (unit * self.t)
        wave = n * sign * np.sin(n * np.pi * (half / self.whole))
        return np.sum(2.0 * np.pi * wave * np.exp(exponent) / rate**power, axis=0) * unit ** (
            1 - power
        )

    # Both --------------------------------------------------------------------------------------

    def density(self) -> Any:
        """Density of the exit at this end."""
        return self._split(
            lambda end: end.images(end.flux, end.flux_slope), lambda end: end.modes(0)
        )

    def arrived(self) -> Any:
        """Probability to have left here, by images: for early times."""
        return self.images(self.come, self.come_slope)

    @property
    def early(self) -> Any:
        """Where images are used."""
        return self.D / self.whole * (self.t / self.whole) < _EARLY

    def _split(self, images: Callable[[_End], Any], modes: Callable[[_End], Any]) -> Any:
        early = self.early
        value = np.empty(self.t.shape)
        for mask, function in ((early, images), (~early, modes)):
            if mask.any():
                value[mask] = function(self.subset(mask))
        return value

    def tail(self) -> Any:
        """Probability to leave here later than t, with relative accuracy."""

        def quadrature(end: _End) -> Any:
            rate = np.pi**2 * end.D / end.whole / end.whole + end.speed / end.D * end.speed / 4.0
            unit = np.minimum(end.t, 1.0 / rate)
            w = np.arange(-3.75, np.log(np.max(60.0 / rate / unit)), _STEP)
            reach = np.exp(w - np.exp(-w))
            weights = _STEP * reach * (1.0 + np.exp(-w))
            later = np.outer(reach, unit)
            parts = (end.x, end.y, end.shift / end.t, end.D, end.t + later)
            many = _End(*(np.broadcast_to(part, later.shape).ravel() for part in parts))
            return np.tensordot(weights, many.density().reshape(later.shape), axes=1) * unit

        def in_chunks(end: _End) -> Any:
            place = np.arange(end.t.size)
            cuts = np.array_split(place, place.size // _CHUNK + 1)
            return np.concatenate([quadrature(end.subset(cut)) for cut in cuts])

        return self._split(in_chunks, lambda end: end.modes(1))


class IntervalLaw(PassageTime):
    """Survival, density and restricted means of the exit; a part of ``IntervalPassage``."""

    _stretch: Stretch

    def _end(self, side: str, t: Any, given: bool = False) -> tuple[_End, tuple[int, ...], Array]:
        """An end at positive finite times, flattened, in units of L and L²/D; shape and chance.

        ``given``: with the drift toward that end, which does not change the law on condition of it
        but makes the condition likely.
        """
        at = self._stretch
        parts = np.broadcast_arrays(at.below, at.above, at.drift, at.D, t, np.empty(self.shape))
        below, above, drift, D, time, _ = (np.ravel(part) for part in parts)
        whole = below + above
        with np.errstate(all="ignore"):
            slope = product_over(whole, drift, D)
            steep = np.abs(slope) > 1e100
            late = D / whole * (time / whole)
            # beyond: ballistic, a function of drift t/L alone
            late = np.where(steep, np.abs(drift) / whole * time / 1e100, late)
            slope = np.where(steep, np.sign(drift) * 1e100, slope)
            late = np.clip(late, 1e-290, 1e200)
            sign, ends = 1.0, (below / whole, above / whole)
            if side == "upper":
                sign, ends = -1.0, ends[::-1]
            if given:
                sign, slope = -1.0, np.abs(slope)
            # in the units of the wave: the drift is the slope, the diffusivity 1
            wave = Stretch(ends[0], ends[1], sign * slope, np.ones(time.shape)).wave(np.zeros(()))
            chance = wave.at("lower") * np.ones(time.shape)
        end = _End(*ends, sign * slope, np.ones(time.shape), late)
        return end, parts[0].shape, chance

    @property
    def _unit(self) -> Any:
        """D/L²."""
        with np.errstate(all="ignore"):
            return self._stretch.D / self._stretch.whole / self._stretch.whole

    @staticmethod
    def _usable(t: Any) -> tuple[Any, Array]:
        time = np.asarray(t, dtype=np.float64)
        usable = (time > 0) & np.isfinite(time)
        return usable, np.where(usable, np.maximum(time, 1e-290), 1.0)

    def _late_and_come(self, side: str, t: Array, given: bool = False) -> tuple[Array, Array]:
        """Probabilities to leave at a side after t and up to t, each with relative accuracy."""
        end, shape, chance = self._end(side, t, given)
        come, late = np.empty(end.t.shape), np.empty(end.t.shape)
        early = end.early
        if early.any():
            come[early] = end.subset(early).arrived()
        late[~early] = end.subset(~early).tail()
        come[~early] = chance[~early] - late[~early]
        mostly = early & (come > 0.5 * chance)
        if mostly.any():
            late[mostly] = end.subset(mostly).tail()
        rest = early & ~mostly
        late[rest] = chance[rest] - come[rest]
        if given:
            late, come = np.minimum(late / chance, 1.0), come / chance
        return late.reshape(shape), np.maximum(come, 0.0).reshape(shape)

    def _both(self, t: Array) -> tuple[Array, Array]:
        """P(T > t) and P(T <= t), each with relative accuracy."""
        pairs = [self._late_and_come(side, t) for side in ("lower", "upper")]
        late, come = pairs[0][0] + pairs[1][0], pairs[0][1] + pairs[1][1]
        few = come < 0.5
        return np.where(few, 1.0 - come, late), np.where(few, come, 1.0 - late)

    def _survival(self, t: Array) -> Any:
        usable, time = self._usable(t)
        return np.where(usable, self._both(time)[0], np.where(np.asarray(t) > 0, 0.0, 1.0))

    @QUIET
    def _cdf(self, t: Array) -> Any:
        usable, time = self._usable(t)
        return np.where(usable, self._both(time)[1], np.where(np.asarray(t) > 0, 1.0, 0.0))

    def _density_side(self, side: str, t: Array, given: bool = False) -> Any:
        usable, time = self._usable(t)
        end, shape, chance = self._end(side, time, given)
        value = end.density().reshape(shape)
        if given:
            value = value / chance.reshape(shape)
        return np.where(usable & (value > 0), value * self._unit, 0.0)

    def _density(self, t: Array) -> Any:
        return self._density_side("lower", t) + self._density_side("upper", t)

    @QUIET
    def _survival_given(self, side: str, t: Array) -> Any:
        usable, time = self._usable(t)
        late, _ = self._late_and_come(side, time, given=True)
        return np.where(usable, late, np.where(np.asarray(t) > 0, 0.0, 1.0))

    @QUIET
    def _cdf_given(self, side: str, t: Array) -> Any:
        usable, time = self._usable(t)
        _, come = self._late_and_come(side, time, given=True)
        return np.where(usable, np.minimum(come, 1.0), np.where(np.asarray(t) > 0, 1.0, 0.0))

    @QUIET
    def _density_given(self, side: str, t: Array) -> Any:
        return self._density_side(side, t, given=True)

    def _marks(self) -> Any:
        """Most likely times to either end and up to 20 relative widths around them."""
        at = self._stretch
        marks = []
        with np.errstate(all="ignore"):
            for distance in (at.below, at.above):
                centre = distance / np.hypot(at.speed, at.D / distance)
                width = 1.0 / np.sqrt(1.0 + at.speed / at.D * distance)
                for step in (-20.0, -10.0, -5.0, -2.5, -1.0, 0.0, 1.0, 2.5, 5.0, 10.0, 20.0):
                    marks.append(np.broadcast_to(centre * np.exp(step * width), self.shape))
        return np.stack(marks)

    def _duration(self, period: Array) -> Any:
        """E[min(T, period)] for positive finite periods."""
        low, shape, _ = self._end("lower", period)
        high = self._end("upper", period)[0]
        value = np.empty(low.t.shape)
        early = low.early
        mean = np.broadcast_to(self.mean(), shape)
        if early.any():
            ends = [end.subset(early) for end in (low, high)]
            late = np.broadcast_to(self._both(period)[0], shape).ravel()[early]
            spent = sum(end.images(end.spent, end.spent_slope) for end in ends)
            value[early] = late + spent / ends[0].t
        value[~early] = sum(end.subset(~early).modes(2) for end in (low, high))
        value, early = value.reshape(shape), early.reshape(shape)
        with np.errstate(all="ignore"):
            left = np.where(value > 0, value / self._unit, 0.0)
            value = np.where(early, np.clip(value, 0.0, 1.0) * period, mean - left)
        return np.minimum(value, np.minimum(period, mean))

    @QUIET
    def restricted_mean(self, tau: RealLike) -> Real:
        """Restricted mean E[min(T, tau)], from the same sums."""
        tau = np.asarray(domain.nonnegative("tau", tau, infinite=True))
        usable, time = self._usable(tau)
        return domain.plain(
            np.where(usable, self._duration(time), np.where(tau > 0, self.mean(), 0.0))
        )

    @QUIET
    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time: closed sums at s = 0, quadrature elsewhere."""
        period = np.asarray(period, dtype=np.float64)
        if np.any(np.asarray(s) != 0) or not np.all(np.isfinite(period) & (period > 0)):
            return super().trial_fixed(period, s)
        duration, come = self._duration(period), self._both(period)[1]
        log_success = np.log(come)
        return Trial(log_success, np.log(duration) - log_success)
