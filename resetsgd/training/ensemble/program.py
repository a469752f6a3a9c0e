"""From a module to the layers that many replicas of it go through together."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from resetsgd.errors import DomainError
from resetsgd.training.ensemble import layers
from resetsgd.training.ensemble.layers import Layer, Rows
from resetsgd.training.ensemble.windows import Windows

__all__ = ["Program"]

POINTWISE = (nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU, nn.ELU, nn.Softplus)
"""Activations that are taken as they are."""

POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)

SUPPORTED = (
    "linear layers, two-dimensional convolutions and pooling, batch norm, activations, dropout,"
    " flattening, sums and means over the image"
)


@dataclass
class _Node:
    layer: Layer
    sources: tuple[int, ...]
    """Places of the values below; 0 is the input, i + 1 the value of node i."""
    wanted: bool
    """Whether the gradient below is needed."""
    useful: bool
    """Whether the gradient above is needed."""
    done: tuple[int, ...] = ()
    """Values that nothing reads afterwards."""


class Program:
    """The layers of a module in the order of its forward pass.

    Parameters
    ----------
    module : nn.Module
        Its own weights do not matter here.
    products : bool
        Whether convolutions become batched products.

    Raises
    ------
    DomainError
        If the module holds something that replicas cannot go through together.
    """

    def __init__(self, module: nn.Module, *, products: bool = False) -> None:
        self._products = products
        named = dict(module.named_parameters())
        self.names, self.shapes = list(named), [tuple(p.shape) for p in named.values()]
        self.buffer_names = [name for name, _ in module.named_buffers()]
        self.buffer_shapes = [tuple(b.shape) for b in module.buffers()]
        self.counters = [b.dtype == torch.int64 for b in module.buffers()]
        """Which of the buffers count steps; the others are running statistics."""
        for name, tensor in [*named.items(), *module.named_buffers()]:
            floating = tensor.dtype == torch.float32 and (name not in named or tensor.requires_grad)
            if not floating and (name in named or tensor.dtype != torch.int64):
                raise DomainError(
                    "network", f"{name}: {tensor.dtype}", "float32 parameters that are trained"
                )
        if not named:
            raise DomainError("network", type(module).__name__, "a network with parameters")
        self._module = module
        self._owners: set[str] = set()
        self.nodes: list[_Node] = []
        self._floats = {
            name: i
            for i, name in enumerate(
                name
                for name, counts in zip(self.buffer_names, self.counters, strict=True)
                if not counts
            )
        }
        self._places: dict[fx.Node, int] = {}
        self._depends = [False]
        self._kinds: list[type[Layer] | None] = [None]
        self._build()
        del self._module, self._places

    @property
    def convolutional(self) -> bool:
        """Whether images enter as maps, not as columns of features."""
        return self._first_kind is not layers.Linear

    @property
    def classes(self) -> int:
        """Number of logits."""
        return int(self.shapes[self._last_linear][0])

    @property
    def inputs(self) -> int:
        """Features of an image if it enters as a column, else its channels."""
        return self._inputs

    @property
    def widest(self) -> int:
        """The most features that a linear layer gives."""
        return max(int(self.shapes[layer.weight][0]) for layer in self._linear())

    def _linear(self) -> list[layers.Linear]:
        return [node.layer for node in self.nodes if isinstance(node.layer, layers.Linear)]

    @property
    def signature(self) -> list[str]:
        """What distinguishes it from another network, in words."""
        shapes = zip(self.names, self.shapes, strict=True)
        return [type(node.layer).__name__ for node in self.nodes] + [f"{n}{s}" for n, s in shapes]

    def forward(self, rows: Rows, images: Tensor) -> Tensor:
        """Logits as columns (k, classes, batch), of images as columns or maps."""
        values, above = {0: images}, images
        for place, node in enumerate(self.nodes):
            above = node.layer.forward(rows, *(values[i] for i in node.sources))
            values[place + 1] = above
            for i in node.done:
                del values[i]
        return above

    def backward(self, rows: Rows, gradient: Tensor) -> None:
        """Gradients of all parameters, from that of the logits."""
        pending = {len(self.nodes): gradient}
        for place in range(len(self.nodes), 0, -1):
            node, above = self.nodes[place - 1], pending.pop(place, None)
            if not node.useful or above is None:
                node.layer.kept = None
                continue
            for i, found in zip(
                node.sources, node.layer.backward(rows, above, node.wanted), strict=True
            ):
                if found is not None and self._depends[i]:
                    pending[i] = pending[i] + found if i in pending else found

    # Building.

    def _build(self) -> None:
        try:
            graph = fx.Tracer().trace(self._module)
        except Exception as error:  # whatever the forward method does with what is not a tensor
            raise DomainError(
                "network", type(self._module).__name__, f"traceable: {error}"
            ) from None
        modules = dict(self._module.named_modules())
        for node in graph.nodes:
            if node.op == "placeholder":
                if self._places:
                    raise DomainError("network", node.name, "of one input, the images")
                self._places[node] = 0
            elif node.op == "output":
                if self._places[node.args[0]] != len(self.nodes):
                    raise DomainError("network", "its output", "what its last layer gives: logits")
            elif node.op == "call_module":
                self._module_node(node, modules[node.target])
            else:
                self._function_node(node)
        last = [n.layer for n in self.nodes if not isinstance(n.layer, layers.Flatten)][-1:]
        if not last or not isinstance(last[0], layers.Linear):
            raise DomainError("network", "its last layer", "a linear layer that gives the logits")
        self._last_linear = last[0].weight
        if self.shapes[self._last_linear][0] < 2:
            raise DomainError("network", "its last layer", "of two classes or more")
        self._entrance()
        self._liveness()

    def _entrance(self) -> None:
        """What enters, and that nothing flattens it where channels are those of one replica."""
        parametric = (layers.Linear, layers.Convolution, layers.Norm)
        first = next(node.layer for node in self.nodes if isinstance(node.layer, parametric))
        self._first_kind = type(first)
        if isinstance(first, layers.Linear):
            self._inputs = self.shapes[first.weight][1]
        else:
            self._inputs = (
                first.channels if isinstance(first, layers.Convolution) else first.features
            )
        for place, node in enumerate(self.nodes):
            below = self._depends[node.sources[0]]
            if not below and _is(node, layers.Flatten) and self.convolutional:
                raise DomainError("network", f"its layer {place}", "no flattening of the images")
            if not below and _is(node, layers.Dropout):
                raise DomainError("network", f"its layer {place}", "no dropout of the images")

    def _liveness(self) -> None:
        """When a value is read for the last time, and whether a ReLU may overwrite it."""
        readers: dict[int, list[int]] = {}
        for place, node in enumerate(self.nodes):
            for i in node.sources:
                readers.setdefault(i, []).append(place)
        fresh = (layers.Linear, layers.Convolution, layers.Norm, layers.Add)
        for place, node in enumerate(self.nodes):
            node.done = tuple(i for i in set(node.sources) if max(readers[i]) == place)
            if isinstance(node.layer, layers.Relu):
                (i,) = node.sources
                if node.layer.over and readers[i] != [place]:
                    raise DomainError("network", f"its layer {place}", "not in place: it is shared")
                own = i > 0 and isinstance(self.nodes[i - 1].layer, fresh)
                node.layer.over = own and readers[i] == [place]
        self._fuse(readers)

    def _fuse(self, readers: dict[int, list[int]]) -> None:
        """Batch norm, ReLU and a 2x2 maximum that nothing else reads become one layer."""
        for place, node in enumerate(self.nodes):
            pool, middle = node.layer, node.sources[0]
            if not isinstance(pool, layers.Function) or not pool.halves or middle == 0:
                continue
            relu, below = self.nodes[middle - 1].layer, self.nodes[middle - 1].sources[0]
            if not isinstance(relu, layers.Relu) or below == 0 or readers[middle] != [place]:
                continue
            norm = self.nodes[below - 1].layer
            if isinstance(norm, layers.Norm) and readers[below] == [middle - 1]:
                from resetsgd.training.ensemble.pooled import NormReluPool  # loads numba

                self.nodes[below - 1].layer = NormReluPool(norm, relu, pool)
                self.nodes[middle - 1].layer = node.layer = layers.Same()

    def _add(self, node: fx.Node, layer: Layer, *below: Any) -> None:
        if any(not isinstance(source, fx.Node) or source not in self._places for source in below):
            raise DomainError("network", node.name, SUPPORTED)
        sources = tuple(self._places[source] for source in below)
        wanted = any(self._depends[i] for i in sources)
        parametric = isinstance(layer, layers.Linear | layers.Convolution | layers.Norm)
        self.nodes.append(_Node(layer, sources, wanted, wanted or parametric))
        self._depends.append(wanted or parametric)
        self._places[node] = len(self.nodes)

    def _same(self, node: fx.Node, below: Any) -> None:
        """A node that changes nothing."""
        if below not in self._places:
            raise DomainError("network", node.name, SUPPORTED)
        self._places[node] = self._places[below]

    def _module_node(self, node: fx.Node, module: Any) -> None:
        name, below = str(node.target), node.args[0] if node.args else None
        kind = type(module)
        if any(True for _ in module.parameters()):
            if name in self._owners:
                raise DomainError("network", name, "layers that are called once")
            self._owners.add(name)
        if kind in (nn.Identity, nn.Sequential) or (kind is nn.Dropout and module.p == 0):
            self._same(node, below)
        elif kind is nn.Linear:
            self._add(node, layers.Linear(self._weight(name), self._find(name, "bias")), below)
        elif kind is nn.Conv2d:
            self._add(node, self._convolution(name, module), below)
        elif kind in (nn.BatchNorm1d, nn.BatchNorm2d):
            self._add(node, self._norm(name, module), below)
        elif kind is nn.ReLU:
            self._add(node, layers.Relu(module.inplace), below)
        elif kind is nn.Dropout:
            self._add(node, layers.Dropout(float(module.p), len(self.nodes)), below)
        elif kind is nn.Flatten and (module.start_dim, module.end_dim) == (1, -1):
            self._add(node, layers.Flatten(), below)
        elif kind is nn.AdaptiveAvgPool2d and module.output_size in (1, (1, 1)):
            self._add(node, layers.Mean(), below)
        elif kind in POINTWISE or kind in POOLING:
            self._add(node, layers.Function(_standing(module), _halves(module)), below)
        else:
            raise DomainError("network", f"{name}: {kind.__name__}", SUPPORTED)

    def _function_node(self, node: fx.Node) -> None:
        below, others = (node.args[0] if node.args else None), node.args[1:]
        target = node.target
        if target in (functional.relu, torch.relu, "relu"):
            inplace = bool(node.kwargs.get("inplace", others[:1] == (True,)))
            self._add(node, layers.Relu(inplace), below)
        elif target in (operator.add, operator.iadd, torch.add, "add", "add_") and len(others) == 1:
            self._add(node, layers.Add(), below, *others)
        elif target in (torch.flatten, "flatten") and (*others, *node.kwargs.values()) == (1,):
            self._add(node, layers.Flatten(), below)
        elif target in (torch.mean, "mean") and _over_image(node):
            self._add(node, layers.Mean(), below)
            flat = layers.Flatten()
            place = len(self.nodes)
            self.nodes.append(_Node(flat, (place,), self._depends[place], self._depends[place]))
            self._depends.append(self._depends[place])
            self._places[node] = place + 1
        else:
            raise DomainError("network", node.name, SUPPORTED)

    def _find(self, name: str, part: str) -> int | None:
        """Where a parameter of a layer stands among all; None for one it does without."""
        path = f"{name}.{part}"
        return self.names.index(path) if path in self.names else None

    def _weight(self, name: str) -> int:
        return self.names.index(f"{name}.weight")

    def _convolution(self, name: str, module: Any) -> layers.Convolution:
        padding = module.padding
        reach = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        if padding == "valid":
            padding = (0, 0)
        elif padding == "same" and not any(r % 2 for r in reach):
            padding = tuple(r // 2 for r in reach)
        if isinstance(padding, str) or module.padding_mode != "zeros":
            raise DomainError("network", f"{name}: {module}", "padded by zeros on both sides alike")
        kind = Windows if self._products and module.groups == 1 else layers.Convolution
        return kind(
            self._weight(name),
            self._find(name, "bias"),
            module.in_channels,
            module.groups,
            module.stride,
            padding,
            module.dilation,
        )

    def _norm(self, name: str, module: Any) -> layers.Norm:
        if module.momentum is None:
            raise DomainError("network", f"{name}: momentum=None", "batch norm with a momentum")
        weight, bias = self._find(name, "weight"), self._find(name, "bias")
        mean = self._floats.get(f"{name}.running_mean")
        return layers.Norm(weight, bias, mean, module.num_features, module.momentum, module.eps)


def _is(node: _Node, kind: type[Layer]) -> bool:
    return isinstance(node.layer, kind)


def _standing(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """A function that is the module without its hooks and without sharing it."""
    if getattr(module, "return_indices", False) or getattr(module, "inplace", False):
        raise DomainError("network", repr(module), "neither in place nor with indices")
    return type(module).forward.__get__(module)  # type: ignore[no-any-return]


def _halves(module: Any) -> bool:
    """Whether it is a maximum over 2x2 that do not overlap."""
    sizes = [getattr(module, name, None) for name in ("kernel_size", "stride")]
    plain = (getattr(module, "padding", None), getattr(module, "dilation", None))
    return (
        type(module) is nn.MaxPool2d
        and all(size in (2, (2, 2)) for size in sizes)
        and plain in ((0, 1), ((0, 0), (1, 1)))
        and not module.ceil_mode
    )


def _over_image(node: fx.Node) -> bool:
    axes = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    rest = {key: value for key, value in node.kwargs.items() if key != "dim"}
    return isinstance(axes, tuple | list) and sorted(axes) in ([2, 3], [-2, -1]) and not rest
