"""Studies: a verdict, its record, its figure, its exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from resetsgd.campaign.study import Status, Study, Verdict
from resetsgd.errors import DomainError, OutputError


def found(status: Status = "holds", *, figure: bool = False, value: float = 1.5) -> Verdict:
    drawn = None
    if figure:
        from matplotlib.figure import Figure

        drawn = Figure(figsize=(2, 2))
        drawn.add_subplot().plot([1, 2])
    return Verdict(status, "one is one", {"value": value}, drawn)


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(DomainError, match="status = 'perhaps': must be 'holds', 'fails' or"):
        Verdict("perhaps", "who knows")  # type: ignore[arg-type]


@pytest.mark.parametrize("quick", [True, False])
def test_run_writes_record_and_figure(tmp_path: Path, quick: bool) -> None:
    asked: list[bool] = []

    def main(quick: bool) -> Verdict:
        asked.append(quick)
        return found(figure=True)

    verdict = Study("/somewhere/07_claim.py", main).run(quick=quick, out=tmp_path / "a" / "b")
    assert verdict.status == "holds" and asked == [quick]
    record = json.loads((tmp_path / "a" / "b" / "07_claim.json").read_text())
    assert record.pop("seconds") >= 0
    assert record == {
        "study": "07_claim",
        "mode": "quick" if quick else "full",
        "status": "holds",
        "sentence": "one is one",
        "numbers": {"value": 1.5},
    }
    assert (tmp_path / "a" / "b" / "07_claim.png").read_bytes().startswith(b"\x89PNG")


def test_run_without_a_folder_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Study("07_claim.py", lambda quick: found()).run().sentence == "one is one"
    assert not list(tmp_path.iterdir())


def test_a_record_holds_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        Study("07_claim.py", lambda quick: found(value=float("nan"))).run(out=tmp_path)
    assert not (tmp_path / "07_claim.json").exists()


def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match=r"out = .*writable folder") as error:
        Study("07_claim.py", lambda quick: found()).run(out=tmp_path / "out")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("status", "code"), [("holds", 0), ("fails", 1), ("underpowered", 1)])
def test_command_exits_by_the_verdict(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: Status,
    code: int,
) -> None:
    file = tmp_path / "07_claim.py"
    study = Study(file, lambda quick: found(status))
    monkeypatch.setattr(sys, "argv", [str(file), "--quick"])
    with pytest.raises(SystemExit) as ended:
        study.command()
    assert ended.value.code == code
    assert capsys.readouterr().out == f"{status}: one is one\n"
    assert not list(tmp_path.iterdir())  # a quick run writes only where it is told to
    monkeypatch.setattr(sys, "argv", [str(file)])
    with pytest.raises(SystemExit):
        study.command()
    assert [p.name for p in (tmp_path / "expected").iterdir()] == ["07_claim.json"]
    monkeypatch.setattr(sys, "argv", [str(file), "--quick", "--out", str(tmp_path / "told")])
    with pytest.raises(SystemExit):
        study.command()
    assert json.loads((tmp_path / "told" / "07_claim.json").read_text())["mode"] == "quick"


def test_an_unknown_option_ends_with_code_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["07_claim.py", "--fast"])
    with pytest.raises(SystemExit) as ended:
        Study("07_claim.py", lambda quick: found()).command()
    assert ended.value.code == 2
    assert "--fast" in capsys.readouterr().err
