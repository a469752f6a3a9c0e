"""How fast toy SGD trains in bulk: our kernel against four ways people would write it.

Job J4: linear regression, 200 samples of 20 inputs, 40 % of the labels corrupted, batches of 10 at
learning rate 0.05, a reset coin of 0.001 at each step, until the squared distance to the teacher is
at most 0.15 (about 1,700 steps). Rivals, all with the same steps and a fixed number of them: (a) a
numba loop with ``np.random.randint`` and a coin; (b) NumPy, 2,000 replicas at once; (c) torch on
the processor, the same; (d) a jitted JAX scan, where JAX is installed.

One core each, in processor time of the one thread that works, so that waiting for a busy machine
does not count; rounds are interleaved, so that whatever else slows the processor meets all of them.
Ratios are medians of the ratios within a round. The second table is in wall-clock time and means
something on an idle machine only.

    python benchmarks/toy_sgd.py [--rounds 15] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

import resetsgd as rs

ETA, BATCH, PROBABILITY, LEVEL = 0.05, 10, 1e-3, 0.15
TASK = rs.LinearTask.drawn(200, 20, noise_rate=0.4, seed=1)
X, Y, TEACHER = TASK.inputs, TASK.labels, TASK.teacher
TARGET = rs.Reaches("distance", below=LEVEL)

Job = Callable[[], tuple[float, float]]
"""Does the work; returns how many SGD steps that was and the seconds it took."""


def ours(replicas: int, threads: int = 1, precision: str = "double") -> tuple[float, float]:
    S = rs.simulate_sgd(
        TASK, TARGET, learning_rate=ETA, batch_size=BATCH, protocol=rs.Geometric(PROBABILITY),
        replicas=replicas, horizon=10**6, threads=threads, precision=precision,
    )  # fmt: skip
    return float(S.info["steps"]), float(S.info["seconds"])


def alone(replicas: int, precision: str = "double") -> tuple[float, float]:
    """In the calling thread, everything counted from the call to the result."""
    began = time.thread_time()
    steps, _ = ours(replicas, precision=precision)
    return steps, time.thread_time() - began


@numba.njit(error_model="numpy")
def _naive(x: Any, y: Any, teacher: Any, steps: int) -> int:
    n, d = x.shape
    theta, gradient, arrived = np.zeros(d), np.zeros(d), 0
    for _ in range(steps):
        gradient[:] = 0.0
        for _ in range(BATCH):
            i = np.random.randint(n)  # noqa: NPY002
            residual = -y[i]
            for k in range(d):
                residual += x[i, k] * theta[k]
            for k in range(d):
                gradient[k] += residual * x[i, k]
        for k in range(d):
            theta[k] -= ETA / BATCH * gradient[k]
        if np.random.random() < PROBABILITY:  # noqa: NPY002
            theta[:] = 0.0
        distance = 0.0
        for k in range(d):
            distance += (theta[k] - teacher[k]) ** 2
        if distance <= LEVEL:
            arrived += 1
            theta[:] = 0.0
    return arrived


def naive(steps: int) -> tuple[float, float]:
    began = time.thread_time()
    _naive(X, Y, TEACHER, steps)
    return float(steps), time.thread_time() - began


def numpy_steps(replicas: int, steps: int) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    theta = np.zeros((replicas, 20))
    began = time.thread_time()
    for _ in range(steps):
        rows = generator.integers(200, size=(replicas, BATCH))
        x = X[rows]
        residual = np.einsum("rbk,rk->rb", x, theta) - Y[rows]
        theta -= ETA / BATCH * np.einsum("rbk,rb->rk", x, residual)
        theta[generator.random(replicas) < PROBABILITY] = 0.0
        theta[((theta - TEACHER) ** 2).sum(axis=1) <= LEVEL] = 0.0
    return float(replicas * steps), time.thread_time() - began


def torch_steps(replicas: int, steps: int) -> tuple[float, float]:
    import torch

    torch.set_num_threads(1)
    x_all, y_all, teacher = (torch.tensor(a, dtype=torch.float32) for a in (X, Y, TEACHER))
    theta = torch.zeros(replicas, 20)
    began = time.thread_time()
    with torch.no_grad():
        for _ in range(steps):
            rows = torch.randint(200, (replicas, BATCH))
            x = x_all[rows]
            residual = torch.bmm(x, theta.unsqueeze(2)).squeeze(2) - y_all[rows]
            gradient = torch.bmm(residual.unsqueeze(1), x).squeeze(1)
            theta -= ETA / BATCH * gradient
            theta[torch.rand(replicas) < PROBABILITY] = 0.0
            theta[((theta - teacher) ** 2).sum(1) <= LEVEL] = 0.0
    return float(replicas * steps), time.thread_time() - began


def jax_steps(replicas: int, steps: int) -> Job | None:
    """The compiled scan, or None without JAX."""
    try:
        import jax
    except ImportError:
        return None
    jnp = jax.numpy
    x_all, y_all, teacher = (jnp.asarray(a, jnp.float32) for a in (X, Y, TEACHER))

    def step(state: Any, key: Any) -> Any:
        first, second = jax.random.split(key)
        rows = jax.random.randint(first, (replicas, BATCH), 0, 200)
        x = x_all[rows]
        residual = jnp.einsum("rbk,rk->rb", x, state) - y_all[rows]
        state = state - ETA / BATCH * jnp.einsum("rbk,rb->rk", x, residual)
        coin = jax.random.uniform(second, (replicas,)) < PROBABILITY
        arrived = ((state - teacher) ** 2).sum(1) <= LEVEL
        return jnp.where((coin | arrived)[:, None], 0.0, state), None

    scan = jax.jit(lambda s, k: jax.lax.scan(step, s, jax.random.split(k, steps))[0])

    def work() -> tuple[float, float]:
        began = time.thread_time()
        scan(jnp.zeros((replicas, 20)), jax.random.PRNGKey(0)).block_until_ready()
        return float(replicas * steps), time.thread_time() - began

    return work


def measured(jobs: dict[str, Job], rounds: int) -> dict[str, dict[str, float]]:
    """Nanoseconds a step: least and median over the rounds; median ratio to the first's."""
    for job in jobs.values():
        job()  # compiles, fills caches
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            steps, seconds = job()
            found[name].append(1e9 * seconds / steps)
    first = next(iter(found.values()))
    return {
        name: {
            "least_ns": min(values),
            "median_ns": statistics.median(values),
            "ratio": statistics.median(a / b for a, b in zip(values, first, strict=True)),
        }
        for name, values in found.items()
    }


