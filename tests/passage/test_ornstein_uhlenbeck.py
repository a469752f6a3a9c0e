"""Passage of the Ornstein–Uhlenbeck process to a point: laws, known facts, ends of float64."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy import integrate, special
from scipy.stats import kstwo

import resetsgd as rs

BOWL = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=1.0)
# target in spreads -> start below it from which on resetting helps
CRITICAL = {
    -3: -3.50294, -1: -1.79888, 0: -1.04552024499693, 1: -0.38994, 2: 0.13668,
    3: 0.49539, 4: 0.69229, 5: 0.80114, 6: 0.87377, 8: 0.97170,
}  # fmt: skip


def passage(start, target, k=1.0, c=0.0, D=1.0):
    return rs.first_passage(rs.OrnsteinUhlenbeck(k, c, D), start=start, target=target)


def textbook(p, low, high):
    """log of the transform by mpmath's confluent hypergeometric functions, p complex."""
    lost = (max(abs(low), abs(high)) ** 2 / 2 + 2 * abs(low) * abs(p) ** 0.5) / 2.3
    with mp.workdps(int(40 + 2 * lost)):
        p = mp.mpmathify(p)

        def u(y):
            y = mp.mpf(y)
            z, half = y**2 / 2, mp.mpf(1) / 2
            even = mp.gamma(p / 2) * mp.hyp1f1(p / 2, half, z)
            return even + mp.sqrt(2) * y * mp.gamma((p + 1) / 2) * mp.hyp1f1(
                (p + 1) / 2, 3 * half, z
            )

        return complex(mp.log(u(low) / u(high)))


# --- the transform ----------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(-1.0, 0.5), (-14.0, -12.5), (0.3, 4.0), (9.0, 13.0)])
@pytest.mark.parametrize("p", [0.2, 2.0, 15.0, 80.0])
@pytest.mark.parametrize("angle", [0.5, 1.5, 2.6])
def test_transform_at_complex_arguments(low, high, p, angle):
    s = p * np.exp(1j * angle)
    gap = passage(low, high).log_laplace(s) - textbook(complex(s), low, high)
    turns = np.round(gap.imag / (2 * np.pi))
    assert abs(gap - 2j * np.pi * turns) < 1e-10 * max(1.0, abs(textbook(complex(s), low, high)))


@pytest.mark.parametrize("p", [1e-9, 0.39, 0.41, 29.9, 30.1, 59.0, 61.0, 1e9])
def test_branches_of_the_transform_meet(p):
    """Real arguments and complex ones take different routes to the same function."""
    T = passage(-0.7, 0.9)
    real, tilted = T.log_laplace(p), T.log_laplace(p * np.exp(1e-5j))
    slope = T.log_laplace(p * (1 + 1e-30j)).imag / 1e-30
    assert tilted.imag == pytest.approx(1e-5 * slope, rel=1e-6)
    assert tilted.real == pytest.approx(real, rel=1e-9)


def test_neighbouring_places_keep_their_digits():
    """log f is proportional to a short distance, with the slope of the potential's solution."""
    for p in (1e-6, 1.0, 50.0):
        gaps = 2.0 ** -np.array([20.0, 30.0, 40.0, 50.0])
        values = np.array([passage(1.0 - g, 1.0).log_laplace(p) / g for g in gaps])
        assert values[-1] == pytest.approx(values[-2], rel=1e-11)
        assert values[1] == pytest.approx(values[-1], rel=1e-7)


def test_units_and_mirror():
    T = passage(-0.4, 1.1)
    for S in (passage(2.4, 0.9, c=2.0), passage(-4e3, 11e3, k=1e-8, D=1.0),
              passage(-0.2 + 5.0, 0.55 + 5.0, k=4.0, c=5.0)):  # fmt: skip
        k = S.process.stiffness
        assert k * S.mean() == pytest.approx(T.mean(), rel=1e-13)
        assert S.cv() == pytest.approx(T.cv(), rel=1e-13)
        assert S.log_laplace(0.7 * k) == pytest.approx(T.log_laplace(0.7), rel=1e-13)


def test_weak_bowl_is_free_diffusion():
    free = rs.first_passage(rs.DriftDiffusion(0.0, 1.0), 1.0, 0.0)
    for s in (1e-3, 1.0, 1e3):
        assert passage(1.0, 0.0, k=1e-12).log_laplace(s) == pytest.approx(
            free.log_laplace(s), rel=1e-9
        )


def test_first_steps_add_up():
    """To a higher target by way of a lower one: independent stretches."""
    near, rest, whole = passage(-1.0, 0.5), passage(0.5, 2.5), passage(-1.0, 2.5)
    for s in (1e-8, 0.3, 40.0, 3.0 + 2.0j):
        assert whole.log_laplace(s) == pytest.approx(
            near.log_laplace(s) + rest.log_laplace(s), rel=1e-12
        )
    assert whole.mean() == pytest.approx(near.mean() + rest.mean(), rel=1e-14)
    assert whole.var() == pytest.approx(near.var() + rest.var(), rel=1e-13)


