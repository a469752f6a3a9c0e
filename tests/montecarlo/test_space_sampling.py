"""Where paths are in the long run, and recorded on their way, against exact laws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import resetsgd as rs

ALPHA = 4.9e-9
STIFFNESS, SPREAD = (1.0, 4.0), (1.0, 0.5)


def bowl(friction: float | None = None) -> rs.Langevin:
    return rs.Langevin(
        gradient=lambda x: (x[0], 4.0 * x[1]), dimension=2, diffusivity=SPREAD, friction=friction
    )


def variance_score(sample: Any, mean: float, variance: float) -> float:
    """How many standard errors the mean square deviation lies from the variance."""
    squares = (np.ravel(sample) - mean) ** 2
    return float((squares.mean() - variance) / (squares.std(ddof=1) / math.sqrt(squares.size)))


@pytest.mark.statistical(alpha=4 * ALPHA)
@pytest.mark.parametrize("protocol", [rs.Poisson(1.0), rs.Sharp(0.7)], ids=repr)
def test_stationary_under_resetting(budget: Any, protocol: Any) -> None:
    """Mean and variance of both coordinates; detects 3 % of a variance. Twin: no resets."""
    seen = rs.sample_stationary(bowl(), protocol, [1.0, 1.0], after=14.0, paths=100_000, seed=1)
    assert seen.positions is not None
    for axis, (k, D) in enumerate(zip(STIFFNESS, SPREAD, strict=True)):
        line = rs.OrnsteinUhlenbeck(stiffness=k, center=0.0, diffusivity=D)
        exact = rs.stationary(line, protocol, reset_to=1.0)
        assert budget.accepts((seen.mean()[axis] - exact.mean()) / seen.stderr()[axis])
        sample = seen.positions[:, :, axis]
        assert budget.accepts(variance_score(sample, exact.mean(), exact.var()))
        if axis == 0:
            assert not budget.accepts(variance_score(sample, exact.mean(), D / k))


@pytest.mark.statistical(alpha=2 * ALPHA)
@pytest.mark.parametrize("friction", [0.5, 5.0])
def test_inertia_keeps_the_boltzmann_law(budget: Any, friction: float) -> None:
    """Variance D/k at any friction; detects 6 %. Twin: 10 % larger."""
    seen = rs.sample_stationary(
        bowl(friction), None, [0.0, 0.0], after=40.0, paths=40_000, step=0.05, seed=2
    )
    for axis, (k, D) in enumerate(zip(STIFFNESS, SPREAD, strict=True)):
        sample = seen.positions[:, :, axis]  # type: ignore[index]
        assert budget.accepts(variance_score(sample, 0.0, D / k))
        assert not budget.accepts(variance_score(sample, 0.0, 1.1 * D / k))


@pytest.mark.statistical(alpha=ALPHA)
def test_inertia_spreads_as_it_should(budget: Any) -> None:
    """From rest without force: 2D (t - 2 (1 - e^-gt)/g + (1 - e^-2gt)/2g). Twin: overdamped."""
    g, t = 2.0, 1.0
    free = rs.Langevin(drift=lambda x: (0.0,), friction=g)
    seen = rs.trajectories(free, [0.0], None, paths=50_000, horizon=t, step=0.05, records=20)
    last = seen.positions[:, -1, 0]
    assert seen.times[:, -1] == pytest.approx(t)
    variance = 2.0 * (t - 2 * (1 - math.exp(-g * t)) / g + (1 - math.exp(-2 * g * t)) / (2 * g))
    assert budget.accepts(variance_score(last, 0.0, variance))
    assert not budget.accepts(variance_score(last, 0.0, 2.0 * t))


@pytest.mark.statistical(alpha=ALPHA)
def test_histograms_count_what_the_positions_say(budget: Any) -> None:
    """The same numbers from positions and from the kernel; density as the exact one (chi square).

    Detects a density that is 2 % off over a third of the line. Twin: rate 10 % higher.
    """
    from scipy import stats

    walk = rs.DriftDiffusion(drift=0.5, diffusivity=1.0)
    options: dict[str, Any] = {
        "after": 12.0, "every": 3.0, "samples": 2, "paths": 100_000, "bins": 40,
        "bounds": (-3.0, 5.0), "seed": 3,
    }  # fmt: skip
    seen = rs.sample_stationary(walk, rs.Poisson(2.0), 1.0, **options)
    bare = rs.sample_stationary(walk, rs.Poisson(2.0), 1.0, **options, keep=False, threads=1)
    assert bare.positions is None
    assert seen.counts is not None and bare.counts is not None and seen.edges is not None
    assert (seen.counts == bare.counts).all()
    assert seen.positions is not None
    by_hand = np.histogram(seen.positions, bins=seen.edges[0])[0]
    assert np.abs(seen.counts[0, 1:-1] - by_hand).max() <= 2  # a position on an edge
    assert seen.counts.sum() == 200_000
    edges, density = seen.density()
    assert density.shape == (1, 40)
    assert (density * np.diff(edges)).sum() == pytest.approx(1.0, abs=0.01)

    def p_value(rate: float) -> float:
        law = rs.stationary(walk, rs.Poisson(rate), reset_to=1.0)
        one = bare_one.counts  # one look a path: independent
        assert one is not None
        cuts = np.concatenate([[0.0], np.asarray(law.cdf(edges[0])), [1.0]])
        return float(stats.chisquare(one[0], np.diff(cuts) * one.sum()).pvalue)

    bare_one = rs.sample_stationary(
        walk, rs.Poisson(2.0), 1.0, **{**options, "samples": 1, "every": 12.0}, keep=False
    )
    assert budget.plausible(p_value(2.0))
    assert not budget.plausible(p_value(2.2))


@pytest.mark.statistical(alpha=ALPHA)
def test_a_landscape_on_the_line(budget: Any) -> None:
    """Double well without resets: E x² by quadrature; detects 1 %. Twin: half the barrier."""
    from scipy import integrate

    well = rs.landscapes.double_well(barrier=1.0)
    seen = rs.sample_stationary(
        well.landscape(diffusivity=0.5), None, 1.0, after=30.0, paths=50_000, seed=4, step=0.01
    )

    def second(barrier: float) -> float:
        weight = lambda x: math.exp(-barrier * (x * x - 1) ** 2 / 0.5)  # noqa: E731
        top = integrate.quad(lambda x: x * x * weight(x), -4, 4)[0]
        return float(top / integrate.quad(weight, -4, 4)[0])

    squares = np.ravel(seen.positions) ** 2  # type: ignore[arg-type]
    assert budget.accepts(budget.score(squares, second(1.0)))
    assert not budget.accepts(budget.score(squares, second(0.5)))


def test_records_follow_the_motion() -> None:
    """Without noise along one axis: the recorded decay is Heun's; times are multiples of steps."""
    process = rs.Langevin(gradient=lambda x: (x[0], 0.0), dimension=2, diffusivity=[0.0, 1.0])
    seen = rs.trajectories(
        process, [1.0, 0.0], None, paths=2, horizon=1.0, step=0.1, every=2, records=10
    )
    assert seen.times[0, :5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert seen.positions[0, :5, 0] == pytest.approx((1 - 0.1 + 0.005) ** np.arange(2, 11, 2))
    assert not seen.arrived.any()


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"after": 0.0}, "after"), ({"every": -1.0}, "every"), ({"samples": 0}, "samples"),
        ({"bins": 5}, "bounds"), ({"bins": 5, "bounds": (1.0, 0.0)}, "bounds"),
        ({"keep": False}, "bins"), ({"coordinates": [2]}, "coordinates"),
        ({"precision": "half"}, "precision"), ({"reset_to": [1.0]}, "reset_to"),
        ({"paths": 2**30, "samples": 100}, "paths"), ({"process": rs.Bessel(3.0, 1.0)}, "process"),
    ],
)  # fmt: skip
def test_wrong_arguments(changed: dict[str, Any], name: str) -> None:
    given: dict[str, Any] = {
        "process": bowl(), "protocol": rs.Poisson(1.0), "reset_to": [1.0, 1.0], "after": 1.0,
        **changed,
    }  # fmt: skip
    with pytest.raises(rs.DomainError, match=f"^{name} "):
        rs.sample_stationary(**given)
