"""Instruments on a schedule and at every reset, which cost nothing in between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError, StreamMismatch
from resetsgd.training.diagnostics.base import Instrument, measuring
from resetsgd.training.diagnostics.passes import Loss
from resetsgd.training.diagnostics.probe import Probe
from resetsgd.training.diagnostics.records import Record, Table, write_records
from resetsgd.training.inplace import copied
from resetsgd.training.resetter import Resetter
from resetsgd.training.snapshot import Snapshot, check

__all__ = ["Diagnostics"]


class Diagnostics:
    """Measures a training run now and then, and records what was found as plain arrays.

    One line in any loop: ``diagnostics.step()`` at the end of each step, after that of the resetter
    if there is one. In :func:`resetsgd.training.fit` not even that.

    Parameters
    ----------
    instruments : Instrument, or list of them, or dict of names to them
        What is measured; in a list each is recorded under its own :attr:`Instrument.name`.
    model : nn.Module
        The model in training; compiled or wrapped for data parallelism, if it is.
    probe : Probe
        The samples looked at, on the device of the model.
    optimizer : Optimizer, optional
        Of the model; by default that of the resetter.
    loss : SampleLoss or callable
        What is trained on: one number for each sample, or their mean; by default that of the loop
        :func:`resetsgd.training.fit`, and cross-entropy elsewhere.
    resetter : Resetter, optional
        Of the same model: steps are then counted by it, its latest checkpoint is the one that
        distances are measured from, and at each reset everything is measured twice, just before
        and just after: what differs is what the reset undid.
    checkpoint : Snapshot, optional
        A checkpoint of the model, where there is no resetter.
    every : int or None
        Steps between measurements; None measures at resets and when asked only.
    at_resets : bool
        Whether resets are measured.
    batch_size : int
        Samples in one pass; results do not depend on it but for rounding.

    Raises
    ------
    DomainError
        For two instruments of one name, a resetter or optimizer of another model, or an instrument
        that needs what is not given.

    Notes
    -----
    Between measurements a step is one comparison of whole numbers: no pass, no hook on the model,
    no waiting for an accelerator. A measurement leaves every bit of the training as it was:
    parameters, gradients, buffers, the state of the optimizer, modes, the global random
    generators, the memory of losses. What it cannot shield is state that a model keeps outside its
    parameters and buffers, and what hooks of the user on its modules do when they run.

    Nothing in it communicates: under data parallelism make it on one rank.

    Examples
    --------
    >>> import torch
    >>> import resetsgd as rs
    >>> from resetsgd.training import Resetter, diagnostics
    >>> from resetsgd.training.networks import mlp
    >>> model = mlp((4, 8, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> resetter = Resetter(model, optimizer, rs.Sharp(period=25))
    >>> resetter.checkpoint()
    >>> truth = torch.tensor([0, 1, 0, 1])
    >>> probe = diagnostics.Probe(torch.eye(4), torch.tensor([0, 1, 0, 0]), truth=truth)
    >>> watched = [diagnostics.LabelFractions(), diagnostics.CheckpointDistance()]
    >>> record = diagnostics.Diagnostics(watched, model, probe, resetter=resetter, every=10)
    >>> for step in range(40):
    ...     optimizer.zero_grad()
    ...     nn.functional.cross_entropy(model(probe.images), probe.labels).backward()
    ...     optimizer.step()
    ...     event = resetter.step()
    ...     measured = record.step()
    >>> found = record["checkpoint_distance"]
    >>> found["step"].tolist()
    [10, 20, 25, 25, 30, 40]
    >>> found["moment"][2:4].tolist(), bool(found["distance"][2] > found["distance"][3])
    (['before reset', 'after reset'], True)
    """

    def __init__(
        self,
        instruments: Instrument | Iterable[Instrument] | Mapping[str, Instrument],
        model: nn.Module,
        probe: Probe,
        *,
        optimizer: Optimizer | None = None,
        loss: Loss | None = None,
        resetter: Resetter | None = None,
        checkpoint: Snapshot | None = None,
        every: int | None = 100,
        at_resets: bool = True,
        batch_size: int = 1024,
    ) -> None:
        self.instruments = _named(instruments)
        self.model, self.probe, self.loss = model, probe, loss
        self.resetter, self.checkpoint = resetter, checkpoint
        self.every = None if every is None else domain.integer("every", every, 1)
        self.batch_size = domain.integer("batch_size", batch_size, 1)
        self._digest: str | None = None
        self.steps = 0
        """Optimizer steps so far."""
        self._tables = {name: Table() for name in self.instruments}
        self._memory: dict[str, dict[str, Any]] = {name: {} for name in self.instruments}
        if resetter is not None:
            if not isinstance(resetter, Resetter) or resetter.model is not model:
                raise DomainError("resetter", resetter, "a Resetter of the same model")
            if checkpoint is not None:
                raise DomainError("checkpoint", checkpoint, "None with a resetter, which has one")
            optimizer = resetter.optimizer if optimizer is None else optimizer
            self.steps = resetter.steps
        self.optimizer = optimizer
        if checkpoint is not None and not isinstance(checkpoint, Snapshot):
            raise DomainError("checkpoint", checkpoint, "a Snapshot of the model")
        for name, instrument in self.instruments.items():
            for need in instrument.needs:
                held = optimizer if need == "optimizer" else getattr(probe, need, None)
                if held is None:
                    raise DomainError(need, None, f"given: {name} needs it")
        if optimizer is not None:
            check(model, optimizer)
        with self._context("asked"):
            pass  # what does not fit is found out before the training
        self._next = self._after(self.steps)
        self.at_resets = bool(at_resets) and resetter is not None
        self._handles: tuple[RemovableHandle, ...] = ()
        if resetter is not None and self.at_resets:
            self._handles = resetter.register_reset_hooks(self._before_reset, self._after_reset)

    def step(self) -> bool:
        """Count a step, and measure if the schedule says so; call at the end of each step.

        Returns
        -------
        bool
            Whether it measured.
        """
        self.steps = self.steps + 1 if self.resetter is None else self.resetter.steps
        if self._next is None or self.steps < self._next:
            return False
        self._next = self._after(self.steps)
        if self.every is None or self.steps % self.every:
            return False  # steps were counted elsewhere meanwhile, past one of the schedule
        self._measure("schedule", list(self.instruments))
        return True

    def measure(self, *names: str) -> dict[str, Mapping[str, Any]]:
        """Measure now, and record it as ``"asked"``.

        Parameters
        ----------
        *names : str
            Of instruments; by default all.

        Returns
        -------
        dict of str to dict
            What each instrument found.

        Raises
        ------
        DomainError
            For an unknown name.
        """
        for name in names:
            domain.choice("name", name, tuple(self.instruments))
        return self._measure("asked", list(names or self.instruments))

    def __getitem__(self, name: str) -> Record:
        """The record of an instrument: ``"step"``, ``"moment"`` and its values, a row each time."""
        return self._tables[domain.choice("name", name, tuple(self._tables))].record()

    @property
    def records(self) -> dict[str, Record]:
        """All records, by the name of the instrument."""
        return {name: table.record() for name, table in self._tables.items()}

    def layers(self) -> list[str]:
        """Names of the layers, in the order of the columns of values ``by_layer``."""
        with self._context("asked") as context:
            return list(context.layers())

    def save(self, path: str | Path) -> None:
        """Write all records to a file that :func:`~resetsgd.training.read_records` reads.

        Parameters
        ----------
        path : path
            The file, replaced whole.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        write_records(path, self._tables)

    def detach(self) -> None:
        """Leave the resetter alone from now on."""
        for handle in self._handles:
            handle.remove()
        self._handles = ()

    def settings(self) -> dict[str, Any]:
        """What decides what is measured and when, as plain values."""
        if self._digest is None:  # once: it reads all samples
            self._digest = self.probe.digest()
        return {
            "instruments": [[name, one.settings()] for name, one in self.instruments.items()],
            "every": self.every,
            "at_resets": self.at_resets,
            "probe": self._digest,
        }

    def state_dict(self) -> dict[str, Any]:
        """Records, and what instruments remember; copied."""
        return {
            "steps": self.steps,
            "settings": self.settings(),
            "memory": copied(self._memory),
            "records": {name: table.state_dict() for name, table in self._tables.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`: what is measured from there on is the unbroken run's.

        Parameters
        ----------
        state : mapping
            Of diagnostics with the same instruments, schedule and samples.

        Raises
        ------
        StreamMismatch
            If they were others.
        CorruptData
            If something is missing or of the wrong kind.
        """
        try:
            theirs, ours = dict(state["settings"]), self.settings()
            if theirs != ours:
                keys = sorted(
                    k for k in theirs.keys() | ours.keys() if theirs.get(k) != ours.get(k)
                )
                raise StreamMismatch(f"diagnostics are of other settings: {', '.join(keys)}")
            steps = domain.integer("steps", state["steps"], 0)
            tables = {name: Table.from_state(state["records"][name]) for name in self.instruments}
            memory = {name: copied(dict(state["memory"][name])) for name in self.instruments}
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptData(f"state of diagnostics is damaged: {error!r}") from None
        self.steps, self._tables, self._memory = steps, tables, memory
        self._next = self._after(steps)

    def _after(self, step: int) -> int | None:
        """The next step of the schedule."""
        return None if self.every is None else (step // self.every + 1) * self.every

    def _before_reset(self) -> None:
        self._at_reset("before reset")

    def _after_reset(self) -> None:
        self._at_reset("after reset")

    def _at_reset(self, moment: str) -> None:
        assert self.resetter is not None
        self.steps = self.resetter.steps
        self._measure(moment, [n for n, one in self.instruments.items() if one.at_resets])

    def _context(self, moment: str) -> Any:
        kept = self.checkpoint if self.resetter is None else self.resetter.snapshot
        return measuring(
            self.model,
            self.probe,
            loss=self.loss,
            optimizer=self.optimizer,
            checkpoint=kept,
            batch_size=self.batch_size,
            step=self.steps,
            moment=moment,
        )

    def _measure(self, moment: str, names: list[str]) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        if names:
            with self._context(moment) as context:
                for name in names:
                    context.memory = self._memory[name]
                    found[name] = self.instruments[name].measure(context)
            for name, values in found.items():
                self._tables[name].add(self.steps, moment, values)
        return found


def _named(
    instruments: Instrument | Iterable[Instrument] | Mapping[str, Instrument],
) -> dict[str, Instrument]:
    if isinstance(instruments, Mapping):
        named = list(instruments.items())
    else:
        held = [instruments] if isinstance(instruments, Instrument) else list(instruments)
        named = [(getattr(one, "name", ""), one) for one in held]
    for name, one in named:
        if not isinstance(one, Instrument):
            raise DomainError("instruments", one, "Instruments of resetsgd.training.diagnostics")
        if not isinstance(name, str) or not name or [n for n, _ in named].count(name) > 1:
            raise DomainError("instruments", name, "of different names: give a dict of names")
    return dict(named)
