"""The learning problems that ship: two regressions, phase retrieval, a network with its teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo.toy_sgd.task import SGDTask

__all__ = ["LinearTask", "LogisticTask", "PhaseRetrievalTask", "TeacherStudentTask"]

_TEACHER, _TRAIN, _TEST, _VALIDATION, _START = range(5)
_MOST = 2**31


class _Drawn(SGDTask):
    """A task that can draw itself: Gaussian inputs, labels of a random teacher, label noise."""

    noises: ClassVar[tuple[str, ...]] = ("replaced", "flipped", "gaussian")

    @classmethod
    def _labels(cls, theta: Array, inputs: Array, units: int) -> Array:
        """Clean labels."""
        return np.asarray(inputs @ theta)

    @classmethod
    def _teacher(cls, d: int, units: int, generator: np.random.Generator) -> Array:
        """A random teacher of length one."""
        vector = generator.standard_normal(d)
        return np.asarray(vector / np.linalg.norm(vector))

    @classmethod
    def _flipped(cls, labels: Array) -> Array:
        return -labels

    @classmethod
    def _corrupted(
        cls, inputs: Array, clean: Array, units: int, teacher: Array, rate: float, noise: str,
        scale: float, generator: np.random.Generator,
    ) -> Array:  # fmt: skip
        """Labels of which exactly round(rate n) were corrupted."""
        chosen = generator.permutation(len(clean))[: round(rate * len(clean))]
        labels = clean.copy()
        if noise == "gaussian":
            labels[chosen] += scale * generator.standard_normal(len(chosen))
        elif noise == "flipped":
            labels[chosen] = cls._flipped(clean[chosen])
        else:
            others = inputs.std(axis=0) * generator.standard_normal((len(chosen), inputs.shape[1]))
            labels[chosen] = cls._labels(teacher, others, units)
        return labels

    @classmethod
    def drawn(
        cls,
        n: int,
        d: int,
        *,
        noise_rate: float = 0.0,
        noise: str | None = None,
        noise_scale: float = 1.0,
        spectrum: npt.ArrayLike | None = None,
        test: int = 1000,
        validation: int = 100,
        noisy_validation: bool = True,
        seed: int = 0,
        **shape: Any,
    ) -> Self:
        """Draw a teacher, Gaussian inputs, and labels of which some are corrupted.

        Parameters
        ----------
        n, d : int
            Training samples and inputs of each.
        noise_rate : float
            Fraction of the training labels that is corrupted (exactly, up to rounding).
        noise : str, optional
            How: ``"replaced"`` by the label of a sample drawn anew, ``"flipped"`` in sign (class),
            ``"gaussian"``: a normal number added. The first that the task knows is the default.
        noise_scale : float
            Standard deviation of the number added.
        spectrum : array (d,), optional
            Variances of the inputs; default 1.
        test, validation : int
            Sizes of the clean test set and of the validation set.
        noisy_validation : bool
            Whether the labels of the validation set are as noisy as the training labels.
        seed : int
            From 0 to 2**64 - 1. Teacher and sets are drawn from streams of their own.
        **shape
            ``units`` of a network.

        Returns
        -------
        SGDTask

        Raises
        ------
        DomainError
            If an argument is outside its range.
        """
        n, d = domain.integer("n", n, 1, _MOST), domain.integer("d", d, 1, _MOST)
        rate = domain.single("noise_rate", noise_rate, domain.probability)
        how = cls.noises[0] if noise is None else domain.choice("noise", noise, cls.noises)
        width = domain.single("noise_scale", noise_scale, domain.positive)
        spread = np.ones(d)
        if spectrum is not None:
            spread = np.sqrt(np.asarray(domain.positive("spectrum", spectrum)))
            if spread.shape != (d,):
                raise DomainError("spectrum", spread.shape, f"of shape ({d},)")
        sizes = [
            n,
            domain.integer("test", test, 1, _MOST),
            domain.integer("validation", validation, 1, _MOST),
        ]
        key = domain.integer("seed", seed, 0, 2**64 - 1)
        units = domain.integer("units", shape.get("units", 0), 0, 4096)
        teacher = cls._teacher(d, units, np.random.default_rng([key, _TEACHER]))
        sets = []
        for size, purpose in zip(sizes, (_TRAIN, _TEST, _VALIDATION), strict=True):
            generator = np.random.default_rng([key, purpose])
            x = spread * generator.standard_normal((size, d))
            clean = cls._labels(teacher, x, units)
            noisy = cls._corrupted(x, clean, units, teacher, rate, how, width, generator)
            sets.append((x, clean, noisy))
        (x, clean, labels), (test_x, test_y, _), (val_x, val_clean, val_noisy) = sets
        return cls(
            inputs=x, labels=labels, clean_labels=clean, teacher=teacher, test_inputs=test_x,
            test_labels=test_y, validation_inputs=val_x,
            validation_labels=val_noisy if noisy_validation else val_clean, **shape,
        )  # fmt: skip

    def random_start(
        self, scale: float = 1.0, *, replicas: int | None = None, seed: int = 0
    ) -> Array:
        """Gaussian parameters to start from.

        Parameters
        ----------
        scale : float
            Standard deviation times the square root of the number of inputs, length.
        replicas : int, optional
            How many; default one, of shape (parameters,).
        seed : int
            From 0 to 2**64 - 1.

        Returns
        -------
        ndarray, shape (parameters,) or (replicas, parameters)
        """
        size = domain.single("scale", scale, domain.positive) / np.sqrt(self.dimension)
        rows = 1 if replicas is None else domain.integer("replicas", replicas, 1, _MOST)
        key = domain.integer("seed", seed, 0, 2**64 - 1)
        generator = np.random.default_rng([key, _START])
        points: Array = size * generator.standard_normal((rows, self.parameters))
        return np.asarray(points[0] if replicas is None else points)


@dataclass(frozen=True, eq=False, repr=False)
class LinearTask(_Drawn):
    """Linear regression with label noise: the loss of a sample is (x theta - y)²/2.

    Give data of your own, or let ``drawn`` make them: inputs N(0, 1) (or of a given spectrum),
    a teacher of length one, labels x teacher. Parameters as for the base class.

    Parameters
    ----------
    inputs, labels, clean_labels, teacher
        See :class:`~resetsgd.montecarlo.toy_sgd.task.SGDTask`.
    test_inputs, test_labels, validation_inputs, validation_labels
        See there.

    Examples
    --------
    >>> import resetsgd as rs
    >>> task = rs.LinearTask.drawn(200, 20, noise_rate=0.4, seed=1)
    >>> task
    LinearTask(200 samples of 20, 0.4 mislabelled)
    >>> task.loss(task.teacher, of="clean")
    0.0
    """


@dataclass(frozen=True, eq=False, repr=False)
class LogisticTask(_Drawn):
    """Logistic regression with wrong labels: classes 0 and 1, loss log(1 + e^z) - y z, z = x theta.

    ``drawn`` gives class 1 to the inputs on the teacher's side; labels are flipped (default) or
    replaced by those of samples drawn anew, which leaves half of them right.

    Parameters
    ----------
    inputs, labels, clean_labels, teacher
        See :class:`~resetsgd.montecarlo.toy_sgd.task.SGDTask`; labels are 0 or 1.
    test_inputs, test_labels, validation_inputs, validation_labels
        See there.

    Raises
    ------
    DomainError
        If shapes do not fit, or a label is neither 0 nor 1.

    Examples
    --------
    >>> import resetsgd as rs
    >>> task = rs.LogisticTask.drawn(200, 20, noise_rate=0.4, seed=1)
    >>> task.noise_rate
    0.4
    """

    link: ClassVar[str] = "logistic"
    noises: ClassVar[tuple[str, ...]] = ("flipped", "replaced")

    @classmethod
    def _labels(cls, theta: Array, inputs: Array, units: int) -> Array:
        return np.asarray((inputs @ theta > 0).astype(np.float64))

    @classmethod
    def _flipped(cls, labels: Array) -> Array:
        return 1.0 - labels

    def _check_labels(self) -> None:
        for name in ("labels", "clean_labels", "test_labels", "validation_labels"):
            given = getattr(self, name)
            if given is not None and not np.isin(given, (0.0, 1.0)).all():
                raise DomainError(name, given, "classes 0 and 1")


@dataclass(frozen=True, eq=False, repr=False)
class PhaseRetrievalTask(_Drawn):
    """Phase retrieval with wrong intensities: the loss of a sample is ((x theta)² - y)²/4.

    Not convex: the teacher and its mirror image are the minima, the origin is a saddle; distance
    and overlap are those of the nearer of the two. Start from ``random_start``.

    Parameters
    ----------
    inputs, labels, clean_labels, teacher
        See :class:`~resetsgd.montecarlo.toy_sgd.task.SGDTask`; labels are intensities.
    test_inputs, test_labels, validation_inputs, validation_labels
        See there.

    Examples
    --------
    >>> import resetsgd as rs
    >>> task = rs.PhaseRetrievalTask.drawn(200, 10, noise_rate=0.2, seed=1)
    >>> task.observe("overlap", -task.teacher)
    1.0
    """

    link: ClassVar[str] = "square"
    even: ClassVar[bool] = True
    noises: ClassVar[tuple[str, ...]] = ("replaced", "gaussian")

    @classmethod
    def _labels(cls, theta: Array, inputs: Array, units: int) -> Array:
        return np.asarray((inputs @ theta) ** 2)


@dataclass(frozen=True, eq=False, repr=False)
class TeacherStudentTask(_Drawn):
    """A network of rectified linear units learns from one of the same size, through wrong labels.

    The output is the sum of a_k max(w_k x, 0); both layers are trained, on squared loss. Parameters
    are the rows w_k one after the other, then a. Overlap is the cosine between the outputs of
    student and teacher on the test set. Start from ``random_start``.

    Parameters
    ----------
    inputs, labels, clean_labels, teacher
        See :class:`~resetsgd.montecarlo.toy_sgd.task.SGDTask`.
    test_inputs, test_labels, validation_inputs, validation_labels
        See there.
    units : int
        Hidden units of the network.

    Raises
    ------
    DomainError
        If shapes do not fit, or there is no hidden unit.

    Examples
    --------
    >>> import resetsgd as rs
    >>> task = rs.TeacherStudentTask.drawn(400, 10, units=3, noise_rate=0.3, seed=1)
    >>> task.parameters
    33
    """

    units: int = 4  # type: ignore[misc]

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", domain.integer("units", self.units, 1, 4096))
        super().__post_init__()

    @classmethod
    def _teacher(cls, d: int, units: int, generator: np.random.Generator) -> Array:
        if units == 0:
            raise DomainError("units", units, "given: the hidden units of the network")
        rows = generator.standard_normal((units, d))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        signs = np.where(np.arange(units) % 2 == 0, 1.0, -1.0)
        return np.concatenate([rows.ravel(), signs])

    @classmethod
    def _labels(cls, theta: Array, inputs: Array, units: int) -> Array:
        return _network(theta, inputs, units)[1]

    def _scores(self, theta: Array, x: Array) -> Array:
        return _network(theta, x, self.units)[1]

    def _gradients(self, theta: Array, x: Array, slopes: Array) -> Array:
        hidden, _ = _network(theta, x, self.units)
        above = theta[self.units * self.dimension :]
        rows = (slopes[:, None] * above * (hidden > 0))[:, :, None] * x[:, None, :]
        last = slopes[:, None] * np.maximum(hidden, 0.0)
        return np.concatenate([rows.reshape(len(x), -1), last], axis=1)


def _network(theta: Array, x: Array, units: int) -> tuple[Array, Array]:
    """Inputs of the hidden units, and the output."""
    hidden = x @ theta[: units * x.shape[1]].reshape(units, -1).T
    return hidden, np.maximum(hidden, 0.0) @ theta[units * x.shape[1] :]
