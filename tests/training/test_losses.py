"""Per-sample losses against their definitions, written down in float64 NumPy without shortcuts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from resetsgd.citations import bibtex
from resetsgd.errors import DomainError
from resetsgd.training import Snapshot, losses

MATRIX = np.array(
    [[0.7, 0.2, 0.1, 0.0], [0.0, 0.6, 0.4, 0.0], [0.1, 0.1, 0.8, 0.0], [0, 0, 0.3, 0.7]]
)
BATCH, CLASSES = 6, 4


def probabilities(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(CLASSES)[labels]


def smoothed(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -((0.8 * y + 0.2 / CLASSES) * np.log(p)).sum(1)


def symmetric(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    clipped = np.clip(y, 1e-4, 1.0)
    return 0.3 * -(y * np.log(p)).sum(1) + 2.0 * -(p * np.log(clipped)).sum(1)


def soft(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -((0.9 * y + 0.1 * p) * np.log(p)).sum(1)


def hard(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -((0.7 * y + 0.3 * one_hot(p.argmax(1))) * np.log(p)).sum(1)


#: Loss, and its definition from probabilities and one-hot labels.
DEFINITIONS: list[tuple[losses.SampleLoss, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = [
    (losses.CrossEntropy(), lambda p, y: -(y * np.log(p)).sum(1)),
    (losses.MeanAbsoluteError(), lambda p, y: np.abs(p - y).sum(1)),
    (losses.LabelSmoothing(0.2), smoothed),
    (losses.GeneralizedCrossEntropy(0.7), lambda p, y: (1 - (p * y).sum(1) ** 0.7) / 0.7),
    (losses.SymmetricCrossEntropy(0.3, 2.0), symmetric),
    (losses.SoftBootstrap(0.9), soft),
    (losses.HardBootstrap(0.7), hard),
    (losses.ForwardCorrection(MATRIX), lambda p, y: -np.log((p @ MATRIX * y).sum(1))),
]
IDS = [type(loss).__name__ for loss, _ in DEFINITIONS]


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3.0 * torch.randn(BATCH, CLASSES, generator=generator, dtype=torch.float64)
    return logits, torch.randint(CLASSES, (BATCH,), generator=generator)


@pytest.mark.parametrize(("loss", "definition"), DEFINITIONS, ids=IDS)
def test_values_are_those_of_the_definition(loss: losses.SampleLoss, definition: Any) -> None:
    logits, labels = batch()
    expected = definition(probabilities(logits.numpy()), one_hot(labels.numpy()))
    found = loss(logits, labels)
    assert found.shape == (BATCH,)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    # a definition that is slightly wrong is told apart
    assert not np.allclose(found.numpy(), expected * (1 + 1e-6), rtol=1e-12)


@pytest.mark.parametrize(("loss", "definition"), DEFINITIONS, ids=IDS)
def test_gradients_are_finite_differences_of_the_definition(
    loss: losses.SampleLoss, definition: Any
) -> None:
    logits, labels = batch(1)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, labels).sum(), logits)
    z, y, step = logits.detach().numpy(), one_hot(labels.numpy()), 1e-5
    for k in range(CLASSES):
        moved = np.eye(CLASSES)[k] * step
        slope = (
            definition(probabilities(z + moved), y) - definition(probabilities(z - moved), y)
        ) / (2 * step)
        np.testing.assert_allclose(gradient[:, k].numpy(), slope, rtol=1e-6, atol=1e-8)


def test_the_limits_of_generalised_cross_entropy() -> None:
    logits, labels = batch()
    plain = cross_entropy(logits, labels, reduction="none")
    zero, tiny, one = (losses.GeneralizedCrossEntropy(q)(logits, labels) for q in (0, 1e-9, 1))
    torch.testing.assert_close(zero, plain, rtol=1e-14, atol=0)
    torch.testing.assert_close(tiny, plain, rtol=1e-8, atol=0)
    torch.testing.assert_close(2 * one, losses.MeanAbsoluteError()(logits, labels))


def test_absolute_error_and_the_reverse_term_sum_to_a_constant_over_labels() -> None:
    """What makes a loss robust to symmetric noise; cross-entropy has no such constant."""

    def spread(loss: losses.SampleLoss) -> float:
        logits, _ = batch()
        total = sum(loss(logits, torch.full((BATCH,), k)) for k in range(CLASSES))
        assert isinstance(total, torch.Tensor)
        return float(total.max() - total.min())

    assert spread(losses.MeanAbsoluteError()) < 1e-12
    assert spread(losses.SymmetricCrossEntropy(0.0, 1.0)) < 1e-11
    assert spread(losses.CrossEntropy()) > 1.0


def test_weights_at_their_ends_are_cross_entropy() -> None:
    logits, labels = batch()
    plain = losses.CrossEntropy()(logits, labels)
    for loss in (
        losses.LabelSmoothing(0.0),
        losses.SymmetricCrossEntropy(1.0, 0.0),
        losses.SoftBootstrap(1.0),
        losses.HardBootstrap(1.0),
        losses.ForwardCorrection(np.eye(CLASSES)),
        losses.EarlyLearning(BATCH, CLASSES, weight=0.0),
    ):
        torch.testing.assert_close(loss(logits, labels, torch.arange(BATCH)), plain)


def test_early_learning_over_three_epochs() -> None:
    """The published update and loss, sample by sample."""
    loss = losses.EarlyLearning(10, CLASSES, weight=3.0, decay=0.7).double()
    index, kept = torch.tensor([7, 2, 0, 9, 4, 5]), np.zeros((10, CLASSES))
    for epoch in range(3):
        logits, labels = batch(epoch)
        logits.requires_grad_()
        found = loss(logits, labels, index)
        p = np.clip(probabilities(logits.detach().numpy()), 1e-4, 1 - 1e-4)
        for row, sample in enumerate(index.tolist()):
            kept[sample] = 0.7 * kept[sample] + 0.3 * p[row] / p[row].sum()
            ce = -np.log(probabilities(logits.detach().numpy())[row, labels[row]])
            expected = ce + 3.0 * np.log(1 - kept[sample] @ p[row])
            assert found[row].item() == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(loss.targets.numpy(), kept, rtol=1e-12)
        # no gradient flows through the target: that of the formula with the target held fixed
        (gradient,) = torch.autograd.grad(found.sum(), logits)
        again = logits.detach().clone().requires_grad_()
        inner = (torch.from_numpy(kept)[index] * torch.softmax(again, 1).clamp(1e-4, 1 - 1e-4)).sum(
            1
        )
        held = (cross_entropy(again, labels, reduction="none") + 3 * (1 - inner).log()).sum()
        torch.testing.assert_close(gradient, torch.autograd.grad(held, again)[0])


def test_early_learning_remembers_nothing_while_paused_or_held_out() -> None:
    loss = losses.EarlyLearning(BATCH, CLASSES)
    (logits, labels), index = batch(), torch.arange(BATCH)
    with loss.paused():
        loss(logits, labels, index)
    torch.testing.assert_close(
        loss.held_out(logits, labels), cross_entropy(logits, labels, reduction="none")
    )
    assert not loss.targets.any()
    loss(logits, labels, index)
    assert loss.targets.all()


@pytest.mark.parametrize("taken_along", [True, False])
def test_a_reset_takes_the_memory_along_if_asked(taken_along: bool) -> None:
    model, index = torch.nn.Linear(3, CLASSES), torch.arange(BATCH)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = losses.EarlyLearning(BATCH, CLASSES)
    images, labels = torch.ones(BATCH, 3), torch.zeros(BATCH, dtype=torch.int64)
    loss(model(images), labels, index)
    snapshot = Snapshot.capture(model, optimizer, also=[loss] if taken_along else [])
    before, address = loss.targets.clone(), loss.targets.data_ptr()
    for _ in range(10):
        loss(model(images), labels, index).mean().backward()
        assert not torch.equal(loss.targets, before)
        snapshot.restore()
        assert torch.equal(loss.targets, before) == taken_along
        assert loss.targets.data_ptr() == address


def test_truncated_gce_prunes_and_takes_back() -> None:
    loss = losses.TruncatedGCE(8, exponent=0.7, threshold=0.5)
    logits, labels = batch(3)
    index = torch.tensor([6, 1, 3, 5, 0, 2])
    plain = losses.GeneralizedCrossEntropy(0.7)
    torch.testing.assert_close(loss(logits, labels, index), plain(logits, labels))
    loss.prune(logits, labels, index)
    p = probabilities(logits.numpy())[np.arange(BATCH), labels.numpy()]
    assert loss.kept[index].tolist() == (p >= 0.5).tolist()
    assert 0 < int(loss.kept[index].sum()) < BATCH
    assert bool(loss.kept[4]) and bool(loss.kept[7])
    expected = np.where(p >= 0.5, (1 - p**0.7) / 0.7, (1 - 0.5**0.7) / 0.7)
    np.testing.assert_allclose(loss(logits, labels, index).numpy(), expected, rtol=1e-7)
    torch.testing.assert_close(loss.held_out(logits, labels), plain(logits, labels))
    other = losses.TruncatedGCE(8)
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other.kept, loss.kept)
    loss.prune(50.0 * torch.eye(CLASSES)[labels], labels, index)
    assert loss.kept.all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", losses.names())
def test_extreme_logits_give_no_nan(name: str, dtype: torch.dtype) -> None:
    options: dict[str, Any] = {
        "elr": {"samples": 4, "classes": 3},
        "truncated_gce": {"samples": 4},
        "forward": {"matrix": np.eye(3)},
        "sce": {"forward_weight": 0.0},
        "soft_bootstrap": {"weight": 0.0},
    }.get(name, {})
    loss = losses.make(name, **options)
    top = torch.finfo(dtype).max
    logits = torch.tensor(
        [[top, -top, 0.0], [0.0, 0.0, 0.0], [-top, -top, top], [100.0, -100.0, 0.0]], dtype=dtype
    ).requires_grad_()
    value = loss(logits, torch.tensor([1, 0, 0, 1]), torch.arange(4))
    assert not value.isnan().any()
    value[1:].sum().backward()
    assert logits.grad is not None and not logits.grad.isnan().any()


def test_half_precision_is_computed_in_single() -> None:
    logits, labels = batch()
    half = logits.half()
    loss = losses.GeneralizedCrossEntropy()
    assert torch.equal(loss(half, labels), loss(half.float(), labels))


@pytest.mark.parametrize("name", losses.names())
def test_wrong_labels_are_one_clear_error(name: str) -> None:
    options: dict[str, Any] = {
        "elr": {"samples": 4, "classes": 3},
        "truncated_gce": {"samples": 4},
        "forward": {"matrix": np.eye(3)},
    }.get(name, {})
    loss, index = losses.make(name, **options), torch.arange(2)
    good = torch.zeros(2, 3)
    for labels in (torch.tensor([0, 3]), torch.tensor([-1, 0])):
        with pytest.raises(DomainError, match=r"labels = (3|-1): must be in \[0, 3\)"):
            loss(good, labels, index)
    with pytest.raises(DomainError, match="labels"):
        loss(good, torch.tensor([0.0, 1.0]), index)
    with pytest.raises(DomainError, match="labels"):
        loss(good, torch.tensor([0]), index)
    with pytest.raises(DomainError, match="logits"):
        loss(torch.zeros(2), torch.tensor([0, 1]), index)
    if loss.remembers:
        with pytest.raises(DomainError, match="index = None"):
            loss(good, torch.tensor([0, 1]))
        with pytest.raises(DomainError, match=r"index = 4: must be in \[0, 4\)"):
            loss(good, torch.tensor([0, 1]), torch.tensor([0, 4]))
    with pytest.raises(DomainError, match="index"):
        loss(good, torch.tensor([0, 1]), torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gce", {"exponent": 1.5}),
        ("gce", {"exponent": float("nan")}),
        ("label_smoothing", {"smoothing": -0.1}),
        ("sce", {"log_zero": 0.0}),
        ("sce", {"forward_weight": -1.0}),
        ("soft_bootstrap", {"weight": 2.0}),
        ("elr", {"samples": 0, "classes": 3}),
        ("elr", {"samples": 3, "classes": 3, "decay": 1.5}),
        ("truncated_gce", {"samples": 3, "threshold": 1.0}),
        ("forward", {"matrix": [[0.5, 0.4], [0.5, 0.5]]}),
        ("forward", {"matrix": [[1.0, 0.0], [1.0, 0.0]]}),
        ("forward", {"matrix": [[1.0, 0.0]]}),
        ("no such loss", {}),
    ],
)
def test_wrong_settings_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(DomainError):
        losses.make(name, **options)


@pytest.mark.parametrize("name", losses.names())
def test_every_loss_cites_its_paper(name: str) -> None:
    factory = losses.get(name)
    assert len(factory.sources) == (name != "ce")  # type: ignore[attr-defined]
    for key in factory.sources:  # type: ignore[attr-defined]
        assert f"{{{key},\n" in bibtex([key])


def test_a_function_becomes_a_loss() -> None:
    logits, labels = batch()
    loss = losses.per_sample(lambda z, y: cross_entropy(z, y, reduction="none"))
    assert torch.equal(loss(logits, labels), losses.CrossEntropy()(logits, labels))
    with pytest.raises(DomainError, match="function"):
        losses.per_sample(cross_entropy)(logits, labels)


def test_a_compiled_graph_sees_the_same_loss() -> None:
    """Without breaks: the check of the labels does not ask for values."""
    logits, labels = batch()
    loss = losses.GeneralizedCrossEntropy()
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    assert torch.equal(compiled(logits, labels), loss(logits, labels))
