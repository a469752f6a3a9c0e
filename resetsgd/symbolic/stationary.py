"""Stationary states under resetting and the long-run loss of SGD in a bowl, as SymPy expressions.

Derived in ``theory/11_stationary_states.py``. Besides the symbols of
:mod:`resetsgd.symbolic.symbols` these need a drift mu (signed, not toward a target), positions x
and x_r, and a bowl: stiffness k, centre c, curvature h, learning rate eta, variance C of the
gradient of a step, distance d of the checkpoint from the minimum, momentum beta, and the
probability p of a reset in a step.
"""

from __future__ import annotations

import sympy as sp

from resetsgd.symbolic import symbols

__all__ = [
    "bowl_loss",
    "bowl_slope",
    "center",
    "checkpoint",
    "curvature",
    "discrete_loss",
    "drift",
    "free_density",
    "free_mean",
    "free_variance",
    "gradient_variance",
    "heavy_ball_determinant",
    "kept",
    "learning_rate",
    "momentum",
    "partial_variance",
    "position",
    "probability",
    "reset_point",
    "stiffness",
    "trapped_mean",
    "trapped_variance",
]

D, r = symbols.diffusivity, symbols.rate
drift = sp.Symbol("mu", real=True)
position, reset_point = sp.symbols("x x_r", real=True)
stiffness, curvature, learning_rate = sp.symbols("k h eta", positive=True)
center = sp.Symbol("c", real=True)
gradient_variance = sp.Symbol("C", positive=True)
checkpoint = sp.Symbol("d", real=True)
momentum = sp.Symbol("beta", nonnegative=True)
probability = sp.Symbol("p", positive=True)
kept = sp.Symbol("a", nonnegative=True)


def free_density() -> sp.Expr:
    r"""Density :math:`\frac{r}{R} e^{(\mu y - |y| R)/2D}`, :math:`R = \sqrt{\mu^2 + 4 D r}`.

    Returns
    -------
    sympy.Expr
        1/length, with y = x - x_r.

    Notes
    -----
    **Source**: Evans and Majumdar, PRL 106, 160601 (2011); derived in
    ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> free_density().subs({drift: 0, position: reset_point})
    sqrt(r)/(2*sqrt(D))
    """
    root, gap = sp.sqrt(drift**2 + 4 * D * r), position - reset_point
    return r / root * sp.exp((drift * gap - sp.Abs(gap) * root) / (2 * D))


def free_mean() -> sp.Expr:
    """Mean x_r + mu/r of drift-diffusion under Poisson resetting.

    Returns
    -------
    sympy.Expr
        Length.

    Notes
    -----
    **Source**: derived in ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> free_mean()
    mu/r + x_r
    """
    return reset_point + drift / r


def free_variance() -> sp.Expr:
    """Variance 2 D/r + mu²/r² of drift-diffusion under Poisson resetting: ages are random.

    Returns
    -------
    sympy.Expr
        Length².

    Notes
    -----
    **Source**: derived in ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> free_variance()
    2*D/r + mu**2/r**2
    """
    return 2 * D / r + drift**2 / r**2


def trapped_mean() -> sp.Expr:
    """Mean of the Ornstein–Uhlenbeck process under Poisson resetting.

    Returns
    -------
    sympy.Expr
        Length.

    Notes
    -----
    **Source**: A. Pal, PRE 91, 012113 (2015); derived in ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> trapped_mean()
    c + r*(-c + x_r)/(k + r)
    """
    return center + (reset_point - center) * r / (r + stiffness)


def trapped_variance() -> sp.Expr:
    """Variance of the Ornstein–Uhlenbeck process under Poisson resetting.

    Returns
    -------
    sympy.Expr
        Length².

    Notes
    -----
    **Source**: A. Pal, PRE 91, 012113 (2015); derived in ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> trapped_variance().subs(r, 0)
    D/k
    """
    gap = reset_point - center
    return (r * gap**2 + 2 * D) / (r + 2 * stiffness) - (gap * r / (r + stiffness)) ** 2


def partial_variance() -> sp.Expr:
    """Variance under partial resets y -> a y about the centre of a trap.

    Returns
    -------
    sympy.Expr
        Length²; for k = 0 that of free diffusion.

    Notes
    -----
    **Source**: Tal-Friedman, Roichman and Reuveni, PRE 106, 054116 (2022); derived in
    ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> partial_variance().subs(kept, 0)
    2*D/(2*k + r)
    """
    return 2 * D / (2 * stiffness + r * (1 - kept**2))


def bowl_loss() -> sp.Expr:
    """Long-run loss of one direction of a bowl in continuous time, r resets per step.

    Returns
    -------
    sympy.Expr
        Loss.

    Notes
    -----
    **Source**: derived in ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> bowl_loss().subs(r, 0)
    C*eta/4
    """
    noise = learning_rate**2 * gradient_variance
    square = (noise + r * checkpoint**2) / (r + 2 * learning_rate * curvature)
    return curvature * square / 2


def bowl_slope() -> sp.Expr:
    """Change of :func:`bowl_loss` with the rate: eta h² Delta/(r + 2 eta h)².

    Delta = d² - eta C/2h: the checkpoint against the noise.

    Returns
    -------
    sympy.Expr
        Loss times steps.

    Notes
    -----
    **Source**: derived in ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> sp.simplify(bowl_slope() - bowl_loss().diff(r))
    0
    """
    g = learning_rate * curvature
    delta = checkpoint**2 - learning_rate * gradient_variance / (2 * curvature)
    return curvature * g * delta / (r + 2 * g) ** 2


def discrete_loss(order: str = "move-coin-look") -> sp.Expr:
    """Long-run loss of one direction under discrete SGD with resets.

    Parameters
    ----------
    order : {"move-coin-look", "move-look-coin"}
        Seen after the coin or before it.

    Returns
    -------
    sympy.Expr
        Loss.

    Notes
    -----
    **Source**: derived in ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> sp.factor(discrete_loss().subs(probability, 0))
    -C*eta/(2*(eta*h - 2))
    """
    p, g = probability, learning_rate * curvature
    noise = learning_rate**2 * gradient_variance
    after = ((1 - p) * noise + p * checkpoint**2) / (1 - (1 - p) * (1 - g) ** 2)
    before = (1 - g) ** 2 * after + noise
    return curvature * (after if order == "move-coin-look" else before) / 2


def heavy_ball_determinant() -> sp.Expr:
    """Determinant of the second moments of SGD with momentum and resets, over 1 - (1-p) beta.

    A product: ((1-s)(1 - s beta) + s g)((1+s)(1 + s beta) - s g), s = sqrt(1-p), g = eta h.

    Returns
    -------
    sympy.Expr
        Dimensionless; positive where SGD has a long-run loss.

    Notes
    -----
    **Source**: derived in ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> sp.factor(heavy_ball_determinant().subs({probability: 0, momentum: 0}))
    -eta*h*(eta*h - 2)
    """
    root, g, beta = sp.sqrt(1 - probability), learning_rate * curvature, momentum
    slow = (1 - root) * (1 - root * beta) + root * g
    return slow * ((1 + root) * (1 + root * beta) - root * g)
