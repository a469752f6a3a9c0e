"""Waiting times of any law: integrals against T, the renewal equation, samples, data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs
from resetsgd.passage import inversion, waiting
from resetsgd.passage.lattice_time import LatticeTime


def walk(drift: float) -> rs.PassageTime:
    process = rs.DriftDiffusion(drift=drift, diffusivity=1.0)
    return rs.first_passage(process, start=1.0, target=0.0)


FREE = walk(0.0)
RATES = np.geomspace(1e-3, 1e3, 13)
EXPONENTIAL = {
    "gamma": lambda r: rs.Gamma(r, 1.0),
    "weibull": lambda r: rs.Weibull(1.0 / r, 1.0),
    "scipy": lambda r: rs.Waiting(stats.expon(), 1.0 / r),
    "schedule": lambda r: rs.Schedule(np.ones_like, factor=r),
}
LAWS = {
    "gamma": rs.Gamma(4.0, 2.0),
    "gamma, diverging density": rs.Gamma(1.0, 0.5),
    "weibull": rs.Weibull(0.6, 3.3),
    "weibull, long": rs.Weibull(0.5, 0.5),
    "uniform": rs.Uniform(0.2, 0.8),
    "pareto": rs.Pareto(0.3, 1.5),
    "pareto, no mean": rs.Pareto(0.3, 0.6),
    "lognormal": rs.Waiting(stats.lognorm(0.5), 0.5),
    "discrete": rs.Waiting(stats.randint(1, 5), 0.25),
}
REFERENCES = {0.501: 566.6261281830122, 0.6: 6.493744503747279, 1.5: 1.580861995597939,
              5.0: 1.3680924678252733}  # mpmath, 30 digits: int S S_R / int f S_R  # fmt: skip


@pytest.mark.parametrize("drift", [0.0, -0.5, -3.0, 0.5])
@pytest.mark.parametrize("law", EXPONENTIAL)
def test_exponential_waits_are_poisson(drift, law):
    T = walk(drift)
    if law == "scipy" and drift == -3.0:
        return
    a, b = T.under(rs.Poisson(RATES)), T.under(EXPONENTIAL[law](RATES))
    assert b.mean() == pytest.approx(a.mean(), rel=1e-12)
    assert b.var() == pytest.approx(a.var(), rel=1e-11)
    assert b.laplace(0.7) == pytest.approx(a.laplace(0.7), rel=1e-12)
    assert b.resets() == pytest.approx(a.resets(), rel=1e-12)
    slopes = b.protocol.slope(T), a.protocol.slope(T)
    assert slopes[0] == pytest.approx(slopes[1], abs=1e-11)
    twin = T.under(rs.Gamma(RATES, 1.0 + 1e-9))  # the comparison sees a shape off by 1e-9
    assert np.any(np.abs(twin.mean() / a.mean() - 1) > 1e-11)


@pytest.mark.parametrize("rate", [0.01, 1.0, 10.0, 60.0, 300.0])
def test_renewal_equation_against_inversion(rate):
    a, b = FREE.under(rs.Poisson(rate)), FREE.under(rs.Gamma(rate, 1.0))
    t = a.mean() * np.geomspace(1e-3, 20.0, 40)
    assert b.survival(t) == pytest.approx(a.survival(t), abs=1e-9)
    assert b.density(t) * a.mean() == pytest.approx(a.density(t) * a.mean(), abs=1e-9)
    assert b.quantile(0.3) == pytest.approx(a.quantile(0.3), rel=1e-8)


def test_two_stages_against_derivatives_of_the_transform():
    rate = 4.0

    def parts(s):
        z = s + rate
        f = np.exp(-np.sqrt(z))
        slope = -0.5 * f / np.sqrt(z)
        success = f - rate * slope
        failure = rate**2 * (slope / z + (1 - f) / z**2)
        return success, failure, (1 - success - failure) / s

    def transform(s):
        success, failure, _ = parts(s)
        return success / (1 - failure)

    T = FREE.under(rs.Gamma(rate, 2.0))
    for s in (0.3, 2.0):
        assert T.laplace(s) == pytest.approx(transform(s), rel=1e-12)
    t = np.geomspace(0.02, 30.0, 40)
    late = inversion.invert(lambda s: (1 - transform(s)) / s, t)
    assert T.survival(t) == pytest.approx(late, abs=1e-11)
    assert T.density(t) == pytest.approx(inversion.invert(transform, t), abs=1e-10)


def test_a_mixture_of_exponentials_has_its_closed_sum():
    class Hyper(stats.rv_continuous):
        def _pdf(self, x):
            return 0.3 * 0.5 * np.exp(-0.5 * x) + 0.7 * 6.0 * np.exp(-6.0 * x)

        def _sf(self, x):
            return 0.3 * np.exp(-0.5 * x) + 0.7 * np.exp(-6.0 * x)

        def _cdf(self, x):
            return -0.3 * np.expm1(-0.5 * x) - 0.7 * np.expm1(-6.0 * x)

    law = Hyper(a=0.0, name="hyper")()
    f = np.exp(-np.sqrt([0.5, 6.0]))
    p, r = np.array([0.3, 0.7]), np.array([0.5, 6.0])
    mean = np.sum(p * (1 - f) / r) / np.sum(p * f)
    assert FREE.under(rs.Waiting(law)).mean() == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize("exponent", REFERENCES)
def test_pareto_against_mpmath(exponent):
    value = FREE.under(rs.Pareto(0.3, exponent)).mean()
    assert value == pytest.approx(REFERENCES[exponent], rel=1e-11)


def test_the_mean_under_pareto_is_finite_exactly_above_one_half():
    means = FREE.under(rs.Pareto(0.3, [0.2, 0.5, 0.5 + 1e-6, 0.51])).mean()
    assert np.isinf(means).tolist() == [True, True, False, False]
    away = walk(0.5).under(rs.Pareto(0.3, [0.9, 1.0, 1.01]))  # P(T = inf) > 0: a mean wait
    assert np.isinf(away.mean()).tolist() == [True, True, False]


def test_no_arrival_before_the_first_reset_is_an_infinite_mean():
    run = rs.first_passage(rs.Telegraph(speed=1.0, flip_rate=1.0), start=2.0, target=0.0)
    assert run.under(rs.Uniform(0.5, 1.9)).mean() == np.inf
    assert run.under(rs.Uniform(0.5, 2.2)).mean() < np.inf
    assert run.under(rs.Waiting(stats.randint(1, 4), 0.6)).mean() == np.inf
    a, b = run.under(rs.Poisson([0.3, 2.0])), run.under(rs.Gamma([0.3, 2.0], 1.0))
    assert b.mean() == pytest.approx(a.mean(), rel=1e-11)


def test_many_stages_approach_a_fixed_period():
    sharp = FREE.under(rs.Sharp(0.5))
    gaps = []
    for stages in (1e4, 1e6):
        T = FREE.under(rs.Gamma(stages / 0.5, stages))
        gaps.append(T.mean() / sharp.mean() - 1)
    assert abs(gaps[1]) < 1e-5
    assert gaps[0] / gaps[1] == pytest.approx(100.0, rel=0.02)  # linear in 1/stages


def test_one_value_is_a_fixed_period():
    once = rs.Waiting(stats.randint(3, 4), 0.2)
    a, b = FREE.under(rs.Sharp(3 * 0.2)), FREE.under(once)
    t = np.array([0.1, 0.5, 0.7, 2.0])
    assert b.mean() == pytest.approx(a.mean(), rel=1e-13)
    assert b.var() == pytest.approx(a.var(), rel=1e-11)
    assert b.laplace(0.4) == pytest.approx(a.laplace(0.4), rel=1e-13)
    assert b.survival(t) == pytest.approx(a.survival(t), abs=1e-14)
    assert once.slope(FREE) == pytest.approx(rs.Sharp(0.6).slope(FREE), rel=1e-11)


@pytest.mark.parametrize("law", [name for name in LAWS if name != "discrete"])
def test_survival_density_moments_and_transform_fit_together(law):
    T = FREE.under(LAWS[law])
    steps = sorted({0.0, *(0.2 * k for k in range(12)), *(0.3 * k for k in range(12)), 2.6})
    edges = np.unique(np.concatenate([np.geomspace(1e-4, 60.0, 120), steps]))
    x, weights = np.polynomial.legendre.leggauss(24)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    t = middle[:, None] + half[:, None] * x
    late = T.survival(t)
    assert np.all(np.diff(late.ravel()) <= 1e-11)
    assert late[0, 0] == 1.0
    area = half @ (np.exp(-t) * late) @ weights
    assert area == pytest.approx(1 - T.laplace(1.0), abs=1e-9)
    inside = t < 2.0
    arrived = half @ (np.where(inside, T.density(t), 0.0)) @ weights
    assert arrived == pytest.approx(1 - T.survival(2.0), abs=1e-9)
    assert T.restricted_mean(2.0) == pytest.approx(
        half @ np.where(inside, late, 0.0) @ weights, abs=1e-8
    )
    assert T.survival(T.quantile(0.6)) == pytest.approx(0.4, abs=1e-10)


@pytest.mark.parametrize("law", LAWS)
def test_time_scales(law):
    factor = 1e5
    protocol = LAWS[law]
    slow = rs.first_passage(rs.DriftDiffusion(0.0, 1.0 / factor), start=1.0, target=0.0)
    frequency = {"rate": 1 / factor, "scale": factor, "high": factor}[protocol.parameter]
    changes = {protocol.parameter: protocol.value * frequency}
    if protocol.parameter == "high":
        changes["low"] = protocol.low * factor
    stretched = replace(protocol, **changes)
    assert slow.under(stretched).mean() / factor == pytest.approx(
        FREE.under(protocol).mean(), rel=1e-11
    )


@pytest.mark.parametrize("drift", [0.0, -0.5, 0.5])
def test_a_fixed_period_is_never_slower(drift):
    T = walk(drift)
    sharp = T.best(rs.Sharp)
    for family in (rs.Gamma, rs.Weibull, rs.Uniform, rs.Pareto):
        best = T.best(family)
        assert best.mean > sharp.mean
        near = np.asarray(best.protocol.value) * np.array([0.999, 1.0, 1.001])
        kwargs = {"low": 0.0} if family is rs.Uniform else {}
        means = T.under(family(**{family.parameter: near, **kwargs})).mean()
        assert min(means[0], means[2]) > means[1]


@pytest.mark.parametrize("inner", [rs.Poisson(0.5), rs.Sharp(0.8), rs.Gamma(1.0, 2.0),
                                   rs.Uniform(0.2, 0.8)])  # fmt: skip
def test_restarted_again(inner):
    T = walk(-0.5).under(inner)
    a, b = T.under(rs.Poisson(2.0)), T.under(rs.Weibull(0.5, 1.0))
    assert b.mean() == pytest.approx(a.mean(), rel=1e-10)
    assert b.laplace(0.7) == pytest.approx(a.laplace(0.7), rel=1e-10)


def test_overhead_is_paid_at_each_reset():
    law = rs.Weibull(0.6, 2.0)
    free, paid = FREE.under(law), FREE.under(rs.Weibull(0.6, 2.0, overhead=0.3))
    assert paid.mean() == pytest.approx(free.mean() + 0.3 * free.resets(), rel=1e-12)


def test_what_does_not_converge_says_so():
    with pytest.raises(rs.NotConverged):
        waiting.trial(FREE, rs.Gamma(2.0, 2.0), -0.5)
    with pytest.raises(rs.NotConverged, match="sampled"):
        FREE.under(rs.Geometric(0.3)).under(rs.Gamma(2.0)).mean()


class Wrong(rs.Gamma):
    """Draws from an exponential, claims gamma."""

    def waits(self, n, generator):
        return generator.exponential(np.asarray(self.stages) / self.rate, (n, *self.shape))


def _z(T: rs.PassageTime, seed: int) -> float:
    draws = T.sample(40_000, seed=seed)
    return float((draws.mean() - T.mean()) / (draws.std() / 200.0))


@pytest.mark.statistical(alpha=1e-9)
@pytest.mark.parametrize("law", ["gamma", "weibull", "uniform", "pareto", "lognormal", "discrete"])
def test_mean_is_that_of_the_recursion(law):
    # sees a mean off by 4.5 % of the standard deviation with 99 % probability
    T = FREE.under(rs.Pareto(0.3, 4.0) if law == "pareto" else LAWS[law])
    assert abs(_z(T, 11)) < 6.1


def test_a_wrong_sampler_is_seen():
    assert abs(_z(FREE.under(Wrong(80.0, 40.0)), 11)) > 6.1


# Data --------------------------------------------------------------------------------------------

TIMES = np.minimum(walk(-0.5).sample(400, seed=3), 6.0)
RUNS = rs.observed(TIMES, censored=TIMES >= 6.0)


@pytest.mark.parametrize("law", ["gamma", "weibull", "scipy"])
def test_measured_runs_under_exponential_waits(law):
    rates = np.array([0.3, 1.0, 5.0])
    a, b = rs.Poisson(rates), EXPONENTIAL[law](rates)
    assert RUNS.under(b).mean() == pytest.approx(RUNS.under(a).mean(), rel=1e-12)
    assert RUNS.under(b).var() == pytest.approx(RUNS.under(a).var(), rel=1e-11)
    assert RUNS.under(b).laplace(0.7) == pytest.approx(RUNS.under(a).laplace(0.7), rel=1e-11)
    assert RUNS.under(b).stderr() == pytest.approx(RUNS.under(a).stderr(), rel=1e-10)
    assert np.array(RUNS.interval(b)) == pytest.approx(np.array(RUNS.interval(a)), rel=1e-10)


def test_measured_runs_by_hand():
    runs = rs.observed([0.5, 2.0, 4.0])
    uniform = rs.Uniform(1.0, 3.0)
    success = (1 + 0.5 + 0) / 3
    duration = (0.5 + (0.5 * 1.5 + 0.5 * 2.0) + 2.0) / 3
    assert runs.under(uniform).mean() == pytest.approx(duration / success, rel=1e-13)
    discrete = rs.Waiting(stats.randint(1, 3), 2.0)  # 2 or 4: an arrival at 4 is lost
    success, duration = (1 + 0.5 + 0) / 3, (0.5 + 2.0 + 3.0) / 3
    assert runs.under(discrete).mean() == pytest.approx(duration / success, rel=1e-13)


def test_best_of_measured_runs():
    means = {f: RUNS.best(f).mean for f in (rs.Poisson, rs.Gamma, rs.Weibull, rs.Uniform, rs.Sharp)}
    assert min(means.values()) == means[rs.Sharp]
    best = RUNS.best(rs.Gamma)
    assert best.interval[0] < best.mean < best.interval[1]


def test_the_tail_of_measured_runs_counts():
    with pytest.raises(rs.CensoredMean):
        RUNS.under(rs.Gamma(0.0, 2.0)).mean()
    low, high = RUNS.interval(rs.Gamma(0.2, 2.0))
    assert low < RUNS.under(rs.Gamma(0.2, 2.0)).mean() < high


class Tosses(LatticeTime):
    """The number of tosses to the first success, probability 0.2."""

    @property
    def shape(self):
        return ()

    def _generate(self, u):
        z = np.exp(-u)
        value, minus = 0.2 * z / (1 - 0.8 * z), -np.expm1(-u) / (1 - 0.8 * z)
        return np.log(value)[:, None], minus[:, None], np.full((u.size, 1), 1e-15)


def test_whole_steps():
    T, n = Tosses(), np.arange(1, 400)
    mass, late, rate = 0.2 * 0.8 ** (n - 1), 0.8 ** np.arange(399), 0.4
    keep = (1 + rate * n) * np.exp(-rate * n)
    area = 2 / rate - np.exp(-rate * n) * (n + 2 / rate)  # of it from 0 to n
    between = np.diff(np.append(0.0, area))
    mean = (late @ between) / (mass @ keep)
    law = rs.Gamma(rate, 2.0)
    assert T.under(law).mean() == pytest.approx(mean, rel=1e-10)
    draws = T.under(rs.Poisson(rate)), T.under(rs.Waiting(stats.expon(), 1 / rate))
    assert draws[1].mean() == pytest.approx(draws[0].mean(), rel=1e-10)
    assert draws[1].laplace(0.3) == pytest.approx(draws[0].laplace(0.3), rel=1e-10)
    once = T.under(rs.Waiting(stats.randint(7, 8)))
    assert once.mean() == pytest.approx(T.under(rs.Sharp(7.0)).mean(), rel=1e-12)


# Ages --------------------------------------------------------------------------------------------


def test_long_run_averages():
    times = np.linspace(0.0, 40.0, 4001)
    values = np.exp(-times)
    a = rs.age_average(values, rs.Poisson(0.8), times=times)
    for law in (rs.Gamma(0.8, 1.0), rs.Waiting(stats.expon(), 1 / 0.8)):
        assert rs.age_average(values, law, times=times) == pytest.approx(a, rel=1e-10)
    uniform = rs.age_average(times, rs.Uniform(1.0, 3.0), times=times)
    assert uniform == pytest.approx((13 / 3) / (2 * 2.0), rel=1e-9)  # E[R²]/2E[R]
    with pytest.raises(rs.DomainError, match="finite mean"):
        rs.age_average(values, rs.Pareto(0.3, 0.9), times=times)


WRONG = {
    "rate": lambda: rs.Gamma(-1.0),
    "stages": lambda: rs.Gamma(1.0, 0.0),
    "exponent": lambda: rs.Weibull(1.0, np.nan),
    "scale": lambda: rs.Pareto(0.0),
    "high": lambda: rs.Uniform(1.0, 1.0),
    "low": lambda: rs.Uniform(-1.0, 1.0),
    "distribution": lambda: rs.Waiting(stats.norm()),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_parameters(name):
    with pytest.raises(rs.DomainError) as caught:
        WRONG[name]()
    assert caught.value.argument == name


def test_mass_at_zero_is_refused():
    with pytest.raises(rs.DomainError):
        rs.Waiting(stats.poisson(2.0))
