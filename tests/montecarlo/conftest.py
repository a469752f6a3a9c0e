"""Error budget and independent formulas for the Monte Carlo tests.

Every statistical test here spends ``ALPHA`` = 4.9e-9 of the suite's false-alarm budget: a score is
refused beyond 5.85 standard errors (both sides), a p-value below ``ALPHA``. A mean of n paths
with standard deviation s detects a shift of (5.85 + 2.33) s / sqrt(n) with probability 0.99; for
10^6 paths that is 0.8 % of s. Seeds are fixed, so a test that passes goes on passing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import integrate, special, stats

ALPHA = 4.9e-9


@dataclass(frozen=True)
class Passage:
    """Reset-free passage over a distance L at velocity v toward the target, from textbook formulas.

    Written down here again, naively, so that nothing is shared with the package under test.
    """

    L: float
    v: float
    D: float

    def laplace(self, s: float) -> float:
        return float(np.exp(self.L / (2 * self.D) * (self.v - np.sqrt(self.v**2 + 4 * self.D * s))))

    def survival(self, t: Any) -> Any:
        spread = np.sqrt(2 * self.D * np.asarray(t, float))
        mirrored = np.exp(self.v * self.L / self.D) * special.ndtr((-self.L - self.v * t) / spread)
        return special.ndtr((self.L - self.v * t) / spread) - mirrored

    def restricted(self, tau: float) -> float:
        """E[min(T, tau)], the integral of the survival."""
        scale = self.L**2 / self.D
        inner = [x for x in (0.01 * scale, 0.1 * scale, scale) if x < tau]
        return float(integrate.quad(self.survival, 1e-12 * tau, tau, points=inner, limit=400)[0])

    def poisson(self, rate: float, back: Passage | None = None) -> float:
        if rate == 0:
            return self.L / self.v
        return (1 - self.laplace(rate)) / (rate * (back or self).laplace(rate))

    def sharp(self, period: float) -> float:
        return self.restricted(period) / (1 - float(self.survival(period)))

    def geometric(self, p: float, step: float) -> float:
        """Mean over the number of coins of the mean stretch, over that of the success."""
        coins = np.arange(1, int(40 / p))
        weight = p * (1 - p) ** (coins - 1)
        alive = self.survival(coins * step)
        pieces = [
            integrate.quad(self.survival, max(k - 1, 1e-12) * step, k * step, limit=200)[0]
            for k in coins
        ]
        return float(weight @ np.cumsum(pieces) / (weight @ (1 - alive)))

    def poisson_laplace(self, rate: float, s: float) -> float:
        f = self.laplace(rate + s)
        return (rate + s) * f / (s + rate * f)


@dataclass(frozen=True)
class Budget:
    """Decides at this folder's share of the error budget."""

    alpha: float = ALPHA

    @property
    def limit(self) -> float:
        return float(stats.norm.isf(self.alpha / 2))

    def score(self, sample: Any, expected: float) -> float:
        """How many standard errors the sample's mean lies from what it should be."""
        sample = np.asarray(sample)
        return float((sample.mean() - expected) / (sample.std(ddof=1) / np.sqrt(len(sample))))

    def share(self, mask: Any, expected: float) -> float:
        """The same for a share, with the expected share's binomial error."""
        mask = np.asarray(mask)
        error = np.sqrt(expected * (1 - expected) / len(mask))
        return float((mask.mean() - expected) / error)

    def accepts(self, score: float) -> bool:
        return abs(score) <= self.limit

    def plausible(self, p_value: float) -> bool:
        return p_value >= self.alpha


@pytest.fixture(scope="session")
def budget() -> Budget:
    return Budget()


@pytest.fixture(scope="session")
def passage() -> type[Passage]:
    return Passage
