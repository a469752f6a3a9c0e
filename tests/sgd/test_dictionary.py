"""The dictionary: against simulated SGD, law of total variance, and walks step by step."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import resetsgd as rs
from resetsgd import sgd

KNOWN: dict[str, Any] = {"clean_covariance": 4.0, "learning_rate": 0.1, "batch_size": 32}


def test_velocity_and_diffusivity_by_hand() -> None:
    along = sgd.drift_diffusion(-1.0, 3.0, 0.2, noisy_covariance=9.0, **KNOWN)
    # downhill: 0.8 (1) + 0.2 (-3) = 0.2; variance 0.8 4 + 0.2 9 + 0.16 (4)^2
    assert along.velocity == pytest.approx(0.1 * 0.2)
    assert along.diffusivity == pytest.approx(0.01 * (3.2 + 1.8 + 0.16 * 16) / 64)
    assert along.peclet(2.0) == pytest.approx(along.velocity / along.diffusivity)  # type: ignore[operator]
    assert along.critical_noise_rate == 0.25
    flow = sgd.drift_diffusion(-1.0, 3.0, 0.2, noisy_covariance=9.0, time="flow", **KNOWN)
    assert flow.velocity == pytest.approx(0.2)
    assert flow.peclet(2.0) == pytest.approx(along.peclet(2.0))
    assert flow.step == pytest.approx(along.step)
    slow, fast = along.passage_time(1.0), flow.passage_time(1.0)
    assert fast.mean() == pytest.approx(0.1 * slow.mean())  # type: ignore[operator]


def test_vectors_are_projected() -> None:
    draw = np.random.default_rng(1)
    clean, noisy, toward, theta = draw.normal(size=(4, 3))
    a = draw.normal(size=(3, 3))
    spread = a @ a.T
    unit = toward / np.linalg.norm(toward)
    options: dict[str, Any] = {"learning_rate": 0.1, "batch_size": 4, "momentum": 0.5}
    along = sgd.drift_diffusion(
        clean, noisy, 0.3, direction=5 * toward, clean_covariance=spread,
        weight_decay=0.2, position=theta, **options,
    )  # fmt: skip
    total = 0.7 * clean + 0.3 * noisy + 0.2 * theta
    delta = clean - noisy
    matrix = spread + 0.21 * np.outer(delta, delta)
    assert along.velocity == pytest.approx(-0.2 * unit @ total)
    assert along.diffusivity == pytest.approx(0.04 * unit @ matrix @ unit / 8)
    diagonal = sgd.drift_diffusion(
        clean, noisy, 0.3, direction=toward, clean_covariance=[1.0, 2.0, 3.0], **options
    )
    own = np.sum(unit**2 * [1, 2, 3]) + 0.21 * (unit @ delta) ** 2
    assert diagonal.variance == pytest.approx(own)


def test_the_covariance_is_that_of_a_mixture_of_samples() -> None:
    """Law of total variance: 4e5 draws see 1 %, and forgetting tau (1-tau) Delta² is 30 %."""
    generator = np.random.default_rng(2)
    wrong = generator.random(400_000) < 0.3
    samples = np.where(
        wrong, 2.0 + 1.5 * generator.standard_normal(wrong.size),
        -1.0 + 2.0 * generator.standard_normal(wrong.size),
    )  # fmt: skip
    along = sgd.drift_diffusion(
        -1.0, 2.0, 0.3, clean_covariance=4.0, noisy_covariance=2.25, learning_rate=1, batch_size=1
    )
    assert samples.var() == pytest.approx(along.variance, rel=0.01)
    assert samples.var() != pytest.approx(0.7 * 4 + 0.3 * 2.25, rel=0.2)


@pytest.mark.parametrize("beta", [0.0, 0.8])
@pytest.mark.statistical(alpha=1e-9)
def test_simulated_sgd_drifts_and_spreads_like_this(beta: float) -> None:
    """Constant gradients, 600 steps of 20000 runs; variance to 6 %, mean to 1 %."""
    generator = np.random.default_rng(3)
    runs, steps = 20_000, 600
    along = sgd.drift_diffusion(-1.0, 2.0, 0.2, momentum=beta, **KNOWN)
    x, v = np.zeros(runs), np.zeros(runs)
    for _ in range(steps):
        wrong = generator.binomial(32, 0.2, runs)
        mean = (-1.0 * (32 - wrong) + 2.0 * wrong) / 32
        v = beta * v + mean + 2.0 / np.sqrt(32) * generator.standard_normal(runs)
        x = x - 0.1 * v
    # the buffer fills within 1/(1-beta) steps: corrections of order 1/n (1-beta)
    late = 1.0 / (steps * (1 - beta))
    error = x.std() / np.sqrt(runs)
    drift = float(along.velocity) * steps  # type: ignore[arg-type]
    assert abs(x.mean() - drift) < 6.2 * error + late * abs(drift)
    spread = 2 * float(along.diffusivity) * steps  # type: ignore[arg-type]
    width = 6.2 * np.sqrt(2 / runs) + 2 * late
    assert abs(x.var() / spread - 1) < width
    naive = spread * (1 - beta) ** 2 if beta else 0.5 * spread
    assert not abs(x.var() / naive - 1) < width


def test_critical_values_are_where_the_peclet_number_is_one() -> None:
    arguments: dict[str, Any] = {**KNOWN, "noisy_covariance": 5.0, "momentum": 0.3}
    along = sgd.drift_diffusion(-1.0, 2.0, 0.2, **arguments)
    for gap in (0.01, 0.02):
        batch = along.critical_batch_size(gap)
        there = sgd.drift_diffusion(-1.0, 2.0, 0.2, **{**arguments, "batch_size": batch})
        assert there.peclet(gap) == pytest.approx(1.0, rel=1e-12)
        rate = along.critical_learning_rate(gap)
        there = sgd.drift_diffusion(-1.0, 2.0, 0.2, **{**arguments, "learning_rate": rate})
        assert there.peclet(gap) == pytest.approx(1.0, rel=1e-12)
    noise = along.critical_resetting_noise_rate(0.1)
    assert 0 < noise < along.critical_noise_rate  # type: ignore[operator]
    there = sgd.drift_diffusion(-1.0, 2.0, noise, **arguments)
    assert there.peclet(0.1) == pytest.approx(1.0, rel=1e-12)
    below = sgd.drift_diffusion(-1.0, 2.0, 0.99 * noise, **arguments)  # type: ignore[operator]
    assert below.peclet(0.1) > 1  # type: ignore[operator]
    away = sgd.drift_diffusion(-1.0, 2.0, 0.6, **arguments)
    assert away.critical_batch_size(1.0) == np.inf
    assert away.critical_learning_rate(1.0) == 0.0
    assert away.velocity < 0  # type: ignore[operator]


def test_batches_without_replacement() -> None:
    with_all = sgd.drift_diffusion(-1.0, 2.0, 0.2, samples=64, **KNOWN)
    free = sgd.drift_diffusion(-1.0, 2.0, 0.2, **KNOWN)
    assert with_all.diffusivity == pytest.approx(free.diffusivity * 32 / 63)  # type: ignore[operator]
    batch = with_all.critical_batch_size(0.05)
    there = sgd.drift_diffusion(-1.0, 2.0, 0.2, samples=64, **{**KNOWN, "batch_size": batch})
    assert there.peclet(0.05) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("clean", "noisy", "found"),
    [(-1.0, 1.0, 0.5), (-1.0, -0.5, np.inf), (1.0, 2.0, 0.0), (-1.0, 0.0, 1.0)],
)
def test_noise_rate_at_which_the_drift_reverses(clean: float, noisy: float, found: float) -> None:
    assert sgd.drift_diffusion(clean, noisy, 0.2, **KNOWN).critical_noise_rate == found


def walk_mean(gap: float, drift: float) -> float:
    """Mean steps of a Gaussian walk of unit steps to a target, by Nyström's method."""
    reach = gap + 40.0
    size = 240
    nodes, weights = np.polynomial.legendre.leggauss(size)
    x, w = 0.5 * reach * (nodes + 1), 0.5 * reach * weights
    kernel = np.exp(-0.5 * (x[:, None] - drift - x) ** 2) / np.sqrt(2 * np.pi)
    times = np.linalg.solve(np.eye(size) - kernel * w, np.ones(size))
    return 1.0 + float(
        np.sum(np.exp(-0.5 * (gap - drift - x) ** 2) / np.sqrt(2 * np.pi) * w * times)
    )


