"""Passage of the Ornstein–Uhlenbeck process to a point, and when resetting it helps.

Claim
-----
For dx = -k (x - c) dt + sqrt(2 D) dW and a target above the start, with y = (x - c) sqrt(k/D) and
p = s/k: E[exp(-s T)] = I(p, y0)/I(p, ya), I(p, y) the integral of t^(p-1) exp(y t - t²/2) over
t > 0; the mean and the variance are the integrals of ``resetsgd.symbolic.ornstein_uhlenbeck``; to
the center the law is elementary. Slow resetting helps if and only if the start is closer to the
target than a critical one: 1.0455 spreads at the center (k x0²/D < 1.0931), and from the bottom of
the bowl only for targets below 1.7108 spreads. The transition is continuous for every target.

Cost: about 60 s in full, 10 s in quick mode, one core.

Reference: Siegert, Phys. Rev. 81, 617 (1951); Pal, Phys. Rev. E 91, 012113 (2015); Ahmad, Nayak,
Bansal, Nandi and Das, Phys. Rev. E 99, 022130 (2019).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import mpmath as mp
import numpy as np
import sympy as sp
from matplotlib.figure import Figure

import resetsgd as rs
from resetsgd.campaign.study import Study, Verdict
from resetsgd.symbolic import ornstein_uhlenbeck as ou
from resetsgd.symbolic import symbols
from resetsgd.symbolic.ledger import Ledger, numeric

D, s, time = symbols.diffusivity, symbols.laplace_variable, symbols.time
k, y0, ya = ou.stiffness, ou.start, ou.target
c, x, y = sp.symbols("c x y", real=True)
p, t = sp.symbols("p t", positive=True)

TARGETS = {"-3": -3.50294, "-1": -1.79888, "0": -1.04552, "1": -0.38994, "2": 0.13668,
           "3": 0.49539, "4": 0.69229, "5": 0.80114, "6": 0.87377, "8": 0.97170}  # fmt: skip
"""Critical starts, to compare with."""


def random_points(count: int) -> Iterator[dict[sp.Symbol, mp.mpf]]:
    """Orders over two decades, starts and targets on either side of the center."""
    draw = random.Random(1951)
    for _ in range(count):
        low = mp.mpf(draw.uniform(-3, 1.5))
        order = mp.mpf(10) ** draw.uniform(-0.5, 1.5)
        stiffness = mp.mpf(10) ** draw.uniform(-1, 1)
        high = low + mp.mpf(10) ** draw.uniform(-1, 0.5)
        yield {y0: low, ya: high, k: stiffness, s: order * stiffness, p: order}


def integral(order: mp.mpf, place: mp.mpf) -> mp.mpf:
    """I(p, y) by quadrature in log t: the definition."""
    top = (place + mp.sqrt(place**2 + 4 * order)) / 2
    width = 1 / mp.sqrt(top**2 + order)
    inner = (-16, -12, -8, -4, -2, 0, 2, 4, 8, 12, 16)
    steps = {*(width * i for i in inner), *(-10 * i / order for i in range(1, 15))}
    edges = sorted(mp.log(top) + step for step in {min(step, mp.mpf(5)) for step in steps})

    def part(w: mp.mpf) -> mp.mpf:
        now = mp.exp(w)
        return mp.exp(order * w + place * now - now**2 / 2)

    return mp.quad(part, edges)


def transform(book: Ledger, count: int) -> None:
    """Step 1: the transform, from D u'' - k (x - c) u' - s u = 0 bounded for x -> -oo."""
    u = sp.Function("u")
    scaled = u((x - c) * sp.sqrt(k / D))
    backward = D * scaled.diff(x, 2) - k * (x - c) * scaled.diff(x) - s * scaled
    back = backward.subs(x, c + y * sp.sqrt(D / k)).doit()
    goal = k * (u(y).diff(y, 2) - y * u(y).diff(y) - s / k * u(y))
    for name, trial in (("cosine", sp.cos(3 * y)), ("power", y**5 - y)):
        # two functions tell the three coefficients apart at every y
        both = [e.replace(u, sp.Lambda(y, trial)).doit() for e in (back, goal)]
        book.prove(f"equation in spreads, tried on a {name}", sp.simplify(both[0] - both[1]))
    kernel = t ** (p - 1) * sp.exp(y * t - t**2 / 2)
    flow = t**p * sp.exp(y * t - t**2 / 2)
    applied = kernel.diff(y, 2) - y * kernel.diff(y) - p * kernel
    book.prove("the kernel solves it up to a derivative in t", sp.simplify(applied + flow.diff(t)))
    for name, place in (("above", sp.Integer(3)), ("at", sp.Integer(0)), ("below", -sp.Integer(3))):
        ends = [sp.limit(flow.subs({y: place, p: sp.Rational(3, 10)}), t, e, d)
                for e, d in ((0, "+"), (sp.oo, "-"))]  # fmt: skip
        book.prove(f"which vanishes at both ends, {name} the center", ends == [0, 0])
    depth = sp.Symbol("h", positive=True)
    bound = sp.integrate(t ** (p - 1) * sp.exp(-depth * t), (t, 0, sp.oo), conds="none")
    book.prove("bound below the center", sp.simplify(bound - sp.gamma(p) * depth**-p))
    book.prove("I vanishes for y -> -oo", sp.limit(bound.subs(p, 1), depth, sp.oo) == 0)
    # so that of the two solutions I(p, y) and I(p, -y) only the first is bounded, and its value at
    # the target divides out
    value = ou.laplace_transform()
    book.prove("transform at the target", sp.simplify(value.subs(y0, ya) - 1))
    fast = numeric(value)
    pairs, others = [], []
    for point in random_points(count):
        low, high, order = point[y0], point[ya], point[p]
        direct = integral(order, low) / integral(order, high)
        pairs.append((fast(point), direct))
        tilt = mp.exp((low**2 - high**2) / 4)
        others.append((direct, tilt * mp.pcfd(-order, -low) / mp.pcfd(-order, -high)))
    book.confirm("confluent hypergeometric form", pairs)
    book.confirm("parabolic cylinder form", others)
    wrong = {
        "start and target mirrored": (-1, 1, 1),
        "Hermite argument, spread sqrt(2 D/k)": (1, 1 / mp.sqrt(2), 1),
        "spread sqrt(D/k), order s": (1, 1, None),
    }
    for name, (sign, scale, order) in wrong.items():
        changed = []
        for q in random_points(count):
            moved = {**q, y0: sign * scale * q[y0], ya: sign * scale * q[ya]}
            if order is None:
                moved = {**moved, k: mp.mpf(1)}
            changed.append((fast(moved), fast(q)))
        book.reject(name, changed)
    book.reject(
        "parabolic cylinder form without its prefactor",
        [(mp.pcfd(-q[p], -q[y0]) / mp.pcfd(-q[p], -q[ya]), fast(q)) for q in random_points(count)],
    )


