"""Reference values of the closed forms, by mpmath at 80 digits or more: ``python make_tables.py``.

The formulas are the plain textbook ones, not the arranged float64 ones of ``resetsgd.passage``, and
nothing of the package is imported. Each value is computed at growing precision until two precisions
agree to 45 digits, so cancellation costs time, not accuracy. mpmath starts from the exact binary
values of drift, diffusivity, start, target, rate (or s, or t) that are stored, so the inputs carry
no error at all.

With every value goes its condition number kappa: the sum over the inputs v, D, L and rate (or s, or
t) of abs(d ln f / d ln x), that is, by how much rounding each input once can change the result.
L = abs(start - target) counts as an input because float64 rounds that difference once.

Some tables are cross-checked by another route (quadrature of the inverse-Gaussian density, the
trial between two resets, minimisation), which has to agree to 25 digits, or nothing is written.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import mpmath as mp
import numpy as np
from points import POINTS

Number = mp.mpf
HERE = Path(__file__).resolve().parent
START_DIGITS, AGREE, STEP = 80, 45, mp.mpf(10) ** -20


# Textbook formulas: v toward the target, D, L, then rate, s or t -------------------------------


def transform(v: Number, D: Number, L: Number, s: Number) -> Number:
    """E[exp(-sT)]; at s = 0 the probability to arrive."""
    if s == 0:
        return mp.exp(v * L / D) if v < 0 else mp.mpf(1)
    return mp.exp(-L * (mp.sqrt(v**2 + 4 * D * s) - v) / (2 * D))


def log_transform(v: Number, D: Number, L: Number, s: Number) -> Number:
    """Its logarithm."""
    if s == 0:
        return v * L / D if v < 0 else mp.mpf(0)
    return -L * (mp.sqrt(v**2 + 4 * D * s) - v) / (2 * D)


def mean(v: Number, D: Number, L: Number) -> Number:
    """Mean without resetting."""
    return L / v if v > 0 else mp.inf


def variance(v: Number, D: Number, L: Number) -> Number:
    """Variance without resetting."""
    return 2 * D * L / v**3 if v > 0 else mp.inf


def deviation(v: Number, D: Number, L: Number) -> Number:
    """Standard deviation without resetting."""
    return mp.sqrt(variance(v, D, L))


def cv(v: Number, D: Number, L: Number) -> Number:
    """Coefficient of variation without resetting."""
    return mp.sqrt(2 * D / (v * L)) if v > 0 else mp.inf


def log_mean(v: Number, D: Number, L: Number) -> Number:
    """Logarithm of the mean without resetting."""
    return mp.log(L / v) if v > 0 else mp.inf


def peclet(v: Number, D: Number, L: Number) -> Number:
    """Péclet number."""
    return v * L / (2 * D)


def poisson_mean(v: Number, D: Number, L: Number, r: Number) -> Number:
    """(1 - f)/(r f)."""
    if r == 0:
        return mean(v, D, L)
    f = transform(v, D, L, r)
    return (1 - f) / (r * f)


def poisson_log_mean(v: Number, D: Number, L: Number, r: Number) -> Number:
    """Its logarithm."""
    return mp.log(poisson_mean(v, D, L, r))


def poisson_var(v: Number, D: Number, L: Number, r: Number) -> Number:
    """(1 - f² + 2 r f')/(r f)², f' = -L f / sqrt(v² + 4 D r)."""
    if r == 0:
        return variance(v, D, L)
    f = transform(v, D, L, r)
    slope = -L / mp.sqrt(v**2 + 4 * D * r) * f
    return (1 - f**2 + 2 * r * slope) / (r * f) ** 2


def poisson_log_laplace(v: Number, D: Number, L: Number, r: Number, s: Number) -> Number:
    """log of (r + s) f(r + s)/(s + r f(r + s))."""
    f = transform(v, D, L, r + s)
    return mp.log((r + s) * f / (s + r * f))


def optimal_rate(v: Number, D: Number, L: Number) -> Number:
    """Root of z (z + 2 Pe)/(2 (z + Pe)) = 1 - exp(-z) by bisection and Newton, as a rate."""
    pe = v * L / (2 * D)
    if pe >= 1:
        return mp.mpf(0)

    def excess(z: Number) -> Number:
        return 2 * (z + pe) * (1 - mp.exp(-z)) - z * (z + 2 * pe)

    low, high = 1 - pe, 1 - pe + mp.sqrt(1 + pe**2)
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    z = high
    for _ in range(200):
        step = excess(z) / (2 * (1 - mp.exp(-z)) * (1 - pe - z))
        z -= step
        if abs(step) < abs(z) * mp.mpf(10) ** (-mp.mp.dps * 0.7):
            break
    return z * (z + 2 * pe) * D / L**2


def survival(v: Number, D: Number, L: Number, t: Number) -> Number:
    """P(T > t)."""
    width = mp.sqrt(4 * D * t)
    return (mp.erfc((v * t - L) / width) - mp.exp(v * L / D) * mp.erfc((v * t + L) / width)) / 2


def density(v: Number, D: Number, L: Number, t: Number) -> Number:
    """Inverse-Gaussian density."""
    return L / mp.sqrt(4 * mp.pi * D * t**3) * mp.exp(-((L - v * t) ** 2) / (4 * D * t))


def restricted_mean(v: Number, D: Number, L: Number, t: Number) -> Number:
    """E[min(T, t)]."""
    if v == 0:
        a = L / mp.sqrt(4 * D * t)
        tail = mp.exp(-(a**2)) / (a * mp.sqrt(mp.pi)) - mp.erfc(a)
        return t * mp.erf(a) + L**2 / (2 * D) * tail
    width = mp.sqrt(4 * D * t)
    arrived = mp.erfc((L - v * t) / width) - mp.exp(v * L / D) * mp.erfc((L + v * t) / width)
    return t * survival(v, D, L, t) + L / v * arrived / 2


TABLES: dict[str, dict[str, Callable[..., Number]]] = {
    "free": {
        "peclet": peclet,
        "mean": mean,
        "log_mean": log_mean,
        "var": variance,
        "std": deviation,
        "cv": cv,
    },
    "poisson": {
        "log_laplace": log_transform,
        "laplace": transform,
        "poisson_mean": poisson_mean,
        "poisson_log_mean": poisson_log_mean,
        "poisson_var": poisson_var,
    },
    "restarted": {"poisson_log_laplace": poisson_log_laplace},
    "optimum": {"optimal_rate": optimal_rate},
    "law": {"survival": survival, "density": density, "restricted_mean": restricted_mean},
}


# Evaluation ----------------------------------------------------------------------------------


def exact(row: tuple[float, ...]) -> tuple[Number, ...]:
    """(v, D, L, rest) of (drift, diffusivity, start, target, rest), without rounding."""
    with mp.workdps(700):
        drift, diffusivity, start, target, *rest = (mp.mpf(x) for x in row)
        gap = start - target
        return (-mp.sign(gap) * drift, diffusivity, abs(gap), *rest)


def settle(function: Callable[..., Number], arguments: tuple[Number, ...]) -> tuple[Number, int]:
    """The value at a precision at which it has settled, and that precision in digits."""
    digits, previous = START_DIGITS, None
    while digits < 20_000:
        with mp.workdps(digits):
            value = function(*arguments)
            if previous is not None:
                if value == previous and (not mp.isfinite(value) or exact_zero(value, digits)):
                    return value, digits
                if abs(value - previous) <= abs(value) * mp.mpf(10) ** -AGREE and value != 0:
                    return value, digits
            previous = value
        digits = digits * 8 // 5
    raise ArithmeticError(f"{function.__name__}{arguments} does not settle")


def exact_zero(value: Number, digits: int) -> bool:
    """Zero at a precision at which no admitted point cancels completely."""
    return bool(value == 0 and digits > 500)


def condition(
    function: Callable[..., Number], arguments: tuple[Number, ...], value: Number, digits: int
) -> float:
    """Sum of abs(d ln f/d ln x) over the inputs, by differences of relative size 1e-20."""
    if not mp.isfinite(value) or value == 0:
        return 0.0
    with mp.workdps(digits + 25):
        value = function(*arguments)
        total = mp.mpf(0)
        for i, x in enumerate(arguments):
            moved = (*arguments[:i], x * (1 + STEP), *arguments[i + 1 :])
            total += abs(function(*moved) - value) if x != 0 else 0
        return float(total / abs(value) / STEP)


def evaluate(job: tuple[str, str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value rounded to float64, what was rounded off in 1/254 of an ulp, and kappa, of each row."""
    table, name, rows = job
    function = TABLES[table][name]
    high = np.empty(len(rows))
    low = np.zeros(len(rows), dtype=np.int8)
    kappa = np.zeros(len(rows), dtype=np.float32)
    for i, row in enumerate(rows):
        arguments = exact(tuple(row))
        value, digits = settle(function, arguments)
        high[i] = to_float(value)
        if np.isfinite(high[i]) and abs(high[i]) > sys.float_info.min:
            with mp.workdps(digits):
                low[i] = int(mp.nint((value / mp.mpf(high[i]) - 1) * 2**53 * 127))
        kappa[i] = min(condition(function, arguments, value, digits), 3e38)
    # kappa is kept to 8 bits, rounded down: the bound can only become stricter
    return high, low, (kappa.view(np.uint32) >> 16).astype(np.uint16)


def to_float(value: Number) -> float:
    """Nearest float64; inf and 0 beyond its range."""
    if mp.isfinite(value) and value != 0:
        if abs(value) >= mp.mpf(2) ** 1024:
            return float(mp.sign(value)) * float("inf")
        if abs(value) < mp.mpf(2) ** -1075:
            return 0.0
    return float(value)


def main() -> None:
    """Cross-check, compute everything on two processes, write the tables."""
    from cross_checks import cross_check

    began = time.perf_counter()
    print(cross_check(TABLES))
    jobs = [
        (table, name, chunk)
        for table, functions in TABLES.items()
        for name in functions
        for chunk in np.array_split(POINTS[table]()[1], 8)
    ]
    with ProcessPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(evaluate, jobs, chunksize=1))
    parts: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for (table, name, _), result in zip(jobs, results, strict=True):
        parts.setdefault((table, name), []).append(result)
    for table, functions in TABLES.items():
        names, rows = POINTS[table]()
        arrays = {f"input_{n}": rows[:, i] for i, n in enumerate(names)}
        for name in functions:
            columns = (np.concatenate(c) for c in zip(*parts[table, name], strict=True))
            for kind, column in zip(("high", "low", "kappa"), columns, strict=True):
                arrays[f"{name}_{kind}"] = column
        np.savez_compressed(HERE / f"{table}.npz", **arrays)
        size = (HERE / f"{table}.npz").stat().st_size
        print(f"{table}.npz: {len(rows)} points, {len(functions)} functions, {size / 1e3:.0f} kB")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
