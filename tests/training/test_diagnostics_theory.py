"""The bridge to the theory, on linear regression where every step of SGD can be written down."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import resetsgd as rs
from resetsgd.training import Snapshot
from resetsgd.training.diagnostics import (
    DiffusionAlong,
    Probe,
    diffusion_along,
    measuring,
    toward,
)

RNG = np.random.default_rng(11)
X, TRUTH, HERE = RNG.normal(size=(9, 3)), RNG.normal(size=3), RNG.normal(size=3)
CLEAN = X @ TRUTH
WRONG = np.isin(np.arange(9), (1, 4, 5))
Y = CLEAN + np.where(WRONG, RNG.normal(size=9), 0.0)
PROBE = Probe(torch.from_numpy(X), torch.from_numpy(Y), truth=torch.from_numpy(CLEAN))
UNIT = (TRUTH - HERE) / np.linalg.norm(TRUTH - HERE)
RATE, DECAY, BATCH = 0.07, 0.03, 4


def half_square(outputs: Tensor, labels: Tensor) -> Tensor:
    return 0.5 * (outputs - labels) ** 2


def model() -> nn.Module:
    linear = nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(HERE[None]))
    return nn.Sequential(linear, nn.Flatten(0))


def pair(**options: float) -> tuple[nn.Module, torch.optim.SGD]:
    network = model()
    return network, torch.optim.SGD(network.parameters(), **{"lr": RATE, **options})  # type: ignore[arg-type]


def measured(**options: float) -> rs.sgd.Direction:
    network, optimizer = pair(**options)
    return diffusion_along(
        network, PROBE, toward(torch.from_numpy(TRUTH)), optimizer=optimizer, batch_size=BATCH,
        loss=half_square, samples=9, chunk=4,
    )  # fmt: skip


def all_steps() -> np.ndarray:
    """Displacement along the direction of torch's own SGD, for each batch there is."""
    moves = []
    for rows in combinations(range(9), BATCH):
        network, optimizer = pair(weight_decay=DECAY)
        chosen = list(rows)
        half_square(network(PROBE.images[chosen]), PROBE.labels[chosen]).mean().backward()
        optimizer.step()
        moves.append((next(network.parameters()).detach().numpy()[0] - HERE) @ UNIT)
    return np.array(moves)


def test_velocity_and_diffusivity_are_those_of_every_possible_step() -> None:
    along, moves = measured(weight_decay=DECAY), all_steps()
    assert along.velocity == pytest.approx(moves.mean(), rel=1e-11)
    assert along.diffusivity == pytest.approx(0.5 * moves.var(), rel=1e-11)
    # the twin: batches with replacement spread more, and the same comparison tells
    network, optimizer = pair(weight_decay=DECAY)
    apart = diffusion_along(
        network, PROBE, toward(torch.from_numpy(TRUTH)), optimizer=optimizer, batch_size=BATCH,
        loss=half_square,
    )  # fmt: skip
    assert apart.diffusivity != pytest.approx(0.5 * moves.var(), rel=0.1)


def test_everything_handed_to_the_theory_is_what_numpy_gets() -> None:
    along = measured(momentum=0.8, weight_decay=DECAY)
    gradients = X * (X @ HERE - Y)[:, None]
    clean, wrong = gradients[~WRONG], gradients[WRONG]
    expected = rs.sgd.drift_diffusion(
        clean.mean(0), wrong.mean(0), 1 / 3,
        clean_covariance=np.cov(clean, rowvar=False, bias=True),
        noisy_covariance=np.cov(wrong, rowvar=False, bias=True),
        learning_rate=RATE, batch_size=BATCH, direction=TRUTH - HERE, momentum=0.8,
        weight_decay=DECAY, position=HERE, samples=9,
    )  # fmt: skip
    for name in ("velocity", "diffusivity", "gain", "variance", "critical_noise_rate"):
        assert getattr(along, name) == pytest.approx(getattr(expected, name), rel=1e-10), name
    distance = float(np.linalg.norm(TRUTH - HERE))
    assert along.peclet(distance) == pytest.approx(expected.peclet(distance), rel=1e-10)
    for name in ("critical_batch_size", "critical_resetting_noise_rate"):
        value = getattr(along, name)(distance)
        assert value == pytest.approx(getattr(expected, name)(distance), rel=1e-8), name
    # the twin lacks the factor 1/(1 - momentum)
    assert measured(weight_decay=DECAY).velocity != pytest.approx(along.velocity, rel=0.1)


