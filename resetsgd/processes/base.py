"""What every process is: a frozen, validated value."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

__all__ = ["Process"]


@dataclass(frozen=True, eq=False)
class Process:
    """Base of all processes; compares and hashes by parameter values, arrays included."""

    def _key(self) -> tuple[object, ...]:
        values = (np.asarray(getattr(self, field.name)) for field in fields(self))
        return (type(self), *((value.shape, value.tobytes()) for value in values))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Process) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())
