"""Rows of a data matrix times a vector and sums of rows, with explicit vector instructions.

The vectors of toy problems are short (tens of numbers), and there compilers fail: they interleave
so many vector steps that a row of twenty falls to scalar code, which costs five times as much.
These are LLVM intrinsics on four float64 at a time; under ``NUMBA_DISABLE_JIT=1`` a few lines of
NumPy stand in, equal up to rounding.

A matrix is a flat array of rows of ``width`` numbers, width a multiple of ``LANE``, filled up with
zeros. Rows are chosen by their numbers ``rows[at:at + count]``. ``dot_rows`` and ``residual_rows``
work on whole groups of ``LANE`` of them: beyond the count there must be numbers of some rows, and
space for what they give.

``next_words`` is the generator of :mod:`resetsgd.montecarlo.kernels.lanes`, eight side by side.
"""

from __future__ import annotations

from typing import Any

from resetsgd.montecarlo.kernels.compiling import settings
from resetsgd.montecarlo.kernels.lanes import next_word

__all__ = [
    "LANE",
    "STREAMS",
    "add_rows",
    "dot_rows",
    "inner",
    "next_words",
    "padded",
    "residual_rows",
    "squared_distance",
]

LANE = 4
"""Widths and counts of rows are multiples of it."""

STREAMS = 8
"""Generators side by side in ``next_words``."""

if settings.DISABLE_JIT:

    def dot_rows(
        matrix: Any, width: int, rows: Any, at: int, count: int, vector: Any, begin: int,
        out: Any, out_at: int,
    ) -> None:  # fmt: skip
        """``out[out_at + k]`` = row ``rows[at + k]`` times ``vector[begin:begin + width]``."""
        chosen = matrix.reshape(-1, width)[rows[at : at + count]]
        out[out_at : out_at + count] = chosen @ vector[begin : begin + width]

    def residual_rows(
        matrix: Any, width: int, rows: Any, at: int, count: int, vector: Any, labels: Any, out: Any
    ) -> None:
        """``out[k]`` = row ``rows[at + k]`` times the vector, less the row's label."""
        chosen = rows[at : at + count]
        out[:count] = matrix.reshape(-1, width)[chosen] @ vector[:width] - labels[chosen]

    def add_rows(
        matrix: Any, width: int, rows: Any, at: int, count: int, weights: Any, weights_at: int,
        scale: float, out: Any, begin: int,
    ) -> None:  # fmt: skip
        """Add scale times the weighted sum of rows to ``out[begin:begin + width]``."""
        chosen = matrix.reshape(-1, width)[rows[at : at + count]]
        weighted = weights[weights_at : weights_at + count] @ chosen
        out[begin : begin + width] += scale * weighted

    def inner(a: Any, a_at: int, b: Any, b_at: int, width: int) -> float:
        """Inner product of two vectors of a width that is a multiple of ``LANE``."""
        return float(a[a_at : a_at + width] @ b[b_at : b_at + width])

    def squared_distance(a: Any, b: Any, sign: float, width: int) -> float:
        """Squared distance of ``a`` and ``sign * b``."""
        gap = a[:width] - sign * b[:width]
        return float(gap @ gap)

    def next_words(state: Any, words: Any, blocks: int) -> None:
        """Fill ``words`` with blocks of one word of each of the streams, ``state[4, STREAMS]``."""
        for k in range(STREAMS * blocks):
            words[k] = next_word(state, k % STREAMS)

