"""The recorder: its schedule, what resets undo, files, runs that go on, and the plain loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diagnosed import masked, perceptron, probe
from torch import nn
from torch.nn.functional import cross_entropy

import resetsgd as rs
from resetsgd.training import (
    Diagnostics,
    Instrument,
    Probe,
    Resetter,
    Snapshot,
    diagnostics,
    digits,
    fit,
    losses,
    read_records,
    resets,
    storage,
    symmetric_noise,
)

HELD = probe()


@dataclass(frozen=True)
class Odometer(Instrument):
    """How far the first weight went, and how often it was looked at."""

    factor: float = 1.0
    name = "odometer"

    def measure(self, context: diagnostics.Context) -> dict[str, Any]:
        context.memory["looks"] = context.memory.get("looks", 0) + 1
        where = self.factor * context.weights[:2]
        return {"where": where, "looks": context.memory["looks"], "moment_step": context.step}


def trained(
    instruments: Any, steps: int = 40, *, protocol: Any = None, **options: Any
) -> tuple[nn.Module, Diagnostics, list[np.ndarray]]:
    """A run, its diagnostics, and the first weights after each step's reset, if any."""
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    resetter = None
    if protocol is not None:
        resetter = Resetter(model, optimizer, protocol, target=resets.AtStep(5), seed=2)
    recorder = Diagnostics(
        instruments, model, HELD, optimizer=optimizer, resetter=resetter, **options
    )
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model(HELD.images), HELD.labels).backward()
        optimizer.step()
        if resetter is not None:
            resetter.step()
        path.append(next(model.parameters()).detach().reshape(-1)[:2].numpy().copy())
        recorder.step()
    return model, recorder, path


def test_it_measures_every_so_many_steps_what_is_there_then() -> None:
    _, recorder, path = trained(Odometer(), every=7)
    record = recorder["odometer"]
    assert record["step"].tolist() == [7, 14, 21, 28, 35]
    assert record["moment_step"].tolist() == record["step"].tolist()
    assert set(record["moment"]) == {"schedule"}
    assert record["looks"].tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(record["where"], [path[s - 1] for s in record["step"]])
    assert record["where"].dtype == np.float64


def test_resets_are_measured_on_either_side() -> None:
    _, recorder, path = trained(
        [Odometer(), diagnostics.CheckpointDistance(), diagnostics.VarianceOfGradients()],
        protocol=rs.Sharp(period=12), every=10,
    )  # fmt: skip
    record = recorder["odometer"]
    assert record["step"].tolist() == [10, 12, 12, 20, 24, 24, 30, 36, 36, 40]
    kinds = ["schedule", "before reset", "after reset"] * 3 + ["schedule"]
    assert record["moment"].tolist() == kinds
    before, after = (record["where"][record["moment"] == m] for m in kinds[1:3])
    np.testing.assert_array_equal(after, [path[4]] * 3)  # the place of the checkpoint
    assert (before != after).any(1).all()
    far = recorder["checkpoint_distance"]
    assert (far["distance"][far["moment"] == "after reset"] == 0.0).all()
    resetter = recorder.resetter
    assert resetter is not None
    distances = [event.distance for event in resetter.events]
    found = far["distance"][far["moment"] == "before reset"]
    np.testing.assert_allclose(found, distances, rtol=1e-6)  # type: ignore[arg-type]
    assert set(recorder["variance_of_gradients"]["moment"]) == {"schedule"}


@pytest.mark.parametrize("how", ["asked", "attached"])
def test_resets_by_hand_or_by_the_optimizer_are_measured_too(how: str) -> None:
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    resetter = Resetter(model, optimizer, rs.Sharp(period=3), target=resets.Initial())
    recorder = Diagnostics(Odometer(), model, HELD, resetter=resetter, every=None)
    if how == "asked":
        resetter.reset("because")
    else:
        with resetter.attach():
            for _ in range(4):
                optimizer.step()
    assert recorder["odometer"]["moment"].tolist() == ["before reset", "after reset"]
    recorder.detach()
    resetter.detach()
    resetter.reset("because")
    assert len(recorder["odometer"]["step"]) == 2


