"""First passage in landscapes: against closed forms, quadrature in more digits, and laws."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import linalg, optimize, special

import resetsgd as rs
from resetsgd.errors import NotConverged
from resetsgd.passage.base import PassageTime

RATES = np.geomspace(1e-20, 1e8, 60)


def worst(got: Any, expected: Any) -> float:
    return float(np.max(np.abs(np.asarray(got) / np.asarray(expected) - 1.0)))


# Closed forms --------------------------------------------------------------------------------


@pytest.mark.parametrize("drift", [-3.0, -0.5, 0.0, 0.5, 3.0])
def test_constant_drift(drift: float) -> None:
    T = rs.first_passage(rs.Landscape(lambda x: -drift * x, diffusivity=0.7), [0.2, 1.5], 2.0)
    exact = rs.first_passage(rs.DriftDiffusion(drift, 0.7), [0.2, 1.5], 2.0)
    s = RATES[:, None]
    assert worst(T.log_laplace(s), exact.log_laplace(s)) < 1e-13
    assert np.allclose(T.laplace(0.0), exact.laplace(0.0), rtol=1e-14)
    assert np.array_equal(np.isinf(T.mean()), np.isinf(exact.mean()))
    if drift > 0:
        assert worst(T.mean(), exact.mean()) < 1e-13
        assert worst(T.var(), exact.var()) < 1e-13
        assert worst(T.third_cumulant(), 12 * 0.7**2 * np.array([1.8, 0.5]) / drift**5) < 1e-13
    t = np.geomspace(1e-3, 1e3, 60)[:, None]
    for name in ("survival", "density", "_cdf"):
        gap = np.abs(getattr(T, name)(t) - getattr(exact, name)(t))
        assert gap.max() < 1e-12, name


def test_large_s_by_slow_solutions() -> None:
    T = rs.first_passage(rs.Landscape(lambda x: 0.5 * x), 1.0, 0.0)
    exact = rs.first_passage(rs.DriftDiffusion(-0.5, 1.0), 1.0, 0.0)
    s = np.geomspace(1e2, 1e308, 200)
    assert worst(T.log_laplace(s), exact.log_laplace(s)) < 1e-13
    bowl = rs.first_passage(rs.Landscape(lambda x: x**2 / 2), 0.5, 1.0)
    # at large s: -log f = sqrt(s) d - (U(a) - U(x))/2 + ..., next term below
    s = np.array([1e8, 1e10, 1e12])
    quadratic = ((1.0 - 0.5**3) / 12.0 - 0.25) / 2.0  # integral of (U'²/4 - U''/2)/2, U = x²/2
    leading = np.sqrt(s) * 0.5 + (0.5 - 0.125) / 2.0 + quadratic / np.sqrt(s)
    assert worst(-np.asarray(bowl.log_laplace(s)), leading) < 1e-12


@pytest.mark.parametrize(("x0", "a"), [(-0.3, 1.0), (-1.0, 5.0), (3.0, 0.0), (0.5, -2.0)])
def test_quadratic_bowl(x0: float, a: float) -> None:
    k, D = 1.3, 0.6
    T = rs.first_passage(rs.Landscape(lambda x: k * x**2 / 2, diffusivity=D), x0, a)
    with mp.workdps(30):
        sign = 1 if a > x0 else -1
        y0, ya = (sign * mp.mpf(x) * mp.sqrt(mp.mpf(k) / D) for x in (x0, a))

        def integral(p: Any, y: Any) -> Any:
            # in w = log t, where nothing is singular
            cuts = [-70 / p, -30 / p, -8 / p - 2, -2, -1, 0, 1, 2, 3]
            return mp.quad(lambda w: mp.exp(p * w + y * mp.exp(w) - mp.exp(2 * w) / 2), cuts)

        for s in (0.3, 2.0, 17.0):
            p = mp.mpf(s) / k
            exact = mp.log(integral(p, y0) / integral(p, ya))
            assert worst(T.log_laplace(s), float(exact)) < 2e-12
        mean = mp.quad(
            lambda u: mp.sqrt(2 * mp.pi) * mp.exp(u * u / 2) * mp.ncdf(u), [y0, (y0 + ya) / 2, ya]
        )
        assert worst(T.mean(), float(mean / k)) < 1e-13


def test_double_well_means() -> None:
    """Catalogue values, and twenty digits of them by quadrature in ``theory/10_landscapes.py``."""
    for D, mean in ((0.1, 25527.091364292445141), (0.25, 69.263644760836283596)):
        T = rs.first_passage(rs.Landscape(lambda x: (x**2 - 1) ** 2, diffusivity=D), -1.0, 1.0)
        assert worst(T.mean(), mean) < 1e-14
        assert T.cv() < 1


@pytest.mark.parametrize(
    ("target", "D", "critical"),
    [(0.0, 0.1, -0.8217), (0.0, 0.5, -0.7614), (1.0, 0.1, -0.7499), (1.0, 0.5, -0.5353)],
)
def test_double_well_critical_starts(target: float, D: float, critical: float) -> None:
    well = rs.Landscape(lambda x: (x**2 - 1) ** 2, diffusivity=D)
    start = optimize.brentq(
        lambda x: float(rs.first_passage(well, x, target).cv()) - 1.0, -0.95, -0.3, xtol=1e-10
    )
    assert abs(start - critical) < 6e-5
    T = rs.first_passage(well, [start - 0.01, start + 0.01], target)
    slopes = T.slope_exponential(1e-4 / np.asarray(T.mean()))
    assert slopes[0] > 0 > slopes[1]


@pytest.mark.parametrize("known", [True, False])
def test_linear_trap_with_and_without_breaks(known: bool) -> None:
    lam, D, a = 1.0, 1.0, 2.0
    trap = rs.Landscape(lambda x: lam * np.abs(x), D, breaks=[0.0] if known else [])
    for x0 in (-1.3, 0.7):
        T = rs.first_passage(trap, x0, a)
        s = np.geomspace(1e-3, 1e3, 30)
        root = np.sqrt(lam**2 + 4 * D * s)
        m, up, down = 2 * s / (root + lam), (lam + root) / (2 * D), -2 * s / (root + lam)

        def u(x: float, m: Any = m, up: Any = up, down: Any = down) -> Any:
            if x < 0:
                return np.exp(m * x)
            mixed = (m - down) * np.exp(up * x) + (up - m) * np.exp(down * x)
            return mixed / (up - down)

        exact = np.log(u(x0)) - np.log(u(a))
        assert worst(T.log_laplace(s), exact) < 1e-11
    start = optimize.brentq(lambda x: float(rs.first_passage(trap, x, a).cv()) - 1, -0.5, 0.5)
    assert abs(start - -0.07926) < 1e-5


def test_jump_of_the_potential_and_scalar_functions() -> None:
    def steps(x: float) -> float:
        return 2.0 if x > 0.3 else 0.0  # takes no arrays

    T = rs.first_passage(rs.Landscape(steps, domain=(-1.0, 2.0)), -0.5, 1.0)
    # E[T] by hand: flux through y is the mass below, dwell exp(phi(y)) times that
    inner = (1.3**2 - 0.5**2) / 2
    outer = np.exp(2.0) * 1.3 * 0.7 + 0.7**2 / 2
    assert worst(T.mean(), inner + outer) < 1e-10


@pytest.mark.parametrize("b", [1.5, 3.5, 6.5])
def test_logarithmic_potential(b: float) -> None:
    T = rs.first_passage(rs.Landscape(lambda x: b * np.log(x), domain=(1e-9, np.inf)), 2.0, 1.0)
    assert worst(T.mean(), 3.0 / (2 * (b - 1))) < 1e-10
    s = np.geomspace(1e-6, 1e4, 40)
    nu, z = (1 + b) / 2, np.sqrt(s)
    exact = nu * np.log(2.0) + np.log(special.kve(nu, 2 * z) / special.kve(nu, z)) - z
    assert np.abs(np.asarray(T.log_laplace(s)) - exact).max() < 1e-12
    assert np.isinf(T.var()) == (b <= 3)
    if b == 6.5:
        f = np.asarray(T.log_laplace(np.array([1e-12])))
        assert worst(-f / 1e-12, T.mean()) < 1e-10
    lost = rs.first_passage(rs.Landscape(lambda x: -b * np.log(x), domain=(1e-9, np.inf)), 2.0, 1.0)
    assert np.isinf(lost.mean())
    if b > 1:
        assert worst(lost.laplace(0.0), 2.0 ** (1 - b)) < 1e-9


# Conventions ---------------------------------------------------------------------------------


NOISES = {"ito": 0.0, "stratonovich": 0.5, "hanggi-klimontovich": 1.0}


@pytest.mark.parametrize("noise", NOISES)
def test_multiplicative_noise_is_constant_noise_in_log(noise: str) -> None:
    """D = x²: with y = log x, dy = (g + 2 alpha - 1) dt + sqrt(2) dW for the drift g x."""
    g = 0.4
    drift = g + 2 * NOISES[noise] - 1.0
    process = rs.Landscape(
        drift=lambda x: g * x, diffusivity=lambda x: x * x, domain=(1e-8, np.inf), noise=noise
    )
    wall = np.log(1e-8)
    for x0, a in ((1.0, 3.0), (2.0, 0.5)):
        T = rs.first_passage(process, x0, a)
        flat = rs.first_passage(
            rs.Landscape(lambda y: -drift * y, domain=(wall, np.inf)), np.log(x0), np.log(a)
        )
        assert worst(T.log_laplace(RATES), flat.log_laplace(RATES)) < 1e-11
        other = g + 2 * (NOISES[noise] + 0.5) - 1.0  # wrong-model twin: another convention
        wrong = rs.first_passage(
            rs.Landscape(lambda y, v=other: -v * y, domain=(wall, np.inf)), np.log(x0), np.log(a)
        )
        assert worst(T.log_laplace(1.0), wrong.log_laplace(1.0)) > 0.05


@pytest.mark.parametrize("noise", NOISES)
def test_smooth_diffusivity_by_change_of_variables(noise: str) -> None:
    """y' = 1/sqrt(D) has unit noise and drift (mu_ito - D'/2)/sqrt(D), given as a potential."""
    alpha = NOISES[noise]

    def D(x: Any) -> Any:  # noqa: N802
        return np.cosh(x) ** 2  # y = gudermannian: tan(y/2) = tanh(x/2)

    T = rs.first_passage(rs.Landscape(lambda x: 3 * np.sin(x), D, (-2.0, 2.0), noise), -1.0, 1.5)

    def y(x: float) -> float:
        return 2 * math.atan(math.tanh(x / 2))

    def drift(z: Any) -> Any:
        x = np.arcsinh(np.tan(z))
        slope = 2 * np.cosh(x) * np.sinh(x)
        return (-3 * np.cos(x) + (alpha - 0.5) * slope) / np.cosh(x)

    flat = rs.first_passage(rs.Landscape(drift=drift, domain=(y(-2.0), y(2.0))), y(-1.0), y(1.5))
    assert worst(T.log_laplace(RATES), flat.log_laplace(RATES)) < 1e-11
    assert worst(T.var(), flat.var()) < 1e-11


def test_wrong_convention_is_seen() -> None:
    means = [
        rs.first_passage(
            rs.Landscape(lambda x: x**2 / 2, lambda x: 0.3 + 0.2 * np.sin(x) ** 2, noise=noise),
            -1.0,
            2.0,
        ).mean()
        for noise in NOISES
    ]
    assert min(abs(np.diff(means)) / means[0]) > 0.05


# Truth and error estimate ----------------------------------------------------------------------


@lru_cache(maxsize=1)
def gauss() -> tuple[Any, Any]:
    """Twenty-four Gauss nodes on [0, 1] in extended precision."""
    with mp.workdps(40):
        n, x, w = 24, [], []
        for guess in special.roots_legendre(n)[0]:
            root = mp.findroot(lambda z: mp.legendre(n, z), guess)
            slope = n * (root * mp.legendre(n, root) - mp.legendre(n - 1, root)) / (root**2 - 1)
            x.append((root + 1) / 2)
            w.append(1 / ((1 - root**2) * slope**2))
        nodes = [np.array([np.longdouble(mp.nstr(v, 25)) for v in q]) for q in (x, w)]
    return nodes[0], nodes[1]


def mean_by_quadrature(phi: Callable[[Any], Any], D: Any, x0: float, a: float, low: float) -> float:
    """Integral of exp(phi(y) - phi(z))/D(z) over low < z < y, x0 < y < a, in extended precision."""
    nodes, weights = gauss()
    cuts = [np.linspace(p, q, n, dtype=np.longdouble) for p, q, n in ((low, x0, 33), (x0, a, 25))]
    edges = np.concatenate([cuts[0][:-1], cuts[1]])
    left, width = edges[:-1, None], np.diff(edges)[:, None]
    y = left + width * nodes
    up = np.exp(phi(y))
    z = left[:, :, None] + (width * nodes)[:, :, None] * nodes
    mass = np.sum(weights * np.exp(-phi(y)) / D(y), axis=1) * width[:, 0]
    before = np.concatenate([[np.longdouble(0)], np.cumsum(mass)[:-1]])
    within = np.sum(weights * np.exp(-phi(z)) / D(z), axis=2) * (width * nodes)
    total = np.sum(weights * up * (before[:, None] + within), axis=1) * width[:, 0]
    return float(np.sum(total[32:]))


def random_problem(draw: np.random.Generator) -> tuple[Any, Any, Any, float, float]:
    """A tilted double or single well with ripples, on a finite domain, and where to go."""
    c = draw.normal(0, [2.0, 2.0, 1.0, 0.5])
    amplitude, wave, phase = draw.uniform(0, 1.5), draw.uniform(1, 9), draw.uniform(0, 6)
    D0, vary = 10 ** draw.uniform(-1, 0.5), draw.uniform(0, 0.8)

    def U(x: Any) -> Any:  # noqa: N802
        polynomial = x * (c[0] + x * (c[1] + x * (c[2] + x * abs(c[3]))))
        return polynomial + amplitude * np.sin(wave * x + phase)

    def D(x: Any) -> Any:  # noqa: N802
        return D0 * (1 + vary * np.sin(2 * x + phase))

    x0 = draw.uniform(-1.5, 0.9)
    return U, D, vary > 0.4, x0, draw.uniform(x0 + 0.05, 2.0)


def test_error_estimate_covers_the_truth() -> None:
    """Constant D exactly, varying D through a drift that is phi' D; at least 99 % covered."""
    draw = np.random.default_rng(404)
    covered, biggest = [], 0.0
    for _ in range(110):
        U, D, varies, x0, a = random_problem(draw)
        if varies:
            # choose phi = U, so that the truth needs no derivative: drift = -phi' D by Hanggi:
            # mu = -V' + D', V' = 0 gives phi = -log D, and U enters through a drift in closed form
            process = rs.Landscape(lambda x: 0.0 * x, D, (-2.5, 3.0), "hanggi-klimontovich")

            def phi(x: Any, D: Any = D) -> Any:
                return -np.log(D(x))

        else:
            level = float(D(0.0))
            process = rs.Landscape(U, level, (-2.5, 3.0))

            def phi(x: Any, U: Any = U, level: float = level) -> Any:
                return U(x) / level

            def D(x: Any, level: float = level) -> Any:  # noqa: N802
                return level + 0 * x

        truth = mean_by_quadrature(phi, D, x0, a, -2.5)
        T = rs.first_passage(process, x0, a)
        off = abs(T.mean() / truth - 1.0)
        covered.append(off <= T.error)
        biggest = max(biggest, off)
        assert T.error <= 1e-10
    assert np.mean(covered) >= 0.99
    assert 0 < biggest < 1e-11


