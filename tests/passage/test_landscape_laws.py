"""Laws of passage times in landscapes, their inversion, and what they do with odd input."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import integrate, special

import resetsgd as rs
from resetsgd.errors import DomainError, ResetSGDError
from resetsgd.passage.contour import invert_windows

RATES = np.geomspace(1e-20, 1e8, 60)


def worst(got: Any, expected: Any) -> float:
    return float(np.max(np.abs(np.asarray(got) / np.asarray(expected) - 1.0)))


# Laws ------------------------------------------------------------------------------------------


def test_times_and_samples_agree_with_the_transform() -> None:
    well = rs.Landscape(lambda x: (x**2 - 1) ** 2, diffusivity=0.4)
    T = rs.first_passage(well, [-1.0, -0.3], 1.0)
    t = np.geomspace(1e-3, 1e3, 200)[:, None]
    S, f = T.survival(t), T.density(t)
    assert np.all(np.diff(S, axis=0) <= 1e-13)
    assert np.abs(S + T._cdf(t) - 1).max() < 1e-12
    area = integrate.simpson(f * t, x=np.log(t), axis=0)
    assert np.abs(area - (S[0] - S[-1])).max() < 2e-6
    assert np.abs(T.survival(T.quantile(0.3)) - 0.7).max() < 1e-11
    x = T.sample(200, seed=1)
    assert x.shape == (200, 2)
    assert np.array_equal(x, T.sample(200, seed=1))


@pytest.mark.statistical(alpha=1e-9)
def test_samples_have_the_law() -> None:
    """Kolmogorov–Smirnov, 20,000 draws: sees shifts of the probability by 3 %."""
    well = rs.Landscape(lambda x: (x**2 - 1) ** 2, diffusivity=0.4)
    T = rs.first_passage(well, -1.0, 1.0)
    x = np.sort(T.sample(20_000, seed=2))
    bound = math.sqrt(-math.log(1e-9 / 2) / 2 / len(x))
    ranks = np.arange(1, len(x) + 1) / len(x)
    t = x[::40]
    assert np.abs(T._cdf(t) - ranks[::40]).max() < bound
    wrong = rs.first_passage(rs.Landscape(lambda x: (x**2 - 1) ** 2, diffusivity=0.45), -1.0, 1.0)
    assert np.abs(wrong._cdf(t) - ranks[::40]).max() > bound


def test_under_protocols() -> None:
    T = rs.first_passage(rs.Landscape(lambda x: 0.5 * x), 1.0, 0.0)
    exact = rs.first_passage(rs.DriftDiffusion(-0.5, 1.0), 1.0, 0.0)
    for protocol in (rs.Poisson(0.7), rs.Sharp(2.0), rs.Geometric(0.1, step=0.2)):
        R, E = T.under(protocol), exact.under(protocol)
        assert worst(R.mean(), E.mean()) < 1e-10
        assert worst(R.var(), E.var()) < 1e-9
    assert worst(T.best(rs.Poisson).rate, exact.best(rs.Poisson).rate) < 1e-9
    assert worst(T.slope_exponential(RATES[20:40]), exact.slope_exponential(RATES[20:40])) < 1e-9


def test_contour_of_windows() -> None:
    t = np.geomspace(1e-9, 1e9, 300)
    for rate in (0.0, 1e-3, 1.0, 1e3):
        values = invert_windows(lambda s, r=rate: (1 / (s + r))[:, None], t, np.zeros(300, int))
        assert np.abs(values - np.exp(-rate * t)).max() < 2e-14
    values = invert_windows(
        lambda s: (-np.expm1(-np.sqrt(s)) / s)[:, None], t, np.zeros(300, dtype=int)
    )
    assert np.abs(values - special.erf(0.5 / np.sqrt(t))).max() < 2e-14


# Input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        rs.Landscape,
        lambda: rs.Landscape(np.cos, drift=np.sin),
        lambda: rs.Landscape(3.0),
        lambda: rs.Landscape(np.cos, -1.0),
        lambda: rs.Landscape(np.cos, noise="skorokhod"),
        lambda: rs.Landscape(np.cos, domain=(1.0, 0.0)),
        lambda: rs.Landscape(np.cos, ends=("open", "reflecting")),
        lambda: rs.Landscape(np.cos, reset_to=1.0),
        lambda: rs.Landscape(np.cos, rate=-1.0),
        lambda: rs.first_passage(rs.Landscape(np.cos, domain=(0, 1)), 2.0, 0.5),
        lambda: rs.first_passage(rs.Landscape(np.cos, domain=(0, 1)), 0.5, 0.5),
        lambda: rs.first_passage(rs.Landscape(lambda x: "no"), 0.5, 0.7),
        lambda: rs.first_passage(rs.Landscape(lambda x: np.nan * x), 0.5, 0.7),
        lambda: rs.first_passage(rs.Landscape(np.cos, lambda x: x), -0.5, 0.7),
        lambda: rs.first_passage(rs.Landscape(np.cos, rate=np.sin, domain=(-1, 1)), -0.5, 0.7),
        lambda: rs.first_passage(rs.Landscape(np.cos, rate=1.0, reset_to=2.0), -0.5, 0.7),
    ],
)
def test_wrong_input_is_named(make: Callable[[], Any]) -> None:
    with pytest.raises(DomainError):
        make()


def test_every_call_ends() -> None:
    """Extreme numbers: a value that is not NaN or an error of ours, within five seconds."""
    numbers = [5e-324, 1e-300, 1e-20, 1.0, 1e9, 1e200, 1.7e308]
    draw = np.random.default_rng(1)
    for _ in range(40):
        slope, D, gap, rate = draw.choice(numbers, 4)
        start = float(draw.choice([0.0, 1.0, -1e9]))
        power = int(draw.choice([1, 2, 4]))
        began = time.perf_counter()
        try:
            T = rs.first_passage(
                rs.Landscape(lambda x, c=slope, n=power: c * x**n, D), start, start + gap
            )
            values = [T.mean(), T.var(), T.cv(), T.log_laplace(rate), T.survival(rate)]
            values += [T.density(rate), T.under(rs.Poisson(rate)).mean(), T.error]
            assert not np.isnan(values).any(), (slope, D, gap, rate, start, power, values)
        except (ResetSGDError, OverflowError):
            pass
        assert time.perf_counter() - began < 5.0, (slope, D, gap, rate, start, power)


def test_numba_is_loaded_on_first_use_only() -> None:
    code = (
        "import sys, resetsgd as rs; rs.Landscape(lambda x: x);"
        "assert 'numba' not in sys.modules;"
        "rs.first_passage(rs.Landscape(lambda x: x), 1.0, 0.0); assert 'numba' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
