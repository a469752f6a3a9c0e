"""The command line: what it prints, what it writes, and how it answers wrong input."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import resetsgd as rs
import resetsgd.campaign
from resetsgd import cli

RATE = ["rate", "--drift", "-0.5", "--diffusivity", "1", "--start", "1", "--target", "0"]
Capture = pytest.CaptureFixture[str]


def spawn(*arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    settings = {"stdout": subprocess.PIPE, **settings}
    return subprocess.run(
        [sys.executable, *arguments], stderr=subprocess.PIPE, text=True, check=False, **settings
    )


def answer(*options: str, capsys: Capture) -> dict[str, Any]:
    """What ``rate --json`` prints, read strictly."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    assert cli.run(["rate", *options, "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    found: dict[str, Any] = json.loads(printed.out, parse_constant=refuse)
    return found


# rate --------------------------------------------------------------------------------------------


def test_json_is_what_the_library_says(capsys: Capture) -> None:
    found = answer(*RATE[1:], capsys=capsys)
    T = rs.first_passage(rs.DriftDiffusion(drift=-0.5, diffusivity=1.0), start=1.0, target=0.0)
    poisson, sharp = T.best(rs.Poisson), T.best(rs.Sharp)
    assert found == {
        "inputs": {"drift": -0.5, "diffusivity": 1.0, "start": 1.0, "target": 0.0},
        "mean": T.mean(),
        "std": T.std(),
        "cv": T.cv(),
        "peclet": T.peclet,
        "pays": True,
        "reason": poisson.reason,
        "rate": poisson.rate,
        "mean_at_rate": poisson.mean,
        "speedup": poisson.speedup,
        "sharp": {
            "pays": True,
            "reason": sharp.reason,
            "period": sharp.period,
            "mean_at_period": sharp.mean,
            "speedup": sharp.speedup,
        },
    }
    assert found["mean_at_rate"] < found["mean"]


def test_json_says_infinity_as_a_string(capsys: Capture) -> None:
    free = answer("--drift", "0", "--diffusivity", "1", "--start", "1", capsys=capsys)
    assert [free[key] for key in ("mean", "std", "cv", "speedup")] == ["inf"] * 4
    fast = answer("--drift", "-9", "--diffusivity", "1", "--start", "1", capsys=capsys)
    assert not fast["pays"] and fast["rate"] == 0.0 and fast["speedup"] == 1.0
    assert fast["sharp"]["period"] == "inf"


def test_means_beyond_float64_print_as_such(capsys: Capture) -> None:
    away = ["--drift", "1e4", "--diffusivity", "1", "--start", "1"]
    found = answer(*away, capsys=capsys)
    assert found["mean"] == found["mean_at_rate"] == "inf"
    assert cli.run(["rate", *away, "--plot", "mean.png"]) == 2
    assert_one_line(capsys, "finite in float64")


@pytest.mark.parametrize(
    ("drift", "diffusivity", "start"),
    [("1e308", "1e-308", "-1e308"), ("-1e-300", "1e300", "1e-300"), ("-1e308", "1e308", "1e-308")],
)
def test_the_edge_of_float64_gives_no_warning(
    drift: str, diffusivity: str, start: str, capsys: Capture
) -> None:
    code = cli.run(["rate", "--drift", drift, "--diffusivity", diffusivity, "--start", start])
    if code:
        assert_one_line(capsys)
    else:
        assert capsys.readouterr().err == ""


def test_the_table_is_plain_and_aligned(capsys: Capture) -> None:
    assert cli.run(RATE) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    rows = [line for line in printed.splitlines() if line]
    column = rows[0].index("drift -0.5")
    assert all(row[column - 2 : column] == "  " and row[column] != " " for row in rows)
    shown = {row[:column].strip(): row[column:] for row in rows}
    assert shown["mean without resetting"] == "2"
    assert shown["Péclet number"] == "0.25"
    assert shown["resetting pays, Poisson"] == "yes: CV 2 > 1"
    assert shown["best rate"] == "1.97654"


def test_the_table_says_infinite_and_why_not(capsys: Capture) -> None:
    assert cli.run(["rate", "--drift", "0", "--diffusivity", "1", "--start", "1"]) == 0
    assert "mean without resetting    infinite" in capsys.readouterr().out
    assert cli.run(["rate", "--drift", "-9", "--diffusivity", "1", "--start", "1"]) == 0
    printed = capsys.readouterr().out
    assert "no: CV" in printed and "best rate" not in printed


