"""Partial resetting of drift-diffusion: against a grid, a Monte Carlo twin, and its limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

import resetsgd as rs
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage.partial import PartialPassage


def line(drift=0.0, start=1.0, diffusivity=1.0):
    """Target at 0; negative drift points to it."""
    return rs.first_passage(rs.DriftDiffusion(drift, diffusivity), start, 0.0)


def grid_solution(drift, rate, factor, s, mean=False, end=40.0, n=4001):
    """u at x = 1 of D u'' + mu u' - (r + s) u + r u(ax) = 0 on a grid stretched toward 0.

    ``mean``: of D m'' + mu m' - r m + r m(ax) = -1 instead. Second order in the spacing;
    extrapolated from two grids.
    """

    def solve(n):
        q = np.linspace(0, 1, n)
        x = end * q**2
        i = np.arange(1, n - 1)
        back, ahead = x[i] - x[i - 1], x[i + 1] - x[i]
        lower = 2 / (back * (back + ahead)) - drift * ahead / (back * (back + ahead))
        upper = 2 / (ahead * (back + ahead)) + drift * back / (ahead * (back + ahead))
        middle = -(lower + upper) - drift * 0.0
        place = factor * x
        # quadratic interpolation of the point that a reset leads to
        j = np.clip(np.searchsorted(x, place), 1, n - 2)
        nodes = [j - 1, j, j + 1]
        weights = []
        for a in range(3):
            others = [nodes[b] for b in range(3) if b != a]
            top = (place - x[others[0]]) * (place - x[others[1]])
            weights.append(top / ((x[nodes[a]] - x[others[0]]) * (x[nodes[a]] - x[others[1]])))
        matrix = sparse.lil_matrix((n, n))
        for k in i:
            matrix[k, k - 1], matrix[k, k], matrix[k, k + 1] = (
                lower[k - 1],
                middle[k - 1],
                upper[k - 1],
            )
            matrix[k, k] -= rate + s
            for node, weight in zip(nodes, weights, strict=True):
                matrix[k, node[k]] += rate * weight[k]
        right = np.zeros(n)
        matrix[0, 0] = 1.0
        matrix[n - 1, n - 1], matrix[n - 1, n - 2] = 1.0, -1.0  # flat at the far end
        if mean:
            right[1:-1] = -1.0
        else:
            right[0] = 1.0
        u = spsolve(matrix.tocsc(), right)
        return np.interp(1.0, x, u)

    coarse, fine = solve(n // 2 + 1), solve(n)
    return (4 * fine - coarse) / 3


@pytest.mark.parametrize(
    "drift, rate, factor", [(0.0, 1.0, 0.5), (-1.0, 2.0, 0.3), (1.0, 3.0, 0.8)]
)
def test_series_solves_the_nonlocal_backward_equation(drift, rate, factor):
    T = line(drift).under(rs.Poisson(rate, partial=factor))
    assert T.laplace(1.5) == pytest.approx(
        grid_solution(drift, rate, factor, 1.5, n=2001), rel=2e-5
    )
    assert T.mean() == pytest.approx(
        grid_solution(drift, rate, factor, 0.0, mean=True, n=2001), rel=2e-4
    )
    twin = grid_solution(drift, rate, factor + 0.1, 1.5, n=1001)
    assert T.laplace(1.5) != pytest.approx(twin, rel=1e-3)


@pytest.mark.parametrize("drift, factor", [(0.0, 0.5), (-2.0, 0.9), (1.0, 0.2)])
def test_the_series_satisfies_the_equation_pointwise(drift, factor):
    """Derivatives through the starts: to the accuracy of five-point differences."""
    rate, s, h = 1.7, 0.6, 2e-3

    def u(x):
        return line(drift, x).under(rs.Poisson(rate, partial=factor)).laplace(s)

    for x in (0.3, 1.0, 2.5):
        v = [u(x + k * h) for k in (-2, -1, 0, 1, 2)]
        first = (v[0] - 8 * v[1] + 8 * v[3] - v[4]) / (12 * h)
        second = (-v[0] + 16 * v[1] - 30 * v[2] + 16 * v[3] - v[4]) / (12 * h**2)
        rest = second + drift * first - (rate + s) * v[2] + rate * u(factor * x)
        assert abs(rest) < 1e-8


def test_limits():
    free = line(-0.5)
    # factor 0: the target is reached at the first reset or before
    T = free.under(rs.Poisson(2.0, partial=0.0))
    assert T.mean() == pytest.approx((1 - free.laplace(2.0)) / 2.0, rel=1e-14)
    assert T.survival(0.4) == pytest.approx(np.exp(-0.8) * free.survival(0.4), abs=1e-8)
    # rate 0, and a factor next to 1: nothing happens
    assert free.under(rs.Poisson(0.0, partial=0.5)).mean() == free.mean()
    assert free.under(rs.Poisson(0.0, partial=0.5)).var() == free.var()
    near = free.under(rs.Poisson(1e-6, partial=0.99))
    assert near.mean() == pytest.approx(free.mean(), rel=1e-5)
    # drift away: the mean is finite all the same
    assert np.isfinite(line(1.0).under(rs.Poisson(1.0, partial=0.9)).mean())
    # partial resets toward the target help always, more often more
    means = [free.under(rs.Poisson(r, partial=0.6)).mean() for r in (0.0, 0.5, 2.0, 10.0)]
    assert np.all(np.diff(means) < 0)


def test_moments_and_transform_agree():
    T = line(-0.3).under(rs.Poisson(1.2, partial=0.7))
    h = 1e-3
    slopes = [T.log_laplace(k * h) for k in range(5)]
    first = (-25 * slopes[0] + 48 * slopes[1] - 36 * slopes[2] + 16 * slopes[3] - 3 * slopes[4]) / (
        12 * h
    )
    assert T.mean() == pytest.approx(-first, rel=1e-8)
    second = (
        35 * slopes[0] - 104 * slopes[1] + 114 * slopes[2] - 56 * slopes[3] + 11 * slopes[4]
    ) / (12 * h**2)
    assert T.var() == pytest.approx(second, rel=1e-5)
    assert T.log_laplace(1e-12) == pytest.approx(-1e-12 * T.mean(), rel=1e-10)


def test_survival_integrates_to_the_mean():
    T = line(0.0).under(rs.Poisson(1.0, partial=0.5))
    nodes, weights = np.polynomial.legendre.leggauss(12)
    edges = np.linspace(np.log(1e-6), np.log(60.0), 41)
    half = 0.5 * np.diff(edges)[:, None]
    t = np.exp(edges[:-1, None] + half * (nodes + 1))
    S = T.survival(t)
    assert 1e-6 + np.sum(half * weights * t * S) == pytest.approx(T.mean(), rel=1e-7)
    assert np.all(np.diff(S.ravel()) <= 1e-8)


@pytest.mark.statistical(alpha=2e-9)
def test_draws_and_paths_follow_the_law():
    """Draws to 6 standard errors; so do paths in small steps with bridges; a wrong factor not."""
    T = line(-0.5).under(rs.Poisson(2.0, partial=0.5))
    times = T.sample(100_000, seed=4)
    error = times.std() / np.sqrt(times.size)
    assert abs(times.mean() - T.mean()) < 6 * error
    assert abs((times > 0.5).mean() - T.survival(0.5)) < 6 * 0.5 / np.sqrt(times.size)
    assert abs(line(-0.5).under(rs.Poisson(2.0, partial=0.55)).mean() - times.mean()) > 6 * error
    # an independent simulation: fixed steps, reset by coin at each, bridge test for the target
    draw = np.random.default_rng(8)
    n, dt = 20_000, 2e-3
    x, clock, open_ = np.ones(n), np.zeros(n), np.ones(n, dtype=bool)
    for _ in range(10_000):
        i = np.flatnonzero(open_)
        if i.size == 0:
            break
        end = x[i] - 0.5 * dt + np.sqrt(2 * dt) * draw.standard_normal(i.size)
        hit = (end <= 0) | (draw.random(i.size) < np.exp(-x[i] * np.maximum(end, 0) / dt))
        clock[i] += np.where(hit, 0.5 * dt, dt)
        x[i] = np.where(draw.random(i.size) < -np.expm1(-2.0 * dt), 0.5 * end, end)
        open_[i[hit]] = False
    assert not open_.any()
    # the coin at the end of a step is late by half a step: a bias below 2 dt
    assert abs(clock.mean() - T.mean()) < 6 * clock.std() / np.sqrt(n) + 2 * dt


def test_what_is_refused():
    walk = rs.DriftDiffusion(0.0, 1.0)
    with pytest.raises(DomainError, match="partial"):
        rs.first_passage(walk, 0.5, (0.0, 1.0)).under(rs.Poisson(1.0, partial=0.5))
    with pytest.raises(DomainError, match="partial"):
        line().under(rs.Poisson(1.0, partial=1.0))
    with pytest.raises(NotConverged, match="terms"):
        line().under(rs.Poisson(1.0, partial=1 - 1e-9))
    with pytest.raises(NotConverged, match="var"):
        line(-1e9).under(rs.Poisson(1.0, partial=0.5)).var()
    with pytest.raises(NotConverged, match="imaginary"):
        PartialPassage(line(), 1.0, 0.9).log_laplace(-0.999 + 0.001j)


def test_arrays_broadcast():
    T = line(np.array([-1.0, 0.0, 1.0])).under(rs.Poisson(np.array([[0.5], [2.0]]), partial=0.5))
    assert T.mean().shape == T.var().shape == (2, 3)
    one = line(0.0).under(rs.Poisson(2.0, partial=0.5))
    assert T.mean()[1, 1] == pytest.approx(one.mean(), rel=1e-14)
    assert T.survival(1.0)[1, 1] == pytest.approx(one.survival(1.0), abs=1e-9)
    assert T.sample(4, seed=1).shape == (4, 2, 3)
