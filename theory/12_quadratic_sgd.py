"""Discrete SGD in a quadratic bowl with resets at every step, in the long run.

Claim
-----
For theta' = theta - eta (H theta + xi), xi with covariance C, reset to the checkpoint d with
probability p after each step, the second-moment matrix about the minimum tends, if and only if
(1 - p) (1 - eta h)² < 1 for every curvature h, to the solution of
Sigma = (1 - p) (A Sigma A + eta² C) + p d d^T seen after the coin, A Sigma A + eta² C before it,
A = 1 - eta H. One mode is monotone in p: resets then pay always or never; several modes can have a
best p inside. With momentum and no resets a mode has the variance
eta c (1 + beta)/(h (1 - beta) (2 (1 + beta) - eta h)). Wrong variants are seen to be wrong.

Cost: about 5 s in full, 3 s in quick mode, one core.

Reference: Mandt, Hoffman and Blei, J. Mach. Learn. Res. 18, 134 (2017) for the limit of small
learning rates; Evans and Majumdar, Phys. Rev. Lett. 106, 160601 (2011) for resetting.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import mpmath as mp
import numpy as np
import sympy as sp
from matplotlib.figure import Figure

from resetsgd.campaign.study import Study, Verdict
from resetsgd.symbolic import quadratic_sgd as qs
from resetsgd.symbolic.ledger import Ledger, numeric

eta, h, c, p, d, beta = (
    qs.eta,
    qs.curvature,
    qs.noise,
    qs.probability,
    qs.distance,
    qs.momentum,
)
Point = Mapping[sp.Symbol, Any]


def points(count: int) -> Iterator[dict[sp.Symbol, mp.mpf]]:
    """Learning rates on both sides of eta h = 1 and of 2, where only resets keep the mode."""
    draw = random.Random(12)
    for i in range(count):
        x = [mp.mpf(draw.uniform(0.05, 0.9)), mp.mpf(draw.uniform(1.1, 1.9)), mp.mpf("2.05")][i % 3]
        chance = mp.mpf(draw.uniform(0.25, 0.6))
        stiff = mp.mpf(10) ** draw.uniform(-1, 1)
        yield {h: stiff, eta: x / stiff, c: mp.mpf(10) ** draw.uniform(-1, 1), p: chance,
               d: mp.mpf(draw.uniform(-2, 2))}  # fmt: skip


def second_moment(book: Ledger) -> None:
    """One mode: the fixed point of the recursion of E[theta²], and when it is stable."""
    m, a = sp.Symbol("m"), qs.contraction()
    # a move squares: E[(a theta - eta xi)²] = a² m + eta² c, as xi has mean zero
    moved = a**2 * m + eta**2 * c
    after = (1 - p) * moved + p * d**2
    fixed = sp.solve(sp.Eq(after, m), m)[0]
    book.prove("after the coin", fixed - qs.second_moment_after_coin())
    book.prove("before the coin", moved.subs(m, fixed) - qs.second_moment_before_coin())
    book.prove(
        "the recursion contracts by (1 - p) a²",
        after.diff(m) - (1 - p) * a**2,
    )
    free = qs.second_moment_after_coin().subs(p, 0)
    book.prove("no resets", free - qs.stationary_variance())
    slope = qs.second_moment_after_coin().diff(p)
    book.prove("slope at rare resets", slope.subs(p, 0) - qs.slope_at_rare_resets())
    # the numerator of the slope does not depend on p: one mode is monotone
    numerator = sp.simplify(slope * (1 - (1 - p) * a**2) ** 2)
    book.prove("one mode is monotone", sp.expand(numerator).diff(p))
    rate = sp.Symbol("r", positive=True)
    slow = sp.limit(qs.second_moment_after_coin().subs(p, rate * eta), eta, 0)
    book.prove("small learning rate", slow - (rate * d**2 / (rate + 2 * h)))
    scaled = qs.second_moment_after_coin().subs({p: rate * eta, c: c / eta})
    book.prove(
        "diffusion with 2 D = eta c", sp.limit(scaled, eta, 0) - (rate * d**2 + c) / (rate + 2 * h)
    )


def heavy_ball(book: Ledger) -> None:
    """Momentum: three linear equations for E[theta²], E[theta v], E[v²]."""
    q, k, w = sp.symbols("q k w")  # moments of (theta, theta), (theta, v), (v, v)
    # v' = beta v + h theta + xi, theta' = theta - eta v'
    vv = beta**2 * w + 2 * beta * h * k + h**2 * q + c
    tv_old = beta * k + h * q  # E[theta v']
    tt = q - 2 * eta * tv_old + eta**2 * vv
    tv = tv_old - eta * vv
    solution = sp.solve([sp.Eq(tt, q), sp.Eq(tv, k), sp.Eq(vv, w)], [q, k, w], dict=True)[0]
    book.prove("heavy ball: variance", solution[q] - qs.heavy_ball_variance())
    book.prove("heavy ball: no momentum", qs.heavy_ball_variance().subs(beta, 0)
               - qs.stationary_variance())  # fmt: skip
    # characteristic polynomial x² - (1 + beta - eta h) x + beta; at x = -1 it touches the circle
    edge = sp.solve(sp.Eq(1 + (1 + beta - eta * h) + beta, 0), eta)[0]
    book.prove("heavy ball: edge of stability", edge - 2 * (1 + beta) / h)


def matrices(book: Ledger, count: int) -> None:
    """Several modes: the entries in the Hessian's axes against the matrix recursion, iterated."""
    draw = random.Random(21)

    def pairs() -> Iterator[tuple[Any, Any]]:
        for _ in range(count):
            size, rate, chance = 3, mp.mpf("0.3"), mp.mpf(draw.uniform(0.2, 0.5))
            turn = mp.qr(mp.matrix([[draw.gauss(0, 1) for _ in range(size)] for _ in range(size)]))[
                0
            ]
            curvatures = [mp.mpf(draw.uniform(0.2, 3.0)) for _ in range(size)]
            hessian = turn * mp.diag(curvatures) * turn.T
            root = mp.matrix([[draw.gauss(0, 1) for _ in range(size)] for _ in range(size)])
            noise, place = root * root.T, mp.matrix([draw.gauss(0, 1) for _ in range(size)])
            move = mp.eye(size) - rate * hessian
            sigma = mp.zeros(size)
            for _ in range(700):
                sigma = (1 - chance) * (move * sigma * move + rate**2 * noise)
                sigma += chance * place * place.T
            inside = turn.T * sigma * turn
            noise_in, place_in = turn.T * noise * turn, turn.T * place
            for i in range(size):
                for j in range(i, size):
                    x, y = sp.symbols("x y")
                    entry = qs.covariance_after_coin(x, y, sp.Symbol("C"), sp.Symbol("dd"))
                    value = numeric(entry)({
                        x: curvatures[i], y: curvatures[j], sp.Symbol("C"): noise_in[i, j],
                        sp.Symbol("dd"): place_in[i] * place_in[j], eta: rate, p: chance,
                    })  # fmt: skip
                    yield inside[i, j], value

    book.confirm("matrix = 700 steps of its recursion", pairs())


