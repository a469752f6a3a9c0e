"""Resets after independent waiting times of any distribution of ``scipy.stats``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, Real
from resetsgd.errors import DomainError, NotConverged
from resetsgd.protocols.waiting import WaitingTime

__all__ = ["Waiting"]

_MOST_ATOMS = 2**16


@dataclass(frozen=True, eq=False, repr=False)
class Waiting(WaitingTime):
    """Resets after independent waiting times of any distribution, stretched in time.

    The waiting time is ``scale`` times a draw of ``distribution``; ``best`` optimises the scale.

    Parameters
    ----------
    distribution : frozen distribution of ``scipy.stats``
        Continuous or discrete, of scalar parameters, on the positive times.
    scale : float or array, default 1
        Factor on the waiting times. Positive; ``inf`` never resets.
    overhead : float, array or frozen distribution of ``scipy.stats``, default 0
        Time lost at each reset, keyword only.

    Raises
    ------
    DomainError
        If the scale is not positive or the distribution is no frozen one, reaches below zero, or
        has mass at zero.
    NotConverged
        If a discrete distribution has more than 2^16 values within rounding of all its mass.

    Notes
    -----
    An arrival at the very time of a reset is lost (T < R counts), which matters for discrete laws.

    Examples
    --------
    >>> import resetsgd as rs
    >>> from scipy import stats
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> round(T.under(rs.Waiting(stats.lognorm(0.5), scale=0.5)).mean(), 6)
    1.422536
    """

    distribution: Any
    scale: Real = 1.0
    parameter: ClassVar[str] = "scale"

    def __post_init__(self) -> None:
        super().__post_init__()
        law = self.distribution
        if not all(hasattr(law, name) for name in ("sf", "ppf", "rvs", "support")):
            raise DomainError("distribution", law, "a frozen distribution of scipy.stats")
        low = np.asarray(law.support()[0])
        if low.shape or np.isnan(low) or low < 0 or float(law.cdf(0.0)) > 0:
            raise DomainError(
                "distribution", law, "of scalar parameters, on positive times, without mass at 0"
            )
        scale = domain.within("scale", self.scale, 0.0, np.inf, open_low=True)
        object.__setattr__(self, "scale", scale)

    @property
    def discrete(self) -> bool:
        """Whether the distribution is one of values, not of a density."""
        return not hasattr(self.distribution, "pdf")

    @classmethod
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Stretch to a mean waiting time 1/frequency; a median one where the mean is infinite."""
        if "distribution" not in fixed:
            raise DomainError("distribution", None, "given: Waiting needs the law to stretch")
        law = fixed["distribution"]
        typical = float(law.mean())
        typical = typical if np.isfinite(typical) and typical > 0 else float(law.median())
        with np.errstate(divide="ignore", over="ignore"):
            return cls(scale=np.divide(1.0 / typical, frequency), **fixed)

    @property
    def never(self) -> Any:
        """Where the scale is infinite."""
        return np.isinf(self.scale)

    def waiting_survival(self, t: Any) -> Any:
        """P(R > t)."""
        x = t / np.asarray(self.scale)
        if self.discrete:  # a time that is a value but for rounding is that value
            whole = np.rint(x)
            x = np.where(np.abs(x - whole) <= 4.0 * np.finfo(np.float64).eps * whole, whole, x)
        return self.distribution.sf(x)

    def waiting_density(self, t: Any) -> Any:
        """Density of R at t; zero for discrete distributions."""
        if self.discrete:
            return np.zeros(np.broadcast_shapes(np.shape(t), self.shape))
        value = self.distribution.pdf(t / np.asarray(self.scale)) / self.scale
        return np.where(np.isfinite(value), value, 0.0)

    def waiting_mean(self) -> Any:
        """E[R]."""
        mean = float(self.distribution.mean())
        return np.asarray(self.scale) * (np.inf if np.isnan(mean) else mean)

    def waiting_marks(self) -> Array:
        """Quantiles, and the ends of the support."""
        q = np.array([1e-9, 1e-3, 0.03, 0.25, 0.5, 0.75, 0.97, 0.999, 1.0 - 1e-9])
        at = np.concatenate([self.distribution.ppf(q), self.waiting_kinks_unit()])
        return np.asarray(at.reshape(-1, *(1,) * len(self.shape)) * self.scale)

    def waiting_kinks_unit(self) -> Array:
        """Positive finite ends of the support of the distribution."""
        ends = np.asarray(self.distribution.support(), dtype=np.float64)
        return ends[(ends > 0) & np.isfinite(ends)]

    def waiting_kinks(self) -> Array:
        """Ends of the support."""
        ends = self.waiting_kinks_unit()
        return np.asarray(ends.reshape(-1, *(1,) * len(self.shape)) * self.scale)

    def waiting_atoms(self) -> tuple[Array, Array] | None:
        """Times and masses of a discrete distribution."""
        if not self.discrete:
            return None
        values, masses = self._values
        shape = (-1, *(1,) * len(self.shape))
        return values.reshape(shape) * np.asarray(self.scale), masses.reshape(shape)

    @property
    def _values(self) -> tuple[Array, Array]:
        """Values and masses of a discrete distribution, as far as its mass is not rounding."""
        law = self.distribution
        low, high = float(law.support()[0]), float(law.support()[1])
        reach = low + np.exp2(np.arange(17.0))
        ended = np.flatnonzero(law.sf(reach) < 1e-17)
        high = min(high, float(reach[ended[0]]) if ended.size else np.inf)
        if not high - low <= _MOST_ATOMS:
            raise NotConverged(f"the distribution has more than {_MOST_ATOMS} values")
        values = np.arange(low, high + 1.0)
        masses = np.asarray(law.pmf(values), dtype=np.float64)
        return values[masses > 0], masses[masses > 0]

    def waiting_early(self, t: Any, power: int) -> Any:
        """E[R^power; R <= t] of a discrete distribution; None for a continuous one."""
        if not self.discrete:
            return None
        values, masses = self._values
        sums = np.append(0.0, np.cumsum(masses * values**power))
        scale = np.asarray(self.scale)
        x = t / scale * (1.0 + 4.0 * np.finfo(np.float64).eps)
        return np.where(self.never, 0.0, scale**power * sums[np.searchsorted(values, x, "right")])

    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Independent waiting times between resets."""
        shape = (n, *self.shape)
        draws = np.asarray(self.distribution.rvs(size=shape, random_state=generator))
        return np.asarray(draws * np.asarray(self.scale, dtype=np.float64))
