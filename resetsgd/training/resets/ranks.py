"""One number for all processes of a distributed run."""

from __future__ import annotations

import math
from typing import Any

import torch

from resetsgd.errors import DomainError

__all__ = ["number", "same_everywhere"]


def number(name: str, value: Any, *, nan: bool = False) -> float:
    """One real number, that is not NaN unless admitted."""
    try:
        found = float(value.detach() if isinstance(value, torch.Tensor) else value)
    except (TypeError, ValueError, RuntimeError):
        raise DomainError(name, value, "one real number") from None
    if math.isnan(found) and not nan:
        raise DomainError(name, value, "one real number; NaN says nothing about a checkpoint")
    return found


def same_everywhere(value: float, resetter: Any) -> float:
    """The mean over the ranks of a distributed run; the value itself where there is one process.

    The mean is summed in one order and sent from one rank, so that it is the same to the last bit.
    """
    distributed = torch.distributed
    if not (resetter.synchronise and distributed.is_available() and distributed.is_initialized()):
        return value
    ranks = distributed.get_world_size()
    if ranks == 1:
        return value
    backend = str(distributed.get_backend())
    device = next(resetter.model.parameters()).device if "nccl" in backend else "cpu"
    mine = torch.tensor([value], dtype=torch.float64, device=device)
    distributed.all_reduce(mine)
    mine /= ranks
    distributed.broadcast(mine, src=0)
    return float(mine)
