"""Coloured and heavy-tailed noise, and inertia, against closed forms.

Statistical tests spend 1e-10 each: scores are refused beyond 6.47 standard errors.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

import resetsgd as rs
from resetsgd.montecarlo.kernels import noises as kernel

ALPHA = 1e-10
RESET = rs.Poisson(2.5)


@pytest.fixture(scope="module")
def strict(budget: Any) -> Any:
    return replace(budget, alpha=ALPHA)


def stable(n: int, alpha: float, beta: float, seed: int = 3) -> np.ndarray:
    out = np.empty(n)
    kernel.fill_stable(out, np.uint64(seed), np.uint64(0), alpha, beta)
    return out


# --- variates -------------------------------------------------------------------------------------


@pytest.mark.statistical(alpha=ALPHA)
@pytest.mark.parametrize("exponent", [0.5, 0.8, 1.0, 1.3, 1.7, 2.0])
def test_symmetric_stable_variates_have_scipys_law(strict: Any, exponent: float) -> None:
    """300,000 draws, Kolmogorov-Smirnov. Detects the twin: an exponent wrong by 0.2.

    Scipy's distribution is tabulated, as it takes a quadrature for each value.
    """
    x = np.sinh(np.linspace(-14.0, 14.0, 1401))
    values = stable(300_000, exponent, 0.0)

    def plausible(alpha: float) -> bool:
        cdf = stats.levy_stable(alpha, 0.0).cdf(x)
        return strict.plausible(stats.kstest(values, lambda v: np.interp(v, x, cdf)).pvalue)

    assert plausible(exponent)
    assert not plausible(exponent - 0.2 if exponent > 1.0 else exponent + 0.2)


@pytest.mark.statistical(alpha=12 * ALPHA)
@pytest.mark.parametrize(("alpha", "beta"), [(0.6, -1.0), (0.9, 0.4), (1.5, 0.7), (1.9, -0.5)])
def test_skewed_stable_variates_have_their_characteristic_function(
    strict: Any, alpha: float, beta: float
) -> None:
    """10^6 draws at three wave numbers; detects a shift of 0.006. Twin: the other skewness."""
    values = stable(1_000_000, alpha, beta)
    lean = math.tan(math.pi * alpha / 2)

    def fits(skew: float) -> bool:
        scores = []
        for k in (0.3, 1.0, 2.0):
            exact = np.exp(-(k**alpha) * (1 - 1j * skew * lean))
            scores += [
                strict.score(np.cos(k * values), exact.real),
                strict.score(np.sin(k * values), exact.imag),
            ]
        return all(strict.accepts(score) for score in scores)

    assert fits(beta)
    assert not fits(-beta)


@pytest.mark.statistical(alpha=2 * ALPHA)
@pytest.mark.parametrize("lag", [0, 1])
def test_stable_variates_are_independent_along_and_across_lanes(strict: Any, lag: int) -> None:
    """Signs and sizes of neighbours in 8 x 8 cells, 10^6 pairs; detects a density wrong by 2 %.

    ``lag`` 0 pairs lanes of one step, 1 steps of one lane. Twin: one draw in twenty is repeated.
    """
    values = stable(2_000_000 - 2_000_000 % 128, 1.5, 0.0).reshape(-1, 64)
    edges = stats.levy_stable(1.5, 0.0).ppf(np.arange(1, 8) / 8)

    def p_value(v: np.ndarray) -> float:
        first, second = (v[:, 0::2], v[:, 1::2]) if lag == 0 else (v[0::2], v[1::2])
        cell = 8 * np.searchsorted(edges, first) + np.searchsorted(edges, second)
        return float(stats.chisquare(np.bincount(cell.ravel(), minlength=64)).pvalue)

    repeated = values.copy()
    if lag == 0:
        repeated[::20, 1::2] = repeated[::20, 0::2]
    else:
        repeated[1::40] = repeated[0::40]
    assert strict.plausible(p_value(values))
    assert not strict.plausible(p_value(repeated))


def test_the_far_tail_of_stable_variates_is_a_power_law() -> None:
    """P(abs(X) > x) x^alpha tends to a known constant: 4 x 10^6 draws within 5 %."""
    alpha = 1.2
    values = np.abs(stable(4_000_000, alpha, 0.0))
    constant = 2 / math.pi * math.gamma(alpha) * math.sin(math.pi * alpha / 2)
    for x in (100.0, 400.0):
        assert (values > x).mean() * x**alpha == pytest.approx(constant, rel=0.05)
    assert np.isfinite(values).all()


@pytest.mark.parametrize("s", [1e-9, 1e-4, 0.0199, 0.0201, 0.3, 5.0, 80.0])
def test_a_step_of_coloured_noise_has_the_exact_covariance(s: float) -> None:
    """Its end and its integral, against the integrals of the correlation function."""
    D, tau = 0.7, 1.3
    out = np.empty(8)
    kernel._memory(s * tau, D, tau, out)
    lost = -math.expm1(-s)
    assert out[0] == pytest.approx(math.exp(-s), rel=1e-13)
    assert out[2] == pytest.approx(tau * lost, rel=1e-13)
    assert out[1] ** 2 == pytest.approx(-D / tau * math.expm1(-2 * s), rel=1e-13)
    assert out[1] * out[3] == pytest.approx(D * lost**2, rel=1e-12)
    total = out[3] ** 2 + out[4] ** 2
    inner = lambda u: -math.expm1(u - s)  # noqa: E731
    exact = integrate.quad(lambda u: 2 * D * inner(u) ** 2, 0, s, epsabs=0, epsrel=1e-12)[0] * tau
    assert total == pytest.approx(exact, rel=1e-8)


# --- passage --------------------------------------------------------------------------------------


@pytest.mark.statistical(alpha=3 * ALPHA)
@pytest.mark.parametrize("exponent", [0.9, 1.5, 2.0])
def test_a_stable_flight_is_the_random_walk_of_its_steps(strict: Any, exponent: float) -> None:
    """Survival after 1, 5 and 20 jumps, 100,000 paths. Detects a share wrong by 1 %.

    Twin: the walk whose jumps are 10 % longer.
    """
    h, paths = 0.05, 100_000
    flight = rs.StableNoise(exponent=exponent, scale=1.0)
    S = rs.simulate(flight, 1.0, 0.0, paths=paths, step=h, horizon=30 * h, seed=8)

    def fits(factor: float) -> bool:
        width = factor * h ** (1 / exponent)
        jump = stats.levy_stable(exponent, 0.0, 0.0, width)
        if exponent == 2.0:
            jump = stats.norm(0.0, math.sqrt(2) * width)
        T = rs.first_passage(rs.RandomWalk(jump=jump, step=h), 1.0, 0.0)
        counts = np.array([1, 5, 20])
        shares = np.asarray(T.survival(counts * h))
        return all(
            strict.accepts(strict.share(S.times > (k + 0.01) * h, float(share)))
            for k, share in zip(counts, shares, strict=True)
        )

    assert fits(1.0)
    assert not fits(1.1)


@pytest.mark.statistical(alpha=2 * ALPHA)
def test_a_flight_in_a_bowl_has_the_stationary_scale(strict: Any) -> None:
    """Exit of a Cauchy process from a wide bowl, dx = -x dt + dL: late, and exponential.

    The stationary law is Cauchy of width scale/k; the rate of jumps beyond a far level R is
    (2 scale/pi)/(2 R) to leading order on each side. Detects 15 %. Twin: half the scale.
    """
    level, scale = 200.0, 1.0
    bowl = rs.StableNoise(drift=lambda x: -x, exponent=1.0, scale=scale)
    S = rs.simulate(bowl, 0.0, (-level, level), paths=4000, step=0.05, seed=2)
    rate = 2.0 * scale / (math.pi * level)
    scores = [strict.score(S.times, mean) for mean in (1 / rate, 2 / rate)]
    assert strict.accepts(scores[0])
    assert not strict.accepts(scores[1])
    assert strict.accepts(strict.share(S.exit_side > 0, 0.5))


@pytest.mark.statistical(alpha=2 * ALPHA)
def test_brownian_motion_is_the_stable_process_of_exponent_two(strict: Any) -> None:
    """Against plain Euler steps of the same length. Detects 3 %. Twin: twice the step."""
    walk = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
    flight = rs.StableNoise(drift=lambda x: -0.5, exponent=2.0, scale=1.0)
    job: dict[str, Any] = {"paths": 100_000}
    S = rs.simulate(flight, 1.0, 0.0, RESET, step=0.02, seed=4, **job)

    def score(step: float) -> float:
        E = rs.simulate(walk, 1.0, 0.0, RESET, scheme="euler", step=step, seed=5, **job)
        return float((S.mean() - E.mean()) / math.hypot(S.stderr(), E.stderr()))

    assert strict.accepts(score(0.02))
    assert not strict.accepts(score(0.04))


@pytest.mark.statistical(alpha=ALPHA)
def test_frozen_noise_is_a_random_velocity(strict: Any) -> None:
    """tau so long that the noise is a constant: E[e^{-rT}] is an integral over a normal law.

    100,000 paths; detects 3 %. Twin: a wider law of velocities.
    """
    tau, speed, rate = 1e7, 0.8, 0.5
    process = rs.ColouredNoise(diffusivity=speed**2 * tau, correlation_time=tau)
    S = rs.simulate(process, 1.0, 0.0, rs.Poisson(rate), paths=100_000, step=0.01, seed=6)

    def exact(width: float) -> float:
        f = integrate.quad(
            lambda v: math.exp(-rate / v) * stats.norm.pdf(v, 0.0, width), 0.0, 12.0 * width
        )[0]
        return (1.0 - f) / (rate * f)

    assert strict.accepts(strict.score(S.times, exact(speed)))
    assert not strict.accepts(strict.score(S.times, exact(1.05 * speed)))


@pytest.mark.statistical(alpha=ALPHA)
def test_short_memory_moves_the_target_by_the_milne_length(strict: Any) -> None:
    """For tau << L²/D passage is that of white noise to a target further by -zeta(1/2) sqrt(D tau).

    4000 paths at tau = 0.002; detects 9 %. Twin: no such shift, white noise (12 % less).
    """
    tau, milne = 0.002, 1.4603545088095868
    process = rs.ColouredNoise(diffusivity=1.0, correlation_time=tau)
    S = rs.simulate(process, 1.0, 0.0, RESET, paths=10_000, seed=7, step=0.1 * tau)
    walk = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)

    def exact(shift: float) -> float:
        return float(rs.first_passage(walk, 1.0 + shift, 0.0).under(RESET).mean())

    assert strict.accepts(strict.score(S.times, exact(milne * math.sqrt(tau))))
    assert not strict.accepts(strict.score(S.times, exact(0.0)))


@pytest.mark.statistical(alpha=2 * ALPHA)
def test_coloured_noise_in_a_bowl_agrees_with_a_slow_program(strict: Any) -> None:
    """Euler steps of position and noise a tenth as long, in NumPy. Detects 10 %.

    Twin: the program with twice the correlation time.
    """
    D, tau, k = 0.5, 0.4, 1.0
    process = rs.ColouredNoise(drift=lambda x: -k * x, diffusivity=D, correlation_time=tau)
    S = rs.simulate(process, 1.0, -0.5, paths=20_000, horizon=40.0, seed=9)

    def program(memory: float) -> np.ndarray:
        generator, h, n = np.random.default_rng(10), 0.001, 4000
        x, eta = np.ones(n), math.sqrt(D / memory) * generator.standard_normal(n)
        times = np.full(n, 40.0)
        alive = np.arange(n)
        for i in range(40_000):
            z = generator.standard_normal(alive.size)
            x += (eta - k * x) * h
            eta += -eta * h / memory + math.sqrt(2 * D * h) / memory * z
            there = x <= -0.5
            times[alive[there]] = (i + 1) * h
            x, eta, alive = x[~there], eta[~there], alive[~there]
            if not alive.size:
                break
        return times

    def score(other: np.ndarray) -> float:
        spread = math.hypot(S.times.std() / math.sqrt(20_000), other.std() / math.sqrt(4000))
        return float((S.times.mean() - other.mean()) / spread)

    assert strict.accepts(score(program(tau)))
    assert not strict.accepts(score(program(2.5 * tau)))


@pytest.mark.statistical(alpha=ALPHA)
def test_inertia_has_the_stationary_variance_at_any_step(strict: Any) -> None:
    """BAOAB in a bowl: the variance of the position is D/k even at half a radian a step.

    20,000 paths; detects 6.5 %. Twin: what plain Euler steps of this length would give.
    """
    D, k, friction, h = 0.5, 2.0, 3.0, 0.2
    bowl = rs.Langevin(gradient=lambda x: (k * x[0],), diffusivity=D, friction=friction)
    seen = rs.sample_stationary(bowl, None, 0.0, after=12.0, paths=20_000, step=h, seed=3)
    squares = seen.positions[:, 0, 0] ** 2
    assert strict.accepts(strict.score(squares, D / k))
    assert not strict.accepts(strict.score(squares, D / k / (1.0 - 0.5 * k * h)))


# --- the rest -------------------------------------------------------------------------------------

EVERY = [
    rs.ColouredNoise(drift=lambda x: -x, diffusivity=0.5, correlation_time=0.3),
    rs.ColouredNoise(potential=lambda x: (x * x - 1) ** 2, diffusivity=0.5, correlation_time=0.1),
    rs.StableNoise(potential=lambda x: 0.5 * x * x, exponent=1.4, scale=0.7),
    rs.StableNoise(exponent=1.2, skewness=-0.5),
]


@pytest.mark.parametrize("process", EVERY, ids=["coloured", "well", "bowl", "skewed"])
@pytest.mark.parametrize("target", [-0.6, (-0.6, 2.0)], ids=["point", "interval"])
def test_bits_do_not_depend_on_threads_or_parts(process: Any, target: Any) -> None:
    options: dict[str, Any] = {"reset_to": [0.4, 0.8], "step": 0.01, "seed": 12, "horizon": 50.0}
    protocol = rs.Gamma(rate=1.0, stages=2.0, overhead=0.05)
    job = (process, 0.5, target, protocol)
    whole = rs.simulate(*job, paths=300, threads=1, **options)
    again = rs.simulate(*job, paths=300, threads=3, **options)
    part = rs.simulate(*job, paths=range(120, 150), threads=2, **options)
    for name in ("times", "censored", "resets"):
        assert (getattr(whole, name) == getattr(again, name)).all()
        assert (getattr(whole, name)[120:150] == getattr(part, name)).all()
    assert (whole.times > 0).all() and whole.info["deterministic"] is None


def test_wrong_arguments_are_named() -> None:
    for make, name in (
        (lambda: rs.StableNoise(exponent=2.1), "exponent"),
        (lambda: rs.StableNoise(exponent=1.0, skewness=0.5), "skewness"),
        (lambda: rs.StableNoise(scale=0.0), "scale"),
        (lambda: rs.ColouredNoise(correlation_time=-1.0), "correlation_time"),
        (lambda: rs.ColouredNoise(drift=abs, potential=abs), "potential"),
        (lambda: rs.ColouredNoise(drift=1.0), "drift"),
        (lambda: rs.simulate(EVERY[0], 1.0, 0.0, paths=9), "horizon"),
        (lambda: rs.simulate(EVERY[0], 1.0, 0.0, RESET, paths=9, wall=2.0), "wall"),
        (lambda: rs.simulate(EVERY[0], 1.0, 0.0, RESET, paths=9, scheme="exact"), "scheme"),
        (lambda: rs.first_passage(EVERY[0], 1.0, 0.0), "process"),
    ):
        with pytest.raises(rs.DomainError, match=name):
            make()


def test_a_drift_that_is_not_finite_is_reported() -> None:
    bad = rs.ColouredNoise(drift=lambda x: 1.0 / (x - 0.5), diffusivity=1.0, correlation_time=0.1)
    with pytest.raises(rs.DomainError, match=r"drift.*path"):
        steep = rs.StableNoise(drift=lambda x: x**9, exponent=1.0)
        rs.simulate(steep, 1.0, 0.0, paths=50, horizon=100.0, step=0.1)
    assert math.isfinite(rs.simulate(bad, 1.0, 0.7, RESET, paths=50, step=0.01).mean())


CHILD = """
import json, numpy as np, resetsgd as rs
found = []
for process in (
    rs.ColouredNoise(drift=lambda x: -x, diffusivity=0.5, correlation_time=0.3),
    rs.StableNoise(exponent=1.4, skewness=0.3),
):
    S = rs.simulate(process, 1.0, 0.0, rs.Sharp(0.7), paths=4, step=0.05, horizon=2.0)
    found += S.times.tolist()
times = np.array([0.3, 1.0, 2.5, 7.0])
swept = rs.renewal_sweep(times, [0.0, 0.2, 3.0])
print(json.dumps([found, swept.means.tolist(), swept.stderr.tolist()]))
"""


def test_interpreted_kernels_give_the_same_numbers() -> None:
    """Up to the roundings that a fused product saves."""
    one, two = (
        json.loads(
            subprocess.run(
                [sys.executable, "-W", "error", "-c", CHILD], env={**os.environ, **way},
                capture_output=True, text=True, timeout=120, check=True,
            ).stdout
        )
        for way in ({"NUMBA_DISABLE_JIT": "1"}, {})
    )  # fmt: skip
    for first, second in zip(one, two, strict=True):
        assert first == pytest.approx(second, rel=1e-6)
