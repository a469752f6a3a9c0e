"""The same bits for any number of threads, any slices, and any part of the paths."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

import resetsgd as rs
from resetsgd.montecarlo import driver
from resetsgd.montecarlo.streams import STREAM_VERSION

WALK = rs.DriftDiffusion(drift=0.2, diffusivity=1.0)
PROTOCOLS = [rs.Poisson(1.5), rs.Sharp(0.5), rs.Geometric(probability=0.1, step=0.05)]
SCHEMES = [("bridge", None), ("bridge", 0.05), ("exact", None), ("euler", 0.02)]

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: type(p).__name__)
each_scheme = pytest.mark.parametrize(("scheme", "step"), SCHEMES)


def run(protocol: Any, scheme: str, step: float | None, **options: Any) -> rs.Simulated:
    options = {"paths": 2000, "horizon": 3.0, "seed": 99, **options}
    return rs.simulate(WALK, 1.0, 0.0, protocol, scheme=scheme, step=step, **options)


def digest(S: rs.Simulated) -> str:
    parts = (S.times, S.censored, S.resets)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


@each_protocol
@each_scheme
def test_threads_do_not_show(protocol: Any, scheme: str, step: float | None) -> None:
    first = digest(run(protocol, scheme, step, threads=1))
    for threads in (2, 3, 4):
        assert digest(run(protocol, scheme, step, threads=threads)) == first
    assert digest(run(protocol, scheme, step)) == first


@each_protocol
@each_scheme
def test_a_part_is_the_same_as_in_the_whole(protocol: Any, scheme: str, step: float | None) -> None:
    whole = run(protocol, scheme, step)
    part = run(protocol, scheme, step, paths=range(700, 1300))
    assert (part.times == whole.times[700:1300]).all()
    assert (part.resets == whole.resets[700:1300]).all()
    assert (part.info["first"], part.info["paths"]) == (700, 600)
    longer = run(protocol, scheme, step, paths=3000)
    assert (longer.times[:2000] == whole.times).all()


@each_scheme
def test_slices_do_not_show(
    scheme: str, step: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel call that ends in the middle of a path goes on there."""
    whole = digest(run(PROTOCOLS[2], scheme, step, paths=300))
    for steps in (1, 7, 1000):
        monkeypatch.setattr(driver, "SLICE", steps)
        assert digest(run(PROTOCOLS[2], scheme, step, paths=300)) == whole


def test_the_million_of_the_issue() -> None:
    one = rs.simulate(WALK, 1.0, 0.0, PROTOCOLS[0], paths=10**6, threads=1)
    two = rs.simulate(WALK, 1.0, 0.0, PROTOCOLS[0], paths=10**6, threads=2)
    assert digest(one) == digest(two)


@each_scheme
def test_seeds_and_paths_differ(scheme: str, step: float | None) -> None:
    one, two = (run(PROTOCOLS[0], scheme, step, seed=seed, horizon=None) for seed in (1, 2))
    if scheme != "euler":  # whose times share the grid of its steps
        assert len(np.unique(np.concatenate([one.times, two.times]))) == 4000
    assert (one.times != two.times).mean() > 0.9
    assert abs(np.corrcoef(one.times, two.times)[0, 1]) < 0.15


def test_runs_say_how_they_were_made() -> None:
    S = run(PROTOCOLS[0], "bridge", 0.1, threads=2)
    wanted = {
        "process": "DriftDiffusion(drift=0.2, diffusivity=1.0)", "protocol": "Poisson(rate=1.5)",
        "start": 1.0, "target": 0.0, "reset_to": 1.0, "scheme": "bridge", "step": 0.1,
        "first": 0, "paths": 2000, "horizon": 3.0, "seed": 99, "stream_version": STREAM_VERSION,
        "threads": 2,
    }  # fmt: skip
    assert {key: S.info[key] for key in wanted} == wanted
    assert S.info["seconds"] > 0
    assert S.info["steps"] > S.times.sum() / 0.1


# Anything that changes these numbers changes every user's results: raise STREAM_VERSION with it.
GOLDEN = {
    "bridge": (
        [5.973397800853853, 6.243031795999444, 0.8749296303606973, 2.7839404460183688],
        [8, 13, 2, 3],
    ),
    "exact": (
        [3.9368128884812092, 2.6300022610495173, 0.12287346352059535, 0.4813974967969929],
        [7, 7, 0, 0],
    ),
    "euler": (
        [0.7297368705350528, 2.1486354030146226, 0.5299703611578865, 0.3888334491969946],
        [4, 6, 1, 1],
    ),
}


@pytest.mark.parametrize("scheme", list(GOLDEN))
def test_the_streams_of_this_version(scheme: str) -> None:
    """Relative 1e-12 leaves room for the last digit of another C library's logarithm.

    The float32 noise of plain Euler is fused differently on another processor: 1e-5.
    """
    times, resets = GOLDEN[scheme]
    S = rs.simulate(WALK, 1.0, 0.0, PROTOCOLS[0], paths=range(5, 9), seed=7, scheme=scheme)
    assert STREAM_VERSION == 3
    assert S.times == pytest.approx(times, rel=1e-5 if scheme == "euler" else 1e-12)
    assert S.resets.tolist() == resets
