"""What a run of toy SGD can be told: when it has arrived, where resets lead, when they come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.montecarlo.toy_sgd.task import OBSERVABLES

__all__ = ["BestSoFar", "LossResets", "Reaches"]


@dataclass(frozen=True)
class Reaches:
    """The target of a run: an observable falls to a level, or rises to it.

    Parameters
    ----------
    observable : str
        See :meth:`~resetsgd.montecarlo.toy_sgd.task.SGDTask.observe`.
    below, above : float
        The level; exactly one of the two. A look exactly on it has arrived.

    Raises
    ------
    DomainError
        If there is no such observable, or not one level.

    Examples
    --------
    >>> Reaches("clean_loss", below=0.05)
    Reaches(observable='clean_loss', below=0.05, above=None)
    """

    observable: str
    below: float | None = None
    above: float | None = None

    def __post_init__(self) -> None:
        domain.choice("observable", self.observable, OBSERVABLES)
        if (self.below is None) == (self.above is None):
            raise DomainError("below, above", (self.below, self.above), "exactly one level")
        for name in ("below", "above"):
            level = getattr(self, name)
            if level is not None:
                object.__setattr__(self, name, domain.single(name, level))

    @property
    def level(self) -> float:
        """The level."""
        return float(self.above if self.below is None else self.below)  # type: ignore[arg-type]

    def met(self, value: float) -> bool:
        """Whether a value has arrived."""
        return value <= self.level if self.above is None else value >= self.level


@dataclass(frozen=True)
class BestSoFar:
    """Adaptive checkpoint: resets lead to the best parameters of the replica so far.

    Every so many steps, after a reset if there was one, an observable is looked at; where it is
    strictly lower than ever before, the parameters (and the velocity) become the checkpoint. The
    start is the first record.

    Parameters
    ----------
    every : int, default 10
        Steps between looks.
    observable : str, default "validation_loss"
        What is to be low.

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Examples
    --------
    >>> BestSoFar(every=50)
    BestSoFar(every=50, observable='validation_loss')
    """

    every: int = 10
    observable: str = "validation_loss"

    def __post_init__(self) -> None:
        object.__setattr__(self, "every", domain.integer("every", self.every, 1, 2**40))
        domain.choice("observable", self.observable, OBSERVABLES)


@dataclass(frozen=True, eq=False)
class LossResets:
    """A coin at every step, whose probability depends on a loss: r(loss).

    Parameters
    ----------
    levels : array-like, shape (k,)
        Rising values of the observable.
    probabilities : array-like, shape (k,)
        Reset probability at these values; linear in between, constant beyond the ends.
    every : int, default 1
        The observable is looked at every so many steps; in between the last value counts.
    observable : str, default "training_loss"
        What the probability depends on.

    Raises
    ------
    DomainError
        If levels do not rise, or an argument is outside its range.

    Examples
    --------
    >>> LossResets([0.1, 0.3], [0.0, 0.01], observable="validation_loss", every=10).every
    10
    """

    levels: npt.ArrayLike
    probabilities: npt.ArrayLike
    every: int = 1
    observable: str = "training_loss"

    def __post_init__(self) -> None:
        levels = np.atleast_1d(np.array(domain.finite("levels", self.levels)))
        chances = np.atleast_1d(np.array(domain.probability("probabilities", self.probabilities)))
        if levels.ndim != 1 or levels.size == 0 or (np.diff(levels) <= 0).any():
            raise DomainError("levels", self.levels, "rising numbers")
        if chances.shape != levels.shape:
            raise DomainError("probabilities", chances.shape, f"of shape {levels.shape}")
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "probabilities", chances)
        object.__setattr__(self, "every", domain.integer("every", self.every, 1, 2**40))
        domain.choice("observable", self.observable, OBSERVABLES)
