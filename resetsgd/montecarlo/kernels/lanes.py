"""Random numbers for sixty-four paths at once: one small generator for each path.

A *stream* is xoshiro128++ started at a hash of (seed, path, purpose): a path draws the same numbers
whichever lane, thread or slice it runs in. A lane is a column of an array of four words a lane,
``words[4, LANES]`` (uint32, from ``vectors.stack``); everything here works on such arrays.

========================================  ========================================================
``seed_lane(words, lane, seed, path, p)``  start a stream in a lane; seed, path: uint64, p: int
``next_word(words, lane)``                 next 32 bits, scalar
``uniform(words, lane)``                   in (0, 1), 52 bits, two words
``exponential(words, lane)``               standard exponential, at most 36.7, two words
``normal_block(words, z, steps)``          ``z[steps, LANES]`` float32 normals, one word each,
                                           ``steps`` even: vector code
========================================  ========================================================

Scalar normals are in :mod:`~resetsgd.montecarlo.kernels.variates`.

``normal_block`` is the Box–Muller transform with polynomials in float32: both normals of a pair
take rows k and k + 1. They reach 6.66 standard deviations. It continues the streams like everything
else, so that blocks and single draws may take turns; in the kernels one purpose has blocks only and
another single draws only, so that neither depends on how the other is consumed.

**Source**: D. Blackman, S. Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47
(2021) 36; the hash is the finaliser of SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.compiling import inlined, spliced
from resetsgd.montecarlo.kernels.elementary import log, log32
from resetsgd.montecarlo.kernels.vectors import bits32, from_bits32, from_bits64, muladd, stack

__all__ = [
    "EVENTS",
    "FREE",
    "LANES",
    "MOTION",
    "RECORD",
    "box_muller",
    "exponential",
    "hashed",
    "next_word",
    "normal_block",
    "seed_lane",
    "uniform",
    "word_lanes",
]

LANES = 64
"""Paths that a kernel moves at once."""

MOTION, EVENTS, RECORD, FREE = 1, 2, 3, 255
"""Purposes: the noise of the motion, drawn in blocks; all else, drawn singly; what recording fills
in; nobody's."""

word_lanes = stack(np.uint32, 4, LANES)
"""Maker of the array of states, to be called in a kernel."""

_U32 = np.uint32
_F32 = np.float32
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SALT_1, _SALT_2 = np.uint64(0xA0761D6478BD642F), np.uint64(0xE7037ED1A0B428DB)
_S27, _S30, _S31, _S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_S12, _S20, _ONE_BITS = np.uint64(12), np.uint64(20), np.uint64(0x3FF0000000000000)

_HALF = np.float32(0.5)
_TO_UNIT = np.float32(2.0**-31)
_MINUS_TWO = np.float32(-2.0)
_TO_ANGLE = np.float32(math.pi / 4 * 2.0**-31)
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
_C1, _C2, _C3 = (
    np.float32(-0.5),
    np.float32(4.166664568298827e-2),
    np.float32(-1.388731625493765e-3),
)
_C4 = np.float32(2.443315711809948e-5)
_S1, _S2, _S3 = (
    np.float32(-1.6666654611e-1), np.float32(8.3321608736e-3), np.float32(-1.9515295891e-4)
)  # fmt: skip


@inlined
def _mixed(z: Any) -> Any:
    """The finaliser of SplitMix64: a bijection of 64-bit words."""
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@inlined
def hashed(seed: Any, path: Any, purpose: Any, salt: Any) -> Any:
    """64 bits that depend on all four; for the other three fixed, a bijection of the path."""
    key = _mixed(_mixed(seed + salt) + _GAMMA * np.uint64(purpose))
    return _mixed(path * _GAMMA + key)


