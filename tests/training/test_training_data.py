"""The digits: what they are, how they are split, and who is told when they cannot be read."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from resetsgd.errors import CorruptData, DomainError, MissingExtra
from resetsgd.training.data import Split, digits, handwritten, parts


def test_parts_are_disjoint_and_complete() -> None:
    whole = digits(1000, 300, 497, seed=3)
    parts = (whole.train, whole.validation, whole.test)
    assert [len(part) for part in parts] == [1000, 300, 497]
    indices = np.concatenate([part.indices for part in parts])
    assert sorted(indices.tolist()) == list(range(1797))
    for part in parts:
        assert part.images.dtype == np.float32
        assert part.images.min() == 0.0
        assert part.images.max() == 1.0
        assert set((part.images * 16 % 1).ravel().tolist()) == {0.0}
        assert set(part.labels.tolist()) == set(range(10))


def test_the_split_is_a_function_of_its_seed_and_keeps_what_it_holds_out() -> None:
    whole, smaller = digits(1000, 300, 400, seed=3), digits(500, 300, 400, seed=3)
    assert whole.sha256 == digits(1000, 300, 400, seed=3).sha256
    assert whole.sha256 != digits(1000, 300, 400, seed=4).sha256
    assert whole.test.sha256 == smaller.test.sha256
    assert whole.validation.sha256 == smaller.validation.sha256
    assert (whole.train.indices[:500] == smaller.train.indices).all()


def test_the_work_that_describes_the_images_is_cited() -> None:
    data = digits(100, 50, 50)
    assert data.cite().startswith("@misc{alpaydin1998,")
    images = np.zeros((6, 1, 2, 2), np.uint8), np.arange(6) % 2
    unknown = parts(images, images, classes=2, train=None, validation=2, test=None, seed=0)
    assert unknown.cite() == ""


def test_arrays_are_read_only_and_tensors_are_copies() -> None:
    train = digits(100, 50, 50).train
    with pytest.raises(ValueError, match="read-only"):
        train.images[0, 0] = 1.0
    images, labels = train.tensors()
    images.zero_()
    labels.zero_()
    assert train.images.any()
    assert train.labels.any()


def test_other_labels_change_the_digest_and_nothing_else() -> None:
    train = digits(100, 50, 50).train
    noisy = train.with_labels((train.labels + 1) % 10)
    assert (noisy.images == train.images).all()
    assert noisy.sha256 != train.sha256
    with pytest.raises(DomainError, match=r"^labels = "):
        train.with_labels(train.labels[:5])
    with pytest.raises(DomainError, match=r"^images = "):
        Split(np.zeros((2, 2, 2)), np.zeros(2), np.zeros(2))


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("train", (0, 1, 1)),
        ("validation", (1, 0.5, 1)),
        (r"train \+ validation \+ test", (1700, 98, 1)),
    ],
)
def test_sizes_that_cannot_be_are_named(name: str, sizes: tuple[int, int, int]) -> None:
    with pytest.raises(DomainError, match=rf"^{name} = "):
        digits(*sizes)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtra, match=r"resetsgd\[data\]"):
        digits()


def test_other_data_under_the_same_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handwritten, "_DIGITS_SHA256", "0" * 64)
    with pytest.raises(CorruptData, match="scikit-learn"):
        digits()
