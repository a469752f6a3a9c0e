"""Which layers a reset touches: all, the last so many, or those that are named."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn

from resetsgd import domain
from resetsgd.errors import DomainError

__all__ = ["Layers", "Selection", "select", "unwrapped"]

Layers = int | str | list[str] | tuple[str, ...] | None


class Selection(NamedTuple):
    """Positions of the chosen tensors in ``model.parameters()`` and ``model.buffers()``."""

    parameters: tuple[int, ...]
    buffers: tuple[int, ...]
    whole: bool


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside ``torch.compile`` and (distributed) data parallelism."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        inner: Any = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, wrappers):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def select(model: nn.Module, layers: Layers = None) -> Selection:
    """Find the tensors of some layers.

    Parameters
    ----------
    model : nn.Module
        Compiled and data-parallel wrappers are looked through: names are those of the model inside.
    layers : None, int, str, or list of str
        None is everything. A number k is the last k layers, a layer being a module that holds
        parameters of its own (batch normalisation is one), in the order in which they were made.
        A name is that of a module, which stands for all inside it, or of a parameter.

    Raises
    ------
    DomainError
        If there is no such layer, or there are not so many.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1))
    >>> select(model, 2)
    Selection(parameters=(2, 3, 4, 5), buffers=(0, 1, 2), whole=False)
    >>> select(model, ["3", "0.bias"])
    Selection(parameters=(1, 4, 5), buffers=(), whole=False)
    """
    places = {id(p): i for i, p in enumerate(model.parameters())}
    buffers = {id(b): i for i, b in enumerate(model.buffers())}
    if layers is None:
        return Selection(tuple(range(len(places))), tuple(range(len(buffers))), True)
    inner = unwrapped(model)
    holders = [n for n, m in inner.named_modules() if any(True for _ in m.parameters(False))]
    if isinstance(layers, str):
        names = [layers]
    elif isinstance(layers, (list, tuple)):
        names = list(layers)
    else:
        k = domain.integer("layers", layers, 1, len(holders))
        names = holders[-k:]
    parameters = list(inner.named_parameters(remove_duplicate=False))
    standing = list(inner.named_buffers(remove_duplicate=False))
    known = {name for name, _ in inner.named_modules()} | {name for name, _ in parameters}
    if not names or any(name not in known for name in names):
        missing = next((name for name in names if name not in known), names)
        raise DomainError("layers", missing, "among " + ", ".join(n or "''" for n in holders))

    def inside(name: str) -> bool:
        return any(name == part or part == "" or name.startswith(f"{part}.") for part in names)

    chosen = {places[id(p)] for name, p in parameters if inside(name)}
    if not chosen:
        raise DomainError("layers", layers, "among those with parameters: " + ", ".join(holders))
    return Selection(
        tuple(sorted(chosen)),
        tuple(sorted({buffers[id(b)] for name, b in standing if inside(name)})),
        len(chosen) == len(places),
    )
