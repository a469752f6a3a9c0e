"""Linear regression whose training is reset: its long-run risk, and the best rate of resets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd.domain import QUIET, Array
from resetsgd.passage.arrangements import exp_excess
from resetsgd.sgd.minima import Minimum, minima

if TYPE_CHECKING:
    from resetsgd.sgd.regression import Regression

__all__ = ["ResetAdvice", "best_rate", "poisson_risk", "sharp_risk"]

_STEP = 1e-30
"""Relative complex step of derivatives: far below rounding, far above underflow."""


@dataclass(frozen=True)
class ResetAdvice:
    """Whether to reset to a checkpoint, and how often.

    Attributes
    ----------
    checkpoint_time : float
        Time at which the checkpoint was saved.
    rate : float
        Best Poisson rate, 1/time. 0: train on; ``inf``: stop at the checkpoint.
    risk : float
        Long-run risk at this rate.
    risk_without : float
        Long-run risk of training that is never reset.
    risk_at_checkpoint : float
        Risk of the checkpoint itself.
    risk_of_stopping : float
        Smallest risk along the reset-free curve: what perfect early stopping gives.
    pays : bool
        Whether resets give a smaller long-run risk than none.
    reason : str
        Why.
    local_minima : tuple of (rate, risk)
        All local minima, the best first.
    """

    checkpoint_time: float
    rate: float
    risk: float
    risk_without: float
    risk_at_checkpoint: float
    risk_of_stopping: float
    pays: bool
    reason: str
    local_minima: tuple[Minimum, ...]


@QUIET
def poisson_risk(flow: Regression, rate: Any, left: Any, picked: Any) -> Any:
    """Long-run risk at Poisson rates, of shape (..., 1), from a checkpoint."""
    slow, drive = flow.eigenvalues, flow._drive
    start = flow.signal * left
    share = rate / (rate + 2.0 * slow)
    if flow._full is None:
        bias = np.sum(flow._weight * start**2 * share, axis=-1)
    else:
        pairs = rate[..., None] / (rate[..., None] + np.add.outer(slow, slow))
        bias = np.sum(flow._full * np.outer(start, start) * pairs, axis=(-2, -1))
    # lambda E[phi²]: its mean squared, and its variance over the ages
    mean = (1.0 + rate * picked) / (rate + slow)
    spread = (left / (rate + slow)) ** 2 * share
    noise = np.where(slow > 0, slow * (mean**2 + spread), 0.0)
    return bias + drive * np.sum(flow._weight * noise, axis=-1)


@QUIET
def sharp_risk(flow: Regression, period: Any, left: Any, picked: Any) -> Any:
    """Time averages over a period: E[exp(-2 lambda u)] and the like in closed form."""
    rate, x = flow.eigenvalues, flow.eigenvalues * period
    endless = np.isinf(period) & (rate > 0)
    safe = np.where((x > 0) & np.isfinite(x), x, 1.0)

    def short(y: Any) -> Any:
        """1 - (1 - exp(-y))/y, the mean of 1 - exp(-lambda u)."""
        return exp_excess(y) / y

    first = np.where(x > 0, np.where(endless, 1.0, short(safe)), 0.0)
    twice = np.where(x > 0, np.where(endless, 1.0, short(2.0 * safe)), 0.0)
    square = np.where(x < 0.3, _second(np.minimum(x, 0.3)), 2.0 * first - twice)
    bias = np.sum(flow._weight * (flow.signal * left) ** 2 * (1.0 - twice), axis=-1)
    risen = np.where(rate > 0, rate * picked, 0.0)
    noise = risen**2 + 2.0 * risen * left * first + left**2 * square
    noise = np.where(rate > 0, noise / np.where(rate > 0, rate, 1.0), 0.0)
    return bias + flow._drive * np.sum(flow._weight * noise, axis=-1)


def best_rate(flow: Regression, at: Array) -> ResetAdvice:
    """The Poisson rate of resets to the weights at a time with the smallest long-run risk."""
    left, picked = (a for a in flow._left(at, None))
    slow, fast = flow._scales()
    here, end = float(np.asarray(flow.risk(at))), float(np.asarray(flow.risk(np.inf)))

    def risk(r: Array) -> Array:
        r = np.asarray(r, dtype=np.float64)[..., None]
        value = poisson_risk(flow, np.where((r > 0) & np.isfinite(r), r, 1.0), left, picked)
        r = r[..., 0]
        return np.asarray(np.where(r > 0, np.where(np.isinf(r), here, value), end))

    def slope(r: Array) -> Array:
        r = np.asarray(r, dtype=np.float64)[..., None]
        with np.errstate(all="ignore"):
            bent = poisson_risk(flow, r * (1.0 + 1j * _STEP), left, picked)
            return np.asarray(bent.imag / _STEP / r[..., 0])

    found = minima(risk, slope, 1e-6 * slow, 1e6 * fast, np.inf)
    best = found[0]
    pays = best.loss < end
    if not pays:
        reason = "no resets do better than none: the checkpoint is too early"
    elif np.isinf(best.at):
        reason = "stopping at the checkpoint is best: it is at or after the optimum"
    else:
        reason = "resets keep training near the optimum"
    return ResetAdvice(
        checkpoint_time=float(at),
        rate=best.at,
        risk=best.loss,
        risk_without=end,
        risk_at_checkpoint=here,
        risk_of_stopping=flow.best_checkpoint().loss,
        pays=pays,
        reason=reason,
        local_minima=tuple(found),
    )


def _second(x: Any) -> Any:
    """Mean of (1 - exp(-x w))² over w in (0, 1), by its series, for x up to 0.3."""
    total: Any = np.zeros_like(x)
    term: Any = np.ones_like(x)
    # 2 m(x) - m(2x), m(x) = sum (-1)^(k+1) x^k/(k+1)!: coefficients (-1)^(k+1) (2 - 2^k)/(k+1)!
    for k in range(1, 20):
        term = term * x / (k + 1)
        total = total + (-1.0) ** (k + 1) * (2.0 - 2.0**k) * term
    return total
