"""Losses that look at the whole training set on a schedule, in the plain loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import resetsgd as rs
from resetsgd.errors import DomainError, StreamMismatch
from resetsgd.training import Augmentation, Resetter, digits, fit, losses, networks, symmetric_noise
from resetsgd.training.data import Dataset, Split

CLEAN = digits(train=200, validation=60, test=80, seed=1)
NOISY, _ = symmetric_noise(CLEAN.train.labels, 0.4, classes=10, seed=1)
DATA = Dataset(CLEAN.train.with_labels(NOISY), CLEAN.validation, CLEAN.test, CLEAN.classes)


def run(loss: losses.SampleLoss, steps: int = 240, **options: Any) -> nn.Module:
    model = networks.mlp((64, 32, 10), seed=3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    if options.pop("resetting", False):
        options["resetter"] = Resetter(model, optimizer, rs.Geometric(probability=0.1), also=[loss])
    fit(model, optimizer, DATA, steps=steps, batch_size=20, loss=loss, evaluate_every=20, **options)
    return model


def bits(model: nn.Module) -> list[Tensor]:
    return [p.detach() for p in model.parameters()]


class Recorder(losses.CrossEntropy):
    """Cross-entropy that notes what it is shown, and when it asked."""

    def __init__(self, at: tuple[int, ...]) -> None:
        super().__init__()
        self.at, self.asked = at, []  # type: ignore[var-annotated]
        self.shown: list[tuple[Tensor, Tensor, Tensor]] = []

    def due(self, step: int) -> bool:
        self.asked.append(step)
        return step in self.at

    def survey(self, logits: Tensor, labels: Tensor, index: Tensor) -> None:
        assert not torch.is_grad_enabled()
        self.shown.append((logits.clone(), labels.clone(), index.clone()))


def test_the_whole_training_set_is_shown_when_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resetsgd.training.loop._FORWARD", 64)
    loss = Recorder(at=(30,))
    model = run(loss, steps=30)
    assert loss.asked == list(range(1, 31))
    logits, labels, index = (torch.cat(parts) for parts in zip(*loss.shown, strict=True))
    assert len(loss.shown) == 4
    assert index.tolist() == list(range(200))
    assert labels.tolist() == NOISY.tolist()
    # by the network as it is after that step
    images = DATA.train.tensors()[0]
    torch.testing.assert_close(logits, model(images).detach())
    assert all(
        torch.equal(a, b)
        for a, b in zip(bits(model), bits(run(losses.CrossEntropy(), 30)), strict=True)
    )


def test_it_is_shown_in_evaluation_mode_without_augmentation() -> None:
    part = {
        name: Split(
            (getattr(CLEAN, name).images.reshape(-1, 1, 8, 8) * 255).astype("uint8"),
            getattr(CLEAN, name).labels,
            getattr(CLEAN, name).indices,
        )
        for name in ("train", "validation", "test")
    }
    data = Dataset(part["train"], part["validation"], part["test"], 10)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = Recorder(at=(7,))
    fit(
        model, optimizer, data, steps=7, batch_size=20, loss=loss, augmentation=Augmentation(2),
    )  # fmt: skip
    mean, deviation = data.normalisation
    images = (torch.tensor(data.train.images) / 255.0 - mean[0]) / deviation[0]
    assert model.training
    torch.testing.assert_close(loss.shown[0][0], model.eval()(images).detach())


def test_truncated_gce_is_pruned_on_its_schedule() -> None:
    def truncated(**options: Any) -> losses.TruncatedGCE:
        return losses.TruncatedGCE(200, **options)

    loss = truncated(start=90, every=60)
    assert [step for step in range(240) if loss.due(step)] == [90, 150, 210]
    by_hand = truncated()
    assert not any(by_hand.due(step) for step in range(240))
    model = run(loss)
    images, index = DATA.train.tensors()[0], torch.arange(200)
    labels = torch.from_numpy(NOISY)
    # what is kept is what the network of step 210 finds likely enough
    judge = truncated(start=90, every=60)
    before = run(judge, steps=210)
    judge.prune(before(images).detach(), labels, index)
    assert torch.equal(judge.kept, loss.kept)
    dropped = ~loss.kept
    assert 20 < int(dropped.sum()) < 150
    wrong = torch.from_numpy(CLEAN.train.labels != NOISY)
    assert wrong.double().mean() == 0.4
    assert wrong[loss.kept].double().mean() < 0.2  # the kept labels are the better ones
    plain = run(by_hand)
    assert by_hand.kept.all()
    assert any(not torch.equal(a, b) for a, b in zip(bits(model), bits(plain), strict=True))


@pytest.mark.parametrize("resetting", [False, True])
def test_a_run_that_is_pruned_resumes_bit_for_bit(resetting: bool, tmp_path: Path) -> None:
    whole = losses.TruncatedGCE(200, start=90, every=60)
    expected = run(whole, resetting=resetting)
    for stop in (90, 120, 150):
        file = tmp_path / f"{stop}.safetensors"
        run(
            losses.TruncatedGCE(200, start=90, every=60), stop, checkpoint=file, resetting=resetting
        )
        loss = losses.TruncatedGCE(200, start=90, every=60)
        again = run(loss, checkpoint=file, resetting=resetting)
        assert torch.equal(loss.kept, whole.kept)
        assert all(torch.equal(a, b) for a, b in zip(bits(again), bits(expected), strict=True))
    with pytest.raises(StreamMismatch, match="loss"):
        run(losses.TruncatedGCE(200, start=90, every=20), checkpoint=file, resetting=resetting)


@pytest.mark.parametrize("options", [{"start": 3}, {"every": 3}, {"start": 0, "every": 3}])
def test_half_a_schedule_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(DomainError, match=r"^(every|start) = "):
        losses.TruncatedGCE(4, **options)


def test_a_loss_must_say_what_its_losses_are() -> None:
    with pytest.raises(TypeError, match="abstract"):
        losses.SampleLoss()  # type: ignore[abstract]