@pytest.mark.parametrize(
    ("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_plot_writes_the_format_its_suffix_names(
    suffix: str, magic: bytes, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / f"mean.{suffix}"
    assert cli.run([*RATE, "--plot", str(file)]) == 0
    assert file.read_bytes().startswith(magic)
    assert capsys.readouterr().out.endswith(f"plot: {file}\n")
    first = file.read_bytes()
    assert cli.run([*RATE, "--plot", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pays"]
    assert file.read_bytes() == first


# demo --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["holds", "fails", "underpowered"])
def test_demo_prints_its_verdict_and_exits_with_0(
    status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    seen = []

    def run(out: Path, quick: bool = False, console: object = None) -> SimpleNamespace:
        seen.append((out, quick))
        return SimpleNamespace(status=status, sentence="It did.", report=out / "report.html")

    monkeypatch.setattr(resetsgd.campaign, "demo", SimpleNamespace(run=run), raising=False)
    monkeypatch.chdir(tmp_path)
    assert cli.run(["demo"]) == 0
    assert cli.run(["demo", "--quick", "--out", "deep/er"]) == 0
    assert seen == [(Path("resetsgd-demo"), False), (Path("deep/er"), True)]
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"{status}: It did.", "report: resetsgd-demo/report.html"]


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (rs.CorruptData("store.json is\ndamaged"), "store.json is damaged"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (ModuleNotFoundError("no", name="sklearn.datasets"), "pip install 'resetsgd[data]'"),
        (ModuleNotFoundError("no", name="torch"), "pip install 'resetsgd[torch]'"),
    ],
)
def test_demo_tells_what_stopped_it_in_one_line(
    raised: Exception, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def run(out: Path, quick: bool = False, console: object = None) -> None:
        raise raised

    monkeypatch.setattr(resetsgd.campaign, "demo", SimpleNamespace(run=run), raising=False)
    assert cli.run(["demo", "--out", str(tmp_path)]) == 2
    assert_one_line(capsys, said)


def test_a_defect_of_ours_is_not_disguised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(out: Path, quick: bool = False, console: object = None) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(resetsgd.campaign, "demo", SimpleNamespace(run=run), raising=False)
    with pytest.raises(ZeroDivisionError):
        cli.run(["demo", "--out", str(tmp_path)])


# Wrong input -------------------------------------------------------------------------------------


def assert_one_line(capsys: Capture, *parts: str) -> None:
    """Nothing was printed but one error line, with these parts in it."""
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("resetsgd: error: ")
    assert printed.err.count("\n") == 1 and printed.err.endswith("\n")
    for part in parts:
        assert part in printed.err


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (["--diffusivity", "-1"], ["--diffusivity = -1.0", "positive"]),
        (["--diffusivity", "0"], ["--diffusivity = 0.0", "positive"]),
        (["--drift", "nan"], ["--drift = 'nan'", "a real number"]),
        (["--drift", "fast"], ["--drift = 'fast'", "a real number"]),
        (["--drift", "inf"], ["--drift = inf", "finite"]),
        (["--start", ""], ["--start = ''", "a real number"]),
        (["--start", "0"], ["--start = 0.0", "different from the target"]),
        (["--target", "1"], ["--start = 1.0", "different from the target 1.0"]),
        (["--target", "1\n2"], ["--target", "a real number"]),
        (["--rate", "1"], ["unknown option --rate", "--drift", "--plot"]),
        (["-x"], ["unknown option -x"]),
        (["more"], ["more"]),
        (["--target"], ["--target"]),
        (["--json=yes"], ["--json"]),
        (["--plot", "mean.gif"], ["--plot = 'mean.gif'", ".png, .svg, .pdf"]),
        (["--plot", "mean"], ["--plot = 'mean'", ".png, .svg, .pdf"]),
        (["--plot", "no/such/mean.png"], ["--plot = 'no/such/mean.png'", "writable"]),
        (["--plot", "/dev/null/mean.png"], ["--plot = '/dev/null/mean.png'", "writable"]),
        (["--plot", "folder.png"], ["--plot = 'folder.png'", "writable"]),
        (["--plot", "/proc/mean.png"], ["--plot = '/proc/mean.png'", "writable"]),
    ],
)
def test_wrong_options_of_rate_give_one_line(
    change: list[str],
    parts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.png").mkdir()
    assert cli.run([*RATE, *change]) == 2
    assert_one_line(capsys, *parts)


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["rate"], ["option --drift is missing", "--drift NUMBER"]),
        (["rates"], ["rates", "rate, demo"]),
        (["--quiet"], ["unknown option --quiet", "--version"]),
        (["demo", "--out"], ["--out"]),
        (["demo", "--fast"], ["unknown option --fast", "--quick"]),
        (["demo", "--out", "/dev/null/x"], ["--out = '/dev/null/x'", "a writable folder"]),
        (["demo", "--out", "/proc/x"], ["--out = '/proc/x'", "a writable folder"]),
        (["demo", "--out", __file__], [f"--out = {__file__!r}", "a writable folder"]),
    ],
)
def test_other_wrong_input_gives_one_line(
    argv: list[str], parts: list[str], capsys: Capture
) -> None:
    assert cli.run(argv) == 2
    assert_one_line(capsys, *parts)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_only_others_may_write_gives_one_line(
    tmp_path: Path, capsys: Capture
) -> None:
    tmp_path.chmod(0o500)
    assert cli.run(["demo", "--out", str(tmp_path)]) == 2
    assert_one_line(capsys, "a writable folder")
    assert cli.run([*RATE, "--plot", str(tmp_path / "mean.png")]) == 2
    assert_one_line(capsys, "writable")


