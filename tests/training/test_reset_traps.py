"""The known traps of going back in training, each caught by what the resetter does about it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, StepLR

import resetsgd as rs
from resetsgd.errors import DomainError
from resetsgd.training import Resetter, Snapshot, resets
from resetsgd.training.storage import digest

INPUTS = torch.randn(200, 16, 6, generator=torch.Generator().manual_seed(1))
TARGETS = torch.randint(0, 3, (200, 16), generator=torch.Generator().manual_seed(2))
NEVER, ALWAYS = rs.Geometric(probability=0.0), rs.Geometric(probability=1.0)


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimisation, with the habits of the common code.

    The old weights are kept as state and handed back as ``p.data``, so that state and parameter
    share storage; the momentum is in the inner optimizer, outside ``state_dict``.
    """

    def __init__(self, parameters: Any, rho: float = 0.05) -> None:
        super().__init__(parameters, {"rho": rho, "lr": 0.05})
        self.base_optimizer = torch.optim.SGD(self.param_groups, lr=0.05, momentum=0.9)
        self.param_groups = self.base_optimizer.param_groups

    def step(self, closure: Any = None) -> Any:
        self.first_step()
        closure()
        self.second_step()

    @torch.no_grad()
    def first_step(self) -> None:
        parameters = [p for g in self.param_groups for p in g["params"]]
        norm = torch.stack([p.grad.norm() for p in parameters]).norm()
        for p in parameters:
            self.state[p]["old_p"] = p.data.clone()
            p.add_(p.grad, alpha=float(self.param_groups[0]["rho"] / (norm + 1e-12)))

    @torch.no_grad()
    def second_step(self) -> None:
        for p in (p for g in self.param_groups for p in g["params"]):
            p.data = self.state[p]["old_p"]
        self.base_optimizer.step()


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "sam": SAM,
}


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))


def make(name: str) -> tuple[nn.Sequential, torch.optim.Optimizer]:
    model = network()
    return model, OPTIMIZERS[name](model.parameters())


def train(model: nn.Module, optimizer: torch.optim.Optimizer, index: int) -> float:
    def closure() -> Tensor:
        optimizer.zero_grad()
        found = nn.functional.cross_entropy(model(INPUTS[index]), TARGETS[index])
        found.backward()
        return found

    loss = closure()
    optimizer.step(closure)
    return loss.item()


