"""The site builds without a warning, shows every study, and needs no network to be read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(out / "doctrees"), "docs", str(out / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


def test_the_site_builds_without_a_warning(site: Path) -> None:
    assert (site / "index.html").exists()


def test_every_study_has_its_page_with_its_verdict(site: Path) -> None:
    for room in ("theory", "simulations", "validation"):
        for study in (ROOT / room).glob("[0-9][0-9]_*.py"):
            page = site / "studies" / "generated" / f"{room}-{study.stem}.html"
            assert re.search(r"verdict-(holds|fails|underpowered)", page.read_text()), page.name


def test_no_page_loads_anything_from_the_network(site: Path) -> None:
    loads = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]*")
    pages = list(site.rglob("*.html"))
    found = {page.name: loads.findall(page.read_text()) for page in pages}
    assert {name: urls for name, urls in found.items() if urls} == {}
