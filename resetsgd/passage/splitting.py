"""At which end it comes: what only a passage time to two ends can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resetsgd.domain import Real
from resetsgd.errors import DomainError

if TYPE_CHECKING:
    from resetsgd.passage.base import PassageTime

__all__ = ["OneEnded", "Splitting"]


class Splitting(NamedTuple):
    """Probabilities to come at the lower and at the upper end."""

    lower: Real
    upper: Real


class OneEnded:
    """The questions about two ends, refused: a part of every passage time to a single target."""

    def splitting(self) -> Splitting:
        """Probabilities to leave at either end of ``target=(low, high)``.

        Raises
        ------
        DomainError
            If there is a single target.
        """
        raise self._one_end("splitting")

    def side(self, name: str) -> PassageTime:
        """The time at which it arrives at one end of ``target=(low, high)``; never, if elsewhere.

        Parameters
        ----------
        name : {"lower", "upper"}
            Which end.

        Raises
        ------
        DomainError
            If there is a single target.
        """
        del name
        raise self._one_end("side")

    def given(self, name: str) -> PassageTime:
        """The passage time on condition that it ends at one end of ``target=(low, high)``.

        Parameters
        ----------
        name : {"lower", "upper"}
            Which end.

        Raises
        ------
        DomainError
            If there is a single target.
        """
        del name
        raise self._one_end("given")

    def _one_end(self, question: str) -> DomainError:
        target = getattr(self, "target", "one")
        return DomainError("target", target, f"two ends, target=(low, high), to ask for {question}")
