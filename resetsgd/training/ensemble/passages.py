"""Runs of an ensemble until each replica reaches a level: passage times, some of them censored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError
from resetsgd.training.ensemble.ensemble import Ensemble
from resetsgd.training.network import State

__all__ = ["FirstPassages"]

_WORTH_IT = 7 / 8
"""Share of replicas still on their way at which the others are left behind."""

_WORTH_IT_ELSEWHERE = 1 / 2
"""The same on an accelerator, where a smaller ensemble is captured anew: about a second."""

_SYNC = 32
"""Looks between two questions to an accelerator how many are still on their way."""


class FirstPassages:
    """The first time at which each replica of an ensemble reaches a level of accuracy or loss.

    The order of a step is move, coin, look. Replicas that have arrived stop costing: as soon as
    that pays, the computation goes on with a smaller ensemble of the others, which draw what they
    would have drawn.

    Parameters
    ----------
    ensemble : Ensemble
        In the state to start from. It is trained in place until the first replicas are left behind;
        what it holds afterwards is of no use.
    level : float, or one for each replica
        A replica has arrived when its accuracy is at least this, or its loss at most this.
    of : {"accuracy", "loss"}
        On the set that is looked at.
    probability : float, or one for each replica
        Of a reset after each step.
    checkpoint : State, optional
        What resets go back to, of one network or one for each replica; needed if they may happen.

    Attributes
    ----------
    steps : int
        Steps done: the time at which replicas are censored that have not arrived.
    replica_steps : int
        Steps computed, of all replicas together.

    Raises
    ------
    DomainError
        For an argument outside its range, or a probability without a checkpoint.

    Examples
    --------
    >>> from resetsgd.training import MLP, digits
    >>> data = digits(seed=0)
    >>> network = MLP(widths=(64, 16, 10))
    >>> ensemble = Ensemble(network, 20, learning_rate=0.05, batch_size=16, seed=1)
    >>> ensemble.load(network.initial(seed=0))
    >>> passages = FirstPassages(ensemble, level=0.7)
    >>> look = data.validation.images, data.validation.labels
    >>> passages.advance(data.train.images, data.train.labels, look=look, steps=300)
    >>> passages.times.shape, bool(passages.censored.any()), passages.replica_steps < 20 * 300
    ((20,), False, True)
    """

    def __init__(
        self,
        ensemble: Ensemble,
        level: float | npt.ArrayLike,
        *,
        of: str = "accuracy",
        probability: float | npt.ArrayLike = 0.0,
        checkpoint: State | None = None,
    ) -> None:
        if not isinstance(ensemble, Ensemble):
            raise DomainError("ensemble", type(ensemble).__name__, "an Ensemble")
        self.of = domain.choice("of", of, ("accuracy", "loss"))
        count = ensemble.replicas
        self._levels = _row("level", domain.finite("level", level), count)
        chances = domain.probability("probability", probability)
        self._chances = _row("probability", chances, count)
        if checkpoint is None and self._chances.any():
            raise DomainError("checkpoint", None, "given, where replicas may be reset")
        self._checkpoint, self._whole = checkpoint, ensemble
        self.steps, self.replica_steps = 0, 0
        self._arrived = np.zeros(count, np.int64)
        self._resets = np.zeros(count, np.int64)
        self._before = ensemble.resets.cpu().numpy().copy()
        self._go_on(ensemble, np.arange(count))

    def _go_on(self, running: Ensemble, rows: npt.NDArray[np.int64]) -> None:
        """Compute with this ensemble, which holds these replicas."""
        self._running, self._rows = running, rows
        self._labels: dict[int, tuple[Any, Any]] = {}
        self._goal = goal = self._checkpoint
        if goal is not None and running.is_stacked(goal):
            self._goal = goal.chosen(rows)
        self._level, self._time, self._count, self._offset = (
            torch.from_numpy(array[rows]).to(running.device)
            for array in (self._levels, self._arrived, self._resets, self._before)
        )

    def advance(
        self, images: Any, labels: Any = None, *, look: Any, steps: int, every: int = 1
    ) -> None:
        """Go on for some steps, or until all have arrived.

        Parameters
        ----------
        images, labels : Tensor or array, or OnDevice
            The training set, as for ``Ensemble.train_step``.
        look : tuple of images and labels, or OnDevice
            The set that is looked at, as for ``Ensemble.evaluate``.
        steps : int
            At most so many.
        every : int
            Steps between looks. Replicas that arrive between two looks are seen at the second.
        """
        steps, every = domain.integer("steps", steps, 0), domain.integer("every", every, 1)
        watched = look if isinstance(look, tuple) else (look, None)
        resetting = self._goal is not None and bool(self._chances.any())
        for _ in range(steps):
            if not len(self._rows):
                break
            running = self._running
            chances = self._chances[self._rows] if resetting else None
            running.train_step(
                images,
                self._own(labels),
                probability=chances,
                checkpoint=self._goal if resetting else None,
            )
            self.steps += 1
            self.replica_steps += running.replicas
            if self.steps % every:
                continue
            if self.of == "accuracy":
                there = running.accuracies(watched[0], self._own(watched[1])) >= self._level
            else:
                there = running.losses(watched[0], self._own(watched[1])) <= self._level
            going = self._time == 0
            self._count = torch.where(going, running.resets - self._offset, self._count)
            self._time = torch.where(going & there, self.steps, self._time)
            if running.device.type == "cpu" or self.steps // every % _SYNC == 0:
                self._leave_behind()
        self._write()

    def _own(self, labels: Any) -> Any:
        """Labels of the replicas that are still computed, where each has its own."""
        if getattr(labels, "ndim", 1) != 2 or len(self._rows) == len(labels):
            return labels
        if self._labels.get(id(labels), (None, None))[0] is not labels:
            self._labels[id(labels)] = labels, labels[self._rows]
        return self._labels[id(labels)][1]

    def _leave_behind(self) -> None:
        """Go on without those that have arrived, where that pays."""
        going = (self._time == 0).nonzero()[:, 0].cpu().numpy()
        share = _WORTH_IT if self._running.device.type == "cpu" else _WORTH_IT_ELSEWHERE
        if len(going) <= share * len(self._rows):
            self._write()
            if len(going):
                self._go_on(self._running.subset(going), self._rows[going])
            else:
                self._rows = self._rows[going]

    def _write(self) -> None:
        """Bring what is recorded on the device to the arrays of all replicas."""
        if len(self._rows):
            self._arrived[self._rows] = self._time.cpu().numpy()
            self._resets[self._rows] = self._count.cpu().numpy()

    @property
    def censored(self) -> npt.NDArray[np.bool_]:
        """Which replicas have not arrived, shape (K,)."""
        return np.equal(self._arrived, 0)

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Steps to the arrival, shape (K,); for censored replicas, steps done."""
        return np.where(self._arrived > 0, self._arrived, self.steps).astype(np.float64)

    @property
    def resets(self) -> npt.NDArray[np.int64]:
        """Resets of each replica before it arrived, shape (K,)."""
        return self._resets.copy()

    def state_dict(self) -> dict[str, Any]:
        """All that the future depends on."""
        return {
            "steps": [self.steps, self.replica_steps],
            "arrived": torch.from_numpy(self._arrived.copy()),
            "resets": torch.from_numpy(self._resets.copy()),
            "before": torch.from_numpy(self._before.copy()),
            "rows": torch.from_numpy(self._rows.copy()),
            "running": self._running.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a :meth:`state_dict`, with the ensemble and arguments it was made with.

        Raises
        ------
        CorruptData
            If something is missing or has the wrong shape.
        StreamMismatch
            If it belongs to another ensemble.
        """
        try:
            steps, computed = state["steps"]
            arrays = [state[name].numpy().copy() for name in ("arrived", "resets", "before")]
            rows, running = state["rows"].numpy().copy(), state["running"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptData(f"first passages are damaged: {error!r}") from None
        count = self._whole.replicas
        if any(a.shape != (count,) for a in arrays) or not set(rows) <= set(range(count)):
            raise CorruptData("first passages are damaged: arrays are of other shapes")
        self.steps, self.replica_steps = domain.integer("steps", steps, 0), int(computed)
        self._arrived, self._resets, self._before = arrays
        if len(rows):
            whole = len(rows) == count
            self._go_on(self._whole if whole else self._whole.subset(rows), rows)
            self._running.load_state_dict(running)
        self._rows = rows


def _row(name: str, value: Any, count: int) -> npt.NDArray[np.float64]:
    array = np.asarray(value, np.float64)
    if array.shape not in ((), (count,)):
        raise DomainError(name, array.shape, f"one, or one for each of {count} replicas")
    return np.broadcast_to(array, (count,)).copy()
