"""Exit of a drifting, diffusing particle from an interval, as SymPy expressions.

The process is dx = mu dt + sqrt(2 D) dW between two ends, l above the lower and h below the upper
one. All of it is derived in ``theory/02_interval.py`` and written in
:mod:`resetsgd.symbolic.symbols`; the limits mu -> 0 exist everywhere and are written apart.
"""

from __future__ import annotations

import sympy as sp

from resetsgd.symbolic import renewal, symbols

__all__ = [
    "conditional_mean_lower",
    "driftless_mean",
    "driftless_squared_cv",
    "driftless_transform",
    "laplace_lower",
    "laplace_transform",
    "laplace_upper",
    "mean",
    "mean_under_poisson",
    "splitting_lower",
    "splitting_lower_under_poisson",
    "wave_number",
]

D = symbols.diffusivity
h = symbols.above
l = symbols.below  # noqa: E741
mu = symbols.drift
r = symbols.rate
s = symbols.laplace_variable


def wave_number() -> sp.Expr:
    r"""Wave number :math:`k = \sqrt{\mu^2 + 4 D s}/2D`, 1/length.

    Returns
    -------
    sympy.Expr
        In ``symbols.laplace_variable``; abs(mu)/2D at s = 0.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), section 2.2; derived in
    ``theory/02_interval.py``.

    Examples
    --------
    >>> wave_number()
    sqrt(4*D*s + mu**2)/(2*D)
    """
    return sp.sqrt(mu**2 + 4 * D * s) / (2 * D)


def laplace_lower() -> sp.Expr:
    r"""Transform at the lower end, E[exp(-sT); lower].

    Returns
    -------
    sympy.Expr
        :math:`e^{-g l} \sinh(k h)/\sinh(k(l + h))`, g = mu/2D.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), section 2.2; derived from the
    backward equation in ``theory/02_interval.py``.

    Examples
    --------
    >>> laplace_lower().subs(mu, 0)
    sinh(h*sqrt(s)/sqrt(D))/sinh(sqrt(s)*(h + l)/sqrt(D))
    """
    k = wave_number()
    return sp.exp(-mu * l / (2 * D)) * sp.sinh(k * h) / sp.sinh(k * (l + h))


def laplace_upper() -> sp.Expr:
    """Transform at the upper end, E[exp(-sT); upper].

    Returns
    -------
    sympy.Expr
        The mirror image of :func:`laplace_lower`.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), section 2.2; derived from the
    backward equation in ``theory/02_interval.py``.

    Examples
    --------
    >>> laplace_upper().subs(mu, 0)
    sinh(l*sqrt(s)/sqrt(D))/sinh(sqrt(s)*(h + l)/sqrt(D))
    """
    k = wave_number()
    return sp.exp(mu * h / (2 * D)) * sp.sinh(k * l) / sp.sinh(k * (l + h))


def laplace_transform() -> sp.Expr:
    """Laplace transform E[exp(-sT)] of the exit time, the sum over the ends.

    Returns
    -------
    sympy.Expr
        Dimensionless, in ``symbols.laplace_variable``.

    Notes
    -----
    **Source**: Pal and Prasad, Phys. Rev. E 99, 032123 (2019); derived in
    ``theory/02_interval.py``.

    Examples
    --------
    >>> round(laplace_transform().subs({mu: 1, D: 1, l: 1, h: 2, s: 1}).evalf(), 12)
    0.456053590335
    """
    return laplace_lower() + laplace_upper()


def driftless_transform() -> sp.Expr:
    """The transform without drift, cosh(q (h - l)/2)/cosh(q (h + l)/2), q = sqrt(s/D).

    Returns
    -------
    sympy.Expr
        Dimensionless.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), section 2.2; derived in
    ``theory/02_interval.py``.

    Examples
    --------
    >>> driftless_transform().subs({l: 1, h: 1})
    1/cosh(sqrt(s)/sqrt(D))
    """
    q = sp.sqrt(s / D)
    return sp.cosh(q * (h - l) / 2) / sp.cosh(q * (h + l) / 2)


