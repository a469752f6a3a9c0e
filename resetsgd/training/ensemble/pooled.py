"""Batch norm, ReLU and a 2x2 maximum as one layer, fused where that is possible."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resetsgd.training.ensemble import fused
from resetsgd.training.ensemble.layers import Function, Layer, Norm, Relu, Rows

__all__ = ["NormReluPool"]


@dataclass
class NormReluPool(Layer):
    """The three layers; in one go for one replica in training on a processor, in float32."""

    norm: Norm
    relu: Relu
    pool: Function
    _reused: dict[str, Any] = field(default_factory=dict, init=False)

    @np.errstate(all="ignore")  # a replica that diverges says so by NaN, as in torch
    def forward(self, rows: Rows, *values: Tensor) -> Tensor:
        """Normalised, cut off at zero, and the maximum over 2x2."""
        (maps,) = values
        if not self._fits(rows, maps):
            return self.pool.forward(rows, self.relu.forward(rows, self.norm.forward(rows, maps)))
        norm = self.norm
        x, weight = _array(maps), _one(rows.masters, norm.weight)
        count = maps.numel() // maps.shape[1]
        mean, variance = fused.statistics(x.reshape(count, -1))
        self._record(rows, mean, variance * (count / (count - 1)))
        inverse = 1.0 / np.sqrt(variance + norm.epsilon)
        scale = (weight * inverse).astype(np.float32)
        offset = (_one(rows.masters, norm.bias) - mean * weight * inverse).astype(np.float32)
        batch, height, width, channels = x.shape
        half = batch, height // 2, width // 2, channels
        above, winner = (self._reuse(name, half, np.float32) for name in ("above", "winner"))
        which = self._reuse("which", half, np.uint8)
        fused.forward(x, scale, offset, above, winner, which)
        moments = mean.astype(np.float32), inverse.astype(np.float32)
        self.kept = maps, winner, which, *moments
        return torch.from_numpy(above).permute(0, 3, 1, 2)

    @np.errstate(all="ignore")
    def backward(self, rows: Rows, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Through all three."""
        kept, self.kept = self.kept, None
        if kept is None:
            for layer in (self.pool, self.relu):
                (found,) = layer.backward(rows, gradient, True)
                assert found is not None
                gradient = found
            return self.norm.backward(rows, gradient, wanted)
        maps, winner, which, mean, inverse = kept
        x = _array(maps)
        passed = self._reuse("passed", x.shape, np.float32)
        above = gradient.contiguous(memory_format=torch.channels_last)
        weight = _one(rows.masters, self.norm.weight)
        found = fused.backward(x, _array(above), winner, which, mean, inverse, weight, passed)
        for place, values in zip((self.norm.weight, self.norm.bias), found, strict=True):
            _one(rows.gradients, place)[:] = values
        return (torch.from_numpy(passed).permute(0, 3, 1, 2),)

    def _reuse(self, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        """An array that the next pass overwrites: new memory would have to be mapped each time."""
        kept = self._reused.get(name)
        if kept is None or kept.shape != shape:
            kept = self._reused[name] = np.empty(shape, dtype)
        return kept

    def _fits(self, rows: Rows, maps: Tensor) -> bool:
        """Whether the fused arithmetic knows this case."""
        norm, even = self.norm, maps.shape[2] % 2 == maps.shape[3] % 2 == 0
        own = rows.training and rows.count == 1 and maps.shape[1] == norm.features
        affine = norm.weight is not None and norm.bias is not None and norm.mean is not None
        plain = maps.dtype == torch.float32 and maps.device.type == "cpu"
        several = maps.numel() > maps.shape[1]
        return (
            own
            and even
            and affine
            and plain
            and several
            and maps.is_contiguous(memory_format=torch.channels_last)
        )

    def _record(self, rows: Rows, mean: Any, variance: Any) -> None:
        """Into the running statistics."""
        assert self.norm.mean is not None
        for place, value in ((self.norm.mean, mean), (self.norm.mean + 1, variance)):
            running = _one(rows.buffers, place)
            running += (self.norm.momentum * (value - running)).astype(np.float32)


def _array(maps: Tensor) -> Any:
    """(batch, height, width, channels) in the memory of the maps."""
    return maps.permute(0, 2, 3, 1).numpy()


def _one(kind: list[Tensor], place: int | None) -> Any:
    """The row of the only replica, as an array in its memory."""
    assert place is not None
    return kind[place][0].numpy()
