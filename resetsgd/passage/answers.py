"""Public numbers of a passage time are checked: a value, ``inf`` or a refusal, and never NaN."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from resetsgd.errors import NotConverged

__all__ = ["Answering"]

_ASKED = frozenset({
    "cv", "density", "hazard", "laplace", "log_laplace", "log_mean", "mean", "moment", "quantile",
    "restricted_mean", "std", "survival", "var",
})  # fmt: skip


def _answered(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, with a refusal in place of a NaN."""

    @wraps(method)
    def asked(self: Any, *arguments: Any, **named: Any) -> Any:
        value = method(self, *arguments, **named)
        if value != value if isinstance(value, (float, complex)) else np.isnan(value).any():
            raise NotConverged(f"{method.__name__}: lost in float64 for {self!r}; change the units")
        return value

    return asked


class Answering:
    """Base of passage times: their public numbers are checked in every class that defines them."""

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        for name in _ASKED & vars(cls).keys():
            setattr(cls, name, _answered(vars(cls)[name]))
