"""The page of a predict-then-measure campaign: one self-contained HTML file."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from resetsgd.campaign import figures
from resetsgd.campaign.digits import arrivals
from resetsgd.campaign.store import Cell, write_text
from resetsgd.errors import OutputError
from resetsgd.passage.observed import Observed
from resetsgd.plots import save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from resetsgd.campaign.digits import Settings
    from resetsgd.campaign.judgement import Judgement, Point
    from resetsgd.campaign.prediction import Prediction
    from resetsgd.training import NoiseManifest

__all__ = ["write_report"]

_COLOURS = {"holds": "#1f7a4d", "fails": "#b3261e", "underpowered": "#8a6100"}


def write_report(
    folder: Path,
    *,
    settings: Settings,
    versions: Mapping[str, str],
    reference: Cell,
    free: Cell,
    sample: Observed,
    prediction: Prediction,
    judgement: Judgement,
    measured: list[Cell],
    manifests: Mapping[str, NoiseManifest],
) -> Path:
    """Write figures (PNG and SVG) and ``report.html`` into a folder; return the page's path.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    record = reference.record
    passages = [arrivals(cell) for cell in measured]
    memorised = float(free.arrays["test"][:, -1].mean())
    drawn = {
        "u_shape": figures.u_shape(
            reference.arrays["test_accuracy"],
            reference.arrays["validation_loss"],
            record["checkpoint_step"],
            settings.noise_rate,
        ),
        "mean_against_probability": figures.mean_curve(prediction, judgement),
        "survival": figures.survival_curves(prediction, sample, passages),
        "accuracy_against_probability": figures.accuracy_curve(
            prediction, judgement, record["checkpoint_test_accuracy"], memorised
        ),
    }
    pictures = {name: _picture(folder, name, figure) for name, figure in drawn.items()}
    page = _PAGE.format(
        status=judgement.status,
        colour=_COLOURS[judgement.status],
        sentence=escape(judgement.sentence),
        summary=_summary(settings, record, memorised),
        u_shape=pictures["u_shape"],
        prediction=_prediction_text(prediction),
        mean=pictures["mean_against_probability"],
        survival=pictures["survival"],
        accuracy=pictures["accuracy_against_probability"],
        points=_points_table(judgement.points),
        reading=_reading(prediction, judgement),
        resets=_resets_table(prediction, measured, settings),
        control=_control(judgement),
        settings=_table(msgspec.to_builtins(settings)),
        versions=_table(dict(versions)),
        digests=_table(
            {
                **prediction.made_from,
                "prediction.json": judgement.prediction_sha256,
                **{f"noise seed, {k}": str(m.seed) for k, m in manifests.items()},
                **{f"labels changed, {k}": f"{m.realised:.1%}" for k, m in manifests.items()},
            }
        ),
    )
    path = folder / "report.html"
    write_text(path, page)
    return path


def _picture(folder: Path, name: str, figure: Figure) -> str:
    """Save a figure as PNG and SVG and return it as an image that needs no other file."""
    save(figure, folder / f"{name}.png", argument="out")
    path = save(figure, folder / f"{name}.svg", argument="out")
    try:
        code = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise OutputError(f"out = {path}: could not be read back ({error})") from None
    title = escape(name.replace("_", " "))
    return f'<img alt="{title}" src="data:image/svg+xml;base64,{code}">'


def _summary(settings: Settings, record: Mapping[str, Any], memorised: float) -> str:
    return escape(
        f"{settings.train} images of handwritten digits, {settings.noise_rate:.0%} of their labels"
        f" wrong, train a network of one hidden layer. It learns the clean pattern first: its"
        f" accuracy on clean test images rises to {record['best_test_accuracy']:.1%}. Then it"
        f" memorises the wrong labels, and accuracy falls to"
        f" {record['last_test_accuracy']:.1%}. The checkpoint at step"
        f" {record['checkpoint_step']} ({record['checkpoint_test_accuracy']:.1%} on test) is the"
        f" state of least loss on noisy held-out images; no test image chose it. Runs that go on"
        f" from it without resetting end at {memorised:.1%}."
    )


def _prediction_text(prediction: Prediction) -> str:
    arrived = prediction.runs - prediction.censored
    low, high = prediction.optimal_mean_interval
    left, right = prediction.probability_interval
    verdict = (
        f"<b>Resetting pays</b>: best at probability {prediction.probability:.4f} per step (95 %"
        f" interval {left:.4f} to {right:.4f}), where the target takes"
        f" {prediction.optimal_mean:.1f} steps on average (95 % interval {low:.1f} to {high:.1f}),"
        f" at least {prediction.speedup_at_least:.1f} times faster than never resetting. Reason:"
        f" {escape(prediction.reason)}."
        if prediction.pays
        else f"<b>Resetting does not pay</b>: {escape(prediction.reason)}."
    )
    return (
        f"<p>The target is an accuracy of {prediction.target:.4f} on the noisy validation images,"
        " the smallest level that at most half of separate pilot runs reach; the checkpoint lies"
        f" below it. Of {prediction.runs} reset-free runs {arrived} reached it within"
        f" {prediction.horizon} steps; the others are right-censored. From these runs alone:</p>"
        f"<p>{verdict}</p>"
    )


