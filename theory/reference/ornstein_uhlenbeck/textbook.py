"""The formulas as the papers have them, in mpmath; nothing of the package is imported.

With p = s/k and y = (x - c) sqrt(k/D), mirrored so that the target is above the start,

    E[exp(-sT)] = I(p, y0)/I(p, ya),  I(p, y) = integral of t^(p-1) exp(y t - t²/2) over t > 0,

which is also a pair of confluent hypergeometric functions. Far down the slope, where those cancel
hundreds of digits, the moments are the asymptotic series of the Mills ratio, integrated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import mpmath as mp

from ornstein_uhlenbeck.cross_checks import cross_check
from ornstein_uhlenbeck.points import POINTS

__all__ = ["POINTS", "TABLES", "cross_check", "exact"]

Number = mp.mpf
FAR = -20
LARGE = 60
"""Orders above which the integral is summed as it stands."""


# k, D, distance to the target, height of the target over the center; then the rate


def heights(k: Number, D: Number, gap: Number, high: Number) -> tuple[Number, Number]:
    """Start and target in spreads."""
    unit = mp.sqrt(k / D)
    return (high - gap) * unit, high * unit


def scaled(p: Number, y: Number) -> Number:
    """I(p, y) up to a factor that depends on p only, in confluent hypergeometric functions."""
    return _scaled(p, y, mp.mp.prec)


@lru_cache(maxsize=20_000)
def _scaled(p: Number, y: Number, precision: int) -> Number:
    # what cancels between the two below the center comes back as digits
    lost = int((y**2 / 2 + 2 * abs(y) * mp.sqrt(abs(p))) / 2.3) + 5 if y < 0 else 0
    with mp.workprec(precision + 4 * lost):
        return _pair(p, y)


def _pair(p: Number, y: Number) -> Number:
    z = y**2 / 2
    even = mp.gamma(1 + p / 2) * mp.hyp1f1(p / 2, mp.mpf(1) / 2, z)
    odd = mp.gamma((1 + p) / 2) * mp.hyp1f1((1 + p) / 2, mp.mpf(3) / 2, z)
    return even + p * y / mp.sqrt(2) * odd


def log_integral(p: Number, y: Number) -> Number:
    """log I(p, y), by the trapezoidal rule in log t, whose error falls exponentially."""
    return _log_integral(p, y, mp.mp.prec)


@lru_cache(maxsize=20_000)
def _log_integral(p: Number, y: Number, precision: int) -> Number:
    bits = precision + 20
    with mp.workprec(bits):
        top = (y + mp.sqrt(y**2 + 4 * p)) / 2
        sharp = top**2 + p
        # width of the peak, and the strip in which exp(-t²/2) stays bounded
        step = min(mp.mpf(2) / mp.sqrt(sharp * bits), 6 / mp.mpf(bits))
        total = mp.mpf(1)
        for side in (1, -1):
            grow, ratio, i = mp.exp(side * step), mp.mpf(1), 0
            while True:
                i += 1
                ratio *= grow
                e = ratio - 1
                drop = p * (side * i * step - e) - top**2 * e**2 / 2
                if drop < -0.7 * bits:
                    break
                total += mp.exp(drop)
        return p * mp.log(top) + top * (y - top / 2) + mp.log(step * total)


def rise(k: Number, D: Number, gap: Number, high: Number, s: Number) -> Number:
    """log I(p, ya) - log I(p, y0)."""
    y0, ya = heights(k, D, gap, high)
    p = s / k
    if p > LARGE:
        return log_integral(p, ya) - log_integral(p, y0)
    return mp.log(scaled(p, ya) / scaled(p, y0))


def mills(y0: Number, ya: Number, power: int) -> Number:
    """Integral of the coefficient of p (or of -p²) in I'/I, far down, from y0 to ya."""
    c, b = [], mp.mpf(0)
    total = mp.log(y0 / ya) if power == 1 else mp.mpf(0)
    slopes = [mp.mpf(1)]
    last = mp.inf
    for n in range(400):
        if power == 1:
            b = -b * (2 * n - 1) if n else mp.mpf(1)
            exponent = 2 * n
        else:
            c = sum(slopes[i] * slopes[n - i] for i in range(n + 1))
            b = c - (2 * n + 1) * b
            slopes.append(-slopes[-1] * (2 * n + 1))
            exponent = 2 * n + 2
        if exponent == 0:
            continue
        scale = b / exponent * ya ** (-exponent)
        term = scale * (1 - (ya / y0) ** exponent)
        if abs(scale) > last:
            break
        last = abs(scale)
        total += term
        if last < abs(total) * mp.mpf(10) ** (-mp.mp.dps):
            break
    return total


