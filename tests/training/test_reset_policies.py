"""When, from when, where to and how: each policy does what it says, alone and after a resume."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import resetsgd as rs
from resetsgd.errors import DomainError, StreamMismatch
from resetsgd.training import MLP, History, Resetter, coins, digits, fit, resets, storage
from resetsgd.training.resets.clocks import Coins, clock
from resetsgd.training.resets.when import Now

INPUTS = torch.randn(200, 8, 5, generator=torch.Generator().manual_seed(1))
NEVER, ALWAYS = rs.Geometric(probability=0.0), rs.Geometric(probability=1.0)


def make() -> tuple[nn.Sequential, torch.optim.Optimizer]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
    return model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def move(resetter: Resetter, index: int) -> float:
    resetter.optimizer.zero_grad()
    loss = resetter.model(INPUTS[index]).square().mean() + 1.0
    loss.backward()
    resetter.optimizer.step()
    return loss.item()


def weights(resetter: Resetter) -> list[torch.Tensor]:
    return [p.detach().clone() for p in resetter.model.parameters()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def steps(protocol: Any, last: int, **options: Any) -> list[int]:
    """The steps at which a resetter with a checkpoint from the beginning resets."""
    resetter = Resetter(*make(), protocol, **options)
    resetter.checkpoint()
    for _ in range(last):
        resetter.step()
    return resetter.resets


def dues(protocol: rs.Protocol, seed: int, last: int) -> list[int]:
    """The same from the clock alone, by jumps from one possible step to the next."""
    decider, now = clock(protocol), Now(Coins(seed), 0, 0, 0, None, True)
    found: list[int] = []
    while (step := decider.wake(now, {})) <= last:
        now = now._replace(step=step)
        found += [step] * decider.due(now, {})
    return found


WAITS: dict[str, rs.Protocol] = {
    "poisson": rs.Poisson(rate=0.2),
    "gamma": rs.Gamma(rate=0.5, stages=2.5),
    "weibull": rs.Weibull(scale=4.0, exponent=0.7),
    "uniform": rs.Uniform(low=2.0, high=9.5),
    "pareto": rs.Pareto(scale=3.0, exponent=1.5),
    "lognormal": rs.Waiting(stats.lognorm(0.5), scale=5.0),
    "poisson law": rs.Waiting(stats.poisson(4.0, loc=1)),
    "ageing": rs.Schedule(lambda t: 0.05 * t),
}


def survival(law: rs.Protocol, t: Any) -> Any:
    if isinstance(law, rs.Poisson):
        return np.exp(-float(law.rate) * t)
    return law.waiting_survival(t)  # type: ignore[attr-defined]


def law_agrees(gaps: Any, law: rs.Protocol, alpha: float) -> bool:
    """Gaps against P(waiting time > n) at whole n, by the Dvoretzky-Kiefer-Wolfowitz bound."""
    at = np.arange(1, 200)
    measured = (gaps[:, None] > at).mean(axis=0)
    bound = math.sqrt(math.log(2.0 / alpha) / (2.0 * len(gaps)))
    return bool(np.max(np.abs(measured - survival(law, at.astype(float)))) < bound)


@pytest.mark.statistical(alpha=1e-10)
@pytest.mark.parametrize("name", WAITS)
def test_gaps_are_the_waiting_times_rounded_up(name: str) -> None:
    law = WAITS[name]
    gaps = np.diff([0, *dues(law, seed=5, last=60_000)])
    assert len(gaps) > 4000
    assert law_agrees(gaps, law, 1e-10)
    assert not law_agrees(gaps - 1, law, 1e-10)  # rounded down instead
    assert not law_agrees(gaps, rs.Poisson(rate=1.0), 1e-10)


@pytest.mark.statistical(alpha=1e-10)
def test_a_rate_of_the_run_falls_in_the_run() -> None:
    def agrees(rate: Callable[[Any], Any]) -> bool:
        """First resets of many seeds against exp(-integral of 0.5/(1 + 0.2 t))."""
        law = rs.Schedule(rate, clock="run")
        first = np.array([(dues(law, seed, 400) or [401])[0] for seed in range(3000)])
        at = np.arange(1, 400)
        expected = (1.0 + 0.2 * at) ** -2.5
        gap = np.abs((first[:, None] > at).mean(axis=0) - expected).max()
        return bool(gap < math.sqrt(math.log(2e10) / 6000))

    assert agrees(lambda t: 0.5 / (1.0 + 0.2 * t))
    assert not agrees(lambda t: 0.5 / (1.0 + 0.5 * t))


def test_protocols_keep_their_promises_in_steps() -> None:
    assert steps(rs.Sharp(period=2.5), 10) == [3, 6, 9]
    assert steps(rs.Sharp(period=math.inf), 10) == []
    assert steps(rs.Poisson(rate=0.0), 50) == []
    one = steps(rs.Poisson(rate=-math.log(0.7)), 300, seed=3)
    assert one == (np.flatnonzero(coins(3, 0, np.arange(1, 301), 0.3)) + 1).tolist()
    assert one == steps(rs.Geometric(probability=0.6, success=0.5), 300, seed=3)
    assert steps(rs.Weibull(scale=math.inf), 50) == []
    assert steps(rs.Weibull(scale=5.0), 300, seed=3) == dues(rs.Weibull(scale=5.0), 3, 300)
    assert steps(rs.Sharp(period=5), 20, when=7) == [12, 17]
    several = steps([rs.Sharp(period=5), rs.Sharp(period=7)], 15)
    assert several == [5, 7, 10, 14, 15]


def test_a_constant_probability_of_age_or_metric_is_the_coin() -> None:
    expected = steps(rs.Geometric(probability=0.1), 200, seed=9)
    assert steps(resets.ByAge(lambda age: 0.1), 200, seed=9) == expected != []
    resetter = Resetter(*make(), resets.ByMetric(lambda metric: 0.1), seed=9)
    resetter.observe(1.0)
    for _ in range(200):
        resetter.step()
    assert resetter.resets == expected


def test_age_and_metric_rule_the_probability() -> None:
    assert steps(resets.ByAge(lambda age: float(age >= 6)), 20) == [6, 12, 18]
    resetter = Resetter(*make(), resets.ByMetric(lambda loss: float(loss > 1.5)))
    resetter.checkpoint()
    for metric in (1.0, 2.0, 3.0, 1.5, 1.6):
        resetter.step()
        resetter.observe(metric)
    resetter.step()
    assert resetter.resets == [3, 4, 6]
    assert [event.metric for event in resetter.events] == [2.0, 3.0, 1.6]
    for wrong, name in ((resets.ByAge(lambda age: 2.0), "age"), (resets.ByMetric(len), "metric")):
        resetter = Resetter(*make(), wrong)  # type: ignore[arg-type]
        resetter.observe(1.0)
        with pytest.raises((DomainError, TypeError)):
            resetter.step()
        assert name in wrong.reason


def test_a_plateau_resets_once_and_is_counted_anew() -> None:
    resetter = Resetter(*make(), resets.OnPlateau(looks=2, least=0.1))
    for metric in (3.0, 2.95, 2.85, 2.9, 2.9, 2.9, 2.9, 1.0, 1.0, 0.95, 0.95):
        resetter.step(metric)
    # 2.85 is better than 3.0 by more than 0.1; then two looks without, the reset one step later
    assert resetter.resets == [6, 8, 11]
    assert {event.reason for event in resetter.events} == {"plateau"}
    up = Resetter(*make(), resets.OnPlateau(looks=1), mode="max")
    for metric in (1.0, 2.0, 1.5, 3.0, 4.0):
        up.step(metric)
    assert up.resets == [4]


def test_spikes_roll_back_and_not_for_ever() -> None:
    protocol = resets.OnSpike(factor=3.0, window=4, most=2)
    resetter = Resetter(*make(), protocol, target=resets.Latest(every=2))
    losses = [9.0, 1.0, 1.2, 0.9, 1.1, 2.9, 3.6, 1.0, math.nan, 1.0, math.inf, 1.0]
    for loss in losses:
        before = weights(resetter)
        resetter.step(loss=torch.tensor(loss))
    # 9.0 came before there were four to compare with; 3.6 is above 3 x 1.15; the third is too many
    assert resetter.resets == [7, 9]
    assert {event.reason for event in resetter.events} == {"spike"}
    assert same(before, weights(resetter))
    for loss in (1.0, math.nan, 1.0):
        checkpoint = resetter.step(loss=loss).checkpoint
    assert (resetter.steps, checkpoint) == (15, 12)  # none was taken at step 14
    hooked = Resetter(*make(), resets.OnSpike(window=2), target=resets.Initial())
    initial = weights(hooked)
    hooked.attach()
    for loss in (1.0, 1.0, 30.0):
        hooked.watch(loss)
        move(hooked, 0)
    assert hooked.resets == [3]
    assert same(initial, weights(hooked))


def test_resetting_begins_after_patience() -> None:
    patience = resets.AfterPatience(6, not_before=3)
    resetter = Resetter(*make(), ALWAYS, when=patience)
    begun = []
    for index, metric in enumerate([5.0, 4.0, 4.5, 4.1, 4.2, 3.0, 3.5]):
        for _ in range(3):
            move(resetter, index)
            resetter.step()
        resetter.observe(metric)
        begun.append(resetter.begun)
    assert begun == [None, None, None, 12, 12, 12, 12]  # best at 6, not beaten until 12
    assert resetter.resets == list(range(13, 22))
    assert [event.checkpoint for event in resetter.events] == [6] * 6 + [18] * 3


def test_the_checkpoint_follows_the_best_or_stays() -> None:
    patience = resets.AfterPatience(2)
    found = []
    for adaptive in (True, False):
        target = resets.Best(adaptive=adaptive)
        resetter = Resetter(*make(), NEVER, when=patience, target=target)
        seen = []
        for index, metric in enumerate([3.0, 2.0, 2.5, 2.5, 1.0, 1.5]):
            move(resetter, index)
            resetter.step(metric)
            seen.append(weights(resetter))
        assert resetter.begun == 4
        event = resetter.reset()
        assert resetter.best == 1.0
        assert resetter.best_snapshot is not None
        assert same(weights(resetter), seen[4 if adaptive else 1])
        resetter.best_snapshot.restore()
        assert same(weights(resetter), seen[4])
        found.append(event.checkpoint)
    assert found == [5, 2]


def test_places_to_go_to() -> None:
    for target, expected in (
        (resets.Initial(), [0] * 12),
        (resets.AtStep(5), [None] * 4 + [5] * 8),
        (resets.Latest(every=4), [None] * 3 + [4] * 4 + [8] * 4 + [12]),
    ):
        resetter = Resetter(*make(), NEVER, target=target)
        seen = [weights(resetter)]
        found = []
        for index in range(12):
            move(resetter, index)
            seen.append(weights(resetter))
            found.append(resetter.step().checkpoint)
            resetter.observe(-float(index))  # an improvement, which is nothing to them
        assert found == expected
        event = resetter.reset("by hand")
        assert event.reason == "by hand"
        assert event.checkpoint == expected[-1]
        assert same(weights(resetter), seen[event.checkpoint])


def test_a_cloud_is_drawn_from_evenly_and_by_key() -> None:
    resetter = Resetter(*make(), ALWAYS, target=resets.Cloud(4, every=10), when=50, seed=3)
    seen = {}
    for index in range(50):
        move(resetter, index)
        resetter.step()
        seen[index + 1] = weights(resetter)
    for _ in range(8):
        event = resetter.step()
        assert event.checkpoint in (20, 30, 40, 50)
        assert same(weights(resetter), seen[event.checkpoint])
    again = Resetter(*make(), ALWAYS, target=resets.Cloud(3), seed=4)
    for index in range(6):
        move(again, index)
        again.optimizer.step()
        again.step()
        again.observe(-float(index // 2))  # better at steps 1, 3 and 5
    drawn = [again.step().checkpoint for _ in range(600)]
    assert {*drawn} == {1, 3, 5}
    assert min(drawn.count(step) for step in (1, 3, 5)) > 130
    twin = Resetter(*make(), ALWAYS, target=resets.Cloud(3), seed=4)
    for index in range(6):
        twin.step()
        twin.observe(-float(index // 2))
    assert [twin.step().checkpoint for _ in range(600)] == drawn


def test_fresh_is_new_each_time_keyed_and_leaves_the_generators_alone() -> None:
    found = []
    for _ in range(2):
        resetter = Resetter(*make(), ALWAYS, target=resets.Fresh(), seed=7)
        drawn = []
        for index in range(3):
            move(resetter, index)
            state = torch.get_rng_state()
            event = resetter.step()
            assert torch.equal(torch.get_rng_state(), state)
            assert event.checkpoint is None
            assert len(resetter.optimizer.state) == 0
            assert not resetter.model[1].running_mean.any()
            drawn.append(weights(resetter))
        assert not torch.equal(drawn[0][0], drawn[1][0])
        assert float(drawn[0][0].abs().max()) <= 5**-0.5  # the bound of nn.Linear
        found.append(drawn)
        torch.rand(5)
    assert all(same(a, b) for a, b in zip(*found, strict=True))

    def ones(model: nn.Module) -> None:
        for p in model.parameters():
            p.fill_(1.0)

    resetter = Resetter(*make(), ALWAYS, target=resets.Fresh(ones))
    resetter.step()
    assert all(bool((p == 1).all()) for p in weights(resetter))

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))

    own = Own()
    with pytest.raises(DomainError, match=r"^initialise = .*Own.*no reset_parameters"):
        Resetter(own, torch.optim.SGD(own.parameters(), lr=0.1), ALWAYS, target=resets.Fresh())


def test_what_a_reset_does_to_the_weights() -> None:
    for how, target in (
        (resets.Partial(0.25), None),
        (resets.Partial(0.9), resets.Origin()),
        (resets.Smallest(0.3), None),
        (resets.Smallest(0.3, over="all"), None),
        (resets.ShrinkPerturb(), None),
    ):
        resetter = Resetter(*make(), ALWAYS, how=how, target=target, seed=2)
        if not isinstance(resetter.target, resets.MadeTarget):
            move(resetter, 0)
            resetter.checkpoint()
        there = weights(resetter)
        for index in range(1, 30):
            move(resetter, index)
        live, buffers = weights(resetter), [b.clone() for b in resetter.model.buffers()]
        momentum = storage.digest(resetter.optimizer.state_dict()["state"])
        event = resetter.step()
        now = weights(resetter)
        assert same(buffers, list(resetter.model.buffers()))
        kept = storage.digest(resetter.optimizer.state_dict()["state"]) == momentum
        assert kept == (how != resets.ShrinkPerturb())
        if isinstance(how, resets.Partial) and target is None:
            expected = [c + 0.25 * (x - c) for x, c in zip(live, there, strict=True)]
            far = math.sqrt(sum(float((x - c).square().sum()) for x, c in zip(live, there)))  # noqa: B905
            assert event.distance == pytest.approx(far, rel=1e-5)
        elif isinstance(how, resets.Partial):
            expected = [0.9 * x for x in live]
        elif isinstance(how, resets.ShrinkPerturb):
            fresh, _ = resets.Fresh().make(resetter.model, 2, 1)
            expected = [0.4 * x + 0.1 * y for x, y in zip(live, fresh, strict=True)]
        else:
            changed = [int((x != n).sum()) for x, n in zip(live, now, strict=True)]
            assert changed[1:4] == [0, 0, 0]  # biases and scales stay
            assert changed[5] == 0
            if how.over == "tensor":
                assert changed[0] == 6
                assert changed[4] == 1
            else:
                assert changed[0] + changed[4] == 7
            least = live[0].abs().reshape(-1).sort().values[changed[0] - 1]
            mask = live[0].abs() <= least
            expected = [torch.where(mask, there[0], live[0]), *now[1:]]
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(now, expected, strict=True))


def test_layers_that_are_not_chosen_go_on_untouched() -> None:
    for layers in (1, ["3"], "3", ["3.weight", "3.bias"]):
        resetter = Resetter(*make(), NEVER, layers=layers)
        move(resetter, 0)
        resetter.checkpoint()
        there, parameters = weights(resetter), list(resetter.model.parameters())
        held = [resetter.optimizer.state[p]["momentum_buffer"].clone() for p in parameters]
        for index in range(1, 4):
            move(resetter, index)
        live, buffers = weights(resetter), [b.clone() for b in resetter.model.buffers()]
        going = [resetter.optimizer.state[p]["momentum_buffer"].clone() for p in parameters]
        event = resetter.reset()
        assert same(weights(resetter), live[:4] + there[4:])
        now = [resetter.optimizer.state[p]["momentum_buffer"] for p in parameters]
        assert same(now, going[:4] + held[4:])
        assert same(buffers, list(resetter.model.buffers()))
        far = math.sqrt(sum(float((live[i] - there[i]).square().sum()) for i in (4, 5)))
        assert event.distance == pytest.approx(far, rel=1e-5)
    last_two = resets.select(make()[0], 2)
    assert (last_two.parameters, last_two.buffers) == ((2, 3, 4, 5), (0, 1, 2))


@pytest.mark.parametrize(
    "protocol", [resets.OnPlateau(looks=1), resets.OnSpike(factor=1.2, window=4, most=9)], ids=repr
)
def test_the_plain_loop_tells_the_resetter_what_it_watches(protocol: Any, tmp_path: Path) -> None:
    network, data = MLP((64, 10)), digits(train=200, validation=60, test=60, seed=1)

    def go(first: int | None) -> tuple[History, str]:
        for steps in (first, 90):
            if steps is None:
                continue
            model = network.module(network.initial(seed=0))
            optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
            scaler = torch.amp.GradScaler("cpu")  # any state that goes along
            resetter = Resetter(model, optimizer, protocol, also=[scaler])
            found = fit(
                model,
                optimizer,
                data,
                steps=steps,
                batch_size=4,
                resetter=resetter,
                evaluate_every=5,
                checkpoint=tmp_path / f"{first}",
            )
        return found, storage.digest(weights(resetter))

    whole, half = go(None), go(37)
    assert whole == half
    assert len(whole[0].resets) > 2


COMBINATIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "weibull, patience, stays": (
        rs.Weibull(scale=4.0),
        {"when": resets.AfterPatience(7), "target": resets.Best(adaptive=False)},
    ),
    "sharp, cloud": (rs.Sharp(period=5), {"target": resets.Cloud(3, every=4), "when": 3}),
    "age, fresh, last layer": (
        resets.ByAge(lambda age: 0.02 * age), {"target": resets.Fresh(), "layers": 1},
    ),
    "plateau, partial": (resets.OnPlateau(looks=2), {"how": resets.Partial(0.5)}),
    "spike": (
        resets.OnSpike(factor=1.001, window=3, most=50), {"target": resets.Latest(every=5)},
    ),
    "run, shrink and perturb": (
        rs.Schedule(lambda t: 1.0 / (1.0 + t), clock="run"), {"how": resets.ShrinkPerturb()},
    ),
    "metric, momentum zero": (
        resets.ByMetric(lambda metric: 0.3 if metric > 0 else 0.0), {"momentum": "zero"},
    ),
    "coin and period": ([rs.Geometric(probability=0.1), rs.Sharp(period=9)], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_resumed_run_is_the_unbroken_one_bit_for_bit(name: str, tmp_path: Path) -> None:
    protocol, options = COMBINATIONS[name]

    def go(resetter: Resetter, first: int, last: int) -> list[str]:
        found = []
        for index in range(first, last):
            loss = move(resetter, index)
            resetter.step(loss=loss)
            if (index + 1) % 3 == 0:
                resetter.observe(math.cos(index))
            found.append(storage.digest(weights(resetter)))
        return found

    whole = Resetter(*make(), protocol, seed=4, **options)
    expected = go(whole, 0, 90)
    assert len(whole.resets) > 2
    for cut in (1, 20, 47):
        first = Resetter(*make(), protocol, seed=4, **options)
        go(first, 0, cut)
        storage.write(tmp_path / "state", [first.state_dict(), first.optimizer.state_dict()])
        mine, theirs = storage.read(tmp_path / "state")
        model, optimizer = make()
        model.load_state_dict(first.model.state_dict())
        optimizer.load_state_dict(theirs)
        second = Resetter(model, optimizer, protocol, seed=4, **options)
        second.load_state_dict(mine)
        assert go(second, cut, 90) == expected[cut:]
        assert second.events == whole.events
        other = Resetter(*make(), protocol, seed=5, **options)
        with pytest.raises(StreamMismatch, match="seed = 4, not 5"):
            other.load_state_dict(mine)
