"""Stacked networks with convolutions and batch norm against the plain loop over modules."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from resetsgd.errors import DomainError
from resetsgd.training import Ensemble, State, digits, stack, streams
from resetsgd.training.networks import ResNet, mlp, small_cnn, vcnn
from resetsgd.training.networks.seeded import seeded

SEED, RATE, MOMENTUM, SIZE = 7, 0.05, 0.9, 8
GENERATOR = np.random.default_rng(5)
IMAGES = torch.from_numpy(GENERATOR.random((120, 3, 16, 16), np.float32))
LABELS = torch.from_numpy(GENERATOR.integers(0, 10, 120))


class Branches(nn.Module):
    """What no network of the library has: groups, strides, poolings, other activations."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(3, 8, 3, 2, dilation=2, padding=2))
        self.left = nn.Sequential(nn.Conv2d(8, 8, 3, padding="same", groups=4), nn.GELU())
        self.right = nn.Sequential(nn.BatchNorm2d(8, affine=False), nn.LeakyReLU(0.1))
        self.out = nn.Sequential(
            nn.MaxPool2d(3, 1, 1), nn.Flatten(), nn.Linear(128, 10, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.entry(x)
        return self.out(torch.relu(self.left(x)) + self.right(x))


def norm_mlp() -> nn.Module:
    layers = [nn.Flatten(), nn.Linear(768, 24, bias=False), nn.BatchNorm1d(24), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(24, 10))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "small cnn": lambda: small_cnn(size=16, widths=(8, 16), seed=1),
    "odd widths": lambda: small_cnn(size=15, widths=(5, 7), seed=1),
    "without norm": lambda: small_cnn(size=16, widths=(8, 16), norm=False, seed=1),
    "vcnn": lambda: vcnn(size=8, dropout=0.0, seed=1),
    "residual": lambda: seeded(1, lambda: ResNet((1, 1, 1, 1))),
    "branches": lambda: seeded(1, Branches),
    "perceptron with norm": lambda: seeded(1, norm_mlp),
}


def images_of(name: str) -> Tensor:
    if name == "perceptron with norm":
        return IMAGES.flatten(1)
    size = {"odd widths": 15, "vcnn": 8, "residual": 8}.get(name, 16)
    return IMAGES[..., :size, :size].contiguous()


class Plain:
    """One replica as anyone would train it, with the batches of that replica."""

    def __init__(self, network: nn.Module, replica: int, *, double: bool = False) -> None:
        self.module, self.replica = copy.deepcopy(network).train(), replica
        if double:
            self.module.double()
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=RATE, momentum=MOMENTUM)

    def step(self, images: Tensor, step: int) -> None:
        rows = streams.batches(SEED, self.replica, step, population=120, size=SIZE)
        batch = images[rows].to(next(self.module.parameters()).dtype)
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self.module(batch), LABELS[rows]).backward()
        self.optimizer.step()

    @property
    def state(self) -> State:
        return State.of(self.module, self.optimizer)


def make(network: nn.Module, replicas: int = 3, **others: object) -> Ensemble:
    options = {"learning_rate": RATE, "momentum": MOMENTUM, "batch_size": SIZE, "seed": SEED}
    return Ensemble(network, replicas, **{**options, **others})  # type: ignore[arg-type]


def deviation(a: State, b: State) -> float:
    """The largest difference of any tensor, in units of the largest number in it.

    Of 0.1 where all are smaller: a bias before batch norm has a gradient of rounding errors only.
    """
    return max(
        float((x.double() - y.double()).abs().max() / y.double().abs().max().clamp(min=0.1))
        for x, y in zip(
            (*a.parameters, *a.momentum, *a.buffers),
            (*b.parameters, *b.momentum, *b.buffers),
            strict=True,
        )
    )


FORMS = [(1, "grouped"), (2, "grouped"), (2, "products")]


@pytest.mark.parametrize(("together", "convolution"), FORMS)
@pytest.mark.parametrize("name", NETWORKS)
def test_training_is_that_of_the_plain_loop(name: str, together: int, convolution: str) -> None:
    """In float64: in float32, rounding soon grows into another sign or another maximum."""
    network, images = NETWORKS[name](), images_of(name)
    plain = [Plain(network, k, double=True) for k in range(2)]
    form = {"together": together, "convolution": convolution}
    ensemble = make(network, 2, precision="float64", **form)
    for step in range(2):
        ensemble.train_step(images, LABELS)
        for one in plain:
            one.step(images, step)
    for k, one in enumerate(plain):
        assert deviation(ensemble.state(k), one.state) < 1e-9
    # and the comparison can tell: another replica had other batches
    assert deviation(ensemble.state(0), plain[1].state) > 1e-2
    assert all(int(b[1]) == 2 for b in ensemble.states().buffers if b.dtype == torch.int64)
    losses = ensemble.losses(images, LABELS)
    for k, one in enumerate(plain):
        logits = one.module.eval()(images.double())
        assert losses[k].item() == pytest.approx(nn.functional.cross_entropy(logits, LABELS).item())


