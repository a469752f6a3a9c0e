"""When it resets: protocols as frozen, validated values.

A protocol is the law of the waiting time R between resets. It never knows a process: all it asks
of a passage time is the :class:`Clocked` interface, and all it gives back is the :class:`Trial`
between two resets, from which :mod:`resetsgd.passage.restart` builds the restarted passage time.

With T the reset-free passage time, a trial ends at min(T, R), and

    success(s)  = E[exp(-s T); T < R],
    duration(s) = E[integral of exp(-s t) over 0 < t < min(T, R)].

Renewal theory then gives the Laplace transform of the restarted passage time as
1 / (1 + s M(s)) with M(s) = duration(s) / success(s), and its mean as M(0). M is a ratio of
positive quantities: nothing here subtracts nearly equal numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Self
from typing import Protocol as Interface

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, Real
from resetsgd.errors import DomainError, NotConverged

_MOST_COINS = 2**20
"""Longest renewal sequence that is summed; 0.3 s, 32 MB."""

__all__ = ["Clocked", "Geometric", "Poisson", "Protocol", "Sharp", "Trial"]


class Trial(NamedTuple):
    """What happens between two resets, in logarithms (real or complex, as s is).

    ``log_success`` is log E[exp(-sT); T < R]; ``log_mean`` is log M(s), the duration over it.
    ``mean`` is M(s) itself, infinite where it overflows, if it is known without the logarithm.
    """

    log_success: Any
    log_mean: Any
    mean: Any = None


class Clocked(Interface):
    """What a protocol asks of a passage time."""

    def trial_exponential(self, rate: Any, s: Any = 0.0) -> Trial:
        """Trial against an exponential waiting time."""

    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time."""

    def trial_lattice(self, log_keep: Any, step: Any, s: Any, look_first: bool) -> Trial:
        """Trial against a coin at every multiple of ``step``, kept with log-probability given."""

    def mean_exponential(self, rate: Any) -> Any:
        """Mean under exponential waiting times."""

    def slope_exponential(self, rate: Any) -> Any:
        """d log(mean) / d log(rate) under exponential waiting times."""

    def var_exponential(self, rate: Any) -> Any:
        """Variance under exponential waiting times."""

    @property
    def smooth(self) -> bool:
        """Whether T has a smooth density."""

    def survival(self, t: Any) -> Any:
        """P(T > t)."""

    def density(self, t: Any) -> Any:
        """Density of T at t."""

    def truncated_var(self, tau: Any) -> Any:
        """Variance of T given T < tau."""


