"""The best member of a protocol family for a censored sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar

from resetsgd.errors import DomainError
from resetsgd.passage.optimum import Optimum
from resetsgd.protocols import Protocol

if TYPE_CHECKING:
    from resetsgd.passage.observed import Observed

__all__ = ["best_observed"]


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
    slowest = max(1e-3 / sample.horizon, 1e-306)
    fastest = 1e2 / max(float(arrivals[0]), 1e-304)
    decades = np.log10(fastest) - np.log10(slowest)
    grid = np.geomspace(slowest, fastest, int(12 * decades) + 2)
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
