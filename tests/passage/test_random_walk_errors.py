"""The error that a random walk's passage time states covers the true one, over random problems."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

import resetsgd as rs


def _true_error(log_value: Any, minus: Any, exact: Any) -> Any:
    """Relative error of 1 - G where G is near 1, else of G: what the estimate speaks of."""
    near = np.abs(minus) < 0.5
    return np.where(
        near, np.abs(np.abs(minus) / -np.expm1(exact) - 1.0), np.abs(np.expm1(log_value - exact))
    )


def _exponential_jumps(rng: np.random.Generator) -> tuple[Any, Any]:
    """Two exponential tails: G = (1 - k/b) exp(-kx), (1 + k/a)(1 - k/b) = z, memoryless below."""
    skew, width = 10.0 ** rng.uniform(-0.15, 0.15), 10.0 ** rng.uniform(-1.0, 1.0)
    x, u = width * 10.0 ** rng.uniform(-2.0, 1.5, 20), 10.0 ** rng.uniform(-6.0, 0.7, 2)
    walk = rs.RandomWalk(stats.laplace_asymmetric(skew, 0.0, width))
    found = rs.first_passage(walk, x, 0.0)._generate(u)
    away, rest = 1.0 / skew - skew, -np.expm1(-u)[:, None]
    root = np.sqrt(away * away + 4.0 * rest)
    k = 2.0 * rest / (root - away) if away < 0 else 0.5 * (root + away)
    return found, np.log1p(-k * skew) - k * x / width


def test_the_stated_error_covers_the_true_one() -> None:
    rng = np.random.default_rng(11)
    ratios = []
    for _ in range(6):
        (log_value, minus, stated), exact = _exponential_jumps(rng)
        ratios.append((_true_error(log_value, minus, exact) / stated).ravel())
    ratio = np.concatenate(ratios)
    assert ratio.size >= 200
    assert np.mean(ratio <= 1.0) >= 0.99
    assert not np.mean(1e3 * ratio <= 1.0) >= 0.99  # a twin that states a thousandth
