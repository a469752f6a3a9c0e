"""The SGD kernels do, replica by replica, what a slow program does that knows only the definitions.

The twin draws the same words (xoshiro128++ and SplitMix64 written down again, in Python integers),
takes losses and gradients from NumPy, and makes its steps one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import resetsgd as rs

MASK64, MASK32 = 2**64 - 1, 2**32 - 1


def mixed(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK64
    return z ^ (z >> 31)


def words(seed: int, path: int, purpose: int) -> Iterator[int]:
    """xoshiro128++ from a hash of its key."""
    gamma, state = 0x9E3779B97F4A7C15, []
    for salt in (0xA0761D6478BD642F, 0xE7037ED1A0B428DB):
        key = (mixed((mixed((seed + salt) & MASK64) + gamma * purpose) & MASK64)) & MASK64
        half = mixed((path * gamma + key) & MASK64)
        state += [half & MASK32, half >> 32]
    s = state

    def turned(x: int, k: int) -> int:
        return ((x << k) | (x >> (32 - k))) & MASK32

    while True:
        yield (turned((s[0] + s[3]) & MASK32, 7) + s[0]) & MASK32
        t = (s[1] << 9) & MASK32
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = turned(s[3], 11)


def batch_words(seed: int, path: int) -> Iterator[int]:
    """Eight generators in turn."""
    streams = [words(seed, path, 64 + k) for k in range(8)]
    while True:
        for stream in streams:
            yield next(stream)


def uniforms(seed: int, path: int) -> Iterator[float]:
    """52-bit uniforms for resets."""
    stream = words(seed, path, 2)
    while True:
        high, low = next(stream), next(stream)
        yield (((high << 20) | (low >> 12)) + 0.5) / 2.0**52


def below(stream: Iterator[int], size: int) -> int:
    """Whole number below size, every one equally likely."""
    while True:
        product = next(stream) * size
        if product & MASK32 >= 2**32 % size:
            return product >> 32


def trained(
    task: Any, target: Any, start: Any, replica: int, *, learning_rate: float, batch_size: int,
    horizon: int, seed: int, momentum: float = 0.0, weight_decay: float = 0.0,
    schedule: Any = (1.0,), replace: bool = True, protocol: Any = None, checkpoint: Any = None,
    partial: float = 0.0, keep_velocity: bool = False, look_every: int = 1,
    wrong: str = "",
) -> tuple[int, bool, int, Any]:  # fmt: skip
    """Steps made, whether it arrived, resets, parameters; ``wrong`` plants a mistake."""
    stream, chance = batch_words(seed, replica), uniforms(seed, replica)
    theta = np.array(start, dtype=float)
    velocity, home, home_velocity = np.zeros_like(theta), theta.copy(), np.zeros_like(theta)
    order = list(range(task.samples))
    resets, adaptive = 0, isinstance(checkpoint, rs.BestSoFar)
    by_loss = isinstance(protocol, rs.LossResets)
    best = task.observe(checkpoint.observable, theta) if adaptive else 0.0
    watched = task.observe(protocol.observable, theta) if by_loss else 0.0
    look_first = isinstance(protocol, rs.Geometric) and protocol.order == "move-look-coin"
    look_first ^= wrong == "order"

    def wait() -> int:
        if isinstance(protocol, rs.Geometric):
            p = protocol.probability
            return math.floor(-math.log(next(chance)) / -math.log1p(-p)) + 1
        return int(protocol.period) if isinstance(protocol, rs.Sharp) else 2**60

    due = wait()
    for step in range(1, horizon + 1):
        if replace:
            rows = [below(stream, task.samples) for _ in range(batch_size)]
        else:
            rows = []
            for b in range(batch_size):
                other = b + below(stream, task.samples - b)
                order[b], order[other] = order[other], order[b]
                rows.append(order[b])
        gradient = task.sample_gradients(theta)[rows].mean(axis=0) + weight_decay * theta
        velocity = momentum * velocity + gradient
        factor = schedule[min(step - 1, len(schedule) - 1)]
        theta = theta - learning_rate * factor * velocity
        arrived = False
        for turn in range(2):
            if (turn == 0) != look_first:
                falls = step == due
                if by_loss:
                    falls = next(chance) < np.interp(
                        watched, protocol.levels, protocol.probabilities
                    )
                if falls and not arrived:
                    resets += 1
                    if checkpoint is not None and not adaptive:
                        home = np.atleast_2d(checkpoint)[int(next(chance) * len(checkpoint))]
                    theta = home + partial * (theta - home)
                    if not keep_velocity:
                        velocity = home_velocity + partial * (velocity - home_velocity)
                    due = step + wait()
                continue
            if target is not None and step % look_every == 0:
                arrived = target.met(task.observe(target.observable, theta))
            if adaptive and step % checkpoint.every == 0:
                found = task.observe(checkpoint.observable, theta)
                if found < best or wrong == "record":
                    best, home, home_velocity = found, theta.copy(), velocity.copy()
            if by_loss and step % protocol.every == 0:
                watched = task.observe(protocol.observable, theta)
        if arrived:
            return step, True, resets, theta
    return horizon, False, resets, theta


LINEAR = rs.LinearTask.drawn(37, 6, noise_rate=0.3, seed=3, test=21, validation=11)
LOGISTIC = rs.LogisticTask.drawn(50, 5, noise_rate=0.2, seed=4, test=30, validation=70)
PHASE = rs.PhaseRetrievalTask.drawn(60, 4, noise_rate=0.1, seed=5, test=33)
NETWORK = rs.TeacherStudentTask.drawn(45, 7, units=3, noise_rate=0.2, seed=6, test=80)
ZERO = np.zeros(6)

CASES: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "linear": (LINEAR, rs.Reaches("distance", below=0.16), ZERO, {}),
    "odd batch": (LINEAR, rs.Reaches("overlap", above=0.97), ZERO + 0.1, {"batch_size": 7}),
    "one sample": (LINEAR, rs.Reaches("distance", below=0.2), ZERO, {"batch_size": 1}),
    "resets": (
        LINEAR, rs.Reaches("distance", below=0.2), ZERO, {"protocol": rs.Geometric(0.05)}
    ),
    "look first": (
        LINEAR, rs.Reaches("distance", below=0.35), ZERO,
        {"protocol": rs.Geometric(0.3, order="move-look-coin")},
    ),
    "momentum, decay, schedule": (
        LINEAR, rs.Reaches("clean_loss", below=0.1), ZERO,
        {
            "momentum": 0.8, "weight_decay": 0.02, "schedule": (1.0, 0.5, 0.25),
            "protocol": rs.Sharp(12.0), "look_every": 3,
        },
    ),
    "different rows": (
        LINEAR, rs.Reaches("distance", below=0.12), ZERO,
        {"replace": False, "batch_size": 36, "learning_rate": 0.2},
    ),
    "partial, velocity kept": (
        LINEAR, rs.Reaches("distance", below=0.15), ZERO,
        {
            "momentum": 0.5, "partial": 0.5, "keep_velocity": True,
            "protocol": rs.Geometric(0.1),
        },
    ),
    "cloud": (
        LINEAR, rs.Reaches("distance", below=0.2), ZERO,
        {"checkpoint": np.eye(6)[:4], "protocol": rs.Geometric(0.1), "momentum": 0.3},
    ),
    "best so far": (
        LINEAR, rs.Reaches("distance", below=0.12), ZERO,
        {
            "checkpoint": rs.BestSoFar(every=5), "protocol": rs.Geometric(0.05),
            "momentum": 0.6, "partial": 0.25,
        },
    ),
    "resets by loss": (
        LINEAR, rs.Reaches("distance", below=0.25), ZERO,
        {"protocol": rs.LossResets([0.1, 0.3, 0.5], [0.3, 0.1, 0.2], every=2)},
    ),
    "logistic": (
        LOGISTIC, rs.Reaches("clean_loss", below=0.5), np.zeros(5),
        {"protocol": rs.Geometric(0.05), "learning_rate": 0.3},
    ),
    "phase retrieval": (
        PHASE, rs.Reaches("distance", below=0.02), PHASE.random_start(seed=1),
        {"protocol": rs.Geometric(0.01), "learning_rate": 0.05},
    ),
    "network": (
        NETWORK, rs.Reaches("overlap", above=0.75), NETWORK.random_start(seed=2),
        {"protocol": rs.Geometric(0.02), "momentum": 0.5, "weight_decay": 0.01},
    ),
}  # fmt: skip


def both(name: str, wrong: str = "", replicas: int = 6) -> tuple[Any, list[Any]]:
    task, target, start, options = CASES[name]
    given = {"learning_rate": 0.1, "batch_size": 4, "horizon": 300, "seed": 2**63 + 5, **options}
    S = rs.simulate_sgd(task, target, start, replicas=replicas, parameters=True, **given)
    return S, [trained(task, target, start, k, wrong=wrong, **given) for k in range(replicas)]


def same(S: Any, twins: list[Any]) -> bool:
    return all(
        S.times[k] == steps
        and S.censored[k] != arrived
        and S.resets[k] == resets
        and np.allclose(S.parameters[k], theta, rtol=1e-9, atol=1e-11)
        for k, (steps, arrived, resets, theta) in enumerate(twins)
    )


@pytest.mark.parametrize("name", list(CASES))
def test_kernel_and_twin_agree(name: str) -> None:
    S, twins = both(name)
    assert same(S, twins)
    assert not S.censored.all()


@pytest.mark.parametrize("name", ["resets", "cloud", "best so far", "resets by loss"])
def test_these_cases_do_reset(name: str) -> None:
    assert both(name)[0].resets.sum() >= 3


@pytest.mark.parametrize(("name", "wrong"), [("look first", "order"), ("best so far", "record")])
def test_a_wrong_twin_is_rejected(name: str, wrong: str) -> None:
    assert not same(*both(name, wrong, replicas=20))
