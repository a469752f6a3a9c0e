"""Where the weights are: how far from the checkpoint, and how long those of the last layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.diagnostics.base import Context, Instrument

__all__ = ["CheckpointDistance", "LastLayerNorm", "Slingshot", "slingshots"]


@dataclass(frozen=True)
class CheckpointDistance(Instrument):
    """Euclidean distance of the trainable weights from the checkpoint, and by layer.

    ``distance`` and, shape (layers,), ``by_layer``; NaN while there is no checkpoint.

    Parameters
    ----------
    reference : {"checkpoint", "first"}
        From the latest checkpoint of the resetter, or from where the first measurement was made.

    Raises
    ------
    DomainError
        For another word.

    Notes
    -----
    Cost: reads the weights; no pass.

    Examples
    --------
    >>> from resetsgd.training import Snapshot
    >>> from resetsgd.training.diagnostics import Probe, measuring
    >>> model = torch.nn.Linear(2, 1)
    >>> snapshot = Snapshot.capture(model, torch.optim.SGD(model.parameters(), lr=0.1))
    >>> with torch.no_grad():
    ...     _ = model.bias.add_(3.0)
    >>> with measuring(model, Probe(torch.ones(1, 2), torch.ones(1)), checkpoint=snapshot) as now:
    ...     round(CheckpointDistance().measure(now)["distance"], 6)
    3.0
    """

    reference: str = "checkpoint"

    name: ClassVar[str] = "checkpoint_distance"

    def __post_init__(self) -> None:
        domain.choice("reference", self.reference, ("checkpoint", "first"))

    def measure(self, context: Context) -> Mapping[str, Any]:
        """As in :class:`Instrument`."""
        start = context.checkpoint
        if self.reference == "first":
            start = context.memory.setdefault("first", context.weights.clone())
        parts = context.layers().values()
        if start is None:
            return {"distance": math.nan, "by_layer": np.full(len(parts), math.nan)}
        apart = context.weights - start
        by_layer = [float(torch.linalg.vector_norm(apart[part])) for part in parts]
        return {
            "distance": float(torch.linalg.vector_norm(apart)),
            "by_layer": np.array(by_layer),
        }


@dataclass(frozen=True)
class LastLayerNorm(Instrument):
    """Norm of the last layer's weights, and the mean loss: what a slingshot shows in.

    ``norm`` is the Euclidean norm of the weights of the last layer, without bias, ``loss`` the mean
    over the samples. :func:`slingshots` finds the cycles in a record of both.

    Parameters
    ----------
    layer : str, optional
        Name of the layer; by default the last module with trainable parameters of its own.

    Raises
    ------
    DomainError
        When measured, for a layer that does not exist.

    Notes
    -----
    Cost: one forward pass.

    **Source**: Thilak, Littwin, Zhai, Saremi, Paiss and Susskind (2022), arXiv:2206.04817.

    Examples
    --------
    >>> from resetsgd.training.diagnostics import Probe, measuring
    >>> model = torch.nn.Linear(4, 2)
    >>> _ = torch.nn.init.ones_(model.weight)
    >>> with measuring(model, Probe(torch.eye(4), torch.tensor([0, 1, 0, 1]))) as context:
    ...     round(LastLayerNorm().measure(context)["norm"], 6)
    2.828427
    """

    layer: str | None = None

    name: ClassVar[str] = "last_layer"

    def measure(self, context: Context) -> Mapping[str, Any]:
        """As in :class:`Instrument`."""
        names = list(context.layers())
        layer = names[-1] if self.layer is None else self.layer
        if layer not in names:
            raise DomainError("layer", layer, "among " + ", ".join(repr(n) for n in names))
        mine = [p for n, p in context.parameters.items() if n.rpartition(".")[0] == layer]
        matrices = [p for p in mine if p.ndim > 1] or mine
        squares = [p.to(torch.float64).square().sum() for p in matrices]
        norm = float(torch.stack(squares).sum().sqrt())
        return {"norm": norm, "loss": float(context.losses.to(torch.float64).mean())}


class Slingshot(NamedTuple):
    """One slingshot: rapid growth of the last layer, then a spike of the loss.

    Parameters
    ----------
    start, stop : int
        Step of the first and the last measurement of the spike.
    growth : float
        Norm at the end of the spike over that ``window`` measurements before it, less 1.
    spike : float
        Largest loss of the spike over the median of the ``window`` before it.
    """

    start: int
    stop: int
    growth: float
    spike: float


def slingshots(
    step: npt.ArrayLike,
    norm: npt.ArrayLike,
    loss: npt.ArrayLike,
    *,
    window: int = 5,
    growth: float = 0.02,
    spike: float = 3.0,
) -> list[Slingshot]:
    """Find slingshots in a record: spikes of the loss at the end of a rapid growth of the norm.

    Parameters
    ----------
    step, norm, loss : array_like, shape (m,)
        As :class:`LastLayerNorm` records them.
    window : int
        Measurements before a spike that it is compared with; at least 2.
    growth : float
        Smallest relative growth of the norm over these and the spike.
    spike : float
        Smallest height of a spike, over the median loss of these; above 1.

    Returns
    -------
    list of Slingshot
        In order.

    Raises
    ------
    DomainError
        For arguments outside their range, or of different lengths.

    Notes
    -----
    **Source**: Thilak, Littwin, Zhai, Saremi, Paiss and Susskind (2022), arXiv:2206.04817, describe
    the cycle; the thresholds are a choice of ours.

    Examples
    --------
    >>> norm = [1.0, 1.0, 1.1, 1.3, 1.6, 1.7, 1.7]
    >>> loss = [0.1, 0.1, 0.1, 0.1, 2.0, 0.5, 0.1]
    >>> [(s.start, s.stop) for s in slingshots(range(7), norm, loss, window=3)]
    [(4, 5)]
    """
    steps, norms, losses = (
        np.atleast_1d(np.asarray(domain.finite(name, value)))
        for name, value in (("step", step), ("norm", norm), ("loss", loss))
    )
    if steps.ndim != 1 or not steps.shape == norms.shape == losses.shape:
        shapes = (steps.shape, norms.shape, losses.shape)
        raise DomainError("step, norm, loss", shapes, "of one shape (m,)")
    window = domain.integer("window", window, 2)
    least = domain.single("growth", growth, domain.nonnegative)
    height = domain.within("spike", spike, 1.0, math.inf, open_low=True, open_high=True)
    found: list[Slingshot] = []
    i = window
    while i < len(steps):
        usual = float(np.median(losses[i - window : i]))
        if losses[i] <= height * usual:
            i += 1
            continue
        stop = i
        while stop + 1 < len(steps) and losses[stop + 1] > height * usual:
            stop += 1
        before = norms[i - window]
        rise = float(norms[stop] / before - 1.0) if before > 0 else math.inf
        if rise >= least:
            top = float(losses[i : stop + 1].max())
            ratio = top / usual if usual > 0 else math.inf
            found.append(Slingshot(int(steps[i]), int(steps[stop]), rise, ratio))
        i = stop + window
    return found
