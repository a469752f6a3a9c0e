"""Discrete SGD in a quadratic bowl: exact chains, the radius in d dimensions, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs
from resetsgd.processes import QuadraticSGD


def sgd(d: int = 1, rate: float = 0.1, h: float = 1.0, c: float = 1.0, **more: Any) -> QuadraticSGD:
    if d == 1:
        return QuadraticSGD(h, c, rate, **more)
    return QuadraticSGD(h * np.eye(d), c * np.eye(d), rate, **more)


def test_one_dimension_is_a_contracting_walk() -> None:
    a = rs.first_passage(sgd(rate=0.2, h=1.5, c=4.0), [1.0, 2.0], 0.3)
    walk = rs.RandomWalk(stats.norm(0.0, 0.2 * 2.0), contraction=1.0 - 0.3)
    b = rs.first_passage(walk, [1.0, 2.0], 0.3)
    assert a.mean() == pytest.approx(b.mean(), rel=1e-13)
    # wrong: the noise taken as a standard deviation instead of a covariance
    twin = rs.first_passage(sgd(rate=0.2, h=1.5, c=2.0), [1.0, 2.0], 0.3)
    assert (np.abs(twin.mean() / a.mean() - 1.0) > 0.03).all()


def chain(d: int, contraction: float, width: float, level: float, start: float, z: float) -> float:
    """(1 - G)/(1 - z) of the squared radius, by scipy's noncentral chi-square on many nodes."""
    inward = start > level
    edges = np.linspace(level, level + 22 * width, 23) if inward else np.linspace(0.0, level, 9)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    half = 0.5 * np.diff(edges)[:, None]
    r, w = (edges[:-1, None] + half + half * nodes).ravel(), (half * weights).ravel()

    def density(x: Any, y: Any) -> Any:
        noncentral = (contraction * x / width) ** 2
        return stats.ncx2.pdf((y / width) ** 2, d, noncentral) * 2.0 * y / width**2

    system = np.eye(len(r)) - z * density(r[:, None], r) * w
    tail = np.linalg.solve(system, np.ones(len(r)))
    return float(1.0 + z * (density(np.full(r.shape, start), r) * w) @ tail)


@pytest.mark.parametrize(("d", "start", "target"), [(2, 2.0, 0.1), (3, 1.0, 0.05), (5, 0.01, 0.4)])
@pytest.mark.parametrize("rate", [0.2, 1.6])
def test_radius_is_a_noncentral_chi_square_chain(
    d: int, start: float, target: float, rate: float
) -> None:
    """Both directions, also with an overshooting learning rate."""
    c = 0.2 / rate
    T = rs.first_passage(sgd(d, rate, c=c), start, target)
    radius, level = np.sqrt(2.0 * start), np.sqrt(2.0 * target)
    for u in (0.0, 0.2):
        z = np.exp(-u)
        exact = chain(d, abs(1.0 - rate), rate * np.sqrt(c), level, radius, z)
        found = T.mean() if u == 0 else -np.expm1(T.log_laplace(u)) / (1.0 - z)
        assert found == pytest.approx(exact, rel=2e-9)
    twin = chain(d + 1, abs(1.0 - rate), rate * np.sqrt(c), level, radius, 1.0)
    assert abs(twin / T.mean() - 1.0) > 0.01


@pytest.mark.statistical(alpha=1e-9)
def test_simulated_descent_to_a_loss() -> None:
    """1e5 runs in four dimensions; an error of the mean of 1.5 % is seen with 99 %."""
    n, d, rate = 100_000, 4, 0.2
    generator = np.random.default_rng(5)
    T = rs.first_passage(sgd(d, rate), 2.0, 0.15)
    theta, time, open_ = np.zeros((n, d)), np.zeros(n), np.ones(n, dtype=bool)
    theta[:, 1] = 2.0
    while open_.any():
        noise = generator.standard_normal((int(open_.sum()), d))
        theta[open_] = (1.0 - rate) * theta[open_] - rate * noise
        time[open_] += 1.0
        open_ &= 0.5 * (theta**2).sum(axis=1) > 0.15
    error = time.std() / np.sqrt(n)
    assert abs(time.mean() - T.mean()) < 6.2 * error
    twin = rs.first_passage(sgd(d, 1.05 * rate), 2.0, 0.15)
    assert abs(time.mean() - twin.mean()) > 6.2 * error


def test_long_passages_keep_their_digits() -> None:
    """A rise to thirty times the stationary loss takes 1e15 steps, and is memoryless."""
    T = rs.first_passage(sgd(3), 0.0, 2.0)
    assert T.mean() > 1e15
    assert T.cv() == pytest.approx(1.0, abs=1e-9)
    rate = 1.0 / T.mean()
    assert T.under(rs.Poisson(rate)).mean() == pytest.approx(T.mean(), rel=1e-10)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: sgd(rate=0.0), "learning_rate"),
        (lambda: sgd(momentum=1.0), "momentum"),
        (lambda: QuadraticSGD([[1.0, 2.0], [0.0, 1.0]], np.eye(2), 0.1), "hessian"),
        (lambda: QuadraticSGD(np.eye(2), -np.eye(2), 0.1), "noise_covariance"),
        (lambda: QuadraticSGD(np.eye(2), np.eye(3), 0.1), "noise_covariance"),
        (lambda: rs.first_passage(sgd(rate=2.5), 1.0, 0.0), "learning_rate"),
        (lambda: rs.first_passage(sgd(momentum=0.9), 1.0, 0.0), "momentum"),
        (lambda: rs.first_passage(sgd(c=0.0), 1.0, 0.0), "noise_covariance"),
        (lambda: rs.first_passage(sgd(2), 1.0, 0.0), "target"),
        (lambda: rs.first_passage(sgd(2), 1.0, 1.0), "start"),
        (lambda: rs.first_passage(sgd(2), -1.0, 1.0), "start"),
        (lambda: rs.first_passage(sgd(2), 0.5, (0.1, 1.0)), "target"),
        (
            lambda: rs.first_passage(QuadraticSGD(np.diag([1.0, 2.0]), np.eye(2), 0.1), 1.0, 0.1),
            "hessian",
        ),
    ],
)
def test_wrong_arguments_and_unsupported_cases(make: Any, name: str) -> None:
    with pytest.raises(rs.DomainError, match=name):
        make()


@pytest.mark.parametrize(
    ("rate", "momentum", "stable"), [(1.9, 0.0, True), (2.1, 0.0, False), (3.5, 0.9, True)]
)
def test_stability(rate: float, momentum: float, stable: bool) -> None:
    assert sgd(rate=rate, momentum=momentum).stable is stable
    assert not sgd(rate=0.1, h=-1.0).stable
