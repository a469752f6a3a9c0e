"""Users' functions: compiled, blamed by name, place and time, interrupted, bounded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import special

import resetsgd as rs
from resetsgd.montecarlo.functions import compiled

SCALE = 0.5


def helper(x: float) -> float:
    return math.exp(-x * x)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: 4 * x * (1 - x**2), lambda x: 4 * x * (1 - x**2)),
        (lambda x: math.sin(x) + np.exp(x), lambda x: np.sin(x) + np.exp(x)),
        (lambda x: SCALE * helper(x), lambda x: 0.5 * np.exp(-x * x)),
        (lambda x: -1 if x > 0 else 1, lambda x: np.where(x > 0, -1.0, 1.0)),
        (lambda x: np.tanh(np.log(1 + x * x)), lambda x: np.tanh(np.log(1 + x * x))),
    ],
)
def test_functions_are_what_they_are_in_python(function: Any, expected: Any) -> None:
    x = np.linspace(-2, 2, 101)
    assert compiled("drift", function)(x) == pytest.approx(expected(x), rel=1e-14, abs=1e-15)
    slope = -np.gradient(expected(np.linspace(-2, 2, 100_001)), 4e-5)[::1000]
    if "if" not in str(function) and np.abs(np.diff(expected(x))).max() < 1.0:
        downhill = compiled("potential", function, kind="downhill")(x)
        assert downhill[1:-1] == pytest.approx(slope[1:-1], abs=1e-6)


def test_derivatives_are_good_to_nine_digits() -> None:
    x = np.linspace(-2, 2, 101)
    found = compiled("potential", lambda x: (x * x - 1) ** 2, kind="downhill")(x)
    assert found == pytest.approx(-4 * x * (x * x - 1), abs=5e-9)
    spread, bend = compiled("diffusivity", lambda x: 1 + x * x, kind="spread")(x, rows=2)
    assert spread == pytest.approx(np.sqrt(2 + 2 * x * x), rel=1e-14)
    assert bend == pytest.approx(2 * x, abs=5e-9)


def test_a_changed_global_closure_or_array_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code is remembered by what the function reads, not by its identity alone."""
    x = np.ones(1)

    def by_global(y: float) -> float:
        return SCALE * helper(0.0 * y)

    assert compiled("drift", by_global)(x) == 0.5
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    assert compiled("drift", by_global)(x) == 2.0
    monkeypatch.setitem(globals(), "helper", lambda y: 3.0)
    assert compiled("drift", by_global)(x) == 6.0

    factor, table = 1.5, np.array([1.0, 4.0])

    def by_closure(y: float) -> float:
        return factor * float(table[1]) * y

    assert compiled("drift", by_closure)(x) == 6.0
    first = compiled("drift", by_closure)
    assert compiled("drift", by_closure).owner is first.owner  # nothing changed: not again
    factor = 2.5
    assert compiled("drift", by_closure)(x) == 10.0
    table[1] = 2.0
    assert compiled("drift", by_closure)(x) == 5.0


@pytest.mark.parametrize(
    ("options", "name", "words"),
    [
        ({"drift": lambda x: "no"}, "drift", "raises"),
        ({"drift": lambda x, y: x}, "drift", "raises"),
        ({"drift": lambda x: math.nan}, "drift", "finite there"),
        ({"drift": lambda x: -special.erf(x)}, "drift", "numba can compile"),
        ({"potential": lambda x: float(np.linalg.norm([x]))}, "potential", "numba can compile"),
        ({"potential": lambda x: x, "diffusivity": lambda x: -1.0}, "diffusivity", "positive"),
    ],
)
def test_functions_that_will_not_do_are_named(options: Any, name: str, words: str) -> None:
    with pytest.raises(rs.DomainError, match=words) as caught:
        rs.simulate(rs.Landscape(**options), 1.0, 0.0, rs.Poisson(1.0), paths=10)
    assert caught.value.argument == name
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_what_is_not_finite_is_reported_with_path_time_and_position(
    threads: int, wrong: float
) -> None:
    """A drift that fails only where the search does not look in advance, far out."""
    process = rs.Landscape(drift=lambda x: wrong if x > 9.0 else 0.0)
    with pytest.raises(rs.DomainError, match=r"at path \d+, time [\d.]+, position [89]"):
        rs.simulate(process, 1.0, 0.0, rs.Poisson(0.01), paths=10_000, threads=threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_returns_what_is_finished(threads: int) -> None:
    def progress(done: int, total: int) -> None:
        if done > 1000:
            raise KeyboardInterrupt

    bowl = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=0.5)
    S = rs.simulate(bowl, 1.0, -0.5, paths=10**7, step=1e-3, threads=threads, progress=progress)
    assert S.info["interrupted"]
    assert 1000 < (~S.censored).sum() < 10**7
    assert 0 < S.censored.sum() <= 64 * threads
    assert S.times.size == S.info["paths"]
    whole = rs.simulate(bowl, 1.0, -0.5, paths=500, step=1e-3, threads=1)
    early = ~S.censored[:500]
    assert (S.times[:500][early] == whole.times[early]).all()


def test_the_bound_from_halving_holds_and_can_see_a_bias() -> None:
    """Plain Euler at a hundredth: 17 % too long; the bound knows, and the default needs none."""
    walk, protocol = rs.DriftDiffusion(drift=0.0, diffusivity=1.0), rs.Poisson(2.5)
    exact = rs.first_passage(walk, 1.0, 0.0).under(protocol).mean()
    options: Any = {"paths": 100_000, "bias": "halving"}
    S = rs.simulate(walk, 1.0, 0.0, protocol, scheme="euler", step=0.01, **options)
    assert S.bias_bound is not None
    assert (S.mean() - exact) / exact > 0.1
    assert 0.5 * (S.mean() - exact) < S.bias_bound < 2.0 * (S.mean() - exact)
    exactly = rs.simulate(walk, 1.0, 0.0, protocol, scheme="exact", **options)
    assert exactly.bias_bound == 0.0
    assert rs.simulate(walk, 1.0, 0.0, protocol, paths=10).bias_bound is None


def test_info_names_the_deterministic_route() -> None:
    walk = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
    S = rs.simulate(walk, 1.0, 0.0, rs.Poisson(1.0), paths=10)
    assert (
        S.info["deterministic"] == "resetsgd.first_passage(process, start, target).under(protocol)"
    )
    S = rs.simulate(walk, 1.0, 0.0, rs.Poisson(1.0), reset_to=[1.0, 2.0], paths=10)
    assert S.info["deterministic"] is None
