"""How hard single samples are: variance of gradients, and the training-free complexity gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import cholesky, solve_triangular
from torch import Tensor

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.diagnostics.base import Context, Instrument
from resetsgd.training.diagnostics.predictions import grouped
from resetsgd.training.streams import Purpose, permutation, words

__all__ = ["ComplexityGap", "VarianceOfGradients", "complexity_gap"]


@dataclass(frozen=True)
class VarianceOfGradients(Instrument):
    r"""Variance of gradients (VoG): does what the network sees in a sample keep changing.

    With S_t the derivative of the logit of the sample's label by its pixels at measurement t, and
    K measurements, a sample has the mean over pixels of
    :math:`\sqrt{K^{-1} \sum_t (S_t - \bar S)^2}`: ``raw``, shape (n,). ``score`` is that less its
    mean over the samples of the same label, in units of their standard deviation (0 where there is
    none). High: hard, atypical or mislabelled. With true labels also the mean score of ``clean``
    and ``wrong`` samples, and ``detection``, the probability that a wrong one scores higher.

    Parameters
    ----------
    of : {"observed", "truth", "predicted"}
        Whose logit is differentiated, and within which classes scores are normalised.
    window : int, optional
        Over the last so many measurements; by default all since the beginning.

    Raises
    ------
    DomainError
        For an argument outside its range; when measured, for images that are not floating point.

    Notes
    -----
    Only scheduled measurements enter; there are none at resets. Everything is 0 at the first. Cost:
    one forward and one backward pass; memory of two copies of the images in float64, with a window
    of so many.

    **Source**: Agarwal, D'souza and Hooker (2022), CVPR, arXiv:2008.11600. A
    released script sums over all checkpoints and divides by the number of one stage: not here.

    Examples
    --------
    >>> from resetsgd.training.diagnostics import Probe, measuring
    >>> from resetsgd.training.networks import mlp
    >>> probe = Probe(torch.eye(4), torch.tensor([0, 1, 0, 1]))
    >>> with measuring(mlp((4, 8, 2)), probe) as context:
    ...     VarianceOfGradients().measure(context)["raw"].tolist()
    [0.0, 0.0, 0.0, 0.0]
    """

    of: str = "observed"
    window: int | None = None

    name: ClassVar[str] = "variance_of_gradients"
    at_resets: ClassVar[bool] = False

    def __post_init__(self) -> None:
        domain.choice("of", self.of, ("observed", "truth", "predicted"))
        if self.window is not None:
            domain.integer("window", self.window, 2)

    @property
    def needs(self) -> tuple[str, ...]:
        """As in :class:`Instrument`."""
        return ("truth",) if self.of == "truth" else ()

    def measure(self, context: Context) -> Mapping[str, Any]:
        """As in :class:`Instrument`."""
        probe, memory = context.probe, context.memory
        known = {"observed": probe.labels, "truth": probe.truth, "predicted": None}[self.of]
        labels = context.predictions if known is None else known
        if context.outputs.ndim != 2 or labels.ndim != 1:
            raise DomainError("outputs", tuple(context.outputs.shape), "logits for class labels")
        slopes, start = [], 0
        for part in context.chunks():
            mine = labels[start : start + len(part), None]
            slopes.append(context.by_images(part, lambda z, k=mine: z.gather(1, k)))  # type: ignore[misc]
            start += len(part)
        slope = torch.cat(slopes).to(torch.float64)
        deviation = self._deviation(memory, slope, keep=context.moment == "schedule")
        raw = deviation.flatten(1).mean(1)
        wrong = None if probe.truth is None else probe.wrong
        return {"raw": raw, **grouped(_within(raw, labels), wrong)}

    def _deviation(self, memory: dict[str, Any], slope: Tensor, *, keep: bool) -> Tensor:
        """Standard deviation over the measurements kept and this one, of the shape of one."""
        if self.window is not None:
            held = [*memory.get("held", []), slope][-self.window :]
            if keep:
                memory["held"] = held
            return torch.stack(held).std(0, correction=0)
        count = int(memory.get("count", 0)) + 1
        before = memory.get("mean", torch.zeros_like(slope))
        apart = slope - before
        mean = before + apart / count
        squares = memory.get("squares", torch.zeros_like(slope)) + apart * (slope - mean)
        if keep:
            memory |= {"count": count, "mean": mean, "squares": squares}
        deviation: Tensor = (squares / count).clamp(min=0.0).sqrt()
        return deviation


def _within(raw: Tensor, labels: Tensor) -> Tensor:
    """Standard scores within each class; 0 where a class has no spread."""
    score = torch.zeros_like(raw)
    for k in torch.unique(labels):
        mine = labels == k
        apart = raw[mine] - raw[mine].mean()
        spread = float(apart.square().mean().sqrt())
        if spread > 0.0:
            score[mine] = apart / spread
    return score


def complexity_gap(
    images: npt.ArrayLike | Tensor,
    labels: npt.ArrayLike | Tensor,
    *,
    repeats: int = 10,
    ridge: float = 0.0,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    r"""Complexity-gap score of each sample: what it adds to the complexity of the data.

    Two classes are labelled 1 and -1 and each sample x_i is brought to unit length. With
    :math:`H_{ij} = x_i \cdot x_j (\pi - \arccos x_i \cdot x_j)/2\pi`, the kernel of a wide
    two-layer network, the data have the complexity :math:`y^T H^{-1} y`, and the score of sample i
    is what that falls by when i is left out. Irregular and mislabelled samples score high. A
    class is set against as many samples of the rest, drawn at random, and the score averaged over
    such draws. No network is trained.

    Parameters
    ----------
    images : array_like or Tensor, shape (n, ...)
        No two equal up to a positive factor, none zero.
    labels : array_like or Tensor of int, shape (n,)
        At least two classes.
    repeats : int
        Draws of the rest, for each class.
    ridge : float
        Added to the diagonal of H, zero or positive: where samples are (nearly) repeated.
    seed : int
        Key of the draws.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    DomainError
        For fewer than two classes, images of length zero or, without ridge, repeated images.

    Notes
    -----
    With the inverse at hand the fall is :math:`(H^{-1} y)_i^2/(H^{-1})_{ii}`, by the Schur
    complement: one factorisation for all samples, cost (2 m)³ for a class of m, each repeat.
    Accuracy: that of a Cholesky solution in float64, the condition number of H times 1e-16.

    **Source**: Ki, Choi and Chung (2023), ICLR, arXiv:2301.00930.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = rng.normal(size=(40, 6)) + 4.0 * np.eye(6)[np.arange(40) % 2]
    >>> labels = np.arange(40) % 2
    >>> labels[0] = 1 - labels[0]
    >>> int(np.argmax(complexity_gap(images, labels)))
    0
    """
    x, y = (np.asarray(v.detach().cpu() if isinstance(v, Tensor) else v) for v in (images, labels))
    if x.ndim < 2 or not x.size or x.dtype.kind not in "biuf" or not np.isfinite(x).all():
        raise DomainError("images", x.shape, "finite, of shape (n, ...)")
    if y.shape != (len(x),) or y.dtype.kind not in "biu" or len(np.unique(y)) < 2:
        raise DomainError(
            "labels", y, f"whole numbers of shape ({len(x)},), of two classes or more"
        )
    repeats = domain.integer("repeats", repeats, 1)
    ridge = domain.single("ridge", ridge, domain.nonnegative)
    domain.integer("seed", seed, 0, 2**64 - 1)
    x = x.reshape(len(x), -1).astype(np.float64)
    x = x / np.maximum(np.abs(x).max(axis=1, keepdims=True), np.finfo(float).tiny)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    if (length == 0).any():
        raise DomainError("images", int(np.argmax(length == 0)), "of a length above zero, each")
    x = x / length
    scores = np.zeros(len(x))
    for place, k in enumerate(np.unique(y)):
        mine, rest = np.flatnonzero(y == k), np.flatnonzero(y != k)
        for repeat in range(repeats):
            key = int(words(seed, Purpose.PROBE, 1, replica=place, step=repeat)[0])
            others = rest[permutation(key, Purpose.PROBE, len(rest))[: len(mine)]]
            signs = np.repeat([1.0, -1.0], [len(mine), len(others)])
            gaps = _gaps(x[np.concatenate([mine, others])], signs, ridge)
            scores[mine] += gaps[: len(mine)] / repeats
    return scores


def _gaps(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], ridge: float) -> Any:
    cosine = np.clip(x @ x.T, -1.0, 1.0)
    np.fill_diagonal(cosine, 1.0)
    kernel = cosine * (np.pi - np.arccos(cosine)) / (2.0 * np.pi)
    kernel[np.diag_indices_from(kernel)] += ridge
    try:
        root = cholesky(kernel, lower=True)
        if np.diagonal(root).min() < 1e-7:  # the square is what a sample adds: rounding, by then
            raise np.linalg.LinAlgError
    except np.linalg.LinAlgError:
        raise DomainError("images", "repeated images", "different, or given a ridge") from None
    inverse = solve_triangular(root, np.eye(len(x)), lower=True)
    return (inverse.T @ (inverse @ y)) ** 2 / np.square(inverse).sum(0)


@dataclass(frozen=True)
class ComplexityGap(Instrument):
    """Complexity-gap score of the samples: :func:`complexity_gap` of images and observed labels.

    ``score``, shape (n,), and with true labels the mean score of ``clean`` and ``wrong`` samples
    and ``detection``, the probability that a wrong one scores higher.

    Parameters
    ----------
    repeats, ridge, seed
        As for :func:`complexity_gap`.

    Raises
    ------
    DomainError
        As :func:`complexity_gap`.

    Notes
    -----
    It does not look at the network: computed at the first measurement, remembered ever after.

    **Source**: Ki, Choi and Chung (2023), ICLR, arXiv:2301.00930.

    Examples
    --------
    >>> from resetsgd.training.diagnostics import Probe, measuring
    >>> from resetsgd.training.networks import mlp
    >>> probe = Probe(torch.eye(4), torch.tensor([0, 1, 0, 1]))
    >>> with measuring(mlp((4, 2)), probe) as context:
    ...     [round(v, 6) for v in ComplexityGap(repeats=1).measure(context)["score"].tolist()]
    [2.0, 2.0, 2.0, 2.0]
    """

    repeats: int = 10
    ridge: float = 0.0
    seed: int = 0

    name: ClassVar[str] = "complexity_gap"
    at_resets: ClassVar[bool] = False

    def __post_init__(self) -> None:
        domain.integer("repeats", self.repeats, 1)
        domain.single("ridge", self.ridge, domain.nonnegative)
        domain.integer("seed", self.seed, 0, 2**64 - 1)

    def measure(self, context: Context) -> Mapping[str, Any]:
        """As in :class:`Instrument`."""
        probe = context.probe
        if "score" not in context.memory:
            found = complexity_gap(
                probe.images, probe.labels, repeats=self.repeats, ridge=self.ridge, seed=self.seed
            )
            context.memory["score"] = torch.from_numpy(found)
        score = context.memory["score"].to(probe.images.device)
        return grouped(score, None if probe.truth is None else probe.wrong)
