"""Resets that leave a share of the way, toward the target or toward the reset position."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import sparse, stats
from scipy.sparse.linalg import spsolve

import resetsgd as rs

ALPHA = 1e-10
LIMIT = float(stats.norm.isf(ALPHA / 2))
WALK = rs.DriftDiffusion(drift=0.5, diffusivity=1.0)
BOWL = rs.OrnsteinUhlenbeck(stiffness=1.0, center=2.0, diffusivity=1.0)


def accepts(simulated: Any, expected: Any) -> bool:
    return bool(abs(simulated.mean() - expected) <= LIMIT * simulated.stderr())


def solved(drift: Any, rate: float, kept: float, home: float, start: float) -> float:
    """Mean passage to 0 with D = 1 from the backward equation, finite differences on [0, 25].

    u'' + drift u' - r u(x) + r u(home + kept (x - home)) = -1 with u(0) = 0, u'(25) = 0.
    """
    n, reach = 10_000, 25.0
    x = np.linspace(0.0, reach, n + 1)
    h = reach / n
    a = np.array([drift(place) for place in x])
    back = (home + kept * (x - home)) / h
    cell = np.clip(back.astype(int), 0, n - 1)
    share = back - cell
    inner = np.arange(1, n)
    rows = np.concatenate([inner, inner, inner, inner, inner, [0, n, n]])
    columns = np.concatenate(
        [inner - 1, inner, inner + 1, cell[inner], cell[inner] + 1, [0, n, n - 1]]
    )
    values = np.concatenate([
        1 / h**2 - a[inner] / (2 * h), np.full(n - 1, -2 / h**2 - rate),
        1 / h**2 + a[inner] / (2 * h), rate * (1 - share[inner]), rate * share[inner],
        [1.0, 1.0, -1.0],
    ])  # fmt: skip
    right = np.full(n + 1, -1.0)
    right[[0, n]] = 0.0
    u = spsolve(sparse.csr_matrix((values, (rows, columns))), right)
    return float(np.interp(start, x, u))


def test_the_equation_is_solved() -> None:
    """Without a share it is the mean under full resets, with all of it that without resets."""
    exact = rs.first_passage(WALK, 1.0, 0.0).under(rs.Poisson(2.0)).mean()
    assert solved(lambda x: 0.5, 2.0, 0.0, 1.0, 1.0) == pytest.approx(exact, rel=1e-4)
    toward = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
    free = rs.first_passage(toward, 1.0, 0.0).mean()
    assert solved(lambda x: -0.5, 2.0, 1.0, 1.0, 1.0) == pytest.approx(free, rel=1e-3)


@pytest.mark.statistical(alpha=4 * ALPHA)
@pytest.mark.parametrize(
    ("process", "drift", "options"),
    [
        (WALK, lambda x: 0.5, {}),
        (BOWL, lambda x: 2.0 - x, {}),
        (BOWL, lambda x: 2.0 - x, {"scheme": "exact", "step": 0.05}),
        (rs.Langevin(drift=lambda x: (0.5,)), lambda x: 0.5, {"step": 0.01}),
    ],
    ids=["walk", "bowl", "bowl exactly", "langevin"],
)
def test_toward_the_reset_position(process: Any, drift: Any, options: dict[str, Any]) -> None:
    """Mean from 1 to 0 with resets half the way to 1.5; detects 2 %. Twin: full resets."""
    target = rs.targets.point(0.0) if isinstance(process, rs.Langevin) else 0.0
    start: Any = [1.0] if isinstance(process, rs.Langevin) else 1.0
    home: Any = [1.5] if isinstance(process, rs.Langevin) else 1.5
    S = rs.simulate(
        process, start, target, rs.Poisson(2.0), reset_to=home, partial=0.5, paths=200_000,
        seed=5, bias="ignored", **options,
    )  # fmt: skip
    assert accepts(S, solved(drift, 2.0, 0.5, 1.5, 1.0))
    assert not accepts(S, solved(drift, 2.0, 0.0, 1.5, 1.0))
    assert S.info["partial"] == 0.5 and S.info["deterministic"] is None


@pytest.mark.statistical(alpha=ALPHA)
def test_langevin_toward_the_target() -> None:
    """Mean of the closed form; detects 2 %. Twin: full resets."""
    free = rs.first_passage(WALK, 1.0, 0.0)
    S = rs.simulate(
        rs.Langevin(drift=lambda x: (0.5,)), [1.0], rs.targets.point(0.0),
        rs.Poisson(2.0, partial=0.5), paths=200_000, step=0.01, seed=6,
    )  # fmt: skip
    assert accepts(S, free.under(rs.Poisson(2.0, partial=0.5)).mean())
    assert not accepts(S, free.under(rs.Poisson(2.0)).mean())


@pytest.mark.parametrize(
    ("target", "distance"),
    [
        (rs.targets.ball([1.0, 0.0], 0.5), lambda x: np.hypot(x[..., 0] - 1, x[..., 1]) - 0.5),
        (rs.targets.half_space(0, -1.0, above=False), lambda x: x[..., 0] + 1.0),
    ],
    ids=["ball", "half space"],
)
def test_the_distance_shrinks_by_the_factor(target: Any, distance: Any) -> None:
    """Almost without noise: after n resets the distance is 0.5^n of the first."""
    still = rs.Langevin(drift=lambda x: (0.0, 0.0), dimension=2, diffusivity=1e-20)
    start = [3.0, 2.0]
    seen = rs.trajectories(
        still, start, target, rs.Poisson(1.0, partial=0.5), paths=20, horizon=3.0, step=0.5,
        records=1,
    )  # fmt: skip
    gaps = distance(seen.positions[:, 0]) / distance(np.array(start))
    powers = np.log2(gaps)
    assert powers == pytest.approx(np.round(powers), abs=1e-6)
    assert powers.min() < -1.5


@pytest.mark.statistical(alpha=4 * ALPHA)
@pytest.mark.parametrize(
    "process",
    [rs.DriftDiffusion(drift=1.0, diffusivity=1.0), rs.OrnsteinUhlenbeck(1.0, 0.5, 1.0)],
    ids=["walk", "bowl"],
)
def test_the_stationary_state(process: Any) -> None:
    """Mean and variance, and the density of the walk; detects 2 %. Twins: a share of 0.55."""
    seen = rs.sample_stationary(
        process, rs.Poisson(2.0), 1.0, partial=0.5, after=15.0, paths=150_000, seed=7
    )
    same = rs.sample_stationary(
        process, rs.Poisson(2.0, partial=0.5), 1.0, after=15.0, paths=100, seed=7
    )
    assert seen.positions is not None and same.positions is not None
    assert (same.positions == seen.positions[:100]).all()
    x = np.ravel(seen.positions)

    def fits(kept: float) -> bool:
        exact = rs.stationary(process, rs.Poisson(2.0), 1.0, partial=kept)
        squares = (x - float(exact.mean())) ** 2
        scores = [
            (x.mean() - exact.mean()) / x.std() * math.sqrt(x.size),
            (squares.mean() - exact.var()) / squares.std() * math.sqrt(x.size),
        ]
        return bool(np.abs(scores).max() <= LIMIT)

    assert fits(0.5)
    assert not fits(0.55)
    if isinstance(process, rs.DriftDiffusion):

        def p_value(kept: float) -> float:
            exact = rs.stationary(process, rs.Poisson(2.0), 1.0, partial=kept)
            cuts = np.linspace(-3.0, 6.0, 41)
            shares = np.diff(np.concatenate([[0.0], np.asarray(exact.cdf(cuts)), [1.0]]))
            counts = np.bincount(np.searchsorted(cuts, x), minlength=42)
            return float(stats.chisquare(counts, shares * x.size).pvalue)

        assert p_value(0.5) >= ALPHA
        assert not p_value(0.55) >= ALPHA


@pytest.mark.statistical(alpha=3 * ALPHA)
def test_inertia_keeps_its_share_too() -> None:
    """A free particle of friction 2 whose position and velocity are halved at rate 1.

    With b = r (1 - a²): <v²> = 2 g² D / (2 g + b), <x v> = <v²> / (g + b), <x²> = 2 <x v> / b.
    Detects 3 %. Twin: resets that leave the velocity alone.
    """
    g, rate, a = 2.0, 1.0, 0.5
    free = rs.Langevin(drift=lambda x: (0.0,), friction=g)
    seen = rs.sample_stationary(
        free, rs.Poisson(rate), [0.0], partial=a, after=20.0, paths=100_000, step=0.02, seed=8
    )
    b = rate * (1.0 - a * a)
    fast = 2.0 * g * g / (2.0 * g + b)
    square = 2.0 * fast / (g + b) / b
    squares = np.ravel(seen.positions) ** 2  # type: ignore[arg-type]

    def score(value: float) -> float:
        return float((squares.mean() - value) / squares.std() * math.sqrt(squares.size))

    assert abs(score(square)) <= LIMIT
    kept = 2.0 * g / (g + rate * (1.0 - a)) / b
    assert not abs(score(kept)) <= LIMIT


def test_no_share_is_a_full_reset() -> None:
    """To the last bit."""
    for process in (WALK, BOWL):
        full = rs.simulate(process, 1.0, 0.0, rs.Poisson(2.0), paths=300, seed=1)
        none = rs.simulate(process, 1.0, 0.0, rs.Poisson(2.0), partial=0.0, paths=300, seed=1)
        assert (full.times == none.times).all()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"partial": 1.0}, "partial"),
        ({"partial": -0.1}, "partial"),
        ({"partial": 0.5, "protocol": rs.Poisson(1.0, partial=0.5)}, "partial"),
        ({"partial": 0.5, "scheme": "exact"}, "scheme"),
        ({"protocol": rs.Poisson(1.0, partial=0.5), "scheme": "exact"}, "scheme"),
        ({"process": rs.Bessel(3.0, 1.0), "partial": 0.5, "target": 2.0}, "partial"),
        ({"process": rs.Landscape(drift=lambda x: -x, diffusivity=lambda x: 1.0 + x * x),
          "partial": 0.5}, "partial"),
    ],
)  # fmt: skip
def test_what_is_refused(options: dict[str, Any], name: str) -> None:
    given: dict[str, Any] = {
        "process": WALK, "start": 1.0, "target": 0.0, "protocol": rs.Poisson(1.0), "paths": 2,
        **options,
    }  # fmt: skip
    with pytest.raises(rs.DomainError, match=f"^{name} "):
        rs.simulate(**given)
