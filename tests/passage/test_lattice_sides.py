"""Walks that leave an interval at either end: chances and conditional laws, by other routes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs
from resetsgd.errors import DomainError, NotConverged

ENDS = ("lower", "upper")


def walk(law: Any, start: Any, target: Any = (0.0, 4.0), **more: float) -> Any:
    return rs.first_passage(rs.RandomWalk(law, **more), start, target)


def exponential_jumps(x: float, L: float, b: float, u: float, side: str) -> float:
    """E[z^N; side] for Laplace jumps: the jump over an end is memoryless, which fixes A and B.

    Inside, G = A exp(kx) + B exp(-kx) with k = sqrt(1 - z)/b; what leaks over an end must vanish.
    """
    k = np.sqrt(-np.expm1(-u)) / b
    up, down = 1.0 / (1.0 + k * b), 1.0 / (1.0 - k * b)
    matrix = np.array([[up, down], [np.exp(k * L) * down, np.exp(-k * L) * up]])
    right = [1.0, 0.0] if side == "lower" else [0.0, 1.0]
    a, c = np.linalg.solve(matrix, right)
    return float(a * np.exp(k * x) + c * np.exp(-k * x))


@pytest.mark.parametrize("x", [1e-9, 0.7, 2.0, 3.9])
def test_a_fair_game_with_exponential_jumps(x: float) -> None:
    """Gambler's ruin: the ends lie one mean jump farther out."""
    L, b = 4.0, 0.6
    T = walk(stats.laplace(0.0, b), x, (0.0, L))
    assert T.splitting().upper == pytest.approx((x + b) / (L + 2 * b), rel=1e-13)
    assert T.splitting().lower == pytest.approx((L - x + b) / (L + 2 * b), rel=1e-13)
    for u in (0.02, 0.3, 2.0):
        for side in ENDS:
            exact = exponential_jumps(x, L, b, u, side)
            assert T.side(side).laplace(u) == pytest.approx(exact, rel=1e-11)
            given = T.given(side).laplace(u) * getattr(T.splitting(), side)
            assert given == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("kappa", [0.8, 1.0, 1.3, 1.8])
def test_a_biased_game_with_exponential_jumps(kappa: float) -> None:
    """exp((up - down) x) is a fair game, up and down the rates of the two exponentials."""
    x, L, up, down = np.array([0.5, 6.0, 9.9]), 10.0, kappa, 1.0 / kappa
    T = walk(stats.laplace_asymmetric(kappa), x, (0.0, L))
    if kappa == 1.0:
        exact = (x + 1.0) / (L + 2.0)
    else:
        tilt = up - down
        exact = (np.exp(tilt * x) - down / up) / (np.exp(tilt * L) * up / down - down / up)
    assert T.splitting().upper == pytest.approx(exact, rel=1e-9)
    assert (exact.min() < 1e-5) == (kappa == 1.8)  # relative accuracy of the small chances too


