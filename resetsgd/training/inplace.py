"""Copies that share nothing, and values written back into the very tensors that are in use."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["Writer", "copied"]


def copied(value: Any) -> Any:
    """A copy that shares nothing with the original: containers, tensors, and anything else."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(copied(item) for item in value)
    return copy.deepcopy(value)


class Writer:
    """Collects tensors to be overwritten and overwrites them together, each read and written once.

    One call for all is what keeps a restore near the cost of a plain copy: on an accelerator the
    launches of hundreds of small copies would take longer than the copies.

    Examples
    --------
    >>> live = {"a": torch.zeros(2), "b": 1}
    >>> where, writer = live["a"], Writer()
    >>> live = writer.put(live, {"a": torch.ones(2), "b": 2})
    >>> writer.flush()
    >>> live["a"] is where, where.tolist(), live["b"]
    (True, [1.0, 1.0], 2)
    """

    def __init__(self) -> None:
        self._live: list[Tensor] = []
        self._kept: list[Tensor] = []

    def put(self, live: Any, kept: Any) -> Any:
        """What goes in the place of ``live``: itself, to hold the kept values, where possible."""
        if isinstance(kept, Tensor):
            if isinstance(live, Tensor) and live.shape == kept.shape and live.dtype == kept.dtype:
                self._live.append(live.detach())
                self._kept.append(kept)
                return live
            return kept.clone()
        if isinstance(kept, dict) and isinstance(live, dict):
            for key in [key for key in live if key not in kept]:
                del live[key]
            for key, item in kept.items():
                live[key] = self.put(live.get(key), item)
            return live
        if type(kept) is list and type(live) is list and len(live) == len(kept):
            live[:] = [self.put(old, new) for old, new in zip(live, kept, strict=True)]
            return live
        return copied(kept)

    def flush(self) -> None:
        """Write everything."""
        kinds: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
        for live, kept in zip(self._live, self._kept, strict=True):
            # one kernel takes tensors of one kind: a step counter on the CPU must not split them up
            pair = kinds.setdefault((live.device, kept.device, live.dtype), ([], []))
            pair[0].append(live)
            pair[1].append(kept)
        with torch.no_grad():
            for targets, sources in kinds.values():
                torch._foreach_copy_(targets, sources)
        self._live, self._kept = [], []
