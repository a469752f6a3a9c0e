"""No finite input hangs ``simulate`` or gives NaN: a child process calls, 5 s at most each."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from resetsgd.montecarlo.kernels.compiling import settings

CALLS = 100
LIMIT = 5.0

CHILD = """
import json, math, random, sys, time, warnings
import numpy as np
import resetsgd as rs

warnings.simplefilter("ignore")
draw, more = random.Random(int(sys.argv[1])), random.Random(int(sys.argv[1]) + 1000)
HARD = [0.0, -0.0, 5e-324, 1e-310, 2.3e-308, 1e-308, 1e308, 1.7e308, 1e-200, 1e200, 1e-17, 1e16,
        1.0, 0.5, 3.0]

def number(positive=False):
    value = draw.choice(HARD) if draw.random() < 0.2 else math.exp(draw.gauss(0.0, 1.5))
    return value if positive or draw.random() < 0.5 else -value

def process():
    made = [
        lambda: rs.DriftDiffusion(drift=number(), diffusivity=number(True)),
        lambda: rs.OrnsteinUhlenbeck(stiffness=number(True), center=number(),
                                     diffusivity=number(True)),
        lambda: rs.LinearTrap(slope=number(), diffusivity=number(True)),
        lambda: rs.Bessel(dimension=number(True), diffusivity=number(True)),
        lambda: rs.Telegraph(speed=number(True), flip_rate=number(True)),
        lambda: rs.Landscape(drift=lambda x: -x, diffusivity=number(True)),
        lambda: rs.Landscape(drift=lambda x: x - x**3, diffusivity=number(True)),
    ]
    return draw.choice(made)()

def protocol():
    made = [
        lambda: None, lambda: rs.Poisson(number(True)), lambda: rs.Sharp(number(True)),
        lambda: rs.Geometric(probability=min(number(True), 1.0), step=number(True)),
    ]
    return draw.choice(made)()

bowl = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=1.0)
for scheme in ("heun", "exact"):
    rs.simulate(bowl, 1.0, 0.0, rs.Poisson(1.0), paths=2, threads=1, scheme=scheme)
rs.simulate(rs.Bessel(3.0, 1.0), 1.0, 2.0, paths=2, threads=1)
rs.simulate(bowl, 1.0, 0.0, paths=2, threads=1, record=rs.Record(0.1))
for call in range(int(sys.argv[2])):
    said, began, given = "?", time.perf_counter(), None
    try:
        options = {"paths": 20, "threads": 1, "budget": 10**6, "seed": call}
        if draw.random() < 0.6:
            options["horizon"] = number(True)
        if draw.random() < 0.2:
            options["step"] = number(True)
        if more.random() < 0.3:
            options["scheme"] = more.choice(["exact", "bridge", "heun"])
        if more.random() < 0.2:
            options["partial"] = more.choice([0.0, 0.5, 0.999])
        if more.random() < 0.2:
            options["record"] = rs.Record(math.exp(more.gauss(0.0, 3.0)), paths=3)
        start, target = number(), number()
        if draw.random() < 0.25:
            target = tuple(sorted((target, number())))
        given = (process(), start, target, protocol(), options)
        print(json.dumps({"begun": repr(given)}), flush=True)
        began = time.perf_counter()
        S = rs.simulate(given[0], start, target, given[3], **options)
        said = "fine"
        if not (np.isfinite(S.times).all() and (S.times >= 0).all() and (S.resets >= 0).all()):
            said = "not finite"
        if S.record is not None and not (
                np.isfinite(S.record.positions[np.isfinite(S.record.times)]).all()):
            said = "a record that is not finite"
        if math.isfinite(options.get("horizon", math.inf)) and (
                S.times > options["horizon"]).any():
            said = "beyond the horizon"
    except rs.ResetSGDError as error:
        said = "refused"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    print(json.dumps({"said": said, "seconds": time.perf_counter() - began}), flush=True)
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_no_finite_input_hangs_or_gives_nan(seed: int) -> None:
    if settings.DISABLE_JIT:
        pytest.skip("interpreted, a call takes minutes")
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(seed), str(CALLS // 2)],
            check=False, capture_output=True, text=True, timeout=CALLS / 2 * LIMIT,
        )  # fmt: skip
        printed, failed = done.stdout, done.stderr if done.returncode else ""
    except subprocess.TimeoutExpired as error:
        printed, failed = (error.stdout or b"").decode(), "hangs"
    lines = [json.loads(line) for line in printed.splitlines()]
    last, wrong, fine = "", [], 0
    for line in lines:
        last = line.get("begun", last)
        if "said" in line:
            fine += line["said"] == "fine"
            if line["said"] not in ("fine", "refused") or line["seconds"] > LIMIT:
                wrong.append((line, last))
    assert not failed, (failed, last)
    assert not wrong, wrong
    assert sum("said" in line for line in lines) == CALLS // 2
    assert fine >= 5  # the twin of a test that only ever sees refusals
