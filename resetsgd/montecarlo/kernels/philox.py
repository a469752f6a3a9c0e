"""Philox4x32-10: a random block is a pure function of a key and a counter.

All words are 32 bits wide but kept in 64-bit integers and masked, so that the very same source
gives the same bits compiled and interpreted: a product of two words wraps to its low 64 bits when
compiled and does not wrap when interpreted, and the masks make both the same.

**Source**: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy
as 1, 2, 3", SC '11 (2011), section 4.3; known answers from Random123's ``tests/kat_vectors``.
"""

from __future__ import annotations

from resetsgd.montecarlo.kernels.compiling import helper, spliced

__all__ = ["philox", "random_block", "spliced_block", "unit"]

MASK = 0xFFFFFFFF
MULTIPLIER_0, MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
WEYL_0, WEYL_1 = 0x9E3779B9, 0xBB67AE85
TWO_TO_MINUS_52 = 2.0**-52


@spliced
def philox(
    c0: int, c1: int, c2: int, c3: int, k0: int, k1: int, rounds: int
) -> tuple[int, int, int, int]:
    """Four random words from four counter words and two key words."""
    for _ in range(rounds):
        product_0 = MULTIPLIER_0 * c0
        product_1 = MULTIPLIER_1 * c2
        c0, c2 = (
            ((product_1 >> 32) & MASK) ^ c1 ^ k0,
            ((product_0 >> 32) & MASK) ^ c3 ^ k1,
        )
        c1 = product_1 & MASK
        c3 = product_0 & MASK
        k0 = (k0 + WEYL_0) & MASK
        k1 = (k1 + WEYL_1) & MASK
    return c0, c1, c2, c3


@spliced
def spliced_block(
    k0: int, k1: int, path: int, purpose: int, index: int
) -> tuple[int, int, int, int]:
    """Block number ``index`` of the stream of one path for one purpose.

    Streams cannot overlap: the counter holds 56 bits of ``index``, 8 of ``purpose``, 64 of
    ``path``, and a block cipher maps different counters to different blocks.
    """
    return philox(
        index & MASK,
        ((index >> 32) & 0xFFFFFF) | (purpose << 24),
        path & MASK,
        (path >> 32) & MASK,
        k0,
        k1,
        10,
    )


@helper
def random_block(
    k0: int, k1: int, path: int, purpose: int, index: int
) -> tuple[int, int, int, int]:
    """The same, as a call."""
    return spliced_block(k0, k1, path, purpose, index)


@helper
def unit(high: int, low: int) -> float:
    """Uniform in the open interval (0, 1): 52 random bits, at the exact middle of their cell.

    From 2**-53 to 1 - 2**-53; with 53 bits the upper middles would not be doubles.
    """
    return (((high << 20) | (low >> 12)) + 0.5) * TWO_TO_MINUS_52
