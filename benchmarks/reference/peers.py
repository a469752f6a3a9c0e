"""Job J1 by rivals that this project does not depend on; run by ``simulate.py --peers PYTHON``.

Each writes one line: its name and its processor time in ns for one path-step, or why it was left
out. All do plain Euler steps of 0.001. Rivals without resets (ssm-simulators, sinistra, diffrax)
do what they can of the job: the first passage of the same diffusion without resets. multires has
resets, and a wall of its own at 1.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
V, D, RATE, STEP = 0.5, 1.0, 1.0, 1e-3


def jax_scan() -> Callable[[], float]:
    """Lanes that begin anew when they arrive, in a compiled scan."""
    import jax
    import jax.numpy as jnp

    paths, steps = 4000, 2000
    noise = math.sqrt(2.0 * D * STEP)

    def step(carry: Any, key: Any) -> Any:
        x, hits = carry
        one, two = jax.random.split(key)
        x = x - V * STEP + noise * jax.random.normal(one, x.shape)
        x = jnp.where(jax.random.uniform(two, x.shape) < RATE * STEP, 1.0, x)
        arrived = x <= 0.0
        return (jnp.where(arrived, 1.0, x), hits + arrived), None

    @jax.jit
    def run(key: Any) -> Any:
        keys = jax.random.split(key, steps)
        start = (jnp.ones(paths, jnp.float32), jnp.zeros(paths, jnp.int32))
        return jax.lax.scan(step, start, keys)[0][1].sum()

    def job() -> float:
        run(jax.random.PRNGKey(0)).block_until_ready()
        return float(paths * steps)

    return job


def diffrax_event() -> Callable[[], float]:
    """Euler with an event at the target, one path after the other in a vmap, no resets."""
    import diffrax
    import jax
    import jax.numpy as jnp

    paths = 200
    event = diffrax.Event(lambda t, y, args, **kw: y[0] <= 0.0)

    def one(key: Any) -> Any:
        brownian = diffrax.UnsafeBrownianPath(shape=(1,), key=key)
        terms = diffrax.MultiTerm(
            diffrax.ODETerm(lambda t, y, a: jnp.array([-V])),
            diffrax.ControlTerm(lambda t, y, a: jnp.array([[math.sqrt(2.0 * D)]]), brownian),
        )
        return diffrax.diffeqsolve(
            terms, diffrax.Euler(), 0.0, 8.0, STEP, jnp.array([1.0]), event=event,
            max_steps=8001, adjoint=diffrax.ForwardMode(),
        ).ts[-1]  # fmt: skip

    run = jax.jit(jax.vmap(one))

    def job() -> float:
        times = run(jax.random.split(jax.random.PRNGKey(0), paths))
        return float(times.sum()) / STEP

    return job


def ssm_simulators() -> Callable[[], float]:
    """Its drift-diffusion model with the upper bound out of reach; no resets."""
    from ssms.basic_simulators.simulator import simulator

    unit = math.sqrt(2.0 * D)  # its noise has this deviation per square root of time
    theta = {"v": -V / unit, "a": 5.0, "z": 1.0 / unit / 10.0, "t": 0.0}

    def job() -> float:
        done = simulator(theta=theta, model="ddm", n_samples=2000, delta_t=STEP, max_t=40.0)
        return float(done["rts"].clip(0.0).sum() / STEP)

    return job


def brian2() -> Callable[[], float]:
    """Threshold and reset of neurons."""
    import brian2 as b2

    b2.prefs.codegen.target = "cython"
    b2.BrianLogger.suppress_hierarchy("brian2")
    paths, steps = 4000, 500
    b2.defaultclock.dt = 1 * b2.ms
    group = b2.NeuronGroup(
        paths, "dx/dt = -0.5/second + sqrt(2/second)*xi : 1", threshold="x <= 0", reset="x = 1",
        method="euler",
    )  # fmt: skip
    group.x = 1.0
    group.run_regularly("x = int(rand() < 0.001) + int(rand() >= 0.001)*x", dt=1 * b2.ms)
    network = b2.Network(group)

    def job() -> float:
        network.run(steps * b2.ms)
        return float(paths * steps)

    return job


def sinistra() -> Callable[[], float]:
    """Trials in Rust on all processors, steps of 0.001, the upper bound out of reach; no resets."""
    import sinistra as rust

    unit = math.sqrt(2.0 * D)
    bound = 10.0 / unit
    trials, longest = 2000, 10.0  # those not done by then are dropped from the times

    def job() -> float:
        _, times, late = rust.simulate(-V / unit, bound, 1.0 / unit / bound, 0.0, trials, 0)
        return float(times.sum() + late * longest) / STEP

    return job


def multires() -> Callable[[], float]:
    """Euler steps in plain Python, with resets; reflected at 1, so that it begins below."""
    import multires as resolutions
    import numpy as np

    np.random.seed(0)  # noqa: NPY002 (what the rival draws from)

    def job() -> float:
        return float(sum(len(resolutions.euler(-V, D, RATE, STEP, 0.9, 0.0)[0]) for _ in range(20)))

    return job


RIVALS = {
    "JAX scan with lane restart": jax_scan,
    "diffrax Euler with an event (no resets)": diffrax_event,
    "ssm-simulators ddm (no resets)": ssm_simulators,
    "sinistra, Rust (no resets)": sinistra,
    "brian2 (Cython)": brian2,
    "multires, plain Python": multires,
}


def main() -> None:
    for name, make in RIVALS.items():
        try:
            job = make()
            job()
            costs = []
            for _ in range(3):
                began = time.process_time()
                units = job()
                costs.append(1e9 * (time.process_time() - began) / units)
            row: dict[str, Any] = {"name": name, "ns": statistics.median(costs)}
        except Exception as error:  # whatever a rival does wrong is told, not ours to mend
            row = {"name": name, "why": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
