"""Random walks: transfer operators against exact laws that know nothing of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import special, stats
from scipy.integrate import quad

import resetsgd as rs

A, B = "move-look-coin", "move-coin-look"
GAUSS = stats.norm(0.0, 1.0)
LAWS = [
    GAUSS,
    stats.laplace(0.0, 0.7),
    stats.logistic(),
    stats.uniform(-1.0, 2.0),
    stats.cauchy(),
    stats.levy_stable(1.5, 0.0),
    stats.t(3),
]


def walk(law: Any, start: Any = 3.0, target: Any = 0.0, **more: float) -> Any:
    return rs.first_passage(rs.RandomWalk(law, **more), start, target)


# --- i.i.d. jumps, half line ----------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.dist.name)
def test_sparre_andersen(law: Any) -> None:
    """From the edge of the target P(N > n) = C(2n, n)/4^n whatever the symmetric law."""
    T = walk(law, 1e-15)
    s = np.array([1e-3, 0.1, 1.0, 4.0])
    root = np.sqrt(-np.expm1(-s))
    assert T.log_laplace(s) == pytest.approx(np.log1p(-root), rel=1e-10)
    n = np.array([1.0, 2.0, 5.0, 32.0, 33.0, 120.0])
    late = np.exp(special.gammaln(2 * n + 1) - 2 * special.gammaln(n + 1) - 2 * n * np.log(2.0))
    assert T.survival(n) == pytest.approx(late, abs=1e-9)


@pytest.mark.parametrize("law", [stats.norm(-0.1, 1.0), stats.gumbel_r()])
def test_asymmetric_laws_are_seen_by_sparre_andersen(law: Any) -> None:
    T = walk(law, 1e-15)
    assert abs(T.survival(5.0) - special.comb(10, 5) / 4**5) > 1e-2


@pytest.mark.parametrize(("x", "z"), [(0.5, 0.3), (4.0, 0.9), (60.0, 0.999), (3.0, 1.0 - 1e-9)])
def test_exponential_jumps_have_a_closed_form(x: float, z: float) -> None:
    """Memoryless overshoot: G = (1 - sqrt(1-z)) exp(-x sqrt(1-z)/b)."""
    b, u = 0.7, -np.log(z)
    root = np.sqrt(-np.expm1(-u))
    exact = np.log1p(-root) - x * root / b
    assert walk(LAWS[1], x).log_laplace(u) == pytest.approx(exact, rel=1e-11)


def pollaczek_spitzer(characteristic: Any, z: float, lam: float) -> float:
    """Integral of exp(-lam x) (1 - G_x)/(1 - z) over starts x, from Spitzer's identity.

    With M_n the maximum of n steps toward the target it is the sum of z^n E[exp(-lam M_n)]/lam, and
    the exponent is a Fourier integral of log(1 - z psi), psi the characteristic function.
    """

    def even(k: float) -> float:
        return float(np.log(np.abs(1.0 - z * characteristic(k)))) * lam / (lam**2 + k * k)

    def odd(k: float) -> float:
        phase = float(np.angle(1.0 - z * characteristic(k)))
        return phase * lam**2 / (k * (lam**2 + k * k))

    total = 0.0
    edges = [0.0, 0.02, 0.2, 1.0, 3.0, 10.0, 40.0, 200.0, 1e4]
    for low, high in pairwise(edges):
        total -= quad(even, low, high, epsabs=1e-14, epsrel=1e-13, limit=200)[0] / np.pi
        total += quad(odd, max(low, 1e-12), high, epsabs=1e-14, epsrel=1e-13, limit=200)[0] / np.pi
    return float(np.exp(total) / np.sqrt(1.0 - z) / lam)


@pytest.mark.parametrize(
    ("law", "characteristic"),
    [
        (GAUSS, lambda k: np.exp(-0.5 * k * k)),
        (stats.norm(-0.3, 1.0), lambda k: np.exp(0.3j * k - 0.5 * k * k)),
        (stats.norm(0.3, 1.0), lambda k: np.exp(-0.3j * k - 0.5 * k * k)),
        (stats.cauchy(), lambda k: np.exp(-k)),
        (stats.levy_stable(1.5, 0.0), lambda k: np.exp(-(k**1.5))),
    ],
    ids=["norm", "toward", "away", "cauchy", "stable"],
)
def test_pollaczek_spitzer(law: Any, characteristic: Any) -> None:
    """The whole dependence on the start, for every jump law, by an independent route."""
    z, lam = 0.9, 0.8
    nodes, weights = np.polynomial.legendre.leggauss(12)
    edges = np.array([0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 18.0, 26.0, 45.0])
    half = 0.5 * np.diff(edges)[:, None]
    x = (edges[:-1, None] + half + half * nodes).ravel()
    T = walk(law, x)
    tail = -np.expm1(T.log_laplace(-np.log(z))) / (1.0 - z)
    found = float(np.sum((half * weights).ravel() * np.exp(-lam * x) * tail))
    exact = pollaczek_spitzer(characteristic, z, lam)
    assert found == pytest.approx(exact, rel=1e-9)
    twin = pollaczek_spitzer(lambda k: np.conj(characteristic(1.02 * k)), z, lam)
    assert abs(twin / exact - 1.0) > 1e-4


def test_drift_makes_the_mean_finite_or_arrival_uncertain() -> None:
    toward, away = walk(stats.norm(-0.2, 1.0), 5.0), walk(stats.norm(0.2, 1.0), 5.0)
    # Wald: the mean is the distance with the mean overshoot, over the drift
    assert 25.0 < toward.mean() < 25.0 + 0.7 / 0.2
    assert walk(GAUSS).mean() == np.inf
    assert away.mean() == np.inf
    # Cramér: P(arrive) = C exp(-2 m x / sigma²), C < 1
    ratio = walk(stats.norm(0.2, 1.0), 30.0).laplace(0.0) / walk(
        stats.norm(0.2, 1.0), 29.0
    ).laplace(0.0)
    assert ratio == pytest.approx(np.exp(-0.4), rel=1e-11)
    assert 0.0 < away.laplace(0.0) < np.exp(-2.0)


def test_moments_are_those_of_the_law() -> None:
    T = walk(stats.norm(-1.0, 1.0), 4.0)
    n = np.arange(0, 400)
    late = T.survival(n)
    assert T.mean() == pytest.approx(late.sum(), rel=1e-10)
    assert T.var() == pytest.approx(2 * (n * late).sum() + late.sum() - late.sum() ** 2, rel=1e-8)
    s = 0.3
    mass = T.pmf(n[1:])
    assert T.laplace(s) == pytest.approx(np.exp(-s * n[1:]) @ mass, rel=1e-10)
    assert (np.diff(late) <= 1e-15).all()


def test_step_is_a_unit_of_time() -> None:
    a, b = walk(stats.norm(-0.5, 1.0)), walk(stats.norm(-0.5, 1.0), step=0.1)
    assert b.mean() == pytest.approx(0.1 * a.mean(), rel=1e-12)
    assert b.laplace(2.0) == pytest.approx(a.laplace(0.2), rel=1e-12)


def test_mirror_image() -> None:
    a, b = walk(stats.norm(-0.5, 1.0), [2.0, 7.0]), walk(stats.norm(0.5, 1.0), [-2.0, -7.0])
    assert a.mean() == pytest.approx(b.mean(), rel=1e-13)


# --- resetting ------------------------------------------------------------------------------------


def test_worked_example() -> None:
    """x0 = 20 sigma, p = 0.01: exact 1737.70, diffusion 8 % below, shifted barrier 0.24 % above."""
    T = walk(GAUSS, 20.0)
    exact = T.under(rs.Geometric(0.01, order=A)).mean()
    assert exact == pytest.approx(1737.70, abs=5e-3)
    assert T.under(rs.Geometric(0.01, order=B)).mean() == pytest.approx(exact / 0.99, rel=1e-12)

    def diffusion(distance: float) -> float:
        free = rs.first_passage(rs.DriftDiffusion(0.0, 0.5), distance, 0.0)
        return float(free.under(rs.Geometric(0.01)).mean())

    assert diffusion(20.0) == pytest.approx(1595.92, abs=1.0)
    assert diffusion(20.0 + 0.5825971579390107) == pytest.approx(1741.91, abs=1.0)


@pytest.mark.parametrize("order", [A, B])
def test_cv_at_the_best_coin(order: str) -> None:
    """1 - 1/mean (A), 1 + 1/mean (B); the other sign is seen."""
    T = walk(GAUSS, 3.0)
    best = T.best(rs.Geometric, order=order)
    R = T.under(best.protocol)
    sign = -1.0 if order == A else 1.0
    assert best.pays
    assert R.cv() ** 2 == pytest.approx(1.0 + sign / R.mean(), abs=1e-8)
    assert abs(R.cv() ** 2 - 1.0 + sign / R.mean()) > 1e-3


def test_sharp_beats_every_other_protocol() -> None:
    T = walk(GAUSS, 4.0)
    best = {f: T.best(f).mean for f in (rs.Sharp, rs.Poisson)}
    coin = T.best(rs.Geometric, order=A).mean
    assert best[rs.Sharp] < min(best[rs.Poisson], coin)
    sharp = T.best(rs.Sharp)
    assert T.under(sharp.protocol).mean() == pytest.approx(sharp.mean, rel=1e-9)
    n = float(np.floor(sharp.period + 0.5))
    for other in (n - 1.0, n + 1.0):
        assert T.under(rs.Sharp(other * (1 + 1e-14))).mean() >= sharp.mean * (1 - 1e-9)


def test_short_periods_keep_their_relative_accuracy() -> None:
    """P(N <= n) far in the tail, against the closed form for exponential jumps."""
    b, x = 0.7, 12.0
    T = walk(LAWS[1], x)
    # P(N = 1) = exp(-x/b)/2; P(N <= 2) by one convolution
    one = 0.5 * np.exp(-x / b)
    found = np.exp(rs.Sharp(1.5).trial(T).log_success)
    assert found == pytest.approx(one, rel=1e-9)
    inner = quad(lambda y: stats.laplace(0, b).pdf(y - x) * 0.5 * np.exp(-y / b), 0, x)[0]
    inner += quad(lambda y: stats.laplace(0, b).pdf(y - x) * 0.5 * np.exp(-y / b), x, 60)[0]
    found = np.exp(rs.Sharp(2.5).trial(T).log_success)
    assert found == pytest.approx(one + inner, rel=1e-8)


@pytest.mark.statistical(alpha=1e-9)
def test_simulated_walk_with_coins() -> None:
    """2e5 walks; an error of the mean of 2 %, half of what the order makes, is seen with 99 %."""
    p, n = 0.05, 200_000
    generator = np.random.default_rng(3)
    T = walk(stats.norm(-0.1, 1.0), 4.0)
    x, time, open_ = np.full(n, 4.0), np.zeros(n), np.ones(n, dtype=bool)
    while open_.any():
        size = int(open_.sum())
        moved = x[open_] + generator.normal(-0.1, 1.0, size)
        moved = np.where(generator.random(size) < p, 4.0, moved)  # move, coin, look
        x[open_] = moved
        time[open_] += 1.0
        open_[open_] = moved > 0.0
    error = time.std() / np.sqrt(n)
    assert abs(time.mean() - T.under(rs.Geometric(p)).mean()) < 6.2 * error
    assert abs(time.mean() - T.under(rs.Geometric(p, order=A)).mean()) > 10.0 * error


# --- contraction and intervals --------------------------------------------------------------------


def dense(density: Any, leaves: Any, edges: Any, x0: float, z: float) -> tuple[float, float]:
    """G and (1 - G)/(1 - z) by the plain Nyström method on many nodes."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half = 0.5 * np.diff(edges)[:, None]
    x, w = (edges[:-1, None] + half + half * nodes).ravel(), (half * weights).ravel()
    system = np.eye(len(x)) - z * density(x[:, None], x) * w
    row = density(np.array([x0])[:, None], x) * w
    value = z * (leaves(np.array([x0])) + row @ np.linalg.solve(system, z * leaves(x)))
    return float(value[0]), float((1.0 + z * row @ np.linalg.solve(system, np.ones(len(x))))[0])