def inner(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    return getattr(optimizer, "base_optimizer", optimizer)


def contents(model: nn.Module, optimizer: torch.optim.Optimizer) -> str:
    return digest([dict(model.state_dict()), inner(optimizer).state_dict()])


def addresses(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[int]:
    tensors = [*model.parameters(), *model.buffers()]
    for state in inner(optimizer).state.values():
        tensors += [value for value in state.values() if isinstance(value, Tensor)]
    return [tensor.data_ptr() for tensor in tensors]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_resets_leave_the_snapshot_bitwise_and_the_addresses(name: str) -> None:
    model, optimizer = make(name)
    resetter = Resetter(model, optimizer, rs.Sharp(period=4), target=resets.AtStep(6))
    for index in range(6):
        train(model, optimizer, index)
        resetter.step()
    assert resetter.snapshot is not None
    kept, there = resetter.snapshot.digest(), contents(model, optimizer)
    for index in range(6, 46):
        train(model, optimizer, index)
        before = addresses(model, optimizer)
        event = resetter.step()
        if event.reset:
            assert contents(model, optimizer) == there
            assert addresses(model, optimizer) == before  # a reset moves nothing
        assert resetter.snapshot.digest() == kept
    assert len(resetter.resets) == 10


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("choice", ["restore", "zero", "keep"])
def test_momentum_goes_where_it_is_told(name: str, choice: str) -> None:
    model, optimizer = make(name)
    resetter = Resetter(model, optimizer, rs.Sharp(period=8), momentum=choice)
    for index in range(4):
        train(model, optimizer, index)
        resetter.step()
    resetter.checkpoint()
    at_checkpoint = digest(inner(optimizer).state_dict()["state"])
    for index in range(4, 8):
        train(model, optimizer, index)
        if index == 7:
            live = digest(inner(optimizer).state_dict()["state"])
            place = addresses(model, optimizer)
        resetter.step()
    assert resetter.resets == [8]
    now = inner(optimizer).state_dict()["state"]
    expected = {"restore": at_checkpoint, "keep": live}
    if choice != "zero":
        assert digest(now) == expected[choice]
        return
    assert addresses(model, optimizer) == place
    assert all(not torch.as_tensor(v).any() for state in now.values() for v in state.values())
    twin, fresh = make(name)  # the next step is the first step of a new optimizer
    twin.load_state_dict(model.state_dict())
    for one, other in ((model, optimizer), (twin, fresh)):
        train(one, other, 9)
    assert contents(model, optimizer) == contents(twin, fresh)


@pytest.mark.parametrize("kind", ["dampened", "nadam"])
def test_state_that_does_not_begin_at_zero_begins_afresh_all_the_same(kind: str) -> None:
    rules: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
        "dampened": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.5),
        "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    }
    model = network()
    optimizer = rules[kind](model.parameters())
    train(model, optimizer, 0)
    snapshot = Snapshot.capture(model, optimizer)
    train(model, optimizer, 1)
    snapshot.restore(momentum="zero")
    twin = network()
    twin.load_state_dict(model.state_dict())
    fresh = rules[kind](twin.parameters())
    for one, other in ((model, optimizer), (twin, fresh)):
        train(one, other, 2)
    assert contents(model, optimizer) == contents(twin, fresh)


SCHEDULES: dict[str, Callable[[torch.optim.Optimizer], LRScheduler]] = {
    "cosine": lambda o: CosineAnnealingLR(o, T_max=100),
    "step": lambda o: StepLR(o, step_size=30, gamma=0.1),
    "closed form": lambda o: LambdaLR(o, lambda t: 0.5 * (1 + math.cos(math.pi * t / 100))),
}


def rates(schedule: str, policy: str) -> list[float]:
    """The learning rate of each of 100 steps, with a reset at step 80 to the state of step 20."""
    model, optimizer = make("momentum")
    scheduler = SCHEDULES[schedule](optimizer)
    options: dict[str, Any] = {
        "none": {},
        "keep": {"learning_rate": "keep"},
        "restore": {"learning_rate": "restore"},
        "together": {"learning_rate": "restore", "also": [scheduler]},
    }[policy]
    resetter = Resetter(model, optimizer, NEVER, target=resets.AtStep(20), **options)
    found = []
    for index in range(100):
        found.append(optimizer.param_groups[0]["lr"])
        train(model, optimizer, index)
        resetter.step()
        if resetter.steps == 80 and policy != "none":
            resetter.reset()
        scheduler.step()
    return found


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_under_each_learning_rate_policy(schedule: str) -> None:
    plain = rates(schedule, "none")
    assert rates(schedule, "keep") == plain
    together = rates(schedule, "together")
    assert together[:80] == plain[:80]
    assert together[80:] == plain[20:40]  # scheduler and rate went back together
    alone = rates(schedule, "restore")
    ratio = alone[80] / plain[80]
    if schedule == "closed form":  # it computes each rate from the step alone
        assert alone[81:] == plain[81:]
    else:
        # the published combination: the rate stays out of step to the end
        assert ratio > 8
        assert all(a > 5 * p for a, p in zip(alone[80:99], plain[80:99], strict=True))


def test_a_scheduler_goes_back_only_with_the_rate() -> None:
    model, optimizer = make("momentum")
    scheduler = SCHEDULES["cosine"](optimizer)
    with pytest.raises(DomainError, match=r"^learning_rate = 'keep': .*scheduler"):
        Resetter(model, optimizer, ALWAYS, also=[scheduler])
    snapshot = Snapshot.capture(model, optimizer, also=[scheduler])
    with pytest.raises(DomainError, match=r"^learning_rate = 'keep'"):
        snapshot.restore()


@pytest.mark.parametrize("choice", ["restore", "keep"])
def test_batch_norm_statistics_go_where_they_are_told(choice: str) -> None:
    model, optimizer = make("momentum")
    resetter = Resetter(model, optimizer, NEVER, buffers=choice)
    train(model, optimizer, 0)
    resetter.checkpoint()
    there = [b.clone() for b in model.buffers()]
    train(model, optimizer, 1)
    live = [b.clone() for b in model.buffers()]
    resetter.reset()
    expected = there if choice == "restore" else live
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), expected, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(there, live, strict=True))


