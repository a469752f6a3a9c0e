"""A snapshot of a model and its optimizer: deep when taken, in place when restored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError, StreamMismatch
from resetsgd.training.inplace import Writer, copied
from resetsgd.training.resets.how import How, Replace
from resetsgd.training.resets.layers import Layers, Selection, select
from resetsgd.training.storage import digest

__all__ = ["Snapshot"]

_CHOICES = ("keep", "restore")
_ZERO_AT_FIRST = frozenset(
    ("momentum_buffer", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "grad_avg", "step")
)
"""Names of optimizer state that begins at zero in every optimizer of PyTorch that has it."""


class Snapshot:
    """Parameters, buffers and optimizer state at one moment; made by :meth:`capture`.

    Notes
    -----
    PyTorch's own ``optimizer.load_state_dict(kept)`` does not copy: the live optimizer goes on with
    the very tensors of ``kept``, and the next step overwrites them. A snapshot shares nothing with
    what it was taken from or restored to.

    What it holds: every parameter and buffer of the model (batch-norm statistics and non-persistent
    buffers included), the whole state of the optimizer (and of an optimizer inside it, as
    sharpness-aware and averaging ones have), the hyper-parameters of its groups, and what ``also``
    names. What it does not hold: gradients, random states, and anything else that lives outside
    model and optimizer; a reset leaves those as they are.

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

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        kept: dict[str, Any],
        also: Sequence[Any] = (),
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._kept = kept
        self._also = tuple(also)

    @classmethod
    def capture(cls, model: nn.Module, optimizer: Optimizer, also: Sequence[Any] = ()) -> Snapshot:
        """Copy everything, now.

        Parameters
        ----------
        model : nn.Module
            Its parameters must be initialised (no lazy ones).
        optimizer : Optimizer
            Over parameters of this model and no others: what the model does not own would be left
            behind by a reset.
        also : sequence of objects with ``state_dict`` and ``load_state_dict``
            What goes back with them: a moving average, the memory of a loss, a gradient scaler, a
            learning-rate scheduler.

        Raises
        ------
        DomainError
            If the optimizer is not one, or is another model's; or if something in ``also`` has no
            state.
        """
        check(model, optimizer)
        check_also(also)
        positions = _positions(model)
        kept = {
            "parameters": [copied(p) for p in model.parameters()],
            "buffers": [copied(b) for b in model.buffers()],
            "optimizers": [
                {
                    "state": {_key(k, positions): copied(v) for k, v in one.state.items()},
                    "groups": [
                        {k: copied(v) for k, v in group.items() if k != "params"}
                        for group in one.param_groups
                    ],
                }
                for one in chain(optimizer)
            ],
            "also": [copied(other.state_dict()) for other in also],
        }
        return cls(model, optimizer, kept, also)

    def restore(
        self,
        *,
        learning_rate: str = "keep",
        hyperparameters: str = "keep",
        momentum: str = "restore",
        buffers: str = "restore",
        layers: Layers | Selection = None,
        how: How | None = None,
    ) -> None:
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
            back with the rest (``lr`` and ``initial_lr`` of each group), which is right if the
            scheduler goes back too, being in ``also``.
        hyperparameters : {"keep", "restore"}
            The same choice for all other entries of the parameter groups (momentum, betas, weight
            decay, ...), which a schedule may also drive.
        momentum : {"restore", "zero", "keep"}
            The state of the optimizer goes back (default), begins afresh, or goes on.
        buffers : {"restore", "keep"}
            The same for buffers: batch-norm statistics among them.
        layers : None, int, str, or list of str
            What is put back: everything, the last so many layers, or what is named. The state of
            the optimizer goes with its parameters; what is not selected goes on untouched.
        how : How, optional
            What the weights become, from where they are and where they were:
            see ``resetsgd.training.resets``. By default what they were.

        Raises
        ------
        DomainError
            For another word, a name the model does not have, or if the model does not have the
            shapes it had, or if the optimizer does not drive it any more.
        """
        rate = domain.choice("learning_rate", learning_rate, _CHOICES) == "restore"
        rest = domain.choice("hyperparameters", hyperparameters, _CHOICES) == "restore"
        domain.choice("momentum", momentum, ("restore", "zero", "keep"))
        domain.choice("buffers", buffers, _CHOICES)
        check(self._model, self._optimizer)  # nothing is touched unless everything fits
        check_also(self._also, learning_rate)
        problem = self._misfit(self._kept)
        if problem is not None:
            raise DomainError("model", problem, "the one of the snapshot, its tensors unchanged")
        chosen = layers if isinstance(layers, Selection) else select(self._model, layers)
        owners = list(self._model.parameters())
        there = [self._kept["parameters"][i] for i in chosen.parameters]
        live = [owners[i] for i in chosen.parameters]
        writer = Writer()
        with torch.no_grad():
            if how is not None and not isinstance(how, Replace):
                there = how.mix([p.detach() for p in live], there)
            # the state before the parameters: a sharpness-aware optimizer may keep, as state,
            # the very storage of a parameter
            if momentum != "keep":
                self._put_momentum(writer, owners, chosen, afresh=momentum == "zero")
            for one, held in zip(chain(self._optimizer), self._kept["optimizers"], strict=True):
                for group, values in zip(one.param_groups, held["groups"], strict=False):
                    for name, value in values.items():
                        if rate if name in ("lr", "initial_lr") else rest:
                            group[name] = writer.put(group.get(name), value)
            writer.flush()
            writer.put(live, there)
            if buffers == "restore":
                standing = list(self._model.buffers())
                for i in chosen.buffers:
                    writer.put(standing[i], self._kept["buffers"][i])
            # into the tensors that the object gave out, and these handed back to it: in place if
            # they are its own, and if they are not, they are nobody else's
            states = [
                writer.put(other.state_dict(), held)
                for other, held in zip(self._also, self._kept["also"], strict=True)
            ]
            writer.flush()
        for other, state in zip(self._also, states, strict=True):
            other.load_state_dict(state)

    def _put_momentum(
        self, writer: Writer, owners: list[nn.Parameter], chosen: Selection, *, afresh: bool
    ) -> None:
        """The optimizer state of the chosen parameters; of all keys, if all are chosen."""
        places = set(chosen.parameters)
        mine = {id(owners[i]) for i in places}
        for one, held in zip(chain(self._optimizer), self._kept["optimizers"], strict=True):
            rates = {id(p): g for g in one.param_groups for p in g["params"]}
            state = {
                owners[k] if isinstance(k, int) else k: v
                for k, v in held["state"].items()
                if not afresh and (chosen.whole if not isinstance(k, int) else k in places)
            }
            for key in list(one.state):
                if key in state or not (chosen.whole or id(key) in mine):
                    continue
                if not (afresh and _zeroed(one.state[key], rates.get(id(key), {}))):
                    del one.state[key]
            for key, value in state.items():
                one.state[key] = writer.put(one.state.get(key), value)

    def distance(self, layers: Layers | Selection = None) -> float:
        """Euclidean distance of the live parameters from those of the snapshot.

        Parameters
        ----------
        layers : None, int, str, or list of str
            Over which of them, as in :meth:`restore`.

        Examples
        --------
        >>> model = nn.Linear(2, 1)
        >>> snapshot = Snapshot.capture(model, torch.optim.SGD(model.parameters(), lr=0.1))
        >>> with torch.no_grad():
        ...     model.weight.add_(torch.tensor([3.0, 4.0])) is model.weight
        True
        >>> round(snapshot.distance(), 5)
        5.0
        """
        chosen = layers if isinstance(layers, Selection) else select(self._model, layers)
        owners = list(self._model.parameters())
        with torch.no_grad():
            parts = [
                torch.linalg.vector_norm(
                    owners[i].detach() - self._kept["parameters"][i], dtype=_wide(owners[i])
                )
                for i in chosen.parameters
            ]
            first = parts[0].device
            return float(torch.linalg.vector_norm(torch.stack([p.to(first) for p in parts])))

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters as they were, in the order of the model: its own, for reading only."""
        return list(self._kept["parameters"])

    def state_dict(self) -> dict[str, Any]:
        """A copy of the contents: tensors, numbers and text in dicts and lists.

        :func:`resetsgd.training.storage.write` keeps it in a file.
        """
        state: dict[str, Any] = copied(self._kept)
        return state

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
        self._kept = copied(state)
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
            if len(live) != len(kept[name]):
                return f"{len(live)} {name} against {len(kept[name])}"
            for i, (ours, theirs) in enumerate(zip(live, kept[name], strict=True)):
                if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
                    mine, found = (f"{t.dtype} {tuple(t.shape)}" for t in (ours, theirs))
                    return f"{name}[{i}] is {mine} against {found}"
        optimizers, held = chain(self._optimizer), kept["optimizers"]
        if len(optimizers) != len(held):
            return f"{len(optimizers)} optimizers against {len(held)}"
        for one, values in zip(optimizers, held, strict=True):
            if len(one.param_groups) < len(values["groups"]):
                return f"{len(one.param_groups)} groups against {len(values['groups'])}"
            if any(isinstance(k, int) and k >= len(kept["parameters"]) for k in values["state"]):
                return "state of a parameter that does not exist"
        if len(kept["also"]) != len(self._also):
            return f"{len(self._also)} further states against {len(kept['also'])}"
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
    for one in chain(optimizer):
        foreign = sum(id(p) not in positions for group in one.param_groups for p in group["params"])
        foreign += sum(isinstance(k, Tensor) and id(k) not in positions for k in one.state)
        if foreign:
            raise DomainError(
                "optimizer",
                f"{type(one).__name__} with {foreign} tensors that are not of the model",
                "an optimizer over parameters of this model",
            )


