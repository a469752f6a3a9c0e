"""A two-ended passage time seen from one end: arrival there only, or on condition of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real
from resetsgd.passage.base import PassageTime
from resetsgd.protocols import Trial

if TYPE_CHECKING:
    from resetsgd.passage.sided import Sided

__all__ = ["Given", "OneSide"]


class _Half(PassageTime):
    """What the two views of one end share."""

    def __init__(self, whole: Sided, name: str) -> None:
        self.whole = whole
        self.name = name
        self.sources = whole.sources  # type: ignore[misc]
        self.derivation = whole.derivation  # type: ignore[misc]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return self.whole.shape

    @property
    def smooth(self) -> bool:
        """Whether the law has a smooth density."""
        return self.whole.smooth

    def timescale(self) -> Array:
        """The scale of the law whatever its end."""
        return self.whole.timescale()

    def _marks(self) -> Any:
        return self.whole._marks()


class Given(_Half):
    """A two-ended passage time on condition that it ends at one end; made by ``T.given``.

    Parameters
    ----------
    whole : Sided
        The passage time to either end.
    name : {"lower", "upper"}
        Which end.

    Examples
    --------
    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
    >>> rs.first_passage(walk, start=0.5, target=(0.0, 1.0)).given("lower").laplace(0.0)
    1.0
    """

    def __repr__(self) -> str:
        return f"{self.whole!r}.given({self.name!r})"

    def _log_laplace(self, s: Any) -> Any:
        return self.whole._log_laplace_given(self.name, s)

    @QUIET
    def mean(self) -> Real:
        """Conditional mean."""
        return domain.plain(np.broadcast_to(self.whole._mean_side(self.name), self.shape))

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the conditional mean."""
        return domain.plain(np.broadcast_to(self.whole._log_mean_side(self.name), self.shape))

    @QUIET
    def var(self) -> Real:
        """Conditional variance, time²."""
        return domain.plain(np.broadcast_to(self.whole._var_side(self.name), self.shape))

    @QUIET
    def _survival(self, t: Array) -> Any:
        return self.whole._survival_given(self.name, t)

    @QUIET
    def _density(self, t: Array) -> Any:
        return self.whole._density_given(self.name, t)

    @QUIET
    def _cdf(self, t: Array) -> Any:
        return np.clip(self.whole._cdf_given(self.name, np.asarray(t)), 0.0, 1.0)

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        return self.whole._sample_given(self.name, n, generator)


class OneSide(_Half):
    """Arrival at one of two ends, never if it comes at the other; made by ``T.side``.

    Parameters
    ----------
    whole : Sided
        The passage time to either end.
    name : {"lower", "upper"}
        Which end.

    Examples
    --------
    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
    >>> T = rs.first_passage(walk, start=0.25, target=(0.0, 1.0)).side("upper")
    >>> T.laplace(0.0), T.mean()
    (0.25, inf)
    """

    def __repr__(self) -> str:
        return f"{self.whole!r}.side({self.name!r})"

    def _log_laplace(self, s: Any) -> Any:
        return self.whole._log_laplace_side(self.name, s)

    @property
    def _chance(self) -> Any:
        return np.exp(self.whole._log_chance(self.name))

    @property
    def _surely(self) -> Any:
        """Where the other end is out of reach of float64."""
        return self.whole._log_chance(self.name) == 0

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean: ``inf`` unless this end is certain."""
        value = np.where(self._surely, self.whole._log_mean_side(self.name), np.inf)
        return domain.plain(np.broadcast_to(value, self.shape))

    @QUIET
    def var(self) -> Real:
        """Variance: ``inf`` unless this end is certain."""
        value = np.where(self._surely, self.whole._var_side(self.name), np.inf)
        return domain.plain(np.broadcast_to(value, self.shape))

    @QUIET
    def _survival(self, t: Array) -> Any:
        never = -np.expm1(self.whole._log_chance(self.name))
        return never + self._chance * self.whole._survival_given(self.name, t)

    @QUIET
    def _density(self, t: Array) -> Any:
        return self._chance * self.whole._density_given(self.name, t)

    @QUIET
    def _cdf(self, t: Array) -> Any:
        return self._chance * np.clip(self.whole._cdf_given(self.name, np.asarray(t)), 0.0, 1.0)

    @QUIET
    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time; a rare success keeps its digits."""
        trial = super().trial_fixed(period, s)
        period = np.asarray(period, dtype=np.float64)
        if np.any(np.asarray(s) != 0) or not np.isfinite(period).all():
            return trial
        come = np.asarray(self._cdf(period))
        log_success = np.where(come > 0, np.log(come), trial.log_success)
        log_duration = np.asarray(trial.log_mean) + trial.log_success
        return Trial(log_success, log_duration - log_success)

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        pick = generator.random((n, *self.shape))
        times = self.whole._sample_given(self.name, n, generator)
        return np.where((pick < self._chance) | self._surely, times, np.inf)
