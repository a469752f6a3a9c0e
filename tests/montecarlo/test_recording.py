"""Recorded paths are the simulated ones, and between their steps they follow the right law."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs

ALPHA = 1e-10
WALK = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
BOWL = rs.OrnsteinUhlenbeck(stiffness=1.0, center=1.0, diffusivity=0.5)
SPRING = rs.Landscape(drift=lambda x: 1.0 - x, diffusivity=0.5)
SLOPE = rs.Landscape(potential=lambda x: 0.3 * x * x, diffusivity=lambda x: 0.5 + 0.1 * x * x)
EAGER = rs.Landscape(drift=lambda x: -x, diffusivity=0.5, rate=lambda x: 0.5 + x * x)
PLANE = rs.Langevin(gradient=lambda x: (x[0], 2.0 * x[1]), dimension=2)
LINES: list[tuple[str, Any, dict[str, Any]]] = [
    ("walk", WALK, {}),
    ("walk in stretches", WALK, {"scheme": "exact"}),
    ("walk by euler", WALK, {"scheme": "euler"}),
    ("walk in short steps", WALK, {"step": 0.02}),
    ("walk from behind", rs.DriftDiffusion(drift=0.5, diffusivity=1.0), {"target": 2.0}),
    ("walk out of an interval", WALK, {"target": (0.0, 3.0)}),
    ("walk with a wall", WALK, {"wall": 1.5}),
    ("bowl", BOWL, {}),
    ("spring to the right", SPRING, {"target": 2.0}),
    ("multiplicative", SLOPE, {}),
    ("multiplicative by Milstein", SLOPE, {"scheme": "milstein"}),
    ("a rate that depends on the place", EAGER, {}),
    ("telegraph", rs.Telegraph(speed=1.0, flip_rate=2.0), {}),
    ("random walk", rs.RandomWalk(jump=stats.norm(0.0, 0.6)), {}),
    ("coloured", rs.ColouredNoise(correlation_time=0.2), {}),
    ("stable", rs.StableNoise(exponent=1.5), {}),
    ("partial", WALK, {"partial": 0.5}),
    ("partial in a bowl", BOWL, {"partial": 0.5}),
    ("cloud", BOWL, {"reset_to": [0.5, 1.0, 1.5]}),
]
PROTOCOLS = [rs.Poisson(1.0), rs.Sharp(1.5, overhead=0.3), rs.Gamma(2.0, 2.0)]


@pytest.mark.parametrize(("name", "process", "options"), LINES, ids=[row[0] for row in LINES])
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=repr)
def test_recording_changes_nothing(
    name: str, process: Any, options: dict[str, Any], protocol: Any
) -> None:
    """Times to the last bit; positions where a path can be, and of the very paths."""
    if name.startswith("a rate"):
        protocol = rs.Poisson(0.5)
    given = {"start": 1.0, "target": 0.0, "paths": range(3, 103), "horizon": 30.0, **options}
    S = rs.simulate(process, protocol=protocol, seed=4, threads=1, **given)
    R = rs.simulate(
        process, protocol=protocol, seed=4, record=rs.Record(0.05, range(20, 90)), **given
    )
    assert (R.times == S.times).all() and (R.resets == S.resets).all()
    seen = R.record
    assert S.record is None and seen is not None
    assert seen.paths == range(20, 90)
    assert (seen.end_times == S.times[17:87]).all()
    assert (seen.arrived == ~S.censored[17:87]).all()
    there = np.isfinite(seen.times)
    assert (there == np.isfinite(seen.positions[:, :, 0])).all()
    assert (np.floor(seen.end_times / 0.05) + 1 - there.sum(axis=1) <= 1).all()
    assert (np.nanmax(seen.times, axis=1) <= seen.end_times).all()
    assert seen.positions[:, 0, 0] == pytest.approx(given["start"], abs=1e-7)
    x = seen.positions[:, :, 0][there]
    target = given["target"]
    low, high = target if isinstance(target, tuple) else (
        (target, math.inf) if target < 1.0 else (-math.inf, target)
    )  # fmt: skip
    inside = (x >= low) & (x <= high)
    assert inside.all()
    if "wall" in given:
        assert (x <= given["wall"]).all()
    one = rs.simulate(
        process, protocol=protocol, seed=4, record=rs.Record(0.05, range(33, 34)), **given
    ).record
    assert one is not None
    n = one.times.shape[1]
    assert np.array_equal(one.positions[0], seen.positions[13, :n], equal_nan=True)


def images(t: float, rate: float = 0.0) -> Any:
    """Law of the position at t of those of WALK from 1 that are not yet at 0, by images.

    With the rate of Poisson resets to 1, the position of paths whose last reset was at t - s, s
    drawn with density exp(-r s), weighted by the probability to be alive at t - s.
    """
    free = rs.first_passage(WALK, 1.0, 0.0)
    alive = free.under(rs.Poisson(rate)) if rate else free

    def plain(x: Any, s: float) -> Any:
        width = math.sqrt(2.0 * s)
        mirrored = math.exp(0.5) * stats.norm.cdf(x, -1.0 - 0.5 * s, width)
        below = stats.norm.cdf(x, 1.0 - 0.5 * s, width)
        start = math.exp(0.5) * stats.norm.cdf(0.0, -1.0 - 0.5 * s, width)
        return below - mirrored - (stats.norm.cdf(0.0, 1.0 - 0.5 * s, width) - start)

    def cdf(x: Any) -> Any:
        x = np.asarray(x)
        whole = math.exp(-rate * t) * plain(x, t)
        if rate:
            s, w = np.polynomial.legendre.leggauss(60)
            s, w = 0.5 * t * (1.0 + s), 0.5 * t * w
            for age, weight in zip(s, w, strict=True):
                part = rate * math.exp(-rate * age) * float(alive.survival(t - age))
                whole = whole + weight * part * plain(x, age)
        return whole / float(alive.survival(t))

    return cdf


@pytest.mark.statistical(alpha=4 * ALPHA)
@pytest.mark.parametrize(
    ("options", "rate"),
    [({}, 0.0), ({"scheme": "exact"}, 0.0), ({"scheme": "exact"}, 2.0), ({"step": 0.11}, 2.0)],
)
def test_the_law_between_steps(options: dict[str, Any], rate: float) -> None:
    """Of paths that are alive at 0.7 and know 0 only; detects 0.05 in the distribution.

    Twins: a bridge that does not know the target (which puts paths beyond it), other rates.
    """
    protocol = rs.Poisson(rate) if rate else None
    S = rs.simulate(
        WALK, 1.0, 0.0, protocol, paths=4000, horizon=40.0, seed=9,
        record=rs.Record([0.3, 0.7], 4000), **options,
    )  # fmt: skip
    assert S.record is not None
    x = S.record.positions[:, 1, 0]
    x = x[np.isfinite(x)]
    assert x.size == (S.times >= 0.7).sum()
    assert stats.kstest(x, images(0.7, rate)).pvalue >= ALPHA
    assert not stats.kstest(x, images(0.7, rate + 3.0)).pvalue >= ALPHA
    assert not stats.kstest(x, stats.norm(1.0 - 0.35, math.sqrt(1.4)).cdf).pvalue >= ALPHA


@pytest.mark.statistical(alpha=ALPHA)
def test_the_last_stretch_is_a_bessel_bridge() -> None:
    """Halfway to its arrival the distance is that of a three-dimensional bridge from 1 to 0.

    Its law is the chi law of three degrees, not centred; detects 0.05 in the distribution. Twin:
    the chi law of a bridge in two dimensions.
    """
    S = rs.simulate(WALK, 1.0, 0.0, scheme="exact", paths=3000, seed=10)
    half = []
    for k, end in enumerate(S.times):
        R = rs.simulate(
            WALK, 1.0, 0.0, scheme="exact", paths=range(k, k + 1), seed=10,
            record=rs.Record([0.5 * float(end)], range(k, k + 1)), threads=1,
        )  # fmt: skip
        assert R.record is not None
        half.append((R.record.positions[0, 0, 0]) ** 2 / (0.5 * end))
    scaled: Any = np.array(half)
    centre = 0.25 / (0.5 * S.times)

    def p_value(dimension: float) -> float:
        uniform: Any = stats.ncx2.cdf(scaled, dimension, centre)
        return float(stats.kstest(uniform, "uniform").pvalue)

    assert p_value(3.0) >= ALPHA
    assert not p_value(2.0) >= ALPHA


@pytest.mark.statistical(alpha=2 * ALPHA)
def test_a_bowl_relaxes_and_is_reset() -> None:
    """Gaussian within periods, while the target is far; at the end of a period it is home.

    Detects 0.06 in the distribution. Twins: the law without resets, or at another time.
    """
    bowl = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=0.05)
    S = rs.simulate(
        bowl, 1.0, -0.6, rs.Sharp(2.0), paths=3000, horizon=9.0, seed=11, reset_to=1.5, step=0.01,
        record=rs.Record([0.25, 2.0, 2.17], 3000),
    )  # fmt: skip
    assert S.record is not None
    first, home, last = S.record.positions[S.times > 2.2, :, 0].T
    assert first.size > 2900
    assert (home == 1.5).all()

    def fits(x: Any, begin: float, age: float) -> bool:
        width = math.sqrt(0.05 * -math.expm1(-2.0 * age))
        return bool(stats.kstest(x, stats.norm(begin * math.exp(-age), width).cdf).pvalue >= ALPHA)

    assert fits(first, 1.0, 0.25)
    assert fits(last, 1.5, 0.17)
    assert not fits(last, 1.0, 2.17)
    assert not fits(first, 1.0, 0.3)


def test_a_run_is_straight() -> None:
    """The speed between records is the walker's, or less where it turned; it ends on the target."""
    runner = rs.Telegraph(speed=2.0, flip_rate=1.0)
    S = rs.simulate(runner, 1.0, 0.0, rs.Sharp(3.0), paths=50, seed=1, record=rs.Record(0.01, 50))
    assert S.record is not None
    x = S.record.positions[:, :, 0]
    step = np.abs(np.diff(x, axis=1))
    moved = step[np.isfinite(step)]
    reset = moved > 0.02 * (1 + 1e-9)
    assert np.isclose(moved, 0.02).mean() > 0.95
    assert reset.sum() <= S.resets.sum()
    last = np.take_along_axis(x, np.isfinite(x).sum(axis=1)[:, None] - 1, axis=1)
    assert (last <= 0.02 * (1 + 1e-9)).all()


