"""Exit of drift-diffusion from an interval under Poisson resetting, from the backward equation.

Claim
-----
For dx = mu dt + sqrt(2 D) dW at distances l and h from the ends of an interval:
E[exp(-sT); lower] = exp(-g l) sinh(k h)/sinh(k (l + h)), g = mu/2D, k = sqrt(mu² + 4 D s)/2D, the
mirror image at the upper end, and their sum f. Under resetting at rate r the mean is
(1 - f(r))/(r f(r)), the splitting f_lower(r)/f(r). Without drift resetting pays exactly outside
(5 -+ sqrt 5)/10. With drift away from the near end the transition is of first order: at
l/L = 0.05, mu L/D = 25 the CV is below 1 and yet a finite rate is three times faster. At
l/L = 0.7 resetting pays in a window of drifts only. Wrong variants are seen to be wrong.

Cost: about a minute in full, 10 s in quick mode, one core.

Reference: Redner, A Guide to First-Passage Processes (2001), section 2.2; Pal and Prasad, Phys.
Rev. E 99, 032123 (2019) and Phys. Rev. Research 1, 032001 (2019).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import mpmath as mp
import numpy as np
import sympy as sp
from matplotlib.figure import Figure

import resetsgd as rs
from resetsgd.campaign.study import Study, Verdict
from resetsgd.symbolic import interval, symbols
from resetsgd.symbolic.ledger import Ledger, numeric

D, mu, h = symbols.diffusivity, symbols.drift, symbols.above
low = symbols.below
r, s = symbols.rate, symbols.laplace_variable
x, L, k = sp.symbols("x L k", positive=True)

Point = Mapping[sp.Symbol, Any]


def random_points(count: int) -> Iterator[dict[sp.Symbol, mp.mpf]]:
    """Parameters over a decade each, drift up and down in turn."""
    draw = random.Random(2019)
    for i in range(count):
        point = {q: mp.mpf(10) ** draw.uniform(-0.5, 0.5) for q in (low, h, D, r, s)}
        yield point | {mu: (-1) ** i * point[D] * mp.mpf(10) ** draw.uniform(-0.5, 0.5)}


def density(p: Point, t: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    """Density of the exit at either end, from the images of the free propagator."""
    whole, values = p[low] + p[h], []
    for z, sign in ((p[low], 1), (p[h], -1)):
        tilt = -sign * p[mu] * z / (2 * p[D]) - p[mu] ** 2 * t / (4 * p[D])
        front = mp.exp(tilt) / mp.sqrt(4 * mp.pi * p[D] * t**3)
        reach = int(mp.sqrt(4 * p[D] * t * 65) / (2 * whole)) + 2
        images = (z + 2 * m * whole for m in range(-reach, reach + 1))
        values.append(front * mp.fsum(q * mp.exp(-(q**2) / (4 * p[D] * t)) for q in images))
    return values[0], values[1]


def integral(p: Point, weight: Any, side: int) -> mp.mpf:
    """Integral of weight(t) times the density at a side, in log t."""
    slowest = p[mu] ** 2 / (4 * p[D]) + mp.pi**2 * p[D] / (p[low] + p[h]) ** 2
    start = mp.log(min(p[low], p[h]) ** 2 / (4 * p[D]))
    edges = sorted([*(start + j for j in range(-5, 6, 2)), *(mp.log(c / slowest) for c in (2, 20))])
    end = mp.log(65 / slowest)
    edges = [*(e for e in edges if e < end), end]
    with mp.workdps(28):
        return mp.quad(lambda w: mp.exp(w) * weight(mp.exp(w)) * density(p, mp.exp(w))[side], edges)


def transform(book: Ledger) -> None:
    """Step 1: both transforms from D u'' + mu u' = s u with 1 at one end and 0 at the other."""
    roots = (-mu / (2 * D) - k, -mu / (2 * D) + k)
    kappa = {s: (4 * D**2 * k**2 - mu**2) / (4 * D)}
    for root in roots:
        book.prove("backward equation", sp.expand((D * root**2 + mu * root - s).subs(kappa)))
    a, b = sp.symbols("a b")
    u = a * sp.exp(roots[0] * x) + b * sp.exp(roots[1] * x)  # x from the lower end
    for end, claimed in ((0, interval.laplace_lower()), (1, interval.laplace_upper())):
        found = sp.solve([u.subs(x, 0) - (1 - end), u.subs(x, L) - end], [a, b], dict=True)[0]
        value = u.subs(found).subs({x: low, L: low + h})
        claim = claimed.subs(interval.wave_number(), k).rewrite(sp.exp)
        book.prove(f"transform at end {end}", sp.simplify(value / claim - 1))
    still, claim = (
        numeric(e)
        for e in (interval.laplace_transform().subs(mu, 0), interval.driftless_transform())
    )
    book.confirm(
        "no drift: one cosh over another", ((still(p), claim(p)) for p in random_points(4))
    )


