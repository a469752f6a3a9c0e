"""Normal and exponential variates from random blocks.

Normals use the ziggurat of 256 layers with independent bits for layer, sign and abscissa (the
defect of the first published ziggurat was to share them) and an exact tail beyond 3.654 standard
deviations; reach and resolution are those of 53 random bits.

**Source**: G. Marsaglia, W. W. Tsang, J. Stat. Softw. 5 (2000) 8; J. A. Doornik, "An improved
ziggurat method to generate normal random samples" (2005), which repairs it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from resetsgd.montecarlo.kernels.compiling import helper
from resetsgd.montecarlo.kernels.philox import random_block, unit

__all__ = ["EDGE", "exponential", "normal_and_uniform"]

EDGE = 3.6541528853610088
"""Where the tail begins: the root of the equation that makes 256 layers of equal area close."""
AREA = 0.00492867323397465524494
"""Area of each layer, the bottom one with its tail."""
TRIES = 64
"""Bound of the rejection loops; to need that many has a probability below 1e-60."""


def _layers() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Right edges of the layers, these times 2**-53, integer bounds of sure acceptance."""
    edges = [AREA / math.exp(-0.5 * EDGE * EDGE), EDGE]
    for _ in range(254):
        height = AREA / edges[-1] + math.exp(-0.5 * edges[-1] ** 2)
        edges.append(math.sqrt(-2.0 * math.log(height)))
    edges.append(0.0)
    x = np.array(edges)
    sure = np.floor(x[1:] / x[:-1] * 2.0**53).astype(np.int64)
    return x, x[:-1] * 2.0**-53, sure


X, SCALE, SURE = _layers()


@helper
def normal_and_uniform(
    w0: int, w1: int, w2: int, w3: int, k0: int, k1: int, path: int, purpose: int, index: int
) -> tuple[float, float, int]:
    """One standard normal, one independent uniform in (0, 1), and the index of the next block.

    The words of block ``index`` serve both in 98.8 % of the draws: two words each. The rest takes
    further blocks of the same stream.
    """
    layer = w0 & 0xFF
    whole = ((w0 >> 11) << 32) | w1
    z = whole * SCALE[layer]
    index += 1
    if whole >= SURE[layer]:
        z, index = _rejected(k0, k1, path, purpose, index, layer, z)
    if w0 & 0x100:
        z = -z
    return z, unit(w2, w3), index


@helper
def _rejected(
    k0: int, k1: int, path: int, purpose: int, index: int, layer: int, z: float
) -> tuple[float, int]:
    """Finish a draw that fell outside its layer's core: the tail, the wedge, or a new attempt."""
    for _ in range(TRIES):
        w0, w1, w2, w3 = random_block(k0, k1, path, purpose, index)
        # Which block comes next hangs on a bit that nothing else uses. With a plain += 1 LLVM 22
        # computes 32 attempts at once, of which one is needed: 1000 ns a draw instead of 50.
        index += 1 + (w3 & 1)
        if layer == 0:
            # Marsaglia's tail: exact beyond EDGE. The first block only proposes it.
            beyond = -math.log(unit(w0, w1)) / EDGE
            if -2.0 * math.log(unit(w2, w3)) > beyond * beyond:
                return EDGE + beyond, index
            continue
        # Heights at the layer's outer and inner edge over the height at z: below and above one.
        low = math.exp(-0.5 * (X[layer] * X[layer] - z * z))
        high = math.exp(-0.5 * (X[layer + 1] * X[layer + 1] - z * z))
        if low + unit(w0, w1) * (high - low) < 1.0:
            return z, index
        # A new attempt needs layer and abscissa; the two unused words of this block give them.
        layer = w2 & 0xFF
        whole = ((w2 >> 11) << 32) | w3
        z = whole * SCALE[layer]
        if whole < SURE[layer]:
            return z, index
    return z, index


@helper
def exponential(w0: int, w1: int) -> float:
    """One standard exponential from two words: -log of a uniform, from 1.1e-16 to 36.7."""
    return -math.log(unit(w0, w1))
