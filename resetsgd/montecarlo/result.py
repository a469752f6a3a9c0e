"""What a simulation gives back: observed passage times that know how they were made."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd.domain import Array
from resetsgd.passage.observed import Observed

__all__ = ["Simulated"]


class Simulated(Observed):
    """Simulated passage times: observed ones that know their resets and how they were made.

    Made by :func:`resetsgd.montecarlo.api.simulate`, not by hand.

    Parameters
    ----------
    times : ndarray, shape (paths,)
        Passage times in the order of the paths; the horizon for paths that had not arrived by then.
    censored : ndarray of bool, shape (paths,)
        Which paths had not arrived.
    resets : ndarray of int64, shape (paths,)
        Number of resets of each path.
    info : mapping
        How it was made: ``process``, ``protocol``, ``start``, ``target``, ``reset_to``, ``scheme``,
        ``step``, ``steps`` (made in all), ``first`` and ``paths``, ``horizon``, ``seed``,
        ``stream_version``, ``threads``, ``seconds``.

    Attributes
    ----------
    resets, info
        As given; both read-only.
    """

    def __init__(
        self,
        times: Array,
        censored: npt.NDArray[np.bool_],
        resets: npt.NDArray[np.int64],
        info: Mapping[str, Any],
    ) -> None:
        super().__init__(times, censored)
        self.resets = resets
        self.resets.setflags(write=False)
        self.info: Mapping[str, Any] = MappingProxyType(dict(info))

    def __repr__(self) -> str:
        return f"simulated({self.times.size} paths, {int(self.censored.sum())} censored)"
