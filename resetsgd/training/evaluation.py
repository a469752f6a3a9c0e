"""How a run is judged: what chooses its checkpoint, which accuracy is told, and what must be said.

Published accuracies of the same method differ by ten points and more with the protocol: whether
validation labels are noisy, whether the best, the last or the mean of the last ten is reported, and
whether the test images chose. Here that is one object, and its reports always tell best and last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.data.base import Dataset, Split
from resetsgd.training.labels import NoiseManifest
from resetsgd.training.labels.matrices import Labels

__all__ = ["EvaluationProtocol", "EvaluationReport", "Noise", "Scores"]

Noise = Callable[[Split, int], tuple[Labels, NoiseManifest]]
"""Noisy labels of a split from a seed, with their manifest."""

_HEADLINES = ("best", "last", "mean of last")


class Scores(Protocol):
    """One look at a model; :class:`resetsgd.training.loop.Look` is one."""

    @property
    def step(self) -> int:
        """Optimizer steps done."""

    @property
    def validation_loss(self) -> float:
        """Loss on the validation images."""

    @property
    def validation_accuracy(self) -> float:
        """Accuracy on the validation images."""

    @property
    def test_accuracy(self) -> float:
        """Accuracy on the test images."""


@dataclass(frozen=True)
class EvaluationProtocol:
    """What chooses the best look of a run, and which accuracy is its headline.

    Parameters
    ----------
    validation_labels : {"noisy", "clean"}
        Labels of the validation images: as noisy as those of training, all that a user with noisy
        labels has, or clean.
    metric : {"loss", "accuracy"}
        What the best look is best in: lowest validation loss, or highest validation accuracy. The
        first of equals is taken.
    headline : {"best", "last", "mean of last"}
        The accuracy that stands for the run; the others are told as well.
    window : int
        Looks of which "mean of last" is the mean.
    name : str, optional
        Published protocol in which test images choose; see :meth:`published`.

    Examples
    --------
    >>> from resetsgd.training.loop import Look
    >>> looks = [Look(100, 0.9, 0.6, 0.61), Look(200, 0.7, 0.7, 0.72), Look(300, 1.1, 0.6, 0.63)]
    >>> report = EvaluationProtocol().report(looks)
    >>> report.best.step, report.headline, report.last.test_accuracy
    (200, 0.72, 0.63)
    >>> print(report)
    best 72.00 % (step 200, lowest validation loss), last 63.00 %, mean of last 3 65.33 %; test
    images chose nothing
    >>> print(EvaluationProtocol.published("best-on-test").report(looks))
    best 72.00 % (step 200, highest test accuracy), last 63.00 %, mean of last 3 65.33 %; test
    images were used for selection
    """

    validation_labels: str = "noisy"
    metric: str = "loss"
    headline: str = "best"
    window: int = 10
    name: str | None = None

    def __post_init__(self) -> None:
        domain.choice("validation_labels", self.validation_labels, ("noisy", "clean"))
        domain.choice("metric", self.metric, ("loss", "accuracy"))
        domain.choice("headline", self.headline, _HEADLINES)
        domain.integer("window", self.window, 1)
        if self.name is not None:
            domain.choice("name", self.name, tuple(_PUBLISHED))

    @classmethod
    def published(cls, name: str) -> EvaluationProtocol:
        """A protocol as it was published, in which test images choose.

        Parameters
        ----------
        name : {"bae2025", "best-on-test"}
            ``"bae2025"``: stochastic resetting as released; the validation images are the test
            images, with labels as noisy as those of training, and the lowest loss chooses.
            ``"best-on-test"``: the highest test accuracy of the run, as many tables have it.

        Raises
        ------
        DomainError
            For another name.
        """
        domain.choice("name", name, tuple(_PUBLISHED))
        return cls(metric=_PUBLISHED[name], name=name)

    @property
    def test_images_choose(self) -> bool:
        """Whether test images choose anything: only under a published protocol."""
        return self.name is not None

    def arrange(
        self, data: Dataset, noise: Noise, *, seed: int = 0
    ) -> tuple[Dataset, Mapping[str, NoiseManifest]]:
        """The data set with the labels this protocol asks for.

        Parameters
        ----------
        data : Dataset
            With clean labels.
        noise : callable
            Makes (noisy labels, manifest) from (split, seed).
        seed : int
            Training labels are made with this seed, validation labels with the next.

        Returns
        -------
        data : Dataset
            Noisy training labels; validation labels noisy or clean; test labels clean. Under
            ``"bae2025"`` all training images train and the test images validate.
        manifests : mapping of str to NoiseManifest
            By part.

        Raises
        ------
        DomainError
            For a seed outside its range, or labels that are no classes.

        Examples
        --------
        >>> from resetsgd.training.data import digits
        >>> from resetsgd.training.labels import symmetric_noise
        >>> def noise(split, seed):
        ...     return symmetric_noise(split.labels, 0.4, classes=10, seed=seed)
        >>> noisy, manifests = EvaluationProtocol().arrange(digits(), noise, seed=1)
        >>> sorted(manifests), manifests["train"].realised
        (['train', 'validation'], 0.4)
        """
        seed = domain.integer("seed", seed, 0, 2**64 - 2)
        train, validation = data.train, data.validation
        whole = self.name == "bae2025"
        if whole:
            train, validation = _joined(train, validation), data.test
        manifests = {}
        labels, manifests["train"] = noise(train, seed)
        train = train.with_labels(labels)
        if self.validation_labels == "noisy":
            labels, manifests["validation"] = noise(validation, seed + 1)
            validation = validation.with_labels(labels)
        arranged = replace(
            data,
            train=train,
            validation=validation,
            published=self.name if whole else data.published,
            validation_labels=self.validation_labels,
        )
        return arranged, manifests

    def report(
        self,
        looks: Sequence[Scores],
        *,
        published: str | None = None,
        validation_labels: str | None = None,
    ) -> EvaluationReport:
        """What a run achieved.

        Parameters
        ----------
        looks : sequence of Scores
            In order; those of a :class:`resetsgd.training.loop.History` say, whose own ``report``
            fills in the rest.
        published, validation_labels : str, optional
            Those of the data the run was made on: if its validation images were test images, the
            report says so under any protocol.

        Returns
        -------
        EvaluationReport

        Raises
        ------
        DomainError
            If there is no look, or none with a number to choose by; for ``"bae2025"`` if the
            validation images of the run were not test images.
        """
        if not looks:
            raise DomainError("looks", 0, "one look or more")
        if self.name == "bae2025" and published != self.name:
            raise DomainError(
                "published", published, "'bae2025': the data must be made by its arrange(...)"
            )

        def badness(look: Scores) -> float:
            if self.name == "best-on-test":
                value = -look.test_accuracy
            elif self.metric == "loss":
                value = look.validation_loss
            else:
                value = -look.validation_accuracy
            return math.inf if math.isnan(value) else value  # a diverged look is never the best

        best = min(looks, key=badness)
        if badness(best) == math.inf:
            raise DomainError("looks", "only NaN and inf", "a look with a number to choose by")
        last = [look.test_accuracy for look in looks[-self.window :]]
        return EvaluationReport(
            self,
            best,
            looks[-1],
            math.fsum(last) / len(last),
            len(last),
            published,
            validation_labels,
        )


_PUBLISHED = {"bae2025": "loss", "best-on-test": "accuracy"}
"""Published protocols in which test images choose, and the metric of each."""


@dataclass(frozen=True)
class EvaluationReport:
    """Accuracies of one run under a protocol; printed, it is one line.

    Parameters
    ----------
    protocol : EvaluationProtocol
        What judged.
    best : Scores
        The look that was chosen.
    last : Scores
        The last look.
    mean_of_last : float
        Mean test accuracy of the last looks.
    averaged : int
        How many looks that is: the protocol's window, or all if there are fewer.
    published : str or None
        Published protocol by which test images were the validation images of the run.
    validation_labels : {"noisy", "clean"} or None
        What the validation labels of the run were; None if nobody said.
    """

    protocol: EvaluationProtocol
    best: Scores
    last: Scores
    mean_of_last: float
    averaged: int
    published: str | None = None
    validation_labels: str | None = None

    @property
    def headline(self) -> float:
        """The accuracy that stands for the run."""
        if self.protocol.headline == "best":
            return self.best.test_accuracy
        if self.protocol.headline == "last":
            return self.last.test_accuracy
        return self.mean_of_last

    @property
    def test_images_chose(self) -> bool:
        """Whether test images chose a checkpoint, or drove the resets of the run."""
        return self.protocol.test_images_choose or self.published is not None

    def __str__(self) -> str:
        protocol = self.protocol
        if protocol.name == "best-on-test":
            by = "highest test accuracy"
        else:
            images = "test" if self.published else "validation"
            by = (
                f"lowest {images} loss"
                if protocol.metric == "loss"
                else f"highest {images} accuracy"
            )
            by += f", {self.validation_labels} labels" if self.validation_labels else ""
        used = "were used for selection" if self.test_images_chose else "chose nothing"
        return (
            f"best {self.best.test_accuracy:.2%} (step {self.best.step}, {by}), "
            f"last {self.last.test_accuracy:.2%}, "
            f"mean of last {self.averaged} {self.mean_of_last:.2%}; test images {used}"
        ).replace("%", " %")


def _joined(one: Split, other: Split) -> Split:
    """Two splits of the same images as one."""
    fields = ("images", "labels", "indices")
    return Split(*(np.concatenate([getattr(s, field) for s in (one, other)]) for field in fields))
