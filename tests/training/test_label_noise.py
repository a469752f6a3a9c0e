"""Every kind of label noise: its law, its manifest, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from resetsgd.errors import CorruptData, DomainError
from resetsgd.training.labels import (
    NoiseManifest,
    asymmetric_matrix,
    asymmetric_noise,
    human_noise,
    instance_noise,
    matrix_noise,
    pair_matrix,
    pair_noise,
    symmetric_matrix,
    symmetric_noise,
    transition_matrix,
)

ALPHA = 1e-9
CLEAN = np.arange(5000) % 10
PIXELS = np.random.default_rng(5).integers(0, 256, (2000, 3, 4, 4), dtype=np.uint8)

CIFAR100 = {
    "aquatic mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food containers": "bottle bowl can cup plate",
    "fruit and vegetables": "apple mushroom orange pear sweet_pepper",
    "household electrical devices": "clock keyboard lamp telephone television",
    "household furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large carnivores": "bear leopard lion tiger wolf",
    "large man-made outdoor things": "bridge castle house road skyscraper",
    "large natural outdoor scenes": "cloud forest mountain plain sea",
    "large omnivores and herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium-sized mammals": "fox porcupine possum raccoon skunk",
    "non-insect invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles 1": "bicycle bus motorcycle pickup_truck train",
    "vehicles 2": "lawn_mower rocket streetcar tank tractor",
}
"""Classes of CIFAR-100 by superclass, from the data set's own page; numbers are alphabetical."""

MADE: dict[str, Callable[[], tuple[Any, NoiseManifest]]] = {
    "symmetric": lambda: symmetric_noise(CLEAN, 0.4, classes=10, convention="inclusive", seed=2),
    "pair": lambda: pair_noise(CLEAN, 0.45, seed=2),
    "asymmetric": lambda: asymmetric_noise(CLEAN, 0.4, seed=2),
    "own map": lambda: asymmetric_noise(CLEAN, 0.3, mapping={0: 1, 7: 2}, seed=2),
    "matrix": lambda: matrix_noise(CLEAN, symmetric_matrix(10, 0.2), count="bernoulli", seed=2),
    "instance": lambda: instance_noise(CLEAN[:2000], PIXELS, 0.4, seed=2),
    "human": lambda: human_noise(CLEAN, np.roll(CLEAN, 1), source="a roll"),
}


def again(kind: str, manifest: NoiseManifest) -> Any:
    if kind == "instance":
        return manifest.apply(CLEAN[:2000], features=PIXELS)
    human = np.roll(CLEAN, 1) if kind == "human" else None
    return manifest.apply(CLEAN, human=human)


@pytest.mark.parametrize("kind", MADE)
def test_a_manifest_file_reproduces_every_kind(kind: str, tmp_path: Path) -> None:
    noisy, manifest = MADE[kind]()
    manifest.save(tmp_path / "noise.json")
    loaded = NoiseManifest.load(tmp_path / "noise.json")
    assert loaded == manifest
    assert (again(kind, loaded) == noisy).all()
    clean = CLEAN[: len(noisy)]
    assert manifest.realised == np.mean(noisy != clean)
    assert (noisy == MADE[kind]()[0]).all()
    if kind in ("instance", "human"):
        assert np.array_equal(manifest.matrix, transition_matrix(clean, noisy, classes=10))


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("change", ["seed", "realised", "matrix", "rate", "spread", "source"])
def test_a_changed_manifest_is_refused(kind: str, change: str) -> None:
    _, manifest = MADE[kind]()
    value: Any = {
        "seed": 3,
        "realised": 0.5,
        "matrix": tuple(map(tuple, np.eye(10)[::-1].tolist())),
        "rate": 0.123,
        "spread": 0.2,
        "source": "cifar100",
    }[change]
    free = {"seed": ("human",), "source": ("symmetric", "pair", "matrix", "own map", "instance")}
    if kind in free.get(change, ()) or (kind, change) == ("human", "source"):
        assert (again(kind, replace(manifest, **{change: value})) == again(kind, manifest)).all()
        return  # what nothing depends on
    with pytest.raises((CorruptData, DomainError)):
        again(kind, replace(manifest, **{change: value}))


