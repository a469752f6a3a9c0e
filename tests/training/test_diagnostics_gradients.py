"""Gradient instruments against gradients taken one sample at a time, and closed forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from diagnosed import (
    convolutional,
    cross_entropies,
    images,
    normed,
    perceptron,
    probe,
    slow_gradients,
    stubborn,
)
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import resetsgd as rs
from resetsgd import sgd
from resetsgd.training import losses
from resetsgd.training.diagnostics import (
    CleanPriority,
    Context,
    GradientDecomposition,
    GradientNoise,
    Probe,
    measuring,
    passes,
)

MODELS: dict[str, tuple[Callable[[], nn.Module], Probe]] = {
    "perceptron": (perceptron, probe()),
    "batch norm and dropout": (normed, probe()),
    "convolutional": (convolutional, probe(24, 2, 6, 6)),
    "no vmap": (stubborn, probe()),
}
NAMES = list(MODELS)


def close(a: Tensor, b: Tensor, tolerance: float = 1e-12) -> bool:
    return bool(torch.allclose(a, b, rtol=tolerance, atol=tolerance))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch_size", [7, 1024])
def test_gradients_of_samples_are_those_of_one_backward_each(name: str, batch_size: int) -> None:
    build, held = MODELS[name]
    model = build()
    slow = slow_gradients(model, held, cross_entropies(held))
    with measuring(model, held, batch_size=batch_size) as context:
        fast = torch.cat(list(context.per_sample_gradients()))
        assert close(fast, slow)
        assert close(context.total_gradient, slow.mean(0))
        along = images(3, slow.shape[1], seed=1)
        assert close(context.projections(along), slow @ along.T)
        assert context.losses.mean().item() == pytest.approx(context.mean_loss(held), rel=1e-12)


def test_what_cannot_be_batched_takes_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what can be does not: the two ways above were both walked."""
    alone: list[int] = []
    real = Context._alone

    def counted(self: Context, image: Tensor, weight: Tensor) -> Tensor:
        alone.append(1)
        return real(self, image, weight)

    monkeypatch.setattr(Context, "_alone", counted)
    for name, times in (("no vmap", 24), ("convolutional", 0), ("batch norm and dropout", 0)):
        build, held = MODELS[name]
        alone.clear()
        with measuring(build(), held) as context:
            list(context.per_sample_gradients())
        assert len(alone) == times, name


def test_gradients_of_samples_of_a_large_network_come_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, held = perceptron(), probe()
    with measuring(model, held) as context:
        (whole,) = context.per_sample_gradients()
        monkeypatch.setattr(passes, "_MOST", 5 * whole.shape[1])
        few = list(context.per_sample_gradients())
        monkeypatch.setattr(passes, "_MOST", 1)
        single = list(context.per_sample_gradients())
    assert [len(part) for part in few] == [5, 5, 5, 5, 4]
    assert [len(part) for part in single] == [1] * 24
    assert close(torch.cat(few), whole)
    assert close(torch.cat(single), whole)


@pytest.mark.parametrize("name", NAMES)
def test_decomposition_is_that_of_the_two_groups(name: str) -> None:
    build, held = MODELS[name]
    model = build()
    slow = slow_gradients(model, held, cross_entropies(held))
    wrong = held.labels != held.truth
    clean_mean, wrong_mean, mean = slow[~wrong].mean(0), slow[wrong].mean(0), slow.mean(0)
    with measuring(model, held) as context:
        found = GradientDecomposition().measure(context)
        layers = context.layers()
    assert found["noise_rate"] == pytest.approx(1 / 3)
    for key, vector in (("clean", clean_mean), ("wrong", wrong_mean), ("total", mean)):
        assert found[key] == pytest.approx(vector.norm().item(), rel=1e-12)
    for key, a, b in (
        ("clean_wrong", clean_mean, wrong_mean),
        ("total_clean", mean, clean_mean),
        ("total_wrong", mean, wrong_mean),
    ):
        cosine = (a @ b / (a.norm() * b.norm())).item()
        assert found[key] == pytest.approx(cosine, rel=1e-10)
    holders = [m for m in model.modules() if list(m.parameters(recurse=False))]
    assert len(layers) == len(holders)
    start = 0
    for i, layer in enumerate(holders):
        stop = start + sum(p.numel() for p in layer.parameters(recurse=False))
        a, b = clean_mean[start:stop], wrong_mean[start:stop]
        assert found["clean_by_layer"][i] == pytest.approx(a.norm().item(), rel=1e-12)
        cosine = (a @ b / (a.norm() * b.norm())).item()
        assert found["clean_wrong_by_layer"][i] == pytest.approx(cosine, rel=1e-10)
        start = stop
    assert start == slow.shape[1]


