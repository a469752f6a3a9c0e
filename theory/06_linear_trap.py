"""The linear trap over its kink, derived from the backward equation on either side.

Claim
-----
For dx = -w sign(x) dt + sqrt(2 D) dW from b to a target a > 0 above b, R = sqrt(w² + 4 D s):
E[exp(-s T)] = u(b)/u(a) with u = exp((R - w) x/2D) below the kink and
[(R - w) exp((R + w) x/2D) + w exp(-(R - w) x/2D)]/R above it. From the kink the mean is
2 D (exp(w a/D) - 1)/w² - a/w. Slow resets pay exactly beyond a critical start, which moves from
below the kink to above it as the target climbs; there the transition is continuous. Every
expression of ``resetsgd.symbolic.linear_trap`` is derived here and confirmed at random points by a
route that does not use the derivation; wrong variants are seen to be wrong.

Cost: about 20 s in full, 6 s in quick mode, one core.

Reference: Risken, The Fokker-Planck Equation (1989), section 5.4; Pal and Prasad, Phys. Rev.
Research 1, 032001 (2019), for the order of the transition.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import mpmath as mp
import numpy as np
import sympy as sp
from matplotlib.figure import Figure

from resetsgd.campaign.study import Study, Verdict
from resetsgd.symbolic import linear_trap, symbols
from resetsgd.symbolic.ledger import Ledger, numeric

D, s = symbols.diffusivity, symbols.laplace_variable
w, a, b = linear_trap.slope, linear_trap.target, linear_trap.start
x = sp.Symbol("x", real=True)

Point = dict[sp.Symbol, Any]
CRITICAL = {"0.5": -1.33315, "1": -0.75660, "2": -0.07926, "4": 0.70291, "8": 1.44295}
"""Target and critical start for w = D = 1, to the digits known before this study."""


def random_points(count: int) -> Iterator[Point]:
    """Parameters over a decade each; starts below and above the kink in turn."""
    draw = random.Random(1989)
    for i in range(count):
        point = {q: mp.mpf(10) ** draw.uniform(-0.5, 0.5) for q in (D, s, w, a)}
        share = draw.uniform(0.05, 0.9) if i % 2 else draw.uniform(-1.5, 0)
        yield point | {b: share * point[a]}


def backward(f: sp.Expr, side: int) -> sp.Expr:
    """D f'' - w sign(x) f'."""
    return D * f.diff(x, 2) - side * w * f.diff(x)


def transform(book: Ledger) -> None:
    """Step 1: the transform."""
    for side in (1, -1):
        u = linear_trap.solution(x, side > 0)
        residual = sp.simplify(sp.expand(backward(u, side) - s * u))
        book.prove(f"backward equation, {'above' if side > 0 else 'below'}", residual)
    above, below = linear_trap.solution(x, True), linear_trap.solution(x, False)
    book.prove("continuous at the kink", sp.simplify((above - below).subs(x, 0)))
    book.prove("slope continuous at the kink", sp.simplify((above - below).diff(x).subs(x, 0)))
    rate = sp.simplify(below.diff(x) / below)
    book.prove("bounded far below", bool(sp.limit(rate.subs({w: 1, D: 1}), s, 1) > 0))
    book.prove("1 at the target", sp.simplify(linear_trap.laplace_transform(True).subs(b, a) - 1))
    for part in (True, False):
        chance = sp.limit(linear_trap.laplace_transform(part).subs({w: 1, D: 1}), s, 0, "+")
        book.prove(f"arrival is certain, start above: {part}", sp.simplify(chance - 1))


