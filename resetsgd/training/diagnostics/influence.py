"""Turn-over dropout: a mask for each training sample, and the half that never saw it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.diagnostics.base import Context, Instrument
from resetsgd.training.diagnostics.passes import Loss, each
from resetsgd.training.diagnostics.predictions import grouped
from resetsgd.training.losses.robust import CrossEntropy
from resetsgd.training.methods.quiet import evaluating
from resetsgd.training.resets.layers import unwrapped
from resetsgd.training.streams import Purpose, words

__all__ = [
    "TurnOverDropout",
    "TurnOverInfluence",
    "has_masks",
    "instance_masks",
    "turn_over_influence",
]


class TurnOverDropout(nn.Module):
    """Dropout with a fixed mask for each training sample: half of the features, always the same.

    In training, within :func:`instance_masks`, the features of sample z are multiplied by twice its
    mask m(z); so the other half of the network is never trained on z. In evaluation it does
    nothing, unless masks are given.

    Parameters
    ----------
    features : int
        Size of the second axis of what comes in, (batch, features, ...).
    seed : int
        Key of the masks, which depend on (seed, sample, feature) alone. Give each layer its own.

    Raises
    ------
    DomainError
        For an argument outside its range; in training without masks, or with other shapes.

    Notes
    -----
    Masks are computed from a counter when needed, not kept.

    **Source**: Kobayashi, Yokoi, Suzuki and Inui (2020), SustaiNLP, arXiv:2012.04207.

    Examples
    --------
    >>> layer = TurnOverDropout(6)
    >>> ones = torch.ones(2, 6)
    >>> with instance_masks(layer, [3, 3]):
    ...     kept = layer(ones)
    >>> with instance_masks(layer, [3, 3], flipped=True):
    ...     other = layer(ones)
    >>> bool((kept[0] == kept[1]).all()), (kept + other).tolist()[0]
    (True, [2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    """

    def __init__(self, features: int, seed: int = 0) -> None:
        super().__init__()
        self.features = domain.integer("features", features, 1)
        self.seed = domain.integer("seed", seed, 0, 2**64 - 1)
        self._index: npt.NDArray[np.int64] | None = None
        self._flipped = False

    def masks(self, index: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which features are kept, shape (n, features).

        Parameters
        ----------
        index : array_like of int, shape (n,)
            Positions in the training set.
        """
        drawn = words(self.seed, Purpose.MASK, -(-self.features // 32), step=np.asarray(index))
        bits = np.unpackbits(drawn.astype("<u4").view(np.uint8), axis=-1)
        return bits[..., : self.features].astype(np.bool_)

    def forward(self, x: Tensor) -> Tensor:
        """Features of shape (batch, features, ...), some of them zero and the others doubled."""
        if self._index is None:
            if self.training:
                raise DomainError("index", None, "given: train within instance_masks(model, index)")
            return x
        if x.ndim < 2 or x.shape[:2] != (len(self._index), self.features):
            wanted = f"({len(self._index)}, {self.features}, ...)"
            raise DomainError("features", tuple(x.shape), f"of shape {wanted}")
        kept = torch.from_numpy(self.masks(self._index) != self._flipped)
        scale = kept.to(x).mul_(2.0)
        return x * scale.reshape(*scale.shape, *(1,) * (x.ndim - 2))

    def extra_repr(self) -> str:
        """Shown between the brackets."""
        return f"{self.features}, seed={self.seed}"


def has_masks(model: nn.Module) -> bool:
    """Whether a model has layers of turn-over dropout."""
    return any(isinstance(part, TurnOverDropout) for part in model.modules())


@contextmanager
def instance_masks(
    model: nn.Module, index: npt.ArrayLike | Tensor, *, flipped: bool = False
) -> Iterator[None]:
    """Within this, layers of turn-over dropout use the masks of these training samples.

    Parameters
    ----------
    model : nn.Module
        With such layers, or without.
    index : array_like or Tensor of int, shape (batch,)
        Position in the training set of the sample whose mask each row of the batch gets.
    flipped : bool
        Whether the other halves are kept.

    Raises
    ------
    DomainError
        If the positions are not whole numbers from 0 on.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), TurnOverDropout(8), nn.Linear(8, 2))
    >>> with instance_masks(model, [0, 5, 7]):
    ...     model(torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """
    places = index.detach().cpu().numpy() if isinstance(index, Tensor) else np.asarray(index)
    if places.ndim != 1 or places.dtype.kind not in "iu" or (places.size and places.min() < 0):
        raise DomainError("index", index, "whole numbers from 0 on, of shape (batch,)")
    layers = [part for part in model.modules() if isinstance(part, TurnOverDropout)]
    before = [(layer._index, layer._flipped) for layer in layers]
    for layer in layers:
        layer._index, layer._flipped = places.astype(np.int64), bool(flipped)
    try:
        yield
    finally:
        for layer, (kept, turned) in zip(layers, before, strict=True):
            layer._index, layer._flipped = kept, turned


@torch.no_grad()
def turn_over_influence(
    model: nn.Module,
    index: npt.ArrayLike | Tensor,
    images: Tensor,
    labels: Tensor,
    *,
    loss: Loss | None = None,
) -> Tensor:
    """Influence of training samples on others, by turn-over dropout.

    That of z on z' is L(f of the other half, z') - L(f of the half of z, z'): by how much the half
    of the network that was trained on z does better on z' than the half that was not.

    Parameters
    ----------
    model : nn.Module
        Trained with layers of :class:`TurnOverDropout`; in evaluation mode for this, then put back.
    index : array_like or Tensor of int, shape (s,)
        Positions in the training set of the samples whose influence is asked for.
    images, labels : Tensor
        The samples influenced, a row each, n of them.
    loss : SampleLoss or callable
        Cross-entropy by default.

    Returns
    -------
    Tensor, shape (s, n)

    Raises
    ------
    DomainError
        For a model without such layers, or arguments that do not fit.

    Notes
    -----
    Cost: two forward passes over the images for each training sample.

    **Source**: Kobayashi, Yokoi, Suzuki and Inui (2020), SustaiNLP, arXiv:2012.04207.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), TurnOverDropout(8), nn.Linear(8, 2))
    >>> turn_over_influence(model, [3, 4], torch.ones(5, 4), torch.zeros(5).long()).shape
    torch.Size([2, 5])
    """
    if not has_masks(model):
        raise DomainError("model", type(model).__name__, "one with layers of TurnOverDropout")
    judge = CrossEntropy() if loss is None else loss
    places = index.detach().cpu().numpy() if isinstance(index, Tensor) else np.asarray(index)
    rows = []
    with evaluating(model):
        for place in places:
            halves = []
            for flipped in (True, False):
                with instance_masks(model, np.full(len(images), place), flipped=flipped):
                    halves.append(each(judge, model(images), labels))
            rows.append(halves[0] - halves[1])
    return torch.stack(rows)


@dataclass(frozen=True)
class TurnOverInfluence(Instrument):
    """Influence of each training sample on itself, by turn-over dropout: how far it is memorised.

    ``score``, shape (n,), is the loss of the sample under the half of the network that was never
    trained on it less that under the half that was. With true labels also the mean score of
    ``clean`` and ``wrong`` samples and ``detection``, the probability that a wrong one scores
    higher.

    Raises
    ------
    DomainError
        When measured, for a model without layers of :class:`TurnOverDropout`.

    Notes
    -----
    Cost: two forward passes. The influence on others is :func:`turn_over_influence`.

    **Source**: Kobayashi, Yokoi, Suzuki and Inui (2020), SustaiNLP, arXiv:2012.04207.

    Examples
    --------
    >>> from resetsgd.training.diagnostics import Probe, measuring
    >>> model = nn.Sequential(nn.Linear(4, 8), TurnOverDropout(8), nn.Linear(8, 2))
    >>> probe = Probe(torch.eye(4), torch.tensor([0, 1, 0, 1]), index=torch.arange(4))
    >>> with measuring(model, probe) as context:
    ...     TurnOverInfluence().measure(context)["score"].shape
    torch.Size([4])
    """

    name: ClassVar[str] = "influence"
    needs = ("index",)

    def measure(self, context: Context) -> Mapping[str, Any]:
        """As in :class:`Instrument`."""
        if not has_masks(context.inner):
            found = type(unwrapped(context.inner)).__name__
            raise DomainError("model", found, "one with layers of TurnOverDropout")
        scores = []
        for part in context.chunks():
            assert part.index is not None
            halves = []
            for flipped in (True, False):
                with torch.no_grad(), instance_masks(context.inner, part.index, flipped=flipped):
                    outputs = context.forward(part.images)
                    halves.append(each(context.loss, outputs, part.labels, part.index))
            scores.append(halves[0] - halves[1])
        probe = context.probe
        return grouped(torch.cat(scores), None if probe.truth is None else probe.wrong)
