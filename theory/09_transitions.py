"""When resetting starts to pay: the optimum, CV = 1, Landau expansion, first-order transitions.

Claim
-----
At an interior optimum of the rate CV = 1, for any passage time; with overhead it is not. From
mean(r) = T1 + r (T1² - T2/2) + r² (T1³ - T1 T2 + T3/6) + ... the transition at CV = 1 is
continuous if T3 > 6 T1³ and of first order if T3 < 6 T1³. On an interval (0, L) with drift mu the
tricritical point is x0/L = 0.2518626713, mu L/D = 0.8752819012; at x0/L = 0.05 CV = 1 at mu L/D =
14.5137, but resetting pays up to 45.4626, where the optimal rate jumps from 1921 D/L² to zero; at
x0/L = 0.7 it pays in a window of drifts only. A logarithmic potential has its transition at b = 5
with an infinite third moment. Fixed periods pay for Pe < 2, and the best one diverges like
3 L²/(2 Pe (2 - Pe) D). All is derived by SymPy and confirmed by routes that do not use it.

Cost: about 60 s in full, 10 s in quick mode, one core.

Reference: Reuveni, Phys. Rev. Lett. 116, 170601 (2016); Pal and Prasad, Phys. Rev. E 99, 032123 and
Phys. Rev. Research 1, 032001 (2019); Ray and Reuveni, J. Chem. Phys. 152, 234110 (2020); Eliazar
and Reuveni, J. Phys. A 53, 405004 (2020).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import sympy as sp
from matplotlib.figure import Figure

import resetsgd as rs
from resetsgd.campaign.study import Study, Verdict
from resetsgd.symbolic import drift_diffusion as dd
from resetsgd.symbolic import optimum, renewal, symbols
from resetsgd.symbolic.ledger import Ledger

D, L, v = symbols.diffusivity, symbols.distance, symbols.velocity
r, s, t, c = symbols.rate, symbols.laplace_variable, symbols.time, symbols.overhead
T1, T2, T3, T4 = (symbols.moment(n) for n in (1, 2, 3, 4))
x = sp.Symbol("x", positive=True)
g, k = sp.symbols("g k", positive=True)  # mu/2D, sqrt(mu² + 4 D s)/2D; L = 1


def general(book: Ledger) -> None:
    """Step 1: any passage time. Stationary means CV = 1; the expansion in a small rate."""
    mean, variance = renewal.mean_under_poisson(), renewal.variance_under_poisson()
    rise = mean.diff(r).doit()
    book.prove(
        "CV² - 1 = 2 d(mean)/dr / mean², with the sign turned",
        sp.simplify((variance - mean**2 + 2 * rise).doit()),
    )
    cost = (mean * (1 + r * c)).diff(r).doit()
    at = sp.solve(cost, sp.Derivative(sp.Function("f")(r), r))
    book.prove("overhead: one stationarity condition", len(at) == 1)
    spread = sp.simplify((variance - mean**2).doit().subs(sp.Function("f")(r).diff(r), at[0]))
    book.prove("overhead: variance is not mean² there", spread != 0)
    f = 1 - r * T1 + r**2 * T2 / 2 - r**3 * T3 / 6 + r**4 * T4 / 24
    series = sp.series((1 - f) / (r * f), r, 0, 4).removeO()
    for order in range(4):
        claimed = sp.expand(renewal.small_rate_series(3)).coeff(r, order)
        book.prove(f"expansion, order {order}", sp.expand(series.coeff(r, order)) - claimed)
    first, second = series.coeff(r, 1), series.coeff(r, 2)
    book.prove("first coefficient", first - (T1**2 - T2 / 2))
    book.prove("second coefficient", second - (T1**3 - T1 * T2 + T3 / 6))
    landau = second.subs(T2, 2 * T1**2)
    book.prove("at CV = 1: T3/6 - T1³", landau - renewal.landau_coefficient())
    lost = sp.series((1 - f) / (r * f) * (1 + r * c), r, 0, 3).removeO()
    book.prove("overhead: first", lost.coeff(r, 1) - (first + c * T1))
    book.prove("overhead: second", lost.coeff(r, 2) - (second + c * first))
    pays = renewal.pays_at_small_rate()
    book.prove(
        "overhead: criterion CV² > 1 + 2c/T1",
        sp.simplify(-2 * (first + c * T1) / T1**2 - (pays.lhs - pays.rhs)),
    )
    # Near a first-order transition mean - T1 = a r - b r² + e r³: equal at r = b/2e, a = b²/4e.
    a, b, e = sp.symbols("a b e", positive=True)
    free = a * r - b * r**2 + e * r**3
    jump = {r: b / (2 * e)}
    book.prove("first order: stationary at the jump", free.diff(r).subs(jump).subs(a, b**2 / 4 / e))
    book.prove("first order: equal means", free.subs(jump).subs(a, b**2 / 4 / e))


def interval(book: Ledger) -> tuple[Callable[[Any, Any, Any], Any], Any]:
    """Step 2: the transform on the interval (0, 1) with drift, and its moments twice over."""
    f = sp.exp(-g * x) * (sp.sinh(k * (1 - x)) + sp.exp(g) * sp.sinh(k * x)) / sp.sinh(k)
    # D = 1: f'' + 2 g f' = s f with s = k² - g²
    book.prove(
        "interval: backward equation",
        sp.simplify((f.diff(x, 2) + 2 * g * f.diff(x) - (k**2 - g**2) * f).rewrite(sp.exp)),
    )
    book.prove("interval: left end", sp.simplify(f.subs(x, 0) - 1))
    book.prove("interval: right end", sp.simplify(f.subs(x, 1) - 1))

    def transform(place: Any, drift: Any, rate: Any) -> Any:
        h = drift / 2
        q = mp.sqrt(h * h + rate)
        return (
            mp.exp(-h * place)
            * (mp.sinh(q * (1 - place)) + mp.exp(h) * mp.sinh(q * place))
            / mp.sinh(q)
        )

    exact = [lambda place, drift, n=n: _moments(place, drift)[n] for n in (1, 2, 3)]
    pairs = []
    for place, drift in ((0.05, 14.0), (0.3, 0.8), (0.7, 3.0)):
        with mp.workdps(200):
            at = mp.mpf(place), mp.mpf(drift)
            coefficients = mp.taylor(lambda q, at=at: transform(*at, q), 0, 3, h=mp.mpf(10) ** -38)
            for n in (1, 2, 3):
                pairs.append(((-1) ** n * mp.factorial(n) * coefficients[n], exact[n - 1](*at)))
    book.confirm("interval: moments by equation and by transform", pairs)
    return transform, exact


def _moments(place: Any, drift: Any) -> list[Any]:
    """Moments 0 to 3 from u_n'' + mu u_n' = -n u_(n-1), u_n = 0 at both ends, in closed form.

    Everything is a sum of x^j exp(-i mu x), i = 0 or 1: solved from the highest power down.
    """
    solution: dict[tuple[int, int], Any] = {(0, 0): mp.mpf(1)}
    found = []
    for n in (1, 2, 3, 4):
        found.append(
            sum(b * place**j * mp.exp(-i * drift * place) for (j, i), b in solution.items())
        )
        left = {key: -n * value for key, value in solution.items()}
        made: dict[tuple[int, int], Any] = {}
        for i in (0, 1):
            for j in range(n, -1, -1):
                source = left.get((j, i), mp.mpf(0))
                # (x^(j+1) e)'' + mu (x^(j+1) e)' = (1 - 2i) mu (j+1) x^j e + (j+1) j x^(j-1) e
                b = source / ((1 - 2 * i) * drift * (j + 1))
                made[j + 1, i] = b
                if j > 0:
                    left[j - 1, i] = left.get((j - 1, i), mp.mpf(0)) - b * (j + 1) * j
        ends = [
            sum(b * end**j * mp.exp(-i * drift * end) for (j, i), b in made.items())
            for end in (mp.mpf(0), mp.mpf(1))
        ]
        # constants of the two homogeneous solutions, 1 and exp(-mu x)
        beta = (ends[1] - ends[0]) / -mp.expm1(-drift)
        made[0, 1] = beta
        made[0, 0] = -ends[0] - beta
        solution = made
    return found


def crossings(
    book: Ledger, transform: Callable[[Any, Any, Any], Any], exact: Any, quick: bool
) -> dict[str, float]:
    """Step 3: the places on the interval, each from moments or from both conditions at once."""

    def bar(place: Any, drift: Any) -> Any:
        return exact[1](place, drift) - 2 * exact[0](place, drift) ** 2

    def tilt(place: Any, drift: Any) -> Any:
        return exact[2](place, drift) - 6 * exact[0](place, drift) ** 3

    point = mp.findroot(
        lambda a, b: (bar(a, b), tilt(a, b)), (mp.mpf("0.252"), mp.mpf("0.875")), tol=1e-60
    )
    found = {"tricritical x0/L": point[0], "tricritical mu L/D": point[1]}

    def both(place: Any, drift: Any, rate: Any) -> tuple[Any, Any]:
        f = transform(place, drift, rate)
        mean = (1 - f) / (rate * f)
        slope = mp.diff(
            lambda q: mp.log((1 - transform(place, drift, q)) / (q * transform(place, drift, q))),
            rate,
        )
        return mean - exact[0](place, drift), slope * rate

    for place, guess in (("0.05", (45.46, 1921)), ("0.2", (3.279, 58.9))):
        x0 = mp.mpf(place)
        found[f"CV = 1, x0/L = {place}"] = mp.findroot(
            lambda b, x0=x0: bar(x0, b), 14.5 if place == "0.05" else 2.5
        )
        line = mp.findroot(lambda b, q, x0=x0: both(x0, b, q), guess, tol=1e-40)
        found[f"first order, x0/L = {place}"] = line[0]
        found[f"jump of the rate, x0/L = {place}"] = line[1]
    for name, guess in (("window opens", 1.145), ("window closes", 4.652)):
        found[f"{name}, x0/L = 0.7"] = mp.findroot(lambda b: bar(mp.mpf("0.7"), b), guess)
    # The library, which knows none of this: it searches the optimum itself.
    library = {
        "tricritical": float(abs(_tricritical_library(float(point[0])) / point[1] - 1)),
    }
    for place in (0.2,) if quick else (0.05, 0.2):
        (one,) = rs.critical(
            _interval(place), 0.5 * place**-1.1, 60.0 if place < 0.1 else 6.0, points=9
        )
        book.prove(f"library: first order at {place}", one.order == "first-order")
        library[f"at {place}"] = abs(one.at / float(found[f"first order, x0/L = {place}"]) - 1)
        library[f"jump {place}"] = abs(
            one.jump / float(found[f"jump of the rate, x0/L = {place}"]) - 1
        )
    if not quick:
        window = rs.critical(_interval(0.7), 0.2, 8.0, points=9)
        book.prove(
            "library: two ends of the window", [one.pays for one in window] == ["above", "below"]
        )
        for one, name in zip(window, ("window opens", "window closes"), strict=True):
            book.prove(f"library: {name} continuously", one.order == "continuous")
            library[name] = abs(one.at / float(found[f"{name}, x0/L = 0.7"]) - 1)
    book.prove("library agrees to 1e-7 in rates, 1e-9 in places", max(library.values()) < 1e-7)
    values = {name: float(value) for name, value in found.items()}
    claimed = {
        "tricritical x0/L": 0.2518626713,
        "tricritical mu L/D": 0.8752819012,
        "CV = 1, x0/L = 0.05": 14.5137,
        "first order, x0/L = 0.05": 45.4626,
        "window opens, x0/L = 0.7": 1.14518,
        "window closes, x0/L = 0.7": 4.65207,
    }
    for name, value in claimed.items():
        book.prove(f"claimed: {name}", bool(abs(values[name] / value - 1) < 5e-6))
    book.reject(
        "taking CV = 1 for the end of resetting at x0/L = 0.05",
        [(found["CV = 1, x0/L = 0.05"], found["first order, x0/L = 0.05"])],
    )
    return values | {f"library, relative: {name}": value for name, value in library.items()}


def _interval(place: float) -> Callable[[float], Any]:
    return lambda drift: rs.first_passage(rs.DriftDiffusion(drift, 1.0), place, (0.0, 1.0))


def _tricritical_library(place: float) -> float:
    """The drift at which CV = 1 there, from the library's own moments."""
    found = rs.critical(_interval(place), 0.5, 1.2, points=5)
    return found[0].at


