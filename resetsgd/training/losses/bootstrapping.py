"""Losses that correct the label: towards the prediction, or by the transition matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.losses.base import SampleLoss
from resetsgd.training.losses.robust import log_probability

__all__ = ["ForwardCorrection", "HardBootstrap", "SoftBootstrap"]


class _Bootstrap(SampleLoss):
    """Weight times the label plus 1 - weight times something predicted."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = float(domain.probability("weight", weight))

    def extra_repr(self) -> str:
        """Shown between the brackets."""
        return f"weight={self.weight}"


class SoftBootstrap(_Bootstrap):
    """Cross-entropy against weight times the label plus 1 - weight times the prediction itself.

    Parameters
    ----------
    weight : float
        Of the label, in [0, 1].

    Raises
    ------
    DomainError
        For a weight outside its range.

    Notes
    -----
    The gradient also flows through the predicted part of the target: the second term is 1 - weight
    times the entropy of the prediction, as the paper has it. Several codes cut it there.

    **Source**: Reed et al. (2015), equation 6.

    Examples
    --------
    >>> round(SoftBootstrap()(torch.zeros(1, 4), torch.tensor([2])).item(), 5)
    1.38629
    """

    sources = ("reed2015",)

    def __init__(self, weight: float = 0.95) -> None:
        super().__init__(weight)

    def losses(self, logits: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
        """As in :class:`SampleLoss`."""
        log_p = log_softmax(logits, dim=1)
        log_p = log_p.clamp(min=torch.finfo(log_p.dtype).min)  # p log p is 0 where p underflows
        entropy = -(log_p.exp() * log_p).sum(1)
        label = -log_p.gather(1, labels[:, None]).squeeze(1)
        return self.weight * label + (1.0 - self.weight) * entropy


class HardBootstrap(_Bootstrap):
    """Cross-entropy against weight times the label plus 1 - weight times the predicted class.

    Parameters
    ----------
    weight : float
        Of the label, in [0, 1].

    Raises
    ------
    DomainError
        For a weight outside its range.

    Notes
    -----
    **Source**: Reed et al. (2015), equation 7.

    Examples
    --------
    >>> loss = HardBootstrap(weight=0.0)
    >>> round(loss(torch.tensor([[3.0, 0.0]]), torch.tensor([1])).item(), 5)
    0.04859
    """

    sources = ("reed2015",)

    def __init__(self, weight: float = 0.8) -> None:
        super().__init__(weight)

    def losses(self, logits: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
        """As in :class:`SampleLoss`."""
        predicted = -log_softmax(logits, dim=1).amax(1)
        return (1.0 - self.weight) * predicted - self.weight * log_probability(logits, labels)


class ForwardCorrection(SampleLoss):
    """Forward correction, -log of the sum over i of p_i matrix[i, y]: cross-entropy after noise.

    Parameters
    ----------
    matrix : array, shape (classes, classes)
        Transition matrix: ``matrix[i, j]`` is the probability that a sample of class i is labelled
        j, as :func:`resetsgd.training.transition_matrix` and ``estimate_noise(...).transition``
        give it. Rows sum to 1 (to 1e-6); every label must be possible.

    Raises
    ------
    DomainError
        For another shape, entries that are no probabilities, or a number of classes other than that
        of the logits.

    Notes
    -----
    Held-out samples are judged by the same loss, for their labels went through the same noise.

    **Source**: Patrini et al. (2017), theorem 2.

    Examples
    --------
    >>> loss = ForwardCorrection([[0.7, 0.3], [0.3, 0.7]])
    >>> round(loss(torch.tensor([[90.0, 0.0]]), torch.tensor([1])).exp().item(), 5)
    3.33333
    """

    sources = ("patrini2017",)
    log_matrix: Tensor

    def __init__(self, matrix: Any) -> None:
        super().__init__()
        array = np.asarray(domain.probability("matrix", matrix))
        if array.ndim != 2 or array.shape[0] != array.shape[1] or len(array) < 2:
            raise DomainError("matrix", array.shape, "square, of two or more classes")
        if (abs(array.sum(1) - 1.0) > 1e-6).any() or (array.max(0) == 0.0).any():
            raise DomainError("matrix", array, "rows that sum to 1, and no label impossible")
        self.register_buffer("log_matrix", torch.from_numpy(array.copy()).log(), persistent=False)

    def losses(self, logits: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
        """As in :class:`SampleLoss`."""
        if logits.shape[1] != len(self.log_matrix):
            raise DomainError("logits", tuple(logits.shape), f"{len(self.log_matrix)} classes")
        column = self.log_matrix.to(logits.dtype).T[labels]
        log_p = log_softmax(logits, dim=1)
        log_p = log_p.clamp(min=torch.finfo(log_p.dtype).min)  # or all terms may be minus infinity
        return -torch.logsumexp(log_p + column, dim=1)

    def extra_repr(self) -> str:
        """Shown between the brackets."""
        return f"matrix={self.log_matrix.exp().tolist()}"