class Memory:
    """The memory of an early-learning loss: one moving average for each sample."""

    def __init__(self, *, hands_out_copies: bool = False) -> None:
        self.targets = torch.zeros(200, 3)
        self.copies = hands_out_copies

    def update(self, index: int) -> None:
        self.targets[index] = 0.7 * self.targets[index] + 0.3

    def state_dict(self) -> dict[str, Any]:
        return {"targets": self.targets.clone() if self.copies else self.targets}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.targets = state["targets"]  # as many write it: no copy


@pytest.mark.parametrize("copies", [False, True])
def test_the_memory_of_a_loss_and_an_average_go_back_if_asked(copies: bool) -> None:
    model, optimizer = make("momentum")
    memory = Memory(hands_out_copies=copies)
    average = torch.optim.swa_utils.AveragedModel(model, use_buffers=True)
    bystander = Memory()
    resetter = Resetter(model, optimizer, NEVER, also=[memory, average])
    for index in range(3):
        train(model, optimizer, index)
        memory.update(index)
        average.update_parameters(model)
    resetter.checkpoint()
    assert resetter.snapshot is not None
    kept = resetter.snapshot.digest()
    there, averaged = memory.targets.clone(), digest(dict(average.state_dict()))
    where = [memory.targets.data_ptr(), *(p.data_ptr() for p in average.parameters())]
    for _ in range(10):
        for index in range(3, 6):
            train(model, optimizer, index)
            memory.update(index)
            bystander.update(index)
            average.update_parameters(model)
        assert not torch.equal(memory.targets, there)
        resetter.reset()
        assert torch.equal(memory.targets, there)
        assert digest(dict(average.state_dict())) == averaged
        assert resetter.snapshot.digest() == kept
    assert bystander.targets[3].any()
    if not copies:  # what the object gave out are its own tensors: they stay where they are
        assert where == [memory.targets.data_ptr(), *(p.data_ptr() for p in average.parameters())]


