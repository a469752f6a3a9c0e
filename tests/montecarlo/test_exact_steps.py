"""Schemes that make no error by the time step: exact steps in a bowl, spheres for the radius."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs

ALPHA = 1e-10
LIMIT = float(stats.norm.isf(ALPHA / 2))
BOWL = rs.OrnsteinUhlenbeck(stiffness=2.0, center=0.5, diffusivity=0.7)
RESETS = [None, rs.Poisson(1.0), rs.Sharp(0.6, overhead=0.1)]


def accepts(simulated: Any, expected: Any) -> bool:
    return bool(abs(simulated.mean() - expected) <= LIMIT * simulated.stderr())


def p_value(simulated: Any, law: Any) -> float:
    """Of the whole distribution, in cells of equal probability in a sample of the law."""
    cuts = np.unique(np.quantile(simulated.times, np.linspace(0.01, 0.99, 50)))
    survival = np.concatenate([[1.0], np.asarray(law.survival(cuts)), [0.0]])
    counts = np.bincount(np.searchsorted(cuts, simulated.times), minlength=cuts.size + 1)
    shares = -np.diff(survival)
    expected = shares * simulated.times.size
    return float(stats.chi2.sf(((counts - expected) ** 2 / expected).sum(), cuts.size))


@pytest.mark.statistical(alpha=12 * ALPHA)
@pytest.mark.parametrize("protocol", RESETS, ids=repr)
@pytest.mark.parametrize("step", [None, 0.5])
def test_to_the_centre_of_a_bowl(protocol: Any, step: float | None) -> None:
    """No error at any step, here 16 and 1 relaxation times; detects 0.6 % of the mean.

    Twin: Euler steps with the bridge, of a tenth of the length.
    """
    law = rs.first_passage(BOWL, 1.5, 0.5)
    law = law if protocol is None else law.under(protocol)
    S = rs.simulate(BOWL, 1.5, 0.5, protocol, paths=400_000, scheme="exact", step=step, seed=1)
    assert accepts(S, law.mean())
    assert p_value(S, law) >= ALPHA
    if protocol is None and step is None:
        E = rs.simulate(BOWL, 1.5, 0.5, paths=400_000, scheme="bridge", step=0.05, seed=1)
        assert not accepts(E, law.mean())
        assert not p_value(E, law) >= ALPHA


@pytest.mark.statistical(alpha=10 * ALPHA)
@pytest.mark.parametrize(
    ("start", "target"), [(1.5, 1.0), (1.5, 0.2), (-0.5, 0.0), (-1.0, 1.2), (0.4, (0.1, 1.3))]
)
def test_elsewhere_in_a_bowl(start: float, target: Any) -> None:
    """At the default step, both sides of the centre; detects 0.7 % of the mean. Twin: Euler."""
    S = rs.simulate(BOWL, start, target, paths=300_000, scheme="exact", seed=2)
    law = rs.first_passage(BOWL, start, target)
    assert accepts(S, law.mean())
    assert p_value(S, law) >= ALPHA
    if not isinstance(target, tuple):
        E = rs.simulate(BOWL, start, target, paths=300_000, scheme="euler", step=0.05, seed=2)
        assert not accepts(E, law.mean())
    else:
        assert S.exit_side is not None
        share, low = (S.exit_side < 0).mean(), law.splitting()[0]
        assert abs(share - low) <= LIMIT * (low * (1 - low) / 300_000) ** 0.5
        assert not abs(share - low - 0.01) <= LIMIT * (low * (1 - low) / 300_000) ** 0.5


@pytest.mark.statistical(alpha=8 * ALPHA)
@pytest.mark.parametrize("dimension", [1.0, 2.5, 3.0, 10.0])
@pytest.mark.parametrize("protocol", [None, rs.Poisson(1.0)], ids=repr)
def test_outward_from_sphere_to_sphere(dimension: float, protocol: Any) -> None:
    """Mean and distribution from 1 to the radius 2; detects 1 %. Twin: a tenth more dimensions."""

    def law(d: float) -> Any:
        free = rs.first_passage(rs.Bessel(d, 0.5), 1.0, 2.0)
        return free if protocol is None else free.under(protocol)

    S = rs.simulate(rs.Bessel(dimension, 0.5), 1.0, 2.0, protocol, paths=200_000, seed=3)
    assert accepts(S, law(dimension).mean())
    assert p_value(S, law(dimension)) >= ALPHA
    assert not accepts(S, law(1.1 * dimension).mean())
    assert not p_value(S, law(1.1 * dimension)) >= ALPHA


@pytest.mark.statistical(alpha=ALPHA)
def test_from_the_centre_and_back_to_it() -> None:
    """Resets to the centre of a sphere in three dimensions, from half way."""
    ball = rs.Bessel(3.0, 1.0)
    there, back = (rs.first_passage(ball, r, 1.0) for r in (0.5, 0.0))
    S = rs.simulate(ball, 0.5, 1.0, rs.Poisson(5.0), reset_to=0.0, paths=200_000, seed=4)
    law = there.under(rs.Poisson(5.0), then=back)
    assert accepts(S, law.mean())
    assert not accepts(S, there.under(rs.Poisson(5.0)).mean())


def test_inward_it_may_never_arrive() -> None:
    """In three dimensions a share of b/r arrives; a horizon or resets are asked for."""
    with pytest.raises(rs.DomainError, match=r"^horizon "):
        rs.simulate(rs.Bessel(3.0, 1.0), 2.0, 1.0, paths=10)
    S = rs.simulate(rs.Bessel(3.0, 1.0), 2.0, 1.0, paths=2000, horizon=200.0)
    assert 0.4 < (~S.censored).mean() < 0.6


@pytest.mark.parametrize(
    ("process", "options", "name"),
    [
        (BOWL, {"scheme": "exact", "step": 1e4}, "step"),
        (BOWL, {"scheme": "exact", "wall": 2.0}, "scheme"),
        (rs.Bessel(0.5, 1.0), {"target": 2.0}, "dimension"),
        (rs.Bessel(3.0, 1.0), {"target": 2.0, "step": 0.1}, "step"),
        (rs.Bessel(3.0, 1.0), {"target": 2.0, "wall": 0.1}, "wall"),
        (rs.Bessel(3.0, 1.0), {"target": 2.0, "start": -1.0}, "start"),
        (rs.Bessel(3.0, 1.0), {"target": 2.0, "scheme": "heun"}, "scheme"),
    ],
)
def test_what_is_refused(process: Any, options: dict[str, Any], name: str) -> None:
    given: dict[str, Any] = {"start": 1.0, "target": 0.0, "paths": 2, **options}
    with pytest.raises(rs.DomainError, match=f"^{name} "):
        rs.simulate(process, **given)


def test_the_same_bits_on_any_number_of_threads() -> None:
    for process, target in ((BOWL, 0.2), (rs.Bessel(3.0, 1.0), 2.0)):
        runs = [
            rs.simulate(process, 1.0, target, rs.Poisson(1.0), scheme="exact", paths=500, seed=5,
                        threads=threads).times
            for threads in (1, 2)
        ]  # fmt: skip
        assert (runs[0] == runs[1]).all()
        part = rs.simulate(process, 1.0, target, rs.Poisson(1.0), scheme="exact", seed=5,
                           paths=range(100, 200)).times  # fmt: skip
        assert (part == runs[0][100:200]).all()
