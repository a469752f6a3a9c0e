"""Partial resetting: drift-diffusion whose distance to the target shrinks by a factor at a rate."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage import distribution
from resetsgd.passage.arrangements import log1p, log_sum
from resetsgd.passage.base import PassageTime
from resetsgd.passage.drift_diffusion import DriftDiffusionPassage

__all__ = ["PartialPassage", "partial_passage"]

_MOST_TERMS = 20_000
_PROMISE = 1e-10
_STEP = 1e-30
_EPS = float(np.finfo(np.float64).eps)


def partial_passage(free: PassageTime, rate: RealLike, factor: RealLike) -> PassageTime:
    """The passage time when x - target becomes factor (x - target) at a rate.

    Parameters
    ----------
    free : PassageTime
        Of :class:`~resetsgd.DriftDiffusion` to a point, without resets.
    rate : float or array
        Resets per unit time, 1/time, >= 0.
    factor : float or array
        In [0, 1); 0 resets onto the target.

    Raises
    ------
    DomainError
        If ``free`` is another passage time, or the rate or factor is outside its range.
    """
    if not isinstance(free, DriftDiffusionPassage):
        raise DomainError("partial", factor, "used with drift-diffusion to a single target only")
    return PartialPassage(free, rate, factor)


class PartialPassage(PassageTime):
    r"""Passage of drift-diffusion under partial resetting toward the target.

    With x the distance to the target, u(x) = E[exp(-sT)] solves
    :math:`D u'' - v u' - (r + s) u + r u(a x) = 0`, u(0) = 1. Its bounded solution is a sum of
    positive terms,

    .. math:: u(x) = \sum_n A_n e^{-k a^n x} / \sum_n A_n, \qquad
       A_n = A_{n-1} \frac{r}{r + s} \frac{1}{(1 - a^n)(1 + a^n k/w)},

    with k and w = k + v/D the roots of D k² + v k = r + s and its mirror image.

    Parameters
    ----------
    free : DriftDiffusionPassage
        The passage without resets.
    rate : float or array
        Resets per unit time.
    factor : float or array
        What the distance is multiplied by at each, in [0, 1).

    Notes
    -----
    Accuracy: mean and transform to a relative 1e-12, variance to 1e-10 or ``NotConverged``;
    survival and density by the Euler method of Laplace inversion, absolute error about 1e-9. Draws
    are exact: trials with positions drawn from the law of a surviving path.

    **Source**: O. Tal-Friedman, Y. Roichman and S. Reuveni, PRE 106, 054116 (2022), for the
    process; the series is derived in ``theory/15_partial_resets.py``, and
    ``tests/passage/test_partial.py`` also solves the equation on a grid.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> round(T.under(rs.Poisson(1.0, partial=0.5)).mean(), 9)
    1.252316442
    """

    sources = ("talfriedman2022",)
    derivation = "theory/15_partial_resets.py"

    def __init__(self, free: DriftDiffusionPassage, rate: RealLike, factor: RealLike) -> None:
        self.free = free
        self.rate = domain.nonnegative("rate", rate)
        self.factor = domain.within("partial", factor, 0.0, 1.0, open_high=True)
        self._shape = domain.broadcast(
            free=np.empty(free.shape), rate=self.rate, partial=self.factor
        )
        self._r, self._a = np.asarray(self.rate), np.asarray(self.factor)
        nearest = float(np.max(self._a))
        if nearest > 0 and 40.0 / -log(nearest) > _MOST_TERMS:
            raise NotConverged(
                f"partial = {nearest!r}: the series needs more than {_MOST_TERMS} terms this close"
                " to 1"
            )

    def __repr__(self) -> str:
        return f"{self.free!r}.under(Poisson(rate={self.rate}, partial={self.factor}))"

    @property
    def shape(self) -> tuple[int, ...]:
        """Common shape of the free passage time, the rate and the factor."""
        return self._shape

    def _series(self, s: Any) -> tuple[Any, Any, Any]:
        """Sums of A_n (1 - exp(-k_n x)), of s A_n, and the log of the sum of A_n exp(-k_n x)."""
        total = self._r + s
        depth = self.free._exponent(total)  # k x
        root, v = self.free._root(total), self.free._v
        # k/w = (root - v)/(root + v), rationalised by the sign of v
        full = np.where(root == 0, 1.0, root)
        square = 4.0 * self.free._D * total / (full + np.abs(v)) ** 2
        ratio = np.where(root == 0, 1.0, np.where(v >= 0, square, 1.0 / square))
        share = np.where(total == 0, 0.0, self._r / np.where(total == 0, 1.0, total))
        log_a = np.log(np.where(self._a > 0, self._a, 1.0))
        n, power = 0, np.ones(())
        weight: Any = np.ones(np.shape(total + self._a + depth), dtype=depth.dtype)
        fall: Any = 0.0
        still: Any = 0.0
        change = np.ones_like(weight)  # (1 - share) times the sum, by differences of B_n
        log_left: Any = np.full(weight.shape, -np.inf, dtype=weight.dtype)
        while True:
            now = power * depth
            gain = weight * -np.expm1(-now)
            fall, still = fall + gain, still + weight
            log_left = log_sum(log_left, np.log(weight) - now)
            n += 1
            power = np.asarray(np.where(self._a > 0, np.exp(n * log_a), 0.0))
            loss = np.where(self._a > 0, -np.expm1(n * log_a), 1.0)
            factor = loss * (1.0 + power * ratio)
            change = change + weight * share * power * (1.0 - ratio * loss) / factor
            weight = weight * share / factor
            size = np.abs(power * (1.0 + np.abs(ratio) + np.abs(depth))) / (1.0 - self._a)
            if np.all((size < 0.1 * _EPS) | (weight == 0)):
                break
            if n > 4 * _MOST_TERMS:
                raise NotConverged(f"partial: the series did not converge in {n} terms")
        # what follows is geometric: weights share^m, exponents 0
        rest = weight * total
        whole = np.abs(still + rest / np.where(s == 0, 1.0, s))
        if np.iscomplexobj(total) and not np.all((np.abs(still) <= 1e5 * whole) | (s == 0)):
            raise NotConverged("partial: the series cancels left of the imaginary axis")
        safe = np.where(s == 0, 1.0, s)
        tail = np.where(s == 0, 0.0, np.log(np.where(rest == 0, 1.0, rest / safe)))
        tail = np.where(rest == 0, -np.inf, tail)
        # the differences of B_n are positive with drift toward the target, where they keep the
        # slope in s apart from the number of terms; with drift away the sum itself is the safe one
        scaled = np.where(v >= 0, total * change, s * still + rest)
        return fall, scaled, log_sum(log_left, tail)

    def _late(self, s: Any) -> Any:
        """Transform of the survival, (1 - u)/s."""
        fall, scaled, _ = self._series(s)
        return fall / scaled

    def _log_laplace(self, s: Any) -> Any:
        s = np.asarray(s)
        with np.errstate(all="ignore"):
            fall, scaled, log_left = self._series(s)
            missing = np.where(s == 0, 0.0, s * fall / scaled)
            small = np.abs(missing) < 0.5
            far = log_left - np.log(np.where(s == 0, 1.0, scaled / np.where(s == 0, 1.0, s)))
            value = np.where(small, log1p(-np.where(small, missing, 0.0)), far)
            never = (s == 0) & (self._r == 0)
            return np.where(never, self.free._log_laplace(np.zeros(self.free.shape)), value)

    # Moments ---------------------------------------------------------------------------------

    def _like(self, value: Any) -> Real:
        return domain.plain(np.broadcast_to(value, self._shape))

    @QUIET
    def mean(self) -> Real:
        """Mean first-passage time, the sum of B_n (1 - exp(-k a^n x)) over r B_inf."""
        value = self._late(np.zeros(()))
        return self._like(np.where(self._r > 0, value, self.free.mean()))

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean."""
        return self._like(np.log(np.asarray(self.mean())))

    @QUIET
    def var(self) -> Real:
        """Variance, from the slope of the transform of the survival.

        Raises
        ------
        NotConverged
            If the relative spread is so small that its relative error may exceed 1e-10.
        """
        mean = np.where(self._r > 0, np.asarray(self.mean()), 1.0)
        step = _STEP / mean
        fall, scaled, _ = self._series(1j * step)
        # the imaginary part of their ratio is a difference of these two
        first = fall.imag / scaled.real
        second = mean * (scaled.imag / scaled.real)
        value = -2.0 * (first - second) / step - mean * mean
        size = 2.0 * (np.abs(first) + np.abs(second)) / step + mean * mean
        bound = 16.0 * _EPS * size
        if np.any((self._r > 0) & (bound > _PROMISE * np.abs(value))):
            worst = float(np.max(np.where(self._r > 0, bound / np.abs(value), 0.0)))
            raise NotConverged(f"var: relative error may be {worst:.1g}, more than {_PROMISE:g}")
        return self._like(np.where(self._r > 0, value, self.free.var()))

    # Distribution ----------------------------------------------------------------------------

    def _survival(self, t: Array) -> Any:
        return distribution.survival(self._inverting, t, right=True)

    def _density(self, t: Array) -> Any:
        return distribution.density(self._inverting, t, right=True)

    @QUIET
    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Trial by trial: the free passage against the next reset, else where it then is."""
        shape = (n, *self._shape)
        x = np.broadcast_to(self.free._L, shape).ravel().copy()
        v, D, r, a = (
            np.broadcast_to(part, shape).ravel()
            for part in (self.free._v, self.free._D, self._r, self._a)
        )
        total, open_ = np.zeros(x.size), np.arange(x.size)
        for _ in range(_MOST_TERMS):
            if open_.size == 0:
                return total.reshape(shape)
            walk = _Walk(x[open_], v[open_], D[open_])
            wait = generator.standard_exponential(open_.size) / r[open_]
            times = walk.passage(generator)
            wins = (times <= wait) | np.isinf(wait) | (x[open_] == 0)
            times = np.where(x[open_] == 0, 0.0, times)
            total[open_] += np.where(wins, times, wait)
            rest = ~wins
            place = walk.survivors(wait, rest, generator)
            open_ = open_[rest]
            x[open_] = a[open_] * place[rest]
        raise NotConverged(f"sample: some draws needed more than {_MOST_TERMS} resets")


class _Walk:
    """Free walkers at distances x, drift v toward the target."""

    def __init__(self, x: Array, v: Array, D: Array) -> None:
        self.x, self.v, self.D = x, v, D

    def passage(self, generator: np.random.Generator) -> Array:
        """Free passage times, inverse Gaussian."""
        from resetsgd.processes import DriftDiffusion

        x = np.where(self.x > 0, self.x, 1.0)
        law = DriftDiffusionPassage(DriftDiffusion(-self.v, self.D), x, np.zeros(x.size))
        return np.asarray(law._sample(1, generator)[0])

    def survivors(self, time: Array, wanted: Array, generator: np.random.Generator) -> Array:
        """Positions at a time on condition of not having arrived, by rejection of bridges."""
        place = np.zeros(self.x.size)
        left = np.flatnonzero(wanted)
        for _ in range(1_000_000):
            if left.size == 0:
                return place
            x, t, D = self.x[left], time[left], self.D[left]
            end = x - self.v[left] * t + np.sqrt(2.0 * D * t) * generator.standard_normal(left.size)
            hit = np.exp(-np.maximum(end, 0.0) / t * (x / D))
            kept = (end > 0) & (generator.random(left.size) >= hit)
            place[left[kept]] = end[kept]
            left = left[~kept]
        raise NotConverged("sample: a walker survived against odds too small to draw its position")
