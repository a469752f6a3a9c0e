"""The published files themselves, where a folder with them is named; elsewhere skipped."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from resetsgd.errors import DomainError
from resetsgd.training import (
    cifar10_pack,
    cifar10n,
    fashion_mnist,
    human_noise,
    transition_matrix,
)
from resetsgd.training.data import cifar100n

pytestmark = pytest.mark.data


def test_fashion_mnist(data_root: Path) -> None:
    data = fashion_mnist(data_root)
    assert (len(data.train), len(data.validation), len(data.test)) == (55_000, 5_000, 10_000)
    labels = np.concatenate([data.train.labels, data.validation.labels])
    assert np.bincount(labels).tolist() == [6000] * 10
    assert np.bincount(data.test.labels).tolist() == [1000] * 10


@pytest.fixture(scope="module")
def cifar_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_the_cifar10_pack_has_all_pixels(data_root: Path, cifar_cache: Path) -> None:
    data = cifar10_pack(data_root, cache=cifar_cache)
    pixels = np.empty((60_000, 3, 32, 32), np.uint8)
    labels = np.empty(60_000, np.int64)
    for part in (data.train, data.validation, data.test):
        pixels[part.indices], labels[part.indices] = part.images, part.labels
    assert np.bincount(labels[:50_000]).tolist() == [5000] * 10
    digest = hashlib.sha256(np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)).data).hexdigest()
    known = "5950db2d734da18b1478b8235a822a2c35f8d74c0fd7859f25e64ec0153923f9"
    if digest != known:  # another JPEG decoder may round otherwise
        assert pixels.mean() == pytest.approx(120.9, abs=0.5)
    assert (labels[:50_000] == cifar10n("clean", data_root)).all()
    again = cifar10_pack(data_root, cache=cifar_cache)
    assert again.sha256 == data.sha256
    noisy, manifest = human_noise(
        data.train.labels, cifar10n("worst", data_root)[data.train.indices]
    )
    assert (manifest.apply(data.train.labels, human=noisy) == noisy).all()
    assert manifest.realised == pytest.approx(0.402, abs=0.005)


@pytest.mark.parametrize(
    ("which", "published"),
    [
        ("aggregate", 9.03),
        ("random1", 17.23),
        ("random2", 18.12),
        ("random3", 17.64),
        ("worst", 40.21),
    ],
)
def test_cifar10n_has_the_published_noise(which: str, published: float, data_root: Path) -> None:
    clean, noisy = cifar10n("clean", data_root), cifar10n(which, data_root)
    assert 100 * np.mean(clean != noisy) == pytest.approx(published, abs=0.025)
    cat, dog = 3, 5  # people take cats for dogs
    row = transition_matrix(clean, noisy)[cat].copy()
    row[cat] = 0
    assert row.argmax() == dog


def test_cifar100n_has_the_published_noise(data_root: Path) -> None:
    try:
        clean, noisy = cifar100n("clean", data_root), cifar100n("noisy", data_root)
    except DomainError:
        pytest.skip("needs CIFAR-100_human.pt in the folder that RESETSGD_DATA names")
    assert np.bincount(clean).tolist() == [500] * 100
    assert 100 * np.mean(clean != noisy) == pytest.approx(40.20, abs=0.01)
