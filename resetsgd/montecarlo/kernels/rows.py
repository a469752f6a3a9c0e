"""Memory and calls for motion in many dimensions: rows of lanes, as many as there are dimensions.

``x = rows(like, d)`` inside a kernel is an array of shape (d, LANES) with elements of the type of
the array ``like``, 64-byte aligned, of undefined content, on the stack of the kernel. As with
:func:`~resetsgd.montecarlo.kernels.vectors.stack` LLVM knows that two of them cannot overlap;
unlike there the number of rows is only known when the kernel runs. Call it once each, at the top.

``call_rows(address, x, out, p)`` calls a C function ``void f(T *x, T *out, double *p)`` by its
address, T being the type of the elements of ``x`` and ``out``; ``put(out, lane, value)`` stores a
number, or a tuple of numbers, in the column ``lane`` of ``out``. Both are an LLVM intrinsic when
compiled and a line of Python under ``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.compiling import settings
from resetsgd.montecarlo.kernels.lanes import LANES

__all__ = ["call_rows", "put", "rows"]

if settings.DISABLE_JIT:

    def rows(like: Any, count: int) -> Any:
        """Scratch array of shape (count, LANES)."""
        return np.zeros((count, LANES), like.dtype)

    def call_rows(address: Any, x: Any, out: Any, p: Any) -> None:
        """Call the block function."""
        address(x, out, p)

    def put(out: Any, lane: int, value: Any) -> None:
        """Store a number or a tuple in a column."""
        out[:, lane] = value

else:
    from llvmlite import ir
    from numba.core import types
    from numba.core.cgutils import create_struct_proxy
    from numba.extending import intrinsic
    from numba.np import numpy_support
    from numba.np.arrayobj import make_array, populate_array

    @intrinsic
    def rows(typing: Any, like: Any, count: Any) -> Any:
        """Scratch array of shape (count, LANES)."""
        kind = types.Array(like.dtype, 2, "C")
        width = numpy_support.as_dtype(like.dtype).itemsize

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            element = context.get_data_type(like.dtype)
            size = lambda n: context.get_constant(types.intp, n)  # noqa: E731
            memory = builder.alloca(element, builder.mul(arguments[1], size(LANES)))
            memory.align = 64
            array = make_array(kind)(context, builder)
            populate_array(
                array,
                data=memory,
                shape=[arguments[1], size(LANES)],
                strides=[size(width * LANES), size(width)],
                itemsize=size(width),
                meminfo=None,
            )
            return array._getvalue()

        return kind(like, types.int64), code

    def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
        """Pointer to the elements of an array."""
        return create_struct_proxy(kind)(context, builder, value).data

    @intrinsic
    def call_rows(typing: Any, address: Any, x: Any, out: Any, p: Any) -> Any:
        """Call the block function."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointers = [
                _data(context, builder, kind, value)
                for kind, value in zip(signature.args[1:], arguments[1:], strict=True)
            ]
            function = ir.FunctionType(ir.VoidType(), [pointer.type for pointer in pointers])
            builder.call(builder.inttoptr(arguments[0], function.as_pointer()), pointers)
            return context.get_dummy_value()

        return types.void(types.int64, x, out, p), code

    @intrinsic
    def put(typing: Any, out: Any, lane: Any, value: Any) -> Any:
        """Store a number or a tuple in a column."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array, _, given = signature.args
            memory = _data(context, builder, array, arguments[0])
            wide = isinstance(given, types.BaseTuple)
            for row, kind in enumerate(given.types if wide else (given,)):
                number = builder.extract_value(arguments[2], row) if wide else arguments[2]
                real = context.cast(builder, number, kind, array.dtype)
                offset = builder.add(arguments[1], context.get_constant(types.intp, row * LANES))
                builder.store(real, builder.gep(memory, [offset]))
            return context.get_dummy_value()

        return types.void(out, types.int64, value), code
