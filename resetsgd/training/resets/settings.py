"""A value described in plain words, so that a stored run knows whether it is asked to go on."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Numbers, text and lists that are equal for equal settings, in any process.

    A function is known by its name alone.

    Examples
    --------
    >>> import resetsgd as rs
    >>> plain(rs.Sharp(period=5))
    ['Sharp', ['overhead', 0.0], ['period', 5.0]]
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value).tolist()
    if is_dataclass(value) and not isinstance(value, type):
        held = [[f.name, plain(getattr(value, f.name))] for f in fields(value)]
        return [type(value).__name__, *held]
    if hasattr(value, "dist") and hasattr(value, "args"):  # a frozen distribution of scipy.stats
        words = sorted(getattr(value, "kwds", {}).items())
        return [value.dist.name, plain(value.args), plain(words)]
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return type(value).__qualname__