def recursions(book: Ledger, count: int) -> None:
    """One mode, and heavy ball, against their recursions, iterated."""
    after, before = qs.second_moment_after_coin(), qs.second_moment_before_coin()
    formula, formula_before = numeric(after), numeric(before)

    def run(q: Point) -> tuple[mp.mpf, mp.mpf]:
        m = moved = mp.mpf(0)
        for _ in range(900):
            moved = (1 - q[eta] * q[h]) ** 2 * m + q[eta] ** 2 * q[c]
            m = (1 - q[p]) * moved + q[p] * q[d] ** 2
        return m, moved

    def one_mode() -> Iterator[tuple[Any, Any]]:
        for q in points(count):
            m, moved = run(q)
            yield formula(q), m
            yield formula_before(q), moved

    def ball() -> Iterator[tuple[Any, Any]]:
        of = numeric(qs.heavy_ball_variance())
        for q in points(count):
            for drag in (mp.mpf("0.3"), mp.mpf("0.8")):
                rate = mp.mpf("0.4") / q[h]
                a = b = w = mp.mpf(0)
                for _ in range(1600):
                    w = drag**2 * w + 2 * drag * q[h] * b + q[h] ** 2 * a + q[c]
                    cross = drag * b + q[h] * a
                    a, b = a - 2 * rate * cross + rate**2 * w, cross - rate * w
                yield of({**q, eta: rate, beta: drag}), a

    book.confirm("one mode = 900 steps of its recursion", one_mode())
    book.confirm("heavy ball = 1600 steps of its recursion", ball())
    wrong = {
        "before taken for after": before,
        "noise not thinned by the coin": after
        + p * eta**2 * c / (1 - (1 - p) * qs.contraction() ** 2),
        "diffusion at a finite learning rate": (p * d**2 + eta**2 * c) / (p + 2 * eta * h),
    }
    for name, expression in wrong.items():
        value = numeric(expression)
        book.reject(name, ((value(q), run(q)[0]) for q in points(count)))


