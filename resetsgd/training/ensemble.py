"""Many replicas of one network trained together, each with its own mini-batch noise.

The replicas are one stacked computation: every layer is a batched matrix product over all of them,
forward and backward are written out (no autograd graph), and every intermediate result has a buffer
that is reused. Replica k sees the same batches and coins whatever the number of replicas beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError, StreamMismatch
from resetsgd.training import streams
from resetsgd.training.network import MLP, State, tensor

__all__ = ["Ensemble", "Evaluation"]

_DRAWN = 2**18
"""Batch indices drawn ahead at once: enough to hide the cost of a draw, 2 MB."""

_CACHED = 3 * 2**18
"""Activations of one layer that an evaluation holds at once: 3 MB, about what the caches keep."""


class Evaluation(NamedTuple):
    """What each replica scores on a set; two float64 tensors of shape (K,)."""

    losses: Tensor
    accuracies: Tensor


class Ensemble:
    """K replicas of one network under momentum SGD on cross-entropy.

    Parameters
    ----------
    network : MLP
        The network all replicas share.
    replicas : int
        Their number K.
    learning_rate : float
        Positive; may be changed between steps.
    momentum : float
        In [0, 1). The update is that of ``torch.optim.SGD``: v <- momentum v + g, w <- w - lr v.
    batch_size : int
        Samples in a mini-batch. Batches are uniform subsets, drawn anew each step (see
        :func:`resetsgd.training.streams.batches`).
    seed : int
        Key of the streams of batches and coins.
    first_replica : int
        Index of the first replica: an ensemble of replicas 100..199 draws what those replicas would
        draw in one of 0..199.

    Notes
    -----
    The draws of a replica are the same bits for any K. Its parameters agree to rounding only: the
    matrix library may sum in another order for another K. Repeated runs with the same K and the
    same number of threads give the same bits.

    Examples
    --------
    >>> import numpy as np
    >>> from resetsgd.training import digits
    >>> data = digits(seed=0)
    >>> network = MLP(widths=(64, 32, 10))
    >>> ensemble = Ensemble(network, 4, learning_rate=0.1, momentum=0.9, batch_size=32, seed=1)
    >>> checkpoint = network.initial(seed=0)
    >>> ensemble.load(checkpoint)
    >>> for _ in range(50):
    ...     ensemble.train_step(data.train.images, data.train.labels)
    >>> losses, accuracies = ensemble.evaluate(data.validation.images, data.validation.labels)
    >>> bool((accuracies > 0.7).all())
    True
    >>> ensemble.reset(ensemble.coins(0.5), checkpoint)
    """

    def __init__(
        self,
        network: MLP,
        replicas: int,
        *,
        learning_rate: float,
        momentum: float = 0.0,
        batch_size: int = 32,
        seed: int = 0,
        first_replica: int = 0,
    ) -> None:
        self.network = network
        self.replicas = domain.integer("replicas", replicas, 1)
        self.learning_rate = float(np.asarray(domain.positive("learning_rate", learning_rate)))
        self.momentum = float(np.asarray(domain.probability("momentum", momentum, one=False)))
        self.batch_size = domain.integer("batch_size", batch_size, 1)
        self.seed = domain.integer("seed", seed, 0, 2**64 - 1)
        self.first_replica = domain.integer("first_replica", first_replica, 0, 2**32 - replicas)
        self.step = 0
        """Steps trained so far; the next step draws the batch of this index."""

        # One block for all parameters, one for momentum, one for gradients: the update is then two
        # passes over memory, whatever the number of layers.
        shapes = [(replicas, *shape) for shape in network.shapes]
        sizes = [replicas * int(np.prod(shape)) for shape in network.shapes]
        blocks = [torch.zeros(sum(sizes)) for _ in range(3)]
        self._flat, self._flat_momentum, self._flat_gradient = blocks
        self._parameters, self._velocity, self._gradient = (
            [
                part.view(shape)
                for part, shape in zip(torch.split(block, sizes), shapes, strict=True)
            ]
            for block in blocks
        )
        # activations are (K, features, batch), so that all layers but the first read them as is
        widths, rows = network.widths, replicas * self.batch_size
        self._input = torch.empty(rows, widths[0])
        self._target = torch.empty(rows, dtype=torch.int64)
        self._activations = [torch.empty(replicas, w, self.batch_size) for w in widths[1:]]
        self._deltas = [torch.empty_like(a) for a in self._activations[:-1]]
        self._minus_one = torch.full((replicas, 1, self.batch_size), -1.0)
        self._drawn: tuple[int, int, Tensor] = (0, 0, torch.empty(0))
        self._seen: list[tuple[Any, Any, Tensor, Tensor]] = []

    def load(self, state: State) -> None:
        """Put every replica into this state of one network (the step counter stays)."""
        self.network.check("state", state)
        for stacked, single in self._pairs(state):
            stacked.copy_(single.expand_as(stacked))

    def train_step(self, images: Any, labels: Any) -> None:
        """One SGD step of all replicas, each on its own mini-batch.

        Parameters
        ----------
        images : Tensor or array of float32, shape (n, widths[0])
            The whole training set; n may change from step to step, and must be at least the batch
            size.
        labels : Tensor or array of int64, shape (n,)
            Its classes.
        """
        images, labels = self._data(images, labels)
        indices = self._batch(len(images))
        torch.index_select(images, 0, indices, out=self._input)
        torch.index_select(labels, 0, indices, out=self._target)
        inputs = self._input.view(self.replicas, self.batch_size, -1)
        targets = self._target.view(self.replicas, 1, self.batch_size)

        below = inputs.transpose(1, 2)
        for i, above in enumerate(self._activations):
            weight, bias = self._parameters[2 * i : 2 * i + 2]
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
                weight = self._parameters[2 * i]
                torch.bmm(weight.transpose(1, 2), delta, out=self._deltas[i - 1])
                # the activation is not needed any more: its sign is the derivative of ReLU
                delta = self._deltas[i - 1].mul_(below.sign_())

        self._flat_momentum.mul_(self.momentum).add_(self._flat_gradient)
        self._flat.add_(self._flat_momentum, alpha=-self.learning_rate)
        self.step += 1

    def coins(self, probability: float) -> npt.NDArray[np.bool_]:
        """Which replicas reset after the step just trained; see :func:`coins`.

        Returns
        -------
        ndarray of bool, shape (K,)
        """
        indices = self.first_replica + np.arange(self.replicas)
        return streams.coins(self.seed, indices, self.step, probability)

    def reset(self, mask: Any, checkpoint: State) -> None:
        """Put the replicas chosen by a mask into the checkpoint, momentum included; no branches.

        Parameters
        ----------
        mask : array or Tensor of bool, shape (K,)
            Which replicas to reset.
        checkpoint : State
            State of one network.
        """
        self.network.check("checkpoint", checkpoint)
        chosen = torch.as_tensor(mask)
        if chosen.shape != (self.replicas,) or chosen.dtype != torch.bool:
            raise DomainError("mask", mask, f"{self.replicas} booleans, one for each replica")
        for stacked, single in self._pairs(checkpoint):
            rows = chosen.view(-1, *(1,) * single.ndim)
            torch.where(rows, single, stacked, out=stacked)

    def evaluate(self, images: Any, labels: Any) -> Evaluation:
        """Mean cross-entropy and accuracy of every replica on one set, in one forward pass.

        Parameters
        ----------
        images : Tensor or array of float32, shape (n, widths[0])
            The set; all replicas see the same images.
        labels : Tensor or array of int64, shape (n,)
            Its classes.

        Returns
        -------
        Evaluation
            ``losses`` and ``accuracies``, each of shape (K,). An image counts as classified only if
            its class has strictly the largest logit: a tie, or NaN, counts as an error.
        """
        return self._look(images, labels, losses=True)

    def losses(self, images: Any, labels: Any) -> Tensor:
        """The losses of :meth:`evaluate`, shape (K,)."""
        return self._look(images, labels, losses=True).losses

    def accuracies(self, images: Any, labels: Any) -> Tensor:
        """The accuracies of :meth:`evaluate` without the cost of its losses, shape (K,)."""
        return self._look(images, labels, losses=False).accuracies

    def state(self, replica: int) -> State:
        """A copy of the state of one replica, counted from 0 in this ensemble."""
        k = domain.integer("replica", replica, 0, self.replicas - 1)
        return State(
            tuple(p[k].clone() for p in self._parameters),
            tuple(v[k].clone() for v in self._velocity),
        )

    def state_dict(self) -> dict[str, Any]:
        """Copies of all parameters and momenta, the step counter, and what keys the streams."""
        return {
            "parameters": [p.clone() for p in self._parameters],
            "momentum": [v.clone() for v in self._velocity],
            "step": self.step,
            "streams": self._streams(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a :meth:`state_dict`; from there on the bits are those of the unbroken run.

        Raises
        ------
        StreamMismatch
            If it belongs to another network, seed, batch size or other replicas.
        CorruptData
            If something is missing or has the wrong shape.
        """
        try:
            found, step = dict(state["streams"]), domain.integer("step", state["step"], 0)
            stored = [*state["parameters"], *state["momentum"]]
            mine = [*self._parameters, *self._velocity]
            whole = [s.shape for s in stored] == [m.shape for m in mine]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptData(f"ensemble state is damaged: {error!r}") from None
        if found != self._streams():
            raise StreamMismatch(f"ensemble state is of {found}, not of {self._streams()}")
        if not whole:
            raise CorruptData("ensemble state is damaged: tensors are missing or of other shapes")
        for live, kept in zip(mine, stored, strict=True):
            live.copy_(kept)
        self.step = step

    def _streams(self) -> dict[str, Any]:
        return {
            "widths": list(self.network.widths),
            "replicas": self.replicas,
            "first_replica": self.first_replica,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }

    def _pairs(self, state: State) -> list[tuple[Tensor, Tensor]]:
        """(stacked, single) for every parameter and momentum buffer."""
        singles = (*state.parameters, *state.momentum)
        return list(zip((*self._parameters, *self._velocity), singles, strict=True))

    def _batch(self, population: int) -> Tensor:
        """Flat indices (K * B,) of this step's batches, from a block drawn ahead."""
        if self.batch_size > population:
            raise DomainError("batch_size", self.batch_size, f"at most {population}, the samples")
        first, drawn_for, block = self._drawn
        if drawn_for != population or not first <= self.step < first + len(block):
            rows = self.replicas * self.batch_size
            steps = self.step + np.arange(max(1, min(256, _DRAWN // rows)))
            replicas = self.first_replica + np.arange(self.replicas)
            drawn = streams.batches(
                self.seed, replicas, steps[:, None], population=population, size=self.batch_size
            )
            block = torch.from_numpy(drawn.reshape(len(steps), rows))
            first = self.step
            self._drawn = (first, population, block)
        return block[self.step - first]

    def _look(self, images: Any, labels: Any, *, losses: bool) -> Evaluation:
        images, labels = self._data(images, labels)
        count, widths = len(images), self.network.widths
        # replicas in groups whose activations stay in the cache from one layer to the next
        group = max(1, min(self.replicas, _CACHED // (count * max(widths[1:]))))
        buffers = [torch.empty(group, width, count) for width in widths[1:]]
        loss, correct = torch.zeros(self.replicas, dtype=torch.float64), torch.zeros(self.replicas)
        for start in range(0, self.replicas, group):
            rows = slice(start, min(start + group, self.replicas))
            logits = self._logits(images.t(), rows, buffers)
            targets = labels.expand(len(logits), 1, count)
            own = torch.gather(logits, 1, targets)
            rival = logits.scatter_(1, targets, -torch.inf).amax(1, keepdim=True)
            correct[rows] = (own > rival).sum((1, 2)).float()
            if losses:
                top = torch.maximum(own, rival)
                others = logits.sub_(top).exp_().sum(1, keepdim=True)
                own.sub_(top)
                nats = others.add_(own.exp()).log_().sub_(own)
                loss[rows] = nats.sum((1, 2), dtype=torch.float64)
        # float64, so that 324 of 360 is 0.9 as the reader of a threshold means it
        return Evaluation(loss.div_(count), correct.double().div_(count))

    def _logits(self, across: Tensor, rows: slice, buffers: list[Tensor]) -> Tensor:
        """Logits (k, classes, n) of some replicas on shared images ``across`` (features, n)."""
        below = across
        for i, buffer in enumerate(buffers):
            weight, bias = self._parameters[2 * i][rows], self._parameters[2 * i + 1][rows]
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

    def _data(self, images: Any, labels: Any) -> tuple[Tensor, Tensor]:
        """Checked tensors; what was checked is remembered, for the same set comes every step."""
        for seen in self._seen:
            if seen[0] is images and seen[1] is labels:
                return seen[2], seen[3]
        pixels, classes = tensor("images", images), tensor("labels", labels)
        features, last = self.network.widths[0], self.network.widths[-1] - 1
        if pixels.ndim != 2 or pixels.shape[1] != features or not len(pixels):
            raise DomainError("images", tuple(pixels.shape), f"of shape (n, {features}), n >= 1")
        if pixels.dtype != torch.float32 or not bool(torch.isfinite(pixels).all()):
            raise DomainError("images", pixels.dtype, "float32 and finite")
        if classes.dtype != torch.int64 or classes.shape != pixels.shape[:1]:
            found = (classes.dtype, tuple(classes.shape))
            raise DomainError("labels", found, f"int64 of shape ({len(pixels)},)")
        wrong = classes[(classes < 0) | (classes > last)]
        if len(wrong):
            raise DomainError("labels", int(wrong[0]), f"a class in [0, {last}]")
        self._seen = [(images, labels, pixels.contiguous(), classes), *self._seen[:3]]
        return self._seen[0][2:]
