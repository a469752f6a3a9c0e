"""Where clean and wrong labels pull: their gradients, by layer, and the noise of gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.diagnostics.base import Context, DirectionLike, Instrument

__all__ = ["CleanPriority", "GradientDecomposition", "GradientNoise"]


def _norm(vector: Tensor) -> float:
    return float(torch.linalg.vector_norm(vector))


def _cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of the angle; 0 where a vector is zero."""
    lengths = _norm(a), _norm(b)
    if 0.0 in lengths:
        return 0.0
    return float(((a / lengths[0]) * (b / lengths[1])).sum().clamp(-1.0, 1.0))


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0.0 else (math.inf if above > 0.0 else 1.0)


@dataclass(frozen=True)
class GradientDecomposition(Instrument):
    """Gradients of clean and of wrong samples: how strong, and do they agree.

    The gradient of the mean loss is (1 - t) g_clean + t g_wrong, with t the share of wrong samples
    and each g the gradient of the mean loss of its group. Early in training g_wrong points about
    against g_clean; training turns to the wrong labels when the two sides balance.

    Measured are the Euclidean norms ``clean``, ``wrong``, ``total``; the cosines ``clean_wrong``,
    ``total_clean``, ``total_wrong``; and ``noise_rate``, t. The same norms and cosines for each
    layer (a module with parameters of its own, whatever its kind; names by
    :meth:`~resetsgd.training.diagnostics.Diagnostics.layers`) are in arrays of shape (layers,)
    ``..._by_layer``.

    Parameters
    ----------
    modules : sequence of str, optional
        Names of the modules that have a column each, instead of the layers: each stands for all
        inside it, a block of a residual network say.

    Notes
    -----
    Cost: one forward and one backward pass over the samples. Where a group is empty its norm is 0,
    and so are cosines with a vector of length zero. Gradients are in the type of the weights,
    summed over batches in float64.

    **Source**: the decomposition of Bae, Song and Jeong (2025), here for any module and in
    evaluation mode.

    Examples
    --------
    >>> from resetsgd.training.diagnostics import Probe, measuring
    >>> from resetsgd.training.networks import mlp
    >>> probe = Probe(torch.eye(4), torch.tensor([0, 1, 1, 0]), truth=torch.tensor([0, 1, 0, 1]))
    >>> with measuring(mlp((4, 2)), probe) as context:
    ...     found = GradientDecomposition().measure(context)
    >>> found["noise_rate"], found["clean_by_layer"].shape
    (0.5, (1,))
    """

    modules: tuple[str, ...] | None = None

    name: ClassVar[str] = "gradients"
    needs = ("truth",)

    def measure(self, context: Context) -> Mapping[str, Any]:
        """As in :class:`Instrument`."""
        rate, total = context.probe.noise_rate, context.total_gradient
        groups = [context.clean_gradient, context.wrong_gradient]
        clean, wrong = (torch.zeros_like(total) if g is None else g for g in groups)
        vectors = {"clean": clean, "wrong": wrong, "total": total}
        pairs = (("clean", "wrong"), ("total", "clean"), ("total", "wrong"))
        found: dict[str, Any] = {"noise_rate": rate}
        found |= {name: _norm(vector) for name, vector in vectors.items()}
        found |= {f"{a}_{b}": _cosine(vectors[a], vectors[b]) for a, b in pairs}
        parts = context.layers(self.modules).values()
        for name, vector in vectors.items():
            found[f"{name}_by_layer"] = np.array([_norm(vector[part]) for part in parts])
        for a, b in pairs:
            cosines = [_cosine(vectors[a][part], vectors[b][part]) for part in parts]
            found[f"{a}_{b}_by_layer"] = np.array(cosines)
        return found


@dataclass(frozen=True)
class CleanPriority(Instrument):
    """Which labels training follows: the pull of clean samples over that of wrong ones.

    ``ratio`` is |G_clean| / |G_wrong|, each G the gradient of the *summed* losses of its group: it
    starts near (1 - t) / t, with t the share of wrong samples, and clean labels have lost their
    priority when it has fallen to 1. ``cosine`` is that of the angle between the two.

    Parameters
    ----------
    by_class : bool
        Also ``ratio_by_class`` and ``cosine_by_class``, over the samples of one true class at a
        time, shape (classes,): NaN where the probe holds none. True labels must be whole numbers.
    classes : int, optional
        Number of classes; by default what the outputs of the network have.

    Notes
    -----
    Cost: one forward and one backward pass; by class another. The ratio is ``inf`` without wrong
    samples. :func:`resetsgd.sgd.clean_priority` has it in closed form for linear regression.

    **Source**: Liu, Abedsoltan and Belkin (2023), arXiv:2306.02533. Their lemma that noisy and
    clean gradients are parallel is not built in: ``cosine`` tells.

    Examples
    --------
    >>> from resetsgd.training.diagnostics import Probe, measuring
    >>> from resetsgd.training.networks import mlp
    >>> probe = Probe(torch.ones(3, 4), torch.tensor([0, 0, 1]), truth=torch.tensor([0, 0, 0]))
    >>> model = mlp((4, 2))
    >>> zeroed = [torch.nn.init.zeros_(p) for p in model.parameters()]
    >>> with measuring(model, probe) as context:
    ...     found = CleanPriority().measure(context)
    >>> round(found["ratio"], 6), round(found["cosine"], 6)
    (2.0, -1.0)
    """

    by_class: bool = False
    classes: int | None = None

    name: ClassVar[str] = "clean_priority"
    needs = ("truth",)

    def __post_init__(self) -> None:
        if self.classes is not None:
            domain.integer("classes", self.classes, 2)

    def measure(self, context: Context) -> Mapping[str, Any]:
        """As in :class:`Instrument`."""
        probe = context.probe
        found: dict[str, Any] = {}
        rate, clean, wrong = probe.noise_rate, context.clean_gradient, context.wrong_gradient
        found["ratio"], found["cosine"] = _priority(clean, wrong, rate)
        if not self.by_class:
            return found
        assert probe.truth is not None
        if probe.truth.is_floating_point() or probe.truth.ndim != 1:
            raise DomainError("truth", tuple(probe.truth.shape), "whole numbers, one for a sample")
        classes = context.outputs.shape[1] if self.classes is None else self.classes
        rows: list[tuple[float, float]] = []
        for k in range(classes):
            mine = torch.nonzero(probe.truth == k).reshape(-1)
            if not len(mine):
                rows.append((math.nan, math.nan))
                continue
            part = probe.rows(mine)
            groups = [torch.nonzero(g).reshape(-1) for g in (~part.wrong, part.wrong)]
            pulls = [context.gradient(part.rows(g)) if len(g) else None for g in groups]
            rows.append(_priority(pulls[0], pulls[1], part.noise_rate))
        both = torch.tensor(rows, dtype=torch.float64)
        return {**found, "ratio_by_class": both[:, 0], "cosine_by_class": both[:, 1]}


