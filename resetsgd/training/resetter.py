"""Stochastic resetting of a training run, used like a learning-rate scheduler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.protocols import Geometric, Protocol
from resetsgd.training.resets.clocks import clock
from resetsgd.training.resets.engine import Engine, ResetEvent
from resetsgd.training.resets.how import How, Replace
from resetsgd.training.resets.layers import Layers, select
from resetsgd.training.resets.published import DEFECTS, RECIPES
from resetsgd.training.resets.settings import plain
from resetsgd.training.resets.state import dumped, loaded
from resetsgd.training.resets.when import AfterPatience, Decider
from resetsgd.training.resets.where import Best, Fresh, MadeTarget, Target
from resetsgd.training.snapshot import Snapshot, check, check_also, stepping

__all__ = ["ResetEvent", "Resetter"]

_MODES = ("min", "max")


class Resetter(Engine):
    """Resets a model and its optimizer: at random or fixed times, to the best state seen or others.

    Parameters
    ----------
    model : nn.Module
        The model in training; compiled or wrapped for data parallelism, if it is.
    optimizer : Optimizer
        Over parameters of this model.
    protocol : Protocol, Decider, or list of them
        When to reset. A protocol of ``resetsgd``, one optimizer step being one unit of its time
        and waiting times being rounded up to whole steps: ``Geometric(probability)`` tosses a coin
        after every step (its own ``step`` plays no role), ``Sharp(period)`` resets after every
        period. Or one of ``resetsgd.training.resets``, which look at the run. Of several, each
        may reset.
    when : int or AfterPatience, default 0
        From when on: after so many steps, or after patience with the metric. Clocks start then.
    target : Target, optional
        Where to: by default ``Best()``, the state with the best metric observed so far.
    layers : None, int, str, or list of str
        What is reset: everything (default), the last so many layers, or those named; see
        :func:`resetsgd.training.resets.select`.
    how : How, optional
        What the weights become: by default ``Replace()``, what they were.
    momentum : {"restore", "zero", "keep"}, optional
        What happens to the state of the optimizer. By default "restore" where weights are replaced;
        where they are mixed, what ``how`` says.
    buffers : {"restore", "keep"}, optional
        The same for buffers, batch-norm statistics among them.
    learning_rate, hyperparameters : {"keep", "restore"}
        What a reset does with the hyper-parameters of the optimizer: see
        :meth:`Snapshot.restore`. They stay by default.
    also : sequence of objects with ``state_dict`` and ``load_state_dict``
        What else goes back: a moving average of the weights, the memory of a loss, a gradient
        scaler, a learning-rate scheduler (with ``learning_rate="restore"``). Nothing by default.
    seed : int
        Key of the coins, in [0, 2**64). The coin of step t is a function of (seed, t) and of
        nothing else: it is the same on every rank, after a resume, and whatever happened before; it
        never touches a global generator. It is the coin of replica 0 in
        :func:`resetsgd.training.coins`.
    mode : {"min", "max"}
        Whether a lower or a higher metric is better.
    synchronise : bool
        Whether, where ``torch.distributed`` runs several processes, an observed metric (and a loss
        that is watched) is averaged over them; all must then observe. Without it every rank must be
        given the same number.

    Raises
    ------
    DomainError
        For a protocol that makes no sense in steps, an unknown word or layer, an optimizer that
        does not belong to the model, or choices that contradict each other.

    Notes
    -----
    The order of one step is move, coin, look: ``optimizer.step()``, ``resetter.step()``, and only
    then validation and ``resetter.observe(metric)``. With gradient accumulation call ``step`` once
    for each optimizer step.

    Without a checkpoint there is nothing to go back to: until the first :meth:`observe` or
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
    >>> resetter.events[0].reason, resetter.events[0].distance >= 0.0
    ('coin', True)
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        protocol: Protocol | Decider | Iterable[Protocol | Decider],
        *,
        when: int | AfterPatience = 0,
        target: Target | None = None,
        layers: Layers = None,
        how: How | None = None,
        momentum: str | None = None,
        buffers: str | None = None,
        learning_rate: str = "keep",
        hyperparameters: str = "keep",
        also: Sequence[Any] = (),
        seed: int = 0,
        mode: str = "min",
        synchronise: bool = True,
    ) -> None:
        check(model, optimizer)
        self.model = model
        self.optimizer = optimizer
        self.protocol = protocol
        several = list(protocol) if isinstance(protocol, (list, tuple)) else [protocol]
        self._deciders = [p if isinstance(p, Decider) else clock(p) for p in several]
        if not self._deciders:
            raise DomainError("protocol", protocol, "at least one")
        self.when = when if isinstance(when, AfterPatience) else domain.integer("when", when, 0)
        self.how = _kind("how", Replace() if how is None else how, How)
        default = Fresh() if self.how.fresh else Best()
        self.target = _kind("target", default if target is None else target, Target)
        self.layers = layers
        self._chosen = select(model, layers)
        self.momentum = domain.choice(
            "momentum",
            self.how.momentum if momentum is None else momentum,
            ("restore", "zero", "keep"),
        )
        choices = ("keep", "restore")
        self.buffers = domain.choice(
            "buffers", self.how.buffers if buffers is None else buffers, choices
        )
        self.learning_rate = domain.choice("learning_rate", learning_rate, choices)
        self.hyperparameters = domain.choice("hyperparameters", hyperparameters, choices)
        check_also(also, learning_rate)
        self.also = tuple(also)
        self.seed = domain.integer("seed", seed, 0, 2**64 - 1)
        self.mode = domain.choice("mode", mode, _MODES)
        self.synchronise = bool(synchronise)
        self._consistent()
        self._handle: RemovableHandle | None = None
        self._begin()

    @classmethod
    def published(
        cls,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        variant: str = "readme",
        defects: Iterable[str] = (),
        seed: int = 0,
    ) -> Resetter:
        """Make the published method's resetter, without the defects of its code unless asked.

        Parameters
        ----------
        model, optimizer
            As for the class.
        variant : {"readme", "defaults"}
            Which of its settings: those of the run that it shows, or the defaults of its program;
            see :data:`~resetsgd.training.resets.published.RECIPES`.
        defects : iterable of str
            Which of its defects to have: keys of
            :data:`~resetsgd.training.resets.published.DEFECTS`.
        seed : int
            Key of the coins.

        Returns
        -------
        Resetter
            A coin after every step once the validation loss has not improved for the patience;
            back to the state of the best validation loss, batch-norm statistics included. Observe
            the validation loss where ``RECIPES[variant].looks(step)`` says so. The result that the
            method reports is that of :attr:`best_snapshot`.

        Raises
        ------
        DomainError
            For an unknown variant or defect.

        Notes
        -----
        **Source**: Bae, Ahn, Song, Kim, Jeong and Hwang (2025), Mach. Learn.: Sci. Technol. 6,
        015062, and the code published with it.

        Examples
        --------
        >>> import torch
        >>> model = nn.Linear(4, 2)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        >>> resetter = Resetter.published(model, optimizer)
        >>> resetter.protocol, resetter.when, resetter.target
        (Geometric(probability=0.001), AfterPatience(steps=5000, not_before=1), Best(adaptive=True))
        """
        recipe = RECIPES[domain.choice("variant", variant, tuple(RECIPES))]
        chosen = [domain.choice("defects", name, tuple(DEFECTS)) for name in defects]
        carried = recipe.optimizer and "shared momentum" not in chosen
        rate = "restore" if recipe.optimizer and "learning rate" in chosen else "keep"
        short = "short patience" in chosen
        return cls(
            model,
            optimizer,
            Geometric(probability=recipe.probability),
            # the very first look never begins it
            when=AfterPatience(recipe.short_patience if short else recipe.patience, not_before=1),
            target=Best(adaptive=recipe.adaptive),
            momentum="restore" if carried else "keep",
            learning_rate=rate,
            hyperparameters=rate,
            seed=seed,
        )

    @property
    def snapshot(self) -> Snapshot | None:
        """What a reset goes back to (the latest of several); None before the first."""
        return self._places[-1].snapshot if self._places else None

    @property
    def best_snapshot(self) -> Snapshot | None:
        """The state with the best metric, for a target of that kind; None before the first."""
        return None if self._best_place is None else self._best_place.snapshot

    @property
    def resets(self) -> list[int]:
        """The steps at which a reset happened."""
        return [event.step for event in self.events]

    @property
    def begun(self) -> int | None:
        """The step after which the protocol runs; None while it waits for ``when``."""
        return self._start

    @property
    def watches(self) -> bool:
        """Whether every step must be given its loss."""
        return self._watching

    def step(self, metric: Any = None, *, loss: Any = None) -> ResetEvent:
        """Reset if this step says so; call after ``optimizer.step()``.

        Parameters
        ----------
        metric : float, optional
            If given, :meth:`observe` follows.
        loss : float, optional
            The training loss of this step, for protocols that watch it (``OnSpike``); else it
            is not looked at.

        Raises
        ------
        DomainError
            If a protocol watches the loss and none was given; or while :meth:`attach` is in force.
        """
        if self._handle is not None:
            raise DomainError("step", "called", "left to the optimizer, or detached first")
        return self._advance(metric, loss)

    def watch(self, loss: Any) -> None:
        """Tell the loss of the step to come, where :meth:`attach` calls :meth:`step`."""
        self._loss = loss

    def due(self, step: int) -> bool:
        """Whether the protocol resets at this step, counted from 1, as far as is known now.

        For the protocols of ``resetsgd`` that is a function of (seed, step), once begun.
        """
        step = domain.integer("step", step, 1)
        now = self._now()._replace(step=step)
        return any(d.due(now, m) for d, m in zip(self._deciders, self._memory, strict=True))

    def reset(self, reason: str = "asked") -> ResetEvent:
        """Reset now, whatever the protocol says.

        Raises
        ------
        DomainError
            If there is no checkpoint yet.
        """
        event = self._reset(reason, [False] * len(self._deciders))
        self._plan()
        return event

    def observe(self, metric: Any) -> bool:
        """Take note of a validation metric; the target may take a checkpoint if it is the best yet.

        Parameters
        ----------
        metric : float
            What :attr:`mode` refers to: a Python, NumPy or tensor scalar.

        Returns
        -------
        bool
            Whether it is strictly better than all before. A tie replaces nothing.

        Raises
        ------
        DomainError
            If the metric is NaN or not one number.
        """
        return self._observe(metric)

    def checkpoint(self) -> None:
        """Take the checkpoint now, whatever the metric.

        With the target ``Best()``, :meth:`observe` will replace it as soon as a metric beats the
        best one observed.

        Raises
        ------
        DomainError
            If the target keeps no checkpoints.
        """
        if isinstance(self.target, MadeTarget):
            raise DomainError("target", self.target, "one that keeps checkpoints")
        self._keep(self._take())
        self._plan()

    def attach(self) -> RemovableHandle:
        """Let the optimizer call :meth:`step` after each of its own steps: no line in the loop.

        Steps that a gradient scaler skips are then not counted, being none. With a wrapper such as
        SAM the step of the inner optimizer counts, which is the one that moves.

        Returns
        -------
        RemovableHandle
            Its ``remove()`` ends it, as does :meth:`detach`.

        Examples
        --------
        >>> import torch
        >>> import resetsgd as rs
        >>> model = nn.Linear(1, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> resetter = Resetter(model, optimizer, rs.Sharp(period=2))
        >>> resetter.checkpoint()
        >>> handle = resetter.attach()
        >>> for _ in range(5):
        ...     optimizer.step()
        >>> resetter.resets
        [2, 4]
        """
        if self._handle is None:
            inner = stepping(self.optimizer)
            self._handle = inner.register_step_post_hook(lambda *_: self._hooked())
        return self._handle

    def _hooked(self) -> None:
        self._advance()

    def detach(self) -> None:
        """End what :meth:`attach` began."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def state_dict(self) -> dict[str, Any]:
        """Counters, record and checkpoints, copied; what a resumed run needs."""
        return dumped(self, self.settings())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a :meth:`state_dict`; from there on every bit is the unbroken run's.

        Raises
        ------
        StreamMismatch
            If it was made with another protocol, seed or choice, or with another model.
        CorruptData
            If something is missing or of the wrong kind.
        """
        loaded(self, state, self.settings())

    def settings(self) -> dict[str, Any]:
        """What decides when and how this resetter resets, as plain values."""
        names = (
            "protocol", "when", "target", "layers", "how", "momentum", "buffers", "learning_rate",
            "hyperparameters", "seed", "mode",
        )  # fmt: skip
        found = {name: plain(getattr(self, name)) for name in names}
        return {**found, "also": [type(other).__name__ for other in self.also]}


def _kind(name: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise DomainError(name, value, f"a {kind.__name__} of resetsgd.training.resets")
    return value
