"""All rates at once: from one reset-free batch, and on common random numbers.

Statistical tests spend 1e-10 each: scores are refused beyond 6.47 standard errors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs
from resetsgd.montecarlo import sweep as module

WALK = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
FREE = rs.first_passage(WALK, 1.0, 0.0)
ALPHA = 1e-10


@pytest.fixture(scope="module")
def strict(budget: Any) -> Any:
    return replace(budget, alpha=ALPHA)


@pytest.fixture(scope="module")
def sample() -> rs.Simulated:
    return rs.simulate(WALK, 1.0, 0.0, paths=100_000, seed=31)


def theory(rates: Any) -> np.ndarray:
    return np.asarray(FREE.under(rs.Poisson(rates)).mean())


def wide(n: int = 3000) -> np.ndarray:
    """Times over eight decades, some of them the same."""
    times = np.exp(np.random.default_rng(5).uniform(-9.0, 9.0, n))
    times[:40] = times[0]
    return times


def mixed() -> tuple[np.ndarray, np.ndarray]:
    """Times censored here and there."""
    generator = np.random.default_rng(6)
    times, limits = generator.exponential(1.0, 2000), generator.exponential(3.0, 2000)
    return np.minimum(times, limits), limits < times


SAMPLES = {
    "wide": (wide(), None),
    "horizon": (np.minimum(wide(), 50.0), wide() > 50.0),
    "mixed": mixed(),
    "alike": (np.full(7, 2.5), None),
    "late": (1e4 + np.random.default_rng(7).random(500), None),
    "zeros": (np.array([0.0, 0.0, 1.0, 3.0]), None),
}
GRIDS = {
    "line": np.linspace(0.05, 10.0, 60),
    "log": np.geomspace(1e-9, 1e3, 60),
    "one": np.array([0.7]),
}


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", SAMPLES)
def test_the_fast_route_is_the_statistic_of_observed_times(name: str, grid: str) -> None:
    times, censored = SAMPLES[name]
    T = rs.observed(times, censored)
    found = rs.renewal_sweep(T, GRIDS[grid])
    with np.errstate(over="ignore"):
        expected = np.asarray(T.under(rs.Poisson(GRIDS[grid])).mean())
    # Where e^{-rT} underflows for every run the plain sum has no answer; the fast one may.
    there = np.isfinite(expected)
    np.testing.assert_allclose(found.means[there], expected[there], rtol=2e-12)
    assert not np.isnan(found.means).any() and not np.isnan(found.stderr).any()
    assert (found.low <= found.means * (1 + 1e-12)).all()


def test_at_rate_zero_it_is_the_mean_of_the_sample() -> None:
    found = rs.renewal_sweep(wide(), [0.0, 1.0])
    assert found.means[0] == pytest.approx(wide().mean(), rel=1e-13)
    assert found.stderr[0] == pytest.approx(wide().std(ddof=1) / np.sqrt(3000), rel=1e-3)


@pytest.mark.parametrize("grid", ["line", "log"])
def test_errors_are_those_of_the_influence_of_each_run(grid: str) -> None:
    times, rates = wide(), GRIDS[grid][20:40]
    found = rs.renewal_sweep(times, rates)
    e = np.exp(-rates[:, None] * times)
    L = e.mean(axis=1, keepdims=True)
    influence = (L - e) / (rates[:, None] * L**2)
    np.testing.assert_allclose(found.covariance, np.cov(influence) / times.size, rtol=1e-8)
    np.testing.assert_allclose(found.stderr**2, np.diag(found.covariance), rtol=1e-12)


def test_greenwood_is_the_same_without_censoring_and_near_the_bootstrap_with_it() -> None:
    from resetsgd.montecarlo.renewal import _greenwood

    rates = np.array([0.3, 1.0, 3.0])
    T = rs.observed(mixed()[0])
    plain = rs.renewal_sweep(T, rates)
    log_success = np.log(np.asarray(T.laplace(rates)))
    general = _greenwood(T, rates, plain.means, log_success)
    np.testing.assert_allclose(general, plain.covariance, rtol=1e-3)
    found = rs.renewal_sweep(rs.observed(*mixed()), rates)
    for k, rate in enumerate(rates):
        law = rs.observed(*mixed())
        low, high = law.interval(rs.Poisson(rate), level=0.6826895, resamples=2000)
        assert found.stderr[k] == pytest.approx(0.5 * (high - low), rel=0.12)


def test_the_bounds_let_censored_runs_arrive_never_or_at_once() -> None:
    times = np.random.default_rng(8).exponential(1.0, 4000)
    T = rs.observed(np.minimum(times, 2.0), times > 2.0)
    rates = np.array([0.1, 1.0, 5.0])
    found = rs.renewal_sweep(T, rates)
    at_once = np.minimum(times, 2.0)
    low = [(1 - np.exp(-r * at_once).mean()) / (r * np.exp(-r * at_once).mean()) for r in rates]
    np.testing.assert_allclose(found.low, low, rtol=1e-12)
    truth = rs.renewal_sweep(times, rates).means
    assert (found.low < truth).all() and (truth < found.means).all()
    with pytest.raises(rs.CensoredMean):
        rs.renewal_sweep(T, [0.0, 1.0])


@pytest.mark.statistical(alpha=ALPHA)
@pytest.mark.parametrize("rates", [np.linspace(0.05, 10.0, 200), np.geomspace(0.01, 50.0, 200)])
def test_the_whole_curve_agrees_with_theory(strict: Any, sample: Any, rates: np.ndarray) -> None:
    """The largest of 200 correlated scores, refused beyond the union bound. Detects 3 %.

    Twins: theory at rates 15 % higher, and at a distance 5 % larger.
    """
    found = rs.renewal_sweep(sample, rates)

    def worst(expected: np.ndarray) -> float:
        return float(np.abs((found.means - expected) / found.stderr).max())

    limit = stats.norm.isf(ALPHA / 2 / rates.size)
    assert worst(theory(rates)) < limit
    assert not worst(theory(1.15 * rates)) < limit
    further = np.asarray(rs.first_passage(WALK, 1.05, 0.0).under(rs.Poisson(rates)).mean())
    assert not worst(further) < limit


@pytest.mark.statistical(alpha=3 * ALPHA)
@pytest.mark.parametrize(
    "process",
    [WALK, rs.OrnsteinUhlenbeck(stiffness=0.5, center=0.5, diffusivity=1.0)],
    ids=["drift", "trap"],
)
def test_simulated_and_renewal_sweeps_agree_with_each_other_and_with_theory(
    strict: Any, process: Any
) -> None:
    """Six rates, 40,000 paths each way. Detects 6 standard errors, some 4 % of the mean.

    Twin: means restricted to the paths that arrived in the first half of the time.
    """
    rates = np.geomspace(0.2, 6.0, 6)
    swept = rs.sweep(process, 1.0, 0.0, rates=rates, paths=40_000, seed=32)
    free = rs.simulate(process, 1.0, 0.0, paths=40_000, seed=33, horizon=1e6)
    renewal = rs.renewal_sweep(free, rates)
    exact = np.asarray(rs.first_passage(process, 1.0, 0.0).under(rs.Poisson(rates)).mean())

    def fits(difference: np.ndarray, spread: np.ndarray) -> bool:
        return bool((np.abs(difference / spread) < stats.norm.isf(ALPHA / 12)).all())

    assert fits(swept.means - exact, swept.stderr)
    assert fits(renewal.means - exact, renewal.stderr)
    assert fits(swept.means - renewal.means, np.hypot(swept.stderr, renewal.stderr))
    early = rs.renewal_sweep(free.times[free.times < np.median(free.times)], rates)
    assert not fits(early.means - swept.means, np.hypot(swept.stderr, early.stderr))


@pytest.mark.statistical(alpha=2 * ALPHA)
@pytest.mark.parametrize("route", ["renewal", "simulated"])
def test_errors_of_differences_are_true(route: str) -> None:
    """200 sweeps of 2000 paths: squared scores of a difference along the curve add up to 200.

    Detects errors that are wrong by 45 %. Twin: errors as if the two were independent.
    """
    pair = np.array([1.0, 1.6])
    exact = float(np.diff(theory(pair))[0])
    true, independent = [], []
    for seed in range(200):
        if route == "renewal":
            free = rs.simulate(WALK, 1.0, 0.0, paths=2000, seed=seed, threads=1)
            found = rs.renewal_sweep(free, pair)
        else:
            found = rs.sweep(WALK, 1.0, 0.0, rates=pair, paths=2000, seed=seed, threads=1)
        gap, spread = found.difference(1, 0)
        true.append((gap - exact) / spread)
        independent.append((gap - exact) / np.hypot(*found.stderr))

    def plausible(scores: list[float]) -> bool:
        total = float(np.square(scores).sum())
        return bool(2 * min(stats.chi2.cdf(total, 200), stats.chi2.sf(total, 200)) >= ALPHA)

    assert plausible(true)
    assert not plausible(independent)


def test_common_random_numbers_make_differences_sharper() -> None:
    found = rs.sweep(WALK, 1.0, 0.0, rates=[1.0, 1.2], paths=20_000)
    assert found.difference(0, 1)[1] < 0.7 * np.hypot(*found.stderr)


def test_a_sweep_is_its_simulations_whatever_the_portion(monkeypatch: Any) -> None:
    well = rs.Landscape(lambda x: (x * x - 1.0) ** 2, diffusivity=0.5)
    job: dict[str, Any] = {"values": [2.0, 6.0, 9.0], "protocol": rs.Sharp, "paths": 300}
    whole = rs.sweep(well, -1.0, 1.0, **job)
    monkeypatch.setattr(module, "_PORTION", 200)
    parts = rs.sweep(well, -1.0, 1.0, **job)
    np.testing.assert_allclose(parts.means, whole.means, rtol=1e-13)
    np.testing.assert_allclose(parts.covariance, whole.covariance, rtol=1e-10)
    alone = rs.simulate(well, -1.0, 1.0, rs.Sharp(6.0), paths=300, step=whole.info["step"])
    assert whole.means[1] == pytest.approx(alone.mean(), rel=1e-14)
    assert whole.stderr[1] == pytest.approx(alone.stderr(), rel=1e-12)
    assert whole.parameter == "period"


@pytest.mark.statistical(alpha=2 * ALPHA)
def test_the_best_rate_is_found_with_its_error(strict: Any, sample: Any) -> None:
    """Detects a best rate wrong by 6 of its errors, some 6 %. Twin: the curve against 1.2 r."""
    rates = np.linspace(0.5, 5.0, 60)
    exact = FREE.best(rs.Poisson)
    found = rs.renewal_sweep(sample, rates)
    best = found.best()
    assert strict.accepts((best.value - exact.rate) / best.value_stderr)
    assert strict.accepts((best.mean - exact.mean) / best.mean_stderr)
    found.values = 1.2 * rates
    twin = found.best()
    assert not strict.accepts((twin.value - exact.rate) / twin.value_stderr)


def test_a_best_rate_at_the_edge_says_so(sample: Any) -> None:
    best = rs.renewal_sweep(sample, np.linspace(0.1, 0.5, 20)).best()
    assert best.at_edge and best.value == 0.5 and best.value_stderr == np.inf


@pytest.mark.parametrize(
    ("times", "rates"),
    [
        (np.array([1e290, 1e-300]), [1e-300, 1.0]),
        (np.array([0.0]), [0.0, 1.0]),
        (np.array([5e-324, 1.0, 1e140]), [0.0, 1e-308, 1e150]),
        (np.full(3, 1e9), [1.0, 1e6]),
    ],
)
def test_no_finite_input_gives_nan(times: np.ndarray, rates: list[float]) -> None:
    found = rs.renewal_sweep(times, rates)
    for values in (found.means, found.stderr, found.low, found.covariance):
        assert not np.isnan(values).any()


def test_wrong_arguments_are_named(sample: Any) -> None:
    under = rs.simulate(WALK, 1.0, 0.0, rs.Poisson(1.0), paths=100)
    with pytest.raises(rs.DomainError, match="passage"):
        rs.renewal_sweep(under, [1.0])
    with pytest.raises(rs.DomainError, match="rates"):
        rs.renewal_sweep(sample, [2.0, 1.0])
    with pytest.raises(rs.DomainError, match="rates"):
        rs.sweep(WALK, 1.0, 0.0)
    with pytest.raises(rs.DomainError, match="values="):
        rs.sweep(WALK, 1.0, 0.0, protocol=rs.Sharp, rates=[1.0])
    with pytest.raises(rs.DomainError, match="fixed"):
        rs.sweep(WALK, 1.0, 0.0, rates=[1.0], fixed={"colour": 1})
    with pytest.raises(rs.DomainError, match="paths"):
        rs.sweep(WALK, 1.0, 0.0, rates=[1.0], paths=1)
    with pytest.raises(rs.DomainError, match="1e\\+290"):
        rs.renewal_sweep([1.0, 1e308], [1e-308, 1e308])
    with pytest.raises(rs.DomainError, match="five"):
        rs.renewal_sweep(sample, [1.0, 2.0]).best()
