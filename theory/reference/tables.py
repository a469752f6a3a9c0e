"""The reference tables, and how far the library is from them.

The promise: abs(float64 - reference) <= (8 + 2 kappa) 2^-52 abs(reference), kappa the condition
number of the point. A reference beyond the float64 range asks for ``inf``; one below the normal
range asks for a result that is not above it either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import resetsgd as rs

EPS = 2.0**-52
TINY = float(np.finfo(np.float64).tiny)
HERE = Path(__file__).resolve().parent

Inputs = dict[str, np.ndarray]


def passage(i: Inputs) -> Any:
    """The library's passage time at the points of a table."""
    process = rs.DriftDiffusion(drift=i["drift"], diffusivity=i["diffusivity"])
    return rs.first_passage(process, start=i["start"], target=i["target"])


def _under(i: Inputs) -> Any:
    return passage(i).under(rs.Poisson(i["rate"]))


def _optimal_rates(i: Inputs) -> np.ndarray:
    """One point at a time, as the search is."""
    size = len(i["drift"])
    points = ({name: values[k] for name, values in i.items()} for k in range(size))
    return np.array([passage(point).best(rs.Poisson).rate for point in points])


@dataclass(frozen=True)
class Form:
    """One closed form: where its table is, what the library call is, what is promised.

    ``constant`` and ``slope`` are those of the bound (constant + slope kappa) eps.
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


FORMS = [
    Form("free", "peclet", "T.peclet", r"vL/2D", lambda i: passage(i).peclet),
    Form("free", "mean", "T.mean()", r"L/v", lambda i: passage(i).mean()),
    Form("free", "log_mean", "T.log_mean()", r"\ln(L/v)", lambda i: passage(i).log_mean()),
    Form("free", "var", "T.var()", r"2DL/v^3", lambda i: passage(i).var()),
    Form("free", "std", "T.std()", r"\sqrt{2DL/v^3}", lambda i: passage(i).std()),
    Form("free", "cv", "T.cv()", r"\sqrt{2D/vL}", lambda i: passage(i).cv()),
    Form(
        "poisson",
        "log_laplace",
        "T.log_laplace(s)",
        r"\ln f(s) = -\frac{L}{2D}\left(\sqrt{v^2 + 4Ds} - v\right)",
        lambda i: passage(i).log_laplace(i["rate"]),
    ),
    Form("poisson", "laplace", "T.laplace(s)", r"f(s)", lambda i: passage(i).laplace(i["rate"])),
    Form(
        "poisson",
        "poisson_mean",
        "T.under(Poisson(r)).mean()",
        r"\frac{1 - f(r)}{r f(r)}",
        lambda i: _under(i).mean(),
    ),
    Form(
        "poisson",
        "poisson_log_mean",
        "T.under(Poisson(r)).log_mean()",
        r"\ln\frac{1 - f(r)}{r f(r)}",
        lambda i: _under(i).log_mean(),
    ),
    Form(
        "poisson",
        "poisson_var",
        "T.under(Poisson(r)).var()",
        r"\frac{1 - f^2 + 2 r f'}{(r f)^2}",
        lambda i: _under(i).var(),
    ),
    Form(
        "restarted",
        "poisson_log_laplace",
        "T.under(Poisson(r)).log_laplace(s)",
        r"\ln\frac{(r + s) f(r + s)}{s + r f(r + s)}",
        lambda i: _under(i).log_laplace(i["s"]),
    ),
    Form(
        "optimum",
        "optimal_rate",
        "T.best(Poisson).rate",
        r"z(z + 2\mathrm{Pe}) D/L^2,"
        r"\quad \frac{z(z + 2\mathrm{Pe})}{2(z + \mathrm{Pe})} = 1 - e^{-z}",
        _optimal_rates,
    ),
    Form("law", "survival", "T.survival(t)", r"P(T > t)", lambda i: passage(i).survival(i["t"])),
    Form(
        "law",
        "density",
        "T.density(t)",
        r"\frac{L}{\sqrt{4\pi D t^3}} e^{-(L - vt)^2/4Dt}",
        lambda i: passage(i).density(i["t"]),
    ),
    Form(
        "law",
        "restricted_mean",
        "T.restricted_mean(t)",
        r"E[\min(T, t)]",
        lambda i: passage(i).restricted_mean(i["t"]),
    ),
]


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
