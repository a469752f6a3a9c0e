"""Batches made on the device: against a plain crop and flip; draws that nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from resetsgd.errors import DomainError, StreamMismatch
from resetsgd.training import Augmentation, Dataset, OnDevice, Split, fit
from resetsgd.training.data import parts

ALPHA = 1e-9
RNG = np.random.default_rng(4)
IMAGES = RNG.integers(0, 256, (30, 3, 8, 6), dtype=np.uint8)
SPLIT = Split(IMAGES, np.arange(30) % 2, np.arange(30))


def by_hand(rows: Any, draws: Any, padding: int) -> Any:
    """One image at a time, with NumPy."""
    found = []
    for row, (top, left, flip) in zip(rows, draws, strict=True):
        border = ((0, 0), (padding, padding), (padding, padding))
        image = np.pad(IMAGES[row], border)[:, top : top + 8, left : left + 6]
        found.append(image[:, :, ::-1] if flip else image)
    return np.stack(found).astype(np.float32)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("padding", [0, 1, 4])
def test_batches_are_crops_flips_and_scales(padding: int, device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    augmentation = Augmentation(padding=padding)
    scale = ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    held = OnDevice(SPLIT, device, normalisation=scale, augmentation=augmentation)
    rows = np.array([3, 0, 29, 3, 17])
    draws = augmentation.draw(1, np.arange(5), rows)
    batch = held.batch(torch.from_numpy(rows).to(device), torch.from_numpy(draws).to(device)).cpu()
    mean, deviation = (np.array(part)[:, None, None] for part in scale)
    expected = (by_hand(rows, draws, padding) / 255 - mean) / deviation
    assert held.images.dtype == torch.uint8
    assert np.allclose(batch.numpy(), expected, rtol=0, atol=1e-6)
    plain = held.batch(torch.from_numpy(rows).to(device)).cpu().numpy()
    assert np.allclose(plain, (IMAGES[rows] / 255 - mean) / deviation, rtol=0, atol=1e-6)


def test_many_replicas_at_once_are_each_alone() -> None:
    augmentation = Augmentation()
    held = OnDevice(SPLIT, augmentation=augmentation)
    rows = RNG.integers(0, 30, (4, 7))
    draws = augmentation.draw(5, 9, rows, replica=np.arange(4)[:, None])
    stacked = held.batch(torch.from_numpy(rows), torch.from_numpy(draws))
    assert stacked.shape == (4, 7, 3, 8, 6)
    for replica in range(4):
        alone = augmentation.draw(5, 9, rows[replica], replica=replica)
        batch = held.batch(torch.from_numpy(rows[replica]), torch.from_numpy(alone))
        assert torch.equal(batch, stacked[replica])


def test_draws_depend_on_seed_step_replica_and_image_only() -> None:
    augmentation = Augmentation()
    whole = augmentation.draw(2, 11, np.arange(1000))
    for start in range(0, 1000, 250):  # as four ranks would share the batch
        assert (
            augmentation.draw(2, 11, np.arange(start, start + 250)) == whole[start:][:250]
        ).all()
    assert (augmentation.draw(2, 11, np.arange(999, -1, -1)) == whole[::-1]).all()
    for other in ((3, 11, 0), (2, 12, 0), (2, 11, 1)):
        changed = augmentation.draw(other[0], other[1], np.arange(1000), replica=other[2])
        assert (changed != whole).any(axis=1).mean() > 0.9


@pytest.mark.statistical(alpha=ALPHA)
def test_places_are_uniform_and_independent() -> None:
    """81 places and two sides of 200,000 images; the twin counts with one place too few."""
    draws = Augmentation().draw(7, 0, np.arange(200_000))
    cells = np.bincount(draws @ [18, 2, 1], minlength=162)
    assert cells.size == 162
    assert stats.chisquare(cells).pvalue > ALPHA
    wrong = np.where(np.arange(162) // 18 == 8, 0.9, 1.0)
    assert not stats.chisquare(cells, wrong * 200_000 / wrong.sum()).pvalue > ALPHA
    assert not Augmentation(flip=False).draw(7, 0, np.arange(1000))[:, 2].any()


def test_flat_images_are_taken_as_they_are() -> None:
    flat = Split(SPLIT.flat(), SPLIT.labels, SPLIT.indices)
    held = OnDevice(flat)
    rows = torch.tensor([4, 1])
    assert torch.equal(held.batch(rows), torch.from_numpy(flat.images.copy())[rows])


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("augmentation", lambda: OnDevice(
            Split(SPLIT.flat(), SPLIT.labels, SPLIT.indices), augmentation=Augmentation())),
        ("normalisation", lambda: OnDevice(SPLIT, normalisation=((0.0, 0.0), (1.0, 1.0)))),
        ("normalisation", lambda: OnDevice(SPLIT, normalisation=((0.0,), (0.0,)))),
        ("normalisation", lambda: OnDevice(SPLIT, normalisation=((float("nan"),), (1.0,)))),
        ("padding", lambda: Augmentation(padding=-1)),
        ("draws", lambda: OnDevice(SPLIT).batch(torch.arange(2), torch.zeros(2, 3).long())),
        ("index", lambda: Augmentation().draw(0, 0, [-1])),
        ("step", lambda: Augmentation().draw(0, -1, [1])),
        ("seed", lambda: Augmentation().draw(-1, 0, [1])),
    ],
)  # fmt: skip
def test_what_cannot_be_augmented_is_named(name: str, call: Any) -> None:
    with pytest.raises(DomainError, match=rf"^{name} = "):
        call()


# --- in the loop ----------------------------------------------------------------------------------


def stored() -> Dataset:
    """Two classes of small images that a linear layer tells apart."""
    labels = np.arange(240) % 2
    images = RNG.integers(0, 120, (240, 1, 6, 6), dtype=np.uint8)
    images[labels == 1, :, :3] += 90
    return parts(
        (images[:200], labels[:200]), (images[200:], labels[200:]),
        classes=2, train=None, validation=50, test=None, seed=0,
    )  # fmt: skip


def network() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    return model, torch.optim.SGD(model.parameters(), lr=0.05)


def test_an_augmented_run_that_is_resumed_has_the_same_bits(tmp_path: Path) -> None:
    data, augmentation = stored(), Augmentation(padding=1, flip=True)
    settings: dict[str, Any] = {
        "batch_size": 16,
        "evaluate_every": 20,
        "augmentation": augmentation,
    }
    model, optimizer = network()
    whole = fit(model, optimizer, data, steps=80, **settings)
    assert whole.looks[-1].test_accuracy > 0.9
    path = tmp_path / "run"
    half, its_optimizer = network()
    fit(half, its_optimizer, data, steps=37, checkpoint=path, **settings)
    rest, its_optimizer = network()
    resumed = fit(rest, its_optimizer, data, steps=80, checkpoint=path, **settings)
    assert resumed.looks == whole.looks
    for one, other in zip(model.parameters(), rest.parameters(), strict=True):
        assert torch.equal(one, other)
    other_model, its_optimizer = network()
    with pytest.raises(StreamMismatch, match="augmentation"):
        fit(other_model, its_optimizer, data, steps=80, checkpoint=path,
            **(settings | {"augmentation": None}))  # fmt: skip
    plain, its_optimizer = network()
    without = fit(plain, its_optimizer, data, steps=80, **(settings | {"augmentation": None}))
    assert without.looks != whole.looks


def test_stored_and_prepared_images_train_alike() -> None:
    """Bytes centred and scaled on the device, against the same images as floats before."""
    data = stored()
    (mean,), (deviation,) = data.normalisation

    def prepared(split: Split) -> Split:
        return Split((split.flat() - mean) / deviation, split.labels, split.indices)

    floats = Dataset(*map(prepared, (data.train, data.validation, data.test)), classes=2)
    runs = []
    for each in (data, floats):
        model, optimizer = network()
        fit(model, optimizer, each, steps=40, batch_size=16)
        runs.append([p.detach() for p in model.parameters()])
    for one, other in zip(*runs, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
