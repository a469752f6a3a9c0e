"""How fast motion in many dimensions is simulated: ours against what people would write.

Job J3: U = sum k_i x_i² / 2 with k from 0.5 to 4 and diffusivities D_i from 1 to 0.2 (both
geometric), from 1.5 (1, ..., 1) to the ball whose radius is the stationary root mean square
distance, Poisson resets at rate 1, plain Euler steps of 1e-3 looked at after each step, one thread;
d = 10 and 100. Rivals at the same step: (a) a numba loop over paths in ``prange`` with a normal
from ``np.random`` for each component and a coin for each step; (b) NumPy on all living paths at
once, dropped as they arrive; (c) the same in torch.

The unit is one component of one step of one path. Rounds are interleaved and their processor time
is taken; ratios are medians of the ratios within a round.

    python benchmarks/space.py [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numba
import numpy as np
from simulate import rounds, table

import resetsgd as rs

STEP, RATE = 1e-3, 1.0


class Job:
    """The quadratic bowl in d dimensions."""

    def __init__(self, dimension: int) -> None:
        self.d = dimension
        self.k = np.geomspace(0.5, 4.0, dimension)
        self.D = np.geomspace(1.0, 0.2, dimension)
        self.radius = math.sqrt(float((self.D / self.k).sum()))
        self.start = np.full(dimension, 1.5)
        k = self.k
        self.toy = rs.landscapes.quadratic(self.k).langevin(diffusivity=self.D)
        self.own = rs.Langevin(gradient=lambda x: k * x, dimension=dimension, diffusivity=self.D)
        self.target = rs.targets.ball(np.zeros(dimension), self.radius)

    def ours(self, paths: int, process: Any = None, **options: Any) -> float:
        S = rs.simulate(
            process or self.toy, self.start, self.target, rs.Poisson(RATE), paths=paths,
            **{"step": STEP, "scheme": "euler", "threads": 1, **options},
        )  # fmt: skip
        return float(S.info["steps"] * self.d)

    def naive(self, paths: int) -> float:
        times = np.empty(paths)
        _naive(times, self.start, self.k, np.sqrt(2 * self.D * STEP), self.radius**2)
        return float(times.sum() / STEP * self.d)

    def compacted(self, paths: int, generator: np.random.Generator) -> float:
        x = np.tile(self.start, (paths, 1))
        spread, made = np.sqrt(2 * self.D * STEP), 0
        while len(x):
            made += x.size
            x += -self.k * x * STEP + spread * generator.standard_normal(x.shape)
            x[generator.random(len(x)) < RATE * STEP] = self.start
            x = x[(x * x).sum(axis=1) > self.radius**2]
        return float(made)

    def by_torch(self, paths: int) -> float:
        import torch

        torch.set_num_threads(1)
        f32 = {"dtype": torch.float32}
        start, k = torch.tensor(self.start, **f32), torch.tensor(self.k, **f32)
        spread = torch.tensor(np.sqrt(2 * self.D * STEP), **f32)
        x, made = start.repeat(paths, 1), 0
        while len(x):
            made += x.numel()
            x = x - k * x * STEP + spread * torch.randn_like(x)
            x = torch.where((torch.rand(len(x)) < RATE * STEP)[:, None], start, x)
            x = x[(x * x).sum(dim=1) > self.radius**2]
        return float(made)


@numba.njit(parallel=True)
def _naive(times: Any, start: Any, k: Any, spread: Any, square: float) -> None:
    for i in numba.prange(len(times)):
        x, t = start.copy(), 0.0
        while (x * x).sum() > square:
            for j in range(len(x)):
                x[j] += -k[j] * x[j] * STEP + spread[j] * np.random.normal()  # noqa: NPY002
            t += STEP
            if np.random.random() < RATE * STEP:  # noqa: NPY002
                x[:] = start
        times[i] = t


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    numba.set_num_threads(1)
    generator = np.random.default_rng(0)
    result = {}
    for d, many, few in ((10, 20_000, 500), (100, 1000, 64)):
        job = Job(d)
        jobs: dict[str, Any] = {
            "ours, float64": lambda job=job, n=many: job.ours(n),
            "ours, float32": lambda job=job, n=many: job.ours(n, precision="single"),
            "ours, float64, Heun with bridge": lambda job=job, n=many: job.ours(n, scheme="heun"),
            "ours, float64, gradient k * x": lambda job=job, n=many: job.ours(n // 4, job.own),
            "naive numba (np.random in prange)": lambda job=job, n=few: job.naive(n),
            "NumPy, compaction, 1000 paths": lambda job=job: job.compacted(1000, generator),
        }
        try:
            import torch  # noqa: F401

            name = "torch CPU, float32, compaction, 1000 paths"
            jobs[name] = lambda job=job: job.by_torch(1000)
        except ImportError:
            print("torch is not installed: left out")
        result[f"d = {d}"] = table(
            f"J3, one plain Euler step of {STEP:g}, d = {d}, one thread", "ns a component",
            rounds(jobs, options.rounds),
        )  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