def test_without_true_labels_drift_and_diffusion_are_the_same() -> None:
    network, optimizer = pair()
    blind = Probe(PROBE.images, PROBE.labels)
    along = diffusion_along(
        network, blind, toward(torch.from_numpy(TRUTH)), optimizer=optimizer, batch_size=BATCH,
        loss=half_square, samples=9,
    )  # fmt: skip
    seeing = measured()
    assert along.velocity == pytest.approx(seeing.velocity, rel=1e-11)
    assert along.diffusivity == pytest.approx(seeing.diffusivity, rel=1e-11)
    assert along.noise_rate == 0.0


def test_the_instrument_records_the_same_and_the_peclet_number() -> None:
    network, optimizer = pair(momentum=0.5)
    instrument = DiffusionAlong(toward([torch.from_numpy(TRUTH[None])]), BATCH, samples=9)
    with measuring(network, PROBE, optimizer=optimizer, loss=half_square) as context:
        found = instrument.measure(context)
    along, distance = measured(momentum=0.5), float(np.linalg.norm(TRUTH - HERE))
    assert found["velocity"] == pytest.approx(along.velocity, rel=1e-12)
    assert found["diffusivity"] == pytest.approx(along.diffusivity, rel=1e-12)
    assert found["distance"] == pytest.approx(distance, rel=1e-12)
    assert found["peclet"] == pytest.approx(along.peclet(distance), rel=1e-12)


def test_where_there_is_no_direction_or_no_noise_it_records_nan() -> None:
    network, optimizer = pair()
    snapshot = Snapshot.capture(network, optimizer)
    back = DiffusionAlong("from checkpoint", BATCH)
    with measuring(network, PROBE, optimizer=optimizer, loss=half_square) as context:
        assert all(np.isnan(value) for value in back.measure(context).values())
    with measuring(
        network, PROBE, optimizer=optimizer, loss=half_square, checkpoint=snapshot
    ) as context:  # the checkpoint is here
        assert all(np.isnan(value) for value in back.measure(context).values())
    with torch.no_grad():
        network[0].weight.copy_(torch.from_numpy(TRUTH[None]))  # type: ignore[index]
    solved = Probe(PROBE.images, PROBE.truth)  # type: ignore[arg-type]
    with measuring(
        network, solved, optimizer=optimizer, loss=half_square, checkpoint=snapshot
    ) as context:
        found = DiffusionAlong(torch.ones(3, dtype=torch.float64), BATCH).measure(context)
    assert np.isnan(found["diffusivity"]) or found["diffusivity"] < 1e-30


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("optimizer", {"optimizer": lambda n: torch.optim.Adam(n.parameters())}),
        (
            "optimizer",
            {
                "optimizer": lambda n: torch.optim.SGD(
                    [{"params": [n[0].weight], "lr": 0.1}, {"params": [n[0].bias], "lr": 0.2}]
                )
            },
        ),
        ("dampening", {"optimizer": lambda n: _sgd(n, momentum=0.9, dampening=0.5)}),
        ("optimizer", {"optimizer": lambda n: _sgd(nn.Linear(2, 2))}),
        ("direction", {"direction": "from checkpoint"}),
        ("direction", {"direction": torch.zeros(4).double()}),
        ("target", {"direction": lambda: toward([])}),
        ("batch_size", {"batch_size": 9, "samples": 9}),
    ],
)
def test_wrong_use_is_one_clear_error(name: str, change: dict[str, object]) -> None:
    network = nn.Sequential(nn.Linear(3, 1).double(), nn.Flatten(0))
    arguments: dict[str, object] = {
        "direction": torch.ones(4).double(),
        "optimizer": _sgd,
        "batch_size": 4,
        "loss": half_square,
        **change,
    }
    with pytest.raises(rs.DomainError, match=rf"^{name} = "):
        arguments["optimizer"] = arguments["optimizer"](network)  # type: ignore[operator]
        if name == "target":
            arguments["direction"] = arguments["direction"]()  # type: ignore[operator]
        diffusion_along(network, PROBE, **arguments)  # type: ignore[arg-type]


def _sgd(network: nn.Module, **options: float) -> torch.optim.SGD:
    return torch.optim.SGD(network.parameters(), **{"lr": 0.1, **options})  # type: ignore[arg-type]
