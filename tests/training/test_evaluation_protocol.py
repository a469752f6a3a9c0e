"""What judges a run: best and last always, no test image but by a published protocol's name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from resetsgd.errors import DomainError
from resetsgd.training import (
    MLP,
    EvaluationProtocol,
    History,
    Look,
    NoiseManifest,
    Split,
    digits,
    fit,
    symmetric_noise,
)

LOOKS = tuple(
    Look(100 * (i + 1), loss, accuracy, test)
    for i, (loss, accuracy, test) in enumerate(
        [
            (1.0, 0.50, 0.40),
            (0.8, 0.55, 0.70),
            (0.9, 0.60, 0.65),
            (1.2, 0.52, 0.80),
            (1.5, 0.4, 0.3),
        ]
    )
)


def noise(split: Split, seed: int) -> tuple[Any, NoiseManifest]:
    return symmetric_noise(split.labels, 0.4, classes=10, seed=seed)


@pytest.mark.parametrize(("metric", "step"), [("loss", 200), ("accuracy", 300)])
def test_validation_chooses_and_best_and_last_are_told(metric: str, step: int) -> None:
    report = EvaluationProtocol(metric=metric).report(LOOKS)
    assert report.best.step == step
    assert report.headline == report.best.test_accuracy
    assert report.last.test_accuracy == 0.3
    assert not report.test_images_chose
    for text in (f"best {report.headline:.2%}", "last 30.00%", "mean of last 5 57.00%"):
        assert text.replace("%", " %") in str(report)
    assert str(report).endswith("test images chose nothing")


def test_headlines() -> None:
    found = {
        word: EvaluationProtocol(headline=word, window=2).report(LOOKS).headline
        for word in ("best", "last", "mean of last")
    }
    assert found == {"best": 0.7, "last": 0.3, "mean of last": pytest.approx(0.55)}
    assert "mean of last 2 55.00 %" in str(EvaluationProtocol(window=2).report(LOOKS))
    assert EvaluationProtocol().report(LOOKS * 4).averaged == 10


def test_test_scores_change_nothing_that_is_chosen() -> None:
    """The choice with every test score replaced; the published protocol is the twin that fails."""
    rng = np.random.default_rng(0)
    blind = [Look(x.step, x.validation_loss, x.validation_accuracy, rng.random()) for x in LOOKS]
    for protocol in (EvaluationProtocol(), EvaluationProtocol(metric="accuracy")):
        assert protocol.report(blind).best.step == protocol.report(LOOKS).best.step
    published = EvaluationProtocol.published("best-on-test")
    assert not published.report(blind).best.step == published.report(LOOKS).best.step == 400


def test_published_protocols_say_what_chose() -> None:
    report = EvaluationProtocol.published("best-on-test").report(LOOKS)
    assert report.headline == 0.8
    assert "highest test accuracy" in str(report)
    assert str(report).endswith("test images were used for selection")
    with pytest.raises(DomainError, match=r"^published = None"):
        EvaluationProtocol.published("bae2025").report(LOOKS)  # its validation images were others
    report = EvaluationProtocol.published("bae2025").report(LOOKS, published="bae2025")
    assert report.best.step == 200
    assert "lowest test loss)" in str(report)
    assert str(report).endswith("test images were used for selection")
    for name in ("bae", "test", ""):
        with pytest.raises(DomainError, match=r"^name = "):
            EvaluationProtocol.published(name)


@pytest.mark.parametrize("labels", ["noisy", "clean"])
def test_arranged_labels(labels: str) -> None:
    data = digits(400, 200, 300, seed=1)
    protocol = EvaluationProtocol(validation_labels=labels)
    arranged, manifests = protocol.arrange(data, noise, seed=5)
    assert (arranged.train.labels != data.train.labels).mean() == 0.4
    assert (manifests["train"].apply(data.train.labels) == arranged.train.labels).all()
    changed = (arranged.validation.labels != data.validation.labels).mean()
    assert changed == (0.4 if labels == "noisy" else 0.0)
    assert ("validation" in manifests) == (labels == "noisy")
    assert arranged.test.sha256 == data.test.sha256
    assert arranged.published is None


def test_the_published_arrangement_takes_test_images_and_every_report_says_so() -> None:
    data = digits(400, 200, 300, seed=1)
    arranged, manifests = EvaluationProtocol.published("bae2025").arrange(data, noise, seed=5)
    assert len(arranged.train) == 600
    assert (arranged.validation.images == data.test.images).all()
    assert (manifests["validation"].apply(data.test.labels) == arranged.validation.labels).all()
    assert (arranged.test.labels == data.test.labels).all()
    assert arranged.published == "bae2025"
    network = MLP((64, 10))
    model = network.module(network.initial(0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = fit(model, optimizer, arranged, steps=20, batch_size=16, evaluate_every=10)
    published = EvaluationProtocol.published("bae2025")
    for protocol in (None, EvaluationProtocol(metric="accuracy", headline="last"), published):
        report = history.report(protocol)
        assert report.test_images_chose
        assert "test images were used for selection" in str(report)
    assert "lowest test loss, noisy labels" in str(history.report())
    for labels in ("noisy", "clean"):
        judge = EvaluationProtocol(validation_labels=labels)
        honest, _ = judge.arrange(data, noise, seed=5)
        history = fit(model, optimizer, honest, steps=20, batch_size=16, evaluate_every=10)
        assert not history.report().test_images_chose
        assert f"lowest validation loss, {labels} labels" in str(history.report())
    history = fit(model, optimizer, data, steps=20, batch_size=16, evaluate_every=10)
    assert "lowest validation loss)" in str(history.report())  # nobody said what labels these are


def test_a_diverged_look_is_never_the_best() -> None:
    lost = Look(600, float("nan"), float("nan"), 0.1)
    for metric in ("loss", "accuracy"):
        protocol = EvaluationProtocol(metric=metric)
        for looks in ((lost, *LOOKS), (*LOOKS, lost)):
            assert protocol.report(looks).best.step == protocol.report(LOOKS).best.step
        with pytest.raises(DomainError, match="looks"):
            protocol.report([lost])
    with pytest.raises(DomainError, match="looks"):
        History(0, (), ()).report()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("validation_labels", "dirty"),
        ("metric", "f1"),
        ("headline", "highest"),
        ("window", 0),
        ("name", "mine"),
    ],
)
def test_what_is_no_protocol_is_named(name: str, value: Any) -> None:
    with pytest.raises(DomainError, match=rf"^{name} = "):
        EvaluationProtocol(**{name: value})
