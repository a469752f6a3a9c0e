"""Cross-entropy, and losses that are robust to wrong labels by their shape.

Everywhere p is the softmax of the logits and y the label. All are computed from the logarithm of p,
so that a probability that underflows or rounds to one costs no accuracy and makes no NaN.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from resetsgd import domain
from resetsgd.training.losses.base import SampleLoss

__all__ = [
    "CrossEntropy",
    "GeneralizedCrossEntropy",
    "LabelSmoothing",
    "MeanAbsoluteError",
    "SymmetricCrossEntropy",
    "generalized",
    "log_probability",
]

_TINY = 1e-20
"""Below this exponent the generalised cross-entropy is its limit, in float64 too."""


def log_probability(logits: Tensor, labels: Tensor) -> Tensor:
    """Logarithm of the probability of each label, shape (batch,), never minus infinity."""
    log_p = log_softmax(logits, dim=1).gather(1, labels[:, None]).squeeze(1)
    return log_p.clamp(min=torch.finfo(log_p.dtype).min)


def generalized(log_p: Tensor, exponent: float) -> Tensor:
    """The quotient (1 - p^q) / q from log p, with its limit at q = 0."""
    if exponent < _TINY:
        return -log_p
    return -torch.expm1(exponent * log_p) / exponent


class CrossEntropy(SampleLoss):
    """Cross-entropy, -log p_y.

    Examples
    --------
    >>> loss = CrossEntropy()
    >>> round(loss(torch.zeros(1, 4), torch.tensor([2])).item(), 5)
    1.38629
    """

    def losses(self, logits: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
        """As in :class:`SampleLoss`."""
        return cross_entropy(logits, labels, reduction="none")


class MeanAbsoluteError(SampleLoss):
    """Absolute distance of p from the label, 2 (1 - p_y): robust, and slow to learn.

    Notes
    -----
    **Source**: Ghosh, Kumar and Sastry (2017). Summed over all labels it is the constant
    2 (classes - 1), which is what makes it robust to symmetric noise.

    Examples
    --------
    >>> MeanAbsoluteError()(torch.zeros(1, 4), torch.tensor([2])).item()
    1.5
    """

    sources = ("ghosh2017",)

    def losses(self, logits: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
        """As in :class:`SampleLoss`."""
        return -2.0 * torch.expm1(log_probability(logits, labels))


class LabelSmoothing(SampleLoss):
    """Cross-entropy against (1 - smoothing) times the label plus smoothing / classes everywhere.

    Parameters
    ----------
    smoothing : float
        Share of the label that is spread evenly, in [0, 1].

    Raises
    ------
    DomainError
        For a share outside its range.

    Notes
    -----
    **Source**: Szegedy et al. (2016), section 7.

    Examples
    --------
    >>> loss = LabelSmoothing(smoothing=0.0)
    >>> round(loss(torch.zeros(1, 4), torch.tensor([2])).item(), 5)
    1.38629
    """

    sources = ("szegedy2016",)

    def __init__(self, smoothing: float = 0.1) -> None:
        super().__init__()
        self.smoothing = float(domain.probability("smoothing", smoothing))

    def losses(self, logits: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
        """As in :class:`SampleLoss`."""
        return cross_entropy(logits, labels, reduction="none", label_smoothing=self.smoothing)

    def extra_repr(self) -> str:
        """Shown between the brackets."""
        return f"smoothing={self.smoothing}"


class GeneralizedCrossEntropy(SampleLoss):
    """Generalised cross-entropy, (1 - p_y^q) / q: between cross-entropy and absolute error.

    Parameters
    ----------
    exponent : float
        The q of the formula, in [0, 1]. At 0 it is cross-entropy, its limit; at 1 half the absolute
        error.

    Raises
    ------
    DomainError
        For an exponent outside its range.

    Notes
    -----
    **Source**: Zhang and Sabuncu (2018), equation 6.

    Examples
    --------
    >>> GeneralizedCrossEntropy(1.0)(torch.zeros(1, 4), torch.tensor([2])).item()
    0.75
    """

    sources = ("zhang2018gce",)

    def __init__(self, exponent: float = 0.7) -> None:
        super().__init__()
        self.exponent = float(domain.probability("exponent", exponent))

    def losses(self, logits: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
        """As in :class:`SampleLoss`."""
        return generalized(log_probability(logits, labels), self.exponent)

    def extra_repr(self) -> str:
        """Shown between the brackets."""
        return f"exponent={self.exponent}"


class SymmetricCrossEntropy(SampleLoss):
    """Symmetric cross-entropy: a CE + b RCE, the reverse term being -log_zero (1 - p_y).

    Parameters
    ----------
    forward_weight, reverse_weight : float
        The a and b of the formula, at least 0; the published pairs are (0.1, 1) for CIFAR-10 and
        (6, 0.1) for CIFAR-100.
    log_zero : float
        What the logarithm of a label's zero probabilities is taken to be, below 0. The released
        codes clip labels at 1e-4, whose logarithm is the default; the paper defines a constant A
        instead. It multiplies the reverse term and does nothing else.

    Raises
    ------
    DomainError
        For a number outside its range.

    Notes
    -----
    **Source**: Wang et al. (2019), equations 6 and 7.

    Examples
    --------
    >>> loss = SymmetricCrossEntropy(0.0, 1.0, log_zero=-4.0)
    >>> loss(torch.zeros(1, 4), torch.tensor([2])).item()
    3.0
    """

    sources = ("wang2019",)

    def __init__(
        self,
        forward_weight: float = 0.1,
        reverse_weight: float = 1.0,
        *,
        log_zero: float = math.log(1e-4),
    ) -> None:
        super().__init__()
        self.forward_weight = float(domain.nonnegative("forward_weight", forward_weight))
        self.reverse_weight = float(domain.nonnegative("reverse_weight", reverse_weight))
        self.log_zero = -float(domain.positive("-log_zero", -log_zero))

    def losses(self, logits: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
        """As in :class:`SampleLoss`."""
        log_p = log_probability(logits, labels)
        reverse = self.log_zero * torch.expm1(log_p)
        return self.reverse_weight * reverse - self.forward_weight * log_p

    def extra_repr(self) -> str:
        """Shown between the brackets."""
        return f"{self.forward_weight}, {self.reverse_weight}, log_zero={self.log_zero:.4g}"
