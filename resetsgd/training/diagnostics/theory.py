"""From measured gradients to a drifting, diffusing particle, and its Péclet number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.sgd import Direction, drift_diffusion
from resetsgd.training.diagnostics.base import Context, DirectionLike, Instrument, measuring
from resetsgd.training.diagnostics.gradients import moments
from resetsgd.training.diagnostics.passes import Loss
from resetsgd.training.diagnostics.probe import Probe
from resetsgd.training.snapshot import Snapshot, chain

__all__ = ["DiffusionAlong", "Toward", "diffusion_along", "toward"]


def toward(target: Any) -> Any:
    """The direction from the weights as they are to given ones, for :meth:`Context.direction`.

    Parameters
    ----------
    target : Tensor (d,), or list of Tensor shaped as the trainable parameters
        Weights, copied.

    Returns
    -------
    Toward
        A callable value.

    Examples
    --------
    >>> from resetsgd.training.diagnostics import measuring
    >>> model = nn.Linear(1, 1)
    >>> _ = nn.init.zeros_(model.weight), nn.init.zeros_(model.bias)
    >>> with measuring(model, Probe(torch.ones(1, 1), torch.ones(1))) as context:
    ...     context.direction(toward(torch.tensor([3.0, 4.0]))).tolist()
    [3.0, 4.0]
    """
    tensors = (target,) if isinstance(target, Tensor) else tuple(target)
    if not tensors or not all(isinstance(t, Tensor) for t in tensors):
        raise DomainError("target", target, "a tensor of shape (d,), or a list of tensors")
    return Toward(tuple(t.detach().clone() for t in tensors))


@dataclass(frozen=True, eq=False)
class Toward:
    """What :func:`toward` makes: from here to a place.

    Parameters
    ----------
    target : tuple of Tensor
        The place.
    """

    target: tuple[Tensor, ...]

    def __call__(self, context: Context) -> Tensor:
        """The vector from the weights to the target, float64 of shape (d,)."""
        one = self.target[0]
        if len(self.target) == 1 and one.shape == (context.size,):
            return one.to(context.weights) - context.weights
        return context.flat(list(self.target)).to(context.weights) - context.weights


def diffusion_along(
    model: nn.Module,
    probe: Probe,
    direction: DirectionLike,
    *,
    optimizer: Optimizer,
    batch_size: int,
    loss: Loss | None = None,
    samples: int | None = None,
    checkpoint: Snapshot | None = None,
    chunk: int = 1024,
    time: str = "steps",
) -> Direction:
    r"""Measure how SGD drifts and diffuses along a direction: the dictionary to the theory.

    The gradients of clean and wrong samples of the probe, and the covariance within each group, all
    along the direction, go to :func:`resetsgd.sgd.drift_diffusion` with the learning rate, momentum
    and weight decay of the optimizer.

    Parameters
    ----------
    model : nn.Module
        In training.
    probe : Probe
        The training set, or a random part of it that stands for it. Without true labels all samples
        count as clean: drift and diffusion are the same, but critical noise rates mean nothing.
    direction : direction
        As :meth:`Context.direction` takes it; positions rise along it. :func:`toward` a target.
    optimizer : torch.optim.SGD
        Or one that wraps it; all groups alike. Momentum without dampening.
    batch_size : int
        B of the training.
    loss : SampleLoss or callable
        What is trained on; cross-entropy by default.
    samples : int, optional
        Size of the training set, if batches are drawn without replacement.
    checkpoint : Snapshot, optional
        For the direction ``"from checkpoint"``.
    chunk : int
        Samples in one pass.
    time : {"steps", "flow"}
        As for :func:`resetsgd.sgd.drift_diffusion`.

    Returns
    -------
    Direction
        With ``velocity``, ``diffusivity``, ``peclet(distance)``, ``passage_time(distance)`` and
        the critical noise rate, batch size and learning rate.

    Raises
    ------
    DomainError
        If the direction does not exist, the optimizer is not SGD, or there is no noise along it.

    Notes
    -----
    If the probe is the whole training set, velocity and twice the diffusivity are the exact mean
    and variance of the next displacement along the direction, without momentum; with it, those at
    long times. In evaluation mode: dropout and batch statistics of training are not in it. Cost: as
    for :class:`~resetsgd.training.diagnostics.GradientNoise`, one direction.

    **Source**: Bae, Song and Jeong (2025) for the picture; derived in ``theory/16_latent_bias.py``.

    Examples
    --------
    >>> from resetsgd.training.networks import mlp
    >>> model = mlp((4, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> probe = Probe(torch.eye(4), torch.tensor([0, 1, 1, 0]), truth=torch.tensor([0, 1, 0, 1]))
    >>> along = diffusion_along(model, probe, "downhill", optimizer=optimizer, batch_size=2)
    >>> along.velocity > 0.0, along.noise_rate
    (True, 0.5)
    """
    with measuring(
        model, probe, loss=loss, optimizer=optimizer, checkpoint=checkpoint, batch_size=chunk
    ) as context:
        vector = context.direction(direction)
        if vector is None:
            raise DomainError("direction", direction, "one that exists here, of a length above 0")
        found = _along(context, vector, batch_size, samples, time)
    if found is None:
        raise DomainError("direction", direction, "one with noise along it")
    return found


def _along(
    context: Context, vector: Tensor, batch_size: int, samples: int | None, time: str
) -> Direction | None:
    """None where there is no noise along the direction."""
    rate, momentum, decay = _settings(context.optimizer)
    unit = vector / torch.linalg.vector_norm(vector)
    along = context.projections(unit[None])
    if not bool((along != along[0]).any()):
        return None
    tau, groups = 0.0, [along, along]
    if context.probe.truth is not None:
        wrong = context.probe.wrong
        tau = context.probe.noise_rate
        groups = [along[~wrong], along[wrong]]
        groups = [group if len(group) else along for group in groups]
    (clean, own), (noisy, other) = (
        (float(mean), float(covariance)) for mean, covariance in map(moments, groups)
    )
    return drift_diffusion(
        clean,
        noisy,
        tau,
        clean_covariance=own,
        noisy_covariance=other,
        learning_rate=rate,
        batch_size=batch_size,
        momentum=momentum,
        weight_decay=decay,
        position=float(context.weights @ unit),
        samples=samples,
        time=time,
    )


def _settings(optimizer: Optimizer | None) -> tuple[float, float, float]:
    """Learning rate, momentum and weight decay of SGD."""
    inner = None if optimizer is None else chain(optimizer)[-1]
    if not isinstance(inner, SGD):
        raise DomainError("optimizer", type(inner).__name__, "torch.optim.SGD: others adapt")
    found = {
        (float(g["lr"]), float(g["momentum"]), float(g["weight_decay"]), float(g["dampening"]))
        for g in inner.param_groups
    }
    if len(found) > 1:
        raise DomainError("optimizer", sorted(found), "of the same settings in all groups")
    ((rate, momentum, decay, dampening),) = found
    if dampening and momentum:
        raise DomainError("dampening", dampening, "0 with momentum")
    return rate, momentum, decay


@dataclass(frozen=True)
class DiffusionAlong(Instrument):
    """Drift, diffusion and Péclet number of SGD along a direction, as training goes on.

    ``velocity``, ``diffusivity``, ``distance``, ``peclet``, and ``critical_noise_rate``, from which
    on training leads away: those of :func:`diffusion_along`. NaN where the direction does not exist
    at that moment or there is no noise along it, and ``peclet`` also without a distance.

    Parameters
    ----------
    direction : direction
        As :meth:`Context.direction` takes it; :func:`toward` a target.
    batch_size : int
        B of the training.
    distance : float, optional
        How far the target is; by default, for :func:`toward` and ``"from checkpoint"``, the length
        of the vector.
    samples : int, optional
        Size of the training set, if batches are drawn without replacement.

    Raises
    ------
    DomainError
        For an argument outside its range; when measured, if the optimizer is not SGD.

    Notes
    -----
    Poisson resetting pays for a Péclet number below 1. Cost: as for :func:`diffusion_along`.

    **Source**: as :func:`diffusion_along`.

    Examples
    --------
    >>> from resetsgd.training.networks import mlp
    >>> model = mlp((4, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> probe = Probe(torch.eye(4), torch.tensor([0, 1, 1, 0]), truth=torch.tensor([0, 1, 0, 1]))
    >>> instrument = DiffusionAlong("downhill", batch_size=2, distance=1.0)
    >>> with measuring(model, probe, optimizer=optimizer) as context:
    ...     found = instrument.measure(context)
    >>> round(found["velocity"] / (2.0 * found["diffusivity"]) / found["peclet"], 9)
    1.0
    """

    direction: DirectionLike
    batch_size: int
    distance: float | None = None
    samples: int | None = None

    name: ClassVar[str] = "diffusion"
    needs = ("optimizer",)

    def __post_init__(self) -> None:
        domain.integer("batch_size", self.batch_size, 1)
        if self.distance is not None:
            domain.single("distance", self.distance, domain.positive)
        if self.samples is not None:
            domain.integer("samples", self.samples, 2)

    @property
    def _spans(self) -> bool:
        """Whether the direction leads from one place to another."""
        between = isinstance(self.direction, str) and self.direction == "from checkpoint"
        return between or isinstance(self.direction, Toward)

    def measure(self, context: Context) -> Mapping[str, Any]:
        """As in :class:`Instrument`."""
        names = ("velocity", "diffusivity", "distance", "peclet", "critical_noise_rate")
        found = dict.fromkeys(names, math.nan)
        vector = context.direction(self.direction)
        along = None
        if vector is not None:
            along = _along(context, vector, self.batch_size, self.samples, "steps")
        if vector is None or along is None:
            return found
        found["velocity"] = float(np.asarray(along.velocity))
        found["diffusivity"] = float(np.asarray(along.diffusivity))
        found["critical_noise_rate"] = float(np.asarray(along.critical_noise_rate))
        distance = self.distance
        if distance is None and self._spans:
            distance = float(torch.linalg.vector_norm(vector))
        if distance is not None:
            found["distance"] = float(distance)
            found["peclet"] = float(np.asarray(along.peclet(distance)))
        return found