@pytest.mark.parametrize(("phi", "center"), [(0.9, 0.0), (0.9, -1.0), (0.8, 1.5), (-0.5, 0.2)])
def test_contraction(phi: float, center: float) -> None:
    T = walk(GAUSS, 1.5, contraction=phi, center=center)

    def density(x: Any, y: Any) -> Any:
        return stats.norm.pdf(y - center - phi * (x - center))

    def leaves(x: Any) -> Any:
        return stats.norm.cdf(-center - phi * (x - center))

    edges = np.linspace(0.0, 27.0, 28)
    assert T.mean() == pytest.approx(dense(density, leaves, edges, 1.5, 1.0)[1], rel=1e-11)
    for u in (0.01, 0.7):
        exact = dense(density, leaves, edges, 1.5, np.exp(-u))[0]
        assert T.laplace(u) == pytest.approx(exact, rel=1e-11)
    twin = walk(GAUSS, 1.5, contraction=0.98 * phi, center=center)
    assert abs(twin.mean() / T.mean() - 1.0) > 1e-3


def test_contraction_far_from_its_target() -> None:
    """Means of 1e15 steps keep ten digits: they rise as the inverse of the stationary tail."""
    T = walk(GAUSS, 0.0, -17.0, contraction=0.9)
    means = [walk(GAUSS, 0.0, -x, contraction=0.9).log_mean() for x in (16.9, 17.0, 17.1)]
    assert T.mean() > 1e12
    slope = (means[2] - means[0]) / 0.2
    variance = 1.0 / (1.0 - 0.81)
    assert slope == pytest.approx(17.0 / variance, rel=0.1)
    assert means[2] - 2 * means[1] + means[0] == pytest.approx(0.01 / variance, rel=0.1)
    assert T.cv() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("law", [GAUSS, stats.norm(0.2, 0.7), stats.cauchy()])
