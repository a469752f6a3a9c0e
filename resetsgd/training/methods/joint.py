"""One optimizer over two networks that are kept in agreement: JoCoR."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import log_softmax
from torch.optim import Optimizer

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.losses.base import SampleLoss
from resetsgd.training.methods.counted import Counted
from resetsgd.training.methods.pairs import Share, pair_of_losses, share_at
from resetsgd.training.methods.quiet import advance, quieted
from resetsgd.training.methods.report import StepReport
from resetsgd.training.methods.selection import small_loss
from resetsgd.training.snapshot import check

__all__ = ["JoCoR", "symmetric_divergence"]


def symmetric_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Kullback-Leibler divergence of two predictions, both ways together.

    Parameters
    ----------
    first, second : Tensor, shape (batch, classes)
        Logits.

    Returns
    -------
    Tensor, shape (batch,)
        At least 0.

    Examples
    --------
    >>> import torch
    >>> symmetric_divergence(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 1.0]])).item()
    0.0
    """
    p, q = log_softmax(first, dim=1), log_softmax(second, dim=1)
    return ((p.exp() - q.exp()) * (p - q)).sum(1)


class JoCoR(Counted):
    """JoCoR: two networks with one joint loss, trained on the samples of which it is small.

    The loss of a sample is (1 - agreement) (l_1 + l_2) + agreement (KL(p_1, p_2) + KL(p_2, p_1)).

    Parameters
    ----------
    models : nn.ModuleList of two
        Initialised differently. One module, so that one optimizer, one snapshot and one resetter
        serve both.
    optimizer : Optimizer
        Over the parameters of both.
    keep : float or callable
        Share of each batch that is kept, or a schedule of the step such as ``KeptShare``.
    agreement : float
        The lambda of the formula, in [0, 1]; published for CIFAR-10: 0.9, and 0.65 at 80 % noise;
        for CIFAR-100: 0.85. The released program's own default is 0.1.
    loss : SampleLoss, or two of them
        Cross-entropy by default. One that remembers samples is needed twice.

    Raises
    ------
    DomainError
        For an argument outside its range, or an optimizer of another model.

    Notes
    -----
    **Source**: Wei, Feng, Chen and An (2020), equations 1 to 5.

    Examples
    --------
    >>> import torch
    >>> from resetsgd.training.networks import mlp
    >>> models = nn.ModuleList([mlp((4, 8, 2), seed=0), mlp((4, 8, 2), seed=1)])
    >>> method = JoCoR(models, torch.optim.Adam(models.parameters()), keep=0.5)
    >>> len(method.step(torch.eye(4), torch.tensor([0, 1, 0, 1])).chosen[0])
    2
    """

    def __init__(
        self,
        models: nn.ModuleList,
        optimizer: Optimizer,
        *,
        keep: Share,
        agreement: float = 0.9,
        loss: SampleLoss | tuple[SampleLoss, SampleLoss] | None = None,
    ) -> None:
        if not isinstance(models, nn.ModuleList) or len(models) != 2:
            raise DomainError("models", type(models).__name__, "an nn.ModuleList of two networks")
        check(models, optimizer)
        share_at(keep, 0)
        self.models, self.optimizer, self.keep = models, optimizer, keep
        self.agreement = float(domain.probability("agreement", agreement))
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
        losses = self._losses(images, labels, index)
        rows = small_loss(losses, share_at(self.keep, self.steps))

        def again() -> Tensor:
            with quieted(self.models, *self.losses):
                return self._losses(images, labels, index)[rows].mean()

        value = advance(self.optimizer, losses[rows].mean(), again)
        self.steps += 1
        return StepReport((value,), (rows,))

    def _losses(self, images: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
        first, second = (model(images) for model in self.models)
        supervised = self.losses[0](first, labels, index) + self.losses[1](second, labels, index)
        joint: Tensor = (1.0 - self.agreement) * supervised + self.agreement * symmetric_divergence(
            first, second
        )
        return joint
