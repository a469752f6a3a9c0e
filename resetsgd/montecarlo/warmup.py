"""Compile the kernels of one dimension ahead of time, into numba's cache on disk."""

from __future__ import annotations

import time

from resetsgd.montecarlo.api import simulate
from resetsgd.montecarlo.kernels.compiling import cache_folder
from resetsgd.montecarlo.renewal import renewal_sweep
from resetsgd.montecarlo.streams import exponentials, normals, uniforms
from resetsgd.processes import (
    ColouredNoise,
    DriftDiffusion,
    OrnsteinUhlenbeck,
    QuadraticSGD,
    Telegraph,
)
from resetsgd.protocols import Poisson

__all__ = ["warmup"]


def warmup() -> tuple[float, str | None]:
    """Run every kernel of one dimension once.

    Returns
    -------
    seconds : float
        How long it took: half a minute of one processor the first time, then a second.
    folder : str or None
        Where the compiled code lies; None if no folder can be written, in which case each process
        compiles for itself.

    Examples
    --------
    >>> seconds, folder = warmup()
    >>> seconds > 0
    True
    """
    began = time.perf_counter()
    walk = DriftDiffusion(drift=-1.0, diffusivity=1.0)
    few = {"paths": 2, "threads": 1}
    for scheme in ("bridge", "exact", "euler"):
        simulate(walk, 1.0, 0.0, Poisson(1.0), scheme=scheme, **few)  # type: ignore[arg-type]
    for process in (
        OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=1.0),
        Telegraph(speed=1.0, flip_rate=1.0),
        QuadraticSGD(hessian=1.0, noise_covariance=1.0, learning_rate=0.1),
        ColouredNoise(correlation_time=0.1),
    ):
        simulate(process, 1.0, 0.0, Poisson(0.1), **few)  # type: ignore[arg-type]
    renewal_sweep([1.0, 2.0], [1.0])
    for draw in (uniforms, normals, exponentials):
        draw(1, seed=0)
    folder = cache_folder()
    return time.perf_counter() - began, None if folder is None else str(folder)
