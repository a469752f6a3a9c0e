"""Sharpness-aware minimisation: its definition, its state, and what must not notice it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import resetsgd as rs
from resetsgd.errors import DomainError
from resetsgd.training import Resetter, Snapshot, losses, methods, resets
from resetsgd.training.methods import SAM, quieted

IMAGES = torch.randn(24, 5, generator=torch.Generator().manual_seed(0))
LABELS = (IMAGES[:, 0] > 0).long()


def network(norm: bool = False) -> nn.Sequential:
    torch.manual_seed(1)
    middle = [nn.BatchNorm1d(7)] if norm else []
    return nn.Sequential(nn.Linear(5, 7), *middle, nn.ReLU(), nn.Linear(7, 2))


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)


def closure_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(model(IMAGES), LABELS)
        loss.backward()
        return loss

    return closure


def test_a_step_is_that_of_the_paper_written_out() -> None:
    model, radius, rate = network().double(), 0.3, 0.1
    images = IMAGES.double()
    weights = [p.detach().clone().requires_grad_() for p in model.parameters()]

    def loss_at(at: list[Tensor]) -> Tensor:
        hidden = torch.relu(images @ at[0].T + at[1])
        return cross_entropy(hidden @ at[2].T + at[3], LABELS)

    first = torch.autograd.grad(loss_at(weights), weights)
    norm = torch.sqrt(sum((g**2).sum() for g in first))  # type: ignore[arg-type]
    uphill = [(w + radius * g / norm).detach() for w, g in zip(weights, first, strict=True)]
    second = torch.autograd.grad(loss_at([w.requires_grad_() for w in uphill]), uphill)
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=rate), radius=radius)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(model(images), LABELS)
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == pytest.approx(loss_at(weights).item(), rel=1e-12)
    for found, w, g, plain in zip(model.parameters(), weights, second, first, strict=True):
        torch.testing.assert_close(found.detach(), (w - rate * g).detach(), rtol=1e-12, atol=1e-14)
        assert not torch.allclose(found, w - rate * plain, rtol=1e-6, atol=1e-8)


def test_radius_zero_is_the_inner_optimizer_to_the_bit() -> None:
    plain, sharp = network(norm=True), network(norm=True)
    one = sgd(plain)
    two = SAM(sgd(sharp), radius=0.0, quiet=[sharp])
    for _ in range(5):
        closure_of(plain, one)()
        one.step()
        two.step(closure_of(sharp, two))
    for a, b in zip(plain.state_dict().values(), sharp.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("quiet", [True, False])
def test_batch_norm_and_memory_see_a_batch_once_if_quiet(quiet: bool) -> None:
    model, loss = network(norm=True), losses.EarlyLearning(24, 2)
    once = losses.EarlyLearning(24, 2)
    once(model.eval()(IMAGES), LABELS, torch.arange(24))
    model = network(norm=True)
    optimizer = SAM(sgd(model), radius=0.5, quiet=[model, loss] if quiet else [])

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(model(IMAGES), LABELS, torch.arange(24)).mean()
        value.backward()
        return value

    optimizer.step(closure)
    assert int(model[1].num_batches_tracked) == (1 if quiet else 2)
    share = loss.targets.sum(1)  # 1 - decay after one update, 1 - decay^2 after two
    torch.testing.assert_close(share, torch.full((24,), 0.3 if quiet else 0.51))


def test_quiet_leaves_evaluation_alone_and_comes_back_after_an_error() -> None:
    model = network(norm=True).eval()
    with quieted(model):
        assert model[1].track_running_stats
    model.train()
    with pytest.raises(RuntimeError, match="inside"), quieted(model, losses.CrossEntropy()):
        raise RuntimeError("inside")
    assert model[1].track_running_stats


def test_weights_come_back_when_the_second_pass_fails() -> None:
    model = network()
    optimizer = SAM(sgd(model))
    before, calls = [p.detach().clone() for p in model.parameters()], []

    def closure() -> Tensor:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return closure_of(model, optimizer)()

    with pytest.raises(RuntimeError, match="memory"):
        optimizer.step(closure)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    optimizer.step(closure)


def test_without_a_gradient_nothing_moves_and_nothing_is_nan() -> None:
    model = network()
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.1))
    before = [p.detach().clone() for p in model.parameters()]

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = 0.0 * model(IMAGES).sum()
        value.backward()
        return value

    optimizer.step(closure)
    optimizer.step(lambda: torch.zeros(()))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_the_halves_are_the_step() -> None:
    whole, halves = network(), network()
    one, two = SAM(sgd(whole), radius=0.2), SAM(sgd(halves), radius=0.2)
    for _ in range(3):
        one.step(closure_of(whole, one))
        closure_of(halves, two)()
        two.ascend()
        closure_of(halves, two)()
        two.descend()
    assert all(
        torch.equal(a, b) for a, b in zip(whole.parameters(), halves.parameters(), strict=True)
    )
    with pytest.raises(DomainError, match="descend"):
        two.descend()


@pytest.mark.parametrize("inner", [sgd, lambda m: torch.optim.Adam(m.parameters())])
def test_state_dict_holds_the_momentum_and_resumes_bit_for_bit(
    inner: Callable[[nn.Module], torch.optim.Optimizer],
) -> None:
    model = network()
    optimizer = SAM(inner(model), radius=0.2)
    for _ in range(3):
        optimizer.step(closure_of(model, optimizer))
    other = network()
    other.load_state_dict(model.state_dict())
    resumed = SAM(inner(other), radius=0.7)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert resumed.param_groups[0]["radius"] == 0.2
    assert resumed.param_groups is resumed.base_optimizer.param_groups
    for _ in range(3):
        optimizer.step(closure_of(model, optimizer))
        resumed.step(closure_of(other, resumed))
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_a_resume_without_the_momentum_would_be_seen() -> None:
    model = network()
    optimizer = SAM(sgd(model))
    for _ in range(3):
        optimizer.step(closure_of(model, optimizer))
    other = network()
    other.load_state_dict(model.state_dict())
    fresh = SAM(sgd(other))
    optimizer.step(closure_of(model, optimizer))
    fresh.step(closure_of(other, fresh))
    assert not any(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_a_snapshot_brings_back_the_momentum_ten_times() -> None:
    model = network()
    optimizer = SAM(sgd(model))
    for _ in range(3):
        optimizer.step(closure_of(model, optimizer))
    snapshot = Snapshot.capture(model, optimizer)
    digest, ends = snapshot.digest(), []
    for _ in range(10):
        for _ in range(2):
            optimizer.step(closure_of(model, optimizer))
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        snapshot.restore()
        assert snapshot.digest() == digest == Snapshot.capture(model, optimizer).digest()
    assert all(torch.equal(end, ends[0]) for end in ends)


def test_schedulers_new_groups_and_resetters_work_as_with_any_optimizer() -> None:
    model = network()
    optimizer = SAM(torch.optim.SGD(model[0].parameters(), lr=0.1, momentum=0.9))
    optimizer.add_param_group({"params": model[-1].parameters(), "lr": 0.2})
    assert optimizer.base_optimizer.param_groups[1]["radius"] == 0.05
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)
    resetter = Resetter(model, optimizer, rs.Sharp(period=4), target=resets.Initial())
    resetter.attach()
    for _ in range(4):
        optimizer.step(closure_of(model, optimizer))
        scheduler.step()
    assert [g["lr"] for g in optimizer.base_optimizer.param_groups] == pytest.approx([0.001, 0.002])
    assert resetter.resets == [4]
    fresh = network()
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), fresh.parameters(), strict=True)
    )


def test_wrong_use_is_one_clear_error() -> None:
    model = network()
    with pytest.raises(DomainError, match="closure"):
        SAM(sgd(model)).step()
    with pytest.raises(DomainError, match="radius"):
        SAM(sgd(model), radius=-1.0)
    with pytest.raises(DomainError, match="base_optimizer"):
        SAM(SAM(sgd(model)))
    with pytest.raises(DomainError, match="base_optimizer"):
        methods.make("sam", model.parameters())
    with pytest.raises(DomainError, match="quiet"):
        SAM(sgd(model), quiet=[3])  # type: ignore[list-item]
    optimizer = SAM(sgd(model))
    closure_of(model, optimizer)()
    optimizer.ascend()
    with pytest.raises(DomainError, match="ascend"):
        optimizer.ascend()
