"""Stationary states: against mpmath, simulated chains, direct sums, and each other."""

from __future__ import annotations

from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
from scipy import integrate, stats

import resetsgd as rs

X = np.linspace(-6.0, 7.0, 27)
FREE = rs.DriftDiffusion(drift=0.7, diffusivity=1.3)
BOWL = rs.OrnsteinUhlenbeck(stiffness=1.5, center=0.3, diffusivity=0.5)


def same(a: object, b: object, rtol: float = 1e-11, atol: float = 0.0) -> None:
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def laplace(x: float, mu: float, D: float, r: float, home: float) -> mp.mpf:
    """The two exponentials, with 40 digits."""
    mu, D, r = mp.mpf(mu), mp.mpf(D), mp.mpf(r)
    gap = mp.mpf(x) - mp.mpf(home)
    root = mp.sqrt(mu**2 + 4 * D * r)
    return r / root * mp.exp((mu * gap - abs(gap) * root) / (2 * D))


def test_drift_diffusion_is_two_exponentials_over_many_decades() -> None:
    draw = np.random.default_rng(1)
    with mp.workdps(40):
        for _ in range(300):
            mu, D, r = 10 ** draw.uniform(-6, 6, 3)
            mu *= draw.choice([-1, 1])
            state = rs.stationary(rs.DriftDiffusion(mu, D), rs.Poisson(r), 0.5)
            for q in (1e-9, 0.3, 0.5, 0.999):
                x = state.quantile(q)
                exact = laplace(x, mu, D, r, 0.5)
                # the position is rounded: its condition number counts
                kappa = abs(float(mp.log(exact * mp.sqrt(mu**2 + 4 * D * r) / r)))
                scale = 1.0 + kappa * (1.0 + abs(x) / max(abs(x - 0.5), 1e-300))
                assert abs(float(state.density(x) / exact) - 1.0) < 2e-15 * (8.0 + scale)
                if x < 0.5:  # below the reset point the distribution is the density over a rate
                    left = (mp.sqrt(mp.mpf(mu) ** 2 + 4 * mp.mpf(D) * r) + mu) / (2 * mp.mpf(D))
                    assert abs(float(state.cdf(x) * left / exact) - 1.0) < 2e-15 * (8.0 + scale)


@pytest.mark.parametrize("mu", [-2.0, 0.0, 0.7])
def test_closed_form_is_the_mixture_over_ages(mu: float) -> None:
    closed = rs.stationary(rs.DriftDiffusion(mu, 1.3), rs.Poisson(2.0), 1.0)
    mixed = rs.stationary(rs.DriftDiffusion(mu, 1.3), rs.Gamma(rate=2.0, stages=1.0), 1.0)
    for name in ("density", "cdf", "survival"):
        same(getattr(mixed, name)(X), getattr(closed, name)(X))
    same([mixed.mean(), mixed.var()], [closed.mean(), closed.var()], atol=1e-15)
    same(mixed.quantile(0.2), closed.quantile(0.2))
    same(closed.mean(), 1.0 + mu / 2.0, atol=1e-15)
    same(closed.var(), 1.3 + mu**2 / 4.0)


def cylinder(x: float, k: float, c: float, D: float, r: float, home: float) -> mp.mpf:
    """Pal's density of the Ornstein–Uhlenbeck process by parabolic cylinder functions."""
    x, k, c, D, r, home = (mp.mpf(float(v)) for v in (x, k, c, D, r, home))
    y, y0, p = (x - c) * mp.sqrt(k / D), (home - c) * mp.sqrt(k / D), r / k
    front = mp.sqrt(k / D) * p * mp.gamma(p) / mp.sqrt(2 * mp.pi)
    both = mp.pcfd(-p, max(y, y0)) * mp.pcfd(-p, -min(y, y0))
    return front * mp.exp(-(y * y - y0 * y0) / 4) * both


