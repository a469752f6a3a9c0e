"""Predict from reset-free runs, then judge the measurement: the part no experiment can skip.

A :class:`Prediction` is made from reset-free runs alone and written before anything is reset; a
:class:`Judgement` compares it, point by point, with runs under resetting that it never saw.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.passage.observed import Observed
from resetsgd.protocols import Geometric
from resetsgd.statistics import Status, family_verdict, holm
from resetsgd.steady import age_average

__all__ = ["Curve", "Judgement", "Point", "Prediction", "judge", "predict"]

_RESAMPLES = 400


class Curve(msgspec.Struct, frozen=True):
    """A predicted quantity at each probability, with a 95 % interval and a standard error."""

    value: list[float]
    low: list[float]
    high: list[float]
    stderr: list[float]


class Prediction(msgspec.Struct, frozen=True):
    """What resetting will do, said before it is done.

    Attributes
    ----------
    probabilities : list of float
        Reset probabilities per step of the curves.
    mean : Curve
        Predicted mean passage time, in steps.
    accuracy : Curve
        Predicted long-run accuracy.
    planned : list of float
        Probabilities that will be measured.
    planned_mean, planned_accuracy : Curve
        The predictions there; the mean is restricted to ``measured_steps``.
    measured_steps : int
        Length of the measured runs.
    probability, probability_interval : float, list of float
        The predicted optimum and its 95 % interval.
    optimal_mean, optimal_mean_interval : float, list of float
        The mean there and its 95 % interval.
    reset_free_restricted_mean : float
        Restricted mean of the reset-free runs at their horizon: a lower bound of their mean.
    speedup_at_least : float
        That bound over the optimal mean.
    pays : bool
        The verdict.
    reason : str
        Why.
    runs, censored : int
        Reset-free runs it was made from, and how many had not arrived.
    horizon : int
        Steps they were followed.
    target : float
        What arriving means.
    made_from : dict of str
        SHA-256 of the data it was made from.
    """

    probabilities: list[float]
    mean: Curve
    accuracy: Curve
    planned: list[float]
    planned_mean: Curve
    planned_accuracy: Curve
    measured_steps: int
    probability: float
    probability_interval: list[float]
    optimal_mean: float
    optimal_mean_interval: list[float]
    reset_free_restricted_mean: float
    speedup_at_least: float
    pays: bool
    reason: str
    runs: int
    censored: int
    horizon: int
    target: float
    made_from: dict[str, str]


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


def predict(
    sample: Observed,
    accuracy: npt.ArrayLike,
    ages: npt.ArrayLike,
    *,
    factors: tuple[float, ...],
    measured_steps: int,
    target: float,
    made_from: dict[str, str],
    seed: int = 0,
) -> Prediction:
    """Predict mean passage time and long-run accuracy under resetting from reset-free runs.

    Parameters
    ----------
    sample : Observed
        Reset-free passage times in steps, censored at the horizon.
    accuracy : array-like, shape (runs, ages)
        Test accuracy of each reset-free run at each age.
    ages : array-like, shape (ages,)
        Steps since the checkpoint, rising from 0 to the horizon.
    factors : tuple of float
        Probabilities to be measured, in units of the predicted optimum.
    measured_steps : int
        Length of the runs that will be measured.
    target : float
        What arriving means; recorded.
    made_from : dict of str
        Digests of the data; recorded.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Prediction
    """
    best = sample.best(Geometric)
    # Below 4/horizon the prediction rests on what the runs would have done after their end.
    lowest = 4.0 / sample.horizon
    centre = float(np.asarray(best.probability)) if best.pays else lowest
    lowest = min(max(lowest, centre / 20), centre)
    grid = np.geomspace(lowest, max(min(0.8, 20 * centre), 2 * lowest), 49)
    planned = np.unique(np.clip(np.asarray(factors) * centre, lowest, 0.5))
    if planned.size < len(factors):  # an optimum at the edge, or none: spread from the edge on
        spread = np.geomspace(lowest, min(0.5, 16 * lowest), len(factors))
        planned = np.unique(np.append(spread, centre))
    curve = Geometric(probability=grid)
    restarted = sample.under(curve)
    low, high = (np.asarray(end) for end in sample.interval(curve, seed=seed))
    mean = Curve(
        value=_list(restarted.mean()),
        low=_list(low),
        high=_list(high),
        stderr=_list(restarted.stderr()),
    )
    at = [float(x) for x in np.atleast_1d(np.asarray(best.parameter_interval or (0.0, 0.0)))]
    size = [float(x) for x in (best.interval or (np.inf, np.inf))]
    return Prediction(
        probabilities=_list(grid),
        mean=mean,
        accuracy=_accuracy(accuracy, ages, grid),
        planned=_list(planned),
        planned_mean=_restricted(sample, planned, measured_steps, seed),
        planned_accuracy=_accuracy(accuracy, ages, planned),
        measured_steps=measured_steps,
        probability=float(np.asarray(best.probability)),
        probability_interval=at,
        optimal_mean=best.mean,
        optimal_mean_interval=size if best.pays else [best.mean, best.mean],
        reset_free_restricted_mean=float(np.asarray(sample.restricted_mean(sample.horizon))),
        speedup_at_least=best.speedup,
        pays=best.pays,
        reason=best.reason,
        runs=sample.runs,
        censored=int(sample.censored.sum()),
        horizon=int(sample.horizon),
        target=target,
        made_from=made_from,
    )


def _accuracy(accuracy: npt.ArrayLike, ages: npt.ArrayLike, probabilities: Array) -> Curve:
    """Age average of each run's curve; the runs are independent, so their spread is the error."""
    each = np.asarray(
        age_average(accuracy, Geometric(probability=probabilities), times=ages, tail="hold")
    )
    value = each.mean(axis=-1)
    error = each.std(axis=-1, ddof=1) / np.sqrt(each.shape[-1])
    return Curve(
        _list(value), _list(value - 1.96 * error), _list(value + 1.96 * error), _list(error)
    )


