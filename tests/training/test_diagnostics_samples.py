"""Instruments that look at samples, each against a calculation of its own."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diagnosed import cross_entropies, images, masked, normed, perceptron, probe, slow_gradients
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import resetsgd as rs
from resetsgd.training import Snapshot, digits, methods, symmetric_noise
from resetsgd.training.diagnostics import (
    CheckpointDistance,
    ComplexityGap,
    CriticalSampleRatio,
    LabelFractions,
    LastLayerNorm,
    Probe,
    Susceptibility,
    TurnOverDropout,
    TurnOverInfluence,
    VarianceOfGradients,
    complexity_gap,
    critical_samples,
    instance_masks,
    measuring,
    slingshots,
    turn_over_influence,
)
from resetsgd.training.diagnostics.predictions import grouped


class Reads(nn.Module):
    """Whose logits are the images."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


# --- memorised, correct, other --------------------------------------------------------------------


def test_fractions_are_those_counted_one_by_one() -> None:
    generator = torch.Generator().manual_seed(2)
    draw = torch.randint(0, 4, (3, 200), generator=generator)
    predicted, labels, truth = draw
    held = Probe(nn.functional.one_hot(predicted, 4).double(), labels, truth=truth)
    with measuring(Reads(), held, batch_size=13) as context:
        found = LabelFractions().measure(context)
    counts = {"memorised": 0, "correct": 0, "other": 0, "clean_correct": 0}
    wrong = 0
    for guess, label, true in zip(*(t.tolist() for t in draw), strict=True):
        if label == true:
            counts["clean_correct"] += guess == label
            continue
        wrong += 1
        counts["memorised" if guess == label else "correct" if guess == true else "other"] += 1
    assert found == {
        key: value / (200 - wrong if key == "clean_correct" else wrong)
        for key, value in counts.items()
    }
    assert found["memorised"] + found["correct"] + found["other"] == pytest.approx(1.0)


def test_detection_is_the_probability_that_a_wrong_one_scores_higher() -> None:
    generator = torch.Generator().manual_seed(1)
    scores = torch.randint(0, 6, (60,), generator=generator).double()
    wrong = torch.rand(60, generator=generator) < 0.4
    pairs = [
        (a > b) + 0.5 * (a == b)
        for a in scores[wrong].tolist()
        for b in scores[~wrong].tolist()
    ]  # fmt: skip
    found = grouped(scores, wrong)
    assert found["detection"] == pytest.approx(np.mean(pairs), rel=1e-12)
    assert found["wrong"] == pytest.approx(scores[wrong].mean().item())
    assert math.isnan(grouped(scores, torch.zeros(60).bool())["detection"])
    assert grouped(scores, None).keys() == {"score"}


# --- susceptibility -------------------------------------------------------------------------------


def half_square(outputs: Tensor, labels: Tensor) -> Tensor:
    """Of one-hot labels: quadratic in the weights of a linear model."""
    return 0.5 * (outputs - nn.functional.one_hot(labels, outputs.shape[1])).square().sum(1)


def test_a_step_on_a_quadratic_loss_drops_it_as_the_hessian_says() -> None:
    torch.manual_seed(0)
    model, held, rate = nn.Linear(5, 3).double(), probe(), 0.17
    instrument = Susceptibility(samples=10, learning_rate=rate, seed=4)
    with measuring(model, held, loss=half_square, step=6) as context:
        found = instrument.measure(context)
        batch = instrument.batch(context)
    x = torch.cat([batch.images, torch.ones(10, 1, dtype=torch.float64)], dim=1)
    residual = model(batch.images).detach() - nn.functional.one_hot(batch.labels, 3)
    slope = residual.T @ x / 10
    expected = rate * slope.square().sum() - 0.5 * rate**2 * ((slope @ x.T) ** 2).sum() / 10
    assert found["drop"] == pytest.approx(expected.item(), rel=1e-10)
    assert len(batch.labels) == 10
    assert set(batch.labels.tolist()) <= {0, 1, 2}


