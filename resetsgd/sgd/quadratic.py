"""SGD in a quadratic bowl under resetting to a checkpoint: its long-run loss, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg

from resetsgd import domain
from resetsgd.domain import Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.sgd import modes
from resetsgd.sgd.bowl import Bowl, bowl
from resetsgd.sgd.minima import Minimum, minima

__all__ = ["LongRunOptimum", "best_reset", "long_run_covariance", "long_run_loss"]

_ORDERS = ("move-coin-look", "move-look-coin")


def _velocity(velocity: str | npt.ArrayLike, where: Bowl) -> Array | None:
    """The step -eta v that a reset restores, in the eigenbasis; None if it leaves it alone."""
    if isinstance(velocity, str):
        domain.choice("velocity", velocity, ("zero", "keep"))
        return None if velocity == "keep" else np.zeros(where.gap.shape)
    buffer = np.asarray(domain.finite("velocity", velocity), dtype=np.float64)
    if buffer.shape != where.gap.shape:
        raise DomainError("velocity", buffer.shape, f"'zero', 'keep' or of shape {where.gap.shape}")
    rotated = buffer if where.basis is None else where.basis.T @ buffer
    return -where.learning_rate * rotated


def long_run_loss(
    hessian: npt.ArrayLike,
    noise_covariance: npt.ArrayLike,
    checkpoint: npt.ArrayLike,
    learning_rate: float,
    *,
    rate: RealLike | None = None,
    probability: RealLike | None = None,
    momentum: float = 0.0,
    order: str = "move-coin-look",
    velocity: str | npt.ArrayLike = "zero",
) -> Real:
    r"""Long-run mean loss of SGD in a quadratic bowl under resetting to a checkpoint.

    The loss is :math:`\tfrac12 \theta^T H \theta`, its minimum at the origin. Discrete SGD moves by
    :math:`\theta \to \theta - \eta (H \theta + \xi)` and then returns to the checkpoint with a
    probability per step; in continuous time it is the diffusion of the same mean and variance per
    step, returned at a rate.

    Parameters
    ----------
    hessian : float, array (d,) or (d, d)
        H: a symmetric matrix without negative eigenvalues, or its eigenvalues. Loss/length².
    noise_covariance : float, array (d,) or (d, d)
        Covariance of the gradient noise of a step (that of a sample over the batch size), in the
        coordinates of ``hessian``; a vector is a diagonal, a number a multiple of the identity.
    checkpoint : float or array (d,)
        Where resets lead, from the minimum, length.
    learning_rate : float
        :math:`\eta`, length²/loss. Positive.
    rate : float or array, optional
        Resets per step in continuous time, >= 0; ``inf`` sits at the checkpoint.
    probability : float or array, optional
        Probability of a reset in a step of discrete SGD, in [0, 1]. One of the two must be given.
    momentum : float, default 0
        Heavy-ball momentum :math:`\beta` in [0, 1). In continuous time it enters as the learning
        rate :math:`\eta/(1-\beta)`, which holds for :math:`\eta h \ll (1-\beta)^2`; discrete SGD
        has it exactly.
    order : {"move-coin-look", "move-look-coin"}
        Whether the loss is looked at after the coin of the step (default) or before it.
    velocity : {"zero", "keep"} or array (d,)
        What a reset does to the momentum buffer: empty it, leave it, or restore this one.

    Returns
    -------
    float or ndarray
        Shape of ``rate`` or ``probability``. ``inf`` where SGD diverges: without momentum where
        (1-p)(1-eta h)² >= 1.

    Raises
    ------
    DomainError
        If shapes do not fit, the Hessian has a negative eigenvalue, or a value is out of its range.

    Notes
    -----
    In continuous time the second moments S solve (eta H + r/2) S + S (eta H + r/2) = eta² C + r
    d d^T, in discrete time S = (1-p)(A S A + eta² C) + p d d^T with A = 1 - eta H. In the
    eigenbasis both are solved term by term, with 1 - (1-p)(1-eta h)² = p + (1-p) eta h (2 - eta h)
    and sums of positive terms: relative error a few epsilons, also for eta h = 1e-9. Directions of
    zero curvature do not count.

    **Source**: derived in ``theory/11_stationary_states.py``; for p = 0, S. Mandt, M. D. Hoffman,
    D. M. Blei, JMLR 18, 134 (2017).

    Examples
    --------
    >>> round(long_run_loss([1.0, 0.01], 1.0, [0.1, 5.0], 0.1, probability=0.001), 6)
    0.084579
    """
    where = bowl(hessian, noise_covariance, checkpoint, learning_rate, momentum)
    domain.choice("order", order, _ORDERS)
    restored = _velocity(velocity, where)
    if (rate is None) == (probability is None):
        raise DomainError("rate, probability", (rate, probability), "one of the two")
    if rate is not None:
        r = np.asarray(domain.nonnegative("rate", rate, infinite=True))
        return domain.plain(np.sum(_continuous(where, r[..., None]), axis=-1))
    p = np.asarray(domain.probability("probability", probability))  # type: ignore[arg-type]
    terms = modes.discrete(where, p[..., None], order == "move-look-coin", restored)
    return domain.plain(np.sum(terms, axis=-1))


@np.errstate(all="ignore")
def _continuous(where: Bowl, r: Any) -> Any:
    """Loss of each mode, (eta C g/2 + r h d²/2)/(r + 2 g)."""
    eta = where.learning_rate / (1.0 - where.momentum)
    g = np.minimum(eta * where.curvature, 1e300)
    warm, cold = modes.ends(where, eta)
    endless = np.isinf(r)
    finite = np.where(endless, 1.0, r)
    below = finite + 2.0 * g
    value = warm * (g / below) + cold * (finite / below)
    value = np.where(below > 0, value, 0.5 * warm)
    value = np.where(np.isnan(value), np.inf, value)  # an overflow on the way
    return np.where(where.curvature > 0, np.where(endless, cold, value), 0.0)


def _continuous_slope(where: Bowl, r: Any) -> Any:
    """d loss/d rate of each mode, (h d² - eta C/2) g/(r + 2 g)²."""
    eta = where.learning_rate / (1.0 - where.momentum)
    g = eta * where.curvature
    warm, cold = modes.ends(where, eta)
    below = np.where(g > 0, r + 2.0 * g, 1.0)
    return np.where(g > 0, (2.0 * cold - warm) * (g / below) / below, 0.0)


def long_run_covariance(
    hessian: npt.ArrayLike,
    noise_covariance: npt.ArrayLike,
    checkpoint: npt.ArrayLike,
    learning_rate: float,
    *,
    rate: float | None = None,
    probability: float | None = None,
    momentum: float = 0.0,
) -> Array:
    r"""Long-run second moments :math:`E[\theta \theta^T]` of SGD in a quadratic bowl with resets.

    Parameters
    ----------
    hessian, noise_covariance, checkpoint, learning_rate, rate, probability, momentum
        As in :func:`long_run_loss`; ``rate`` or ``probability`` a single number. Resets empty the
        momentum buffer, the look comes after the coin.

    Returns
    -------
    ndarray, shape (d, d)
        Length², about the minimum of the loss, not about the mean. All ``inf`` where SGD diverges.

    Raises
    ------
    DomainError
        As in :func:`long_run_loss`.

    Notes
    -----
    Term by term in the eigenbasis of the Hessian; with momentum by SciPy's solver of the discrete
    Lyapunov equation of twice the dimension, to about 1e-13 over (p + eta h).

    **Source**: derived in ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> long_run_covariance(1.0, 1.0, 2.0, 0.1, probability=1.0)
    array([[4.]])
    """
    where = bowl(hessian, noise_covariance, checkpoint, learning_rate, momentum)
    if (rate is None) == (probability is None):
        raise DomainError("rate, probability", (rate, probability), "one of the two")
    full = np.diag(where.noise) if where.full_noise is None else where.full_noise
    outer = np.outer(where.gap, where.gap)
    size = where.gap.size
    if rate is not None:
        r = float(np.asarray(domain.nonnegative("rate", rate)))
        eta = where.learning_rate / (1.0 - where.momentum)
        below = r + eta * np.add.outer(where.curvature, where.curvature)
        inside = _divide(eta * eta * full + r * outer, below)
    else:
        p = float(np.asarray(domain.probability("probability", probability)))  # type: ignore[arg-type]
        noise = where.learning_rate**2 * full
        if where.momentum and p < 1:
            inside = _companion(where, p, noise, outer)
        else:
            g = where.g
            below = p + (1.0 - p) * (np.add.outer(g, g) - np.multiply.outer(g, g))
            inside = _divide((1.0 - p) * noise + p * outer, below)
    if np.isinf(inside).any():
        return np.full((size, size), np.inf)
    return inside if where.basis is None else where.basis @ inside @ where.basis.T


@np.errstate(all="ignore")
def _divide(above: Array, below: Array) -> Array:
    """The ratio; inf where it diverges, 0 where there is nothing to diverge."""
    value = np.where(below > 0, above / np.where(below > 0, below, 1.0), np.inf)
    return np.where((above == 0) & (below >= 0), 0.0, value)


def _companion(where: Bowl, p: float, noise: Array, outer: Array) -> Array:
    """Positions of the discrete Lyapunov equation of positions and steps."""
    size, beta = where.gap.size, where.momentum
    g = np.diag(where.g)
    one = np.eye(size)
    move = np.block([[one - g, beta * one], [-g, beta * one]])
    source = np.block([[noise, noise], [noise, noise]]) * (1.0 - p)
    source[:size, :size] += p * outer
    keep = np.sqrt(1.0 - p) * move
    if np.max(np.abs(np.linalg.eigvals(keep))) >= 1:
        return np.full((size, size), np.inf)
    return np.asarray(linalg.solve_discrete_lyapunov(keep, source))[:size, :size]


@dataclass(frozen=True)
class LongRunOptimum:
    """The reset rate or probability with the smallest long-run loss.

    Attributes
    ----------
    parameter : {"probability", "rate"}
        Which of the two was searched.
    value : float
        The best one. 0: never reset; 1 or ``inf``: stop at the checkpoint.
    loss : float
        Long-run loss there.
    loss_without : float
        Long-run loss of SGD that is never reset; ``inf`` if it diverges.
    loss_at_checkpoint : float
        Loss at the checkpoint, what one has who stops there.
    slope : float
        Change of the loss with the parameter at zero: negative, rare resets pay.
    pays : bool
        Whether some resets give a smaller loss than none.
    reason : str
        Why.
    local_minima : tuple of (at, loss)
        All local minima, the best first.
    """

    parameter: str
    value: float
    loss: float
    loss_without: float
    loss_at_checkpoint: float
    slope: float
    pays: bool
    reason: str
    local_minima: tuple[Minimum, ...]


def best_reset(
    hessian: npt.ArrayLike,
    noise_covariance: npt.ArrayLike,
    checkpoint: npt.ArrayLike,
    learning_rate: float,
    *,
    parameter: str = "probability",
    momentum: float = 0.0,
    order: str = "move-coin-look",
    velocity: str | npt.ArrayLike = "zero",
) -> LongRunOptimum:
    r"""Find the reset probability or rate with the smallest long-run loss, searched globally.

    In one direction the loss changes monotonically with the rate, from that of the noise,
    eta C/4 (1 - eta h/2)^-1, to that of the checkpoint, h d²/2: never or always. An optimum in
    between needs a checkpoint that is good along flat and bad along sharp directions. In continuous
    time rare resets pay if and only if :math:`\sum_i \Delta_i < 0`, :math:`\Delta_i = d_i^2 -
    \eta C_i/(2 h_i)`, and the optimum is then in between if :math:`\sum_i h_i^2 \Delta_i > 0`.

    Parameters
    ----------
    hessian, noise_covariance, checkpoint, learning_rate, momentum, order, velocity
        As in :func:`long_run_loss`.
    parameter : {"probability", "rate"}
        Discrete SGD, or continuous time.

    Returns
    -------
    LongRunOptimum
        With ``value``, ``loss``, ``pays``, ``reason`` and all ``local_minima``.

    Raises
    ------
    DomainError
        As in :func:`long_run_loss`.

    Notes
    -----
    Sign changes of the derivative are sought over all scales of the bowl, forty points a decade,
    and refined to the last bits.

    **Source**: derived in ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> best_reset([1.0, 0.001], [0.1, 1.0], [1.0, 1.0], 0.1, parameter="rate").pays
    True
    """
    domain.choice("parameter", parameter, ("probability", "rate"))
    domain.choice("order", order, _ORDERS)
    where = bowl(hessian, noise_covariance, checkpoint, learning_rate, momentum)
    restored = _velocity(velocity, where)
    first = order == "move-look-coin"
    g = where.g[where.g > 0] / (1.0 - where.momentum)
    scales = g if g.size else np.ones(1)
    if parameter == "rate":

        def loss(x: Array) -> Array:
            return np.asarray(np.sum(_continuous(where, x[..., None]), axis=-1))

        def slope(x: Array) -> Array:
            return np.asarray(np.sum(_continuous_slope(where, x[..., None]), axis=-1))

        edges = (float(np.min(scales)) * 1e-5, float(np.max(scales)) * 1e5, np.inf)
    else:

        def loss(x: Array) -> Array:
            return np.asarray(np.sum(modes.discrete(where, x[..., None], first, restored), axis=-1))

        def slope(x: Array) -> Array:
            return np.asarray(np.sum(modes.slope(where, x[..., None], first, restored), axis=-1))

        edges = (min(float(np.min(scales)), 1.0) * 1e-5, 1.0, 1.0)
    with np.errstate(all="ignore"):
        found = minima(loss, slope, *edges)
        start = float(slope(np.zeros(1))[0])
    best = found[0]
    without = float(loss(np.zeros(1))[0])
    stopped = float(np.sum(modes.ends(where, where.learning_rate)[1]))
    pays = best.loss < without
    return LongRunOptimum(
        parameter=parameter,
        value=best.at,
        loss=best.loss,
        loss_without=without,
        loss_at_checkpoint=stopped,
        slope=start if np.isfinite(without) else -np.inf,
        pays=pays,
        reason=_reason(pays, without, start, best.at, edges[2]),
        local_minima=tuple(found),
    )


def _reason(pays: bool, without: float, slope: float, value: float, end: float) -> str:
    if not pays:
        return "no resets do better than none"
    if np.isinf(without):
        return "SGD diverges without resets"
    place = "stopping at the checkpoint is best" if value == end else "an optimum in between"
    start = "rare resets pay" if slope < 0 else "rare resets do not pay, frequent ones do"
    return f"{start}; {place}"