def moments(book: Ledger) -> None:
    """Step 2: splitting, mean and conditional mean, and what they are without drift."""
    g = sp.Symbol("g", positive=True)
    chance = interval.laplace_lower().subs(s, 0)
    for sign in (1, -1):
        claim = interval.splitting_lower().subs(mu, sign * 2 * D * g)
        value = chance.subs(mu, sign * 2 * D * g).rewrite(sp.exp)
        book.prove(f"splitting, sign of mu {sign:+d}", sp.simplify(value / claim - 1))
    m = interval.mean().subs({low: x, h: L - x})
    book.prove("mean: backward equation", sp.simplify(D * m.diff(x, 2) + mu * m.diff(x) + 1))
    book.prove("mean: zero at the lower end", sp.limit(m, x, 0))
    book.prove("mean: zero at the upper end", sp.simplify(m.subs(x, L)))
    book.prove(
        "mean: limit of no drift", sp.limit(interval.mean(), mu, 0) - interval.driftless_mean()
    )
    # the law at one end: k-derivative of log sinh(k h)/sinh(k L), dk/ds = 1/(2 D k)
    log_lower = sp.log(sp.sinh(k * h)) - sp.log(sp.sinh(k * (low + h)))
    delay = -log_lower.diff(k) / (2 * D * k)
    claim = interval.conditional_mean_lower().subs(mu, 2 * D * k)
    book.prove("conditional mean", sp.simplify((delay - claim).rewrite(sp.exp)))
    f = interval.driftless_transform().subs(s, D * k**2)
    series = sp.series(sp.log(f), k, 0, 6).removeO()
    mean, variance = -series.coeff(k, 2) / D, 2 * series.coeff(k, 4) / D**2
    book.prove("no drift: mean", sp.simplify(mean - interval.driftless_mean()))
    book.prove("no drift: CV²", sp.simplify(variance / mean**2 - interval.driftless_squared_cv()))
    edge = (5 - sp.sqrt(5)) / 10
    for place in (edge, 1 - edge):
        at = interval.driftless_squared_cv().subs({low: place, h: 1 - place})
        book.prove(f"no drift: CV = 1 at {place}", sp.simplify(at - 1))


