"""Passage times in whole steps: laws on a lattice, known by their generating function.

The primitive is log G(e^-u), G(z) = E[z^N], together with v(u) = 1 - G(e^-u) in relative terms.
Everything else follows exactly (all protocols, moments) or by contour integrals over z (the law).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage import lattice_coins, lattice_law, trials
from resetsgd.passage.base import PassageTime
from resetsgd.passage.sums import ROUND, spent
from resetsgd.protocols import Protocol, Sharp, Trial

if TYPE_CHECKING:
    from resetsgd.passage.optimum import Optimum

__all__ = ["LatticeTime"]

_MOST = 2**20
"""Most steps that are summed one by one."""
_NEAR = 1e-200
"""u at which limits u -> 0 are taken."""


class LatticeTime(PassageTime):
    """A passage time N * step with N = 1, 2, ...; survival is a right-continuous step function.

    A subclass supplies ``_generate``; ``_certain`` where arrival or its mean can be infinite.

    Parameters
    ----------
    step : float, default 1
        Time of one step.

    Notes
    -----
    **Source**: L. Kusmierz et al., PRL 113, 220602 (2014) for coins at each step. Derived in
    ``theory/14_finite_learning_rate.py``.
    """

    sources: ClassVar[tuple[str, ...]] = ("kusmierz2014",)
    derivation: ClassVar[str] = "theory/14_finite_learning_rate.py"

    def __init__(self, step: float = 1.0) -> None:
        self.step = float(np.asarray(domain.positive("step", step)))
        self._lenient = False

    @abstractmethod
    def _generate(self, u: Array) -> tuple[Array, Array, Array]:
        """log G(e^-u), 1 - G(e^-u), each accurate in relative terms where it is small, and error.

        ``u``, shape (m,), is real > 0 or complex off the negative axis; the results have the shape
        (m, size), size the number of passage times. The error is the estimated relative one.
        """

    def _certain(self) -> tuple[bool, bool]:
        """Whether it surely arrives, and whether the mean is finite if it does."""
        return True, True

    @property
    def smooth(self) -> bool:
        """Whether the law has a smooth density: one of whole steps has none."""
        return False

    # Transform -------------------------------------------------------------------------------

    @contextmanager
    def _leniently(self) -> Iterator[None]:
        """Within, what did not converge is NaN instead of an error."""
        before, self._lenient = self._lenient, True
        try:
            yield
        finally:
            self._lenient = before

    @QUIET
    def _at(self, u: Any) -> tuple[Any, Any]:
        """log G and v = 1 - G, broadcast against the parameters; u = 0 is a limit from above."""
        u = np.asarray(u)
        shape = np.broadcast_shapes(u.shape, self.shape)
        which = np.broadcast_to(np.arange(self._size).reshape(self.shape), shape).ravel()
        points = np.broadcast_to(u, shape).ravel()
        zero = points == 0
        limited = np.where(np.real(points) > 1e300, 1e300, points)
        unique, place = np.unique(np.where(zero, _NEAR, limited), return_inverse=True)
        log_value, minus, error = self._generate(unique)
        log_value, minus = log_value[place, which], minus[place, which]
        error = error[place, which]
        # log G where G is next to one
        close = np.abs(minus) < 0.5
        log_value = np.where(close, np.log1p(-np.where(close, minus, 0.0)), log_value)
        if zero.any():
            surely = self._certain()[0]
            log_value = np.where(zero & surely, 0.0, log_value)
            minus = np.where(zero & surely, 0.0, minus)
            error = np.where(zero & surely, 0.0, error)
        bad = ~(error <= lattice_law.TOLERANCE)
        if bad.any():
            if not self._lenient:
                worst = float(np.max(np.where(np.isnan(error), np.inf, error)))
                raise NotConverged(
                    f"generating function: estimated relative error {worst:.1e} exceeds"
                    f" {lattice_law.TOLERANCE:g}"
                )
            log_value, minus = np.where(bad, np.nan, log_value), np.where(bad, np.nan, minus)
        return log_value.reshape(shape), minus.reshape(shape)

    @property
    def _size(self) -> int:
        return int(np.prod(self.shape, dtype=int))

    def _log_laplace(self, s: Any) -> Any:
        return self._at(np.asarray(s) * self.step)[0]

    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean) / d log(rate); NaN where the generating function is not resolved."""
        with self._leniently():
            return super().slope_exponential(rate)

    # Moments ---------------------------------------------------------------------------------

    @cached_property
    @QUIET
    def _steps(self) -> tuple[Any, Any]:
        """Mean and variance of N: Q(1) = E[N] and Q'(1) = E[N (N-1)]/2, Q = (1 - G)/(1 - z)."""
        surely, finite = self._certain()
        if not (surely and finite):
            return np.full(self.shape, np.inf), np.full(self.shape, np.inf)
        h = 1e-40
        mean = np.reshape(self._at(_NEAR)[1] / -np.expm1(-_NEAR), self.shape)
        bend = np.reshape(self._at(h * 1j)[1] / -np.expm1(-h * 1j), self.shape).imag / h
        return mean, np.maximum(-2.0 * bend + mean - mean * mean, 0.0)

    def log_mean(self) -> Real:
        """Logarithm of the mean; ``inf`` where the mean is infinite."""
        return domain.plain(np.log(self._steps[0]) + np.log(self.step))

    def mean(self) -> Real:
        """Mean, step * Q(1), not through its logarithm."""
        return domain.plain(self._steps[0] * self.step)

    def var(self) -> Real:
        """Variance, time²."""
        return domain.plain(self._steps[1] * self.step**2)

    # Law -------------------------------------------------------------------------------------

    @cached_property
    def _table(self) -> lattice_law.Law:
        return lattice_law.Law(self._generate, self._size)

    def _count(self, t: Any) -> Any:
        """Whole steps in t, rounding of the product forgiven."""
        eps = np.finfo(np.float64).eps
        return np.floor(np.asarray(t) / self.step * (1.0 + 2.0 * eps))

    def _before(self, t: Any) -> Any:
        """Whole steps strictly before t."""
        return np.maximum(np.ceil(np.asarray(t) / self.step * (1.0 - ROUND)) - 1.0, 0.0)

    def _late(self, n: Any) -> Any:
        """P(N > n), broadcast against the parameters."""
        return self._look(self._table.survival, n)

    def _look(self, table: Callable[[Array, Any], Array], n: Any) -> Any:
        shape = np.broadcast_shapes(np.shape(n), self.shape)
        which = np.broadcast_to(np.arange(self._size).reshape(self.shape), shape).ravel()
        return table(np.broadcast_to(n, shape).ravel(), which).reshape(shape)

    def _survival(self, t: Array) -> Any:
        finite = np.where(np.isinf(t), 0.0, t)
        never = -np.expm1(np.real(self._log_laplace(np.zeros(self.shape))))
        return np.where(np.isinf(t), never, self._late(self._count(finite)))

    def _density(self, t: Array) -> Any:
        raise DomainError("T", self, "a law with a density: steps have probabilities, see pmf(n)")

    @QUIET
    def pmf(self, n: RealLike) -> Real:
        """P(N = n), the probability to arrive at step n.

        Parameters
        ----------
        n : int or array
            Number of steps, >= 0.

        Returns
        -------
        float or ndarray
            Absolute error about 1e-11.
        """
        n = np.asarray(domain.nonnegative("n", n))
        if (n != np.floor(n)).any():
            raise DomainError("n", n, "whole numbers")
        value = self._late(np.maximum(n - 1.0, 0.0)) - self._late(n)
        return domain.plain(np.where(n > 0, np.maximum(value, 0.0), 0.0))

    @QUIET
    def quantile(self, q: RealLike) -> Real:
        """Smallest multiple of the step by which a fraction q has arrived; ``inf`` if it never has.

        Parameters
        ----------
        q : float or array
            Probability in [0, 1).
        """
        q = np.asarray(domain.probability("q", q, one=False))
        shape = np.broadcast_shapes(q.shape, self.shape)
        arrive = np.exp(np.real(self._log_laplace(np.zeros(self.shape))))
        low, high = np.zeros(shape), np.ones(shape)
        open_ = np.broadcast_to((q > 0) & (q < arrive), shape)
        left = (1.0 - q) + ROUND  # a step that reaches q up to rounding reaches it
        for _ in range(1000):
            late = open_ & (self._late(high) > left)
            if not late.any() or high.max() > 1e300:
                break
            low, high = np.where(late, high, low), np.where(late, 4.0 * high, high)
        never = open_ & (self._late(high) > left)
        for _ in range(1100):
            middle = np.floor(0.5 * (low + high))
            if not (open_ & (middle > low) & (middle < high)).any():
                break
            late = self._late(middle) > left
            low, high = np.where(late, middle, low), np.where(late, high, middle)
        value = np.where(open_ & ~never, high * self.step, np.where(q == 0, 0.0, np.inf))
        return domain.plain(value)

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """By inversion of the distribution function."""
        return np.asarray(self.quantile(generator.random((n, *self.shape))))

    def timescale(self) -> Array:
        """The mean where it is finite, else 1/s where the transform has fallen by a factor e."""
        mean = np.asarray(self.mean())
        if np.isfinite(mean).all():
            return mean
        with self._leniently():
            return np.where(np.isfinite(mean), mean, super().timescale())

    @QUIET
    def restricted_mean(self, tau: RealLike) -> Real:
        """Restricted mean E[min(T, tau)], a sum of survival probabilities."""
        tau = np.asarray(domain.nonnegative("tau", tau, infinite=True))
        value = self.lasting(np.where(np.isinf(tau), 0.0, tau), 0.0)
        return domain.plain(np.where(np.isinf(tau), self.mean(), value))

    def lasting(self, period: Any, s: Any) -> Any:
        """Integral of exp(-st) P(T > t) over (0, period), a sum."""
        period, s = np.broadcast_arrays(np.asarray(period, np.float64), s)
        whole = self._count(period)
        left = np.maximum(period - whole * self.step, 0.0)
        rest = np.exp(-s * whole * self.step) * spent(left, s) * self._late(whole)
        if np.all(s == 0):
            sums = self._look(self._table.partial_sum, whole)
            return self.step * sums + rest
        return self._weighted(whole, s * self.step, "late") * spent(self.step, s) + rest

    def _weighted(self, n: Any, w: Any, kind: str) -> Any:
        """Sum of exp(-wm) P(N > m) over m < n, or of exp(-wm) P(N = m) over m <= n."""
        shape = np.broadcast_shapes(np.shape(n), np.shape(w), self.shape)
        n, w = np.broadcast_to(n, shape), np.broadcast_to(w, shape)
        # what is left out beyond is below rounding
        far = np.where(np.real(w) > 0, 45.0 / np.where(np.real(w) > 0, np.real(w), 1.0), np.inf)
        reach = np.minimum(n, np.ceil(far) + 1.0)
        if reach.max(initial=0.0) > _MOST:
            raise NotConverged(f"more than {_MOST} steps to sum one by one")
        law = self._table.all_until(int(reach.max(initial=0.0)))
        which = np.broadcast_to(np.arange(self._size).reshape(self.shape), shape)
        out = np.zeros(shape, dtype=np.result_type(w, float))
        for place in np.ndindex(shape):
            last = int(reach[place])
            column = law[: last + 1, which[place]]
            if kind == "late":
                out[place] = np.exp(-w[place] * np.arange(last)) @ column[:-1]
            else:
                out[place] = np.exp(-w[place] * np.arange(1, last + 1)) @ -np.diff(column)
        return out

    # Trials ----------------------------------------------------------------------------------

    @QUIET
    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time; an arrival at its very end is lost."""
        shape = np.broadcast_shapes(np.shape(period), np.shape(s), self.shape)
        period = np.broadcast_to(np.asarray(period, dtype=np.float64), shape)
        infinite = np.isinf(period)
        if infinite.all():
            return self.trial_exponential(np.zeros(shape), s)
        finite = np.where(infinite, self.step, period)
        last = self._before(finite)
        if np.all(np.asarray(s) == 0):
            log_success = self._look(self._table.log_arrived, last)
        else:
            log_success = np.log(self._weighted(last, np.asarray(s) * self.step, "arrived"))
        log_mean = np.log(self.lasting(finite, s)) - log_success
        return trials.unless_endless(self, Trial(log_success, log_mean), infinite, s)

    @QUIET
    def truncated_var(self, tau: Any) -> Any:
        """Variance of T given T < tau, by a sum."""
        shape = np.broadcast_shapes(np.shape(tau), self.shape)
        tau = np.broadcast_to(np.asarray(tau, dtype=np.float64), shape)
        last = self._before(np.where(np.isinf(tau), self.step, tau))
        if last.max(initial=0.0) > _MOST:
            raise NotConverged(f"tau = {tau.max():g} holds more than {_MOST} steps to sum")
        law = self._table.all_until(int(last.max(initial=0.0)))
        which = np.broadcast_to(np.arange(self._size).reshape(self.shape), shape)
        out = np.zeros(shape)
        for place in np.ndindex(shape):
            mass = -np.diff(law[: int(last[place]) + 1, which[place]])
            if mass.sum() > 0:
                n = np.arange(1, mass.size + 1)
                mean = (mass @ n) / mass.sum()
                out[place] = (mass @ (n - mean) ** 2) / mass.sum() * self.step**2
        return np.where(np.isinf(tau), self.var(), out)

    @QUIET
    def trial_lattice(
        self, log_keep: Any, step: Any, s: Any = 0.0, look_first: bool = False
    ) -> Trial:
        """Trial against a coin at multiples of ``step``; arrivals at a coin see the order.

        Exactly from the generating function if one of the two steps is a multiple of the other.
        """
        log_keep, step, s = np.broadcast_arrays(log_keep, np.asarray(step, np.float64), s)
        complex_ = np.iscomplexobj(log_keep) or np.iscomplexobj(s)
        shape = np.broadcast_shapes(log_keep.shape, self.shape)
        log_success = np.zeros(shape, dtype=complex if complex_ else float)
        log_mean = np.zeros_like(log_success)
        for spacing in np.unique(step):
            here = np.broadcast_to(step == spacing, shape)
            ratio = spacing / self.step
            if ratio >= 1 and abs(ratio - round(ratio)) <= ROUND * ratio and ratio <= 4096:
                trial = lattice_coins.rare_coins(self, log_keep, round(ratio), s, look_first)
            elif ratio < 1 and abs(1 / ratio - round(1 / ratio)) <= ROUND / ratio:
                trial = lattice_coins.dense_coins(self, log_keep, round(1 / ratio), s, look_first)
            else:
                trial = lattice_coins.summed_coins(self, log_keep, spacing, s, look_first)
            log_success = np.where(here, trial.log_success, log_success)
            log_mean = np.where(here, trial.log_mean, log_mean)
        return Trial(log_success, log_mean)

    def _resolved(self, u: Any) -> tuple[Any, Any]:
        """log G and (1 - G)/(1 - z); slopes, asked at complex u, may be NaN."""
        if np.iscomplexobj(u):
            with self._leniently():
                log_value, minus = self._at(u)
        else:
            log_value, minus = self._at(u)
        zero = u == 0
        surely = self._certain()[0]
        tail = minus / -np.expm1(-np.where(zero, 1.0, u))
        free = self._steps[0] if surely else np.inf
        return log_value, np.where(zero, free, tail)

    # Optimum ---------------------------------------------------------------------------------

    def best(
        self, family: type[Protocol], *, then: PassageTime | None = None, **settings: Any
    ) -> Optimum:
        """The best member of a protocol family; fixed periods are tried step by step.

        As for any passage time. The mean under a fixed period has no slope; the best period is the
        smallest number above a multiple of the step, so that an arrival at it counts.
        """
        if not (isinstance(family, type) and issubclass(family, Sharp)):
            return super().best(family, then=then, **settings)
        if then is not None or settings:
            raise DomainError("settings", settings or then, "none for fixed periods of whole steps")
        return lattice_law.best_period(self)
