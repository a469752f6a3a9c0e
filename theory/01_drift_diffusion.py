"""Drift-diffusion to a target under Poisson resetting, derived from the backward equation.

Claim
-----
For dx = mu dt + sqrt(2 D) dW, a target at distance L, drift v toward it (either sign) and resets to
the start at rate r: E[exp(-s T)] = exp(-E(s)), E(s) = L (sqrt(v² + 4 D s) - v) / (2 D); the mean is
(exp(E(r)) - 1) / r; resetting pays if and only if Pe = v L / (2 D) < 1, and then the best rate is
the only stationary one, r* = z (z + 2 Pe) D / L² with z (z + 2 Pe) / (2 (z + Pe)) = 1 - exp(-z).
Every expression of ``resetsgd.symbolic`` is derived here and confirmed to 30 digits at random
points by a route that does not use the derivation; wrong variants are seen to be wrong.

Cost: about 40 s in full, 6 s in quick mode, one core.

Reference: Evans and Majumdar, Phys. Rev. Lett. 106, 160601 (2011); Reuveni, Phys. Rev. Lett. 116,
170601 (2016); Ray, Mondal and Reuveni, J. Phys. A 52, 255002 (2019); Pal and Prasad, Phys. Rev.
Research 1, 032001 (2019).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import sympy as sp
from matplotlib.figure import Figure

from resetsgd.campaign.study import Study, Verdict
from resetsgd.symbolic import drift_diffusion as dd
from resetsgd.symbolic import optimum, renewal, symbols
from resetsgd.symbolic.ledger import Ledger, numeric

D, L, v = symbols.diffusivity, symbols.distance, symbols.velocity
r, s, t = symbols.rate, symbols.laplace_variable, symbols.time
z, Pe = symbols.exponent, symbols.peclet
mu = sp.Symbol("mu", real=True)
x = sp.Symbol("x", positive=True)
speed = sp.Symbol("w", positive=True)  # |v| where the sign is known

Point = Mapping[sp.Symbol, Any]


def random_points(count: int) -> Iterator[dict[sp.Symbol, mp.mpf]]:
    """Parameters over a decade each, drift toward the target and away in turn."""
    draw = random.Random(2011)
    for i in range(count):
        point = {q: mp.mpf(10) ** draw.uniform(-0.5, 0.5) for q in (L, D, r, s, t)}
        peclet = (-1) ** i * mp.mpf(10) ** draw.uniform(-0.5, 0.4)
        yield point | {v: 2 * point[D] / point[L] * peclet, Pe: peclet}


def laplace_integral(function: Callable[[Point], Any], p: Point, at: mp.mpf) -> mp.mpf:
    """Integral of exp(-s t) g(t) over t > 0, by quadrature in log t."""
    scale = mp.log(p[L] ** 2 / p[D])
    edges = [
        scale + k for k in (-90, -40, -20, -12, -8, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5)
    ] + [mp.log(200 / at)]
    edges = sorted(e for e in edges if e <= edges[-1])

    def integrand(w: mp.mpf) -> mp.mpf:
        now = mp.exp(w)
        return now * mp.exp(-at * now) * function({**p, t: now})

    with mp.workdps(40):
        return mp.quad(integrand, edges)


def transform(book: Ledger) -> sp.Expr:
    """Step 1: the Laplace transform, from the backward equation D phi'' + mu phi' = s phi."""
    phi = sp.Function("phi")
    general = sp.dsolve(D * phi(x).diff(x, 2) + mu * phi(x).diff(x) - s * phi(x), phi(x)).rhs
    first, second = sorted(general.free_symbols - {x, D, mu, s}, key=str)
    exponents = [
        sp.diff(sp.log(general.subs(c)), x) for c in ({first: 1, second: 0}, {first: 0, second: 1})
    ]
    falling, growing = sorted(
        (sp.simplify(k) for k in exponents), key=lambda k: k.subs({mu: 1, D: 1, s: 1})
    )
    # They multiply to -s/D < 0: one falls and one grows, whatever the sign of mu.
    book.prove("exponents of opposite sign", sp.simplify(falling * growing) + s / D)
    book.prove("which of them falls", sp.simplify(growing - falling).is_positive is True)
    # Start above the target, bounded at +infinity: exp(falling x) alone; phi(0) = 1 fixes it.
    above = sp.exp(falling * x)
    book.prove(
        "backward equation", sp.expand(D * above.diff(x, 2) + mu * above.diff(x) - s * above)
    )
    book.prove("boundary value at the target", above.subs(x, 0) - 1)
    # Start below the target, bounded at -infinity: exp(growing x) alone, at x = -L.
    for side, exponent in (
        ("above", falling.subs(mu, -v) * L),
        ("below", -growing.subs(mu, v) * L),
    ):
        book.prove(f"transform, start {side} the target", exponent - dd.log_laplace_transform())
    f = sp.exp(falling.subs(mu, -v) * L)
    for drift in (speed, -speed, sp.Integer(0)):
        chance = sp.limit(f.subs(v, drift), s, 0, "+")
        book.prove(
            f"hitting probability, v = {drift}", chance - dd.hitting_probability().subs(v, drift)
        )
    return f


