"""SGD in a quadratic bowl, step by step, at any learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.processes.base import Process

__all__ = ["QuadraticSGD"]


@dataclass(frozen=True, eq=False)
class QuadraticSGD(Process):
    r"""SGD on the loss :math:`\theta^T H \theta / 2`, exact for a finite learning rate.

    One step takes the gradient :math:`g = H\theta + \xi`, :math:`\xi \sim N(0, C)`, and moves
    :math:`v' = \beta v + g`, :math:`\theta' = \theta - \eta v'`. Time is counted in steps.

    Parameters
    ----------
    hessian : float or array, shape (d, d)
        H, symmetric, loss/length². A number is one dimension.
    noise_covariance : float or array, shape (d, d)
        C, covariance of the gradient of a mini-batch (already divided by the batch size),
        symmetric, positive semidefinite, (loss/length)².
    learning_rate : float
        :math:`\eta`, length²/loss. Positive.
    momentum : float, default 0
        :math:`\beta` in [0, 1): heavy ball.

    Raises
    ------
    DomainError
        If a matrix is not symmetric, the shapes differ, C has a negative eigenvalue, or a number is
        outside its range.

    Notes
    -----
    An unstable bowl, :math:`\eta h \ge 2 (1 + \beta)` or h < 0 for an eigenvalue h, is allowed: it
    has a stationary state only under resets; see ``stable``.

    Examples
    --------
    >>> sgd = QuadraticSGD(hessian=2.0, noise_covariance=0.5, learning_rate=0.1)
    >>> sgd.dimension, sgd.stable
    (1, True)
    """

    hessian: Any
    noise_covariance: Any
    learning_rate: float
    momentum: float = 0.0

    def __post_init__(self) -> None:
        matrices = {}
        for name in ("hessian", "noise_covariance"):
            value: Any = np.asarray(domain.finite(name, getattr(self, name)))
            matrix = np.reshape(value, (1, 1)) if value.ndim == 0 else value
            square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and matrix.size > 0
            if not square or not np.allclose(matrix, matrix.T, rtol=1e-12, atol=0):
                raise DomainError(name, getattr(self, name), "a number or a symmetric matrix")
            matrices[name] = matrix
            object.__setattr__(self, name, domain.plain(value))
        if matrices["hessian"].shape != matrices["noise_covariance"].shape:
            shape = matrices["hessian"].shape
            raise DomainError("noise_covariance", self.noise_covariance, f"of the shape {shape}")
        lowest = np.linalg.eigvalsh(matrices["noise_covariance"])
        if lowest.min() < -1e-12 * np.abs(lowest).max():
            raise DomainError("noise_covariance", self.noise_covariance, "positive semidefinite")
        rate = domain.positive("learning_rate", self.learning_rate)
        momentum = domain.within("momentum", self.momentum, 0.0, 1.0, open_high=True)
        for name, value in (("learning_rate", rate), ("momentum", momentum)):
            if np.ndim(value):
                raise DomainError(name, value, "a single number")
            object.__setattr__(self, name, float(np.asarray(value)))

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return int(np.sqrt(np.size(self.hessian)))

    @property
    def curvatures(self) -> Array:
        """Eigenvalues of the Hessian, rising, loss/length²."""
        return np.linalg.eigvalsh(np.reshape(self.hessian, (self.dimension, self.dimension)))

    @property
    def stable(self) -> bool:
        """Whether the parameters stay bounded without resets: 0 < eta h < 2 (1 + momentum)."""
        x = self.learning_rate * self.curvatures
        return bool((x > 0).all() and (x < 2.0 * (1.0 + self.momentum)).all())
