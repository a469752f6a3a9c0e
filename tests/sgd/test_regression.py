"""Regression with label noise: against matrices, quadrature, simulated SGD, and closed limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import integrate, linalg

import resetsgd as rs
from resetsgd import sgd


def data(seed: int, n: int = 30, d: int = 5) -> tuple[Any, Any, Any]:
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(n, d)) * np.array([3.0, 2.0, 1.0, 0.5, 0.2])[:d]
    other = draw.normal(size=(d, d))
    return inputs, draw.normal(size=d), other @ other.T


def test_risk_is_that_of_the_matrix_exponential() -> None:
    X, truth, S = data(1)
    n, noise = len(X), 2.0
    start = np.array([1.0, 0.0, -1.0, 0.5, 0.0])
    for test in (None, S):
        model = sgd.Regression.from_data(X, truth, noise, start=start, test_covariance=test)
        weight = X.T @ X / n if test is None else test
        H = X.T @ X / n
        for t in (0.0, 0.03, 1.0, 20.0):
            fall = linalg.expm(-H * t)
            mean = fall @ (start - truth)
            response = np.linalg.solve(H, np.eye(5) - fall) @ X.T / n
            exact = mean @ weight @ mean + noise * np.trace(response.T @ weight @ response)
            assert model.risk(t) == pytest.approx(exact, rel=1e-10)
            # L = |.|²/n would flow twice as fast: seen
            if t:
                assert model.risk(2 * t) != pytest.approx(exact, rel=1e-6)


def test_gradient_descent_is_the_matrix_power() -> None:
    X, truth, S = data(2)
    noise, eta = 2.0, 0.05
    model = sgd.Regression.from_data(X, truth, noise, test_covariance=S)
    H = X.T @ X / len(X)
    A = np.eye(5) - eta * H
    mean, response = -truth, np.zeros((5, len(X)))
    steps = np.arange(0.0, 40.0)
    risks = np.asarray(model.risk(steps, learning_rate=eta))
    for n in range(40):
        exact = mean @ S @ mean + noise * np.trace(response.T @ S @ response)
        assert risks[n] == pytest.approx(exact, rel=1e-11)
        mean, response = A @ mean, A @ response + eta * X.T / len(X)
    # beyond 2/lambda it overshoots and diverges, with the right sign
    one = sgd.Regression(1.0, 2.0, 1.0, 4)
    assert one.risk(3.0, learning_rate=2.5) == pytest.approx(4 * 1.5**6 + (1 + 1.5**3) ** 2 / 4)
    # many small steps are the flow
    assert one.risk(1e7, learning_rate=1e-7) == pytest.approx(one.risk(1.0), rel=1e-6)


def test_no_digit_is_lost_for_tiny_eigenvalues() -> None:
    import mpmath as mp

    draw = np.random.default_rng(3)
    with mp.workdps(50):
        for _ in range(200):
            lam, a, s2, t = 10 ** draw.uniform([-12, -2, -2, -6], [0, 2, 2, 6])
            model = sgd.Regression(lam, a, s2, 7)
            L, v = mp.mpf(lam), mp.mpf(s2) / (7 * mp.mpf(lam))
            e = mp.exp(-L * mp.mpf(t))
            exact = L * (mp.mpf(a) ** 2 * e**2 + v * (1 - e) ** 2)
            kappa = min(2 * lam * t, 1000.0)
            found = model.risk(t)
            if exact > 1e-280:
                assert abs(float(found / exact) - 1) < 2.3e-16 * (16 + 4 * kappa)


def test_the_best_checkpoint_is_the_global_minimum() -> None:
    one = sgd.Regression(0.3, 2.0, 10.0, 10, test_covariance=[1.0])
    v = 10 / (10 * 0.3)
    best = one.best_checkpoint()
    assert best.at == pytest.approx(np.log1p(4 / v) / 0.3)
    assert best.loss == pytest.approx(4 * v / (4 + v))
    # two valleys: a fast mode learnt, then noise, then a slow mode learnt
    two = sgd.Regression([1.0, 1e-4], [1.0, 300.0], 2.0, 1, test_covariance=[1.0, 1e-5])
    t = np.geomspace(1e-3, 1e7, 200_001)
    curve = np.asarray(two.risk(t))
    dips = np.flatnonzero((curve[1:-1] < curve[:-2]) & (curve[1:-1] < curve[2:])) + 1
    assert len(dips) == 2
    assert two.best_checkpoint().at == pytest.approx(t[np.argmin(curve)], rel=1e-3)
    assert sgd.Regression(1.0, 1.0, 0.0, 5).best_checkpoint().at == np.inf
    assert sgd.Regression(1.0, 0.0, 1.0, 5).best_checkpoint() == (0.0, 0.0)


@pytest.mark.parametrize("full", [False, True])
def test_long_run_risk_is_the_average_over_the_age(full: bool) -> None:
    draw = np.random.default_rng(4)
    rates = np.append(10 ** draw.uniform(-4, 0, 5), 0.0)
    S = draw.normal(size=(6, 6))
    S = S @ S.T if full else np.diag(S @ S.T)
    model = sgd.Regression(rates, draw.normal(size=6), 5.0, 20, S)
    options: dict[str, Any] = {"limit": 300, "epsabs": 0, "epsrel": 1e-11}
    for at in (0.0, 3.0):
        for r in (0.01, 1.0, 50.0):
            exact = integrate.quad(
                lambda u, r=r, at=at: r * np.exp(-r * u) * model.risk(at + u), 0, 60 / r, **options
            )[0]
            assert model.risk_under(rs.Poisson(r), at) == pytest.approx(exact, rel=1e-9)
        for period in (1e-3, 0.1, 1.0, 500.0):
            exact = integrate.quad(lambda u, at=at: model.risk(at + u), 0, period, **options)[0]
            found = model.risk_under(rs.Sharp(period), at)
            assert found == pytest.approx(exact / period, rel=1e-9)
        k = np.arange(3000.0)
        exact = np.sum(0.02 * 0.98**k * np.asarray(model.risk(at + k)))
        assert model.risk_under(rs.Geometric(0.02), at) == pytest.approx(exact, rel=1e-10)
        same = model.risk_under(rs.Gamma(rate=1.0, stages=1.0), at)
        assert same == pytest.approx(model.risk_under(rs.Poisson(1.0), at), rel=1e-10)
    never = sgd.Regression(1.0, 1.0, 1.0, 5)
    assert never.risk_under(rs.Poisson([0.0, 1.0]))[0] == never.risk(np.inf)  # type: ignore[index]
    assert never.risk_under(rs.Sharp(np.inf)) == pytest.approx(never.risk(np.inf))


def test_when_resetting_pays_with_one_eigenvalue() -> None:
    rate, a, v = 0.7, 2.0, 1.0
    model = sgd.Regression(rate, a, v * rate * 9, 9)
    best_time = np.log1p(a * a / v) / rate
    for early in (3.0, 2.1, 1.9, 1.0, 0.3, 0.0, -0.5):  # in units of 1/lambda before the optimum
        at = best_time - early / rate
        if at < 0:
            continue
        advice = model.best_rate(at)
        kappa = np.exp(early / 2)
        if early > np.log(4):
            assert not advice.pays and advice.rate == 0.0
        elif early <= 0:
            assert advice.pays and advice.rate == np.inf
        else:
            assert advice.rate == pytest.approx(rate * (2 - kappa) / (kappa - 1), rel=1e-9)
        assert advice.risk >= advice.risk_of_stopping * (1 - 1e-14)
    # from the start: useless if and only if a² >= 3 v
    for ratio, useless in ((2.99, False), (3.01, True)):
        start = sgd.Regression(rate, np.sqrt(ratio * v), v * rate * 9, 9).best_rate()
        assert start.pays is not useless


def test_the_best_rate_is_global_with_several_eigenvalues() -> None:
    draw = np.random.default_rng(5)
    for _ in range(20):
        rates, a = 10 ** draw.uniform(-3, 0, 4), 10 ** draw.uniform(-1, 1, 4)
        model = sgd.Regression(rates, a, 1.0, 10)
        at = float(10 ** draw.uniform(-1, 2))
        advice = model.best_rate(at)
        grid = np.concatenate([[0.0], np.geomspace(1e-7, 1e4, 3000)])
        dense = np.min(model.risk_under(rs.Poisson(grid), at))
        assert advice.risk <= dense * (1 + 1e-13)
        assert advice.risk <= float(model.risk(at)) * (1 + 1e-13)


def test_resets_of_gradient_flow_are_ridge_regression() -> None:
    for n, d in ((30, 5), (4, 9)):  # more weights than samples too
        draw = np.random.default_rng(6)
        X, y, home = draw.normal(size=(n, d)), draw.normal(size=n), draw.normal(size=d)
        for r in (1e-6, 0.3, 1e6):
            ridge = np.linalg.solve(X.T @ X / n + r * np.eye(d), X.T @ y / n)
            np.testing.assert_allclose(sgd.resetting_mean(X, y, r), ridge, rtol=1e-8, atol=1e-12)
            twice = np.linalg.solve(X.T @ X / n + 2 * r * np.eye(d), X.T @ y / n)
            assert not np.allclose(sgd.resetting_mean(X, y, r), twice, rtol=1e-6, atol=0)
            moved = np.linalg.solve(X.T @ X / n + r * np.eye(d), X.T @ y / n + r * home)
            found = sgd.resetting_mean(X, y, r, reset_to=home)
            np.testing.assert_allclose(found, moved, rtol=1e-8, atol=1e-10)
    # and the flow itself, by its matrix exponential averaged over exponential ages
    X, y = np.random.default_rng(7).normal(size=(6, 2)), np.arange(6.0)
    H, pull, r = X.T @ X / 6, X.T @ y / 6, 0.4

    def weights(u: float) -> Any:
        return np.linalg.solve(H, (np.eye(2) - linalg.expm(-H * u)) @ pull)

    average = integrate.quad_vec(lambda u: r * np.exp(-r * u) * weights(u), 0, 100)[0]
    np.testing.assert_allclose(sgd.resetting_mean(X, y, r), average, rtol=1e-8)


@pytest.mark.statistical(alpha=1e-9)
def test_the_risk_of_sgd_is_exact_for_given_data() -> None:
    """8000 simulated runs, three looks; they see the batch noise (4 %) and the wrong batch size."""
    X, truth, S = data(8, n=12, d=3)
    S = S[:3, :3] + 3 * np.eye(3)
    noise, eta, batch, runs, steps = 1.5, 0.05, 2, 8000, 30
    exact = sgd.sgd_risk(X, truth, noise, eta, batch, steps, test_covariance=S)
    twin = sgd.sgd_risk(X, truth, noise, eta, 2 * batch, steps, test_covariance=S)
    generator = np.random.default_rng(9)
    labels = X @ truth + np.sqrt(noise) * generator.normal(size=(runs, 12))
    theta = np.zeros((runs, 3))
    gaps, twins = [], []
    for n in range(1, steps + 1):
        pick = generator.integers(0, 12, size=(runs, batch))
        rows = X[pick]
        residual = np.einsum("rbd,rd->rb", rows, theta) - np.take_along_axis(labels, pick, 1)
        theta = theta - eta * np.einsum("rbd,rb->rd", rows, residual) / batch
        if n % 10 == 0:
            risk = np.einsum("rd,de,re->r", theta - truth, S, theta - truth)
            error = risk.std() / np.sqrt(runs)
            gaps.append(abs(risk.mean() - exact[n]) / error)
            twins.append(abs(risk.mean() - twin[n]) / error)
    assert max(gaps) < 6.4
    assert not max(twins) < 6.4


def test_sgd_with_all_the_data_at_once_is_gradient_descent() -> None:
    X, truth, S = data(10)
    model = sgd.Regression.from_data(X, truth, 2.0, test_covariance=S)
    found = sgd.sgd_risk(X, truth, 2.0, 0.05, 10**12, 20, test_covariance=S)
    exact = model.risk(np.arange(21.0), learning_rate=0.05)
    np.testing.assert_allclose(found, exact, rtol=1e-9)


def test_clean_priority_of_given_data_is_that_of_integrated_flow() -> None:
    X, truth, _ = data(11)
    draw = np.random.default_rng(12)
    wrong = np.arange(30) < 9
    y = X @ truth + np.where(wrong, 5.0 * draw.normal(size=30), 0.0)
    times = np.array([0.0, 0.1, 1.0, 10.0])
    flow = integrate.solve_ivp(
        lambda t, w: -X.T @ (X @ w - y) / 30, (0, 10), np.zeros(5), t_eval=times,
        rtol=1e-10, atol=1e-12, method="LSODA",
    )  # fmt: skip
    for k, w in enumerate(flow.y.T):
        clean, noisy = (np.linalg.norm(X[g].T @ (X[g] @ w - y[g])) for g in (~wrong, wrong))
        found = sgd.clean_priority(X, y, wrong, times)[k]  # type: ignore[index]
        assert found == pytest.approx(clean / noisy, rel=1e-6)
    assert sgd.clean_priority(X, y, wrong, np.inf) == pytest.approx(1.0, rel=1e-8)


def test_clean_priority_on_average_and_when_it_ends() -> None:
    """Many samples, same inputs in both groups: root mean squares over drawn noise."""
    draw = np.random.default_rng(13)
    tau, runs = 0.25, 400
    base = draw.normal(size=(40, 3)) * np.array([2.0, 1.0, 0.3])
    X, truth = np.concatenate([base] * 4), np.array([1.0, -1.0, 2.0])
    wrong = np.arange(160) < 40
    model = sgd.Regression.from_data(X, truth, tau * 4.0, start=np.zeros(3))
    H = X.T @ X / 160
    rates, basis = np.linalg.eigh(H)
    for t in (0.0, 0.5, 5.0, 50.0):
        squares = np.zeros(2)
        for _ in range(runs):
            noise = np.where(wrong, 2.0 * draw.normal(size=160), 0.0)
            limit = truth + np.linalg.solve(H, X.T @ noise / 160)
            w = limit - basis @ (np.exp(-rates * t) * (basis.T @ limit))
            residual = X @ (w - truth) - noise
            for i, group in enumerate((~wrong, wrong)):
                squares[i] += np.sum((X[group].T @ residual[group]) ** 2)
        found = model.clean_priority(t, tau)
        assert found == pytest.approx(np.sqrt(squares[0] / squares[1]), rel=0.1)
    curve = np.asarray(model.clean_priority(np.geomspace(1e-3, 1e3, 500), tau))
    assert curve[0] > 2 and curve[-1] == pytest.approx(1.0, abs=1e-3)
    end = model.clean_priority_end(tau, 1.5)
    assert model.clean_priority(end, tau) == pytest.approx(1.5, rel=1e-12)
    assert model.clean_priority(0.99 * end, tau) > 1.5  # type: ignore[operator]
    assert model.clean_priority_end(tau, 100.0) == 0.0


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: sgd.Regression(-1.0, 1.0, 1.0, 5), "eigenvalues"),
        (lambda: sgd.Regression([1.0, 2.0], [1.0, 2.0, 3.0], 1.0, 5), "signal"),
        (lambda: sgd.Regression(1.0, 1.0, -1.0, 5), "noise_variance"),
        (lambda: sgd.Regression(1.0, 1.0, 1.0, 0), "samples"),
        (lambda: sgd.Regression(1.0, 1.0, 1.0, 5, [1.0, 2.0]), "test_covariance"),
        (lambda: sgd.Regression(1.0, 1.0, 1.0, 5).risk(-1.0), "time"),
        (lambda: sgd.Regression(1.0, 1.0, 1.0, 5).risk(0.5, learning_rate=0.1), "time"),
        (lambda: sgd.Regression(1.0, 1.0, 1.0, 5).clean_priority(1.0, 1.0), "noise_rate"),
        (lambda: sgd.resetting_mean([[1.0]], [1.0, 2.0], 1.0), "labels"),
        (lambda: sgd.resetting_mean([[1.0]], [1.0], 0.0), "rate"),
        (lambda: sgd.clean_priority([[1.0]], [1.0], [True], 1.0), "corrupted"),
        (lambda: sgd.sgd_risk([[1.0]], [1.0, 2.0], 1.0, 0.1, 1, 1), "truth"),
    ],
)
def test_wrong_arguments_are_named(make: Any, word: str) -> None:
    with pytest.raises(rs.DomainError, match=word):
        make()
