"""Samples against laws, measured runs against direct definitions, and tests that must say no."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs
from resetsgd.statistics import holm

ALPHA = 1e-9
BAR = np.sqrt(np.log(2 / ALPHA) / 2)  # Dvoretzky, Kiefer, Wolfowitz, Massart
Z = float(stats.norm.isf(ALPHA / 2))
PROTOCOLS = [
    rs.Poisson(0.7),
    rs.Sharp(0.8),
    rs.Geometric(0.2, step=0.3),
    rs.Geometric(0.2, step=0.3, order="move-look-coin"),
]


def walk(peclet: float) -> rs.PassageTime:
    return rs.first_passage(rs.DriftDiffusion(-2 * peclet, 1.0), start=1.0, target=0.0)


def distance(draws, law):
    """Kolmogorov's, times sqrt(n); infinite draws count as never."""
    x = np.sort(draws)
    grid = np.concatenate([np.linspace(1e-3, 10, 400), [1e3]])
    below = np.searchsorted(x, grid, side="right") / x.size
    return np.sqrt(x.size) * np.max(np.abs(below - (1 - law.survival(grid))))


@pytest.mark.statistical(alpha=9 * ALPHA)
@pytest.mark.parametrize("peclet", [1.5, 0.0, -0.5])
def test_samples_follow_the_law_and_not_that_of_a_twin(peclet):
    T = walk(peclet)
    draws = T.sample(40_000, seed=1)
    assert distance(draws, T) < BAR
    assert distance(draws, walk(peclet + 0.15)) > BAR  # the twin


@pytest.mark.statistical(alpha=8 * ALPHA)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_restarts_follow_the_defining_recursion_and_not_a_twin(protocol):
    T = walk(0.3)
    R = T.under(protocol)
    random = np.random.default_rng(3)
    total, running = np.zeros(20_000), np.arange(20_000)
    while running.size:  # written out again, from the definition
        free = T.sample(running.size, seed=random)
        if isinstance(protocol, rs.Poisson):
            wait = random.exponential(1 / protocol.rate, running.size)
        elif isinstance(protocol, rs.Sharp):
            wait = np.full(running.size, protocol.period)
        else:
            wait = random.geometric(protocol.probability, running.size) * protocol.step
        total[running] += np.minimum(free, wait)
        running = running[free >= wait]
    for draws in (total, R.sample(20_000, seed=4)):
        assert distance(draws, R) < BAR
        assert abs(draws.mean() - R.mean()) < Z * R.std() / np.sqrt(draws.size)
    assert distance(total, walk(0.6).under(protocol)) > BAR  # the twin
    assert distance(total, T) > BAR


def law_of_integers(seed):
    random = np.random.default_rng(seed)
    return random.integers(1, 9, 40).astype(float)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("p", [0.05, 0.4, 0.9])
def test_the_order_of_coin_and_look(seed, p):
    times = law_of_integers(seed)
    chance = np.bincount(times.astype(int), minlength=10) / times.size
    late = 1 - np.cumsum(chance)
    hazard = chance[1:] / np.maximum(1 - np.cumsum(chance)[:-1], 1e-300)
    means = {}
    for order in ("move-coin-look", "move-look-coin"):
        size = 9  # state = steps since the last reset; solve (1 - transition) m = 1
        step = np.zeros((size, size))
        for age in range(size):
            arrive = min(hazard[age], 1.0) if age < hazard.size and late[age] > 0 else 1.0
            if order == "move-coin-look":
                step[age, 0] += p
                if age + 1 < size:
                    step[age, age + 1] += (1 - p) * (1 - arrive)
            else:
                step[age, 0] += p * (1 - arrive)
                if age + 1 < size:
                    step[age, age + 1] += (1 - p) * (1 - arrive)
        means[order] = np.linalg.solve(np.eye(size) - step, np.ones(size))[0]
        got = rs.observed(times).under(rs.Geometric(p, order=order)).mean()
        assert got == pytest.approx(means[order], rel=1e-11)
    generating = np.mean((1 - p) ** times)
    assert means["move-coin-look"] == pytest.approx((1 - generating) / (p * generating), rel=1e-11)
    ratio = means["move-look-coin"] / means["move-coin-look"]
    assert ratio == pytest.approx(1 - p, rel=1e-11)


@pytest.mark.statistical(alpha=4 * ALPHA)
@pytest.mark.parametrize("protocol", [rs.Poisson(0.2), rs.Sharp(4.5), rs.Geometric(0.2),
                                      rs.Geometric(0.2, order="move-look-coin")])  # fmt: skip
def test_restarts_of_a_sample_agree_with_playing_them(protocol):
    R = rs.observed(law_of_integers(7)).under(protocol)
    draws = R.sample(40_000, seed=8)
    assert abs(draws.mean() - R.mean()) < Z * R.std() / 200
    assert draws.std() == pytest.approx(R.std(), rel=0.05)
    twin = rs.observed(law_of_integers(7) + 0.9).under(protocol)
    assert abs(draws.mean() - twin.mean()) > Z * R.std() / 200
    grid = np.arange(1, 15) + 0.5
    empirical = (draws[:, None] > grid).mean(axis=0)
    assert R.survival(grid) == pytest.approx(empirical, abs=2e-2)


