"""Two-ended passage times: splitting, one end, conditional laws, all of them under resetting."""

from __future__ import annotations

import numpy as np
import pytest

import resetsgd as rs
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage.sided import Sided

ENDS = ("lower", "upper")


class Bare(Sided):
    """The interval knowing only its transforms: everything else by the defaults of ``Sided``."""

    def __init__(self, whole):
        self.whole = whole

    shape = ()

    def _log_laplace(self, s):
        return self.whole._log_laplace(s)

    def _log_laplace_side(self, side, s):
        return self.whole._log_laplace_side(side, s)

    def log_mean(self):
        return self.whole.log_mean()

    def var(self):
        return self.whole.var()


def interval(drift=0.8, start=0.3, diffusivity=1.0):
    return rs.first_passage(rs.DriftDiffusion(drift, diffusivity), start, (0.0, 1.0))


CASES = {
    "centre": interval(0.0, 0.5),
    "drift": interval(3.0, 0.3),
    "edge": interval(-1.0, 0.02),
    "restarted": interval(1.0, 0.3).under(rs.Poisson(4.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_sides_add_up_to_the_whole(name):
    T = CASES[name]
    lower, upper = T.splitting()
    assert lower + upper == pytest.approx(1.0, rel=1e-14)
    for s in (1e-6, 0.3, 20.0):
        parts = sum(T.side(end).laplace(s) for end in ENDS)
        assert parts == pytest.approx(T.laplace(s), rel=1e-13)
    mean = sum(p * T.given(end).mean() for p, end in zip((lower, upper), ENDS, strict=True))
    assert mean == pytest.approx(T.mean(), rel=1e-12)
    square = sum(
        p * (T.given(end).var() + T.given(end).mean() ** 2)
        for p, end in zip((lower, upper), ENDS, strict=True)
    )
    assert square - mean**2 == pytest.approx(T.var(), rel=1e-10)
    for t in (0.01, 0.2):
        density = sum(T.side(end).density(t) for end in ENDS)
        assert density == pytest.approx(T.density(t), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", ["drift", "restarted"])
def test_the_conditional_law_is_a_law(name, end):
    G = CASES[name].given(end)
    assert G.laplace(0.0) == 1.0
    nodes, weights = np.polynomial.legendre.leggauss(12)
    edges = np.linspace(np.log(1e-6), np.log(9.0), 81)
    half = 0.5 * np.diff(edges)[:, None]
    t = np.exp(edges[:-1, None] + half * (nodes + 1))
    late = half * weights * t * G.survival(t)
    assert 1e-6 + np.sum(late) == pytest.approx(G.mean(), rel=1e-8)
    assert np.sum(2 * t * late) - G.mean() ** 2 == pytest.approx(G.var(), rel=1e-6)
    # relative accuracy of the transform next to s = 0
    assert G.log_laplace(1e-9) == pytest.approx(-1e-9 * G.mean(), rel=1e-8)
    assert G.survival(G.quantile(0.3)) == pytest.approx(0.7, abs=1e-9)


@pytest.mark.parametrize("name", ["centre", "drift", "edge"])
def test_the_defaults_of_sided_agree_with_the_closed_forms(name):
    T, B = CASES[name], Bare(CASES[name])
    for end in ENDS:
        G, H = T.given(end), B.given(end)
        assert H.mean() == pytest.approx(G.mean(), rel=1e-12)
        assert H.var() == pytest.approx(G.var(), rel=1e-10)
        assert H.log_laplace(0.1) == pytest.approx(G.log_laplace(0.1), rel=1e-12)
        t = np.array([0.02, 0.1, 0.4])
        assert H.survival(t) == pytest.approx(G.survival(t), abs=1e-10)
        assert B.side(end).density(t) == pytest.approx(T.side(end).density(t), abs=1e-9)


def test_one_end_is_defective():
    one = interval(0.0, 0.25).side("upper")
    assert one.laplace(0.0) == pytest.approx(0.25, rel=1e-15)
    assert one.mean() == np.inf
    assert one.survival(np.inf) == pytest.approx(0.75, rel=1e-15)
    assert one.quantile(0.3) == np.inf
    times = one.sample(2000, seed=3)
    assert 400 < np.isfinite(times).sum() < 600
    # resetting it brings back whoever is lost at the other end
    assert np.isfinite(one.under(rs.Poisson(2.0)).mean())


def test_splitting_under_poisson_is_the_ratio_of_transforms_at_the_rate():
    mu, D, x, rate = 0.7, 1.3, 0.2, 5.0
    T = interval(mu, x, D)
    g, k = mu / (2 * D), np.sqrt(mu**2 + 4 * D * rate) / (2 * D)
    lower, upper = np.exp(-g * x) * np.sinh(k * (1 - x)), np.exp(g * (1 - x)) * np.sinh(k * x)
    split = T.under(rs.Poisson(rate)).splitting()
    assert split.lower == pytest.approx(lower / (lower + upper), rel=1e-13)
    # frequent resets, no drift: the nearer end takes all but exp(-k (1 - 2 x))
    far = interval(0.0, x).under(rs.Poisson(1e4)).splitting()
    assert far.upper == pytest.approx(1 / (1 + np.exp(100 * (1 - 2 * x))), rel=1e-10)
    # the splitting at rate 0 is another number: reset does change it
    assert abs(split.lower - T.splitting().lower) > 0.05
    free = T.under(rs.Poisson(0.0)).splitting()
    assert free == pytest.approx(T.splitting(), rel=1e-14)


def test_conditional_mean_under_poisson():
    """(1 - f)/(r f) + f'/f - f_e'/f_e, which is neither (1 - f)/(r f) nor that of f_e."""
    T, rate, h = interval(0.5, 0.3), 6.0, 1e-6
    f = T.laplace
    for end in ENDS:
        e = T.side(end).laplace
        slope = (f(rate + h) - f(rate - h)) / (2 * h)
        slope_e = (e(rate + h) - e(rate - h)) / (2 * h)
        claimed = (1 - f(rate)) / (rate * f(rate)) + slope / f(rate) - slope_e / e(rate)
        value = T.under(rs.Poisson(rate)).given(end).mean()
        assert value == pytest.approx(claimed, rel=1e-8)
        assert value != pytest.approx((1 - f(rate)) / (rate * f(rate)), rel=1e-3)
        assert value != pytest.approx((1 - e(rate)) / (rate * e(rate)), rel=1e-2)


@pytest.mark.statistical(alpha=2e-9)
def test_sharp_resets_played_trial_by_trial():
    """Splitting and conditional means against trials; 6 standard errors (alpha 2e-9 a number)."""
    T, period = interval(0.5, 0.3), 0.05
    R = T.under(rs.Sharp(period))
    draw = np.random.default_rng(11)
    n = 40_000
    total, ends, open_ = np.zeros(n), np.zeros(n, dtype=int), np.arange(n)
    for _ in range(200):
        pick = draw.random(open_.size) < T.splitting().lower
        times = np.where(
            pick,
            T.given("lower").sample(open_.size, seed=draw),
            T.given("upper").sample(open_.size, seed=draw),
        )
        wins = times < period
        total[open_] += np.where(wins, times, period)
        ends[open_[wins]] = np.where(pick[wins], 1, 2)
        open_ = open_[~wins]
    assert open_.size == 0
    chance = R.splitting().lower
    error = np.sqrt(chance * (1 - chance) / n)
    assert abs((ends == 1).mean() - chance) < 6 * error
    # wrong-model twin: the splitting without resets
    assert not abs((ends == 1).mean() - T.splitting().lower) < 6 * error
    for code, end in ((1, "lower"), (2, "upper")):
        times = total[ends == code]
        tolerance = 6 * times.std() / np.sqrt(times.size)
        assert abs(times.mean() - R.given(end).mean()) < tolerance


def test_what_is_not_available_says_so():
    R = interval().under(rs.Sharp(0.1))
    assert np.isfinite(R.given("upper").mean())
    with pytest.raises(NotConverged, match="kinks"):
        R.given("upper").survival(0.2)
    with pytest.raises(DomainError, match="name"):
        interval().side("left")
    with pytest.raises(DomainError, match="name"):
        interval().given("both")


def test_arrays_broadcast():
    starts = np.array([0.1, 0.5, 0.9])
    walk = rs.DriftDiffusion(drift=np.array([[0.0], [2.0]]), diffusivity=1.0)
    T = rs.first_passage(walk, starts, (0.0, 1.0))
    assert T.shape == (2, 3)
    assert T.splitting().lower.shape == (2, 3)
    assert T.given("lower").sample(5, seed=1).shape == (5, 2, 3)
    one = rs.first_passage(rs.DriftDiffusion(2.0, 1.0), 0.5, (0.0, 1.0))
    assert T.given("upper").mean()[1, 1] == pytest.approx(one.given("upper").mean(), rel=1e-15)
    assert T.under(rs.Poisson(3.0)).splitting().upper[1, 1] == pytest.approx(
        one.under(rs.Poisson(3.0)).splitting().upper, rel=1e-15
    )
