"""The bowl of validated arguments: a quadratic loss in the eigenbasis of its Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError

__all__ = ["Bowl", "bowl"]

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Bowl:
    """A quadratic loss in the eigenbasis of its Hessian, with the noise of a step."""

    curvature: Array
    noise: Array
    gap: Array
    basis: Array | None
    full_noise: Array | None
    learning_rate: float
    momentum: float

    @property
    def g(self) -> Array:
        """Learning rate times curvature: the fraction of the way that a step goes."""
        return self.learning_rate * self.curvature


def bowl(
    hessian: Any, noise_covariance: Any, checkpoint: Any, learning_rate: Any, momentum: Any
) -> Bowl:
    """The bowl of validated arguments."""
    rate = np.asarray(domain.positive("learning_rate", learning_rate))
    beta = np.asarray(domain.within("momentum", momentum, 0.0, 1.0, open_high=True))
    if rate.ndim or beta.ndim:
        raise DomainError("learning_rate, momentum", (learning_rate, momentum), "single numbers")
    matrix = np.asarray(domain.finite("hessian", hessian))
    gap = np.atleast_1d(np.asarray(domain.finite("checkpoint", checkpoint)))
    size = matrix.shape[-1] if matrix.ndim else gap.size
    if matrix.ndim > 2 or (matrix.ndim == 2 and matrix.shape != (size, size)):
        raise DomainError("hessian", matrix.shape, "a number, d eigenvalues or a (d, d) matrix")
    if gap.shape not in ((size,), (1,)) or size == 0:
        raise DomainError("checkpoint", gap.shape, f"of shape ({size},), as the Hessian is")
    gap = np.broadcast_to(gap, (size,))
    basis = None
    if matrix.ndim == 2:
        _symmetric("hessian", matrix)
        curvature, basis = np.linalg.eigh(matrix)
        curvature = np.where(
            np.abs(curvature) < 8 * size * _EPS * np.max(curvature), 0.0, curvature
        )
        gap = basis.T @ gap
    else:
        curvature = np.broadcast_to(matrix, (size,))
    if (curvature < 0).any():
        raise DomainError("hessian", hessian, "without negative eigenvalues")
    covariance = np.asarray(domain.finite("noise_covariance", noise_covariance))
    if covariance.ndim == 2 and covariance.shape == (size, size):
        _symmetric("noise_covariance", covariance)
        if basis is not None:
            covariance = basis.T @ covariance @ basis
        noise, full = np.diagonal(covariance).copy(), covariance
        lowest = float(np.min(np.linalg.eigvalsh(covariance), initial=0.0))
        if lowest < -8 * size * _EPS * float(np.max(np.abs(covariance), initial=0.0)):
            raise DomainError("noise_covariance", noise_covariance, "positive semidefinite")
        noise = np.maximum(noise, 0.0)
    elif covariance.shape in ((), (1,), (size,)):
        noise = np.broadcast_to(covariance, (size,))
        if (noise < 0).any():
            raise DomainError("noise_covariance", noise_covariance, "zero or positive")
        full = None
        if basis is not None and covariance.shape == (size,) and size > 1:
            full = basis.T @ (noise[:, None] * basis)
            noise = np.maximum(np.diagonal(full), 0.0)
    else:
        allowed = f"a number, or of shape ({size},) or ({size}, {size})"
        raise DomainError("noise_covariance", covariance.shape, allowed)
    return Bowl(curvature, noise, gap, basis, full, float(rate), float(beta))


def _symmetric(name: str, matrix: Array) -> None:
    if np.max(np.abs(matrix - matrix.T), initial=0.0) > 1e-10 * np.max(np.abs(matrix), initial=0.0):
        raise DomainError(name, "a matrix", "symmetric")
