"""Running toy SGD: columns, threads and slices do not show; Ctrl-C, progress, single precision."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import resetsgd as rs
from resetsgd.montecarlo.kernels import sgd_state
from resetsgd.montecarlo.toy_sgd import engine
from resetsgd.montecarlo.toy_sgd.task import OBSERVABLES

LINEAR = rs.LinearTask.drawn(50, 6, noise_rate=0.4, seed=1, test=30, validation=20)
LOGISTIC = rs.LogisticTask.drawn(70, 5, noise_rate=0.3, seed=2, test=65, validation=64)
PHASE = rs.PhaseRetrievalTask.drawn(60, 4, noise_rate=0.1, seed=5, test=33)
WIDE = rs.LinearTask.drawn(40, 61, noise_rate=0.2, seed=6, test=20, validation=20)
TARGET = rs.Reaches("distance", below=0.3)

RUNS: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "resets": (LINEAR, TARGET, None, {"protocol": rs.Geometric(0.01)}),
    "best so far": (
        LINEAR, TARGET, None,
        {"protocol": rs.Poisson(0.02), "checkpoint": rs.BestSoFar(every=20), "partial": 0.3},
    ),
    "by loss": (
        LINEAR, rs.Reaches("distance", below=0.2), None,
        {"protocol": rs.LossResets([0.1, 0.4], [0.1, 0.02], every=3)},
    ),
    "by a loss that is seldom looked at": (
        LINEAR, rs.Reaches("distance", below=0.2), None,
        {"protocol": rs.LossResets([0.1, 0.4], [2e-3, 4e-3], every=2500)},
    ),
    "slow looks": (LINEAR, rs.Reaches("clean_loss", below=0.15), None, {"look_every": 3}),
    "schedule": (
        LINEAR, TARGET, None,
        {"schedule": 1.0 / np.arange(1.0, 50.0) ** 0.2, "protocol": rs.Sharp(40.0)},
    ),
    "logistic": (LOGISTIC, rs.Reaches("clean_loss", below=0.5), None, {"learning_rate": 0.3}),
    "phase retrieval": (
        PHASE, rs.Reaches("distance", below=0.02), PHASE.random_start(seed=1),
        {"protocol": rs.Geometric(0.01)},
    ),
    "momentum": (LINEAR, TARGET, None, {"momentum": 0.5, "protocol": rs.Geometric(0.01)}),
    "wide": (
        WIDE, rs.Reaches("distance", below=0.6), None,
        {"learning_rate": 0.005, "batch_size": 7, "protocol": rs.Geometric(1e-3)},
    ),
}  # fmt: skip


def run(name: str, **more: Any) -> Any:
    task, target, start, own = RUNS[name]
    given = {
        "learning_rate": 0.05, "batch_size": 4, "horizon": 20_000, "replicas": 50, "threads": 1,
        "seed": 7, "parameters": True, **own, **more,
    }  # fmt: skip
    return rs.simulate_sgd(task, target, start, **given)


def same(one: Any, two: Any) -> bool:
    return bool(
        (one.times == two.times).all()
        and (one.resets == two.resets).all()
        and (one.parameters == two.parameters).all()
    )


# --- what does not show ---------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("name", list(RUNS))
def test_columns_threads_slices_and_ranges_do_not_show(
    name: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(name, precision=precision)
    assert (~whole.censored).sum() > 10
    for threads in (2, 4):
        assert same(whole, run(name, precision=precision, threads=threads))
    part = run(name, precision=precision, replicas=range(20, 31))
    assert (part.times == whole.times[20:31]).all()
    assert (part.parameters == whole.parameters[20:31]).all()
    monkeypatch.setattr("resetsgd.montecarlo.driver.SLICE", 37)
    assert same(whole, run(name, precision=precision))
    monkeypatch.setattr(sgd_state, "TOGETHER", 1)
    alone = run(name, precision=precision)
    monkeypatch.setattr(sgd_state, "TOGETHER", 7)
    assert same(whole, alone)
    assert same(whole, run(name, precision=precision))


def test_another_seed_is_told_apart() -> None:
    assert not same(run("resets"), run("resets", seed=8))


# --- single precision -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(RUNS))
def test_single_precision_differs_by_rounding(name: str) -> None:
    """Nearly all replicas arrive at the same step, within 1e-4 of the same place."""
    double, single = run(name), run(name, precision="single")
    assert single.parameters.dtype == np.float64
    assert single.info["precision"] == "single"
    together = (double.times == single.times) & (double.resets == single.resets)
    assert together.sum() >= 48
    gap = np.abs(double.parameters - single.parameters)[together].max()
    assert 0.0 < gap < 1e-4


@pytest.mark.parametrize("task", [LINEAR, LOGISTIC, WIDE])
def test_all_observables_in_single_precision(task: Any) -> None:
    start = task.random_start(seed=1)
    line = {"direction": np.arange(1.0, task.parameters + 1), "origin": 0.1 * start}
    runs = rs.train_sgd(
        task, start, learning_rate=0.02, batch_size=5, steps=8, replicas=3, record=OBSERVABLES,
        record_every=8, precision="single", **line,
    )  # fmt: skip
    for observable in OBSERVABLES:
        last = [task.observe(observable, theta, **line) for theta in runs.parameters]
        assert np.allclose(runs.traces[observable][:, -1], last, rtol=1e-4, atol=1e-5), observable


def test_a_precision_is_one_of_two() -> None:
    with pytest.raises(rs.DomainError, match=r"^precision"):
        run("resets", precision="half")


# --- Ctrl-C, progress -----------------------------------------------------------------------------

LONG = """
import sys, resetsgd as rs
task = rs.LinearTask.drawn(50, 6, noise_rate=0.4, seed=1, test=30, validation=20)
threads, done = int(sys.argv[1]), 0
def say(finished, total):
    global done
    if finished >= 8 and not done:
        done = finished
        print("running", flush=True)
