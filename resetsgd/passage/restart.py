"""The act of restarting: a passage time and a protocol give back a passage time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage import distribution
from resetsgd.passage.arrangements import log1p
from resetsgd.passage.base import PassageTime
from resetsgd.protocols import Protocol

__all__ = [
    "Restarted",
    "play",
    "refuse_settings",
    "restart",
    "spread_draws",
]

_MOST_ROUNDS = 100_000


def refuse_settings(given: Iterable[str], values: Mapping[str, Any], allowed: str) -> None:
    """Raise for the first setting that nothing takes, a misplaced reset point with its remedy."""
    for name in sorted(given):
        if name in {"reset_to", "reset_point", "restart"}:
            allowed = "given as then=first_passage(..., start=reset_point)"
        raise DomainError(name, values[name], allowed)


def restart(
    free: PassageTime, protocol: Protocol, then: PassageTime | None = None, **settings: Any
) -> PassageTime:
    """``free`` under ``protocol``; what ``PassageTime.under`` calls."""
    refuse_settings(settings, settings, "left out: the protocol has its parameters")
    if not isinstance(protocol, Protocol):
        raise DomainError("protocol", protocol, "a protocol such as Poisson(rate=0.7)")
    if then is not None and not isinstance(then, PassageTime):
        raise DomainError("then", then, "a passage time, as first_passage(..., start=reset_point)")
    from resetsgd.passage.continued import Continued
    from resetsgd.passage.sided import Sided, SidedRestarted

    partial = getattr(protocol, "partial", None)
    if partial is not None:
        from resetsgd.passage.partial import partial_passage

        if then is not None or not protocol.lost.none:
            raise DomainError("partial", partial, "without an overhead and without 'then'")
        rate: Real = protocol.working_rate  # type: ignore[attr-defined]
        return partial_passage(free, rate, partial)
    if then is not None:
        if getattr(protocol, "running", False):
            raise DomainError("then", then, "left out for a schedule of the clock 'run'")
        return Continued(free, protocol, then)
    return SidedRestarted(free, protocol) if isinstance(free, Sided) else Restarted(free, protocol)


class Restarted(PassageTime):
    """A passage time under resetting to its own start.

    Parameters
    ----------
    free : PassageTime
        The reset-free passage time.
    protocol : Protocol
        When it resets. Its parameters broadcast against those of ``free``.

    Notes
    -----
    With M(s) the ratio of a trial's duration to its success (see :mod:`resetsgd.protocols`), the
    mean is M(0) and the Laplace transform 1/(1 + s M(s)). An overhead C adds
    E[exp(-sR); R < T] (1 - E[exp(-sC)])/s to the duration.

    **Source**: A. Pal and S. Reuveni, PRL 118, 030603 (2017); for the geometric case L. Kusmierz
    et al., PRL 113, 220602 (2014). Derived in ``theory/08_any_protocol.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> R = T.under(rs.Poisson(rate=1.0))
    >>> round(R.mean(), 6)
    1.718282
    """

    derivation = "theory/08_any_protocol.py"

    def __init__(self, free: PassageTime, protocol: Protocol) -> None:
        self.free = free
        self.protocol = protocol
        self.tiny_steps = free.tiny_steps and protocol.tiny_steps
        self._shape = free.shape
        if protocol.shape:
            self._shape = domain.broadcast(
                free=np.empty(free.shape), protocol=np.empty(protocol.shape)
            )

    @property
    def sources(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the free passage time, the protocol, and of restart itself."""
        return tuple(dict.fromkeys((*self.free.sources, *self.protocol.sources, "pal2017")))

    def __repr__(self) -> str:
        return f"{self.free!r}.under({self.protocol!r})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Common shape of the free passage time and the protocol."""
        return self._shape

    def resets(self) -> Real:
        """Mean number of resets before arrival; ``inf`` if it never arrives between two resets."""
        return domain.plain(np.broadcast_to(self.protocol.resets(self.free), self.shape))

    def _trial(self, s: Any) -> tuple[Any, Any]:
        """log M(s), and M(s) where it is known without the logarithm (else None)."""
        trial = self.protocol.trial(self.free, s)
        log_mean = np.asarray(trial.log_mean)
        if self.protocol.lost.none:
            return log_mean, trial.mean
        # M + n (1 - E exp(-sC))/s, n the resets for each success; in ratio to M, which may be huge
        log_spent = trial.log_success + log_mean
        ratio = np.exp(-log_spent) - np.exp(-log_mean) - s
        never = np.asarray(s == 0) & (trial.log_success == 0)
        lasting = self.protocol.lost.lasting(s)
        ratio = np.where(never, 0.0, ratio * lasting)
        beyond = ~np.isfinite(ratio)  # a trial may last for no time in float64
        many = np.log(-np.expm1(trial.log_success) - s * np.exp(log_spent)) + np.log(lasting)
        added = np.where(beyond, many - log_spent, log1p(np.where(beyond, 0.0, ratio)))
        return log_mean + np.where(np.isposinf(np.real(log_mean)), 0.0, added), None

    def _log_laplace(self, s: Any) -> Any:
        s = np.asarray(s)
        log_mean, mean = self._trial(s)
        zero = s == 0
        with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
            weight = np.log(np.where(zero, 1.0, s)) + log_mean  # log(s M)
            large = np.real(weight) > 600
            value = -log1p(np.exp(np.where(large, 0.0, weight)))
            value = np.where(large, -weight, value)
            if mean is not None:  # not through the logarithm where the product is at hand
                product = s * mean
                plain = np.isfinite(product) & (np.abs(product) < 1e250) & (product != 0)
                value = np.where(plain, -log1p(np.where(plain, product, 0.0)), value)
        never = np.where(np.isposinf(np.real(log_mean)), self._never(), 0.0)
        return np.where(zero, never, value)

    def _never(self) -> Any:
        """log of the arrival probability where the mean is infinite: restarts that never come."""
        return self.free._log_laplace(np.zeros(self.free.shape))

    @property
    def smooth(self) -> bool:
        """Whether the law has a smooth density; fixed reset times and overheads leave kinks."""
        return self._resolved and self.protocol.lost.none

    @property
    def _resolved(self) -> bool:
        """Whether the law is smooth but for the time lost at resets."""
        return self.free.smooth and self.protocol.keeps_smooth

    @property
    def known_to(self) -> float:
        """The mean under resetting is known although the reset-free one may not be."""
        return np.inf

    def mean(self) -> Real:
        """Mean first-passage time under resetting; ``inf`` if infinite."""
        return domain.plain(np.broadcast_to(self.protocol.mean(self.free), self.shape))

    def log_mean(self) -> Real:
        """Logarithm of the mean, finite where the mean overflows."""
        with np.errstate(all="ignore"):
            value = np.real(self._trial(np.zeros(self.shape))[0])
        return domain.plain(np.broadcast_to(value, self.shape))

    @QUIET
    def var(self) -> Real:
        """Variance, time²."""
        return domain.plain(np.broadcast_to(self.protocol.var(self.free), self.shape))

    @QUIET
    def stderr(self) -> Real:
        """Standard error of the mean: zero for exact laws, by bootstrap for measured runs."""
        from resetsgd.passage.observed import Observed

        if isinstance(self.free, Observed):
            return self.free._stderr_under(self.protocol)
        means = [np.asarray(law.mean()) for law in self._resampled(200)]
        if not means:
            return super().stderr()
        return domain.plain(np.where(np.isinf(np.max(means, 0)), np.inf, np.std(means, 0, ddof=1)))

    def _resampled(self, resamples: int) -> list[PassageTime]:
        return [Restarted(free, self.protocol) for free in self.free._resampled(resamples)]

    def _survival(self, t: Array) -> Any:
        finite = np.where(np.isinf(t), 0.0, t)
        value = self.protocol.survival(self.free, finite)
        if value is None:
            if self.smooth:
                return super()._survival(t)
            value = self._law(finite, density=False)
        value = np.where(t == 0, 1.0, value)  # a sum may round
        never = -np.expm1(np.real(self._log_laplace(np.zeros(self.shape))))
        return np.where(np.isinf(t), never, value)

    def _density(self, t: Array) -> Any:
        finite = np.where(np.isinf(t), 0.0, t)
        value = self.protocol.density(self.free, finite)
        if value is None:
            if self.smooth:
                return super()._density(t)
            value = self._law(finite, density=True)
        return np.where(np.isinf(t), 0.0, value)

    def _law(self, t: Array, *, density: bool) -> Any:
        """With an overhead: a sum over resets if it is fixed, else from right of 0."""
        if self.protocol.lost.fixed or not self._resolved:
            from resetsgd.passage.delayed import delayed

            return delayed(self.free, self.free, self.protocol, t, density=density)
        law = distribution.density if density else distribution.survival
        return law(self._inverting, t, right=True)

    def lasting(self, period: Array, s: Any) -> Any:
        """By the protocol's own sum where there is one: quadrature does not see the kinks."""
        value = self.protocol.lasting(self.free, period, s)
        return super().lasting(period, s) if value is None else value

    def timescale(self) -> Array:
        """The mean where it is finite in float64, else the scale without resets."""
        with np.errstate(over="ignore"):
            mean = np.asarray(np.exp(self.log_mean()))
        return np.where(np.isfinite(mean) & (mean > 0), mean, self.free.timescale())

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Play the trials: draw T and the waiting time until T comes first."""
        return play(n, generator, self.shape, self.free, self.free, self.protocol)


def play(
    n: int,
    generator: np.random.Generator,
    shape: tuple[int, ...],
    first: PassageTime,
    then: PassageTime,
    protocol: Protocol,
) -> Array:
    """Draws of a passage time whose trials after the first are those of ``then``."""
    total = np.zeros((n, *shape))
    open_ = np.ones(total.shape, dtype=bool)
    free = first
    for _ in range(_MOST_ROUNDS):
        times = spread_draws(free._sample(n, generator), total.shape)
        waits = spread_draws(protocol.waits_after(total, generator), total.shape)
        wins = protocol.wins(times, waits) | np.isinf(waits)
        spent = waits
        if not protocol.lost.none:
            spent = waits + protocol.lost.draws(total.shape, generator)
        total = total + np.where(open_, np.where(wins, times, spent), 0.0)
        open_ = open_ & ~wins
        if not open_.any():
            return total
        free = then
    raise NotConverged(
        f"sample: some draws needed more than {_MOST_ROUNDS} resets; the chance to arrive"
        " between two resets is too small to sample by trials"
    )


def spread_draws(draws: Array, shape: tuple[int, ...]) -> Array:
    """Draws of shape (n, ...) against results of shape (n, more ...)."""
    missing = (1,) * (len(shape) - draws.ndim)
    return np.broadcast_to(draws.reshape(len(draws), *missing, *draws.shape[1:]), shape)
