"""How fast passage times are simulated: against C by hand and the ways people would write it.

J1: dx = -V dt + sqrt(2 D) dW, V = 0.5, D = 1, from 1 to 0, Poisson resets at rate 1. J2: the double
well (x² - 1)² with a drift that is a plain Python function, D = 0.5, from -1 to 1, rate 0.2. Every
path-step of plain Euler is the same work for all contenders: move, reset at times, look.

Rounds are interleaved, so that whatever else the machine does meets all contenders; processor time
is counted, not the clock on the wall, except for two threads. Medians are printed, ratios are
medians of the ratios within a round. Rivals that are absent are left out, and named.

Measured figures are in ``benchmarks/records/``.

    python benchmarks/simulate.py [--rounds 5] [--json FILE] [--peers PYTHON]

``--peers`` names another Python, in which rivals are installed that this project does not depend on
(JAX, ssm-simulators, brian2, ...): see ``reference/peers.py``.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from scipy.optimize import brentq

import resetsgd as rs

HERE = Path(__file__).resolve().parent
V, D, RATE, STEP = 0.5, 1.0, 1.0, 1e-3
WALK = rs.DriftDiffusion(drift=-V, diffusivity=D)
RESET = rs.Poisson(RATE)
MEAN = rs.first_passage(WALK, 1.0, 0.0).under(RESET).mean()
WELL = rs.Landscape(drift=lambda x: 4.0 * x * (1.0 - x * x), diffusivity=0.5)
WELL_RESET = rs.Poisson(0.2)
SHIFT = 0.5825971579390107
"""-zeta(1/2) / sqrt(2 pi): by how many spreads of a step plain Euler sees the target off."""

Job = Callable[[], float]
"""Does the work; returns how many units (steps or paths) that was."""


@numba.njit(parallel=True)
def _naive(times: np.ndarray, dt: float, well: bool) -> None:
    start, end, rate = (-1.0, 1.0, 0.2) if well else (1.0, 0.0, 1.0)
    noise = math.sqrt((1.0 if well else 2.0) * dt)
    for i in numba.prange(len(times)):
        x, t = start, 0.0
        while (x < end) if well else (x > end):
            a = 4.0 * x * (1.0 - x * x) if well else -0.5
            x += a * dt + noise * np.random.normal()  # noqa: NPY002
            t += dt
            if np.random.random() < rate * dt:  # noqa: NPY002
                x = start
        times[i] = t


@numba.njit
def _by_generator(times: np.ndarray, dt: float, generator: Any) -> None:
    noise = math.sqrt(2.0 * dt)
    for i in range(len(times)):
        x, t = 1.0, 0.0
        due = generator.standard_exponential()
        while x > 0.0:
            x += -0.5 * dt + noise * generator.standard_normal()
            t += dt
            if t >= due:
                x, due = 1.0, t + generator.standard_exponential()
        times[i] = t


def naive(paths: int, dt: float = STEP, well: bool = False) -> float:
    times = np.empty(paths)
    _naive(times, dt, well)
    return float(times.sum() / dt)


def by_generator(paths: int, generator: np.random.Generator) -> float:
    times = np.empty(paths)
    _by_generator(times, STEP, generator)
    return float(times.sum() / STEP)


def compacted(paths: int, generator: np.random.Generator, well: bool = False) -> float:
    start, rate = (-1.0, 0.2) if well else (1.0, 1.0)
    noise = math.sqrt((1.0 if well else 2.0) * STEP)
    x = np.full(paths, start)
    steps = 0
    while x.size:
        steps += x.size
        x += (4.0 * x * (1.0 - x * x) if well else -V) * STEP
        x += noise * generator.standard_normal(x.size)
        x[generator.random(x.size) < rate * STEP] = start
        x = x[x < 1.0] if well else x[x > 0.0]
    return float(steps)


def by_torch(paths: int) -> float:
    import torch

    torch.set_num_threads(1)
    x = torch.ones(paths)
    steps = 0
    while x.numel():
        steps += x.numel()
        x = x - V * STEP + math.sqrt(2.0 * D * STEP) * torch.randn(x.numel())
        x = torch.where(torch.rand(x.numel()) < RATE * STEP, 1.0, x)
        x = x[x > 0.0]
    return float(steps)


def wald(paths: int, generator: np.random.Generator) -> float:
    times, alive = np.zeros(paths), np.arange(paths)
    while alive.size:
        hit = generator.wald(1.0 / V, 1.0 / (2.0 * D), alive.size)
        reset = generator.exponential(1.0 / RATE, alive.size)
        times[alive] += np.minimum(hit, reset)
        alive = alive[hit >= reset]
    return float(paths)


def by_hand() -> Callable[[int], float] | None:
    """The C program, compiled now; None without a compiler or AVX2."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or platform.machine() not in ("x86_64", "AMD64"):
        return None
    folder = Path(tempfile.mkdtemp())
    command = [compiler, "-O3", "-mavx2", "-mfma", "-ffp-contract=fast", "-shared", "-fPIC",
               "-o", str(folder / "j1.so"), str(HERE / "reference" / "j1.c"), "-lm"]  # fmt: skip
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    function = ctypes.CDLL(str(folder / "j1.so")).passage_times
    function.restype = ctypes.c_int64
    real = ctypes.c_double
    function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64, real, real, real]

    def run(paths: int) -> float:
        times = np.empty(paths)
        return float(function(times.ctypes.data, paths, 5, V, STEP, RATE))

    return run