@dataclass(frozen=True, eq=False)
class Protocol(ABC):
    """Base of all protocols; compares and hashes by parameter values."""

    parameter: ClassVar[str]
    """Name of the parameter that ``best`` optimises."""
    slope_noise: ClassVar[float] = 1e-12
    """Rounding noise of ``slope``: smaller slopes are not told from zero."""
    keeps_smooth: ClassVar[bool] = False
    """Whether a smooth law stays smooth: no time is a reset time with positive probability."""
    slope_of_samples: ClassVar[bool] = True
    """Whether the mean of a sample of times is smooth in the parameter."""

    def _key(self) -> tuple[object, ...]:
        values = (np.asarray(getattr(self, field.name)) for field in fields(self))
        return (type(self), *((value.shape, value.tobytes()) for value in values))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Protocol) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    @property
    def shape(self) -> tuple[int, ...]:
        """Common shape of the parameters."""
        return np.broadcast_shapes(*(np.shape(getattr(self, field.name)) for field in fields(self)))

    @property
    def value(self) -> Real:
        """The parameter that ``best`` optimises."""
        value: Real = getattr(self, self.parameter)
        return value

    @classmethod
    @abstractmethod
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Make the member of the family that resets about ``frequency`` times per unit time."""

    @classmethod
    def most_frequent(cls, **fixed: Any) -> float:
        """The frequency from which on members of the family no longer differ in float64."""
        return float(np.inf)

    @classmethod
    def edge(cls, **fixed: Any) -> Self | None:
        """The most frequent member of the family, if there is one."""
        return None

    @abstractmethod
    def age_weights(self, times: Array) -> tuple[Array, Array]:
        """Weights of values known at ``times`` (rising from 0) in a long-run average, and the rest.

        The age is the time since the last reset, seen in the long run; values between the times are
        interpolated linearly. Returns weights of shape parameters + (len(times),), summing to one
        minus the second array, the probability to be older than ``times[-1]``.
        """

    @abstractmethod
    def trial(self, free: Clocked, s: Any = 0.0) -> Trial:
        """What happens between two resets of the reset-free passage time ``free``."""

    def mean(self, free: Clocked) -> Any:
        """Mean of the restarted passage time."""
        with np.errstate(over="ignore"):
            return np.exp(self.trial(free).log_mean)

    @np.errstate(all="ignore")
    def var(self, free: Clocked) -> Any:
        """Variance of the restarted passage time, from M(0)² - 2 M'(0).

        M' comes from one evaluation at a purely imaginary s (complex step), which is exact to
        rounding; the difference loses a factor 1/CV² where the restarted CV is small.
        """
        scale = np.exp(self.trial(free).log_mean)
        h = 1e-30 / scale
        slope = np.exp(self.trial(free, 1j * h).log_mean).imag / h
        value = np.asarray(scale * scale - 2.0 * slope)
        return np.where(np.isfinite(scale * scale), np.maximum(value, 0.0), np.inf)

    def slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(frequency), or None where only values can be compared."""
        return None

    def survival(self, free: Clocked, t: Array) -> Any:
        """P(restarted passage time > t) where a finite formula exists, else None."""
        return None

    def density(self, free: Clocked, t: Array) -> Any:
        """Density of the restarted passage time where a finite formula exists, else None."""
        return None

    @abstractmethod
    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Independent waiting times between resets, shape (n,) + shape of the parameters."""

    def wins(self, times: Array, waits: Array) -> Any:
        """Where an arrival counts against a reset due at ``waits``: strictly before it."""
        return times < waits


@dataclass(frozen=True, eq=False)
class Poisson(Protocol):
    """Resets at a constant rate: exponential waiting times.

    Parameters
    ----------
    rate : float or array
        Resets per unit time, 1/time. Zero (never) or positive, finite.

    Raises
    ------
    DomainError
        If the rate is negative, infinite or NaN.

    Examples
    --------
    >>> Poisson(rate=0.7)
    Poisson(rate=0.7)
    """

    rate: Real
    parameter: ClassVar[str] = "rate"
    keeps_smooth: ClassVar[bool] = True
    slope_noise: ClassVar[float] = 0.0  # arranged to be exact next to the transition

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", domain.nonnegative("rate", self.rate))

    @classmethod
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Make the protocol with this rate."""
        return cls(rate=frequency, **fixed)

    def trial(self, free: Clocked, s: Any = 0.0) -> Trial:
        """Trial between two resets: the Laplace transform of T at rate + s."""
        return free.trial_exponential(self.rate, s)

    def mean(self, free: Clocked) -> Any:
        """Mean of the restarted passage time, not through its logarithm."""
        return free.mean_exponential(self.rate)

    def var(self, free: Clocked) -> Any:
        """Variance of the restarted passage time."""
        return free.var_exponential(self.rate)

    def slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(rate)."""
        return free.slope_exponential(self.rate)

    def survival(self, free: Clocked, t: Array) -> Any:
        """By Laplace inversion if T is smooth (None), else from a fine lattice of coins."""
        return None if free.smooth else self._coins(t).survival(free, t)

    def density(self, free: Clocked, t: Array) -> Any:
        """By Laplace inversion if T is smooth (None), else from a fine lattice of coins."""
        return None if free.smooth else self._coins(t).density(free, t)

    def _coins(self, t: Array) -> Geometric:
        """The same rate on 2^13 coins: relative error of survival about rate t / 2^14."""
        step = float(np.max(t, initial=0.0)) / 2**13 or 1.0
        return Geometric.at_frequency(self.rate, step=step)

    def age_weights(self, times: Array) -> tuple[Array, Array]:
        """Exponential ages."""
        rate = np.asarray(self.rate)[..., None]
        older = np.exp(-rate * times)
        gap = np.diff(times)
        x = rate * gap
        # integral of P(age > t) over each gap, (1 - exp(-x))/rate
        areas = np.where(x > 0, -np.expm1(-x) / np.where(x > 0, rate, 1.0), gap) * older[..., :-1]
        return _hat_weights(areas, gap, older[..., -1])

    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Independent waiting times between resets."""
        with np.errstate(divide="ignore"):
            scale = np.divide(1.0, self.rate)
        # An infinite scale (rate 0) must give inf, also for the rare variate that is exactly 0.
        draws = generator.standard_exponential((n, *np.shape(self.rate)))
        return np.where(np.isinf(scale), np.inf, draws * np.where(np.isinf(scale), 1.0, scale))


