"""From transforms to numbers: Laplace inversion, quadrature, and sums over a lattice of coins."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import special

from resetsgd.domain import Array
from resetsgd.errors import NotConverged
from resetsgd.passage.arrangements import log_total

__all__ = [
    "contour",
    "cumulants",
    "euler",
    "few_coins",
    "integrate",
    "integrate_damped",
    "invert",
    "lattice",
]

_NODES = 28
_MOST_TERMS = 2**21
_FADED = 745.0
"""exp(-x) is 0 in float64 from here on."""
_MOST_TURNS = 20.0
"""Radians that one piece of a quadrature resolves."""
_MOST_PIECES = 500.0


@lru_cache(maxsize=4)
def contour(count: int = _NODES) -> tuple[Array, Array]:
    """Nodes and weights of Weideman's modified Talbot contour for t = 1, upper half only.

    Source: J. A. C. Weideman, SIAM J. Numer. Anal. 44 (2006) 2342: error of order 3.89^-N.
    """
    theta = (2 * np.arange(count // 2) + 1) * np.pi / count
    a = 0.6407
    cot = 1.0 / np.tan(a * theta)
    nodes = count * (0.5017 * theta * cot - 0.6122 + 0.2645j * theta)
    slope = count * (0.5017 * cot - 0.5017 * a * theta / np.sin(a * theta) ** 2 + 0.2645j)
    return nodes, np.exp(nodes) * slope * (-2j / count)


def invert(transform: Callable[[Any], Any], t: Array) -> Array:
    """Inverse Laplace transform at times t > 0 (others give arbitrary finite values).

    Parameters
    ----------
    transform : callable
        F(s) for an array of complex s that broadcasts against t; analytic off the negative real
        axis.
    t : ndarray
        Times.

    Notes
    -----
    Absolute error about 1e-12 max|f| for functions smooth on t > 0; measured against closed forms
    in the tests.
    """
    nodes, weights = contour()
    usable = (t > 0) & np.isfinite(t)
    time = np.where(usable, np.maximum(t, 1e-280), 1.0)  # 1/time must not overflow
    shape = (-1, *(1,) * time.ndim)
    with np.errstate(over="ignore", invalid="ignore"):
        terms = transform(nodes.reshape(shape) / time) * weights.reshape(shape)
    value = np.sum(np.real(terms), axis=0) / time
    return np.asarray(np.where(np.isfinite(value), value, 0.0))


@lru_cache(maxsize=4)
def euler(half: int, terms: int) -> tuple[Array, Array]:
    """Nodes and weights for t = 1 on a vertical line right of 0, with Euler's summation.

    The line is that for ``half`` terms; as many are averaged, or fewer.

    For transforms that cannot be continued to the left. With M = ``half`` the discretisation is off
    by 10^(-0.6 M), rounding by 10^(M/3) eps.

    Source: J. Abate and W. Whitt, INFORMS J. Comput. 18 (2006) 408.
    """
    tails = np.cumsum([special.comb(terms, k) for k in range(terms)]) * 2.0**-terms
    unused = np.zeros(2 * (half - terms))
    weight = np.concatenate([[0.5], np.ones(terms), tails[::-1], unused])
    index = np.arange(2 * half + 1)
    nodes = half * np.log(10.0) / 3.0 + 1j * np.pi * index
    return nodes, 10.0 ** (half / 3.0) * (-1.0) ** index * weight


@lru_cache(maxsize=1)
def _tanh_sinh() -> tuple[Array, Array]:
    """Nodes and weights on (0, 1), double exponential, for smooth functions flat at the ends."""
    u = np.linspace(-3.2, 3.2, 129)
    g = np.pi / 2 * np.sinh(u)
    nodes = 1.0 / (1.0 + np.exp(-2.0 * g))
    weights = (u[1] - u[0]) * np.pi * np.cosh(u) * nodes * (1.0 - nodes)
    return nodes, weights


def integrate(function: Callable[[Any], Any], upper: Array, marks: Any = None) -> Any:
    """Integral of a function over (0, upper), relative error about 1e-13 for smooth integrands.

    The range is cut into pieces that shrink geometrically towards zero, so that a survival function
    whose scale lies many decades below ``upper`` is still resolved; ``marks``, times along the
    first axis, cut it where a function is steep.
    """
    nodes, weights = _tanh_sinh()
    shape = (-1, *(1,) * np.ndim(upper))
    cuts = np.concatenate([[0.0], np.exp2(np.arange(-96.0, 1.0, 4.0))]).reshape(shape)
    cuts = cuts * np.ones_like(upper)
    if marks is not None:
        extra = (1,) * (np.ndim(upper) - marks.ndim + 1)
        marks = np.clip(marks.reshape(len(marks), *extra, *marks.shape[1:]) / upper, 0.0, 1.0)
        cuts = np.sort(np.concatenate([cuts, marks]), axis=0)
    total: Any = 0.0
    for low, high in pairwise(cuts):
        if np.all(high == low):
            continue
        times = upper * (low + (high - low) * nodes.reshape(shape))
        values = np.asarray(function(times)) * ((high - low) * weights.reshape(shape))
        total = total + np.sum(values, axis=0)
    return total * upper


def integrate_damped(function: Callable[[Array], Any], s: Any, upper: Array, marks: Any) -> Any:
    """Integral of exp(-st) times a function over (0, upper), for s of real part >= 0.

    Raises
    ------
    NotConverged
        If exp(-st) oscillates more often than the quadrature can follow.
    """
    if np.iscomplexobj(s):
        upper, s = np.broadcast_arrays(upper, s)
        upper = np.minimum(upper, _FADED / np.maximum(s.real, _FADED / np.finfo(float).max))
        pieces = np.max(np.abs(s.imag) * upper, initial=0.0) / _MOST_TURNS
        if pieces > _MOST_PIECES:
            raise NotConverged(
                "the transform against a fixed waiting time is not resolved: exp(-st) turns by"
                f" {pieces * _MOST_TURNS:.3g} in it"
            )
        if pieces > 1.0:
            shares = np.linspace(0.0, 1.0, math.ceil(pieces) + 1)[1:-1]
            cuts = shares.reshape(-1, *(1,) * upper.ndim) * upper
            if marks is not None:
                marks = marks.reshape(
                    len(marks), *(1,) * (cuts.ndim - marks.ndim), *marks.shape[1:]
                )
                cuts = np.concatenate([cuts, np.broadcast_to(marks, (len(marks), *upper.shape))])
            marks = cuts
    return integrate(lambda t: np.exp(-s * t) * function(t), upper, marks)


def few_coins(trial_fixed: Callable[[Any, Any], Any], rise: Any, step: Any, s: Any) -> Any:
    """What :func:`lattice` gives, from trials of 1 to 11 steps, for exp(-rise) < exp(-4).

    The number of coins up to a reset is k with probability (1-q) q^(k-1), q = exp(-rise).
    """
    if np.ndim(step) or np.ndim(s):  # else the trials are the same for every coin
        rise, step, s = np.broadcast_arrays(rise, step, s)
    k = np.arange(1.0, 12.0).reshape(-1, *(1,) * np.ndim(rise))
    trial = trial_fixed(k * step, s)
    log_weight = np.log(-np.expm1(-rise)) - (k - 1) * rise
    spent = trial.log_success + trial.log_mean
    spent = np.where(np.isnan(spent), np.log(k * step), spent)  # no arrival within float64
    return log_total(log_weight + trial.log_success), log_total(log_weight + spent)


@np.errstate(all="ignore")  # the ends of float64 are taken by value
def lattice(log_laplace: Callable[[Any], Any], rise: Any, step: Any, s: Any) -> tuple[Any, Any]:
    """Logarithms of success and duration of a trial against a coin at multiples of ``step``.

    With T continuous, q = exp(-rise) the chance that a coin does not reset and {x} the fractional
    part, the periodic factor of q^floor(t/step) = q^(t/step) exp(rise {t/step}) has the Fourier
    coefficients c_m = (e^rise - 1)/(rise - 2 pi i m). Both quantities become sums of the Laplace
    transform at

        s_m = s + (rise - 2 pi i m)/step,

    success = sum_m c_m f(s_m) and duration = sum_m c_m (1 - f(s_m))/s_m, of which the part without
    f is summed in closed form. Derived in the docstring; tested against direct summation.

    Parameters
    ----------
    log_laplace : callable
        log f at complex arguments.
    rise : array, real part > 0
        -log(1 - probability); complex for derivatives.
    step : array
        Time between coins.
    s : float or complex array
        Transform variable.

    Raises
    ------
    NotConverged
        If the transform does not decay within the bound of 2^21 terms: the coins are then rarer
        than the passage is long, or the passage time has atoms.
    """
    rise, step, s = np.broadcast_arrays(rise, step, s)
    growth = np.expm1(rise)
    centre = s + rise / step
    log_head = log_laplace(centre)  # divided out: it may underflow
    rise, step, s, growth, log_head = np.broadcast_arrays(rise, step, s, growth, log_head)
    head = np.exp(log_head)
    success = growth / rise
    one_minus = -np.expm1(log_head)
    w = s * step
    duration = growth / rise * one_minus / centre + step * growth * _tail(rise, w)
    real = not (np.iscomplexobj(rise) or np.iscomplexobj(s))
    first, block = 1, 8
    while True:
        m = np.arange(first, first + block).reshape(-1, *(1,) * rise.ndim)
        added_success: Any = 0.0
        added_duration: Any = 0.0
        largest = 0.0
        for sign in (1,) if real else (1, -1):
            shift = rise - 2j * np.pi * m * sign
            point = s + shift / step
            value = np.exp(log_laplace(point) - log_head)
            weight = growth / shift
            added_success = added_success + np.sum(weight * value, axis=0)
            added_duration = added_duration - np.sum(weight * (value * head) / point, axis=0)
            largest = max(largest, float(np.max(np.abs(value[-1]), initial=0.0)))
        if real:
            added_success, added_duration = 2 * added_success.real, 2 * added_duration.real
        success, duration = success + added_success, duration + added_duration
        if largest < 1e-17:
            return log_head + np.log(success), np.log(duration)
        # blocks double, but never hold more than about 2^20 terms at once
        first, block = first + block, min(2 * block, max(8, 2**20 // max(rise.size, 1)))
        if first > _MOST_TERMS:
            raise NotConverged(
                f"step = {float(np.max(step)):g}: the sum over coins did not converge; coins this"
                " rare against the passage time are not supported, use Sharp or Poisson"
            )


def _tail(rise: Any, w: Any) -> Any:
    """sum over m != 0 of 1/((x - 2 pi i m)(x + w - 2 pi i m)) at x = rise, without cancellation.

    A divided difference of h(x) = coth(x/2)/2 - 1/x; for |w| < 1e-4 its midpoint derivative.
    """
    near = np.abs(w) < 1e-4
    apart = np.where(near, 1.0, w)
    return np.where(near, -_h(rise + w / 2, 1), (_h(rise, 0) - _h(rise + apart, 0)) / apart)


def _h(x: Any, derivative: int) -> Any:
    """h(x) = coth(x/2)/2 - 1/x or its derivative, by series for |x| < 0.6."""
    small = np.abs(x) < 0.6
    safe = np.where(small, 1.0, x)
    y = x * x
    # Bernoulli numbers B_2k/(2k)!, k = 1..6
    b = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000)
    if derivative == 0:
        series = x * (b[0] + y * (b[1] + y * (b[2] + y * (b[3] + y * (b[4] + y * b[5])))))
        return np.where(small, series, 0.5 / np.tanh(safe / 2) - 1.0 / safe)
    c = tuple((2 * k + 1) * value for k, value in enumerate(b))
    series = c[0] + y * (c[1] + y * (c[2] + y * (c[3] + y * (c[4] + y * c[5]))))
    with np.errstate(over="ignore"):
        direct = 1.0 / safe**2 - 0.25 / np.sinh(safe / 2) ** 2
    return np.where(small, series, direct)


def cumulants(log_laplace: Any, mean: Any, var: Any, highest: int) -> list[Any]:
    """Cumulants 0 to ``highest`` of a law with a transform that is analytic at 0.

    Cauchy integrals of log_laplace over circles of falling radius, by the trapezoidal rule, each
    element until two agree to 1e-9; ``inf`` where the mean or the variance is, or where the values
    grow like a negative power of the radius (a heavy tail).

    Raises
    ------
    NotConverged
        If they do neither.
    """
    mean, var = np.asarray(mean, np.float64), np.asarray(var, np.float64)
    finite = np.isfinite(mean) & np.isfinite(var) & (mean > 0)
    usable = finite & (var > 0)
    # nearly the distance of the nearest singularity for laws of one piece; less is found by halving
    scale = np.where(usable, np.where(usable, mean, 1.0) / np.where(usable, var, 1.0), 1.0)
    scale = np.where(finite & ~usable, 1.0 / np.where(finite, mean, 1.0), scale)
    points = 48
    turn = np.exp(2j * np.pi * (np.arange(points) + 0.5) / points).reshape(-1, *(1,) * mean.ndim)
    orders = range(3, highest + 1)
    result = [np.full(mean.shape, np.inf) for _ in orders]
    last: list[Any] = []
    open_ = finite.copy()
    growth: list[list[Any]] = []
    for step in range(1, 41):
        radius = scale * 0.5**step
        values = log_laplace(radius * turn)
        found = []
        for n in orders:
            # log f = sum of (-s)^n kappa_n / n!
            coefficient = np.mean(values * turn**-n, axis=0).real / radius**n
            found.append(coefficient * (-1.0) ** n * math.factorial(n))
        if last:
            # in units of the standard deviation, below which a cumulant is nothing
            size = np.where(finite & (var > 0), np.sqrt(np.where(finite, var, 1.0)), 1.0)
            agree = open_.copy()
            for n, one, two in zip(orders, last, found, strict=True):
                agree &= np.abs(one - two) <= 1e-9 * (np.abs(one) + 1e-3 * size**n)
            for k, two in enumerate(found):  # the smaller circle: aliasing has gone
                result[k] = np.where(agree, two, result[k])
            open_ = open_ & ~agree
            growth.append([np.abs(b / a) for a, b in zip(last, found, strict=True)])
        last = found
        if not open_.any():
            return [np.zeros(mean.shape), mean, var, *result]
    # No circle agreed with the next: a branch point at 0. Powers of the radius give themselves away
    # by a constant factor from one circle to the next.
    for k in range(len(result)):
        factors = np.stack([row[k] for row in growth[3:9]])
        steady = (factors > 1.05).all(axis=0) & (np.ptp(factors, axis=0) < 0.2 * factors[0])
        if (open_ & ~steady).any():
            raise NotConverged("moment: not told from an infinite one")
    return [np.zeros(mean.shape), mean, var, *result]
