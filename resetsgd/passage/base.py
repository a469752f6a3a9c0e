"""The passage time: one interface for every way of knowing when something arrives.

A subclass supplies ``log_laplace`` (the primitive of every exact passage time) and whatever else it
knows in closed form; everything it leaves out follows here, by Laplace inversion, quadrature or
root finding, with the accuracy stated at each method.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np

from resetsgd import domain
from resetsgd.citations import bibtex
from resetsgd.domain import Array, Real, RealLike
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage import inversion
from resetsgd.passage.arrangements import exp_excess, log_expm1
from resetsgd.protocols import Protocol, Trial

if TYPE_CHECKING:
    from resetsgd.passage.curve import Family
    from resetsgd.passage.optimum import Optimum
    from resetsgd.passage.response import Response
    from resetsgd.protocols.waiting import WaitingMoments, WaitingTime

__all__ = ["PassageTime"]

QUIET = np.errstate(all="ignore")
"""The ends of float64 are taken by value: what over- or underflows is put right after."""
_STEP = 1e-30
"""Relative complex step of derivatives: far below rounding, far above underflow."""


class PassageTime(ABC):
    """When something arrives: a nonnegative random time T, ``inf`` if it never does.

    T has the time unit of what it was made of (optimizer steps for training runs), s and rates the
    inverse. Scalars in give floats; arrays broadcast.
    """

    sources: ClassVar[tuple[str, ...]] = ()
    """Keys of ``resetsgd.citations``: where the formulas come from."""
    derivation: ClassVar[str] = ""
    """The script that derives the formulas."""
    tail_resolved: ClassVar[float] = 1e-6
    """Survival probability down to which the hazard has digits; 0 if it has them everywhere."""

    tiny_steps: bool = True
    """Whether the transform keeps imaginary parts far below rounding of the real ones."""

    # What a subclass must know ---------------------------------------------------------------

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters this passage time was made of; ``()`` for scalars."""

    @abstractmethod
    def _log_laplace(self, s: Any) -> Any:
        """log E[exp(-sT)] for validated s (real >= 0, or complex); arrays broadcast."""

    @abstractmethod
    def log_mean(self) -> Real:
        """Logarithm of the mean: finite where the mean itself overflows; ``inf`` if infinite."""

    @abstractmethod
    def var(self) -> Real:
        """Variance, time²; ``inf`` where it, or the mean, is infinite."""

    @abstractmethod
    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """n independent draws, shape (n,) + shape; ``inf`` for those that never arrive."""

    # Moments and transform ---------------------------------------------------------------------

    def mean(self) -> Real:
        """Mean first-passage time; ``inf`` if arrival is uncertain or its mean diverges."""
        with np.errstate(over="ignore"):
            return domain.plain(np.exp(self.log_mean()))

    @QUIET
    def std(self) -> Real:
        """Standard deviation, time."""
        return domain.plain(np.sqrt(self.var()))

    @QUIET
    def moment(self, order: int) -> Real:
        """Moment E[T^n], time to the power n; ``inf`` where it is infinite.

        Parameters
        ----------
        order : int
            n, from 1 to 8.

        Raises
        ------
        NotConverged
            If a moment above the second cannot be told from an infinite one: the transform is not
            analytic at 0 as far as float64 sees, or nearly so.

        Notes
        -----
        The first two are ``mean`` and ``var``. The higher ones follow from the cumulants, which are
        Cauchy integrals of ``log_laplace`` over circles around 0, shrunk until two of them agree;
        relative accuracy about 1e-12 times the cancellation between cumulants, which is none where
        the third is positive.
        """
        n = domain.integer("order", order, 1, 8)
        mean, var = np.asarray(self.mean()), np.asarray(self.var())
        raw = [np.ones(self.shape), mean, np.where(np.isinf(mean), np.inf, var + mean * mean)]
        if n > 2:
            cumulants = self._cumulants(n)
            for m in range(3, n + 1):
                terms = (
                    math.comb(m - 1, k - 1) * cumulants[k] * raw[m - k] for k in range(1, m + 1)
                )
                value = sum(terms)
                raw.append(np.where(np.isinf(raw[m - 1]) | np.isnan(value), np.inf, value))
        return domain.plain(np.broadcast_to(raw[n], self.shape))

    def _cumulants(self, highest: int) -> list[Any]:
        """Cumulants up to an order, the first of them for nothing; ``inf`` where infinite."""
        known: list[Any] = self.__dict__.get("_known_cumulants", [])
        if len(known) <= highest:
            known = inversion.cumulants(self._log_laplace, self.mean(), self.var(), max(highest, 5))
            self.__dict__["_known_cumulants"] = known
        return known[: highest + 1]

    def cv(self) -> Real:
        """Coefficient of variation std/mean; ``inf`` where the mean is infinite.

        Above 1, resetting at a small rate shortens the mean.
        """
        mean, std = np.asarray(self.mean()), np.asarray(self.std())
        infinite = np.isinf(mean)
        return domain.plain(np.where(infinite, np.inf, std / np.where(infinite, 1.0, mean)))

    @QUIET
    def log_laplace(self, s: Any) -> Any:
        """Logarithm of the Laplace transform, log E[exp(-sT)], accurate also for s -> 0.

        Parameters
        ----------
        s : float, complex or array
            Transform variable, 1/time. Real s must be >= 0.
        """
        return domain.plain(self._log_laplace(domain.transform_variable(s)))

    @QUIET
    def laplace(self, s: Any) -> Any:
        """Laplace transform of the density, E[exp(-sT)]; at s = 0 the probability to arrive."""
        return domain.plain(np.exp(self._log_laplace(domain.transform_variable(s))))

    def stderr(self) -> Real:
        """Standard error of the mean: zero for exact laws, positive for data."""
        return domain.plain(np.zeros(self.shape))

    def _resampled(self, resamples: int) -> list[PassageTime]:
        """The law from resampled data, so often; none where it is exact."""
        del resamples
        return []

    def cite(self) -> str:
        """BibTeX of the works that the formulas come from; empty where there is none to cite."""
        return bibtex(self.sources)

    @property
    def smooth(self) -> bool:
        """Whether the law has a smooth density, so that its transform can be inverted."""
        return True

    @property
    def inverted(self) -> bool:
        """Whether the survival function is inverted from the transform, so that its integral is."""
        return type(self)._survival is PassageTime._survival

    @property
    def known_to(self) -> float:
        """Time to which the law is known: ``inf``, or the horizon of censored data."""
        return np.inf

    def mean_and_stderr(self, horizon: float) -> tuple[float, float]:
        """Mean restricted to a horizon (``inf``: the mean itself) and its standard error."""
        mean = self.mean() if np.isinf(horizon) else self.restricted_mean(horizon)
        return float(np.asarray(mean)), float(np.asarray(self.stderr()))

    # Distribution ----------------------------------------------------------------------------

    @QUIET
    def survival(self, t: RealLike) -> Real:
        """P(T > t).

        Parameters
        ----------
        t : float or array
            Time, >= 0; broadcasts against the parameters.
        """
        t = np.asarray(domain.nonnegative("t", t, infinite=True))
        return domain.plain(np.clip(self._survival(t), 0.0, 1.0))

    @QUIET
    def density(self, t: RealLike) -> Real:
        """Probability density of T at t, 1/time."""
        t = np.asarray(domain.nonnegative("t", t, infinite=True))
        return domain.plain(np.maximum(self._density(t), 0.0))

    @QUIET
    def hazard(self, t: RealLike) -> Real:
        """Rate of arrival at t of what has not arrived, density over survival, 1/time.

        As good as the two are; ``inf`` where nothing is left in float64.
        """
        t = np.asarray(domain.nonnegative("t", t, infinite=True))
        late = np.asarray(self.survival(t))
        value = np.where(late > 0, self.density(t) / np.where(late > 0, late, 1.0), np.inf)
        return domain.plain(np.where(np.isinf(t) & (late > 0), 0.0, value))

    def _survival(self, t: Array) -> Any:
        """By Laplace inversion, absolute error about 1e-11."""

        def transform(s: Any) -> Any:
            return -np.expm1(self._log_laplace(s)) / s

        t = np.broadcast_to(t, np.broadcast_shapes(t.shape, self.shape))
        never = -np.expm1(np.real(self._log_laplace(np.zeros(self.shape))))
        return np.where(t == 0, 1.0, np.where(np.isinf(t), never, inversion.invert(transform, t)))

    def _density(self, t: Array) -> Any:
        """By Laplace inversion, absolute error about 1e-11 over the time scale."""
        t = np.broadcast_to(t, np.broadcast_shapes(t.shape, self.shape))
        values = inversion.invert(lambda s: np.exp(self._log_laplace(s)), t)
        return np.where((t == 0) | np.isinf(t), 0.0, values)

    def _cdf(self, t: Array) -> Any:
        """P(T <= t)."""
        return 1.0 - np.asarray(self.survival(t))

    def _marks(self) -> Any:
        """Times at which the law is steep, along the first axis, or None."""
        return None

    @QUIET
    def quantile(self, q: RealLike) -> Real:
        """Time by which a fraction q has arrived; ``inf`` if so many never arrive.

        Parameters
        ----------
        q : float or array
            Probability in [0, 1).

        Notes
        -----
        Resolved to the accuracy of ``survival``; a time beyond float64 comes out as ``inf``.
        """
        q = np.asarray(domain.probability("q", q, one=False))
        shape = np.broadcast_shapes(q.shape, self.shape)
        arrive = np.exp(self._log_laplace(np.zeros(self.shape)))
        reached = np.broadcast_to((q > 0) & (q < arrive), shape)

        def late(log_t: Array) -> Any:
            t = np.exp(log_t)
            return np.where(q < 0.5, self._cdf(t) < q, np.asarray(self.survival(t)) > 1.0 - q)

        # Bracket in log t by growing steps to the ends of float64, then bisect to its last bits.
        centre = np.broadcast_to(np.log(self.timescale()), shape)
        low, high = centre - 1.0, centre + 1.0
        for power in range(12):
            early, tardy = reached & ~late(low), reached & late(high)
            if not (early.any() or tardy.any()):
                break
            low = np.maximum(np.where(early, low - 2.0**power, low), -740.0)
            high = np.minimum(np.where(tardy, high + 2.0**power, high), 709.0)
        reached = reached & ~late(high)  # what is still late there lies beyond float64
        for _ in range(60):
            middle = 0.5 * (low + high)
            above = late(middle)
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        value = np.where(reached, np.exp(0.5 * (low + high)), np.where(q == 0, 0.0, np.inf))
        return domain.plain(value)

    def sample(self, n: int, *, seed: int | np.random.Generator) -> Array:
        """Independent draws.

        Parameters
        ----------
        n : int
            How many.
        seed : int or numpy.random.Generator
            The same seed gives the same draws.

        Returns
        -------
        ndarray, shape (n,) + shape
            Times; ``inf`` for those that never arrive.
        """
        n = domain.integer("n", n, 0)
        return self._sample(n, np.random.default_rng(seed))

    @QUIET
    def restricted_mean(self, tau: RealLike) -> Real:
        """Restricted mean E[min(T, tau)]: finite and estimable also where the mean is not."""
        tau = np.asarray(domain.nonnegative("tau", tau, infinite=True))
        trial = self.trial_fixed(np.where(tau > 0, tau, 1.0))
        value = np.exp(trial.log_success + trial.log_mean)
        # Where arrival before tau is impossible in float64 the ratio is 0 * inf: T > tau surely.
        value = np.where(np.exp(trial.log_success) > 0, value, tau)
        return domain.plain(np.where(tau > 0, np.minimum(value, tau), 0.0))

    # Resetting -------------------------------------------------------------------------------

    @overload
    def under(self, protocol: Protocol, *, then: PassageTime | None = None) -> PassageTime: ...

    @overload
    def under(
        self, protocol: type[Protocol], *, then: PassageTime | None = None, **fixed: Any
    ) -> Family: ...

    def under(
        self,
        protocol: Protocol | type[Protocol],
        *,
        then: PassageTime | None = None,
        **fixed: Any,
    ) -> PassageTime | Family:
        """The passage time when the process is reset by a protocol; again a passage time.

        Parameters
        ----------
        protocol : Protocol or Protocol subclass
            When it resets, and what a reset costs. A class, not yet at a rate, gives the whole
            :class:`~resetsgd.passage.curve.Family`; ``**fixed`` are then its other parameters.
        then : PassageTime, optional
            The reset-free passage time from the reset point on, where it is not the start:
            ``then=first_passage(..., start=reset_point)``, or a ``mixture`` or ``cloud`` of reset
            points. Default: this passage time, a reset to the start.
        """
        if isinstance(protocol, type):
            from resetsgd.passage.curve import Family

            return Family(self, protocol, then=then, **fixed)
        from resetsgd.passage.restart import restart

        if fixed:
            raise DomainError(next(iter(fixed)), fixed, "absent: the protocol has its parameters")
        return restart(self, protocol, then)

    def best(
        self, family: type[Protocol], *, then: PassageTime | None = None, **settings: Any
    ) -> Optimum:
        """The member of a protocol family with the smallest mean, searched globally.

        Parameters
        ----------
        family : Protocol subclass
            For example ``Poisson``, ``Sharp`` or ``Geometric``.
        then : PassageTime, optional
            The passage time from the reset point on, where it is not the start.
        **settings
            Bounds on the optimised parameter, ``rate=(0.1, 5.0)``, and the family's other
            parameters: a number fixes one, ``step=0.1`` of ``Geometric`` or ``overhead=2.0``; a
            tuple of two searches one as well.

        Returns
        -------
        Optimum
            With ``pays``, ``reason``, ``mean``, ``speedup`` and the optimal parameter by its name
            (``rate``, ``period``, ``probability``).
        """
        from resetsgd.passage.optimum import best

        return best(self, family, then=then, **settings)

    def response(
        self, then: PassageTime | Callable[[Array], Any] | None = None, *, overhead: float = 0.0
    ) -> Response:
        """Linear response: slope of the mean at vanishing rate of a perturbation.

        Parameters
        ----------
        then : PassageTime or callable, optional
            What is left after a perturbation: a passage time, or a function of the age that gives
            the mean time left. Default: a restart.
        overhead : float, default 0
            Mean time lost at each perturbation.

        Returns
        -------
        Response
            With ``slope`` (time²), ``stderr`` (for measured runs), ``pays`` and ``at(rate)``.

        Notes
        -----
        **Source**: Keidar and Reuveni, arXiv:2410.16129; derived in ``theory/08_any_protocol.py``.
        """
        from resetsgd.passage.response import response

        return response(self, then, overhead=overhead)

    # Trials: what protocols ask (resetsgd.protocols.Clocked) ---------------------------------

    @QUIET
    def trial_exponential(self, rate: Any, s: Any = 0.0) -> Trial:
        """Trial against an exponential waiting time: everything is the transform at rate + s."""
        x = np.asarray(rate + s)
        zero = x == 0
        if zero.all():  # never reset: the reset-free mean itself
            shape = np.broadcast_shapes(x.shape, self.shape)
            log_mean = np.broadcast_to(np.asarray(self.log_mean()), shape)
            return Trial(np.broadcast_to(self._log_laplace(np.zeros(self.shape)), shape), log_mean)
        where = np.where(zero, 1.0, x)
        log_success = np.asarray(self._log_laplace(where))
        log_mean = log_expm1(-log_success) - np.log(where)
        if zero.any():
            log_success = np.where(zero, self._log_laplace(np.zeros(self.shape)), log_success)
            log_mean = np.where(zero, self.log_mean(), log_mean)
        return Trial(log_success, log_mean)

    def mean_exponential(self, rate: Any) -> Any:
        """Mean under exponential waiting times, (exp(L) - 1)/r with L = -log_laplace(r)."""
        rate = np.asarray(rate, dtype=np.float64)
        positive = np.where(rate > 0, rate, 1.0)
        with np.errstate(over="ignore"):
            value = np.expm1(-np.asarray(self._log_laplace(positive))) / positive
        return np.where(rate > 0, value, self.mean())

    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean) / d log(rate) = r L'/(1 - exp(-L)) - 1 with L = -log_laplace(r)."""
        rate = np.asarray(rate, dtype=np.float64)
        level, rise = self._turned(rate)
        slope = rise / -np.expm1(-level) - 1.0
        slope = np.where(np.abs(slope) < 2e-15, 0.0, slope)  # rounding of a difference from 1
        mean, var = np.asarray(self.mean()), np.asarray(self.var())
        small = np.isfinite(mean) & np.isfinite(var) & (rate * mean < 1e-2)
        if not small.any():
            return slope
        # At small rates the two terms nearly cancel, next to CV = 1 altogether: there the slope is
        # (exp(-L) - 1 + L) - (L - r L'), the last bracket from the cumulants.
        try:
            _, _, _, third, fourth, fifth = self._cumulants(5)
        except NotConverged:
            unresolved = small & (np.abs(slope) < 1e-15)
            return np.where(unresolved, 0.5 * rate * (mean - var / mean), slope)
        bend = (
            rate * rate * (var / 2 - rate * (third / 3 - rate * (fourth / 8 - rate * fifth / 30)))
        )
        small &= np.abs(rate**3 * fifth) < 1e-12 * np.maximum(var, mean * mean)
        rise = exp_excess(np.where(small, level, 1.0)) - bend
        return np.where(small, rise / -np.expm1(-level), slope)

    def _turned(self, rate: Any) -> tuple[Any, Any]:
        """L = -log_laplace(rate) and rate dL/d(rate), by imaginary steps."""
        if self.tiny_steps:
            value = -self._log_laplace(rate * (1.0 + _STEP * 1j))
            return value.real, value.imag / _STEP
        h = 1e-3  # a sum over coins loses tiny imaginary parts; error of order h^4
        one, two = (np.imag(-self._log_laplace(rate * (1.0 + k * h * 1j))) for k in (1, 2))
        return -np.real(self._log_laplace(rate)), (8.0 * one - two) / (6.0 * h)

    def var_exponential(self, rate: Any) -> Any:
        """Variance 2 exp(L) (sinh L - r L') / r², L = -log_laplace(r)."""
        rate = np.asarray(rate, dtype=np.float64)
        positive = np.where(rate > 0, rate, 1.0)
        rise, slope = self._turned(positive)
        with np.errstate(over="ignore", invalid="ignore"):
            value = 2.0 * np.exp(rise) * (np.sinh(rise) - slope) / positive**2
            value = np.where(np.isnan(value), np.inf, value)
        return np.where(rate > 0, value, self.var())

    def lasting(self, period: Array, s: Any) -> Any:
        """Integral of exp(-st) P(T > t) over (0, period)."""
        marks = self._marks()
        period = np.broadcast_to(period, np.broadcast_shapes(np.shape(period), self.shape))
        if self.inverted and self.smooth and not np.iscomplexobj(s) and not np.ndim(s):
            # a transform itself: one inversion, not one at each node of a quadrature

            def transform(p: Any) -> Any:
                return -np.expm1(self._log_laplace(p + s)) / (p + s) / (p * period)

            with np.errstate(all="ignore"):
                return period * inversion.invert(transform, period)
        return inversion.integrate(lambda t: np.exp(-s * t) * self.survival(t), period, marks)

    @QUIET
    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time, by quadrature of the survival function."""
        shape = np.broadcast_shapes(np.shape(period), np.shape(s), self.shape)
        period = np.broadcast_to(np.asarray(period, dtype=np.float64), shape)
        infinite = np.isinf(period)
        if infinite.all():
            return self.trial_exponential(np.zeros(period.shape), s)
        duration = self.lasting(np.where(infinite, 1.0, period), s)
        late = np.asarray(self.survival(period))
        # success = 1 - exp(-s tau) S(tau) - s duration, with the small parts kept apart
        success = -np.expm1(np.log(np.maximum(late, 1e-300)) - s * period) - s * duration
        success = np.where(np.asarray(s) == 0, 1.0 - late, success)
        if not np.iscomplexobj(success):
            success = np.maximum(success, 0.0)
        log_success = np.log(success)
        log_mean = np.log(duration) - log_success
        if infinite.any():
            free = self.trial_exponential(np.zeros(period.shape), s)
            log_success = np.where(infinite, free.log_success, log_success)
            log_mean = np.where(infinite, free.log_mean, log_mean)
        return Trial(log_success, log_mean)

    @QUIET
    def truncated_var(self, tau: Any) -> Any:
        """Variance of T given T < tau, by quadrature of the survival function."""
        tau = np.asarray(tau, dtype=np.float64)
        infinite = np.isinf(tau)
        finite = np.where(infinite, 1.0, tau)
        late = np.asarray(self.survival(finite))
        arrive = 1.0 - late
        marks = self._marks()
        first = inversion.integrate(lambda t: self.survival(t) - late, finite, marks) / arrive
        centred = inversion.integrate(
            lambda t: 2.0 * (t - first) * (self.survival(t) - late), finite, marks
        )
        value = np.where(arrive > 0, np.maximum(centred / arrive + first**2, 0.0), 0.0)
        return np.where(infinite, self.var(), value)

    @QUIET
    def trial_lattice(
        self, log_keep: Any, step: Any, s: Any = 0.0, look_first: bool = False
    ) -> Trial:
        """Trial against a coin at multiples of ``step``; T continuous, so the order is moot.

        Over the transform (:func:`resetsgd.passage.inversion.lattice`), or coin by coin where
        coins that do not reset are rare.
        """
        del look_first
        shape = np.broadcast_shapes(np.shape(log_keep), np.shape(step), np.shape(s), self.shape)
        log_keep = np.broadcast_to(log_keep, shape)
        never, rare = log_keep == 0, np.real(log_keep) < -4.0
        if never.all():
            return self.trial_exponential(np.zeros(never.shape), s)
        rise, step = np.where(never, 1.0, -log_keep), np.asarray(step)
        log_success: Any = 0.0
        log_duration: Any = 0.0
        if rare.any():
            steep = np.where(np.isinf(rise), 1e3, np.where(rare, rise, 5.0))
            log_success, log_duration = inversion.few_coins(self.trial_fixed, steep, step, s)
        if not rare.all():
            summed = inversion.lattice(self._log_laplace, np.where(rare, 1.0, rise), step, s)
            log_success = np.where(rare, log_success, summed[0])
            log_duration = np.where(rare, log_duration, summed[1])
        log_mean = log_duration - log_success
        if never.any():
            free = self.trial_exponential(np.zeros(never.shape), s)
            log_success = np.where(never, free.log_success, log_success)
            log_mean = np.where(never, free.log_mean, log_mean)
        return Trial(log_success, log_mean)

    def trial_waiting(self, law: WaitingTime, s: Any = 0.0) -> Trial:
        """Trial against a waiting time of any law; see :mod:`resetsgd.passage.waiting`."""
        from resetsgd.passage import waiting

        return waiting.trial(self, law, s)

    def moments_waiting(self, law: WaitingTime) -> WaitingMoments:
        """Moments of a trial against a waiting time of any law."""
        from resetsgd.passage import waiting

        return waiting.moments(self, law)

    def survival_waiting(self, law: WaitingTime, t: Array) -> Any:
        """Survival under a waiting time of any law, by the renewal equation in time."""
        from resetsgd.passage import renewal_equation

        return renewal_equation.survival(self, law, t)

    def density_waiting(self, law: WaitingTime, t: Array) -> Any:
        """Density under a waiting time of any law, by the renewal equation in time."""
        from resetsgd.passage import renewal_equation

        return renewal_equation.density(self, law, t)

    def lasting_waiting(self, law: WaitingTime, t: Array, s: Any) -> Any:
        """Integral of exp(-su) survival(u) over (0, t) under a waiting time of any law, or None."""
        from resetsgd.passage import renewal_equation

        return renewal_equation.lasting(self, law, t, s)

    def timescale(self) -> Array:
        """A typical time of arrival: 1/s where the transform has fallen by a factor e."""
        arrive = self._log_laplace(np.zeros(self.shape))
        low = np.full(self.shape, -1001.0)  # the first power of two that falls so far, above this
        for width in (169.0, 13.0, 1.0):
            powers = low + width * np.arange(1.0, 14.0).reshape(-1, *(1,) * len(self.shape))
            fallen = arrive - self._log_laplace(np.exp2(np.minimum(powers, 1000.0))) >= 1.0
            if width == 169.0 and not np.all(fallen[-1]):
                raise NotConverged("timescale: the passage time has no scale within float64")
            low = low + width * np.argmax(fallen, axis=0)
        return np.asarray(np.exp2(-np.minimum(low + 1.0, 1000.0)))
