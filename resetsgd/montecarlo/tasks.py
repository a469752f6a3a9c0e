"""What a motion hands to the driver: a kernel with everything fixed but the paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from resetsgd.domain import Array
from resetsgd.montecarlo.clock import Clock
from resetsgd.montecarlo.kernels.outcomes import POSITION

__all__ = ["Motion", "Paths", "State", "Task", "fresh"]


@dataclass
class Paths:
    """What the kernels write, in the order of the paths; ``first`` is the number of the first."""

    times: Array
    outcomes: npt.NDArray[np.int8]
    resets: npt.NDArray[np.int64]
    sides: npt.NDArray[np.int8]
    counter: npt.NDArray[np.int64]
    first: int
    steps: int = 0

    @classmethod
    def of(cls, first: int, count: int) -> Paths:
        """Nothing written yet."""
        return cls(
            np.empty(count), np.zeros(count, np.int8), np.zeros(count, np.int64),
            np.zeros(count, np.int8), np.zeros(1, np.int64), first,
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
    """

    advance: Callable[[Paths, State, int], int]
    state: Callable[[], State]
    blame: str = ""
    place: Callable[[float], float] = float
    keep: Any = field(default=None, repr=False)
    where: Callable[[Paths, int], str] | None = None


class Motion(Protocol):
    """What ``simulate`` asks of a process, made ready between a start and a target."""

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
