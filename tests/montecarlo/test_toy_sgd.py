"""Toy SGD as users meet it: tasks, observables, traces, reproducibility, wrong arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import resetsgd as rs
from resetsgd.montecarlo.toy_sgd.task import OBSERVABLES

LINEAR = rs.LinearTask.drawn(50, 6, noise_rate=0.4, seed=1, test=30, validation=20)
TASKS = {
    "linear": LINEAR,
    "logistic": rs.LogisticTask.drawn(70, 5, noise_rate=0.3, seed=2, test=65, validation=64),
    "phase retrieval": rs.PhaseRetrievalTask.drawn(64, 4, noise_rate=0.25, seed=3, test=40),
    "network": rs.TeacherStudentTask.drawn(66, 7, units=3, noise_rate=0.2, seed=4, test=130),
}
TARGET = rs.Reaches("distance", below=0.3)
USUAL: dict[str, Any] = {"learning_rate": 0.05, "batch_size": 4, "horizon": 100_000}


# --- tasks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(TASKS))
def test_gradients_are_derivatives_of_the_loss(name: str) -> None:
    task = TASKS[name]
    theta = task.random_start(seed=1)
    step = 1e-6 * np.eye(task.parameters)
    slopes = [(task.loss(theta + h) - task.loss(theta - h)) / 2e-6 for h in step]
    assert np.allclose(task.gradient(theta), slopes, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", list(TASKS))
def test_the_teacher_makes_the_clean_labels(name: str) -> None:
    task = TASKS[name]
    assert task.observe("overlap", task.teacher) == pytest.approx(1.0)
    if name != "logistic":
        assert task.loss(task.teacher, of="clean") < 1e-25
    assert task.noise_rate == pytest.approx(task.corrupted.mean())
    rates = {"linear": 0.4, "logistic": 0.3, "phase retrieval": 0.25, "network": 0.2}
    assert task.noise_rate == pytest.approx(rates[name], abs=0.5 / task.samples)


@pytest.mark.parametrize(
    ("kind", "noise"),
    [
        (rs.LinearTask, "replaced"), (rs.LinearTask, "flipped"), (rs.LinearTask, "gaussian"),
        (rs.LogisticTask, "flipped"), (rs.LogisticTask, "replaced"),
        (rs.PhaseRetrievalTask, "gaussian"),
    ],
)  # fmt: skip
def test_kinds_of_label_noise(kind: Any, noise: str) -> None:
    task = kind.drawn(4000, 3, noise_rate=0.5, noise=noise, noise_scale=2.0, seed=5)
    wrong = task.corrupted
    shift = (task.labels - task.clean_labels)[wrong]
    if noise == "flipped":
        assert wrong.sum() == 2000
        mirrored = 1.0 - task.clean_labels if kind is rs.LogisticTask else -task.clean_labels
        assert (task.labels[wrong] == mirrored[wrong]).all()
    elif noise == "gaussian":
        assert shift.std() == pytest.approx(2.0, rel=0.1)
    elif kind is rs.LogisticTask:
        assert wrong.sum() == pytest.approx(1000, abs=150)  # half of the new classes are right
    else:
        new, old = task.labels[wrong], task.clean_labels[wrong]
        assert new.std() == pytest.approx(old.std(), rel=0.1)
        assert abs(np.corrcoef(new, old)[0, 1]) < 0.1


def test_data_of_the_user_are_used_as_they_are() -> None:
    x, y = LINEAR.inputs, LINEAR.labels
    own = rs.LinearTask(x, y, LINEAR.clean_labels, LINEAR.teacher)
    runs = [
        rs.train_sgd(task, learning_rate=0.1, batch_size=3, steps=20, replicas=5).parameters
        for task in (own, LINEAR)
    ]
    assert (runs[0] == runs[1]).all()
    assert own.loss(own.teacher, of="clean") == 0.0
    plain = rs.LinearTask(x, y)
    assert plain.noise_rate == 0.0
    assert not plain.inputs.flags.writeable


def test_validation_labels_are_noisy_unless_told() -> None:
    kwargs: dict[str, Any] = {"noise_rate": 0.4, "seed": 1, "validation": 500}
    noisy = rs.LinearTask.drawn(50, 6, **kwargs)
    clean = rs.LinearTask.drawn(50, 6, noisy_validation=False, **kwargs)
    assert clean.loss(clean.teacher, of="validation") < 1e-25
    assert noisy.loss(noisy.teacher, of="validation") > 0.1


def test_statistics_of_gradients_split_by_label() -> None:
    theta = np.linspace(-1.0, 1.0, 6)
    found = LINEAR.gradient_statistics(theta)
    rate = found["noise_rate"]
    whole = (1 - rate) * found["clean_gradient"] + rate * found["noisy_gradient"]
    assert np.allclose(whole, LINEAR.gradient(theta))
    gap = found["clean_gradient"] - found["noisy_gradient"]
    spread = (1 - rate) * found["clean_covariance"] + rate * found["noisy_covariance"]
    every = LINEAR.sample_gradients(theta)
    total = spread + rate * (1 - rate) * np.outer(gap, gap)
    assert np.allclose(total, np.cov(every.T, bias=True))


# --- observables and traces -----------------------------------------------------------------------


@pytest.mark.parametrize("name", list(TASKS))
def test_traces_show_what_the_task_says(name: str) -> None:
    """At the start and at the end, all observables of the kernel are those of NumPy."""
    task = TASKS[name]
    start = task.random_start(seed=1)
    line = {"direction": np.arange(1.0, task.parameters + 1), "origin": 0.1 * start}
    runs = rs.train_sgd(
        task, start, learning_rate=0.02, batch_size=5, steps=12, replicas=3, record=OBSERVABLES,
        record_every=4, **line,
    )  # fmt: skip
    assert list(runs.trace_steps) == [0, 4, 8, 12]
    for observable in OBSERVABLES:
        trace = runs.traces[observable]
        assert trace.shape == (3, 4)
        first = task.observe(observable, start, **line)
        last = [task.observe(observable, theta, **line) for theta in runs.parameters]
        assert np.allclose(trace[:, 0], first, rtol=1e-11, atol=1e-13), observable
        assert np.allclose(trace[:, -1], last, rtol=1e-11, atol=1e-13), observable


def test_traces_end_at_arrival() -> None:
    S = rs.simulate_sgd(
        LINEAR, TARGET, **USUAL, replicas=40, record=["distance"], record_every=5, seed=3
    )
    trace, steps = S.traces["distance"], S.trace_steps
    seen = steps[None, :] <= S.times[:, None]
    assert (np.isnan(trace) == ~seen).all()
    assert (trace[:, 1:][seen[:, 1:] & (steps[None, 1:] < S.times[:, None])] > 0.3).all()
    whole = rs.train_sgd(
        LINEAR, learning_rate=0.05, batch_size=4, steps=100, replicas=40, record=["distance"],
        record_every=5, seed=3,
    )  # fmt: skip
    both = np.isfinite(trace[:, :21])
    assert (whole.traces["distance"][both] == trace[:, :21][both]).all()


def test_a_time_is_the_first_look_at_the_target() -> None:
    fine = rs.train_sgd(
        LINEAR, learning_rate=0.05, batch_size=4, steps=400, replicas=30, seed=8,
        record=["clean_loss"], record_every=1,
    )  # fmt: skip
    expected = rs.from_traces(fine.traces["clean_loss"], threshold=0.2, direction="below", first=0)
    S = rs.simulate_sgd(
        LINEAR, rs.Reaches("clean_loss", below=0.2), learning_rate=0.05, batch_size=4,
        horizon=400, replicas=30, seed=8,
    )  # fmt: skip
    assert (S.times == expected.times).all()
    assert (S.censored == expected.censored).all()
    rare = rs.simulate_sgd(
        LINEAR, rs.Reaches("clean_loss", below=0.2), learning_rate=0.05, batch_size=4,
        horizon=400, replicas=30, seed=8, look_every=7,
    )  # fmt: skip
    assert (rare.times[~rare.censored] % 7 == 0).all()
    assert (rare.times >= S.times).all()


def test_a_schedule_may_be_a_function() -> None:
    given = {"learning_rate": 0.1, "batch_size": 4, "steps": 30, "replicas": 4}
    by_function = rs.train_sgd(LINEAR, schedule=lambda step: 1.0 / (1 + step), **given)  # type: ignore[arg-type]
    by_array = rs.train_sgd(LINEAR, schedule=1.0 / np.arange(1.0, 31.0), **given)  # type: ignore[arg-type]
    none = rs.train_sgd(LINEAR, **given)  # type: ignore[arg-type]
    assert (by_function.parameters == by_array.parameters).all()
    assert not (by_function.parameters == none.parameters).any()


# --- reproducibility ------------------------------------------------------------------------------


def test_threads_and_ranges_give_the_same_bits() -> None:
    options: dict[str, Any] = {
        **USUAL, "protocol": rs.Geometric(0.01),
        "checkpoint": rs.BestSoFar(every=20), "momentum": 0.5, "parameters": True, "seed": 11,
    }  # fmt: skip
    one = rs.simulate_sgd(LINEAR, TARGET, **options, replicas=300, threads=1)
    for threads in (2, 4):
        other = rs.simulate_sgd(LINEAR, TARGET, **options, replicas=300, threads=threads)
        assert (one.times == other.times).all()
        assert (one.resets == other.resets).all()
        assert (one.parameters == other.parameters).all()
    part = rs.simulate_sgd(LINEAR, TARGET, **options, replicas=range(100, 150))
    assert (part.times == one.times[100:150]).all()
    assert (part.parameters == one.parameters[100:150]).all()


def test_slices_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {
        **USUAL, "replicas": 20, "protocol": rs.Geometric(0.02), "record": ["clean_loss"],
        "record_every": 3, "replace": False, "threads": 1,
    }  # fmt: skip
    whole = rs.simulate_sgd(LINEAR, TARGET, **options)
    monkeypatch.setattr("resetsgd.montecarlo.driver.SLICE", 7)
    cut = rs.simulate_sgd(LINEAR, TARGET, **options)
    assert (whole.times == cut.times).all()
    assert np.array_equal(whole.traces["clean_loss"], cut.traces["clean_loss"], equal_nan=True)


def test_seeds_differ() -> None:
    a, b = (rs.simulate_sgd(LINEAR, TARGET, **USUAL, replicas=20, seed=s) for s in (1, 2))
    assert not (a.times == b.times).all()


def test_without_compilation_the_same_up_to_rounding() -> None:
    program = (
        "import numpy as np, resetsgd as rs\n"
        "for task in (rs.LinearTask.drawn(50, 6, noise_rate=0.4, seed=1, test=30, validation=20),"
        " rs.TeacherStudentTask.drawn(66, 7, units=3, noise_rate=0.2, seed=4, test=130)):\n"
        "    runs = rs.train_sgd(task, task.random_start(), learning_rate=0.05, batch_size=4,"
        " steps=25, replicas=2, protocol=rs.Geometric(0.1), momentum=0.3,"
        " record=['clean_loss', 'wrong_pull'], record_every=5, threads=1)\n"
        "    print(repr(np.concatenate([runs.parameters.ravel(),"
        " *(t.ravel() for t in runs.traces.values())]).tolist()))\n"
    )
    found = []
    for disabled in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
        )  # fmt: skip
        lines = done.stdout.splitlines()
        found.append([np.fromstring(line.strip("[]"), sep=",") for line in lines])
    for compiled, plain in zip(*found, strict=True):
        assert np.allclose(compiled, plain, rtol=1e-9, atol=1e-12)


# --- wrong arguments ------------------------------------------------------------------------------


def test_a_wild_learning_rate_is_reported_with_replica_and_step() -> None:
    with pytest.raises(rs.DomainError, match=r"learning_rate.*replica \d+ .* step \d+"):
        rs.simulate_sgd(LINEAR, TARGET, learning_rate=50.0, batch_size=4, horizon=10_000)
    with pytest.raises(rs.DomainError, match=r"learning_rate.*replica \d+ .* step \d+"):
        rs.train_sgd(
            TASKS["phase retrieval"], np.ones(4), learning_rate=3.0, batch_size=4, steps=1000
        )


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("learning_rate", {"learning_rate": 0.0}),
        ("learning_rate", {"learning_rate": [0.1, 0.2]}),
        ("batch_size", {"batch_size": 0}),
        ("batch_size", {"batch_size": 51, "replace": False}),
        ("horizon", {"horizon": 0}),
        ("horizon", {"horizon": 2}),
        ("replicas", {"replicas": 0}),
        ("replicas", {"replicas": range(5, 5)}),
        ("momentum", {"momentum": 1.0}),
        ("weight_decay", {"weight_decay": -0.1}),
        ("schedule", {"schedule": [1.0, -1.0]}),
        ("replace", {"replace": 1}),
        ("protocol", {"protocol": 0.1}),
        ("overhead", {"protocol": rs.Geometric(0.1, overhead=2.0)}),
        ("partial", {"protocol": rs.Poisson(0.1, partial=0.5)}),
        ("partial", {"partial": 1.0}),
        ("checkpoint", {"checkpoint": np.zeros(5)}),
        ("start", {"start": np.zeros(7)}),
        ("start", {"start": LINEAR.teacher}),
        ("look_every", {"look_every": 0}),
        ("record", {"record": ["luck"]}),
        ("record", {"record": "clean_loss"}),
        ("record_every", {"record_every": 5}),
        ("direction", {"direction": np.zeros(6), "record": ["projection"]}),
        ("seed", {"seed": -1}),
        ("threads", {"threads": 0}),
        ("target", {"target": 0.3}),
        ("task", {"task": None}),
    ],
)
def test_wrong_arguments_are_named(name: str, change: dict[str, Any]) -> None:
    given = {"task": LINEAR, "target": TARGET, **USUAL, **change}
    with pytest.raises(rs.DomainError, match=rf"^{name}"):
        rs.simulate_sgd(**given)


def test_wrong_tasks_are_named() -> None:
    x, y = LINEAR.inputs, LINEAR.labels
    for name, make in {
        "labels": lambda: rs.LinearTask(x, y[1:]),
        "inputs": lambda: rs.LinearTask(x[:, :0], y),
        "teacher": lambda: rs.LinearTask(x, y, teacher=np.ones(5)),
        "test_labels": lambda: rs.LinearTask(x, y, test_inputs=x),
        "validation_inputs": lambda: rs.LinearTask(
            x, y, validation_inputs=x[:, :3], validation_labels=y
        ),
        "noise_rate": lambda: rs.LinearTask.drawn(10, 2, noise_rate=1.5),
        "noise": lambda: rs.LogisticTask.drawn(10, 2, noise="gaussian"),
        "units": lambda: rs.TeacherStudentTask.drawn(10, 2),
    }.items():
        with pytest.raises(rs.DomainError, match=rf"^{name}"):
            make()
    with pytest.raises(rs.DomainError, match=r"^labels"):
        rs.LogisticTask(x, y)
    with pytest.raises(rs.DomainError, match=r"^start"):
        rs.train_sgd(TASKS["network"], learning_rate=0.1, batch_size=2, steps=3)
    with pytest.raises(rs.DomainError, match=r"^teacher"):
        rs.simulate_sgd(rs.LinearTask(x, y), TARGET, **USUAL)
    with pytest.raises(rs.DomainError, match=r"^validation_inputs"):
        rs.simulate_sgd(
            rs.LinearTask(x, y), rs.Reaches("training_loss", below=0.1), **USUAL,
            checkpoint=rs.BestSoFar(),
        )  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        lambda: rs.Reaches("clean_loss"),
        lambda: rs.Reaches("clean_loss", below=0.1, above=0.2),
        lambda: rs.Reaches("luck", below=0.1),
        lambda: rs.BestSoFar(every=0),
        lambda: rs.LossResets([0.2, 0.1], [0.0, 0.1]),
        lambda: rs.LossResets([0.1, 0.2], [0.0, 1.1]),
        lambda: rs.LossResets([0.1, 0.2], [0.1]),
    ],
)
def test_wrong_options_are_refused(make: Any) -> None:
    with pytest.raises(rs.DomainError):
        make()


def test_the_budget_is_a_bound() -> None:
    with pytest.raises(rs.NotConverged):
        rs.simulate_sgd(LINEAR, TARGET, **USUAL, replicas=100, budget=500)
