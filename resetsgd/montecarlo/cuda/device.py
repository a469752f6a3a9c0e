"""The CUDA device of this process, or why there is none."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from resetsgd.errors import NoDevice
from resetsgd.montecarlo.kernels.compiling import settings

__all__ = ["Device", "found"]

PER_PROCESSOR = 512
"""Threads for each multiprocessor: so many find room, at up to 128 registers each."""


@dataclass(frozen=True)
class Device:
    """numba's module for CUDA, the name of the device, and how many threads keep it busy."""

    cuda: Any
    name: str
    threads: int


def found() -> Device:
    """The current device of numba's CUDA module.

    Raises
    ------
    NoDevice
        If there is none, or what numba needs for it is missing.
    """
    if bool(settings.DISABLE_JIT) != bool(getattr(settings, "ENABLE_CUDASIM", 0)):
        raise NoDevice("NUMBA_DISABLE_JIT and NUMBA_ENABLE_CUDASIM go together: both or neither")
    try:
        cuda: Any = importlib.import_module("numba.cuda")
        if not cuda.is_available():
            reason = cuda.cuda_error() or "no CUDA device, or no NVVM to compile for it"
            raise NoDevice(str(reason))
        device = cuda.current_context().device
    except NoDevice:
        raise
    except Exception as error:  # ImportError, or what the driver says in one of its classes
        raise NoDevice(str(error) or type(error).__name__) from None
    name = getattr(device, "name", "simulator")
    name = name.decode() if isinstance(name, bytes) else str(name)
    return Device(cuda, name, getattr(device, "MULTIPROCESSOR_COUNT", 4) * PER_PROCESSOR)
