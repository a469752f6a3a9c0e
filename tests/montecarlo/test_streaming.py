"""Sums instead of an array: the same numbers in bounded memory; bias is told where it matters."""

from __future__ import annotations

import math
import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs
from resetsgd.montecarlo import streaming
from resetsgd.montecarlo.kernels.compiling import settings

WALK = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
RESET = rs.Poisson(1.0)
BOWL = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=0.5)


def streamed(monkeypatch: pytest.MonkeyPatch, chunk: int = 1000, **options: Any) -> rs.Streamed:
    monkeypatch.setattr(streaming, "CHUNK", chunk)
    options = {"paths": 5500, "seed": 3, "rates": [0.5, 2.0], **options}
    return rs.simulate_streaming(WALK, 1.0, 0.0, RESET, **options)


def test_sums_are_those_of_the_array(monkeypatch: pytest.MonkeyPatch) -> None:
    S = rs.simulate(WALK, 1.0, 0.0, RESET, paths=5500, seed=3)
    found = streamed(monkeypatch)
    assert (found.paths, found.arrived) == (5500, 5500)
    assert found.mean() == pytest.approx(S.mean(), rel=1e-12)
    assert found.stderr() == pytest.approx(S.stderr(), rel=1e-12)
    assert found.std() == pytest.approx(S.std(), rel=1e-12)
    assert found.resets == pytest.approx(S.resets.mean(), rel=1e-12)
    for rate, value, error in zip(found.rates, found.laplace, found.laplace_stderr, strict=True):
        x = np.exp(-rate * S.times)
        assert value == pytest.approx(x.mean(), rel=1e-12)
        assert error == pytest.approx(x.std(ddof=1) / math.sqrt(5500), rel=1e-10)
    for q in (0.01, 0.5, 0.99):
        assert found.quantile(q) == pytest.approx(float(np.quantile(S.times, q)), rel=0.02)
        t = found.quantile(q)
        assert abs(found.survival(t) - float((S.times > t).mean())) < 0.02
    assert found.info["steps"] == S.info["steps"]


def test_neither_threads_nor_progress_show(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    one = streamed(monkeypatch, threads=1, progress=lambda *at: told.append(at))
    two = streamed(monkeypatch, threads=2)
    assert one.restricted_mean == two.restricted_mean
    assert one.restricted_stderr == two.restricted_stderr
    assert (one.laplace == two.laplace).all()
    assert (one.counts == two.counts).all()
    assert told[-1] == (5500, 5500)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    other = streamed(monkeypatch, seed=4)
    assert one.restricted_mean != other.restricted_mean


def test_censored_paths_are_not_averaged_as_if_they_had_arrived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    S = rs.simulate(WALK, 1.0, 0.0, RESET, paths=3000, seed=3, horizon=1.0)
    found = streamed(monkeypatch, paths=3000, horizon=1.0)
    assert found.arrived == int((~S.censored).sum()) < 3000
    for ask in (found.mean, found.stderr, found.std):
        with pytest.raises(rs.CensoredMean, match="restricted_mean"):
            ask()
    assert found.restricted_mean == pytest.approx(float(S.restricted_mean(1.0)), rel=1e-12)
    assert math.isinf(found.quantile(0.999))


def test_ends_of_an_interval_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "CHUNK", 500)
    S = rs.simulate(WALK, 1.0, (0.0, 2.0), paths=1200, seed=3)
    found = rs.simulate_streaming(WALK, 1.0, (0.0, 2.0), paths=1200, seed=3)
    assert S.exit_side is not None
    assert found.sides == (int((S.exit_side == -1).sum()), int((S.exit_side == 1).sum()))


def test_memory_does_not_grow_with_the_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    if settings.DISABLE_JIT:
        pytest.skip("interpreted, so many paths take an hour")
    streamed(monkeypatch, paths=2)
    most = []
    for paths in (200_000, 1_000_000):
        tracemalloc.start()
        streamed(monkeypatch, chunk=10_000, paths=paths, rates=[])
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The array would have been 8 bytes a path: 6.4 MB more. A few chunks may wait for their turn.
    assert most[1] < most[0] + 1_000_000


