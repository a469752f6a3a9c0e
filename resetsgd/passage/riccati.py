"""Compiled sweeps of the Riccati equation over the panels of a landscape.

With u the solution of D u'' + mu u' = s u that is bounded (or has no flux) at the far end,
w = u'/u obeys w' = s/D + phi' w - w², phi' = -mu/D. A panel maps (u, u') at its left end to its
right end by a matrix whose entries are power series in s with positive coefficients; w follows by
a fractional-linear map and log u by positive increments, so that nothing cancels for s -> 0. Where
s is so large that the series would need more than five bisections of the panel, w is the sum of
its two slow solutions, asymptotic in 1/sqrt(s).

Loaded on first use only: importing this module loads numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

__all__ = ["jets", "power_series", "sourced", "sweep"]


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile, cached on disk where that is possible."""
    options: dict[str, Any] = {"error_model": "numpy", "nogil": True}
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep the cache in
        compiled = numba.njit(**options)(function)
    return compiled  # type: ignore[no-any-return]


@_compiled
def _terms(size: float) -> int:
    """How many powers of z = s tau matter to the last bit for |z| <= size (16 at most)."""
    if size <= 1e-8:
        return 2
    if size <= 1e-3:
        return 4
    if size <= 0.1:
        return 6
    if size <= 1.0:
        return 9
    if size <= 4.0:
        return 12
    return 16


@_compiled
def _level(size: float) -> int:
    """How often a panel is bisected for |z| <= 16 on each piece, at most 20 times."""
    level = 0
    while size > 16.0 and level < 20:
        size *= 0.25
        level += 1
    return level


@_compiled
def _series(row: Any, z: Any, count: int) -> Any:
    """A power series by Horner's rule."""
    value = row[count] + 0.0 * z
    for k in range(count - 1, -1, -1):
        value = value * z + row[k]
    return value


@_compiled
def _slow(row: Any, root: Any) -> Any:
    """Sum of a_j root^-j from j = -1."""
    inverse = 1.0 / root
    value = row[len(row) - 1] + 0.0 * root
    for k in range(len(row) - 2, 0, -1):
        value = value * inverse + row[k]
    return value + row[0] * root


@_compiled
def sweep(
    s: Any,
    size: Any,
    first: Any,
    w0: Any,
    dirichlet: bool,
    tau: Any,
    h: Any,
    tables: Any,
    places: Any,
    steps: Any,
    slow: Any,
    marks: Any,
    whole: Any,
    part: Any,
) -> None:
    """log u(end) - log u(mark) = whole + log(1 + part), for each s and each mark.

    ``size`` is |s|; ``tables[places[l, j] + i]`` are the series of piece i of panel j on level l,
    ``steps`` (width, exp(phi) at its end); ``slow`` those of the slow solutions. The sweep starts
    at panel ``first`` with w = ``w0``, or with u = 0 if ``dirichlet``.
    """
    panels = len(tau)
    most = places.shape[0]
    rise = np.zeros(panels, dtype=s.dtype)
    log_rise = np.zeros(panels, dtype=s.dtype)
    for i in range(len(s)):
        w = w0[i]
        zero_start = dirichlet and first[i] == 0
        for j in range(first[i], panels):
            z = s[i] * tau[j]
            level = min(_level(size[i] * tau[j]), most)
            grown = 0.0 * z
            logged = 0.0 * z
            if level < most:
                pieces = 1 << level
                z = z / (pieces * pieces)
                count = _terms(abs(z))
                base = places[level, j]
                for piece in range(base, base + pieces):
                    table = tables[piece]
                    c = _series(table[2], z, count)
                    d = _series(table[3], z, count)
                    if zero_start:
                        w = d / c * steps[piece, 1] / steps[piece, 0]
                        zero_start = False
                        continue
                    a = _series(table[0], z, count)
                    b = _series(table[1], z, count)
                    rho = w * steps[piece, 0]
                    delta = a + c * rho
                    w = (b + d * rho) / (1.0 + delta) * (steps[piece, 1] / steps[piece, 0])
                    grown = grown + delta + grown * delta
                    if abs(grown) > 1e6:
                        logged = logged + np.log(1.0 + grown)
                        grown = 0.0 * z
            else:
                root = np.sqrt(s[i]) * np.sqrt(tau[j])
                plus_left, minus_left = _slow(slow[j, 0], root), _slow(slow[j, 0], -root)
                plus_right, minus_right = _slow(slow[j, 1], root), _slow(slow[j, 1], -root)
                plus, minus = _slow(slow[j, 2], root), _slow(slow[j, 2], -root)
                start = w * h[j]
                ratio = -1.0 + 0.0 * z
                if not zero_start:
                    ratio = (plus_left - start) / (start - minus_left)
                later = ratio * np.exp(minus - plus)
                w = (plus_right + later * minus_right) / (1.0 + later) / h[j]
                if zero_start:
                    zero_start = False
                else:
                    logged = plus + np.log(1.0 + later) - np.log(1.0 + ratio)
            rise[j] = grown
            log_rise[j] = logged
        total = 0.0 * s[i]
        log_total = 0.0 * s[i]
        k = len(marks) - 1
        for j in range(panels - 1, -1, -1):
            if j >= first[i]:
                total = total + rise[j] + total * rise[j]
                log_total = log_total + log_rise[j]
                if abs(total) > 1e6:
                    log_total = log_total + np.log(1.0 + total)
                    total = 0.0 * s[i]
            while k >= 0 and marks[k] >= j:
                whole[i, k] = log_total
                part[i, k] = total
                k -= 1


