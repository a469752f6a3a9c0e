"""What the methods of variance reduction give back: a mean, its error and what was gained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Estimate"]


@dataclass(frozen=True)
class Estimate:
    """An estimated mean.

    Attributes
    ----------
    mean, stderr : float
        The estimate and its standard error, time.
    gain : float
        How many times as many steps plain simulation would need for the same standard error.
    paths : int
        Number of paths.
    info : mapping
        How it was made.
    """

    mean: float
    stderr: float
    gain: float
    paths: int
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.mean:.6g} ± {self.stderr:.2g} ({self.paths} paths, gain {self.gain:.3g})"
