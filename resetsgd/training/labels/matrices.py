"""Transition matrices of label noise: entry (i, j), the probability that i is labelled j."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.errors import DomainError

__all__ = [
    "CONVENTIONS",
    "MAPS",
    "MOST_CLASSES",
    "Labels",
    "Matrix",
    "asymmetric_matrix",
    "checked_labels",
    "checked_matrix",
    "checked_pair",
    "pair_matrix",
    "symmetric_matrix",
    "transition_matrix",
]

Labels = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]

CONVENTIONS = ("exclusive", "inclusive")

MOST_CLASSES = 2048
"""Classes beyond which a matrix in every manifest makes no sense."""

_TOLERANCE = 1e-9
"""How far from 1 the sum of a row may be; it is divided out."""

_SUPERCLASSES = (
    (4, 30, 55, 72, 95), (1, 32, 67, 73, 91), (54, 62, 70, 82, 92), (9, 10, 16, 28, 61),
    (0, 51, 53, 57, 83), (22, 39, 40, 86, 87), (5, 20, 25, 84, 94), (6, 7, 14, 18, 24),
    (3, 42, 43, 88, 97), (12, 17, 37, 68, 76), (23, 33, 49, 60, 71), (15, 19, 21, 31, 38),
    (34, 63, 64, 66, 75), (26, 45, 77, 79, 99), (2, 11, 35, 46, 98), (27, 29, 44, 78, 93),
    (36, 50, 65, 74, 80), (47, 52, 56, 59, 96), (8, 13, 48, 58, 90), (41, 69, 81, 85, 89),
)  # fmt: skip
"""Fine classes of CIFAR-100 in each of its twenty superclasses, both in alphabetical order."""


def _cycles(groups: tuple[tuple[int, ...], ...]) -> dict[int, int]:
    """Each class to the next of its group, the last to the first."""
    return {a: b for group in groups for a, b in zip(group, group[1:] + group[:1], strict=True)}


MAPS: dict[str, tuple[int, dict[int, int]]] = {
    # truck -> automobile, bird -> airplane, cat <-> dog, deer -> horse
    "cifar10": (10, {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}),
    "cifar100": (100, _cycles(_SUPERCLASSES)),
    "cifar100-blocks": (100, _cycles(tuple(tuple(range(i, i + 5)) for i in range(0, 100, 5)))),
}
"""Number of classes and where each flipped class goes, by name; the others never flip."""


def symmetric_matrix(classes: int, rate: float, *, convention: str = "exclusive") -> Matrix:
    """Transition matrix of symmetric noise.

    Parameters
    ----------
    classes : int
        Number of classes, two or more.
    rate : float
        Share of labels that are flagged, in [0, 1].
    convention : {"exclusive", "inclusive"}
        A flagged label moves to one of the other classes, or to any class, its own included: then
        only rate (1 - 1/classes) of the labels change.

    Returns
    -------
    ndarray of float64, shape (classes, classes)

    Raises
    ------
    DomainError
        For an argument outside its range.

    Examples
    --------
    >>> symmetric_matrix(3, 0.3, convention="inclusive")
    array([[0.8, 0.1, 0.1],
           [0.1, 0.8, 0.1],
           [0.1, 0.1, 0.8]])
    """
    classes = domain.integer("classes", classes, 2, MOST_CLASSES)
    rate = float(np.asarray(domain.probability("rate", rate)))
    domain.choice("convention", convention, CONVENTIONS)
    choices = classes - (convention == "exclusive")
    matrix = np.full((classes, classes), rate / choices)
    np.fill_diagonal(matrix, 1.0 - rate * ((classes - 1) / choices))
    return matrix


def pair_matrix(classes: int, rate: float) -> Matrix:
    """Transition matrix of pair flips: class i becomes i + 1, the last becomes class 0.

    Parameters
    ----------
    classes : int
        Number of classes, two or more.
    rate : float
        Probability of a flip, in [0, 1].

    Returns
    -------
    ndarray of float64, shape (classes, classes)

    Raises
    ------
    DomainError
        For an argument outside its range.

    Examples
    --------
    >>> pair_matrix(3, 0.25)
    array([[0.75, 0.25, 0.  ],
           [0.  , 0.75, 0.25],
           [0.25, 0.  , 0.75]])
    """
    classes = domain.integer("classes", classes, 2, MOST_CLASSES)
    return _flips(classes, {i: (i + 1) % classes for i in range(classes)}, rate)


def asymmetric_matrix(
    mapping: str | Mapping[int, int], rate: float, *, classes: int | None = None
) -> Matrix:
    """Transition matrix of class-dependent flips between classes that look alike.

    Parameters
    ----------
    mapping : {"cifar10", "cifar100", "cifar100-blocks"} or mapping of int to int
        Where a flipped label of each class goes; classes that are no key never flip.
        ``"cifar10"``: truck to automobile, bird to airplane, deer to horse, cat to dog and back.
        ``"cifar100"``: to the next class of the same superclass, in a circle.
        ``"cifar100-blocks"``: to the next of five consecutive class numbers. Many published codes
        do this and call it the former; their blocks are not superclasses.
    rate : float
        Probability of a flip *for the classes that flip*, in [0, 1]. At 0.4 with ``"cifar10"``,
        where half of the classes flip, 20 % of balanced labels change.
    classes : int, optional
        Number of classes; that of the named map, else one more than the largest class in it.

    Returns
    -------
    ndarray of float64, shape (classes, classes)

    Raises
    ------
    DomainError
        For an unknown name, a class outside the range, a rate outside [0, 1].

    Notes
    -----
    **Source**: Patrini, Rozza, Krishna Menon, Nock and Qu (2017), section 6, for both maps.

    Examples
    --------
    >>> matrix = asymmetric_matrix("cifar10", 0.4)
    >>> float(matrix[9, 1]), float(matrix[9, 9]), float(matrix[0, 0])
    (0.4, 0.6, 1.0)
    """
    if isinstance(mapping, str):
        known, flips = MAPS[domain.choice("mapping", mapping, tuple(MAPS))]
        if classes is not None and classes != known:
            raise DomainError("classes", classes, f"{known}, that of the map {mapping!r}")
        return _flips(known, flips, rate)
    if not isinstance(mapping, Mapping) or not mapping:
        raise DomainError("mapping", mapping, "a name or a mapping of classes to classes")
    found = [
        domain.integer("mapping", c, 0, MOST_CLASSES - 1) for pair in mapping.items() for c in pair
    ]
    size = (
        max(2, max(found) + 1)
        if classes is None
        else domain.integer("classes", classes, 2, MOST_CLASSES)
    )
    if max(found) >= size:
        raise DomainError("mapping", max(found), f"of classes in [0, {size - 1}]")
    return _flips(size, mapping, rate)


def transition_matrix(
    clean: npt.ArrayLike, noisy: npt.ArrayLike, *, classes: int | None = None
) -> Matrix:
    """The realised transition matrix: shares of the noisy classes among the labels of each class.

    Parameters
    ----------
    clean, noisy : array_like of int, shape (n,)
        Labels before and after, in [0, classes).
    classes : int, optional
        Number of classes; by default one more than the largest label.

    Returns
    -------
    ndarray of float64, shape (classes, classes)
        Rows sum to one; the row of a class that does not occur is that of no noise.

    Raises
    ------
    DomainError
        For labels that are not whole numbers in range, or of different lengths.

    Examples
    --------
    >>> transition_matrix([0, 0, 0, 0, 1], [0, 1, 1, 0, 1])
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    before, after, classes = checked_pair("clean", clean, "noisy", noisy, classes)
    counts = np.bincount(before * classes + after, minlength=classes**2).astype(np.float64)
    counts = counts.reshape(classes, classes)
    absent = counts.sum(axis=1) == 0
    counts[absent, absent] = 1.0
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def checked_matrix(name: str, value: npt.ArrayLike, classes: int | None = None) -> Matrix:
    """A square row-stochastic float64 matrix of two or more classes, or a ``DomainError``."""
    matrix = np.atleast_1d(domain.within(name, value, 0.0, 1.0))
    allowed = "a square matrix of probabilities" if classes is None else f"of {classes} classes"
    if matrix.ndim != 2 or len(set(matrix.shape)) != 1 or len(matrix) < 2:
        raise DomainError(name, matrix.shape, allowed)
    if classes is not None and len(matrix) != classes:
        raise DomainError(name, matrix.shape, allowed)
    totals = matrix.sum(axis=1, keepdims=True)
    if (abs(totals - 1.0) > _TOLERANCE).any():
        wrong = float(totals[abs(totals - 1.0) > _TOLERANCE][0])
        raise DomainError(name, wrong, "rows that sum to one (this sum does not)")
    return matrix


