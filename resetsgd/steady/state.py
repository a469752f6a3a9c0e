"""A state: a position as a random variable, here as a mixture over ages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.citations import bibtex
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.steady.ages import Ages
from resetsgd.steady.propagator import Propagator

__all__ = ["Mixture", "Part", "State", "Stationary"]

_NODES, _WEIGHTS = (np.asarray(a) for a in special.roots_legendre(20))


class State(ABC):
    """Where it sits: a random position.

    Attributes
    ----------
    shape : tuple of int
        Shape of the parameters it was made of; ``()`` for scalars.
    reset_to : float or ndarray
        Where resets lead, length.
    atom : float or ndarray
        Probability to sit at the reset point itself, which ``density`` leaves out: positive only
        where the process is seen right after a coin, or at time 0.
    """

    sources: ClassVar[tuple[str, ...]] = ("evans2020",)
    """Keys of ``resetsgd.citations``: where the formulas come from."""
    derivation: ClassVar[str] = "theory/11_stationary_states.py"
    """The script that derives the formulas."""

    made_by: str = ""
    """What made it, as it is written; nothing for states made by hand."""

    shape: tuple[int, ...]
    reset_to: Real

    def __repr__(self) -> str:
        return self.made_by or f"{type(self).__name__}(reset_to={self.reset_to!r})"

    @property
    def atom(self) -> Real:
        """Probability to sit at the reset point itself."""
        return domain.plain(np.array(self._atom()))

    def _atom(self) -> Any:
        return np.zeros(self.shape)

    @abstractmethod
    def mean(self) -> Real:
        """Mean position, length."""

    @abstractmethod
    def var(self) -> Real:
        """Variance, length²."""

    @abstractmethod
    def _density(self, x: Array) -> Any:
        """Density at finite x."""

    @abstractmethod
    def _cdf(self, x: Array) -> Any:
        """P(X <= x)."""

    @abstractmethod
    def _survival(self, x: Array) -> Any:
        """P(X > x)."""

    @abstractmethod
    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Independent draws, shape (n,) + shape."""

    def std(self) -> Real:
        """Standard deviation, length."""
        return domain.plain(np.sqrt(self.var()))

    def cite(self) -> str:
        """BibTeX of the works that the formulas come from."""
        return bibtex(self.sources)

    def _place(self, x: RealLike) -> Array:
        place = np.asarray(domain.finite("x", x))
        domain.broadcast(x=place, parameters=np.empty(self.shape))
        return place

    @QUIET
    def density(self, x: RealLike) -> Real:
        """Probability density at x, 1/length, without the ``atom``.

        Parameters
        ----------
        x : float or array
            Position, length; broadcasts against the parameters.
        """
        return domain.plain(np.maximum(self._density(self._place(x)), 0.0))

    @QUIET
    def cdf(self, x: RealLike) -> Real:
        """P(X <= x), accurate in relative terms where it is small."""
        return domain.plain(np.clip(self._cdf(self._place(x)), 0.0, 1.0))

    @QUIET
    def survival(self, x: RealLike) -> Real:
        """P(X > x), accurate in relative terms where it is small."""
        return domain.plain(np.clip(self._survival(self._place(x)), 0.0, 1.0))

    @QUIET
    def quantile(self, q: RealLike) -> Real:
        """Position below which a fraction q of the probability lies.

        Parameters
        ----------
        q : float or array
            Probability, strictly between 0 and 1.

        Notes
        -----
        By bisection of ``cdf``, or of ``survival`` for q > 1/2, to the last bits of position.
        """
        q = np.asarray(domain.within("q", q, 0.0, 1.0, open_low=True, open_high=True))
        shape = np.broadcast_shapes(q.shape, self.shape)
        return domain.plain(np.broadcast_to(self._quantile(q), shape))

    def _quantile(self, q: Array) -> Any:
        shape = np.broadcast_shapes(q.shape, self.shape)
        centre = np.broadcast_to(np.asarray(self.mean()), shape)
        width = np.maximum(np.broadcast_to(np.asarray(self.std()), shape), 1e-300)

        def beyond(x: Array) -> Any:
            return np.where(q < 0.5, self._cdf(x) >= q, self._survival(x) <= 1.0 - q)

        low, high = centre - width, centre + width
        for _ in range(60):
            early, late = ~beyond(high), beyond(low)
            if not (early.any() or late.any()):
                break
            low = np.where(late, centre - 2.0 * (centre - low), low)
            high = np.where(early, centre + 2.0 * (high - centre), high)
        for _ in range(64):
            middle = 0.5 * (low + high)
            above = beyond(middle)
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return 0.5 * (low + high)

    def sample(self, n: int, *, seed: int | np.random.Generator) -> Array:
        """Independent draws.

        Parameters
        ----------
        n : int
            How many.
        seed : int or numpy.random.Generator
            The same seed gives the same draws.

        Returns
        -------
        ndarray, shape (n,) + shape
            Positions.
        """
        n = domain.integer("n", n, 0)
        return self._sample(n, np.random.default_rng(seed))

    @QUIET
    def average(self, observable: Callable[[Array], Any]) -> float:
        """Mean of an observable over the state.

        Parameters
        ----------
        observable : callable
            Takes an array of positions, gives an array of values of the same shape. Smooth away
            from the reset point; growing at most as a power.

        Returns
        -------
        float
            By Gauss–Legendre quadrature on pieces that shrink towards the reset point; relative
            error about 1e-10 for observables smooth on the scale of the state.

        Raises
        ------
        DomainError
            If the parameters are arrays, or values are not finite real numbers of the right shape.
        """
        if self.shape:
            raise DomainError("observable", observable, "averaged over one state, not many")
        centre, width = float(np.asarray(self.reset_to)), float(np.asarray(self.std()))
        reach = width + abs(float(np.asarray(self.mean())) - centre)
        steps = reach * np.concatenate([[0.0], np.exp2(np.arange(-32.0, 6.01, 0.5))])
        edges = np.concatenate([-steps[:0:-1], steps])
        half = 0.5 * np.diff(edges)[:, None]
        gaps = (edges[:-1, None] + half * (1.0 + _NODES)).ravel()
        weights = (half * _WEIGHTS).ravel() * np.asarray(self._density(centre + gaps))
        points = np.append(centre + gaps, centre)
        weights = np.append(weights, self.atom)
        values = np.asarray(observable(points), dtype=np.float64)
        if values.shape != points.shape or not np.isfinite(values[weights > 0]).all():
            raise DomainError("observable", observable, "a function with finite values at all x")
        return float(np.sum(np.where(weights > 0, values, 0.0) * weights))


