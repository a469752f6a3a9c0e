"""Exit of drift-diffusion from an interval, in closed form and arranged for float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.arrangements import exp_excess, log1p, sinh_excess
from resetsgd.passage.closed import scale_of_means
from resetsgd.passage.elementary import choose, each, ordinary, slope
from resetsgd.passage.exit import Stretch, Wave, close_mean
from resetsgd.passage.hyperbolic import log_scaled, product_over, scale, units
from resetsgd.passage.interval_law import IntervalLaw
from resetsgd.passage.placed import Placed
from resetsgd.passage.sided import Sided, Splitting
from resetsgd.processes import DriftDiffusion
from resetsgd.protocols import Trial

__all__ = ["IntervalPassage"]


class IntervalPassage(Placed, IntervalLaw, Sided):
    r"""First passage of :class:`~resetsgd.DriftDiffusion` out of an interval, at either end.

    With l and h the distances to the lower and the upper end, L = l + h,
    :math:`g = \mu/2D` and :math:`k = \sqrt{\mu^2 + 4 D s}/2D`, the transforms at the two ends are
    :math:`e^{-g l} \sinh(k h)/\sinh(k L)` and :math:`e^{g h} \sinh(k l)/\sinh(k L)`.

    Parameters
    ----------
    process : DriftDiffusion
        What moves.
    start : float or array
        Position, length, strictly between the ends; arrays broadcast.
    target : tuple of two
        The ends, low before high.

    Raises
    ------
    DomainError
        If a position is not finite, the start is not inside, or a distance leaves float64.

    Notes
    -----
    Accuracy: relative error of moments, transform, splitting and their restarted versions at most
    (8 + 2 kappa) machine epsilons, kappa the condition number with respect to drift, diffusivity
    and the two distances; see docs/accuracy.md. Survival, density and distribution function are
    sums of images (early) or of eigenfunctions (late), with a relative error of about 1e-12 also
    where they are small. Draws invert a table of the law.

    **Source**: S. Redner, *A Guide to First-Passage Processes* (2001), section 2.2; A. Pal and
    V. V. Prasad, PRE 99, 032123 (2019). Derived in ``theory/02_interval.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
    >>> T = rs.first_passage(walk, start=0.5, target=(0.0, 1.0))
    >>> T.mean(), T.splitting()
    (0.125, Splitting(lower=0.5, upper=0.5))
    """

    sources = ("redner2001", "pal2019")
    derivation = "theory/02_interval.py"

    def __init__(
        self, process: DriftDiffusion, start: RealLike, target: tuple[RealLike, RealLike]
    ) -> None:
        low, high = (np.asarray(domain.finite("target", end)) for end in target)
        place = np.asarray(domain.finite("start", start))
        self._shape = domain.broadcast(
            start=place, low=low, high=high, drift=process.drift, diffusivity=process.diffusivity
        )
        with np.errstate(over="ignore"):
            below, above = place - low, high - place
        if not (np.all(below > 0) and np.all(above > 0)):
            raise DomainError("start", start, f"strictly between the ends of the target {target!r}")
        parts = below, above, np.asarray(process.drift), np.asarray(process.diffusivity)
        with np.errstate(over="ignore"):
            self._stretch = Stretch(*parts)
        self._parts = parts if self._shape else tuple(map(float, parts))
        if not np.isfinite(self._stretch.whole).all():
            raise DomainError("target", target, "an interval whose length is within float64")
        self.process = process
        self.start = domain.plain(place)
        self.target = (domain.plain(low), domain.plain(high))

    def _like(self, value: Any) -> Real:
        return domain.plain(np.broadcast_to(value, self._shape))

    def _at(self, s: Any) -> tuple[Stretch, Any, Any]:
        """The stretch and s in units in which nothing overflows, and the exponent of the time."""
        at = self._stretch
        return _scaled(at.below, at.above, at.drift, at.D, s)

    def _free(self) -> tuple[Wave, Any]:
        """The wave at s = 0, and the exponent of the time unit."""
        stretch, s, time = self._at(np.zeros(()))
        return stretch.wave(s), time

    # Transform -------------------------------------------------------------------------------

    def _log_laplace(self, s: Any) -> Any:
        return _exponent(*self._at(s)[:2])

    def _log_laplace_side(self, side: str, s: Any) -> Any:
        stretch, s, _ = self._at(s)
        if not np.iscomplexobj(s):
            return stretch.wave(s).log_side(side)
        near, at, tilt = stretch.nearly_real(s)
        value = stretch.wave(s).log_side(side)
        if not np.any(near):
            return value
        wave = stretch.wave(at)
        return np.where(near, wave.log_side(side) - 1j * tilt * wave.delay_side(side), value)

    @QUIET
    def _log_laplace_given(self, side: str, s: Any) -> Any:
        direct = self._log_laplace_side(side, s) - self._log_chance(side)
        if np.iscomplexobj(s):
            return direct
        stretch, s, _ = self._at(s)
        near = stretch.narrow(s)
        if not np.any(near):
            return direct
        return np.where(near, -stretch.delay_integral(side, np.where(near, s, 0.0)), direct)

    @QUIET
    def splitting(self) -> Splitting:
        """Probabilities to leave at either end.

        Returns
        -------
        Splitting
            ``lower`` and ``upper``, with relative accuracy also where they are small.
        """
        wave, _ = self._free()
        return Splitting(self._like(wave.at("lower")), self._like(wave.at("upper")))

    # Moments ---------------------------------------------------------------------------------

    def mean(self) -> Real:
        """Mean exit time."""
        mean = each(_mean, *self._parts)
        return mean if type(mean) is float else self._like(mean)

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean."""
        stretch, _, time = self._at(np.zeros(()))
        return self._like(log_scaled(stretch.mean(), time))

    @QUIET
    def var(self) -> Real:
        """Variance: that at either end, and what the choice between them adds."""
        wave, time = self._free()
        return self._like(scale(wave.spread(), 2 * time))

    @QUIET
    def cv(self) -> Real:
        """Coefficient of variation, also where mean or variance leave float64."""
        wave, _ = self._free()
        return self._like(np.sqrt(wave.spread()) / wave.stretch.mean())

    def _mean_side(self, side: str) -> Any:
        wave, time = self._free()
        return scale(wave.delay_side(side), time)

    def _log_mean_side(self, side: str) -> Any:
        wave, time = self._free()
        return log_scaled(wave.delay_side(side), time)

    def _var_side(self, side: str) -> Any:
        wave, time = self._free()
        return scale(wave.spread_side(side), 2 * time)

    def timescale(self) -> Array:
        """A typical time of arrival."""
        scale = scale_of_means(self)
        return super().timescale() if scale is None else scale

    # Under exponential resetting -------------------------------------------------------------

    @QUIET
    def trial_exponential(self, rate: Any, s: Any = 0.0) -> Trial:
        """Trial against an exponential waiting time: M = W/f, W the transform of the survival."""
        stretch, x, time = self._at(np.asarray(rate + s))
        if not np.iscomplexobj(x):
            log_f, late = _exponent_and_late(stretch, x)
            mean = _ratio(late, log_f, x, time)
            usable = (mean > 1e-290) & (mean < 1e300)
            apart = np.log(late) + time * np.log(2.0) - log_f
            log_mean = np.where(usable, np.log(np.where(usable, mean, 1.0)), apart)
            return Trial(log_f, log_mean, mean)
        log_f = _exponent(stretch, x)
        log_mean = np.log(stretch.wave(x).late()) - log_f
        near, at, tilt = stretch.nearly_real(x)
        if np.any(near):
            # d log M/ds = (s E'/(1 - exp(-E)) - 1)/s, by the slope that does not cancel
            exponent = -_exponent(stretch, at)
            late = stretch.wave(at).late()
            slope = _slope(stretch, np.where(at > 0, at, 1.0), exponent)
            slope = np.where(at > 0, slope / np.where(at > 0, at, 1.0), stretch.first_slope())
            log_mean = np.where(near, np.log(late) + exponent + 1j * tilt * slope, log_mean)
        return Trial(log_f, log_mean + time * np.log(2.0))

    def mean_exponential(self, rate: Any) -> Any:
        """Mean under exponential waiting times."""
        return each(_mean_under, *self._parts, rate)

    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean)/d log(rate), exact also where it changes sign."""
        value = slope(_log_mean_under, *self._parts, rate)
        return np.where(np.asarray(rate) > 0, value, 0.0)

    @QUIET
    def var_exponential(self, rate: Any) -> Any:
        """Variance 2 exp(E) [(sinh E - E) + (E - r E')]/r², E = -log f."""
        stretch, rate, time = self._at(np.asarray(rate, dtype=np.float64))
        exponent = -_exponent(stretch, rate)
        small, positive = exponent < 2.0, np.where(rate > 0, rate, 1.0)
        tame = np.where(small, exponent, 0.0)
        bend = stretch.bend(positive, exponent, 2.0)
        near = 2.0 * np.exp(tame) * (sinh_excess(tame) / positive / positive + bend)
        half = np.exp(0.5 * exponent)
        rest = -np.expm1(-2.0 * exponent) - 2.0 * rate * stretch.wave(rate).delay() * np.exp(
            -exponent
        )
        far = (scale(half / positive, time) * half * np.sqrt(rest)) ** 2
        value = np.where(small, scale(near, 2 * time), far)
        return np.where((rate > 0) & (exponent > 0), value, self.var())


def _scaled(below: Any, above: Any, drift: Any, D: Any, s: Any) -> tuple[Stretch, Any, Any]:
    """The stretch and s in units in which nothing overflows, and the exponent of the time."""
    length, time = units(below + above, D, drift, s)
    if type(time) is int:
        return Stretch(below, above, drift, D), s, time
    drift = scale(drift, time - length)
    # beyond Péclet number 1e100 nothing but the variance would change, by that factor
    D = np.maximum(scale(D, time - 2 * length), np.maximum(1e-100 * np.abs(drift), 1e-290))
    stretch = Stretch(scale(below, -length), scale(above, -length), drift, D)
    return stretch, scale(s, time), time


def _mean(below: Any, above: Any, drift: Any, D: Any) -> Any:
    """Mean exit time."""
    stretch, _, time = _scaled(below, above, drift, D, 0.0)
    return scale(stretch.mean(), time)


def _mean_under(below: Any, above: Any, drift: Any, D: Any, rate: Any) -> Any:
    """W/f: by halves where 1/f overflows before the product does."""
    stretch, rate, time = _scaled(below, above, drift, D, rate)
    wave = stretch.wave(rate)
    late, total = scale(wave.late(), time), wave.total()
    if ordinary(total > 1e-280):
        return late / total
    half = np.exp(-0.5 * wave.log_total())
    return np.where(np.isinf(half), half, half * late * half)


def _log_mean_under(below: Any, above: Any, drift: Any, D: Any, rate: Any) -> Any:
    """log of W/f in scaled units, for complex rates."""
    stretch, rate, _ = _scaled(below, above, drift, D, rate)
    root = np.hypot(stretch.speed, 2.0 * np.sqrt(stretch.D) * np.sqrt(rate.real))

    def close(*parts: Any) -> Any:
        return np.log(close_mean(*parts))

    def wide(below: Any, above: Any, drift: Any, D: Any, rate: Any) -> Any:
        wave = Stretch(below, above, drift, D).wave(rate)
        late, total = wave.late(), wave.total()
        usual = (np.abs(total) > 1e-280) & (np.abs(late) > 1e-280)
        value = np.log(np.where(usual, late / total, 1.0))
        if usual.all():
            return value
        # beyond, the walker has to come straight away: W = 1/s, and f is an exponential
        return np.where(usual, value, -np.log(rate) - wave.log_total())

    near = product_over(stretch.whole, root, stretch.D) < 1.5
    parts = stretch.below, stretch.above, stretch.drift, stretch.D, rate
    return choose(near, close, wide, *parts)


def _exponent(stretch: Stretch, s: Any) -> Any:
    """log of the transform; in scaled units."""
    return _exponent_and_late(stretch, s)[0]


def _exponent_and_late(stretch: Stretch, s: Any) -> tuple[Any, Any]:
    """log of the transform and the transform of the survival; in scaled units."""
    wave = stretch.wave(s)
    late = wave.late()
    missing = s * late
    small = np.abs(missing) < 0.5
    value = log1p(-np.where(small, missing, 0.0))
    if not np.all(small):
        value = np.where(small, value, wave.log_total())
    if np.iscomplexobj(s):
        near, at, tilt = stretch.nearly_real(s)
        if np.any(near):
            slope = stretch.wave(at).delay()
            value = np.where(near, _exponent(stretch, at) - 1j * tilt * slope, value)
    return value, late


def _ratio(late: Any, log_f: Any, s: Any, time: Any) -> Any:
    """W/f: by halves where 1/f overflows before the product does."""
    missing = s * late
    small = missing < 0.5
    near = scale(late / np.where(small, 1.0 - missing, 1.0), time)
    if np.all(small):
        return near
    half = np.exp(-0.5 * log_f)
    return np.where(small, near, half * scale(late, time) * half)


def _slope(stretch: Stretch, rate: Any, exponent: Any) -> Any:
    """d log M/d log r = [exp(-E) - 1 + E - (E - r E')]/(1 - exp(-E)) for E > 0."""
    small = exponent < 1.0
    bend = stretch.bend(rate, exponent, 1.0) * rate * rate
    gain = exp_excess(np.where(small, exponent, 0.0)) - bend
    far = rate * stretch.wave(rate).delay() + np.expm1(-exponent)
    return np.where(small, gain, far) / -np.expm1(-exponent)
