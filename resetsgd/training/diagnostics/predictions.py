"""What the network predicts for wrong labels: have they been memorised, or seen through."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from resetsgd.errors import DomainError
from resetsgd.training.diagnostics.base import Context, Instrument

__all__ = ["LabelFractions", "grouped", "share_of"]


@dataclass(frozen=True)
class LabelFractions(Instrument):
    """Shares of wrong-label samples that are memorised, correct or neither.

    Of the samples with a wrong label ``memorised`` is the share whose observed label is predicted,
    ``correct`` that whose true label is, ``other`` the rest. Of the samples with a clean label
    ``clean_correct`` is the share whose label is predicted. A group without samples gives NaN.

    Notes
    -----
    Cost: one forward pass.

    **Source**: S. Liu, Niles-Weed, Razavian and Fernandez-Granda (2020), figure 1; the published
    code of Bae, Song and Jeong (2025) counts the same.

    Examples
    --------
    >>> from resetsgd.training.diagnostics import Probe, measuring
    >>> observed, truth = torch.tensor([0, 1, 2]), torch.tensor([1, 1, 1])
    >>> probe = Probe(torch.tensor([[9.0, 0, 0], [0, 9, 0], [0, 9, 0]]), observed, truth=truth)
    >>> model = torch.nn.Linear(3, 3)
    >>> with torch.no_grad():
    ...     _ = model.weight.copy_(torch.eye(3)), model.bias.zero_()
    >>> with measuring(model, probe) as context:
    ...     LabelFractions().measure(context)
    {'memorised': 0.5, 'correct': 0.5, 'other': 0.0, 'clean_correct': 1.0}
    """

    name: ClassVar[str] = "labels"
    needs = ("truth",)

    def measure(self, context: Context) -> Mapping[str, Any]:
        """As in :class:`Instrument`."""
        probe, found = context.probe, context.predictions
        if probe.labels.shape != found.shape:
            raise DomainError("labels", tuple(probe.labels.shape), f"of shape {tuple(found.shape)}")
        wrong, truth = probe.wrong, probe.truth
        assert truth is not None
        memorised = share_of(found == probe.labels, wrong)
        correct = share_of(found == truth, wrong)
        return {
            "memorised": memorised,
            "correct": correct,
            "other": share_of((found != probe.labels) & (found != truth), wrong),
            "clean_correct": share_of(found == probe.labels, ~wrong),
        }


def share_of(hits: Tensor, group: Tensor) -> float:
    """Share of a group that is hit; NaN of an empty one."""
    count = int(group.sum())
    return int((hits & group).sum()) / count if count else math.nan


def grouped(scores: Tensor, wrong: Tensor | None) -> dict[str, Any]:
    """A score of each sample, and where the true labels are known how it tells the wrong ones.

    Parameters
    ----------
    scores : Tensor, shape (n,)
        Finite, or infinite.
    wrong : Tensor of bool, shape (n,), optional
        Which samples have a wrong label.

    Returns
    -------
    dict
        ``score``; with ``wrong`` also the means ``clean`` and ``wrong`` and ``detection``, the
        probability that a random wrong sample scores above a random clean one (ties count half).
        NaN where a group is empty.
    """
    found: dict[str, Any] = {"score": scores}
    if wrong is None:
        return found
    chosen = scores[wrong].to(torch.float64), scores[~wrong].to(torch.float64)
    found["wrong"], found["clean"] = (float(g.mean()) if len(g) else math.nan for g in chosen)
    found["detection"] = math.nan
    if all(len(group) for group in chosen):
        clean = torch.sort(chosen[1]).values
        below = torch.searchsorted(clean, chosen[0], right=False)
        up_to = torch.searchsorted(clean, chosen[0], right=True)
        found["detection"] = float((below + up_to).to(torch.float64).mean()) / (2.0 * len(clean))
    return found
