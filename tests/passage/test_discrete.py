"""Passage times in whole steps: laws with atoms, and the order of coin and look."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import resetsgd as rs
from resetsgd.passage.discrete import Discrete

A, B = "move-look-coin", "move-coin-look"
LAW = [0.1, 0.0, 0.3, 0.05, 0.0, 0.2, 0.05, 0.3]


def recursion(law: list[float], p: float, order: str, steps: int = 4000) -> float:
    """Mean under coins by following the probability of each age, step by step."""
    mass = np.array(law)
    late = np.concatenate([[1.0], 1.0 - np.cumsum(mass)])
    hazard = np.append(mass / np.where(late[:-1] > 0, late[:-1], 1.0), 1.0)
    age = np.zeros(len(hazard) + 1)
    age[0] = 1.0
    mean = 0.0
    for _ in range(steps):
        mean += age.sum()
        moved = age[:-1]
        arrived = moved * hazard
        reset = p * (moved if order == B else moved - arrived)
        age = np.zeros_like(age)
        age[1:] = (1.0 - p) * (moved - arrived)
        age[0] = reset.sum()
    return mean


@pytest.mark.parametrize("order", [A, B])
@pytest.mark.parametrize("p", [0.05, 0.4])
def test_coins_at_the_steps(order: str, p: float) -> None:
    """Both orders, exactly; the other order differs by the factor q and is seen."""
    T = Discrete(law=LAW)
    q, exact = 1.0 - p, recursion(LAW, p, order)
    assert T.under(rs.Geometric(p, order=order)).mean() == pytest.approx(exact, rel=1e-13)
    g = sum(m * q ** (i + 1) for i, m in enumerate(LAW))
    formula = (q if order == A else 1.0) * (1.0 - g) / (p * g)
    assert formula == pytest.approx(exact, rel=1e-12)
    twin = T.under(rs.Geometric(p, order=B if order == A else A)).mean()
    assert abs(twin / exact - 1.0) > 0.9 * p


def test_certain_reset() -> None:
    T = Discrete(law=LAW)
    assert T.under(rs.Geometric(1.0, order=A)).mean() == pytest.approx(1.0 / LAW[0], rel=1e-12)
    assert T.under(rs.Geometric(1.0)).mean() == np.inf


@pytest.mark.parametrize("order", [A, B])
def test_cv_identity_at_the_best_coin(order: str) -> None:
    """CV² = 1 - 1/mean (A) or 1 + 1/mean (B) at an interior optimum, and not CV = 1."""
    T = Discrete(law=[0.0, 0.0, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.01], tail=0.98)
    best = T.best(rs.Geometric, order=order)
    assert best.kind == "interior"
    R = T.under(best.protocol)
    sign = -1.0 if order == A else 1.0
    assert R.cv() ** 2 == pytest.approx(1.0 + sign / R.mean(), abs=1e-8)
    assert abs(R.cv() ** 2 - 1.0) > 1e-2


def test_poisson_is_a_continuous_clock() -> None:
    T = Discrete(law=LAW, step=0.5)
    r = 0.3
    f = sum(m * np.exp(-r * 0.5 * (i + 1)) for i, m in enumerate(LAW))
    assert T.under(rs.Poisson(r)).mean() == pytest.approx((1.0 - f) / (r * f), rel=1e-13)


@pytest.mark.parametrize("period", [0.5, 1.0, 1.3, 2.0, 3.9, 4.0])
def test_sharp_counts_arrivals_strictly_before(period: float) -> None:
    T = Discrete(law=LAW, step=0.5)
    times = 0.5 * np.arange(1, len(LAW) + 1)
    won = sum(m for m, t in zip(LAW, times, strict=True) if t < period)
    lived = sum(m * min(t, period) for m, t in zip(LAW, times, strict=True))
    expected = lived / won if won else np.inf
    assert T.under(rs.Sharp(period)).mean() == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("step", [1.0, 3.0, 0.25, 0.7])
@pytest.mark.parametrize("order", [A, B])
def test_coins_at_other_steps(step: float, order: str) -> None:
    """Coins on a coarser, a finer and an incommensurable lattice, against exact fractions."""
    p = 0.3
    T = Discrete(law=LAW)
    spacing, q = Fraction(step).limit_denominator(100), Fraction(7, 10)
    won = lived = Fraction(0)
    for n, m in enumerate(LAW, start=1):
        coins = int(n / spacing)
        at_coin = n % spacing == 0
        tossed = coins - 1 if (at_coin and order == A) else coins
        won += Fraction(m) * q**tossed
        whole = sum((spacing * q**k for k in range(coins)), Fraction(0))
        lived += Fraction(m) * (whole + q**coins * (n - coins * spacing))
    exact = float(lived / won)
    found = T.under(rs.Geometric(p, step=step, order=order)).mean()
    assert found == pytest.approx(exact, rel=1e-12)


def test_law() -> None:
    T = Discrete(law=LAW, step=2.0)
    n = np.arange(1, 9)
    assert T.pmf(n) == pytest.approx(LAW, abs=1e-15)
    assert T.survival(2.0 * n) == pytest.approx(1.0 - np.cumsum(LAW), abs=1e-15)
    assert T.survival(2.0 * (1.0 - 1e-14)) == 1.0
    assert T.survival(2.0) == pytest.approx(0.9)
    assert T.quantile([0.05, 0.1, 0.11, 0.9]) == pytest.approx([2.0, 2.0, 6.0, 16.0])
    mean = 2.0 * float(n @ LAW)
    assert T.mean() == pytest.approx(mean, rel=1e-14)
    assert T.var() == pytest.approx(4.0 * float((n - mean / 2) ** 2 @ LAW), rel=1e-12)
    assert T.restricted_mean(5.0) == pytest.approx(2.0 * 0.1 + 5.0 * 0.9, rel=1e-14)
    assert not T.smooth
    with pytest.raises(rs.DomainError, match="pmf"):
        T.density(1.0)


def test_generating_function_and_law_agree() -> None:
    """A geometric law, once as a series and once as G(z) = p z/(1 - (1-p) z)."""
    p = 0.02
    listed = Discrete(law=[p], tail=1.0 - p)
    made = Discrete(lambda z: p * z / (1.0 - (1.0 - p) * z))
    assert made.mean() == pytest.approx(50.0, rel=1e-12)
    assert made.var() == pytest.approx((1.0 - p) / p**2, rel=1e-10)
    assert listed.mean() == pytest.approx(50.0, rel=1e-12)
    assert listed.var() == pytest.approx((1.0 - p) / p**2, rel=1e-10)
    t = np.array([1.0, 7.0, 31.0, 32.0, 33.0, 100.0, 500.0])
    assert made.survival(t) == pytest.approx((1.0 - p) ** t, abs=1e-11)
    assert listed.survival(t) == pytest.approx((1.0 - p) ** t, abs=1e-13)
    for protocol in (rs.Poisson(0.01), rs.Geometric(0.03), rs.Sharp(40.5)):
        a, b = listed.under(protocol).mean(), made.under(protocol).mean()
        assert a == pytest.approx(b, rel=1e-10)
    # memoryless: no protocol that looks first changes it
    assert listed.under(rs.Geometric(0.3, order=A)).mean() == pytest.approx(50.0, rel=1e-12)


def test_defective_law() -> None:
    T = Discrete(law=[0.25, 0.25])
    assert T.mean() == np.inf
    assert T.laplace(0.0) == pytest.approx(0.5)
    assert T.survival(np.inf) == pytest.approx(0.5)
    assert T.quantile(0.75) == np.inf
    assert np.isinf(T.sample(50, seed=1)).any()
    best = T.best(rs.Sharp)
    assert best.pays
    # two steps and half of them, or one step and a quarter: 1.75/0.5 = 3.5 beats 1/0.25
    assert best.mean == pytest.approx(3.5)
    assert T.under(best.protocol).mean() == pytest.approx(3.5)


@pytest.mark.statistical(alpha=1e-9)
def test_samples_follow_the_law() -> None:
    """Draws of 1e5; a probability wrong by 0.01 is seen with 99 %."""
    T, n = Discrete(law=LAW), 100_000
    counts = np.bincount(T.sample(n, seed=7).astype(int), minlength=9)[1:]
    expected = n * np.array(LAW)
    there = expected > 0
    chi = float(np.sum((counts - expected)[there] ** 2 / expected[there]))
    assert chi < 51.0  # chi-square of 5 degrees of freedom: 1e-9 beyond 50.7
    assert counts[~there].sum() == 0
    shifted = n * np.roll(LAW, 1)
    assert float(np.sum((counts - shifted)[shifted > 0] ** 2 / shifted[shifted > 0])) > 1e3


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({}, "law"),
        ({"law": [0.7, 0.7]}, "law"),
        ({"law": [-0.1, 0.7]}, "law"),
        ({"law": [0.5], "tail": 1.0}, "tail"),
        ({"law": [0.5], "step": 0.0}, "step"),
        ({"law": [[0.5]]}, "law"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], name: str) -> None:
    with pytest.raises(rs.DomainError, match=name):
        Discrete(**arguments)  # type: ignore[arg-type]