@dataclass(frozen=True, eq=False)
class Sharp(Protocol):
    """Resets after every fixed period; an arrival before the end of the period counts.

    Parameters
    ----------
    period : float or array
        Time between resets. Positive; ``inf`` never resets.

    Raises
    ------
    DomainError
        If the period is not positive or NaN.

    Examples
    --------
    >>> Sharp(period=1.5)
    Sharp(period=1.5)
    """

    period: Real
    parameter: ClassVar[str] = "period"
    slope_of_samples: ClassVar[bool] = False  # it jumps at every time

    def __post_init__(self) -> None:
        value = domain.within("period", self.period, 0.0, np.inf, open_low=True)
        object.__setattr__(self, "period", value)

    @classmethod
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Make the protocol with period 1/frequency."""
        with np.errstate(divide="ignore", over="ignore"):
            return cls(period=np.divide(1.0, frequency), **fixed)

    def trial(self, free: Clocked, s: Any = 0.0) -> Trial:
        """Trial between two resets: T truncated at the period."""
        return free.trial_fixed(self.period, s)

    def var(self, free: Clocked) -> Any:
        """Variance: a geometric number of failed periods plus the last, successful stretch."""
        late = free.survival(self.period)
        arrive = np.exp(free.trial_fixed(self.period).log_success)
        with np.errstate(all="ignore"):
            failed = np.where(late > 0, self.period * np.sqrt(late) / arrive, 0.0) ** 2
        return failed + free.truncated_var(self.period)

    def slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(1/period), from survival and density at the period."""
        trial = free.trial_fixed(self.period)
        success = np.exp(trial.log_success)
        duration = np.exp(trial.log_mean) * success
        late, rate = free.survival(self.period), free.density(self.period)
        return self.period * (rate / success - late / duration)

    def _split(self, t: Array) -> tuple[Array, Array]:
        """Number of whole periods in t and what is left of it."""
        whole = np.where(np.isinf(self.period), 0.0, np.floor(t / self.period))
        left = np.where(whole > 0, t - whole * np.asarray(self.period), t)
        return whole, np.where(np.isinf(whole), 0.0, np.maximum(left, 0.0))

    def _failed(self, free: Clocked, whole: Array) -> Any:
        """S(period)^whole, from the chance to arrive: it may be too small to be seen in S."""
        arrive = np.exp(free.trial_fixed(self.period).log_success)
        return np.where((whole == 0) | (arrive == 0), 1.0, np.exp(whole * np.log1p(-arrive)))

    @np.errstate(all="ignore")
    def survival(self, free: Clocked, t: Array) -> Any:
        """S(period)^k S(t - k period), k the whole periods in t."""
        whole, left = self._split(t)
        return self._failed(free, whole) * free.survival(left)

    @np.errstate(all="ignore")
    def density(self, free: Clocked, t: Array) -> Any:
        """S(period)^k f(t - k period), k the whole periods in t."""
        whole, left = self._split(t)
        return self._failed(free, whole) * free.density(left)

    def age_weights(self, times: Array) -> tuple[Array, Array]:
        """Ages uniform on (0, period)."""
        period = np.asarray(self.period)[..., None]
        left = np.clip(1.0 - times / period, 0.0, None)
        areas = 0.5 * period * (left[..., :-1] ** 2 - left[..., 1:] ** 2)
        if np.isinf(period).any():
            areas = np.where(np.isinf(period), np.diff(times), areas)
        return _hat_weights(areas, np.diff(times), left[..., -1])

    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """The period, n times."""
        return np.broadcast_to(np.asarray(self.period), (n, *np.shape(self.period)))


