"""What the library calls give at the points of the tables, and what is promised."""

from __future__ import annotations

from typing import Any

import numpy as np
from tables import Form, Inputs

import resetsgd as rs

__all__ = ["EVIDENCE", "FORMS", "TITLE"]

TITLE = "Drift-diffusion to a point"
EVIDENCE = r"""Diffusivity, distance and rate over $[10^{-12}, 10^{12}]$ and beyond, rate 0,
$\mathrm{Pe} = vL/2D$ from $-10^4$ to $10^4$ with 0, 1 and the neighbourhood of 1, starts on both
sides of the target. Here $v$ is the drift toward the target and $L$ the distance from start to
target, a difference that float64 rounds once. The textbook formulas agree with quadrature of the
inverse-Gaussian density. `tests/accuracy` also checks that the textbook arrangements in float64, a
wrong sign of the drift and a wrong diffusivity fail.

The optimal rate is exactly 0 for $\mathrm{Pe} \ge 1$ in float64. Just below 1 it vanishes like
$1 - \mathrm{Pe}$, so that $\kappa$, and the error with it, grows like $1/(1 - \mathrm{Pe})$.
Without
drift toward the target `mean()`, `var()`, `std()`, `cv()` are `inf`, exactly."""


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


FORMS = [
    Form("drift_diffusion/free", "peclet", "T.peclet", r"vL/2D", lambda i: passage(i).peclet),
    Form("drift_diffusion/free", "mean", "T.mean()", r"L/v", lambda i: passage(i).mean()),
    Form(
        "drift_diffusion/free",
        "log_mean",
        "T.log_mean()",
        r"\ln(L/v)",
        lambda i: passage(i).log_mean(),
    ),
    Form("drift_diffusion/free", "var", "T.var()", r"2DL/v^3", lambda i: passage(i).var()),
    Form("drift_diffusion/free", "std", "T.std()", r"\sqrt{2DL/v^3}", lambda i: passage(i).std()),
    Form("drift_diffusion/free", "cv", "T.cv()", r"\sqrt{2D/vL}", lambda i: passage(i).cv()),
    Form(
        "drift_diffusion/poisson",
        "log_laplace",
        "T.log_laplace(s)",
        r"\ln f(s) = -\frac{L}{2D}\left(\sqrt{v^2 + 4Ds} - v\right)",
        lambda i: passage(i).log_laplace(i["rate"]),
    ),
    Form(
        "drift_diffusion/poisson",
        "laplace",
        "T.laplace(s)",
        r"f(s)",
        lambda i: passage(i).laplace(i["rate"]),
    ),
    Form(
        "drift_diffusion/poisson",
        "poisson_mean",
        "T.under(Poisson(r)).mean()",
        r"\frac{1 - f(r)}{r f(r)}",
        lambda i: _under(i).mean(),
    ),
    Form(
        "drift_diffusion/poisson",
        "poisson_log_mean",
        "T.under(Poisson(r)).log_mean()",
        r"\ln\frac{1 - f(r)}{r f(r)}",
        lambda i: _under(i).log_mean(),
    ),
    Form(
        "drift_diffusion/poisson",
        "poisson_var",
        "T.under(Poisson(r)).var()",
        r"\frac{1 - f^2 + 2 r f'}{(r f)^2}",
        lambda i: _under(i).var(),
    ),
    Form(
        "drift_diffusion/restarted",
        "poisson_log_laplace",
        "T.under(Poisson(r)).log_laplace(s)",
        r"\ln\frac{(r + s) f(r + s)}{s + r f(r + s)}",
        lambda i: _under(i).log_laplace(i["s"]),
    ),
    Form(
        "drift_diffusion/optimum",
        "optimal_rate",
        "T.best(Poisson).rate",
        r"z(z + 2\mathrm{Pe}) D/L^2,"
        r"\quad \frac{z(z + 2\mathrm{Pe})}{2(z + \mathrm{Pe})} = 1 - e^{-z}",
        _optimal_rates,
    ),
    Form(
        "drift_diffusion/law",
        "survival",
        "T.survival(t)",
        r"P(T > t)",
        lambda i: passage(i).survival(i["t"]),
    ),
    Form(
        "drift_diffusion/law",
        "density",
        "T.density(t)",
        r"\frac{L}{\sqrt{4\pi D t^3}} e^{-(L - vt)^2/4Dt}",
        lambda i: passage(i).density(i["t"]),
    ),
    Form(
        "drift_diffusion/law",
        "restricted_mean",
        "T.restricted_mean(t)",
        r"E[\min(T, t)]",
        lambda i: passage(i).restricted_mean(i["t"]),
    ),
]
