"""One plain training loop: own batch stream, resets, looks, a checkpoint that survives kills."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError, StreamMismatch
from resetsgd.training import storage
from resetsgd.training.data import Dataset
from resetsgd.training.data.device import Augmentation, OnDevice
from resetsgd.training.diagnostics import Diagnostics
from resetsgd.training.diagnostics.influence import has_masks, instance_masks
from resetsgd.training.evaluation import EvaluationProtocol, EvaluationReport
from resetsgd.training.losses.base import SampleLoss
from resetsgd.training.methods.quiet import advance, evaluating, quieted
from resetsgd.training.resetter import Resetter
from resetsgd.training.snapshot import Snapshot, check
from resetsgd.training.streams import batches

__all__ = ["History", "Look", "fit"]

_AHEAD = 64
"""Steps whose batches are drawn at once; the draws do not depend on it."""

_FORWARD = 4096
"""Images in one forward pass of a look."""


@dataclass(frozen=True)
class Look:
    """One look at the model, in evaluation mode.

    Parameters
    ----------
    step : int
        Optimizer steps done.
    validation_loss, validation_accuracy : float
        On the held-out set: what checkpoints are chosen by.
    test_accuracy : float
        On the test set: recorded, never used.
    """

    step: int
    validation_loss: float
    validation_accuracy: float
    test_accuracy: float


@dataclass(frozen=True)
class History:
    """What a run recorded.

    Parameters
    ----------
    steps : int
        Optimizer steps done.
    looks : tuple of Look
        One every ``evaluate_every`` steps.
    resets : tuple of int
        Steps at which the resetter reset.
    published : str or None
        That of the data: the published protocol under which test images were validation images.
    validation_labels : {"noisy", "clean"} or None
        That of the data: what the validation labels were.
    """

    steps: int
    looks: tuple[Look, ...]
    resets: tuple[int, ...]
    published: str | None = None
    validation_labels: str | None = None

    def report(self, protocol: EvaluationProtocol | None = None) -> EvaluationReport:
        """Best, last and mean accuracy, and whether test images chose.

        Parameters
        ----------
        protocol : EvaluationProtocol, optional
            What judges; by default the lowest validation loss chooses the best look.

        Raises
        ------
        DomainError
            If there is no look.
        """
        judge = EvaluationProtocol() if protocol is None else protocol
        return judge.report(
            self.looks, published=self.published, validation_labels=self.validation_labels
        )

    @property
    def best(self) -> Look | None:
        """The first look with the lowest validation loss: early stopping's choice."""
        return min(self.looks, key=lambda look: look.validation_loss, default=None)

    @property
    def last(self) -> Look | None:
        """The last look."""
        return self.looks[-1] if self.looks else None