def resetting(book: Ledger, count: int) -> None:
    """Step 3: mean and splitting under resetting, by the backward equation and by quadrature."""
    # D u'' + mu u' + r (u(x_r) - u) = 0 with u = 1 below and 0 above: u = c + (1 - c) v - c w with
    # v, w the transforms at s = r; c = u(x_r) = c + (1 - c) v_r - c w_r
    c, v, w = sp.symbols("c v w")
    value = sp.solve((1 - c) * v - c * w, c)[0]
    book.prove("splitting under resetting", value - v / (v + w))
    claim = interval.splitting_lower_under_poisson()
    sides = (interval.laplace_lower().subs(s, r), interval.laplace_upper().subs(s, r))
    book.prove("the same in symbols", sp.simplify(value.subs({v: sides[0], w: sides[1]}) - claim))
    functions = {
        name: numeric(getattr(interval, name)())
        for name in (
            "laplace_lower",
            "laplace_upper",
            "splitting_lower",
            "mean",
            "conditional_mean_lower",
            "mean_under_poisson",
            "splitting_lower_under_poisson",
        )
    }

    def by_quadrature() -> Iterator[tuple[Any, Any]]:
        for p in random_points(count):
            at = {name: function(p) for name, function in functions.items()}
            chance = [integral(p, lambda t: 1, side) for side in (0, 1)]
            time = [integral(p, lambda t: t, side) for side in (0, 1)]
            hit = [integral(p, lambda t, q=p[s]: mp.exp(-q * t), side) for side in (0, 1)]
            won = [integral(p, lambda t, q=p[r]: mp.exp(-q * t), side) for side in (0, 1)]
            yield sum(chance), mp.mpf(1)
            yield at["splitting_lower"], chance[0]
            yield at["mean"], sum(time)
            yield at["conditional_mean_lower"], time[0] / chance[0]
            yield at["laplace_lower"], hit[0]
            yield at["laplace_upper"], hit[1]
            yield at["mean_under_poisson"], (1 - sum(won)) / (p[r] * sum(won))
            yield at["splitting_lower_under_poisson"], won[0] / sum(won)

    book.confirm("formulas = quadrature of the density of images", by_quadrature())

    def wrong() -> Iterator[tuple[Any, Any]]:
        for p in random_points(max(count, 4)):
            at = {name: function(p) for name, function in functions.items()}
            yield at["splitting_lower"], at["splitting_lower_under_poisson"]

    book.reject("splitting under resetting is that without", wrong())
    turned = numeric(interval.mean().subs(mu, -mu))
    book.reject(
        "drift with the other sign",
        (
            (turned(p), functions["mean"](p))
            for p in random_points(6)
            if abs(p[low] / p[h] - 1) > 0.1
        ),
    )
    ratio = numeric(((1 - interval.laplace_lower()) / (s * interval.laplace_lower())).subs(s, r))
    book.reject(
        "mean under resetting from one end alone",
        ((ratio(p), functions["mean_under_poisson"](p)) for p in random_points(6)),
    )


@cache
def function(name: str) -> Any:
    """A formula of ``symbolic.interval`` as an mpmath function."""
    return numeric(getattr(interval, name)())


def mean_at(drift: float, place: float, rate: mp.mpf) -> mp.mpf:
    """Mean on the unit interval with D = 1, in mpmath."""
    at = {mu: mp.mpf(drift), D: mp.mpf(1), low: mp.mpf(place), h: 1 - mp.mpf(place), r: rate}
    return function("mean_under_poisson")(at)


def cumulants(drift: mp.mpf, place: mp.mpf) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    """First three raw moments on the unit interval with D = 1, by differentiation."""
    f = function("laplace_transform")
    at = {mu: drift, D: mp.mpf(1), low: place, h: 1 - place}
    with mp.workdps(60):
        series = mp.taylor(lambda z: f(at | {s: z}), mp.mpf(10) ** -25, 3, h=mp.mpf(10) ** -12)
    return -series[1], 2 * series[2], -6 * series[3]


def transitions(book: Ledger, quick: bool) -> dict[str, float]:
    """Step 4: the transition is of first order with drift away from the near end; a window."""
    T = rs.first_passage(rs.DriftDiffusion(25.0, 1.0), 0.05, (0.0, 1.0))
    best = T.best(rs.Poisson)
    with mp.workdps(40):
        rate = mp.findroot(
            lambda q: mp.diff(lambda z: mean_at(25.0, 0.05, z), q), mp.mpf("1529"), tol=1e-20
        )
        least, first = (
            mean_at(25.0, 0.05, rate),
            numeric(interval.mean())(
                {mu: mp.mpf(25), D: mp.mpf(1), low: mp.mpf(0.05), h: 1 - mp.mpf(0.05)}
            ),
        )
    book.prove("first order: CV < 1 and yet a rate pays", bool(T.cv() < 1 and best.pays))
    book.prove("first order: three times faster", bool(first / least > 2.9))
    book.prove("first order: library finds that rate", bool(abs(best.rate / rate - 1) < 1e-9))
    book.prove("first order: library gives that mean", bool(abs(best.mean / least - 1) < 1e-12))

    def excess(drift: Any, place: Any) -> Any:
        one, two, _ = cumulants(mp.mpf(drift), mp.mpf(place))
        return two - 2 * one**2

    with mp.workdps(30):
        window = [
            mp.findroot(lambda q: excess(q, mp.mpf("0.7")), mp.mpf(z)) for z in ("1.1", "4.6")
        ]
    inside = [z for z in (1.0, 1.2, 3.0, 4.6, 4.7) if _pays(z, 0.7)]
    book.prove("window of drifts at l/L = 0.7", inside == [1.2, 3.0, 4.6])
    constants = {
        "first_order_rate": float(rate),
        "first_order_mean": float(least),
        "reset_free_mean": float(first),
        "squared_cv": float(T.cv() ** 2),
        "window_from": float(window[0]),
        "window_to": float(window[1]),
    }
    if quick:
        return constants

    def landau(drift: Any, place: Any) -> Any:
        one, two, three = cumulants(drift, place)
        return three / 6 - one * two + one**3  # of rate² in the mean

    with mp.workdps(30):
        # where the order changes: the slope and the curvature of the mean in the rate vanish
        found = mp.findroot(
            lambda q, z: (excess(q, z), landau(q, z)),
            (mp.mpf("0.875"), mp.mpf("0.252")),
            tol=1e-12,
        )
    return constants | {
        "tricritical_drift": float(found[0]),
        "tricritical_place": float(found[1]),
    }


