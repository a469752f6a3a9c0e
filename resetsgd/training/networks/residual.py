"""Residual networks with the stem for small images."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.networks.seeded import seeded

__all__ = ["ResNet", "resnet18", "resnet34"]

_WIDTHS = (64, 128, 256, 512)


class _Block(nn.Module):
    """Two 3x3 convolutions beside a short cut (a 1x1 convolution where the shape changes)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Sequential()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(relu(self.norm1(self.conv1(x)))))
        return relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """A residual network of basic blocks; made by :func:`resnet18` and :func:`resnet34`.

    The stem is one 3x3 convolution at full resolution, without the maximum of the ImageNet stem;
    four stages of 64, 128, 256 and 512 channels follow, each but the first at half the resolution
    of the one before, the mean over the image, and one linear layer.

    Parameters
    ----------
    blocks : sequence of int
        Blocks of each of the four stages.
    classes, channels : int
        Number of classes, and channels of the images.

    Raises
    ------
    DomainError
        For an argument outside its range.

    Notes
    -----
    Weights are drawn by PyTorch's own rule for each layer, from the global generator; the functions
    draw them from a seed.

    **Source**: He, Zhang, Ren and Sun (2016), with the stem that is usual for CIFAR.

    Examples
    --------
    >>> import torch
    >>> ResNet((1, 1, 1, 1), classes=10)(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 10])
    """

    def __init__(self, blocks: tuple[int, ...], classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        if len(blocks) != len(_WIDTHS):
            raise DomainError("blocks", blocks, "four numbers, one for each stage")
        blocks = tuple(domain.integer("blocks", number, 1) for number in blocks)
        channels = domain.integer("channels", channels, 1)
        self.stem = nn.Sequential(
            nn.Conv2d(channels, _WIDTHS[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(_WIDTHS[0]),
            nn.ReLU(),
        )
        stages: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise((_WIDTHS[0], *_WIDTHS))):
            first = _Block(before, after, 1 if i == 0 else 2)
            rest = [_Block(after, after, 1) for _ in range(blocks[i] - 1)]
            stages.append(nn.Sequential(first, *rest))
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(_WIDTHS[-1], domain.integer("classes", classes, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images of shape (batch, channels, height, width)."""
        logits: Tensor = self.head(self.stages(self.stem(x)).mean((2, 3)))
        return logits


def resnet18(classes: int = 10, *, channels: int = 3, seed: int = 0) -> ResNet:
    """ResNet-18 with the stem for small images: 11.17 million parameters.

    Parameters
    ----------
    classes : int
        At least two.
    channels : int
        Channels of the images.
    seed : int
        Key of the initial weights.

    Raises
    ------
    DomainError
        For an argument outside its range.

    Examples
    --------
    >>> from resetsgd.training.networks import parameter_count
    >>> parameter_count(resnet18())
    11173962
    """
    return seeded(seed, lambda: ResNet((2, 2, 2, 2), classes, channels))


def resnet34(classes: int = 10, *, channels: int = 3, seed: int = 0) -> ResNet:
    """ResNet-34 with the stem for small images: 21.28 million parameters.

    Parameters
    ----------
    classes : int
        At least two.
    channels : int
        Channels of the images.
    seed : int
        Key of the initial weights.

    Raises
    ------
    DomainError
        For an argument outside its range.

    Examples
    --------
    >>> from resetsgd.training.networks import parameter_count
    >>> parameter_count(resnet34())
    21282122
    """
    return seeded(seed, lambda: ResNet((3, 4, 6, 3), classes, channels))
