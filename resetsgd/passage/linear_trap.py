"""First passage in a linear trap, in closed form and arranged for float64.

The formulas are derived in ``theory/06_linear_trap.py``; here they are only arranged so that
nothing cancels or overflows before the result does.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.passage import distribution
from resetsgd.passage.arrangements import horner, log1p, log_expm1, softplus
from resetsgd.passage.base import PassageTime
from resetsgd.passage.closed import Closed, scale_of_means
from resetsgd.passage.drift_diffusion import DriftDiffusionPassage
from resetsgd.passage.elementary import choose, each, exp, expm1, hypot, ordinary, pick, slope, sqrt
from resetsgd.passage.hyperbolic import ramp
from resetsgd.passage.placed import Placed
from resetsgd.passage.sided import InverseTable
from resetsgd.passage.steep import Law
from resetsgd.processes import DriftDiffusion, LinearTrap

__all__ = ["LinearTrapPassage", "passage"]

_LARGE = 600.0
"""Exponents up to which products of two exponentials are taken as they stand."""


def passage(process: LinearTrap, start: RealLike, target: Any, wall: Any) -> PassageTime:
    """The passage time for a kind of target; what ``first_passage`` calls."""
    if isinstance(target, tuple) or wall is not None:
        return _bounded(process, start, target, wall)
    trap = LinearTrapPassage(process, start, target)
    if np.all(trap._leg == 0):  # the kink is not crossed: a drift toward or away from the target
        return trap._plain(process.slope)
    return trap


def _bounded(process: LinearTrap, start: RealLike, target: Any, wall: Any) -> PassageTime:
    """Between two ends, or off a wall: a plain drift, unless the kink lies between."""
    from resetsgd.passage.drift_diffusion import passage as drifting
    from resetsgd.passage.equivalent import equivalent

    ends = target if isinstance(target, tuple) else (target, domain.finite("wall", wall))
    low, high = np.minimum(*ends), np.maximum(*ends)
    above, below = np.all(low >= 0), np.all(high <= 0)
    if not (above or below or np.all(np.asarray(process.slope) == 0)):
        return equivalent(process, start, target, wall)
    drift = -np.asarray(process.slope) if above else np.asarray(process.slope)
    return drifting(DriftDiffusion(domain.plain(drift), process.diffusivity), start, target, wall)


_EXP_SERIES = [1.0 / math.factorial(k) for k in range(2, 20)]


def _exp_excess_2(x: Any) -> Any:
    """exp(x) - 1 - x for x >= 0."""
    return choose(x < 1.0, lambda x: horner(x, _EXP_SERIES) * x * x, lambda x: expm1(x) - x, x)


def _exp_excess_3(x: Any) -> Any:
    """exp(x) - 1 - x - x²/2 for x >= 0."""
    small = x < 2.0
    y = np.where(small, x, 0.0)
    series = np.zeros_like(y)
    for k in range(24, 2, -1):
        series = (series + 1.0 / special.factorial(k)) * y
    return np.where(small, series * y * y, np.expm1(x) - x - 0.5 * x * x)


class LinearTrapPassage(Placed, Closed):
    r"""First passage of :class:`~resetsgd.LinearTrap` to a point on the other side of the kink.

    With :math:`\lambda` the slope, :math:`R = \sqrt{\lambda^2 + 4Ds}` and
    :math:`n, m = (R \pm \lambda)/2D`, the function :math:`u(x) = e^{mx}` for x < 0 and
    :math:`[(R-\lambda) e^{nx} + \lambda e^{-mx}]/R` for x > 0 solves the backward equation, and
    E[exp(-sT)] is u(start)/u(target) for a target above 0 and above the start. Other arrangements
    of start, kink and target are mirror images, or drift-diffusion.

    Parameters
    ----------
    process : LinearTrap
        What moves.
    start, target : float or array
        Positions, length. The start must differ from the target; arrays broadcast.

    Raises
    ------
    DomainError
        If a position is not finite or the start is at the target.

    Notes
    -----
    If the slope is negative the walker may escape: the law is defective and its mean infinite. The
    mean is also infinite at slope 0.

    Accuracy: relative error of moments and transform at most (8 + 2 kappa) machine epsilons, kappa
    the condition number; see docs/accuracy.md. Survival and density by Laplace inversion.

    **Source**: piecewise exponentials as in H. Risken, *The Fokker-Planck Equation* (1989), section
    5.4; derived in ``theory/06_linear_trap.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> trap = rs.LinearTrap(slope=1.0, diffusivity=1.0)
    >>> T = rs.first_passage(trap, start=0.0, target=1.0)
    >>> round(T.mean(), 6), round(T.cv(), 6)
    (2.436564, 1.209371)
    >>> rs.first_passage(trap, start=2.0, target=1.0).mean()
    1.0
    """

    sources: ClassVar[tuple[str, ...]] = ("risken1989",)
    derivation: ClassVar[str] = "theory/06_linear_trap.py"

    def __init__(self, process: LinearTrap, start: RealLike, target: RealLike) -> None:
        x0 = np.asarray(domain.finite("start", start))
        end = np.asarray(domain.finite("target", target))
        self._shape = domain.broadcast(
            slope=process.slope, diffusivity=process.diffusivity, start=x0, target=end
        )
        gap = domain.gap(x0, end)
        self.process = process
        self.start, self.target = domain.plain(x0), domain.plain(end)
        self._slope = np.asarray(process.slope)
        self._D = np.asarray(process.diffusivity)
        side = np.where(end == 0, -np.sign(x0), np.sign(end))
        # the start as seen from the target's side of the kink; a leg from ``_from`` to ``_to``
        # climbs from the kink, the rest of the way is drift-diffusion over ``_outer``
        place, self._to = side * x0, np.abs(end)
        climbs = place < self._to
        self._from = np.where(climbs, np.maximum(place, 0.0), self._to)
        self._leg = np.where(climbs, np.minimum(np.abs(gap), self._to), 0.0)
        self._outer = np.where(climbs, np.maximum(-place, 0.0), np.abs(gap))
        parts = self._slope, self._D, self._from, self._leg, self._outer
        self._arrays = parts
        self._parts: Any = parts if self._shape else tuple(map(float, parts))

    def _plain(self, slope: Any) -> DriftDiffusionPassage:
        """Drift-diffusion over the outer distance, with the slope as the speed."""
        drift = DriftDiffusion(drift=-np.asarray(slope), diffusivity=self._D)
        outer = np.broadcast_to(np.where(self._outer > 0, self._outer, 1.0), self._shape)
        return DriftDiffusionPassage(drift, domain.plain(outer), 0.0)

    # Transform -------------------------------------------------------------------------------

    @QUIET
    def _log_laplace(self, s: Any) -> Any:
        return _log_transform(*self._arrays, s)

    def mean_exponential(self, rate: Any) -> Any:
        """Mean under exponential waiting times."""
        return each(_mean_under, *self._parts, rate)

    def timescale(self) -> Array:
        """A typical time of arrival."""
        scale = scale_of_means(self)
        return super().timescale() if scale is None else scale

    @QUIET
    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean)/d log(rate), exact also where it changes sign."""
        rate = np.asarray(rate, dtype=np.float64)
        attract, D, start, leg, outer = self._arrays
        _, n, m = _roots(attract, D, rate)
        usual = (attract > 0) & (n * (start + leg) < _LARGE) & (m * outer < _LARGE) & (rate > 0)
        value = slope(_log_mean_attracted, *self._parts, np.where(usual, rate, 1.0))
        if usual.all():
            return value
        if self._shape or not rate.shape:
            return np.where(usual, value, super().slope_exponential(rate))
        value, far = np.array(value), rate[~usual]
        level = -_log_transform(*self._arrays, far * (1.0 + 1e-30j))
        fast = level.real > 1.0
        value[~usual] = np.where(fast, level.imag / 1e-30 / -np.expm1(-level.real) - 1.0, 0.0)
        if not fast.all():
            slow = far[~fast]
            value[np.flatnonzero(~usual)[~fast]] = super().slope_exponential(slow)
        return value

    # Moments ---------------------------------------------------------------------------------

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean; ``inf`` unless the slope is positive."""
        value = _log_mean(*self._arrays)
        return domain.plain(np.broadcast_to(value, self._shape))

    def mean(self) -> Real:
        """Mean; ``inf`` unless the slope is positive."""
        mean = each(_mean, *self._parts)
        return mean if type(mean) is float else domain.plain(np.broadcast_to(mean, self._shape))

    @QUIET
    def std(self) -> Real:
        """Standard deviation; ``inf`` unless the slope is positive."""
        slope, y0, leg, outer = _units(*self._arrays)
        far = y0 + leg > _LARGE / 2.0
        y, d = np.where(far, 0.0, y0), np.where(far, 0.0, leg)
        # the sum of positive parts that the derivation gives for v(y0 + d) - v(y0)
        second = np.expm1(y) * np.expm1(d) + _exp_excess_2(d)  # of exp(y) - 1 - y
        third = np.expm1(y) * _exp_excess_2(d) + _exp_excess_2(y) * d + _exp_excess_3(d)
        both = _exp_excess_2(y) + _exp_excess_2(y + d)
        square = 4.0 * second * both + 12.0 * third + 2.0 * d * (2.0 * y + d + 1.0) + 2.0 * outer
        unit = self._D / slope
        log_far = np.log(2.0) + y0 + leg + np.log(self._D) - 2.0 * np.log(slope)
        value_far = np.exp(log_far) * np.sqrt(-np.expm1(-2.0 * leg))
        flat = y0 + leg + outer < 1e-150
        way = np.sqrt(2.0 * (self._leg + self._outer) / slope) * (np.sqrt(self._D) / slope)
        value = np.where(far, value_far, np.where(flat, way, np.sqrt(square) * unit / slope))
        return domain.plain(np.broadcast_to(np.where(self._slope > 0, value, np.inf), self._shape))

    @QUIET
    def var(self) -> Real:
        """Variance; ``inf`` unless the slope is positive."""
        return domain.plain(np.asarray(self.std()) ** 2)

    # Draws -----------------------------------------------------------------------------------

    @cached_property
    def _table(self) -> tuple[LinearTrapPassage, InverseTable]:
        """The leg alone, and a table of its law to draw from."""
        short = np.where(self._leg > 0, self._from, 0.0)
        tall = np.where(self._leg > 0, self._to, 1.0)
        ends = (domain.plain(np.broadcast_to(end, self._shape)) for end in (short, tall))
        climb = LinearTrapPassage(self.process, *ends)
        return climb, _arriving(climb)

    @QUIET
    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Inverse Gaussian down to the kink, inversion of a table of the law up from it."""
        outer = self._plain(self._slope)._sample(n, generator)
        climb, table = self._table
        pick, uniforms = generator.random((2, n, *self._shape))
        arrive = np.exp(climb._log_laplace(np.zeros(self._shape)))
        up = np.where(pick < arrive, table(uniforms), np.inf)
        return np.where(self._outer > 0, outer, 0.0) + np.where(self._leg > 0, up, 0.0)


