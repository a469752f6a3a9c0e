"""What the documents show is what happens: their code runs, and prints what they say it prints.

Every ```` ```python ```` block of these pages runs, in order and in one
namespace; one that starts with ``>>>`` must print what is shown. Every ``$ resetsgd ...`` line of a
```` ```console ```` block runs too and must print what stands below it, ``...`` matching anything.
A block after ``<!-- not run -->`` or ``% not run`` is left out.
"""

from __future__ import annotations

import doctest
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "README.md",
    "docs/quickstart.md",
    "docs/training.md",
    "docs/noisy_labels.md",
    "docs/methods.md",
    "docs/diagnostics.md",
]
BLOCK = re.compile(
    r"(?P<skip>(?:<!-- not run -->|% not run)\s*\n)?"
    r"^```(?P<kind>python|console)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page: str, kind: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each block of this kind that is to be run."""
    text = (ROOT / page).read_text() if (ROOT / page).exists() else ""
    for found in BLOCK.finditer(text):
        if found["kind"] == kind and not found["skip"]:
            yield text.count("\n", 0, found.start("text")) + 1, found["text"]


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {"__name__": "__main__"}
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=FLAGS)
    for line, text in blocks(page, "python"):
        if text.lstrip().startswith(">>>"):
            shown: list[str] = []
            case = parser.get_doctest(text, space, page, page, line - 1)
            runner.run(case, out=shown.append, clear_globs=False)
            space.update(case.globs)
            assert not shown, "".join(shown)
        else:
            exec(compile("\n" * (line - 1) + text, page, "exec"), space)


def commands(page: str) -> list[tuple[str, str]]:
    """Each ``$ resetsgd ...`` line with the output shown below it."""
    found = []
    for _, text in blocks(page, "console"):
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command.startswith("resetsgd "):
                found.append((command, output))
    return found


@pytest.mark.parametrize(("command", "output"), [pair for page in PAGES for pair in commands(page)])
def test_commands_print_what_is_shown(
    command: str,
    output: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from resetsgd.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", shlex.split(command))
    monkeypatch.setenv("COLUMNS", "100")
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, capsys.readouterr().err
    printed = capsys.readouterr().out
    if output.strip():
        assert doctest.OutputChecker().check_output(output, printed, FLAGS), printed


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md", "docs/guarantees.md"])
def test_paths_that_a_page_names_exist(page: str) -> None:
    text = (ROOT / page).read_text() if (ROOT / page).exists() else ""
    rooms = r"(?:resetsgd|theory|simulations|validation|tests|docs|benchmarks)"
    named = set(re.findall(rf"`({rooms}/[\w./-]*)`", text))
    assert {path for path in named if "NN_" not in path and not (ROOT / path).exists()} == set()