def test_main_exits_with_the_code(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["rate"])
    assert stop.value.code == 2
    monkeypatch.setattr("sys.argv", ["resetsgd", "--version"])
    cli.main()
    assert capsys.readouterr().out == f"resetsgd {rs.__version__}\n"


# Help and processes ------------------------------------------------------------------------------


def test_help_names_the_commands_and_their_options(capsys: Capture) -> None:
    assert cli.run(["--help"]) == 0
    printed = capsys.readouterr().out
    assert "rate" in printed and "demo" in printed and "--version" in printed
    assert cli.run([]) == 0
    assert capsys.readouterr().out == printed
    for command, options in (
        ("rate", ["--drift", "--json", "--plot"]),
        ("demo", ["--out", "--quick"]),
    ):
        assert cli.run([command, "--help"]) == 0
        printed = capsys.readouterr().out
        assert all(option in printed for option in options)


def test_the_module_and_the_script_are_the_same_command() -> None:
    script = Path(sys.executable).with_name("resetsgd")
    done = [spawn("-m", "resetsgd", "--version")]
    if script.exists():
        done.append(spawn(str(script), "--version"))
    for each in done:
        assert (each.returncode, each.stdout) == (0, f"resetsgd {rs.__version__}\n"), each.stderr


def test_a_wrong_value_in_a_process_of_its_own() -> None:
    done = spawn("-m", "resetsgd", *RATE, "--diffusivity", "-1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("resetsgd: error: --diffusivity = -1.0: must be positive and finite\n")


def test_starting_up_loads_nothing_heavy() -> None:
    heavy = {"torch", "numba", "sympy", "matplotlib", "scipy", "sklearn"}
    done = spawn("-c", "import sys, resetsgd.cli as c; c.run(['--help']); print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert not heavy & set(done.stdout.split())


def test_a_terminal_without_accents_gets_its_numbers() -> None:
    done = spawn("-m", "resetsgd", *RATE, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.25" in done.stdout


def test_ctrl_c_is_one_line_and_130(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time, types\n"
        "import resetsgd.campaign\n"
        "from resetsgd.cli import main\n"
        "def run(out, quick=False, console=None):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(20)\n"
        "resetsgd.campaign.demo = types.SimpleNamespace(run=run)\n"
        f"main(['demo', '--out', {str(tmp_path)!r}])\n"
    )
    done = spawn("-c", code)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == ("resetsgd: interrupted: the same command continues where it stopped\n")


def test_a_closed_pipe_is_quiet() -> None:
    read, write = os.pipe()
    os.close(read)
    done = spawn("-m", "resetsgd", *RATE, stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = spawn("-m", "resetsgd", *RATE, stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("resetsgd: error: standard output cannot be written (")
    assert done.stderr.count("\n") == 1