def test_ornstein_uhlenbeck_is_a_product_of_parabolic_cylinder_functions() -> None:
    draw = np.random.default_rng(2)
    with mp.workdps(30):
        for _ in range(12):
            k, D, r = 10 ** draw.uniform(-2, 2, 3)
            c, home = draw.normal(size=2)
            state = rs.stationary(rs.OrnsteinUhlenbeck(k, c, D), rs.Poisson(r), home)
            for x in (home, c, state.mean() + 2 * state.std(), state.mean() - 3 * state.std()):
                exact = cylinder(x, k, c, D, r, home)
                if exact > 1e-250:
                    same(state.density(x), float(exact), rtol=1e-10)
            d = home - c
            same(state.mean(), c + d * r / (r + k))
            same(state.var() + (state.mean() - c) ** 2, (r * d * d + 2 * D) / (r + 2 * k))


def test_without_resets_the_bowl_is_at_equilibrium() -> None:
    for protocol in (rs.Poisson(0.0), rs.Sharp(np.inf), rs.Geometric(0.0)):
        state = rs.stationary(BOWL, protocol, 1.0)
        same([state.mean(), state.var()], [0.3, 0.5 / 1.5])
        same(state.density(X), stats.norm(0.3, np.sqrt(0.5 / 1.5)).pdf(X))
        same(state.sample(40000, seed=1).var(), 0.5 / 1.5, rtol=0.05)
    many = rs.stationary(BOWL, rs.Poisson([0.0, 2.0]), 1.0)
    same(many.mean(), [0.3, rs.stationary(BOWL, rs.Poisson(2.0), 1.0).mean()])


PROTOCOLS = [
    rs.Sharp(1.5),
    rs.Gamma(rate=4.0, stages=3.0),
    rs.Weibull(scale=1.0, exponent=0.7),
    rs.Uniform(low=1.0, high=2.0),
    rs.Pareto(scale=1.0, exponent=3.5),
    rs.Waiting(stats.lognorm(0.5)),
]


@pytest.mark.parametrize("process", [FREE, BOWL], ids=["free", "bowl"])
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: type(p).__name__)
def test_any_protocol_agrees_with_quadrature_over_its_waiting_times(
    process: rs.Process, protocol: rs.Protocol
) -> None:
    """The age density is P(R > u)/E[R]; P(R > u) is estimated from nothing but the protocol."""
    state = rs.stationary(process, protocol, 1.0)
    wait = getattr(protocol, "waiting_survival", lambda u: float(u < 1.5))
    cuts = [0.0, 1.0, 1.5, 2.0, 5.0, 20.0, 100.0, 1e3, 1e5]
    pieces = list(pairwise(cuts))

    def average(function: object) -> float:
        options = {"epsabs": 0, "epsrel": 1e-10, "limit": 200}
        return sum(
            integrate.quad(lambda u: float(wait(u)) * function(u), a, b, **options)[0]  # type: ignore[operator]
            for a, b in pieces
            if float(wait(a + 1e-9)) > 0
        )

    total = average(lambda u: 1.0)
    if process is FREE:
        mean, var = (lambda u: 1.0 + 0.7 * u), (lambda u: 2.6 * u)
    else:
        mean = lambda u: 0.3 + 0.7 * np.exp(-1.5 * u)  # noqa: E731
        var = lambda u: 0.5 / 1.5 * -np.expm1(-3.0 * u)  # noqa: E731
    first = average(mean) / total
    same(state.mean(), first, rtol=1e-6)
    square = average(lambda u: var(u) + (mean(u) - first) ** 2) / total
    same(state.var(), square, rtol=2e-3 if isinstance(protocol, rs.Pareto) else 1e-7)
    x = 2.2
    law = average(lambda u: stats.norm.pdf(x, mean(u), np.sqrt(var(u)))) / total
    same(state.density(x), law, rtol=1e-6)
    same(state.cdf(X) + state.survival(X), 1.0)
    # a wrong age law, uniform up to the mean waiting time, is seen
    wrong = rs.stationary(process, rs.Sharp(2.0 * total), 1.0)
    assert abs(wrong.density(x) / law - 1.0) > 1e-3


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: type(p).__name__)
def test_age_averages_of_curves_agree_with_the_law_of_the_age(protocol: rs.Protocol) -> None:
    """exp(-t) on a grid of 0.02, against the relaxation that a trap of stiffness 1 averages."""
    times = np.linspace(0.0, 200.0, 10_001)
    found = rs.age_average(np.exp(-times), protocol, times=times, tail="hold")
    trap = rs.stationary(rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), protocol, 1.0)
    assert found == pytest.approx(trap.mean(), rel=2e-4)  # linear interpolation
    assert found != pytest.approx(rs.age_average(np.exp(-times), rs.Sharp(9.0), times=times))


