"""Symbolic expressions against mpmath, against the float64 library, and against each other."""

from __future__ import annotations

import inspect
import random
import subprocess
import sys
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

import resetsgd as rs
from resetsgd.symbolic import drift_diffusion as dd
from resetsgd.symbolic import ledger, optimum, renewal, symbols
from resetsgd.symbolic.ledger import Ledger, agreement, numeric

ROOT = Path(__file__).resolve().parents[2]
D, L, v = symbols.diffusivity, symbols.distance, symbols.velocity
r, s, t = symbols.rate, symbols.laplace_variable, symbols.time
z, Pe = symbols.exponent, symbols.peclet


def points(count=12):
    """Random parameters as float64 numbers, drift toward the target, away and absent."""
    draw = random.Random(5)
    for k in range(count):
        values = {q: 10 ** draw.uniform(-1, 1) for q in (L, D, r, s, t)}
        yield values | {v: (1, -1, 0)[k % 3] * 10 ** draw.uniform(-1, 0.5)}


def passage(p):
    process = rs.DriftDiffusion(drift=p[v], diffusivity=p[D])
    return rs.first_passage(process, start=1.0 - p[L], target=1.0)


def rounded(p):
    """The point with the distance that the library has after rounding 1 - L."""
    return p | {L: abs((1.0 - p[L]) - 1.0)}