def test_rough_landscapes_are_refused() -> None:
    noise = np.random.default_rng(3).normal(size=1000)

    def jagged(x: Any) -> Any:
        return noise[np.asarray((np.asarray(x) + 5) * 1e6, dtype=np.int64) % 1000]

    with pytest.raises(NotConverged):
        rs.first_passage(rs.Landscape(jagged, domain=(-1.0, 2.0)), 0.0, 1.0)
    with pytest.raises(NotConverged):
        table = np.linspace(-2, 2, 41)
        coarse = np.round(np.sin(7 * table), 3)
        rs.first_passage(
            rs.Landscape(lambda x: 1e5 * np.interp(x, table, coarse), domain=(-2.0, 2.0)), 0.0, 1.0
        )


def test_single_precision_potential_is_not_trusted_blindly() -> None:
    """A potential with seven digits: either refused, or the estimate covers what that does."""
    exact = rs.first_passage(rs.Landscape(lambda x: x**2, domain=(-3.0, 3.0)), 0.0, 1.0).mean()
    try:
        T = rs.first_passage(
            rs.Landscape(lambda x: np.float32(x) ** 2 * 1.0, domain=(-3.0, 3.0)), 0.0, 1.0
        )
    except NotConverged:
        return
    assert abs(T.mean() / exact - 1) <= T.error


