"""The age of a process under resetting: the law of the time since the last reset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import special

from resetsgd.domain import Array
from resetsgd.passage.inversion import integrate

__all__ = ["Ages", "FixedAge", "LatticeAges", "PoissonAges", "UniformAges"]

_GAUSS_NODES, _GAUSS_WEIGHTS = (np.asarray(a) for a in special.roots_legendre(24))
_DIRECT = 2**12
"""Ages of a lattice that are summed one by one before the sum is taken as an integral."""


class Ages(ABC):
    """The law of a random age A >= 0, possibly ``inf`` where it is never reset."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""

    @abstractmethod
    def expect(self, function: Callable[[Any], Any], marks: Any = None) -> Any:
        """E[function(A)]; ``marks``, along a first axis, are ages at which it is steep."""

    @abstractmethod
    def sample(self, n: int, generator: np.random.Generator) -> Array:
        """Independent ages, shape (n,) + shape."""

    @property
    def never(self) -> Any:
        """Where there is no reset at all: the age is infinite."""
        return np.zeros(self.shape, dtype=bool)

    @property
    def zero(self) -> Any:
        """Probability of age 0, at which the process sits at the reset point itself."""
        return np.zeros(self.shape)

    def mean(self) -> Any:
        """E[A]."""
        return np.where(self.never, np.inf, self.expect(lambda u: u))

    def var(self) -> Any:
        """Var[A]."""
        mean = self.expect(lambda u: u)
        return np.where(self.never, np.inf, self.expect(lambda u: (u - mean) ** 2))

    def fall(self, s: Any) -> Any:
        """1 - E[exp(-sA)], s >= 0."""
        return np.where(self.never, 1.0, self.expect(lambda u: -np.expm1(-s * u)))

    def exposure(self, s: Any) -> Any:
        """E of the integral of exp(-su) over (0, A), s > 0."""
        return self.fall(s) / s

    def spread(self, s: Any) -> Any:
        """Var[exp(-sA)], s >= 0."""
        fall = self.fall(s)
        square = self.expect(lambda u: (-np.expm1(-s * u) - fall) ** 2)
        return np.where(self.never, 0.0, square)


