"""``resetsgd warmup`` leaves compiled kernels behind, and the first simulation starts at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from resetsgd import cli
from resetsgd.montecarlo.kernels.compiling import cache_folder, settings

FIRST = """
import time, resetsgd as rs
bowl = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=0.5)
rs.simulate, rs.Poisson  # imports
began = time.process_time()
rs.simulate(bowl, 1.0, 0.0, rs.Poisson(0.5), paths=100, threads=1)
first, began = time.process_time() - began, time.process_time()
rs.simulate(bowl, 1.0, 0.0, rs.Poisson(0.5), paths=100, threads=1)
print(first, time.process_time() - began)
"""


def test_after_warming_up_the_first_simulation_starts_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["warmup"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("ready after ")
    folder = cache_folder()
    if settings.DISABLE_JIT or folder is None:
        return
    assert str(folder) in printed
    assert any(Path(folder).rglob("line.line-*.nbc"))
    done = subprocess.run(
        [sys.executable, "-c", FIRST], capture_output=True, text=True, check=True, timeout=120
    )
    first, later = (float(word) for word in done.stdout.split())
    assert first < 1.3
    assert later < 0.01


def test_other_kinds_are_compiled_by_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["warmup", "noises", "space", "sgd"]) == 0
    assert capsys.readouterr().out.startswith("ready after ")
    folder = cache_folder()
    if not (settings.DISABLE_JIT or folder is None):
        for name in ("noises.driven-*.nbc", "space.travel-*.nbc", "sgd.advance-*.nbc"):
            assert any(Path(folder).rglob(name)), name
    assert cli.run(["warmup", "everything"]) == 2
    assert "'line'" in capsys.readouterr().err
