"""Measurements leave every bit of the training as it was, and cost nothing when none is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from diagnosed import fingerprint, masked, normed, probe
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

import resetsgd as rs
from resetsgd.training import Resetter, losses
from resetsgd.training.diagnostics import (
    CheckpointDistance,
    CleanPriority,
    ComplexityGap,
    Context,
    CriticalSampleRatio,
    Diagnostics,
    DiffusionAlong,
    GradientDecomposition,
    GradientNoise,
    Instrument,
    LabelFractions,
    LastLayerNorm,
    Susceptibility,
    TurnOverInfluence,
    VarianceOfGradients,
    instance_masks,
    names,
)

HELD = probe(dtype=torch.float32)

INSTRUMENTS: dict[str, list[Instrument]] = {
    "checkpoint_distance": [CheckpointDistance(), CheckpointDistance(reference="first")],
    "clean_priority": [CleanPriority(by_class=True)],
    "complexity_gap": [ComplexityGap(repeats=2)],
    "critical_samples": [CriticalSampleRatio(radius=0.5, iterations=3)],
    "diffusion": [DiffusionAlong("from checkpoint", batch_size=8)],
    "gradient_noise": [GradientNoise({"a": "downhill", "b": "label noise"}, trace=True)],
    "gradients": [GradientDecomposition()],
    "influence": [TurnOverInfluence()],
    "labels": [LabelFractions()],
    "last_layer": [LastLayerNorm()],
    "susceptibility": [Susceptibility(samples=9), Susceptibility(samples=9, step="optimizer")],
    "variance_of_gradients": [VarianceOfGradients(), VarianceOfGradients(window=2)],
}
CASES = [
    (name, which, adam)
    for name, several in INSTRUMENTS.items()
    for which in range(len(several))
    for adam in ((False,) if name == "diffusion" else (False, True))  # that one is for SGD
]
STEPS = 16


def test_every_instrument_has_a_row() -> None:
    assert sorted(INSTRUMENTS) == names()


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)


class Run:
    """A training run with everything that a measurement could disturb."""

    def __init__(self, *, turned: bool = False, adam: bool = False) -> None:
        torch.manual_seed(8)
        self.model = (masked if turned else normed)(torch.float32)
        make: Any = torch.optim.Adam if adam else sgd
        self.optimizer = make(self.model.parameters() if adam else self.model)
        self.loss = losses.EarlyLearning(len(HELD), 3)
        self.resetter = Resetter(
            self.model, self.optimizer, rs.Geometric(probability=0.15), also=[self.loss], seed=5
        )
        self.resetter.checkpoint()

    def step(self) -> None:
        rows = torch.randint(0, len(HELD), (10,))
        self.optimizer.zero_grad()
        with instance_masks(self.model, rows):
            logits = self.model(HELD.images[rows])
        self.loss(logits, HELD.labels[rows], rows).mean().backward()
        self.optimizer.step()
        self.resetter.step()

    def state(self, *, addresses: bool = True) -> str:
        also = (self.loss, self.resetter)
        return fingerprint(self.model, self.optimizer, *also, addresses=addresses)

    def diagnostics(self, instruments: Any, **options: Any) -> Diagnostics:
        return Diagnostics(
            instruments, self.model, HELD, loss=self.loss, resetter=self.resetter, batch_size=10,
            **options,
        )  # fmt: skip


def disturbed(
    instrument: Instrument, *, adam: bool = False
) -> tuple[bool, Mapping[str, Mapping[str, Any]]]:
    """Whether a run with measurements now and then differs from one without, anywhere."""
    turned = isinstance(instrument, TurnOverInfluence)
    alone = Run(turned=turned, adam=adam)
    for _ in range(STEPS):
        alone.step()
    alone_state = alone.state(addresses=False)  # with the global generator where it then is
    watched = Run(turned=turned, adam=adam)
    recorder = watched.diagnostics(instrument, every=5)
    apart = False
    for step in range(STEPS):
        watched.step()
        before = watched.state()
        recorder.step()
        if step % 7 == 0:
            with torch.no_grad():
                recorder.measure()
        apart |= watched.state() != before
    assert watched.resetter.resets, "no reset was measured"
    apart |= watched.state(addresses=False) != alone_state
    return apart, recorder.records


@pytest.mark.parametrize(("name", "which", "adam"), CASES)
def test_a_measurement_leaves_every_bit_as_it_was(name: str, which: int, adam: bool) -> None:
    apart, records = disturbed(INSTRUMENTS[name][which], adam=adam)
    assert not apart
    record = records[name]
    assert {"schedule", "asked"} <= set(record["moment"])
    assert ("before reset" in record["moment"]) == INSTRUMENTS[name][which].at_resets


@dataclass(frozen=True)
class Rogue(Instrument):
    """An instrument that does what none may."""

    crime: Callable[[Context], Any]
    name = "rogue"

    def measure(self, context: Context) -> Mapping[str, Any]:
        self.crime(context)
        return {}


def leave_gradients(context: Context) -> None:
    cross_entropy(context.inner(HELD.images), HELD.labels).backward()


def train_the_statistics(context: Context) -> None:
    context.inner.train()
    context.inner(HELD.images)


def move_a_weight(context: Context) -> None:
    with torch.no_grad():
        next(context.inner.parameters()).mul_(1.0 + 1e-6)


def leave_a_hook(context: Context) -> None:
    context.inner.register_forward_hook(lambda *_: None)


def renew_the_memory(context: Context) -> None:
    context.loss(context.outputs, HELD.labels, HELD.index)  # type: ignore[call-arg]


def take_the_momentum(context: Context) -> None:
    assert context.optimizer is not None
    context.optimizer.state.clear()


CRIMES = [
    leave_gradients, train_the_statistics, move_a_weight, leave_a_hook, renew_the_memory,
    take_the_momentum,
]  # fmt: skip


@pytest.mark.parametrize("crime", CRIMES)
def test_a_twin_that_disturbs_is_told(crime: Callable[[Context], Any]) -> None:
    """The check above is not blind: each of these is seen by it."""
    assert disturbed(Rogue(crime))[0]


def draw(context: Context) -> None:
    torch.rand(3)


def leave_it_in_training(context: Context) -> None:
    context.inner.train()


def stop_recording(context: Context) -> None:
    torch.set_grad_enabled(False)


@pytest.mark.parametrize("crime", [draw, leave_it_in_training, stop_recording])
def test_from_these_a_run_is_shielded(crime: Callable[[Context], Any]) -> None:
    assert not disturbed(Rogue(crime))[0]


def test_an_instrument_that_fails_leaves_no_trace_either() -> None:
    def fail(context: Context) -> None:
        context.inner.train()
        torch.rand(3)
        raise RuntimeError("broken")

    run = Run()
    run.step()
    recorder = run.diagnostics(Rogue(fail))
    before = run.state()
    with pytest.raises(RuntimeError, match="broken"):
        recorder.measure()
    assert run.state() == before
    assert len(recorder["rogue"]["step"]) == 0


# --- what it costs when nothing is due ------------------------------------------------------------


class Counter(TorchDispatchMode):
    """Counts every operation that reaches a device: a pass, a copy, a wait for a number."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.operations += 1
        return function(*args, **(kwargs or {}))