def moments(book: Ledger) -> None:
    """Step 2: mean and variance, from the equations D m'' - w sign m' = -1, = -2 m."""

    def by_start(value: sp.Expr) -> sp.Expr:
        return value.subs(b, x)

    above, below = by_start(linear_trap.mean(True)), by_start(linear_trap.mean(False))
    second = {
        part: by_start(linear_trap.variance(part) + linear_trap.mean(part) ** 2)
        for part in (True, False)
    }
    for name, one, two, source in (
        ("mean", above, below, (sp.Integer(1), sp.Integer(1))),
        ("second moment", second[True], second[False], (2 * above, 2 * below)),
    ):
        book.prove(f"{name}: equation above", sp.simplify(sp.expand(backward(one, 1) + source[0])))
        book.prove(f"{name}: equation below", sp.simplify(sp.expand(backward(two, -1) + source[1])))
        book.prove(f"{name}: continuous at the kink", sp.simplify((one - two).subs(x, 0)))
        kink = (one - two).diff(x).subs(x, 0)
        book.prove(f"{name}: slope continuous at the kink", sp.simplify(kink))
        book.prove(f"{name}: 0 at the target", sp.simplify(one.subs(x, a)))
    # below, only the slowly growing solution: a polynomial in x, no exp(-w x/D)
    book.prove("mean: linear far below", below.diff(x, 2))


def cumulants(p: Point, highest: int) -> list[Any]:
    """Cumulants from Cauchy integrals of log f over a circle around s = 0."""
    f = numeric(linear_trap.laplace_transform(bool(p[b] > 0)))
    radius = p[w] ** 2 / p[D] * mp.exp(-p[w] * p[a] / p[D]) / 8
    count = 64
    values = []
    for i in range(count):
        turn = mp.expjpi(mp.mpf(2 * i + 1) / count)
        values.append((turn, mp.log(f({**p, s: radius * turn}))))
    return [
        (-1) ** n
        * mp.factorial(n)
        * mp.fsum(v * turn**-n for turn, v in values).real
        / count
        / radius**n
        for n in range(1, highest + 1)
    ]


def by_other_routes(book: Ledger, count: int) -> dict[str, float]:
    """Step 3: quadrature of the potential, Cauchy integrals, critical starts."""
    means = {part: numeric(linear_trap.mean(part)) for part in (True, False)}
    variances = {part: numeric(linear_trap.variance(part)) for part in (True, False)}
    pairs, spreads = [], []
    for p in random_points(count):
        start, part = p[b], bool(p[b] > 0)

        def below(y: Any, p: Point = p) -> Any:
            tail = p[D] / p[w]
            with mp.workdps(40):
                if y <= 0:
                    return tail * mp.exp(p[w] * y / p[D])
                return tail + mp.quad(lambda z: mp.exp(-p[w] * z / p[D]), [0, y])

        cuts = [start, p[a]] if part else [start, 0, p[a]]
        with mp.workdps(40):
            value = mp.quad(lambda y, p=p: mp.exp(p[w] * abs(y) / p[D]) * below(y, p) / p[D], cuts)
        pairs.append((means[part](p), value))
        spreads.append((variances[part](p), cumulants(p, 2)[1]))
    book.confirm("mean = quadrature of the potential", pairs)
    book.required, kept = 12.0, book.required
    book.confirm("variance = Cauchy integral of the transform", spreads)
    constants = {}
    for target, known in CRITICAL.items():
        p = {D: mp.mpf(1), w: mp.mpf(1), a: mp.mpf(target)}

        def excess(place: Any, p: Point = p) -> Any:
            q, part = {**p, b: place}, bool(place > 0)
            return variances[part](q) - means[part](q) ** 2

        root = mp.findroot(excess, (known - 1e-3, known + 1e-3), solver="anderson", tol=1e-40)
        constants[f"critical start, a = {target}"] = float(root)
        one, two, three = cumulants({**p, b: root}, 3)
        third = three + 3 * two * one + one**3
        book.prove(f"transition continuous, a = {target}", bool(third > 6 * one**3))
    book.required = 4.0
    book.confirm(
        "critical starts as known before, to their digits",
        [(constants[f"critical start, a = {n}"], value) for n, value in CRITICAL.items()],
    )
    book.required = kept
    return constants


