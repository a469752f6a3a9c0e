"""Many dimensions: the same bits for any threads, slices and parts, and whatever is recorded."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import resetsgd as rs
from resetsgd.montecarlo import driver

targets = rs.targets
COVARIANCE = np.array([[1.0, 0.3, 0.0], [0.3, 0.5, 0.1], [0.0, 0.1, 0.8]])


def bowl(diffusivity: Any, friction: float | None = None) -> rs.Langevin:
    return rs.Langevin(
        gradient=lambda x: (x[0], 2.0 * x[1], 4.0 * x[2]),
        potential=lambda x: 0.5 * x[0] ** 2 + x[1] ** 2 + 2.0 * x[2] ** 2,
        dimension=3,
        diffusivity=diffusivity,
        friction=friction,
    )


def uneven(x: Any) -> Any:
    return (1.0 + 0.1 * x[0] * x[0], 0.5, 0.8)


CASES: list[tuple[Any, Any, Any, dict[str, Any]]] = [
    (bowl(1.0), targets.ball([0.0, 0.0, 0.0], 0.4), rs.Poisson(1.0), {}),
    (bowl([1.0, 0.5, 0.2]), targets.half_space([1.0, 1.0, 0.0], 0.0, above=False),
     rs.Sharp(0.7, overhead=0.1), {"precision": "single"}),
    (bowl(COVARIANCE), targets.interval(-0.5, 1.5), rs.Gamma(3.0, stages=2), {}),
    (bowl(COVARIANCE), targets.outside([0.0, 0.0, 0.0], 2.0), rs.Poisson(0.5), {}),
    (bowl(uneven), targets.ball([0.0, 0.0, 0.0], 0.4), rs.Poisson(1.0), {}),
    (bowl(1.0, friction=2.0), targets.level(0.1), rs.Poisson(1.0), {}),
]  # fmt: skip
each_case = pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
START, BACK = [1.0, 0.5, 0.5], [[0.9, 0.5, 0.5], [1.0, -0.5, 0.6], [1.1, 0.5, -0.7]]


def run(case: Any, **options: Any) -> rs.Simulated:
    process, target, protocol, own = case
    chosen = {
        "paths": 400, "step": 0.02, "seed": 99, "horizon": 4.0, "reset_to": BACK,
        "reset_weights": [1, 2, 3], **own, **options,
    }  # fmt: skip
    return rs.simulate(process, START, target, protocol, **chosen)


def bits(S: rs.Simulated) -> bytes:
    parts: list[Any] = [S.times, S.censored, S.resets]
    if S.exit_side is not None:
        parts.append(S.exit_side)
    return b"".join(part.tobytes() for part in parts)


@each_case
def test_threads_and_slices_do_not_show(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(case, threads=1)
    assert first.resets.max() > 1
    for threads in (2, 4):
        assert bits(run(case, threads=threads)) == bits(first)
    for steps in (1, 333):
        monkeypatch.setattr(driver, "SLICE", steps)
        assert bits(run(case, threads=2, paths=100)) == bits(run(case, threads=1, paths=100))
        assert (run(case, threads=1, paths=100).times == first.times[:100]).all()


@each_case
def test_a_part_is_the_same_as_in_the_whole(case: Any) -> None:
    whole, part = run(case), run(case, paths=range(150, 250))
    assert (part.times == whole.times[150:250]).all()
    assert (part.resets == whole.resets[150:250]).all()


@each_case
def test_recording_changes_nothing(case: Any) -> None:
    process, target, protocol, own = case
    S = run(case)
    seen = rs.trajectories(
        process, START, target, protocol, paths=range(20, 24), every=1, records=1000, step=0.02,
        seed=99, horizon=4.0, reset_to=BACK, reset_weights=[1, 2, 3], **own,
    )  # fmt: skip
    assert (seen.end_times == S.times[20:24]).all()
    assert (seen.arrived == ~S.censored[20:24]).all()
    some = rs.trajectories(
        process, START, target, protocol, paths=range(20, 24), every=5, records=1000, step=0.02,
        seed=99, horizon=4.0, reset_to=BACK, reset_weights=[1, 2, 3], coordinates=[2], **own,
    )  # fmt: skip
    assert np.isfinite(seen.times).sum() > 40
    for path in range(4):
        steps = int(np.isfinite(seen.times[path]).sum())
        assert steps > 0
        fifth = slice(4, steps, 5)
        kept = steps // 5
        assert (some.times[path, :kept] == seen.times[path, fifth]).all()
        assert (some.positions[path, :kept, 0] == seen.positions[path, fifth, 2]).all()


def test_seeds_differ() -> None:
    one, two = run(CASES[0], seed=1), run(CASES[0], seed=2)
    assert (one.times != two.times).mean() > 0.9


SMALL = """
import resetsgd as rs
well = rs.landscapes.quadratic([1.0, 3.0]).langevin(diffusivity={noise}, friction={friction})
S = rs.simulate(well, [1.0, 0.3], rs.targets.{target}, rs.Poisson(1.0), paths=3, step=0.1,
                threads=1, horizon=5.0)
print(S.times.tolist(), S.resets.tolist())
"""


@pytest.mark.parametrize(
    ("noise", "friction", "target"),
    [("0.5", None, "ball([0.0, 0.0], 0.5)"), ("[[1.0, 0.2], [0.2, 0.5]]", None, "level(0.1)"),
     ("lambda x: 0.5 + 0.1 * x[0] ** 2", None, "half_space(0, 0.5, above=False)"),
     ("0.5", 2.0, "interval(0.5, 1.2)")],
)  # fmt: skip
def test_interpreted_and_compiled_agree(noise: str, friction: Any, target: str) -> None:
    code = SMALL.format(noise=noise, friction=friction, target=target)
    found = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={"NUMBA_DISABLE_JIT": flag, "PATH": "", "HOME": "/nowhere"},
        ).stdout.replace("] [", "],[").strip()
        for flag in ("0", "1")
    ]  # fmt: skip
    values = [[float(n) for n in text.replace("[", "").replace("]", "").split(",")]
              for text in found]  # fmt: skip
    assert values[0] == pytest.approx(values[1], rel=1e-5)
