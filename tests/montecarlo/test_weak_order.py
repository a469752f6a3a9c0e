"""The bias of the mean passage time falls with the step at the order that each scheme claims.

Biases are against exact means, with the same seed at all steps. The study
``simulations/02_discretisation.py`` does the same with more paths and steps.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs

ALPHA = 1e-10
LIMIT = float(stats.norm.isf(ALPHA / 2))
BOWL = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=0.02)
WALK = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
RESET = rs.Poisson(2.5)
CASES = {  # steps, paths, order
    "euler": ((0.00025, 0.001, 0.004), 150_000, 0.5),
    "bridge": ((0.025, 0.1), 200_000, 1.0),
    "heun": ((0.1, 0.2), 1_000_000, 2.0),
}


def fitted(scheme: str) -> tuple[float, float]:
    """Slope of log bias against log step, and its standard error."""
    steps, paths, _ = CASES[scheme]
    rows = []
    for h in steps:
        if scheme == "euler":
            S = rs.simulate(WALK, 1.0, 0.0, RESET, paths=paths, scheme=scheme, step=h, seed=2)
            exact = rs.first_passage(WALK, 1.0, 0.0).under(RESET).mean()
        else:
            S = rs.simulate(BOWL, 3.0, 0.5, paths=paths, scheme=scheme, step=h, seed=2)
            exact = rs.first_passage(BOWL, 3.0, 0.5).mean()
        rows.append((np.log(h), S.mean() - exact, S.stderr()))
    x, bias, stderr = np.array(rows).T
    weight = (bias / stderr) ** 2
    off = x - np.average(x, weights=weight)
    spread = float(weight @ off**2)
    return float((weight * off) @ np.log(np.abs(bias))) / spread, spread**-0.5


@pytest.mark.statistical(alpha=ALPHA)
@pytest.mark.parametrize("scheme", CASES)
def test_the_order_of_convergence(scheme: str) -> None:
    """Within 0.15 and the statistical error; detects an order that is wrong by one half.

    Twins: the orders of the other schemes, so that plain Euler fails the claim of order one.
    """
    slope, stderr = fitted(scheme)

    def agrees(order: float) -> bool:
        return abs(slope - order) <= 0.15 + LIMIT * stderr

    assert agrees(CASES[scheme][2]), slope
    for other in CASES:
        if other != scheme:
            assert not agrees(CASES[other][2]), (slope, stderr)
