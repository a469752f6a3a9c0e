"""Noisy labels of every kind, each with the manifest that reproduces and verifies them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.training.labels import draws, matrices
from resetsgd.training.labels.manifest import COUNTS, WIDEST, NoiseManifest, checked_features
from resetsgd.training.labels.matrices import (
    CONVENTIONS,
    MOST_CLASSES,
    Labels,
    Matrix,
    checked_labels,
    checked_matrix,
    checked_pair,
)

__all__ = [
    "asymmetric_noise",
    "human_noise",
    "instance_noise",
    "matrix_noise",
    "pair_noise",
    "symmetric_noise",
]


def symmetric_noise(
    labels: npt.ArrayLike,
    rate: float,
    *,
    classes: int | None = None,
    convention: str = "exclusive",
    count: str = "exact",
    seed: int = 0,
) -> tuple[Labels, NoiseManifest]:
    """Symmetric label noise: flagged labels move to a uniformly random class.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Clean labels in [0, classes).
    rate : float
        Share of labels that are flagged, in [0, 1].
    classes : int, optional
        Number of classes; by default one more than the largest label.
    convention : {"exclusive", "inclusive"}
        A flagged label moves to one of the *other* classes (default, the convention of the
        published method), or to any class, its own included.
    count : {"exact", "bernoulli"}
        Exactly ``round(rate * n)`` labels are flagged, a uniformly random set of them (default), or
        each label is flagged independently with probability ``rate``.
    seed : int
        The draws of label i depend on (seed, i) alone; under ``"bernoulli"`` so does its result.

    Returns
    -------
    noisy : ndarray of int64, shape (n,)
        The noisy labels.
    manifest : NoiseManifest
        What reproduces and verifies them.

    Raises
    ------
    DomainError
        For labels that are not whole numbers in range, a rate outside [0, 1], an unknown word.

    Examples
    --------
    >>> import numpy as np
    >>> noisy, manifest = symmetric_noise(np.zeros(1000, int), 0.4, classes=10, seed=3)
    >>> int((noisy != 0).sum()), manifest.realised
    (400, 0.4)
    """
    clean, classes = _clean(labels, classes)
    rate = float(np.asarray(domain.probability("rate", rate)))
    convention = domain.choice("convention", convention, CONVENTIONS)
    count = domain.choice("count", count, COUNTS)
    noisy = draws.symmetric(clean, rate, classes, convention, count, seed)
    return noisy, NoiseManifest.record(
        clean,
        noisy,
        classes=classes,
        matrix=matrices.symmetric_matrix(classes, rate, convention=convention),
        seed=seed,
        rate=rate,
        count=count,
        convention=convention,
    )


def pair_noise(
    labels: npt.ArrayLike,
    rate: float,
    *,
    classes: int | None = None,
    count: str = "exact",
    seed: int = 0,
) -> tuple[Labels, NoiseManifest]:
    """Pair flips: a flipped label of class i becomes i + 1, that of the last class 0.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Clean labels in [0, classes).
    rate : float
        Probability of a flip, in [0, 1]; the published setting is 0.45.
    classes : int, optional
        Number of classes; by default one more than the largest label.
    count : {"exact", "bernoulli"}
        In each class the share of flipped labels is ``rate``, as nearly as whole numbers allow, or
        each label has its own coin.
    seed : int
        The draws of label i depend on (seed, i) alone; under ``"bernoulli"`` so does its result.

    Returns
    -------
    noisy : ndarray of int64, shape (n,)
        The noisy labels.
    manifest : NoiseManifest
        What reproduces and verifies them.

    Raises
    ------
    DomainError
        For labels that are not whole numbers in range, a rate outside [0, 1], an unknown word.

    Examples
    --------
    >>> noisy, manifest = pair_noise([0, 1, 2, 0, 1, 2], 0.5, seed=1)
    >>> manifest.realised, sorted(noisy.tolist())
    (0.5, [0, 0, 1, 1, 2, 2])
    """
    clean, classes = _clean(labels, classes)
    rate = float(np.asarray(domain.probability("rate", rate)))
    law = matrices.pair_matrix(classes, rate)
    return _by_matrix(clean, law, count, seed, kind="pair", rate=rate)


def asymmetric_noise(
    labels: npt.ArrayLike,
    rate: float,
    *,
    mapping: str | Mapping[int, int] = "cifar10",
    classes: int | None = None,
    count: str = "exact",
    seed: int = 0,
) -> tuple[Labels, NoiseManifest]:
    """Class-dependent flips between classes that look alike.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Clean labels in [0, classes).
    rate : float
        Probability of a flip *for the classes that flip*, in [0, 1].
    mapping : {"cifar10", "cifar100", "cifar100-blocks"} or mapping of int to int
        Where flipped labels go; see :func:`~resetsgd.training.labels.matrices.asymmetric_matrix`.
    classes : int, optional
        Number of classes, where the mapping does not say.
    count : {"exact", "bernoulli"}
        As in :func:`pair_noise`.
    seed : int
        The draws of label i depend on (seed, i) alone; under ``"bernoulli"`` so does its result.

    Returns
    -------
    noisy : ndarray of int64, shape (n,)
        The noisy labels.
    manifest : NoiseManifest
        What reproduces and verifies them; of your own mapping it records the matrix.

    Raises
    ------
    DomainError
        For labels that are not whole numbers in range, a rate outside [0, 1], an unknown map.

    Examples
    --------
    >>> import numpy as np
    >>> noisy, manifest = asymmetric_noise(np.arange(1000) % 10, 0.4)
    >>> manifest.realised
    0.2
    """
    found = checked_labels("labels", labels, None)
    if not isinstance(mapping, str) and classes is None and isinstance(mapping, Mapping):
        whole = [c for pair in mapping.items() for c in pair if isinstance(c, int)]
        classes = max(2, int(found.max()) + 1, *(c + 1 for c in whole))
    law = matrices.asymmetric_matrix(mapping, rate, classes=classes)
    clean = checked_labels("labels", found, len(law))
    if isinstance(mapping, str):
        rate = float(np.asarray(rate))
        return _by_matrix(clean, law, count, seed, kind="asymmetric", rate=rate, source=mapping)
    return _by_matrix(clean, law, count, seed, kind="matrix", rate=None)


def matrix_noise(
    labels: npt.ArrayLike, matrix: npt.ArrayLike, *, count: str = "exact", seed: int = 0
) -> tuple[Labels, NoiseManifest]:
    """Label noise of an arbitrary transition matrix.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Clean labels in [0, classes).
    matrix : array_like of float, shape (classes, classes)
        Entry (i, j): probability that class i is labelled j. Rows sum to one.
    count : {"exact", "bernoulli"}
        Labels of each class are shared out in proportion to its row, as nearly as whole numbers
        allow (largest remainders), or each label is drawn independently.
    seed : int
        The draws of label i depend on (seed, i) alone; under ``"bernoulli"`` so does its result.

    Returns
    -------
    noisy : ndarray of int64, shape (n,)
        The noisy labels.
    manifest : NoiseManifest
        What reproduces and verifies them.

    Raises
    ------
    DomainError
        For labels that are not whole numbers in range, or a matrix that is not row-stochastic.

    Examples
    --------
    >>> noisy, manifest = matrix_noise([0] * 10 + [1] * 10, [[0.7, 0.3], [0.1, 0.9]])
    >>> manifest.realised, int((noisy[:10] == 1).sum())
    (0.2, 3)
    """
    law = checked_matrix("matrix", matrix)
    return _by_matrix(checked_labels("labels", labels, len(law)), law, count, seed)


def instance_noise(
    labels: npt.ArrayLike,
    features: npt.ArrayLike,
    rate: float,
    *,
    classes: int | None = None,
    spread: float = 0.1,
    seed: int = 0,
) -> tuple[Labels, NoiseManifest]:
    """Instance-dependent (part-dependent) noise: what an image looks like says how it is mistaken.

    Each sample has its own flip rate q, drawn from the normal law of mean ``rate`` and standard
    deviation ``spread`` truncated to [0, 1]. A random matrix of standard normals for each class
    maps the features to a score of each class; the label becomes one of the *other* classes with
    probability q times their softmax, and stays with probability 1 - q.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Clean labels in [0, classes).
    features : array_like of float or uint8, shape (n, ...)
        Images, flattened here; bytes are divided by 255, as published codes do; others at most 1e9
        in size. They enter with a resolution of 2**-16, which makes every sum exact for images: the
        labels do not depend on threads.
    rate : float
        Centre of the law of the flip rates, in [0, 1].
    classes : int, optional
        Number of classes; by default one more than the largest label.
    spread : float
        Its width, in (0, 1000].
    seed : int
        The draws of label i depend on (seed, i) alone, and so does its result.

    Returns
    -------
    noisy : ndarray of int64, shape (n,)
        The noisy labels.
    manifest : NoiseManifest
        What reproduces and verifies them from the clean labels and the same features.

    Raises
    ------
    DomainError
        For labels or features that are not what is allowed, or a rate outside [0, 1].

    Notes
    -----
    Truncation moves the mean flip rate toward one half: at ``rate`` 0.1 it is 0.129. The share that
    really changed is ``manifest.realised``.
    **Source**: Xia et al. (2020), algorithm 2, as their published code does it: one matrix for
    each class.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).random((2000, 64))
    >>> noisy, manifest = instance_noise(np.arange(2000) % 10, images, 0.4, seed=1)
    >>> bool(abs(manifest.realised - 0.4) < 0.05)
    True
    """
    clean, classes = _clean(labels, classes)
    given = checked_features(features, clean.size)
    rate = float(np.asarray(domain.probability("rate", rate)))
    spread = float(np.asarray(domain.within("spread", spread, 0.0, WIDEST, open_low=True)))
    noisy = draws.by_instance(clean, given, rate, spread, classes, seed)
    return noisy, NoiseManifest.record(
        clean,
        noisy,
        classes=classes,
        features=given,
        seed=seed,
        rate=rate,
        count="bernoulli",
        kind="instance",
        spread=spread,
    )


def human_noise(
    labels: npt.ArrayLike,
    human: npt.ArrayLike,
    *,
    classes: int | None = None,
    source: str | None = None,
) -> tuple[Labels, NoiseManifest]:
    """Labels given by people, such as those of CIFAR-10N, with a manifest.

    Parameters
    ----------
    labels, human : array_like of int, shape (n,)
        Clean labels and those of people, in [0, classes), one for each image. Of a split of
        CIFAR-10 take ``human[split.indices]``.
    classes : int, optional
        Number of classes; by default one more than the largest label.
    source : str, optional
        Where the labels are from, ``"cifar10n worst"`` say.

    Returns
    -------
    noisy : ndarray of int64, shape (n,)
        The labels of people.
    manifest : NoiseManifest
        What verifies them, with the realised transition matrix.

    Raises
    ------
    DomainError
        For labels that are not whole numbers in range, or of different lengths.

    Examples
    --------
    >>> noisy, manifest = human_noise([0, 0, 1, 1], [0, 1, 1, 1])
    >>> manifest.realised, manifest.matrix
    (0.25, ((0.5, 0.5), (0.0, 1.0)))
    """
    clean, noisy, classes = checked_pair("labels", labels, "human", human, classes)
    return noisy, NoiseManifest.record(clean, noisy, classes=classes, kind="human", source=source)


def _clean(labels: npt.ArrayLike, classes: int | None) -> tuple[Labels, int]:
    """Checked labels and the number of classes."""
    found = checked_labels("labels", labels, None)
    if classes is None:
        classes = max(2, int(found.max()) + 1)
    classes = domain.integer("classes", classes, 2, MOST_CLASSES)
    return checked_labels("labels", found, classes), classes


def _by_matrix(
    clean: Labels,
    law: Matrix,
    count: str,
    seed: int,
    *,
    kind: str = "matrix",
    rate: float | None = None,
    source: str | None = None,
) -> tuple[Labels, NoiseManifest]:
    """Noisy labels of a transition matrix, and their manifest."""
    count = domain.choice("count", count, COUNTS)
    noisy = draws.by_matrix(clean, law, count, seed)
    return noisy, NoiseManifest.record(
        clean,
        noisy,
        classes=len(law),
        matrix=law,
        seed=seed,
        rate=rate,
        count=count,
        kind=kind,
        source=source,
    )
