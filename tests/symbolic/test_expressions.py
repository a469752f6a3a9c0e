"""rs.symbolic: expressions of every closed form against the numbers of the library."""

from __future__ import annotations

import subprocess
import sys

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

import resetsgd as rs
from resetsgd.passage.critical import landau
from resetsgd.symbolic import expressions, renewal, symbols
from resetsgd.symbolic import optimum as closed_optimum
from resetsgd.symbolic.ledger import agreement, numeric

D, L, v = symbols.diffusivity, symbols.distance, symbols.velocity
r, s, c = symbols.rate, symbols.laplace_variable, symbols.overhead
VALUES = {D: 1.3, L: 0.7, v: 0.9, r: 2.1, s: 0.6, c: 0.2}


def walk(velocity=0.9):
    return rs.first_passage(rs.DriftDiffusion(velocity, 1.3), start=-0.7, target=0.0)


def test_mean_and_variance_are_the_numbers_of_the_library():
    T = walk()
    found = rs.symbolic(T.under(rs.Poisson))
    R = T.under(rs.Poisson(2.1))
    with mp.workdps(40):
        assert agreement(numeric(found.mean)(VALUES), R.mean()) > 14
        assert agreement(numeric(found.variance)(VALUES), R.var()) > 14
        assert agreement(numeric(found.free_mean)(VALUES), T.mean()) > 14
        law = numeric(found.laplace_under_resetting)(VALUES)
        assert agreement(law, R.laplace(0.6)) > 14
        costly = rs.symbolic(T.under(rs.Poisson(2.1, overhead=0.2)))
        expected = T.under(rs.Poisson(2.1, overhead=0.2)).mean()
        assert agreement(numeric(costly.mean)(VALUES), expected) > 14
    assert found.mean == rs.symbolic(T.under(rs.Poisson(2.1))).mean


def test_optimality_is_solved_by_the_library_optimum():
    T = walk(0.3)
    values = VALUES | {v: 0.3}
    for settings in ({}, {"overhead": 0.2}):
        equation = rs.symbolic(T.under(rs.Poisson, **settings)).optimality
        best = T.best(rs.Poisson, **settings)
        with mp.workdps(40):
            at = values | {r: best.rate}
            left, right = numeric(equation.lhs)(at), numeric(equation.rhs)(at)
            assert agreement(left, right) > 12
            off = values | {r: 1.01 * best.rate}
            assert agreement(numeric(equation.lhs)(off), numeric(equation.rhs)(off)) < 4


def test_critical_condition_says_where_rare_resets_pay():
    plain = rs.symbolic(walk().under(rs.Poisson)).critical
    assert plain == sp.Gt(2 * D / (L * v), 1)
    costly = rs.symbolic(walk().under(rs.Poisson, overhead=0.2)).critical
    for velocity in (0.4, 1.5, 2.0, 3.0, 5.0):
        at = {**VALUES, v: velocity}
        T = walk(velocity)
        assert bool(plain.subs(at)) == T.best(rs.Poisson).pays
        assert bool(costly.subs(at)) == T.response(overhead=0.2).pays


def test_series_and_limits():
    found = rs.symbolic(walk().under(rs.Poisson))
    assert sp.simplify(found.series(3) - closed_optimum.small_rate_series(3)) == 0
    assert found.limit("rate", 0, v=1) == L
    assert found.limit("r", sp.oo) == sp.oo
    assert found.limit("L", 0) == 0
    costly = rs.symbolic(walk().under(rs.Poisson, overhead=0.1)).series(1)
    assert sp.simplify(costly - found.series(1) - c * r * L / v) == 0
    with pytest.raises(rs.DomainError, match="of"):
        found.limit("mass")
    with pytest.raises(rs.DomainError, match="speed"):
        found.limit("r", 0, speed=1)


def test_the_package_is_a_module_and_a_function():
    assert rs.symbolic.renewal is renewal and callable(rs.symbolic)
    found = rs.symbolic(walk().under(rs.Poisson))
    assert isinstance(found, expressions.Reset)
    assert found.latex() == sp.latex(found.mean)
    assert "ray2019" in found.cite()
    assert [str(symbol) for symbol in found.symbols] == ["D", "L", "r", "s", "v"]
    free = rs.symbolic(walk())
    assert not isinstance(free, expressions.Reset) and free.mean == free.free_mean


def passage(process, start, target, **more):
    return rs.first_passage(process, start, target, **more)


