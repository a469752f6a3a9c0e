"""Run and tumble against its tables: twins that must fail, coverage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tables

from telegraph.forms import passage  # isort: skip

FORMS = {form.name: form for form in tables.forms() if form.table.startswith("telegraph/")}


def waves(i):
    g, s = i["flip_rate"], i["rate"]
    root = np.sqrt(s * (s + 2 * g))
    return root / i["speed"], (g + s - root) / g


def mixed(toward, away, i, way):
    return 0.5 * ((1 + way * i["heading"]) * toward + (1 - way * i["heading"]) * away)


def textbook_half_line(i):
    k, A = waves(i)
    gap = i["start"] - i["target"]
    wave = np.exp(-k * np.abs(gap))
    return np.log(mixed(wave, A * wave, i, -np.sign(gap)))


def side(i, x, y, way):
    k, A = waves(i)
    low, high = np.exp(-k * x), np.exp(-k * (x + 2 * y))
    bottom = 1 - A**2 * np.exp(-2 * k * (x + y))
    return mixed((low - A**2 * high) / bottom, A * (low - high) / bottom, i, way)


def textbook_side(i):
    return np.log(side(i, i["start"] - i["low"], i["high"] - i["start"], -1))


def textbook_exit(i):
    x, y = i["start"] - i["low"], i["high"] - i["start"]
    return np.log(side(i, x, y, -1) + side(i, y, x, 1))


TWINS = {
    "log_laplace": textbook_half_line,
    "side_log_laplace": textbook_side,
    "exit_log_laplace": textbook_exit,
}
CALLS = {
    "log_laplace": lambda T, i: T.log_laplace(i["rate"]),
    "side_log_laplace": lambda T, i: T.side("lower").log_laplace(i["rate"]),
    "exit_log_laplace": lambda T, i: T.log_laplace(i["rate"]),
}


@pytest.mark.parametrize("name", TWINS)
def test_textbook_arrangement_in_float64_fails_the_same_check(name):
    """Wrong-formula twin: algebraically right, numerically not."""
    with np.errstate(all="ignore"):
        accuracy = tables.Accuracy.of(FORMS[name], TWINS[name])
    assert np.mean(accuracy.ratios > 1.0) > 0.2
    assert np.mean(accuracy.ratios <= 1.0) > 0.02


@pytest.mark.parametrize("name", TWINS)
def test_wrong_heading_and_wrong_flip_rate_fail(name):
    i = tables.inputs(FORMS[name].table)
    turned = i["heading"] != 0
    for change, share in (
        ({"heading": -i["heading"]}, 0.5),
        ({"flip_rate": 2 * i["flip_rate"]}, 0.3),
    ):
        accuracy = tables.Accuracy.of(
            FORMS[name], lambda i, change=change: CALLS[name](passage(i | change), i)
        )
        assert np.mean(accuracy.ratios[turned] > 1.0) > share


def test_tables_cover_what_is_promised():
    i = tables.inputs("telegraph/half_line")
    flips = i["flip_rate"] * np.abs(i["start"] - i["target"]) / i["speed"]
    assert flips.min() < 1e-7
    assert flips.max() > 1e7
    for heading in (-1, 0, 1):
        assert (i["heading"] == heading).mean() > 0.3
    tabulated = {form.table for form in FORMS.values()}
    assert sum(len(tables.inputs(table)["speed"]) for table in tabulated) >= 10_000
    folder = Path(tables.__file__).parent / "telegraph"
    assert sum(file.stat().st_size for file in folder.glob("*.npz")) < 1e6