def checked_labels(name: str, value: npt.ArrayLike, classes: int | None) -> Labels:
    """Labels as a non-empty int64 vector with entries in [0, classes)."""
    array = np.asarray(value)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise DomainError(name, value, "a non-empty vector of whole numbers")
    limit = MOST_CLASSES if classes is None else classes
    if array.min() < 0 or array.max() >= limit:
        wrong = array[(array < 0) | (array >= limit)][0]
        raise DomainError(name, wrong.item(), f"a class in [0, {limit - 1}]")
    return array.astype(np.int64)


def checked_pair(
    first: str, before: npt.ArrayLike, second: str, after: npt.ArrayLike, classes: int | None
) -> tuple[Labels, Labels, int]:
    """Two labels of each sample, and the number of classes: by default the smallest possible."""
    old, new = checked_labels(first, before, None), checked_labels(second, after, None)
    if old.size != new.size:
        raise DomainError(second, f"{new.size} labels", f"{old.size}, as many as {first}")
    if classes is None:
        classes = max(2, int(max(old.max(), new.max())) + 1)
    classes = domain.integer("classes", classes, 2, MOST_CLASSES)
    return checked_labels(first, old, classes), checked_labels(second, new, classes), classes


def _flips(classes: int, flips: Mapping[int, int], rate: float) -> Matrix:
    """Each key goes to its value with this probability; all else stays."""
    rate = float(np.asarray(domain.probability("rate", rate)))
    matrix = np.eye(classes)
    for source, target in flips.items():
        if source != target:
            matrix[source, source], matrix[source, target] = 1.0 - rate, rate
    return matrix
