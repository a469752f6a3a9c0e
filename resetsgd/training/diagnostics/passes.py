"""A model at one moment, and the passes through it that instruments share; nothing is written.

All passes go through :func:`torch.func.functional_call` with detached parameters and copied buffers
of the model: gradients do not arrive in ``.grad``, hooks on parameters do not see them, running
statistics stay.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from resetsgd.errors import DomainError
from resetsgd.training.diagnostics.probe import Probe
from resetsgd.training.losses.base import SampleLoss
from resetsgd.training.resets.layers import unwrapped

__all__ = ["Loss", "Passes", "each", "summed"]

Loss = SampleLoss | Callable[[Tensor, Tensor], Tensor]

_MOST = 2**26
"""Numbers in the gradients of single samples that are held at once."""

_REFUSALS = (RuntimeError, NotImplementedError, ValueError, AttributeError)
"""What torch raises for an operation without a batching rule or a forward derivative."""


def _losses(loss: Loss, outputs: Tensor, labels: Tensor, index: Tensor | None) -> Tensor:
    if not isinstance(loss, SampleLoss):
        value = loss(outputs, labels)
    else:
        with loss.paused():
            if loss.remembers and index is None:
                value = loss.held_out(outputs, labels)
            else:
                value = loss(outputs, labels, index)
    if not isinstance(value, Tensor) or value.shape not in ((), outputs.shape[:1]):
        shape = tuple(getattr(value, "shape", ()))
        raise DomainError("loss", shape, "one number for each sample, or their mean")
    return value


def summed(loss: Loss, outputs: Tensor, labels: Tensor, index: Tensor | None = None) -> Tensor:
    """Sum of the losses of samples; of a loss that gives their mean, their number times that.

    Parameters
    ----------
    loss : SampleLoss or callable
        Of (outputs, labels): one number for each sample, or their mean.
    outputs, labels, index : Tensor
        A row for each sample.

    Raises
    ------
    DomainError
        If the loss is neither.
    """
    value = _losses(loss, outputs, labels, index)
    return value * len(outputs) if value.ndim == 0 else value.sum()


def each(loss: Loss, outputs: Tensor, labels: Tensor, index: Tensor | None = None) -> Tensor:
    """Loss of each sample, shape (n,); arguments as for :func:`summed`."""
    value = _losses(loss, outputs, labels, index)
    if value.ndim:
        return value
    one = [
        _losses(loss, outputs[i : i + 1], labels[i : i + 1], None).reshape(())
        for i in range(len(outputs))
    ]
    return torch.stack(one)


class Passes:
    """A model at one moment with a loss and samples; base of what instruments are handed.

    Parameters
    ----------
    model : nn.Module
        Maps images (n, ...) to outputs (n, ...), each sample on its own; in evaluation mode while
        it is used. Compiled and data-parallel wrappers are looked through.
    probe : Probe
        The samples, on the device of the model.
    loss : SampleLoss or callable
        Of (outputs, labels): one number for each sample, or their mean.
    batch_size : int
        Samples in one pass.

    Raises
    ------
    DomainError
        If the model has no parameter to train, normalises by the batch even in evaluation mode, is
        elsewhere than the samples, or does not give a tensor with a row for each sample.
    """

    def __init__(self, model: nn.Module, probe: Probe, loss: Loss, batch_size: int) -> None:
        inner = unwrapped(model)
        self.inner = inner
        self.probe = probe
        self.loss = loss
        self.batch_size = batch_size
        self.parameters = {n: p.detach() for n, p in inner.named_parameters() if p.requires_grad}
        """The trainable parameters by name, sharing their memory; for reading only."""
        if not self.parameters:
            raise DomainError("model", type(inner).__name__, "one with parameters that are trained")
        self._fixed = {n: p.detach() for n, p in inner.named_parameters() if not p.requires_grad}
        self._fixed |= {n: b.detach().clone() for n, b in inner.named_buffers()}
        place = next(iter(self.parameters.values())).device
        if place != probe.images.device:
            raise DomainError("probe", str(probe.images.device), f"on the device {place}")
        for name, part in inner.named_modules():
            if isinstance(part, _BatchNorm) and part.running_mean is None:
                allowed = "with running statistics: samples must be looked at one by one"
                raise DomainError("model", f"{name}: {part}", allowed)

    # Vectors over all trainable parameters ------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of trainable parameters, d."""
        return sum(p.numel() for p in self.parameters.values())

    def layers(self, modules: Sequence[str] | None = None) -> dict[str, slice]:
        """Where the parameters of modules stand in a flat vector.

        Parameters
        ----------
        modules : sequence of str, optional
            Names, each of which stands for all inside it; by default each layer, a module with
            trainable parameters of its own.
        """
        found: dict[str, slice] = {}
        start = 0
        for name, parameter in self.parameters.items():
            layer, stop = name.rpartition(".")[0], start + parameter.numel()
            inside = [m for m in modules or () if m in ("", layer) or layer.startswith(f"{m}.")]
            for part in [layer] if modules is None else inside:
                found[part] = slice(found[part].start if part in found else start, stop)
            start = stop
        if modules is not None and set(modules) - set(found):
            missing = sorted(set(modules) - set(found))[0]
            allowed = "among those with trainable parameters: " + ", ".join(self.layers())
            raise DomainError("modules", missing, allowed)
        return found if modules is None else {name: found[name] for name in modules}

    def flat(self, tensors: Sequence[Tensor]) -> Tensor:
        """One float64 vector (d,) from tensors shaped as the trainable parameters."""
        shapes = [tuple(p.shape) for p in self.parameters.values()]
        if [tuple(t.shape) for t in tensors] != shapes:
            raise DomainError("direction", [tuple(t.shape) for t in tensors], f"shapes {shapes}")
        return torch.cat([t.detach().reshape(-1).to(torch.float64) for t in tensors])

    def shaped(self, vector: Tensor) -> dict[str, Tensor]:
        """A vector (d,) as tensors named, shaped and typed as the trainable parameters."""
        parts = torch.split(vector, [p.numel() for p in self.parameters.values()])
        pairs = zip(self.parameters.items(), parts, strict=True)
        return {name: part.reshape(p.shape).to(p.dtype) for (name, p), part in pairs}

    # Passes -------------------------------------------------------------------------------------

    def forward(self, images: Tensor, parameters: dict[str, Tensor] | None = None) -> Tensor:
        """Outputs of the model, with other trainable parameters if they are given."""
        values = {**(self.parameters if parameters is None else parameters), **self._fixed}
        outputs = functional_call(self.inner, values, (images,))
        if not isinstance(outputs, Tensor) or outputs.shape[:1] != images.shape[:1]:
            raise DomainError(
                "model", type(outputs).__name__, "one that gives a row for each image"
            )
        return outputs

    def chunks(self, probe: Probe | None = None, most: int | None = None) -> Iterator[Probe]:
        """Samples, by default all of them, so many at a time, and no more than ``batch_size``."""
        probe = self.probe if probe is None else probe
        rows = torch.arange(len(probe), device=probe.images.device)
        size = self.batch_size if most is None else min(most, self.batch_size)
        for part in torch.split(rows, size):
            yield probe if len(part) == len(probe) else probe.rows(part)

    def gradient(
        self, probe: Probe | None = None, parameters: dict[str, Tensor] | None = None
    ) -> Tensor:
        """Gradient of the mean loss, float64 of shape (d,). One forward and one backward pass."""
        probe = self.probe if probe is None else probe
        held = self.parameters if parameters is None else parameters
        leaves = {name: p.detach().requires_grad_() for name, p in held.items()}
        total = torch.zeros(self.size, dtype=torch.float64, device=probe.images.device)
        for part in self.chunks(probe):
            value = summed(self.loss, self.forward(part.images, leaves), part.labels, part.index)
            found = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
            total += self.flat(found)
        return total / len(probe)

    def mean_loss(self, probe: Probe, parameters: dict[str, Tensor] | None = None) -> float:
        """Mean loss of samples, in one forward pass."""
        total = 0.0
        with torch.no_grad():
            for part in self.chunks(probe):
                outputs = self.forward(part.images, parameters)
                total += float(summed(self.loss, outputs, part.labels, part.index))
        return total / len(probe)

    def cotangents(self, part: Probe) -> Tensor:
        """Derivative of each sample's loss by its outputs, of their shape."""
        with torch.no_grad():
            outputs = self.forward(part.images)
        outputs = outputs.detach().requires_grad_()
        value = summed(self.loss, outputs, part.labels, part.index)
        return torch.autograd.grad(value, outputs, materialize_grads=True)[0]

    def per_sample_gradients(self, probe: Probe | None = None) -> Iterator[Tensor]:
        """Gradients of the samples, chunk by chunk, shape (chunk, d), in the type of the weights.

        The loss is differentiated by the outputs for the whole batch, the outputs by the weights
        with ``vmap``: so any loss will do. Where an operation of the model cannot be batched,
        sample by sample.
        """

        def one(parameters: dict[str, Tensor], image: Tensor, weight: Tensor) -> Tensor:
            return (self.forward(image[None], parameters)[0] * weight).sum()

        batched: Any = vmap(grad(one), in_dims=(None, 0, 0), randomness="error")
        for part in self.chunks(probe, max(1, _MOST // self.size)):
            weights = self.cotangents(part)
            try:
                found = batched(self.parameters, part.images, weights)
                rows = [g.detach().reshape(len(part), -1) for g in found.values()]
                yield torch.cat(rows, dim=1)
            except torch.cuda.OutOfMemoryError:
                raise
            except _REFUSALS:
                pairs = zip(part.images, weights, strict=True)
                yield torch.stack([self._alone(*pair) for pair in pairs])

    def _alone(self, image: Tensor, weight: Tensor) -> Tensor:
        leaves = {name: p.detach().requires_grad_() for name, p in self.parameters.items()}
        value = (self.forward(image[None], leaves)[0] * weight).sum()
        found = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
        return torch.cat([g.reshape(-1) for g in found])

    def projections(self, directions: Tensor, probe: Probe | None = None) -> Tensor:
        """Component of each sample's gradient along each direction, float64 of shape (n, k).

        Two passes, and one more (in forward mode) for each direction; memory does not grow with the
        number of parameters times that of samples.

        Parameters
        ----------
        directions : Tensor, shape (k, d)
            Vectors over the trainable parameters; their lengths count.
        probe : Probe, optional
            By default all samples.
        """
        if directions.ndim != 2 or directions.shape[1] != self.size:
            raise DomainError("directions", tuple(directions.shape), f"of shape (k, {self.size})")
        rows = []
        for part in self.chunks(probe):
            weights = self.cotangents(part).to(torch.float64)
            along = [self._tangent(part.images, self.shaped(u)) for u in directions]
            terms = [(weights * t.to(torch.float64)).reshape(len(part), -1).sum(1) for t in along]
            rows.append(torch.stack(terms, dim=1))
        return torch.cat(rows)

    def _tangent(self, images: Tensor, tangent: dict[str, Tensor]) -> Tensor:
        """Derivative of the outputs along a direction of the weights."""
        try:
            with warnings.catch_warnings():
                # torch loads its forward-mode rules at the first use, with calls it deprecates
                warnings.simplefilter("ignore", DeprecationWarning)
                found = jvp(lambda p: self.forward(images, p), (self.parameters,), (tangent,))
            return found[1].detach()  # type: ignore[no-any-return]
        except torch.cuda.OutOfMemoryError:
            raise
        except _REFUSALS:
            leaves = {name: p.detach().requires_grad_() for name, p in self.parameters.items()}
            outputs = self.forward(images, leaves)
            weight = torch.zeros_like(outputs, requires_grad=True)
            # the derivative of (weight . outputs)' by the weight, along the direction
            first = torch.autograd.grad(
                outputs, list(leaves.values()), weight, create_graph=True, materialize_grads=True
            )
            pairs = zip(first, tangent.values(), strict=True)
            value = torch.stack([(g * u).sum() for g, u in pairs]).sum()
            return torch.autograd.grad(value, weight, materialize_grads=True)[0]

    def by_images(self, part: Probe, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Derivative by each image of a function of the outputs with one number a sample."""
        if not part.images.is_floating_point():
            raise DomainError("images", str(part.images.dtype), "floating point: they are varied")
        images = part.images.detach().requires_grad_()
        value = function(self.forward(images)).sum()
        return torch.autograd.grad(value, images, materialize_grads=True)[0]
