"""Passage of a drifting, diffusing particle to a target, as SymPy expressions.

The process is dx = mu dt + sqrt(2 D) dW on the half line before the target, L the distance to it
and v the drift *toward* it; v <= 0 is allowed, the mean without resetting is then infinite. All of
it is derived in ``theory/01_drift_diffusion.py`` and written in :mod:`resetsgd.symbolic.symbols`.
"""

from __future__ import annotations

import sympy as sp

from resetsgd.symbolic import renewal, symbols

__all__ = [
    "density",
    "hitting_probability",
    "in_peclet_units",
    "laplace_transform",
    "log_laplace_transform",
    "mean",
    "mean_under_poisson",
    "peclet_number",
    "second_moment_under_poisson",
    "squared_cv",
    "survival",
    "variance",
    "variance_under_poisson",
]

D = symbols.diffusivity
L = symbols.distance
s = symbols.laplace_variable
Pe = symbols.peclet
r = symbols.rate
t = symbols.time
v = symbols.velocity


def peclet_number() -> sp.Expr:
    """Péclet number v L / (2 D), dimensionless; positive for drift toward the target.

    Returns
    -------
    sympy.Expr
        In ``symbols.velocity``, ``symbols.distance``, ``symbols.diffusivity``.

    Notes
    -----
    **Source**: Ray, Mondal and Reuveni, J. Phys. A 52, 255002 (2019); used throughout
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> peclet_number()
    L*v/(2*D)
    """
    return v * L / (2 * D)


def in_peclet_units(expression: sp.Expr) -> sp.Expr:
    """An expression with the velocity replaced by 2 D Pe / L.

    Parameters
    ----------
    expression : sympy.Expr
        Anything in ``symbols.velocity``.

    Returns
    -------
    sympy.Expr
        The same in ``symbols.peclet``.

    Notes
    -----
    **Source**: the definition of the Péclet number; used in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> in_peclet_units(squared_cv())
    1/Pe
    """
    return expression.subs(v, 2 * D * Pe / L)


def log_laplace_transform() -> sp.Expr:
    r"""Log of the Laplace transform, :math:`-\frac{L}{2D}(\sqrt{v^2 + 4 D s} - v)`.

    Returns
    -------
    sympy.Expr
        Dimensionless, in ``symbols.laplace_variable``.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), chapter 3; derived from the
    backward equation, both signs of the drift, in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> log_laplace_transform()
    -L*(-v + sqrt(4*D*s + v**2))/(2*D)
    """
    return -L * (sp.sqrt(v**2 + 4 * D * s) - v) / (2 * D)


def laplace_transform() -> sp.Expr:
    r"""Laplace transform E[exp(-s T)] of the passage time.

    Returns
    -------
    sympy.Expr
        Dimensionless, in ``symbols.laplace_variable``; its limit s -> 0 is the
        :func:`hitting_probability`.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), chapter 3; derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> laplace_transform().subs(v, 0)
    exp(-L*sqrt(s)/sqrt(D))
    """
    return sp.exp(log_laplace_transform())


def hitting_probability() -> sp.Expr:
    """Probability of ever reaching the target: 1, or exp(v L / D) if the drift points away.

    Returns
    -------
    sympy.Expr
        Dimensionless.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), chapter 3; derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> hitting_probability()
    Piecewise((1, v >= 0), (exp(L*v/D), True))
    """
    return sp.Piecewise((sp.Integer(1), v >= 0), (sp.exp(v * L / D), True))


def density() -> sp.Expr:
    """Density of the passage time, 1/time: the inverse-Gaussian law.

    Returns
    -------
    sympy.Expr
        In ``symbols.time``; its integral is the :func:`hitting_probability`.

    Notes
    -----
    **Source**: Schrödinger, Phys. Z. 16, 289 (1915); verified against the backward equation and
    :func:`laplace_transform` in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> density()
    L*exp(-(L - t*v)**2/(4*D*t))/(2*sqrt(pi)*sqrt(D)*t**(3/2))
    """
    return L * sp.exp(-((L - v * t) ** 2) / (4 * D * t)) / sp.sqrt(4 * sp.pi * D * t**3)


