"""The same formulas as SymPy expressions: to read, to differentiate, to take limits of, to print.

:mod:`~resetsgd.symbolic.symbols` holds the named symbols, :mod:`~resetsgd.symbolic.renewal` what
resetting does to *any* passage time, :mod:`~resetsgd.symbolic.drift_diffusion` the passage of a
drifting, diffusing particle, :mod:`~resetsgd.symbolic.optimum` when and how often to reset it,
:mod:`~resetsgd.symbolic.stationary` where it sits under resetting,
:mod:`~resetsgd.symbolic.regression` what resets make of learning noisy labels. Each expression is
derived, not asserted, by a script in ``theory/``; the numbers that the library returns come from
the arranged float64 forms in :mod:`resetsgd.passage`, :mod:`resetsgd.steady` and
:mod:`resetsgd.sgd`, never from these.

Examples
--------
>>> from resetsgd.symbolic import drift_diffusion
>>> drift_diffusion.squared_cv()
2*D/(L*v)

The package can be called: with a passage time, it gives its formulas.

>>> import resetsgd as rs
>>> T = rs.first_passage(rs.DriftDiffusion(drift=-1.0, diffusivity=1.0), start=1.0, target=0.0)
>>> rs.symbolic(T.under(rs.Poisson)).mean
(exp(L*(-v + sqrt(4*D*r + v**2))/(2*D)) - 1)/r
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from resetsgd.symbolic import (
    bessel,
    drift_diffusion,
    interval,
    linear_trap,
    optimum,
    ornstein_uhlenbeck,
    quadratic_sgd,
    regression,
    renewal,
    stationary,
    symbols,
    telegraph,
    wall,
)

__all__ = [
    "bessel",
    "drift_diffusion",
    "interval",
    "linear_trap",
    "optimum",
    "ornstein_uhlenbeck",
    "quadratic_sgd",
    "regression",
    "renewal",
    "stationary",
    "symbols",
    "telegraph",
    "wall",
]

if TYPE_CHECKING:
    from resetsgd.symbolic.expressions import Expression


class _Callable(ModuleType):
    """This package, so that ``rs.symbolic(T)`` and ``rs.symbolic.renewal`` are both there."""

    def __call__(self, passage: Any) -> Expression:
        from resetsgd.symbolic.expressions import symbolic

        return symbolic(passage)


__qualname__ = "expressions.symbolic"
"""What is called when this package is."""
symbolic = sys.modules[__name__]
symbolic.__class__ = _Callable
