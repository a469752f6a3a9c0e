"""Long-run loss under resets: against matrix recursions, residuals, decimals, and simulations."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import optimize

import resetsgd as rs
from resetsgd import sgd

Array = Any
ORDERS = ("move-coin-look", "move-look-coin")


def bowl(seed: int, size: int = 3) -> tuple[Array, Array, Array]:
    draw = np.random.default_rng(seed)
    a, b = draw.normal(size=(2, size, size))
    return a @ a.T / size + 0.05 * np.eye(size), b @ b.T, draw.normal(size=size)


def recursion(
    H: Array, C: Array, d: Array, eta: float, p: float, beta: float, order: str, velocity: Any
) -> float:
    """Second moments of parameters and momentum buffer, step after step until they rest."""
    n = len(d)
    one = np.eye(n)
    move = np.block([[one - eta * H, -eta * beta * one], [H, beta * one]])
    noise = np.block([[eta**2 * C, -eta * C], [-eta * C, C]])
    second, first = np.zeros((2 * n, 2 * n)), np.zeros(2 * n)
    loss = before = np.nan
    for _ in range(20000):
        moved, mean = move @ second @ move.T + noise, move @ first
        if isinstance(velocity, str) and velocity == "keep":
            state = np.concatenate([d, mean[n:]])
            reset = np.outer(state, state)
            reset[n:, n:] = moved[n:, n:]
        else:
            state = np.concatenate([d, np.zeros(n) if isinstance(velocity, str) else velocity])
            reset = np.outer(state, state)
        second, first = (1 - p) * moved + p * reset, (1 - p) * mean + p * state
        seen = second if order == "move-coin-look" else moved
        before, loss = loss, 0.5 * float(np.trace(H @ seen[:n, :n]))
        if abs(loss - before) < 1e-16 * loss:
            break
    return loss


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("velocity", ["zero", "keep", "given"])
@pytest.mark.parametrize("beta", [0.0, 0.8])
def test_discrete_loss_is_where_the_matrix_recursion_rests(
    beta: float, velocity: Any, order: str
) -> None:
    for seed in range(3):
        H, C, d = bowl(seed)
        restored = np.array([0.3, -1.0, 0.5]) if velocity == "given" else velocity
        for p in (0.02, 0.3, 1.0):
            found = sgd.long_run_loss(
                H, C, d, 0.2, probability=p, momentum=beta, order=order, velocity=restored
            )
            exact = recursion(H, C, d, 0.2, p, beta, order, restored)
            assert found == pytest.approx(exact, rel=1e-12)
            other = ORDERS[1 - ORDERS.index(order)]  # the wrong order is seen
            assert found != pytest.approx(
                recursion(H, C, d, 0.2, p, beta, other, restored), rel=1e-3
            )


def test_second_moments_solve_their_equations() -> None:
    H, C, d = bowl(4)
    eta, r, p = 0.1, 0.03, 0.04
    S = sgd.long_run_covariance(H, C, d, eta, rate=r)
    K = eta * H + 0.5 * r * np.eye(3)
    source = eta**2 * C + r * np.outer(d, d)
    np.testing.assert_allclose(K @ S + S @ K, source, atol=1e-15)
    assert sgd.long_run_loss(H, C, d, eta, rate=r) == pytest.approx(0.5 * np.trace(H @ S))
    wrong = K + 0.5 * r * np.eye(3)  # r instead of r/2
    assert np.max(np.abs(wrong @ S + S @ wrong - source)) > 1e-3
    S = sgd.long_run_covariance(H, C, d, eta, probability=p)
    A = np.eye(3) - eta * H
    right = (1 - p) * (A @ S @ A + eta**2 * C) + p * np.outer(d, d)
    np.testing.assert_allclose(S, right, atol=1e-15)
    assert np.max(np.abs((1 - p) * A @ S @ A + eta**2 * C + p * np.outer(d, d) - S)) > 1e-4
    for beta in (0.0, 0.9):
        S = sgd.long_run_covariance(H, C, d, eta, probability=p, momentum=beta)
        loss = sgd.long_run_loss(H, C, d, eta, probability=p, momentum=beta)
        assert 0.5 * np.trace(H @ S) == pytest.approx(loss, rel=1e-12)


def test_accuracy_against_sixty_digits_down_to_tiny_steps() -> None:
    draw = np.random.default_rng(7)
    with mp.workdps(60):
        for _ in range(300):
            h, C, d = 10 ** draw.uniform(-3, 3, 3)
            eta = 10 ** draw.uniform(-12, 0) / h
            p = 10 ** draw.uniform(-14, -1e-3)
            g, q = mp.mpf(eta) * mp.mpf(h), 1 - mp.mpf(p)
            m = (q * mp.mpf(eta) ** 2 * mp.mpf(C) + mp.mpf(p) * mp.mpf(d) ** 2) / (
                1 - q * (1 - g) ** 2
            )
            found = sgd.long_run_loss(h, C, d, eta, probability=p)
            assert abs(float(found / (h * m / 2)) - 1) < 2e-15
            r = mp.mpf(p)
            m = (mp.mpf(eta) ** 2 * mp.mpf(C) + r * mp.mpf(d) ** 2) / (r + 2 * g)
            assert abs(float(sgd.long_run_loss(h, C, d, eta, rate=p) / (h * m / 2)) - 1) < 2e-15


def test_momentum_against_sixty_digits() -> None:
    """A 3 x 3 solve with 60 digits, eta h down to 1e-10."""
    draw = np.random.default_rng(8)
    with mp.workdps(60):
        for _ in range(100):
            g, p, beta = 10 ** draw.uniform(-10, 0), 10 ** draw.uniform(-10, -0.1), draw.random()
            h, eta, C, d = 2.0, g / 2.0, 3.0, 0.7
            G, P, B = mp.mpf(eta) * h, mp.mpf(p), mp.mpf(beta)
            Q, S = 1 - P, mp.mpf(eta) ** 2 * C
            move = mp.matrix([[1 - G, B], [-G, B]])
            full = mp.matrix(3, 3)  # moments a, b, c of theta and delta
            (w, x), (y, z) = (move[0, 0], move[0, 1]), (move[1, 0], move[1, 1])
            rows = [
                [w * w, 2 * w * x, x * x],
                [w * y, w * z + x * y, x * z],
                [y * y, 2 * y * z, z * z],
            ]
            for i in range(3):
                for j in range(3):
                    full[i, j] = (1 if i == j else 0) - Q * rows[i][j]
            source = mp.matrix([Q * S + P * mp.mpf(d) ** 2, Q * S, Q * S])
            exact = h / 2 * mp.lu_solve(full, source)[0]
            found = sgd.long_run_loss(h, C, d, eta, probability=p, momentum=beta)
            assert abs(float(found / exact) - 1) < 1e-13


def test_limits_without_resets_and_at_the_checkpoint() -> None:
    h, C, d, eta = 2.0, 3.0, 0.7, 0.1
    assert sgd.long_run_loss(h, C, d, eta, rate=0.0) == pytest.approx(eta * C / 4)
    plain = eta * C / 4 * sgd.variance_factor(h, eta)  # type: ignore[operator]
    assert sgd.long_run_loss(h, C, d, eta, probability=0.0) == pytest.approx(plain, rel=1e-14)
    heavy = eta / 0.2 * C / 4 * sgd.variance_factor(h, eta, 0.8)  # type: ignore[operator]
    found = sgd.long_run_loss(h, C, d, eta, probability=0.0, momentum=0.8)
    assert found == pytest.approx(heavy, rel=1e-13)
    for end in ({"rate": np.inf}, {"probability": 1.0}):
        assert sgd.long_run_loss(h, C, d, eta, **end) == pytest.approx(h * d * d / 2)
    # the diffusion is the limit of small steps
    small = sgd.long_run_loss(h, C, d, 1e-6, probability=1e-7)
    assert small == pytest.approx(sgd.long_run_loss(h, C, d, 1e-6, rate=1e-7), rel=1e-5)


def test_it_diverges_exactly_where_it_should_and_never_turns_negative() -> None:
    h, eta = 30.0, 0.1  # |1 - eta h| = 2: finite if 4 (1-p) < 1
    p = np.array([0.0, 0.5, 0.7499, 0.7501, 0.9, 1.0])
    loss = np.asarray(sgd.long_run_loss(h, 1.0, 1.0, eta, probability=p))
    np.testing.assert_array_equal(np.isinf(loss), p < 0.75)
    assert (loss >= 0).all()
    m = (0.1 * 0.01 + 0.9) / (1 - 0.1 * 4)
    assert loss[4] == pytest.approx(15 * m)
    for beta in (0.3, 0.9):
        # without resets heavy ball is stable for eta h < 2 (1 + beta)
        edge = 2 * (1 + beta) / h
        for velocity in ("zero", "keep"):
            options: dict[str, Any] = {"probability": 0.0, "momentum": beta, "velocity": velocity}
            assert np.isfinite(sgd.long_run_loss(h, 1.0, 1.0, edge * 0.999, **options))
            assert np.isinf(sgd.long_run_loss(h, 1.0, 1.0, edge * 1.001, **options))
    flat = sgd.long_run_loss([0.0, 1.0], 1.0, 1.0, 0.1, probability=0.0)
    assert flat == sgd.long_run_loss(1.0, 1.0, 1.0, 0.1, probability=0.0)


@pytest.mark.parametrize("parameter", ["rate", "probability"])
def test_one_direction_has_no_optimum_in_between(parameter: str) -> None:
    for d, value in ((0.1, 1.0 if parameter == "probability" else np.inf), (2.0, 0.0)):
        best = sgd.best_reset(1.0, 1.0, d, 0.1, parameter=parameter)
        assert best.value == value
        assert best.pays is (d == 0.1)
        assert len(best.local_minima) == 1


def test_the_condition_for_resets_to_pay() -> None:
    """Sum of Delta is the sign of the slope at rate 0; a sharp bad direction caps the rate."""
    draw = np.random.default_rng(9)
    seen = set()
    for _ in range(60):
        h, C = 10 ** draw.uniform(-1.5, 1.5, (2, 4))
        eta = 0.01
        d = np.sqrt(eta * C / (2 * h)) * 10 ** draw.uniform(-1, 0.7, 4)
        delta = d**2 - eta * C / (2 * h)
        best = sgd.best_reset(h, C, d, eta, parameter="rate")
        assert (best.slope < 0) == (np.sum(delta) < 0)
        inner = 0 < best.value < np.inf
        if np.sum(delta) < 0:
            assert best.pays
            assert inner or np.sum(delta * h**2) <= 0
        seen.add((best.pays, inner))
        # a dense search finds nothing lower
        grid = np.concatenate([[0.0], np.geomspace(1e-8, 1e4, 2000), [np.inf]])
        lowest = np.min(sgd.long_run_loss(h, C, d, eta, rate=grid))
        assert best.loss <= lowest * (1 + 1e-14)
    assert {(True, True), (False, False), (True, False)} <= seen


@pytest.mark.parametrize("parameter", ["rate", "probability"])
def test_several_local_minima_are_all_found(parameter: str) -> None:
    """Delta = d² - eta C/2h of alternating sign over nine decades: two minima in between."""
    h, eta = np.array([1e-8, 1e-5, 1e-2, 10.0]), 1e-3
    noise = np.array([4.0, 0.5, 1.0, 0.5])
    for delta, count in (([-3.0, 1.0, -0.5, 0.01], 2), ([-3.0, 1.0, 0.5, 0.01], 1)):
        C, d = 2 * h * noise / eta, np.sqrt(np.array(delta) + noise)
        best = sgd.best_reset(h, C, d, eta, parameter=parameter)
        grid = np.geomspace(1e-14, 1.0, 20000)
        loss = np.asarray(sgd.long_run_loss(h, C, d, eta, **{parameter: grid}))
        inner = np.flatnonzero((loss[1:-1] < loss[:-2]) & (loss[1:-1] < loss[2:])) + 1
        found = sorted(m.at for m in best.local_minima if 0 < m.at < 1)
        assert len(found) == count
        np.testing.assert_allclose(found, grid[inner], rtol=2e-3)
        losses = [m.loss for m in best.local_minima]
        assert losses == sorted(losses) and best.loss == losses[0]


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "velocity": "keep"}])
@pytest.mark.parametrize("order", ORDERS)
def test_the_best_probability_is_stationary(options: dict[str, Any], order: str) -> None:
    H, C, d = [1.0, 1e-3], [0.1, 1.0], [1.0, 1.0]
    best = sgd.best_reset(H, C, d, 0.1, order=order, **options)

    def loss(p: float) -> float:
        return float(sgd.long_run_loss(H, C, d, 0.1, probability=p, order=order, **options))

    inner = [m for m in best.local_minima if 0 < m.at < 1]
    assert inner
    for minimum in inner:
        near = optimize.minimize_scalar(
            loss, bounds=(minimum.at / 3, min(1.0, 3 * minimum.at)), method="bounded",
            options={"xatol": 1e-12},
        )  # fmt: skip
        assert minimum.at == pytest.approx(near.x, rel=1e-5)
        assert minimum.loss <= near.fun * (1 + 1e-13)


def test_sgd_that_diverges_is_held_by_resets() -> None:
    best = sgd.best_reset([30.0, 1.0], 1.0, [0.1, 3.0], 0.1)
    assert best.loss_without == np.inf
    assert best.pays
    assert "diverges" in best.reason
    assert 0.75 < best.value <= 1.0


@pytest.mark.statistical(alpha=1e-9)
def test_simulated_sgd_has_this_loss() -> None:
    """Mean over 4000 independent runs and 40 looks each; sees an error of 2 %."""
    H, C, d = bowl(11)
    eta, p, beta, runs = 0.2, 0.05, 0.6, 4000
    generator = np.random.default_rng(12)
    half = np.linalg.cholesky(C)
    theta, buffer = np.tile(d, (runs, 1)), np.zeros((runs, 3))
    looks = []
    for n in range(2200):
        buffer = beta * buffer + theta @ H + generator.standard_normal((runs, 3)) @ half.T
        theta = theta - eta * buffer
        back = generator.random(runs) < p
        theta[back], buffer[back] = d, 0.0
        if n >= 200 and n % 50 == 0:
            looks.append(0.5 * np.einsum("ri,ij,rj->r", theta, H, theta))
    each = np.mean(looks, axis=0)  # runs are independent
    mean, error = each.mean(), each.std() / np.sqrt(runs)
    exact = sgd.long_run_loss(H, C, d, eta, probability=p, momentum=beta)
    twin = sgd.long_run_loss(H, C, d, eta, probability=p, momentum=beta, order="move-look-coin")
    assert abs(mean - exact) < 6.2 * error
    assert not abs(mean - twin) < 6.2 * error


@pytest.mark.parametrize(
    ("arguments", "options", "word"),
    [
        ((-1.0, 1.0, 1.0, 0.1), {"rate": 1.0}, "hessian"),
        ((1.0, -1.0, 1.0, 0.1), {"rate": 1.0}, "noise_covariance"),
        ((1.0, 1.0, np.nan, 0.1), {"rate": 1.0}, "checkpoint"),
        ((1.0, 1.0, 1.0, 0.0), {"rate": 1.0}, "learning_rate"),
        ((1.0, 1.0, 1.0, 0.1), {}, "rate, probability"),
        ((1.0, 1.0, 1.0, 0.1), {"rate": 1.0, "probability": 0.1}, "rate, probability"),
        ((1.0, 1.0, 1.0, 0.1), {"probability": 1.1}, "probability"),
        ((1.0, 1.0, 1.0, 0.1), {"probability": 0.1, "momentum": 1.0}, "momentum"),
        ((1.0, 1.0, 1.0, 0.1), {"probability": 0.1, "order": "look"}, "order"),
        (([[1.0, 2.0], [0.0, 1.0]], 1.0, 1.0, 0.1), {"rate": 1.0}, "hessian"),
        ((np.eye(2), np.eye(3), 1.0, 0.1), {"rate": 1.0}, "noise_covariance"),
        ((np.eye(2), 1.0, [1.0, 2.0, 3.0], 0.1), {"rate": 1.0}, "checkpoint"),
        ((1.0, 1.0, 1.0, 0.1), {"probability": 0.1, "velocity": "off"}, "velocity"),
    ],
)
def test_wrong_arguments_are_named(arguments: Any, options: Any, word: str) -> None:
    with pytest.raises(rs.DomainError, match=word):
        sgd.long_run_loss(*arguments, **options)


def test_the_ends_of_float64_give_no_nan() -> None:
    ends = (1e-308, 1e-150, 1.0, 1e150, 1e308)
    p, r = [0.0, 1e-300, 0.5, 1.0], [0.0, 1e-300, 1.0, np.inf]
    for h in ends:
        for C in ends:
            for eta in ends:
                for options in ({}, {"momentum": 0.9}, {"momentum": 0.9, "velocity": "keep"}):
                    loss = sgd.long_run_loss(h, C, 1e200, eta, probability=p, **options)  # type: ignore[arg-type]
                    assert not np.isnan(loss).any() and np.min(loss) >= 0
                loss = sgd.long_run_loss(h, C, 1e-200, eta, rate=r)
                assert not np.isnan(loss).any() and np.min(loss) >= 0
