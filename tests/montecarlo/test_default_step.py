"""The step that is taken where none is given, and whether a horizon is asked for."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import resetsgd as rs
from resetsgd.montecarlo.kernels.compiling import settings
from resetsgd.montecarlo.motions.places import places_of
from resetsgd.montecarlo.table import motion_of

RESET = rs.Poisson(0.5)


def jumping(slope: float) -> rs.Landscape:
    return rs.Landscape(drift=lambda x: -slope if x > 0 else slope, diffusivity=1.0)


def step_of(process: Any, start: float = 1.0, target: Any = -1.0, **options: Any) -> float:
    S = rs.simulate(process, start, target, RESET, paths=2, horizon=1e4, budget=10**7, **options)
    return float(S.info["step"])


def is_smooth(process: Any) -> bool:
    motion: Any = motion_of(process, places_of(1.0, -1.0))
    return bool(motion._smooth())


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_a_drift_that_jumps_gets_the_step_of_the_trap(slope: float) -> None:
    """The slope between two places where it is looked at says nothing: it grows with their number.

    Smooth drifts, steep ones too, are told from it.
    """
    trap = rs.LinearTrap(slope=slope, diffusivity=1.0)
    assert step_of(jumping(slope)) == pytest.approx(step_of(trap), rel=0.01)
    assert not is_smooth(jumping(slope))
    for steep in (1.0, 5.0, 20.0):
        assert is_smooth(rs.Landscape(drift=lambda x, k=steep: -np.tanh(k * x), diffusivity=1.0))
    assert is_smooth(rs.Landscape(drift=lambda x: -0.5, diffusivity=1.0))


def test_that_step_keeps_the_promise() -> None:
    """A quarter of the standard error at 10^6 paths; the twin, twenty times longer, does not."""
    if settings.DISABLE_JIT:
        pytest.skip("interpreted, so many paths take an hour")
    paths = 100_000
    promised = 0.25 * math.sqrt(paths / 1e6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        S = rs.simulate(jumping(1.0), 1.0, -1.0, RESET, paths=paths, seed=1)
    assert abs(S.info["bias"]) < promised * S.stderr() + 4 * S.info["bias_stderr"]
    exact = rs.first_passage(rs.LinearTrap(slope=1.0, diffusivity=1.0), 1.0, -1.0).under(RESET)
    wrong = rs.simulate(jumping(1.0), 1.0, -1.0, RESET, paths=paths, seed=1, step=0.1)
    assert not abs(wrong.mean() - exact.mean()) < promised * S.stderr()


def test_no_horizon_is_asked_for_where_the_mean_is_finite() -> None:
    bowl = rs.Landscape(drift=lambda x: -x, diffusivity=1.0)
    assert not rs.simulate(bowl, 1.0, -0.5, paths=50, step=0.02).censored.any()
    away = rs.Landscape(drift=lambda x: 0.3, diffusivity=1.0)
    with pytest.raises(rs.DomainError, match="horizon"):
        rs.simulate(away, 1.0, 0.0, paths=5)
    assert not rs.simulate(away, 1.0, 0.0, paths=5, wall=2.0).censored.any()
    boxed = rs.Landscape(
        drift=lambda x: 0.3, diffusivity=1.0, domain=(-3.0, 2.0), ends=("reflecting", "reflecting")
    )
    assert not rs.simulate(boxed, 1.0, 0.0, paths=5).censored.any()
