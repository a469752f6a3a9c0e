"""The resetter as a scheduler: when it resets, to what, and what it leaves alone."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import resetsgd as rs
from resetsgd.errors import CorruptData, DomainError, StreamMismatch
from resetsgd.training import ResetEvent, Resetter, coins
from resetsgd.training.storage import digest

INPUTS = torch.randn(200, 8, 5, generator=torch.Generator().manual_seed(1))


def make(adam: bool = False) -> tuple[nn.Sequential, torch.optim.Optimizer]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))
    if adam:
        return model, torch.optim.Adam(model.parameters(), lr=0.01)
    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, index: int) -> None:
    optimizer.zero_grad()
    model(INPUTS[index]).square().mean().backward()
    optimizer.step()


def metric(index: int) -> float:
    return float(np.cos(index))


def contents(model: nn.Module, optimizer: torch.optim.Optimizer) -> str:
    return digest([dict(model.state_dict()), optimizer.state_dict()])


def run(resetter: Resetter, first: int, last: int) -> list[str]:
    """Train through steps first..last, observing every 7; the contents after each."""
    found = []
    for index in range(first, last):
        step(resetter.model, resetter.optimizer, index)
        event = resetter.step()
        assert event.step == index + 1
        if event.step % 7 == 0:
            resetter.observe(metric(index))
        found.append(contents(resetter.model, resetter.optimizer))
    return found


@pytest.mark.parametrize("adam", [False, True])
def test_probability_zero_is_plain_training_bit_for_bit(adam: bool) -> None:
    torch.manual_seed(5)
    model, optimizer = make(adam)
    plain = []
    for index in range(60):
        step(model, optimizer, index)
        plain.append(contents(model, optimizer))
    random_state = torch.get_rng_state()
    torch.manual_seed(5)
    resetter = Resetter(*make(adam), rs.Geometric(probability=0.0))
    assert run(resetter, 0, 60) == plain
    assert torch.equal(torch.get_rng_state(), random_state)  # and the global stream is untouched
    torch.manual_seed(5)
    assert run(Resetter(*make(adam), rs.Geometric(probability=0.3)), 0, 60) != plain


def test_resets_happen_at_the_keyed_coins_once_there_is_a_snapshot() -> None:
    resetter = Resetter(*make(), rs.Geometric(probability=0.3), seed=3)
    run(resetter, 0, 60)
    due = np.flatnonzero(coins(3, 0, np.arange(1, 61), 0.3)) + 1
    assert resetter.resets == [int(t) for t in due if t > 7]
    assert any(t <= 7 for t in due)  # one was due before the first snapshot
    assert [t for t in range(1, 61) if resetter.due(t)] == due.tolist()
    for t in (1023, 1024, 1025, 2**32 - 1, 5):
        assert resetter.due(t) == coins(3, 0, t, 0.3)


def test_the_coin_depends_on_seed_and_step_alone() -> None:
    early, late = (Resetter(*make(), rs.Geometric(probability=0.3), seed=3) for _ in range(2))
    early.checkpoint()
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    run(early, 0, 60)
    run(late, 0, 60)
    assert late.resets == [t for t in early.resets if t > 7]


def test_sharp_resets_after_every_period() -> None:
    resetter = Resetter(*make(), rs.Sharp(period=5))
    resetter.checkpoint()
    run(resetter, 0, 23)
    assert resetter.resets == [5, 10, 15, 20]


def test_a_reset_goes_to_the_best_not_the_last() -> None:
    for mode, sign in (("min", 1), ("max", -1)):
        resetter = Resetter(*make(), rs.Geometric(probability=0.0), mode=mode)
        kept, taken = {}, []
        for index, value in enumerate([3.0, 2.0, 2.5, 2.0, 1.0, 1.5]):
            step(resetter.model, resetter.optimizer, index)
            event = resetter.step()
            kept[event.step] = contents(resetter.model, resetter.optimizer)
            if resetter.observe(sign * value):
                taken.append(event.step)
        assert taken == [1, 2, 5]  # the tie at step 4 did not replace step 2
        assert resetter.best == sign * 1.0
        assert resetter.snapshot is not None
        resetter.snapshot.restore()
        assert contents(resetter.model, resetter.optimizer) == kept[5]
        assert resetter.step() == ResetEvent(step=7, reset=False, checkpoint=5)


def test_a_checkpoint_by_hand_yields_only_to_a_better_metric() -> None:
    resetter = Resetter(*make(), rs.Geometric(probability=1.0))
    step(resetter.model, resetter.optimizer, 0)
    assert resetter.step() == ResetEvent(1, False, None)
    assert resetter.observe(1.0)
    resetter.checkpoint()
    step(resetter.model, resetter.optimizer, 1)
    event = resetter.step()
    assert (*event[:4], event.metric) == (2, True, 1, "coin", 1.0)
    assert event.distance is not None
    assert event.distance > 0.0
    assert resetter.events == [event]
    assert not resetter.observe(1.0)
    assert resetter.observe(torch.tensor(0.5))
    assert resetter.observe(np.float32(0.25))
    assert resetter.observe(-np.inf)
    with pytest.raises(AttributeError):
        resetter.step().reset = False  # type: ignore[misc]


@pytest.mark.parametrize("adam", [False, True])
@pytest.mark.parametrize("cut", [3, 7, 31])
def test_a_resumed_run_has_the_bits_of_the_unbroken_one(adam: bool, cut: int) -> None:
    torch.manual_seed(5)
    whole = Resetter(*make(adam), rs.Geometric(probability=0.2), seed=4)
    expected = run(whole, 0, 60)
    assert len(whole.resets) > 3
    torch.manual_seed(5)
    first = Resetter(*make(adam), rs.Geometric(probability=0.2), seed=4)
    run(first, 0, cut)
    kept, random_state = first.state_dict(), torch.get_rng_state()
    model_state = copy.deepcopy(first.model.state_dict())
    optimizer_state = copy.deepcopy(first.optimizer.state_dict())
    run(first, cut, cut + 5)  # shares nothing with what was kept
    model, optimizer = make(adam)
    model.load_state_dict(model_state)
    optimizer.load_state_dict(optimizer_state)
    second = Resetter(model, optimizer, rs.Geometric(probability=0.2), seed=4)
    second.load_state_dict(kept)
    torch.set_rng_state(random_state)
    assert run(second, cut, 60) == expected[cut:]
    assert (second.resets, second.best, second.steps) == (whole.resets, whole.best, 60)


def test_a_state_of_other_settings_or_damaged_is_refused() -> None:
    resetter = Resetter(*make(), rs.Geometric(probability=0.2), seed=4)
    resetter.checkpoint()
    state = resetter.state_dict()
    for other in (
        Resetter(*make(), rs.Geometric(probability=0.2), seed=5),
        Resetter(*make(), rs.Geometric(probability=0.3), seed=4),
        Resetter(*make(), rs.Sharp(period=3), seed=4),
        Resetter(*make(), rs.Geometric(probability=0.2), seed=4, mode="max"),
        Resetter(*make(), rs.Geometric(probability=0.2), seed=4, learning_rate="restore"),
    ):
        with pytest.raises(StreamMismatch):
            other.load_state_dict(state)
    small = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    with pytest.raises(StreamMismatch):
        Resetter(small, optimizer, rs.Geometric(0.2), seed=4).load_state_dict(state)
    for change in (
        {"steps": -1},
        {"steps": "3"},
        {"places": None},
        {"places": [{"step": 9, "metric": None, "snapshot": {}}]},
        {"best_place": "shared", "places": []},
        {"best": "low"},
        {"events": [[9, True, 0]]},
        {"memory": []},
    ):
        with pytest.raises(CorruptData):
            resetter.load_state_dict({**state, **change})
    with pytest.raises(CorruptData):
        resetter.load_state_dict({"steps": 0})
    assert digest(resetter.state_dict()) == digest(state)  # refused means untouched


WRONG: dict[str, Any] = {
    "mode": lambda: Resetter(*make(), rs.Geometric(0.1), mode="best"),
    "seed": lambda: Resetter(*make(), rs.Geometric(0.1), seed=-1),
    "learning_rate": lambda: Resetter(*make(), rs.Geometric(0.1), learning_rate="drop"),
    "hyperparameters": lambda: Resetter(*make(), rs.Geometric(0.1), hyperparameters=None),
    "optimizer": lambda: Resetter(make()[0], make()[1], rs.Geometric(0.1)),
    "model": lambda: Resetter(None, make()[1], rs.Geometric(0.1)),
    "probability": lambda: Resetter(*make(), rs.Geometric(1.5)),
    "metric": lambda: Resetter(*make(), rs.Geometric(0.1)).observe(float("nan")),
    "step": lambda: Resetter(*make(), rs.Geometric(0.1)).due(0),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_named(name: str) -> None:
    with pytest.raises(DomainError, match=rf"^{name} = ") as caught:
        WRONG[name]()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metric", [None, "low", torch.zeros(2), torch.tensor(float("nan")), 1j])
def test_what_is_not_a_metric_is_refused(metric: Any) -> None:
    with pytest.raises(DomainError, match=r"^metric = "):
        Resetter(*make(), rs.Geometric(0.1)).observe(metric)


@pytest.mark.parametrize(
    ("protocol", "why"),
    [
        (rs.Geometric(probability=np.array([0.1, 0.2])), "scalar"),
        (rs.Weibull(scale=np.array([3.0, 4.0])), "scalar"),
        (rs.Geometric(probability=0.1, order="move-look-coin"), "order move, coin, look"),
        (rs.Sharp(period=3, overhead=1.0), "without overhead"),
        (rs.Poisson(rate=0.1, partial=0.5), "how=Partial"),
        (0.1, "one of resetsgd's protocols"),
        ([], "at least one"),
    ],
    ids=repr,
)
def test_protocols_that_make_no_sense_here_are_refused(protocol: Any, why: str) -> None:
    with pytest.raises(DomainError, match=rf"^protocol = .*{why}"):
        Resetter(*make(), protocol)
