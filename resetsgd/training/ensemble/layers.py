"""Layers of many replicas at once: forward, and backward written out.

Two shapes of values flow between layers. *Columns* are (replicas, features, batch): what linear
layers multiply without a copy. *Maps* are (batch, replicas * channels, height, width): the replicas
are groups of channels, so that a convolution of all of them is one grouped convolution, and batch
norm is batch norm over more channels. There is no autograd graph: each layer keeps what its
backward pass needs, and writes the gradients of its parameters where the update reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from resetsgd.errors import DomainError
from resetsgd.training.ensemble.draws import Keys, words
from resetsgd.training.streams import Purpose

__all__ = ["Add", "Convolution", "Dropout", "Flatten", "Function", "Layer", "Linear"]
__all__ += ["Mean", "Norm", "Relu", "Rows", "Same"]

_aten = torch.ops.aten


@dataclass
class Rows:
    """Some replicas of a stack during one pass: k of them, each tensor with k in front.

    Parameters
    ----------
    count : int
        Their number k.
    values, masters : list of Tensor
        Parameters in the type of the arithmetic, and the float32 ones they are casts of.
    gradients, momentum : list of Tensor
        Where gradients go, and the momentum of the optimizer; float32.
    buffers : list of Tensor
        Running statistics, float32.
    training : bool
        Whether batch norm uses and records the statistics of the batch, and dropout drops.
    flat, velocity, counts : Tensor
        All parameters, all momentum and all counters of these replicas, a row each.
    keys : Keys, optional
        What keys the draws of this step.
    """

    count: int
    values: list[Tensor]
    masters: list[Tensor]
    gradients: list[Tensor]
    buffers: list[Tensor]
    training: bool
    momentum: list[Tensor]
    flat: Tensor
    velocity: Tensor
    counts: Tensor
    keys: Keys | None = None


@dataclass
class Layer:
    """One layer; an instance serves one pass at a time.

    Gradients of parameters go to ``rows.gradients``.
    """

    kept: Any = field(default=None, init=False)
    """What the backward pass needs; gone after it."""

    def forward(self, rows: Rows, *values: Tensor) -> Tensor:
        """The value above of the values below."""
        raise NotImplementedError

    def backward(self, rows: Rows, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Gradients of the values below, if wanted, of that above; nothing is done in place."""
        raise NotImplementedError


