r"""The Liouville–Green series of parabolic cylinder functions, integrated in closed form.

The logarithmic slope w = u'/u of the solution of u'' - y u' - p u = 0 that is bounded at y -> -inf
obeys w' = p + y w - w². With q = sqrt(y² + 4 p), tau = y/q and w_0 = (y + q)/2,

.. math:: w = w_0 \sum_k P_k(\tau)\,q^{-2k}, \qquad
   P_k = -(1 - 2 (k-1) \tau) P_{k-1} - (1 - \tau^2) P_{k-1}'
         - \frac{1+\tau}{2} \sum_{0<i<k} P_i P_{k-i},

and the integral of each term from k = 2 on is (4p)^(1-k) times a polynomial in tau. Nothing cancels
for p -> 0, for neighbouring places or for large p; the series is asymptotic in q².
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.passage.arrangements import horner, log1p, softplus

__all__ = ["liouville_green", "logarithmic_slope"]

_TERMS = 10

Polynomial = list[Fraction]


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
    product = [Fraction(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] += x * y
    return product


def _plus(a: Polynomial, b: Polynomial) -> Polynomial:
    size = max(len(a), len(b))
    a, b = a + [Fraction(0)] * (size - len(a)), b + [Fraction(0)] * (size - len(b))
    return [x + y for x, y in zip(a, b, strict=True)]


@lru_cache(maxsize=1)
def _polynomials() -> tuple[Polynomial, ...]:
    """P_k in powers of v = 1 + tau, exactly."""
    found: list[Polynomial] = [[Fraction(1)]]
    for k in range(1, _TERMS + 1):
        last = found[k - 1]
        slope = [i * c for i, c in enumerate(last)][1:] or [Fraction(0)]
        sum_ = _times(last, [Fraction(2 * k - 1), Fraction(2 - 2 * k)])
        sum_ = _plus(sum_, _times(slope, [Fraction(0), Fraction(2), Fraction(-1)]))
        for i in range(1, k):
            pair = _times(found[i], found[k - i])
            sum_ = _plus(sum_, _times(pair, [Fraction(0), Fraction(1, 2)]))
        found.append([-c for c in sum_])
    return tuple(found)


@lru_cache(maxsize=1)
def _slopes() -> Array:
    """Coefficients of P_k, one row each."""
    rows = _polynomials()
    table = np.zeros((len(rows), max(map(len, rows))))
    for row, polynomial in zip(table, rows, strict=True):
        row[: len(polynomial)] = [float(c) for c in polynomial]
    return table


@lru_cache(maxsize=1)
def _slope_rows() -> list[list[float]]:
    """The same without trailing zeros, the last first."""
    return [row[: np.flatnonzero(row)[-1] + 1].tolist() for row in _slopes()[::-1]]


@lru_cache(maxsize=2)
def _integrals(mirrored: bool) -> Array:
    """Coefficients of the integrals of v^(k-1) (2-v)^(k-2) P_k/2, one row for each k >= 2.

    From v = 0 in powers of v, or mirrored from v = 2 in powers of s = 2 - v.
    """
    rows = []
    for k, polynomial in enumerate(_polynomials()[2:], start=2):
        first, second = [Fraction(0), Fraction(1)], [Fraction(2), Fraction(-1)]
        if mirrored:  # v = 2 - s: the two factors change places and P_k is expanded anew
            first, second = second, first
            power, moved = [Fraction(1)], [Fraction(0)]
            for c in polynomial:
                moved = _plus(moved, [c * x for x in power])
                power = _times(power, [Fraction(2), Fraction(-1)])
            polynomial = moved
        product = [Fraction(-1, 2) if mirrored else Fraction(1, 2)]
        for factor in (first,) * (k - 1) + (second,) * (k - 2) + (polynomial,):
            product = _times(product, factor)
        rows.append([Fraction(0)] + [c / (i + 1) for i, c in enumerate(product)])
    table = np.zeros((len(rows), max(map(len, rows))))
    for row, polynomial in zip(table, rows, strict=True):
        row[: len(polynomial)] = [float(c) for c in polynomial]
    return table


@np.errstate(all="ignore")
def liouville_green(p: Any, low: Any, high: Any, gap: Any, mirrored: bool = False) -> Any:
    """Integral of w from ``low`` to ``high`` = low + gap, by the first ten terms.

    Parameters
    ----------
    p : array
        Order, real or complex off the negative axis, with abs(y² + 4p) >= 120 between the ends.
    low, high, gap : array
        Ends and their distance, which may be known better than their difference.
    mirrored : bool
        For ends above zero and p that need not be large: the series about tau = 1.

    Returns
    -------
    array
        Relative error about 2 eps for real p >= 30.
    """
    p, low, high, gap = np.broadcast_arrays(p, low, high, gap)
    double = 2.0 * np.sqrt(p)
    first, last = np.arcsinh(low / double), np.arcsinh(high / double)
    step = 2.0 * np.arcsinh(0.5 * gap / (double * np.cosh(0.5 * (first + last))))
    near = np.real(step) < 1.0
    growth = np.expm1(np.where(near, 2.0 * step, 1.0))
    before, after = np.exp(2.0 * first), np.exp(2.0 * last)
    main = p * step + 0.5 * p * np.where(near, before * growth, after - before)
    share = 1.0 / (1.0 + 1.0 / before)  # (1 + tau)/2 at the lower end
    grown = np.where(near, log1p(growth * share), softplus(2.0 * last) - softplus(2.0 * first))
    main = main - 0.5 * grown
    # the correction is a polynomial in v = 1 + tau, or in s = 1 - tau, which is small up there
    if mirrored:
        start, stop = 2.0 / (1.0 + before), 2.0 / (1.0 + after)
        change = log1p(np.expm1(-2.0 * np.where(near, step, 1.0)) / (1.0 + 1.0 / after))
    else:
        start, stop = 2.0 * share, 2.0 / (1.0 + 1.0 / after)
        change = log1p(growth / (1.0 + after))
    table = _integrals(mirrored)
    shape = (-1, *(1,) * np.ndim(p))
    inverse = np.broadcast_to(0.25 / p, (len(table), *np.shape(p)))
    weights = np.tensordot(table.T, np.cumprod(inverse, axis=0), axes=1)
    degree = np.arange(float(table.shape[1])).reshape(shape)
    low_powers, high_powers = (
        np.cumprod(np.broadcast_to(x, (len(table.T) - 1, *np.shape(x))), axis=0)
        for x in (start, stop)
    )
    steps = np.where(near, low_powers * np.expm1(degree[1:] * change), high_powers - low_powers)
    value = main + np.sum(weights[1:] * steps, axis=0)
    return np.where(np.isnan(value), np.inf, value)


def logarithmic_slope(p: Any, y: Any) -> Any:
    """w(p, y) by the first ten terms, for abs(y² + 4p) >= 120."""
    root = (y * y + 4.0 * p) ** 0.5
    v = 1.0 + y / root
    inverse = 1.0 / (root * root)
    series: Any = 0.0
    for row in _slope_rows():
        series = series * inverse + horner(v, row)
    return 0.5 * (y + root) * series
