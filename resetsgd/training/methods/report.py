"""What one step of a method reports."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["StepReport"]


@dataclass(frozen=True)
class StepReport:
    """What one step of a method did; nothing here waits for an accelerator.

    Attributes
    ----------
    losses : tuple of Tensor
        Mean loss over what each network was trained on, without graph; of one network one, of two
        networks two, and none if nothing was chosen.
    chosen : tuple of Tensor
        For each network the positions in the batch that it was trained on.
    """

    losses: tuple[Tensor, ...]
    chosen: tuple[Tensor, ...]
