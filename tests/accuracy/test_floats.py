"""One number at a time takes a way of its own: it keeps the promise of the tables too."""

from __future__ import annotations

import numpy as np
import pytest
import tables

MEANS = {
    f"{form.table.split('/')[0]}.{form.name}": form
    for form in tables.forms()
    if form.name in ("mean", "poisson_mean")
}
ROWS = 300


@pytest.mark.parametrize("name", MEANS)
def test_floats_are_within_the_bound_at_points_of_the_table(name):
    form = MEANS[name]
    values = tables.inputs(form.table)
    count = len(tables.Reference.of(form).value)
    rows = np.random.default_rng(5).choice(count, size=min(ROWS, count), replace=False)
    exact = np.asarray(form.evaluate(values), dtype=np.float64).copy()
    for row in rows:
        exact[row] = form.evaluate({key: float(column[row]) for key, column in values.items()})
    ratios = tables.Accuracy.of(form, lambda _: exact).ratios
    assert (ratios[rows] <= 1.0).all()
    exact[rows] *= 1.0 + 1e-9  # the check sees what the floats have written
    assert (tables.Accuracy.of(form, lambda _: exact).ratios[rows] > 1.0).any()