@pytest.mark.parametrize("name", ["small cnn", "odd widths", "without norm", "branches"])
def test_each_step_is_that_of_the_plain_loop_in_float32(name: str) -> None:
    network, images = NETWORKS[name](), images_of(name)
    plain, ensemble = [Plain(network, k) for k in range(3)], make(network)
    for step in range(4):
        ensemble.load(State.stacked([one.state for one in plain]))
        ensemble.train_step(images, LABELS)
        for k, one in enumerate(plain):
            one.step(images, step)
            assert deviation(ensemble.state(k), one.state) < 2e-4
        assert deviation(ensemble.state(0), plain[1].state) > 1e-2


@pytest.mark.parametrize(("channels", "size"), [(5, 6), (16, 16), (33, 2)])
def test_norm_relu_and_maximum_in_one_go_are_the_three_layers(channels: int, size: int) -> None:
    images = torch.randn(4, channels, size, size, generator=torch.Generator().manual_seed(1))
    images = images * 3 + torch.linspace(-40, 40, channels)[:, None, None]
    norm = nn.BatchNorm2d(channels)
    network = nn.Sequential(norm, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    network.append(nn.Linear(channels * (size // 2) ** 2, 10))
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1.0, 2.0, channels))
        norm.weight[1], norm.bias[1] = 0.0, 0.5
    ensemble = make(network, 1, batch_size=4)
    assert any(type(node.layer).__name__ == "NormReluPool" for node in ensemble._program.nodes)
    plain = copy.deepcopy(network).double().train()
    ensemble.train_step(images, LABELS[:4])
    rows = streams.batches(SEED, 0, 0, population=4, size=4)
    nn.functional.cross_entropy(plain(images[rows].double()), LABELS[:4][rows]).backward()
    for parameter, found in zip(plain.parameters(), ensemble.state(0).momentum, strict=True):
        assert parameter.grad is not None
        scale = float(parameter.grad.abs().max())
        assert float((parameter.grad - found).abs().max()) <= 1e-5 * scale
    for ours, theirs in zip(ensemble.state(0).buffers, plain.buffers(), strict=True):
        assert torch.allclose(ours.double(), theirs.double(), rtol=1e-5, atol=1e-6)
    # below it, too: a convolution sees the gradient of the maps
    deep = nn.Sequential(nn.Conv2d(3, channels, 1), *copy.deepcopy(network))
    one = Plain(deep, 0)
    ensemble = make(deep, 1)
    ensemble.train_step(IMAGES[..., :size, :size].contiguous(), LABELS)
    one.step(IMAGES[..., :size, :size].contiguous(), 0)
    assert deviation(ensemble.state(0), one.state) < 2e-4


def test_a_diverged_replica_shows_nan_and_stays_alone() -> None:
    network = NETWORKS["small cnn"]()
    ensemble = make(network, 2, learning_rate=[1e30, 0.05])
    for _ in range(4):
        ensemble.train_step(IMAGES, LABELS)
    losses, accuracies = ensemble.evaluate(IMAGES, LABELS)
    assert not losses[0].isfinite() and losses[1].isfinite()
    assert accuracies[0] == 0.0 < accuracies[1]


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluation_is_that_of_modules_in_evaluation_mode(name: str) -> None:
    network, images = NETWORKS[name](), images_of(name)
    ensemble = make(network)
    for _ in range(2):
        ensemble.train_step(images, LABELS)
    looked, module = ensemble.evaluate(images, LABELS), copy.deepcopy(network).eval()
    stacked = stack(network, 3)
    stacked.write(ensemble.states(), slice(None))
    logits = stacked(images)
    for k in range(3):
        ensemble.state(k).into(module)
        expected = module(images).detach()
        assert torch.allclose(logits[k], expected, rtol=1e-4, atol=1e-5)
        loss = nn.functional.cross_entropy(expected.double(), LABELS)
        assert looked.losses[k].item() == pytest.approx(loss.item(), rel=1e-5)
        hits = (expected.argmax(1) == LABELS).double().mean().item()
        assert looked.accuracies[k].item() == pytest.approx(hits, abs=1e-12)
    assert not torch.equal(logits[0], logits[1])


@pytest.mark.parametrize("name", ["small cnn", "vcnn", "residual"])
def test_a_replica_has_the_same_bits_alone_in_company_and_on_any_thread(name: str) -> None:
    network, images = NETWORKS[name](), images_of(name)
    runs = [make(network, 5, threads=2), make(network, 1, first_replica=3, threads=1)]
    checkpoint = State.of(network)
    for ensemble in runs:
        for _ in range(3):
            ensemble.train_step(images, LABELS, probability=0.4, checkpoint=checkpoint)
    assert runs[0].state(3).same(runs[1].state(0))
    assert runs[0].resets[3] == runs[1].resets[0]
    expected = [streams.coins(SEED, np.arange(5), step, 0.4) for step in (1, 2, 3)]
    assert runs[0].resets.tolist() == np.sum(expected, axis=0).tolist()
    assert not runs[0].state(2).same(runs[0].state(3))


def test_every_setting_may_differ_from_replica_to_replica() -> None:
    network = NETWORKS["small cnn"]()
    checkpoints = [State.of(small_cnn(size=16, widths=(8, 16), seed=s)) for s in (3, 4, 5, 6)]
    labels = torch.stack([(LABELS + k) % 10 for k in range(4)])
    own = {
        "learning_rate": [0.1, 0.01, 0.05, 0.02],
        "batch_size": [8, 16, 8, 4],
        "seed": [1, 2, 2, 2**64 - 1],
    }
    chances = [0.0, 0.5, 1.0, 0.3]
    mixed = make(network, 4, **own)
    kept = State.stacked(checkpoints)
    singles = [
        make(network, 1, first_replica=k, **{name: value[k] for name, value in own.items()})
        for k in range(4)
    ]
    for _ in range(5):
        mixed.train_step(IMAGES, labels, probability=chances, checkpoint=kept)
        for k, single in enumerate(singles):
            single.train_step(IMAGES, labels[k], probability=chances[k], checkpoint=checkpoints[k])
    for k, single in enumerate(singles):
        assert mixed.state(k).same(single.state(0))
        assert mixed.resets[k] == single.resets[0]
        look, alone = mixed.evaluate(IMAGES, labels), single.evaluate(IMAGES, labels[k])
        assert torch.equal(look.losses[k], alone.losses[0])
    assert mixed.resets[0] == 0 and mixed.resets[2] == 5
    assert mixed.state(2).same(checkpoints[2]) and not mixed.state(0).same(checkpoints[0])


@pytest.mark.parametrize("stacked", [False, True])
def test_the_branch_free_reset_writes_the_same_bits(stacked: bool) -> None:
    network = NETWORKS["small cnn"]()
    states = [State.of(small_cnn(size=16, widths=(8, 16), seed=s)) for s in range(6)]
    runs = [make(network, 6, together=3) for _ in range(2)]
    mask = torch.tensor([True, False, False, True, True, False])
    checkpoint = State.stacked(states) if stacked else states[0]
    for ensemble in runs:
        ensemble.train_step(IMAGES, LABELS)
    rows, where = runs
    rows.reset(mask, checkpoint)
    where._keep(checkpoint)
    for shard in where._shards:
        shard.reset_where(mask[shard.places])
    for k in range(6):
        assert rows.state(k).same(where.state(k))
        assert rows.state(k).same(states[k if stacked else 0]) == bool(mask[k])
    assert rows.resets.tolist() == where.resets.tolist() == mask.long().tolist()


def test_bfloat16_is_that_of_autocast() -> None:
    network = NETWORKS["small cnn"]()
    runs = {kind: make(network, 1, precision=kind) for kind in ("bfloat16", "float64")}
    for ensemble in runs.values():
        ensemble.train_step(IMAGES, LABELS)
    module = copy.deepcopy(network).train()
    rows = streams.batches(SEED, 0, 0, population=120, size=SIZE)
    with torch.autocast("cpu", torch.bfloat16):
        logits = module(IMAGES[rows])
    nn.functional.cross_entropy(logits.float(), LABELS[rows]).backward()
    theirs = torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])
    ours, exact = (torch.cat([v.flatten() for v in e.state(0).momentum]) for e in runs.values())
    scale, error = float(exact.norm()), float((theirs - exact).norm())
    assert 1e-4 * scale < float((ours - exact).norm()) < 2 * error < 0.2 * scale
    assert {t.dtype for t in runs["bfloat16"].state(0).parameters} == {torch.float32}


