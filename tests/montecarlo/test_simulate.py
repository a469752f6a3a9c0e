"""``simulate`` as its caller sees it: defaults, wrong input, bounds, progress, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import resetsgd as rs

TOWARD = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
FREE = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
NAN = float("nan")


def simulate(process: Any = TOWARD, **options: Any) -> rs.Simulated:
    return rs.simulate(process, **{"start": 1.0, "target": 0.0, "paths": 100, **options})


def test_what_comes_back() -> None:
    S = simulate(protocol=rs.Poisson(1.0))
    assert isinstance(S, rs.Observed)
    assert S.times.shape == S.censored.shape == S.resets.shape == (100,)
    assert (S.times.dtype, S.censored.dtype, S.resets.dtype) == (float, bool, np.int64)
    assert not S.censored.any()
    assert S.mean() == pytest.approx(S.times.mean())
    assert S.stderr() == pytest.approx(S.times.std(ddof=1) / 10)
    assert repr(S) == f"simulated(100 paths, 0 censored, mean {S.mean():.6g} ± {S.stderr():.2g})"
    with pytest.raises(TypeError):
        S.info["seed"] = 1  # type: ignore[index]
    with pytest.raises(ValueError, match="read-only"):
        S.resets[0] = 1


def test_censored_paths_carry_the_horizon_and_make_no_mean() -> None:
    S = simulate(FREE, horizon=1.0, paths=1000)
    assert 0 < S.censored.sum() < 1000
    assert (S.times[S.censored] == 1.0).all()
    assert (S.times[~S.censored] <= 1.0).all()
    assert S.horizon == 1.0
    with pytest.raises(rs.CensoredMean):
        S.mean()


def test_never_resetting_has_many_names() -> None:
    plain = simulate()
    for protocol in (
        rs.Poisson(0.0),
        rs.Sharp(float("inf")),
        rs.Geometric(probability=0.0),
        rs.Poisson(5e-324),
    ):
        S = simulate(protocol=protocol)
        assert (S.times == plain.times).all()
        assert (S.resets == 0).all()


def test_units_scale_out() -> None:
    """Lengths times 2^10 and times times 2^20 change nothing but the unit of the result."""
    one = simulate(protocol=rs.Sharp(0.5))
    walk = rs.DriftDiffusion(drift=-0.5 * 2.0**-10, diffusivity=1.0)
    two = simulate(walk, start=2.0**10, protocol=rs.Sharp(0.5 * 2.0**20))
    assert (two.times == one.times * 2.0**20).all()


def test_both_sides_of_the_target_are_alike() -> None:
    left = simulate(rs.DriftDiffusion(drift=0.5, diffusivity=1.0), start=2.0, target=3.0)
    assert (left.times == simulate().times).all()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"process": object()}, "process"),
        ({"process": rs.DriftDiffusion(drift=[0.0, 1.0], diffusivity=1.0)}, "drift"),
        ({"process": rs.DriftDiffusion(drift=0.0, diffusivity=[1.0, 2.0])}, "diffusivity"),
        ({"start": NAN}, "start"),
        ({"start": "here"}, "start"),
        ({"start": [1.0, 2.0]}, "start"),
        ({"start": 0.0}, "start"),
        ({"start": 1e-200}, "start"),
        ({"target": float("inf")}, "target"),
        ({"target": NAN}, "target"),
        ({"protocol": 0.7}, "protocol"),
        ({"protocol": rs.Poisson}, "protocol"),
        ({"protocol": rs.Poisson([0.1, 0.2])}, "rate"),
        ({"protocol": rs.Sharp([0.1, 0.2])}, "period"),
        ({"protocol": rs.Geometric(probability=[0.1, 0.2])}, "probability"),
        ({"reset_to": -1.0}, "reset_to"),
        ({"reset_to": 0.0}, "reset_to"),
        ({"reset_to": NAN}, "reset_to"),
        ({"reset_to": 1e-120}, "reset_to"),
        ({"horizon": 0.0}, "horizon"),
        ({"horizon": -1.0}, "horizon"),
        ({"horizon": float("inf")}, "horizon"),
        ({"horizon": NAN}, "horizon"),
        ({"horizon": [1.0]}, "horizon"),
        ({"horizon": 1e-6}, "horizon"),
        ({"step": 0.0}, "step"),
        ({"step": NAN}, "step"),
        ({"step": 1e101}, "step"),
        ({"step": 0.1, "scheme": "exact"}, "step"),
        ({"scheme": "heun"}, "scheme"),
        ({"scheme": ""}, "scheme"),
        ({"paths": 0}, "paths"),
        ({"paths": 10.0}, "paths"),
        ({"paths": True}, "paths"),
        ({"paths": NAN}, "paths"),
        ({"paths": range(0)}, "paths"),
        ({"paths": range(0, 10, 2)}, "paths"),
        ({"paths": range(-1, 3)}, "paths"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"threads": 0}, "threads"),
        ({"budget": 0}, "budget"),
        ({"process": FREE}, "horizon"),
        ({"process": FREE, "protocol": rs.Poisson(0.0)}, "horizon"),
        ({"process": FREE, "protocol": rs.Geometric(probability=0.0)}, "horizon"),
        ({"start": -1.0}, "horizon"),
    ],
)
def test_wrong_input_gives_one_line(options: dict[str, Any], name: str) -> None:
    with pytest.raises(rs.DomainError, match=f"^{name} = .*must be ") as caught:
        simulate(**options)
    assert "\n" not in str(caught.value)
    assert caught.value.argument == name


def test_numbers_of_numpy_are_numbers() -> None:
    S = simulate(start=np.float32(1.0), target=np.int64(0), paths=np.int32(100), seed=np.uint64(0))
    assert (S.times == simulate().times).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_hopeless_searches_end(threads: int) -> None:
    away = rs.DriftDiffusion(drift=30.0, diffusivity=1.0)
    with pytest.raises(rs.NotConverged, match="give a horizon"):
        simulate(away, protocol=rs.Poisson(1.0), budget=10**6, threads=threads)


def test_the_bound_is_exact() -> None:
    steps = simulate(protocol=rs.Poisson(1.0)).info["steps"]
    simulate(protocol=rs.Poisson(1.0), budget=steps)
    with pytest.raises(rs.NotConverged):
        simulate(protocol=rs.Poisson(1.0), budget=steps - 1)


@pytest.mark.parametrize("scale", [1e-90, 1e-30, 1e30, 1e90])
@pytest.mark.parametrize("scheme", ["bridge", "exact"])
def test_extreme_units_give_numbers(scale: float, scheme: str) -> None:
    """Everything finite and positive, for any length unit and horizons long and short."""
    for drift in (-1.0 / scale, 0.0, 1.0 / scale):
        walk = rs.DriftDiffusion(drift=drift, diffusivity=1.0)
        for horizon in (1e-3 * scale**2, 1e30 * scale**2):
            options = {"start": scale, "horizon": horizon, "scheme": scheme, "paths": 2000}
            try:
                S = simulate(walk, **options)
            except rs.DomainError as error:
                assert error.argument == "horizon"  # none had arrived: also an answer
            else:
                assert np.isfinite(S.times).all()
                assert (S.times > 0).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_comes_in_order_from_the_callers_thread(threads: int) -> None:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        seen.append((done, total))

    simulate(protocol=rs.Poisson(1.0), paths=50_000, step=1e-3, threads=threads, progress=progress)
    assert seen == sorted(seen)
    assert seen[-1] == (50_000, 50_000)
    assert len(seen) > 2


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_progress_stops_the_run(threads: int) -> None:
    def progress(done: int, total: int) -> None:
        raise RuntimeError("enough")

    alive = threading.active_count()
    with pytest.raises(RuntimeError, match="enough"):
        simulate(
            protocol=rs.Poisson(1.0), paths=10**6, step=1e-3, threads=threads, progress=progress
        )
    assert threading.active_count() == alive


ENDLESS = """
import sys, resetsgd as rs
walk = rs.DriftDiffusion(drift=50.0, diffusivity=1.0)
say = lambda done, total: print("running", flush=True)
try:
    rs.simulate(walk, 1.0, 0.0, rs.Poisson(1.0), paths=10, budget=10**18,
                threads=int(sys.argv[1]), progress=say)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_ctrl_c_ends_a_run(threads: str) -> None:
    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", ENDLESS, threads],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "running\n"
    child.send_signal(signal.SIGINT)
    rest, _ = child.communicate(timeout=20)
    assert rest.endswith("interrupted\n")
    assert child.returncode == 0


@pytest.mark.parametrize("process", [
    FREE, rs.ColouredNoise(correlation_time=0.1), rs.StableNoise(exponent=1.5)
])  # fmt: skip
def test_resets_at_multiples_of_the_step(process: Any) -> None:
    """Sums of steps pass the time of a reset by rounding: no step is negative then."""
    ends = (0.0, 5.0) if process is FREE else 0.0
    for often in (rs.Geometric(0.1, 0.1), rs.Geometric(0.1, 0.07), rs.Sharp(0.7)):
        S = simulate(process, target=ends, protocol=often, step=0.1, paths=5000, seed=1)
        assert not S.censored.any()


def test_a_reset_wins_a_tie_with_a_run_of_the_same_length() -> None:
    """A run without a turn takes 0.5, five tosses of the coin: rounding must not decide."""
    tumbler = rs.Telegraph(speed=2.0, flip_rate=1e-9, heading=-1.0)
    S = simulate(tumbler, protocol=rs.Geometric(0.5, step=0.1), seed=1, paths=2000)
    # Arrived after four tosses that spared it and a fifth that did too: one run in 32.
    assert np.asarray(S.resets).mean() == pytest.approx(31.0, rel=0.2)
