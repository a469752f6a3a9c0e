"""``sweep``: mean passage times along a protocol's parameter, common random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.montecarlo.api import simulate
from resetsgd.montecarlo.plan import path_numbers
from resetsgd.protocols import Poisson, Protocol

__all__ = ["Sweep", "SweepBest", "sweep"]

MOST_VALUES = 4096
_PORTION = 2**22
"""Numbers that are kept at a time."""
_WITHIN = 2.0
"""The minimum is sought by a polynomial through the values within this factor of the lowest."""


@dataclass(frozen=True)
class SweepBest:
    """Where a swept mean is lowest; made by :meth:`Sweep.best`.

    Attributes
    ----------
    value, value_stderr : float
        The parameter there and its standard error; ``inf`` where the lowest mean is at an end.
    mean, mean_stderr : float
        The mean there and its standard error.
    at_edge : bool
        Whether the lowest mean is at an end of the grid, so that the minimum may lie beyond.
    """

    value: float
    value_stderr: float
    mean: float
    mean_stderr: float
    at_edge: bool


class Sweep:
    """Mean passage times along a grid; made by :func:`sweep` and :func:`~resetsgd.renewal_sweep`.

    Attributes
    ----------
    parameter : str
        Name of the protocol's parameter that varies.
    values : ndarray, shape (K,)
        Its values.
    means, stderr : ndarray, shape (K,)
        Mean passage times and their standard errors, time. The errors of different values are
        correlated: see ``covariance``.
    low : ndarray, shape (K,)
        Lower bounds of the means where paths were censored, the means themselves where not.
    censored : ndarray, shape (K,)
        Share of the paths that had not arrived.
    paths : int
        Number of paths.
    info : mapping
        How it was made.
    """

    def __init__(
        self,
        parameter: str,
        values: Array,
        means: Array,
        stderr: Array,
        low: Array,
        censored: Array,
        paths: int,
        info: Mapping[str, Any],
        covariance: Callable[[], Array],
    ) -> None:
        self.parameter, self.values, self.means, self.stderr = parameter, values, means, stderr
        self.low, self.censored, self.paths, self.info = low, censored, paths, dict(info)
        self._covariance = covariance

    def __repr__(self) -> str:
        return (
            f"Sweep({self.parameter} {self.values[0]:g} ... {self.values[-1]:g},"
            f" {self.values.size} values, {self.paths} paths)"
        )

    @cached_property
    def covariance(self) -> Array:
        """Covariance matrix of the means, shape (K, K)."""
        return self._covariance()

    def difference(self, i: int, j: int) -> tuple[float, float]:
        """Mean i minus mean j, and the standard error of the difference.

        Smaller than for independent runs, as both saw the same random numbers.
        """
        size = self.values.size
        i, j = domain.integer("i", i, 0, size - 1), domain.integer("j", j, 0, size - 1)
        c = self.covariance
        spread = math.sqrt(max(float(c[i, i] + c[j, j] - 2.0 * c[i, j]), 0.0))
        return float(self.means[i] - self.means[j]), spread

    def best(self) -> SweepBest:
        """The lowest mean, by a cubic in the logarithm of the parameter around the lowest value.

        Errors are those of the means, carried through the fit with their correlations. The fit
        takes the values within a factor two of the lowest, at least five; its own error is below a
        thousandth of the curve's height above the minimum there for grids of five values or more
        in a factor four.

        Raises
        ------
        DomainError
            If there are fewer than five positive values.
        """
        positive = self.values > 0
        if positive.sum() < 5:
            raise DomainError("values", self.values, "at least five positive ones")
        x = np.log(np.where(positive, self.values, 1.0))
        usable = positive & np.isfinite(self.means) & np.isfinite(self.stderr)
        lowest = int(np.nanargmin(np.where(usable, self.means, np.inf)))
        inside = usable & (np.abs(x - x[lowest]) <= math.log(_WITHIN))
        if inside.sum() < 5:
            order = np.argsort(np.where(usable, np.abs(x - x[lowest]), np.inf))
            inside = np.zeros_like(inside)
            inside[order[:5]] = True
        u = x[inside] - x[lowest]
        powers = np.vander(u, 4, increasing=True)
        fit = np.linalg.pinv(powers)
        c = fit @ self.means[inside]
        spread = fit @ self.covariance[np.ix_(inside, inside)] @ fit.T
        at = _turn(c, float(u.min()), float(u.max()))
        if at is None:
            end = float(self.stderr[lowest])
            return SweepBest(
                float(self.values[lowest]), math.inf, float(self.means[lowest]), end, True
            )
        slope = np.array([0.0, 1.0, 2.0 * at, 3.0 * at * at])
        height = at ** np.arange(4.0)
        bend = 2.0 * c[2] + 6.0 * c[3] * at
        value = math.exp(x[lowest] + at)
        return SweepBest(
            value,
            value * math.sqrt(max(float(slope @ spread @ slope), 0.0)) / float(bend),
            float(height @ c),
            math.sqrt(max(float(height @ spread @ height), 0.0)),
            False,
        )


def _turn(c: Array, low: float, high: float) -> float | None:
    """Where a cubic has its minimum between two ends."""
    roots = np.roots(np.array([3.0 * c[3], 2.0 * c[2], c[1]]))
    for root in np.real(roots[np.abs(np.imag(roots)) < 1e-12]):
        if low < root < high and 2.0 * c[2] + 6.0 * c[3] * root > 0.0:
            return float(root)
    return None


def sweep(
    process: Any,
    start: Any,
    target: Any,
    *,
    protocol: type[Protocol] = Poisson,
    rates: Any = None,
    values: Any = None,
    fixed: Mapping[str, Any] | None = None,
    paths: int | range = 10_000,
    seed: int = 0,
    step: float | None = None,
    **options: Any,
) -> Sweep:
    """Simulate a process under every member of a protocol family on common random numbers.

    Path k sees the same noise and the same (scaled) waiting times at every value, so that
    differences along the curve, and with them the best value, are known better than the means.

    Parameters
    ----------
    process, start, target
        As in :func:`resetsgd.simulate`.
    protocol : Protocol subclass, default Poisson
        Its ``parameter`` varies: the rate of ``Poisson``, the period of ``Sharp``.
    rates : array-like, shape (K,), optional
        Values of the rate.
    values : array-like, shape (K,), optional
        Values of the parameter, whatever its name; give one of the two. Rising.
    fixed : mapping, optional
        The family's other parameters, for example ``{"stages": 2.0}`` of ``Gamma``.
    paths : int or range, default 10000
        As in :func:`resetsgd.simulate`; at least 2.
    seed : int, default 0
        Common to all values.
    step : float, optional
        Common to all values, as the noise is; default: the shortest of their defaults.
    **options
        Further arguments of :func:`resetsgd.simulate`, for example ``horizon``. With a horizon
        paths may be censored; the means are then restricted to it, and lower bounds.

    Returns
    -------
    Sweep

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Notes
    -----
    **Source**: common random numbers as in P. Glasserman, D. D. Yao, Management Sci. 38 (1992) 884.

    Examples
    --------
    >>> import numpy as np
    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
    >>> swept = sweep(walk, 1.0, 0.0, rates=np.geomspace(1.0, 6.0, 9), paths=20_000)
    >>> best = swept.best()
    >>> abs(best.value - 2.5396) < 4 * best.value_stderr
    True
    """
    if not (isinstance(protocol, type) and issubclass(protocol, Protocol)):
        raise DomainError("protocol", protocol, "a protocol class such as Poisson")
    if (rates is None) == (values is None):
        raise DomainError("rates", rates, "given, or values instead")
    if rates is not None and protocol.parameter != "rate":
        allowed = f"left out: give values= of the {protocol.parameter} of {protocol.__name__}"
        raise DomainError("rates", rates, allowed)
    name = "values" if rates is None else "rates"
    grid = np.atleast_1d(np.asarray(domain.nonnegative(name, values if rates is None else rates)))
    if grid.ndim != 1 or not 1 <= grid.size <= MOST_VALUES or (np.diff(grid) <= 0).any():
        raise DomainError(name, grid.shape, f"a rising sequence of at most {MOST_VALUES} values")
    others = dict(fixed or {})
    known = {item.name for item in fields(protocol)} - {protocol.parameter}
    for key in others:
        if key not in known:
            raise DomainError("fixed", key, f"among {', '.join(sorted(known))}")
    for key in ("protocol", "bias"):
        if key in options:
            raise DomainError(key, options[key], "left out in a sweep")
    members = [protocol(**{protocol.parameter: float(value), **others}) for value in grid]
    first, count = path_numbers(paths)
    if count < 2:
        raise DomainError("paths", paths, "at least 2")
    horizon = options.get("horizon")
    if step is None:
        few = range(first, first + min(count, 16))
        steps = [
            simulate(process, start, target, member, paths=few, seed=seed, **options).info["step"]
            for member in (members[0], members[-1])
        ]
        step = None if None in steps else min(steps)

    portion = max(_PORTION // grid.size, 2)
    moments = _Moments(grid.size)
    missing = np.zeros(grid.size)
    made = 0
    for at in range(first, first + count, portion):
        part = range(at, min(at + portion, first + count))
        table = np.empty((grid.size, len(part)))
        for row, member in enumerate(members):
            S = simulate(
                process, start, target, member, paths=part, seed=seed, step=step, **options
            )
            if S.info["interrupted"]:
                raise KeyboardInterrupt
            table[row] = S.times
            missing[row] += int(S.censored.sum())
        moments.add(table)
        made += len(part)
    matrix = moments.covariance / made
    info = {
        "method": "simulated", "process": repr(process), "protocol": protocol.__name__,
        "fixed": others, "step": step, "seed": int(seed), "horizon": horizon,
    }  # fmt: skip
    return Sweep(
        protocol.parameter, grid, moments.mean, np.sqrt(np.diag(matrix)), moments.mean,
        missing / made, made, info, lambda: matrix,
    )  # fmt: skip


class _Moments:
    """Means and covariance of columns that come in portions."""

    def __init__(self, size: int) -> None:
        self.count, self.mean, self.products = 0, np.zeros(size), np.zeros((size, size))

    def add(self, table: Array) -> None:
        """Take in a portion of shape (size, paths)."""
        n = table.shape[1]
        mean = table.mean(axis=1)
        off = table - mean[:, None]
        shift = mean - self.mean
        total = self.count + n
        self.products += off @ off.T + np.outer(shift, shift) * (self.count * n / total)
        self.mean = self.mean + shift * (n / total)
        self.count = total

    @property
    def covariance(self) -> Array:
        """Covariance matrix of one path's times."""
        return self.products / max(self.count - 1, 1)