def heavy_tail(book: Ledger) -> None:
    """Step 4: U = U0 log x. T = x0²/(4 D G), G gamma of shape nu = (1 + b)/2."""
    nu, m = sp.symbols("nu m", positive=True)
    moment = sp.gamma(nu - m) / sp.gamma(nu)  # E[G^-m]
    cv = sp.gammasimp(moment.subs(m, 2) / moment.subs(m, 1) ** 2) - 1
    book.prove("log potential: CV² = 1/(nu - 2)", sp.simplify(cv - 1 / (nu - 2)))
    book.prove("log potential: CV = 1 at b = 5", cv.subs(nu, 3) - 1)
    book.prove("log potential: T3 infinite there", sp.limit(moment.subs(m, 3), nu, 3, "+") == sp.oo)
    # f = 2 (q/2)^nu K_nu(q)/Gamma(nu), q = x0 sqrt(s/D); near b = 5, r log(1/r) ~ 1.5 (5 - b) D/x0²
    inverse = []
    for gap in ("1e-10", "1e-12", "1e-14"):
        with mp.workdps(120):
            order = (6 - mp.mpf(gap)) / 2

            def exponent(rate: Any, order: Any = order) -> Any:
                q = mp.sqrt(rate)
                f = 2 * (q / 2) ** order * mp.besselk(order, q) / mp.gamma(order)
                return -mp.log(f)

            def tilt(z: Any, exponent: Any = exponent) -> Any:
                rate = mp.exp(z)
                step = rate * mp.mpf(10) ** -40
                rise = (exponent(rate + step) - exponent(rate - step)) / (2 * step)
                return (rise * rate + mp.expm1(-exponent(rate))) / rate**2

            guess = mp.log(mp.mpf(gap) / 30)
            root = mp.exp(mp.findroot(tilt, (guess - 1, guess + 1), solver="anderson", tol=1e-60))
            inverse.append((mp.log(1 / root), mp.mpf(gap) / root))
    # (5 - b)/r = (log(1/r) + constant)/1.5: the constant makes the limit slow, differences see it
    rises = [float((b[1] - a[1]) / (b[0] - a[0])) for a, b in pairwise(inverse)]
    book.prove(
        "log potential: (5 - b)/r rises by 2/3 per unit of log(1/r)",
        max(abs(rise * 1.5 - 1) for rise in rises) < 1e-6,
    )


