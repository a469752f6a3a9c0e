"""The mean passage time at all reset rates from one batch of reset-free passage times.

Under Poisson resets of rate r the mean is (1 - L) / (r L), where L = E[exp(-r T)] is the Laplace
transform of the *reset-free* passage time: one reset-free sample answers for every rate at once.
This is the statistic of ``rs.observed(times).under(rs.Poisson(rates)).mean()``, by a fast
transform (``kernels/transform.py``), with its errors and their correlations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array
from resetsgd.errors import CensoredMean, DomainError
from resetsgd.montecarlo.kernels import transform
from resetsgd.montecarlo.sweep import Sweep
from resetsgd.passage.observed import Observed

__all__ = ["renewal_sweep"]

_NEAR_ZERO = 1e-5
_MOST = 1e290
_NONE = np.zeros(0)


@dataclass(frozen=True)
class _Transform:
    """The sample's transform, ready for any rates up to a fastest one."""

    begin: float
    centres: Array
    halves: Array
    moments: Array

    @classmethod
    def of(cls, times: Array, weights: Array, fastest: float) -> _Transform:
        begin, end = float(times.min()), float(times.max())
        scale = max(fastest, 1.0 / max(end - begin, 1e-300))
        reach = max((end - begin) * scale, 1.0)
        cells = transform.LINEAR + 1
        if reach > 2.0 * transform.LINEAR:
            over = math.log(reach / (2.0 * transform.LINEAR)) / math.log(transform.GROWTH)
            cells += int(over) + 1
        made = cls(begin, np.empty(cells), np.empty(cells), np.zeros((cells, transform.MOMENTS)))
        transform.gathered(
            times, weights, begin, scale, cells, made.centres, made.halves, made.moments
        )
        return made

    def at(self, rates: Array) -> tuple[Array, Array]:
        """Sums of exp(-r (t - begin)) and of (1 - exp(-r t)) / r."""
        decayed, spent = np.empty(rates.size), np.empty(rates.size)
        transform.transforms(
            np.ascontiguousarray(rates, dtype=np.float64), self.begin, self.centres, self.halves,
            self.moments, decayed, spent,
        )  # fmt: skip
        return decayed, spent


