"""Arrays of variates from one stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from resetsgd.montecarlo.kernels.compiling import kernel
from resetsgd.montecarlo.kernels.philox import random_block, unit
from resetsgd.montecarlo.kernels.variates import exponential, normal_and_uniform

__all__ = ["fill_exponentials", "fill_normals", "fill_uniforms"]

Reals = npt.NDArray[np.float64]


@kernel
def fill_uniforms(out: Reals, k0: int, k1: int, path: int, purpose: int) -> None:
    """One uniform from each block, in order."""
    for i in range(len(out)):
        w0, w1, _, _ = random_block(k0, k1, path, purpose, i)
        out[i] = unit(w0, w1)


@kernel
def fill_normals(out: Reals, k0: int, k1: int, path: int, purpose: int) -> None:
    """Normals one after the other; a rejected one takes more than one block."""
    index = 0
    for i in range(len(out)):
        w0, w1, w2, w3 = random_block(k0, k1, path, purpose, index)
        z, _, index = normal_and_uniform(w0, w1, w2, w3, k0, k1, path, purpose, index)
        out[i] = z


@kernel
def fill_exponentials(out: Reals, k0: int, k1: int, path: int, purpose: int) -> None:
    """One exponential from each block, in order."""
    for i in range(len(out)):
        w0, w1, _, _ = random_block(k0, k1, path, purpose, i)
        out[i] = exponential(w0, w1)