LAWS = {
    "toward": walk,
    "away": lambda: walk(-0.4),
    "interval": lambda: passage(rs.DriftDiffusion(0.8, 1.3), 0.6, (0.1, 1.9)),
    "interval, drift down": lambda: passage(rs.DriftDiffusion(-0.8, 1.3), 0.6, (0.1, 1.9)),
    "interval, no drift": lambda: passage(rs.DriftDiffusion(0.0, 1.3), 0.6, (0.1, 1.9)),
    "lower end": lambda: passage(rs.DriftDiffusion(0.8, 1.3), 0.6, (0.1, 1.9)).side("lower"),
    "upper end": lambda: passage(rs.DriftDiffusion(0.8, 1.3), 0.6, (0.1, 1.9)).side("upper"),
    "given lower": lambda: passage(rs.DriftDiffusion(0.8, 1.3), 0.6, (0.1, 1.9)).given("lower"),
    "given upper": lambda: passage(rs.DriftDiffusion(0.8, 1.3), 0.6, (0.1, 1.9)).given("upper"),
    "wall": lambda: passage(rs.DriftDiffusion(0.8, 1.3), 0.6, 0.1, wall=1.4),
    "wall above": lambda: passage(rs.DriftDiffusion(0.8, 1.3), 0.6, 1.4, wall=0.1),
    "wall, no drift": lambda: passage(rs.DriftDiffusion(0.0, 1.3), 0.6, 1.4, wall=0.1),
    "bowl, up": lambda: passage(rs.OrnsteinUhlenbeck(0.7, 0.3, 1.3), -0.2, 1.1),
    "bowl, down": lambda: passage(rs.OrnsteinUhlenbeck(0.7, 0.3, 1.3), 1.7, 0.6),
    "ball": lambda: passage(rs.Bessel(2.6, 1.3), 0.6, 1.4),
    "from outside": lambda: passage(rs.Bessel(2.6, 1.3), 1.4, 0.6),
    "logarithmic": lambda: passage(rs.Bessel(-3.2, 1.3), 1.4, 0.6),
    "to the origin": lambda: passage(rs.Bessel(-3.2, 1.3), 1.4, 0.0),
    "trap": lambda: passage(rs.LinearTrap(0.8, 1.3), -0.4, 0.6),
    "trap, mirrored": lambda: passage(rs.LinearTrap(0.8, 1.3), -0.2, -0.6),
    "kink that repels": lambda: passage(rs.LinearTrap(-0.8, 1.3), -0.4, 0.6),
    "telegraph": lambda: passage(rs.Telegraph(1.4, 0.9), 0.6, 0.1),
    "telegraph, away": lambda: passage(rs.Telegraph(1.4, 0.9, 1.0), 0.6, 0.1),
    "telegraph, toward": lambda: passage(rs.Telegraph(1.4, 0.9, 1.0), 0.1, 0.6),
    "telegraph exit": lambda: passage(rs.Telegraph(1.4, 0.9), 0.6, (0.1, 1.9)),
    "telegraph exit, down": lambda: passage(rs.Telegraph(1.4, 0.9, -1.0), 0.6, (0.1, 1.9)),
    "telegraph exit, up": lambda: passage(rs.Telegraph(1.4, 0.9, 1.0), 0.6, (0.1, 1.9)),
}


@pytest.mark.parametrize("name", LAWS)
def test_every_closed_form_is_the_numbers_of_the_library(name):
    T = LAWS[name]()
    found = rs.symbolic(T.under(rs.Poisson))
    assert isinstance(found.latex(), str) and set(found.values) <= set(found.symbols) | {v}

    def number(expression, **more):
        known = {**found.values, **{getattr(symbols, key): value for key, value in more.items()}}
        exact = {symbol: sp.Float(str(value), 40) for symbol, value in known.items()}
        return float(expression.subs(exact).evalf(25))

    def same(expression, value, **more):
        assert number(expression, **more) == pytest.approx(value, rel=1e-12)

    same(found.log_laplace, T.log_laplace(0.6), laplace_variable=0.6)
    same(found.mean, T.under(rs.Poisson(2.1)).mean(), rate=2.1)
    if name.startswith("bowl"):  # integrals of integrals: minutes to 25 digits
        assert float(T.mean()) == pytest.approx(_bowl_mean(found), rel=1e-12)
        return
    if T.mean() == np.inf:
        assert found.free_mean == sp.oo or name == "away"
        return
    same(found.free_mean, T.mean())
    same(found.squared_cv, T.cv() ** 2)
    # a wrong number is seen to be one
    off = {**found.values, **{key: 1.001 * value for key, value in found.values.items()}}
    wrong = float(found.log_laplace.subs({**off, s: 0.6}).evalf(25))
    assert wrong != pytest.approx(T.log_laplace(0.6), rel=1e-6)


def _bowl_mean(found):
    """The one integral of the mean, by quadrature."""
    (integral,) = found.free_mean.atoms(sp.Integral)
    ((dummy, low, high),) = integral.limits
    ends = [mp.mpf(float(end.subs(found.values))) for end in (low, high)]
    front = found.free_mean.subs(integral, sp.Integer(1)).subs(found.values)
    integrand = sp.lambdify(dummy, integral.function, "mpmath")
    return float(front) * float(mp.quad(integrand, ends))


@pytest.mark.parametrize("name", ["interval", "wall", "given upper", "trap"])
def test_small_rate_series_of_other_closed_forms(name):
    T = LAWS[name]()
    found = rs.symbolic(T.under(rs.Poisson))
    exact = {symbol: sp.Float(str(value), 40) for symbol, value in found.values.items()}
    series = found.series(2).subs(exact)
    expected = landau(T)
    for power, value in enumerate((expected.zeroth, expected.first, expected.second)):
        assert float(series.coeff(r, power).evalf(25)) == pytest.approx(value, rel=1e-9)


