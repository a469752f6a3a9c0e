"""What all tests share: fixed threads, no display, data that may be absent, one error budget."""

from __future__ import annotations

import os

# Read when the libraries are first loaded, so before anything else; child processes inherit them.
# Two numba threads exist even on one core, so that "the same bits for 1 and 2 threads" is testable.
os.environ.setdefault("NUMBA_NUM_THREADS", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

import math
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

# A suite started in the background ignores Ctrl-C, and so would every process it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

#: Probability that the whole suite, run once on fresh seeds, raises at least one false alarm.
FAMILY_ALPHA = 1e-6

ROOT = Path(__file__).resolve().parents[1]


def spent(items: Iterable[pytest.Item]) -> float:
    """The false-alarm probability that statistical tests declare together (union bound).

    Raises
    ------
    pytest.UsageError
        If one declares none, or all together more than `FAMILY_ALPHA`.
    """
    shares: list[float] = []
    undeclared: list[str] = []
    for item in items:
        mark = item.get_closest_marker("statistical")
        if mark is None:
            continue
        alpha = mark.kwargs.get("alpha")
        if mark.args or set(mark.kwargs) != {"alpha"} or not isinstance(alpha, float):
            undeclared.append(item.nodeid)
        elif not 0.0 < alpha <= FAMILY_ALPHA:
            undeclared.append(f"{item.nodeid} (alpha = {alpha!r})")
        else:
            shares.append(alpha)
    if undeclared:
        raise pytest.UsageError(
            "statistical tests must declare their share of the error budget, as in "
            "@pytest.mark.statistical(alpha=1e-8):\n  " + "\n  ".join(undeclared)
        )
    total = math.fsum(shares)
    if total > FAMILY_ALPHA * (1 + 1e-9):
        raise pytest.UsageError(
            f"{len(shares)} statistical tests declare {total:.3g} together, "
            f"above the family's {FAMILY_ALPHA:g}"
        )
    return total


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add up the error budget of what was collected."""
    config.stash[_SPENT] = spent(items)


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    """Say what the collected tests may cost in false alarms."""
    total = config.stash.get(_SPENT, math.nan)
    return f"statistical error budget: {total:.2g} of {FAMILY_ALPHA:g} declared"


_SPENT = pytest.StashKey[float]()


@pytest.fixture(autouse=True)
def fixed_threads() -> Iterator[None]:
    """Every test starts with one torch thread and both numba threads, whatever ran before it."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    if numba := sys.modules.get("numba"):
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository: the folder that holds ``pyproject.toml``."""
    return ROOT


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder with real data sets, named by ``RESETSGD_DATA``; tests that need it skip without."""
    folder = os.environ.get("RESETSGD_DATA")
    if folder is None or not Path(folder).is_dir():
        pytest.skip("needs real data sets: set RESETSGD_DATA to the folder that holds them")
    return Path(folder)
