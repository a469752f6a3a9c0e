"""Resets at a rate that depends on the place: no error at the default step."""

from __future__ import annotations

from typing import Any

import pytest
from scipy import stats

import resetsgd as rs

ALPHA = 1e-10
LIMIT = float(stats.norm.isf(ALPHA / 2))


@pytest.mark.statistical(alpha=2 * ALPHA)
@pytest.mark.parametrize(("steepness", "start"), [(4.0, 1.0), (100.0, 0.5)])
def test_the_default_step_is_short_enough(steepness: float, start: float) -> None:
    """Free diffusion to 0, reset at the rate c x²; detects 0.7 %. Twin: a step in which r h = 1."""

    def rate(x: Any) -> Any:
        return steepness * x * x

    exact = rs.first_passage(rs.Landscape(lambda x: 0.0 * x, rate=rate), start, 0.0).mean()
    free = rs.Landscape(drift=lambda x: 0.0 * x, rate=rate)
    S = rs.simulate(free, start, 0.0, paths=800_000, seed=3, bias="ignored")

    def agrees(simulated: Any) -> bool:
        return bool(abs(simulated.mean() - exact) <= LIMIT * simulated.stderr())

    assert agrees(S)
    if steepness == 4.0:
        longest = 1.0 / rate(start)
        coarse = rs.simulate(free, start, 0.0, paths=800_000, seed=3, step=longest, bias="ignored")
        assert not agrees(coarse)
