"""First passage of drift-diffusion with a reflecting wall behind the start."""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.arrangements import sinh_excess
from resetsgd.passage.drift_diffusion import DriftDiffusionPassage
from resetsgd.passage.elementary import each, slope
from resetsgd.passage.hyperbolic import scale, units
from resetsgd.passage.reflected import (
    Reach,
    Wave,
    exponent_parts,
    finite,
    log_mean_ratio,
    log_transform,
    mean_ratio,
    mean_slope,
    nearly_real,
)
from resetsgd.passage.wall_law import WallLaw
from resetsgd.processes import DriftDiffusion
from resetsgd.protocols import Trial

__all__ = ["WallPassage"]

_STEEPEST = 1e99
"""Climb from which on the shared formulas, which end at a Péclet number of 1e100, are left."""


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
        parts = self._x, self._y, self._nu, self._D
        self._parts = parts if self._shape else tuple(map(float, parts))

    def __repr__(self) -> str:
        places = f"start={self.start}, target={self.target}, wall={self.wall}"
        return f"first_passage({self.process}, {places})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return self._shape

    def _like(self, value: Any) -> Real:
        return domain.plain(np.broadcast_to(value, self._shape))

    def _at(self, s: Any) -> tuple[Reach, Any, Any]:
        """Distances and s in units in which nothing overflows, and the exponent of the time."""
        return _scaled(self._x, self._y, self._nu, self._D, s)

    def _log_laplace(self, s: Any) -> Any:
        at, scaled, _ = self._at(s)
        value = log_transform(at, scaled)
        if np.all(self._nu <= 0) or not np.any(self._climb >= _STEEPEST):
            return value
        # log f = log u(y) - log u(x + y), u(z) = 1 + (s D/nu²) exp(nu z/D) but for lesser terms
        with np.errstate(all="ignore"):
            s = np.asarray(s)
            unit = np.log(s) + np.log(self._D) - 2.0 * np.log(np.abs(self._nu))
            leaves = self._y / self._L * self._climb + unit.real > 0
            up = np.where(leaves, -(self._x / self._L) * self._climb, -self._climb - unit)
            up = np.where(s == 0, 0.0, up)
            return np.where((self._climb >= _STEEPEST) & (unit.real < -5.0), up, value)

    @property
    def _climb(self) -> Any:
        """nu L/D, what is to be climbed in all; negative for a drift toward the target."""
        with np.errstate(all="ignore"):
            value = self._nu / self._D * self._L
            return np.where(np.isfinite(value), value, self._nu * (self._L / self._D))

    # Moments ---------------------------------------------------------------------------------

    def mean(self) -> Real:
        """Mean first-passage time: finite for every drift, if only in the logarithm."""
        mean = each(_mean, *self._parts)
        return mean if type(mean) is float else self._like(mean)

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean."""
        at, s, time = self._at(np.zeros(()))
        wave = Wave(at, s)
        mean = scale(wave.late(), time)
        usable = (mean > 1e-290) & (mean < 1e300)
        apart = wave.log_late() + time * np.log(2.0)
        climbed = self._climb + np.log(self._D) - 2.0 * np.log(np.abs(self._nu))
        apart = np.where(self._climb >= _STEEPEST, climbed, apart)
        return self._like(np.where(usable, np.log(np.where(usable, mean, 1.0)), apart))

    @QUIET
    def var(self) -> Real:
        """Variance, the sum of those of the steps from the start to the target."""
        at, s, time = self._at(np.zeros(()))
        wave = Wave(at, s)
        value = wave.bend() * wave.over(1.0) * wave.over(1.0)
        return self._like(finite(scale(2.0 * value, 2 * time)))

    @QUIET
    def cv(self) -> Real:
        """Coefficient of variation, also where mean or variance leave float64."""
        at, s, _ = self._at(np.zeros(()))
        wave = Wave(at, s)
        return self._like(np.sqrt(2.0 * wave.bend()) / wave.numerator())

    # Under exponential resetting -------------------------------------------------------------

    @QUIET
    def trial_exponential(self, rate: Any, s: Any = 0.0) -> Trial:
        """Trial against an exponential waiting time: M = W/f, W the transform of the survival."""
        at, x, time = self._at(np.asarray(rate + s))
        log_f = log_transform(at, x)
        if np.any(self._climb >= _STEEPEST):
            log_f = self._log_laplace(np.asarray(rate + s))
        if not np.iscomplexobj(x):
            mean = mean_ratio(at, x, time)
            usable = (mean > 1e-290) & (mean < 1e300)
            apart = Wave(at, x).log_late() + time * np.log(2.0) - log_f
            log_mean = np.where(usable, np.log(np.where(usable, mean, 1.0)), apart)
            if np.any(self._climb >= _STEEPEST):
                log_mean = np.where(np.isneginf(log_f), np.inf, log_mean)
                log_mean = np.where(x == 0, self.log_mean(), log_mean)
            return Trial(log_f, log_mean, mean)
        log_mean = Wave(at, x).log_late() - log_f
        near, real, tilt = nearly_real(at, x)
        if np.any(near):
            positive = np.where(real > 0, real, 1.0)
            slope = mean_slope(at, positive) / positive
            still = Wave(at, np.zeros(()))
            first = 0.5 * still.late() - still.bend() * still.over(1.0) / still.numerator()
            slope = np.where(real > 0, slope, first)
            value = Wave(at, real).log_late() - log_transform(at, real)
            log_mean = np.where(near, value + 1j * tilt * slope, log_mean)
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
        at, rate, time = self._at(np.asarray(rate, dtype=np.float64))
        exponent, bend, gain = exponent_parts(at, rate)
        small = exponent < 2.0
        positive = np.where(rate > 0, rate, 1.0)
        tame = np.where(small, exponent, 0.0)
        near = 2.0 * np.exp(tame) * ((sinh_excess(tame) + bend) / positive / positive)
        half = np.exp(0.5 * exponent)
        rest = -np.expm1(-2.0 * exponent) - 2.0 * gain * np.exp(-exponent)
        far = (scale(half / positive, time) * half * np.sqrt(rest)) ** 2
        value = np.where(small, scale(near, 2 * time), far)
        return np.where((rate > 0) & (exponent > 0), finite(value), self.var())

    def timescale(self) -> Array:
        """The mean, or without the wall the scale where it overflows."""
        mean = np.asarray(self.mean())
        if np.all((mean > 0) & (mean < 1e300)):
            return mean
        return super().timescale()


def _scaled(x: Any, y: Any, nu: Any, D: Any, s: Any) -> tuple[Reach, Any, Any]:
    """Distances and s in units in which nothing overflows, and the exponent of the time."""
    length, time = units(x + y, D, nu, s)
    if type(time) is int:
        return Reach(x, y, x + y, nu, D), s, time
    drift = scale(nu, time - length)
    # beyond Péclet number 1e100 nothing but the variance would change, by that factor
    D = np.maximum(scale(D, time - 2 * length), np.maximum(1e-100 * np.abs(drift), 1e-290))
    x, y = scale(x, -length), scale(y, -length)
    return Reach(x, y, x + y, drift, D), scale(s, time), time


def _mean(x: Any, y: Any, nu: Any, D: Any) -> Any:
    """Mean without resets."""
    at, s, time = _scaled(x, y, nu, D, 0.0)
    mean = scale(Wave(at, s).late(), time)
    return mean if type(mean) is float else finite(mean)


def _mean_under(x: Any, y: Any, nu: Any, D: Any, rate: Any) -> Any:
    """Mean under exponential waiting times."""
    at, rate, time = _scaled(x, y, nu, D, rate)
    return mean_ratio(at, rate, time)


def _log_mean_under(x: Any, y: Any, nu: Any, D: Any, rate: Any) -> Any:
    """log of the same in scaled units, for complex rates."""
    return log_mean_ratio(*_scaled(x, y, nu, D, rate)[:2])
