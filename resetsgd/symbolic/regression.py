"""Regression on noisy labels under gradient flow and resets, as SymPy expressions, one direction.

Derived in ``theory/13_label_noise_regression.py``. Symbols: eigenvalue lambda of the inputs'
covariance, squared distance A = a² from the truth at the start, variance v of the noise that is
memorised in the end, time t, time t_c of the checkpoint, rate r of resets.
"""

from __future__ import annotations

import sympy as sp

from resetsgd.symbolic import symbols

__all__ = [
    "best_time",
    "checkpoint_time",
    "eigenvalue",
    "least_risk",
    "long_run_risk",
    "optimal_rate",
    "risk",
    "sharp_risk",
    "signal",
    "variance",
]

r, t = symbols.rate, symbols.time
eigenvalue = sp.Symbol("lambda", positive=True)
signal = sp.Symbol("A", positive=True)
variance = sp.Symbol("v", positive=True)
checkpoint_time = sp.Symbol("t_c", nonnegative=True)
_period = sp.Symbol("tau", positive=True)


def risk() -> sp.Expr:
    """Risk against time, A exp(-2 lambda t) + v (1 - exp(-lambda t))².

    Returns
    -------
    sympy.Expr
        Length².

    Notes
    -----
    **Source**: derived in ``theory/13_label_noise_regression.py``.

    Examples
    --------
    >>> risk().subs(t, 0)
    A
    """
    fall = sp.exp(-eigenvalue * t)
    return signal * fall**2 + variance * (1 - fall) ** 2


def best_time() -> sp.Expr:
    """Time of the smallest risk, log(1 + A/v)/lambda.

    Returns
    -------
    sympy.Expr
        Time.

    Notes
    -----
    **Source**: derived in ``theory/13_label_noise_regression.py``.

    Examples
    --------
    >>> best_time()
    log(A/v + 1)/lambda
    """
    return sp.log(1 + signal / variance) / eigenvalue


def least_risk() -> sp.Expr:
    """Smallest risk, A v/(A + v).

    Returns
    -------
    sympy.Expr
        Length².

    Notes
    -----
    **Source**: derived in ``theory/13_label_noise_regression.py``.

    Examples
    --------
    >>> least_risk()
    A*v/(A + v)
    """
    return signal * variance / (signal + variance)


def _parts() -> tuple[sp.Expr, sp.Expr]:
    fall = sp.exp(-eigenvalue * checkpoint_time)
    return (signal + variance) * fall**2, 2 * variance * fall


def long_run_risk() -> sp.Expr:
    """Long-run risk under Poisson resets to a checkpoint.

    Returns
    -------
    sympy.Expr
        Length².

    Notes
    -----
    **Source**: derived in ``theory/13_label_noise_regression.py``.

    Examples
    --------
    >>> sp.limit(long_run_risk(), r, 0)
    v
    """
    square, line = _parts()
    return variance + square * r / (r + 2 * eigenvalue) - line * r / (r + eigenvalue)


def sharp_risk() -> sp.Expr:
    """Long-run risk under sharp resets to a checkpoint, with period ``tau``.

    Returns
    -------
    sympy.Expr
        Length².

    Notes
    -----
    **Source**: derived in ``theory/13_label_noise_regression.py``.

    Examples
    --------
    >>> sp.limit(sharp_risk(), sp.Symbol("tau", positive=True), sp.oo)
    v
    """
    square, line = _parts()
    x = eigenvalue * _period
    return variance + square * (1 - sp.exp(-2 * x)) / (2 * x) - line * (1 - sp.exp(-x)) / x


def optimal_rate() -> sp.Expr:
    """Best Poisson rate lambda (2 - kappa)/(kappa - 1), kappa = exp(lambda (t* - t_c)/2).

    Returns
    -------
    sympy.Expr
        1/time; negative for kappa > 2, where no resets do better than none.

    Notes
    -----
    **Source**: derived in ``theory/13_label_noise_regression.py``.

    Examples
    --------
    >>> sp.simplify(optimal_rate().subs({checkpoint_time: 0, signal: 3 * variance}))
    0
    """
    kappa = sp.sqrt((1 + signal / variance) * sp.exp(-eigenvalue * checkpoint_time))
    return eigenvalue * (2 - kappa) / (kappa - 1)
