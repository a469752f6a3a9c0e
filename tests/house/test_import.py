"""``import resetsgd`` is cheap, and its names arrive only when they are used."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

import pytest

import resetsgd

HEAVY = ("numba", "sympy", "matplotlib", "torch", "scipy")


def child(code: str) -> str:
    """What a fresh process prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_import_takes_at_most_0_3_seconds() -> None:
    code = "import time; t = time.perf_counter(); import resetsgd; print(time.perf_counter() - t)"
    assert statistics.median(float(child(code)) for _ in range(5)) <= 0.3


@pytest.mark.parametrize("also", ["", "dir(resetsgd); resetsgd.__all__; resetsgd.__version__"])
def test_import_loads_nothing_heavy(also: str) -> None:
    loaded = child(f"import sys, resetsgd; {also}\nprint(*sys.modules)").split()
    assert not set(HEAVY) & {name.partition(".")[0] for name in loaded}


def test_all_and_dir_agree_and_every_name_resolves() -> None:
    code = (
        "import json, resetsgd\n"
        "names = resetsgd.__all__\n"
        "print(json.dumps([names, dir(resetsgd), [n for n in names if n not in vars(resetsgd)]]))"
    )
    names, seen, lazy = json.loads(child(code))
    assert len(names) == len(set(names))
    assert set(names) <= set(seen)
    assert "__version__" in names or hasattr(resetsgd, "__version__")
    assert set(lazy) >= set(names) - {"__version__"}, "loaded eagerly"
    for name in names:
        assert getattr(resetsgd, name) is not None


def test_the_names_promised_to_users_are_there() -> None:
    promised = {
        "DriftDiffusion", "Geometric", "Poisson", "Sharp", "age_average", "compare",
        "first_passage", "from_traces", "observed", "simulate",
    }  # fmt: skip
    assert promised <= set(resetsgd.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        resetsgd.no_such_name
    with pytest.raises(ImportError):
        from resetsgd import no_such_name  # noqa: F401


def test_star_import_gives_exactly_all() -> None:
    code = (
        "import resetsgd\nspace = {}\nexec('from resetsgd import *', space)\n"
        "space.pop('__builtins__')\nprint(set(space) == set(resetsgd.__all__))"
    )
    assert child(code).strip() == "True"


WITHOUT_EXTRAS = (
    "import importlib, pkgutil, sys\n"
    "class Absent:\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name in ('torch', 'safetensors', 'sklearn', 'PIL', 'xarray', 'dask'):\n"
    "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
    "sys.meta_path.insert(0, Absent())\n"
    "import resetsgd\n"
)


def test_all_but_training_works_without_the_extras() -> None:
    code = WITHOUT_EXTRAS + (
        "for info in pkgutil.walk_packages(resetsgd.__path__, 'resetsgd.'):\n"
        "    if not info.name.startswith('resetsgd.training'):\n"
        "        importlib.import_module(info.name)\n"
        "        print(info.name)\n"
    )
    assert "resetsgd.cli" in child(code).split()


def test_training_without_torch_says_which_extra_is_missing() -> None:
    code = WITHOUT_EXTRAS + (
        "try:\n"
        "    from resetsgd.training import Resetter\n"
        "except resetsgd.MissingExtra as error:\n"
        "    print(error)\n"
    )
    assert "resetsgd[torch]" in child(code)
