"""Kernels run by the interpreter give what compiled ones give: every motion, clock and option."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from typing import Any

import pytest

CHILD = """
import json, sys
import numpy as np
from scipy import stats
import resetsgd as rs

walk = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
away = rs.DriftDiffusion(drift=0.5, diffusivity=1.0)
bowl = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.2, diffusivity=1.0)
trap = rs.LinearTrap(slope=1.0, diffusivity=1.0)
ball = rs.Bessel(dimension=3.0, diffusivity=1.0)
tumble = rs.Telegraph(speed=1.0, flip_rate=1.0)
jumps = rs.RandomWalk(jump=stats.norm(-0.2, 1.0))
wide = rs.RandomWalk(jump=stats.laplace(-0.1, 0.5), contraction=0.9)
steps = rs.QuadraticSGD(hessian=1.0, noise_covariance=1.0, learning_rate=0.1, momentum=0.5)
well = rs.Landscape(drift=lambda x: 4.0 * x * (1.0 - x * x), diffusivity=0.5)
hill = rs.Landscape(potential=lambda x: 0.5 * x * x, diffusivity=0.5)
rated = rs.Landscape(drift=lambda x: -x, diffusivity=1.0, rate=lambda x: 0.5 + x * x)
warm = rs.Landscape(drift=lambda x: -x, diffusivity=lambda x: 0.5 + 0.1 * x * x)
often, coin = rs.Poisson(1.3), rs.Geometric(probability=0.2)
small = {"step": 0.0517}
CASES = {
    "bridge": (walk, 1.0, 0.0, often, {}),
    "long steps": (away, 1.0, 0.0, rs.Sharp(0.73), {"step": 0.3}),
    "exact": (walk, 1.0, 0.0, often, {"scheme": "exact"}),
    "exact, away": (away, 1.0, 0.0, rs.Sharp(0.73), {"scheme": "exact"}),
    "euler": (walk, 1.0, 0.0, often, {"scheme": "euler", **small}),
    "euler, interval": (walk, 1.0, (0.0, 2.0), often, {"scheme": "euler", **small}),
    "interval": (walk, 1.0, (0.0, 2.0), often, small),
    "wall": (away, 1.0, 0.0, often, {"wall": 1.4, **small}),
    "heun": (bowl, 1.0, 0.0, often, small),
    "heun, interval": (bowl, 1.0, (0.0, 2.0), often, small),
    "heun, from below": (bowl, -1.0, 1.0, often, small),
    "heun, wall": (bowl, 1.0, 0.0, often, {"wall": 1.4, **small}),
    "one drift": (bowl, 1.0, 0.0, often, {"scheme": "bridge", **small}),
    "trap": (trap, 1.0, -0.5, often, {"scheme": "heun", **small}),
    "sphere": (ball, 2.0, 1.0, often, {"scheme": "heun", **small}),
    "run and tumble": (tumble, 1.0, 0.0, often, {}),
    "run and tumble, interval": (tumble, 1.0, (0.0, 2.0), rs.Sharp(1.7), {}),
    "jumps": (jumps, 1.0, 0.0, coin, {}),
    "jumps from a table": (wide, 1.0, (-1.0, 3.0), coin, {}),
    "steps of SGD": (steps, 1.0, 0.0, coin, {}),
    "user's drift": (well, -1.0, 0.0, often, small),
    "user's potential": (hill, 1.0, -0.5, often, small),
    "user's rate": (rated, 1.0, -0.5, None, small),
    "user's diffusivity": (warm, 1.0, -0.5, often, small),
    "milstein": (warm, 1.0, -0.5, often, {"scheme": "milstein", **small}),
    "gamma": (walk, 1.0, 0.0, rs.Gamma(2.0, 3.0), {}),
    "weibull": (walk, 1.0, 0.0, rs.Weibull(0.8, 1.5), {}),
    "uniform": (walk, 1.0, 0.0, rs.Uniform(0.2, 0.9), {}),
    "pareto": (walk, 1.0, 0.0, rs.Pareto(2.5, 0.3), {}),
    "any law": (walk, 1.0, 0.0, rs.Waiting(stats.lognorm(0.5)), {}),
    "schedule": (walk, 1.0, 0.0, rs.Schedule(lambda t: 1.0 / (1.0 + t), clock="run"), {}),
    "cloud": (bowl, 1.0, 0.0, often, {"reset_to": [0.5, 1.5], "reset_weights": [1, 2], **small}),
    "overhead": (bowl, 1.0, 0.0, rs.Poisson(1.3, overhead=0.1), small),
    "partial": (bowl, 1.0, 0.0, rs.Poisson(1.3, partial=0.5), small),
    "one path": (bowl, 1.0, 0.0, often, {"paths": 1, **small}),
    "seventy paths": (walk, 1.0, 0.0, often, {"paths": 70}),
}
found = {}
for name, (process, start, target, protocol, options) in CASES.items():
    options = {"paths": 3, "seed": 5, "horizon": 20.0, "threads": 1, **options}
    try:
        S = rs.simulate(process, start, target, protocol, **options)
    except rs.ResetSGDError as error:
        sys.exit(f"{name}: {error}")
    found[name] = [S.times.tolist(), S.resets.tolist(), S.censored.tolist(),
                   [] if S.exit_side is None else S.exit_side.tolist()]
S = rs.simulate_streaming(walk, 1.0, 0.0, often, paths=30, rates=[1.0], threads=1)
found["streamed"] = [[S.mean(), S.stderr(), S.laplace[0], S.quantile(0.5)], [], [], []]
print(json.dumps(found))
"""


def child(**environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", CHILD],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def both() -> tuple[dict[str, Any], dict[str, Any]]:
    return child(NUMBA_DISABLE_JIT="1"), child(NUMBA_DISABLE_JIT="0")


def agree(one: list[Any], two: list[Any]) -> bool:
    """Times to the digits of float32 noise, everything else exactly."""
    close = all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(one[0], two[0], strict=True))
    return close and one[1:] == two[1:]


def test_interpreted_and_compiled_kernels_agree(both: Any) -> None:
    interpreted, compiled = both
    assert interpreted.keys() == compiled.keys()
    wrong = [name for name in compiled if not agree(interpreted[name], compiled[name])]
    assert not wrong


def test_another_case_is_told_from_it(both: Any) -> None:
    """The negative control: other cases with as many paths do not agree."""
    interpreted, compiled = both
    assert not agree(interpreted["heun"], compiled["one drift"])
    assert not agree(interpreted["gamma"], compiled["weibull"])
