"""The stacked replicas against plain torch, and their streams against their promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from resetsgd.errors import CorruptData, DomainError, StreamMismatch
from resetsgd.training import MLP, Ensemble, Evaluation, State, digits, streams
from resetsgd.training.storage import digest

NETWORK = MLP(widths=(64, 24, 16, 10))
DATA = digits(train=400, validation=120, test=200, seed=4)
IMAGES, LABELS = DATA.train.images, DATA.train.labels


def make(replicas: int = 5, *, seed: int = 9, network: MLP = NETWORK, **others: int) -> Ensemble:
    options = {"batch_size": 32, **others}
    ensemble = Ensemble(network, replicas, learning_rate=0.05, momentum=0.9, seed=seed, **options)
    ensemble.load(network.initial(seed=2))
    return ensemble


def furthest(a: State, b: State) -> float:
    pairs = zip(a.parameters + a.momentum, b.parameters + b.momentum, strict=True)
    return max(float((x - y).abs().max()) for x, y in pairs)


@pytest.mark.parametrize("widths", [(64, 10), (64, 24, 10), (64, 24, 16, 10)])
def test_fifty_steps_are_those_of_a_plain_torch_loop(widths: tuple[int, ...]) -> None:
    network = MLP(widths)
    ensemble = make(4, network=network)
    module = network.module(network.initial(seed=2))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    images, labels = DATA.train.tensors()
    for step in range(50):
        ensemble.train_step(IMAGES, LABELS)
        rows = streams.batches(9, 2, step, population=400, size=32)
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(images[rows]), labels[rows]).backward()
        optimizer.step()
    assert furthest(ensemble.state(2), network.state(module, optimizer)) < 2e-5
    # and the comparison can tell: another replica went elsewhere
    assert furthest(ensemble.state(1), network.state(module, optimizer)) > 1e-2


def test_gradient_is_autograds_in_one_step() -> None:
    ensemble = make(3, batch_size=64)
    ensemble.momentum = 0.0
    ensemble.train_step(IMAGES, LABELS)
    images, labels = DATA.train.tensors()
    for k in range(3):
        module = NETWORK.module(NETWORK.initial(seed=2))
        rows = streams.batches(9, k, 0, population=400, size=64)
        nn.functional.cross_entropy(module(images[rows]), labels[rows]).backward()
        for parameter, found in zip(module.parameters(), ensemble.state(k).momentum, strict=True):
            assert parameter.grad is not None
            scale = float(parameter.grad.abs().max())
            assert float((parameter.grad - found).abs().max()) <= 2e-6 * scale


@pytest.mark.parametrize("count", [1, 7, 120])
def test_evaluation_is_that_of_plain_modules(count: int) -> None:
    ensemble = make(37)
    for _ in range(20):
        ensemble.train_step(IMAGES, LABELS)
    split = DATA.validation
    images, labels = split.tensors()
    images, labels = images[:count], labels[:count]
    looked = ensemble.evaluate(split.images[:count], split.labels[:count])
    assert isinstance(looked, Evaluation)
    for k in (0, 17, 36):
        logits = NETWORK.module(ensemble.state(k))(images).detach().double()
        expected = nn.functional.cross_entropy(logits, labels)
        assert looked.losses[k].item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
        assert looked.accuracies[k].item() == (logits.argmax(1) == labels).sum().item() / count
    assert torch.equal(looked.losses, ensemble.losses(images, labels))
    assert torch.equal(looked.accuracies, ensemble.accuracies(images, labels))


def test_evaluation_in_groups_is_evaluation_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = make(11)
    for _ in range(5):
        ensemble.train_step(IMAGES, LABELS)
    at_once = ensemble.evaluate(IMAGES, LABELS)
    monkeypatch.setattr("resetsgd.training.ensemble.shard._CACHED", 3 * 400 * 24)
    grouped = ensemble.evaluate(IMAGES, LABELS)
    assert torch.equal(at_once.accuracies, grouped.accuracies)
    assert torch.allclose(at_once.losses, grouped.losses, rtol=1e-6)


def test_ties_and_overflow_are_errors_of_classification_not_hits() -> None:
    ensemble = Ensemble(NETWORK, 2, learning_rate=0.1)
    nothing = NETWORK.initial()
    zeros = tuple(torch.zeros_like(p) for p in nothing.parameters)
    ensemble.load(State(zeros, zeros))
    looked = ensemble.evaluate(IMAGES, LABELS)
    assert looked.accuracies.tolist() == [0.0, 0.0]
    assert looked.losses.tolist() == pytest.approx([np.log(10)] * 2)
    huge = tuple(torch.full_like(p, 1e4) for p in nothing.parameters)
    ensemble.load(State((*huge[:-1], torch.arange(10.0)), zeros))
    assert ensemble.losses(IMAGES, LABELS).isfinite().all()


def test_a_replica_trains_alike_alone_and_in_company() -> None:
    company, alone = make(8), make(1, first_replica=6)
    for _ in range(30):
        company.train_step(IMAGES, LABELS)
        alone.train_step(IMAGES, LABELS)
    assert furthest(company.state(6), alone.state(0)) < 2e-5
    assert furthest(company.state(5), alone.state(0)) > 1e-2


def test_repeated_runs_give_the_same_bits() -> None:
    runs = []
    for _ in range(2):
        ensemble = make(6)
        for step in range(25):
            ensemble.train_step(IMAGES, LABELS)
            if step % 5 == 0:
                ensemble.reset(ensemble.coins(0.3), NETWORK.initial(seed=2))
        runs.append([ensemble.state(k) for k in range(6)])
    assert all(a.same(b) for a, b in zip(*runs, strict=True))


def test_threads_do_not_change_a_bit() -> None:
    found = []
    for threads, inside in ((1, 1), (2, 1), (3, 2)):
        torch.set_num_threads(inside)
        ensemble = make(300, threads=threads)
        assert len(ensemble._shards) == 4
        for _ in range(8):
            ensemble.train_step(IMAGES, LABELS)
            ensemble.reset(ensemble.coins(0.2), NETWORK.initial(seed=2))
        looked = ensemble.evaluate(IMAGES, LABELS)
        assert torch.get_num_threads() == inside
        found.append(digest([ensemble.state_dict(), list(looked)]))
    assert len(set(found)) == 1


def test_replicas_are_found_in_their_shards() -> None:
    ensemble, few = make(299), make(1, first_replica=298)
    assert [len(shard.replicas) for shard in ensemble._shards] == [75, 75, 75, 74]
    for _ in range(5):
        ensemble.train_step(IMAGES, LABELS)
        few.train_step(IMAGES, LABELS)
    assert furthest(ensemble.state(298), few.state(0)) < 1e-5
    stacked = ensemble.state_dict()["parameters"][0]
    for k in (0, 74, 75, 149, 150, 298):
        assert torch.equal(stacked[k], ensemble.state(k).parameters[0])
    checkpoint = NETWORK.initial(seed=2)
    ensemble.reset(np.arange(299) % 74 == 1, checkpoint)
    assert [k for k in range(299) if ensemble.state(k).same(checkpoint)] == [1, 75, 149, 223, 297]


@pytest.mark.parametrize("cut", [1, 13, 29])
def test_resumed_run_has_the_bits_of_the_unbroken_one(cut: int) -> None:
    whole = make(6)
    for _ in range(30):
        whole.train_step(IMAGES, LABELS)
    first, second = make(6), make(6)
    for _ in range(cut):
        first.train_step(IMAGES, LABELS)
    kept = first.state_dict()
    first.train_step(IMAGES, LABELS)  # nothing of the kept state is shared with the live one
    second.load_state_dict(kept)
    for _ in range(30 - cut):
        second.train_step(IMAGES, LABELS)
    assert second.step == 30
    assert all(whole.state(k).same(second.state(k)) for k in range(6))


def test_reset_restores_parameters_and_momentum_of_chosen_replicas_only() -> None:
    ensemble = make(6)
    for _ in range(4):
        ensemble.train_step(IMAGES, LABELS)
    checkpoint = ensemble.state(0)
    for _ in range(4):
        ensemble.train_step(IMAGES, LABELS)
    before = [ensemble.state(k) for k in range(6)]
    address = ensemble._shards[0].flat.data_ptr()
    mask = np.array([False, True, False, False, True, True])
    ensemble.reset(mask, checkpoint)
    for k in range(6):
        assert ensemble.state(k).same(checkpoint if mask[k] else before[k])
    ensemble.reset(np.zeros(6, bool), checkpoint)
    assert ensemble.state(0).same(before[0])
    ensemble.reset(torch.ones(6, dtype=torch.bool), checkpoint)
    assert all(ensemble.state(k).same(checkpoint) for k in range(6))
    ensemble.train_step(IMAGES, LABELS)
    assert not ensemble.state(0).same(checkpoint)
    assert ensemble._shards[0].flat.data_ptr() == address


def test_coins_of_the_ensemble_are_the_keyed_coins() -> None:
    ensemble = make(8, first_replica=40)
    for _ in range(3):
        ensemble.train_step(IMAGES, LABELS)
    expected = streams.coins(9, np.arange(40, 48), 3, 0.5)
    assert ensemble.coins(0.5).tolist() == expected.tolist()


def test_module_and_back_is_the_identity_and_draws_nothing() -> None:
    torch.manual_seed(3)
    drawn = torch.rand(2)
    torch.manual_seed(3)
    state = NETWORK.initial(seed=5)
    module = NETWORK.module(state)
    assert torch.equal(torch.rand(2), drawn)
    assert NETWORK.state(module).same(state)
    first = next(module.parameters())
    with torch.no_grad():
        first.add_(1.0)
    assert not torch.equal(first, state.parameters[0])


def test_initial_state_has_the_law_of_linear_layers() -> None:
    network = MLP((400, 300, 10))
    weight = network.initial(seed=1).parameters[0].double()
    bound = 400**-0.5
    assert weight.abs().max() <= bound
    # 120,000 draws: the mean within 5, the variance within 7 standard errors
    assert abs(weight.mean().item()) < 5 * bound / 3**0.5 / 120_000**0.5
    assert weight.var().item() == pytest.approx(bound**2 / 3, rel=7 * (0.8 / 120_000) ** 0.5)
    assert not torch.equal(weight.float(), network.initial(seed=2).parameters[0])


WRONG = {
    "replicas": lambda: Ensemble(NETWORK, 0, learning_rate=0.1),
    "learning_rate": lambda: Ensemble(NETWORK, 1, learning_rate=-0.1),
    "momentum": lambda: Ensemble(NETWORK, 1, learning_rate=0.1, momentum=1.0),
    "batch_size": lambda: make(2, batch_size=401).train_step(IMAGES, LABELS),
    "seed": lambda: make(2, seed=-1),
    "first_replica": lambda: make(2, first_replica=2**32 - 1),
    "threads": lambda: make(2, threads=0),
    "widths": lambda: MLP((64,)),
    "images": lambda: make().evaluate(IMAGES[:, :32], LABELS),
    "labels": lambda: make().evaluate(IMAGES, LABELS + 1),
    "mask": lambda: make(4).reset(np.ones(3, bool), NETWORK.initial()),
    "checkpoint": lambda: make(4).reset(np.ones(4, bool), MLP((64, 10)).initial()),
    "state": lambda: make(4).load(MLP((64, 10)).initial()),
    "replica": lambda: make(4).state(4),
    "probability": lambda: make(4).coins(1.5),
    "module": lambda: NETWORK.state(nn.Linear(64, 10)),
    "optimizer": lambda: NETWORK.state(m := nn.Linear(2, 2), torch.optim.Adam(m.parameters())),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_named(name: str) -> None:
    with pytest.raises(DomainError, match=f"^{name} = ") as caught:
        WRONG[name]()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "images", [IMAGES.astype(float), np.full_like(IMAGES, np.nan), IMAGES.tolist(), IMAGES[:0]]
)
def test_images_that_cannot_be_are_refused(images: object) -> None:
    with pytest.raises(DomainError, match=r"^images = "):
        make().train_step(images, LABELS)


def test_what_is_written_into_a_set_between_steps_is_seen() -> None:
    for images in (IMAGES.copy(), np.asfortranarray(IMAGES), IMAGES.repeat(2, 0)[::2]):
        ensemble, labels = make(2), LABELS.copy()
        before = ensemble.losses(images, labels)
        images[:] = 0.5
        assert not torch.equal(ensemble.losses(images, labels), before)
        grey = ensemble.losses(images, labels)
        labels[:] = 3
        assert not torch.equal(ensemble.losses(images, labels), grey)


def test_a_changed_learning_rate_survives_a_resume() -> None:
    first, second = make(2), make(2)
    first.learning_rate = 0.01
    second.load_state_dict(first.state_dict())
    assert second.learning_rate == 0.01


def test_foreign_or_damaged_states_are_refused() -> None:
    with pytest.raises(StreamMismatch, match="seed"):
        make(4, seed=1).load_state_dict(make(4, seed=2).state_dict())
    damaged = make(4).state_dict()
    damaged["momentum"] = damaged["momentum"][:-1]
    with pytest.raises(CorruptData):
        make(4).load_state_dict(damaged)
    with pytest.raises(CorruptData):
        make(4).load_state_dict({"step": 3})
