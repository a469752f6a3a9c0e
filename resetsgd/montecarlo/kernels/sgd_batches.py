"""Mini-batches: which rows of the training set a step of SGD sees.

The words of a replica come from ``STREAMS`` generators of its own that run side by side (word k is
the next one of generator k mod ``STREAMS``), so that one vector instruction makes eight of them.
A word w becomes the row floor(n w / 2^32); the few words that would favour some rows are skipped,
so that every row has the same probability, exactly (D. Lemire, ACM TOMACS 29, 3, 2019).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.compiling import helper, inlined
from resetsgd.montecarlo.kernels.lanes import seed_lane
from resetsgd.montecarlo.kernels.sgd_vectors import LANE, STREAMS, next_words

__all__ = ["BATCHES", "BLOCK", "refill_rows", "seed_streams", "shuffled_rows"]

BATCHES = 64
"""The purpose of the first of them."""

BLOCK = 128
"""Words made at a time."""

_LOW, _S32 = np.uint64(0xFFFFFFFF), np.uint64(32)


@inlined
def seed_streams(state: Any, seed: Any, path: Any) -> None:
    """Start the generators of a replica."""
    for stream in range(STREAMS):
        seed_lane(state, stream, seed, path, BATCHES + stream)


@helper
def refill_rows(words: Any, n: int, rows: Any, used: int, made: int) -> int:
    """Move rows that are left to the front and append those of a block of words, then zeros.

    Returns how many rows there are now, without the zeros.
    """
    size, least = np.uint64(n), np.uint64(4294967296 % n)
    left = made - used
    for k in range(left):
        rows[k] = rows[used + k]
    unfair = 0
    for k in range(BLOCK):
        product = np.uint64(words[k]) * size
        unfair += 1 if (product & _LOW) < least else 0
        rows[left + k] = np.int64(product >> _S32)
    if unfair > 0:  # about once in 2^32/(128 n) blocks
        made = left
        for k in range(BLOCK):
            product = np.uint64(words[k]) * size
            if (product & _LOW) >= least:
                rows[made] = np.int64(product >> _S32)
                made += 1
    else:
        made = left + BLOCK
    for k in range(LANE):
        rows[made + k] = 0
    return made


@helper
def shuffled_rows(
    streams: Any, words: Any, at: int, n: int, count: int, order: Any, rows: Any
) -> int:
    """Draw different rows: the first of a Fisher-Yates shuffle of ``order``, whatever its order is.

    Words are used from ``at`` on; returns where to go on.
    """
    for b in range(count):
        size = np.uint64(n - b)
        high = np.uint64(0)
        for _ in range(64):  # a word is refused with a probability below n/2^32
            if at >= BLOCK:
                next_words(streams, words, BLOCK // STREAMS)
                at = 0
            product = np.uint64(words[at]) * size
            at += 1
            high = product >> _S32
            low = product & _LOW
            if low >= size or low >= np.uint64(4294967296) % size:
                break
        other = b + np.int64(high)
        row = order[other]
        order[other] = order[b]
        order[b] = row
        rows[b] = row
    for k in range(LANE):
        rows[count + k] = 0
    return at
