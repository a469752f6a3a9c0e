"""A demonstration killed at any moment and started again ends with the unbroken run's bytes."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from resetsgd.campaign.digits import Settings
from resetsgd.campaign.store import Store

RESULTS = ("prediction.json", "prediction.csv", "verdict.json", "verdict.csv")
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run(small: Settings) -> Iterator[Run]:
    """Starts a run in a process of its own; says whether it was killed and how long it took."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("killed_demo.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": ""},
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    settings = msgspec.to_builtins(small)

    def order(out: Path, **more: Any) -> dict[str, Any]:
        named = {"report": False, **more, "out": str(out), "settings": settings}
        process.stdin.write(json.dumps(named) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, "the process that starts the runs ended"
        return dict(json.loads(answer))

    yield order
    process.stdin.close()
    process.stdout.close()
    assert process.wait(timeout=60) == 0


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


def whole(folder: Path) -> None:
    """After a kill, no finished file is cut short."""
    for name in RESULTS[::2]:
        if (folder / name).exists():
            json.loads((folder / name).read_text())


def finish(run: Run, folder: Path, expected: dict[str, bytes]) -> None:
    assert not run(folder)["killed"]
    assert results(folder) == expected


@pytest.fixture(scope="module")
def expected(unbroken: Any) -> dict[str, bytes]:
    return results(unbroken.folder)


def test_another_process_ends_with_the_same_bytes(
    run: Run, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    finish(run, tmp_path / "out", expected)


def test_killed_between_all_stages(run: Run, tmp_path: Path, expected: dict[str, bytes]) -> None:
    """Before a stage is committed, and right after it, one after the other in the same folder."""
    kills = 0
    for call in itertools.cycle(["put", "after put"]):
        if not run(tmp_path, call=call, count=1)["killed"]:
            break
        kills += 1
        whole(tmp_path)
    assert kills == 2 * 6  # reference, pilot, free and three measured probabilities
    finish(run, tmp_path, expected)


@pytest.mark.parametrize(
    ("call", "counts"),
    [
        # noise (two files), prediction; once that is there: verdict.json, verdict.csv and
        # prediction.csv are the third to the fifth
        ("fsync", (1, 2, 3, 4, 4, 5)),
        ("replace", (1, 2, 3, 4, 4, 5)),
        ("after replace", (1, 2, 3, 3, 4, 5)),
    ],
)
def test_killed_while_a_file_is_written(
    run: Run, tmp_path: Path, expected: dict[str, bytes], call: str, counts: tuple[int, ...]
) -> None:
    for count in counts:
        assert run(tmp_path, call=call, count=count)["killed"]
        whole(tmp_path)
    finish(run, tmp_path, expected)


def test_killed_inside_every_stage(run: Run, tmp_path: Path, expected: dict[str, bytes]) -> None:
    """In the middle of the training steps of the stage that comes next, then past its end."""
    killed = [run(tmp_path, call="train_step", count=n)["killed"] for n in (125, 300, 400, 300)]
    assert killed == [True] * 4
    killed = [run(tmp_path, call="train_step", count=n)["killed"] for n in (80, 200, 200)]
    assert killed == [True] * 3
    finish(run, tmp_path, expected)


def test_killed_while_the_report_is_drawn(
    run: Run, tmp_path: Path, unbroken: Any, expected: dict[str, bytes]
) -> None:
    assert run(tmp_path, call="save", count=2, report=True)["killed"]
    assert not (tmp_path / "report.html").exists()
    assert not run(tmp_path, report=True)["killed"]
    assert results(tmp_path) == expected
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in unbroken.folder.iterdir()}


def test_killed_from_outside_at_times_spread_over_the_run(
    run: Run, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    seconds = run(tmp_path / "measured")["seconds"]
    kills = 0
    for part in (0.15, 0.2, 0.25, 0.3):  # each goes on where the one before was killed
        kills += run(tmp_path / "killed", seconds=part * seconds)["killed"]
    finish(run, tmp_path / "killed", expected)
    assert kills >= 2


def test_what_was_finished_is_not_computed_again(run: Run, tmp_path: Path) -> None:
    plan_of = "SELECT text FROM plan"
    assert run(tmp_path, call="after put", count=3)["killed"]
    import sqlite3

    database = sqlite3.connect(tmp_path / "store.sqlite")
    (plan,) = database.execute(plan_of).fetchone()
    database.close()
    with Store(tmp_path, plan) as store:
        kept = [store.get(name) for name in ("reference", "pilot", "free")]
    assert all(kept)
    # a run that has only measurements left takes 3 x 160 steps, not the 250 + 2 x 250 before
    assert not run(tmp_path, call="train_step", count=3 * 160 + 1)["killed"]
