"""The linear trap against its tables: twins that must fail, coverage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tables

import resetsgd as rs

from linear_trap.forms import passage  # isort: skip

FORMS = {form.name: form for form in tables.forms() if form.table.startswith("linear_trap/")}


def parts(i):
    """Slope, D, start and target as seen from the target's side of the kink."""
    side = np.sign(i["target"])
    return i["slope"], i["diffusivity"], side * i["start"], np.abs(i["target"])


def textbook_log_laplace(i):
    slope, D, start, target = parts(i)
    root = np.sqrt(slope**2 + 4 * D * i["rate"])

    def u(x):
        up, down = (root + slope) / (2 * D), (root - slope) / (2 * D)
        above = ((root - slope) * np.exp(up * x) + slope * np.exp(-down * x)) / root
        return np.where(x < 0, np.exp(down * x), above)

    return np.log(u(start) / u(target))


def textbook_mean(i):
    slope, D, start, target = parts(i)

    def climb(x):
        return 2 * D / slope**2 * (np.exp(slope * x / D) - 1) - x / slope

    return climb(target) - np.where(start < 0, start / slope, climb(start))


def textbook_variance(i):
    slope, D, start, target = parts(i)

    def climb(x):
        y = slope * x / D
        e = np.exp(y)
        return (D / slope**2) ** 2 * (4 * e**2 - 8 * y * e + 4 * e - 2 * y - 8)

    return climb(target) - np.where(start < 0, 2 * D * start / slope**3, climb(start))


TWINS = {"log_laplace": textbook_log_laplace, "mean": textbook_mean, "var": textbook_variance}


@pytest.mark.parametrize("name", TWINS)
def test_textbook_arrangement_in_float64_fails_the_same_check(name):
    """Wrong-formula twin: algebraically right, numerically not."""
    with np.errstate(all="ignore"):
        accuracy = tables.Accuracy.of(FORMS[name], TWINS[name])
    assert np.mean(accuracy.ratios > 1.0) > 0.2
    assert np.mean(accuracy.ratios <= 1.0) > 0.05


def test_wrong_sign_of_the_force_and_wrong_diffusivity_fail():
    for change in ({"slope": -1.0}, {"diffusivity": 2.0}):

        def wrong(i, change=change):
            moved = {name: factor * i[name] for name, factor in change.items()}
            return passage(i | moved).under(rs.Poisson(i["rate"])).log_mean()

        right = passage(tables.inputs("linear_trap/poisson")).under(
            rs.Poisson(tables.inputs("linear_trap/poisson")["rate"])
        )
        reference = tables.Reference.of(FORMS["poisson_mean"]).value
        usable = np.isfinite(reference) & (reference > 0)
        inputs = tables.inputs("linear_trap/poisson")
        assert np.allclose(
            right.log_mean()[usable], np.log(reference[usable]), rtol=1e-9, atol=1e-9
        )
        off = np.abs(wrong(inputs)[usable] - np.log(reference[usable])) > 1e-9
        assert off.mean() > 0.7


def test_tables_cover_what_is_promised():
    i = tables.inputs("linear_trap/free")
    height = i["slope"] * np.abs(i["target"]) / i["diffusivity"]
    assert height.min() < 1e-11
    assert height.max() > 600
    crossing = i["start"] * i["target"] < 0
    assert 0.15 < crossing.mean() < 0.7
    assert (i["start"] == 0).sum() > 20
    assert len(height) + len(tables.inputs("linear_trap/poisson")["rate"]) >= 10_000
    assert (tables.inputs("linear_trap/poisson")["slope"] < 0).sum() > 1000
    folder = Path(tables.__file__).parent / "linear_trap"
    assert sum(file.stat().st_size for file in folder.glob("*.npz")) < 1e6
