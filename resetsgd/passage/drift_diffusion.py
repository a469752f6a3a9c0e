"""First passage of drift-diffusion, in closed form and arranged for float64.

The formulas are derived in ``theory/`` and tied to mpmath by ``tests/accuracy``; here they are only
arranged so that nothing cancels or overflows before the result does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.passage.arrangements import (
    ENDLESS,
    difference_ratio,
    erfcx_difference_ratio,
    exp_excess,
    log_ratio_expm1,
    sinh_excess,
    tilted_difference,
)
from resetsgd.passage.base import PassageTime
from resetsgd.passage.inversion import integrate
from resetsgd.passage.placed import Placed
from resetsgd.processes import DriftDiffusion
from resetsgd.protocols import Trial

__all__ = ["DriftDiffusionPassage", "passage"]

_SQRT2 = np.sqrt(2.0)


def passage(process: DriftDiffusion, start: RealLike, target: Any, wall: Any) -> PassageTime:
    """The passage time for a kind of target; what ``first_passage`` calls."""
    if isinstance(target, tuple):
        from resetsgd.passage.interval import IntervalPassage

        return IntervalPassage(process, start, target)
    if wall is not None:
        from resetsgd.passage.wall import WallPassage

        return WallPassage(process, start, target, wall)
    return DriftDiffusionPassage(process, start, target)


class DriftDiffusionPassage(Placed, PassageTime):
    r"""First passage of :class:`~resetsgd.DriftDiffusion` to a point.

    With L the distance to the target, v the drift velocity toward it and D the diffusivity, the
    Laplace transform is exp(-E(s)), :math:`E(s) = L (\sqrt{v^2 + 4 D s} - v) / 2D`. T is inverse
    Gaussian for v > 0, Lévy for v = 0, and defective for v < 0: it arrives with probability
    :math:`e^{-|v| L / D}`.

    Parameters
    ----------
    process : DriftDiffusion
        What moves.
    start, target : float or array
        Positions, length. The start must differ from the target; arrays broadcast.

    Raises
    ------
    DomainError
        If a position is not finite or the start is at the target.

    Notes
    -----
    Accuracy: relative error of moments, transform and their restarted versions at most
    (8 + 2 kappa) machine epsilons, kappa the condition number; see docs/accuracy.md.

    **Source**: M. R. Evans and S. N. Majumdar, PRL 106, 160601 (2011); S. Ray, D. Mondal,
    S. Reuveni, J. Phys. A 52, 255002 (2019). Derived in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=-0.5, diffusivity=1.0), start=1.0, target=0.0)
    >>> T.mean(), T.cv(), T.peclet
    (2.0, 2.0, 0.25)
    """

    sources = ("evans2011", "ray2019")
    derivation = "theory/01_drift_diffusion.py"
    tail_resolved = 0.0

    def __init__(self, process: DriftDiffusion, start: RealLike, target: RealLike) -> None:
        x0, end = domain.finite("start", start), domain.finite("target", target)
        self._shape = domain.broadcast(
            start=x0, target=end, drift=process.drift, diffusivity=process.diffusivity
        )
        self.process = process
        self.start, self.target = x0, end
        self._L: Any = np.abs(domain.gap(x0, end))
        # toward the target: positive
        self._v = np.where(np.less(x0, end), 1.0, -1.0)[()] * process.drift
        self._D = np.float64(process.diffusivity)
        self._speed, self._noise = np.abs(self._v), np.sqrt(self._D)
        toward = self._v > 0
        self._all_toward, self._all_away = bool(toward.all()), not toward.any()

    @property
    def peclet(self) -> Real:
        """Péclet number v L / (2 D): positive helps, negative drifts away."""
        return domain.plain(self._v / self._D * (self._L / 2) + 0.0)  # no -0

    # Transform -------------------------------------------------------------------------------

    def _root(self, s: Any) -> Any:
        """sqrt(v² + 4 D s)."""
        if not isinstance(s, float) and np.iscomplexobj(s):
            return np.sqrt(self._v**2 + 4.0 * self._D * s)
        return np.hypot(self._v, 2.0 * self._noise * np.sqrt(s))

    def _pick(self, toward: Callable[[], Any], away: Callable[[], Any]) -> Any:
        """The first where the drift points to the target, else the second."""
        if self._all_toward:
            return toward()
        if self._all_away:
            return away()
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self._v > 0, toward(), away())

    def _exponent(self, s: Any, root: Any = None) -> Any:
        """E(s) = -log E[exp(-sT)]."""
        sum_ = (self._root(s) if root is None else root) + self._speed
        return self._pick(
            lambda: 2.0 * self._L * (s / sum_),  # the difference root - v, rationalised
            lambda: (self._L / 2) * (sum_ / self._D),
        )

    def _slowness(self, s: Any) -> Any:
        """E(s)/s with the drift toward the target."""
        return 2.0 * self._L / (self._root(s) + np.abs(self._v))

    def _log_laplace(self, s: Any) -> Any:
        return -self._exponent(s)

    # Moments ---------------------------------------------------------------------------------

    def mean(self) -> Real:
        """Mean L/v; ``inf`` without drift toward the target."""
        with np.errstate(divide="ignore", over="ignore"):
            return domain.plain(np.where(self._v > 0, self._L / np.abs(self._v), np.inf))

    def log_mean(self) -> Real:
        """Logarithm of the mean."""
        with np.errstate(divide="ignore", over="ignore"):
            ratio = self._L / np.abs(self._v)
            safe = (ratio > 0) & (ratio < np.inf)
            value = np.where(
                safe,
                np.log(np.where(safe, ratio, 1.0)),
                np.log(self._L) - np.log(np.abs(self._v)),
            )
            return domain.plain(np.where(self._v > 0, value, np.inf))

    def var(self) -> Real:
        """Variance 2 D L / v³; ``inf`` without drift toward the target."""
        v = np.where(self._v > 0, self._v, 1.0)
        with np.errstate(over="ignore"):
            value = 2.0 * (self._L / v) * (self._D / v / v)
        return domain.plain(np.where(self._v > 0, value, np.inf))

    def std(self) -> Real:
        """Standard deviation, length scale by length scale so that it outlives the variance."""
        v = np.where(self._v > 0, self._v, 1.0)
        with np.errstate(over="ignore"):
            value = _SQRT2 * np.sqrt(self._L / v) * (np.sqrt(self._D) / v)
        return domain.plain(np.where(self._v > 0, value, np.inf))

    def cv(self) -> Real:
        """Coefficient of variation, 1/sqrt(Péclet number); ``inf`` where the mean is infinite."""
        v = np.where(self._v > 0, self._v, 1.0)
        with np.errstate(over="ignore", under="ignore"):
            square = 2.0 * (self._D / v) / self._L
            apart = _SQRT2 * (np.sqrt(self._D / v) / np.sqrt(self._L))
        value = np.where(np.isfinite(square) & (square > 1e-290), np.sqrt(square), apart)
        return domain.plain(np.where(self._v > 0, value, np.inf))

    # Distribution ----------------------------------------------------------------------------

    @QUIET
    def _survival(self, t: Array) -> Any:
        finite = (t > 0) & np.isfinite(t)
        time = self._bounded(np.where(finite, t, 1.0))
        width = np.sqrt(2.0 * self._D) * np.sqrt(time)
        # S = Phi(a) - exp(v L / D) Phi(-b), a = (L - v t)/width, b = (L + v t)/width
        value = tilted_difference(
            -(self._L - self._v * time) / width / _SQRT2, _SQRT2 * self._L / width
        )
        never = -np.expm1(self._log_laplace(np.zeros(self.shape)))
        return np.where(finite, value, np.where(t > 0, never, 1.0))

    def _bounded(self, t: Array) -> Any:
        """At most 1e200 L/v: nothing is left to come by then, and v t stays finite."""
        with np.errstate(divide="ignore", over="ignore"):
            return np.minimum(t, 1e200 * (self._L / np.abs(self._v)))

    def _marks(self) -> Any:
        """The most likely time and up to 40 relative widths around it."""
        with np.errstate(all="ignore"):
            centre = self._L / np.hypot(np.abs(self._v), self._D / self._L)
            width = 1.0 / np.sqrt(1.0 + np.abs(np.asarray(self.peclet)))
        steps = np.outer([-1.0, 1.0], [0.0, 1.5, 3.0, 6.0, 12.0, 20.0, 40.0]).ravel()
        return centre * np.exp(steps.reshape(-1, *(1,) * len(self.shape)) * width)

    @QUIET
    def hazard(self, t: RealLike) -> Real:
        """Rate of arrival at t of what has not arrived, 1/time; v²/4D after long drift toward.

        Past the mean, both density and survival are exp(-x²) times something that does not
        underflow, x = (v t - L)/sqrt(4 D t); the factor cancels.
        """
        plain = super().hazard(t)
        t = np.asarray(domain.nonnegative("t", t, infinite=True))
        usable = (t > 0) & np.isfinite(t) & (self._v > 0)
        time = np.where(usable, self._bounded(np.where(usable, t, 1.0)), 1.0)
        width = 2.0 * np.sqrt(self._D) * np.sqrt(time)
        x, gap = (self._v * time - self._L) / width, 2.0 * self._L / width
        past = usable & (x > 0)
        left = erfcx_difference_ratio(np.where(past, x, 1.0), np.where(past, gap, 1.0))
        # f exp(x²) = L/sqrt(4 pi D t³), S exp(x²) = gap left, gap = L/sqrt(D t)
        value = np.where(past, 1.0 / (2.0 * np.sqrt(np.pi) * time * left), plain)
        limit = np.where(self._v > 0, (0.5 * self._v / np.sqrt(self._D)) ** 2, 0.0)
        return domain.plain(np.where(np.isinf(t), limit, value))

    @QUIET
    def _density(self, t: Array) -> Any:
        finite = (t > 0) & np.isfinite(t)
        time = np.where(finite, t, 1.0)
        exponent = ((self._L - self._v * time) / np.sqrt(time)) ** 2 / (4.0 * self._D)
        scale = self._L / np.sqrt(4.0 * np.pi * self._D) / time**1.5
        half = np.exp(-0.5 * exponent)  # by halves: a large scale outlives exp(-exponent)
        value = np.where(half > 0, scale * half * half, 0.0)
        return np.where(finite, value, 0.0)

    @QUIET
    def _arrived_mean(self, tau: Array) -> Any:
        """E[T; T < tau] = (L/v) [Phi(c) - exp(v L/D) Phi(-b)], c = (v tau - L)/width.

        For either sign of v it is L/|v| times the same difference with |v| and, when the drift is
        away, the arrival probability in front; finite as v -> 0.
        """
        speed, tau = np.abs(self._v), self._bounded(tau)
        width = np.sqrt(2.0 * self._D) * np.sqrt(tau)
        x = (self._L - speed * tau) / width / _SQRT2
        gap = _SQRT2 * speed * tau / width
        # L/v times the difference; difference / gap is finite at gap = 0
        bounded = np.minimum(gap, ENDLESS)
        near, far = _SQRT2 * tau / width, bounded / np.where(speed > 0, speed, 1.0)
        arrive = np.where(self._v < 0, np.exp(-speed / self._D * self._L), 1.0)
        return arrive * self._L * np.where(gap <= 1.0, near, far) * difference_ratio(x, bounded)

    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time.

        In closed form at s = 0; for other s the tilt exp(-st) f_v(t) = exp(-E(s)) f_w(t),
        w = sqrt(v² + 4 D s), gives the success, and quadrature the duration.
        """
        period = np.asarray(period, dtype=np.float64)
        if not np.isfinite(period).all() or np.iscomplexobj(s):
            return super().trial_fixed(period, s)
        with np.errstate(all="ignore"):
            if np.any(s != 0):
                shape = np.broadcast_shapes(period.shape, np.shape(s), self.shape)
                log_duration = np.log(self.lasting(np.broadcast_to(period, shape), s))
                log_success = self._log_cdf(period, s)
                return Trial(log_success, log_duration - log_success)
            late = np.asarray(self.survival(period))
            arrived = self._arrived_mean(period)
            duration = period * late + arrived
            log_duration = np.where(
                np.isfinite(duration),
                np.log(duration),
                np.log(late + arrived / period) + np.log(period),
            )
            come = np.asarray(self._cdf(period))
            log_success = np.where(come > 1e-290, np.log(come), self._log_cdf(period, 0.0))
            return Trial(log_success, log_duration - log_success)

    def _log_cdf(self, t: Array, s: Any) -> Any:
        """log E[exp(-sT); T < t] for real s: -E(s) and the law with the speed of sqrt(v² + 4Ds)."""
        speed = self._root(s)
        width = np.sqrt(2.0 * self._D) * np.sqrt(t) * _SQRT2
        a, b = (self._L - speed * t) / width, (self._L + speed * t) / width
        ahead = np.maximum(a, 0.0)
        log_first = np.log(special.erfcx(ahead) + special.erfcx(b)) - ahead * ahead
        log_last = np.log(special.erfc(np.minimum(a, 0.0)) + np.exp(-a * a) * special.erfcx(b))
        return np.where(a > 0, log_first, log_last) - np.log(2.0) - self._exponent(s)

    @QUIET
    def truncated_var(self, tau: Any) -> Any:
        """Variance of T given T < tau, by quadrature of positive terms only."""
        tau = np.asarray(tau, dtype=np.float64) * np.ones(self.shape)
        infinite = np.isinf(tau)
        upper = np.where(infinite, 1.0, tau)
        arrive = np.asarray(self._cdf(upper))
        first = self._arrived_mean(upper) / arrive
        square = integrate(
            lambda t: ((t - first) * np.sqrt(self.density(t))) ** 2, upper, self._marks()
        )
        return np.where(infinite, self.var(), np.where(arrive > 0, square / arrive, 0.0))

    @QUIET
    def restricted_mean(self, tau: RealLike) -> Real:
        """Restricted mean E[min(T, tau)], in closed form."""
        tau = np.asarray(domain.nonnegative("tau", tau, infinite=True))
        usable = (tau > 0) & np.isfinite(tau)
        time = np.where(usable, tau, 1.0)
        value = np.minimum(time * self.survival(time) + self._arrived_mean(time), time)
        return domain.plain(np.where(usable, value, np.where(tau > 0, self.mean(), 0.0)))

    @QUIET
    def _cdf(self, t: Array) -> Any:
        """P(T <= t) with relative accuracy also where it is small."""
        width = np.sqrt(2.0 * self._D) * np.sqrt(t)
        a = (self._L - self._v * t) / width
        b = (self._L + self._v * t) / width
        # exp(v L/D) Phi(-b): the exponents combine to -a²/2, which cannot overflow where b > 0
        second = np.where(
            b > 0,
            0.5 * np.exp(-0.5 * a * a) * special.erfcx(np.where(b > 0, b, 0.0) / _SQRT2),
            np.exp(np.minimum(self._v / self._D * self._L, 0.0)) * special.ndtr(-b),
        )
        return np.minimum(special.ndtr(-a) + second, 1.0)

    @QUIET
    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Inverse Gaussian by the Michael–Schucany–Haas transform, rationalised; Lévy for v = 0."""
        shape = (n, *self.shape)
        chi = generator.standard_normal(shape) ** 2
        pick = generator.random(shape)
        arrive = generator.random(shape)
        speed = np.abs(self._v)
        diffusive = self._L * (self._L / (2.0 * self._D))  # shape parameter lambda = L²/2D
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            mu = self._L / np.where(speed > 0, speed, 1.0)
            k = (self._D / self._L) / np.where(speed > 0, speed, 1.0) * chi
            # smaller root mu (1 + k - sqrt(2k + k²)), without the cancellation at large k
            stretch = 1.0 + k + np.sqrt(k * (2.0 + k))
            levy = diffusive / chi  # what the root tends to
            small = np.where(k < 1e16, mu / stretch, levy)
            times = np.where(pick * (1.0 + 1.0 / stretch) <= 1.0, small, mu * stretch)
            times = np.where(speed > 0, times, levy)
        chance = np.exp(np.where(self._v < 0, -speed / self._D * self._L, 0.0))
        return np.where(arrive < chance, times, np.inf)

    # Under exponential resetting -------------------------------------------------------------

    def _bend(self, rate: Any, exponent: Any, root: Any) -> Any:
        """E - r E' >= 0, the part of E that is not linear in the rate, without cancellation."""
        half, sum_ = self._noise * np.sqrt(rate), root + self._speed
        return self._pick(
            # E times 2 D r / (root (root + v)), a product of two factors of order 1
            lambda: exponent * (2.0 * (half / root) * (half / sum_)),
            lambda: (self._L / 2) * (sum_ / self._D) - self._L * (rate / root),
        )

    @QUIET
    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean) / d log(rate), exact also next to Péclet number 1."""
        rate = np.asarray(rate, dtype=np.float64)[()]
        root = self._root(rate)
        exponent = self._exponent(rate, root)
        fall = np.expm1(-exponent)
        # r E' - (1 - exp(-E)) = (exp(-E) - 1 + E) - (E - r E'): nothing cancels next to Péclet
        # number 1; with drift away, where E is large at rate 0, the left side is the exact one.
        rise = self._pick(
            lambda: exp_excess(exponent) - self._bend(rate, exponent, root),
            lambda: self._L * (rate / root) + fall,
        )
        if not self._all_away:
            # from Péclet number 1 on it rises with every rate: no rounding may say otherwise
            rise = np.where(np.asarray(self.peclet) >= 1, np.maximum(rise, 0.0), rise)
        return rise / -fall

    @QUIET
    def var_exponential(self, rate: Any) -> Any:
        """Variance 2 exp(E) [(sinh E - E) + (E - r E')] / r²."""
        rate = np.asarray(rate, dtype=np.float64)
        positive = np.where(rate > 0, rate, 1.0)
        exponent = self._exponent(positive)
        with np.errstate(over="ignore", invalid="ignore"):
            inner = sinh_excess(exponent) + self._bend(positive, exponent, self._root(positive))
            value = 2.0 * (np.exp(exponent) / positive) * (inner / positive)
            value = np.where(np.isnan(value), np.inf, value)
            slow = (exponent < 1e-20) & (self._D * rate < 1e-20 * self._v**2) & (self._v > 0)
        return np.where((rate > 0) & ~slow, value, self.var())

    @QUIET
    def trial_exponential(self, rate: Any, s: Any = 0.0) -> Trial:
        """Trial against an exponential waiting time, M = (exp(E(r+s)) - 1)/(r + s)."""
        x = np.asarray(rate + s)
        zero = x == 0
        where = np.where(zero, 1.0, x)
        exponent = self._exponent(where)
        slow = np.abs(exponent) < 1e-290  # E/r, where E itself has no digits left
        log_mean = np.where(slow, np.log(self._slowness(where)), log_ratio_expm1(exponent, where))
        log_success = np.where(zero, self._log_laplace(np.zeros(self.shape)), -exponent)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.where(slow, self._slowness(where), np.expm1(exponent) / where)
            mean = np.where(zero, self.mean(), mean)
        return Trial(log_success, np.where(zero, self.log_mean(), log_mean), mean)

    @QUIET
    def mean_exponential(self, rate: Any) -> Any:
        """Mean (exp(E(r)) - 1)/r."""
        if isinstance(rate, float) and not self._shape and rate > 0:
            exponent = self._exponent(rate)
            if 1e-290 < exponent < 700:
                return np.expm1(exponent) / rate
        rate = np.asarray(rate, dtype=np.float64)
        positive = np.where(rate > 0, rate, 1.0)
        exponent = self._exponent(positive)
        with np.errstate(over="ignore"):
            # by halves where exp(E) overflows before its ratio to the rate does
            half = np.exp(0.5 * exponent)
            huge = half / positive * half
            value = np.where(exponent > 700, huge, np.expm1(exponent) / positive)
            value = np.where(exponent < 1e-290, self._slowness(positive), value)
        return np.where(rate > 0, value, self.mean())
