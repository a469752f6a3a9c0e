"""One direction of the bowl under discrete SGD with resets, arranged so that nothing cancels.

With g = eta h, beta the momentum, p the probability of a reset, q = 1 - p, S = eta² C and the step
delta = theta_n - theta_(n-1) as second variable, a step moves

    delta' = beta delta - g theta - s,   theta' = theta + delta',   Var s = S,

and a reset leads to theta = d and delta = e (or leaves delta alone). The second moments
a = E theta², b = E theta delta, c = E delta² solve three linear equations, here with b eliminated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd.domain import Array

if TYPE_CHECKING:
    from resetsgd.sgd.bowl import Bowl

__all__ = ["discrete", "ends", "slope"]

_STEP = 1e-30


@np.errstate(all="ignore")
def ends(where: Bowl, eta: float) -> tuple[Any, Any]:
    """Eta C/2, twice the loss of the noise in continuous time, and h d²/2, that of the checkpoint.

    Both zero along directions without curvature.
    """
    curved = where.curvature > 0
    cold = 0.5 * np.square(np.sqrt(where.curvature) * where.gap)
    return np.where(curved, 0.5 * eta * where.noise, 0.0), np.where(curved, cold, 0.0)


@np.errstate(all="ignore")
def discrete(where: Bowl, p: Array, first: bool, restored: Array | None) -> Any:
    """Long-run loss of each mode, shape of p against modes; ``inf`` where it diverges."""
    if where.momentum == 0:
        value, stable = _plain(where, p, first), _stable(where, p)
    elif restored is None:
        value, stable = _kept(where, p, first), _stable_kept(where, p)
    else:
        value, stable = _restored(where, p, first, restored), _stable(where, p)
    none = p + (1.0 - p) * where.g == 0  # so little curvature that g underflows
    eta = where.learning_rate / (1.0 - where.momentum)
    value = np.where(none, 0.5 * ends(where, eta)[0], value)
    value = np.where(p == 1, _after_reset(where, first, restored), value)
    stable = stable & ~np.isnan(value)
    return np.where(where.curvature > 0, np.where(stable, value, np.inf), 0.0)


@np.errstate(all="ignore")
def slope(where: Bowl, p: Array, first: bool, restored: Array | None) -> Any:
    """d loss/d p of each mode; NaN where it diverges."""
    if where.momentum == 0:
        # d/dp of ((1-p) S + p d²)/(p + (1-p) c), c = g (2 - g), is (d² c - S)/(p + (1-p) c)²
        warm, cold = ends(where, where.learning_rate)
        g = where.g
        below = p + (1.0 - p) * (g * (2.0 - g))
        value = (cold * (2.0 - g) - warm) * (g / below) / below
        value = value * (1.0 - g) ** 2 if first else value
        stable = _stable(where, p)
    else:
        # A complex step; at the upper end it points outside, where the formula still holds.
        step = _STEP * np.where(p > 0, p, 1.0)
        z = p + 1j * step
        if restored is None:
            value, stable = _kept(where, z, first), _stable_kept(where, p)
        else:
            value, stable = _restored(where, z, first, restored), _stable(where, p)
        value = value.imag / step
    return np.where(where.curvature > 0, np.where(stable, value, np.nan), 0.0)


def _stable(where: Bowl, p: Array) -> Any:
    """Whether sqrt(1-p) times the step contracts."""
    g, beta = where.g, where.momentum
    root = np.sqrt(1.0 - p)
    return root * g < (1.0 + root) * (1.0 + root * beta)


def _plain(where: Bowl, p: Any, first: bool) -> Any:
    """Without momentum: (q S + p d²)/(p + q g (2 - g)) times h/2."""
    warm, cold = ends(where, where.learning_rate)
    g, q = where.g, 1.0 - p
    below = p + q * (g * (2.0 - g))
    after = warm * (q * g / below) + cold * (p / below)
    return (1.0 - g) ** 2 * after + warm * g if first else after


def _after_reset(where: Bowl, first: bool, restored: Array | None) -> Any:
    """A reset in every step: the checkpoint, or one step from it."""
    warm, cold = ends(where, where.learning_rate)
    if not first:
        return cold
    if restored is None and where.momentum:  # the buffer lives on: delta = -(g d + s)/(1 - beta)
        g, beta = where.g, where.momentum
        return cold * (1.0 - g / (1.0 - beta)) ** 2 + warm * g / (1.0 - beta**2)
    step = 0.0 if restored is None else where.momentum * restored
    moved = (1.0 - where.g) * where.gap + step
    return 0.5 * where.curvature * moved**2 + warm * where.g


def _finish(where: Bowl, first: bool, a: Any, b: Any, c: Any) -> Any:
    """The loss from the moments after the coin, or of the move from them."""
    g, beta = where.g, where.momentum
    if first:
        a = (1.0 - g) ** 2 * a + 2.0 * beta * (1.0 - g) * b + beta**2 * c + _noise(where)
    return 0.5 * where.curvature * a


def _noise(where: Bowl) -> Any:
    """S = eta² C."""
    return where.learning_rate * (where.learning_rate * where.noise)


def _restored(where: Bowl, p: Any, first: bool, e: Array) -> Any:
    """Momentum with its buffer restored: two equations with a factored determinant."""
    g, beta, d, q = where.g, where.momentum, where.gap, 1.0 - p
    root = np.sqrt(q)
    open_, cross = 1.0 - q * beta, d * e - e * e
    ratio = (1.0 + q * beta) / open_
    own = p + 2.0 * q * g / open_
    other = 1.0 - q * beta**2 + 2.0 * q * beta * g / open_
    source = p * ((d * d - e * e) + 2.0 * q * beta * cross / open_)
    kick = q * _noise(where) + p * (e * e - 2.0 * q * beta * g * cross / open_)
    # 1 - sqrt(q) as p/(1 + sqrt(q)): the determinant is a product of sums of positive terms
    slow = p / (1.0 + root) * (1.0 - root * beta) + root * g
    fast = (1.0 + root) * (1.0 + root * beta) - root * g
    a = (other * source + ratio * kick) / (slow * fast)
    if not first:
        return _finish(where, first, a, 0.0, 0.0)
    c = (own * kick + q * g * g * ratio * source) / (slow * fast)
    b = (c - q * g * a + p * cross) / open_
    return _finish(where, first, a, b, c)


def _kept(where: Bowl, p: Any, first: bool) -> Any:
    """Momentum with its buffer left alone by resets; its mean follows from the first moments."""
    g, beta, d, q = where.g, where.momentum, where.gap, 1.0 - p
    open_ = 1.0 - q * beta
    mean = p * d / (p + q * g / (1.0 - beta))
    drift = -g * mean / (1.0 - beta)
    ratio = (1.0 + q * beta) / open_
    own = p + 2.0 * q * g / open_
    other = 1.0 - beta**2 + 2.0 * q * beta * g / open_
    source = p * d * (d + 2.0 * q * beta * drift / open_)
    kick = _noise(where) - 2.0 * beta * g * p * d * drift / open_
    below = own * other - q * (g * ratio) ** 2
    a = (other * source + q * ratio * kick) / below
    c = (own * kick + g * g * ratio * source) / below
    b = (q * c - q * g * a + p * d * drift) / open_
    return _finish(where, first, a, b, c)


def _stable_kept(where: Bowl, p: Array) -> Any:
    """Spectral radius of the moments' own recursion below 1."""
    arrays = (where.g, np.asarray(where.momentum), np.asarray(1.0 - p))
    g, beta, q = np.broadcast_arrays(*arrays)
    move = np.empty((*g.shape, 3, 3))
    # c' = E (beta delta - g theta)², b' = E theta' delta', a' = E theta'²
    move[..., 0, :] = np.stack([beta**2, -2.0 * beta * g, g * g], axis=-1)
    move[..., 1, :] = np.stack([beta**2, beta * (1.0 - 2.0 * g), g * (g - 1.0)], axis=-1)
    move[..., 2, :] = np.stack([beta**2, 2.0 * beta * (1.0 - g), (1.0 - g) ** 2], axis=-1)
    move[..., 1:, :] *= np.reshape(q, (*g.shape, 1, 1))
    usable: Any = np.isfinite(move).all(axis=(-1, -2))
    radius = np.max(
        np.abs(np.linalg.eigvals(np.where(usable[..., None, None], move, 2.0))), axis=-1
    )
    # at p = 0 the radius is 1 - O(g), below the resolution of eigenvalues for tiny g
    slow = (radius < 1.0 + 1e-12) & (g < 1e-6)
    return usable & ((radius < 1.0) | slow)
