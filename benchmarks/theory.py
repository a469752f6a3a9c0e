"""How fast exact theory answers: against the textbook formula in NumPy, and the package kramers.

A scalar mean checks its arguments and is right over 24 decades; the textbook line does neither. So
the ratios say what that costs. Rounds are interleaved, so that whatever else the machine does meets
all of them; the smallest time of each counts.

    python benchmarks/theory.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

import resetsgd as rs

MILLION = np.random.default_rng(0).uniform(0.1, 3.0, 10**6)
MANY = MILLION[:1000]
WALK = rs.first_passage(rs.DriftDiffusion(-0.5, 1.0), start=1.0, target=0.0)
STILL = rs.first_passage(rs.DriftDiffusion(0.0, 1.0), start=1.0, target=0.0)
RESET = WALK.under(rs.Poisson(0.7))


def textbook(v: Any, L: Any, D: Any, r: Any) -> Any:
    """The mean under resetting as it is printed."""
    return (np.exp(L / (2 * D) * (np.sqrt(v**2 + 4 * D * r) - v)) - 1) / r


def ours_from_nothing() -> float:
    walk = rs.DriftDiffusion(-0.5, 1.0)
    mean = rs.first_passage(walk, start=1.0, target=0.0).under(rs.Poisson(0.7)).mean()
    return float(np.asarray(mean))


def free_from_nothing() -> float:
    law = rs.first_passage(rs.DriftDiffusion(-0.5, 1.0), start=1.0, target=0.0)
    return float(np.asarray(law.mean()))


def a_million_free() -> Any:
    return rs.first_passage(rs.DriftDiffusion(-MILLION, 1.0), start=1.0, target=0.0).mean()


def a_million_reset() -> Any:
    return WALK.under(rs.Poisson(MILLION)).mean()


def a_thousand_optima() -> Any:
    return rs.first_passage(rs.DriftDiffusion(MANY - 1.0, 1.0), 1.0, 0.0).best(rs.Poisson)


def minimised() -> Any:
    """What one writes without the package: a bounded minimisation of the textbook line."""
    return minimize_scalar(
        lambda z: textbook(0.5, 1.0, 1.0, np.exp(z)), bounds=(-20, 20), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip


def cases() -> dict[str, tuple[Callable[[], Any], Callable[[], Any], int, float]]:
    """Name -> ours, the peer, calls a round, the target in seconds (inf: none)."""
    no_target = float("inf")
    table: dict[str, tuple[Callable[[], Any], Callable[[], Any], int, float]] = {
        "free mean": (WALK.mean, lambda: 1.0 / np.float64(0.5), 2000, 20e-6),
        "free mean, from the process on": (
            free_from_nothing, lambda: 1.0 / np.float64(0.5), 1000, 20e-6,
        ),
        "mean under Poisson": (
            RESET.mean, lambda: textbook(0.5, 1.0, 1.0, 0.7), 1000, 20e-6,
        ),
        "mean under Poisson, from the process on": (
            ours_from_nothing, lambda: textbook(0.5, 1.0, 1.0, 0.7), 500, no_target,
        ),
        "10^6 free means": (a_million_free, lambda: 1.0 / MILLION, 2, 0.2),
        "10^6 means under Poisson": (
            a_million_reset, lambda: textbook(0.5, 1.0, 1.0, MILLION), 2, 0.2,
        ),
        "best rate": (lambda: WALK.best(rs.Poisson), minimised, 50, 1e-3),
        "1000 best rates, each": (a_thousand_optima, minimised, 1, no_target),
        "best period": (lambda: WALK.best(rs.Sharp), minimised, 5, no_target),
    }  # fmt: skip
    try:
        from kramers.handbook.k0015_resetting_mean_time import resetting_mean_time
        from kramers.handbook.k0016_resetting_optimal_rate import resetting_optimal_rate
    except ImportError:
        return table
    still = STILL.under(rs.Poisson(0.7))
    table["mean under Poisson, against kramers"] = (
        still.mean, lambda: resetting_mean_time(1.0, 0.7, 1.0), 1000, 20e-6,
    )  # fmt: skip
    table["best rate without drift, against kramers"] = (
        lambda: STILL.best(rs.Poisson), lambda: resetting_optimal_rate(1.0, 1.0), 50, 1e-3,
    )  # fmt: skip
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    table = cases()
    seconds: dict[str, list[list[float]]] = {name: [[], []] for name in table}
    for _ in range(rounds):
        for name, (ours, peer, calls, _target) in table.items():
            for side, function in enumerate((ours, peer)):
                function()
                began = time.perf_counter()
                for _ in range(calls):
                    function()
                seconds[name][side].append((time.perf_counter() - began) / calls)
    record = {}
    print(f"{'':42s}{'ours':>12s}{'peer':>12s}{'ratio':>9s}   target")
    for name, (_, _, _, target) in table.items():
        ours, peer = (min(values) for values in seconds[name])
        if name.startswith("1000"):
            ours /= MANY.size
        met = "" if np.isinf(target) else f"{target:8.0e} {'met' if ours <= target else 'MISSED'}"
        print(f"{name:42s}{ours * 1e6:9.1f} us{peer * 1e6:9.1f} us{ours / peer:9.2f}   {met}")
        record[name] = {"seconds": ours, "peer": peer, "ratio": ours / peer}
    print(json.dumps(record))


if __name__ == "__main__":
    main()
