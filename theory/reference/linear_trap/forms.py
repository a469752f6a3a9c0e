"""What the library calls give at the points of the tables, and what is promised."""

from __future__ import annotations

from typing import Any

from tables import Form, Inputs

import resetsgd as rs

__all__ = ["EVIDENCE", "FORMS", "TITLE"]

TITLE = "Linear trap"
EVIDENCE = r"""Diffusivity and distance of the target from the kink over $[10^{-12}, 10^{12}]$,
climbs $\lambda a/D$ from $10^{-12}$ to $10^3$ of both signs, starts beyond the kink, at it, and
up to $10^{-12}$ from the target. The condition number counts slope, diffusivity, start and
target, both measured from the kink. The textbook formulas agree with quadrature of the potential
and with integration of the backward equation. `tests/accuracy` also checks that the textbook
arrangements in float64 and a wrong sign of the force fail. For a slope that is not positive the
moments are `inf`, exactly. Other arrangements of start, kink and target are drift-diffusion to a
point."""


def passage(i: Inputs) -> Any:
    """The library's passage time at the points of a table."""
    process = rs.LinearTrap(slope=i["slope"], diffusivity=i["diffusivity"])
    return rs.first_passage(process, start=i["start"], target=i["target"])


def _under(i: Inputs) -> Any:
    return passage(i).under(rs.Poisson(i["rate"]))


def _form(table: str, name: str, call: str, formula: str, evaluate: Any) -> Form:
    return Form(f"linear_trap/{table}", name, call, formula, evaluate)


FORMS = [
    _form(
        "free",
        "mean",
        "T.mean()",
        r"\frac{2D}{\lambda^2}(e^{\lambda a/D} - e^{\lambda x/D}) - \frac{a - x}{\lambda}",
        lambda i: passage(i).mean(),
    ),
    _form("free", "log_mean", "T.log_mean()", r"\ln E[T]", lambda i: passage(i).log_mean()),
    _form("free", "var", "T.var()", r"(\ln f)''(0)", lambda i: passage(i).var()),
    _form(
        "poisson",
        "log_laplace",
        "T.log_laplace(s)",
        r"\ln u(x)/u(a)",
        lambda i: passage(i).log_laplace(i["rate"]),
    ),
    _form(
        "poisson",
        "poisson_mean",
        "T.under(Poisson(r)).mean()",
        r"\frac{1 - f(r)}{r f(r)}",
        lambda i: _under(i).mean(),
    ),
]