def moments(book: Ledger, count: int) -> None:
    """Step 2: mean and variance, from their own backward equations (k = 1)."""
    first, second = sp.Function("T1")(y), sp.Function("T2")(y)
    spread = second - first**2
    equation = spread.diff(y, 2) - y * spread.diff(y)
    known = {
        second.diff(y, 2): y * second.diff(y) - 2 * first,
        first.diff(y, 2): y * first.diff(y) - 1,
    }
    equation = sp.expand(equation.doit()).subs(known)
    book.prove("variance: V'' - y V' = -2 T1'²", sp.expand(equation + 2 * first.diff(y) ** 2))
    slope = ou.mean().subs(k, 1).args[0].subs(sp.Symbol("u", real=True), y)
    book.prove("mean: W' = 1 + y W with T1' = -W", sp.simplify(slope.diff(y) - 1 - y * slope))
    book.prove("no flux from -oo", sp.limit(slope * sp.exp(-(y**2) / 2), y, -sp.oo) == 0)
    inner = ou.variance().subs(k, 1) / 2
    w2 = inner.args[0].subs(sp.Symbol("u", real=True), y)
    book.prove("variance: W2' = y W2 + W² with V' = -2 W2",
               sp.simplify(w2.diff(y) - y * w2 - slope**2))  # fmt: skip
    pairs, curved = [], []
    for point in random_points(count):
        low, high, rate = point[y0], point[ya], point[k]
        one, two = cumulants(low, high, 2)
        weight = numeric(slope)
        with mp.workdps(40):
            mean = mp.quad(lambda u, f=weight: f({y: u}), mp.linspace(low, high, 5)) / rate
            pairs.append((mean, one / rate))

            curved.append((kernel_integral(low, high), two))
    book.confirm("mean against the slope of the transform", pairs)
    book.confirm("variance against the curvature of the transform", curved)


