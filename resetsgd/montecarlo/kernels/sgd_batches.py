"""Mini-batches: which rows of the training set a step of SGD sees.

The words of a replica come from ``STREAMS`` generators of its own, those of
:mod:`resetsgd.montecarlo.kernels.lanes`, that run side by side (word k is the next one of generator
k mod ``STREAMS``), so that one vector instruction makes eight of them.
A word w becomes the row floor(n w / 2^32); the few words that would favour some rows are skipped,
so that every row has the same probability, exactly (D. Lemire, ACM TOMACS 29, 3, 2019).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.compiling import helper, inlined, settings
from resetsgd.montecarlo.kernels.lanes import next_word, seed_lane
from resetsgd.montecarlo.kernels.sgd_vectors import GROUP

__all__ = [
    "BATCHES",
    "BLOCK",
    "STREAMS",
    "next_rows",
    "next_words",
    "refill_rows",
    "seed_streams",
    "shuffled_rows",
]

STREAMS = 8
"""Generators of a replica, side by side in vectors."""

BATCHES = 64
"""The purpose of the first of them."""

BLOCK = 128
"""Words made at a time."""

_LOW, _S32 = np.uint64(0xFFFFFFFF), np.uint64(32)

if settings.DISABLE_JIT:

    def next_words(state: Any, begin: int, words: Any) -> None:
        """Fill ``words`` with a block: one of each of the streams ``state[4, begin:]`` in turn."""
        for k in range(BLOCK):
            words[k] = next_word(state, begin + k % STREAMS)

    def next_rows(
        state: Any, begin: int, words: Any, n: int, least: int, rows: Any, at: int
    ) -> int:
        """Do that, and turn them into rows from ``rows[at]`` on; whether some are to be skipped."""
        next_words(state, begin, words)
        products = words[:BLOCK].astype(np.uint64) * np.uint64(n)
        rows[at : at + BLOCK] = products >> _S32
        return int(((products & _LOW) < least).any())

else:
    from llvmlite import ir
    from numba.core import cgutils as untyped
    from numba.core import types
    from numba.extending import intrinsic

    cgutils: Any = untyped

    _WORDS, _WIDE = ir.VectorType(ir.IntType(32), STREAMS), ir.VectorType(ir.IntType(64), STREAMS)
    _WHOLE = ir.IntType(64)

    def _all(builder: Any, number: Any, kind: Any) -> Any:
        """A vector of equal numbers."""
        unset = ir.Constant(kind, ir.Undefined)
        one = builder.insert_element(unset, number, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), STREAMS), [0] * STREAMS)
        return builder.shuffle_vector(one, unset, zeros)

    def _rotated(builder: Any, x: Any, k: int) -> Any:
        left, right = (ir.Constant(_WORDS, [n] * STREAMS) for n in (k, 32 - k))
        return builder.or_(builder.shl(x, left), builder.lshr(x, right))

    def _block(context: Any, builder: Any, kinds: Any, given: Any) -> list[Any]:
        """Make the words of a block and store them; without a loop, for their sake who wait."""
        array = cgutils.create_struct_proxy(kinds[0])(context, builder, given[0])
        words = cgutils.create_struct_proxy(kinds[2])(context, builder, given[2]).data
        across = builder.extract_value(array.shape, 1)

        def at(pointer: Any, index: Any) -> Any:
            return builder.bitcast(builder.gep(pointer, [index]), _WORDS.as_pointer())

        def row(k: int) -> Any:
            return at(array.data, builder.add(given[1], builder.mul(across, _WHOLE(k))))

        state = [builder.load(row(k), align=4) for k in range(4)]
        made = []
        for k in range(0, BLOCK, STREAMS):
            s0, s1, s2, s3 = state
            word = builder.add(_rotated(builder, builder.add(s0, s3), 7), s0)
            builder.store(word, at(words, _WHOLE(k)), align=4)
            made.append(word)
            t = builder.shl(s1, ir.Constant(_WORDS, [9] * STREAMS))
            s2, s3 = builder.xor(s2, s0), builder.xor(s3, s1)
            s1, s0 = builder.xor(s1, s2), builder.xor(s0, s3)
            state = [s0, s1, builder.xor(s2, t), _rotated(builder, s3, 11)]
        for k in range(4):
            builder.store(state[k], row(k), align=4)
        return made

    @intrinsic
    def next_words(typing: Any, state: Any, begin: Any, words: Any) -> Any:
        """Fill ``words`` with a block: one of each of the streams ``state[4, begin:]`` in turn."""

        def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            _block(context, builder, signature.args, given)
            return context.get_dummy_value()

        return types.void(state, types.int64, words), build

    @intrinsic
    def next_rows(
        typing: Any, state: Any, begin: Any, words: Any, n: Any, least: Any, rows: Any, at: Any
    ) -> Any:
        """Do that, and turn them into rows from ``rows[at]`` on; whether some are to be skipped."""

        def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            rows = cgutils.create_struct_proxy(signature.args[5])(context, builder, given[5]).data
            # LLVM has to know that both factors have 32 bits: there is an instruction for these.
            size = builder.zext(builder.trunc(given[3], ir.IntType(32)), _WHOLE)
            size = _all(builder, size, _WIDE)
            least = _all(builder, builder.trunc(given[4], ir.IntType(32)), _WORDS)
            skipped: Any = ir.Constant(_WORDS, [0] * STREAMS)
            for k, word in enumerate(_block(context, builder, signature.args, given)):
                product = builder.mul(builder.zext(word, _WIDE), size)
                high = builder.lshr(product, ir.Constant(_WIDE, [32] * STREAMS))
                place = builder.gep(rows, [builder.add(given[6], _WHOLE(STREAMS * k))])
                place = builder.bitcast(place, _WORDS.as_pointer())
                builder.store(builder.trunc(high, _WORDS), place, align=4)
                unfair = builder.icmp_unsigned("<", builder.trunc(product, _WORDS), least)
                skipped = builder.or_(skipped, builder.sext(unfair, _WORDS))
            any_ = builder.icmp_unsigned(
                "!=", builder.bitcast(skipped, ir.IntType(256)), ir.IntType(256)(0)
            )
            return builder.zext(any_, _WHOLE)

        n = types.int64
        return types.int64(state, n, words, n, n, rows, n), build


@inlined
def seed_streams(state: Any, begin: int, seed: Any, path: Any) -> None:
    """Start the generators of a replica, which begin in this column."""
    for stream in range(STREAMS):
        seed_lane(state, begin + stream, seed, path, BATCHES + stream)


@helper
def refill_rows(
    streams: Any, lane: int, words: Any, n: int, batch: int, rows: Any, used: int, made: int
) -> int:
    """Move the rows of a replica that are left to the front and append blocks, for one batch.

    Returns how many there are now; behind them are rows 0.
    """
    least, begin = 4294967296 % n, lane * (len(rows) // (streams.shape[1] // STREAMS))
    left = made - used
    for k in range(left):
        rows[begin + k] = rows[begin + used + k]
    made = left
    for _ in range(batch):  # each block brings rows
        if made >= batch:
            break
        unfair = next_rows(streams, lane * STREAMS, words, n, least, rows, begin + made)
        if unfair == 0:
            made += BLOCK
        else:  # about once in 2^32/(128 n) blocks
            for k in range(BLOCK):
                product = np.uint64(words[k]) * np.uint64(n)
                if (product & _LOW) >= np.uint64(least):
                    rows[begin + made] = np.int32(product >> _S32)
                    made += 1
    for k in range(GROUP):
        rows[begin + made + k] = 0
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
                next_words(streams, 0, words)
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
    for k in range(GROUP):
        rows[count + k] = 0
    return at
