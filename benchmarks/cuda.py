"""How fast a CUDA device simulates: against this machine's processor with all its threads.

The jobs are those of ``simulate.py``: J1 is drift-diffusion under Poisson resets by plain Euler
steps, and by the default scheme; J2 the double well with a user's plain Python drift. Both sides do
the same paths; the wall's clock is taken, copies to and from the device included, compiling not.
Without a device it says why, and that is all.

    python benchmarks/cuda.py [--rounds 5] [--paths 4000000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from simulate import RESET, STEP, WALK, WELL, WELL_RESET, rounds, table

import resetsgd as rs

JOBS: dict[str, tuple[Any, ...]] = {
    "J1, plain Euler": (WALK, 1.0, 0.0, RESET, {"scheme": "euler", "step": STEP}, 0.25),
    "J1, default": (WALK, 1.0, 0.0, RESET, {}, 4.0),
    "J1, exact": (WALK, 1.0, 0.0, RESET, {"scheme": "exact"}, 4.0),
    "J2, user's drift, Heun with bridge": (
        WELL, -1.0, 1.0, WELL_RESET, {"scheme": "heun", "step": 0.01}, 0.25,
    ),
}  # fmt: skip
"""Process, start, target, protocol, options, and the paths over those asked for."""


def steps(name: str, paths: int, **where: Any) -> float:
    """Do a job; how many steps that was."""
    process, start, target, protocol, options, share = JOBS[name]
    count = max(1, int(share * paths))
    S = rs.simulate(process, start, target, protocol, paths=count, **options, **where)
    return float(S.info["steps"])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--paths", type=int, default=4_000_000)
    options.add_argument("--processor-paths", type=int, default=200_000)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    try:
        S = rs.simulate(WALK, 1.0, 0.0, RESET, paths=10, device="cuda")
    except rs.NoDevice as error:
        print(f"not measured: {error}")
        return
    result: dict[str, Any] = {"device": S.info["device"]}
    print(result["device"])
    for name in JOBS:
        began = time.perf_counter()
        steps(name, 1000, device="cuda")
        compiling = time.perf_counter() - began
        found = rounds(
            {
                result["device"]: lambda name=name: steps(name, given.paths, device="cuda"),
                "this processor": lambda name=name: steps(name, given.processor_paths),
            },
            given.rounds,
            time.perf_counter,
        )
        result[name] = table(f"{name}; compiled in {compiling:.1f} s", "ns a step", found)
        result[name]["compiling"] = compiling
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