@dataclass(frozen=True, eq=False)
class Geometric(Protocol):
    """A coin at every multiple of ``step`` resets with a fixed probability.

    This is the protocol of discrete training. In one step the order is *move, coin, look*: an
    arrival counts only if no reset happened in that step. In continuous time an arrival before the
    coin is tossed counts; only arrivals exactly at a multiple of ``step`` see the order.

    Parameters
    ----------
    probability : float or array
        Probability of a reset at each coin, in [0, 1].
    step : float, default 1
        Time between coins. Positive.
    order : {"move-coin-look", "move-look-coin"}
        Whether an arrival in the step of a reset is lost (default, the published training method)
        or counts.

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Notes
    -----
    The matching continuous rate is r = -log(1 - probability) / step.

    Examples
    --------
    >>> round(Geometric(probability=0.01).rate, 12)
    0.010050335854
    """

    probability: Real
    step: Real = 1.0
    order: str = "move-coin-look"
    parameter: ClassVar[str] = "probability"

    def __post_init__(self) -> None:
        value = domain.probability("probability", self.probability)
        object.__setattr__(self, "probability", value)
        object.__setattr__(self, "step", domain.positive("step", self.step))
        domain.choice("order", self.order, ("move-coin-look", "move-look-coin"))
        domain.broadcast(probability=self.probability, step=self.step)

    @property
    def rate(self) -> Real:
        """The rate of the Poisson protocol with the same survival at each coin, 1/time."""
        with np.errstate(divide="ignore"):
            rate: Real = domain.plain(np.abs(np.log1p(-np.asarray(self.probability))) / self.step)
        return rate

    @classmethod
    def at_frequency(cls, frequency: Any, **fixed: Any) -> Self:
        """Make the protocol with the same rate, 1 - exp(-frequency step)."""
        step = fixed.get("step", 1.0)
        return cls(probability=-np.expm1(-np.multiply(frequency, step)), **fixed)

    @classmethod
    def most_frequent(cls, **fixed: Any) -> float:
        """Beyond 36/step the probability is 1 in float64."""
        return 36.0 / float(fixed.get("step", 1.0))

    @classmethod
    def edge(cls, **fixed: Any) -> Self | None:
        """A reset at every coin."""
        return cls(probability=1.0, **fixed)

    def age_weights(self, times: Array) -> tuple[Array, Array]:
        """Ages k step with probability p (1-p)^k, as a look after the coin sees them.

        With ``order="move-look-coin"`` the look comes before the coin: ages from one step on.
        """
        p = np.asarray(self.probability)[..., None]
        if np.ndim(self.step):
            raise DomainError("step", self.step, "a single number for a long-run average")
        step = float(np.asarray(self.step))
        first = 1 if self.look_first else 0
        if times[-1] / step > _MOST_COINS:
            raise NotConverged(f"times to {times[-1]:g} hold more than {_MOST_COINS} coins")
        last = int(np.floor(times[-1] / step * (1.0 + 1e-12)))
        ages = np.arange(first, last + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            keep = np.where(ages > first, (1.0 - p) ** (ages - first), 1.0)
        chance = p * keep
        place = np.clip(np.searchsorted(times, ages * step, side="right") - 1, 0, len(times) - 2)
        share = np.clip((ages * step - times[place]) / np.diff(times)[place], 0.0, 1.0)
        nodes = np.concatenate([place, place + 1])
        parts = np.concatenate([chance * (1.0 - share), chance * share], axis=-1)
        rows = [np.bincount(nodes, row, len(times)) for row in parts.reshape(-1, nodes.size)]
        weights = np.reshape(rows, (*parts.shape[:-1], len(times)))
        rest: Array = ((1.0 - p) ** (last + 1 - first))[..., 0]
        return weights, rest

    @property
    def look_first(self) -> bool:
        """Whether an arrival in the step of a reset counts."""
        return self.order == "move-look-coin"

    def trial(self, free: Clocked, s: Any = 0.0) -> Trial:
        """Trial between two resets: T against a geometric number of steps."""
        with np.errstate(divide="ignore"):
            log_keep = np.log1p(-np.asarray(self.probability))
        return free.trial_lattice(log_keep, self.step, s, self.look_first)

    def slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(frequency), by a complex step in the logarithm of the coin."""
        log_keep = np.log1p(-np.asarray(self.probability)) * (1.0 + 1e-30j)
        return free.trial_lattice(log_keep, self.step, 0.0, self.look_first).log_mean.imag / 1e-30

    def survival(self, free: Clocked, t: Array) -> Any:
        """Sum over the number of coins since the last reset, by the discrete renewal sequence."""
        return self._renewal(free, free.survival, t)

    def density(self, free: Clocked, t: Array) -> Any:
        """Density between coins, by the same renewal sequence."""
        return self._renewal(free, free.density, t)

    @np.errstate(all="ignore")
    def _renewal(self, free: Clocked, function: Any, t: Array) -> Any:
        """sum_n u_n (1-p)^(k-n) function(t - n step), u_n = P(reset at coin n), k = coins before t.

        A coin's reset is lost work only for arrivals after it (or at it, if the coin comes first).
        """
        if np.shape(free.survival(1.0)):
            raise DomainError("free", free, "of scalar parameters for a law under Geometric")
        p, step, t = np.broadcast_arrays(self.probability, self.step, np.asarray(t, np.float64))
        before = 1.0 if self.look_first else 1.0 - 4.0 * np.finfo(np.float64).eps
        pieces = []
        for chance, spacing in {
            (float(a), float(b)) for a, b in zip(p.flat, step.flat, strict=True)
        }:
            here = (p == chance) & (step == spacing)
            if chance == 0:
                pieces.append((here, np.asarray(function(t[here]))))
                continue
            coins = np.floor(t[here] / spacing * (1.0 + 4.0 * np.finfo(np.float64).eps))
            if coins.max(initial=0.0) > _MOST_COINS:
                raise NotConverged(
                    f"t = {t[here].max():g} is {coins.max():g} coins away; the renewal sum is"
                    f" bounded at {_MOST_COINS}: use Poisson(rate=probability.rate) for coins this"
                    " dense"
                )
            most = int(coins.max(initial=0.0))
            keep = (
                np.exp(np.log1p(-chance) * np.arange(most + 1))
                if chance < 1
                else np.zeros(most + 1)
            )
            keep[0] = 1.0
            lattice = np.arange(1, most + 1) * spacing
            fail = chance * keep[:-1] * np.asarray(free.survival(lattice * before))
            resets = _inverse_series(np.concatenate([[1.0], -fail]))
            values = np.empty(int(here.sum()))
            for i, (count, time) in enumerate(zip(coins.astype(int), t[here], strict=True)):
                ages = np.maximum(time - np.arange(count + 1) * spacing, 0.0)
                values[i] = resets[: count + 1] @ (keep[count::-1] * np.asarray(function(ages)))
            pieces.append((here, values))
        result = np.empty(t.shape)
        for here, values in pieces:
            result[here] = values
        return result

    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Steps up to and including the first reset, times the step."""
        p = np.asarray(self.probability)
        shape = (n, *np.shape(self.rate))
        draws = generator.geometric(np.where(p > 0, p, 1.0), size=shape).astype(np.float64)
        return np.where(p > 0, draws * self.step, np.inf)

    def wins(self, times: Array, waits: Array) -> Any:
        """Before the coin of the reset, or together with it when looking comes first."""
        return times <= waits if self.look_first else times < waits


def _hat_weights(areas: Array, gap: Array, rest: Array) -> tuple[Array, Array]:
    """Weights of the nodes of a piecewise linear function from the areas under P(age > t)."""
    rise = areas / gap
    weights = np.zeros((*areas.shape[:-1], areas.shape[-1] + 1))
    weights[..., 0] = 1.0
    weights[..., :-1] -= rise
    weights[..., 1:] += rise
    weights[..., -1] -= rest
    return weights, rest


def _inverse_series(series: Array) -> Array:
    """Coefficients of 1 / series as power series, by Newton's iteration; series[0] must be 1."""
    inverse = np.ones(1)
    while len(inverse) < len(series):
        n = min(2 * len(inverse), len(series))
        size = 1 << (2 * n - 1).bit_length()
        spectrum = np.fft.rfft(inverse, size)
        product = np.fft.irfft(np.fft.rfft(series[:n], size) * spectrum, size)[:n]
        product = -product
        product[0] += 2.0
        inverse = np.fft.irfft(np.fft.rfft(product, size) * spectrum, size)[:n]
    return inverse