def test_elements_of_different_formulas_are_refused():
    both = rs.first_passage(rs.Bessel(2.0, 1.0), 1.0, [0.5, 2.0])
    with pytest.raises(rs.DomainError, match="same formula"):
        rs.symbolic(both)


@pytest.mark.parametrize("wrong", [
    lambda: walk().under(rs.Sharp),
    lambda: walk().under(rs.Sharp(1.0)),
    lambda: walk().under(rs.Poisson, then=walk(0.1)),
    lambda: rs.observed([1.0, 2.0]),
    lambda: 3.0,
])  # fmt: skip
def test_without_a_closed_form_it_says_so(wrong):
    with pytest.raises(rs.DomainError, match="passage"):
        rs.symbolic(wrong())


def test_sympy_is_loaded_when_asked_for():
    code = (
        "import sys, resetsgd as rs\n"
        "T = rs.first_passage(rs.DriftDiffusion(-1.0, 1.0), 1.0, 0.0)\n"
        "T.best(rs.Poisson), T.under(rs.Poisson), T.response()\n"
        "assert 'sympy' not in sys.modules\n"
        "rs.symbolic(T)\n"
        "assert 'sympy' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_trials_of_any_protocol():
    """Moments under gamma waiting times of two stages, from the transform, through the formulas."""
    T, k = walk(-0.4), 3.0
    f = sp.exp(expressions.Expression(T).log_laplace)
    values = {D: 1.3, L: 0.7, v: -0.4, s: k}
    with mp.workdps(30):
        at = {symbol: mp.mpf(value) for symbol, value in values.items()}
        whole, slope, bend = (numeric(f.diff(s, n))(at) for n in range(3))
        won = whole - k * slope
        stretch = 2 * (1 - whole) / k + slope
        # E[R; R < T] = k² int t² exp(-kt) S = k² Q''(k), Q = (1 - f)/s
        lost = k * k * (2 * (1 - whole) / k**3 + 2 * slope / k**2 - bend / k)
        # 2 int t (1 + kt) exp(-kt) S = -2 Q' + 2 k Q''
        square = 2 * ((1 - whole) / k**2 + slope / k) + 2 * lost / k
        given = {renewal.won: won, renewal.stretch: stretch, renewal.square: square}
        given |= {renewal.lost_time: lost, symbols.overhead: 0.3, renewal.second_overhead: 0.09}
        mean = numeric(renewal.mean_of_trials())(given)
        second = numeric(renewal.second_moment_of_trials())(given)
    R = T.under(rs.Gamma(rate=k, stages=2.0, overhead=0.3))
    assert R.mean() == pytest.approx(float(mean), rel=1e-9)
    assert R.var() + R.mean() ** 2 == pytest.approx(float(second), rel=1e-8)
    without = float(second - 2 * lost * (0.3 + mean) / won)
    assert abs(without / float(second) - 1) > 0.1


def test_fixed_periods_near_their_threshold():
    period = closed_optimum.sharp_near_critical_period()
    at = {D: 1.3, L: 0.7, symbols.peclet: sp.Rational(19999, 10000)}
    T = rs.first_passage(rs.DriftDiffusion(2 * 1.9999 * 1.3 / 0.7, 1.3), start=-0.7, target=0.0)
    assert T.best(rs.Sharp).period == pytest.approx(float(period.subs(at)), rel=1e-3)
    for velocity in (7.0, 7.6):
        claimed = bool(closed_optimum.sharp_pays().subs({D: 1.3, L: 0.7, v: velocity}))
        law = rs.first_passage(rs.DriftDiffusion(velocity, 1.3), start=-0.7, target=0.0)
        assert law.best(rs.Sharp).pays == claimed
    assert np.isinf(law.best(rs.Sharp).period)


def test_response_and_elsewhere():
    T1, T2 = symbols.moment(1), symbols.moment(2)
    T, after = walk(), walk(2.5)
    values = {T1: T.mean(), T2: T.var() + T.mean() ** 2, c: 0.1}
    slope = renewal.response_slope().subs({**values, sp.Symbol("Ta", positive=True): after.mean()})
    assert float(slope) == pytest.approx(T.response(then=after, overhead=0.1).slope, rel=1e-13)
    pays = renewal.pays_from_elsewhere().subs({**values, sp.Symbol("Tr", positive=True): 0.1})
    assert bool(pays)
    f0, f = (expressions.Expression(walk()).laplace.subs(L, k * L) for k in (1, 2))
    mean = numeric(renewal.mean_from_elsewhere(f0, f))(VALUES)
    far = rs.first_passage(rs.DriftDiffusion(0.9, 1.3), start=-1.4, target=0.0)
    assert agreement(mean, T.under(rs.Poisson(2.1), then=far).mean()) > 13
