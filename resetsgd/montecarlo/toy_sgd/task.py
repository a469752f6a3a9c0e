"""A learning problem with label noise: data, teacher, losses, and gradients split by label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError

__all__ = ["OBSERVABLES", "SGDTask"]

OBSERVABLES = (
    "distance", "overlap", "projection", "training_loss", "clean_loss", "validation_loss",
    "clean_gradient", "wrong_gradient", "clean_pull", "wrong_pull", "gradient_alignment",
)  # fmt: skip
"""What can be recorded and crossed; :meth:`SGDTask.observe` defines them."""


@dataclass(frozen=True, eq=False)
class SGDTask:
    """Base of the problems that :func:`~resetsgd.montecarlo.toy_sgd.api.simulate_sgd` trains.

    Parameters
    ----------
    inputs : array (n, d)
        Training inputs, one sample a row.
    labels : array (n,)
        Training labels, some of them corrupted.
    clean_labels : array (n,), optional
        What the labels should be; a sample is *mislabelled* where they differ. Default: no sample
        is.
    teacher : array (parameters,), optional
        The parameters that made the clean labels.
    test_inputs, test_labels : array (m, d), array (m,), optional
        For the clean loss. Default: the training inputs with their clean labels.
    validation_inputs, validation_labels : array (v, d), array (v,), optional
        For the validation loss, with or without label noise.

    Raises
    ------
    DomainError
        If shapes do not fit or a number is not finite.
    """

    inputs: Array
    labels: Array
    clean_labels: Any = None
    teacher: Any = None
    test_inputs: Any = None
    test_labels: Any = None
    validation_inputs: Any = None
    validation_labels: Any = None

    link: ClassVar[str] = "squared"
    even: ClassVar[bool] = False
    units: ClassVar[int] = 0

    def __post_init__(self) -> None:
        self._take("inputs")
        if self.inputs.ndim != 2 or self.inputs.size == 0:
            raise DomainError("inputs", self.inputs.shape, "of shape (n, d)")
        self._take("labels", (self.samples,))
        if self.clean_labels is None:
            object.__setattr__(self, "clean_labels", self.labels)
        self._take("clean_labels", (self.samples,))
        if self.test_inputs is None:
            object.__setattr__(self, "test_inputs", self.inputs)
            object.__setattr__(self, "test_labels", self.clean_labels)
        for name in ("test", "validation"):
            inputs, labels = f"{name}_inputs", f"{name}_labels"
            given = getattr(self, inputs)
            if (given is None) != (getattr(self, labels) is None):
                raise DomainError(labels, None, f"given together with {inputs}")
            if given is None:
                continue
            self._take(inputs)
            found = getattr(self, inputs)
            if found.ndim != 2 or found.shape[1] != self.dimension or found.size == 0:
                raise DomainError(inputs, found.shape, f"of shape (m, {self.dimension})")
            self._take(labels, (len(found),))
        if self.teacher is not None:
            self._take("teacher", (self.parameters,))
        self._check_labels()

    def _take(self, name: str, shape: tuple[int, ...] | None = None) -> None:
        array = np.array(domain.finite(name, getattr(self, name)), dtype=np.float64)
        if shape is not None and array.shape != shape:
            raise DomainError(name, array.shape, f"of shape {shape}")
        array.setflags(write=False)
        object.__setattr__(self, name, array)

    def _check_labels(self) -> None:
        """Whatever a link asks of its labels."""

    def __repr__(self) -> str:
        noise = f"{self.noise_rate:.3g} mislabelled"
        return f"{type(self).__name__}({self.samples} samples of {self.dimension}, {noise})"

    # Shape ---------------------------------------------------------------------------------------

    @property
    def samples(self) -> int:
        """Size n of the training set."""
        return len(self.inputs)

    @property
    def dimension(self) -> int:
        """Number d of inputs of a sample."""
        return int(self.inputs.shape[1])

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return self.dimension if self.units == 0 else self.units * (self.dimension + 1)

    @property
    def corrupted(self) -> npt.NDArray[np.bool_]:
        """Which samples are mislabelled, shape (n,)."""
        return np.asarray(self.labels != self.clean_labels)

    @property
    def noise_rate(self) -> float:
        """Fraction of mislabelled samples."""
        return float(self.corrupted.mean())

    def check(self, name: str, theta: npt.ArrayLike) -> Array:
        """Parameters as float64 of shape (parameters,), checked."""
        point = np.asarray(domain.finite(name, theta))
        if point.shape != (self.parameters,):
            raise DomainError(name, point.shape, f"of shape ({self.parameters},)")
        return point

    # Losses --------------------------------------------------------------------------------------

    def scores(self, theta: npt.ArrayLike, inputs: npt.ArrayLike | None = None) -> Array:
        """What the model says of some inputs (default: the training inputs), shape (m,).

        Parameters
        ----------
        theta : array (parameters,)
            Parameters.
        inputs : array (m, d), optional
            Inputs.
        """
        x = self.inputs if inputs is None else np.asarray(domain.finite("inputs", inputs))
        return self._scores(self.check("theta", theta), x)

    def _scores(self, theta: Array, x: Array) -> Array:
        return np.asarray(x @ theta)

    def _losses(self, z: Array, y: Array) -> Array:
        if self.link == "logistic":
            return np.asarray(np.logaddexp(0.0, z) - y * z)
        if self.link == "square":
            return 0.25 * (z * z - y) ** 2
        return 0.5 * (z - y) ** 2

    def _slopes(self, z: Array, y: Array) -> Array:
        if self.link == "logistic":
            with np.errstate(over="ignore"):
                return np.asarray(1.0 / (1.0 + np.exp(-z)) - y)
        if self.link == "square":
            return (z * z - y) * z
        return z - y

    def loss(self, theta: npt.ArrayLike, of: str = "training") -> float:
        """Mean loss of a set.

        Parameters
        ----------
        theta : array (parameters,)
            Parameters.
        of : {"training", "clean", "validation"}
            Noisy training set, clean test set, or validation set.
        """
        domain.choice("of", of, ("training", "clean", "validation"))
        x, y = {
            "training": (self.inputs, self.labels),
            "clean": (self.test_inputs, self.test_labels),
            "validation": (self.validation_inputs, self.validation_labels),
        }[of]
        if x is None:
            raise DomainError("validation_inputs", None, "given, for a validation loss")
        return float(self._losses(self._scores(self.check("theta", theta), x), y).mean())

    # Gradients -----------------------------------------------------------------------------------

    def sample_gradients(self, theta: npt.ArrayLike) -> Array:
        """Gradient of the loss of each training sample, shape (n, parameters), loss/length."""
        point = self.check("theta", theta)
        slopes = self._slopes(self._scores(point, self.inputs), self.labels)
        return self._gradients(point, self.inputs, slopes)

    def _gradients(self, theta: Array, x: Array, slopes: Array) -> Array:
        return np.asarray(slopes[:, None] * x)

    def gradient(self, theta: npt.ArrayLike) -> Array:
        """Gradient of the training loss, shape (parameters,)."""
        return np.asarray(self.sample_gradients(theta).mean(axis=0))

    def gradient_statistics(self, theta: npt.ArrayLike) -> dict[str, Any]:
        """What :func:`resetsgd.sgd.drift_diffusion` takes: gradients split by label.

        Parameters
        ----------
        theta : array (parameters,)
            Parameters.

        Returns
        -------
        dict
            ``clean_gradient``, ``noisy_gradient`` (parameters,), ``clean_covariance``,
            ``noisy_covariance`` (parameters, parameters) of one sample within each group,
            ``noise_rate`` and ``position``. Divided by the size of the group, so that a step with
            replacement has these moments exactly. A group without samples takes the other's.

        Examples
        --------
        >>> import resetsgd as rs
        >>> from resetsgd.sgd import drift_diffusion
        >>> task = rs.LinearTask.drawn(200, 20, noise_rate=0.4, seed=1)
        >>> statistics = task.gradient_statistics(0 * task.teacher)
        >>> along = drift_diffusion(
        ...     **statistics, direction=task.teacher, learning_rate=0.05, batch_size=10
        ... )
        >>> bool(along.velocity > 0)
        True
        """
        gradients, wrong = self.sample_gradients(theta), self.corrupted
        groups = [gradients[~wrong], gradients[wrong]]
        groups = [group if len(group) else gradients for group in groups]
        means = [group.mean(axis=0) for group in groups]
        spreads = [
            (group - mean).T @ (group - mean) / len(group)
            for group, mean in zip(groups, means, strict=True)
        ]
        return {
            "clean_gradient": means[0],
            "noisy_gradient": means[1],
            "noise_rate": self.noise_rate,
            "clean_covariance": spreads[0],
            "noisy_covariance": spreads[1],
            "position": self.check("theta", theta),
        }

    # Observables ---------------------------------------------------------------------------------

    def needs(self, observable: str) -> None:
        """Raise a ``DomainError`` if the task lacks what an observable is made from."""
        domain.choice("observable", observable, OBSERVABLES)
        if observable == "validation_loss" and self.validation_inputs is None:
            raise DomainError("validation_inputs", None, "given, for a validation loss")
        lonely = observable == "distance" or (observable == "overlap" and self.units == 0)
        if lonely and self.teacher is None:
            raise DomainError("teacher", None, f"given, for {observable!r}")

    def observe(
        self,
        observable: str,
        theta: npt.ArrayLike,
        *,
        direction: npt.ArrayLike | None = None,
        origin: npt.ArrayLike | None = None,
    ) -> float:
        """Value of an observable.

        Parameters
        ----------
        observable : str
            ``"distance"``: squared, to the teacher (or its mirror image, where that is as good);
            ``"overlap"``: cosine with the teacher, for networks of the outputs on the test set;
            ``"projection"``: on the direction, from the origin; ``"training_loss"``,
            ``"clean_loss"``, ``"validation_loss"``: means over the sets; ``"clean_gradient"``,
            ``"wrong_gradient"``: norms of the mean gradient of the clean and of the mislabelled
            samples; ``"clean_pull"``, ``"wrong_pull"``: their components downhill along the
            direction; ``"gradient_alignment"``: the cosine between them.
        theta : array (parameters,)
            Parameters.
        direction, origin : array (parameters,), optional
            Direction of any length, default to the teacher; origin, default zero.
        """
        self.needs(observable)
        point = self.check("theta", theta)
        zero = np.zeros(self.parameters)
        if observable.endswith("_loss"):
            return self.loss(point, observable.removesuffix("_loss"))
        if observable == "distance":
            near = float(np.sum((point - self.teacher) ** 2))
            return min(near, float(np.sum((point + self.teacher) ** 2))) if self.even else near
        if observable == "overlap":
            if self.units:
                return _cosine(self._scores(point, self.test_inputs), self.test_labels)
            found = _cosine(point, self.teacher)
            return abs(found) if self.even else found
        if observable in ("projection", "clean_pull", "wrong_pull"):
            given = self.teacher if direction is None else direction
            if given is None:
                raise DomainError("direction", None, f"given, for {observable!r}")
            unit = unit_vector(self.check("direction", given))
            if observable == "projection":
                return float(
                    unit @ (point - (zero if origin is None else self.check("origin", origin)))
                )
        gradients, wrong = self.sample_gradients(point), self.corrupted
        means = [g.mean(axis=0) if len(g) else zero for g in (gradients[~wrong], gradients[wrong])]
        if observable == "gradient_alignment":
            return _cosine(*means)
        mean = means[observable.startswith("wrong")]
        return float(-unit @ mean if observable.endswith("pull") else np.linalg.norm(mean))


def unit_vector(direction: Array) -> Array:
    """A direction of length one."""
    largest = float(np.max(np.abs(direction), initial=0.0))
    if largest == 0:
        raise DomainError("direction", direction, "different from zero")
    scaled = direction / largest
    return np.asarray(scaled / np.sqrt(scaled @ scaled))


def _cosine(a: Array, b: Array) -> float:
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b / scale) if scale > 0 else 0.0
