"""How fast many replicas train together: the ensemble against two ways people would write it.

Trains K replicas of one small network, each on its own mini-batches, as (a) :class:`Ensemble`,
(b) a Python loop over plain torch modules and optimizers, (c) ``torch.func.vmap`` of a functional
step. All do the same arithmetic; only (a) also draws new batches, (b) and (c) reuse theirs. Rounds
are interleaved, so that whatever else the machine does meets all of them; medians are compared.

    python benchmarks/ensemble.py [--replicas 256] [--rounds 7] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from resetsgd.training import MLP, Ensemble, digits
from resetsgd.training.streams import batches

RATE, MOMENTUM, BATCH = 0.1, 0.9, 32
IMAGES, LABELS = digits(train=1000, validation=360, test=400).train.tensors()
LOOK = digits(train=1000, validation=360, test=400).validation.tensors()


def indices(replicas: int) -> torch.Tensor:
    drawn = batches(0, range(replicas), 0, population=len(IMAGES), size=BATCH)
    return torch.from_numpy(drawn)


def ours(network: MLP, replicas: int) -> dict[str, tuple[Callable[[], object], int]]:
    ensemble = Ensemble(
        network, replicas, learning_rate=RATE, momentum=MOMENTUM, batch_size=BATCH, seed=0
    )
    ensemble.load(network.initial(0))
    checkpoint = network.initial(0)
    return {
        "train": (lambda: ensemble.train_step(IMAGES, LABELS), 1),
        "look": (lambda: ensemble.evaluate(*LOOK), 1),
        "coins + reset": (lambda: ensemble.reset(ensemble.coins(0.01), checkpoint), 1),
    }


def loop(network: MLP, replicas: int) -> dict[str, tuple[Callable[[], object], int]]:
    """A loop over plain modules; a sixteenth of the replicas is timed and scaled."""
    some = max(1, replicas // 16)
    modules = [network.module(network.initial(0)) for _ in range(some)]
    optimizers = [torch.optim.SGD(m.parameters(), lr=RATE, momentum=MOMENTUM) for m in modules]
    chosen = indices(some)

    def train() -> None:
        for module, optimizer, rows in zip(modules, optimizers, chosen, strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(IMAGES[rows]), LABELS[rows]).backward()
            optimizer.step()

    def look() -> None:
        with torch.no_grad():
            for module in modules:
                logits = module(LOOK[0])
                nn.functional.cross_entropy(logits, LOOK[1]).item()
                (logits.argmax(1) == LOOK[1]).float().mean().item()

    return {"train": (train, replicas / some), "look": (look, replicas / some)}


def mapped(network: MLP, replicas: int) -> dict[str, tuple[Callable[[], object], int]]:
    """torch.func: vmap of the gradient of a functional call, updates on the stacked tensors."""
    module = network.module(network.initial(0))
    stacked = {
        name: p.detach().expand(replicas, *p.shape).clone() for name, p in module.named_parameters()
    }
    velocity = {name: torch.zeros_like(p) for name, p in stacked.items()}
    chosen = indices(replicas)

    def loss(parameters: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(functional_call(module, parameters, (x,)), y)

    def score(
        parameters: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits = functional_call(module, parameters, (x,))
        return nn.functional.cross_entropy(logits, y), (logits.argmax(1) == y).float().mean()

    gradients, scores = vmap(grad(loss)), vmap(score, in_dims=(0, None, None))

    def train() -> None:
        found = gradients(stacked, IMAGES[chosen], LABELS[chosen])
        for name, gradient in found.items():
            velocity[name].mul_(MOMENTUM).add_(gradient)
            stacked[name].add_(velocity[name], alpha=-RATE)

    def look() -> None:
        with torch.no_grad():
            scores(stacked, *LOOK)

    return {"train": (train, 1), "look": (look, 1)}


def measure(widths: tuple[int, ...], replicas: int, rounds: int) -> dict[str, dict[str, float]]:
    network = MLP(widths)
    ways = {"ensemble": ours, "loop": loop, "vmap": mapped}
    jobs = {name: make(network, replicas) for name, make in ways.items()}
    repeats = {"ensemble": 40, "loop": 2, "vmap": 10}
    seconds: dict[str, dict[str, list[float]]] = {n: {j: [] for j in jobs[n]} for n in jobs}
    for round_ in range(rounds + 1):
        for name, kinds in jobs.items():
            for kind, (work, scale) in kinds.items():
                start = time.perf_counter()
                for _ in range(repeats[name]):
                    work()
                elapsed = (time.perf_counter() - start) / repeats[name] * scale
                if round_:  # the first round warms up
                    seconds[name][kind].append(elapsed)
    return {n: {k: statistics.median(v) for k, v in kinds.items()} for n, kinds in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    report = {}
    for widths in ((64, 32, 10), (64, 64, 10), (64, 64, 64, 10)):
        found = measure(widths, options.replicas, options.rounds)
        report["-".join(map(str, widths))] = found
        if options.json:
            continue
        print(f"{'-'.join(map(str, widths))}, K = {options.replicas}, {options.threads} threads")
        for kind in found["ensemble"]:
            mine = found["ensemble"][kind]
            ratios = "".join(
                f"   {found[other][kind] / mine:5.1f} x {other}"
                for other in ("loop", "vmap")
                if kind in found[other]
            )
            speed = options.replicas / mine
            print(f"  {kind:14s} {1e3 * mine:7.2f} ms  {speed:9.0f} replica-steps/s{ratios}")
    if options.json:
        print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