def _priority(clean: Tensor | None, wrong: Tensor | None, rate: float) -> tuple[float, float]:
    above = 0.0 if clean is None else (1.0 - rate) * _norm(clean)
    below = 0.0 if wrong is None else rate * _norm(wrong)
    return _ratio(above, below), 0.0 if clean is None or wrong is None else _cosine(clean, wrong)


@dataclass(frozen=True)
class GradientNoise(Instrument):
    """Mean and covariance of the gradients of single samples along given directions.

    Along unit vectors u_a the gradient g_i of sample i has the components u_a . g_i. Measured are
    ``mean``, shape (k,), and ``covariance``, shape (k, k), over all samples; with true labels also
    ``clean_mean``, ``clean_covariance``, ``wrong_mean``, ``wrong_covariance`` within each group.
    The covariance of the gradient of a batch of B of N samples is this times
    (N - B) / (B (N - 1)).

    Parameters
    ----------
    directions : dict of str to direction
        Which directions, as :meth:`Context.direction` takes them. Where one does not exist at that
        moment, its rows are NaN.
    trace : bool
        Also ``trace``, that of the covariance over all parameters, and ``noise_scale``, the trace
        over the squared norm of the mean gradient: the batch size at which noise and signal of a
        batch's gradient are equal.

    Raises
    ------
    DomainError
        For no direction.

    Notes
    -----
    Covariances are those of the samples at hand (divided by their number): with t the share of
    wrong ones, all = (1 - t) clean + t wrong + t (1 - t) d d^T, d the difference of the two means.

    Cost: two forward passes, and for each direction one in forward mode; no gradient of a single
    sample is formed. ``trace`` forms them, a few at a time where the network is large.

    **Source**: the covariance is that of :func:`resetsgd.sgd.drift_diffusion`; the noise scale is
    the simple one of McCandlish, Kaplan, Amodei et al. (2018), arXiv:1812.06162.

    Examples
    --------
    >>> from resetsgd.training.diagnostics import Probe, measuring
    >>> from resetsgd.training.networks import mlp
    >>> probe = Probe(torch.eye(4), torch.tensor([0, 1, 1, 0]), truth=torch.tensor([0, 1, 0, 1]))
    >>> noise = GradientNoise({"down": "downhill", "labels": "label noise"})
    >>> with measuring(mlp((4, 2)), probe) as context:
    ...     found = noise.measure(context)
    >>> found["covariance"].shape, bool(found["mean"][0] < 0)
    (torch.Size([2, 2]), True)
    """

    directions: Mapping[str, DirectionLike] = field(default_factory=lambda: {"down": "downhill"})
    trace: bool = False

    name: ClassVar[str] = "gradient_noise"

    def __post_init__(self) -> None:
        if not isinstance(self.directions, Mapping) or not self.directions:
            raise DomainError("directions", self.directions, "a dict of names to directions")

    def measure(self, context: Context) -> Mapping[str, Any]:
        """As in :class:`Instrument`."""
        wanted = [context.direction(one) for one in self.directions.values()]
        units = [None if v is None else v / torch.linalg.vector_norm(v) for v in wanted]
        there = [i for i, u in enumerate(units) if u is not None]
        samples = torch.full(
            (len(context.probe), len(units)), math.nan, dtype=torch.float64,
            device=context.weights.device,
        )  # fmt: skip
        if there:
            stacked = torch.stack([u for u in units if u is not None])
            samples[:, there] = context.projections(stacked)
        found: dict[str, Any] = {}
        groups: dict[str, Tensor | None] = {"": None}
        if context.probe.truth is not None:
            groups |= {"clean_": ~context.probe.wrong, "wrong_": context.probe.wrong}
        for prefix, chosen in groups.items():
            mean, covariance = moments(samples if chosen is None else samples[chosen])
            found |= {f"{prefix}mean": mean, f"{prefix}covariance": covariance}
        if self.trace:
            total = sum(
                float(g.to(torch.float64).square().sum()) for g in context.per_sample_gradients()
            )
            pull = float(context.total_gradient.square().sum())
            found["trace"] = max(total / len(context.probe) - pull, 0.0)
            found["noise_scale"] = _ratio(found["trace"], pull)
        return found


def moments(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (k,) and covariance (k, k) of rows (n, k), divided by n; NaN without rows."""
    mean = samples.mean(0)
    apart = samples - mean
    count = float(len(samples)) or math.nan
    return mean, apart.T @ apart / count
