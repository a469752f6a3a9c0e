"""Stochastic resetting of a training run, used like a learning-rate scheduler."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn
from torch.optim import Optimizer

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError, StreamMismatch
from resetsgd.protocols import Geometric, Sharp
from resetsgd.training.snapshot import Snapshot, check
from resetsgd.training.streams import coins

__all__ = ["ResetEvent", "Resetter"]

_MODES = ("min", "max")
_AHEAD = 1024
"""Coins tossed at once, for one costs as much as a thousand; they do not depend on it."""


@dataclass(frozen=True, slots=True)
class ResetEvent:
    """What one call of :meth:`Resetter.step` did.

    Parameters
    ----------
    step : int
        Optimizer steps so far, this one included.
    reset : bool
        Whether model and optimizer went back to the snapshot.
    checkpoint : int or None
        The step at which the present snapshot was taken; None before there is one.
    """

    step: int
    reset: bool
    checkpoint: int | None


class Resetter:
    """Resets a model and its optimizer to the best snapshot seen, at random or fixed times.

    Parameters
    ----------
    model : nn.Module
        The model in training.
    optimizer : Optimizer
        Over parameters of this model.
    protocol : Geometric or Sharp
        ``Geometric(probability)`` tosses a coin after every optimizer step (the ``step`` of the
        protocol, its length in units of time, plays no role here); ``Sharp(period)`` resets after
        every ``period`` optimizer steps, counted from the first step.
    seed : int
        Key of the coins, in [0, 2**64). The coin of step t is a function of (seed, t) and of
        nothing else: it is the same on every rank, after a resume, and whatever happened before; it
        never touches a global generator. It is the coin of replica 0 in
        :func:`resetsgd.training.coins`.
    mode : {"min", "max"}
        Whether a lower or a higher metric is better.
    learning_rate, hyperparameters : {"keep", "restore"}
        What a reset does with the hyper-parameters of the optimizer: see
        :meth:`Snapshot.restore`. They stay by default.

    Raises
    ------
    DomainError
        For another protocol, a period that is not a whole number of steps, an unknown word, or an
        optimizer that does not belong to the model.

    Notes
    -----
    The order of one step is move, coin, look: ``optimizer.step()``, ``resetter.step()``, and only
    then validation and ``resetter.observe(metric)``.

    Without a snapshot there is nothing to go back to: until the first :meth:`observe` or
    :meth:`checkpoint` no reset happens. With probability 0 nothing is ever written: the run is
    plain training, bit for bit.

    A reset restores parameters, buffers and optimizer state, momentum among it, in place. The
    learning-rate scheduler, the gradient scaler and the data order go on.

    Examples
    --------
    >>> import torch
    >>> import resetsgd as rs
    >>> model = nn.Linear(4, 2)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> resetter = Resetter(model, optimizer, rs.Geometric(probability=0.2), seed=1)
    >>> for step in range(50):
    ...     optimizer.zero_grad()
    ...     model(torch.ones(8, 4)).square().mean().backward()
    ...     optimizer.step()
    ...     event = resetter.step()
    ...     if event.step % 5 == 0:
    ...         better = resetter.observe(model(torch.ones(8, 4)).square().mean().item())
    >>> resetter.steps, len(resetter.resets) > 0
    (50, True)
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        protocol: Geometric | Sharp,
        *,
        seed: int = 0,
        mode: str = "min",
        learning_rate: str = "keep",
        hyperparameters: str = "keep",
    ) -> None:
        check(model, optimizer)
        self.model = model
        self.optimizer = optimizer
        self.protocol = protocol
        self.seed = domain.integer("seed", seed, 0, 2**64 - 1)
        self.mode = domain.choice("mode", mode, _MODES)
        choices = ("keep", "restore")
        self.learning_rate = domain.choice("learning_rate", learning_rate, choices)
        self.hyperparameters = domain.choice("hyperparameters", hyperparameters, choices)
        self.snapshot: Snapshot | None = None
        """What a reset goes back to; None before the first."""
        self.best: float | None = None
        """The best metric observed so far."""
        self.steps = 0
        """Optimizer steps so far."""
        self.resets: list[int] = []
        """The steps at which a reset happened."""
        self._taken: int | None = None
        self._law = _law(protocol)
        self._ahead: tuple[int, npt.NDArray[np.bool_]] = -1, np.empty(0, np.bool_)

    def step(self) -> ResetEvent:
        """Toss the coin of this step and reset if it says so; call after ``optimizer.step()``."""
        self.steps += 1
        if self.snapshot is None or not self.due(self.steps):
            return ResetEvent(self.steps, False, self._taken)
        self.snapshot.restore(
            learning_rate=self.learning_rate, hyperparameters=self.hyperparameters
        )
        self.resets.append(self.steps)
        return ResetEvent(self.steps, True, self._taken)

    def due(self, step: int) -> bool:
        """Whether the protocol resets at this step, counted from 1: a function of (seed, step)."""
        step = domain.integer("step", step, 1)
        kind, value = self._law
        if kind == "Sharp":
            return bool(step % value == 0)
        block, place = divmod(step, _AHEAD)
        if self._ahead[0] != block:
            steps = np.arange(block * _AHEAD, (block + 1) * _AHEAD)
            self._ahead = block, coins(self.seed, 0, steps, value)
        return bool(self._ahead[1][place])

    def observe(self, metric: float) -> bool:
        """Take the snapshot if this metric is strictly better than all before; call on validation.

        Parameters
        ----------
        metric : float
            What :attr:`mode` refers to: a Python, NumPy or tensor scalar. With several ranks it
            must be the same on all (reduce it first), or they will keep different snapshots.

        Returns
        -------
        bool
            Whether a snapshot was taken. A tie does not replace the older snapshot.

        Raises
        ------
        DomainError
            If the metric is NaN or not one number.
        """
        value = _number(metric)
        better = self.best is None or (
            value < self.best if self.mode == "min" else value > self.best
        )
        if better:
            self.checkpoint()
            self.best = value
        return better

    def checkpoint(self) -> None:
        """Take the snapshot now, whatever the metric.

        :meth:`observe` will replace it as soon as a metric beats the best one observed; so a fixed
        checkpoint is one call of this method and none of :meth:`observe`.
        """
        self.snapshot = Snapshot.capture(self.model, self.optimizer)
        self._taken = self.steps

    def state_dict(self) -> dict[str, Any]:
        """Counters, record and snapshot, copied; what a resumed run needs."""
        return {
            "steps": self.steps,
            "resets": list(self.resets),
            "best": self.best,
            "taken": self._taken,
            "snapshot": None if self.snapshot is None else self.snapshot.state_dict(),
            "settings": self.settings(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a :meth:`state_dict`; from there on every bit is the unbroken run's.

        Raises
        ------
        StreamMismatch
            If it was made with another protocol, seed or choice, or with another model.
        CorruptData
            If something is missing or of the wrong kind.
        """
        try:
            settings = dict(state["settings"])
            steps = domain.integer("steps", state["steps"], 0)
            resets = [domain.integer("resets", step, 1, steps) for step in state["resets"]]
            best = None if state["best"] is None else _number(state["best"])
            taken = state["taken"]
            taken = None if taken is None else domain.integer("taken", taken, 0, steps)
            kept = state["snapshot"]
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptData(f"resetter state is damaged: {error!r}") from None
        if settings != self.settings():
            raise StreamMismatch(f"resetter state is of {settings}, not of {self.settings()}")
        if (kept is None) != (taken is None):
            raise CorruptData("resetter state is damaged: snapshot and its step do not agree")
        snapshot = None
        if kept is not None:
            snapshot = Snapshot.capture(self.model, self.optimizer)
            snapshot.load_state_dict(kept)
        self.steps, self.resets, self.best = steps, resets, best
        self.snapshot, self._taken = snapshot, taken

    def settings(self) -> dict[str, Any]:
        """What decides when and how this resetter resets, as plain values."""
        return {
            "protocol": self._law[0],
            "value": self._law[1],
            "seed": self.seed,
            "mode": self.mode,
            "learning_rate": self.learning_rate,
            "hyperparameters": self.hyperparameters,
        }


def _law(protocol: Any) -> tuple[str, Any]:
    """Name and parameter of an admitted protocol."""
    if isinstance(protocol, Geometric) and protocol.order == "move-coin-look":
        value = np.asarray(domain.probability("probability", protocol.probability))
        if value.ndim == 0:
            return "Geometric", float(value)
    if isinstance(protocol, Sharp):
        period = np.asarray(protocol.period)
        if period.ndim == 0 and float(period).is_integer():
            return "Sharp", domain.integer("period", int(period), 1)
    raise DomainError(
        "protocol",
        protocol,
        "Geometric(probability=...) in the order move, coin, look, or Sharp(period=...) of a whole "
        "number of steps",
    )


def _number(metric: Any) -> float:
    """One real number that is not NaN."""
    try:
        value = float(metric)
    except (TypeError, ValueError, RuntimeError):
        value = math.nan
    if math.isnan(value):
        raise DomainError("metric", metric, "one real number; NaN says nothing about a checkpoint")
    return value
