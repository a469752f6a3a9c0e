"""Two networks that select for each other: Co-teaching, Co-teaching+ and Decoupling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.losses.base import SampleLoss
from resetsgd.training.losses.robust import CrossEntropy
from resetsgd.training.methods.counted import Counted
from resetsgd.training.methods.quiet import advance, quieted
from resetsgd.training.methods.report import StepReport
from resetsgd.training.methods.selection import disagreement, small_loss
from resetsgd.training.snapshot import check

__all__ = ["CoTeaching", "CoTeachingPlus", "Decoupling", "pair_of_losses", "share_at"]

Share = float | Callable[[int], float]


def pair_of_losses(loss: SampleLoss | Sequence[SampleLoss] | None) -> tuple[SampleLoss, SampleLoss]:
    """One loss for each of two networks; a loss that remembers samples cannot serve both."""
    if loss is None:
        loss = CrossEntropy()
    losses = (loss, loss) if not isinstance(loss, (list, tuple)) else tuple(loss)
    if len(losses) != 2 or not all(isinstance(one, SampleLoss) for one in losses):
        raise DomainError("loss", loss, "a SampleLoss, or two of them")
    if losses[0] is losses[1] and losses[0].remembers:
        raise DomainError("loss", loss, "two of them: each network has a memory of its own")
    return losses[0], losses[1]


def share_at(keep: Share, step: int) -> float:
    """The share that is kept at a step, checked."""
    return float(domain.probability("keep", keep(step) if callable(keep) else keep))


class _Pair(Counted, ABC):
    """Both networks, their optimizers and losses, and a counter of steps."""

    def __init__(
        self,
        models: Sequence[nn.Module],
        optimizers: Sequence[Optimizer],
        loss: SampleLoss | Sequence[SampleLoss] | None,
    ) -> None:
        if len(models) != 2 or len(optimizers) != 2 or models[0] is models[1]:
            raise DomainError("models", len(models), "two, each with an optimizer of its own")
        for model, optimizer in zip(models, optimizers, strict=True):
            check(model, optimizer)
        self.models = models[0], models[1]
        self.optimizers = optimizers[0], optimizers[1]
        self.losses = pair_of_losses(loss)

    def step(self, images: Tensor, labels: Tensor, index: Tensor | None = None) -> StepReport:
        """Train both networks on one batch.

        Parameters
        ----------
        images : Tensor, shape (batch, ...)
            What the networks take.
        labels : Tensor of int64, shape (batch,)
            Observed labels.
        index : Tensor of int64, shape (batch,), optional
            Positions in the training set, for losses that remember samples.
        """
        logits = [model(images) for model in self.models]
        losses = [loss(z, labels, index) for loss, z in zip(self.losses, logits, strict=True)]
        chosen = self._choose([z.detach() for z in logits], [one.detach() for one in losses])
        self.steps += 1
        if chosen is None:
            none = torch.empty(0, dtype=torch.int64, device=labels.device)
            return StepReport((), (none, none))
        values = []
        for k in (0, 1):
            rows = chosen[k]

            def again(k: int = k, rows: Tensor = rows) -> Tensor:
                with quieted(self.models[k], self.losses[k]):
                    mean: Tensor = self.losses[k](self.models[k](images), labels, index)[
                        rows
                    ].mean()
                return mean

            values.append(advance(self.optimizers[k], losses[k][rows].mean(), again))
        return StepReport(tuple(values), chosen)

    @abstractmethod
    def _choose(self, logits: list[Tensor], losses: list[Tensor]) -> tuple[Tensor, Tensor] | None:
        """Positions that each network is trained on, or None for no step."""


class CoTeaching(_Pair):
    """Co-teaching: each network is trained on what the *other* finds of small loss.

    Parameters
    ----------
    models : two nn.Module
        Initialised differently.
    optimizers : two Optimizer
        One for each; SAM takes its second pass over the same samples.
    keep : float or callable
        Share of each batch that is kept, or a schedule of the step such as ``KeptShare``.
    loss : SampleLoss, or two of them
        Cross-entropy by default. One that remembers samples is needed twice.

    Raises
    ------
    DomainError
        For an argument outside its range, or an optimizer of another model.

    Notes
    -----
    With resetting each network has a resetter of its own; of the same seed and protocol they reset
    together. The loss is the mean over the chosen samples; the released code divides it by their
    number once more, which SGD takes for a smaller learning rate.

    **Source**: Han et al. (2018), algorithm 1.

    Examples
    --------
    >>> from resetsgd.training.methods import KeptShare
    >>> from resetsgd.training.networks import mlp
    >>> models = mlp((4, 8, 2), seed=0), mlp((4, 8, 2), seed=1)
    >>> optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
    >>> method = CoTeaching(models, optimizers, keep=KeptShare(noise_rate=0.5, ramp=1))
    >>> images, labels = torch.eye(4), torch.tensor([0, 1, 0, 1])
    >>> [len(method.step(images, labels).chosen[0]) for _ in range(2)]
    [4, 2]
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        optimizers: Sequence[Optimizer],
        *,
        keep: Share,
        loss: SampleLoss | Sequence[SampleLoss] | None = None,
    ) -> None:
        super().__init__(models, optimizers, loss)
        share_at(keep, 0)
        self.keep = keep

    def _choose(self, logits: list[Tensor], losses: list[Tensor]) -> tuple[Tensor, Tensor] | None:
        return self._exchanged(losses)

    def _exchanged(self, losses: list[Tensor]) -> tuple[Tensor, Tensor]:
        """For each network, what the other finds of small loss."""
        share = share_at(self.keep, self.steps)
        return small_loss(losses[1], share), small_loss(losses[0], share)


