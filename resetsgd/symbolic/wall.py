"""Passage of a drifting, diffusing particle with a reflecting wall behind it, as SymPy expressions.

The target lies a distance L from the start, the wall y behind the start, and v is the drift
*toward* the target. All of it is derived in ``theory/03_reflecting_wall.py`` and written in
:mod:`resetsgd.symbolic.symbols`; the limits v -> 0 exist everywhere and are written apart.
"""

from __future__ import annotations

import sympy as sp

from resetsgd.symbolic import renewal, symbols

__all__ = [
    "driftless_mean",
    "driftless_squared_cv",
    "driftless_transform",
    "laplace_transform",
    "mean",
    "mean_under_poisson",
    "variance",
]

D = symbols.diffusivity
L = symbols.distance
r = symbols.rate
s = symbols.laplace_variable
v = symbols.velocity
y = symbols.behind


def laplace_transform() -> sp.Expr:
    r"""Laplace transform E[exp(-sT)] of the passage time.

    Returns
    -------
    sympy.Expr
        :math:`e^{g L} N(y)/N(L + y)`, :math:`N(z) = k \cosh kz + g \sinh kz`, g = v/2D; with the
        drift written toward the wall the sign of g is minus.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), section 2.2; derived from the
    backward equation in ``theory/03_reflecting_wall.py``.

    Examples
    --------
    >>> sp.simplify(laplace_transform().subs({v: 0, y: 0}))
    1/cosh(L*sqrt(s)/sqrt(D))
    """
    g, k = v / (2 * D), sp.sqrt(v**2 + 4 * D * s) / (2 * D)

    def solution(z: sp.Expr) -> sp.Expr:
        return k * sp.cosh(k * z) + g * sp.sinh(k * z)

    return sp.exp(g * L) * solution(y) / solution(L + y)


def driftless_transform() -> sp.Expr:
    """The transform without drift, cosh(q y)/cosh(q (L + y)), q = sqrt(s/D).

    Returns
    -------
    sympy.Expr
        That of an interval twice as long, left at either end.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), section 2.2; derived in
    ``theory/03_reflecting_wall.py``.

    Examples
    --------
    >>> driftless_transform().subs(y, 0)
    1/cosh(L*sqrt(s)/sqrt(D))
    """
    q = sp.sqrt(s / D)
    return sp.cosh(q * y) / sp.cosh(q * (L + y))


def mean() -> sp.Expr:
    """Mean passage time: finite for every drift, exponentially long against it.

    Returns
    -------
    sympy.Expr
        Time; for v != 0, :func:`driftless_mean` in the limit.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), section 2.2; derived in
    ``theory/03_reflecting_wall.py``.

    Examples
    --------
    >>> sp.limit(mean().subs(v, 2), y, sp.oo)
    L/2
    """
    a = v / D
    return L / v - D / v**2 * (sp.exp(-a * y) - sp.exp(-a * (L + y)))


def variance() -> sp.Expr:
    """Variance of the passage time.

    Returns
    -------
    sympy.Expr
        Time²; for v != 0.

    Notes
    -----
    **Source**: the sum over the steps z to z - dz of exp(-a z) (sinh a z - a z) 4 D/v³, derived
    in ``theory/03_reflecting_wall.py``.

    Examples
    --------
    >>> round(variance().subs({v: 1, D: 1, L: 1, y: 1}).evalf(), 9)
    0.563968225
    """
    a, z = v / D, sp.Symbol("z", positive=True)
    part = sp.exp(-2 * a * z) / 4 + a * z / 2 + (a * z + 1) * sp.exp(-a * z)
    return 4 * D**2 / v**4 * (part.subs(z, L + y) - part.subs(z, y))


def driftless_mean() -> sp.Expr:
    """Mean passage time without drift, L (L + 2 y)/2D.

    Returns
    -------
    sympy.Expr
        Time.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), section 2.2; derived in
    ``theory/03_reflecting_wall.py``.

    Examples
    --------
    >>> driftless_mean().subs(y, 0)
    L**2/(2*D)
    """
    return L * (L + 2 * y) / (2 * D)


def driftless_squared_cv() -> sp.Expr:
    """Squared coefficient of variation without drift.

    Returns
    -------
    sympy.Expr
        Dimensionless; 2/3 from the wall, 1 at L/(L + y) = 1 - 1/sqrt 5.

    Notes
    -----
    **Source**: twice an interval of half the length; derived in
    ``theory/03_reflecting_wall.py``.

    Examples
    --------
    >>> driftless_squared_cv().subs(y, 0)
    2/3
    """
    whole = L + y
    return sp.Rational(2, 3) * (whole**2 + y**2) / (whole**2 - y**2)


def mean_under_poisson() -> sp.Expr:
    """Mean passage time under Poisson resetting to the start.

    Returns
    -------
    sympy.Expr
        (1 - f(r))/(r f(r)) of :func:`laplace_transform`.

    Notes
    -----
    **Source**: Pal and Reuveni, Phys. Rev. Lett. 118, 030603 (2017); derived in
    ``theory/03_reflecting_wall.py``.

    Examples
    --------
    >>> round(mean_under_poisson().subs({v: -1, D: 1, L: 1, y: 2, r: 1}).evalf(), 9)
    3.912377617
    """
    return renewal.mean_under_poisson(laplace_transform())