def _restricted(sample: Observed, probabilities: Array, steps: int, seed: int) -> Curve:
    """Mean restricted to the length of the measured runs, under resetting, with bootstrap.

    Runs that had not arrived by the horizon never arrive (value, high) or arrive then (low).
    """
    counts = _counts(sample)
    generator = np.random.default_rng([seed, 0x5EED])
    runs = counts.sum()
    drawn = generator.multinomial(runs, counts / runs, size=_RESAMPLES).astype(np.float64)
    rows = np.concatenate([counts[None], drawn])
    never = np.stack([_restricted_mean(rows / runs, p, steps) for p in probabilities])
    at_once = rows.copy()
    at_once[:, -2] += at_once[:, -1]
    at_once[:, -1] = 0.0
    early = np.stack([_restricted_mean(at_once / runs, p, steps) for p in probabilities])
    return Curve(
        value=_list(never[:, 0]),
        low=_list(np.quantile(early[:, 1:], 0.025, axis=1)),
        high=_list(np.quantile(never[:, 1:], 0.975, axis=1)),
        stderr=_list(never[:, 1:].std(axis=1, ddof=1)),
    )


def _counts(sample: Observed) -> Array:
    """Arrivals at steps 0..horizon, and in the last place those that had not arrived."""
    horizon = int(sample.horizon)
    if not np.all(sample.times[sample.censored] == horizon):
        raise DomainError("sample", sample, "censored at one common horizon")
    arrived = sample.times[~sample.censored].astype(np.int64)
    counts = np.bincount(arrived, minlength=horizon + 1).astype(np.float64)
    return np.append(counts, float(sample.censored.sum()))


def _restricted_mean(law: Array, probability: float, steps: int) -> Array:
    """sum over n < steps of P(restarted T > n), for laws in the rows: the renewal recursion.

    In step n: move, coin, look. S_r(n) = q^n S(n) + sum_j p q^(j-1) S(j-1) S_r(n - j).
    """
    keep = 1.0 - probability
    late = 1.0 - np.cumsum(law[:, :-1], axis=1)[:, :steps]  # S(n), n = 0..horizon
    if late.shape[1] < steps:
        last = np.repeat(late[:, -1:], steps - late.shape[1], axis=1)
        late = np.concatenate([late, last], axis=1)
    n = np.arange(steps)
    alive = keep**n * late
    fail = probability * keep ** (n[1:] - 1) * late[:, :-1]  # reset at coin 1, 2, ...
    restarted = np.empty_like(alive)
    backwards = fail[:, ::-1]
    width = fail.shape[1]
    for k in range(steps):
        restarted[:, k] = alive[:, k]
        if k:
            restarted[:, k] += np.einsum("bi,bi->b", backwards[:, width - k :], restarted[:, :k])
    total: Array = restarted.sum(axis=1)
    return total


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


def _list(values: Any) -> list[float]:
    return [float(x) for x in np.atleast_1d(np.asarray(values))]
