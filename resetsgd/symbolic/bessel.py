"""Passage of a Bessel process to a radius, as SymPy expressions.

The process is dx = (d - 1) D/x dt + sqrt(2 D) dW, the radius of Brownian motion in d dimensions; b
is the start, a the target. All of it is derived in ``theory/05_bessel.py``.
"""

from __future__ import annotations

import sympy as sp

from resetsgd.symbolic import symbols

__all__ = [
    "arrival_probability",
    "density_to_origin",
    "inside",
    "mean",
    "outside",
    "squared_cv_inside",
    "to_origin",
    "variance",
]

D, s, t = symbols.diffusivity, symbols.laplace_variable, symbols.time
dimension = sp.Symbol("d", real=True)
start, target = sp.symbols("b a", positive=True)
_nu = 1 - dimension / 2
_k = sp.sqrt(s / D)


def outside() -> sp.Expr:
    """Laplace transform E[exp(-s T)] from outside, b > a > 0.

    Returns
    -------
    sympy.Expr
        Dimensionless, in ``symbols.laplace_variable``; its limit s -> 0 is the
        :func:`arrival_probability`.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), chapter 6; derived in
    ``theory/05_bessel.py``.

    Examples
    --------
    >>> round(outside().subs({dimension: 3, start: 2, target: 1, D: 1, s: 1}).evalf(), 5)
    0.18394
    """
    ratio = sp.besselk(_nu, _k * start) / sp.besselk(_nu, _k * target)
    return (start / target) ** _nu * ratio


def inside() -> sp.Expr:
    """Laplace transform from inside, b < a, for a positive dimension.

    Returns
    -------
    sympy.Expr
        Dimensionless.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), chapter 6; derived in
    ``theory/05_bessel.py``.

    Examples
    --------
    >>> inside().subs({dimension: 2, start: 0})
    1/besseli(0, a*sqrt(s)/sqrt(D))
    """
    ratio = sp.besseli(-_nu, _k * start) / sp.besseli(-_nu, _k * target)
    return (start / target) ** _nu * ratio


def to_origin() -> sp.Expr:
    """Laplace transform to the origin, a = 0, for a dimension below 2.

    Returns
    -------
    sympy.Expr
        Dimensionless.

    Notes
    -----
    **Source**: Ray and Reuveni, J. Chem. Phys. 152, 234110 (2020); derived in
    ``theory/05_bessel.py``.

    Examples
    --------
    >>> round(to_origin().subs({dimension: 1, start: 1, D: 1, s: 1}).evalf(), 6)
    0.367879
    """
    return 2 ** (1 - _nu) / sp.gamma(_nu) * (_k * start) ** _nu * sp.besselk(_nu, _k * start)


def density_to_origin() -> sp.Expr:
    """Density of the passage time to the origin, inverse gamma, 1/time.

    Returns
    -------
    sympy.Expr
        In ``symbols.time``.

    Notes
    -----
    **Source**: Ray and Reuveni, J. Chem. Phys. 152, 234110 (2020); derived in
    ``theory/05_bessel.py``.

    Examples
    --------
    >>> density_to_origin().subs(dimension, 0)
    b**2*exp(-b**2/(4*D*t))/(4*D*t**2)
    """
    z = start**2 / (4 * D * t)
    return z**_nu * sp.exp(-z) / (t * sp.gamma(_nu))


def arrival_probability() -> sp.Expr:
    """Probability to arrive from outside: 1, or (a/b)^(d-2) above two dimensions.

    Returns
    -------
    sympy.Expr
        Dimensionless.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), chapter 6; derived in
    ``theory/05_bessel.py``.

    Examples
    --------
    >>> arrival_probability().subs(dimension, 3)
    a/b
    """
    escapes = (target / start) ** (dimension - 2)
    return sp.Piecewise((escapes, dimension > 2), (sp.Integer(1), True))


def mean() -> sp.Expr:
    """Mean, (a² - b²)/(2 d D): from inside, and from outside for a negative dimension.

    Returns
    -------
    sympy.Expr
        Time.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), chapter 6; derived in
    ``theory/05_bessel.py``.

    Examples
    --------
    >>> mean().subs(start, 0)
    a**2/(2*D*d)
    """
    return (target**2 - start**2) / (2 * dimension * D)


def variance() -> sp.Expr:
    """Variance: from inside, and from outside for a dimension below -2.

    Returns
    -------
    sympy.Expr
        Time².

    Notes
    -----
    **Source**: derived in ``theory/05_bessel.py``.

    Examples
    --------
    >>> variance().subs({start: 0, dimension: 1})
    a**4/(6*D**2)
    """
    return (target**4 - start**4) / (2 * dimension**2 * (dimension + 2) * D**2)


def squared_cv_inside() -> sp.Expr:
    """Squared coefficient of variation from inside; above 1 exactly if b/a > sqrt(d/(d+4)).

    Returns
    -------
    sympy.Expr
        Dimensionless.

    Notes
    -----
    **Source**: derived in ``theory/05_bessel.py``.

    Examples
    --------
    >>> sp.simplify(squared_cv_inside().subs(start, target * sp.sqrt(dimension / (dimension + 4))))
    1
    """
    return 2 * (target**2 + start**2) / ((dimension + 2) * (target**2 - start**2))
