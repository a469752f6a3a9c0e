"""Drawing noisy labels from checked arguments: what a noise function does and a manifest redoes.

The draws of label i depend on (seed, i) alone. A label that changes at some rate changes at every
larger one where each is drawn for itself (``"bernoulli"``): the coins are coupled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, softmax

from resetsgd.training.labels.matrices import Labels, Matrix
from resetsgd.training.streams import Purpose, uniforms, words

__all__ = ["Features", "by_instance", "by_matrix", "symmetric"]

Features = npt.NDArray[np.uint8] | npt.NDArray[np.float64]

_LATTICE = 2.0**16


def symmetric(
    clean: Labels, rate: float, classes: int, convention: str, count: str, seed: int
) -> Labels:
    """Flag labels, then move the flagged ones to a uniformly random class."""
    samples = np.arange(clean.size)
    keys = uniforms(seed, Purpose.FLAG, 1, replica=samples)[:, 0]
    if count == "bernoulli":
        flagged = keys < rate
    else:
        flagged = np.zeros(clean.size, bool)
        flagged[np.argsort(keys, kind="stable")[: round(rate * clean.size)]] = True
    choices = classes - (convention == "exclusive")
    drawn = words(seed, Purpose.MOVE, 1, replica=samples)[:, 0]
    # multiply-shift maps a 32-bit word on [0, choices) with a relative bias below choices / 2**32
    moved = ((drawn * np.uint64(choices)) >> np.uint64(32)).astype(np.int64)
    if convention == "exclusive":
        moved += moved >= clean  # skip the own class
    return np.where(flagged, moved, clean)


def by_matrix(clean: Labels, matrix: Matrix, count: str, seed: int) -> Labels:
    """Draw each label from the row of its class, or share each class out in exact proportion."""
    keys = uniforms(seed, Purpose.FLAG, 1, replica=np.arange(clean.size))[:, 0]
    if count == "bernoulli":
        return _from_rows(clean, matrix[clean], keys)
    noisy = clean.copy()
    for label in np.unique(clean):
        members = np.flatnonzero(clean == label)
        members = members[np.argsort(keys[members], kind="stable")]
        quota = _quota(matrix[label], members.size)
        others = (label + np.arange(1, len(matrix))) % len(matrix)
        moved = np.repeat(others, quota[others])
        noisy[members[: moved.size]] = moved
    return noisy


def by_instance(
    clean: Labels,
    features: Features,
    rate: float,
    spread: float,
    classes: int,
    seed: int,
) -> Labels:
    """Part-dependent noise: own flip rates, and targets from a random projection of the image."""
    keys = uniforms(seed, Purpose.FLAG, 2, replica=np.arange(clean.size))
    low, high = ndtr((0.0 - rate) / spread), ndtr((1.0 - rate) / spread)
    flips = np.clip(rate + spread * ndtri(low + keys[:, 1] * (high - low)), 0.0, 1.0)
    noisy = clean.copy()
    width = features.shape[1]
    for label in np.unique(clean):
        members = np.flatnonzero(clean == label)
        drawn = uniforms(seed, Purpose.PROJECTION, width * classes, replica=label)
        weights = ndtri(drawn + 2.0**-54).reshape(width, classes)
        # on a lattice every product and sum is exact in float64, so that the labels depend neither
        # on the order in which a BLAS adds nor on its threads
        own = features[members] * (_LATTICE / 255.0 if features.dtype == np.uint8 else _LATTICE)
        scores = (np.rint(own) @ np.rint(weights * _LATTICE)) / _LATTICE**2
        scores[:, label] = -np.inf
        rows = flips[members, None] * softmax(scores, axis=1)
        rows[:, label] = 1.0 - flips[members]
        noisy[members] = _from_rows(clean[members], rows, keys[members, 0])
    return noisy


def _from_rows(clean: Labels, rows: Matrix, keys: npt.NDArray[np.float64]) -> Labels:
    """A class for each label from its own row of probabilities, by inversion.

    The other classes come first, in a circle from the label on, and the label itself last: so a
    label changes exactly if its key is below its probability of changing.
    """
    classes = rows.shape[1]
    order = (clean[:, None] + np.arange(1, classes + 1)) % classes
    turned = np.take_along_axis(rows, order, axis=1)
    bounds = np.cumsum(turned, axis=1)
    last = classes - 1 - (turned[:, ::-1] > 0).argmax(axis=1)
    bounds[np.arange(classes) >= last[:, None]] = 1.0  # no rounding reaches an impossible class
    place = (keys[:, None] >= bounds).sum(axis=1)
    return np.asarray(np.take_along_axis(order, place[:, None], axis=1)[:, 0], np.int64)


def _quota(row: npt.NDArray[np.float64], size: int) -> Labels:
    """Whole numbers in proportion to a row that add up to the size: largest remainders."""
    shares = row / row.sum() * size
    quota = np.floor(shares + 1e-9).astype(np.int64)  # 0.3 * 10 is three, rounded or not
    rest = np.argsort(-(shares - quota), kind="stable")[: size - quota.sum()]
    quota[rest] += 1
    return np.asarray(quota)
