"""Bessel processes against their tables: twins that must fail, coverage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tables
from scipy import special

from bessel.forms import passage  # isort: skip

FORMS = {form.name: form for form in tables.forms() if form.table.startswith("bessel/")}


def textbook_outside(i):
    nu, k = 1 - i["dimension"] / 2, np.sqrt(i["s"] / i["diffusivity"])
    ratio = special.kv(nu, k * i["start"]) / special.kv(nu, k * i["target"])
    return np.log((i["start"] / i["target"]) ** nu * ratio)


def textbook_inside(i):
    nu, k = 1 - i["dimension"] / 2, np.sqrt(i["s"] / i["diffusivity"])
    ratio = special.iv(-nu, k * i["start"]) / special.iv(-nu, k * i["target"])
    return np.log((i["start"] / i["target"]) ** nu * ratio)


def textbook_origin(i):
    nu, x = 1 - i["dimension"] / 2, np.sqrt(i["s"] / i["diffusivity"]) * i["start"]
    return np.log(2 ** (1 - nu) / special.gamma(nu) * x**nu * special.kv(nu, x))


TWINS = {
    "log_laplace_outside": textbook_outside,
    "log_laplace_inside": textbook_inside,
    "log_laplace_origin": textbook_origin,
}


@pytest.mark.parametrize("name", TWINS)
def test_textbook_arrangement_in_float64_fails_the_same_check(name):
    """Wrong-formula twin: algebraically right, numerically not."""
    with np.errstate(all="ignore"):
        accuracy = tables.Accuracy.of(FORMS[name], TWINS[name])
    assert np.mean(accuracy.ratios > 1.0) > 0.2
    assert np.mean(accuracy.ratios <= 1.0) > 0.05


@pytest.mark.parametrize("name", TWINS)
def test_a_neighbouring_dimension_fails(name):
    accuracy = tables.Accuracy.of(
        FORMS[name],
        lambda i: passage(i | {"dimension": i["dimension"] * (1 - 1e-4)}).log_laplace(i["s"]),
    )
    assert np.mean(accuracy.ratios > 1.0) > 0.8


def test_tables_cover_what_is_promised():
    i = tables.inputs("bessel/outside")
    order = 1 - i["dimension"] / 2
    assert (order == 0).sum() > 5
    assert (order > 30).sum() > 50
    assert (order < -30).sum() > 50
    assert (np.abs(order - np.rint(order)) < 1e-6).sum() > 50
    total = 0
    for form in FORMS.values():
        total += len(next(iter(tables.inputs(form.table).values())))
    assert total >= 10_000
    folder = Path(tables.__file__).parent / "bessel"
    assert sum(file.stat().st_size for file in folder.glob("*.npz")) < 1e6