def kernel_integral(low: mp.mpf, high: mp.mpf) -> mp.mpf:
    """k² times the variance as an integral of one positive function.

    W(u) is the integral of exp(u t - t²/2) over t > 0. In 2 exp(u²/2) times the integral of
    exp(-x²/2) W² over x < u, with x = u - z, the exponents of both W and of z add up to
    u a - a²/2 + t t', a = t + t' + z; integrating over t and t' with a fixed leaves
    kappa(a) = a²/2 2F2(1, 1; 3/2, 2; a²/4), and over u from start to target the difference of
    exp(u a) there, over a.
    """

    def part(a: mp.mpf) -> mp.mpf:
        kappa = a**2 / 2 * mp.hyp2f2(1, 1, mp.mpf(3) / 2, 2, a**2 / 4)
        return kappa * mp.exp(-(a**2) / 2) * (mp.exp(high * a) - mp.exp(low * a)) / a

    return 2 * mp.quad(part, [0, 1, 2, 4, 7, 11, 16, 2 * max(high, 0) + 28])


def cumulants(low: mp.mpf, high: mp.mpf, count: int) -> list[mp.mpf]:
    """Cumulants of k T, from log J(p, y), J = p I, which is analytic at p = 0."""

    def log_j(order: mp.mpf, place: mp.mpf) -> mp.mpf:
        z, half = place**2 / 2, mp.mpf(1) / 2
        even = mp.gamma(1 + order / 2) * mp.hyp1f1(order / 2, half, z)
        odd = mp.gamma((1 + order) / 2) * mp.hyp1f1((1 + order) / 2, 3 * half, z)
        return mp.log(even + order * place / mp.sqrt(2) * odd)

    with mp.workdps(200):
        h = mp.mpf(10) ** -45

        def log_f(order: mp.mpf) -> mp.mpf:
            return log_j(order, low) - log_j(order, high)

        up, down, up2, down2 = (log_f(i * h) for i in (1, -1, 2, -2))
        raw = [-(up - down) / (2 * h), (up + down) / h**2,
               -(up2 - 2 * up + 2 * down - down2) / (2 * h**3)]  # fmt: skip
        return [+value for value in raw[:count]]


def center(book: Ledger, count: int) -> None:
    """Step 3: the target at the center, in closed form, from dS/dt = S'' - y S' (k = 1)."""
    late = ou.survival_to_center().subs({k: 1, sp.Abs(y0): y, y0: y})
    late = late.subs(sp.Abs(y), y)
    equation = late.diff(time) - late.diff(y, 2) + y * late.diff(y)
    book.prove("survival: backward equation in time", sp.simplify(equation))
    book.prove("survival: zero at the target", late.subs(y, 0) == 0)
    book.prove("survival: one at first", sp.limit(late.subs(y, 2), time, 0, "+") == 1)
    density = numeric(ou.density_to_center().subs(k, 1))
    value = numeric(ou.laplace_transform().subs({k: 1, ya: 0}))
    pairs = []
    for point in random_points(min(count, 6)):
        low, order = -abs(point[y0]) - mp.mpf("0.2"), point[p]

        def part(w: mp.mpf, low: mp.mpf = low, order: mp.mpf = order) -> mp.mpf:
            now = mp.exp(w)
            return now * mp.exp(-order * now) * density({y0: low, time: now})

        with mp.workdps(40):
            end = mp.log(150 / order)
            edges = [e for e in (-12, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4) if e < end]
            pairs.append((mp.quad(part, [*edges, end]), value({y0: low, s: order})))
    book.confirm("its transform", pairs)


def transitions(book: Ledger, quick: bool) -> dict[str, Any]:
    """Step 4: critical starts, the order of the transition, and the library's answer."""
    bowl = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=1.0)
    found: dict[str, Any] = {}
    sharp, landau, agree = [], [], []

    def excess(low: mp.mpf, high: mp.mpf) -> mp.mpf:
        mean, spread = cumulants(low, high, 2)
        return spread / mean**2 - 1

    names = ["-1", "0", "2"] if quick else list(TARGETS)
    for name in names:
        high = mp.mpf(name)
        guess = mp.mpf(TARGETS[name])
        with mp.workdps(45):
            low = mp.findroot(lambda z, h=high: excess(z, h), (guess, guess + mp.mpf("1e-3")),
                              solver="secant", tol=1e-50)  # fmt: skip
        mean, spread, third = cumulants(low, high, 3)
        raw = third + 3 * spread * mean + mean**3
        landau.append(raw / (6 * mean**3) > 1)
        found[name] = {"start": float(low), "third moment/(6 mean³)": float(raw / (6 * mean**3))}
        sharp.append(abs(low - guess) < 6e-6)
        T = rs.first_passage(bowl, float(low), float(high))
        agree.append(abs(T.cv() - 1) < 1e-13)
        for side, helps in ((-1e-3, False), (1e-3, True)):
            near = rs.first_passage(bowl, float(low) + side, float(high)).best(rs.Poisson)
            agree.append(near.pays == helps)
    book.prove("critical starts as tabulated", all(sharp))
    book.prove("third moment above 6 mean³ at all of them: continuous", all(landau))
    book.prove("the library resets on one side of them only", all(agree))
    with mp.workdps(45):
        low = mp.findroot(lambda z: excess(z, mp.mpf(0)), (-1.045, -1.046), solver="secant",
                          tol=1e-50)  # fmt: skip
        bottom = mp.findroot(lambda z: excess(mp.mpf(0), z), (1.71, 1.7111), solver="secant",
                             tol=1e-50)  # fmt: skip
        book.prove("to the center: k x0²/D = 1.0931125827", abs(low**2 - 1.0931125827) < 1e-10)
        book.prove("from the bottom: 1.71082 spreads", abs(bottom - 1.71082) < 5e-6)
    found["center, k x0²/D"] = float(low**2)
    found["from the bottom, highest target"] = float(bottom)
    return found


