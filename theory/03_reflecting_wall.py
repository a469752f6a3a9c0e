"""Drift-diffusion between a target and a reflecting wall, from the backward equation.

Claim
-----
For drift v toward the target at distance L and a reflecting wall y behind the start,
E[exp(-sT)] = exp(g L) N(y)/N(L + y), N(z) = k cosh k z + g sinh k z, g = v/2D,
k = sqrt(v² + 4 D s)/2D; written with the drift toward the wall the sign in N is minus, and the
other sign is wrong for every drift but zero, where it cannot be seen. The passage is a sum of
independent steps, so that mean and variance are integrals over the way. Without drift it is half of
an interval of twice the length, and resetting pays exactly for L/(L + y) < 1 - 1/sqrt 5; from the
wall it never pays, whatever the drift.

Cost: about 20 s in full, 5 s in quick mode, one core.

Reference: Redner, A Guide to First-Passage Processes (2001), section 2.2; Pal and Reuveni, Phys.
Rev. Lett. 118, 030603 (2017).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import mpmath as mp
import numpy as np
import sympy as sp
from matplotlib.figure import Figure

import resetsgd as rs
from resetsgd.campaign.study import Study, Verdict
from resetsgd.symbolic import symbols, wall
from resetsgd.symbolic.ledger import Ledger, numeric

D, L, v, y = symbols.diffusivity, symbols.distance, symbols.velocity, symbols.behind
r, s = symbols.rate, symbols.laplace_variable
z, k = sp.symbols("z k", positive=True)

Point = Mapping[sp.Symbol, Any]


def random_points(count: int) -> Iterator[dict[sp.Symbol, mp.mpf]]:
    """Parameters over a decade each, drift toward the target and away in turn."""
    draw = random.Random(2001)
    for i in range(count):
        point = {q: mp.mpf(10) ** draw.uniform(-0.5, 0.5) for q in (L, D, r, s, y)}
        peclet = (-1) ** i * mp.mpf(10) ** draw.uniform(-0.5, 0.3)
        yield point | {v: 2 * point[D] / (point[L] + point[y]) * peclet}


def transform(book: Ledger) -> None:
    """Step 1: the transform, from the backward equation with a reflecting end."""
    # z from the wall, along which the drift is +v: D u'' + v u' = s u, u'(0) = 0
    g = v / (2 * D)
    u = sp.exp(-g * z) * (k * sp.cosh(k * z) + g * sp.sinh(k * z))
    kappa = {s: D * (k**2 - g**2)}
    book.prove(
        "backward equation",
        sp.simplify((D * u.diff(z, 2) + v * u.diff(z) - s * u).subs(kappa) * sp.exp(g * z)),
    )
    book.prove("no flow through the wall", sp.simplify(u.diff(z).subs(z, 0)))
    claim = wall.laplace_transform().subs(sp.sqrt(v**2 + 4 * D * s), 2 * D * k)
    found = u.subs(z, y) / u.subs(z, L + y)
    book.prove("transform", sp.simplify(found / claim - 1))
    book.prove("one at the target", sp.simplify(claim.subs(y, 0).subs(L, 0) - 1))
    turned = wall.laplace_transform().subs(v, 0) / wall.driftless_transform()
    book.prove("without drift", sp.simplify(turned - 1))
    # the wall far behind: exp(-(k - g) L) of the half line, at g = k/2 and g = -k/2
    for half in (k / 2, -k / 2):
        far = sp.limit(
            (u.subs(z, y) / u.subs(z, L + y)).subs(v, 2 * D * half).rewrite(sp.exp), y, sp.oo
        )
        book.prove(f"wall far away, g = {half}", sp.simplify(far - sp.exp(-(k - half) * L)))


def steps(book: Ledger) -> None:
    """Step 2: a sum of independent steps: mean and variance by integration over the way."""
    a = sp.Symbol("a", positive=True)
    for sign in (1, -1):
        at = {v: sign * a * D}
        drift = sign * a * D
        # one step z -> z - dz takes the mean m(z) dz: D m' = 1 - drift m, m(0) = 0
        m = (1 - sp.exp(-drift / D * z)) / drift
        book.prove(f"mean of a step, {sign:+d}", sp.simplify(D * m.diff(z) + drift * m - 1))
        total = sp.integrate(m, (z, y, y + L))
        book.prove(f"mean, {sign:+d}", sp.simplify(total - wall.mean().subs(at)))
        # and its variance q: D q' = 2 D m² - drift q, from the next order of the same equation
        w = drift / D * z
        q = 4 * D * sp.exp(-w) * (sp.sinh(w) - w) / drift**3
        rest = sp.expand((q.diff(z) * D - 2 * D * m**2 + drift * q).rewrite(sp.exp))
        book.prove(f"variance of a step, {sign:+d}", sp.simplify(rest))
        total = sp.integrate(sp.expand(q.rewrite(sp.exp)), (z, y, y + L))
        book.prove(f"variance, {sign:+d}", sp.simplify(sp.expand(total - wall.variance().subs(at))))
    book.prove("mean: limit of no drift", sp.limit(wall.mean(), v, 0) - wall.driftless_mean())
    f = wall.driftless_transform().subs(s, D * k**2)
    series = sp.series(sp.log(f), k, 0, 6).removeO()
    mean, variance = -series.coeff(k, 2) / D, 2 * series.coeff(k, 4) / D**2
    book.prove("no drift: mean", sp.simplify(mean - wall.driftless_mean()))
    book.prove("no drift: CV²", sp.simplify(variance / mean**2 - wall.driftless_squared_cv()))
    share = 1 - 1 / sp.sqrt(5)
    critical = wall.driftless_squared_cv().subs({L: share, y: 1 - share})
    book.prove("no drift: CV = 1 at 1 - 1/sqrt 5", sp.simplify(critical - 1))


def ode(p: Point, at: mp.mpf) -> mp.mpf:
    """The transform by integrating the backward equation from the wall in Taylor steps."""

    def taylor(
        start: tuple[mp.mpf, mp.mpf], length: mp.mpf, terms: int = 60
    ) -> tuple[mp.mpf, mp.mpf]:
        c = [start[0], start[1]]
        for n in range(terms):
            c.append((at * c[n] - p[v] * (n + 1) * c[n + 1]) / (p[D] * (n + 1) * (n + 2)))
        value = mp.polyval(c[::-1], length)
        slope = mp.polyval([n * c[n] for n in range(len(c) - 1, 0, -1)], length)
        return value, slope

    def march(start: tuple[mp.mpf, mp.mpf], length: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
        for _ in range(40):
            start = taylor(start, length / 40)
        return start

    begin = march((mp.mpf(1), mp.mpf(0)), p[y])
    return begin[0] / march(begin, p[L])[0]


def numbers_agree(book: Ledger, count: int) -> None:
    """Step 3: against the equation integrated numerically, and wrong variants of it."""
    f, mean, variance = (
        numeric(e) for e in (wall.laplace_transform(), wall.mean(), wall.variance())
    )
    restarted = numeric(wall.mean_under_poisson())

    def pairs() -> Iterator[tuple[Any, Any]]:
        for p in random_points(count):
            yield f(p), ode(p, p[s])
            hit = ode(p, p[r])
            yield restarted(p), (1 - hit) / (p[r] * hit)
            with mp.workdps(120):
                e = mp.mpf(10) ** -30
                values = [mp.log(ode(p, q * e)) for q in (-1, 1)]
                yield mean(p), (values[0] - values[1]) / (2 * e)
                yield variance(p), (values[0] + values[1]) / e**2

    book.confirm("formulas = backward equation in Taylor steps", pairs())
    g, w = v / (2 * D), sp.sqrt(v**2 + 4 * D * s) / (2 * D)

    def other(q: sp.Expr) -> sp.Expr:
        return w * sp.cosh(w * q) - g * sp.sinh(w * q)

    wrong = numeric(sp.exp(g * L) * other(y) / other(L + y))
    # at an s at which the wall is within reach
    near = [p | {s: p[D] / (p[L] + p[y]) ** 2} for p in random_points(8)]
    book.reject("the other sign at the wall", ((wrong(p), f(p)) for p in near))
    still = numeric(wall.laplace_transform().subs(v, 0))
    twin = numeric((sp.exp(g * L) * other(y) / other(L + y)).subs(v, 0))
    book.confirm(
        "which without drift cannot be seen", ((twin(p), still(p)) for p in random_points(3))
    )
    free = numeric(sp.exp(-(w - g) * L))
    book.reject("no wall", ((free(p), f(p)) for p in near if p[v] < 0))


def pays(book: Ledger) -> dict[str, float]:
    """Step 4: when resetting pays, by the library."""

    def walled(drift: float, place: float) -> rs.PassageTime:
        return rs.first_passage(rs.DriftDiffusion(drift, 1.0), place, 0.0, wall=1.0)

    critical = 1 - 5**-0.5
    book.prove("pays just before", walled(0.0, critical - 1e-6).best(rs.Poisson).pays)
    book.prove("does not just after", not walled(0.0, critical + 1e-6).best(rs.Poisson).pays)
    drifts = (-10.0, -1.0, 0.0, 1.0, 10.0)
    at_wall = [walled(drift, 1.0) for drift in drifts]
    book.prove("CV < 1 from the wall", all(T.cv() < 1 for T in at_wall))
    book.prove("never pays from the wall", not any(T.best(rs.Poisson).pays for T in at_wall))
    return {"critical_place": critical, "largest_cv_from_wall": max(float(T.cv()) for T in at_wall)}


def picture() -> Figure:
    """CV against the place of the start; where resetting pays over place and drift."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    places = np.linspace(0.02, 1.0, 200)
    for drift, colour in (
        (-4.0, "#08519c"),
        (-1.0, "#6baed6"),
        (0.0, "#333333"),
        (1.0, "#fdae6b"),
        (4.0, "#d94801"),
    ):
        T = rs.first_passage(rs.DriftDiffusion(drift, 1.0), places, 0.0, wall=1.0)
        left.plot(places, T.cv(), color=colour, lw=1.7, label=f"{drift:+g}")
    left.axhline(1, color="#999999", lw=0.8)
    left.plot(1 - 5**-0.5, 1, "o", color="#333333", ms=5)
    left.set(
        ylim=(0, 4),
        xlabel="start over the distance from target to wall",
        ylabel="CV without resets",
    )
    left.legend(frameon=False, title="drift to the wall, $\\nu L/D$", alignment="left")
    left.set_title("Above 1 resetting pays; dot: $1 - 1/\\sqrt{5}$", fontsize=10)
    drifts = np.linspace(-8, 8, 161)
    T = rs.first_passage(rs.DriftDiffusion(drifts[:, None], 1.0), places, 0.0, wall=1.0)
    levels = [0.0, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.5, 2.0, 4.0, 8.0]
    colours = [
        *(["#08519c", "#3182bd", "#6baed6", "#9ecae1", "#deebf7"]),
        *(["#fff5eb", "#fdd0a2", "#fdae6b", "#f16913", "#a63603"]),
    ]
    shades = right.contourf(
        drifts, places, np.minimum(np.asarray(T.cv()).T, 7.99), levels=levels, colors=colours
    )
    right.contour(drifts, places, np.asarray(T.cv()).T, levels=[1], colors="black")
    figure.colorbar(shades, ax=right, label="CV")
    right.set(
        xlabel="drift to the wall  $\\nu L/D$", ylabel="start over the distance from target to wall"
    )
    right.set_title("Black: CV = 1", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main(quick: bool) -> Verdict:
    """Derive, confirm, reject; the claim holds if and only if nothing fails."""
    book = Ledger()
    with mp.workdps(70):
        transform(book)
        steps(book)
        numbers_agree(book, 2 if quick else 16)
    constants = pays(book)
    worst = min(book.confirmed.values())
    sentence = (
        f"{len(book.proved)} statements proved, {len(book.confirmed)} confirmed at random points to"
        f" at least {worst:.0f} digits, {len(book.rejected)} wrong variants rejected;"
        f" {len(book.failed)} failed"
    )
    numbers = {
        "proved": book.proved,
        "confirmed_digits": book.confirmed,
        "rejected_digits": book.rejected,
        "failed": book.failed,
        "constants": constants,
    }
    return Verdict("holds" if book.stands else "fails", sentence, numbers, picture())


if __name__ == "__main__":
    Study(__file__, main).command()
