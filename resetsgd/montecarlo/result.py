"""What a simulation gives back: observed passage times that know how they were made."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd.domain import Array
from resetsgd.montecarlo.recording import Trajectories
from resetsgd.passage.observed import Observed

__all__ = ["Simulated"]


class Simulated(Observed):
    """Simulated passage times: observed ones that know their resets and how they were made.

    Made by :func:`resetsgd.montecarlo.api.simulate`, not by hand. It keeps nine bytes a path where
    all have arrived and none was reset more than 255 times, at most fourteen.

    Parameters
    ----------
    times : ndarray, shape (paths,)
        Passage times in the order of the paths; the horizon for paths that had not arrived by then.
    censored : ndarray of bool, shape (paths,)
        Which paths had not arrived.
    resets : ndarray of integers, shape (paths,)
        Number of resets of each path.
    info : mapping
        How it was made: ``process``, ``protocol``, ``start``, ``target``, ``reset_to``, ``scheme``,
        ``step``, ``steps`` (made in all), ``first`` and ``paths``, ``horizon``, ``seed``,
        ``stream_version``, ``threads``, ``device`` ("cpu", or "cuda: " and its name), ``seconds``,
        ``interrupted`` (by Ctrl-C), and ``deterministic``: the call that gives the answer without
        simulation, where there is one.
    exit_side : ndarray of int8, shape (paths,), optional
        For a target with two ends, at which one each path arrived: -1 the lower, +1 the upper, 0
        not at all.
    bias_bound : float, optional
        Bound on the error of the (restricted) mean from the time step, in units of time.
    record : Trajectories, optional
        The paths that were recorded.

    Attributes
    ----------
    resets : ndarray of int64, shape (paths,)
        As given; written out anew, read-only, each time it is asked for.
    info, exit_side, bias_bound, record
        As given, arrays read-only; the last three are None where not given.
    """

    def __init__(
        self,
        times: Array,
        censored: npt.NDArray[np.bool_],
        resets: npt.NDArray[Any],
        info: Mapping[str, Any],
        exit_side: npt.NDArray[np.int8] | None = None,
        bias_bound: float | None = None,
        record: Trajectories | None = None,
    ) -> None:
        if not censored.any():
            censored = np.broadcast_to(np.False_, censored.shape)  # no memory
        self._keep(times, censored)
        self.exit_side = exit_side
        if exit_side is not None:
            exit_side.setflags(write=False)
        self.bias_bound = bias_bound
        self.record = record
        self._resets = resets.astype(np.min_scalar_type(resets.max()))
        self.info: Mapping[str, Any] = MappingProxyType(dict(info))

    @property
    def resets(self) -> npt.NDArray[np.int64]:
        """Number of resets of each path."""
        whole = self._resets.astype(np.int64)
        whole.setflags(write=False)
        return whole

    def __repr__(self) -> str:
        late = int(self.censored.sum())
        of = f"mean restricted to {self.horizon:.6g}" if late else "mean"
        mean, error = self.restricted_mean(self.horizon), self.restricted_stderr(self.horizon)
        value = f"{of} {mean:.6g} ± {error:.2g}"
        return f"simulated({self.times.size} paths, {late} censored, {value})"