def test_small_steps_drop_the_loss_by_the_square_of_the_gradient() -> None:
    """Finite differences: the drop over the learning rate tends to |gradient|^2."""
    model, held = normed(), probe()
    drops = []
    for rate in (1e-3, 1e-4, 1e-5):
        with measuring(model, held) as context:
            instrument = Susceptibility(samples=24, learning_rate=rate)
            batch = instrument.batch(context)
            drops.append(instrument.measure(context)["drop"] / rate)
    slow = slow_gradients(model, batch, cross_entropies(batch)).mean(0)
    square = slow.square().sum().item()
    errors = [abs(drop / square - 1.0) for drop in drops]
    assert errors[2] < 1e-4
    assert errors[0] / errors[1] == pytest.approx(10.0, rel=0.1)


def optimizers(model: nn.Module) -> list[torch.optim.Optimizer]:
    return [
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01),
        torch.optim.Adam(model.parameters(), lr=0.01),
    ]


@pytest.mark.parametrize("which", [0, 1])
def test_a_step_of_the_optimizer_is_that_of_a_copy_made_by_hand(which: int) -> None:
    model, held = perceptron(), probe()
    optimizer = optimizers(model)[which]
    for _ in range(3):
        optimizer.zero_grad()
        cross_entropy(model(held.images), held.labels).backward()
        optimizer.step()
    instrument = Susceptibility(samples=10, step="optimizer")
    with measuring(model, held, optimizer=optimizer, step=2) as context:
        drop = instrument.measure(context)["drop"]
        batch = instrument.batch(context)
    twin = perceptron()
    twin.load_state_dict(model.state_dict())
    other = optimizers(twin)[which]
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    other.zero_grad()
    before = cross_entropy(twin(batch.images), batch.labels)
    before.backward()
    other.step()
    after = cross_entropy(twin(batch.images), batch.labels)
    assert drop == pytest.approx((before - after).item(), rel=1e-12)


def test_gradient_steps_take_the_learning_rate_of_each_group() -> None:
    model, held = perceptron(), probe()
    groups = [
        {"params": model[0].parameters(), "lr": 0.3},  # type: ignore[index]
        {"params": [model[2].weight], "lr": 0.01},  # type: ignore[index]
    ]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    instrument = Susceptibility(samples=24)
    with measuring(model, held, optimizer=optimizer) as context:
        drop, batch = instrument.measure(context)["drop"], instrument.batch(context)
    twin = perceptron()
    before = cross_entropy(twin(batch.images), batch.labels)
    before.backward()
    with torch.no_grad():
        for parameter, rate in zip(twin.parameters(), (0.3, 0.3, 0.01, 0.0), strict=True):
            parameter -= rate * parameter.grad
    after = cross_entropy(twin(batch.images), batch.labels)
    assert drop == pytest.approx((before - after).item(), rel=1e-12)


def test_labels_stay_with_their_sample_and_batches_change() -> None:
    held, instrument = probe(), Susceptibility(samples=12, learning_rate=0.1, classes=7)
    seen: dict[int, int] = {}
    batches = []
    for step in range(6):
        with measuring(perceptron(), held, step=step) as context:
            batch = instrument.batch(context)
        assert batch.index is not None
        for place, label in zip(batch.index.tolist(), batch.labels.tolist(), strict=True):
            assert seen.setdefault(place, label) == label
        batches.append(sorted(batch.index.tolist()))
    assert len({tuple(b) for b in batches}) == 6
    assert len(set(seen.values())) == 7


def test_running_is_the_mean_of_the_scheduled_drops() -> None:
    model, held, memory, drops = perceptron(), probe(), {}, []
    instrument = Susceptibility(samples=12, learning_rate=0.1)
    for step, moment in enumerate(["schedule", "after reset", "schedule", "asked", "schedule"]):
        with measuring(model, held, step=step, moment=moment) as context:
            context.memory = memory
            found = instrument.measure(context)
        if moment == "schedule":
            drops.append(found["drop"])
        assert found["running"] == pytest.approx(np.mean(drops), rel=1e-12)


