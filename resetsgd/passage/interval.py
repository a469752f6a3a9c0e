"""Exit of drift-diffusion from an interval, in closed form and arranged for float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.arrangements import exp_excess, sinh_excess
from resetsgd.passage.base import QUIET
from resetsgd.passage.exit import Stretch
from resetsgd.passage.interval_law import IntervalLaw
from resetsgd.passage.sided import Sided, Splitting
from resetsgd.processes import DriftDiffusion
from resetsgd.protocols import Trial

__all__ = ["IntervalPassage"]


class IntervalPassage(IntervalLaw, Sided):
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
        self._stretch = Stretch(
            below, above, np.asarray(process.drift), np.asarray(process.diffusivity)
        )
        if not np.isfinite(self._stretch.whole).all():
            raise DomainError("target", target, "an interval whose length is within float64")
        self.process = process
        self.start = domain.plain(place)
        self.target = (domain.plain(low), domain.plain(high))

    def __repr__(self) -> str:
        return f"first_passage({self.process}, start={self.start}, target={self.target})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return self._shape

    def _like(self, value: Any) -> Real:
        return domain.plain(np.broadcast_to(value, self._shape))

    # Transform -------------------------------------------------------------------------------

    def _log_laplace(self, s: Any) -> Any:
        wave = self._stretch.wave(s)
        missing = s * wave.late()
        small = np.abs(missing) < 0.5
        return np.where(small, wave.log1p_of(-missing, small), wave.log_total())

    def _log_laplace_side(self, side: str, s: Any) -> Any:
        return self._stretch.wave(s).log_side(side)

    @QUIET
    def _log_laplace_given(self, side: str, s: Any) -> Any:
        direct = self._log_laplace_side(side, s) - self._log_chance(side)
        if np.iscomplexobj(s):
            return direct
        near = self._stretch.narrow(s)
        if not np.any(near):
            return direct
        return np.where(near, -self._stretch.delay_integral(side, np.where(near, s, 0.0)), direct)

    @QUIET
    def splitting(self) -> Splitting:
        """Probabilities to leave at either end.

        Returns
        -------
        Splitting
            ``lower`` and ``upper``, with relative accuracy also where they are small.
        """
        wave = self._stretch.wave(np.zeros(()))
        return Splitting(self._like(wave.at("lower")), self._like(wave.at("upper")))

    # Moments ---------------------------------------------------------------------------------

    @QUIET
    def mean(self) -> Real:
        """Mean exit time."""
        return self._like(self._stretch.mean())

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean."""
        return self._like(np.log(self._stretch.mean()))

    @QUIET
    def var(self) -> Real:
        """Variance: that at either end, and what the choice between them adds."""
        return self._like(self._stretch.wave(np.zeros(())).spread())

    def _mean_side(self, side: str) -> Any:
        return self._stretch.wave(np.zeros(())).delay_side(side)

    def _log_mean_side(self, side: str) -> Any:
        return np.log(self._mean_side(side))

    def _var_side(self, side: str) -> Any:
        return self._stretch.wave(np.zeros(())).spread_side(side)

    # Under exponential resetting -------------------------------------------------------------

    @QUIET
    def trial_exponential(self, rate: Any, s: Any = 0.0) -> Trial:
        """Trial against an exponential waiting time: M = W/f, W the transform of the survival."""
        wave = self._stretch.wave(np.asarray(rate + s))
        late, log_f = wave.late(), self._log_laplace(np.asarray(rate + s))
        mean = self._ratio(late, log_f, np.asarray(rate + s))
        size = np.abs(mean)
        usable = (size > 1e-290) & (size < 1e300)
        log_mean = np.where(usable, np.log(np.where(usable, mean, 1.0)), np.log(late) - log_f)
        return Trial(log_f, log_mean, mean)

    def _ratio(self, late: Any, log_f: Any, s: Any) -> Any:
        """W/f: by halves where 1/f overflows before the product does."""
        missing = s * late
        small = np.abs(missing) < 0.5
        half = np.exp(-0.5 * log_f)
        return np.where(small, late / np.where(small, 1.0 - missing, 1.0), half * late * half)

    @QUIET
    def mean_exponential(self, rate: Any) -> Any:
        """Mean under exponential waiting times."""
        rate = np.asarray(rate, dtype=np.float64)
        return self._ratio(self._stretch.wave(rate).late(), self._log_laplace(rate), rate)

    @QUIET
    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean)/d log(rate), exact also where it changes sign."""
        rate = np.asarray(rate, dtype=np.float64)
        exponent = -self._log_laplace(rate)
        small = exponent < 1.0
        bend = self._stretch.bend(rate, exponent, 1.0) * rate * rate
        gain = exp_excess(np.where(small, exponent, 0.0)) - bend
        far = rate * self._stretch.wave(rate).delay() + np.expm1(-exponent)
        return np.where(small, gain, far) / -np.expm1(-exponent)

    @QUIET
    def var_exponential(self, rate: Any) -> Any:
        """Variance 2 exp(E) [(sinh E - E) + (E - r E')]/r², E = -log f."""
        rate = np.asarray(rate, dtype=np.float64)
        exponent = -self._log_laplace(rate)
        small = exponent < 2.0
        positive = np.where(rate > 0, rate, 1.0)
        tame = np.where(small, exponent, 0.0)
        bend = self._stretch.bend(positive, exponent, 2.0)
        near = 2.0 * np.exp(tame) * (sinh_excess(tame) / positive / positive + bend)
        half = np.exp(0.5 * exponent)
        rest = -np.expm1(-2.0 * exponent) - 2.0 * rate * self._stretch.wave(rate).delay() * np.exp(
            -exponent
        )
        far = (half / positive * half * np.sqrt(rest)) ** 2
        return np.where(rate > 0, np.where(small, near, far), self.var())
