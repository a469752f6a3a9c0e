"""The demonstration: predict what resetting will do on real images, write it down, then measure.

Every stage is a cell of a :class:`~resetsgd.campaign.store.Store`: a run that is killed and started
again with the same folder continues where it was and ends with the same numbers.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import io
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from resetsgd import __version__
from resetsgd.campaign.digits import DigitsExperiment, Settings, arrivals
from resetsgd.campaign.judgement import Judgement, judge
from resetsgd.campaign.prediction import Prediction, predict
from resetsgd.campaign.progress import Progress
from resetsgd.campaign.store import Cell, Store, write_text
from resetsgd.errors import CorruptData
from resetsgd.estimation.traces import from_traces

if TYPE_CHECKING:
    from rich.console import Console

    from resetsgd.training.network import State

__all__ = ["DemoResult", "run"]


@dataclass(frozen=True)
class DemoResult:
    """Outcome of the demonstration.

    Attributes
    ----------
    status : {"holds", "fails", "underpowered"}
        Did the prediction hold?
    sentence : str
        The verdict with its numbers.
    report : Path
        The page to look at.
    prediction : Prediction
    judgement : Judgement
    """

    status: str
    sentence: str
    report: Path
    prediction: Prediction
    judgement: Judgement


def run(
    out: Path | str,
    *,
    quick: bool = False,
    settings: Settings | None = None,
    console: Console | None = None,
) -> DemoResult:
    """Run the demonstration, or continue it.

    Parameters
    ----------
    out : Path
        Folder for everything it makes; empty, new, or of an earlier run of the same settings.
    quick : bool
        A tenth of the cost; the verdict may then be ``underpowered``.
    settings : Settings, optional
        Other sizes than the default.
    console : rich Console, optional
        Where progress is shown; by default the standard error stream.

    Returns
    -------
    DemoResult

    Raises
    ------
    OutputError
        If ``out`` cannot be written.
    StreamMismatch
        If ``out`` holds a run of other settings or versions.
    CorruptData
        If what ``out`` holds is damaged.
    MissingExtra
        If torch or scikit-learn is not installed.
    """
    folder = Path(out)
    chosen = settings if settings is not None else Settings()
    if quick:
        chosen = chosen.quick()
    experiment = DigitsExperiment(chosen)
    versions = _versions()
    plan = {"settings": msgspec.to_builtins(chosen), "versions": versions}
    plan["data_sha256"] = experiment.data_sha256
    with Store(folder, json.dumps(plan, sort_keys=True)) as store, Progress(console) as progress:
        return _run(folder, store, progress, experiment, versions)


def _run(
    folder: Path,
    store: Store,
    progress: Progress,
    experiment: DigitsExperiment,
    versions: dict[str, str],
) -> DemoResult:
    """The stages, in their order."""
    s = experiment.settings

    def stage(name: str, title: str, work: int, make: Callable[[Any], Any]) -> Cell:
        """The cell of this name, computed if it is not there."""
        found = store.get(name)
        if found is not None:
            progress.skip(title)
            return found
        with progress.stage(title, work) as advance:
            made = make(advance)
        arrays, record = made if isinstance(made, tuple) else (made, {})
        return store.put(name, arrays, record)

    for name, manifest in experiment.manifests.items():
        write_text(folder / f"noise-{name}.json", manifest.to_json() + "\n")
    reference = stage("reference", "reference run", s.reference_steps, experiment.reference)
    checkpoint = experiment.state(reference.arrays)
    pilot = stage(
        "pilot",
        "pilot: where is the target",
        s.pilot_replicas * s.horizon,
        lambda a: experiment.free(checkpoint, s.pilot_replicas, 1, a),
    )
    above = reference.record["checkpoint_validation_accuracy"]
    target = experiment.target(pilot.arrays, above)
    free = stage(
        "free",
        f"{s.replicas} reset-free runs",
        s.replicas * s.horizon,
        lambda a: experiment.free(checkpoint, s.replicas, 2, a),
    )
    sample = from_traces(free.arrays["validation"], threshold=target, direction="above")
    with progress.stage("prediction", 1):
        prediction = predict(
            sample,
            free.arrays["test"],
            free.arrays["ages"],
            factors=s.factors,
            measured_steps=s.measured_steps,
            target=target,
            made_from={
                "digits": experiment.data_sha256,
                "noise manifest, train": experiment.manifests["train"].noisy_sha256,
                "noise manifest, validation": experiment.manifests["validation"].noisy_sha256,
                "reference run": reference.sha256,
                "pilot runs": pilot.sha256,
                "reset-free runs": free.sha256,
            },
        )
    digest = _write_prediction(folder / "prediction.json", prediction)
    progress.say(f"predicted: {_predicted(prediction)} (written to prediction.json)")
    passages, accuracies, cells = [], [], []
    for i, probability in enumerate(prediction.planned):
        cell = stage(
            f"measured {i}",
            f"{s.measured_replicas} runs with probability {probability:.4f}",
            s.measured_replicas * s.measured_steps,
            partial(_measure, experiment, checkpoint, probability, target, 10 + i, digest),
        )
        if cell.record["prediction_sha256"] != digest:
            raise CorruptData(
                f"{store.path}: cell 'measured {i}' was measured after another prediction"
                f" ({cell.record['prediction_sha256'][:12]}, not {digest[:12]})"
            )
        passages.append(arrivals(cell))
        accuracies.append(cell.arrays["test"])
        cells.append(cell)
    judgement = judge(prediction, passages, accuracies, prediction_sha256=digest)
    write_text(folder / "verdict.json", _json(judgement))
    write_text(folder / "verdict.csv", _csv(judgement))
    write_text(folder / "prediction.csv", _curve_csv(prediction))
    with progress.stage("report", 1):
        from resetsgd.campaign.report import write_report

        report = write_report(
            folder,
            settings=s,
            versions=versions,
            reference=reference,
            free=free,
            sample=sample,
            prediction=prediction,
            judgement=judgement,
            measured=cells,
            manifests=experiment.manifests,
        )
    return DemoResult(judgement.status, judgement.sentence, report, prediction, judgement)


def _measure(
    experiment: DigitsExperiment,
    checkpoint: State,
    probability: float,
    target: float,
    stream: int,
    digest: str,
    advance: Callable[[int], None],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Runs under resetting, with the digest of the prediction that came before them."""
    arrays = experiment.under_resetting(checkpoint, probability, target, stream, advance)
    return arrays, {"prediction_sha256": digest, "probability": probability}


