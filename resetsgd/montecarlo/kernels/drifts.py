"""Coefficients of the built-in processes as block functions, and a look at any block function.

A block function writes one value a position: ``f(x, out, n, p)`` with the numbers ``p`` of the
process; see :func:`resetsgd.montecarlo.kernels.vectors.call_block`.
"""

from __future__ import annotations

from typing import Any

from resetsgd.montecarlo.kernels.compiling import block, inlined, kernel
from resetsgd.montecarlo.kernels.vectors import call_block

__all__ = ["evaluate", "linear", "radial", "tabulated", "tabulated_rate", "trap"]


@block
def linear(x: Any, out: Any, n: int, p: Any) -> None:
    """-k (x - c); p = (k, c)."""
    for i in range(n):
        out[i] = p[0] * (p[1] - x[i])


@block
def trap(x: Any, out: Any, n: int, p: Any) -> None:
    """-slope sign(x); p = (slope,)."""
    for i in range(n):
        out[i] = -p[0] if x[i] > 0.0 else p[0]


@block
def radial(x: Any, out: Any, n: int, p: Any) -> None:
    """(d - 1) D/x; p = ((d - 1) D,)."""
    for i in range(n):
        out[i] = p[0] / x[i]


@inlined
def _interpolated(x: float, p: Any, table: int) -> Any:
    """Linear between the entries of a table, and straight on beyond its ends."""
    u = (x - p[0]) * p[1]
    c = u if u > 0.0 else 0.0
    c = c if c < p[2] - 2.0 else p[2] - 2.0
    i = int(c)
    at = 3 + table * int(p[2]) + i
    return p[at] + (u - float(i)) * (p[at + 1] - p[at])


@block
def tabulated(x: Any, out: Any, n: int, p: Any) -> None:
    """From a table; p = (first place, places per unit, number of places, values, other values)."""
    for i in range(n):
        out[i] = _interpolated(x[i], p, 0)


@block
def tabulated_rate(x: Any, out: Any, n: int, p: Any) -> None:
    """From the second column of the table."""
    for i in range(n):
        out[i] = _interpolated(x[i], p, 1)


@kernel
def evaluate(address: int, x: Any, out: Any, n: int, p: Any) -> None:
    """Call a block function for ``n`` positions."""
    call_block(address, x, out, n, p)