def test_bfloat16_learns_the_digits() -> None:
    data = digits(train=600, validation=200, test=200, seed=1)
    images = data.train.images.reshape(-1, 1, 8, 8)
    held_out = data.validation.images.reshape(-1, 1, 8, 8)
    network = small_cnn(channels=1, size=8, widths=(8, 16), seed=2)
    ensemble = Ensemble(network, 2, learning_rate=0.1, momentum=0.9, precision="bfloat16")
    before = ensemble.accuracies(held_out, data.validation.labels)
    for _ in range(60):
        ensemble.train_step(images, data.train.labels)
    found = ensemble.accuracies(held_out, data.validation.labels)
    assert float(before.max()) < 0.3 < 0.7 < float(found.min())


@pytest.mark.parametrize("together", [1, 4])
def test_dropout_is_keyed_by_replica_and_step(together: int) -> None:
    network, images = vcnn(size=8, dropout=0.3, seed=1), images_of("vcnn")
    company = make(network, 4, together=together, precision="float64")
    alone, without = (
        make(net, 1, first_replica=2, precision="float64") for net in (network, NETWORKS["vcnn"]())
    )
    for ensemble in (company, alone, without):
        ensemble.train_step(images, LABELS)
    assert deviation(company.state(2), alone.state(0)) < 1e-9
    assert deviation(without.state(0), alone.state(0)) > 1e-2


