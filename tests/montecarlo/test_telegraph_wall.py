"""Run and tumble between a target and a wall."""

from __future__ import annotations

from typing import Any

import pytest
from scipy import stats

import resetsgd as rs

ALPHA = 1e-10
LIMIT = float(stats.norm.isf(ALPHA / 2))
SPEED, FLIPS = 1.5, 2.0


def mean(distance: float, wall: float) -> float:
    """W/v + 2 g (W x - x²/2) / v², from v T+' = g (T+ - T-) - 1 and its mirror image."""
    return wall / SPEED + 2.0 * FLIPS * (wall * distance - 0.5 * distance**2) / SPEED**2


@pytest.mark.statistical(alpha=3 * ALPHA)
@pytest.mark.parametrize(
    ("start", "target", "wall"), [(1.0, 0.0, 2.0), (-1.0, 0.0, -2.0), (3.0, 2.0, 3.0)]
)
def test_the_mean(start: float, target: float, wall: float) -> None:
    """From either side, and from the wall itself; detects 1 %. Twin: a wall 5 % farther away."""
    runner = rs.Telegraph(speed=SPEED, flip_rate=FLIPS)
    S = rs.simulate(runner, start, target, wall=wall, paths=400_000, seed=1, budget=10**8)

    def agrees(far: float) -> bool:
        gap: Any = S.mean() - mean(abs(start - target), abs(wall - target) * far)
        return bool(abs(gap) <= LIMIT * float(S.stderr()))

    assert agrees(1.0)
    assert not agrees(1.05)


def test_resets_before_the_wall_is_met() -> None:
    """With a wall that no run reaches before it is reset, it makes no difference."""
    runner = rs.Telegraph(speed=SPEED, flip_rate=FLIPS)
    options: dict[str, Any] = {"paths": 500, "seed": 2}
    near = rs.simulate(runner, 1.0, 0.0, rs.Sharp(1.0), wall=2.6, **options)
    none = rs.simulate(runner, 1.0, 0.0, rs.Sharp(1.0), **options)
    assert (near.times == none.times).all()
