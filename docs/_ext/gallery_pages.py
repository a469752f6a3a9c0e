"""Each picture of the gallery as a page, drawn when the site is built.

A picture is a script ``docs/gallery/NN_name.py`` that anyone can run: its docstring is title and
text, it writes ``name.png`` into the current folder and prints the numbers that the text is about.
A script that fails stops the build.
"""

from __future__ import annotations

import ast
import contextlib
import io
import runpy
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def indent(text: str, by: int = 3) -> str:
    return "\n".join((" " * by + line).rstrip() for line in text.splitlines())


def drawn(script: Path, folder: Path) -> tuple[str, str]:
    """Name of the picture and what the script prints."""
    picture = f"{script.stem.split('_', 1)[1]}.png"
    (folder / picture).unlink(missing_ok=True)
    printed = io.StringIO()
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
            runpy.run_path(str(script))
    except Exception as error:
        raise ExtensionError(f"{script.name} failed: {error!r}") from error
    if not (folder / picture).exists():
        raise ExtensionError(f"{script.name} did not write {picture}")
    return picture, printed.getvalue()


def story(script: Path) -> tuple[str, str, int]:
    """Title, text, and the first line of code."""
    tree = ast.parse(script.read_text())
    title, _, text = (ast.get_docstring(tree) or script.stem).partition("\n")
    return title.rstrip("."), text.strip(), tree.body[1].lineno


def page(script: Path, folder: Path) -> str:
    title, text, code = story(script)
    picture, printed = drawn(script, folder)
    lines = [
        *(title, "=" * len(title), "", text, ""),
        *(f".. image:: {picture}", f"   :alt: {title}", "   :class: study-figure", ""),
        *(".. code-block:: text", "", indent(printed), "") * bool(printed),
        *("The script", "----------", ""),
        *(f".. literalinclude:: ../{script.name}", "   :language: python", f"   :lines: {code}-"),
    ]
    return "\n".join([*lines, ""])


def index(scripts: list[Path]) -> str:
    """Cards with the pictures, which gallery/index.rst includes."""
    lines = [".. grid:: 1 2 2 2", "   :gutter: 3", ""]
    for script in scripts:
        title = story(script)[0]
        card = [
            f".. grid-item-card:: {title}",
            f"   :img-bottom: generated/{script.stem.split('_', 1)[1]}.png",
            f"   :img-alt: {title}",
            f"   :link: generated/{script.stem}",
            "   :link-type: doc",
            "",
        ]
        lines += [indent("\n".join(card)), ""]
    lines += [".. toctree::", "   :hidden:", ""]
    return "\n".join([*lines, *(f"   generated/{script.stem}" for script in scripts), ""])


def write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "gallery" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    scripts = sorted(folder.parent.glob("[0-9][0-9]_*.py"))
    pages = {folder / f"{script.stem}.rst": page(script, folder) for script in scripts}
    for stale in set(folder.glob("*.rst")) - set(pages):
        stale.unlink()
    pages[folder / "list.txt"] = index(scripts)
    for file, text in pages.items():
        if not file.exists() or file.read_text() != text:
            file.write_text(text)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