def test_the_barrier_shift_removes_the_first_order() -> None:
    """Positions are distances to the target here. Error of order step/L, and (step/L)² with it."""
    left = []
    for gap in (4.0, 8.0):
        drift = 1.0 / gap  # Péclet number 1 throughout
        along = sgd.drift_diffusion(
            -drift, 0.0, 0.0, clean_covariance=1.0, learning_rate=1.0, batch_size=1.0
        )
        exact = walk_mean(gap, drift)
        plain = along.passage_time(gap).mean() / exact - 1  # type: ignore[operator]
        shifted = along.passage_time(gap, corrected=True).mean() / exact - 1  # type: ignore[operator]
        assert plain == pytest.approx(-sgd.BARRIER_SHIFT / gap, rel=0.2)
        left.append(abs(shifted) * gap**2)
        assert abs(shifted) < 0.15 * abs(plain)
    assert left[1] < 1.5 * left[0]  # second order


def test_the_overshoot_constant() -> None:
    with mp.workdps(40):
        exact = float(-mp.zeta(mp.mpf("0.5")) / mp.sqrt(2 * mp.pi))
    assert exact == sgd.BARRIER_SHIFT


def test_variance_factor_is_that_of_the_recursion() -> None:
    for beta in (0.0, 0.6):
        h, eta = 3.0, 0.3
        second = np.zeros((2, 2))
        move = np.array([[1 - eta * h, -eta * beta], [h, beta]])
        for _ in range(3000):
            second = move @ second @ move.T + np.array([[eta**2, -eta], [-eta, 1.0]])
        diffusion = eta / (2 * h * (1 - beta))
        assert second[0, 0] / diffusion == pytest.approx(sgd.variance_factor(h, eta, beta))
    with pytest.raises(rs.DomainError, match="learning_rate"):
        sgd.variance_factor(2.0, 1.0)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"noise_rate": 1.5}, "noise_rate"),
        ({"batch_size": 0.5}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"clean_covariance": -1.0}, "clean_covariance"),
        ({"clean_gradient": [1.0, 2.0]}, "direction"),
        ({"weight_decay": 0.1}, "position"),
        ({"samples": 32}, "batch_size"),
        ({"time": "epochs"}, "time"),
        ({"momentum": 1.0}, "momentum"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], word: str) -> None:
    arguments: dict[str, Any] = {
        "clean_gradient": -1.0, "noisy_gradient": 1.0, "noise_rate": 0.2, **KNOWN, **change
    }  # fmt: skip
    with pytest.raises(rs.DomainError, match=word):
        sgd.drift_diffusion(**arguments)
    with pytest.raises(rs.DomainError, match="corrected"):
        sgd.drift_diffusion(-1.0, 1.0, 0.2, momentum=0.5, **KNOWN).passage_time(1.0, corrected=True)
