"""Every study runs in quick mode, ends in a verdict, and has a committed record of its full run."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("theory", "simulations", "validation")
STUDIES = [file for room in ROOMS for file in sorted((ROOT / room).glob("[0-9][0-9]_*.py"))]
WORDS = ("holds", "fails", "underpowered")
KEYS = {"study", "mode", "status", "sentence", "seconds", "numbers"}

each = pytest.mark.parametrize("study", STUDIES, ids=lambda p: p.relative_to(ROOT).as_posix())


def refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def record(file: Path) -> dict[str, Any]:
    """A study's JSON record, read strictly: NaN and infinities are refused."""
    found = json.loads(file.read_text(), parse_constant=refuse)
    assert set(found) == KEYS
    assert found["status"] in WORDS
    assert len(found["sentence"]) > 20
    assert isinstance(found["numbers"], dict) and found["numbers"]
    return dict(found)


def expected(study: Path) -> Path:
    return study.parent / "expected" / f"{study.stem}.json"


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_studies(room: str) -> None:
    assert any(study.parent.name == room for study in STUDIES)


@each
def test_docstring_states_claim_cost_and_reference(study: Path) -> None:
    text = ast.get_docstring(ast.parse(study.read_text())) or ""
    for word in ("claim", "cost", "reference"):
        assert re.search(rf"(?im)^\W*{word}s?\b", text), f"no line begins with {word}"


@each
def test_quick_run_ends_in_a_verdict(study: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", str(study), "--quick", "--out", tmp_path],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stdout.strip(), done.stderr
    last = done.stdout.strip().splitlines()[-1]
    word, colon, sentence = last.partition(": ")
    assert word in WORDS and colon and sentence, last
    assert done.returncode == (0 if word == "holds" else 1), done.stderr
    quick = record(tmp_path / f"{study.stem}.json")
    assert (quick["study"], quick["mode"], quick["status"]) == (study.stem, "quick", word)
    # A quick run may see too little; it must not see the opposite of what is on record.
    assert word in ("underpowered", record(expected(study))["status"]), last
    if (tmp_path / f"{study.stem}.png").exists():
        assert expected(study).with_suffix(".png").exists(), "the full run's figure is missing"


@each
def test_record_of_the_full_run_is_committed(study: Path) -> None:
    full = record(expected(study))
    assert (full["study"], full["mode"]) == (study.stem, "full")


def test_no_record_is_without_its_study() -> None:
    records = {file for room in ROOMS for file in (ROOT / room / "expected").glob("*.json")}
    assert records == {expected(study) for study in STUDIES}
