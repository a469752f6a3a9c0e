"""Mixtures of passage times: a random start, or a cloud of checkpoints to reset to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.arrangements import log1p, log_total
from resetsgd.passage.base import PassageTime
from resetsgd.passage.first_passage import first_passage
from resetsgd.passage.restart import spread_draws
from resetsgd.processes import Process
from resetsgd.protocols import Trial

__all__ = ["Mixture", "cloud", "mixture"]

_PANELS, _ORDER = 24, 16
"""Panels on each side of the target that shrink by 4 toward it, and Gauss points on each."""


def mixture(
    parts: PassageTime | Sequence[PassageTime], weights: npt.ArrayLike | None = None
) -> Mixture:
    """A passage time that is one of several, chosen at random each time anew.

    Parameters
    ----------
    parts : PassageTime of shape (..., n), or sequence of n passage times
        What is chosen from: the last axis of an array, for example
        ``first_passage(process, start=checkpoints, target=0.0)``, or a list.
    weights : array-like, shape (n,), optional
        Probabilities, normalised to one. Default: all equal.

    Returns
    -------
    PassageTime
        Of the shape (...). As ``then=`` of ``under`` it is a reset to a random one of several
        points, drawn anew at each reset.

    Raises
    ------
    DomainError
        If there is nothing to choose from, or a weight is negative or all are zero.

    Examples
    --------
    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=-1.0, diffusivity=1.0)
    >>> T = rs.mixture(rs.first_passage(walk, start=[1.0, 2.0, 3.0], target=0.0))
    >>> T.mean()
    2.0
    """
    if isinstance(parts, PassageTime):
        if not parts.shape:
            raise DomainError("parts", parts, "an array of passage times or a list of them")
        count = parts.shape[-1]
    else:
        parts = list(parts)
        if not parts or not all(isinstance(part, PassageTime) for part in parts):
            raise DomainError("parts", parts, "an array of passage times or a list of them")
        count = len(parts)
    if weights is None:
        chances = np.full(count, 1.0 / count)
    else:
        chances = np.asarray(domain.nonnegative("weights", weights))
        if chances.shape != (count,):
            raise DomainError("weights", chances.shape, f"of shape ({count},)")
        if chances.sum() == 0:
            raise DomainError("weights", weights, "not all zero")
        chances = chances / chances.sum()
    return Mixture(parts, chances)


def cloud(
    process: Process,
    position: Any,
    target: RealLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Mixture:
    """The passage time from a random position, hit from whichever side it starts on.

    Parameters
    ----------
    process : Process
        What moves.
    position : frozen distribution of ``scipy.stats``, or array-like, shape (n,)
        The law of the start or reset point, with a density, for example ``norm(1.0, 0.2)``; or the
        points themselves (an empirical cloud of checkpoints), none at the target.
    target : float
        Where it is found.
    weights : array-like, shape (n,), optional
        Of points.

    Returns
    -------
    PassageTime
        A :func:`mixture` over positions.

    Raises
    ------
    DomainError
        If the law has no density, or lies at the target.

    Notes
    -----
    A law is mixed by Gauss points on panels that shrink toward the target, down to 4^-24 of its
    distance: means and transforms have a relative error of about 1e-12 for laws of smooth density,
    for rates up to about 1e24 D over the squared distance. If the law has mass near the target,
    resetting ever more often finds it at once: the best rate is then infinite, and a minimum at a
    finite rate is only local.

    **Source**: B. Besga, A. Bovon, A. Petrosyan, S. N. Majumdar and S. Ciliberto, PRR 2, 032029
    (2020), for the Gaussian cloud under free diffusion.

    Examples
    --------
    >>> import resetsgd as rs
    >>> from scipy.stats import norm
    >>> walk = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
    >>> T = rs.first_passage(walk, start=1.0, target=0.0)
    >>> R = T.under(rs.Poisson(2.5), then=rs.cloud(walk, norm(1.0, 0.2), target=0.0))
    >>> round(R.mean(), 4)
    1.4689
    """
    if isinstance(target, tuple) or np.ndim(target):
        raise DomainError("target", target, "a single position")
    if not hasattr(position, "pdf"):
        points = domain.finite("position", position)
        return mixture(first_passage(process, np.atleast_1d(points), target), weights)
    if weights is not None:
        raise DomainError("weights", weights, "None for a distribution")
    goal = float(np.asarray(domain.finite("target", target)))
    points, chances = _panels(position, goal)
    return Mixture(first_passage(process, points, goal), chances)


def _panels(position: Any, target: float) -> tuple[Array, Array]:
    """Positions and probabilities, on panels that shrink toward the target and toward the ends."""
    low, high = (float(end) for end in position.support())
    low = max(low, float(position.ppf(1e-18)))
    high = min(high, float(position.isf(1e-18)))
    middle, width = float(position.median()), float(position.ppf(0.75) - position.ppf(0.25))
    if not (np.isfinite([low, high, width]).all() and width > 0):
        raise DomainError("position", position, "a law with a density and finite quantiles")
    # steps of a third of its width everywhere, and geometric ones toward the target
    edges = [low, high, *np.arange(low, high, max(width / 3.0, (high - low) / 400.0))]
    reach = max(abs(low - target), abs(high - target))
    for side in (-1.0, 1.0):
        edges += [target + side * reach * 4.0**-k for k in range(_PANELS + 1)]
    edges = [e for e in edges if low <= e <= high]
    if low < target < high:
        edges.append(target)
    cuts = np.unique(edges)
    nodes, weights = np.polynomial.legendre.leggauss(_ORDER)
    half = np.diff(cuts)[:, None] / 2.0
    points = cuts[:-1, None] + half * (1.0 + nodes)
    # distances from the target by themselves, so that they do not round to zero
    near = np.abs(cuts[:-1, None] - target) < np.abs(cuts[1:, None] - target)
    points = np.where(near, points, cuts[1:, None] - half * (1.0 - nodes))
    chances = (half * weights * position.pdf(points)).ravel()
    points = points.ravel()
    keep = (chances > 0) & (points != target)
    if abs(chances[keep].sum() - 1.0) > 1e-6:
        raise DomainError("position", position, f"a law with a smooth density near {middle:g}")
    return points[keep], chances[keep] / chances[keep].sum()


class Mixture(PassageTime):
    """One of several passage times, at random; made by :func:`mixture` and :func:`cloud`.

    Parameters
    ----------
    parts : PassageTime of shape (..., n), or list of n passage times
        What is chosen from.
    weights : ndarray, shape (n,)
        Probabilities that sum to one.
    """

    def __init__(self, parts: PassageTime | list[PassageTime], weights: Array) -> None:
        self.parts, self.weights = parts, weights
        if isinstance(parts, PassageTime):
            self._shape = parts.shape[:-1]
            laws = [parts]
        else:
            self._shape = domain.broadcast(
                **{f"part{i}": np.empty(p.shape) for i, p in enumerate(parts)}
            )
            laws = parts
        self._laws = laws
        self.tiny_steps = all(law.tiny_steps for law in laws)
        sources = dict.fromkeys(key for law in laws for key in law.sources)
        self.sources = tuple(sources)  # type: ignore[misc]
        self.derivation = laws[0].derivation  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"mixture({self.parts!r}, {self.weights.size} weights)"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters, without the axis that is mixed over."""
        return self._shape

    @property
    def smooth(self) -> bool:
        """Whether every part has a smooth density."""
        return all(law.smooth for law in self._laws)

    @property
    def known_to(self) -> float:
        """Time to which every part is known."""
        return min(law.known_to for law in self._laws)

    def _each(self, name: str, *arguments: Any) -> Any:
        """A method of every part along a new last axis, arguments broadcast against the rest."""
        wide = [np.asarray(a)[..., None] if np.ndim(a) else a for a in arguments]
        if isinstance(self.parts, PassageTime):
            return getattr(self.parts, name)(*wide)
        values = [np.asarray(getattr(part, name)(*arguments)) for part in self.parts]
        shape = np.broadcast_shapes(*(value.shape for value in values))
        return np.stack([np.broadcast_to(value, shape) for value in values], axis=-1)

    def _average(self, values: Any) -> Any:
        """Over the last axis, without a weightless infinity."""
        values = np.asarray(values)
        return np.sum(np.where(self.weights > 0, values * self.weights, 0.0), axis=-1)

    def _log_average(self, logs: Any) -> Any:
        """Logarithm of the average of exponentials, which may leave float64."""
        kept = np.where(self.weights > 0, logs, -np.inf)
        return log_total(kept, self.weights, axis=-1)

    def _log_laplace(self, s: Any) -> Any:
        logs = np.asarray(self._each("_log_laplace", s))
        missing = self._average(np.expm1(logs))
        near = np.real(missing) > -0.5
        # far from 1 relative to the largest part, which may be tiny
        return np.where(near, log1p(np.where(near, missing, 0.0)), self._log_average(logs))

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean."""
        return domain.plain(self._log_average(self._each("log_mean")))

    @QUIET
    def var(self) -> Real:
        """Variance: the mean of the variances and the variance of the means."""
        means, spreads = np.asarray(self._each("mean")), np.asarray(self._each("var"))
        mean = self._average(means)
        value = self._average(spreads + (means - np.asarray(mean)[..., None]) ** 2)
        return domain.plain(np.where(np.isinf(mean) | np.isnan(value), np.inf, value))

    def _survival(self, t: Array) -> Any:
        return self._average(self._each("survival", t))

    def _density(self, t: Array) -> Any:
        return self._average(self._each("density", t))

    def _cdf(self, t: Array) -> Any:
        return self._average(self._each("_cdf", t))

    @QUIET
    def restricted_mean(self, tau: RealLike) -> Real:
        """Restricted mean E[min(T, tau)]."""
        tau = np.asarray(domain.nonnegative("tau", tau, infinite=True))
        return domain.plain(self._average(self._each("restricted_mean", tau)))

    def lasting(self, period: Array, s: Any) -> Any:
        """Integral of exp(-st) P(T > t) over (0, period)."""
        return self._average(self._each("lasting", period, s))

    @QUIET
    def truncated_var(self, tau: Any) -> Any:
        """Variance of T given T < tau."""
        come = np.asarray(self._each("_cdf", tau))
        trial = self._trial("trial_fixed", tau)
        total = np.exp(trial.log_success)
        late = 1.0 - total
        means = np.asarray(self._each("restricted_mean", tau))
        wide = np.asarray(tau)[..., None] if np.ndim(tau) else np.asarray(tau)
        first = np.where(come > 0, (means - wide * (1.0 - come)) / np.where(come > 0, come, 1), 0.0)
        centre = (self._average(means) - tau * late) / total
        spread = np.asarray(self._each("truncated_var", tau))
        value = self._average(come * (spread + (first - np.asarray(centre)[..., None]) ** 2))
        return np.where(np.isinf(tau), self.var(), np.where(total > 0, value / total, 0.0))

    @QUIET
    def _trial(self, name: str, *arguments: Any) -> Trial:
        """Success and duration are averages."""
        wide = [np.asarray(a)[..., None] if np.ndim(a) else a for a in arguments]
        if isinstance(self.parts, PassageTime):
            trials = [getattr(self.parts, name)(*wide)]
            success, mean = np.asarray(trials[0].log_success), np.asarray(trials[0].log_mean)
        else:
            trials = [getattr(part, name)(*arguments) for part in self.parts]
            shape = np.broadcast_shapes(*(np.shape(t.log_success + t.log_mean) for t in trials))
            success, mean = (
                np.stack([np.broadcast_to(t[k], shape) for t in trials], axis=-1) for k in (0, 1)
            )
        log_success = self._log_average(success)
        return Trial(log_success, self._log_average(success + mean) - log_success)

    def trial_exponential(self, rate: Any, s: Any = 0.0) -> Trial:
        """Trial against an exponential waiting time."""
        x = np.asarray(rate + s)
        if np.any(x == 0):
            return super().trial_exponential(rate, s)
        return self._trial("trial_exponential", x)

    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time."""
        return self._trial("trial_fixed", np.asarray(period, np.float64), s)

    def trial_lattice(
        self, log_keep: Any, step: Any, s: Any = 0.0, look_first: bool = False
    ) -> Trial:
        """Trial against a coin at multiples of ``step``."""
        wide = [np.asarray(a) for a in (log_keep, step, s)]
        return self._trial("trial_lattice", *wide, look_first)

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Choose a part for each draw."""
        pick = generator.choice(self.weights.size, size=(n, *self.shape), p=self.weights)
        if isinstance(self.parts, PassageTime):
            every = self.parts._sample(n, generator)
            return np.take_along_axis(every, pick[..., None], axis=-1)[..., 0]
        result = np.empty(pick.shape)
        for i, part in enumerate(self.parts):
            draws = spread_draws(part._sample(n, generator), result.shape)
            result = np.where(pick == i, draws, result)
        return result

    def _resampled(self, resamples: int) -> list[PassageTime]:
        if isinstance(self.parts, PassageTime):
            return []
        each = [part._resampled(resamples) for part in self.parts]
        if not any(each):
            return []
        return [
            Mixture(
                [laws[i] if laws else part for laws, part in zip(each, self.parts, strict=True)],
                self.weights,
            )
            for i in range(resamples)
        ]
