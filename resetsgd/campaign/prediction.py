"""Predict from reset-free runs alone, before anything is reset."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.passage.observed import Observed
from resetsgd.protocols import Geometric
from resetsgd.steady import age_average

__all__ = ["Curve", "Prediction", "predict"]

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


def _list(values: Any) -> list[float]:
    return [float(x) for x in np.atleast_1d(np.asarray(values))]
