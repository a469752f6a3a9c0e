"""Passage times in closed form, arranged for float64.

Each class is one process with one kind of target. The formulas are derived in ``theory/`` and tied
to mpmath by ``tests/accuracy``; here they are only arranged so that nothing cancels or overflows
before the result does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.domain import Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.base import PassageTime, log_expm1
from resetsgd.processes import DriftDiffusion
from resetsgd.protocols import Trial

__all__ = ["DriftDiffusionPassage"]

_SQRT2 = np.sqrt(2.0)
_GAUSS_NODES, _GAUSS_WEIGHTS = (np.asarray(a) for a in special.roots_legendre(24))


class DriftDiffusionPassage(PassageTime):
    """First passage of :class:`~resetsgd.DriftDiffusion` to a point.

    With L the distance to the target, v the drift velocity toward it and D the diffusivity, the
    Laplace transform is exp(-E(s)), E(s) = L (sqrt(v² + 4 D s) - v) / (2 D); T is inverse Gaussian
    for v > 0, Lévy for v = 0, and defective (arrival probability exp(-|v| L / D)) for v < 0.

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

    def __init__(self, process: DriftDiffusion, start: RealLike, target: RealLike) -> None:
        x0 = np.asarray(domain.finite("start", start))
        end = np.asarray(domain.finite("target", target))
        self._shape = domain.broadcast(
            start=x0, target=end, drift=process.drift, diffusivity=process.diffusivity
        )
        with np.errstate(over="ignore"):
            gap = x0 - end
        if (gap == 0).any():
            raise DomainError("start", start, f"different from the target {target}")
        if np.isinf(gap).any():
            raise DomainError("start", start, "within the float64 range of the target")
        self.process = process
        self.start, self.target = domain.plain(x0), domain.plain(end)
        self._L = np.abs(gap)
        self._v = -np.sign(gap) * process.drift  # toward the target: positive
        self._D = np.asarray(process.diffusivity)

    def __repr__(self) -> str:
        return f"first_passage({self.process}, start={self.start}, target={self.target})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return self._shape

    @property
    def peclet(self) -> Real:
        """Péclet number v L / (2 D): positive helps, negative drifts away."""
        return domain.plain(self._v / self._D * (self._L / 2) + 0.0)  # no -0

    # Transform -------------------------------------------------------------------------------

    def _root(self, s: Any) -> Any:
        """sqrt(v² + 4 D s)."""
        if np.iscomplexobj(s):
            return np.sqrt(self._v**2 + 4.0 * self._D * s)
        return np.hypot(self._v, 2.0 * np.sqrt(self._D) * np.sqrt(s))

    def _exponent(self, s: Any) -> Any:
        """E(s) = -log E[exp(-sT)]."""
        root = self._root(s)
        toward = self._v > 0
        sum_ = root + np.abs(self._v)
        with np.errstate(divide="ignore", invalid="ignore"):
            # toward, the difference root - v is rationalised
            slow = 2.0 * self._L * (s / np.where(sum_ == 0, 1.0, sum_))
        return np.where(toward, slow, (self._L / 2) * (sum_ / self._D))

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

    def _survival(self, t: Array) -> Any:
        finite = (t > 0) & np.isfinite(t)
        time = np.where(finite, t, 1.0)
        width = np.sqrt(2.0 * self._D) * np.sqrt(time)
        # S = Phi(a) - exp(v L / D) Phi(-b), a = (L - v t)/width, b = (L + v t)/width
        value = _tilted_difference(
            -(self._L - self._v * time) / width / _SQRT2, _SQRT2 * self._L / width
        )
        never = -np.expm1(self._log_laplace(np.zeros(self.shape)))
        return np.where(finite, value, np.where(t > 0, never, 1.0))

    def _density(self, t: Array) -> Any:
        finite = (t > 0) & np.isfinite(t)
        time = np.where(finite, t, 1.0)
        with np.errstate(under="ignore", over="ignore"):
            exponent = ((self._L - self._v * time) / np.sqrt(time)) ** 2 / (4.0 * self._D)
            scale = self._L / np.sqrt(4.0 * np.pi * self._D) / time**1.5
            half = np.exp(-0.5 * exponent)  # by halves: a large scale outlives exp(-exponent)
            value = np.where(half > 0, scale * half * half, 0.0)
        return np.where(finite, value, 0.0)

    def _arrived_mean(self, tau: Array) -> Any:
        """E[T; T < tau] = (L/v) [Phi(c) - exp(v L/D) Phi(-b)], c = (v tau - L)/width.

        For either sign of v it is L/|v| times the same difference with |v| and, when the drift is
        away, the arrival probability in front; finite as v -> 0.
        """
        speed = np.abs(self._v)
        width = np.sqrt(2.0 * self._D) * np.sqrt(tau)
        x = (self._L - speed * tau) / width / _SQRT2
        gap = _SQRT2 * speed * tau / width
        ratio = _difference_ratio(x, gap)  # difference / gap, finite at gap = 0
        arrive = np.where(self._v < 0, np.exp(-speed / self._D * self._L), 1.0)
        return arrive * self._L * (_SQRT2 * tau / width) * ratio

    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time.

        In closed form at s = 0; for other s the tilt exp(-st) f_v(t) = exp(-E(s)) f_w(t),
        w = sqrt(v² + 4 D s), gives the success, and quadrature the duration.
        """
        period = np.asarray(period, dtype=np.float64)
        if np.any(s != 0) or not np.isfinite(period).all():
            return super().trial_fixed(period, s)
        arrived = np.asarray(self._cdf(period))
        late = np.asarray(self.survival(period))
        duration = period * late + self._arrived_mean(period)
        with np.errstate(divide="ignore"):
            log_success = np.log(arrived)
            return Trial(log_success, np.log(duration) - log_success)

    def restricted_mean(self, tau: RealLike) -> Real:
        """Restricted mean E[min(T, tau)], in closed form."""
        tau = np.asarray(domain.nonnegative("tau", tau, infinite=True))
        usable = (tau > 0) & np.isfinite(tau)
        time = np.where(usable, tau, 1.0)
        value = np.minimum(time * self.survival(time) + self._arrived_mean(time), time)
        return domain.plain(np.where(usable, value, np.where(tau > 0, self.mean(), 0.0)))

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
            k = mu * chi / (2.0 * diffusive)
            # smaller root mu (1 + k - sqrt(2k + k²)), without the cancellation at large k
            small = mu / (1.0 + k + np.sqrt(k * (2.0 + k)))
            times = np.where(pick * (mu + small) <= mu, small, mu * (mu / small))
            times = np.where(speed > 0, times, diffusive / chi)
        chance = np.exp(np.where(self._v < 0, -speed / self._D * self._L, 0.0))
        return np.where(arrive < chance, times, np.inf)

    # Under exponential resetting -------------------------------------------------------------

    def _bend(self, rate: Any) -> Any:
        """E - r E' >= 0, the part of E that is not linear in the rate, without cancellation."""
        root, speed = self._root(rate), np.abs(self._v)
        square = root * (root + speed) ** 2
        toward = 4.0 * self._D * self._L * rate**2 / np.where(square > 0, square, 1.0)
        away = (self._L / 2) * ((root + speed) / self._D) - self._L * rate / np.where(
            root > 0, root, 1.0
        )
        return np.where(self._v > 0, toward, away)

    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean) / d log(rate), exact also next to Péclet number 1."""
        rate = np.asarray(rate, dtype=np.float64)
        exponent = self._exponent(rate)
        root = self._root(rate)
        # r E' - (1 - exp(-E)) = (exp(-E) - 1 + E) - (E - r E'): nothing cancels next to Péclet
        # number 1; with drift away, where E is large at rate 0, the left side is the exact one.
        toward = _exp_excess(exponent) - self._bend(rate)
        away = self._L * (rate / np.where(root > 0, root, 1.0)) + np.expm1(-exponent)
        rise = np.where(self._v > 0, toward, away)
        # from Péclet number 1 on the mean rises with every rate: no rounding may say otherwise
        rise = np.where(np.asarray(self.peclet) >= 1, np.maximum(rise, 0.0), rise)
        return rise / -np.expm1(-exponent)

    def var_exponential(self, rate: Any) -> Any:
        """Variance 2 exp(E) [(sinh E - E) + (E - r E')] / r²."""
        rate = np.asarray(rate, dtype=np.float64)
        positive = np.where(rate > 0, rate, 1.0)
        exponent = self._exponent(positive)
        with np.errstate(over="ignore", invalid="ignore"):
            inner = _sinh_excess(exponent) + self._bend(positive)
            value = 2.0 * (np.exp(exponent) / positive) * (inner / positive)
            value = np.where(np.isnan(value), np.inf, value)
        return np.where(rate > 0, value, self.var())

    def trial_exponential(self, rate: Any, s: Any = 0.0) -> Trial:
        """Trial against an exponential waiting time, M = (exp(E(r+s)) - 1)/(r + s)."""
        x = np.asarray(rate + s)
        zero = x == 0
        where = np.where(zero, 1.0, x)
        exponent = self._exponent(where)
        log_mean = _log_ratio_expm1(exponent, where)
        log_success = np.where(zero, self._log_laplace(np.zeros(self.shape)), -exponent)
        return Trial(log_success, np.where(zero, self.log_mean(), log_mean))

    def mean_exponential(self, rate: Any) -> Any:
        """Mean (exp(E(r)) - 1)/r."""
        rate = np.asarray(rate, dtype=np.float64)
        positive = np.where(rate > 0, rate, 1.0)
        exponent = self._exponent(positive)
        with np.errstate(over="ignore"):
            # by halves where exp(E) overflows before its ratio to the rate does
            half = np.exp(0.5 * exponent)
            huge = half / positive * half
            value = np.where(exponent > 700, huge, np.expm1(exponent) / positive)
        return np.where(rate > 0, value, self.mean())


def _log_ratio_expm1(exponent: Any, rate: Any) -> Any:
    """log((exp(E) - 1)/r): from the ratio itself where it is representable."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        ratio = np.expm1(exponent) / rate
        size = np.abs(ratio)
        usable = (size > 1e-290) & (size < 1e300)
        return np.where(
            usable,
            np.log(np.where(usable, ratio, 1.0)),
            log_expm1(exponent) - np.log(rate),
        )


def _exp_excess(x: Any) -> Any:
    """exp(-x) - 1 + x for x >= 0."""
    small = x < 0.5
    y = np.where(small, x, 0.0)
    series = _horner(y, [(-1.0) ** k / special.factorial(k) for k in range(2, 18)]) * y * y
    return np.where(small, series, np.expm1(-x) + x)


def _sinh_excess(x: Any) -> Any:
    """sinh(x) - x for x >= 0."""
    small = x < 1.5
    y = np.where(small, x, 0.0) ** 2
    series = _horner(y, [1.0 / special.factorial(2 * k + 3) for k in range(12)])
    return np.where(small, series * y * np.where(small, x, 0.0), np.sinh(x) - x)


def _horner(x: Any, coefficients: list[float]) -> Any:
    value = np.zeros_like(x)
    for coefficient in reversed(coefficients):
        value = value * x + coefficient
    return value


def _erfcx_fall(x: Any) -> Any:
    """-erfcx'(x) = 2/sqrt(pi) - 2 x erfcx(x) > 0, without cancellation for large x."""
    large = x > 3.0
    near = 2.0 / np.sqrt(np.pi) - 2.0 * x * special.erfcx(np.where(large, 0.0, x))
    # Continued fraction x + (1/2)/(x + 1/(x + (3/2)/(x + ...))): with K the part after the first
    # x, sqrt(pi) erfcx = 1/(x + K), so 1/sqrt(pi) - x erfcx = K/(sqrt(pi) (x + K)).
    y = np.where(large, x, 3.0)
    tail = np.zeros_like(y)
    for k in range(60, 0, -1):
        tail = (k / 2.0) / (y + tail)
    far = 2.0 / np.sqrt(np.pi) * tail / (y + tail)
    return np.where(large, far, near)


def _difference_ratio(x: Any, gap: Any) -> Any:
    """exp(-x²) [erfcx(x) - erfcx(x + gap)] / (2 gap), gap >= 0, finite as gap -> 0.

    Where the two terms are close the difference is the integral of -erfcx' between them (24 Gauss
    points); elsewhere it is taken as it stands.
    """
    x, gap = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(gap, np.float64))
    close = gap * (1.0 + np.maximum(-x, 0.0)) < 0.6 * (1.0 + np.maximum(x, 0.0))
    with np.errstate(over="ignore", under="ignore"):
        shift = np.where(close, gap, 0.0) * (0.5 * (_GAUSS_NODES + 1.0)).reshape(-1, *(1,) * x.ndim)
        point = x + shift
        gauss = np.exp(-x * x)
        # For points below zero exp(-x²) joins the exponent, since erfcx alone overflows.
        left = (2.0 / np.sqrt(np.pi)) * gauss - 2.0 * point * np.exp(
            np.minimum(shift * (point + x), 0.0)
        ) * special.erfc(point)
        fall = np.where(point < 0, left, gauss * _erfcx_fall(np.maximum(point, 0.0)))
        near = np.tensordot(0.5 * _GAUSS_WEIGHTS, fall, axes=1) / 2.0
        wide = np.where(close, 1.0, gap)
        end = x + wide
        second = np.where(
            end > 0,
            gauss * special.erfcx(np.maximum(end, 0.0)),
            np.exp(np.minimum(wide * (x + end), 0.0)) * special.erfc(end),
        )
        first = np.where(x > 0, gauss * special.erfcx(np.maximum(x, 0.0)), special.erfc(x))
        return np.where(close, near, (first - second) / (2.0 * wide))


def _tilted_difference(x: Any, gap: Any) -> Any:
    """exp(-x²) [erfcx(x) - erfcx(x + gap)] / 2 for gap >= 0."""
    return _difference_ratio(x, gap) * gap
