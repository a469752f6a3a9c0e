"""Landscapes with several minima in any number of dimensions, and one in the plane."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import RealLike
from resetsgd.landscapes.toy import Toy, points, scalar, settled

__all__ = ["mueller_brown", "rastrigin", "sharp_and_flat"]


def rastrigin(dimension: int = 2, height: RealLike = 10.0) -> Toy:
    r"""A bowl with a lattice of wells, :math:`U = \sum_i x_i^2 + A (1 - \cos 2 \pi x_i)`.

    Parameters
    ----------
    dimension : int, default 2
    height : float, default 10
        A, length²/time, positive.

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Notes
    -----
    **Source**: L. A. Rastrigin, *Systems of extremal control* (1974).

    Examples
    --------
    >>> egg_box = rastrigin(2)
    >>> round(egg_box.potential([1.0, 0.0]), 12)  # a local minimum is near
    1.0
    """
    d, a = domain.integer("dimension", dimension, 1, 1024), scalar("height", height)
    wave = 2.0 * math.pi

    def potential(x: Any) -> Any:
        total = 0.0
        for j in range(d):
            total += x[j] * x[j] + a * (1.0 - math.cos(wave * x[j]))
        return total

    def gradient(x: Any, out: Any) -> None:
        for j in range(d):
            out[j] = 2.0 * x[j] + a * wave * math.sin(wave * x[j])

    line = (lambda x: x * x + a * (1.0 - np.cos(wave * x))) if d == 1 else None
    return Toy("rastrigin", d, potential, gradient, points([0.0], d), line=line)


def sharp_and_flat(
    sharp: RealLike = 20.0,
    flat: RealLike = 1.0,
    half_distance: RealLike = 1.0,
    offset: RealLike = 0.0,
    softness: RealLike = 0.1,
    dimension: int = 1,
) -> Toy:
    r"""A sharp minimum on the left and a flat one on the right.

    :math:`U = -s \log(e^{-U_1/s} + e^{-U_2/s})` of two bowls of curvatures k_1 around (-a, 0, ...)
    and k_2 around (a, 0, ...).

    Parameters
    ----------
    sharp, flat : float
        k_1 and k_2, 1/time, positive.
    half_distance : float, default 1
        a, length, positive.
    offset : float, default 0
        How much higher the bottom of the flat bowl lies, length²/time.
    softness : float, default 0.1
        s: over which difference of U the bowls are joined, length²/time, positive.
    dimension : int, default 1
        Both bowls are round.

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Examples
    --------
    >>> pair = sharp_and_flat()
    >>> [round(float(x[0]), 2) for x in pair.minima]
    [-1.0, 1.0]
    """
    k1, k2 = scalar("sharp", sharp), scalar("flat", flat)
    a, s = scalar("half_distance", half_distance), scalar("softness", softness)
    lift = scalar("offset", offset, positive=False)
    d = domain.integer("dimension", dimension, 1, 1024)

    def potential(x: Any) -> Any:
        rest = 0.0
        for j in range(1, d):
            rest += x[j] * x[j]
        one = 0.5 * k1 * ((x[0] + a) * (x[0] + a) + rest)
        two = 0.5 * k2 * ((x[0] - a) * (x[0] - a) + rest) + lift
        low = min(one, two)
        return low - s * np.log(1.0 + np.exp(-abs(one - two) / s))

    def gradient(x: Any, out: Any) -> None:
        rest = 0.0
        for j in range(1, d):
            rest += x[j] * x[j]
        one = 0.5 * k1 * ((x[0] + a) * (x[0] + a) + rest)
        two = 0.5 * k2 * ((x[0] - a) * (x[0] - a) + rest) + lift
        share = 1.0 / (1.0 + np.exp(min((one - two) / s, 700.0)))
        out[0] = share * k1 * (x[0] + a) + (1.0 - share) * k2 * (x[0] - a)
        for j in range(1, d):
            out[j] = (share * k1 + (1.0 - share) * k2) * x[j]

    def line(x: Any) -> Any:
        one, two = 0.5 * k1 * (x + a) * (x + a), 0.5 * k2 * (x - a) * (x - a) + lift
        return min(one, two) - s * np.log(1.0 + np.exp(-abs(one - two) / s))

    ends = (np.array([-a]), np.array([a]))
    toy = Toy("sharp_and_flat", d, potential, gradient, line=line if d == 1 else None)
    minima = [settled(toy, points([end], d)[0]) for end in ends]
    return replace(toy, minima=tuple(minima))


_MB_HEIGHT = np.array([-200.0, -100.0, -170.0, 15.0])
_MB_XX = np.array([-1.0, -1.0, -6.5, 0.7])
_MB_XY = np.array([0.0, 0.0, 11.0, 0.6])
_MB_YY = np.array([-10.0, -10.0, -6.5, 0.7])
_MB_X = np.array([1.0, 0.0, -0.5, -1.0])
_MB_Y = np.array([0.0, 0.5, 1.5, 1.0])


def mueller_brown(scale: RealLike = 0.05) -> Toy:
    r"""The potential of Mueller and Brown: three wells on a bent path in the plane.

    Parameters
    ----------
    scale : float, default 0.05
        Factor before the usual heights (-146.7, -108.2 and -80.8 at the minima), positive.

    Raises
    ------
    DomainError
        If the scale is not positive.

    Notes
    -----
    **Source**: K. Mueller, L. D. Brown, Theor. Chim. Acta 53, 75 (1979).

    Examples
    --------
    >>> surface = mueller_brown(scale=1.0)
    >>> [round(float(surface.potential(x)), 1) for x in surface.minima + surface.saddles]
    [-146.7, -108.2, -80.8, -40.7, -72.2]
    """
    c = scalar("scale", scale)
    height, xx, xy, yy, at_x, at_y = _MB_HEIGHT, _MB_XX, _MB_XY, _MB_YY, _MB_X, _MB_Y

    def potential(x: Any) -> Any:
        total = 0.0
        for i in range(4):
            u, v = x[0] - at_x[i], x[1] - at_y[i]
            total += c * height[i] * np.exp(xx[i] * u * u + xy[i] * u * v + yy[i] * v * v)
        return total

    def gradient(x: Any) -> Any:
        gx, gy = 0.0, 0.0
        for i in range(4):
            u, v = x[0] - at_x[i], x[1] - at_y[i]
            value = c * height[i] * np.exp(xx[i] * u * u + xy[i] * u * v + yy[i] * v * v)
            gx += value * (2.0 * xx[i] * u + xy[i] * v)
            gy += value * (xy[i] * u + 2.0 * yy[i] * v)
        return (gx, gy)

    toy = Toy("mueller_brown", 2, potential, gradient)
    minima = [(-0.558, 1.442), (0.623, 0.028), (-0.050, 0.467)]
    saddles = [(-0.822, 0.624), (0.212, 0.293)]
    return replace(
        toy,
        minima=tuple(settled(toy, np.array(place)) for place in minima),
        saddles=tuple(settled(toy, np.array(place)) for place in saddles),
    )
