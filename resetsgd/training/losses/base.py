"""What a per-sample loss is, and the checks that all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from resetsgd.citations import bibtex
from resetsgd.errors import DomainError

__all__ = ["SampleLoss", "per_sample"]


class SampleLoss(nn.Module, ABC):
    """A loss of each sample of a batch; a subclass defines ``losses``.

    Called with logits (batch, classes), labels (batch,) and, for losses that remember samples,
    their indices (batch,), it gives (batch,); the mean of that is what is trained on. Logits of
    half precision are taken as float32.

    Notes
    -----
    Labels out of range and indices that are missing raise :class:`resetsgd.errors.DomainError`; on
    an accelerator the range of labels is asserted there, without waiting for it.

    Examples
    --------
    >>> class Hinge(SampleLoss):
    ...     def losses(self, logits, labels, index):
    ...         margin = 1.0 + logits - logits.gather(1, labels[:, None])
    ...         return margin.clamp(min=0.0).sum(1) - 1.0
    >>> Hinge()(torch.tensor([[2.0, 0.0]]), torch.tensor([0])).tolist()
    [0.0]
    """

    remembers = False
    """Whether the loss keeps something of each sample, and so needs ``index``."""
    sources: ClassVar[tuple[str, ...]] = ()
    """Keys of the works that define it."""

    def __init__(self) -> None:
        super().__init__()
        self._paused = False

    @abstractmethod
    def losses(self, logits: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
        """Loss of each sample; arguments are checked already.

        Parameters
        ----------
        logits : Tensor, shape (batch, classes)
            In float32 or float64.
        labels : Tensor of int64, shape (batch,)
            In [0, classes).
        index : Tensor of int64, shape (batch,), or None
            Which samples these are; never None for a loss that remembers.
        """

    def forward(self, logits: Tensor, labels: Tensor, index: Tensor | None = None) -> Tensor:
        """Loss of each sample.

        Parameters
        ----------
        logits : Tensor, shape (batch, classes)
            Floating point.
        labels : Tensor of int64, shape (batch,)
            In [0, classes).
        index : Tensor of int64, shape (batch,), optional
            Position of each sample in the training set.

        Raises
        ------
        DomainError
            For shapes or types that do not fit, labels out of range, or an index that is missing.
        """
        logits = _checked(logits, labels)
        if self.remembers and index is None:
            raise DomainError(
                "index", None, f"the positions of the samples, which {type(self).__name__} needs"
            )
        if index is not None and (index.shape != labels.shape or index.dtype != torch.int64):
            raise DomainError("index", index, "int64 of the same shape as labels")
        return self.losses(logits, labels, index)

    def held_out(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of each sample that is not trained on; what is remembered does not enter.

        Parameters
        ----------
        logits : Tensor, shape (batch, classes)
            Floating point.
        labels : Tensor of int64, shape (batch,)
            In [0, classes).
        """
        return self(logits, labels)  # type: ignore[no-any-return]

    def due(self, step: int) -> bool:
        """Whether the loss wants to look at the whole training set after this step; most never do.

        Parameters
        ----------
        step : int
            Optimizer steps done.
        """
        return False

    def survey(self, logits: Tensor, labels: Tensor, index: Tensor) -> None:
        """Look at some training samples, one call after the other at all of them, where it is due.

        Parameters
        ----------
        logits : Tensor, shape (batch, classes)
            Of the network as it is, in evaluation mode, without augmentation.
        labels, index : Tensor of int64, shape (batch,)
            The labels and positions of the samples.
        """

    def cite(self) -> str:
        """BibTeX of the works that define the loss; empty where there is none to cite."""
        return bibtex(self.sources)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within this, nothing new is remembered: for a second pass over the same batch."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before


class _Plain(SampleLoss):
    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function

    def losses(self, logits: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
        value = self._function(logits, labels)
        if value.shape != labels.shape:
            raise DomainError("function", tuple(value.shape), f"of shape {tuple(labels.shape)}")
        return value

    def extra_repr(self) -> str:
        return getattr(self._function, "__qualname__", repr(self._function))


def per_sample(function: Callable[[Tensor, Tensor], Tensor]) -> SampleLoss:
    """A loss from a function of logits and labels that gives one number for each sample.

    Parameters
    ----------
    function : callable
        Takes (batch, classes) and (batch,), gives (batch,).

    Raises
    ------
    DomainError
        If it cannot be called; later, if what it gives has another shape.

    Examples
    --------
    >>> from functools import partial
    >>> focal = per_sample(partial(nn.functional.cross_entropy, reduction="none"))
    >>> focal(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64)).shape
    torch.Size([3])
    """
    if not callable(function):
        raise DomainError("function", function, "callable")
    return _Plain(function)


def _checked(logits: Tensor, labels: Tensor) -> Tensor:
    """The logits in at least float32; ``DomainError`` unless labels fit them."""
    if logits.ndim != 2 or logits.shape[1] < 2 or not logits.is_floating_point():
        raise DomainError(
            "logits", tuple(logits.shape), "floating point of shape (batch, two or more classes)"
        )
    if labels.shape != logits.shape[:1] or labels.dtype != torch.int64:
        found = f"{labels.dtype} of shape {tuple(labels.shape)}"
        raise DomainError("labels", found, f"int64 of shape ({logits.shape[0]},)")
    classes = logits.shape[1]
    inside = ((labels >= 0) & (labels < classes)).all()
    if labels.is_cpu and not torch.compiler.is_compiling():
        if not inside:
            wrong = labels[(labels < 0) | (labels >= classes)][0].item()
            raise DomainError("labels", wrong, f"in [0, {classes})")
    else:
        torch._assert_async(inside, "labels out of range")
    return logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
