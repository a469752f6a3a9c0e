"""Passage times with an atom: laws that are a density after a front, and a mass at it.

A ballistic walker arrives at the earliest possible time with positive probability. Such a law has
no transform that decays, so that what other laws do on a contour is done here in time: every
expectation is a sum over atoms and a quadrature of the density, cut where the density jumps.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array
from resetsgd.errors import NotConverged
from resetsgd.passage import trials
from resetsgd.passage.base import PassageTime
from resetsgd.passage.closed import Closed
from resetsgd.passage.front_table import front_table
from resetsgd.passage.inversion import integrate
from resetsgd.passage.sums import ROUND, Coins, spent
from resetsgd.protocols import Protocol, Trial

if TYPE_CHECKING:
    from resetsgd.passage.optimum import Optimum

__all__ = ["Fronted"]

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_NODES, _HALF = 0.5 * (_POINTS + 1.0), 0.5 * _WEIGHTS
_MOST_TURNS = 50.0
"""Radians that exp(-st) may turn by in the nodes that expectations share."""
_EXPLICIT = 2048
"""Coins after the front that are summed one by one; the rest is smooth on the scale of a step."""
_GREGORY = (0.5, -1 / 12, 1 / 24, -19 / 720, 3 / 160, -863 / 60480, 275 / 24192)
"""Sum minus integral in forward differences at the first point (Gregory's formula)."""


class Fronted(Closed):
    """A passage time with atoms, and a density that jumps at known times.

    A subclass supplies ``_atoms`` and ``_fronts``; ``_density`` is the density between the atoms.
    """

    @abstractmethod
    def _atoms(self) -> tuple[Any, Any]:
        """Times and weights of the atoms, along the first axis."""

    @abstractmethod
    def _fronts(self) -> Any:
        """Times at which the density is not smooth, rising along the first axis, atoms included."""

    @property
    def smooth(self) -> bool:
        """False: the law has atoms."""
        return False

    @property
    def fronted(self) -> bool:
        """True: a density and atoms, at known times."""
        return True

    def _marks(self) -> Any:
        return self._fronts()

    def _over(self) -> float:
        """Time by which all have come, for float64; infinite for heavy tails."""
        return float(np.inf)

    # A fixed period --------------------------------------------------------------------------

    def _first(self) -> Any:
        """The earliest time of arrival."""
        return self._fronts()[0]

    def _expect(self, function: Any, tau: Any) -> Any:
        """E[function(T); T < tau] of a function that may vary along with tau."""
        extra = (1,) * (np.ndim(tau) - len(self.shape))
        times, weights = (a.reshape(len(a), *extra, *self.shape) for a in self._atoms())
        value = np.sum(np.where(times < tau, weights * function(times), 0.0), axis=0)
        first = self._first()
        length = np.where(tau > first, tau - first, 0.0)
        marks = self._fronts()[1:] - first
        after = integrate(
            lambda u: function(first + u) * self._density(np.asarray(first + u)),
            np.where(length > 0, length, 1.0),
            marks if len(marks) else None,
        )
        return value + np.where(length > 0, after, 0.0)

    def _expected(self, functions: Any, tau: Any) -> list[Any]:
        """E[function(T); T < tau] of functions of a time alone.

        For one passage time all tau share the points of their quadrature.
        """
        if self.shape:
            return [self._expect(function, tau) for function in functions]
        times, mass = self._mass(np.ravel(tau))
        place = np.searchsorted(times, tau, side="left")
        return [np.append(0.0, np.cumsum(mass * function(times)))[place] for function in functions]

    @QUIET
    def _cdf(self, t: Array) -> Any:
        """P(T <= t) with relative accuracy also where it is small."""
        t = np.broadcast_to(t, np.broadcast_shapes(np.shape(t), self.shape))
        late = np.asarray(self.survival(t))
        early = (late >= 0.9) & (t > 0) & np.isfinite(t)
        if not early.any():
            return 1.0 - late
        come = self._expected([np.ones_like], np.nextafter(np.where(early, t, 1.0), np.inf))[0]
        return np.where(early, come, 1.0 - late)

    def _not_before(self, tau: Any) -> Any:
        """P(T >= tau)."""
        extra = (1,) * (np.ndim(tau) - len(self.shape))
        times, weights = (a.reshape(len(a), *extra, *self.shape) for a in self._atoms())
        at = np.sum(np.where(times == tau, weights, 0.0), axis=0)
        return np.asarray(self.survival(tau)) + at

    @QUIET
    def trial_fixed(self, period: Any, s: Any = 0.0) -> Trial:
        """Trial against a fixed waiting time; an arrival exactly at its end is lost."""
        shape = np.broadcast_shapes(np.shape(period), np.shape(s), self.shape)
        period = np.broadcast_to(np.asarray(period, dtype=np.float64), shape)
        s = np.broadcast_to(s, shape)
        infinite = np.isinf(period)
        if infinite.all():
            return self.trial_exponential(np.zeros(shape), s)
        tau = np.where(infinite, 1.0, period)
        if np.any(np.abs(np.imag(s)) * tau > _MOST_TURNS):
            late = self._not_before(tau)
            duration = trials.lasting(self, tau, s)
            success = 1.0 - np.exp(-s * tau) * late - s * duration
            log_success = np.log(success)
            trial = Trial(log_success, np.log(duration) - log_success)
            return trials.unless_endless(self, trial, infinite, s)
        if self.shape or not s.size:
            success = self._expect(lambda t: np.exp(-s * t), tau)
            duration = self._expect(lambda t: spent(t, s), tau)
        else:
            kind = np.result_type(s, float)
            success, duration = np.zeros(shape, kind), np.zeros(shape, kind)
            for at in np.unique(s):
                here = s == at
                success[here], duration[here] = self._expected(
                    [lambda t, at=at: np.exp(-at * t), lambda t, at=at: spent(t, at)], tau[here]
                )
        duration = duration + spent(tau, s) * self._not_before(tau)
        log_success = np.log(success)
        log_mean = np.where(success == 0, np.inf, np.log(duration) - log_success)
        return trials.unless_endless(self, Trial(log_success, log_mean), infinite, s)

    @QUIET
    def restricted_mean(self, tau: Any) -> Any:
        """Restricted mean E[min(T, tau)]."""
        tau = np.asarray(domain.nonnegative("tau", tau, infinite=True))
        tau = np.broadcast_to(tau, np.broadcast_shapes(tau.shape, self.shape))
        usable = (tau > 0) & np.isfinite(tau)
        end = np.where(usable, tau, 1.0)
        value = self._expected([lambda t: t], end)[0] + end * self._not_before(end)
        value = np.where(usable, np.minimum(value, end), np.where(tau > 0, self.mean(), 0.0))
        return domain.plain(value)

    @QUIET
    def truncated_var(self, tau: Any) -> Any:
        """Variance of T given T < tau."""
        tau = np.asarray(tau, dtype=np.float64)
        tau = np.broadcast_to(tau, np.broadcast_shapes(tau.shape, self.shape))
        infinite = np.isinf(tau)
        end = np.where(infinite, 1.0, tau)
        arrive, first = self._expected([np.ones_like, lambda t: t], end)
        first = first / arrive
        if self.shape:
            value = self._expect(lambda t: (t - first) ** 2, end) / arrive
        else:  # about one centre for all
            centre = np.nanmean(first)
            value = self._expected([lambda t: (t - centre) ** 2], end)[0] / arrive
            value = np.maximum(value - (first - centre) ** 2, 0.0)
        return np.where(infinite, self.var(), np.where(arrive > 0, value, 0.0))

    def best(
        self, family: type[Protocol], *, then: PassageTime | None = None, **settings: Any
    ) -> Optimum:
        """The best member of a family, also where its period just lets an atom pass.

        There the mean jumps, and the smallest may be its limit from above: ``kind`` is then
        "front", and the period one rounding longer than the time of the atom.
        """
        optimum = super().best(family, then=then, **settings)
        if self.shape or then is not None or family.parameter in settings:
            return optimum
        if any(isinstance(value, tuple) for value in settings.values()):
            return optimum
        for time in np.unique(np.asarray(self._atoms()[0])):
            if time < np.finfo(np.float64).tiny:  # its frequency is beyond float64
                continue
            after = family.at_frequency(1.0 / float(time * (1.0 + 4.0 * ROUND)), **settings)
            mean = float(np.asarray(self.under(after).mean()))
            if np.isfinite(mean) and not optimum.mean <= mean * (1.0 + 1e-12):
                words = f"the mean {mean:.6g} just after the front at {float(time):.6g} is smallest"
                optimum = replace(
                    optimum, protocol=after, mean=mean, pays=True, kind="front", reason=words
                )
        return optimum

    # Coins -----------------------------------------------------------------------------------

    @QUIET
    def trial_lattice(
        self, log_keep: Any, step: Any, s: Any = 0.0, look_first: bool = False
    ) -> Trial:
        """Trial against a coin at multiples of ``step``, by sums over the coins.

        One passage time at a time; coins one by one after the front, and where resets are rare the
        rest by Gregory's formula.
        """
        if self.shape:
            raise NotConverged("coins for an array of passage times with atoms: take one at a time")
        log_keep, step, s = np.broadcast_arrays(log_keep, np.asarray(step, np.float64), s)
        dtype = np.result_type(log_keep, s, float)
        log_success, log_duration = (np.empty(log_keep.shape, dtype) for _ in range(2))
        for spacing, at in {(float(a), b.item()) for a, b in zip(step.flat, s.flat, strict=True)}:
            here = (step == spacing) & (s == at)
            if not here.any():
                raise NotConverged(f"coins: s = {at} is not a number in float64; change the units")
            pair = self._coins(log_keep[here], spacing, at, look_first)
            log_success[here], log_duration[here] = pair
        log_mean = log_duration - log_success
        return trials.unless_endless(self, Trial(log_success, log_mean), log_keep == 0, s)

    def _coins(self, log_keep: Any, step: float, s: Any, look_first: bool) -> tuple[Any, Any]:
        """Logarithms of success and duration for coins of one spacing and one s."""
        first = float(self._first())
        before = max(np.ceil(first / step * (1.0 - ROUND)) - 1.0, 0.0)  # coins surely tossed
        rise = np.where(log_keep == 0, 1.0, -log_keep)
        slow = float(np.min(np.real(rise)))
        explicit = 64 if slow > 40.0 / 64 else _EXPLICIT  # few cases, that can be kept
        sizes = explicit * 2.0 ** np.arange(60.0)
        count = np.count_nonzero(sizes * slow < 60.0) if slow * _EXPLICIT < 40.0 else 0
        sizes = sizes[: 10 * int(np.ceil(count / 10))]
        rest = np.multiply.outer(sizes, 1.0 + _NODES).ravel()
        coins = np.append(np.arange(1.0, explicit + len(_GREGORY)), rest)
        success, duration = self._cumulative(before, coins, step, s)
        if look_first:
            success = success + self._at(before * step + coins * step, s)
        # the number of coins up to a reset is k with probability (1 - q) q^(k-1), q = exp(-rise)
        certain = np.isinf(np.real(rise))[:, None]
        stays = np.exp(-np.where(certain, 1.0, rise[:, None]) * (coins - 1.0))
        stays = np.where(certain, coins == 1.0, stays) * -np.expm1(-rise)[:, None]
        totals = []
        for values in (success, duration):
            terms = stays * values
            total = np.sum(terms[:, : explicit - 1], axis=1)
            if len(sizes):
                tail = terms[:, -rest.size :].reshape(len(terms), len(sizes), -1) @ _HALF
                total = total + tail @ sizes
            differences = terms[:, explicit - 1 : explicit - 1 + len(_GREGORY)]
            if not len(sizes):
                total, differences = total + np.sum(differences, axis=1), differences[:, :0]
            for weight in _GREGORY[: differences.shape[1]]:
                total = total + weight * differences[:, 0]
                differences = np.diff(differences, axis=1)
            totals.append(total)
        clock = Coins(-rise, np.full(rise.shape, step), np.full(rise.shape, s), look_first)
        whole = clock._whole(np.full(rise.shape, before), np.arange(rise.size))
        power = clock._power(np.full(rise.shape, before), np.arange(rise.size))
        won, late = power * totals[0], whole + power * totals[1]
        return np.log(won), np.log(late)

    def _mass(self, ends: Array) -> tuple[Array, Array]:
        """Times and weights whose sums up to any of ``ends`` are expectations up to there.

        Gauss points between all cuts: the ends, the fronts, and ever closer to the first.
        """
        first = float(self._first())
        span = max(float(ends.max(initial=0.0)), first) - first
        near = first + span * 2.0 ** -np.arange(1.0, 60.0)
        cuts = np.concatenate([[first], ends, near, np.asarray(self._fronts())])
        cuts = np.unique(cuts[(cuts >= first) & (cuts <= min(first + span, self._over()))])
        times = (cuts[:-1, None] + np.diff(cuts)[:, None] * _NODES).ravel()
        known = front_table(self)
        mass = (np.diff(cuts)[:, None] * _HALF).ravel() * np.asarray(known._density(times))
        atoms, weights = self._atoms()
        order = np.argsort(np.append(times, atoms), kind="stable")
        return np.append(times, atoms)[order], np.append(mass, weights)[order]

    def _cumulative(self, before: float, coins: Array, step: float, s: Any) -> tuple[Any, Any]:
        """E[exp(-sT); T < t] and the integral of exp(-su) P(T > u) from the last sure coin to t.

        At t = (before + coins) step.
        """
        known: dict[Any, Any] = self.__dict__.setdefault("_known_coins", {})
        key = (before, len(coins), step, s)
        if key in known:
            return known[key]  # type: ignore[no-any-return]
        base, ends = before * step, (before + coins) * step
        times, mass = self._mass(ends)

        def since(t: Any) -> Any:
            return np.exp(-s * base) * spent(t - base, s)

        place = np.searchsorted(times, ends * (1.0 - ROUND), side="left")
        success, duration = (
            np.append(0.0, np.cumsum(mass * weight))[place]
            for weight in (np.exp(-s * times), since(times))
        )
        if np.isinf(self._over()):
            late = np.asarray(self.survival(ends * (1.0 + ROUND))) + self._at(ends, 0.0)
        else:  # without a heavy tail what is left is known from what has come
            late = np.maximum(1.0 - np.append(0.0, np.cumsum(mass))[place], 0.0)
        if len(known) >= 8:
            known.clear()
        known[key] = success, duration + since(ends) * late
        return known[key]  # type: ignore[no-any-return]

    def _at(self, ends: Array, s: Any) -> Any:
        """E[exp(-sT); T = end] for each end, to rounding."""
        times, weights = self._atoms()
        where = np.abs(ends[:, None] - times) <= ROUND * times
        return np.sum(np.where(where, weights * np.exp(-s * times), 0.0), axis=1)