def test_a_module_stands_for_all_inside_it() -> None:
    model, held = nn.Sequential(normed(), nn.Identity()), probe()
    with measuring(model, held) as context:
        whole = GradientDecomposition(modules=("", "0", "0.4")).measure(context)
        by_layer = GradientDecomposition().measure(context)
        assert list(context.layers()) == ["0.0", "0.1", "0.4"]
        with pytest.raises(rs.DomainError, match=r"^modules = '0.2'"):
            context.layers(["0", "0.2"])
    assert whole["clean_by_layer"][0] == pytest.approx(whole["clean"], rel=1e-14)
    assert whole["total_wrong_by_layer"][1] == pytest.approx(whole["total_wrong"], rel=1e-12)
    assert whole["wrong_by_layer"][2] == by_layer["wrong_by_layer"][2]


def test_frozen_layers_do_not_take_part() -> None:
    model, held = perceptron(), probe()
    for parameter in model[0].parameters():  # type: ignore[index]
        parameter.requires_grad_(False)
    with measuring(model, held) as context:
        assert list(context.layers()) == ["2"]
        assert context.size == 24
        assert context.total_gradient.shape == (24,)
        fast = torch.cat(list(context.per_sample_gradients()))
        assert close(fast.mean(0), context.gradient())


def test_covariance_is_that_of_the_samples() -> None:
    model, held = perceptron(), probe()
    slow = slow_gradients(model, held, cross_entropies(held)).numpy()
    wrong = (held.labels != held.truth).numpy()
    directions = {"a": images(slow.shape[1], seed=5)[:, 0].clone(), "down": "downhill"}
    noise = GradientNoise({**directions, "labels": "label noise"}, trace=True)
    with measuring(model, held, batch_size=5) as context:
        found = noise.measure(context)
    contrast = slow[~wrong].mean(0) - slow[wrong].mean(0)
    units = np.stack([directions["a"].numpy(), -slow.mean(0), contrast])  # type: ignore[union-attr]
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    for prefix, group in (("", slow), ("clean_", slow[~wrong]), ("wrong_", slow[wrong])):
        expected = np.cov(group @ units.T, rowvar=False, bias=True)
        np.testing.assert_allclose(found[f"{prefix}covariance"], expected, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(found[f"{prefix}mean"], (group @ units.T).mean(0), rtol=1e-10)
    # the law of total variance, which the dictionary of the theory is made of
    tau, apart = 1 / 3, found["clean_mean"] - found["wrong_mean"]
    total = (1 - tau) * found["clean_covariance"] + tau * found["wrong_covariance"]
    total += tau * (1 - tau) * torch.outer(apart, apart)
    np.testing.assert_allclose(found["covariance"], total, rtol=1e-10, atol=1e-14)
    trace = np.trace(np.cov(slow, rowvar=False, bias=True))
    assert found["trace"] == pytest.approx(trace, rel=1e-10)
    pull = float(np.sum(slow.mean(0) ** 2))
    assert found["noise_scale"] == pytest.approx(trace / pull, rel=1e-10)


def test_a_direction_that_does_not_exist_is_nan_in_its_place() -> None:
    noise = GradientNoise({"back": "from checkpoint", "down": "downhill"})
    with measuring(perceptron(), probe()) as context:
        found = noise.measure(context)
    assert torch.isnan(found["covariance"]).tolist() == [[True, True], [True, False]]
    assert torch.isnan(found["mean"]).tolist() == [True, False]


def test_any_way_to_write_the_loss_gives_the_same_gradients() -> None:
    model, held = perceptron(), probe()
    ways = {
        "default": None,
        "mean": cross_entropy,
        "each": lambda z, y: cross_entropy(z, y, reduction="none"),
        "named": losses.CrossEntropy(),
    }
    found = []
    for way in ways.values():
        with measuring(model, held, loss=way, batch_size=10) as context:
            found.append((context.total_gradient, context.losses))
    for gradient, value in found[1:]:
        assert close(gradient, found[0][0])
        assert close(value, found[0][1])


def test_a_loss_that_remembers_is_differentiated_and_left_alone() -> None:
    model, held = perceptron(), probe()
    loss = losses.EarlyLearning(24, 3).double()
    loss(model(held.images), held.labels, held.index)
    before = loss.targets.clone()
    with measuring(model, held, loss=loss) as context:
        gradient = context.total_gradient
    assert torch.equal(loss.targets, before)
    with loss.paused():
        value = loss(model(held.images), held.labels, held.index).mean()
    expected = torch.autograd.grad(value, list(model.parameters()))
    assert close(gradient, torch.cat([g.reshape(-1) for g in expected]))
    plain = cross_entropy(model(held.images), held.labels)
    other = torch.autograd.grad(plain, list(model.parameters()))
    assert not close(gradient, torch.cat([g.reshape(-1) for g in other]))


# --- clean priority -------------------------------------------------------------------------------


def linear(weights: np.ndarray) -> nn.Module:
    model = nn.Linear(len(weights), 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(weights[None]))
    return nn.Sequential(model, nn.Flatten(0))


def half_square(outputs: Tensor, labels: Tensor) -> Tensor:
    return 0.5 * (outputs - labels) ** 2


@pytest.mark.parametrize("time", [0.0, 0.3, 2.0, 20.0])
def test_clean_priority_of_linear_regression_is_the_closed_form(time: float) -> None:
    rng = np.random.default_rng(4)
    x, truth = rng.normal(size=(20, 4)), rng.normal(size=4)
    clean, corrupted = x @ truth, np.arange(20) % 3 == 0
    y = clean + np.where(corrupted, 3.0 * rng.normal(size=20), 0.0)
    # where gradient flow from zero has come to
    rates, basis = np.linalg.eigh(x.T @ x / 20)
    weights = basis @ ((1 - np.exp(-rates * time)) / rates * (basis.T @ (x.T @ y / 20)))
    held = Probe(torch.from_numpy(x), torch.from_numpy(y), truth=torch.from_numpy(clean))
    assert held.wrong.tolist() == corrupted.tolist()
    with measuring(linear(weights), held, loss=half_square) as context:
        found = CleanPriority().measure(context)
    expected = sgd.clean_priority(x, y, corrupted, time)
    assert found["ratio"] == pytest.approx(expected, rel=1e-9)
    residual = x @ weights - y
    pulls = [x[group].T @ residual[group] for group in (~corrupted, corrupted)]
    cosine = pulls[0] @ pulls[1] / np.prod([np.linalg.norm(p) for p in pulls])
    assert found["cosine"] == pytest.approx(cosine, rel=1e-9)


def test_clean_priority_by_class_is_over_the_samples_of_a_true_class() -> None:
    model, held = perceptron(), probe()
    slow = slow_gradients(model, held, cross_entropies(held))
    with measuring(model, held, batch_size=5) as context:
        found = CleanPriority(by_class=True, classes=4).measure(context)
    assert held.truth is not None
    wrong = held.labels != held.truth
    for k in range(3):
        pulls = [slow[(held.truth == k) & group].sum(0) for group in (~wrong, wrong)]
        ratio = (pulls[0].norm() / pulls[1].norm()).item()
        assert found["ratio_by_class"][k].item() == pytest.approx(ratio, rel=1e-10)
    assert torch.isnan(found["ratio_by_class"][3])
    pulls = [slow[group].sum(0) for group in (~wrong, wrong)]
    assert found["ratio"] == pytest.approx((pulls[0].norm() / pulls[1].norm()).item(), rel=1e-10)


def test_groups_without_samples_give_numbers_not_nan() -> None:
    held = probe()
    clean = Probe(held.images, held.truth, truth=held.truth)  # type: ignore[arg-type]
    with measuring(perceptron(), clean) as context:
        found = GradientDecomposition().measure(context)
        assert (found["wrong"], found["clean_wrong"], found["noise_rate"]) == (0.0, 0.0, 0.0)
        assert found["total_clean"] == pytest.approx(1.0)
        assert CleanPriority().measure(context)["ratio"] == float("inf")


def test_gradients_follow_a_compiled_or_wrapped_model() -> None:
    held = probe()
    model = perceptron()
    with measuring(model, held) as context:
        expected = context.total_gradient
    with measuring(nn.DataParallel(model), held) as context:
        assert torch.equal(context.total_gradient, expected)
    with measuring(torch.compile(model, backend="eager"), held) as context:  # type: ignore[arg-type]
        assert torch.equal(context.total_gradient, expected)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("loss", lambda: GradientDecomposition().measure(_now(loss=lambda z, y: z))),
        ("truth", lambda: GradientDecomposition().measure(_now(held=_unlabelled()))),
        ("directions", lambda: GradientNoise({})),
        ("direction", lambda: GradientNoise({"a": "sideways"}).measure(_now())),
        ("direction", lambda: GradientNoise({"a": torch.ones(3)}).measure(_now())),
        ("direction", lambda: GradientNoise({"a": [torch.ones(3)]}).measure(_now())),
        ("probe", lambda: Context(nn.Linear(5, 3, device="meta"), probe(), cross_entropy, 9)),
        ("model", lambda: Context(nn.Identity(), probe(), cross_entropy, 9)),
        ("model", lambda: Context(_unrecorded(), probe(), cross_entropy, 9)),
        ("model", lambda: _now(nn.Sequential(nn.Linear(5, 3), nn.Flatten(0)).double()).outputs),
        ("labels", lambda: Probe(images(4), torch.zeros(3))),
        ("truth", lambda: Probe(images(4), torch.zeros(4), truth=torch.zeros(4).long())),
    ],
)
def test_wrong_use_is_one_clear_error(name: str, wrong: Callable[[], object]) -> None:
    with pytest.raises(rs.DomainError, match=rf"^{name} = ") as caught:
        wrong()
    assert "\n" not in str(caught.value)


def _now(model: nn.Module | None = None, held: Probe | None = None, loss: object = None) -> Context:
    return Context(
        perceptron() if model is None else model,
        probe() if held is None else held,
        cross_entropy if loss is None else loss,  # type: ignore[arg-type]
        1024,
    )


def _unlabelled() -> Probe:
    return Probe(probe().images, probe().labels)


def _unrecorded() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3, track_running_stats=False))
