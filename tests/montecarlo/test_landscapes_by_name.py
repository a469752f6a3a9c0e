"""Toy landscapes: gradients are gradients, known points are stationary, both motions agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import resetsgd as rs

toys = rs.landscapes
ALL = [
    toys.quadratic(2.0),
    toys.quadratic([1.0, 4.0, 9.0]),
    toys.double_well(1.5, 0.7),
    toys.double_well(1.0, 1.0, transverse=[2.0, 3.0]),
    toys.tilted_well(0.5),
    toys.tilted_well(-1.0, transverse=4.0),
    toys.rugged_well(),
    toys.rugged_well(transverse=[1.0]),
    toys.mueller_brown(),
    toys.rastrigin(1),
    toys.rastrigin(3, height=2.0),
    toys.sharp_and_flat(),
    toys.sharp_and_flat(sharp=50.0, offset=-0.2, dimension=4),
    toys.asymmetric_valley(),
    toys.asymmetric_valley(transverse=[1.0, 1.0]),
    toys.noisy_labels(0.4),
    toys.noisy_labels(0.1, transverse=[5.0]),
]
each = pytest.mark.parametrize("toy", ALL, ids=lambda toy: f"{toy.name}-{toy.dimension}")


def gradient(toy: Any, x: Any) -> Any:
    out = np.empty(toy.dimension)
    try:
        toy.gradient(x, out)
    except TypeError:
        out[:] = toy.gradient(x)
    return out


@each
def test_the_gradient_is_the_potential_s(toy: Any) -> None:
    generator = np.random.default_rng(1)
    for x in generator.uniform(-1.5, 1.5, (20, toy.dimension)):
        steps = 1e-6 * np.eye(toy.dimension)
        slopes = [(toy.potential(x + h) - toy.potential(x - h)) / 2e-6 for h in steps]
        assert gradient(toy, x) == pytest.approx(np.array(slopes, float), rel=1e-5, abs=1e-5)


@each
def test_minima_and_saddles(toy: Any) -> None:
    assert toy.minima
    for place, downhill in [(x, 0) for x in toy.minima] + [(x, 1) for x in toy.saddles]:
        if toy.name == "noisy_labels" and place[0] == 1.0:
            # A kink of the clean loss: downhill on both sides of the barrier's top.
            assert toy.parts["drift"](0.99) < 0.0 < toy.parts["drift"](1.01)
            continue
        assert np.abs(gradient(toy, place)).max() < 1e-8
        hessian = np.array([
            (gradient(toy, place + h) - gradient(toy, place - h)) / 2e-6
            for h in 1e-6 * np.eye(toy.dimension)
        ])  # fmt: skip
        assert (np.linalg.eigvalsh((hessian + hessian.T) / 2) < 0).sum() == downhill


def test_the_wrong_gradient_would_be_seen() -> None:
    well, other = toys.double_well(1.5, 0.7), toys.double_well(1.6, 0.7)
    slope = (well.potential([0.300001]) - well.potential([0.299999])) / 2e-6
    assert gradient(well, np.array([0.3])) == pytest.approx(slope, rel=1e-5)
    assert gradient(other, np.array([0.3])) != pytest.approx(slope, rel=1e-5)


@each
def test_it_can_be_simulated(toy: Any) -> None:
    """Compiled gradients move paths; in one dimension theory and simulation meet loosely."""
    start = np.array(toy.minima[0])
    process = toy.langevin(diffusivity=5.0)
    S = rs.simulate(
        process, start, rs.targets.outside(start, 0.3), paths=200, step=2e-4, seed=1, budget=10**8
    )
    assert not S.censored.any()
    if toy.dimension == 1:
        line = toy.landscape(diffusivity=5.0)
        ends = (float(start[0]) - 0.3, float(start[0]) + 0.3)
        exact = rs.first_passage(line, float(start[0]), ends)
        assert abs(S.times.mean() - exact.mean()) < 6 * S.times.std() / np.sqrt(200)


def test_noisy_labels_change_the_sign_of_the_drift() -> None:
    """Above 2c/(2c + pi² w) = 0.168 the clean minimum is a barrier, below it is on the way down."""
    critical = 2 / (2 + np.pi**2)
    below, above = toys.noisy_labels(critical - 0.01), toys.noisy_labels(critical + 0.01)
    s = np.linspace(0.01, 0.999, 400)
    assert all(below.parts["drift"](x) > 0 for x in s)
    assert any(above.parts["drift"](x) < 0 for x in s)
    assert len(below.minima) == 1
    assert len(above.minima) == 2
    path = toys.noisy_labels(0.4)
    mixed = [0.6 * path.parts["clean"](x) + 0.4 * path.parts["wrong"](x) for x in s]
    assert [path.potential([x]) for x in s] == pytest.approx(mixed)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: toys.quadratic([1.0, 0.0]), "curvatures"),
        (lambda: toys.double_well(barrier=-1.0), "barrier"),
        (lambda: toys.double_well(transverse=[0.0]), "transverse"),
        (lambda: toys.tilted_well(tilt=5.0), "tilt"),
        (lambda: toys.rugged_well(wavelength=0.0), "wavelength"),
        (lambda: toys.mueller_brown(scale=[1.0, 2.0]), "scale"),
        (lambda: toys.rastrigin(0), "dimension"),
        (lambda: toys.sharp_and_flat(softness=0.0), "softness"),
        (lambda: toys.noisy_labels(1.0), "noise_rate"),
        (lambda: toys.asymmetric_valley(flat=np.nan), "flat"),
        (lambda: toys.mueller_brown().landscape(), "dimension"),
    ],
)
def test_wrong_arguments(make: Any, name: str) -> None:
    with pytest.raises(rs.DomainError, match=f"^{name} "):
        make()
