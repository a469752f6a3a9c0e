"""Linear response: what rare perturbations do to the mean of a passage time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.special import roots_legendre

from resetsgd import domain
from resetsgd.citations import bibtex
from resetsgd.domain import Array, Real
from resetsgd.errors import CensoredMean, DomainError, NotConverged

if TYPE_CHECKING:
    from resetsgd.passage.base import PassageTime
    from resetsgd.passage.observed import Observed

__all__ = ["Response", "response"]

After = Callable[[Array], Any]
"""Mean time left after a perturbation at an age."""


@dataclass(frozen=True)
class Response:
    """How the mean answers to perturbations at a small rate.

    Attributes
    ----------
    slope : float or ndarray
        d mean / d rate at rate 0, time²; negative: rare perturbations shorten the passage.
    stderr : float or ndarray
        Standard error of the slope: 0 for exact laws.
    mean : float or ndarray
        Mean without perturbations, time.
    """

    slope: Real
    stderr: Real
    mean: Real
    sources: ClassVar[tuple[str, ...]] = ("keidar2024",)
    """Keys of ``resetsgd.citations``: where the formulas come from."""

    def cite(self) -> str:
        """BibTeX of the work that the formulas come from."""
        return bibtex(self.sources)

    @property
    def pays(self) -> Any:
        """Whether rare perturbations shorten the passage."""
        pays = np.asarray(self.slope) < 0
        return bool(pays) if pays.ndim == 0 else pays

    def at(self, rate: Any) -> Real:
        """Mean to first order in the rate, time; for rates much below 1/mean."""
        rate = domain.nonnegative("rate", rate)
        with np.errstate(all="ignore"):
            change = np.where(np.asarray(rate) > 0, rate * np.asarray(self.slope), 0.0)
        return domain.plain(np.asarray(self.mean) + change)


def response(
    free: PassageTime, then: PassageTime | After | None = None, *, overhead: float = 0.0
) -> Response:
    """Slope of the mean at vanishing rate of a perturbation; what ``PassageTime.response`` calls.

    A perturbation at age t, seen at rate lambda, replaces the time that is left by another one of
    mean M(t). To first order one perturbation at most happens, at t with density lambda P(T > t):

        d mean / d lambda = integral of P(T > t) [M(t) + c] dt - E[T²]/2,

    E[T²]/2 being the same integral of the mean time that would have been left. With a restart, M is
    the mean itself, and the slope mean² - E[T²]/2 + c mean is negative if CV² > 1 + 2c/mean.
    """
    from resetsgd.passage.base import PassageTime
    from resetsgd.passage.observed import Observed

    lost = float(domain.nonnegative("overhead", overhead))
    if not (then is None or isinstance(then, PassageTime) or callable(then)):
        raise DomainError("then", then, "a passage time, a function of the age, or None")
    if isinstance(free, Observed):
        with np.errstate(over="ignore", invalid="ignore"):
            return _of_runs(free, then, lost)
    mean, var = np.asarray(free.mean()), np.asarray(free.var())
    with np.errstate(all="ignore"):
        if then is None:
            # mean² - E[T²]/2 = mean² (1 - CV²)/2, by factors: exact next to CV = 1
            cv = np.asarray(free.cv())
            slope = 0.5 * mean * mean * (1.0 - cv) * (1.0 + cv) + lost * mean
            slope = np.where(np.isinf(mean) | np.isinf(var), -np.inf, slope)
            error: Any = np.zeros(free.shape)
        elif isinstance(then, PassageTime):
            after = np.asarray(then.mean()) + lost
            slope = mean * (after - 0.5 * mean * (1.0 + np.asarray(free.cv()) ** 2))
            infinite = np.isinf(mean) | np.isinf(var)
            slope = np.where(infinite, -np.inf, slope)
            slope = np.where(np.isinf(after), np.inf, slope)
            unsure = np.asarray(then.stderr())
            error = np.where(unsure > 0, mean * unsure, 0.0) * np.ones(slope.shape)
        else:
            if free.shape:
                raise DomainError("then", then, "a passage time for an array of passage times")
            if not np.isfinite(var):
                raise DomainError("then", then, "a passage time where the variance is infinite")
            slope = np.asarray(_weighted(free, then) + lost * mean - 0.5 * (var + mean * mean))
            error = np.zeros(())
    if np.isnan(slope).any():
        raise NotConverged("response: the moments are beyond float64")
    return Response(domain.plain(slope), domain.plain(error), domain.plain(mean))


def _weighted(free: PassageTime, after: After) -> float:
    """Integral of P(T > t) M(t), by Gauss–Legendre panels up to where nothing is left."""
    scale = float(np.asarray(free.timescale()))
    nodes, weights = roots_legendre(20)
    edges = scale * np.concatenate([[0.0], np.geomspace(1e-6, 1e6, 121)])
    left = np.asarray(free.survival(edges))
    edges = edges[: int(np.argmax(left < 1e-17)) + 1] if (left < 1e-17).any() else edges
    half = np.diff(edges) / 2.0
    t = edges[:-1, None] + half[:, None] * (nodes + 1.0)
    values = np.asarray(free.survival(t)) * _evaluated(after, t)
    return float(np.sum(values * weights * half[:, None]))


def _evaluated(after: After, t: Array) -> Array:
    values = np.broadcast_to(np.asarray(after(t), dtype=np.float64), t.shape)
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise DomainError("then", after, "a function that gives finite times >= 0")
    return values


def _of_runs(sample: Observed, then: PassageTime | After | None, lost: float) -> Response:
    """From measured runs: the average over runs of a function of each, and its standard error."""
    from resetsgd.passage.base import PassageTime

    if sample.tail > 0:
        raise CensoredMean(
            "response: some of the longest runs never arrived, so the second moment is not"
            " determined; ask for best(...) or under(...) of the sample instead"
        )
    extra = 0.0
    if callable(then) and not isinstance(then, PassageTime):
        nodes, weights = roots_legendre(20)
        edges = np.concatenate([[0.0], np.unique(sample.times)])
        half = np.diff(edges) / 2.0
        t = edges[:-1, None] + half[:, None] * (nodes + 1.0)
        pieces = np.sum(_evaluated(then, t) * weights, axis=1) * half
        spent = np.concatenate([[0.0], np.cumsum(pieces)])

        def each(times: Array, mean: float) -> Array:
            del mean
            return spent[np.searchsorted(edges, times)] + lost * times - 0.5 * times**2
    else:
        after = None if then is None else float(np.asarray(then.mean()))
        if then is not None:
            extra = float(np.asarray(then.stderr()))

        def each(times: Array, mean: float) -> Array:
            left = mean if after is None else after
            return times * (left + lost - 0.5 * times)

    mean = float(np.asarray(sample.mean()))
    if sample.censored.any():
        slopes = []
        # a resample may lack the longest run: what is then left arrives at the horizon
        for mass, tail in zip(*sample._replicates(400, 0), strict=True):
            m = float(np.sum(mass * sample._at) + tail * sample.horizon)
            slopes.append(float(np.sum(mass * each(sample._at, m))))
            slopes[-1] += float(tail * each(np.array([sample.horizon]), m)[0])
        slope = float(np.sum(sample._mass * each(sample._at, mean)))
        error = float(np.std(slopes, ddof=1))
    else:
        values = each(sample.times, mean)
        slope = float(np.mean(values))
        # a restart's M is the sample's own mean: its error adds, with the same sign
        influence = values + (mean * sample.times if then is None else 0.0)
        error = float(np.std(influence, ddof=1) / np.sqrt(sample.times.size))
        if sample.times.size < 2:
            raise DomainError("times", sample.times, "two runs or more")
    if not np.isfinite(slope):
        raise NotConverged("response: squares of the times are beyond float64")
    return Response(slope, float(np.hypot(error, mean * extra)), mean)