@dataclass(frozen=True)
class Part:
    """One part of a mixture: a cloud, the law of its age, and its probability."""

    cloud: Propagator
    ages: Ages
    weight: Any = 1.0


class Mixture(State):
    """A mixture of Gaussian clouds over random ages."""

    def __init__(self, parts: list[Part], reset_to: Real) -> None:
        self._parts = parts
        self.reset_to = reset_to
        self.shape = np.broadcast_shapes(
            np.shape(reset_to),
            *(np.shape(part.weight) for part in parts),
            *(part.cloud.shape for part in parts),
            *(part.ages.shape for part in parts),
        )

    def _total(self, of: Callable[[Part], Any]) -> Any:
        total: Any = 0.0
        for part in self._parts:
            weight = np.asarray(part.weight)
            total = total + np.where(weight > 0, weight * of(part), 0.0)
        return np.broadcast_to(total, np.broadcast_shapes(np.shape(total), self.shape))

    def _atom(self) -> Any:
        return self._total(lambda part: part.ages.zero)

    @QUIET
    def mean(self) -> Real:
        """Mean position, length."""
        return domain.plain(np.array(self._total(lambda part: part.cloud.mixed_mean(part.ages))))

    @QUIET
    def var(self) -> Real:
        """Variance, length²."""
        mean = np.asarray(self.mean())

        def about(part: Part) -> Any:
            own = part.cloud.mixed_var(part.ages)
            if len(self._parts) == 1:
                return own
            return own + (part.cloud.mixed_mean(part.ages) - mean) ** 2

        return domain.plain(np.array(self._total(about)))

    def _mix(self, x: Array, function: str, marks: bool = True) -> Any:
        """Average of a function of the clouds over the ages."""

        def of(part: Part) -> Any:
            value = getattr(part.cloud, function)
            place = np.broadcast_to(x, np.broadcast_shapes(x.shape, self.shape))
            near = part.cloud.marks(place) if marks else None
            mixed = part.ages.expect(lambda u: value(place, u), near)
            never = part.ages.never
            if not np.any(never):
                return mixed
            mean, var = part.cloud.long_run()
            gap = (place - mean) / np.sqrt(var)
            rest = {
                "density": np.exp(-0.5 * gap * gap) / np.sqrt(2.0 * np.pi * var),
                "cdf": special.ndtr(gap),
                "survival": special.ndtr(-gap),
            }
            value_there = np.where(np.isnan(rest[function]), 0.0, rest[function])
            return np.where(never, value_there, mixed)

        return self._total(of)

    def _density(self, x: Array) -> Any:
        return self._mix(x, "density")

    def _cdf(self, x: Array) -> Any:
        return self._mix(x, "cdf")

    def _survival(self, x: Array) -> Any:
        return self._mix(x, "survival")

    @QUIET
    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        value = np.zeros((n, *self.shape))
        pick = generator.random((n, *self.shape))
        below: Any = 0.0
        for part in self._parts:
            ages = self._ages(part.ages, n, generator)
            mean, var = part.cloud.mean(ages), part.cloud.var(ages)
            if np.any(part.ages.never):
                limit = part.cloud.long_run()
                mean = np.where(part.ages.never, limit[0], mean)
                var = np.where(part.ages.never, limit[1], var)
            draws = mean + np.sqrt(var) * generator.standard_normal((n, *self.shape))
            above = below + part.weight
            value = np.where((pick >= below) & (pick < above), draws, value)
            below = above
        return value

    def _ages(self, ages: Ages, n: int, generator: np.random.Generator) -> Array:
        """Ages of shape (n,) + shape, independent along all axes."""
        if ages.shape == self.shape:
            return ages.sample(n, generator)
        size = int(np.prod(self.shape, dtype=int))
        place = np.arange(int(np.prod(ages.shape, dtype=int))).reshape(ages.shape)
        column = np.tile(np.broadcast_to(place, self.shape).ravel(), n)
        draws = ages.sample(n * size, generator).reshape(n * size, -1)
        return draws[np.arange(n * size), column].reshape(n, *self.shape)


