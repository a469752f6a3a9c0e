"""Wells along one coordinate, with parabolas in the others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.domain import RealLike
from resetsgd.errors import DomainError
from resetsgd.landscapes.toy import Rows, Toy, along, points, scalar, vector
from resetsgd.landscapes.toy import transverse as curved

__all__ = ["asymmetric_valley", "double_well", "quadratic", "rugged_well", "tilted_well"]


def quadratic(curvatures: RealLike = 1.0) -> Toy:
    r"""A bowl, :math:`U = \frac12 \sum_i k_i x_i^2`.

    Parameters
    ----------
    curvatures : float or array of shape (d,), default 1
        k, 1/time, positive: the spectrum of the Hessian.

    Raises
    ------
    DomainError
        If a curvature is not positive.

    Examples
    --------
    >>> bowl = quadratic([1.0, 100.0])
    >>> bowl.gradient([1.0, 1.0]).tolist(), bowl.dimension
    ([1.0, 100.0], 2)
    """
    k = vector("curvatures", curvatures, positive=True)

    def potential(x: Any) -> Any:
        total = 0.0
        for j in range(len(k)):
            total += 0.5 * k[j] * x[j] * x[j]
        return total

    def rows(x: Any, out: Any, numbers: Any) -> None:
        for j in range(x.shape[0]):
            stiffness = x.dtype.type(numbers[j])  # float32 stays float32
            for lane in range(x.shape[1]):
                out[j, lane] = stiffness * x[j, lane]

    gradient = Rows(lambda x: k * np.asarray(x), rows, k)
    line = (lambda x: 0.5 * k[0] * x * x) if len(k) == 1 else None
    return Toy("quadratic", len(k), potential, gradient, points([0.0], len(k)), line=line)


def double_well(
    barrier: RealLike = 1.0, half_width: RealLike = 1.0, transverse: RealLike = ()
) -> Toy:
    r"""Two equal wells, :math:`U = B ((x/a)^2 - 1)^2`.

    Parameters
    ----------
    barrier : float, default 1
        B, length²/time, positive.
    half_width : float, default 1
        a: the minima lie at -a and a. Positive.
    transverse : array of shape (d - 1,), optional
        Curvatures of the further coordinates, 1/time, positive.

    Raises
    ------
    DomainError
        If an argument is not positive.

    Examples
    --------
    >>> well = double_well(barrier=1.0)
    >>> [float(x[0]) for x in well.minima], well.langevin(diffusivity=0.5).dimension
    ([-1.0, 1.0], 1)
    """
    return _tilted("double_well", barrier, half_width, 0.0, transverse)


def tilted_well(
    tilt: RealLike = 0.5,
    barrier: RealLike = 1.0,
    half_width: RealLike = 1.0,
    transverse: RealLike = (),
) -> Toy:
    r"""Two wells of different depth, :math:`U = B ((x/a)^2 - 1)^2 - F x`.

    Parameters
    ----------
    tilt : float, default 0.5
        F, length/time: positive favours the right well. So small that both wells remain:
        abs(F) < 8 B / (3 sqrt(3) a).
    barrier, half_width : float, default 1
        B and a, positive.
    transverse : array of shape (d - 1,), optional
        Curvatures of the further coordinates, 1/time, positive.

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Examples
    --------
    >>> well = tilted_well(tilt=0.5)
    >>> bool(well.potential(well.minima[1]) < well.potential(well.minima[0]))
    True
    """
    return _tilted("tilted_well", barrier, half_width, tilt, transverse)


def _tilted(
    name: str, barrier: RealLike, half_width: RealLike, tilt: RealLike, transverse: RealLike
) -> Toy:
    b, a = scalar("barrier", barrier), scalar("half_width", half_width)
    force = scalar("tilt", tilt, positive=False)
    most = 8.0 * b / (3.0 * math.sqrt(3.0) * a)
    if not abs(force) < most:
        raise DomainError(
            "tilt", tilt, f"between -{most:.6g} and {most:.6g}: else one well is gone"
        )

    def line(x: Any) -> Any:
        u = (x / a) * (x / a) - 1.0
        return b * u * u - force * x

    def slope(x: Any) -> Any:
        return 4.0 * b * (x / a) * ((x / a) * (x / a) - 1.0) / a - force

    roots = np.sort(np.roots([4.0 * b / a**4, 0.0, -4.0 * b / a**2, -force]).real)
    if force == 0.0:
        roots = np.array([-a, 0.0, a])
    left, top, right = (float(x) for x in roots)
    return along(name, line, slope, curved(transverse), (left, right), (top,))


def rugged_well(
    curvature: RealLike = 1.0,
    roughness: RealLike = 0.1,
    wavelength: RealLike = 0.2,
    transverse: RealLike = (),
) -> Toy:
    r"""A parabola with ripples, :math:`U = k x^2/2 + A (1 - \cos(2 \pi x/\lambda))`.

    Parameters
    ----------
    curvature, roughness, wavelength : float
        k (1/time), A (length²/time) and lambda (length), positive.
    transverse : array of shape (d - 1,), optional
        Curvatures of the further coordinates, 1/time, positive.

    Raises
    ------
    DomainError
        If an argument is not positive.

    Notes
    -----
    **Source**: R. Zwanzig, Proc. Natl. Acad. Sci. 85, 2029 (1988): for many ripples the diffusivity
    falls by the factor 1/I_0(A/D)².

    Examples
    --------
    >>> float(rugged_well().potential([0.0]))
    0.0
    """
    k, a = scalar("curvature", curvature), scalar("roughness", roughness)
    wave = 2.0 * math.pi / scalar("wavelength", wavelength)

    def line(x: Any) -> Any:
        return 0.5 * k * x * x + a * (1.0 - np.cos(wave * x))

    def slope(x: Any) -> Any:
        return k * x + a * wave * np.sin(wave * x)

    return along("rugged_well", line, slope, curved(transverse), (0.0,))


def asymmetric_valley(
    steep: RealLike = 10.0, flat: RealLike = 0.5, transverse: RealLike = ()
) -> Toy:
    r"""A minimum that is steep on its left and flat on its right, U = k x²/2 with either k.

    Parameters
    ----------
    steep, flat : float
        Curvatures for x < 0 and x > 0, 1/time, positive.
    transverse : array of shape (d - 1,), optional
        Curvatures of the further coordinates, 1/time, positive.

    Raises
    ------
    DomainError
        If a curvature is not positive.

    Notes
    -----
    Where SGD averages it sits on the flat side, where the test loss is better.

    **Source**: H. He, G. Huang, Y. Yuan, "Asymmetric valleys: beyond sharp and flat local minima",
    NeurIPS 32 (2019).

    Examples
    --------
    >>> valley = asymmetric_valley(steep=10.0, flat=0.5)
    >>> float(valley.potential([-1.0])), float(valley.potential([1.0]))
    (5.0, 0.25)
    """
    left, right = scalar("steep", steep), scalar("flat", flat)

    def line(x: Any) -> Any:
        return 0.5 * (left * min(x, 0.0) * min(x, 0.0) + right * max(x, 0.0) * max(x, 0.0))

    def slope(x: Any) -> Any:
        return left * min(x, 0.0) + right * max(x, 0.0)

    return along("asymmetric_valley", line, slope, curved(transverse), (0.0,))