def test_a_wrapped_optimizer_that_cannot_be_copied_is_refused() -> None:
    model = perceptron()
    sam = methods.SAM(torch.optim.SGD(model.parameters(), lr=0.1))
    with (
        measuring(model, probe(), optimizer=sam) as context,
        pytest.raises(rs.DomainError, match=r"^step = "),
    ):
        Susceptibility(step="optimizer").measure(context)


# --- variance of gradients ------------------------------------------------------------------------


@pytest.mark.parametrize("window", [None, 3])
def test_variance_of_gradients_is_that_of_pixel_gradients_by_backward(window: int | None) -> None:
    held, memory, slopes = probe(), {}, []
    instrument = VarianceOfGradients(window=window)
    model = normed().eval()
    for step in range(5):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(
                    0.1 * images(parameter.numel(), 1, seed=step).reshape(parameter.shape)
                )
        with measuring(model, held, moment="schedule", batch_size=7) as context:
            context.memory = memory
            found = instrument.measure(context)
        slope = []
        for i in range(len(held)):
            x = held.images[i : i + 1].clone().requires_grad_()
            model(x)[0, held.labels[i]].backward()
            slope.append(x.grad[0])  # type: ignore[index]
        slopes.append(torch.stack(slope).numpy())
    model.zero_grad()
    kept = np.stack(slopes if window is None else slopes[-window:])
    raw = np.sqrt(((kept - kept.mean(0)) ** 2).mean(0)).mean(1)
    np.testing.assert_allclose(found["raw"], raw, rtol=1e-10)
    labels = held.labels.numpy()
    for k in range(3):
        mine = raw[labels == k]
        expected = (mine - mine.mean()) / mine.std()
        np.testing.assert_allclose(found["score"][labels == k], expected, rtol=1e-8)


def test_what_is_asked_for_does_not_enter_the_variance() -> None:
    held, memory = probe(), {}
    for moment in ("schedule", "asked", "asked", "schedule"):
        with measuring(perceptron(), held, moment=moment) as context:
            context.memory = memory
            VarianceOfGradients().measure(context)
    assert memory["count"] == 2


# --- complexity gap -------------------------------------------------------------------------------


