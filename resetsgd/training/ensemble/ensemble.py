"""The ensemble: training, resets and evaluation, and how threads or graphs do the work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training import streams
from resetsgd.training.ensemble.feed import Feed
from resetsgd.training.ensemble.replicas import Replicas
from resetsgd.training.ensemble.shard import Shard
from resetsgd.training.network import State

__all__ = ["Ensemble", "Evaluation"]

_SEEN = 4
"""Sets that are remembered as checked."""


class Evaluation(NamedTuple):
    """What each replica scores on a set; two float64 tensors of shape (K,)."""

    losses: Tensor
    accuracies: Tensor


class Ensemble(Replicas):
    """K replicas of one network under momentum SGD on cross-entropy.

    What is said to be *one for each replica* may be a sequence of K values instead of one value.

    Parameters
    ----------
    network : MLP or nn.Module
        The network all replicas share: a specification, or a module of the layers that
        :func:`~resetsgd.training.ensemble.stacked.stack` knows. Replicas of a module begin in its
        present state, those of a specification wait for
        :meth:`~resetsgd.training.ensemble.replicas.Replicas.load`.
    replicas : int
        Their number K.
    learning_rate : float, or one for each replica
        Positive; may be changed between steps.
    momentum : float
        In [0, 1). The update is that of ``torch.optim.SGD``: v <- momentum v + g, w <- w - lr v.
    batch_size : int, or one for each replica
        Samples in a mini-batch. Batches are uniform subsets, drawn anew each step (see
        :func:`resetsgd.training.streams.batches`). Replicas with the same batch size are computed
        together.
    seed : int, or one for each replica
        Key of the streams of batches, coins, augmentation and dropout.
    first_replica : int
        Index of the first replica: an ensemble of replicas 100..199 draws what those replicas would
        draw in one of 0..199.
    threads : int, optional
        Threads to work with; by default as many as torch has (``torch.get_num_threads()``). Without
        meaning on an accelerator.
    device : torch.device or str
        Where the replicas live.
    precision : {"float32", "bfloat16", "float64"}
        Of linear layers and convolutions. With bfloat16, parameters, momentum, gradients, batch
        norm's statistics and the loss are float32 all the same. Float64 is for checks.
    together : int, optional
        Replicas computed in one operation. By default all of a shard; on a processor one for
        convolutional networks, where a convolution of several is slower than several convolutions.
    convolution : {"grouped", "products"}
        How those of several replicas are computed: as one grouped convolution, or as batched
        matrix products with copies of all windows. Which is faster depends on the device and the
        channels; ``benchmarks/ensemble.py`` tries both.

    Raises
    ------
    DomainError
        For an argument outside its range, or a network that cannot be stacked.
    NoDevice
        For a CUDA device that is not here.

    Notes
    -----
    Repeated runs give the same bits, for any number of threads: replicas are divided into shards of
    fixed size, and each shard is computed by one thread at a time. (Threads meet once a step rather
    than in every operation, so a busy machine slows the ensemble no more than it must.)

    The draws of a replica are the same bits for any K. Its parameters agree to rounding only: the
    matrix library may sum in another order for a shard of another size. (Where ``together`` is 1,
    they are the same bits too.)

    On a CUDA device a step, its reset included, is captured as one graph when it is first done with
    a set of images, and replayed from then on. A set on another device than the replicas is copied
    when it is first seen; what is later written into an array is not noticed there.

    Examples
    --------
    >>> from resetsgd.training import MLP, digits
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

    Convolutional replicas, each with a learning rate and a reset probability of its own:

    >>> from resetsgd.training.networks import small_cnn
    >>> network = small_cnn(channels=1, size=8, widths=(8, 16))
    >>> ensemble = Ensemble(network, 2, learning_rate=[0.1, 0.01], batch_size=16)
    >>> images = data.train.images.reshape(-1, 1, 8, 8)
    >>> checkpoint = ensemble.state(0)
    >>> chances = [1.0, 0.0]
    >>> ensemble.train_step(
    ...     images, data.train.labels, probability=chances, checkpoint=checkpoint
    ... )
    >>> ensemble.state(0).same(checkpoint), ensemble.state(1).same(checkpoint)
    (True, False)
    """

    # Training.

    def train_step(
        self,
        images: Any,
        labels: Any = None,
        *,
        probability: Any = None,
        checkpoint: State | None = None,
    ) -> None:
        """One SGD step of all replicas, each on its own mini-batch; then, if asked for, the coins.

        Parameters
        ----------
        images : Tensor or array of float32, or OnDevice
            The whole training set, (n, features) or (n, channels, height, width); n may change from
            step to step, and must be at least the batch size. An
            :class:`resetsgd.training.OnDevice` is normalised and augmented as it says.
        labels : Tensor or array of int64, shape (n,) or (K, n)
            Its classes; where replicas have labels of their own, a row each. Not needed with an
            ``OnDevice``.
        probability : float, or one for each replica, optional
            Of a reset after this step. That is ``reset(coins(probability), checkpoint)``, but on an
            accelerator part of the same graph.
        checkpoint : State, optional
            What a reset goes back to: of one network, or one for each replica.

        Raises
        ------
        DomainError
            For a set that does not fit the network, or a probability without a checkpoint.
        """
        feed = self._feed(images, labels)
        if (largest := int(np.max(self.batch_size))) > len(feed):
            raise DomainError("batch_size", largest, f"at most {len(feed)}, the samples")
        resetting = probability is not None
        if resetting != (checkpoint is not None):
            raise DomainError("checkpoint", checkpoint, "given with the probability, or neither")
        if self.device.type == "cpu":
            self._each(lambda i: self._trained(self._shards[i], feed))
            self.step += 1
            if resetting:
                self.reset(self.coins(probability), checkpoint)  # type: ignore[arg-type]
            return
        if checkpoint is not None:
            self._keep(checkpoint)
            chances = self._per_replica(
                "probability", domain.probability("probability", probability), torch.float64
            )
            for shard in self._shards:
                shard.probability.copy_(chances[shard.places])
        for shard in self._shards:
            shard.fetch(feed, self.step, coins=resetting)
        self._graphs.run((feed, self.momentum, resetting), lambda: self._captured(feed, resetting))
        self.step += 1

    def _trained(self, shard: Shard, feed: Feed) -> None:
        shard.fetch(feed, self.step)
        shard.train(feed, self.momentum)

    def _captured(self, feed: Feed, resetting: bool) -> None:
        """What one step does once its draws are where they are read."""
        for shard in self._shards:
            shard.train(feed, self.momentum)
            if resetting:
                shard.reset_where(shard.toss())

    def coins(self, probability: Any) -> npt.NDArray[np.bool_]:
        """Which replicas reset after the step just trained: :func:`resetsgd.training.coins`.

        Parameters
        ----------
        probability : float, or one for each replica
            Of a reset, in [0, 1].

        Returns
        -------
        ndarray of bool, shape (K,)
        """
        chances = np.asarray(domain.probability("probability", probability))
        if chances.shape not in ((), (self.replicas,)):
            raise DomainError(
                "probability", chances.shape, f"one, or one for each of {self.replicas}"
            )
        if isinstance(self.seed, int):
            return streams.coins(self.seed, self.indices, self.step, chances)
        chances, found = np.broadcast_to(chances, self.replicas), np.empty(self.replicas, bool)
        for seed in set(self.seed):
            mine = np.asarray(self.seed, dtype=object) == seed
            found[mine] = streams.coins(seed, self.indices[mine], self.step, chances[mine])
        return found

    def reset(self, mask: Any, checkpoint: State) -> None:
        """Put the replicas chosen by a mask into the checkpoint, momentum and buffers included.

        The result is ``where(mask, checkpoint, replicas)``, and on an accelerator it is computed
        so, without waiting for the mask; on a processor only rows that reset are written, for they
        are few.

        Parameters
        ----------
        mask : array or Tensor of bool, shape (K,)
            Which replicas to reset.
        checkpoint : State
            State of one network, or one for each replica.
        """
        chosen = torch.as_tensor(mask)
        self._check("checkpoint", checkpoint)
        if chosen.shape != (self.replicas,) or chosen.dtype != torch.bool:
            raise DomainError("mask", mask, f"{self.replicas} booleans, one for each replica")
        chosen = chosen.to(self.device)
        self._keep(checkpoint)
        for shard in self._shards:
            act = shard.reset if self.device.type == "cpu" else shard.reset_where
            act(chosen[shard.places])

    def _keep(self, checkpoint: State) -> None:
        """Bring a checkpoint to the shards, unless it is what they have."""
        tensors = (*checkpoint.parameters, *checkpoint.momentum, *checkpoint.buffers)
        key = checkpoint, [t._version for t in tensors]
        if self._kept is not None and self._kept[0] is checkpoint and self._kept[1] == key[1]:
            return
        self._check("checkpoint", checkpoint)
        before = [shard.checkpoint for shard in self._shards]
        for shard in self._shards:
            shard.keep(checkpoint)
        if any(old is not s.checkpoint for old, s in zip(before, self._shards, strict=True)):
            self._graphs.forget()
        self._kept = key

    # Evaluation.

    def evaluate(self, images: Any, labels: Any = None) -> Evaluation:
        """Mean cross-entropy and accuracy of every replica on one set, in evaluation mode.

        Parameters
        ----------
        images : Tensor or array of float32, or OnDevice
            The set; all replicas see the same images, without augmentation.
        labels : Tensor or array of int64, shape (n,) or (K, n)
            Its classes.

        Returns
        -------
        Evaluation
            ``losses`` and ``accuracies``, each of shape (K,). An image counts as classified only if
            its class has strictly the largest logit: a tie, or NaN, counts as an error.
        """
        return self._look(images, labels, losses=True)

    def losses(self, images: Any, labels: Any = None) -> Tensor:
        """The losses of :meth:`evaluate`, shape (K,)."""
        return self._look(images, labels, losses=True).losses

    def accuracies(self, images: Any, labels: Any = None) -> Tensor:
        """The accuracies of :meth:`evaluate` without the cost of its losses, shape (K,)."""
        return self._look(images, labels, losses=False).accuracies

    def _look(self, images: Any, labels: Any, *, losses: bool) -> Evaluation:
        feed = self._feed(images, labels)
        found: list[tuple[Tensor, Tensor]] = [(torch.empty(0), torch.empty(0))] * len(self._shards)

        def look(i: int) -> None:
            found[i] = self._shards[i].evaluate(feed, losses)

        with torch.no_grad():
            if self.device.type == "cpu":
                self._each(look)
            else:
                kept = self._graphs.run(
                    (feed, losses), lambda: [s.evaluate(feed, losses) for s in self._shards]
                )
                found = kept
        # float64, so that 324 of 360 is 0.9 as the reader of a threshold means it
        nats, hits = (self._collect(list(kind)) for kind in zip(*found, strict=True))
        return Evaluation(nats.div_(len(feed)), hits.double().div_(len(feed)))

    # Helpers.

    def _each(self, work: Callable[[int], None]) -> None:
        """Do some work on every shard, each on one thread, all threads at once."""
        before = torch.get_num_threads()
        if before != 1:
            torch.set_num_threads(1)  # inside an operation; the threads are ours
        waiting = iter(range(len(self._shards)))

        @torch.no_grad()
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

    def _feed(self, images: Any, labels: Any) -> Feed:
        """A checked set; what was checked is remembered, for the same set comes every step."""
        versions = [x._version for x in (images, labels) if isinstance(x, Tensor)]
        for seen in self._seen:
            if seen[0] is images and seen[1] is labels and seen[2] in (None, versions):
                return seen[3]
        feed = Feed(images, labels, self._program, self.replicas, self.device)
        # a copy would miss what is later written into the original
        shares = feed.shares(images, labels)
        if shares or self.device.type != "cpu":
            entry = images, labels, None if shares else versions, feed
            self._seen = [entry, *self._seen[: _SEEN - 1]]
        return feed