def antiderivative(y: Number) -> Number:
    """Integral of sqrt(2 pi) exp(u²/2) Phi(u) over (0, y)."""
    if y > -FAR:  # sqrt(2 pi) exp(u²/2) less the integrand at -u
        edge = mp.mpf(FAR)
        return mp.pi * mp.erfi(y / mp.sqrt(2)) + antiderivative(edge) - mills(-y, edge, 1)
    z = y**2 / 2
    half = mp.mpf(1) / 2
    return mp.pi / 2 * mp.erfi(y / mp.sqrt(2)) + z * mp.hyp2f2(1, 1, 3 * half, 2, z)


def mean(k: Number, D: Number, gap: Number, high: Number) -> Number:
    """Mean without resetting."""
    y0, ya = heights(k, D, gap, high)
    near = max(y0, mp.mpf(FAR))
    below = mills(y0, min(ya, near), 1) if y0 < FAR else mp.mpf(0)
    above = antiderivative(ya) - antiderivative(near) if ya > FAR else mp.mpf(0)
    return (below + above) / k


def log_mean(k: Number, D: Number, gap: Number, high: Number) -> Number:
    """Its logarithm."""
    return mp.log(mean(k, D, gap, high))


def curvature(y0: Number, ya: Number) -> Number:
    """Second derivative of -log f at p = 0, by differences of relative error 10^-digits."""
    digits = mp.mp.dps
    with mp.workdps(2 * digits + 10):
        h = mp.mpf(10) ** (-digits // 2)
        both = mp.log(scaled(h, ya) / scaled(h, y0)) + mp.log(scaled(-h, ya) / scaled(-h, y0))
        return both / h**2


def variance(k: Number, D: Number, gap: Number, high: Number) -> Number:
    """Variance without resetting."""
    y0, ya = heights(k, D, gap, high)
    near = max(y0, mp.mpf(FAR))
    below = 2 * mills(y0, min(ya, near), 2) if y0 < FAR else mp.mpf(0)
    above = -curvature(near, ya) if ya > FAR else mp.mpf(0)
    return (below + above) / k**2


def log_laplace(k: Number, D: Number, gap: Number, high: Number, s: Number) -> Number:
    """Logarithm of the transform."""
    return -rise(k, D, gap, high, s)


def poisson_mean(k: Number, D: Number, gap: Number, high: Number, r: Number) -> Number:
    """(1/f - 1)/r."""
    return mp.expm1(rise(k, D, gap, high, r)) / r


def poisson_log_mean(k: Number, D: Number, gap: Number, high: Number, r: Number) -> Number:
    """Its logarithm."""
    return mp.log(poisson_mean(k, D, gap, high, r))


TABLES: dict[str, dict[str, Callable[..., Number]]] = {
    "free": {"mean": mean, "log_mean": log_mean},
    "far": {"far_log_mean": log_mean},
    "spread": {"var": variance},
    "poisson": {
        "log_laplace": log_laplace,
        "poisson_mean": poisson_mean,
        "poisson_log_mean": poisson_log_mean,
    },
}


def exact(row: tuple[float, ...]) -> tuple[Number, ...]:
    """(k, D, distance, height of the target, rest) of a row, without rounding."""
    with mp.workdps(700):
        k, center, D, start, target, *rest = (mp.mpf(x) for x in row)
        up = mp.sign(target - start)
        return (k, D, abs(target - start), up * (target - center), *rest)