# Far and deep ----------------------------------------------------------------------------------


def test_fifty_kt_and_beyond() -> None:
    for kT, digits in ((50.0, 1e-11), (300.0, 1e-10), (900.0, 1e-10)):
        well = rs.Landscape(lambda x: (x**2 - 1) ** 2, diffusivity=1 / kT)
        T = rs.first_passage(well, [-1.2, -1.0, -0.5], 1.0)
        kramers = np.log(2 * np.pi / np.sqrt(32.0)) + kT
        assert np.all(np.abs(np.asarray(T.log_mean()) - kramers) < 1.2 / kT)
        assert np.all(np.abs(np.asarray(T.cv()) - 1.0) < 1e-6)
        assert np.all(np.asarray(T.error) < digits)
        if kT == 50.0:
            s = 1e-3 / np.asarray(T.mean())
            assert worst(T.log_laplace(s), -np.log1p(s * T.mean())) < 1e-6
            assert worst(T.survival(T.mean()), math.exp(-1)) < 1e-6
        R = T.under(rs.Poisson(1e-3))
        assert np.isfinite(R.log_mean()).all()


def test_infinite_ends_are_cut_where_it_does_not_matter() -> None:
    cut = rs.Landscape(np.cosh, 0.3, domain=(-7.0, np.inf))
    whole = rs.Landscape(np.cosh, 0.3)
    for x0 in (-5.0, -4.0, -0.5):
        T, exact = (rs.first_passage(p, x0, 2.0) for p in (whole, cut))
        assert worst(T.log_laplace(RATES), exact.log_laplace(RATES)) < 1e-12
        assert worst(T.var(), exact.var()) < 1e-12
    beyond = rs.Landscape(lambda x: 0.02 * (x + 1) ** 2 * ((x + 21) ** 2 + 0.2))
    T = rs.first_passage(beyond, 0.0, 1.0)
    near = rs.first_passage(beyond, 0.0, 1.0, wall=-11.0)
    assert T.mean() > 1.15 * near.mean()  # the second well behind the barrier counts