def law(book: Ledger, f: sp.Expr, count: int) -> None:
    """Step 2: the density and the survival that belong to the transform."""
    density, late = dd.density(), dd.survival()
    backward = density.diff(t) - D * density.diff(L, 2) + v * density.diff(L)
    book.prove("density: backward equation in time", backward / density)
    book.prove("density: vanishes at the target", sp.limit(density.subs(v, speed), L, 0))
    book.prove("survival: its slope is the density", late.diff(t) + density)
    transformed, of_density, of_survival = numeric(f), numeric(density), numeric(late)

    def by_quadrature() -> Iterator[tuple[Any, Any]]:
        for p in random_points(count):
            yield laplace_integral(of_density, p, p[s]), transformed(p)
            yield laplace_integral(of_survival, p, p[s]), (1 - transformed(p)) / p[s]

    book.confirm("transform = quadrature of density, survival", by_quadrature())


def resetting(book: Ledger, f: sp.Expr, count: int) -> None:
    """Step 3: resetting, by the renewal argument and by the backward equation with resets."""
    # Any process, Q = (1 - f)/s the transform of the survival S: either no reset yet, exp(-rt) S,
    # or a first reset at u, survived, and then anew: Q_r(s) = Q(r+s) + r Q(r+s) Q_r(s).
    f_any, unknown = sp.exp(-sp.Function("E")(s)), sp.Symbol("Q_r")
    late = ((1 - f_any) / s).subs(s, r + s)
    late = sp.solve(sp.Eq(unknown, late + r * late * unknown), unknown)[0]
    mean, second = renewal.mean_under_poisson(f_any), renewal.second_moment_under_poisson(f_any)
    variance = renewal.variance_under_poisson(f_any)
    book.prove("renewal: transform", 1 - s * late - renewal.laplace_under_poisson(f_any))
    book.prove("renewal: mean", late.subs(s, 0) - mean)
    book.prove("renewal: second moment", -2 * late.diff(s).subs(s, 0).doit() - second.doit())
    book.prove("renewal: variance", second - mean**2 - variance)
    slope = renewal.stationarity(f_any) / (r * f_any.subs(s, r)) ** 2
    book.prove("renewal: slope of the mean", mean.diff(r).doit() + slope.doit())
    book.prove("renewal: stationary exactly where CV = 1", (variance - mean**2 - 2 * slope).doit())
    # This process: D u'' + mu u' + r (u(x_r) - u) = -1, u(0) = 0, bounded.
    u_r, x_r, c = sp.symbols("u_r x_r c")
    k = sp.log(f.subs(v, -mu)).subs(s, r) / L
    u = u_r + 1 / r + c * sp.exp(k * x)
    book.prove(
        "resets: bounded solutions",
        sp.expand(D * u.diff(x, 2) + mu * u.diff(x) + r * (u_r - u) + 1),
    )
    u = u.subs(c, sp.solve(u.subs(x, 0), c)[0])
    u = u.subs(u_r, sp.solve(u.subs(x, x_r) - u_r, u_r)[0])
    apart = (1 - sp.exp(k * x)) / (r * sp.exp(k * x_r))
    book.prove("resets: mean, start apart from the reset point", u - apart)
    book.prove(
        "resets: same mean by both routes", u.subs({x: L, x_r: L, mu: -v}) - dd.mean_under_poisson()
    )
    # And D phi'' + mu phi' - (r + s) phi + r phi(L) = 0, phi(0) = 1, bounded; F = f(r + s).
    F, a = sp.symbols("F a")  # phi = a + (1 - a) exp(k x), a the constant solution
    a = sp.solve((r + s) * a - r * (a + (1 - a) * F), a)[0]
    claimed = renewal.laplace_under_poisson(f)
    book.prove("resets: same transform", (a + (1 - a) * F).subs(F, f.subs(s, r + s)) - claimed)
    survives, claim = numeric(dd.survival()), numeric(dd.mean_under_poisson())
    claim_second = numeric(dd.second_moment_under_poisson())

    def by_trials() -> Iterator[tuple[Any, Any]]:
        for p in random_points(count):
            duration = laplace_integral(survives, p, p[r])  # E[min(T, R)]
            half_square = laplace_integral(lambda q: q[t] * survives(q), p, p[r])  # E[min²]/2
            success = 1 - p[r] * duration
            yield duration / success, claim(p)
            # E[R; R < T] = r E[min²]/2 for an exponential R
            cross = p[r] * half_square * duration / success
            yield 2 * (half_square + cross) / success, claim_second(p)

    book.confirm("moments = quadrature of the trial between two resets", by_trials())


