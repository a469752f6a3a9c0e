"""Rules that hold for every file of the package: size, docstrings, banned calls, import arrows."""

from __future__ import annotations

import ast
import importlib
import inspect
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from numpydoc.validate import validate

import resetsgd

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "resetsgd").rglob("*.py"))
NAMES = [file.relative_to(ROOT).as_posix() for file in FILES]


def module_name(file: Path) -> str:
    """``resetsgd/a/b.py`` as ``resetsgd.a.b``."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# --- size -----------------------------------------------------------------------------------------


def test_files_stay_small() -> None:
    lines = {name: len((ROOT / name).read_text().splitlines()) for name in NAMES}
    assert {name: n for name, n in lines.items() if n > 600} == {}
    large = [name for name, n in lines.items() if n > 400]
    assert len(large) <= 0.1 * len(lines), large


# --- what the package must never do ---------------------------------------------------------------

#: Modules and calls through which data could become code.
BANNED_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
BANNED_CALLS = {
    "eval", "exec", "torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system",
    "parse_expr", "sympy.parse_expr", "lambdify", "sympy.lambdify", "pandas.read_pickle",
}  # fmt: skip


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of a name or attribute, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (head := dotted(node.value)):
        return f"{head}.{node.attr}"
    return ""


def offences(source: str) -> Iterator[str]:
    """Each place of a source text that could run data as code or hide a NaN."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found = {alias.name.partition(".")[0] for alias in node.names} & BANNED_IMPORTS
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found = {module.partition(".")[0]} & BANNED_IMPORTS
            found |= {f"{module}.{alias.name}" for alias in node.names} & BANNED_CALLS
        elif isinstance(node, ast.Call):
            found = {dotted(node.func)} & BANNED_CALLS
            for keyword in node.keywords:
                given = ast.unparse(keyword.value)
                if keyword.arg in ("allow_pickle", "shell") and given != "False":
                    found.add(f"{keyword.arg}={given}")
                if keyword.arg == "weights_only" and given != "True":
                    found.add(f"weights_only={given}")
                if keyword.arg == "fastmath" and (
                    given == "True" or "nnan" in given or "ninf" in given or "fast" in given
                ):
                    found.add(f"fastmath={given}")
        else:
            continue
        yield from (f"line {node.lineno}: {what}" for what in sorted(found))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_runs_data_as_code(name: str) -> None:
    assert list(offences((ROOT / name).read_text())) == []


@pytest.mark.parametrize(
    "planted",
    [
        "import pickle",
        "from pickle import loads",
        "from torch import load",
        "eval('1')",
        "exec(text)",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "yaml.load(text)",
        "sympy.lambdify(x, y)",
        "subprocess.run(text, shell=True)",
        "numba.njit(fastmath=True)",
        "numba.njit(fastmath={'nnan'})",
    ],
)
def test_the_ban_sees_what_is_planted(planted: str) -> None:
    assert list(offences(planted))


# --- docstrings -----------------------------------------------------------------------------------


def public(file: Path) -> list[str]:
    """Full names of what a module says is public and defines itself."""
    module = importlib.import_module(module_name(file))
    return [
        f"{module.__name__}.{name}"
        for name in getattr(module, "__all__", ())
        if getattr(getattr(module, name), "__module__", None) == module.__name__
    ]


@pytest.mark.parametrize("name", NAMES)
def test_public_names_are_documented(name: str) -> None:
    module = importlib.import_module(module_name(ROOT / name))
    assert module.__doc__, "the module says nothing about itself"
    for full in public(ROOT / name):
        thing = getattr(module, full.rpartition(".")[2])
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        assert inspect.getdoc(thing), full
        if not inspect.isclass(thing):
            continue
        for method, member in vars(thing).items():
            if not method.startswith("_") and (callable(member) or isinstance(member, property)):
                # getdoc also finds the docstring of the method that is overridden
                assert inspect.getdoc(getattr(thing, method)), f"{full}.{method}"


#: numpydoc's rules for what users call first. GL08 no docstring, PR01 parameters missing,
#: PR02 unknown parameters, PR03 wrong order, PR10 "name :" malformed, EX01 no example.
RULES = {"GL08", "PR01", "PR02", "PR03", "PR10", "EX01"}


def made_by_users() -> list[str]:
    """Top-level names that users call: no errors, no base classes, no results.

    A result is a class that lists ``Attributes``: what one reads off it, not how it is made.
    """
    names = []
    for name in resetsgd.__all__:
        thing = getattr(resetsgd, name)
        if inspect.isclass(thing):
            derived = any(
                other is not thing and inspect.isclass(other) and issubclass(other, thing)
                for other in (getattr(resetsgd, n) for n in resetsgd.__all__)
            )
            is_result = "Attributes\n---" in (inspect.getdoc(thing) or "")
            if derived or is_result or issubclass(thing, BaseException):
                continue
        names.append(name)
    return names


def test_users_make_processes_protocols_and_passage_times() -> None:
    """The list that the next two tests walk is not empty by mistake."""
    assert {"DriftDiffusion", "Poisson", "first_passage", "observed"} <= set(made_by_users())


@pytest.mark.parametrize("name", made_by_users())
def test_what_users_call_says_parameters_and_shows_an_example(name: str) -> None:
    thing = getattr(resetsgd, name)
    found = validate(f"{thing.__module__}.{thing.__qualname__}")["errors"]
    assert [f"{code}: {text}" for code, text in found if code in RULES] == []


@pytest.mark.parametrize("name", made_by_users())
def test_what_users_call_says_what_it_raises(name: str) -> None:
    thing = getattr(resetsgd, name)
    source = inspect.getsource(thing)
    if "domain." in source or "DomainError" in source:
        assert "Raises\n---" in (inspect.getdoc(thing) or ""), "it can raise and does not say so"


# --- import arrows --------------------------------------------------------------------------------


def contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    """The import contracts of the tree in this folder."""
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from importlinter.cli import lint_imports_command\n"
        "lint_imports_command(['--no-cache', '--no-logo'])"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def test_import_contracts_are_kept() -> None:
    kept = contracts(ROOT)
    assert kept.returncode == 0, kept.stdout + kept.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("montecarlo/kernels/__init__.py", "import sympy", "Kernels see numpy, numba and math"),
        ("errors.py", "import resetsgd.campaign.study", "Arrows point one way"),
        ("protocols.py", "import resetsgd.processes", "A protocol never knows a process"),
        ("passage/__init__.py", "import torch", "see torch"),
    ],
)
def test_a_planted_import_breaks_its_contract(
    tmp_path: Path, file: str, line: str, contract: str
) -> None:
    shutil.copytree(
        ROOT / "resetsgd", tmp_path / "resetsgd", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "resetsgd" / file).open("a") as stream:
        stream.write(f"\n{line}\n")
    broken = contracts(tmp_path)
    assert broken.returncode == 1, broken.stdout + broken.stderr
    rows = [row for row in broken.stdout.splitlines() if contract in row and "BROKEN" in row]
    assert rows, broken.stdout