def _roots(slope: Any, D: Any, s: Any) -> tuple[Any, Any, Any]:
    """R - slope, n = (R + slope)/2D and m = (R - slope)/2D, small ones rationalised."""
    if type(s) is not float and np.iscomplexobj(s):
        root = np.sqrt(slope**2 + 4.0 * D * s)
    else:
        root = hypot(slope, 2.0 * sqrt(D) * sqrt(s))
    sum_ = root + abs(slope)
    large = sum_ / D / 2.0
    if type(s) is not float and not np.iscomplexobj(s):
        large = np.minimum(large, 1e300)  # no infinity that a distance of 0 could meet
    small = 2.0 * (s / pick(sum_ == 0, 1.0, sum_))
    attracts = slope > 0
    return (
        pick(attracts, 2.0 * D * small, sum_),
        pick(attracts, large, small),
        pick(attracts, small, large),
    )


def _log_transform(slope: Any, D: Any, start: Any, leg: Any, outer: Any, s: Any) -> Any:
    """log E[exp(-sT)]."""
    ahead, n, m = _roots(slope, D, s)
    return -(m * outer) - _log_rise(slope, D, start, leg, ahead, n, m)


def _rise(slope: Any, start: Any, leg: Any, ahead: Any, n: Any, m: Any) -> Any:
    """u(to)/u(from) - 1 for n to < 600; 0 without a leg.

    R [u(to) - u(from)] = 2 D m exp(n from) expm1(n leg) + slope exp(-m from) expm1(-m leg),
    where the second, if negative, is at most half of the first.
    """
    first, second = ahead * exp(n * start), slope * exp(-m * start)
    return (first * expm1(n * leg) + second * expm1(-m * leg)) / (first + second)


