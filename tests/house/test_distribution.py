"""What is shipped: metadata, extras, pins, the citation file, the contents of wheel and sdist."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import resetsgd

ROOT = Path(__file__).resolve().parents[2]
REQUIRES = [Requirement(line) for line in metadata.requires("resetsgd") or []]


def needs(*extras: str) -> set[str]:
    """Canonical names of what an installation with these extras requires directly."""
    wanted = ({"extra": extra} for extra in ("", *extras))
    return {
        canonicalize_name(requirement.name)
        for environment in wanted
        for requirement in REQUIRES
        if requirement.marker is None or requirement.marker.evaluate(environment)
    }


def test_the_base_installation_is_exactly_what_the_design_lists() -> None:
    assert needs() == {
        "numpy", "scipy", "numba", "sympy", "matplotlib", "msgspec", "typer", "rich",
    }  # fmt: skip


def test_torch_comes_only_with_its_extra() -> None:
    extras = metadata.metadata("resetsgd").get_all("Provides-Extra") or []
    assert {"torch", "data", "cluster", "docs", "test", "all"} <= set(extras)
    bringing = {extra for extra in extras if {"torch", "safetensors"} & needs(extra)}
    assert bringing <= {"torch", "all", "integrations"}


def test_everything_installed_by_the_extras_is_pinned() -> None:
    """Walk what `.[all]` requires, as installed; each package has one pin and is at it."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    exact = {canonicalize_name(pin.name): str(pin.specifier) for pin in pins}
    assert len(exact) == len(pins), "a package is pinned twice"
    assert all(re.fullmatch(r"==[^*]+", specifier) for specifier in exact.values())
    here = {canonicalize_name(d.name): d.version for d in metadata.distributions()}
    if any(
        Version(here.get(name, "0")) not in Requirement(name + exact[name]).specifier
        for name in exact
    ):
        pytest.skip("this environment was not installed with constraints.txt")

    seen: set[tuple[str, str]] = set()
    todo = [("resetsgd", extra) for extra in ("", "all")]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(needed.name), e) for e in ("", *needed.extras)]
    reached = {name for name, _ in seen} - {"resetsgd"}
    assert reached - set(exact) == set(), "installed without a pin"
    assert set(exact) - reached == set(), "pinned but not installed by any extra"


@pytest.mark.parametrize("word", ["torch", "numpy", "numba"])
def test_pins_lie_within_the_ranges_we_state(word: str) -> None:
    for requirement in REQUIRES:
        if canonicalize_name(requirement.name) == word:
            assert metadata.version(word) in requirement.specifier


def test_the_citation_file_is_valid_and_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "version", "license"} <= set(citation)
    assert citation["type"] == "software"
    ours, cited = Version(resetsgd.__version__), Version(str(citation["version"]))
    assert cited.base_version == ours.base_version
    (paper,) = (r for r in citation["references"] if r["type"] == "article")
    assert [author["family-names"] for author in paper["authors"]] == ["Bae", "Song", "Jeong"]
    assert (paper["year"], paper["volume"], paper["start"]) == (2025, 6, "015062")


def test_the_changelog_has_a_place_for_what_is_new() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of this tree, built without network."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"resetsgd"}
    code = {name for name in names if name.startswith("resetsgd/")}
    ours = {p.relative_to(ROOT).as_posix() for p in (ROOT / "resetsgd").rglob("*.py")}
    assert ours <= code
    assert "resetsgd/py.typed" in code
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_sdist_holds_what_a_packager_needs(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "constraints.txt", "Makefile", "CITATION.cff", "LICENSE"}
    assert wanted <= names
    assert {name.partition("/")[0] for name in names} >= {"theory", "simulations", "tests", "docs"}
    assert not any("__pycache__" in name or "_build" in name for name in names)


def test_the_project_table_and_the_installed_metadata_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {canonicalize_name(Requirement(d).name) for d in project["dependencies"]} == needs()
    assert metadata.version("resetsgd") == resetsgd.__version__
