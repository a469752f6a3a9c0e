"""A coin at every step: the protocol of discrete training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, Real
from resetsgd.errors import DomainError, NotConverged
from resetsgd.protocols.base import WIDE_STEP, Clocked, Protocol, Trial, imaginary_slope

__all__ = ["Geometric", "inverse_series"]

_MOST_COINS = 2**20
"""Longest renewal sequence that is summed; 0.3 s, 32 MB."""


@dataclass(frozen=True, eq=False, repr=False)
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
    overhead : float, array or frozen distribution of ``scipy.stats``, default 0
        Time lost at each reset that works; the next coin comes one step after it.
    success : float or array, default 1
        Probability that a reset works; otherwise nothing happens, and no time is lost.

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
    success: Real = field(default=1.0, kw_only=True)
    sources: ClassVar[tuple[str, ...]] = ("kusmierz2014",)
    parameter: ClassVar[str] = "probability"
    slope_noise: ClassVar[float] = 1e-11
    tiny_steps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "success", domain.probability("success", self.success))
        value = domain.probability("probability", self.probability)
        object.__setattr__(self, "probability", value)
        object.__setattr__(self, "step", domain.positive("step", self.step))
        domain.choice("order", self.order, ("move-coin-look", "move-look-coin"))
        domain.broadcast(probability=self.probability, step=self.step)

    @property
    def working_probability(self) -> Array:
        """Probability that a coin resets and the reset works."""
        return np.asarray(self.probability * np.asarray(self.success), dtype=np.float64)

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
        p = self.working_probability[..., None]
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
            log_keep = np.log1p(-self.working_probability)
        return free.trial_lattice(log_keep, self.step, s, self.look_first)

    @np.errstate(all="ignore")
    def _var(self, free: Clocked) -> Any:
        """M(0)² - 2 M'(0), M' by imaginary steps: absolute error about 1e-12 mean²."""
        scale = np.exp(self.trial(free).log_mean)
        rate = np.asarray(-np.log1p(-self.working_probability) / self.step)
        h = np.where(rate > 0, WIDE_STEP * np.minimum(1.0 / scale, rate), 1e-30 / scale)
        slope = imaginary_slope(lambda x: np.exp(self.trial(free, x).log_mean), h)
        value = np.maximum(scale * scale - 2.0 * slope, 0.0)
        return np.where(np.isfinite(scale * scale), value, np.inf)

    def _slope(self, free: Clocked) -> Any:
        """d log(mean) / d log(frequency), by imaginary steps in the logarithm of the coin."""
        log_keep = np.log1p(-self.working_probability)

        def log_mean(x: Any) -> Any:
            return free.trial_lattice(
                log_keep * (1.0 + x), self.step, 0.0, self.look_first
            ).log_mean

        return imaginary_slope(log_mean, WIDE_STEP)

    def _resets_slope(self, free: Clocked) -> Any:
        """d log(resets) / d log(frequency), by the same imaginary steps."""
        log_keep = np.log1p(-self.working_probability)

        def log_resets(x: Any) -> Any:
            log_success = free.trial_lattice(
                log_keep * (1.0 + x), self.step, 0.0, self.look_first
            ).log_success
            return np.log(np.expm1(-log_success))

        return imaginary_slope(log_resets, WIDE_STEP)

    def survival(self, free: Clocked, t: Array) -> Any:
        """Sum over the number of coins since the last reset, by the discrete renewal sequence."""
        if self.lost.none:
            return self._renewal(free, free.survival, t)
        return self._delayed(free, free.survival, t, 1.0) if self.lost.fixed else None

    def density(self, free: Clocked, t: Array) -> Any:
        """Density between coins, by the same renewal sequence."""
        if self.lost.none:
            return self._renewal(free, free.density, t)
        return self._delayed(free, free.density, t, 0.0) if self.lost.fixed else None

    def lasting(self, free: Clocked, t: Array, s: Any) -> Any:
        """The survival integrated stretch by stretch, by the same renewal sequence; at s = 0."""
        if np.any(s != 0) or not self.lost.none:
            return None
        return self._renewal(free, free.restricted_mean, t, integrated=True)

    @np.errstate(all="ignore")
    def continued(self, free: Clocked, t: Array, first: Any, later: Any) -> Any:
        """Sum over the coin of the first reset."""
        chance, spacing = self._single(free)
        t = np.asarray(t, np.float64)
        flat = np.atleast_1d(t).ravel()
        lattice, fail, keep = self._coins(free, chance, spacing, float(flat.max(initial=0.0)))
        slack = 4.0 * np.finfo(np.float64).eps
        coins = np.floor(flat / spacing * (1.0 + slack)).astype(int)
        values = keep[np.minimum(coins, fail.size)] * np.asarray(first(flat))
        if lattice.size:
            after = flat[:, None] * (1.0 + slack) - lattice
            there = after >= 0
            values = values + np.where(there, later(np.maximum(after, 0.0)), 0.0) @ fail
        return values.reshape(t.shape)

    def _single(self, free: Clocked) -> tuple[float, float]:
        """The probability and the step as numbers."""
        if np.shape(free.survival(1.0)) or self.shape:
            raise DomainError("free", free, "of scalar parameters for a law under Geometric")
        return float(self.working_probability), float(np.asarray(self.step))

    def _coins(
        self, free: Clocked, chance: float, spacing: float, time: float
    ) -> tuple[Array, Array, Array]:
        """Times of the coins up to a time, the chance of a reset at each, and to keep up to each.

        The last has one entry more: the one before the first coin.
        """
        ratio = time / spacing * (1.0 + 4.0 * np.finfo(np.float64).eps)
        if ratio > _MOST_COINS:
            raise NotConverged(
                f"t = {time:g} is {ratio:g} coins away; the renewal sum is bounded at"
                f" {_MOST_COINS}: use Poisson(rate=probability.rate) for coins this dense"
            )
        numbers = np.arange(1, int(ratio) + 1)
        keep: Array = np.concatenate([[1.0], (1.0 - chance) ** numbers])
        before = 1.0 if self.look_first else 1.0 - 4.0 * np.finfo(np.float64).eps
        late = np.asarray(free.survival(numbers * spacing * before))
        fail: Array = chance * keep[:-1] * late
        times: Array = np.asarray(numbers * spacing, dtype=np.float64)
        return times, fail, keep

    @np.errstate(all="ignore")
    def _delayed(self, free: Clocked, function: Any, t: Array, waiting: float) -> Any:
        """With a fixed overhead c: resets end at the times k step + n c, n of them after k coins.

        ``waiting`` is the value while time is lost.
        """
        chance, spacing = self._single(free)
        lost = float(np.asarray(self.lost.mean))
        t = np.asarray(t, np.float64)
        flat = np.atleast_1d(t).ravel()
        longest = float(flat.max(initial=0.0))
        _, fail, keep = self._coins(free, chance, spacing, longest)
        most = int(longest / (spacing + lost)) + 1
        if most * (fail.size + 1) * flat.size > 2**28:
            raise NotConverged(f"t = {longest:g} holds too many coins to sum over with an overhead")
        size = 1 << (2 * fail.size + 1).bit_length()
        spectrum = np.fft.rfft(np.concatenate([[0.0], fail]), size)
        ended = np.zeros(fail.size + 1)
        ended[0] = 1.0
        values = np.zeros(flat.size)
        numbers = np.arange(fail.size + 1)
        slack = 4.0 * np.finfo(np.float64).eps
        for n in range(most + 1):
            ages = flat[:, None] * (1.0 + slack) - numbers * spacing - n * lost
            there = ages >= 0
            coins = np.floor(np.where(there, ages, 0.0) / spacing).astype(int)
            parts = keep[np.minimum(coins, fail.size)] * np.asarray(function(np.maximum(ages, 0.0)))
            if n:
                parts = np.where((ages < 0) & (ages >= -lost), waiting, np.where(there, parts, 0.0))
            else:
                parts = np.where(there, parts, 0.0)
            values = values + parts @ ended
            ended = np.maximum(np.fft.irfft(np.fft.rfft(ended, size) * spectrum, size), 0.0)
            ended = ended[: fail.size + 1]
        return values.reshape(t.shape)

    @np.errstate(all="ignore")
    def _renewal(self, free: Clocked, function: Any, t: Array, integrated: bool = False) -> Any:
        """sum_n u_n (1-p)^(k-n) function(t - n step), u_n = P(reset at coin n), k = coins before t.

        If ``integrated``, ``function`` is an integral, and each stretch between coins keeps its own
        power of 1-p. A coin's reset is lost work only for arrivals after it (or at it, if the coin
        comes first).
        """
        if np.shape(free.survival(1.0)):
            raise DomainError("free", free, "of scalar parameters for a law under Geometric")
        p, step, t = np.broadcast_arrays(
            self.working_probability, self.step, np.asarray(t, np.float64)
        )
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
            resets = inverse_series(np.concatenate([[1.0], -fail]))
            values = np.empty(int(here.sum()))
            for i, (count, time) in enumerate(zip(coins.astype(int), t[here], strict=True)):
                ages = np.maximum(time - np.arange(count + 1) * spacing, 0.0)
                stretch = np.asarray(function(ages))
                before_it = np.zeros(count + 1)
                if integrated:
                    at_coins = np.asarray(function(np.arange(count + 1) * spacing))
                    stretch = stretch - at_coins[::-1]
                    before_it[1:] = np.cumsum(keep[:count] * np.diff(at_coins))
                values[i] = resets[: count + 1] @ (keep[count::-1] * stretch + before_it[::-1])
            pieces.append((here, values))
        result = np.empty(t.shape)
        for here, values in pieces:
            result[here] = values
        return result

    def waits(self, n: int, generator: np.random.Generator) -> Array:
        """Steps up to and including the first reset, times the step."""
        p = self.working_probability
        shape = (n, *np.broadcast_shapes(p.shape, np.shape(self.step)))
        draws = generator.geometric(np.where(p > 0, p, 1.0), size=shape).astype(np.float64)
        return np.where(p > 0, draws * self.step, np.inf)

    def wins(self, times: Array, waits: Array) -> Any:
        """Before the coin of the reset, or together with it when looking comes first."""
        return times <= waits if self.look_first else times < waits


def inverse_series(series: Array) -> Array:
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
