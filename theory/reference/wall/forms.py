"""What the library calls give at the points of the tables, and what is promised."""

from __future__ import annotations

from typing import Any

from tables import Form, Inputs

import resetsgd as rs

__all__ = ["EVIDENCE", "FORMS", "TITLE"]

TITLE = "Drift-diffusion with a reflecting wall"
EVIDENCE = r"""Diffusivity, distance $L$ from target to wall and rate over $[10^{-12}, 10^{12}]$ and
beyond, rate 0, $\nu L/2D$ from $-10^4$ (toward the target) to 400 (toward the wall, where the mean
overflows) with 0, starts from $10^{-12} L$ before the target to the wall itself. The condition
number counts drift, diffusivity and the distances from the start to target and wall, differences
that float64 rounds once. The textbook formulas agree with a power series solution of the backward
equation. `tests/accuracy` also checks that the textbook arrangements in float64 and the wrong sign
in the boundary condition fail."""


def passage(i: Inputs) -> Any:
    """The library's passage time at the points of a table."""
    process = rs.DriftDiffusion(drift=i["drift"], diffusivity=i["diffusivity"])
    return rs.first_passage(process, start=i["start"], target=i["target"], wall=i["wall"])


def _under(i: Inputs) -> Any:
    return passage(i).under(rs.Poisson(i["rate"]))


def _form(table: str, name: str, call: str, formula: str, evaluate: Any) -> Form:
    return Form(f"wall/{table}", name, call, formula, evaluate)


FORMS = [
    _form(
        "free",
        "mean",
        "T.mean()",
        r"\frac{e^{2gL} - e^{2gy} - 2gx}{4g^2 D}",
        lambda i: passage(i).mean(),
    ),
    _form(
        "free",
        "log_mean",
        "T.log_mean()",
        r"\ln\frac{e^{2gL} - e^{2gy} - 2gx}{4g^2 D}",
        lambda i: passage(i).log_mean(),
    ),
    _form("free", "var", "T.var()", r"(\ln f)''(0)", lambda i: passage(i).var()),
    _form(
        "poisson",
        "log_laplace",
        "T.log_laplace(s)",
        r"\ln\left[e^{-gx} N(y)/N(L)\right],\quad N(z) = k\cosh kz - g\sinh kz",
        lambda i: passage(i).log_laplace(i["rate"]),
    ),
    _form(
        "poisson",
        "laplace",
        "T.laplace(s)",
        r"e^{-gx} N(y)/N(L)",
        lambda i: passage(i).laplace(i["rate"]),
    ),
    _form(
        "poisson",
        "poisson_mean",
        "T.under(Poisson(r)).mean()",
        r"\frac{1 - f(r)}{r f(r)}",
        lambda i: _under(i).mean(),
    ),
    _form(
        "poisson",
        "poisson_log_mean",
        "T.under(Poisson(r)).log_mean()",
        r"\ln\frac{1 - f(r)}{r f(r)}",
        lambda i: _under(i).log_mean(),
    ),
    _form(
        "poisson",
        "poisson_var",
        "T.under(Poisson(r)).var()",
        r"\frac{1 - f^2 + 2 r f'}{(r f)^2}",
        lambda i: _under(i).var(),
    ),
]
