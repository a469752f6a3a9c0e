"""Passage times that were measured: censored samples with the interface of exact laws."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real
from resetsgd.errors import CensoredMean, DomainError, NotConverged
from resetsgd.passage.base import PassageTime
from resetsgd.passage.sums import ROUND, Coins, Period, average, kaplan_meier, spent, squares
from resetsgd.passage.waits import Waits
from resetsgd.protocols import Protocol, Trial, WaitingMoments

if TYPE_CHECKING:
    from resetsgd.passage.optimum import Optimum
    from resetsgd.protocols import WaitingTime

__all__ = ["Observed", "observed"]

_CHUNK = 2**22
"""Most entries of an intermediate (parameters x times) table."""


def observed(times: npt.ArrayLike, censored: npt.ArrayLike | None = None) -> Observed:
    """A passage time from measured runs, right-censored where a run ended before it arrived.

    Parameters
    ----------
    times : array-like, shape (runs,)
        Time of arrival, or of the last look for a censored run; >= 0 and finite. Optimizer steps
        for training runs.
    censored : array-like of bool, shape (runs,), optional
        True where the run had not arrived at ``times``. Default: none.

    Returns
    -------
    Observed

    Raises
    ------
    DomainError
        If the shapes differ, a time is negative, infinite or NaN, or no run arrived.

    Examples
    --------
    >>> import resetsgd as rs
    >>> E = rs.observed([3, 8, 2, 50, 50], censored=[False, False, False, True, True])
    >>> E.survival(10)
    0.4
    >>> round(E.under(rs.Geometric(probability=0.05)).mean(), 3)
    21.266
    """
    return Observed(times, censored)


class Observed(PassageTime):
    """A right-censored sample of passage times; see :func:`observed`.

    The law is the Kaplan–Meier estimate. If the longest run did not arrive, a mass ``tail`` is left
    beyond the ``horizon`` about which the data say nothing: the reset-free mean is then not
    determined and raises :class:`~resetsgd.CensoredMean`, while the mean under a protocol is
    determined up to what the tail can do. It is reported with the tail never arriving, which cannot
    be too optimistic; ``interval`` also covers the other extreme, a tail that arrives at once.

    Attributes
    ----------
    times, censored : ndarray, shape (runs,)
        The data, as given.
    horizon : float
        The longest time looked at.
    tail : float
        Kaplan–Meier mass that had not arrived by then; 0 if all of it did.
    """

    def __init__(self, times: npt.ArrayLike, censored: npt.ArrayLike | None = None) -> None:
        data = np.atleast_1d(np.asarray(domain.nonnegative("times", times)))
        if data.ndim != 1 or data.size == 0:
            raise DomainError("times", data.shape, "a non-empty array of shape (runs,)")
        mask = np.zeros(data.shape, dtype=bool) if censored is None else np.asarray(censored)
        if mask.dtype != bool:
            raise DomainError("censored", censored, "an array of booleans")
        if mask.shape != data.shape:
            raise DomainError("censored", mask.shape, f"of the shape of times, {data.shape}")
        if mask.all():
            raise DomainError("censored", f"{mask.size} of {mask.size}", "False for some run")
        self._keep(data, mask)

    def _keep(self, times: Array, censored: npt.NDArray[np.bool_]) -> None:
        """Take data that are known to be right."""
        self.times, self.censored = times, censored
        self.horizon = float(times.max())
        self._tail_at_once = False
        self._weighted = False

    # Sorted on first use: a simulation of a million paths may ask for nothing but its moments.
    @cached_property
    def _counts(self) -> tuple[Array, Array, Array]:
        """Distinct times, and the numbers of arrivals and of censorings at each."""
        at, place = np.unique(self.times, return_inverse=True)
        lost = np.bincount(place[self.censored], minlength=at.size).astype(np.float64)
        return at, np.bincount(place, minlength=at.size) - lost, lost

    @property
    def _at(self) -> Array:
        return self._counts[0]

    @cached_property
    def _law(self) -> tuple[Array, Array]:
        """Kaplan–Meier mass at each distinct time, and what is left after it."""
        return kaplan_meier(*self._counts[1:])

    @cached_property
    def _mass(self) -> Array:
        return self._law[0]

    @cached_property
    def _tail(self) -> Any:
        return float(self._law[1][-1]) if self.censored.any() else 0.0

    def __repr__(self) -> str:
        return f"observed({self.times.size} runs, {int(self.censored.sum())} censored)"

    @property
    def shape(self) -> tuple[int, ...]:
        """Always (): one passage time."""
        return ()

    @property
    def smooth(self) -> bool:
        """Whether the law has a smooth density: a sample has none."""
        return False

    @property
    def tail(self) -> float:
        """Mass beyond the horizon."""
        return float(self._tail)

    @property
    def runs(self) -> int:
        """Number of runs."""
        return int(self.times.size)

    # What the tail leaves open -----------------------------------------------------------------

    def _variant(self, *, at_once: bool, mass: Array, tail: Any) -> Observed:
        """The same data with other weights, or with the tail arriving at the horizon."""
        twin = object.__new__(Observed)
        twin.__dict__.update(self.__dict__)
        twin._mass, twin._tail, twin._tail_at_once = mass, tail, at_once
        twin._weighted = True
        return twin

    def _replicates(self, resamples: int, seed: int) -> tuple[Array, Array]:
        """Kaplan–Meier masses (resamples, times) and tails of resampled runs."""
        generator = np.random.default_rng([seed, 0x0B5E])
        counts = np.concatenate(self._counts[1:])
        drawn = generator.multinomial(self.runs, counts / counts.sum(), size=resamples)
        arrivals, losses = np.split(drawn.astype(np.float64), 2, axis=1)
        mass, stay = kaplan_meier(arrivals, losses)
        return mass, stay[..., -1]

    def _undetermined(self, what: str) -> CensoredMean:
        return CensoredMean(
            f"{what} of {self.runs} runs is not determined: {self.tail:.1%} had not arrived by the"
            f" horizon {self.horizon:g}; use restricted_mean(horizon), or a protocol that resets"
        )

    # Moments ------------------------------------------------------------------------------------

    def _cut(self, tau: float) -> Array | None:
        """The times, cut at tau, if all are known as far as that: then no sorting is needed."""
        if self._weighted or (self.censored.any() and (self.censored & (self.times < tau)).any()):
            return None
        return self.times if tau >= self.horizon else np.minimum(self.times, tau)

    def mean(self) -> Real:
        """Mean of the sample.

        Raises
        ------
        CensoredMean
            If runs had not arrived by the horizon.
        """
        if (cut := self._cut(np.inf)) is not None:
            return average(cut)
        if self._tail > 0:
            raise self._undetermined("the mean")
        return float(self._mass @ self._at)

    def log_mean(self) -> Real:
        """Logarithm of the mean; raises as ``mean`` does."""
        with np.errstate(divide="ignore"):
            return float(np.log(self.mean()))

    def var(self) -> Real:
        """Variance (divided by runs - 1); raises as ``mean`` does."""
        if (cut := self._cut(np.inf)) is not None:
            return squares(cut) / max(self.runs - 1, 1)
        if self._tail > 0:
            raise self._undetermined("the variance")
        there = self._mass > 0
        with np.errstate(over="ignore"):
            spread = float(self._mass[there] @ (self._at[there] - self.mean()) ** 2)
        return spread * self.runs / max(self.runs - 1, 1)

    def cv(self) -> Real:
        """Coefficient of variation of the sample; raises as ``mean`` does, and if all are zero."""
        if self.mean() == 0:
            raise NotConverged("cv: every run arrived at time zero, so that the ratio is undefined")
        if (cut := self._cut(np.inf)) is not None:
            spread = float(np.mean((cut / self.mean() - 1.0) ** 2))
        else:
            spread = float(self._mass @ (self._at / self.mean() - 1.0) ** 2)
        return float(np.sqrt(spread * (self.runs / max(self.runs - 1, 1))))

    def stderr(self) -> Real:
        """Standard error of the mean, ``inf`` from one run; raises as ``mean`` does."""
        return float(np.sqrt(self.var() / self.runs)) if self.runs > 1 else np.inf

    @property
    def known_to(self) -> float:
        """The horizon where runs had not arrived by it, else ``inf``."""
        return self.horizon if self._tail > 0 else np.inf

    def mean_and_stderr(self, horizon: float) -> tuple[float, float]:
        """Mean restricted to a horizon and its standard error."""
        if np.isinf(horizon):
            return float(np.asarray(self.mean())), float(np.asarray(self.stderr()))
        return float(np.asarray(self.restricted_mean(horizon))), self.restricted_stderr(horizon)

    def restricted_stderr(self, tau: float) -> float:
        """Standard error of ``restricted_mean(tau)`` by Greenwood's formula, ``inf`` from one run.

        **Source**: J. P. Klein and M. L. Moeschberger, Survival Analysis (2003), eq. 4.5.2.
        """
        tau = float(np.asarray(domain.nonnegative("tau", tau, infinite=True)))
        if self.runs == 1:
            return np.inf
        if (cut := self._cut(tau)) is not None:  # Greenwood's formula then is the sample variance
            return float(np.sqrt(squares(cut) / self.runs / max(self.runs - 1, 1)))
        if self._tail > 0 and np.isinf(tau):
            raise self._undetermined("the mean")
        at, arrivals, losses = self._counts
        late = self._law[1]
        ends = np.append(at[1:], max(tau, float(at[-1])) if late[-1] > 0 else at[-1])
        steps = late * np.maximum(np.minimum(ends, tau) - np.minimum(at, tau), 0.0)
        area = np.cumsum(steps[::-1])[::-1]  # under the survival from each time to tau
        at_risk = np.cumsum((arrivals + losses)[::-1])[::-1]
        spare = at_risk - arrivals
        terms = area**2 * arrivals / (at_risk * np.where(spare > 0, spare, np.inf))
        return float(np.sqrt(terms.sum() * self.runs / max(self.runs - 1, 1)))

    def restricted_mean(self, tau: domain.RealLike) -> Real:
        """Area under the Kaplan–Meier curve up to tau; beyond the horizon the tail stays."""
        tau = np.asarray(domain.nonnegative("tau", tau, infinite=True))
        if tau.ndim == 0 and (cut := self._cut(float(tau))) is not None:
            return average(cut)
        if self._tail > 0 and np.isinf(tau).any():
            raise self._undetermined("the mean")
        short = self._sum(tau, np.minimum)
        return domain.plain(
            short + np.where(np.isinf(tau), 0.0, self._tail * np.minimum(tau, 1e300))
        )

    def truncated_var(self, tau: Any) -> Any:
        """Variance of T given T < tau."""
        tau = np.asarray(tau, dtype=np.float64)
        weight = self._sum(tau, lambda at, x: (at < x) * 1.0)
        weight = np.where(weight > 0, weight, 1.0)
        first = self._sum(tau, lambda at, x: np.where(at < x, at, 0.0)) / weight
        second = self._sum(tau, lambda at, x: np.where(at < x, at, 0.0) ** 2) / weight
        return np.maximum(second - first**2, 0.0)

    # Law ------------------------------------------------------------------------------------

    def _log_laplace(self, s: Any) -> Any:
        s = np.asarray(s)
        total = self._sum(s, lambda at, x: np.exp(-x * at))
        if self._tail_at_once:
            total = total + self._tail * np.exp(-s * self.horizon)
        with np.errstate(divide="ignore"):
            return np.log(total)

    def _survival(self, t: Array) -> Any:
        late = np.concatenate([[1.0], self._law[1]])
        return late[np.searchsorted(self._at, t, side="right")]

    def _density(self, t: Array) -> Any:
        """Kaplan–Meier mass per time in bins of equal width (Freedman–Diaconis)."""
        inside = self._mass > 0
        low, high = float(self._at[inside].min()), float(self._at[inside].max())
        quarter, middle = np.asarray(self.quantile(np.array([0.25, 0.75]) * self._mass.sum()))
        width = 2.0 * (middle - quarter) / np.cbrt(np.count_nonzero(~self.censored))
        count = int(np.clip(np.ceil((high - low) / width) if width > 0 else 1, 1, 10_000))
        edges = np.linspace(low, high if high > low else low + 1.0, count + 1)
        heights = np.histogram(self._at, edges, weights=self._mass)[0] / np.diff(edges)
        place = np.clip(np.searchsorted(edges, t, side="right") - 1, 0, count - 1)
        return np.where((t >= edges[0]) & (t <= edges[-1]), heights[place], 0.0)

    def quantile(self, q: domain.RealLike) -> Real:
        """Smallest time by which a fraction q has arrived; ``inf`` beyond what was seen."""
        q = np.asarray(domain.probability("q", q, one=False))
        reached = np.cumsum(self._mass)
        place = np.searchsorted(reached, q * (1.0 - ROUND), side="left")
        at = np.append(self._at, np.inf)
        return domain.plain(np.where(q == 0, 0.0, at[place]))

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        place = np.searchsorted(np.cumsum(self._mass), generator.random(n), side="right")
        return np.append(self._at, np.inf)[place]

    def timescale(self) -> Array:
        """Median time of those that arrived."""
        arrived = self._at[np.searchsorted(np.cumsum(self._mass), 0.5 * self._mass.sum())]
        return np.asarray(max(float(arrived), 1e-3 * self.horizon, 1e-300))

    # Trials ------------------------------------------------------------------------------------

    def _sum(self, parameter: Any, weight: Callable[[Array, Any], Any]) -> Any:
        """sum over times of mass times weight(time, parameter), in bounded memory.

        Shape: parameter shape, and the resamples last if the masses are those of a bootstrap.
        """
        parameter = np.asarray(parameter)
        flat = parameter.reshape(-1, 1)
        out: Any = 0.0
        block = max(1, _CHUNK // max(flat.size, 1))
        for first in range(0, self._at.size, block):
            part = slice(first, first + block)
            out = out + weight(self._at[part], flat) @ self._mass[..., part].T
        return np.asarray(out).reshape(parameter.shape + self._mass.shape[:-1])

    def _trial(
        self,
        parameter: Any,
        success: Callable[[Any, Any], Any],
        duration: Callable[[Any, Any], Any],
        endless: Any,
    ) -> Trial:
        """Success and duration summed over the sample, the tail treated as this variant says.

        ``endless`` is the duration of a trial in which nothing ever arrives.
        """
        parameter = np.asarray(parameter)
        won = self._sum(parameter, success)
        spent = self._sum(parameter, duration)
        if np.any(self._tail > 0):
            extra = (1,) * np.ndim(self._tail)
            at = parameter.reshape(parameter.shape + extra)
            last = np.asarray(self.horizon)
            if self._tail_at_once:
                won = won + self._tail * success(last, at)
                spent = spent + self._tail * duration(last, at)
            else:
                spent = spent + self._tail * np.asarray(endless).reshape(at.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            return Trial(np.log(won), np.where(won == 0, np.inf, np.log(spent) - np.log(won)))

    def trial_exponential(self, rate: Any, s: Any = 0.0) -> Trial:
        """Trial against an exponential waiting time."""
        x = np.asarray(rate + s)
        if np.any(x == 0) and np.any(self._tail > 0) and not self._tail_at_once:
            raise self._undetermined("the mean without resets")

        endless = np.divide(1.0, np.where(x == 0, 1.0, x))
        return self._trial(x, lambda at, x: np.exp(-x * at), spent, endless)

    def mean_exponential(self, rate: Any) -> Any:
        """Mean under exponential waiting times."""
        return np.exp(self.trial_exponential(np.asarray(rate, np.float64)).log_mean)

    def var_exponential(self, rate: Any) -> Any:
        """Variance under exponential waiting times, M(0)² - 2 M'(0) by a complex step."""
        rate = np.asarray(rate, dtype=np.float64)
        scale = np.exp(self.trial_exponential(rate).log_mean)
        usable = (scale > 0) & np.isfinite(scale)
        step = 1e-30 / np.where(usable, scale, 1.0)
        turn = self.trial_exponential(rate, 1j * step).log_mean.imag / 1e-30
        with np.errstate(over="ignore"):
            value = scale * scale * (1.0 - 2.0 * turn)  # M'(0) is M(0)² times the turn
        return np.where(usable, value, scale)

    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean) / d log(rate), by a complex step."""
        rate = np.asarray(rate, dtype=np.float64) * (1.0 + 1e-30j)
        return self.trial_exponential(rate).log_mean.imag / 1e-30

    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time; an arrival exactly at its end is lost."""
        period, s = np.broadcast_arrays(np.asarray(period, np.float64), np.asarray(s))
        if np.any(np.isinf(period)) and np.any(self._tail > 0) and not self._tail_at_once:
            raise self._undetermined("the mean without resets")
        index = np.arange(period.size).reshape(period.shape)
        trial = Period(period.ravel(), s.ravel())
        bounded = np.where(np.isinf(period), self.horizon, period)
        return self._trial(index, trial.success, trial.duration, spent(bounded, s))

    def trial_lattice(
        self, log_keep: Any, step: Any, s: Any = 0.0, look_first: bool = False
    ) -> Trial:
        """Trial against a coin at multiples of ``step``; arrivals at a coin see the order."""
        log_keep, step, s = np.broadcast_arrays(log_keep, np.asarray(step, np.float64), s)
        if np.any((log_keep == 0) & (s == 0)) and np.any(self._tail > 0) and not self._tail_at_once:
            raise self._undetermined("the mean without resets")
        index = np.arange(log_keep.size).reshape(log_keep.shape)
        coins = Coins(log_keep.ravel(), step.ravel(), s.ravel(), look_first)
        return self._trial(index, coins.success, coins.duration, coins.endless(index))

    def trial_waiting(self, law: WaitingTime, s: Any = 0.0) -> Trial:
        """Trial against a waiting time of any law; an arrival at the very time of a reset is lost.

        The duration at s = 0 is exact where E[R; R <= t] is; else by quadrature to 1e-12.
        """
        shape = np.broadcast_shapes(law.shape, np.shape(s))
        never = np.any(law.never & (np.asarray(s) == 0))
        if never and np.any(self._tail > 0) and not self._tail_at_once:
            raise self._undetermined("the mean without resets")
        waits = Waits(law, np.broadcast_to(np.asarray(s), shape))
        index = np.arange(int(np.prod(shape))).reshape(shape)
        return self._trial(index, waits.success, waits.duration, waits.endless(index))

    def moments_waiting(self, law: WaitingTime) -> WaitingMoments:
        """Moments of a trial against a waiting time of any law; the tail never arrives."""
        waits = Waits(law, np.zeros(law.shape))
        index = np.arange(int(np.prod(law.shape))).reshape(law.shape)
        won = self._sum(index, waits.success)
        safe = np.where(won > 0, won, 1.0)
        first = self._sum(index, lambda at, i: at * waits.success(at, i)) / safe
        second = self._sum(index, lambda at, i: at * at * waits.success(at, i)) / safe
        spent_, failed, squared = (
            self._sum(index, function)
            + (np.where(self._tail > 0, self._tail * function(np.inf, index), 0.0))
            for function in (waits.duration, waits.failed, waits.failed_square)
        )
        return WaitingMoments(won, spent_, np.maximum(second - first**2, 0.0), failed, squared)

    # Resetting, with intervals -------------------------------------------------------------------

    def interval(
        self,
        protocol: Protocol,
        *,
        level: float = 0.95,
        resamples: int = 1000,
        seed: int = 0,
    ) -> tuple[Real, Real]:
        """Bootstrap interval of the mean under a protocol.

        Runs are resampled; the lower end lets the unseen tail arrive at the horizon at once, the
        upper end lets it never arrive, so that the interval covers what the data cannot tell.

        Parameters
        ----------
        protocol : Protocol
            Its parameter may be an array.
        level : float, default 0.95
            Coverage.
        resamples : int, default 1000
            Number of bootstrap samples of the runs.
        seed : int, default 0
            Of the resampling.

        Returns
        -------
        low, high : float or ndarray of the shape of the parameter
        """
        low, high = self._bootstrap(protocol, resamples, seed)
        half = (1.0 - float(np.asarray(domain.probability("level", level)))) / 2.0
        return (
            domain.plain(np.quantile(low, half, axis=-1, method="inverted_cdf")),
            domain.plain(np.quantile(high, 1.0 - half, axis=-1, method="inverted_cdf")),
        )

    def _bootstrap(self, protocol: Protocol, resamples: int, seed: int) -> tuple[Array, Array]:
        """Means under a protocol for resampled runs, tail at once and never."""
        resamples = domain.integer("resamples", resamples, 2)
        mass, tail = self._replicates(resamples, seed)
        never = protocol.mean(self._variant(at_once=False, mass=mass, tail=tail))
        if not np.any(tail > 0):
            return never, never
        return protocol.mean(self._variant(at_once=True, mass=mass, tail=tail)), never

    @QUIET
    def _stderr_under(self, protocol: Protocol) -> Real:
        """Bootstrap standard error of the mean under a protocol."""
        means = self._bootstrap(protocol, 400, 0)[1]
        spread = np.std(means, axis=-1, ddof=1)  # a resample without arrivals has no finite mean
        return domain.plain(np.where(np.isinf(means).any(axis=-1), np.inf, spread))

    def _resampled(self, resamples: int) -> list[PassageTime]:
        laws: list[PassageTime] = []
        for mass, tail in zip(*self._replicates(resamples, 0), strict=True):
            law = self._variant(at_once=False, mass=mass, tail=float(tail))
            law._law = mass, np.append(np.cumsum(mass[:0:-1])[::-1], 0.0) + tail
            laws.append(law)
        return laws

    def best(self, family: type[Protocol], **fixed: Any) -> Optimum:
        """The best member of a protocol family, with bootstrap intervals.

        As for exact laws, but the reset-free mean of censored data is only bounded from below (by
        the restricted mean at the horizon); ``reason`` says so. ``interval`` and
        ``parameter_interval`` come from 400 resamples, with the parameter searched on a grid of 12
        points a decade.
        """
        from resetsgd.passage.optimum_observed import best_observed

        return best_observed(self, family, **fixed)