def test_infinite_mean_ages_and_heavy_tails() -> None:
    assert rs.stationary(FREE, rs.Pareto(1.0, 1.5), 0.0).mean() == np.inf
    heavy = rs.stationary(FREE, rs.Pareto(1.0, 2.5), 1.0)
    same(heavy.mean(), 1.0 + 0.7 * 1.5)  # E[A] = E[R²]/2E[R] = 5/(2 5/3)
    assert heavy.var() == np.inf
    with pytest.raises(rs.DomainError, match="finite mean"):
        rs.stationary(FREE, rs.Pareto(1.0, 0.9), 0.0)


@pytest.mark.parametrize("order", ["move-coin-look", "move-look-coin"])
@pytest.mark.parametrize("p", [0.3, 1e-3, 2e-5])
def test_coins_agree_with_the_direct_sum_over_steps(p: float, order: str) -> None:
    state = rs.stationary(FREE, rs.Geometric(p, step=2.0, order=order), 0.0)
    first = int(order == "move-look-coin")
    k = np.arange(first, int(45 / p))
    weight = p * (1 - p) ** (k - first)
    same(state.mean(), np.sum(weight * 0.7 * 2.0 * k))
    at = 2.0 * np.maximum(k, 1e-9)
    for x in (0.5, 30.0, 4.0 / p):
        terms = weight * stats.norm.pdf(x, 0.7 * at, np.sqrt(2.6 * at))
        same(state.density(x), np.sum(terms[k > 0]), rtol=1e-9)
        below = np.where(k > 0, stats.norm.cdf(x, 0.7 * at, np.sqrt(2.6 * at)), float(x >= 0))
        same(state.cdf(x), np.sum(weight * below), rtol=1e-9)
    assert state.atom == (0.0 if first else p)
    same(state.sample(200000, seed=3).mean(), state.mean(), rtol=0.05)


@pytest.mark.parametrize("process", [FREE, BOWL], ids=["free", "bowl"])
def test_relaxation_starts_at_the_start_and_ends_at_rest(process: rs.Process) -> None:
    for protocol, late in ((rs.Poisson(2.0), 40.0), (rs.Geometric(0.2), 200.0)):
        state = rs.stationary(process, protocol, 1.0)
        early = state.relaxation(0.0, start=-2.0)
        assert (early.mean(), early.var()) == (-2.0, 0.0)
        rest = state.relaxation(late, start=-2.0)
        same([rest.mean(), rest.var()], [state.mean(), state.var()])
        same(rest.density(X), state.density(X), rtol=1e-9)


def test_relaxation_obeys_its_differential_equation() -> None:
    """dm/dt = drift + r (x_r - m), and so for the square; forgetting r in it is seen."""
    state = rs.stationary(BOWL, rs.Poisson(2.0), 1.0)

    def rhs(t: float, y: list[float], r: float = 2.0) -> list[float]:
        m, s = y
        return [-1.5 * (m - 0.3) + r * (1 - m), 1.0 - 3.0 * (s - 0.3 * m) + r * (1 - s)]

    for rate, close in ((2.0, True), (1.0, False)):
        found = integrate.solve_ivp(
            rhs, (0, 0.6), [-2.0, 4.0], args=(rate,), rtol=1e-11, atol=1e-12
        )
        m, s = found.y[:, -1]
        then = state.relaxation(0.6, start=-2.0)
        assert bool(abs(then.mean() - m) < 1e-8) == close
        assert bool(abs(then.var() + then.mean() ** 2 - s) < 1e-8) == close


