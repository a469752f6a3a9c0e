"""The streams of :mod:`resetsgd.training.streams` on the device of the tensors, bit for bit.

An accelerator that trains hundreds of replicas takes less time for a step than a processor takes to
draw the batches of that step. The arithmetic is that of 32-bit words inside int64.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from resetsgd.training.streams import MULTIPLIERS, ROUNDS, WEYL, Purpose

__all__ = ["Keys", "addressed", "batches", "uniforms", "words"]

_MASK = 2**32 - 1


class Keys(NamedTuple):
    """What keys the draws of some replicas; int64 tensors that broadcast together.

    A seed has 64 bits and is given as its two's complement.
    """

    seed: Tensor
    replica: Tensor
    step: Tensor


def _philox(keys: Keys, first: Tensor, purpose: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four words at the counters (first, step, replica, purpose)."""
    k0, k1 = keys.seed & _MASK, (keys.seed >> 32) & _MASK
    c0, c1, c2 = first, keys.step, keys.replica
    c3 = torch.full_like(first, purpose)
    for _ in range(ROUNDS):
        # a product of two 32-bit words wraps around in int64; its halves are right all the same
        left, right = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0 = ((right >> 32) & _MASK) ^ c1 ^ k0
        c2 = ((left >> 32) & _MASK) ^ c3 ^ k1
        c1, c3 = right & _MASK, left & _MASK
        k0, k1 = (k0 + WEYL[0]) & _MASK, (k1 + WEYL[1]) & _MASK
    return c0, c1, c2, c3


def words(keys: Keys, purpose: int, count: int) -> Tensor:
    """Independent uniform 32-bit words, shape ``broadcast(*keys).shape + (count,)``."""
    blocks = torch.arange(-(-count // 4), device=keys.seed.device)
    drawn = _philox(Keys(*(key.unsqueeze(-1) for key in keys)), blocks, purpose)
    return torch.stack([word.expand_as(drawn[0]) for word in drawn], -1).flatten(-2)[..., :count]


def addressed(keys: Keys, purpose: int, index: Tensor) -> Tensor:
    """One uniform 32-bit word for each index; keys and index broadcast together."""
    return _philox(keys, index, purpose)[0]


def uniforms(keys: Keys, purpose: int) -> Tensor:
    """One uniform float64 in [0, 1) for each key."""
    pair = words(keys, purpose, 2)
    return ((pair[..., 0] >> 5).double() * 67108864.0 + (pair[..., 1] >> 6)) / 9007199254740992.0


def batches(keys: Keys, population: int, size: int) -> Tensor:
    """Mini-batches, shape ``broadcast(*keys).shape + (size,)``: uniform subsets, by Floyd."""
    drawn = words(keys, Purpose.BATCH, size)
    last = torch.arange(population - size, population, device=drawn.device)
    picks = ((drawn * (last + 1)) >> 32).movedim(-1, 0).contiguous()
    for i in range(1, size):
        taken = (picks[:i] == picks[i]).any(0)
        picks[i] = torch.where(taken, last[i], picks[i])
    return picks.movedim(0, -1).contiguous()