def test_wall_and_finite_ends() -> None:
    free = rs.Landscape(lambda x: 0.0 * x)
    boxed = rs.Landscape(lambda x: 0.0 * x, domain=(0.0, 1.0))
    T = rs.first_passage(free, [0.0, 0.3], 1.0, wall=0.0)
    assert worst(T.mean(), (1 - np.array([0.0, 0.3]) ** 2) / 2) < 1e-13
    assert np.array_equal(T.mean(), rs.first_passage(boxed, [0.0, 0.3], 1.0).mean())
    mask = (RATES > 1e-2) & (RATES < 1e4)
    exact = -np.log(np.cosh(np.sqrt(RATES[mask])))
    assert worst(T.log_laplace(RATES[mask][:, None])[:, 0], exact) < 1e-12
    lethal = rs.Landscape(lambda x: 0.0 * x, domain=(0.0, 1.0), ends=("absorbing", "reflecting"))
    D = rs.first_passage(lethal, 0.3, 1.0)
    assert worst(D.laplace(0.0), 0.3) < 1e-13
    assert np.isinf(D.mean())
    assert worst(D.survival(np.inf), 0.7) < 1e-13


# Intervals -------------------------------------------------------------------------------------


def test_interval_against_closed_forms() -> None:
    v, D, L = 0.7, 1.3, 1.0
    x = np.array([0.1, 0.5, 0.9])
    T = rs.first_passage(rs.Landscape(lambda y: -v * y, D), x, (0.0, L))
    s = np.geomspace(1e-2, 1e6, 60)[:, None]
    g, k = v / (2 * D), np.sqrt(v**2 + 4 * D * s) / (2 * D)

    def log_sinh(z: Any) -> Any:
        return z + np.log(-np.expm1(-2 * z) / 2)

    lower = -g * x + log_sinh(k * (L - x)) - log_sinh(k * L)
    upper = g * (L - x) + log_sinh(k * x) - log_sinh(k * L)
    assert worst(T.side("lower").log_laplace(s), lower) < 1e-11
    assert worst(T.side("upper").log_laplace(s), upper) < 1e-11
    assert worst(T.log_laplace(s), np.logaddexp(lower, upper)) < 1e-11
    chance = np.expm1(-v * x / D) / np.expm1(-v * L / D)
    assert worst(T.splitting().upper, chance) < 1e-13
    assert worst(T.splitting().lower, 1 - chance) < 1e-13
    assert worst(T.mean(), (L * chance - x) / v) < 1e-12
    tiny = np.array([1e-30, 1e-12])[:, None]
    assert worst(T.log_laplace(tiny), -tiny * T.mean()) < 1e-11
    conditional = T.splitting().upper * T.given("upper").mean()
    conditional = conditional + T.splitting().lower * T.given("lower").mean()
    assert worst(conditional, T.mean()) < 1e-13
    times = np.geomspace(1e-3, 5, 12)[:, None]
    mixed = T.splitting().upper * T.given("upper").survival(times)
    mixed = mixed + T.splitting().lower * T.given("lower").survival(times)
    assert np.abs(mixed - T.survival(times)).max() < 1e-12
    assert np.abs(PassageTime._survival(T, times) - T.survival(times)).max() < 1e-10


