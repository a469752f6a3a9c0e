"""Discrete SGD in a quadratic bowl, with resets to a checkpoint, as SymPy expressions.

One mode: theta' = theta - eta (h theta + xi), E[xi²] = c, and then, with probability p, theta = d,
the checkpoint's distance from the minimum. With momentum: v' = beta v + h theta + xi and
theta' = theta - eta v'. Second moments are about the minimum; a mode's part of the loss is h/2
times them. All of it is derived in ``theory/12_quadratic_sgd.py`` and
``theory/14_finite_learning_rate.py``.
"""

from __future__ import annotations

import sympy as sp

__all__ = [
    "barrier_shift",
    "contraction",
    "covariance_after_coin",
    "finite_rate_factor",
    "heavy_ball_variance",
    "second_moment_after_coin",
    "second_moment_before_coin",
    "slope_at_rare_resets",
    "stationary_variance",
]

eta = sp.Symbol("eta", positive=True)
curvature = sp.Symbol("h", positive=True)
noise = sp.Symbol("c", positive=True)
probability = sp.Symbol("p", positive=True)
distance = sp.Symbol("d", real=True)
momentum = sp.Symbol("beta", nonnegative=True)


def contraction() -> sp.Expr:
    """Factor a = 1 - eta h by which a step shortens the distance to the minimum.

    Returns
    -------
    sympy.Expr
        Dimensionless.

    Notes
    -----
    **Source**: the definition of a step; used in ``theory/12_quadratic_sgd.py``.

    Examples
    --------
    >>> contraction()
    -eta*h + 1
    """
    return 1 - eta * curvature


def stationary_variance() -> sp.Expr:
    """Variance of one mode without resets, eta c / (h (2 - eta h)).

    Returns
    -------
    sympy.Expr
        Length²; positive for eta h < 2 only.

    Notes
    -----
    **Source**: S. Mandt, M. D. Hoffman, D. M. Blei, J. Mach. Learn. Res. 18, 134 (2017) in the
    limit of small eta; derived for every eta in ``theory/12_quadratic_sgd.py``.

    Examples
    --------
    >>> stationary_variance()
    c*eta/(h*(-eta*h + 2))
    """
    return eta * noise / (curvature * (2 - eta * curvature))


def finite_rate_factor() -> sp.Expr:
    """What a finite learning rate makes of the variance of the diffusion, 1/(1 - eta h/2).

    Returns
    -------
    sympy.Expr
        Dimensionless; the diffusion has the variance eta c / (2 h).

    Notes
    -----
    **Source**: derived in ``theory/14_finite_learning_rate.py``.

    Examples
    --------
    >>> finite_rate_factor()
    1/(-eta*h/2 + 1)
    """
    return 1 / (1 - eta * curvature / 2)


def second_moment_after_coin() -> sp.Expr:
    """Long-run second moment under resets, seen after the coin: move, coin, look.

    Returns
    -------
    sympy.Expr
        Length²; finite if and only if (1 - p) (1 - eta h)² < 1.

    Notes
    -----
    **Source**: derived in ``theory/12_quadratic_sgd.py``.

    Examples
    --------
    >>> second_moment_after_coin().subs(probability, 1)
    d**2
    """
    keep = 1 - probability
    moved = keep * eta**2 * noise + probability * distance**2
    return moved / (1 - keep * contraction() ** 2)


def second_moment_before_coin() -> sp.Expr:
    """Long-run second moment under resets, seen before the coin: move, look, coin.

    Returns
    -------
    sympy.Expr
        Length²; one more move than after the coin.

    Notes
    -----
    **Source**: derived in ``theory/12_quadratic_sgd.py``.

    Examples
    --------
    >>> sp.factor(second_moment_before_coin().subs(probability, 1))
    c*eta**2 + d**2*eta**2*h**2 - 2*d**2*eta*h + d**2
    """
    return contraction() ** 2 * second_moment_after_coin() + eta**2 * noise


def slope_at_rare_resets() -> sp.Expr:
    """Derivative of the second moment after the coin at p = 0.

    Returns
    -------
    sympy.Expr
        Length²; (d² - variance)/(1 - a²). Resets pay where its sum over modes, weighted with the
        curvatures, is negative.

    Notes
    -----
    **Source**: derived in ``theory/12_quadratic_sgd.py``.

    Examples
    --------
    >>> sp.simplify(slope_at_rare_resets().subs(distance**2, stationary_variance()))
    0
    """
    return (distance**2 - stationary_variance()) / (1 - contraction() ** 2)


def covariance_after_coin(
    first: sp.Expr, second: sp.Expr, noise_entry: sp.Expr, checkpoint_entry: sp.Expr
) -> sp.Expr:
    """Entry (i, j) of the long-run second-moment matrix after the coin, in the Hessian's axes.

    Solves Sigma = (1 - p) (A Sigma A + eta² C) + p d d^T with A = 1 - eta H entry by entry.

    Parameters
    ----------
    first, second : sympy.Expr
        Curvatures h_i and h_j.
    noise_entry : sympy.Expr
        C_ij.
    checkpoint_entry : sympy.Expr
        d_i d_j.

    Returns
    -------
    sympy.Expr
        Length².

    Notes
    -----
    **Source**: derived in ``theory/12_quadratic_sgd.py``.

    Examples
    --------
    >>> entry = covariance_after_coin(curvature, curvature, noise, distance**2)
    >>> sp.simplify(entry - second_moment_after_coin())
    0
    """
    keep = 1 - probability
    shrink = (1 - eta * first) * (1 - eta * second)
    return (keep * eta**2 * noise_entry + probability * checkpoint_entry) / (1 - keep * shrink)


def heavy_ball_variance() -> sp.Expr:
    """Variance of one mode with momentum, without resets.

    Returns
    -------
    sympy.Expr
        eta c (1 + beta) / (h (1 - beta) (2 (1 + beta) - eta h)), length²; positive for
        eta h < 2 (1 + beta) only.

    Notes
    -----
    **Source**: derived from the recursion of (theta, v) in ``theory/12_quadratic_sgd.py``.

    Examples
    --------
    >>> sp.simplify(heavy_ball_variance().subs(momentum, 0) - stationary_variance())
    0
    """
    top = eta * noise * (1 + momentum)
    return top / (curvature * (1 - momentum) * (2 * (1 + momentum) - eta * curvature))


def barrier_shift() -> sp.Expr:
    """Mean overshoot of a Gaussian walk in standard deviations of a step, -zeta(1/2)/sqrt(2 pi).

    A diffusion whose target lies so much farther away has the passage times of the walk to the next
    order in the step.

    Returns
    -------
    sympy.Expr
        Dimensionless, 0.58259715793901...

    Notes
    -----
    **Source**: D. Siegmund, Adv. Appl. Probab. 11, 701 (1979); confirmed against the exact walk in
    ``theory/14_finite_learning_rate.py``.

    Examples
    --------
    >>> barrier_shift().evalf(16)
    0.5825971579390107
    """
    return -sp.zeta(sp.Rational(1, 2)) / sp.sqrt(2 * sp.pi)