class FixedAge(Ages):
    """One age: the process at a time after its start."""

    def __init__(self, age: Any) -> None:
        self.age = np.asarray(age, dtype=np.float64)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the age."""
        return self.age.shape

    @property
    def zero(self) -> Any:
        """Certain at age 0."""
        return np.where(self.age == 0, 1.0, 0.0)

    def expect(self, function: Callable[[Any], Any], marks: Any = None) -> Any:
        """The function at the age."""
        return function(self.age)

    def sample(self, n: int, generator: np.random.Generator) -> Array:
        """The age, n times."""
        return np.broadcast_to(self.age, (n, *self.shape))


class PoissonAges(Ages):
    """Exponential ages, given that they are below ``limit``."""

    def __init__(self, rate: Any, limit: Any = np.inf) -> None:
        self.rate, self.limit = np.broadcast_arrays(
            np.asarray(rate, np.float64), np.asarray(limit, np.float64)
        )
        self._endless = bool(np.isinf(self.limit).all())

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the rate."""
        return self.rate.shape

    @property
    def never(self) -> Any:
        """Rate zero and no limit."""
        return (self.rate == 0) & np.isinf(self.limit)

    @np.errstate(all="ignore")
    def expect(self, function: Callable[[Any], Any], marks: Any = None) -> Any:
        """By quadrature over r exp(-ru) on (0, limit); arbitrary where there is no reset."""
        rate = np.where(self.never, 1.0, self.rate)
        # in units of 1/r, or of the limit at rate zero, so that nothing overflows
        unit = np.where(rate > 0, 1.0 / rate, self.limit)
        decay = np.where(rate > 0, 1.0, 0.0)
        whole = np.where(rate > 0, rate * self.limit, 1.0)
        height = np.where(rate > 0, 1.0 / -np.expm1(-whole), 1.0)
        shape = np.shape(function(np.zeros(unit.shape)))
        upper = np.broadcast_to(np.minimum(745.0, whole), shape)
        if marks is not None:
            marks = np.clip(np.where(np.isnan(marks / unit), 0.0, marks / unit), 0.0, 1e3)
        value = integrate(
            lambda x: function(x * unit) * (height * np.exp(-decay * x)), upper, marks
        )
        return np.where(upper > 0, value, function(np.zeros(shape)))

    def mean(self) -> Any:
        """1/r."""
        if not self._endless:
            return super().mean()
        with np.errstate(divide="ignore", over="ignore"):
            return 1.0 / self.rate

    def var(self) -> Any:
        """1/r²."""
        if not self._endless:
            return super().var()
        with np.errstate(divide="ignore", over="ignore"):
            return 1.0 / self.rate / self.rate

    def fall(self, s: Any) -> Any:
        """s/(r + s)."""
        return s / (self.rate + s) if self._endless else super().fall(s)

    def exposure(self, s: Any) -> Any:
        """1/(r + s)."""
        return 1.0 / (self.rate + s) if self._endless else super().exposure(s)

    def spread(self, s: Any) -> Any:
        """r/(r + 2s) - r²/(r + s)², without the cancellation."""
        if not self._endless:
            return super().spread(s)
        r = self.rate
        return r / (r + 2.0 * s) * (s / (r + s)) ** 2

    def sample(self, n: int, generator: np.random.Generator) -> Array:
        """By inversion: -log(1 - u (1 - exp(-r limit)))/r."""
        u = generator.random((n, *self.shape))
        with np.errstate(all="ignore"):
            draws = -np.log1p(u * np.expm1(-self.rate * self.limit)) / self.rate
        spread = np.where(np.isinf(self.limit), np.inf, u * self.limit)
        return np.where(self.rate > 0, draws, spread)


