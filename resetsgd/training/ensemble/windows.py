"""Convolutions of many replicas as batched matrix products with copies of all windows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from resetsgd.training.ensemble.layers import Convolution, Rows

__all__ = ["Windows"]


@dataclass
class Windows(Convolution):
    """A convolution on maps, ungrouped within a replica; columns are the windows of all images.

    It costs memory, a copy of the maps for each place in the kernel, and buys products that an
    accelerator does near its peak where grouped convolutions of few channels are slow.
    """

    def forward(self, rows: Rows, *values: Tensor) -> Tensor:
        """Products of the kernels with all windows."""
        (below,) = values
        weight = rows.values[self.weight]
        columns, out = self._columns(below, weight.shape[3:])
        flat = weight.flatten(2)
        if len(columns) == rows.count:
            above = torch.bmm(flat, columns)
        else:  # all replicas see the same
            above = torch.mm(flat.flatten(0, 1), columns[0]).view(rows.count, flat.shape[1], -1)
        if self.bias is not None:
            above += rows.values[self.bias].unsqueeze(2)
        self.kept = (columns, below.shape, out) if rows.training else None
        maps = above.view(*above.shape[:2], len(below), *out).permute(2, 0, 1, 3, 4)
        return maps.flatten(1, 2)

    def _columns(self, below: Tensor, kernel: torch.Size) -> tuple[Tensor, tuple[int, int]]:
        """Windows (replicas, channels * kernel, batch * places), and the shape of the places."""
        (down, across), (high, wide) = self.padding, kernel
        maps = functional.pad(below, (across, across, down, down))
        batch, channels = maps.shape[:2]
        steps = zip(maps.shape[2:], kernel, self.stride, self.dilation, strict=True)
        out_high, out_wide = ((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in steps)
        per_image, per_channel, per_row, per_pixel = maps.stride()
        windows = maps.as_strided(
            (channels, high, wide, batch, out_high, out_wide),
            (
                per_channel,
                self.dilation[0] * per_row,
                self.dilation[1] * per_pixel,
                per_image,
                self.stride[0] * per_row,
                self.stride[1] * per_pixel,
            ),
        )
        count = channels // self.channels
        columns = windows.reshape(count, self.channels * high * wide, -1)
        return columns, (out_high, out_wide)

    def backward(self, rows: Rows, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Products again; what passes below is summed over the windows."""
        (columns, shape, out), self.kept = self.kept, None
        weight = rows.values[self.weight]
        batch = len(gradient)
        split = gradient.reshape(batch, rows.count, -1, out[0] * out[1])
        above = split.permute(1, 2, 0, 3).reshape(rows.count, weight.shape[1], -1)
        target = rows.gradients[self.weight]
        target.copy_(torch.bmm(above, columns.transpose(1, 2)).view(target.shape))
        if self.bias is not None:
            summed = rows.gradients[self.bias]
            torch.sum(above, 2, dtype=summed.dtype, out=summed)
        if not wanted:
            return (None,)
        passed = torch.bmm(weight.flatten(2).transpose(1, 2), above)
        windows = passed.view(*passed.shape[:2], batch, -1).permute(2, 0, 1, 3).flatten(0, 1)
        folded = functional.fold(
            windows, shape[2:], weight.shape[3:], self.dilation, self.padding, self.stride
        )
        return (folded.view(shape),)
