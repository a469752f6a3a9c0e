"""Resetting to somewhere else than the start: the first trial is not like the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real
from resetsgd.passage import distribution
from resetsgd.passage.arrangements import log1p
from resetsgd.passage.base import PassageTime
from resetsgd.passage.delayed import delayed
from resetsgd.passage.restart import Restarted, play
from resetsgd.protocols import Protocol

__all__ = ["Continued"]


class Continued(PassageTime):
    """A passage time whose trials, from the first reset on, are those of another passage time.

    Parameters
    ----------
    first : PassageTime
        The reset-free passage time from the start.
    protocol : Protocol
        When it resets.
    then : PassageTime
        The reset-free passage time from the reset point.

    Notes
    -----
    With a first trial of length min(T, R) and the restarted time T' from the reset point,

        mean = E[min(T, R)] + P(R <= T) (overhead + E[T']),

    and so for the transform. CV = 1 does not mark the optimum here, nor does CV > 1 say whether
    resetting pays.

    **Source**: A. Pal and S. Reuveni, PRL 118, 030603 (2017), extended to another reset point.
    Derived in ``theory/08_any_protocol.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
    >>> far, near = (rs.first_passage(walk, start=x, target=0.0) for x in (2.0, 1.0))
    >>> round(far.under(rs.Poisson(1.0), then=near).mean(), 6)
    2.350402
    """

    derivation = "theory/08_any_protocol.py"

    def __init__(self, first: PassageTime, protocol: Protocol, then: PassageTime) -> None:
        self.first, self.protocol, self.then = first, protocol, then
        self.later = Restarted(then, protocol)
        self.tiny_steps = first.tiny_steps and self.later.tiny_steps
        self._shape = domain.broadcast(first=np.empty(first.shape), then=np.empty(self.later.shape))
        self.sources = tuple(  # type: ignore[misc]
            dict.fromkeys((*first.sources, *self.later.sources))
        )

    def __repr__(self) -> str:
        return f"{self.first!r}.under({self.protocol!r}, then={self.then!r})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Common shape of the two passage times and the protocol."""
        return self._shape

    @property
    def smooth(self) -> bool:
        """Whether the law has a smooth density."""
        return self.first.smooth and self.later.smooth

    def _first(self, s: Any) -> tuple[Any, Any, Any]:
        """Log of the success, duration and E[exp(-sR); R < T] of the first trial."""
        trial = self.protocol.trial(self.first, s)
        duration = np.exp(trial.log_success + trial.log_mean)
        reset = -np.expm1(trial.log_success) - np.where(s == 0, 0.0, s * duration)
        return trial.log_success, duration, reset

    def _after(self, s: Any) -> Any:
        """log E[exp(-s (C + T'))], the overhead and what follows."""
        lost = self.protocol.lost
        log_overhead = 0.0 if lost.none else log1p(-s * lost.lasting(s))
        return self.later._log_laplace(s) + log_overhead

    def _log_laplace(self, s: Any) -> Any:
        s = np.asarray(s)
        log_success, duration, reset = self._first(s)
        after = self._after(s)
        # both 1 - f and f are sums of positive parts: take the one that is small
        missing = np.where(s == 0, 0.0, s * duration) - reset * np.expm1(after)
        top = np.maximum(np.real(log_success), np.real(after))
        found = np.exp(log_success - top) + reset * np.exp(after - top)
        near = np.real(missing) < 0.5
        value = np.where(near, log1p(-np.where(near, missing, 0.0)), np.log(found) + top)
        chance = np.where(np.isinf(np.real(duration)), self._chance(), value)
        return np.where(s == 0, chance, value)

    def _chance(self) -> Any:
        """log of the arrival probability where the first trial may last for ever."""
        return self.first._log_laplace(np.zeros(self.first.shape))

    @QUIET
    def mean(self) -> Real:
        """Mean first-passage time; ``inf`` if infinite."""
        _, duration, reset = self._first(np.zeros(self.shape))
        later = np.asarray(self.later.mean()) + self.protocol.lost.mean
        value = duration + np.where(reset > 0, reset * later, 0.0)
        return domain.plain(np.broadcast_to(value, self.shape))

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean, finite where the mean overflows."""
        trial = self.protocol.trial(self.first, np.zeros(self.shape))
        _, _, reset = self._first(np.zeros(self.shape))
        first = np.asarray(trial.log_success + trial.log_mean)
        rest = np.logaddexp(np.asarray(self.later.log_mean()), np.log(self.protocol.lost.mean))
        rest = np.where(reset > 0, np.log(reset) + rest, -np.inf)
        return domain.plain(np.broadcast_to(np.logaddexp(first, rest), self.shape))

    @QUIET
    def var(self) -> Real:
        """Variance, time²: that of the first trial with what follows at its mean, and the rest."""
        protocol, lost = self.protocol, self.protocol.lost
        log_success, duration, reset = self._first(np.zeros(self.shape))
        later = np.asarray(self.later.mean()) + lost.mean
        spread = protocol.squared(self.first) - duration**2
        joint = protocol.failed(self.first) - duration * reset
        value = spread + 2.0 * later * joint + later**2 * np.exp(log_success) * reset
        value = value + reset * (lost.var + np.asarray(self.later.var()))
        value = np.where(reset > 0, np.maximum(value, 0.0), self.first.var())
        value = np.where(np.isnan(value) | np.isinf(np.asarray(self.mean())), np.inf, value)
        return domain.plain(np.broadcast_to(value, self.shape))

    def stderr(self) -> Real:
        """Standard error of the mean: zero for exact laws, by bootstrap for measured runs."""
        means = [np.asarray(law.mean()) for law in self._resampled(200)]
        if not means:
            return super().stderr()
        return domain.plain(np.std(means, 0, ddof=1))

    def _resampled(self, resamples: int) -> list[PassageTime]:
        """Both laws resampled independently; the same runs stay the same."""
        first, then = self.first._resampled(resamples), self.then._resampled(resamples)
        if not first and not then:
            return []
        if self.first is self.then:
            return [Continued(law, self.protocol, law) for law in first]
        return [
            Continued(
                first[i] if first else self.first,
                self.protocol,
                then[-1 - i] if then else self.then,
            )
            for i in range(resamples)
        ]

    def timescale(self) -> Array:
        """The mean where it is finite in float64, else the scale of the first trial."""
        mean = np.asarray(self.mean())
        return np.where(np.isfinite(mean) & (mean > 0), mean, self.first.timescale())

    def _survival(self, t: Array) -> Any:
        finite = np.where(np.isinf(t), 0.0, t)
        if self.smooth:
            return super()._survival(t)
        value = self.protocol.continued(self.first, finite, self.first.survival, self._late)
        if value is None:
            value = self._law(finite, density=False)
        never = -np.expm1(np.real(self._log_laplace(np.zeros(self.shape))))
        return np.where(np.isinf(t), never, value)

    def _density(self, t: Array) -> Any:
        finite = np.where(np.isinf(t), 0.0, t)
        if self.smooth:
            return super()._density(t)
        value = self.protocol.continued(self.first, finite, self.first.density, self._arriving)
        if value is None:
            value = self._law(finite, density=True)
        return np.where(np.isinf(t), 0.0, value)

    def _law(self, t: Array, *, density: bool) -> Any:
        """Without a finite sum: from right of 0, or a sum over resets if a fixed time is lost."""
        smooth = self.first.smooth and self.then.smooth and self.protocol.keeps_smooth
        if smooth and not self.protocol.lost.fixed:
            law = distribution.density if density else distribution.survival
            return law(self._inverting, t, right=True)
        return delayed(self.first, self.then, self.protocol, t, density=density)

    def _late(self, u: Any) -> Any:
        """Survival at a time u after a reset."""
        rest = u - self.protocol.lost.mean
        return np.where(rest >= 0, self.later.survival(np.maximum(rest, 0.0)), 1.0)

    def _arriving(self, u: Any) -> Any:
        """Density at a time u after a reset."""
        rest = u - self.protocol.lost.mean
        return np.where(rest >= 0, self.later.density(np.maximum(rest, 0.0)), 0.0)

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Play the trials."""
        return play(n, generator, self.shape, self.first, self.then, self.protocol)
