"""Passage in a linear trap over its kink, as SymPy expressions.

The process is dx = -w sign(x) dt + sqrt(2 D) dW; the target a lies above the kink, the start b
below the target. All of it is derived in ``theory/06_linear_trap.py``.
"""

from __future__ import annotations

import sympy as sp

from resetsgd.symbolic import symbols

__all__ = ["laplace_transform", "mean", "solution", "variance"]

D, s = symbols.diffusivity, symbols.laplace_variable
slope, target = sp.symbols("w a", positive=True)
start = sp.Symbol("b", real=True)
_root = sp.sqrt(slope**2 + 4 * D * s)


def solution(x: sp.Expr, above: bool) -> sp.Expr:
    """The solution of the backward equation that is bounded from below and 1 at the kink.

    Parameters
    ----------
    x : sympy.Expr
        Position.
    above : bool
        Whether x is above the kink.

    Returns
    -------
    sympy.Expr
        Dimensionless.

    Notes
    -----
    **Source**: derived in ``theory/06_linear_trap.py``.

    Examples
    --------
    >>> solution(sp.Integer(0), True)
    1
    """
    fall = (_root - slope) / (2 * D)
    if not above:
        return sp.exp(fall * x)
    rise = (_root + slope) / (2 * D)
    value = ((_root - slope) * sp.exp(rise * x) + slope * sp.exp(-fall * x)) / _root
    return sp.simplify(value) if x == 0 else value


def laplace_transform(above: bool) -> sp.Expr:
    """Laplace transform E[exp(-s T)].

    Parameters
    ----------
    above : bool
        Whether the start is above the kink.

    Returns
    -------
    sympy.Expr
        Dimensionless.

    Notes
    -----
    **Source**: derived in ``theory/06_linear_trap.py``.

    Examples
    --------
    >>> laplace_transform(True).subs({start: 1, target: 1})
    1
    """
    return solution(start, above) / solution(target, True)


def _climb(x: sp.Expr) -> sp.Expr:
    return 2 * D / slope**2 * (sp.exp(slope * x / D) - 1) - x / slope


def _spread(x: sp.Expr) -> sp.Expr:
    y = slope * x / D
    inner = 4 * sp.exp(2 * y) - 8 * y * sp.exp(y) + 4 * sp.exp(y) - 2 * y - 8
    return (D / slope**2) ** 2 * inner


def mean(above: bool) -> sp.Expr:
    """Mean passage time.

    Parameters
    ----------
    above : bool
        Whether the start is above the kink.

    Returns
    -------
    sympy.Expr
        Time.

    Notes
    -----
    **Source**: derived in ``theory/06_linear_trap.py``.

    Examples
    --------
    >>> mean(True).subs({start: 0, D: 1, slope: 1, target: 1})
    -3 + 2*E
    """
    return _climb(target) - (_climb(start) if above else start / slope)


def variance(above: bool) -> sp.Expr:
    """Variance of the passage time.

    Parameters
    ----------
    above : bool
        Whether the start is above the kink.

    Returns
    -------
    sympy.Expr
        Time².

    Notes
    -----
    **Source**: derived in ``theory/06_linear_trap.py``.

    Examples
    --------
    >>> variance(True).subs({start: 0, D: 1, slope: 1, target: 1})
    -4*E - 10 + 4*exp(2)
    """
    return _spread(target) - (_spread(start) if above else 2 * D * start / slope**3)
