"""Routes to the tabulated values that do not use their formulas: quadrature and minimisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mpmath as mp

__all__ = ["cross_check"]

Number = mp.mpf
REQUIRED = 25  # digits

# (v, D, L) and the rate (or s, or t) in units of D/L² (or its inverse)
CASES = [
    (peclet, D, L, unit)
    for peclet in ("-1.5", "-0.3", "0", "0.4", "1", "4")
    for D, L, unit in (("0.7", "1.3", "2"), ("1e-5", "3e2", "0.05"))
]


def density(v: Number, D: Number, L: Number, t: Number) -> Number:
    """Inverse-Gaussian density: the one formula that everything here starts from."""
    return L / mp.sqrt(4 * mp.pi * D * t**3) * mp.exp(-((L - v * t) ** 2) / (4 * D * t))


def integral(function: Callable[[Number], Number], scale: Number, upper: Number) -> Number:
    """Integral over (0, upper) in log t; the integrand dies doubly exponentially to the left."""
    top = mp.log(upper)
    edges = [mp.log(scale) + k for k in (-6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 8, 11)]
    edges = [*(e for e in edges if e < top), top]
    return mp.quad(lambda w: mp.exp(w) * function(mp.exp(w)), edges)


def pairs(
    tables: dict[str, dict[str, Callable[..., Number]]],
) -> Iterator[tuple[str, Number, Number]]:
    """(function, tabulated value, value by another route)."""
    f = {name: function for group in tables.values() for name, function in group.items()}
    for peclet, D, L, unit in ((*map(mp.mpf, case),) for case in CASES):
        v, scale = 2 * D * peclet / L, L**2 / D
        rate, t, s = unit / scale, unit * scale, 3 * unit / scale

        def g(time: Number, p: tuple[Number, Number, Number] = (v, D, L)) -> Number:
            return density(*p, time)

        def transformed(
            k: int, x: Number, d: Callable[[Number], Number] = g, c: Number = scale
        ) -> Number:
            """E[T^k exp(-x T)]."""
            return integral(lambda q: q**k * mp.exp(-x * q) * d(q), c, 200 / x)

        hit = transformed(0, rate)
        yield "laplace", f["laplace"](v, D, L, rate), hit
        yield "log_laplace", f["log_laplace"](v, D, L, rate), mp.log(hit)
        # the trial between two resets: success P(T < R) = hit, E[min(T, R)] = (1 - hit)/rate,
        # second moments from E[T exp(-rT)]
        trial = (1 - hit) / rate
        square = 2 * (1 - hit - rate * transformed(1, rate)) / rate**2
        cross = trial - transformed(1, rate)  # E[R; R < T]
        mean = trial / hit
        yield "poisson_mean", f["poisson_mean"](v, D, L, rate), mean
        yield "poisson_log_mean", f["poisson_log_mean"](v, D, L, rate), mp.log(mean)
        yield (
            "poisson_var",
            f["poisson_var"](v, D, L, rate),
            (square + 2 * cross * mean) / hit - mean**2,
        )
        # first renewal: E[e^{-sT_r}] = E[e^{-sT}; T < R] + E[e^{-sR}; R < T] E[e^{-sT_r}]
        early = transformed(0, rate + s)
        again = rate * (1 - early) / (rate + s)
        yield (
            "poisson_log_laplace",
            f["poisson_log_laplace"](v, D, L, rate, s),
            mp.log(early / (1 - again)),
        )
        arrived = integral(g, scale, t)
        yield "survival", f["survival"](v, D, L, t), 1 - arrived
        min_mean = integral(lambda q, d=g: q * d(q), scale, t) + t * (1 - arrived)
        yield "restricted_mean", f["restricted_mean"](v, D, L, t), min_mean
        if v > 0:
            end = 400 * D / v**2 + 20 * L / v
            first = integral(lambda q, d=g: q * d(q), scale, end)
            spread = integral(lambda q, d=g, m=first: (q - m) ** 2 * d(q), scale, end)
            yield "mean", f["mean"](v, D, L), first
            yield "log_mean", f["log_mean"](v, D, L), mp.log(first)
            yield "var", f["var"](v, D, L), spread
            yield "std", f["std"](v, D, L), mp.sqrt(spread)
            yield "cv", f["cv"](v, D, L), mp.sqrt(spread) / first
        if peclet < 1:
            best = f["optimal_rate"](v, D, L)
            # three nested parabolas through the mean around the claimed minimum
            h = best * mp.mpf(10) ** -16
            left, middle, right = (f["poisson_mean"](v, D, L, best + k * h) for k in (-1, 0, 1))
            vertex = best + h * (left - right) / (2 * (left - 2 * middle + right))
            yield "optimal_rate", best, vertex


def cross_check(tables: dict[str, dict[str, Callable[..., Number]]]) -> str:
    """Run all of them; a line with the worst agreement of each function, or an error."""
    worst: dict[str, float] = {}
    with mp.workdps(60):
        for name, value, other in pairs(tables):
            gap = abs(value - other) / max(abs(value), abs(other))
            digits = float(-mp.log10(gap)) if gap else 60.0
            worst[name] = min(worst.get(name, 60.0), digits)
    failed = [name for name, digits in worst.items() if digits < REQUIRED]
    if failed:
        raise ArithmeticError(f"cross-check failed for {failed}: {worst}")
    return "cross-checked, digits: " + ", ".join(f"{n} {d:.0f}" for n, d in worst.items())
