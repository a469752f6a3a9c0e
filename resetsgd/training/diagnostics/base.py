"""What an instrument is, what it is handed, and the care that leaves training undisturbed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import is_dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training import storage
from resetsgd.training.diagnostics.passes import Loss, Passes, each
from resetsgd.training.diagnostics.probe import Probe
from resetsgd.training.losses.robust import CrossEntropy
from resetsgd.training.methods.quiet import evaluating
from resetsgd.training.resets.layers import unwrapped
from resetsgd.training.resets.settings import plain
from resetsgd.training.snapshot import Snapshot, check

__all__ = ["MOMENTS", "Context", "DirectionLike", "Instrument", "measuring"]

MOMENTS = ("schedule", "before reset", "after reset", "asked")
"""When a measurement was made."""

DirectionLike = str | Tensor | Sequence[Tensor] | Callable[["Context"], Tensor]
"""A direction in the space of weights; see :meth:`Context.direction`."""


class Context(Passes):
    """What an instrument is handed: the model as it is now, the samples, and passes to share.

    Made by :func:`measuring`. What several instruments need (outputs, the gradients of clean and
    wrong samples) is computed once a measurement.

    Parameters
    ----------
    model, probe, loss, batch_size
        As for :class:`~resetsgd.training.diagnostics.passes.Passes`.
    optimizer : Optimizer, optional
        For the learning rate, and what follows from it.
    checkpoint : list of Tensor, optional
        All parameters at the latest checkpoint.
    step : int
        Optimizer steps done.
    moment : str
        One of :data:`MOMENTS`.
    """

    def __init__(
        self,
        model: nn.Module,
        probe: Probe,
        loss: Loss,
        batch_size: int,
        *,
        optimizer: Optimizer | None = None,
        checkpoint: list[Tensor] | None = None,
        step: int = 0,
        moment: str = "asked",
    ) -> None:
        super().__init__(model, probe, loss, batch_size)
        self.optimizer = optimizer
        self.step = step
        self.moment = moment
        self.memory: dict[str, Any] = {}
        """What the instrument that is measuring remembers; plain values and tensors."""
        self.checkpoint: Tensor | None = None
        """Trainable parameters at the latest checkpoint, float64 of shape (d,); or None."""
        if checkpoint is not None:
            pairs = zip(self.inner.parameters(), checkpoint, strict=True)
            self.checkpoint = self.flat([kept for live, kept in pairs if live.requires_grad])

    @cached_property
    def weights(self) -> Tensor:
        """Trainable parameters, float64 of shape (d,)."""
        return self.flat(list(self.parameters.values()))

    @cached_property
    def outputs(self) -> Tensor:
        """Outputs for all samples, without graph. One forward pass."""
        with torch.no_grad():
            return torch.cat([self.forward(part.images) for part in self.chunks()])

    @cached_property
    def losses(self) -> Tensor:
        """Loss of each sample, shape (n,)."""
        with torch.no_grad():
            return each(self.loss, self.outputs, self.probe.labels, self.probe.index)

    @cached_property
    def predictions(self) -> Tensor:
        """Predicted class of each sample, int64 of shape (n,)."""
        if self.outputs.ndim != 2:
            raise DomainError("outputs", tuple(self.outputs.shape), "logits of shape (n, classes)")
        return self.outputs.argmax(1)

    @cached_property
    def clean_gradient(self) -> Tensor | None:
        """Gradient of the mean loss of clean samples, float64 of shape (d,); None without any."""
        return self._of(~self.probe.wrong)

    @cached_property
    def wrong_gradient(self) -> Tensor | None:
        """Gradient of the mean loss of wrong samples, float64 of shape (d,); None without any."""
        return self._of(self.probe.wrong)

    @cached_property
    def total_gradient(self) -> Tensor:
        """Gradient of the mean loss of all samples, float64 of shape (d,)."""
        if self.probe.truth is None:
            return self.gradient()
        rate = self.probe.noise_rate
        if self.clean_gradient is None:
            return self.gradient() if self.wrong_gradient is None else self.wrong_gradient
        if self.wrong_gradient is None:
            return self.clean_gradient
        return (1.0 - rate) * self.clean_gradient + rate * self.wrong_gradient

    def _of(self, chosen: Tensor) -> Tensor | None:
        rows = torch.nonzero(chosen).reshape(-1)
        return self.gradient(self.probe.rows(rows)) if len(rows) else None

    def direction(self, wanted: DirectionLike) -> Tensor | None:
        """A vector over the trainable parameters, float64 of shape (d,); not normalised.

        Parameters
        ----------
        wanted : str, Tensor, list of Tensor or callable
            ``"downhill"``: against the gradient of all samples. ``"label noise"``: from the
            gradient of wrong samples to that of clean ones, along which label noise diffuses.
            ``"from checkpoint"``: from the latest checkpoint to here. A vector (d,), or tensors
            shaped as the trainable parameters. Or what a function makes of this context.

        Returns
        -------
        Tensor or None
            None where it does not exist: no checkpoint, no clean or no wrong sample, length zero.

        Raises
        ------
        DomainError
            For another word, shape, or what is not finite.
        """
        vector: Tensor | None
        if isinstance(wanted, str):
            domain.choice("direction", wanted, ("downhill", "label noise", "from checkpoint"))
            vector = None
            if wanted == "downhill":
                vector = -self.total_gradient
            elif wanted == "from checkpoint" and self.checkpoint is not None:
                vector = self.weights - self.checkpoint
            elif wanted == "label noise":
                clean, wrong = self.clean_gradient, self.wrong_gradient
                vector = None if clean is None or wrong is None else clean - wrong
        elif isinstance(wanted, Tensor):
            vector = wanted.detach()
        elif callable(wanted):
            vector = wanted(self)
        else:
            vector = self.flat(list(wanted))
        if vector is None:
            return None
        if not isinstance(vector, Tensor) or vector.shape != (self.size,):
            raise DomainError("direction", vector, f"a tensor of shape ({self.size},)")
        vector = vector.to(self.weights)
        if not bool(torch.isfinite(vector).all()):
            raise DomainError("direction", vector, "finite")
        return vector if bool(vector.any()) else None


class Instrument(ABC):
    """Base of a diagnostic: a frozen value whose :meth:`measure` turns a context into numbers.

    What it must remember from one measurement to the next is in ``context.memory``, a dictionary of
    plain values and tensors that is saved with the run. It must draw random numbers from streams of
    its own and write to nothing else; :class:`~resetsgd.training.diagnostics.Diagnostics` sees to
    modes, buffers and the global generators.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class LargestLoss(Instrument):
    ...     name = "largest_loss"
    ...     def measure(self, context):
    ...         return {"value": float(context.losses.max())}
    >>> LargestLoss().settings()
    ['LargestLoss']
    """

    name: ClassVar[str] = "instrument"
    """Under which it is recorded, unless another name is given."""
    at_resets: ClassVar[bool] = True
    """Whether it is measured at resets; no, if it is about a series of measurements."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Which of "truth", "index" (of the probe) and "optimizer" it cannot do without."""
        return ()

    @abstractmethod
    def measure(self, context: Context) -> Mapping[str, Any]:
        """Numbers and arrays by name, of the same names and shapes each time.

        NaN stands for what does not exist at that moment.

        Parameters
        ----------
        context : Context
            The model as it is now, the samples, and passes to share.
        """

    def settings(self) -> list[Any]:
        """What it is, in plain values: a stored run goes on only with the same."""
        return _fields_of(self)