def splitting_lower() -> sp.Expr:
    """Probability to leave at the lower end.

    Returns
    -------
    sympy.Expr
        For mu != 0; h/(l + h) in the limit mu -> 0.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), section 2.2; derived in
    ``theory/02_interval.py``.

    Examples
    --------
    >>> sp.limit(splitting_lower(), mu, 0)
    h/(h + l)
    """
    g = mu / (2 * D)
    return (sp.exp(-2 * g * l) - sp.exp(-2 * g * (l + h))) / (1 - sp.exp(-2 * g * (l + h)))


def mean() -> sp.Expr:
    """Mean exit time, by Wald's identity (h P_upper - l P_lower)/mu.

    Returns
    -------
    sympy.Expr
        Time; for mu != 0, :func:`driftless_mean` in the limit.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), section 2.2; derived in
    ``theory/02_interval.py``.

    Examples
    --------
    >>> round(mean().subs({mu: 25, D: 1, l: sp.Rational(1, 20), h: sp.Rational(19, 20)}).evalf(), 9)
    0.026539808
    """
    return (h * (1 - splitting_lower()) - l * splitting_lower()) / mu


def driftless_mean() -> sp.Expr:
    """Mean exit time without drift, l h/2D.

    Returns
    -------
    sympy.Expr
        Time.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), section 2.2; derived in
    ``theory/02_interval.py``.

    Examples
    --------
    >>> driftless_mean()
    h*l/(2*D)
    """
    return l * h / (2 * D)


def driftless_squared_cv() -> sp.Expr:
    """Squared coefficient of variation without drift, (l² + h²)/(3 l h).

    Returns
    -------
    sympy.Expr
        Dimensionless; 2/3 at the centre, 1 at l/(l + h) = (5 -+ sqrt 5)/10.

    Notes
    -----
    **Source**: Pal and Prasad, Phys. Rev. E 99, 032123 (2019); derived in
    ``theory/02_interval.py``.

    Examples
    --------
    >>> driftless_squared_cv().subs(h, l)
    2/3
    """
    return (l**2 + h**2) / (3 * l * h)


def conditional_mean_lower() -> sp.Expr:
    """Mean exit time given that it ends at the lower end.

    Returns
    -------
    sympy.Expr
        (L coth(g L) - h coth(g h))/mu, g = mu/2D, L = l + h: the same for either sign of mu.

    Notes
    -----
    **Source**: Redner, *A Guide to First-Passage Processes* (2001), section 2.2; derived in
    ``theory/02_interval.py``.

    Examples
    --------
    >>> sp.factor(sp.limit(conditional_mean_lower(), mu, 0))
    l*(2*h + l)/(6*D)
    """
    g = mu / (2 * D)
    return ((l + h) * sp.coth(g * (l + h)) - h * sp.coth(g * h)) / mu


def mean_under_poisson() -> sp.Expr:
    """Mean exit time under Poisson resetting to the start.

    Returns
    -------
    sympy.Expr
        (1 - f(r))/(r f(r)) of :func:`laplace_transform`.

    Notes
    -----
    **Source**: Pal and Prasad, Phys. Rev. E 99, 032123 (2019); derived in
    ``theory/02_interval.py``.

    Examples
    --------
    >>> near, far = sp.Rational(1, 20), sp.Rational(19, 20)
    >>> at = {mu: 25, D: 1, l: near, h: far, r: sp.Rational("1529.45")}
    >>> round(mean_under_poisson().subs(at).evalf(), 9)
    0.008861990
    """
    return renewal.mean_under_poisson(laplace_transform())


def splitting_lower_under_poisson() -> sp.Expr:
    """Probability to leave at the lower end under Poisson resetting: f_lower/f at s = r.

    Returns
    -------
    sympy.Expr
        Dimensionless; not the value without resets.

    Notes
    -----
    **Source**: Pal and Prasad, Phys. Rev. E 99, 032123 (2019); derived in
    ``theory/02_interval.py``.

    Examples
    --------
    >>> round(splitting_lower_under_poisson().subs({mu: 0, D: 1, l: 1, h: 3, r: 100}).evalf(), 9)
    0.999999998
    """
    return (laplace_lower() / laplace_transform()).subs(s, r)