def ours(paths: int, unit: str = "steps", well: bool = False, **options: Any) -> float:
    """Units done: paths, or steps that belong to a path, not those of lanes that idle."""
    job = (WELL, -1.0, 1.0, WELL_RESET) if well else (WALK, 1.0, 0.0, RESET)
    S = rs.simulate(*job, paths=paths, **{"threads": 1, **options})
    return float(S.times.sum() / S.info["step"]) if unit == "steps" else float(paths)


def bent(paths: int, process: rs.Landscape) -> float:
    S = rs.simulate(process, -1.0, 1.0, WELL_RESET, paths=paths, threads=1, scheme="euler",
                    step=STEP)  # fmt: skip
    return float(S.times.sum() / STEP)


def rounds(
    jobs: dict[str, Job], count: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Nanoseconds a unit, for each job and round."""
    for job in jobs.values():
        job()  # compiles, fills caches
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(count):
        for name, job in jobs.items():
            began = clock()
            units = job()
            found[name].append(1e9 * (clock() - began) / units)
    return found


def table(title: str, unit: str, found: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Print median, minimum and ratio to the first row."""
    print(f"\n{title}\n{'':52}{unit:>14}{'(min)':>12}{'ratio':>10}", flush=True)
    first = next(iter(found.values()))
    rows = {}
    for name, values in found.items():
        ratio = statistics.median(a / b for a, b in zip(values, first, strict=True))
        rows[name] = {"ns": statistics.median(values), "min": min(values), "ratio": ratio}
        print(f"{name:52}{rows[name]['ns']:14,.4g}{rows[name]['min']:12,.4g}{ratio:10,.4g}",
              flush=True)  # fmt: skip
    return rows


def step_of_bias(bias: float) -> float:
    """The plain Euler step whose mean is too long by this share, to leading order."""

    def excess(log_step: float) -> float:
        away = 1.0 + SHIFT * math.sqrt(2.0 * D * math.exp(log_step))
        return rs.first_passage(WALK, away, 0.0).under(RESET).mean() / MEAN - 1.0 - bias

    return math.exp(brentq(excess, math.log(1e-9), math.log(1e-1)))


def one_step(count: int, generator: np.random.Generator) -> dict[str, dict[str, float]]:
    jobs: dict[str, Job] = {"ours, float64 state": lambda: ours(20_000, scheme="euler", step=STEP)}
    if (hand := by_hand()) is not None:
        jobs["C by hand, AVX2, float32 state"] = lambda: hand(20_000)
    else:
        print("no C compiler for AVX2: the program by hand is left out")
    jobs |= {
        "naive numba (np.random in prange)": lambda: naive(1000),
        "numba with Generator": lambda: by_generator(3000, generator),
        "NumPy, compaction, 100,000 paths": lambda: compacted(100_000, generator),
    }
    try:
        import torch  # noqa: F401

        jobs["torch CPU, compaction, 100,000 paths"] = lambda: by_torch(100_000)
    except ImportError:
        print("torch is not installed: left out")
    return table(f"J1, one plain Euler step of {STEP:g}, one thread", "ns a step",
                 rounds(jobs, count))  # fmt: skip


def one_path(
    count: int, per_step: dict[str, dict[str, float]], generator: np.random.Generator
) -> dict[str, dict[str, float]]:
    found = rounds(
        {
            "ours, default": lambda: ours(300_000, "paths"),
            'ours, scheme "exact"': lambda: ours(300_000, "paths", scheme="exact"),
            "NumPy wald, 100,000 paths": lambda: wald(100_000, generator),
        },
        count,
    )
    fine = step_of_bias(0.005)
    for name in list(per_step)[:1] + [n for n in per_step if "naive" in n or "NumPy" in n]:
        cost = per_step[name]["ns"] * MEAN / fine
        found[f"plain Euler, {name}, from its cost a step"] = [cost] * count
    return table(
        f"J1, one path with a bias of at most 0.5 %; plain Euler steps of {fine:.2g}",
        "ns a path", found,
    )  # fmt: skip


def double_well(count: int, generator: np.random.Generator) -> dict[str, Any]:
    steep = rs.Landscape(
        drift=lambda x: 4.0 * x * (1.0 - x * x) + 0.1 * math.sin(3.0 * x) * math.exp(-x * x),
        diffusivity=0.5,
    )
    jobs: dict[str, Job] = {
        "ours, plain Euler, the user's drift": lambda: ours(
            6000, well=True, scheme="euler", step=STEP
        ),
        "ours, J1": lambda: ours(20_000, scheme="euler", step=STEP),
        "ours, drift with a sine and an exponential": lambda: bent(4000, steep),
        "ours, Heun with bridge": lambda: ours(4000, well=True, scheme="heun", step=STEP),
        "naive numba": lambda: naive(100, well=True),
        "NumPy, compaction, 3,000 paths": lambda: compacted(3000, generator, well=True),
    }
    result: dict[str, Any] = {
        "step": table(f"J2, one step of {STEP:g}, one thread", "ns a step", rounds(jobs, count))
    }
    exact = rs.first_passage(WELL, -1.0, 1.0).under(WELL_RESET).mean()
    jobs = {
        "ours, Heun with bridge, step 0.02": lambda: ours(
            20_000, "paths", well=True, scheme="heun", step=0.02
        ),
        "ours, Heun with bridge, step 0.01": lambda: ours(
            10_000, "paths", well=True, scheme="heun", step=0.01
        ),
        "ours, default": lambda: ours(10_000, "paths", well=True),
    }
    found = rounds(jobs, count)
    naive_cost = result["step"]["naive numba"]["ns"] * exact / STEP
    found["naive numba, step 0.001, from its cost a step"] = [naive_cost] * count
    result["path"] = table("J2, one path", "ns a path", found)
    for step in (0.02, 0.01, None):
        S = rs.simulate(WELL, -1.0, 1.0, WELL_RESET, paths=400_000, step=step, seed=1)
        bias = {"bias": S.mean() / exact - 1.0, "stderr": S.stderr() / exact}
        result[f"bias, step {S.info['step']:.3g}"] = bias
        print(f"bias at step {S.info['step']:.3g}: {bias['bias']:+.3%} +- {bias['stderr']:.3%}")
    result["new function, seconds"] = new_function()
    return result


def new_function() -> list[float]:
    """Seconds from a new Python drift to the first path, the kernel being there."""
    seconds = []
    for k in range(5):
        drift = lambda x, k=4.0 + k: k * x * (1.0 - x * x)  # noqa: E731
        began = time.process_time()
        rs.simulate(rs.Landscape(drift=drift, diffusivity=0.5), -1.0, 1.0, WELL_RESET,
                    paths=1, threads=1)  # fmt: skip
        seconds.append(time.process_time() - began)
    print("a new drift function, seconds to the first path:",
          ", ".join(f"{s:.2f}" for s in seconds))  # fmt: skip
    return seconds


def two_threads(count: int) -> dict[str, dict[str, float]]:
    jobs: dict[str, Job] = {}
    for name, threads in (("two threads", 2), ("one thread", 1)):
        jobs[f"J1, default, {name}"] = lambda n=threads: ours(1_000_000, "paths", threads=n)
    rows = table("Two threads, default, on the wall's clock", "ns a path",
                 rounds(jobs, count, time.perf_counter))  # fmt: skip
    jobs = {}
    for name, threads in (("two threads", 2), ("one thread", 1)):
        jobs[f"J2, Euler, {name}"] = lambda n=threads: ours(
            8000, threads=n, well=True, scheme="euler", step=STEP
        )
    more = table("Two threads, small steps, on the wall's clock", "ns a step",
                 rounds(jobs, count, time.perf_counter))  # fmt: skip
    one, two = (
        rs.simulate(WELL, -1.0, 1.0, WELL_RESET, paths=2000, threads=threads) for threads in (1, 2)
    )
    assert (one.times == two.times).all()
    print("bits for one and two threads: the same")
    return {**rows, **more}


def other_python(python: str, ours_ns: float) -> dict[str, float]:
    """Rivals in another environment: nanoseconds a step, and the ratio to ours of this run."""
    done = subprocess.run([python, str(HERE / "reference" / "peers.py")], capture_output=True,
                          text=True, check=False)  # fmt: skip
    found = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            if "ns" in row:
                found[row["name"]] = row["ns"] / ours_ns
                print(f"{row['name']:52}{row['ns']:14,.4g}{'':12}{row['ns'] / ours_ns:10,.4g}")
            else:
                print(f"{row['name']}: left out ({row['why']})")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peers", help="another Python with rivals installed")
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    numba.set_num_threads(1)
    result: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(), "numba": numba.__version__, "numpy": np.__version__,
        "load": os.getloadavg()[0],
    }  # fmt: skip
    result["J1 step"] = one_step(options.rounds, generator)
    if options.peers:
        result["peers"] = other_python(
            options.peers, result["J1 step"]["ours, float64 state"]["ns"]
        )
    else:
        print("JAX, ssm-simulators, brian2, ...: left out (--peers names a Python that has them)")
    result["J1 path"] = one_path(options.rounds, result["J1 step"], generator)
    result["J2"] = double_well(options.rounds, generator)
    result["two threads"] = two_threads(options.rounds)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
