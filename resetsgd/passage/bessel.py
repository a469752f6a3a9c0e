"""First passage of a Bessel process, in closed form and arranged for float64.

The formulas are derived in ``theory/05_bessel.py``; here they are only arranged so that nothing
cancels or overflows before the result does.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage import distribution
from resetsgd.passage.base import PassageTime
from resetsgd.passage.bessel_functions import (
    log_gamma_density,
    log_hyp,
    log_phi,
    ratio_i,
    ratio_k,
)
from resetsgd.passage.bessel_means import (
    level_outside,
    log_mean_inside,
    mean_inside,
    mean_outside,
    steep,
)
from resetsgd.passage.closed import Closed, mean_of_level, scale_of_means
from resetsgd.passage.elementary import each, slope
from resetsgd.passage.level_table import LevelTable
from resetsgd.passage.placed import Placed
from resetsgd.passage.sided import InverseTable
from resetsgd.passage.steep import Law
from resetsgd.processes import Bessel
from resetsgd.protocols import Trial

__all__ = ["BesselPassage", "passage"]

_GAUSS, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_LEAST_ORDER = 1e-18
"""Order that stands for 0, where phi does not exist."""
_LATEST = 1e290
"""Latest time that is drawn; what comes later, in two dimensions one in 300, is drawn as inf."""


def passage(process: Bessel, start: RealLike, target: Any, wall: Any) -> PassageTime:
    """The passage time for a kind of target; what ``first_passage`` calls."""
    if isinstance(target, tuple) or wall is not None:
        from resetsgd.passage.equivalent import equivalent

        return equivalent(process, start, target, wall)
    return BesselPassage(process, start, target)


class BesselPassage(Placed, Closed):
    r"""First passage of :class:`~resetsgd.Bessel` to a radius.

    With :math:`\nu = 1 - d/2` and :math:`k = \sqrt{s/D}`, E[exp(-sT)] is
    :math:`(r_0/a)^\nu K_\nu(k r_0)/K_\nu(k a)` from outside and
    :math:`(r_0/a)^\nu I_{-\nu}(k r_0)/I_{-\nu}(k a)` from inside. To the origin from outside T is
    :math:`r_0^2/4D` over a Gamma variable of shape :math:`\nu`.

    Parameters
    ----------
    process : Bessel
        What moves.
    start : float or array
        Starting radius, length; at least 0. Arrays broadcast.
    target : float or array
        Radius to reach, length. Below the start: any dimension if positive, a dimension below 2 if
        0. Above the start: a positive dimension.

    Raises
    ------
    DomainError
        If a radius is negative or not finite, the start is at the target, or the dimension does
        not admit the target.

    Notes
    -----
    From outside the mean is finite for d < 0 only; above d = 2 the target is reached with
    probability :math:`(a/r_0)^{d-2}`. Between 0 and 2 the origin reflects.

    Accuracy: moments and transform as in docs/accuracy.md. Survival and density in closed form for
    target 0, by Laplace inversion otherwise.

    **Source**: S. Redner, *A Guide to First-Passage Processes* (2001), chapters 6 and 7; S. Ray and
    S. Reuveni, J. Chem. Phys. 152, 234110 (2020). Derived in ``theory/05_bessel.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.Bessel(dimension=3, diffusivity=1.0), start=2.0, target=1.0)
    >>> T.laplace(0.0), T.mean()
    (0.5, inf)
    >>> rs.first_passage(rs.Bessel(dimension=2, diffusivity=1.0), start=0.0, target=1.0).mean()
    0.25
    """

    sources: ClassVar[tuple[str, ...]] = ("evans2014", "ray2020")
    derivation: ClassVar[str] = "theory/05_bessel.py"

    def __init__(self, process: Bessel, start: RealLike, target: RealLike) -> None:
        r0 = np.asarray(domain.nonnegative("start", start))
        end = np.asarray(domain.nonnegative("target", target))
        d = np.asarray(process.dimension)
        self._shape = domain.broadcast(
            dimension=d, diffusivity=process.diffusivity, start=r0, target=end
        )
        domain.gap(r0, end)
        self._inward = r0 > end
        if np.any(~self._inward & (d <= 0)):
            raise DomainError("target", target, "below the start for a dimension <= 0")
        if np.any((end == 0) & (d >= 2)):
            raise DomainError("target", target, "positive for a dimension >= 2: 0 is not reached")
        self.process = process
        self.start, self.target = domain.plain(r0), domain.plain(end)
        shape = self._shape
        self._r, self._a = np.broadcast_to(r0, shape), np.broadcast_to(end, shape)
        self._inward = np.broadcast_to(self._inward, shape)
        self._d = np.broadcast_to(d, shape)
        self._D = np.broadcast_to(np.asarray(process.diffusivity), shape)
        self._nu = np.broadcast_to(1.0 - 0.5 * d, shape)
        parts = 0.5 * self._d, self._D, self._r, self._a
        self._parts: Any = parts if shape else tuple(map(float, parts))
        low, high = np.minimum(self._r, self._a), np.maximum(self._r, self._a)
        with np.errstate(divide="ignore", over="ignore"):
            close = high < 2.0 * np.where(low > 0, low, -1.0)
            apart = np.log1p(np.where(close, (high - low) / np.where(low > 0, low, 1.0), 0.0))
            self._log_ratio = np.where(close, apart, np.log(high) - np.log(low))

    # Transform -------------------------------------------------------------------------------

    @property
    def _log_arrive(self) -> Any:
        """Logarithm of the probability to arrive, (d - 2) log(a/r0) from outside above d = 2."""
        escapes = self._inward & (self._nu < 0)
        return np.where(escapes, 2.0 * self._nu * np.where(escapes, self._log_ratio, 0.0), 0.0)

    @QUIET
    def _log_laplace(self, s: Any) -> Any:
        s = np.asarray(s)
        if not np.iscomplexobj(s):
            return self._real(s.astype(np.float64))
        real, imaginary = s.real, s.imag
        if np.all((real >= 0) & (np.abs(imaginary) <= 1e-8 * real)):  # a step for a derivative
            return self._real(real) - 1j * imaginary * self._delay(real)
        return self._complex(s)

    def _spread(self, s: Any) -> tuple[Any, ...]:
        """s, order, k r0, k a, direction and log of the ratio of the radii, in a common shape."""
        s, nu, r, a, inward, ratio, D = np.broadcast_arrays(
            s, self._nu, self._r, self._a, self._inward, self._log_ratio, self._D
        )
        k = np.sqrt(s) / np.sqrt(D)
        return s, nu, k * r, k * a, inward, ratio

    def _half(self, s: Any) -> Any:
        """d/2, the order of the functions inside and one; small dimensions keep their digits."""
        return np.broadcast_to(0.5 * self._d, s.shape)

    def _real(self, s: Any) -> Any:
        s, nu, x, y, inward, ratio = self._spread(s)
        arrive = np.broadcast_to(self._log_arrive, s.shape)
        value = np.array(arrive)
        moves = s > 0
        # where the powers in front of exp(-k gap) are nothing to it
        far = moves & (np.minimum(x, y) > 1e100)
        gap = np.abs(self._r - self._a)
        x, y = np.minimum(x, 1e300), np.minimum(y, 1e300)
        value = np.where(far, -np.sqrt(s) / np.sqrt(self._D) * gap, value)
        moves = moves & ~far
        outside, inside = moves & inward, moves & ~inward
        plain = outside & (np.abs(nu) == 0.5)
        if plain.any():  # K of order 1/2 is an exponential, in one and in three dimensions
            value = np.where(plain, arrive - np.sqrt(s) / np.sqrt(self._D) * gap, value)
            outside = outside & ~plain
        if inside.any():
            half, low, high = self._half(s)[inside], x[inside], y[inside]
            outer = log_hyp(half, high)
            apart = log_hyp(half, low) - outer
            close = (ratio[inside] < 1.0) & (low > 0) & (-apart < 0.6 * outer)
            if close.any():
                apart[close] = -_integral(ratio_i, half[close], low[close], ratio[inside][close], 1)
            value[inside] = apart
        if outside.any():
            n, low, high = nu[outside], y[outside], x[outside]
            order = np.maximum(np.abs(n), _LEAST_ORDER)
            outer = log_phi(order, high)
            apart = outer - log_phi(order, low)
            total, width = arrive[outside] + apart, ratio[outside]
            # what is close, or slow as a logarithm, has lost digits
            lost = (low > 0) & np.where(order < 0.5, -total < 6.0, apart > 0.6 * outer)
            close = lost & (width < 2.0)
            slow = lost & ~close & (order < 0.5) & (width < 60.0)
            for part, count in ((close, 1), (slow, 30)):
                if part.any():
                    total[part] = -_integral(ratio_k, n[part], low[part], width[part], count)
            value[outside] = total
        return value

    def _delay(self, s: Any) -> Any:
        """-d/ds of the logarithm at real s: (z ratio(z) at the outer - at the inner radius)/2s."""
        s, nu, x, y, inward, _ = self._spread(s)
        moves = s > 0
        value = np.broadcast_to(np.asarray(self.mean()), s.shape).astype(np.float64)
        outside = moves & inward
        plain = outside & (np.abs(nu) == 0.5)
        if plain.any():
            slow = np.abs(self._r - self._a) / np.sqrt(self._D) / (2.0 * np.sqrt(s))
            value = np.where(plain, slow, value)
            outside = outside & ~plain
        for ratio, part, order in (
            (ratio_k, outside, np.abs(nu)),
            (ratio_i, moves & ~inward, self._half(s)),
        ):
            if part.any():
                v, first, last = order[part], x[part], y[part]
                inner, outer = np.minimum(first, last), np.maximum(first, last)
                rise = outer * ratio(v, outer)
                known = inner > 0
                rise = rise - np.where(known, inner * ratio(v, np.where(known, inner, 1.0)), 0.0)
                value[part] = rise / (2.0 * s[part])
        return value

    def _complex(self, s: Any) -> Any:
        s, nu, x, y, inward, width = self._spread(s)
        arrive = np.broadcast_to(self._log_arrive, s.shape)
        value = np.array(arrive, dtype=np.complex128)
        outside, inside = inward & (s != 0), ~inward & (s != 0)
        plain = outside & (np.abs(nu) == 0.5)
        if plain.any():
            value = np.where(plain, arrive - (x - y), value)
            outside = outside & ~plain
        if inside.any():
            half = self._half(s)[inside]
            value[inside] = log_hyp(half, x[inside]) - log_hyp(half, y[inside])
        if outside.any():
            order, high, low = np.abs(nu[outside]), x[outside], y[outside]
            slow = (order < 0.5) & (low != 0)  # phi may all but vanish, K does not overflow
            ratio = special.kve(order, high) / special.kve(order, np.where(slow, low, 1.0))
            ratios = nu[outside] * width[outside] + np.log(ratio) - (high - low)
            order = np.maximum(order, _LEAST_ORDER)
            phis = value[outside] + log_phi(order, high) - log_phi(order, low)
            value[outside] = np.where(slow, ratios, phis)
        return value

    # Moments ---------------------------------------------------------------------------------

    def _gap(self) -> Any:
        """abs(a² - r0²)/D, its factors apart."""
        gap, sum_ = np.abs(self._r - self._a), self._r + self._a
        return gap * (sum_ / self._D)

    @property
    def _finite_mean(self) -> Any:
        return ~self._inward | (self._d < 0)

    @QUIET
    def mean(self) -> Real:
        """Mean abs(a² - r0²)/(2 abs(d) D); ``inf`` from outside unless d < 0."""
        value = self._gap() / (2.0 * np.abs(self._d))
        return domain.plain(np.where(self._finite_mean, value, np.inf))

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean."""
        mean = np.asarray(self.mean())
        safe = (mean > 1e-300) & (mean < np.inf)
        gap, sum_ = np.abs(self._r - self._a), self._r + self._a
        apart = np.log(gap) + np.log(sum_) - np.log(self._D) - np.log(2.0 * np.abs(self._d))
        value = np.where(safe, np.log(np.where(safe, mean, 1.0)), apart)
        return domain.plain(np.where(self._finite_mean, value, np.inf))

    @QUIET
    def std(self) -> Real:
        """Standard deviation; ``inf`` from outside unless d < -2."""
        a, r, d = self._a, self._r, self._d
        width = np.sqrt(self._gap()) * (np.hypot(a, r) / np.sqrt(self._D))
        value = width / (np.abs(d) * np.sqrt(2.0 * np.abs(d + 2.0)))
        return domain.plain(np.where(~self._inward | (d < -2.0), value, np.inf))

    @QUIET
    def var(self) -> Real:
        """Variance abs(a⁴ - r0⁴)/(2 d² abs(d + 2) D²); ``inf`` from outside unless d < -2."""
        return domain.plain(np.asarray(self.std()) ** 2)

    # Under exponential resetting -------------------------------------------------------------

    def mean_exponential(self, rate: Any) -> Any:
        """Mean under exponential waiting times; from inside not through the transform."""
        if self._inward.any():
            return self._mean_outside(rate)
        value, known = each(mean_inside, *self._parts, rate), True
        if type(value) is not float:
            known = ~np.isnan(value)
        return value if np.all(known) else np.where(known, value, super().mean_exponential(rate))

    @QUIET
    def _mean_outside(self, rate: Any) -> Any:
        """The same from outside; very many rates of one law go by a table of its transform."""
        if self._shape:
            return super().mean_exponential(rate)
        half, D, r, a = self._parts
        if type(rate) is float:
            near = mean_outside(1.0 - half, D, r - a, a, float(self._log_ratio), rate)
            return near if near == near else super().mean_exponential(rate)
        rate = np.asarray(rate, dtype=np.float64)
        plain = abs(1.0 - half) == 0.5
        if plain or rate.size < 1000 or not (rate.min() > 0 and rate.max() < np.inf):
            return super().mean_exponential(rate)
        if not self._levels.pays(rate):
            return super().mean_exponential(rate)
        return mean_of_level(self._levels(rate) - float(self._log_arrive), rate)

    @cached_property
    def _levels(self) -> LevelTable:
        """Levels of those that arrive."""
        law = self._of_arrivals
        return LevelTable(lambda s: -law._real(s))

    def timescale(self) -> Array:
        """A typical time of arrival."""
        scale = self._scale_outside() if self._inward.any() else scale_of_means(self)
        return super().timescale() if scale is None else scale

    def _scale_outside(self) -> Array | None:
        """The same from outside, for one law and numbers that are not extreme."""
        if self._shape:
            return None
        half, D, r, a = self._parts
        arrive, place = float(self._log_arrive), float(self._log_ratio)
        speed = (r - a) / D * (r - a)
        if not 1e-250 < speed < 1e250:
            return None
        first = math.frexp(1.0 / speed)[1]
        for power in range(first + 4, first - 40, -1):  # the level at 1/speed is about 1
            level = level_outside(1.0 - half, D, r - a, a, place, 2.0**power)
            if level != level:
                return None
            if arrive + level < 1.0:
                return np.asarray(2.0 ** -(power + 1)) if power < first + 4 else None
        return None

    @QUIET
    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean)/d log(rate); from inside exact also where it changes sign."""
        if self._inward.any():
            return super().slope_exponential(rate)
        rate = np.asarray(rate, dtype=np.float64)
        value = slope(log_mean_inside, *self._parts, rate)
        far = np.isnan(value)
        if not far.any():
            return value
        if self._shape or not rate.shape:
            return np.where(far, self._far_slope(rate), value)
        value = np.array(value)
        value[far] = self._far_slope(rate[far])
        return value

    def _far_slope(self, rate: Any) -> Any:
        """The same where the arguments of the Bessel functions are large."""
        half, D, r, a = self._parts
        if not self._shape and half < 30.0 and 1e-3 * a < r < 0.8 * a:
            k = np.sqrt(rate / D)
            inner, outer = k * r, k * a
            near, edge = np.minimum(inner, 1e6), np.minimum(outer, 1e6)
            low, high = special.ive(half - 1.0, near), special.ive(half - 1.0, edge)
            # (2h - 1) and (2h - 3) of the expansion in 1/z, whose constant drops out
            curl = (2.0 * half - 1.0) * (2.0 * half - 3.0) / 8.0
            rise = steep(half, near, low, inner, curl)
            fall = 0.5 * (steep(half, edge, high, outer, curl) - rise)
            log_f = np.log(low / high) + near - edge + (half - 1.0) * math.log(a / r)
            value = fall / -np.expm1(np.where(outer > edge, -np.inf, log_f)) - 1.0
            if np.isfinite(value).all():
                return value
        level, fall = -self._real(rate), rate * self._delay(rate)
        return fall / -np.expm1(-level) - 1.0

    # Distribution ----------------------------------------------------------------------------

    @property
    def _to_origin(self) -> bool:
        return bool(np.all(self._a == 0))

    def _gamma_at(self, t: Array) -> Any:
        """r0²/4Dt: T is later than t where a Gamma variable is smaller than this."""
        return (self._r / 2.0) * ((self._r / 2.0) / self._D / t)

    @property
    def inverted(self) -> bool:
        """Whether the survival function is inverted from the transform: but to the origin."""
        return not self._to_origin

    def _survival(self, t: Array) -> Any:
        if not self._to_origin:
            return super()._survival(t)
        return np.where(t > 0, special.gammainc(self._nu, self._gamma_at(t)), 1.0)

    def _density(self, t: Array) -> Any:
        if not self._to_origin:
            return super()._density(t)
        z = self._gamma_at(np.where(t > 0, t, 1.0))
        value = np.exp(log_gamma_density(self._nu, z)) / t
        return np.where((t > 0) & np.isfinite(t), value, 0.0)

    def _log_laplace_arriving(self, s: Any) -> Any:
        """log E[exp(-sT)] of those that arrive."""
        return self._log_laplace(s) - self._log_arrive

    @cached_property
    def _arriving(self) -> Law:
        """What a Laplace inversion may ask of the law of those that arrive."""
        return Law(self._log_laplace_arriving, self._shape, self.mean, self.std, self.timescale)

    @QUIET
    def _cdf(self, t: Array) -> Any:
        if not self._to_origin:  # relative to the chance to arrive, which may be tiny
            t = np.broadcast_to(t, np.broadcast_shapes(np.shape(t), self._shape))
            come = np.clip(distribution.cdf(self._arriving, t), 0.0, 1.0)
            return np.exp(self._log_arrive) * come
        return np.where(t > 0, special.gammaincc(self._nu, self._gamma_at(t)), 0.0)

    @QUIET
    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time; a rare arrival keeps its digits."""
        trial = super().trial_fixed(period, s)
        period = np.asarray(period, dtype=np.float64)
        if np.any(np.asarray(s) != 0) or not np.isfinite(period).all():
            return trial
        log_duration = np.asarray(trial.log_mean) + trial.log_success
        come = np.asarray(self._cdf(period))
        rare = self._to_origin | (come < 0.5)
        log_success = np.where(rare, np.log(come), trial.log_success)
        return Trial(log_success, log_duration - log_success)

    @QUIET
    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Exact to the origin; else by inversion of a table of the law.

        Walkers of dimension d > 2 that do arrive from outside do so as in dimension 4 - d.
        """
        shape = (n, *self._shape)
        if self._to_origin:
            draws = generator.standard_gamma(np.broadcast_to(self._nu, shape))
            return np.asarray((self._r / 2.0) * ((self._r / 2.0) / self._D) / draws)
        pick, uniforms = generator.random((2, *shape))
        law, table = self._table
        late = uniforms > 1.0 - np.asarray(law.survival(_LATEST))
        times = np.where(late, np.inf, table(uniforms))
        return np.where(pick < np.exp(self._log_arrive), times, np.inf)

    @property
    def _of_arrivals(self) -> BesselPassage:
        """The law of those that arrive: from outside in d > 2 that of dimension 4 - d."""
        escapes = self._inward & (self._nu < 0)
        mirrored = domain.plain(np.where(escapes, 4.0 - self._d, self._d))
        process = Bessel(dimension=mirrored, diffusivity=self.process.diffusivity)
        return BesselPassage(process, self.start, self.target)

    @cached_property
    def _table(self) -> tuple[BesselPassage, InverseTable]:
        """The law of those that arrive, and a table of it to draw from."""
        law = self._of_arrivals

        def quantile(q: Any) -> Any:
            return np.minimum(law.quantile(q), _LATEST)

        return law, InverseTable(law.shape, quantile, law._cdf, law.survival)


def _integral(ratio: Any, order: Any, low: Any, width: Any, count: int) -> Any:
    """-log f as the integral of a ratio of Bessel functions, over z = log(k r) in pieces.

    The integrand is positive, so that a small integral keeps its digits.
    """
    place = (np.arange(count)[:, None] + 0.5 + 0.5 * _GAUSS).reshape(-1, *(1,) * low.ndim)
    weights = np.tile(0.5 * _WEIGHTS, count).reshape(place.shape)
    z = low * np.exp(width / count * place)
    return np.sum(weights * z * ratio(order, z), axis=0) * (width / count)
