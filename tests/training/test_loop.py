"""The plain loop: its batches, its record, and runs that are killed and go on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import resetsgd as rs
from resetsgd.errors import CorruptData, DomainError, OutputError, StreamMismatch
from resetsgd.training import MLP, Ensemble, History, Resetter, digits, fit, storage, streams

DATA = digits(train=200, validation=60, test=80, seed=1)
NETWORK = MLP((64, 16, 10))


def make(adam: bool = False) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = NETWORK.module(NETWORK.initial(seed=3))
    if adam:
        return model, torch.optim.Adam(model.parameters(), lr=0.01)
    return model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def run(steps: int = 40, *, adam: bool = False, **options: Any) -> tuple[nn.Module, History]:
    model, optimizer = make(adam)
    options = {"batch_size": 20, "seed": 7, "evaluate_every": 10, **options}
    if "protocol" in options:
        options["resetter"] = Resetter(model, optimizer, options.pop("protocol"))
    return model, fit(model, optimizer, DATA, steps=steps, **options)


def bits(model: nn.Module) -> str:
    return storage.digest(dict(model.state_dict()))


def test_the_loop_is_plain_training_on_the_keyed_batches() -> None:
    model, optimizer = make()
    images, labels = DATA.train.tensors()
    for step in range(100):
        rows = streams.batches(7, 0, step, population=200, size=20)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
        optimizer.step()
    trained, history = run(100)
    assert bits(trained) == bits(model)
    assert [look.step for look in history.looks] == list(range(10, 101, 10))
    x, y = DATA.validation.tensors()
    assert history.last is not None
    assert history.last.validation_loss == nn.functional.cross_entropy(model(x), y).item()
    assert history.last.validation_accuracy == (model(x).argmax(1) == y).sum().item() / 60
    x, y = DATA.test.tensors()
    assert history.last.test_accuracy == (model(x).argmax(1) == y).sum().item() / 80
    assert history.best == min(history.looks, key=lambda look: look.validation_loss)
    assert bits(run(100, protocol=rs.Geometric(probability=0.0))[0]) == bits(model)


def test_the_loop_is_replica_zero_of_an_ensemble() -> None:
    ensemble = Ensemble(NETWORK, 1, learning_rate=0.05, momentum=0.9, batch_size=20, seed=7)
    ensemble.load(NETWORK.initial(seed=3))
    for _ in range(30):
        ensemble.train_step(DATA.train.images, DATA.train.labels)
    model, _ = run(30)
    for mine, theirs in zip(model.parameters(), ensemble.state(0).parameters, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_looks_leave_the_modes_of_the_modules_alone() -> None:
    model = nn.Sequential(nn.Linear(64, 10), nn.BatchNorm1d(10), nn.Dropout(0.5))
    model[1].eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    there = model[1].running_mean.clone()
    fit(model, optimizer, DATA, steps=4, batch_size=20, evaluate_every=2)
    assert [module.training for module in model] == [True, False, True]
    assert torch.equal(model[1].running_mean, there)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_resetter_observes_validation(mode: str) -> None:
    model, optimizer = make()
    resetter = Resetter(model, optimizer, rs.Sharp(period=25), mode=mode)
    history = fit(
        model, optimizer, DATA, steps=60, batch_size=20, resetter=resetter, evaluate_every=10
    )
    assert history.resets == (25, 50)
    if mode == "min":
        assert resetter.best == min(look.validation_loss for look in history.looks)
    else:
        assert resetter.best == max(look.validation_accuracy for look in history.looks)


def test_a_finished_run_comes_back_and_can_go_on(tmp_path: Path) -> None:
    path = tmp_path / "run"
    options: dict[str, Any] = {"protocol": rs.Geometric(probability=0.1), "adam": True}
    whole, expected = run(60, **options)
    run(25, checkpoint=path, **options)
    _, half = run(25, checkpoint=path, **options)
    assert half.steps == 25
    model, history = run(60, checkpoint=path, checkpoint_every=13, **options)
    assert history == expected
    assert bits(model) == bits(whole)
    model, history = run(60, checkpoint=path, **options)
    assert (history, bits(model)) == (expected, bits(whole))
    with pytest.raises(StreamMismatch, match="holds 60 steps"):
        run(50, checkpoint=path, **options)


@pytest.fixture(scope="module")
def runner() -> Iterator[Callable[..., bool]]:
    """A process that has loaded torch once and forks a run for each order."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", Path(__file__).with_name("killed_run.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def order(path: Path, **kill: Any) -> bool:
            process.stdin.write(json.dumps({"path": str(path), **kill}) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, "the process of the runs died"
            return bool(json.loads(answer)["killed"])

        yield order
        process.stdin.close()


@pytest.fixture(scope="module")
def unbroken(runner: Callable[..., bool], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("unbroken") / "run"
    assert not runner(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("call", "counts"),
    [
        ("step", [1, 30, 64]),  # before an optimizer step
        ("after step", [7, 49]),  # behind it: the checkpoint of this step is not yet written
        ("fsync", [1, 4, 5]),  # the new file is there but not yet on the disk
        ("replace", [1, 6]),  # on the disk but not yet in place
        ("after replace", [1, 8]),  # in place, but the run has not noticed
    ],
)
def test_a_run_killed_at_any_point_ends_with_the_same_bits(
    runner: Callable[..., bool], unbroken: bytes, tmp_path: Path, call: str, counts: list[int]
) -> None:
    path = tmp_path / "run"
    for count in counts:
        assert runner(path, call=call, count=count)
    assert not runner(path)
    assert path.read_bytes() == unbroken


def test_a_run_killed_at_random_times_ends_with_the_same_bits(
    runner: Callable[..., bool], unbroken: bytes, tmp_path: Path
) -> None:
    path, kills, seconds = tmp_path / "run", 0, 0.01
    while runner(path, seconds=seconds):
        kills += 1
        seconds *= 1.4  # so that it ends, on however slow a machine
    assert kills >= 2
    assert path.read_bytes() == unbroken


def test_a_run_that_loses_its_random_state_would_be_caught(
    runner: Callable[..., bool], unbroken: bytes, tmp_path: Path
) -> None:
    """The twin: the same file but for dropout's generator leads to other bits."""
    path = tmp_path / "run"
    assert runner(path, call="step", count=60)
    kept = storage.read(path)
    kept["random"] = torch.manual_seed(8).get_state()
    storage.write(path, kept)
    assert not runner(path)
    assert path.read_bytes() != unbroken


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run(10, checkpoint=path)
    for other, name in (
        ({"seed": 8}, "seed"),
        ({"batch_size": 21}, "batch_size"),
        ({"evaluate_every": 5}, "evaluate_every"),
        ({"protocol": rs.Geometric(0.1)}, "resetter"),
        ({"adam": True}, "optimizer"),
        ({"loss": nn.functional.multi_margin_loss}, "loss"),
    ):
        with pytest.raises(StreamMismatch, match=f"was made with {name} = "):
            run(20, checkpoint=path, **other)
    model = nn.Linear(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    with pytest.raises(StreamMismatch, match="model"):
        fit(
            model, optimizer, DATA, steps=20, batch_size=20, seed=7, evaluate_every=10,
            checkpoint=path,
        )  # fmt: skip
    storage.write(path, {"something": "else"})
    with pytest.raises(CorruptData):
        run(20, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptData):
        run(20, checkpoint=path)


WRONG: dict[str, Callable[[Path], object]] = {
    "steps": lambda _: run(-1),
    "batch_size": lambda _: run(batch_size=201),
    "seed": lambda _: run(seed=-1),
    "evaluate_every": lambda _: run(evaluate_every=0),
    "checkpoint_every": lambda path: run(checkpoint=path / "x", checkpoint_every=0),
    "resetter": lambda _: run(resetter=Resetter(*make(), rs.Geometric(0.1))),
    "optimizer": lambda _: fit(make()[0], make()[1], DATA, steps=1, batch_size=2),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DomainError, match=rf"^{name} = ") as caught:
        WRONG[name](tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_found_out_before_the_work(tmp_path: Path) -> None:
    def never(*_: torch.Tensor) -> torch.Tensor:
        raise AssertionError("trained before it knew where to write")

    with pytest.raises(OutputError):
        run(10, checkpoint=tmp_path / "nowhere" / "run", loss=never)


def test_nothing_here_can_execute_what_it_reads(root: Path) -> None:
    """No pickle, torch.load, eval or exec in the training package."""
    for path in (root / "resetsgd" / "training").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("import pickle", " torch.load(", " torch.save(", " eval(", "exec("):
            assert word not in text, (path.name, word)
