"""How fast many replicas train together: the ensemble against the ways people would write it.

Perceptrons: K replicas of one small network, each on its own mini-batches, as (a)
:class:`Ensemble`, (b) a Python loop over plain torch modules and optimizers, (c)
``torch.func.vmap`` of a functional step. Convolutional: K replicas of the small CNN on images of
the size of CIFAR-10, as (a), as (b), and as (b) with modules and images in the channels-last
format, which is the best that a loop can do here. All do the same arithmetic; only (a) also draws
new batches, (b) and (c) reuse theirs. Rounds are interleaved, so that whatever else the machine
does meets all of them; medians are compared.

On a CUDA device: replica-steps per second of a perceptron, the small CNN and ResNet-18 in bfloat16
at the best K, next to a loop over compiled modules, and which share of the measured peak of matrix
products that is.

    python benchmarks/ensemble.py [--replicas 256] [--maps 8] [--rounds 7] [--threads 2]
                                  [--only mlp|cnn|cuda] [--json FILE]
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from resetsgd.training import MLP, Ensemble, digits
from resetsgd.training.networks import mlp, resnet18, small_cnn
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


Jobs = dict[str, dict[str, tuple[Callable[[], object], float]]]


def measure(jobs: Jobs, repeats: dict[str, int], rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds of each job, contenders taking turns."""
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


def perceptrons(replicas: int, rounds: int) -> dict[str, Any]:
    report = {}
    for widths in ((64, 32, 10), (64, 64, 10), (64, 64, 64, 10)):
        ways = {"ensemble": ours, "loop": loop, "vmap": mapped}
        jobs = {name: make(MLP(widths), replicas) for name, make in ways.items()}
        found = measure(jobs, {"ensemble": 40, "loop": 2, "vmap": 10}, rounds)
        report["-".join(map(str, widths))] = told("-".join(map(str, widths)), found, replicas)
    return report


def convolutional(replicas: int, rounds: int) -> dict[str, Any]:
    """The small CNN; two replicas of each loop are timed and scaled."""
    images, labels = torch.rand(2000, 3, 32, 32), torch.randint(0, 10, (2000,))
    network, some = small_cnn(), 2
    chosen = torch.randint(0, 2000, (some, BATCH))
    jobs: Jobs = {}
    for name, precision in (("ensemble", "float32"), ("ensemble, bfloat16", "bfloat16")):
        ensemble = Ensemble(
            network,
            replicas,
            learning_rate=RATE,
            momentum=MOMENTUM,
            batch_size=BATCH,
            precision=precision,
        )
        jobs[name] = {"train": (lambda e=ensemble: e.train_step(images, labels), 1)}
    for name, layout in (
        ("loop", torch.contiguous_format),
        ("channels-last loop", torch.channels_last),
    ):
        modules = [copy.deepcopy(network).to(memory_format=layout) for _ in range(some)]
        optimizers = [torch.optim.SGD(m.parameters(), lr=RATE, momentum=MOMENTUM) for m in modules]

        def train(
            modules: Any = modules, optimizers: Any = optimizers, layout: Any = layout
        ) -> None:
            for module, optimizer, rows in zip(modules, optimizers, chosen, strict=True):
                batch = images[rows].contiguous(memory_format=layout)
                optimizer.zero_grad()
                nn.functional.cross_entropy(module(batch), labels[rows]).backward()
                optimizer.step()

        jobs[name] = {"train": (train, replicas / some)}
    found = measure(jobs, dict.fromkeys(jobs, 2), rounds)
    return told(f"small CNN, batch {BATCH}", found, replicas)


def told(name: str, found: dict[str, dict[str, float]], replicas: int) -> dict[str, Any]:
    """Print seconds and ratios; what goes into the record."""
    print(f"{name}, K = {replicas}, {torch.get_num_threads()} threads")
    record: dict[str, Any] = {"seconds": found}
    for kind, mine in found["ensemble"].items():
        ratios = {o: s[kind] / mine for o, s in found.items() if o != "ensemble" and kind in s}
        shown = "".join(f"   {ratio:5.1f} x {other}" for other, ratio in ratios.items())
        speed = replicas / mine
        print(f"  {kind:14s} {1e3 * mine:8.2f} ms  {speed:9.0f} replica-steps/s{shown}")
        record[kind] = {"replica-steps per second": speed, "ratios": ratios}
    return record


