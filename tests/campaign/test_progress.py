"""Progress: plain lines in a log, live bars on a terminal."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from resetsgd.campaign.progress import Progress


def test_plain_lines_without_a_terminal() -> None:
    file = io.StringIO()
    with Progress(Console(file=file, width=40)) as progress:
        with progress.stage("long work", 100) as advance:
            for _ in range(100):
                advance(1)
        progress.skip("earlier work")
        progress.say("[bold]" + "said " * 20)
    lines = file.getvalue().splitlines()
    assert "\x1b" not in file.getvalue()
    said = [re.sub(r"^\[ *\d+\.\d s\] ", "", line) for line in lines]
    assert said[:5] == [f"long work: {x}" for x in ("20 %", "40 %", "60 %", "80 %", "done")]
    assert said[5] == "earlier work: kept from the earlier run"
    assert said[6:] == [("[bold]" + "said " * 20)]


def test_one_unit_of_work_takes_one_line() -> None:
    file = io.StringIO()
    with Progress(Console(file=file)) as progress, progress.stage("report", 1) as advance:
        advance(1)
    assert len(file.getvalue().splitlines()) == 1


def test_live_bars_on_a_terminal() -> None:
    file = io.StringIO()
    console = Console(force_terminal=True, file=file, width=120, height=20)
    with Progress(console) as progress, progress.stage("long work", 10) as advance:
        advance(5)
        progress._bars.refresh()
    text = file.getvalue()
    assert "\x1b[" in text and "long work" in text
    assert "50%" in text and "100%" in text
    assert "long work: done" not in text  # the bar says it


def test_an_error_in_a_stage_passes_and_the_terminal_is_left_as_it_was() -> None:
    file = io.StringIO()
    console = Console(force_terminal=True, file=file)
    with (
        pytest.raises(ZeroDivisionError),
        Progress(console) as progress,
        progress.stage("work", 2),
    ):
        raise ZeroDivisionError
    assert file.getvalue().rfind("\x1b[?25h") > file.getvalue().rfind("\x1b[?25l")


def test_the_demonstration_logs_every_stage(unbroken: Any) -> None:
    for part in ("reference run", "pilot", "48 reset-free runs", "prediction", "report"):
        assert re.search(rf"s\] {part}.*: done", unbroken.log), part
    assert unbroken.log.count("24 runs with probability") >= 3
    assert unbroken.log.index("written to prediction.json") < unbroken.log.index("24 runs with")
