"""Routes to the tabulated values that do not use their formulas: backward equation, densities."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mpmath as mp

__all__ = ["cross_check"]

Number = mp.mpf
REQUIRED = 15  # digits


def pairs(
    tables: dict[str, dict[str, Callable[..., Number]]],
) -> Iterator[tuple[str, Number, Number]]:
    """(function, tabulated value, value by another route)."""
    for d, D, r, a, s in (
        (*map(mp.mpf, case),)
        for case in (("2.5", "0.7", "0.6", "1.1", "1.9"), ("1", "2", "0.3", "0.9", "3"))
    ):
        # D (f'' + (d-1)/x f') = s f with f'(0) = 0: the power series of the solution
        def regular(x: Number, d: Number = d, D: Number = D, s: Number = s) -> Number:
            term, total, k = mp.mpf(1), mp.mpf(1), 0
            while term > total * mp.eps:
                k += 2
                term *= s * x * x / (D * k * (k + d - 2))
                total += term
            return total

        f = regular(r) / regular(a)
        yield "log_laplace_inside", tables["inside"]["log_laplace_inside"](d, D, r, a, s), mp.log(f)
        yield "poisson_mean", tables["inside"]["poisson_mean"](d, D, r, a, s), (1 / f - 1) / s
        # D (u'' + (d-1)/x u') = -1 twice
        one = mp.quad(lambda x: mp.quad(lambda y: y ** (d - 1), [0, x]) / x ** (d - 1) / D, [r, a])  # noqa: B023
        yield "mean", tables["free"]["mean"](d, D, r, a), one
        yield "log_mean", tables["free"]["log_mean"](d, D, r, a), mp.log(one)

        def first(y: Number, d: Number = d, D: Number = D, a: Number = a) -> Number:
            return (a * a - y * y) / (2 * d * D)

        two = mp.quad(
            lambda x: (
                mp.quad(lambda y: 2 * first(y) * y ** (d - 1), [0, x])  # noqa: B023
                / (x ** (d - 1) * D)  # noqa: B023
            ),
            [r, a],
        )
        yield "std", tables["free"]["std"](d, D, r, a), mp.sqrt(two - one**2)
    for d, D, r, s in (
        (*map(mp.mpf, case),) for case in (("-1.4", "0.7", "1.3", "0.8"), ("1", "2", "0.9", "3"))
    ):
        density = tables["law"]["density"]

        def g(t: Number, p: tuple[Number, ...] = (d, D, r)) -> Number:
            return density(*p, 0, t)  # noqa: B023

        cuts = [r * r / D * mp.mpf(10) ** k for k in (-3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 2, 3)]
        f = mp.quad(lambda t: mp.exp(-s * t) * g(t), [0, *cuts])  # noqa: B023
        yield "log_laplace_origin", tables["origin"]["log_laplace_origin"](d, D, r, 0, s), mp.log(f)
        # the density solves g_t = D (g_rr + (d-1)/r g_r)
        t = r * r / D
        slope = mp.diff(lambda x: density(d, D, r, 0, x), t)  # noqa: B023
        curve = mp.diff(lambda x: density(d, D, x, 0, t), r, 2)  # noqa: B023
        steep = mp.diff(lambda x: density(d, D, x, 0, t), r)  # noqa: B023
        yield "density", slope, D * (curve + (d - 1) / r * steep)
        yield (
            "survival",
            tables["law"]["survival"](d, D, r, 0, t),
            1 - mp.quad(g, [0, t / 50, t / 10, t / 3, t]),
        )
    for d, D, r, a, s in (
        (*map(mp.mpf, case),)
        for case in (
            ("3.6", "0.7", "1.9", "1.1", "1.9"),
            ("-1", "2", "2", "0.9", "0.3"),
            ("2", "1", "2", "1", "1"),
        )
    ):
        nu = abs(1 - d / 2)

        # x^nu K_nu(x) as the integral of t^(-nu-1) exp(-t - x²/4t), a superposition of densities
        def solution(x: Number, nu: Number = nu, s: Number = s, D: Number = D) -> Number:
            q = s * x * x / (4 * D)
            return mp.quad(
                lambda w: mp.exp(-mp.exp(w) - q * mp.exp(-w) - nu * w), [-9, -6, -4, -2, 0, 2, 4, 6]
            )

        power = (r / a) ** (1 - d / 2 + nu)
        f = power * solution(r) / solution(a)
        yield (
            "log_laplace_outside",
            tables["outside"]["log_laplace_outside"](d, D, r, a, s),
            mp.log(f),
        )


def cross_check(tables: dict[str, dict[str, Callable[..., Number]]]) -> str:
    """Run all of them; a line with the worst agreement of each function, or an error."""
    worst: dict[str, float] = {}
    with mp.workdps(40):
        for name, value, other in pairs(tables):
            gap = abs(value - other) / max(abs(value), abs(other))
            digits = float(-mp.log10(gap)) if gap else 40.0
            worst[name] = min(worst.get(name, 40.0), digits)
    failed = [name for name, digits in worst.items() if digits < REQUIRED]
    if failed:
        raise ArithmeticError(f"cross-check failed for {failed}: {worst}")
    return "cross-checked, digits: " + ", ".join(f"{n} {d:.0f}" for n, d in worst.items())
