"""Judge a prediction by runs under resetting that it never saw: the part no experiment can skip."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from resetsgd.campaign.prediction import Curve, Prediction
from resetsgd.domain import Array
from resetsgd.passage.observed import Observed
from resetsgd.statistics import Status, family_verdict, holm

__all__ = ["Judgement", "Point", "judge"]


class Point(msgspec.Struct, frozen=True):
    """One quantity at one probability: predicted, measured, and their distance.

    ``z`` is the difference of the logarithms over its standard error, ``p`` its two-sided
    probability corrected for the whole family (Holm), ``resolution`` the relative difference that
    would have been seen with 90 % probability at the single level of the family.
    """

    quantity: str
    probability: float
    predicted: float
    predicted_stderr: float
    measured: float
    measured_stderr: float
    z: float
    p: float
    resolution: float
    runs: int
    censored: int


class Judgement(msgspec.Struct, frozen=True):
    """Did the prediction hold?

    ``control_z`` are the scores of a deliberately wrong prediction, in which resetting does not
    change the passage time: a test that cannot reject it has no power.
    """

    status: Status
    sentence: str
    points: list[Point]
    level: float
    control: str
    control_z: list[float]
    prediction_sha256: str


def judge(
    prediction: Prediction,
    passages: list[Observed | None],
    accuracies: list[Array],
    *,
    prediction_sha256: str,
    level: float = 0.99,
) -> Judgement:
    """Compare a prediction with runs under resetting, point by point, family-wise.

    Parameters
    ----------
    prediction : Prediction
        Written before the runs were made.
    passages : list of Observed or None
        Passage times under resetting at each planned probability, censored at ``measured_steps``;
        None where no run arrived.
    accuracies : list of ndarray
        Long-run test accuracy of each run there.
    prediction_sha256 : str
        Digest of the prediction as written.
    level : float, default 0.99
        Family-wise confidence: a true prediction fails with probability 1 - level.
    """
    rows: list[dict[str, Any]] = []
    control = []
    steps = float(prediction.measured_steps)
    unchanged = prediction.reset_free_restricted_mean
    for i, p in enumerate(prediction.planned):
        sample, runs = passages[i], accuracies[i].size
        value, error = _restricted_to(sample, steps, runs)
        curve = prediction.planned_mean
        lost = runs if sample is None else int(sample.censored.sum())
        rows.append(_row("mean passage time", p, curve, i, value, error, runs, lost))
        scale = min(steps, float(prediction.horizon))
        restricted, spread = _restricted_to(sample, scale, runs)
        control.append(float(np.log(restricted / unchanged) / (spread / restricted)))
        each = accuracies[i]
        value, error = float(each.mean()), float(each.std(ddof=1) / np.sqrt(each.size))
        curve = prediction.planned_accuracy
        rows.append(_row("long-run test accuracy", p, curve, i, value, error, each.size, 0))
    from scipy import special

    z = np.array([row["z"] for row in rows])
    corrected = holm(2.0 * special.ndtr(-np.abs(z)))
    bar = -special.ndtri((1.0 - level) / (2 * len(rows))) + special.ndtri(0.9)
    points = [
        Point(p=float(c), resolution=float(bar * row.pop("relative")), **row)
        for c, row in zip(corrected, rows, strict=True)
    ]
    # On the logarithmic scale: a factor of two would have been seen.
    resolution = [point.resolution for point in points]
    status = family_verdict(z, resolution, level=level, relevant=float(np.log(2.0)))
    return Judgement(
        status=status,
        sentence=_sentence(status, prediction, points),
        points=points,
        level=level,
        control="resetting leaves the passage time as it is",
        control_z=control,
        prediction_sha256=prediction_sha256,
    )


def _restricted_to(sample: Observed | None, horizon: float, runs: int) -> tuple[float, float]:
    """Restricted mean and its standard error; if none of the runs arrived, by the rule of three.

    At 95 % confidence at most 3 runs in ``runs`` would then have arrived at once.
    """
    if sample is None:
        return horizon, horizon * min(3.0 / runs, 1.0) / 1.96
    return sample.mean_and_stderr(horizon)


def _row(
    quantity: str,
    probability: float,
    curve: Curve,
    i: int,
    measured: float,
    error: float,
    runs: int,
    censored: int,
) -> dict[str, Any]:
    """One comparison on the logarithmic scale, where a skewed estimate is nearly normal."""
    predicted, spread = curve.value[i], curve.stderr[i]
    relative = float(np.hypot(spread / predicted, error / measured))
    return {
        "quantity": quantity,
        "probability": probability,
        "predicted": predicted,
        "predicted_stderr": spread,
        "measured": measured,
        "measured_stderr": error,
        "z": float(np.log(measured / predicted)) / relative,
        "relative": relative,
        "runs": runs,
        "censored": censored,
    }


def _sentence(status: Status, prediction: Prediction, points: list[Point]) -> str:
    """The verdict for a person."""
    worst = max(points, key=lambda point: abs(point.z))
    times = [point for point in points if point.quantity == "mean passage time"]
    best = min(times, key=lambda point: point.measured)
    head = {
        "holds": "The prediction held",
        "fails": "The prediction failed",
        "underpowered": "The data are too few to tell",
    }[status]
    if prediction.pays:
        said = (
            f"resetting was predicted to pay, best with probability {prediction.probability:.3g}"
            f" per step, reaching the target after {prediction.optimal_mean:.0f} steps instead of"
            f" more than {prediction.reset_free_restricted_mean:.0f}"
        )
    else:
        said = "resetting was predicted not to pay"
    return (
        f"{head}: {said}; measured, the fastest was {best.measured:.0f} ±"
        f" {best.measured_stderr:.0f} steps at probability {best.probability:.3g}. Of"
        f" {len(points)} comparisons the largest deviation is {abs(worst.z):.1f} standard errors"
        f" (family-wise p = {worst.p:.2g})."
    )
