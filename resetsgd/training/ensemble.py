"""Many replicas of one network trained together, each with its own mini-batch noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError, StreamMismatch
from resetsgd.training import streams
from resetsgd.training.network import MLP, State, tensor
from resetsgd.training.shard import Shard

__all__ = ["Ensemble", "Evaluation"]

_PAIR = 128
"""Replicas in two shards: a shard's step takes long against the cost of handing it to a thread."""


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
    threads : int, optional
        Threads to work with; by default as many as torch has (``torch.get_num_threads()``).

    Notes
    -----
    Repeated runs give the same bits, for any number of threads: replicas are divided into shards of
    fixed size, and each shard is computed by one thread at a time. (Threads meet once a step rather
    than in every operation, so a busy machine slows the ensemble no more than it must.)

    The draws of a replica are the same bits for any K. Its parameters agree to rounding only: the
    matrix library may sum in another order for a shard of another size.

    Examples
    --------
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
        threads: int | None = None,
    ) -> None:
        self.network = network
        self.replicas = domain.integer("replicas", replicas, 1)
        self.learning_rate = float(np.asarray(domain.positive("learning_rate", learning_rate)))
        self.momentum = float(np.asarray(domain.probability("momentum", momentum, one=False)))
        self.batch_size = domain.integer("batch_size", batch_size, 1)
        self.seed = domain.integer("seed", seed, 0, 2**64 - 1)
        self.first_replica = domain.integer("first_replica", first_replica, 0, 2**32 - replicas)
        threads = torch.get_num_threads() if threads is None else threads
        self.threads = domain.integer("threads", threads, 1)
        self.step = 0
        """Steps trained so far; the next step draws the batch of this index."""

        # an even number of shards of nearly equal size, whatever the number of threads
        count = min(self.replicas, 2 * -(-self.replicas // _PAIR))
        ends = [self.replicas * i // count for i in range(count + 1)]
        self._places = [slice(a, b) for a, b in pairwise(ends)]
        indices = range(self.first_replica, self.first_replica + self.replicas)
        self._shards = [
            Shard(network, indices[place], self.batch_size, self.seed) for place in self._places
        ]
        self._pool: ThreadPoolExecutor | None = None
        self._seen: list[tuple[Any, Any, Tensor, Tensor]] = []

    def load(self, state: State) -> None:
        """Put every replica into this state of one network (the step counter stays)."""
        self.network.check("state", state)
        for shard in self._shards:
            for stacked, single in _pairs(shard, state):
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
        x, y = self._data(images, labels)
        if self.batch_size > len(x):
            raise DomainError("batch_size", self.batch_size, f"at most {len(x)}, the samples")
        rate, momentum = self.learning_rate, self.momentum
        self._each(lambda i: self._shards[i].train_step(x, y, self.step, rate, momentum))
        self.step += 1

    def coins(self, probability: float) -> npt.NDArray[np.bool_]:
        """Which replicas reset after the step just trained: :func:`resetsgd.training.coins`.

        Returns
        -------
        ndarray of bool, shape (K,)
        """
        indices = self.first_replica + np.arange(self.replicas)
        return streams.coins(self.seed, indices, self.step, probability)

    def reset(self, mask: Any, checkpoint: State) -> None:
        """Put the replicas chosen by a mask into the checkpoint, momentum included.

        The result is ``where(mask, checkpoint, replicas)``; only rows that reset are written, for
        they are few.

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
        for shard, place in zip(self._shards, self._places, strict=True):
            rows = chosen[place].nonzero()[:, 0]
            if len(rows):
                for stacked, single in _pairs(shard, checkpoint):
                    stacked[rows] = single

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
        i = next(i for i, place in enumerate(self._places) if k < place.stop)
        row, shard = k - self._places[i].start, self._shards[i]
        return State(
            tuple(p[row].clone() for p in shard.parameters),
            tuple(v[row].clone() for v in shard.momentum),
        )

    def state_dict(self) -> dict[str, Any]:
        """Copies of parameters and momenta; step, hyper-parameters, and what keys the streams."""
        return {
            "parameters": [
                torch.cat(p) for p in zip(*(s.parameters for s in self._shards), strict=True)
            ],
            "momentum": [
                torch.cat(v) for v in zip(*(s.momentum for s in self._shards), strict=True)
            ],
            "step": self.step,
            "hyperparameters": [self.learning_rate, self.momentum],
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
            learning_rate, momentum = state["hyperparameters"]
            stored = [*state["parameters"], *state["momentum"]]
            shapes = [tuple(kept.shape) for kept in stored]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptData(f"ensemble state is damaged: {error!r}") from None
        if found != self._streams():
            raise StreamMismatch(f"ensemble state is of {found}, not of {self._streams()}")
        if shapes != 2 * [(self.replicas, *shape) for shape in self.network.shapes]:
            raise CorruptData("ensemble state is damaged: tensors are missing or of other shapes")
        for shard, place in zip(self._shards, self._places, strict=True):
            for live, kept in zip((*shard.parameters, *shard.momentum), stored, strict=True):
                live.copy_(kept[place])
        self.step, self.learning_rate, self.momentum = step, learning_rate, momentum

    def _streams(self) -> dict[str, Any]:
        return {
            "widths": list(self.network.widths),
            "replicas": self.replicas,
            "first_replica": self.first_replica,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }

    def _each(self, work: Callable[[int], None]) -> None:
        """Do some work on every shard, each on one thread, all threads at once."""
        before = torch.get_num_threads()
        if before != 1:
            torch.set_num_threads(1)  # inside an operation; the threads are ours
        waiting = iter(range(len(self._shards)))

        def pull() -> None:
            for i in waiting:  # a range iterator hands every number to one thread only
                work(i)

        helpers = []
        extra = min(self.threads, len(self._shards)) - 1
        if extra:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(extra, thread_name_prefix="ensemble")
            helpers = [self._pool.submit(pull) for _ in range(extra)]
        try:
            pull()
        finally:
            for helper in helpers:
                if not helper.cancel():  # one that never began has nothing left to do
                    helper.result()
            if before != 1:
                torch.set_num_threads(before)

    def _look(self, images: Any, labels: Any, *, losses: bool) -> Evaluation:
        x, y = self._data(images, labels)
        loss = torch.zeros(self.replicas, dtype=torch.float64)
        hits = torch.zeros(self.replicas, dtype=torch.int64)

        def look(i: int) -> None:
            place = self._places[i]
            self._shards[i].evaluate(x, y, loss[place] if losses else None, hits[place])

        self._each(look)
        # float64, so that 324 of 360 is 0.9 as the reader of a threshold means it
        return Evaluation(loss.div_(len(x)), hits.double().div_(len(x)))

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
        checked = pixels.contiguous(), classes.contiguous()
        # a copy is not remembered: it would miss what is later written into the original
        if [t.data_ptr() for t in checked] == [_address(images), _address(labels)]:
            self._seen = [(images, labels, *checked), *self._seen[:3]]
        return checked


def _pairs(shard: Shard, state: State) -> list[tuple[Tensor, Tensor]]:
    """(stacked, single) for every parameter and momentum buffer."""
    singles = (*state.parameters, *state.momentum)
    return list(zip((*shard.parameters, *shard.momentum), singles, strict=True))


def _address(value: Any) -> int:
    """Where the first element of a tensor or an array lies."""
    return int(value.data_ptr() if isinstance(value, Tensor) else value.ctypes.data)
