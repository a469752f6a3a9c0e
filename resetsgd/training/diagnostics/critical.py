"""Critical samples: those whose prediction changes somewhere close by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.diagnostics.base import Context, Instrument
from resetsgd.training.diagnostics.predictions import share_of
from resetsgd.training.streams import Purpose, words

__all__ = ["CriticalSampleRatio", "critical_samples"]


def critical_samples(
    predict: Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    radius: float,
    step: float | None = None,
    noise: float | None = None,
    iterations: int = 20,
    low: float | None = None,
    high: float | None = None,
    seed: int = 0,
    draw: int = 0,
    batch_size: int = 1024,
) -> Tensor:
    """Find samples that have an adversarial example within a box of half-width ``radius``.

    From each image a search moves by ``step`` times the sign of the gradient of the cross-entropy
    against the class predicted at the image, plus ``noise`` times a normal deviate for each pixel,
    back into the box where it left it, until the prediction differs.

    Parameters
    ----------
    predict : callable
        Maps images (n, ...) to logits (n, classes), each image on its own.
    images : Tensor, shape (n, ...)
        Floating point.
    radius : float
        Half-width of the box in each pixel, in the units of the images. Positive.
    step, noise : float, optional
        By default a quarter and a fifth of the radius: with noise 0.8 of the step, as released.
    iterations : int
        Moves at most. A corner of the box is ``radius / step`` moves away.
    low, high : float, optional
        Range of a pixel; by default unbounded.
    seed, draw : int
        Key of the deviates.
    batch_size : int
        Images in one pass.

    Returns
    -------
    Tensor of bool, shape (n,)
        Where one was found. Where none was there may still be one.

    Raises
    ------
    DomainError
        For an argument outside its range, or images that are not floating point.

    Notes
    -----
    Cost: for each iteration a forward and a backward pass over the images still unchanged.

    **Source**: Arpit et al. (2017), ICML (Langevin adversarial sample search),
    arXiv:1706.05394; the sign, and the ratio of noise to step, as in code by its first author.

    Examples
    --------
    >>> images = torch.tensor([[0.2], [3.0]])
    >>> critical_samples(lambda x: torch.cat([x, -x], 1), images, radius=0.5).tolist()
    [True, False]
    """
    radius = domain.single("radius", radius, domain.positive)
    step = radius / 4 if step is None else domain.single("step", step, domain.positive)
    noise = 0.8 * step if noise is None else domain.single("noise", noise, domain.nonnegative)
    iterations = domain.integer("iterations", iterations, 1)
    if not isinstance(images, Tensor) or not images.is_floating_point() or images.ndim < 2:
        raise DomainError("images", images, "a floating-point tensor of shape (n, ...)")
    lowest, highest = (None if v is None else domain.single("low, high", v) for v in (low, high))
    key = words(domain.integer("seed", seed, 0, 2**64 - 1), Purpose.SEARCH, 2, step=draw)
    generator = torch.Generator().manual_seed(int(key[0]) << 31 | int(key[1]) >> 1)
    batch_size = domain.integer("batch_size", batch_size, 1)
    with torch.no_grad():
        home = torch.cat([predict(part).argmax(1) for part in torch.split(images, batch_size)])
    critical = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    place = images.detach().clone()
    for _ in range(iterations):
        left = torch.nonzero(~critical).reshape(-1)
        if not len(left):
            break
        # drawn for all: what is found of one image does not depend on the others
        deviates = torch.randn(images.shape, generator=generator).to(images)
        for rest in torch.split(left, batch_size):
            varied = place[rest].requires_grad_()
            value = cross_entropy(predict(varied), home[rest], reduction="sum")
            (slope,) = torch.autograd.grad(value, varied)
            moved = varied.detach() + step * slope.sign() + noise * deviates[rest]
            moved = moved.clamp(images[rest] - radius, images[rest] + radius)
            if lowest is not None or highest is not None:
                moved = moved.clamp(lowest, highest)
            place[rest] = moved
            with torch.no_grad():
                critical[rest] = predict(moved).argmax(1) != home[rest]
    return critical


@dataclass(frozen=True)
class CriticalSampleRatio(Instrument):
    """Share of critical samples: those with an adversarial example close by.

    It grows with the complexity of what has been learnt, and so with memorisation: ``ratio`` over
    all samples, and, where the true labels are known, ``clean`` and ``wrong`` in each group (NaN
    if it is empty).

    Parameters
    ----------
    radius, step, noise, iterations, low, high, seed
        As for :func:`critical_samples`.

    Raises
    ------
    DomainError
        As :func:`critical_samples`.

    Notes
    -----
    Cost: up to ``iterations`` forward and backward passes, and as many forward passes again.

    **Source**: Arpit et al. (2017), ICML, arXiv:1706.05394.

    Examples
    --------
    >>> from resetsgd.training.diagnostics import Probe, measuring
    >>> from resetsgd.training.networks import mlp
    >>> probe = Probe(torch.eye(4), torch.tensor([0, 1, 0, 1]))
    >>> with measuring(mlp((4, 2)), probe) as context:
    ...     CriticalSampleRatio(radius=9.0).measure(context)
    {'ratio': 1.0}
    """

    radius: float
    step: float | None = None
    noise: float | None = None
    iterations: int = 20
    low: float | None = None
    high: float | None = None
    seed: int = 0

    name: ClassVar[str] = "critical_samples"

    def __post_init__(self) -> None:
        domain.single("radius", self.radius, domain.positive)
        domain.integer("iterations", self.iterations, 1)
        domain.integer("seed", self.seed, 0, 2**64 - 1)
        if self.step is not None:
            domain.single("step", self.step, domain.positive)
        if self.noise is not None:
            domain.single("noise", self.noise, domain.nonnegative)

    def measure(self, context: Context) -> Mapping[str, Any]:
        """As in :class:`Instrument`."""
        critical = critical_samples(
            context.forward,
            context.probe.images,
            radius=self.radius,
            step=self.step,
            noise=self.noise,
            iterations=self.iterations,
            low=self.low,
            high=self.high,
            seed=self.seed,
            draw=context.step,
            batch_size=context.batch_size,
        )
        ratios = {"ratio": float(critical.to(torch.float64).mean())}
        if context.probe.truth is not None:
            wrong = context.probe.wrong
            ratios |= {"clean": share_of(critical, ~wrong), "wrong": share_of(critical, wrong)}
        return ratios