def _pays(drift: float, place: float) -> bool:
    return rs.first_passage(rs.DriftDiffusion(drift, 1.0), place, (0.0, 1.0)).best(rs.Poisson).pays


def picture() -> Figure:
    """Mean against rate across the first-order transition; optimal rate against drift."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    rates = np.logspace(0, 5, 300)
    for drift, colour in (
        (5.0, "#9ecae1"),
        (25.0, "#3182bd"),
        (45.4626, "#e6550d"),
        (70.0, "#fdae6b"),
    ):
        T = rs.first_passage(rs.DriftDiffusion(drift, 1.0), 0.05, (0.0, 1.0))
        means = np.asarray(T.under(rs.Poisson(rates)).mean()) / T.mean()
        left.plot(
            rates, means, color=colour, lw=1.8, label=f"$\\mu L/D$ = {drift:g}, CV = {T.cv():.2f}"
        )
    left.axhline(1, color="#999999", lw=0.8)
    left.set(xscale="log", ylim=(0, 2.2), xlabel="reset rate  $r\\,L^2/D$")
    left.set(ylabel="mean over the mean without resets")
    left.legend(frameon=False, fontsize=8, loc="upper left")
    left.set_title("Start at 0.05 L: a first-order transition", fontsize=10)
    for place, colour in ((0.05, "#e6550d"), (0.2, "#31a354"), (0.7, "#3182bd")):
        drifts = np.linspace(-2, 8, 61) if place > 0.1 else np.linspace(-2, 50, 61)
        optima = []
        for drift in drifts:
            best = rs.first_passage(rs.DriftDiffusion(drift, 1.0), place, (0.0, 1.0)).best(
                rs.Poisson
            )
            optima.append(float(best.rate) * min(place, 1 - place) ** 2 if best.pays else 0.0)
        right.plot(
            drifts * min(place, 1 - place),
            optima,
            ".-",
            ms=3,
            lw=1.2,
            color=colour,
            label=f"start at {place:g} L",
        )
    right.set(
        xlabel="drift  $\\mu d/D$,  $d$ the distance to the near end",
        ylabel="optimal rate  $r^* d^2/D$",
    )
    right.legend(frameon=False)
    right.set_title("It jumps to zero (0.05, 0.2), or is a window (0.7)", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main(quick: bool) -> Verdict:
    """Derive, confirm, reject; the claim holds if and only if nothing fails."""
    book = Ledger(required=20.0)
    with mp.workdps(50):
        transform(book)
        moments(book)
        resetting(book, 1 if quick else 8)
    constants = transitions(book, quick)
    worst = min(book.confirmed.values())
    sentence = (
        f"{len(book.proved)} statements proved, {len(book.confirmed)} confirmed at random points to"
        f" at least {worst:.0f} digits, {len(book.rejected)} wrong variants rejected; at"
        f" l/L = 0.05, mu L/D = 25 (CV² = {constants['squared_cv']:.4f}) the best rate is"
        f" {constants['first_order_rate']:.1f} D/L²; {len(book.failed)} failed"
    )
    numbers = {
        "proved": book.proved,
        "confirmed_digits": book.confirmed,
        "rejected_digits": book.rejected,
        "failed": book.failed,
        "constants": constants,
    }
    status = "holds" if book.stands else "fails"
    return Verdict(status, sentence, numbers, None if quick else picture())


if __name__ == "__main__":
    Study(__file__, main).command()
