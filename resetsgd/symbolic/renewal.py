"""What Poisson resetting does to *any* passage time, as SymPy expressions.

The process starts where it is reset to, forgets everything at a reset, and loses no time there
unless said otherwise. Every function takes the Laplace transform f(s) = E[exp(-s T)] of the
reset-free passage time as an expression in ``symbols.laplace_variable``; without one it gives the
general statement for an undetermined f. All of it is derived in ``theory/01_drift_diffusion.py``.
"""

from __future__ import annotations

import sympy as sp
from sympy.core.relational import Relational

from resetsgd.symbolic import symbols
from resetsgd.symbolic.symbols import moment, overhead

__all__ = [
    "landau_coefficient",
    "laplace_under_poisson",
    "mean_under_poisson",
    "pays_at_small_rate",
    "second_moment_under_poisson",
    "small_rate_series",
    "stationarity",
    "variance_under_poisson",
]

s = symbols.laplace_variable
r = symbols.rate


def _transform(laplace: sp.Expr | None) -> sp.Expr:
    return sp.Function("f")(s) if laplace is None else sp.sympify(laplace)


def mean_under_poisson(laplace: sp.Expr | None = None) -> sp.Expr:
    r"""Mean passage time under Poisson resetting, :math:`(1 - f(r)) / (r f(r))`.

    Parameters
    ----------
    laplace : sympy.Expr, optional
        Laplace transform of the reset-free passage time in ``symbols.laplace_variable``.

    Returns
    -------
    sympy.Expr
        The mean, time, in ``symbols.rate``. Finite at every rate > 0 even if the reset-free mean
        is not.

    Notes
    -----
    **Source**: Reuveni, Phys. Rev. Lett. 116, 170601 (2016); derived in
    ``theory/01_drift_diffusion.py``, from the renewal equation and from the backward equation.

    Examples
    --------
    >>> mean_under_poisson()
    (1 - f(r))/(r*f(r))
    """
    f = _transform(laplace).subs(s, r)
    return (1 - f) / (r * f)


def laplace_under_poisson(laplace: sp.Expr | None = None) -> sp.Expr:
    r"""Laplace transform under Poisson resetting, :math:`(r+s) f(r+s) / (s + r f(r+s))`.

    Parameters
    ----------
    laplace : sympy.Expr, optional
        Laplace transform of the reset-free passage time in ``symbols.laplace_variable``.

    Returns
    -------
    sympy.Expr
        The transform, dimensionless, in ``symbols.laplace_variable`` and ``symbols.rate``.

    Notes
    -----
    **Source**: Reuveni, Phys. Rev. Lett. 116, 170601 (2016); derived in
    ``theory/01_drift_diffusion.py``, which also shows that it solves the backward equation with
    the reset term.

    Examples
    --------
    >>> laplace_under_poisson()
    (r + s)*f(r + s)/(r*f(r + s) + s)
    """
    f = _transform(laplace).subs(s, r + s)
    return (r + s) * f / (s + r * f)


def second_moment_under_poisson(laplace: sp.Expr | None = None) -> sp.Expr:
    r"""Second moment under Poisson resetting, :math:`2 (1 - f + r f') / (r f)^2` at s = r.

    Parameters
    ----------
    laplace : sympy.Expr, optional
        Laplace transform of the reset-free passage time in ``symbols.laplace_variable``.

    Returns
    -------
    sympy.Expr
        The second moment, time², in ``symbols.rate``.

    Notes
    -----
    **Source**: Reuveni, Phys. Rev. Lett. 116, 170601 (2016); derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    An exponential passage time does not notice its resets:

    >>> import sympy as sp
    >>> sp.simplify(second_moment_under_poisson(1 / (1 + s)))
    2
    """
    f = _transform(laplace)
    value, slope = f.subs(s, r), sp.diff(f, s).subs(s, r)
    return 2 * (1 - value + r * slope) / (r * value) ** 2


def variance_under_poisson(laplace: sp.Expr | None = None) -> sp.Expr:
    r"""Variance under Poisson resetting, :math:`(1 - f^2 + 2 r f') / (r f)^2` at s = r.

    Parameters
    ----------
    laplace : sympy.Expr, optional
        Laplace transform of the reset-free passage time in ``symbols.laplace_variable``.

    Returns
    -------
    sympy.Expr
        The variance, time², in ``symbols.rate``.

    Notes
    -----
    **Source**: Reuveni, Phys. Rev. Lett. 116, 170601 (2016); derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> import sympy as sp
    >>> sp.simplify(variance_under_poisson(1 / (1 + s)))
    1
    """
    f = _transform(laplace)
    value, slope = f.subs(s, r), sp.diff(f, s).subs(s, r)
    return (1 - value**2 + 2 * r * slope) / (r * value) ** 2