@pytest.mark.parametrize("seed", range(6))
def test_kaplan_meier_is_scipys(seed):
    random = np.random.default_rng(seed)
    times = random.integers(1, 30, 60).astype(float)
    censored = random.random(60) < 0.3
    E = rs.observed(times, censored=censored)
    data = stats.CensoredData(times[~censored], right=times[censored])
    scipy = stats.ecdf(data).sf
    assert E.survival(scipy.quantiles) == pytest.approx(scipy.probabilities, abs=1e-14)
    grid = np.linspace(0, 20, 20_001)
    area = np.sum(E.survival(grid[:-1])) * (grid[1] - grid[0])
    assert E.restricted_mean(20.0) == pytest.approx(area, abs=2e-3)


def test_complete_samples_are_exact():
    E = rs.observed([3, 8, 2, 50, 50], censored=[False, False, False, True, True])
    assert E.survival(10) == 0.4 and E.survival(0) == 1.0 and E.tail == 0.4
    times = law_of_integers(3)
    E = rs.observed(times)
    assert E.mean() == pytest.approx(times.mean(), rel=1e-14)
    assert E.var() == pytest.approx(times.var(ddof=1), rel=1e-13)
    assert E.stderr() == pytest.approx(stats.sem(times), rel=1e-13)
    assert E.restricted_stderr(1e9) == pytest.approx(stats.sem(times), rel=1e-12)
    assert E.quantile(0.5) == np.quantile(times, 0.5, method="inverted_cdf")


def test_restricted_stderr_against_the_bootstrap():
    random = np.random.default_rng(0)
    arrive, stop = random.exponential(5, 300), random.uniform(4, 20, 300)
    times, censored = np.minimum(arrive, stop), stop < arrive
    again = []
    for _ in range(400):
        i = random.integers(0, 300, 300)
        again.append(rs.observed(times[i], censored=censored[i]).restricted_mean(10.0))
    mine = rs.observed(times, censored=censored).restricted_stderr(10.0)
    assert mine == pytest.approx(np.std(again), rel=0.2)  # 20 %: 5.6 of its standard errors


def by_definition(E, tau):
    """Mean and standard error restricted to tau: all areas under the curve anew for each time."""
    at, arrivals, losses = E._counts
    mass, late = E._law

    def area(x):
        return float(mass @ np.minimum(at, x) + late[-1] * x)

    left = np.array([area(tau) - area(x) if x <= tau else 0.0 for x in at])
    at_risk = np.cumsum((arrivals + losses)[::-1])[::-1]
    spare = at_risk - arrivals
    terms = left**2 * arrivals / (at_risk * np.where(spare > 0, spare, np.inf))
    return area(tau), np.sqrt(terms.sum() * E.runs / max(E.runs - 1, 1))


