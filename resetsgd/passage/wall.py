"""Drift-diffusion between a target and a reflecting wall, arranged for float64."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.arrangements import exp_excess, sinh_excess
from resetsgd.passage.base import QUIET
from resetsgd.passage.drift_diffusion import DriftDiffusionPassage
from resetsgd.passage.hyperbolic import (
    NODES,
    WEIGHTS,
    fall_moment,
    log1p,
    log_sum,
    product_over,
    ramp,
    rise,
    scale,
    units,
)
from resetsgd.passage.wall_law import WallLaw
from resetsgd.processes import DriftDiffusion
from resetsgd.protocols import Trial

__all__ = ["WallPassage"]

_PANELS = np.linspace(0.0, 20.0, 11)
"""Edges of the quadrature panels at either end, in units of 1/k."""


class _Reach(NamedTuple):
    """Distances to target and wall and between them, drift toward the wall, diffusivity."""

    x: Any
    y: Any
    L: Any
    nu: Any
    D: Any


class _Wave:
    """Exponents at one s; x from start to target, y from start to wall, L = x + y.

    The transform is exp(-g x) N(y)/N(L), N(z) = k cosh k z - g sinh k z, with g > 0 for drift
    toward the wall; ``norm(z)`` is 2 exp(-k z) N(z)/k, a sum of positive terms.
    """

    def __init__(self, at: _Reach, s: Any) -> None:
        speed, D = np.abs(at.nu), at.D
        if np.iscomplexobj(s):
            root = np.sqrt(at.nu**2 + 4.0 * D * s)
        else:
            root = np.hypot(speed, 2.0 * np.sqrt(D) * np.sqrt(s))
        still = root == 0
        full = np.where(still, 1.0, root)
        slow = 2.0 * (s / (full + speed))  # k - |g|
        away = at.nu >= 0
        large = np.where(still, 1.0, (full + speed) / full)  # (k + |g|)/k
        small = np.where(still, 1.0, 2.0 * D * (slow / full))
        fast = product_over(at.x, 0.5 * root + 0.5 * speed, D)
        self.at, self.root = at, root
        self.a, self.b = np.where(away, large, small), np.where(away, small, large)
        self.drop = np.where(away, fast, at.x * slow)  # (k + g) x
        self.back = np.where(away, at.x * slow, fast)  # (k - g) x
        self.near, self.behind, self.whole = (product_over(z, root, D) for z in (at.x, at.y, at.L))

    def norm(self, twice: Any) -> Any:
        """(k - g)/k + (k + g)/k exp(-2 k z), from 2 k z."""
        return self.b + self.a * np.exp(-twice)

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
        if np.iscomplexobj(norm):
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


class WallPassage(WallLaw):
    r"""First passage of :class:`~resetsgd.DriftDiffusion` with a reflecting wall behind the start.

    With x and L the distances of start and wall from the target, g = nu/2D, nu the drift toward
    the wall, and :math:`k = \sqrt{\nu^2 + 4 D s}/2D`, the Laplace transform is
    :math:`e^{-g x} N(L - x)/N(L)`, :math:`N(z) = k \cosh k z - g \sinh k z`.

    Parameters
    ----------
    process : DriftDiffusion
        What moves.
    start, target, wall : float or array
        Positions, length. The start lies between target and wall or at the wall; arrays broadcast.

    Raises
    ------
    DomainError
        If a position is not finite, or the start is at the target or not before the wall.

    Notes
    -----
    Accuracy: relative error of moments, transform and their restarted versions at most
    (8 + 2 kappa) machine epsilons, kappa the condition number with respect to drift, diffusivity
    and the distances from the start to target and wall; see docs/accuracy.md. Survival and density
    are the law without the wall and its first reflection (early), eigenmodes (late) and Laplace
    inversion in between, with an absolute error of about 1e-11.

    **Source**: S. Redner, *A Guide to First-Passage Processes* (2001), section 2.2. Derived in
    ``theory/03_reflecting_wall.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
    >>> T = rs.first_passage(walk, start=1.0, target=0.0, wall=2.0)
    >>> T.mean(), round(T.cv(), 6)
    (1.5, 1.054093)
    """

    sources = ("redner2001",)
    derivation = "theory/03_reflecting_wall.py"

    def __init__(
        self, process: DriftDiffusion, start: RealLike, target: RealLike, wall: RealLike
    ) -> None:
        self._free = DriftDiffusionPassage(process, start, target)
        place, end = np.asarray(self._free.start), np.asarray(self._free.target)
        back = np.asarray(domain.finite("wall", wall))
        self._shape = domain.broadcast(
            start=place,
            target=end,
            wall=back,
            drift=process.drift,
            diffusivity=process.diffusivity,
        )
        outward = np.sign(place - end)
        with np.errstate(over="ignore"):
            behind = (back - place) * outward
        if not np.all(behind >= 0):
            raise DomainError(
                "wall", wall, f"on the other side of the start {start!r} than the target"
            )
        if not np.isfinite(behind + np.abs(place - end)).all():
            raise DomainError("wall", wall, "within the float64 range of the target")
        self.process = process
        self.start, self.target = domain.plain(place), domain.plain(end)
        self.wall = domain.plain(back)
        self._x, self._y = np.abs(place - end), behind + 0.0
        self._L = self._x + self._y
        self._nu = outward * process.drift  # toward the wall
        self._D = np.asarray(process.diffusivity)

    def __repr__(self) -> str:
        places = f"start={self.start}, target={self.target}, wall={self.wall}"
        return f"first_passage({self.process}, {places})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return self._shape

    def _like(self, value: Any) -> Real:
        return domain.plain(np.broadcast_to(value, self._shape))

    def _at(self, s: Any) -> tuple[_Reach, Any, Any]:
        """Distances and s in units in which nothing overflows, and the exponent of the time."""
        length, time = units(self._L, self._D, self._nu, s)
        drift = scale(self._nu, time - length)
        # beyond Péclet number 1e100 nothing but the variance would change, by that factor
        D = scale(self._D, time - 2 * length)
        D = np.maximum(D, np.maximum(1e-100 * np.abs(drift), 1e-290))
        x, y = scale(self._x, -length), scale(self._y, -length)
        return _Reach(x, y, x + y, drift, D), scale(s, time), time

    def _log_laplace(self, s: Any) -> Any:
        at, s, _ = self._at(s)
        return _exponent(at, s)

    # Moments ---------------------------------------------------------------------------------

    @QUIET
    def mean(self) -> Real:
        """Mean first-passage time: finite for every drift, if only in the logarithm."""
        at, s, time = self._at(np.zeros(()))
        return self._like(_finite(scale(_Wave(at, s).late(), time)))

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean."""
        at, s, time = self._at(np.zeros(()))
        wave = _Wave(at, s)
        mean = scale(wave.late(), time)
        usable = (mean > 1e-290) & (mean < 1e300)
        apart = wave.log_late() + time * np.log(2.0)
        return self._like(np.where(usable, np.log(np.where(usable, mean, 1.0)), apart))

    @QUIET
    def var(self) -> Real:
        """Variance, the sum of those of the steps from the start to the target."""
        at, s, time = self._at(np.zeros(()))
        wave = _Wave(at, s)
        value = wave.bend() * wave.over(1.0) * wave.over(1.0)
        return self._like(_finite(scale(2.0 * value, 2 * time)))

    @QUIET
    def cv(self) -> Real:
        """Coefficient of variation, also where mean or variance leave float64."""
        at, s, _ = self._at(np.zeros(()))
        wave = _Wave(at, s)
        return self._like(np.sqrt(2.0 * wave.bend()) / wave.numerator())

    # Under exponential resetting -------------------------------------------------------------

    @QUIET
    def trial_exponential(self, rate: Any, s: Any = 0.0) -> Trial:
        """Trial against an exponential waiting time: M = W/f, W the transform of the survival."""
        at, x, time = self._at(np.asarray(rate + s))
        log_f = _exponent(at, x)
        if not np.iscomplexobj(x):
            mean = _ratio(at, x, log_f, time)
            usable = (mean > 1e-290) & (mean < 1e300)
            apart = _Wave(at, x).log_late() + time * np.log(2.0) - log_f
            log_mean = np.where(usable, np.log(np.where(usable, mean, 1.0)), apart)
            return Trial(log_f, log_mean, mean)
        log_mean = _Wave(at, x).log_late() - log_f
        near, real, tilt = _nearly_real(at, x)
        if np.any(near):
            positive = np.where(real > 0, real, 1.0)
            slope = _slope(at, positive) / positive
            still = _Wave(at, np.zeros(()))
            first = 0.5 * still.late() - still.bend() * still.over(1.0) / still.numerator()
            slope = np.where(real > 0, slope, first)
            value = _Wave(at, real).log_late() - _exponent(at, real)
            log_mean = np.where(near, value + 1j * tilt * slope, log_mean)
        return Trial(log_f, log_mean + time * np.log(2.0))

    @QUIET
    def mean_exponential(self, rate: Any) -> Any:
        """Mean under exponential waiting times."""
        at, rate, time = self._at(np.asarray(rate, dtype=np.float64))
        return _ratio(at, rate, _exponent(at, rate), time)

    @QUIET
    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean)/d log(rate), exact also where it changes sign."""
        at, rate, _ = self._at(np.asarray(rate, dtype=np.float64))
        return np.where(rate > 0, np.nan_to_num(_slope(at, rate)), 0.0)

    @QUIET
    def var_exponential(self, rate: Any) -> Any:
        """Variance 2 exp(E) [(sinh E - E) + (E - r E')]/r², E = -log f."""
        at, rate, time = self._at(np.asarray(rate, dtype=np.float64))
        exponent, bend, gain = _parts(at, rate)
        small = exponent < 2.0
        positive = np.where(rate > 0, rate, 1.0)
        tame = np.where(small, exponent, 0.0)
        near = 2.0 * np.exp(tame) * ((sinh_excess(tame) + bend) / positive / positive)
        half = np.exp(0.5 * exponent)
        rest = -np.expm1(-2.0 * exponent) - 2.0 * gain * np.exp(-exponent)
        far = (scale(half / positive, time) * half * np.sqrt(rest)) ** 2
        value = np.where(small, scale(near, 2 * time), far)
        return np.where((rate > 0) & (exponent > 0), _finite(value), self.var())

    def timescale(self) -> Array:
        """The mean, or without the wall the scale where it overflows."""
        mean = np.asarray(self.mean())
        if np.all((mean > 0) & (mean < 1e300)):
            return mean
        return super().timescale()


def _finite(value: Any) -> Any:
    """What overflows on the way has overflowed."""
    return np.where(np.isnan(value), np.inf, value)


def _exponent(at: _Reach, s: Any) -> Any:
    """log of the transform; in scaled units."""
    wave = _Wave(at, s)
    with np.errstate(all="ignore"):
        missing, far = wave.over(wave.numerator() * s), wave.log_far()
    small = np.abs(missing) < 0.5
    value = np.where(small, log1p(-np.where(small, missing, 0.0)), far)
    value = np.where(np.asarray(s) == 0, 0.0, value)
    if not np.iscomplexobj(s):
        return value
    near, real, tilt = _nearly_real(at, s)
    if not np.any(near):
        return value
    exponent, _, gain = _parts(at, real)
    slope = np.where(real > 0, gain / np.where(real > 0, real, 1.0), _Wave(at, real).late())
    return np.where(near, -exponent - 1j * tilt * slope, value)


def _nearly_real(at: _Reach, s: Any) -> tuple[Any, Any, Any]:
    """Where one derivative is enough, the real and the imaginary part; see ``Stretch``."""
    real, imaginary = np.real(s), np.imag(s)
    # the slowest mode, that of drift to the wall, is exponentially slow
    slow = np.exp(-np.maximum(at.nu / at.D * at.L, 0.0))
    reach = np.abs(real) + at.D / at.L / at.L * slow
    near = (real >= 0) & (np.abs(imaginary) < 1e-9 * reach)
    return near, np.where(near, real, 1.0), np.where(near, imaginary, 0.0)


def _ratio(at: _Reach, s: Any, log_f: Any, time: Any) -> Any:
    """W/f: by halves where 1/f overflows before the product does."""
    wave = _Wave(at, s)
    late, missing = wave.late(), wave.over(wave.numerator() * s)
    small = missing < 0.5
    half = np.exp(-0.5 * log_f)
    near = scale(late / np.where(small, 1.0 - missing, 1.0), time)
    return _finite(np.where(small, near, half * scale(late, time) * half))


def _parts(at: _Reach, rate: Any) -> tuple[Any, Any, Any]:
    """E, E - r E' and r E'."""
    exponent = -_exponent(at, rate)
    wave = _Wave(at, rate)
    with np.errstate(all="ignore"):
        over = wave.over(rate)
        bend, direct = wave.bend() * over * over, rate * wave.delay()
        small = exponent < 2.0
        gain = np.where(small, exponent - bend, direct)
        return exponent, np.where(small, bend, exponent - direct), gain


def _slope(at: _Reach, rate: Any) -> Any:
    """d log M/d log r, exact also where it changes sign."""
    exponent, bend, gain = _parts(at, rate)
    small = exponent < 1.0
    near = exp_excess(np.where(small, exponent, 0.0)) - bend
    return np.where(small, near, gain + np.expm1(-exponent)) / -np.expm1(-exponent)