def fixed_periods(book: Ledger) -> None:
    """Step 5: fixed periods; the hazard long after the mean, against the mean."""
    Pe, u = symbols.peclet, sp.Symbol("u", positive=True)
    # Long after the mean, f ~ t^(-3/2) exp(-v² t/4D), so the hazard is v²/4D + 3/(2t) + ...
    rate = v**2 / (4 * D)
    log_density = sp.log(dd.density()).diff(t)
    tail = sp.expand(sp.series(sp.simplify(-log_density.subs(t, 1 / u)), u, 0, 2).removeO())
    book.prove("tail of the density: v²/4D + 3/(2t)", sp.simplify(tail - rate - 3 * u / 2))
    condition = (rate + 3 / (2 * t)) * L / v - 1  # hazard times mean, the mean being L/v
    period = sp.solve(condition, t)[0].subs(v, 2 * D * Pe / L)
    book.prove("best long period", sp.simplify(period - optimum.sharp_near_critical_period()))
    bar = (rate * L / v - 1).subs(v, 2 * D * Pe / L)
    pays = optimum.sharp_pays()
    book.prove("pays for Pe < 2", sp.simplify(2 * bar - (dd.in_peclet_units(pays.lhs) - pays.rhs)))
    gaps = []
    for gap in (1e-2, 1e-4, 1e-6):
        peclet = 2.0 - gap
        walk = rs.first_passage(rs.DriftDiffusion(2 * peclet, 1.0), start=-1.0, target=0.0)
        best = walk.best(rs.Sharp)
        claimed = 1.5 / (peclet * gap)
        gaps.append(abs(float(best.period) / claimed - 1.0) if best.pays else 1.0)
    book.prove(
        "library: best period at 2 - Pe = 1e-2, 1e-4, 1e-6", gaps[0] < 1e-2 and gaps[2] < 1e-5
    )
    never = rs.first_passage(rs.DriftDiffusion(4.0 + 1e-9, 1.0), start=-1.0, target=0.0)
    book.prove("library: no period pays above Pe = 2", not never.best(rs.Sharp).pays)


