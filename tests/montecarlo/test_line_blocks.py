"""Blocks of steps without a branch, and replays from the step of an event: neither may show."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numba
import numpy as np
import pytest

import resetsgd as rs
from resetsgd.montecarlo.kernels import line as kernel
from resetsgd.montecarlo.kernels.compiling import settings
from resetsgd.montecarlo.kernels.elementary import fading32
from resetsgd.montecarlo.motions.line import Diffusion

WALK = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
BOWL = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.2, diffusivity=1.0)
WELL = rs.Landscape(drift=lambda x: 4.0 * x * (1.0 - x * x), diffusivity=0.5)
RATED = rs.Landscape(drift=lambda x: -x, diffusivity=1.0, rate=lambda x: 0.5 + x * x)

CASES: dict[str, tuple[Any, float, Any, Any, dict[str, Any]]] = {
    "euler": (WALK, 1.0, 0.0, rs.Poisson(1.0), {"scheme": "euler", "step": 0.0123}),
    "euler, interval": (WALK, 1.0, (0.0, 2.5), None, {"scheme": "euler", "step": 0.0123}),
    "constant, interval": (WALK, 1.0, (0.0, 2.5), rs.Poisson(1.0), {"step": 0.0217}),
    "from below": (BOWL, -1.0, 1.0, rs.Poisson(1.0), {"step": 0.0123}),
    "double well": (WELL, -1.0, 1.0, rs.Poisson(0.2), {"step": 0.0217}),
    "no resets": (BOWL, 1.0, -0.5, None, {"step": 0.0217}),
    "one drift": (BOWL, 1.0, 0.0, rs.Gamma(2.0, 3.0), {"scheme": "bridge", "step": 0.0123}),
    "frequent resets": (BOWL, 1.0, 0.0, rs.Poisson(30.0), {"step": 0.0123}),
    "wall": (WALK, 1.0, 0.0, rs.Poisson(1.0), {"wall": 1.5, "scheme": "bridge", "step": 0.0217}),
    "rate": (RATED, 1.0, -0.5, None, {"step": 0.0123}),
    "overhead": (BOWL, 1.0, 0.0, rs.Poisson(2.0, overhead=0.1), {"step": 0.0123}),
    "cloud": (BOWL, 1.0, 0.0, rs.Poisson(2.0), {"reset_to": [0.5, 1.5], "step": 0.0123}),
}
each_case = pytest.mark.parametrize("name", CASES)


def run(name: str, paths: int = 2000, **options: Any) -> rs.Simulated:
    process, start, target, protocol, given = CASES[name]
    options = {"paths": paths, "seed": 11, "horizon": 30.0, "bias": "ignored", **given, **options}
    return rs.simulate(process, start, target, protocol, **options)


def in_blocks(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the kernel look at the lanes after so many steps."""
    plain = Diffusion.given

    def given(self: Diffusion, *arguments: Any) -> tuple[Any, ...]:
        made = plain(self, *arguments)
        made[1][kernel.CODES.index("block")] = length
        return made

    monkeypatch.setattr(Diffusion, "given", given)


def same(one: rs.Simulated, two: rs.Simulated) -> bool:
    """The same resets and ends, and times up to rounding."""
    return (
        bool((one.resets == two.resets).all())
        and bool((one.censored == two.censored).all())
        and bool(np.allclose(one.times, two.times, rtol=1e-9, atol=0.0))
        and (one.exit_side is None or bool((one.exit_side == two.exit_side).all()))
    )


@each_case
def test_the_length_of_the_blocks_does_not_show(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong step of an event would; so does another seed."""
    if settings.DISABLE_JIT:
        pytest.skip("interpreted, so many paths take an hour")
    found = []
    for length in (4, 8, 16):
        with monkeypatch.context() as patch:
            in_blocks(length, patch)
            found.append(run(name))
    assert same(found[0], found[1])
    assert same(found[0], found[2])
    assert not same(found[0], run(name, seed=12))


@each_case
def test_a_path_alone_is_as_among_others(name: str) -> None:
    whole = run(name, paths=70)
    for path in (0, 3, 69):
        alone = run(name, paths=range(path, path + 1), horizon=1e3)
        if not whole.censored[path]:
            assert alone.times[0] == whole.times[path]
            assert alone.resets[0] == whole.resets[path]


def test_the_fading_exponential() -> None:
    """Four units in the last place to 1, 2e-6 to 86; the twin of a lower order is refused."""
    x = np.concatenate([np.linspace(0.0, 86.0, 3000), np.logspace(-30, 0, 300)]).astype(np.float32)

    def loop(x: Any, out: Any) -> None:
        for i in range(len(x)):
            out[i] = fading32(x[i])

    found = np.empty_like(x)
    (loop if settings.DISABLE_JIT else numba.njit(error_model="numpy")(loop))(x, found)
    with mpmath.workprec(100):
        exact = np.array([float(mpmath.exp(-mpmath.mpf(float(value)))) for value in x])

    def good(values: Any) -> bool:
        off = np.abs(values / exact - 1.0)
        return bool(off[x <= 1.0].max() < 4e-7 and off.max() < 2e-6)

    assert good(found)
    assert not good(found * (1.0 + 5e-7 * (x > 0.5)))
    edges = np.array([0.0, 100.0, 1e30, math.inf], np.float32)
    ends = np.empty_like(edges)
    (loop if settings.DISABLE_JIT else numba.njit(error_model="numpy")(loop))(edges, ends)
    assert ends[0] == 1.0
    assert (ends[1:] < 1e-37).all()