def test_interval_moments_of_free_diffusion() -> None:
    u = np.array([0.05, 0.3, 0.5])
    T = rs.first_passage(rs.Landscape(lambda y: 0.0 * y), u, (0.0, 1.0))
    w = u * (1 - u)
    assert worst(T.mean(), w / 2) < 1e-13
    assert worst(T.var(), w * (1 + w) / 12 - w**2 / 4) < 1e-12
    # start next to an end: what is left of one minus the transform keeps its digits
    edge = rs.first_passage(rs.Landscape(lambda y: 0.0 * y), 1e-7, (0.0, 1.0))
    s = np.geomspace(1e-6, 1e13, 60)
    k = np.sqrt(s)
    exact = np.log1p(-2 * np.sinh(np.minimum(k * 1e-7, 20) / 2) * _half(k, 1e-7))
    assert worst(edge.log_laplace(s), exact) < 1e-9


def _half(k: Any, x: float) -> Any:
    """1 - cosh(k(1/2 - x))/cosh(k/2) = 2 sinh(kx/2) sinh(k(1-x)/2)/cosh(k/2), the last ratio."""
    return np.exp(-k * x / 2) * -np.expm1(-k * (1 - x)) / (1 + np.exp(-k))


# Resets that depend on the position ------------------------------------------------------------


