"""Rows of a data matrix times a vector and sums of rows, with explicit vector instructions.

The vectors of toy problems are short (tens of numbers), and there compilers fail: they interleave
so many vector steps that a row of twenty falls to scalar code, which costs five times as much.
These are LLVM intrinsics on 32 bytes at a time, four float64 or eight float32, all of one type T in
a call; for rows of up to six such vectors the code is unrolled. Under ``NUMBA_DISABLE_JIT=1`` a few
lines of NumPy stand in, equal up to rounding.

A matrix is a flat array of rows of ``width`` numbers, width a multiple of ``lanes``, filled up with
zeros. Rows are chosen by their numbers ``rows[at:at + count]``, int32. ``dot_rows`` and ``descend``
work on whole groups of ``GROUP`` of them: beyond the count there must be numbers of some rows, and
space for what they give.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.compiling import settings

__all__ = [
    "GROUP",
    "add_rows",
    "descend",
    "dot_rows",
    "inner",
    "padded",
    "squared_distance",
]

GROUP = 4
"""Rows that are multiplied at a time."""


def padded(count: int, dtype: Any = np.float64) -> int:
    """The next count that fills whole vectors."""
    lanes = 32 // int(np.dtype(dtype).itemsize)
    return -(-count // lanes) * lanes


if settings.DISABLE_JIT:

    def dot_rows(
        matrix: Any, width: int, rows: Any, at: int, count: int, vector: Any, begin: int,
        out: Any, out_at: int,
    ) -> None:  # fmt: skip
        """``out[out_at + k]`` = row ``rows[at + k]`` times ``vector[begin:begin + width]``."""
        chosen = matrix.reshape(-1, width)[rows[at : at + count]]
        out[out_at : out_at + count] = chosen @ vector[begin : begin + width]

    def add_rows(
        matrix: Any, width: int, rows: Any, at: int, count: int, weights: Any, weights_at: int,
        scale: float, out: Any, begin: int,
    ) -> None:  # fmt: skip
        """Add scale times the weighted sum of rows to ``out[begin:begin + width]``."""
        chosen = matrix.reshape(-1, width)[rows[at : at + count]]
        weighted = weights[weights_at : weights_at + count] @ chosen
        out[begin : begin + width] += scale * weighted

    def descend(
        matrix: Any, width: int, rows: Any, firsts: Any, count: int, thetas: Any, labels: Any,
        live: Any, replicas: int, residuals: Any, scales: Any,
    ) -> None:  # fmt: skip
        """Least squares: add ``scales[i]`` times its summed gradient to each of some replicas.

        The rows of replica i begin at ``firsts[i]``, its parameters in ``thetas`` at width times
        ``live[i]``; its residuals, score less label, are left in its share of ``residuals``.
        """
        stretch = len(residuals) // len(live)
        for i in range(replicas):
            begin, at, first = live[i] * width, live[i] * stretch, firsts[i]
            dot_rows(matrix, width, rows, first, count, thetas, begin, residuals, at)
            residuals[at : at + count] -= labels[rows[first : first + count]]
            add_rows(
                matrix, width, rows, first, count, residuals, at, scales[i], thetas, begin
            )  # fmt: skip

    def inner(a: Any, a_at: int, b: Any, b_at: int, width: int) -> float:
        """Inner product of two vectors of a width that fills whole vectors."""
        return float(a[a_at : a_at + width] @ b[b_at : b_at + width])

    def squared_distance(a: Any, a_at: int, b: Any, sign: float, width: int) -> float:
        """Squared distance of ``a[a_at:a_at + width]`` and ``sign * b``."""
        gap = a[a_at : a_at + width] - sign * b[:width]
        return float(gap @ gap)

else:
    from collections.abc import Callable

    from llvmlite import ir
    from numba.core import cgutils as untyped
    from numba.core import types
    from numba.extending import intrinsic

    cgutils: Any = untyped

    _I32, _I64 = ir.IntType(32), ir.IntType(64)
    _MOST = 6
    """Longest rows, in vectors, that are worked on without a loop."""

    def _whole(n: int) -> Any:
        return ir.Constant(_I64, n)

    def _mask(places: list[int]) -> Any:
        return ir.Constant(ir.VectorType(_I32, len(places)), places)

    class _Code:
        """Builds instructions on vectors of T and on the arrays that a call was given."""

        def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
            self.context, self.builder = context, builder
            self.single = dtype is types.float32
            self.real = ir.FloatType() if self.single else ir.DoubleType()
            self.lanes = 8 if self.single else 4
            self.vector = ir.VectorType(self.real, self.lanes)

        def data(self, kind: Any, value: Any) -> Any:
            return cgutils.create_struct_proxy(kind)(self.context, self.builder, value).data

        def number(self, value: Any) -> Any:
            """A float64 as T."""
            return self.builder.fptrunc(value, self.real) if self.single else value

        def add(self, a: Any, b: Any) -> Any:
            return self.builder.add(a, _whole(b) if isinstance(b, int) else b)

        def place(self, pointer: Any, at: Any, count: int) -> Any:
            kind = ir.VectorType(self.real, count).as_pointer()
            return self.builder.bitcast(self.builder.gep(pointer, [at]), kind)

        def load(self, pointer: Any, at: Any) -> Any:
            width = 4 if self.single else 8
            return self.builder.load(self.place(pointer, at, self.lanes), align=width)

        def store(self, value: Any, pointer: Any, at: Any) -> None:
            width = 4 if self.single else 8
            self.builder.store(value, self.place(pointer, at, value.type.count), align=width)

        def item(self, pointer: Any, at: Any) -> Any:
            return self.builder.load(self.builder.gep(pointer, [at]))

        def row(self, rows: Any, at: Any) -> Any:
            """The number of a row."""
            return self.builder.sext(self.item(rows, at), _I64)

        def fused(self, a: Any, b: Any, c: Any) -> Any:
            name = f"llvm.fma.v{self.lanes}f{32 if self.single else 64}"
            call = ir.FunctionType(self.vector, [self.vector] * 3)
            function = cgutils.get_or_insert_function(self.builder.module, call, name)
            return self.builder.call(function, [a, b, c])

        def chosen(self, a: Any, b: Any, places: list[int]) -> Any:
            return self.builder.shuffle_vector(a, b, _mask(places))

        def spread(self, number: Any) -> Any:
            unset = ir.Constant(self.vector, ir.Undefined)
            one = self.builder.insert_element(unset, number, ir.Constant(_I32, 0))
            return self.chosen(one, unset, [0] * self.lanes)

        def halved(self, vector: Any) -> Any:
            """The upper half added to the lower."""
            half = vector.type.count // 2
            unset = ir.Constant(vector.type, ir.Undefined)
            low = self.chosen(vector, unset, list(range(half)))
            return self.builder.fadd(low, self.chosen(vector, unset, list(range(half, 2 * half))))

        def total(self, vector: Any) -> Any:
            """Sum of the elements, as a float64."""
            for _ in range(vector.type.count.bit_length() - 2):
                vector = self.halved(vector)
            both = [self.builder.extract_element(vector, ir.Constant(_I32, k)) for k in (0, 1)]
            sum_ = self.builder.fadd(*both)
            return self.builder.fpext(sum_, ir.DoubleType()) if self.single else sum_

        def crossed(self, a: Any, b: Any, low: list[int], high: list[int]) -> Any:
            """Some elements of two vectors, added to some others."""
            return self.builder.fadd(self.chosen(a, b, low), self.chosen(a, b, high))

        def totals(self, parts: list[Any]) -> Any:
            """The sums of the elements of four vectors, or of two, as a vector of as many."""
            low, high = [0, 4, 2, 6], [1, 5, 3, 7]
            pair, rest = [0, 1, 4, 5], [2, 3, 6, 7]
            if self.single:  # these patterns are one instruction each
                low, high = [0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]
                pair, rest = [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]
            both = self.crossed(parts[0], parts[1], low, high)
            if len(parts) == GROUP:
                both = self.crossed(both, self.crossed(parts[2], parts[3], low, high), pair, rest)
                return self.halved(both) if self.single else both
            if self.single:
                both = self.crossed(both, both, pair, rest)
            both = self.halved(both)
            return self.chosen(both, both, [0, 1])

        def loop(self, begin: Any, end: Any, step: int) -> Any:
            return cgutils.for_range_slice(self.builder, begin, end, _whole(step))

        def sums(self, count: int) -> list[Any]:
            """Vectors that start at zero; LLVM turns them into registers."""
            slots = [cgutils.alloca_once(self.builder, self.vector) for _ in range(count)]
            for slot in slots:
                self.builder.store(ir.Constant(self.vector, [0.0] * self.lanes), slot)
            return slots

        def grow(self, slot: Any, a: Any, b: Any) -> None:
            self.builder.store(self.fused(a, b, self.builder.load(slot)), slot)

        def by_width(self, width: Any, work: Callable[[int | None], None]) -> None:
            """Do the work once for each number of vectors in a row, ``None`` for many."""
            last = self.builder.append_basic_block("end")
            many = self.builder.append_basic_block("many")
            cases = self.builder.switch(width, many)
            for count in range(1, _MOST + 1):
                block = self.builder.append_basic_block(f"width{count}")
                cases.add_case(_whole(self.lanes * count), block)
                self.builder.position_at_end(block)
                work(count)
                self.builder.branch(last)
            self.builder.position_at_end(many)
            work(None)
            self.builder.branch(last)
            self.builder.position_at_end(last)

    def _dot_rows(
        code: _Code, vectors: int | None, width: Any, places: Any, pointers: Any, labels: Any = None
    ) -> None:
        """Four rows at a time, so that one reading of the vector serves all."""
        matrix, rows, vector, out = pointers
        at, count, begin, out_at = places
        builder = code.builder
        # Read once: that what is written is elsewhere LLVM cannot know.
        steps = range(0, code.lanes * (vectors or 0), code.lanes)
        parts = [code.load(vector, code.add(begin, step)) for step in steps]
        stride = width if vectors is None else _whole(code.lanes * vectors)

        def group(k: Any, many: int) -> None:
            first = builder.add(at, k)
            chosen = [code.row(rows, code.add(first, j)) for j in range(many)]
            heads = [builder.mul(stride, row) for row in chosen]
            slots = code.sums(many)

            def more(i: Any, part: Any) -> None:
                for head, slot in zip(heads, slots, strict=True):
                    code.grow(slot, part, code.load(matrix, builder.add(head, i)))

            if vectors is None:
                with code.loop(_whole(0), width, code.lanes) as (i, _):
                    more(i, code.load(vector, builder.add(begin, i)))
            for step, part in zip(steps, parts, strict=True):
                more(_whole(step), part)
            sums = code.totals([builder.load(slot) for slot in slots])
            if labels is not None:
                shift = ir.Constant(sums.type, ir.Undefined)
                for j, row in enumerate(chosen):
                    label = code.item(labels, row)
                    shift = builder.insert_element(shift, label, ir.Constant(_I32, j))
                sums = builder.fsub(sums, shift)
            code.store(sums, out, builder.add(out_at, k))

        fours = builder.and_(code.add(count, 1), _whole(-GROUP))
        with code.loop(_whole(0), fours, GROUP) as (k, _):
            group(k, GROUP)
        with builder.if_then(builder.icmp_signed("<", fours, count)):  # one or two are left
            group(fours, 2)

    @intrinsic
    def dot_rows(
        typing: Any, matrix: Any, width: Any, rows: Any, at: Any, count: Any, vector: Any,
        begin: Any, out: Any, out_at: Any,
    ) -> Any:  # fmt: skip
        """``out[out_at + k]`` = row ``rows[at + k]`` times ``vector[begin:begin + width]``."""

        def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            code = _Code(context, builder, matrix.dtype)
            _, width, _, at, count, _, begin, _, out_at = given
            pointers = [code.data(signature.args[i], given[i]) for i in (0, 2, 5, 7)]
            places = (at, count, begin, out_at)
            _dot_rows(code, None, width, places, pointers)
            return context.get_dummy_value()

        n = types.int64
        return types.void(matrix, n, rows, n, n, vector, n, out, n), build

    def _add_columns(
        code: _Code, vectors: int, stride: Any, i: Any, pointers: Any, places: Any, factor: Any
    ) -> None:
        """Sum some columns of all rows; even and odd rows apart, to wait less."""
        matrix, rows, weights, out = pointers
        at, count, weights_at, begin = places
        builder = code.builder
        slots = code.sums(2 * vectors)

        def add(k: Any, odd: int) -> None:
            row = code.row(rows, builder.add(at, k))
            head = builder.add(builder.mul(stride, row), i)
            weight = code.spread(code.item(weights, builder.add(weights_at, k)))
            for j in range(vectors):
                entry = code.load(matrix, code.add(head, code.lanes * j))
                code.grow(slots[2 * j + odd], weight, entry)

        last = builder.and_(count, _whole(-2))
        with code.loop(_whole(0), last, 2) as (k, _):
            add(k, 0)
            add(code.add(k, 1), 1)
        with builder.if_then(builder.icmp_signed("!=", last, count)):
            add(last, 0)
        for j in range(vectors):
            pair = (builder.load(slot) for slot in slots[2 * j : 2 * j + 2])
            place = builder.add(begin, code.add(i, code.lanes * j))
            after = code.fused(factor, builder.fadd(*pair), code.load(out, place))
            code.store(after, out, place)

    def _add_rows(
        code: _Code, vectors: int | None, width: Any, places: Any, pointers: Any, factor: Any
    ) -> None:
        """All columns, six vectors of them at a time."""
        if vectors is not None:
            stride = _whole(code.lanes * vectors)
            _add_columns(code, vectors, stride, _whole(0), pointers, places, factor)
            return
        block = _whole(code.lanes * _MOST)
        blocks = code.builder.mul(code.builder.sdiv(width, block), block)
        with code.loop(_whole(0), blocks, code.lanes * _MOST) as (i, _):
            _add_columns(code, _MOST, width, i, pointers, places, factor)
        with code.loop(blocks, width, code.lanes) as (i, _):
            _add_columns(code, 1, width, i, pointers, places, factor)

    @intrinsic
    def add_rows(
        typing: Any, matrix: Any, width: Any, rows: Any, at: Any, count: Any, weights: Any,
        weights_at: Any, scale: Any, out: Any, begin: Any,
    ) -> Any:  # fmt: skip
        """Add scale times the weighted sum of rows to ``out[begin:begin + width]``."""

        def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            code = _Code(context, builder, matrix.dtype)
            _, width, _, at, count, _, weights_at, scale, _, begin = given
            pointers = [code.data(signature.args[i], given[i]) for i in (0, 2, 5, 8)]
            places, factor = (at, count, weights_at, begin), code.spread(code.number(scale))
            code.by_width(
                width,
                lambda vectors: _add_rows(code, vectors, width, places, pointers, factor),
            )
            return context.get_dummy_value()

        n, real = types.int64, types.float64
        return types.void(matrix, n, rows, n, n, weights, n, real, out, n), build

    @intrinsic
    def descend(
        typing: Any, matrix: Any, width: Any, rows: Any, firsts: Any, count: Any, thetas: Any,
        labels: Any, live: Any, replicas: Any, residuals: Any, scales: Any,
    ) -> Any:  # fmt: skip
        """Least squares: add ``scales[i]`` times its summed gradient to each of some replicas.

        The rows of replica i begin at ``firsts[i]``, its parameters in ``thetas`` at width times
        ``live[i]``; its residuals, score less label, are left in its share of ``residuals``.
        """

        def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            code = _Code(context, builder, matrix.dtype)
            width, count, replicas = given[1], given[4], given[8]
            data = [
                code.data(signature.args[i], given[i]) if i not in (1, 4, 8) else None
                for i in range(11)
            ]
            matrix_, _, rows_, firsts_, _, thetas_, labels_, live_, _, residuals_, scales_ = data
            columns, length = (
                builder.extract_value(
                    cgutils.create_struct_proxy(signature.args[i])(
                        context, builder, given[i]
                    ).shape,
                    0,
                )
                for i in (7, 9)
            )
            stretch = builder.sdiv(length, columns)

            def work(vectors: int | None) -> None:
                """One waits for its scores while another adds up its rows."""
                across = width if vectors is None else _whole(code.lanes * vectors)
                for phase in range(2):
                    with code.loop(_whole(0), replicas, 1) as (i, _):
                        at, lane = code.item(firsts_, i), code.item(live_, i)
                        begin, into = builder.mul(lane, across), builder.mul(lane, stretch)
                        if phase == 0:
                            places = (at, count, begin, into)
                            pointers = [matrix_, rows_, thetas_, residuals_]
                            _dot_rows(code, vectors, width, places, pointers, labels_)
                        else:
                            factor = code.spread(code.number(code.item(scales_, i)))
                            places = (at, count, into, begin)
                            pointers = [matrix_, rows_, residuals_, thetas_]
                            _add_rows(code, vectors, width, places, pointers, factor)

            code.by_width(width, work)
            return context.get_dummy_value()

        n = types.int64
        return (
            types.void(matrix, n, rows, firsts, n, thetas, labels, live, n, residuals, scales),
            build,
        )

    @intrinsic
    def inner(typing: Any, a: Any, a_at: Any, b: Any, b_at: Any, width: Any) -> Any:
        """Inner product of two vectors of a width that fills whole vectors."""

        def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            code = _Code(context, builder, a.dtype)
            _, a_at, _, b_at, width = given
            left, right = (code.data(signature.args[i], given[i]) for i in (0, 2))
            (slot,) = code.sums(1)
            with code.loop(_whole(0), width, code.lanes) as (i, _):
                x = code.load(left, builder.add(a_at, i))
                code.grow(slot, x, code.load(right, builder.add(b_at, i)))
            return code.total(builder.load(slot))

        n = types.int64
        return types.float64(a, n, b, n, n), build

    @intrinsic
    def squared_distance(typing: Any, a: Any, a_at: Any, b: Any, sign: Any, width: Any) -> Any:
        """Squared distance of ``a[a_at:a_at + width]`` and ``sign * b``."""

        def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            code = _Code(context, builder, a.dtype)
            left, right = (code.data(signature.args[i], given[i]) for i in (0, 2))
            turn = code.spread(code.number(builder.fneg(given[3])))
            (slot,) = code.sums(1)
            with code.loop(_whole(0), given[4], code.lanes) as (i, _):
                x = code.load(left, builder.add(given[1], i))
                gap = code.fused(turn, code.load(right, i), x)
                code.grow(slot, gap, gap)
            return code.total(builder.load(slot))

        return types.float64(a, types.int64, b, types.float64, types.int64), build
