"""Methods that train one network: plain steps, mixup, fresh label flips, and RHO-loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.losses.base import SampleLoss
from resetsgd.training.losses.robust import CrossEntropy
from resetsgd.training.methods.counted import Counted
from resetsgd.training.methods.quiet import advance, evaluating, quieted
from resetsgd.training.methods.report import StepReport
from resetsgd.training.snapshot import check
from resetsgd.training.streams import Purpose, addressed

__all__ = ["FreshFlips", "Mixup", "RHOLoss", "Supervised", "irreducible_losses"]


@dataclass(frozen=True)
class Mixup:
    """Mixup: each image becomes a mixture with another of its batch, and so does its loss.

    Parameters
    ----------
    concentration : float
        The weight of the first image is drawn once a batch from Beta(concentration, concentration);
        positive. Published: 1 for CIFAR-10.
    seed : int
        Key of the draws, which depend on (seed, step) alone.

    Raises
    ------
    DomainError
        For an argument outside its range.

    Notes
    -----
    **Source**: Zhang, Cisse, Dauphin and Lopez-Paz (2018), section 2.

    Examples
    --------
    >>> weight, order = Mixup(seed=1).draw(4, step=0)
    >>> 0.0 <= weight <= 1.0, sorted(order.tolist())
    (True, [0, 1, 2, 3])
    """

    concentration: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        domain.positive("concentration", self.concentration)
        domain.integer("seed", self.seed, 0, 2**63 - 1)

    def draw(self, batch: int, step: int) -> tuple[float, Tensor]:
        """The weight of each image itself, and the order of those mixed in.

        Parameters
        ----------
        batch : int
            Number of images.
        step : int
            Index of the step.
        """
        # counter-based, so that a resumed run draws the same; the key holds the purpose
        bits = np.random.Philox(key=self.seed + (Purpose.MIX << 64), counter=[0, 0, 0, step])
        generator = np.random.Generator(bits)
        weight = float(generator.beta(self.concentration, self.concentration))
        return weight, torch.from_numpy(generator.permutation(batch))


@dataclass(frozen=True)
class FreshFlips:
    """Label-noise SGD: labels are flipped afresh at every step, which smooths the minimum found.

    Parameters
    ----------
    rate : float
        Probability that a label is replaced, in [0, 1], by any of the classes, itself included.
    classes : int
        At least two.
    seed : int
        Key of the flips, which depend on (seed, step, sample) alone.

    Raises
    ------
    DomainError
        For an argument outside its range.

    Notes
    -----
    This is regularisation, not the noise of a data set: it never shows a sample the same wrong
    label for long.

    **Source**: Damian, Ma and Lee (2021), section 1; ``resetsgd.sgd`` has the regulariser.

    Examples
    --------
    >>> flips = FreshFlips(rate=1.0, classes=10, seed=0)
    >>> flips(torch.zeros(5, dtype=torch.int64), step=0).tolist() == [0, 0, 0, 0, 0]
    False
    """

    rate: float
    classes: int
    seed: int = 0

    def __post_init__(self) -> None:
        domain.probability("rate", self.rate)
        domain.integer("classes", self.classes, 2)
        domain.integer("seed", self.seed, 0, 2**64 - 1)

    def __call__(self, labels: Tensor, *, step: int, index: Tensor | None = None) -> Tensor:
        """Labels of shape (batch,) with fresh flips; without an index, keyed by position."""
        place = np.arange(len(labels)) if index is None else index.cpu().numpy()
        coin, word = (
            addressed(self.seed, Purpose.FLIP, place, replica=k, step=step) for k in (0, 1)
        )
        flipped = torch.from_numpy(coin < np.float64(self.rate) * 2.0**32).to(labels.device)
        drawn = (word * np.uint64(self.classes)) >> np.uint64(32)
        return torch.where(flipped, torch.from_numpy(drawn.astype(np.int64)).to(labels), labels)


class _Single(Counted):
    """A network, its optimizer and loss, and a counter of steps."""

    def __init__(self, model: nn.Module, optimizer: Optimizer, loss: SampleLoss | None) -> None:
        check(model, optimizer)
        loss = CrossEntropy() if loss is None else loss
        if not isinstance(loss, SampleLoss):
            raise DomainError("loss", loss, "a SampleLoss; per_sample makes one of a function")
        self.model, self.optimizer, self.loss = model, optimizer, loss


class Supervised(_Single):
    """One network, any loss, any optimizer; with mixup or fresh label flips if wanted.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits.
    optimizer : Optimizer
        Over its parameters; SAM too, whose second pass leaves no trace.
    loss : SampleLoss
        Cross-entropy by default.
    mixup : Mixup, optional
        Not with a loss that remembers samples: a mixture is none of them.
    flips : FreshFlips, optional
        Of the labels, before anything else.

    Raises
    ------
    DomainError
        For an argument outside its range, or an optimizer of another model.

    Examples
    --------
    >>> from resetsgd.training.networks import mlp
    >>> model = mlp((4, 8, 2))
    >>> method = Supervised(model, torch.optim.SGD(model.parameters(), lr=0.5), mixup=Mixup())
    >>> report = [method.step(torch.eye(4), torch.tensor([0, 1, 0, 1])) for _ in range(9)][-1]
    >>> report.losses[0].shape, method.steps
    (torch.Size([]), 9)
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        loss: SampleLoss | None = None,
        mixup: Mixup | None = None,
        flips: FreshFlips | None = None,
    ) -> None:
        super().__init__(model, optimizer, loss)
        if mixup is not None and self.loss.remembers:
            raise DomainError("mixup", mixup, "None with a loss that remembers samples")
        self.mixup, self.flips = mixup, flips

    def step(self, images: Tensor, labels: Tensor, index: Tensor | None = None) -> StepReport:
        """Train on one batch.

        Parameters
        ----------
        images : Tensor, shape (batch, ...)
            What the network takes.
        labels : Tensor of int64, shape (batch,)
            Observed labels.
        index : Tensor of int64, shape (batch,), optional
            Positions in the training set, for losses that remember samples and for flips.
        """
        targets = labels
        if self.flips is not None:
            targets = self.flips(labels, step=self.steps, index=index)
        weight, order = 1.0, None
        if self.mixup is not None:
            weight, order = self.mixup.draw(len(labels), self.steps)
            order = order.to(labels.device)
            images = weight * images + (1.0 - weight) * images[order]

        def mean() -> Tensor:
            logits = self.model(images)
            losses: Tensor = self.loss(logits, targets, index)
            if order is not None:
                losses = weight * losses + (1.0 - weight) * self.loss(logits, targets[order])
            return losses.mean()

        def again() -> Tensor:
            with quieted(self.model, self.loss):
                return mean()

        value = advance(self.optimizer, mean(), again)
        self.steps += 1
        rows = torch.arange(len(labels), device=labels.device)
        return StepReport((value,), (rows,))


