"""What the library calls give at the points of the tables, and what is promised."""

from __future__ import annotations

from typing import Any

from tables import Form, Inputs

import resetsgd as rs

__all__ = ["EVIDENCE", "FORMS", "TITLE"]

TITLE = "Ornstein–Uhlenbeck process to a point"
EVIDENCE = r"""Stiffness and diffusivity over $[10^{-12}, 10^{12}]$, targets from 1000 spreads
$\sqrt{D/k}$ below to 1000 above the center, starts from $10^{-12}$ to 2000 spreads away on either
side, orders $p = s/k$ over $[10^{-12}, 10^{12}]$ with both sides of every branch. With
$y = (x - c)\sqrt{k/D}$ toward the target and
$I(p, y) = \int_0^\infty t^{p-1} e^{yt - t^2/2}\,dt$. The distance to the target and its height over
the center are two inputs, differences that float64 rounds once. The tabulated hypergeometric
functions agree with mpmath's parabolic cylinder functions and with quadrature."""


def passage(i: Inputs) -> Any:
    """The library's passage time at the points of a table."""
    process = rs.OrnsteinUhlenbeck(i["stiffness"], i["center"], i["diffusivity"])
    return rs.first_passage(process, start=i["start"], target=i["target"])


def _under(i: Inputs) -> Any:
    return passage(i).under(rs.Poisson(i["rate"]))


_MEAN = r"\frac{\sqrt{2\pi}}{k} \int_{y_0}^{y_a} e^{u^2/2} \Phi(u)\,du"
FORMS = [
    Form("ornstein_uhlenbeck/free", "mean", "T.mean()", _MEAN, lambda i: passage(i).mean()),
    Form(
        "ornstein_uhlenbeck/free",
        "log_mean",
        "T.log_mean()",
        r"\ln \langle T \rangle",
        lambda i: passage(i).log_mean(),
    ),
    Form(
        "ornstein_uhlenbeck/far",
        "far_log_mean",
        "T.log_mean() far out",
        r"\ln \langle T \rangle",
        lambda i: passage(i).log_mean(),
    ),
    Form(
        "ornstein_uhlenbeck/spread",
        "var",
        "T.var()",
        r"-\frac{1}{k^2} \partial_p^2 \ln \frac{I(p, y_a)}{I(p, y_0)} \Big|_0",
        lambda i: passage(i).var(),
    ),
    Form(
        "ornstein_uhlenbeck/poisson",
        "log_laplace",
        "T.log_laplace(s)",
        r"\ln f(s) = \ln \frac{I(s/k, y_0)}{I(s/k, y_a)}",
        lambda i: passage(i).log_laplace(i["rate"]),
    ),
    Form(
        "ornstein_uhlenbeck/poisson",
        "poisson_mean",
        "T.under(Poisson(r)).mean()",
        r"\frac{1 - f(r)}{r f(r)}",
        lambda i: _under(i).mean(),
    ),
    Form(
        "ornstein_uhlenbeck/poisson",
        "poisson_log_mean",
        "T.under(Poisson(r)).log_mean()",
        r"\ln\frac{1 - f(r)}{r f(r)}",
        lambda i: _under(i).log_mean(),
    ),
]
