"""Random numbers that are a function of what they are for: Philox4x32-10 on a counter.

Every draw in :mod:`resetsgd.training` is keyed by (seed, purpose, replica, step, position). Nothing
is consumed, so a draw does not depend on how many replicas run beside it, on how the steps are cut
into blocks, on where a run was resumed, on the rank of a process, or on the global generators.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.errors import DomainError

__all__ = [
    "GENERATOR",
    "Purpose",
    "addressed",
    "batches",
    "coins",
    "permutation",
    "uniforms",
    "words",
]

GENERATOR = "philox4x32-10"
"""Name of the generator, written into manifests."""

_LAST = 2**32 - 1
_MASK = np.uint64(_LAST)
_HALF = np.uint64(32)
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
_FACTORS = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
_BLOCK = 8192
_ROWS = 2048


class Purpose:
    """The fourth word of the counter: streams of different purposes never meet."""

    COIN = 1
    BATCH = 2
    INITIAL = 3
    FLAG = 4
    MOVE = 5
    SPLIT = 6
    WAIT = 7
    PLACE = 8
    FRESH = 9
    PROJECTION = 10
    AUGMENT = 11
    FLIP = 12
    MIX = 13
    DROPOUT = 14
    """The bits above the eighth say which layer of the network."""
    PROBE = 15
    RANDOM_LABEL = 16
    SEARCH = 17
    MASK = 18


def _philox(key: int, counters: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Ten rounds of Philox4x32 (Salmon, Moraes, Dror and Shaw 2011), in place.

    ``counters`` has shape (4, n), each entry a 32-bit word. Working in place on blocks that stay in
    the cache is four times as fast as plain expressions.
    """
    left, right = np.empty((2, min(_BLOCK, counters.shape[1])), np.uint64)
    for start in range(0, counters.shape[1], _BLOCK):
        c0, c1, c2, c3 = counters[:, start : start + _BLOCK]
        high, low = left[: c0.size], right[: c0.size]
        k0, k1 = key & _LAST, key >> 32
        for _ in range(ROUNDS):
            np.multiply(c0, _FACTORS[0], out=high)
            np.multiply(c2, _FACTORS[1], out=low)
            np.right_shift(low, _HALF, out=c0)
            c0 ^= c1
            c0 ^= np.uint64(k0)
            np.right_shift(high, _HALF, out=c2)
            c2 ^= c3
            c2 ^= np.uint64(k1)
            np.bitwise_and(low, _MASK, out=c1)
            np.bitwise_and(high, _MASK, out=c3)
            k0, k1 = (k0 + WEYL[0]) & _LAST, (k1 + WEYL[1]) & _LAST
    return counters


