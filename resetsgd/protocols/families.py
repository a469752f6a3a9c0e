"""Families of waiting times with closed forms: gamma, Weibull, uniform, Pareto."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real
from resetsgd.errors import DomainError
from resetsgd.protocols.waiting import WaitingTime, around

__all__ = ["Gamma", "Pareto", "Uniform", "Weibull"]


@dataclass(frozen=True, eq=False, repr=False)
class Gamma(WaitingTime):
    """Resets after gamma-distributed waiting times of mean stages/rate.

    For a whole number of stages (Erlang) each reset ends a chain of that many exponential stages.
    One stage is :class:`Poisson`; many stages approach :class:`Sharp` with the period stages/rate.

    Parameters
    ----------
    rate : float or array
        Rate of each stage, 1/time; the inverse of the scale. Zero never resets.
    stages : float or array, default 2
        Shape parameter, between 1e-3 and 1e9; not only whole numbers.
    overhead : float, array or frozen distribution of ``scipy.stats``, default 0
        Time lost at each reset, keyword only.

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> round(T.under(rs.Gamma(rate=4.0, stages=2.0)).mean(), 6)
    1.472264
    """

    rate: Real
    stages: Real = 2.0
    parameter: ClassVar[str] = "rate"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rate", domain.nonnegative("rate", self.rate))
        object.__setattr__(self, "stages", domain.within("stages", self.stages, 1e-3, 1e9))
        domain.broadcast(rate=self.rate, stages=self.stages)

    @classmethod
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Make the protocol of mean waiting time 1/frequency."""
        return cls(rate=np.multiply(frequency, fixed.get("stages", 2.0)), **fixed)

    @classmethod
    def rare_order(cls, **fixed: Any) -> float | None:
        """The number of stages."""
        return float(fixed.get("stages", 2.0))

    @property
    def never(self) -> Any:
        """Where the rate is zero."""
        return np.broadcast_to(np.asarray(self.rate) == 0, self.shape)

    @QUIET
    def waiting_survival(self, t: Any) -> Any:
        """P(R > t)."""
        return special.gammaincc(self.stages, np.asarray(self.rate) * t)

    @QUIET
    def waiting_density(self, t: Any) -> Any:
        """Density of R at t."""
        x = np.asarray(self.rate) * t
        k = np.asarray(self.stages)
        return np.where(x > 0, _gamma_mass(k, np.where(x > 0, x, 1.0)) / t, 0.0)

    @QUIET
    def waiting_mean(self) -> Any:
        """E[R]."""
        return np.divide(self.stages, self.rate)

    @QUIET
    def waiting_marks(self) -> Array:
        """Around the mean."""
        k = np.asarray(self.stages)
        return around(self.waiting_mean(), 1.0 / np.sqrt(1.0 + k))

    @QUIET
    def waiting_early(self, t: Any, power: int) -> Any:
        """E[R^power; R <= t]."""
        k, rate = np.asarray(self.stages), np.asarray(self.rate)
        mean = k / rate
        front = mean if power == 1 else mean * ((k + 1.0) / rate)
        late = t * t if power == 2 else t
        # far below its mean the moment is at most t^power P(R <= t)
        value = front * special.gammainc(k + power, rate * t)
        return np.where(rate > 0, np.minimum(value, late), 0.0)

    @QUIET
    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Independent waiting times between resets."""
        draws = generator.standard_gamma(self.stages, size=(n, *self.shape))
        rate = np.asarray(self.rate)
        return np.where(rate > 0, draws / np.where(rate > 0, rate, 1.0), np.inf)


def _gamma_mass(k: Array, x: Array) -> Any:
    """x^k exp(-x) / Gamma(k), without the overflow and cancellation of its factors at large k."""
    large = k > 20.0
    few = np.where(large, 1.0, k)
    plain = np.exp(special.xlogy(few, x) - x - special.gammaln(few))
    many = np.where(large, k, 30.0)
    # Stirling: Gamma(k) = sqrt(2 pi/k) (k/e)^k (1 + 1/12k + ...)
    inverse = 1.0 / many
    rest = inverse * (1 / 12 - inverse**2 * (1 / 360 - inverse**2 * (1 / 1260 - inverse**2 / 1680)))
    gap = (x - many) / many
    # x - k - k log(x/k), by its series where x is close to k
    near = np.abs(gap) < 0.05
    u = np.where(near, gap, 0.0)
    series = np.zeros_like(u)
    for n in range(14, 1, -1):
        series = series * u + (-1.0) ** n / n
    excess = np.where(near, u * u * series, gap - np.log(np.where(near, many, x) / many))
    return np.where(large, np.sqrt(many / (2 * np.pi)) * np.exp(-many * excess - rest), plain)


@dataclass(frozen=True, eq=False, repr=False)
class Weibull(WaitingTime):
    """Resets after Weibull-distributed waiting times, P(R > t) = exp(-(t/scale)^exponent).

    Above exponent 1 a reset is the likelier the longer the wait has been, below it the less likely;
    exponent 1 is :class:`Poisson`, a large one approaches :class:`Sharp`.

    Parameters
    ----------
    scale : float or array
        Time by which 63 % of the waits have ended. Positive; ``inf`` never resets.
    exponent : float or array, default 2
        Shape parameter, between 0.05 and 1e6.
    overhead : float, array or frozen distribution of ``scipy.stats``, default 0
        Time lost at each reset, keyword only.

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> round(T.under(rs.Weibull(scale=0.6, exponent=2.0)).mean(), 6)
    1.427126
    """

    scale: Real
    exponent: Real = 2.0
    parameter: ClassVar[str] = "scale"

    def __post_init__(self) -> None:
        super().__post_init__()
        scale = domain.within("scale", self.scale, 0.0, np.inf, open_low=True)
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "exponent", domain.within("exponent", self.exponent, 0.05, 1e6))
        domain.broadcast(scale=self.scale, exponent=self.exponent)

    @classmethod
    @QUIET
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Make the protocol of mean waiting time 1/frequency."""
        mean = special.gamma(1.0 + np.divide(1.0, fixed.get("exponent", 2.0)))
        return cls(scale=np.divide(1.0 / mean, frequency), **fixed)

    @classmethod
    def rare_order(cls, **fixed: Any) -> float | None:
        """The exponent."""
        return float(fixed.get("exponent", 2.0))

    @property
    def never(self) -> Any:
        """Where the scale is infinite."""
        return np.broadcast_to(np.isinf(self.scale), self.shape)

    def _power(self, t: Any) -> Any:
        """(t/scale)^exponent."""
        return np.power(t / np.asarray(self.scale), self.exponent)

    @QUIET
    def waiting_survival(self, t: Any) -> Any:
        """P(R > t)."""
        return np.exp(-self._power(t))

    @QUIET
    def waiting_density(self, t: Any) -> Any:
        """Density of R at t."""
        x = self._power(t)
        return np.where(np.isfinite(x), self.exponent * (x / t) * np.exp(-x), 0.0)

    @QUIET
    def waiting_mean(self) -> Any:
        """E[R]."""
        return self.scale * special.gamma(1.0 + 1.0 / np.asarray(self.exponent))

    @QUIET
    def waiting_marks(self) -> Array:
        """Around the scale."""
        return around(self.scale, 1.0 / (1.0 + np.asarray(self.exponent)))

    @QUIET
    def waiting_early(self, t: Any, power: int) -> Any:
        """E[R^power; R <= t]."""
        k = 1.0 + power / np.asarray(self.exponent)
        front = np.asarray(self.scale) ** power * special.gamma(k)
        value = front * special.gammainc(k, self._power(t))
        return np.where(self.never, 0.0, value)

    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Independent waiting times between resets."""
        draws = generator.standard_exponential((n, *self.shape))
        return np.asarray(self.scale * np.power(draws, np.divide(1.0, self.exponent)))


@dataclass(frozen=True, eq=False, repr=False)
class Uniform(WaitingTime):
    """Resets after waiting times spread evenly between two bounds.

    Parameters
    ----------
    low : float or array
        Shortest waiting time, >= 0 and finite; 0 for ``best``, unless said otherwise.
    high : float or array
        Longest waiting time, above ``low``; ``inf`` never resets.
    overhead : float, array or frozen distribution of ``scipy.stats``, default 0
        Time lost at each reset, keyword only.

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> round(T.under(rs.Uniform(low=0.2, high=0.8)).mean(), 6)
    1.380275
    """

    low: Real
    high: Real
    parameter: ClassVar[str] = "high"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "low", domain.nonnegative("low", self.low))
        high = domain.within("high", self.high, 0.0, np.inf, open_low=True)
        object.__setattr__(self, "high", high)
        domain.broadcast(low=self.low, high=self.high)
        if np.any(np.asarray(self.high) <= np.asarray(self.low)):
            raise DomainError("high", self.high, f"above low = {self.low}")

    @classmethod
    @QUIET
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Make the protocol of mean waiting time 1/frequency."""
        low = np.asarray(fixed.pop("low", 0.0), dtype=np.float64)
        high = np.divide(2.0, frequency) - low
        return cls(low=domain.plain(low), high=np.maximum(high, np.nextafter(low, np.inf)), **fixed)

    @classmethod
    def rare_order(cls, **fixed: Any) -> float | None:
        """One, if a reset may come at once."""
        return 1.0 if np.all(np.asarray(fixed.get("low", 0.0)) == 0) else None

    @classmethod
    def most_frequent(cls, **fixed: Any) -> float:
        """The frequency at which the two bounds meet."""
        low = float(np.max(fixed.get("low", 0.0)))
        return (1.0 - 1e-9) / low if low > 0 else float(np.inf)

    @property
    def never(self) -> Any:
        """Where the upper bound is infinite."""
        return np.broadcast_to(np.isinf(self.high), self.shape)

    def _share(self, t: Any) -> Any:
        """Fraction of the waits that have ended by t."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        return np.clip((t - low) / (high - low), 0.0, 1.0)

    @QUIET
    def waiting_survival(self, t: Any) -> Any:
        """P(R > t)."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        return np.where(self.never, 1.0, np.clip((high - t) / (high - low), 0.0, 1.0))

    @QUIET
    def waiting_density(self, t: Any) -> Any:
        """Density of R at t."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        return np.where((t > low) & (t < high), 1.0 / (high - low), 0.0)

    def waiting_mean(self) -> Any:
        """E[R]."""
        return 0.5 * (np.asarray(self.low) + np.asarray(self.high))

    def waiting_kinks(self) -> Array:
        """The two bounds."""
        return np.stack(np.broadcast_arrays(self.low, self.high))

    def waiting_marks(self) -> Array:
        """The two bounds."""
        return self.waiting_kinks()

    @QUIET
    def waiting_early(self, t: Any, power: int) -> Any:
        """E[R^power; R <= t]."""
        low, share = np.asarray(self.low), self._share(t)
        reached = np.clip(t, low, self.high)
        mean = 0.5 * (reached + low)
        square = (reached * reached + reached * low + low * low) / 3.0
        return np.where(self.never, 0.0, share * (mean if power == 1 else square))

    @QUIET
    def waiting_tilt(self, t: Any) -> Any:
        """-d P(R > t) / d log(frequency), with the lower bound fixed."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        inside = (t > low) & (t < high)
        return np.where(inside, (high + low) * self._share(t) / (high - low), 0.0)

    @QUIET
    def waiting_tilt_area(self, t: Any) -> Any:
        """Integral of ``waiting_tilt`` over (0, t)."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        return np.where(self.never, 0.0, 0.5 * (high + low) * self._share(t) ** 2)

    @QUIET
    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Independent waiting times between resets."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        draws = low + (high - low) * generator.random((n, *self.shape))
        return np.where(self.never, np.inf, draws)


@dataclass(frozen=True, eq=False, repr=False)
class Pareto(WaitingTime):
    """Resets after Pareto-distributed waiting times, P(R > t) = (scale/t)^exponent for t > scale.

    Parameters
    ----------
    scale : float or array
        Shortest waiting time. Positive; ``inf`` never resets.
    exponent : float or array, default 2
        Exponent of the tail, between 1e-3 and 1e6. The mean waiting time is finite above 1.
    overhead : float, array or frozen distribution of ``scipy.stats``, default 0
        Time lost at each reset, keyword only.

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Notes
    -----
    Long waits are where a diverging mean comes from: with P(T > t) falling as t^-a, the mean under
    resetting is finite exactly if a + exponent > 1.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> R = T.under(rs.Pareto(scale=0.3, exponent=[0.5, 1.5]))
    >>> [round(float(mean), 6) for mean in R.mean()]
    [inf, 1.580862]
    """

    scale: Real
    exponent: Real = 2.0
    parameter: ClassVar[str] = "scale"

    def __post_init__(self) -> None:
        super().__post_init__()
        scale = domain.within("scale", self.scale, 0.0, np.inf, open_low=True)
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "exponent", domain.within("exponent", self.exponent, 1e-3, 1e6))
        domain.broadcast(scale=self.scale, exponent=self.exponent)

    @classmethod
    @QUIET
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Make the protocol of shortest waiting time 1/frequency."""
        return cls(scale=np.divide(1.0, frequency), **fixed)

    @property
    def never(self) -> Any:
        """Where the scale is infinite."""
        return np.broadcast_to(np.isinf(self.scale), self.shape)

    @QUIET
    def waiting_survival(self, t: Any) -> Any:
        """P(R > t)."""
        return np.power(np.minimum(np.asarray(self.scale) / t, 1.0), self.exponent)

    @QUIET
    def waiting_density(self, t: Any) -> Any:
        """Density of R at t."""
        value = self.exponent * self.waiting_survival(t) / t
        return np.where(t > np.asarray(self.scale), value, 0.0)

    @QUIET
    def waiting_mean(self) -> Any:
        """E[R]."""
        a = np.asarray(self.exponent)
        return np.where(a > 1.0, self.scale * (a / np.where(a > 1.0, a - 1.0, 1.0)), np.inf)

    def waiting_kinks(self) -> Array:
        """The shortest waiting time."""
        return np.asarray(np.broadcast_to(self.scale, self.shape))[None]

    @QUIET
    def waiting_marks(self) -> Array:
        """The shortest waiting time and widths of the law after it."""
        steps = np.array([0.0, 1.0, 3.0, 8.0, 20.0, 40.0]).reshape(-1, *(1,) * len(self.shape))
        return np.asarray(self.scale * np.exp(steps / (1.0 + np.asarray(self.exponent))))

    @QUIET
    def waiting_early(self, t: Any, power: int) -> Any:
        """E[R^power; R <= t]."""
        a, scale = np.asarray(self.exponent), np.asarray(self.scale)
        log = np.log(np.maximum(t / scale, 1.0))
        rise = (power - a) * log
        # a scale^power (exp(rise) - 1)/(power - a), finite where the exponent is the power
        ratio = np.where(rise == 0, 1.0, np.expm1(rise) / np.where(rise == 0, 1.0, rise))
        return np.where(self.never, 0.0, a * scale**power * log * ratio)

    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Independent waiting times between resets."""
        draws = generator.standard_exponential((n, *self.shape))
        with np.errstate(over="ignore"):
            return np.asarray(self.scale * np.exp(draws / np.asarray(self.exponent)))
