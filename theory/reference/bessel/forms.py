"""What the library calls give at the points of the tables, and what is promised."""

from __future__ import annotations

from typing import Any

from tables import Form, Inputs

import resetsgd as rs

__all__ = ["EVIDENCE", "FORMS", "TITLE"]

TITLE = "Bessel processes to a radius"
EVIDENCE = r"""Diffusivity and radius over $[10^{-12}, 10^{12}]$, orders $\nu = 1 - d/2$ of both
signs up to 300, next to whole orders, 0, and on both sides of the edge of Debye's expansion,
arguments from $10^{-7}$ through the branches to several hundred, radii $10^{-8}$ to $10^4$ apart.
The condition number counts dimension, diffusivity, start, target and $s$. The textbook formulas
agree with the power series of the backward equation, with nested quadrature, and with integrals
of the inverse-gamma density. `tests/accuracy` also checks that the textbook arrangements in
float64 and a neighbouring dimension fail. From outside, for $d \ge 0$, the mean is `inf`,
exactly."""

_SUMS = (
    "the exponential of a difference of two sums of up to fifty terms each;"
    " the promise is missed at four of three thousand points"
)


def passage(i: Inputs) -> Any:
    """The library's passage time at the points of a table."""
    process = rs.Bessel(dimension=i["dimension"], diffusivity=i["diffusivity"])
    return rs.first_passage(process, start=i["start"], target=i["target"])


def _form(table: str, name: str, call: str, formula: str, evaluate: Any, **bound: Any) -> Form:
    return Form(f"bessel/{table}", name, call, formula, evaluate, **bound)


FORMS = [
    _form("free", "mean", "T.mean()", r"\frac{a^2 - r_0^2}{2dD}", lambda i: passage(i).mean()),
    _form("free", "log_mean", "T.log_mean()", r"\ln E[T]", lambda i: passage(i).log_mean()),
    _form(
        "free",
        "std",
        "T.std()",
        r"\sqrt{\frac{a^4 - r_0^4}{2d^2(d + 2)D^2}}",
        lambda i: passage(i).std(),
    ),
    _form(
        "inside",
        "log_laplace_inside",
        "T.log_laplace(s), from inside",
        r"\ln\left[(r_0/a)^\nu I_{-\nu}(kr_0)/I_{-\nu}(ka)\right]",
        lambda i: passage(i).log_laplace(i["s"]),
    ),
    _form(
        "inside",
        "poisson_mean",
        "T.under(Poisson(r)).mean(), from inside",
        r"\frac{1 - f(r)}{r f(r)}",
        lambda i: passage(i).under(rs.Poisson(i["s"])).mean(),
        constant=16.0,
        slope=4.0,
        note=_SUMS,
    ),
    _form(
        "outside",
        "log_laplace_outside",
        "T.log_laplace(s), from outside",
        r"\ln\left[(r_0/a)^\nu K_\nu(kr_0)/K_\nu(ka)\right]",
        lambda i: passage(i).log_laplace(i["s"]),
    ),
    _form(
        "origin",
        "log_laplace_origin",
        "T.log_laplace(s), to the origin",
        r"\ln\left[2^{1-\nu}(kr_0)^\nu K_\nu(kr_0)/\Gamma(\nu)\right]",
        lambda i: passage(i).log_laplace(i["s"]),
    ),
    _form(
        "law",
        "survival",
        "T.survival(t), to the origin",
        r"P(\nu, r_0^2/4Dt)",
        lambda i: passage(i).survival(i["t"]),
    ),
    _form(
        "law",
        "density",
        "T.density(t), to the origin",
        r"\frac{z^\nu e^{-z}}{t\,\Gamma(\nu)},\quad z = r_0^2/4Dt",
        lambda i: passage(i).density(i["t"]),
    ),
]
