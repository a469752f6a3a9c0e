"""Networks, samples and a fingerprint of a training run, for the tests of the instruments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from resetsgd.training import storage
from resetsgd.training.diagnostics import Probe, TurnOverDropout

CLASSES = 3


def images(count: int = 24, *shape: int, seed: int = 0, dtype: Any = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *(shape or (5,)), generator=generator, dtype=torch.float64).to(dtype)


def probe(count: int = 24, *shape: int, dtype: Any = torch.float64) -> Probe:
    """Samples of three classes, every third of them with a wrong label."""
    x = images(count, *shape, dtype=dtype)
    truth = x.reshape(count, -1)[:, :CLASSES].argmax(1)
    labels = truth.clone()
    labels[::3] = (labels[::3] + 1) % CLASSES
    return Probe(x, labels, truth=truth, index=torch.arange(count))


def seeded(build: Callable[[], nn.Module], dtype: Any = torch.float64) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = build().to(dtype)
        for part in model.modules():  # statistics that batches of training would have left
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                nn.init.uniform_(part.running_mean)  # type: ignore[arg-type]
                nn.init.uniform_(part.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    return model


def perceptron(dtype: Any = torch.float64) -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, CLASSES)), dtype)


def normed(dtype: Any = torch.float64) -> nn.Module:
    """With batch norm and dropout, which behave otherwise in training."""
    return seeded(
        lambda: nn.Sequential(
            nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.4), nn.Linear(7, CLASSES)
        ),
        dtype,
    )


def convolutional(dtype: Any = torch.float64) -> nn.Module:
    return seeded(
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(16, CLASSES),
        ),
        dtype,
    )  # fmt: skip


def masked(dtype: Any = torch.float64) -> nn.Module:
    return seeded(
        lambda: nn.Sequential(
            nn.Linear(5, 8), nn.Tanh(), TurnOverDropout(8, seed=1), nn.Linear(8, CLASSES)
        ),
        dtype,
    )


class Doubled(torch.autograd.Function):
    """Twice the input, by an operation that torch can neither batch nor differentiate forward."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return 2.0 * x

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return 2.0 * gradient


class Stubborn(nn.Module):
    """A perceptron with such an operation in it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(5, 7), nn.Linear(7, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(Doubled.apply(torch.tanh(self.one(x))))  # type: ignore[no-untyped-call]


def stubborn(dtype: Any = torch.float64) -> nn.Module:
    return seeded(Stubborn, dtype)


def slow_gradients(model: nn.Module, held: Probe, loss: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Gradient of each sample by ``backward``, one at a time, in evaluation mode: (n, d)."""
    modes = [part.training for part in model.modules()]
    model.eval()
    rows = []
    for i in range(len(held)):
        model.zero_grad(set_to_none=True)
        loss(model(held.images[i : i + 1]), i).backward()
        rows.append(torch.cat([p.grad.reshape(-1) for p in model.parameters()]))  # type: ignore[union-attr]
    model.zero_grad(set_to_none=True)
    for part, mode in zip(model.modules(), modes, strict=True):
        part.training = mode
    return torch.stack(rows).detach()


def cross_entropies(held: Probe) -> Callable[[Tensor, int], Tensor]:
    """Cross-entropy written out: log of the sum of exponentials less the logit of the label."""
    return lambda z, i: torch.log(torch.exp(z[0]).sum()) - z[0, held.labels[i]]


def fingerprint(
    model: nn.Module, optimizer: torch.optim.Optimizer, *also: Any, addresses: bool = True
) -> str:
    """Every bit that training depends on, and, within one run, the addresses of tensors."""
    tensors = {
        **{f"p {n}": p.detach() for n, p in model.named_parameters()},
        **{f"b {n}": b for n, b in model.named_buffers()},
        **{f"g {n}": p.grad for n, p in model.named_parameters() if p.grad is not None},
    }
    state = optimizer.state_dict()
    groups = [{k: v for k, v in g.items() if k != "params"} for g in state["param_groups"]]
    return storage.digest(
        {
            "tensors": tensors,
            "addresses": {name: t.data_ptr() for name, t in tensors.items() if addresses},
            "gradients": [p.grad is None for p in model.parameters()],
            "wanted": [p.requires_grad for p in model.parameters()],
            "modes": [part.training for part in model.modules()],
            "hooks": [
                len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks)
                for part in model.modules()
            ],
            "state": {str(k): v for k, v in state["state"].items()},
            "groups": [{k: repr(v) for k, v in g.items()} for g in groups],
            "random": torch.get_rng_state(),
            "recording": torch.is_grad_enabled(),
            "also": [thing.state_dict() for thing in also],
        }
    )
