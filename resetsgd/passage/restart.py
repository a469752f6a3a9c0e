"""The act of restarting: a passage time and a protocol give back a passage time."""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, Real
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage.base import QUIET, PassageTime
from resetsgd.protocols import Protocol

__all__ = ["Restarted", "restart"]

_MOST_ROUNDS = 100_000


def restart(free: PassageTime, protocol: Protocol) -> PassageTime:
    """``free`` under ``protocol``; what ``PassageTime.under`` calls."""
    if not isinstance(protocol, Protocol):
        raise DomainError("protocol", protocol, "a protocol such as Poisson(rate=0.7)")
    return Restarted(free, protocol)


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
    mean is M(0) and the Laplace transform 1/(1 + s M(s)).

    **Source**: A. Pal and S. Reuveni, PRL 118, 030603 (2017); for the geometric case L. Kusmierz
    et al., PRL 113, 220602 (2014). Derived in ``theory/01_drift_diffusion.py`` for Poisson.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> R = T.under(rs.Poisson(rate=1.0))
    >>> round(R.mean(), 6)
    1.718282
    """

    def __init__(self, free: PassageTime, protocol: Protocol) -> None:
        self.free = free
        self.protocol = protocol
        self._shape = domain.broadcast(free=np.empty(free.shape), protocol=np.empty(protocol.shape))

    def __repr__(self) -> str:
        return f"{self.free!r}.under({self.protocol!r})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Common shape of the free passage time and the protocol."""
        return self._shape

    def _log_laplace(self, s: Any) -> Any:
        trial = self.protocol.trial(self.free, s)
        log_mean = np.asarray(trial.log_mean)
        s = np.asarray(s)
        zero = s == 0
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            weight = np.log(np.where(zero, 1.0, s)) + log_mean  # log(s M)
            large = np.real(weight) > 600
            value = -np.log1p(np.exp(np.where(large, 0.0, weight)))
            value = np.where(large, -weight, value)
            if trial.mean is not None:  # not through the logarithm where the product is at hand
                product = s * trial.mean
                plain = np.isfinite(product) & (np.abs(product) < 1e250) & (product != 0)
                value = np.where(plain, -np.log1p(np.where(plain, product, 0.0)), value)
        never = np.where(np.isposinf(np.real(log_mean)), self._never(), 0.0)
        return np.where(zero, never, value)

    def _never(self) -> Any:
        """log of the arrival probability where the mean is infinite: restarts that never come."""
        return self.free._log_laplace(np.zeros(self.free.shape))

    @property
    def smooth(self) -> bool:
        """Whether the law has a smooth density; fixed reset times leave kinks in it."""
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
        value = np.real(self.protocol.trial(self.free).log_mean)
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
            return super()._survival(t)
        never = -np.expm1(np.real(self._log_laplace(np.zeros(self.shape))))
        return np.where(np.isinf(t), never, value)

    def _density(self, t: Array) -> Any:
        finite = np.where(np.isinf(t), 0.0, t)
        value = self.protocol.density(self.free, finite)
        if value is None:
            return super()._density(t)
        return np.where(np.isinf(t), 0.0, value)

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
        total = np.zeros((n, *self.shape))
        open_ = np.ones(total.shape, dtype=bool)
        for _ in range(_MOST_ROUNDS):
            times = np.broadcast_to(
                self.free._sample(n, generator).reshape(
                    n, *(1,) * (len(self.shape) - len(self.free.shape)), *self.free.shape
                ),
                total.shape,
            )
            waits = self.protocol.waits(n, generator)
            waits = np.broadcast_to(
                waits.reshape(n, *(1,) * (len(self.shape) + 1 - waits.ndim), *waits.shape[1:]),
                total.shape,
            )
            wins = self.protocol.wins(times, waits) | np.isinf(waits)
            total = total + np.where(open_, np.where(wins, times, waits), 0.0)
            open_ = open_ & ~wins
            if not open_.any():
                return total
        raise NotConverged(
            f"sample: some draws needed more than {_MOST_ROUNDS} resets; the chance to arrive"
            " between two resets is too small to sample by trials"
        )
