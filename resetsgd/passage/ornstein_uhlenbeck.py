"""First passage of the Ornstein–Uhlenbeck process to a point, arranged for float64.

The formulas are derived in ``theory/04_ornstein_uhlenbeck.py`` and tied to mpmath by
``tests/accuracy``; the integrals behind them are in :mod:`resetsgd.passage.parabolic`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.arrangements import softplus
from resetsgd.passage.base import PassageTime
from resetsgd.passage.elementary import each, slope
from resetsgd.passage.parabolic import excess_ratio, first_moment, ratio, rise, second_cumulant
from resetsgd.passage.parabolic_quadrature import HIGH
from resetsgd.passage.parabolic_series import mean_series
from resetsgd.passage.placed import Placed
from resetsgd.passage.sided import InverseTable
from resetsgd.processes import OrnsteinUhlenbeck
from resetsgd.protocols import Trial

__all__ = ["OrnsteinUhlenbeckPassage", "passage"]

_LOWEST = 1e-290
"""Orders s/k below which the product of s and the mean is taken instead."""


def passage(process: OrnsteinUhlenbeck, start: RealLike, target: Any, wall: Any) -> PassageTime:
    """The passage time for a kind of target; what ``first_passage`` calls."""
    if isinstance(target, tuple) or wall is not None:
        from resetsgd.passage.equivalent import equivalent

        return equivalent(process, start, target, wall)
    return OrnsteinUhlenbeckPassage(process, start, target)


class OrnsteinUhlenbeckPassage(Placed, PassageTime):
    r"""First passage of :class:`~resetsgd.OrnsteinUhlenbeck` to a point.

    In units of the stationary spread, :math:`y = (x - c)\sqrt{k/D}`, mirrored if need be so that
    the target lies above the start, and with :math:`p = s/k`,

    .. math:: E[e^{-sT}] = \frac{I(p, y_0)}{I(p, y_a)}, \qquad
       I(p, y) = \int_0^\infty t^{p-1} e^{y t - t^2/2}\,dt
               = \Gamma(p)\,e^{y^2/4} D_{-p}(-y),

    with the parabolic cylinder function D. T always arrives, with finite moments.

    Parameters
    ----------
    process : OrnsteinUhlenbeck
        What moves.
    start, target : float or array
        Positions, length. The start must differ from the target; arrays broadcast.

    Raises
    ------
    DomainError
        If a position is not finite, or more than 1e300 spreads sqrt(D/k) on the start's side of the
        center, or the start is at the target.

    Notes
    -----
    Accuracy: see docs/accuracy.md for moments and transform, alone and under Poisson resetting; the
    mean overflows to ``inf`` beyond targets about 37 spreads up, ``log_mean`` does not. Survival
    and density are closed forms for a target at the center, and Laplace inversions elsewhere, with
    an absolute error of about 1e-11. Draws are exact for a target at the center, and elsewhere
    interpolated in a table of the law.

    **Source**: A. Pal, PRE 91, 012113 (2015); transform and moments in A. J. F. Siegert, Phys. Rev.
    81, 617 (1951). Derived in ``theory/04_ornstein_uhlenbeck.py``.

    Examples
    --------
    From the bottom of the bowl to one spread up:

    >>> import resetsgd as rs
    >>> bowl = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=1.0)
    >>> T = rs.first_passage(bowl, start=0.0, target=1.0)
    >>> round(T.mean(), 6), round(T.cv(), 6)
    (2.093407, 1.154591)
    >>> T.best(rs.Poisson).pays
    True
    """

    sources: ClassVar[tuple[str, ...]] = ("pal2015", "siegert1951")
    derivation: ClassVar[str] = "theory/04_ornstein_uhlenbeck.py"

    def __init__(self, process: OrnsteinUhlenbeck, start: RealLike, target: RealLike) -> None:
        x0, end = domain.finite("start", start), domain.finite("target", target)
        k, c, D = process.stiffness, process.center, process.diffusivity
        self._shape = domain.broadcast(start=x0, target=end, stiffness=k, center=c, diffusivity=D)
        way = -domain.gap(x0, end)
        with np.errstate(all="ignore"):
            ratio = np.divide(k, D)
            usable = (ratio > 1e-300) & (ratio < 1e300)
            unit = np.where(usable, np.sqrt(ratio), np.minimum(np.sqrt(k) / np.sqrt(D), 1e308))
            up = np.sign(way)

            def spreads(name: str, x: Any) -> Any:
                found = up * np.subtract(x, c) * unit
                if np.any(found < -1e300):
                    raise DomainError(name, x, "within 1e300 spreads sqrt(D/k) of the center")
                # from beyond 1e150 spreads up the mean is infinite in float64, as from there
                return domain.plain(np.minimum(found, 1e150) + 0.0)

            self._low: Any = spreads("start", x0)
            self._high: Any = spreads("target", end)
            self._gap: Any = domain.plain(np.minimum(np.abs(way) * unit, 2e300))
        self.process = process
        self.start, self.target = x0, end
        self._k = k

    @property
    def height(self) -> Real:
        """Height of the target in spreads sqrt(D/k): negative if it lies on the start's side."""
        height: Real = self._high
        return height

    # Transform -------------------------------------------------------------------------------

    def _log_laplace(self, s: Any) -> Any:
        if not self._shape and np.ndim(s) == 0 and not np.iscomplexobj(s):
            order = float(s) / float(self._k)
            if _LOWEST < order < 1e290:
                return -rise(order, self._low, self._high, self._gap)
        p = np.asarray(s / np.asarray(self._k))
        wide = np.abs(p) < 1e290
        value = rise(np.where(wide, p, 1.0), self._low, self._high, self._gap)
        if not wide.all():  # so fast that the bowl is not felt
            root = 2.0 * np.sqrt(0.25 * s) / np.sqrt(self._k)
            drift = np.clip(0.25 * np.add(self._low, self._high), -1e140, 1e140)
            free = np.maximum(self._gap, 1e-308) * (root + drift)
            value = np.where(wide, value, free)
        slow = (np.abs(p) < _LOWEST) & (s != 0)
        if slow.any():  # log(1 + s mean)
            log = np.log(np.where(slow, s, 1.0)) + self.log_mean()
            value = np.where(slow, softplus(log), value)
        if np.iscomplexobj(value):  # beyond float64 the phase is lost
            value = np.where(np.isfinite(value), value, np.inf)
        return -value

    # Moments ---------------------------------------------------------------------------------

    def _series(self, p: Any) -> tuple[Any, Any]:
        """The mean in units of 1/k by series, and where that holds."""
        value = each(mean_series, p, self._low, self._high, self._gap)
        return value, value == value if type(value) is float else ~np.isnan(value)

    def _moment(self) -> tuple[Any, Any]:
        log, value = first_moment(self._low, self._high, self._gap)
        if np.any(self._high >= 1e150):
            log = np.where(np.asarray(self._high) >= 1e150, np.inf, log)
        return log, value

    def mean(self) -> Real:
        """Mean; ``inf`` where it overflows."""
        value, known = self._series(0.0)
        if not self._shape:
            return value / self._k if known else float(np.asarray(self._far_mean()))
        if known.all():
            return domain.plain(np.broadcast_to(value / self._k, self._shape))
        return domain.plain(np.where(known, value / self._k, self._far_mean()))

    @QUIET
    def _far_mean(self) -> Real:
        """The same by quadrature."""
        log, value = self._moment()
        if not self._shape:
            return float(value) / float(self._k) if value < np.inf else float(self._late(log))
        ratio = np.where(np.isinf(value), self._late(log), value / self._k)
        return domain.plain(np.broadcast_to(ratio, self._shape))

    def _late(self, log: Any) -> Any:
        """exp(log)/k, where exp(log) overflows and the ratio may not."""
        return np.exp(log - np.log(self._k))

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean: finite for targets up to 10^150 spreads up."""
        log, value = self._moment()
        ratio = value / self._k
        safe = (ratio > 1e-290) & (ratio < 1e290)
        value = np.where(safe, np.log(np.where(safe, ratio, 1.0)), log - np.log(self._k))
        return domain.plain(np.broadcast_to(value, self._shape))

    @QUIET
    def var(self) -> Real:
        """Variance; ``inf`` where it overflows."""
        return self._powers(1.0)

    @QUIET
    def std(self) -> Real:
        """Standard deviation; outlives the variance."""
        return self._powers(0.5)

    def _powers(self, power: float) -> Real:
        """The variance to a power."""
        log, value = second_cumulant(self._low, self._high, self._gap)
        value = value**power / np.asarray(self._k) ** (2.0 * power)
        safe = (value > 1e-290) & (value < 1e290)
        value = np.where(safe, value, np.exp(power * log - 2.0 * power * np.log(self._k)))
        return domain.plain(np.broadcast_to(value, self._shape))

    @QUIET
    def cv(self) -> Real:
        """Coefficient of variation; tends to 1 for targets far up."""
        log, square = second_cumulant(self._low, self._high, self._gap)
        log_mean, mean = self._moment()
        ratio = np.sqrt(square) / mean
        safe = (square > 1e-290) & (square < 1e290)
        far = np.exp(0.5 * log - log_mean)
        value = np.where(safe, ratio, np.where(np.isnan(far), 1.0, far))
        return domain.plain(np.broadcast_to(value, self._shape))

    # Distribution ----------------------------------------------------------------------------

    def _reduced(self, t: Array) -> Any:
        """Target at the center: z of P(T > t) = erf(z)."""
        depth = np.minimum(np.abs(self._low), 1e150)
        width = np.sqrt(2.0 * np.expm1(2.0 * self._k * t))
        return np.where(width > 0, depth / width, np.inf)

    @property
    def inverted(self) -> bool:
        """Whether the survival function is inverted from the transform: but at the centre."""
        return not np.any(np.asarray(self._high) == 0)

    def _choose(self, closed: Any, general: Any, t: Array) -> Any:
        """One way for targets at the center, another for the rest."""
        center = np.asarray(self._high) == 0
        if center.all():
            return closed(t)
        value = general(t)
        return np.where(center, closed(t), value) if center.any() else value

    @QUIET
    def _survival(self, t: Array) -> Any:
        return self._choose(lambda t: special.erf(self._reduced(t)), super()._survival, t)

    @QUIET
    def _cdf(self, t: Array) -> Any:
        return self._choose(lambda t: special.erfc(self._reduced(t)), super()._cdf, np.asarray(t))

    @QUIET
    def _density(self, t: Array) -> Any:
        def closed(t: Array) -> Any:
            z = self._reduced(t)
            shrink = -np.expm1(-2.0 * self._k * t)
            value = 2.0 / np.sqrt(np.pi) * np.exp(-z * z) * z * (self._k / shrink)
            return np.where((t > 0) & np.isfinite(t) & np.isfinite(value), value, 0.0)

        return self._choose(closed, super()._density, t)

    def _marks(self) -> Any:
        """The mean and up to 40 relative widths around it."""
        steps = np.outer([-1.0, 1.0], [0.0, 1.5, 3.0, 6.0, 12.0, 20.0, 40.0]).ravel()
        width = np.minimum(self.cv(), 1.0)
        return self.timescale() * np.exp(steps.reshape(-1, *(1,) * len(self._shape)) * width)

    @QUIET
    def timescale(self) -> Array:
        """The mean, or the relaxation time of the bowl if that is shorter."""
        return np.clip(np.minimum(self.mean(), 1.0 / np.asarray(self._k)), 1e-300, 1e300)

    @QUIET
    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """In closed form for targets at the center, else by inversion of a table of the law."""
        center = np.asarray(self._high) == 0
        normal = generator.standard_normal((n, *self._shape))
        times = 0.5 * np.log1p((np.asarray(self._low) / normal) ** 2) / self._k
        if center.all():
            return times
        if "_inverse" not in self.__dict__:
            self._inverse = InverseTable.of(self)
        return np.where(center, times, self._inverse(special.ndtr(normal)))

    # Under exponential resetting -------------------------------------------------------------

    def _reset(self, rate: Any) -> tuple[Any, Any, Any, Any]:
        """log and value of the mean in units of 1/k, its logarithmic slope, where p is usable."""
        p = rate / np.asarray(self._k)
        usable = (p > _LOWEST) & (p < 1e290)
        parts = excess_ratio(np.where(usable, p, 1.0), self._low, self._high, self._gap)
        return (*parts, usable)

    def mean_exponential(self, rate: Any) -> Any:
        """Mean under exponential waiting times, without a difference."""
        value, known = self._series(rate / self._k)
        if np.all(known):
            return value / self._k
        known, value = known & (rate > 0), value / self._k
        return np.where(known, value, self._far_mean_exponential(np.asarray(rate)))

    @QUIET
    def _far_mean_exponential(self, rate: Any) -> Any:
        """The same by quadrature."""
        if not self._shape and not rate.shape and self._high <= HIGH:
            p = float(rate) / float(self._k)
            if _LOWEST < p <= 30.0:
                return ratio(p, self._low, self._high, self._gap) / self._k
        log, value, _, usable = self._reset(rate)
        value = np.where(np.isinf(value), self._late(log), value / self._k)
        if usable.all():
            return value
        return np.where(usable, value, super().mean_exponential(rate))

    @QUIET
    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean)/d log(rate), which keeps its sign down to rate 0."""
        rate = np.asarray(rate, dtype=np.float64)
        value = slope(_log_mean_series, self._low, self._high, self._gap, rate / self._k)
        far = np.isnan(value)
        if not far.any():
            return value
        if self._shape:
            return np.where(far, self._far_slope(rate), value)
        value = np.array(value)
        value[far] = self._far_slope(rate[far])
        return value

    def _far_slope(self, rate: Any) -> Any:
        """The same by quadrature and by the Liouville–Green series."""
        slope, usable = self._reset(rate)[2:]
        if usable.all():
            return slope
        # slower than anything in float64, or so fast that only the distance counts
        ends = np.where(rate / np.asarray(self._k) < 1.0, 0.0, super().slope_exponential(rate))
        return np.where(usable, slope, np.where(np.isnan(ends), -0.5, ends))

    @QUIET
    def var_exponential(self, rate: Any) -> Any:
        """Variance R² - 2 R' of the mean R(p) in units of 1/k."""
        rate = np.asarray(rate, dtype=np.float64)
        log, _, slope, usable = self._reset(rate)
        p = np.where(usable, rate / np.asarray(self._k), 1.0)
        mean = np.exp(log - np.log(self._k))
        value = mean * (mean - 2.0 * slope / np.where(usable, rate, 1.0))
        value = np.where(np.isinf(mean), np.inf, np.where(mean > 0, np.maximum(value, 0.0), 0.0))
        if usable.all():
            return value
        return np.where(usable, value, np.where(p < 1.0, self.var(), super().var_exponential(rate)))

    @QUIET
    def trial_exponential(self, rate: Any, s: Any = 0.0) -> Trial:
        """Trial against an exponential waiting time: its mean is the one under the rate r + s."""
        x = np.asarray(rate + s)
        if np.iscomplexobj(x) or (x == 0).any():
            return super().trial_exponential(rate, s)
        log, value, _, usable = self._reset(x)
        if not usable.all():
            return super().trial_exponential(rate, s)
        log_success = np.asarray(self._log_laplace(x))
        ratio = np.where(np.isinf(value), self._late(log), value / self._k)
        safe = (ratio > 1e-290) & (ratio < 1e290)
        log_mean = np.where(safe, np.log(np.where(safe, ratio, 1.0)), log - np.log(self._k))
        return Trial(log_success, log_mean, ratio)


def _log_mean_series(low: Any, high: Any, gap: Any, p: Any) -> Any:
    """log of the mean under exponential waiting times in units of 1/k, for complex orders."""
    return np.log(mean_series(p, low, high, gap))