@pytest.mark.parametrize("asked", [False, True])
def test_the_gradient_scaler_goes_on_unless_asked(asked: bool) -> None:
    model, optimizer = make("momentum")
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    resetter = Resetter(model, optimizer, NEVER, also=[scaler] if asked else [])
    handle = resetter.attach()

    def step(index: int, *, overflow: bool = False) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(model(INPUTS[index]), TARGETS[index])
        scaler.scale(loss * (math.inf if overflow else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()

    step(0)
    resetter.checkpoint()
    kept = dict(scaler.state_dict())
    step(1)
    step(2, overflow=True)
    assert resetter.steps == 2  # a step that the scaler skipped is none
    step(3)
    step(4)
    live = dict(scaler.state_dict())
    assert live["scale"] != kept["scale"] or live["_growth_tracker"] != kept["_growth_tracker"]
    resetter.reset()
    assert scaler.state_dict() == (kept if asked else live)
    step(5)
    handle.remove()


def test_a_compiled_model_is_reset_and_sees_it() -> None:
    model, optimizer = make("momentum")
    compiled = torch.compile(model, backend="aot_eager")
    resetter = Resetter(compiled, optimizer, NEVER, layers=["3"])  # names without prefixes
    train(compiled, optimizer, 0)
    resetter.checkpoint()
    body, head = model[0].weight.clone(), model[3].weight.clone()
    with torch.no_grad():
        compiled.eval()
        expected = compiled(INPUTS[0])
        compiled.train()
    train(compiled, optimizer, 1)
    assert not torch.equal(model[3].weight, head)
    resetter.reset()
    assert torch.equal(model[3].weight, head)
    assert not torch.equal(model[0].weight, body)
    whole = Snapshot.capture(compiled, optimizer)
    with torch.no_grad():
        compiled.eval()
        before = compiled(INPUTS[0])
        model[3].weight.zero_()
        whole.restore()
        assert torch.equal(compiled(INPUTS[0]), before)  # the compiled code holds live tensors
        assert not torch.equal(before, expected)
    with pytest.raises(DomainError, match=r"^layers = '_orig_mod.3'"):
        Resetter(compiled, optimizer, NEVER, layers=["_orig_mod.3"])


def test_accumulated_gradients_are_one_step() -> None:
    found = []
    for parts in (1, 4):
        model, optimizer = make("momentum")
        model[1] = nn.Identity()  # batch statistics are of the batch
        optimizer = OPTIMIZERS["momentum"](model.parameters())
        resetter = Resetter(model, optimizer, rs.Geometric(probability=0.3), seed=2)
        resetter.checkpoint()
        resetter.attach()
        for index in range(20):
            optimizer.zero_grad()
            for x, y in zip(INPUTS[index].chunk(parts), TARGETS[index].chunk(parts), strict=True):
                (nn.functional.cross_entropy(model(x), y) / parts).backward()
            optimizer.step()
        found.append((resetter.resets, model[3].weight.detach()))
    assert found[0][0] == found[1][0] != []
    assert torch.allclose(found[0][1], found[1][1], atol=1e-6)


@pytest.mark.parametrize("name", ["momentum", "sam"])
def test_the_hook_does_what_the_line_does(name: str) -> None:
    found = []
    for hooked in (False, True):
        model, optimizer = make(name)
        resetter = Resetter(model, optimizer, rs.Geometric(probability=0.3), seed=2)
        resetter.checkpoint()
        if hooked:
            resetter.attach()
        for index in range(20):
            train(model, optimizer, index)
            if not hooked:
                resetter.step()
        found.append((resetter.resets, contents(model, optimizer)))
    assert found[0] == found[1]
    assert found[0][0] != []
    with pytest.raises(DomainError, match=r"^step = .*detached"):
        resetter.step()
    resetter.detach()
    train(model, optimizer, 20)
    assert resetter.steps == 20
    assert resetter.step().step == 21


def test_the_hook_sees_the_two_halves_of_a_sharpness_aware_step() -> None:
    model, optimizer = make("sam")
    assert isinstance(optimizer, SAM)
    resetter = Resetter(model, optimizer, rs.Sharp(period=3))
    resetter.checkpoint()
    resetter.attach()
    for index in range(7):
        for half in (optimizer.first_step, optimizer.second_step):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(INPUTS[index]), TARGETS[index]).backward()
            half()
    assert (resetter.steps, resetter.resets) == (7, [3, 6])


class Lookahead(torch.optim.Optimizer):
    """Slow weights around a fast optimizer: state of its own, beside that of the inner one."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        super().__init__([p for g in optimizer.param_groups for p in g["params"]], {"lr": 0.05})
        self.optimizer = optimizer

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        self.optimizer.step()
        for p in self.param_groups[0]["params"]:
            slow = self.state[p].setdefault("slow", p.detach().clone())
            slow.lerp_(p, 0.5)
            p.copy_(slow)


class Passing(torch.optim.Optimizer):
    """A wrapper without state of its own, as launchers put around optimizers; it takes no hooks."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    state = property(lambda self: self.optimizer.state)  # type: ignore[assignment]
    param_groups = property(lambda self: self.optimizer.param_groups)  # type: ignore[assignment]

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)

    def step(self, closure: Any = None) -> None:
        self.optimizer.step()


