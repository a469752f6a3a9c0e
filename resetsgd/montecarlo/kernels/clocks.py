"""When the next reset falls due: the waiting times of the protocols, as real times.

A clock is a code and two numbers. Its state is the time of the last reset and, for clocks that
tick, the number of ticks until then, so that the k-th reset of a periodic clock falls on k periods
exactly instead of on a sum of k rounded ones.
"""

from __future__ import annotations

import math

from resetsgd.montecarlo.kernels.compiling import spliced
from resetsgd.montecarlo.kernels.tape import Words, waiting_words
from resetsgd.montecarlo.kernels.variates import exponential

__all__ = ["GEOMETRIC", "NEVER", "POISSON", "SHARP", "next_reset"]

NEVER, POISSON, SHARP, GEOMETRIC = 0, 1, 2, 3


@spliced
def next_reset(
    tape: Words,
    base: int,
    clock: int,
    a: float,
    b: float,
    k0: int,
    k1: int,
    path: int,
    resets: int,
    last: float,
    ticks: float,
) -> tuple[float, float]:
    """Time of the reset after the first ``resets`` ones, and the ticks until then.

    ``last`` and ``ticks`` belong to the reset before it; ``tape``, ``base``, ``k0``, ``k1`` and
    ``path`` are where its randomness comes from.

    ===========  ===========================  ==========
    clock        a                            b
    ===========  ===========================  ==========
    NEVER        --                           --
    POISSON      mean waiting time            --
    SHARP        period                       --
    GEOMETRIC    -log(1 - probability)        step
    ===========  ===========================  ==========
    """
    if clock == NEVER:
        return math.inf, ticks
    if clock == SHARP:
        return a * (resets + 1), ticks
    w0, w1 = waiting_words(tape, base, k0, k1, path, resets)
    if clock == GEOMETRIC:
        # The number of coins up to the first head, drawn at once: the integer part of an
        # exponential is geometric. Probability 1 has a = inf and gives one coin.
        ticks = ticks + 1.0 + math.floor(exponential(w0, w1) / a)
        return b * ticks, ticks
    return last + a * exponential(w0, w1), ticks
