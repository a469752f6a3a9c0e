"""Where a diffusion was between two known positions, at any times, from its law given both.

A *piece* of a path is a row of six numbers: when it begins and ends, where it begins (NaN: where
the reset at the end of the piece before puts it; inf: where that ended), where it ends (NaN:
unknown, drawn here), its kind, and the drift that an unknown end is drawn with.

Within a piece the path is a Brownian bridge that does not meet the ends of the target. With one end
that is a Bessel bridge, the length of a three-dimensional Brownian bridge whose final direction is
drawn, and exact; it also serves where the piece ends on the target. A second end is respected by
rejection. A drift that changes on the way is left out, an error of the order of the piece.

**Source**: J. W. Pitman, Adv. Appl. Probab. 7 (1975) 511; L. C. G. Rogers, J. W. Pitman, Ann.
Probab. 9 (1981) 573.
"""

from __future__ import annotations

import math
from typing import Any

from resetsgd.montecarlo.kernels.compiling import helper, kernel
from resetsgd.montecarlo.kernels.hitting import bridge_probability
from resetsgd.montecarlo.kernels.lanes import RECORD, seed_lane, uniform, word_lanes
from resetsgd.montecarlo.kernels.variates import normal

__all__ = ["HOLD", "MOVE", "PIECE", "fill_in"]

MOVE, HOLD = 0.0, 1.0
"""Kinds of pieces: diffusion; staying where it begins."""

PIECE = 6
"""Numbers of a piece."""

TRIES = 10_000
"""Bound of the rejection loops, of which about one turn is needed on average."""


@helper
def _bessel(words: Any, near: float, far: float, share: float, spread: float) -> Any:
    """Distance from zero at a share of a Brownian bridge that does not meet it.

    The bridge leads from ``near`` >= 0 to ``far`` >= 0; ``spread`` is its variance for a whole
    step without ends, 2 D times its length.
    """
    u = uniform(words, 0)
    pull = near * far / spread
    cosine = 2.0 * u - 1.0
    if pull > 1e-8:
        cosine = max(1.0 + math.log(u + (1.0 - u) * math.exp(-2.0 * pull)) / pull, -1.0)
    sine = math.sqrt(max(1.0 - cosine * cosine, 0.0))
    width = math.sqrt(spread * share * (1.0 - share))
    a = (1.0 - share) * near + share * far * cosine + width * normal(words, 0)
    b = share * far * sine + width * normal(words, 0)
    c = width * normal(words, 0)
    return math.sqrt(a * a + b * b + c * c)


@helper
def _within(
    words: Any, x: float, end: float, share: float, span: float, diffusivity: float, low: float,
    high: float,
) -> Any:  # fmt: skip
    """Position at a share of a bridge from ``x`` to ``end`` that stays between the ends."""
    below, above = min(x - low, end - low), min(high - x, high - end)
    spread = 2.0 * diffusivity * span
    first, second = diffusivity * span * share, diffusivity * span * (1.0 - share)
    at = x
    for _ in range(TRIES):
        if not (below < math.inf or above < math.inf):
            z = normal(words, 0)
            return x + share * (end - x) + math.sqrt(spread * share * (1.0 - share)) * z
        if below <= above:
            at = low + _bessel(words, x - low, end - low, share, spread)
            if not high < math.inf:
                return at
            meets = 1.0 - bridge_probability(high - x, high - at, first)
            meets *= 1.0 - bridge_probability(high - at, high - end, second)
        else:
            at = high - _bessel(words, high - x, high - end, share, spread)
            if not low > -math.inf:
                return at
            meets = 1.0 - bridge_probability(x - low, at - low, first)
            meets *= 1.0 - bridge_probability(at - low, end - low, second)
        if uniform(words, 0) < meets:
            return at
    return min(max(at, low), high)


@helper
def _drawn_end(
    words: Any, x: float, slope: float, span: float, diffusivity: float, low: float, high: float
) -> Any:
    """Where a path that has not met the target is after a time."""
    spread = diffusivity * span
    width = math.sqrt(2.0 * spread)
    end = x
    for _ in range(TRIES):
        end = x + slope * span + width * normal(words, 0)
        apart = 1.0
        if low > -math.inf:
            apart *= 1.0 - bridge_probability(x - low, end - low, spread)
        if high < math.inf:
            apart *= 1.0 - bridge_probability(high - x, high - end, spread)
        if uniform(words, 0) < apart:
            return end
    return min(max(end, low), high)


@kernel
def fill_in(
    seed: Any, path: Any, pieces: Any, diffusivity: float, low: float, high: float, wall: float,
    factor: float, kept: float, home: float, times: Any, out: Any,
) -> None:  # fmt: skip
    """Positions at rising times that lie in the pieces, which are in their order.

    Parameters
    ----------
    seed, path : uint64
        Of the stream, whose purpose is RECORD: those of the path's motion are not touched.
    pieces : array of shape (n, PIECE)
    diffusivity : float
    low, high : float
        Ends of the target, infinite where there is none.
    wall : float
        Where the path is reflected; NaN for none.
    factor, kept, home : float
        Partial resets as in a clock, and the reset position.
    times, out : arrays
        Times, and where the positions go.
    """
    words = word_lanes()
    seed_lane(words, 0, seed, path, RECORD)
    j, before = 0, 0.0
    target = low if low > -math.inf else high
    for i in range(len(pieces)):
        begin, stop, x, end = pieces[i, 0], pieces[i, 1], pieces[i, 2], pieces[i, 3]
        last = i == len(pieces) - 1
        hold = pieces[i, 4] == HOLD or not stop > begin
        if x == math.inf:
            x = before
        elif x != x:
            x = target + factor * (before - target) if factor >= 0.0 else (
                home + kept * (before - home)
            )  # fmt: skip
        if end != end:
            end = x
            if not hold:
                end = _drawn_end(words, x, pieces[i, 5], stop - begin, diffusivity, low, high)
        before = end
        for _ in range(len(times)):
            if j >= len(times) or times[j] > stop or (times[j] == stop and not last):
                break
            if times[j] < begin:
                out[j] = x
            elif times[j] == stop:
                out[j] = end
            elif hold or times[j] == begin:
                out[j] = x
            else:
                share = (times[j] - begin) / (stop - begin)
                x = _within(words, x, end, share, stop - begin, diffusivity, low, high)
                begin = times[j]
                out[j] = x
            if (out[j] - wall) * (target - wall) < 0.0:  # false for NaN
                out[j] = 2.0 * wall - out[j]
            j += 1