# On a CUDA device.

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...]]] = {
    "MLP 3072-512-512-10": (lambda: mlp((3072, 512, 512, 10)), (3072,), (16, 64, 256)),
    "small CNN": (small_cnn, (3, 32, 32), (8, 32, 128)),
    "ResNet-18": (resnet18, (3, 32, 32), (2, 8, 24)),
}


FORMS = (
    ("grouped", None, "grouped"),
    ("products", None, "products"),
    ("one at a time", 1, "grouped"),
)


def seconds_on_device(work: Callable[[], object], repeats: int = 20) -> float:
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def peak() -> float:
    """Measured floating-point operations per second of one large product in bfloat16."""
    size = 8192
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return float(2 * size**3 / seconds_on_device(lambda: a @ b))


def operations(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> int:
    """Of the forward and backward pass of one step."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        nn.functional.cross_entropy(network(images), labels).backward()
    return int(counter.get_total_flops())


def compiled_loop(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Steps per second of one compiled module with a fused optimizer."""
    module = copy.deepcopy(network).cuda().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE, momentum=MOMENTUM, fused=True)
    run = torch.compile(module, mode="reduce-overhead")

    def step() -> None:
        rows = torch.randint(0, len(images), (128,), device="cuda")
        batch = images[rows]
        if batch.ndim == 4:
            batch = batch.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            logits = run(batch)
        nn.functional.cross_entropy(logits.float(), labels[rows]).backward()
        optimizer.step()

    return 1.0 / seconds_on_device(step)


def on_device() -> dict[str, Any]:
    if not torch.cuda.is_available():
        print("CUDA: skipped, there is no device")
        return {"skipped": "there is no CUDA device"}
    torch.backends.cudnn.benchmark = True
    best = peak()
    print(f"{torch.cuda.get_device_name()}: bfloat16 peak {best / 1e12:.0f} TFLOP/s, batch 128")
    report: dict[str, Any] = {"device": torch.cuda.get_device_name(), "peak": best}
    for name, (make, shape, counts) in NETWORKS.items():
        network = make()
        images = torch.rand(4096, *shape, device="cuda")
        labels = torch.randint(0, 10, (4096,), device="cuda")
        work = operations(make(), images[:128].cpu(), labels[:128].cpu())
        plain = compiled_loop(network, images, labels)
        tried: dict[str, float] = {}
        for replicas in counts:
            for form, together, convolution in FORMS[: 1 if len(shape) == 1 else None]:
                ensemble = Ensemble(
                    network,
                    replicas,
                    learning_rate=RATE,
                    momentum=MOMENTUM,
                    batch_size=128,
                    precision="bfloat16",
                    together=together,
                    convolution=convolution,
                    device="cuda",
                )
                step = seconds_on_device(lambda e=ensemble, x=images, y=labels: e.train_step(x, y))
                tried[f"K = {replicas}, {form}"] = replicas / step
                del ensemble
                torch.cuda.empty_cache()
        winner = max(tried, key=tried.__getitem__)
        speed = tried[winner]
        report[name] = {
            "replica-steps per second": tried,
            "compiled loop": plain,
            "ratio": speed / plain,
            "utilisation": speed * work / best,
        }
        print(
            f"  {name:20s} {winner}: {speed:9.0f} replica-steps/s, {speed / plain:5.1f} x compiled"
            f" loop, {speed * work / best:.1%} of the peak"
        )
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, default=256)
    parser.add_argument("--maps", type=int, default=8, help="replicas of the convolutional network")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", choices=("mlp", "cnn", "cuda"))
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "mlp": lambda: perceptrons(options.replicas, options.rounds),
        "cnn": lambda: convolutional(options.maps, options.rounds),
        "cuda": on_device,
    }
    report = {name: make() for name, make in parts.items() if options.only in (None, name)}
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