def test_dropout_masks_are_the_words_of_their_stream() -> None:
    """A network that is only dropout and a linear layer shows its masks in its gradient."""
    network = seeded(1, lambda: nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.4), nn.Linear(6, 2)))
    ensemble = Ensemble(network, 3, learning_rate=0.1, batch_size=1, seed=SEED)
    images = torch.ones(1, 6)
    for step in range(3):
        ensemble.train_step(images, torch.zeros(1, dtype=torch.int64))
        for k in range(3):
            gradient = ensemble.state(k).momentum[2][0]
            purpose = streams.Purpose.DROPOUT | 1 << 8
            drawn = streams.words(SEED, purpose, 6, replica=k, step=step)
            assert ((gradient != 0).numpy() == (drawn >= int(0.4 * 2**32))).all()


REFUSED: dict[str, Callable[[], nn.Module]] = {
    "recurrent": lambda: nn.Sequential(nn.GRU(4, 4)),
    "no parameters": lambda: nn.Sequential(nn.ReLU()),
    "no linear end": lambda: nn.Sequential(nn.Conv2d(3, 4, 3)),
    "cumulative norm": lambda: nn.Sequential(
        nn.Linear(4, 4), nn.BatchNorm1d(4, momentum=None), nn.Linear(4, 2)
    ),
    "reflected": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.Flatten(), nn.Linear(4, 2)
    ),
    "float64": lambda: nn.Linear(4, 2).double(),
    "frozen": lambda: nn.Linear(4, 2).requires_grad_(False),
    "twice": lambda: nn.Sequential(*[nn.Linear(4, 4)] * 2, nn.Linear(4, 2)),
    "one class": lambda: nn.Linear(4, 1),
    "flattened images": lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_network_that_cannot_be_stacked_is_refused_by_name(name: str) -> None:
    with pytest.raises(DomainError, match=r"^network = "):
        stack(REFUSED[name](), 2)


WRONG: dict[str, Callable[[], object]] = {
    "images": lambda: make(NETWORKS["small cnn"]()).train_step(IMAGES[:, :2], LABELS),
    "labels": lambda: make(NETWORKS["small cnn"]()).train_step(IMAGES, LABELS.expand(2, -1)),
    "batch_size": lambda: Ensemble(mlp((4, 2)), 2, learning_rate=0.1, batch_size=[3, 4, 5]),
    "learning_rate": lambda: Ensemble(mlp((4, 2)), 2, learning_rate=[0.1, 0.1, 0.1]),
    "seed": lambda: Ensemble(mlp((4, 2)), 2, learning_rate=0.1, seed=[1]),
    "network": lambda: Ensemble("small cnn", 2, learning_rate=0.1),  # type: ignore[arg-type]
    "precision": lambda: make(mlp((4, 2)), precision="float16"),
    "together": lambda: make(mlp((4, 2)), together=0),
    "convolution": lambda: make(mlp((4, 2)), convolution="fast"),
    "device": lambda: make(mlp((4, 2)), device="abacus"),
    "checkpoint": lambda: make(NETWORKS["small cnn"]()).train_step(IMAGES, LABELS, probability=0.1),
    "probability": lambda: make(mlp((4, 2))).coins([0.1, 0.2]),
    "replicas": lambda: make(mlp((4, 2))).subset([3]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_is_named(name: str) -> None:
    with pytest.raises(DomainError, match=f"^{name} = "):
        WRONG[name]()
