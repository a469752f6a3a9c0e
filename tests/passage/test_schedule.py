"""Rates that change with time: with the age of a trial, and with that of the run."""

from __future__ import annotations

import math

import numpy as np
import pytest

import resetsgd as rs

FREE = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), start=1.0, target=0.0)
TIMES = np.array([0.01, 0.1, 0.3, 0.6, 1.0, 2.0, 4.0, 9.0])

AGES = {
    "weibull": (rs.Schedule(lambda t: 4.0 * t), rs.Weibull(math.sqrt(0.5), 2.0)),
    "pareto": (rs.Schedule(lambda t: np.where(t < 0.3, 0.0, 4.0 / t)), rs.Pareto(0.3, 4.0)),
    "of numbers": (rs.Schedule(lambda t: math.sqrt(t) if t < 1e9 else 0.0, factor=3.0),
                   rs.Weibull(0.5 ** (2 / 3), 1.5)),
}  # fmt: skip


@pytest.mark.parametrize("name", AGES)
def test_a_rate_of_the_age_is_the_hazard_of_a_waiting_time(name):
    a, b = (FREE.under(law) for law in AGES[name])
    assert a.mean() == pytest.approx(b.mean(), rel=1e-11)
    assert a.var() == pytest.approx(b.var(), rel=1e-10)
    assert a.laplace(0.7) == pytest.approx(b.laplace(0.7), rel=1e-11)
    assert a.survival(TIMES) == pytest.approx(b.survival(TIMES), abs=1e-9)


def test_the_integral_of_a_rate():
    hazard = rs.Schedule(lambda t: 1.0 + np.sin(3.0 * t)).hazard
    t = np.geomspace(1e-3, 700.0, 60)
    exact = t + (1.0 - np.cos(3.0 * t)) / 3.0
    assert hazard.total(t) == pytest.approx(exact, rel=1e-11)
    assert hazard.inverse(exact) == pytest.approx(t, rel=1e-10)


@pytest.mark.parametrize("rate", [0.01, 2.0, 40.0])
def test_a_constant_rate_of_the_run_is_poisson(rate):
    run, poisson = (
        FREE.under(rs.Schedule(lambda t: rate + 0 * t, clock="run")),
        FREE.under(rs.Poisson(rate)),
    )
    assert run.mean() == pytest.approx(poisson.mean(), rel=1e-10)
    assert run.var() == pytest.approx(poisson.var(), rel=1e-10)
    assert run.laplace(0.7) == pytest.approx(poisson.laplace(0.7), rel=1e-10)
    assert run.resets() == pytest.approx(poisson.resets(), rel=1e-10)
    assert run.survival(TIMES) == pytest.approx(poisson.survival(TIMES), abs=1e-10)
    assert run.density(TIMES) == pytest.approx(poisson.density(TIMES), abs=1e-9)


def test_no_resets_before_a_time_and_a_constant_rate_after_it():
    late = FREE.under(rs.Schedule(lambda t: np.where(t < 1.0, 0.0, 3.0), clock="run"))
    early = TIMES[TIMES < 1.0]
    assert late.survival(early) == pytest.approx(FREE.survival(early), abs=1e-10)
    assert late.survival(1.5) < FREE.survival(1.5)


def test_time_scales_also_where_the_rate_diverges():
    slow = rs.first_passage(rs.DriftDiffusion(0.0, 1e-4), start=1.0, target=0.0)
    a = FREE.under(rs.Schedule(lambda t: t**-0.5, clock="run"))
    b = slow.under(rs.Schedule(lambda t: t**-0.5, clock="run", factor=1e-2))
    assert b.mean() / 1e4 == pytest.approx(a.mean(), rel=1e-10)
    assert b.resets() == pytest.approx(a.resets(), rel=1e-10)
    assert b.survival(TIMES * 1e4) == pytest.approx(a.survival(TIMES), abs=1e-10)


COOLING = rs.Schedule(lambda t: 2.0 / (1.0 + 0.1 * t), clock="run")


def _z(T: rs.PassageTime, mean: float) -> float:
    draws = T.sample(10_000, seed=5)
    return float((draws.mean() - mean) / (draws.std() / 100.0))


@pytest.mark.statistical(alpha=1e-9)
def test_mean_of_the_run_is_that_of_the_recursion():
    T = FREE.under(COOLING)
    assert abs(_z(T, T.mean())) < 6.1


def test_the_other_clock_is_seen():
    def rate(t):
        return np.where(t < 3.0, 0.0, 3.0)

    run, aged = (FREE.under(rs.Schedule(rate, clock=clock)) for clock in ("run", "age"))
    assert abs(_z(aged, aged.mean())) < 5.0
    assert abs(_z(aged, run.mean())) > 6.1


def test_never_is_the_reset_free_law():
    T = rs.first_passage(rs.DriftDiffusion(-0.5, 1.0), start=1.0, target=0.0)
    for clock in ("age", "run"):
        never = T.under(rs.Schedule(np.ones_like, clock=clock, factor=0.0))
        assert never.mean() == pytest.approx(T.mean(), rel=1e-13)
        assert never.survival(TIMES) == pytest.approx(T.survival(TIMES), abs=1e-13)


WRONG = {
    "rate_function": [lambda: rs.Schedule(3.0), lambda: rs.Schedule(lambda t: -t).hazard,
                      lambda: rs.Schedule(lambda t: t * np.nan).hazard],
    "clock": [lambda: rs.Schedule(np.ones_like, clock="wall")],
    "factor": [lambda: rs.Schedule(np.ones_like, factor=-1.0)],
    "overhead": [lambda: rs.Schedule(np.ones_like, clock="run", overhead=1.0)],
    "then": [lambda: FREE.under(COOLING, then=FREE)],
}  # fmt: skip


@pytest.mark.parametrize(("name", "call"), [(n, c) for n, calls in WRONG.items() for c in calls])
def test_wrong_schedules(name, call):
    with pytest.raises(rs.DomainError) as caught:
        call()
    assert caught.value.argument == name