def left_out(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The definition: the complexity with a sample less that without, solved anew for each."""
    x = x / np.linalg.norm(x, axis=1, keepdims=True)

    def complexity(rows: np.ndarray) -> float:
        cosine = np.clip(x[rows] @ x[rows].T, -1.0, 1.0)
        kernel = cosine * (np.pi - np.arccos(cosine)) / (2 * np.pi)
        np.fill_diagonal(kernel, 0.5)
        return float(y[rows] @ np.linalg.solve(kernel, y[rows]))

    every = np.arange(len(x))
    return np.array([complexity(every) - complexity(np.delete(every, i)) for i in every])


def test_the_gap_is_that_of_leaving_one_sample_out() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(14, 2, 4)), np.repeat([0, 1], 7)
    found = complexity_gap(x, y, repeats=1)  # both classes are whole: nothing is drawn
    np.testing.assert_allclose(found, left_out(x.reshape(14, -1), 1.0 - 2.0 * y), rtol=1e-8)
    scaled = complexity_gap(x * rng.uniform(1e-3, 1e3, size=(14, 1, 1)), y, repeats=1)
    np.testing.assert_allclose(scaled, found, rtol=1e-8)


def test_wrong_labels_of_digits_score_higher() -> None:
    data = digits(train=300, validation=50, test=50)
    noisy, _ = symmetric_noise(data.train.labels, 0.2, classes=10, seed=2)
    x, labels, truth = (torch.tensor(a) for a in (data.train.images, noisy, data.train.labels))
    with measuring(nn.Linear(64, 10), Probe(x, labels, truth=truth)) as context:
        instrument = ComplexityGap(repeats=3)
        found = instrument.measure(context)
        again = instrument.measure(context)
    assert found["detection"] > 0.9
    assert torch.equal(found["score"], again["score"])
    with measuring(nn.Linear(64, 10), Probe(x, truth, truth=labels)) as context:
        other = ComplexityGap(repeats=3).measure(context)  # the twin: labels that are right
    assert not other["detection"] > 0.9


def test_repeated_images_need_a_ridge() -> None:
    x, y = images(6).numpy(), np.array([0, 0, 0, 1, 1, 1])
    x[1] = 2.0 * x[0]
    with pytest.raises(rs.DomainError, match=r"^images = "):
        complexity_gap(x, y)
    assert np.isfinite(complexity_gap(x, y, ridge=1e-3)).all()


# --- critical samples -----------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [0.05, 0.3, 1.0])
def test_of_two_linear_classes_those_within_reach_are_critical(radius: float) -> None:
    model = nn.Linear(6, 2).double()
    x = images(300, 6, seed=3)
    margin = (model(x)[:, 0] - model(x)[:, 1]).detach().abs()
    reach = radius * (model.weight[0] - model.weight[1]).detach().abs().sum()
    found = critical_samples(model, x, radius=radius, noise=0.0)
    assert found.tolist() == (margin < reach).tolist()
    assert 0 < int(found.sum()) < 300 or radius == 1.0
    with_noise = critical_samples(model, x, radius=radius, seed=1)
    assert not (with_noise & (margin >= reach)).any()
    assert with_noise.sum() >= 0.95 * found.sum()


def test_the_search_stays_in_its_range_and_does_not_depend_on_company() -> None:
    seen: list[Tensor] = []
    model = perceptron()

    def watched(x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        return model(x)  # type: ignore[no-any-return]

    x = images(20).clamp(-0.5, 0.5)
    found = critical_samples(watched, x, radius=0.2, low=-0.5, high=0.6, iterations=7)
    assert all(s.min() >= -0.5 and s.max() <= 0.6 for s in seen)
    assert all((s - x[: len(s)]).abs().max() <= 0.2 + 1e-12 for s in seen[:3])
    for size in (1, 6):
        again = critical_samples(
            model, x, radius=0.2, low=-0.5, high=0.6, iterations=7, batch_size=size
        )
        assert again.tolist() == found.tolist()


def test_the_ratio_is_the_share_in_each_group() -> None:
    model, held = perceptron(), probe()
    with measuring(model, held, step=3) as context:
        found = CriticalSampleRatio(radius=0.4).measure(context)
        critical = critical_samples(context.forward, held.images, radius=0.4, draw=3)
    wrong = held.labels != held.truth
    assert found["ratio"] == critical.double().mean().item()
    assert found["wrong"] == critical[wrong].double().mean().item()
    assert found["clean"] == critical[~wrong].double().mean().item()
    assert 0.0 < found["ratio"] < 1.0


# --- turn-over dropout ----------------------------------------------------------------------------


def test_masks_are_fixed_halves_and_flipped_ones_the_others() -> None:
    layer = TurnOverDropout(500, seed=3)
    masks = layer.masks(np.arange(40))
    assert masks.shape == (40, 500)
    assert (layer.masks([7, 3])[1] == masks[3]).all()
    assert abs(masks.mean() - 0.5) < 0.03
    agreement = (masks[:, None] == masks[None]).mean(-1)
    np.fill_diagonal(agreement, 0.5)
    assert np.abs(agreement - 0.5).max() < 0.15
    assert not (TurnOverDropout(500, seed=4).masks([3])[0] == masks[3]).all()
    x = images(2, 500)
    with instance_masks(layer, torch.tensor([3, 7])):
        kept = layer(x)
    with instance_masks(layer, [3, 7], flipped=True):
        other = layer(x)
    assert torch.equal(kept, 2.0 * x * torch.from_numpy(masks[[3, 7]]))
    assert torch.equal(kept + other, 2.0 * x)
    assert torch.equal(layer.eval()(x), x)


def test_images_lose_whole_channels() -> None:
    layer = TurnOverDropout(4)
    with instance_masks(layer, [5]):
        kept = layer(torch.ones(1, 4, 3, 3))
    assert kept[0, :, 0, 0].tolist() == [2.0 * k for k in layer.masks([5])[0]]
    assert torch.equal(kept, kept[:, :, :1, :1].expand_as(kept))


def test_influence_is_the_loss_of_one_half_less_that_of_the_other() -> None:
    model, held = masked(), probe()
    one, mask, two = model[0], model[2].masks(np.arange(24)), model[3]  # type: ignore[index]
    hidden = torch.tanh(one(held.images))

    def loss(z: int, other: int, half: np.ndarray) -> float:
        logits = two(2.0 * hidden[other] * torch.from_numpy(half[z]))
        return (torch.logsumexp(logits, 0) - logits[held.labels[other]]).item()

    found = turn_over_influence(model, [4, 9], held.images, held.labels)
    for row, z in enumerate((4, 9)):
        for other in range(24):
            expected = loss(z, other, ~mask) - loss(z, other, mask)
            assert found[row, other].item() == pytest.approx(expected, rel=1e-10, abs=1e-12)
    with measuring(model, held, batch_size=10) as context:
        own = TurnOverInfluence().measure(context)
    for z in range(24):
        assert own["score"][z].item() == pytest.approx(loss(z, z, ~mask) - loss(z, z, mask))
    assert [part.training for part in model.modules()] == [True] * 5


def test_after_training_samples_influence_themselves_most() -> None:
    """What was learnt of random labels sits in the half that saw the sample."""
    torch.manual_seed(2)
    x, y = images(40, 6), torch.randint(0, 3, (40,))
    model = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), TurnOverDropout(64), nn.Linear(64, 3))
    model = model.double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        with instance_masks(model, torch.arange(40)):
            cross_entropy(model(x), y).backward()
        optimizer.step()
    found = turn_over_influence(model, range(40), x, y)  # type: ignore[arg-type]
    own = found.diagonal()
    others = (found.sum() - own.sum()) / (40 * 39)
    assert own.mean() > 5.0 * others.abs()
    assert (own > 0).double().mean() > 0.9


# --- weights --------------------------------------------------------------------------------------


def test_distance_is_that_of_the_snapshot_layer_by_layer() -> None:
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    snapshot = Snapshot.capture(model, optimizer)
    memory: dict[str, Any] = {}
    first = CheckpointDistance(reference="first")
    with measuring(model, probe()) as context:
        context.memory = memory
        assert first.measure(context)["distance"] == 0.0
        assert math.isnan(CheckpointDistance().measure(context)["distance"])
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter.add_(i + 1.0)
    with measuring(model, probe(), checkpoint=snapshot) as context:
        context.memory = memory
        found = CheckpointDistance().measure(context)
        assert first.measure(context)["distance"] == pytest.approx(snapshot.distance(), rel=1e-12)
    assert found["distance"] == pytest.approx(snapshot.distance(), rel=1e-12)
    for i, layer in enumerate(("0", "2")):
        assert found["by_layer"][i] == pytest.approx(snapshot.distance(layer), rel=1e-12)


def test_the_last_layer_is_that_of_the_logits() -> None:
    model, held = normed(), probe()
    with measuring(model, held) as context:
        found = LastLayerNorm().measure(context)
        named = LastLayerNorm(layer="0").measure(context)
    assert found["norm"] == pytest.approx(model[4].weight.norm().item(), rel=1e-12)  # type: ignore[index, union-attr]
    assert named["norm"] == pytest.approx(model[0].weight.norm().item(), rel=1e-12)  # type: ignore[index, union-attr]
    expected = cross_entropy(model.eval()(held.images), held.labels)
    assert found["loss"] == pytest.approx(expected.item(), rel=1e-12)


def test_slingshots_are_growth_and_then_a_spike() -> None:
    steps = np.arange(0, 4000, 100)
    norm, loss = np.ones(40), np.full(40, 0.01)
    for start in (10, 25):  # growth over five measurements, a spike of two, a plateau
        norm[start:] += np.minimum(np.arange(40 - start), 5) * 0.1
        loss[start + 5 : start + 7] = (1.0, 0.3)
    found = slingshots(steps, norm, loss)
    assert [(s.start, s.stop) for s in found] == [(1500, 1600), (3000, 3100)]
    assert found[0].growth == pytest.approx(0.5)
    assert found[0].spike == pytest.approx(100.0)
    # the twins: a spike without growth, and growth without a spike, are none
    assert slingshots(steps, np.ones(40), loss) == []
    assert slingshots(steps, norm, np.full(40, 0.01)) == []


# --- wrong use ------------------------------------------------------------------------------------


def at(instrument: Any, model: nn.Module | None = None, **options: Any) -> Callable[[], Any]:
    def call() -> Any:
        held = options.pop("held", probe())
        with measuring(perceptron() if model is None else model, held, **options) as context:
            return instrument.measure(context)

    return call


WHOLE = Probe(torch.ones(4).long(), torch.ones(4).long())
WRONG: list[tuple[str, Callable[[], Any]]] = [
    ("samples", lambda: Susceptibility(samples=0)),
    ("step", lambda: Susceptibility(step="twice")),
    ("learning_rate", lambda: Susceptibility(learning_rate=-1.0)),
    ("learning_rate", lambda: Susceptibility(step="optimizer", learning_rate=0.1)),
    ("optimizer", at(Susceptibility())),
    ("optimizer", at(Susceptibility(step="optimizer"))),
    ("window", lambda: VarianceOfGradients(window=1)),
    ("of", lambda: VarianceOfGradients(of="pixel")),
    ("images", at(VarianceOfGradients(), nn.Embedding(9, 3), held=WHOLE)),
    ("repeats", lambda: ComplexityGap(repeats=0)),
    ("ridge", lambda: ComplexityGap(ridge=-1.0)),
    ("labels", lambda: complexity_gap(np.eye(3), [0, 0, 0])),
    ("images", lambda: complexity_gap(np.zeros((4, 2)), [0, 1, 0, 1])),
    ("images", lambda: complexity_gap(np.full((4, 2), np.nan), [0, 1, 0, 1])),
    ("radius", lambda: CriticalSampleRatio(radius=0.0)),
    ("iterations", lambda: CriticalSampleRatio(radius=1.0, iterations=0)),
    ("images", lambda: critical_samples(Reads(), torch.ones(3, 2).long(), radius=1.0)),
    ("model", at(TurnOverInfluence())),
    ("model", lambda: turn_over_influence(perceptron(), [0], images(2), torch.zeros(2).long())),
    ("features", lambda: TurnOverDropout(0)),
    ("index", lambda: masked()(images(4))),
    ("index", lambda: instance_masks(masked(), [-1]).__enter__()),
    ("index", lambda: instance_masks(masked(), [0.5]).__enter__()),
    ("reference", lambda: CheckpointDistance(reference="last")),
    ("layer", at(LastLayerNorm(layer="9"))),
    ("window", lambda: slingshots([1], [1], [1], window=1)),
    ("spike", lambda: slingshots([1], [1], [1], spike=1.0)),
    ("step, norm, loss", lambda: slingshots([1, 2], [1], [1])),
    ("loss", lambda: slingshots([1], [1], [np.inf])),
]  # fmt: skip


@pytest.mark.parametrize(("name", "call"), WRONG)
def test_wrong_use_is_one_clear_error(name: str, call: Callable[[], Any]) -> None:
    with pytest.raises(rs.DomainError, match=rf"^{name} = ") as caught:
        call()
    assert "\n" not in str(caught.value)
