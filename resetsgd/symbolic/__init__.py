"""The same formulas as SymPy expressions: to read, to differentiate, to take limits of, to print.

:mod:`~resetsgd.symbolic.symbols` holds the named symbols, :mod:`~resetsgd.symbolic.renewal` what
resetting does to *any* passage time, :mod:`~resetsgd.symbolic.drift_diffusion` the passage of a
drifting, diffusing particle, :mod:`~resetsgd.symbolic.optimum` when and how often to reset it. Each
expression is derived, not asserted, by a script in ``theory/``; the numbers that the library
returns come from the arranged float64 forms in :mod:`resetsgd.passage`, never from these.

Examples
--------
>>> from resetsgd.symbolic import drift_diffusion
>>> drift_diffusion.squared_cv()
2*D/(L*v)
"""

from __future__ import annotations

from resetsgd.symbolic import drift_diffusion, optimum, renewal, symbols

__all__ = ["drift_diffusion", "optimum", "renewal", "symbols"]