def test_a_walk_rests_between_jumps() -> None:
    walk = rs.RandomWalk(jump=stats.norm(0.0, 0.3), step=1.0)
    S = rs.simulate(walk, 1.0, 0.0, paths=30, horizon=50.0, seed=1, record=rs.Record(0.25, 30))
    assert S.record is not None
    x = S.record.positions[:, :-1, 0]
    whole = x[:, : x.shape[1] // 4 * 4].reshape(30, -1, 4)
    there = np.isfinite(whole).all(axis=2)
    assert (whole[there] == whole[there][:, :1]).all()
    assert there.sum() > 100


def test_many_dimensions_as_trajectories() -> None:
    """At the ends of steps the positions are those that the kernel itself records."""
    options: dict[str, Any] = {"paths": range(5, 90), "step": 0.125, "seed": 3, "horizon": 20.0}
    target = rs.targets.ball([0.0, 0.0], 0.5)
    S = rs.simulate(
        PLANE, [2.0, 1.0], target, record=rs.Record(0.125, range(6, 88), coordinates=[1]), **options
    )
    seen = rs.trajectories(PLANE, [2.0, 1.0], target, records=400, coordinates=[1], **options)
    assert S.record is not None
    n = S.record.times.shape[1]
    assert n > 20
    mine, theirs = S.record.positions[:, 1:], seen.positions[1:83, : n - 1]
    both = np.isfinite(mine) & np.isfinite(theirs)
    assert both.sum() > 500
    # the last record of a path may lie in its last step, which the kernel does not record
    assert (np.isfinite(mine).sum() - both.sum()) <= 82
    inner = both & np.roll(np.isfinite(mine), -1, axis=1)
    assert mine[inner] == pytest.approx(theirs[inner], rel=1e-12)
    assert (S.record.end_times == seen.end_times[1:83]).all()


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (lambda: rs.Record(0.0), "times"),
        (lambda: rs.Record([0.2, 0.1]), "times"),
        (lambda: rs.Record([-0.2, 0.1]), "times"),
        (lambda: rs.Record(0.1, paths=0), "paths"),
        (lambda: rs.Record(0.1, paths=range(5, 20)), "record"),
        (lambda: 0.1, "record"),
        (lambda: rs.Record(1e-300), "record"),
        (lambda: rs.Record(0.1, coordinates=[1]), "coordinates"),
    ],
)
def test_what_is_refused(record: Any, name: str) -> None:
    with pytest.raises(rs.DomainError, match=f"^{name} "):
        rs.simulate(WALK, 1.0, 0.0, paths=10, record=record())


@pytest.mark.parametrize(
    ("process", "options"), [(BOWL, {"scheme": "exact"}), (rs.Bessel(3.0, 1.0), {"target": 2.0})]
)
def test_what_cannot_be_recorded(process: Any, options: dict[str, Any]) -> None:
    given = {"start": 0.5, "target": 0.0, "paths": 10, "record": rs.Record(0.1), **options}
    with pytest.raises(rs.DomainError, match=r"^record "):
        rs.simulate(process, **given)
