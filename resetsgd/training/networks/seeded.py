"""Modules that are drawn from a seed and leave the global generator as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from resetsgd import domain
from resetsgd.errors import DomainError

__all__ = ["parameter_count", "seeded"]

Module = TypeVar("Module", bound=nn.Module)


def seeded(seed: int, build: Callable[[], Module]) -> Module:
    """What ``build`` makes when torch's CPU generator begins at this seed.

    Parameters
    ----------
    seed : int
        In [0, 2**63).
    build : callable
        Makes the module; its layers draw their weights as they always do.

    Raises
    ------
    DomainError
        For a seed outside its range.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> a, b = (seeded(3, lambda: nn.Linear(4, 2)) for _ in range(2))
    >>> torch.equal(a.weight, b.weight), torch.equal(before, torch.get_rng_state())
    (True, True)
    """
    seed = domain.integer("seed", seed, 0, 2**63 - 1)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build()


def parameter_count(module: nn.Module) -> int:
    """Number of trainable parameters.

    Parameters
    ----------
    module : nn.Module
        Any module whose parameters have shapes.

    Raises
    ------
    DomainError
        If it is no module.

    Examples
    --------
    >>> parameter_count(nn.Linear(4, 2))
    10
    """
    if not isinstance(module, nn.Module):
        raise DomainError("module", type(module).__name__, "a torch.nn.Module")
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
