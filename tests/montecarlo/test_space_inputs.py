"""What is refused in many dimensions, and how it is said."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import resetsgd as rs

targets = rs.targets


def down(x: Any) -> Any:
    return (x[0], x[1])


PLANE: dict[str, Any] = {"gradient": down, "dimension": 2}
BOWL = rs.Langevin(gradient=down, dimension=2)


def run(**changed: Any) -> rs.Simulated:
    given: dict[str, Any] = {
        "process": BOWL, "start": [1.0, 0.0], "target": targets.ball([0.0, 0.0], 0.3),
        "protocol": rs.Poisson(1.0), "paths": 20, "step": 0.05, **changed,
    }  # fmt: skip
    return rs.simulate(**given)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"start": [1.0]}, "start"),
        ({"start": [1.0, 0.0, 0.0]}, "start"),
        ({"start": [1.0, math.nan]}, "start"),
        ({"start": [0.1, 0.0]}, "start"),
        ({"start": np.zeros((0, 2))}, "start"),
        ({"start": [1e101, 0.0]}, "start"),
        ({"start": [1e-170, 0.0], "step": None,
          "target": targets.half_space(0, 0.0, above=False)}, "step"),
        ({"reset_to": [0.1, 0.0]}, "reset_to"),
        ({"reset_to": [[1.0, 0.0], [2.0, 0.0]], "reset_weights": [1.0]}, "reset_weights"),
        ({"reset_to": [[1.0, 0.0], [2.0, 0.0]], "reset_weights": [1.0, -1.0]}, "reset_weights"),
        ({"target": 0.0}, "target"),
        ({"target": targets.ball([0.0], 0.3)}, "target"),
        ({"target": targets.half_space(2, 0.0)}, "target"),
        ({"target": targets.level(0.1)}, "target"),
        ({"target": targets.predicate(lambda x: x)}, "target"),
        ({"wall": 2.0}, "wall"),
        ({"scheme": "baoab"}, "scheme"),
        ({"step": 0.0}, "step"),
        ({"precision": "half"}, "precision"),
        ({"protocol": rs.Poisson(1.0, partial=0.5),
          "target": targets.outside([0.0, 0.0], 9.0)}, "partial"),
        ({"process": rs.Langevin(gradient=lambda x: (x[0],), dimension=2)}, "gradient"),
        ({"process": rs.Langevin(drift=lambda x: (math.inf, x[0]), dimension=2)}, "drift"),
        ({"process": rs.Langevin(drift=lambda x: (np.linalg.qr, 0.0), dimension=2)}, "drift"),
        ({"process": rs.Langevin(drift=lambda x: (rs.Poisson(1.0).rate, x[0]), dimension=2)},
         "drift"),
        ({"process": rs.Langevin(down, dimension=2, diffusivity=lambda x: (1.0, 2.0, 3.0))},
         "diffusivity"),
        ({"process": rs.DriftDiffusion(1.0, 1.0), "start": 1.0, "target": 0.0,
          "precision": "single"}, "precision"),
    ],
)  # fmt: skip
def test_simulate_refuses(changed: dict[str, Any], name: str) -> None:
    with pytest.raises(rs.DomainError, match=f"^{name} "):
        run(**changed)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({**PLANE, "diffusivity": [[1.0, 2.0], [0.0, 1.0]]}, "diffusivity"),
        ({**PLANE, "diffusivity": [[1.0, 2.0], [2.0, 1.0]]}, "diffusivity"),
        ({}, "gradient"),
        ({"gradient": down, "drift": down}, "gradient"),
        ({"gradient": 1.0}, "gradient"),
        ({"gradient": down, "dimension": 0}, "dimension"),
        ({"gradient": down, "dimension": 5000}, "dimension"),
        ({"gradient": down, "dimension": 2, "diffusivity": 0.0}, "diffusivity"),
        ({"gradient": down, "dimension": 2, "diffusivity": [1.0, 1.0, 1.0]}, "diffusivity"),
        ({"gradient": down, "dimension": 2, "diffusivity": [1.0, -1.0]}, "diffusivity"),
        ({"gradient": down, "dimension": 2, "friction": 0.0}, "friction"),
        ({"gradient": down, "dimension": 2, "friction": [1.0]}, "friction"),
    ],
)  # fmt: skip
def test_langevin_refuses(given: dict[str, Any], name: str) -> None:
    with pytest.raises(rs.DomainError, match=f"^{name} "):
        rs.Langevin(**given)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: targets.ball([0.0, 0.0], 0.0), "radius"),
        (lambda: targets.ball([[0.0]], 1.0), "centre"),
        (lambda: targets.outside([math.inf], 1.0), "centre"),
        (lambda: targets.interval(1.0, 1.0), "high"),
        (lambda: targets.half_space([0.0, 0.0], 1.0), "normal"),
        (lambda: targets.half_space(-1, 1.0), "normal"),
        (lambda: targets.point([0.0]), "position"),
        (lambda: targets.level(math.nan), "value"),
        (lambda: targets.level(0.0, function=1.0), "function"),
        (lambda: targets.predicate(1.0), "function"),
    ],
)
def test_targets_refuse(make: Any, name: str) -> None:
    with pytest.raises(rs.DomainError, match=f"^{name} "):
        make()


def test_nan_is_reported_with_path_time_and_place() -> None:
    def root(x: Any) -> Any:
        return (math.sqrt(x[0]) - 2.0, -x[1])

    process = rs.Langevin(drift=root, dimension=2)
    with pytest.raises(rs.DomainError, match=r"drift .*path \d+, time [\d.]+, position \[") as told:
        run(process=process, target=targets.half_space(0, -1.0, above=False), threads=1)
    again = pytest.raises(rs.DomainError)
    with again as second:
        run(process=process, target=targets.half_space(0, -1.0, above=False), threads=1)
    assert str(told.value) == str(second.value)
    place = str(told.value).split("position [")[1].split("]")[0].split()
    assert 0.0 <= float(place[0]) < 1.5  # the last place where the root is a number


def test_a_blow_up_ends() -> None:
    """Too long a step for a stiff drift runs away: an error, not an endless loop."""
    process = rs.Langevin(gradient=lambda x: (200.0 * x[0], x[1]), dimension=2)
    with pytest.raises(rs.DomainError, match="gradient"):
        run(process=process, target=targets.half_space(1, -50.0, above=False), protocol=None)


def test_a_budget_ends_what_does_not_arrive() -> None:
    with pytest.raises(rs.NotConverged, match="1000 steps"):
        run(target=targets.half_space(0, -1e3, above=False), budget=1000)
    S = run(target=targets.half_space(0, -0.5, above=False), horizon=0.5, paths=500)
    assert 0 < S.censored.sum() < 500
    assert (S.times[S.censored] == 0.5).all()


def test_what_a_function_sees_is_looked_at_again() -> None:
    """A changed global or closure is not answered with the old code."""
    k = 1.0

    def gradient(x: Any) -> Any:
        return (k * x[0], k * x[1])

    process = rs.Langevin(gradient=gradient, dimension=2)
    first = run(process=process).times
    k = 3.0
    assert (run(process=process).times != first).any()
    k = 1.0
    assert (run(process=process).times == first).all()


def test_info_says_how_it_was_made() -> None:
    S = run(precision="single", threads=1)
    assert S.info["target"] == "ball([0.0, 0.0], 0.3)"
    assert S.info["start"] == [1.0, 0.0]
    assert S.info["scheme"] == "heun"
    assert S.exit_side is None


def test_equal_processes() -> None:
    assert rs.Langevin(gradient=down, dimension=2) == BOWL
    assert rs.Langevin(gradient=down, dimension=2, diffusivity=[1.0, 2.0]) != BOWL
    assert len({BOWL, rs.Langevin(gradient=down, dimension=2)}) == 1