def nystrom(phi: float, c: float, x: float, u: float) -> tuple[Any, Any]:
    """E[z^N; side] of the walk with Gaussian jumps in (0, 4), and its slope in z, by quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(120)
    y, w = 2.0 * (nodes + 1.0), 2.0 * weights
    z = np.exp(-u)

    def step(at: Any) -> tuple[Any, Any]:
        middle = c + phi * (np.atleast_1d(at) - c)
        ends = np.stack([stats.norm.cdf(-middle), stats.norm.sf(4.0 - middle)], axis=-1)
        return w * stats.norm.pdf(y - middle[:, None]), ends

    K, ends = step(y)
    inverse = np.linalg.inv(np.eye(120) - z * K)
    inner = z * inverse @ ends
    row, own = step(x)
    value = z * (own + row @ inner)
    slope = own + row @ inner + z * row @ (inverse @ (ends + K @ inner))
    return value[0], slope[0]


@pytest.mark.parametrize(("phi", "c"), [(1.0, 0.0), (0.8, 1.0), (-0.5, 2.5)])
def test_gaussian_jumps_by_quadrature(phi: float, c: float) -> None:
    T = walk(stats.norm(0.0, 1.0), 1.2, contraction=phi, center=c)
    chance, slope = nystrom(phi, c, 1.2, 0.0)
    for i, side in enumerate(ENDS):
        assert getattr(T.splitting(), side) == pytest.approx(chance[i], rel=1e-11)
        assert T.given(side).mean() == pytest.approx(slope[i] / chance[i], rel=1e-10)
        for u in (0.1, 1.0):
            assert T.side(side).laplace(u) == pytest.approx(
                nystrom(phi, c, 1.2, u)[0][i], rel=1e-10
            )


@pytest.mark.parametrize("law", [stats.norm(0.2, 1.0), stats.t(3), stats.laplace(0.1, 0.5)],
                         ids=lambda law: law.dist.name)  # fmt: skip
def test_sides_add_up_to_the_whole(law: Any) -> None:
    T = walk(law, [0.3, 1.0, 3.5])
    chances = np.array(T.splitting())
    assert chances.sum(axis=0) == pytest.approx(1.0, abs=1e-15)
    means = np.array([T.given(side).mean() for side in ENDS])
    spreads = np.array([T.given(side).var() for side in ENDS])
    assert (chances * means).sum(axis=0) == pytest.approx(T.mean(), rel=1e-12)
    squares = (chances * (spreads + means**2)).sum(axis=0)
    assert squares - T.mean() ** 2 == pytest.approx(T.var(), rel=1e-10)
    n = np.arange(1, 40)[:, None]
    parts = sum(T.side(side).pmf(n) for side in ENDS)
    assert parts == pytest.approx(T.pmf(n), abs=1e-11)
    assert T.side("lower").survival(np.inf) == pytest.approx(chances[1], rel=1e-12)
    assert np.isinf(T.side("lower").mean()).all()


def test_under_resets() -> None:
    """Trials that end at a side, against all that end; and one played in full."""
    p, law = 0.15, stats.norm(0.1, 0.8)
    T = walk(law, 1.0)
    for order, shift in (("move-look-coin", 0.0), ("move-coin-look", 0.0)):
        R = T.under(rs.Geometric(p, order=order))
        u = -np.log1p(-p) + shift
        lower, upper = (T.side(side).laplace(u) for side in ENDS)
        assert R.splitting().upper == pytest.approx(upper / (lower + upper), rel=1e-12)
        means = [R.given(side).mean() for side in ENDS]
        mixed = sum(c * m for c, m in zip(R.splitting(), means, strict=True))
        assert mixed == pytest.approx(R.mean(), rel=1e-11)


def played(sigma: float, n: int, seed: int) -> tuple[Any, Any]:
    """Steps and ends of walks with Gaussian jumps of mean 0.1 from 1 in (0, 4)."""
    generator = np.random.default_rng(seed)
    steps, upper = np.zeros(n), np.zeros(n, dtype=bool)
    x, open_ = np.ones(n), np.arange(n)
    for k in range(1, 10_000):
        x[open_] += generator.normal(0.1, sigma, open_.size)
        out = (x[open_] <= 0.0) | (x[open_] >= 4.0)
        steps[open_[out]], upper[open_[out]] = k, x[open_[out]] >= 4.0
        open_ = open_[~out]
        if not open_.size:
            return steps, upper
    raise AssertionError("walks that do not end")


def deviation(T: Any, sigma: float) -> float:
    """Largest distance in standard errors of chance and conditional means from 10^5 walks.

    Seen with 99 %: a chance off by 0.014, a conditional mean by 2 %.
    """
    steps, upper = played(sigma, 100_000, 17)
    chance = T.splitting().upper
    worst = abs(upper.mean() - chance) / np.sqrt(chance * (1 - chance) / upper.size)
    for side, mine in (("lower", ~upper), ("upper", upper)):
        G = T.given(side)
        worst = max(worst, abs(steps[mine].mean() - G.mean()) / (G.std() / np.sqrt(mine.sum())))
    return float(worst)


@pytest.mark.statistical(alpha=1e-9)
def test_gaussian_jumps_played() -> None:
    T = walk(stats.norm(0.1, 0.8), 1.0)
    assert deviation(T, 0.8) < 6.4  # three normal deviates
    assert not deviation(T, 0.83) < 6.4  # wider jumps are told


def test_discrete_sgd_leaves_its_bowl() -> None:
    sgd = rs.QuadraticSGD(hessian=1.0, noise_covariance=1.0, learning_rate=0.3)
    T = rs.first_passage(sgd, [0.0, 0.5], (-1.0, 1.0))
    same = rs.first_passage(
        rs.RandomWalk(stats.norm(0.0, 0.3), contraction=0.7), [0.0, 0.5], (-1.0, 1.0)
    )
    assert T.splitting().upper == pytest.approx(same.splitting().upper, rel=1e-14)
    assert T.splitting().upper[0] == pytest.approx(0.5, rel=1e-14)
    assert T.given("upper").mean() == pytest.approx(same.given("upper").mean(), rel=1e-13)
    assert T.splitting().upper[1] > 0.5


def test_draws_come_at_the_right_ends() -> None:
    T = walk(stats.laplace(0.0, 1.0), 1.0)
    draws = T.given("upper").sample(2000, seed=3)
    assert (draws == np.floor(draws)).all()
    assert abs(draws.mean() - T.given("upper").mean()) < 7 * T.given("upper").std() / 2000**0.5


def test_arguments() -> None:
    T = walk(stats.norm(), 1.0)
    for ask in (T.side, T.given):
        with pytest.raises(DomainError, match="name"):
            ask("middle")
    steep = walk(stats.norm(-2.0, 1.0), 10.0, (0.0, 30.0))
    assert steep.side("lower").laplace(0.0) == 1.0
    with pytest.raises(NotConverged):  # a chance of 1e-50
        steep.splitting()
