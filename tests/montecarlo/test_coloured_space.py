"""Noise that lasts, in many dimensions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs

ALPHA = 1e-10
LIMIT = float(stats.norm.isf(ALPHA / 2))
TAU = 0.5


def bowl(tau: float | None = TAU, diffusivity: Any = 1.0) -> rs.Langevin:
    return rs.Langevin(
        gradient=lambda x: (x[0], 3.0 * x[1]), dimension=2, diffusivity=diffusivity,
        correlation_time=tau,
    )  # fmt: skip


def agrees(sample: Any, expected: float) -> bool:
    sample = np.ravel(sample)
    return bool(
        abs(sample.mean() - expected) <= LIMIT * sample.std(ddof=1) / math.sqrt(sample.size)
    )


@pytest.mark.statistical(alpha=3 * ALPHA)
def test_the_stationary_covariance() -> None:
    """E x_i x_j = C_ij (2 + (k_i + k_j) t) / ((k_i + k_j) (1 + k_i t) (1 + k_j t)).

    Detects 4 %. Twins: white noise, and noise that does not know it is correlated.
    """
    C = np.array([[1.0, 0.5], [0.5, 2.0]])
    seen = rs.sample_stationary(bowl(diffusivity=C), None, [0.0, 0.0], after=10.0, paths=60_000)
    white = rs.sample_stationary(
        bowl(None, diffusivity=C), None, [0.0, 0.0], after=10.0, paths=60_000
    )
    assert seen.positions is not None and white.positions is not None
    k = (1.0, 3.0)
    for i, j in ((0, 0), (1, 1), (0, 1)):
        s = k[i] + k[j]
        exact = C[i, j] * (2 + s * TAU) / (s * (1 + k[i] * TAU) * (1 + k[j] * TAU))
        products = seen.positions[:, 0, i] * seen.positions[:, 0, j]
        assert agrees(products, exact)
        assert not agrees(white.positions[:, 0, i] * white.positions[:, 0, j], exact)
        assert not agrees(products, 0.0)


@pytest.mark.statistical(alpha=2 * ALPHA)
def test_resets_draw_it_anew() -> None:
    """Free motion under resets at rate r to 0: E x² = 2 D / (r (1 + r t)). Twin: white noise."""
    free = rs.Langevin(drift=lambda x: (0.0, 0.0), dimension=2, correlation_time=TAU)
    seen = rs.sample_stationary(
        free, rs.Poisson(2.0), [0.0, 0.0], after=15.0, paths=60_000, step=0.02
    )
    assert seen.positions is not None
    for axis in (0, 1):
        squares = seen.positions[:, 0, axis] ** 2
        assert agrees(squares, 2.0 / (2.0 * (1.0 + 2.0 * TAU)))
        assert not agrees(squares, 1.0)


@pytest.mark.statistical(alpha=2 * ALPHA)
def test_passages_are_those_on_a_line() -> None:
    """To a half plane, under resets, as the one-dimensional kernel; detects 3 %. Twin: white."""
    line = rs.ColouredNoise(drift=lambda x: -x, correlation_time=TAU)
    L = rs.simulate(line, 1.5, 0.5, rs.Poisson(1.0), paths=60_000, seed=1)
    target = rs.targets.half_space(0, 0.5, above=False)
    S, W = (
        rs.simulate(bowl(tau), [1.5, 0.0], target, rs.Poisson(1.0), paths=60_000, seed=2, step=0.02)
        for tau in (TAU, None)
    )

    def same(other: Any) -> bool:
        found: Any = stats.ks_2samp(other.times, L.times)
        return bool(found.pvalue >= ALPHA)

    assert same(S)
    gap: Any = S.mean() - L.mean()
    assert abs(gap) <= LIMIT * math.hypot(S.stderr(), L.stderr())
    assert not same(W)


def test_threads_and_recording_do_not_show() -> None:
    options: dict[str, Any] = {"paths": 300, "seed": 3}
    target = rs.targets.ball([0.0, 0.0], 0.5)
    one, two = (
        rs.simulate(bowl(), [2.0, 1.0], target, rs.Poisson(1.0), threads=threads, **options)
        for threads in (1, 2)
    )
    R = rs.simulate(
        bowl(), [2.0, 1.0], target, rs.Poisson(1.0), record=rs.Record(0.1, 20), **options
    )
    assert (one.times == two.times).all() and (one.times == R.times).all()
    assert R.record is not None and (R.record.end_times == R.times[:20]).all()
    assert bowl().kind == "coloured" and one.info["scheme"] == "heun"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"correlation_time": 0.0}, "correlation_time"),
        ({"correlation_time": 1.0, "friction": 1.0}, "friction"),
        ({"correlation_time": 1.0, "diffusivity": lambda x: 1.0}, "diffusivity"),
    ],
)
def test_what_is_refused(options: dict[str, Any], name: str) -> None:
    with pytest.raises(rs.DomainError, match=f"^{name} "):
        rs.Langevin(drift=lambda x: (-x[0],), **options)
