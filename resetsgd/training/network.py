"""One multilayer perceptron as a specification, its state, and bridges to ``torch.nn``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.streams import Purpose, uniforms

__all__ = ["MLP", "State", "tensor"]


def tensor(name: str, value: Any) -> Tensor:
    """A tensor that shares the memory of an array, or the tensor itself; for reading only."""
    if isinstance(value, Tensor):
        return value.detach()
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise DomainError(name, value, "a torch tensor or a NumPy array of numbers")
    with warnings.catch_warnings():
        # torch warns that writing to a read-only array is undefined; nothing here writes to it
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(np.ascontiguousarray(value))


@dataclass(frozen=True, eq=False)
class State:
    """Parameters, momentum and buffers of one network: what a reset goes back to.

    Parameters
    ----------
    parameters : tuple of Tensor
        Those of ``nn.Module.parameters()``, in order.
    momentum : tuple of Tensor
        Momentum buffers of the same shapes. Zeros are the same as no momentum yet, bit for bit.
    buffers : tuple of Tensor
        Those of ``nn.Module.buffers()``, in order: the running statistics of batch norm.

    Notes
    -----
    Where many replicas are put into states of their own, each tensor has one more dimension in
    front: that of the replicas (:meth:`stacked`).

    Examples
    --------
    >>> layer = nn.Linear(2, 1)
    >>> kept = State.of(layer)
    >>> nn.init.zeros_(layer.weight)
    Parameter containing:
    tensor([[0., 0.]], requires_grad=True)
    >>> kept.into(layer)
    >>> bool(layer.weight.any()), State.of(layer).same(kept)
    (True, True)
    """

    parameters: tuple[Tensor, ...]
    momentum: tuple[Tensor, ...]
    buffers: tuple[Tensor, ...] = ()

    @classmethod
    def of(cls, module: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> State:
        """Copies of the state of a module, and of its SGD momentum if given.

        Parameters
        ----------
        module : nn.Module
            Any module.
        optimizer : torch.optim.SGD, optional
            Where the momentum is read; without it, or before its first step, it is zero.

        Raises
        ------
        DomainError
            If the optimizer is not SGD.
        """
        if optimizer is not None and not isinstance(optimizer, torch.optim.SGD):
            raise DomainError("optimizer", type(optimizer).__name__, "torch.optim.SGD or None")
        parameters, momentum = [], []
        for parameter in module.parameters():
            held = optimizer.state.get(parameter, {}) if optimizer is not None else {}
            buffer = held.get("momentum_buffer")
            parameters.append(parameter.detach().clone())
            momentum.append(
                torch.zeros_like(parameters[-1]) if buffer is None else buffer.detach().clone()
            )
        buffers = tuple(buffer.detach().clone() for buffer in module.buffers())
        return cls(tuple(parameters), tuple(momentum), buffers)

    @classmethod
    def stacked(cls, states: Sequence[State]) -> State:
        """The states of several replicas of one network as one.

        Raises
        ------
        DomainError
            If there is none, or they are of different networks.
        """
        states = list(states)
        kinds = {tuple((t.shape, t.dtype) for t in state._tensors()) for state in states}
        if len(kinds) != 1:
            raise DomainError("states", len(states), "one or more states of one network")
        return cls(
            tuple(map(torch.stack, zip(*(s.parameters for s in states), strict=True))),
            tuple(map(torch.stack, zip(*(s.momentum for s in states), strict=True))),
            tuple(map(torch.stack, zip(*(s.buffers for s in states), strict=True))),
        )

    def chosen(self, replicas: Any) -> State:
        """Copies of the states of some replicas, of a stacked state.

        Parameters
        ----------
        replicas : sequence or array of int
            Which ones, counted from 0.
        """
        rows = torch.as_tensor(replicas, device=self.parameters[0].device)
        kinds = self.parameters, self.momentum, self.buffers
        return State(*(tuple(t[rows].clone() for t in kind) for kind in kinds))

    @torch.no_grad()
    def into(self, module: nn.Module) -> None:
        """Write parameters and buffers into a module, in place.

        Raises
        ------
        DomainError
            If the module has others.
        """
        live, kept = [*module.parameters(), *module.buffers()], (*self.parameters, *self.buffers)
        if [t.shape for t in live] != [t.shape for t in kept]:
            raise DomainError("module", type(module).__name__, "the network of this state")
        for target, source in zip(live, kept, strict=True):
            target.copy_(source)

    def same(self, other: State) -> bool:
        """Whether two states are equal bit for bit."""
        mine, theirs = self._tensors(), other._tensors()
        return len(mine) == len(theirs) and all(
            a.shape == b.shape and a.cpu().numpy().tobytes() == b.cpu().numpy().tobytes()
            for a, b in zip(mine, theirs, strict=True)
        )

    def _tensors(self) -> tuple[Tensor, ...]:
        return (*self.parameters, *self.momentum, *self.buffers)


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron: linear layers with ReLU between them, logits at the end.

    Parameters
    ----------
    widths : tuple of int
        Features of the input, of each hidden layer, and number of classes.

    Examples
    --------
    >>> network = MLP(widths=(64, 32, 10))
    >>> network.parameters
    2410
    >>> state = network.initial(seed=0)
    >>> [tuple(p.shape) for p in state.parameters]
    [(32, 64), (32,), (10, 32), (10,)]
    >>> network.module(state)
    Sequential(
      (0): Linear(in_features=64, out_features=32, bias=True)
      (1): ReLU()
      (2): Linear(in_features=32, out_features=10, bias=True)
    )
    """

    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        widths = tuple(domain.integer("widths", width, 1) for width in self.widths)
        if len(widths) < 2 or widths[-1] < 2:
            raise DomainError(
                "widths", self.widths, "input, hidden widths, and two classes or more"
            )
        object.__setattr__(self, "widths", widths)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of all parameters in order."""
        layers = pairwise(self.widths)
        return tuple(shape for fan_in, out in layers for shape in ((out, fan_in), (out,)))

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    def initial(self, seed: int = 0) -> State:
        """Random initial state: every parameter uniform within 1/sqrt(fan-in), no momentum.

        The law is that of ``nn.Linear``; the stream is keyed by the seed and leaves torch's global
        generator alone.
        """
        parameters = []
        for i, shape in enumerate(self.shapes):
            bound = self.widths[i // 2] ** -0.5
            drawn = uniforms(seed, Purpose.INITIAL, int(np.prod(shape)), step=i)
            values = (bound * (2.0 * drawn - 1.0)).astype(np.float32).reshape(shape)
            parameters.append(torch.from_numpy(values))
        return State(tuple(parameters), tuple(torch.zeros_like(p) for p in parameters))

    def module(self, state: State) -> nn.Sequential:
        """The network as a plain ``nn.Sequential`` with copies of these parameters."""
        self.check("state", state)
        layers: list[nn.Module] = []
        for i, (fan_in, out) in enumerate(pairwise(self.widths)):
            if i:
                layers.append(nn.ReLU())
            # meta first: no draw from the global generator for values that are overwritten
            layers.append(nn.Linear(fan_in, out, device="meta").to_empty(device="cpu"))
        sequential = nn.Sequential(*layers)
        state.into(sequential)
        return sequential

    def state(self, module: nn.Module, optimizer: torch.optim.SGD | None = None) -> State:
        """The state of a module with this network's parameters, and its SGD momentum if given.

        Parameters
        ----------
        module : nn.Module
            Its parameters, in order, must have this network's shapes.
        optimizer : torch.optim.SGD, optional
            Where the momentum is read; without it, or before its first step, it is zero.

        Raises
        ------
        DomainError
            If the module is another network, or the optimizer is not SGD.
        """
        state = State.of(module, optimizer)
        self.check("module", state)
        return state

    def check(self, name: str, state: State) -> None:
        """``DomainError`` unless the state has this network's shapes, in float32."""
        for tensors in (state.parameters, state.momentum):
            found = tuple(tuple(tensor.shape) for tensor in tensors)
            if (
                state.buffers
                or found != self.shapes
                or any(t.dtype != torch.float32 for t in tensors)
            ):
                raise DomainError(name, found, f"float32 tensors of shapes {self.shapes}")
