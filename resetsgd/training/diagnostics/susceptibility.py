"""Susceptibility: how much one step on random labels teaches, without knowing any true label."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.diagnostics.base import Context, Instrument
from resetsgd.training.diagnostics.passes import summed
from resetsgd.training.diagnostics.probe import Probe
from resetsgd.training.methods.quiet import advance, evaluating, quieted
from resetsgd.training.snapshot import chain
from resetsgd.training.streams import Purpose, addressed, permutation, words

__all__ = ["Susceptibility"]


@dataclass(frozen=True)
class Susceptibility(Instrument):
    """Drop of the loss on a randomly labelled batch after one step on that batch.

    A network that memorises learns random labels readily. ``drop`` is the mean loss on the batch
    before less that after one step taken on it, from a copy; ``running`` is the mean of the drops
    of all scheduled measurements so far, the susceptibility. Low susceptibility together with a
    high training accuracy selects networks that memorise little.

    Parameters
    ----------
    samples : int
        Size of the batch; a fresh one of the probe each time, at most all of it.
    classes : int, optional
        Random labels are uniform over so many classes; by default what the outputs have.
    step : {"gradient", "optimizer"}
        A plain gradient step with the learning rates of the optimizer (default), or a step of a
        copy of the optimizer itself: with its momentum, weight decay and all, as released code has.
    learning_rate : float, optional
        Of the gradient step, instead of the optimizer's.
    seed : int
        Key of the labels, which depend on (seed, sample) alone, and of the batches, which depend on
        (seed, step).

    Raises
    ------
    DomainError
        For an argument outside its range; when measured, without learning rate or optimizer.

    Notes
    -----
    Only images are used, never labels: pass held-out ones where there are. In evaluation mode:
    released code takes the step in training mode, the paper does not say. Cost: two forward passes
    and one backward pass over the batch; with ``step="optimizer"`` a copy of model and optimizer.

    **Source**: Forouzesh, Sedghi and Thiran (2023), ICLR, arXiv:2212.04461.

    Examples
    --------
    >>> from resetsgd.training.diagnostics import Probe, measuring
    >>> from resetsgd.training.networks import mlp
    >>> probe = Probe(torch.eye(4), torch.tensor([0, 1, 0, 1]))
    >>> with measuring(mlp((4, 8, 2)), probe) as context:
    ...     found = Susceptibility(learning_rate=0.1).measure(context)
    >>> found["drop"] > 0.0
    True
    """

    samples: int = 512
    classes: int | None = None
    step: str = "gradient"
    learning_rate: float | None = None
    seed: int = 0

    name: ClassVar[str] = "susceptibility"

    def __post_init__(self) -> None:
        domain.integer("samples", self.samples, 1)
        domain.integer("seed", self.seed, 0, 2**64 - 1)
        domain.choice("step", self.step, ("gradient", "optimizer"))
        if self.classes is not None:
            domain.integer("classes", self.classes, 2)
        if self.learning_rate is not None:
            domain.single("learning_rate", self.learning_rate, domain.positive)
            if self.step == "optimizer":
                raise DomainError("learning_rate", self.learning_rate, "None: the optimizer's own")

    @property
    def needs(self) -> tuple[str, ...]:
        """As in :class:`Instrument`."""
        return ("optimizer",) if self.learning_rate is None else ()

    def measure(self, context: Context) -> Mapping[str, Any]:
        """As in :class:`Instrument`."""
        batch = self.batch(context)
        before = context.mean_loss(batch)
        if self.step == "gradient":
            slope = context.shaped(context.gradient(batch))
            rates = self._rates(context)
            moved = {n: p - rates[n] * slope[n] for n, p in context.parameters.items()}
            after = context.mean_loss(batch, moved)
        else:
            after = _stepped(context, batch)
        drop = before - after
        memory = context.memory
        count, running = int(memory.get("count", 0)), float(memory.get("running", 0.0))
        if context.moment == "schedule":
            count += 1
            running += (drop - running) / count
            memory |= {"count": count, "running": running}
        return {"drop": drop, "running": running if count else drop}

    def batch(self, context: Context) -> Probe:
        """The randomly labelled batch of a context.

        Parameters
        ----------
        context : Context
            Whose step and samples decide.
        """
        probe = context.probe
        outputs = context.forward(probe.images[:1])
        if outputs.ndim != 2:
            raise DomainError("outputs", tuple(outputs.shape), "logits of shape (n, classes)")
        classes = outputs.shape[1] if self.classes is None else self.classes
        key = int(words(self.seed, Purpose.PROBE, 1, step=context.step)[0])
        rows = permutation(key, Purpose.PROBE, len(probe))[: self.samples].copy()
        chosen = torch.from_numpy(rows).to(probe.images.device)
        places = rows if probe.index is None else probe.index[chosen].cpu().numpy()
        drawn = addressed(self.seed, Purpose.RANDOM_LABEL, places) * classes >> 32
        labels = torch.from_numpy(drawn.astype("int64")).to(probe.images.device)
        index = None if probe.index is None else probe.index[chosen]
        return Probe(probe.images[chosen], labels, index=index)

    def _rates(self, context: Context) -> dict[str, float]:
        """Learning rate of each trainable parameter; 0 of those the optimizer does not drive."""
        if self.learning_rate is not None:
            return dict.fromkeys(context.parameters, float(self.learning_rate))
        if context.optimizer is None:
            raise DomainError("optimizer", None, "given, or a learning_rate")
        rates: dict[int, float] = {}
        for one in chain(context.optimizer):
            for group in one.param_groups:
                if "lr" in group:
                    rates |= {id(p): float(group["lr"]) for p in group["params"]}
        named = context.inner.named_parameters()
        return {n: rates.get(id(p), 0.0) for n, p in named if n in context.parameters}


def _stepped(context: Context, batch: Probe) -> float:
    """Mean loss on the batch after a step of copies of model and optimizer on it."""
    if context.optimizer is None:
        raise DomainError("optimizer", None, "given, for a copy of it takes the step")
    model, optimizer = _copies(context)
    loss = context.loss

    def mean() -> Tensor:
        return summed(loss, model(batch.images), batch.labels, batch.index) / len(batch)

    def again() -> Tensor:
        with quieted(model):
            return mean()

    with evaluating(model):
        optimizer.zero_grad()
        advance(optimizer, mean(), again)
        with torch.no_grad():
            return float(mean())


def _copies(context: Context) -> tuple[Any, Optimizer]:
    """Model and optimizer, copied together, so that the one drives the other."""
    assert context.optimizer is not None
    try:
        copies = copy.deepcopy((context.inner, context.optimizer))
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise DomainError(
            "step", "optimizer", f"'gradient': no copy can be made, {error}"
        ) from None
    if len(chain(copies[1])) != len(chain(context.optimizer)):  # torch copies no wrapper's inside
        raise DomainError("step", "optimizer", "'gradient': a wrapped optimizer cannot be copied")
    return copies
