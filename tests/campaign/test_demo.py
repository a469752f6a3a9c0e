"""The demonstration: said first, measured afterwards, and nothing passed off for something else."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from resetsgd.campaign.digits import DigitsExperiment, Settings, ages
from resetsgd.campaign.prediction import Prediction
from resetsgd.campaign.store import Store
from resetsgd.errors import (
    CorruptData,
    NotConverged,
    OutputError,
    ResetSGDError,
    StreamMismatch,
)

RESULTS = ("prediction.json", "prediction.csv", "verdict.json", "verdict.csv")


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


def plan(folder: Path) -> str:
    database = sqlite3.connect(folder / "store.sqlite")
    (text,) = database.execute("SELECT text FROM plan").fetchone()
    database.close()
    return str(text)


def forget(folder: Path, pattern: str) -> int:
    database = sqlite3.connect(folder / "store.sqlite", isolation_level=None)
    count = database.execute("DELETE FROM cells WHERE name LIKE ?", (pattern,)).rowcount
    database.close()
    return int(count)


def one_line(error: pytest.ExceptionInfo[ResetSGDError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def experiment(small: Settings) -> DigitsExperiment:
    return DigitsExperiment(small)


# Said first ----------------------------------------------------------------------------------


def test_prediction_is_written_whole_before_anything_is_measured(unbroken: Any) -> None:
    final = (unbroken.folder / "prediction.json").read_bytes()
    assert unbroken.seen == [final] * len(unbroken.result.prediction.planned)
    assert msgspec.json.decode(final, type=Prediction) == unbroken.result.prediction


def test_what_is_measured_records_the_prediction_it_came_after(unbroken: Any) -> None:
    digest = hashlib.sha256((unbroken.folder / "prediction.json").read_bytes()).hexdigest()
    with Store(unbroken.folder, plan(unbroken.folder)) as store:
        for i, probability in enumerate(unbroken.result.prediction.planned):
            cell = store.get(f"measured {i}")
            assert cell is not None
            assert cell.record == {"prediction_sha256": digest, "probability": probability}
    assert unbroken.result.judgement.prediction_sha256 == digest


def test_prediction_names_the_data_it_was_made_from(unbroken: Any) -> None:
    with Store(unbroken.folder, plan(unbroken.folder)) as store:
        free = store.get("free")
    made_from = unbroken.result.prediction.made_from
    assert free is not None and made_from["reset-free runs"] == free.sha256
    assert all(len(digest) == 64 for digest in made_from.values())
    for part in ("train", "validation"):
        noise = json.loads((unbroken.folder / f"noise-{part}.json").read_text())
        assert made_from[f"noise manifest, {part}"] == noise["noisy_sha256"]


def test_prediction_does_not_depend_on_what_is_measured(
    copy: Path, unbroken: Any, again: Callable[..., Any]
) -> None:
    assert forget(copy, "measured%") == 3
    (copy / "prediction.json").unlink()
    result, log = again(copy)
    assert results(copy) == results(unbroken.folder)
    assert result.judgement == unbroken.result.judgement
    assert log.count("kept from the earlier run") == 3


def test_other_measurements_leave_the_prediction(
    copy: Path, unbroken: Any, again: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even absurd measurements change the verdict and nothing else."""

    def absurd(self: Any, checkpoint: Any, p: float, *_: Any) -> dict[str, Any]:
        count = self.settings.measured_replicas
        return {
            "times": 1.0 + np.arange(count) % 3,
            "censored": np.zeros(count, dtype=bool),
            "test": 0.5 + 0.001 * np.arange(count),
            "resets": 0,
        }

    monkeypatch.setattr(DigitsExperiment, "under_resetting", absurd)
    forget(copy, "measured%")
    result, _ = again(copy)
    assert result.status == "fails"
    before, after = results(unbroken.folder), results(copy)
    assert [n for n in RESULTS if before[n] != after[n]] == ["verdict.json", "verdict.csv"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text(path.read_text().replace('"pays": true', '"pays": false')),
        lambda path: path.write_text(path.read_text() + "\n"),
        lambda path: path.write_bytes(b"\xff" + path.read_bytes()),
        lambda path: path.write_text(""),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["another verdict", "a blank line", "no text", "empty", "a folder"],
)
def test_a_changed_prediction_is_refused(
    copy: Path, again: Callable[..., Any], damage: Callable[[Path], Any]
) -> None:
    damage(copy / "prediction.json")
    with pytest.raises(CorruptData, match=r"prediction\.json") as error:
        again(copy)
    one_line(error)