def fit(
    model: nn.Module,
    optimizer: Optimizer,
    data: Dataset,
    *,
    steps: int,
    batch_size: int,
    loss: Callable[..., Tensor] = cross_entropy,
    resetter: Resetter | None = None,
    augmentation: Augmentation | None = None,
    diagnostics: Diagnostics | None = None,
    seed: int = 0,
    evaluate_every: int = 100,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
) -> History:
    """Train one model; a run that was killed and is started again ends with the same bits.

    Each step draws a fresh uniform mini-batch keyed by (seed, step), that of replica 0 in
    :func:`resetsgd.training.streams.batches`; there are no epochs. The order of a step is move,
    coin, look, diagnostics.

    Parameters
    ----------
    model : nn.Module
        Maps images (B, features) to logits (B, classes).
    optimizer : Optimizer
        Over parameters of this model.
    data : Dataset
        Trains on ``train``, chooses by ``validation``, records on ``test``. Images stored as bytes
        are centred and scaled by ``data.normalisation``, on the model's device.
    steps : int
        Optimizer steps in all. A finished run asked for more goes on.
    batch_size : int
        At most the size of ``data.train``.
    loss : SampleLoss or callable
        One of ``resetsgd.training.losses`` (on the device of the model; ``index`` is the row in
        ``data.train``), or the mean loss of (logits, labels); for training and validation.
        Cross-entropy by default. One that asks for it (``due``) is shown the whole training set,
        after the coin and before the look.
    resetter : Resetter, optional
        Of the same model and optimizer. It observes the validation loss if its mode is ``"min"``,
        the validation accuracy if it is ``"max"``.
    augmentation : Augmentation, optional
        Of the training images, which must be stored as bytes; keyed by (seed, step, image).
    diagnostics : Diagnostics, optional
        Of the same model and, if there is one, of the resetter; they keep their own record. They
        look at the loss of this run, unless they were given another.
    seed : int
        Key of the batches.
    evaluate_every : int
        Steps between looks.
    checkpoint : path, optional
        File to resume from if it exists, and to write to.
    checkpoint_every : int, optional
        Steps between writes; by default ten writes a run. The last step is always written.

    Returns
    -------
    History
        Of the whole run, whatever part of it this call did.

    Raises
    ------
    DomainError
        For an argument outside its range, a resetter or diagnostics of another model, or (from the
        resetter) a validation loss that is NaN.
    CorruptData
        If the checkpoint file is damaged.
    StreamMismatch
        If it belongs to other data, settings or another model.
    OutputError
        If it cannot be written.

    Notes
    -----
    *The same bits* holds for the same versions, number of threads and arguments, with the model
    built as it was (its random initial state is in the file). The checkpoint holds parameters,
    buffers, optimizer state and hyper-parameters, the resetter with its snapshot, the history, the
    diagnostics with their record, and the state of torch's global CPU generator, which dropout
    draws from; it does not hold a learning-rate scheduler, for this loop has none.

    Examples
    --------
    >>> from resetsgd.training import MLP, digits, fit
    >>> network = MLP((64, 10))
    >>> model = network.module(network.initial(seed=0))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> data = digits(train=200, validation=100, test=100)
    >>> history = fit(model, optimizer, data, steps=60, batch_size=16, evaluate_every=30)
    >>> [look.step for look in history.looks], history.last.test_accuracy > 0.7
    ([30, 60], True)
    """
    check(model, optimizer)
    steps = domain.integer("steps", steps, 0, 2**32 - 1)
    batch_size = domain.integer("batch_size", batch_size, 1, len(data.train))
    seed = domain.integer("seed", seed, 0, 2**64 - 1)
    every = domain.integer("evaluate_every", evaluate_every, 1)
    write_every = max(1, steps // 10)
    if checkpoint_every is not None:
        write_every = domain.integer("checkpoint_every", checkpoint_every, 1)
    if resetter is not None and (resetter.model, resetter.optimizer) != (model, optimizer):
        raise DomainError("resetter", resetter, "a Resetter of the same model and optimizer")
    if diagnostics is not None and (
        not isinstance(diagnostics, Diagnostics)
        or diagnostics.model is not model
        or diagnostics.resetter is not resetter
    ):
        allowed = "Diagnostics of the same model and the same resetter"
        raise DomainError("diagnostics", diagnostics, allowed)
    if diagnostics is not None and diagnostics.loss is None:
        diagnostics.loss = loss

    settings = _settings(model, optimizer, data, loss, resetter)
    settings["diagnostics"] = None if diagnostics is None else diagnostics.settings()
    run = _Run(model, optimizer, resetter, settings, loss, diagnostics)
    run.settings |= {"seed": seed, "batch_size": batch_size, "evaluate_every": every}
    run.settings |= {"augmentation": None if augmentation is None else repr(augmentation)}
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.exists():
        run.load(path)
        if run.step > steps:
            raise StreamMismatch(f"{path}: holds {run.step} steps already, {steps} are asked for")
    elif path is not None:
        run.save(path)  # a place that cannot be written to is found out before the work

    device = next(model.parameters()).device
    scale = data.normalisation
    train = OnDevice(data.train, device, normalisation=scale, augmentation=augmentation)
    held_out = [
        OnDevice(part, device, normalisation=scale) for part in (data.validation, data.test)
    ]
    masked = has_masks(model)
    drawn = np.empty((0, batch_size), np.int64)
    first = run.step
    while run.step < steps:
        if run.step - first >= len(drawn):
            first = run.step
            ahead = np.arange(first, min(first + _AHEAD, steps))
            drawn = batches(seed, 0, ahead, population=len(train), size=batch_size)
        chosen = drawn[run.step - first]
        rows = torch.from_numpy(chosen).to(device)
        places = None
        if augmentation is not None:
            places = torch.from_numpy(augmentation.draw(seed, run.step, chosen)).to(device)
        images, labels = train.batch(rows, places), train.labels[rows]
        with instance_masks(model, chosen) if masked else nullcontext():
            value = _step(model, optimizer, loss, images, labels, rows)
        run.step += 1
        if resetter is not None:
            resetter.step(loss=value)
        if isinstance(loss, SampleLoss) and loss.due(run.step):
            _survey(model, train, loss)
        if run.step % every == 0:
            look = _look(model, held_out, loss, run.step)
            run.looks.append(look)
            if resetter is not None:
                lower = resetter.mode == "min"
                resetter.observe(look.validation_loss if lower else look.validation_accuracy)
        if diagnostics is not None:
            diagnostics.step()
        if path is not None and (run.step % write_every == 0 or run.step == steps):
            run.save(path)
    resets = tuple(resetter.resets if resetter else ())
    return History(run.step, tuple(run.looks), resets, data.published, data.validation_labels)


class _Run:
    """The state of a run: all that its future depends on, and its record."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        resetter: Resetter | None,
        settings: dict[str, Any],
        loss: Any,
        diagnostics: Diagnostics | None,
    ) -> None:
        self.model, self.optimizer, self.resetter = model, optimizer, resetter
        self.loss, self.diagnostics = loss, diagnostics
        self.settings = settings
        self.step = 0
        self.looks: list[Look] = []

    def live(self) -> Snapshot:
        """Everything as it is, with what the resetter takes along."""
        also = [] if self.resetter is None else list(self.resetter.also)
        if isinstance(self.loss, SampleLoss) and self.loss.remembers:
            also += [] if any(other is self.loss for other in also) else [self.loss]
        return Snapshot.capture(self.model, self.optimizer, also)

    def save(self, path: Path) -> None:
        storage.write(
            path,
            {
                "settings": self.settings,
                "step": self.step,
                "looks": [list(astuple(look)) for look in self.looks],
                "live": self.live().state_dict(),
                "resetter": None if self.resetter is None else self.resetter.state_dict(),
                "diagnostics": None if self.diagnostics is None else self.diagnostics.state_dict(),
                "random": torch.get_rng_state(),
            },
        )

    def load(self, path: Path) -> None:
        kept = storage.read(path)
        if not isinstance(kept, dict) or "settings" not in kept:
            raise CorruptData(f"{path}: not a checkpoint of a training run")
        for name in sorted(kept["settings"].keys() | self.settings.keys()):
            theirs, ours = kept["settings"].get(name), self.settings.get(name)
            if theirs != ours:
                raise StreamMismatch(f"{path}: was made with {name} = {theirs}, not {ours}")
        live = self.live()
        live.load_state_dict(kept["live"])
        if self.resetter is not None:
            self.resetter.load_state_dict(kept["resetter"])
        if self.diagnostics is not None:
            self.diagnostics.load_state_dict(kept["diagnostics"])
        live.restore(learning_rate="restore", hyperparameters="restore")
        self.step = kept["step"]
        self.looks = [Look(*look) for look in kept["looks"]]
        torch.set_rng_state(kept["random"])


def _settings(
    model: nn.Module,
    optimizer: Optimizer,
    data: Dataset,
    loss: Callable[..., Tensor],
    resetter: Resetter | None,
) -> dict[str, Any]:
    """What must be the same for a checkpoint to belong to this run, in plain values."""
    groups = [
        {
            k: v.item() if isinstance(v, Tensor) else repr(v)
            for k, v in group.items()
            if k != "params"
        }
        for group in optimizer.param_groups
    ]
    return {
        "data": data.sha256,
        "model": [repr(model), [list(p.shape) for p in model.parameters()]],
        "optimizer": [type(optimizer).__name__, groups],
        "loss": repr(loss)
        if isinstance(loss, SampleLoss)
        else getattr(loss, "__qualname__", type(loss).__qualname__),
        "resetter": None if resetter is None else resetter.settings(),
    }


def _step(
    model: nn.Module,
    optimizer: Optimizer,
    loss: Callable[..., Tensor],
    images: Tensor,
    labels: Tensor,
    rows: Tensor,
) -> Tensor:
    """One step of any optimizer; the loss before it, without graph."""

    def mean() -> Tensor:
        logits = model(images)
        if isinstance(loss, SampleLoss):
            return loss(logits, labels, rows).mean()  # type: ignore[no-any-return]
        return loss(logits, labels)

    def again() -> Tensor:
        with quieted(model, *([loss] if isinstance(loss, SampleLoss) else [])):
            return mean()

    return advance(optimizer, mean(), again)


@torch.no_grad()
def _survey(model: nn.Module, train: OnDevice, loss: SampleLoss) -> None:
    """Show the loss all training samples, as the model sees them in evaluation mode."""
    with evaluating(model):
        for rows in torch.split(torch.arange(len(train), device=train.labels.device), _FORWARD):
            loss.survey(model(train.batch(rows)), train.labels[rows], rows)


def _look(
    model: nn.Module,
    held_out: list[OnDevice],
    loss: Callable[..., Tensor],
    step: int,
) -> Look:
    """Validation and test scores in evaluation mode; every module's mode is put back."""
    with evaluating(model):
        (validation_loss, validation_accuracy), (_, test_accuracy) = (
            _score(model, part, loss) for part in held_out
        )
    return Look(step, validation_loss, validation_accuracy, test_accuracy)


@torch.no_grad()
def _score(
    model: nn.Module,
    part: OnDevice,
    loss: Callable[..., Tensor],
) -> tuple[float, float]:
    """Mean loss and accuracy."""
    total, correct, labels = 0.0, 0, part.labels
    for x, y in zip(torch.split(part.images, _FORWARD), torch.split(labels, _FORWARD), strict=True):
        logits = model(part.normalised(x))
        if isinstance(loss, SampleLoss):
            total += loss.held_out(logits, y).sum(dtype=torch.float64).item()
        else:
            total += loss(logits, y).item() * len(y)
        correct += int((logits.argmax(1) == y).sum())
    return total / len(labels), correct / len(labels)
