"""How fast passage times in arbitrary landscapes are, and against a density solved on a grid.

Jobs, all in the double well U = (x² - 1)², D = 0.1, from -1 to 1 unless said otherwise: the set-up
(panels, error estimate, moments); the mean against 200 reset rates over ten decades; density and
survival at 200 times over six decades. "First" counts what is made on first use at new s, "again"
does not; neither counts compiling, which numba keeps on disk.

The rival is PyDDM 0.9 (``pip install pyddm``; skipped where absent): the density of the passage
time by its implicit solver on a grid of positions and times, here for a particle in the bowl
U = (x + 0.2)² of diffusivity 1/2 that leaves (-1, 1), the kind of problem it is made for. Both give
the survival function at 200 times up to 4. PyDDM's Crank-Nicolson solver is used, which is of
second order if its times are read as the middles of steps (as they are here; its default, implicit
Euler, is of first order): the error falls with the square of the steps, the time rises with their
square. Ours is exact to 1e-12 and has no setting to make it worse, so that the ratio depends on the
accuracy that is asked for.

Measured on one of two shared virtual AMD EPYC cores: set-up 2.0 ms; mean at 200 rates 2.6 ms with
the set-up, 0.41 ms again; density at 200 times 4.0 ms with the set-up, 1.7 ms again; best Poisson
rate 3.4 ms. Survival in the bowl 9.1 ms with the set-up; PyDDM takes 2.6 times as long for an error
of 4e-4, 12 times for 2e-5, 36 times for 3.5e-6 and 168 times for 8e-7. With implicit Euler, PyDDM's
default, the break-even lies at 1e-3 and 1e-4 costs 32 times as much as ours.

Times are processor times (``time.process_time``), medians of rounds; one thread.

    python benchmarks/landscape.py [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

import resetsgd as rs  # noqa: E402

WELL = rs.Landscape(lambda x: (x**2 - 1) ** 2, diffusivity=0.1)
RATES = np.geomspace(1e-8, 1e2, 200)
TIMES = np.geomspace(1.0, 1e6, 200)
BOWL = rs.Landscape(lambda x: (x + 0.2) ** 2, diffusivity=0.5)
GRID = np.linspace(0.02, 4.0, 200)


def cost(job: Callable[[], Any], rounds: int) -> float:
    """Median processor seconds."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        job()
        found.append(time.process_time() - began)
    return statistics.median(found)


def fresh() -> Any:
    return rs.first_passage(WELL, -1.0, 1.0)


def ours(rounds: int) -> dict[str, float]:
    """Milliseconds of each job."""
    jobs: dict[str, Callable[[], Any]] = {
        "mean at 200 rates": lambda T=None: (T or fresh()).under(rs.Poisson(RATES)).mean(),
        "density at 200 times": lambda T=None: (T or fresh()).density(TIMES),
        "survival at 200 times": lambda T=None: (T or fresh()).survival(TIMES),
    }
    for job in jobs.values():
        job()
    T = fresh()
    result = {"set-up": 1e3 * cost(fresh, 5 * rounds)}
    for name, job in jobs.items():
        job(T)
        result[f"{name}, again"] = 1e3 * cost(lambda job=job: job(T), 5 * rounds)
        result[f"{name}, first, with set-up"] = 1e3 * cost(job, rounds)
    best = rs.first_passage(WELL, -0.5, 1.0)
    best.best(rs.Poisson)
    result["best Poisson rate"] = 1e3 * cost(lambda: best.best(rs.Poisson), rounds)
    for name, value in result.items():
        print(f"{name:44}{value:12.2f} ms")
    return result


def by_pyddm(dx: float, dt: float) -> np.ndarray:
    """Survival at ``GRID`` by PyDDM; its drift is a function, its bounds are at -1 and 1."""
    import pyddm

    model = pyddm.gddm(
        drift=lambda x: -2.0 * (x + 0.2),  # dx = drift dt + noise dW
        noise=1.0,
        bound=1.0,
        starting_position=0.0,
        nondecision=0.0,
        mixture_coef=0.0,
        dx=dx,
        dt=dt,
        T_dur=float(GRID[-1]),
    )
    solution = model.solve_numerical_cn()
    arrived = np.cumsum(np.asarray(solution.pdf("_top")) + np.asarray(solution.pdf("_bottom")))
    return np.asarray(1.0 - np.interp(GRID, solution.t_domain + 0.5 * dt, arrived * dt))


def rival(rounds: int) -> dict[str, Any] | None:
    """Errors and times of PyDDM, and ours."""
    try:
        import pyddm

        pyddm.set_N_cpus(1)
    except ImportError as error:
        print(f"PyDDM: skipped, not installed ({error})")
        return None

    def mine() -> Any:
        return rs.first_passage(BOWL, 0.0, (-1.0, 1.0)).survival(GRID)

    exact = mine()
    seconds = cost(mine, 3 * rounds)
    print(f"\n{'survival at 200 times, bowl':44}{'ms':>12}{'worst error':>14}{'ratio':>9}")
    print(f"{'ours, with set-up':44}{1e3 * seconds:12.2f}{'1e-12':>14}")
    rows = []
    for dx, dt in ((0.02, 0.02), (0.01, 0.01), (0.005, 0.005), (0.002, 0.002), (0.001, 0.0005)):
        error = float(np.max(np.abs(by_pyddm(dx, dt) - exact)))
        spent = cost(lambda dx=dx, dt=dt: by_pyddm(dx, dt), 1 if dt < 0.001 else rounds)
        rows.append({"dx": dx, "dt": dt, "ms": 1e3 * spent, "error": error})
        rows[-1]["ratio"] = spent / seconds
        name = f"PyDDM, dx = {dx:g}, dt = {dt:g}"
        print(f"{name:44}{1e3 * spent:12.1f}{error:14.1e}{spent / seconds:9.1f}")
    return {"ours_ms": 1e3 * seconds, "pyddm": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = {"ours": ours(options.rounds), "pyddm": rival(options.rounds)}
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
