"""Overheads, resets that fail, resets to somewhere else, mixtures: against quadrature and play."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import erfc

import resetsgd as rs

WALK = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
FREE = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
FAR = rs.first_passage(WALK, start=1.0, target=0.0)
NEAR = rs.first_passage(WALK, start=0.6, target=0.0)
PROTOCOLS = {
    "poisson": lambda **more: rs.Poisson(0.7, **more),
    "sharp": lambda **more: rs.Sharp(0.8, **more),
    "geometric": lambda **more: rs.Geometric(0.3, step=0.25, **more),
}
LAWS = {
    f"{name}{' overhead' * bool(lost)}{' then' * bool(then)}": FAR.under(
        make(overhead=lost), then=then
    )
    for name, make in PROTOCOLS.items()
    for lost in (0.0, 0.3)
    for then in (None, NEAR)
}
STEPS = {"poisson": 0.5, "sharp": 0.8, "geometric": 0.25}


def kinks(name):
    """Where resets come or their overheads end, and points between."""
    step = STEPS[name.split()[0]]
    return [k * step + j * 0.3 for k in range(11) for j in range(9)]


def quad(function, high, breaks):
    """Gauss-Legendre between the kinks."""
    edges = [0.0, high, *np.geomspace(1e-3, high, 40), *breaks]
    edges = np.unique(np.round([e for e in edges if 0 <= e <= high], 12))
    x, weights = np.polynomial.legendre.leggauss(8)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    values = function((middle[:, None] + half[:, None] * x).ravel()).reshape(half.size, x.size)
    return float(half @ values @ weights)


@pytest.mark.parametrize("name", LAWS)
def test_transform_is_the_integral_of_survival_and_density(name):
    """It comes from the trial; they come from sums over resets or from inversion."""
    T, high, s = LAWS[name], 2.5, 12.0
    breaks = kinks(name)
    value = quad(lambda t: s * np.exp(-s * t) * T.survival(t), high, breaks)
    assert T.laplace(s) == pytest.approx(1 - value, rel=1e-7)
    value = quad(lambda t: np.exp(-s * t) * T.density(t), high, breaks)
    assert T.laplace(s) == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize("name", LAWS)
def test_mean_and_variance_are_cumulants_of_the_transform(name):
    T = LAWS[name]
    turn = np.exp(2j * np.pi * np.arange(32) / 32)
    cumulants = np.fft.fft(T.log_laplace(0.1 * turn)) / 32 / 0.1 ** np.arange(32)
    assert T.mean() == pytest.approx(-cumulants[1].real, rel=1e-11)
    assert T.var() == pytest.approx(2 * cumulants[2].real, rel=1e-9)


def test_an_integral_with_a_wrong_overhead_is_seen():
    """Negative control of the test above."""
    T, wrong = FAR.under(rs.Poisson(0.7, overhead=0.3)), FAR.under(rs.Poisson(0.7, overhead=0.31))
    value = quad(lambda t: 12.0 * np.exp(-12.0 * t) * wrong.survival(t), 2.5, kinks("poisson"))
    assert abs(T.laplace(12.0) - (1 - value)) > 1e-6


@pytest.mark.statistical(alpha=1e-9)
@pytest.mark.parametrize("name", LAWS)
def test_the_mean_is_that_of_the_trials_played(name):
    """12 cases, 6.5 standard errors each: sees a shift of the mean by 1.4 %."""
    T = LAWS[name]
    draws = T.sample(300_000, seed=5)
    z = (draws.mean() - T.mean()) / (draws.std() / np.sqrt(draws.size))
    assert abs(z) < 6.5
    wrong = T.mean() * 1.02  # the twin
    assert abs(draws.mean() - wrong) / (draws.std() / np.sqrt(draws.size)) > 6.5


def test_overhead_by_hand():
    """Mean (1 - f)(1 + r c)/(r f), each way of writing the overhead."""
    f = FAR.laplace(0.7)
    expected = (1 - f) * (1 + 0.7 * 0.3) / (0.7 * f)
    assert FAR.under(rs.Poisson(0.7, overhead=0.3)).mean() == pytest.approx(expected, rel=1e-14)
    random = FAR.under(rs.Poisson(0.7, overhead=stats.gamma(2.0, scale=0.15)))
    assert random.mean() == pytest.approx(expected, rel=1e-12)
    fixed = FAR.under(rs.Poisson(0.7, overhead=0.3))
    # the same mean, and a variance larger by the resets times the variance of each
    assert random.var() - fixed.var() == pytest.approx(random.resets() * 2.0 * 0.15**2, rel=1e-10)
    # transform by hand, E exp(-sC) = (1 + 0.15 s)^-2
    s, r = 0.9, 0.7
    f = FAR.laplace(r + s)
    by_hand = f / (1 - r / (r + s) * (1 - f) * (1 + 0.15 * s) ** -2)
    assert random.laplace(s) == pytest.approx(by_hand, rel=1e-12)


def test_law_with_a_random_overhead_is_that_of_its_parts():
    """Against a sum over its quantiles: P(T_r > t) conditioned on the first overhead."""
    lost, rate, t = stats.gamma(2.0, scale=0.15), 0.7, 1.4
    T = FAR.under(rs.Poisson(rate, overhead=lost))
    x, w = np.polynomial.legendre.leggauss(60)

    def integral(function, high):
        return high / 2 * (w @ np.array([function(high * (1 + y) / 2) for y in x]))

    def first_overhead(left):
        """P(not arrived) a time ``left`` after a reset."""
        return lost.sf(left) + integral(lambda c: lost.pdf(c) * T.survival(left - c), left)

    value = np.exp(-rate * t) * FAR.survival(t) + integral(
        lambda u: rate * np.exp(-rate * u) * FAR.survival(u) * first_overhead(t - u), t
    )
    assert T.survival(t) == pytest.approx(value, abs=1e-6)
    slope = (T.survival(t - 0.01) - T.survival(t + 0.01)) / 0.02
    assert T.density(t) == pytest.approx(slope, abs=1e-5)


def test_resets_count():
    f = FAR.laplace(0.7)
    assert FAR.under(rs.Poisson(0.7)).resets() == pytest.approx((1 - f) / f, rel=1e-13)
    late = FAR.survival(0.8)
    assert FAR.under(rs.Sharp(0.8)).resets() == pytest.approx(late / (1 - late), rel=1e-12)
    assert FAR.under(rs.Poisson(0.0, overhead=5.0)).mean() == FAR.mean()
    assert FAR.under(rs.Sharp(np.inf, overhead=5.0)).mean() == FAR.mean()


def test_the_threshold_moves_with_the_overhead():
    """At a small rate resetting helps if and only if CV² > 1 + 2 c/T1."""
    for peclet in (0.3, 0.6, 0.9):
        T = rs.first_passage(rs.DriftDiffusion(-2 * peclet, 1.0), start=1.0, target=0.0)
        edge = (T.cv() ** 2 - 1) * T.mean() / 2
        for factor, helps in ((0.9, True), (1.1, False)):
            reset = T.under(rs.Poisson(1e-7, overhead=factor * edge)).mean()
            assert (reset < T.mean()) == helps


def test_best_under_an_overhead_is_where_the_mean_is_least():
    best = FAR.best(rs.Poisson, overhead=0.1)
    rates = best.rate * np.array([0.99, 1.0, 1.01])
    low, middle, high = FAR.under(rs.Poisson(rates, overhead=0.1)).mean()
    assert low > middle < high
    assert abs((high - low) / (high + low - 2 * middle)) < 0.02
    assert best.rate < FAR.best(rs.Poisson).rate  # a price makes resets rarer


def test_resets_that_fail_are_rarer_resets():
    assert FAR.under(rs.Poisson(1.4, success=0.5)).mean() == FAR.under(rs.Poisson(0.7)).mean()
    coin = FAR.under(rs.Geometric(0.6, step=0.25, success=0.5))
    assert coin.mean() == pytest.approx(FAR.under(rs.Geometric(0.3, step=0.25)).mean(), rel=1e-13)


def test_reset_to_elsewhere_by_hand():
    f, g = FAR.laplace(0.7), NEAR.laplace(0.7)
    T = FAR.under(rs.Poisson(0.7), then=NEAR)
    assert T.mean() == pytest.approx((1 - f) / (0.7 * g), rel=1e-14)
    rest = 0.7 * (1 - f) / 0.7  # at s = 0
    assert T.laplace(0.0) == pytest.approx(f + rest, rel=1e-12)
    same = FAR.under(rs.Poisson(0.7), then=FAR)
    assert same.mean() == pytest.approx(FAR.under(rs.Poisson(0.7)).mean(), rel=1e-14)
    assert same.var() == pytest.approx(FAR.under(rs.Poisson(0.7)).var(), rel=1e-12)
    s = np.geomspace(1e-12, 1e6, 40)
    again = FAR.under(rs.Poisson(0.7)).log_laplace(s)
    np.testing.assert_allclose(same.log_laplace(s), again, rtol=1e-12)


@pytest.mark.parametrize("reset_to, pays", [(1.9, False), (1.4, True)])
def test_slow_resets_to_elsewhere_pay_up_to_the_mean_residual_life(reset_to, pays):
    """T1(x_r) < T2(x_0)/(2 T1(x_0)): here x_r < x_0/2 + D/V = 1.5."""
    process = rs.DriftDiffusion(drift=-1.0, diffusivity=1.0)
    T = rs.first_passage(process, start=1.0, target=0.0)
    S = rs.first_passage(process, start=reset_to, target=0.0)
    assert (T.under(rs.Poisson(1e-6), then=S).mean() < T.mean()) == pays


def test_gaussian_cloud_against_its_closed_form():
    C = rs.cloud(FREE, stats.norm(1.0, 0.2), target=0.0)

    def transform(rate, center=1.0, width=0.2):
        a, root = np.sqrt(rate), np.sqrt(2.0)
        left = np.exp(-a * center) * erfc((a * width**2 - center) / width / root)
        right = np.exp(a * center) * erfc((a * width**2 + center) / width / root)
        return 0.5 * np.exp((a * width) ** 2 / 2) * (left + right)

    for rate in (1e-6, 1e-2, 1.0, 30.0, 1e3, 1e4):
        assert C.laplace(rate) == pytest.approx(transform(rate), rel=2e-13)
    assert C.under(rs.Poisson(1e12)).mean() < C.under(rs.Poisson(2.5)).mean()  # best rate: infinite


def test_the_finite_rate_minimum_of_a_cloud_exists_beyond_a_critical_width():
    """For mean/width > 2.5388 (Poisson): EMS review of the Besga et al. experiment."""
    rates = np.geomspace(0.3, 300.0, 4000)
    for ratio, exists in ((2.50, False), (2.58, True)):
        C = rs.cloud(FREE, stats.norm(1.0, 1.0 / ratio), target=0.0)
        mean = np.array([C.under(rs.Poisson(r)).mean() for r in rates[::20]])
        assert bool(np.any(np.diff(mean) > 0)) == exists


def test_an_empirical_cloud_is_a_mixture():
    points, weights = np.array([0.5, 1.0, 2.0]), np.array([1.0, 2.0, 1.0])
    C = rs.cloud(WALK, points, target=0.0, weights=weights)
    one_by_one = [rs.first_passage(WALK, start=p, target=0.0) for p in points]
    M = rs.mixture(one_by_one, weights)
    share = weights / 4
    for T in (C, M):
        assert T.mean() == pytest.approx(share @ [part.mean() for part in one_by_one], rel=1e-14)
        assert T.laplace(0.8) == pytest.approx(
            share @ [part.laplace(0.8) for part in one_by_one], rel=1e-14
        )
        assert T.survival(0.7) == pytest.approx(
            share @ [part.survival(0.7) for part in one_by_one], rel=1e-14
        )
        fixed = T.under(rs.Sharp(0.9))
        late = share @ [part.survival(0.9) for part in one_by_one]
        spent = share @ [part.restricted_mean(0.9) for part in one_by_one]
        assert fixed.mean() == pytest.approx(spent / (1 - late), rel=1e-12)
        draws = T.sample(100_000, seed=3)
        assert T.var() == pytest.approx(draws.var(), rel=0.1)


def test_small_transforms_of_mixtures_keep_their_digits():
    M = rs.mixture(rs.first_passage(WALK, start=[1.0, 3.0], target=0.0))
    assert M.log_laplace(1e-20) == pytest.approx(-1e-20 * M.mean(), rel=1e-13)
    assert M.under(rs.Poisson(1e-20)).mean() == pytest.approx(M.mean(), rel=1e-13)


def test_nothing_known_is_said_so():
    for T in (
        FAR.under(rs.Sharp(0.8, overhead=stats.expon(scale=0.3))),
        FAR.under(rs.Geometric(0.3, step=0.25, overhead=stats.expon(scale=0.3))),
    ):
        with pytest.raises(rs.NotConverged, match="kinks"):
            T.survival(1.0)
        assert T.mean() > 0


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: rs.Poisson(1.0, overhead=-1.0), "overhead"),
        (lambda: rs.Poisson(1.0, overhead=stats.norm(1.0)), "overhead"),
        (lambda: rs.Poisson(1.0, overhead=stats.cauchy()), "overhead"),
        (lambda: rs.Poisson(1.0, success=1.5), "success"),
        (lambda: rs.Poisson(1.0, partial=1.0), "partial"),
        (lambda: rs.mixture(FAR), "parts"),
        (lambda: rs.mixture([]), "parts"),
        (lambda: rs.mixture([FAR, NEAR], [1.0]), "weights"),
        (lambda: rs.mixture([FAR, NEAR], [0.0, 0.0]), "weights"),
        (lambda: rs.mixture([FAR, NEAR], [1.0, -1.0]), "weights"),
        (lambda: rs.cloud(WALK, [1.0, np.nan], target=0.0), "position"),
        (lambda: rs.cloud(WALK, stats.norm(1.0), target=0.0, weights=[1.0]), "weights"),
        (lambda: FAR.under(0.3, then=NEAR), "protocol"),
    ],
)
def test_wrong_arguments_are_named(call, name):
    with pytest.raises(rs.DomainError, match=name):
        call()


def test_reprs_read_as_they_are_written():
    assert repr(rs.Poisson(0.7)) == "Poisson(rate=0.7)"
    assert repr(rs.Sharp(2.0, overhead=0.5)) == "Sharp(period=2.0, overhead=0.5)"
    assert rs.Poisson(0.7, overhead=0.5) != rs.Poisson(0.7)