def _fields_of(value: Any) -> list[Any]:
    names = getattr(value, "__dataclass_fields__", {})
    return [type(value).__name__, *([name, _described(getattr(value, name))] for name in names)]


def _described(value: Any) -> Any:
    if isinstance(value, Tensor):
        return storage.digest(value)
    if is_dataclass(value):
        return _fields_of(value)
    if isinstance(value, Mapping):
        return [[str(key), _described(item)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_described(item) for item in value]
    return plain(value)


@contextmanager
def measuring(
    model: nn.Module,
    probe: Probe,
    *,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    checkpoint: Snapshot | None = None,
    batch_size: int = 1024,
    step: int = 0,
    moment: str = "asked",
) -> Iterator[Context]:
    """A context for instruments, within which the model is in evaluation mode.

    Afterwards all is as it was: the mode of every module, the global random generators (of the CPU
    and of the device of the model), whether gradients are recorded. Parameters, gradients, buffers
    and the state of the optimizer are not touched.

    Parameters
    ----------
    model : nn.Module
        In training; compiled or wrapped for data parallelism, if it is.
    probe : Probe
        Samples to look at, on the device of the model.
    loss : SampleLoss or callable
        Of (outputs, labels): one number for each sample, or their mean; cross-entropy by default.
        Losses that remember samples do not notice.
    optimizer : Optimizer, optional
        Of the model.
    checkpoint : Snapshot, optional
        Of the model.
    batch_size : int
        Samples in one pass.
    step : int
        Optimizer steps done; keys the random draws of instruments.
    moment : str
        One of :data:`MOMENTS`.

    Raises
    ------
    DomainError
        For an argument that does not fit the model.

    Examples
    --------
    >>> from resetsgd.training.networks import mlp
    >>> probe = Probe(torch.eye(4), torch.tensor([0, 1, 0, 1]))
    >>> with measuring(mlp((4, 2)), probe) as context:
    ...     context.gradient().shape
    torch.Size([10])
    """
    if not isinstance(model, nn.Module):
        raise DomainError("model", type(model).__name__, "a torch.nn.Module")
    if not isinstance(probe, Probe):
        raise DomainError("probe", type(probe).__name__, "a Probe")
    if loss is not None and not callable(loss):
        raise DomainError("loss", loss, "a SampleLoss or another function of (outputs, labels)")
    if optimizer is not None:
        check(model, optimizer)
    domain.choice("moment", moment, MOMENTS)
    batch_size = domain.integer("batch_size", batch_size, 1)
    device = probe.images.device
    with ExitStack() as stack:
        on_cpu = device.type == "cpu"
        stack.enter_context(
            torch.random.fork_rng(
                devices=[] if on_cpu else [device], device_type="cuda" if on_cpu else device.type
            )
        )
        stack.enter_context(evaluating(unwrapped(model)))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autocast(device.type, enabled=False))
        kept = None if checkpoint is None else checkpoint.parameters
        yield Context(
            model,
            probe,
            CrossEntropy() if loss is None else loss,
            batch_size,
            optimizer=optimizer,
            checkpoint=kept,
            step=step,
            moment=moment,
        )