@QUIET
def renewal_sweep(passage: Any, rates: Any) -> Sweep:
    r"""Mean passage time under Poisson resets at all rates, from reset-free passage times.

    Parameters
    ----------
    passage : Observed, Simulated or array-like of shape (runs,)
        Reset-free passage times. Runs that had not arrived at a common horizon may be censored;
        other patterns of censoring are weighted by Kaplan and Meier.
    rates : array-like, shape (K,)
        Reset rates, 1/time, not negative, rising.

    Returns
    -------
    Sweep
        Means, standard errors and their covariance. With censored runs the means let these never
        arrive, which cannot be too optimistic, and ``low`` lets them arrive at the horizon at once.

    Raises
    ------
    DomainError
        If the times were simulated under resets, or a rate is negative or not rising.
    CensoredMean
        At rate 0, if runs were censored.

    Notes
    -----
    With :math:`\tilde f(r) = E[e^{-rT}]`, the mean is :math:`(1 - \tilde f) / (r \tilde f)`. By the
    delta method two estimates at the rates r and s from n runs have the covariance
    :math:`(\tilde f(r+s) / \tilde f(r) \tilde f(s) - 1) / (n\, r s \tilde f(r) \tilde f(s))`. It
    needs the transform at sums of rates only. For Kaplan–Meier weights Greenwood's formula takes
    its place.

    **Accuracy**: the sums are exact to 1e-13 of their value at any rate. Standard errors are
    asymptotic: at rates where the arrival within 1/r is so rare that fewer than some hundred runs
    count they are too small; ``info["effective_runs"]`` says how many do, and a sum that is empty
    gives an infinite mean. The covariance at rates below 1e-5 over the rms time is that at this
    rate, which differs by as little.

    **Source**: the mean is S. Reuveni, PRL 116, 170601 (2016), eq. 5 for exponential resets;
    J. P. Klein and M. L. Moeschberger, Survival Analysis (2003), 4.5 for Greenwood.

    Examples
    --------
    >>> import numpy as np
    >>> import resetsgd as rs
    >>> walk = rs.DriftDiffusion(drift=-0.5, diffusivity=1.0)
    >>> S = rs.simulate(walk, 1.0, 0.0, paths=100_000)
    >>> swept = renewal_sweep(S, np.linspace(0.1, 5.0, 50))
    >>> exact = rs.first_passage(walk, 1.0, 0.0).under(rs.Poisson(swept.values)).mean()
    >>> bool((abs(swept.means - exact) < 5 * swept.stderr).all())
    True
    """
    sample = passage if isinstance(passage, Observed) else Observed(passage)
    protocol = getattr(sample, "info", {}).get("protocol", "None")
    if protocol != "None":
        raise DomainError("passage", protocol, "reset-free: simulated without a protocol")
    given = np.atleast_1d(np.asarray(domain.nonnegative("rates", rates), dtype=np.float64))
    if given.ndim != 1 or given.size == 0 or (np.diff(given) <= 0).any():
        raise DomainError("rates", np.shape(rates), "a rising sequence of rates")
    longest, fastest = float(sample.times.max()), float(given[-1])
    if not max(longest, fastest) <= _MOST or not longest * fastest <= _MOST:
        raise DomainError(
            "rates", fastest, f"so that times, rates and products are below {_MOST:g}"
        )
    arrived = ~sample.censored
    horizon, runs = sample.horizon, sample.runs
    single = bool(arrived.all()) or bool(
        sample.times[arrived].max() <= sample.times[sample.censored].min()
    )
    if single:
        times, weights, scale = sample.times[arrived], _NONE, 1.0 / runs
        tail = 1.0 - times.size / runs
    else:
        inside = sample._mass > 0
        times, weights = sample._at[inside], np.ascontiguousarray(sample._mass[inside])
        scale, tail = 1.0, sample.tail
    if given[0] == 0.0 and tail > 0:
        raise CensoredMean(
            f"the mean without resets is not determined: {tail:.1%} of {runs} runs had not arrived"
            f" by the horizon {horizon:g}; leave out the rate 0"
        )
    # Counting times from the shortest needs sums of rates for the covariance: twice the fastest.
    made = _Transform.of(np.ascontiguousarray(times), weights, 2.0 * fastest)
    decayed, spent = (scale * part for part in made.at(given))
    log_success = np.log(decayed) - given * made.begin
    late = tail / np.where(given > 0, given, 1.0)
    means = np.exp(np.log(spent + late) - log_success)
    low = means
    if tail > 0:
        at_once = np.exp(log_success) + tail * np.exp(-given * horizon)
        low = (spent - tail * np.expm1(-given * horizon) / given) / at_once

    @QUIET
    def covariance(pick: Any, other: Any) -> Array:
        """Of the means at pairs of rates, by their indices."""
        if not single:
            whole = _greenwood(sample, given, means, log_success)
            return np.asarray(whole[pick, other], dtype=np.float64)
        rms = math.sqrt(float(np.mean(np.square(times))))
        small = 0.0 if tail > 0 else _NEAR_ZERO / max(rms, 1e-300)
        safe = np.maximum(given, small)
        alone = scale * made.at(safe)[0]
        sums = np.asarray(safe[pick] + safe[other])
        distinct, place = np.unique(sums, return_inverse=True)
        both = scale * made.at(distinct)[0][place.reshape(sums.shape)]
        gap = both / (alone[pick] * alone[other]) - 1.0
        size = np.exp(-log_success[pick] - log_success[other]) / (safe[pick] * safe[other])
        found = np.where(pick == other, np.maximum(gap, 0.0), gap) * size
        return np.asarray(np.where(np.isfinite(found), found, np.inf) / max(runs - 1, 1))

    every = np.arange(given.size)
    stderr = np.sqrt(covariance(every, every))
    # Runs that carry the estimate: (sum of weights)^2 over the sum of their squares.
    effective = decayed**2 * runs / np.maximum(scale * made.at(2.0 * given)[0], 1e-300)
    info = {
        "method": "renewal",
        "passage": repr(sample),
        "effective_runs": effective,
        "horizon": None if tail == 0 else horizon,
    }
    share = np.full(given.size, tail)
    return Sweep(
        "rate", given, means, stderr, low, share, runs, info,
        lambda: covariance(every[:, None], every[None, :]),
    )  # fmt: skip


def _greenwood(sample: Observed, rates: Array, means: Array, log_success: Array) -> Array:
    """Covariance matrix of the means for Kaplan–Meier weights.

    The mean is D / (1 - r D) with D the integral of exp(-r t) times the survival, whose covariance
    is Greenwood's sum over the times of arrival.
    """
    at, arrivals, losses = sample._counts
    survival = sample._law[1]
    at_risk = np.cumsum((arrivals + losses)[::-1])[::-1]
    spare = at_risk - arrivals
    weight = arrivals / (at_risk * np.where(spare > 0, spare, np.inf))
    after = np.empty((rates.size, at.size))
    for k, rate in enumerate(rates):
        if rate > 0:
            decay = np.append(np.exp(-rate * at), 0.0)  # the tail never arrives
            pieces = survival * (decay[:-1] - decay[1:]) / rate
        else:
            pieces = survival * np.append(np.diff(at), 0.0)
        after[k] = np.cumsum(pieces[::-1])[::-1]
    kernel = (after * weight) @ after.T
    slope = np.exp(-2.0 * log_success)  # dM/dD = 1 / (1 - r D)^2
    return np.asarray(kernel * slope[:, None] * slope[None, :])
