r"""The mean of an Ornstein–Uhlenbeck passage as power series of positive terms.

With I of :mod:`resetsgd.passage.parabolic`, dI(p, y)/dy = I(p + 1, y), so that the mean in units of
the relaxation time, [I(p, high)/I(p, low) - 1]/p, has two expansions in which nothing cancels:

- from zero, where both places lie above it: I(p, y) is a multiple of
  :math:`{}_1F_1(p/2; 1/2; y^2/2) + w_0\,y\;{}_1F_1((p+1)/2; 3/2; y^2/2)`,
  :math:`w_0 = \sqrt2\,\Gamma((p+1)/2)/\Gamma(p/2)`, and differences become divided differences;
- from a low place below zero in powers of the gap, whose coefficients are products of
  w(p + j) = I(p + j + 1, low)/I(p + j, low), each (p + j)/(w(p + j + 1) - low).

Where they need too many terms the result is NaN, and the quadrature is asked.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from resetsgd.passage.elementary import choose, ordinary, pick
from resetsgd.passage.liouville_green import logarithmic_slope

__all__ = ["mean_series"]

_MOST = 30.0
"""Largest order."""
_TINY = 1e-290
_PARITY = np.array([[0.0], [1.0]])


def _start(p: Any) -> Any:
    """Gamma((p + 1)/2)/(sqrt(2) Gamma(p/2 + 1)), w_0/p."""
    if type(p) is float:
        return math.sqrt(0.5) * math.gamma(0.5 * p + 0.5) / math.gamma(0.5 * p + 1.0)
    real = np.real(p)
    value = math.sqrt(0.5) * special.gamma(0.5 * real + 0.5) / special.gamma(0.5 * real + 1.0)
    if not np.iscomplexobj(p):
        return value
    slope = special.digamma(0.5 * real + 0.5) - special.digamma(0.5 * real + 1.0)
    return value * (1.0 + 0.5j * slope * p.imag)  # a step for a derivative


def _largest(x: Any) -> float:
    return x if type(x) is float else float(np.max(np.real(x)))


def _kummer(p: Any, odd: Any, inner: Any, outer: Any, count: int) -> tuple[Any, Any]:
    """Sum of the products of (p + odd + 2j) q/((2j + 1 + odd) (2j + 2 + odd)), from j = 1 on.

    Its value at the inner q, and that of q times it as a divided difference to the outer q.
    """
    order = p + odd
    value, slope = 0.0 * order + 1.0, 0.0 * order
    for j in range(count, 0, -1):
        weight = (order + 2 * j) / ((2 * j + 1 + odd) * (2 * j + 2 + odd))
        slope = weight * (outer * slope + value)
        value = 1.0 + weight * (inner * value)
    return value, outer * slope + value


def _above(p: Any, low: Any, high: Any, gap: Any) -> Any:
    """From zero, for 0 <= low."""
    inner, outer = low * low, high * high
    most, order = _largest(outer), _largest(p)
    count = int(8.0 + math.sqrt(most) * (10.0 + 0.6 * math.sqrt(order)))
    if type(p) is float:
        even, even_slope = _kummer(p, 0.0, inner, outer, count)
        odd, odd_slope = _kummer(p, 1.0, inner, outer, count)
    else:
        (even, odd), (even_slope, odd_slope) = _kummer(p, _PARITY, inner, outer, count)
    start, both, next_ = _start(p), low + high, (p + 1.0) / 6.0
    rise = both * 0.5 * even_slope + start * (1.0 + next_ * (inner * odd + high * both * odd_slope))
    at_low = 1.0 + p * (0.5 * inner * even + start * low * (1.0 + next_ * inner * odd))
    return gap * (rise / at_low)


def _below(p: Any, low: Any, high: Any, gap: Any) -> Any:
    """From low < 0 in powers of the gap."""
    most, order = _largest(gap), _largest(p)
    # the slope the recursion starts from is an asymptotic series for orders from 30 on
    count = int(max(30.0, 10.0 + most * (21.0 + 2.0 * math.sqrt(order)))) + 2
    w, value = logarithmic_slope(p + float(count), low), 1.0
    for j in range(count - 1, 0, -1):
        w = (p + j) / (w - low)
        value = 1.0 + gap * w * value * (1.0 / (j + 1))
    return gap / (w - low) * value


def mean_series(p: Any, low: Any, high: Any, gap: Any) -> Any:
    """[I(p, high)/I(p, low) - 1]/p for 0 <= p <= 30, or NaN where the series are too long.

    Parameters
    ----------
    p, low, high, gap : float or array
        Order, places and their distance, which may be known better than their difference.

    Returns
    -------
    float or array
        Relative error of a few eps.
    """
    usual = (
        (p.real <= _MOST) & (high <= pick(low < 0.0, 4.0, 5.5)) & (gap <= pick(low < 0.0, 4.0, 5.5))
    )
    # many terms of a well-conditioned result collect roundings
    usual = usual & (gap > _TINY) & (low > -1e3) & ((low < 0.0) | (high * high * p.real < 60.0))
    if not ordinary(usual):
        p, gap = np.where(usual, p, 1.0), np.where(usual, gap, 1.0)
        low = np.where(usual, low, 0.0)
        high = np.where(usual, high, 1.0)
    value = choose(low >= 0.0, _above, _below, p, low, high, gap)
    return value if ordinary(usual) else np.where(usual, value, np.nan)
