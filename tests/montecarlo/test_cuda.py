"""Simulation on a CUDA device: the numbers of the CPU, whatever the launches, and clear refusals.

No device is needed: the kernels run in numba's CUDA simulator, in a child process, on a few paths;
compiled for the CPU, on many; and they are compiled for a device where NVVM is at hand. Tests that
run on a device itself are at the end, and skip without one.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import resetsgd as rs
from resetsgd.montecarlo.clock import clock_of
from resetsgd.montecarlo.kernels.compiling import settings
from resetsgd.montecarlo.motions.places import places_of
from resetsgd.montecarlo.table import motion_of

WALK = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
AWAY = rs.DriftDiffusion(drift=0.5, diffusivity=1.0)
BOWL = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=0.5)
SPHERE = rs.Bessel(dimension=2.5, diffusivity=1.0)
WELL = rs.Landscape(drift=lambda x: x - x**3, diffusivity=0.8)
WAVES = rs.Landscape(
    potential=lambda x: math.sin(3.0 * x) + 0.5 * x * x, rate=lambda x: 0.2 + x * x, diffusivity=0.8
)
HOT = rs.Landscape(drift=lambda x: -x, diffusivity=lambda x: 0.5 + 0.1 * x * x)

#: process, start, target, protocol, options, and the relative error that rounding may make: that of
#: the float32 noise (fused products, sums of some 10^3 steps), or of float64 where all is float64.
SINGLE, DOUBLE = 2e-4, 1e-9
CASES: dict[str, tuple[Any, float, Any, Any, dict[str, Any], float]] = {
    "bridge": (WALK, 1.0, 0.0, rs.Poisson(1.0), {}, DOUBLE),
    "bridge in steps": (AWAY, 1.0, 0.0, rs.Sharp(0.53), {"step": 0.05}, DOUBLE),
    "exact": (WALK, 1.0, 0.0, rs.Poisson(1.0), {"scheme": "exact"}, DOUBLE),
    "exact, away": (AWAY, 1.0, 0.0, rs.Sharp(0.7), {"scheme": "exact"}, DOUBLE),
    "exact, gamma": (WALK, 1.0, 0.0, rs.Gamma(2.0, 3.0), {"scheme": "exact"}, DOUBLE),
    "exact, bowl": (BOWL, 1.0, -0.5, rs.Sharp(1.3), {"scheme": "exact"}, DOUBLE),
    "exact, two ends": (BOWL, 0.2, (-0.5, 1.0), rs.Poisson(0.5), {"scheme": "exact"}, DOUBLE),
    "exact, outward": (SPHERE, 0.5, 1.5, rs.Poisson(0.5), {}, DOUBLE),
    "euler": (WALK, 1.0, 0.0, rs.Poisson(1.0), {"scheme": "euler"}, SINGLE),
    "never": (BOWL, 1.0, -0.5, None, {}, SINGLE),
    "geometric": (BOWL, 1.0, -0.5, rs.Geometric(probability=0.1, step=0.31), {}, SINGLE),
    "kink": (rs.LinearTrap(slope=1.0, diffusivity=1.0), 1.0, -0.5, rs.Sharp(1.7), {}, SINGLE),
    "inward": (SPHERE, 2.0, 1.0, rs.Poisson(0.5), {}, SINGLE),
    "user's drift": (WELL, -1.0, 1.0, rs.Poisson(0.3), {"step": 0.0317}, SINGLE),
    "user's potential and rate": (WAVES, 1.0, -0.7, None, {"step": 0.0117}, SINGLE),
    "user's diffusivity": (HOT, 1.0, -0.3, rs.Poisson(0.5), {"step": 0.0117}, SINGLE),
    "interval": (WALK, 0.3, (-0.5, 1.0), rs.Poisson(0.5), {}, SINGLE),
    "wall": (AWAY, 0.3, 0.0, rs.Weibull(2.0, 1.5), {"wall": 1.0}, SINGLE),
    "cloud": (WALK, 1.0, 0.0, rs.Poisson(2.0), {"reset_to": [0.5, 1.0, 2.0]}, DOUBLE),
    "partial": (WALK, 1.0, 0.0, rs.Poisson(2.0, partial=0.5), {}, DOUBLE),
    "overhead": (BOWL, 1.0, -0.5, rs.Poisson(0.5, overhead=0.1), {}, SINGLE),
    "horizon": (WELL, -1.0, 1.0, rs.Poisson(0.3), {"step": 0.0317, "horizon": 4.0}, SINGLE),
    "schedule": (BOWL, 1.0, -0.5, rs.Schedule(lambda t: 1.0 / (1.0 + t), clock="run"), {}, SINGLE),
}  # fmt: skip
FEW = range(2**33, 2**33 + 16)


def moved(name: str, paths: Any = FEW, **options: Any) -> dict[str, Any]:
    """What matters of a simulation, as plain lists."""
    process, start, target, protocol, given, _ = CASES[name]
    S = rs.simulate(process, start, target, protocol, paths=paths, **given, **options)
    return told(S)


def told(S: Any) -> dict[str, Any]:
    sides = [] if S.exit_side is None else S.exit_side.tolist()
    return {"times": S.times.tolist(), "censored": S.censored.tolist(), "sides": sides,
            "resets": S.resets.tolist(), "interrupted": S.info["interrupted"],
            "device": S.info["device"], "steps": S.info["steps"]}  # fmt: skip


def agree(one: dict[str, Any], two: dict[str, Any], rel: float) -> bool:
    """The same resets, ends and censored paths, and times up to rounding."""
    return (
        all(one[key] == two[key] for key in ("resets", "sides", "censored"))
        and len(one["times"]) == len(two["times"])
        and bool(np.allclose(one["times"], two["times"], rtol=rel, atol=0.0))
    )


def differing(one: dict[str, Any], two: dict[str, Any], rel: float) -> float:
    """Share of the paths whose resets differ, or whose times do by more than rounding."""
    apart = ~np.isclose(one["times"], two["times"], rtol=rel, atol=0.0)
    return float((apart | (np.array(one["resets"]) != np.array(two["resets"]))).mean())


# --- in the simulator -----------------------------------------------------------------------------


def running() -> Any:
    """The module that runs kernels, whose settings are changed here."""
    import resetsgd.montecarlo.cuda.launch as module

    return module


def in_child() -> dict[str, Any]:
    """Everything that needs the simulator: run by this file as a program."""
    from resetsgd.montecarlo.cuda import device

    launch = running()
    found = {name: moved(name, device="cuda") for name in CASES}
    # Fewer threads than paths, launches of seven steps, batches of five paths.
    whole = device.found()
    launch.found = lambda: device.Device(whole.cuda, whole.name, 3)
    steps, batch = launch.STEPS, launch.BATCH
    launch.STEPS, launch.BATCH = 7, 5
    for name in ("bridge in steps", "exact", "user's drift"):
        found[f"{name}, cut up"] = moved(name, device="cuda")
    launch.BATCH = batch
    for how in ("raised", "signalled"):

        def progress(done: int, total: int, how: str = how) -> None:
            if done >= 4:
                if how == "raised":
                    raise KeyboardInterrupt
                signal.raise_signal(signal.SIGINT)

        found[how] = moved("user's drift", paths=200, device="cuda", progress=progress)
    launch.STEPS = steps
    said: list[int] = []
    moved("bridge", paths=10, device="cuda", progress=lambda done, total: said.append(done))
    found["said"] = {"last": said[-1]}
    wrong = rs.Landscape(drift=lambda x: math.nan if x > 3.0 else 0.0)
    telegraph, RESET = rs.Telegraph(speed=1.0, flip_rate=1.0), rs.Poisson(0.1)
    refusals: dict[str, Any] = {
        "nan": lambda: rs.simulate(wrong, 1.0, 0.0, RESET, paths=9, device="cuda"),
        "process": lambda: rs.simulate(telegraph, 1.0, 0.0, RESET, paths=9, device="cuda"),
        "milstein": lambda: moved("user's diffusivity", device="cuda", scheme="milstein"),
        "threads": lambda: moved("bridge", device="cuda", threads=2),
        "budget": lambda: moved("euler", device="cuda", budget=100),
    }
    for name, call in refusals.items():
        try:
            call()
        except rs.ResetSGDError as error:
            found[name] = {"kind": type(error).__name__, "text": str(error)}
    S = rs.simulate_streaming(WALK, 1.0, 0.0, rs.Poisson(1.0), paths=20, device="cuda")
    found["streamed"] = {"mean": S.mean()}
    return found


@pytest.fixture(scope="module")
def simulator() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__],
        capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1",
                          "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", CASES)
def test_the_simulated_device_gives_what_the_cpu_gives(simulator: Any, name: str) -> None:
    """Sixteen paths, from number 2^33 on. The twin, of another seed, is refused."""
    rel = CASES[name][-1]
    assert simulator[name]["device"] == "cuda: simulator"
    assert agree(simulator[name], moved(name), rel)
    assert not agree(simulator[name], moved(name, seed=1), rel)


@pytest.mark.parametrize("name", ["bridge in steps", "exact", "user's drift"])
def test_launches_threads_and_batches_change_nothing(simulator: Any, name: str) -> None:
    cut = simulator[f"{name}, cut up"]
    assert cut["times"] == simulator[name]["times"]
    assert cut["resets"] == simulator[name]["resets"]
    assert cut["steps"] == simulator[name]["steps"]


@pytest.mark.parametrize("how", ["raised", "signalled"])
def test_ctrl_c_between_launches_keeps_what_is_finished(simulator: Any, how: str) -> None:
    early, whole = simulator[how], moved("user's drift", paths=200)
    assert early["interrupted"]
    arrived = [k for k, censored in enumerate(early["censored"]) if not censored]
    assert 4 <= len(arrived) < 200
    assert len(early["censored"]) - len(arrived) <= 3
    for k in arrived:
        assert early["times"][k] == pytest.approx(whole["times"][k], rel=SINGLE)


def test_progress_and_streams_work_on_the_device(simulator: Any) -> None:
    assert simulator["said"]["last"] == 10
    S = rs.simulate_streaming(WALK, 1.0, 0.0, rs.Poisson(1.0), paths=20)
    assert simulator["streamed"]["mean"] == pytest.approx(S.mean(), rel=DOUBLE)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("nan", "DomainError", r"drift = .*not finite at path \d, time [\d.]+, position [23]"),
        ("process", "DomainError", "device = 'cuda': must be 'cpu' for this: .* DriftDiffusion"),
        ("milstein", "DomainError", "device = 'cuda': must be 'cpu' for this: .* but 'milstein'"),
        ("threads", "DomainError", "threads = 2"),
        ("budget", "NotConverged", "100 steps"),
    ],
)
def test_the_device_refuses_by_name(simulator: Any, name: str, kind: str, words: str) -> None:
    assert simulator[name]["kind"] == kind
    assert re.search(words, simulator[name]["text"]), simulator[name]["text"]


# --- compiled for the CPU -------------------------------------------------------------------------


def alone(name: str, count: int, seed: int = 0) -> dict[str, Any]:
    """What one thread of the device does with many paths, compiled for the CPU."""
    from resetsgd.montecarlo.functions import of_arrays
    from resetsgd.montecarlo.kernels import alone as kernels
    from resetsgd.montecarlo.kernels import line, stretches
    from resetsgd.montecarlo.tasks import Paths, fresh

    process, start, target, protocol, options, _ = CASES[name]
    motion: Any = motion_of(process, places_of(start, target, options.get("reset_to")))
    clock, scheme = clock_of(protocol), options.get("scheme", motion.schemes[0])
    step = motion.step(scheme, options.get("step"), clock, math.inf)
    paths = Paths.of(0, count)
    out: tuple[Any, ...] = (paths.times, paths.outcomes, paths.resets, paths.sides)
    if scheme == "exact":
        given = motion.given(None, clock, math.inf, seed)
        state = fresh(2, stretches.REALS, stretches.WORDS, 1)
        rest: tuple[Any, ...] = (state.ints, state.reals, state.words)
        body: Any = kernels.stretches_alone
        body(*given, *out[:3], paths.counter, 0, *rest, 0, 10**9)
    else:
        given = motion.given(scheme, step, clock, math.inf, seed)
        state = fresh(line.INTS, line.REALS, line.WORDS, 1)
        rest = (state.ints, state.reals, state.words, np.zeros((4, 1)))
        body = kernels.line_alone(of_arrays(motion.drift), of_arrays(motion.drift))
        body(*given, *out, paths.counter, 0, *rest, 0, 10**9)
    return {"times": paths.times, "resets": paths.resets}


@pytest.mark.parametrize("name", ["exact", "user's drift"])
def test_many_paths_of_one_thread(name: str) -> None:
    """20,000 paths compiled for the CPU: none but a few in 10^4 differ. Another seed is refused."""
    count = 20 if settings.DISABLE_JIT else 20_000
    lanes = moved(name, paths=count)
    with np.errstate(all="ignore"):  # where nothing is compiled, words overflow aloud
        same, other = alone(name, count), alone(name, count, seed=1)
    assert differing(lanes, same, CASES[name][-1]) <= 5e-4
    assert not differing(lanes, other, CASES[name][-1]) <= 0.5


# --- compiled for a device ------------------------------------------------------------------------


def without_nvvm() -> str:
    """Why nothing can be compiled for CUDA here, or nothing."""
    try:
        nvvm: Any = importlib.import_module("numba.cuda.cudadrv.nvvm")
        nvvm.NVVM()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing is compiled here" if settings.DISABLE_JIT else ""


needs_nvvm = pytest.mark.skipif(bool(without_nvvm()), reason=f"no NVVM: {without_nvvm()}")


@pytest.fixture
def capability(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """A device to compile for: device functions ask for the current one."""
    import numba.cuda.dispatcher as dispatcher

    wanted = (8, 0)
    monkeypatch.setattr(
        dispatcher, "get_current_device", lambda: type("A100", (), {"compute_capability": wanted})
    )
    return wanted


def assembled(job: Any, capability: tuple[int, int]) -> str:
    """The PTX of a job's kernel for the types that a launch hands over."""
    from resetsgd.montecarlo.tasks import Paths, fresh

    rows: Any = job.rows
    paths, state = Paths.of(0, 4), fresh(rows[0], rows[1], rows[2], 4)
    arguments = (
        *job.given, paths.times, paths.outcomes, paths.resets, paths.sides, paths.counter, 0,
        state.ints, state.reals, state.words, np.zeros((4, 4)), np.zeros(4, np.int64), 100,
    )  # fmt: skip
    compiler: Any = importlib.import_module("numba")
    kinds = [compiler.typeof(argument) for argument in arguments]
    signature, source = compiler.types.void(*kinds), job.kernel.py_func
    code, _ = compiler.cuda.compile(source, signature, cc=capability, device=False, abi="numba")
    return str(code)