def test_measurements_after_another_prediction_are_refused(
    copy: Path, again: Callable[..., Any]
) -> None:
    with Store(copy, plan(copy)) as store:
        cell = store.get("measured 1")
        assert cell is not None
        store.put("measured 1", cell.arrays, {**cell.record, "prediction_sha256": "0" * 64})
    with pytest.raises(CorruptData, match="'measured 1' was measured after another") as error:
        again(copy)
    one_line(error)


# Continued -------------------------------------------------------------------------------------


def test_a_finished_run_computes_nothing_again(
    copy: Path, unbroken: Any, again: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DigitsExperiment, "_ensemble", None)
    result, log = again(copy)
    assert result.prediction == unbroken.result.prediction
    assert results(copy) == results(unbroken.folder)
    assert log.count("kept from the earlier run") == 6


def test_a_damaged_cell_is_refused(copy: Path, again: Callable[..., Any]) -> None:
    database = sqlite3.connect(copy / "store.sqlite", isolation_level=None)
    (blob,) = database.execute("SELECT arrays FROM cells WHERE name = 'free'").fetchone()
    bad = bytearray(blob)
    bad[len(bad) // 2] ^= 4
    database.execute("UPDATE cells SET arrays = ? WHERE name = 'free'", (bytes(bad),))
    database.close()
    with pytest.raises(CorruptData, match=r"store\.sqlite, cell 'free', is damaged") as error:
        again(copy)
    one_line(error)


def test_other_settings_in_the_same_folder_are_refused(
    copy: Path, small: Settings, unbroken: Any, again: Callable[..., Any]
) -> None:
    other = msgspec.structs.replace(small, momentum=0.8)
    with pytest.raises(StreamMismatch, match=r"momentum: 0\.9 there, 0\.8 asked for") as error:
        again(copy, other)
    one_line(error)
    assert results(copy) == results(unbroken.folder)


def test_an_unwritable_folder_is_refused(tmp_path: Path, again: Callable[..., Any]) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match=r"out = .*writable folder") as error:
        again(tmp_path / "out")
    one_line(error)


@pytest.mark.parametrize("name", ["noise-train.json", "verdict.json", "prediction.csv"])
def test_a_folder_in_place_of_a_result_is_refused(
    copy: Path, again: Callable[..., Any], name: str
) -> None:
    (copy / name).unlink()
    shutil.copytree(copy, copy / name)
    with pytest.raises(OutputError, match=name) as error:
        again(copy)
    one_line(error)


# Streams and settings ---------------------------------------------------------------------------


def test_every_kind_of_run_draws_from_a_stream_of_its_own(unbroken: Any, small: Settings) -> None:
    assert len(unbroken.seeds) == 3 + len(unbroken.result.prediction.planned)
    assert len({*unbroken.seeds}) == len(unbroken.seeds)
    other = {s + 1 for s in unbroken.seeds}  # those of the quick settings
    assert not other & {*unbroken.seeds} and small.quick().seed == small.seed + 1


def test_batches_of_measured_and_reset_free_runs_differ(unbroken: Any, small: Settings) -> None:
    from resetsgd.training import streams

    drawn = [
        streams.batches(seed, np.arange(8), 0, population=small.train, size=small.batch_size)
        for seed in unbroken.seeds
    ]
    for i, first in enumerate(drawn):
        for second in drawn[i + 1 :]:
            assert not any(np.array_equal(a, b) for a in first for b in second)


