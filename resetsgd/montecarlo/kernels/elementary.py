"""exp, log, sin, cos, tanh, expm1 without a branch or a call, so that loops over them are vectors.

The C library's functions take one number at a time: a drift with a sine and an exponential costs 20
ns a step with them and 2 to 3 ns with these. Scalars in, scalars out; float64 ``exp``, ``expm1``,
``log``, ``sin``, ``cos``, ``tanh`` and float32 ``exp32``, ``log32``, ``sin32``, ``cos32``,
``tanh32``, ``fading32``. ``math.sqrt`` needs no twin here: it is one instruction.

Largest errors found against mpmath (``tests/montecarlo/test_elementary.py``), in units in the last
place (ulp):

===========  ====================================  =====  ========================================
function     where                                 ulp    beyond
===========  ====================================  =====  ========================================
``exp``      -708 to 709                           1      0 below -708 (no subnormal numbers),
                                                          inf above 709.78
``expm1``    -708 to 709                           2      as ``exp``
``log``      all positive                          1      -inf at 0, NaN below
``sin, cos`` abs(x) <= 10^5                        2      absolute error at most 3e-16 abs(x)/10^5;
                                                          NaN where infinite
``tanh``     all                                   3
``exp32``    -86 to 88                              2      0 and inf
``log32``    all normal positive                   2      finite nonsense at 0 and below: see there
``sin32``    abs(x) <= 10^3                        3      absolute error at most 1e-7 abs(x)/10^3
``tanh32``   all                                   4
``fading32`` 0 to 86, of exp(-x)                   11     4e-38 beyond: for probabilities
===========  ====================================  =====  ========================================

``exp_single``, ``sin_single``, ``cos_single`` and ``tanh_single`` take and give float64, with an
error of 3e-7: relative, but for sine and cosine, where it is absolute up to abs(x) = 10^5 and grows
with abs(x) beyond. They cost half as much and are what a *drift* is computed with: nothing that is
simulated with float32 noise can tell. A potential, of which differences are taken, gets the others.

NaN gives NaN, except in ``log32``.

**Source**: argument reduction after W. J. Cody, W. Waite, *Software Manual for the Elementary
Functions* (1980); rational forms of the logarithm and of tanh as in FDLIBM (Sun Microsystems, 1993)
and Cephes (S. L. Moshier, 1989); exponentials are plain Taylor sums on abs(r) <= log(2)/2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.compiling import inlined
from resetsgd.montecarlo.kernels.vectors import (
    bits32,
    bits64,
    from_bits32,
    from_bits64,
    muladd,
)

__all__ = [
    "cos",
    "cos32",
    "cos_single",
    "exp",
    "exp32",
    "exp_single",
    "expm1",
    "fading32",
    "log",
    "log32",
    "sin",
    "sin32",
    "sin_single",
    "tanh",
    "tanh32",
    "tanh_single",
]

_U64, _U32, _F32 = np.uint64, np.uint32, np.float32

# Adding this rounds to a whole number and leaves it in the lowest bits.
_MAGIC = 1.5 * 2.0**52
_LOG2E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_E = tuple(1.0 / math.factorial(n) for n in range(15))
_S52, _ONE64 = np.uint64(52), np.uint64(1)
_BIAS = np.uint64(1023)

_HUGE, _TINY = 709.782712893384, -708.0


@inlined
def _power_sum(r: Any) -> Any:
    """exp(r) - 1 for abs(r) <= log(2)/2, to the last place: r + r²/2 + ..."""
    s = r * r
    # Estrin's scheme: short chains, so that four lanes of one register are not waited for.
    a = muladd(r, _E[3], _E[2])
    b = muladd(r, _E[5], _E[4])
    c = muladd(r, _E[7], _E[6])
    d = muladd(r, _E[9], _E[8])
    e = muladd(r, _E[11], _E[10])
    f = muladd(r, _E[13], _E[12])
    s2 = s * s
    low = muladd(s, b, a)
    middle = muladd(s, d, c)
    high = muladd(s, f, e)
    return muladd(s, muladd(s2, muladd(s2, high, middle), low), r)


@inlined
def exp(x: Any) -> Any:
    """exp(x)."""
    y = _HUGE if x > _HUGE else x
    y = _TINY if y < _TINY else y
    shifted = muladd(y, _LOG2E, _MAGIC)
    n = shifted - _MAGIC
    r = muladd(n, -_LN2_LOW, muladd(n, -_LN2_HIGH, y))
    p = 1.0 + _power_sum(r)
    # 2^1024 is no number: half of it, doubled.
    half = from_bits64(_U64(((bits64(shifted) + _BIAS) - _ONE64) << _S52))
    value = (p * half) * 2.0
    value = math.inf if x > _HUGE else value
    return 0.0 if x < _TINY else value


@inlined
def expm1(x: Any) -> Any:
    """exp(x) - 1, with all digits near 0."""
    y = _HUGE if x > _HUGE else x
    y = -45.0 if y < -45.0 else y
    shifted = muladd(y, _LOG2E, _MAGIC)
    n = shifted - _MAGIC
    r = muladd(n, -_LN2_LOW, muladd(n, -_LN2_HIGH, y))
    half = from_bits64(_U64(((bits64(shifted) + _BIAS) - _ONE64) << _S52))
    value = 2.0 * muladd(half, _power_sum(r), half - 0.5)
    return math.inf if x > _HUGE else value


_SQRT_HALF_BITS = np.uint64(0x3FE6A09E667F3BCD)
_ONE_BITS = np.uint64(0x3FF0000000000000)
_OFFSET = np.uint64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
_FRACTION = np.uint64(0x000FFFFFFFFFFFFF)
_WHOLE = np.uint64(0x4330000000000000)
_L1, _L2, _L3, _L4, _L5, _L6, _L7 = (
    6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
    2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
    1.479819860511658591e-01,
)  # fmt: skip


@inlined
def log(x: Any) -> Any:
    """Natural logarithm."""
    small = x < 2.2250738585072014e-308
    y = x * 18014398509481984.0 if small else x  # 2^54
    shifted = bits64(y) + _OFFSET
    # The exponent as a float64, through the same trick as above: there is no vector conversion.
    e = from_bits64(_U64((shifted >> _S52) | _WHOLE)) - (4503599627370496.0 + 1023.0)
    e = e - 54.0 if small else e
    f = from_bits64(_U64((shifted & _FRACTION) + _SQRT_HALF_BITS)) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = z * muladd(w, muladd(w, muladd(w, _L7, _L5), _L3), _L1)
    odd = w * muladd(w, muladd(w, _L6, _L4), _L2)
    half = 0.5 * f * f
    inner = muladd(s, half + (even + odd), e * _LN2_LOW)
    value = muladd(e, _LN2_HIGH, f - (half - inner))
    value = -math.inf if x == 0.0 else value
    value = math.nan if x < 0.0 else value
    value = x if x == math.inf else value
    return x if x != x else value


_TWO_OVER_PI = 6.36619772367581382433e-01
# pi/2 in two parts of 33 bits, whose multiples below 2^20 are exact, and a rest.
_P1, _P2, _P3 = 1.57079632673412561417e00, 6.077100506303966e-11, 2.0222662487959506e-21
_A1, _A2, _A3, _A4, _A5, _A6 = (
    -1.66666666666666324348e-01, 8.33333333332248946124e-03, -1.98412698298579493134e-04,
    2.75573137070700676789e-06, -2.50507602534068634195e-08, 1.58969099521155010221e-10,
)  # fmt: skip
_B1, _B2, _B3, _B4, _B5, _B6 = (
    4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05,
    -2.75573143513906633035e-07, 2.08757232129817482790e-09, -1.13596475577881948265e-11,
)  # fmt: skip
_ZERO64, _TWO64, _S62 = np.uint64(0), np.uint64(2), np.uint64(62)
_SIGN64 = np.uint64(0x8000000000000000)


@inlined
def _circular(x: Any, quarter: Any) -> Any:
    """Sine of x plus so many quarter turns."""
    shifted = muladd(x, _TWO_OVER_PI, _MAGIC)
    n = shifted - _MAGIC
    a = muladd(n, -_P1, x)
    t = muladd(n, -_P2, a)
    # What the subtraction rounded away goes on in c: near multiples of pi/2 it has the digits.
    c = muladd(n, -_P2, a - t) - n * _P3
    r = t + c
    c = (t - r) + c
    z = r * r
    w = z * z
    sine_sum = muladd(w, muladd(z, muladd(z, _A6, _A5), _A4), muladd(z, _A3, _A2))
    sine = r + muladd(z * r, muladd(z, sine_sum, _A1), c)
    cosine_sum = muladd(w, muladd(z, muladd(z, _B6, _B5), _B4), muladd(z, _B3, _B2))
    half = 0.5 * z
    top = 1.0 - half
    cosine = top + (((1.0 - top) - half) + muladd(w, muladd(z, cosine_sum, _B1), -r * c))
    turns = bits64(shifted) + quarter
    value = sine if (turns & _ONE64) == _ZERO64 else cosine
    value = from_bits64(_U64(bits64(value) ^ ((turns << _S62) & _SIGN64)))
    # Beyond 2^51 the number of turns is no longer in the lowest bits; 0 x is NaN at infinity.
    return value + 0.0 * x


@inlined
def sin(x: Any) -> Any:
    """Sine of x in radians."""
    return _circular(x, _ZERO64)


@inlined
def cos(x: Any) -> Any:
    """Cosine of x in radians."""
    return _circular(x, _ONE64)


_T0, _T1, _T2 = -9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3
_V0, _V1, _V2 = 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3


@inlined
def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    size = abs(x)
    z = x * x
    top = muladd(z, muladd(z, _T0, _T1), _T2)
    bottom = muladd(z, muladd(z, z + _V0, _V1), _V2)
    small = muladd(x * z, top / bottom, x)
    twice = 2.0 * size
    large = 1.0 - 2.0 / (exp(twice if twice < 60.0 else 60.0) + 1.0)
    large = -large if x < 0.0 else large
    value = small if size < 0.625 else large
    return x if x != x else value


_F_MAGIC = np.float32(1.5 * 2.0**23)
_F_LOG2E = np.float32(1.44269504)
_F_LN2_HIGH, _F_LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_G2, _G3, _G4, _G5, _G6, _G7 = (np.float32(1.0 / math.factorial(n)) for n in range(2, 8))
_F_ONE, _F_ZERO, _F_TWO, _F_HALF = (np.float32(value) for value in (1.0, 0.0, 2.0, 0.5))
_F_HUGE, _F_TINY = np.float32(88.72283), np.float32(-86.0)
_F_INF = np.float32(math.inf)
_S23, _BIAS32 = np.uint32(23), np.uint32(126)


@inlined
def exp32(x: Any) -> Any:
    """exp(x) in float32."""
    y = _F_HUGE if x > _F_HUGE else x
    y = _F_TINY if y < _F_TINY else y
    shifted = muladd(y, _F_LOG2E, _F_MAGIC)
    n = shifted - _F_MAGIC
    r = muladd(n, -_F_LN2_LOW, muladd(n, -_F_LN2_HIGH, y))
    s = r * r
    p = muladd(r, muladd(r, muladd(r, muladd(r, muladd(r, _G7, _G6), _G5), _G4), _G3), _G2)
    p = _F_ONE + muladd(s, p, r)
    half = from_bits32(_U32(_U32(bits32(shifted) + _BIAS32) << _S23))
    value = (p * half) * _F_TWO
    value = _F_INF if x > _F_HUGE else value
    return _F_ZERO if x < _F_TINY else value


# Interpolates 2^f at the Chebyshev nodes of abs(f) <= 1/2: relative error 2e-7.
_Q0, _Q1, _Q2, _Q3, _Q4, _Q5 = (
    np.float32(value)
    for value in (1.0, 0.69314718, 0.24022107, 0.05550357, 0.009676032, 0.0013390863)
)


@inlined
def fading32(x: Any) -> Any:
    """exp(-x) in float32 for x >= 0, not checked; stays at exp(-86) = 4e-38 beyond 86."""
    y = x if x < -_F_TINY else -_F_TINY
    shifted = muladd(y, -_F_LOG2E, _F_MAGIC)
    f = muladd(y, -_F_LOG2E, _F_MAGIC - shifted)
    s = f * f
    p = muladd(s, muladd(f, _Q5, _Q4), muladd(f, _Q3, _Q2))
    p = muladd(s, p, muladd(f, _Q1, _Q0))
    # Whole powers of two are added to the exponent.
    return from_bits32(_U32(bits32(p) + _U32(bits32(shifted) << _S23)))


_F_OFFSET, _F_FRACTION = np.uint32(0x3F800000 - 0x3F3504F3), np.uint32(0x007FFFFF)
_F_SQRT_HALF = np.uint32(0x3F3504F3)
_I127 = np.float32(127.0)
_K = tuple(
    np.float32(value)
    for value in (
        7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
        -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    )
)  # fmt: skip
_K0, _K1, _K2, _K3, _K4, _K5, _K6, _K7, _K8 = _K


@inlined
def log32(x: Any) -> Any:
    """Natural logarithm of a *normal positive* float32, not checked: for uniforms."""
    shifted = _U32(bits32(x) + _F_OFFSET)
    e = _F32(np.int32(_U32(shifted >> _S23))) - _I127
    f = from_bits32(_U32(_U32(shifted & _F_FRACTION) + _F_SQRT_HALF)) - _F_ONE
    z = f * f
    p = muladd(f, muladd(f, muladd(f, muladd(f, _K0, _K1), _K2), _K3), _K4)
    p = muladd(f, muladd(f, muladd(f, muladd(f, p, _K5), _K6), _K7), _K8)
    y = muladd(f * z, p, e * _F_LN2_LOW)
    y = muladd(z, -_F_HALF, y)
    return muladd(e, _F_LN2_HIGH, f + y)


_F_TWO_OVER_PI = np.float32(0.636619772)
_F_P1, _F_P2, _F_P3 = np.float32(1.5703125), np.float32(4.837512969e-4), np.float32(7.549789954e-8)
_FS1, _FS2, _FS3 = (
    np.float32(-1.6666654611e-1), np.float32(8.3321608736e-3), np.float32(-1.9515295891e-4)
)  # fmt: skip
_FC1, _FC2, _FC3 = (
    np.float32(4.166664568298827e-2), np.float32(-1.388731625493765e-3),
    np.float32(2.443315711809948e-5),
)  # fmt: skip
_Z32, _O32, _S30, _SIGN32 = np.uint32(0), np.uint32(1), np.uint32(30), np.uint32(0x80000000)


@inlined
def _circular32(x: Any, quarter: Any) -> Any:
    """Sine of x plus so many quarter turns, float32."""
    shifted = muladd(x, _F_TWO_OVER_PI, _F_MAGIC)
    n = shifted - _F_MAGIC
    r = muladd(n, -_F_P3, muladd(n, -_F_P2, muladd(n, -_F_P1, x)))
    z = r * r
    sine = muladd(z * r, muladd(z, muladd(z, _FS3, _FS2), _FS1), r)
    cosine = muladd(z * z, muladd(z, muladd(z, _FC3, _FC2), _FC1), muladd(z, -_F_HALF, _F_ONE))
    turns = _U32(bits32(shifted) + quarter)
    value = sine if _U32(turns & _O32) == _Z32 else cosine
    value = from_bits32(_U32(bits32(value) ^ _U32(_U32(turns << _S30) & _SIGN32)))
    return value + _F_ZERO * x


@inlined
def sin32(x: Any) -> Any:
    """Sine in float32."""
    return _circular32(x, _Z32)


@inlined
def cos32(x: Any) -> Any:
    """Cosine in float32."""
    return _circular32(x, _O32)


_FT = tuple(
    np.float32(value)
    for value in (
        -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1,
    )
)  # fmt: skip
_FT0, _FT1, _FT2, _FT3, _FT4 = _FT
_F_SMALL, _F_THIRTY = np.float32(0.625), np.float32(30.0)


@inlined
def tanh32(x: Any) -> Any:
    """Hyperbolic tangent in float32."""
    size = abs(x)
    z = x * x
    p = muladd(z, muladd(z, muladd(z, muladd(z, _FT0, _FT1), _FT2), _FT3), _FT4)
    small = muladd(x * z, p, x)
    twice = _F_TWO * size
    large = _F_ONE - _F_TWO / (exp32(twice if twice < _F_THIRTY else _F_THIRTY) + _F_ONE)
    large = -large if x < _F_ZERO else large
    value = small if size < _F_SMALL else large
    return x if x != x else value


_LN2 = 6.931471805599453e-01
_P_REST = 6.123233995736766e-17 + (1.5707963267948966 - 1.57079632673412561417e00)
_LOW32 = np.uint64(0xFFFFFFFF)


@inlined
def exp_single(x: Any) -> Any:
    """exp(x) of a float64 to the digits of float32, at half the cost, from 3e-308 to inf."""
    y = 710.0 if x > 710.0 else x
    y = _TINY if y < _TINY else y
    shifted = muladd(y, _LOG2E, _MAGIC)
    r = _F32(muladd(shifted - _MAGIC, -_LN2, y))
    p = muladd(r, muladd(r, muladd(r, muladd(r, _G6, _G5), _G4), _G3), _G2)
    p = _F_ONE + muladd(r * r, p, r)
    half = from_bits64(_U64(((bits64(shifted) + _BIAS) - _ONE64) << _S52))
    return (float(p) * half) * 2.0


@inlined
def _circular_single(x: Any, quarter: Any) -> Any:
    """Sine of x plus so many quarter turns, reduced in float64, summed in float32."""
    shifted = muladd(x, _TWO_OVER_PI, _MAGIC)
    n = shifted - _MAGIC
    r = _F32(muladd(n, -_P_REST, muladd(n, -_P1, x)))
    z = r * r
    sine = muladd(z * r, muladd(z, muladd(z, _FS3, _FS2), _FS1), r)
    cosine = muladd(z * z, muladd(z, muladd(z, _FC3, _FC2), _FC1), muladd(z, -_F_HALF, _F_ONE))
    turns = _U32(_U32(bits64(shifted) & _LOW32) + quarter)
    value = sine if _U32(turns & _O32) == _Z32 else cosine
    value = from_bits32(_U32(bits32(value) ^ _U32(_U32(turns << _S30) & _SIGN32)))
    return muladd(x, 0.0, float(value))


@inlined
def sin_single(x: Any) -> Any:
    """Sine of a float64 to the digits of float32, at half the cost."""
    return _circular_single(x, _Z32)


@inlined
def cos_single(x: Any) -> Any:
    """Cosine of a float64 to the digits of float32, at half the cost."""
    return _circular_single(x, _O32)


@inlined
def tanh_single(x: Any) -> Any:
    """Hyperbolic tangent of a float64 to the digits of float32, at half the cost."""
    return float(tanh32(_F32(x)))
