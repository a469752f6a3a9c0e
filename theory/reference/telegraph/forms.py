"""What the library calls give at the points of the tables, and what is promised."""

from __future__ import annotations

from typing import Any

from tables import Form, Inputs

import resetsgd as rs

__all__ = ["EVIDENCE", "FORMS", "TITLE"]

TITLE = "Run and tumble"
EVIDENCE = r"""Speed and distance over $[10^{-12}, 10^{12}]$, from $10^{-8}$ to $10^8$ flips in a
crossing, all headings, starts on both sides of the target and to $10^{-12}$ lengths from the end of
an interval, rates over thirty decades in units of ballistic and diffusive times, and 0. The
condition number counts speed, flip rate and the distances to the target or to the two ends,
differences that float64 rounds once. The textbook formulas agree with the matrix exponential of the
backward equations and with polynomial solutions of those for the moments. `tests/accuracy` also
checks that the textbook arrangements in float64 and a wrong heading fail. To a point the moments
are `inf`, exactly."""


def _run(i: Inputs) -> Any:
    return rs.Telegraph(speed=i["speed"], flip_rate=i["flip_rate"], heading=i["heading"])


def passage(i: Inputs) -> Any:
    """The library's passage time at the points of a table."""
    if "low" in i:
        return rs.first_passage(_run(i), start=i["start"], target=(i["low"], i["high"]))
    return rs.first_passage(_run(i), start=i["start"], target=i["target"])


def _form(table: str, name: str, call: str, formula: str, evaluate: Any) -> Form:
    return Form(f"telegraph/{table}", name, call, formula, evaluate)


FORMS = [
    _form(
        "half_line",
        "log_laplace",
        "T.log_laplace(s)",
        r"-\frac{L}{v}\sqrt{s(s + 2\gamma)} + \ln\frac{1 + A}{2}",
        lambda i: passage(i).log_laplace(i["rate"]),
    ),
    _form(
        "half_line",
        "poisson_mean",
        "T.under(Poisson(r)).mean()",
        r"\frac{1 - f(r)}{r f(r)}",
        lambda i: passage(i).under(rs.Poisson(i["rate"])).mean(),
    ),
    _form(
        "exit",
        "mean",
        "E.mean()",
        r"\gamma xy/v^2 + (x + y)/2v",
        lambda i: passage(i).mean(),
    ),
    _form("exit", "var", "E.var()", r"(\ln f)''(0)", lambda i: passage(i).var()),
    _form(
        "exit",
        "lower",
        "E.splitting().lower",
        r"\frac{\gamma y/v + 1/2}{\gamma(x + y)/v + 1}",
        lambda i: passage(i).splitting().lower,
    ),
    _form(
        "poisson",
        "exit_log_laplace",
        "E.log_laplace(s)",
        r"\ln\frac{\cosh(k(x - y)/2)\cosh(c/2)}{\cosh((kl + c)/2)}",
        lambda i: passage(i).log_laplace(i["rate"]),
    ),
    _form(
        "poisson",
        "side_log_laplace",
        'E.side("lower").log_laplace(s)',
        r"\ln\frac{\sinh(ky + c/2)\cosh(c/2)}{\sinh(kl + c)}",
        lambda i: passage(i).side("lower").log_laplace(i["rate"]),
    ),
]
