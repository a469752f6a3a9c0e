"""What a simulation costs beside its steps: memory, the start of a later call, recompilation."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs
from resetsgd.errors import NotConverged
from resetsgd.montecarlo import driver
from resetsgd.montecarlo.kernels import (
    drift_diffusion,
    line,
    stretches,
    telegraph,
    walk,
)
from resetsgd.montecarlo.kernels.compiling import settings
from resetsgd.montecarlo.tasks import MOST_RESETS, Paths

WALK = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
RESET = rs.Poisson(1.0)

needs_compiled_code = pytest.mark.skipif(settings.DISABLE_JIT, reason="about compiled code")


def fixed(values: Any) -> Any:
    """A read-only array, as other libraries hand out."""
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


# --- memory ---------------------------------------------------------------------------------------


def grown(call: Any) -> int:
    """Most bytes that a call has at once."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@needs_compiled_code
def test_a_path_costs_thirteen_bytes_while_it_runs_and_nine_when_kept() -> None:
    """18 and 19 with whole numbers of eight bytes for the resets."""
    few, many = 50_000, 450_000
    kept: list[Any] = []

    def simulated(paths: int) -> Any:
        return lambda: kept.append(
            rs.simulate(WALK, 1.0, 0.0, RESET, paths=paths, scheme="exact", threads=1)
        )

    simulated(100)()
    least, most = grown(simulated(few)), grown(simulated(many))
    assert (most - least) / (many - few) < 15.5
    S = kept[-1]
    tracemalloc.start()
    again = rs.simulate(WALK, 1.0, 0.0, RESET, paths=many, scheme="exact", threads=1)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 9.5 * many
    assert (again.times == S.times).all()
    assert again.resets.dtype == np.int64
    assert not again.resets.flags.writeable
    assert int(again.resets.max()) > 5


@needs_compiled_code
def test_the_ends_and_the_censored_paths_are_kept_where_there_are_any() -> None:
    S = rs.simulate(WALK, 1.0, (0.0, 2.0), RESET, paths=5000, horizon=0.5)
    assert S.exit_side is not None
    assert set(np.unique(S.exit_side)) == {-1, 0, 1}
    assert ((S.exit_side == 0) == S.censored).all()
    assert 0 < S.censored.sum() < 5000
    alone = rs.simulate(WALK, 1.0, 0.0, RESET, paths=100)
    assert alone.exit_side is None
    assert not alone.censored.any()
    assert alone.censored.shape == (100,)


def test_resets_beyond_what_can_be_counted_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin is not refused where the count has room for them."""
    most = np.iinfo(Paths.of(0, 1).resets.dtype).max
    assert most == MOST_RESETS

    def often() -> None:
        rs.simulate(WALK, 1.0, 0.0, rs.Poisson(20.0), paths=20, threads=1, step=0.01, horizon=5.0)

    often()
    monkeypatch.setattr(driver, "MOST_RESETS", 2 * driver.SLICE + 3)
    with pytest.raises(NotConverged, match="reset more than 3 times"):
        often()


# --- the start of a call --------------------------------------------------------------------------

NORMAL = rs.RandomWalk(jump=stats.norm(-0.2, 1.0))
JOBS: dict[str, tuple[Any, float, Any, Any, dict[str, Any]]] = {
    "bridge": (WALK, 1.0, 0.0, RESET, {}),
    "exact": (WALK, 1.0, 0.0, RESET, {"scheme": "exact"}),
    "euler": (WALK, 1.0, 0.0, RESET, {"scheme": "euler"}),
    "interval": (WALK, 1.0, (0.0, 2.0), RESET, {}),
    "bowl": (rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), 1.0, 0.0, rs.Sharp(1.0), {}),
    "trap": (rs.LinearTrap(slope=1.0, diffusivity=1.0), 1.0, -0.5, rs.Gamma(2.0, 1.0), {}),
    "sphere": (rs.Bessel(dimension=3.0, diffusivity=1.0), 2.0, 1.0, RESET, {}),
    "run and tumble": (rs.Telegraph(speed=1.0, flip_rate=1.0), 1.0, 0.0, RESET, {}),
    "jumps": (NORMAL, 1.0, 0.0, rs.Geometric(probability=0.1), {}),
    "user's drift": (rs.Landscape(drift=lambda x: -x), 1.0, 0.0, RESET, {}),
    "without resets": (rs.Landscape(drift=lambda x: -2.0 * x), 1.0, 0.0, None, {}),
}


@needs_compiled_code
@pytest.mark.parametrize("name", JOBS)
def test_a_later_call_begins_within_ten_milliseconds(name: str) -> None:
    """Processor time of a whole call with two paths; the twin, a first call, takes longer."""
    process, start, target, protocol, options = JOBS[name]

    def call() -> float:
        began = time.process_time()
        rs.simulate(process, start, target, protocol, paths=2, threads=1, **options)
        return time.process_time() - began

    call()
    assert min(call() for _ in range(5)) < 0.010


@needs_compiled_code
def test_read_only_arguments_compile_nothing_anew() -> None:
    """numba takes them for another type."""
    law = rs.Waiting(stats.gamma(2.0))
    for name in JOBS:
        process, start, target, protocol, options = JOBS[name]
        cloud = {"reset_to": fixed([start, start]), "reset_weights": fixed([1.0, 2.0])}
        more = {} if protocol is None else cloud
        rs.simulate(process, start, target, protocol, paths=2, threads=1, **{**options, **more})
        if name not in ("jumps", "without resets"):
            rs.simulate(process, start, target, law, paths=2, threads=1, **options)
    kernels: tuple[Any, ...] = (
        line.line, stretches.stretchwise, drift_diffusion.stepwise, telegraph.tumble, walk.walk,
    )  # fmt: skip
    for kernel in kernels:
        assert len(kernel.signatures) <= 1, kernel.__name__
