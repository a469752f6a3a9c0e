"""Random blocks of one path, made sixteen at a time: what vector registers compute at one go.

A tape is an array of shape (4, 16) that holds blocks of two streams of a path: twelve for motion
and four for resets, from a position in each. It is no state: what is on it follows from the key,
and a block that is not on it is computed singly, with the same result. Sixteen blocks cost little
more than one, because the ten rounds of a single block wait for each other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from resetsgd.montecarlo.kernels.compiling import spliced
from resetsgd.montecarlo.kernels.philox import random_block, spliced_block

__all__ = ["MOTION", "MOTION_LANES", "RESETS", "TAPE", "motion_block", "refill", "waiting_words"]

MOTION, RESETS = 1, 2
"""Purposes of the two streams."""

TAPE = (4, 16)
"""Shape of a tape."""

MOTION_LANES, RESET_LANES = 12, 4

Words = npt.NDArray[np.int64]


@spliced
def refill(tape: Words, k0: int, k1: int, path: int, motion: int, resets: int) -> None:
    """Write the blocks from number ``motion`` and from number ``resets`` on."""
    for lane in range(16):
        purpose, index = MOTION, motion + lane
        if lane >= MOTION_LANES:
            purpose, index = RESETS, resets + lane - MOTION_LANES
        w0, w1, w2, w3 = spliced_block(k0, k1, path, purpose, index)
        tape[0, lane], tape[1, lane], tape[2, lane], tape[3, lane] = w0, w1, w2, w3


@spliced
def motion_block(
    tape: Words, base: int, k0: int, k1: int, path: int, index: int
) -> tuple[int, int, int, int]:
    """Motion block ``index`` from a tape that begins at ``base``."""
    lane = index - base
    if lane < MOTION_LANES:
        return int(tape[0, lane]), int(tape[1, lane]), int(tape[2, lane]), int(tape[3, lane])
    return random_block(k0, k1, path, MOTION, index)


@spliced
def waiting_words(
    tape: Words, base: int, k0: int, k1: int, path: int, number: int
) -> tuple[int, int]:
    """The two words of waiting time ``number``: half of a reset block, from a tape at ``base``."""
    index = number >> 1
    lane = index - base
    if lane < RESET_LANES:
        lane += MOTION_LANES
        if number & 1:
            return int(tape[2, lane]), int(tape[3, lane])
        return int(tape[0, lane]), int(tape[1, lane])
    w0, w1, w2, w3 = random_block(k0, k1, path, RESETS, index)
    if number & 1:
        return w2, w3
    return w0, w1