@pytest.mark.parametrize(
    ("potential", "x0", "a"),
    [
        (lambda x: 0.0 * x, 1.0, 0.0),
        (lambda x: 0.5 * x, 1.0, 0.0),
        (lambda x: -0.5 * x, 1.0, 0.0),
        (lambda x: 5 * (x**2 - 1) ** 2, -0.7, 1.0),
    ],
)
def test_constant_rate_is_poisson(potential: Any, x0: float, a: float) -> None:
    R = rs.first_passage(rs.Landscape(potential), x0, a).under(rs.Poisson(0.7))
    T = rs.first_passage(rs.Landscape(potential, rate=0.7), x0, a)
    assert worst(T.mean(), R.mean()) < 1e-12
    assert worst(T.var(), R.var()) < 1e-11
    assert worst(T.log_laplace(RATES), R.log_laplace(RATES)) < 1e-11
    t = np.geomspace(1e-2, 20, 20)
    assert np.abs(T.survival(t) - R.survival(t)).max() < 1e-12
    assert np.abs(T.density(t) - R.density(t)).max() < 1e-11


def test_reset_point_apart_from_the_start() -> None:
    r, x0, xr = 0.7, 1.0, 0.4
    T = rs.first_passage(rs.Landscape(lambda x: 0.0 * x, rate=r, reset_to=xr), x0, 0.0)
    k = math.sqrt(r)
    f0, fr = math.exp(-k * x0), math.exp(-k * xr)
    d0, dr = -f0 * x0 / (2 * k), -fr * xr / (2 * k)
    mean_r = (1 - fr) / (r * fr)
    second_r = 2 * (1 - fr + r * dr) / (r * fr) ** 2
    mean = (1 - f0) / (r * fr)
    second = 2 * (1 - f0 + r * d0) / r**2 + 2 * ((1 - f0) / r + d0) * mean_r + (1 - f0) * second_r
    assert worst(T.mean(), mean) < 1e-13
    assert worst(T.var(), second - mean**2) < 1e-12
    at_home = rs.first_passage(rs.Landscape(lambda x: 0.0 * x, rate=r), xr, 0.0)
    s = np.geomspace(1e-8, 1e3, 30)
    free0, free = np.exp(-np.sqrt(r + s) * x0), at_home.laplace(s)
    exact = np.log(free0 + r * (1 - free0) / (r + s) * free)
    assert worst(T.log_laplace(s)[8:], exact[8:]) < 1e-9


