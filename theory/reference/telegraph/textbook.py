"""The formulas as derived by hand, in mpmath; nothing of the package is imported."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

from telegraph.cross_checks import cross_check
from telegraph.points import POINTS

__all__ = ["POINTS", "TABLES", "cross_check", "exact"]

Number = mp.mpf


class Heading(int):
    """A heading, -1, 0 or 1: a choice and no number that rounding moves."""

    def __mul__(self, other: object) -> Heading:  # type: ignore[override]
        """Itself: condition numbers multiply each input by nearly one."""
        return self


# h the heading toward the target (or the lower end) as -1, 0, 1; v, g, then distances, then rate


def waves(v: Number, g: Number, s: Number) -> tuple[Number, Number]:
    """k and A = exp(-c)."""
    root = mp.sqrt(s * (s + 2 * g))
    return root / v, (g + s - root) / g


def half_transform(h: int, v: Number, g: Number, L: Number, s: Number) -> Number:
    """E[exp(-sT)] to a point at a distance L."""
    k, A = waves(v, g, s)
    return mp.exp(-k * L) * ((1 + h) / 2 + (1 - h) / 2 * A)


def half_log(h: int, v: Number, g: Number, L: Number, s: Number) -> Number:
    """Its logarithm."""
    return mp.log(half_transform(h, v, g, L, s)) if s > 0 else mp.mpf(0)


def half_mean(h: int, v: Number, g: Number, L: Number, r: Number) -> Number:
    """(1 - f)/(r f)."""
    if r == 0:
        return mp.inf
    f = half_transform(h, v, g, L, r)
    return (1 - f) / (r * f)


def side_transform(h: int, v: Number, g: Number, x: Number, y: Number, s: Number) -> Number:
    """E[exp(-sT); lower end] at x from the lower and y from the upper end."""
    k, A = waves(v, g, s)
    if s == 0:
        toward, away = (g * y / v + 1) / (g * (x + y) / v + 1), g * y / v / (g * (x + y) / v + 1)
        return (1 + h) / 2 * toward + (1 - h) / 2 * away
    low, high = mp.exp(-k * x), mp.exp(-k * (x + 2 * y))
    bottom = 1 - A**2 * mp.exp(-2 * k * (x + y))
    toward, away = (low - A**2 * high) / bottom, A * (low - high) / bottom
    return (1 + h) / 2 * toward + (1 - h) / 2 * away


def side_log(h: int, v: Number, g: Number, x: Number, y: Number, s: Number) -> Number:
    """Its logarithm."""
    return mp.log(side_transform(h, v, g, x, y, s))


def exit_log(h: int, v: Number, g: Number, x: Number, y: Number, s: Number) -> Number:
    """log E[exp(-sT)] of the exit at either end."""
    if s == 0:
        return mp.mpf(0)
    return mp.log(side_transform(h, v, g, x, y, s) + side_transform(int(-h), v, g, y, x, s))


def chance(h: int, v: Number, g: Number, x: Number, y: Number, none: Number = 0) -> Number:
    """Probability to leave at the lower end."""
    return side_transform(h, v, g, x, y, mp.mpf(0))


def exit_mean(h: int, v: Number, g: Number, x: Number, y: Number, none: Number = 0) -> Number:
    """Mean time of exit."""
    return g * x * y / v**2 + ((1 + h) / 2 * x + (1 - h) / 2 * y) / v


def exit_var(h: int, v: Number, g: Number, x: Number, y: Number, none: Number = 0) -> Number:
    """Variance: that of either heading, and of the mean between them."""
    d, u = g * x / v, g * y / v
    toward = (u**3 * d + d**3 * u + d**3) / 3 + u**2 * d
    away = (d**3 * u + u**3 * d + u**3) / 3 + d**2 * u
    mixed = (1 + h) / 2 * toward + (1 - h) / 2 * away + (1 - abs(h)) * (d - u) ** 2 / 4
    return mixed / g**2


TABLES: dict[str, dict[str, Callable[..., Number]]] = {
    "half_line": {"log_laplace": half_log, "poisson_mean": half_mean},
    "exit": {"mean": exit_mean, "var": exit_var, "lower": chance},
    "poisson": {"exit_log_laplace": exit_log, "side_log_laplace": side_log},
}


def exact(row: tuple[float, ...]) -> tuple[Number, ...]:
    """(heading to the target or lower end, v, g, distances, rest), without rounding."""
    with mp.workdps(700):
        heading, (v, g, start, *rest) = int(row[0]), (mp.mpf(x) for x in row[1:])
        if len(row) == 6:  # to a point; else out of an interval
            gap = start - rest[0]
            return (Heading(-int(mp.sign(gap)) * heading), v, g, abs(gap), rest[1])
        low, high = rest[:2]
        return (Heading(-heading), v, g, start - low, high - start, *rest[2:])
