"""How labels were corrupted, estimated from the labels and out-of-sample predictions alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.labels.matrices import Matrix, checked_labels

__all__ = ["NoiseEstimate", "confident_joint", "estimate_noise"]

_SLACK = 1e-6
"""How far below its threshold a probability still counts, as rounding may put it there."""

_TIES = ("confident", "overall")


@dataclass(frozen=True, eq=False)
class NoiseEstimate:
    """The joint law of given and true labels, as estimated.

    Parameters
    ----------
    joint : ndarray of float64, shape (classes, classes)
        Entry (i, j): number of samples labelled i whose true class is j. Row sums are the counts of
        the given labels, exactly as observed.

    Examples
    --------
    >>> import numpy as np
    >>> estimate = NoiseEstimate(np.array([[40.0, 10.0], [0.0, 50.0]]))
    >>> estimate.rate, estimate.prior
    (0.1, array([0.4, 0.6]))
    >>> estimate.transition.round(3)
    array([[1.   , 0.   ],
           [0.167, 0.833]])
    """

    joint: Matrix

    @property
    def rate(self) -> float:
        """Share of wrong labels."""
        wrong = self.joint.sum() - np.trace(self.joint)
        return float(wrong / self.joint.sum())

    @property
    def prior(self) -> npt.NDArray[np.float64]:
        """Shares of the true classes."""
        return np.asarray(self.joint.sum(axis=0) / self.joint.sum())

    @property
    def transition(self) -> Matrix:
        """Entry (i, j): probability that class i is labelled j. What loss correction needs.

        The row of a class to which no sample truly belongs is that of no noise.
        """
        return _rows(self.joint.T)

    @property
    def inverse(self) -> Matrix:
        """Entry (i, j): probability that a sample labelled i truly is j."""
        return _rows(self.joint)


def confident_joint(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, ties: str = "confident"
) -> npt.NDArray[np.int64]:
    """Count the samples labelled i that a model confidently takes for j.

    A sample is confidently j if its predicted probability of j reaches the mean predicted
    probability of j over the samples labelled j; samples that are confidently nothing do not count.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Given labels in [0, classes).
    probabilities : array_like of float, shape (n, classes)
        *Out-of-sample* predicted probabilities (by cross-validation, say), rows that sum to one. A
        model that has memorised the labels shows no noise.
    ties : {"confident", "overall"}
        Which class a sample counts for that is confidently several: the most probable of those, as
        published, or the most probable of all, which need not be one of them; cleanlab does that.

    Returns
    -------
    ndarray of int64, shape (classes, classes)
        Rows are given labels, columns the classes they are taken for. The diagonal is at least
        one, so that no class is lost.

    Raises
    ------
    DomainError
        For labels out of range, or probabilities that are none or of another shape.

    Notes
    -----
    **Source**: Northcutt, Jiang and Chuang (2021), equations 1 and 2; tests compare with cleanlab.

    Examples
    --------
    >>> import numpy as np
    >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.7, 0.3]])
    >>> confident_joint([0, 0, 1, 1, 1], probabilities)
    array([[1, 0],
           [0, 2]])
    """
    found = np.asarray(domain.within("probabilities", probabilities, 0.0, 1.0))
    if found.ndim != 2 or found.shape[1] < 2:
        raise DomainError("probabilities", found.shape, "a matrix with a column for each class")
    classes = found.shape[1]
    given = checked_labels("labels", labels, classes)
    if len(given) != len(found):
        raise DomainError("probabilities", found.shape, f"a row for each of {len(given)} labels")
    if (abs(found.sum(axis=1) - 1.0) > 1e-3).any():
        raise DomainError("probabilities", "rows of other sums", "rows that sum to one")
    domain.choice("ties", ties, _TIES)
    counts = np.bincount(given, minlength=classes)
    totals = np.bincount(given, found[np.arange(len(given)), given], minlength=classes)
    # a class that labels nothing has no threshold: nothing is confidently of it
    thresholds = np.where(counts > 0, totals / np.maximum(counts, 1), 2.0)
    confident = found >= thresholds - _SLACK
    if ties == "confident":
        taken = np.where(confident, found, -1.0).argmax(axis=1)
    else:
        single = confident.sum(axis=1) == 1
        taken = np.where(single, confident.argmax(axis=1), found.argmax(axis=1))
    some = confident.any(axis=1)
    joint = np.bincount(given[some] * classes + taken[some], minlength=classes**2)
    joint = joint.reshape(classes, classes)
    np.fill_diagonal(joint, np.maximum(joint.diagonal(), 1))
    return joint.astype(np.int64)


def estimate_noise(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, ties: str = "confident"
) -> NoiseEstimate:
    """Estimate the transition matrix of the noise from labels and out-of-sample predictions.

    The confident joint is scaled, row by row, to the counts of the given labels, so that samples
    of which the model is not confident are taken to be mixed like those of which it is.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Given labels in [0, classes).
    probabilities : array_like of float, shape (n, classes)
        Out-of-sample predicted probabilities.
    ties : {"confident", "overall"}
        As in :func:`confident_joint`.

    Returns
    -------
    NoiseEstimate
        With ``transition``, ``inverse``, ``prior`` and ``rate``.

    Raises
    ------
    DomainError
        As :func:`confident_joint`.

    Notes
    -----
    The estimate is exact where the predictions depend on the true class alone, up to errors that
    leave each probability on its side of the threshold (Northcutt et al. 2021, theorem 2). Scatter
    biases it: classes without wrong labels have the higher thresholds, which fewer of their samples
    reach. A model with plenty of scatter sees 0.35 in place of 0.40; one that has memorised the
    labels sees nothing.
    **Source**: Northcutt, Jiang and Chuang (2021), equation 3.

    Examples
    --------
    >>> import numpy as np
    >>> from resetsgd.training.labels import pair_noise
    >>> truth = np.arange(9000) % 3
    >>> noisy, manifest = pair_noise(truth, 0.2, seed=1)
    >>> predicted = np.full((9000, 3), 0.05) + 0.85 * np.eye(3)[truth]
    >>> estimate_noise(noisy, predicted).transition.round(3)
    array([[0.8, 0.2, 0. ],
           [0. , 0.8, 0.2],
           [0.2, 0. , 0.8]])
    """
    joint = confident_joint(labels, probabilities, ties=ties)
    counts = np.bincount(checked_labels("labels", labels, len(joint)), minlength=len(joint))
    return NoiseEstimate(_rows(joint.astype(np.float64)) * counts[:, None])


def _rows(counts: Matrix) -> Matrix:
    """Rows divided by their sums; a row of zeros becomes that of no noise."""
    totals = counts.sum(axis=1, keepdims=True)
    rows = np.divide(counts, totals, out=np.eye(len(counts)), where=totals > 0)
    return np.asarray(rows)
