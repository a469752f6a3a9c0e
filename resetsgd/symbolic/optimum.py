"""When Poisson resetting of a drifting, diffusing particle pays, and at what rate, in SymPy.

The optimum of :func:`resetsgd.symbolic.drift_diffusion.mean_under_poisson` over the rate, its
limits, and how that mean behaves at both ends. All of it is derived in
``theory/01_drift_diffusion.py`` and written in :mod:`resetsgd.symbolic.symbols`.
"""

from __future__ import annotations

import sympy as sp
from sympy.core.relational import Relational

from resetsgd.symbolic import symbols
from resetsgd.symbolic.drift_diffusion import mean_under_poisson, peclet_number

__all__ = [
    "driftless_exponent",
    "driftless_rate",
    "large_rate_limit",
    "near_critical_rate",
    "optimal_rate",
    "optimality_equation",
    "outward_rate",
    "pays",
    "sharp_near_critical_period",
    "sharp_pays",
    "small_rate_limit",
    "small_rate_series",
]

D = symbols.diffusivity
L = symbols.distance
z = symbols.exponent
Pe = symbols.peclet
r = symbols.rate
v = symbols.velocity


def pays() -> Relational:
    """When some Poisson rate shortens the passage: Pe < 1. Exact and global for this process.

    Returns
    -------
    sympy.core.relational.Relational
        Condition on v, L, D; true for any drift away from the target.

    Notes
    -----
    Necessary and sufficient: the mean has one stationary rate if Pe < 1 and none otherwise.
    **Source**: Ray, Mondal and Reuveni, J. Phys. A 52, 255002 (2019); derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> pays()
    L*v/(2*D) < 1
    """
    return sp.Lt(peclet_number(), 1)


def optimality_equation() -> sp.Equality:
    r"""What the optimal rate solves: :math:`\frac{z (z + 2 Pe)}{2 (z + Pe)} = 1 - e^{-z}`.

    Returns
    -------
    sympy.Equality
        In ``symbols.exponent`` z = E(r*) and ``symbols.peclet``. For Pe < 1 it has exactly one
        root z > max(0, -2 Pe), and 1 - Pe < z < 1 - Pe + sqrt(1 + Pe²); for Pe >= 1 it has none.

    Notes
    -----
    **Source**: Ray, Mondal and Reuveni, J. Phys. A 52, 255002 (2019); derived, with uniqueness and
    the bracket, in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> optimality_equation()
    Eq(z*(2*Pe + z)/(2*Pe + 2*z), 1 - exp(-z))
    """
    return sp.Eq(z * (z + 2 * Pe) / (2 * (z + Pe)), 1 - sp.exp(-z))


def optimal_rate() -> sp.Expr:
    """Rate at an exponent, z (z + 2 Pe) D / L²: the optimal one at the root of the equation.

    Returns
    -------
    sympy.Expr
        1/time, in ``symbols.exponent`` (root of :func:`optimality_equation`) and
        ``symbols.peclet``.

    Notes
    -----
    **Source**: Ray, Mondal and Reuveni, J. Phys. A 52, 255002 (2019); derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> optimal_rate()
    D*z*(2*Pe + z)/L**2
    """
    return z * (z + 2 * Pe) * D / L**2


def driftless_exponent() -> sp.Expr:
    """Root of the optimality equation at Pe = 0, 2 + W(-2 exp(-2)) = 1.5936...

    Returns
    -------
    sympy.Expr
        Dimensionless; W is the principal branch of the Lambert function.

    Notes
    -----
    **Source**: Evans and Majumdar, Phys. Rev. Lett. 106, 160601 (2011); derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> driftless_exponent().evalf(20)
    1.5936242600400400923
    """
    return 2 + sp.LambertW(-2 * sp.exp(-2))


def driftless_rate() -> sp.Expr:
    """Optimal rate without drift, 2.5396... D / L².

    Returns
    -------
    sympy.Expr
        1/time.

    Notes
    -----
    **Source**: Evans and Majumdar, Phys. Rev. Lett. 106, 160601 (2011); derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> driftless_rate().subs({D: 1, L: 1}).evalf(17)
    2.5396382821881653
    """
    return driftless_exponent() ** 2 * D / L**2


