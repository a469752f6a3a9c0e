"""Reference values of the closed forms, by mpmath: ``python make_tables.py [family ...]``.

A family is a folder here: its ``textbook.py`` has the plain formulas of the literature, not the
arranged float64 ones of ``resetsgd.passage``, and imports nothing of the package. Each value is
computed at growing precision until two precisions agree to 45 digits, so cancellation costs time,
not accuracy. mpmath starts from the exact binary values of the inputs that are stored, so the
inputs carry no error at all.

With every value goes its condition number kappa: the sum over the inputs of abs(d ln f / d ln x),
that is, by how much rounding each input once can change the result. What counts as an input is what
the family's ``exact`` makes of a row: a distance, for example, counts once, because float64 rounds
the difference of two positions once.

Each family cross-checks its formulas by another route (quadrature, minimisation, the backward
equation), which has to agree, or nothing is written.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import mpmath as mp
import numpy as np
from tables import FAMILIES, HERE

Number = mp.mpf
START_DIGITS, AGREE, STEP = 80, 45, mp.mpf(10) ** -20


def textbook(family: str) -> Any:
    """The module with POINTS, TABLES, exact and cross_check of a family."""
    return importlib.import_module(f"{family}.textbook")


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


def evaluate(job: tuple[str, str, str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value rounded to float64, what was rounded off in 1/254 of an ulp, and kappa, of each row."""
    family, table, name, rows = job
    book = textbook(family)
    function = book.TABLES[table][name]
    high = np.empty(len(rows))
    low = np.zeros(len(rows), dtype=np.int8)
    kappa = np.zeros(len(rows), dtype=np.float32)
    for i, row in enumerate(rows):
        arguments = book.exact(tuple(row))
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


def make(family: str, pool: ProcessPoolExecutor) -> None:
    """Cross-check a family, compute its tables and write them."""
    book = textbook(family)
    print(f"{family}: {book.cross_check(book.TABLES)}", flush=True)
    jobs = [
        (family, table, name, chunk)
        for table, functions in book.TABLES.items()
        for name in functions
        for chunk in np.array_split(book.POINTS[table]()[1], 8)
    ]
    parts: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for (_, table, name, _), result in zip(jobs, pool.map(evaluate, jobs), strict=True):
        parts.setdefault((table, name), []).append(result)
    for table, functions in book.TABLES.items():
        names, rows = book.POINTS[table]()
        arrays = {f"input_{n}": rows[:, i] for i, n in enumerate(names)}
        for name in functions:
            columns = (np.concatenate(c) for c in zip(*parts[table, name], strict=True))
            for kind, column in zip(("high", "low", "kappa"), columns, strict=True):
                arrays[f"{name}_{kind}"] = column
        path = HERE / family / f"{table}.npz"
        np.savez_compressed(path, **arrays)
        size = path.stat().st_size / 1e3
        print(
            f"{family}/{table}.npz: {len(rows)} points, {len(functions)} functions, {size:.0f} kB"
        )


def main() -> None:
    """Make the tables of the families named, or all, on two processes."""
    began = time.perf_counter()
    with ProcessPoolExecutor(max_workers=2) as pool:
        for family in sys.argv[1:] or FAMILIES:
            make(family, pool)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
