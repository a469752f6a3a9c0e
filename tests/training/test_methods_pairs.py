"""Two-network methods against their algorithms, written out beside them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import resetsgd as rs
from resetsgd.errors import DomainError
from resetsgd.training import Resetter, losses, methods, resets
from resetsgd.training.methods import CoTeaching, CoTeachingPlus, Decoupling, JoCoR, KeptShare
from resetsgd.training.methods.joint import symmetric_divergence
from resetsgd.training.methods.selection import small_loss
from resetsgd.training.networks import mlp

IMAGES = torch.randn(40, 6, generator=torch.Generator().manual_seed(5))
LABELS = torch.randint(3, (40,), generator=torch.Generator().manual_seed(6))


def pair() -> tuple[nn.Module, nn.Module]:
    return mlp((6, 12, 3), seed=1), mlp((6, 12, 3), seed=2)


def sgd(models: tuple[nn.Module, ...]) -> list[torch.optim.Optimizer]:
    return [torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9) for model in models]


def sample_losses(model: nn.Module) -> np.ndarray:
    with torch.no_grad():
        return cross_entropy(model(IMAGES), LABELS, reduction="none").double().numpy()


def smallest(values: np.ndarray, rows: np.ndarray, share: float) -> set[int]:
    count = max(1, int(share * len(rows) + 1e-9))
    return set(rows[np.argsort(values[rows], kind="stable")[:count]].tolist())


def moved(model: nn.Module, rows: set[int]) -> list[Tensor]:
    """Weights after one step of plain SGD on the mean loss of these samples."""
    twin = copy.deepcopy(model)
    optimizer = sgd((twin,))[0]
    chosen = torch.tensor(sorted(rows))
    cross_entropy(twin(IMAGES[chosen]), LABELS[chosen]).backward()
    optimizer.step()
    return [p.detach() for p in twin.parameters()]


def check_step(models: Any, method: Any, expected: list[set[int]]) -> None:
    """One step trains each network on the expected samples, and moves it as plain SGD does."""
    after = [moved(model, rows) for model, rows in zip(models, expected, strict=True)]
    report = method.step(IMAGES, LABELS)
    assert [set(rows.tolist()) for rows in report.chosen] == expected
    for model, weights in zip(models, after, strict=True):
        for found, w in zip(model.parameters(), weights, strict=True):
            torch.testing.assert_close(found.detach(), w)


def test_co_teaching_trains_each_on_what_the_other_chose() -> None:
    models = pair()
    first, second = (sample_losses(model) for model in models)
    everyone = np.arange(40)
    by_first, by_second = smallest(first, everyone, 0.6), smallest(second, everyone, 0.6)
    assert by_first != by_second
    method = CoTeaching(models, sgd(models), keep=0.6)
    check_step(models, method, [by_second, by_first])


def test_co_teaching_plus_chooses_among_disagreements_after_its_warm_up() -> None:
    models = pair()
    method = CoTeachingPlus(models, sgd(models), keep=0.5, warm_up=1)
    first, second = (sample_losses(model) for model in models)
    everyone = np.arange(40)
    check_step(models, method, [smallest(second, everyone, 0.5), smallest(first, everyone, 0.5)])
    for optimizer in method.optimizers:  # momentum would not be that of the twin
        optimizer.state.clear()
    predictions = [model(IMAGES).argmax(1).numpy() for model in models]
    rows = np.nonzero(predictions[0] != predictions[1])[0]
    assert 4 < len(rows) < 40
    first, second = (sample_losses(model) for model in models)
    check_step(models, method, [smallest(second, rows, 0.5), smallest(first, rows, 0.5)])


def test_the_first_sample_of_a_batch_counts_like_the_others() -> None:
    """The released Co-teaching+ drops it."""
    models = pair()
    rows = torch.nonzero(models[0](IMAGES).argmax(1) != models[1](IMAGES).argmax(1)).squeeze(1)
    order = torch.cat([rows, torch.arange(40)])[:8]
    method = CoTeachingPlus(models, sgd(models), keep=1.0)
    assert 0 in method.step(IMAGES[order], LABELS[order]).chosen[0].tolist()


def test_decoupling_trains_on_disagreement_alone() -> None:
    models = pair()
    rows = models[0](IMAGES).argmax(1) != models[1](IMAGES).argmax(1)
    expected = set(torch.nonzero(rows).squeeze(1).tolist())
    check_step(models, Decoupling(models, sgd(models)), [expected, expected])


@pytest.mark.parametrize("kind", [Decoupling, lambda m, o: CoTeachingPlus(m, o, keep=0.5)])
def test_where_all_agree_nothing_moves(kind: Callable[..., Any]) -> None:
    models = mlp((6, 12, 3), seed=1), mlp((6, 12, 3), seed=1)
    before = [p.detach().clone() for p in models[0].parameters()]
    method = kind(models, sgd(models))
    report = method.step(IMAGES, LABELS)
    assert report.losses == () and [len(rows) for rows in report.chosen] == [0, 0]
    assert all(torch.equal(a, b) for a, b in zip(before, models[0].parameters(), strict=True))
    assert method.steps == 1


def test_jocor_is_one_step_on_its_joint_loss() -> None:
    agreement, share = 0.9, 0.6
    models = nn.ModuleList(pair()).double()
    twin = copy.deepcopy(models)
    images = IMAGES.double()
    with torch.no_grad():
        p, q = (torch.softmax(model(images), 1).numpy() for model in models)
    truth = np.eye(3)[LABELS.numpy()]
    supervised = -(truth * np.log(p)).sum(1) - (truth * np.log(q)).sum(1)
    both = (p * np.log(p / q)).sum(1) + (q * np.log(q / p)).sum(1)
    joint = (1 - agreement) * supervised + agreement * both
    rows = smallest(joint, np.arange(40), share)
    method = JoCoR(models, sgd((models,))[0], keep=share, agreement=agreement)
    report = method.step(images, LABELS)
    assert set(report.chosen[0].tolist()) == rows
    chosen = torch.tensor(sorted(rows))
    assert report.losses[0].item() == pytest.approx(joint[sorted(rows)].mean(), rel=1e-12)
    first, second = (model(images)[chosen] for model in twin)
    value = (1 - agreement) * sum(cross_entropy(z, LABELS[chosen]) for z in (first, second))
    value = value + agreement * symmetric_divergence(first, second).mean()
    value.backward()
    optimizer = sgd((twin,))[0]
    optimizer.step()
    for found, expected in zip(models.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


def test_divergence_vanishes_for_equal_predictions_only() -> None:
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(symmetric_divergence(z, z), torch.zeros(5))
    assert (symmetric_divergence(z, z.flip(1)) > 0).all()


def test_the_kept_share_falls_from_all_to_the_clean_ones() -> None:
    kept = KeptShare(noise_rate=0.4, ramp=10)
    assert [kept(t) for t in (0, 5, 10, 10**9)] == pytest.approx([1.0, 0.8, 0.6, 0.6])
    assert KeptShare(0.4, ramp=10, exponent=2)(5) == pytest.approx(0.9)
    assert KeptShare(0.0, ramp=1)(7) == 1.0
    values = torch.arange(10.0)
    assert len(small_loss(values, 1 - 0.9)) == 1
    assert len(small_loss(values, 0.0)) == 1
    assert small_loss(values, 0.3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["co_teaching", "co_teaching_plus", "decoupling", "jocor"])
def test_sam_elr_and_resets_combine_with_each(kind: str) -> None:
    """A reset with the counter taken along replays the run to the bit."""
    models = pair()
    whole = nn.ModuleList(models)
    both = losses.EarlyLearning(40, 3), losses.EarlyLearning(40, 3)
    options: dict[str, Any] = {"loss": both}
    if kind != "decoupling":
        options["keep"] = KeptShare(0.4, ramp=2)
    inner = sgd((whole,) if kind == "jocor" else models)
    optimizers = [methods.SAM(one, radius=0.1) for one in inner]
    if kind == "jocor":
        method = methods.make(kind, whole, optimizers[0], **options)
        pairs = [(whole, optimizers[0])]
    else:
        method = methods.make(kind, models, optimizers, **options)
        pairs = list(zip(models, optimizers, strict=True))
    also = [[method, *both], []][: len(pairs)]
    resetters = [
        Resetter(model, optimizer, rs.Sharp(period=3), target=resets.Initial(), also=other)
        for (model, optimizer), other in zip(pairs, also, strict=True)
    ]
    seen: list[list[float]] = []
    for _ in range(6):
        report = method.step(IMAGES, LABELS, torch.arange(40))
        seen.append([value.item() for value in report.losses])
        for resetter in resetters:
            resetter.step()
    assert seen[:3] == seen[3:] and len({tuple(row) for row in seen[:3]}) == 3
    assert method.steps == 0
    assert all(not loss.targets.any() for loss in both)


def test_wrong_use_is_one_clear_error() -> None:
    models = pair()
    optimizers = sgd(models)
    with pytest.raises(DomainError, match="models"):
        CoTeaching((models[0], models[0]), optimizers, keep=0.5)
    with pytest.raises(DomainError, match="optimizer"):
        CoTeaching(models, optimizers[::-1], keep=0.5)
    with pytest.raises(DomainError, match="keep"):
        CoTeaching(models, optimizers, keep=1.5)
    with pytest.raises(DomainError, match="loss"):
        CoTeaching(models, optimizers, keep=0.5, loss=losses.EarlyLearning(40, 3))
    with pytest.raises(DomainError, match="loss"):
        CoTeaching(models, optimizers, keep=0.5, loss=cross_entropy)  # type: ignore[arg-type]
    with pytest.raises(DomainError, match="warm_up"):
        Decoupling(models, optimizers, warm_up=-1)
    with pytest.raises(DomainError, match="models"):
        JoCoR(models, optimizers[0], keep=0.5)  # type: ignore[arg-type]
    with pytest.raises(DomainError, match="noise_rate"):
        KeptShare(noise_rate=1.0, ramp=5)
    with pytest.raises(DomainError, match="ramp"):
        KeptShare(noise_rate=0.5, ramp=0)