class UniformAges(Ages):
    """Ages uniform on (0, period): sharp resetting, seen at a random time."""

    def __init__(self, period: Any) -> None:
        self.period = np.asarray(period, dtype=np.float64)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the period."""
        return self.period.shape

    @property
    def never(self) -> Any:
        """An infinite period."""
        return np.isinf(self.period)

    @np.errstate(all="ignore")
    def expect(self, function: Callable[[Any], Any], marks: Any = None) -> Any:
        """By quadrature over (0, period)."""
        period = np.where(self.never, 1.0, self.period)
        upper = np.broadcast_to(period, np.shape(function(period)))
        return integrate(function, upper, marks) / period

    def mean(self) -> Any:
        """period/2."""
        return 0.5 * self.period

    def var(self) -> Any:
        """period²/12."""
        return self.period / 12.0 * self.period

    def sample(self, n: int, generator: np.random.Generator) -> Array:
        """Uniform draws."""
        return generator.random((n, *self.shape)) * self.period


class LatticeAges(Ages):
    """Ages k step, k = first, first + 1, ..., with probability p (1-p)^(k - first)."""

    def __init__(self, probability: Any, step: Any, first: int, limit: Any = np.inf) -> None:
        self.p, self.step = np.broadcast_arrays(
            np.asarray(probability, np.float64), np.asarray(step, np.float64)
        )
        self.first, self.limit = first, limit

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the probability."""
        return self.p.shape

    @property
    def never(self) -> Any:
        """Probability zero and no limit."""
        return (self.p == 0) & np.isinf(self.limit)

    @property
    def zero(self) -> Any:
        """p, if the look comes after the coin."""
        if self.first:
            return np.zeros(self.shape)
        return self._share(np.zeros(self.shape)) if self.limit > 0 else np.zeros(self.shape)

    def _share(self, k: Any) -> Any:
        """Probability of k coins since the first age, given fewer than ``limit``."""
        p = np.where(self.never, 1.0, self.p)
        with np.errstate(all="ignore"):
            log_keep = np.log1p(-p)
            total = np.where(np.isinf(self.limit), 1.0, -np.expm1(self.limit * log_keep))
            share = np.where(k > 0, np.exp(k * log_keep), 1.0) * p / total
        return np.where(p > 0, share, 1.0 / self.limit)

    def expect(self, function: Callable[[Any], Any], marks: Any = None) -> Any:
        """Sum over ages: the first 4096 one by one, the rest by Euler and Maclaurin.

        From K on the sum of F(k) is the integral of F from K - 1/2 plus F'(K - 1/2)/24, to order
        K^-3: 1e-11 for a function that varies over the age itself, or over many steps at the marks.
        """
        smallest = float(np.min(np.where(self.p > 0, self.p, 1.0), initial=1.0))
        last = min(float(self.limit), np.ceil(50.0 / smallest))
        direct = int(min(last, _DIRECT))
        shape = np.shape(function(self.step))

        def terms(k: Any) -> Any:
            return self._share(k) * function((k + self.first) * self.step)

        total: Any = 0.0
        for block in np.array_split(np.arange(float(direct)), max(1, direct // 512)):
            total = total + np.sum(terms(block.reshape(-1, *(1,) * len(shape))), axis=0)
        if last == direct:
            return total
        total = total + (terms(np.array(float(direct))) - terms(np.array(direct - 1.0))) / 24.0
        if last == self.limit:  # the same correction, with the other sign, at a sharp end
            total = total - (terms(np.array(last)) - terms(np.array(last - 1.0))) / 24.0
        count = int(np.ceil(np.log2(last / direct)))
        edges = np.minimum((direct - 0.5) * np.exp2(np.arange(count + 1.0)), last - 0.5)
        edges = np.append(edges, last - 0.5).reshape(-1, *(1,) * len(shape)) * np.ones(shape)
        if marks is not None:
            extra = np.broadcast_to(marks, (len(marks), *shape)) / self.step - self.first
            extra = np.clip(extra, edges[0], edges[-1])
            edges = np.sort(np.concatenate([edges, extra]), axis=0)
        nodes, weights = (a.reshape(-1, *(1,) * len(shape)) for a in (_GAUSS_NODES, _GAUSS_WEIGHTS))
        for low, high in pairwise(edges):
            if np.all(high <= low):
                continue
            half = 0.5 * (high - low)
            total = total + half * np.sum(weights * terms(low + half * (1.0 + nodes)), axis=0)
        return total

    def mean(self) -> Any:
        """step (first + (1-p)/p)."""
        if np.isfinite(self.limit):
            return super().mean()
        with np.errstate(divide="ignore", over="ignore"):
            return self.step * (self.first + (1.0 - self.p) / self.p)

    def var(self) -> Any:
        """step² (1-p)/p²."""
        if np.isfinite(self.limit):
            return super().var()
        with np.errstate(divide="ignore", over="ignore"):
            return (1.0 - self.p) * (self.step / self.p) ** 2

    def fall(self, s: Any) -> Any:
        """1 - p e^(-s first step) / (1 - (1-p) e^(-s step)), without the cancellation."""
        if np.isfinite(self.limit):
            return super().fall(s)
        p, fall = self.p, -np.expm1(-s * self.step)
        below = p + (1.0 - p) * fall  # 1 - (1-p) exp(-s step)
        return np.where(self.never, 1.0, (fall if self.first else (1.0 - p) * fall) / below)

    def sample(self, n: int, generator: np.random.Generator) -> Array:
        """By inversion of the number of coins since the last reset."""
        u = generator.random((n, *self.shape))
        with np.errstate(all="ignore"):
            log_keep = np.log1p(-self.p)
            ahead = np.floor(np.log1p(u * np.expm1(self.limit * log_keep)) / log_keep)
            ahead = np.where(self.p > 0, ahead, np.floor(u * self.limit))
            ahead = np.where(self.p == 1, 0.0, ahead)
        ages: Array = (np.minimum(ahead, self.limit - 1.0) + self.first) * self.step
        return ages
