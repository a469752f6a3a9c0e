"""Random streams keyed by (seed, path, purpose).

A stream is the generator xoshiro128++ of 128 bits of state, started at a hash of its key. Streams
therefore do not depend on who draws from them, in which order, on how many threads. For one seed
and purpose no two paths share a state; that two streams of n numbers overlap anywhere has, for N
streams, the probability N² n / 2^128: 3e-9 for 10^12 streams of 10^6 numbers.

Which bits a seed gives is fixed by :data:`STREAM_VERSION`. Words and uniforms are the same on every
platform. Normals and exponentials take logarithms and fused products, so that on another kind of
processor or with another C library the last digit may differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.montecarlo.kernels import fill, lanes

__all__ = ["PURPOSES", "STREAM_VERSION", "exponentials", "normals", "seed_of", "uniforms"]

STREAM_VERSION = 3
"""Raised whenever the same seed gives other bits than before; stored with each simulation."""

PURPOSES = {
    "motion": lanes.MOTION, "events": lanes.EVENTS, "record": lanes.RECORD, "free": lanes.FREE,
}  # fmt: skip
"""What streams are drawn for: the kernels use the first two, recording the third, ``free`` is
nobody's."""


def seed_of(seed: int) -> int:
    """A seed, checked.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1.

    Raises
    ------
    DomainError
        If the seed is not such a number.

    Examples
    --------
    >>> seed_of(7)
    7
    """
    return domain.integer("seed", seed, 0, 2**64 - 1)


def uniforms(n: int, *, seed: int, path: int = 0, purpose: str = "free") -> Array:
    """The first ``n`` uniforms of a stream, in the open interval (0, 1).

    Parameters
    ----------
    n : int
        How many, at least 0.
    seed, path : int
        From 0 to 2**64 - 1 and to 2**63 - 1.
    purpose : str
        A key of :data:`PURPOSES`.

    Returns
    -------
    ndarray, shape (n,)
        Multiples of 2**-52 plus 2**-53: never 0 and never 1.

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Examples
    --------
    >>> bool((uniforms(3, seed=1) == uniforms(5, seed=1)[:3]).all())
    True
    """
    return _filled(fill.fill_uniforms, n, seed, path, purpose)


def normals(n: int, *, seed: int, path: int = 0, purpose: str = "free") -> Array:
    """The first ``n`` standard normals of a stream (ziggurat; tail exact to 8 deviations).

    Parameters, errors and shape as in :func:`uniforms`.

    Examples
    --------
    >>> normals(3, seed=0).shape
    (3,)
    """
    return _filled(fill.fill_normals, n, seed, path, purpose)


def exponentials(n: int, *, seed: int, path: int = 0, purpose: str = "free") -> Array:
    """The first ``n`` standard exponentials of a stream (logarithm of a uniform; at most 36.7).

    Parameters, errors and shape as in :func:`uniforms`.

    Examples
    --------
    >>> bool((exponentials(1000, seed=0) > 0).all())
    True
    """
    return _filled(fill.fill_exponentials, n, seed, path, purpose)


def _filled(kernel: Any, n: int, seed: int, path: int, purpose: str) -> Array:
    """Check the key and let a kernel fill an array."""
    out = np.empty(domain.integer("n", n, 0))
    number = domain.integer("path", path, 0, 2**63 - 1)
    code = PURPOSES[domain.choice("purpose", purpose, tuple(PURPOSES))]
    kernel(out, np.uint64(seed_of(seed)), np.uint64(number), code)
    return out
