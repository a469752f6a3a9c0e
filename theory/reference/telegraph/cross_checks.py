"""Routes to the tabulated values that do not use their formulas: the backward equations."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mpmath as mp

__all__ = ["cross_check"]

Number = mp.mpf
REQUIRED = 25  # digits


def swept(
    v: Number, g: Number, across: Number, s: Number, steps: int = 60
) -> Callable[[Number], list[Number]]:
    """f(x) of the lower end for both headings, from the matrix exponential of the two equations.

    v f+' = (g + s) f+ - g f-, -v f-' = (g + s) f- - g f+, f-(0) = 1, f+(l) = 0.
    """
    rows = mp.matrix([[(g + s) / v, -g / v], [g / v, -(g + s) / v]])

    def through(x: Number) -> Number:
        power = mp.expm(rows * x / steps, method="taylor")
        return power**steps

    whole = through(across)
    first = -whole[0, 1] / whole[0, 0]  # f+(0), so that f+(l) = 0
    return lambda x: list(through(x) * mp.matrix([first, 1]))


def pairs(
    tables: dict[str, dict[str, Callable[..., Number]]],
) -> Iterator[tuple[str, Number, Number]]:
    """(function, tabulated value, value by another route)."""
    half, leave, poisson = (tables[name] for name in ("half_line", "exit", "poisson"))
    zero = mp.mpf(0)
    for v, g, x, y, r in (
        (*map(mp.mpf, case),)
        for case in (("1.3", "0.8", "0.9", "2.1", "0.7"), ("0.2", "3", "0.1", "0.05", "2"))
    ):
        long = 60 * (v + g * x) / mp.sqrt(r * (r + 2 * g)) + x  # far enough for exp(-60)
        lower, far = swept(v, g, x + y, r), swept(v, g, long, r, 400)
        upper = swept(v, g, x + y, r)(y)
        for h, pick in ((1, (1, 0)), (-1, (0, 1)), (0, (mp.mpf("0.5"), mp.mpf("0.5")))):
            low = pick[0] * lower(x)[1] + pick[1] * lower(x)[0]
            # from the upper end x and y, and the headings, change places
            high = pick[0] * upper[0] + pick[1] * upper[1]
            f = pick[0] * far(x)[1] + pick[1] * far(x)[0]
            yield "log_laplace", half["log_laplace"](h, v, g, x, r), mp.log(f)
            yield "poisson_mean", half["poisson_mean"](h, v, g, x, r), (1 / f - 1) / r
            yield "side_log_laplace", poisson["side_log_laplace"](h, v, g, x, y, r), mp.log(low)
            total = mp.log(low + high)
            yield "exit_log_laplace", poisson["exit_log_laplace"](h, v, g, x, y, r), total
            # moments: v m+' = g (m+ - m-) - q+, and so on, by the same propagation with sources
            one, second = moments(h, v, g, x, y)
            yield "mean", leave["mean"](h, v, g, x, y), one
            yield "var", leave["var"](h, v, g, x, y), second - one**2
            at = swept(v, g, x + y, zero)(x)
            yield "lower", leave["lower"](h, v, g, x, y), pick[0] * at[1] + pick[1] * at[0]


def moments(h: int, v: Number, g: Number, x: Number, y: Number) -> tuple[Number, Number]:
    """First and second moment from polynomials that solve the moment equations."""
    across = x + y

    def solve(source: tuple[list[Number], list[Number]]) -> tuple[list[Number], list[Number]]:
        """v p' + g (m - p) = -a, -v m' + g (p - m) = -b; p(l) = m(0) = 0; powers of x."""
        degree = max(map(len, source)) + 2
        size = 2 * degree
        matrix, right = mp.zeros(size + 2, size), mp.zeros(size + 2, 1)
        for k in range(degree):
            for row, (own, other, way) in ((k, (0, degree, 1)), (degree + k, (degree, 0, -1))):
                if k + 1 < degree:
                    matrix[row, own + k + 1] += way * v * (k + 1)
                matrix[row, other + k] += g
                matrix[row, own + k] -= g
                part = source[0] if own == 0 else source[1]
                right[row] = -part[k] if k < len(part) else mp.mpf(0)
        for k in range(degree):
            matrix[size, k] = across**k
        matrix[size + 1, degree] = 1
        found = mp.lu_solve(matrix, right)
        return list(found[:degree]), list(found[degree:])

    first = solve(([mp.mpf(1)], [mp.mpf(1)]))
    second = solve(tuple([2 * c for c in part] for part in first))  # type: ignore[arg-type]

    def at(parts: tuple[list[Number], list[Number]]) -> Number:
        up, down = (mp.polyval(part[::-1], x) for part in parts)
        return (1 + h) / 2 * down + (1 - h) / 2 * up

    return at(first), at(second)


def cross_check(tables: dict[str, dict[str, Callable[..., Number]]]) -> str:
    """Run all of them; a line with the worst agreement of each function, or an error."""
    worst: dict[str, float] = {}
    with mp.workdps(80):
        for name, value, other in pairs(tables):
            gap = abs(value - other) / max(abs(value), abs(other))
            digits = float(-mp.log10(gap)) if gap else 80.0
            worst[name] = min(worst.get(name, 80.0), digits)
    failed = [name for name, digits in worst.items() if digits < REQUIRED]
    if failed:
        raise ArithmeticError(f"cross-check failed for {failed}: {worst}")
    return "cross-checked, digits: " + ", ".join(f"{n} {d:.0f}" for n, d in worst.items())
