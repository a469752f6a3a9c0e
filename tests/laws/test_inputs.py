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