def near_critical_rate() -> sp.Expr:
    r"""Optimal rate for Pe -> 1 from below, to second order: it vanishes continuously.

    :math:`r^* = \left[3 (1 - Pe) - \tfrac{9}{16} (1 - Pe)^2\right] D / L^2 + O((1 - Pe)^3)`.

    Returns
    -------
    sympy.Expr
        1/time, in ``symbols.peclet``.

    Notes
    -----
    **Source**: derived here, in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> near_critical_rate().subs({D: 1, L: 1, Pe: sp.Rational(99, 100)}).evalf(6)
    0.0299437
    """
    return (3 * (1 - Pe) - sp.Rational(9, 16) * (1 - Pe) ** 2) * D / L**2


def outward_rate() -> sp.Expr:
    r"""Optimal rate for strong drift away, Pe -> -oo: 2 (1 + sqrt(1 + Pe²)) D / L².

    For every Pe < 1 the optimal rate is below it; for Pe -> -oo the relative gap closes like
    :math:`e^{-2 |Pe|}`.

    Returns
    -------
    sympy.Expr
        1/time, in ``symbols.peclet``.

    Notes
    -----
    **Source**: derived here, in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> outward_rate().subs({D: 1, L: 1, Pe: 0})
    4
    """
    return 2 * (1 + sp.sqrt(1 + Pe**2)) * D / L**2


def small_rate_limit() -> sp.Expr:
    """Leading behaviour of the mean for rate -> 0, for each sign of the drift.

    Returns
    -------
    sympy.Expr
        Time: L / v toward the target, L / sqrt(D r) without drift, (exp(-v L / D) - 1) / r away.

    Notes
    -----
    **Source**: Evans and Majumdar, Phys. Rev. Lett. 106, 160601 (2011), for v = 0; derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> small_rate_limit().subs(v, 0)
    L/(sqrt(D)*sqrt(r))
    """
    away = (sp.exp(-v * L / D) - 1) / r
    return sp.Piecewise((L / v, v > 0), (L / sp.sqrt(D * r), sp.Eq(v, 0)), (away, True))


def large_rate_limit() -> sp.Expr:
    """Leading behaviour of the mean for rate -> oo: exp(L sqrt(r / D) - v L / (2 D)) / r.

    Returns
    -------
    sympy.Expr
        Time; holds for either sign of the drift.

    Notes
    -----
    **Source**: Evans and Majumdar, Phys. Rev. Lett. 106, 160601 (2011), for v = 0; derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> large_rate_limit().subs(v, 0)
    exp(L*sqrt(r)/sqrt(D))/r
    """
    return sp.exp(L * sp.sqrt(r / D) - peclet_number()) / r


def small_rate_series(order: int = 2) -> sp.Expr:
    """Mean as a power series in the rate, for drift toward the target.

    Parameters
    ----------
    order : int, default 2
        Highest power of the rate.

    Returns
    -------
    sympy.Expr
        Time, polynomial in ``symbols.rate``; valid for v > 0 and rate < v² / (4 D).

    Notes
    -----
    **Source**: :func:`resetsgd.symbolic.renewal.small_rate_series` with the moments of the
    inverse-Gaussian law; both routes are derived in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> sp.factor(small_rate_series(1).coeff(r, 1))
    L*(-2*D + L*v)/(2*v**3)
    """
    toward = sp.Symbol("v", positive=True)
    expanded = sp.series(mean_under_poisson().subs(v, toward), r, 0, order + 1).removeO()
    return sp.expand(expanded.subs(toward, v))


def sharp_pays() -> Relational:
    """When some fixed period shortens the passage: Pe < 2, twice the bound of Poisson resets.

    Returns
    -------
    sympy.core.relational.Relational
        Condition on v, L, D.

    Notes
    -----
    The mean residual life of the inverse-Gaussian law rises to 4 D/v²; resets after a long period
    pay as soon as that exceeds the mean L/v. **Source**: Eliazar and Reuveni, J. Phys. A 53, 405004
    (2020), for the criterion; derived in ``theory/09_transitions.py``.

    Examples
    --------
    >>> sharp_pays()
    L*v/(2*D) < 2
    """
    return sp.Lt(peclet_number(), 2)


def sharp_near_critical_period() -> sp.Expr:
    r"""Best period for Pe -> 2 from below: :math:`\tau^* \to \frac{3}{2 Pe (2 - Pe)} L^2/D`.

    Returns
    -------
    sympy.Expr
        Time, in ``symbols.peclet``; it diverges, and the gain vanishes faster than any power.

    Notes
    -----
    **Source**: derived here, in ``theory/09_transitions.py``.

    Examples
    --------
    >>> sharp_near_critical_period().subs({D: 1, L: 1, Pe: sp.Rational(19, 10)}).evalf(6)
    7.89474
    """
    return 3 * L**2 / (2 * D * Pe * (2 - Pe))
