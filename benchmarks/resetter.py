"""What resetting costs: a step at probability 0 against plain training, a restore against a copy.

(a) The added cost of a step. A digits MLP (64-128-10, batch 32, SGD with momentum) trains with
``resetter.step()`` after every step, with the zero-line hook, and without either. The call itself
is also timed alone: the difference of two steps of some hundred microseconds is mostly noise, the
call is what is added. (b) One ``restore`` against one plain copy of the same bytes between two flat
tensors, for a network of many small tensors and one of a few large ones. Contenders take turns;
medians are compared.

    python benchmarks/resetter.py [--rounds 15] [--threads 1]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import resetsgd as rs
from resetsgd.training import MLP, Resetter, Snapshot, digits

IMAGES, LABELS = digits(train=1000, validation=360, test=400).train.tensors()


def trainer(kind: str) -> Callable[[], None]:
    network = MLP((64, 128, 10))
    model = network.module(network.initial(0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    resetter = Resetter(model, optimizer, rs.Geometric(probability=0.0))
    resetter.checkpoint()
    if kind == "hook":
        resetter.attach()
    x, y = IMAGES[:32], LABELS[:32]

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        if kind == "resetter":
            resetter.step()

    return step


def called(probability: float) -> Callable[[], None]:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    resetter = Resetter(model, optimizer, rs.Geometric(probability=probability))
    resetter.checkpoint()
    return lambda: (resetter.step(), None)[1]


def interleaved(jobs: dict[str, tuple[Callable[[], None], int]], rounds: int) -> dict[str, float]:
    """Median microseconds of one call of each job."""
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for round_ in range(rounds + 1):
        for name, (work, repeats) in jobs.items():
            start = time.perf_counter()
            for _ in range(repeats):
                work()
            if round_:
                found[name].append((time.perf_counter() - start) / repeats * 1e6)
    return {name: statistics.median(times) for name, times in found.items()}


def restores(model: nn.Module, rounds: int) -> dict[str, float]:
    """One restore of parameters, buffers and Adam's moments against flat copies of these bytes."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    sum(p.sum() for p in model.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    snapshot = Snapshot.capture(model, optimizer)
    state = [v for held in optimizer.state.values() for v in held.values()]
    tensors = [t for t in [*model.parameters(), *model.buffers(), *state] if isinstance(t, Tensor)]
    size = sum(t.numel() * t.element_size() for t in tensors)
    source, target = torch.ones(size, dtype=torch.uint8), torch.zeros(size, dtype=torch.uint8)
    repeats = max(3, int(2e8 / size))
    found = interleaved(
        {
            "restore": (snapshot.restore, repeats),
            "flat copy": (lambda: (target.copy_(source), None)[1], repeats),
        },
        rounds,
    )
    return {"MB": size / 1e6, **found, "copies": found["restore"] / found["flat copy"]}


def deep(width: int, layers: int) -> nn.Module:
    parts: list[nn.Module] = []
    for _ in range(layers):
        parts += [nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU()]
    return nn.Sequential(*parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = interleaved(
        {
            "plain": (trainer("plain"), 200),
            "resetter": (trainer("resetter"), 200),
            "hook": (trainer("hook"), 200),
            "call, probability 0": (called(0.0), 20_000),
            "call, probability 1e-9": (called(1e-9), 20_000),
        },
        options.rounds,
    )
    print("one step, microseconds:", json.dumps({k: round(v, 2) for k, v in steps.items()}))
    for name in ("call, probability 0", "call, probability 1e-9"):
        print(f"added by the {name}: {steps[name] / steps['plain']:.2%} of a plain step")
    for name, model in (("12 layers of 512", deep(512, 12)), ("3 layers of 2048", deep(2048, 3))):
        found = restores(model, options.rounds)
        shown = {k: round(v, 2) for k, v in found.items()}
        print(f"restore, {name} with Adam: {json.dumps(shown)}")


if __name__ == "__main__":
    main()
