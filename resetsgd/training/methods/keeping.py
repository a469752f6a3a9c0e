"""What is kept of a run: its best state, an average of its weights, a schedule that restarts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts
from torch.optim.swa_utils import (
    AveragedModel,
    get_ema_multi_avg_fn,
    get_swa_multi_avg_fn,
    update_bn,
)

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.snapshot import Snapshot

__all__ = ["EarlyStopping", "WeightAverage", "ema", "swa", "warm_restarts"]


class EarlyStopping:
    """Stop when the metric has not improved for a while; the best state can be restored.

    Parameters
    ----------
    model : nn.Module
        What is trained.
    optimizer : Optimizer
        Over its parameters.
    patience : int
        Observations without improvement after which to stop, at least 1.
    mode : {"min", "max"}
        Which way is better.

    Raises
    ------
    DomainError
        For an argument outside its range, or a metric that is NaN.

    Examples
    --------
    >>> model = nn.Linear(2, 1)
    >>> from torch.optim import Adam
    >>> stopping = EarlyStopping(model, Adam(model.parameters()), patience=2)
    >>> [stopping.observe(loss) for loss in (3.0, 1.0, 2.0, 1.5)], stopping.best
    ([False, False, False, True], 1.0)
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, *, patience: int, mode: str = "min"
    ) -> None:
        self.patience = domain.integer("patience", patience, 1)
        self.mode = domain.choice("mode", mode, ("min", "max"))
        self._snapshot = Snapshot.capture(model, optimizer)
        self._model, self._optimizer = model, optimizer
        self.best: float | None = None
        self.since = 0

    def observe(self, metric: float) -> bool:
        """Take note of a metric; whether it is time to stop.

        Parameters
        ----------
        metric : float
            On held-out samples; infinite values are allowed.
        """
        metric = float(metric)
        if math.isnan(metric):
            raise DomainError("metric", metric, "a number (NaN is not)")
        if self.best is None or (metric < self.best if self.mode == "min" else metric > self.best):
            self.best, self.since = metric, 0
            self._snapshot = Snapshot.capture(self._model, self._optimizer)
        else:
            self.since += 1
        return self.since >= self.patience

    def restore(self) -> None:
        """Put model and optimizer back to their best state; the first one, if none was observed."""
        self._snapshot.restore()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the future depends on, the best state included."""
        return {"best": self.best, "since": self.since, "snapshot": self._snapshot.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a :meth:`state_dict`.

        Parameters
        ----------
        state : dict
            Of the same model and settings.
        """
        self._snapshot.load_state_dict(state["snapshot"])
        self.best, self.since = state["best"], domain.integer("since", state["since"], 0)