def everything() -> list[Instrument]:
    return [several[0] for name, several in INSTRUMENTS.items() if name != "influence"]


def test_a_step_on_which_nothing_is_due_does_nothing() -> None:
    run = Run()
    hooks = [
        held
        for part in run.model.modules()
        for held in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks)
    ]
    recorder = run.diagnostics(everything(), every=50)
    assert not any(hooks)
    assert all(p._backward_hooks is None for p in run.model.parameters())
    for step in range(1, 50):
        run.resetter.steps = step
        with Counter() as counter:
            measured = recorder.step()
        assert (measured, counter.operations) == (False, 0)
    run.resetter.steps = 50
    with Counter() as counter:
        assert recorder.step()
    assert counter.operations > 100, "the counter sees what a measurement does"
    assert not any(hooks)


def test_off_altogether_it_never_measures() -> None:
    run = Run()
    recorder = run.diagnostics(everything(), every=None, at_resets=False)
    for _ in range(20):
        run.step()
        with Counter() as counter:
            assert not recorder.step()
        assert counter.operations == 0
    assert run.resetter.resets
    assert all(len(record["step"]) == 0 for record in recorder.records.values())


def test_without_instruments_a_reset_costs_no_pass() -> None:
    run = Run()
    recorder = run.diagnostics([])
    with Counter() as counter:
        recorder._before_reset()
        recorder._after_reset()
    assert counter.operations == 0