def test_without_resets_asked_for_only_the_schedule_is_kept() -> None:
    _, recorder, _ = trained(Odometer(), protocol=rs.Sharp(period=12), every=10, at_resets=False)
    assert recorder["odometer"]["step"].tolist() == [10, 20, 30, 40]


def test_measuring_by_hand_gives_what_it_records() -> None:
    _, recorder, _ = trained({"a": Odometer(), "b": Odometer(factor=2.0)}, every=None)
    found = recorder.measure("b")
    assert list(found) == ["b"]
    record = recorder["b"]
    assert (record["step"].tolist(), record["moment"].tolist()) == ([40], ["asked"])
    np.testing.assert_array_equal(record["where"][0], found["b"]["where"])
    assert len(recorder["a"]["step"]) == 0
    recorder.measure()
    np.testing.assert_array_equal(recorder["b"]["where"][1], 2.0 * recorder["a"]["where"][0])


def test_columns_by_layer_have_names() -> None:
    _, recorder, _ = trained(diagnostics.GradientDecomposition(), every=20)
    assert recorder.layers() == ["0", "2"]
    assert recorder["gradients"]["clean_by_layer"].shape == (2, 2)


# --- files, and runs that go on -------------------------------------------------------------------

SEVERAL = [
    Odometer(),
    diagnostics.Susceptibility(samples=9),
    diagnostics.VarianceOfGradients(window=3),
    diagnostics.CheckpointDistance(reference="first"),
]


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(
        a[name].keys() == b[name].keys()
        and all(
            a[name][k].dtype == b[name][k].dtype and a[name][k].tobytes() == b[name][k].tobytes()
            for k in a[name]
        )
        for name in a
    )


def test_a_file_gives_back_every_bit(tmp_path: Path) -> None:
    path = tmp_path / "records"
    _, recorder, _ = trained(SEVERAL, protocol=rs.Sharp(period=12), every=10)
    recorder.save(path)
    assert same(read_records(path), recorder.records)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(rs.CorruptData, match="records"):
        read_records(path)
    storage.write(path, {"diagnostics": {"a": {"steps": [1], "moments": [0, 1], "values": {}}}})
    with pytest.raises(rs.CorruptData, match="records"):
        read_records(path)
    storage.write(path, {"something": 1})
    with pytest.raises(rs.CorruptData, match="records"):
        read_records(path)
    with pytest.raises(FileNotFoundError):
        read_records(tmp_path / "nowhere")


DATA = digits(train=150, validation=40, test=40, seed=1)
NOISY, _ = symmetric_noise(DATA.train.labels, 0.4, classes=10, seed=1)
TRAIN = replace(DATA, train=DATA.train.with_labels(NOISY))
DIGITS = Probe.of(TRAIN, DATA.train.labels, samples=60, seed=3)


