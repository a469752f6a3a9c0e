"""Batch norm, ReLU and a 2x2 maximum in one go, for one replica on a processor.

Unfused, these three read and write the largest maps of a small convolutional network a dozen times
in a step, which takes as long as its convolutions. Arrays are (batch, height, width, channels);
loops end in the channels, which vector instructions take together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

__all__ = ["backward", "forward", "statistics"]

_FLAGS = {"contract", "reassoc", "nsz"}
"""None of those that would let the compiler forget about NaN."""

_ROWS = 64
"""Pixels whose float32 sums are added up before they go to float64."""


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled at the first call, and kept on disk where that is possible."""
    options: dict[str, Any] = {"nogil": True, "fastmath": _FLAGS}
    try:
        compiled: Callable[..., Any] = njit(cache=True, **options)(function)
    except RuntimeError:  # no folder that may be written to
        compiled = njit(**options)(function)
    return compiled


@_compiled
def statistics(pixels: Any) -> Any:
    """Mean and biased variance of each channel of (pixels, channels), float64."""
    count, channels = pixels.shape
    shift = pixels[0].copy()
    total, square = np.zeros(channels), np.zeros(channels)
    part, other = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for start in range(0, count, _ROWS):
        part[:] = 0.0
        other[:] = 0.0
        for n in range(start, min(start + _ROWS, count)):
            row = pixels[n]
            for c in range(channels):
                away = row[c] - shift[c]
                part[c] += away
                other[c] += away * away
        for c in range(channels):
            total[c] += part[c]
            square[c] += other[c]
    mean, variance = np.empty(channels), np.empty(channels)
    for c in range(channels):
        away = total[c] / count
        mean[c] = shift[c] + away
        variance[c] = square[c] / count - away * away
        if variance[c] < 0.0:  # not so for NaN, which stays
            variance[c] = 0.0
    return mean, variance


@_compiled
def forward(maps: Any, scale: Any, offset: Any, above: Any, winner: Any, which: Any) -> None:
    """max(scale x + offset, 0) over 2x2; x where the maximum is, and which that is (4: none)."""
    batch, height, width, channels = above.shape
    for b in range(batch):
        for i in range(height):
            for j in range(width):
                x0, x1 = maps[b, 2 * i, 2 * j], maps[b, 2 * i, 2 * j + 1]
                x2, x3 = maps[b, 2 * i + 1, 2 * j], maps[b, 2 * i + 1, 2 * j + 1]
                out, won, place = above[b, i, j], winner[b, i, j], which[b, i, j]
                for c in range(channels):
                    a, d = scale[c], offset[c]
                    best, at, k = a * x0[c] + d, x0[c], np.uint8(0)
                    y = a * x1[c] + d
                    if y > best:
                        best, at, k = y, x1[c], np.uint8(1)
                    y = a * x2[c] + d
                    if y > best:
                        best, at, k = y, x2[c], np.uint8(2)
                    y = a * x3[c] + d
                    if y > best:
                        best, at, k = y, x3[c], np.uint8(3)
                    none = best <= 0.0
                    out[c] = np.float32(0.0) if none else best
                    won[c] = at
                    place[c] = np.uint8(4) if none else k


@_compiled
def backward(
    maps: Any,
    gradient: Any,
    winner: Any,
    which: Any,
    mean: Any,
    inverse: Any,
    weight: Any,
    out: Any,
) -> Any:
    """Gradient of the maps, written into ``out``; those of weight and bias, float64."""
    batch, height, width, channels = gradient.shape
    of_weight, of_bias = np.zeros(channels), np.zeros(channels)
    part, other = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for b in range(batch):
        for i in range(height):
            part[:] = 0.0
            other[:] = 0.0
            for j in range(width):
                g, won, place = gradient[b, i, j], winner[b, i, j], which[b, i, j]
                for c in range(channels):
                    passed = g[c] if place[c] < 4 else np.float32(0.0)
                    part[c] += passed
                    other[c] += passed * (won[c] - mean[c])
            for c in range(channels):
                of_bias[c] += part[c]
                of_weight[c] += other[c]
    count = 4 * batch * height * width
    slope, share, constant = (
        np.empty(channels, np.float32),
        np.empty(channels, np.float32),
        np.empty(channels, np.float32),
    )
    for c in range(channels):
        of_weight[c] *= inverse[c]
        slope[c] = weight[c] * inverse[c]
        share[c] = -weight[c] * inverse[c] * inverse[c] * of_weight[c] / count
        constant[c] = -weight[c] * inverse[c] * of_bias[c] / count - share[c] * mean[c]
    zero = np.float32(0.0)
    for b in range(batch):
        for i in range(height):
            for j in range(width):
                x0, x1 = maps[b, 2 * i, 2 * j], maps[b, 2 * i, 2 * j + 1]
                x2, x3 = maps[b, 2 * i + 1, 2 * j], maps[b, 2 * i + 1, 2 * j + 1]
                d0, d1 = out[b, 2 * i, 2 * j], out[b, 2 * i, 2 * j + 1]
                d2, d3 = out[b, 2 * i + 1, 2 * j], out[b, 2 * i + 1, 2 * j + 1]
                g, place = gradient[b, i, j], which[b, i, j]
                for c in range(channels):
                    step, k = slope[c] * g[c], place[c]
                    d0[c] = share[c] * x0[c] + constant[c] + (step if k == 0 else zero)
                    d1[c] = share[c] * x1[c] + constant[c] + (step if k == 1 else zero)
                    d2[c] = share[c] * x2[c] + constant[c] + (step if k == 2 else zero)
                    d3[c] = share[c] * x3[c] + constant[c] + (step if k == 3 else zero)
    return of_weight, of_bias