def picture() -> Figure:
    """The mean against the rate, and the critical start against the target."""
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    bowl = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=1.0)
    rates = np.geomspace(1e-2, 30, 300)
    starts = {-0.25: "#7f0000", -0.5: "#d7301f", -0.8: "#fc8d59", -1.0455: "#555555",
              -1.5: "#3182bd"}  # fmt: skip
    for start, colour in starts.items():
        T = rs.first_passage(bowl, start, 0.0)
        left.plot(rates, T.under(rs.Poisson(rates)).mean() / T.mean(), color=colour, lw=1.8,
                  label=f"{-start:g} spreads")  # fmt: skip
        best = T.best(rs.Poisson)
        if best.pays and best.rate > rates[0]:
            left.plot(best.rate, best.mean / T.mean(), "o", color=colour, ms=6, mec="white")
    left.axhline(1, color="#bbbbbb", lw=0.8, zorder=0)
    left.set(xscale="log", xlabel="reset rate  $r/k$", ylim=(0.4, 1.6), xlim=(1e-2, 30))
    left.set_ylabel("mean passage time over the reset-free one")
    left.legend(frameon=False, title="start, target at the center", alignment="left")
    left.set_title("Mean against rate; dots: optimum", fontsize=10)
    heights = np.linspace(-3, 6, 90)
    critical = [_critical(bowl, height) for height in heights]
    right.fill_between(heights, critical, heights, color="#fde0d2", lw=0)
    right.plot(heights, critical, color="#d7301f", lw=2.0, label="critical start")
    right.plot(heights, heights, color="#999999", lw=1.2, label="target")
    right.plot(0, -1.04552, "o", color="#d7301f", mec="white", ms=6)
    right.plot(1.71082, 0, "o", color="#d7301f", mec="white", ms=6)
    right.annotate("1.0455…", (0, -1.04552), xytext=(0.3, -1.6), fontsize=9)
    right.annotate("1.7108…", (1.71082, 0), xytext=(1.9, -0.55), fontsize=9)
    right.text(2.3, 1.1, "resetting helps", fontsize=9, color="#7f0000", rotation=38)
    right.set(xlim=(-3, 6), ylim=(-4, 5), xlabel="target, in spreads $\\sqrt{D/k}$")
    right.set_ylabel("start, in spreads")
    right.legend(frameon=False, loc="lower right")
    right.set_title("Where resetting starts to help", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _critical(bowl: rs.OrnsteinUhlenbeck, height: float) -> float:
    """Start at which the coefficient of variation is 1, by bisection on log CV."""
    low, high = height - 2.0 if height < 1.2 else -0.6, height - 1e-6
    for _ in range(30):
        middle = 0.5 * (low + high)
        above = rs.first_passage(bowl, middle, height).cv() > 1.0
        low, high = (low, middle) if above else (middle, high)
    return high


def main(quick: bool) -> Verdict:
    """Derive, confirm, reject; the claim holds if and only if nothing fails."""
    count = 2 if quick else 12
    book = Ledger(required=25.0)
    with mp.workdps(40):
        transform(book, count)
        moments(book, count)
        center(book, count)
        constants = transitions(book, quick)
    figure = picture()
    worst = min(book.confirmed.values())
    sentence = (
        f"{len(book.proved)} identities proved, {len(book.confirmed)} confirmed at random points to"
        f" at least {worst:.0f} digits, {len(book.rejected)} wrong variants rejected (agreement at"
        f" most {max(book.rejected.values()):.1f} digits); {len(book.failed)} failed. Resetting"
        f" helps to the center from k x0²/D < {constants['center, k x0²/D']:.10f}, from the bottom"
        f" to targets below {constants['from the bottom, highest target']:.5f} spreads"
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
