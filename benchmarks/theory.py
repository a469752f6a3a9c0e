"""How fast exact theory answers: against the textbook formula in NumPy, and the package kramers.

A scalar mean checks its arguments and is right over 24 decades; the textbook line does neither. So
the ratios say what that costs. Rounds are interleaved, so that whatever else the machine does meets
all of them; the smallest time of each counts. Densities solved on a grid are the rivals of
``benchmarks/landscape.py``.

    python benchmarks/theory.py [--rounds 7]

Measured in one run (two cores shared with other work, processor time), scalar means without and
under resets in microseconds, 10^6 of each in milliseconds, best rate in milliseconds:

================== ===== ======= ========= ============ =====
law                 free Poisson 10^6 free 10^6 Poisson  best
================== ===== ======= ========= ============ =====
half line            3.4     6.7        15          50  0.47
interval             3.8    13.6        68         116  0.79
near an end          3.9    13.4        64         114   1.4
wall                 5.7     8.6       100          92  0.61
bowl                10.3    17.4       149         158   1.4
ball                 5.7    12.2        29          66  0.72
ball from outside    5.8    13.6        29          49  0.83
trap                 2.7     5.7        48          49  0.90
telegraph exit       5.2     8.2         6         106  0.87
================== ===== ======= ========= ============ =====

The textbook line under resets takes 0.6 us and kramers 0.1.0 0.5 us, 11 and 13 times less than the
half line: what arguments checked and 24 decades cost.
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
CLOSED = {
    "interval": lambda v: rs.first_passage(rs.DriftDiffusion(v, 1.0), 0.6, (0.0, 2.0)),
    "near an end": lambda v: rs.first_passage(rs.DriftDiffusion(v, 1.0), 0.1, (0.0, 2.0)),
    "wall": lambda v: rs.first_passage(rs.DriftDiffusion(-v, 1.0), 0.8, 0.0, wall=1.5),
    "bowl": lambda v: rs.first_passage(rs.OrnsteinUhlenbeck(v, 0.0, 1.0), 0.2, 1.3),
    "ball": lambda v: rs.first_passage(rs.Bessel(3.0, v), 0.5, 1.6),
    "ball from outside": lambda v: rs.first_passage(rs.Bessel(3.0, v), 1.6, 0.5),
    "trap": lambda v: rs.first_passage(rs.LinearTrap(v, 1.0), -0.5, 0.7),
    "telegraph exit": lambda v: rs.first_passage(rs.Telegraph(1.5, v), 0.8, (0.0, 2.0)),
}
"""Other closed forms, against one parameter; 1.2 gives the law of the scalar rows."""
WELL = rs.Landscape(lambda x: (x**2 - 1) ** 2, diffusivity=0.1)
RATES = np.geomspace(1e-8, 1e2, 200)
TIMES = np.geomspace(1.0, 1e6, 200)


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


def landscape_rates() -> Any:
    return rs.first_passage(WELL, -1.0, 1.0).under(rs.Poisson(RATES)).mean()


def landscape_density() -> Any:
    return rs.first_passage(WELL, -1.0, 1.0).density(TIMES)


def other_closed_forms(table: dict[str, Case]) -> None:
    """Rows of the closed forms that have no peer."""
    for name, make in CLOSED.items():
        law = make(1.2)
        reset = law.under(rs.Poisson(0.7))
        table[f"free mean, {name}"] = (law.mean, None, 200, 20e-6)
        table[f"mean under Poisson, {name}"] = (reset.mean, None, 100, 20e-6)
        table[f"10^6 free means, {name}"] = (lambda make=make: make(MILLION).mean(), None, 1, 0.2)
        table[f"10^6 means under Poisson, {name}"] = (
            lambda law=law: law.under(rs.Poisson(MILLION)).mean(), None, 1, 0.2,
        )  # fmt: skip
        table[f"best rate, {name}"] = (lambda law=law: law.best(rs.Poisson), None, 5, 1e-3)
        table[f"density at 200 times, {name}"] = (
            lambda law=law: law.density(TIMES / 1e3), None, 2, 50e-3,
        )  # fmt: skip


Case = tuple[Callable[[], Any], Callable[[], Any] | None, int, float]


def cases() -> dict[str, Case]:
    """Name -> ours, the peer or None, calls a round, the target in seconds (inf: none)."""
    no_target = float("inf")
    table: dict[str, Case] = {
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
        "density at 200 times": (lambda: RESET.density(TIMES / 1e3), None, 5, 50e-3),
        "landscape, mean at 200 rates, with set-up": (landscape_rates, None, 3, 10e-3),
        "landscape, density at 200 times, with set-up": (landscape_density, None, 3, 50e-3),
    }  # fmt: skip
    other_closed_forms(table)
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
                if function is None:
                    continue
                function()
                began = time.process_time()
                for _ in range(calls):
                    function()
                seconds[name][side].append((time.process_time() - began) / calls)
    record = {}
    print(f"{'':42s}{'ours':>12s}{'peer':>12s}{'ratio':>9s}   target")
    for name, (_, _, _, target) in table.items():
        ours, peer = (min(values, default=float("nan")) for values in seconds[name])
        if name.startswith("1000"):
            ours /= MANY.size
        met = "" if np.isinf(target) else f"{target:8.0e} {'met' if ours <= target else 'MISSED'}"
        beside = f"{peer * 1e6:9.1f} us{ours / peer:9.2f}" if peer == peer else " " * 21
        print(f"{name:46s}{ours * 1e6:11.1f} us{beside}   {met}")
        record[name] = {"seconds": ours}
        if peer == peer:
            record[name] |= {"peer": peer, "ratio": ours / peer}
    print(json.dumps(record))


if __name__ == "__main__":
    main()
