"""Elementary functions as accurate as their table says, and right at the ends of their ranges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numba
import numpy as np
import pytest

from resetsgd.montecarlo.kernels import elementary
from resetsgd.montecarlo.kernels.compiling import settings


def over(function: Any) -> Callable[[Any], Any]:
    """The function of arrays."""
    if settings.DISABLE_JIT:
        return np.vectorize(function, otypes=[np.float64])

    @numba.njit(error_model="numpy")
    def loop(x: Any, out: Any) -> None:
        for i in range(len(x)):
            out[i] = function(x[i])

    def call(x: Any) -> Any:
        out = np.empty_like(x)
        loop(x, out)
        return out

    return call


def places(*spans: tuple[float, float], seed: int, logs: tuple[float, float] | None = None) -> Any:
    generator = np.random.default_rng(seed)
    parts = [generator.uniform(low, high, 1500) for low, high in spans]
    if logs is not None:
        parts.append(10.0 ** generator.uniform(*logs, 1500))
    return np.concatenate(parts)


QUARTERS = np.arange(1, 400) * (np.pi / 2)
TABLE = [  # name, where, largest error in ulp
    ("exp", places((-708, 709), (-1, 1), seed=1), 1.0),
    ("expm1", places((-50, 709), (-1, 1), seed=2, logs=(-15, 0)), 2.0),
    ("log", np.append(places((0.5, 2.0), seed=3, logs=(-307, 308)), 1 + 1e-12), 1.0),
    ("sin", np.append(places((-1e5, 1e5), (-4, 4), seed=4), QUARTERS), 2.0),
    ("cos", np.append(places((-1e5, 1e5), (-4, 4), seed=5), QUARTERS), 2.0),
    ("tanh", places((-20, 20), (-1, 1), seed=6, logs=(-15, 0)), 3.0),
    ("exp32", places((-85.9, 88), (-1, 1), seed=7), 2.0),
    ("log32", places((0.5, 2.0), seed=8, logs=(-37, 38)), 2.0),
    ("sin32", places((-1e3, 1e3), (-4, 4), seed=9), 3.0),
    ("cos32", places((-1e3, 1e3), (-4, 4), seed=10), 3.0),
    ("tanh32", places((-9, 9), (-1, 1), seed=11), 4.0),
]


def worst(values: Any, x: Any, exact: Any) -> float:
    """Largest error in units in the last place of the result's type."""
    found = 0.0
    with mpmath.workprec(200):
        for value, place in zip(values, x, strict=True):
            true = exact(mpmath.mpf(float(place)))
            unit = float(np.spacing(x.dtype.type(abs(float(true)))))
            found = max(found, float(abs(mpmath.mpf(float(value)) - true)) / unit)
    return found


@pytest.mark.parametrize(("name", "where", "bound"), TABLE, ids=[row[0] for row in TABLE])
def test_errors_are_as_small_as_the_table_says(name: str, where: Any, bound: float) -> None:
    """And a function that is wrong by four units is refused."""
    single = name.endswith("32")
    x = where.astype(np.float32 if single else np.float64)
    exact = getattr(mpmath, name.removesuffix("32"))
    values = over(getattr(elementary, name))(x)
    assert worst(values, x, exact) <= bound
    wrong = (values * (1 + 4 * np.finfo(x.dtype).eps)).astype(x.dtype)
    assert not worst(wrong, x, exact) <= bound


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "sin", "cos", "tanh"])
def test_special_values(name: str) -> None:
    ours, numpys = over(getattr(elementary, name)), getattr(np, name)
    ends = np.array([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, -1e300])
    if name in ("sin", "cos"):
        ends = ends[:5]
    with np.errstate(all="ignore"):
        assert ours(ends) == pytest.approx(numpys(ends), rel=1e-15, nan_ok=True)


def test_large_arguments_lose_digits_as_documented() -> None:
    x = np.array([1e6, 1e8, 1e10])
    for name in ("sin", "cos"):
        error = np.abs(over(getattr(elementary, name))(x) - getattr(np, name)(x))
        assert (error <= 3e-16 * x / 1e5).all()


@pytest.mark.parametrize("name", ["exp", "sin", "cos", "tanh"])
def test_the_cheap_ones_are_good_to_single_precision(name: str) -> None:
    """To 3e-7, over a range where float32 arguments would fail; the twin has such arguments."""
    x = places((-50, 50), (-1, 1), seed=20, logs=(2, 2.8) if name == "exp" else (2, 5))
    exact = getattr(np, name)(x)
    scale = np.abs(exact) if name in ("exp", "tanh") else 1.0
    found = over(getattr(elementary, f"{name}_single"))
    assert (np.abs(found(x) - exact) <= 3e-7 * scale).all()
    rounded = found(x.astype(np.float32).astype(np.float64))
    assert name == "tanh" or not (np.abs(rounded - exact) <= 3e-7 * scale).all()
    assert np.isnan(found(np.array([math.nan]))).all()