def stationarity(laplace: sp.Expr | None = None) -> sp.Expr:
    r"""What vanishes at a stationary rate: :math:`r f'(r) + f(r) (1 - f(r))`.

    It equals :math:`-(r f)^2\,d\langle T_r\rangle/dr`; where it vanishes the coefficient of
    variation under resetting is 1, because the variance is then the squared mean.

    Parameters
    ----------
    laplace : sympy.Expr, optional
        Laplace transform of the reset-free passage time in ``symbols.laplace_variable``.

    Returns
    -------
    sympy.Expr
        Dimensionless; positive where a larger rate still shortens the passage.

    Notes
    -----
    **Source**: Reuveni, Phys. Rev. Lett. 116, 170601 (2016); derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> import sympy as sp
    >>> sp.simplify(stationarity(1 / (1 + s)))
    0
    """
    f = _transform(laplace)
    value, slope = f.subs(s, r), sp.diff(f, s).subs(s, r)
    return r * slope + value * (1 - value)


def small_rate_series(order: int = 2) -> sp.Expr:
    r"""Mean under Poisson resetting as a series in the rate, in moments of the reset-free time.

    Parameters
    ----------
    order : int, default 2
        Highest power of the rate; the series needs the moments up to ``order + 1``.

    Returns
    -------
    sympy.Expr
        Polynomial in ``symbols.rate`` with the moments ``symbols.moment(n)``, time.

    Notes
    -----
    An asymptotic statement: it holds where those moments are finite. **Source**: Pal and Prasad,
    Phys. Rev. Research 1, 032001 (2019); derived in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> small_rate_series(1)
    T1 + r*(T1**2 - T2/2)
    """
    terms = [(-r) ** n * moment(n) / sp.factorial(n) for n in range(1, order + 2)]
    failing = -sum(terms) / r  # (1 - f)/r
    # 1/f = sum of (1 - f)^k, each order finite
    inverse = sum((r * failing) ** k for k in range(order + 1))
    product = sp.expand(failing * inverse)
    return sum(r**n * sp.expand(product.coeff(r, n)) for n in range(order + 1))


def pays_at_small_rate() -> Relational:
    r"""When rare resets shorten the passage: :math:`CV^2 > 1 + 2 c / T_1`.

    Returns
    -------
    sympy.core.relational.Relational
        The condition in ``symbols.moment(1)``, ``symbols.moment(2)`` and ``symbols.overhead``, the
        mean time lost at each reset.

    Notes
    -----
    Sufficient for *some* rate to help, not necessary: a first-order transition can make a finite
    rate pay where rare resets do not, see :func:`landau_coefficient`. **Source**: Reuveni,
    Phys. Rev. Lett. 116, 170601 (2016); Pal and Reuveni, Phys. Rev. Lett. 118, 030603 (2017);
    derived in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> pays_at_small_rate().subs(overhead, 0)
    -1 + T2/T1**2 > 1
    """
    mean, second = moment(1), moment(2)
    return sp.Gt(second / mean**2 - 1, 1 + 2 * overhead / mean)


def landau_coefficient() -> sp.Expr:
    r"""Coefficient of the squared rate at CV = 1, :math:`T_3/6 - T_1^3`.

    Positive: the optimal rate grows continuously from zero, like
    :math:`(T_2/2 - T_1^2) / (2 (T_3/6 - T_1^3))`; negative: it jumps (first order), and CV > 1 is
    not necessary for resetting to pay.

    Returns
    -------
    sympy.Expr
        Time³, in ``symbols.moment(1)`` and ``symbols.moment(3)``.

    Notes
    -----
    **Source**: Pal and Prasad, Phys. Rev. Research 1, 032001 (2019); derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> landau_coefficient()
    -T1**3 + T3/6
    """
    cubic = sp.expand(small_rate_series(2)).coeff(r, 2)
    return sp.expand(cubic.subs(moment(2), 2 * moment(1) ** 2))