def controls(book: Ledger, count: int) -> None:
    """Step 4: the same checks on formulas that are wrong on purpose."""
    points = list(random_points(count))
    right = [numeric(linear_trap.laplace_transform(part)) for part in (False, True)]
    root = sp.sqrt(w**2 + 4 * D * s)
    plain = sp.exp(-(root - w) * (a - b) / (2 * D))
    away = sp.exp(-(root + w) * (a - b) / (2 * D))
    kinkless = (sp.exp((root - w) * b / (2 * D))) / sp.exp((root - w) * a / (2 * D))
    for name, f in (
        ("drift toward the target all the way", plain),
        ("drift away from it all the way", away),
        ("the solution below used above", kinkless),
    ):
        wrong = numeric(f)
        book.reject(name, [(right[bool(p[b] > 0)](p), wrong(p)) for p in points])
    mean = numeric(linear_trap.mean(False))
    wrong = numeric(D / w**2 * (sp.exp(w * a / D) - 1) - a / w - b / w)
    lower = [p for p in points if p[b] <= 0]
    book.reject("mean with half the stay below", [(mean(p), wrong(p)) for p in lower])


def picture(constants: dict[str, float]) -> Figure:
    """The mean against the rate, and the critical start against the target."""
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    f = sp.lambdify((b, s), linear_trap.laplace_transform(True).subs({w: 1, D: 1, a: 2}), "numpy")
    rates = np.geomspace(1e-3, 30, 300)
    for start, colour in ((0.0, "#3182bd"), (0.8, "#9ecae1"), (1.4, "#fc8d59"), (1.8, "#d7301f")):
        value = f(start, rates)
        left.plot(
            rates, (1 - value) / (rates * value), color=colour, lw=1.8, label=f"b = {start:g}"
        )
    left.set(xscale="log", yscale="log", xlabel="reset rate  $r\\,D/w^2$", ylim=(0.2, 300))
    left.set_ylabel("mean passage time  $\\langle T_r\\rangle\\,w^2/D$")
    left.set_title("To a target at a = 2 (units of D/w)", fontsize=10)
    left.legend(frameon=False)
    targets = [float(name) for name in CRITICAL]
    starts = list(constants.values())
    right.fill_between(targets, starts, targets, color="#fdd0a2", lw=0)
    right.plot(targets, starts, "o-", color="#d7301f", lw=2.0, mec="white")
    right.plot(targets, targets, color="#555555", lw=1.0)
    right.axhline(0, color="#bbbbbb", lw=0.8)
    right.text(5.2, 3.4, "resetting pays", ha="center", fontsize=10)
    right.text(5.5, -0.9, "it does not", ha="center", fontsize=10, color="#555555")
    right.set(xlim=(0.5, 8), ylim=(-2, 8), xlabel="target  $a\\,w/D$", ylabel="start  $b\\,w/D$")
    right.set_title("Critical start; the kink is at 0", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main(quick: bool) -> Verdict:
    """Derive, confirm, reject; the claim holds if and only if nothing fails."""
    count = 2 if quick else 16
    book = Ledger()
    with mp.workdps(60):
        transform(book)
        moments(book)
        constants = by_other_routes(book, count)
        controls(book, max(count, 6))
    sentence = (
        f"{len(book.proved)} identities proved by SymPy, {len(book.confirmed)} confirmed at random"
        f" points, the mean to {book.confirmed['mean = quadrature of the potential']:.0f} digits,"
        f" {len(book.rejected)} wrong variants rejected (agreement at most"
        f" {max(book.rejected.values()):.1f} digits); {len(book.failed)} failed"
    )
    numbers = {
        "proved": book.proved,
        "confirmed_digits": book.confirmed,
        "rejected_digits": book.rejected,
        "failed": book.failed,
        "constants": constants,
    }
    return Verdict("holds" if book.stands else "fails", sentence, numbers, picture(constants))


if __name__ == "__main__":
    Study(__file__, main).command()