def check_also(also: Sequence[Any], learning_rate: str = "restore") -> None:
    """``DomainError`` unless each has a state, and a scheduler takes the learning rate along."""
    if not isinstance(also, (list, tuple)):
        raise DomainError("also", also, "a list of objects with state_dict and load_state_dict")
    for other in also:
        if not all(callable(getattr(other, n, None)) for n in ("state_dict", "load_state_dict")):
            raise DomainError("also", other, "objects with state_dict and load_state_dict")
        if isinstance(other, LRScheduler) and learning_rate == "keep":
            raise DomainError(
                "learning_rate",
                learning_rate,
                "'restore' if the scheduler goes back: else the two fall out of step",
            )


def chain(optimizer: Optimizer) -> list[Optimizer]:
    """The optimizer and those it wraps; a wrapper's own ``state`` does not hold their momentum."""
    found = [optimizer]
    while (inner := _inside(found[-1])) is not None and all(inner is not one for one in found):
        if found[-1].state is inner.state:  # one that only passes on what is inside
            found.pop()
        found.append(inner)
    return found


def stepping(optimizer: Optimizer) -> Optimizer:
    """The one whose step moves the weights, once for each batch, and which takes hooks."""
    for one in chain(optimizer):
        sharp = getattr(one, "base_optimizer", None) is not None
        if not sharp and hasattr(one, "_optimizer_step_post_hooks"):
            return one
    return chain(optimizer)[-1]


def _inside(optimizer: Optimizer) -> Optimizer | None:
    """What an optimizer wraps."""
    for name in ("base_optimizer", "optimizer"):
        if isinstance(inner := getattr(optimizer, name, None), Optimizer):
            return inner
    return None


def _positions(model: nn.Module) -> dict[int, int]:
    return {id(parameter): i for i, parameter in enumerate(model.parameters())}


def _key(key: Any, positions: dict[int, int]) -> int | str:
    """A parameter's position, or the text under which an optimizer keeps state of its own."""
    return positions[id(key)] if isinstance(key, Tensor) else str(key)


def _shape(value: Any) -> torch.Size | None:
    return value.shape if isinstance(value, Tensor) else None


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _zeroed(state: Any, group: Mapping[str, Any]) -> bool:
    """Set state to zero in place, if zero is how it begins; its tensors stay where they are."""
    known = isinstance(state, dict) and state.keys() <= _ZERO_AT_FIRST
    if not known or group.get("dampening"):  # with dampening the first momentum is not damped
        return False
    for name, value in state.items():
        if isinstance(value, Tensor):
            value.zero_()
        elif value is not None:
            state[name] = 0
    return True
