"""The arithmetic of an ensemble: some replicas of one network, stacked, on one thread.

Every layer is a batched matrix product over the replicas, forward and backward are written out (no
autograd graph), and every intermediate result of a step has a buffer that is reused.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from resetsgd.training import streams
from resetsgd.training.network import MLP

__all__ = ["Shard"]

_DRAWN = 2**15
"""Batch indices drawn ahead at once: enough to hide the cost of a draw, and still in the cache."""

_CACHED = 3 * 2**18
"""Activations of one layer that an evaluation holds at once: 3 MB, about what the caches keep."""


class Shard:
    """Stacked parameters, momentum and buffers of some replicas; the caller has checked all input.

    Parameters
    ----------
    network : MLP
        The network all replicas share.
    replicas : range
        Their indices.
    batch_size, seed : int
        What keys their batches.
    """

    def __init__(self, network: MLP, replicas: range, batch_size: int, seed: int) -> None:
        self.network, self.replicas = network, replicas
        self.batch_size, self.seed = batch_size, seed
        count, widths = len(replicas), network.widths
        # One block for all parameters, one for momentum, one for gradients: the update is then two
        # passes over memory, whatever the number of layers.
        shapes = [(count, *shape) for shape in network.shapes]
        sizes = [count * int(np.prod(shape)) for shape in network.shapes]
        blocks = [torch.zeros(sum(sizes)) for _ in range(3)]
        self._flat, self._flat_momentum, self._flat_gradient = blocks
        self.parameters, self.momentum, self._gradient = (
            [
                part.view(shape)
                for part, shape in zip(torch.split(block, sizes), shapes, strict=True)
            ]
            for block in blocks
        )
        # activations are (replicas, features, batch), so that all layers but the first read them
        # as they are
        self._input = torch.empty(count * batch_size, widths[0])
        self._target = torch.empty(count * batch_size, dtype=torch.int64)
        self._activations = [torch.empty(count, width, batch_size) for width in widths[1:]]
        self._deltas = [torch.empty_like(a) for a in self._activations[:-1]]
        self._minus_one = torch.full((count, 1, batch_size), -1.0)
        self._drawn: tuple[int, int, Tensor] = (0, 0, torch.empty(0))

    def train_step(
        self, images: Tensor, labels: Tensor, step: int, learning_rate: float, momentum: float
    ) -> None:
        """One SGD step of all replicas, each on its own mini-batch of this step."""
        indices = self._batch(len(images), step)
        torch.index_select(images, 0, indices, out=self._input)
        torch.index_select(labels, 0, indices, out=self._target)
        inputs = self._input.view(len(self.replicas), self.batch_size, -1)
        targets = self._target.view(len(self.replicas), 1, self.batch_size)

        below = inputs.transpose(1, 2)
        for i, above in enumerate(self._activations):
            weight, bias = self.parameters[2 * i : 2 * i + 2]
            torch.baddbmm(bias.unsqueeze(2), weight, below, out=above)
            if i + 1 < len(self._activations):
                above.relu_()
            below = above

        # gradient of the mean cross-entropy in the logits: (softmax - one hot) / batch size
        delta = torch.softmax(self._activations[-1], 1, out=self._activations[-1])
        delta.scatter_add_(1, targets, self._minus_one).mul_(1.0 / self.batch_size)
        for i in reversed(range(len(self._activations))):
            weight_gradient, bias_gradient = self._gradient[2 * i : 2 * i + 2]
            below = self._activations[i - 1] if i else inputs.transpose(1, 2)
            torch.bmm(delta, below.transpose(1, 2), out=weight_gradient)
            torch.sum(delta, 2, out=bias_gradient)
            if i:
                weight = self.parameters[2 * i]
                torch.bmm(weight.transpose(1, 2), delta, out=self._deltas[i - 1])
                # the activation is not needed any more: its sign is the derivative of ReLU
                delta = self._deltas[i - 1].mul_(below.sign_())

        self._flat_momentum.mul_(momentum).add_(self._flat_gradient)
        self._flat.add_(self._flat_momentum, alpha=-learning_rate)

    def evaluate(self, images: Tensor, labels: Tensor, loss: Tensor | None, hits: Tensor) -> None:
        """Sum of cross-entropies and number of hits of each replica, written into the last two."""
        count, widths = len(images), self.network.widths
        # replicas in groups whose activations stay in the cache from one layer to the next
        group = max(1, min(len(self.replicas), _CACHED // (count * max(widths[1:]))))
        buffers = [torch.empty(group, width, count) for width in widths[1:]]
        for start in range(0, len(self.replicas), group):
            rows = slice(start, min(start + group, len(self.replicas)))
            logits = self._logits(images.t(), rows, buffers)
            targets = labels.expand(len(logits), 1, count)
            own = torch.gather(logits, 1, targets)
            rival = logits.scatter_(1, targets, -torch.inf).amax(1, keepdim=True)
            hits[rows] = (own > rival).sum((1, 2))
            if loss is not None:
                top = torch.maximum(own, rival)
                others = logits.sub_(top).exp_().sum(1, keepdim=True)
                own.sub_(top)
                nats = others.add_(own.exp()).log_().sub_(own)
                loss[rows] = nats.sum((1, 2), dtype=torch.float64)

    def _logits(self, across: Tensor, rows: slice, buffers: list[Tensor]) -> Tensor:
        """Logits (k, classes, n) of some replicas on shared images ``across`` (features, n)."""
        below = across
        for i, buffer in enumerate(buffers):
            weight, bias = self.parameters[2 * i][rows], self.parameters[2 * i + 1][rows]
            above = buffer[: len(weight)]
            if i:
                torch.baddbmm(bias.unsqueeze(2), weight, below, out=above)
            else:  # all replicas see the same images: one large product instead of k small ones
                flat = above.view(-1, across.shape[1])
                torch.addmm(bias.reshape(-1, 1), weight.flatten(0, 1), across, out=flat)
            if i + 1 < len(buffers):
                above.relu_()
            below = above
        return below

    def _batch(self, population: int, step: int) -> Tensor:
        """Flat indices of this step's batches, from a block drawn ahead."""
        first, drawn_for, block = self._drawn
        if drawn_for != population or not first <= step < first + len(block):
            rows = len(self.replicas) * self.batch_size
            steps = step + np.arange(max(1, min(256, _DRAWN // rows, 2**32 - step)))
            drawn = streams.batches(
                self.seed,
                np.asarray(self.replicas),
                steps[:, None],
                population=population,
                size=self.batch_size,
            )
            block, first = torch.from_numpy(drawn.reshape(len(steps), rows)), step
            self._drawn = (first, population, block)
        return block[step - first]
