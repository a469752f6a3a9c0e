"""The linear trap: against quadrature, against drift-diffusion, when resetting helps, draws."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy import integrate, stats

import resetsgd as rs


def passage(start, target, slope=1.0, diffusivity=1.0):
    return rs.first_passage(rs.LinearTrap(slope, diffusivity), start=start, target=target)


def moments(start, target, slope, D):
    """T1 and T2 by nested quadrature over the potential slope |x|, target above."""
    below = np.linspace(-24.0, 0.0, 30_001)
    above = np.linspace(0.0, target, 4_001)
    x = np.concatenate([below, above[1:]])
    weight = np.exp(-slope * np.abs(x) / D)

    def integral(values):  # Simpson on either side of the kink
        left = integrate.cumulative_simpson(values[: below.size], x=below, initial=0.0)
        right = integrate.cumulative_simpson(values[below.size - 1 :], x=above, initial=0.0)
        return np.concatenate([left, left[-1] + right[1:]])

    def solve(source):  # D u'' - U' u' = -source, u(target) = 0, bounded
        rise = integral(integral(weight * source) / (D * weight))
        return rise[-1] - rise

    one = solve(np.ones_like(x))
    two = solve(2 * one)
    place = np.argmin(np.abs(x - start))
    assert x[place] == pytest.approx(start, abs=1e-12)
    return one[place], two[place]


def test_mean_and_variance_against_nested_quadrature():
    for start, target, slope, D in ((-0.4, 0.8, 1.0, 0.7), (0.2, 0.8, 1.0, 0.5)):
        one, two = moments(start, target, slope, D)
        law = passage(start, target, slope, D)
        assert law.mean() == pytest.approx(one, rel=1e-9)
        assert law.var() == pytest.approx(two - one**2, rel=1e-5)


@pytest.mark.parametrize("slope", [1.0, -0.8, 0.0])
def test_transform_solves_the_backward_equation(slope):
    """D f'' - slope sign(x) f' = s f on both sides, f and f' continuous at the kink."""
    D, target, s, h = 0.7, 1.2, 0.9, 1e-4
    f = passage(
        np.array([-0.5, 0.4])[:, None] + h * np.array([-1.0, 0.0, 1.0]), target, slope, D
    ).laplace(s)
    for (left, middle, right), side in zip(f, (-1.0, 1.0), strict=True):
        curve = D * (right - 2 * middle + left) / h**2
        drift = -slope * side * (right - left) / (2 * h)
        assert curve + drift == pytest.approx(s * middle, rel=1e-6)
        if slope != 0:  # wrong-model twin: the other sign of the force
            assert curve - drift != pytest.approx(s * middle, rel=1e-2)
    steps = passage(np.array([-2, -1, 0, 1, 2]) * 1e-6, target, slope, D).laplace(s)
    first = np.diff(steps) / 1e-6
    np.testing.assert_allclose(first, first[0], rtol=1e-4)


def test_where_the_kink_is_not_crossed_it_is_drift_diffusion():
    for start, target in ((2.0, 0.0), (-2.0, 0.0), (3.0, 1.0), (-3.0, -1.0)):
        walk = rs.first_passage(rs.DriftDiffusion(-0.7, 0.4), start=2.0, target=0.0)
        law = passage(start, target, 0.7, 0.4)
        assert law.mean() == walk.mean()
        assert law.log_laplace(0.3) == walk.log_laplace(0.3)
        assert law.survival(1.0) == walk.survival(1.0)
    assert passage(0.5, 0.0, -0.7, 0.4).laplace(0.0) == pytest.approx(np.exp(-0.7 * 0.5 / 0.4))


def test_mirror_image_and_zero_slope():
    for start in (-1.0, 0.0, 0.4):
        for s in (1e-9, 1.0, 50.0):
            assert passage(start, 0.9).log_laplace(s) == passage(-start, -0.9).log_laplace(s)
        free = rs.first_passage(rs.DriftDiffusion(0.0, 1.0), start=start, target=0.9)
        assert passage(start, 0.9, 0.0).log_laplace(0.4) == pytest.approx(
            free.log_laplace(0.4), rel=1e-14
        )
        assert passage(start, 0.9, 0.0).mean() == np.inf


def test_over_the_kink_times_add():
    """From -1 to 1 = from -1 to 0, then from 0 to 1."""
    for s in (1e-6, 0.3, 1e4):
        both = passage(-1.0, 0.0).log_laplace(s) + passage(0.0, 1.0).log_laplace(s)
        assert passage(-1.0, 1.0).log_laplace(s) == pytest.approx(both, rel=1e-14)
    assert passage(-1.0, 1.0).mean() == pytest.approx(
        passage(-1.0, 0.0).mean() + passage(0.0, 1.0).mean(), rel=1e-15
    )
    assert passage(-1.0, 1.0).var() == pytest.approx(
        passage(-1.0, 0.0).var() + passage(0.0, 1.0).var(), rel=1e-14
    )


@pytest.mark.parametrize(
    "target, start", [(0.5, -1.33315), (1, -0.75660), (2, -0.07926), (4, 0.70291), (8, 1.44295)]
)
def test_critical_starts(target, start):
    """Slope = D = 1: slow resets start to help at these starts (sought with mpmath)."""
    assert passage(start, target).cv() == pytest.approx(1.0, abs=3e-5)
    assert passage(start + 1e-3, target).best(rs.Poisson).pays
    assert not passage(start - 1e-3, target).best(rs.Poisson).pays


def test_repelling_slope_is_defective():
    law = passage(0.0, 1.0, -1.0)
    chance = 1 / (2 - np.exp(-1.0))
    assert law.laplace(0.0) == pytest.approx(chance, rel=1e-14)
    assert law.mean() == np.inf
    assert law.survival(1e6) == pytest.approx(1 - chance, abs=1e-10)
    assert np.isfinite(law.sample(2000, seed=3)).mean() == pytest.approx(chance, abs=0.05)
    assert np.isfinite(law.best(rs.Poisson).mean)


def test_survival_density_and_moments_agree():
    law = passage(-0.3, 1.1, 1.4, 0.6)
    t = np.linspace(0.05, 6, 9)
    numeric = (law.survival(t - 1e-4) - law.survival(t + 1e-4)) / 2e-4
    np.testing.assert_allclose(law.density(t), numeric, atol=1e-6)
    u, w = np.polynomial.legendre.leggauss(200)
    end = 40 * law.mean()
    assert np.sum(w * law.survival(end * (u + 1) / 2)) * end / 2 == pytest.approx(
        law.mean(), rel=1e-5
    )


def test_deep_traps_through_logarithms():
    law = passage(0.0, 5e3)
    assert law.mean() == np.inf  # exp(5000) is beyond float64, its logarithm is not
    assert law.log_mean() == pytest.approx(5e3 + np.log(2), rel=1e-12)
    assert law.log_laplace(1.0) == pytest.approx(float(-mp.log(trap(1, 1, 5e3, 1.0))), rel=1e-13)


def trap(slope, D, x, s):
    with mp.workdps(50):
        root = mp.sqrt(slope**2 + 4 * D * mp.mpf(s))
        up, down = (root + slope) / (2 * D), (root - slope) / (2 * D)
        return ((root - slope) * mp.exp(up * x) + slope * mp.exp(-down * x)) / root


def test_extreme_arguments_give_numbers():
    draw = np.random.default_rng(3)
    for _ in range(300):
        slope, D, s = 10.0 ** draw.uniform(-300, 300, 3)
        start, target = draw.choice([-1, 1], 2) * 10.0 ** draw.uniform(-300, 300, 2)
        law = passage(start, target, slope * draw.choice([-1, 1]), D)
        values = [law.log_laplace(s), law.log_mean(), law.mean(), law.var(), law.log_laplace(0.0)]
        values += [law.under(rs.Poisson(s)).log_mean()]
        assert not np.isnan(values).any(), (slope, D, start, target, s, values)


def test_arrays_and_wrong_arguments():
    law = passage(np.array([-1.0, 0.3, 2.0]), 1.0)
    for i, start in enumerate((-1.0, 0.3, 2.0)):
        assert law.log_laplace(0.3)[i] == pytest.approx(
            passage(start, 1.0).log_laplace(0.3), rel=1e-15
        )
        assert law.mean()[i] == pytest.approx(passage(start, 1.0).mean(), rel=1e-15)
    assert law.sample(5, seed=1).shape == (5, 3)
    with pytest.raises(rs.DomainError, match="start"):
        passage(1.0, 1.0)
    with pytest.raises(rs.DomainError, match="target"):
        passage(0.5, (1.0, 0.0))
    with pytest.raises(rs.DomainError, match="diffusivity"):
        rs.LinearTrap(1.0, 0.0)


@pytest.mark.statistical(alpha=1e-9)
def test_draws_follow_the_law():
    """Sees distances above 0.03 with 20000 draws; the twin trap is 40 % steeper."""
    for k, (start, target) in enumerate([(-1.0, 1.0), (0.5, 1.0), (2.0, 1.0)]):
        times = np.sort(passage(start, target).sample(20_000, seed=k))
        for law, right in ((passage(start, target), True), (passage(start, target, 1.4), False)):
            chance = 1 - law.survival(times)
            assert bool(stats.kstest(chance, "uniform").pvalue > 3e-10) is right
