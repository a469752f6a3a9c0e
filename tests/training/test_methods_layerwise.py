"""Layer-wise re-initialisation: what stays, what begins again, and that it can be resumed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from resetsgd.errors import DomainError
from resetsgd.training import Snapshot
from resetsgd.training.methods import Blocks, LayerwiseReinit, Supervised

IMAGES = torch.randn(32, 6, generator=torch.Generator().manual_seed(5))
LABELS = torch.randint(3, (32,), generator=torch.Generator().manual_seed(6))


def trained() -> tuple[Blocks, torch.optim.Optimizer, LayerwiseReinit]:
    torch.manual_seed(2)
    model = Blocks(
        [
            nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU()),
            nn.Sequential(nn.Linear(8, 8), nn.ReLU()),
            nn.Linear(8, 3),
        ]
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    reinit = LayerwiseReinit(model, optimizer, seed=4)
    method = Supervised(model, optimizer)
    for _ in range(20):
        method.step(IMAGES, LABELS)
    return model, optimizer, reinit


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def test_a_round_keeps_below_and_begins_again_above() -> None:
    torch.manual_seed(2)
    first = float(nn.Linear(6, 8).weight.detach().norm())
    model, optimizer, reinit = trained()
    before, chance = weights(model), torch.get_rng_state()
    assert abs(float(before[0].norm()) - first) > 0.1 * first
    assert reinit.round(IMAGES) == 1
    assert torch.equal(chance, torch.get_rng_state())
    after = weights(model)
    # block 1 keeps its direction and gets its first norm back; vectors stay
    assert float(after[0].norm()) == pytest.approx(first, rel=1e-5)
    torch.testing.assert_close(after[0] / after[0].norm(), before[0] / before[0].norm())
    assert all(torch.equal(a, b) for a, b in zip(after[1:4], before[1:4], strict=True))
    # later blocks are drawn anew, within the bound of their layer
    for a, b in zip(after[4:], before[4:], strict=True):
        assert not torch.equal(a, b)
        assert float(a.abs().max()) <= 8**-0.5
    assert not optimizer.state
    # what leaves the kept block has mean 0 and deviation 1 over the batch; no other norm is set
    out = model.norms[0](model.blocks[0].eval()(IMAGES))
    assert out.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert out.std(correction=0).item() == pytest.approx(1.0, rel=1e-5)
    assert float(model.norms[1].scale) == 1.0
    assert reinit.round(IMAGES) == 2 and reinit.done
    with pytest.raises(DomainError, match="rounds"):
        reinit.round(IMAGES)


def test_rounds_depend_on_the_seed_and_the_round_alone() -> None:
    one, two = trained(), trained()
    for _, _, reinit in (one, two):
        reinit.round(IMAGES)
        torch.randn(3)
        reinit.round(IMAGES)
    assert all(torch.equal(a, b) for a, b in zip(weights(one[0]), weights(two[0]), strict=True))


def test_a_snapshot_takes_a_round_back() -> None:
    model, optimizer, reinit = trained()
    snapshot = Snapshot.capture(model, optimizer, also=[reinit])
    digest = snapshot.digest()
    reinit.round(IMAGES)
    assert Snapshot.capture(model, optimizer, also=[reinit]).digest() != digest
    snapshot.restore()
    assert Snapshot.capture(model, optimizer, also=[reinit]).digest() == digest
    assert reinit.rounds == 0


def test_wrong_use_is_one_clear_error() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.weight

    with pytest.raises(DomainError, match="blocks"):
        Blocks([nn.Linear(2, 2)])
    model = Blocks([Bare(), nn.Linear(3, 2)])
    with pytest.raises(DomainError, match="Bare"):
        LayerwiseReinit(model, torch.optim.SGD(model.parameters(), lr=0.1))
    plain = nn.Linear(3, 2)
    with pytest.raises(DomainError, match="Blocks"):
        LayerwiseReinit(plain, torch.optim.SGD(plain.parameters(), lr=0.1))  # type: ignore[arg-type]