def survival() -> sp.Expr:
    """Probability that the target has not been reached by a time.

    Returns
    -------
    sympy.Expr
        Dimensionless, in ``symbols.time``.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), chapter 3; verified against
    :func:`density` in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> survival().subs(v, 0)
    1 - erfc(L/(2*sqrt(D)*sqrt(t)))
    """
    width = sp.sqrt(4 * D * t)
    before = sp.erfc((v * t - L) / width) / 2
    mirrored = sp.exp(v * L / D) * sp.erfc((v * t + L) / width) / 2
    return before - mirrored


def mean() -> sp.Expr:
    """Mean passage time without resetting: L / v, infinite unless the drift points to the target.

    Returns
    -------
    sympy.Expr
        Time.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), chapter 3; derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> mean()
    Piecewise((L/v, v > 0), (oo, True))
    """
    return sp.Piecewise((L / v, v > 0), (sp.oo, True))


def variance() -> sp.Expr:
    """Variance of the passage time without resetting, 2 D L / v³, infinite unless v > 0.

    Returns
    -------
    sympy.Expr
        Time².

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), chapter 3; derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> variance()
    Piecewise((2*D*L/v**3, v > 0), (oo, True))
    """
    return sp.Piecewise((2 * D * L / v**3, v > 0), (sp.oo, True))


def squared_cv() -> sp.Expr:
    """Squared coefficient of variation without resetting, 1/Pe; for drift toward the target.

    Returns
    -------
    sympy.Expr
        Dimensionless; meaningful for v > 0 only.

    Notes
    -----
    **Source**: Ray, Mondal and Reuveni, J. Phys. A 52, 255002 (2019); derived in
    ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> squared_cv()
    2*D/(L*v)
    """
    return 2 * D / (v * L)


def mean_under_poisson() -> sp.Expr:
    r"""Mean passage time under Poisson resetting to the start, :math:`(e^{E(r)} - 1)/r`.

    Returns
    -------
    sympy.Expr
        Time, in ``symbols.rate``; E(r) is minus :func:`log_laplace_transform` at s = r.

    Notes
    -----
    **Source**: Evans and Majumdar, Phys. Rev. Lett. 106, 160601 (2011), for v = 0; Ray,
    Mondal and Reuveni, J. Phys. A 52, 255002 (2019); derived in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> mean_under_poisson().subs(v, 0)
    (exp(L*sqrt(r)/sqrt(D)) - 1)/r
    """
    return (sp.exp(-log_laplace_transform().subs(s, r)) - 1) / r


def second_moment_under_poisson() -> sp.Expr:
    """Second moment of the passage time under Poisson resetting to the start.

    Returns
    -------
    sympy.Expr
        Time², in ``symbols.rate``.

    Notes
    -----
    **Source**: :func:`resetsgd.symbolic.renewal.second_moment_under_poisson` of
    :func:`laplace_transform`; derived in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> round(second_moment_under_poisson().subs({v: 0, L: 1, D: 1, r: 1}).evalf(), 12)
    6.623266712484
    """
    return renewal.second_moment_under_poisson(laplace_transform())


def variance_under_poisson() -> sp.Expr:
    """Variance of the passage time under Poisson resetting to the start.

    Returns
    -------
    sympy.Expr
        Time², in ``symbols.rate``.

    Notes
    -----
    **Source**: :func:`resetsgd.symbolic.renewal.variance_under_poisson` of
    :func:`laplace_transform`; derived in ``theory/01_drift_diffusion.py``.

    Examples
    --------
    >>> round(variance_under_poisson().subs({v: 0, L: 1, D: 1, r: 1}).evalf(), 12)
    3.670774270472
    """
    return renewal.variance_under_poisson(laplace_transform())