def test_resets_happen_as_often_as_asked(unbroken: Any, small: Settings) -> None:
    steps = small.measured_replicas * small.measured_steps
    with Store(unbroken.folder, plan(unbroken.folder)) as store:
        for i, p in enumerate(unbroken.result.prediction.planned):
            cell = store.get(f"measured {i}")
            assert cell is not None
            spread = np.sqrt(steps * p * (1 - p))
            assert abs(int(cell.arrays["resets"]) - steps * p) < 6 * spread
            assert np.all(cell.arrays["times"][cell.arrays["censored"]] == small.measured_steps)


def test_settings_refuse_unknown_fields() -> None:
    with pytest.raises(msgspec.ValidationError, match="momentun"):
        msgspec.convert({"momentun": 0.5}, Settings)
    plain = msgspec.to_builtins(Settings())
    assert msgspec.convert(plain, Settings) == Settings()


def test_quick_settings_are_smaller_in_everything_that_costs() -> None:
    full, quick = Settings(), Settings().quick()
    for name in ("reference_steps", "pilot_replicas", "replicas", "horizon", "measured_steps"):
        assert getattr(quick, name) < getattr(full, name)
    assert quick.measured_replicas < full.measured_replicas

    def cost(s: Settings) -> int:
        free = (s.pilot_replicas + s.replicas) * s.horizon
        return free + len(s.factors) * s.measured_replicas * s.measured_steps

    assert cost(quick) < 0.25 * cost(full)
    assert quick.seed != full.seed


def test_full_settings_keep_their_promises() -> None:
    full = Settings()
    assert full.noise_rate == 0.4 and full.replicas >= 200 and full.measured_replicas >= 100
    assert len(full.factors) >= 3 and 1.0 in full.factors
    assert full.train + full.validation + full.test == 1797


@pytest.mark.parametrize("horizon", [5, 20, 59, 60, 250, 800])
def test_ages_rise_from_zero_to_the_horizon(horizon: int) -> None:
    found = ages(horizon)
    assert found[0] == 0 and found[-1] == horizon and np.all(np.diff(found) > 0)


# The target ---------------------------------------------------------------------------------------


def test_target_is_above_the_checkpoint_and_missed_by_half_of_the_pilot(
    unbroken: Any, small: Settings
) -> None:
    with Store(unbroken.folder, plan(unbroken.folder)) as store:
        pilot, reference = store.get("pilot"), store.get("reference")
    assert pilot is not None and reference is not None
    target = unbroken.result.prediction.target
    assert target > reference.record["checkpoint_validation_accuracy"]
    best = pilot.arrays["validation"].max(axis=1)
    assert 0 < (best >= target).mean() <= small.target_share
    below = np.unique(pilot.arrays["validation"])
    lower = below[(below < target) & (below > reference.record["checkpoint_validation_accuracy"])]
    assert all((best >= level).mean() > small.target_share for level in lower)


def test_target_of_a_known_pilot(experiment: DigitsExperiment) -> None:
    best = np.array([0.5, 0.6, 0.6, 0.7])
    pilot = {"validation": np.stack([best - 0.1, best, best - 0.2], axis=1)}
    assert experiment.target(pilot, 0.4) == 0.7  # 0.6 is reached by three in four
    best[1] = 0.55
    pilot = {"validation": np.stack([best - 0.2, best], axis=1)}
    assert experiment.target(pilot, 0.4) == 0.6
    assert experiment.target(pilot, 0.65) == 0.7


@pytest.mark.parametrize("above", [0.7, 0.9])
def test_an_impossible_target_is_said(experiment: DigitsExperiment, above: float) -> None:
    pilot = {"validation": np.tile([0.5, 0.7], (4, 1))}
    with pytest.raises(NotConverged, match=rf"target: no level above .*{above:.4f}") as error:
        experiment.target(pilot, above)
    one_line(error)


def test_a_target_that_all_reach_is_impossible(experiment: DigitsExperiment) -> None:
    with pytest.raises(NotConverged, match="no more than 50%"):
        experiment.target({"validation": np.tile([0.5, 0.7], (4, 1))}, 0.1)