usual = dict(learning_rate=0.05, batch_size=4, replicas=10**6, threads=threads, progress=say)
try:
    if sys.argv[2] == "simulate":
        S = rs.simulate_sgd(task, rs.Reaches("distance", below=0.3), horizon=10**9, parameters=True,
                            protocol=rs.Geometric(0.01), **usual)
        moved = abs(S.parameters).sum(axis=1) > 0
        print(S.info["interrupted"], (~S.censored).sum() >= 8, S.censored.sum() <= 4 * threads,
              bool(moved[~S.censored].all()), flush=True)
    else:
        runs = rs.train_sgd(task, steps=int(sys.argv[3]), **usual)
        moved = abs(runs.parameters).sum(axis=1) > 0
        print(runs.info["interrupted"], 8 <= len(runs.parameters) < 10**6, len(runs.resets) ==
              len(runs.parameters), bool(moved.all()), flush=True)
except KeyboardInterrupt:
    print("nothing", flush=True)
"""


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("what", [("simulate",), ("train", "20000")])
def test_ctrl_c_returns_what_is_finished(threads: str, what: tuple[str, ...]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", LONG, threads, *what],
        stdout=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "running\n"
    child.send_signal(signal.SIGINT)
    rest, _ = child.communicate(timeout=30)
    assert rest == "True True True True\n"
    assert child.returncode == 0


def test_ctrl_c_before_anything_is_finished_is_passed_on() -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rs.train_sgd(
            LINEAR, learning_rate=0.05, batch_size=4, steps=10**9, replicas=4, threads=1,
            progress=stop,
        )  # fmt: skip


def test_replicas_that_were_cut_short_tell_where_they_were() -> None:
    calls = 0

    def stop(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if done > 5:
            raise KeyboardInterrupt

    S = rs.simulate_sgd(
        LINEAR, TARGET, learning_rate=0.05, batch_size=4, horizon=10**9, replicas=10**6,
        protocol=rs.Geometric(0.01), threads=1, progress=stop, parameters=True,
    )  # fmt: skip
    assert S.info["interrupted"]
    assert 0 < S.censored.sum() <= sgd_state.TOGETHER
    for k in np.flatnonzero(S.censored):
        steps = int(S.times[k])
        again = rs.train_sgd(
            LINEAR, learning_rate=0.05, batch_size=4, steps=steps, replicas=range(k, k + 1),
            protocol=rs.Geometric(0.01),
        )  # fmt: skip
        assert S.parameters is not None
        assert (again.parameters[0] == S.parameters[k]).all()
        assert again.resets[0] == S.resets[k]


def test_progress_counts_replicas() -> None:
    told: list[tuple[int, int]] = []
    rs.train_sgd(
        LINEAR, learning_rate=0.05, batch_size=4, steps=200_000, replicas=40, threads=1,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told[-1] == (40, 40)
    assert len(told) >= 2
    assert [done for done, _ in told] == sorted(done for done, _ in told)


# --- interpreted ----------------------------------------------------------------------------------

SMALL = """
import numpy as np, resetsgd as rs
task = rs.{task}.drawn(20, 5, noise_rate=0.4, seed=1, test=10, validation=10)
runs = rs.train_sgd(task, task.random_start(seed=1), learning_rate=0.05, batch_size=3, steps=30,
                    replicas=6, threads=1, precision="{precision}", record=["training_loss"],
                    protocol=rs.LossResets([0.1, 1.0], [0.05, 0.2], every=4), record_every=10)
print(np.concatenate([runs.parameters.ravel(), runs.resets,
                      runs.traces["training_loss"].ravel()]).tolist())
"""


@pytest.mark.parametrize("task", ["LinearTask", "LogisticTask", "PhaseRetrievalTask"])
@pytest.mark.parametrize(("precision", "close"), [("double", 1e-10), ("single", 1e-4)])
def test_interpreted_and_compiled_agree(task: str, precision: str, close: float) -> None:
    found = []
    for disabled in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", SMALL.format(task=task, precision=precision)],
            capture_output=True, text=True, check=True,
            env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
        )  # fmt: skip
        found.append(np.fromstring(done.stdout.strip("[]\n"), sep=","))
    assert np.allclose(found[0], found[1], rtol=close, atol=close)
    assert found[0].size == 6 * 5 + 6 + 6 * 4


def test_rows_fill_whole_vectors() -> None:
    layout = engine.Layout(LINEAR), engine.Layout(LINEAR, np.float32)
    assert [part.width for part in layout] == [8, 8]
    assert engine.Layout(WIDE).width == engine.Layout(WIDE, np.float32).width == 64
