"""Toy SGD against what is known exactly: moments of the iterate, risk curves, resets, renewal.

A score is refused beyond 6.47 standard errors, for there are many. 2 10^5 replicas detect
a shift of the mean by 2 % of the standard deviation, and of a variance by 3 %, with probability
0.99.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import resetsgd as rs
from resetsgd.sgd import drift_diffusion, sgd_risk

ALPHA = 1e-10
TASK = rs.LinearTask.drawn(40, 3, noise_rate=0.4, seed=7, test=10, validation=10)
ETA, BATCH, STEPS, PROBABILITY = 0.15, 4, 40, 0.1


@pytest.fixture(name="budget")
def _budget(budget: Any) -> Any:
    """Decides at this file's share."""
    return type(budget)(ALPHA)


def moments(
    task: Any, *, replace: bool = True, momentum: float = 0.0, probability: float = 0.0,
    eta: float = ETA, batch: int = BATCH,
) -> tuple[Any, Any]:  # fmt: skip
    """Exact mean and second moment of (theta, v) after ``STEPS`` steps of least squares.

    One step is linear in them but for the noise of the batch, whose covariance, that of a sample
    over the batch size, is quadratic: both moments follow exactly.
    """
    x, y, d = task.inputs, task.labels, task.dimension
    n = len(x)
    hessian, pull = x.T @ x / n, x.T @ y / n
    factor = 1.0 if replace else (n - batch) / (n - 1)
    # z = (theta, v, 1): one step is z -> step z, plus noise on v and, times -eta, on theta
    step = np.zeros((2 * d + 1, 2 * d + 1))
    step[d : 2 * d, :d], step[d : 2 * d, d : 2 * d] = hessian, momentum * np.eye(d)
    step[d : 2 * d, -1] = -pull
    step[:d] = -eta * step[d : 2 * d]
    step[:d, :d] += np.eye(d)
    step[-1, -1] = 1.0
    noise = np.zeros((2 * d + 1, d))
    noise[:d], noise[d : 2 * d] = -eta * np.eye(d), np.eye(d)
    second = np.zeros((2 * d + 1, 2 * d + 1))
    second[-1, -1] = 1.0  # theta = v = 0
    fresh = second.copy()
    for _ in range(STEPS):
        of_theta = second[:d, :d]
        mean = second[:d, -1]
        residual = np.einsum("ni,ij,nj->n", x, of_theta, x) - 2 * y * (x @ mean) + y * y
        raw = (x * residual[:, None]).T @ x / n
        slope = np.hstack([hessian, np.zeros((d, d)), -pull[:, None]])
        spread = (raw - slope @ second @ slope.T) * factor / batch
        second = step @ second @ step.T + noise @ spread @ noise.T
        second = (1 - probability) * second + probability * fresh
    return second[:d, -1], second[:d, :d]


@lru_cache(maxsize=8)
def trained(seed: int = 1, **options: Any) -> Any:
    return rs.train_sgd(
        TASK, learning_rate=ETA, batch_size=BATCH, steps=STEPS, replicas=200_000, seed=seed,
        **options,
    ).parameters  # fmt: skip


def worst(budget: Any, points: Any, mean: Any, second: Any) -> float:
    """Largest score of all first and second moments."""
    d = points.shape[1]
    found = [budget.score(points[:, i], mean[i]) for i in range(d)]
    for i in range(d):
        found += [budget.score(points[:, i] * points[:, j], second[i, j]) for j in range(i + 1)]
    return max(found, key=abs)


SCHEMES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "different rows": ({"replace": False}, {"replace": False}),
    "momentum": ({"momentum": 0.7}, {"momentum": 0.7}),
    "resets": ({"protocol": rs.Geometric(PROBABILITY)}, {"probability": PROBABILITY}),
    "momentum, resets, different rows": (
        {"momentum": 0.5, "replace": False, "protocol": rs.Geometric(PROBABILITY)},
        {"momentum": 0.5, "replace": False, "probability": PROBABILITY},
    ),
}


@pytest.mark.statistical(alpha=9 * ALPHA)
@pytest.mark.parametrize("name", list(SCHEMES))
def test_mean_and_covariance_of_the_iterate_are_exact(budget: Any, name: str) -> None:
    options, exact = SCHEMES[name]
    assert budget.accepts(worst(budget, trained(**options), *moments(TASK, **exact)))


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("plain", {"replace": False}),
        ("plain", {"eta": 1.03 * ETA}),
        ("plain", {"batch": 5}),
        ("different rows", {"replace": True}),
        ("momentum", {"momentum": 0.69}),
        ("resets", {"probability": 0.105}),
    ],
)
def test_a_wrong_model_of_the_iterate_is_rejected(budget: Any, name: str, mistake: Any) -> None:
    options, exact = SCHEMES[name]
    model = moments(TASK, **{**exact, **mistake})
    assert not budget.accepts(worst(budget, trained(**options), *model))


# --- the risk of SGD on noisy labels, averaged over the labels ------------------------------------

LABELLINGS, NOISE = 300, 0.5


