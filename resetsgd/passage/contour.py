"""Laplace inversion for many times at once: the times of a window share their nodes.

On the hyperbola z = mu (1 + sin(i theta - alpha)) the trapezoidal rule converges geometrically for
all times of a decade at once, so that a transform that is dear, as one swept through a landscape,
is asked for forty values a decade and not for fourteen a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from resetsgd.domain import Array

__all__ = ["decade", "invert_windows"]

_NODES = 40
_WINDOW = 10.0
_MU, _ALPHA, _REACH = 6.0, 0.8, 5.0  # found by search; see the test of the contour


@lru_cache(maxsize=1)
def decade() -> tuple[Array, Array]:
    """Nodes and weights for the window (1/10, 1], upper half."""
    step = _REACH / _NODES
    theta = (np.arange(_NODES) + 0.5) * step
    nodes = _MU * (1.0 + np.sin(1j * theta - _ALPHA))
    slope = _MU * np.cos(1j * theta - _ALPHA)
    return nodes, slope * step / np.pi


def invert_windows(transform: Callable[[Any], Any], t: Array, which: Any) -> Array:
    """Inverse Laplace transforms at times t > 0.

    Parameters
    ----------
    transform : callable
        F(s) for a row of complex s, shape (len(s), columns); analytic off the negative real axis.
    t : ndarray, shape (n,)
        Times, positive and finite.
    which : ndarray of int, shape (n,)
        Column of the transform that each time belongs to.

    Returns
    -------
    ndarray, shape (n,)
        Values; absolute error about 1e-14 of the largest for functions bounded on t > 0, beyond
        what the transform itself is off.

    Notes
    -----
    **Source**: J. A. C. Weideman and L. N. Trefethen, Math. Comp. 76 (2007) 1341, section 4.
    """
    nodes, weights = decade()
    value = np.empty(t.shape)
    last = float(t.max(initial=0.0))
    window = np.floor(np.log(last / t) / np.log(_WINDOW)).astype(np.int64)
    for k in np.unique(window):
        inside = np.flatnonzero(window == k)
        end = float(t[inside].max())
        s = nodes / end
        terms = transform(s) * (weights / end)[:, None]
        kernel = np.exp(t[inside, None] * s)
        value[inside] = np.real(np.einsum("tm,mt->t", kernel, terms[:, which[inside]]))
    return np.where(np.isfinite(value), value, 0.0)