def test_interval(law: Any) -> None:
    T = walk(law, 2.0, (-1.0, 9.0))

    def leaves(x: Any) -> Any:
        return law.cdf(-1.0 - x) + law.sf(9.0 - x)

    edges = np.linspace(-1.0, 9.0, 25)
    args = (lambda x, y: law.pdf(y - x), leaves, edges, 2.0)
    assert T.mean() == pytest.approx(dense(*args, 1.0)[1], rel=1e-11)
    assert T.laplace(0.4) == pytest.approx(dense(*args, np.exp(-0.4))[0], rel=1e-11)
    n = np.array([80.0, 81.0])  # a geometric tail
    late = T.survival(n)
    assert late[1] / late[0] == pytest.approx(late[0] / T.survival(79.0), rel=1e-4)


def test_wide_interval_is_diffusion() -> None:
    """Wald: diffusion with both ends moved by the mean overshoot, and 1/4, its variance, on top."""
    T = walk(GAUSS, 100.0, (0.0, 300.0))
    shift = 0.5825971579390107
    assert T.mean() == pytest.approx((100.0 + shift) * (200.0 + shift) + 0.25, rel=1e-10)
    assert abs(T.mean() / (100.0 * 200.0) - 1.0) > 5e-3


# --- honesty --------------------------------------------------------------------------------------


