"""Work on a CUDA device, captured once as a graph and replayed: the only device-specific part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from resetsgd.errors import DomainError, NoDevice

__all__ = ["Graphs", "device_of"]

_KEPT = 8
"""Graphs that are kept; each holds the memory of its intermediate results."""

_WARM = 3
"""Runs before a capture: libraries choose their kernels and allocate their workspaces in them."""


def device_of(device: torch.device | str) -> torch.device:
    """The device, if replicas can live there.

    Raises
    ------
    DomainError
        If it is neither the processor nor a CUDA device.
    NoDevice
        If there is no CUDA device here.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise DomainError("device", device, "'cpu' or 'cuda'") from None
    if found.type not in ("cpu", "cuda"):
        raise DomainError("device", str(device), "'cpu' or 'cuda'")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise NoDevice(f"torch {torch.__version__} sees {torch.cuda.device_count()} of them")
    return found


class Graphs:
    """Runs work as it is, or on a CUDA device as a graph.

    Work reads and writes tensors whose addresses stay; what differs from run to run (draws, rates,
    masks) is written into such tensors before.

    Parameters
    ----------
    device : torch.device
        Where the work is done.
    protected : list of Tensor
        What the work changes. Runs before a capture must not count.
    """

    def __init__(self, device: torch.device, protected: list[Tensor]) -> None:
        self.device, self._protected = device, protected
        self._graphs: dict[Any, tuple[Any, Any]] = {}

    def run(self, key: Any, work: Callable[[], Any]) -> Any:
        """Do the work; its results are overwritten by the next run with the same key.

        Parameters
        ----------
        key : tuple
            Everything that is baked into the graph; kept alive with it.
        work : callable
            The same for the same key.
        """
        if self.device.type != "cuda":
            return work()
        if key not in self._graphs:
            while len(self._graphs) >= _KEPT:
                del self._graphs[next(iter(self._graphs))]
            self._graphs[key] = self._capture(work)
        graph, results = self._graphs[key]
        graph.replay()
        return results

    def forget(self) -> None:
        """Drop all graphs, for something they read has moved."""
        self._graphs.clear()

    @torch.no_grad()
    def _capture(self, work: Callable[[], Any]) -> tuple[Any, Any]:
        before = [tensor.clone() for tensor in self._protected]
        side: Any = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            for _ in range(_WARM):
                work()
        torch.cuda.current_stream(self.device).wait_stream(side)
        for tensor, kept in zip(self._protected, before, strict=True):
            tensor.copy_(kept)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = work()
        return graph, results
