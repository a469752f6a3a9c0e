"""The kernels do path by path what a slow program does that was written from the papers.

The twin shares nothing with the package but what defines the streams: which draw serves what. It
uses the textbook forms (xoshiro128++ as published, the inverse Gaussian as in Michael, Schucany and
Haas, the ziggurat as in Doornik, one path after the other) where the kernels use rearranged ones.
"""

from __future__ import annotations

import math
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


def mixed(z: int) -> int:
    """The finaliser of SplitMix64."""
    low = 2**64 - 1
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & low
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & low
    return z ^ z >> 31


class Stream:
    """xoshiro128++ from the hash of its key."""

    def __init__(self, seed: int, path: int, purpose: int) -> None:
        low, golden = 2**64 - 1, 0x9E3779B97F4A7C15
        self.s: list[int] = []
        for salt in (0xA0761D6478BD642F, 0xE7037ED1A0B428DB):
            key = mixed((mixed((seed + salt) & low) + golden * purpose) & low)
            half = mixed((path * golden + key) & low)
            self.s += [half % 2**32, half >> 32]
        self.drawn = 0

    def word(self) -> int:
        low, s = 2**32 - 1, self.s
        self.drawn += 1
        total = (s[0] + s[3]) & low
        result = (((total << 7) & low | total >> 25) + s[0]) & low
        t = (s[1] << 9) & low
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = (s[3] << 11) & low | s[3] >> 21
        return result

    def uniform(self) -> float:
        return ((self.word() * 2**32 + self.word()) // 4096 + 0.5) / 2**52

    def candidate(self) -> tuple[int, float, int]:
        high, low = self.word(), self.word()
        layer = high % 256
        return layer, (high // 2**11 * 2**32 + low) / 2**53 * LAYERS[layer], high

    def normal(self) -> float:
        layer, x, first = self.candidate()
        while x >= LAYERS[layer + 1]:
            if layer == 0:
                beyond = -math.log(self.uniform()) / EDGE
                if -2 * math.log(self.uniform()) > beyond**2:
                    x = EDGE + beyond
                    break
                continue
            low, high = bell(LAYERS[layer]), bell(LAYERS[layer + 1])
            if low + self.uniform() * (high - low) < bell(x):
                break
            layer, x, _ = self.candidate()
        return -x if first // 256 % 2 else x

    def pair(self) -> tuple[float, float]:
        """Box and Muller, from the words as the lanes read them."""
        first, second = self.word(), self.word()
        radius = math.sqrt(-2 * math.log((first // 2 + 0.5) / 2**31))
        low = second % 2**30
        angle = math.pi / 2 * (low if low < 2**29 else low - 2**30) / 2**30
        if second // 2**30 % 2:
            angle = math.pi / 2 - angle
        if second // 2**31:
            angle += math.pi
        return radius * math.cos(angle), radius * math.sin(angle)


class Twin:
    """One path: its random numbers, then its walk."""

    def __init__(self, seed: int, path: int) -> None:
        self.motion, self.events = Stream(seed, path, 1), Stream(seed, path, 2)
        self.spare: list[float] = []

    def noise(self) -> float:
        """The next normal of a path that moves in a lane."""
        if not self.spare:
            self.spare = list(self.motion.pair())
        return self.spare.pop(0)

    def wait(self, protocol: Any) -> float:
        match protocol:
            case rs.Poisson(rate=rate):
                return -math.log(self.events.uniform()) / rate
            case rs.Geometric(probability=p, step=step):
                return step * math.ceil(math.log(self.events.uniform()) / math.log(1 - p))
        return float(protocol.period)

    def hit(self, mean: float, shape: float, z: float, u: float) -> float:
        """Inverse Gaussian."""
        y = z * z
        root = math.sqrt(4 * mean * shape * y + mean**2 * y**2)
        x = mean + mean**2 * y / (2 * shape) - mean / (2 * shape) * root
        return x if u <= mean / (mean + x) else mean**2 / x

    def walk(self, scheme: str, v: float, step: float, protocol: Any) -> tuple[float, int]:
        """From 1 at velocity v toward 0 with D = 1, by the scheme for constant drift."""
        since, resets, y, age = 0.0, 0, 1.0, 0.0
        wait = self.wait(protocol)
        motion = self.motion
        for _ in range(100_000):
            h = min(step, wait - age)
            if scheme == "exact":
                h = wait
                radius = math.sqrt(-2 * math.log(motion.uniform()))
                z = radius * math.cos(2 * math.pi * motion.uniform())
                tau = self.hit(1 / abs(v), 0.5, z, motion.uniform())
                if v < 0 and motion.uniform() >= math.exp(v):
                    tau = math.inf
                if tau < wait:
                    return since + tau, resets
            else:
                end = y - v * h + math.sqrt(2 * h) * motion.normal()
                u = motion.uniform()
                if end <= 0 or u < math.exp(-y * end / h):
                    z, u = motion.normal(), motion.uniform()
                    s = self.hit(y / abs(end), y * y / (2 * h), z, u)
                    return since + age + h * s / (1 + s), resets
                y, age = end, age + h
            if scheme == "exact" or age >= wait * (1 - 1e-12):
                since, resets, y, age = since + wait, resets + 1, 1.0, 0.0
                wait = self.wait(protocol)
        raise AssertionError("no end")

    def lane(
        self, scheme: str, drift: Any, D: float, step: float, protocol: Any
    ) -> tuple[float, int]:
        """From 1 to 0 with any drift, by the schemes that move in lanes."""
        u, survival = self.events.uniform(), 1.0
        since, resets, x, age = 0.0, 0, 1.0, 0.0
        wait = self.wait(protocol)
        for _ in range(100_000):
            h = min(step, wait - age)
            noise = math.sqrt(2 * D * h) * self.noise()
            end = x + drift(x) * h + noise
            if scheme == "heun":
                end = x + (drift(x) + drift(end)) / 2 * h + noise
            if scheme == "euler":
                survival = 0.0 if end <= 0 else 1.0
            else:
                survival *= 1 - math.exp(-x * max(end, 0.0) / (D * h))
            if survival < u:
                tau = h
                if scheme != "euler":
                    z = self.events.normal()
                    s = self.hit(x / abs(end), x * x / (2 * D * h), z, self.events.uniform())
                    tau = h * s / (1 + s)
                return since + age + tau, resets
            x, age = end, age + h
            if age >= wait * (1 - 1e-12):
                since, resets, x, age = since + wait, resets + 1, 1.0, 0.0
                wait = self.wait(protocol)
        raise AssertionError("no end")


@pytest.mark.parametrize(
    "protocol",
    [rs.Poisson(1.5), rs.Sharp(0.5), rs.Geometric(probability=0.1, step=0.05)],
    ids=lambda protocol: type(protocol).__name__,
)
@pytest.mark.parametrize(
    ("scheme", "step", "v"),
    [("bridge", 64.0, 0.3), ("bridge", 0.0317, -0.3), ("exact", None, 0.3), ("exact", None, -0.3)],
)
def test_path_by_path(scheme: str, step: float | None, v: float, protocol: Any) -> None:
    """300 paths, from number 2^33 on: same number of resets, same time to 7 digits.

    The textbook's root of the inverse Gaussian loses the others by cancellation. No multiple of the
    step is one of the waiting times, where rounding would decide the order.
    """
    seed, paths = 2**63 + 12345, range(2**33, 2**33 + 300)
    walk = rs.DriftDiffusion(drift=-v, diffusivity=1.0)
    S = rs.simulate(walk, 1.0, 0.0, protocol, paths=paths, seed=seed, scheme=scheme, step=step)
    twin = [Twin(seed, path).walk(scheme, v, step or math.inf, protocol) for path in paths]
    assert S.resets.tolist() == [resets for _, resets in twin]
    assert S.times == pytest.approx(np.array([time for time, _ in twin]), rel=1e-7)


@pytest.mark.parametrize(
    "protocol", [rs.Poisson(1.5), rs.Sharp(0.5)], ids=lambda protocol: type(protocol).__name__
)
@pytest.mark.parametrize("scheme", ["euler", "bridge", "heun"])
def test_lanes_path_by_path(scheme: str, protocol: Any) -> None:
    """300 paths in a double well: same resets, same time to the digits of float32 noise.

    A wrong twin, with a drift that is ten per cent stronger, is refused.
    """
    seed, paths, step = 77, range(2**33, 2**33 + 300), 0.0317
    well = rs.Landscape(drift=lambda x: x - x**3, diffusivity=0.8)
    S = rs.simulate(well, 1.0, 0.0, protocol, paths=paths, seed=seed, scheme=scheme, step=step)

    def times(factor: float) -> np.ndarray:
        twins = (Twin(seed, path) for path in paths)
        found = [
            twin.lane(scheme, lambda x: factor * (x - x**3), 0.8, step, protocol) for twin in twins
        ]
        return np.array(found)

    same = times(1.0)
    assert S.resets.tolist() == same[:, 1].tolist()
    assert S.times == pytest.approx(same[:, 0], rel=1e-4)
    assert S.times != pytest.approx(times(1.1)[:, 0], rel=1e-4)


def test_the_ziggurat_draw_by_draw() -> None:
    """20,000 draws: the cores, about 240 rejections, about 5 from the tail."""
    from resetsgd.montecarlo import streams

    twin = Stream(77, 3, 1)
    drawn = np.array([twin.normal() for _ in range(20_000)])
    assert twin.drawn > 40_400
    assert (np.abs(drawn) > EDGE).sum() >= 2
    assert streams.normals(20_000, seed=77, path=3, purpose="motion") == pytest.approx(
        drawn, rel=1e-12
    )
