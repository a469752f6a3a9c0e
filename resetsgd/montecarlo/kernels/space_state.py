"""What the kernel of motion in many dimensions reads and writes, as named tuples of plain arrays.

T stands for the type of the state, float64 or float32: the arrays of type T that go into one call
all have the same. Lanes are columns. Functions are addresses, see
:func:`~resetsgd.montecarlo.kernels.rows.call_rows`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from resetsgd.montecarlo.kernels.lanes import LANES

__all__ = [
    "BALL", "DIAGONAL", "DIAGONAL_HERE", "FULL", "FUNCTION",
    "HALF_SPACE", "ISOTROPIC_HERE", "LOOK_AT_STEPS", "LOOK_AT_TIMES", "LOOK_NEVER", "NOTHING",
    "OUTSIDE", "SLAB", "Aim", "Looks", "Mover", "Outcome", "State", "new_state",
]  # fmt: skip

Reals = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

DIAGONAL, FULL, ISOTROPIC_HERE, DIAGONAL_HERE = 0, 1, 2, 3
"""Noise: constant and independent, constant and correlated, or as large as the place says."""

NOTHING, HALF_SPACE, SLAB, BALL, OUTSIDE, FUNCTION = 0, 1, 2, 3, 4, 5
"""Targets."""

LOOK_NEVER, LOOK_AT_TIMES, LOOK_AT_STEPS = 0, 1, 2
"""When positions are looked at."""


class Mover(NamedTuple):
    """dx = b dt + sqrt(2 D) dW, or with friction dx = v dt, dv = friction (b dt + ... - v dt)."""

    drift: Any
    """b, or -b: rows of positions -> rows of drifts; see ``sense``."""
    drift_numbers: Reals
    """What the drift function gets besides."""
    spread: Any
    """D(x): rows of positions -> one row, or as many, of diffusivities; read for .._HERE."""
    spread_numbers: Reals
    noise: int
    scale: Any
    """T, shape (d,): square roots of the diffusivities; DIAGONAL."""
    factor: Any
    """T, shape (d, d): lower triangular, D = factor factor^T; FULL."""
    covariance: Any
    """T, shape (d, d): D itself; FULL."""
    friction: float
    """1/time; 0 is overdamped."""
    heun: bool
    """Whether the drift is averaged over both ends of a step."""
    sense: float
    """-1 where the drift function gives a gradient, else 1."""
    memory: float
    """Correlation time of the noise, which ``v`` then holds, dx = (b + v) dt; 0 is white."""


class Aim(NamedTuple):
    """The target."""

    code: int
    function: Any
    """Rows of positions -> one row: zero or less on the target; FUNCTION."""
    numbers: Reals
    vector: Any
    """T, shape (d,): unit normal of HALF_SPACE and SLAB, centre of BALL and OUTSIDE."""
    low: float
    """HALF_SPACE n.x <= low, SLAB n.x <= low or >= high, BALL |x - c| <= low, OUTSIDE >= low."""
    high: float
    across: float
    """D along the normal where it is the same everywhere."""
    bridge: bool
    """Whether crossings between the ends of a step count; not for FUNCTION."""


class Looks(NamedTuple):
    """When positions are looked at, and what becomes of them."""

    mode: int
    first: float
    """Time of the first look; to it comes a uniform share of ``jitter``."""
    every: float
    """Time between looks, or number of steps."""
    jitter: float
    most: int
    """Looks at one path; a path without a target ends after them."""
    coordinates: Whole
    """Which components."""
    low: Reals
    """Left edges of the histograms, one for each coordinate."""
    width: Reals
    """Widths of their bins."""


class Outcome(NamedTuple):
    """What the kernel writes, one entry for each path."""

    times: Reals
    outcomes: npt.NDArray[np.int8]
    sides: npt.NDArray[np.int8]
    """-1 and 1 for the low and high side of a SLAB, else 0."""
    resets: Whole
    looked: Reals
    """Shape (paths, looks, 1 + coordinates): time and position at each look of the first paths."""


class State(NamedTuple):
    """What a worker needs to go on after a call; ``new_state`` makes it."""

    x: Any
    """T, shape (2 d, LANES): positions, then velocities."""
    reals: Reals
    """Rows as numbered in ``outcomes`` and ``space``."""
    ints: Whole
    words: npt.NDArray[np.uint32]
    """Shape (8, LANES): generators of the motion, then of everything else."""
    report: Reals
    """See :mod:`resetsgd.montecarlo.kernels.outcomes`."""
    counts: Whole
    """Shape (coordinates, 2 + bins): how many looks fell below, into each bin, above."""


REALS, INTS = 8, 5


def new_state(dimension: int, dtype: Any, coordinates: int = 0, bins: int = 0) -> State:
    """State of a worker before its first call."""
    return State(
        np.zeros((2 * dimension, LANES), dtype),
        np.zeros((REALS, LANES)),
        np.full((INTS, LANES), -1),
        np.zeros((8, LANES), np.uint32),
        np.zeros(4),
        np.zeros((coordinates, 2 + bins), np.int64),
    )