def _points_table(points: list[Point]) -> str:
    head = (
        "<tr><th>quantity</th><th>probability</th><th>predicted</th><th>measured</th>"
        "<th>deviation</th><th>p, family-wise</th><th>would have seen</th><th>runs</th>"
        "<th>censored</th></tr>"
    )
    rows = []
    for p in points:
        shown = "{:.1f} ± {:.1f}" if p.quantity == "mean passage time" else "{:.4f} ± {:.4f}"
        rows.append(
            f"<tr><td>{escape(p.quantity)}</td><td>{p.probability:.4f}</td>"
            f"<td>{shown.format(p.predicted, p.predicted_stderr)}</td>"
            f"<td>{shown.format(p.measured, p.measured_stderr)}</td>"
            f"<td>{p.z:+.2f} s.e.</td><td>{p.p:.3g}</td><td>{p.resolution:.1%}</td>"
            f"<td>{p.runs}</td><td>{p.censored}</td></tr>"
        )
    return f"<table>{head}{''.join(rows)}</table>"


def _reading(prediction: Prediction, judgement: Judgement) -> str:
    """What the table says, in words, whatever it says."""
    outside = [p for p in judgement.points if p.p < 1.0 - judgement.level]
    text = (
        f"Passage times are means restricted to the {prediction.measured_steps} steps that were"
        " measured; ± is one standard error; deviations are on the logarithmic scale, in standard"
        " errors of prediction and measurement together. The family-wise level is"
        f" {judgement.level:.0%} (Holm): a true prediction is called failed with probability"
        f" {1 - judgement.level:.0%}."
    )
    if outside:
        names = "; ".join(f"{p.quantity} at {p.probability:.4f}" for p in outside)
        text += (
            f" Not as predicted: {names}. The prediction assumes that a reset puts the whole state"
            " back (weights and momentum) and that batches are drawn independently, so that what"
            " follows a reset is a fresh copy of what followed the checkpoint."
        )
    accuracies = [p for p in judgement.points if p.quantity == "long-run test accuracy"]
    top = max(accuracies, key=lambda p: p.measured)
    text += (
        f" The highest long-run accuracy measured is {top.measured:.1%} at probability"
        f" {top.probability:.3g}. Under resetting a run stays near its checkpoint; it does not"
        " become better than it on average merely by being reset."
    )
    return f"<p>{escape(text)}</p>"


def _resets_table(prediction: Prediction, measured: list[Cell], settings: Settings) -> str:
    """Resets that happened against those expected."""
    head = "<tr><th>probability</th><th>resets</th><th>expected</th></tr>"
    rows = []
    steps = settings.measured_replicas * settings.measured_steps
    for p, cell in zip(prediction.planned, measured, strict=True):
        spread = np.sqrt(steps * p * (1 - p))
        rows.append(
            f"<tr><td>{p:.4f}</td><td>{int(cell.arrays['resets'])}</td>"
            f"<td>{steps * p:.0f} ± {spread:.0f}</td></tr>"
        )
    return f"<table>{head}{''.join(rows)}</table>"


def _control(judgement: Judgement) -> str:
    scores = ", ".join(f"{z:+.1f}" for z in judgement.control_z)
    return escape(
        f"Negative control: the wrong prediction that {judgement.control} deviates by {scores}"
        " standard errors at the same points."
    )


def _table(content: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(str(k))}</td><td><code>{escape(str(v))}</code></td></tr>"
        for k, v in content.items()
    )
    return f"<table class='plain'>{rows}</table>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>resetsgd: predicted, then measured</title>
<style>
body {{ font: 16px/1.55 system-ui, sans-serif; color: #23282d; background: #f6f7f8; margin: 0; }}
main {{ max-width: 62rem; margin: 0 auto; padding: 2rem 1.2rem 4rem; }}
h1 {{ font-size: 1.7rem; margin: 0 0 1rem; }}
h2 {{ font-size: 1.2rem; margin: 2.2rem 0 .6rem; }}
.verdict {{ background: white; border-left: 8px solid {colour}; padding: 1rem 1.3rem;
  border-radius: 4px; box-shadow: 0 1px 3px #0002; }}
.verdict b {{ color: {colour}; text-transform: uppercase; letter-spacing: .04em; }}
.card {{ background: white; border-radius: 4px; box-shadow: 0 1px 3px #0002; padding: 1rem 1.2rem;
  margin: 1rem 0; overflow-x: auto; }}
.pair {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1rem; }}
.pair .card {{ margin: 0; }}
img {{ width: 100%; height: auto; }}
table {{ border-collapse: collapse; font-size: .86rem; width: 100%; }}
th, td {{ text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid #e4e7ea;
  vertical-align: top; }}
code {{ font-size: .8rem; word-break: break-all; }}
details {{ margin: .8rem 0; }} summary {{ cursor: pointer; font-weight: 600; }}
</style>
</head>
<body><main>
<h1>Does resetting help, and was that known beforehand?</h1>
<div class="verdict"><b>{status}</b><br>{sentence}</div>
<h2>Learning, then memorising</h2>
<p>{summary}</p>
<div class="card">{u_shape}</div>
<h2>Said before anything was reset</h2>
{prediction}
<h2>And then measured</h2>
<div class="pair"><div class="card">{mean}</div><div class="card">{survival}</div></div>
<div class="pair" style="margin-top:1rem"><div class="card">{accuracy}</div>
<div class="card"><b>How to read this</b>{reading}<p>{control}</p>{resets}</div></div>
<h2>Point by point</h2>
<div class="card">{points}</div>
<h2>Everything it depends on</h2>
<details><summary>Settings</summary>{settings}</details>
<details><summary>Versions</summary>{versions}</details>
<details><summary>Digests (SHA-256) and label noise</summary>{digests}</details>
</main></body></html>
"""