@pytest.mark.parametrize("wrapper", [Lookahead, Passing])
def test_what_wraps_an_optimizer_goes_back_with_it(wrapper: Any) -> None:
    model, fast = make("momentum")
    optimizer = wrapper(fast)
    resetter = Resetter(model, optimizer, NEVER, target=resets.AtStep(4))
    resetter.attach()
    for index in range(4):
        train(model, optimizer, index)
    assert resetter.steps == 4
    futures = set()
    for _ in range(3):
        train(model, optimizer, 7)
        train(model, optimizer, 8)
        futures.add(contents(model, fast))
        resetter.reset()
    assert len(futures) == 1


@pytest.mark.parametrize("how", [resets.Partial(0.5), resets.Smallest(0.5)], ids=repr)
def test_mixing_is_not_undone_by_state_that_shares_storage(how: resets.How) -> None:
    """The old weights that a sharpness-aware optimizer keeps are the weights themselves."""
    model, optimizer = make("sam")
    train(model, optimizer, 0)
    resetter = Resetter(model, optimizer, NEVER, how=how, momentum="restore")
    resetter.checkpoint()
    there = model[0].weight.detach().clone()
    train(model, optimizer, 1)
    live = model[0].weight.detach().clone()
    assert optimizer.state[model[0].weight]["old_p"].data_ptr() == model[0].weight.data_ptr()
    resetter.reset()
    assert torch.equal(model[0].weight, how.mix([live], [there])[0])
    assert not torch.equal(model[0].weight, there)


WRONG: dict[str, Callable[[], object]] = {
    "also": lambda: Snapshot.capture(*make("adam"), also=[object()]),
    "also = ": lambda: Resetter(*make("adam"), ALWAYS, also=Memory()),  # type: ignore[arg-type]
    "snapshot": lambda: Resetter(*make("adam"), ALWAYS).reset(),
    "optimizer": lambda: Resetter(network(), make("adam")[1], ALWAYS),
    "metric": lambda: Resetter(*make("adam"), ALWAYS).observe(float("nan")),
    "layers": lambda: Resetter(*make("adam"), ALWAYS, layers=["head"]),
    "layers = ": lambda: Resetter(*make("adam"), ALWAYS, layers=4),
    "layers = \\[": lambda: Resetter(*make("adam"), ALWAYS, layers=[]),
    "layers = '2'": lambda: Snapshot.capture(*make("adam")).restore(layers="2"),
    "momentum": lambda: Resetter(*make("adam"), ALWAYS, momentum="drop"),
    "buffers": lambda: Resetter(*make("adam"), ALWAYS, buffers="zero"),
    "when": lambda: Resetter(*make("adam"), ALWAYS, when=-1),
    "target": lambda: Resetter(*make("adam"), ALWAYS, target="best"),  # type: ignore[arg-type]
    "target = Best": lambda: Resetter(*make("adam"), ALWAYS, target=resets.Best(adaptive=False)),
    "how": lambda: Resetter(*make("adam"), ALWAYS, target=resets.Origin()),
    "how = 0.5": lambda: Resetter(*make("adam"), ALWAYS, how=0.5),  # type: ignore[arg-type]
    "target = Fresh": lambda: Resetter(*make("adam"), ALWAYS, target=resets.Fresh()).checkpoint(),
    "loss": lambda: Resetter(*make("adam"), resets.OnSpike()).step(),
    "factor": lambda: resets.Partial(1.0),
    "fraction": lambda: resets.Smallest(1.5),
    "shrink": lambda: resets.ShrinkPerturb(-0.1),
    "size": lambda: resets.Cloud(0),
    "variant": lambda: Resetter.published(*make("adam"), variant="paper"),
    "defects": lambda: Resetter.published(*make("adam"), defects=["crash"]),
    "learning_rate": lambda: Resetter(
        *make("adam"), ALWAYS, target=resets.Fresh(), learning_rate="restore"
    ),
}


@pytest.mark.parametrize("start", WRONG)
def test_wrong_use_is_one_clear_error(start: str) -> None:
    with pytest.raises(DomainError, match=rf"^{start}") as caught:
        WRONG[start]()
    assert "\n" not in str(caught.value)