@inlined
def seed_lane(words: Any, lane: int, seed: Any, path: Any, purpose: Any) -> None:
    """Start the stream of (seed, path, purpose) in a lane."""
    first = hashed(seed, path, purpose, _SALT_1)
    second = hashed(seed, path, purpose, _SALT_2)
    words[0, lane] = np.uint32(first & _LOW)
    words[1, lane] = np.uint32(first >> _S32)
    words[2, lane] = np.uint32(second & _LOW)
    # All four words zero is the one state that xoshiro never leaves.
    high = np.uint32(second >> _S32)
    words[3, lane] = _U32(1) if (first | second) == np.uint64(0) else high


@inlined
def _rotated(x: Any, k: Any, rest: Any) -> Any:
    return _U32(_U32(x << k) | _U32(x >> rest))


@inlined
def next_word(words: Any, lane: int) -> Any:
    """Next 32 bits of a lane: xoshiro128++."""
    s0, s1, s2, s3 = words[0, lane], words[1, lane], words[2, lane], words[3, lane]
    result = _U32(_rotated(_U32(s0 + s3), _U32(7), _U32(25)) + s0)
    t = _U32(s1 << _U32(9))
    s2 = _U32(s2 ^ s0)
    s3 = _U32(s3 ^ s1)
    words[1, lane] = _U32(s1 ^ s2)
    words[0, lane] = _U32(s0 ^ s3)
    words[2, lane] = _U32(s2 ^ t)
    words[3, lane] = _rotated(s3, _U32(11), _U32(21))
    return result


@inlined
def uniform(words: Any, lane: int) -> Any:
    """Uniform in the open interval (0, 1): 52 bits, at the middle of their cell."""
    high = np.uint64(next_word(words, lane))
    low = np.uint64(next_word(words, lane))
    # The bits of a number in [1, 2): there is no vector conversion from 64-bit integers.
    cell = np.uint64((high << _S20) | (low >> _S12)) | _ONE_BITS
    return from_bits64(cell) - (1.0 - 2.0**-53)


@inlined
def exponential(words: Any, lane: int) -> Any:
    """One standard exponential: -log of a uniform, from 1.1e-16 to 36.7."""
    return -log(uniform(words, lane))


@inlined
def box_muller(first: Any, second: Any) -> Any:
    """Two float32 normals from two words."""
    # 31 bits and a half make a number in (0, 1]; a signed conversion, for the unsigned one has no
    # vector instruction.
    u = (_F32(np.int32(_U32(first >> _U32(1)))) + _HALF) * _TO_UNIT
    square = _MINUS_TWO * log32(u)
    radius = _F32(math.sqrt(square if square > _ZERO else _ZERO))
    # The lower 30 bits are an angle in [-pi/4, pi/4), the upper two one of four such quarters.
    t = _F32(np.int32(_U32(second << _U32(2)))) * _TO_ANGLE
    q = t * t
    cosine = muladd(q, muladd(q, muladd(q, muladd(q, _C4, _C3), _C2), _C1), _ONE)
    sine = muladd(t * q, muladd(q, muladd(q, _S3, _S2), _S1), t)
    signed = from_bits32(_U32(bits32(radius) ^ _U32(second & _U32(0x80000000))))
    swap = _U32(second & _U32(0x40000000)) != _U32(0)
    a = sine if swap else cosine
    b = cosine if swap else sine
    return signed * a, signed * b


@spliced
def normal_block(words: Any, z: Any, steps: int) -> None:
    """Fill rows 0 ... steps - 1 of ``z`` with float32 normals; steps even."""
    # The words lie where their normals will. In one loop the chain from a word to its normal is so
    # long that a processor cannot work on two of them at once: a tenth of the time more.
    bits = z.view(np.uint32)
    for pair in range(steps >> 1):
        for lane in range(LANES):
            bits[2 * pair, lane] = next_word(words, lane)
            bits[2 * pair + 1, lane] = next_word(words, lane)
        for lane in range(LANES):
            a, b = box_muller(bits[2 * pair, lane], bits[2 * pair + 1, lane])
            z[2 * pair, lane] = a
            z[2 * pair + 1, lane] = b