def digits_run(steps: int, path: Path | None = None, **options: Any) -> tuple[nn.Module, Any]:
    torch.manual_seed(4)
    model = nn.Sequential(
        nn.Linear(64, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.3), nn.Linear(12, 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    resetter = Resetter(model, optimizer, rs.Geometric(probability=0.1), seed=3)
    options = {"every": 7, "held": DIGITS, "instruments": SEVERAL, **options}
    held, chosen = options.pop("held"), options.pop("instruments")
    recorder = None
    if chosen is not None:
        recorder = Diagnostics(chosen, model, held, resetter=resetter, **options)
    fit(
        model, optimizer, TRAIN, steps=steps, batch_size=16, resetter=resetter, evaluate_every=10,
        diagnostics=recorder, checkpoint=path, checkpoint_every=9,
    )  # fmt: skip
    return model, recorder


def test_the_plain_loop_measures_and_goes_on_where_it_was(tmp_path: Path) -> None:
    bare, _ = digits_run(60, instruments=None)
    model, whole = digits_run(60)
    assert storage.digest(dict(model.state_dict())) == storage.digest(dict(bare.state_dict()))
    assert whole["odometer"]["step"][-1] == 56
    assert "before reset" in whole["odometer"]["moment"]
    path = tmp_path / "run"
    digits_run(31, path)
    model, broken = digits_run(60, path)
    assert storage.digest(dict(model.state_dict())) == storage.digest(dict(bare.state_dict()))
    assert same(broken.records, whole.records)
    assert broken.records["susceptibility"]["running"][-1] != 0.0


@pytest.mark.parametrize(
    "other",
    [
        {"every": 8},
        {"at_resets": False},
        {"instruments": SEVERAL[:3]},
        {"instruments": None},
        {"instruments": [replace(SEVERAL[0], factor=2.0), *SEVERAL[1:]]},  # type: ignore[type-var]
        {"held": Probe.of(TRAIN, DATA.train.labels, samples=60, seed=4)},
    ],
)
def test_a_run_with_other_diagnostics_does_not_go_on(tmp_path: Path, other: dict[str, Any]) -> None:
    path = tmp_path / "run"
    digits_run(10, path)
    with pytest.raises(rs.StreamMismatch, match="diagnostics"):
        digits_run(20, path, **other)


def test_what_instruments_remember_goes_on_too() -> None:
    """And the twin without it does not: the state is not there for show."""
    _, whole, _ = trained(SEVERAL, 40, every=5)
    for keep in (True, False):
        _, first, _ = trained(SEVERAL, 20, every=5)
        state = first.state_dict()
        if not keep:
            state["memory"] = {name: {} for name in state["memory"]}
        _, rest, _ = trained(SEVERAL, 20, every=None)  # the same run, not measured so far
        rest.every = 5
        rest.load_state_dict({**state, "settings": rest.settings()})
        assert (rest.steps, len(rest["odometer"]["step"])) == (20, 4)
        for _ in range(5):
            rest.step()
        assert (rest["odometer"]["looks"][-1] == whole["odometer"]["looks"][4]) == keep


def test_a_damaged_state_is_refused_and_nothing_is_touched() -> None:
    _, recorder, _ = trained(SEVERAL, every=10)
    state = recorder.state_dict()
    before = recorder.records
    for name in ("steps", "records", "memory", "settings"):
        with pytest.raises(rs.CorruptData):
            recorder.load_state_dict({k: v for k, v in state.items() if k != name})
    short = {**state["records"], "odometer": {"steps": [1]}}
    with pytest.raises(rs.CorruptData):
        recorder.load_state_dict({**state, "records": short})
    assert same(recorder.records, before)
    recorder.load_state_dict(state)
    assert same(recorder.records, before)


def test_the_loop_hands_over_its_loss() -> None:
    model = nn.Linear(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = Diagnostics(diagnostics.LastLayerNorm(), model, DIGITS, every=5)
    fit(model, optimizer, TRAIN, steps=5, batch_size=16, loss=losses.MeanAbsoluteError(),
        diagnostics=recorder)  # fmt: skip
    probability = model(DIGITS.images).softmax(1).gather(1, DIGITS.labels[:, None])
    expected = 2.0 * (1.0 - probability).mean().item()
    assert recorder["last_layer"]["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_the_loop_trains_with_masks_of_instances() -> None:
    layer = diagnostics.TurnOverDropout(32)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), layer, nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    recorder = Diagnostics(
        [diagnostics.TurnOverInfluence(), diagnostics.LabelFractions()], model, DIGITS, every=200
    )
    fit(model, optimizer, TRAIN, steps=400, batch_size=16, diagnostics=recorder, evaluate_every=200)
    found = recorder["influence"]
    assert (found["score"].mean(1) > 0.0).all(), "the half that saw a sample does better on it"
    assert found["wrong"][-1] > found["clean"][-1], "wrong labels can only be memorised"
    assert found["detection"][-1] > 0.6


# --- wrong use ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fickle(Instrument):
    """Gives what it is told to give, one after the other."""

    given: tuple[Any, ...]
    name = "fickle"

    def measure(self, context: diagnostics.Context) -> Any:
        at = context.memory["at"] = context.memory.get("at", -1) + 1
        return self.given[at]


def fickle(*given: Any) -> None:
    recorder = Diagnostics(Fickle(given), perceptron(), HELD)
    for _ in given:
        recorder.measure()


def resetter_of(model: nn.Module) -> Resetter:
    return Resetter(model, torch.optim.SGD(model.parameters(), lr=0.1), rs.Sharp(period=3))


def fit_with(recorder: Callable[[nn.Module], Any]) -> None:
    model = nn.Linear(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    fit(model, optimizer, TRAIN, steps=1, batch_size=4, diagnostics=recorder(model))


MODEL = perceptron()
WRONG: list[tuple[str, Callable[[], Any]]] = [
    ("instruments", lambda: Diagnostics([Odometer(), Odometer()], MODEL, HELD)),
    ("instruments", lambda: Diagnostics({"": Odometer()}, MODEL, HELD)),
    ("instruments", lambda: Diagnostics(["odometer"], MODEL, HELD)),  # type: ignore[list-item]
    ("every", lambda: Diagnostics(Odometer(), MODEL, HELD, every=0)),
    ("batch_size", lambda: Diagnostics(Odometer(), MODEL, HELD, batch_size=0)),
    ("model", lambda: Diagnostics(Odometer(), "model", HELD)),  # type: ignore[arg-type]
    ("probe", lambda: Diagnostics(Odometer(), MODEL, HELD.images)),  # type: ignore[arg-type]
    ("loss", lambda: Diagnostics(Odometer(), MODEL, HELD, loss="ce")),  # type: ignore[arg-type]
    ("resetter", lambda: Diagnostics(Odometer(), MODEL, HELD, resetter=resetter_of(perceptron()))),
    ("optimizer", lambda: Diagnostics(
        Odometer(), MODEL, HELD, optimizer=resetter_of(perceptron()).optimizer)),
    ("checkpoint", lambda: Diagnostics(Odometer(), MODEL, HELD, checkpoint=MODEL)),  # type: ignore[arg-type]
    ("checkpoint", lambda: Diagnostics(
        Odometer(), MODEL, HELD, resetter=(r := resetter_of(MODEL)),
        checkpoint=Snapshot.capture(MODEL, r.optimizer))),
    ("truth", lambda: Diagnostics(
        diagnostics.LabelFractions(), MODEL, Probe(HELD.images, HELD.labels))),
    ("index", lambda: Diagnostics(
        diagnostics.TurnOverInfluence(), masked(), Probe(HELD.images, HELD.labels))),
    ("optimizer", lambda: Diagnostics(diagnostics.Susceptibility(), MODEL, HELD)),
    ("name", lambda: Diagnostics(Odometer(), MODEL, HELD)["labels"]),
    ("name", lambda: Diagnostics(Odometer(), MODEL, HELD).measure("labels")),
    ("measurement", lambda: fickle({"step": 1.0})),
    ("measurement", lambda: fickle([1.0])),
    ("measurement", lambda: fickle({"a": 1.0}, {"b": 1.0})),
    ("measurement", lambda: fickle({"a": [1.0]}, {"a": [1.0, 2.0]})),
    ("a", lambda: fickle({"a": "text"})),
    ("samples", lambda: Probe.of(TRAIN, samples=151)),
    ("truth", lambda: Probe.of(TRAIN, NOISY[:9])),
    ("diagnostics", lambda: fit_with(lambda m: Diagnostics([], nn.Linear(64, 10), DIGITS))),
    ("diagnostics", lambda: fit_with(
        lambda m: Diagnostics([], m, DIGITS, resetter=resetter_of(m)))),
    ("diagnostics", lambda: fit_with(lambda m: "all")),
    ("instrument", lambda: diagnostics.make("nothing")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "call"), WRONG)
def test_wrong_use_is_one_clear_error(name: str, call: Callable[[], Any]) -> None:
    with pytest.raises(rs.DomainError, match=rf"^{name} = ") as caught:
        call()
    assert "\n" not in str(caught.value)


def test_instruments_are_known_by_name() -> None:
    made = diagnostics.make("critical_samples", radius=0.1)
    assert made == diagnostics.CriticalSampleRatio(radius=0.1)
    assert all(diagnostics.get(name).name == name for name in diagnostics.names())  # type: ignore[attr-defined]


def test_a_probe_of_a_data_set_is_what_the_loop_trains_on() -> None:
    assert DIGITS.index is not None
    rows = DIGITS.index.numpy()
    assert len(set(rows.tolist())) == 60
    np.testing.assert_array_equal(DIGITS.images, TRAIN.train.images[rows])
    np.testing.assert_array_equal(DIGITS.labels, NOISY[rows])
    np.testing.assert_array_equal(DIGITS.wrong, NOISY[rows] != DATA.train.labels[rows])
    assert len(Probe.of(TRAIN)) == 150
