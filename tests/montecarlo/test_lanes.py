"""Every process under every protocol has the mean that the deterministic route gives.

Default scheme and step, 2 10^5 paths a case. A mean that is off by 8.2 standard errors, about 2 %,
would be refused with probability 0.99. Each case is refused for a process with 20 % more noise (or,
where the noise has no such number, more speed): the twin.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs
from resetsgd.montecarlo.clock import table_of

PATHS = 200_000
BOWL = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=0.5)
WALK = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
WELL = rs.Landscape(potential=lambda x: (x * x - 1.0) ** 2, diffusivity=0.5)
DRIFT = rs.Landscape(drift=lambda x: math.sin(x) - x, diffusivity=0.5)
TRAP = rs.LinearTrap(slope=1.0, diffusivity=0.5)
TELEGRAPH = rs.Telegraph(speed=1.0, flip_rate=2.0)


def noisy(noise: str) -> rs.Landscape:
    """Multiplicative noise in one of its senses."""
    return rs.Landscape(
        potential=lambda x: 0.5 * x * x, diffusivity=lambda x: 0.5 + 0.3 * np.sin(x), noise=noise
    )


PROTOCOLS = [
    rs.Poisson(0.5),
    rs.Poisson(1.0, success=0.4),
    rs.Poisson(0.5, overhead=0.3),
    rs.Poisson(0.5, overhead=stats.gamma(2.0, scale=0.1)),
    rs.Sharp(1.5),
    rs.Sharp(1.5, overhead=0.3),
    rs.Geometric(probability=0.05, step=0.1),
    rs.Gamma(rate=2.0, stages=3.0),
    rs.Gamma(rate=0.5, stages=0.4),
    rs.Weibull(scale=1.5, exponent=2.0),
    rs.Uniform(low=0.5, high=2.0),
    rs.Pareto(scale=0.8, exponent=1.5),
    rs.Schedule(lambda t: 0.5 * t),
    rs.Waiting(stats.lognorm(0.5), scale=1.5),
    rs.Waiting(stats.randint(1, 4)),
]

CASES: list[tuple[Any, float, Any, Any, dict[str, float]]] = [
    *((BOWL, 1.5, -0.5, protocol, {}) for protocol in PROTOCOLS),
    *((TELEGRAPH, 1.0, 0.0, protocol, {}) for protocol in PROTOCOLS[:1] + PROTOCOLS[4:8]),
    (BOWL, -1.0, 0.5, rs.Poisson(0.5), {}),
    (BOWL, 0.3, (-0.5, 1.0), None, {}),
    (WALK, 0.3, (0.0, 1.0), rs.Poisson(2.0), {}),
    (WALK, 1.0, 0.0, None, {"wall": 1.3}),
    (rs.DriftDiffusion(drift=0.5, diffusivity=1.0), 1.0, 0.0, None, {"wall": 1.0}),
    (WELL, -1.0, 1.0, rs.Poisson(0.2), {}),
    (WELL, -1.0, 0.5, rs.Gamma(rate=1.0), {}),
    (DRIFT, 1.0, -0.5, rs.Poisson(0.5), {}),
    (TRAP, 1.0, -0.5, rs.Poisson(0.5), {}),
    (rs.Bessel(dimension=3.0, diffusivity=1.0), 2.0, 1.0, rs.Poisson(1.0), {}),
    (noisy("ito"), 1.0, -0.5, rs.Poisson(0.5), {}),
    (noisy("stratonovich"), -1.0, 0.5, rs.Poisson(0.5), {}),
    (noisy("hanggi-klimontovich"), 0.2, (-1.0, 1.0), None, {}),
    (rs.Telegraph(1.0, 2.0, heading=-1), 1.0, 0.0, rs.Poisson(0.5), {}),
    (TELEGRAPH, 0.3, (0.0, 1.0), None, {}),
    (rs.RandomWalk(stats.norm(0.05, 0.3)), -1.0, 1.0, rs.Geometric(probability=0.02), {}),
    (rs.RandomWalk(stats.laplace(0.0, 0.3)), 1.0, 0.0,
     rs.Geometric(probability=0.1, order="move-look-coin"), {}),
    (rs.RandomWalk(stats.cauchy(0.0, 0.05)), 1.0, 0.0, rs.Geometric(probability=0.02), {}),
    (rs.RandomWalk(stats.norm(0.0, 0.3), contraction=0.8), 1.0, -0.5, rs.Sharp(30.0), {}),
    (rs.RandomWalk(stats.norm(0.0, 0.3)), 0.3, (0.0, 1.0), None, {}),
    (rs.QuadraticSGD(hessian=1.0, noise_covariance=1.0, learning_rate=0.1), 1.0, 0.0,
     rs.Geometric(probability=0.02), {}),
]  # fmt: skip


def louder(process: Any) -> Any:
    """The same with a fifth more noise, or speed."""
    if isinstance(process, rs.Telegraph):
        return dataclasses.replace(process, speed=1.2 * process.speed)
    if isinstance(process, rs.QuadraticSGD):
        return dataclasses.replace(process, noise_covariance=1.2 * process.noise_covariance)
    if isinstance(process, rs.RandomWalk):
        law = process.jump
        return dataclasses.replace(process, jump=law.dist(law.args[0], 1.2 * law.args[1]))
    D = process.diffusivity
    return dataclasses.replace(
        process, diffusivity=(lambda x: 1.2 * D(x)) if callable(D) else 1.2 * D
    )


@pytest.mark.statistical(alpha=4.9e-9)
@pytest.mark.parametrize(
    ("process", "start", "target", "protocol", "options"),
    CASES,
    ids=[f"{k}-{type(case[0]).__name__}-{type(case[3]).__name__}" for k, case in enumerate(CASES)],
)
def test_means(budget, process, start, target, protocol, options) -> None:  # type: ignore[no-untyped-def]
    def mean(process: Any) -> float:
        free = rs.first_passage(process, start, target, **options)
        return float((free if protocol is None else free.under(protocol)).mean())

    S = rs.simulate(process, start, target, protocol, paths=PATHS, seed=26, **options)
    assert budget.accepts(budget.score(S.times, mean(process)))
    assert not budget.accepts(budget.score(S.times, mean(louder(process))))


@pytest.mark.statistical(alpha=3 * 4.9e-9)
def test_the_side_of_the_exit(budget) -> None:
    """Detects 0.9 % in probability. Twin: the other drift."""
    for process in (WALK, TELEGRAPH, rs.RandomWalk(stats.norm(-0.05, 0.2))):
        free = rs.first_passage(process, 0.6, (0.0, 1.0))
        S = rs.simulate(process, 0.6, (0.0, 1.0), paths=PATHS, seed=3)
        assert S.exit_side is not None
        assert set(np.unique(S.exit_side)) == {-1, 1}
        upper = float(free.splitting()[1])
        assert budget.accepts(budget.share(S.exit_side == 1, upper))
        assert not budget.accepts(budget.share(S.exit_side == -1, upper))


@pytest.mark.statistical(alpha=2 * 4.9e-9)
def test_resets_to_a_cloud(budget) -> None:
    """Three positions with weights, in lanes and alone. Twin: equal weights."""
    places, weights = [0.5, 1.0, 2.0], [0.2, 0.3, 0.5]
    for process in (WALK, BOWL):
        free = rs.first_passage(process, 1.0, 0.0)
        ends = [rs.first_passage(process, place, 0.0) for place in places]
        S = rs.simulate(process, 1.0, 0.0, rs.Poisson(1.0), reset_to=places, paths=4 * PATHS,
                        reset_weights=weights)  # fmt: skip

        def mean(weights: Any, free: Any = free, ends: Any = ends) -> float:
            then = rs.mixture(ends, weights)
            return float(free.under(rs.Poisson(1.0), then=then).mean())

        assert budget.accepts(budget.score(S.times, mean(weights)))
        assert not budget.accepts(budget.score(S.times, mean(None)))


@pytest.mark.statistical(alpha=4.9e-9)
def test_a_rate_that_depends_on_the_position(budget) -> None:
    """Detects 2 %. Twin: its mean as a constant rate."""
    bowl = {"potential": lambda x: 0.5 * x * x, "diffusivity": 0.5}
    process = rs.Landscape(**bowl, rate=lambda x: 0.2 + 2.0 * x * x)
    S = rs.simulate(process, 1.0, -0.5, paths=PATHS, seed=8)
    assert budget.accepts(budget.score(S.times, rs.first_passage(process, 1.0, -0.5).mean()))
    constant = rs.Landscape(**bowl, rate=1.2)
    assert not budget.accepts(budget.score(S.times, rs.first_passage(constant, 1.0, -0.5).mean()))


@pytest.mark.statistical(alpha=4.9e-9)
def test_partial_resets(budget) -> None:
    """Half the distance to the target at each reset. Twin: full resets."""
    free, protocol = rs.first_passage(WALK, 1.0, 0.0), rs.Poisson(2.0, partial=0.5)
    S = rs.simulate(WALK, 1.0, 0.0, protocol, paths=PATHS)
    assert budget.accepts(budget.score(S.times, free.under(protocol).mean()))
    assert not budget.accepts(budget.score(S.times, free.under(rs.Poisson(2.0)).mean()))


@pytest.mark.statistical(alpha=2 * 4.9e-9)
def test_a_running_schedule(budget) -> None:
    """A rate that falls with the time since the start, not since the reset. Twin: the latter.

    Against the hazard: resets less their compensator have zero mean. Detects 2 % of the resets.
    """
    rate = lambda t: 3.0 / (1.0 + t)  # noqa: E731
    for process in (WALK, BOWL):
        S = rs.simulate(process, 1.0, 0.0, rs.Schedule(rate, clock="run"), paths=PATHS, horizon=8.0)
        assert budget.accepts(budget.score(S.resets - 3.0 * np.log1p(S.times), 0.0))
        S = rs.simulate(process, 1.0, 0.0, rs.Schedule(rate), paths=PATHS, horizon=8.0)
        assert not budget.accepts(budget.score(S.resets - 3.0 * np.log1p(S.times), 0.0))


def test_tables_of_waiting_times_are_as_fine_as_they_say() -> None:
    """Against the quantiles of a lognormal law; a table of ten entries is refused."""
    law = stats.lognorm(0.7, scale=3.0)
    table = table_of(law.sf)
    hazards = 10.0 ** np.linspace(-9, 1.5, 2001)
    exact = law.isf(np.exp(-hazards))

    def worst(table: Any) -> float:
        found = np.exp(np.interp(np.log(hazards), np.log(table[0]), np.log(table[1])))
        return float(np.abs(found[700:] / exact[700:] - 1).max())

    used = table[:, table[0] > 1e-12]
    assert worst(used) < 1e-5
    uniform = table_of(stats.uniform(1.0, 2.0).sf, (1.0, 3.0))
    assert uniform[1].min() >= 0.5
    middle = np.interp(np.log(2.0), uniform[0], uniform[1])
    assert middle == pytest.approx(2.0, rel=1e-5)
    assert not worst(used[:, :: used.shape[1] // 10]) < 1e-5
