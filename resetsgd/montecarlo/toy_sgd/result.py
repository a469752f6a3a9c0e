"""What toy SGD gives back: passage times in steps, or where replicas are after so many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd.domain import Array
from resetsgd.montecarlo.result import Simulated

__all__ = ["SGDRuns", "SimulatedSGD"]


class SimulatedSGD(Simulated):
    """Passage times of simulated SGD, in steps.

    Made by :func:`~resetsgd.montecarlo.toy_sgd.api.simulate_sgd`. A
    :class:`~resetsgd.montecarlo.result.Simulated` passage time with more to tell.

    Attributes
    ----------
    traces : mapping of str to ndarray, shape (replicas, looks)
        Recorded observables; NaN where a replica had arrived.
    trace_steps : ndarray, shape (looks,)
        The steps after which they were looked at; 0 is the start.
    parameters : ndarray, shape (replicas, parameters), or None
        Where each replica was at the end, if asked for.
    """

    def __init__(
        self,
        times: Array,
        censored: npt.NDArray[np.bool_],
        resets: npt.NDArray[np.int64],
        info: Mapping[str, Any],
        *,
        traces: Mapping[str, Array],
        trace_steps: npt.NDArray[np.int64],
        parameters: Array | None,
    ) -> None:
        super().__init__(times, censored, resets, info)
        self.traces: Mapping[str, Array] = MappingProxyType(dict(traces))
        self.trace_steps = trace_steps
        self.parameters = parameters


@dataclass(frozen=True, eq=False)
class SGDRuns:
    """Replicas of SGD after a fixed number of steps.

    Made by :func:`~resetsgd.montecarlo.toy_sgd.api.train_sgd`.

    Attributes
    ----------
    parameters : ndarray, shape (replicas, parameters)
        Where each replica is.
    resets : ndarray of int64, shape (replicas,)
        How often it was reset.
    traces : mapping of str to ndarray, shape (replicas, looks)
        Recorded observables.
    trace_steps : ndarray, shape (looks,)
        The steps after which they were looked at; 0 is the start.
    info : mapping
        How it was made.
    """

    parameters: Array
    resets: npt.NDArray[np.int64]
    traces: Mapping[str, Array]
    trace_steps: npt.NDArray[np.int64]
    info: Mapping[str, Any]
