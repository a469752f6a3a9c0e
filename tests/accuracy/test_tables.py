"""Closed forms against mpmath: (8 + 2 kappa) machine epsilons at every tabulated point."""

from __future__ import annotations

from pathlib import Path

import make_tables
import numpy as np
import pytest
import tables

REFERENCE = Path(tables.__file__).parent
FORMS = {f"{form.table.split('/')[0]}.{form.name}": form for form in tables.forms()}


@pytest.mark.parametrize("name", FORMS)
def test_error_is_within_the_bound_at_every_point(name):
    accuracy = tables.Accuracy.of(FORMS[name])
    assert len(accuracy.ratios) >= 500
    assert (accuracy.ratios <= 1.0).all(), accuracy.report()


@pytest.mark.parametrize("name", FORMS)
def test_the_promise_is_the_one_of_the_design_unless_a_note_says_why(name):
    form = FORMS[name]
    assert (form.constant, form.slope) == (8.0, 2.0) or form.note


@pytest.mark.parametrize("name", FORMS)
def test_the_check_sees_an_error_of_a_hundred_ulps(name):
    """Negative control: reference values off by 2e-14 are rejected where kappa is of order one."""
    form = FORMS[name]
    reference = tables.Reference.of(form)
    off = tables.Accuracy.of(form, lambda _: reference.value * (1 + 2e-14))
    well = (reference.kappa <= 5) & np.isfinite(reference.value)
    well &= np.abs(reference.value) >= tables.TINY
    assert well.sum() > 50
    assert (off.ratios[well] > 1.0).all()


@pytest.mark.parametrize("name", FORMS)
def test_the_committed_table_is_what_its_script_makes(name):
    form = FORMS[name]
    family, table = form.table.split("/")
    book = make_tables.textbook(family)
    rows = np.column_stack(list(tables.inputs(form.table).values()))
    # to rounding: exp and log of another processor may differ in the last bit
    np.testing.assert_allclose(rows, book.POINTS[table]()[1], rtol=1e-13, atol=0)
    pick = np.random.default_rng(11).choice(len(rows), size=12, replace=False)
    high, low, kappa = make_tables.evaluate((family, table, form.name, rows[pick]))
    reference = tables.Reference.of(form)
    assert np.array_equal(high, reference.value[pick])
    assert np.array_equal(low / 127 * 2.0**-53, reference.rest[pick])
    assert np.array_equal((kappa.astype(np.uint32) << 16).view(np.float32), reference.kappa[pick])


@pytest.mark.parametrize("family", tables.FAMILIES)
def test_accuracy_page_is_of_these_tables(family):
    page = (REFERENCE.parents[1] / "docs" / "accuracy.md").read_text(encoding="utf-8")
    (section,) = (
        part for part in page.split("\n## ") if part.startswith(f"{tables.family(family).TITLE}\n")
    )
    measured = [line for line in section.splitlines() if line.startswith("| `") and "$" in line]
    forms = [form for form in FORMS.values() if form.table.startswith(f"{family}/")]
    assert len(measured) == len(forms)
    for form in forms:
        (line,) = (line for line in measured if line.startswith(f"| `{form.call}`"))
        assert f"| {len(tables.Reference.of(form).value)} |" in line
        assert line.rstrip().endswith("| 0 |"), line
        if form.note:
            assert form.note in section
