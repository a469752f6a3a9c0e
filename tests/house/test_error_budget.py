"""The error budget is enforced: an undeclared or overspent statistical test stops collection."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = "import pytest\n"
TEST = "def test_one():\n    assert True\n"


def collect(tmp_path: Path, root: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Collect one test file under our conftest, in a process of its own."""
    shutil.copy(root / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(HEAD + body + TEST)
    settings = "[pytest]\nmarkers =\n    statistical\n"
    (tmp_path / "pytest.ini").write_text(settings)
    command = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", "."]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


def test_a_declared_share_is_accepted_and_reported(tmp_path: Path, root: Path) -> None:
    found = collect(tmp_path, root, "@pytest.mark.statistical(alpha=1e-8)\n")
    assert found.returncode == 0, found.stderr
    assert "statistical error budget: 1e-08 of 1e-06 declared" in found.stdout


@pytest.mark.parametrize(
    "mark",
    ["statistical", "statistical()", "statistical(1e-8)", "statistical(alpha=0.05)"],
)
def test_an_undeclared_share_stops_collection(tmp_path: Path, root: Path, mark: str) -> None:
    found = collect(tmp_path, root, f"@pytest.mark.{mark}\n")
    assert found.returncode != 0
    assert "test_it.py::test_one" in found.stderr
    assert "must declare their share" in found.stderr


def test_an_overspent_budget_stops_collection(tmp_path: Path, root: Path) -> None:
    marks = (
        "@pytest.mark.parametrize('n', range(3))\n"
        "@pytest.mark.statistical(alpha=5e-7)\n"
        "def test_many(n):\n    assert n >= 0\n\n"
    )
    found = collect(tmp_path, root, marks)
    assert found.returncode != 0
    assert "3 statistical tests declare 1.5e-06 together" in found.stderr


TESTS = sorted((Path(__file__).resolve().parents[1]).rglob("test_*.py"))


def statistical(source: str) -> list[ast.FunctionDef]:
    """The tests of a source text that carry the mark, by themselves or through their module."""
    tree = ast.parse(source)
    whole = any(
        isinstance(node, ast.Assign) and "mark.statistical" in ast.unparse(node)
        for node in tree.body
    )
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        and (whole or any("mark.statistical" in ast.unparse(d) for d in node.decorator_list))
    ]


def rejects(test: ast.FunctionDef) -> bool:
    """Whether a test also asserts that something is *not* accepted: its wrong-model twin."""
    return any(
        (isinstance(node, ast.Assert) and "not " in ast.unparse(node.test))
        or (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("rejects"))
        for node in ast.walk(test)
    )


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.parent.name + "/" + file.name)
def test_statistical_tests_have_a_twin_that_must_be_rejected(file: Path) -> None:
    """The twin stands in the test itself, or is a test of its own that says so in its name."""
    source = file.read_text()
    twins = [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and re.search("twin|wrong|rejected|refuse", node.name)
    ]
    without = [test.name for test in statistical(source) if not rejects(test)]
    assert not without or twins, without
