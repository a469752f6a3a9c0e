"""The named symbols that every expression of :mod:`resetsgd.symbolic` is written in.

=======================  ======  ========  ===========================================
attribute                symbol  assumed   meaning (dimension)
=======================  ======  ========  ===========================================
``distance``             L       positive  from start to target (length)
``diffusivity``          D       positive  dx = mu dt + sqrt(2 D) dW (length²/time)
``velocity``             v       real      drift *toward* the target (length/time)
``rate``                 r       positive  of Poisson resetting (1/time)
``laplace_variable``     s       positive  conjugate to the passage time (1/time)
``time``                 t       positive  (time)
``peclet``               Pe      real      v L / (2 D), positive helps (1)
``exponent``             z       positive  minus the log of the Laplace transform (1)
``drift``                mu      real      drift, positive toward larger x (length/time)
``below``, ``above``     l, h    positive  from start to the ends of an interval (length)
``behind``               y       positive  from start to a wall behind it (length)
``overhead``             c       >= 0      mean time lost at each reset (time)
=======================  ======  ========  ===========================================

``moment(n)`` is the n-th moment T_n of the reset-free passage time.
"""

from __future__ import annotations

import sympy as sp

__all__ = [
    "above",
    "behind",
    "below",
    "diffusivity",
    "distance",
    "drift",
    "exponent",
    "laplace_variable",
    "moment",
    "overhead",
    "peclet",
    "rate",
    "time",
    "velocity",
]

distance = sp.Symbol("L", positive=True)
diffusivity = sp.Symbol("D", positive=True)
drift = sp.Symbol("mu", real=True)
below = sp.Symbol("l", positive=True)
above = sp.Symbol("h", positive=True)
behind = sp.Symbol("y", positive=True)
velocity = sp.Symbol("v", real=True)
rate = sp.Symbol("r", positive=True)
laplace_variable = sp.Symbol("s", positive=True)
time = sp.Symbol("t", positive=True)
peclet = sp.Symbol("Pe", real=True)
exponent = sp.Symbol("z", positive=True)
overhead = sp.Symbol("c", nonnegative=True)


def moment(order: int) -> sp.Symbol:
    """The symbol of the moment T_n of the reset-free passage time, time to the power n.

    Parameters
    ----------
    order : int
        Order n of the moment, at least 1.

    Returns
    -------
    sympy.Symbol
        The positive symbol ``Tn``.

    Examples
    --------
    >>> moment(2)
    T2
    """
    return sp.Symbol(f"T{order}", positive=True)