def _log_rise(slope: Any, D: Any, start: Any, leg: Any, ahead: Any, n: Any, m: Any) -> Any:
    """log[u(to)/u(from)]; 0 without a leg."""
    far = np.real(n * (start + leg)) > _LARGE
    value = log1p(_rise(slope, start, leg, ahead, np.where(far, 0.0, n), m))
    # beyond exp: the same in logarithms, where the second term of the rise has dropped out;
    # exp(n from) may be huge and 2 D m tiny, so that their product decides
    log_product = n * start + np.where(slope > 0, np.log(2.0 * D) + np.log(m), np.log(ahead))
    attracted = -softplus(np.log(np.where(slope > 0, slope, 1.0)) - m * start - log_product)
    repelled = -log1p(np.minimum(slope, 0.0) * np.exp(-m * start - log_product))
    log_far = log_expm1(n * leg) + np.where(slope > 0, attracted, repelled)
    return np.where((leg > 0) & (m != 0), np.where(far, softplus(log_far), value), 0.0)


def _log_mean_attracted(slope: Any, D: Any, start: Any, leg: Any, outer: Any, rate: Any) -> Any:
    """log of the mean under exponential waiting times, for slope > 0, exponents below 600.

    Every part has the rate divided out of it, so that their slopes do not cancel.
    """
    _, n, m = _roots(slope, D, rate)
    share = 1.0 / (D * n)  # m over the rate
    fall = np.exp(-m * start)
    first = 2.0 * D * np.exp(n * start)
    parts = share * (first * np.expm1(n * leg) - slope * leg * fall * ramp(m * leg))
    value = parts / (first * m + slope * fall)
    # 1 + rise is u(to)/u(from)
    grown = (first * m * np.exp(n * leg) + slope * np.exp(-m * (start + leg))) / (
        first * m + slope * fall
    )
    away = share * outer * np.exp(m * outer) * ramp(m * outer)
    return np.log(value + away * grown)


