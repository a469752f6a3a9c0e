"""What vector code needs and numba has no word for: stack memory, bits, fused steps, calls.

Each name is an LLVM intrinsic when compiled and a few lines of Python under
``NUMBA_DISABLE_JIT=1``; both give the same values (``muladd`` up to one rounding).

Stack memory
    ``block = stack(np.float32, 16, 64)`` at module level makes a function; ``z = block()`` inside a
    kernel is an array of shape (16, 64), 64-byte aligned, of *undefined* content, that lives until
    the kernel returns. LLVM knows that two of them cannot overlap, and that nobody else writes to
    them: this is what lets loops over them become vector code (with arrays that are arguments the
    same loops run seven times slower). Call it in the kernel itself, never in a helper that is not
    ``spliced``, never in a loop.
Bits
    ``to_i32`` truncates float32 to int32 (float32 to int64 has no vector instruction);
    ``bits32``/``from_bits32`` and ``bits64``/``from_bits64`` reinterpret float32 as uint32 and
    float64 as uint64.
Arithmetic
    ``muladd(a, b, c)`` is a b + c, fused where the processor can: unlike the ``contract`` flag it
    says where. All three of one type, float32 or float64.
Calls
    ``call_block(address, x, out, n, p)`` calls a C function
    ``void f(double *x, double *out, int64 n, double *p)`` by its address; ``x``, ``out`` and ``p``
    are contiguous float64 arrays. Under ``NUMBA_DISABLE_JIT=1`` the address is the Python function.
    ``call_block_at`` does the same from element ``at`` of ``x`` and ``out`` on, ``call_block_from``
    from element ``at`` of ``x``, which may have two dimensions.
Sharing
    ``fetch_add(counter, n)`` adds n to element 0 of an int64 array, atomically, and returns what it
    was.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.compiling import settings

__all__ = [
    "bits32",
    "bits64",
    "call_block",
    "call_block_at",
    "call_block_from",
    "fetch_add",
    "from_bits32",
    "from_bits64",
    "muladd",
    "stack",
    "to_i32",
]

if settings.DISABLE_JIT:

    def stack(dtype: Any, *shape: int) -> Any:
        """Maker of scratch arrays of a fixed shape."""
        return lambda: np.zeros(shape, dtype)

    def to_i32(x: Any) -> Any:
        """Truncate to int32."""
        return np.int32(x)

    def bits32(x: Any) -> Any:
        """The bits of a float32."""
        return np.uint32(struct.unpack("=I", struct.pack("=f", x))[0])

    def from_bits32(word: Any) -> Any:
        """The float32 of some bits."""
        return np.float32(struct.unpack("=f", struct.pack("=I", int(word)))[0])

    def bits64(x: Any) -> Any:
        """The bits of a float64."""
        return np.uint64(struct.unpack("=Q", struct.pack("=d", x))[0])

    def from_bits64(word: Any) -> Any:
        """The float64 of some bits."""
        return np.float64(struct.unpack("=d", struct.pack("=Q", int(word)))[0])

    def muladd(a: Any, b: Any, c: Any) -> Any:
        """a b + c."""
        return a * b + c

    def call_block(address: Any, x: Any, out: Any, n: int, p: Any) -> None:
        """Call the block function."""
        address(x, out, n, p)

    def call_block_at(address: Any, x: Any, out: Any, at: int, n: int, p: Any) -> None:
        """Call the block function from element ``at`` on."""
        address(x[at:], out[at:], n, p)

    def call_block_from(address: Any, x: Any, at: int, out: Any, n: int, p: Any) -> None:
        """Call the block function, reading from element ``at`` on."""
        address(x.reshape(-1)[at:], out, n, p)

    def fetch_add(counter: Any, n: int) -> int:
        """Add to a counter, return what it was."""
        before = int(counter[0])
        counter[0] = before + n
        return before

else:
    from llvmlite import ir
    from numba.core import cgutils as _cgutils
    from numba.core import types
    from numba.extending import intrinsic
    from numba.np import arrayobj as _arrayobj
    from numba.np import numpy_support

    cgutils: Any = _cgutils  # both without annotations
    arrays: Any = _arrayobj

    def stack(dtype: Any, *shape: int) -> Any:
        """Maker of scratch arrays of a fixed shape."""
        scalar = numpy_support.from_dtype(np.dtype(dtype))
        kind = types.Array(scalar, len(shape), "C")
        count = int(np.prod(shape))
        width = np.dtype(dtype).itemsize
        strides = [width * int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]

        @intrinsic
        def scratch(typing: Any) -> Any:
            def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                element = context.get_data_type(scalar)
                memory = cgutils.alloca_once(builder, ir.ArrayType(element, count))
                memory.align = 64
                array = arrays.make_array(kind)(context, builder)

                def size(n: int) -> Any:
                    return context.get_constant(types.intp, n)

                arrays.populate_array(
                    array,
                    data=builder.bitcast(memory, element.as_pointer()),
                    shape=[size(n) for n in shape],
                    strides=[size(n) for n in strides],
                    itemsize=size(width),
                    meminfo=None,
                )
                return array._getvalue()

            return kind(), code

        return scratch

    def _reinterpreter(source: Any, result: Any, name: str) -> Any:
        """Intrinsic that reads the bits of one type as another of the same width."""

        def reinterpret(typing: Any, x: Any) -> Any:
            def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                given = context.cast(builder, arguments[0], signature.args[0], source)
                return builder.bitcast(given, context.get_value_type(result))

            return result(source), code

        reinterpret.__name__ = reinterpret.__qualname__ = name
        return intrinsic(reinterpret)

    bits32 = _reinterpreter(types.float32, types.uint32, "bits32")
    from_bits32 = _reinterpreter(types.uint32, types.float32, "from_bits32")
    bits64 = _reinterpreter(types.float64, types.uint64, "bits64")
    from_bits64 = _reinterpreter(types.uint64, types.float64, "from_bits64")

    @intrinsic
    def to_i32(typing: Any, x: Any) -> Any:
        """Truncate to int32."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.fptosi(arguments[0], ir.IntType(32))

        return types.int32(x), code

    @intrinsic
    def muladd(typing: Any, a: Any, b: Any, c: Any) -> Any:
        """a b + c."""
        kind = types.float32 if (a, b, c) == (types.float32,) * 3 else types.float64

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            real = context.get_value_type(kind)
            name = "llvm.fmuladd.f32" if kind is types.float32 else "llvm.fmuladd.f64"
            call = ir.FunctionType(real, [real, real, real])
            function = cgutils.get_or_insert_function(builder.module, call, name)
            return builder.call(function, arguments)

        return kind(kind, kind, kind), code

    def _data(context: Any, builder: Any, kind: Any, value: Any, at: Any = None) -> Any:
        """Pointer to the elements of an array."""
        array = cgutils.create_struct_proxy(kind)(context, builder, value)
        return array.data if at is None else builder.gep(array.data, [at])

    def _called(context: Any, builder: Any, address: Any, arguments: list[Any]) -> Any:
        double = ir.DoubleType().as_pointer()
        whole = ir.IntType(64)
        function = ir.FunctionType(ir.VoidType(), [double, double, whole, double])
        builder.call(builder.inttoptr(address, function.as_pointer()), arguments)
        return context.get_dummy_value()

    @intrinsic
    def call_block(typing: Any, address: Any, x: Any, out: Any, n: Any, p: Any) -> Any:
        """Call the block function."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kinds = signature.args
            pointers = [_data(context, builder, kinds[i], arguments[i]) for i in (1, 2, 4)]
            arranged = [pointers[0], pointers[1], arguments[3], pointers[2]]
            return _called(context, builder, arguments[0], arranged)

        return types.void(types.int64, x, out, types.int64, p), code

    @intrinsic
    def call_block_at(typing: Any, address: Any, x: Any, out: Any, at: Any, n: Any, p: Any) -> Any:
        """Call the block function from element ``at`` on."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kinds, at = signature.args, arguments[3]
            pointers = [
                _data(context, builder, kinds[1], arguments[1], at),
                _data(context, builder, kinds[2], arguments[2], at),
                _data(context, builder, kinds[5], arguments[5]),
            ]
            arranged = [pointers[0], pointers[1], arguments[4], pointers[2]]
            return _called(context, builder, arguments[0], arranged)

        return types.void(types.int64, x, out, types.int64, types.int64, p), code

    @intrinsic
    def call_block_from(
        typing: Any, address: Any, x: Any, at: Any, out: Any, n: Any, p: Any
    ) -> Any:
        """Call the block function, reading from element ``at`` on."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kinds, at = signature.args, arguments[2]
            pointers = [
                _data(context, builder, kinds[1], arguments[1], at),
                _data(context, builder, kinds[3], arguments[3]),
                _data(context, builder, kinds[5], arguments[5]),
            ]
            arranged = [pointers[0], pointers[1], arguments[4], pointers[2]]
            return _called(context, builder, arguments[0], arranged)

        return types.void(types.int64, x, types.int64, out, types.int64, p), code

    @intrinsic
    def fetch_add(typing: Any, counter: Any, n: Any) -> Any:
        """Add to a counter, return what it was."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = _data(context, builder, signature.args[0], arguments[0])
            return builder.atomic_rmw("add", pointer, arguments[1], "monotonic")

        return types.int64(counter, types.int64), code
