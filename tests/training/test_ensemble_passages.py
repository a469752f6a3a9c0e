"""First passages of ensembles, what they draw, and what of them lives on an accelerator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resetsgd.errors import CorruptData, DomainError, NoDevice, StreamMismatch
from resetsgd.training import MLP, Ensemble, FirstPassages, State, digits, storage, streams
from resetsgd.training.data import Augmentation, OnDevice, Split
from resetsgd.training.ensemble import draws
from resetsgd.training.ensemble.draws import Keys
from resetsgd.training.ensemble.graphs import Graphs
from resetsgd.training.networks import small_cnn

DATA = digits(train=300, validation=100, test=200, seed=4)
TRAIN, LOOK = DATA.train.tensors(), DATA.validation.tensors()
MAPS = TRAIN[0].reshape(-1, 1, 8, 8), TRAIN[1]
LOOK_MAPS = LOOK[0].reshape(-1, 1, 8, 8), LOOK[1]
NETWORK = small_cnn(channels=1, size=8, widths=(4, 8), seed=3)
STEPS = 40


def convolutional(replicas: int = 7, **others: Any) -> Ensemble:
    options = {"learning_rate": 0.1, "momentum": 0.9, "batch_size": 16, "seed": 5, **others}
    return Ensemble(NETWORK, replicas, **options)


def perceptrons(replicas: int = 7) -> Ensemble:
    network = MLP((64, 16, 10))
    ensemble = Ensemble(network, replicas, learning_rate=0.05, batch_size=16, seed=5)
    ensemble.load(network.initial(seed=1))
    return ensemble


def by_hand(ensemble: Ensemble, level: Any, chances: Any, checkpoint: State, of: str) -> Any:
    """Times (0 for none) and resets until then, all replicas computed to the end."""
    times, counts = np.zeros(ensemble.replicas, int), np.zeros(ensemble.replicas, int)
    for step in range(1, STEPS + 1):
        ensemble.train_step(*MAPS)
        coins = ensemble.coins(chances)
        ensemble.reset(coins, checkpoint)
        counts += coins & (times == 0)
        found = ensemble.evaluate(*LOOK_MAPS)
        there = found.accuracies.numpy() >= level
        if of == "loss":
            there = found.losses.numpy() <= level
        times[(times == 0) & there] = step
    return times, counts


@pytest.mark.parametrize("of", ["accuracy", "loss"])
def test_first_passages_are_those_of_runs_to_the_end(of: str) -> None:
    level = np.linspace(0.2, 0.8, 7) if of == "accuracy" else np.linspace(2.2, 1.0, 7)
    chances = np.array([0.1, 0.05, 0.0, 0.02, 0.1, 0.0, 0.3])
    checkpoint = State.of(NETWORK)
    times, counts = by_hand(convolutional(), level, chances, checkpoint, of)
    passages = FirstPassages(
        convolutional(), level, of=of, probability=chances, checkpoint=checkpoint
    )
    passages.advance(*MAPS, look=LOOK_MAPS, steps=STEPS)
    assert 1 < (times > 0).sum() < 7, "some arrive and some do not"
    assert passages.censored.tolist() == (times == 0).tolist()
    assert passages.times.tolist() == np.where(times > 0, times, STEPS).tolist()
    assert passages.resets.tolist() == counts.tolist()
    assert passages.replica_steps < 7 * STEPS
    # and a level of its own for each replica matters
    other = FirstPassages(convolutional(), level[::-1].copy(), of=of)
    other.advance(*MAPS, look=LOOK_MAPS, steps=STEPS)
    assert other.times.tolist() != passages.times.tolist()


def test_each_replica_may_have_its_own_checkpoint_and_labels_to_the_end() -> None:
    kept = State.stacked(
        [State.of(small_cnn(channels=1, size=8, widths=(4, 8), seed=s)) for s in range(5)]
    )
    labels = torch.stack([(MAPS[1] + k) % 10 for k in range(5)])
    seen = torch.stack([(LOOK_MAPS[1] + k) % 10 for k in range(5)])
    levels = np.array([0.15, 0.5, 0.2, 0.5, 0.3])
    together = FirstPassages(convolutional(5), levels, probability=0.1, checkpoint=kept)
    together.advance(MAPS[0], labels, look=(LOOK_MAPS[0], seen), steps=25)
    for k in (1, 3, 4):
        alone = FirstPassages(
            convolutional(1, first_replica=k),
            levels[k],
            probability=0.1,
            checkpoint=kept.chosen([k]),
        )
        alone.advance(MAPS[0], labels[k], look=(LOOK_MAPS[0], seen[k]), steps=25)
        assert (alone.times[0], alone.censored[0]) == (together.times[k], together.censored[k])
        assert alone.resets[0] == together.resets[k]
    assert together.replica_steps < 5 * 25


def test_those_who_arrived_stop_costing() -> None:
    passages = FirstPassages(perceptrons(40), np.repeat([0.11, 0.999], [30, 10]))
    passages.advance(*TRAIN, look=LOOK, steps=STEPS)
    assert passages.censored.sum() >= 10
    assert passages.replica_steps < 0.6 * 40 * STEPS
    done = FirstPassages(perceptrons(4), 0.0)
    done.advance(*TRAIN, look=LOOK, steps=STEPS)
    assert (done.steps, done.replica_steps, done.times.tolist()) == (1, 4, [1.0] * 4)
    done.advance(*TRAIN, look=LOOK, steps=STEPS)
    assert done.steps == 1


@pytest.mark.parametrize("cut", [1, 12, 30])
@pytest.mark.parametrize("make", [convolutional, perceptrons])
def test_resumed_first_passages_are_those_of_the_unbroken_run(
    make: Callable[[], Ensemble], cut: int, tmp_path: Path
) -> None:
    train, look = (TRAIN, LOOK) if make is perceptrons else (MAPS, LOOK_MAPS)
    checkpoint = make().state(0)
    level = np.linspace(0.2, 0.8, 7)
    whole, first, second = (
        FirstPassages(make(), level, probability=0.05, checkpoint=checkpoint) for _ in range(3)
    )
    whole.advance(*train, look=look, steps=STEPS)
    first.advance(*train, look=look, steps=cut)
    storage.write(tmp_path / "run", first.state_dict())
    first.advance(*train, look=look, steps=3)  # nothing of what was kept is shared
    second.load_state_dict(storage.read(tmp_path / "run"))
    second.advance(*train, look=look, steps=STEPS - cut)
    assert second.times.tolist() == whole.times.tolist()
    assert second.resets.tolist() == whole.resets.tolist()
    assert second.replica_steps == whole.replica_steps
    ours, theirs = (run.state_dict()["running"] for run in (whole, second))
    assert State(*map(tuple, (ours["parameters"], ours["momentum"], ours["buffers"]))).same(
        State(*map(tuple, (theirs["parameters"], theirs["momentum"], theirs["buffers"])))
    )


def test_foreign_or_damaged_first_passages_are_refused() -> None:
    passages = FirstPassages(convolutional(3), 0.9)
    passages.advance(*MAPS, look=LOOK_MAPS, steps=2)
    kept = passages.state_dict()
    with pytest.raises(CorruptData):
        FirstPassages(convolutional(3), 0.9).load_state_dict({**kept, "arrived": torch.zeros(2)})
    with pytest.raises(CorruptData):
        FirstPassages(convolutional(3), 0.9).load_state_dict({"steps": [1, 2]})
    with pytest.raises(StreamMismatch):
        FirstPassages(convolutional(3, seed=6), 0.9).load_state_dict(kept)
    with pytest.raises(DomainError, match=r"^checkpoint = "):
        FirstPassages(convolutional(3), 0.9, probability=0.1)
    with pytest.raises(DomainError, match=r"^level = "):
        FirstPassages(convolutional(3), [0.1, 0.2])
    with pytest.raises(DomainError, match=r"^ensemble = "):
        FirstPassages(NETWORK, 0.5)  # type: ignore[arg-type]


def test_a_subset_goes_on_as_it_would_have() -> None:
    whole = convolutional(6, batch_size=[16, 8, 16, 8, 4, 4], learning_rate=[0.1] * 3 + [0.05] * 3)
    for _ in range(3):
        whole.train_step(*MAPS)
    part = whole.subset([4, 1, 2])
    before = whole.state(4)
    for _ in range(3):
        part.train_step(*MAPS)
    assert whole.state(4).same(before)
    for _ in range(3):
        whole.train_step(*MAPS)
    assert [part.state(i).same(whole.state(k)) for i, k in enumerate((4, 1, 2))] == [True] * 3


def test_a_checkpoint_can_follow_each_replica() -> None:
    ensemble = convolutional(4)
    kept = ensemble.states()
    old = [kept.chosen(k) for k in range(4)]
    ensemble.train_step(*MAPS)
    ensemble.reset(np.zeros(4, bool), kept)
    mask = np.array([True, False, False, True])
    now = ensemble.states()
    ensemble.renew(kept, mask)
    ensemble.train_step(*MAPS)
    ensemble.reset(np.ones(4, bool), kept)  # what was kept of it before has changed
    for k in range(4):
        assert ensemble.state(k).same(now.chosen(k) if mask[k] else old[k])
        assert not now.chosen(k).same(old[k])


def test_a_resumed_ensemble_has_the_bits_of_the_unbroken_one(tmp_path: Path) -> None:
    whole, first, second = (
        convolutional(3, learning_rate=[0.1, 0.05, 0.02], batch_size=[8, 16, 8]) for _ in range(3)
    )
    for ensemble, steps in ((whole, 8), (first, 5)):
        for _ in range(steps):
            ensemble.train_step(*MAPS, probability=0.2, checkpoint=State.of(NETWORK))
    storage.write(tmp_path / "ensemble", first.state_dict())
    second.load_state_dict(storage.read(tmp_path / "ensemble"))
    for _ in range(3):
        second.train_step(*MAPS, probability=0.2, checkpoint=State.of(NETWORK))
    assert second.states().same(whole.states())
    assert second.resets.tolist() == whole.resets.tolist()


# What is drawn on the device.

SEEDS, REPLICAS, AT = (2**63 + 12345, 7, 0), (3, 2**32 - 1, 0), (5, 9, 2**32 - 1)


def keys() -> Keys:
    signed = [seed - 2**64 if seed >= 2**63 else seed for seed in SEEDS]
    return Keys(*(torch.tensor(part) for part in (signed, REPLICAS, AT)))


def test_draws_on_the_device_are_those_of_the_streams() -> None:
    words, uniforms = draws.words(keys(), 4, 11), draws.uniforms(keys(), streams.Purpose.COIN)
    batches = draws.batches(keys(), 100, 60)
    index = torch.tensor([0, 5, 2**32 - 1])
    addressed = draws.addressed(keys(), 11, index)
    for i, (seed, replica, step) in enumerate(zip(SEEDS, REPLICAS, AT, strict=True)):
        where = {"replica": replica, "step": step}
        assert words[i].tolist() == streams.words(seed, 4, 11, **where).tolist()
        assert uniforms[i].item() == streams.uniforms(seed, streams.Purpose.COIN, 1, **where)[0]
        expected = streams.batches(seed, replica, step, population=100, size=60)
        assert batches[i].tolist() == expected.tolist()
        assert addressed[i].item() == streams.addressed(seed, 11, int(index[i]), **where)


@pytest.mark.parametrize("seeds", [[5, 5, 5], [5, 2**64 - 1, 5]])
def test_shards_draw_what_an_accelerator_would(seeds: list[int]) -> None:
    ensemble = convolutional(3, seed=seeds, together=3)
    for shard in ensemble._shards:
        for step in (0, 300):
            drawn = shard._batch(120, step)
            ahead = shard._keys._replace(step=torch.tensor([[step]]))
            assert torch.equal(drawn, draws.batches(ahead, 120, 16)[0])
        shard.probability.fill_(0.5)
        ensemble.step = 41
        shard._toss.copy_(shard._coin(41))
        assert shard.toss().tolist() == ensemble.coins(0.5)[shard.places.numpy()].tolist()


def test_batches_are_augmented_as_the_plain_loop_would() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), np.uint8)
    labels = np.arange(40) % 10
    split = Split(pixels, labels, np.arange(40))
    augmentation = Augmentation(padding=2)
    held = OnDevice(split, normalisation=((0.5,), (0.25,)), augmentation=augmentation)
    network = small_cnn(size=8, widths=(4,))
    ensemble = Ensemble(network, 3, learning_rate=0.1, batch_size=6, seed=9, together=3)
    feed = ensemble._feed(held, None)
    for shard in ensemble._shards:
        shard.fetch(feed, 17)
        found = feed.batch(shard._index, shard._keys).unflatten(1, (len(shard), 3))
        for row, k in enumerate(shard.replicas):
            rows = streams.batches(9, k, 17, population=40, size=6)
            places = torch.from_numpy(augmentation.draw(9, 17, rows, replica=k))
            assert torch.equal(found[:, row], held.batch(torch.from_numpy(rows), places))
    ensemble.train_step(held)
    plain = Ensemble(network, 3, learning_rate=0.1, batch_size=6, seed=9)
    plain.train_step(held.normalised(held.images), torch.from_numpy(labels))
    assert not plain.state(0).same(ensemble.state(0))
    assert torch.equal(
        ensemble.losses(held), ensemble.losses(held.normalised(held.images), held.labels)
    )


def test_work_that_is_no_graph_is_simply_done() -> None:
    done: list[int] = []
    graphs = Graphs(torch.device("cpu"), [])
    assert graphs.run(("key",), lambda: done.append(1) or len(done)) == 1
    assert graphs.run(("key",), lambda: done.append(1) or len(done)) == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_here_is_one_clear_error() -> None:
    with pytest.raises(NoDevice, match="no CUDA device to use"):
        convolutional(device="cuda")


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_the_captured_step_is_that_of_the_processor(precision: str) -> None:
    checkpoint = State.of(NETWORK)
    runs = [
        convolutional(5, device=device, precision=precision, batch_size=[16, 16, 8, 8, 8])
        for device in ("cpu", "cuda")
    ]
    for _ in range(4):
        for ensemble in runs:
            ensemble.train_step(*MAPS, probability=[0.0, 0.5, 0.1, 1.0, 0.3], checkpoint=checkpoint)
    assert runs[0].resets.tolist() == runs[1].resets.tolist()
    tolerance = {"float32": 1e-3, "bfloat16": 0.2, "float64": 1e-9}[precision]
    for ours, theirs in zip(runs[0].states().parameters, runs[1].states().parameters, strict=True):
        assert torch.allclose(ours, theirs.cpu(), atol=tolerance)
    looks = [ensemble.evaluate(*LOOK_MAPS).losses.cpu() for ensemble in runs]
    assert torch.allclose(*looks, atol=10 * tolerance)


@needs_cuda
def test_first_passages_on_a_device_are_those_of_the_processor() -> None:
    found = []
    for device in ("cpu", "cuda"):
        run = FirstPassages(
            convolutional(device=device, precision="float64"),
            np.linspace(0.3, 0.75, 7),
            probability=0.1,
            checkpoint=State.of(NETWORK),
        )
        run.advance(*MAPS, look=LOOK_MAPS, steps=STEPS)
        found.append((run.times.tolist(), run.resets.tolist()))
    assert found[0] == found[1]