def moments(book: Ledger, f: sp.Expr) -> None:
    """Step 4: reset-free moments, and the mean at small and large rates."""
    cumulant = [(-1) ** n * sp.log(f).subs(v, speed).diff(s, n).subs(s, 0) for n in range(4)]
    mean, variance, third = (sp.simplify(k) for k in cumulant[1:])
    book.prove("mean", mean - dd.mean().subs(v, speed))
    book.prove("variance", variance - dd.variance().subs(v, speed))
    book.prove(
        "CV² = 1/Pe",
        variance / mean**2
        - dd.in_peclet_units(dd.squared_cv()).subs(Pe, dd.peclet_number()).subs(v, speed),
    )
    diverges = sp.limit((1 - f.subs(v, 0)) / s, s, 0, "+")
    book.prove("mean infinite without drift", diverges == sp.oo)
    log_chance = sp.expand_log(sp.log(dd.hitting_probability().subs(v, -speed)))
    book.prove("mean infinite, drift away: may never arrive", log_chance.is_negative is True)
    raw = {symbols.moment(1): mean, symbols.moment(2): variance + mean**2}
    raw[symbols.moment(3)] = third + 3 * variance * mean + mean**3
    series = optimum.small_rate_series(2).subs(v, speed)
    book.prove("small rate: series", renewal.small_rate_series(2).subs(raw) - series)
    slope = mean**2 / 2 * (1 - 1 / dd.peclet_number().subs(v, speed))
    book.prove("small rate: slope falls exactly if Pe < 1", series.coeff(r, 1) - slope)
    pays = renewal.pays_at_small_rate().subs(symbols.overhead, 0)
    book.prove("small rate: criterion CV > 1", pays.lhs.subs(raw) - pays.rhs + 2 * slope / mean**2)
    landau = renewal.landau_coefficient().subs(raw).subs(speed, 2 * D / L)
    book.prove("transition at Pe = 1 continuous", sp.simplify(landau).is_positive is True)
    for drift in (speed, -speed, sp.Integer(0)):
        ratio = dd.mean_under_poisson() / optimum.small_rate_limit()
        book.prove(f"small rate: limit, v = {drift}", sp.limit(ratio.subs(v, drift), r, 0, "+") - 1)
    log_ratio = -dd.log_laplace_transform().subs(s, r) - sp.log(r * optimum.large_rate_limit())
    log_ratio = sp.expand_log(log_ratio).subs(v, speed).subs(r, 1 / x**2)
    book.prove("large rate: limit", sp.limit(sp.simplify(log_ratio), x, 0, "+"))


