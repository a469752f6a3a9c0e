"""The line that shows progress, on a terminal and elsewhere; time is set by hand."""

from __future__ import annotations

import io

import pytest

import resetsgd as rs
from resetsgd.montecarlo import bar as module


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_the_time_left_is_that_of_the_pace(clock: list[float]) -> None:
    file = io.StringIO()
    bar = rs.ProgressBar(file)
    for seconds, done in ((0.0, 0), (1.0, 50), (20.0, 1000), (60.0, 3000), (200.0, 10_000)):
        clock[0] = 100.0 + seconds
        bar(done, 10_000)
    assert file.getvalue().splitlines() == [
        "0 of 10,000 (0 %)",  # the call after a second is too soon for another line
        "1,000 of 10,000 (10 %), 3 min 00 s left",
        "3,000 of 10,000 (30 %), 2 min 20 s left",
        "10,000 of 10,000 (100 %)",
    ]


def test_on_a_terminal_the_line_is_overwritten(clock: list[float]) -> None:
    file = Terminal()
    bar = rs.ProgressBar(file)
    for seconds, done in ((0.0, 0), (0.1, 1), (1.0, 5), (2.0, 10)):
        clock[0] = 100.0 + seconds
        bar(done, 10)
    shown = file.getvalue()
    assert shown.count("\n") == 1
    assert shown.endswith("\n")
    assert [part.split("] ")[1].split("\x1b")[0] for part in shown.split("\r")[1:]] == [
        "0 of 10 (0 %)", "5 of 10 (50 %), 1 s left", "10 of 10 (100 %)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"), [(4, "4 s"), (61, "1 min 01 s"), (7320, "2 h 02 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert module._duration(seconds) == text


def test_a_bar_serves_one_run_after_the_other(clock: list[float]) -> None:
    file = io.StringIO()
    bar = rs.ProgressBar(file)
    walk = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
    free = rs.simulate(walk, 1.0, 0.0, paths=500, seed=1)
    for _ in range(2):
        told = rs.simulate(walk, 1.0, 0.0, paths=500, seed=1, progress=bar)
        assert (told.times == free.times).all()
    clock[0] += 5.0
    bar(100, 200)
    clock[0] += 50.0
    bar(150, 200)
    lines = file.getvalue().splitlines()
    assert lines.count("500 of 500 (100 %)") == 2
    assert lines[-2:] == ["100 of 200 (50 %)", "150 of 200 (75 %), 50 s left"]