@pytest.mark.parametrize("runs", [1, 2, 7, 300])
@pytest.mark.parametrize("lost", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("grid", [None, 0.2])
def test_moments_without_sorting_are_those_of_the_definition(runs, lost, grid):
    random = np.random.default_rng([runs, int(10 * lost)])
    times = random.exponential(1.0, runs)
    times = times if grid is None else np.ceil(times / grid) * grid
    censored = random.random(runs) < lost
    censored[0] = False
    for late in (censored, times == times.max(), np.zeros(runs, bool)):
        if late.all():
            continue
        E = rs.observed(times, censored=late)
        for tau in (0.0, 0.3, 1.0, times.max(), 1.5 * times.max()):
            mean, stderr = by_definition(E, tau)
            assert E.restricted_mean(tau) == pytest.approx(mean, rel=1e-12, abs=1e-300)
            assert E.restricted_mean(np.array([tau, 0.1]))[0] == pytest.approx(mean, rel=1e-12)
            stderr = stderr if runs > 1 else np.inf
            assert E.restricted_stderr(tau) == pytest.approx(stderr, rel=1e-9, abs=1e-14)
        if not E.censored.any():
            assert E.mean() == pytest.approx(float(E._mass @ E._at), rel=1e-12)
            spread = float(E._mass @ (E._at - E.mean()) ** 2) * runs / max(runs - 1, 1)
            assert E.var() == pytest.approx(spread, rel=1e-12)
            assert E.cv() == pytest.approx(np.sqrt(spread) / E.mean(), rel=1e-12)


def test_moments_of_a_million_runs_need_no_sorting():
    """Where a run was lost before tau the curve is needed, and made; neither pass is quadratic."""
    times = np.random.default_rng(0).exponential(1.0, 1_000_000)
    E = rs.observed(np.minimum(times, 2.0), censored=times > 2.0)
    E.restricted_mean(2.0), E.restricted_stderr(1.0), rs.observed(times).stderr()
    assert "_counts" not in vars(E)
    early = rs.observed(times, censored=np.arange(times.size) % 3 == 0)
    assert 0.3e-3 < early.restricted_stderr(1.0) < 0.4e-3
    assert "_counts" in vars(early)
    with pytest.raises(rs.CensoredMean):
        E.mean()
    huge = rs.observed(np.full(4, 1e308))
    assert huge.mean() == pytest.approx(1e308, rel=1e-15)


@pytest.mark.statistical(alpha=ALPHA)
def test_interval_covers_and_the_naive_one_does_not():
    T, protocol, horizon = walk(0.0), rs.Geometric(0.05, step=0.1), 2.0
    true = T.under(protocol).mean()
    random = np.random.default_rng(11)
    inside = naive = 0
    for k in range(250):
        times = T.sample(60, seed=random)
        censored = times > horizon
        times = np.minimum(times, horizon)
        E = rs.observed(times, censored=censored)
        low, high = E.interval(protocol, resamples=200, seed=k)
        inside += low <= true <= high
        low, high = rs.observed(times).interval(protocol, resamples=200, seed=k)
        naive += low <= true <= high
    least = stats.binom.ppf(ALPHA, 250, 0.93)  # 95 % nominal, bootstrap of 60 runs
    assert inside >= least
    assert naive < least  # the twin: censored runs taken for arrivals


@pytest.mark.statistical(alpha=2 * ALPHA)
def test_compare_raises_few_false_alarms_and_sees_what_matters():
    T, other = walk(1.0), walk(1.0 / 1.3)
    alarms = seen = 0
    for k in range(200):
        S = rs.observed(T.sample(2000, seed=k))
        alarms += rs.compare(S, T).verdict == "fails"
        seen += rs.compare(S, other).verdict == "fails"
    assert alarms <= stats.binom.isf(ALPHA, 200, 0.02)  # 1 % nominal; skewed times, 2000 runs
    assert seen >= stats.binom.ppf(ALPHA, 200, 0.9)
    assert rs.compare(rs.observed(T.sample(20, seed=0)), T).verdict == "underpowered"


def test_compare_restricts_to_the_common_horizon():
    T = walk(0.0)
    times = T.sample(4000, seed=2)
    S = rs.observed(np.minimum(times, 5.0), censored=times > 5.0)
    verdict = rs.compare(S, T)
    assert verdict.horizon == 5.0 and verdict.verdict == "holds"
    assert rs.compare(S, walk(0.5)).verdict == "fails"


def test_holm_is_its_definition():
    random = np.random.default_rng(0)
    for _ in range(20):
        p = random.random(7) ** 3
        order = np.argsort(p)
        for alpha in (0.01, 0.05, 0.3):
            rejected = np.zeros(7, dtype=bool)
            for rank, i in enumerate(order):
                if p[i] >= alpha / (7 - rank):
                    break
                rejected[i] = True
            assert np.array_equal(holm(p) < alpha, rejected)


@pytest.mark.statistical(alpha=3 * ALPHA)
@pytest.mark.parametrize("protocol", [rs.Poisson(0.5), rs.Sharp(4.0), rs.Geometric(0.2)])
def test_age_average_against_ages(protocol):
    curve = np.cos(np.arange(60) / 4.0)
    value = rs.age_average(curve, protocol, tail="hold")
    random = np.random.default_rng(1)
    if isinstance(protocol, rs.Poisson):
        ages = random.exponential(1 / protocol.rate, 200_000)
    elif isinstance(protocol, rs.Sharp):
        ages = random.uniform(0, protocol.period, 200_000)
    else:
        ages = random.geometric(protocol.probability, 200_000) - 1.0
    seen = np.interp(ages, np.arange(60), curve)
    assert abs(seen.mean() - value) < Z * seen.std() / np.sqrt(ages.size)
    assert abs(seen.mean() - curve.mean()) > Z * seen.std() / np.sqrt(ages.size)  # the twin


def test_age_average_closed_sums():
    curve = np.arange(2000.0)
    p, q = 0.05, 0.95
    assert rs.age_average(curve, rs.Geometric(p)) == pytest.approx(q / p, rel=1e-12)
    other = rs.Geometric(p, order="move-look-coin")
    assert rs.age_average(curve, other) == pytest.approx(1 / p, rel=1e-12)
    assert rs.age_average(curve, rs.Poisson(0.1)) == pytest.approx(10.0, rel=1e-12)
    assert rs.age_average(curve, rs.Sharp(30.0)) == pytest.approx(15.0, rel=1e-12)
    both = rs.age_average(np.stack([curve, curve**0]), rs.Poisson([0.1, 0.2]))
    assert both == pytest.approx(np.array([[10.0, 1.0], [5.0, 1.0]]), rel=1e-12)


def test_traces_conventions():
    E = rs.from_traces([[0.1, 0.5, 0.9], [0.1, 0.2, 0.3]], threshold=0.5)
    assert E.times.tolist() == [2.0, 3.0] and E.censored.tolist() == [False, True]
    E = rs.from_traces([[0.9, 0.5], [0.2, 0.9]], threshold=0.5, direction="below", first=0)
    assert E.times.tolist() == [1.0, 0.0] and not E.censored.any()