def test_what_is_not_resolved_raises() -> None:
    T = walk(stats.levy_stable(1.5, 0.0), 3.0)
    with pytest.raises(rs.NotConverged, match="estimated relative error"):
        T.laplace(1e-12)
    assert T.best(rs.Geometric).pays  # and the search for an optimum goes around it


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: rs.RandomWalk(stats.norm), "jump"),
        (lambda: rs.RandomWalk(stats.poisson(1.0)), "jump"),
        (lambda: rs.RandomWalk(stats.norm([0.0, 1.0], 1.0)), "jump"),
        (lambda: rs.RandomWalk(GAUSS, contraction=1.1), "contraction"),
        (lambda: rs.RandomWalk(GAUSS, step=0.0), "step"),
        (lambda: walk(GAUSS, 0.0), "start"),
        (lambda: walk(GAUSS, [1.0, -1.0]), "start"),
        (lambda: walk(GAUSS, 1.0, [0.0, 0.5]), "target"),
        (lambda: walk(stats.cauchy(1.0), 1.0), "jump"),
        (lambda: walk(stats.levy_stable(0.7, 0.0), 1.0, (0.0, 2.0)), "jump"),
        (lambda: walk(stats.levy_stable(1.5, 0.5), 1.0), "jump"),
        (lambda: rs.first_passage(rs.RandomWalk(GAUSS), 1.0, 0.0, wall=2.0), "wall"),
    ],
)
def test_wrong_arguments(make: Any, name: str) -> None:
    with pytest.raises(rs.DomainError, match=name):
        make()


def test_equal_walks_are_equal() -> None:
    assert rs.RandomWalk(stats.norm(0.0, 1.0)) == rs.RandomWalk(stats.norm(0.0, 1.0))
    assert rs.RandomWalk(stats.norm(0.0, 1.0)) != rs.RandomWalk(stats.norm(0.0, 1.1))


def test_units_do_not_matter() -> None:
    """Lengths from 1e-150 to 1e150 give the same steps."""
    means = [walk(stats.norm(-0.1 * s, s), 3.0 * s).mean() for s in (1e-150, 1.0, 1e150)]
    assert means == pytest.approx([means[1]] * 3, rel=1e-12)


def test_too_far_is_refused() -> None:
    with pytest.raises(rs.DomainError, match="jump widths"):
        walk(GAUSS, 1e300)
    with pytest.raises(rs.NotConverged):
        walk(GAUSS, 3e3, (0.0, 1e4)).mean()
