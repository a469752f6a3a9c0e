"""Bessel processes to a radius, derived from the backward equation: balls, spheres, log potentials.

Claim
-----
For dx = (d - 1) D/x dt + sqrt(2 D) dW from b to a, nu = 1 - d/2 and k = sqrt(s/D): E[exp(-s T)] is
(b/a)^nu times K_nu(k b)/K_nu(k a) from outside and I_{-nu}(k b)/I_{-nu}(k a) from inside; to the
origin T is b²/4D over a Gamma variable of shape nu. Outside, a walker of more than two dimensions
arrives with probability (a/b)^(d-2), and then as one of dimension 4 - d. From inside slow resets
pay exactly if b/a > sqrt(d/(d + 4)); in the potential U0 ln x, with beta U0 = 1 - d, the origin is
reached faster under resets exactly if -1 < beta U0 < 5. Every expression of
``resetsgd.symbolic.bessel`` is derived here and confirmed to 30 digits at random points by a route
that does not use the derivation; wrong variants are seen to be wrong.

Cost: about 30 s in full, 5 s in quick mode, one core.

Reference: Redner, A Guide to First-Passage Processes (2001); Evans and Majumdar, J. Phys. A 47,
285001 (2014); Ray and Reuveni, J. Chem. Phys. 152, 234110 (2020).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import mpmath as mp
import numpy as np
import sympy as sp
from matplotlib.figure import Figure
from scipy import special

from resetsgd.campaign.study import Study, Verdict
from resetsgd.symbolic import bessel, renewal, symbols
from resetsgd.symbolic.ledger import Ledger, numeric

D, r, s, t = symbols.diffusivity, symbols.rate, symbols.laplace_variable, symbols.time
d, b, a = bessel.dimension, bessel.start, bessel.target
x = sp.Symbol("x", positive=True)
nu = 1 - d / 2
k = sp.sqrt(s / D)

Point = dict[sp.Symbol, Any]


def backward(f: sp.Expr, place: sp.Symbol) -> sp.Expr:
    """D (f'' + (d - 1) f'/x)."""
    return D * (f.diff(place, 2) + (d - 1) / place * f.diff(place))


def random_points(count: int, inward: bool) -> Iterator[Point]:
    """Parameters over a decade each; radii apart by up to a factor 3, dimensions of both signs."""
    draw = random.Random(2014)
    for _ in range(count):
        point = {q: mp.mpf(10) ** draw.uniform(-0.5, 0.5) for q in (D, s, r, t)}
        near = mp.mpf(10) ** draw.uniform(-0.5, 0.5)
        far = near * draw.uniform(1.2, 3)
        dimension = mp.mpf(draw.uniform(-5, 7) if inward else draw.uniform(0.3, 9))
        yield point | {d: dimension, b: far if inward else near, a: near if inward else far}


def transform(book: Ledger) -> None:
    """Step 1: the transform, from the modified Bessel equation."""
    g = sp.Function("g")
    z = sp.Symbol("z", positive=True)
    # f = x^nu g(k x) with z² g'' + z g' = (z² + nu²) g
    f = x**nu * g(z).subs(z, k * x)
    inner = g(z).diff(z, 2), ((z**2 + nu**2) * g(z) - z * g(z).diff(z)) / z**2
    h0, h1 = sp.symbols("h0 h1")
    slope = x**nu * (nu / x * h0 + k * h1)
    second = nu * (nu - 1) / x**2 * h0 + 2 * nu * k / x * h1
    second = x**nu * (second + k**2 * inner[1].subs({g(z).diff(z): h1, g(z): h0}).subs(z, k * x))
    residual = D * (second + (d - 1) / x * slope) - s * x**nu * h0
    book.prove("x^nu g(k x) solves the backward equation", sp.simplify(residual / x**nu))
    del f
    for value, name in ((bessel.outside(), "outside"), (bessel.inside(), "inside")):
        book.prove(f"{name}: 1 at the target", sp.simplify(value.subs(b, a) - 1))
    # K falls to 0 far outside; I is regular at the centre: the flux x^(d-1) f' vanishes there
    for n in (1, 3, 5):
        closed = sp.expand_func(bessel.outside().subs(d, n)).rewrite(sp.exp)
        far = closed.subs({D: 1, s: 1, a: 1})
        book.prove(f"outside, d = {n}: vanishes far away", sp.limit(far, b, sp.oo))
    three = sp.simplify(sp.expand_func(bessel.outside().subs(d, 3)) - a / b * sp.exp(-k * (b - a)))
    book.prove("outside, d = 3", three)
    chance = (a / b) ** (d - 2)
    book.prove("arrival probability is harmonic", sp.simplify(backward(chance, b)))
    book.prove("arrival probability: 1 at the target", chance.subs(b, a) - 1)
    book.prove("arrival probability, d = 3", bessel.arrival_probability().subs(d, 3) - a / b)


def by_other_routes(book: Ledger, count: int) -> None:
    """Step 2: the same numbers from integrals and power series."""
    outside, inside = numeric(bessel.outside()), numeric(bessel.inside())
    origin, density = numeric(bessel.to_origin()), numeric(bessel.density_to_origin())

    def superposed(order: Any, z: Any) -> Any:
        """x^n K_n(x) up to a factor, as the integral of exp(-t - x²/4t) t^(-n-1)."""
        q = z * z / 4
        cuts = [-9, -7, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 5.5]
        with mp.workdps(36):
            return mp.quad(lambda w: mp.exp(-mp.exp(w) - q * mp.exp(-w) - order * w), cuts)

    def regular(p: Point, place: Any) -> Any:
        term, total, n = mp.mpf(1), mp.mpf(1), 0
        while term > total * mp.eps:
            n += 2
            term *= p[s] * place * place / (p[D] * n * (n + p[d] - 2))
            total += term
        return total

    pairs, mirrored = [], []
    for p in random_points(count, inward=True):
        order, wave = abs(1 - p[d] / 2), mp.sqrt(p[s] / p[D])
        power = (p[b] / p[a]) ** (1 - p[d] / 2 + order)
        value = power * superposed(order, wave * p[b]) / superposed(order, wave * p[a])
        pairs.append((outside(p), value))
        chance = (p[a] / p[b]) ** (p[d] - 2)
        mirrored.append((outside(p), chance * outside({**p, d: 4 - p[d]})))
    book.confirm("outside = superposition of exponentials", pairs)
    book.confirm("dimension d, arriving, is dimension 4 - d", mirrored)
    book.confirm(
        "inside = power series of the backward equation",
        [(inside(p), regular(p, p[b]) / regular(p, p[a])) for p in random_points(count, False)],
    )

    def transformed(p: Point) -> Any:
        scale = mp.log(p[b] ** 2 / p[D])
        cuts = [scale + n for n in (-7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4)]
        cuts = [c for c in cuts if c < mp.log(150 / p[s])] + [mp.log(150 / p[s])]

        def integrand(w: Any) -> Any:
            now = mp.exp(w)
            return now * mp.exp(-p[s] * now) * density({**p, t: now})

        with mp.workdps(36):
            return mp.quad(integrand, cuts)

    low = [{**p, d: min(p[d], mp.mpf("1.5"))} for p in random_points(count, True)]
    book.confirm(
        "to the origin = quadrature of the density", [(origin(p), transformed(p)) for p in low]
    )


def moments(book: Ledger) -> None:
    """Step 3: moments, and when resetting pays."""
    density = bessel.density_to_origin()
    equation = density.diff(t) - backward(density, b)
    book.prove("density to the origin: backward equation", sp.simplify(equation / density))
    mean, variance = bessel.mean(), bessel.variance()
    second = variance + mean**2
    book.prove("mean: backward equation", sp.simplify(backward(mean, b) + 1))
    book.prove("second moment: backward equation", sp.simplify(backward(second, b) + 2 * mean))
    for name, value in (("mean", mean), ("second moment", second)):
        book.prove(f"{name}: 0 at the target", sp.simplify(value.subs(b, a)))
        book.prove(f"{name}: regular at the centre", sp.simplify(value.diff(b).subs(b, 0)))
    ratio = bessel.squared_cv_inside()
    book.prove("squared CV", sp.simplify(variance / mean**2 - ratio))
    edge = {b: a * sp.sqrt(d / (d + 4))}
    book.prove("inside: CV = 1 at b/a = sqrt(d/(d + 4))", sp.simplify(ratio.subs(edge) - 1))
    q, n = sp.symbols("q n", positive=True)
    rising = sp.simplify(ratio.subs({b: a * sp.sqrt(q), d: n}).diff(q))
    book.prove("inside: CV rises with b/a", sp.simplify(rising * (n + 2) * (q - 1) ** 2 - 4))
    # third moment from D (f'' + (d-1) f'/x) = -3 T2, by its polynomial of order six
    c = sp.symbols("c0:4")
    third = sum(c[i] * b ** (2 * i) for i in range(4))
    residual = sp.Poly(
        sp.expand(sp.simplify((backward(third, b) + 3 * second) * d**2 * (d + 2))), b
    )
    found = sp.solve([*residual.coeffs(), third.subs(b, a)], c, dict=True)[0]
    third = third.subs(found)
    raw = {symbols.moment(1): mean, symbols.moment(2): second, symbols.moment(3): third}
    landau = sp.simplify(renewal.landau_coefficient().subs(raw).subs(edge).subs(d, n))
    unit = sp.simplify(landau * D**3 / a**6)
    book.prove("inside: the transition is continuous", bool(sp.simplify(unit).is_positive))
    # to the origin: E[T^m] = (b²/4D)^m/((nu - 1) ... (nu - m)) of the inverse gamma law
    v = sp.Symbol("v", positive=True)
    w = sp.Symbol("w", positive=True)
    scale = b**2 / (4 * D)
    one, two = (
        scale**m * sp.integrate(w ** (v + 3 - m - 1) * sp.exp(-w), (w, 0, sp.oo)) / sp.gamma(v + 3)
        for m in (1, 2)
    )  # nu = v + 3, so that both are finite
    at = {d: 2 - 2 * (v + 3)}
    origin = {a: 0}
    book.prove("origin: mean", sp.gammasimp(one - mean.subs(origin).subs(at)))
    book.prove("origin: second moment", sp.gammasimp(two - second.subs(origin).subs(at)))
    squared = sp.simplify((variance / mean**2).subs(a, 0))
    beta = sp.Symbol("beta", real=True)
    book.prove("log potential: CV = 1 at beta U0 = 5", squared.subs(d, 1 - beta).subs(beta, 5) - 1)


def controls(book: Ledger, count: int) -> None:
    """Step 4: the same checks on formulas that are wrong on purpose."""
    ratio = sp.besselk(nu, k * b) / sp.besselk(nu, k * a)
    variants = {
        "outside, power of the wrong sign": (b / a) ** -nu * ratio,
        "outside, without the power": ratio,
        "outside, one dimension more": bessel.outside().subs(d, d + 1),
    }

    def residual(f: sp.Expr, p: Point) -> tuple[Any, Any]:
        value = numeric(f)

        def along(place: Any) -> Any:
            return value({**p, b: place})

        first, second = mp.diff(along, p[b]), mp.diff(along, p[b], 2)
        return p[D] * (second + (p[d] - 1) / p[b] * first), p[s] * value(p)

    points = [p for p in random_points(count, True) if abs(p[d] - 2) > 0.3]
    right = [residual(bessel.outside(), p) for p in points]
    book.confirm("backward equation at random points", right)
    for name, f in variants.items():
        book.reject(name, [residual(f, p) for p in points])
    mean, wrong = numeric(bessel.mean()), numeric((a**2 - b**2) / (d * D))
    inner = list(random_points(count, False))
    book.reject("mean without the factor 2", [(mean(p), wrong(p)) for p in inner])
    edge, wide = numeric(sp.sqrt(d / (d + 4))), numeric(sp.sqrt(d / (d + 2)))
    book.reject("criterion sqrt(d/(d + 2))", [(edge(p), wide(p)) for p in inner if p[d] < 5])


def picture() -> Figure:
    """The mean against the rate outside a sphere, and where resetting pays inside."""
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    rates = np.geomspace(1e-3, 60, 300)
    for n, colour in (
        (-4, "#3182bd"),
        (1, "#9ecae1"),
        (2, "#fc8d59"),
        (3, "#d7301f"),
        (5, "#7f0000"),
    ):
        order, wave = 1 - n / 2, np.sqrt(rates)
        f = 2.0**order * special.kve(order, 2 * wave) / special.kve(order, wave) * np.exp(-wave)
        left.plot(rates, (1 - f) / (rates * f), color=colour, lw=1.8, label=f"d = {n}")
    left.set(
        xscale="log",
        yscale="log",
        xlim=(5e-4, 1e3),
        ylim=(0.3, 3e3),
        xlabel="reset rate  $r\\,a^2/D$",
    )
    left.set_ylabel("mean passage time  $\\langle T_r\\rangle\\,D/a^2$")
    left.set_title("From 2a to a sphere of radius a", fontsize=10)
    left.legend(frameon=False)
    n = np.linspace(0.05, 12, 200)
    edge = np.sqrt(n / (n + 4))
    right.fill_between(n, edge, 1, color="#fdd0a2", lw=0)
    right.plot(n, edge, color="#d7301f", lw=2.0)
    right.text(4, 0.86, "resetting pays", ha="center", fontsize=10)
    right.text(7, 0.4, "it does not", ha="center", fontsize=10, color="#555555")
    right.set(xlim=(0, 12), ylim=(0, 1), xlabel="dimension d", ylabel="start over radius  $b/a$")
    right.set_title("Out of a ball: $b/a > \\sqrt{d/(d+4)}$", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main(quick: bool) -> Verdict:
    """Derive, confirm, reject; the claim holds if and only if nothing fails."""
    count = 2 if quick else 12
    book = Ledger()
    with mp.workdps(50):
        transform(book)
        by_other_routes(book, count)
        moments(book)
        controls(book, max(count, 4))
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
    }
    return Verdict("holds" if book.stands else "fails", sentence, numbers, picture())


if __name__ == "__main__":
    Study(__file__, main).command()