def best_rate(book: Ledger, count: int) -> dict[str, float]:
    """Step 5: the optimum, that it is the only one, its equation, bracket and limits."""
    at = {r: optimum.optimal_rate(), v: 2 * D * Pe / L}
    exponent = -dd.log_laplace_transform().subs(s, r).subs(at)
    book.prove("rate and exponent", sp.expand((exponent + Pe) ** 2 - (z + Pe) ** 2))
    mean = (sp.exp(z) - 1) / optimum.optimal_rate()
    g = sp.expand(2 * (z + Pe) * (1 - sp.exp(-z)) - z * (z + 2 * Pe))
    slope = sp.diff(sp.log(mean), z) + g / (z * (z + 2 * Pe) * (1 - sp.exp(-z)))
    book.prove("mean falls exactly where g > 0", slope)
    equation = optimum.optimality_equation()
    book.prove("g = 0 is the optimality equation", g - (equation.rhs - equation.lhs) * 2 * (z + Pe))
    # The rate runs from 0 as z from max(0, -2 Pe). There g is 0 or positive; it rises up to
    # z = 1 - Pe and falls for ever after. Pe >= 1: falls from the start, no root, no rate helps.
    # Pe < 1: positive up to beyond 1 - Pe, then exactly one root. Hence exact, and global.
    book.prove("g' = 2 (1 - exp(-z)) (1 - Pe - z)", g.diff(z) - 2 * (1 - sp.exp(-z)) * (1 - Pe - z))
    book.prove("g = 0 at rate 0, Pe >= 0", g.subs(z, 0))
    book.prove("g > 0 at rate 0, Pe < 0", g.subs(Pe, -z / 2) - z * (1 - sp.exp(-z)))
    top = 1 - Pe + sp.sqrt(1 + Pe**2)  # g < 0 here: the root lies in (1 - Pe, top)
    book.prove("bracket from above", g.subs(z, top) + 2 * (top + Pe) * sp.exp(-top))
    book.prove("limit Pe -> -oo", optimum.optimal_rate().subs(z, top) - optimum.outward_rate())
    still = sp.solve(equation.subs(Pe, 0), z)
    book.prove(
        "no drift: Lambert W",
        any(sp.simplify(w - optimum.driftless_exponent()) == 0 for w in still),
    )
    e, c1, c2 = sp.symbols("e c1 c2")  # e = 1 - Pe
    small = sp.series(g.subs({Pe: 1 - e, z: c1 * e + c2 * e**2}), e, 0, 5).removeO()
    c1_ = next(c for c in sp.solve(small.coeff(e, 3), c1) if c != 0)
    c2_ = sp.solve(small.coeff(e, 4).subs(c1, c1_), c2)[0]
    critical = optimum.optimal_rate().subs(z, c1_ * e + c2_ * e**2).subs(Pe, 1 - e)
    critical = sp.series(sp.expand(critical), e, 0, 3).removeO()
    book.prove("limit Pe -> 1", sp.expand(critical - optimum.near_critical_rate().subs(Pe, 1 - e)))

    stationary = numeric(renewal.stationarity(dd.laplace_transform()))
    variance, first = numeric(dd.variance_under_poisson()), numeric(dd.mean_under_poisson())
    squares, turns = [], []
    for p in random_points(max(count, 6)):
        rate = root(p[Pe]) * (root(p[Pe]) + 2 * p[Pe]) * p[D] / p[L] ** 2 if p[Pe] < 1 else None
        if rate:
            squares.append((variance({**p, r: rate}), first({**p, r: rate}) ** 2))
        grid = [mp.mpf(10) ** (mp.mpf(i) / 8) * p[D] / p[L] ** 2 for i in range(-120, 49)]
        signs = [mp.sign(stationary({**p, r: q})) for q in grid]
        turns.append((p[Pe] < 1, sum(a != b for a, b in pairwise(signs))))
    book.confirm("CV = 1 at the optimal rate", squares)
    book.confirm("21 decades of rates: one turn if Pe < 1", ((n, 1) for low, n in turns if low))
    book.confirm("21 decades of rates: no turn else", ((n, 0) for low, n in turns if not low))
    constants = {"driftless exponent": root(0), "driftless rate": root(0) ** 2}
    close = 1 - mp.mpf("1e-6")
    constants["rate/(1 - Pe) at Pe = 1 - 1e-6"] = root(close) * (root(close) + 2 * close) / 1e-6
    book.confirm("Lambert W against the root", [(optimum.driftless_exponent().evalf(60), root(0))])
    return {name: float(value) for name, value in constants.items()}


def root(peclet: Any) -> mp.mpf:
    """Optimal exponent for Pe < 1: Newton from the top of the bracket, monotone as g is concave."""
    peclet = mp.mpf(peclet)
    w = 1 - peclet + mp.sqrt(1 + peclet**2)
    for _ in range(100):
        value = -2 * (w + peclet) * mp.expm1(-w) - w * (w + 2 * peclet)
        step = value / (2 * mp.expm1(-w) * (w + peclet - 1))
        w -= step
        if abs(step) < abs(w) * mp.mpf(10) ** (-0.6 * mp.mp.dps):
            return w
    raise ArithmeticError(f"no optimum found at Pe = {peclet}")


def controls(book: Ledger, count: int) -> None:
    """Step 6: the same checks on formulas that are wrong on purpose."""
    points = list(random_points(count))
    variants = {
        "transform, sign of the drift": {v: -v},
        "transform, sigma² taken for D": {D: 2 * D},
    }
    right = dd.laplace_transform()
    for name, change in {"none": {}, **variants}.items():
        f = right.subs(change, simultaneous=True)
        left, other = numeric(D * f.diff(L, 2)), numeric(v * f.diff(L) + s * f)
        pairs = [(left(p), other(p)) for p in points]
        if change:
            book.reject(name, pairs)
        else:
            book.confirm("backward equation at random points", pairs)
    wrong = {
        "law under resetting, transform at s instead of r + s": (
            (r + s) * right / (s + r * right),
            renewal.laplace_under_poisson(right),
        ),
        "second moment without the renewal cross term": (
            2 * (1 - right + s * right.diff(s)).subs(s, r) / (r**2 * right.subs(s, r)),
            dd.second_moment_under_poisson(),
        ),
        "Péclet number v L / D": (dd.in_peclet_units(v * L / D), Pe),
        "driftless rate, the square forgotten": (
            optimum.driftless_exponent() * D / L**2,
            optimum.driftless_rate(),
        ),
        "near-critical rate 2.54 (1 - Pe) D / L²": (
            optimum.driftless_rate() * (1 - Pe),
            3 * (1 - Pe) * D / L**2,
        ),
    }
    for name, pair in wrong.items():
        one, other = (numeric(expression) for expression in pair)
        book.reject(name, [(one(p), other(p)) for p in points])


