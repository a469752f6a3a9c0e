"""Networks: published sizes, shapes, and weights that depend on the seed alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from resetsgd.errors import DomainError
from resetsgd.training import MLP, networks

IMAGES = (networks.vcnn, networks.small_cnn, networks.resnet18, networks.resnet34)


@pytest.mark.parametrize(
    ("build", "classes", "count"),
    [
        (networks.resnet18, 10, 11_173_962),
        (networks.resnet34, 10, 21_282_122),
        (networks.resnet18, 100, 11_220_132),
        # 6 convolutions, 8 batch norms, 3 linear layers, added up by hand
        (networks.vcnn, 10, 1_126_080 + 4_800 + 4_195_328 + 524_800 + 5_130),
    ],
)
def test_published_sizes(build: Callable[..., nn.Module], classes: int, count: int) -> None:
    assert networks.parameter_count(build(classes)) == count


@pytest.mark.parametrize("build", IMAGES)
def test_the_seed_alone_decides_the_weights(build: Callable[..., nn.Module]) -> None:
    before = torch.get_rng_state()
    first, same, other = build(seed=3), build(seed=3), build(seed=4)
    assert torch.equal(before, torch.get_rng_state())
    pairs = list(zip(first.parameters(), same.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    weights = [(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True)]
    assert not any(torch.equal(a, b) for a, b in weights if a.ndim > 1)


@pytest.mark.parametrize("build", [networks.vcnn, networks.small_cnn, networks.resnet18])
@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 16)])
def test_shapes(build: Callable[..., nn.Module], channels: int, size: int) -> None:
    options = {} if build is networks.resnet18 else {"size": size}
    network = build(7, channels=channels, **options)
    logits = network(torch.zeros(2, channels, size, size))
    assert logits.shape == (2, 7)
    logits.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_stem_keeps_the_resolution_and_four_stages_end_at_an_eighth() -> None:
    network = networks.resnet18()
    x = network.stem(torch.zeros(1, 3, 32, 32))
    sizes = [x.shape[1:]]
    for stage in network.stages:
        x = stage(x)
        sizes.append(x.shape[1:])
    assert sizes == [(64, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]


def test_the_perceptron_is_that_of_the_ensembles() -> None:
    network = MLP((12, 8, 3))
    state, module = network.initial(5), networks.mlp([12, 8, 3], seed=5)
    assert state.same(network.state(module))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: networks.vcnn(1),
        lambda: networks.vcnn(size=30),
        lambda: networks.vcnn(dropout=1.0),
        lambda: networks.small_cnn(size=4),
        lambda: networks.small_cnn(widths=(0,)),
        lambda: networks.resnet18(seed=-1),
        lambda: networks.resnet34(channels=0),
        lambda: networks.ResNet((2, 2), 10),
        lambda: networks.mlp((3,)),
        lambda: networks.parameter_count(3),  # type: ignore[arg-type]
    ],
)
def test_wrong_settings_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(DomainError):
        wrong()
