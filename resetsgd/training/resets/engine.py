"""The mechanics of a resetter: step by step, coin, then checkpoint, then the beginning."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from resetsgd.errors import DomainError
from resetsgd.training.resets.clocks import Coins
from resetsgd.training.resets.how import How, Partial
from resetsgd.training.resets.layers import Selection
from resetsgd.training.resets.ranks import number, same_everywhere
from resetsgd.training.resets.when import AfterPatience, Decider, Now
from resetsgd.training.resets.where import Best, MadeTarget, Origin, Target
from resetsgd.training.snapshot import Snapshot, chain
from resetsgd.training.streams import Purpose, uniforms

__all__ = ["Engine", "Place", "ResetEvent"]


class ResetEvent(NamedTuple):
    """What one call of :meth:`resetsgd.training.Resetter.step` did.

    Parameters
    ----------
    step : int
        Optimizer steps so far, this one included.
    reset : bool
        Whether model and optimizer went back.
    checkpoint : int or None
        The step at which the checkpoint was taken that a reset went to, or else of the present one;
        None before there is one, and where the place is made at the reset.
    reason : str or None
        What decided a reset: "coin", "period", "wait", "age", "metric", "plateau", "spike", or what
        :meth:`resetsgd.training.Resetter.reset` was told.
    distance : float or None
        Euclidean distance from the place the reset went to, over the layers that were reset.
    metric : float or None
        The metric observed last before a reset.
    """

    step: int
    reset: bool
    checkpoint: int | None
    reason: str | None = None
    distance: float | None = None
    metric: float | None = None


class Place(NamedTuple):
    """A checkpoint: when it was taken, the metric then, and the snapshot."""

    step: int
    metric: float | None
    snapshot: Snapshot


class Engine:
    """What :class:`~resetsgd.training.Resetter` runs on; it sets the attributes named here."""

    model: nn.Module
    optimizer: Optimizer
    when: int | AfterPatience
    target: Target
    how: How
    momentum: str
    buffers: str
    learning_rate: str
    hyperparameters: str
    also: tuple[Any, ...]
    seed: int
    mode: str
    synchronise: bool
    _chosen: Selection
    _deciders: list[Decider]

    def _begin(self) -> None:
        """Before the first step."""
        self.best: float | None = None
        """The best metric observed so far."""
        self.steps = 0
        """Optimizer steps so far."""
        self.events: list[ResetEvent] = []
        """What :meth:`step` returned at each reset."""
        self._places: list[Place] = []
        self._best_place: Place | None = None
        self._best_step = 0
        self._metric: float | None = None
        self._start: int | None = 0 if self.when == 0 else None
        self._since = 0
        self._memory = [decider.begin() for decider in self._deciders]
        self._watching = any(decider.watches for decider in self._deciders)
        self._loss: Any = None
        self._spiking = False
        self._coins = Coins(self.seed)
        self._before: OrderedDict[int, Callable[[], Any]] = OrderedDict()
        self._after: OrderedDict[int, Callable[[], Any]] = OrderedDict()
        if self.target.at_once:
            self._keep(self._take())
        self._plan()

    def _consistent(self) -> None:
        """``DomainError`` if choices contradict each other."""
        self.target.check(self.model)
        if isinstance(self.target, Best) and not self.target.adaptive and self.when == 0:
            raise DomainError(
                "target", self.target, "adaptive unless resetting begins later: give when="
            )
        if isinstance(self.target, Origin) and not isinstance(self.how, Partial):
            raise DomainError("how", self.how, "Partial(factor) where the target is Origin()")
        made = isinstance(self.target, MadeTarget)
        if made and self.also:
            raise DomainError("also", self.also, "empty: their first states are not kept")
        if made and "restore" in (self.learning_rate, self.hyperparameters):
            raise DomainError(
                "learning_rate", "restore", f"'keep': {self.target!r} has no learning rate"
            )

    def _advance(self, metric: Any = None, loss: Any = None) -> ResetEvent:
        self.steps += 1
        if self._watching:
            self._watch(loss)
        if self.steps < self._wake:
            event = ResetEvent(self.steps, False, self._places[-1].step if self._places else None)
        else:
            event = self._consult()
        if metric is not None:
            self._observe(metric)
        return event

    def _watch(self, loss: Any) -> None:
        loss, self._loss = self._loss if loss is None else loss, None
        if loss is None:
            raise DomainError("loss", None, "given to step(loss=...): the protocol watches it")
        value = same_everywhere(number("loss", loss, nan=True), self)
        pairs = zip(self._deciders, self._memory, strict=True)
        self._spiking = sum(d.watched(value, memory) for d, memory in pairs if d.watches) > 0
        if self._spiking:
            self._wake = self.steps

    def _now(self) -> Now:
        start = self.steps if self._start is None else self._start
        less = self.mode == "min"
        return Now(self._coins, self.steps, start, max(self._since, start), self._metric, less)

    def _consult(self) -> ResetEvent:
        """A step at which something may happen: coin, then checkpoint, then the beginning."""
        event = None
        now = self._now()
        if self._start is not None and self._somewhere():
            due = [d.due(now, m) for d, m in zip(self._deciders, self._memory, strict=True)]
            if any(due):
                event = self._reset(self._deciders[due.index(True)].reason, due)
        bad = self._spiking and event is None and self.target.renewed
        if self.target.next_step(self.steps - 1) == self.steps and not bad:
            self._keep(self._take())
        if self._start is None and self.when == self.steps:
            self._start = self.steps
        self._plan()
        if event is None:
            event = ResetEvent(self.steps, False, self._places[-1].step if self._places else None)
        return event

    def _plan(self) -> None:
        """Find the next step at which anything may happen."""
        self._wake = self.target.next_step(self.steps)
        if self._start is None:
            if not isinstance(self.when, AfterPatience):
                self._wake = min(self._wake, self.when)
        elif self._somewhere():
            now = self._now()
            wakes = (d.wake(now, m) for d, m in zip(self._deciders, self._memory, strict=True))
            self._wake = min(self._wake, *wakes)

    def register_reset_hooks(
        self, before: Callable[[], Any], after: Callable[[], Any]
    ) -> tuple[RemovableHandle, RemovableHandle]:
        """Have functions called just before and just after each reset.

        Parameters
        ----------
        before, after : callable
            Called without arguments; :attr:`steps` counts the step of the reset already, and the
            event is the last of :attr:`events` afterwards.

        Returns
        -------
        tuple of RemovableHandle
            ``remove()`` of each ends it.
        """
        handles = RemovableHandle(self._before), RemovableHandle(self._after)
        self._before[handles[0].id], self._after[handles[1].id] = before, after
        return handles

    def _reset(self, reason: str, due: list[bool]) -> ResetEvent:
        taken, snapshot = self._destination()
        for hook in tuple(self._before.values()):
            hook()
        distance = snapshot.distance(self._chosen)
        snapshot.restore(
            learning_rate=self.learning_rate,
            hyperparameters=self.hyperparameters,
            momentum=self.momentum,
            buffers=self.buffers,
            layers=self._chosen,
            how=self.how,
        )
        for decider, memory, mine in zip(self._deciders, self._memory, due, strict=True):
            decider.happened(memory, mine=mine)
        self._since = self.steps
        self.events.append(ResetEvent(self.steps, True, taken, reason, distance, self._metric))
        for hook in tuple(self._after.values()):
            hook()
        return self.events[-1]

    def _somewhere(self) -> bool:
        """Whether there is a place to go to."""
        return bool(self._places) or isinstance(self.target, MadeTarget)

    def _destination(self) -> tuple[int | None, Snapshot]:
        if isinstance(self.target, MadeTarget):
            parameters, buffers = self.target.make(self.model, self.seed, self.steps)
            empty: list[Any] = [{"state": {}, "groups": []} for _ in chain(self.optimizer)]
            kept = {"parameters": parameters, "buffers": buffers, "optimizers": empty, "also": []}
            return None, Snapshot(self.model, self.optimizer, kept)
        if not self._places:
            raise DomainError("snapshot", None, "taken first, by observe(metric) or checkpoint()")
        index = -1
        if len(self._places) > 1:
            drawn = uniforms(self.seed, Purpose.PLACE, 1, step=self.steps)[0]
            index = int(drawn * len(self._places))
        return self._places[index].step, self._places[index].snapshot

    def _observe(self, metric: Any) -> bool:
        value = number("metric", same_everywhere(number("metric", metric), self))
        self._metric = value
        better = self.best is None or (
            value < self.best if self.mode == "min" else value > self.best
        )
        if better:
            self.best, self._best_step = value, self.steps
            if self.target.on_better:
                self._better()
        for decider, memory in zip(self._deciders, self._memory, strict=True):
            decider.looked(self._now(), memory)
        if (
            self._start is None
            and isinstance(self.when, AfterPatience)
            and self.when.begins(self.steps, self._best_step)
        ):
            self._start = self.steps
        self._plan()
        return better

    def _better(self) -> None:
        """A new best state: where resets go, unless that was settled when they began."""
        place = self._take()
        if isinstance(self.target, Best):
            self._best_place = place
            if self._start is not None and not self.target.adaptive:
                return
        self._keep(place)

    def _take(self) -> Place:
        snapshot = Snapshot.capture(self.model, self.optimizer, self.also)
        return Place(self.steps, self._metric, snapshot)

    def _keep(self, place: Place) -> None:
        self._places = [*self._places, place][-self.target.size :]
