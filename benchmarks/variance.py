"""What variance reduction gains: variance times time, plain simulation over each method.

Both are measured in the same run, rounds interleaved; a ratio of 10 means that plain simulation
takes ten times as long to the same standard error. Jobs: a bent drift beside a constant one whose
transform is known (control variate); mirrored noise toward the target, across a barrier and under
resets (where it gains nothing); one reset-free batch against a simulation at each of 200 rates;
differences along a curve on common random numbers against independent ones; splitting over barriers
of 10 and 25 times the noise, where plain simulation is extrapolated from its cost per step.

Measured on two virtual AMD EPYC cores, one thread, while other jobs ran: control variate 14 to 25;
mirrored noise 2.5 for a trap toward the target, 1.5 for a bent drift, about 1 across a barrier and
under resets; common random numbers 20 to 27 for neighbouring rates; splitting 40 to 75 at a barrier
of 10 (3 % error) and 5 10^7 at a barrier of 25 (5 %, a mean of 1.5 10^13 steps); the renewal sweep
2.9 ms for 10^5 runs at 200 rates, a thousandth of the 200 simulations that it replaces.

    python benchmarks/variance.py [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import resetsgd as rs

BENT = rs.Landscape(drift=lambda x: -1.0 - 0.2 * math.sin(x), diffusivity=0.5)
FLAT = rs.Landscape(drift=lambda x: -1.1, diffusivity=0.5)
KNOWN = rs.first_passage(rs.DriftDiffusion(drift=-1.1, diffusivity=0.5), 1.0, 0.0)
TRAP = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=0.1)
WALK = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
JOB: dict[str, Any] = {"threads": 1, "horizon": 1e6}
RATES = np.linspace(0.05, 10.0, 200)

Work = Callable[[int], float]
"""From a seed to the variance of the estimate it made."""


def well(noise: float) -> rs.Landscape:
    return rs.Landscape(lambda x: (x * x - 1.0) ** 2, diffusivity=noise)


def plain(process: Any, start: float, target: float, protocol: Any = None, **options: Any) -> Work:
    def work(seed: int) -> float:
        S = rs.simulate(process, start, target, protocol, seed=seed, **JOB, **options)
        return float(S.times.var(ddof=1)) / S.times.size  # not stderr, which sorts the sample

    return work


def mirrored(process: Any, start: float, target: float, protocol: Any = None, **more: Any) -> Work:
    def work(seed: int) -> float:
        return rs.antithetic(process, start, target, protocol, seed=seed, **JOB, **more).stderr ** 2

    return work


def controlled(paths: int) -> Work:
    def work(seed: int) -> float:
        S, C = (
            rs.simulate(process, 1.0, 0.0, paths=paths, step=0.02, seed=seed, **JOB)
            for process in (BENT, FLAT)
        )
        return rs.control_variate(S, KNOWN, control=C).stderr ** 2

    return work


def differences(common: bool, paths: int) -> Work:
    """Of the means at neighbouring rates."""

    def work(seed: int) -> float:
        found = rs.sweep(WALK, 1.0, 0.0, rates=[1.0, 1.05], paths=paths, seed=seed, threads=1)
        c = found.covariance
        return float(c[0, 0] + c[1, 1] - (2.0 * c[0, 1] if common else 0.0))

    return work


def ratio(before: Work, after: Work, rounds: int) -> float:
    """Median over rounds of variance times time, before over after."""
    found = []
    for seed in range(rounds + 1):
        costs = []
        for work in (before, after):
            began = time.perf_counter()
            variance = work(seed)
            costs.append(variance * (time.perf_counter() - began))
        found.append(costs[0] / costs[1])
    return statistics.median(found[1:])  # the first round compiles


def renewal(rounds: int) -> tuple[float, float]:
    """Milliseconds for 10^5 runs at 200 rates, and the time of 200 simulations over that."""
    S = rs.simulate(WALK, 1.0, 0.0, paths=100_000, threads=1)
    mine, theirs = [], []
    for seed in range(4 * rounds):
        began = time.perf_counter()
        rs.renewal_sweep(S, RATES)
        mine.append(time.perf_counter() - began)
        if seed < rounds:
            began = time.perf_counter()
            rs.simulate(WALK, 1.0, 0.0, rs.Poisson(1.0), paths=100_000, seed=seed, threads=1)
            theirs.append(time.perf_counter() - began)
    return 1e3 * min(mine), min(theirs) * RATES.size / min(mine)


def splitting(noise: float) -> tuple[float, float, float]:
    """Gain in time, relative error, mean over the step."""
    target = well(noise)
    rs.rare(target, -1.0, 1.0, paths=200, threads=1)
    began = time.perf_counter()
    found = rs.rare(target, -1.0, 1.0, threads=1)
    seconds = time.perf_counter() - began
    step = found.info["step"]
    S = rs.simulate(target, -1.0, -0.8, paths=20_000, step=step, **JOB)
    per_step = S.info["seconds"] / S.info["steps"]
    error = found.stderr / found.mean
    return found.mean / step * per_step / error**2 / seconds, error, found.mean / step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    n = 40_000
    jobs = {
        "control variate, bent drift": (
            plain(BENT, 1.0, 0.0, paths=n, step=0.02), controlled(n),
        ),
        "mirrored noise, trap toward the target": (
            plain(TRAP, 2.0, 0.5, paths=n), mirrored(TRAP, 2.0, 0.5, paths=n),
        ),
        "mirrored noise, bent drift": (
            plain(BENT, 1.0, 0.0, paths=n), mirrored(BENT, 1.0, 0.0, paths=n),
        ),
        "mirrored noise, over a barrier of 2": (
            plain(well(0.5), -1.0, 1.0, paths=n), mirrored(well(0.5), -1.0, 1.0, paths=n),
        ),
        "mirrored noise, trap under resets": (
            plain(TRAP, 2.0, 0.5, rs.Poisson(1.0), paths=n),
            mirrored(TRAP, 2.0, 0.5, rs.Poisson(1.0), paths=n),
        ),
        "common random numbers, rates 1 and 1.05": (
            differences(False, n), differences(True, n),
        ),
    }  # fmt: skip
    result: dict[str, Any] = {}
    print(f"{'variance x time, plain over':48}{'ratio':>10}")
    for name, (before, after) in jobs.items():
        result[name] = ratio(before, after, options.rounds)
        print(f"{name:48}{result[name]:10.3g}", flush=True)
    for noise in (0.1, 0.04):
        gain, error, steps = splitting(noise)
        name = f"splitting, barrier of {1 / noise:g}"
        result[name] = {"gain": gain, "error": error, "mean over step": steps}
        print(f"{name:48}{gain:10.3g}   error {error:.1%}, mean {steps:.2g} steps", flush=True)
    milliseconds, simulations = renewal(options.rounds)
    result["renewal sweep"] = {"ms": milliseconds, "ratio": simulations}
    print(f"{'renewal sweep, 1e5 runs x 200 rates':48}{simulations:10.3g}   {milliseconds:.2f} ms")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