@lru_cache(maxsize=1)
def risks() -> tuple[Any, Any]:
    """Mean risk on the inputs of a task, one row a labelling, and the task itself."""
    task = rs.LinearTask.drawn(30, 4, seed=2)
    generator = np.random.default_rng(5)
    rows = []
    for k in range(LABELLINGS):
        labels = task.clean_labels + NOISE * generator.standard_normal(30)
        noisy = rs.LinearTask(task.inputs, labels, task.clean_labels, task.teacher)
        runs = rs.train_sgd(
            noisy, learning_rate=0.1, batch_size=3, steps=60, replicas=100, seed=k,
            record=["clean_loss"], record_every=20, threads=1,
        )  # fmt: skip
        rows.append(2.0 * runs.traces["clean_loss"].mean(axis=0))
    return np.array(rows), task


@pytest.mark.statistical(alpha=3 * ALPHA)
def test_risk_is_that_of_the_dictionary(budget: Any) -> None:
    rows, task = risks()
    exact = sgd_risk(task.inputs, task.teacher, NOISE**2, 0.1, 3, 60)[::20]
    scores = [budget.score(rows[:, k], exact[k]) for k in (1, 2, 3)]
    assert all(budget.accepts(score) for score in scores), scores


def test_the_risk_of_a_wrong_batch_size_is_rejected(budget: Any) -> None:
    rows, task = risks()
    exact = sgd_risk(task.inputs, task.teacher, NOISE**2, 0.1, 1, 60)[::20]
    assert not all(budget.accepts(budget.score(rows[:, k], exact[k])) for k in (1, 2, 3))


# --- one step against the dictionary --------------------------------------------------------------


def first_steps(**options: Any) -> Any:
    """Projections of the first step, whose drift and diffusivity the dictionary knows exactly."""
    start = np.array([0.3, -0.2, 0.5])
    runs = rs.train_sgd(
        TASK, start, learning_rate=ETA, batch_size=BATCH, steps=1, replicas=200_000, seed=3,
        record=["projection"], record_every=1, **options,
    )  # fmt: skip
    direction = TASK.teacher - start
    statistics = TASK.gradient_statistics(start)
    samples = None if options.get("replace", True) else TASK.samples
    given = {k: v for k, v in options.items() if k == "weight_decay"}
    along = drift_diffusion(
        **statistics, direction=direction, learning_rate=ETA, batch_size=BATCH, samples=samples,
        **given,
    )  # fmt: skip
    return runs.traces["projection"][:, 1], along


@pytest.mark.statistical(alpha=2 * ALPHA)
@pytest.mark.parametrize("options", [{}, {"replace": False}, {"weight_decay": 0.3}])
def test_drift_and_diffusivity_of_a_step_are_those_of_the_dictionary(
    budget: Any, options: Any
) -> None:
    moved, along = first_steps(**options)
    assert budget.accepts(budget.score(moved, along.velocity))
    assert budget.accepts(budget.score((moved - along.velocity) ** 2 / 2.0, along.diffusivity))


def test_another_diffusivity_of_a_step_is_rejected(budget: Any) -> None:
    moved, _ = first_steps(replace=False)
    _, along = first_steps()
    score = budget.score((moved - along.velocity) ** 2 / 2.0, along.diffusivity)
    assert not budget.accepts(score)


# --- renewal --------------------------------------------------------------------------------------

NOISY = rs.LinearTask.drawn(100, 8, noise_rate=0.4, seed=1, test=10, validation=10)
TARGET = rs.Reaches("distance", below=0.2)


@lru_cache(maxsize=8)
def passage(seed: int, protocol: Any = None) -> Any:
    return rs.simulate_sgd(
        NOISY, TARGET, learning_rate=0.05, batch_size=5, protocol=protocol, replicas=60_000,
        horizon=1_500 if protocol is None else 10**6, seed=seed,
    )  # fmt: skip


@pytest.mark.statistical(alpha=ALPHA)
@pytest.mark.parametrize(
    "protocol",
    [
        rs.Geometric(0.01), rs.Geometric(0.03, order="move-look-coin"), rs.Poisson(0.02),
        rs.Sharp(50.0),
    ],
)  # fmt: skip
def test_mean_under_resets_follows_from_reset_free_runs(budget: Any, protocol: Any) -> None:
    if isinstance(protocol, rs.Poisson):  # rounded up to steps it is a coin at each step
        expected: Any = rs.Geometric(-np.expm1(-protocol.rate))
    else:
        expected = protocol
    free = passage(1)
    assert budget.accepts(_difference(passage(2, protocol), free, expected))


def _difference(simulated: Any, free: Any, protocol: Any) -> float:
    """Mean under resets, simulated and from the renewal formula, in standard errors."""
    predicted = free.under(protocol)
    error = np.hypot(simulated.stderr(), predicted.stderr())
    return float((simulated.mean() - predicted.mean()) / error)


@pytest.mark.parametrize("wrong", [rs.Geometric(0.02), rs.Geometric(0.03)])
def test_a_wrong_protocol_is_rejected(budget: Any, wrong: Any) -> None:
    """Twice the rate of resets; the other order of coin and look."""
    protocol = rs.Geometric(0.01)
    if wrong.probability == 0.03:
        protocol = rs.Geometric(0.03, order="move-look-coin")
    assert not budget.accepts(_difference(passage(2, protocol), passage(1), wrong))
