"""Which samples of a batch are trained on: those of small loss, or those disagreed about."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from resetsgd import domain

__all__ = ["KeptShare", "disagreement", "small_loss"]


@dataclass(frozen=True)
class KeptShare:
    """Share of a batch that is kept: from all of it down to 1 - noise rate, during a ramp.

    R(t) = 1 - noise_rate min((t / ramp)^exponent, 1).

    Parameters
    ----------
    noise_rate : float
        Share of wrong labels, known or estimated, in [0, 1).
    ramp : float
        Steps until the full share is dropped, positive; published: those of ten epochs.
    exponent : float
        Shape of the ramp, positive; published: 1.

    Raises
    ------
    DomainError
        For a number outside its range.

    Notes
    -----
    The paper writes t^c / T_k, t in epochs: the same for ``ramp`` = T_k^(1/c) epochs. The released
    code instead raises the noise rate to the exponent and ramps linearly, so that the share kept in
    the end is another one; for exponent 1 all three agree.

    **Source**: Han et al. (2018), sections 3 and 4.

    Examples
    --------
    >>> kept = KeptShare(noise_rate=0.4, ramp=100)
    >>> kept(0), kept(50), kept(1000)
    (1.0, 0.8, 0.6)
    """

    noise_rate: float
    ramp: float
    exponent: float = 1.0

    def __post_init__(self) -> None:
        domain.probability("noise_rate", self.noise_rate, one=False)
        domain.positive("ramp", self.ramp)
        domain.positive("exponent", self.exponent)

    def __call__(self, step: int) -> float:
        """Share that is kept at a step, from 0 on."""
        done = float(min(step / self.ramp, 1.0) ** self.exponent)
        return 1.0 - self.noise_rate * done


def small_loss(losses: Tensor, share: float) -> Tensor:
    """Positions of the smallest losses.

    Parameters
    ----------
    losses : Tensor, shape (batch,)
        Of each sample.
    share : float
        How many of them, in [0, 1]; rounded down, but one at least of a batch that is not empty.

    Returns
    -------
    Tensor of int64
        In the order of the loss; of equal ones the first come first.

    Raises
    ------
    DomainError
        For a share outside its range.

    Examples
    --------
    >>> small_loss(torch.tensor([3.0, 1.0, 2.0, 1.0]), 0.75).tolist()
    [1, 3, 2]
    """
    share = float(domain.probability("share", share))
    # 0.1 is what 1 - 0.9 is meant to be
    count = max(1, math.floor(share * len(losses) + 1e-9))
    return torch.argsort(losses.detach(), stable=True)[:count]


def disagreement(first: Tensor, second: Tensor) -> Tensor:
    """Positions where two networks predict different classes.

    Parameters
    ----------
    first, second : Tensor, shape (batch, classes)
        Logits.

    Returns
    -------
    Tensor of int64
        In ascending order; may be empty.

    Examples
    --------
    >>> disagreement(torch.eye(3), torch.eye(3)[[0, 2, 1]]).tolist()
    [1, 2]
    """
    return torch.nonzero(first.argmax(1) != second.argmax(1)).squeeze(1)
