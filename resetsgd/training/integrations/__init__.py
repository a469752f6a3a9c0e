"""Resetting inside other people's loops: callbacks for Lightning and for the Hugging Face Trainer.

Nothing here is imported unless it is asked for by name; ``pip install 'resetsgd[integrations]'``
brings what it needs.
"""

from __future__ import annotations

from torch import nn

from resetsgd.errors import DomainError

__all__ = ["refuse_sharded"]


def refuse_sharded(model: nn.Module) -> None:
    """``DomainError`` if the parameters are spread over devices: a snapshot would hold a part."""
    spread = any(type(p).__name__ == "DTensor" for p in model.parameters()) or any(
        type(m).__name__ in ("FullyShardedDataParallel", "DeepSpeedEngine") for m in model.modules()
    )
    if spread:
        raise DomainError(
            "model", type(model).__name__, "whole on each device: sharded models cannot be reset"
        )
