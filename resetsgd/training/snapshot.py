"""A snapshot of a model and its optimizer: deep when taken, in place when restored."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError, StreamMismatch
from resetsgd.training.storage import digest

__all__ = ["Snapshot"]

_CHOICES = ("keep", "restore")


class Snapshot:
    """Parameters, buffers and optimizer state at one moment; made by :meth:`capture`.

    Notes
    -----
    PyTorch's own ``optimizer.load_state_dict(kept)`` does not copy: the live optimizer goes on with
    the very tensors of ``kept``, and the next step overwrites them. A snapshot shares nothing with
    what it was taken from or restored to.

    What it holds: every parameter and buffer of the model (batch-norm statistics and non-persistent
    buffers included), the whole state of the optimizer (and of an inner ``base_optimizer``, as
    sharpness-aware optimizers have), and the hyper-parameters of its groups. What it does not hold:
    gradients, learning-rate schedulers, gradient scalers, random states, and anything else that
    lives outside model and optimizer; a reset leaves those as they are.

    Tensors are matched by position, not by name, so that compiled or wrapped models work.

    Examples
    --------
    >>> model = nn.Linear(2, 1)
    >>> optimizer = torch.optim.Adam(model.parameters())
    >>> snapshot = Snapshot.capture(model, optimizer)
    >>> before = model.weight.clone()
    >>> model(torch.ones(3, 2)).sum().backward()
    >>> optimizer.step()
    >>> bool((model.weight == before).all())
    False
    >>> snapshot.restore()
    >>> bool((model.weight == before).all()), len(optimizer.state)
    (True, 0)
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, kept: dict[str, Any]) -> None:
        self._model = model
        self._optimizer = optimizer
        self._kept = kept

    @classmethod
    def capture(cls, model: nn.Module, optimizer: Optimizer) -> Snapshot:
        """Copy everything, now.

        Parameters
        ----------
        model : nn.Module
            Its parameters must be initialised (no lazy ones).
        optimizer : Optimizer
            Over parameters of this model and no others: what the model does not own would be left
            behind by a reset.

        Raises
        ------
        DomainError
            If the optimizer is not one, or is another model's.
        """
        check(model, optimizer)
        positions = _positions(model)
        return cls(
            model,
            optimizer,
            {
                "parameters": [_copy(p) for p in model.parameters()],
                "buffers": [_copy(b) for b in model.buffers()],
                "optimizers": [
                    {
                        "state": {_key(k, positions): _copy(v) for k, v in one.state.items()},
                        "groups": [
                            {k: _copy(v) for k, v in group.items() if k != "params"}
                            for group in one.param_groups
                        ],
                    }
                    for one in _chain(optimizer)
                ],
            },
        )

    def restore(self, *, learning_rate: str = "keep", hyperparameters: str = "keep") -> None:
        """Put model and optimizer back, in place; the snapshot can be restored any number of times.

        Values are copied into the live tensors, whose addresses stay (compiled code and CUDA graphs
        that hold them stay valid). Optimizer state that did not exist when the snapshot was taken
        is removed, so that the next step starts it afresh exactly as it did then; state that
        existed then and is gone is made anew.

        Parameters
        ----------
        learning_rate : {"keep", "restore"}
            The live learning rate stays (default): it belongs to the schedule, and schedulers that
            compute the next rate from the present one never recover from a changed rate. Or it goes
            back with the rest (``lr`` and ``initial_lr`` of each group).
        hyperparameters : {"keep", "restore"}
            The same choice for all other entries of the parameter groups (momentum, betas, weight
            decay, ...), which a schedule may also drive.

        Raises
        ------
        DomainError
            For another word, or if the model does not have the shapes it had, or if the optimizer
            does not drive it any more.
        """
        rate = domain.choice("learning_rate", learning_rate, _CHOICES) == "restore"
        rest = domain.choice("hyperparameters", hyperparameters, _CHOICES) == "restore"
        check(self._model, self._optimizer)  # nothing is touched unless everything fits
        problem = self._misfit(self._kept)
        if problem is not None:
            raise DomainError("model", problem, "the one of the snapshot, its tensors unchanged")
        owners = list(self._model.parameters())
        with torch.no_grad():
            for name, tensors in (("parameters", owners), ("buffers", self._model.buffers())):
                for live, value in zip(tensors, self._kept[name], strict=True):
                    live.copy_(value)
            for one, held in zip(_chain(self._optimizer), self._kept["optimizers"], strict=True):
                state = {
                    owners[k] if isinstance(k, int) else k: v for k, v in held["state"].items()
                }
                for key in [key for key in one.state if key not in state]:
                    del one.state[key]
                for key, value in state.items():
                    one.state[key] = _put(one.state.get(key), value)
                for group, values in zip(one.param_groups, held["groups"], strict=False):
                    for name, value in values.items():
                        if rate if name in ("lr", "initial_lr") else rest:
                            group[name] = _put(group.get(name), value)

    def state_dict(self) -> dict[str, Any]:
        """A copy of the contents: tensors, numbers and text in dicts and lists.

        :func:`resetsgd.training.storage.write` keeps it in a file.
        """
        copied: dict[str, Any] = _copy(self._kept)
        return copied

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the contents of another snapshot's :meth:`state_dict`, by copy.

        Raises
        ------
        StreamMismatch
            If it was taken of a model or optimizer of other shapes.
        CorruptData
            If something is missing.
        """
        try:
            problem = self._misfit(state)
        except (KeyError, TypeError, AttributeError) as error:
            raise CorruptData(f"snapshot is damaged: {error!r}") from None
        if problem is not None:
            raise StreamMismatch(f"snapshot is of another model: {problem}")
        self._kept = _copy(state)
        # a file gives tensors on the CPU: what is shaped like a parameter must live beside it
        owners = list(self._model.parameters())
        for held in self._kept["optimizers"]:
            for key, values in held["state"].items():
                if isinstance(key, int):
                    like = [n for n, v in values.items() if _shape(v) == owners[key].shape]
                    values |= {n: values[n].to(owners[key].device) for n in like}

    def digest(self) -> str:
        """SHA-256 of the contents: equal if and only if every bit is equal."""
        return digest(self._kept)

    def _misfit(self, kept: Mapping[str, Any]) -> str | None:
        """What does not fit the live model and optimizer, or None."""
        for name, live in (
            ("parameters", list(self._model.parameters())),
            ("buffers", list(self._model.buffers())),
        ):
            mine = [f"{t.dtype} {tuple(t.shape)}" for t in live]
            found = [f"{t.dtype} {tuple(t.shape)}" for t in kept[name]]
            if len(mine) != len(found):
                return f"{len(mine)} {name} against {len(found)}"
            for i, (ours, theirs) in enumerate(zip(mine, found, strict=True)):
                if ours != theirs:
                    return f"{name}[{i}] is {ours} against {theirs}"
        optimizers, held = _chain(self._optimizer), kept["optimizers"]
        if len(optimizers) != len(held):
            return f"{len(optimizers)} optimizers against {len(held)}"
        for one, values in zip(optimizers, held, strict=True):
            if len(one.param_groups) < len(values["groups"]):
                return f"{len(one.param_groups)} groups against {len(values['groups'])}"
            if any(isinstance(k, int) and k >= len(kept["parameters"]) for k in values["state"]):
                return "state of a parameter that does not exist"
        return None


def check(model: nn.Module, optimizer: Optimizer) -> None:
    """``DomainError`` unless the optimizer drives parameters of this model and no others."""
    if not isinstance(model, nn.Module):
        raise DomainError("model", type(model).__name__, "a torch.nn.Module")
    if not isinstance(optimizer, Optimizer):
        raise DomainError("optimizer", type(optimizer).__name__, "a torch.optim.Optimizer")
    if any(nn.parameter.is_lazy(t) for t in (*model.parameters(), *model.buffers())):
        raise DomainError("model", type(model).__name__, "initialised: run one forward pass first")
    positions = _positions(model)
    for one in _chain(optimizer):
        foreign = sum(id(p) not in positions for group in one.param_groups for p in group["params"])
        foreign += sum(isinstance(k, Tensor) and id(k) not in positions for k in one.state)
        if foreign:
            raise DomainError(
                "optimizer",
                f"{type(one).__name__} with {foreign} tensors that are not of the model",
                "an optimizer over parameters of this model",
            )


def _positions(model: nn.Module) -> dict[int, int]:
    return {id(parameter): i for i, parameter in enumerate(model.parameters())}


def _chain(optimizer: Optimizer) -> list[Optimizer]:
    """The optimizer and those it wraps; a wrapper's own ``state`` does not hold their momentum."""
    found = [optimizer]
    while isinstance(inner := getattr(found[-1], "base_optimizer", None), Optimizer):
        if any(inner is known for known in found):
            break
        found.append(inner)
    return found


def _key(key: Any, positions: dict[int, int]) -> int | str:
    """A parameter's position, or the text under which an optimizer keeps state of its own."""
    return positions[id(key)] if isinstance(key, Tensor) else str(key)


def _shape(value: Any) -> torch.Size | None:
    return value.shape if isinstance(value, Tensor) else None


def _copy(value: Any) -> Any:
    """A copy that shares nothing."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copy(item) for item in value)
    return copy.deepcopy(value)


def _put(live: Any, kept: Any) -> Any:
    """What goes in the place of ``live``: itself with the kept values in it wherever possible."""
    if isinstance(kept, Tensor):
        if isinstance(live, Tensor) and live.shape == kept.shape and live.dtype == kept.dtype:
            return live.copy_(kept)
        return kept.clone()
    if isinstance(kept, dict) and isinstance(live, dict):
        for key in [key for key in live if key not in kept]:
            del live[key]
        for key, item in kept.items():
            live[key] = _put(live.get(key), item)
        return live
    if type(kept) is list and type(live) is list and len(live) == len(kept):
        live[:] = [_put(old, new) for old, new in zip(live, kept, strict=True)]
        return live
    return _copy(kept)