def test_sharp_relaxation_is_periodic() -> None:
    state = rs.stationary(FREE, rs.Sharp(1.5), 1.0)
    a, b = state.relaxation(0.4 + 1.5), state.relaxation(0.4 + 3.0, start=-4.0)
    same([a.mean(), a.var()], [1.0 + 0.28, 1.04])
    same(a.density(X), b.density(X), rtol=1e-9)
    assert state.relaxation(0.4, start=-4.0).mean() == pytest.approx(-4.0 + 0.28)


def test_geometric_relaxation_is_the_matrix_recursion() -> None:
    for order in ("move-coin-look", "move-look-coin"):
        state = rs.stationary(FREE, rs.Geometric(0.1, order=order), 1.0)
        m, s = -2.0, 4.0
        for n in range(1, 13):
            moved = (m + 0.7, s + 2 * 0.7 * m + 0.49 + 2.6)
            after = (0.9 * moved[0] + 0.1, 0.9 * moved[1] + 0.1)
            then = state.relaxation(float(n), start=-2.0)
            seen = after if order == "move-coin-look" else moved
            same([then.mean(), then.var() + then.mean() ** 2], seen)
            m, s = after


@pytest.mark.statistical(alpha=1e-9)
def test_simulated_paths_sit_where_the_state_says() -> None:
    """Euler steps are exact for this process between resets; Kolmogorov–Smirnov sees 1.2 %."""
    generator = np.random.default_rng(5)
    n, step, r = 100_000, 0.04, 2.0
    x = np.full(n, 1.0)
    decay, noise = np.exp(-1.5 * step), np.sqrt(-0.5 / 1.5 * np.expm1(-3.0 * step))
    for _ in range(200):
        x = 0.3 + (x - 0.3) * decay + noise * generator.standard_normal(n)
        x[generator.random(n) < -np.expm1(-r * step)] = 1.0
    right = rs.stationary(BOWL, rs.Geometric(-np.expm1(-r * step), step=step), 1.0)
    moving = x[x != 1.0]

    def law(z: np.ndarray, state: object = right) -> np.ndarray:
        grid = np.linspace(-4, 4, 2001)
        cdf = np.asarray(state.cdf(grid)) - state.atom * (grid >= 1.0)  # type: ignore[attr-defined]
        return np.interp(z, grid, cdf / cdf[-1])

    assert stats.kstest(moving, law).pvalue > 1e-9
    twice = rs.stationary(BOWL, rs.Geometric(-np.expm1(-2 * r * step), step=step), 1.0)
    assert not stats.kstest(moving, lambda z: law(z, twice)).pvalue > 1e-9


@pytest.mark.parametrize("a", [0.3, 0.6])
def test_partial_resets_are_the_sum_of_scaled_exponentials(a: float) -> None:
    state = rs.stationary(rs.DriftDiffusion(0.0, 1.3), rs.Poisson(2.0), 0.5, partial=a)
    length, count = np.sqrt(1.3 / 2.0), 40
    weights = [
        np.prod([1 / (1 - a ** (2 * (m - n))) for m in range(count) if m != n])
        for n in range(count)
    ]
    exact = sum(
        w * np.exp(-np.abs(X - 0.5) / (length * a**n)) / (2 * length * a**n)
        for n, w in enumerate(weights)
    )
    same(state.density(X), exact, atol=1e-11)
    same(state.var(), 2.6 / (2.0 * (1 - a**2)))
    same(state.cdf(X) + state.survival(X), 1.0)