def two_modes(book: Ledger) -> tuple[Figure, dict[str, float]]:
    """A checkpoint good along the flat and bad along the sharp direction has a best p inside."""
    rate, curvatures, spread = 0.1, np.array([0.05, 2.0]), np.array([40.0, 0.2])
    places = np.array([0.3, 0.5])
    chance = np.geomspace(1e-5, 1.0, 400)
    m = sp.lambdify((h, c, d, eta, p), qs.second_moment_after_coin())
    terms = zip(curvatures, spread, places, strict=True)
    loss = sum(0.5 * k * m(k, s, x, rate, chance) for k, s, x in terms)
    none = sum(0.5 * k * m(k, s, 0.0, rate, 0.0) for k, s in zip(curvatures, spread, strict=True))
    best = int(np.argmin(loss))
    book.prove("two modes: the best p lies inside", bool(0 < best < 399 and loss[best] < none))
    slope = numeric(qs.slope_at_rare_resets())
    total = sum(
        k / 2 * slope({h: k, c: s, d: x, eta: rate})
        for k, s, x in zip(curvatures, spread, places, strict=True)
    )
    book.prove("two modes: rare resets pay as their slope says", bool(total < 0))
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.loglog(chance, loss, label="resets to the checkpoint")
    axes.axhline(none, color="0.5", linestyle="--", label="no resets")
    axes.plot(chance[best], loss[best], "o", color="C3", label="best")
    axes.set(xlabel="probability of a reset per step", ylabel="long-run mean loss",
             title="Two modes: flat (h = 0.05) and sharp (h = 2)")  # fmt: skip
    axes.legend()
    return figure, {"best_probability": float(chance[best]), "gain": float(none / loss[best])}


def main(quick: bool) -> Verdict:
    """Derive, confirm, reject; the claim holds if and only if nothing fails."""
    count = 3 if quick else 12
    book = Ledger()
    with mp.workdps(70):
        second_moment(book)
        heavy_ball(book)
        recursions(book, count)
        matrices(book, 1 if quick else 4)
        figure, best = two_modes(book)
    sentence = (
        f"{len(book.proved)} identities proved, {len(book.confirmed)} confirmed by recursion to at"
        f" least {min(book.confirmed.values()):.0f} digits, {len(book.rejected)} wrong variants"
        f" rejected; two modes: best p = {best['best_probability']:.3g}, loss lower by a factor"
        f" {best['gain']:.3g}; {len(book.failed)} failed"
    )
    numbers = {
        "proved": book.proved,
        "confirmed_digits": book.confirmed,
        "rejected_digits": book.rejected,
        "failed": book.failed,
        "two_modes": best,
    }
    return Verdict("holds" if book.stands else "fails", sentence, numbers, figure)


if __name__ == "__main__":
    Study(__file__, main).command()