@dataclass
class Linear(Layer):
    """A linear layer on columns."""

    weight: int
    bias: int | None
    _reused: dict[str, Tensor] = field(default_factory=dict, init=False)

    def forward(self, rows: Rows, *values: Tensor) -> Tensor:
        """Products and biases."""
        (below,) = values
        weight = rows.values[self.weight]
        bias = None if self.bias is None else rows.values[self.bias]
        shape = (rows.count, weight.shape[1], below.shape[2])
        above = self._reuse("train" if rows.training else "look", shape, weight)
        if len(below) != rows.count:  # all replicas see the same: one product instead of k
            flat = above.view(-1, shape[2])
            if bias is None:
                torch.mm(weight.flatten(0, 1), below[0], out=flat)
            else:
                torch.addmm(bias.reshape(-1, 1), weight.flatten(0, 1), below[0], out=flat)
        elif bias is None:
            torch.bmm(weight, below, out=above)
        else:
            torch.baddbmm(bias.unsqueeze(2), weight, below, out=above)
        self.kept = below if rows.training else None
        return above

    def backward(self, rows: Rows, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Batched products, or the weights' gradients only."""
        below, self.kept = self.kept, None
        target = rows.gradients[self.weight]
        if gradient.dtype == target.dtype:
            torch.bmm(gradient, below.transpose(1, 2), out=target)
        else:
            target.copy_(torch.bmm(gradient, below.transpose(1, 2)))
        if self.bias is not None:
            summed = rows.gradients[self.bias]
            torch.sum(gradient, 2, dtype=summed.dtype, out=summed)
        if not wanted:
            return (None,)
        weight = rows.values[self.weight]
        passed = self._reuse("back", (rows.count, weight.shape[2], gradient.shape[2]), weight)
        return (torch.bmm(weight.transpose(1, 2), gradient, out=passed),)

    def _reuse(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A buffer for an intermediate result, which the next pass of the same kind overwrites."""
        if like.is_cuda:  # a graph keeps its own; one that is dropped here would be written into
            return torch.empty(shape, dtype=like.dtype, device=like.device)
        kept = self._reused.get(name)
        fits = kept is not None and kept.shape[1:] == shape[1:] and len(kept) >= shape[0]
        if kept is None or not fits or kept.dtype != like.dtype:
            kept = self._reused[name] = torch.empty(shape, dtype=like.dtype, device=like.device)
        return kept if len(kept) == shape[0] else kept[: shape[0]]


@dataclass
class Convolution(Layer):
    """A two-dimensional convolution on maps."""

    weight: int
    bias: int | None
    channels: int
    groups: int
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    def forward(self, rows: Rows, *values: Tensor) -> Tensor:
        """One convolution, grouped by replica."""
        below, groups = self._below(rows, values[0])
        bias = None if self.bias is None else rows.values[self.bias].reshape(-1)
        weight = rows.values[self.weight].flatten(0, 1)
        self.kept = (below, weight) if rows.training else None
        return torch.conv2d(below, weight, bias, self.stride, self.padding, self.dilation, groups)

    def _below(self, rows: Rows, below: Tensor) -> tuple[Tensor, int]:
        """The input and the number of groups."""
        if below.shape[1] == rows.count * self.channels:
            return below, rows.count * self.groups
        if self.groups == 1:  # all replicas see the same: one convolution with more channels
            return below, 1
        return below.repeat(1, rows.count, 1, 1), rows.count * self.groups

    def backward(self, rows: Rows, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Through the convolution; the weights' gradients."""
        (below, weight), self.kept = self.kept, None
        passed, of_weight, of_bias = _aten.convolution_backward(
            gradient,
            below,
            weight,
            None if self.bias is None else [len(weight)],
            self.stride,
            self.padding,
            self.dilation,
            False,
            [0, 0],
            rows.count * self.groups,
            [wanted, True, self.bias is not None],
        )
        target = rows.gradients[self.weight]
        target.copy_(of_weight.view(target.shape))
        if self.bias is not None:
            target = rows.gradients[self.bias]
            target.copy_(of_bias.view(target.shape))
        return (passed,)


@dataclass
class Norm(Layer):
    """Batch norm, on columns or maps; every replica has statistics of its own."""

    weight: int | None
    bias: int | None
    mean: int | None
    features: int
    momentum: float
    epsilon: float

    def forward(self, rows: Rows, *values: Tensor) -> Tensor:
        """Normalised by the batch, or by running statistics."""
        below = values[0]
        if below.ndim == 3:
            if len(below) != rows.count:
                below = below.expand(rows.count, -1, -1)
            flat = below.reshape(1, -1, below.shape[2])
        else:
            shared = below.shape[1] != rows.count * self.features
            flat = below.repeat(1, rows.count, 1, 1) if shared else below
        one = flat.numel() == flat.shape[1]
        if rows.training and one:
            raise DomainError("batch_size", 1, "two or more for batch norm")
        weight, bias = self._affine(rows)
        tracked = [] if self.mean is None else rows.buffers[self.mean : self.mean + 2]
        flat_tracked = [buffer.reshape(-1) for buffer in tracked]
        mean, variance = flat_tracked or (None, None)
        fresh = rows.training or self.mean is None
        above, *saved = torch.native_batch_norm(
            flat, weight, bias, mean, variance, fresh, self.momentum, self.epsilon
        )
        if rows.training:
            self.kept = (flat, *saved)
            if rows.count > 1:  # of one replica they were written in place
                for kept, now in zip(tracked, flat_tracked, strict=True):
                    kept.copy_(now.view(kept.shape))
        return above.view(below.shape) if below.ndim == 3 else above

    def _affine(self, rows: Rows) -> list[Tensor | None]:
        """Weight and bias, float32 whatever the type of the arithmetic."""
        return [
            None if i is None else rows.masters[i].reshape(-1) for i in (self.weight, self.bias)
        ]

    def backward(self, rows: Rows, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Through the statistics of the batch."""
        (below, mean, inverse), self.kept = self.kept, None
        weight, _ = self._affine(rows)
        affine = weight is not None
        passed, of_weight, of_bias = _aten.native_batch_norm_backward(
            gradient.reshape(below.shape) if below.ndim == 3 else gradient,
            below,
            weight,
            None,
            None,
            mean,
            inverse,
            True,
            self.epsilon,
            [wanted, affine, affine],
        )
        for i, found in ((self.weight, of_weight), (self.bias, of_bias)):
            if i is not None:
                rows.gradients[i].copy_(found.view(rows.gradients[i].shape))
        return (passed.view(gradient.shape) if wanted else None,)


@dataclass
class Relu(Layer):
    """max(x, 0), in place if nothing else reads what is below."""

    over: bool

    def forward(self, rows: Rows, *values: Tensor) -> Tensor:
        """The positive part."""
        above = torch.relu_(values[0]) if self.over else torch.relu(values[0])
        self.kept = above if rows.training else None
        return above

    def backward(self, rows: Rows, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Where the value above is positive."""
        above, self.kept = self.kept, None
        # what is above has been read by everyone: the gradient takes its place
        _aten.threshold_backward.grad_input(gradient, above, 0, grad_input=above)
        return (above,)


@dataclass
class Function(Layer):
    """Anything without parameters that treats channels and samples alike: pooling, activations."""

    function: Callable[[Tensor], Tensor]
    halves: bool = False
    """Whether it is the maximum over 2x2 that do not overlap."""

    def forward(self, rows: Rows, *values: Tensor) -> Tensor:
        """What the function gives."""
        if not rows.training:
            return self.function(values[0])
        below = values[0].detach().requires_grad_()
        with torch.enable_grad():
            above = self.function(below)
        self.kept = below, above
        return above.detach()

    def backward(self, rows: Rows, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """By autograd through this function alone."""
        (below, above), self.kept = self.kept, None
        found: tuple[Tensor, ...] = torch.autograd.grad(above, below, gradient)
        return found


@dataclass
class Mean(Layer):
    """The mean over the image, which keeps its two dimensions."""

    def forward(self, rows: Rows, *values: Tensor) -> Tensor:
        """Maps of one pixel."""
        self.kept = values[0].shape if rows.training else None
        return values[0].mean((2, 3), keepdim=True)

    def backward(self, rows: Rows, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """The same to every pixel."""
        shape, self.kept = self.kept, None
        return ((gradient / (shape[2] * shape[3])).expand(shape),)


@dataclass
class Flatten(Layer):
    """Maps to columns."""

    def forward(self, rows: Rows, *values: Tensor) -> Tensor:
        """Columns, without a copy where memory allows."""
        below = values[0]
        if below.ndim == 3:
            return below
        self.kept = below.shape
        features = below[0].numel()
        count = rows.count if features % rows.count == 0 else 1
        return below.reshape(len(below), count, -1).permute(1, 2, 0)

    def backward(self, rows: Rows, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Maps again."""
        shape, self.kept = self.kept, None
        return (gradient if shape is None else gradient.permute(2, 0, 1).reshape(shape),)


@dataclass
class Dropout(Layer):
    """Dropout whose masks are keyed by (seed, replica, step, layer), and by nothing else."""

    probability: float
    place: int

    def forward(self, rows: Rows, *values: Tensor) -> Tensor:
        """A mask drawn for this step, in training."""
        below = values[0]
        if not rows.training:
            return below
        assert rows.keys is not None
        columns = below.ndim == 3
        size = below.shape[2] if columns else len(below)
        purpose = Purpose.DROPOUT | self.place << 8
        drawn = words(rows.keys, purpose, below.numel() // rows.count)
        left = (drawn >= int(self.probability * 2**32)).view(rows.count, size, -1)
        left = left.transpose(1, 2) if columns else left.transpose(0, 1).reshape(below.shape)
        kept = left.to(below.dtype).div_(1.0 - self.probability)
        self.kept = kept
        return below * kept

    def backward(self, rows: Rows, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """The same mask."""
        left, self.kept = self.kept, None
        return (gradient * left,)


@dataclass
class Add(Layer):
    """The sum of two branches."""

    def forward(self, rows: Rows, *values: Tensor) -> Tensor:
        """The sum."""
        return values[0] + values[1]

    def backward(self, rows: Rows, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """The same to both."""
        return gradient, gradient


@dataclass
class Same(Layer):
    """Nothing: its work is done by the layer below."""

    def forward(self, rows: Rows, *values: Tensor) -> Tensor:
        """The value itself."""
        return values[0]

    def backward(self, rows: Rows, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """The gradient itself."""
        return (gradient,)