def _write_prediction(path: Path, prediction: Prediction) -> str:
    """Write the prediction once, for it must not change afterwards; return its SHA-256."""
    text = _json(prediction)
    if path.exists():
        if not path.is_file() or path.read_bytes() != text.encode():
            raise CorruptData(f"{path} is not the prediction that its data give; it was changed")
    else:
        write_text(path, text)
    return hashlib.sha256(text.encode()).hexdigest()


def _predicted(prediction: Prediction) -> str:
    if not prediction.pays:
        return f"resetting does not pay: {prediction.reason}"
    low, high = prediction.optimal_mean_interval
    return (
        f"resetting pays, best at probability {prediction.probability:.4f}, mean"
        f" {prediction.optimal_mean:.1f} steps (95 % interval {low:.1f} to {high:.1f})"
    )


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n"


def _csv(judgement: Judgement) -> str:
    file = io.StringIO()
    rows = [msgspec.to_builtins(point) for point in judgement.points]
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _curve_csv(prediction: Prediction) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = ("mean", "mean_low", "mean_high", "accuracy", "accuracy_low", "accuracy_high")
    writer.writerow(("probability", *names))
    a, b = prediction.mean, prediction.accuracy
    columns = (prediction.probabilities, a.value, a.low, a.high, b.value, b.low, b.high)
    writer.writerows(np.array(columns).T.tolist())
    return file.getvalue()


def _versions() -> dict[str, str]:
    """Versions the bits depend on."""
    names = ("numpy", "scipy", "torch", "scikit-learn")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"resetsgd": __version__, "python": platform.python_version(), **found}
