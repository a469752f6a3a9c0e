"""Each study as a page: claim, verdict on record, figure, the script itself, its numbers."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOMS = {
    "theory": "Derivations",
    "simulations": "Monte Carlo studies",
    "validation": "Training studies",
}
COLOURS = {"holds": "success", "fails": "danger", "underpowered": "warning"}


def indent(text: str, by: int = 3) -> str:
    return "\n".join((" " * by + line).rstrip() for line in text.splitlines())


def claim(study: Path) -> tuple[str, str, int]:
    """First line and the rest of a study's docstring, and the first line of code after it."""
    tree = ast.parse(study.read_text())
    text = ast.get_docstring(tree) or study.stem
    first, _, rest = text.partition("\n")
    return first.rstrip("."), rest.strip(), tree.body[1].lineno


def record(study: Path) -> dict[str, Any]:
    file = study.parent / "expected" / f"{study.stem}.json"
    return dict(json.loads(file.read_text())) if file.exists() else {}


def sentence(found: dict[str, Any]) -> str:
    text = str(found["sentence"]).rstrip(".")
    return text[:1].upper() + text[1:] + "."


def headline(rooms: dict[str, list[Path]]) -> str:
    """The figure of the start page: what the demo's study found, or else the first simulation."""
    for study in rooms["validation"] + rooms["simulations"]:
        found = record(study)
        if found and (study.parent / "expected" / f"{study.stem}.png").exists():
            name = f"{study.parent.name}-{study.stem}"
            lines = [
                f".. figure:: studies/generated/{name}.png",
                f"   :alt: {claim(study)[0]}",
                "   :class: study-figure",
                "",
                f"   {sentence(found)} :doc:`The study <studies/generated/{name}>`.",
            ]
            return "\n".join([*lines, ""])
    return ""


def page(study: Path, folder: Path) -> str:
    """The reStructuredText of a study, its figure copied beside it."""
    title, rest, code = claim(study)
    found = record(study)
    name = f"{study.parent.name}/{study.name}"
    lines = [title, "=" * len(title), ""]
    if found:
        status = found["status"]
        lines += [
            f".. admonition:: {status}",
            f"   :class: verdict verdict-{status}",
            "",
            indent(sentence(found)),
            "",
        ]
    lines += [rest, ""]
    figure = study.parent / "expected" / f"{study.stem}.png"
    if figure.exists():
        shutil.copy(figure, folder / f"{study.parent.name}-{figure.name}")
        lines += [
            f".. image:: {study.parent.name}-{figure.name}",
            f"   :alt: {title}",
            "   :class: study-figure",
            "",
        ]
    again = f"python {name}"
    lines += [
        "Run it again",
        "------------",
        "",
        ".. code-block:: console",
        "",
        f"   $ {again}             # full size" + (f": {found['seconds']:g} s" if found else ""),
        f"   $ {again} --quick     # small, as the tests run it",
        "",
        "The script",
        "----------",
        "",
        f".. literalinclude:: ../../../{name}",
        "   :language: python",
        f"   :lines: {code}-",
        "   :class: study-script",
        "",
    ]
    if found:
        numbers = json.dumps(found["numbers"], indent=1)
        lines += [
            "The numbers on record",
            "---------------------",
            "",
            f".. dropdown:: {study.parent.name}/expected/{study.stem}.json",
            "",
            "   .. code-block:: json",
            "",
            indent(numbers, 6),
            "",
        ]
    return "\n".join(lines)


def index(rooms: dict[str, list[Path]]) -> str:
    """The list of all studies with their verdicts, which studies/index.rst includes."""
    lines: list[str] = []
    for room, title in ROOMS.items():
        if not rooms[room]:
            continue
        lines += [title, "-" * len(title), "", ".. list-table::", "   :widths: 18 82", ""]
        for study in rooms[room]:
            status = record(study).get("status", "not on record")
            badge = f":bdg-{COLOURS.get(status, 'secondary')}:`{status}`"
            lines += [f"   * - {badge}", f"     - :doc:`generated/{room}-{study.stem}`"]
        lines += ["", ".. toctree::", "   :hidden:", ""]
        lines += [f"   generated/{room}-{study.stem}" for study in rooms[room]] + [""]
    return "\n".join(lines)


def write(app: Sphinx) -> None:
    root = Path(app.srcdir).parent
    folder = Path(app.srcdir) / "studies" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    rooms = {room: sorted((root / room).glob("[0-9][0-9]_*.py")) for room in ROOMS}
    pages = {
        folder / f"{room}-{study.stem}.rst": page(study, folder)
        for room, studies in rooms.items()
        for study in studies
    }
    for stale in set(folder.glob("*.rst")) - set(pages):
        stale.unlink()
    pages[folder / "list.txt"] = index(rooms)
    pages[folder / "headline.txt"] = headline(rooms)
    for file, text in pages.items():
        if not file.exists() or file.read_text() != text:
            file.write_text(text)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
