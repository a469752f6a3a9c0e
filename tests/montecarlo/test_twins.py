"""The kernels do path by path what a slow program does that was written from the papers.

The twin shares nothing with the package but what defines the streams: which block serves what. It
uses the textbook forms (Philox as in Salmon et al., the inverse Gaussian as in Michael, Schucany
and Haas, the ziggurat as in Doornik) where the kernels use rearranged ones.
"""

from __future__ import annotations

import math
from itertools import count
from typing import Any

import numpy as np
import pytest

import resetsgd as rs

EDGE, AREA = 3.6541528853610088, 0.00492867323397465524494


def bell(x: float) -> float:
    return math.exp(-x * x / 2)


def layers() -> list[float]:
    x = [AREA / bell(EDGE), EDGE]
    while len(x) < 256:
        x.append(math.sqrt(-2 * math.log(AREA / x[-1] + bell(x[-1]))))
    return [*x, 0.0]


LAYERS = layers()


def block(seed: int, path: int, purpose: int, index: int) -> list[int]:
    """Philox4x32-10."""
    low = 2**32
    x = [index % low, (index // low) % 2**24 + purpose * 2**24, path % low, path // low]
    key = [seed % low, seed // low]
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * x[0], low)
        high1, low1 = divmod(0xCD9E8D57 * x[2], low)
        x = [high1 ^ x[1] ^ key[0], low1, high0 ^ x[3] ^ key[1], low0]
        key = [(key[0] + 0x9E3779B9) % low, (key[1] + 0xBB67AE85) % low]
    return x


def uniform(high: int, low: int) -> float:
    return ((high * 2**32 + low) // 4096 + 0.5) / 2**52


class Twin:
    """One path: its random numbers, then its walk."""

    def __init__(self, seed: int, path: int) -> None:
        self.seed, self.path, self.index = seed, path, 0

    def words(self) -> list[int]:
        words = block(self.seed, self.path, 1, self.index)
        self.index += 1
        return words

    def normal_and_uniform(self) -> tuple[float, float]:
        first = words = self.words()
        layer, x = self.candidate(words[0], words[1])
        while x >= LAYERS[layer + 1]:
            words = self.words()
            self.index += words[3] % 2
            if layer == 0:
                beyond = -math.log(uniform(*words[:2])) / EDGE
                if -2 * math.log(uniform(*words[2:])) > beyond**2:
                    x = EDGE + beyond
                    break
                continue
            low, high = bell(LAYERS[layer]), bell(LAYERS[layer + 1])
            if low + uniform(*words[:2]) * (high - low) < bell(x):
                break
            layer, x = self.candidate(words[2], words[3])
        return (-x if first[0] // 256 % 2 else x), uniform(*first[2:])

    @staticmethod
    def candidate(w0: int, w1: int) -> tuple[int, float]:
        layer = w0 % 256
        return layer, (w0 // 2048 * 2**32 + w1) / 2**53 * LAYERS[layer]

    def wait(self, protocol: Any, resets: int) -> tuple[float, float]:
        """Waiting time number ``resets``, and how many ticks that is."""
        words = block(self.seed, self.path, 2, resets // 2)
        u = uniform(*(words[2:] if resets % 2 else words[:2]))
        match protocol:
            case rs.Poisson(rate=rate):
                return -math.log(u) / rate, 0.0
            case rs.Sharp(period=period):
                return period, 1.0
            case rs.Geometric(probability=p, step=step):
                coins = next(n for n in count(1) if u > (1 - p) ** n)
                return coins * step, coins
        raise AssertionError(protocol)

    def hit(self, mean: float, shape: float, z: float, u: float) -> float:
        """Inverse Gaussian."""
        y = z * z
        root = math.sqrt(4 * mean * shape * y + mean**2 * y**2)
        x = mean + mean**2 * y / (2 * shape) - mean / (2 * shape) * root
        return x if u <= mean / (mean + x) else mean**2 / x

    def walk(self, scheme: str, v: float, step: float, protocol: Any) -> tuple[float, int]:
        """From 1 at velocity v toward 0 with D = 1."""
        since, resets, y, age = 0.0, 0, 1.0, 0.0
        wait, _ = self.wait(protocol, 0)
        for _ in range(100_000):
            h = min(step, wait - age)
            z, u = self.normal_and_uniform()
            if scheme == "exact":
                h = wait
                arrives = v > 0 or u < math.exp(v)
                if arrives and v < 0:
                    z, u = self.normal_and_uniform()
                tau = self.hit(1 / abs(v), 0.5, z, u) if arrives else math.inf
                if tau < wait:
                    return since + tau, resets
            else:
                end = y - v * h + math.sqrt(2 * h) * z
                if scheme == "euler" and end <= 0:
                    return since + age + h, resets
                if scheme == "bridge" and (end <= 0 or u < math.exp(-y * end / h)):
                    z, u = self.normal_and_uniform()
                    s = self.hit(y / abs(end), y * y / (2 * h), z, u)
                    return since + age + h * s / (1 + s), resets
                y, age = end, age + h
            if scheme == "exact" or age >= wait * (1 - 1e-12):
                since, resets, y, age = since + wait, resets + 1, 1.0, 0.0
                wait, _ = self.wait(protocol, resets)
        raise AssertionError("no end")


@pytest.mark.parametrize(
    "protocol",
    [rs.Poisson(1.5), rs.Sharp(0.5), rs.Geometric(probability=0.1, step=0.05)],
    ids=lambda protocol: type(protocol).__name__,
)
@pytest.mark.parametrize(
    ("scheme", "step", "v"),
    [("bridge", 64.0, 0.3), ("bridge", 0.0317, -0.3), ("exact", None, 0.3), ("exact", None, -0.3),
     ("euler", 0.0317, 0.3)],
)  # fmt: skip
def test_path_by_path(scheme: str, step: float | None, v: float, protocol: Any) -> None:
    """300 paths, from number 2^33 on: same number of resets, same time to 9 digits.

    No multiple of the step is one of the waiting times, where rounding would decide the order.
    """
    seed, paths = 2**63 + 12345, range(2**33, 2**33 + 300)
    walk = rs.DriftDiffusion(drift=-v, diffusivity=1.0)
    S = rs.simulate(walk, 1.0, 0.0, protocol, paths=paths, seed=seed, scheme=scheme, step=step)
    twin = [Twin(seed, path).walk(scheme, v, step or math.inf, protocol) for path in paths]
    assert S.resets.tolist() == [resets for _, resets in twin]
    assert S.times == pytest.approx(np.array([time for time, _ in twin]), rel=1e-9)


def test_the_ziggurat_draw_by_draw() -> None:
    """20,000 draws: the cores, about 240 rejections, about 5 from the tail."""
    from resetsgd.montecarlo import streams

    twin = Twin(77, 3)
    drawn = np.array([twin.normal_and_uniform()[0] for _ in range(20_000)])
    assert twin.index > 20_200
    assert (np.abs(drawn) > EDGE).sum() >= 2
    assert streams.normals(20_000, seed=77, path=3, purpose="motion") == pytest.approx(
        drawn, rel=1e-12
    )
