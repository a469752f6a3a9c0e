"""First passage in a linear trap, in closed form and arranged for float64.

The formulas are derived in ``theory/06_linear_trap.py``; here they are only arranged so that
nothing cancels or overflows before the result does.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.domain import Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.arrangements import log_expm1, sinh_excess
from resetsgd.passage.base import QUIET, PassageTime
from resetsgd.passage.closed import Closed
from resetsgd.passage.drift_diffusion import DriftDiffusionPassage
from resetsgd.passage.sided import InverseTable
from resetsgd.processes import DriftDiffusion, LinearTrap

__all__ = ["LinearTrapPassage", "passage"]

_LARGE = 600.0
"""Exponents up to which products of two exponentials are taken as they stand."""


def passage(process: LinearTrap, start: RealLike, target: Any, wall: Any) -> PassageTime:
    """The passage time for a kind of target; what ``first_passage`` calls."""
    if isinstance(target, tuple) or wall is not None:
        raise DomainError("target", target, "one position, without a wall")
    trap = LinearTrapPassage(process, start, target)
    if np.all(trap._leg == 0):  # the kink is not crossed: a drift toward or away from the target
        return trap._plain(process.slope)
    return trap


def log1p(z: Any) -> Any:
    """log(1 + z) for real or complex z, real and imaginary part each without cancellation."""
    if not np.iscomplexobj(z):
        return np.log1p(z)
    a, b = z.real, z.imag
    large = np.abs(z) > 0.5
    near = 0.5 * np.log1p(np.where(large, 0.0, a * (2.0 + a) + b * b))
    real = np.where(large, np.log(np.abs(1.0 + z)), near)
    return real + 1j * np.arctan2(b, 1.0 + a)


def softplus(w: Any) -> Any:
    """log(1 + exp(w))."""
    large = np.real(w) > 40.0
    return np.where(large, w, log1p(np.exp(np.where(large, 0.0, w))))


def _exp_excess_2(x: Any) -> Any:
    """exp(x) - 1 - x for x >= 0."""
    return 2.0 * np.sinh(0.5 * x) ** 2 + sinh_excess(x)


def _exp_excess_3(x: Any) -> Any:
    """exp(x) - 1 - x - x²/2 for x >= 0."""
    small = x < 2.0
    y = np.where(small, x, 0.0)
    series = np.zeros_like(y)
    for k in range(24, 2, -1):
        series = (series + 1.0 / special.factorial(k)) * y
    return np.where(small, series * y * y, np.expm1(x) - x - 0.5 * x * x)


class LinearTrapPassage(Closed):
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
        with np.errstate(over="ignore"):
            gap = x0 - end
        if (gap == 0).any():
            raise DomainError("start", start, f"different from the target, got {target!r}")
        if np.isinf(gap).any():
            raise DomainError("start", start, "within the float64 range of the target")
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

    def __repr__(self) -> str:
        return f"first_passage({self.process}, start={self.start}, target={self.target})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return self._shape

    def _plain(self, slope: Any) -> DriftDiffusionPassage:
        """Drift-diffusion over the outer distance, with the slope as the speed."""
        drift = DriftDiffusion(drift=-np.asarray(slope), diffusivity=self._D)
        outer = np.broadcast_to(np.where(self._outer > 0, self._outer, 1.0), self._shape)
        return DriftDiffusionPassage(drift, domain.plain(outer), 0.0)

    # Transform -------------------------------------------------------------------------------

    def _roots(self, s: Any) -> tuple[Any, Any, Any]:
        """R - slope, n = (R + slope)/2D and m = (R - slope)/2D, small ones rationalised."""
        if np.iscomplexobj(s):
            root = np.sqrt(self._slope**2 + 4.0 * self._D * s)
        else:
            root = np.hypot(self._slope, 2.0 * np.sqrt(self._D) * np.sqrt(s))
        sum_ = root + np.abs(self._slope)
        large = sum_ / self._D / 2.0
        if not np.iscomplexobj(s):
            large = np.minimum(large, 1e300)  # no infinity that a distance of 0 could meet
        small = 2.0 * (s / np.where(sum_ == 0, 1.0, sum_))
        attracts = self._slope > 0
        ahead = np.where(attracts, 2.0 * self._D * small, sum_)
        return ahead, np.where(attracts, large, small), np.where(attracts, small, large)

    def _log_rise(self, ahead: Any, n: Any, m: Any) -> Any:
        """log[u(to)/u(from)]; 0 without a leg.

        R [u(to) - u(from)] = 2 D m exp(n from) expm1(n leg) + slope exp(-m from) expm1(-m leg),
        where the second, if negative, is at most half of the first.
        """
        y0, leg = self._from, self._leg
        far = np.real(n * self._to) > _LARGE
        near_n = np.where(far, 0.0, n)
        rise = ahead * np.exp(near_n * y0) * np.expm1(near_n * leg)
        rise = rise + self._slope * np.exp(-m * y0) * np.expm1(-m * leg)
        base = ahead * np.exp(near_n * y0) + self._slope * np.exp(-m * y0)
        value = log1p(rise / base)
        # beyond exp: the same in logarithms, where the second term of the rise has dropped out;
        # exp(n from) may be huge and 2 D m tiny, so that their product decides
        log_product = n * y0 + np.where(
            self._slope > 0, np.log(2.0 * self._D) + np.log(m), np.log(ahead)
        )
        attracted = -softplus(
            np.log(np.where(self._slope > 0, self._slope, 1.0)) - m * y0 - log_product
        )
        repelled = -log1p(np.minimum(self._slope, 0.0) * np.exp(-m * y0 - log_product))
        reduced = np.where(self._slope > 0, attracted, repelled)
        log_far = log_expm1(n * leg) + reduced
        return np.where((self._leg > 0) & (m != 0), np.where(far, softplus(log_far), value), 0.0)

    @QUIET
    def _log_laplace(self, s: Any) -> Any:
        ahead, n, m = self._roots(s)
        return -(m * self._outer) - self._log_rise(ahead, n, m)

    # Moments ---------------------------------------------------------------------------------

    def _units(self) -> tuple[Any, Any, Any, Any]:
        """The slope where it attracts, and from, leg and outer in units of D/slope."""
        slope = np.where(self._slope > 0, self._slope, 1.0)
        unit = np.minimum(slope / self._D, 1e300)
        return slope, unit * self._from, unit * self._leg, unit * self._outer

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean; ``inf`` unless the slope is positive."""
        slope, y0, leg, outer = self._units()
        climb = _exp_excess_2(leg) + (2.0 * np.expm1(y0) + 1.0) * np.expm1(leg)
        unit = np.log(self._D) - 2.0 * np.log(slope)
        far = y0 + leg > _LARGE
        value = np.log(np.where(far, 1.0, climb + outer))
        climbed = np.log(2.0) + y0 + log_expm1(np.where(leg > 0, leg, 1.0))
        value = np.where(far, np.logaddexp(climbed, np.log(outer)), value)
        flat = y0 + leg + outer < 1e-150  # the potential is nothing on the way
        way = np.log(self._leg + self._outer) + np.log(slope) - np.log(self._D)
        value = unit + np.where(flat, way, value)
        mean = (self._D / slope) * ((climb + outer) / slope)
        plain = ~far & ~flat & (mean > 1e-290) & (mean < 1e290)
        value = np.where(plain, np.log(np.where(plain, mean, 1.0)), value)
        return domain.plain(np.broadcast_to(np.where(self._slope > 0, value, np.inf), self._shape))

    @QUIET
    def mean(self) -> Real:
        """Mean; ``inf`` unless the slope is positive."""
        slope, y0, leg, outer = self._units()
        climb = _exp_excess_2(leg) + (2.0 * np.expm1(y0) + 1.0) * np.expm1(leg)
        value = (self._D / slope) * ((climb + outer) / slope)
        usual = (y0 + leg + outer > 1e-150) & (y0 + leg < _LARGE) & (value > 0) & (value < np.inf)
        value = np.where(usual, value, np.exp(self.log_mean()))
        return domain.plain(np.broadcast_to(np.where(self._slope > 0, value, np.inf), self._shape))

    @QUIET
    def std(self) -> Real:
        """Standard deviation; ``inf`` unless the slope is positive."""
        slope, y0, leg, outer = self._units()
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
        return climb, InverseTable(_Arriving(climb))

    @QUIET
    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Inverse Gaussian down to the kink, inversion of a table of the law up from it."""
        outer = self._plain(self._slope)._sample(n, generator)
        climb, table = self._table
        pick, uniforms = generator.random((2, n, *self._shape))
        arrive = np.exp(climb._log_laplace(np.zeros(self._shape)))
        up = np.where(pick < arrive, table(uniforms), np.inf)
        return np.where(self._outer > 0, outer, 0.0) + np.where(self._leg > 0, up, 0.0)


class _Arriving(PassageTime):
    """A law on condition that it arrives."""

    def __init__(self, law: PassageTime) -> None:
        self.law = law
        self._log_chance = np.real(law._log_laplace(np.zeros(law.shape)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return self.law.shape

    def _log_laplace(self, s: Any) -> Any:
        return self.law._log_laplace(s) - self._log_chance

    def log_mean(self) -> Real:
        """Not needed: sampling asks for the distribution only."""
        raise NotImplementedError

    def var(self) -> Real:
        """Not needed: sampling asks for the distribution only."""
        raise NotImplementedError

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        return InverseTable(self)(generator.random((n, *self.shape)))