def job(name: str) -> Any:
    from resetsgd.montecarlo.cuda.jobs import job_of

    process, start, target, protocol, options, _ = CASES[name]
    motion = motion_of(process, places_of(start, target))
    clock, scheme = clock_of(protocol), options.get("scheme", motion.schemes[0])
    step = motion.step(scheme, options.get("step"), clock, math.inf)
    return job_of(motion, scheme, step, clock, math.inf, 0)


@needs_nvvm
@pytest.mark.parametrize("name", ["bridge", "exact", "exact, bowl", "user's potential and rate"])
def test_kernels_compile_for_a_device_and_keep_their_state_in_registers(
    name: str, capability: tuple[int, int], tmp_path: Path
) -> None:
    """No stack in local memory, counted by atomics; and the assembler takes it without spilling."""
    code = assembled(job(name), capability)
    assert ".target sm_80" in code
    assert ".entry" in code
    assert "__local_depot" not in code
    assert "atom." in code
    assert "fma.rn.f64" in code
    if shutil.which("ptxas"):
        (tmp_path / "kernel.ptx").write_text(code)
        done = subprocess.run(
            ["ptxas", "-v", "-arch=sm_80", "kernel.ptx", "-o", "kernel.cubin"],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "0 bytes spill stores" in done.stderr


@needs_nvvm
def test_a_function_that_the_device_cannot_run_is_named(capability: tuple[int, int]) -> None:
    """The CPU compiles a search in an array that it makes; the device has no memory to give."""
    from resetsgd.montecarlo.cuda import device

    launch = running()
    held = rs.Landscape(drift=lambda x: -float(np.sort(np.array([x, 2.0 * x]))[0]), diffusivity=1.0)
    made = launch.job_of(
        motion_of(held, places_of(1.0, 0.0)), "heun", 0.01, clock_of(rs.Poisson(1.0)), math.inf, 0
    )

    class Compiled:
        """Compiles when it is launched, as a kernel does."""

        def __getitem__(self, configuration: Any) -> Any:
            return lambda *arguments: assembled(made, capability)

    stub: Any = type("Stub", (), {"to_device": staticmethod(np.array)})
    pretended = launch.Job(Compiled(), made.given, made.rows, made.blame, made.function)
    with pytest.raises(rs.DomainError, match="can compile for CUDA") as caught:
        launch.run(pretended, first=0, count=4, budget=100, device=device.Device(stub, "none", 4))
    assert caught.value.argument == "drift"
    assert "\n" not in str(caught.value)


# --- with and without a device --------------------------------------------------------------------


def without_device() -> str:
    from resetsgd.montecarlo.cuda.device import found

    try:
        found()
    except rs.NoDevice as error:
        return error.reason
    return ""


def test_without_a_device_the_error_says_so() -> None:
    if not without_device():
        pytest.skip("there is a device")
    with pytest.raises(rs.NoDevice, match="no CUDA device to use") as caught:
        moved("bridge", device="cuda")
    assert "\n" not in str(caught.value)
    with pytest.raises(rs.DomainError, match="device = 'gpu'"):
        moved("bridge", device="gpu")


def test_the_device_gives_what_the_cpu_gives() -> None:
    """On a device, 20,000 paths each: all but a few in 10^4 agree. Another seed is refused."""
    if without_device():
        pytest.skip(f"no device: {without_device()}")
    for name in CASES:
        here, other = (moved(name, paths=20_000, seed=seed) for seed in (0, 1))
        there = moved(name, paths=20_000, device="cuda")
        assert differing(here, there, CASES[name][-1]) <= 5e-4, name
        assert not differing(other, there, CASES[name][-1]) <= 0.5, name


if __name__ == "__main__":
    print(json.dumps(in_child()))