def _indices(name: str, value: Any) -> npt.NDArray[np.uint64]:
    """Whole numbers in [0, 2**32) as uint64."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or (array.size and (array.min() < 0 or array.max() > _LAST)):
        raise DomainError(name, value, f"a whole number (or an array of them) in [0, {_LAST}]")
    return array.astype(np.uint64)


def words(
    seed: int, purpose: int, count: int, *, replica: Any = 0, step: Any = 0
) -> npt.NDArray[np.uint64]:
    """Independent uniform 32-bit words.

    Parameters
    ----------
    seed : int
        Key of the stream, in [0, 2**64).
    purpose : int
        One of :class:`Purpose`.
    count : int
        Words for each (replica, step).
    replica, step : int or array of int
        In [0, 2**32); they broadcast together.

    Returns
    -------
    ndarray of uint64, shape ``broadcast(replica, step).shape + (count,)``
        Values in [0, 2**32).
    """
    key = domain.integer("seed", seed, 0, 2**64 - 1)
    replicas, steps = _indices("replica", replica), _indices("step", step)
    shape = domain.broadcast(replica=replicas, step=steps)
    blocks = -(-count // 4)
    counters = np.empty((4, *shape, blocks), np.uint64)
    counters[0] = np.arange(blocks)
    counters[1] = steps[..., None]
    counters[2] = replicas[..., None]
    counters[3] = purpose
    drawn = _philox(key, counters.reshape(4, -1)).T
    return np.ascontiguousarray(drawn).reshape(*shape, -1)[..., :count]


def addressed(
    seed: int, purpose: int, index: Any, *, replica: Any = 0, step: Any = 0
) -> npt.NDArray[np.uint64]:
    """One uniform 32-bit word for each (index, replica, step), whichever others are asked for.

    Parameters
    ----------
    seed : int
        Key of the stream, in [0, 2**64).
    purpose : int
        One of :class:`Purpose`.
    index, replica, step : int or array of int
        In [0, 2**32); they broadcast together. ``index`` is that of a sample, say.

    Returns
    -------
    ndarray of uint64, shape of ``broadcast(index, replica, step)``
        Values in [0, 2**32): the first of the four words at this counter.
    """
    key = domain.integer("seed", seed, 0, 2**64 - 1)
    indices, steps = _indices("index", index), _indices("step", step)
    replicas = _indices("replica", replica)
    counters = np.empty((4, *domain.broadcast(index=indices, replica=replicas, step=steps)), "u8")
    counters[0], counters[1], counters[2], counters[3] = indices, steps, replicas, purpose
    return np.asarray(_philox(key, counters.reshape(4, -1))[0].reshape(counters.shape[1:]))


def uniforms(
    seed: int, purpose: int, count: int, *, replica: Any = 0, step: Any = 0
) -> npt.NDArray[np.float64]:
    """Independent uniform doubles in [0, 1) on the 2**-53 lattice; arguments as :func:`words`."""
    pair = words(seed, purpose, 2 * count, replica=replica, step=step)
    high, low = pair[..., 0::2] >> np.uint64(5), pair[..., 1::2] >> np.uint64(6)
    result: npt.NDArray[np.float64] = (high * 67108864.0 + low) / 9007199254740992.0
    return result


def coins(seed: int, replicas: Any, step: Any, probability: Any) -> npt.NDArray[np.bool_]:
    """Which replicas reset after this step: one coin for each (seed, replica, step).

    Parameters
    ----------
    seed : int
        Key of the stream.
    replicas : int or array of int
        Indices of the replicas (not their number), ``range(first, first + K)`` say.
    step : int or array of int
        Index of the optimizer step; broadcasts with ``replicas``.
    probability : float or array of float
        Of a reset, in [0, 1]; broadcasts with the others. Zero never resets and one always does,
        exactly. The coins are coupled: what resets at some probability also resets at every larger
        one.

    Returns
    -------
    ndarray of bool, shape of ``broadcast(replicas, step)``

    Raises
    ------
    DomainError
        For a seed, index or probability outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> some = coins(7, np.arange(5), 12, 0.5)
    >>> bool(some[3]) == bool(coins(7, 3, 12, 0.5))
    True
    """
    p = domain.probability("probability", probability)
    return np.asarray(uniforms(seed, Purpose.COIN, 1, replica=replicas, step=step)[..., 0] < p)


def batches(
    seed: int, replicas: Any, steps: Any, *, population: int, size: int
) -> npt.NDArray[np.int64]:
    """Mini-batches: independent from step to step, without replacement inside a batch.

    That is the sampling of the published method: every step draws a fresh uniform subset (Floyd's
    algorithm), so there are no epochs. An index is ``word * m >> 32``; its relative bias is below
    population / 2**32.

    Parameters
    ----------
    seed : int
        Key of the stream.
    replicas, steps : int or array of int
        They broadcast together.
    population : int
        Number of samples to draw from, below 2**31.
    size : int
        Samples in a batch, at most ``population``.

    Returns
    -------
    ndarray of int64, shape ``broadcast(replicas, steps).shape + (size,)``

    Raises
    ------
    DomainError
        For a size above the population, or any argument outside its range.

    Examples
    --------
    >>> batch = batches(0, replicas=3, steps=[0, 1], population=10, size=4)
    >>> batch.shape, len(set(batch[0].tolist()))
    ((2, 4), 4)
    """
    population = domain.integer("population", population, 1, 2**31 - 1)
    size = domain.integer("size", size, 1, population)
    drawn = words(seed, Purpose.BATCH, size, replica=replicas, step=steps)
    rows, last = drawn.reshape(-1, size), np.arange(population - size, population)
    chosen = np.empty(rows.shape, np.int64)
    for start in range(0, len(rows), _ROWS):
        part = np.ascontiguousarray(rows[start : start + _ROWS].T)
        picks = ((part * (last[:, None] + 1).astype(np.uint64)) >> _HALF).astype(np.int32)
        for i in range(1, size):
            taken = (picks[:i] == picks[i]).any(axis=0)
            picks[i][taken] = last[i]
        chosen[start : start + _ROWS] = picks.T
    return chosen.reshape(drawn.shape)


def permutation(seed: int, purpose: int, count: int) -> npt.NDArray[np.int64]:
    """A uniformly random order of ``range(count)``: the order of independent uniform keys."""
    return np.argsort(uniforms(seed, purpose, count), kind="stable").astype(np.int64)