def table(title: str, rows: dict[str, dict[str, float]]) -> None:
    print(f"\n{title}\n{'':34}{'least ns':>12}{'median ns':>12}{'ratio':>8}")
    for name, row in rows.items():
        numbers = f"{row['least_ns']:12.1f}{row['median_ns']:12.1f}{row['ratio']:8.2f}"
        print(f"{name:34}{numbers}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    jobs: dict[str, Job] = {
        "ours": lambda: alone(600),
        "ours, float32": lambda: alone(600, "single"),
        "naive numba": lambda: naive(50_000),
        "NumPy, 2,000 replicas": lambda: numpy_steps(2_000, 5),
        "torch, 2,000 replicas": lambda: torch_steps(2_000, 5),
    }
    scan = jax_steps(2_000, 5)
    if scan is not None:
        jobs["JAX scan, 2,000 replicas"] = scan
    result = {"one core": measured(jobs, options.rounds)}
    table("One SGD step, one core", result["one core"])
    cores: dict[str, Job] = {
        "two threads": lambda: ours(400, 2),
        "one thread": lambda: ours(400, 1),
    }
    result["threads"] = measured(cores, options.rounds)
    table("Two threads", result["threads"])
    one, two = (
        rs.simulate_sgd(
            TASK, TARGET, learning_rate=ETA, batch_size=BATCH, horizon=10**6, replicas=100,
            protocol=rs.Geometric(PROBABILITY), threads=threads, parameters=True,
        )
        for threads in (1, 2)
    )  # fmt: skip
    assert (one.times == two.times).all() and (one.parameters == two.parameters).all()
    print("\nbits for one and two threads: the same")
    if scan is None:
        print("JAX is not installed: not measured")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
