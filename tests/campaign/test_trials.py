"""Trials: paired gains and what is said of them, tasks, runs that are kept and shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy import stats

from resetsgd.campaign import trials as module
from resetsgd.campaign.progress import Progress
from resetsgd.campaign.tasks import TASKS, Task
from resetsgd.campaign.trials import WEIGHTS, Gain, Recipe, Trials, gain, judged, train
from resetsgd.errors import DomainError, StreamMismatch
from resetsgd.training import symmetric_noise

SMALL = msgspec.structs.replace(TASKS["digits"], train=100, validation=60, steps=200)


def test_a_gain_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.7, 0.1, 9), rng.normal(0.6, 0.1, 9)
    found = gain(one.tolist(), other.tolist())
    test = stats.ttest_rel(one, other)
    interval = test.confidence_interval(0.95)
    assert (found.mean, found.seeds) == (pytest.approx((one - other).mean()), 9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(test.pvalue)
    # unpaired, it would be another interval
    assert found.p != pytest.approx(stats.ttest_ind(one, other).pvalue, rel=0.05)


def test_gains_without_spread() -> None:
    assert gain([0.5, 0.6], [0.5, 0.6]) == Gain(0.0, 0.0, 0.0, 1.0, 2)
    assert gain([0.75, 0.5], [0.5, 0.25]) == Gain(0.25, 0.25, 0.25, 0.0, 2)
    for pair in (([0.5], [0.5]), ([0.5, 0.6], [0.5, 0.6, 0.7])):
        with pytest.raises(DomainError, match="two pairs or more"):
            gain(*pair)


def made(mean: float, half: float, p: float) -> Gain:
    return Gain(mean, mean - half, mean + half, p, 8)


@pytest.mark.parametrize(
    ("gains", "status", "words"),
    [
        ([made(0.1, 0.02, 1e-5), made(0.05, 0.02, 1e-3)], "holds", ["better", "better"]),
        ([made(0.1, 0.02, 1e-5), made(-0.05, 0.02, 1e-3)], "fails", ["better", "worse"]),
        ([made(0.1, 0.02, 1e-5), made(0.001, 0.005, 0.6)], "fails", ["better", "no gain"]),
        ([made(0.1, 0.02, 1e-5), made(0.01, 0.02, 0.3)], "underpowered", ["better", "open"]),
        # 0.03 twice would do for one comparison, not for two (Holm)
        ([made(0.1, 0.08, 0.03), made(0.1, 0.08, 0.03)], "underpowered", ["open", "open"]),
    ],
)
def test_what_is_said_of_gains(gains: list[Gain], status: str, words: list[str]) -> None:
    named = {str(i): found for i, found in enumerate(gains)}
    assert judged(named) == (status, dict(zip(named, words, strict=True)))


def test_seeds_draw_everything_and_share_the_test_images() -> None:
    first, second = SMALL.data(3), SMALL.data(4)
    assert first.sha256 == SMALL.data(3).sha256 != second.sha256
    assert first.test.sha256 == second.test.sha256
    for data in (first, second):
        learnt = np.concatenate([data.train.images, data.validation.images])
        shown = {image.tobytes() for image in data.test.images}
        # some digits stand twice in the set itself; a shared test part would share hundreds
        assert sum(image.tobytes() in shown for image in learnt) < 5
        assert data.validation_labels == "noisy"
    clean = msgspec.structs.replace(SMALL, noise_rate=0.0).data(3)
    for part in ("train", "validation"):
        wrong = getattr(clean, part).labels != getattr(first, part).labels
        assert wrong.mean() == pytest.approx(0.4, abs=0.01)
    assert (clean.test.labels == first.test.labels).all()
    # training labels are those of the seed, and no others
    again, _ = symmetric_noise(clean.train.labels, 0.4, classes=10, seed=6)
    other, _ = symmetric_noise(clean.train.labels, 0.4, classes=10, seed=7)
    assert (again == first.train.labels).all()
    assert not (other == first.train.labels).all()


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_absent_images_are_said(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESETSGD_DATA", str(tmp_path))
    with pytest.raises(DomainError, match="folder"):
        Trials(TASKS[name], tmp_path / "store")
    with pytest.raises(DomainError, match="name"):
        msgspec.structs.replace(SMALL, name="imagenet").data(0)


@pytest.mark.data
@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_a_network_takes_its_images(
    name: str, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESETSGD_DATA", str(data_root))
    task = msgspec.structs.replace(TASKS[name], train=64, validation=32, test=32, steps=2, every=1)
    looks, _ = train(task, Recipe(), task.data(0), 0)
    assert looks[WEIGHTS].shape == (2, 4)


def test_averages_change_nothing_in_their_run_and_are_averages() -> None:
    data = SMALL.data(0)
    plain, _ = train(SMALL, Recipe(), data, 0)
    beside, _ = train(SMALL, Recipe(averages=(0.0, 0.9)), data, 0)
    assert (plain[WEIGHTS] == beside[WEIGHTS]).all()
    # an average that remembers nothing is the weights; the loss is summed otherwise
    np.testing.assert_allclose(beside["0.0"], beside[WEIGHTS], rtol=1e-6)
    assert not np.allclose(beside["0.9"], beside[WEIGHTS], rtol=1e-3)


def test_recipes_do_what_they_say() -> None:
    data = SMALL.data(0)
    plain, none = train(SMALL, Recipe(), data, 0)
    reset, resets = train(SMALL, Recipe(reset=0.3), data, 0)
    assert none == 0
    assert resets > 3
    # until the patience of a tenth of the run is over, it is the plain run
    early = plain[WEIGHTS][:, 0] <= SMALL.steps // 10
    assert (reset[WEIGHTS][early] == plain[WEIGHTS][early]).all()
    assert (train(SMALL, Recipe(restart=50), data, 0)[0][WEIGHTS] != plain[WEIGHTS]).any()
    for loss in ("gce", "sce", "elr"):
        assert (train(SMALL, Recipe(loss=loss), data, 0)[0][WEIGHTS] != plain[WEIGHTS]).any()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """The runs that are really made."""
    runs: list[Recipe] = []

    def counting(task: Task, recipe: Recipe, *rest: Any) -> Any:
        runs.append(recipe)
        return train(task, recipe, *rest)

    monkeypatch.setattr(module, "train", counting)
    return runs


def test_finished_runs_are_kept_and_shared(tmp_path: Path, counted: list[Recipe]) -> None:
    averaged, reset = Recipe(averages=(0.9,)), Recipe(reset=0.3)
    with Progress() as progress:
        with Trials(SMALL, tmp_path) as first:
            before = first.run([averaged, reset], range(2), progress)
            assert first.resets(reset, 1) > 0
            with pytest.raises(DomainError, match="one that was run"):
                first.resets(reset, 2)
        assert counted == [averaged, reset] * 2
        with Trials(SMALL, tmp_path) as second:
            # plain training is the run that was averaged
            after = second.run([averaged, reset, Recipe()], range(2), progress)
        assert len(counted) == 4
        assert after[reset] == before[reset]
        assert [looks[WEIGHTS] for looks in after[Recipe()]] == [
            looks[WEIGHTS] for looks in before[averaged]
        ]
        with Trials(SMALL, tmp_path) as third:
            third.run([Recipe(averages=(0.9, 0.5)), averaged], range(1), progress)
        assert len(counted) == 5  # of the new average alone
    with pytest.raises(StreamMismatch, match=r"task\.steps"):
        Trials(msgspec.structs.replace(SMALL, steps=220), tmp_path)


def test_runs_killed_in_between_end_with_the_same_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = [Recipe(averages=(0.9,)), Recipe(reset=0.3)]
    with Progress() as progress:
        with Trials(SMALL, tmp_path / "whole") as whole:
            expected = whole.run(recipes, range(3), progress)
        for kill in (0, 2, 5):
            left = kill

            def dying(*arguments: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt
                return train(*arguments)

            folder = tmp_path / str(kill)
            with monkeypatch.context() as patch, Trials(SMALL, folder) as broken:
                patch.setattr(module, "train", dying)
                with pytest.raises(KeyboardInterrupt):
                    broken.run(recipes, range(3), progress)
            with Trials(SMALL, folder) as again:
                assert again.run(recipes, range(3), progress) == expected


def test_runs_are_kept_in_the_cache_folder_by_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESETSGD_CACHE", str(tmp_path))
    for task in (SMALL, SMALL, msgspec.structs.replace(SMALL, steps=220)):
        Trials(task).__exit__()
    assert len(list((tmp_path / "studies").glob("digits-*/store.sqlite"))) == 2