else:
    from llvmlite import ir
    from numba.core import cgutils as untyped
    from numba.core import types
    from numba.extending import intrinsic

    cgutils: Any = untyped

    _DOUBLE, _I32, _I64 = ir.DoubleType(), ir.IntType(32), ir.IntType(64)
    _VECTOR = ir.VectorType(_DOUBLE, LANE)
    _ZEROS = ir.Constant(_VECTOR, [0.0] * LANE)
    _MOST = 6
    """Vectors of a row that are summed at once, in registers."""

    def _whole(n: int) -> Any:
        return ir.Constant(_I64, n)

    def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
        return cgutils.create_struct_proxy(kind)(context, builder, value).data

    def _place(builder: Any, pointer: Any, at: Any) -> Any:
        return builder.bitcast(builder.gep(pointer, [at]), _VECTOR.as_pointer())

    def _load(builder: Any, pointer: Any, at: Any) -> Any:
        return builder.load(_place(builder, pointer, at), align=8)

    def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
        call = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        function = cgutils.get_or_insert_function(builder.module, call, f"llvm.fma.v{LANE}f64")
        return builder.call(function, [a, b, c])

    def _chosen(builder: Any, a: Any, b: Any, places: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(_I32, len(places)), places)
        return builder.shuffle_vector(a, b, mask)

    def _spread(builder: Any, number: Any) -> Any:
        unset = ir.Constant(_VECTOR, ir.Undefined)
        one = builder.insert_element(unset, number, ir.Constant(_I32, 0))
        return _chosen(builder, one, unset, [0] * LANE)

    def _total(builder: Any, vector: Any) -> Any:
        """Sum of the four elements."""
        unset = ir.Constant(_VECTOR, ir.Undefined)
        low = _chosen(builder, vector, unset, [0, 1])
        pair = builder.fadd(low, _chosen(builder, vector, unset, [2, 3]))
        first, second = (builder.extract_element(pair, ir.Constant(_I32, k)) for k in (0, 1))
        return builder.fadd(first, second)

    def _totals(builder: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        """The sums of the elements of four vectors, as a vector."""
        even, odd = [0, 4, 2, 6], [1, 5, 3, 7]
        ab = builder.fadd(_chosen(builder, a, b, even), _chosen(builder, a, b, odd))
        cd = builder.fadd(_chosen(builder, c, d, even), _chosen(builder, c, d, odd))
        low = _chosen(builder, ab, cd, [0, 1, 4, 5])
        return builder.fadd(low, _chosen(builder, ab, cd, [2, 3, 6, 7]))

    def _sums(builder: Any, count: int) -> list[Any]:
        """Vectors that start at zero; LLVM turns them into registers."""
        slots = [cgutils.alloca_once(builder, _VECTOR) for _ in range(count)]
        for slot in slots:
            builder.store(_ZEROS, slot)
        return slots

    def _dot_rows(
        context: Any, builder: Any, width: Any, at: Any, count: Any, begin: Any, out_at: Any,
        pointers: Any, labels: Any = None,
    ) -> Any:  # fmt: skip
        """Four rows at a time, so that one reading of the vector serves all."""
        matrix, rows, vector, out = pointers
        loop = cgutils.for_range_slice

        with loop(builder, _whole(0), count, _whole(LANE)) as (k, _):
            first = builder.add(at, k)
            chosen = [
                builder.load(builder.gep(rows, [builder.add(first, _whole(j))]))
                for j in range(LANE)
            ]
            heads = [builder.mul(width, row) for row in chosen]
            slots = _sums(builder, LANE)
            with loop(builder, _whole(0), width, _whole(LANE)) as (i, _):
                part = _load(builder, vector, builder.add(begin, i))
                for head, slot in zip(heads, slots, strict=True):
                    entry = _load(builder, matrix, builder.add(head, i))
                    builder.store(_fused(builder, part, entry, builder.load(slot)), slot)
            sums = _totals(builder, *(builder.load(slot) for slot in slots))
            if labels is not None:
                shift = ir.Constant(_VECTOR, ir.Undefined)
                for j, row in enumerate(chosen):
                    label = builder.load(builder.gep(labels, [row]))
                    shift = builder.insert_element(shift, label, ir.Constant(_I32, j))
                sums = builder.fsub(sums, shift)
            builder.store(sums, _place(builder, out, builder.add(out_at, k)), align=8)
        return context.get_dummy_value()

    @intrinsic
    def dot_rows(
        typing: Any, matrix: Any, width: Any, rows: Any, at: Any, count: Any, vector: Any,
        begin: Any, out: Any, out_at: Any,
    ) -> Any:  # fmt: skip
        """``out[out_at + k]`` = row ``rows[at + k]`` times ``vector[begin:begin + width]``."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kinds = signature.args
            _, width, _, at, count, _, begin, _, out_at = arguments
            pointers = [_data(context, builder, kinds[i], arguments[i]) for i in (0, 2, 5, 7)]
            return _dot_rows(context, builder, width, at, count, begin, out_at, pointers)

        n = types.int64
        return types.void(matrix, n, rows, n, n, vector, n, out, n), code

    @intrinsic
    def residual_rows(
        typing: Any, matrix: Any, width: Any, rows: Any, at: Any, count: Any, vector: Any,
        labels: Any, out: Any,
    ) -> Any:  # fmt: skip
        """``out[k]`` = row ``rows[at + k]`` times the vector, less the row's label."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kinds = signature.args
            _, width, _, at, count, _, _, _ = arguments
            pointers = [_data(context, builder, kinds[i], arguments[i]) for i in (0, 2, 5, 7)]
            shifts = _data(context, builder, kinds[6], arguments[6])
            zero = _whole(0)
            return _dot_rows(context, builder, width, at, count, zero, zero, pointers, shifts)

        n = types.int64
        return types.void(matrix, n, rows, n, n, vector, labels, out), code

    @intrinsic
    def add_rows(
        typing: Any, matrix: Any, width: Any, rows: Any, at: Any, count: Any, weights: Any,
        weights_at: Any, scale: Any, out: Any, begin: Any,
    ) -> Any:  # fmt: skip
        """Add scale times the weighted sum of rows to ``out[begin:begin + width]``."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kinds = signature.args
            _, width, _, at, count, _, weights_at, scale, _, begin = arguments
            matrix, rows, weights, out = (
                _data(context, builder, kinds[i], arguments[i]) for i in (0, 2, 5, 8)
            )
            factor = _spread(builder, scale)
            loop = cgutils.for_range_slice

            def columns(i: Any, vectors: int) -> None:
                """Sum some columns of all rows; even and odd rows apart, to wait less."""
                slots = _sums(builder, 2 * vectors)

                def add(place: Any, odd: int) -> None:
                    row = builder.load(builder.gep(rows, [builder.add(at, place)]))
                    head = builder.add(builder.mul(width, row), i)
                    weight = builder.gep(weights, [builder.add(weights_at, place)])
                    weight = _spread(builder, builder.load(weight))
                    for j in range(vectors):
                        slot = slots[2 * j + odd]
                        entry = _load(builder, matrix, builder.add(head, _whole(LANE * j)))
                        builder.store(_fused(builder, weight, entry, builder.load(slot)), slot)

                last = builder.and_(count, _whole(-2))
                with loop(builder, _whole(0), last, _whole(2)) as (k, _):
                    add(k, 0)
                    add(builder.add(k, _whole(1)), 1)
                with builder.if_then(builder.icmp_signed("!=", last, count)):
                    add(last, 0)
                for j in range(vectors):
                    pair = (builder.load(slot) for slot in slots[2 * j : 2 * j + 2])
                    place = builder.add(begin, builder.add(i, _whole(LANE * j)))
                    before = _load(builder, out, place)
                    after = _fused(builder, factor, builder.fadd(*pair), before)
                    builder.store(after, _place(builder, out, place), align=8)

            block = _whole(LANE * _MOST)
            blocks = builder.mul(builder.sdiv(width, block), block)
            with loop(builder, _whole(0), blocks, block) as (i, _):
                columns(i, _MOST)
            rest = builder.sub(width, blocks)
            for vectors in range(1, _MOST):
                with builder.if_then(builder.icmp_signed("==", rest, _whole(LANE * vectors))):
                    columns(blocks, vectors)
            return context.get_dummy_value()

        n, real = types.int64, types.float64
        return types.void(matrix, n, rows, n, n, weights, n, real, out, n), code

    @intrinsic
    def inner(typing: Any, a: Any, a_at: Any, b: Any, b_at: Any, width: Any) -> Any:
        """Inner product of two vectors of a width that is a multiple of ``LANE``."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, a_at, _, b_at, width = arguments
            a, b = (_data(context, builder, signature.args[i], arguments[i]) for i in (0, 2))
            (slot,) = _sums(builder, 1)
            loop = cgutils.for_range_slice
            with loop(builder, _whole(0), width, _whole(LANE)) as (i, _):
                x = _load(builder, a, builder.add(a_at, i))
                y = _load(builder, b, builder.add(b_at, i))
                builder.store(_fused(builder, x, y, builder.load(slot)), slot)
            return _total(builder, builder.load(slot))

        n = types.int64
        return types.float64(a, n, b, n, n), code

    @intrinsic
    def squared_distance(typing: Any, a: Any, b: Any, sign: Any, width: Any) -> Any:
        """Squared distance of ``a`` and ``sign * b``."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, b = (_data(context, builder, signature.args[i], arguments[i]) for i in (0, 1))
            turn = _spread(builder, builder.fneg(arguments[2]))
            (slot,) = _sums(builder, 1)
            loop = cgutils.for_range_slice
            with loop(builder, _whole(0), arguments[3], _whole(LANE)) as (i, _):
                gap = _fused(builder, turn, _load(builder, b, i), _load(builder, a, i))
                builder.store(_fused(builder, gap, gap, builder.load(slot)), slot)
            return _total(builder, builder.load(slot))

        return types.float64(a, b, types.float64, types.int64), code

    @intrinsic
    def next_words(typing: Any, state: Any, words: Any, blocks: Any) -> Any:
        """Fill ``words`` with blocks of one word of each of the streams, ``state[4, STREAMS]``."""
        kind = ir.VectorType(_I32, STREAMS)

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            state, words = (
                _data(context, builder, signature.args[i], arguments[i]) for i in (0, 1)
            )

            def at(pointer: Any, index: Any) -> Any:
                return builder.bitcast(builder.gep(pointer, [index]), kind.as_pointer())

            def by(amount: int) -> Any:
                return ir.Constant(kind, [amount] * STREAMS)

            def rotated(x: Any, k: int) -> Any:
                return builder.or_(builder.shl(x, by(k)), builder.lshr(x, by(32 - k)))

            slots = [cgutils.alloca_once(builder, kind) for _ in range(4)]
            for i, slot in enumerate(slots):
                builder.store(builder.load(at(state, _whole(STREAMS * i)), align=4), slot)
            with cgutils.for_range(builder, arguments[2]) as loop:
                s0, s1, s2, s3 = (builder.load(slot) for slot in slots)
                result = builder.add(rotated(builder.add(s0, s3), 7), s0)
                builder.store(result, at(words, builder.mul(loop.index, _whole(STREAMS))), align=4)
                t = builder.shl(s1, by(9))
                s2, s3 = builder.xor(s2, s0), builder.xor(s3, s1)
                s1, s0 = builder.xor(s1, s2), builder.xor(s0, s3)
                after = (s0, s1, builder.xor(s2, t), rotated(s3, 11))
                for slot, value in zip(slots, after, strict=True):
                    builder.store(value, slot)
            for i, slot in enumerate(slots):
                builder.store(builder.load(slot), at(state, _whole(STREAMS * i)), align=4)
            return context.get_dummy_value()

        return types.void(state, words, types.int64), code


def padded(count: int) -> int:
    """The next multiple of ``LANE``."""
    return -(-count // LANE) * LANE
