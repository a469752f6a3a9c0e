"""What the weights become at a reset, from where they are and where the reset goes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from resetsgd import domain

__all__ = ["How", "Partial", "Replace", "ShrinkPerturb", "Smallest"]


class How(ABC):
    """Base of what a reset does to the weights; a frozen value without state."""

    momentum: ClassVar[str] = "keep"
    """What happens to the optimizer state unless asked otherwise."""
    buffers: ClassVar[str] = "keep"
    """What happens to the buffers unless asked otherwise."""
    fresh: ClassVar[bool] = False
    """Whether it goes to a fresh initialisation unless asked otherwise."""

    @abstractmethod
    def mix(self, live: list[Tensor], there: list[Tensor]) -> list[Tensor]:
        """New values, from the live ones and those of the place that the reset goes to."""


@dataclass(frozen=True)
class Replace(How):
    """Everything goes back: the weights become those of the checkpoint.

    Examples
    --------
    >>> Replace().mix([torch.ones(2)], [torch.zeros(2)])
    [tensor([0., 0.])]
    """

    momentum: ClassVar[str] = "restore"
    buffers: ClassVar[str] = "restore"

    def mix(self, live: list[Tensor], there: list[Tensor]) -> list[Tensor]:
        """The checkpoint."""
        return there


@dataclass(frozen=True)
class Partial(How):
    """Part of the way: x becomes c + factor (x - c), with c the checkpoint.

    With ``target=Origin()`` c is zero and x becomes ``factor`` x. The state of the optimizer and
    the buffers go on, unless asked otherwise.

    Parameters
    ----------
    factor : float
        What is left of the distance, in [0, 1): 0 is a whole reset.

    Raises
    ------
    DomainError
        If the factor is outside its range.

    Examples
    --------
    >>> Partial(0.25).mix([torch.tensor([5.0])], [torch.tensor([1.0])])
    [tensor([2.])]
    """

    factor: float

    def __post_init__(self) -> None:
        factor = domain.within("factor", self.factor, 0.0, 1.0, open_high=True)
        object.__setattr__(self, "factor", float(factor))

    def mix(self, live: list[Tensor], there: list[Tensor]) -> list[Tensor]:
        """Between the two."""
        return [torch.lerp(c, x, self.factor) for x, c in zip(live, there, strict=True)]


@dataclass(frozen=True)
class Smallest(How):
    """The weights of smallest magnitude go back, the others stay.

    Weights are tensors of two dimensions or more; biases and the scales of normalisations stay. The
    place to go to is any target; ``Fresh`` draws them anew. The state of the optimizer and the
    buffers go on, unless asked otherwise.

    Parameters
    ----------
    fraction : float
        Of the weights, in [0, 1]; rounded to whole weights.
    over : {"tensor", "all"}
        Whether the fraction is taken in each tensor (default) or over all chosen ones together.

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Examples
    --------
    >>> Smallest(0.5).mix([torch.tensor([[3.0, -1.0, 2.0, -4.0]])], [torch.zeros(1, 4)])
    [tensor([[ 3.,  0.,  0., -4.]])]
    """

    fraction: float = 0.3
    over: str = "tensor"

    def __post_init__(self) -> None:
        object.__setattr__(self, "fraction", float(domain.probability("fraction", self.fraction)))
        domain.choice("over", self.over, ("tensor", "all"))

    def mix(self, live: list[Tensor], there: list[Tensor]) -> list[Tensor]:
        """The smallest replaced."""
        weights = [i for i, x in enumerate(live) if x.ndim >= 2]
        groups = [weights] if self.over == "all" and weights else [[i] for i in weights]
        result = list(live)
        for group in groups:
            first = live[group[0]]
            sizes = torch.cat([live[i].abs().reshape(-1).to(first) for i in group])
            small = torch.zeros_like(sizes, dtype=torch.bool)
            count = round(self.fraction * sizes.numel())
            small[torch.topk(sizes, count, largest=False).indices] = True
            for i, part in zip(
                group, torch.split(small, [live[i].numel() for i in group]), strict=True
            ):
                mask = part.reshape(live[i].shape).to(live[i].device)
                result[i] = torch.where(mask, there[i], live[i])
        return result


@dataclass(frozen=True)
class ShrinkPerturb(How):
    """Shrink and perturb: x becomes shrink x + perturb y, with y a fresh initialisation.

    The target is ``Fresh`` unless another is given. The optimizer begins afresh; buffers go
    on (published code scales batch-norm statistics and counters as well).

    Parameters
    ----------
    shrink, perturb : float
        The two factors, from 0 on.

    Raises
    ------
    DomainError
        If a factor is negative or not finite.

    Notes
    -----
    **Source**: Ash and Adams (2020), whose factors are the defaults.

    Examples
    --------
    >>> ShrinkPerturb(0.5, 2.0).mix([torch.tensor([4.0])], [torch.tensor([1.0])])
    [tensor([4.])]
    """

    shrink: float = 0.4
    perturb: float = 0.1
    momentum: ClassVar[str] = "zero"
    fresh: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("shrink", "perturb"):
            value = domain.nonnegative(name, getattr(self, name))
            object.__setattr__(self, name, float(value))

    def mix(self, live: list[Tensor], there: list[Tensor]) -> list[Tensor]:
        """The weighted sum."""
        return [x * self.shrink + y * self.perturb for x, y in zip(live, there, strict=True)]
