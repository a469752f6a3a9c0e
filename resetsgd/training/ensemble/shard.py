"""Some replicas of an ensemble that have one batch size: what one thread computes at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from resetsgd.training import streams
from resetsgd.training.ensemble import draws
from resetsgd.training.ensemble.draws import Keys
from resetsgd.training.ensemble.feed import Feed
from resetsgd.training.ensemble.layers import Dropout
from resetsgd.training.ensemble.program import Program
from resetsgd.training.ensemble.stacked import Block, Stack
from resetsgd.training.network import State

__all__ = ["Shard"]

_DRAWN = 2**15
"""Batch indices drawn ahead at once: enough to hide the cost of a draw, and still in the cache."""

_DRAWN_AHEAD = 2**20
"""The same on an accelerator, where a draw is some hundred launches whatever its size."""

_CACHED = 3 * 2**18
"""Activations of one layer that an evaluation holds at once: 3 MB, about what the caches keep."""

_PIECE = 256
"""Images that an evaluation of a convolutional network takes at once."""


class _Chunk(NamedTuple):
    """Replicas that are trained in one pass, and what belongs to them."""

    start: int
    stop: int
    batch: Tensor
    replicas: Tensor
    rates: Tensor
    minus_one: Tensor
    keys: Keys


class Shard(Stack):
    """Stacked replicas with streams of their own; the caller has checked all input.

    Parameters
    ----------
    program : Program
        The layers of this shard.
    seeds, replicas : ndarray of int
        What keys the streams of each replica.
    places : ndarray of int
        Which replicas of the ensemble these are, counted from 0.
    batch_size : int
        Samples in a mini-batch.
    device : torch.device
        Where they live.
    precision : torch.dtype
        Of the arithmetic.
    together : int
        Replicas computed in one operation.
    """

    def __init__(
        self,
        program: Program,
        seeds: list[int],
        replicas: npt.NDArray[np.int64],
        places: npt.NDArray[np.int64],
        batch_size: int,
        device: torch.device,
        precision: torch.dtype,
        together: int,
    ) -> None:
        count = len(replicas)
        super().__init__(program, count, device, precision, together)
        self.replicas, self.seeds, self.batch_size = replicas, seeds, batch_size
        self.places = torch.from_numpy(places).to(device)
        self.rates = torch.zeros(count, 1, device=device, dtype=self.dtype)
        self.checkpoint: Block | None = None
        self.resets = torch.zeros(count, dtype=torch.int64, device=device)
        """How often each replica was reset."""
        signed = [seed - 2**64 if seed >= 2**63 else seed for seed in seeds]
        self._keys = Keys(
            torch.tensor(signed, device=device),
            torch.from_numpy(replicas).to(device),
            torch.zeros(count, dtype=torch.int64, device=device),
        )
        # what an accelerator reads has addresses that stay
        self._index = torch.zeros(count, batch_size, dtype=torch.int64, device=device)
        self._toss = torch.ones(count, dtype=torch.float64, device=device)
        self.probability = torch.zeros(count, dtype=torch.float64, device=device)
        self._chunks = [self._chunk(first) for first in range(0, count, together)]
        self._input: Tensor | None = None
        self._drawn: tuple[int, int, Tensor] = (0, 0, torch.empty(0))
        self._tossed: tuple[int, Tensor] = (0, torch.empty(0))
        self._drops = any(isinstance(node.layer, Dropout) for node in program.nodes)

    # A step of training: what is drawn, and what is computed from it.

    def fetch(self, feed: Feed, step: int, *, coins: bool = False) -> None:
        """Bring what was drawn for this step to where the computation reads it."""
        self._index.copy_(self._batch(len(feed), step))
        if self._drops or feed.augmented:
            self._keys.step.fill_(step)
        if coins:
            self._toss.copy_(self._coin(step + 1))

    def train(self, feed: Feed, momentum: float) -> None:
        """One SGD step of all replicas, each on its own mini-batch of this step."""
        keyed = self._drops or feed.augmented
        for chunk in self._chunks:
            keys = chunk.keys if keyed else None
            rows = self.rows(chunk.start, chunk.stop, True, keys)
            buffer = self._inputs(feed, rows.count)
            images = feed.batch(chunk.batch, keys, buffer).to(self.precision)
            if self.program.convolutional:
                images = images.contiguous(memory_format=torch.channels_last)
            logits = self.program.forward(rows, images).to(self.dtype)
            # gradient of the mean cross-entropy in the logits: (softmax - one hot) / batch size
            delta = torch.softmax(logits, 1, out=logits)
            delta.scatter_add_(1, feed.targets(chunk.batch, chunk.replicas), chunk.minus_one)
            delta.mul_(1.0 / self.batch_size)
            self.program.backward(rows, delta.to(self.precision))
            self.update(rows, chunk.rates, momentum)

    def _chunk(self, start: int) -> _Chunk:
        part = slice(start, min(start + self.together, len(self)))
        return _Chunk(
            part.start,
            part.stop,
            self._index[part],
            self.places[part],
            self.rates[part],
            self.rates.new_full((part.stop - start, 1, self.batch_size), -1.0),
            Keys(*(key[part] for key in self._keys)),
        )

    def _inputs(self, feed: Feed, count: int) -> Tensor | None:
        """A buffer for flat images, which are gathered into it."""
        if feed.convolutional:
            return None
        if self._input is None:
            features = self.program.inputs
            self._input = torch.empty(self.together * self.batch_size, features, device=self.device)
        size = count * self.batch_size
        return self._input if len(self._input) == size else self._input[:size]

    # Resets.

    def keep(self, state: State) -> None:
        """Make this state of one network, or these of all replicas, the checkpoint."""
        single = state.parameters[0].shape == self.program.shapes[0]
        count = 1 if single else len(self)
        if self.checkpoint is None or len(self.checkpoint) != count:
            self.checkpoint = Block(self.program, count, self.device, self.dtype)
        self.checkpoint.write(state, slice(None) if single else self.places)

    def reset(self, mask: Tensor) -> None:
        """Write the checkpoint into the rows that reset, which are few."""
        assert self.checkpoint is not None
        rows = mask.nonzero()[:, 0]
        if len(rows):
            source = rows if len(self.checkpoint) > 1 else rows * 0
            self.flat[rows] = self.checkpoint.flat[source]
            self.counts[rows] = self.checkpoint.counts[source]
            self.resets[rows] += 1

    def reset_where(self, mask: Tensor) -> None:
        """The same without a branch: nothing here waits for the mask to be known."""
        assert self.checkpoint is not None
        chosen, kept = mask.unsqueeze(1), self.checkpoint
        torch.where(chosen, kept.flat, self.flat, out=self.flat)
        torch.where(chosen, kept.counts, self.counts, out=self.counts)
        self.resets += mask

    def toss(self) -> Tensor:
        """Which replicas reset after the step that was fetched."""
        return self._toss < self.probability

    # Evaluation.

    def evaluate(self, feed: Feed, losses: bool) -> tuple[Tensor, Tensor]:
        """Sum of cross-entropies and number of hits of each replica."""
        count, size = len(self), len(feed)
        loss = torch.zeros(count, dtype=torch.float64, device=self.device)
        hits = torch.zeros(count, dtype=torch.int64, device=self.device)
        if self.program.convolutional:
            group, piece = self.together, _PIECE
        elif self.device.type == "cpu":
            # replicas in groups whose activations stay in the cache from one layer to the next
            group, piece = max(1, min(count, _CACHED // (size * self.program.widest))), size
        else:
            group, piece = count, size
        for start in range(0, size, piece):
            stop = min(start + piece, size)
            shared, labels = self.entering(feed.piece(start, stop)), feed.labels[..., start:stop]
            for first in range(0, count, group):
                part = slice(first, min(first + group, count))
                logits = self.program.forward(self.rows(part.start, part.stop, False), shared)
                targets = labels[self.places[part]] if feed.own else labels
                targets = targets.reshape(-1, 1, stop - start).expand(len(logits), -1, -1)
                nats, right = _scores(logits.to(self.dtype), targets, losses)
                hits[part] += right
                if nats is not None:
                    loss[part] += nats
        return loss, hits

    # Draws.

    def _batch(self, population: int, step: int) -> Tensor:
        """Rows of this step's mini-batches (k, batch), from a block drawn ahead."""
        first, drawn_for, block = self._drawn
        if drawn_for != population or not first <= step < first + len(block):
            most = _DRAWN if self.device.type == "cpu" else _DRAWN_AHEAD
            ahead = max(1, min(256, most // self._index.numel(), 2**32 - step))
            block = self._batches(population, step + np.arange(ahead))
            self._drawn = step, population, block
            first = step
        return block[step - first]

    def _batches(self, population: int, steps: npt.NDArray[np.int64]) -> Tensor:
        if self.device.type != "cpu":
            keys = self._keys._replace(step=torch.from_numpy(steps[:, None]).to(self.device))
            return draws.batches(keys, population, self.batch_size)
        drawn = np.empty((len(steps), *self._index.shape), np.int64)
        for seed, mine in self._by_seed():
            drawn[:, mine] = streams.batches(
                seed,
                self.replicas[mine],
                steps[:, None],
                population=population,
                size=self.batch_size,
            )
        return torch.from_numpy(drawn)

    def _coin(self, step: int) -> Tensor:
        """The uniform numbers that decide the resets after so many steps, from a block."""
        first, block = self._tossed
        if not first <= step < first + len(block):
            steps = torch.arange(step, min(step + 256, 2**32), device=self.device)[:, None]
            block = draws.uniforms(self._keys._replace(step=steps), streams.Purpose.COIN)
            self._tossed = step, block
            first = step
        return block[step - first]

    def _by_seed(self) -> list[tuple[int, Any]]:
        """Each seed, and the rows that have it."""
        if len(set(self.seeds)) == 1:
            return [(self.seeds[0], slice(None))]
        kinds: dict[int, list[int]] = {}
        for row, seed in enumerate(self.seeds):
            kinds.setdefault(seed, []).append(row)
        return list(kinds.items())


def _scores(logits: Tensor, targets: Tensor, losses: bool) -> tuple[Tensor | None, Tensor]:
    """Cross-entropies summed over a set (k,), if wanted, and hits; the logits are used up."""
    own = torch.gather(logits, 1, targets)
    rival = logits.scatter_(1, targets, -torch.inf).amax(1, keepdim=True)
    hits = (own > rival).sum((1, 2))
    if not losses:
        return None, hits
    top = torch.maximum(own, rival)
    others = logits.sub_(top).exp_().sum(1, keepdim=True)
    own.sub_(top)
    nats = others.add_(own.exp()).log_().sub_(own)
    return nats.sum((1, 2), dtype=torch.float64), hits
