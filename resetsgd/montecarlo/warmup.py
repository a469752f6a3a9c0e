"""Compile the kernels ahead of time, into numba's cache on disk."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.montecarlo import targets
from resetsgd.montecarlo.api import simulate
from resetsgd.montecarlo.kernels.compiling import cache_folder
from resetsgd.montecarlo.recording import Record
from resetsgd.montecarlo.renewal import renewal_sweep
from resetsgd.montecarlo.streams import exponentials, normals, uniforms
from resetsgd.montecarlo.toy_sgd.api import train_sgd
from resetsgd.montecarlo.toy_sgd.problems import LinearTask
from resetsgd.processes import (
    Bessel,
    ColouredNoise,
    DriftDiffusion,
    OrnsteinUhlenbeck,
    QuadraticSGD,
    StableNoise,
    Telegraph,
)
from resetsgd.processes.langevin import Langevin
from resetsgd.protocols import Poisson

__all__ = ["KINDS", "warmup"]

KINDS = ("line", "exact", "noises", "space", "sgd")
"""What can be compiled: one dimension; exact schemes there, and recording; other noises there; many
dimensions; toy SGD."""

FEW: dict[str, Any] = {"paths": 2, "threads": 1}


def warmup(*kinds: str) -> tuple[float, str | None]:
    """Run the kernels once.

    Parameters
    ----------
    *kinds : {"line", "exact", "noises", "space", "sgd", "all"}
        Which; left out, those of one dimension ("line").

    Returns
    -------
    seconds : float
        How long it took: "line" half a minute of one processor the first time, then a second.
    folder : str or None
        Where the compiled code lies; None if no folder can be written, in which case each process
        compiles for itself.

    Raises
    ------
    DomainError
        If there is no such kind.

    Examples
    --------
    >>> seconds, folder = warmup()
    >>> seconds > 0
    True
    """
    chosen = {domain.choice("kinds", kind, (*KINDS, "all")) for kind in kinds or ("line",)}
    began = time.perf_counter()
    for kind, run in zip(KINDS, (_line, _exact, _noises, _space, _sgd), strict=True):
        if kind in chosen or "all" in chosen:
            run()
    folder = cache_folder()
    return time.perf_counter() - began, None if folder is None else str(folder)


def _line() -> None:
    walk = DriftDiffusion(drift=-1.0, diffusivity=1.0)
    for scheme in ("bridge", "exact", "euler"):
        simulate(walk, 1.0, 0.0, Poisson(1.0), scheme=scheme, **FEW)
    for process in (
        OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=1.0),
        Telegraph(speed=1.0, flip_rate=1.0),
        QuadraticSGD(hessian=1.0, noise_covariance=1.0, learning_rate=0.1),
        ColouredNoise(correlation_time=0.1),
    ):
        simulate(process, 1.0, 0.0, Poisson(0.1), **FEW)
    renewal_sweep([1.0, 2.0], [1.0])
    for draw in (uniforms, normals, exponentials):
        draw(1, seed=0)


def _exact() -> None:
    bowl = OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=1.0)
    simulate(bowl, 1.0, 0.0, Poisson(1.0), scheme="exact", **FEW)
    simulate(Bessel(3.0, 1.0), 0.5, 1.0, Poisson(1.0), **FEW)
    simulate(bowl, 1.0, 0.0, Poisson(1.0), record=Record(0.1), **FEW)


def _noises() -> None:
    simulate(ColouredNoise(correlation_time=0.1), 1.0, 0.0, Poisson(0.1), **FEW)
    simulate(StableNoise(exponent=1.5, scale=1.0), 1.0, 0.0, Poisson(1.0), **FEW)


def _space() -> None:
    for friction in (None, 1.0):
        free = Langevin(drift=lambda x: (-x[0], -x[1]), dimension=2, friction=friction)
        for precision in ("double", "single"):
            simulate(free, np.zeros(2), targets.outside([0.0, 0.0], 1.0), Poisson(0.1),
                     precision=precision, **FEW)  # fmt: skip


def _sgd() -> None:
    task = LinearTask.drawn(8, 2, noise_rate=0.25, seed=1)
    for precision in ("double", "single"):
        train_sgd(task, learning_rate=0.01, batch_size=2, steps=4, replicas=2, threads=1,
                  precision=precision)  # fmt: skip