def _by_differences(n: int, s: float) -> tuple[float, float]:
    """Mean and transform at s, second-order differences: u on (0, 3), target 3, reset to 1."""
    x = np.linspace(0.0, 3.0, n + 1)
    h = x[1]
    D, mu, r = 0.5, -(x - 1.0), 0.3 + x**2
    main, up, down = -2 * D / h**2 * np.ones(n), D / h**2 + mu[:n] / (2 * h), np.zeros(n)
    down[1:] = D / h**2 - mu[1:n] / (2 * h)
    up[0] = 2 * D / h**2
    results = []
    for shift, right, edge in ((0.0, -1.0, 0.0), (s, 0.0, 1.0)):
        band = np.zeros((3, n))
        band[0, 1:], band[1], band[2, :-1] = up[:-1], main - r[:n] - shift, down[1:]
        load = np.full(n, right)
        load[-1] -= up[-1] * edge
        both = linalg.solve_banded((1, 1), band, np.stack([load, -r[:n]], axis=1))
        home = n // 3
        results.append(both[home, 0] / (1 - both[home, 1]))
    return results[0], math.log(results[1])


def test_rate_that_depends_on_the_position_against_differences() -> None:
    process = rs.Landscape(
        lambda x: (x - 1.0) ** 2 / 2, 0.5, (0.0, np.inf), rate=lambda x: 0.3 + x**2
    )
    T = rs.first_passage(process, 1.0, 3.0)
    coarse, fine = (np.array(_by_differences(n, 0.01)) for n in (3000, 6000))
    exact = (4 * fine - coarse) / 3  # Richardson
    assert worst(T.mean(), exact[0]) < 1e-7
    assert worst(T.log_laplace(0.01), exact[1]) < 1e-7
    wrong = rs.Landscape(lambda x: (x - 1.0) ** 2 / 2, 0.5, (0.0, np.inf), rate=1.8)
    assert worst(rs.first_passage(wrong, 1.0, 3.0).mean(), exact[0]) > 0.1