# --- moments and laws -------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "target"), [(-2.0, -1.0), (-1.0, 0.0), (0.0, 1.5), (1.0, 2.0)])
def test_moments_are_integrals_of_survival(start, target):
    T = passage(start, target)
    end = 60.0 * max(T.mean(), 1.0)
    edges = np.concatenate([[0.0], np.geomspace(1e-6, end, 40)])
    x, w = np.polynomial.legendre.leggauss(24)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    t = middle[:, None] + half[:, None] * x
    late = T.survival(t.ravel()).reshape(t.shape)
    first = np.sum(half[:, None] * w * late)
    second = np.sum(half[:, None] * w * 2.0 * t * late)
    assert T.mean() == pytest.approx(first, rel=1e-8)
    assert T.var() == pytest.approx(second - first**2, rel=1e-6)
    assert 1 - T.survival(1.3) == pytest.approx(integrate.quad(T.density, 0, 1.3)[0], abs=1e-8)


def test_variance_is_the_curvature_of_the_transform():
    for start, target in ((-30.0, -29.0), (-9.0, 2.0), (0.0, 3.0), (6.0, 8.5)):
        T = passage(start, target)
        s = np.array([1.0, 2.0, 4.0]) * 1e-3 / T.mean()
        curve = (s * T.mean() + T.log_laplace(s)) / s**2
        value = 2 * (8 * curve[0] - 6 * curve[1] + curve[2]) / 3
        assert T.var() == pytest.approx(value, rel=1e-6)


def test_center_is_in_closed_form():
    """Against the inversion that other targets take."""
    T, near = passage(-0.8, 0.0), passage(-0.8, 1e-13)
    t = np.array([0.02, 0.2, 1.0, 4.0, 20.0])
    assert near.survival(t) == pytest.approx(T.survival(t), abs=1e-11)
    assert near.density(t) == pytest.approx(T.density(t), abs=1e-10)
    assert T.density(t) == pytest.approx(
        (T.survival(t - 1e-5) - T.survival(t + 1e-5)) / 2e-5, rel=1e-5
    )
    both = rs.first_passage(BOWL, -0.8, np.array([0.0, 1e-13]))
    assert both.survival(0.7)[0] == T.survival(0.7)


@pytest.mark.parametrize(("start", "target"), [(-1.0, 0.0), (-0.5, 1.0), (2.0, -0.3)])
@pytest.mark.statistical(alpha=1e-9)
def test_draws_follow_the_law(start, target):
    """Kolmogorov–Smirnov; sees a shift of the law by 0.03 with 99 % probability."""
    T, n = passage(start, target), 40_000
    draws = np.sort(T.sample(n, seed=41))
    assert ks(draws, T) < kstwo.isf(1e-9, n)
    wrong = passage(start, target, D=1.3)
    assert ks(draws, wrong) > kstwo.isf(1e-9, n)


def ks(draws, law):
    cdf = 1.0 - law.survival(draws[::20])
    steps = np.arange(0, draws.size, 20) / draws.size
    return np.max(np.abs(cdf - steps)) - 1.0 / draws.size * 21


# --- when resetting helps ---------------------------------------------------------------------


@pytest.mark.parametrize("target", CRITICAL)
def test_critical_starts(target):
    start = CRITICAL[target]
    below, above = passage(start - 1e-4, target), passage(start + 1e-4, target)
    assert below.cv() - 1e-14 <= 1.0 <= above.cv() + 1e-14
    assert not below.best(rs.Poisson).pays
    best = above.best(rs.Poisson)
    assert best.pays
    assert best.rate > 0
    if target <= 4:  # deeper targets: CV is 1 in float64 on either side
        assert below.cv() < 1.0 < above.cv()
        # continuous: next to the critical start the best rate is small
        assert best.rate < 5e-2
        assert passage(start + 1e-5, target).best(rs.Poisson).rate < 0.3 * best.rate


def test_critical_start_at_the_center_to_ten_digits():
    low, high = 1.0, 1.1
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if passage(middle, 0.0).cv() > 1 else (low, middle)
    assert middle == pytest.approx(1.04552024499693, rel=1e-13)
    assert middle**2 == pytest.approx(1.0931125827, rel=1e-10)


def test_from_the_bottom_resetting_helps_shallow_targets_only():
    assert passage(0.0, 1.71081).best(rs.Poisson).pays
    assert not passage(0.0, 1.71083).best(rs.Poisson).pays
    assert not passage(0.0, 5.0).best(rs.Poisson).pays


@pytest.mark.parametrize(("start", "target"), [(-0.3, 0.0), (0.0, 1.2), (1.5, 6.0)])
def test_at_the_optimum_cv_is_one(start, target):
    T = passage(start, target)
    best = T.best(rs.Poisson)
    assert best.pays
    assert T.under(best.protocol).cv() == pytest.approx(1.0, abs=1e-9)
    assert best.mean < T.mean()


