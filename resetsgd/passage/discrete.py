"""Passage times in whole steps, given by their generating function or their probabilities."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError
from resetsgd.passage.lattice_law import Generate, Law
from resetsgd.passage.lattice_time import LatticeTime

__all__ = ["Discrete"]


class Discrete(LatticeTime):
    r"""A passage time in whole steps, T = N * step with N = 1, 2, ...

    Parameters
    ----------
    generating : callable, optional
        :math:`G(z) = E[z^N]` for arrays of complex z with \|z\| <= 1, analytic also beyond, off the
        real axis from 1 on. Probability to arrive: G(1).
    law : array-like, shape (n,), optional
        P(N = 1), P(N = 2), ..., P(N = n); what is missing to 1 never arrives. One of the two.
    tail : float, default 0
        Ratio of a geometric series by which ``law`` goes on: P(N = n + k) = P(N = n) tail^k. In
        [0, 1).
    step : float, default 1
        Time of one step.

    Raises
    ------
    DomainError
        If neither or both are given, a probability is negative, or they exceed 1 together.

    Notes
    -----
    From a ``law`` everything is exact to rounding. From a ``generating`` function, 1 - G next to
    z = 1 comes from a Taylor series of (1 - G)/(1 - z), whose coefficients are Cauchy integrals;
    where there is none (a singularity at z = 1) the mean is taken to be infinite, and 1 - G is a
    difference that raises ``NotConverged`` once it has lost its digits.

    The law has atoms: ``survival`` is a right-continuous step function, ``pmf`` replaces the
    density, and under ``Geometric`` coins at the steps see their order: with q = 1 - p the mean
    is (1 - G(q))/(p G(q)) for move-coin-look and q times that for move-look-coin.

    **Source**: L. Kusmierz et al., PRL 113, 220602 (2014). Derived in
    ``theory/14_finite_learning_rate.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = Discrete(law=[0.5, 0.0, 0.0, 0.0, 0.5])
    >>> T.mean(), T.survival(1.0), T.pmf(5)
    (3.0, 0.5, 0.5)
    >>> [
    ...     round(T.under(rs.Geometric(0.2, order=order)).mean(), 6)
    ...     for order in ("move-look-coin", "move-coin-look")
    ... ]
    [3.094211, 3.867764]
    """

    def __init__(
        self,
        generating: Callable[[Any], Any] | None = None,
        *,
        law: npt.ArrayLike | None = None,
        tail: float = 0.0,
        step: float = 1.0,
    ) -> None:
        super().__init__(step)
        if (generating is None) == (law is None):
            raise DomainError("law", law, "given instead of a generating function, or the reverse")
        self._function = generating
        self._ratio = float(np.asarray(domain.within("tail", tail, 0.0, 1.0, open_high=True)))
        self._mass = np.zeros(0)
        if law is not None:
            mass = np.atleast_1d(np.asarray(domain.nonnegative("law", law)))
            if mass.ndim != 1 or mass.size == 0:
                raise DomainError("law", mass.shape, "a non-empty array of shape (n,)")
            self._mass = mass
            total = float(mass.sum() + mass[-1] * self._ratio / (1.0 - self._ratio))
            if not total <= 1.0 + 1e-12:
                raise DomainError("law", total, "probabilities that do not exceed 1 together")
            self._never = max(0.0, 1.0 - total) if total < 1.0 - 1e-12 else 0.0

    def __repr__(self) -> str:
        if self._function is not None:
            return f"Discrete({self._function!r}, step={self.step})"
        return f"Discrete({self._mass.size} probabilities, step={self.step})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Always (): one passage time."""
        return ()

    def _certain(self) -> tuple[bool, bool]:
        if self._function is None:
            return self._never == 0.0, True
        with np.errstate(all="ignore"):
            missing = abs(1.0 - complex(self._function(np.asarray(1.0 + 0j))).real)
        return missing < 1e-12, self._taylor is not None

    @cached_property
    def _taylor(self) -> tuple[float, Array] | None:
        """A radius, and the coefficients of (1 - G)/(1 - z) in u / radius, if it is analytic."""
        angles = 2 * np.pi * np.arange(64) / 64
        for power in range(1, 40):
            radius = 0.5**power
            u = radius * np.exp(1j * angles)
            with np.errstate(all="ignore"):
                values = (1.0 - self._function(np.exp(-u))) / -np.expm1(-u)  # type: ignore[misc]
            if not np.isfinite(values).all():
                continue
            series = np.fft.fft(values) / 64
            if np.abs(series[24:]).max() < 1e-12 * np.abs(series[0]):
                return radius, series[:24].real
        return None

    @cached_property
    def _table(self) -> Law:
        return (
            super()._table
            if self._function is not None
            else _Listed(self._generate, self._mass, self._ratio)
        )

    def _generate(self, u: Array) -> tuple[Array, Array, Array]:
        with np.errstate(all="ignore"):
            if self._function is not None:
                value = np.asarray(self._function(np.exp(-u)))
                value = value if np.iscomplexobj(u) else value.real
                minus = np.asarray(1.0 - value)
                error = 1e-16 / np.abs(minus)
                if self._taylor is not None and self._certain()[0]:
                    radius, series = self._taylor
                    near = np.abs(u) < 0.25 * radius
                    rise = np.polynomial.polynomial.polyval(np.where(near, u / radius, 0.0), series)
                    minus = np.where(near, rise * -np.expm1(-u), minus)
                    error = np.where(near, 1e-14, error)
                return np.log(value)[:, None], minus[:, None], error[:, None]
            n = np.arange(1, self._mass.size + 1)
            last, ratio = float(self._mass[-1]), self._ratio
            value = np.empty(u.shape, dtype=u.dtype)
            minus = np.empty(u.shape, dtype=u.dtype)
            for i, point in enumerate(u):
                waves = -np.expm1(-point * n)
                value[i] = np.sum(self._mass * np.exp(-point * (n - 1)))
                minus[i] = np.sum(self._mass * waves)
            if ratio > 0:
                # the rest is last ratio z^(n+1)/(1 - ratio z)
                z = np.exp(-u)
                inner = last * ratio / (1.0 - ratio * z)
                value = value + inner * np.exp(-u * n[-1])
                whole = last * ratio / (1.0 - ratio)
                minus = minus + whole * (
                    -np.expm1(-u * (n[-1] + 1)) * (1 - ratio) - ratio * np.expm1(-u)
                ) / (1.0 - ratio * z)
            minus = minus + self._never
            return (np.log(value) - u)[:, None], minus[:, None], np.zeros((len(u), 1))


