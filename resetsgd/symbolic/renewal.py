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
    "laplace_of_trials",
    "laplace_under_poisson",
    "mean_from_elsewhere",
    "mean_of_trials",
    "mean_under_poisson",
    "pays_at_small_rate",
    "pays_from_elsewhere",
    "response_slope",
    "second_moment_of_trials",
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


won = sp.Symbol("a", positive=True)
"""P(T < R): the trial is won."""
stretch = sp.Symbol("m", positive=True)
"""E[min(T, R)]: mean length of a trial."""
square = sp.Symbol("q", positive=True)
"""E[min(T, R)²]."""
lost_time = sp.Symbol("b1", positive=True)
"""E[R; R < T]: time spent in trials that are lost."""
second_overhead = sp.Symbol("c2", nonnegative=True)
"""E[C²], the second moment of the overhead."""


def mean_of_trials() -> sp.Expr:
    r"""Mean under any protocol, :math:`(E[\min(T, R)] + c P(R \le T)) / P(T < R)`.

    Returns
    -------
    sympy.Expr
        Time, in ``stretch`` E[min(T, R)], ``won`` P(T < R) and ``symbols.overhead`` c, of
        independent waiting times R.

    Notes
    -----
    **Source**: Pal and Reuveni, Phys. Rev. Lett. 118, 030603 (2017); derived in
    ``theory/08_any_protocol.py``.

    Examples
    --------
    >>> mean_of_trials().subs(overhead, 0)
    m/a
    """
    return (stretch + overhead * (1 - won)) / won


def second_moment_of_trials() -> sp.Expr:
    r"""Second moment under any protocol, with overhead.

    :math:`(E[\min^2] + 2 E[R; R<T] (c + M) + P(R \le T) (E[C^2] + 2 c M)) / P(T < R)`, M the
    mean. Forgetting the cross terms underestimates it.

    Returns
    -------
    sympy.Expr
        Time², in the symbols of :func:`mean_of_trials`, ``square``, ``lost_time`` and
        ``second_overhead``.

    Notes
    -----
    **Source**: Pal and Reuveni, Phys. Rev. Lett. 118, 030603 (2017), without overhead; derived in
    ``theory/08_any_protocol.py``.

    Examples
    --------
    >>> second_moment_of_trials().subs({overhead: 0, second_overhead: 0})
    (q + 2*b1*m/a)/a
    """
    mean = mean_of_trials()
    cross = 2 * lost_time * (overhead + mean)
    return (square + cross + (1 - won) * (second_overhead + 2 * overhead * mean)) / won


def laplace_of_trials(ratio: sp.Expr | None = None) -> sp.Expr:
    r"""Laplace transform under any protocol without overhead, :math:`1 / (1 + s M(s))`.

    Parameters
    ----------
    ratio : sympy.Expr, optional
        M(s), the integral of exp(-s t) P(min(T, R) > t) over E[exp(-s T); T < R].

    Returns
    -------
    sympy.Expr
        Dimensionless, in ``symbols.laplace_variable``.

    Notes
    -----
    **Source**: Pal and Reuveni, Phys. Rev. Lett. 118, 030603 (2017); derived in
    ``theory/08_any_protocol.py``.

    Examples
    --------
    >>> laplace_of_trials()
    1/(s*M(s) + 1)
    """
    return 1 / (1 + s * (sp.Function("M")(s) if ratio is None else ratio))


def mean_from_elsewhere(first: sp.Expr | None = None, later: sp.Expr | None = None) -> sp.Expr:
    r"""Mean under Poisson resetting to another point than the start, :math:`(1 - f_0)/(r f)`.

    Parameters
    ----------
    first, later : sympy.Expr, optional
        Laplace transforms, in ``symbols.laplace_variable``, of the passage time from the start and
        from the reset point.

    Returns
    -------
    sympy.Expr
        Time, in ``symbols.rate``.

    Notes
    -----
    **Source**: Evans and Majumdar, Phys. Rev. Lett. 106, 160601 (2011); derived in
    ``theory/08_any_protocol.py``.

    Examples
    --------
    >>> mean_from_elsewhere()
    (1 - f0(r))/(r*f(r))
    """
    f0 = sp.Function("f0")(r) if first is None else first.subs(s, r)
    f = sp.Function("f")(r) if later is None else later.subs(s, r)
    return (1 - f0) / (r * f)


def pays_from_elsewhere() -> Relational:
    r"""When rare resets to another point pay: :math:`T_r < T_2 / (2 T_1)`.

    The mean from the reset point must lie below the mean residual time from the start.

    Returns
    -------
    sympy.core.relational.Relational
        In ``symbols.moment(1)``, ``symbols.moment(2)`` of the time from the start and the symbol
        ``Tr`` of the mean from the reset point.

    Notes
    -----
    **Source**: derived in ``theory/08_any_protocol.py``.

    Examples
    --------
    >>> pays_from_elsewhere()
    Tr < T2/(2*T1)
    """
    return sp.Lt(sp.Symbol("Tr", positive=True), moment(2) / (2 * moment(1)))


def response_slope() -> sp.Expr:
    r"""Slope of the mean at vanishing rate of a perturbation, :math:`T_1 (T_a + c) - T_2/2`.

    Returns
    -------
    sympy.Expr
        Time², with the symbol ``Ta`` for the mean time from a perturbation to the end, whatever the
        age; of a restart it is T1.

    Notes
    -----
    **Source**: Keidar and Reuveni, arXiv:2410.16129; derived in ``theory/08_any_protocol.py``.

    Examples
    --------
    >>> response_slope()
    T1*(Ta + c) - T2/2
    """
    return moment(1) * (sp.Symbol("Ta", positive=True) + overhead) - moment(2) / 2