class WeightAverage:
    """A running average of the weights, beside the model; made by :func:`ema` and :func:`swa`.

    Parameters
    ----------
    model : nn.Module
        What is trained.
    averaged : AveragedModel
        That of ``torch.optim.swa_utils`` which holds the average.
    start, every : int
        The first step that enters, and how many steps lie between those that do.

    Raises
    ------
    DomainError
        For a number outside its range.

    Notes
    -----
    Whether the average goes back when the weights are reset is the choice of ``also=[average]`` of
    the resetter.

    Examples
    --------
    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = swa(model, start=2)
    >>> for value in (5.0, 1.0, 3.0):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     average.step()
    >>> average.module.weight.item()
    2.0
    """

    def __init__(
        self, model: nn.Module, averaged: AveragedModel, *, start: int = 1, every: int = 1
    ) -> None:
        self.model, self.averaged = model, averaged
        self.start = domain.integer("start", start, 1)
        self.every = domain.integer("every", every, 1)
        self.steps = 0

    def step(self) -> None:
        """Call after ``optimizer.step()``."""
        self.steps += 1
        if self.steps >= self.start and (self.steps - self.start) % self.every == 0:
            self.averaged.update_parameters(self.model)

    @property
    def module(self) -> nn.Module:
        """The averaged network; the live one until there is an average."""
        return self.averaged.module if int(self.averaged.n_averaged) else self.model

    def recalibrate(self, images: Iterable[Tensor]) -> None:
        """Take batch-norm statistics of the averaged network anew, which SWA needs.

        Parameters
        ----------
        images : iterable of Tensor
            Batches of training images.
        """
        update_bn(images, self.averaged)

    def state_dict(self) -> dict[str, Any]:
        """The average, whose tensors are the live ones, and the number of steps."""
        return {"averaged": self.averaged.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a :meth:`state_dict`, in place.

        Parameters
        ----------
        state : dict
            Of an average of the same model.
        """
        self.averaged.load_state_dict(state["averaged"])
        self.steps = domain.integer("steps", state["steps"], 0)


def ema(model: nn.Module, *, decay: float = 0.999, start: int = 1, every: int = 1) -> WeightAverage:
    """Exponential moving average of weights and buffers.

    Parameters
    ----------
    model : nn.Module
        What is trained.
    decay : float
        Weight of the past at each update, in [0, 1].
    start, every : int
        The first step that enters, and how many steps lie between those that do.

    Raises
    ------
    DomainError
        For a number outside its range.

    Examples
    --------
    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = ema(model, decay=0.5)
    >>> for value in (4.0, 2.0):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     average.step()
    >>> average.module.weight.item()
    3.0
    """
    decay = float(domain.probability("decay", decay))
    mean: Any = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    averaged = AveragedModel(model, multi_avg_fn=mean, use_buffers=True)
    return WeightAverage(model, averaged, start=start, every=every)


def swa(model: nn.Module, *, start: int = 1, every: int = 1) -> WeightAverage:
    """Stochastic weight averaging: the mean of the weights at steps that lie evenly apart.

    Parameters
    ----------
    model : nn.Module
        What is trained; with batch norm, call :meth:`WeightAverage.recalibrate` before use.
    start, every : int
        The first step that enters, and how many steps lie between those that do; published: at the
        end of each cycle of the learning rate.

    Raises
    ------
    DomainError
        For a number outside its range.

    Notes
    -----
    **Source**: Izmailov et al. (2018), algorithm 1.

    Examples
    --------
    >>> swa(nn.Linear(2, 1), start=100, every=50).steps
    0
    """
    mean: Any = get_swa_multi_avg_fn()  # type: ignore[no-untyped-call]
    averaged = AveragedModel(model, multi_avg_fn=mean)
    return WeightAverage(model, averaged, start=start, every=every)


def warm_restarts(
    optimizer: Optimizer, *, period: int, factor: int = 1, minimum: float = 0.0
) -> CosineAnnealingWarmRestarts:
    """PyTorch's cosine schedule with warm restarts; call its ``step`` after each step.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rates are driven.
    period : int
        Steps of the first cycle, at least 1.
    factor : int
        By which each cycle is longer than the one before, at least 1.
    minimum : float
        Learning rate at the end of a cycle, at least 0.

    Raises
    ------
    DomainError
        For an argument outside its range.

    Notes
    -----
    The rate is a function of the step alone, so that a reset of the weights leaves it in step.

    **Source**: Loshchilov and Hutter (2017), equation 5.

    Examples
    --------
    >>> from torch.optim import Adam
    >>> optimizer = Adam(nn.Linear(2, 1).parameters(), lr=0.4)
    >>> schedule = warm_restarts(optimizer, period=2)
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     schedule.step()
    ...     print(round(optimizer.param_groups[0]["lr"], 3))
    0.2
    0.4
    0.2
    0.4
    """
    if not isinstance(optimizer, Optimizer):
        raise DomainError("optimizer", type(optimizer).__name__, "a torch.optim.Optimizer")
    return CosineAnnealingWarmRestarts(
        optimizer,
        T_0=domain.integer("period", period, 1),
        T_mult=domain.integer("factor", factor, 1),
        eta_min=float(domain.nonnegative("minimum", minimum)),
    )