def test_resetting_against_the_renewal_formula():
    T = passage(-0.4, 0.8, k=2.0)
    r = np.array([1e-3, 0.5, 7.0, 200.0])
    f = np.exp(T.log_laplace(r))
    R = T.under(rs.Poisson(r))
    assert R.mean() == pytest.approx((1 - f) / (r * f), rel=1e-11)
    h = 1e-6
    tilt = (np.exp(T.log_laplace(r * (1 + h))) - np.exp(T.log_laplace(r * (1 - h)))) / (2 * h)
    second = 2 * (1 - f + tilt) / (r * f) ** 2
    assert R.var() == pytest.approx(second - R.mean() ** 2, rel=1e-5)
    tiny = T.under(rs.Poisson(1e-14))
    assert tiny.mean() == pytest.approx(T.mean(), rel=1e-12)
    assert tiny.var() == pytest.approx(T.var(), rel=1e-12)


# --- ends of float64 --------------------------------------------------------------------------


def test_far_targets_through_the_logarithm():
    T = passage(0.0, 1000.0)
    assert T.mean() == np.inf
    # sqrt(2 pi) exp(y²/2)/y (1 + 1/y² + ...)
    assert T.log_mean() == pytest.approx(
        5e5 + 0.5 * np.log(2 * np.pi) - np.log(1e3) + 1e-6, rel=1e-15
    )
    assert T.cv() == 1.0
    assert np.isfinite(T.under(rs.Poisson(1.0)).log_mean())
    down = passage(-1000.0, -999.0)
    series = np.log(1000 / 999) - 0.5 * (999.0**-2 - 1e-6)
    assert down.mean() == pytest.approx(series, rel=1e-10)
    assert passage(1.0, 2.0, k=1e300, D=1e300).mean() < 1e-299


def test_no_nan_at_the_ends():
    draw = np.random.default_rng(7)
    ends = [5e-324, 1e-308, 1e-150, 1e-3, 1.0, 1e3, 1e150, 1.7e308]
    asked = 0
    for _ in range(60):
        k, D, rate, t = draw.choice(ends, 4)
        c = draw.choice([0.0, 1.0, -1e300])
        start, target = draw.choice([*ends, 0.0], 2) * draw.choice([-1.0, 1.0], 2)
        try:
            T = passage(start, target, k, c, D)
        except rs.DomainError:
            continue
        R = T.under(rs.Poisson(rate))
        values = [T.mean(), T.log_mean(), T.var(), T.cv(), T.log_laplace(rate), R.mean(),
                  R.log_mean(), R.var(), T.survival(t), T.density(t)]  # fmt: skip
        assert not np.isnan(values).any(), (k, c, D, start, target, rate, t, values)
        asked += 1
    assert asked > 30


@pytest.mark.parametrize(("name", "make"), [
    ("stiffness", lambda: rs.OrnsteinUhlenbeck(0.0, 0.0, 1.0)),
    ("center", lambda: rs.OrnsteinUhlenbeck(1.0, np.inf, 1.0)),
    ("diffusivity", lambda: rs.OrnsteinUhlenbeck(1.0, 0.0, -1.0)),
    ("start", lambda: passage(1.0, 1.0)),
    ("target", lambda: passage(1.0, np.nan)),
])  # fmt: skip
def test_wrong_arguments_are_named(name, make):
    with pytest.raises(rs.DomainError, match=name):
        make()


def test_arrays_broadcast():
    T = rs.first_passage(
        rs.OrnsteinUhlenbeck(np.array([[1.0], [2.0]]), 0.0, 1.0), -1.0, np.array([0.0, 0.5, 9.0])
    )
    assert T.shape == (2, 3)
    for i, k in enumerate((1.0, 2.0)):
        for j, a in enumerate((0.0, 0.5, 9.0)):
            one = passage(-1.0, a, k=k)
            assert T.mean()[i, j] == pytest.approx(one.mean(), rel=1e-14)
            assert T.log_laplace(0.3)[i, j] == pytest.approx(one.log_laplace(0.3), rel=1e-14)
    two = rs.first_passage(BOWL, -1.0, np.array([0.0, 0.5]))
    assert two.sample(5, seed=1).shape == (5, 2)


def test_closed_form_at_the_center_is_the_mean_of_an_image():
    """The mean as an integral of the closed survival: another route to the same number."""
    for y in (0.1, 1.0, 3.0):
        area = integrate.quad(
            lambda t, y=y: special.erf(y / np.sqrt(2 * np.expm1(2 * t))),
            0,
            40.0,
            epsabs=0,
            limit=400,
        )[0]
        assert passage(-y, 0.0).mean() == pytest.approx(area, rel=1e-7)
