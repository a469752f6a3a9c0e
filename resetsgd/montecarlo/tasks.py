"""What a motion hands to the driver: a kernel with everything fixed but the paths."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from resetsgd.domain import Array
from resetsgd.montecarlo.clock import Clock
from resetsgd.montecarlo.kernels.outcomes import POSITION, RUNNING

__all__ = ["MOST_RESETS", "Motion", "Paths", "State", "Task", "fresh"]

MOST_RESETS = 2**32 - 1
"""Of one path: what its entry in :class:`Paths` can hold."""


@dataclass
class Paths:
    """What the kernels write, in the order of the paths: thirteen bytes for each, or fourteen.

    ``first`` is the number of the first path; ``sides`` is empty where nobody asks for them.
    """

    times: Array
    outcomes: npt.NDArray[np.int8]
    resets: npt.NDArray[Any]
    sides: npt.NDArray[np.int8]
    counter: npt.NDArray[np.int64]
    first: int
    steps: int = 0

    @classmethod
    def of(cls, first: int, count: int, sides: bool = True) -> Paths:
        """Nothing written yet."""
        return cls(
            np.empty(count), np.zeros(count, np.int8), np.zeros(count, np.uint32),
            np.zeros(count if sides else 0, np.int8), np.zeros(1, np.int64), first,
        )  # fmt: skip

    def again(self, first: int, count: int) -> Paths:
        """The same memory for ``count`` other paths, at most as many as it was made for."""
        part = slice(count)
        for written, before in ((self.outcomes, RUNNING), (self.resets, 0), (self.sides, 0)):
            written[part] = before  # kernels may count in them
        return Paths(
            self.times[part], self.outcomes[part], self.resets[part], self.sides[part],
            np.zeros(1, np.int64), first,
        )  # fmt: skip


@dataclass
class State:
    """What a kernel keeps between two calls of one thread: see ``kernels/outcomes.py``."""

    ints: npt.NDArray[np.int64]
    reals: Array
    words: npt.NDArray[np.uint32]
    report: Array


def fresh(ints: int, reals: int, words: int, lanes: int) -> State:
    """A state in which no column is occupied."""
    state = State(
        np.zeros((ints, lanes), np.int64), np.zeros((reals, lanes)),
        np.zeros((words, lanes), np.uint32), np.zeros(4),
    )  # fmt: skip
    state.ints[POSITION] = -1
    return state


@dataclass(frozen=True)
class Task:
    """A kernel ready to run.

    Parameters
    ----------
    advance : callable
        ``advance(paths, state, budget)`` moves paths until the budget of steps is used up or none
        is left, and returns the steps made; fewer than the budget mean that none is left.
    state : callable
        Makes the state of one thread.
    blame : str
        What a path that leaves the finite numbers is blamed on: an argument's name, or nothing.
    place : callable, optional
        From the kernel's coordinate to the user's, for messages.
    keep : object
        What must not be collected while the task runs, such as compiled functions.
    where : callable, optional
        Says at which place the path at a position left the finite numbers, where one number in
        ``report`` does not.
    sides : bool
        Whether the kernel writes at which end each path arrived.
    """

    advance: Callable[[Paths, State, int], int]
    state: Callable[[], State]
    blame: str = ""
    place: Callable[[float], float] = float
    keep: Any = field(default=None, repr=False)
    where: Callable[[Paths, int], str] | None = None
    sides: bool = True


@dataclass(frozen=True)
class Track:
    """How a path goes on between two calls of its kernel, in the kernel's coordinate.

    Parameters
    ----------
    kind : {"diffusion", "straight", "jump"}
        A bridge between the two positions; a straight line; rest until the end.
    starts, backs : ndarray
        Where paths begin and where resets lead, shapes (n,) or (n, d).
    single : bool
        Whether a call makes at most one step or event, so that a reset is at its end.
    diffusivity, low, high, wall : float
        For a diffusion: of the noise; the ends of the target, infinite where there is none; the
        wall, NaN for none.
    drift : callable, optional
        Position to drift.
    speed : float
        Of a straight line whose end a reset hides, times the heading that the kernel keeps.
    place : callable
        From an array of the kernel's coordinates to the user's.
    """

    kind: str
    starts: Array
    backs: Array
    single: bool = True
    diffusivity: float = 1.0
    low: float = -math.inf
    high: float = math.inf
    wall: float = math.nan
    drift: Callable[[float], float] | None = None
    speed: float = 0.0
    place: Callable[[Array], Array] = np.asarray

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return 1 if self.starts.ndim == 1 else self.starts.shape[1]


class Motion(Protocol):
    """What ``simulate`` asks of a process, made ready between a start and a target.

    A motion may also have ``coarser(scheme, step)``: a longer step that shows the bias of this one,
    and the weak order of the scheme, or None where there is no such step.
    """

    @property
    def schemes(self) -> tuple[str, ...]:
        """Names of its schemes, the default first."""

    @property
    def arrives(self) -> bool:
        """Whether the mean passage time is known to be finite without resets."""

    def step(self, scheme: str, step: float | None, clock: Clock, horizon: float) -> float | None:
        """The step to use: the given one, checked, or the default; None if there are no steps."""

    def task(
        self, scheme: str, step: float | None, clock: Clock, horizon: float, seed: int
    ) -> Task:
        """The kernel with everything fixed but the paths."""

    def track(self, scheme: str) -> Track | None:
        """How a recorded path goes on between two calls; None where that is not known."""
