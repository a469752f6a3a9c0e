"""Replicas of one network as rows of one block of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.ensemble.draws import Keys
from resetsgd.training.ensemble.graphs import device_of
from resetsgd.training.ensemble.layers import Rows
from resetsgd.training.ensemble.program import Program
from resetsgd.training.network import State, tensor

__all__ = ["PRECISIONS", "Block", "Stack", "stack"]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}

_LINE = 16
"""Each tensor of a row begins at a multiple of so many numbers: one line of the cache."""

Shapes = Sequence[tuple[int, ...]]


class Block:
    """States of some replicas: parameters, momentum and running statistics, a row each.

    Parameters
    ----------
    program : Program
        Says which tensors there are.
    replicas : int
        Number of rows.
    device : torch.device
        Where they live.
    dtype : torch.dtype
        Float32 or float64.
    """

    def __init__(
        self, program: Program, replicas: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.program, self.dtype = program, dtype
        running = [
            shape
            for shape, counts in zip(program.buffer_shapes, program.counters, strict=True)
            if not counts
        ]
        self.offsets, self.size = _places(program.shapes)
        behind, length = _places(running)
        self.flat = torch.zeros(replicas, 2 * self.size + length, device=device, dtype=dtype)
        self.counts = torch.zeros(replicas, sum(program.counters), dtype=torch.int64, device=device)
        """Steps that batch norm counted: integers, and so not in the other tensor."""
        self.values = self.flat[:, : self.size]
        self.velocity = self.flat[:, self.size : 2 * self.size]
        self.parameters = views(self.values, self.offsets, program.shapes)
        self.momentum = views(self.velocity, self.offsets, program.shapes)
        self.running = views(self.flat[:, 2 * self.size :], behind, running)
        floating, counted = iter(self.running), iter(self.counts.unbind(1))
        self.buffers = [next(counted) if c else next(floating) for c in program.counters]

    def __len__(self) -> int:
        return len(self.flat)

    @property
    def tensors(self) -> list[Tensor]:
        """Parameters, momentum and buffers, each with the replicas in front."""
        return [*self.parameters, *self.momentum, *self.buffers]

    def write(self, state: State, part: slice | Tensor) -> None:
        """Put all rows into a state of one network, or into these rows of a stacked one."""
        single = state.parameters[0].shape == self.parameters[0].shape[1:]
        kept = (*state.parameters, *state.momentum, *state.buffers)
        for live, source in zip(self.tensors, kept, strict=True):
            live.copy_(source.expand_as(live) if single else source.to(live.device)[part])

    def read(self, rows: int | slice | Tensor) -> State:
        """Copies of some rows; of one row, without the leading dimension."""
        kinds = self.parameters, self.momentum, self.buffers
        parameters, momentum, buffers = (tuple(t[rows].clone() for t in kind) for kind in kinds)
        return State(parameters, momentum, buffers)


class Stack(Block):
    """Replicas of one network, and passes of some of them at once; ``stack`` makes one.

    Parameters
    ----------
    program : Program
        The layers; they serve this stack alone.
    replicas : int
        Number K of replicas.
    device : torch.device
        Where they live.
    precision : torch.dtype
        Of the arithmetic of linear layers and convolutions; parameters are float32 if that is less.
    together : int, optional
        The most replicas in one training pass; by default all.
    """

    def __init__(
        self,
        program: Program,
        replicas: int,
        device: torch.device,
        precision: torch.dtype,
        together: int | None = None,
    ) -> None:
        super().__init__(program, replicas, device, torch.promote_types(precision, torch.float32))
        self.device, self.precision = device, precision
        self.together = replicas if together is None else together
        # not in rows: a batched product writes into contiguous memory half as fast again
        self.gradients = [
            torch.zeros(self.together, *shape, device=device, dtype=self.dtype)
            for shape in program.shapes
        ]
        self._rows: dict[tuple[int, int, bool], Rows] = {}

    def rows(self, start: int, stop: int, training: bool, keys: Keys | None = None) -> Rows:
        """What a pass of some replicas works on, with their parameters as they are now."""
        found = self._rows.get((start, stop, training))
        if found is None:
            part = slice(start, stop)
            masters = [tensor[part] for tensor in self.parameters]
            found = Rows(
                count=stop - start,
                values=masters,
                masters=masters,
                gradients=[tensor[: stop - start] for tensor in self.gradients],
                buffers=[tensor[part] for tensor in self.running],
                training=training,
                momentum=[tensor[part] for tensor in self.momentum],
                flat=self.values[part],
                velocity=self.velocity[part],
                counts=self.counts[part],
            )
            self._rows[start, stop, training] = found
        if self.precision != self.dtype:
            cast = found.flat.to(self.precision)
            found.values = views(cast, self.offsets, self.program.shapes)
        found.keys = keys
        return found

    @torch.no_grad()
    def __call__(self, images: Any) -> Tensor:
        """Logits of every replica on the same images, in evaluation mode.

        Parameters
        ----------
        images : Tensor or array of float32
            Shape (n, channels, height, width), or (n, features) for a network of linear layers.

        Returns
        -------
        Tensor of float32, shape (K, n, classes)
        """
        shared = self.entering(tensor("images", images).to(self.device))
        logits = self.program.forward(self.rows(0, len(self), False), shared)
        return logits.transpose(1, 2).to(self.dtype).contiguous()

    def entering(self, images: Tensor) -> Tensor:
        """Images that all replicas share, as the first layer takes them."""
        shared = images.to(self.precision)
        if self.program.convolutional:
            return shared.contiguous(memory_format=torch.channels_last)
        return shared.flatten(1).t().unsqueeze(0)

    def update(self, rows: Rows, rates: Tensor, momentum: float) -> None:
        """v <- momentum v + g, w <- w - rate v; rates are (k, 1)."""
        rows.velocity.mul_(momentum)
        torch._foreach_add_(rows.momentum, rows.gradients)
        rows.flat.addcmul_(rows.velocity, rates, value=-1.0)
        if self.counts.shape[1]:
            rows.counts += 1


def stack(
    network: nn.Module,
    replicas: int,
    *,
    device: torch.device | str = "cpu",
    precision: str = "float32",
) -> Stack:
    """Many replicas of a module as one computation, all in its present state.

    The stacked form is made from the module itself: linear layers become batched matrix products,
    convolutions grouped ones, batch norm has stacked statistics, and the rest acts on all replicas
    as it does on one. :class:`~resetsgd.training.ensemble.ensemble.Ensemble` trains it.

    Parameters
    ----------
    network : nn.Module
        From linear layers, two-dimensional convolutions and pooling, batch norm, activations,
        dropout, flattening, sums of branches and means over the image, ending in a linear layer.
        Parameters in float32.
    replicas : int
        Number K of replicas.
    device : torch.device or str
        Where to.
    precision : {"float32", "bfloat16", "float64"}
        Of linear layers and convolutions; with bfloat16, parameters, their gradients and statistics
        stay float32.

    Returns
    -------
    Stack
        ``parameters``, ``momentum`` and ``buffers`` are lists of tensors with the replicas in
        front; called with images it gives logits.

    Raises
    ------
    DomainError
        For a module that holds something else, or an argument outside its range.
    NoDevice
        For a CUDA device that is not here.

    Examples
    --------
    >>> from resetsgd.training.networks import small_cnn
    >>> network = small_cnn(widths=(8, 16), seed=1)
    >>> replicas = stack(network, 5)
    >>> [tuple(p.shape) for p in replicas.parameters][:3]
    [(5, 8, 3, 3, 3), (5, 8), (5, 8)]
    >>> images = torch.rand(2, 3, 32, 32)
    >>> logits = replicas(images)
    >>> logits.shape, torch.allclose(logits[3], network.eval()(images), atol=1e-6)
    (torch.Size([5, 2, 10]), True)
    """
    if not isinstance(network, nn.Module):
        raise DomainError("network", type(network).__name__, "a torch.nn.Module")
    replicas = domain.integer("replicas", replicas, 1)
    domain.choice("precision", precision, tuple(PRECISIONS))
    made = Stack(Program(network), replicas, device_of(device), PRECISIONS[precision])
    made.write(State.of(network), slice(None))
    return made


def views(flat: Tensor, places: Sequence[int], shapes: Shapes) -> list[Tensor]:
    """The tensors that lie in each row, with the rows in front."""
    rows = len(flat)
    return [
        flat[:, place : place + _numbers(shape)].view(rows, *shape)
        for place, shape in zip(places, shapes, strict=True)
    ]


def _places(shapes: Shapes) -> tuple[list[int], int]:
    """Where each tensor begins in a row, and the length of the row."""
    places, end = [], 0
    for shape in shapes:
        places.append(end)
        end += -(-_numbers(shape) // _LINE) * _LINE
    return places, end


def _numbers(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()
