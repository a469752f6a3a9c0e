"""Laws under exponential resets that each cost a fixed time: sums over the number of resets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from resetsgd.domain import Array
from resetsgd.errors import NotConverged
from resetsgd.passage.arrangements import log1p
from resetsgd.passage.base import PassageTime
from resetsgd.passage.steep import Law, inverted
from resetsgd.protocols import Protocol

__all__ = ["delayed"]

_ARRIVED, _ON_THE_WAY, _RESET = range(3)


@np.errstate(all="ignore")
def delayed(
    first: PassageTime, then: PassageTime, protocol: Protocol, t: Array, *, density: bool
) -> Any:
    """Survival or density with a fixed overhead c: a sum over the number of resets.

    Exactly n resets have been lived through from the time n c on; the transform of each term is
    smooth after its own delay, so that each is inverted there. Absolute error about 1e-11 a term.
    """
    lost = protocol.lost
    smooth = first.smooth and then.smooth and protocol.keeps_smooth
    if not (smooth and lost.fixed):
        raise NotConverged(
            f"survival: with {protocol!r} the law has kinks that no finite formula here resolves;"
            " its mean, variance, transform and samples are available"
        )
    late = np.asarray(lost.mean)
    shape = np.broadcast_shapes(t.shape, first.shape, then.shape, protocol.shape)
    t = np.broadcast_to(t, shape)
    # more resets than this do not happen by then
    often = float(np.max(t * protocol.most_resets_a_time, initial=0.0))
    delays = np.where(late > 0, np.floor(t / np.where(late > 0, late, 1.0)), np.inf)
    most = int(min(np.max(delays, initial=0.0), often + 12.0 * np.sqrt(often) + 50.0))
    if most > 4096:
        raise NotConverged(f"survival: t = {float(t.max()):g} holds {most} resets with an overhead")
    terms = _Terms(first, then, protocol)
    value: Any = np.zeros(shape)
    for number in range(most + 1):
        after = t - number * late
        value = value + terms(number, _ARRIVED if density else _ON_THE_WAY, after)
        if number and not density:  # the reset has come, and its overhead is not over
            value = value + terms(number, _RESET, after + late) - terms(number, _RESET, after)
    return value if density else np.where(t == 0, 1.0, value)


class _Terms:
    """What has happened by a time, overheads left out: n resets, and perhaps an arrival."""

    def __init__(self, first: PassageTime, then: PassageTime, protocol: Protocol) -> None:
        self.first, self.then, self.protocol = first, then, protocol
        self.shape = np.broadcast_shapes(first.shape, then.shape, protocol.shape)
        # only exponential waiting times keep a law smooth
        self.rate: Any = np.asarray(protocol.working_rate)  # type: ignore[attr-defined]

    def __call__(self, number: int, quantity: int, time: Array) -> Any:
        """Inverse of the transform of one term; 0 before its time."""
        whole = self._whole(number, quantity)
        law = Law(
            lambda s: np.log(self._fading(number, quantity, s) + 0j),
            self.shape,
            lambda: np.inf,  # a term is never certain
            self.then.std,
            self.then.timescale,
        )
        value = inverted(
            law,
            lambda s, _: whole(s),
            lambda s, shift: shift + 0.0 * s,
            lambda come, at: come,
            lambda at, _: 0.0 * at,
            time,
            1.0 / np.where(time > 0, time, 1.0) if quantity == _ARRIVED else 1.0,
            rest=lambda at: self._without(number, quantity, at),
        )
        return np.where(time > 0, value, 0.0)

    def _parts(self, free: PassageTime, s: Any) -> tuple[Any, Any, Any]:
        trial = self.protocol.trial(free, s)
        success = np.exp(trial.log_success)
        spent = np.exp(trial.log_success + trial.log_mean)
        return success, spent, 1.0 - success - s * spent

    def _whole(self, number: int, quantity: int) -> Callable[[Any], Any]:
        """The transform of a term."""

        def transform(s: Any) -> Any:
            if number == 0:
                return (*self._parts(self.first, s)[:2], 1.0)[quantity]
            success, spent, reset = self._parts(self.then, s)
            reached = self._parts(self.first, s)[2] * reset ** (number - 1)
            return reached * (success, spent, 1.0 / s)[quantity]

        return transform

    def _fading(self, number: int, quantity: int, s: Any) -> Any:
        """The transform less what it is when nothing arrives: it fades as those of the laws do."""
        total = self.rate + s
        lead = np.exp(self.first._log_laplace(total))
        follow = np.exp(self.then._log_laplace(total)) if number else lead
        resets = (self.rate / total) ** number
        if quantity == _ARRIVED:
            again = (1.0 - lead) * (1.0 - follow) ** (number - 1) if number else 1.0
            return resets * again * follow
        trials = number if quantity == _ON_THE_WAY else number - 1
        lost = np.expm1(log1p(-lead) + trials * log1p(-follow))
        return resets * lost / (total if quantity == _ON_THE_WAY else s)

    def _without(self, number: int, quantity: int, time: Array) -> Any:
        """What a term is at a time when nothing arrives: n exponential waiting times."""
        if quantity == _ARRIVED:
            return 0.0 * time
        if quantity == _RESET:
            return special.gammainc(number, self.rate * time)
        expected = self.rate * time
        return np.exp(special.xlogy(number, expected) - expected - special.gammaln(number + 1.0))
