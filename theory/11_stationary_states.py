"""Stationary states under resetting, derived from the master equation.

Claim
-----
The master equation p_t = -(mu p)' + D p'' - r p + r delta(x - x_r) has at rest, without drift force
or in a trap, the densities and moments of ``resetsgd.symbolic.stationary``; partial resets x -> a x
leave the sum of scaled exponentials; SGD in a quadratic bowl has the long-run loss given there, in
continuous and in discrete time, seen after or before the coin, with and without momentum; in
continuous time rare resets pay if and only if the sum of Delta_i = d_i² - eta C_i/2h_i is negative,
and if the sum of h_i² Delta_i is then positive the best rate is finite. Each is proved with SymPy
or confirmed by a route that does not use the derivation; wrong variants are seen to be wrong.

Cost: about 40 s in full, 10 s in quick mode, one core.

Reference: Evans and Majumdar, Phys. Rev. Lett. 106, 160601 (2011); Pal, Phys. Rev. E 91, 012113
(2015); Tal-Friedman, Roichman and Reuveni, Phys. Rev. E 106, 054116 (2022); Mandt, Hoffman and
Blei, J. Mach. Learn. Res. 18, 134 (2017).
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
from resetsgd import sgd
from resetsgd.campaign.study import Study, Verdict
from resetsgd.symbolic import stationary as st
from resetsgd.symbolic import symbols
from resetsgd.symbolic.ledger import Ledger, numeric

D, r, t = symbols.diffusivity, symbols.rate, symbols.time
mu, x, home = st.drift, st.position, st.reset_point
k, c, a = st.stiffness, st.center, st.kept
h, eta, C, d = st.curvature, st.learning_rate, st.gradient_variance, st.checkpoint
p, beta = st.probability, st.momentum
y = sp.Symbol("y", positive=True)
g = eta * h


def random_points(count: int, seed: int = 11) -> Iterator[dict[sp.Symbol, mp.mpf]]:
    """Parameters over a decade each."""
    draw = random.Random(seed)
    for _ in range(count):
        point = {q: mp.mpf(10) ** draw.uniform(-0.5, 0.5) for q in (D, r, k, h, C)}
        point |= {q: mp.mpf(draw.uniform(-1.5, 1.5)) for q in (mu, x, home, c, d)}
        point |= {p: mp.mpf(draw.uniform(0.02, 0.9)), beta: mp.mpf(draw.uniform(0.1, 0.9))}
        yield point | {eta: mp.mpf(draw.uniform(0.05, 0.9)) / point[h], a: mp.mpf(draw.random())}


def free(book: Ledger, count: int) -> None:
    """Step 1: drift-diffusion. Exponentials on either side, joined at the reset point."""
    root = sp.sqrt(mu**2 + 4 * D * r)
    density = st.free_density()
    # y > 0 is the distance from the reset point, above and below it
    above = density.subs(x, home + y)
    below = density.subs(x, home - y)
    for name, side, sign in (("above", above, 1), ("below", below, -1)):
        flow = D * side.diff(y, 2) - sign * mu * side.diff(y) - r * side
        book.prove(f"master equation {name} the reset point", flow / side)
    book.prove("continuous", (above - below).subs(y, 0))
    jump = D * (above.diff(y) + below.diff(y)).subs(y, 0) + r
    book.prove("jump of the flux is the rate", jump)
    rates = [-sp.diff(sp.log(side), y) for side in (above, below)]
    book.prove("falls on both sides", sp.simplify(rates[0] * rates[1]) - r / D)
    areas = [r / root / rate for rate in rates]
    book.prove("normalised", sum(areas) - 1)
    first = areas[0] / rates[0] - areas[1] / rates[1]
    book.prove("mean", home + first - st.free_mean())
    second = 2 * areas[0] / rates[0] ** 2 + 2 * areas[1] / rates[1] ** 2
    book.prove("variance", second - first**2 - st.free_variance())
    cloud = sp.exp(-((x - home - mu * t) ** 2) / (4 * D * t)) / sp.sqrt(4 * sp.pi * D * t)
    spread, exact = numeric(r * sp.exp(-r * t) * cloud), numeric(density)
    pairs, wrong = [], []
    for point in random_points(count):

        def age(w: Any, point: Any = point) -> Any:
            now = mp.exp(w)
            return now * spread({**point, t: now})

        edges = [-120, -40, -20, -10, -5, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6]
        pairs.append((mp.quad(age, edges), exact(point)))
        wrong.append((exact({**point, r: point[r] / 2}), exact(point)))
    book.confirm("density = propagator averaged over exponential ages", pairs)
    book.reject("density with half the rate", wrong)


def trap(book: Ledger, count: int) -> None:
    """Step 2: a trap. Moments from the master equation, the density of Pal checked by it."""
    m, s = sp.symbols("m s")
    found = sp.solve(
        [k * (c - m) + r * (home - m), 2 * D + 2 * k * (c * m - s) + r * (home**2 - s)], [m, s]
    )
    book.prove("mean in a trap", found[m] - st.trapped_mean())
    book.prove("variance in a trap", found[s] - found[m] ** 2 - st.trapped_variance())
    book.prove("at rest without resets", st.trapped_variance().subs(r, 0) - D / k)
    balance, jumps, areas, wrong = [], [], [], []
    for point in random_points(max(1, count // 4), seed=12):
        v = {str(q): value for q, value in point.items()}

        def density(at: Any, v: Any = v) -> Any:
            q = v["r"] / v["k"]
            one, two = ((z - v["c"]) * mp.sqrt(v["k"] / v["D"]) for z in (at, v["x_r"]))
            front = mp.sqrt(v["k"] / v["D"] / (2 * mp.pi)) * q * mp.gamma(q)
            front *= mp.exp(-(one**2 - two**2) / 4)
            return front * mp.pcfd(-q, max(one, two)) * mp.pcfd(-q, -min(one, two))

        at = v["x_r"] + mp.mpf("0.4")
        value, slope, bend = (mp.diff(density, at, n) for n in range(3))
        gain = v["D"] * bend + v["k"] * ((at - v["c"]) * slope + value)
        balance.append((gain, v["r"] * value))
        wrong.append((gain, v["r"] * value / 2))
        sides = [mp.diff(density, v["x_r"], direction=sign) for sign in (1, -1)]
        jumps.append((v["D"] * (sides[1] - sides[0]), v["r"]))
        reach = 12 * mp.sqrt(v["D"] / v["k"]) + abs(v["x_r"]) + abs(v["c"])
        cuts = sorted([v["c"] - reach, v["c"], v["x_r"], v["c"] + reach])
        with mp.workdps(40):
            areas.append((mp.quad(density, cuts), mp.mpf(1)))
    book.confirm("density in a trap: master equation", balance)
    book.confirm("density in a trap: jump of the flux", jumps)
    book.confirm("density in a trap: normalised", areas)
    book.reject("master equation with r/2", wrong)


def partial(book: Ledger, count: int) -> None:
    """Step 3: partial resets y -> a y."""
    s = sp.Symbol("s")
    # d<y²>/dt = 2D - 2k<y²> - r (1 - a²) <y²>
    square = sp.solve(2 * D - 2 * k * s - r * (1 - a**2) * s, s)[0]
    book.prove("variance under partial resets", square - st.partial_variance())
    book.prove("full resets", st.partial_variance().subs(a, 0) - 2 * D / (2 * k + r))
    equal, curved = [], []
    for point in random_points(count, seed=13):
        keep, ratio = point[a] * mp.mpf("0.8"), point[D] / point[r]

        def transform(q: Any, keep: Any = keep, ratio: Any = ratio) -> Any:
            return mp.nprod(lambda n: 1 / (1 + ratio * keep ** (2 * n) * q * q), [0, 400])

        q = mp.mpf("1.3")
        # Fourier transform of 0 = D p'' - r p + (r/a) p(x/a)
        left = (point[D] * q * q + point[r]) * transform(q)
        equal.append((left, point[r] * transform(keep * q)))
        step = mp.mpf("1e-12")
        second = (2 - 2 * transform(step)) / step**2
        curved.append((second, 2 * ratio / (1 - keep**2)))
    book.confirm("characteristic function of partial resets", equal)
    rough = Ledger(required=20)
    rough.confirm("its curvature is the variance", curved)
    book.confirmed |= rough.confirmed
    book.failed += rough.failed


def bowl(book: Ledger, count: int) -> None:
    """Step 4: one direction of a bowl, continuous and discrete, and when resets pay."""
    s = sp.Symbol("s")
    noise = eta**2 * C
    square = sp.solve(noise - 2 * g * s + r * (d**2 - s), s)[0]
    book.prove("continuous: second moment", h * square / 2 - st.bowl_loss())
    book.prove("continuous: slope", st.bowl_slope() - st.bowl_loss().diff(r))
    book.prove("continuous: no resets", st.bowl_loss().subs(r, 0) - eta * C / 4)
    book.prove("continuous: at the checkpoint", sp.limit(st.bowl_loss(), r, sp.oo) - h * d**2 / 2)
    delta = d**2 - eta * C / (2 * h)
    book.prove("slope at rate 0 is Delta", st.bowl_slope().subs(r, 0) - delta / (4 * eta))
    book.prove("slope at large rates", sp.limit(st.bowl_slope() * r**2, r, sp.oo) - h * g * delta)
    q = 1 - p
    rest = sp.solve(q * ((1 - g) ** 2 * s + noise) + p * d**2 - s, s)[0]
    book.prove("discrete, after the coin", h * rest / 2 - st.discrete_loss())
    moved = (1 - g) ** 2 * rest + noise
    book.prove("discrete, before", h * moved / 2 - st.discrete_loss("move-look-coin"))
    plain = st.discrete_loss().subs(p, 0)
    book.prove("finite learning rate: 1/(1 - eta h/2)", plain - eta * C / 4 / (1 - g / 2))
    small = sp.Symbol("epsilon", positive=True)
    slow = st.discrete_loss().subs({eta: small * eta, p: small * r, C: C / small})
    target = st.bowl_loss().subs({eta: small * eta, r: small * r, C: C / small})
    book.prove("small steps: the diffusion", sp.limit(slow / target, small, 0) - 1)
    pairs, wrong = [], []
    exact, before = numeric(st.discrete_loss()), numeric(st.discrete_loss("move-look-coin"))
    for point in random_points(count, seed=14):
        step, keep = point[eta] * point[h], 1 - point[p]
        moment = mp.mpf(0)
        for _ in range(20000):
            last = moment
            moment = keep * ((1 - step) ** 2 * moment + point[eta] ** 2 * point[C])
            moment += point[p] * point[d] ** 2
            if abs(moment - last) < mp.mpf(10) ** -60:
                break
        pairs.append((point[h] * moment / 2, exact(point)))
        wrong.append((before(point), exact(point)))
    book.confirm("long recursion", pairs)
    book.reject("before the coin for after", wrong)


def heavy_ball(book: Ledger, count: int) -> None:
    """Step 5: momentum. Three moments, one determinant, factored."""
    root, e = sp.Symbol("rho", positive=True), sp.Symbol("e")
    A, B, V = sp.symbols("A B V")  # E theta², E theta delta, E delta²
    q = root**2
    stepped = beta**2 * V + g**2 * A - 2 * beta * g * B + eta**2 * C
    cross = beta * B - g * A + stepped
    square = A + 2 * (beta * B - g * A) + stepped
    system = [
        q * square + (1 - q) * d**2 - A,
        q * cross + (1 - q) * d * e - B,
        q * stepped + (1 - q) * e**2 - V,
    ]
    matrix, _ = sp.linear_eq_to_matrix(system, [A, B, V])
    determinant = sp.factor(-matrix.det())
    factored = st.heavy_ball_determinant().subs(p, 1 - q)
    book.prove("determinant factors", sp.expand(determinant - (1 - q * beta) * factored))
    solved = sp.solve([eq.subs(e, 0) for eq in system], [A, B, V], dict=True)[0][A]
    rest = sp.simplify(solved.subs(root, 1))
    book.prove(
        "stationary heavy ball",
        rest - eta * C / (2 * h * (1 - beta)) / (1 - g / (2 * (1 + beta))),
    )
    pairs = []
    value = numeric((h * solved / 2).subs(root, sp.sqrt(1 - p)))
    for point in random_points(max(3, count // 3), seed=15):
        shipped = sgd.long_run_loss(
            float(point[h]), float(point[C]), float(point[d]), float(point[eta]),
            probability=float(point[p]), momentum=float(point[beta]),
        )  # fmt: skip
        rounded = {symbol: mp.mpf(float(number)) for symbol, number in point.items()}
        pairs.append((mp.mpf(float(np.asarray(shipped))), value(rounded)))
    rough = Ledger(required=13)
    rough.confirm("the shipped numbers, in float64", pairs)
    book.confirmed |= rough.confirmed
    book.failed += rough.failed


def picture() -> Figure:
    """Densities at rest, and the long-run loss against the rate for three checkpoints."""
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    grid = np.linspace(-3.2, 3.6, 500)
    process = rs.OrnsteinUhlenbeck(stiffness=1.0, center=-1.0, diffusivity=0.3)
    for rate, colour in ((0.0, "#555555"), (0.3, "#3182bd"), (1.5, "#fc8d59"), (8.0, "#d7301f")):
        state = rs.stationary(process, rs.Poisson(rate), reset_to=1.0)
        left.plot(grid, state.density(grid), color=colour, lw=1.8, label=f"r = {rate:g} k")
    left.axvline(1.0, color="#bbbbbb", lw=0.8, zorder=0)
    left.set(xlabel="position", ylabel="density", xlim=(-3.2, 3.2), ylim=(0, 1.5))
    left.set_title("A trap at -1, resets to 1", fontsize=10)
    left.legend(frameon=False)
    rates = np.geomspace(1e-6, 1.0, 400)
    hessian, noise, step = np.array([1.0, 1e-3]), np.array([0.1, 1.0]), 0.1
    for name, gap, colour in (
        ("good along flat, bad along sharp", [0.3, 1.0], "#d7301f"),
        ("bad along flat", [0.02, 12.0], "#555555"),
        ("good along both", [0.02, 1.0], "#3182bd"),
    ):
        loss = sgd.long_run_loss(hessian, noise, gap, step, rate=rates)
        right.plot(rates, loss, color=colour, lw=1.8, label=name)
        best = sgd.best_reset(hessian, noise, gap, step, parameter="rate")
        if 0 < best.value < np.inf:
            right.plot(best.value, best.loss, "o", color=colour, mec="white", ms=7)
    right.set(xscale="log", yscale="log", xlabel="resets per step", ylabel="long-run loss")
    right.set_title("A bowl with two directions", fontsize=10)
    right.legend(frameon=False, title="checkpoint", alignment="left")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main(quick: bool) -> Verdict:
    """Derive, confirm, reject; the claim holds if and only if nothing fails."""
    count = 2 if quick else 12
    book = Ledger()
    with mp.workdps(70):
        free(book, count)
        trap(book, count)
        partial(book, count)
        bowl(book, count)
        heavy_ball(book, count)
    figure = picture()
    sentence = (
        f"{len(book.proved)} identities proved by SymPy, {len(book.confirmed)} confirmed at random"
        f" points, {len(book.rejected)} wrong variants rejected; {len(book.failed)} failed"
    )
    numbers = {
        "proved": book.proved,
        "confirmed_digits": book.confirmed,
        "rejected_digits": book.rejected,
        "failed": book.failed,
    }
    return Verdict("holds" if book.stands else "fails", sentence, numbers, figure)


if __name__ == "__main__":
    Study(__file__, main).command()
