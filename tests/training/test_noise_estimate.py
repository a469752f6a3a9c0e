"""The transition matrix from data: against its definition, against cleanlab, against the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from resetsgd.errors import DomainError
from resetsgd.training.labels import (
    asymmetric_noise,
    confident_joint,
    estimate_noise,
    symmetric_noise,
    transition_matrix,
)


def predictions(labels: Any, classes: int, sharpness: float, seed: int) -> Any:
    """Noisy out-of-sample probabilities that favour the given classes."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(len(labels), classes)) + sharpness * np.eye(classes)[labels]
    powers = np.exp(scores)
    return powers / powers.sum(axis=1, keepdims=True)


def by_hand(labels: Any, probabilities: Any) -> Any:
    """The published definition, sample by sample."""
    classes = probabilities.shape[1]
    thresholds = [probabilities[labels == j, j].mean() for j in range(classes)]
    joint = np.zeros((classes, classes), int)
    for label, row in zip(labels, probabilities, strict=True):
        above = [j for j in range(classes) if row[j] >= thresholds[j] - 1e-6]
        if above:
            joint[label, max(above, key=lambda j: row[j])] += 1
    return joint


@pytest.mark.parametrize("seed", range(5))
def test_confident_joint_is_its_definition(seed: int) -> None:
    truth = np.arange(400) % 5
    noisy, _ = symmetric_noise(truth, 0.3, seed=seed)
    given = predictions(truth, 5, 2.0, seed)
    assert (confident_joint(noisy, given) == by_hand(noisy, given)).all()


@pytest.mark.parametrize(("classes", "sharpness"), [(3, 2.0), (10, 3.0), (10, 1.0), (4, 8.0)])
def test_cleanlab_agrees(classes: int, sharpness: float) -> None:
    count = pytest.importorskip("cleanlab.count", reason="cleanlab is not installed")
    truth = np.arange(3000) % classes
    noisy, _ = asymmetric_noise(truth, 0.4, mapping={0: 1, 2: 0}, seed=1)
    given = predictions(truth, classes, sharpness, 7)
    ours = confident_joint(noisy, given, ties="overall")
    assert (ours == count.compute_confident_joint(noisy, given, calibrate=False)).all()
    theirs = count.compute_confident_joint(noisy, given, calibrate=True)
    estimate = estimate_noise(noisy, given, ties="overall")
    assert abs(estimate.joint - theirs).max() < 1.0  # theirs is rounded to whole counts
    prior, noise, inverse = count.estimate_latent(theirs, noisy)
    few = theirs.sum(axis=0).min()
    assert np.allclose(estimate.transition.T, noise, atol=2 * classes / few)
    assert np.allclose(estimate.inverse.T, inverse, atol=2 * classes / few)
    assert np.allclose(estimate.prior, prior, atol=2 * classes / 3000)


def test_cleanlab_counts_some_samples_for_classes_they_are_not_confidently() -> None:
    """Why the published rule is the default."""
    labels = np.array([0, 0, 1, 2, 2])
    given = np.array(
        [
            [0.96, 0.02, 0.02],
            [0.94, 0.03, 0.03],
            [0.50, 0.20, 0.30],
            [0.50, 0.25, 0.25],
            [0.60, 0.10, 0.30],
        ]
    )
    # thresholds 0.95, 0.2, 0.275: the third sample is confidently 1 and 2, and most probably 0
    assert confident_joint(labels, given)[1].tolist() == [0, 1, 1]
    assert confident_joint(labels, given, ties="overall")[1].tolist() == [1, 1, 0]


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.4])
def test_ideal_predictions_find_the_realised_matrix(rate: float) -> None:
    truth = np.arange(20_000) % 4
    noisy, manifest = asymmetric_noise(truth, rate, mapping={0: 1, 3: 2}, seed=5)
    ideal = np.full((20_000, 4), 0.1) + 0.6 * np.eye(4)[truth]
    estimate = estimate_noise(noisy, ideal)
    # one count more on the diagonal of a class without any is the only difference there may be
    assert abs(estimate.transition - transition_matrix(truth, noisy)).max() < 1e-3
    assert estimate.rate == pytest.approx(manifest.realised, abs=1e-3)
    assert estimate.prior == pytest.approx(0.25, abs=1e-3)
    assert np.allclose(estimate.joint.sum(axis=1), np.bincount(noisy))


@pytest.mark.parametrize("rate", [0.2, 0.4])
def test_scatter_makes_noise_look_less(rate: float) -> None:
    """The stated bias: too little, by at most a quarter here, and no flip that is not there."""
    truth = np.arange(20_000) % 4
    noisy, _ = asymmetric_noise(truth, rate, mapping={0: 1, 3: 2}, seed=5)
    found = estimate_noise(noisy, predictions(truth, 4, 7.0, 3)).transition
    for i, j in ((0, 1), (3, 2)):
        assert 0.75 * rate < found[i, j] < rate
        found[i, j] = found[i, i] = 0.0
    assert (found > 0).sum() == 2


def test_a_model_that_memorised_the_labels_sees_no_noise() -> None:
    """The twin of a good model: what out-of-sample is for."""
    truth = np.arange(5000) % 4
    noisy, _ = symmetric_noise(truth, 0.4, seed=5)
    assert not estimate_noise(noisy, predictions(noisy, 4, 9.0, 3)).rate > 0.01


def test_a_class_without_labels() -> None:
    estimate = estimate_noise([0, 0, 1], [[0.8, 0.1, 0.1], [0.9, 0.05, 0.05], [0.1, 0.8, 0.1]])
    assert estimate.transition[2].tolist() == [0.0, 0.0, 1.0]
    assert np.isfinite(estimate.inverse).all()


@pytest.mark.parametrize(
    ("name", "labels", "given"),
    [
        ("probabilities", [0, 1], [[0.5, 0.5]]),
        ("probabilities", [0], [[0.5, 0.6]]),
        ("probabilities", [0], [[1.5, -0.5]]),
        ("probabilities", [0], [[float("nan"), 0.5]]),
        ("probabilities", [0], [1.0]),
        ("labels", [2], [[0.5, 0.5]]),
        ("labels", [], np.zeros((0, 2))),
    ],
)
def test_what_is_no_prediction_is_named(name: str, labels: Any, given: Any) -> None:
    with pytest.raises(DomainError, match=rf"^{name} = "):
        confident_joint(labels, given)