class Stationary(Mixture):
    """Where it sits in the long run under resetting, and how it gets there.

    Made by :func:`resetsgd.stationary`. Has ``mean``, ``var``, ``std``, ``density``, ``cdf``,
    ``survival``, ``quantile``, ``sample``, ``average``; ``relaxation(t)`` is the state at time t.

    Attributes
    ----------
    shape : tuple of int
        Shape of the parameters; ``()`` for scalars.
    reset_to : float or ndarray
        Where resets lead, length.
    atom : float or ndarray
        Probability to sit at the reset point itself, which ``density`` leaves out.
    """

    _transient: Callable[[Any, Any], list[Part]]

    def __init__(
        self, parts: list[Part], reset_to: Real, transient: Callable[[Any, Any], list[Part]]
    ) -> None:
        super().__init__(parts, reset_to)
        self._transient = transient

    def relaxation(self, t: RealLike, start: RealLike | None = None) -> State:
        """The state at time t after a start.

        By renewal: with the probability that no reset has happened, the reset-free cloud from the
        start at age t; else the cloud from the reset point at an age below t.

        Parameters
        ----------
        t : float or array
            Time since the start, >= 0; broadcasts against the parameters. Under ``Geometric`` the
            state is the one at the last step until then.
        start : float or array, optional
            Where it starts, length; default the reset point.

        Returns
        -------
        State
            With the same methods.

        Raises
        ------
        DomainError
            If an argument is outside its range, or the protocol is not Poisson, Sharp or Geometric.
        """
        time = np.asarray(domain.nonnegative("t", t))
        place = self.reset_to if start is None else domain.finite("start", start)
        domain.broadcast(t=time, start=place, parameters=np.empty(self.shape))
        state = Mixture(self._transient(time, place), self.reset_to)
        state.made_by = f"{self!r}.relaxation({domain.plain(time)!r}, start={place!r})"
        return state
