"""The best member of a protocol family, searched globally."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from resetsgd.domain import Real
from resetsgd.errors import DomainError
from resetsgd.protocols import Protocol

if TYPE_CHECKING:
    from resetsgd.passage.base import PassageTime
    from resetsgd.passage.observed import Observed

__all__ = ["Optimum", "best", "best_observed"]

_DECADES = (-17.0, 6.0)
"""Frequencies searched, in decades around 1/timescale."""
_PER_DECADE = 24


@dataclass(frozen=True)
class Optimum:
    """The best protocol of a family for one passage time.

    The optimal parameter is reached by its name: ``rate`` (Poisson, Geometric), ``period`` (Sharp),
    ``probability`` (Geometric); 0, or an infinite period, where resetting does not pay.

    Attributes
    ----------
    protocol : Protocol
        The best member of the family; the one that never resets if resetting does not pay.
    mean : float
        Mean first-passage time under it.
    reset_free_mean : float
        Mean without resets; ``inf`` if infinite. For censored data a lower bound, and ``reason``
        says so.
    pays : bool
        Whether the best resetting mean lies below the reset-free one.
    kind : {"interior", "boundary", "none"}
        Where the optimum lies: at a finite frequency, at the largest one the family has, or
        resetting does not pay.
    reason : str
        Why, in words with numbers.
    interval : tuple of float, optional
        95 % interval of ``mean`` when it was estimated from data.
    parameter_interval : tuple of float, optional
        95 % interval of the optimal parameter when it was estimated from data.
    """

    protocol: Protocol
    mean: float
    reset_free_mean: float
    pays: bool
    kind: str
    reason: str
    interval: tuple[float, float] | None = None
    parameter_interval: tuple[float, float] | None = None

    @property
    def speedup(self) -> float:
        """Reset-free mean over the mean under the best protocol; 1 where resetting does not pay."""
        if not self.pays or np.isinf(self.reset_free_mean):
            return np.inf if self.pays else 1.0
        return self.reset_free_mean / self.mean

    @property
    def rate(self) -> Real:
        """Optimal rate, 1/time (Poisson; for Geometric the equivalent rate)."""
        return self._parameter("rate")

    @property
    def period(self) -> Real:
        """Optimal period, time (Sharp)."""
        return self._parameter("period")

    @property
    def probability(self) -> Real:
        """Optimal probability at each coin (Geometric)."""
        return self._parameter("probability")

    def _parameter(self, name: str) -> Real:
        if not hasattr(self.protocol, name):
            raise AttributeError(f"{type(self.protocol).__name__} has no {name}")
        value: Real = getattr(self.protocol, name)
        return value


def best(free: PassageTime, family: type[Protocol], **fixed: Any) -> Optimum:
    """Search a protocol family for the smallest mean; what ``PassageTime.best`` calls.

    The slope d log(mean)/d log(frequency) is evaluated on a grid over 23 decades around the passage
    time's own scale; every change from falling to rising brackets a local minimum, whose root is
    then solved. The smallest of them competes with never resetting and with the largest frequency
    of the family, so first-order transitions (a finite rate pays although CV < 1) are found.

    Raises
    ------
    DomainError
        If ``family`` is not a protocol class or the passage time is an array of them.
    """
    if not (isinstance(family, type) and issubclass(family, Protocol)):
        raise DomainError("family", family, "a protocol class such as Poisson")
    if free.shape:
        raise DomainError("best", free, "asked of one passage time at a time (scalar parameters)")
    scale = float(free.timescale())
    grid = 10.0 ** np.arange(_DECADES[0], _DECADES[1], 1.0 / _PER_DECADE) / scale
    grid = grid[grid < family.most_frequent(**fixed)]

    def slope(frequency: Any) -> Any:
        return family.at_frequency(frequency, **fixed).slope(free)

    with np.errstate(all="ignore"):
        slopes = np.asarray(slope(grid))
    noise = family.slope_noise
    signs = np.where(np.abs(slopes) > noise, np.sign(slopes), 0.0)
    signs = np.where(np.isfinite(slopes), signs, 1.0)
    starts = np.flatnonzero((signs[:-1] < 0) & (signs[1:] >= 0))
    candidates = []
    edge = family.edge(**fixed)
    for i in starts:
        if edge is not None and not signs[i + 1 :].any():
            continue  # flat from here to the edge, which is then the place of the minimum
        low, high = grid[i], grid[i + 1]
        root = low if signs[i + 1] == 0 else brentq(slope, low, high, xtol=1e-300, rtol=1e-15)
        candidates.append((family.at_frequency(root, **fixed), "interior"))
    if edge is not None:
        candidates.append((edge, "boundary"))
    never = float(free.mean())
    log_never = float(free.log_mean())
    falls = bool(len(signs)) and signs[0] < 0
    choice, kind, log_mean = family.at_frequency(0.0, **fixed), "none", log_never
    for protocol, where in candidates:
        value = float(np.real(protocol.trial(free).log_mean))
        # A mean that falls from rate zero on is beaten by its first minimum even if the two agree
        # to the last bit.
        if value < log_mean - noise or (falls and kind == "none" and value <= log_mean):
            choice, kind, log_mean = protocol, where, value
    pays = kind != "none"
    mean = float(choice.mean(free)) if pays else never
    return Optimum(choice, mean, never, pays, kind, _reason(free, never, pays))


def best_observed(sample: Observed, family: type[Protocol], **fixed: Any) -> Optimum:
    """Search a protocol family on a censored sample; what ``Observed.best`` calls.

    The mean is a sum over the runs, so it is evaluated on a grid of frequencies, refined around the
    smallest value (for fixed periods: at every arrival, where it jumps). The same grid on resampled
    runs gives the intervals.
    """
    if not (isinstance(family, type) and issubclass(family, Protocol)):
        raise DomainError("family", family, "a protocol class such as Geometric")
    arrivals = np.unique(sample.times[~sample.censored])
    arrivals = arrivals[arrivals > 0]
    if arrivals.size == 0:
        raise DomainError("times", sample.times, "positive for some run: resetting needs time")
    slowest, fastest = 1e-3 / sample.horizon, 1e2 / float(arrivals[0])
    grid = np.geomspace(slowest, fastest, int(12 * np.log10(fastest / slowest)) + 2)
    grid = grid[grid < family.most_frequent(**fixed)]

    def mean(frequency: Any) -> Any:
        return family.at_frequency(frequency, **fixed).mean(sample)

    values = np.asarray(mean(grid))
    place = int(np.argmin(values))
    if family.slope_of_samples:
        low, high = np.log(grid[max(place - 1, 0)]), np.log(grid[min(place + 1, grid.size - 1)])
        found = minimize_scalar(
            lambda x: float(mean(np.exp(x))),
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-10},
        )
        frequency = float(np.exp(found.x))
    else:
        jumps = 1.0 / np.nextafter(arrivals, np.inf)
        frequency = float(jumps[np.argmin(mean(jumps))])
    choice = family.at_frequency(frequency, **fixed)
    value = float(choice.mean(sample))
    determined = sample.tail == 0
    never = float(np.asarray(sample.restricted_mean(sample.horizon)))
    if determined:
        never = float(sample.mean())
    pays = value < never
    early, late = sample._bootstrap(family.at_frequency(grid, **fixed), 400, 0)
    edges = np.array([0.025, 0.975])
    interval = (
        float(np.quantile(early.min(axis=0), edges[0], method="inverted_cdf")),
        float(np.quantile(late.min(axis=0), edges[1], method="inverted_cdf")),
    )
    extremes = np.quantile(grid[late.argmin(axis=0)], edges)
    ends = np.sort(np.asarray(family.at_frequency(extremes, **fixed).value))
    if determined:
        cv = float(sample.cv())
        clause = f"CV {cv:.4g} {'>' if cv > 1 else '<='} 1"
    else:
        clause = (
            f"the reset-free mean is at least {never:.6g}: {sample.tail:.1%} of the runs had not"
            f" arrived by {sample.horizon:g}"
        )
    if not pays:
        choice, value = family.at_frequency(0.0, **fixed), never
        clause += ", and no member of this family does better"
    kind = "interior" if pays else "none"
    return Optimum(
        choice,
        value,
        never,
        pays,
        kind,
        clause,
        interval=interval if pays else None,
        parameter_interval=(float(ends[0]), float(ends[1])) if pays else None,
    )


def _reason(free: PassageTime, never: float, pays: bool) -> str:
    """Why resetting pays or does not."""
    if np.isinf(never):
        chance = float(free.laplace(0.0))
        if chance < 1.0:
            return f"reset-free mean is infinite: it arrives with probability {chance:.6g} only"
        return "reset-free mean is infinite"
    cv = float(free.cv())
    if not pays:
        return (
            f"CV {cv:.6g} <= 1 and no finite rate does better"
            if cv <= 1
            else (f"CV {cv:.6g} > 1 but no member of this family does better")
        )
    if cv > 1:
        return f"CV {cv:.6g} > 1"
    return f"a finite rate pays although CV {cv:.6g} <= 1"