def _mean_under(slope: Any, D: Any, start: Any, leg: Any, outer: Any, rate: Any) -> Any:
    """Mean under exponential waiting times, (exp(L) - 1)/r, L the sum over leg and outer way."""
    ahead, n, m = _roots(slope, D, rate)
    usual = (rate > 0) & (n * (start + leg) < _LARGE) & (m * outer < _LARGE) & (m * leg > 1e-290)
    if type(rate) is float:
        ordinary(usual)
    rise, way = _rise(slope, start, leg, ahead, n, m), expm1(m * outer)
    value = (way * (1.0 + rise) + rise) / rate
    usual = usual & (value > 1e-290) & (value < 1e290)
    if ordinary(usual):
        return value
    positive = np.where(rate > 0, rate, 1.0)
    climb = -_log_transform(slope, D, start, leg, outer, positive)
    half = np.exp(0.5 * climb)  # it overflows before its ratio to the rate does
    far = np.where(climb > 700.0, half / positive * half, np.expm1(climb) / positive)
    far = np.where(rate > 0, far, _mean(slope, D, start, leg, outer))
    return np.where(usual, value, far)


def _units(slope: Any, D: Any, *lengths: Any) -> tuple[Any, ...]:
    """The slope where it attracts, and lengths in units of D/slope."""
    slope = pick(slope > 0, slope, 1.0)
    unit = slope / D
    if type(unit) is not float:
        unit = np.minimum(unit, 1e300)
    return (slope, *(unit * length for length in lengths))


def _climb(y0: Any, leg: Any) -> Any:
    """Mean of the climb in units of D/slope²."""
    return _exp_excess_2(leg) + (2.0 * expm1(y0) + 1.0) * expm1(leg)


def _mean(slope: Any, D: Any, start: Any, leg: Any, outer: Any) -> Any:
    """Mean; ``inf`` unless the slope is positive."""
    positive, y0, d, away = _units(slope, D, start, leg, outer)
    value = (D / positive) * ((_climb(y0, d) + away) / positive)
    usual = (y0 + d + away > 1e-150) & (y0 + d < _LARGE) & (value > 0) & (value < np.inf)
    if not ordinary(usual):
        value = np.where(usual, value, np.exp(_log_mean(slope, D, start, leg, outer)))
    return pick(slope > 0, value, math.inf)


def _log_mean(slope: Any, D: Any, start: Any, leg: Any, outer: Any) -> Any:
    """Its logarithm."""
    positive, y0, d, away = _units(slope, D, start, leg, outer)
    unit = np.log(D) - 2.0 * np.log(positive)
    climb, far = _climb(y0, d), y0 + d > _LARGE
    value = np.log(np.where(far, 1.0, climb + away))
    climbed = np.log(2.0) + y0 + log_expm1(np.where(d > 0, d, 1.0))
    value = np.where(far, np.logaddexp(climbed, np.log(away)), value)
    flat = y0 + d + away < 1e-150  # the potential is nothing on the way
    way = np.log(leg + outer) + np.log(positive) - np.log(D)
    value = unit + np.where(flat, way, value)
    mean = (D / positive) * ((climb + away) / positive)
    plain = ~far & ~flat & (mean > 1e-290) & (mean < 1e290)
    value = np.where(plain, np.log(np.where(plain, mean, 1.0)), value)
    return np.where(slope > 0, value, np.inf)


def _arriving(law: PassageTime) -> InverseTable:
    """A table of a law on condition that it arrives."""
    log_chance = np.real(law._log_laplace(np.zeros(law.shape)))

    def given(s: Any) -> Any:
        return law._log_laplace(s) - log_chance

    scale = distribution.timescale(given, law.shape)
    inverting = Law(given, law.shape, law.mean, law.std, lambda: scale)

    def late(t: Array) -> Any:
        return np.clip(distribution.survival(inverting, np.asarray(t)), 0.0, 1.0)

    return InverseTable.searched(law.shape, lambda t: 1.0 - late(t), late, scale)
