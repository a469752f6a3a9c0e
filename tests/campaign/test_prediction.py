"""Predictions against independent computations, and verdicts on experiments of known outcome."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import resetsgd as rs
from resetsgd.campaign.judgement import Judgement, judge
from resetsgd.campaign.prediction import Prediction, _restricted_mean, predict
from resetsgd.errors import DomainError

HORIZON, STEPS = 60, 150
FACTORS = (0.5, 1.0, 2.0)
ALPHA = 1e-9
Array = npt.NDArray[Any]


def law(early: float = 0.45) -> Array:
    """P(T = n), n = 0..HORIZON, and in the last place what comes later: an early chance or never.

    Nothing arrives before step 3, so that resetting has an optimum strictly inside (0, 1).
    """
    mass = np.zeros(HORIZON + 2)
    n = np.arange(3, 13)
    mass[n] = early * (wave := n * np.exp(-n / 3.0)) / wave.sum()
    mass[13 : HORIZON + 1] = 0.2 / (HORIZON - 12)
    mass[-1] = 1.0 - mass.sum()
    return mass


def by_ages(mass: Array, p: float, steps: int) -> float:
    """sum over n < steps of P(T_r > n), by following how likely every age is; move, coin, look."""
    late = 1.0 - np.cumsum(mass[:-1])
    late = np.append(late, np.full(steps, late[-1]))
    alive = np.zeros(steps + 1)
    alive[0] = late[0]
    total = 0.0
    for _ in range(steps):
        total += alive.sum()
        moved = np.zeros_like(alive)
        moved[0] = p * alive.sum()
        moved[1:] = (1.0 - p) * alive[:-1] * late[1 : steps + 1] / late[:steps]
        alive = moved
    return total


def arrivals(
    mass: Array, p: float, runs: int, seed: int, *, look_first: bool = False
) -> tuple[Array, Array]:
    """Runs under resetting, step by step, up to STEPS: their times, and whether censored."""
    generator = np.random.default_rng(seed)

    def fresh(count: int) -> Array:
        drawn = generator.choice(mass.size, size=count, p=mass)
        return np.where(drawn == mass.size - 1, 10**6, drawn)

    goal, age = fresh(runs), np.zeros(runs, dtype=np.int64)
    times = np.zeros(runs)
    for step in range(1, STEPS + 1):
        age += 1
        there = age == goal
        coin = generator.random(runs) < p
        if not look_first:
            there &= ~coin
        times = np.where((times == 0) & there, step, times)
        goal = np.where(coin, fresh(runs), goal)
        age = np.where(coin, 0, age)
    return np.where(times > 0, times, STEPS).astype(np.float64), times == 0


def curve(a: Array) -> Array:
    """A true accuracy against age: it falls."""
    return 0.7 + 0.2 * np.exp(-a / 20.0)


AGES = np.append(np.arange(0, HORIZON, 4), HORIZON)


def averaged(values: Array, at: Array, p: float) -> Any:
    """Age average, summed term by term; the last value holds beyond the last age."""
    age = np.arange(4000)
    weight = p * (1.0 - p) ** age
    return np.array([weight @ np.interp(age, at, row) for row in np.atleast_2d(values)])


def reset_free(runs: int, seed: int, mass: Array | None = None) -> tuple[rs.Observed, Array]:
    generator = np.random.default_rng(seed)
    chosen = law() if mass is None else mass
    drawn = generator.choice(chosen.size, size=runs, p=chosen)
    sample = rs.observed(np.minimum(drawn, HORIZON), censored=drawn > HORIZON)
    noise = 0.02 * generator.standard_normal((runs, 1))
    return sample, curve(AGES) + noise


def predicted(runs: int = 3000, seed: int = 1, factors: tuple[float, ...] = FACTORS) -> Prediction:
    sample, accuracy = reset_free(runs, seed)
    return predict(
        sample, accuracy, AGES, factors=factors, measured_steps=STEPS, target=0.9, made_from={}
    )


def judged(
    prediction: Prediction,
    *,
    seed: int,
    runs: int = 1000,
    mass: Array | None = None,
    probability: float = 1.0,
    look_first: bool = False,
    shift: float = 0.0,
    level: float = 1.0 - ALPHA,
) -> Judgement:
    """The verdict on simulated measurements: of the true model, unless told otherwise."""
    chosen = law() if mass is None else mass
    passages, accuracies = [], []
    for i, p in enumerate(prediction.planned):
        q = min(probability * p, 0.95)
        found = arrivals(chosen, q, runs, seed + i, look_first=look_first)
        passages.append(rs.observed(*found))
        noise = 0.02 * np.random.default_rng([seed, i]).standard_normal(runs)
        accuracies.append(averaged(curve(AGES), AGES, p) + shift + noise)
    return judge(prediction, passages, accuracies, prediction_sha256="0" * 64, level=level)


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    return predicted()


# Numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.001, 0.05, 0.3, 0.9])
@pytest.mark.parametrize("steps", [1, 2, 40, HORIZON, HORIZON + 1, HORIZON + 2, STEPS])
def test_restricted_mean_against_following_the_ages(p: float, steps: int) -> None:
    masses = np.stack([law(), law(0.1), law(0.7)])
    found = _restricted_mean(masses, p, steps)
    expected = [by_ages(mass, p, steps) for mass in masses]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_restricted_mean_tends_to_the_mean() -> None:
    q, mass = 0.9, law()
    g = float(mass[:-1] @ q ** np.arange(HORIZON + 1))
    found = _restricted_mean(mass[None], 0.1, 3000)
    np.testing.assert_allclose(found, (1.0 - g) / (0.1 * g), rtol=1e-10)


def test_wrong_order_has_another_restricted_mean() -> None:
    """The step-by-step simulation and the recursion agree, and not with the other order."""
    p, runs = 0.3, 20_000
    expected = float(_restricted_mean(law()[None], p, STEPS)[0])
    for look_first in (False, True):
        times, _ = arrivals(law(), p, runs, 5, look_first=look_first)
        z = (times.mean() - expected) / (times.std() / np.sqrt(runs))
        assert (abs(z) > 20) if look_first else (abs(z) < 6), z


def test_predicted_means_are_those_of_the_sample(prediction: Prediction) -> None:
    sample, _ = reset_free(3000, 1)
    counts = np.bincount(sample.times[~sample.censored].astype(int), minlength=HORIZON + 1)
    mass = np.append(counts, sample.censored.sum()) / 3000
    p = np.array(prediction.probabilities)
    g = mass[:-1] @ (1.0 - p) ** np.arange(HORIZON + 1)[:, None]
    np.testing.assert_allclose(prediction.mean.value, (1.0 - g) / (p * g), rtol=1e-10)
    restricted = [by_ages(mass, x, STEPS) for x in prediction.planned]
    np.testing.assert_allclose(prediction.planned_mean.value, restricted, rtol=1e-10)
    late = np.append(1.0, 1.0 - np.cumsum(mass[1:-1]))[:HORIZON].sum()
    assert prediction.reset_free_restricted_mean == pytest.approx(late, rel=1e-12)
    assert prediction.runs == 3000 and prediction.censored == sample.censored.sum()


def test_predicted_optimum_is_the_least_mean(prediction: Prediction) -> None:
    assert prediction.pays
    assert prediction.optimal_mean <= min(prediction.mean.value) * (1 + 1e-12)
    assert prediction.optimal_mean == pytest.approx(min(prediction.mean.value), rel=0.01)
    low, high = prediction.probability_interval
    assert 0 < low <= prediction.probability <= high < 1
    low, high = prediction.optimal_mean_interval
    assert low <= prediction.optimal_mean <= high
    asked = np.array(FACTORS) * prediction.probability
    # a mean age beyond a quarter of the horizon is not asked of the data
    np.testing.assert_allclose(prediction.planned, np.maximum(asked, 4 / HORIZON), rtol=1e-12)
    bound = prediction.reset_free_restricted_mean / prediction.optimal_mean
    assert prediction.speedup_at_least == pytest.approx(bound, rel=1e-9)


def test_intervals_and_errors_are_of_the_size_of_the_scatter() -> None:
    """Over repetitions, values scatter as their standard errors say, and intervals cover them."""
    p, found, errors, covered = 0.1, [], [], 0
    truth = by_ages(law(), p, STEPS)
    from resetsgd.campaign.prediction import _restricted

    for seed in range(60):
        sample, _ = reset_free(200, 1000 + seed)
        c = _restricted(sample, np.array([p]), STEPS, 0)
        found.append(c.value[0])
        errors.append(c.stderr[0])
        covered += c.low[0] <= truth <= c.high[0]
    assert 0.7 < np.std(found) / np.mean(errors) < 1.4
    assert abs(np.mean(found) / truth - 1.0) < 0.05
    assert covered >= 50  # of 57 expected


def test_accuracy_is_the_geometric_sum(prediction: Prediction) -> None:
    _, accuracy = reset_free(3000, 1)
    pairs = (
        (prediction.probabilities[::12], prediction.accuracy, 12),
        (prediction.planned, prediction.planned_accuracy, 1),
    )
    for probabilities, c, stride in pairs:
        for i, p in enumerate(probabilities):
            each = averaged(accuracy, AGES, p)
            error = each.std(ddof=1) / np.sqrt(each.size)
            assert c.value[i * stride] == pytest.approx(each.mean(), rel=1e-10)
            assert c.stderr[i * stride] == pytest.approx(error, rel=1e-8)
            assert c.high[i * stride] - c.low[i * stride] == pytest.approx(3.92 * error, rel=1e-8)


def test_prediction_is_the_same_every_time() -> None:
    assert predicted(300) == predicted(300)


def test_resetting_that_does_not_pay_is_said() -> None:
    """Arrivals ever more likely with age: going back can only cost time."""
    generator = np.random.default_rng(3)
    times = np.clip(np.rint(40 + 4 * generator.standard_normal(300)), 1, HORIZON)
    sample = rs.observed(times)
    accuracy = curve(AGES) + 0.02 * generator.standard_normal((300, 1))
    found = predict(
        sample, accuracy, AGES, factors=FACTORS, measured_steps=STEPS, target=0.9, made_from={}
    )
    assert not found.pays and found.reason
    assert all(0 < p < 1 for p in found.planned)
    assert all(low <= high for low, high in zip(found.mean.low, found.mean.high, strict=True))


def test_runs_followed_for_different_times_are_refused() -> None:
    sample = rs.observed([*[3.0] * 20, 20.0, 60.0], censored=[False] * 20 + [True] * 2)
    with pytest.raises(DomainError, match="one common horizon") as error:
        predict(
            sample,
            np.tile(curve(AGES), (22, 1)),
            AGES,
            factors=FACTORS,
            measured_steps=STEPS,
            target=0.9,
            made_from={},
        )
    assert "\n" not in str(error.value)


# Verdicts -----------------------------------------------------------------------------------------


@pytest.mark.statistical(alpha=5 * ALPHA)
@pytest.mark.parametrize("seed", [11, 12, 13, 14, 15])
def test_a_true_prediction_holds_and_its_wrong_twins_fail(
    prediction: Prediction, seed: int
) -> None:
    """At a family-wise level of 1 - ALPHA, so that a false alarm is as rare as ALPHA."""
    found = judged(prediction, seed=seed)
    assert found.status == "holds", found.sentence
    assert found.sentence.startswith("The prediction held: resetting was predicted to pay")
    assert len(found.points) == 2 * len(prediction.planned)
    assert not judged(prediction, seed=seed, mass=law(0.3)).status.startswith("holds")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("another law", {"mass": law(0.3)}),
        ("resets four times as often", {"probability": 4.0}),
        ("resets four times as rarely", {"probability": 0.25}),
        ("another accuracy", {"shift": 0.02}),
    ],
)
def test_wrong_twins_fail(prediction: Prediction, name: str, wrong: dict[str, Any]) -> None:
    found = judged(prediction, seed=21, **wrong)
    assert found.status == "fails", (name, found.sentence)
    assert found.sentence.startswith("The prediction failed")


def test_the_wrong_order_fails_at_a_probability_where_it_matters() -> None:
    centre = predicted().probability
    often = predicted(factors=(0.3 / centre,))
    assert often.planned == pytest.approx([0.3])
    assert judged(often, seed=31).status == "holds"
    assert judged(often, seed=31, look_first=True).status == "fails"


def test_too_few_runs_are_underpowered() -> None:
    found = judged(predicted(60), seed=41, runs=6, level=0.99)
    assert found.status == "underpowered", found.sentence
    assert found.sentence.startswith("The data are too few to tell")
    assert max(point.resolution for point in found.points) > np.log(2.0)


def test_the_negative_control_is_rejected_when_resetting_matters(prediction: Prediction) -> None:
    found = judged(prediction, seed=51)
    assert max(abs(z) for z in found.control_z) > 8


def test_points_are_what_they_say(prediction: Prediction) -> None:
    found = judged(prediction, seed=61, level=0.99)
    for i, point in enumerate(found.points):
        p = prediction.planned[i // 2]
        c = prediction.planned_accuracy if i % 2 else prediction.planned_mean
        assert point.quantity == ("long-run test accuracy" if i % 2 else "mean passage time")
        assert (point.probability, point.runs) == (p, 1000)
        assert (point.predicted, point.predicted_stderr) == (c.value[i // 2], c.stderr[i // 2])
        error = np.hypot(
            point.predicted_stderr / point.predicted, point.measured_stderr / point.measured
        )
        z = np.log(point.measured / point.predicted) / error
        assert point.z == pytest.approx(z, rel=1e-12)
        if not i % 2:
            times, censored = arrivals(law(), p, 1000, 61 + i // 2)
            assert point.measured == pytest.approx(times.mean(), rel=1e-12)
            assert point.measured_stderr == pytest.approx(times.std() / np.sqrt(1000), rel=2e-3)
            assert point.censored == censored.sum()
    assert all(0 <= point.p <= 1 for point in found.points)