def picture() -> Figure:
    """The mean against the rate, and the optimal rate against the Péclet number."""
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    rates = np.geomspace(1e-3, 60, 400)
    shades = {-1.0: "#7f0000", 0.0: "#d7301f", 0.5: "#fc8d59", 1.0: "#555555", 2.0: "#3182bd"}
    for peclet, colour in shades.items():
        means = np.expm1(np.hypot(peclet, np.sqrt(rates)) - peclet) / rates
        left.plot(rates, means, color=colour, lw=1.8, label=f"Pe = {peclet:g}")
        if peclet < 1:
            w = float(root(peclet))
            best = w * (w + 2 * peclet)
            left.plot(best, np.expm1(w) / best, "o", color=colour, ms=6, mec="white", zorder=3)
    left.set(xscale="log", yscale="log", xlim=(1e-3, 60), ylim=(0.15, 200))
    left.set(
        xlabel="reset rate  $r\\,L^2/D$", ylabel="mean passage time  $\\langle T_r\\rangle\\,D/L^2$"
    )
    left.legend(frameon=False, title="Pe > 0: toward the target", alignment="left")
    left.set_title("Mean against rate; dots: optimum", fontsize=10)
    grid = np.linspace(-3, 0.9999, 300)
    optima = [float((w := root(q)) * (w + 2 * q)) for q in grid]
    right.axvspan(1, 2.2, color="#eeeeee", lw=0)
    right.plot(
        grid,
        2 * (1 + np.hypot(1, grid)),
        "--",
        color="#999999",
        lw=1.2,
        label="$2\\,(1+\\sqrt{1+\\mathrm{Pe}^2})$",
    )
    near = np.linspace(-0.2, 1, 50)
    right.plot(near, 3 * (1 - near), ":", color="#3182bd", lw=1.6, label="$3\\,(1-\\mathrm{Pe})$")
    right.plot([*grid, 1, 2.2], [*optima, 0, 0], color="#d7301f", lw=2.0, label="exact")
    right.plot(
        0,
        optimum.driftless_rate().subs({D: 1, L: 1}).evalf(),
        "o",
        color="#d7301f",
        mec="white",
        ms=6,
    )
    right.annotate("2.5396…", (0, 2.54), xytext=(0.12, 3.05), fontsize=9)
    right.text(1.6, 6.4, "resetting\ndoes not pay", ha="center", fontsize=9, color="#555555")
    right.set(xlim=(-3, 2.2), ylim=(-0.2, 8.5), xlabel="Péclet number  $\\mathrm{Pe}=vL/2D$")
    right.set(ylabel="optimal rate  $r^*L^2/D$")
    right.legend(frameon=False, loc="lower left")
    right.set_title("Optimal rate: vanishes continuously at Pe = 1", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main(quick: bool) -> Verdict:
    """Derive, confirm, reject; the claim holds if and only if nothing fails."""
    count = 2 if quick else 24
    book = Ledger()
    with mp.workdps(70):
        f = transform(book)
        law(book, f, count)
        resetting(book, f, count)
        moments(book, f)
        constants = best_rate(book, count)
        controls(book, max(count, 8))
        figure = picture()
    worst = min(book.confirmed.values())
    sentence = (
        f"{len(book.proved)} identities proved by SymPy, {len(book.confirmed)} confirmed at random"
        f" points to at least {worst:.0f} digits, {len(book.rejected)} wrong variants rejected"
        f" (agreement at most {max(book.rejected.values()):.1f} digits); {len(book.failed)} failed"
    )
    numbers = {
        "proved": book.proved,
        "confirmed_digits": book.confirmed,
        "rejected_digits": book.rejected,
        "failed": book.failed,
        "constants": constants,
    }
    return Verdict("holds" if book.stands else "fails", sentence, numbers, figure)


if __name__ == "__main__":
    Study(__file__, main).command()