def test_partial_resets_interpolate_and_their_chain_agrees() -> None:
    full = rs.stationary(FREE, rs.Poisson(2.0), 1.0)
    zero = rs.stationary(FREE, rs.Poisson(2.0), 1.0, partial=0.0)
    same(zero.density(X), full.density(X))
    same([zero.mean(), zero.var()], [full.mean(), full.var()])
    for process in (FREE, BOWL):
        state = rs.stationary(process, rs.Poisson(2.0), 1.0, partial=0.6)
        draws = state.sample(60_000, seed=7)
        same(draws.mean(), state.mean(), rtol=0.03)
        same(draws.var(), state.var(), rtol=0.05)
    law = rs.stationary(FREE, rs.Poisson(2.0), 1.0, partial=0.6)
    same(law.average(lambda x: (x - law.mean()) ** 2), law.var(), rtol=1e-8)


def test_landscapes_agree_with_the_closed_forms() -> None:
    slope = rs.stationary(rs.Landscape(lambda x: -0.7 * x, 1.3), rs.Poisson(2.0), 1.0)
    free = rs.stationary(FREE, rs.Poisson(2.0), 1.0)
    bowl = rs.stationary(rs.Landscape(lambda x: 0.75 * (x - 0.3) ** 2, 0.5), rs.Poisson(2.0), 1.0)
    trap = rs.stationary(BOWL, rs.Poisson(2.0), 1.0)
    for found, exact in ((slope, free), (bowl, trap)):
        for name in ("density", "cdf", "survival"):
            where = np.asarray(exact.density(X)) > 1e-200
            same(getattr(found, name)(X[where]), getattr(exact, name)(X[where]), rtol=1e-10)
        same([found.mean(), found.var()], [exact.mean(), exact.var()])
        same(found.quantile(0.3), exact.quantile(0.3))
        same(found.sample(50_000, seed=1).mean(), exact.mean(), rtol=0.05)


def test_landscapes_with_walls_wells_and_multiplicative_noise() -> None:
    # E x² = (2 D + r d²)/(2k - 2c + r) for D(x) = D + c x² (Ito)
    noisy = rs.Landscape(drift=lambda x: -x, diffusivity=lambda x: 0.4 + 0.3 * x * x)
    state = rs.stationary(noisy, rs.Poisson(2.0), 0.8)
    same(state.var() + state.mean() ** 2, (0.8 + 2 * 0.64) / (2 - 0.6 + 2), rtol=1e-10)
    # between walls: cosh on either side of the reset point
    box = rs.stationary(rs.Landscape(lambda x: 0 * x, 0.5, domain=(0.0, 1.0)), rs.Poisson(3.0), 0.3)
    kappa, x = np.sqrt(3.0 / 0.5), np.array([0.0, 0.2, 0.3, 0.7, 1.0])
    shape = np.cosh(kappa * np.minimum(x, 0.3)) * np.cosh(kappa * (1 - np.maximum(x, 0.3)))
    same(box.density(x), kappa / np.sinh(kappa) * shape)
    # a deep double well without resets: Boltzmann; with rare ones the other well fills slowly
    well = rs.Landscape(lambda x: (x**2 - 1) ** 2, 0.1)
    rest = rs.stationary(well, rs.Poisson(0.0), -1.0)
    area = integrate.quad(lambda x: np.exp(-((x**2 - 1) ** 2) / 0.1), -3, 3, points=[-1, 1])[0]
    same(rest.density([0.0, 1.0]), np.exp([-10.0, 0.0]) / area, rtol=1e-9)
    assert abs(rest.mean()) < 1e-9
    passage = rs.first_passage(well, start=-1.0, target=1.0)
    seldom = rs.stationary(well, rs.Poisson(1e-3), -1.0)
    # a two-state model with the exact mean passage time; the rates are 1/T each way
    leave = 1.0 / passage.mean()
    same(seldom.survival(0.0), leave / (2.0 * leave + 1e-3), rtol=0.03)


