"""Routes to the tabulated values that do not use their formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mpmath as mp

__all__ = ["cross_check"]

Number = mp.mpf
REQUIRED = 25  # digits

# start and target in spreads; order s/k
CASES = [
    ("-1.5", "0.7", "0.3"),
    ("-21", "-3", "2"),
    ("0.2", "3", "1e-6"),
    ("-0.8", "0", "70"),
    ("-30", "-22", "0.5"),
    ("-25", "-24.9", "90"),
]


def slope(u: Number) -> Number:
    """sqrt(2 pi) exp(u²/2) Phi(u), the slope of the mean."""
    return mp.sqrt(mp.pi / 2) * mp.exp(u**2 / 2) * mp.erfc(-u / mp.sqrt(2))


def second(u: Number) -> Number:
    """exp(u²/2) times the integral of exp(-x²/2) slope² below u."""
    edges = [u - 30 / (1 + abs(u)), u - 3 / (1 + abs(u)), u]
    low = [edges[0] - 40 / (1 + abs(u))]
    return mp.quad(lambda x: mp.exp((u**2 - x**2) / 2) * slope(x) ** 2, [*low, *edges])


def quadrature(p: Number, y: Number) -> Number:
    """log I(p, y) by quadrature of the positive integrand in log t, peak divided out."""
    top = (y + mp.sqrt(y**2 + 4 * p)) / 2
    width = 1 / mp.sqrt(top**2 + p)

    def part(x: Number) -> Number:
        e = mp.expm1(x)
        return mp.exp(p * (x - e) - top**2 * e**2 / 2)

    left = sorted({*(-width * j for j in (0, 1, 2, 4, 8, 16)), -100 / p if p < 10 else -24 * width})
    right = [width * j for j in (0, 1, 2, 4, 8, 16)]
    edges = [e for e in left if e >= min(-100 / p, -24 * width)] + right[1:]
    return p * mp.log(top) + top * (y - top / 2) + mp.log(mp.quad(part, edges))


def precisely(function: Callable[..., Number]) -> Callable[..., Number]:
    """The function at a precision that outlives what cancels in it."""

    def value(*arguments: Number) -> Number:
        with mp.workdps(400):
            return function(*arguments)

    return value


def pairs(
    tables: dict[str, dict[str, Callable[..., Number]]],
) -> Iterator[tuple[str, Number, Number]]:
    """(function, tabulated value, value by another route)."""
    f = {name: precisely(function) for group in tables.values() for name, function in group.items()}
    k, D = mp.mpf("0.7"), mp.mpf("1.3")
    unit = mp.sqrt(k / D)
    for low, high, order in ((*map(mp.mpf, case),) for case in CASES):
        point = (k, D, (high - low) / unit, high / unit)
        edges = mp.linspace(low, high, 5)
        first = mp.quad(slope, edges) / k
        yield "mean", f["mean"](*point), first
        yield "log_mean", f["log_mean"](*point), mp.log(first)
        if high - low < 1:
            with mp.workdps(30):
                spread = 2 * mp.quad(second, [low, high]) / k**2
            yield "var", f["var"](*point), spread
        rate = order * k
        if order < 10:  # parabolic cylinder functions as mpmath has them
            ratio = mp.exp((high**2 - low**2) / 4) * mp.pcfd(-order, -high) / mp.pcfd(-order, -low)
            gain = mp.log(ratio)
        else:
            gain = quadrature(order, high) - quadrature(order, low)
        yield "log_laplace", f["log_laplace"](*point, rate), -gain
        yield "poisson_mean", f["poisson_mean"](*point, rate), mp.expm1(gain) / rate
        log = mp.log(mp.expm1(gain) / rate)
        yield "poisson_log_mean", f["poisson_log_mean"](*point, rate), log


def cross_check(tables: dict[str, dict[str, Callable[..., Number]]]) -> str:
    """Compare both routes; raises if any pair does not agree."""
    worst: dict[str, float] = {}
    with mp.workdps(40):
        for name, value, other in pairs(tables):
            gap = abs(value - other)
            digits = float(-mp.log10(gap / abs(other))) if gap else 40.0
            if digits < REQUIRED:
                raise ArithmeticError(f"{name}: {value} against {other}, {digits:.1f} digits")
            worst[name] = min(digits, worst.get(name, 40.0))
    return ", ".join(f"{name} to {digits:.0f} digits" for name, digits in worst.items())
