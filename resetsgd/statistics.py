"""Comparing two passage times, and many comparisons at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError

if TYPE_CHECKING:
    from resetsgd.passage.base import PassageTime

__all__ = ["Comparison", "compare", "family_verdict", "holm"]

Status = Literal["holds", "fails", "underpowered"]
_POWER = 0.9


@dataclass(frozen=True)
class Comparison:
    """Outcome of :func:`compare`.

    Attributes
    ----------
    z : float
        Difference of the means in standard errors.
    p : float
        Two-sided probability of a difference at least as large if the means agree.
    verdict : {"holds", "fails", "underpowered"}
        ``holds``: no difference is seen, and one of the relevant size would have been.
    difference, stderr : float
        First mean minus second, and its standard error, time.
    resolution : float
        The relative difference that would have been seen with 90 % probability.
    horizon : float
        ``inf`` where means were compared; else the time to which both were restricted.
    """

    z: float
    p: float
    verdict: Status
    difference: float
    stderr: float
    resolution: float
    horizon: float

    def __str__(self) -> str:
        what = "means" if np.isinf(self.horizon) else f"means restricted to {self.horizon:g}"
        return (
            f"{self.verdict}: {what} differ by {self.difference:.4g} ± {self.stderr:.2g}"
            f" (z = {self.z:.2f}, p = {self.p:.2g}; a difference of {self.resolution:.1%} would"
            " have been seen)"
        )


def compare(
    a: PassageTime, b: PassageTime, *, level: float = 0.99, relevant: float = 0.25
) -> Comparison:
    """Do two passage times have the same mean?

    Works on any two: theory against simulation, prediction against measurement. Where one of them
    is censored, both means are restricted to the common horizon, E[min(T, horizon)].

    Parameters
    ----------
    a, b : PassageTime
        At least one of them measured or simulated, that is, with a standard error.
    level : float, default 0.99
        Confidence of the test: equal means are called ``fails`` with probability 1 - level.
    relevant : float, default 0.25
        Relative difference of the means that matters; if one of this size would have been missed
        more than one time in ten, ``holds`` becomes ``underpowered``.

    Returns
    -------
    Comparison

    Raises
    ------
    DomainError
        If neither has a standard error, or one is an array of passage times.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=-1.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> compare(rs.observed(T.sample(10_000, seed=0)), T).verdict
    'holds'
    """
    from scipy import special

    level = float(np.asarray(domain.probability("level", level, zero=False, one=False)))
    relevant = float(np.asarray(domain.positive("relevant", relevant)))
    for name, passage in (("a", a), ("b", b)):
        if passage.shape:
            raise DomainError(name, passage, "one passage time, not an array of them")
    horizon = min(a.known_to, b.known_to)
    first, first_error = a.mean_and_stderr(horizon)
    second, second_error = b.mean_and_stderr(horizon)
    stderr = float(np.hypot(first_error, second_error))
    if stderr == 0:
        raise DomainError("a, b", "two exact laws", "at least one measured or simulated one")
    difference = first - second
    if not np.isfinite(difference):
        raise DomainError("a, b", (first, second), "of finite mean")
    z = difference / stderr
    bar = float(-special.ndtri((1.0 - level) / 2.0))
    resolution = (bar + float(special.ndtri(_POWER))) * stderr / abs(second)
    verdict: Status = "holds"
    if abs(z) > bar:
        verdict = "fails"
    elif resolution > relevant:
        verdict = "underpowered"
    p = float(2.0 * special.ndtr(-abs(z)))
    return Comparison(z, p, verdict, difference, stderr, resolution, horizon)


def holm(p: npt.ArrayLike) -> Array:
    """Holm's step-down correction: p-values valid for a whole family of tests.

    Parameters
    ----------
    p : array-like, shape (tests,)
        Single p-values.

    Returns
    -------
    ndarray, shape (tests,)
        A test is rejected at family-wise level alpha where its corrected p-value is below alpha.

    Notes
    -----
    **Source**: S. Holm, Scand. J. Statist. 6, 65 (1979). Valid under any dependence.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    single = np.atleast_1d(np.asarray(domain.probability("p", p)))
    order = np.argsort(single)
    stepped = single[order] * np.arange(single.size, 0, -1)
    corrected = np.empty_like(single)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return corrected


def family_verdict(
    z: npt.ArrayLike, resolution: npt.ArrayLike, *, level: float = 0.95, relevant: float = 0.25
) -> Status:
    """One verdict over many comparisons, family-wise at the given level.

    Parameters
    ----------
    z : array-like, shape (tests,)
        Differences in standard errors.
    resolution : array-like, shape (tests,)
        Relative difference each test would have seen.
    level : float, default 0.95
        Family-wise confidence (Holm).
    relevant : float, default 0.25
        Relative difference that matters.
    """
    from scipy import special

    scores = np.atleast_1d(np.asarray(domain.finite("z", z)))
    corrected = holm(2.0 * special.ndtr(-np.abs(scores)))
    if (corrected < 1.0 - level).any():
        return "fails"
    if (np.asarray(resolution) > relevant).any():
        return "underpowered"
    return "holds"
