"""A passage time from a start to a target: how it shows itself, and its shape."""

from __future__ import annotations

from typing import Any

__all__ = ["Placed"]


class Placed:
    """Part of passage times that keep their process, their start and their target."""

    process: Any
    start: Any
    target: Any
    _shape: tuple[int, ...]

    def __repr__(self) -> str:
        return f"first_passage({self.process}, start={self.start}, target={self.target})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return self._shape