class _Listed(Law):
    """The law that is listed, and goes on as a geometric series.

    Parameters
    ----------
    generate : callable
        The same law by its generating function, see ``Law``.
    mass : ndarray, shape (n,)
        P(N = 1), ..., P(N = n).
    ratio : float
        Of what follows.
    """

    def __init__(self, generate: Generate, mass: Array, ratio: float) -> None:
        super().__init__(generate, 1)
        self._mass, self._ratio = mass, ratio
        self._rest = float(mass[-1]) * ratio / (1.0 - ratio)
        arrived = np.concatenate([[0.0], np.cumsum(mass)])
        never = max(0.0, 1.0 - arrived[-1] - self._rest)
        self._never = never if never > 1e-12 else 0.0
        later = np.concatenate([np.cumsum(mass[::-1])[::-1], [0.0]])
        self._late, self._arrived = later + self._rest + self._never, arrived
        self._late[0] = 1.0

    def _split(self, n: Array) -> tuple[Any, Any]:
        """The entry of the list, and the steps beyond it."""
        n = np.asarray(n, dtype=np.float64)
        return np.minimum(n, self._mass.size).astype(int), np.maximum(n - self._mass.size, 0.0)

    def survival(self, n: Array, which: Any) -> Array:
        """P(N > n)."""
        place, beyond = self._split(n)
        late = self._late[place] - self._rest * (1.0 - self._ratio**beyond)
        return np.asarray(late)

    def log_arrived(self, n: Array, which: Any) -> Array:
        """log P(N <= n)."""
        place, beyond = self._split(n)
        with np.errstate(divide="ignore"):
            late = self._rest * (1.0 - self._ratio**beyond)
            return np.asarray(np.log(self._arrived[place] + late))

    def partial_sum(self, n: Array, which: Any) -> Array:
        """Sum of P(N > m) over 0 <= m < n."""
        place, beyond = self._split(n)
        sums = np.concatenate([[0.0], np.cumsum(self._late[:-1])])
        rest = self._rest * (1.0 - self._ratio**beyond) / (1.0 - self._ratio)
        return np.asarray(sums[place] + rest + self._never * beyond)
