"""The reference tables, and how far the library is from them.

The promise: abs(float64 - reference) <= (8 + 2 kappa) 2^-52 abs(reference), kappa the condition
number of the point. A reference beyond the float64 range asks for ``inf``; one below the normal
range asks for a result that is not above it either.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

EPS = 2.0**-52
TINY = float(np.finfo(np.float64).tiny)
HERE = Path(__file__).resolve().parent

Inputs = dict[str, np.ndarray]

FAMILIES = [
    "drift_diffusion",
    "interval",
    "wall",
    "bessel",
    "linear_trap",
    "ornstein_uhlenbeck",
    "telegraph",
]
"""Folders of this one, each with textbook.py, points.py, forms.py and its tables."""


@dataclass(frozen=True)
class Form:
    """One closed form: where its table is, what the library call is, what is promised.

    ``table`` is "family/table"; ``constant`` and ``slope`` are those of the bound
    (constant + slope kappa) eps.
    """

    table: str
    name: str
    call: str
    formula: str
    evaluate: Callable[[Inputs], Any]
    constant: float = 8.0
    slope: float = 2.0
    note: str = ""

    @property
    def bound(self) -> str:
        """The promised bound in words, in eps."""
        return f"({self.constant:g} + {self.slope:g} kappa)"


@cache
def _load(table: str) -> dict[str, np.ndarray]:
    with np.load(HERE / f"{table}.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def inputs(table: str) -> Inputs:
    """The points of a table, by argument name."""
    return {
        name.removeprefix("input_"): values
        for name, values in _load(table).items()
        if name.startswith("input_")
    }


@dataclass(frozen=True)
class Reference:
    """Reference values: the float64 nearest, what rounding left (relative), and kappa."""

    value: np.ndarray
    rest: np.ndarray
    kappa: np.ndarray

    @classmethod
    def of(cls, form: Form) -> Reference:
        """Read the columns of a form."""
        data = _load(form.table)
        rest = data[f"{form.name}_low"].astype(np.float64) / 127.0 * 2.0**-53
        kappa = (data[f"{form.name}_kappa"].astype(np.uint32) << 16).view(np.float32)
        return cls(data[f"{form.name}_high"], rest, kappa.astype(np.float64))

    def errors(self, computed: Any) -> np.ndarray:
        """Relative errors in eps; 0 where the right infinity, zero or underflow came, else inf."""
        computed = np.asarray(computed, dtype=np.float64)
        normal = np.isfinite(self.value) & (np.abs(self.value) >= TINY)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            safe = np.where(normal, self.value, 1.0)
            error = np.abs((np.where(normal, computed, 1.0) - safe) / safe - self.rest) / EPS
            # below the normal range the result may not leave it, nor change sign
            under = (np.abs(computed) <= TINY) & (computed * self.value >= 0)
            exact = np.isinf(self.value) | (self.value == 0) & (self.kappa == 0)
            special = np.where(exact, computed == self.value, under)
        error = np.where(normal, error, np.where(special, 0.0, np.inf))
        return np.where(np.isnan(error), np.inf, error)


@dataclass(frozen=True)
class Accuracy:
    """How a form compares with its table."""

    form: Form
    errors: np.ndarray
    ratios: np.ndarray  # errors in units of the bound
    kappa: np.ndarray

    @classmethod
    def of(cls, form: Form, evaluate: Callable[[Inputs], Any] | None = None) -> Accuracy:
        """Measure a form, or something else against its table."""
        reference = Reference.of(form)
        errors = reference.errors((evaluate or form.evaluate)(inputs(form.table)))
        bound = form.constant + form.slope * reference.kappa
        return cls(form, errors, errors / bound, reference.kappa)

    @property
    def worst(self) -> int:
        """Row with the largest error in units of the bound."""
        return int(np.argmax(self.ratios))

    def point(self, row: int) -> str:
        """A row as a person can paste it."""
        values = inputs(self.form.table)
        return ", ".join(f"{name}={float(v[row])!r}" for name, v in values.items())

    def report(self) -> str:
        """The worst point in words, for failure messages and the accuracy page."""
        bad = int(np.sum(self.ratios > 1))
        row = self.worst
        return (
            f"{self.form.call}: {bad} of {len(self.ratios)} points beyond {self.form.bound} eps;"
            f" worst {self.errors[row]:.3g} eps = {self.ratios[row]:.3g} bounds,"
            f" kappa {self.kappa[row]:.3g}, at {self.point(row)}"
        )


def family(name: str) -> Any:
    """The ``forms`` module of a family: FORMS, TITLE and EVIDENCE (what the points cover)."""
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    return importlib.import_module(f"{name}.forms")


def forms() -> list[Form]:
    """All closed forms, family by family."""
    return [form for name in FAMILIES for form in family(name).FORMS]