@_compiled
def jets(
    order: int,
    first: int,
    w0: float,
    dirichlet: bool,
    tau: Any,
    tables: Any,
    steps: Any,
    marks: Any,
    out: Any,
) -> None:
    """Series in s, to third order, of log u(end) - log u(mark): rows of log scale and 4 terms.

    Term n of a row is in units of exp(n log scale); the scale follows w, up to the given order,
    through wells and over barriers, so that nothing of that order overflows.
    """
    panels = len(tau)
    record = np.zeros((panels, 5))
    w = np.zeros(4)
    w[0] = w0
    scale = 0.0  # w[n] is in units of exp(n scale)
    rho, delta, above, below = np.zeros(4), np.zeros(4), np.zeros(4), np.zeros(4)
    zero_start = dirichlet and first == 0
    for j in range(first, panels):
        width, end = steps[j, 0], steps[j, 1]
        size = max(abs(w[1]) * width, tau[j] * np.exp(-scale))
        if order > 1:
            size = max(size, np.sqrt(abs(w[2]) * width), np.cbrt(abs(w[3]) * width))
        shift = np.log(size) if size > 0.0 else 0.0
        factor = np.exp(-shift)
        scale += shift
        w[1] *= factor
        w[2] *= factor * factor
        w[3] *= factor * factor * factor
        unit = tau[j] * np.exp(-scale)
        power = 1.0
        table = tables[j]
        for n in range(4):
            rho[n] = w[n] * width
        for n in range(4):
            above[n] = table[0, n] * power
            below[n] = table[1, n] * power
            inner = 1.0
            for m in range(n + 1):
                above[n] += table[2, m] * inner * rho[n - m]
                below[n] += table[3, m] * inner * rho[n - m]
                inner *= unit
            power *= unit
        if zero_start:  # u = 0: only the second column counts
            power = 1.0
            for n in range(4):
                above[n] = table[2, n] * power
                below[n] = table[3, n] * power
                power *= unit
            head = above[0]
        else:
            head = 1.0 + above[0]
        for n in range(1, 4):
            delta[n] = above[n] / head
        ratio = end / width
        for n in range(4):
            value = below[n] / head
            for m in range(1, n + 1):
                value -= delta[m] * w[n - m] / ratio
            w[n] = value * ratio
        record[j, 0] = scale
        if zero_start:
            zero_start = False
            continue
        record[j, 1] = np.log1p(above[0])
        record[j, 2] = delta[1]
        record[j, 3] = delta[2] - 0.5 * delta[1] ** 2
        record[j, 4] = delta[3] - delta[1] * delta[2] + delta[1] ** 3 / 3.0
    k = len(marks) - 1
    for n in range(5):
        out[:, n] = 0.0
    log_scale = -1e300
    total = np.zeros(4)
    for j in range(panels - 1, -1, -1):
        if j >= first:
            if record[j, 0] > log_scale:
                factor = np.exp(log_scale - record[j, 0])
                power = 1.0
                for n in range(4):
                    total[n] *= power
                    power *= factor
                log_scale = record[j, 0]
            factor = np.exp(record[j, 0] - log_scale)
            power = 1.0
            for n in range(4):
                total[n] += record[j, 1 + n] * power
                power *= factor
        while k >= 0 and marks[k] >= j:
            out[k, 0] = log_scale
            for n in range(4):
                out[k, 1 + n] = total[n]
            k -= 1


