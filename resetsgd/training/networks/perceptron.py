"""The multilayer perceptron as a module."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from resetsgd.training.network import MLP

__all__ = ["mlp"]


def mlp(widths: Sequence[int], *, seed: int = 0) -> nn.Sequential:
    """A multilayer perceptron with ReLU between its layers, on flat images.

    Parameters
    ----------
    widths : sequence of int
        Features of the input, of each hidden layer, and number of classes.
    seed : int
        Key of the initial weights, which are those of :meth:`resetsgd.training.MLP.initial`, bit
        for bit.

    Returns
    -------
    nn.Sequential
        Maps (batch, widths[0]) to logits (batch, widths[-1]).

    Raises
    ------
    DomainError
        For fewer than two widths, one below 1, or fewer than two classes.

    Examples
    --------
    >>> import torch
    >>> mlp((64, 32, 10), seed=1)(torch.zeros(5, 64)).shape
    torch.Size([5, 10])
    """
    network = MLP(tuple(widths))
    return network.module(network.initial(seed))