class CoTeachingPlus(CoTeaching):
    """Co-teaching+: Co-teaching among the samples on which the two networks disagree.

    Parameters
    ----------
    models : two nn.Module
        Initialised differently.
    optimizers : two Optimizer
        One for each.
    keep : float or callable
        Share of the samples in disagreement that is kept, or a schedule of the step.
    warm_up : int
        Steps during which it is plain Co-teaching, at least 0.
    loss : SampleLoss, or two of them
        Cross-entropy by default. One that remembers samples is needed twice.

    Raises
    ------
    DomainError
        For an argument outside its range, or an optimizer of another model.

    Notes
    -----
    Where all samples are agreed upon no step is made. The released code departs from the paper in
    ways that are not repeated here: it takes the cross-entropy of the *softmax* of probabilities,
    ignores a batch's first sample as if it were agreed upon, and counts its warm-up wrongly.

    **Source**: Yu et al. (2019), algorithm 1.

    Examples
    --------
    >>> from resetsgd.training.networks import mlp
    >>> models = mlp((4, 8, 2), seed=0), mlp((4, 8, 2), seed=0)
    >>> optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
    >>> method = CoTeachingPlus(models, optimizers, keep=0.5)
    >>> method.step(torch.eye(4), torch.tensor([0, 1, 0, 1])).losses
    ()
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        optimizers: Sequence[Optimizer],
        *,
        keep: Share,
        warm_up: int = 0,
        loss: SampleLoss | Sequence[SampleLoss] | None = None,
    ) -> None:
        super().__init__(models, optimizers, keep=keep, loss=loss)
        self.warm_up = domain.integer("warm_up", warm_up, 0)

    def _choose(self, logits: list[Tensor], losses: list[Tensor]) -> tuple[Tensor, Tensor] | None:
        if self.steps < self.warm_up:
            return self._exchanged(losses)
        rows = disagreement(logits[0], logits[1])
        if not len(rows):
            return None
        first, second = self._exchanged([one[rows] for one in losses])
        return rows[first], rows[second]


class Decoupling(_Pair):
    """Decoupling: both networks are trained on the samples on which their predictions differ.

    Parameters
    ----------
    models : two nn.Module
        Initialised differently: equal ones never disagree, and so never learn.
    optimizers : two Optimizer
        One for each.
    warm_up : int
        Steps during which all samples are trained on, at least 0.
    loss : SampleLoss, or two of them
        Cross-entropy by default. One that remembers samples is needed twice.

    Raises
    ------
    DomainError
        For an argument outside its range, or an optimizer of another model.

    Notes
    -----
    Where all samples are agreed upon no step is made.

    **Source**: Malach and Shalev-Shwartz (2017), algorithm 1.

    Examples
    --------
    >>> from resetsgd.training.networks import mlp
    >>> models = mlp((4, 8, 2), seed=0), mlp((4, 8, 2), seed=1)
    >>> optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
    >>> method = Decoupling(models, optimizers, warm_up=1)
    >>> len(method.step(torch.eye(4), torch.tensor([0, 1, 0, 1])).chosen[0])
    4
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        optimizers: Sequence[Optimizer],
        *,
        warm_up: int = 0,
        loss: SampleLoss | Sequence[SampleLoss] | None = None,
    ) -> None:
        super().__init__(models, optimizers, loss)
        self.warm_up = domain.integer("warm_up", warm_up, 0)

    def _choose(self, logits: list[Tensor], losses: list[Tensor]) -> tuple[Tensor, Tensor] | None:
        if self.steps < self.warm_up:
            rows = torch.arange(len(losses[0]), device=losses[0].device)
        else:
            rows = disagreement(logits[0], logits[1])
        return (rows, rows) if len(rows) else None
