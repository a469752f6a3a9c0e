"""Exact passage times of Brownian motion with constant drift, in and between steps.

Both draws are inverse Gaussian, written in the inverse of the time so that every limit (no drift,
an end point on the target, a time span long against diffusion) is a plain number and no two nearly
equal ones are subtracted.

**Source**: J. R. Michael, W. R. Schucany, R. W. Haas, Am. Stat. 30 (1976) 88, here solved for the
reciprocal root; the bridge's passage time as a transformed inverse Gaussian: see
``simulations/01_mean_against_rate.py`` for the check against the exact mean.
"""

from __future__ import annotations

import math

from resetsgd.montecarlo.kernels.compiling import helper, inlined

__all__ = ["bridge_crosses", "bridge_probability", "inverse_of_inverse_gaussian", "within_bridge"]


@inlined
def inverse_of_inverse_gaussian(m: float, half: float, square: float, u: float) -> float:
    """1/X of an inverse Gaussian X with mean 1/m and shape 1/(2 half), from z² and a uniform.

    ``m`` = 0 is the Levy law (infinite mean). With w = half z², the two roots of Michael, Schucany
    and Haas have the reciprocals q = m + w + sqrt(w (2m + w)) and m²/q; the first is taken with
    probability q / (q + m).
    """
    w = half * square
    q = m + w + math.sqrt(w) * math.sqrt(2.0 * m + w)  # one root of the product could overflow
    other = m / q * m  # both, for a wrong guess of the branch costs more than the division
    return q if u * (q + m) <= q else other


@helper
def bridge_crosses(distance: float, end: float, spread: float, u: float) -> bool:
    """Whether a path from ``distance`` > 0 to ``end`` met zero, ``spread`` being D times the time.

    The probability is exp(-distance end / spread), and 1 if the end lies beyond zero.
    """
    if end <= 0.0:
        return True
    exponent = distance * end
    # The smallest uniform is 2**-53 = exp(-36.74): nothing can happen beyond 37.
    if exponent > 37.0 * spread:
        return False
    return u < math.exp(-exponent / spread)


@helper
def bridge_probability(distance: float, end: float, spread: float) -> float:
    """Probability that a path from ``distance`` > 0 to ``end`` met zero, as in the function above.

    Zero below 4e-38, as in vector code; the C library is slow where exponentials underflow.
    """
    if end <= 0.0:
        return 1.0
    exponent = distance * end
    if exponent > 86.0 * spread:
        return 0.0
    return math.exp(-exponent / spread)


@helper
def within_bridge(
    distance: float, end: float, span: float, diffusivity: float, z: float, u: float
) -> float:
    """Time of the first passage within a step of length ``span`` that is known to contain one.

    Given both ends, tau / (span - tau) is inverse Gaussian with mean distance / abs(end) and shape
    distance² / (2 D span); by reflection the side on which the step ends does not matter.
    """
    m = abs(end) / distance
    half = diffusivity * span / (distance * distance)
    return span / (1.0 + inverse_of_inverse_gaussian(m, half, z * z, u))
