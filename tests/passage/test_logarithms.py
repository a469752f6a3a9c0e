"""Logarithms of sums, at random points against mpmath and at the ends of float64."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from numpy.polynomial import polynomial

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.passage.arrangements import horner, log1p, log_sum, log_total, softplus
from resetsgd.protocols.base import WIDE_STEP, imaginary_slope

EPS = float(np.finfo(np.float64).eps)


def spread(low: float, high: float, count: int = 400, seed: int = 0) -> np.ndarray:
    """Complex numbers of every phase, over decades of size."""
    generator = np.random.default_rng(seed)
    size, phase = 10.0 ** generator.uniform(low, high, count), generator.uniform(-1, 1, count)
    return size * np.exp(1j * np.pi * phase)


def exact(function, z: np.ndarray) -> list:
    with mpmath.workdps(60):
        return [function(mpmath.mpc(x.real, x.imag)) for x in z]


def errors(found: np.ndarray, wanted: list) -> np.ndarray:
    with mpmath.workdps(60):
        pairs = zip(found, wanted, strict=True)
        return np.array([float(abs(mpmath.mpc(x.real, x.imag) - y) / abs(y)) for x, y in pairs])


def test_log1p_of_complex_numbers():
    z = np.concatenate([spread(-18, 8), -1.0 + spread(-12, 0, seed=1)])
    wanted = exact(lambda x: mpmath.log(1 + x), z)
    assert errors(log1p(z), wanted).max() < 4 * EPS
    # the plain logarithm loses small arguments
    assert errors(np.log(1.0 + z[:400]), wanted[:400]).max() > 1e-3
    assert log1p(0.5) == np.log1p(0.5)
    assert log1p(np.complex128(1e300)).real == pytest.approx(300 * np.log(10.0), rel=EPS)


def test_softplus():
    w = spread(-3, 1.5)
    assert errors(np.exp(softplus(w)), exact(lambda x: 1 + mpmath.exp(x), w)).max() < 200 * EPS
    assert np.array_equal(softplus(np.array([-800.0, 0.0, 800.0])), [0.0, np.log(2.0), 800.0])


def test_log_sum_and_log_total_agree_and_outlive_the_exponentials():
    a, b = 700.0 * spread(-2, 0).real, 700.0 * spread(-2, 0, seed=2).real
    assert np.allclose(log_sum(a, b), log_total(np.stack([a, b])), rtol=2 * EPS, atol=2 * EPS)
    assert log_sum(900.0, 900.0) == pytest.approx(900.0 + np.log(2.0), rel=EPS)
    assert log_sum(-np.inf, -np.inf) == log_total(np.full(3, -np.inf)) == -np.inf
    assert log_total(np.array([np.inf, 0.0])) == np.inf
    shares = np.array([0.25, 0.75])
    far = log_total(np.array([[-2000.0, -2001.0]]), shares, axis=-1)
    assert far[0] == pytest.approx(-2000.0 + np.log(0.25 + 0.75 / np.e), rel=2 * EPS)


def test_horner():
    x, rising = spread(-2, 0), np.array([1.0, -2.0, 0.5, 3.0])
    assert np.allclose(horner(x, rising), polynomial.polyval(x, rising), rtol=8 * EPS)
    assert horner(2.0, [3.0]) == 3.0


def test_imaginary_slope_is_of_fourth_order():
    wide, half = (abs(imaginary_slope(np.exp, h) - 1.0) for h in (0.2, 0.1))
    assert 15.0 < wide / half < 17.0
    assert abs(imaginary_slope(np.exp, WIDE_STEP) - 1.0) < 1e-12


def test_gap():
    assert domain.gap(3.0, 1.0) == 2.0
    assert np.array_equal(domain.gap(np.array([3.0, 0.0]), 1.0), [2.0, -1.0])
    for start, target in ((1.0, 1.0), (np.array([1.0, 2.0]), 2.0), (1e308, -1e308)):
        with pytest.raises(DomainError, match="start"):
            domain.gap(start, target)
