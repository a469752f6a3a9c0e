"""What a simulation costs beside its steps: memory, and the start of a later call.

Memory is the growth of the largest resident memory of a fresh process over that of a small run of
the same kind, by Linux's account; the job is J1 of ``simulate.py`` by the exact sampler. Start-up
is processor time of whole calls with two paths.

    python benchmarks/costs.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import resetsgd as rs

WALK = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
RESET = rs.Poisson(1.0)
MEAN = rs.first_passage(WALK, 1.0, 0.0).under(RESET).mean()
WELL = rs.Landscape(drift=lambda x: 4.0 * x * (1.0 - x * x), diffusivity=0.5)
WELL_RESET = rs.Poisson(0.2)

ALONE = """
import sys
import resetsgd as rs

def most() -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

function, paths = getattr(rs, sys.argv[1]), int(sys.argv[2])
job = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0), 1.0, 0.0, rs.Poisson(1.0)
function(*job, paths=100_000, scheme="exact", threads=2)
before = most()
S = function(*job, paths=paths, scheme="exact", threads=2)
print(most() - before, S.info["seconds"], S.mean(), S.stderr())
"""


def memory() -> dict[str, dict[str, float]]:
    """Growth of the largest resident memory of a fresh process: streamed, and as an array."""
    found = {}
    print("\nMemory of the exact sampler, above that of a small run, two threads")
    for name, function, paths in (
        ("streamed", "simulate_streaming", 10**7), ("streamed", "simulate_streaming", 10**8),
        ("as an array", "simulate", 10**7),
    ):  # fmt: skip
        done = subprocess.run([sys.executable, "-c", ALONE, function, str(paths)],
                              capture_output=True, text=True, check=False)  # fmt: skip
        if done.returncode:
            print("left out: the system does not tell, or the run failed", done.stderr[-200:])
            continue
        kilobytes, seconds, mean, stderr = (float(word) for word in done.stdout.split())
        row = {"kB": kilobytes, "bytes a path": 1024.0 * kilobytes / paths, "seconds": seconds,
               "z": (mean - MEAN) / stderr}  # fmt: skip
        found[f"{paths:.0e} paths, {name}"] = row
        print(f"{paths:.0e} paths, {name}: {kilobytes:,.0f} kB, {row['bytes a path']:.3g} a path,"
              f" {seconds:.2f} s, mean off by {row['z']:+.2f} standard errors")  # fmt: skip
    return found


def later_calls() -> dict[str, float]:
    """Milliseconds of processor time that a call with two paths takes, once it was made before."""
    jobs: dict[str, tuple[Any, ...]] = {
        "drift-diffusion": (WALK, 1.0, 0.0, RESET),
        "Ornstein-Uhlenbeck": (rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), 1.0, 0.0, RESET),
        "linear trap": (rs.LinearTrap(slope=1.0, diffusivity=1.0), 1.0, -0.5, RESET),
        "Bessel": (rs.Bessel(dimension=3.0, diffusivity=1.0), 2.0, 1.0, RESET),
        "telegraph": (rs.Telegraph(speed=1.0, flip_rate=1.0), 1.0, 0.0, RESET),
        "coloured noise": (rs.ColouredNoise(correlation_time=0.1), 1.0, 0.0, RESET),
        "stable noise": (rs.StableNoise(exponent=1.5), 1.0, 0.0, RESET),
        "a user's drift": (WELL, -1.0, 1.0, WELL_RESET),
    }
    found = {}
    for name, job in jobs.items():
        took = []
        for _ in range(9):
            began = time.process_time()
            rs.simulate(*job, paths=2, threads=1)
            took.append(1e3 * (time.process_time() - began))
        found[name] = statistics.median(took[1:])
    print("\nA later call with two paths, ms:",
          ", ".join(f"{name} {ms:.2f}" for name, ms in found.items()))  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, help="ignored")
    options = parser.parse_args()
    result: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(), "load": os.getloadavg()[0],
        "memory": memory(), "later calls, ms": later_calls(),
    }  # fmt: skip
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