@_compiled
def sourced(
    s: Any,
    size: Any,
    first: Any,
    w0: Any,
    sigma0: Any,
    dirichlet: bool,
    tau: Any,
    h: Any,
    tables: Any,
    places: Any,
    steps: Any,
    slow: Any,
    top: int,
    marks: Any,
    out: Any,
) -> None:
    """tau with D tau'' + mu tau' - (r + s) tau = -1, tau = 0 at the end, for each s and mark.

    Forward tau' = w tau - sigma with sigma >= 0, backward tau from positive terms. Panels are
    bisected up to ``top`` times; if ``top`` is the last level, the rest (without killing only) is
    left to the slow solutions, next to which tau is 1/s.
    """
    panels = len(tau)
    most = places.shape[0]
    for i in range(len(s)):
        count_all = 0
        for j in range(first[i], panels):
            level = min(_level(size[i] * tau[j]), top)
            count_all += 1 if level == most else 1 << level
        growth = np.zeros(count_all, dtype=s.dtype)
        gain = np.zeros(count_all, dtype=s.dtype)
        w = w0[i]
        sigma = sigma0[i]
        zero_start = dirichlet and first[i] == 0
        n = 0
        for j in range(first[i], panels):
            z = s[i] * tau[j]
            level = min(_level(size[i] * tau[j]), top)
            if level == most:
                root = np.sqrt(s[i]) * np.sqrt(tau[j])
                minus_left = _slow(slow[j, 0], -root)
                plus_right = _slow(slow[j, 1], root)
                # growth beyond exp(100): what reaches across the panel is below rounding
                excess = sigma * h[j] - w * h[j] / s[i]
                growth[n] = 1e300
                if zero_start:
                    gain[n] = 0.0 * z
                else:
                    gain[n] = 1.0 / s[i] + excess / (w * h[j] - minus_left)
                zero_start = False
                w = plus_right / h[j]
                sigma = w / s[i]
                n += 1
                continue
            pieces = 1 << level
            z = z / (pieces * pieces)
            time = tau[j] / (pieces * pieces)
            count = _terms(abs(z))
            base = places[level, j]
            for piece in range(base, base + pieces):
                table = tables[piece]
                width, end = steps[piece, 0], steps[piece, 1]
                a = _series(table[0], z, count)
                b = _series(table[1], z, count)
                c = _series(table[2], z, count)
                d = _series(table[3], z, count)
                c0 = time * _series(table[4], z, count)
                c1 = time * _series(table[5], z, count)
                if zero_start:
                    rho = d / c
                    flux = c1 - rho * c0
                    growth[n] = 1.0
                    gain[n] = 0.0 * z
                    zero_start = False
                else:
                    rho0, flux0 = w * width, sigma * width
                    head = 1.0 + a + c * rho0
                    rho = (b + d * rho0) / head
                    growth[n] = head
                    gain[n] = (c * flux0 + c0) / head
                    flux = flux0 * (d - rho * c) + c1 - rho * c0
                w = rho * end / width
                sigma = flux * end / width
                n += 1
        value = 0.0 * s[i]
        k = len(marks) - 1
        while k >= 0 and marks[k] >= panels:
            out[i, k] = value
            k -= 1
        for j in range(panels - 1, -1, -1):
            if j >= first[i]:
                level = min(_level(size[i] * tau[j]), top)
                for _ in range(1 if level == most else 1 << level):
                    n -= 1
                    value = gain[n] + value / growth[n]
            while k >= 0 and marks[k] >= j:
                out[i, k] = value
                k -= 1


@_compiled
def _integrate(rising: Any, load: Any, out: Any) -> None:
    """Add the integral of the load from the left end; ``rising`` is its matrix, transposed."""
    points = len(load)
    for j in range(points):
        weight = load[j]
        for i in range(points):
            out[i] += rising[j, i] * weight


@_compiled
def power_series(
    rising: Any, E: Any, m: Any, heavy: Any, solve: Any, killed: bool, table: Any
) -> None:
    """Fill rows 0 to 3 (with killing 0 to 5) of the series of each panel.

    By iterated integrals: q' = m (z + kill) u, u' = E q, from (1, 0), (0, 1) and a unit source.
    """
    panels, points = E.shape
    powers = table.shape[2]
    u, q, load = np.empty(points), np.empty(points), np.empty(points)
    for n in range(panels):
        for column in range(3 if killed else 2):
            for k in range(powers):
                if k > 0:
                    for i in range(points):
                        load[i] = m[n, i] * u[i]
                        q[i] = 0.0
                    _integrate(rising, load, q)
                elif column == 2:
                    for i in range(points):
                        load[i] = m[n, i]
                        q[i] = 0.0
                    _integrate(rising, load, q)
                else:
                    for i in range(points):
                        q[i] = 1.0 if column == 1 else 0.0
                for i in range(points):
                    load[i] = E[n, i] * q[i]
                    u[i] = 1.0 if k == 0 and column == 0 else 0.0
                _integrate(rising, load, u)
                if killed:
                    for i in range(points):
                        load[i] = u[i]
                        u[i] = 0.0
                    for j in range(points):
                        for i in range(points):
                            u[i] += solve[n, j, i] * load[j]
                    for i in range(points):
                        load[i] = heavy[n, i] * u[i]
                    _integrate(rising, load, q)
                table[n, 2 * column, k] = u[points - 1]
                table[n, 2 * column + 1, k] = q[points - 1]
                if column == 0 and k == 0:  # less one without cancellation: by its own flux
                    value = 0.0
                    for j in range(points):
                        value += rising[j, points - 1] * E[n, j] * q[j]
                    table[n, 0, 0] = value
