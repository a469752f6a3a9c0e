"""Standard normals in float64 from a lane: the ziggurat.

256 layers with independent bits for layer, sign and abscissa (the defect of the first published
ziggurat was to share them) and an exact tail beyond 3.654 standard deviations; reach and resolution
are those of 53 random bits. ``normal(words, lane)`` takes two words in 98.8 % of the draws.

**Source**: G. Marsaglia, W. W. Tsang, J. Stat. Softw. 5 (2000) 8; J. A. Doornik, "An improved
ziggurat method to generate normal random samples" (2005), which repairs it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd.montecarlo.kernels.compiling import helper, inlined
from resetsgd.montecarlo.kernels.lanes import next_word, uniform

__all__ = ["EDGE", "gamma", "normal"]

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


@inlined
def normal(words: Any, lane: int) -> Any:
    """One standard normal."""
    high = np.int64(next_word(words, lane))
    low = np.int64(next_word(words, lane))
    layer = high & 0xFF
    whole = ((high >> 11) << 32) | low
    z = whole * SCALE[layer]
    if whole >= SURE[layer]:
        z = _rejected(words, lane, layer, z)
    return -z if high & 0x100 else z


@helper
def _rejected(words: Any, lane: int, layer: Any, z: float) -> Any:
    """Finish a draw that fell outside its layer's core: the tail, the wedge, or a new attempt."""
    for _ in range(TRIES):
        if layer == 0:
            # Marsaglia's tail: exact beyond EDGE. The first draw only proposes it.
            beyond = -math.log(uniform(words, lane)) / EDGE
            if -2.0 * math.log(uniform(words, lane)) > beyond * beyond:
                return EDGE + beyond
            continue
        # Heights at the layer's outer and inner edge over the height at z: below and above one.
        low = math.exp(-0.5 * (X[layer] * X[layer] - z * z))
        high = math.exp(-0.5 * (X[layer + 1] * X[layer + 1] - z * z))
        if low + uniform(words, lane) * (high - low) < 1.0:
            return z
        first = np.int64(next_word(words, lane))
        second = np.int64(next_word(words, lane))
        layer = first & 0xFF
        whole = ((first >> 11) << 32) | second
        z = whole * SCALE[layer]
        if whole < SURE[layer]:
            return z
    return z


@helper
def gamma(words: Any, lane: int, shape: float) -> Any:
    """One gamma variate of this shape and unit scale, by rejection from a cubed normal.

    **Source**: G. Marsaglia, W. W. Tsang, ACM TOMS 26 (2000) 363; below shape 1 boosted by a power
    of a uniform.
    """
    d = (shape if shape >= 1.0 else shape + 1.0) - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    value = d
    for _ in range(TRIES):
        z = normal(words, lane)
        v = 1.0 + c * z
        if v > 0.0:
            v = v * v * v
            if math.log(uniform(words, lane)) < 0.5 * z * z + d * (1.0 - v + math.log(v)):
                value = d * v
                break
    if shape < 1.0:
        value *= math.exp(math.log(uniform(words, lane)) / shape)
    return value