@torch.no_grad()
def irreducible_losses(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    loss: SampleLoss | None = None,
    batch_size: int = 1024,
) -> Tensor:
    """Losses of training samples under a network that was trained on others.

    Parameters
    ----------
    model : nn.Module
        Trained on a holdout; it is put into evaluation mode for this, and back.
    images, labels : Tensor
        The training set, in the order of its indices.
    loss : SampleLoss
        Cross-entropy by default.
    batch_size : int
        Images in one forward pass.

    Returns
    -------
    Tensor, shape (samples,)

    Raises
    ------
    DomainError
        For a batch size below 1.

    Examples
    --------
    >>> from resetsgd.training.networks import mlp
    >>> irreducible_losses(mlp((4, 2)), torch.eye(4), torch.tensor([0, 1, 0, 1])).shape
    torch.Size([4])
    """
    judge = CrossEntropy() if loss is None else loss
    batch_size = domain.integer("batch_size", batch_size, 1)
    with evaluating(model):
        parts = [
            judge.held_out(model(x), y)
            for x, y in zip(
                torch.split(images, batch_size), torch.split(labels, batch_size), strict=True
            )
        ]
    return torch.cat(parts)


class RHOLoss(_Single):
    """RHO-loss: of a large batch, train on what is learnable and not yet learnt.

    The samples with the largest reducible loss are taken: their loss under the network less their
    irreducible loss, that under a network trained on a holdout.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits.
    optimizer : Optimizer
        Over its parameters.
    irreducible : Tensor, shape (samples,)
        From :func:`irreducible_losses`, in the order of the indices; finite.
    keep : float
        Share of each large batch that is trained on, in (0, 1]; published: 32 of 320.
    loss : SampleLoss
        Cross-entropy by default.

    Raises
    ------
    DomainError
        For an argument outside its range, an optimizer of another model, or, when stepped, an index
        that is missing or out of range.

    Notes
    -----
    Samples are judged in evaluation mode, without gradient; only those chosen are passed through
    the network in training mode.

    **Source**: Mindermann et al. (2022), equation 3 and algorithm 1.

    Examples
    --------
    >>> from resetsgd.training.networks import mlp
    >>> model = mlp((4, 2))
    >>> optimizer = torch.optim.AdamW(model.parameters())
    >>> method = RHOLoss(model, optimizer, torch.tensor([9.0, 0.0, 9.0, 9.0]), keep=0.25)
    >>> labels, index = torch.tensor([0, 1, 0, 1]), torch.arange(4)
    >>> method.step(torch.eye(4), labels, index).chosen[0].tolist()
    [1]
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        irreducible: Tensor,
        *,
        keep: float = 0.1,
        loss: SampleLoss | None = None,
    ) -> None:
        super().__init__(model, optimizer, loss)
        if not isinstance(irreducible, Tensor) or irreducible.ndim != 1:
            raise DomainError("irreducible", irreducible, "a tensor of shape (samples,)")
        if not torch.isfinite(irreducible).all():
            raise DomainError("irreducible", irreducible, "finite")
        self.irreducible = irreducible.detach()
        self.keep = float(domain.probability("keep", keep, zero=False))

    def step(self, images: Tensor, labels: Tensor, index: Tensor) -> StepReport:
        """Choose from a large batch and train on what was chosen.

        Parameters
        ----------
        images : Tensor, shape (batch, ...)
            What the network takes.
        labels, index : Tensor of int64, shape (batch,)
            Observed labels, and positions in the training set.
        """
        samples = len(self.irreducible)
        if not isinstance(index, Tensor) or index.shape != labels.shape:
            raise DomainError("index", index, "the positions of the samples, one for each label")
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < samples:
            raise DomainError("index", (int(index.min()), int(index.max())), f"in [0, {samples})")
        current = irreducible_losses(
            self.model, images, labels, loss=self.loss, batch_size=len(labels)
        )
        reducible = current - self.irreducible[index].to(current)
        count = max(1, math.floor(self.keep * len(labels) + 1e-9))
        rows = torch.argsort(reducible, descending=True, stable=True)[:count]
        x, y, places = images[rows], labels[rows], index[rows]

        def again() -> Tensor:
            with quieted(self.model, self.loss):
                mean: Tensor = self.loss(self.model(x), y, places).mean()
            return mean

        value = advance(self.optimizer, self.loss(self.model(x), y, places).mean(), again)
        self.steps += 1
        return StepReport((value,), (rows,))
