"""The passage time: one interface for every way of knowing when something arrives.

A subclass supplies ``log_laplace`` (the primitive of every exact passage time) and whatever else it
knows in closed form; everything it leaves out follows here, by Laplace inversion, quadrature or
root finding, with the accuracy stated at each method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np

from resetsgd import domain
from resetsgd.citations import bibtex
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.passage import distribution, inversion, moments, trials
from resetsgd.passage.answers import Answering
from resetsgd.passage.splitting import OneEnded
from resetsgd.passage.steep import Law
from resetsgd.protocols import Protocol, Trial

if TYPE_CHECKING:
    from resetsgd.passage.curve import Family
    from resetsgd.passage.optimum import Optimum
    from resetsgd.passage.response import Response
    from resetsgd.protocols.waiting import WaitingMoments, WaitingTime

__all__ = ["PassageTime"]


class PassageTime(Answering, OneEnded, ABC):
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
        raw = moments.raw_moments(mean, var, self._cumulants(n) if n > 2 else [])
        return domain.plain(np.broadcast_to(raw[n], self.shape))

    def _cumulants(self, highest: int) -> list[Any]:
        """Cumulants up to an order, the first of them for nothing; ``inf`` where infinite."""
        known: list[Any] = self.__dict__.get("_known_cumulants", [])
        if len(known) <= highest:
            known = inversion.cumulants(self._log_laplace, self.mean(), self.var(), max(highest, 5))
            self.__dict__["_known_cumulants"] = known
        return known[: highest + 1]

    @QUIET
    def cv(self) -> Real:
        """Coefficient of variation std/mean; ``inf`` where the mean is infinite.

        Above 1, resetting at a small rate shortens the mean.

        Raises
        ------
        NotConverged
            If the mean is zero in float64, or the ratio below what float64 tells from zero.
        """
        mean, std = np.asarray(self.mean()), np.asarray(self.std())
        return domain.plain(moments.coefficient_of_variation(mean, std, self._log_laplace))

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
    def fronted(self) -> bool:
        """Whether the law is a density and atoms at known times, solved for in time."""
        return False

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
        return distribution.survival(self._inverting, t)

    def _density(self, t: Array) -> Any:
        """By Laplace inversion, absolute error about 1e-11 over the time scale."""
        return distribution.density(self._inverting, t)

    @cached_property
    def _inverting(self) -> Law:
        """What a Laplace inversion may ask of the law."""
        return Law(self._log_laplace, self.shape, self.mean, self.std, self.timescale)

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
        arrive = np.exp(self._log_laplace(np.zeros(self.shape)))
        value = distribution.quantile(
            q, self.shape, self._cdf, self.survival, arrive, self.timescale()
        )
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

        return restart(self, protocol, then, **fixed)

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

    def trial_exponential(self, rate: Any, s: Any = 0.0) -> Trial:
        """Trial against an exponential waiting time: everything is the transform at rate + s."""
        return trials.exponential(self, rate, s)

    def mean_exponential(self, rate: Any) -> Any:
        """Mean under exponential waiting times."""
        return trials.mean_exponential(self, rate)

    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean) / d log(rate) under exponential waiting times."""
        return trials.slope_exponential(self, rate)

    def var_exponential(self, rate: Any) -> Any:
        """Variance under exponential waiting times."""
        return trials.var_exponential(self, rate)

    def lasting(self, period: Array, s: Any) -> Any:
        """Integral of exp(-st) P(T > t) over (0, period)."""
        return trials.lasting(self, period, s)

    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time, by quadrature of the survival function."""
        return trials.fixed(self, period, s)

    def truncated_var(self, tau: Any) -> Any:
        """Variance of T given T < tau, by quadrature of the survival function."""
        return trials.truncated_var(self, tau)

    def trial_lattice(
        self, log_keep: Any, step: Any, s: Any = 0.0, look_first: bool = False
    ) -> Trial:
        """Trial against a coin at multiples of ``step``; T continuous, so the order is moot."""
        del look_first
        return trials.lattice(self, log_keep, step, s)

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
        return distribution.timescale(self._log_laplace, self.shape)
