"""One API page a room of the house, written from the package as it is when the site is built."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import make_refnode

import resetsgd

#: Page -> title. The page of a package shows its public modules, kernels left out.
ROOMS = {
    "processes": "Processes",
    "protocols": "Protocols",
    "passage": "Passage times",
    "steady": "Stationary states",
    "sgd": "SGD",
    "statistics": "Statistics",
    "estimation": "Estimation",
    "montecarlo": "Monte Carlo",
    "symbolic": "Symbolic formulas",
    "training": "Training",
    "campaign": "Campaigns and studies",
    "plots": "Plots",
    "errors": "Errors",
}
HIDDEN = ("resetsgd.montecarlo.kernels",)


def modules(room: str) -> list[ModuleType]:
    """The modules of a room that say what is public, the room's own first."""
    try:
        first = importlib.import_module(f"resetsgd.{room}")
    except ModuleNotFoundError:
        return []
    found = [first]
    for info in pkgutil.walk_packages(getattr(first, "__path__", ()), f"{first.__name__}."):
        if not info.name.startswith(HIDDEN) and "._" not in info.name:
            found.append(importlib.import_module(info.name))
    return [m for m in found if m is first or own(m)]


def own(module: ModuleType) -> list[str]:
    """The public names that a module defines itself, data only where it is documented."""
    data = {name for _, name in ModuleAnalyzer.for_module(module.__name__).find_attr_docs()}
    return [
        name
        for name in getattr(module, "__all__", [])
        if name in data or getattr(getattr(module, name), "__module__", None) == module.__name__
    ]


def heading(text: str, mark: str) -> list[str]:
    return [text, mark * len(text), ""]


def page(room: str, title: str) -> str:
    """The text of a room's page."""
    lines = heading(title, "=")
    found = modules(room)
    for module in found:
        single = len(found) == 1
        if not single and own(module):
            lines += heading(f"``{module.__name__}``", "-")
        lines += [f".. automodule:: {module.__name__}"]
        if own(module):
            lines += [f"   :members: {', '.join(own(module))}", "   :show-inheritance:"]
        lines += [""]
    return "\n".join(lines)


def summary() -> str:
    """The table of the curated names of the top level."""
    lines = [
        "The top level",
        "=============",
        "",
        "``import resetsgd as rs`` offers these names; each is loaded when it is first used.",
        "",
    ]
    groups: dict[str, list[str]] = {}
    for name in resetsgd.__all__:
        try:
            thing = getattr(resetsgd, name)
        except ImportError:
            continue
        room = getattr(thing, "__module__", "resetsgd.").split(".")[1]
        first = (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ")
        full = thing.__name__ if inspect.ismodule(thing) else f"{thing.__module__}.{name}"
        row = f"   * - :py:obj:`{name} <{full}>`\n     - {first}"
        groups.setdefault(room, []).append(row)
    for room, title in ROOMS.items():
        if rows := groups.pop(room, None):
            lines += [*heading(title, "-"), ".. list-table::", "   :widths: 25 75", "", *rows, ""]
    assert not groups, f"names of rooms without a page: {groups}"
    return "\n".join(lines)


def write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "api" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    pages = {room: page(room, title) for room, title in ROOMS.items()} | {"resetsgd": summary()}
    for name, text in pages.items():
        file = folder / f"{name}.rst"
        if not file.exists() or file.read_text() != text:
            file.write_text(text)


def canonical(target: str, context: str) -> str | None:
    """The full name under which an object is documented, from any name it can be imported by.

    ``resetsgd.Poisson``, plain ``Poisson`` and, in a module that knows it, ``Snapshot.restore`` all
    mean the object where it is defined.
    """
    names = target.split(".")
    for root in (context, "resetsgd"):
        inner = names[1:] if names[0] == root == "resetsgd" else names
        thing: Any = importlib.import_module(root)
        for place, name in enumerate(inner):
            thing = getattr(thing, name, None)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                return ".".join(
                    [thing.__module__, *thing.__qualname__.split("."), *inner[place + 1 :]]
                )
            if not inspect.ismodule(thing):
                break
    return None


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """Link what is named otherwise than by the module that defines it."""
    if node.get("refdomain") != "py":
        return None
    full = canonical(str(node["reftarget"]), node.get("py:module") or "resetsgd")
    entry = env.domains.python_domain.objects.get(full or "")
    if full is None or entry is None:
        return None
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, [content], full)


def bars(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Bars around a word mean an absolute value in our docstrings, never a substitution."""
    lines[:] = [re.sub(r"(?<![`\\])\|(\w+)\|(?!`)", r"\\|\1\\|", line) for line in lines]


def foreign(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Leave out what a class only borrows from Python, such as ``min``."""
    borrowed = inspect.isbuiltin(obj) and getattr(obj, "__module__", "") == "builtins"
    return True if borrowed else None


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", bars)
    app.connect("autodoc-skip-member", foreign)
    return {"parallel_read_safe": True}
