"""A route to the tabulated values that does not use their formulas: the backward equation.

u(z) = E[exp(-sT)] from a distance z to the wall solves D u'' - nu u' = s u with u'(0) = 0, and is
scaled to 1 at the target. Moments solve the same equation with the previous moment as its source.
All are power series in z with recursive coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mpmath as mp

__all__ = ["cross_check"]

Number = mp.mpf
REQUIRED = 25  # digits

CASES = [
    (nu, D, x, y, unit)
    for nu in ("-2", "0", "3")
    for D, x, y, unit in (
        ("0.7", "0.3", "0.9", "2"),
        ("30", "4", "0", "0.05"),
        ("1", "2", "0.01", "1"),
    )
]
_TERMS = 400


def series(nu: Number, D: Number, s: Number, source: list[Number], value: Number) -> list[Number]:
    """Coefficients in z, the distance from the wall, of D w'' - nu w' = s w - source, w'(0) = 0.

    Along z the drift is -nu.
    """
    w = [value, mp.mpf(0)]
    for n in range(_TERMS):
        drift = -nu * (n + 1) * w[n + 1]
        w.append((s * w[n] - source[n] - drift) / (D * (n + 2) * (n + 1)))
    return w


def at(w: list[Number], z: Number) -> Number:
    """Value of a power series."""
    return mp.polyval(w[::-1], z)


def pairs(
    tables: dict[str, dict[str, Callable[..., Number]]],
) -> Iterator[tuple[str, Number, Number]]:
    """(function, tabulated value, value by another route)."""
    f = {name: function for group in tables.values() for name, function in group.items()}
    nothing = [mp.mpf(0)] * (_TERMS + 1)
    for nu, D, x, y, unit in ((*map(mp.mpf, case),) for case in CASES):
        place, L = (nu, D, x, y), x + y
        rate = unit * D / x**2
        # first and second moments: D m'' + drift m' = -1, then -2 m
        one = [mp.mpf(1), *nothing[1:]]
        first = series(nu, D, mp.mpf(0), one, mp.mpf(0))
        first[0] -= at(first, L)
        second = series(nu, D, mp.mpf(0), [2 * c for c in first], mp.mpf(0))
        second[0] -= at(second, L)
        mean, square = at(first, y), at(second, y)
        yield "mean", f["mean"](*place), mean
        yield "log_mean", f["log_mean"](*place), mp.log(mean)
        yield "var", f["var"](*place), square - mean**2
        u = series(nu, D, rate, nothing, mp.mpf(1))
        hit = at(u, y) / at(u, L)
        yield "laplace", f["laplace"](*place, rate), hit
        yield "log_laplace", f["log_laplace"](*place, rate), mp.log(hit)
        trial = (1 - hit) / rate
        yield "poisson_mean", f["poisson_mean"](*place, rate), trial / hit
        yield "poisson_log_mean", f["poisson_log_mean"](*place, rate), mp.log(trial / hit)
        # E[T exp(-rT)] = -du/ds: the same equation with u as the source
        scaled = [c / at(u, L) for c in u]
        delayed = series(nu, D, rate, scaled, mp.mpf(0))
        shift = at(delayed, L) / at(u, L)
        late = at(delayed, y) - shift * at(u, y)
        both = 2 * (trial - late) / rate
        value = (both + 2 * (trial - late) * trial / hit) / hit - (trial / hit) ** 2
        yield "poisson_var", f["poisson_var"](*place, rate), value


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
