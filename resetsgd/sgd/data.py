"""Exact for given data: ridge from resets, the risk of SGD, clean against noisy gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Array, Real, RealLike
from resetsgd.errors import DomainError

__all__ = ["clean_priority", "resetting_mean", "sgd_risk"]


def _inputs(inputs: Any, labels: Any = None) -> tuple[Array, Array]:
    x = np.asarray(domain.finite("inputs", inputs))
    if x.ndim != 2 or not x.size:
        raise DomainError("inputs", x.shape, "of shape (n, d)")
    y = np.zeros(len(x)) if labels is None else np.asarray(domain.finite("labels", labels))
    if y.shape != (len(x),):
        raise DomainError("labels", y.shape, f"of shape ({len(x)},)")
    return x, y


def _weights(name: str, value: Any, size: int) -> Array:
    weights = np.zeros(size) if value is None else np.asarray(domain.finite(name, value))
    if weights.shape != (size,):
        raise DomainError(name, weights.shape, f"of shape ({size},)")
    return weights


def resetting_mean(
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    rate: float,
    *,
    reset_to: npt.ArrayLike | None = None,
) -> Array:
    r"""Long-run mean of the weights of gradient flow under Poisson resetting: the ridge solution.

    For resets to the origin at rate r it is :math:`(X^T X/n + r)^{-1} X^T y/n`, ridge regression
    with the rate as its penalty; resets to other weights pull towards these.

    Parameters
    ----------
    inputs : array (n, d)
        X, one sample a row.
    labels : array (n,)
        y; the loss is :math:`|X\theta - y|^2/2n`.
    rate : float
        r, 1/time of the flow. Positive.
    reset_to : array (d,), optional
        Where resets lead; default the origin.

    Returns
    -------
    ndarray, shape (d,)
        The mean weights.

    Raises
    ------
    DomainError
        If shapes do not fit or a value is outside its range.

    Notes
    -----
    Each singular direction of X is averaged over exponential ages: the weights relax as
    exp(-lambda u), whose mean is r/(r + lambda). No matrix is inverted.

    **Source**: derived in ``theory/13_label_noise_regression.py``.

    Examples
    --------
    >>> resetting_mean([[1.0], [1.0]], [2.0, 2.0], rate=1.0)
    array([1.])
    """
    x, y = _inputs(inputs, labels)
    r = float(np.asarray(domain.positive("rate", rate)))
    home = _weights("reset_to", reset_to, x.shape[1])
    left, singular, right = np.linalg.svd(x / np.sqrt(len(x)), full_matrices=False)
    pull = singular * (left.T @ (y / np.sqrt(len(x)))) - singular**2 * (right @ home)
    return np.asarray(home + right.T @ (pull / (r + singular**2)))


def sgd_risk(
    inputs: npt.ArrayLike,
    truth: npt.ArrayLike,
    noise_variance: float,
    learning_rate: float,
    batch_size: int,
    steps: int,
    *,
    start: npt.ArrayLike | None = None,
    test_covariance: npt.ArrayLike | None = None,
) -> Array:
    r"""Exact mean risk of mini-batch SGD on given inputs with noisy labels, step by step.

    Averaged over the label noise and over the batches, which are drawn with replacement.

    Parameters
    ----------
    inputs : array (n, d)
        X, one sample a row.
    truth : array (d,)
        Weights that made the clean labels.
    noise_variance : float
        Variance of a label; the noise is drawn once, independent for each sample.
    learning_rate : float
        Positive; the risk may diverge.
    batch_size : int
        Samples a step.
    steps : int
        How many steps.
    start : array (d,), optional
        Weights before the first step; default zero.
    test_covariance : array (d, d), optional
        Weights of the risk; default :math:`X^T X/n`.

    Returns
    -------
    ndarray, shape (steps + 1,)
        Risk before the first step and after each.

    Raises
    ------
    DomainError
        If shapes do not fit or a value is outside its range.

    Notes
    -----
    The second moments of the distance w to the truth, and its correlation with the noise of each
    label, obey a linear recursion: for residuals :math:`\rho_i = x_i \cdot w - \epsilon_i`

    .. math:: E[g g^T] = \tfrac1B E\,\tfrac1n \sum_i \rho_i^2 x_i x_i^T
              + (1 - \tfrac1B) E[\bar g \bar g^T] .

    Cost n d² a step.

    **Source**: derived in ``theory/13_label_noise_regression.py``.

    Examples
    --------
    >>> sgd_risk([[1.0]], [1.0], 0.0, learning_rate=0.5, batch_size=1, steps=2)
    array([1.    , 0.25  , 0.0625])
    """
    x, _ = _inputs(inputs)
    n, d = x.shape
    theta = _weights("truth", truth, d)
    if truth is None:
        raise DomainError("truth", truth, "given")
    gap = _weights("start", start, d) - theta
    noise = float(np.asarray(domain.nonnegative("noise_variance", noise_variance)))
    eta = float(np.asarray(domain.positive("learning_rate", learning_rate)))
    batch = domain.integer("batch_size", batch_size, 1)
    count = domain.integer("steps", steps, 0)
    hessian = x.T @ x / n
    weight = hessian
    if test_covariance is not None:
        weight = np.asarray(domain.finite("test_covariance", test_covariance))
        if weight.shape != (d, d):
            raise DomainError("test_covariance", weight.shape, f"of shape ({d}, {d})")
    square = np.outer(gap, gap)  # E w w^T
    cross = np.zeros((d, n))  # E w epsilon^T
    risks = np.empty(count + 1)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(count + 1):
            risks[k] = np.sum(weight * square)
            move = hessian @ square - cross @ x / n  # E gbar w^T
            both = hessian @ cross - noise * x.T / n  # E gbar epsilon^T
            full = move @ hessian - both @ x / n  # E gbar gbar^T
            residual = np.einsum("id,de,ie->i", x, square, x)
            residual += noise - 2.0 * np.einsum("id,di->i", x, cross)
            single = (x * residual[:, None]).T @ x / n
            square = square - eta * (move + move.T)
            square += eta**2 * (single / batch + (1.0 - 1.0 / batch) * full)
            cross = cross - eta * both
    return np.where(np.isnan(risks), np.inf, risks)


def clean_priority(
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    corrupted: npt.ArrayLike,
    time: RealLike,
    *,
    start: npt.ArrayLike | None = None,
) -> Real:
    r"""Norm of the clean over the noisy part of the gradient along gradient flow on given data.

    Early in training the clean samples, which agree, win; when the ratio has fallen to 1 the two
    parts cancel and clean-priority learning is over.

    Parameters
    ----------
    inputs : array (n, d)
        X.
    labels : array (n,)
        y, noise included.
    corrupted : array of bool (n,)
        Which labels are wrong; some, not all.
    time : float or array
        Time of gradient flow on :math:`|X\theta - y|^2/2n`, >= 0.
    start : array (d,), optional
        Weights at time 0; default zero.

    Returns
    -------
    float or ndarray
        Shape of ``time``; ``inf`` where the noisy part vanishes.

    Raises
    ------
    DomainError
        If shapes do not fit or a group is empty.

    Notes
    -----
    **Source**: C. Liu, A. Abedsoltan, M. Belkin, arXiv:2306.02533 (2023); the flow is solved in the
    eigenbasis of :math:`X^T X/n`, see ``theory/13_label_noise_regression.py``.

    Examples
    --------
    >>> clean_priority([[1.0], [1.0], [1.0]], [1.0, 1.0, -1.0], [False, False, True], 0.0)
    2.0
    """
    x, y = _inputs(inputs, labels)
    wrong = np.asarray(corrupted)
    if wrong.shape != y.shape or wrong.dtype != np.bool_ or wrong.all() or not wrong.any():
        raise DomainError("corrupted", wrong.shape, f"booleans of shape {y.shape}, some of them")
    at = np.asarray(domain.nonnegative("time", time, infinite=True))
    first = _weights("start", start, x.shape[1])
    rates, basis = np.linalg.eigh(x.T @ x / len(x))
    rates = np.maximum(rates, 0.0)
    pull = basis.T @ (x.T @ y / len(x)) - rates * (basis.T @ first)
    with np.errstate(all="ignore"):
        risen = -np.expm1(-rates * at[..., None])
        slow = rates < 8 * len(rates) * 2.3e-16 * np.max(rates)
        way = np.where(slow, 0.0, risen / np.where(slow, 1.0, rates)) * pull
        weights = first + way @ basis.T
        residual = weights @ x.T - y
        norms = [
            np.sqrt(np.sum((residual[..., group] @ x[group]) ** 2, axis=-1))
            for group in (~wrong, wrong)
        ]
        ratio = np.where(norms[1] > 0, norms[0] / norms[1], np.inf)
    return domain.plain(ratio)
