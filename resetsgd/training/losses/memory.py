"""Losses that remember each sample: early-learning regularisation, and pruned GCE."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.losses.base import SampleLoss
from resetsgd.training.losses.robust import (
    GeneralizedCrossEntropy,
    generalized,
    log_probability,
)

__all__ = ["EarlyLearning", "TruncatedGCE"]

_CLAMP = 1e-4
"""Probabilities are kept this far from 0 and 1, as published."""


class EarlyLearning(SampleLoss):
    """Early-learning regularisation (ELR): cross-entropy plus weight times log(1 - p . t).

    The target t of each sample is a running average of what the network predicted for it,
    t to decay t + (1 - decay) p, and is renewed, without gradient, before the loss is taken.

    Parameters
    ----------
    samples : int
        Size of the training set; ``index`` runs from 0 to samples - 1.
    classes : int
        At least two.
    weight : float
        Of the regularisation, at least 0; published: 3 for CIFAR-10, 7 for CIFAR-100.
    decay : float
        Memory of the running average, in [0, 1]; published: 0.7 and 0.9.

    Raises
    ------
    DomainError
        For a number outside its range; when called, for an index that is missing or out of range.

    Notes
    -----
    The targets, shape (samples, classes), are a buffer. Whether they go back when the weights do is
    the choice of ``also=[loss]`` of a resetter; left out, they remember what was predicted before
    the reset. A sample that stands in a batch twice is remembered once.

    Inside p . t probabilities are clamped to [1e-4, 1 - 1e-4], and for t summed to one again: the
    released code does so and the paper does not say. Held-out samples have no target; for them it
    is cross-entropy.

    **Source**: Liu, Niles-Weed, Razavian and Fernandez-Granda (2020), equations 6 and 9.

    Examples
    --------
    >>> loss = EarlyLearning(samples=5, classes=4)
    >>> value = loss(torch.zeros(2, 4), torch.tensor([0, 1]), torch.tensor([3, 4]))
    >>> loss.targets.sum(1).tolist()[:3], round(loss.targets.sum(1)[3].item(), 6)
    ([0.0, 0.0, 0.0], 0.3)
    """

    sources = ("liu2020",)
    remembers = True
    targets: Tensor

    def __init__(
        self, samples: int, classes: int, *, weight: float = 3.0, decay: float = 0.7
    ) -> None:
        super().__init__()
        self.weight = float(domain.nonnegative("weight", weight))
        self.decay = float(domain.probability("decay", decay))
        shape = domain.integer("samples", samples, 1), domain.integer("classes", classes, 2)
        self.register_buffer("targets", torch.zeros(shape))

    def losses(self, logits: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
        """As in :class:`SampleLoss`."""
        assert index is not None
        _in_range(index, len(self.targets))
        if logits.shape[1] != self.targets.shape[1]:
            raise DomainError("logits", tuple(logits.shape), f"{self.targets.shape[1]} classes")
        p = softmax(logits, dim=1).clamp(_CLAMP, 1.0 - _CLAMP)
        with torch.no_grad():
            held = self.targets[index].to(p.dtype)
            if not self._paused:
                renewed = p / p.sum(1, keepdim=True)
                held = self.decay * held + (1.0 - self.decay) * renewed
                self.targets[index] = held.to(self.targets.dtype)
        regular = torch.log1p(-(held * p).sum(1).clamp(max=1.0 - _CLAMP))
        return cross_entropy(logits, labels, reduction="none") + self.weight * regular

    def held_out(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy."""
        return cross_entropy(logits, labels, reduction="none")

    def extra_repr(self) -> str:
        """Shown between the brackets."""
        samples, classes = self.targets.shape
        return f"{samples}, {classes}, weight={self.weight}, decay={self.decay}"