def test_averages_of_observables() -> None:
    state = rs.stationary(FREE, rs.Poisson(2.0), 1.0)
    # E exp(i w x) of the two exponentials
    w = 0.8
    exact = np.exp(1j * w) / (1 - 1j * w * 0.35 + w**2 * 0.65)
    same(state.average(lambda x: np.cos(w * x)), exact.real, rtol=1e-10)
    same(state.average(np.ones_like), 1.0, rtol=1e-10)
    with pytest.raises(rs.DomainError, match="finite"):
        state.average(lambda x: 1.0 / (x - x))


def test_parameters_broadcast() -> None:
    state = rs.stationary(
        rs.DriftDiffusion([[0.0], [1.0]], 1.0), rs.Poisson([1.0, 2.0, 3.0]), reset_to=1.0
    )
    assert state.shape == (2, 3)
    one = rs.stationary(rs.DriftDiffusion(1.0, 1.0), rs.Poisson(3.0), reset_to=1.0)
    assert state.density(0.3)[1, 2] == one.density(0.3)  # type: ignore[index]
    bowls = rs.stationary(rs.OrnsteinUhlenbeck([1.0, 2.0], 0.0, 1.0), rs.Poisson(1.0), 1.0)
    lone = rs.stationary(rs.OrnsteinUhlenbeck(2.0, 0.0, 1.0), rs.Poisson(1.0), 1.0)
    same(bowls.density([0.1, 0.7])[1], lone.density(0.7))  # type: ignore[index]
    assert bowls.sample(5, seed=1).shape == (5, 2)
    np.testing.assert_array_equal(state.sample(5, seed=1), state.sample(5, seed=1))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: rs.stationary(FREE, rs.Poisson(0.0), 0.0), "resets"),
        (lambda: rs.stationary(FREE, "poisson", 0.0), "protocol"),  # type: ignore[arg-type]
        (lambda: rs.stationary(FREE, rs.Poisson(1.0), np.nan), "reset_to"),
        (lambda: rs.stationary(3, rs.Poisson(1.0), 0.0), "process"),  # type: ignore[arg-type]
        (lambda: rs.stationary(FREE, rs.Poisson(1.0), 0.0, partial=1.0), "partial"),
        (lambda: rs.stationary(FREE, rs.Sharp(1.0), 0.0, partial=0.5), "protocol"),
        (lambda: rs.stationary(FREE, rs.Poisson(1.0, overhead=1.0), 0.0), "overhead"),
        (lambda: rs.stationary(FREE, rs.Poisson(1.0), 0.0).quantile(1.0), "q"),
        (lambda: rs.stationary(FREE, rs.Poisson(1.0), 0.0).density(np.inf), "x"),
        (lambda: rs.stationary(FREE, rs.Poisson([1.0, 2.0]), [0.0] * 3), "broadcast"),
    ],
)
def test_wrong_arguments_are_named(make: object, word: str) -> None:
    with pytest.raises(rs.DomainError, match=word):
        make()  # type: ignore[operator]


def test_no_finite_input_gives_nan() -> None:
    ends = [1e-308, 5e-324, 1e-100, 1.0, 1e100, 1e308]
    for D in ends:
        for r in ends:
            for mu in (0.0, 1e-308, -1e308):
                state = rs.stationary(rs.DriftDiffusion(mu, D), rs.Poisson(r), 1.0)
                values = [state.mean(), state.var(), *np.ravel(state.density([0.0, 1.0, 1e300]))]
                values += list(np.ravel(state.cdf([0.0, 1.0, 1e300])))
                assert not np.isnan(values).any(), (mu, D, r, values)
            for k in ends[::2]:
                trap = rs.stationary(rs.OrnsteinUhlenbeck(k, -1e200, D), rs.Poisson(r), 1.0)
                values = [trap.mean(), trap.var(), *np.ravel(trap.density([0.0, 1.0, 1e300]))]
                assert not np.isnan(values).any(), (k, D, r, values)
