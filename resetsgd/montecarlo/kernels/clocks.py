"""When the next reset falls due, and how much time it takes: shared by all kernels.

A clock is an array of eight numbers and a table, made by ``resetsgd.montecarlo.clock.clock_of``:

=====  =================================================================================
entry  meaning
=====  =================================================================================
0      code, see below
1, 2   a, b
3      kind of overhead: 0 none, 1 fixed, 2 drawn from the overhead table
4      the fixed overhead
5      factor of a partial reset toward the target, in [0, 1); negative: none such
6      share of the way from the reset position that a reset leaves, in [0, 1)
=====  =================================================================================

===========  =======================  ==========  ==========================================
code         a                        b           waiting time
===========  =======================  ==========  ==========================================
NEVER        --                       --          infinite
POISSON      mean                     --          exponential
SHARP        period                   --          always a
GEOMETRIC    -log(1 - probability)    step        a geometric number of steps
GAMMA        shape                    scale
WEIBULL      exponent                 scale
UNIFORM      low                      high
PARETO       exponent                 scale
TABLE        --                       --          any law, from its table
RUNNING      --                       --          a rate that depends on the time since the start
===========  =======================  ==========  ==========================================

A table has the shape (2, n): rising cumulative hazards -log P(R > t), and the times at which they
are reached. In between, the logarithm of the time is linear in the logarithm of the hazard; where
two neighbouring hazards are the same the law has a gap, where two times are the same, a mass.

Times are those of the motion: time lost at resets is kept apart, in ``lost``. The k-th reset of a
periodic clock therefore falls on k periods exactly instead of on a sum of k rounded ones.
"""

from __future__ import annotations

import math
from typing import Any

from resetsgd.montecarlo.kernels.compiling import helper, inlined
from resetsgd.montecarlo.kernels.lanes import exponential, uniform
from resetsgd.montecarlo.kernels.variates import gamma

__all__ = [
    "CLOCK",
    "GAMMA",
    "GEOMETRIC",
    "NEVER",
    "PARETO",
    "POISSON",
    "RUNNING",
    "SHARP",
    "TABLE",
    "UNIFORM",
    "WEIBULL",
    "looked_up",
    "next_reset",
    "overhead",
    "placed",
]

NEVER, POISSON, SHARP, GEOMETRIC, GAMMA = 0, 1, 2, 3, 4
WEIBULL, UNIFORM, PARETO, TABLE, RUNNING = 5, 6, 7, 8, 9

CLOCK = 8
"""Length of a clock."""


@inlined
def _between(x: float, xs: Any, ys: Any) -> Any:
    """ys at x between rising xs: log-log linear; the first beyond the lower end."""
    low, high = 0, xs.shape[0] - 1
    if x <= xs[0]:
        return ys[0]
    if x >= xs[high]:
        return ys[high]
    for _ in range(64):
        if high - low <= 1:
            break
        middle = (low + high) >> 1
        if xs[middle] <= x:
            low = middle
        else:
            high = middle
    if ys[low] <= 0.0 or xs[low] <= 0.0 or not ys[high] < math.inf:
        return ys[high]
    share = math.log(x / xs[low]) / math.log(xs[high] / xs[low])
    return ys[low] * math.exp(share * math.log(ys[high] / ys[low]))


@helper
def looked_up(hazard: float, table: Any) -> Any:
    """The time at which the cumulative hazard of a table is reached."""
    return _between(hazard, table[0], table[1])


@helper
def _next_reset(
    words: Any, lane: int, clock: Any, table: Any, resets: int, last: float, lost: float,
    ticks: float,
) -> Any:  # fmt: skip
    """The clocks of :func:`next_reset` that are not exponential."""
    code, a, b = int(clock[0]), clock[1], clock[2]
    if code == SHARP:
        return a * (resets + 1), ticks
    if code == GEOMETRIC:
        # The number of coins up to the first head, drawn at once: the integer part of an
        # exponential is geometric. Probability 1 has a = inf and gives one coin.
        ticks = ticks + 1.0 + math.floor(exponential(words, lane) / a)
        return b * ticks, ticks
    if code == GAMMA:
        return last + b * gamma(words, lane, a), ticks
    if code == WEIBULL:
        return last + b * exponential(words, lane) ** (1.0 / a), ticks
    if code == UNIFORM:
        return last + a + (b - a) * uniform(words, lane), ticks
    if code == PARETO:
        return last + b * math.exp(exponential(words, lane) / a), ticks
    if code == TABLE:
        return last + looked_up(exponential(words, lane), table), ticks
    if code == RUNNING:
        hazard = exponential(words, lane)
        if last + lost > 0.0:
            hazard += _between(last + lost, table[1], table[0])
        due = looked_up(hazard, table) - lost
        return (due if due > last else last), ticks
    return math.inf, ticks


@inlined
def next_reset(
    words: Any, lane: int, clock: Any, table: Any, resets: int, last: float, lost: float,
    ticks: float,
) -> Any:  # fmt: skip
    """Time of the next reset, and the ticks of the clock until then.

    ``words``, ``lane``: where its randomness comes from; ``resets``: how many there were; ``last``,
    ``lost``, ``ticks``: time of the last one, time lost so far and ticks until then; 0 at first.
    """
    code = clock[0]
    if code == POISSON:
        return last + clock[1] * exponential(words, lane), ticks
    if code == NEVER:
        return math.inf, ticks
    return _next_reset(words, lane, clock, table, resets, last, lost, ticks)


@inlined
def overhead(words: Any, lane: int, clock: Any, table: Any) -> Any:
    """Time that a reset takes."""
    if clock[3] == 0.0:
        return 0.0
    if clock[3] == 1.0:
        return clock[4]
    return looked_up(exponential(words, lane), table)


@inlined
def _drawn(words: Any, lane: int, places: Any) -> Any:
    """One of the positions."""
    n = places.shape[1]
    if n == 1:
        return places[0, 0]
    u = uniform(words, lane)
    low, high = 0, n - 1
    for _ in range(64):
        if low >= high:
            break
        middle = (low + high) >> 1
        if places[1, middle] > u:
            high = middle
        else:
            low = middle + 1
    return places[0, low]


@inlined
def placed(words: Any, lane: int, clock: Any, places: Any, x: float, target: float) -> Any:
    """Where a reset puts a path that is at ``x``.

    ``places`` has the shape (2, n): positions, and rising sums of their probabilities, 1 at last.
    """
    if clock[5] >= 0.0:
        return target + clock[5] * (x - target)
    place = _drawn(words, lane, places)
    return place + clock[6] * (x - place)
