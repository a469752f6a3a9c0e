"""What the library calls give at the points of the tables, and what is promised."""

from __future__ import annotations

from typing import Any

from tables import Form, Inputs

import resetsgd as rs

__all__ = ["EVIDENCE", "FORMS", "TITLE"]

TITLE = "Drift-diffusion out of an interval"
EVIDENCE = r"""Diffusivity, length of the interval and rate over $[10^{-12}, 10^{12}]$ and beyond,
rate 0, $\mu L/2D$ from $-10^4$ to $10^4$ with 0, starts from the middle to $10^{-12}$ lengths from
an end. The condition number counts drift, diffusivity and the two distances from the start to the
ends, differences that float64 rounds once. The textbook formulas agree with quadrature of the
density of the image series. `tests/accuracy` also checks that the textbook arrangements in float64
and a wrong sign of the drift fail."""


def passage(i: Inputs) -> Any:
    """The library's passage time at the points of a table."""
    process = rs.DriftDiffusion(drift=i["drift"], diffusivity=i["diffusivity"])
    return rs.first_passage(process, start=i["start"], target=(i["low"], i["high"]))


def _under(i: Inputs) -> Any:
    return passage(i).under(rs.Poisson(i["rate"]))


def _form(table: str, name: str, call: str, formula: str, evaluate: Any) -> Form:
    return Form(f"interval/{table}", name, call, formula, evaluate)


FORMS = [
    _form(
        "free",
        "lower",
        "T.splitting().lower",
        r"e^{-g l}\frac{\sinh g h}{\sinh g L}",
        lambda i: passage(i).splitting().lower,
    ),
    _form(
        "free",
        "upper",
        "T.splitting().upper",
        r"e^{g h}\frac{\sinh g l}{\sinh g L}",
        lambda i: passage(i).splitting().upper,
    ),
    _form("free", "mean", "T.mean()", r"(h P_h - l P_l)/\mu", lambda i: passage(i).mean()),
    _form(
        "free",
        "log_mean",
        "T.log_mean()",
        r"\ln[(h P_h - l P_l)/\mu]",
        lambda i: passage(i).log_mean(),
    ),
    _form("free", "var", "T.var()", r"(\ln f)''(0)", lambda i: passage(i).var()),
    _form(
        "free",
        "lower_mean",
        "T.given('lower').mean()",
        r"\frac{L\coth g L - h\coth g h}{\mu}",
        lambda i: passage(i).given("lower").mean(),
    ),
    _form(
        "free",
        "lower_var",
        "T.given('lower').var()",
        r"(\ln f_l)''(0)",
        lambda i: passage(i).given("lower").var(),
    ),
    _form(
        "poisson",
        "log_laplace",
        "T.log_laplace(s)",
        r"\ln\frac{e^{-g l}\sinh k h + e^{g h}\sinh k l}{\sinh k L}",
        lambda i: passage(i).log_laplace(i["rate"]),
    ),
    _form(
        "poisson",
        "laplace",
        "T.laplace(s)",
        r"\frac{e^{-g l}\sinh k h + e^{g h}\sinh k l}{\sinh k L}",
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
