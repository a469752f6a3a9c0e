"""A wrong input is answered by its name, its value and what is allowed."""

from __future__ import annotations

import numpy as np
import pytest

import resetsgd as rs
from resetsgd.statistics import holm

NAN = float("nan")
W = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
T = rs.first_passage(W, start=1.0, target=0.0)
E = rs.observed([3.0, 8.0, 2.0, 50.0], censored=[False, False, False, True])

WRONG = {
    "diffusivity": [lambda: rs.DriftDiffusion(0.0, -1.0), lambda: rs.DriftDiffusion(0.0, NAN),
                    lambda: rs.DriftDiffusion(0.0, [1.0, 0.0])],
    "drift": [lambda: rs.DriftDiffusion(NAN, 1.0), lambda: rs.DriftDiffusion(np.inf, 1.0),
              lambda: rs.DriftDiffusion("fast", 1.0), lambda: rs.DriftDiffusion([1, 2], [1, 2, 3])],
    "start": [lambda: rs.first_passage(W, start=0.0, target=0.0),
              lambda: rs.first_passage(W, start=NAN, target=0.0),
              lambda: rs.first_passage(W, start=[1.0, 0.0], target=0.0)],
    "target": [lambda: rs.first_passage(W, start=1.0, target=np.inf)],
    "process": [lambda: rs.first_passage(3.0, start=1.0, target=0.0)],
    "rate": [lambda: rs.Poisson(-1.0), lambda: rs.Poisson(NAN), lambda: rs.Poisson(np.inf)],
    "period": [lambda: rs.Sharp(0.0), lambda: rs.Sharp(NAN)],
    "probability": [lambda: rs.Geometric(1.1), lambda: rs.Geometric(NAN)],
    "step": [lambda: rs.Geometric(0.1, step=0.0)],
    "order": [lambda: rs.Geometric(0.1, order="look")],
    "t": [lambda: T.survival(-1.0), lambda: T.density(NAN)],
    "s": [lambda: T.laplace(-1.0), lambda: T.log_laplace(NAN), lambda: T.laplace(1j * np.inf)],
    "q": [lambda: T.quantile(1.0), lambda: T.quantile(-0.1), lambda: E.quantile(NAN)],
    "tau": [lambda: T.restricted_mean(-1.0), lambda: E.restricted_stderr(NAN)],
    "n": [lambda: T.sample(-1, seed=0), lambda: T.sample(1.5, seed=0)],
    "protocol": [lambda: T.under(0.7)],
    "family": [lambda: T.best("Poisson"), lambda: E.best(rs.Poisson(1.0))],
    "times": [lambda: rs.observed([1.0, NAN]), lambda: rs.observed([-1.0]), lambda: rs.observed([]),
              lambda: rs.observed([[1.0]]), lambda: rs.age_average([1.0], rs.Poisson(1.0)),
              lambda: rs.age_average([1.0, 2.0], rs.Poisson(1.0), times=[1.0, 2.0]),
              lambda: rs.age_average([1.0, 2.0], rs.Poisson(0.01))],
    "censored": [lambda: rs.observed([1.0], censored=[True]),
                 lambda: rs.observed([1.0], censored=[False, True]),
                 lambda: rs.observed([1.0], censored=[0])],
    "traces": [lambda: rs.from_traces([1.0, 2.0], threshold=1.0),
               lambda: rs.from_traces([[1.0, NAN]], threshold=1.0),
               lambda: rs.from_traces(np.empty((0, 3)), threshold=1.0)],
    "threshold": [lambda: rs.from_traces([[1.0]], threshold=2.0),
                  lambda: rs.from_traces([[1.0]], threshold=NAN)],
    "direction": [lambda: rs.from_traces([[1.0]], threshold=1.0, direction="up")],
    "first": [lambda: rs.from_traces([[1.0]], threshold=1.0, first=-1)],
    "values": [lambda: rs.age_average([1.0, NAN], rs.Poisson(1.0))],
    "tail": [lambda: rs.age_average([1.0, 2.0], rs.Poisson(1.0), tail="cut")],
    "level": [lambda: rs.compare(E, T, level=1.0), lambda: E.interval(rs.Sharp(5.0), level=NAN)],
    "relevant": [lambda: rs.compare(E, T, relevant=0.0)],
    "resamples": [lambda: E.interval(rs.Sharp(5.0), resamples=1)],
    "p": [lambda: holm([0.1, 1.2])],
    "a, b": [lambda: rs.compare(T, T)],
}  # fmt: skip


