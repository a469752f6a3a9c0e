"""The label-noise regulariser: against the exactly solvable product u v, mpmath, and its limits."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import resetsgd as rs
from resetsgd import sgd


def test_the_value_to_the_last_bits() -> None:
    draw = np.random.default_rng(1)
    with mp.workdps(50):
        for _ in range(300):
            eta, beta = 10 ** draw.uniform(-12, 2), draw.choice([0.0, 0.9])
            h = 2 * (1 + beta) / eta * np.minimum(10 ** draw.uniform(-12, -0.001, 3), 0.99)
            found = sgd.label_noise_regulariser(h, eta, 2.0, 8.0, beta)
            total = sum(
                -(1 + mp.mpf(beta)) / (2 * mp.mpf(eta))
                * mp.log(1 - mp.mpf(eta) * mp.mpf(x) / (2 * (1 + mp.mpf(beta))))
                for x in h
            )  # fmt: skip
            share = np.max(eta * h / (2 * (1 + beta)))
            kappa = share / (1 - share)
            assert abs(float(found.value / total) - 1) < 2.3e-16 * (8 + 4 * kappa)
            strength = mp.mpf(eta) * 4 / 8 / (1 - mp.mpf(beta))
            assert found.strength == pytest.approx(float(strength), rel=1e-15)


def test_the_limit_of_small_learning_rates_is_a_quarter_of_the_trace() -> None:
    found = sgd.label_noise_regulariser([1.0, 3.0], 1e-9, 1.0, 1.0)
    assert found.value == pytest.approx(1.0, rel=1e-8)
    assert found.weak == 1.0
    for wrong in (2.0, 4.0):  # half the trace, the trace
        assert found.value != pytest.approx(wrong, rel=0.1)
    tiny = sgd.label_noise_regulariser([5e-324, 1e-308], 1e-308, 1.0, 1.0)
    assert np.isfinite([tiny.value, tiny.strength]).all()


def test_slopes_are_the_derivative() -> None:
    h, eta = np.array([0.5, 1.7]), 0.9
    found = sgd.label_noise_regulariser(h, eta, 1.0, 1.0, 0.2)
    for i in range(2):
        step = np.zeros(2)
        step[i] = 1e-6
        up = sgd.label_noise_regulariser(h + step, eta, 1.0, 1.0, 0.2).value
        down = sgd.label_noise_regulariser(h - step, eta, 1.0, 1.0, 0.2).value
        assert (up - down) / 2e-6 == pytest.approx(found.slopes[i], rel=1e-8)  # type: ignore[operator]


def contraction(
    eta: float, sigma: float, batch: int, u: float, v: float, seed: int
) -> tuple[float, float]:
    """Rate of contraction of u² - v² per step of SGD on (u v - y - noise)²/2, and its error.

    u'² - v'² = (u² - v²)(1 - eta² g²) with g the noisy residual, exactly.
    """
    generator = np.random.default_rng(seed)
    runs, steps = 4000, 400
    y = u * v
    a, b = np.full(runs, u), np.full(runs, v)
    squares = []
    for n in range(steps):
        noise = sigma * generator.choice([-1.0, 1.0], size=(runs, batch)).mean(axis=1)
        residual = a * b - y - noise
        if n >= 100:
            squares.append(residual**2)
        a, b = a - eta * residual * b, b - eta * residual * a
    each = eta**2 * np.mean(squares, axis=0)
    return float(each.mean()), float(each.std() / np.sqrt(runs))


@pytest.mark.parametrize(("eta", "batch"), [(0.05, 1), (0.6, 4)])
@pytest.mark.statistical(alpha=1e-9)
def test_the_product_model_flattens_at_this_rate(eta: float, batch: int) -> None:
    """Gradient flow on strength R(h), h = u² + v², contracts u² - v² by 4 eta strength R' a step.

    The noise is so small that h stays; the runs resolve 2 %. Twice the strength, and R without its
    dependence on eta h, are seen.
    """
    u, v, sigma = 1.3, 0.7, 1e-3
    found = sgd.label_noise_regulariser(u * u + v * v, eta, sigma, batch)
    exact = 4 * eta * float(found.strength) * float(found.slopes[0])  # type: ignore[arg-type]
    rate, error = contraction(eta, sigma, batch, u, v, seed=4)
    assert abs(rate - exact) < 6.2 * error + 1e-3 * exact
    assert not abs(rate - 2 * exact) < 6.2 * error + 1e-3 * exact
    if eta > 0.5:
        flat = eta * float(found.strength)  # type: ignore[arg-type]
        assert not abs(rate - flat) < 6.2 * error + 1e-3 * flat


def test_momentum_agrees_with_the_stationary_heavy_ball() -> None:
    """Second moments of residual and buffer, step after step, against strength times slope.

    With momentum u² - v² contracts by eta² E v² (1 + beta)/(1 - beta) per step: the square of a
    step, and twice its correlation with the steps before, which decays as beta^k.
    """
    eta, h, beta, sigma = 0.7, 1.9, 0.6, 1.0
    second = np.zeros((2, 2))  # of e and v, noise independent of both
    move = np.array([[1 - eta * h, -eta * h * beta], [1.0, beta]])
    noise = sigma**2 * np.array([[(eta * h) ** 2, -eta * h], [-eta * h, 1.0]])
    for _ in range(4000):
        second = move @ second @ move.T + noise
    found = sgd.label_noise_regulariser(h, eta, sigma, 1.0, beta)
    slow = 4 * eta / (1 - beta) * float(found.strength) * float(found.slopes[0])  # type: ignore[arg-type]
    assert eta**2 * second[1, 1] * (1 + beta) / (1 - beta) == pytest.approx(slow, rel=1e-10)


def test_as_a_landscape_it_prefers_the_flat_well() -> None:
    """Two wells of zero loss, curvature 1 and 9: label noise lifts the sharp one."""

    def loss(x: Any) -> Any:
        return np.where(x < 0, 0.5 * (x + 1) ** 2, 4.5 * (x - 1 / 3) ** 2)

    def curvature(x: Any) -> Any:
        return np.where(x < 0, 1.0, 9.0)

    potential = sgd.EffectivePotential(loss, curvature, 0.1, 1.0, 4.0)
    flat, sharp = potential(np.array([-1.0, 1 / 3]))
    penalty = sgd.label_noise_regulariser([[1.0], [9.0]], 0.1, 1.0, 4.0).penalty
    np.testing.assert_allclose([flat, sharp], penalty)
    assert sharp > 8 * flat
    smooth = sgd.EffectivePotential(
        lambda x: 0.05 * (x**2 - 1) ** 2, lambda x: 2.0 + np.tanh(3 * x), 0.3, 1.0, 1.0
    )
    well = rs.Landscape(smooth, diffusivity=0.02)
    there = rs.first_passage(well, start=1.0, target=0.0).mean()
    back = rs.first_passage(well, start=-1.0, target=0.0).mean()
    assert back > 2 * there  # type: ignore[operator]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((2.0, 1.0, 1.0, 1.0), "hessian_eigenvalues"),
        (([0.1, 5.0], 1.0, 1.0, 1.0), "unstable"),
        ((3.9, 1.0, 1.0, 1.0, 0.5), "hessian_eigenvalues"),
        ((1.0, 0.0, 1.0, 1.0), "learning_rate"),
        ((1.0, 1.0, -1.0, 1.0), "noise_std"),
        ((1.0, 1.0, 1.0, 0.0), "batch_size"),
        ((np.nan, 1.0, 1.0, 1.0), "hessian_eigenvalues"),
    ],
)
def test_wrong_arguments_are_named(arguments: Any, word: str) -> None:
    with pytest.raises(rs.DomainError, match=word):
        sgd.label_noise_regulariser(*arguments)
    assert np.isfinite(sgd.label_noise_regulariser(2.9, 1.0, 1.0, 1.0, 0.5).value)