def picture(numbers: dict[str, float], quick: bool) -> Figure:
    """Means on the interval around the jump, and the phase diagram of the interval."""
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    rates = np.geomspace(1, 1e4, 300)
    line = numbers["first order, x0/L = 0.05"]
    shades = {14.5: "#3182bd", 25.0: "#fc8d59", line: "#d7301f", 70.0: "#7f0000"}
    for drift, colour in shades.items():
        law = _interval(0.05)(drift)
        free = float(law.mean())
        left.plot(rates, law.under(rs.Poisson(rates)).mean() / free, color=colour, lw=1.8,
                  label=f"$\\mu L/D$ = {drift:.4g}")  # fmt: skip
    left.axhline(1, color="#999999", lw=1, ls=":")
    left.set(xscale="log", ylim=(0, 2), xlabel="reset rate  $r\\,L^2/D$")
    left.set_ylabel("mean / mean without resets")
    left.set_title("$x_0 = 0.05\\,L$: CV < 1 from 14.5, yet a finite rate pays", fontsize=10)
    left.legend(frameon=False)
    places = np.linspace(0.02, 0.98, 13 if quick else 61)
    drifts = np.linspace(0.0, 12.0, 11 if quick else 49)
    grid = np.meshgrid(places, drifts)
    law = rs.first_passage(rs.DriftDiffusion(grid[1], 1.0), grid[0], (0.0, 1.0))
    best = law.best(rs.Poisson)
    phase = np.where(best.first_order, 2, np.where(best.pays, 1, 0))
    right.contourf(
        places, drifts, phase, [-0.5, 0.5, 1.5, 2.5], colors=["#eeeeee", "#c6dbef", "#fc8d59"]
    )
    right.contour(places, drifts, np.asarray(law.cv()), [1.0], colors="#045a8d", linewidths=1.5)
    right.plot(
        numbers["tricritical x0/L"], numbers["tricritical mu L/D"], "o", color="#7f0000", ms=7,
        mec="white",
    )  # fmt: skip
    right.annotate("tricritical", (0.27, 0.55), fontsize=9, color="#7f0000")
    right.text(0.42, 6, "does not pay", fontsize=9, color="#555555")
    right.text(0.17, 9.3, "first order", fontsize=9)
    right.text(0.8, 3.2, "pays", fontsize=9, color="#045a8d")
    right.set(xlabel="start  $x_0/L$", ylabel="drift  $\\mu L/D$")
    right.set_title("Interval: line CV = 1 (blue), and beyond it", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main(quick: bool) -> Verdict:
    """Derive, confirm, reject; the claim holds if and only if nothing fails."""
    book = Ledger(tolerated=1.0)
    with mp.workdps(50):
        general(book)
        transform, exact = interval(book)
        numbers = crossings(book, transform, exact, quick)
        heavy_tail(book)
        fixed_periods(book)
    figure = picture(numbers, quick)
    sentence = (
        f"{len(book.proved)} statements proved, {len(book.confirmed)} confirmed to at least"
        f" {min(book.confirmed.values()):.0f} digits, {len(book.rejected)} wrong variant rejected;"
        f" tricritical at x0/L = {numbers['tricritical x0/L']:.10f},"
        f" mu L/D = {numbers['tricritical mu L/D']:.10f}; {len(book.failed)} failed"
    )
    record = {
        "proved": book.proved,
        "confirmed_digits": book.confirmed,
        "rejected_digits": book.rejected,
        "failed": book.failed,
        "constants": numbers,
    }
    return Verdict("holds" if book.stands else "fails", sentence, record, figure)


if __name__ == "__main__":
    Study(__file__, main).command()
