"""Label noise: conventions, counts, and a manifest that reproduces and refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from resetsgd.errors import CorruptData, DomainError, OutputError
from resetsgd.training.labels import NoiseManifest, symmetric_noise

ALPHA = 1e-9
CLEAN = np.arange(5000) % 10


@given(
    n=st.integers(1, 60),
    rate=st.floats(0, 1),
    classes=st.integers(2, 7),
    convention=st.sampled_from(["exclusive", "inclusive"]),
    count=st.sampled_from(["exact", "bernoulli"]),
    seed=st.integers(0, 2**64 - 1),
)
@settings(max_examples=60, deadline=None)
def test_manifest_reproduces_through_json(
    n: int, rate: float, classes: int, convention: str, count: str, seed: int
) -> None:
    clean = (np.arange(n) * 3) % classes
    noisy, manifest = symmetric_noise(
        clean, rate, classes=classes, convention=convention, count=count, seed=seed
    )
    again = NoiseManifest.from_json(manifest.to_json())
    assert again == manifest
    assert (again.apply(clean) == noisy).all()
    assert manifest.realised == np.mean(noisy != clean)
    assert noisy.min() >= 0
    assert noisy.max() < classes
    if convention == "exclusive" and count == "exact":
        assert (noisy != clean).sum() == round(rate * n)


def test_the_labels_given_are_not_touched() -> None:
    clean = CLEAN.copy()
    noisy, _ = symmetric_noise(clean, 1.0, classes=10)
    assert (clean == CLEAN).all()
    assert (noisy != clean).all()


@pytest.mark.statistical(alpha=ALPHA)
@pytest.mark.parametrize("convention", ["exclusive", "inclusive"])
def test_flagged_labels_move_uniformly(convention: str) -> None:
    """Where 50,000 labels of class 3 go; the twin is the other convention."""
    clean = np.full(50_000, 3)

    def pvalue(used: str) -> float:
        noisy, _ = symmetric_noise(clean, 1.0, classes=10, convention=used, seed=6)
        counts = np.bincount(noisy, minlength=10)
        if convention == "exclusive":
            return (
                stats.chisquare(np.delete(counts, 3), np.full(9, 50_000 / 9)).pvalue
                if (counts[3] == 0)
                else 0.0
            )
        return float(stats.chisquare(counts).pvalue)

    other = {"exclusive": "inclusive", "inclusive": "exclusive"}[convention]
    assert pvalue(convention) > ALPHA
    assert pvalue(other) < ALPHA


@pytest.mark.statistical(alpha=ALPHA)
def test_bernoulli_flags_are_binomial() -> None:
    """One binomial count out of 100,000; the twin has 42 % in place of 40 %."""
    clean = np.zeros(100_000, int)
    for rate, fits in ((0.4, True), (0.42, False)):
        noisy, _ = symmetric_noise(clean, rate, classes=4, count="bernoulli", seed=2)
        assert (stats.binomtest(int((noisy != 0).sum()), 100_000, 0.4).pvalue > ALPHA) == fits


def test_bernoulli_noise_of_a_sample_depends_on_its_place_only() -> None:
    long, _ = symmetric_noise(CLEAN, 0.3, classes=10, count="bernoulli", seed=5)
    short, _ = symmetric_noise(CLEAN[:100], 0.3, classes=10, count="bernoulli", seed=5)
    assert (long[:100] == short).all()


def test_other_labels_or_settings_are_refused() -> None:
    _, manifest = symmetric_noise(CLEAN, 0.4, classes=10, seed=1)
    swapped = CLEAN.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    with pytest.raises(CorruptData, match="clean labels"):
        manifest.apply(swapped)
    for change in ({"seed": 2}, {"rate": 0.41}, {"convention": "inclusive"}):
        with pytest.raises(CorruptData, match="noisy labels"):
            replace(manifest, **change).apply(CLEAN)


@pytest.mark.parametrize(
    "change",
    [
        {"rate": 1.5},
        {"classes": "ten"},
        {"kind": "pair"},
        {"kind": 3},
        {"surplus": 0},
        {"seed": None},
    ],
)
def test_a_damaged_manifest_is_refused(change: dict[str, Any]) -> None:
    _, manifest = symmetric_noise(CLEAN, 0.4, classes=10)
    content = json.loads(manifest.to_json()) | change
    with pytest.raises(CorruptData, match="noise manifest"):
        NoiseManifest.from_json(json.dumps(content))


def test_manifest_files(tmp_path: Path) -> None:
    _, manifest = symmetric_noise(CLEAN, 0.4, classes=10)
    manifest.save(tmp_path / "noise.json")
    assert NoiseManifest.load(tmp_path / "noise.json") == manifest
    (tmp_path / "noise.json").write_bytes(b"{\xff")
    with pytest.raises(CorruptData):
        NoiseManifest.load(tmp_path / "noise.json")
    (tmp_path / "noise.json").write_text("{")
    with pytest.raises(CorruptData):
        NoiseManifest.load(tmp_path / "noise.json")
    with pytest.raises(OutputError):
        manifest.save(tmp_path / "nowhere" / "noise.json")


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("rate", lambda: symmetric_noise(CLEAN, 1.1)),
        ("rate", lambda: symmetric_noise(CLEAN, float("nan"))),
        ("labels", lambda: symmetric_noise(CLEAN, 0.4, classes=9)),
        ("labels", lambda: symmetric_noise(-CLEAN, 0.4)),
        ("labels", lambda: symmetric_noise([], 0.4)),
        ("labels", lambda: symmetric_noise([[1, 2]], 0.4)),
        ("labels", lambda: symmetric_noise([0.5], 0.4)),
        ("classes", lambda: symmetric_noise([0, 0], 0.4, classes=1)),
        ("convention", lambda: symmetric_noise(CLEAN, 0.4, convention="both")),
        ("count", lambda: symmetric_noise(CLEAN, 0.4, count="some")),
        ("seed", lambda: symmetric_noise(CLEAN, 0.4, seed=-1)),
    ],
)
def test_wrong_input_is_named(name: str, call: Any) -> None:
    with pytest.raises(DomainError, match=rf"^{name} = "):
        call()
