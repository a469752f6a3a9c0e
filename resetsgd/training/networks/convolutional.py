"""Plain convolutional networks: the one of the published method, and one for small budgets."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from resetsgd import domain
from resetsgd.training.networks.seeded import seeded

__all__ = ["small_cnn", "vcnn"]


def vcnn(
    classes: int = 10, *, channels: int = 3, size: int = 32, dropout: float = 0.2, seed: int = 0
) -> nn.Sequential:
    """The convolutional network of the published resetting method.

    Six 3x3 convolutions of 32, 64, 128, 128, 256 and 256 channels, each with batch norm and ReLU, a
    2x2 maximum after every second one; dropout; linear layers to 1024 and 512, each with batch norm
    and ReLU, and to the classes.

    Parameters
    ----------
    classes : int
        At least two.
    channels, size : int
        Channels of the images, and their height and width in pixels, a multiple of 8.
    dropout : float
        Probability that a feature is dropped before the linear layers, in [0, 1).
    seed : int
        Key of the initial weights.

    Returns
    -------
    nn.Sequential
        Maps (batch, channels, size, size) to logits (batch, classes).

    Raises
    ------
    DomainError
        For an argument outside its range.

    Notes
    -----
    **Source**: the code released with Bae, Song and Jeong (2025), whose text calls it a vanilla
    convolutional network. 5 856 138 parameters for CIFAR-10.

    Examples
    --------
    >>> from resetsgd.training.networks import parameter_count
    >>> parameter_count(vcnn())
    5856138
    """
    classes = domain.integer("classes", classes, 2)
    channels = domain.integer("channels", channels, 1)
    size = _multiple("size", size, 8)
    dropout = float(domain.probability("dropout", dropout, one=False))
    widths = (channels, 32, 64, 128, 128, 256, 256)

    def build() -> nn.Sequential:
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
            if i % 2:
                layers.append(nn.MaxPool2d(2))
        layers += [nn.Flatten(), nn.Dropout(dropout)]
        for before, after in pairwise((256 * (size // 8) ** 2, 1024, 512)):
            layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(512, classes))

    return seeded(seed, build)


def small_cnn(
    classes: int = 10,
    *,
    channels: int = 3,
    size: int = 32,
    widths: tuple[int, ...] = (16, 32, 64),
    norm: bool = True,
    seed: int = 0,
) -> nn.Sequential:
    """A small convolutional network, for hundreds of runs on a processor.

    For each width a 3x3 convolution, batch norm if wanted, ReLU and a 2x2 maximum; then the mean
    over the image and one linear layer.

    Parameters
    ----------
    classes : int
        At least two.
    channels, size : int
        Channels of the images, and their height and width in pixels, at least 2**len(widths).
    widths : tuple of int
        Channels after each convolution.
    norm : bool
        Whether batch norm follows each convolution (which then has no bias).
    seed : int
        Key of the initial weights.

    Returns
    -------
    nn.Sequential
        Maps (batch, channels, size, size) to logits (batch, classes).

    Raises
    ------
    DomainError
        For an argument outside its range.

    Examples
    --------
    >>> import torch
    >>> network = small_cnn(channels=1, size=28, widths=(8, 16))
    >>> network(torch.zeros(4, 1, 28, 28)).shape
    torch.Size([4, 10])
    """
    classes = domain.integer("classes", classes, 2)
    channels = domain.integer("channels", channels, 1)
    widths = tuple(domain.integer("widths", width, 1) for width in widths)
    domain.integer("size", size, 2 ** len(widths))
    norm = bool(norm)

    def build() -> nn.Sequential:
        layers: list[nn.Module] = []
        for before, after in pairwise((channels, *widths)):
            layers.append(nn.Conv2d(before, after, 3, padding=1, bias=not norm))
            layers += [nn.BatchNorm2d(after)] if norm else []
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear((channels, *widths)[-1], classes))

    return seeded(seed, build)


def _multiple(name: str, value: int, of: int) -> int:
    return of * domain.integer(name, value // of if value % of == 0 else 0, 1)