@pytest.mark.parametrize(("name", "call"), [(n, c) for n, calls in WRONG.items() for c in calls])
def test_wrong_input(name, call):
    with pytest.raises(rs.DomainError) as caught:
        call()
    assert name in caught.value.argument
    text = str(caught.value)
    assert "must be" in text and "\n" not in text


def test_an_undetermined_mean_says_what_to_ask_instead():
    for call in (E.mean, E.var, lambda: E.under(rs.Poisson(0.0)).mean(),
                 lambda: E.under(rs.Sharp(np.inf)).mean(),
                 lambda: E.under(rs.Geometric(0.0)).mean()):  # fmt: skip
        with pytest.raises(rs.CensoredMean, match="restricted_mean"):
            call()


SINGLE = rs.first_passage(W, start=1.0, target=0.0)
ROUND = rs.QuadraticSGD(hessian=1.0, noise_covariance=1.0, learning_rate=0.1, momentum=0.5)
BENT = [rs.Bessel(3.0, 1.0), rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), rs.LinearTrap(1.0, 1.0),
        rs.Landscape(lambda x: x * x), W]  # fmt: skip


@pytest.mark.parametrize("process", BENT)
@pytest.mark.parametrize("wall", [np.inf, NAN, 0.5, "far", -3.0])
def test_a_wrong_wall_is_called_a_wall(process, wall):
    with pytest.raises(rs.DomainError) as caught:
        rs.first_passage(process, start=1.0, target=0.2, wall=wall)
    assert caught.value.argument == "wall"


@pytest.mark.parametrize(("call", "argument", "remedy"), [
    (lambda: rs.first_passage(ROUND, 1.0, 0.0), "momentum", "0 for a first passage"),
    (lambda: SINGLE.under(rs.Poisson(1.0), reset_to=0.5), "reset_to", "then=first_passage"),
    (lambda: SINGLE.under(rs.Poisson, reset_to=0.5), "reset_to", "then=first_passage"),
    (lambda: SINGLE.best(rs.Poisson, reset_to=0.5), "reset_to", "then=first_passage"),
    (lambda: SINGLE.under(rs.Poisson(1.0), step=0.5), "step", "left out"),
    (lambda: rs.phase_diagram(lambda x, y: SINGLE, [1.0], [1.0], protocol=rs.Poisson(1.0)),
     "protocol", "a protocol class"),
    (lambda: rs.critical(lambda x: SINGLE, 1.0, 2.0, protocol=rs.Poisson(1.0)),
     "protocol", "a protocol class"),
    (SINGLE.splitting, "target", "target=(low, high)"),
    (lambda: SINGLE.given("lower"), "target", "target=(low, high)"),
    (lambda: SINGLE.under(rs.Poisson(1.0)).side("upper"), "target", "target=(low, high)"),
])  # fmt: skip
def test_the_message_says_what_to_do_instead(call, argument, remedy):
    with pytest.raises(rs.DomainError) as caught:
        call()
    assert caught.value.argument == argument
    assert remedy in str(caught.value)


@pytest.mark.parametrize(("call", "text"), [
    (lambda: rs.stationary(W, rs.Poisson(2.0), reset_to=0.5), "Poisson(rate=2.0), reset_to=0.5)"),
    (lambda: rs.stationary(W, rs.Poisson(2.0), 0.5, partial=0.1), "reset_to=0.5, partial=0.1)"),
    (lambda: rs.stationary(BENT[1], rs.Sharp(1.0), reset_to=0.5), "stationary(OrnsteinUhlenbeck("),
    (lambda: rs.stationary(BENT[3], rs.Poisson(1.0), reset_to=0.5), "stationary(Landscape("),
    (lambda: rs.stationary(W, rs.Poisson(2.0), 0.5).relaxation(1.0), ".relaxation(1.0, start=0.5)"),
])  # fmt: skip
def test_a_stationary_state_says_what_it_is(call, text):
    assert text in repr(call())
    assert "object at" not in repr(call()).split("function")[0]


def test_no_number_is_ever_nan():
    """A law that loses its numbers refuses; the same law that keeps them answers."""

    class Lost(type(SINGLE)):
        def mean(self):
            return float("nan")

    lost = Lost(W, 1.0, 0.0)
    with pytest.raises(rs.NotConverged, match="mean: lost in float64"):
        lost.mean()
    assert SINGLE.mean() == 2.0