LIBRARY = {
    "peclet_number": lambda T, p: T.peclet,
    "log_laplace_transform": lambda T, p: T.log_laplace(p[s]),
    "laplace_transform": lambda T, p: T.laplace(p[s]),
    "hitting_probability": lambda T, p: T.laplace(0.0),
    "mean": lambda T, p: T.mean(),
    "variance": lambda T, p: T.var(),
    "density": lambda T, p: T.density(p[t]),
    "survival": lambda T, p: T.survival(p[t]),
    "mean_under_poisson": lambda T, p: T.under(rs.Poisson(p[r])).mean(),
    "variance_under_poisson": lambda T, p: T.under(rs.Poisson(p[r])).var(),
    "second_moment_under_poisson": lambda T, p: (
        T.under(rs.Poisson(p[r])).var() + T.under(rs.Poisson(p[r])).mean() ** 2
    ),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_expression_is_what_the_library_returns(name):
    expression = numeric(getattr(dd, name)())
    with mp.workdps(50):
        for p in map(rounded, points()):
            expected, found = expression(p), LIBRARY[name](passage(p), p)
            if mp.isinf(expected):
                assert found == np.inf
            else:
                # conditioning: exponents of a few hundred at these points
                assert agreement(expected, found) > 12, (name, p)


def test_a_transform_with_the_wrong_sign_is_not_what_the_library_returns():
    wrong = numeric(dd.log_laplace_transform().subs(v, -v))
    for p in map(rounded, points()):
        if p[v]:
            assert agreement(wrong(p), passage(p).log_laplace(p[s])) < 3


def test_laplace_under_poisson_is_what_the_library_returns():
    claimed = numeric(sp.log(renewal.laplace_under_poisson(dd.laplace_transform())))
    with mp.workdps(50):
        for p in map(rounded, points()):
            found = passage(p).under(rs.Poisson(p[r])).log_laplace(p[s])
            assert agreement(claimed(p), found) > 12


@pytest.mark.parametrize("name", ["laplace_transform", "mean", "variance", "squared_cv"])
def test_moments_are_those_of_the_density(name):
    density, claimed = numeric(dd.density()), numeric(getattr(dd, name)())
    with mp.workdps(30):
        p = {L: mp.mpf("1.3"), D: mp.mpf("0.7"), v: mp.mpf("0.9"), s: mp.mpf("0.4")}
        cuts = [0, 0.1, 0.3, 1, 2, 4, 8, 16, 32, 64, 256]

        def moment(n, rate=0):
            return mp.quad(lambda u: u**n * mp.exp(-rate * u) * density(p | {t: u}), cuts)

        mean = moment(1)
        variance = moment(2) - mean**2
        measured = {
            "laplace_transform": moment(0, p[s]),
            "mean": mean,
            "variance": variance,
            "squared_cv": variance / mean**2,
        }
        assert agreement(measured[name], claimed(p)) > 20


@pytest.mark.parametrize("peclet", [-30, -2, -0.5, 0, 0.3, 0.9, 0.999])
def test_root_of_the_optimality_equation_is_the_library_optimum(peclet):
    equation = optimum.optimality_equation().subs(Pe, sp.Rational(str(peclet)))
    low, high = 1 - peclet, 1 - peclet + np.hypot(1, peclet) + 1e-9
    root = sp.nsolve(equation.lhs - equation.rhs, z, (low, high), solver="bisect", prec=40)
    exact = optimum.optimal_rate().subs({z: root, Pe: sp.Rational(str(peclet)), D: 1, L: 1})
    best = rs.first_passage(rs.DriftDiffusion(2 * peclet, 1.0), start=-1.0, target=0.0).best(
        rs.Poisson
    )
    assert best.pays
    assert agreement(exact, best.rate) > (12 if peclet < 0.9 else 11)
    assert low < root < high
    assert exact < optimum.outward_rate().subs({Pe: peclet, D: 1, L: 1})


@pytest.mark.parametrize("peclet", [1.0, 1.001, 5.0, 1e4])
def test_resetting_does_not_pay_where_the_criterion_is_false(peclet):
    assert not optimum.pays().subs({v: 2 * peclet, D: 1, L: 1})
    T = rs.first_passage(rs.DriftDiffusion(2 * peclet, 1.0), start=-1.0, target=0.0)
    best = T.best(rs.Poisson)
    assert (best.pays, best.rate) == (False, 0.0)


def test_near_critical_rate_is_right_to_third_order():
    scaled = []
    with mp.workdps(60):
        for gap in (mp.mpf("1e-3"), mp.mpf("1e-4")):
            peclet = 1 - gap
            equation = numeric(
                optimum.optimality_equation().lhs - optimum.optimality_equation().rhs
            )
            bracket = (1.4 * gap, 1.6 * gap)
            tolerance = mp.mpf(10) ** -100
            root = mp.findroot(
                lambda w, q=peclet, e=equation: e({z: w, Pe: q}),
                bracket,
                solver="anderson",
                tol=tolerance,
            )
            exact = root * (root + 2 * peclet)
            series = numeric(optimum.near_critical_rate())({Pe: peclet, D: 1, L: 1})
            scaled.append((exact - series) / gap**3)
    assert scaled[0] == pytest.approx(63 / 640, rel=1e-2)
    assert scaled[1] == pytest.approx(63 / 640, rel=1e-3)


@pytest.mark.parametrize("velocity", [0.8, 0.0, -0.8])
def test_limits_in_the_rate(velocity):
    mean = numeric(dd.mean_under_poisson())
    for limit, rates in (
        (optimum.small_rate_limit(), ("1e-10", "1e-14")),
        (optimum.large_rate_limit(), ("1e8", "1e12")),
    ):
        with mp.workdps(40):
            at = [{L: 1, D: 1, v: mp.mpf(str(velocity)), r: mp.mpf(rate)} for rate in rates]
            gaps = [abs(mean(p) / numeric(limit)(p) - 1) for p in at]
        assert gaps[0] < 1e-3
        assert gaps[1] <= 0.02 * gaps[0]


@pytest.mark.statistical(alpha=1e-11)
def test_renewal_formulas_on_a_passage_time_of_two_values():
    """T = 1 or 3 with equal chance: not smooth, but every statement on any T must hold."""
    f = (sp.exp(-s) + sp.exp(-3 * s)) / 2
    draw = np.random.default_rng(3)
    rate, n = 0.4, 200_000
    total, open_ = np.zeros(n), np.ones(n, dtype=bool)
    for _ in range(200):
        times, waits = draw.choice([1.0, 3.0], n), draw.exponential(1 / rate, n)
        total += np.where(open_, np.minimum(times, waits), 0.0)
        open_ &= waits < times
    assert not open_.any()
    mean = float(renewal.mean_under_poisson(f).subs(r, rate))
    variance = float(renewal.variance_under_poisson(f).subs(r, rate))
    second = float(renewal.second_moment_under_poisson(f).subs(r, rate))
    assert second == pytest.approx(variance + mean**2, rel=1e-12)
    # seven standard errors of 200 000 trials, fixed seed
    assert abs(total.mean() - mean) < 7 * np.sqrt(variance / n)
    assert abs((total**2).mean() - second) < 7 * (total**2).std() / np.sqrt(n)
    wrong = mean * (1 - float(f.subs(s, rate)))
    assert abs(total.mean() - wrong) > 50 * np.sqrt(variance / n)


def test_small_rate_series_of_a_passage_time_with_known_moments():
    gamma = (1 + s) ** -3  # three exponential stages
    moments = {symbols.moment(n): sp.rf(3, n) for n in range(1, 5)}
    series = renewal.small_rate_series(3).subs(moments)
    direct = sp.series(sp.simplify(renewal.mean_under_poisson(gamma)), r, 0, 4).removeO()
    assert sp.expand(series - direct) == 0
    # Gamma(3) has CV² = 1/3: rare resets do not pay
    assert not renewal.pays_at_small_rate().subs(moments).subs(symbols.overhead, 0)


def test_ledger_notices_what_is_wrong():
    x = sp.Symbol("x", positive=True)
    book = Ledger()
    assert not book.stands
    book.prove("right", (x + 1) ** 2 - x**2 - 2 * x - 1)
    book.confirm("right number", [(mp.mpf(2), mp.mpf(2))])
    book.reject("wrong number", [(2, 3)])
    assert book.stands
    book.prove("wrong", x**2 - x)
    book.confirm(
        "inaccurate", [(mp.mpf(2), mp.mpf(2)), (mp.mpf(1), mp.mpf(1) / 3 * 3 - mp.mpf("1e-14"))]
    )
    book.reject("not rejected", [(2, 3), (2, 2)])
    book.prove("false", False)
    assert len(book.failed) == 4
    assert not book.stands


PUBLIC = [
    (module.__name__.rpartition(".")[2], name, getattr(module, name))
    for module in (dd, optimum, renewal, symbols, ledger)
    for name in module.__all__
    if inspect.isfunction(getattr(module, name))
]


@pytest.mark.parametrize(
    "module, name, function", PUBLIC, ids=lambda x: x if isinstance(x, str) else ""
)
def test_every_function_names_its_source_its_derivation_and_an_example(module, name, function):
    text = inspect.getdoc(function)
    assert "Returns\n-------" in text
    assert ">>> " in text
    if module != "symbols":
        assert "**Source**" in text
        assert "theory/" in text
    assert (ROOT / "theory" / "01_drift_diffusion.py").exists()


def test_the_package_does_not_load_sympy():
    code = (
        "import sys, resetsgd as rs\n"
        "T = rs.first_passage(rs.DriftDiffusion(-0.5, 1.0), start=1.0, target=0.0)\n"
        "T.under(rs.Poisson(0.7)).mean(); T.best(rs.Poisson)\n"
        "assert not {'sympy', 'mpmath'} & set(sys.modules), 'loaded'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
