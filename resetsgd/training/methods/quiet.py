"""A second pass over the same batch that leaves no trace, and a step that may need one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from resetsgd.training.losses.base import SampleLoss

__all__ = ["advance", "evaluating", "quieted"]


@contextmanager
def quieted(*modules: nn.Module) -> Iterator[None]:
    """Within this, running statistics of batch norm and memories of losses stay as they are.

    Batch norm in training mode still normalises by the batch; only its record is not updated.

    Parameters
    ----------
    *modules : nn.Module
        Models and losses.

    Examples
    --------
    >>> norm = nn.BatchNorm1d(2)
    >>> with quieted(norm):
    ...     y = norm(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> norm.running_mean.tolist(), int(norm.num_batches_tracked), round(y[0, 0].item(), 3)
    ([0.0, 0.0], 0, -1.0)
    """
    held: list[_BatchNorm] = []
    with ExitStack() as stack:
        try:
            for part in {id(p): p for module in modules for p in module.modules()}.values():
                if isinstance(part, SampleLoss):
                    stack.enter_context(part.paused())
                # only in training: in evaluation mode batch norm needs its record
                elif isinstance(part, _BatchNorm) and part.track_running_stats and part.training:
                    part.track_running_stats = False
                    held.append(part)
            yield
        finally:
            for part in held:
                part.track_running_stats = True


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within this, a model is in evaluation mode; then the mode of every module is put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def advance(optimizer: Optimizer, value: Tensor, again: Callable[[], Tensor]) -> Tensor:
    """One step of any optimizer on a loss that is at hand already.

    Parameters
    ----------
    optimizer : Optimizer
        Plain ones use ``value``; those that look twice (SAM, L-BFGS) call ``again``.
    value : Tensor
        The loss, a scalar with its graph.
    again : callable
        Computes the same loss once more, from the weights as they then are.
    """
    first: list[Tensor] = [value]

    def closure() -> Tensor:
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = first.pop() if first else again()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    step: Any = optimizer.step
    step(closure)
    return value.detach()
