"""Where a reset goes: the best state so far, a fixed one, one of several, or a fresh start.

A target is a frozen value. It says at which moments a checkpoint is taken and how many are kept; or
it makes the place to go to at the moment of the reset.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.resets.layers import unwrapped
from resetsgd.training.streams import Purpose, words

__all__ = [
    "NEVER",
    "AtStep",
    "Best",
    "Cloud",
    "Fresh",
    "Initial",
    "Latest",
    "MadeTarget",
    "Origin",
    "Target",
]

NEVER = 2**63
"""A step that does not come."""


class Target:
    """Base of the places a reset can go to."""

    size: int = 1
    """How many checkpoints are kept."""
    on_better: ClassVar[bool] = False
    """Whether one is taken when the metric is better than ever before."""
    at_once: ClassVar[bool] = False
    """Whether one is taken before training."""
    renewed: ClassVar[bool] = False
    """Whether another checkpoint comes later, so that a bad moment can be left out."""

    def next_step(self, after: int) -> int:
        """The first step after ``after`` at which a checkpoint is taken."""
        return NEVER

    def check(self, model: nn.Module) -> None:
        """``DomainError`` if this model has no such place."""


class MadeTarget(Target, ABC):
    """Base of the places that are made at the moment of the reset; no checkpoint is kept."""

    @abstractmethod
    def make(self, model: nn.Module, seed: int, step: int) -> tuple[list[Tensor], list[Tensor]]:
        """Parameters and buffers of the place, copies.

        Parameters
        ----------
        model : nn.Module
            The model in training, which is left as it is.
        seed, step : int
            That of the resetter, and the number of optimizer steps: key of whatever is drawn.
        """


@dataclass(frozen=True)
class Best(Target):
    """The state with the best metric observed so far.

    Parameters
    ----------
    adaptive : bool
        Whether the place of the resets follows when a better state is found after resetting has
        begun (default); else it stays what was best at that time, and the resetter's
        ``best_snapshot`` alone follows.

    Examples
    --------
    >>> Best()
    Best(adaptive=True)
    """

    adaptive: bool = True
    on_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.adaptive, bool):
            raise DomainError("adaptive", self.adaptive, "True or False")


@dataclass(frozen=True)
class Initial(Target):
    """The state at the time the resetter was made: the very same initialisation, each time.

    Examples
    --------
    >>> Initial()
    Initial()
    """

    at_once: ClassVar[bool] = True


@dataclass(frozen=True)
class AtStep(Target):
    """The state after a given step; before it nothing is reset.

    Parameters
    ----------
    step : int
        Of the optimizer, from 1 on.

    Examples
    --------
    >>> AtStep(1000)
    AtStep(step=1000)
    """

    step: int

    def __post_init__(self) -> None:
        domain.integer("step", self.step, 1)

    def next_step(self, after: int) -> int:
        """That step."""
        return self.step if after < self.step else NEVER


@dataclass(frozen=True)
class Latest(Target):
    """A checkpoint that is renewed at regular steps: rolling back goes at most so far.

    Parameters
    ----------
    every : int
        Steps between checkpoints.

    Examples
    --------
    >>> Latest(every=100)
    Latest(every=100)
    """

    every: int
    renewed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        domain.integer("every", self.every, 1)

    def next_step(self, after: int) -> int:
        """The next multiple."""
        return (after // self.every + 1) * self.every


@dataclass(frozen=True)
class Cloud(Target):
    """One of several checkpoints, each with the same probability, drawn at each reset.

    Parameters
    ----------
    size : int
        How many are kept: the last so many. Memory is that of so many copies.
    every : int, optional
        Steps between them; by default one is taken whenever the metric is better than ever.

    Examples
    --------
    >>> Cloud(5, every=100)
    Cloud(size=5, every=100)
    """

    size: int = 5
    every: int | None = None
    renewed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        domain.integer("size", self.size, 1)
        if self.every is not None:
            domain.integer("every", self.every, 1)

    @property
    def on_better(self) -> bool:  # type: ignore[override]
        """Whether improvements are what it keeps."""
        return self.every is None

    def next_step(self, after: int) -> int:
        """The next multiple."""
        return NEVER if self.every is None else (after // self.every + 1) * self.every


@dataclass(frozen=True)
class Fresh(MadeTarget):
    """A new initialisation, another one at each reset; the optimizer begins afresh.

    It is drawn by the ``reset_parameters`` of the modules, from a generator keyed by (seed, step):
    the same on every rank and after a resume. The global generators are not touched.

    Parameters
    ----------
    initialise : callable, optional
        Initialises the model it is given in place, drawing from torch's global generator (which is
        put back afterwards). Needed if modules hold parameters without knowing how to reset them,
        or if the model was initialised in its own way.

    Examples
    --------
    >>> model = nn.Linear(2, 1, bias=False)
    >>> (first,), _ = Fresh().make(model, seed=0, step=5)
    >>> (again,), _ = Fresh().make(model, seed=0, step=5)
    >>> bool((first == again).all()), bool((first == model.weight).any())
    (True, False)
    """

    initialise: Callable[[nn.Module], object] | None = None

    def __post_init__(self) -> None:
        if self.initialise is not None and not callable(self.initialise):
            raise DomainError("initialise", self.initialise, "a function of the model")

    def check(self, model: nn.Module) -> None:
        """Every module with parameters must know how to reset them."""
        if self.initialise is None:
            for name, module in unwrapped(model).named_modules():
                if any(True for _ in module.parameters(False)) and _own_reset(module) is None:
                    raise DomainError(
                        "initialise",
                        None,
                        f"a function that initialises the model: {name or 'it'} "
                        f"({type(module).__name__}) has parameters and no reset_parameters",
                    )

    def make(self, model: nn.Module, seed: int, step: int) -> tuple[list[Tensor], list[Tensor]]:
        """Draw it, in the model itself, which is then put back."""
        high, low = (int(word) for word in words(seed, Purpose.FRESH, 2, step=step))
        inner = unwrapped(model)
        live = [*model.parameters(), *model.buffers()]
        kept = [tensor.detach().clone() for tensor in live]
        devices = range(torch.cuda.device_count())
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            torch.manual_seed(high << 32 | low)
            try:
                if self.initialise is not None:
                    self.initialise(inner)
                else:
                    for module in inner.modules():
                        reset = _own_reset(module)
                        if reset is not None:
                            reset()
                drawn = [tensor.detach().clone() for tensor in live]
            finally:
                for tensor, value in zip(live, kept, strict=True):
                    tensor.copy_(value)
        count = sum(1 for _ in model.parameters())
        return drawn[:count], drawn[count:]


@dataclass(frozen=True)
class Origin(MadeTarget):
    """Zero: for ``Partial`` resets that shrink, x to factor x. The buffers stay.

    Examples
    --------
    >>> Origin().make(nn.Linear(1, 1, bias=False), seed=0, step=1)
    ([tensor([[0.]])], [])
    """

    def make(self, model: nn.Module, seed: int, step: int) -> tuple[list[Tensor], list[Tensor]]:
        """Zeros, and the buffers as they are."""
        return (
            [torch.zeros_like(p.detach()) for p in model.parameters()],
            [b.detach().clone() for b in model.buffers()],
        )


def _own_reset(module: nn.Module) -> Any:
    """How a module initialises its own parameters, or None."""
    for name in ("reset_parameters", "_reset_parameters"):
        if callable(found := getattr(module, name, None)):
            return found
    return None
