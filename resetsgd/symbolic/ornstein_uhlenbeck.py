r"""Passage of an Ornstein–Uhlenbeck process to a point above its start, as SymPy expressions.

The process is dx = -k (x - c) dt + sqrt(2 D) dW. Positions are in spreads sqrt(D/k) from the
center, a target below the start is mirrored: ``start`` :math:`y_0` < ``target`` :math:`y_a`. All of
it is derived in ``theory/04_ornstein_uhlenbeck.py``.
"""

from __future__ import annotations

import sympy as sp

from resetsgd.symbolic import renewal, symbols

__all__ = [
    "density_to_center",
    "integral",
    "laplace_transform",
    "log_laplace_transform",
    "mean",
    "mean_under_poisson",
    "start",
    "stiffness",
    "survival_to_center",
    "target",
    "variance",
]

s, r, t = symbols.laplace_variable, symbols.rate, symbols.time
stiffness = sp.Symbol("k", positive=True)
"""Stiffness of the bowl, 1/time."""
start = sp.Symbol("y_0", real=True)
"""Start in spreads, below the target."""
target = sp.Symbol("y_a", real=True)
"""Target in spreads."""
_u = sp.Symbol("u", real=True)
_x = sp.Symbol("x", real=True)


def integral(order: sp.Expr, place: sp.Expr) -> sp.Expr:
    r"""I(p, y), the integral of :math:`t^{p-1} e^{yt - t^2/2}` over t > 0.

    Parameters
    ----------
    order, place : sympy.Expr
        p > 0 and y.

    Returns
    -------
    sympy.Expr
        In confluent hypergeometric functions; it solves u'' - y u' - p u = 0 and vanishes for
        y -> -oo.

    Notes
    -----
    **Source**: Siegert, Phys. Rev. 81, 617 (1951); derived in ``theory/04_ornstein_uhlenbeck.py``.

    Examples
    --------
    >>> integral(sp.Integer(1), sp.Integer(0))
    sqrt(2)*sqrt(pi)/2
    """
    half = sp.Rational(1, 2)
    even = sp.gamma(order / 2) * sp.hyper([order / 2], [half], place**2 / 2)
    odd = sp.gamma((order + 1) / 2) * sp.hyper([(order + 1) / 2], [3 * half], place**2 / 2)
    value = 2 ** (order / 2 - 1) * (even + sp.sqrt(2) * place * odd)
    return sp.simplify(value) if place == 0 else value


def laplace_transform() -> sp.Expr:
    """Laplace transform E[exp(-s T)] = I(s/k, y_0)/I(s/k, y_a).

    Returns
    -------
    sympy.Expr
        Dimensionless, in ``symbols.laplace_variable``, ``stiffness``, ``start``, ``target``.

    Notes
    -----
    **Source**: Siegert, Phys. Rev. 81, 617 (1951); Pal, PRE 91, 012113 (2015); derived in
    ``theory/04_ornstein_uhlenbeck.py``.

    Examples
    --------
    >>> value = laplace_transform().subs({s: 1, stiffness: 1, start: 0, target: 1})
    >>> round(float(value.evalf()), 6)
    0.360453
    """
    p = s / stiffness
    return integral(p, start) / integral(p, target)


def log_laplace_transform() -> sp.Expr:
    """Logarithm of :func:`laplace_transform`.

    Returns
    -------
    sympy.Expr
        Dimensionless.

    Notes
    -----
    **Source**: as :func:`laplace_transform`; derived in ``theory/04_ornstein_uhlenbeck.py``.

    Examples
    --------
    >>> value = log_laplace_transform().subs({s: 1, stiffness: 1, start: 0, target: 1})
    >>> round(float(value.evalf()), 6)
    -1.020393
    """
    return sp.log(laplace_transform())


def _slope(place: sp.Expr) -> sp.Expr:
    """sqrt(2 pi) exp(y²/2) Phi(y)."""
    return sp.sqrt(sp.pi / 2) * sp.exp(place**2 / 2) * sp.erfc(-place / sp.sqrt(2))


def mean() -> sp.Expr:
    r"""Mean :math:`\frac{\sqrt{2\pi}}{k} \int_{y_0}^{y_a} e^{u^2/2} \Phi(u)\,du`.

    Returns
    -------
    sympy.Expr
        Time; an unevaluated integral.

    Notes
    -----
    **Source**: Siegert, Phys. Rev. 81, 617 (1951); derived in ``theory/04_ornstein_uhlenbeck.py``.

    Examples
    --------
    >>> round(float(mean().subs({stiffness: 1, start: 0, target: 1}).evalf()), 6)
    2.093407
    """
    return sp.Integral(_slope(_u), (_u, start, target)) / stiffness


def variance() -> sp.Expr:
    r"""Variance, :math:`\frac{2}{k^2} \int_{y_0}^{y_a} e^{u^2/2} \int_{-\infty}^u e^{-x^2/2} W^2`.

    Returns
    -------
    sympy.Expr
        Time²; an unevaluated integral, W the integrand of :func:`mean`.

    Notes
    -----
    **Source**: Siegert, Phys. Rev. 81, 617 (1951); derived in ``theory/04_ornstein_uhlenbeck.py``.

    Examples
    --------
    >>> variance().free_symbols == {stiffness, start, target}
    True
    """
    inner = sp.Integral(sp.exp(-(_x**2) / 2) * _slope(_x) ** 2, (_x, -sp.oo, _u))
    return 2 * sp.Integral(sp.exp(_u**2 / 2) * inner, (_u, start, target)) / stiffness**2


def survival_to_center() -> sp.Expr:
    r"""P(T > t) for the target at the center, :math:`\mathrm{erf}(|y_0|/\sqrt{2 (e^{2kt} - 1)})`.

    Returns
    -------
    sympy.Expr
        Dimensionless, in ``symbols.time``.

    Notes
    -----
    **Source**: time change of the image solution of Brownian motion; derived in
    ``theory/04_ornstein_uhlenbeck.py``.

    Examples
    --------
    >>> survival_to_center()
    erf(Abs(y_0)/sqrt(2*exp(2*k*t) - 2))
    """
    return sp.erf(sp.Abs(start) / sp.sqrt(2 * (sp.exp(2 * stiffness * t) - 1)))


def density_to_center() -> sp.Expr:
    """Density of T for the target at the center, 1/time.

    Returns
    -------
    sympy.Expr
        In ``symbols.time``.

    Notes
    -----
    **Source**: as :func:`survival_to_center`; derived in ``theory/04_ornstein_uhlenbeck.py``.

    Examples
    --------
    >>> round(float(density_to_center().subs({stiffness: 1, start: -1, t: 1}).evalf()), 6)
    0.337588
    """
    return -sp.diff(survival_to_center(), t)


def mean_under_poisson() -> sp.Expr:
    """Mean under Poisson resetting to the start.

    Returns
    -------
    sympy.Expr
        Time, in ``symbols.rate``.

    Notes
    -----
    **Source**: Pal, PRE 91, 012113 (2015); :mod:`resetsgd.symbolic.renewal` of
    :func:`laplace_transform`; derived in ``theory/04_ornstein_uhlenbeck.py``.

    Examples
    --------
    >>> value = mean_under_poisson().subs({r: 1, stiffness: 1, start: 0, target: 1})
    >>> round(float(value.evalf()), 6)
    1.774286
    """
    return renewal.mean_under_poisson(laplace_transform())