@pytest.mark.parametrize(
    "change",
    [
        {"matrix": [[1.0]]},
        {"matrix": [["a"] * 10] * 10},
        {"matrix": "rows"},
        {"matrix": [[0.5] * 10] * 10},
        {"convention": "inclusive"},
        {"spread": 0.1},
        {"source": "cifar11"},
        {"rate": None},
    ],
)
def test_a_damaged_manifest_names_its_file(change: dict[str, Any], tmp_path: Path) -> None:
    _, manifest = asymmetric_noise(CLEAN, 0.4)
    content = json.loads(manifest.to_json()) | change
    (tmp_path / "noise.json").write_text(json.dumps(content))
    with pytest.raises(CorruptData, match=r"noise\.json: noise manifest"):
        NoiseManifest.load(tmp_path / "noise.json")


def test_a_manifest_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that dies half way leaves the old file as it was."""
    _, old = pair_noise(CLEAN, 0.2)
    old.save(tmp_path / "noise.json")

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", dies)
    with pytest.raises(KeyboardInterrupt):
        pair_noise(CLEAN, 0.3)[1].save(tmp_path / "noise.json")
    assert NoiseManifest.load(tmp_path / "noise.json") == old


# --- laws -----------------------------------------------------------------------------------------


def test_symmetric_conventions_differ_by_the_own_class() -> None:
    exclusive, inclusive = (
        symmetric_matrix(10, 0.4, convention=word) for word in ("exclusive", "inclusive")
    )
    assert exclusive[0, 0] == pytest.approx(0.6, abs=1e-15)
    assert inclusive[0, 0] == pytest.approx(0.64, abs=1e-15)
    assert exclusive[0, 1] == pytest.approx(0.4 / 9, abs=1e-15)
    assert inclusive[0, 1] == pytest.approx(0.04, abs=1e-15)
    for matrix in (exclusive, inclusive):
        assert np.allclose(matrix.sum(axis=1), 1, atol=1e-14)


def test_cifar10_map_by_name() -> None:
    text = "airplane automobile bird cat deer dog frog horse ship truck"
    names = text.split()
    matrix = asymmetric_matrix("cifar10", 0.4)
    flips = {
        names[i]: names[j] for i in range(10) for j in range(10) if i != j and matrix[i, j] == 0.4
    }
    assert flips == {
        "truck": "automobile", "bird": "airplane", "cat": "dog", "dog": "cat", "deer": "horse",
    }  # fmt: skip
    assert matrix.diagonal().tolist() == [1, 1, 0.6, 0.6, 0.6, 0.6, 1, 1, 1, 0.6]


def test_cifar100_map_stays_in_the_superclass_and_blocks_do_not() -> None:
    names = sorted(name for group in CIFAR100.values() for name in group.split())
    group_of = {name: key for key, group in CIFAR100.items() for name in group.split()}
    assert len(names) == 100

    def targets(mapping: str) -> list[int]:
        return (asymmetric_matrix(mapping, 1.0).argmax(axis=1)).tolist()

    flips = targets("cifar100")
    assert all(group_of[names[i]] == group_of[names[j]] for i, j in enumerate(flips))
    assert names[flips[names.index("whale")]] == "beaver"  # in a circle
    assert names[flips[names.index("beaver")]] == "dolphin"
    assert sorted(flips) == list(range(100))
    blocks = targets("cifar100-blocks")
    assert blocks[:6] == [1, 2, 3, 4, 0, 6]
    assert not all(group_of[names[i]] == group_of[names[j]] for i, j in enumerate(blocks))


@given(
    rows=st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=4, max_size=4),
    size=st.integers(1, 80),
    count=st.sampled_from(["exact", "bernoulli"]),
    seed=st.integers(0, 2**64 - 1),
)
@settings(max_examples=80, deadline=None)
def test_arbitrary_matrices(rows: list[list[float]], size: int, count: str, seed: int) -> None:
    """No impossible class is drawn; exact counts are within one of their share."""
    matrix = np.array(rows) + 1e-3 * np.eye(4)
    matrix[:, 1] = 0.0
    matrix[1] = [0.0, 0.0, 1.0, 0.0]
    matrix /= matrix.sum(axis=1, keepdims=True)
    clean = np.arange(size) % 4
    noisy, manifest = matrix_noise(clean, matrix, count=count, seed=seed)
    assert (noisy != 1).all()
    assert (noisy[clean == 1] == 2).all()
    assert (manifest.apply(clean) == noisy).all()
    if count == "exact":
        for label in range(4):
            found = np.bincount(noisy[clean == label], minlength=4)
            assert (abs(found - matrix[label] * found.sum()) < 1 + 1e-6).all()


def test_exact_counts_are_those_of_the_rate() -> None:
    noisy, manifest = asymmetric_noise(CLEAN, 0.3)
    assert manifest.realised == 0.15
    for label, target in {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}.items():
        found = noisy[label == CLEAN]
        assert (found == target).sum() == 150
        assert (found == label).sum() == 350
    assert (noisy[CLEAN == 0] == 0).all()
    assert pair_noise(CLEAN, 0.45)[1].realised == 0.45


@pytest.mark.statistical(alpha=ALPHA)
def test_bernoulli_rows_are_multinomial_and_a_wrong_row_is_rejected() -> None:
    """100,000 labels of one class against its row; the twin's row is off by one hundredth."""
    row = np.array([0.5, 0.3, 0.15, 0.05])
    matrix = np.vstack([row, np.eye(4)[1:]])
    clean = np.zeros(100_000, int)
    noisy, _ = matrix_noise(clean, matrix, count="bernoulli", seed=8)
    counts = np.bincount(noisy, minlength=4)
    wrong = row + np.array([0.01, -0.01, 0.0, 0.0])
    assert stats.chisquare(counts, 1e5 * row).pvalue > ALPHA
    assert not stats.chisquare(counts, 1e5 * wrong).pvalue > ALPHA