class TruncatedGCE(SampleLoss):
    """Truncated generalised cross-entropy: samples that fit badly are pruned now and then.

    A kept sample has the loss (1 - p_y^q) / q, a pruned one the constant (1 - k^q) / q. All are
    kept at first; :meth:`prune` decides anew. :func:`resetsgd.training.fit` calls it on the
    schedule given here.

    Parameters
    ----------
    samples : int
        Size of the training set; ``index`` runs from 0 to samples - 1.
    exponent : float
        The q of the formula, in [0, 1].
    threshold : float
        The k of the formula, in (0, 1): samples whose label has a lower probability are pruned.
    start, every : int, optional
        The step after which ``fit`` prunes for the first time, and how many steps lie between
        prunings; None (default) leaves pruning to the caller. Published: after 40 epochs, then
        every 10; an epoch is samples / batch size steps.

    Raises
    ------
    DomainError
        For a number outside its range; when called, for an index that is missing or out of range.

    Notes
    -----
    Which samples are kept, shape (samples,), is a buffer. A widely used reimplementation prunes
    with the network of the best *test* epoch; ``fit`` prunes with the network as it is, and whoever
    calls :meth:`prune` says which network judges. Held-out samples are never pruned.

    **Source**: Zhang and Sabuncu (2018), equation 9 and algorithm 1.

    Examples
    --------
    >>> loss = TruncatedGCE(samples=2, exponent=1.0)
    >>> logits, labels = torch.tensor([[3.0, 0.0], [3.0, 0.0]]), torch.tensor([0, 1])
    >>> loss.prune(logits, labels, torch.tensor([0, 1]))
    >>> loss.kept.tolist(), loss(logits, labels, torch.tensor([0, 1]))[1].item()
    ([True, False], 0.5)
    """

    sources = ("zhang2018gce",)
    remembers = True
    kept: Tensor

    def __init__(
        self,
        samples: int,
        *,
        exponent: float = 0.7,
        threshold: float = 0.5,
        start: int | None = None,
        every: int | None = None,
    ) -> None:
        super().__init__()
        if (start is None) != (every is None):
            raise DomainError("every", every, "given with start, and only then")
        self.start = None if start is None else domain.integer("start", start, 1)
        self.every = 1 if every is None else domain.integer("every", every, 1)
        self.plain = GeneralizedCrossEntropy(exponent)
        self.threshold = float(domain.probability("threshold", threshold, zero=False, one=False))
        samples = domain.integer("samples", samples, 1)
        self.register_buffer("kept", torch.ones(samples, dtype=torch.bool))

    def losses(self, logits: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
        """As in :class:`SampleLoss`."""
        assert index is not None
        _in_range(index, len(self.kept))
        value = self.plain.losses(logits, labels, None)
        log_k = value.new_tensor(self.threshold).log()
        return torch.where(self.kept[index], value, generalized(log_k, self.plain.exponent))

    def due(self, step: int) -> bool:
        """Whether a pruning is scheduled after this step."""
        since = -1 if self.start is None else step - self.start
        return since >= 0 and since % self.every == 0

    def survey(self, logits: Tensor, labels: Tensor, index: Tensor) -> None:
        """Prune."""
        self.prune(logits, labels, index)

    @torch.no_grad()
    def prune(self, logits: Tensor, labels: Tensor, index: Tensor) -> None:
        """Decide anew which of these samples are kept: those whose label is likely enough.

        Parameters
        ----------
        logits : Tensor, shape (batch, classes)
            Of the network that judges.
        labels, index : Tensor of int64, shape (batch,)
            The labels and positions of the samples; the others stay as they are.

        Raises
        ------
        DomainError
            For a position out of range.
        """
        _in_range(index, len(self.kept))
        self.kept[index] = log_probability(logits, labels).exp() >= self.threshold

    def held_out(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss without truncation."""
        value: Tensor = self.plain(logits, labels)
        return value

    def extra_repr(self) -> str:
        """Shown between the brackets."""
        shown = f"{len(self.kept)}, threshold={self.threshold}"
        return shown if self.start is None else f"{shown}, start={self.start}, every={self.every}"


def _in_range(index: Tensor, samples: int) -> None:
    inside = ((index >= 0) & (index < samples)).all()
    if not index.is_cpu or torch.compiler.is_compiling():
        torch._assert_async(inside, "index out of range")
    elif not inside:
        wrong = index[(index < 0) | (index >= samples)][0].item()
        raise DomainError("index", wrong, f"in [0, {samples})")
