"""The replicas of an ensemble: their settings and states, and which shard holds which of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError, StreamMismatch
from resetsgd.training.ensemble.feed import Feed
from resetsgd.training.ensemble.graphs import Graphs, device_of
from resetsgd.training.ensemble.program import Program
from resetsgd.training.ensemble.shard import Shard
from resetsgd.training.ensemble.stacked import PRECISIONS
from resetsgd.training.network import MLP, State

__all__ = ["Replicas"]

_PAIR = 256
"""Replicas in two shards: a step of one takes long against what Python costs between products."""

_PAIR_OF_MAPS = 8
"""The same for convolutional networks, of which one replica takes long enough."""


class Replicas:
    """What an ensemble is before it trains; ``Ensemble`` describes the arguments."""

    def __init__(
        self,
        network: MLP | nn.Module,
        replicas: int,
        *,
        learning_rate: float | Sequence[float],
        momentum: float = 0.0,
        batch_size: int | Sequence[int] = 32,
        seed: int | Sequence[int] = 0,
        first_replica: int = 0,
        threads: int | None = None,
        device: torch.device | str = "cpu",
        precision: str = "float32",
        together: int | None = None,
        convolution: str = "grouped",
    ) -> None:
        self.network = network
        replicas = domain.integer("replicas", replicas, 1)
        self.first_replica = domain.integer("first_replica", first_replica, 0, 2**32 - replicas)
        self.device = device_of(device)
        self.precision = domain.choice("precision", precision, tuple(PRECISIONS))
        if together is not None:
            together = domain.integer("together", together, 1)
        self.together = together
        threads = torch.get_num_threads() if threads is None else threads
        self.threads = domain.integer("threads", threads, 1)
        self._momentum = float(domain.single("momentum", momentum, _below_one))
        if isinstance(network, MLP):
            module: nn.Module = network.module(network.initial())
        elif isinstance(network, nn.Module):
            module = network
        else:
            raise DomainError("network", type(network).__name__, "an MLP or a torch.nn.Module")
        self.convolution = domain.choice("convolution", convolution, ("grouped", "products"))
        self._program = Program(module, products=convolution == "products")
        self.batch_size = _each(batch_size, replicas, lambda b: domain.integer("batch_size", b, 1))
        self.seed = _each(seed, replicas, lambda s: domain.integer("seed", s, 0, 2**64 - 1))
        self._arrange(self.first_replica + np.arange(replicas))
        self.learning_rate = learning_rate
        self.step = 0
        if not isinstance(network, MLP):
            self.load(State.of(network))

    def _arrange(self, indices: npt.NDArray[np.int64]) -> None:
        """Shards for replicas of these indices; batch sizes and seeds are there already."""
        self.replicas, self.indices = len(indices), indices
        sizes = np.asarray(_spread(self.batch_size, self.replicas))
        seeds = _spread(self.seed, self.replicas)
        self._shards: list[Shard] = []
        convolutional = self._program.convolutional
        for size in dict.fromkeys(sizes.tolist()):
            rows = np.flatnonzero(sizes == size)
            # an even number of shards of nearly equal size, whatever the number of threads
            pair = _PAIR_OF_MAPS if convolutional else _PAIR
            count = min(len(rows), 2 * -(-len(rows) // pair)) if self.device.type == "cpu" else 1
            for part in np.array_split(rows, count):
                default = 1 if convolutional and self.device.type == "cpu" else len(part)
                together = min(self.together or default, len(part))
                program = copy.deepcopy(self._program)
                own = [seeds[row] for row in part]
                precision = PRECISIONS[self.precision]
                shard = Shard(
                    program, own, indices[part], part, size, self.device, precision, together
                )
                self._shards.append(shard)
        self._where = {
            int(place): (i, row)
            for i, shard in enumerate(self._shards)
            for row, place in enumerate(shard.places.tolist())
        }
        protected = [t for s in self._shards for t in (s.flat, s.counts, s.resets)]
        self._graphs = Graphs(self.device, protected)
        self._pool: ThreadPoolExecutor | None = None
        self._seen: list[tuple[Any, Any, Any, Feed]] = []
        self._kept: Any = None

    # Settings that may change between steps.

    @property
    def learning_rate(self) -> Any:
        """Learning rate, or an array with that of each replica."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._learning_rate = domain.positive("learning_rate", value)
        rates = self._per_replica("learning_rate", self._learning_rate, torch.float64)
        for shard in self._shards:
            shard.rates.copy_(rates[shard.places].unsqueeze(1))

    @property
    def momentum(self) -> float:
        """Momentum of the optimizer."""
        return self._momentum

    @momentum.setter
    def momentum(self, value: float) -> None:
        self._momentum = domain.single("momentum", value, _below_one)

    @property
    def resets(self) -> Tensor:
        """How often each replica was reset, int64 of shape (K,)."""
        return self._collect([shard.resets for shard in self._shards])

    # States.

    def load(self, state: State) -> None:
        """Put the replicas into a state (the step counter stays).

        Parameters
        ----------
        state : State
            Of one network, for all of them, or one for each replica (``State.stacked``).
        """
        self._check("state", state)
        single = not self.is_stacked(state)
        for shard in self._shards:
            shard.write(state, slice(None) if single else shard.places)

    def state(self, replica: int) -> State:
        """A copy of the state of one replica, counted from 0 in this ensemble."""
        i, row = self._where[domain.integer("replica", replica, 0, self.replicas - 1)]
        return self._shards[i].read(row)

    def states(self) -> State:
        """A copy of the states of all replicas, each tensor with the replicas in front."""
        parts = [shard.read(slice(None)) for shard in self._shards]
        return State(
            *(
                tuple(self._collect(list(same)) for same in zip(*kind, strict=True))
                for kind in (
                    [part.parameters for part in parts],
                    [part.momentum for part in parts],
                    [part.buffers for part in parts],
                )
            )
        )

    def is_stacked(self, state: State) -> bool:
        """Whether a state holds a state for each replica, rather than that of one network."""
        return state.parameters[0].ndim > len(self._program.shapes[0])

    def renew(self, checkpoint: State, mask: Any) -> None:
        """Write the present state of some replicas into a checkpoint with one for each replica.

        Parameters
        ----------
        checkpoint : State
            That of :meth:`states`; changed in place. A checkpoint that follows the best state so
            far is ``renew(checkpoint, accuracies > best)``.
        mask : array or Tensor of bool, shape (K,)
            Which replicas.
        """
        self._check("checkpoint", checkpoint)
        chosen = torch.as_tensor(mask).to(self.device)
        if not self.is_stacked(checkpoint) or chosen.shape != (self.replicas,):
            raise DomainError("checkpoint", "of one network", "one for each replica, as the mask")
        for shard in self._shards:
            mine = chosen[shard.places]
            kept = (*checkpoint.parameters, *checkpoint.momentum, *checkpoint.buffers)
            for target, live in zip(kept, shard.tensors, strict=True):
                wide = mine.view(-1, *[1] * (live.ndim - 1))
                target[shard.places] = torch.where(wide, live, target[shard.places])

    def subset(self, replicas: Any) -> Self:
        """A copy of some replicas, which draw what they would have drawn here.

        Parameters
        ----------
        replicas : sequence or array of int
            Which ones, counted from 0 in this ensemble.
        """
        chosen = [domain.integer("replicas", k, 0, self.replicas - 1) for k in replicas]
        if not chosen:
            raise DomainError("replicas", chosen, "one or more")
        other = copy.copy(self)
        for name in ("batch_size", "seed"):
            if not isinstance(value := getattr(self, name), int):
                setattr(other, name, [value[k] for k in chosen])
        other._arrange(self.indices[chosen])
        rate = self.learning_rate
        other.learning_rate = rate if isinstance(rate, float) else np.asarray(rate)[chosen]
        rows = torch.tensor(chosen, device=self.device)
        whole, resets = self.states(), self.resets
        other.load(whole.chosen(chosen))
        for shard in other._shards:
            shard.resets.copy_(resets[rows[shard.places]])
        return other

    def state_dict(self) -> dict[str, Any]:
        """Copies of parameters and momenta; step, hyper-parameters, and what keys the streams."""
        whole, rate = self.states(), self.learning_rate
        return {
            "parameters": list(whole.parameters),
            "momentum": list(whole.momentum),
            "buffers": list(whole.buffers),
            "resets": self.resets,
            "step": self.step,
            "hyperparameters": [
                rate if isinstance(rate, float) else np.asarray(rate).tolist(),
                self.momentum,
            ],
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
            kinds = [tuple(state[name]) for name in ("parameters", "momentum", "buffers")]
            kept, resets = State(*kinds), state["resets"]
            shapes = tuple(resets.shape)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptData(f"ensemble state is damaged: {error!r}") from None
        if found != self._streams():
            raise StreamMismatch(f"ensemble state is of {found}, not of {self._streams()}")
        try:
            self._check("state", kept)
        except (DomainError, AttributeError, TypeError):
            shapes = ()
        if shapes != (self.replicas,) or not self.is_stacked(kept):
            raise CorruptData("ensemble state is damaged: tensors are missing or of other shapes")
        self.load(kept)
        for shard in self._shards:
            shard.resets.copy_(resets.to(self.device)[shard.places])
        self.step, self.learning_rate, self.momentum = step, learning_rate, momentum

    def _streams(self) -> dict[str, Any]:
        return {
            "network": self._program.signature,
            "replicas": self.indices.tolist(),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "precision": self.precision,
        }

    # Helpers.

    def _collect(self, parts: list[Tensor]) -> Tensor:
        """One tensor with all replicas in order, from that of each shard."""
        whole = torch.empty(self.replicas, *parts[0].shape[1:], dtype=parts[0].dtype)
        whole = whole.to(self.device)
        for shard, part in zip(self._shards, parts, strict=True):
            whole[shard.places] = part
        return whole

    def _per_replica(self, name: str, value: Any, dtype: torch.dtype) -> Tensor:
        """A tensor (K,) of one value for all replicas, or one for each."""
        array = np.asarray(value)
        if array.shape not in ((), (self.replicas,)):
            raise DomainError(
                name, array.shape, f"one, or one for each of {self.replicas} replicas"
            )
        spread = np.broadcast_to(array, (self.replicas,)).copy()
        return torch.from_numpy(spread).to(dtype).to(self.device)

    def _check(self, name: str, state: State) -> None:
        """``DomainError`` unless it is a state of one of these networks, or of all."""
        shapes = self._program.shapes
        found = [tuple(t.shape) for t in state.parameters]
        lead: tuple[int, ...] = () if found == shapes else (self.replicas,)
        fits = found == [(*lead, *shape) for shape in shapes]
        fits = fits and found == [tuple(t.shape) for t in state.momentum]
        real = {torch.float32, torch.promote_types(PRECISIONS[self.precision], torch.float32)}
        fits = fits and {t.dtype for t in (*state.parameters, *state.momentum)} <= real
        types = [{torch.int64} if counts else real for counts in self._program.counters]
        expected = [(*lead, *shape) for shape in self._program.buffer_shapes]
        fits = fits and [tuple(b.shape) for b in state.buffers] == expected
        if not (fits and all(b.dtype in t for b, t in zip(state.buffers, types, strict=True))):
            raise DomainError(
                name, found, f"float32 tensors of shapes {shapes}, or {self.replicas}"
            )


def _each(value: Any, replicas: int, check: Callable[[Any], int]) -> Any:
    """One whole number, or a list with one for each replica."""
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str):
        return check(value)
    checked = [check(item) for item in value]
    if len(checked) != replicas:
        check(checked)  # refuses what is no number, and names it
    return checked


def _spread(value: Any, replicas: int) -> list[int]:
    return [value] * replicas if isinstance(value, int) else list(value)


def _below_one(name: str, value: Any) -> Any:
    return domain.probability(name, value, one=False)