PLANE = rs.Langevin(gradient=lambda x: (x[0], 4.0 * x[1]), dimension=2)
FAMILIES: dict[str, tuple[Any, Any, Any, Any, dict[str, Any]]] = {
    "steps": (WALK, 1.0, 0.0, RESET, {}),
    "stretches": (WALK, 1.0, 0.0, rs.Sharp(2.0), {"scheme": "exact"}),
    "lanes": (BOWL, 1.0, -0.5, RESET, {"step": 0.05}),
    "lanes, interval": (BOWL, 1.0, (-0.5, 2.0), RESET, {"step": 0.05}),
    "run and tumble": (rs.Telegraph(speed=1.0, flip_rate=1.0), 1.0, 0.0, RESET, {}),
    "space": (
        PLANE,
        [1.0, 0.5],
        rs.targets.half_space(0, 0.0, above=False),
        rs.Sharp(0.7),
        {"step": 0.02},
    ),
    "walk": (rs.RandomWalk(jump=stats.laplace(0.0, 1.0)), 2.0, 0.0, rs.Geometric(0.1), {}),
    "heavy tails": (rs.StableNoise(exponent=1.5), 1.0, 0.0, RESET, {"step": 0.02}),
    "exact steps": (BOWL, 1.0, -0.5, RESET, {"scheme": "exact"}),
    "spheres": (rs.Bessel(dimension=3.0, diffusivity=1.0), 0.5, 2.0, RESET, {}),
    "coloured": (rs.ColouredNoise(correlation_time=0.2), 1.0, 0.0, RESET, {"step": 0.05}),
    "censored": (BOWL, 1.0, -0.5, None, {"step": 0.05, "horizon": 1.0}),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_chunks_do_not_show_in_any_motion(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in paths that end with the chunk nor in those that begin with it."""
    process, start, target, protocol, options = FAMILIES[family]
    paths = 35 if settings.DISABLE_JIT else 700
    S = rs.simulate(process, start, target, protocol, paths=paths, seed=6, **options)
    for chunk, threads in ((1, 1), (7, 2), (64, 3), (10_000, 2)):
        monkeypatch.setattr(streaming, "CHUNK", chunk)
        found = rs.simulate_streaming(
            process, start, target, protocol, paths=paths, seed=6, threads=threads, **options
        )
        assert (found.paths, found.arrived) == (paths, int((~S.censored).sum()))
        assert found.restricted_mean == pytest.approx(float(S.times.mean()), rel=1e-12)
        assert found.resets * paths == pytest.approx(float(S.resets.sum()), rel=1e-12)
        assert found.counts.sum() == found.arrived
        assert found.info["step"] == S.info["step"]


def test_errors_and_the_budget_end_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(rs.NotConverged, match="steps did not bring all"):
        streamed(monkeypatch, budget=500)
    with pytest.raises(rs.DomainError, match="long enough for an arrival"):
        streamed(monkeypatch, horizon=1e-9)
    wrong = rs.Landscape(drift=lambda x: math.nan if x > 1.5 else -1.0)
    with pytest.raises(rs.DomainError, match="drift"):
        rs.simulate_streaming(wrong, 1.0, 0.0, RESET, paths=3000, step=0.01)


def test_what_is_done_after_ctrl_c_is_the_first_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that were passed on are all up to some number."""
    if settings.DISABLE_JIT:
        pytest.skip("interpreted, so many paths take an hour")
    monkeypatch.setattr(streaming, "CHUNK", 500)

    def progress(done: int, _: int) -> None:
        if done >= 500:
            raise KeyboardInterrupt

    found = rs.simulate_streaming(
        BOWL, 1.0, -0.5, RESET, paths=10**7, seed=2, step=0.001, progress=progress
    )
    assert found.info["interrupted"]
    assert 500 <= found.paths < 10**7
    assert found.paths % 500 == 0
    S = rs.simulate(BOWL, 1.0, -0.5, RESET, paths=found.paths, seed=2, step=0.001)
    assert found.mean() == pytest.approx(float(S.mean()), rel=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [{"rates": [-1.0]}, {"rates": [[1.0]]}, {"bias": "halving"}, {"paths": 0},
     {"paths": range(5, 5)}],
)  # fmt: skip
def test_wrong_arguments_are_named(monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]) -> None:
    with pytest.raises(rs.DomainError, match=next(iter(wrong))):
        streamed(monkeypatch, **wrong)


def test_the_default_step_is_looked_at_and_a_coarse_one_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twin: the default step made ten times longer is told of, with its size."""
    if settings.DISABLE_JIT:
        pytest.skip("interpreted, so many paths take an hour")
    paths = 100_000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        good = rs.simulate(BOWL, 1.0, 0.0, rs.Sharp(1.0), paths=paths, seed=1)
    assert abs(good.info["bias"]) < 0.25 * good.stderr()
    assert good.info["bias_stderr"] < 0.05 * good.stderr()
    assert rs.simulate(BOWL, 1.0, 0.0, paths=1000).info["bias"] is None
    kind = type(motion_of_bowl())
    plain = kind.step
    monkeypatch.setattr(kind, "step", lambda *given: 10.0 * plain(*given))
    with pytest.warns(rs.ResetSGDWarning, match="shifts the mean by about"):
        bad = rs.simulate(BOWL, 1.0, 0.0, rs.Sharp(1.0), paths=paths, seed=1)
    exact = rs.first_passage(BOWL, 1.0, 0.0).under(rs.Sharp(1.0)).mean()
    within = 4 * float(bad.stderr())
    assert bad.mean() - exact == pytest.approx(bad.info["bias"], rel=0.6, abs=within)
    with pytest.warns(rs.ResetSGDWarning, match="shifts the mean"):
        rs.simulate_streaming(BOWL, 1.0, 0.0, rs.Sharp(1.0), paths=paths, seed=1)


def motion_of_bowl() -> Any:
    from resetsgd.montecarlo.motions.places import places_of
    from resetsgd.montecarlo.table import motion_of

    return motion_of(BOWL, places_of(1.0, 0.0, None, None, None))