def test_noise_is_coupled_across_rates_where_labels_are_drawn_one_by_one() -> None:
    few, many = (pair_noise(CLEAN, r, count="bernoulli", seed=4)[0] for r in (0.2, 0.5))
    assert (many[few != CLEAN] != CLEAN[few != CLEAN]).all()


# --- instance-dependent ---------------------------------------------------------------------------


def test_instance_noise_is_the_part_dependent_recipe() -> None:
    """Against the published steps, one image at a time, from the same draws."""
    from scipy.special import ndtri

    from resetsgd.training.streams import Purpose, uniforms

    clean, features = np.arange(40) % 3, PIXELS[:40].reshape(40, -1) / 255.0
    noisy, _ = instance_noise(clean, features, 0.6, seed=9)
    drawn = uniforms(9, Purpose.FLAG, 2, replica=np.arange(40))
    flip = stats.truncnorm((0 - 0.6) / 0.1, (1 - 0.6) / 0.1, loc=0.6, scale=0.1).ppf(drawn[:, 1])
    expected = []
    for i, (x, y) in enumerate(zip(features, clean, strict=True)):
        weights = ndtri(uniforms(9, Purpose.PROJECTION, 48 * 3, replica=y)).reshape(48, 3)
        scores = x @ weights
        scores[y] = -np.inf
        row = flip[i] * np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        row[y] += 1 - flip[i]
        order = [(y + 1) % 3, (y + 2) % 3, y]
        expected.append(order[int((drawn[i, 0] >= np.cumsum(row[order])).sum())])
    assert noisy.tolist() == expected
    assert (noisy != clean).sum() > 10


def test_instance_noise_depends_on_the_image_and_not_on_its_company() -> None:
    clean = np.zeros(2000, int)
    whole, manifest = instance_noise(clean, PIXELS, 0.4, classes=10, seed=1)
    part, _ = instance_noise(clean[:300], PIXELS[:300], 0.4, classes=10, seed=1)
    assert (whole[:300] == part).all()
    same = np.broadcast_to(PIXELS[:1], PIXELS.shape)
    one, _ = instance_noise(clean, same, 0.4, classes=10, seed=1)
    other, _ = instance_noise(clean, 255 - same, 0.4, classes=10, seed=1)
    moved = np.bincount(one[one > 0], minlength=10)
    assert moved.max() > 0.5 * moved.sum()  # one image has its own confusions,
    assert (one != other).any()  # another image others
    with pytest.raises(CorruptData, match="features"):
        manifest.apply(clean, features=255 - PIXELS)
    with pytest.raises(DomainError, match="features = None"):
        manifest.apply(clean)


@pytest.mark.statistical(alpha=ALPHA)
def test_instance_noise_has_the_truncated_rate_and_not_the_nominal_one() -> None:
    """At rate 0.1 the mean flip rate is 0.1288; the twin takes it for 0.1."""
    features = np.random.default_rng(1).random((40_000, 4))
    _, manifest = instance_noise(np.arange(40_000) % 5, features, 0.1, seed=3)
    changed = round(manifest.realised * 40_000)
    mean = stats.truncnorm(-1, 9, loc=0.1, scale=0.1).mean()
    assert stats.binomtest(changed, 40_000, mean).pvalue > ALPHA
    assert not stats.binomtest(changed, 40_000, 0.1).pvalue > ALPHA


