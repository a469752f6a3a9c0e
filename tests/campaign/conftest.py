"""One small demonstration, run once without a break, and what it left behind."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from resetsgd.campaign import demo, report
from resetsgd.campaign.demo import DemoResult
from resetsgd.campaign.digits import DigitsExperiment, Settings

SMALL = Settings(
    train=300,
    validation=200,
    test=200,
    hidden=32,
    batch_size=16,
    reference_steps=250,
    pilot_replicas=24,
    replicas=48,
    horizon=250,
    factors=(0.3, 1.0, 2.0),
    measured_replicas=24,
    measured_steps=160,
    seed=3,
)


@dataclass(frozen=True)
class Unbroken:
    """A finished run and what was seen while it ran."""

    folder: Path
    result: DemoResult
    log: str
    seeds: list[int]
    """Seeds of the ensembles, in the order they were made."""
    seen: list[bytes | None]
    """What prediction.json held whenever a measurement began."""


@pytest.fixture(scope="session")
def small() -> Settings:
    return SMALL


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("demo") / "out"
    file, seeds, seen = io.StringIO(), [], []
    measure, ensemble = DigitsExperiment.under_resetting, DigitsExperiment._ensemble

    def measured(self: Any, *arguments: Any) -> Any:
        path = folder / "prediction.json"
        seen.append(path.read_bytes() if path.exists() else None)
        return measure(self, *arguments)

    def made(self: Any, *arguments: Any) -> Any:
        found = ensemble(self, *arguments)
        seeds.append(found.seed)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DigitsExperiment, "under_resetting", measured)
        patch.setattr(DigitsExperiment, "_ensemble", made)
        result = demo.run(folder, settings=SMALL, console=Console(file=file))
    return Unbroken(folder, result, file.getvalue(), seeds, seen)


@pytest.fixture
def copy(unbroken: Unbroken, tmp_path: Path) -> Path:
    """A copy of the finished run's folder, to damage."""
    return Path(shutil.copytree(unbroken.folder, tmp_path / "copy"))


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[DemoResult, str]]]:
    """Run the demonstration again without drawing its report; returns the result and the log."""
    monkeypatch.setattr(report, "write_report", lambda folder, **_: folder / "report.html")

    def run(folder: Path, settings: Settings = SMALL) -> tuple[DemoResult, str]:
        file = io.StringIO()
        return demo.run(folder, settings=settings, console=Console(file=file)), file.getvalue()

    yield run
