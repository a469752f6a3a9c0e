"""What label noise makes SGD prefer: the implicit regulariser of Damian, Ma and Lee."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Array, Real, RealLike
from resetsgd.errors import DomainError

__all__ = ["EffectivePotential", "LabelNoiseRegulariser", "label_noise_regulariser"]


@dataclass(frozen=True, eq=False)
class LabelNoiseRegulariser:
    r"""What SGD with label noise minimises besides the loss: strength times R.

    Attributes
    ----------
    strength : float or ndarray
        :math:`\lambda = \eta \sigma^2/(B (1 - \beta))`.
    value : float or ndarray
        :math:`R = -\frac{1+\beta}{2 \eta} \sum_i \log(1 - \frac{\eta h_i}{2 (1+\beta)})`.
    penalty : float or ndarray
        The product, in units of the loss.
    weak : float or ndarray
        Limit of R for small learning rates, a quarter of the trace of the Hessian.
    slopes : ndarray
        dR/dh for each eigenvalue, 1/4 for small learning rates.
    """

    strength: Real
    value: Real
    weak: Real
    slopes: Array

    @property
    def penalty(self) -> Real:
        """Strength times R, in units of the loss."""
        return domain.plain(np.asarray(self.strength) * self.value)


def _check(
    learning_rate: Any, noise_std: Any, batch_size: Any, momentum: Any
) -> tuple[Array, Array, Array, Array]:
    eta = np.asarray(domain.positive("learning_rate", learning_rate))
    sigma = np.asarray(domain.nonnegative("noise_std", noise_std))
    batch = np.asarray(domain.within("batch_size", batch_size, 1.0, np.inf, open_high=True))
    beta = np.asarray(domain.within("momentum", momentum, 0.0, 1.0, open_high=True))
    domain.broadcast(learning_rate=eta, noise_std=sigma, batch_size=batch, momentum=beta)
    return eta, sigma, batch, beta


def label_noise_regulariser(
    hessian_eigenvalues: npt.ArrayLike,
    learning_rate: RealLike,
    noise_std: RealLike,
    batch_size: RealLike,
    momentum: RealLike = 0.0,
) -> LabelNoiseRegulariser:
    r"""Regulariser that SGD with label noise follows once the clean labels are fitted.

    For the squared loss :math:`\frac12 (f - y)^2` whose labels are disturbed by fresh noise of
    standard deviation :math:`\sigma` whenever they are drawn, SGD on the manifold of zero loss
    descends :math:`\lambda R(\theta)`: it prefers flat minima.

    Parameters
    ----------
    hessian_eigenvalues : array, shape (..., d)
        Eigenvalues h of the Hessian of the loss, loss/length²; a number is one eigenvalue. Below
        2 (1 + momentum)/learning_rate.
    learning_rate : float or array
        :math:`\eta`. Positive.
    noise_std : float or array
        :math:`\sigma`, in units of the label. Zero or positive.
    batch_size : float or array
        B, at least 1.
    momentum : float or array, default 0
        Heavy-ball :math:`\beta` in [0, 1).

    Returns
    -------
    LabelNoiseRegulariser
        With ``strength``, ``value`` (R), ``penalty``, ``weak`` and ``slopes``.

    Raises
    ------
    DomainError
        If a value is outside its range; in particular where SGD is unstable,
        eta h >= 2 (1 + beta).

    Notes
    -----
    R by log1p: a few epsilons, also for eta h = 1e-9. Exact in the learning rate for noise that is
    small against the curvature of the manifold; for the model f = u v the contraction of u² - v²
    per step agrees with it exactly (tested).

    **Source**: A. Damian, T. Ma, J. D. Lee, NeurIPS 34 (2021), theorem 1 and section 5 (momentum).

    Examples
    --------
    >>> found = label_noise_regulariser([1.0, 3.0], learning_rate=1e-9, noise_std=1.0, batch_size=1)
    >>> round(found.value, 6), found.weak
    (1.0, 1.0)
    """
    h = np.atleast_1d(np.asarray(domain.finite("hessian_eigenvalues", hessian_eigenvalues)))
    eta, sigma, batch, beta = _check(learning_rate, noise_std, batch_size, momentum)
    domain.broadcast(hessian_eigenvalues=h[..., 0], learning_rate=eta, momentum=beta)
    wide, tall = eta[..., None], beta[..., None]
    with np.errstate(over="ignore"):
        share = wide * h / (2.0 * (1.0 + tall))
    if np.any(share >= 1):
        limit = "below 2 (1 + momentum)/learning_rate: SGD is unstable"
        raise DomainError("hessian_eigenvalues", float(np.max(h)), limit)
    with np.errstate(all="ignore"):
        tiny = np.abs(share) < 1e-290  # eta h has no digits left: R is its limit
        exact = -(1.0 + tall) / (2.0 * wide) * np.log1p(-share)
        terms = np.where(tiny | ~np.isfinite(exact), 0.25 * h, exact)
        strength = eta * sigma * (sigma / batch) / (1.0 - beta)
    return LabelNoiseRegulariser(
        strength=domain.plain(strength),
        value=domain.plain(np.sum(terms, axis=-1)),
        weak=domain.plain(0.25 * np.sum(h, axis=-1)),
        slopes=0.25 / (1.0 - share),
    )


@dataclass(frozen=True, eq=False)
class EffectivePotential:
    r"""The potential that SGD with label noise moves in: loss plus regulariser, along a line.

    A callable of position, as :class:`resetsgd.Landscape` takes it.

    Parameters
    ----------
    potential : callable
        Loss L(x) of an array of positions.
    curvature : callable
        Eigenvalues of the Hessian at these positions: the shape of x, or with a last axis of
        eigenvalues more.
    learning_rate, noise_std, batch_size, momentum : float
        As in :func:`label_noise_regulariser`.

    Raises
    ------
    DomainError
        When called where SGD is unstable, or if the curvature is not a number.

    Notes
    -----
    **Source**: A. Damian, T. Ma, J. D. Lee, NeurIPS 34 (2021).

    Examples
    --------
    >>> flat = EffectivePotential(lambda x: 0.0 * x, lambda x: 1.0 + x**2, 0.1, 1.0, 1.0)
    >>> bool(flat(np.array([0.0])) < flat(np.array([1.0])))
    True
    """

    potential: Callable[[Any], Any]
    curvature: Callable[[Any], Any]
    learning_rate: float
    noise_std: float
    batch_size: float
    momentum: float = 0.0

    def __post_init__(self) -> None:
        for name in ("potential", "curvature"):
            if not callable(getattr(self, name)):
                raise DomainError(name, getattr(self, name), "callable")
        arrays = _check(self.learning_rate, self.noise_std, self.batch_size, self.momentum)
        if any(array.ndim for array in arrays):
            raise DomainError("learning_rate, ...", "an array", "single numbers")

    def __call__(self, x: npt.ArrayLike) -> Any:
        """The effective potential at x, in units of the loss."""
        place = np.asarray(x, dtype=np.float64)
        h = np.asarray(self.curvature(place), dtype=np.float64)
        if h.shape == place.shape:
            h = h[..., None]
        if h.shape[:-1] != place.shape:
            raise DomainError("curvature", h.shape, f"of shape {place.shape} or with one axis more")
        found = label_noise_regulariser(
            h, self.learning_rate, self.noise_std, self.batch_size, self.momentum
        )
        return domain.plain(np.asarray(self.potential(place), dtype=np.float64) + found.penalty)