@pytest.mark.parametrize("rate", [0.0, 5e-324, 1.0])
@pytest.mark.parametrize("spread", [5e-324, 0.1, 1e3])
@pytest.mark.parametrize("size", [0.0, 1e-300, 1e9])
def test_the_ends_of_the_range_give_classes(rate: float, spread: float, size: float) -> None:
    features = size * np.array([[1.0, -1.0], [0.0, 1.0], [1.0, 1.0]])
    noisy, manifest = instance_noise([0, 1, 2], features, rate, spread=spread)
    assert set(noisy.tolist()) <= {0, 1, 2}
    assert np.isfinite(manifest.matrix).all()
    if spread == 5e-324:  # no scatter: the flip rate is the rate
        assert (noisy != [0, 1, 2]).all() == (rate == 1.0)
        assert (noisy == [0, 1, 2]).all() == (rate < 1.0)


# --- wrong use ------------------------------------------------------------------------------------


def test_labels_by_people_are_verified() -> None:
    _, manifest = human_noise(CLEAN, np.roll(CLEAN, 1))
    with pytest.raises(CorruptData, match="noisy labels"):
        manifest.apply(CLEAN, human=np.roll(CLEAN, 2))
    with pytest.raises(DomainError, match="human = None"):
        manifest.apply(CLEAN)


def test_transition_matrix_of_absent_classes_is_no_noise() -> None:
    assert transition_matrix([0, 0], [0, 1], classes=3).tolist() == [
        [0.5, 0.5, 0.0],
        [0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0],
    ]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("rate", lambda: pair_noise(CLEAN, 1.1)),
        ("rate", lambda: asymmetric_noise(CLEAN, float("nan"))),
        ("rate", lambda: instance_noise(CLEAN[:2000], PIXELS, -0.1)),
        ("spread", lambda: instance_noise(CLEAN[:2000], PIXELS, 0.1, spread=0)),
        ("spread", lambda: instance_noise(CLEAN[:2000], PIXELS, 0.1, spread=1e4)),
        ("features", lambda: instance_noise(CLEAN, PIXELS, 0.1)),
        ("features", lambda: instance_noise([0, 1], [[1.0], [1e300]], 0.1)),
        ("labels", lambda: pair_noise([2**31], 0.1)),
        ("classes", lambda: pair_noise([0], 0.1, classes=10**6)),
        ("features", lambda: instance_noise([0, 1], [[1.0], [float("nan")]], 0.1)),
        ("mapping", lambda: asymmetric_noise(CLEAN, 0.4, mapping="cifar11")),
        ("mapping", lambda: asymmetric_noise(CLEAN, 0.4, mapping={})),
        ("mapping", lambda: asymmetric_noise(CLEAN, 0.4, mapping={0: -1})),
        ("mapping", lambda: asymmetric_noise(CLEAN, 0.4, mapping={0: 10}, classes=10)),
        ("labels", lambda: asymmetric_noise([10], 0.4)),
        ("labels", lambda: matrix_noise([2], np.eye(2))),
        ("matrix", lambda: matrix_noise(CLEAN, np.eye(10)[:9])),
        ("matrix", lambda: matrix_noise(CLEAN, 0.9 * np.eye(10))),
        ("matrix", lambda: matrix_noise(CLEAN, 2 * np.eye(10) - 0.1)),
        ("count", lambda: pair_noise(CLEAN, 0.4, count="some")),
        ("seed", lambda: pair_noise(CLEAN, 0.4, seed=2**64)),
        ("human", lambda: human_noise(CLEAN, CLEAN[:5])),
        ("noisy", lambda: transition_matrix(CLEAN, CLEAN[:5])),
        ("convention", lambda: symmetric_matrix(3, 0.1, convention="both")),
        ("classes", lambda: pair_matrix(1, 0.1)),
        ("classes", lambda: asymmetric_matrix("cifar10", 0.1, classes=11)),
    ],
)
def test_what_is_no_noise_is_named(name: str, call: Any) -> None:
    with pytest.raises(DomainError, match=rf"^{name} = "):
        call()
